/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Cyclic transfers: round a common buffer, with a counter, under- and overruns. */

#include "common.h"

#define PERIOD	512
#define PERIODS 8
#define LENGTH	(PERIOD * PERIODS)

static struct ce_adapter *adapter;
static struct ce_common_buffer *ring, *peer;

struct log {
	uint64_t periods;
	int status;
	bool feed; /* commit a period for each that is done */
};

static int
begin(void **state)
{
	(void)state;
	adapter = adapter_get(NULL);
	ring = ce_common_buffer_alloc(adapter, LENGTH);
	peer = ce_common_buffer_alloc(adapter, 2 * LENGTH);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	ce_common_buffer_free(ring);
	ce_common_buffer_free(peer);
	adapter_put(adapter);
	return 0;
}

static void
done(struct ce_cyclic *cyclic, uint64_t period, int status, void *arg)
{
	struct log *log = arg;
	void *va;

	log->status = status;
	if (status != 0)
		return;
	assert_int_equal(period, log->periods);
	log->periods++;
	/* Nothing in the round is done but the periods that were reported. */
	assert_int_equal(ce_cyclic_remaining(cyclic), LENGTH - log->periods * PERIOD % LENGTH);
	if (log->feed) {
		assert_true(ce_cyclic_window(cyclic, &va) >= PERIOD);
		memset(va, (uint8_t)(period + PERIODS), PERIOD);
		assert_int_equal(ce_cyclic_commit(cyclic, PERIOD), 0);
	}
}

static void
stop_cyclic(struct ce_cyclic *cyclic)
{
	const double limit = seconds() + 60;

	while (ce_cyclic_stop(cyclic) == -EINPROGRESS && seconds() < limit)
		run(adapter);
	assert_true(seconds() < limit);
}

static void
run_periods(struct log *log, uint64_t periods)
{
	const double limit = seconds() + 60;

	while (log->periods < periods && log->status == 0 && seconds() < limit)
		run(adapter);
	assert_true(seconds() < limit);
}

static void
playback(void **state)
{
	struct log log = {.feed = true};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova, .peer_length = 2 * LENGTH, .ahead = 3, .prefill = LENGTH,
		.cb = done, .arg = &log};
	struct ce_cyclic_stats stats;
	struct ce_cyclic *cyclic;
	unsigned int i, j;

	(void)state;
	for (i = 0; i < PERIODS; i++)
		memset(RTE_PTR_ADD(ring->va, i * PERIOD), i, PERIOD);
	cyclic = ce_cyclic_start(adapter, &conf);
	assert_non_null(cyclic);
	assert_int_equal(ce_adapter_put(adapter), -EBUSY);
	assert_int_equal(ce_cyclic_remaining(cyclic), LENGTH);
	run_periods(&log, 10 * PERIODS + 3);
	assert_int_equal(ce_cyclic_stop(cyclic), -EINPROGRESS);
	ce_cyclic_stats_get(cyclic, &stats);
	assert_int_equal(stats.underruns + stats.overruns, 0);
	assert_int_equal(stats.periods, log.periods);
	stop_cyclic(cyclic);
	/* The peer has the last two rounds, in order. */
	for (i = 0; i < 2 * PERIODS; i++) {
		uint64_t period = log.periods - 1 - i;
		const uint8_t *there = RTE_PTR_ADD(peer->va, period % (2 * PERIODS) * PERIOD);

		for (j = 0; j < PERIOD; j++)
			assert_int_equal(there[j], (uint8_t)period);
	}
}

/* From a fixed window, which the test changes between the periods. */
static void
capture(void **state)
{
	struct log log = {0};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova, .capture = true, .cb = done, .arg = &log};
	struct ce_cyclic *cyclic = ce_cyclic_start(adapter, &conf);
	struct ce_cyclic_stats stats;
	unsigned int i;
	void *va;

	(void)state;
	assert_non_null(cyclic);
	assert_int_equal(ce_cyclic_window(cyclic, NULL), 0);
	assert_int_equal(ce_cyclic_commit(cyclic, 1), -EINVAL);
	memset(peer->va, 1, PERIOD);
	run_periods(&log, 4);
	memset(peer->va, 2, PERIOD);
	for (i = 0; i < 4 * PERIODS; i++) {
		assert_true(ce_cyclic_window(cyclic, &va) >= PERIOD);
		assert_int_equal(((uint8_t *)va)[0], i < 4 ? 1 : ((uint8_t *)va)[0]);
		assert_int_equal(ce_cyclic_commit(cyclic, PERIOD), 0);
		run_periods(&log, log.periods + 1);
	}
	ce_cyclic_stats_get(cyclic, &stats);
	assert_int_equal(stats.overruns, 0);
	/* Now nobody reads: four were unread, four more fit, each further one overwrites one. */
	run_periods(&log, log.periods + PERIODS + 5);
	ce_cyclic_stats_get(cyclic, &stats);
	assert_in_range(stats.overruns, 9, 10);
	/* What can be read is the newest that is whole. */
	assert_true(ce_cyclic_window(cyclic, &va) > 0);
	assert_int_equal(((uint8_t *)va)[0], 2);
	stop_cyclic(cyclic);
}

