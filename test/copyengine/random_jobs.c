/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Transfers. A job has memory of its own, so what its destination must hold in the end is known when it
 * is submitted; a job that is fenced may read what the one before it writes. Of a transfer that fails,
 * all before failed_at must be there; and nothing beside it is touched, whatever happens.
 */

#include "random.h"

#include <inttypes.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>

#define SLOT	  (LONGEST + GUARD)
#define UNTOUCHED 0x5a
#define MARK	  0xff /* first byte of a FIFO that is read, and no other of it */

void
jobs_init(struct thread *t)
{
	unsigned int i, side, kind;
	struct job *job;

	for (i = 0; i < JOBS; i++) {
		job = &t->jobs[i];
		job->thread = t;
		for (kind = 0; kind < 2; kind++) {
			for (side = 0; side < 2; side++)
				job->memory[side][kind] = t->memory[kind] + (2 * i + side) * SLOT;
			pattern_fill(job->memory[0][kind], SLOT, 100 * t->number + i);
		}
	}
}

static size_t
draw_length(struct thread *t, size_t longest)
{
	return 1 + draw(t, RTE_MIN((size_t)1 << draw(t, 16), longest));
}

/* Where the device of a handle finds what the engine reaches. */
static rte_iova_t
iova_of(const struct thread *t, const struct handle *h, const uint8_t *va)
{
	struct ce_adapter_info info;

	ce_adapter_info_get(h->adapter, &info);
	return info.sva ? (uintptr_t)va :
			  rte_mem_virt2iova(t->memory[0]) + (va - t->memory[0]);
}

/* A list of a side, which may begin before the transfer does: *offset says where that is. */
static struct ce_sglist *
list_of(struct thread *t, struct job *job, enum side side, uint8_t *memory, uint64_t *offset)
{
	struct ce_segment segments[3] = {0};
	const size_t length = job->transfer.length;
	const size_t first = draw(t, length + 1);
	struct ce_sglist *list;
	struct iovec iov[2];
	unsigned int n;

	*offset = 0;
	iov[0] = (struct iovec){memory, first};
	iov[1] = (struct iovec){memory + first, length - first};
	segments[0].iova = iova_of(t, job->handle, memory);
	if (side == FIFO) {
		segments[0].length = length;
		segments[0].window = job->fifo;
		list = ce_sglist_build_iova(job->handle->adapter, segments, 1);
	} else if (side == WINDOW) {
		segments[1] = segments[0];
		segments[0].length = first;
		segments[1].iova += first;
		segments[1].length = length - first;
		list = ce_sglist_build_iova(job->handle->adapter, segments, 2);
	} else if (draw(t, 2) && job->before == NULL) {
		/* From some way into it. */
		*offset = RTE_MIN(first, (size_t)GUARD / 2);
		list = ce_sglist_build(job->handle->adapter, memory - *offset, length + *offset);
	} else {
		list = ce_sglist_build_iov(job->handle->adapter, iov, 2);
	}
	CHECK(t, list != NULL);
	if (list == NULL)
		return NULL;
	n = ce_sglist_segments(list, segments, RTE_DIM(segments));
	CHECK(t, ce_sglist_length(list) == length + *offset);
	if (n == 1)
		CHECK(t, segments[0].length == length + *offset);
	return list;
}

/* Have it read what another one that is under way will have written. */
static void
read_behind(struct thread *t, struct job *job)
{
	struct job *before = &t->jobs[draw(t, JOBS)];

	if (!before->busy || before == job || before->handle != job->handle ||
		job->handle->controlled || before->to == FIFO || before->from == FIFO ||
		before->packet != NULL)
		return;
	job->before = before;
	before->pins++;
	job->from = before->to;
	job->src = before->dst;
	job->transfer.length = RTE_MIN(job->transfer.length, before->transfer.length);
	job->transfer.flags |= CE_TRANSFER_FENCE;
}

static void
sides_make(struct thread *t, struct job *job)
{
	struct ce_transfer *transfer = &job->transfer;

	job->lists = job->from >= WINDOW || job->to >= WINDOW || draw(t, 3) == 0;
	transfer->src_va = job->src;
	transfer->dst_va = job->dst;
	if (!job->lists)
		return;
	if (job->from >= WINDOW || draw(t, 2))
		transfer->src = list_of(t, job, job->from, job->src, &transfer->src_offset);
	if (job->to >= WINDOW || draw(t, 2))
		transfer->dst = list_of(t, job, job->to, job->dst, &transfer->dst_offset);
}

