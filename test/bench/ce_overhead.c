/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * What lib/copyengine costs over bare dmadev: copies of contiguous hugepage memory, both ways in one
 * run, in turns, medians compared. See doc/copyengine.rst.
 *
 * ce-overhead EAL-OPTIONS -- [BYTES [LIMIT-PERCENT]]
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include <copyengine.h>

#define RING	   1024
#define BURST	   32
#define BUFFERS	   512 /* a side: more than caches of a core hold, as in dpdk-test-dma-perf */
#define ROUNDS	   11
#define ROUND_TIME 0.3 /* seconds */

static uint8_t *src, *dst;
static size_t length;
static int16_t dev_id;

static uint8_t *
buffer(uint8_t *base, uint64_t i)
{
	return base + i % BUFFERS * length;
}

/* rte_mem_virt2iova() is not for the data path: who has bare IOVAs has looked them up before. */
static rte_iova_t src_iova[BUFFERS], dst_iova[BUFFERS];

static double
bare(void)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	const struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM,
		.nb_desc = RING};
	const uint64_t hz = rte_get_tsc_hz();
	uint64_t i, sent = 0, done = 0, start, end;

	if (rte_dma_configure(dev_id, &conf) < 0 || rte_dma_vchan_setup(dev_id, 0, &vchan) < 0 ||
		rte_dma_start(dev_id) < 0)
		rte_exit(EXIT_FAILURE, "the device cannot be started\n");
	start = rte_rdtsc();
	end = start + ROUND_TIME * hz;
	while (rte_rdtsc() < end) {
		for (i = 0; i < BURST; i++, sent++)
			while (rte_dma_copy(dev_id, 0, src_iova[sent % BUFFERS],
				       dst_iova[sent % BUFFERS], length, 0) < 0)
				done += rte_dma_completed(dev_id, 0, BURST, NULL, NULL);
		rte_dma_submit(dev_id, 0);
		done += rte_dma_completed(dev_id, 0, BURST, NULL, NULL);
	}
	while (done < sent)
		done += rte_dma_completed(dev_id, 0, BURST, NULL, NULL);
	end = rte_rdtsc();
	rte_dma_stop(dev_id);
	return sent / ((double)(end - start) / hz) / 1E6;
}

/* Addresses are looked up for each copy, as an application does that is given pointers. */
static double
library(void)
{
	static struct ce_transfer transfers[RING] __rte_cache_aligned;
	const struct ce_adapter_conf conf = {.ring_size = RING, .break_even = 1};
	struct ce_adapter *adapter = ce_adapter_get(dev_id, &conf);
	const uint64_t hz = rte_get_tsc_hz();
	uint64_t i, sent = 0, done = 0, start, end;
	struct ce_transfer *list[BURST];

	if (adapter == NULL)
		rte_exit(EXIT_FAILURE, "no adapter: %s\n", rte_strerror(rte_errno));
	start = rte_rdtsc();
	end = start + ROUND_TIME * hz;
	while (rte_rdtsc() < end) {
		while (sent - done > RING - BURST)
			done += ce_poll(adapter);
		for (i = 0; i < BURST; i++, sent++) {
			list[i] = &transfers[sent % RING];
			list[i]->length = length;
			list[i]->src_va = buffer(src, sent);
			list[i]->dst_va = buffer(dst, sent);
		}
		if (ce_submit(adapter, list, BURST) != BURST)
			rte_exit(EXIT_FAILURE, "a copy is refused\n");
		done += ce_poll(adapter);
	}
	while (done < sent)
		done += ce_poll(adapter);
	end = rte_rdtsc();
	for (i = 0; i < RTE_MIN(sent, (uint64_t)RING); i++)
		if (transfers[i].status != 0)
			rte_exit(EXIT_FAILURE, "a copy failed\n");
	ce_adapter_put(adapter);
	return sent / ((double)(end - start) / hz) / 1E6;
}

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	double with[ROUNDS], without[ROUNDS], loss, limit;
	int used = rte_eal_init(argc, argv);
	struct rte_dma_info info;
	unsigned int i;

	if (used < 0)
		rte_exit(EXIT_FAILURE, "EAL: %s\n", rte_strerror(rte_errno));
	length = argc > used + 1 ? strtoul(argv[used + 1], NULL, 0) : 1024;
	limit = argc > used + 2 ? atof(argv[used + 2]) : 15;
	dev_id = rte_dma_next_dev(0);
	if (dev_id < 0 || rte_dma_info_get(dev_id, &info) < 0)
		rte_exit(EXIT_FAILURE, "no DMA device: give --vdev=dma_cbdma0,cpu=N,idle=spin\n");
	/* So aligned, no buffer crosses a page: dmadev would not notice that it is not contiguous. */
	if (!rte_is_power_of_2(length) || length > 65536)
		rte_exit(EXIT_FAILURE, "BYTES is to be a power of two, at most 65536\n");
	src = rte_zmalloc("src", BUFFERS * length, RTE_MAX(length, (size_t)RTE_CACHE_LINE_SIZE));
	dst = rte_zmalloc("dst", BUFFERS * length, RTE_MAX(length, (size_t)RTE_CACHE_LINE_SIZE));
	if (src == NULL || dst == NULL)
		rte_exit(EXIT_FAILURE, "no memory for %u buffers of %zu bytes\n", BUFFERS, length);
	for (i = 0; i < BUFFERS; i++) {
		src_iova[i] = rte_mem_virt2iova(buffer(src, i));
		dst_iova[i] = rte_mem_virt2iova(buffer(dst, i));
	}
	for (i = 0; i < ROUNDS; i++) {
		without[i] = bare();
		with[i] = library();
	}
	qsort(with, ROUNDS, sizeof(with[0]), compare);
	qsort(without, ROUNDS, sizeof(without[0]), compare);
	loss = 100 * (1 - with[ROUNDS / 2] / without[ROUNDS / 2]);
	printf("%s, %zu bytes, median of %d rounds (least, most):\n", info.dev_name, length, ROUNDS);
	printf("  dmadev     %6.2f MOps (%.2f, %.2f)\n", without[ROUNDS / 2], without[0],
		without[ROUNDS - 1]);
	printf("  copyengine %6.2f MOps (%.2f, %.2f), %.1f %% fewer\n", with[ROUNDS / 2], with[0],
		with[ROUNDS - 1], loss);
	printf("RESULT,ce_overhead,%s,%zu,%.2f,%.2f,%.1f\n", info.dev_name, length,
		without[ROUNDS / 2], with[ROUNDS / 2], loss);
	rte_free(src);
	rte_free(dst);
	rte_eal_cleanup();
	return loss <= limit ? EXIT_SUCCESS : EXIT_FAILURE;
}
