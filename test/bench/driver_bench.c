/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Instructions that the driver alone takes for an operation: see driver_instructions.sh, which runs
 * this under callgrind. The device runs in step mode between what is measured.
 *
 * Each phase (enqueue, submit, poll) is measured in a run of its own and dumped under its name; the
 * phase "nothing" is what the measuring itself takes.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <rte_dmadev.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <valgrind/callgrind.h>

#include "rte_pmd_cbdma.h"

#define NAME   "dma_cbdma_bench"
#define RING   1024
#define BURST  32
#define ROUNDS 500 /* the ring is gone round many times */
#define LEN    64

static int16_t dev_id;
static unsigned int burst; /* operations for a submit and a poll */
static rte_iova_t src[BURST], dst[BURST];
static struct rte_dma_sge sg_src[BURST][4], sg_dst[BURST];
static unsigned int failures;

static void __rte_noinline
nothing(void)
{
	__asm__ volatile("");
}

static void __rte_noinline
enqueue_copy(void)
{
	const unsigned int n = burst;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (rte_dma_copy(dev_id, 0, src[i], dst[i], LEN, 0) < 0)
			failures++;
}

static void __rte_noinline
enqueue_fill(void)
{
	const unsigned int n = burst;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (rte_dma_fill(dev_id, 0, 0x55, dst[i], LEN, 0) < 0)
			failures++;
}

static void __rte_noinline
enqueue_sg(void)
{
	const unsigned int n = burst;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (rte_dma_copy_sg(dev_id, 0, sg_src[i], &sg_dst[i], 4, 1, 0) < 0)
			failures++;
}

static void __rte_noinline
submit(void)
{
	rte_dma_submit(dev_id, 0);
}

static void __rte_noinline
poll_all(void)
{
	bool has_error;
	uint16_t last;

	if (rte_dma_completed(dev_id, 0, burst, &last, &has_error) != burst || has_error)
		failures++;
}

static void
run(bool measured, void (*function)(void))
{
	if (measured)
		CALLGRIND_TOGGLE_COLLECT;
	function();
	if (measured)
		CALLGRIND_TOGGLE_COLLECT;
}

static void
measure(const char *what, void (*enqueue)(void), void (*phase)(void), const char *phase_name)
{
	char name[64];
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		run(phase == nothing, nothing);
		run(phase == enqueue, enqueue);
		run(phase == submit, submit);
		rte_pmd_cbdma_step(dev_id, RING);
		run(phase == poll_all, poll_all);
	}
	snprintf(name, sizeof(name), "%s-%u/%s/%u", what, burst, phase_name, ROUNDS * burst);
	CALLGRIND_DUMP_STATS_AT(name);
}

static int
setup(void)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	const struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = RING};
	uint8_t *mem = rte_malloc(NULL, 2 * BURST * LEN, 64);
	unsigned int i, j;

	if (mem == NULL || rte_vdev_init(NAME, "step=1") != 0)
		return -1;
	dev_id = rte_dma_get_dev_id_by_name(NAME);
	if (rte_dma_configure(dev_id, &conf) != 0 || rte_dma_vchan_setup(dev_id, 0, &vchan) != 0 ||
			rte_dma_start(dev_id) != 0)
		return -1;
	for (i = 0; i < BURST; i++) {
		src[i] = rte_mem_virt2iova(mem) + i * LEN;
		dst[i] = src[i] + BURST * LEN;
		for (j = 0; j < 4; j++)
			sg_src[i][j] = (struct rte_dma_sge){src[i] + j * LEN / 4, LEN / 4};
		sg_dst[i] = (struct rte_dma_sge){dst[i], LEN};
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*enqueue)(void);
	} kinds[] = {{"copy", enqueue_copy}, {"fill", enqueue_fill}, {"copy_sg", enqueue_sg}};
	unsigned int i;

	if (rte_eal_init(argc, argv) < 0 || setup() != 0) {
		fprintf(stderr, "no device\n");
		return EXIT_FAILURE;
	}
	for (i = 0; i < 2 * RTE_DIM(kinds); i++) {
		burst = i < RTE_DIM(kinds) ? BURST : 1;
		measure(kinds[i % RTE_DIM(kinds)].name, kinds[i % RTE_DIM(kinds)].enqueue, nothing, "nothing");
		measure(kinds[i % RTE_DIM(kinds)].name, kinds[i % RTE_DIM(kinds)].enqueue, kinds[i % RTE_DIM(kinds)].enqueue, "enqueue");
		measure(kinds[i % RTE_DIM(kinds)].name, kinds[i % RTE_DIM(kinds)].enqueue, submit, "submit");
		measure(kinds[i % RTE_DIM(kinds)].name, kinds[i % RTE_DIM(kinds)].enqueue, poll_all, "poll");
	}
	if (failures != 0)
		fprintf(stderr, "%u failures\n", failures);
	rte_dma_stop(dev_id);
	rte_vdev_uninit(NAME);
	rte_eal_cleanup();
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
