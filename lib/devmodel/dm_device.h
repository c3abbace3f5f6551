/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_DEVICE_H
#define DM_DEVICE_H

/**
 * @file
 *
 * What every device model has: registers, doorbells, memory behind an IOMMU, work to run.
 *
 * A device is run by an engine thread (dm_engine.h) or, in step mode, by whoever calls
 * dm_device_run(). All functions here may be called from any thread: registers, mappings and work
 * are serialised by the device's lock. When dm_device_unmap() returns, the device does not touch
 * that memory any more.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dm_iommu.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dm_device;

/** Read a register: width 1, 2, 4 or 8 bytes. All ones where nothing answers. */
uint64_t dm_device_read(struct dm_device *dev, uint64_t offset, unsigned int width);

/** Write a register: width 1, 2, 4 or 8 bytes. Dropped where nothing answers. */
void dm_device_write(struct dm_device *dev, uint64_t offset, unsigned int width, uint64_t value);

/** Reset the function, as a PCI function level reset: registers to their defaults, work dropped. */
void dm_device_reset(struct dm_device *dev);

/** See dm_iommu_map(). */
int dm_device_map(struct dm_device *dev, uint64_t iova, uint64_t size, void *va, uint32_t perm);

/**
 * Shared virtual addressing: IOVAs are addresses of this process, and the device reaches whatever it
 * has. Needs dm_guard_enable() (dm_guard.h) while the device runs, by which an access to what is not
 * there, or must not be written, is an error of the address.
 *
 * @return 0; -EEXIST: something is mapped already; -ENOMEM.
 */
int dm_device_map_process(struct dm_device *dev);

/** See dm_iommu_unmap(). */
int dm_device_unmap(struct dm_device *dev, uint64_t iova, uint64_t size);

/** See dm_iommu_unmap_all(). */
void dm_device_unmap_all(struct dm_device *dev);

/** How a device reaches memory of another process: what is mapped with no address. */
struct dm_remote {
	/**
	 * Called with the device's lock held, before each access(): what others do to the device or
	 * its mappings from then on, they must not tell of before access() has said what it wants.
	 */
	void (*begin)(void *opaque);

	/**
	 * Read or write len bytes, 1 to max, in one mapping. Called without the device's lock, and
	 * may wait, for a bounded time.
	 *
	 * @return 0; an errno, negative: the descriptor that needs it fails.
	 */
	int (*access)(void *opaque, bool write, uint64_t iova, void *data, uint64_t len);

	/**
	 * Called with the device's lock held, between begin() and the end of access(): what that is
	 * about is not wanted any more. It need not wait then, and may return -ECANCELED. May be
	 * NULL.
	 */
	void (*cancel)(void *opaque);

	uint64_t max; /**< bytes that an access is about at most */
	void *opaque; /**< what they are called with */
};

/**
 * Set how the device reaches memory of another process; without it, such memory is an error.
 *
 * @param remote
 *   NULL: not at all. Then, when this returns, what was set before is not called any more.
 * @return 0; -ENOMEM.
 */
int dm_device_set_remote(struct dm_device *dev, const struct dm_remote *remote);

/** Whether a doorbell announces work that has not been run. Takes no lock: cheap enough to poll. */
bool dm_device_pending(const struct dm_device *dev);

/**
 * Run up to max descriptors.
 *
 * @return descriptors run; 0 when there is no work, or none that can go on (halted, suspended,
 *   stalled).
 */
unsigned int dm_device_run(struct dm_device *dev, unsigned int max);

/** Free the device. It must not be attached to an engine. */
void dm_device_destroy(struct dm_device *dev);

#ifdef __cplusplus
}
#endif

#endif /* DM_DEVICE_H */
