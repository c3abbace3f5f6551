/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * What lib/copyengine makes of memory, beside what it is to be compared with, in one run, in turns,
 * medians. See doc/copyengine.rst.
 *
 * ce-ways EAL-OPTIONS -- malloc     64 KB by rte_memcpy(), and by the library: malloc'ed, one side, DPDK's
 *                        cpu        1 KB by rte_memcpy(), and by a handle without an engine
 *                        random     64 bytes anywhere in 64 MB to 1 GB, by bare dmadev and the library
 *                        handle     what a handle costs
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include <copyengine.h>

#define BURST	   32
#define RING	   1024
#define ROUNDS	   11
#define ROUND_TIME 0.1 /* seconds */
#define PAGE	   RTE_BIT64(21)
#define MB	   RTE_BIT64(20)

static int16_t dev_id;

/* Where the copies of a measurement are from and to: at random places, or the same ones in turn. */
static uint8_t *src, *dst;
static size_t length, span;
static unsigned int ring; /* transfers */
static rte_iova_t src_iova[RTE_BIT64(30) / PAGE], dst_iova[RTE_BIT64(30) / PAGE];
static uint64_t rng = 1;

static size_t
next_place(uint64_t *at)
{
	*at = *at * 6364136223846793005 + 1442695040888963407;
	return (*at >> 33) % (span / length) * length;
}

static void
fail(const char *what)
{
	rte_exit(EXIT_FAILURE, "%s: %s\n", what, rte_strerror(rte_errno));
}

/* Million copies a second, by each way. */
static double
by_memcpy(const struct ce_adapter_conf *unused)
{
	const uint64_t start = rte_rdtsc(), end = start + ROUND_TIME * rte_get_tsc_hz();
	uint64_t at = rng, done = 0;
	unsigned int i;

	RTE_SET_USED(unused);
	for (; rte_rdtsc() < end; done += BURST)
		for (i = 0; i < BURST; i++) {
			const size_t from = next_place(&at), to = next_place(&at);

			rte_memcpy(dst + to, src + from, length);
		}
	return done / ((double)(rte_rdtsc() - start) / rte_get_tsc_hz()) / 1E6;
}

static rte_iova_t
iova(const rte_iova_t *pages, size_t at)
{
	return pages[at / PAGE] + at % PAGE;
}

static double
by_dmadev(const struct ce_adapter_conf *unused)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	const struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM,
		.nb_desc = RING};
	uint64_t i, sent = 0, done = 0, start, end, at = rng;

	RTE_SET_USED(unused);
	if (rte_dma_configure(dev_id, &conf) < 0 || rte_dma_vchan_setup(dev_id, 0, &vchan) < 0 ||
		rte_dma_start(dev_id) < 0)
		rte_exit(EXIT_FAILURE, "the device cannot be started\n");
	start = rte_rdtsc();
	end = start + ROUND_TIME * rte_get_tsc_hz();
	while (rte_rdtsc() < end) {
		while (sent - done > RING - 2 * BURST)
			done += rte_dma_completed(dev_id, 0, BURST, NULL, NULL);
		for (i = 0; i < BURST; i++, sent++) {
			const rte_iova_t from = iova(src_iova, next_place(&at));

			rte_dma_copy(dev_id, 0, from, iova(dst_iova, next_place(&at)), length, 0);
		}
		rte_dma_submit(dev_id, 0);
		done += rte_dma_completed(dev_id, 0, BURST, NULL, NULL);
	}
	while (done < sent)
		done += rte_dma_completed(dev_id, 0, BURST, NULL, NULL);
	end = rte_rdtsc();
	rte_dma_stop(dev_id);
	return sent / ((double)(end - start) / rte_get_tsc_hz()) / 1E6;
}