static void called_back(struct ce_transfer *transfer, void *arg);

void
job_make(struct thread *t, struct handle *h, struct job *job)
{
	struct ce_transfer *transfer = &job->transfer;
	uint64_t i, length;

	memset(transfer, 0, offsetof(struct ce_transfer, opaque));
	job->handle = h;
	job->request = NULL;
	job->before = NULL;
	job->packet = NULL;
	job->busy = true;
	job->called = job->stored = job->cancelled = job->unsure = false;
	job->from = draw(t, SIDES);
	job->to = draw(t, job->from == FIFO ? FIFO : SIDES);
	job->fifo = 1 << draw(t, 11);
	job->src = job->memory[0][job->from == OTHER] + GUARD / 2;
	job->dst = job->memory[1][job->to == OTHER] + GUARD / 2;
	transfer->length = draw_length(t, LONGEST - GUARD);
	transfer->flags = draw(t, 4) & (CE_TRANSFER_FENCE | CE_TRANSFER_MORE);
	transfer->cb = draw(t, 2) ? called_back : NULL;
	transfer->arg = t;
	if (job->from == FIFO)
		job->src[0] = MARK;
	for (i = 1; job->from == FIFO && i < job->fifo; i++)
		job->src[i] &= 0x7f;
	if (job->from != FIFO && draw(t, 3) == 0)
		read_behind(t, job);
	length = transfer->length;
	memset(job->dst - GUARD / 2, UNTOUCHED, RTE_MAX(length, (uint64_t)job->fifo) + GUARD);
	if (job->before == NULL && job->from != FIFO && draw(t, 5) == 0) {
		transfer->flags |= CE_TRANSFER_FILL;
		transfer->pattern = t->rng;
		for (i = 0; i < length; i++)
			job->expected[i] = transfer->pattern >> i % 8 * 8;
		job->from = REACHED;
	} else if (job->before != NULL) {
		memcpy(job->expected, job->before->expected, length);
	} else if (job->from != FIFO) {
		/* The same bytes as last time would not tell. */
		pattern_fill(job->src, RTE_MIN(length, (uint64_t)64), t->rng);
		memcpy(job->expected, job->src, length);
	}
	sides_make(t, job);
}

/* What has finished, or was refused. */
void
job_drop(struct job *job)
{
	if (job->lists) {
		ce_sglist_free(job->transfer.src);
		ce_sglist_free(job->transfer.dst);
	}
	job->lists = false;
	if (job->before != NULL)
		job->before->pins--;
	job->before = NULL;
	job->busy = false;
}

struct job *
job_free(struct thread *t)
{
	unsigned int i, at = draw(t, JOBS);
	struct job *job;

	for (i = 0; i < JOBS; i++) {
		job = &t->jobs[(at + i) % JOBS];
		if (!job->busy && job->pins == 0)
			return job;
	}
	return NULL;
}

void
job_started(struct handle *h, unsigned int lane, struct job *job)
{
	struct lane *l = &h->lanes[lane];

	CHECK(job->thread, job->transfer.status == -EINPROGRESS && job->transfer.done == 0);
	job->lane = l;
	l->jobs[l->head++ % LANE] = job;
}

/* Whether what was read from a FIFO is one piece of its window after the other. */
static bool
is_read(const struct job *job, const uint8_t *dst, uint64_t length)
{
	uint64_t i, at = 0;

	for (i = 0; i < length; i++) {
		at = dst[i] == MARK ? 0 : at + 1;
		if (at >= job->fifo || dst[i] != job->src[at])
			return false;
	}
	return length == 0 || dst[0] == MARK;
}

/* Whether a FIFO holds what was to be written last. */
static bool
is_written(const struct job *job)
{
	const uint64_t length = job->transfer.length;
	uint64_t last;

	for (last = 1; last <= RTE_MIN(length, (uint64_t)job->fifo); last++)
		if (memcmp(job->dst, job->expected + length - last, last) == 0)
			return true;
	return false;
}

