/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_io.h>
#include <rte_prefetch.h>

#include "cbdma_internal.h"

/* When polls have found nothing for so long, a device that takes naps is woken. */
#define WAKE_US 20

/* In silent mode nobody polls; the driver sees to so many failures a call. */
#define RECLAIM_FAILURES 32

/* So many times in a row, has_error has obviously been of no interest. */
#define UNASKED_MAX 100000

/* Enqueue */

static inline uint32_t
slots_free(const struct cbdma_dev *dev)
{
	return (dev->limit - dev->head) / CBDMA_SLOT;
}

static inline void
write_desc(const struct cbdma_dev *dev, uint32_t pos, uint16_t op, uint32_t control, uint64_t src,
		uint64_t dst, uint32_t len)
{
	struct cbdma_desc *desc = cbdma_slot_desc(dev, pos);

	desc->size = len;
	desc->control = control;
	desc->src = src;
	desc->dst = dst;
	*cbdma_slot_op(dev, pos) = op;
	/* The ring has lines of its own behind its end. */
	rte_prefetch0_write(desc + CBDMA_PREFETCH);
}

/* Hand everything enqueued to the device. */
static inline void
ring_doorbell(struct cbdma_dev *dev)
{
	uint32_t head = dev->head;

	/* The descriptors have to be in memory before the device learns of them. The barrier is for
	 * a doorbell in a BAR; the release is for a device model in another thread.
	 */
	rte_io_wmb();
	rte_atomic_store_explicit(dev->doorbell, (uint16_t)((head - dev->base) / CBDMA_SLOT),
		rte_memory_order_release);
	dev->rung = head;
}

/* In silent mode nobody else would notice an error. */
static __rte_noinline int
reclaim_and_return(struct cbdma_dev *dev, int ret)
{
	cbdma_reclaim(dev);
	return ret;
}

/* Submit what was enqueued when that is asked for. op: its ring_idx; an errno, negative. */
static inline int
enqueue_done(struct cbdma_dev *dev, int op, uint64_t flags)
{
	if (!(flags & RTE_DMA_OP_FLAG_SUBMIT) || unlikely(op < 0))
		return op;
	ring_doorbell(dev);
	return unlikely(dev->silent) ? reclaim_and_return(dev, op) : op;
}

/* Slots that a fence takes in front of the next operation: see write_fence(). */
static inline uint32_t
fence_slots(const struct cbdma_dev *dev, uint64_t flags)
{
	return (flags & RTE_DMA_OP_FLAG_FENCE) && dev->head != dev->tail && dev->head == dev->rung;
}

/* Why there is no room for an operation of so many slots, beside those of its fence; in silent
 * mode, make room first.
 */
static __rte_noinline int
no_space(struct cbdma_dev *dev, uint32_t slots, uint64_t flags)
{
	if (dev->trouble == CBDMA_TROUBLE_LOST || dev->trouble == CBDMA_TROUBLE_LOSING)
		return -ENODEV;
	if (dev->capacity == 0)
		return -EINVAL; /* not started */
	if (slots > dev->capacity / CBDMA_SLOT) {
		if (!dev->small_ring_logged)
			CBDMA_LOG(ERR, dev->name,
				"an operation takes more descriptors than the ring has (%u)"
				" (further ones are not logged)", dev->capacity / CBDMA_SLOT);
		dev->small_ring_logged = true;
		return -EINVAL;
	}
	if (dev->silent)
		cbdma_reclaim(dev);
	return slots_free(dev) >= slots + fence_slots(dev, flags) ? 0 : -ENOSPC;
}

static __rte_noinline int
bad_argument(struct cbdma_dev *dev, const char *what)
{
	/* Once: an application that does it once does it a million times a second. */
	if (!dev->bad_argument_logged)
		CBDMA_LOG(ERR, dev->name, "%s (further ones are not logged)", what);
	dev->bad_argument_logged = true;
	return -EINVAL;
}

/* Order the next operation, at head, behind all that were enqueued before it. The device's
 * fence works the other way round: the descriptor that has it is done, with all before it, before
 * the one behind it starts (DPDK drivers/dma/ioat says so too).
 *
 * @return slots used, 0 or 1.
 */
