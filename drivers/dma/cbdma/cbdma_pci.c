/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdlib.h>

#include <bus_pci_driver.h>
#include <rte_io.h>

#include "cbdma_internal.h"

/* MMIO: BAR 0 is mapped into each process, at the same address. */

static uint64_t
mmio_read(void *opaque, uint32_t offset, unsigned int width)
{
	const struct rte_pci_device *pci = opaque;
	void *addr = RTE_PTR_ADD(pci->mem_resource[0].addr, offset);

	switch (width) {
	case 1:
		return rte_read8(addr);
	case 2:
		return rte_read16(addr);
	case 4:
		return rte_read32(addr);
	default:
		return rte_read64(addr);
	}
}

static void
mmio_write(void *opaque, uint32_t offset, unsigned int width, uint64_t value)
{
	const struct rte_pci_device *pci = opaque;
	void *addr = RTE_PTR_ADD(pci->mem_resource[0].addr, offset);

	switch (width) {
	case 1:
		rte_write8(value, addr);
		break;
	case 2:
		rte_write16(value, addr);
		break;
	case 4:
		rte_write32(value, addr);
		break;
	default:
		rte_write64(value, addr);
		break;
	}
}

static void
clear_chanerr_int(void *opaque)
{
	const struct rte_pci_device *pci = opaque;
	uint32_t errors;

	/* Write 1 to clear. */
	if (rte_pci_read_config(pci, &errors, sizeof(errors), CBDMA_PCI_CHANERR_INT) ==
			sizeof(errors))
		rte_pci_write_config(pci, &errors, sizeof(errors), CBDMA_PCI_CHANERR_INT);
}

static int
cbdma_pci_probe(struct rte_pci_driver *driver, struct rte_pci_device *pci)
{
	const struct cbdma_bus bus = {
		.read = mmio_read,
		.write = mmio_write,
		.clear_chanerr_int = clear_chanerr_int,
		.opaque = pci,
	};
	char name[PCI_PRI_STR_SIZE];

	rte_pci_device_name(&pci->addr, name, sizeof(name));
	if (pci->mem_resource[0].addr == NULL ||
			pci->mem_resource[0].len < CBDMA_CHANNEL(1)) {
		CBDMA_LOG(ERR, name, "BAR 0 is not mapped or too small");
		return -ENODEV;
	}
	pci->device.driver = &driver->driver;
	return cbdma_create(name, &pci->device, &bus,
		RTE_PTR_ADD(pci->mem_resource[0].addr, CBDMA_CH(CBDMA_DMACOUNT)));
}

static int
cbdma_pci_remove(struct rte_pci_device *pci)
{
	char name[PCI_PRI_STR_SIZE];

	rte_pci_device_name(&pci->addr, name, sizeof(name));
	return cbdma_remove(name);
}

/* Linux drivers/dma/ioat/hw.h. Bits 3:0 of 0xXX20 and up are the channel; 0xXX2e and 0xXX2f are
 * channels 0 and 1 with RAID support.
 */
#define CBDMA_PCI_8_CHANNELS(id)                               \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id)) },         \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0x1) },   \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0x2) },   \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0x3) },   \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0x4) },   \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0x5) },   \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0x6) },   \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0x7) },   \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0xe) },   \
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, (id) + 0xf) }

static const struct rte_pci_id cbdma_pci_ids[] = {
	CBDMA_PCI_8_CHANNELS(0x0e20), /* Ivy Bridge */
	CBDMA_PCI_8_CHANNELS(0x2f20), /* Haswell */
	CBDMA_PCI_8_CHANNELS(0x6f20), /* Broadwell */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f50) }, /* Broadwell DE */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f51) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f52) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f53) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2021) }, /* Skylake, Cascade Lake */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0b00) }, /* Ice Lake */
	{ .vendor_id = 0 },
};

static struct rte_pci_driver cbdma_pci_driver = {
	.id_table = cbdma_pci_ids,
	.drv_flags = RTE_PCI_DRV_NEED_MAPPING,
	.probe = cbdma_pci_probe,
	.remove = cbdma_pci_remove,
};

RTE_PMD_REGISTER_PCI(dma_cbdma_pci, cbdma_pci_driver);
RTE_PMD_REGISTER_PCI_TABLE(dma_cbdma_pci, cbdma_pci_ids);
RTE_PMD_REGISTER_KMOD_DEP(dma_cbdma_pci, "* igb_uio | uio_pci_generic | vfio-pci");
