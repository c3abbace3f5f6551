/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "dm_cbdma_impl.h"
#include "dm_guard.h"

/*
 * The descriptor engine. Works in batches, in three stages:
 *
 *  1. fetch: read descriptors, check them, translate their addresses, prefetch their data;
 *  2. copy: move the bytes (dm_copy.c);
 *  3. complete: count them, write the completion word, interrupt.
 *
 * The memory accesses of many descriptors are under way at the same time; of short copies, which are
 * asked for as a whole, no more than the CPU can have under way: there the second stage follows the
 * first by a group or two.
 *
 * A descriptor that cannot be run ends the fetch. Those before it are then run and completed, and
 * only then does the channel halt with the error.
 */

/* Descriptors per batch: one completion word for each. */
#define BATCH 32

/* Short operations that are copied together. As many are waiting for their data meanwhile. */
#define GROUP 8

/* Bytes after which a batch ends, so that long operations are reported as they finish. */
#define BATCH_BYTES (512u << 10)

/* A longer descriptor is run in pieces of so much, with the lock let go in between. */
#define PIECE_BYTES DM_BURST_BYTES

/* Descriptors that are prefetched ahead of the one that is decoded. */
#define FETCH_AHEAD 32

/* Copies up to so many bytes are prefetched as a whole when they are decoded. */
#define PREFETCH_MAX 256

#define DESC_SIZE sizeof(struct cbdma_desc)

/* DCA and prefetch hints in the control word (Linux drivers/dma/ioat/hw.h): without effect here. */
#define DESC_HINTS (3u << 9)

/* Control words that ask for nothing but a copy. */
#define DESC_PLAIN                                                                                 \
	(CBDMA_DESC_INT_EN | CBDMA_DESC_SRC_SNOOP_DIS | CBDMA_DESC_DST_SNOOP_DIS |                 \
			CBDMA_DESC_COMPLETION | CBDMA_DESC_FENCE | DESC_HINTS)

struct batch {
	struct dm_op op[BATCH];
	unsigned int ops;
	volatile unsigned int copied; /**< of them, while others were still being fetched */
	unsigned int descs; /**< fetched and good; null descriptors make no op */
	uint32_t nulls;	    /**< bit n: descriptor n is such a one */
	uint32_t fences;    /**< bit n: a fence lies behind op n - 1 */
	uint32_t controls;  /**< control words of all, or'ed */
	uint64_t bytes;	    /**< to be copied or filled */
	uint64_t last;	    /**< address of the last one */
	uint64_t marked;    /**< address of the last one with CBDMA_DESC_COMPLETION; 0: none */
	uint32_t chanerr;   /**< why the one behind the last cannot be run; 0: it was not tried */
	volatile bool copying; /**< some are just being copied */
	bool split;	    /**< holds but one descriptor, which is run in pieces: its data lies in
			      * several, or is long */
	bool unfinished;    /**< and not all of them have been */
	bool injected;	    /**< chanerr is */
	struct {
		uint64_t src; /**< address; of a fill, the pattern */
		uint64_t dst;
		uint64_t len;
		bool fill;
	} whole; /**< of a split one: what to do */
};

/* Where iova lies; *len: bytes from there on that lie in one piece. */
static inline uint8_t *
translate(struct dm_tlb *tlb, const struct dm_iommu *iommu, uint64_t iova, uint64_t *len)
{
	uint8_t *va = dm_tlb_lookup(tlb, iova, *len);

	return va != NULL ? va : dm_tlb_fill(tlb, iommu, iova, len);
}

static bool
can_complete(struct dm_cbdma *cb, const struct cbdma_channel *ch)
{
	uint64_t len = sizeof(uint64_t);

	return translate(&cb->write_tlb, cb->dev.iommu, ch->chancmp, &len) != NULL &&
			len == sizeof(uint64_t);
}

static bool
covers(struct dm_cbdma *cb, struct dm_tlb *tlb, uint64_t iova, uint64_t len, bool remote)
{
	return remote ? dm_iommu_covers(cb->dev.iommu, iova, len, tlb->perm)
		      : dm_tlb_covers(tlb, cb->dev.iommu, iova, len);
}

