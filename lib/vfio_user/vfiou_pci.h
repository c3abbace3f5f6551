/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_PCI_H
#define VFIOU_PCI_H

/**
 * @file
 *
 * The PCI side of a device model: configuration space and MSI-X table, and what they gate.
 */

#include "dm_pci.h"
#include "vfiou_irq.h"

#define VFIOU_CONFIG_SIZE 4096

#define VFIOU_MSIX_ENTRY 16

struct vfiou_pci {
	struct dm_device *dev;
	const struct dm_pci_function *function;
	struct vfiou_irq *irq;

	/** Configuration space, and which of its bits can be written. */
	uint8_t config[VFIOU_CONFIG_SIZE];
	uint8_t writable[VFIOU_CONFIG_SIZE];
	uint8_t msix_table[VFIOU_MAX_VECTORS * VFIOU_MSIX_ENTRY];

	bool memory_enabled; /**< the function answers to accesses of its BARs */
};

/** Set up the function of a device, as after a reset. The device is told so. */
void vfiou_pci_init(struct vfiou_pci *pci, struct dm_device *dev, struct vfiou_irq *irq);

/** Reset the function, the device included. */
void vfiou_pci_reset(struct vfiou_pci *pci);

/** Read or write configuration space: any piece of it. */
void vfiou_pci_config_read(struct vfiou_pci *pci, uint64_t offset, uint8_t *data, size_t len);
void vfiou_pci_config_write(struct vfiou_pci *pci, uint64_t offset, const uint8_t *data,
		size_t len);

/** Read or write what lies behind a BAR: any piece of it. */
void vfiou_pci_bar_read(struct vfiou_pci *pci, unsigned int bar, uint64_t offset, uint8_t *data,
		size_t len);
void vfiou_pci_bar_write(struct vfiou_pci *pci, unsigned int bar, uint64_t offset,
		const uint8_t *data, size_t len);

#endif /* VFIOU_PCI_H */
