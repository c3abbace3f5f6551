/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Eight requesters on two channels from two lcores: each is to get as much as the others.
 *
 * share DEVICE MEMORY [SECONDS]
 */

#include "common.h"

#include <inttypes.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>

#define LCORES	   2
#define REQUESTERS 8
#define LENGTH	   8192

struct requester {
	alignas(RTE_CACHE_LINE_SIZE) struct ce_adapter *adapter;
	struct ce_channel_request request;
	struct ce_transfer transfer;
	struct ce_sglist *src, *dst;
	uint8_t *from, *to;
	uint64_t turns;
	uint64_t channel[2];
	const char *error; /* workers cannot assert */
	bool idle;
};

static struct requester requesters[REQUESTERS];
static struct ce_controller *controller;
static atomic_bool stop;
static atomic_uint finished; /* EAL's own waiting is not seen by ThreadSanitizer */

static void
transferred(struct ce_transfer *transfer, void *arg)
{
	struct requester *r = arg;

	if (transfer->status != 0)
		r->error = "a transfer failed";
	else if (memcmp(r->from, r->to, LENGTH) != 0)
		r->error = "wrong bytes";
	else if (ce_channel_flush(&r->request) != 0)
		r->error = "flush";
	else if (ce_channel_free(&r->request) != 0)
		r->error = "free";
	r->turns++;
	r->channel[r->request.channel]++;
	r->idle = true;
	if (r->error != NULL || atomic_load_explicit(&stop, memory_order_relaxed))
		return;
	r->idle = false;
	*(uint64_t *)r->from = r->turns;
	if (ce_channel_request(r->adapter, &r->request) != 0)
		r->error = "request";
}

static enum ce_channel_action
mine(struct ce_channel_request *request, void *arg)
{
	struct requester *r = arg;

	r->transfer = (struct ce_transfer){.src = r->src, .dst = r->dst, .length = LENGTH,
		.cb = transferred, .arg = r};
	if (ce_channel_map(request, &r->transfer) != LENGTH)
		r->error = "map";
	return CE_CHANNEL_KEEP;
}

static int
work(void *arg)
{
	const unsigned int mine_first = *(unsigned int *)arg;
	unsigned int i, idle;

	for (i = mine_first; i < REQUESTERS; i += LCORES)
		if (ce_channel_request(requesters[i].adapter, &requesters[i].request) != 0)
			requesters[i].error = "first request";
	do {
		for (i = mine_first, idle = 0; i < REQUESTERS; i += LCORES) {
			ce_poll(requesters[i].adapter);
			idle += requesters[i].idle || requesters[i].error != NULL;
		}
		/* There may be fewer CPUs than lcores and engines. */
		sched_yield();
	} while (idle < REQUESTERS / LCORES);
	atomic_fetch_add(&finished, 1);
	return 0;
}

static void
requester_init(struct requester *r, unsigned int i)
{
	r->adapter = ce_controller_adapter_get(controller, &(struct ce_adapter_conf){
		.map_registers = 8, .flags = CE_ADAPTER_SHARED, .max_segment = 2048});
	assert_non_null(r->adapter);
	r->from = dma_alloc(LENGTH);
	r->to = dma_alloc(LENGTH);
	pattern_fill(r->from, LENGTH, i);
	r->src = ce_sglist_build(r->adapter, r->from, LENGTH);
	r->dst = ce_sglist_build(r->adapter, r->to, LENGTH);
	assert_non_null(r->src);
	assert_non_null(r->dst);
	r->request = (struct ce_channel_request){.map_registers = 4, .cb = mine, .arg = r};
}

static void
requester_free(struct requester *r)
{
	ce_sglist_free(r->src);
	ce_sglist_free(r->dst);
	dma_free(r->from);
	dma_free(r->to);
	adapter_put(r->adapter);
}

static double duration;

static void
fair(void **state)
{
	const struct ce_channel_id ids[] = {{.dev_id = devices[0]}, {.dev_id = devices[1]}};
	unsigned int first[LCORES] = {0, 1}, i, lcore;
	uint64_t sum = 0, least = UINT64_MAX, most = 0;
	double end;

	(void)state;
	controller = ce_controller_create(ids, 2, &by_engine);
	assert_non_null(controller);
	for (i = 0; i < REQUESTERS; i++)
		requester_init(&requesters[i], i);
	end = seconds() + duration;
	i = 0;
	/* Two workers beside the main lcore, which only watches the clock. */
	RTE_LCORE_FOREACH_WORKER(lcore)
		rte_eal_remote_launch(work, &first[i++], lcore);
	while (seconds() < end)
		rte_delay_us_sleep(10000);
	atomic_store(&stop, true);
	rte_eal_mp_wait_lcore();
	assert_int_equal(atomic_load(&finished), LCORES);

	for (i = 0; i < REQUESTERS; i++) {
		print_message("requester %u: %" PRIu64 " turns, %" PRIu64 " + %" PRIu64 "%s%s\n", i,
			requesters[i].turns, requesters[i].channel[0], requesters[i].channel[1],
			requesters[i].error != NULL ? ": " : "",
			requesters[i].error != NULL ? requesters[i].error : "");
		sum += requesters[i].turns;
		least = RTE_MIN(least, requesters[i].turns);
		most = RTE_MAX(most, requesters[i].turns);
	}
	for (i = 0; i < REQUESTERS; i++) {
		assert_null(requesters[i].error);
		requester_free(&requesters[i]);
	}
	assert_int_equal(ce_controller_destroy(controller), 0);
	print_message("%" PRIu64 " turns in %.0f s, least %" PRIu64 ", most %" PRIu64 "\n", sum,
		duration, least, most);
	assert_true(least * REQUESTERS >= 0.9 * sum);
	assert_true(most * REQUESTERS <= 1.1 * sum);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fair)};
	int failed;

	test_begin(argc, argv);
	duration = argc > 3 ? atof(argv[3]) : 5;
	failed = cmocka_run_group_tests_name("sharing", tests, NULL, NULL);
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