uint32_t
cbdma_check(struct dm_cbdma *cb, const struct cbdma_channel *ch, const struct cbdma_fetched *d,
		bool remote)
{
	uint32_t op = d->control >> CBDMA_DESC_OP_SHIFT;
	uint32_t flags = d->control & ((1u << CBDMA_DESC_OP_SHIFT) - 1);
	bool fill = op == CBDMA_DESC_OP_FILL;
	uint32_t allowed = DESC_PLAIN | (op == CBDMA_DESC_OP_COPY ? CBDMA_DESC_NULL : 0);

	if ((op != CBDMA_DESC_OP_COPY && !fill) || (fill && cb->config.no_fill) ||
			(flags & ~allowed) != 0)
		return CBDMA_CHANERR_DCERR;
	/* A size of 0 is an error even with a null descriptor (Linux drivers/dma/ioat/dma.h). */
	if (d->size == 0 || d->size > 1u << cb->config.xfercap)
		return CBDMA_CHANERR_DXSERR;
	if ((flags & CBDMA_DESC_COMPLETION) && !can_complete(cb, ch) &&
			!(remote && cbdma_completes_remotely(cb, ch)))
		return CBDMA_CHANERR_CMPADDERR;
	if (flags & CBDMA_DESC_NULL)
		return 0;
	if (!fill && !covers(cb, &cb->read_tlb, d->src, d->size, remote))
		return CBDMA_CHANERR_XSADDERR;
	if (!covers(cb, &cb->write_tlb, d->dst, d->size, remote))
		return CBDMA_CHANERR_XDADDERR;
	return 0;
}

/* Decode any descriptor, add it to the batch as an op. @return a CHANERR bit; 0: it is good. */
static uint32_t __attribute__((noinline))
decode(struct dm_cbdma *cb, const struct cbdma_channel *ch, struct batch *b, struct cbdma_fetched d)
{
	bool fill = d.control >> CBDMA_DESC_OP_SHIFT == CBDMA_DESC_OP_FILL;
	struct dm_op *out = &b->op[b->ops];
	uint32_t chanerr = cbdma_check(cb, ch, &d, false);

	if (chanerr != 0 || (!fill && (d.control & CBDMA_DESC_NULL) != 0))
		return chanerr;

	out->len = d.size;
	out->fill = fill;
	out->dst = dm_tlb_lookup(&cb->write_tlb, d.dst, d.size);
	if (fill)
		out->pattern = d.src;
	else
		out->src = dm_tlb_lookup(&cb->read_tlb, d.src, d.size);
	if (out->dst == NULL || (!fill && out->src == NULL) || d.size > PIECE_BYTES) {
		b->split = true;
		b->whole.src = d.src;
		b->whole.dst = d.dst;
		b->whole.len = d.size;
		b->whole.fill = fill;
		b->bytes += d.size;
		return 0;
	}
	b->bytes += d.size;
	b->ops++;
	return 0;
}

/* Ask for the data of a copy: all of a short one; of a long one the first line, as the rest would push
 * out what others have asked for before it is used.
 */
static inline void
prefetch_data(const struct dm_cbdma *cb, const uint8_t *src, const uint8_t *dst, uint32_t len)
{
	const bool wants_dst = dm_copier_wants_dst(&cb->copier, len);
	uint32_t i = 0;

	do {
		__builtin_prefetch(src + i, 0);
		if (wants_dst)
			__builtin_prefetch(dst + i, 1);
		i += 64;
	} while (i < len && len <= PREFETCH_MAX);
}

/* Decode a descriptor of the common kind, a copy all of whose translations are cached.
 *
 * @param slow
 *   Control bits that make it uncommon.
 * @return whether it was one and has been added to the batch.
 */
static inline bool
decode_fast(const struct dm_cbdma *cb, struct batch *b, uint32_t slow, uint32_t max_size,
		struct cbdma_fetched d)
{
	struct dm_op *out = &b->op[b->ops];
	const uint8_t *src = dm_tlb_lookup(&cb->read_tlb, d.src, d.size);
	uint8_t *dst = dm_tlb_lookup(&cb->write_tlb, d.dst, d.size);

	if (__builtin_expect((d.control & slow) != 0 || d.size - 1 >= max_size || src == NULL ||
					    dst == NULL, 0))
		return false;
	prefetch_data(cb, src, dst, d.size);
	out->dst = dst;
	out->src = src;
	out->len = d.size;
	out->fill = 0;
	b->bytes += d.size;
	b->ops++;
	return true;
}

