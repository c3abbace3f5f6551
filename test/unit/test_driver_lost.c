/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Devices that are gone, stand still or do not come out of reset; and silent mode. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <rte_cycles.h>

#include "test_driver.h"

/* Milliseconds that the driver may wait for a device. It gives a command 100; the rest is for a
 * machine that is busy.
 */
#define BOUND_MS 10000

static uint64_t clock_begin;

static void
bound_begin(void)
{
	clock_begin = rte_get_timer_cycles();
}

static void
bound_end(void)
{
	uint64_t ms = (rte_get_timer_cycles() - clock_begin) * 1000 / rte_get_timer_hz();

	assert_true(ms < BOUND_MS);
}

static int
copy(struct drv *d, unsigned int i)
{
	return rte_dma_copy(d->id, 0, drv_iova(drv_src + i * 64), drv_iova(drv_dst + i * 64), 64,
			RTE_DMA_OP_FLAG_SUBMIT);
}

/* Poll until something comes. */
static uint16_t
poll_long(struct drv *d, enum rte_dma_status_code *status)
{
	const uint64_t end = rte_get_timer_cycles() + rte_get_timer_hz() / 1000 * BOUND_MS;
	uint16_t n = 0, idx;

	while (n == 0 && rte_get_timer_cycles() < end)
		n = rte_dma_completed_status(d->id, 0, 64, &idx, status);
	return n;
}

/* The channel is lost: so says everything, until the device is stopped. */
static void
check_lost(struct drv *d)
{
	struct rte_dma_sge sge = {drv_iova(drv_src), 64};
	enum rte_dma_status_code status[4];
	enum rte_dma_vchan_status vchan;
	struct rte_dma_stats stats;

	assert_int_equal(rte_dma_vchan_status(d->id, 0, &vchan), 0);
	assert_int_equal(vchan, RTE_DMA_VCHAN_HALTED_ERROR);
	assert_int_equal(copy(d, 0), -ENODEV);
	assert_int_equal(rte_dma_copy(d->id, 0, 0, 0, 64, RTE_DMA_OP_FLAG_FENCE), -ENODEV);
	assert_int_equal(rte_dma_fill(d->id, 0, 0, 0, 64, 0), -ENODEV);
	assert_int_equal(rte_dma_copy_sg(d->id, 0, &sge, &sge, 1, 1, 0), -ENODEV);
	assert_int_equal(rte_dma_burst_capacity(d->id, 0), 0);
	assert_int_equal(rte_dma_submit(d->id, 0), -ENODEV);
	assert_int_equal(rte_dma_completed_status(d->id, 0, 4, NULL, status), 0);
	stats = drv_stats(d);
	assert_int_equal(stats.completed, stats.submitted);
}

static void
check_works(struct drv *d)
{
	struct drv_op ops[20];

	drv_copies(ops, 20, 100);
	drv_burst(d, ops, 20, DRV_POLL_STATUS, 0, true);
}

static void
test_vanish_idle(void **state __rte_unused)
{
	enum rte_dma_status_code status[64];
	enum rte_dma_vchan_status vchan;
	int i, ask;
	struct drv d;
	char *log;

	for (ask = 0; ask < 2; ask++) {
		drv_open(&d, NULL);
		check_works(&d);
		drv_inject(&d, "vanish");
		for (i = 0; i < 10; i++)
			assert_int_equal(copy(&d, i), 20 + i);
		drv_run(&d);
		drv_log_begin();
		if (ask) {
			assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
			assert_int_equal(vchan, RTE_DMA_VCHAN_HALTED_ERROR);
			assert_int_equal(rte_dma_completed_status(d.id, 0, 64, NULL, status), 10);
		} else {
			assert_int_equal(poll_long(&d, status), 10);
		}
		log = drv_log_end();
		assert_non_null(strstr(log, "the device is gone: 10 operations fail"));
		free(log);
		for (i = 0; i < 10; i++)
			assert_int_equal(status[i], RTE_DMA_STATUS_BUS_ERROR);
		check_lost(&d);
		assert_int_equal(drv_stats(&d).errors, 10);
		/* Stop is no trouble, start is refused. */
		assert_int_equal(rte_dma_stop(d.id), 0);
		assert_int_equal(copy(&d, 0), -EINVAL);
		assert_int_equal(rte_dma_start(d.id), -ENODEV);
		drv_close(&d);
	}
}

