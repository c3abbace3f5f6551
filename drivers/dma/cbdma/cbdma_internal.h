/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CBDMA_INTERNAL_H
#define CBDMA_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <dev_driver.h>
#include <rte_common.h>
#include <rte_dmadev.h>
#include <rte_dmadev_pmd.h>
#include <rte_log.h>
#include <rte_memzone.h>
#include <rte_version.h>

#include "cbdma_hw.h"

extern int cbdma_logtype;

#define CBDMA_LOG(level, name, fmt, ...) \
	rte_log(RTE_LOG_##level, cbdma_logtype, "CBDMA: %s: " fmt "\n", name, ##__VA_ARGS__)

#define CBDMA_MIN_DESC 32
#define CBDMA_MAX_DESC 32768

/* Segments on each side of a scatter/gather copy. It can take as many descriptors as both sides
 * have together, and one for a fence: no ring is shorter than that, so that a full ring is never
 * full for good.
 */
#define CBDMA_MAX_SGES	64
#define CBDMA_MIN_SLOTS 256u

/* rte_dma_enqueue_ops() and rte_dma_dequeue_ops() came with DPDK 25.11. */
#define CBDMA_HAS_ENQ_DEQ (RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0))

/** What a poll has to see to beside completions. */
enum cbdma_trouble {
	CBDMA_TROUBLE_NONE,
	CBDMA_TROUBLE_SUSPECTED, /**< the completion word may not tell all: read CHANSTS */
	CBDMA_TROUBLE_FAILED_OP, /**< failed_op is to be reported; those after it run already */
	CBDMA_TROUBLE_LOST,	 /**< the channel is lost: whatever is outstanding fails */
};

/**
 * A device: one function of the hardware, one channel, one dmadev with one vchan.
 *
 * Lies in memory shared with secondary processes, so it holds no pointer that is valid in one
 * process only (see cbdma_bus for those).
 *
 * A *slot* is a place in the ring, counted in 32 bits and masked to index the ring; DMACOUNT is the
 * low 16 bits of a count from base. An *operation* is what the application enqueued: it takes one
 * slot or several. Operations are counted in 64 bits; the ring_idx of dmadev is the low 16. Each
 * descriptor says, where the device does not look (user[0]), the last operation that is complete
 * once that slot is: its own in an operation's last slot, the one before in every other.
 */
struct cbdma_dev {
	/* Set up by start, then read by everything on the data path. */
	struct cbdma_desc *ring;
	uint64_t *completion; /**< completion word, written by the device */
	uint16_t *doorbell;   /**< DMACOUNT */
	uint64_t ring_iova;
	uint32_t max_len;  /**< longest transfer of one descriptor, bytes */
	uint32_t mask;	   /**< slots in the ring - 1 */
	uint32_t capacity; /**< slots that may be in use: mask, or 0 while nothing can run */
	uint32_t base;	   /**< slot that CHAINADDR points to: where DMACOUNT counts from */
	bool silent;	   /**< nobody polls: the driver reclaims slots by itself */
	struct rte_dma_op **ops; /**< by ring_idx: what enqueue_ops() was given */

	/* Written by enqueue and submit. */
	uint32_t head __rte_cache_aligned; /**< next free slot */
	uint32_t rung;	    /**< slots up to here belong to the device */
	uint64_t enqueued;  /**< operations */
	uint64_t submitted; /**< operations */

	/* Written by poll. */
	uint64_t completed __rte_cache_aligned; /**< operations reported, failed ones included */
	uint64_t errors;   /**< of which failed */
	uint64_t failed_op;  /**< with CBDMA_TROUBLE_FAILED_OP */
	uint32_t idle_polls; /**< polls in a row that found nothing new */
	uint32_t tail;	     /**< oldest slot of an operation not reported */
	uint32_t limit;	     /**< the ring is full when head gets here */
	uint8_t trouble;     /**< enum cbdma_trouble */
	enum rte_dma_status_code failed_status;

	/* Control path. */
	uint64_t idle_completion __rte_cache_aligned; /**< completion word while there is no ring */
	struct cbdma_desc idle_desc;		      /**< the ring while there is none */
	uint16_t idle_doorbell;
	uint16_t nb_desc; /**< slots in the ring, 0 while there is none */
	int16_t dev_id;
	int numa_node;
	uint8_t cbver;
	bool has_silent; /**< silent mode is offered */
	bool private_doorbell; /**< secondary processes cannot ring it */
	bool enq_deq;	 /**< configured for enqueue_ops() and dequeue_ops() */
	bool being_removed;
	bool bad_argument_logged;
	bool small_ring_logged;
	uint64_t completion_iova;
	const struct rte_memzone *ring_mz;
	uint16_t *bus_doorbell; /**< where the bus has DMACOUNT */
	struct rte_dma_stats stats_base; /**< counters when the statistics were reset */
	uint64_t chanerr_count[32];	 /**< failures by CHANERR bit */
	uint64_t recoveries;
	uint64_t lost;
	char name[RTE_DEV_NAME_MAX_LEN];
};

/**
 * How a process reaches a device's registers. Control path only: the data path has the ring, the
 * completion word and the doorbell, which lie at the same address in every process.
 */
struct cbdma_bus {
	uint64_t (*read)(void *opaque, uint32_t offset, unsigned int width);
	void (*write)(void *opaque, uint32_t offset, unsigned int width, uint64_t value);
	/** Clear CHANERR_INT in PCI configuration space; NULL where there is none. */
	void (*clear_chanerr_int)(void *opaque);
	/**
	 * Before the device is started: get it back if it went away and has come again. May be NULL.
	 *
	 * @return 0: it is as it was; 1: it may be another one; an errno, negative.
	 */
	int (*revive)(void *opaque);
	/** After the dmadev has been released; may be NULL. */
	void (*destroy)(void *opaque);
	bool private_doorbell; /**< is mapped in the primary process only */
	void *opaque;
};

/* Device argument of both buses: 0 hides silent mode. dmadev_autotest before DPDK 26.07
 * takes it for an error when a driver lets silent mode be configured.
 */
#define CBDMA_ARG_SILENT "silent"

/* cbdma_dmadev.c */
int cbdma_create(const char *name, struct rte_device *device, const struct cbdma_bus *bus,
		uint16_t *doorbell, bool has_silent);
int cbdma_remove(const char *name);
struct cbdma_dev *cbdma_find(int16_t dev_id);
const struct cbdma_bus *cbdma_bus_of(const struct cbdma_dev *dev);
uint64_t cbdma_read(const struct cbdma_dev *dev, uint32_t offset, unsigned int width);
bool cbdma_channel_is_gone(uint64_t chansts);
int cbdma_channel_reset(struct cbdma_dev *dev);
int cbdma_channel_arm(struct cbdma_dev *dev, uint32_t slot);
const char *cbdma_chansts_name(uint64_t chansts);
const char *cbdma_chanerr_name(unsigned int bit);

/* cbdma_datapath.c */
void cbdma_datapath_init(struct rte_dma_fp_object *fp_obj);
void cbdma_reclaim(struct cbdma_dev *dev);
bool cbdma_is_idle(const struct cbdma_dev *dev);

/* cbdma_telemetry.c registers itself. */

/** Registers of the channel that we use: the first one, and on real parts the only one. */
#define CBDMA_CH(reg) (CBDMA_CHANNEL(0) + (reg))

/** The completion word, or CHANSTS: both are state and address of the last completed descriptor. */
static inline unsigned int
cbdma_state(uint64_t word)
{
	return word & CBDMA_CHANSTS_STATE_MASK;
}

/** To be called when tail or capacity has changed. */
static inline void
cbdma_set_limit(struct cbdma_dev *dev)
{
	dev->limit = dev->capacity == 0 ? dev->head : dev->tail + dev->capacity;
}

static inline uint64_t
cbdma_slot_iova(const struct cbdma_dev *dev, uint32_t slot)
{
	return dev->ring_iova + (uint64_t)(slot & dev->mask) * sizeof(struct cbdma_desc);
}

#endif /* CBDMA_INTERNAL_H */