/* NULL: without an engine. */
static double
by_library(const struct ce_adapter_conf *conf)
{
	static struct ce_transfer transfers[RING] __rte_cache_aligned;
	struct ce_adapter *adapter = ce_adapter_get(conf == NULL ? CE_CPU : dev_id, conf);
	uint64_t i, sent = 0, done = 0, start, end, at = rng;
	struct ce_transfer *list[BURST], *finished[BURST];

	if (adapter == NULL)
		fail("no handle");
	start = rte_rdtsc();
	end = start + ROUND_TIME * rte_get_tsc_hz();
	while (rte_rdtsc() < end) {
		while (sent - done > ring - BURST)
			done += ce_collect(adapter, finished, BURST);
		for (i = 0; i < BURST; i++, sent++) {
			list[i] = &transfers[sent % ring];
			list[i]->length = length;
			list[i]->src_va = src + next_place(&at);
			list[i]->dst_va = dst + next_place(&at);
		}
		if (ce_submit(adapter, list, BURST) != BURST)
			rte_exit(EXIT_FAILURE, "a copy is refused\n");
		done += ce_collect(adapter, finished, BURST);
	}
	while (done < sent)
		done += ce_collect(adapter, finished, BURST);
	end = rte_rdtsc();
	for (i = 0; i < RTE_MIN(sent, (uint64_t)ring); i++)
		if (transfers[i].status != 0)
			rte_exit(EXIT_FAILURE, "a copy failed\n");
	ce_adapter_put(adapter);
	return sent / ((double)(end - start) / rte_get_tsc_hz()) / 1E6;
}

static int
compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The library's share of the reference's rate. */
static double
compare(const char *what, double (*reference)(const struct ce_adapter_conf *),
	const struct ce_adapter_conf *conf)
{
	double rates[2][ROUNDS], share;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++, rng += 2) {
		rates[0][i] = reference(conf);
		rates[1][i] = by_library(conf);
	}
	for (i = 0; i < 2; i++)
		qsort(rates[i], ROUNDS, sizeof(rates[i][0]), compare_doubles);
	share = rates[1][ROUNDS / 2] / rates[0][ROUNDS / 2];
	printf("  %-24s %9.3f MOps %9.3f MOps  %.3f\n", what, rates[0][ROUNDS / 2],
		rates[1][ROUNDS / 2], share);
	printf("RESULT,ce_ways,%s,%zu,%.3f,%.3f,%.3f\n", what, length, rates[0][ROUNDS / 2],
		rates[1][ROUNDS / 2], share);
	fflush(stdout);
	return share;
}

static void *
must(void *memory)
{
	if (memory == NULL)
		rte_exit(EXIT_FAILURE, "no memory\n");
	return memory;
}

/* Memory that the engine does not reach. */
static bool
malloc_is_fast(void)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SVA};
	uint8_t *memory[2][2];
	unsigned int i;
	bool good;

	/* What the CPU copies is done before more is asked for. */
	ring = BURST;
	length = 65536;
	span = 16 * length;
	for (i = 0; i < 2; i++) {
		memory[i][0] = must(aligned_alloc(4096, span));
		memory[i][1] = must(rte_malloc(NULL, span, 4096));
		memset(memory[i][0], 1, span);
		memset(memory[i][1], 1, span);
	}
	printf("64 KB: rte_memcpy(), the library, its share\n");
	src = memory[0][0];
	dst = memory[1][0];
	good = compare("malloc to malloc", by_memcpy, &conf) >= 0.95;
	/* Which does not look up where memory is. */
	compare("the same, CE_CPU", by_memcpy, NULL);
	src = memory[0][1];
	good &= compare("hugepages to malloc", by_memcpy, &conf) >= 0.95;
	src = memory[0][0];
	dst = memory[1][1];
	good &= compare("malloc to hugepages", by_memcpy, &conf) >= 0.95;
	for (i = 0; i < 2; i++) {
		free(memory[i][0]);
		rte_free(memory[i][1]);
	}
	return good;
}

static bool
cpu_is_fast(void)
{
	const size_t largest = 16 * MB;
	bool good;

	ring = BURST;
	length = 1024;
	src = must(rte_malloc(NULL, largest, 4096));
	dst = must(rte_malloc(NULL, largest, 4096));
	memset(src, 1, largest);
	memset(dst, 1, largest);
	printf("1 KB: rte_memcpy(), CE_CPU, its share\n");
	span = MB / 2;
	good = compare("in the core's cache", by_memcpy, NULL) >= 0.9;
	span = largest;
	good &= compare("in 32 MB", by_memcpy, NULL) >= 0.9;
	rte_free(src);
	rte_free(dst);
	return good;
}

