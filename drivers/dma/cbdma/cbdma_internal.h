/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CBDMA_INTERNAL_H
#define CBDMA_INTERNAL_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <dev_driver.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_dmadev_pmd.h>
#include <rte_io.h>
#include <rte_log.h>
#include <rte_memzone.h>

#include "cbdma_compat.h"
#include "cbdma_hw.h"

extern int cbdma_logtype;

#define RTE_LOGTYPE_CBDMA cbdma_logtype

#define CBDMA_LOG(level, name, fmt, ...) \
	RTE_LOG_LINE(level, CBDMA, "%s: " fmt, name, ##__VA_ARGS__)

/* Segments on each side of a scatter/gather copy. Each piece is a descriptor of its own in any
 * case, so more of them save nothing, and dmadev_autotest of DPDK 25.03 and later allocates 64
 * bytes a segment on the stack for each combination of numbers of segments: 2 MB with 32, 16 MB
 * with 64.
 *
 * One copy takes one descriptor less than both sides have segments together, or fewer, and that is
 * what the shortest ring has room for (a fence takes one only behind operations that are not done),
 * so that a full ring is never full for good.
 */
#define CBDMA_MAX_SGES 32
#define CBDMA_MIN_DESC (2 * CBDMA_MAX_SGES)
#define CBDMA_MAX_DESC 32768

#define CBDMA_SLOT ((uint32_t)sizeof(struct cbdma_desc))

/* How many slots ahead of the one being written a line is asked for, in order to write it: the
 * device read it last, so it has to come back from another cache first. Further ahead, in a full
 * ring, are slots that the device is about to read.
 */
#define CBDMA_PREFETCH 4

/** What a poll has to see to beside completions. From CBDMA_TROUBLE_FAILED_OP on, failures are to
 * be reported.
 */
enum cbdma_trouble {
	CBDMA_TROUBLE_NONE,
	CBDMA_TROUBLE_SUSPECTED, /**< somebody saw something: look at the channel */
	CBDMA_TROUBLE_LOSING,	 /**< given up, but it is not sure yet that it has stopped */
	CBDMA_TROUBLE_FAILED_OP, /**< failed_op is to be reported; those after it run already */
	CBDMA_TROUBLE_LOST,	 /**< the channel is lost and still: what is outstanding fails */
};

/**
 * A device: one function of the hardware, one channel, one dmadev with one vchan.
 *
 * Lies in memory shared with secondary processes, so it holds no pointer that is valid in one
 * process only (see cbdma_port for those).
 *
 * A *slot* is a place in the ring for a descriptor. Its *position* is a count of bytes that goes on
 * past the ring's end: masked, it is the slot's offset in the ring. DMACOUNT is a count of slots
 * from base. An *operation* is what the application enqueued: it takes one slot or several, and is
 * known by its ring_idx. For each slot, slot_op says the last operation that is complete once the
 * slot is: its own for an operation's last slot, the one before for every other. So what it says of
 * the slot before tail is completed - 1, always. That is not kept in the descriptor: each half of a
 * line that the device has read costs as much again to write (64 bytes, AMD Zen 4: half the rate).
 */
struct cbdma_dev {
	/* Set up by start, then read by everything on the data path. */
	struct cbdma_desc *ring;
	__rte_atomic uint64_t *completion; /**< completion word, written by the device */
	__rte_atomic uint16_t *doorbell;	  /**< DMACOUNT */
	uint64_t ring_iova;
	uint16_t *slot_op;	  /**< by slot: see above */
	struct rte_dma_op **ops; /**< by ring_idx: what enqueue_ops() was given */
	uint32_t max_len;  /**< longest transfer of one descriptor, bytes */
	uint32_t mask;	   /**< of a position: offset of the ring's last slot */
	uint32_t capacity; /**< bytes of slots that may be in use, 0 while nothing can run */
	uint32_t base;	   /**< position that CHAINADDR points to: where DMACOUNT counts from */
	bool silent;	   /**< nobody polls: the driver reclaims slots by itself */
	bool count_errors; /**< completed() counts failed operations, and goes on behind them */

	/* Written by enqueue and submit. */
	alignas(RTE_CACHE_LINE_SIZE) uint32_t head; /**< position of the next free slot */
	uint32_t rung;	   /**< slots up to here belong to the device */
	uint16_t next_idx; /**< ring_idx of the operation that is enqueued next */

	/* Written by poll. */
	alignas(RTE_CACHE_LINE_SIZE) uint64_t completed; /**< operations reported, failed too */
	uint64_t idle_since; /**< cycles, of the first poll since the last progress; 0: none */
	uint64_t next_look;  /**< cycles, when polls without progress are to be looked into */
	uint64_t errors;     /**< operations that failed, and were reported or counted */
	uint32_t unasked;    /**< times in a row that has_error was set and no status asked for */
	uint64_t failed_op;  /**< with CBDMA_TROUBLE_FAILED_OP */
	uint32_t tail;	     /**< position of the oldest slot of an operation not reported */
	uint32_t limit;	     /**< the ring is full when head gets here */
	__rte_atomic uint8_t trouble; /**< enum cbdma_trouble */
	bool woken;	     /**< since idle_since */
	bool no_answer;	     /**< the last look at the registers got none */
	bool restarting;     /**< the channel was to be restarted, and may have been */
	enum rte_dma_status_code failed_status;

	/* Control path. */
	alignas(RTE_CACHE_LINE_SIZE) struct cbdma_desc idle_desc; /**< ring while there is none */
	__rte_atomic uint64_t idle_completion; /**< completion word while there is no ring */
	__rte_atomic uint16_t idle_doorbell;
	uint16_t idle_op; /**< slot_op while there is no ring */
	uint16_t nb_desc; /**< operations of one slot that the ring takes, 0 while there is none */
	int16_t dev_id;
	int numa_node;
	uint8_t cbver;
	bool has_silent; /**< silent mode is offered */
	bool count_logged;
	bool has_fill;	 /**< DMACAPABILITY.BFILL */
	bool private_doorbell; /**< secondary processes cannot ring it */
	bool enq_deq;	 /**< configured for enqueue_ops() and dequeue_ops() */
	bool probed;	 /**< the driver knows what the hardware says of itself */
	bool being_removed;
	bool bad_argument_logged;
	bool small_ring_logged;
	uint64_t completion_iova;
	uint64_t stall_cycles; /**< without progress for so long, the channel is reset; 0: never */
	const struct rte_memzone *ring_mz, *completion_mz;
	__rte_atomic uint16_t *bus_doorbell; /**< where the bus has DMACOUNT */
	struct rte_dma_stats stats_base; /**< counters when the statistics were reset */
	uint64_t chanerr_count[32];	 /**< failures by CHANERR bit */
	uint64_t recoveries;	/**< from an operation that failed */
	uint64_t replays;	/**< resets for another reason, after which all went on */
	uint64_t adopted;	/**< completion writes that were lost: CHANSTS knew more */
	uint64_t rung_again;	/**< doorbells that were lost */
	uint64_t lost;
	uint32_t seen_next;	/**< position of the first slot not done when last looked at */
	uint32_t replay_next;	/**< position where the last replay began */
	uint32_t replays_there; /**< in a row */
	char name[RTE_DEV_NAME_MAX_LEN];
};

/**
 * How a process reaches a device beyond the data path, which has the ring, the completion word and
 * the doorbell, at the same address in every process. What returns int returns 0, or an errno,
 * negative, when the way to the device did not answer, which says nothing of the device.
 */
struct cbdma_bus {
	/** Registers. A device that is gone reads all ones. */
	int (*read)(void *opaque, uint32_t offset, unsigned int width, uint64_t *value);
	int (*write)(void *opaque, uint32_t offset, unsigned int width, uint64_t value);
	/** PCI configuration space. */
	int (*config_read)(void *opaque, uint32_t offset, uint32_t *value);
	int (*config_write)(void *opaque, uint32_t offset, uint32_t value);
	/**
	 * Let the device reach memory, or see to it that it does not, which holds for one that is
	 * gone without more.
	 */
	int (*set_bus_master)(void *opaque, bool enable);
	/** A device that takes naps may be having one; may be NULL. */
	void (*wake)(void *opaque);
	/**
	 * Before the device is started: get it back if it went away and has come again. May be
	 * NULL.
	 *
	 * @return 0: it is as it was; 1: it may be another one; an errno, negative.
	 */
	int (*revive)(void *opaque);
	/** After the dmadev has been released; may be NULL. */
	void (*destroy)(void *opaque);
	bool private_doorbell; /**< is mapped in the primary process only */
	bool sva;	       /**< the device reaches all memory that this process has */
	unsigned int stall_ms; /**< a short transfer takes less; 0: it may take any time */
	void *opaque;
};

/** A device as a process has it. */
struct cbdma_port {
	TAILQ_ENTRY(cbdma_port) next;
	struct rte_dma_dev *dmadev;
	struct cbdma_dev *dev;
	struct cbdma_bus bus;
	unsigned int users; /**< cbdma_port_get() without cbdma_port_put() */
	bool leaving;	    /**< cbdma_port_remove() waits for the last of them */
	int16_t dev_id;
	char name[RTE_DEV_NAME_MAX_LEN];
};

/* Device arguments of both buses. silent=0 hides silent mode: dmadev_autotest before DPDK 26.07
 * takes it for an error when a driver lets it be configured. errors=count is for applications that
 * never ask for the status of an operation.
 */
#define CBDMA_ARG_SILENT "silent"
#define CBDMA_ARG_ERRORS "errors"
#define CBDMA_ARGS_USAGE CBDMA_ARG_SILENT "=0|1 " CBDMA_ARG_ERRORS "=report|count"

struct cbdma_args {
	bool no_silent;
	bool count_errors;
};

#define CBDMA_STALL_MS 1000 /* cbdma_bus.stall_ms of a device that runs by itself */

/* cbdma_port.c */
void cbdma_port_add(struct cbdma_port *port);
/** Take it away. When this returns nobody has hold of it any more. */
void cbdma_port_remove(struct cbdma_port *port);
/**
 * Get hold of a device from a thread that is not its owner's: it is not removed meanwhile.
 *
 * @param id
 *   Its dmadev's number or name.
 * @return NULL: this driver has no such device.
 */
struct cbdma_port *cbdma_port_get(const char *id);
/** The same for a dmadev, which is not looked into. */
struct cbdma_port *cbdma_port_hold(const struct rte_dma_dev *dmadev);
void cbdma_port_put(struct cbdma_port *port);
/** For whoever owns the device, so that it is not removed meanwhile. */
struct cbdma_port *cbdma_port_of(const struct cbdma_dev *dev);

/* cbdma_channel.c */
int cbdma_channel_probe(struct cbdma_dev *dev, const struct cbdma_bus *bus);
int cbdma_channel_start(struct cbdma_dev *dev, const struct cbdma_bus *bus);
int cbdma_channel_stop(struct cbdma_dev *dev, const struct cbdma_bus *bus);
void cbdma_channel_wake(struct cbdma_dev *dev);
void cbdma_channel_check(struct cbdma_dev *dev);
uint64_t cbdma_read(const struct cbdma_bus *bus, uint32_t offset, unsigned int width);
const char *cbdma_chansts_name(uint64_t chansts);
const char *cbdma_chanerr_name(unsigned int bit);

/* cbdma_datapath.c */
void cbdma_datapath_init(struct rte_dma_fp_object *fp_obj, const struct cbdma_dev *dev);
void cbdma_reclaim(struct cbdma_dev *dev);

/* cbdma_dmadev.c */
/** @return 0; -EINVAL: a wrong value; -ENOENT: no argument of both buses. */
int cbdma_parse_arg(const char *key, const char *value, struct cbdma_args *args);
int cbdma_create(const char *name, struct rte_device *device, const struct cbdma_bus *bus,
		__rte_atomic uint16_t *doorbell, const struct cbdma_args *args);
int cbdma_remove(const char *name);

/* cbdma_telemetry.c registers itself. */
int cbdma_dump(const struct rte_dma_dev *dmadev, FILE *f);

/** Registers of the channel that we use: the first one, and on real parts the only one. */
#define CBDMA_CH(reg) (CBDMA_CHANNEL(0) + (reg))

/** The completion word, or CHANSTS: both are state and address of the last completed descriptor. */
static inline unsigned int
cbdma_state(uint64_t word)
{
	return word & CBDMA_CHANSTS_STATE_MASK;
}

static inline bool
cbdma_is_gone(uint64_t chansts)
{
	return chansts == UINT64_MAX;
}

/** Microseconds in cycles of the TSC. */
static inline uint64_t
cbdma_us(uint64_t us)
{
	return rte_get_tsc_hz() / 1000000 * us;
}

/** To be called when tail or capacity has changed. */
static inline void
cbdma_set_limit(struct cbdma_dev *dev)
{
	dev->limit = dev->capacity == 0 ? dev->head : dev->tail + dev->capacity;
}

static inline uint64_t
cbdma_slot_iova(const struct cbdma_dev *dev, uint32_t pos)
{
	return dev->ring_iova + (pos & dev->mask);
}

static inline struct cbdma_desc *
cbdma_slot_desc(const struct cbdma_dev *dev, uint32_t pos)
{
	return RTE_PTR_ADD(dev->ring, pos & dev->mask);
}

/** Where the last operation is kept that is complete once the slot is, see struct cbdma_dev. */
static inline uint16_t *
cbdma_slot_op(const struct cbdma_dev *dev, uint32_t pos)
{
	return &dev->slot_op[(pos & dev->mask) / CBDMA_SLOT];
}

/** Operations that are complete once the slots up to a position are, less those reported. */
static inline uint16_t
cbdma_ops_up_to(const struct cbdma_dev *dev, uint32_t pos)
{
	return *cbdma_slot_op(dev, pos - CBDMA_SLOT) + 1 - dev->completed;
}

/** The position behind the operation that is reported as the nth from now on, from 0. */
static inline uint32_t
cbdma_op_end(const struct cbdma_dev *dev, uint16_t n)
{
	/* No sooner than if each took one slot. */
	uint32_t pos = dev->tail + (n + 1u) * CBDMA_SLOT;

	while (cbdma_ops_up_to(dev, pos) != n + 1)
		pos += CBDMA_SLOT;
	return pos;
}

/**
 * Operations, ever, up to a position that moves, and how many of them were completed. Who asks may
 * be another thread than the one that is at work: what has moved on meanwhile is read again, as
 * parts of two moments make no sum.
 */
static inline uint64_t
cbdma_ops_ever(const struct cbdma_dev *dev, const uint32_t *pos, uint64_t *completed)
{
	unsigned int tries = 1000;
	uint64_t ops;
	uint32_t at;

	do {
		*completed = dev->completed;
		at = *pos;
		rte_io_rmb();
		ops = *completed + cbdma_ops_up_to(dev, at);
		rte_io_rmb();
	} while ((dev->completed != *completed || *pos != at) && --tries > 0);
	return ops;
}

/** Operations, ever. */
static inline uint64_t
cbdma_enqueued(const struct cbdma_dev *dev)
{
	uint64_t completed;

	return cbdma_ops_ever(dev, &dev->head, &completed);
}

/** Operations that the device was told of, ever. */
static inline uint64_t
cbdma_submitted(const struct cbdma_dev *dev)
{
	uint64_t completed;

	return cbdma_ops_ever(dev, &dev->rung, &completed);
}

static inline uint64_t
cbdma_read_completion(const struct cbdma_dev *dev)
{
	/* Acquire: what the device wrote before the word has to be seen after it. */
	return rte_atomic_load_explicit(dev->completion, rte_memory_order_acquire);
}

/**
 * How far the device has got, in bytes from tail, according to a completion word or CHANSTS. A
 * chain that has not completed any descriptor has address 0; that, and whatever else is not an
 * address of the ring, or claims more than the device was given, says nothing new.
 */
static inline uint32_t
cbdma_done(const struct cbdma_dev *dev, uint64_t word)
{
	uint64_t offset = (word - dev->ring_iova) & CBDMA_CHANSTS_DESC_MASK;
	uint32_t done = ((uint32_t)offset + CBDMA_SLOT - dev->tail) & dev->mask;

	if (likely(offset <= dev->mask && done <= dev->rung - dev->tail))
		return done;
	/* Where the chain began, what is before it is done. */
	return (int32_t)(dev->base - dev->tail) > 0 ? dev->base - dev->tail : 0;
}

/** Whether the device has done all that it was told of. */
static inline bool
cbdma_is_idle(const struct cbdma_dev *dev)
{
	return cbdma_done(dev, cbdma_read_completion(dev)) == dev->rung - dev->tail;
}

#endif /* CBDMA_INTERNAL_H */
