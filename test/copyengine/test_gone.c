/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Devices that vanish or stall: everything comes back with a status, nothing hangs. */

#include "common.h"

#include <rte_eal.h>

#define KB 1024

static unsigned int called;
static int cyclic_status;

static void
count(struct ce_transfer *transfer, void *arg)
{
	(void)transfer;
	(void)arg;
	called++;
}

/* Transfers under way and transfers that wait. Returns the status of the last. */
static int
lose(struct ce_adapter *adapter, const char *fault)
{
	uint8_t *memory = dma_alloc(128 * KB);
	struct ce_transfer t[4] = {0};
	struct ce_adapter_info info;
	unsigned int i;
	int status;

	ce_adapter_info_get(adapter, &info);
	inject(info.dev_id, fault);
	called = 0;
	for (i = 0; i < 4; i++) {
		t[i].cb = count;
		assert_int_equal(
			ce_transfer_copy(adapter, &t[i], memory + 64 * KB, memory, 64 * KB), 0);
	}
	for (i = 0; i < 4; i++) {
		status = finish(adapter, &t[i]);
		assert_int_not_equal(status, 0);
		assert_true(t[i].done < 64 * KB);
	}
	assert_int_equal(called, 4);
	/* Nothing new is taken, and it says so at once. */
	assert_int_equal(ce_transfer_copy(adapter, &t[0], memory + 64 * KB, memory, 1), status);
	assert_int_equal(called, 4);
	dma_free(memory);
	return status;
}

static void
vanish(void **state)
{
	const struct ce_adapter_conf conf = {.max_segment = 4 * KB, .map_registers = 8};
	struct ce_adapter *adapter = adapter_get(&conf);

	(void)state;
	assert_int_equal(lose(adapter, "vanish:at=3"), -ENODEV);
	adapter_put(adapter);
	/* It is gone for good. */
	assert_null(ce_adapter_get(devices[0], NULL));
}

static void
stall(void **state)
{
	const struct ce_adapter_conf conf = {.max_segment = 4 * KB, .map_registers = 8,
		.timeout_ms = 200, .break_even = 1};
	struct ce_adapter *adapter = ce_adapter_get(devices[1], &conf);
	uint8_t *memory = dma_alloc(2 * KB);
	struct ce_transfer t = {0};
	const double start = seconds();

	(void)state;
	assert_non_null(adapter);
	assert_int_equal(lose(adapter, "stall:at=3"), -ETIMEDOUT);
	assert_true(seconds() - start >= 0.2);
	adapter_put(adapter);
	/* A reset revives it. */
	adapter = ce_adapter_get(devices[1], &by_engine);
	assert_non_null(adapter);
	pattern_fill(memory, KB, 1);
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + KB, memory, KB), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_true(pattern_is(memory + KB, KB, 1));
	adapter_put(adapter);
	dma_free(memory);
}

static void
again(struct ce_transfer *transfer, void *arg)
{
	called++;
	/* A dead handle refuses at once. */
	assert_int_equal(ce_submit(arg, &transfer, 1), -ENODEV);
}

/*
 * Callbacks of transfers that were under way, or waited, submit again: a poll returns all the same.
 * Who shares the device finds out, and nobody is given a handle on it.
 */
static void
vanish_shared(void **state)
{
	const struct ce_adapter_conf conf = {.max_segment = 4 * KB, .map_registers = 8,
		.break_even = 1, .flags = CE_ADAPTER_SHARED};
	struct ce_adapter *a = ce_adapter_get(devices[3], &conf);
	struct ce_adapter *b = ce_adapter_get(devices[3], &conf);
	uint8_t *memory = dma_alloc(128 * KB);
	struct ce_transfer t[4] = {0}, other = {0};
	unsigned int i;

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	inject(devices[3], "vanish:at=3");
	called = 0;
	for (i = 0; i < 4; i++) {
		t[i].cb = again;
		t[i].arg = a;
		assert_int_equal(ce_transfer_copy(a, &t[i], memory + 64 * KB, memory, 64 * KB), 0);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(finish(a, &t[i]), -ENODEV);
	assert_int_equal(called, 4);
	assert_int_equal(ce_transfer_copy(b, &other, memory + 64 * KB, memory, KB), -ENODEV);
	assert_null(ce_adapter_get(devices[3], &conf));
	assert_int_equal(rte_errno, ENODEV);
	dma_free(memory);
	adapter_put(a);
	adapter_put(b);
}

static void
period(struct ce_cyclic *cyclic, uint64_t number, int status, void *arg)
{
	(void)cyclic;
	(void)number;
	(void)arg;
	cyclic_status = status;
}

static enum ce_channel_action
keep(struct ce_channel_request *request, void *arg)
{
	(void)arg;
	called++;
	return request->status == 0 ? CE_CHANNEL_KEEP : CE_CHANNEL_RELEASE;
}

/* A controller with one channel, a cyclic transfer on it, and a requester who waits behind. */
static void
controller(void **state)
{
	const struct ce_channel_id id = {.dev_id = devices[2]};
	struct ce_controller *ctl = ce_controller_create(&id, 1, &by_engine);
	struct ce_adapter *a, *b;
	struct ce_channel_request ra = {.map_registers = 4, .cb = keep}, rb = ra, rc = ra;
	struct ce_common_buffer *ring;
	struct ce_cyclic_conf conf = {.period = 512, .ahead = 3, .cb = period, .request = &ra};
	struct ce_cyclic *cyclic;
	const double limit = seconds() + 60;

	(void)state;
	assert_non_null(ctl);
	a = ce_controller_adapter_get(ctl, NULL);
	b = ce_controller_adapter_get(ctl, NULL);
	ring = ce_common_buffer_alloc(a, 4 * KB);
	called = 0;
	assert_int_equal(ce_channel_request(a, &ra), 0);
	assert_int_equal(ce_channel_request(b, &rb), 0);
	assert_int_equal(called, 1);
	conf.buffer = ring;
	conf.peer = ring->iova;
	cyclic = ce_cyclic_start(a, &conf);
	assert_non_null(cyclic);
	inject(devices[2], "vanish:at=30");
	while ((cyclic_status == 0 || called < 2) && seconds() < limit) {
		run(a);
		run(b);
	}
	assert_int_not_equal(cyclic_status, 0);
	while (ce_cyclic_stop(cyclic) == -EINPROGRESS && seconds() < limit)
		run(a);
	assert_int_equal(ra.status, -ENODEV);
	assert_int_equal(ce_channel_free(&ra), 0);
	/* The one who waited would wait for ever, and is told; so is who asks now. */
	while (called < 2 && seconds() < limit)
		run(b);
	assert_int_equal(called, 2);
	assert_int_equal(rb.status, -ENODEV);
	assert_int_equal(ce_channel_request(b, &rc), -ENODEV);
	assert_int_equal(called, 2);
	ce_common_buffer_free(ring);
	adapter_put(a);
	adapter_put(b);
	assert_int_equal(ce_controller_destroy(ctl), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vanish),
		cmocka_unit_test(vanish_shared),
		cmocka_unit_test(stall),
		cmocka_unit_test(controller),
	};
	int failed;

	test_begin(argc, argv);
	failed = cmocka_run_group_tests_name("devices that are lost", tests, NULL, NULL);
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
