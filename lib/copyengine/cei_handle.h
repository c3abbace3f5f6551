/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_HANDLE_H
#define CEI_HANDLE_H

/*
 * What a handle is made of: the data that its calls, arbitration, cyclic transfers and telemetry work
 * on. The calls (ce_adapter.c) use these three, which do not know them.
 */

#include "cei_debug.h"
#include "cei_stream.h"

struct ce_adapter {
	struct ce_stream streams[CE_MAX_CHANNELS]; /* first, see cei_context() */
	struct ce_context context;
	struct ce_adapter_conf conf;
	int16_t dev_ids[CE_MAX_CHANNELS];
	unsigned int nb_queues;
	struct ce_queue *queues[CE_MAX_CHANNELS]; /* that it has, or its controller */
	uint16_t taken[CE_MAX_CHANNELS]; /* map registers of the queue that are the handle's */
	uint32_t map_registers;
	uint32_t budget;   /* map registers that are free, of a plain handle */
	uint32_t reserved; /* map registers of cyclic transfers, which are not free */
	unsigned int nb_streams; /* 1, or one for each of a controller's channels */
	uint32_t stream_budgets[CE_MAX_CHANNELS]; /* of a controller's handle */
	LIST_HEAD(, ce_cyclic) cyclics;
	bool polling;	/* in ce_poll(): no second one */
	bool closing;
	uint32_t id;
	LIST_ENTRY(ce_adapter) link; /* of all handles, for telemetry */
	atomic_int inside; /* thread that is in a call, when built with CE_DEBUG */

	struct ce_controller *controller;
	TAILQ_HEAD(, ce_request) granted; /* under the controller's lock */
	atomic_uint nb_granted;		  /* so that a poll need not take it */
	uint32_t nb_requests;		  /* not idle */
	LIST_HEAD(, ce_request) requests; /* not idle */
	bool delivering;
};
static_assert(offsetof(struct ce_adapter, streams) == 0, "see cei_context()");

/* What ce_channel_request.opaque is. */
struct ce_request {
	/* Of the requester's thread: */
	LIST_ENTRY(ce_request) of_owner;
	uint8_t state;
	bool in_cb;
	bool releasing; /* when its transfers have finished */
	bool granted;	/* under the controller's lock */
	uint16_t map_registers;
	uint16_t channel;
	uint32_t budget;    /* free map registers */
	uint32_t transfers; /* that have not finished, and cyclic ones that have not ended */
	struct ce_adapter *owner; /* handle that it was made with */
	struct ce_stream *stream; /* of the handle, on the channel it has */
	TAILQ_ENTRY(ce_request) link; /* in the queue, or granted to the owner; under the lock */
};
static_assert(sizeof(struct ce_request) <= sizeof(((struct ce_channel_request *)0)->opaque),
	"the private part of a request does not fit");

enum {
	CE_REQUEST_IDLE,
	CE_REQUEST_ASKED, /* not called back yet */
	CE_REQUEST_HELD,  /* has a channel */
	CE_REQUEST_KEPT,  /* has map registers only */
};

static inline struct ce_request *
cei_request(const struct ce_channel_request *request)
{
	return (struct ce_request *)(uintptr_t)request->opaque;
}

#endif /* CEI_HANDLE_H */