/* The address of the descriptor to fetch next. @return a CHANERR bit; 0: found. */
static uint32_t
next_address(struct dm_cbdma *cb, const struct cbdma_channel *ch, uint64_t *addr)
{
	const volatile struct cbdma_desc *d;
	uint64_t len = DESC_SIZE;

	if (!ch->started) {
		*addr = ch->chainaddr;
		return 0;
	}
	/* Read afresh: the driver may have linked more to it since it was run. */
	d = (void *)translate(&cb->read_tlb, cb->dev.iommu, ch->cdar, &len);
	if (d == NULL || len < DESC_SIZE)
		return CBDMA_CHANERR_NDADDERR;
	*addr = d->next;
	return 0;
}

/* Where the descriptor at addr lies, *room bytes from there on in one piece. NULL: CHANERR *chanerr. */
static const volatile struct cbdma_desc *
locate(struct dm_cbdma *cb, const struct cbdma_channel *ch, uint64_t addr, uint64_t *room,
		uint32_t *chanerr)
{
	uint8_t *va;

	if (addr % DESC_SIZE != 0) {
		*chanerr = ch->started ? CBDMA_CHANERR_DERR : CBDMA_CHANERR_CHADDERR;
		return NULL;
	}
	*room = UINT64_MAX;
	va = dm_tlb_fill(&cb->read_tlb, cb->dev.iommu, addr, room);
	if (va == NULL || *room < DESC_SIZE) {
		*chanerr = ch->started ? CBDMA_CHANERR_NDADDERR : CBDMA_CHANERR_CHADDERR;
		return NULL;
	}
	return (const volatile struct cbdma_desc *)va;
}

/* Stage 2 for the next n operations. */
static void
copy_next(struct dm_cbdma *cb, struct batch *b, unsigned int n)
{
	b->copying = true;
	dm_copier_run(&cb->copier, &b->op[b->copied], n);
	b->copying = false;
	b->copied += n;
}

/* Stage 1. want: descriptors to fetch, at least 1; known: as many as DMACOUNT announces; copy: with
 * stage 2 of all but the last groups, where copies are short.
 */
static void
fetch(struct dm_cbdma *cb, struct cbdma_channel *ch, struct batch *b, unsigned int want,
		unsigned int known, bool copy)
{
	uint32_t slow = ~DESC_PLAIN | (can_complete(cb, ch) ? 0 : CBDMA_DESC_COMPLETION);
	uint32_t max_size = 1u << cb->config.xfercap; /* of one piece */
	const volatile struct cbdma_desc *desc;
	uint64_t addr = 0, room;
	unsigned int n = 0;

	b->ops = b->copied = 0;
	b->copying = false;
	b->fences = b->controls = b->nulls = 0;
	b->bytes = 0;
	b->marked = 0;
	b->split = b->unfinished = false;
	if (max_size > PIECE_BYTES)
		max_size = PIECE_BYTES;
	b->chanerr = next_address(cb, ch, &addr);
	desc = b->chanerr != 0 ? NULL : locate(cb, ch, addr, &room, &b->chanerr);

	while (desc != NULL) {
		struct cbdma_fetched d = {desc->size, desc->control, desc->src, desc->dst};
		uint64_t next = desc->next;

		if (n + FETCH_AHEAD < known)
			__builtin_prefetch((const void *)(desc + FETCH_AHEAD));
		if (!decode_fast(cb, b, slow, max_size, d)) {
			unsigned int ops = b->ops;

			ch->started = true;
			ch->cdar = addr;
			b->chanerr = decode(cb, ch, b, d);
			if (b->chanerr != 0)
				break;
			if (b->split && n > 0) {
				/* Those before it first: it is fetched again, as the next of the last. */
				b->split = false;
				ch->cdar = b->last;
				break;
			}
			if (b->ops == ops && !b->split)
				b->nulls |= 1u << n;
		}
		if (copy && d.size <= PREFETCH_MAX && b->ops - b->copied >= 2 * GROUP)
			copy_next(cb, b, GROUP);
		b->last = addr;
		n++;
		b->controls |= d.control;
		if (d.control & CBDMA_DESC_COMPLETION)
			b->marked = addr;
		if (d.control & CBDMA_DESC_FENCE)
			b->fences |= 1u << (b->ops % BATCH);
		if (n == want || b->bytes >= BATCH_BYTES || __builtin_expect(b->split, 0)) {
			ch->started = true;
			ch->cdar = addr;
			break;
		}

		if (__builtin_expect(next == addr + DESC_SIZE && room >= 2 * DESC_SIZE, 1)) {
			desc++;
			room -= DESC_SIZE;
		} else {
			ch->started = true;
			ch->cdar = addr;
			desc = locate(cb, ch, next, &room, &b->chanerr);
		}
		addr = next;
	}
	b->descs = n;
}

