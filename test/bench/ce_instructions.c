/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Instructions that a copy of 64 bytes by the engine takes with lib/copyengine, the driver's included:
 * see ce_instructions.sh, which runs this under callgrind. The device runs in step mode between what
 * is measured, and what the loops of this program take is measured, too, to be subtracted.
 *
 * "single" calls ce_transfer_copy() for each, with CE_TRANSFER_MORE but for the last of 32; "doorbell"
 * is the same without that flag, so that each rings; "batch" submits 32 in a call. All collect 32 in a
 * call. "alone" submits and collects each by itself.
 */

#include <stdio.h>
#include <stdlib.h>

#include <rte_bus_vdev.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <valgrind/callgrind.h>

#include <copyengine.h>
#include <rte_pmd_cbdma.h>

#define NAME   "dma_cbdma_bench"
#define BURST  32
#define ROUNDS 500 /* the ring is gone round many times */
#define LEN    64

static int16_t dev_id;
static struct ce_adapter *adapter;
static struct ce_transfer transfers[BURST];
static struct ce_transfer *list[BURST], *finished[BURST];
static uint8_t *memory;
static unsigned int failures;

/* Calls that do nothing, in the place of the library's. */
static int __rte_noinline
no_copy(struct ce_adapter *a, struct ce_transfer *t, void *to, const void *from, size_t length)
{
	__asm__ volatile("" : : "r"(a), "r"(t), "r"(to), "r"(from), "r"(length));
	return 0;
}

static int __rte_noinline
no_submit(struct ce_adapter *a, struct ce_transfer *const *t, unsigned int count)
{
	__asm__ volatile("" : : "r"(a), "r"(t));
	return count;
}

static unsigned int __rte_noinline
no_collect(struct ce_adapter *a, struct ce_transfer **t, unsigned int max)
{
	__asm__ volatile("" : : "r"(a), "r"(t));
	return max;
}

static __typeof__(&ce_transfer_copy) do_copy;
static __typeof__(&ce_submit) do_submit;
static __typeof__(&ce_collect) do_collect;

static void __rte_noinline
submit_single(unsigned int count)
{
	__typeof__(&ce_transfer_copy) copy = do_copy;
	unsigned int i;

	for (i = 0; i < count; i++)
		if (copy(adapter, &transfers[i], memory + (BURST + i) * LEN, memory + i * LEN, LEN) < 0)
			failures++;
}

static void __rte_noinline
submit_batch(unsigned int count)
{
	if (do_submit(adapter, list, count) != (int)count)
		failures++;
}

static void __rte_noinline
collect(unsigned int count)
{
	if (do_collect(adapter, finished, count) != count)
		failures++;
}

static void
run(bool counted, void (*function)(unsigned int), unsigned int count)
{
	if (counted)
		CALLGRIND_TOGGLE_COLLECT;
	function(count);
	if (counted)
		CALLGRIND_TOGGLE_COLLECT;
}

static void
library_set(bool library)
{
	do_copy = library ? ce_transfer_copy : no_copy;
	do_submit = library ? ce_submit : no_submit;
	do_collect = library ? ce_collect : no_collect;
}

/* With the library, or what it takes to call nothing. */
static void
measure(const char *what, void (*submit)(unsigned int), unsigned int count, bool more, bool library)
{
	char name[64];
	unsigned int i, j;

	for (j = 0; j < count; j++)
		transfers[j].flags = more && j < count - 1 ? CE_TRANSFER_MORE : 0;
	library_set(library);
	for (i = 0; i < ROUNDS; i++) {
		run(true, submit, count);
		rte_pmd_cbdma_step(dev_id, BURST);
		run(true, collect, count);
	}
	snprintf(name, sizeof(name), "%s/%s/%u", what, library ? "copy" : "nothing", ROUNDS * count);
	CALLGRIND_DUMP_STATS_AT(name);
}

int
main(int argc, char **argv)
{
	const struct ce_adapter_conf conf = {.break_even = 1};
	unsigned int i;

	if (rte_eal_init(argc, argv) < 0 || rte_vdev_init(NAME, "step=1") != 0) {
		fprintf(stderr, "no device\n");
		return EXIT_FAILURE;
	}
	dev_id = rte_dma_get_dev_id_by_name(NAME);
	adapter = ce_adapter_get(dev_id, &conf);
	memory = rte_malloc(NULL, 2 * BURST * LEN, 64);
	if (adapter == NULL || memory == NULL) {
		fprintf(stderr, "no handle or no memory\n");
		return EXIT_FAILURE;
	}
	for (i = 0; i < BURST; i++) {
		list[i] = &transfers[i];
		transfers[i].length = LEN;
		transfers[i].src_va = memory + i * LEN;
		transfers[i].dst_va = memory + (BURST + i) * LEN;
	}
	for (i = 0; i < 2; i++) {
		measure("single", submit_single, BURST, true, i);
		measure("batch", submit_batch, BURST, false, i);
		measure("doorbell", submit_single, BURST, false, i);
		measure("alone", submit_single, 1, false, i);
	}
	if (failures != 0)
		fprintf(stderr, "%u failures\n", failures);
	rte_free(memory);
	ce_adapter_put(adapter);
	rte_vdev_uninit(NAME);
	rte_eal_cleanup();
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