static __rte_noinline uint32_t
write_fence(struct cbdma_dev *dev)
{
	uint32_t head = dev->head;

	if (head == dev->tail)
		return 0; /* all before it is done */
	if (head != dev->rung) {
		cbdma_slot_desc(dev, head - CBDMA_SLOT)->control |= CBDMA_DESC_FENCE;
		return 0;
	}
	/* The device may have fetched the one before: a descriptor that does nothing carries it. */
	write_desc(dev, head, dev->next_idx - 1, CBDMA_DESC_FENCE | CBDMA_DESC_NULL, 0, 0, 1);
	return 1;
}

/* One descriptor, which there is room for. */
static inline int
enqueue_one(struct cbdma_dev *dev, uint32_t control, uint64_t src, uint64_t dst, uint32_t len)
{
	const uint16_t op = dev->next_idx;

	write_desc(dev, dev->head, op, control, src, dst, len);
	/* Or gcc keeps head in a register that an argument has to make room for. */
	rte_compiler_barrier();
	dev->head += CBDMA_SLOT;
	dev->next_idx++;
	return op;
}

/* Several descriptors: longer than the device can do at once, or fenced; or no room for it. */
static __rte_noinline int
enqueue_several(struct cbdma_dev *dev, uint32_t control, uint64_t src, uint64_t dst, uint32_t len,
		uint64_t flags)
{
	uint32_t slots, step;
	int ret;

	if (len == 0)
		return bad_argument(dev, "an operation of length 0");

	slots = (len - 1) / dev->max_len + 1;
	if (slots + fence_slots(dev, flags) > slots_free(dev)) {
		ret = no_space(dev, slots, flags);
		if (ret != 0)
			return ret;
	}

	if (flags & RTE_DMA_OP_FLAG_FENCE)
		dev->head += write_fence(dev) * CBDMA_SLOT;
	for (; len > dev->max_len; len -= step, dev->head += CBDMA_SLOT) {
		step = dev->max_len;
		write_desc(dev, dev->head, dev->next_idx - 1, control & ~CBDMA_DESC_COMPLETION,
			src, dst, step);
		/* The source of a fill is its pattern, and max_len a multiple of the pattern. */
		if (control >> CBDMA_DESC_OP_SHIFT == CBDMA_DESC_OP_COPY)
			src += step;
		dst += step;
	}
	return enqueue_one(dev, control, src, dst, len);
}

static __rte_noinline int
enqueue_slow(struct cbdma_dev *dev, uint32_t control, uint64_t src, uint64_t dst, uint32_t len,
		uint64_t flags)
{
	int ret;

	/* len - 1: 0 wraps round and is too long as well. */
	if (likely(len - 1 < dev->max_len && dev->head != dev->limit &&
			!(flags & RTE_DMA_OP_FLAG_FENCE)))
		ret = enqueue_one(dev, control, src, dst, len);
	else
		ret = enqueue_several(dev, control, src, dst, len, flags);
	return enqueue_done(dev, ret, flags);
}

static inline int
enqueue(struct cbdma_dev *dev, uint32_t opcode, uint64_t src, uint64_t dst, uint32_t len,
		uint64_t flags)
{
	const uint32_t control = opcode << CBDMA_DESC_OP_SHIFT | CBDMA_DESC_COMPLETION;

	if (unlikely(len - 1 >= dev->max_len || dev->head == dev->limit ||
			(flags & (RTE_DMA_OP_FLAG_FENCE | RTE_DMA_OP_FLAG_SUBMIT))))
		return enqueue_slow(dev, control, src, dst, len, flags);
	return enqueue_one(dev, control, src, dst, len);
}

static int
cbdma_copy(void *dev_private, uint16_t vchan __rte_unused, rte_iova_t src, rte_iova_t dst,
		uint32_t length, uint64_t flags)
{
	return enqueue(dev_private, CBDMA_DESC_OP_COPY, src, dst, length, flags);
}

static int
cbdma_fill(void *dev_private, uint16_t vchan __rte_unused, uint64_t pattern, rte_iova_t dst,
		uint32_t length, uint64_t flags)
{
	return enqueue(dev_private, CBDMA_DESC_OP_FILL, pattern, dst, length, flags);
}

