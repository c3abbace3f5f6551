/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_CONTEXT_H
#define CEI_CONTEXT_H

/* What all that is made with a handle has in common: memory, lists, bounce buffers, counters. */

#include <rte_common.h>

#include "copyengine.h"
#include "cei_memory.h"

/* Latencies by their logarithm, four to each power of two of TSC cycles. */
#define CE_LATENCY_BUCKETS 160

/* Counters of the handle's thread, that others may read. */
struct ce_counters {
	uint64_t transfers;
	uint64_t failed;
	uint64_t operations;
	uint64_t engine_bytes;
	uint64_t cpu_bytes;
	uint64_t bounced;
	uint64_t waits;
	uint64_t common_bytes;
	uint64_t common_bytes_max;
	uint64_t common_failed;
	uint64_t sg_blocks;
	uint32_t map_registers; /* in use, of a controller's handle */
	uint32_t latency[CE_LATENCY_BUCKETS];
};

struct ce_context {
	struct ce_memory memory;
	uint32_t break_even;
	uint32_t max_segment;
	uint16_t max_sges;
	bool fill; /* the engine can */
	int socket;
	uint32_t bounce_size;
	uint32_t bounce_buffers;
	struct ce_common_pool *bounce; /* from the first list of IOVAs on */
	uint32_t sg_blocks;	       /* most of them */
	uint32_t sg_allocated;
	struct ce_sglist *free_blocks;
	void *chunks; /* that blocks come from, linked by their first word */
	struct ce_counters counters;
};

/* Add to a counter that another thread may read. */
#define CE_COUNT(counter, n) \
	__atomic_store_n(&(counter), (counter) + (n), __ATOMIC_RELAXED)

void cei_sglists_fini(struct ce_context *context);
int cei_bounce_init(struct ce_context *context);

#endif /* CEI_CONTEXT_H */
