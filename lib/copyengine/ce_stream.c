/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>

#include "cei_fast.h"

/* One transfer in so many has its latency taken. */
#define PIECES_PER_SAMPLE 256

/* A stream with so many operations under way at most. */
int
cei_stream_init(struct ce_stream *s, struct ce_context *context, struct ce_queue **queues,
	unsigned int nb_queues, uint32_t operations, uint32_t *budget)
{
	/* What the CPU copies takes a place in the ring as well. */
	const uint32_t slots = RTE_MAX(rte_align32pow2(2 * operations), 64u);
	unsigned int i;
	int ret = 0;

	s->context = context;
	s->budget = budget;
	s->mask = slots - 1;
	cei_fast_forget(&s->fast);
	STAILQ_INIT(&s->bounces);
	TAILQ_INIT(&s->waiting);
	s->transfers = rte_malloc_socket("ce_transfers", slots * sizeof(s->transfers[0]),
		RTE_CACHE_LINE_SIZE, context->socket);
	s->pieces = rte_zmalloc_socket("ce_pieces", slots * sizeof(s->pieces[0]),
		RTE_CACHE_LINE_SIZE, context->socket);
	if (s->transfers == NULL || s->pieces == NULL)
		return -ENOMEM;
	if (nb_queues > 0) {
		s->ports = rte_zmalloc_socket("ce_ports", nb_queues * sizeof(s->ports[0]),
			RTE_CACHE_LINE_SIZE, context->socket);
		if (s->ports == NULL)
			return -ENOMEM;
	}
	for (i = 0; ret == 0 && i < nb_queues; i++) {
		ret = cei_port_init(&s->ports[i], queues[i], operations);
		s->nb_ports += ret == 0;
	}
	return ret;
}

void
cei_stream_fini(struct ce_stream *s)
{
	uint16_t i;

	for (i = 0; i < s->nb_ports; i++)
		cei_port_fini(&s->ports[i]);
	rte_free(s->ports);
	rte_free(s->transfers);
	rte_free(s->pieces);
}

/* A piece failed, or could not be started: no more of it is. */
static void
transfer_fail(struct ce_transfer *t, uint64_t offset, int error, enum rte_dma_status_code code)
{
	struct ce_transfer_private *p = cei_private(t);

	/* What could not be started is noticed before what fails in front of it. */
	if (p->error != 0 && offset >= t->failed_at)
		return;
	p->error = error;
	t->failed_at = offset;
	t->dma_status = code;
}

/*
 * Start pieces of a transfer until all is started or something is lacking.
 *
 * Returns 0: its last piece is in the ring; -EAGAIN: some is left; or, when nothing of it is in the
 * ring, the error that keeps it from being started.
 */
static int
transfer_go_on(struct ce_stream *s, struct ce_transfer *t, uint64_t *cpu)
{
	struct ce_transfer_private *p = cei_private(t);
	int ret = 0;

	/* Also when it has been cancelled: what is behind it relies on its fence. */
	if (!(t->flags & CE_TRANSFER_BEGUN)) {
		t->flags |= CE_TRANSFER_BEGUN;
		if (t->flags & CE_TRANSFER_FENCE && s->head != s->tail) {
			s->fenced = true;
			s->barrier = s->head;
		}
	}
	while (p->left > 0 && ret == 0 && p->error == 0)
		ret = cei_piece_start(s, t, cpu);
	if (p->error == 0 && (ret == 0 || ret == -EAGAIN))
		return ret;
	if (p->error == 0 && ret != -ENODEV && ret != -ETIMEDOUT && ret != -EINVAL)
		ret = -EIO;
	if (p->error == 0 && p->left == t->length)
		return ret;
	/* The end of a transfer that failed comes behind those of its pieces that were started. */
	transfer_fail(t, t->length - p->left, ret, RTE_DMA_STATUS_ERROR_UNKNOWN);
	if (cei_ring_is_full(s))
		return -EAGAIN;
	p->left = 0;
	cei_piece_push(s, t, 0, CE_PIECE_CPU | CE_PIECE_LAST, 0);
	return 0;
}

