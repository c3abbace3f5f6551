/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>

#include "cei_stream.h"

/* One call in so many has the latency of its first transfer taken. */
#define CALLS_PER_SAMPLE 64

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
	STAILQ_INIT(&s->bounces);
	TAILQ_INIT(&s->waiting);
	s->ring = rte_malloc_socket(
		"ce_ring", slots * sizeof(s->ring[0]), RTE_CACHE_LINE_SIZE, context->socket);
	if (s->ring == NULL)
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
	rte_free(s->ring);
}

static inline bool
ring_is_full(const struct ce_stream *s)
{
	return s->head - s->tail > s->mask;
}

static inline void
piece_push(struct ce_stream *s, struct ce_transfer *t, uint64_t length, uint16_t kind, uint16_t port)
{
	struct ce_piece *piece = &s->ring[s->head++ & s->mask];

	piece->transfer = t;
	piece->length = length;
	piece->kind = kind;
	piece->port = port;
}

/* Whether everything before the last fence is done. */
static bool
fence_is_passed(struct ce_stream *s)
{
	if (s->fenced && (int32_t)(s->tail - s->barrier) >= 0)
		s->fenced = false;
	return !s->fenced;
}

/* The transfer's last piece, if that was all of it. */
static uint16_t
last_if_done(const struct ce_transfer_private *p)
{
	return p->left == 0 ? CE_PIECE_LAST : 0;
}

static void
fill(uint8_t *to, uint64_t pattern, uint64_t phase, uint64_t length)
{
	uint64_t i;

	if (phase % 8 != 0)
		pattern = pattern >> phase % 8 * 8 | pattern << (64 - phase % 8 * 8);
	for (i = 0; i + 8 <= length; i += 8)
		memcpy(to + i, &pattern, 8);
	memcpy(to + i, &pattern, length - i);
}

/* Write the next bytes of the transfer's source to memory, and step over them. */
static void
source_read(struct ce_transfer *t, uint8_t *to, uint32_t length)
{
	struct ce_transfer_private *p = cei_private(t);

	if (t->flags & CE_TRANSFER_FILL)
		fill(to, t->pattern, t->length - p->left, length);
	else
		cei_cursor_copy_out(&p->src_at, to, length);
}

/* A run of the CPU's. *cpu is what it may still copy in this call. */
static int
start_by_cpu(struct ce_stream *s, struct ce_transfer *t, uint64_t run, uint64_t *cpu)
{
	struct ce_transfer_private *p = cei_private(t);
	struct ce_piece *last = &s->ring[(s->head - 1) & s->mask];
	const uint32_t length = RTE_MIN(run, *cpu);

	/* No fence of a device holds the CPU back. */
	if (length == 0 || !fence_is_passed(s))
		return -EAGAIN;
	/* Nor does the order of a FIFO, into which an engine that does not fill has copies under way. */
	if (p->dst_at.segment.window != 0 && s->nb_ports > 0 && s->head != s->tail &&
		last->transfer != t)
		return -EAGAIN;
	source_read(t, cei_cursor_va(&p->dst_at), length);
	cei_cursor_skip(&p->dst_at, length);
	*cpu -= length;
	p->left -= length;
	if (s->head != s->tail && last->transfer == t && !(last->kind & CE_PIECE_ENGINE) &&
		last->length < CE_CPU_PER_CALL) {
		last->length += length;
		last->kind |= last_if_done(p);
	} else {
		piece_push(s, t, length, last_if_done(p), 0);
	}
	return 0;
}

/* The port to give the next operation to. */
static struct ce_port *
port_next(struct ce_stream *s)
{
	struct ce_port *port = &s->ports[s->turn];

	if (++s->turn == s->nb_ports)
		s->turn = 0;
	return port;
}

