/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_TEST_RANDOM_H
#define CE_TEST_RANDOM_H

/* What the parts of the random test share: a thread, its handles, and what it has under way. */

#include "common.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS	 3
#define JOBS	 24 /* transfers of a thread */
#define REQUESTS 3  /* channel requests of a thread */
#define LANE	 64 /* more than JOBS */
#define LONGEST	 20000
#define GUARD	 64

struct thread;

/* Transfers that finish in the order of their submission: of a handle, or of a channel of one. */
struct lane {
	struct job *jobs[LANE];
	unsigned int head, tail;
};

struct handle {
	struct ce_adapter *adapter;
	bool controlled;  /* of the controller */
	bool no_engine;
	bool dead;	  /* refuses transfers: time for another */
	bool closing;
	bool registered;  /* the thread's memory */
	bool register_fails;
	uint32_t max_segment, bounce_size;
	struct lane lanes[2];
	/* What its counters must say. */
	uint64_t ok, failed, bytes;
	bool cycled; /* they count cyclic transfers as well */
};

/* How a side of a transfer is described. */
enum side {
	REACHED, /* memory that the engine reaches */
	OTHER,	 /* memory that it does not reach, unless registered */
	WINDOW,	 /* what the CPU does not reach: by IOVA */
	FIFO,	 /* as well, and it stands still */
	SIDES,
};

struct job {
	struct ce_transfer transfer;
	struct thread *thread;
	struct handle *handle;
	struct lane *lane;
	struct request *request; /* that it was mapped by */
	struct job *before;	 /* whose destination it reads, behind a fence */
	unsigned int pins;	 /* jobs that read its destination */
	enum side from, to;
	uint32_t fifo; /* bytes of the window of either side */
	uint8_t *memory[2][2]; /* of source and destination: reached, other */
	uint8_t *src, *dst;
	struct rte_mbuf *packet, *copy;
	uint8_t expected[LONGEST];
	bool busy, called, stored, cancelled;
	bool unsure; /* what it reads could not be written */
	bool lists;  /* are the test's to be freed */
};

enum state { IDLE, ASKED, HELD, KEPT, RELEASING };

struct request {
	struct ce_channel_request request;
	struct thread *thread;
	enum state state;
	uint64_t order;
	bool in_cb;
};

/* A cyclic transfer. Positions count periods. */
struct cycle {
	struct ce_cyclic *cyclic;
	struct handle *handle;
	struct request *request;
	struct ce_common_buffer *ring, *peer;
	unsigned int period, periods, peer_periods;
	bool capture;
	bool exact; /* the peer has a place for each period under way */
	uint64_t called, skipped;
	uint64_t ready[64]; /* period that was got ready last, by its number modulo 64; 0: none, from 1 */
	int error;
};

struct thread {
	unsigned int number;
	uint64_t rng;
	uint64_t steps, transfers, failed, lost, handles, granted, periods, packets;
	bool failing; /* the devices may */
	struct handle plain, requester;
	struct job jobs[JOBS];
	struct request requests[REQUESTS];
	uint64_t asked, delivered;
	struct cycle cycle;
	uint8_t *memory[2]; /* reached by the engine, contiguous; other */
	size_t memory_length;
	struct rte_mempool *pools[2];
	const char *error; /* threads cannot assert */
	const char *file;
	int line;
};

#define CHECK(t, condition) \
	do { \
		if (!(condition) && (t)->error == NULL) { \
			(t)->error = #condition; \
			(t)->file = __FILE__; \
			(t)->line = __LINE__; \
		} \
	} while (0)

static inline uint64_t
draw(struct thread *t, uint64_t below)
{
	t->rng ^= t->rng << 13;
	t->rng ^= t->rng >> 7;
	t->rng ^= t->rng << 17;
	return t->rng % below;
}

/* Whether what the thread does with a handle may fail. */
static inline bool
fallible(const struct thread *t, const struct handle *h)
{
	return t->failing && !h->no_engine;
}

/* test_random.c */
void progress(struct thread *t, struct handle *h);

/* random_jobs.c */
void jobs_init(struct thread *t);
void job_make(struct thread *t, struct handle *h, struct job *job);
void job_drop(struct job *job);
void job_started(struct handle *h, unsigned int lane, struct job *job);
struct job *job_free(struct thread *t);
void submit(struct thread *t, struct handle *h);
void cancel(struct thread *t);
void packet_copy(struct thread *t, struct handle *h);
unsigned int jobs_finished(struct thread *t, struct handle *h, bool collected);
unsigned int jobs_busy(const struct handle *h);
void figures_check(struct thread *t, struct handle *h);

/* random_requests.c */
void request_step(struct thread *t);
unsigned int request_under_way(const struct request *r);
void requests_let_go(struct thread *t);
void requests_end(struct thread *t);

/* random_cycle.c */
void cycle_step(struct thread *t);
void cycle_end(struct thread *t, bool closed);

#endif /* CE_TEST_RANDOM_H */
