/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <dm_engine.h>

#include "cbdma_hw.h"
#include "peer.h"

/* Between two looks at what the driver has written: rare enough not to be in the engine's way. */
#define LOOK_NS (500 * 1000)

static uint8_t *bar;
static struct dm_device *model;

static volatile uint8_t *
channel_register(unsigned int offset)
{
	return bar + CBDMA_CHANNEL(0) + offset;
}

static uint64_t
get64(unsigned int offset)
{
	return __atomic_load_n((uint64_t *)(uintptr_t)channel_register(offset), __ATOMIC_ACQUIRE);
}

/* The driver wrote CHAINADDR: what it set up before and after, and then the chain. Completions are
 * written on demand of the descriptors, so nothing else is needed.
 */
static void
start_chain(uint64_t chainaddr)
{
	const unsigned int base = CBDMA_CHANNEL(0);
	uint16_t count;
	uint64_t cmp;

	/* CHANCMP comes within nanoseconds of CHAINADDR, before or after. */
	nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	cmp = get64(CBDMA_CHANCMP);
	dm_device_write(model, base + CBDMA_CHANCMP, 8, cmp);
	/* This clears DMACOUNT; the driver may have rung it already. */
	count = __atomic_load_n((uint16_t *)(uintptr_t)channel_register(CBDMA_DMACOUNT),
			__ATOMIC_ACQUIRE);
	dm_device_write(model, base + CBDMA_CHAINADDR, 8, chainaddr);
	if (count != 0)
		dm_device_write(model, base + CBDMA_DMACOUNT, 2, count);
}

/* Commands take effect within LOOK_NS, unlike on silicon. What a driver reads back at once, it reads
 * as if they had: no command pending, and a state that is neither halted, when it starts the chain,
 * nor anything but suspended, when it stops.
 */
static void *
watch(void *arg)
{
	volatile uint8_t *command = channel_register(CBDMA_CHANCMD);
	uint64_t *chainaddr = (uint64_t *)(uintptr_t)channel_register(CBDMA_CHAINADDR);
	uint64_t start;
	uint8_t cmd;

	(void)arg;
	for (;;) {
		nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
		cmd = __atomic_exchange_n(command, 0, __ATOMIC_ACQ_REL);
		if (cmd != 0)
			dm_device_write(model, CBDMA_CHANNEL(0) + CBDMA_CHANCMD, 1, cmd);
		/* Taken out, so that the same address is seen again; no driver reads it. */
		start = __atomic_exchange_n(chainaddr, 0, __ATOMIC_ACQ_REL);
		if (start != 0)
			start_chain(start);
	}
	return NULL;
}

void *
shared_bar(void)
{
	struct dm_cbdma_config config = {.version = CBDMA_VER_3_4};
	const char *cpu = getenv("PEER_CPU");
	struct dm_engine *engine;
	pthread_t thread;
	int ret;

	bar = mmap(NULL, PEER_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bar == MAP_FAILED)
		peer_die("cannot map the BAR", strerror(errno));
	config.doorbell[0] = (uint16_t *)(uintptr_t)channel_register(CBDMA_DMACOUNT);
	model = peer_create(&config);
	bar[CBDMA_CHANCNT] = dm_device_read(model, CBDMA_CHANCNT, 1);
	bar[CBDMA_XFERCAP] = dm_device_read(model, CBDMA_XFERCAP, 1);
	bar[CBDMA_CBVER] = dm_device_read(model, CBDMA_CBVER, 1);
	bar[CBDMA_DMACAPABILITY] = dm_device_read(model, CBDMA_DMACAPABILITY, 1);
	*channel_register(CBDMA_CHANSTS) = CBDMA_CHANSTS_SUSPENDED;

	ret = dm_engine_get(cpu == NULL ? DM_CPU_ANY : atoi(cpu), DM_IDLE_SLEEP, &engine);
	if (ret == 0)
		ret = dm_engine_attach(engine, model);
	if (ret == 0)
		ret = -pthread_create(&thread, NULL, watch, NULL);
	if (ret != 0)
		peer_die("no engine", strerror(-ret));
	return bar;
}
