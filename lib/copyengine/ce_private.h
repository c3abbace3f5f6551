/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_PRIVATE_H
#define CE_PRIVATE_H

#include <stdatomic.h>
#include <sys/queue.h>

#include <rte_log.h>
#include <rte_mempool.h>
#include <rte_ticketlock.h>

#include "copyengine.h"

extern int ce_logtype;
#define CE_LOG(level, ...) \
	rte_log(RTE_LOG_##level, ce_logtype, \
		"COPYENGINE: " RTE_FMT(RTE_FMT_HEAD(__VA_ARGS__, ) "\n", RTE_FMT_TAIL(__VA_ARGS__, )))

/* Statuses that one rte_dma_completed_status() fetches, and completions that one ce_poll() does. */
#define CE_BURST 64

/* Segments a side in one operation at most: what piece_submit() has room for on its stack. */
#define CE_MAX_SGES 64

/* Private flags of a transfer, above CE_TRANSFER_*. */
#define CE_TRANSFER_BEGIN   RTE_BIT32(30) /* no piece has been started */
#define CE_TRANSFER_WAITING RTE_BIT32(31) /* in the handle's list of those that wait */
#define CE_TRANSFER_OWNS    RTE_BIT32(29) /* its lists are freed with it */
#define CE_TRANSFER_PORT    RTE_BIT32(28) /* of a channel request */

/* How long a device may say that it is halted, while its driver tries to revive it. */
#define CE_HALTED_MS 100

/*
 * A map register: one operation of the device that is under way, and the right to have one. The
 * owners' map registers together are not more than the slots of the channel, so whoever has a map
 * register finds a slot, unless scatter/gather operations take several.
 */
struct ce_map_register {
	STAILQ_ENTRY(ce_map_register) link; /* among those that another owner's poll has collected */
	struct ce_adapter *owner;
	struct ce_transfer *transfer;
	uint64_t offset; /* of the piece in the transfer */
	uint32_t length;
	int status; /* 0; an rte_dma_status_code; a negative errno */
	void *bounce_src;
	void *bounce_dst;
	struct ce_cursor dst_at; /* where to empty bounce_dst to */
};
STAILQ_HEAD(ce_map_register_list, ce_map_register);

/* A virtual channel: what was given to the device and has not come back, oldest first. */
struct ce_vchan {
	struct ce_map_register **fifo;
	uint32_t head; /* count of what went in */
	uint32_t tail; /* count of what came back */
	uint32_t mask;
	uint32_t map_registers; /* not yet taken by an owner */
	bool doorbell;		/* operations were enqueued and not submitted */
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
	uint16_t nb_vchans;
	uint16_t ring_size;
	uint16_t max_sges; /* 1: no scatter/gather */
	uint64_t timeout;  /* TSC cycles; UINT64_MAX: never */
	rte_ticketlock_t lock;
	atomic_int dead; /* 0; the errno that all comes back with */
	struct ce_vchan vchans[];
};

/* A translation of addresses of DPDK's memory: [start, end) begins at iova. */
struct ce_translation {
	uintptr_t start;
	uintptr_t end;
	rte_iova_t iova;
};
#define CE_GRANULE_SHIFT 21 /* a 2 MB page has an entry, a smaller one shares it */
#define CE_TRANSLATIONS	 64

/*
 * An owner's handle: on a channel, or (controller != NULL) on a controller; then it has ports, which
 * are handles on the controller's channels, one for each.
 */
struct ce_adapter {
	struct ce_device *dev;
	struct ce_vchan *vq;
	uint16_t vchan;
	uint16_t max_sges;
	uint16_t nb_free;
	uint16_t nb_map_registers;
	uint32_t max_segment;
	uint32_t bounce_size;
	bool sva;
	bool polling;	    /* in ce_poll(): no second one */
	bool silent;	    /* enqueued the last operation without a doorbell */
	uint32_t inflight;  /* pieces under way */
	uint32_t doing;	    /* transfers that have not finished */
	uint32_t generation; /* of DPDK's memory, that the translations are of */
	struct ce_map_register **free;
	TAILQ_HEAD(, ce_transfer) waiting; /* have something left to give to the device */
	LIST_HEAD(, ce_cyclic) cyclics;
	struct ce_common_pool *bounce;	/* NULL when sva */
	struct rte_mempool *sg_blocks;
	struct ce_adapter_stats stats;

