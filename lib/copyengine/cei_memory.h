/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_MEMORY_H
#define CEI_MEMORY_H

/* Where memory is for a device: look-up, registration, and walking through lists and ranges. */

#include <stdatomic.h>
#include <sys/queue.h>

#include "copyengine.h"

/* Memory of DPDK's: [start, end) begins at iova. RTE_BAD_IOVA: it is not DPDK's. */
struct ce_translation {
	uintptr_t start;
	uintptr_t end;
	rte_iova_t iova;
};

/* A page of 2 MB has an entry, a smaller one shares it; they cover 2 GB. */
#define CE_GRANULE_SHIFT 21
#define CE_TRANSLATIONS	 1024

struct ce_registration;

/* What a handle knows of memory. */
struct ce_memory {
	bool identity; /* an address is the same for both: shared virtual addressing, or no device */
	uint32_t generation; /* of DPDK's memory, that the translations are of */
	const int16_t *dev_ids; /* that have to reach it */
	unsigned int nb_dev_ids;
	LIST_HEAD(, ce_registration) registrations;
	struct ce_translation *translations; /* CE_TRANSLATIONS, from the first that is looked up */
	uint32_t nb_unknown; /* look-ups that found memory not to be DPDK's, by its translation */
};

struct ce_sglist {
	struct ce_sglist *next;
	struct ce_context *context;
	uint64_t length;   /* of the whole list, in its first block */
	uint32_t segments; /* in this block */
	uint32_t reserved;
	struct ce_segment segment[CE_SG_BLOCK];
};

/* A place in a list, or in a range of virtual addresses, which is resolved as it is walked. */
struct ce_cursor {
	struct ce_segment segment; /* that it is in */
	uint64_t offset;	   /* in the segment */
	const struct ce_sglist *block; /* NULL: a range */
	uint32_t index;		       /* of the segment in the block */
	struct ce_memory *memory;      /* of a range */
	uint64_t rest;		       /* bytes of a range behind the segment */
};

/* Counts what makes translations stale: that DPDK, or an application, took memory back. */
extern atomic_uint cei_memory_generation __attribute__((visibility("hidden")));

int cei_memory_init(struct ce_memory *memory, bool identity);
void cei_memory_fini(struct ce_memory *memory);
bool cei_memory_find(
	struct ce_memory *memory, const void *va, struct ce_translation *found, bool *keep);
void cei_memory_resolve(
	struct ce_memory *memory, const void *va, uint64_t length, struct ce_segment *segment);
int cei_memory_register(struct ce_memory *memory, void *va, size_t length);
int cei_memory_unregister(struct ce_memory *memory, void *va, size_t length);

void cei_cursor_list(struct ce_cursor *at, const struct ce_sglist *list, uint64_t offset);
void cei_cursor_range(
	struct ce_cursor *at, struct ce_memory *memory, const void *va, uint64_t length);
void cei_cursor_segment(struct ce_cursor *at, const struct ce_segment *segment);
void cei_cursor_skip(struct ce_cursor *at, uint64_t length);
void cei_cursor_copy_out(struct ce_cursor *at, uint8_t *to, uint32_t length);
void cei_cursor_copy_in(struct ce_cursor *at, const uint8_t *from, uint32_t length);

/* Bytes from here on that are one run for CPU and device. */
static inline uint64_t
cei_cursor_run(const struct ce_cursor *at)
{
	const uint64_t left = at->segment.length - at->offset;

	return at->segment.window == 0 ? left : RTE_MIN(left, (uint64_t)at->segment.window);
}

/* Where the CPU and the device find the next byte. A window stands still. */
static inline void *
cei_cursor_va(const struct ce_cursor *at)
{
	return at->segment.window == 0 ? RTE_PTR_ADD(at->segment.va, at->offset) : at->segment.va;
}

static inline rte_iova_t
cei_cursor_iova(const struct ce_cursor *at)
{
	return at->segment.window == 0 ? at->segment.iova + at->offset : at->segment.iova;
}

#endif /* CEI_MEMORY_H */
