/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "ce_private.h"

/* The device is dead: see to it that it writes no more, and give everything back to its owners. */
static void
device_die(struct ce_device *dev, int error)
{
	struct ce_map_register *mr;
	struct ce_vchan *vq;
	uint16_t i;
	int ret;

	ret = rte_dma_stop(dev->dev_id);
	CE_LOG(ERR, "device %d %s, stopped%s%s", dev->dev_id,
		error == ENODEV ? "is gone or halted" : "completes nothing any more", ret < 0 ? ": " : "",
		ret < 0 ? rte_strerror(-ret) : "");
	for (i = 0; i < dev->nb_vchans; i++) {
		vq = &dev->vchans[i];
		while (vq->tail != vq->head) {
			mr = vq->fifo[vq->tail++ & vq->mask];
			mr->status = -error;
			STAILQ_INSERT_TAIL(&mr->owner->posted, mr, link);
		}
	}
	atomic_store(&dev->dead, error);
}

/*
 * Give an operation to the device.
 *
 * Returns 0; -EAGAIN: the ring is full, some of it will come back; -ENOSPC: the ring is empty and the
 * operation does not fit all the same; or what the driver or a dead device says.
 */
static __rte_always_inline int
enqueue(struct ce_adapter *adapter, struct ce_map_register *mr, struct rte_dma_sge *src,
	struct rte_dma_sge *dst, uint16_t nb_src, uint16_t nb_dst, uint64_t flags)
{
	struct ce_device *dev = adapter->dev;
	struct ce_vchan *vq = adapter->vq;
	int ret;

	cei_lock(dev);
	ret = -atomic_load_explicit(&dev->dead, memory_order_relaxed);
	if (unlikely(ret < 0))
		goto unlock;
	if (likely(nb_src == 1 && nb_dst == 1))
		ret = rte_dma_copy(
			dev->dev_id, adapter->vchan, src->addr, dst->addr, src->length, flags);
	else
		ret = rte_dma_copy_sg(
			dev->dev_id, adapter->vchan, src, dst, nb_src, nb_dst, flags);
	if (likely(ret >= 0)) {
		/* dmadev reports in order, so the index of the operation is not needed. */
		vq->fifo[vq->head++ & vq->mask] = mr;
		vq->doorbell = !(flags & RTE_DMA_OP_FLAG_SUBMIT);
		adapter->silent = vq->doorbell;
		ret = 0;
	} else if (ret == -ENODEV) {
		device_die(dev, ENODEV);
	} else if (ret == -ENOSPC && vq->head != vq->tail) {
		ret = -EAGAIN;
	}
unlock:
	cei_unlock(dev);
	return ret;
}

/* Ring the doorbell for operations of ours that were enqueued without, unless somebody has. */
static void
doorbell(struct ce_adapter *adapter)
{
	struct ce_vchan *vq = adapter->vq;

	cei_lock(adapter->dev);
	if (vq->doorbell) {
		rte_dma_submit(adapter->dev->dev_id, adapter->vchan);
		vq->doorbell = false;
	}
	cei_unlock(adapter->dev);
	adapter->silent = false;
}

static inline bool
map_register_free(const struct ce_adapter *adapter, const struct ce_transfer *t)
{
	return adapter->nb_free > 0 &&
		(!(t->flags & CE_TRANSFER_PORT) || t->request->used < t->request->map_registers);
}

/* Book an operation that the device has taken. */
static inline void
piece_started(struct ce_adapter *adapter, struct ce_transfer *t, struct ce_map_register *mr,
	uint32_t length)
{
	mr->transfer = t;
	mr->length = length;
	mr->offset = t->length - t->left;
	adapter->nb_free--;
	adapter->inflight++;
	adapter->stats.operations++;
	if (unlikely(t->flags & CE_TRANSFER_PORT))
		t->request->used++;
	t->left -= length;
	t->inflight++;
	t->flags &= ~CE_TRANSFER_BEGIN;
}

static void
bounce_put(struct ce_adapter *adapter, struct ce_map_register *mr)
{
	if (mr->bounce_src != NULL)
		ce_common_pool_put(adapter->bounce, mr->bounce_src);
	if (mr->bounce_dst != NULL)
		ce_common_pool_put(adapter->bounce, mr->bounce_dst);
	mr->bounce_src = NULL;
	mr->bounce_dst = NULL;
}

/*
 * Get the bounce buffers that a piece needs, both or none: who holds one and waits for another waits
 * for himself.
 */
