/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef PUMP_H
#define PUMP_H

/**
 * @file
 *
 * The loop that keeps one vchan busy from one lcore: what bench measures and workers run.
 */

#include "shell.h"

#define PUMP_SEGMENTS_MAX 64

/*
 * A histogram of cycles: for each power of two 32 linear steps, so a value is known to 3 %.
 * Fixed size, so that recording is an addition.
 */
#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_SIZE     ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t bucket[HISTOGRAM_SIZE];
};

static inline unsigned int
histogram_index(uint64_t value)
{
	unsigned int shift;

	if (value < 1u << HISTOGRAM_SUB_BITS)
		return value;
	shift = 63 - __builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return (shift << HISTOGRAM_SUB_BITS) + (value >> shift);
}

static inline void
histogram_add(struct histogram *h, uint64_t value)
{
	h->bucket[histogram_index(value)]++;
	h->count++;
	if (value > h->max)
		h->max = value;
}

void histogram_merge(struct histogram *to, const struct histogram *from);
/** The highest value of a bucket. */
uint64_t histogram_upper(unsigned int i);
/** The value that a part (0.99) of all is not above; at most 3 % too high. */
uint64_t histogram_percentile(const struct histogram *h, double part);

/** Counters that one lcore writes and others may read while it runs. */
struct pump_counters {
	uint64_t ops;
	uint64_t errors;
	uint64_t busy;   /**< cycles in enqueue, submit and polls that found something */
	uint64_t cycles; /**< all cycles of the loop */
};

static inline void
pump_count(uint64_t *counter, uint64_t n)
{
	/* One writer: a plain addition, stored in one piece. */
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline struct pump_counters
pump_counters_read(const struct pump_counters *c)
{
	return (struct pump_counters){
		.ops = __atomic_load_n(&c->ops, __ATOMIC_RELAXED),
		.errors = __atomic_load_n(&c->errors, __ATOMIC_RELAXED),
		.busy = __atomic_load_n(&c->busy, __ATOMIC_RELAXED),
		.cycles = __atomic_load_n(&c->cycles, __ATOMIC_RELAXED),
	};
}

struct pump {
	/* What to do */
	int16_t dev;
	uint16_t vchan;
	uint32_t size;          /**< of an operation, the longest where sizes are given */
	const uint32_t *sizes;  /**< of operations, in turn; NULL: all have size */
	uint32_t nb_sizes;
	uint64_t interval;      /**< cycles from operation to operation, 0: as fast as it goes */
	uint16_t batch;
	uint16_t depth;         /**< operations in flight at most */
	uint16_t segments;      /**< of each side of an operation, 0: plain copies */
	struct histogram *latency; /**< NULL: not recorded */
	bool stop;              /**< set by another lcore, see pump_stop() */
	uint64_t duration;      /**< cycles, 0: until stop */

	struct pump_counters done;
	int error;              /**< negative errno that ended the loop early */

	/* Its own */
	struct dma_memory mem;  /**< sources, then destinations */
	uint64_t slots;
	uint64_t slot;
	uint32_t next_size;
	uint32_t in_flight;
	uint64_t *stamp;        /**< submit time by ring index, 65536 of them */
	struct rte_dma_sge *sge;
} __rte_cache_aligned;

/** Memory for a pump whose first part is filled in. */
int pump_init(struct pump *p, uint64_t memory, int numa);
/** The memory stays, and is lost, where a device may still write to it. */
void pump_fini(struct pump *p, bool memory_too);
/** Run on this lcore until stop or for the duration, then let everything complete. */
int pump_run(void *pump);
static inline void
pump_stop(struct pump *p)
{
	__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
}

/** The same work done by this lcore's CPU, for a duration. */
int pump_memcpy(void *pump);

#endif /* PUMP_H */
