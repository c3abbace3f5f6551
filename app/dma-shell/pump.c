/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Keeps one vchan busy from one lcore. Nothing here allocates, locks, prints or divides while it
 * runs.
 *
 * What counts as busy: the cycles that the lcore spends in enqueue, submit and those polls that
 * find something. An application would have the others for itself.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "pump.h"

#define INDEXES      (UINT16_MAX + 1)
#define POLL_BATCH   256
#define STALL_SECONDS 1.0 /* without a completion, with something in flight: the device hangs */

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	unsigned int i;

	to->count += from->count;
	to->max = RTE_MAX(to->max, from->max);
	for (i = 0; i < HISTOGRAM_SIZE; i++)
		to->bucket[i] += from->bucket[i];
}

uint64_t
histogram_upper(unsigned int i)
{
	unsigned int shift;

	if (i < 1u << HISTOGRAM_SUB_BITS)
		return i;
	shift = (i >> HISTOGRAM_SUB_BITS) - 1;
	return ((uint64_t)(i - (shift << HISTOGRAM_SUB_BITS) + 1) << shift) - 1;
}

uint64_t
histogram_percentile(const struct histogram *h, double part)
{
	uint64_t wanted = (uint64_t)(h->count * part), seen = 0;
	unsigned int i;

	for (i = 0; i < HISTOGRAM_SIZE; i++) {
		seen += h->bucket[i];
		/* Never above what was seen. */
		if (seen > wanted)
			return RTE_MIN(histogram_upper(i), h->max);
	}
	return h->max;
}

int
pump_init(struct pump *p, uint64_t memory, int numa)
{
	uint64_t space = RTE_ALIGN_CEIL((uint64_t)p->size, RTE_CACHE_LINE_SIZE);
	int ret;

	p->slots = RTE_MAX(1u, memory / 2 / space);
	p->slot = 0;
	p->next_size = 0;
	p->in_flight = 0;
	ret = dma_memory_alloc(&p->mem, 2 * p->slots * space, numa, 0);
	if (ret != 0)
		return ret;
	memset(p->mem.va, 0x5a, p->mem.size);
	p->stamp = calloc(INDEXES, sizeof(*p->stamp));
	p->sge = calloc(2 * PUMP_SEGMENTS_MAX, sizeof(*p->sge));
	if (p->stamp != NULL && p->sge != NULL)
		return 0;
	pump_fini(p, true);
	return shell_error(-ENOMEM, "out of memory");
}

void
pump_fini(struct pump *p, bool memory_too)
{
	if (memory_too)
		dma_memory_free(&p->mem);
	free(p->stamp);
	free(p->sge);
	p->stamp = NULL;
	p->sge = NULL;
}

static inline uint32_t
size_next(struct pump *p)
{
	uint32_t size;

	if (p->sizes == NULL)
		return p->size;
	size = p->sizes[p->next_size];
	if (++p->next_size == p->nb_sizes)
		p->next_size = 0;
	return size;
}

/* Cut one slot into segments; both sides have the same cuts. */
static int
enqueue_sg(struct pump *p, rte_iova_t src, rte_iova_t dst, uint32_t size)
{
	struct rte_dma_sge *s = p->sge, *d = p->sge + PUMP_SEGMENTS_MAX;
	uint32_t at = 0, part = size / p->segments;
	uint16_t i;

	for (i = 0; i < p->segments; i++, at += part) {
		s[i].addr = src + at;
		d[i].addr = dst + at;
		s[i].length = i + 1 == p->segments ? size - at : part;
		d[i].length = s[i].length;
	}
	return rte_dma_copy_sg(p->dev, p->vchan, s, d, p->segments, p->segments, 0);
}

/* Enqueue the copy of the next slot; returns what rte_dma_copy() does. */
static inline int
enqueue(struct pump *p, uint64_t space)
{
	const uint64_t at = p->slot * space;
	const rte_iova_t src = p->mem.iova + at, dst = src + p->slots * space;
	const uint32_t size = size_next(p);
	int ret = p->segments > 0 ? enqueue_sg(p, src, dst, size) :
		rte_dma_copy(p->dev, p->vchan, src, dst, size, 0);

	if (ret >= 0 && ++p->slot == p->slots)
		p->slot = 0;
	return ret;
}

/* Enqueue a batch and submit it. Returns how many operations went in, or a negative errno. */
static inline int
push(struct pump *p, uint64_t space)
{
	uint16_t last = 0;
	uint32_t n, i;
	uint64_t now;
	int ret = 0;

	/* Whole batches: a doorbell for each operation that has just become possible costs more. */
	if (p->in_flight + p->batch > p->depth)
		return 0;
	for (n = 0; n < p->batch; n++) {
		ret = enqueue(p, space);
		if (ret < 0)
			break;
		last = ret;
	}
	if (n == 0)
		return ret == -ENOSPC || ret >= 0 ? 0 : ret;
	rte_dma_submit(p->dev, p->vchan);
	p->in_flight += n;
	if (p->latency != NULL) {
		now = rte_rdtsc();
		for (i = 0; i < n; i++)
			p->stamp[(uint16_t)(last - i)] = now;
	}
	return n;
}