/* An overrun moves the place to read: what was seen of the old one cannot be committed. */
static void
overrun_commit(void **state)
{
	struct log log = {0};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova, .capture = true, .cb = done, .arg = &log};
	struct ce_cyclic *cyclic = ce_cyclic_start(adapter, &conf);
	size_t old, moved;
	void *before, *after;

	(void)state;
	run_periods(&log, 2);
	old = ce_cyclic_window(cyclic, &before);
	assert_true(old >= 2 * PERIOD);
	run_periods(&log, 2 + PERIODS);
	assert_int_equal(ce_cyclic_commit(cyclic, old), -EPIPE);
	moved = ce_cyclic_window(cyclic, &after);
	assert_true(moved >= PERIOD);
	assert_ptr_not_equal(before, after);
	assert_int_equal(ce_cyclic_commit(cyclic, PERIOD), 0);
	stop_cyclic(cyclic);
}

static void
underrun(void **state)
{
	struct log log = {0};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova, .ahead = 1, .prefill = 2 * PERIOD, .cb = done, .arg = &log};
	struct ce_cyclic *cyclic = ce_cyclic_start(adapter, &conf);
	struct ce_cyclic_stats stats;

	(void)state;
	run_periods(&log, 10);
	ce_cyclic_stats_get(cyclic, &stats);
	/* All but the two that were there; one more may be queued already. */
	assert_in_range(stats.underruns, 8, 9);
	/* The application goes on where the device is. */
	log.feed = true;
	while (ce_cyclic_window(cyclic, NULL) >= PERIOD)
		assert_int_equal(ce_cyclic_commit(cyclic, PERIOD), 0);
	run_periods(&log, 30);
	assert_int_equal(ce_cyclic_window(cyclic, NULL) / PERIOD, 0);
	ce_cyclic_stats_get(cyclic, &stats);
	assert_in_range(stats.underruns, 8, 9);
	assert_int_equal(stats.status, -EINPROGRESS);
	stop_cyclic(cyclic);
}

/* As many periods as there are map registers for: the device goes on while nobody polls. */
static void
late_poll(void **state)
{
	struct log log = {0};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova, .ahead = CE_CYCLIC_AHEAD_MAX, .prefill = LENGTH, .cb = done,
		.arg = &log};
	struct ce_cyclic *cyclic = ce_cyclic_start(adapter, &conf);
	struct ce_cyclic_stats stats;
	struct ce_transfer t = {0};
	uint8_t *memory = dma_alloc(2);
	uint64_t periods;
	double pause;

	(void)state;
	assert_non_null(cyclic);
	ce_poll(adapter);
	for (pause = seconds() + 0.1; seconds() < pause;)
		step_devices(100);
	/* Rounds without a poll: one call finds as many as it looks at. */
	periods = log.periods;
	ce_poll(adapter);
	assert_true(log.periods - periods >= 7 * PERIODS);
	run_periods(&log, periods + 20 * PERIODS);
	ce_cyclic_stats_get(cyclic, &stats);
	/* All but the first round, those included that are done and were not reported yet. */
	assert_in_range(stats.underruns, stats.periods - PERIODS, stats.periods + 1024);
	/* And leaves its neighbours a map register. */
	assert_int_equal(ce_transfer_copy(adapter, &t, memory, memory + 1, 1), 0);
	assert_int_equal(finish(adapter, &t), 0);
	dma_free(memory);
	stop_cyclic(cyclic);
}

/* A FIFO at the other side: every operation of a period goes to its first byte. */
static void
fifo(void **state)
{
	struct log log = {.feed = false};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova + 64, .window = 16, .prefill = LENGTH, .cb = done, .arg = &log};
	struct ce_cyclic *cyclic;
	unsigned int i;

	(void)state;
	memset(ring->va, 7, LENGTH);
	cyclic = ce_cyclic_start(adapter, &conf);
	assert_non_null(cyclic);
	run_periods(&log, 3);
	stop_cyclic(cyclic);
	for (i = 0; i < 2 * LENGTH; i++)
		assert_int_equal(((uint8_t *)peer->va)[i], i >= 64 && i < 80 ? 7 : 0);
}

