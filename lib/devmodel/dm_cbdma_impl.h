/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_CBDMA_IMPL_H
#define DM_CBDMA_IMPL_H

/**
 * @file
 *
 * State of a CBDMA function, shared by its registers (dm_cbdma.c) and its descriptor engine
 * (dm_cbdma_run.c). Private to lib/devmodel.
 *
 * Names in capitals are registers. Sources of what the model does beyond register layouts:
 *
 * [DS]  Intel Xeon Processor E5 v2 / E7 v2 datasheets, volume 2, "Crystal Beach DMA" MMIO registers
 *	 (sections 8.5 and 14.5), also as transcribed in Barrelfish devices/ioat_dma_chan.dev
 * [LX]  Linux drivers/dma/ioat/{dma,init}.c
 * [FB]  FreeBSD sys/dev/ioat/ioat.c
 * [DPDK] drivers/dma/ioat/ioat_dmadev.c
 */

#include "cbdma_hw.h"
#include "dm_cbdma.h"
#include "dm_copy.h"
#include "dm_device_impl.h"
#include "dm_tlb.h"

#define CBDMA_BAR_SIZE 0x4000

/* CHANERR: bits 0 to 18, less the reserved ones. */
#define CBDMA_CHANERR_IMPLEMENTED 0x7ffffu

struct cbdma_channel {
	/* What dm_device_pending() reads without the lock. */
	uint16_t *doorbell; /**< DMACOUNT; the driver stores to it whenever it likes */
	uint16_t ran;	    /**< descriptors run since CHAINADDR was written: the internal counter */
	uint16_t seen;	    /**< DMACOUNT as last read: reading it takes it out of the driver's cache */
	bool runnable;	    /**< nothing but the doorbell is in the way of running */

	bool started;	/**< a descriptor of this chain has been fetched: CDAR says which */
	bool resetting; /**< CHANCMD.RESET was written and does not complete (injected) */
	bool stalled;	/**< runs nothing until reset (injected) */
	bool suspend_due; /**< to be suspended when the descriptor at hand is done */
	uint32_t progress; /**< bytes of it that are done: long ones are run in pieces */
	bool busy;	   /**< with a descriptor, though the lock is let go now and then */
	unsigned int epoch; /**< changes with each new chain, and with a reset */

	uint64_t owed; /**< completion word yet to be written, by a message; 0: none */
	bool interrupt_owed; /**< to be raised after it */
	bool interrupt_due; /**< an interrupt came while CHANCTRL.INT_DISABLE was set */
	uint8_t state;	    /**< CBDMA_CHANSTS_IDLE...; never ACTIVE, see cbdma_chansts() */
	uint8_t index;

	uint16_t chanctrl;
	uint16_t dmacount; /**< DMACOUNT when the configuration names no other place for it */
	uint32_t chanerr;
	uint32_t chanerrmsk;
	uint64_t chainaddr;
	uint64_t chancmp;
	uint64_t cdar;	    /**< descriptor fetched last */
	uint64_t completed; /**< descriptor completed last; 0: none of this chain */

	struct dm_cbdma_fault fault; /**< yet to strike; at counts down */
};

struct dm_cbdma {
	struct dm_device dev; /**< first: a struct dm_device is cast to this */
	struct dm_cbdma_config config;
	bool gone; /**< vanished (injected) */
	bool mute; /**< does not answer (injected) */
	bool dead; /**< after an error, until reset as a function (strict_errors) */

	uint8_t genctrl;
	uint8_t intrctrl;
	uint16_t intrdelay;
	uint32_t attnstatus;
	uint32_t chanerr_int; /**< CHANERR_INT of configuration space: errors of all channels */
	uint32_t chanerrmsk_int;
	uint32_t dmauncerrsts;
	struct dm_pci_function pci;
	uint32_t undelivered; /**< channels that await INTRCTRL.MASTER_INT_EN to interrupt */

	struct { /* what another process is being asked for, and on whose behalf */
		const struct cbdma_channel *ch;
		unsigned int epoch;
		uint32_t perm;
		uint64_t iova, len;
	} asked;

	struct cbdma_channel channel[DM_CBDMA_MAX_CHANNELS];
	unsigned int next_channel; /**< whose turn it is */

	struct dm_copier copier;
	uint64_t generation; /**< of the IOMMU, when the translation caches were last known right */
	struct dm_tlb read_tlb;
	struct dm_tlb write_tlb;
};

