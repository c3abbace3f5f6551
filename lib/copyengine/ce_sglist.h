/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_SGLIST_H
#define CE_SGLIST_H

/**
 * @file
 *
 * Scatter/gather lists: memory of a requester, however fragmented, as a device sees it.
 *
 * Building a list resolves addresses; neighbours are merged, and segments are cut where the IOVA is
 * discontinuous or they get longer than the device takes. Memory that the device cannot reach is
 * marked: a transfer takes it through bounce buffers.
 *
 * What a device without shared virtual addressing reaches is what DPDK knows: its own memory, and
 * memory that was registered with rte_extmem_register(). Whoever registers memory must have mapped it
 * for the device too (rte_dev_dma_map()). All other memory (malloc, stack, files) is bounced.
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
	uint64_t address; /**< IOVA, or virtual address when bounced */
	uint32_t length;
	uint32_t bounced; /**< 1: the device cannot reach it; else 0 */
};

/** A list. */
struct ce_sglist;

/**
 * Build a list from a range of virtual addresses.
 *
 * Takes blocks from a pool of the handle: no memory is allocated. Thread of the handle.
 *
 * @return the list; NULL with rte_errno: EINVAL: it would be empty; ENOMEM: the handle's blocks are
 *   used up (conf.sg_blocks), nothing is held then.
 */
struct ce_sglist *ce_sglist_build(struct ce_adapter *adapter, void *va, size_t length);

/** Build a list from an array of ranges; ranges of length 0 are passed over. See ce_sglist_build(). */
struct ce_sglist *ce_sglist_build_iov(
	struct ce_adapter *adapter, const struct iovec *iov, unsigned int count);

/** Build a list from the data of a packet, all its segments. See ce_sglist_build(). */
struct ce_sglist *ce_sglist_build_mbuf(struct ce_adapter *adapter, const struct rte_mbuf *packet);

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
