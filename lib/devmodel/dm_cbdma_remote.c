/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include "dm_cbdma_impl.h"
#include "dm_guard.h"

/*
 * Descriptors that need memory of another process, which takes a message and its answer for each
 * access (dm_device_set_remote()): one at a time, by way of a buffer, in order. The lock is let go
 * while a message is under way, so that registers answer: whoever has to answer may be waiting for
 * just that. What has changed meanwhile is looked at after each.
 */

#define DESC_SIZE sizeof(struct cbdma_desc)

enum result {
	DONE,
	MISSING, /**< not mapped, or not for this */
	GONE,	 /**< mapped, and yet it cannot be accessed */
	CHANGED, /**< no more wanted, or not now */
};

/* @return whether the memory is there. */
static bool __attribute__((noinline))
copy_guarded(struct dm_cbdma *cb, uint8_t *dst, const uint8_t *src, uint32_t len)
{
	const struct dm_op op = {.dst = dst, .src = src, .len = len};
	struct dm_guard guard;

	if (dm_guard_set(&guard))
		return false;
	cb->copier.cached(&op, 1);
	dm_guard_clear();
	return true;
}

/* Whether the channel is as it was, and may go on. */
static bool
is_wanted(const struct dm_cbdma *cb)
{
	const struct cbdma_channel *ch = cb->asked.ch;

	return ch->epoch == cb->asked.epoch && cb->dev.bus_master && (!ch->busy || ch->runnable);
}

static bool
is_mapped(const struct dm_cbdma *cb)
{
	return dm_iommu_covers(cb->dev.iommu, cb->asked.iova, cb->asked.len, cb->asked.perm);
}

bool
cbdma_wants_remote(const struct dm_device *dev)
{
	const struct dm_cbdma *cb = (const struct dm_cbdma *)dev;

	return is_wanted(cb) && is_mapped(cb);
}

static enum result
access_remote(struct dm_cbdma *cb, const struct cbdma_channel *ch, uint32_t perm, uint64_t iova,
		void *data, uint64_t len)
{
	int ret;

	cb->asked.ch = ch;
	cb->asked.epoch = ch->epoch;
	cb->asked.perm = perm;
	cb->asked.iova = iova;
	cb->asked.len = len;
	ret = dm_device_access_remote(&cb->dev, perm == DM_WRITE, iova, data, len);
	cbdma_sync_tlb(cb);
	if (!is_wanted(cb))
		return CHANGED;
	if (ret == 0)
		return DONE;
	if (!is_mapped(cb))
		return MISSING;
	/* It was not wanted, or not mapped, for a moment. */
	return ret == -ECANCELED ? CHANGED : GONE;
}

/* Read (DM_READ) or write (DM_WRITE) what lies in this process, in another one, or in both. */
static enum result
access_memory(struct dm_cbdma *cb, struct cbdma_channel *ch, uint32_t perm, uint64_t iova,
		void *buffer, uint64_t len)
{
	uint8_t *data = buffer;
	enum result result;
	bool copied;

	while (len > 0) {
		const struct dm_iova_range *range = dm_iommu_find(cb->dev.iommu, iova);
		uint64_t n = len;

		if (range == NULL || (range->perm & perm) == 0)
			return MISSING;
		if (n > range->end - iova)
			n = range->end - iova;
		if (range->va != NULL) {
			uint8_t *va = range->va + (iova - range->start);

			copied = perm == DM_READ ? copy_guarded(cb, data, va, n)
						 : copy_guarded(cb, va, data, n);
			if (!copied)
				return GONE;
		} else {
			if (cb->dev.remote.max == 0)
				return GONE;
			if (n > cb->dev.remote.max)
				n = cb->dev.remote.max;
			result = access_remote(cb, ch, perm, iova, data, n);
			if (result != DONE)
				return result;
		}
		data += n;
		iova += n;
		len -= n;
	}
	return DONE;
}

bool
cbdma_completes_remotely(const struct dm_cbdma *cb, const struct cbdma_channel *ch)
{
	const struct dm_iova_range *range = dm_iommu_find(cb->dev.iommu, ch->chancmp);

	return cb->dev.remote.access != NULL && range != NULL && range->va == NULL &&
		(range->perm & DM_WRITE) != 0 && range->end - ch->chancmp >= sizeof(uint64_t);
}

void
cbdma_pay_completion(struct dm_cbdma *cb, struct cbdma_channel *ch)
{
	uint64_t word = ch->owed;
	enum result result = access_memory(cb, ch, DM_WRITE, ch->chancmp, &word, sizeof(word));

	/* While the lock was let go it may have been forgotten, or another one may have come. */
	if (result == CHANGED || (result == DONE && ch->owed != word && ch->owed != 0))
		return;
	/* That it cannot be written cannot be told by it. */
	if (result != DONE)
		cbdma_halt(cb, ch, CBDMA_CHANERR_CMPADDERR);
	__atomic_store_n(&ch->owed, 0, __ATOMIC_RELAXED);
	if (ch->interrupt_owed) {
		ch->interrupt_owed = false;
		cbdma_interrupt(cb, ch);
	}
}

