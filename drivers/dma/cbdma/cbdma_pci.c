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

static int
mmio_read(void *opaque, uint32_t offset, unsigned int width, uint64_t *value)
{
	const struct rte_pci_device *pci = opaque;
	void *addr = RTE_PTR_ADD(pci->mem_resource[0].addr, offset);

	switch (width) {
	case 1:
		*value = rte_read8(addr);
		break;
	case 2:
		*value = rte_read16(addr);
		break;
	case 4:
		*value = rte_read32(addr);
		break;
	default:
		*value = rte_read64(addr);
		break;
	}
	return 0;
}

static int
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
	return 0;
}

static int
config_read(void *opaque, uint32_t offset, uint32_t *value)
{
	return rte_pci_read_config(opaque, value, sizeof(*value), offset) == sizeof(*value) ?
		0 : -EIO;
}

static int
config_write(void *opaque, uint32_t offset, uint32_t value)
{
	return rte_pci_write_config(opaque, &value, sizeof(value), offset) == sizeof(value) ?
		0 : -EIO;
}

/* Surprise removal: neither BAR nor configuration space answer. */
static bool
is_removed(struct rte_pci_device *pci)
{
	uint64_t chansts;
	uint32_t id;

	mmio_read(pci, CBDMA_CH(CBDMA_CHANSTS), 8, &chansts);
	return cbdma_is_gone(chansts) &&
		(config_read(pci, 0, &id) != 0 || id == UINT32_MAX);
}

static int
set_bus_master(void *opaque, bool enable)
{
	struct rte_pci_device *pci = opaque;

	if (!enable && is_removed(pci))
		return 0;
	return rte_pci_set_bus_master(pci, enable) == 0 ? 0 : -EIO;
}

/* Writes with relaxed ordering could be overtaken by the completion word: off, as Linux has it
 * (drivers/dma/ioat/init.c).
 */
static void
disable_relaxed_ordering(struct rte_pci_device *pci, const char *name)
{
	off_t cap = rte_pci_find_capability(pci, RTE_PCI_CAP_ID_EXP);
	uint16_t control;

	if (cap <= 0)
		return;
	cap += CBDMA_PCI_EXP_DEVCTL;
	if (rte_pci_read_config(pci, &control, sizeof(control), cap) != sizeof(control) ||
			!(control & CBDMA_PCI_EXP_DEVCTL_RELAX_EN))
		return;
	control &= ~CBDMA_PCI_EXP_DEVCTL_RELAX_EN;
	if (rte_pci_write_config(pci, &control, sizeof(control), cap) != sizeof(control))
		CBDMA_LOG(WARNING, name, "cannot turn relaxed ordering off");
}

static int
parse_arg(const char *key, const char *value, void *args)
{
	return cbdma_parse_arg(key, value, args);
}

static int
parse_args(const char *name, const struct rte_devargs *devargs, struct cbdma_args *args)
{
	static const char *const keys[] = {CBDMA_ARG_SILENT, CBDMA_ARG_ERRORS, NULL};
	struct rte_kvargs *kvlist;
	int ret;

	if (devargs == NULL || devargs->args == NULL || devargs->args[0] == '\0')
		return 0;
	kvlist = rte_kvargs_parse(devargs->args, keys);
	ret = -EINVAL;
	if (kvlist != NULL)
		ret = rte_kvargs_process(kvlist, NULL, parse_arg, args);
	rte_kvargs_free(kvlist);
	if (ret != 0)
		CBDMA_LOG(ERR, name, "arguments \"%s\": takes " CBDMA_ARGS_USAGE, devargs->args);
	return ret == 0 ? 0 : -EINVAL;
}

static int
cbdma_pci_probe(struct rte_pci_driver *driver, struct rte_pci_device *pci)
{
	const struct cbdma_bus bus = {
		.read = mmio_read,
		.write = mmio_write,
		.config_read = config_read,
		.config_write = config_write,
		.set_bus_master = set_bus_master,
		.stall_ms = CBDMA_STALL_MS,
		.opaque = pci,
	};
	char name[PCI_PRI_STR_SIZE];
	struct cbdma_args args = {0};

	rte_pci_device_name(&pci->addr, name, sizeof(name));
	if (parse_args(name, pci->device.devargs, &args) != 0)
		return -EINVAL;
	if (pci->mem_resource[0].addr == NULL ||
			pci->mem_resource[0].len < CBDMA_CHANNEL(1)) {
		CBDMA_LOG(ERR, name, "BAR 0 is not mapped or too small");
		return -ENODEV;
	}
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		disable_relaxed_ordering(pci, name);
	pci->device.driver = &driver->driver;
	return cbdma_create(name, &pci->device, &bus,
		RTE_PTR_ADD(pci->mem_resource[0].addr, CBDMA_CH(CBDMA_DMACOUNT)), &args);
}

static int
cbdma_pci_remove(struct rte_pci_device *pci)
{
	char name[PCI_PRI_STR_SIZE];

	rte_pci_device_name(&pci->addr, name, sizeof(name));
	return cbdma_remove(name);
}

/* Linux drivers/dma/ioat/hw.h, SPDK include/spdk/pci_ids.h. Bits 3:0 of 0xXX20 and up are the
 * channel; 0xXX2e and 0xXX2f are channels 0 and 1 with RAID support.
 */
static const struct rte_pci_id cbdma_pci_ids[] = {
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c20) }, /* Sandy Bridge */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c21) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c22) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c23) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c24) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c25) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c26) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c27) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c2e) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x3c2f) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e20) }, /* Ivy Bridge */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e21) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e22) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e23) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e24) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e25) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e26) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e27) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e2e) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0e2f) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f20) }, /* Haswell */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f21) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f22) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f23) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f24) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f25) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f26) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f27) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f2e) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x2f2f) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f20) }, /* Broadwell */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f21) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f22) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f23) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f24) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f25) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f26) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f27) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f2e) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f2f) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f50) }, /* Broadwell DE */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f51) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f52) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x6f53) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0c50) }, /* Briarwood */
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0c51) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0c52) },
	{ RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x0c53) },
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
RTE_PMD_REGISTER_PARAM_STRING(dma_cbdma_pci, CBDMA_ARGS_USAGE);
RTE_PMD_REGISTER_KMOD_DEP(dma_cbdma_pci, "* igb_uio | uio_pci_generic | vfio-pci");