/* Go on with an operation that is long, or whose source or destination lies in several pieces. */
static void
copy_split(struct dm_cbdma *cb, struct cbdma_channel *ch, struct batch *b)
{
	/* What is left: the driver may have made it shorter since. */
	uint64_t start = ch->progress < b->whole.len ? ch->progress : 0;
	uint64_t end, left = b->whole.len - start, src = b->whole.src, dst = b->whole.dst + start;
	unsigned int phase = start * 8 % 64;
	struct dm_op *op = &b->op[0];

	b->unfinished = left > PIECE_BYTES;
	if (b->unfinished)
		left = PIECE_BYTES;
	end = b->unfinished ? start + left : 0;
	if (!b->whole.fill)
		src += start;
	b->ops = 1;
	op->fill = b->whole.fill;
	while (left > 0) {
		uint64_t n = left;

		op->dst = translate(&cb->write_tlb, cb->dev.iommu, dst, &n);
		if (b->whole.fill) {
			/* The pattern goes on where it was, in the middle of it perhaps. */
			op->pattern = phase == 0 ? src : src >> phase | src << (64 - phase);
			phase = (phase + n * 8) % 64;
		} else {
			op->src = translate(&cb->read_tlb, cb->dev.iommu, src, &n);
			src += n;
		}
		op->len = n;
		dm_copier_run(&cb->copier, op, 1);
		dst += n;
		left -= n;
	}
	ch->progress = end;
}

/* Stage 2, last to first between fences. */
static void
copy_reordered(struct dm_cbdma *cb, const struct batch *b)
{
	unsigned int i, first = 0;

	while (first < b->ops) {
		unsigned int end = first + 1;

		while (end < b->ops && (b->fences & (1u << end)) == 0)
			end++;
		for (i = end; i > first; i--)
			cb->copier.cached(&b->op[i - 1], 1);
		first = end;
	}
}

/* Stage 3. @return a CHANERR bit; 0: the completion word could be written. */
static uint32_t
complete(struct dm_cbdma *cb, struct cbdma_channel *ch, const struct batch *b)
{
	uint64_t state = CBDMA_CHANSTS_ACTIVE;
	uint32_t chanerr = 0;

	ch->completed = b->last;
	__atomic_store_n(&ch->ran, (uint16_t)(ch->ran + b->descs), __ATOMIC_RELAXED);
	ch->state = CBDMA_CHANSTS_IDLE;
	if (ch->suspend_due) {
		ch->suspend_due = false;
		cbdma_enter(cb, ch, CBDMA_CHANSTS_SUSPENDED);
	}
	/* The word is CHANSTS as it was when the descriptor that asked for it was done [DS]. */
	if (b->marked == b->last && cbdma_known(ch) == 0 && cbdma_outstanding(ch) == 0)
		state = CBDMA_CHANSTS_IDLE;
	if (b->marked != 0 && __builtin_expect(
			ch->fault.kind == DM_CBDMA_FAULT_COMPLETION && ch->fault.at == 0, 0))
		ch->fault.kind = DM_CBDMA_FAULT_NONE;
	/* That there is a place for it has been checked, that it is still there has not. */
	else if (b->marked != 0 && !cbdma_write_completion(cb, ch, b->marked | state))
		chanerr = CBDMA_CHANERR_CMPADDERR;
	if (b->controls & CBDMA_DESC_INT_EN)
		cbdma_interrupt(cb, ch);
	if (__builtin_expect(ch->fault.kind != DM_CBDMA_FAULT_NONE, 0)) {
		ch->fault.at -= ch->fault.at < b->descs ? ch->fault.at : b->descs;
		cbdma_strike(cb, ch);
	}
	return chanerr;
}

/* How many of want descriptors can be fetched before a fault strikes; 1 when it strikes at that one. */
static unsigned int
limit_to_fault(const struct cbdma_channel *ch, unsigned int want)
{
	if (ch->fault.kind == DM_CBDMA_FAULT_NONE || ch->fault.kind == DM_CBDMA_FAULT_RESET)
		return want;
	if (ch->fault.at == 0)
		return 1;
	return ch->fault.at < want ? ch->fault.at : want;
}

