/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_DMA_H
#define VFIOU_DMA_H

/**
 * @file
 *
 * The client's memory: mapped into this process and into the device's IOMMU.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dm_device.h"
#include "vfiou_proto.h"

/** A mapping takes one of the kernel's 65530 per process. */
#define VFIOU_MAX_MAPS 32768

struct vfiou_dma_region {
	uint64_t address;
	uint64_t size;
	bool reachable; /**< by the device: it may be read or written */
	uint8_t *va; /**< NULL: the client gave no file, and is asked each time (vfiou_remote.h) */
	void *mapping;	/**< the pages around it, as mmap() gave them */
	uint64_t bytes; /**< of them; 0: no file */
};

struct vfiou_dma {
	struct dm_device *dev;
	struct vfiou_dma_region *region; /**< disjoint, by ascending address */
	size_t count;
	size_t capacity;
	uint64_t bytes; /**< mapped */
	uint64_t max_bytes;
};

/** @param max_bytes How many may be mapped; 0: no limit. */
void vfiou_dma_init(struct vfiou_dma *dma, struct dm_device *dev, uint64_t max_bytes);

/**
 * Map memory.
 *
 * @param fd
 *   Its file, the caller's still: of tmpfs or hugetlbfs, or a memfd. -1: none. Then the device
 *   reaches it by messages.
 * @return 0; -EINVAL: a field is wrong, the file is none of those or too small; -EEXIST: overlaps
 *   another one; -ENOSPC: too many, or more bytes than the client may map; or what mmap() says.
 */
int vfiou_dma_map(struct vfiou_dma *dma, const struct vfiou_dma_map *map, int fd);

/**
 * Unmap all regions that lie in a range; with VFIOU_DMA_UNMAP_ALL, all there are.
 *
 * @return 0; -EINVAL: a field is wrong, or the range cuts a region; -ENOENT: there is none.
 */
int vfiou_dma_unmap(struct vfiou_dma *dma, const struct vfiou_dma_unmap *unmap);

/** Unmap everything, and give back the memory of the list. */
void vfiou_dma_release(struct vfiou_dma *dma);

#endif /* VFIOU_DMA_H */