static bool
is_untouched(const uint8_t *memory, uint64_t length)
{
	uint64_t i;

	for (i = 0; i < length; i++)
		if (memory[i] != UNTOUCHED)
			return false;
	return true;
}

/* Whether the first bytes of the destination are what they must be. */
static bool
is_right(const struct job *job, uint64_t sure)
{
	if (job->packet != NULL) {
		uint8_t flat[LONGEST];

		return job->copy->pkt_len == job->packet->pkt_len &&
			memcmp(rte_pktmbuf_read(job->copy, 0, sure, flat), job->expected, sure) == 0;
	}
	if (job->to == FIFO)
		return sure < job->transfer.length || is_written(job);
	if (job->from == FIFO)
		return is_read(job, job->dst, sure);
	return memcmp(job->dst, job->expected, sure) == 0;
}

/* Judge a transfer that has finished. */
static void
judge(struct thread *t, struct job *job)
{
	const struct ce_transfer *transfer = &job->transfer;
	const uint64_t extent = job->to == FIFO ? job->fifo : transfer->length;
	uint64_t sure = transfer->length;

	CHECK(t, transfer->done <= transfer->length);
	CHECK(t, ce_transfer_remaining(transfer) == transfer->length - transfer->done);
	switch (transfer->status) {
	case 0:
		CHECK(t, transfer->done == transfer->length);
		CHECK(t, !job->cancelled);
		break;
	case -ECANCELED:
		/* A handle that is closed gives up what has started as well. */
		CHECK(t, job->cancelled ? transfer->done == 0 : job->handle->closing);
		sure = transfer->done;
		break;
	case -EIO:
	case -ENODEV:
	case -ETIMEDOUT:
		CHECK(t, fallible(t, job->handle));
		CHECK(t, !job->cancelled);
		CHECK(t, transfer->failed_at < transfer->length);
		CHECK(t, transfer->done < transfer->length && transfer->done >= transfer->failed_at);
		CHECK(t, transfer->status != -EIO || transfer->dma_status != 0);
		sure = transfer->failed_at;
		t->failed++;
		t->lost += transfer->status != -EIO;
		break;
	default:
		CHECK(t, false);
	}
	CHECK(t, job->unsure || is_right(job, sure));
	if (job->packet != NULL)
		return;
	CHECK(t, is_untouched(job->dst - GUARD / 2, GUARD / 2));
	CHECK(t, is_untouched(job->dst + extent, GUARD / 2));
	if (transfer->status == -ECANCELED && job->cancelled)
		CHECK(t, is_untouched(job->dst, extent));
}

static void
finished(struct thread *t, struct job *job)
{
	struct handle *h = job->handle;
	const bool was_right = t->error == NULL;
	unsigned int i;

	judge(t, job);
	if (was_right && t->error != NULL)
		print_error("status %d, length %" PRIu64 ", done %" PRIu64 ", failed at %" PRIu64
			    ", from %d to %d, FIFO %u, flags %#x\n", job->transfer.status,
			job->transfer.length, job->transfer.done, job->transfer.failed_at, job->from,
			job->to, job->fifo, job->transfer.flags);
	h->ok += job->transfer.status == 0;
	h->failed += job->transfer.status != 0;
	h->bytes += job->transfer.done;
	for (i = 0; i < JOBS; i++)
		if (t->jobs[i].before == job && (job->transfer.status != 0 || job->unsure))
			t->jobs[i].unsure = true;
	if (job->packet != NULL) {
		rte_pktmbuf_free(job->packet);
		rte_pktmbuf_free(job->copy);
	}
	t->transfers++;
	job_drop(job);
}

/*
 * Judge what of a handle has finished, in the order of submission; all that has not must be behind it.
 * Those that were collected and had no callback must have been stored. Returns how many.
 */