static int
bounce_get(struct ce_adapter *adapter, struct ce_map_register *mr, bool src, bool dst,
	rte_iova_t *src_iova, rte_iova_t *dst_iova)
{
	if (src)
		mr->bounce_src = ce_common_pool_get(adapter->bounce, src_iova);
	if (dst)
		mr->bounce_dst = ce_common_pool_get(adapter->bounce, dst_iova);
	if ((src && mr->bounce_src == NULL) || (dst && mr->bounce_dst == NULL)) {
		bounce_put(adapter, mr);
		return -EAGAIN;
	}
	return 0;
}

/*
 * Start the next piece of a transfer, with max_sges segments a side at most.
 *
 * Returns 0; -EAGAIN: something is lacking that will come back; else as enqueue().
 */
static int
piece_start(struct ce_adapter *adapter, struct ce_transfer *t, uint32_t max_sges)
{
	struct rte_dma_sge src_sges[CE_MAX_SGES], dst_sges[CE_MAX_SGES];
	struct ce_cursor src = t->src_at, dst = t->dst_at;
	const bool bounce_src = src.segment->bounced, bounce_dst = dst.segment->bounced;
	const bool fence = (t->flags & CE_TRANSFER_BEGIN) && (t->flags & CE_TRANSFER_FENCE);
	uint64_t flags = fence ? RTE_DMA_OP_FLAG_FENCE : 0;
	uint32_t length = RTE_MIN(t->left, adapter->max_segment);
	uint16_t nb_src = 1, nb_dst = 1;
	struct ce_map_register *mr;
	int ret;

	if (!map_register_free(adapter, t))
		return -EAGAIN;
	/* What fills a bounce buffer is the CPU, which no fence of the device holds back. */
	if (fence && bounce_src && adapter->inflight > 0)
		return -EAGAIN;
	if (bounce_src || bounce_dst)
		length = RTE_MIN(length, adapter->bounce_size);
	length = cei_cursor_extent(&src, length, max_sges);
	length = cei_cursor_extent(&dst, length, max_sges);

	mr = adapter->free[adapter->nb_free - 1];
	ret = bounce_get(adapter, mr, bounce_src, bounce_dst, &src_sges[0].addr, &dst_sges[0].addr);
	if (ret < 0)
		return ret;
	src_sges[0].length = length;
	dst_sges[0].length = length;
	if (bounce_src)
		cei_cursor_read(&src, mr->bounce_src, length);
	else
		nb_src = cei_cursor_sges(&src, length, src_sges);
	if (bounce_dst) {
		mr->dst_at = dst;
		cei_cursor_skip(&dst, length);
	} else {
		nb_dst = cei_cursor_sges(&dst, length, dst_sges);
	}
	if (length == t->left && !(t->flags & CE_TRANSFER_MORE))
		flags |= RTE_DMA_OP_FLAG_SUBMIT;
	ret = enqueue(adapter, mr, src_sges, dst_sges, nb_src, nb_dst, flags);
	if (ret < 0) {
		bounce_put(adapter, mr);
		return ret;
	}
	if (bounce_src)
		adapter->stats.bounced += length;
	t->src_at = src;
	t->dst_at = dst;
	piece_started(adapter, t, mr, length);
	return 0;
}

/*
 * Start pieces of a transfer until all is started or something is lacking.
 *
 * Returns 0, t->left says how far it got; or the error that keeps the rest from being started.
 */
static int
pieces_start(struct ce_adapter *adapter, struct ce_transfer *t)
{
	int ret = 0;

	while (t->left > 0 && ret == 0) {
		ret = piece_start(adapter, t, adapter->max_sges);
		if (ret == -ENOSPC)
			ret = piece_start(adapter, t, 1);
	}
	if (ret == -EAGAIN)
		return 0;
	return ret == -ENODEV || ret == -ETIMEDOUT || ret == 0 ? ret : -EIO;
}

/* A piece failed, or could not be started: start no more of it. */
static void
transfer_fail(struct ce_transfer *t, uint64_t offset, int error, enum rte_dma_status_code code)
{
	if (t->error != 0 && offset >= t->failed_at)
		return;
	t->error = error;
	t->dma_status = code;
	t->failed_at = offset;
}

