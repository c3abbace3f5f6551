/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_FAST_H
#define CEI_FAST_H

/*
 * The fast path of a stream, see struct ce_fast. Whoever does anything else with a stream, or takes its
 * map registers or its queue, closes it first.
 */

#include <string.h>

#include <rte_cycles.h>

#include "cei_stream.h"

/* Book what the fast path has started. */
static inline void
cei_fast_book(struct ce_stream *s)
{
	const uint32_t n = s->head - s->fast.booked;

	CE_COUNT(s->fast.booked, n);
	s->ports->queue->head += n;
	s->ports->started += n;
	CE_COUNT(*s->budget, -n);
	CE_COUNT(s->context->counters.operations, n);
}

/* Have all go the other ways. */
static inline void
cei_fast_close(struct ce_stream *s)
{
	s->fast.end = s->head;
	s->fast.room_end = s->head;
	if (!s->fast.open)
		return;
	s->fast.open = false;
	cei_fast_book(s);
	if (s->fast.silent)
		cei_queue_set_silent(s->ports->queue, true);
	s->fast.silent = false;
}

/* flags and status of a transfer in one, 0: no flags, and it has not failed nor is it under way. */
static inline uint64_t
cei_fast_state(const struct ce_transfer *t)
{
	uint64_t state;

	static_assert(offsetof(struct ce_transfer, status) ==
			offsetof(struct ce_transfer, flags) + sizeof(t->flags),
		"they are read together");
	memcpy(&state, &t->flags, sizeof(state));
	return state;
}

static __rte_always_inline bool
cei_fast_fits(const struct ce_fast *fast, uint64_t length)
{
	/* Mostly all are as long as the last ones. */
	return likely(length == fast->length) || length - fast->least <= fast->span;
}

/* Whether a transfer that begins there is to have its latency taken. */
static inline bool
cei_sample_is_due(const struct ce_stream *s, uint32_t at)
{
	return (int32_t)(at - s->sample_next) >= 0 && s->sampled == NULL;
}

static inline void
cei_sample_begin(struct ce_stream *s, struct ce_transfer *t, uint32_t at)
{
	s->sampled = t;
	s->sampled_at = at;
	s->sampled_tsc = rte_rdtsc();
}

void cei_fast_forget(struct ce_fast *fast);
void cei_fast_open(struct ce_stream *s);
unsigned int cei_fast_find(
	struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count, uint64_t *cpu);
unsigned int cei_fast_retire(
	struct ce_stream *s, struct ce_transfer **finished, unsigned int max);
bool cei_fast_poll(
	struct ce_stream *s, struct ce_transfer **finished, unsigned int max, unsigned int *count);
int cei_fast_no_doorbell(struct ce_stream *s);

/*
 * Start a transfer, from src to dst, that has no flags but CE_TRANSFER_MORE; the longer way if it is not
 * for the fast path. Returns 0, or why it was refused.
 */
static __rte_always_inline int
cei_fast_start(struct ce_stream *s, struct ce_transfer *t, const void *dst, const void *src,
	uint64_t length, const bool more)
{
	const uint64_t src_at = (uintptr_t)src - s->fast.src.start;
	const uint64_t dst_at = (uintptr_t)dst - s->fast.dst.start;
	const uint32_t head = s->head;

	if (unlikely(head == s->fast.end ||
		    atomic_load_explicit(&cei_memory_generation, memory_order_relaxed) !=
			    s->fast.generation ||
		    !cei_fast_fits(&s->fast, length) || src_at > s->fast.src.room ||
		    dst_at > s->fast.dst.room))
		return cei_stream_missed(s, t);
	/* Before the call, so that little has to be kept over it. */
	s->transfers[head & s->mask] = t;
	CE_COUNT(s->head, 1);
	t->status = -EINPROGRESS;
	t->done = 0;
	s->fast.silent = more;
	if (unlikely(rte_dma_copy(s->fast.dev_id, s->fast.vchan, s->fast.src.iova + src_at,
			     s->fast.dst.iova + dst_at, length, 0) < 0))
		return cei_stream_refused(s);
	/* Read again, so that it need not be kept either. */
	if (s->fast.silent)
		return 0;
	/* A flag of the operation would have drivers take a longer way. */
	if (unlikely(rte_dma_submit(s->fast.dev_id, s->fast.vchan) < 0))
		return cei_fast_no_doorbell(s);
	return 0;
}

/* Whether a transfer is of a range to a range, and nothing else is asked for. */
static inline bool
cei_fast_plain(const struct ce_transfer *t)
{
	return (cei_fast_state(t) | (uintptr_t)t->src | (uintptr_t)t->dst) == 0;
}

/* Give the engine transfers up to one that is not for the fast path. Returns how many. */
static __rte_always_inline unsigned int
cei_fast_operations(struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count)
{
	struct ce_transfer *const *next = transfers, *const *end, *t;
	const struct ce_fast *fast = &s->fast;
	const int16_t dev_id = fast->dev_id;
	const uint16_t vchan = fast->vchan;
	const uint32_t at = s->head & s->mask;
	uint64_t length, src_at, dst_at;
	uint32_t first;

	if (unlikely(fast->generation !=
		    atomic_load_explicit(&cei_memory_generation, memory_order_relaxed)))
		return 0;
	end = next + RTE_MIN(count, fast->room_end - s->head);
	for (; next != end; next++) {
		t = *next;
		length = t->length;
		src_at = (uintptr_t)t->src_va - fast->src.start;
		dst_at = (uintptr_t)t->dst_va - fast->dst.start;
		if (unlikely(!cei_fast_plain(t) || !cei_fast_fits(fast, length) ||
			    src_at > fast->src.room || dst_at > fast->dst.room))
			break;
		if (unlikely(rte_dma_copy(dev_id, vchan, fast->src.iova + src_at,
				     fast->dst.iova + dst_at, length, 0) < 0))
			break;
		t->status = -EINPROGRESS;
		t->done = 0;
	}
	count = next - transfers;
	first = RTE_MIN(count, s->mask + 1 - at);
	memcpy(&s->transfers[at], transfers, first * sizeof(t));
	if (unlikely(first < count))
		memcpy(s->transfers, transfers + first, (count - first) * sizeof(t));
	CE_COUNT(s->head, count);
	return count;
}

/* Start transfers, with one doorbell, up to one that is not for the fast path. Returns how many. */
static __rte_always_inline unsigned int
cei_fast_submit(struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count)
{
	const uint32_t head = s->head;
	const unsigned int n = cei_fast_operations(s, transfers, count);

	if (unlikely(n == 0))
		return 0;
	if (unlikely(cei_sample_is_due(s, head)))
		cei_sample_begin(s, transfers[0], head);
	if (unlikely(n < count))
		s->fast.silent = true;
	else if (unlikely(rte_dma_submit(s->fast.dev_id, s->fast.vchan) < 0))
		cei_fast_no_doorbell(s);
	return n;
}

#endif /* CEI_FAST_H */