/* However large the memory is, the look-up is to cost no more. */
static bool
random_is_fast(void)
{
	const struct ce_adapter_conf conf = {
		.ring_size = RING, .break_even = 1, .flags = CE_ADAPTER_NO_SVA};
	static const unsigned int spans[] = {64, 128, 256, 1024};
	double share, first = 0;
	bool good = true;
	unsigned int i;
	char what[32];
	size_t at;

	ring = RING;
	length = 64;
	/* Source and destination are the halves of it, as there may be no more. */
	src = must(rte_malloc(NULL, RTE_BIT64(30), PAGE));
	dst = src;
	for (at = 0; at < RTE_BIT64(30); at += PAGE) {
		memset(src + at, 1, PAGE);
		src_iova[at / PAGE] = rte_mem_virt2iova(src + at);
	}
	printf("64 bytes, IOVA as %s: dmadev, the library, its share\n",
		rte_eal_iova_mode() == RTE_IOVA_VA ? "VA" : "PA");
	for (i = 0; i < RTE_DIM(spans); i++) {
		span = spans[i] * MB / 2;
		dst = src + span;
		for (at = 0; at < span; at += PAGE)
			dst_iova[at / PAGE] = src_iova[(at + span) / PAGE];
		snprintf(what, sizeof(what), "in %u MB", spans[i]);
		share = compare(what, by_dmadev, &conf);
		first = i == 0 ? share : first;
		good &= share >= 0.7 * first;
	}
	rte_free(src);
	return good;
}

static void
count_zone(const struct rte_memzone *zone, void *arg)
{
	unsigned int *count = arg;

	RTE_SET_USED(zone);
	++*count;
}

static void
cost(const char *when, bool begin)
{
	static size_t bytes_before;
	static unsigned int blocks_before, zones_before;
	struct rte_malloc_socket_stats stats;
	unsigned int zones = 0, blocks = 0, socket;
	size_t bytes = 0;

	rte_memzone_walk(count_zone, &zones);
	for (socket = 0; socket < RTE_MAX_NUMA_NODES; socket++) {
		if (rte_malloc_get_socket_stats(socket, &stats) < 0)
			continue;
		bytes += stats.heap_allocsz_bytes;
		blocks += stats.alloc_count;
	}
	if (begin) {
		bytes_before = bytes;
		blocks_before = blocks;
		zones_before = zones;
	}
	printf("  %-40s %8zd bytes, %2d blocks, %d memzones\n", when,
		(ssize_t)(bytes - bytes_before), (int)(blocks - blocks_before),
		(int)(zones - zones_before));
}

static bool
handle_is_small(void)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SVA};
	struct ce_adapter *adapter;
	struct ce_transfer t = {0};
	struct ce_sglist *list;
	struct ce_segment window;

	src = must(rte_zmalloc(NULL, 4 * PAGE, PAGE));
	window = (struct ce_segment){.iova = rte_mem_virt2iova(src), .length = 4096};
	printf("DPDK's memory that is held (what the driver allocates included):\n");
	cost("before", true);
	/* What the device keeps once it has been started is not the handle's. */
	adapter = ce_adapter_get(dev_id, &conf);
	if (adapter == NULL)
		fail("no handle");
	ce_adapter_put(adapter);
	cost("the device has been started once", true);
	adapter = ce_adapter_get(dev_id, &conf);
	if (adapter == NULL)
		fail("no handle");
	cost("a handle", false);
	ce_transfer_copy(adapter, &t, src + PAGE, src, 65536);
	ce_drain(adapter, 10000);
	cost("and a copy", false);
	list = ce_sglist_build(adapter, src, 4096);
	cost("and a list", false);
	ce_sglist_free(list);
	list = ce_sglist_build_iova(adapter, &window, 1);
	cost("and a list of a device window", false);
	ce_sglist_free(list);
	ce_adapter_put(adapter);
	cost("put back", false);
	adapter = ce_adapter_get(CE_CPU, NULL);
	cost("a handle without an engine", false);
	ce_adapter_put(adapter);
	rte_free(src);
	return true;
}

static const struct {
	const char *name;
	bool (*run)(void);
} measurements[] = {
	{"malloc", malloc_is_fast}, {"cpu", cpu_is_fast}, {"random", random_is_fast},
	{"handle", handle_is_small},
};

int
main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv), ret = EXIT_SUCCESS;
	bool known = false;
	unsigned int i;

	if (used < 0)
		fail("EAL");
	dev_id = rte_dma_next_dev(0);
	if (dev_id < 0)
		rte_exit(EXIT_FAILURE, "no DMA device: give --vdev=dma_cbdma0,cpu=N,idle=spin\n");
	for (i = 0; i < RTE_DIM(measurements); i++) {
		if (argc <= used + 1 || strcmp(argv[used + 1], measurements[i].name) != 0)
			continue;
		known = true;
		if (!measurements[i].run())
			ret = EXIT_FAILURE;
	}
	if (!known)
		rte_exit(EXIT_FAILURE, "what to measure: malloc, cpu, random or handle\n");
	rte_eal_cleanup();
	return ret;
}