/* All pieces are back. The last thing done with a transfer: the callback may use it again. */
static void
transfer_finish(struct ce_adapter *adapter, struct ce_transfer *t)
{
	if (t->flags & CE_TRANSFER_WAITING) {
		TAILQ_REMOVE(&adapter->waiting, t, link);
		t->flags &= ~CE_TRANSFER_WAITING;
	}
	if (t->flags & CE_TRANSFER_OWNS) {
		ce_sglist_free(t->src);
		ce_sglist_free(t->dst);
	}
	adapter->doing--;
	adapter->stats.bytes += t->done;
	if (likely(t->error == 0))
		adapter->stats.transfers++;
	else
		adapter->stats.failed++;
	t->status = t->error;
	if (t->flags & CE_TRANSFER_PORT)
		cei_channel_transferred(t->request, t->error);
	if (t->cb != NULL)
		t->cb(t, t->arg);
}

/* Account for an operation that has come back. Returns transfers finished: 0 or 1. */
static unsigned int
piece_done(struct ce_adapter *adapter, struct ce_map_register *mr)
{
	struct ce_transfer *t = mr->transfer;

	adapter->free[adapter->nb_free++] = mr;
	adapter->inflight--;
	if (unlikely(mr->bounce_src != NULL || mr->bounce_dst != NULL)) {
		if (mr->bounce_dst != NULL && mr->status == 0) {
			cei_cursor_write(&mr->dst_at, mr->bounce_dst, mr->length);
			adapter->stats.bounced += mr->length;
		}
		bounce_put(adapter, mr);
	}
	if (unlikely(t->flags & CE_TRANSFER_PORT))
		t->request->used--;
	if (likely(mr->status == 0))
		t->done += mr->length;
	else
		transfer_fail(t, mr->offset, mr->status > 0 ? -EIO : mr->status,
			mr->status > 0 ? (enum rte_dma_status_code)mr->status :
					 RTE_DMA_STATUS_ERROR_UNKNOWN);
	if (--t->inflight > 0 || (t->left > 0 && t->error == 0))
		return 0;
	transfer_finish(adapter, t);
	return 1;
}

/* Operations are under way and none came back: look now and then whether the device is well. */
static void
device_check(struct ce_device *dev, struct ce_vchan *vq, uint16_t vchan)
{
	const uint64_t now = rte_get_tsc_cycles(), ms = rte_get_tsc_hz() / 1000;
	enum rte_dma_vchan_status status = RTE_DMA_VCHAN_ACTIVE;

	if (vq->stalled_since == 0) {
		vq->stalled_since = now;
		vq->check_at = now + ms;
		vq->halted_since = 0;
	}
	if (now < vq->check_at)
		return;
	vq->check_at = now + ms;
	if (now - vq->stalled_since > dev->timeout) {
		device_die(dev, ETIMEDOUT);
		return;
	}
	if (rte_dma_vchan_status(dev->dev_id, vchan, &status) < 0 ||
		status != RTE_DMA_VCHAN_HALTED_ERROR)
		vq->halted_since = 0;
	else if (vq->halted_since == 0)
		vq->halted_since = now;
	else if (now - vq->halted_since > CE_HALTED_MS * ms)
		device_die(dev, ENODEV);
}

/* Take completions off the device, up to CE_BURST. Returns those of adapter; posts those of others. */
static unsigned int
collect(struct ce_adapter *adapter, struct ce_map_register *own[CE_BURST])
{
	enum rte_dma_status_code status[CE_BURST];
	struct ce_device *dev = adapter->dev;
	struct ce_vchan *vq = adapter->vq;
	struct ce_map_register *mr;
	bool error = false;
	uint16_t i, n, nb_own = 0;

	/* Whoever asks for completions wants the operations to run. */
	if (vq->doorbell) {
		rte_dma_submit(dev->dev_id, adapter->vchan);
		vq->doorbell = false;
	}
	n = rte_dma_completed(dev->dev_id, adapter->vchan, CE_BURST, NULL, &error);
	for (i = 0; i < n; i++)
		status[i] = RTE_DMA_STATUS_SUCCESSFUL;
	if (unlikely(error && n < CE_BURST))
		n += rte_dma_completed_status(
			dev->dev_id, adapter->vchan, CE_BURST - n, NULL, &status[n]);
	if (unlikely(n > vq->head - vq->tail))
		n = vq->head - vq->tail;
	if (n > 0)
		vq->stalled_since = 0;
	else
		device_check(dev, vq, adapter->vchan);

	for (i = 0; i < n; i++) {
		mr = vq->fifo[vq->tail++ & vq->mask];
		mr->status = status[i];
		if (likely(mr->owner == adapter))
			own[nb_own++] = mr;
		else
			STAILQ_INSERT_TAIL(&mr->owner->posted, mr, link);
	}
	return nb_own;
}

