/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_STREAM_H
#define CEI_STREAM_H

/*
 * Transfers in order: begun in the order of submission, by whichever way, and finished in it. A
 * handle has a stream for what is submitted to it, and so has each cyclic transfer, and each channel
 * that a controller's handle may be given.
 */

#include <assert.h>
#include <sys/queue.h>

#include "cei_context.h"
#include "cei_queue.h"

/* Pieces that one call looks at, and bytes that it has the CPU copy. */
#define CE_PIECES_PER_CALL (4 * CE_BURST)
#define CE_CPU_PER_CALL	   (256u << 10)

/* What a piece is. */
#define CE_PIECE_ENGINE RTE_BIT32(0) /* an operation */
#define CE_PIECE_CPU	RTE_BIT32(1) /* done when it was started */
#define CE_PIECE_BOUNCE RTE_BIT32(2) /* through the first of the stream's bounce buffers */
#define CE_PIECE_LAST	RTE_BIT32(3) /* the transfer ends with it; each has one */
#define CE_PIECE_ONLY	RTE_BIT32(4) /* and begins with it, and nothing private of it is set */
#define CE_PIECE_FIFO	RTE_BIT32(5) /* an operation on a window, all of which are on one channel */

/*
 * What is known of a part of a transfer that was started. All zero stands for the whole of the transfer
 * by the way that the stream has: its only port, or the CPU. See ce_fast.c.
 */
struct ce_piece {
	uint32_t length;
	uint16_t kind;
	uint16_t port;
};

/* Where the fast path has last found memory. */
struct ce_fast_side {
	uintptr_t start;
	uintptr_t end;
	uint64_t room; /* a transfer that begins less than that behind the start ends in here */
	rte_iova_t iova;
};

/*
 * The fast path is for transfers that are one operation of an engine that only this stream uses, while
 * nothing waits. That is looked at when it is opened, at the end of whatever could change it; then
 * all that is left to look at is the transfer. What was started is booked when it is closed, see
 * cei_fast_close().
 */
struct ce_fast {
	uint32_t end;	     /* closed when the stream's head gets there: no room, or a sample */
	uint32_t room_end;   /* ... no room */
	uint32_t booked;     /* the head up to which all is booked */
	uint32_t generation; /* of DPDK's memory, that the sides are of */
	bool open;
	bool silent;	     /* the device was not told of some that were started */
	uint64_t length;     /* transfers so long are for it, ... */
	uint64_t least;	     /* ... and from this to least + span */
	uint64_t span;
	struct ce_fast_side src, dst;
	int16_t dev_id;
	uint16_t vchan;
};

/* The head of a bounce buffer in use; the data comes behind it. */
struct ce_bounce {
	STAILQ_ENTRY(ce_bounce) link;
	bool out; /* to be copied to dst when the operation is done */
	struct ce_cursor dst;
};
#define CE_BOUNCE_HEAD RTE_ALIGN_CEIL(sizeof(struct ce_bounce), (size_t)RTE_CACHE_LINE_SIZE)

struct ce_stream {
	/* What was started, in order: whose it is, and what. A transfer's pieces follow each other. */
	struct ce_transfer **transfers;
	struct ce_piece *pieces;
	uint32_t mask;
	uint32_t head;	   /* count of what was started; telemetry reads it */
	uint32_t tail;	   /* count of what has been accounted for */
	uint32_t nb_other; /* pieces in the ring that are not the fast path's */
	struct ce_fast fast;
	struct ce_context *context;
	uint32_t barrier;  /* a fence: nothing behind it begins before tail gets there */
	bool fenced;	   /* there is one */
	int refuses;	   /* 0; or the negative errno that ce_submit() returns */
	uint16_t nb_ports;
	uint16_t turn; /* port of the next piece, when there are several */
	uint32_t *budget; /* map registers that are free */
	struct ce_port *ports;
	struct ce_transfer *sampled; /* whose latency is taken */
	uint32_t sampled_at;	     /* its first piece */
	uint32_t sample_next;	     /* the head from which on a sample is due */
	uint64_t sampled_tsc;
	uint32_t nb_bounce_out;
	STAILQ_HEAD(, ce_bounce) bounces;
	TAILQ_HEAD(, ce_transfer_private) waiting; /* have something left to start */
};

/* Private flags of a transfer, above CE_TRANSFER_*. */
#define CE_TRANSFER_WAITING RTE_BIT32(31) /* in the list of those that wait */
#define CE_TRANSFER_BEGUN   RTE_BIT32(30) /* a piece was started, or would have been */
#define CE_TRANSFER_PUBLIC  (CE_TRANSFER_FENCE | CE_TRANSFER_MORE | CE_TRANSFER_FILL)