static void
paced(void **state)
{
	struct log log = {0};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova, .period_ns = 1000000, .cb = done, .arg = &log};
	struct ce_cyclic *cyclic = ce_cyclic_start(adapter, &conf);
	const double start = seconds();
	struct ce_cyclic_stats stats;
	double pause;

	(void)state;
	run_periods(&log, 100);
	/* The first one at once, the hundredth 99 ms later; at most late, never early. */
	assert_true(seconds() - start >= 0.0985);
	/* Who does not poll is behind time, and told so. */
	for (pause = seconds() + 0.05; seconds() < pause;)
		;
	run_periods(&log, 160);
	ce_cyclic_stats_get(cyclic, &stats);
	assert_true(stats.late >= 45);
	stop_cyclic(cyclic);
}

static void
bad_arguments(void **state)
{
	const struct ce_cyclic_conf good = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova};
	struct ce_cyclic_conf bad[10];
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(bad); i++)
		bad[i] = good;
	bad[0].buffer = NULL;
	bad[1].period = 0;
	bad[2].period = 500;
	bad[3].period = LENGTH;
	bad[4].length = 2 * LENGTH;
	bad[5].peer_length = PERIOD + 1;
	bad[6].prefill = LENGTH + 1;
	bad[7].capture = true, bad[7].prefill = 1;
	bad[8].ahead = PERIODS, bad[8].capture = true;
	bad[9].request = (void *)&bad[0];
	for (i = 0; i < RTE_DIM(bad); i++) {
		rte_errno = 0;
		assert_null(ce_cyclic_start(adapter, &bad[i]));
		assert_int_equal(rte_errno, EINVAL);
	}
}

/* A device error ends it, and is told. */
static void
error(void **state)
{
	struct log log = {0};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova, .ahead = 4, .cb = done, .arg = &log};
	struct ce_cyclic_stats stats;
	struct ce_cyclic *cyclic;
	const double limit = seconds() + 60;

	(void)state;
	if (!is_cbdma)
		skip();
	/* Descriptors: the periods, and between them those that carry a fence. */
	inject(devices[0], "fail:at=20");
	cyclic = ce_cyclic_start(adapter, &conf);
	while (log.status == 0 && seconds() < limit)
		run(adapter);
	assert_int_equal(log.status, -EIO);
	ce_cyclic_stats_get(cyclic, &stats);
	assert_int_equal(stats.status, -EIO);
	assert_int_equal(stats.periods, log.periods);
	assert_in_range(log.periods, 10, 20);
	stop_cyclic(cyclic);
}

static enum ce_channel_action
keep(struct ce_channel_request *request, void *arg)
{
	(void)request;
	*(bool *)arg = true;
	return CE_CHANNEL_KEEP;
}

/* On a channel of a controller: ask for it, go round, free it. */
static void
on_channel(void **state)
{
	const struct ce_channel_id id = {.dev_id = devices[1]};
	struct ce_controller *controller = ce_controller_create(&id, 1, &by_engine);
	struct ce_adapter *alone = adapter;
	bool held = false;
	struct ce_channel_request request = {.map_registers = 2, .cb = keep, .arg = &held};
	struct log log = {0};
	struct ce_cyclic_conf conf = {.buffer = ring, .length = LENGTH, .period = PERIOD,
		.peer = peer->iova, .ahead = 5, .cb = done, .arg = &log, .request = &request};
	struct ce_cyclic *cyclic;

	(void)state;
	adapter = ce_controller_adapter_get(controller, NULL);
	assert_null(ce_cyclic_start(adapter, &conf));
	assert_int_equal(ce_channel_request(adapter, &request), 0);
	assert_true(held);
	cyclic = ce_cyclic_start(adapter, &conf);
	assert_non_null(cyclic);
	run_periods(&log, 100);
	assert_int_equal(ce_channel_free(&request), -EBUSY);
	stop_cyclic(cyclic);
	assert_int_equal(ce_channel_free(&request), 0);
	adapter_put(adapter);
	assert_int_equal(ce_controller_destroy(controller), 0);
	adapter = alone;
}

int
test_cyclic(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(playback, begin, end),
		cmocka_unit_test_setup_teardown(capture, begin, end),
		cmocka_unit_test_setup_teardown(overrun_commit, begin, end),
		cmocka_unit_test_setup_teardown(underrun, begin, end),
		cmocka_unit_test_setup_teardown(late_poll, begin, end),
		cmocka_unit_test_setup_teardown(fifo, begin, end),
		cmocka_unit_test_setup_teardown(paced, begin, end),
		cmocka_unit_test_setup_teardown(bad_arguments, begin, end),
		cmocka_unit_test_setup_teardown(error, begin, end),
		cmocka_unit_test_setup_teardown(on_channel, begin, end),
	};

	return cmocka_run_group_tests_name("cyclic transfers", tests, NULL, NULL);
}