	struct ce_controller *controller;
	struct ce_adapter *ports[CE_CONTROLLER_MAX_CHANNELS];
	TAILQ_HEAD(, ce_channel_request) granted; /* under the controller's lock */
	atomic_uint nb_granted;			  /* so that a poll need not take it */
	uint32_t nb_requests;			  /* not idle */
	bool delivering;

	struct ce_map_register_list posted; /* collected by other owners; under the device's lock */
	struct ce_map_register *map_registers;
	struct ce_translation translations[CE_TRANSLATIONS];
};

struct ce_sglist {
	struct ce_sglist *next;
	struct ce_adapter *adapter;
	uint64_t length;   /* of the whole list, in its first block */
	uint32_t segments; /* in this block */
	uint32_t reserved;
	struct ce_segment segment[CE_SG_BLOCK];
};

static inline void
cei_lock(struct ce_device *dev)
{
	if (dev->shared)
		rte_ticketlock_lock(&dev->lock);
}

static inline void
cei_unlock(struct ce_device *dev)
{
	if (dev->shared)
		rte_ticketlock_unlock(&dev->lock);
}

/*
 * The address of memory that is one reachable segment, as far as is known without looking it up.
 * Returns false for all other memory: cei_resolve() is for that.
 */
static inline bool
cei_translate(const struct ce_adapter *adapter, const void *va, size_t length, rte_iova_t *iova)
{
	const uintptr_t address = (uintptr_t)va;
	const struct ce_translation *entry =
		&adapter->translations[(address >> CE_GRANULE_SHIFT) % CE_TRANSLATIONS];

	*iova = address;
	if (adapter->sva)
		return true;
	*iova = entry->iova + (address - entry->start);
	return address >= entry->start && address < entry->end && length <= entry->end - address;
}

/* ce_adapter.c */
struct ce_adapter_conf cei_conf_complete(const struct ce_adapter_conf *given);
struct ce_device *cei_device_get(int16_t dev_id, const struct ce_adapter_conf *conf);
void cei_device_put(struct ce_device *dev);
struct ce_adapter *cei_adapter_create(
	struct ce_device *dev, const struct ce_adapter_conf *conf, struct ce_adapter *parent);
void cei_adapter_destroy(struct ce_adapter *adapter);
bool cei_adapter_busy(const struct ce_adapter *adapter);

/* ce_sglist.c */
extern atomic_uint cei_memory_generation; /* translations of another one are stale */
int cei_memory_watch(void);
void cei_resolve(struct ce_adapter *adapter, const void *va, size_t length, struct ce_segment *segment);
void cei_cursor_init(struct ce_cursor *at, const struct ce_sglist *list, uint64_t offset);
void cei_cursor_init_one(struct ce_cursor *at, const struct ce_segment *segment);
uint32_t cei_cursor_extent(const struct ce_cursor *at, uint32_t max, uint32_t max_sges);
uint16_t cei_cursor_sges(struct ce_cursor *at, uint32_t length, struct rte_dma_sge *sges);
void cei_cursor_skip(struct ce_cursor *at, uint64_t length);
void cei_cursor_read(struct ce_cursor *at, uint8_t *to, uint32_t length);
void cei_cursor_write(struct ce_cursor *at, const uint8_t *from, uint32_t length);

/* ce_transfer.c */
int cei_transfer_init(struct ce_transfer *transfer);
void cei_transfer_init_direct(
	struct ce_transfer *transfer, rte_iova_t dst, rte_iova_t src, size_t length);
int cei_transfer_start(
	struct ce_adapter *adapter, struct ce_transfer *transfer, struct ce_channel_request *request);
int64_t cei_transfer_start_partly(
	struct ce_adapter *adapter, struct ce_transfer *transfer, struct ce_channel_request *request);
unsigned int cei_transfer_poll(struct ce_adapter *adapter);

/* ce_channel.c */
int cei_controller_adapter_put(struct ce_adapter *adapter);
void cei_channel_deliver(struct ce_adapter *adapter);
void cei_channel_transferred(struct ce_channel_request *request, int status);

/* ce_cyclic.c */
void cei_cyclic_poll(struct ce_adapter *adapter);

#endif /* CE_PRIVATE_H */
