/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_SGLIST_H
#define CE_SGLIST_H

/**
 * @file
 *
 * Scatter/gather lists: memory of a requester, however fragmented, as CPU and device see it.
 *
 * Building a list resolves addresses; neighbours are merged, and segments are cut where the IOVA is
 * discontinuous. A segment has an address for the CPU, one for the device, or both: a transfer takes
 * the way that there is.
 *
 * What a device without shared virtual addressing reaches is DPDK's memory and what was registered
 * (ce_memory_register()). All other memory (malloc, stack, files) the CPU copies. What the CPU does
 * not reach is described by its IOVA (ce_sglist_build_iova()).
 *
 * A list stays valid while its memory does. It may serve many transfers, also at the same time.
 */

#include <stddef.h>
#include <sys/uio.h>

#include "copyengine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rte_mbuf;

/** Segments in a block of a list. */
#define CE_SG_BLOCK 14

/** A segment of a list. */
struct ce_segment {
	void *va;	 /**< where the CPU finds it; NULL: it does not reach it */
	rte_iova_t iova; /**< where the device finds it; RTE_BAD_IOVA: it does not reach it */
	uint64_t length; /**< bytes */
	/**
	 * 0; or the bytes of a window that stands still, as a FIFO's: every operation goes to its first
	 * byte and is that long at most.
	 */
	uint32_t window;
	uint32_t reserved; /**< 0 */
};

/** A list. */
struct ce_sglist;

/**
 * Build a list from a range of virtual addresses.
 *
 * Takes blocks from a pool of the handle: no memory is allocated. Thread of the handle.
 *
 * @return the list; NULL with rte_errno: EINVAL: it would be empty, or a range is not in the address
 *   space; ENOMEM: the handle's blocks are used up (conf.sg_blocks), nothing is held then.
 */
struct ce_sglist *ce_sglist_build(struct ce_adapter *adapter, const void *va, size_t length);

/** Build a list from an array of ranges; ranges of length 0 are passed over. See ce_sglist_build(). */
struct ce_sglist *ce_sglist_build_iov(
	struct ce_adapter *adapter, const struct iovec *iov, unsigned int count);

/** Build a list from the data of a packet, all its segments. See ce_sglist_build(). */
struct ce_sglist *ce_sglist_build_mbuf(struct ce_adapter *adapter, const struct rte_mbuf *packet);

/**
 * Build a list from what only the device reaches: windows of devices, by their IOVA. See
 * ce_sglist_build().
 *
 * Between a window and memory that the device does not reach, transfers go through the handle's
 * bounce buffers, which are allocated here, once. With CE_CPU an IOVA is an address of the process.
 *
 * @param adapter
 *   Whose device is to reach them.
 * @param segments
 *   iova, length and window of each; va is ignored.
 * @param count
 *   Their number.
 */
struct ce_sglist *ce_sglist_build_iova(
	struct ce_adapter *adapter, const struct ce_segment *segments, unsigned int count);

/** Free a list. No transfer may use it any more. Thread of the handle. NULL is allowed. */
void ce_sglist_free(struct ce_sglist *list);

/** Bytes that a list describes. */
uint64_t ce_sglist_length(const struct ce_sglist *list);

/**
 * Read a list.
 *
 * @param list
 *   The list.
 * @param segments
 *   Where to store its first segments; NULL with max 0: just count.
 * @param max
 *   Segments that can be stored.
 * @return number of segments that the list has.
 */
unsigned int ce_sglist_segments(
	const struct ce_sglist *list, struct ce_segment *segments, unsigned int max);

#ifdef __cplusplus
}
#endif

#endif /* CE_SGLIST_H */