/* Those that were done before are done. */
static void
test_vanish_busy(void **state __rte_unused)
{
	enum rte_dma_status_code status[64];
	unsigned int at, i, mode;
	bool has_error;
	char text[32];
	uint16_t idx;
	struct drv d;

	for (at = 0; at < 20; at++) {
		mode = at % 2;
		drv_open(&d, NULL);
		snprintf(text, sizeof(text), "vanish:at=%u", at);
		drv_inject(&d, text);
		for (i = 0; i < 20; i++)
			assert_int_equal(copy(&d, i), i);
		/* Not submitted: fails as well. */
		assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 1, 0), 20);
		assert_int_equal(drv_run(&d), at);
		assert_int_equal(rte_dma_completed(d.id, 0, 64, &idx, &has_error), at);
		assert_int_equal(idx, (uint16_t)(at - 1));
		assert_false(has_error);
		if (mode == 0) {
			assert_int_equal(poll_long(&d, status), 21 - at);
		} else {
			bound_begin();
			while (!has_error) {
				assert_int_equal(rte_dma_completed(d.id, 0, 64, &idx, &has_error), 0);
				bound_end();
			}
			for (i = 0; i < 21 - at; i++)
				assert_int_equal(rte_dma_completed_status(d.id, 0, 1, &idx, status + i), 1);
			assert_int_equal(idx, 20);
		}
		for (i = 0; i < 21 - at; i++)
			assert_int_equal(status[i], RTE_DMA_STATUS_BUS_ERROR);
		assert_memory_equal(drv_dst, drv_src, at * 64);
		check_lost(&d);
		drv_close(&d);
	}
}

static void
test_vanish_start_stop(void **state __rte_unused)
{
	struct drv d;
	char *log;

	drv_open(&d, NULL);
	assert_int_equal(rte_dma_stop(d.id), 0);
	drv_inject(&d, "vanish");
	drv_log_begin();
	assert_int_equal(rte_dma_start(d.id), -ENODEV);
	log = drv_log_end();
	assert_non_null(strstr(log, "device is gone"));
	free(log);
	drv_close(&d);

	drv_open(&d, NULL);
	assert_int_equal(copy(&d, 0), 0);
	drv_inject(&d, "vanish");
	bound_begin();
	assert_int_equal(rte_dma_stop(d.id), 0);
	bound_end();
	assert_int_equal(rte_dma_close(d.id), 0);
	assert_int_equal(rte_vdev_uninit(d.name), 0);

	/* Gone while it is started, and removed as such. */
	drv_open(&d, NULL);
	assert_int_equal(copy(&d, 0), 0);
	drv_inject(&d, "vanish");
	drv_close(&d);
}

static void
test_reset_at_stop(void **state __rte_unused)
{
	struct drv d;
	char *log;

	drv_open(&d, NULL);
	check_works(&d);
	drv_inject(&d, "reset");
	drv_log_begin();
	bound_begin();
	assert_int_equal(rte_dma_stop(d.id), 0); /* it cannot master the bus any more, which will do */
	bound_end();
	log = drv_log_end();
	assert_non_null(strstr(log, "does not come out of reset"));
	free(log);
	assert_true(copy(&d, 0) < 0);
	/* Once more, when it feels better. */
	assert_int_equal(rte_dma_start(d.id), -EIO);
	drv_inject(&d, "none");
	assert_int_equal(rte_dma_start(d.id), 0);
	check_works(&d);

	/* At start. */
	assert_int_equal(rte_dma_stop(d.id), 0);
	drv_inject(&d, "reset");
	bound_begin();
	assert_int_equal(rte_dma_start(d.id), -EIO);
	bound_end();
	assert_true(copy(&d, 0) < 0);
	drv_inject(&d, "none");
	assert_int_equal(rte_dma_start(d.id), 0);
	check_works(&d);

	/* Removed while it is in that state. */
	assert_true(copy(&d, 0) >= 0);
	drv_inject(&d, "reset");
	bound_begin();
	drv_close(&d);
	bound_end();
}

