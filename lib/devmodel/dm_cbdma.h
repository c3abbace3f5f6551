/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_CBDMA_H
#define DM_CBDMA_H

/**
 * @file
 *
 * Model of an Intel QuickData 3.x (CBDMA, I/OAT) function: registers, state machine, descriptors.
 */

#include "dm_device.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DM_CBDMA_MAX_CHANNELS 4 /**< of a function */

#define DM_CBDMA_DOORBELL_BAR  2	/**< the BAR of dm_cbdma_config.doorbell_bar */
#define DM_CBDMA_DOORBELL_SIZE 0x1000	/**< of that BAR, bytes */
#define DM_CBDMA_DOORBELL(n)   ((n) * 64) /**< where in it the doorbell of channel n lies */

/** How a CBDMA function is built. Zero in a field stands for its default. */
struct dm_cbdma_config {
	uint8_t version;  /**< CBVER, 0x30 to 0x34; default 0x34 */
	uint8_t xfercap;  /**< log2 of the longest transfer, 12 to 31; default 20 (1 MB) */
	uint8_t channels; /**< 1 to DM_CBDMA_MAX_CHANNELS; default 1 */

	/**
	 * Where the DMACOUNT register of channel n lies, for drivers that ring it by a plain store;
	 * NULL: inside the model, to be rung by dm_device_write(). The model reads and writes the word
	 * in place. It must outlive the device and lie on a cache line of its own.
	 */
	uint16_t *doorbell[DM_CBDMA_MAX_CHANNELS];

	/**
	 * Descriptors that no fence keeps apart may overtake each other on silicon. With this, those
	 * run at once are run last to first, so that a fence that is missing shows.
	 */
	bool reorder;

	/**
	 * An error shows in CHANSTS and CHANERR only, not in the completion word, whatever
	 * CHANCTRL.ERR_COMPLETION_EN says. The datasheets know no such device, but DPDK's dma_ioat
	 * trusts the completion word on errors from CBVER 3.4 on only: a driver for all versions
	 * should work with both.
	 */
	bool quiet_errors;

	/**
	 * An error that CHANERRMSK_INT does not mask is for good when it is one of an address, and no
	 * channel arms while CHANERR_INT holds errors. Public drivers see to both, Linux and FreeBSD
	 * alike, so there are parts that want it; DPDK's dma_ioat does not.
	 */
	bool strict_errors;

	/** There is no fill: DMACAPABILITY does not offer it, and such a descriptor fails. */
	bool no_fill;

	/** Called with the device's lock held when a channel raises its interrupt; may be NULL. */
	void (*interrupt)(void *opaque, unsigned int channel);
	void *opaque; /**< first argument of interrupt() */

	/**
	 * PCI device id, for drivers that know some parts only; 0: that of a part with this version.
	 */
	uint16_t device_id;

	/**
	 * Offer the doorbells on a BAR of their own, number 2, as memory that drivers can map: a page,
	 * that of channel n at DM_CBDMA_DOORBELL(n). No real part has this: there, DMACOUNT shares its
	 * page with registers that have side effects. doorbell[] has to be NULL.
	 */
	bool doorbell_bar;
};

/**
 * Create a function.
 *
 * @param error
 *   When NULL is returned: what is wrong, in words (static text).
 * @return the device; NULL: a field is out of range, or no memory.
 */
struct dm_device *dm_cbdma_create(const struct dm_cbdma_config *config, const char **error);

/** Kinds of fault that can be injected. */
enum dm_cbdma_fault_kind {
	DM_CBDMA_FAULT_NONE,
	DM_CBDMA_FAULT_FAIL,   /**< a descriptor fails with a CHANERR cause */
	DM_CBDMA_FAULT_STALL,  /**< the channel stays ACTIVE and runs nothing more, until reset */
	DM_CBDMA_FAULT_VANISH, /**< the device is gone: reads give all ones, writes are dropped, for good */
	DM_CBDMA_FAULT_RESET,  /**< CHANCMD.RESET never completes */
	DM_CBDMA_FAULT_MUTE,   /**< registers read all ones, writes are dropped; it goes on working */
	DM_CBDMA_FAULT_SUSPEND,	   /**< the channel suspends itself */
	DM_CBDMA_FAULT_HALT,	   /**< the channel halts without an error */
	DM_CBDMA_FAULT_COMPLETION, /**< a write of the completion word is lost */
	DM_CBDMA_FAULT_DOORBELL,   /**< a write of DMACOUNT is lost */
};

/** A fault to inject. */
struct dm_cbdma_fault {
	enum dm_cbdma_fault_kind kind; /**< what happens */
	uint64_t at;	  /**< strikes after this many more descriptors of the channel have run */
	uint32_t chanerr; /**< DM_CBDMA_FAULT_FAIL: the CHANERR bit */
};

/**
 * Read a fault from text: "fail[:at=N][:cause=C]", "reset", "none", or one of stall, vanish, mute,
 * suspend, halt, lost-completion and lost-doorbell, with "[:at=N]". C is one of src, dst, next, align,
 * read, write, op, length, completion, command, unaffiliated; default src.
 *
 * @return 0; -EINVAL with *error set to what is wrong, in words (static text).
 */
int dm_cbdma_fault_parse(const char *text, struct dm_cbdma_fault *fault, const char **error);

/**
 * Inject a fault into a channel, in the place of one that has not struck yet. A mute device speaks
 * again.
 *
 * @return 0; -EINVAL: no CBDMA function, no such channel, or a FAIL without a cause.
 */
int dm_cbdma_inject(struct dm_device *dev, unsigned int channel, const struct dm_cbdma_fault *fault);

#ifdef __cplusplus
}
#endif

#endif /* DM_CBDMA_H */