/** DMACOUNT, and with it all that the driver wrote before it stored it. */
static inline uint16_t
cbdma_dmacount(const struct cbdma_channel *ch)
{
	return __atomic_load_n(ch->doorbell, __ATOMIC_ACQUIRE);
}

/** Descriptors that are known to be outstanding. 0: cbdma_outstanding() may know of more. */
static inline uint16_t
cbdma_known(const struct cbdma_channel *ch)
{
	return __atomic_load_n(&ch->seen, __ATOMIC_RELAXED) -
			__atomic_load_n(&ch->ran, __ATOMIC_RELAXED);
}

/** Descriptors that DMACOUNT announces and that have not been run. */
static inline uint16_t
cbdma_outstanding(const struct cbdma_channel *ch)
{
	return cbdma_dmacount(ch) - __atomic_load_n(&ch->ran, __ATOMIC_RELAXED);
}

/** Forget translations that the IOMMU has taken back since. Before any that is not of cbdma_run(). */
void cbdma_sync_tlb(struct dm_cbdma *cb);

/** Enter a state, and tell dm_device_pending() whether the doorbell counts in it. */
void cbdma_enter(struct dm_cbdma *cb, struct cbdma_channel *ch, uint8_t state);

/** Value of CHANSTS. An idle or armed channel is ACTIVE as soon as DMACOUNT announces work. */
uint64_t cbdma_chansts(const struct cbdma_channel *ch);

/** Raise a channel's interrupt, or remember that it is due. */
void cbdma_interrupt(struct dm_cbdma *cb, struct cbdma_channel *ch);

/** Stop with an error; report it the ways that CHANCTRL asks for. */
void cbdma_halt(struct dm_cbdma *cb, struct cbdma_channel *ch, uint32_t chanerr);

/** Have a stall or a vanishing happen whose time has come. */
void cbdma_strike(struct dm_cbdma *cb, struct cbdma_channel *ch);

/** Write the completion word, or have it owed. @return false: CHANCMP cannot be written to. */
bool cbdma_write_completion(struct dm_cbdma *cb, struct cbdma_channel *ch, uint64_t word);

/** A descriptor as fetched, each field read once: memory is the driver's, and it may be hostile. */
struct cbdma_fetched {
	uint32_t size;
	uint32_t control;
	uint64_t src;
	uint64_t dst;
};

/**
 * Check a descriptor, and that all that it needs is mapped.
 *
 * @param remote
 *   Memory of another process will do.
 * @return a CHANERR bit; 0: it is good.
 */
uint32_t cbdma_check(struct dm_cbdma *cb, const struct cbdma_channel *ch,
		const struct cbdma_fetched *d, bool remote);

/* dm_cbdma_remote.c: descriptors that need memory of another process. */

/** Whether the completion word goes there. */
bool cbdma_completes_remotely(const struct dm_cbdma *cb, const struct cbdma_channel *ch);

/** Write the completion word that is owed. It is owed still when the device may not now. */
void cbdma_pay_completion(struct dm_cbdma *cb, struct cbdma_channel *ch);

/** What became of a descriptor. */
struct cbdma_outcome {
	uint64_t address;
	uint32_t control;
	uint32_t bytes;
	uint32_t chanerr; /**< 0: it has been run, unless again is set */
	bool again;	  /**< there is more of it to do, or it is not to be run now */
};

/** See struct dm_device_ops. */
bool cbdma_wants_remote(const struct dm_device *dev);

/** Run the next descriptor, wherever it and its data lie; the lock is let go now and then. */
void cbdma_run_remote(struct dm_cbdma *cb, struct cbdma_channel *ch, struct cbdma_outcome *out);

/** See struct dm_device_ops. */
unsigned int cbdma_run(struct dm_device *dev, unsigned int max);

/* dm_cbdma_pci.c; see struct dm_device_ops. */
bool cbdma_pci_init(struct dm_cbdma *cb);
void cbdma_pci_fini(struct dm_cbdma *cb);
const struct dm_pci_function *cbdma_pci_function(const struct dm_device *dev);
bool cbdma_config_read(struct dm_device *dev, unsigned int offset, uint32_t *value);
bool cbdma_config_write(struct dm_device *dev, unsigned int offset, uint32_t mask, uint32_t value);
bool cbdma_pin_asserted(struct dm_device *dev);

#endif /* DM_CBDMA_IMPL_H */
