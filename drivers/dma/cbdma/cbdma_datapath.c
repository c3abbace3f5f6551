/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <inttypes.h>

#include <rte_branch_prediction.h>
#include <rte_errno.h>
#include <rte_io.h>

#include "cbdma_internal.h"

/* How far ahead of the slot being written its line is asked for, in order to write it: the device
 * read it last, so it has to come back from another cache first. Further ahead, in a full ring, are
 * slots that the device is about to read.
 */
#define PREFETCH_SLOTS 4

/* A poll that finds nothing asks the device itself, not just the completion word, once in so many:
 * a device that is gone, or that stopped without writing the completion word (CBVER before 3.4),
 * is noticed within milliseconds and an MMIO read is not part of polling.
 */
#define IDLE_POLLS_PER_CHECK (1u << 14)

/* Operations and slots */

static __rte_always_inline uint32_t
slots_free(const struct cbdma_dev *dev)
{
	return dev->limit - dev->head;
}

static __rte_always_inline struct cbdma_desc *
slot_desc(const struct cbdma_dev *dev, uint32_t slot)
{
	return &dev->ring[slot & dev->mask];
}

/* The last operation that is complete once the slot is, see struct cbdma_dev. */
static __rte_always_inline uint64_t
slot_op(const struct cbdma_dev *dev, uint32_t slot)
{
	return slot_desc(dev, slot)->user[0];
}

static __rte_always_inline void
write_desc(struct cbdma_desc *desc, uint64_t op, uint32_t control, uint64_t src, uint64_t dst,
		uint32_t len)
{
	desc->size = len;
	desc->control = control;
	desc->src = src;
	desc->dst = dst;
	desc->user[0] = op;
	/* Near the ring's end that is behind it, which does no harm. */
	__builtin_prefetch(desc + PREFETCH_SLOTS, 1);
}

/* Hand everything enqueued to the device. */
static __rte_always_inline void
ring_doorbell(struct cbdma_dev *dev)
{
	uint32_t head = dev->head;

	/* The descriptors have to be in memory before the device learns of them. The barrier is for
	 * a doorbell in a BAR; the release is for a device model in another thread.
	 */
	rte_io_wmb();
	__atomic_store_n(dev->doorbell, (uint16_t)(head - dev->base), __ATOMIC_RELEASE);
	dev->rung = head;
	dev->submitted = dev->enqueued;
}

/* Complete an enqueue of slots up to head. */
static __rte_always_inline int
enqueue_done(struct cbdma_dev *dev, uint32_t head, uint64_t flags)
{
	uint16_t idx = dev->enqueued;

	dev->head = head;
	dev->enqueued++;
	if (flags & RTE_DMA_OP_FLAG_SUBMIT)
		ring_doorbell(dev);
	return idx;
}

/* Slots that a fence takes in front of the next operation: see write_fence(). */
static __rte_always_inline uint32_t
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
	if (dev->trouble == CBDMA_TROUBLE_LOST)
		return -ENODEV;
	if (dev->capacity == 0)
		return -EINVAL; /* not started */
	if (slots > dev->capacity) {
		if (!dev->small_ring_logged)
			CBDMA_LOG(ERR, dev->name,
				"an operation takes more descriptors than the ring has (%u)"
				" (further ones are not logged)", dev->capacity);
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

/* Order the next operation, at slot head, behind all that were enqueued before it. The device's
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
		slot_desc(dev, head - 1)->control |= CBDMA_DESC_FENCE;
		return 0;
	}
	/* The device may have fetched the one before: a descriptor that does nothing carries it. */
	write_desc(slot_desc(dev, head), dev->enqueued - 1, CBDMA_DESC_FENCE | CBDMA_DESC_NULL,
		0, 0, 1);
	return 1;
}

/* Whatever is not one descriptor that there is room for: longer than the device can do at once,
 * fenced, or too much for the ring.
 */