/* Go on with those that wait, in their order. */
static unsigned int
waiting_start(struct ce_adapter *adapter)
{
	struct ce_transfer *t;
	unsigned int finished = 0;
	int ret;

	while ((t = TAILQ_FIRST(&adapter->waiting)) != NULL) {
		ret = t->error == 0 ? pieces_start(adapter, t) : 0;
		if (ret < 0)
			transfer_fail(t, t->length - t->left, ret, RTE_DMA_STATUS_ERROR_UNKNOWN);
		if (t->left > 0 && t->error == 0)
			break;
		TAILQ_REMOVE(&adapter->waiting, t, link);
		t->flags &= ~CE_TRANSFER_WAITING;
		if (t->inflight == 0) {
			transfer_finish(adapter, t);
			finished++;
		}
	}
	return finished;
}

unsigned int
cei_transfer_poll(struct ce_adapter *adapter)
{
	struct ce_map_register_list posted = STAILQ_HEAD_INITIALIZER(posted);
	struct ce_map_register *own[CE_BURST], *mr;
	unsigned int i, nb_own = 0, finished = 0;
	struct ce_vchan *vq = adapter->vq;

	if (adapter->inflight > 0) {
		cei_lock(adapter->dev);
		STAILQ_CONCAT(&posted, &adapter->posted);
		if (vq->head != vq->tail)
			nb_own = collect(adapter, own);
		cei_unlock(adapter->dev);

		/* What others collected for us is older than what we collect now. */
		while ((mr = STAILQ_FIRST(&posted)) != NULL) {
			STAILQ_REMOVE_HEAD(&posted, link);
			finished += piece_done(adapter, mr);
		}
		for (i = 0; i < nb_own; i++)
			finished += piece_done(adapter, own[i]);
	}
	if (unlikely(!LIST_EMPTY(&adapter->cyclics)))
		cei_cyclic_poll(adapter);
	finished += waiting_start(adapter);
	if (adapter->silent)
		doorbell(adapter);
	return finished;
}

/* Set up a transfer between lists. */
int
cei_transfer_init(struct ce_transfer *t)
{
	if (t->length == 0 || t->src == NULL || t->dst == NULL || t->src_offset > t->src->length ||
		t->dst_offset > t->dst->length || t->length > t->src->length - t->src_offset ||
		t->length > t->dst->length - t->dst_offset)
		return -EINVAL;
	cei_cursor_init(&t->src_at, t->src, t->src_offset);
	cei_cursor_init(&t->dst_at, t->dst, t->dst_offset);
	return 0;
}

/* Set up a transfer between two addresses that the device reaches. */
void
cei_transfer_init_direct(struct ce_transfer *t, rte_iova_t dst, rte_iova_t src, size_t length)
{
	t->src_segment = (struct ce_segment){.address = src, .length = length};
	t->dst_segment = (struct ce_segment){.address = dst, .length = length};
	cei_cursor_init_one(&t->src_at, &t->src_segment);
	cei_cursor_init_one(&t->dst_at, &t->dst_segment);
	t->src = NULL;
	t->dst = NULL;
	t->length = length;
}

static inline void
transfer_begin(struct ce_transfer *t, uint32_t private_flags)
{
	t->status = -EINPROGRESS;
	t->done = 0;
	t->left = t->length;
	t->inflight = 0;
	t->error = 0;
	t->flags = (t->flags & (CE_TRANSFER_FENCE | CE_TRANSFER_MORE)) | private_flags;
}

/* Set up what a channel request has to do with a transfer. */
static uint32_t
request_flags(struct ce_transfer *t, struct ce_channel_request *request)
{
	t->request = request;
	return CE_TRANSFER_BEGIN | (request == NULL ? 0 : CE_TRANSFER_PORT);
}

static int
transfer_start(struct ce_adapter *adapter, struct ce_transfer *t, uint32_t private_flags)
{
	int ret = 0;

	transfer_begin(t, private_flags);
	if (TAILQ_EMPTY(&adapter->waiting))
		ret = pieces_start(adapter, t);
	if (ret < 0) {
		transfer_fail(t, t->length - t->left, ret, RTE_DMA_STATUS_ERROR_UNKNOWN);
		/* What was started has to come back first. */
		if (t->inflight == 0) {
			t->status = ret;
			return ret;
		}
	} else if (t->left > 0) {
		TAILQ_INSERT_TAIL(&adapter->waiting, t, link);
		t->flags |= CE_TRANSFER_WAITING;
		adapter->stats.waits++;
	}
	adapter->doing++;
	if (t->flags & CE_TRANSFER_PORT)
		t->request->transfers++;
	if (adapter->silent && !(t->flags & CE_TRANSFER_MORE))
		doorbell(adapter);
	return 0;
}