static void
test_probe_fails(void **state __rte_unused)
{
	bound_begin();
	assert_int_equal(rte_vdev_init("dma_cbdma_x", "step=1,inject=reset"), -EIO);
	assert_int_equal(rte_vdev_init("dma_cbdma_x", "step=1,inject=vanish"), -ENODEV);
	bound_end();
	assert_int_equal(rte_dma_get_dev_id_by_name("dma_cbdma_x"), -EINVAL);
	/* The name is free for one that works. */
	assert_int_equal(rte_vdev_init("dma_cbdma_x", "step=1"), 0);
	assert_int_equal(rte_vdev_uninit("dma_cbdma_x"), 0);
}

/* After an error the channel does not recover: lost, and back with stop and start. */
static void
recovery_fails(bool quiet, bool arm)
{
	enum rte_dma_status_code status[64];
	enum rte_dma_vchan_status vchan;
	struct drv d;
	int i, bad;

	for (bad = 0; bad < 10; bad++) {
		drv_open(&d, &(struct drv_conf){.own_bus = true, .quiet = quiet});
		for (i = 0; i < 10; i++)
			assert_int_equal(rte_dma_copy(d.id, 0,
					i == bad ? DRV_BAD_IOVA : drv_iova(drv_src + i * 64),
					drv_iova(drv_dst + i * 64), 64, RTE_DMA_OP_FLAG_SUBMIT), i);
		assert_int_equal(drv_run(&d), bad);
		if (arm)
			d.dropped_write = CBDMA_CH(CBDMA_CHAINADDR);
		else
			drv_inject(&d, "reset");
		assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
		bound_begin();
		assert_int_equal(rte_dma_completed_status(d.id, 0, 64, NULL, status), 10);
		bound_end();
		for (i = 0; i < 10; i++)
			assert_int_equal(status[i], i < bad ? RTE_DMA_STATUS_SUCCESSFUL :
							      RTE_DMA_STATUS_BUS_ERROR);
		assert_memory_equal(drv_dst, drv_src, bad * 64);
		assert_int_equal(drv_stats(&d).errors, 10 - bad);
		check_lost(&d);
		if (arm)
			d.dropped_write = 0;
		else
			drv_inject(&d, "none");
		assert_int_equal(rte_dma_stop(d.id), 0);
		assert_int_equal(rte_dma_start(d.id), 0);
		check_works(&d);
		drv_close(&d);
	}
}

static void
test_recovery_fails(void **state __rte_unused)
{
	recovery_fails(false, false);
	recovery_fails(true, false);
	recovery_fails(false, true);
	recovery_fails(true, true);
}

/* Gone in the very moment that an error is seen to. */
static void
test_vanish_in_recovery(void **state __rte_unused)
{
	enum rte_dma_status_code status[8];
	struct drv d;
	int i;

	drv_open(&d, NULL);
	for (i = 0; i < 5; i++)
		assert_int_equal(rte_dma_copy(d.id, 0, i == 3 ? DRV_BAD_IOVA : drv_iova(drv_src),
				drv_iova(drv_dst), 64, RTE_DMA_OP_FLAG_SUBMIT), i);
	drv_run(&d);
	drv_inject(&d, "vanish");
	assert_int_equal(rte_dma_completed_status(d.id, 0, 8, NULL, status), 5);
	for (i = 0; i < 5; i++)
		assert_int_equal(status[i], i < 3 ? RTE_DMA_STATUS_SUCCESSFUL : RTE_DMA_STATUS_BUS_ERROR);
	check_lost(&d);
	drv_close(&d);
}

/* Silent mode: nobody polls. */