/* Have DMACOUNT as if it had not been written since. The driver may write it again meanwhile. */
static void
lose_doorbell(struct cbdma_channel *ch)
{
	uint16_t rung = ch->seen;

	if (__atomic_compare_exchange_n(ch->doorbell, &rung, ch->ran, false, __ATOMIC_RELAXED,
			__ATOMIC_RELAXED))
		__atomic_store_n(&ch->seen, ch->ran, __ATOMIC_RELAXED);
	ch->fault.kind = DM_CBDMA_FAULT_NONE;
}

/* Stages 1 and 2; with fetch_only, the first of them. */
static void
run_batch(struct dm_cbdma *cb, struct cbdma_channel *ch, struct batch *b, unsigned int want,
		unsigned int known, bool fetch_only)
{
	b->injected = false;
	fetch(cb, ch, b, want, known, !fetch_only && !cb->config.reorder);
	if (__builtin_expect(ch->fault.kind == DM_CBDMA_FAULT_FAIL && ch->fault.at == 0 &&
					    b->chanerr == 0, 0)) {
		b->chanerr = ch->fault.chanerr;
		b->descs = 0;
		b->injected = true;
		ch->fault.kind = DM_CBDMA_FAULT_NONE;
	}
	if (b->descs == 0 || fetch_only)
		return;
	if (b->split) {
		b->copying = true;
		copy_split(cb, ch, b);
	} else if (cb->config.reorder) {
		b->copying = true;
		copy_reordered(cb, b);
	} else {
		copy_next(cb, b, b->ops - b->copied);
	}
}

/* The same, with memory that may not be there. @return whether it was; if not, guard says where. */
static bool __attribute__((noinline))
try_batch(struct dm_cbdma *cb, struct cbdma_channel *ch, struct batch *b, unsigned int want,
		unsigned int known, bool fetch_only, struct dm_guard *guard)
{
	if (dm_guard_set(guard))
		return false;
	run_batch(cb, ch, b, want, known, fetch_only);
	dm_guard_clear();
	return true;
}

static bool
holds(const uint8_t *start, uint64_t len, uintptr_t address)
{
	return address - (uintptr_t)start < len;
}

/* Descriptors of a batch that have been copied when there was nothing at an address: those before
 * the first that goes there for the same kind of access: one before may have read what that must
 * not write. When they are run last to first, those before the fence before it. An address without
 * memory is an error of the address, as if the IOMMU had said so.
 */
static unsigned int
count_copied(const struct dm_cbdma *cb, const struct batch *b, const struct dm_guard *guard,
		uint32_t *chanerr)
{
	const uintptr_t gone = guard->address;
	unsigned int op, desc = 0, copied = 0, known = 0;

	for (op = 0; op < b->ops; op++, desc++) {
		const struct dm_op *o = &b->op[op];
		const bool dst_gone = guard->writing && holds(o->dst, o->len, gone);
		const bool src_gone = guard->reading && !o->fill && holds(o->src, o->len, gone);

		while (b->nulls & (1u << desc))
			desc++;
		if (op == b->copied)
			known = desc;
		if (op < b->copied)
			continue;
		if (!b->copying)
			break;
		*chanerr = guard->unmapped ? CBDMA_CHANERR_XSADDERR : CBDMA_CHANERR_RDERR;
		if (op == b->copied || !cb->config.reorder || (b->fences & (1u << op)) != 0)
			copied = desc;
		if (dst_gone)
			*chanerr = guard->unmapped ? CBDMA_CHANERR_XDADDERR : CBDMA_CHANERR_WDERR;
		if (dst_gone || src_gone)
			return copied;
	}
	return known;
}

/* A batch that needs memory that is gone. One of several descriptors is cut down to those that have
 * been run, and the next are tried one by one; a single one has failed.
 *
 * @param started, cdar
 *   Where the channel was before the batch.
 */
static void
cut_batch(struct dm_cbdma *cb, struct cbdma_channel *ch, struct batch *b, unsigned int want,
		bool started, uint64_t cdar, struct dm_guard *guard)
{
	uint32_t chanerr = started ? CBDMA_CHANERR_NDADDERR : CBDMA_CHANERR_CHADDERR;
	const unsigned int copied = count_copied(cb, b, guard, &chanerr);

	if (want == 1 && b->copying) {
		started = true;
		cdar = b->last;
	}
	ch->started = started;
	ch->cdar = cdar;
	b->descs = 0;
	b->bytes = 0;
	b->chanerr = want == 1 ? chanerr : 0;
	if (copied > 0 && !try_batch(cb, ch, b, copied, copied, true, guard))
		b->descs = 0;
	/* Stores past the caches of the copies that were cut short come before a completion that
	 * tells of them. A fence that TSan knows.
	 */
	__atomic_exchange_n(&b->bytes, b->bytes, __ATOMIC_SEQ_CST);
}

