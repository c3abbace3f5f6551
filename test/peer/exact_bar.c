/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "cbdma_hw.h"
#include "mmio_trap.h"
#include "peer.h"

#define DOORBELL  (CBDMA_CHANNEL(0) + CBDMA_DMACOUNT)
#define CHAINADDR (CBDMA_CHANNEL(0) + CBDMA_CHAINADDR)

/* A store to a device is posted: it is on its way while the CPU goes on, and a read of a register
 * waits until it is there (PCI Express Base Specification, "Transaction Ordering"). The first doorbell
 * of a chain is so much later, in instructions of the driver (or less: up to a system call), so that it
 * does not depend on who else wants the CPU. DPDK's dma_ioat needs it: it loses a completion when, after
 * a failure, an operation is done before the next rte_dma_completed_status() with room for one
 * (doc/guests.rst). dmadev_autotest calls that within 100 instructions, in which no silicon is done.
 */
#define POSTED_INSTRUCTIONS 300

static struct dm_device *model;
static bool chain_is_new;

static struct {
	pthread_mutex_t lock;
	bool posted;
	uint16_t value;
} doorbell = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
deliver_doorbell(void *opaque)
{
	(void)opaque;
	pthread_mutex_lock(&doorbell.lock);
	if (doorbell.posted) {
		dm_device_write(model, DOORBELL, 2, doorbell.value);
		dm_device_run(model, UINT_MAX);
	}
	doorbell.posted = false;
	pthread_mutex_unlock(&doorbell.lock);
}

static uint64_t
bar_read(void *opaque, uint64_t offset, unsigned int width)
{
	deliver_doorbell(NULL);
	return dm_device_read(opaque, offset, width);
}

static void
bar_write(void *opaque, uint64_t offset, unsigned int width, uint64_t value)
{
	deliver_doorbell(NULL);
	if (offset != DOORBELL || width != 2 || !chain_is_new) {
		dm_device_write(opaque, offset, width, value);
		dm_device_run(opaque, UINT_MAX);
		chain_is_new |= offset == CHAINADDR;
		return;
	}
	chain_is_new = false;
	pthread_mutex_lock(&doorbell.lock);
	doorbell.posted = true;
	doorbell.value = value;
	pthread_mutex_unlock(&doorbell.lock);
	mmio_trap_call_after(POSTED_INSTRUCTIONS, deliver_doorbell, NULL);
}

void *
exact_bar(void)
{
	static const struct mmio_trap_ops ops = {.read = bar_read, .write = bar_write};
	const struct dm_cbdma_config config = {.version = CBDMA_VER_3_4};
	void *bar;
	int ret;

	bar = mmap(NULL, PEER_BAR_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bar == MAP_FAILED)
		peer_die("cannot map the BAR", strerror(errno));
	model = peer_create(&config);
	ret = mmio_trap_add(bar, PEER_BAR_SIZE, &ops, model);
	if (ret != 0)
		peer_die("cannot trap accesses to the BAR", strerror(-ret));
	return bar;
}
