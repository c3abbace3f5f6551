/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * A cyclic transfer of very many periods: the counter against what the device has really done.
 *
 * rounds DEVICE MEMORY [PERIODS]
 */

#include "common.h"

#include <inttypes.h>
#include <stdio.h>

#include <rte_eal.h>

#ifdef WITH_MODEL
#include <rte_pmd_cbdma.h>
#endif

#define PERIOD	256
#define PERIODS 16
#define LENGTH	(PERIOD * PERIODS)

static uint64_t wanted;
static uint64_t reported;
static volatile uint64_t *there; /* the peer */

/* Each period begins and ends with its number. */
static void
number(void *period, uint64_t n)
{
	((uint64_t *)period)[0] = n;
	((uint64_t *)period)[PERIOD / 8 - 1] = n;
}

static void
done(struct ce_cyclic *cyclic, uint64_t period, int status, void *arg)
{
	volatile uint64_t *at = there + period % PERIODS * PERIOD / 8;
	void *va;

	(void)arg;
	if (status != 0)
		print_error("period %" PRIu64 ": %s\n", period, rte_strerror(-status));
	assert_int_equal(status, 0);
	assert_int_equal(period, reported);
	reported++;
	/* Early, or not at all, and the device would have been seen not to have written it. */
	assert_int_equal(at[0], period);
	assert_int_equal(at[PERIOD / 8 - 1], period);
	assert_int_equal(ce_cyclic_remaining(cyclic), LENGTH - reported % PERIODS * PERIOD);
	assert_true(ce_cyclic_window(cyclic, &va) >= PERIOD);
	number(va, period + PERIODS);
	assert_int_equal(ce_cyclic_commit(cyclic, PERIOD), 0);
}

/* Run a device in step mode; what it has run is the truth. One period ahead is one descriptor. */
static uint64_t
step(void)
{
#ifdef WITH_MODEL
	if (is_step)
		return rte_pmd_cbdma_step(devices[0], 1);
#endif
	return 0;
}

static void
rounds(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_common_buffer *ring = ce_common_buffer_alloc(adapter, LENGTH);
	struct ce_common_buffer *peer = ce_common_buffer_alloc(adapter, LENGTH);
	struct ce_cyclic_conf conf = {.buffer = ring, .period = PERIOD, .peer = peer->iova,
		.peer_length = LENGTH, .ahead = is_step ? 1 : 8, .prefill = LENGTH, .cb = done};
	struct rte_dma_stats before, after;
	struct ce_cyclic_stats stats;
	struct ce_cyclic *cyclic;
	uint64_t i, truth = 0;
	double start = seconds();

	(void)state;
	there = peer->va;
	for (i = 0; i < PERIODS; i++)
		number(RTE_PTR_ADD(ring->va, i * PERIOD), i);
	assert_int_equal(rte_dma_stats_get(devices[0], 0, &before), 0);
	cyclic = ce_cyclic_start(adapter, &conf);
	assert_non_null(cyclic);
	while (reported < wanted) {
		truth += step();
		ce_poll(adapter);
		if (is_step)
			assert_int_equal(ce_cyclic_remaining(cyclic), LENGTH - truth % PERIODS * PERIOD);
	}
	while (ce_cyclic_stop(cyclic) == -EINPROGRESS) {
		ce_cyclic_stats_get(cyclic, &stats);
		truth += step();
		ce_poll(adapter);
	}
	assert_int_equal(stats.underruns + stats.overruns, 0);
	assert_int_equal(rte_dma_stats_get(devices[0], 0, &after), 0);
	assert_int_equal(after.completed - before.completed, reported);
	assert_int_equal(after.errors, before.errors);
	print_message("%" PRIu64 " periods, %.1f s\n", reported, seconds() - start);
	ce_common_buffer_free(ring);
	ce_common_buffer_free(peer);
	adapter_put(adapter);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rounds)};
	int failed;

	test_begin(argc, argv);
	wanted = argc > 3 ? strtoull(argv[3], NULL, 0) : 1000000;
	failed = cmocka_run_group_tests_name("rounds", tests, NULL, NULL);
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
