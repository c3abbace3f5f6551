/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_device_impl.h"
#include "dm_engine.h"

int
dm_device_init(struct dm_device *dev, const struct dm_device_ops *ops)
{
	dev->iommu = dm_iommu_create();
	if (dev->iommu == NULL)
		return -ENOMEM;
	dev->ops = ops;
	dev->contenders = 0;
	dev->bus_master = true;
	dev->unfinished = false;
	dev->interrupt = NULL;
	dev->interrupt_opaque = NULL;
	dev->engine = NULL;
	memset(&dev->remote, 0, sizeof(dev->remote));
	dev->bounce = NULL;
	dev->remote_users = 0;
	pthread_cond_init(&dev->remote_left, NULL);
	pthread_mutex_init(&dev->lock, NULL);
	pthread_cond_init(&dev->calm, NULL);
	return 0;
}

void
dm_device_fini(struct dm_device *dev)
{
	free(dev->bounce);
	pthread_cond_destroy(&dev->remote_left);
	pthread_cond_destroy(&dev->calm);
	pthread_mutex_destroy(&dev->lock);
	dm_iommu_destroy(dev->iommu);
}

void
dm_device_lock(struct dm_device *dev)
{
	__atomic_fetch_add(&dev->contenders, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&dev->lock);
	__atomic_fetch_sub(&dev->contenders, 1, __ATOMIC_RELAXED);
}

void
dm_device_unlock(struct dm_device *dev)
{
	if (__atomic_load_n(&dev->contenders, __ATOMIC_RELAXED) == 0)
		pthread_cond_broadcast(&dev->calm);
	if (dev->remote_users != 0 && dev->remote.cancel != NULL &&
			dev->ops->wants_remote != NULL && !dev->ops->wants_remote(dev))
		dev->remote.cancel(dev->remote.opaque);
	if (dev->engine != NULL)
		dm_engine_wake(dev->engine);
	pthread_mutex_unlock(&dev->lock);
}

void
dm_device_set_engine(struct dm_device *dev, struct dm_engine *engine)
{
	dm_device_lock(dev);
	dev->engine = engine;
	dm_device_unlock(dev);
}

uint64_t
dm_device_read(struct dm_device *dev, uint64_t offset, unsigned int width)
{
	uint64_t value;

	dm_device_lock(dev);
	value = dev->ops->read(dev, offset, width);
	dm_device_unlock(dev);
	return value;
}

void
dm_device_write(struct dm_device *dev, uint64_t offset, unsigned int width, uint64_t value)
{
	dm_device_lock(dev);
	dev->ops->write(dev, offset, width, value);
	dm_device_unlock(dev);
}

void
dm_device_reset(struct dm_device *dev)
{
	dm_device_lock(dev);
	dev->ops->reset(dev);
	dm_device_unlock(dev);
}

int
dm_device_map(struct dm_device *dev, uint64_t iova, uint64_t size, void *va, uint32_t perm)
{
	int ret;

	dm_device_lock(dev);
	ret = dm_iommu_map(dev->iommu, iova, size, va, perm);
	dm_device_unlock(dev);
	return ret;
}

/* Below, the kernel maps nothing for those who are not privileged. */
#define PROCESS_START 0x10000ull

/* Above, addresses are the kernel's, or none: an access to one that is none has no address when it
 * is caught.
 */
#ifdef __aarch64__
#define PROCESS_END (1ull << 48)
#else
#define PROCESS_END (1ull << 47)
#endif

int
dm_device_map_process(struct dm_device *dev)
{
	return dm_device_map(dev, PROCESS_START, PROCESS_END - PROCESS_START,
		(void *)(uintptr_t)PROCESS_START, DM_READ | DM_WRITE);
}

int
dm_device_unmap(struct dm_device *dev, uint64_t iova, uint64_t size)
{
	int ret;

	dm_device_lock(dev);
	ret = dm_iommu_unmap(dev->iommu, iova, size);
	dm_device_unlock(dev);
	return ret;
}

void
dm_device_unmap_all(struct dm_device *dev)
{
	dm_device_lock(dev);
	dm_iommu_unmap_all(dev->iommu);
	dm_device_unlock(dev);
}

int
dm_device_set_remote(struct dm_device *dev, const struct dm_remote *remote)
{
	int ret = 0;

	dm_device_lock(dev);
	if (dev->bounce == NULL && remote != NULL)
		dev->bounce = malloc(DM_BOUNCE_BYTES);
	if (remote == NULL)
		memset(&dev->remote, 0, sizeof(dev->remote));
	else if (dev->bounce == NULL)
		ret = -ENOMEM;
	else
		dev->remote = *remote;
	while (dev->remote_users != 0) {
		/* Who is in it may be waiting for nobody else to want the lock. */
		pthread_cond_broadcast(&dev->calm);
		pthread_cond_wait(&dev->remote_left, &dev->lock);
	}
	dm_device_unlock(dev);
	return ret;
}

/* Take the lock, in order to run the device, when nobody else wants it. */
static void
lock_to_run(struct dm_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	while (__atomic_load_n(&dev->contenders, __ATOMIC_RELAXED) != 0)
		pthread_cond_wait(&dev->calm, &dev->lock);
}

int
dm_device_access_remote(struct dm_device *dev, bool write, uint64_t iova, void *data, uint64_t len)
{
	const struct dm_remote remote = dev->remote;
	int ret;

	if (remote.access == NULL || len > remote.max)
		return -EIO;
	dev->remote_users++;
	remote.begin(remote.opaque);
	pthread_mutex_unlock(&dev->lock);
	ret = remote.access(remote.opaque, write, iova, data, len);
	lock_to_run(dev);
	if (--dev->remote_users == 0)
		pthread_cond_broadcast(&dev->remote_left);
	return ret;
}

bool
dm_device_pending(const struct dm_device *dev)
{
	return __atomic_load_n(&dev->bus_master, __ATOMIC_RELAXED) && dev->ops->pending(dev);
}

unsigned int
dm_device_burst(struct dm_device *dev, unsigned int max)
{
	unsigned int n = 0;

	lock_to_run(dev);
	dev->unfinished = false;
	if (dev->bus_master)
		n = dev->ops->run(dev, max);
	pthread_mutex_unlock(&dev->lock);
	return n;
}

unsigned int
dm_device_run(struct dm_device *dev, unsigned int max)
{
	unsigned int done = 0;

	while (done < max) {
		unsigned int left = max - done;
		unsigned int n = dm_device_burst(dev, left < DM_BURST ? left : DM_BURST);

		if (n == 0 && !dev->unfinished)
			break;
		done += n;
	}
	return done;
}

void
dm_device_destroy(struct dm_device *dev)
{
	if (dev != NULL)
		dev->ops->destroy(dev);
}