void
cei_latency_take(struct ce_stream *s)
{
	const uint64_t cycles = (rte_rdtsc() - s->sampled_tsc) | 4;
	const unsigned int log = 63 - __builtin_clzll(cycles);
	/* The two bits below the highest say which quarter. */
	const unsigned int bucket = log * 4 + (cycles >> (log - 2) & 3);

	s->sampled = NULL;
	s->sample_next = s->head + PIECES_PER_SAMPLE;
	CE_COUNT(s->context->counters.latency[RTE_MIN(bucket, CE_LATENCY_BUCKETS - 1u)], 1);
}

/* All is back. The last thing done with a transfer: its owner may use it again. */
static void
transfer_finish(struct ce_stream *s, struct ce_transfer *t, int error)
{
	struct ce_counters *counters = &s->context->counters;

	if (likely(error == 0))
		CE_COUNT(counters->transfers, 1);
	else
		CE_COUNT(counters->failed, 1);
	if (unlikely(t == s->sampled))
		cei_latency_take(s);
	t->status = error;
}

static void
transfer_finish_slow(struct ce_stream *s, struct ce_transfer *t)
{
	struct ce_transfer_private *p = cei_private(t);

	t->flags &= CE_TRANSFER_PUBLIC;
	transfer_finish(s, t, p->error);
	if (p->hook != NULL)
		p->hook(t, p->owner);
}

/* Account for a piece of a transfer that takes several, or that failed. */
static void
piece_done(struct ce_stream *s, struct ce_transfer *t, const struct ce_piece *piece, int status)
{
	struct ce_transfer_private *p = cei_private(t);

	if (piece->kind & CE_PIECE_ONLY) {
		/* One that was started in fewer steps has no private part. */
		memset(p, 0, sizeof(*p));
		p->budget = s->budget;
	}
	if (piece->kind & CE_PIECE_ENGINE) {
		CE_COUNT(*p->budget, 1);
		if (p->budget != s->budget)
			CE_COUNT(*s->budget, 1);
		CE_COUNT(s->context->counters.map_registers, -1);
	}
	if (piece->kind & CE_PIECE_BOUNCE)
		cei_bounce_done(s, piece->length, status);
	if (likely(status == 0))
		t->done += piece->length;
	else
		transfer_fail(t, p->retired, status > 0 ? -EIO : status,
			status > 0 ? (enum rte_dma_status_code)status :
				     RTE_DMA_STATUS_ERROR_UNKNOWN);
	p->retired += piece->length;
	if (piece->kind & CE_PIECE_LAST)
		transfer_finish_slow(s, t);
}

/* Whether a piece in the ring is the engine's. One of the fast path is the stream's way. */
static inline bool
is_operation(const struct ce_stream *s, uint32_t n)
{
	const uint16_t kind = s->pieces[n & s->mask].kind;

	return kind == 0 ? s->nb_ports > 0 : kind & CE_PIECE_ENGINE;
}

/*
 * An operation that the device has not attempted, as one before it failed: the CPU copies it, or a
 * neighbour's error would be this transfer's. Returns whether it could.
 */
static bool
copy_instead(const struct ce_transfer *t, const struct ce_piece *piece)
{
	const struct ce_transfer_private *p = (const struct ce_transfer_private *)t->opaque;
	const bool only = piece->kind & CE_PIECE_ONLY;
	const uint64_t at = only ? 0 : p->retired;

	/* Of lists, the place is not kept, and windows are not the CPU's. */
	if (t->src != NULL || t->dst != NULL || t->src_va == NULL || t->dst_va == NULL ||
		(t->flags & CE_TRANSFER_FILL) || (!only && p->error != 0))
		return false;
	rte_memcpy(RTE_PTR_ADD(t->dst_va, at), RTE_PTR_ADD(t->src_va, at), piece->length);
	return true;
}

