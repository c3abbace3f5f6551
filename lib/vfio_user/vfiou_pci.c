/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <assert.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vfiou_pci.h"

/* Where the capabilities lie, and what they are, as in a Skylake server's 8086:2021 (the lspci in
 * https://github.com/pciutils/pciutils/pull/113).
 */
#define CAP_MSIX 0x80
#define CAP_EXP	 0x90
#define CAP_PM	 0xe0

#define EXP_SIZE 0x3c /* version 2 */

static uint16_t
get16(const uint8_t *at)
{
	return at[0] | at[1] << 8;
}

static void
put16(uint8_t *at, uint16_t value)
{
	at[0] = value;
	at[1] = value >> 8;
}

static uint32_t
get32(const uint8_t *at)
{
	return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static void
put32(uint8_t *at, uint32_t value)
{
	put16(at, value);
	put16(at + 2, value >> 16);
}

/* Building configuration space */

/* Whoever writes all ones to a BAR reads back its size: the bits below it cannot be written. */
static void
build_bars(struct vfiou_pci *pci)
{
	unsigned int i;

	for (i = 0; i < DM_PCI_BARS; i++) {
		const struct dm_pci_bar *bar = &pci->function->bar[i];
		unsigned int at = PCI_BASE_ADDRESS_0 + i * 4;

		if (bar->size == 0)
			continue;
		put32(&pci->writable[at], ~(uint32_t)(bar->size - 1) & PCI_BASE_ADDRESS_MEM_MASK);
		if (!bar->is_64bit)
			continue;
		pci->config[at] = PCI_BASE_ADDRESS_MEM_TYPE_64;
		put32(&pci->writable[at + 4], ~(uint32_t)((bar->size - 1) >> 32));
		i++;
	}
}

static void
build_header(struct vfiou_pci *pci)
{
	const struct dm_pci_function *f = pci->function;
	uint8_t *c = pci->config, *w = pci->writable;

	put16(c + PCI_VENDOR_ID, f->vendor_id);
	put16(c + PCI_DEVICE_ID, f->device_id);
	put16(w + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
			PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	put16(c + PCI_STATUS, PCI_STATUS_CAP_LIST);
	put32(c + PCI_CLASS_REVISION, f->class_code << 8 | f->revision);
	w[PCI_CACHE_LINE_SIZE] = 0xff;
	put16(c + PCI_SUBSYSTEM_VENDOR_ID, f->subsystem_vendor_id);
	put16(c + PCI_SUBSYSTEM_ID, f->subsystem_id);
	w[PCI_INTERRUPT_LINE] = 0xff;
	c[PCI_INTERRUPT_PIN] = f->interrupt_pin;
	build_bars(pci);
}

static void
build_msix(struct vfiou_pci *pci, uint8_t next)
{
	const struct dm_pci_function *f = pci->function;
	uint8_t *c = pci->config + CAP_MSIX, *w = pci->writable + CAP_MSIX;

	c[PCI_CAP_LIST_ID] = PCI_CAP_ID_MSIX;
	c[PCI_CAP_LIST_NEXT] = next;
	put16(c + PCI_MSIX_FLAGS, f->msix_vectors - 1);
	put16(w + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	put32(c + PCI_MSIX_TABLE, f->msix_table | f->msix_bar);
	put32(c + PCI_MSIX_PBA, f->msix_pending | f->msix_bar);
}

/* A root complex integrated endpoint, as the DMA engines of server CPUs are: no link. */
static void
build_express(struct vfiou_pci *pci, uint8_t next)
{
	uint8_t *c = pci->config + CAP_EXP, *w = pci->writable + CAP_EXP;

	c[PCI_CAP_LIST_ID] = PCI_CAP_ID_EXP;
	c[PCI_CAP_LIST_NEXT] = next;
	put16(c + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_RC_END << 4);
	put32(c + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_EXT_TAG | PCI_EXP_DEVCAP_RBER |
			PCI_EXP_DEVCAP_FLR);
	put16(c + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN);
	put16(w + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE |
			PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_RELAX_EN |
			PCI_EXP_DEVCTL_EXT_TAG | PCI_EXP_DEVCTL_NOSNOOP_EN |
			PCI_EXP_DEVCTL_BCR_FLR);
	put32(c + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS);
	put16(w + PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
	static_assert(CAP_EXP + EXP_SIZE <= CAP_PM, "capabilities overlap");
}

static void
build_power(struct vfiou_pci *pci)
{
	uint8_t *c = pci->config + CAP_PM, *w = pci->writable + CAP_PM;

	c[PCI_CAP_LIST_ID] = PCI_CAP_ID_PM;
	put16(c + PCI_PM_PMC, 3); /* version 3: D0 and D3hot, no PME */
	put16(c + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
	put16(w + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
}

static void
build_config(struct vfiou_pci *pci)
{
	unsigned int i;

	memset(pci->config, 0, sizeof(pci->config));
	memset(pci->writable, 0, sizeof(pci->writable));
	build_header(pci);
	if (pci->function->msix_vectors > 0)
		build_msix(pci, CAP_EXP);
	build_express(pci, CAP_PM);
	build_power(pci);
	pci->config[PCI_CAPABILITY_LIST] = pci->function->msix_vectors > 0 ? CAP_MSIX : CAP_EXP;

	memset(pci->msix_table, 0, sizeof(pci->msix_table));
	for (i = 0; i < VFIOU_MAX_VECTORS; i++)
		pci->msix_table[i * VFIOU_MSIX_ENTRY + PCI_MSIX_ENTRY_VECTOR_CTRL] =
				PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/* What registers of configuration space bring about. */
static void
apply_config(struct vfiou_pci *pci)
{
	uint16_t command = get16(pci->config + PCI_COMMAND);
	uint16_t power = get16(pci->config + CAP_PM + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK;
	uint16_t msix = get16(pci->config + CAP_MSIX + PCI_MSIX_FLAGS);

	/* In D3hot a function answers to configuration accesses only and keeps still. */
	pci->memory_enabled = (command & PCI_COMMAND_MEMORY) != 0 && power == 0;
	dm_pci_set_bus_master(pci->dev, (command & PCI_COMMAND_MASTER) != 0 && power == 0);
	vfiou_irq_configure(pci->irq,
		pci->function->msix_vectors > 0 && (msix & PCI_MSIX_FLAGS_ENABLE) != 0,
		(command & PCI_COMMAND_INTX_DISABLE) != 0);
}

void
vfiou_pci_init(struct vfiou_pci *pci, struct dm_device *dev, struct vfiou_irq *irq)
{
	pci->dev = dev;
	pci->function = dm_pci_function_of(dev);
	pci->irq = irq;
	build_config(pci);
	apply_config(pci);
}

void
vfiou_pci_reset(struct vfiou_pci *pci)
{
	/* Still first, so that it is not reset in the midst of something. */
	dm_pci_set_bus_master(pci->dev, false);
	dm_device_reset(pci->dev);
	vfiou_irq_reset(pci->irq);
	build_config(pci);
	apply_config(pci);
}

/* Configuration accesses */

static uint32_t
read_dword(struct vfiou_pci *pci, unsigned int offset)
{
	uint32_t value;

	if (offset >= PCI_STD_HEADER_SIZEOF && dm_pci_config_read(pci->dev, offset, &value))
		return value;
	value = get32(pci->config + offset);
	if (offset == PCI_COMMAND && dm_pci_pin_asserted(pci->dev))
		value |= (uint32_t)PCI_STATUS_INTERRUPT << 16;
	return value;
}

void
vfiou_pci_config_read(struct vfiou_pci *pci, uint64_t offset, uint8_t *data, size_t len)
{
	uint32_t value = 0;
	size_t i;

	for (i = 0; i < len; i++, offset++) {
		if (i == 0 || offset % 4 == 0)
			value = read_dword(pci, offset & ~3ull);
		data[i] = value >> (offset % 4 * 8);
	}
}

static void
write_dword(struct vfiou_pci *pci, unsigned int offset, uint32_t mask, uint32_t value)
{
	uint32_t old = get32(pci->config + offset), writable;

	if (offset >= PCI_STD_HEADER_SIZEOF &&
			dm_pci_config_write(pci->dev, offset, mask, value))
		return;
	writable = get32(pci->writable + offset) & mask;
	put32(pci->config + offset, (old & ~writable) | (value & writable));
}

void
vfiou_pci_config_write(struct vfiou_pci *pci, uint64_t offset, const uint8_t *data, size_t len)
{
	uint8_t *devctl = pci->config + CAP_EXP + PCI_EXP_DEVCTL;
	uint32_t value = 0, mask = 0;
	size_t i;

	for (i = 0; i < len; i++, offset++) {
		value |= (uint32_t)data[i] << (offset % 4 * 8);
		mask |= 0xffu << (offset % 4 * 8);
		if (offset % 4 == 3 || i == len - 1) {
			write_dword(pci, offset & ~3ull, mask, value);
			value = mask = 0;
		}
	}
	if (get16(devctl) & PCI_EXP_DEVCTL_BCR_FLR)
		vfiou_pci_reset(pci);
	else
		apply_config(pci);
}

/* BAR accesses */

/* The part of [offset, offset + *len) that lies in [start, start + size): *len is cut so that the
 * access lies in there as a whole or not at all.
 */
static bool
falls_into(uint64_t offset, size_t *len, uint64_t start, uint64_t size)
{
	uint64_t end = start;
	bool inside = offset >= start && offset < start + size;

	if (inside)
		end = start + size;
	if (offset < end && *len > end - offset)
		*len = end - offset;
	return inside;
}

static void
msix_table_access(struct vfiou_pci *pci, uint64_t at, uint8_t *data, const uint8_t *source,
		size_t len)
{
	if (data != NULL)
		memcpy(data, pci->msix_table + at, len);
	else
		memcpy(pci->msix_table + at, source, len);
}

static void
msix_pending_read(struct vfiou_pci *pci, uint64_t at, uint8_t *data, size_t len)
{
	uint64_t pending = vfiou_irq_pending(pci->irq);
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = pending >> ((at + i) * 8);
}

/* Registers are accessed as the widest aligned words that fit. */
static size_t
register_width(uint64_t offset, size_t len)
{
	size_t width = 8;

	while (offset % width != 0 || width > len)
		width /= 2;
	return width;
}

static void
register_access(struct vfiou_pci *pci, uint64_t offset, uint8_t *data, const uint8_t *source,
		size_t len)
{
	size_t width, i;

	for (; len > 0; len -= width, offset += width) {
		uint64_t value = 0;

		width = register_width(offset, len);
		if (data != NULL) {
			value = dm_device_read(pci->dev, offset, width);
			for (i = 0; i < width; i++)
				*data++ = value >> (i * 8);
		} else {
			for (i = 0; i < width; i++)
				value |= (uint64_t)*source++ << (i * 8);
			dm_device_write(pci->dev, offset, width, value);
		}
	}
}

/* Shared memory: the other side of it may be written at the same time, so word by word. */
static void
memory_access(const struct dm_pci_bar *bar, uint64_t offset, uint8_t *data, const uint8_t *source,
		size_t len)
{
	uint8_t *at = (uint8_t *)bar->memory + offset;
	size_t i = 0;
	uint16_t word;

	/* Doorbells are words of 16 bits: these are not torn. */
	for (; i + 2 <= len && (offset + i) % 2 == 0; i += 2) {
		if (data != NULL) {
			word = __atomic_load_n((uint16_t *)(at + i), __ATOMIC_ACQUIRE);
			memcpy(data + i, &word, 2);
		} else {
			memcpy(&word, source + i, 2);
			__atomic_store_n((uint16_t *)(at + i), word, __ATOMIC_RELEASE);
		}
	}
	for (; i < len; i++) {
		if (data != NULL)
			data[i] = __atomic_load_n(at + i, __ATOMIC_ACQUIRE);
		else
			__atomic_store_n(at + i, source[i], __ATOMIC_RELEASE);
	}
}

/* Read to data, or write from source: the other one is NULL. */
static void
bar_access(struct vfiou_pci *pci, unsigned int bar, uint64_t offset, uint8_t *data,
		const uint8_t *source, size_t len)
{
	const struct dm_pci_function *f = pci->function;
	const uint64_t table_size = f->msix_vectors * VFIOU_MSIX_ENTRY;
	size_t part;

	if (!pci->memory_enabled) { /* nobody answers: a read ends with all ones */
		if (data != NULL)
			memset(data, 0xff, len);
		return;
	}
	if (f->bar[bar].memory != NULL) {
		memory_access(&f->bar[bar], offset, data, source, len);
		return;
	}
	for (; len > 0; len -= part, offset += part) {
		part = len;
		if (bar == f->msix_bar && falls_into(offset, &part, f->msix_table, table_size)) {
			msix_table_access(pci, offset - f->msix_table, data, source, part);
		} else if (bar == f->msix_bar && falls_into(offset, &part, f->msix_pending, 8)) {
			if (data != NULL)
				msix_pending_read(pci, offset - f->msix_pending, data, part);
		} else {
			register_access(pci, offset, data, source, part);
		}
		if (data != NULL)
			data += part;
		else
			source += part;
	}
}

void
vfiou_pci_bar_read(struct vfiou_pci *pci, unsigned int bar, uint64_t offset, uint8_t *data,
		size_t len)
{
	bar_access(pci, bar, offset, data, NULL, len);
}

void
vfiou_pci_bar_write(struct vfiou_pci *pci, unsigned int bar, uint64_t offset, const uint8_t *data,
		size_t len)
{
	bar_access(pci, bar, offset, NULL, data, len);
}
