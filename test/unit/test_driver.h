/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef TEST_DRIVER_H
#define TEST_DRIVER_H

/**
 * @file
 *
 * What the driver's tests share: EAL, a device in step mode, bursts of operations that are checked
 * as they are reported.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_dmadev.h>

#include <dm_cbdma.h>
#include <dm_pci.h>

#include "cbdma_internal.h"
#include "rte_pmd_cbdma.h"

/** Memory of a test: DRV_MEM bytes to copy from, as many to copy to, between guards. */
#define DRV_MEM	   (2u << 20)
#define DRV_STRIDE (16u << 10) /**< operation i of a burst has the i-th piece of both */
#define DRV_GUARD  0xEE	       /**< what the destination holds where nothing was written */
extern uint8_t *drv_src, *drv_dst;

#define DRV_RING     256
#define DRV_CAPACITY (DRV_RING - 1)

/** Not mapped for any device, and never will be: no memory lies in the first 64 KB. */
#define DRV_BAD_IOVA 0x8000ull

struct drv_conf {
	uint16_t ring;	 /**< 0: DRV_RING, which has room for DRV_CAPACITY descriptors */
	uint8_t version; /**< CBVER, 0: 3.4 */
	uint8_t xfercap; /**< 0: the model's default */
	bool silent;
	bool quiet;   /**< errors do not show in the completion word */
	bool reorder; /**< operations that no fence keeps apart run last to first */
	bool strict;  /**< errors that CHANERRMSK_INT lets through, or left in CHANERR_INT, are for good */
	bool no_fill;
	unsigned int stall_ms;
	bool own_bus; /**< on a bus of the test's own, not on the vdev bus; those from quiet on imply it */
};

struct drv {
	int16_t id;
	struct cbdma_dev *dev;
	char name[32];
	bool has_engine; /**< runs by itself: stepping is but waiting a little */

	/* With a bus of the test's own. */
	struct dm_device *model;
	struct rte_device device;
	uint16_t *doorbell;
	uint32_t dropped_write; /**< register whose writes get lost; 0: none */
	uint32_t unanswered_write; /**< register that is written, and the answer is lost; 0: none */
	bool no_bus_master; /**< it cannot be set */
	bool unanswered_bus_master; /**< it is set, and the answer is lost */
	uint8_t fake_cbver; /**< 0: the model's */
	int revive; /**< what the bus's revive() returns */
	bool no_answer; /**< the way to the device does not answer */
	bool bus_master; /**< as it was set last */
	unsigned int woken;
};

/** cmocka group setup: EAL and the memory. Arguments beyond the usual ones end with NULL. */
int drv_group_setup(void **state);
int drv_eal_init(const char *const *args);
int drv_group_teardown(void **state);

/** A device, configured and started; fails the test otherwise. */
void drv_open(struct drv *d, const struct drv_conf *conf);
void drv_close(struct drv *d);
/** The same with vdev arguments as given: with an engine unless there is a step=1 among them. */
void drv_open_args(struct drv *d, const char *args);
/** A device on a bus of the test's own, not configured. @return what cbdma_create() returned. */
int drv_create(struct drv *d, const struct drv_conf *conf);
/** The driver's own structure of a device. */
struct cbdma_dev *drv_dev(int16_t id);
uint64_t drv_register(const struct drv *d, uint32_t offset, unsigned int width);
/** Configure, set up the vchan and start. */
void drv_start(int16_t id, uint16_t ring, bool silent);
/** Run up to max descriptors. */
unsigned int drv_step(struct drv *d, unsigned int max);
unsigned int drv_run(struct drv *d);
void drv_inject(struct drv *d, const char *fault);
struct rte_dma_stats drv_stats(const struct drv *d);

/** Fill the source with random bytes and the destination with DRV_GUARD. */
void drv_mem_reset(void);
uint32_t drv_random(void);
#define drv_iova(p) ((rte_iova_t)(uintptr_t)(p)) /* --iova-mode=va */

/** Capture the log: what was logged until drv_log_end(), which the caller frees. */
void drv_log_begin(void);
char *drv_log_end(void);

enum drv_kind { DRV_COPY, DRV_FILL, DRV_SG };

/** An operation of a burst. */
struct drv_op {
	enum drv_kind kind;
	uint32_t len;
	unsigned int segs; /**< DRV_SG: segments of len / segs a side */
	uint64_t flags;
	bool bad_src, bad_dst; /**< address that is not mapped, of segment bad_seg */
	unsigned int bad_seg;
	enum rte_dma_status_code status; /**< to be reported with */
};

/** How a burst is polled for. */
enum drv_poll {
	DRV_POLL_STATUS,	   /**< completed_status() only */
	DRV_POLL_STATUS_1,	   /**< the same, max_ops 1 */
	DRV_POLL_COMPLETED,	   /**< completed(), on has_error completed_status() for one */
	DRV_POLL_COMPLETED_1,	   /**< the same, max_ops 1 */
	DRV_POLL_COMPLETED_STATUS, /**< completed(), on has_error completed_status() for all */
	DRV_POLL_MODES
};

#define DRV_BURST_MAX (DRV_MEM / DRV_STRIDE)

uint64_t drv_pattern(unsigned int i);
int drv_enqueue(struct drv *d, unsigned int i, const struct drv_op *op);
/** Check the destination of operation i, reported with status. */
void drv_check_op(unsigned int i, const struct drv_op *op, enum rte_dma_status_code status);

/**
 * Enqueue n operations, submit, and run the device step descriptors at a time (0: all) between
 * polls until all are reported; check their order, status, data and the statistics.
 *
 * @param ask_status
 *   Ask rte_dma_vchan_status() between polls; otherwise an error that the completion word does not
 *   show is noticed after many polls only.
 */
void drv_burst(struct drv *d, const struct drv_op *ops, unsigned int n, enum drv_poll mode,
		unsigned int step, bool ask_status);
/** The part of it after the enqueue; first: ring_idx of operation 0. */
void drv_drain(struct drv *d, const struct drv_op *ops, unsigned int n, uint16_t first,
		enum drv_poll mode, unsigned int step, bool ask_status);
/** n copies of len. */
void drv_copies(struct drv_op *ops, unsigned int n, uint32_t len);

#endif /* TEST_DRIVER_H */
