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
#define CE_PIECE_ENGINE RTE_BIT32(0) /* an operation; else done when it was started */
#define CE_PIECE_BOUNCE RTE_BIT32(1) /* through the first of the stream's bounce buffers */
#define CE_PIECE_LAST	RTE_BIT32(2) /* the transfer ends with it; each has one */
#define CE_PIECE_ONLY	RTE_BIT32(3) /* and begins with it, and nothing private of it is set */
#define CE_PIECE_FIFO	RTE_BIT32(4) /* an operation on a window, all of which are on one channel */

/* A part of a transfer that was started. */
struct ce_piece {
	struct ce_transfer *transfer;
	uint32_t length;
	uint16_t kind;
	uint16_t port;
};

/* The head of a bounce buffer in use; the data comes behind it. */
struct ce_bounce {
	STAILQ_ENTRY(ce_bounce) link;
	bool out; /* to be copied to dst when the operation is done */
	struct ce_cursor dst;
};
#define CE_BOUNCE_HEAD RTE_ALIGN_CEIL(sizeof(struct ce_bounce), (size_t)RTE_CACHE_LINE_SIZE)

struct ce_stream {
	struct ce_context *context;
	struct ce_piece *ring; /* what was started, in order: a transfer's pieces follow each other */
	uint32_t mask;
	uint32_t head;	   /* count of what was started */
	uint32_t tail;	   /* count of what has been accounted for */
	uint32_t barrier;  /* a fence: nothing behind it begins before tail gets there */
	bool fenced;	   /* there is one */
	bool polling;
	uint16_t nb_ports;
	uint16_t turn; /* port of the next piece, when there are several */
	uint32_t *budget; /* map registers that are free */
	struct ce_port *ports;
	struct ce_transfer *sampled; /* whose latency is taken */
	uint64_t sampled_tsc;
	uint32_t calls;
	uint32_t nb_bounce_out;
	uint32_t waiting_count;
	STAILQ_HEAD(, ce_bounce) bounces;
	TAILQ_HEAD(, ce_transfer_private) waiting; /* have something left to start */
};

/* Private flags of a transfer, above CE_TRANSFER_*. */
#define CE_TRANSFER_WAITING RTE_BIT32(31) /* in the list of those that wait */
#define CE_TRANSFER_BEGUN   RTE_BIT32(30) /* a piece was started, or would have been */
#define CE_TRANSFER_OWNS    RTE_BIT32(29) /* its lists are freed with it */
#define CE_TRANSFER_FENCES  RTE_BIT32(28) /* its first operation is to carry a fence */
#define CE_TRANSFER_PUBLIC  (CE_TRANSFER_FENCE | CE_TRANSFER_MORE | CE_TRANSFER_FILL)

/* What ce_transfer.opaque is. */
struct ce_transfer_private {
	TAILQ_ENTRY(ce_transfer_private) link; /* among those that wait */
	uint64_t left;	  /* not started */
	uint64_t retired; /* pieces that are back, whether they failed or not */
	int error;
	uint32_t reserved;
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

int cei_stream_init(struct ce_stream *s, struct ce_context *context, struct ce_queue **queues,
	unsigned int nb_queues, uint32_t operations, uint32_t *budget);
void cei_stream_fini(struct ce_stream *s);
int cei_stream_submit(
	struct ce_stream *s, struct ce_transfer *const *transfers, unsigned int count);
int cei_stream_submit_one(struct ce_stream *s, struct ce_transfer *t);
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