unsigned int
jobs_finished(struct thread *t, struct handle *h, bool collected)
{
	unsigned int i, lane, count = 0;
	struct lane *l;
	struct job *job;

	for (lane = 0; lane < RTE_DIM(h->lanes); lane++) {
		l = &h->lanes[lane];
		while (l->tail != l->head) {
			job = l->jobs[l->tail % LANE];
			if (job->transfer.status == -EINPROGRESS)
				break;
			CHECK(t, job->transfer.cb != NULL ? job->called && !job->stored :
							    job->stored == collected);
			l->tail++;
			finished(t, job);
			count++;
		}
		for (i = l->tail; i != l->head; i++)
			CHECK(t, l->jobs[i % LANE]->transfer.status == -EINPROGRESS);
	}
	return count;
}

unsigned int
jobs_busy(const struct handle *h)
{
	unsigned int i, busy = 0;

	for (i = 0; i < RTE_DIM(h->lanes); i++)
		busy += h->lanes[i].head - h->lanes[i].tail;
	return busy;
}

static void
called_back(struct ce_transfer *transfer, void *arg)
{
	struct job *job = container_of(transfer, struct job, transfer);
	struct lane *l = job->lane;
	struct thread *t = arg;
	struct ce_adapter *adapter = job->handle->adapter;
	unsigned int i;

	CHECK(t, job->busy && !job->called && transfer->status != -EINPROGRESS);
	job->called = true;
	for (i = l->tail; l->jobs[i % LANE] != job; i++) {
		CHECK(t, l->jobs[i % LANE]->transfer.status != -EINPROGRESS);
		CHECK(t, l->jobs[i % LANE]->transfer.cb == NULL || l->jobs[i % LANE]->called);
		if (t->error != NULL)
			return;
	}
	switch (draw(t, 8)) {
	case 0:
		CHECK(t, ce_poll(adapter) == 0);
		CHECK(t, ce_collect(adapter, NULL, 1) == 0);
		break;
	case 1:
		CHECK(t, ce_drain(adapter, 1) == -EDEADLK);
		CHECK(t, ce_adapter_close(adapter, 1) == -EDEADLK);
		CHECK(t, ce_adapter_put(adapter) == -EBUSY);
		break;
	case 2:
		if (!job->handle->controlled)
			submit(t, job->handle);
	}
}

/* What no handle takes. */
static void
submit_wrong(struct thread *t, struct handle *h, struct job *job)
{
	struct ce_transfer *transfer = &job->transfer;
	struct ce_sglist *const dst = transfer->dst;
	int ret;

	switch (draw(t, 4)) {
	case 0:
		transfer->length = 0;
		break;
	case 1:
		transfer->flags |= RTE_BIT32(7 + draw(t, 20));
		break;
	case 2:
		transfer->dst = NULL;
		transfer->dst_va = NULL;
		break;
	default:
		if (transfer->src == NULL || (transfer->flags & CE_TRANSFER_FILL))
			return;
		transfer->length = ce_sglist_length(transfer->src) - transfer->src_offset + 1;
	}
	ret = ce_submit(h->adapter, &transfer, 1);
	CHECK(t, ret == (h->closing ? -ECANCELED : -EINVAL) ||
		(fallible(t, h) && (ret == -ENODEV || ret == -ETIMEDOUT)));
	CHECK(t, transfer->status == 0);
	transfer->dst = dst;
}

/* By whichever call fits a single one. */
static int
submit_one(struct thread *t, struct handle *h, struct job *job)
{
	struct ce_transfer *transfer = &job->transfer;

	if (job->lists || draw(t, 2))
		return ce_transfer_submit(h->adapter, transfer);
	if (transfer->flags & CE_TRANSFER_FILL)
		return ce_transfer_fill(
			h->adapter, transfer, job->dst, transfer->pattern, transfer->length);
	return ce_transfer_copy(h->adapter, transfer, job->dst, job->src, transfer->length);
}

