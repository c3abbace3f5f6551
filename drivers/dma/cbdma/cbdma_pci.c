/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bus_pci_driver.h>
#include <rte_devargs.h>
#include <rte_io.h>
#include <rte_kvargs.h>

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
parse_silent(const char *key __rte_unused, const char *value, void *opaque)
{
	bool *has_silent = opaque;

	if (value == NULL || (strcmp(value, "0") != 0 && strcmp(value, "1") != 0))
		return -EINVAL;
	*has_silent = value[0] == '1';
	return 0;
}

static int
parse_args(const char *name, const struct rte_devargs *devargs, bool *has_silent)
{
	static const char *const keys[] = {CBDMA_ARG_SILENT, NULL};
	struct rte_kvargs *kvlist;
	int ret;

	if (devargs == NULL || devargs->args == NULL || devargs->args[0] == '\0')
		return 0;
	kvlist = rte_kvargs_parse(devargs->args, keys);
	ret = kvlist == NULL ? -EINVAL :
			       rte_kvargs_process(kvlist, CBDMA_ARG_SILENT, parse_silent, has_silent);
	rte_kvargs_free(kvlist);
	if (ret != 0)
		CBDMA_LOG(ERR, name, "arguments \"%s\": takes " CBDMA_ARG_SILENT "=0 or =1",
			devargs->args);
	return ret == 0 ? 0 : -EINVAL;
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
	bool has_silent = true;

	rte_pci_device_name(&pci->addr, name, sizeof(name));
	if (parse_args(name, pci->device.devargs, &has_silent) != 0)
		return -EINVAL;
	if (pci->mem_resource[0].addr == NULL ||
			pci->mem_resource[0].len < CBDMA_CHANNEL(1)) {
		CBDMA_LOG(ERR, name, "BAR 0 is not mapped or too small");
		return -ENODEV;
	}
	pci->device.driver = &driver->driver;
	return cbdma_create(name, &pci->device, &bus,
		RTE_PTR_ADD(pci->mem_resource[0].addr, CBDMA_CH(CBDMA_DMACOUNT)), has_silent);
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
RTE_PMD_REGISTER_PARAM_STRING(dma_cbdma_pci, CBDMA_ARG_SILENT "=0|1");
RTE_PMD_REGISTER_KMOD_DEP(dma_cbdma_pci, "* igb_uio | uio_pci_generic | vfio-pci");
