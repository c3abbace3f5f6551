/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_TRANSFER_H
#define CE_TRANSFER_H

/**
 * @file
 *
 * Transfers: copies and fills of any length between lists or addresses.
 *
 * A transfer goes in pieces, each the best way there is: by the engine where that reaches both sides
 * and the contiguous run is not shorter than conf.break_even; else by the CPU; and through a bounce
 * buffer where neither reaches both sides (a device window and memory that the device does not
 * reach). A piece of the engine is one operation, holds one map register and is conf.max_segment long
 * at most. When map registers run out, or the CPU has copied enough for one call, the rest follows
 * in ce_poll().
 *
 * Whichever way, transfers begin in the order of submission and finish in it.
 */

#include <errno.h>
#include <stddef.h>

#include "copyengine.h"
#include "ce_sglist.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ce_transfer;

/** Called when a transfer has finished, from ce_poll(). It may submit the transfer again. */
typedef void (*ce_transfer_cb)(struct ce_transfer *transfer, void *arg);

/**
 * Begin when everything submitted before on this handle is done. What is submitted behind it begins no
 * earlier, also when it is cancelled.
 */
#define CE_TRANSFER_FENCE RTE_BIT32(0)
/** More is submitted at once: leave it to that or to ce_poll() to ring the doorbell. */
#define CE_TRANSFER_MORE RTE_BIT32(1)
/** Fill the destination with the pattern instead of copying. */
#define CE_TRANSFER_FILL RTE_BIT32(2)

/**
 * A transfer. The memory is the caller's (often a part of a larger request), zeroed before its first
 * use, and must stay until the transfer has finished.
 */
struct ce_transfer {
	uint64_t length;       /**< at least 1, and within both lists */
	const void *src_va;    /**< what to copy, when src is NULL */
	void *dst_va;	       /**< where to, when dst is NULL; must not overlap with the source */
	struct ce_sglist *src; /**< list of what to copy */
	struct ce_sglist *dst; /**< list of where to */
	uint32_t flags;	       /**< CE_TRANSFER_* */

	/**
	 * -EINPROGRESS; 0: done; -EIO: the device reported dma_status; -ENODEV: the device is dead;
	 * -ETIMEDOUT: it completes nothing any more; -ECANCELED: given up, by ce_transfer_cancel() before
	 * it started, or by ce_adapter_close() as far as it had not. Set before cb is called.
	 */
	int status;
	uint64_t done;	   /**< bytes transferred so far, as of the last poll */
	ce_transfer_cb cb; /**< to be called at the end; NULL: poll the status, or ce_collect() */

	/* The above is all that a transfer of contiguous memory touches. */

	void *arg;	     /**< for cb, or whatever */
	uint64_t pattern;    /**< of a fill: 8 bytes, the first in the lowest address; repeated */
	uint64_t src_offset; /**< first byte in src */
	uint64_t dst_offset; /**< first byte in dst */

	/** When the status is -EIO: where the first piece that failed began; all before it is done. */
	uint64_t failed_at;
	enum rte_dma_status_code dma_status; /**< when the status is -EIO: why that piece failed */

	uint64_t opaque[26]; /**< private */
};

/**
 * Start transfers, with one doorbell.
 *
 * @param adapter
 *   The handle; its thread.
 * @param transfers
 *   The transfers, in the order in which they are to begin. length, src or src_va, dst or dst_va,
 *   offsets, pattern, cb, arg and flags say what to do.
 * @param count
 *   Their number.
 * @return how many were started, fewer than count when the next one was refused; when that is the
 *   first, why: -EINVAL: a value is out of range, or the handle is one of a controller
 *   (ce_channel_map() is for those); -EBUSY: the transfer is under way; -ENODEV, -ETIMEDOUT: the
 *   device is dead; -EIO: the device refuses it; -ECANCELED: ce_adapter_close() is closing the handle.
 *   What was refused is as before: no callback, no change of status.
 */
int ce_submit(struct ce_adapter *adapter, struct ce_transfer *const *transfers, unsigned int count);

/**
 * Make progress as ce_poll() does, and learn what finished.
 *
 * @param adapter
 *   The handle; its thread.
 * @param finished
 *   Where to store the transfers without a callback that finished, in order.
 * @param max
 *   Most transfers that are to finish in this call, with or without a callback.
 * @return number of transfers stored.
 */
unsigned int ce_collect(
	struct ce_adapter *adapter, struct ce_transfer **finished, unsigned int max);

/** Start one transfer: as ce_submit(). @return 0, or a negative errno value. */
int ce_transfer_submit(struct ce_adapter *adapter, struct ce_transfer *transfer);

/**
 * Start a copy between two ranges of virtual addresses, wherever they are and however long.
 *
 * @param adapter
 *   The handle; its thread.
 * @param transfer
 *   cb, arg and flags say what to do; the other fields are set here.
 * @param dst
 *   First byte to write.
 * @param src
 *   First byte to read.
 * @param length
 *   At least 1.
 * @return as ce_transfer_submit().
 */
int ce_transfer_copy(struct ce_adapter *adapter, struct ce_transfer *transfer, void *dst,
	const void *src, size_t length);

/** Start a fill of a range of virtual addresses with a pattern. See ce_transfer_copy(). */
int ce_transfer_fill(struct ce_adapter *adapter, struct ce_transfer *transfer, void *dst,
	uint64_t pattern, size_t length);

/**
 * Give up a transfer that has not started. It comes back like any other, in its turn, as -ECANCELED.
 *
 * @return 0; -EBUSY: some of it has been started, and it goes on; -ENOENT: it is not under way.
 */
int ce_transfer_cancel(struct ce_adapter *adapter, struct ce_transfer *transfer);

/**
 * Bytes of a transfer that have not been transferred: those yet to come while it is under way, the
 * residue after it has failed. Exact to the pieces that the last ce_poll() found completed.
 */
static inline uint64_t
ce_transfer_remaining(const struct ce_transfer *transfer)
{
	return transfer->length - transfer->done;
}

#ifdef __cplusplus
}
#endif

#endif /* CE_TRANSFER_H */
