/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_QUEUE_H
#define CEI_QUEUE_H

/*
 * The lowest layer: one channel of a dmadev, its users, what is under way, whether it lives. Knows
 * operations, not what they are for.
 */

#include <errno.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include <rte_dmadev.h>
#include <rte_log.h>
#include <rte_ticketlock.h>

#include "copyengine.h"

extern int ce_logtype;
#define CE_LOG(level, ...) \
	rte_log(RTE_LOG_##level, ce_logtype, \
		"COPYENGINE: " RTE_FMT(RTE_FMT_HEAD(__VA_ARGS__, ) "\n", RTE_FMT_TAIL(__VA_ARGS__, )))

/* Statuses that one rte_dma_completed_status() fetches. */
#define CE_BURST 64u

/* Segments a side in one operation at most: what there is room for on a stack. */
#define CE_MAX_SGES 64

/*
 * A user's way to a queue. dmadev reports in order, so what a user needs to know of its operations is
 * how many are completed, and the statuses of those that failed.
 */
struct ce_port {
	struct ce_queue *queue;
	TAILQ_ENTRY(ce_port) link; /* among those that lack slots */
	bool lacking;
	uint32_t started;      /* by the user */
	uint32_t taken;	       /* completed ones that the user has looked at */
	atomic_uint completed; /* by whoever collects, under the lock of the device */
	atomic_uint failures;  /* statuses that are not 0 and have not been looked at */
	uint32_t mask;
	int16_t *status; /* of operation n at n & mask: 0, an rte_dma_status_code, a negative errno */
};

/* A virtual channel. */
struct ce_queue {
	struct ce_device *dev;
	int16_t dev_id;
	uint16_t vchan;
	bool shared;
	atomic_bool silent; /* operations were enqueued and not submitted */
	uint32_t head;	 /* count of operations given to the device */
	uint32_t tail;	 /* count of what came back */
	uint32_t nb_ports;
	struct ce_port *only;  /* all that is under way is its own; else NULL: see users */
	struct ce_port **users; /* whose operation n is, at n & mask */
	uint32_t mask;
	uint32_t map_registers; /* not taken by an owner; under the lock of all handles */
	TAILQ_HEAD(, ce_port) lacking; /* users whose operation did not fit, the first in turn */
	uint32_t passed_over; /* times that others failed since the first of them tried */
	uint64_t stalled_since; /* TSC of the first poll that found nothing; 0: things go well */
	uint64_t check_at;	/* TSC of the next look at a channel that stalls */
	uint64_t halted_since;
};

/*
 * A device, one for all its owners. The lock is for those who share: dmadev wants the calls on all
 * virtual channels of a device to be made one at a time.
 */
struct ce_device {
	TAILQ_ENTRY(ce_device) link;
	int16_t dev_id;
	int16_t socket;
	uint32_t refs;
	bool shared;
	bool sva;
	bool fill;
	enum rte_dma_direction direction;
	uint16_t nb_vchans;
	uint16_t ring_size;
	uint16_t max_sges;   /* 1: no scatter/gather */
	uint32_t break_even; /* measured; 0: not yet */
	uint64_t timeout;    /* TSC cycles; UINT64_MAX: never */
	rte_ticketlock_t lock;
	atomic_int dead; /* 0; the errno that all comes back with */
	bool stopped;	 /* so it writes no more */
	uint64_t stop_at; /* TSC of the next attempt; 0: the first */
	struct ce_queue queues[];
};

static inline void
cei_lock(const struct ce_queue *q)
{
	if (q->shared)
		rte_ticketlock_lock(&q->dev->lock);
}

static inline void
cei_unlock(const struct ce_queue *q)
{
	if (q->shared)
		rte_ticketlock_unlock(&q->dev->lock);
}

/* 0, or the negative errno that a dead device's work comes back with. */
static inline int
cei_queue_dead(const struct ce_queue *q)
{
	return -atomic_load_explicit(&q->dev->dead, memory_order_relaxed);
}

/* Whether operations were enqueued that the device was not told of; from any thread. */
static inline bool
cei_queue_is_silent(const struct ce_queue *q)
{
	return atomic_load_explicit(&q->silent, memory_order_relaxed);
}

static inline void
cei_queue_set_silent(struct ce_queue *q, bool silent)
{
	atomic_store_explicit(&q->silent, silent, memory_order_relaxed);
}

/* Operations that have come back and that the user has not looked at. */
static inline uint32_t
cei_port_ready(const struct ce_port *port)
{
	/* Acquire: the statuses and what the device wrote are older. */
	return atomic_load_explicit(&port->completed, memory_order_acquire) - port->taken;
}

/* The status of the next operation to look at. */
static inline int
cei_port_take(struct ce_port *port)
{
	const uint32_t n = port->taken++;
	int status = 0;

	if (unlikely(atomic_load_explicit(&port->failures, memory_order_relaxed) > 0)) {
		status = port->status[n & port->mask];
		if (status != 0) {
			port->status[n & port->mask] = 0;
			atomic_fetch_sub_explicit(&port->failures, 1, memory_order_relaxed);
		}
	}
	return status;
}

/* Book an operation of the port that the device has taken. With the lock held. */
static __rte_always_inline void
cei_port_started(struct ce_port *port)
{
	struct ce_queue *q = port->queue;

	if (unlikely(q->only == NULL))
		q->users[q->head & q->mask] = port;
	q->head++;
	port->started++;
}

/* All with cei_device_lock() held. */
int cei_queues_get(const struct ce_channel_id *ids, unsigned int count,
	const struct ce_adapter_conf *conf, struct ce_queue **queues);
void cei_queues_put(struct ce_queue *const *queues, unsigned int count);
void cei_device_lock(void);
void cei_device_unlock(void);

void cei_device_die(struct ce_device *dev, int error);

int cei_port_init(struct ce_port *port, struct ce_queue *q, uint32_t operations);
void cei_port_fini(struct ce_port *port);

/* What the device is to do. */
struct ce_operation {
	uint16_t nb_src, nb_dst; /* nb_src 0: fill */
	struct rte_dma_sge src[CE_MAX_SGES], dst[CE_MAX_SGES];
	uint64_t pattern;
	uint64_t flags; /* RTE_DMA_OP_FLAG_* */
};
int cei_port_enqueue(struct ce_port *port, struct ce_operation *op);
void cei_queue_doorbell(struct ce_queue *q);
void cei_queue_collect(struct ce_queue *q);
void cei_queue_collected(struct ce_queue *q, unsigned int n, bool error);

#endif /* CEI_QUEUE_H */