static __rte_noinline int
enqueue_slow(struct cbdma_dev *dev, uint32_t control, uint64_t src, uint64_t dst, uint32_t len,
		uint64_t flags)
{
	uint32_t slots, step, head;
	int ret;

	if (len == 0)
		return bad_argument(dev, "an operation of length 0");

	slots = (len - 1) / dev->max_len + 1;
	if (slots + fence_slots(dev, flags) > slots_free(dev)) {
		ret = no_space(dev, slots, flags);
		if (ret != 0)
			return ret;
	}

	head = dev->head;
	if (flags & RTE_DMA_OP_FLAG_FENCE)
		head += write_fence(dev);
	for (; len > dev->max_len; len -= step, head++) {
		step = dev->max_len;
		write_desc(slot_desc(dev, head), dev->enqueued - 1,
			control & ~CBDMA_DESC_COMPLETION, src, dst, step);
		/* The source of a fill is its pattern, and max_len a multiple of the pattern. */
		if (control >> CBDMA_DESC_OP_SHIFT == CBDMA_DESC_OP_COPY)
			src += step;
		dst += step;
	}
	write_desc(slot_desc(dev, head), dev->enqueued, control, src, dst, len);
	return enqueue_done(dev, head + 1, flags);
}

static __rte_always_inline int
enqueue(struct cbdma_dev *dev, uint32_t op, uint64_t src, uint64_t dst, uint32_t len,
		uint64_t flags)
{
	const uint32_t control = op << CBDMA_DESC_OP_SHIFT | CBDMA_DESC_COMPLETION;
	uint32_t head = dev->head;

	/* len - 1: 0 wraps round and is too long as well. */
	if (unlikely(len - 1 >= dev->max_len || (flags & RTE_DMA_OP_FLAG_FENCE) ||
			head == dev->limit))
		return enqueue_slow(dev, control, src, dst, len, flags);

	write_desc(slot_desc(dev, head), dev->enqueued, control, src, dst, len);
	return enqueue_done(dev, head + 1, flags);
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
 */
static int
write_sg(struct cbdma_dev *dev, const struct rte_dma_sge *src, const struct rte_dma_sge *dst,
		uint16_t nb_src, uint16_t nb_dst, uint32_t slots, uint32_t free_slots)
{
	const struct rte_dma_sge *const src_end = src + nb_src, *const dst_end = dst + nb_dst;
	const uint32_t first = dev->head + slots, mask = dev->mask;
	const uint64_t op_before = dev->enqueued - 1, max_len = dev->max_len;
	struct cbdma_desc *const ring = dev->ring;
	/* 64 bits, or gcc takes vector registers for the minimum of two lengths. */
	uint64_t src_addr = 0, dst_addr = 0, src_left = 0, dst_left = 0, len;
	uint32_t n = 0;

	free_slots -= slots;
	for (;;) {
		/* To the next byte on each side: segments may be empty. */
		if (src_left == 0) {
			if (src == src_end)
				break;
			src_addr = src->addr;
			src_left = src->length;
			src++;
			continue;
		}
		if (dst_left == 0) {
			if (dst == dst_end)
				break;
			dst_addr = dst->addr;
			dst_left = dst->length;
			dst++;
			continue;
		}

		len = RTE_MIN(RTE_MIN(src_left, dst_left), max_len);
		if (likely(n < free_slots))
			write_desc(&ring[(first + n) & mask], op_before,
				CBDMA_DESC_OP_COPY << CBDMA_DESC_OP_SHIFT, src_addr, dst_addr, len);
		else if (slots + n > mask)
			return slots + n; /* more than the ring has */
		n++;
		src_addr += len;
		dst_addr += len;
		src_left -= len;
		dst_left -= len;
	}
	for (; dst_left == 0 && dst < dst_end; dst++)
		dst_left = dst->length;
	if (unlikely(src_left != dst_left))
		return bad_argument(dev, "a scatter/gather copy with sides of different length");
	if (unlikely(n == 0)) {
		/* Nothing but empty segments: an operation all the same. */
		if (free_slots > 0)
			write_desc(&ring[first & mask], op_before, CBDMA_DESC_NULL, 0, 0, 1);
		n++;
	}
	return slots + n;
}

static int
cbdma_copy_sg(void *dev_private, uint16_t vchan __rte_unused, const struct rte_dma_sge *src,
		const struct rte_dma_sge *dst, uint16_t nb_src, uint16_t nb_dst, uint64_t flags)
{
	struct cbdma_dev *dev = dev_private;
	uint32_t fence, slots;
	struct cbdma_desc *last;
	int ret;

	if (unlikely(src == NULL || dst == NULL || nb_src == 0 || nb_dst == 0))
		return bad_argument(dev, "a scatter/gather copy without segments");

	for (;;) {
		if (unlikely(slots_free(dev) == 0)) {
			ret = no_space(dev, 1, flags);
			if (ret != 0)
				return ret;
		}
		fence = flags & RTE_DMA_OP_FLAG_FENCE ? write_fence(dev) : 0;
		ret = write_sg(dev, src, dst, nb_src, nb_dst, fence, slots_free(dev));
		if (unlikely(ret < 0))
			return ret;
		slots = ret;
		if (likely(slots <= slots_free(dev)))
			break;
		ret = no_space(dev, slots - fence, flags);
		if (ret != 0)
			return ret;
		/* Silent mode made room: write them again. */
	}

	last = slot_desc(dev, dev->head + slots - 1);
	last->control |= CBDMA_DESC_COMPLETION;
	last->user[0] = dev->enqueued;
	return enqueue_done(dev, dev->head + slots, flags);
}

static int
cbdma_submit(void *dev_private, uint16_t vchan __rte_unused)
{
	struct cbdma_dev *dev = dev_private;

	if (likely(dev->head != dev->rung))
		ring_doorbell(dev);
	/* Nobody else would notice an error. */
	if (unlikely(dev->silent))
		cbdma_reclaim(dev);
	return 0;
}

/* Completions */

static __rte_always_inline uint64_t
read_completion(const struct cbdma_dev *dev)
{
	/* Acquire: what the device wrote before the word has to be seen after it. */
	return __atomic_load_n(dev->completion, __ATOMIC_ACQUIRE);
}

/* The slot that the device completed last. */
static __rte_always_inline uint32_t
completed_slot(const struct cbdma_dev *dev, uint64_t word)
{
	uint64_t slot = ((word & CBDMA_CHANSTS_DESC_MASK) - dev->ring_iova) /
			sizeof(struct cbdma_desc);

	/* A chain that halts before its first descriptor is done has address 0 to write. Whatever
	 * else is not in the ring is not ours: nothing new, then.
	 */
	if (unlikely(slot > dev->mask))
		return (dev->base - 1) & dev->mask;
	return slot;
}

/* Operations that are done and not reported, given the slot that was completed last. */
static __rte_always_inline uint64_t
ops_done(const struct cbdma_dev *dev, uint32_t slot)
{
	uint64_t count = slot_op(dev, slot) + 1 - dev->completed;

	/* A device that claims more than it was given claims nothing. */
	return likely(count <= dev->submitted - dev->completed) ? count : 0;
}

/* Report the next count operations, of which the last ends in that slot: theirs are free again. */
static __rte_always_inline void
report(struct cbdma_dev *dev, uint64_t count, uint32_t slot)
{
	dev->tail += (slot + 1 - dev->tail) & dev->mask;
	dev->completed += count;
	cbdma_set_limit(dev);
}

/* The slot that the operation ends in, which is one of those outstanding. */
static __rte_noinline uint32_t
last_slot(const struct cbdma_dev *dev, uint64_t op)
{
	/* No sooner than if each took one slot. */
	uint32_t slot = dev->tail + (op - dev->completed);

	while (slot_op(dev, slot) != op)
		slot++;
	return slot;
}

/* The channel cannot be used any more: until the device is started again, all that is outstanding
 * fails and nothing is taken.
 */
static void
channel_lost(struct cbdma_dev *dev, const char *why)
{
	CBDMA_LOG(ERR, dev->name, "%s: %" PRIu64 " operations fail; stop and start the device", why,
		dev->enqueued - dev->completed);
	dev->submitted = dev->enqueued; /* those that the device was not told of fail as well */
	dev->trouble = CBDMA_TROUBLE_LOST;
	dev->failed_status = RTE_DMA_STATUS_BUS_ERROR;
	dev->capacity = 0;
	cbdma_set_limit(dev);
	dev->lost++;
}

static enum rte_dma_status_code
chanerr_to_status(uint32_t chanerr)
{
	if (chanerr & CBDMA_CHANERR_XSADDERR)
		return RTE_DMA_STATUS_INVALID_SRC_ADDR;
	if (chanerr & CBDMA_CHANERR_XDADDERR)
		return RTE_DMA_STATUS_INVALID_DST_ADDR;
	if (chanerr & CBDMA_CHANERR_DXSERR)
		return RTE_DMA_STATUS_INVALID_LENGTH;
	if (chanerr & CBDMA_CHANERR_DCERR)
		return RTE_DMA_STATUS_INVALID_OPCODE;
	if (chanerr & CBDMA_CHANERR_RDERR)
		return RTE_DMA_STATUS_BUS_READ_ERROR;
	if (chanerr & CBDMA_CHANERR_WDERR)
		return RTE_DMA_STATUS_BUS_WRITE_ERROR;
	if (chanerr & (CBDMA_CHANERR_CUNCORERR | CBDMA_CHANERR_DUNCORERR))
		return RTE_DMA_STATUS_DATA_POISION;
	if (chanerr & (CBDMA_CHANERR_NDADDERR | CBDMA_CHANERR_DERR | CBDMA_CHANERR_CHADDERR))
		return RTE_DMA_STATUS_DESCRIPTOR_READ_ERROR;
	return RTE_DMA_STATUS_ERROR_UNKNOWN;
}

/* The channel halted after the slot: the operation that the next slot belongs to has failed. Start
 * the channel again behind that operation, so that those after it run.
 */
static void
channel_recover(struct cbdma_dev *dev, uint32_t slot)
{
	const uint64_t failed_op = slot_op(dev, slot) + 1;
	uint32_t chanerr = cbdma_read(dev, CBDMA_CH(CBDMA_CHANERR), 4);
	unsigned int bit;

	if (chanerr == UINT32_MAX) {
		channel_lost(dev, "the device is gone");
		return;
	}
	if (failed_op - dev->completed >= dev->submitted - dev->completed) {
		channel_lost(dev, "the channel halted without work");
		return;
	}
	dev->failed_op = failed_op;
	dev->failed_status = chanerr_to_status(chanerr);
	CBDMA_LOG(DEBUG, dev->name, "operation %" PRIu64 " failed, CHANERR %#x", failed_op,
		chanerr);
	for (bit = 0; bit < RTE_DIM(dev->chanerr_count); bit++)
		dev->chanerr_count[bit] += chanerr >> bit & 1;

	/* Go on behind the slot that would have completed the failed operation. */
	slot = last_slot(dev, failed_op) + 1;
	if (cbdma_channel_reset(dev) != 0 || cbdma_channel_arm(dev, slot) != 0) {
		channel_lost(dev, "the channel does not recover from an error");
		return;
	}
	dev->trouble = CBDMA_TROUBLE_FAILED_OP;
	dev->recoveries++;
	/* What the device had been told of it is told of again, from the new start. */
	if (dev->rung != slot)
		__atomic_store_n(dev->doorbell, (uint16_t)(dev->rung - slot), __ATOMIC_RELEASE);
}

/* See to a channel that may have halted.
 *
 * @return the completion word to go on with.
 */
static __rte_noinline uint64_t
see_to_channel(struct cbdma_dev *dev, uint64_t word)
{
	uint64_t chansts;

	/* One error at a time: the next one is seen to when this one has been reported. */
	if (dev->trouble >= CBDMA_TROUBLE_FAILED_OP)
		return word;
	if (dev->submitted == dev->completed) {
		dev->trouble = CBDMA_TROUBLE_NONE;
		return word;
	}
	if (cbdma_state(word) != CBDMA_CHANSTS_HALTED) {
		dev->trouble = CBDMA_TROUBLE_NONE;
		chansts = cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8);
		if (cbdma_channel_is_gone(chansts)) {
			channel_lost(dev, "the device is gone");
			return word;
		}
		if (cbdma_state(chansts) != CBDMA_CHANSTS_HALTED)
			return word;
		word = chansts;
	}
	channel_recover(dev, completed_slot(dev, word));
	return read_completion(dev);
}

