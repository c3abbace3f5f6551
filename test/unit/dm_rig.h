/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_RIG_H
#define DM_RIG_H

/**
 * @file
 *
 * A CBDMA model on a test bench: memory behind its IOMMU, a ring of descriptors, a completion word,
 * and the device run by hand. With RIG_REMOTE the memory is reached as another process's is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cbdma_hw.h"
#include "dm_cbdma.h"

#define RIG_RING_SIZE 1024
#define RIG_MEM_SIZE  (4u << 20)

/* IOVAs are not addresses here, so that one taken for the other faults. */
#define RIG_IOVA 0x7000000000ull

/* Where things lie in the memory. */
#define RIG_RING 0u
#define RIG_WORD (128u << 10)
#define RIG_SRC	 (1u << 20)
#define RIG_DST	 (2u << 20)

#define RIG_ERROR_REPORT (CBDMA_CHANCTRL_ANY_ERR_ABORT_EN | CBDMA_CHANCTRL_ERR_COMPLETION_EN)

#ifdef RIG_REMOTE
#define RIG_VA(mem) NULL
#else
#define RIG_VA(mem) mem
#endif

struct rig {
	struct dm_device *dev;
	uint8_t *mem;
	struct cbdma_desc *ring;
	volatile uint64_t *word;
	unsigned int channel;
	uint16_t count; /**< DMACOUNT as last written */
};

static inline uint64_t
rig_iova(uint64_t offset)
{
	return RIG_IOVA + offset;
}

static inline void
rig_remote_begin(void *opaque)
{
	(void)opaque;
}

static inline int
rig_remote_access(void *opaque, bool write, uint64_t iova, void *data, uint64_t len)
{
	struct rig *rig = opaque;
	uint64_t offset = iova - RIG_IOVA;

	assert_true(len > 0 && offset < RIG_MEM_SIZE && len <= RIG_MEM_SIZE - offset);
	if (write)
		memcpy(rig->mem + offset, data, len);
	else
		memcpy(data, rig->mem + offset, len);
	return 0;
}

static inline uint64_t
rig_desc_iova(unsigned int i)
{
	return rig_iova(RIG_RING + i % RIG_RING_SIZE * sizeof(struct cbdma_desc));
}

/** Read a register of the channel. */
static inline uint64_t
rig_read(struct rig *rig, unsigned int offset, unsigned int width)
{
	return dm_device_read(rig->dev, CBDMA_CHANNEL(rig->channel) + offset, width);
}

/** Write a register of the channel. */
static inline void
rig_write(struct rig *rig, unsigned int offset, unsigned int width, uint64_t value)
{
	dm_device_write(rig->dev, CBDMA_CHANNEL(rig->channel) + offset, width, value);
}

static inline unsigned int
rig_state(struct rig *rig)
{
	return rig_read(rig, CBDMA_CHANSTS, 8) & CBDMA_CHANSTS_STATE_MASK;
}

/** Make a rig; the ring linked, its descriptors invalid, the channel as after power-on. */
static inline void
rig_create(struct rig *rig, const struct dm_cbdma_config *config)
{
	const char *error;
	const struct dm_remote remote = {
		.begin = rig_remote_begin,
		.access = rig_remote_access,
		.max = 64u << 10,
		.opaque = rig,
	};
	unsigned int i;

	memset(rig, 0, sizeof(*rig));
	rig->dev = dm_cbdma_create(config, &error);
	assert_non_null(rig->dev);
	assert_null(error);
	rig->mem = aligned_alloc(4096, RIG_MEM_SIZE);
	assert_non_null(rig->mem);
	memset(rig->mem, 0, RIG_MEM_SIZE);
	for (i = 0; i < 1u << 20; i++)
		rig->mem[RIG_SRC + i] = (i * 2654435761u) >> 24;
	rig->ring = (struct cbdma_desc *)(rig->mem + RIG_RING);
	rig->word = (volatile uint64_t *)(rig->mem + RIG_WORD);
	for (i = 0; i < RIG_RING_SIZE; i++)
		rig->ring[i].next = rig_desc_iova(i + 1);
	if (RIG_VA(rig->mem) == NULL)
		assert_int_equal(dm_device_set_remote(rig->dev, &remote), 0);
	assert_int_equal(dm_device_map(rig->dev, RIG_IOVA, RIG_MEM_SIZE, RIG_VA(rig->mem),
				 DM_READ | DM_WRITE), 0);
}

static inline void
rig_destroy(struct rig *rig)
{
	dm_device_destroy(rig->dev);
	free(rig->mem);
}

/** Have the channel ready to run the ring from descriptor first on. */
static inline void
rig_start_at(struct rig *rig, unsigned int first)
{
	rig_write(rig, CBDMA_CHANERR, 4, rig_read(rig, CBDMA_CHANERR, 4));
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	rig_write(rig, CBDMA_CHANCTRL, 2, RIG_ERROR_REPORT);
	rig_write(rig, CBDMA_CHANCMP, 8, rig_iova(RIG_WORD));
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(first));
	rig->count = 0;
	*rig->word = 0;
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), CBDMA_CHANSTS_ARMED);
}

static inline void
rig_start(struct rig *rig)
{
	rig_start_at(rig, 0);
}

/** Write a descriptor that copies len bytes from RIG_SRC + src to RIG_DST + dst. */
static inline void
rig_copy(struct rig *rig, unsigned int i, uint64_t src, uint64_t dst, uint32_t len)
{
	struct cbdma_desc *d = &rig->ring[i % RIG_RING_SIZE];

	d->size = len;
	d->control = CBDMA_DESC_COMPLETION;
	d->src = rig_iova(RIG_SRC + src);
	d->dst = rig_iova(RIG_DST + dst);
}

/** Write a descriptor that fills len bytes at RIG_DST + dst. */
static inline void
rig_fill(struct rig *rig, unsigned int i, uint64_t pattern, uint64_t dst, uint32_t len)
{
	rig_copy(rig, i, 0, dst, len);
	rig->ring[i % RIG_RING_SIZE].control |= CBDMA_DESC_OP_FILL << CBDMA_DESC_OP_SHIFT;
	rig->ring[i % RIG_RING_SIZE].src = pattern;
}

/** Write n copies of 64 bytes, each to a place of its own, from descriptor first on. */
static inline void
rig_copies(struct rig *rig, unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = first; i < first + n; i++)
		rig_copy(rig, i, i % RIG_RING_SIZE * 64, i % RIG_RING_SIZE * 64, 64);
}

/** Ring the doorbell for n descriptors more. */
static inline void
rig_ring(struct rig *rig, unsigned int n)
{
	rig->count += n;
	rig_write(rig, CBDMA_DMACOUNT, 2, rig->count);
}

/** Ring for n and run them all. */
static inline void
rig_run(struct rig *rig, unsigned int n)
{
	rig_ring(rig, n);
	assert_int_equal(dm_device_run(rig->dev, n + 1), n);
}

/** Whether copies made by rig_copies() have, or have not, been run. */
static inline bool
rig_copied(const struct rig *rig, unsigned int i)
{
	size_t offset = i % RIG_RING_SIZE * 64;

	return memcmp(rig->mem + RIG_SRC + offset, rig->mem + RIG_DST + offset, 64) == 0;
}

#endif /* DM_RIG_H */
