/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_COMMON_H
#define CE_COMMON_H

/**
 * @file
 *
 * Common buffers: contiguous memory that the CPU and the device reach at any time.
 *
 * They are scarce: they come as whole pages out of contiguous hugepage memory. Take few, keep them,
 * and share pages among small blocks with a pool.
 */

#include <stddef.h>

#include <rte_common.h>

#include "copyengine.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Common buffers are multiples of it and begin at one. */
#define CE_PAGE_SIZE 4096

/** A common buffer. To be read only. */
struct ce_common_buffer {
	void *va;	 /**< where the CPU finds it; aligned to CE_PAGE_SIZE, zeroed when allocated */
	rte_iova_t iova; /**< where the device finds it */
	size_t length;	 /**< a multiple of CE_PAGE_SIZE */
	int socket;	 /**< NUMA node that it lies on */
};

/**
 * Allocate a common buffer, on the NUMA node of the device if that has memory left.
 *
 * Not for the data path: it takes a lock of EAL and may have it reserve hugepages.
 *
 * @param adapter
 *   Whoever is to reach it.
 * @param length
 *   At least 1; rounded up to a multiple of CE_PAGE_SIZE.
 * @return the buffer; NULL with rte_errno: EINVAL: length is 0; ENOMEM: so much contiguous memory
 *   is not to be had. Nothing is left behind then.
 */
struct ce_common_buffer *ce_common_buffer_alloc(struct ce_adapter *adapter, size_t length);

/** Free a common buffer. No transfer may use it any more. NULL is allowed. */
void ce_common_buffer_free(struct ce_common_buffer *buffer);

/** Small blocks carved out of one common buffer. */
struct ce_common_pool;

/** Use of a pool. */
struct ce_common_pool_stats {
	size_t bytes;	       /**< common memory that the pool holds, whole pages */
	uint32_t block_size;   /**< bytes of a block */
	uint32_t blocks;       /**< blocks that the pool has */
	uint32_t blocks_used;  /**< of them given out now */
	uint64_t allocations;  /**< blocks given out so far */
	uint64_t exhaustions;  /**< times that none was left */
};

/**
 * Make a pool of small blocks in a common buffer.
 *
 * @param adapter
 *   Whoever is to reach them.
 * @param block_size
 *   Bytes of a block, 1 to 1 MB. Blocks begin at cache lines.
 * @param blocks
 *   Blocks that are needed at least, 1 or more. What remains of the last page becomes blocks too.
 * @return the pool; NULL with rte_errno: EINVAL: a value is out of range; ENOMEM.
 */
struct ce_common_pool *ce_common_pool_create(
	struct ce_adapter *adapter, uint32_t block_size, uint32_t blocks);

/** Free a pool. @return 0; -EBUSY: blocks have not been put back. NULL is allowed. */
int ce_common_pool_destroy(struct ce_common_pool *pool);

/**
 * Take a block. Constant time; from any thread at any time.
 *
 * @param pool
 *   The pool.
 * @param iova
 *   Where the device finds the block; NULL: not of interest.
 * @return where the CPU finds the block; NULL: none is left.
 */
void *ce_common_pool_get(struct ce_common_pool *pool, rte_iova_t *iova);

/** Put a block back. From any thread at any time. */
void ce_common_pool_put(struct ce_common_pool *pool, void *block);

/** Read the use of a pool. From any thread; the figures are of about the same time. */
void ce_common_pool_stats_get(const struct ce_common_pool *pool, struct ce_common_pool_stats *stats);

/**
 * Hand memory from the CPU to the device: what was stored is what the device will read.
 *
 * For memory that both work on without a transfer in between, such as a mailbox: before the device
 * is told. Transfers do this, and the copy into bounce buffers, by themselves. On cache-coherent
 * machines, the only ones DPDK runs on, it is a barrier.
 *
 * @param adapter
 *   The device that reads.
 * @param va
 *   First byte.
 * @param length
 *   Bytes.
 */
void ce_sync_for_device(struct ce_adapter *adapter, const void *va, size_t length);

/** Hand memory from the device to the CPU: what is loaded is what the device had written before. */
void ce_sync_for_cpu(struct ce_adapter *adapter, const void *va, size_t length);

#ifdef __cplusplus
}
#endif

#endif /* CE_COMMON_H */
