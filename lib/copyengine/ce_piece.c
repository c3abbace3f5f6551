/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_memcpy.h>

#include "cei_stream.h"

/* The pieces of transfers: which way each goes, and how it is started that way. */

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
	const uint32_t before = (s->head - 1) & s->mask;
	const bool goes_on = s->head != s->tail && s->transfers[before] == t;
	struct ce_piece *last = &s->pieces[before];
	const uint32_t length = RTE_MIN(run, *cpu);

	/* No fence of a device holds the CPU back. */
	if (length == 0 || !cei_fence_is_passed(s))
		return -EAGAIN;
	/* Nor does the order of a FIFO, into which an engine that does not fill has copies under way. */
	if (p->dst_at.segment.window != 0 && s->nb_ports > 0 && s->head != s->tail && !goes_on)
		return -EAGAIN;
	source_read(t, cei_cursor_va(&p->dst_at), length);
	cei_cursor_skip(&p->dst_at, length);
	*cpu -= length;
	p->left -= length;
	if (goes_on && !(last->kind & CE_PIECE_ENGINE) && last->length < CE_CPU_PER_CALL) {
		last->length += length;
		last->kind |= last_if_done(p);
	} else {
		cei_piece_push(s, t, length, CE_PIECE_CPU | last_if_done(p), 0);
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

	/*
	 * dmadev's fence holds back the operation that carries it and no other, and an engine may
	 * reorder the rest: so all that is behind the transfers' fence carries one, and all that goes
	 * to a FIFO.
	 */
	op->flags = s->fenced || kind & CE_PIECE_FIFO ? RTE_DMA_OP_FLAG_FENCE : 0;
	if (length == p->left && !(t->flags & CE_TRANSFER_MORE))
		op->flags |= RTE_DMA_OP_FLAG_SUBMIT;
	ret = cei_port_enqueue(port, op);
	if (ret < 0) {
		s->turn = port - s->ports;
		return ret;
	}
	p->left -= length;
	CE_COUNT(*p->budget, -1);
	if (p->budget != s->budget)
		CE_COUNT(*s->budget, -1);
	CE_COUNT(s->context->counters.map_registers, 1);
	CE_COUNT(s->context->counters.operations, 1);
	cei_piece_push(s, t, length, CE_PIECE_ENGINE | kind | last_if_done(p), port - s->ports);
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
	if (cei_fence_is_passed(s))
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
	if (!out && !cei_fence_is_passed(s))
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
int
cei_piece_start(struct ce_stream *s, struct ce_transfer *t, uint64_t *cpu)
{
	struct ce_transfer_private *p = cei_private(t);
	const struct ce_segment *src = &p->src_at.segment, *dst = &p->dst_at.segment;
	const bool copy = !(t->flags & CE_TRANSFER_FILL);
	uint64_t run = RTE_MIN(p->left, cei_cursor_run(&p->dst_at));
	int ret;

	if (cei_ring_is_full(s))
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

/* Empty or just free the bounce buffer of a piece. */
void
cei_bounce_done(struct ce_stream *s, uint32_t length, int status)
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