/* A descriptor moves one contiguous piece, so cut where either side ends a segment. The slots are
 * written as the lists are walked and become the device's only when all has come out even. When
 * there are too few the walk goes on without writing, to learn how many it takes.
 *
 * With plain, there is room for as many pieces as there are segments: a piece ends a segment on one
 * side at least, unless it is longer than the device's longest transfer.
 *
 * @return slots; an errno, negative; with plain, 0 when it has to be done without.
 */
static inline int
write_sg(struct cbdma_dev *dev, const struct rte_dma_sge *src, const struct rte_dma_sge *dst,
		uint16_t nb_src, uint16_t nb_dst, uint32_t slots, const bool plain)
{
	const uint32_t first = dev->head + slots * CBDMA_SLOT;
	uint64_t src_addr = src->addr, dst_addr = dst->addr;
	/* 64 bits, or gcc takes vector registers for the minimum of two lengths. */
	uint64_t src_left = src->length, dst_left = dst->length, len;
	uint32_t pos = first;
	const uint16_t op_before = dev->next_idx - 1;

	for (;;) {
		len = src_left < dst_left ? src_left : dst_left;
		if (unlikely(len > dev->max_len)) {
			if (plain)
				return 0;
			len = dev->max_len;
		}
		if (likely(len > 0)) { /* segments may be empty */
			if (plain || pos - dev->head < dev->limit - dev->head)
				write_desc(dev, pos, op_before,
					CBDMA_DESC_OP_COPY << CBDMA_DESC_OP_SHIFT, src_addr,
					dst_addr, len);
			else if (pos - dev->head > dev->mask)
				break; /* more than the ring has */
			pos += CBDMA_SLOT;
		}
		src_addr += len;
		dst_addr += len;
		src_left -= len;
		dst_left -= len;
		if (src_left == 0) {
			if (--nb_src == 0)
				break;
			src++;
			src_addr = src->addr;
			src_left = src->length;
		}
		if (dst_left == 0) {
			if (--nb_dst == 0)
				break;
			dst++;
			dst_addr = dst->addr;
			dst_left = dst->length;
		}
	}
	if (!plain && pos - dev->head > dev->mask)
		return (pos - dev->head) / CBDMA_SLOT + 1;
	/* Nothing may be left on either side. */
	for (; nb_src > 1; nb_src--)
		src_left |= (++src)->length;
	for (; nb_dst > 1; nb_dst--)
		dst_left |= (++dst)->length;
	if (unlikely((src_left | dst_left) != 0))
		return bad_argument(dev, "a scatter/gather copy with sides of different length");
	if (unlikely(pos == first)) {
		/* Nothing but empty segments: an operation all the same. */
		if (plain || pos - dev->head < dev->limit - dev->head)
			write_desc(dev, pos, op_before, CBDMA_DESC_NULL, 0, 0, 1);
		pos += CBDMA_SLOT;
	}
	return (pos - dev->head) / CBDMA_SLOT;
}

/* Any scatter/gather copy. @return slots written; an errno, negative. */
static __rte_noinline int
write_sg_slow(struct cbdma_dev *dev, const struct rte_dma_sge *src, const struct rte_dma_sge *dst,
		uint16_t nb_src, uint16_t nb_dst, uint64_t flags)
{
	uint32_t fence;
	int slots, ret;

	if (src == NULL || dst == NULL || nb_src == 0 || nb_dst == 0)
		return bad_argument(dev, "a scatter/gather copy without segments");
	for (;;) {
		if (slots_free(dev) == 0) {
			ret = no_space(dev, 1, flags);
			if (ret != 0)
				return ret;
		}
		fence = flags & RTE_DMA_OP_FLAG_FENCE ? write_fence(dev) : 0;
		slots = write_sg(dev, src, dst, nb_src, nb_dst, fence, false);
		if (slots < 0 || (uint32_t)slots <= slots_free(dev))
			return slots;
		ret = no_space(dev, slots - fence, flags);
		if (ret != 0)
			return ret;
		/* Silent mode made room: write them again. */
	}
}