/* Take the next piece off the ring. */
static struct ce_piece
piece_pop(struct ce_stream *s, struct ce_transfer **t)
{
	const uint32_t at = s->tail & s->mask;
	struct ce_piece piece = s->pieces[at];

	*t = s->transfers[at];
	if (piece.kind != 0) {
		s->pieces[at].kind = 0;
		s->nb_other--;
	} else {
		piece.length = (*t)->length;
		piece.kind = CE_PIECE_LAST | CE_PIECE_ONLY |
			(s->nb_ports > 0 ? CE_PIECE_ENGINE : CE_PIECE_CPU);
		piece.port = 0;
	}
	s->tail++;
	return piece;
}

/* Account for what is done, in order. */
static unsigned int
retire(struct ce_stream *s, struct ce_transfer **finished, unsigned int max, unsigned int *stored)
{
	unsigned int pieces = CE_PIECES_PER_CALL, count = 0;
	struct ce_transfer *t;
	struct ce_port *port;
	struct ce_piece piece;
	int status;

	while (s->tail != s->head && count < max && pieces-- > 0) {
		status = 0;
		if (is_operation(s, s->tail)) {
			port = &s->ports[s->pieces[s->tail & s->mask].port];
			if (cei_port_ready(port) == 0)
				break;
			status = cei_port_take(port);
		}
		piece = piece_pop(s, &t);
		if (unlikely(status == RTE_DMA_STATUS_NOT_ATTEMPTED) && copy_instead(t, &piece)) {
			status = 0;
			/* That was work enough for one call, when they are long. */
			pieces = piece.length < CE_CPU_PER_CALL / CE_PIECES_PER_CALL ? pieces : 0;
		}
		if (!(piece.kind & CE_PIECE_ENGINE))
			CE_COUNT(s->context->counters.cpu_bytes, piece.length);
		else if (likely(status == 0))
			CE_COUNT(s->context->counters.engine_bytes, piece.length);
		if (likely((piece.kind & CE_PIECE_ONLY) && status == 0)) {
			CE_COUNT(*s->budget, piece.kind & CE_PIECE_ENGINE);
			t->done = piece.length;
			transfer_finish(s, t, 0);
		} else {
			piece_done(s, t, &piece, status);
			if (!(piece.kind & CE_PIECE_LAST))
				continue;
		}
		count++;
		if (t->cb != NULL)
			t->cb(t, t->arg);
		else if (finished != NULL)
			finished[(*stored)++] = t;
	}
	return count;
}

static void
waiting_remove(struct ce_stream *s, struct ce_transfer *t)
{
	TAILQ_REMOVE(&s->waiting, cei_private(t), link);
	t->flags &= ~CE_TRANSFER_WAITING;
}

/* Go on with those that wait, in their order. */
static void
waiting_go_on(struct ce_stream *s)
{
	uint64_t cpu = CE_CPU_PER_CALL;
	struct ce_transfer_private *p;
	struct ce_transfer *t;
	int ret;

	while ((p = TAILQ_FIRST(&s->waiting)) != NULL) {
		t = cei_transfer(p);
		ret = transfer_go_on(s, t, &cpu);
		if (ret < 0 && ret != -EAGAIN) {
			transfer_fail(t, 0, ret, RTE_DMA_STATUS_ERROR_UNKNOWN);
			ret = transfer_go_on(s, t, &cpu);
		}
		if (ret == -EAGAIN)
			return;
		waiting_remove(s, t);
	}
}

/* Ring for what was enqueued without. */
void
cei_stream_doorbell(struct ce_stream *s)
{
	uint16_t i;

	for (i = 0; i < s->nb_ports; i++)
		if (cei_queue_is_silent(s->ports[i].queue))
			cei_queue_doorbell(s->ports[i].queue);
}

/* Returns transfers finished; those of them without a callback are stored. */
unsigned int
cei_stream_poll(
	struct ce_stream *s, struct ce_transfer **finished, unsigned int max, unsigned int *stored)
{
	unsigned int count;
	struct ce_port *port;
	uint16_t i;