/* Give an operation of a transfer to the device, and book it. */
static int
operation_start(struct ce_stream *s, struct ce_transfer *t, struct ce_operation *op, uint64_t length,
	uint16_t kind)
{
	struct ce_transfer_private *p = cei_private(t);
	/* Channels know nothing of each other's order, in which a FIFO takes what it is given. */
	struct ce_port *port = kind & CE_PIECE_FIFO ? s->ports : port_next(s);
	int ret;

	op->flags = t->flags & CE_TRANSFER_FENCES ? RTE_DMA_OP_FLAG_FENCE : 0;
	if (length == p->left && !(t->flags & CE_TRANSFER_MORE))
		op->flags |= RTE_DMA_OP_FLAG_SUBMIT;
	ret = cei_port_enqueue(port, op);
	if (ret < 0) {
		s->turn = port - s->ports;
		return ret;
	}
	t->flags &= ~CE_TRANSFER_FENCES;
	p->left -= length;
	CE_COUNT(*p->budget, -1);
	if (p->budget != s->budget)
		CE_COUNT(*s->budget, -1);
	CE_COUNT(s->context->counters.map_registers, 1);
	CE_COUNT(s->context->counters.operations, 1);
	piece_push(s, t, length, CE_PIECE_ENGINE | kind | last_if_done(p), port - s->ports);
	return 0;
}

/* Whether an operation of a transfer may be given to the device now. */
static bool
may_operate(struct ce_stream *s, const struct ce_transfer_private *p)
{
	/*
	 * Below 0 when a cyclic transfer has taken some for itself. Several requests may have a part in
	 * one channel, whose statuses there is room for as far as the handle's own limit goes.
	 */
	if ((int32_t)*p->budget <= 0 || (int32_t)*s->budget <= 0)
		return false;
	if (fence_is_passed(s))
		return true;
	/*
	 * The device's fence orders what is on one channel, and knows nothing of bytes that are still
	 * in a bounce buffer.
	 */
	return s->nb_ports == 1 && s->nb_bounce_out == 0;
}

/* How long an operation may be. Long transfers are spread over all ports. */
static uint64_t
operation_limit(const struct ce_stream *s, const struct ce_transfer *t)
{
	uint64_t share;

	if (s->nb_ports == 1)
		return s->context->max_segment;
	share = RTE_MAX(t->length / s->nb_ports, RTE_BIT64(14));
	return RTE_MIN(RTE_ALIGN_CEIL(share, (uint64_t)RTE_CACHE_LINE_SIZE),
		(uint64_t)s->context->max_segment);
}

static inline uint16_t
fifo_if_window(const struct ce_segment *segment)
{
	return segment->window != 0 ? CE_PIECE_FIFO : 0;
}

static inline bool
by_engine(const struct ce_stream *s, const struct ce_transfer *t, const struct ce_segment *src,
	const struct ce_segment *dst, uint64_t run)
{
	const bool copy = !(t->flags & CE_TRANSFER_FILL);

	if (s->nb_ports == 0 || dst->iova == RTE_BAD_IOVA ||
		(copy ? src->iova == RTE_BAD_IOVA : !s->context->fill))
		return false;
	/* A last piece by the CPU would get into a FIFO before what the engine has under way. */
	if (dst->window != 0 || (copy && src->window != 0))
		return true;
	return run >= s->context->break_even || dst->va == NULL || (copy && src->va == NULL);
}

/* A fill of a run by the device. */
static int
start_fill(struct ce_stream *s, struct ce_transfer *t, uint64_t run)
{
	struct ce_transfer_private *p = cei_private(t);
	const uint64_t phase = (t->length - p->left) % 8;
	struct ce_operation op;
	int ret;

	run = RTE_MIN(run, operation_limit(s, t));
	op.nb_src = 0;
	op.nb_dst = 1;
	op.pattern = phase == 0 ? t->pattern : t->pattern >> phase * 8 | t->pattern << (64 - phase * 8);
	op.dst[0].addr = cei_cursor_iova(&p->dst_at);
	op.dst[0].length = run;
	ret = operation_start(s, t, &op, run, fifo_if_window(&p->dst_at.segment));
	if (ret == 0)
		cei_cursor_skip(&p->dst_at, run);
	return ret;
}

static void
sge_add(struct rte_dma_sge *sges, uint16_t *nb, rte_iova_t iova, uint32_t length)
{
	if (*nb > 0 && sges[*nb - 1].addr + sges[*nb - 1].length == iova) {
		sges[*nb - 1].length += length;
		return;
	}
	sges[*nb].addr = iova;
	sges[(*nb)++].length = length;
}

