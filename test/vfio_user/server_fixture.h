/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef SERVER_FIXTURE_H
#define SERVER_FIXTURE_H

/* What the tests of the server have in common. */

#include <linux/pci_regs.h>

#include "raw_client.h"

#define BAR0   VFIO_PCI_BAR0_REGION_INDEX
#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX

static struct raw_rig rig;
static struct raw_reply reply;

static inline int
setup(void **state)
{
	const struct dm_cbdma_config config = {.channels = 2};

	(void)state;
	raw_start(&rig, &config, false);
	return 0;
}

static inline int
setup_doorbell(void **state)
{
	const struct dm_cbdma_config config = {.doorbell_bar = true};

	(void)state;
	raw_start(&rig, &config, true);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	raw_stop(&rig);
	return 0;
}

/* The server goes on: a new client gets an answer. */
static inline void
assert_alive(void)
{
	int fd = raw_client(&rig);

	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
	raw_close(&rig, fd);
}

static inline int
set_irqs(int fd, uint32_t flags, uint32_t index, uint32_t start, uint32_t count, const int *fds,
		unsigned int num_fds)
{
	struct vfio_irq_set set = {.argsz = sizeof(set), .flags = flags, .index = index,
		.start = start, .count = count};

	return raw_command(fd, VFIOU_DEVICE_SET_IRQS, &set, sizeof(set), fds, num_fds, &reply);
}

#define TRIGGER	   VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK	   VFIO_IRQ_SET_ACTION_MASK
#define UNMASK	   VFIO_IRQ_SET_ACTION_UNMASK
#define DATA_EVENT VFIO_IRQ_SET_DATA_EVENTFD
#define DATA_NONE  VFIO_IRQ_SET_DATA_NONE
#define DATA_BOOL  VFIO_IRQ_SET_DATA_BOOL
#define MSIX	   VFIO_PCI_MSIX_IRQ_INDEX
#define PIN	   VFIO_PCI_INTX_IRQ_INDEX

/* Events since last asked. */
static inline unsigned int
events(int fd)
{
	eventfd_t count;

	return eventfd_read(fd, &count) == 0 ? count : 0;
}

static inline void
enable_msix(int fd)
{
	raw_set(fd, CONFIG, 0x80 + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

#endif /* SERVER_FIXTURE_H */