	cei_fast_close(s);
	for (i = 0; i < s->nb_ports; i++) {
		port = &s->ports[i];
		/*
		 * Those who wait may wait for what another owner has under way. What others have
		 * collected for us is looked at first.
		 */
		if (port->started - port->taken > cei_port_ready(port) || !TAILQ_EMPTY(&s->waiting))
			cei_queue_collect(port->queue);
	}
	count = cei_fast_retire(s, finished != NULL ? finished + *stored : NULL, max);
	if (finished != NULL)
		*stored += count;
	if (unlikely(count < max && s->tail != s->head))
		count += retire(s, finished, max - count, stored);
	cei_fast_close(s);
	if (unlikely(!TAILQ_EMPTY(&s->waiting)))
		waiting_go_on(s);
	if (unlikely(s->fenced))
		cei_fence_is_passed(s);
	cei_stream_doorbell(s);
	cei_fast_open(s);
	return count;
}

/* Set up a side of a transfer. */
static int
side_init(struct ce_stream *s, struct ce_transfer *t, struct ce_cursor *at,
	const struct ce_sglist *list, uint64_t offset, const void *va)
{
	if (list != NULL) {
		if (offset > list->length || t->length > list->length - offset)
			return -EINVAL;
		cei_cursor_list(at, list, offset);
		return 0;
	}
	if (va == NULL || t->length > UINTPTR_MAX - (uintptr_t)va)
		return -EINVAL;
	cei_cursor_range(at, &s->context->memory, va, t->length);
	return 0;
}

/* Check a transfer and set up what is private of it, but for its sides. */
static int
transfer_init(struct ce_stream *s, struct ce_transfer *t)
{
	struct ce_transfer_private *p = cei_private(t);

	if (t->status == -EINPROGRESS)
		return -EBUSY;
	if (t->length == 0 || (t->flags & ~CE_TRANSFER_PUBLIC) != 0)
		return -EINVAL;
	p->left = t->length;
	p->retired = 0;
	p->error = 0;
	p->budget = s->budget;
	p->hook = NULL;
	return cei_stream_dead(s);
}

static int
transfer_init_sides(struct ce_stream *s, struct ce_transfer *t)
{
	struct ce_transfer_private *p = cei_private(t);
	int ret = transfer_init(s, t);

	if (ret == 0)
		ret = side_init(s, t, &p->dst_at, t->dst, t->dst_offset, t->dst_va);
	if (ret == 0 && !(t->flags & CE_TRANSFER_FILL))
		ret = side_init(s, t, &p->src_at, t->src, t->src_offset, t->src_va);
	return ret;
}

/* Start what was set up; what cannot be started now waits. */
static int
transfer_start(struct ce_stream *s, struct ce_transfer *t, uint64_t *cpu)
{
	int ret = -EAGAIN;

	if (TAILQ_EMPTY(&s->waiting))
		ret = transfer_go_on(s, t, cpu);
	if (ret < 0 && ret != -EAGAIN) {
		t->flags &= CE_TRANSFER_PUBLIC;
		return ret;
	}
	if (ret == -EAGAIN) {
		TAILQ_INSERT_TAIL(&s->waiting, cei_private(t), link);
		t->flags |= CE_TRANSFER_WAITING;
		CE_COUNT(s->context->counters.waits, 1);
	}
	t->status = -EINPROGRESS;
	t->done = 0;
	return 0;
}

/* Start transfers whichever way. Returns how many; or, when the first is refused, why. */
int
cei_stream_submit(struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count)
{
	uint64_t cpu = CE_CPU_PER_CALL;
	unsigned int i = 0;
	int ret = 0;
	uint32_t at;

	if (unlikely(s->refuses != 0))
		return s->refuses;
	cei_fast_close(s);
	count = RTE_MIN(count, (unsigned int)INT32_MAX / 2);
	while (i < count) {
		at = s->head;
		ret = cei_fast_find(s, &transfers[i], count - i, &cpu);
		if (ret == 0) {
			ret = transfer_init_sides(s, transfers[i]);
			if (ret == 0)
				ret = transfer_start(s, transfers[i], &cpu);
			if (ret < 0)
				break;
			ret = 1;
		}
		if (cei_sample_is_due(s, at))
			cei_sample_begin(s, transfers[i], at);
		i += ret;
	}
	if (likely(i > 0 && !(transfers[i - 1]->flags & CE_TRANSFER_MORE)))
		cei_stream_doorbell(s);
	cei_fast_open(s);
	return i > 0 ? (int)i : ret;
}

