/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_TRANSFER_H
#define CE_TRANSFER_H

/**
 * @file
 *
 * Transfers: copies of any length between lists.
 *
 * A transfer goes in pieces. A piece is one operation of the device, holds one map register, and
 * takes what is contiguous on both sides, or with scatter/gather in the device as many segments as
 * that takes; at most conf.max_segment. When map registers or bounce buffers run out, the rest
 * follows in ce_poll().
 */

#include <errno.h>
#include <stddef.h>
#include <sys/queue.h>

#include "copyengine.h"
#include "ce_sglist.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ce_transfer;
struct ce_channel_request;

/** Called when a transfer has finished, from ce_poll(). It may submit the transfer again. */
typedef void (*ce_transfer_cb)(struct ce_transfer *transfer, void *arg);

/** Begin when everything submitted before on this handle is done. */
#define CE_TRANSFER_FENCE RTE_BIT32(0)
/** More is submitted at once: leave it to that or to ce_poll() to ring the doorbell. */
#define CE_TRANSFER_MORE RTE_BIT32(1)

/** Where a transfer is in a list. Private. */
struct ce_cursor {
	const struct ce_segment *segment; /* NULL: at the end */
	const struct ce_sglist *block;	  /* that holds the segment */
	uint32_t left;			  /* segments left in the block, this one included */
	uint32_t offset;		  /* in the segment */
};

/**
 * A transfer. The memory is the caller's (often a part of a larger request) and must stay until the
 * transfer has finished.
 */
struct ce_transfer {
	uint64_t length;   /**< at least 1, and within both lists */
	ce_transfer_cb cb; /**< to be called at the end; NULL: poll the status */
	void *arg;	   /**< for cb */
	uint32_t flags;	   /**< CE_TRANSFER_* */

	/**
	 * -EINPROGRESS; 0: done; -EIO: the device reported dma_status; -ENODEV: the device is dead;
	 * -ETIMEDOUT: it completes nothing any more. Set before cb is called.
	 */
	int status;
	uint64_t done; /**< bytes transferred so far: pieces that the device has completed */

	/* Private. */
	uint64_t left;	   /* not yet given to the device */
	uint32_t inflight; /* pieces under way */
	int error;

	/* The above is all that the transfer of contiguous memory touches. */

	/** When the status is -EIO: where the first piece that failed began; all before it is done. */
	uint64_t failed_at;
	enum rte_dma_status_code dma_status; /**< When the status is -EIO: why that piece failed. */

	struct ce_sglist *src; /**< what to copy */
	struct ce_sglist *dst; /**< where to; must not overlap with src */
	uint64_t src_offset;   /**< first byte in src */
	uint64_t dst_offset;   /**< first byte in dst */

	/* Private. */
	struct ce_cursor src_at;
	struct ce_cursor dst_at;
	struct ce_segment src_segment; /* list of one, of transfers without lists */
	struct ce_segment dst_segment;
	struct ce_channel_request *request; /* whose map registers it takes */
	TAILQ_ENTRY(ce_transfer) link;	    /* among those that wait */
};

/**
 * Start a transfer.
 *
 * Transfers of a handle begin in the order of submission. They finish in order as well unless one
 * fails. Without CE_TRANSFER_FENCE a device may run them at the same time. Thread of the handle.
 *
 * @param adapter
 *   The handle.
 * @param transfer
 *   src, dst, src_offset, dst_offset, length, cb, arg, flags say what to do. Not under way.
 * @return 0: cb will be called, the status will change; or, and then neither happens: -EINVAL: a value
 *   is out of range, or the handle is one of a controller (ce_channel_map() is for those); -ENODEV:
 *   the device is dead; -EIO: the device refuses the transfer.
 */
int ce_transfer_submit(struct ce_adapter *adapter, struct ce_transfer *transfer);

/**
 * Start a transfer between two ranges of virtual addresses. Contiguous memory takes the shortest
 * path there is; all other memory is resolved, cut and bounced as with ce_sglist_build().
 *
 * @param adapter
 *   The handle.
 * @param transfer
 *   cb, arg and flags say what to do; the other fields are set here.
 * @param dst
 *   First byte to write.
 * @param src
 *   First byte to read.
 * @param length
 *   At least 1.
 * @return as ce_transfer_submit(), and -ENOMEM: no block is left for a list.
 */
int ce_transfer_copy(struct ce_adapter *adapter, struct ce_transfer *transfer, void *dst, void *src,
	size_t length);

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