static int
cbdma_copy_sg(void *dev_private, uint16_t vchan __rte_unused, const struct rte_dma_sge *src,
		const struct rte_dma_sge *dst, uint16_t nb_src, uint16_t nb_dst, uint64_t flags)
{
	struct cbdma_dev *dev = dev_private;
	const uint16_t op = dev->next_idx;
	uint32_t last;
	int slots = 0;

	if (likely(src != NULL && dst != NULL && nb_src != 0 && nb_dst != 0 &&
			!(flags & RTE_DMA_OP_FLAG_FENCE) &&
			((uint32_t)nb_src + nb_dst) * CBDMA_SLOT <= dev->limit - dev->head))
		slots = write_sg(dev, src, dst, nb_src, nb_dst, 0, true);
	if (unlikely(slots == 0))
		slots = write_sg_slow(dev, src, dst, nb_src, nb_dst, flags);
	if (unlikely(slots < 0))
		return slots;

	last = dev->head + (slots - 1) * CBDMA_SLOT;
	cbdma_slot_desc(dev, last)->control |= CBDMA_DESC_COMPLETION;
	*cbdma_slot_op(dev, last) = op;
	dev->head += slots * CBDMA_SLOT;
	dev->next_idx++;
	return enqueue_done(dev, op, flags);
}

static int
cbdma_submit(void *dev_private, uint16_t vchan __rte_unused)
{
	struct cbdma_dev *dev = dev_private;

	if (likely(dev->head != dev->rung))
		ring_doorbell(dev);
	else if (unlikely(dev->capacity == 0 && dev->trouble != CBDMA_TROUBLE_NONE))
		return -ENODEV; /* lost, or about to be */
	if (unlikely(dev->silent))
		return reclaim_and_return(dev, 0);
	return 0;
}

/* Completions */

/* Report the next count operations, which end at a position: the slots up to there are free. */
static inline void
report(struct cbdma_dev *dev, uint16_t count, uint32_t end)
{
	dev->tail = end;
	dev->completed += count;
	dev->idle_since = 0;
	cbdma_set_limit(dev);
}

/* When all that is done since the last poll has succeeded and is wanted, which is nearly always,
 * report it.
 *
 * @return operations; 0: there are none, or poll() has to look.
 */
static inline uint16_t
poll_fast(struct cbdma_dev *dev, uint16_t max_ops)
{
	uint64_t word = cbdma_read_completion(dev);
	uint32_t end = dev->tail + cbdma_done(dev, word);
	uint16_t count = cbdma_ops_up_to(dev, end);

	if (unlikely(cbdma_state(word) > CBDMA_CHANSTS_IDLE || dev->trouble != CBDMA_TROUBLE_NONE ||
			count > max_ops || count == 0))
		return 0;
	dev->limit += end - dev->tail;
	dev->tail = end;
	dev->completed += count;
	dev->idle_since = 0;
	return count;
}

/* See to a channel that may have halted, or does not get on. */
static void
see_to_channel(struct cbdma_dev *dev)
{
	uint64_t now;

	/* One error at a time: the next one is seen to when this one has been reported. */
	if (dev->trouble >= CBDMA_TROUBLE_FAILED_OP)
		return;
	if (dev->tail == dev->rung && dev->trouble != CBDMA_TROUBLE_LOSING) {
		dev->trouble = CBDMA_TROUBLE_NONE;
		return;
	}
	now = rte_get_tsc_cycles();
	if (dev->idle_since == 0)
		dev->no_answer = false; /* that was before the last progress */
	if (dev->no_answer || dev->trouble == CBDMA_TROUBLE_LOSING) {
		if (now >= dev->next_look)
			cbdma_channel_check(dev);
	} else if (dev->trouble == CBDMA_TROUBLE_SUSPECTED || dev->restarting) {
		cbdma_channel_check(dev);
	} else if (dev->idle_since == 0) {
		dev->idle_since = now;
		dev->next_look = now + cbdma_us(WAKE_US);
		dev->woken = false;
	} else if (now >= dev->next_look) {
		if (!dev->woken)
			cbdma_channel_wake(dev);
		else
			cbdma_channel_check(dev);
		dev->woken = true;
	}
}