/* A batch that has ended at a descriptor that cannot be run here: with messages perhaps it can. Those
 * before it come first: it is fetched again then, as the next of the last.
 *
 * @return whether to go on.
 */
static bool __attribute__((noinline))
go_remote(struct dm_cbdma *cb, struct cbdma_channel *ch, struct batch *b, bool started,
		uint64_t cdar)
{
	struct cbdma_outcome out;

	b->chanerr = 0;
	if (b->descs > 0) {
		ch->started = true;
		ch->cdar = b->last;
		return true;
	}
	ch->started = started;
	ch->cdar = cdar;
	cbdma_run_remote(cb, ch, &out);
	if (out.again)
		return false;
	b->chanerr = out.chanerr;
	b->descs = out.chanerr == 0;
	b->bytes = out.bytes;
	b->last = out.address;
	b->controls = out.control;
	b->marked = out.control & CBDMA_DESC_COMPLETION ? out.address : 0;
	return true;
}

static unsigned int
run_channel(struct dm_cbdma *cb, struct cbdma_channel *ch, unsigned int max)
{
	unsigned int done = 0, limit = BATCH;
	uint64_t bytes = 0;
	struct dm_guard guard;
	struct batch b;

	if (__builtin_expect(ch->owed != 0, 0))
		cbdma_pay_completion(cb, ch);
	/* Bus mastering may have ended while an answer was waited for. */
	while (done < max && bytes < DM_BURST_BYTES && ch->runnable && ch->owed == 0 &&
			cb->dev.bus_master) {
		const bool started = ch->started;
		const uint64_t cdar = ch->cdar;
		unsigned int known = cbdma_known(ch), want;

		if (known == 0) {
			__atomic_store_n(&ch->seen, cbdma_dmacount(ch), __ATOMIC_RELAXED);
			known = cbdma_known(ch);
			if (known == 0)
				break;
		}
		if (__builtin_expect(ch->fault.kind == DM_CBDMA_FAULT_DOORBELL &&
				ch->fault.at == 0, 0)) {
			lose_doorbell(ch);
			continue;
		}
		want = known < max - done ? known : max - done;
		want = limit_to_fault(ch, want < limit ? want : limit);
		if (__builtin_expect(!try_batch(cb, ch, &b, want, known, false, &guard), 0)) {
			cut_batch(cb, ch, &b, want, started, cdar, &guard);
			limit = 1;
		} else if (b.unfinished) {
			/* It is fetched again, as the next of the last. */
			ch->started = started;
			ch->cdar = cdar;
			cb->dev.unfinished = true;
			break;
		} else if (__builtin_expect(b.chanerr != 0 && cb->dev.remote.access != NULL &&
					!b.injected, 0)) {
			if (!go_remote(cb, ch, &b, started, cdar))
				break;
		}
		if (b.descs > 0) {
			b.chanerr |= complete(cb, ch, &b);
			done += b.descs;
			bytes += b.bytes;
		}
		if (b.chanerr != 0)
			cbdma_halt(cb, ch, b.chanerr);
		if (__builtin_expect(ch->owed != 0, 0))
			cbdma_pay_completion(cb, ch);
	}
	return done;
}

unsigned int
cbdma_run(struct dm_device *dev, unsigned int max)
{
	struct dm_cbdma *cb = (struct dm_cbdma *)dev;
	uint64_t generation = dm_iommu_generation(dev->iommu);
	unsigned int i, done = 0;

	if (cb->generation != generation) {
		dm_tlb_flush(&cb->read_tlb);
		dm_tlb_flush(&cb->write_tlb);
		cb->generation = generation;
	}
	for (i = 0; i < cb->config.channels && done < max && dev->bus_master; i++) {
		unsigned int turn = (cb->next_channel + i) % cb->config.channels;

		done += run_channel(cb, &cb->channel[turn], max - done);
	}
	cb->next_channel = (cb->next_channel + 1) % cb->config.channels;
	return done;
}
