/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>

#include "cei_conf.h"

#define DEFAULT_RING_SIZE      1024
#define DEFAULT_SHARE	       64 /* map registers of an owner who shares */
#define DEFAULT_MAX_SEGMENT    (1u << 20) /* what the smallest of DPDK's engines take */
#define DEFAULT_BOUNCE_SIZE    16384
#define DEFAULT_BOUNCE_BUFFERS 64
#define DEFAULT_SG_BLOCKS      1024
#define DEFAULT_TIMEOUT_MS     10000

/* The break-even size of an engine that cannot be measured. */
#define DEFAULT_BREAK_EVEN 1024
#define MEASURED_OPS	   32
#define MEASURED_ROUNDS	   8
#define MEASURED_MAX	   16384

#define LARGEST_BOUNCE_SIZE (1u << 20)

static bool
conf_valid(const struct ce_adapter_conf *conf)
{
	const uint32_t flags = CE_ADAPTER_SHARED | CE_ADAPTER_NO_SG | CE_ADAPTER_NO_SVA;

	return (conf->flags & ~flags) == 0 && conf->max_segment >= 64 && conf->bounce_size >= 64 &&
		conf->bounce_size <= LARGEST_BOUNCE_SIZE && conf->bounce_buffers >= 1 &&
		conf->bounce_buffers <= UINT16_MAX && conf->nb_stripes < CE_MAX_CHANNELS &&
		(conf->nb_stripes == 0 || conf->stripes != NULL) &&
		conf->direction <= RTE_DMA_DIR_DEV_TO_MEM;
}

/* Put the defaults in. Returns 0, or -EINVAL. */
int
cei_conf_complete(const struct ce_adapter_conf *given, struct ce_adapter_conf *conf)
{
	if (given == NULL)
		memset(conf, 0, sizeof(*conf));
	else if (given != conf)
		*conf = *given;
	if (conf->nb_vchans == 0)
		conf->nb_vchans = 1;
	if (conf->ring_size == 0)
		conf->ring_size = DEFAULT_RING_SIZE;
	if (conf->map_registers == 0)
		conf->map_registers = conf->flags & CE_ADAPTER_SHARED ? DEFAULT_SHARE : UINT16_MAX;
	if (conf->max_segment == 0)
		conf->max_segment = DEFAULT_MAX_SEGMENT;
	if (conf->bounce_size == 0)
		conf->bounce_size = DEFAULT_BOUNCE_SIZE;
	if (conf->bounce_buffers == 0)
		conf->bounce_buffers = DEFAULT_BOUNCE_BUFFERS;
	if (conf->sg_blocks == 0)
		conf->sg_blocks = DEFAULT_SG_BLOCKS;
	if (conf->timeout_ms == 0)
		conf->timeout_ms = DEFAULT_TIMEOUT_MS;
	return conf_valid(conf) ? 0 : -EINVAL;
}

/* Cycles of the core for giving an operation to the engine and learning that it is done. */
static uint64_t
engine_cycles(struct ce_queue *q, rte_iova_t dst, rte_iova_t src)
{
	const uint64_t limit = rte_get_tsc_hz() / 1000;
	uint64_t start, cycles, deadline;
	unsigned int i, done = 0, given = 0;
	bool error = false;

	start = rte_rdtsc_precise();
	for (i = 0; i < MEASURED_OPS; i++)
		given += rte_dma_copy(q->dev_id, q->vchan, src, dst, 64, 0) >= 0;
	rte_dma_submit(q->dev_id, q->vchan);
	cycles = rte_rdtsc_precise() - start;
	deadline = rte_rdtsc() + limit;
	while (done < given && !error && rte_rdtsc() < deadline)
		done += rte_dma_completed(q->dev_id, q->vchan, given - done, NULL, &error);
	start = rte_rdtsc_precise();
	done += rte_dma_completed(q->dev_id, q->vchan, 1, NULL, &error);
	cycles += rte_rdtsc_precise() - start;
	return done < MEASURED_OPS || error ? UINT64_MAX : cycles / MEASURED_OPS;
}

static uint64_t
cpu_cycles(uint8_t *dst, const uint8_t *src, size_t length)
{
	uint64_t start, least = UINT64_MAX;
	unsigned int i, round;

	for (round = 0; round < MEASURED_ROUNDS; round++) {
		start = rte_rdtsc_precise();
		for (i = 0; i < 16; i++) {
			rte_memcpy(dst, src, length);
			rte_compiler_barrier();
		}
		least = RTE_MIN(least, (rte_rdtsc_precise() - start) / 16);
	}
	return least;
}

/* The size from which on a copy costs the core less when the engine does it. */
static uint32_t
measure(struct ce_device *dev)
{
	struct ce_queue *q = &dev->queues[0];
	uint64_t cycles, least = UINT64_MAX;
	uint32_t size = DEFAULT_BREAK_EVEN;
	rte_iova_t src, dst;
	unsigned int round;
	uint8_t *memory;

	memory = rte_zmalloc_socket("ce_measure", 2 * MEASURED_MAX, 4096, dev->socket);
	if (memory == NULL)
		return size;
	src = dev->sva ? (uintptr_t)memory : rte_malloc_virt2iova(memory);
	dst = src + 64;
	if (src == RTE_BAD_IOVA || dev->direction != RTE_DMA_DIR_MEM_TO_MEM)
		goto out;
	for (round = 0; round < MEASURED_ROUNDS; round++) {
		cycles = engine_cycles(q, dst, src);
		if (cycles == UINT64_MAX) {
			/* What it was given must not be taken for ours. */
			if (rte_dma_stop(dev->dev_id) < 0 || rte_dma_start(dev->dev_id) < 0)
				cei_device_die(dev, ENODEV);
			goto out;
		}
		least = RTE_MIN(least, cycles);
	}
	for (size = 64; size < MEASURED_MAX; size *= 2)
		if (cpu_cycles(memory + MEASURED_MAX, memory, size) > least)
			break;
out:
	rte_free(memory);
	return size;
}

static bool
device_in_use(const struct ce_device *dev)
{
	bool used = false;
	uint16_t i;

	for (i = 0; i < dev->nb_vchans; i++)
		used |= dev->queues[i].nb_ports > 0;
	return used;
}

/* The largest of what was measured of the devices. */
uint32_t
cei_break_even(struct ce_queue **queues, unsigned int nb_queues, uint32_t wanted)
{
	struct ce_device *dev;
	uint32_t most = 0;
	unsigned int i;

	if (nb_queues == 0)
		return UINT32_MAX;
	for (i = 0; wanted == 0 && i < nb_queues; i++) {
		dev = queues[i]->dev;
		/* A device that others have begun to use is not disturbed. */
		if (dev->break_even == 0)
			dev->break_even = device_in_use(dev) ? DEFAULT_BREAK_EVEN : measure(dev);
		most = RTE_MAX(most, dev->break_even);
	}
	return wanted == 0 ? most : wanted;
}