/* Report up to max_ops operations that have succeeded, and none behind one that has failed. */
static __rte_always_inline uint16_t
poll(struct cbdma_dev *dev, uint16_t max_ops)
{
	uint64_t word = read_completion(dev), done, count;
	uint32_t slot;

	if (unlikely(cbdma_state(word) > CBDMA_CHANSTS_IDLE || dev->trouble != CBDMA_TROUBLE_NONE))
		word = see_to_channel(dev, word);

	slot = completed_slot(dev, word);
	done = ops_done(dev, slot);
	count = RTE_MIN(done, max_ops);
	if (unlikely(dev->trouble == CBDMA_TROUBLE_FAILED_OP))
		count = RTE_MIN(count, dev->failed_op - dev->completed);
	if (likely(count > 0)) {
		if (count != done)
			slot = last_slot(dev, dev->completed + count - 1);
		report(dev, count, slot);
		dev->idle_polls = 0;
	} else if (dev->submitted != dev->completed && ++dev->idle_polls >= IDLE_POLLS_PER_CHECK) {
		dev->idle_polls = 0;
		if (dev->trouble == CBDMA_TROUBLE_NONE)
			dev->trouble = CBDMA_TROUBLE_SUSPECTED;
	}
	return count;
}

/* Whether the next operation to report has failed. */
static __rte_always_inline bool
is_failed_next(const struct cbdma_dev *dev)
{
	if (likely(dev->trouble < CBDMA_TROUBLE_FAILED_OP))
		return false;
	return dev->trouble == CBDMA_TROUBLE_LOST ? dev->completed != dev->submitted :
						    dev->completed == dev->failed_op;
}

