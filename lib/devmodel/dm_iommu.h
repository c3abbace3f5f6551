/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_IOMMU_H
#define DM_IOMMU_H

/**
 * @file
 *
 * The IOMMU in front of a device model: the device reaches what was mapped for it and nothing else.
 *
 * Not thread-safe by itself: a device (dm_device.h) owns one and calls it under its lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DM_READ	 0x1u /**< the device may read there */
#define DM_WRITE 0x2u /**< the device may write there */

struct dm_iommu;

/** A mapping, or as much of it as a look-up covers. */
struct dm_iova_range {
	uint64_t start; /**< first IOVA */
	uint64_t end;	/**< one past the last IOVA */
	uint8_t *va;	/**< where start lies in this process; NULL: nowhere */
	uint32_t perm;	/**< DM_READ, DM_WRITE */
};

/** @return an IOMMU that maps nothing; NULL: no memory. */
struct dm_iommu *dm_iommu_create(void);

/** Free it, and its mappings. NULL is allowed. */
void dm_iommu_destroy(struct dm_iommu *iommu);

/** An IOVA and the address that it is mapped to differ by a multiple of this: devices access aligned
 * structures by IOVA.
 */
#define DM_IOVA_ALIGN 64

/**
 * Map [iova, iova + size) to va.
 *
 * @param va
 *   NULL: it lies in another process, and is reached by dm_device_set_remote() only.
 * @return 0; -EINVAL: size is 0, the range wraps, iova and va are aligned differently, perm is none
 *   or unknown; -EEXIST: part of it is mapped already; -ENOMEM.
 */
int dm_iommu_map(struct dm_iommu *iommu, uint64_t iova, uint64_t size, void *va, uint32_t perm);

/**
 * Unmap whatever is mapped in [iova, iova + size); mappings that reach out of it are cut.
 *
 * @return 0; -EINVAL: size is 0 or the range wraps; -ENOENT: nothing was mapped there; -ENOMEM: a
 *   mapping had to be cut in two and could not, nothing was changed.
 */
int dm_iommu_unmap(struct dm_iommu *iommu, uint64_t iova, uint64_t size);

/** Unmap everything. */
void dm_iommu_unmap_all(struct dm_iommu *iommu);

/**
 * The mapping that holds iova.
 *
 * @return the whole mapping, or NULL when nothing is mapped there. Valid until the next map or unmap.
 */
const struct dm_iova_range *dm_iommu_find(const struct dm_iommu *iommu, uint64_t iova);

/** Whether all of [iova, iova + len) may be accessed, in this process or in another one. */
bool dm_iommu_covers(const struct dm_iommu *iommu, uint64_t iova, uint64_t len, uint32_t perm);

/** Count of map and unmap calls that changed anything: what a translation cache compares. */
uint64_t dm_iommu_generation(const struct dm_iommu *iommu);

#ifdef __cplusplus
}
#endif

#endif /* DM_IOMMU_H */