/* An operation of as many runs as are the device's, follow each other, and go into one. */
static int
start_by_engine(struct ce_stream *s, struct ce_transfer *t, uint64_t run, uint16_t max_sges)
{
	struct ce_transfer_private *p = cei_private(t);
	const uint64_t limit = RTE_MIN(operation_limit(s, t), p->left);
	struct ce_cursor src = p->src_at, dst = p->dst_at;
	struct ce_operation op;
	uint64_t length = 0;
	uint16_t kind = 0;
	int ret;

	op.nb_src = 0;
	op.nb_dst = 0;
	for (;;) {
		run = RTE_MIN(run, limit - length);
		kind |= fifo_if_window(&src.segment) | fifo_if_window(&dst.segment);
		sge_add(op.src, &op.nb_src, cei_cursor_iova(&src), run);
		sge_add(op.dst, &op.nb_dst, cei_cursor_iova(&dst), run);
		cei_cursor_skip(&src, run);
		cei_cursor_skip(&dst, run);
		length += run;
		if (length == limit || op.nb_src == max_sges || op.nb_dst == max_sges ||
			src.segment.window != 0 || dst.segment.window != 0)
			break;
		run = RTE_MIN(cei_cursor_run(&src), cei_cursor_run(&dst));
		if (!by_engine(s, t, &src.segment, &dst.segment, RTE_MIN(run, p->left - length)))
			break;
	}
	ret = operation_start(s, t, &op, length, kind);
	if (ret == 0) {
		p->src_at = src;
		p->dst_at = dst;
	}
	return ret;
}

/* A run between what only the device reaches and what only the CPU does. */
static int
start_by_bounce(struct ce_stream *s, struct ce_transfer *t, uint64_t run)
{
	struct ce_transfer_private *p = cei_private(t);
	struct ce_context *context = s->context;
	const bool out = p->dst_at.segment.iova == RTE_BAD_IOVA;
	struct ce_operation op = {.nb_src = 1, .nb_dst = 1};
	struct ce_cursor src = p->src_at;
	struct ce_bounce *bounce;
	rte_iova_t iova;
	int ret;

	/* What fills the buffer is the CPU. */
	if (!out && !fence_is_passed(s))
		return -EAGAIN;
	run = RTE_MIN(RTE_MIN(run, operation_limit(s, t)), context->bounce_size);
	bounce = ce_common_pool_get(context->bounce, &iova);
	if (bounce == NULL)
		return -EAGAIN;
	iova += CE_BOUNCE_HEAD;
	bounce->out = out;
	op.src[0].length = run;
	op.dst[0].length = run;
	if (out) {
		op.src[0].addr = cei_cursor_iova(&p->src_at);
		op.dst[0].addr = iova;
	} else {
		source_read(t, RTE_PTR_ADD(bounce, CE_BOUNCE_HEAD), run);
		op.src[0].addr = iova;
		op.dst[0].addr = cei_cursor_iova(&p->dst_at);
	}
	bounce->dst = p->dst_at;
	ret = operation_start(s, t, &op, run,
		CE_PIECE_BOUNCE | fifo_if_window(out ? &src.segment : &bounce->dst.segment));
	if (ret < 0) {
		p->src_at = src;
		ce_common_pool_put(context->bounce, bounce);
		return ret;
	}
	if (out)
		cei_cursor_skip(&p->src_at, run);
	cei_cursor_skip(&p->dst_at, run);
	STAILQ_INSERT_TAIL(&s->bounces, bounce, link);
	s->nb_bounce_out += out;
	return 0;
}

/*
 * Start the next piece of a transfer the best way.
 *
 * Returns 0; -EAGAIN: something is lacking that will come back; or what the driver says.
 */
