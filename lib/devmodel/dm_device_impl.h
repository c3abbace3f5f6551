/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_DEVICE_IMPL_H
#define DM_DEVICE_IMPL_H

/**
 * @file
 *
 * What a device model is made of. Private to lib/devmodel.
 */

#include <pthread.h>

#include "dm_device.h"
#include "dm_pci.h"

/** Descriptors that are run at most before the lock is let go and other devices get their turn. */
#define DM_BURST 256

/** Bytes after which such a burst ends, so that who waits for the lock waits for microseconds. */
#define DM_BURST_BYTES (1u << 20)

/** What is moved at a time when memory is another process's. */
#define DM_BOUNCE_BYTES (128u << 10)

/** What a kind of device does. All but pending() and pci_function() are called with the device's
 * lock held.
 */
struct dm_device_ops {
	uint64_t (*read)(struct dm_device *dev, uint64_t offset, unsigned int width);
	void (*write)(struct dm_device *dev, uint64_t offset, unsigned int width, uint64_t value);
	void (*reset)(struct dm_device *dev);
	bool (*pending)(const struct dm_device *dev);
	unsigned int (*run)(struct dm_device *dev, unsigned int max);
	void (*destroy)(struct dm_device *dev);

	/** Whether what dm_device_access_remote() waits for is wanted yet; NULL: it always is. */
	bool (*wants_remote)(const struct dm_device *dev);

	/* As a PCI function (dm_pci.h); all NULL for a device that is none. */
	const struct dm_pci_function *(*pci_function)(const struct dm_device *dev);
	bool (*config_read)(struct dm_device *dev, unsigned int offset, uint32_t *value);
	bool (*config_write)(struct dm_device *dev, unsigned int offset, uint32_t mask,
			uint32_t value);
	bool (*pin_asserted)(struct dm_device *dev);
};

/** The head of every device's own structure. */
struct dm_device {
	const struct dm_device_ops *ops;
	struct dm_iommu *iommu;
	pthread_mutex_t lock;

	/**
	 * Threads that want the lock for something other than run(). The thread that runs the device
	 * takes and drops the lock without a pause in between; a mutex is not fair, so without this
	 * count the others could wait for as long as there is work.
	 */
	unsigned int contenders;
	pthread_cond_t calm; /**< there are none; the lock's */

	struct dm_engine *engine; /**< that runs it; NULL: none. The lock's */

	bool bus_master; /**< may read and write memory */
	struct dm_remote remote; /**< access NULL: none */
	uint8_t *bounce;	 /**< DM_BOUNCE_BYTES, for what goes there or comes from there */
	unsigned int remote_users; /**< threads that are in it */
	pthread_cond_t remote_left;

	bool unfinished; /**< run() has left a piece of a descriptor to be run; its thread's */
	void (*interrupt)(void *opaque, unsigned int vector); /**< may be NULL */
	void *interrupt_opaque;
};

/** @return 0; -ENOMEM. */
int dm_device_init(struct dm_device *dev, const struct dm_device_ops *ops);

/** Release what dm_device_init() made. */
void dm_device_fini(struct dm_device *dev);

/** Take the lock before the thread that runs the device takes it again. */
void dm_device_lock(struct dm_device *dev);

/** Let the lock go. Something may have changed: an engine that sleeps has a look, and an answer
 * that is waited for may have become pointless.
 */
void dm_device_unlock(struct dm_device *dev);

/** Set which engine runs the device. When it returns, one that was set before is not used any more. */
void dm_device_set_engine(struct dm_device *dev, struct dm_engine *engine);

/** Raise an interrupt message. The lock is held. */
void dm_device_interrupt(struct dm_device *dev, unsigned int vector);

/**
 * Access memory of another process. The lock is held, and let go meanwhile: when this returns,
 * anything may have changed. For the thread that runs the device.
 *
 * @param len
 *   1 to dev->remote.max.
 * @return 0; -ECANCELED: it is not wanted, or was not meanwhile; or another errno, negative.
 */
int dm_device_access_remote(struct dm_device *dev, bool write, uint64_t iova, void *data,
		uint64_t len);

/** Run one burst: up to max descriptors, at most about DM_BURST_BYTES, under one hold of the lock. */
unsigned int dm_device_burst(struct dm_device *dev, unsigned int max);

#endif /* DM_DEVICE_IMPL_H */
