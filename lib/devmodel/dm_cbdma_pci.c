/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* CBDMA as a PCI function: what it says of itself, and its own registers in configuration space. */

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_cbdma_impl.h"

/* BAR 0 is 16 KB: registers, and the MSI-X table at 8 KB and 12 KB [DS]. */
#define MSIX_TABLE   0x2000
#define MSIX_PENDING 0x3000

#define CLASS_SYSTEM_PERIPHERAL 0x088000

/* A part that has this version (Linux drivers/dma/ioat/{hw.h,init.c}: which parts are CB 3.2, and
 * which 3.3; and dma.c for 3.0). No public source knows a part with 3.1.
 */
static uint16_t
device_id_of(uint8_t version)
{
	switch (version) {
	case CBDMA_VER_3_0:
	case CBDMA_VER_3_0 + 1:
		return 0x3430; /* Tylersburg */
	case CBDMA_VER_3_2:
		return 0x6f20; /* Broadwell */
	case CBDMA_VER_3_3:
		return 0x6f50; /* Broadwell DE */
	default:
		return 0x0b00; /* Ice Lake. Skylake's 0x2021 is 3.2 to Linux, whatever CBVER says */
	}
}

const struct dm_pci_function *
cbdma_pci_function(const struct dm_device *dev)
{
	return &((const struct dm_cbdma *)dev)->pci;
}

/* The doorbells in a file of their own. Sealed: who has the file cannot take the memory away. */
static bool
make_doorbell_bar(struct dm_cbdma *cb)
{
	struct dm_pci_bar *bar = &cb->pci.bar[DM_CBDMA_DOORBELL_BAR];
	unsigned int i;
	void *memory;
	int fd;

	fd = memfd_create("cbdma-doorbells", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return false;
	if (ftruncate(fd, DM_CBDMA_DOORBELL_SIZE) != 0 ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		close(fd);
		return false;
	}
	memory = mmap(NULL, DM_CBDMA_DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		close(fd);
		return false;
	}
	bar->size = DM_CBDMA_DOORBELL_SIZE;
	bar->memory = memory;
	bar->fd = fd;
	for (i = 0; i < cb->config.channels; i++)
		cb->config.doorbell[i] = (uint16_t *)((uint8_t *)memory + DM_CBDMA_DOORBELL(i));
	return true;
}

bool
cbdma_pci_init(struct dm_cbdma *cb)
{
	struct dm_pci_function *pci = &cb->pci;

	pci->vendor_id = CBDMA_PCI_VENDOR_ID;
	pci->device_id = cb->config.device_id;
	if (pci->device_id == 0)
		pci->device_id = device_id_of(cb->config.version);
	pci->subsystem_vendor_id = CBDMA_PCI_VENDOR_ID;
	pci->class_code = CLASS_SYSTEM_PERIPHERAL;
	pci->interrupt_pin = 1;
	pci->bar[0].size = CBDMA_BAR_SIZE;
	pci->bar[0].is_64bit = true;
	pci->bar[0].fd = -1;
	pci->msix_vectors = cb->config.channels;
	pci->msix_bar = 0;
	pci->msix_table = MSIX_TABLE;
	pci->msix_pending = MSIX_PENDING;
	return !cb->config.doorbell_bar || make_doorbell_bar(cb);
}

void
cbdma_pci_fini(struct dm_cbdma *cb)
{
	struct dm_pci_bar *bar = &cb->pci.bar[DM_CBDMA_DOORBELL_BAR];

	if (bar->memory == NULL)
		return;
	munmap(bar->memory, bar->size);
	close(bar->fd);
}

bool
cbdma_config_read(struct dm_device *dev, unsigned int offset, uint32_t *value)
{
	const struct dm_cbdma *cb = (const struct dm_cbdma *)dev;

	switch (offset) {
	case CBDMA_PCI_DMAUNCERRSTS:
		*value = cb->dmauncerrsts;
		break;
	case CBDMA_PCI_CHANERR_INT:
		*value = cb->chanerr_int;
		break;
	case CBDMA_PCI_CHANERRMSK_INT:
		*value = cb->chanerrmsk_int;
		break;
	default:
		return false;
	}
	if (cb->gone)
		*value = UINT32_MAX;
	return true;
}

bool
cbdma_config_write(struct dm_device *dev, unsigned int offset, uint32_t mask, uint32_t value)
{
	struct dm_cbdma *cb = (struct dm_cbdma *)dev;

	switch (offset) {
	case CBDMA_PCI_DMAUNCERRSTS: /* write 1 to clear, as the other one [LX] */
		cb->dmauncerrsts &= ~(value & mask);
		return true;
	case CBDMA_PCI_CHANERR_INT:
		cb->chanerr_int &= ~(value & mask);
		return true;
	case CBDMA_PCI_CHANERRMSK_INT:
		mask &= CBDMA_CHANERR_IMPLEMENTED;
		cb->chanerrmsk_int = (cb->chanerrmsk_int & ~mask) | (value & mask);
		return true;
	default:
		return false;
	}
}

/* As long as INTRCTRL shows an interrupt that is enabled. */
bool
cbdma_pin_asserted(struct dm_device *dev)
{
	const struct dm_cbdma *cb = (const struct dm_cbdma *)dev;

	return !cb->gone && cb->attnstatus != 0 &&
		(cb->intrctrl & CBDMA_INTRCTRL_MASTER_INT_EN) != 0;
}