/* Submit some, in one call. */
void
submit(struct thread *t, struct handle *h)
{
	struct ce_transfer *list[JOBS];
	struct job *job, *jobs[JOBS];
	unsigned int i, n = 0, most = 1 + draw(t, draw(t, 2) ? 1 : JOBS);
	int taken;

	while (n < most && (job = job_free(t)) != NULL) {
		job_make(t, h, job);
		jobs[n] = job;
		list[n++] = &job->transfer;
	}
	if (n == 0)
		return;
	if (draw(t, 64) == 0) {
		submit_wrong(t, h, jobs[--n]);
		job_drop(jobs[n]);
	}
	if (n == 0)
		return;
	if (n == 1) {
		taken = submit_one(t, h, jobs[0]);
		CHECK(t, taken <= 0);
		taken = taken == 0 ? 1 : taken;
	} else {
		taken = ce_submit(h->adapter, list, n);
	}
	CHECK(t, taken <= (int)n && taken != 0);
	if (h->closing)
		CHECK(t, taken == -ECANCELED);
	else if (taken < (int)n)
		CHECK(t, fallible(t, h));
	if (taken < 0 && !h->closing)
		CHECK(t, taken == -ENODEV || taken == -ETIMEDOUT || taken == -EIO);
	h->dead |= taken == -ENODEV || taken == -ETIMEDOUT;
	for (i = 0; i < n; i++) {
		if ((int)i >= taken) {
			CHECK(t, list[i]->status == 0);
			continue;
		}
		job_started(h, 0, jobs[i]);
		if (draw(t, 50) == 0)
			CHECK(t, ce_submit(h->adapter, &list[i], 1) == (h->closing ? -ECANCELED : -EBUSY));
	}
	/* Those behind first: they may be to read what the ones before them write. */
	while (n-- > (unsigned int)RTE_MAX(taken, 0))
		job_drop(jobs[n]);
}

void
packet_copy(struct thread *t, struct handle *h)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(t->pools[0]), *m = packet;
	struct job *job = job_free(t);
	unsigned int segments = 1 + draw(t, 5), part;
	struct ce_transfer *transfer;
	uint64_t length = 0;

	if (job == NULL || packet == NULL) {
		rte_pktmbuf_free(packet);
		return;
	}
	transfer = &job->transfer;
	job_make(t, h, job);
	job_drop(job);
	memset(transfer, 0, offsetof(struct ce_transfer, opaque));
	transfer->cb = draw(t, 2) ? called_back : NULL;
	transfer->arg = t;
	while (m != NULL) {
		part = 1 + draw(t, rte_pktmbuf_tailroom(m));
		pattern_fill(rte_pktmbuf_append(m, part), part, t->rng);
		memcpy(job->expected + length, rte_pktmbuf_mtod(m, void *), part);
		length += part;
		if (m != packet)
			rte_pktmbuf_chain(packet, m);
		m = --segments > 0 ? rte_pktmbuf_alloc(t->pools[0]) : NULL;
	}
	job->copy = ce_packet_copy(h->adapter, transfer, packet, t->pools[draw(t, 2)]);
	if (job->copy == NULL) {
		/* The pool may be empty. */
		CHECK(t, rte_errno == ENOMEM || (fallible(t, h) && (rte_errno == ENODEV ||
			rte_errno == ETIMEDOUT || rte_errno == EIO)));
		rte_pktmbuf_free(packet);
		return;
	}
	job->packet = packet;
	job->from = job->to = REACHED;
	job->busy = true;
	CHECK(t, transfer->length == length);
	job_started(h, 0, job);
	t->packets++;
}

void
cancel(struct thread *t)
{
	struct job *job = &t->jobs[draw(t, JOBS)];
	const bool busy = job->busy;
	int ret;

	if (job->handle == NULL)
		return;
	ret = ce_transfer_cancel(job->handle->adapter, &job->transfer);
	CHECK(t, ret == 0 || ret == (busy ? -EBUSY : -ENOENT));
	/* What was mapped has started. */
	CHECK(t, ret != 0 || job->request == NULL);
	job->cancelled |= ret == 0;
}

/* The counters of a handle with nothing under way. */
void
figures_check(struct thread *t, struct handle *h)
{
	struct ce_adapter_stats stats;

	ce_adapter_stats_get(h->adapter, &stats);
	CHECK(t, stats.bytes == stats.engine_bytes + stats.cpu_bytes);
	CHECK(t, stats.bounced <= stats.engine_bytes);
	CHECK(t, !h->no_engine || (stats.engine_bytes == 0 && stats.operations == 0));
	CHECK(t, stats.sg_blocks == 0);
	if (h->cycled)
		return;
	CHECK(t, stats.map_registers == 0);
	CHECK(t, stats.transfers == h->ok);
	CHECK(t, stats.failed == h->failed);
	CHECK(t, stats.bytes == h->bytes);
}
