/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>

#include <rte_memcpy.h>
#include <rte_prefetch.h>

#include "cei_fast.h"

/* As far as there is room. */
static inline void
fast_extend(struct ce_stream *s)
{
	const int32_t budget = *s->budget;
	/* The ring has room for twice as many pieces as there are map registers. */
	const uint32_t slots = s->mask + 1 - (s->head - s->tail);
	const uint32_t room = budget < 0 ? 0 : unlikely(slots < (uint32_t)budget) ? slots : (uint32_t)budget;

	s->fast.room_end = s->head + room;
	s->fast.end = s->fast.room_end;
	/* One in so many goes the longer way. */
	if (s->sampled == NULL && (int32_t)(s->fast.end - s->sample_next) > 0)
		s->fast.end = RTE_MAX((int32_t)(s->sample_next - s->head), 0) + s->head;
}

/* No transfer fits, until one is looked up: there is no memory at that address. */
void
cei_fast_forget(struct ce_fast *fast)
{
	const struct ce_fast_side nowhere = {.start = UINTPTR_MAX, .end = UINTPTR_MAX};

	fast->src = nowhere;
	fast->dst = nowhere;
	fast->length = UINT64_MAX;
	fast->least = UINT64_MAX;
	fast->span = 0;
}

/* What is the same for all transfers is looked at here, once. */
void
cei_fast_open(struct ce_stream *s)
{
	struct ce_fast *fast = &s->fast;
	const uint32_t generation =
		atomic_load_explicit(&cei_memory_generation, memory_order_relaxed);
	const struct ce_port *port = s->ports;

	if (s->nb_ports != 1 || port->queue->shared || port->queue->only != port ||
		s->refuses != 0 || s->fenced ||
		!TAILQ_EMPTY(&s->waiting) || cei_queue_dead(port->queue) != 0)
		return;
	if (unlikely(fast->generation != generation)) {
		fast->generation = generation;
		cei_fast_forget(fast);
	}
	fast->dev_id = port->queue->dev_id;
	fast->vchan = port->queue->vchan;
	fast->open = true;
	fast->silent = cei_queue_is_silent(port->queue);
	fast_extend(s);
}

/* Have a side be where a range lies. */
static bool
side_find(struct ce_memory *memory, struct ce_fast_side *side, const void *va, uint64_t length)
{
	const uintptr_t address = (uintptr_t)va;
	struct ce_translation found;
	bool keep;

	if (address < side->start || address >= side->end) {
		if (!cei_memory_find(memory, va, &found, &keep) || !keep)
			return false;
		side->start = found.start;
		side->end = found.end;
		side->iova = found.iova;
	}
	return address >= side->start && address < side->end && length <= side->end - address;
}

/*
 * Have the fast path take transfers that are like one that it did not. How much room a side has goes by
 * the longest of them, so that only one comparison is left to make.
 */
static bool
look_up(struct ce_stream *s, const struct ce_transfer *t)
{
	struct ce_memory *memory = &s->context->memory;
	const uint64_t least = RTE_MAX(s->context->break_even, 1u), length = t->length;
	struct ce_fast *fast = &s->fast;
	uint64_t longest = length;

	if (fast->room_end == s->head || !cei_fast_plain(t) || length < least ||
		length > s->context->max_segment)
		return false;
	if (fast->least == least)
		longest = RTE_MAX(longest, least + fast->span);
	if (!side_find(memory, &fast->src, t->src_va, length) ||
		!side_find(memory, &fast->dst, t->dst_va, length)) {
		cei_fast_forget(fast);
		return false;
	}
	if ((uintptr_t)t->src_va + longest > fast->src.end ||
		(uintptr_t)t->dst_va + longest > fast->dst.end)
		longest = length;
	longest = RTE_MIN(longest, RTE_MIN(fast->src.end - fast->src.start,
					   fast->dst.end - fast->dst.start));
	fast->src.room = fast->src.end - fast->src.start - longest;
	fast->dst.room = fast->dst.end - fast->dst.start - longest;
	fast->least = least;
	fast->span = longest - least;
	fast->length = length;
	return true;
}

/* Ask for the first lines of what is copied next; the CPU follows by itself from there on. */
static inline void
prefetch(const struct ce_transfer *t)
{
	unsigned int at;

	for (at = 0; at < 4 * RTE_CACHE_LINE_SIZE; at += RTE_CACHE_LINE_SIZE) {
		rte_prefetch0(RTE_PTR_ADD(t->src_va, at));
		rte_prefetch0_write(RTE_PTR_ADD(t->dst_va, at));
	}
}

/* Have the CPU copy transfers up to one that is not for it. *cpu is what it may copy in this call. */
static unsigned int
start_copies(struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count,
	uint64_t *cpu)
{
	const uint64_t limit = s->context->break_even;
	struct ce_transfer *t;
	unsigned int i;

	if (!TAILQ_EMPTY(&s->waiting) || s->fenced || cei_stream_dead(s) < 0)
		return 0;
	count = RTE_MIN(count, s->mask + 1 - (s->head - s->tail));
	for (i = 0; i < count; i++) {
		t = transfers[i];
		if (unlikely(!cei_fast_plain(t) || t->length >= limit || t->length - 1 >= *cpu ||
			    t->src_va == NULL || t->dst_va == NULL))
			break;
		if (i + 1 < count)
			prefetch(transfers[i + 1]);
		rte_memcpy(t->dst_va, t->src_va, t->length);
		*cpu -= t->length;
		t->status = -EINPROGRESS;
		t->done = 0;
		if (s->nb_ports > 0) {
			cei_piece_push(s, t, t->length,
				CE_PIECE_CPU | CE_PIECE_LAST | CE_PIECE_ONLY, 0);
			continue;
		}
		s->transfers[s->head & s->mask] = t;
		cei_stream_advance(s);
	}
	return i;
}