/* The device did not take the newest transfer. */
__rte_cold int
cei_stream_refused(struct ce_stream *s)
{
	struct ce_transfer *t;
	int ret;

	CE_COUNT(s->head, -1);
	t = s->transfers[s->head & s->mask];
	t->status = 0;
	/* It was to ring the doorbell for those before it as well. */
	s->fast.silent = true;
	ret = cei_stream_submit(s, &t, 1);
	return RTE_MIN(ret, 0);
}

/* A transfer by itself that was not for the fast path. Returns 0, or why it is refused. */
int
cei_stream_missed(struct ce_stream *s, struct ce_transfer *t)
{
	const bool more = t->flags & CE_TRANSFER_MORE;
	int ret;

	if (s->head != s->fast.end || s->head == s->fast.room_end || t->src != NULL ||
		t->dst != NULL || t->status != 0 || (t->flags & ~CE_TRANSFER_MORE) != 0) {
		ret = cei_stream_submit(s, &t, 1);
		return RTE_MIN(ret, 0);
	}
	/* It was, but for the sample that is due. */
	s->fast.end = s->fast.room_end;
	cei_sample_begin(s, t, s->head);
	ret = cei_fast_start(s, t, t->dst_va, t->src_va, t->length, more);
	if (ret < 0)
		s->sampled = NULL;
	return ret;
}

/* Start as much of a transfer as goes at once, and shorten it to that. */
int64_t
cei_stream_start_partly(struct ce_stream *s, struct ce_transfer *t, uint32_t *budget,
	void (*hook)(struct ce_transfer *transfer, void *owner), void *owner)
{
	struct ce_transfer_private *p = cei_private(t);
	const uint64_t length = t->length;
	uint64_t cpu = CE_CPU_PER_CALL;
	int ret = transfer_init_sides(s, t);

	if (ret < 0)
		return ret;
	p->budget = budget;
	p->hook = hook;
	p->owner = owner;
	ret = transfer_go_on(s, t, &cpu);
	if (ret < 0 && p->left == length) {
		t->flags &= CE_TRANSFER_PUBLIC;
		return ret;
	}
	if (ret == -EAGAIN) {
		t->length -= p->left;
		p->left = 0;
		s->pieces[(s->head - 1) & s->mask].kind |= CE_PIECE_LAST;
	}
	t->status = -EINPROGRESS;
	t->done = 0;
	if (!(t->flags & CE_TRANSFER_MORE))
		cei_stream_doorbell(s);
	return t->length;
}

/* Start a transfer between two segments, or have it wait. */
int
cei_transfer_direct(struct ce_stream *s, struct ce_transfer *t, const struct ce_segment *dst,
	const struct ce_segment *src)
{
	uint64_t cpu = CE_CPU_PER_CALL;
	int ret = transfer_init(s, t);

	if (ret < 0)
		return ret;
	cei_cursor_segment(&cei_private(t)->dst_at, dst);
	cei_cursor_segment(&cei_private(t)->src_at, src);
	return transfer_start(s, t, &cpu);
}

int
cei_stream_cancel(struct ce_stream *s, struct ce_transfer *t)
{
	RTE_SET_USED(s);
	if (t->status != -EINPROGRESS)
		return -ENOENT;
	/* What waits at the head may have begun to wait for a fence, and not have started. */
	if (!(t->flags & CE_TRANSFER_WAITING) || cei_private(t)->left != t->length)
		return -EBUSY;
	transfer_fail(t, 0, -ECANCELED, RTE_DMA_STATUS_USER_ABORT);
	return 0;
}

/* Have what is new refused, or 0: taken. */
void
cei_stream_refuse(struct ce_stream *s, int refuses)
{
	cei_fast_close(s);
	s->refuses = refuses;
}

void
cei_stream_cancel_all(struct ce_stream *s)
{
	struct ce_transfer_private *p;

	/* Also what has started: the rest of it does not. */
	TAILQ_FOREACH(p, &s->waiting, link)
		transfer_fail(cei_transfer(p), cei_transfer(p)->length - p->left, -ECANCELED,
			RTE_DMA_STATUS_USER_ABORT);
}