/* What ce_transfer.opaque is. */
struct ce_transfer_private {
	TAILQ_ENTRY(ce_transfer_private) link; /* among those that wait */
	uint64_t left;	  /* not started */
	uint64_t retired; /* pieces that are back, whether they failed or not */
	int error;
	uint32_t *budget; /* where its map registers are from */
	void (*hook)(struct ce_transfer *transfer, void *owner); /* before its callback */
	void *owner;
	struct ce_cursor src_at;
	struct ce_cursor dst_at;
};
static_assert(sizeof(struct ce_transfer_private) <= sizeof(((struct ce_transfer *)0)->opaque),
	"the private part of a transfer does not fit");

static inline struct ce_transfer_private *
cei_private(struct ce_transfer *t)
{
	return (struct ce_transfer_private *)t->opaque;
}

static inline struct ce_transfer *
cei_transfer(struct ce_transfer_private *p)
{
	return (struct ce_transfer *)RTE_PTR_SUB(p, offsetof(struct ce_transfer, opaque));
}

/* A handle begins with a stream, see cei_handle.h. */
static inline struct ce_context *
cei_context(struct ce_adapter *adapter)
{
	return ((struct ce_stream *)adapter)->context;
}

static inline bool
cei_stream_busy(const struct ce_stream *s)
{
	return s->head != s->tail || !TAILQ_EMPTY(&s->waiting);
}

/* 0, or the negative errno that a dead stream refuses with. */
static inline int
cei_stream_dead(const struct ce_stream *s)
{
	int ret = 0;
	uint16_t i;

	for (i = 0; ret == 0 && i < s->nb_ports; i++)
		ret = cei_queue_dead(s->ports[i].queue);
	return ret;
}

static inline bool
cei_ring_is_full(const struct ce_stream *s)
{
	return s->head - s->tail > s->mask;
}

/* Whether everything before the last fence is done. */
static inline bool
cei_fence_is_passed(struct ce_stream *s)
{
	if (s->fenced && (int32_t)(s->tail - s->barrier) >= 0)
		s->fenced = false;
	return !s->fenced;
}

/* Book what was started other than by the fast path, which stays closed. */
static inline void
cei_stream_advance(struct ce_stream *s)
{
	/* In this order, for whoever takes their difference meanwhile. */
	CE_COUNT(s->fast.booked, 1);
	CE_COUNT(s->head, 1);
	s->fast.end = s->head;
	s->fast.room_end = s->head;
}

/* Book a piece that was started, other than by the fast path. */
static inline void
cei_piece_push(
	struct ce_stream *s, struct ce_transfer *t, uint64_t length, uint16_t kind, uint16_t port)
{
	const uint32_t at = s->head & s->mask;

	s->transfers[at] = t;
	s->pieces[at].length = length;
	s->pieces[at].kind = kind;
	s->pieces[at].port = port;
	s->nb_other++;
	cei_stream_advance(s);
}

/* ce_piece.c */
int cei_piece_start(struct ce_stream *s, struct ce_transfer *t, uint64_t *cpu);
void cei_bounce_done(struct ce_stream *s, uint32_t length, int status);

/* ce_stream.c */
int cei_stream_init(struct ce_stream *s, struct ce_context *context, struct ce_queue **queues,
	unsigned int nb_queues, uint32_t operations, uint32_t *budget);
void cei_stream_fini(struct ce_stream *s);
int cei_stream_submit(
	struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count);
int cei_stream_missed(struct ce_stream *s, struct ce_transfer *t);
int cei_stream_refused(struct ce_stream *s);
void cei_stream_refuse(struct ce_stream *s, int refuses);
void cei_latency_take(struct ce_stream *s);
int64_t cei_stream_start_partly(struct ce_stream *s, struct ce_transfer *t, uint32_t *budget,
	void (*hook)(struct ce_transfer *transfer, void *owner), void *owner);
unsigned int cei_stream_poll(
	struct ce_stream *s, struct ce_transfer **finished, unsigned int max, unsigned int *stored);
void cei_stream_doorbell(struct ce_stream *s);
int cei_stream_cancel(struct ce_stream *s, struct ce_transfer *t);
void cei_stream_cancel_all(struct ce_stream *s);
int cei_transfer_direct(struct ce_stream *s, struct ce_transfer *t, const struct ce_segment *dst,
	const struct ce_segment *src);

#endif /* CEI_STREAM_H */
