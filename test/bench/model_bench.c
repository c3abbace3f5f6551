/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* What a copy costs the CBDMA model, without a driver and without DPDK.
 *
 *	model_bench		the device is run by hand: cost of its own, on one CPU
 *	model_bench CPU		an engine thread runs it on that CPU; the submitter, as lean as can be,
 *				runs on another one, with a ring of 1024 and 32 copies per doorbell
 *
 * Buffers are laid out as packet buffers are, 10 MB of them, as dpdk-test-dma-perf has it.
 */

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cbdma_hw.h"
#include "dm_cbdma.h"
#include "dm_engine.h"

#define RING	 1024
#define KICK	 32
#ifndef DATA
#define DATA (10u << 20)
#endif
#define HEADROOM 320
#define PAGE	 (2u << 20)

struct bench {
	struct dm_device *dev;
	struct cbdma_desc *ring;
	volatile uint64_t *word;
	uint16_t *doorbell;
	uint8_t *src, *dst;
	size_t size, stride, buffers;
	unsigned int head, tail;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t
now_cycles(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

/* Hugepages where they can be had, mapped one by one, as with IOVAs that are physical addresses. */
static uint8_t *
get_memory(struct dm_device *dev, size_t size)
{
	uint8_t *p, *page;

	size = (size + PAGE - 1) / PAGE * PAGE;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED) {
		p = aligned_alloc(PAGE, size);
		if (p == NULL)
			abort();
		madvise(p, size, MADV_HUGEPAGE);
	}
	memset(p, 1, size);
	for (page = p; page < p + size; page += PAGE) {
		if (dm_device_map(dev, (uintptr_t)page, PAGE, page, DM_READ | DM_WRITE) != 0)
			abort();
	}
	return p;
}

static void
start(struct bench *b)
{
	const uint64_t regs = CBDMA_CHANNEL(0);
	unsigned int i;

	for (i = 0; i < RING; i++)
		b->ring[i].next = (uintptr_t)&b->ring[(i + 1) % RING];
	dm_device_write(b->dev, regs + CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	dm_device_write(b->dev, regs + CBDMA_CHANCMP, 8, (uintptr_t)b->word);
	dm_device_write(b->dev, regs + CBDMA_CHAINADDR, 8, (uintptr_t)b->ring);
	b->head = b->tail = 0;
	*b->word = (uintptr_t)&b->ring[RING - 1];
}

static void
submit(struct bench *b, size_t first)
{
	size_t i;

	for (i = 0; i < KICK; i++) {
		struct cbdma_desc *d = &b->ring[b->head++ % RING];

		d->size = b->size;
		d->control = CBDMA_DESC_COMPLETION;
		d->src = (uintptr_t)b->src + (first + i) * b->stride;
		d->dst = (uintptr_t)b->dst + (first + i) * b->stride;
	}
	__atomic_store_n(b->doorbell, (uint16_t)b->head, __ATOMIC_RELEASE);
}

static void
poll_word(struct bench *b)
{
	uint64_t word = __atomic_load_n((const uint64_t *)b->word, __ATOMIC_ACQUIRE);
	unsigned int done = (word - (uintptr_t)b->ring) / sizeof(*b->ring) + 1;

	b->tail += (done - b->tail) % RING;
}

/* Copy for half a second. */
static void
measure(struct bench *b, int live)
{
	const uint64_t start_ns = now_ns();
	uint64_t ns, cycles = 0, before = now_cycles(), ops = 0;
	size_t at = 0;

	do {
		unsigned int i;

		for (i = 0; i < 256; i++) {
			if (at + KICK > b->buffers)
				at = 0;
			submit(b, at);
			at += KICK;
			if (!live) {
				before = now_cycles();
				dm_device_run(b->dev, KICK);
				cycles += now_cycles() - before;
			}
			do
				poll_word(b);
			while (b->head - b->tail > RING - 1 - KICK);
		}
		ops += i * KICK;
		ns = now_ns() - start_ns;
	} while (ns < 500000000);
	while (b->head != b->tail)
		poll_word(b);
	if (live)
		cycles = now_cycles() - before;
	printf("%7zu bytes: %7.1f cycles/copy %8.2f Mcopies/s\n", b->size, (double)cycles / ops,
			ops * 1000.0 / ns);
}

int
main(int argc, char **argv)
{
	static const size_t sizes[] = {64, 256, 1024, 4096, 16384};
	struct dm_cbdma_config config = {0};
	struct dm_engine *engine = NULL;
	struct bench b = {0};
	const char *error;
	size_t i;

	b.doorbell = aligned_alloc(64, 64);
	config.doorbell[0] = b.doorbell;
	b.dev = dm_cbdma_create(&config, &error);
	if (b.dev == NULL || b.doorbell == NULL) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	b.ring = (struct cbdma_desc *)get_memory(b.dev, RING * sizeof(*b.ring) + 64);
	b.word = (volatile uint64_t *)(b.ring + RING);
	b.src = get_memory(b.dev, DATA / 2 / 64 * (64 + HEADROOM));
	b.dst = get_memory(b.dev, DATA / 2 / 64 * (64 + HEADROOM));
	if (argc > 1 && (dm_engine_get(atoi(argv[1]), DM_IDLE_SPIN, &engine) != 0 ||
					dm_engine_attach(engine, b.dev) != 0)) {
		fprintf(stderr, "no engine on CPU %s\n", argv[1]);
		return 1;
	}
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		b.size = sizes[i];
		b.stride = b.size + HEADROOM;
		b.buffers = DATA / 2 / b.size;
		start(&b);
		measure(&b, engine != NULL);
	}
	if (engine != NULL) {
		dm_engine_detach(engine, b.dev);
		dm_engine_put(engine);
	}
	dm_device_destroy(b.dev);
	free(b.doorbell);
	return 0;
}