static int
start_piece(struct ce_stream *s, struct ce_transfer *t, uint64_t *cpu)
{
	struct ce_transfer_private *p = cei_private(t);
	const struct ce_segment *src = &p->src_at.segment, *dst = &p->dst_at.segment;
	const bool copy = !(t->flags & CE_TRANSFER_FILL);
	uint64_t run = RTE_MIN(p->left, cei_cursor_run(&p->dst_at));
	int ret;

	if (ring_is_full(s))
		return -EAGAIN;
	if (copy)
		run = RTE_MIN(run, cei_cursor_run(&p->src_at));
	if (by_engine(s, t, src, dst, run)) {
		if (!may_operate(s, p))
			return -EAGAIN;
		if (!copy)
			return start_fill(s, t, run);
		ret = start_by_engine(s, t, run, s->context->max_sges);
		return ret == -ENOSPC ? start_by_engine(s, t, run, 1) : ret;
	}
	if (dst->va != NULL && (!copy || src->va != NULL))
		return start_by_cpu(s, t, run, cpu);
	if (s->context->bounce == NULL)
		return -EINVAL;
	return may_operate(s, p) ? start_by_bounce(s, t, run) : -EAGAIN;
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

	if (!(t->flags & CE_TRANSFER_BEGUN) && p->error == 0) {
		t->flags |= CE_TRANSFER_BEGUN;
		if (t->flags & CE_TRANSFER_FENCE && s->head != s->tail) {
			s->fenced = true;
			s->barrier = s->head;
			t->flags |= CE_TRANSFER_FENCES;
		}
	}
	while (p->left > 0 && ret == 0 && p->error == 0) {
		ret = start_piece(s, t, cpu);
		if (t->flags & CE_TRANSFER_FENCES && !s->fenced)
			t->flags &= ~CE_TRANSFER_FENCES;
	}
	if (p->error == 0 && (ret == 0 || ret == -EAGAIN))
		return ret;
	if (p->error == 0 && ret != -ENODEV && ret != -ETIMEDOUT && ret != -EINVAL)
		ret = -EIO;
	if (p->error == 0 && p->left == t->length)
		return ret;
	/* The end of a transfer that failed comes behind those of its pieces that were started. */
	transfer_fail(t, t->length - p->left, ret, RTE_DMA_STATUS_ERROR_UNKNOWN);
	if (ring_is_full(s))
		return -EAGAIN;
	p->left = 0;
	piece_push(s, t, 0, CE_PIECE_LAST, 0);
	return 0;
}

static void
latency_take(struct ce_stream *s)
{
	const uint64_t cycles = (rte_rdtsc() - s->sampled_tsc) | 4;
	const unsigned int log = 63 - __builtin_clzll(cycles);
	/* The two bits below the highest say which quarter. */
	const unsigned int bucket = log * 4 + (cycles >> (log - 2) & 3);

	s->sampled = NULL;
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
		latency_take(s);
	t->status = error;
}

static void
transfer_finish_slow(struct ce_stream *s, struct ce_transfer *t)
{
	struct ce_transfer_private *p = cei_private(t);

	if (t->flags & CE_TRANSFER_OWNS) {
		ce_sglist_free(t->src);
		ce_sglist_free(t->dst);
		t->src = NULL;
		t->dst = NULL;
	}
	t->flags &= CE_TRANSFER_PUBLIC;
	transfer_finish(s, t, p->error);
	if (p->hook != NULL)
		p->hook(t, p->owner);
}

/* Empty or just free the bounce buffer of a piece. */
static void
bounce_done(struct ce_stream *s, uint32_t length, int status)
{
	struct ce_bounce *bounce = STAILQ_FIRST(&s->bounces);

	STAILQ_REMOVE_HEAD(&s->bounces, link);
	s->nb_bounce_out -= bounce->out;
	if (bounce->out && status == 0)
		cei_cursor_copy_in(&bounce->dst, RTE_PTR_ADD(bounce, CE_BOUNCE_HEAD), length);
	if (status == 0)
		CE_COUNT(s->context->counters.bounced, length);
	ce_common_pool_put(s->context->bounce, bounce);
}