/* Report up to max_ops operations that have succeeded, and none behind one that has failed. */
static __rte_noinline uint16_t
poll(struct cbdma_dev *dev, uint16_t max_ops)
{
	uint64_t word = cbdma_read_completion(dev);
	uint16_t count;

	/* An error is seen to at once, so is what others noticed; what does not get on, in time. */
	if (cbdma_state(word) == CBDMA_CHANSTS_HALTED && dev->trouble == CBDMA_TROUBLE_NONE)
		dev->trouble = CBDMA_TROUBLE_SUSPECTED;
	if (dev->trouble != CBDMA_TROUBLE_NONE ||
			cbdma_ops_up_to(dev, dev->tail + cbdma_done(dev, word)) == 0) {
		see_to_channel(dev);
		word = cbdma_read_completion(dev);
	}

	count = cbdma_ops_up_to(dev, dev->tail + cbdma_done(dev, word));
	if (dev->trouble == CBDMA_TROUBLE_FAILED_OP)
		count = RTE_MIN(count, (uint16_t)(dev->failed_op - dev->completed));
	if (count > max_ops)
		count = max_ops;
	if (count == 0)
		return 0;
	report(dev, count, cbdma_op_end(dev, count - 1));
	return count;
}

/* Whether the next operation to report has failed. */
static inline bool
is_failed_next(const struct cbdma_dev *dev)
{
	if (likely(dev->trouble < CBDMA_TROUBLE_FAILED_OP))
		return false;
	return dev->trouble == CBDMA_TROUBLE_LOST ? cbdma_ops_up_to(dev, dev->rung) != 0 :
						    dev->completed == dev->failed_op;
}

/* Report the next operation, which has failed. */
static enum rte_dma_status_code
report_failed(struct cbdma_dev *dev)
{
	dev->errors++;
	dev->unasked = 0;
	report(dev, 1, cbdma_op_end(dev, 0));
	if (dev->trouble == CBDMA_TROUBLE_FAILED_OP)
		dev->trouble = CBDMA_TROUBLE_NONE;
	return dev->failed_status;
}

/* Count the next operation, which has failed, as completed. */
static void
pass_over(struct cbdma_dev *dev)
{
	const uint64_t op = dev->completed;
	const enum rte_dma_status_code status = report_failed(dev);

	if (!dev->count_logged)
		CBDMA_LOG(ERR, dev->name, "operation %" PRIu64 " failed, status %u, and is counted"
			" as completed (" CBDMA_ARG_ERRORS "=count; further ones are not logged)",
			op, status);
	dev->count_logged = true;
}

/* The next operation to report has failed: completed() gets no further until its status is asked
 * for. Say so when nobody does.
 */
static void
say_error(struct cbdma_dev *dev, bool *has_error)
{
	*has_error = true;
	rte_errno = EIO;
	if (++dev->unasked == UNASKED_MAX)
		CBDMA_LOG(WARNING, dev->name, "operation %" PRIu64 " failed, which was said %u"
			" times, and nobody asks for its status. An application that never does"
			" needs " CBDMA_ARG_ERRORS "=count", dev->completed, dev->unasked);
}

static __rte_noinline uint16_t
completed_slow(struct cbdma_dev *dev, uint16_t max_ops, uint16_t *last_idx, bool *has_error)
{
	uint16_t count = poll(dev, max_ops);

	while (count < max_ops && is_failed_next(dev)) {
		if (!dev->count_errors) {
			say_error(dev, has_error);
			break;
		}
		pass_over(dev);
		count++;
		count += poll(dev, max_ops - count);
	}
	*last_idx = dev->completed - 1;
	return count;
}

static uint16_t
cbdma_completed(void *dev_private, uint16_t vchan __rte_unused, const uint16_t max_ops,
		uint16_t *last_idx, bool *has_error)
{
	struct cbdma_dev *dev = dev_private;
	uint16_t count = poll_fast(dev, max_ops);

	if (unlikely(count == 0))
		return completed_slow(dev, max_ops, last_idx, has_error);
	*last_idx = dev->completed - 1;
	return count;
}