/* Report the next operation, which has failed. */
static enum rte_dma_status_code
report_failed(struct cbdma_dev *dev)
{
	dev->errors++;
	if (dev->trouble == CBDMA_TROUBLE_LOST) {
		dev->completed++;
	} else {
		report(dev, 1, last_slot(dev, dev->completed));
		dev->trouble = CBDMA_TROUBLE_NONE;
	}
	return dev->failed_status;
}

static uint16_t
cbdma_completed(void *dev_private, uint16_t vchan __rte_unused, const uint16_t max_ops,
		uint16_t *last_idx, bool *has_error)
{
	struct cbdma_dev *dev = dev_private;
	uint16_t count = poll(dev, max_ops);

	if (unlikely(count < max_ops && is_failed_next(dev))) {
		*has_error = true;
		rte_errno = EIO;
	}
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
	poll(dev, UINT16_MAX);
	while (is_failed_next(dev)) {
		report_failed(dev);
		poll(dev, UINT16_MAX);
	}
}

/* Whether the device has done all that it was told of. */
bool
cbdma_is_idle(const struct cbdma_dev *dev)
{
	return completed_slot(dev, read_completion(dev)) == ((dev->rung - 1) & dev->mask);
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
		if (idx < 0)
			break;
		dev->ops[idx & dev->mask] = ops[i];
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
			ops[n] = dev->ops[idx++ & dev->mask];
			ops[n++]->status = RTE_DMA_STATUS_SUCCESSFUL;
		}
		if (n == nb_ops || !is_failed_next(dev))
			break;
		ops[n] = dev->ops[idx & dev->mask];
		ops[n++]->status = report_failed(dev);
	}
	return n;
}
#endif

void
cbdma_datapath_init(struct rte_dma_fp_object *fp_obj)
{
	fp_obj->copy = cbdma_copy;
	fp_obj->copy_sg = cbdma_copy_sg;
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