/* Start a transfer that was set up; what cannot be started now waits. */
int
cei_transfer_start(
	struct ce_adapter *adapter, struct ce_transfer *t, struct ce_channel_request *request)
{
	return transfer_start(adapter, t, request_flags(t, request));
}

/* Start as much of a transfer as goes at once, and shorten it to that. */
int64_t
cei_transfer_start_partly(
	struct ce_adapter *adapter, struct ce_transfer *t, struct ce_channel_request *request)
{
	int ret = 0;

	transfer_begin(t, request_flags(t, request));
	if (TAILQ_EMPTY(&adapter->waiting))
		ret = pieces_start(adapter, t);
	if (t->inflight == 0) {
		t->status = ret == 0 ? -EAGAIN : ret;
		return t->status;
	}
	t->length -= t->left;
	t->left = 0;
	adapter->doing++;
	request->transfers++;
	if (adapter->silent && !(t->flags & CE_TRANSFER_MORE))
		doorbell(adapter);
	return t->length;
}

int
ce_transfer_submit(struct ce_adapter *adapter, struct ce_transfer *t)
{
	if (adapter->controller != NULL || cei_transfer_init(t) < 0)
		return -EINVAL;
	return transfer_start(adapter, t, CE_TRANSFER_BEGIN);
}

/* A copy whose sides are not one segment each. */
static int
copy_lists(struct ce_adapter *adapter, struct ce_transfer *t, void *dst, void *src)
{
	int ret;

	t->src = ce_sglist_build(adapter, src, t->length);
	t->dst = ce_sglist_build(adapter, dst, t->length);
	t->src_offset = 0;
	t->dst_offset = 0;
	ret = t->src == NULL || t->dst == NULL ? -ENOMEM : cei_transfer_init(t);
	if (ret == 0)
		ret = transfer_start(adapter, t, CE_TRANSFER_BEGIN | CE_TRANSFER_OWNS);
	if (ret < 0) {
		ce_sglist_free(t->src);
		ce_sglist_free(t->dst);
		rte_errno = -ret;
	}
	return ret;
}

/*
 * The copy that most copies are: one operation, and everything is there that it takes. Does in fewer
 * steps what transfer_start() does. Returns false, and has done nothing, when it is not so simple.
 */
static inline bool
copy_one(struct ce_adapter *adapter, struct ce_transfer *t, rte_iova_t dst, rte_iova_t src)
{
	struct rte_dma_sge from = {.addr = src, .length = t->length}, to = {.addr = dst};
	struct ce_map_register *mr;
	uint64_t flags = 0;

	if (unlikely(adapter->nb_free == 0 || !TAILQ_EMPTY(&adapter->waiting) ||
		    t->length > adapter->max_segment))
		return false;
	if (!(t->flags & CE_TRANSFER_MORE))
		flags |= RTE_DMA_OP_FLAG_SUBMIT;
	if (t->flags & CE_TRANSFER_FENCE)
		flags |= RTE_DMA_OP_FLAG_FENCE;
	mr = adapter->free[adapter->nb_free - 1];
	if (unlikely(enqueue(adapter, mr, &from, &to, 1, 1, flags) < 0))
		return false;
	transfer_begin(t, 0);
	piece_started(adapter, t, mr, t->length);
	adapter->doing++;
	return true;
}

int
ce_transfer_copy(struct ce_adapter *adapter, struct ce_transfer *t, void *dst, void *src,
	size_t length)
{
	const uint32_t generation =
		atomic_load_explicit(&cei_memory_generation, memory_order_relaxed);
	rte_iova_t from, to;
	int ret;

	if (unlikely(adapter->controller != NULL || length == 0)) {
		rte_errno = EINVAL;
		return -EINVAL;
	}
	t->length = length;
	if (likely(generation == adapter->generation && cei_translate(adapter, src, length, &from) &&
		    cei_translate(adapter, dst, length, &to) && copy_one(adapter, t, to, from)))
		return 0;
	cei_resolve(adapter, src, length, &t->src_segment);
	cei_resolve(adapter, dst, length, &t->dst_segment);
	if (t->src_segment.length < length || t->dst_segment.length < length)
		return copy_lists(adapter, t, dst, src);
	cei_cursor_init_one(&t->src_at, &t->src_segment);
	cei_cursor_init_one(&t->dst_at, &t->dst_segment);
	ret = transfer_start(adapter, t, CE_TRANSFER_BEGIN);
	if (ret < 0)
		rte_errno = -ret;
	return ret;
}