/*
 * Start transfers in few steps, after having looked up what has changed since the last ones. Returns
 * how many; no doorbell has been rung for them.
 */
unsigned int
cei_fast_find(
	struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count, uint64_t *cpu)
{
	unsigned int n = 0;

	if (transfers[0]->length < s->context->break_even)
		return start_copies(s, transfers, count, cpu);
	cei_fast_open(s);
	if (look_up(s, transfers[0]))
		n = cei_fast_operations(s, transfers, count);
	cei_fast_close(s);
	if (n > 0)
		cei_queue_set_silent(s->ports->queue, true);
	return n;
}

/* A doorbell was not taken: the device is lost, and what it was given comes back. */
__rte_cold int
cei_fast_no_doorbell(struct ce_stream *s)
{
	cei_fast_close(s);
	cei_device_die(s->ports->queue->dev, ENODEV);
	return 0;
}

/* Returns the bytes that a transfer has transferred. */
static inline uint64_t
finish(struct ce_transfer *t)
{
	const uint64_t length = t->length;

	t->done = length;
	t->status = 0;
	return length;
}

/*
 * Account for what the fast path has started and is done. Stops at whatever is not so simple.
 *
 * Returns how many transfers have finished; they are stored, unless finished is NULL.
 */
static __rte_always_inline unsigned int
retire(struct ce_stream *s, struct ce_transfer **finished, unsigned int max, struct ce_port *port)
{
	struct ce_counters *counters = &s->context->counters;
	const uint32_t tail = s->tail, at = tail & s->mask;
	struct ce_transfer *const *slots = &s->transfers[at];
	uint64_t bytes = 0;
	size_t i, n;

	n = RTE_MIN(max, s->mask + 1 - at);
	/* Four at a time, of which mostly none has a callback. */
	for (i = 0; i + 4 <= n; i += 4) {
		if (unlikely(((uintptr_t)slots[i]->cb | (uintptr_t)slots[i + 1]->cb |
			    (uintptr_t)slots[i + 2]->cb | (uintptr_t)slots[i + 3]->cb) != 0))
			break;
		bytes += finish(slots[i]);
		bytes += finish(slots[i + 1]);
		bytes += finish(slots[i + 2]);
		bytes += finish(slots[i + 3]);
	}
	for (; i < n && slots[i]->cb == NULL; i++)
		bytes += finish(slots[i]);
	if (finished != NULL)
		memcpy(finished, slots, i * sizeof(slots[0]));
	if (unlikely(s->sampled != NULL && s->sampled_at - tail < i))
		cei_latency_take(s);
	s->tail = tail + i;
	CE_COUNT(counters->transfers, i);
	if (port == NULL) {
		CE_COUNT(counters->cpu_bytes, bytes);
		return i;
	}
	port->taken += i;
	CE_COUNT(*s->budget, i);
	CE_COUNT(counters->engine_bytes, bytes);
	return i;
}

unsigned int
cei_fast_retire(struct ce_stream *s, struct ce_transfer **finished, unsigned int max)
{
	uint32_t ready;

	if (s->nb_other > 0 || s->nb_ports > 1)
		return 0;
	if (s->nb_ports == 0)
		ready = s->head - s->tail;
	else if (atomic_load_explicit(&s->ports->failures, memory_order_relaxed) > 0)
		return 0;
	else
		ready = cei_port_ready(s->ports);
	max = RTE_MIN(max, ready);
	if (max == 0)
		return 0;
	return retire(s, finished, max, s->nb_ports > 0 ? s->ports : NULL);
}

/*
 * Poll a stream while the fast path is open. Returns whether that was all there is to do; if so, *count
 * transfers have finished, and are stored unless finished is NULL.
 */
bool
cei_fast_poll(
	struct ce_stream *s, struct ce_transfer **finished, unsigned int max, unsigned int *count)
{
	struct ce_port *port = s->ports;
	struct ce_queue *q;
	bool error = false;
	uint32_t n;

	if (unlikely(!s->fast.open || s->fast.silent || s->nb_other > 0))
		return false;
	cei_fast_book(s);
	q = port->queue;
	if (q->head == q->tail)
		return cei_port_ready(port) == 0;
	n = rte_dma_completed(s->fast.dev_id, s->fast.vchan, CE_BURST, NULL, &error);
	if (unlikely(n == 0 || error)) {
		cei_queue_collected(q, n, error);
		return n == 0 && !error && cei_queue_dead(q) == 0 && cei_port_ready(port) == 0;
	}
	q->tail += n;
	q->stalled_since = 0;
	n += atomic_load_explicit(&port->completed, memory_order_relaxed);
	/* Nobody else is on the queue. What the device wrote, the driver has seen to. */
	atomic_store_explicit(&port->completed, n, memory_order_relaxed);
	max = RTE_MIN(max, n - port->taken);
	*count = retire(s, finished, max, port);
	fast_extend(s);
	/* What it has stopped at has a callback. */
	return *count == max;
}
