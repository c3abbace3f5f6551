/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "dm_device_impl.h"

const struct dm_pci_function *
dm_pci_function_of(const struct dm_device *dev)
{
	return dev->ops->pci_function == NULL ? NULL : dev->ops->pci_function(dev);
}

bool
dm_pci_config_read(struct dm_device *dev, unsigned int offset, uint32_t *value)
{
	bool has = false;

	if (dev->ops->config_read == NULL)
		return false;
	dm_device_lock(dev);
	has = dev->ops->config_read(dev, offset, value);
	dm_device_unlock(dev);
	return has;
}

bool
dm_pci_config_write(struct dm_device *dev, unsigned int offset, uint32_t mask, uint32_t value)
{
	bool has = false;

	if (dev->ops->config_write == NULL)
		return false;
	dm_device_lock(dev);
	has = dev->ops->config_write(dev, offset, mask, value);
	dm_device_unlock(dev);
	return has;
}

void
dm_pci_set_bus_master(struct dm_device *dev, bool enabled)
{
	dm_device_lock(dev);
	__atomic_store_n(&dev->bus_master, enabled, __ATOMIC_RELAXED);
	dm_device_unlock(dev);
}

void
dm_pci_set_interrupt(struct dm_device *dev, void (*raise)(void *opaque, unsigned int vector),
		void *opaque)
{
	dm_device_lock(dev);
	dev->interrupt = raise;
	dev->interrupt_opaque = opaque;
	dm_device_unlock(dev);
}

bool
dm_pci_pin_asserted(struct dm_device *dev)
{
	bool asserted = false;

	if (dev->ops->pin_asserted == NULL)
		return false;
	dm_device_lock(dev);
	asserted = dev->ops->pin_asserted(dev);
	dm_device_unlock(dev);
	return asserted;
}

void
dm_device_interrupt(struct dm_device *dev, unsigned int vector)
{
	if (dev->interrupt != NULL)
		dev->interrupt(dev->interrupt_opaque, vector);
}
