/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/**
 * @file
 *
 * Preloaded (LD_PRELOAD), this has a DPDK program find the model of a CBDMA function in the BAR of a
 * PCI device that there is not (pci_device.sh). No kernel driver has that device, so EAL would not map
 * it: the function that does is replaced.
 *
 * From the environment: PEER_BAR, "exact" (unless told) or "shared", see peer.h.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bus_pci_driver.h>
#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include "peer.h"

void
peer_die(const char *what, const char *why)
{
	fprintf(stderr, "peer device: %s: %s\n", what, why);
	exit(1);
}

/* The memory that the device reaches */

static int
map_page(const struct rte_memseg_list *msl, const struct rte_memseg *seg, void *model)
{
	if (msl->external || seg->iova == RTE_BAD_IOVA)
		return 0;
	return dm_device_map(model, seg->iova, seg->len, seg->addr, DM_READ | DM_WRITE);
}

static void
memory_event(enum rte_mem_event type, const void *addr, size_t len, void *model)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);
	const uint8_t *page = addr, *end = page + len;
	const struct rte_memseg *seg;
	int ret = 0;

	for (; msl != NULL && !msl->external && page < end && ret == 0; page += msl->page_sz) {
		seg = rte_mem_virt2memseg(page, msl);
		if (type == RTE_MEM_EVENT_ALLOC)
			ret = map_page(msl, seg, model);
		else
			ret = dm_device_unmap(model, seg->iova, seg->len);
	}
	if (ret != 0)
		peer_die("cannot map memory", strerror(-ret));
}

static int
map_memory(struct dm_device *model)
{
	int ret;

	/* No memory comes or goes between the two. */
	rte_mcfg_mem_read_lock();
	ret = rte_memseg_walk_thread_unsafe(map_page, model);
	if (ret == 0 && rte_mem_event_callback_register("peer", memory_event, model) != 0)
		ret = -rte_errno;
	rte_mcfg_mem_read_unlock();
	return ret;
}

/* The device */

struct dm_device *
peer_create(const struct dm_cbdma_config *config)
{
	struct dm_device *model;
	const char *error;
	int ret;

	model = dm_cbdma_create(config, &error);
	if (model == NULL)
		peer_die("no device", error);
	ret = map_memory(model);
	if (ret != 0)
		peer_die("cannot map memory", strerror(-ret));
	return model;
}

int
rte_pci_map_device(struct rte_pci_device *pci)
{
	static void *bar; /* for as long as the process lives */
	const char *kind = getenv("PEER_BAR");

	if (bar == NULL)
		bar = kind != NULL && strcmp(kind, "shared") == 0 ? shared_bar() : exact_bar();
	pci->mem_resource[0].addr = bar;
	return 0;
}

void
rte_pci_unmap_device(struct rte_pci_device *pci)
{
	pci->mem_resource[0].addr = NULL;
}