/*
 * What is due by now of operations that come at a fixed rate. Each is stamped with the time at which
 * it was due, not with that at which the device had room for it: who waits for it has waited since.
 */
static inline int
push_due(struct pump *p, uint64_t space, uint64_t *due)
{
	const uint64_t now = rte_rdtsc();
	int ret = 0, n = 0;

	for (; *due <= now && p->in_flight < p->depth && n < p->batch; *due += p->interval) {
		ret = enqueue(p, space);
		if (ret < 0)
			break;
		p->stamp[(uint16_t)ret] = *due;
		p->in_flight++;
		n++;
	}
	if (n == 0)
		return ret == -ENOSPC || ret >= 0 ? 0 : ret;
	rte_dma_submit(p->dev, p->vchan);
	return n;
}

/* See what is completed. Errors are counted; what comes after one is taken along. */
static inline uint16_t
pull(struct pump *p)
{
	enum rte_dma_status_code status[POLL_BATCH];
	bool error = false;
	uint16_t last = 0, i, n;
	uint64_t now;

	n = rte_dma_completed(p->dev, p->vchan, POLL_BATCH, &last, &error);
	if (unlikely(error)) {
		uint16_t failed_last = 0, m;

		m = rte_dma_completed_status(p->dev, p->vchan, POLL_BATCH, &failed_last, status);
		for (i = 0; i < m; i++)
			if (status[i] != RTE_DMA_STATUS_SUCCESSFUL)
				pump_count(&p->done.errors, 1);
		if (m > 0)
			last = failed_last;
		n += m;
	}
	if (n == 0)
		return 0;
	if (p->latency != NULL) {
		now = rte_rdtsc();
		for (i = 0; i < n; i++)
			histogram_add(p->latency, now - p->stamp[(uint16_t)(last - i)]);
	}
	p->in_flight -= RTE_MIN(p->in_flight, n);
	pump_count(&p->done.ops, n);
	return n;
}

static inline bool
stopped(const struct pump *p)
{
	return __atomic_load_n(&p->stop, __ATOMIC_RELAXED);
}

int
pump_run(void *arg)
{
	struct pump *p = arg;
	const uint64_t space = RTE_ALIGN_CEIL((uint64_t)p->size, RTE_CACHE_LINE_SIZE);
	const uint64_t stall = rte_get_tsc_hz() * STALL_SECONDS;
	const uint64_t begin = rte_rdtsc(), before = p->done.cycles;
	struct patience patience = { .looked = begin };
	uint64_t t0 = begin, t1, t2, due = begin;
	bool pushing = true, pulled;
	int pushed;

	p->error = 0;
	while (pushing || p->in_flight > 0) {
		pushed = !pushing ? 0 : p->interval > 0 ? push_due(p, space, &due) : push(p, space);
		if (pushed < 0) {
			p->error = pushed;
			break;
		}
		t1 = rte_rdtsc();
		if (pushed > 0)
			pump_count(&p->done.busy, t1 - t0);
		pulled = pull(p) > 0;
		if (patience_look(&patience, pulled || p->in_flight == 0) > stall) {
			p->error = -ETIMEDOUT;
			break;
		}
		t2 = patience.looked;
		if (pulled)
			pump_count(&p->done.busy, t2 - t1);
		__atomic_store_n(&p->done.cycles, before + (t2 - begin), __ATOMIC_RELAXED);
		t0 = t2;
		if (stopped(p) || (p->duration > 0 && t2 - begin > p->duration))
			pushing = false;
	}
	return p->error;
}

int
pump_memcpy(void *arg)
{
	struct pump *p = arg;
	const uint64_t space = RTE_ALIGN_CEIL((uint64_t)p->size, RTE_CACHE_LINE_SIZE);
	const uint64_t begin = rte_rdtsc();
	uint8_t *src = p->mem.va, *dst = src + p->slots * space;
	uint64_t now;
	uint16_t n;

	p->error = 0;
	do {
		for (n = 0; n < p->batch; n++) {
			memcpy(dst + p->slot * space, src + p->slot * space, size_next(p));
			if (++p->slot == p->slots)
				p->slot = 0;
		}
		pump_count(&p->done.ops, p->batch);
		now = rte_rdtsc();
	} while (!stopped(p) && now - begin < p->duration);
	pump_count(&p->done.cycles, now - begin);
	pump_count(&p->done.busy, now - begin);
	return 0;
}
