/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_PCI_H
#define DM_PCI_H

/**
 * @file
 *
 * A device model as a PCI function: what a bus needs to know of it, and what it does with it.
 *
 * What all functions have (header, capabilities, MSI-X table) is the bus's to keep; the model says
 * what is in it and has the registers that are its own.
 */

#include "dm_device.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DM_PCI_BARS 6 /**< of a function, at most */

/** A base address register and what lies behind it. */
struct dm_pci_bar {
	uint64_t size; /**< a power of two; 0: there is no such BAR */
	bool is_64bit; /**< takes the place of the next one, too */

	/**
	 * Memory that the model and whoever has the file map: a plain store is all it takes. NULL:
	 * the device's registers, dm_device_read() and dm_device_write(); one BAR at most has them.
	 */
	void *memory;
	int fd; /**< file of memory; it cannot be shrunk */
};

/** What a function is on a PCI bus. */
struct dm_pci_function {
	uint16_t vendor_id;	      /**< configuration space 0x00 */
	uint16_t device_id;	      /**< 0x02 */
	uint16_t subsystem_vendor_id; /**< 0x2c */
	uint16_t subsystem_id;	      /**< 0x2e */
	uint32_t class_code;	      /**< 24 bit: base class, subclass, interface */
	uint8_t revision;	      /**< 0x08 */
	uint8_t interrupt_pin;	      /**< 0: none; 1: INTA# */
	struct dm_pci_bar bar[DM_PCI_BARS]; /**< by number */

	uint16_t msix_vectors; /**< 0: no MSI-X */
	uint8_t msix_bar;      /**< where table and pending bits lie: behind registers */
	uint32_t msix_table;   /**< offset in that BAR, bytes */
	uint32_t msix_pending; /**< likewise */
};

/** @return what the device is on a PCI bus; NULL: it is no PCI function. Lives as long as it. */
const struct dm_pci_function *dm_pci_function_of(const struct dm_device *dev);

/**
 * Read a register of the device's own in configuration space.
 *
 * @param offset
 *   Multiple of 4, 0x40 to 0xffc.
 * @return whether the device has one there.
 */
bool dm_pci_config_read(struct dm_device *dev, unsigned int offset, uint32_t *value);

/**
 * Write a register of the device's own in configuration space.
 *
 * @param mask
 *   The bits that are written: of the bytes that the access reaches.
 * @return whether the device has one there.
 */
bool dm_pci_config_write(struct dm_device *dev, unsigned int offset, uint32_t mask, uint32_t value);

/**
 * Bus Master Enable. While it is off the device keeps still: it reads and writes no memory, and
 * what was announced to it waits. A device that no bus cares for has it on.
 */
void dm_pci_set_bus_master(struct dm_device *dev, bool enabled);

/**
 * Have a function called, with the device's lock held, when the device raises an interrupt message.
 * When this returns, the one set before is not called any more.
 *
 * @param raise
 *   NULL: nobody listens.
 */
void dm_pci_set_interrupt(struct dm_device *dev, void (*raise)(void *opaque, unsigned int vector),
		void *opaque);

/** Whether the device would assert its interrupt pin. */
bool dm_pci_pin_asserted(struct dm_device *dev);

#ifdef __cplusplus
}
#endif

#endif /* DM_PCI_H */