/* Find the next descriptor and read it. @return a CHANERR bit; 0: found, or out->again. */
static uint32_t
fetch_remote(struct dm_cbdma *cb, struct cbdma_channel *ch, struct cbdma_outcome *out,
		struct cbdma_desc *desc)
{
	const bool started = ch->started;
	enum result result = DONE;
	uint64_t address = ch->chainaddr;

	/* Read afresh: the driver may have linked more to it since it was run. */
	if (started)
		result = access_memory(cb, ch, DM_READ,
			ch->cdar + offsetof(struct cbdma_desc, next), &address, sizeof(address));
	if (result == DONE && address % DESC_SIZE != 0)
		return started ? CBDMA_CHANERR_DERR : CBDMA_CHANERR_CHADDERR;
	if (result == DONE)
		result = access_memory(cb, ch, DM_READ, address, desc, DESC_SIZE);
	out->again = result == CHANGED;
	out->address = address;
	if (result == MISSING || result == GONE)
		return started ? CBDMA_CHANERR_NDADDERR : CBDMA_CHANERR_CHADDERR;
	return 0;
}

/* @return a CHANERR bit; 0: moved. */
static uint32_t
move_piece(struct dm_cbdma *cb, struct cbdma_channel *ch, struct cbdma_outcome *out,
		const struct cbdma_fetched *d, uint64_t done, uint64_t len)
{
	const bool fill = d->control >> CBDMA_DESC_OP_SHIFT == CBDMA_DESC_OP_FILL;
	const struct dm_op pattern = {
		.dst = cb->dev.bounce, .pattern = d->src, .len = len, .fill = true};
	enum result result = DONE;

	if (fill)
		cb->copier.cached(&pattern, 1);
	else
		result = access_memory(cb, ch, DM_READ, d->src + done, cb->dev.bounce, len);
	if (result == MISSING || result == GONE)
		return result == MISSING ? CBDMA_CHANERR_XSADDERR : CBDMA_CHANERR_RDERR;
	if (result == DONE)
		result = access_memory(cb, ch, DM_WRITE, d->dst + done, cb->dev.bounce, len);
	out->again = result == CHANGED;
	if (result == MISSING || result == GONE)
		return result == MISSING ? CBDMA_CHANERR_XDADDERR : CBDMA_CHANERR_WDERR;
	return 0;
}

/* Move the data, or as much of it as there is between two looks at other channels. */
static uint32_t
move_data(struct dm_cbdma *cb, struct cbdma_channel *ch, struct cbdma_outcome *out,
		const struct cbdma_fetched *d)
{
	/* What is left: the driver may have made it shorter since. */
	uint64_t done = ch->progress < d->size ? ch->progress : 0, stop = done + DM_BURST_BYTES;
	uint32_t chanerr;

	static_assert(DM_BOUNCE_BYTES % 8 == 0, "a pattern starts anew with each piece");
	while (done < d->size) {
		uint64_t n = d->size - done < DM_BOUNCE_BYTES ? d->size - done : DM_BOUNCE_BYTES;

		chanerr = move_piece(cb, ch, out, d, done, n);
		if (chanerr != 0 || out->again)
			return chanerr;
		done += n;
		if (done >= stop && done < d->size) {
			ch->progress = done;
			cb->dev.unfinished = true;
			out->again = true;
			return 0;
		}
	}
	ch->progress = 0;
	return 0;
}

/* @return a CHANERR bit; 0: run, or out->again. */
static uint32_t
run_one(struct dm_cbdma *cb, struct cbdma_channel *ch, struct cbdma_outcome *out)
{
	struct cbdma_desc desc = {0};
	struct cbdma_fetched d;
	uint32_t chanerr = fetch_remote(cb, ch, out, &desc);

	if (chanerr != 0 || out->again)
		return chanerr;
	d = (struct cbdma_fetched){desc.size, desc.control, desc.src, desc.dst};
	out->control = d.control;
	ch->started = true;
	ch->cdar = out->address;
	chanerr = cbdma_check(cb, ch, &d, true);
	if (chanerr == 0 && ch->fault.kind == DM_CBDMA_FAULT_FAIL && ch->fault.at == 0) {
		chanerr = ch->fault.chanerr;
		ch->fault.kind = DM_CBDMA_FAULT_NONE;
	}
	if (chanerr != 0 || (d.control >> CBDMA_DESC_OP_SHIFT == CBDMA_DESC_OP_COPY &&
				    (d.control & CBDMA_DESC_NULL) != 0))
		return chanerr;
	out->bytes = d.size;
	return move_data(cb, ch, out, &d);
}

void
cbdma_run_remote(struct dm_cbdma *cb, struct cbdma_channel *ch, struct cbdma_outcome *out)
{
	const unsigned int epoch = ch->epoch;
	const bool started = ch->started;
	const uint64_t cdar = ch->cdar;

	memset(out, 0, sizeof(*out));
	ch->busy = true;
	out->chanerr = run_one(cb, ch, out);
	ch->busy = false;
	/* It is fetched again, as the next of the last, unless that is forgotten. */
	if (out->again && ch->epoch == epoch) {
		ch->started = started;
		ch->cdar = cdar;
	}
}