/* Retry while the ring is full, running the device. @return whether it was taken. */
static bool
insist(struct drv *d, int i, bool bad, unsigned int *full)
{
	const uint64_t flags = (drv_random() % 16 == 0 ? RTE_DMA_OP_FLAG_SUBMIT : 0) |
			       (drv_random() % 16 == 0 ? RTE_DMA_OP_FLAG_FENCE : 0);
	rte_iova_t src = bad ? DRV_BAD_IOVA : drv_iova(drv_src + i * 4), dst = drv_iova(drv_dst + i * 4);
	struct rte_dma_sge from[2] = {{src, 1}, {drv_iova(drv_src + i * 4 + 1), 3}};
	struct rte_dma_sge to[2] = {{dst, 2}, {dst + 2, 2}};
	unsigned int tries;
	int ret;

	for (tries = 0; tries < 40000; tries++) {
		ret = i % 3 == 0 ? rte_dma_copy_sg(d->id, 0, from, to, 2, 2, flags) :
				   rte_dma_copy(d->id, 0, src, dst, 4, flags);
		if (ret >= 0) {
			assert_int_equal(ret, i & 0xffff);
			return true;
		}
		assert_int_equal(ret, -ENOSPC);
		(*full)++;
		assert_int_equal(rte_dma_submit(d->id, 0), 0);
		drv_run(d);
	}
	return false;
}

static void
silent(const struct drv_conf *conf, int n, int bad_each)
{
	enum rte_dma_vchan_status vchan = RTE_DMA_VCHAN_ACTIVE;
	struct rte_dma_stats stats;
	unsigned int full = 0, errors = 0;
	struct drv d;
	int i;

	drv_open(&d, conf);
	for (i = 0; i < n; i++) {
		bool bad = bad_each != 0 && i % bad_each == bad_each / 2;

		errors += bad;
		assert_true(insist(&d, i, bad, &full));
	}
	assert_true(full > 0);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	for (i = 0; i < 100 && vchan != RTE_DMA_VCHAN_IDLE; i++) {
		drv_run(&d);
		assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
	}
	assert_int_equal(vchan, RTE_DMA_VCHAN_IDLE);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), DRV_CAPACITY);
	for (i = 0; i < n; i++) {
		if (bad_each == 0 || i % bad_each != bad_each / 2)
			assert_memory_equal(drv_dst + i * 4, drv_src + i * 4, 4);
	}
	stats = drv_stats(&d);
	assert_int_equal(stats.submitted, n);
	assert_int_equal(stats.completed, n);
	assert_int_equal(stats.errors, errors);
	drv_close(&d);
}

static void
test_silent(void **state __rte_unused)
{
	silent(&(struct drv_conf){.silent = true}, 150000, 0);
	silent(&(struct drv_conf){.silent = true}, 150000, 97);
	silent(&(struct drv_conf){.silent = true, .reorder = true}, 20000, 3);
	silent(&(struct drv_conf){.silent = true, .quiet = true, .version = CBDMA_VER_3_2}, 20000, 1000);
}

static void
test_silent_lost(void **state __rte_unused)
{
	enum rte_dma_vchan_status vchan;
	int i, ret = 0;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.silent = true});
	drv_inject(&d, "vanish:at=10");
	for (i = 0; i < 10000000 && ret != -ENODEV; i++) {
		ret = copy(&d, 0);
		assert_true(ret >= 0 || ret == -ENOSPC || ret == -ENODEV);
		drv_run(&d);
	}
	assert_int_equal(ret, -ENODEV);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
	assert_int_equal(vchan, RTE_DMA_VCHAN_HALTED_ERROR);
	drv_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vanish_idle),
		cmocka_unit_test(test_vanish_busy),
		cmocka_unit_test(test_vanish_start_stop),
		cmocka_unit_test(test_reset_at_stop),
		cmocka_unit_test(test_probe_fails),
		cmocka_unit_test(test_recovery_fails),
		cmocka_unit_test(test_vanish_in_recovery),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_silent_lost),
	};

	return cmocka_run_group_tests_name("driver: lost devices, silent mode", tests, drv_group_setup,
			drv_group_teardown);
}