/* Account for a piece of a transfer that takes several, or that failed. */
static void
piece_done(struct ce_stream *s, const struct ce_piece *piece, int status)
{
	struct ce_transfer *t = piece->transfer;
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
		bounce_done(s, piece->length, status);
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

/*
 * Account, in few steps, for what most pieces are: a transfer each, without a callback, that is done.
 * Stops at whatever is not so simple.
 */
static unsigned int
retire_simple(struct ce_stream *s, struct ce_transfer **finished, unsigned int max)
{
	struct ce_port *port = s->ports;
	const uint16_t engine = s->nb_ports > 0 ? CE_PIECE_ENGINE : 0;
	const uint16_t kind = CE_PIECE_LAST | CE_PIECE_ONLY | engine;
	const struct ce_transfer *sampled = s->sampled;
	const struct ce_piece *ring = s->ring, *piece;
	const uint32_t tail = s->tail, mask = s->mask;
	uint32_t n, most = s->head - tail;
	struct ce_transfer *t;
	uint64_t bytes = 0;

	if (engine) {
		most = cei_port_ready(port);
		if (atomic_load_explicit(&port->failures, memory_order_relaxed) > 0)
			return 0;
	}
	most = RTE_MIN(most, max);
	for (n = 0; n < most; n++) {
		piece = &ring[(tail + n) & mask];
		t = piece->transfer;
		if (unlikely(piece->kind != kind || t->cb != NULL || t == sampled))
			break;
		t->done = piece->length;
		bytes += piece->length;
		t->status = 0;
		finished[n] = t;
	}
	s->tail += n;
	CE_COUNT(s->context->counters.transfers, n);
	if (engine) {
		port->taken += n;
		CE_COUNT(*s->budget, n);
		CE_COUNT(s->context->counters.engine_bytes, bytes);
	} else {
		CE_COUNT(s->context->counters.cpu_bytes, bytes);
	}
	return n;
}

/* Account for what is done, in order. */
static unsigned int
retire(struct ce_stream *s, struct ce_transfer **finished, unsigned int max, unsigned int *stored)
{
	unsigned int pieces = CE_PIECES_PER_CALL, count = 0;
	struct ce_transfer *t, *nobody[CE_BURST];
	struct ce_port *port;
	struct ce_piece piece;
	int status;

	if (likely(s->nb_ports <= 1)) {
		count = finished != NULL ? retire_simple(s, finished, max) :
					   retire_simple(s, nobody, RTE_MIN(max, CE_BURST));
		*stored += finished != NULL ? count : 0;
	}
	while (s->tail != s->head && count < max && pieces-- > 0) {
		piece = s->ring[s->tail & s->mask];
		t = piece.transfer;
		status = 0;
		if (piece.kind & CE_PIECE_ENGINE) {
			port = &s->ports[piece.port];
			if (cei_port_ready(port) == 0)
				break;
			status = cei_port_take(port);
			if (likely(status == 0))
				CE_COUNT(s->context->counters.engine_bytes, piece.length);
		} else {
			CE_COUNT(s->context->counters.cpu_bytes, piece.length);
		}
		s->tail++;
		if (likely((piece.kind & CE_PIECE_ONLY) && status == 0)) {
			CE_COUNT(*s->budget, piece.kind & CE_PIECE_ENGINE);
			t->done = piece.length;
			transfer_finish(s, t, 0);
		} else {
			piece_done(s, &piece, status);
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
			p->error = ret;
			t->failed_at = 0;
			t->dma_status = RTE_DMA_STATUS_ERROR_UNKNOWN;
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

	for (i = 0; i < s->nb_ports; i++) {
		port = &s->ports[i];
		/*
		 * Those who wait may wait for what another owner has under way. What others have
		 * collected for us is looked at first.
		 */
		if (port->started - port->taken > cei_port_ready(port) || !TAILQ_EMPTY(&s->waiting))
			cei_queue_collect(port->queue);
	}
	count = retire(s, finished, max, stored);
	if (unlikely(!TAILQ_EMPTY(&s->waiting)))
		waiting_go_on(s);
	if (unlikely(s->fenced))
		fence_is_passed(s);
	cei_stream_doorbell(s);
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
	if (t->length == 0 || (t->flags & ~(CE_TRANSFER_PUBLIC | CE_TRANSFER_OWNS)) != 0)
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
		t->flags &= CE_TRANSFER_PUBLIC | CE_TRANSFER_OWNS;
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

/* Translate a range that is not where the last one was. */
static __rte_noinline bool
translate(struct ce_memory *memory, struct ce_translation *last, const void *va, uint64_t length,
	rte_iova_t *iova)
{
	struct ce_translation found;
	bool keep;

	if (!cei_memory_find(memory, va, &found, &keep) || !keep)
		return false;
	*last = found;
	return cei_translate(last, va, length, iova);
}

/* Whether a transfer is of a range to a range, and nothing else is asked for. */
static inline bool
is_simple(const struct ce_transfer *t)
{
	return ((uintptr_t)t->src | (uintptr_t)t->dst) == 0 &&
		(t->flags & ~CE_TRANSFER_MORE) == 0 && t->status != -EINPROGRESS;
}

static inline void
simple_started(struct ce_piece *piece, struct ce_transfer *t, uint16_t kind)
{
	t->status = -EINPROGRESS;
	t->done = 0;
	piece->transfer = t;
	piece->length = t->length;
	piece->kind = kind;
	piece->port = 0;
}

/*
 * Give the device, in few steps, what most transfers are: an operation each, from and to where the
 * last ones were. Returns how many; stops at whatever is not so simple.
 */
static unsigned int
start_simple_operations(
	struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count, uint64_t flags)
{
	const struct ce_context *context = s->context;
	const struct ce_translation src = context->memory.last_src, dst = context->memory.last_dst;
	const uint64_t src_size = src.end - src.start, dst_size = dst.end - dst.start;
	const uint64_t least = context->break_even;
	const uint64_t most = RTE_MIN((uint64_t)context->max_segment, RTE_MIN(src_size, dst_size));
	struct ce_queue *q = s->ports->queue;
	struct ce_piece *ring = s->ring;
	const uint32_t head = s->head, mask = s->mask;
	uint64_t length, src_at, dst_at;
	struct ce_transfer *t;
	unsigned int i;

	if (most < least || (int32_t)*s->budget <= 0)
		return 0;
	count = RTE_MIN(count, RTE_MIN(*s->budget, mask + 1 - (head - s->tail)));
	for (i = 0; i < count; i++) {
		t = transfers[i];
		length = t->length;
		src_at = (uintptr_t)t->src_va - src.start;
		dst_at = (uintptr_t)t->dst_va - dst.start;
		if (unlikely(!is_simple(t) || length - least > most - least ||
			    src_at > src_size - length || dst_at > dst_size - length))
			break;
		if (unlikely(rte_dma_copy(q->dev_id, q->vchan, src.iova + src_at, dst.iova + dst_at,
				     length, flags) < 0))
			break;
		simple_started(&ring[(head + i) & mask], t,
			CE_PIECE_ENGINE | CE_PIECE_LAST | CE_PIECE_ONLY);
	}
	if (likely(i > 0)) {
		s->head = head + i;
		q->head += i;
		s->ports->started += i;
		cei_queue_set_silent(q, flags == 0);
		CE_COUNT(*s->budget, -i);
		CE_COUNT(s->context->counters.operations, i);
	}
	return i;
}

/* Have the CPU do what it does in one go. *cpu is what it may still copy in this call. */
static unsigned int
start_simple_copies(struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count,
	uint64_t *cpu)
{
	const uint64_t limit = s->context->break_even;
	const uint32_t head = s->head, mask = s->mask;
	struct ce_transfer *t;
	unsigned int i;

	count = RTE_MIN(count, mask + 1 - (head - s->tail));
	for (i = 0; i < count; i++) {
		t = transfers[i];
		if (unlikely(!is_simple(t) || t->length >= limit || t->length - 1 >= *cpu ||
			    t->src_va == NULL || t->dst_va == NULL))
			break;
		rte_memcpy(t->dst_va, t->src_va, t->length);
		*cpu -= t->length;
		simple_started(&s->ring[(head + i) & mask], t, CE_PIECE_LAST | CE_PIECE_ONLY);
	}
	s->head = head + i;
	return i;
}

/* Look up where a transfer's memory is, for the next attempt to start it in few steps. */
static bool
look_elsewhere(struct ce_stream *s, const struct ce_transfer *t)
{
	struct ce_memory *memory = &s->context->memory;
	rte_iova_t iova;

	if (t->length - 1 >= s->context->max_segment)
		return false;
	return (cei_translate(&memory->last_src, t->src_va, t->length, &iova) ||
		       translate(memory, &memory->last_src, t->src_va, t->length, &iova)) &&
		(cei_translate(&memory->last_dst, t->dst_va, t->length, &iova) ||
			translate(memory, &memory->last_dst, t->dst_va, t->length, &iova));
}

/* Start in few steps what can be. Returns how many. */
static unsigned int
start_simple(struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count,
	bool engine, uint64_t *cpu, uint64_t flags)
{
	unsigned int i = 0, before;

	do {
		before = i;
		if (engine)
			i += start_simple_operations(s, &transfers[i], count - i, flags);
		if (i < count && transfers[i]->length < s->context->break_even)
			i += start_simple_copies(s, &transfers[i], count - i, cpu);
		else if (i < count && engine && is_simple(transfers[i]) &&
			look_elsewhere(s, transfers[i]))
			i += start_simple_operations(s, &transfers[i], count - i, flags);
	} while (i < count && i > before);
	return i;
}

int
cei_stream_submit(struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count)
{
	struct ce_queue *q = s->nb_ports > 0 ? s->ports->queue : NULL;
	/* Of a queue that is shared, who is on it is not looked at without the lock. */
	const bool engine = s->nb_ports == 1 && !q->shared && q->only == s->ports &&
		cei_queue_dead(q) == 0 && cei_memory_is_fresh(&s->context->memory);
	const bool simple = engine || s->nb_ports == 0 || cei_stream_dead(s) == 0;
	uint64_t flags = 0, cpu = CE_CPU_PER_CALL;
	unsigned int i = 0;
	int ret = 0;

	if (count == 1 && !(transfers[0]->flags & CE_TRANSFER_MORE))
		flags = RTE_DMA_OP_FLAG_SUBMIT;
	for (;;) {
		if (likely(simple && TAILQ_EMPTY(&s->waiting) && !s->fenced))
			i += start_simple(s, &transfers[i], count - i, engine, &cpu, flags);
		if (likely(i == count))
			break;
		ret = transfer_init_sides(s, transfers[i]);
		if (ret == 0)
			ret = transfer_start(s, transfers[i], &cpu);
		if (ret < 0)
			break;
		i++;
	}
	if (unlikely(i == 0))
		return ret;
	if (unlikely(s->sampled == NULL && ++s->calls % CALLS_PER_SAMPLE == 0)) {
		s->sampled = transfers[0];
		s->sampled_tsc = rte_rdtsc();
	}
	if (q != NULL && !(transfers[i - 1]->flags & CE_TRANSFER_MORE))
		cei_stream_doorbell(s);
	return i;
}

/* The shortest way for a transfer alone that is an operation from and to where the last ones were. */
static __rte_always_inline bool
start_simple_operation(struct ce_stream *s, struct ce_transfer *t)
{
	struct ce_context *context = s->context;
	const uint64_t length = t->length;
	struct ce_port *port = s->ports;
	rte_iova_t src, dst;
	struct ce_queue *q;
	uint64_t flags;

	if (s->nb_ports != 1 || !is_simple(t) || !TAILQ_EMPTY(&s->waiting) || s->fenced ||
		length < context->break_even || length > context->max_segment ||
		(int32_t)*s->budget <= 0 || ring_is_full(s) ||
		(s->calls + 1) % CALLS_PER_SAMPLE == 0 || !cei_memory_is_fresh(&context->memory))
		return false;
	q = port->queue;
	if (q->shared || q->only != port || cei_queue_dead(q) != 0 ||
		!cei_translate(&context->memory.last_src, t->src_va, length, &src) ||
		!cei_translate(&context->memory.last_dst, t->dst_va, length, &dst))
		return false;
	flags = t->flags & CE_TRANSFER_MORE ? 0 : RTE_DMA_OP_FLAG_SUBMIT;
	if (rte_dma_copy(q->dev_id, q->vchan, src, dst, length, flags) < 0)
		return false;
	cei_queue_set_silent(q, flags == 0);
	q->head++;
	port->started++;
	CE_COUNT(*s->budget, -1);
	CE_COUNT(context->counters.operations, 1);
	s->calls++;
	simple_started(&s->ring[s->head++ & s->mask], t,
		CE_PIECE_ENGINE | CE_PIECE_LAST | CE_PIECE_ONLY);
	return true;
}

/* Returns 0, or why it was refused. */
int
cei_stream_submit_one(struct ce_stream *s, struct ce_transfer *t)
{
	int ret;

	if (likely(start_simple_operation(s, t)))
		return 0;
	ret = cei_stream_submit(s, &t, 1);
	return RTE_MIN(ret, 0);
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
		s->ring[(s->head - 1) & s->mask].kind |= CE_PIECE_LAST;
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

void
cei_stream_cancel_all(struct ce_stream *s)
{
	struct ce_transfer_private *p;

	/* Also what has started: the rest of it does not. */
	TAILQ_FOREACH(p, &s->waiting, link)
		transfer_fail(cei_transfer(p), cei_transfer(p)->length - p->left, -ECANCELED,
			RTE_DMA_STATUS_USER_ABORT);
}