static uint16_t
cbdma_completed_status(void *dev_private, uint16_t vchan __rte_unused, const uint16_t max_ops,
		uint16_t *last_idx, enum rte_dma_status_code *status)
{
	struct cbdma_dev *dev = dev_private;
	uint16_t n = 0, count;

	while (n < max_ops) {
		for (count = poll(dev, max_ops - n); count > 0; count--)
			status[n++] = RTE_DMA_STATUS_SUCCESSFUL;
		if (n == max_ops || !is_failed_next(dev))
			break;
		status[n++] = report_failed(dev);
	}
	*last_idx = dev->completed - 1;
	return n;
}

/* Silent mode: free the slots of what is done, and keep the channel running. */
void
cbdma_reclaim(struct cbdma_dev *dev)
{
	unsigned int failures = 0;

	poll(dev, UINT16_MAX);
	while (is_failed_next(dev) && failures++ < RECLAIM_FAILURES) {
		report_failed(dev);
		poll(dev, UINT16_MAX);
	}
}

static uint16_t
cbdma_burst_capacity(const void *dev_private, uint16_t vchan __rte_unused)
{
	/* dmadev adds const to what it was handed without; silent mode frees slots here. */
	struct cbdma_dev *dev = (struct cbdma_dev *)(uintptr_t)dev_private;

	if (dev->silent)
		cbdma_reclaim(dev);
	return slots_free(dev);
}

#if CBDMA_HAS_ENQ_DEQ
/* Where the application's structure of an operation is kept. */
static inline struct rte_dma_op **
op_slot(const struct cbdma_dev *dev, uint16_t idx)
{
	return &dev->ops[idx & dev->mask / CBDMA_SLOT];
}

static uint16_t
cbdma_enqueue_ops(void *dev_private, uint16_t vchan, struct rte_dma_op **ops, uint16_t nb_ops)
{
	struct cbdma_dev *dev = dev_private;
	const struct rte_dma_sge *src;
	uint16_t i;
	int idx;

	for (i = 0; i < nb_ops; i++) {
		src = ops[i]->src_dst_seg;
		idx = cbdma_copy_sg(dev, vchan, src, src + ops[i]->nb_src, ops[i]->nb_src,
				ops[i]->nb_dst, ops[i]->flags & ~RTE_DMA_OP_FLAG_SUBMIT);
		if (idx < 0) {
			/* Whether the ring is full or it will never be taken makes a difference. */
			rte_errno = -idx;
			break;
		}
		*op_slot(dev, idx) = ops[i];
	}
	if (i > 0)
		ring_doorbell(dev);
	return i;
}

static uint16_t
cbdma_dequeue_ops(void *dev_private, uint16_t vchan __rte_unused, struct rte_dma_op **ops,
		uint16_t nb_ops)
{
	struct cbdma_dev *dev = dev_private;
	uint16_t n = 0, count, idx;

	while (n < nb_ops) {
		idx = dev->completed;
		for (count = poll(dev, nb_ops - n); count > 0; count--) {
			ops[n] = *op_slot(dev, idx++);
			ops[n++]->status = RTE_DMA_STATUS_SUCCESSFUL;
		}
		if (n == nb_ops || !is_failed_next(dev))
			break;
		ops[n] = *op_slot(dev, idx);
		ops[n++]->status = report_failed(dev);
	}
	return n;
}
#endif

void
cbdma_datapath_init(struct rte_dma_fp_object *fp_obj, const struct cbdma_dev *dev)
{
	fp_obj->copy = cbdma_copy;
	fp_obj->copy_sg = cbdma_copy_sg;
	/* Else the library's stays, which says that it is not supported. */
	if (dev->has_fill)
		fp_obj->fill = cbdma_fill;
	fp_obj->submit = cbdma_submit;
	fp_obj->completed = cbdma_completed;
	fp_obj->completed_status = cbdma_completed_status;
	fp_obj->burst_capacity = cbdma_burst_capacity;
#if CBDMA_HAS_ENQ_DEQ
	fp_obj->enqueue = cbdma_enqueue_ops;
	fp_obj->dequeue = cbdma_dequeue_ops;
#endif
}
