/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* A device that does not get on, or cannot be reached: nothing is lost, nothing is reported as failed
 * that may be written to yet, and nothing waits for ever.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <rte_cycles.h>
#include <rte_telemetry.h>

#include "test_driver.h"

#define BURST 16
#define STALL_MS 20

static uint64_t
now_ms(void)
{
	return rte_get_timer_cycles() * 1000 / rte_get_timer_hz();
}

static int
copy(struct drv *d, unsigned int i, uint64_t flags)
{
	return rte_dma_copy(d->id, 0, drv_iova(drv_src + i * 64), drv_iova(drv_dst + i * 64), 64, flags);
}

static void
enqueue(struct drv *d, unsigned int n)
{
	unsigned int i;

	memset(drv_dst, DRV_GUARD, n * 64);
	for (i = 0; i < n; i++)
		assert_true(copy(d, i, i == n - 1 ? RTE_DMA_OP_FLAG_SUBMIT : 0) >= 0);
}

/* Poll and run the device until n are reported. @return how many of them failed. */
static unsigned int
collect(struct drv *d, unsigned int n, bool ask_status)
{
	const uint64_t end = now_ms() + 20000;
	enum rte_dma_status_code status[64];
	enum rte_dma_vchan_status vchan;
	unsigned int failed = 0;
	uint16_t count, i;

	while (n > 0) {
		drv_run(d);
		if (ask_status)
			assert_int_equal(rte_dma_vchan_status(d->id, 0, &vchan), 0);
		count = rte_dma_completed_status(d->id, 0, 64, NULL, status);
		assert_true(count <= n);
		for (i = 0; i < count; i++)
			failed += status[i] != RTE_DMA_STATUS_SUCCESSFUL;
		n -= count;
		assert_true(now_ms() < end);
	}
	return failed;
}

static uint16_t
poll_ms(struct drv *d, unsigned int ms)
{
	const uint64_t end = now_ms() + ms;
	enum rte_dma_status_code status[64];
	uint16_t n = 0;

	while (now_ms() <= end)
		n += rte_dma_completed_status(d->id, 0, 64, NULL, status);
	return n;
}

/* What stops a device without a fault of a descriptor's, at each place of a burst: all of it is done
 * and reported as done, in bounded time, whether or not somebody asks.
 */
static void
test_no_progress(void **state __rte_unused)
{
	static const char *const faults[] = {"lost-completion", "lost-doorbell", "suspend", "halt",
		"fail:cause=command", "fail:cause=unaffiliated", "fail:cause=completion", "stall"};
	unsigned int f, at, ask;
	char text[64];
	struct drv d;

	for (f = 0; f < RTE_DIM(faults); f++) {
		drv_open(&d, &(struct drv_conf){.stall_ms = STALL_MS,
			.version = f % 2 ? CBDMA_VER_3_4 : CBDMA_VER_3_2, .quiet = f % 2 == 0});
		for (at = 0; at < BURST; at += strcmp(faults[f], "stall") == 0 ? 5 : 1) {
			for (ask = 0; ask < 2; ask++) {
				enqueue(&d, BURST);
				snprintf(text, sizeof(text), "%s:at=%u", faults[f], at);
				if (strchr(faults[f], ':') != NULL)
					snprintf(text, sizeof(text), "fail:at=%u:%s", at, faults[f] + 5);
				drv_inject(&d, text);
				assert_int_equal(collect(&d, BURST, ask), 0);
				assert_memory_equal(drv_dst, drv_src, BURST * 64);
			}
		}
		assert_int_equal(drv_stats(&d).errors, 0);
		/* It has struck: there was something to recover from. */
		assert_true(d.dev->replays + d.dev->adopted + d.dev->rung_again > 0);
		assert_int_equal(d.dev->lost, 0);
		drv_close(&d);
	}
}

/* The same after polls have seen some descriptors of an operation done, and not all. */
static void
test_trouble_within_operation(void **state __rte_unused)
{
	static const char *const faults[] = {"lost-completion", "suspend", "halt", "stall",
		"fail:cause=command", "vanish"};
	struct rte_dma_sge from[8], to[8];
	unsigned int f, done, silent, i, failed;
	uint64_t end;
	struct drv d;

	for (i = 0; i < 8; i++) {
		from[i] = (struct rte_dma_sge){drv_iova(drv_src + i * 64), 64};
		to[i] = (struct rte_dma_sge){drv_iova(drv_dst + i * 64), 64};
	}
	for (f = 0; f < RTE_DIM(faults); f++) {
		for (silent = 0; silent < 2; silent++) {
			for (done = 0; done < 8; done += 3) {
				drv_open(&d, &(struct drv_conf){.stall_ms = STALL_MS,
					.silent = silent});
				memset(drv_dst, DRV_GUARD, 8 * 64);
				assert_int_equal(rte_dma_copy_sg(d.id, 0, from, to, 8, 8,
					RTE_DMA_OP_FLAG_SUBMIT), 0);
				drv_step(&d, done);
				if (!silent)
					assert_int_equal(poll_ms(&d, 3), 0);
				for (i = 0; silent && i < 300; i++) {
					assert_true(rte_dma_burst_capacity(d.id, 0) < 255);
					rte_delay_us(10);
				}
				drv_inject(&d, faults[f]);
				if (silent) {
					for (end = now_ms() + 20000; drv_stats(&d).completed == 0;) {
						drv_run(&d);
						rte_dma_burst_capacity(d.id, 0);
						assert_true(now_ms() < end);
					}
					failed = drv_stats(&d).errors;
				} else {
					failed = collect(&d, 1, false);
				}
				assert_int_equal(failed, f == 5);
				if (failed == 0)
					assert_memory_equal(drv_dst, drv_src, 8 * 64);
				drv_close(&d);
			}
		}
	}
}

/* Between operations of several descriptors, in the middle of one, around the end of the ring, with
 * some of it not submitted, and real errors besides.
 */
static void
test_random_trouble(void **state __rte_unused)
{
	static const char *const faults[] = {"lost-completion:at=%u", "lost-doorbell:at=%u",
		"suspend:at=%u", "halt:at=%u", "fail:at=%u:cause=command"};
	struct drv_op ops[BURST];
	unsigned int round, i;
	char text[64];
	struct drv d;

	drv_open(&d, &(struct drv_conf){.own_bus = true, .xfercap = 12});
	for (round = 0; round < 3000; round++) {
		for (i = 0; i < BURST; i++) {
			ops[i] = (struct drv_op){.kind = drv_random() % 3, .segs = 1 + drv_random() % 5};
			ops[i].len = ops[i].segs * (1 + drv_random() % 3000);
			ops[i].flags = drv_random() % 3 == 0 ? RTE_DMA_OP_FLAG_SUBMIT : 0;
			ops[i].flags |= drv_random() % 4 == 0 ? RTE_DMA_OP_FLAG_FENCE : 0;
			if (drv_random() % 16 == 0) {
				ops[i].bad_dst = true;
				ops[i].status = RTE_DMA_STATUS_INVALID_DST_ADDR;
			}
		}
		snprintf(text, sizeof(text), faults[drv_random() % RTE_DIM(faults)],
			drv_random() % (BURST * 2));
		drv_inject(&d, text);
		drv_burst(&d, ops, BURST, drv_random() % DRV_POLL_MODES, drv_random() % 8, true);
	}
	assert_true(d.dev->replays > 100 && d.dev->adopted > 100 && d.dev->rung_again > 100);
	drv_close(&d);
}

/* One that stalls whatever is done: given up after a few resets, and then it is still. */
static void
test_stalls_for_good(void **state __rte_unused)
{
	enum rte_dma_status_code status[BURST];
	uint16_t n = 0, i;
	uint64_t end;
	struct drv d;
	char *log;

	drv_open(&d, &(struct drv_conf){.stall_ms = STALL_MS});
	enqueue(&d, BURST);
	drv_step(&d, 3);
	drv_log_begin();
	end = now_ms() + 20000;
	while (n < BURST && now_ms() < end) {
		drv_inject(&d, "stall");
		n += rte_dma_completed_status(d.id, 0, BURST, NULL, status + n);
	}
	log = drv_log_end();
	assert_non_null(strstr(log, "no progress: 13 operations fail"));
	free(log);
	assert_int_equal(n, BURST);
	for (i = 0; i < n; i++)
		assert_int_equal(status[i], i < 3 ? RTE_DMA_STATUS_SUCCESSFUL :
						    RTE_DMA_STATUS_BUS_ERROR);
	assert_int_equal(copy(&d, 0, 0), -ENODEV);
	assert_int_equal(rte_dma_submit(d.id, 0), -ENODEV);
	drv_inject(&d, "none");
	memset(drv_dst, DRV_GUARD, 64 * BURST);
	drv_run(&d);
	for (i = 0; i < BURST; i++)
		assert_int_equal(drv_dst[i * 64], DRV_GUARD);
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_equal(rte_dma_start(d.id), 0);
	enqueue(&d, BURST);
	assert_int_equal(collect(&d, BURST, false), 0);
	drv_close(&d);
}

/* A long operation gets on without being done. */
static void
test_long_operation(void **state __rte_unused)
{
	const unsigned int stall_ms = 1500; /* more than this thread waits for its CPU */
	const uint64_t end = now_ms() + 2 * stall_ms;
	unsigned int i;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.stall_ms = stall_ms, .xfercap = 12});
	assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 200 * 4096,
		RTE_DMA_OP_FLAG_SUBMIT), 0);
	for (i = 0; i < 190; i++) {
		drv_step(&d, 1);
		assert_int_equal(poll_ms(&d, 20), 0);
	}
	assert_true(now_ms() > end);
	assert_int_equal(collect(&d, 1, false), 0);
	assert_int_equal(d.dev->replays, 0);
	drv_close(&d);
}

/* A device in step mode runs when it is told to, which may be any time. */
static void
test_steps_take_any_time(void **state __rte_unused)
{
	struct drv d;

	drv_open(&d, NULL);
	enqueue(&d, 3);
	assert_int_equal(poll_ms(&d, CBDMA_STALL_MS + 200), 0);
	assert_int_equal(d.dev->replays, 0);
	assert_int_equal(collect(&d, 3, false), 0);
	drv_close(&d);
}

/* No answer says nothing of the device: all waits, and goes on when there is one. */
static void
test_no_answer(void **state __rte_unused)
{
	enum rte_dma_vchan_status vchan;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.stall_ms = STALL_MS});
	enqueue(&d, BURST);
	drv_step(&d, 3);
	d.no_answer = true;
	assert_int_equal(poll_ms(&d, 3 * STALL_MS), 3);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), -ETIMEDOUT);
	assert_int_equal(rte_dma_stop(d.id), -ETIMEDOUT);
	drv_run(&d); /* it does not know that it should have stopped, and is not: it goes on */
	assert_true(copy(&d, BURST, RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	assert_memory_equal(drv_dst, drv_src, BURST * 64);
	d.no_answer = false;
	assert_int_equal(collect(&d, BURST + 1 - 3, false), 0);
	assert_memory_equal(drv_dst, drv_src, (BURST + 1) * 64);
	enqueue(&d, BURST);
	assert_int_equal(collect(&d, BURST, false), 0);
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_equal(rte_dma_start(d.id), 0);
	enqueue(&d, BURST);
	drv_step(&d, 3);
	d.no_answer = true;
	assert_int_equal(poll_ms(&d, 3 * STALL_MS), 3);
	assert_int_equal(collect(&d, BURST - 3, false), 0);
	/* An error waits for an answer, too. */
	drv_inject(&d, "fail:at=2");
	enqueue(&d, BURST);
	drv_run(&d);
	assert_int_equal(poll_ms(&d, STALL_MS), 2);
	d.no_answer = false;
	assert_int_equal(collect(&d, BURST - 2, false), 1);
	drv_close(&d);
}

/* An answer that is lost in the middle of a restart: what was written may have been done. Nothing is
 * run that was not submitted, old descriptors of the ring least of all.
 */
static void
test_restart_unanswered(void **state __rte_unused)
{
	static const uint32_t registers[] = {CBDMA_CH(CBDMA_CHANERR), CBDMA_CH(CBDMA_CHANCMD),
		CBDMA_CH(CBDMA_CHANCMP), CBDMA_CH(CBDMA_CHAINADDR)};
	unsigned int r, i;
	struct drv d;

	for (r = 0; r < RTE_DIM(registers); r++) {
		drv_open(&d, &(struct drv_conf){.stall_ms = STALL_MS});
		for (i = 0; i < 20; i++) { /* descriptors all over the ring */
			enqueue(&d, BURST);
			assert_int_equal(collect(&d, BURST, false), 0);
		}
		enqueue(&d, BURST);
		drv_inject(&d, "fail:at=5");
		drv_run(&d);
		d.unanswered_write = registers[r];
		assert_int_equal(poll_ms(&d, 10), 5);
		memset(drv_dst, DRV_GUARD, BURST * 64);
		drv_run(&d);
		/* Two more are enqueued, one of them is submitted. */
		assert_true(copy(&d, BURST, RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		assert_true(copy(&d, BURST + 1, 0) >= 0);
		memset(drv_dst + BURST * 64, DRV_GUARD, 2 * 64);
		drv_run(&d);
		assert_int_equal(poll_ms(&d, 10), 0);
		for (i = 0; i < BURST + 2; i++)
			assert_int_equal(drv_dst[i * 64], DRV_GUARD);
		d.unanswered_write = 0;
		assert_true(collect(&d, BURST + 1 - 5, true) <= 1);
		assert_memory_equal(drv_dst + 6 * 64, drv_src + 6 * 64, (BURST + 1 - 6) * 64);
		for (i = 0; i < 5; i++)
			assert_int_equal(drv_dst[i * 64], DRV_GUARD);
		assert_int_equal(drv_dst[(BURST + 1) * 64], DRV_GUARD);
		drv_close(&d);
	}
}

/* A stop that is refused has done what it did, though no answer came: the bus is taken away from
 * the device, and with that it would do nothing any more.
 */
static void
test_stop_unanswered(void **state __rte_unused)
{
	struct drv d;

	drv_open(&d, &(struct drv_conf){.stall_ms = STALL_MS});
	enqueue(&d, BURST);
	drv_step(&d, 3);
	d.unanswered_write = CBDMA_CH(CBDMA_CHANCMD);
	d.unanswered_bus_master = true;
	assert_int_equal(rte_dma_stop(d.id), -ETIMEDOUT);
	assert_false(d.bus_master);
	d.unanswered_write = 0;
	d.unanswered_bus_master = false;
	assert_int_equal(collect(&d, BURST, false), 0);
	assert_memory_equal(drv_dst, drv_src, BURST * 64);
	drv_close(&d);
}

/* Given up, and not to be stopped: not lost until it is. */
static void
test_cannot_be_stopped(void **state __rte_unused)
{
	enum rte_dma_vchan_status vchan;
	struct drv d;
	char *log;

	drv_open(&d, &(struct drv_conf){.stall_ms = STALL_MS});
	enqueue(&d, BURST);
	drv_step(&d, 3);
	drv_inject(&d, "mute");
	d.no_bus_master = true;
	drv_log_begin();
	assert_int_equal(poll_ms(&d, 300), 3);
	log = drv_log_end();
	assert_non_null(strstr(log, "cannot be stopped"));
	assert_null(strstr(strstr(log, "cannot be stopped") + 1, "cannot be stopped")); /* once */
	free(log);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
	assert_int_equal(vchan, RTE_DMA_VCHAN_HALTED_ERROR);
	assert_int_equal(copy(&d, 0, RTE_DMA_OP_FLAG_SUBMIT), -ENODEV);
	assert_int_equal(rte_dma_submit(d.id, 0), -ENODEV);
	/* It works on, and what it does is done. */
	assert_int_equal(drv_step(&d, 5), 5);
	assert_int_equal(poll_ms(&d, 300), 5);
	d.no_bus_master = false;
	assert_int_equal(poll_ms(&d, 300), BURST - 8);
	assert_int_equal(drv_stats(&d).errors, BURST - 8);
	assert_memory_equal(drv_dst, drv_src, 8 * 64);
	memset(drv_dst, DRV_GUARD, BURST * 64);
	drv_run(&d);
	assert_int_equal(drv_dst[8 * 64], DRV_GUARD);
	/* Removed in that state: its ring stays. */
	drv_inject(&d, "none");
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_equal(rte_dma_start(d.id), 0);
	enqueue(&d, BURST);
	drv_inject(&d, "mute");
	d.no_bus_master = true;
	drv_log_begin();
	drv_close(&d);
	log = drv_log_end();
	assert_non_null(strstr(log, "its ring is not freed"));
	free(log);
}

/* Losses at random moments under load. What has been reported as failed is used again at once, and no
 * byte of it may change.
 */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define LOSSES 5000
#else
#define LOSSES 100000
#endif
#define ENOUGH	  1000
#define LOSSES_MS 30000 /* where others want the CPUs as well, each loss takes milliseconds */
#define LOSS_OPS  32
#define LOSS_LEN 1024

static void
check_late_writes(const bool *failed)
{
	static uint8_t guard[LOSS_LEN];
	unsigned int i;

	memset(guard, DRV_GUARD, sizeof(guard));
	for (i = 0; i < LOSS_OPS; i++)
		if (failed[i])
			assert_memory_equal(drv_dst + i * LOSS_LEN, guard, LOSS_LEN);
}

static void
test_late_writes(void **state __rte_unused)
{
	enum rte_dma_status_code status[LOSS_OPS];
	unsigned int round, i, n, left, lost = 0, done_before = 0;
	const uint64_t begin = now_ms();
	enum rte_dma_vchan_status vchan;
	bool failed[LOSS_OPS];
	char text[32];
	struct drv d;

	drv_open_args(&d, "");
	rte_log_set_level(cbdma_logtype, RTE_LOG_EMERG);
	for (round = 0; round < LOSSES && (round < ENOUGH || now_ms() - begin < LOSSES_MS); round++) {
		memset(failed, 0, sizeof(failed));
		snprintf(text, sizeof(text), "mute:at=%u", drv_random() % LOSS_OPS);
		drv_inject(&d, text);
		for (i = 0; i < LOSS_OPS; i++)
			assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src + i * LOSS_LEN),
				drv_iova(drv_dst + i * LOSS_LEN), LOSS_LEN,
				i % 16 == 15 ? RTE_DMA_OP_FLAG_SUBMIT : 0) >= 0);
		for (left = LOSS_OPS; left > 0; left -= n) {
			assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
			n = rte_dma_completed_status(d.id, 0, left, NULL, status);
			for (i = 0; i < n; i++) {
				unsigned int op = LOSS_OPS - left + i;

				if (status[i] == RTE_DMA_STATUS_SUCCESSFUL)
					continue;
				failed[op] = true;
				memset(drv_dst + op * LOSS_LEN, DRV_GUARD, LOSS_LEN);
			}
		}
		if (d.dev->trouble == CBDMA_TROUBLE_LOST) {
			lost++;
			assert_int_equal(rte_dma_submit(d.id, 0), -ENODEV);
		} else {
			done_before++;
		}
		if (round % 64 == 0)
			rte_delay_us(200);
		check_late_writes(failed);
		drv_inject(&d, "none");
		assert_int_equal(rte_dma_stop(d.id), 0);
		assert_int_equal(rte_dma_start(d.id), 0);
		check_late_writes(failed);
	}
	rte_log_set_level(cbdma_logtype, RTE_LOG_NOTICE);
	printf("%u losses, %u times all was done before, %" PRIu64 " ms\n", lost, done_before,
		now_ms() - begin);
	assert_true(lost > round / 4);
	drv_close(&d);
}

/* Silent mode with nothing but the submit flag: after an error all others run, whether or not the
 * completion word shows it.
 */
static void
test_silent_submit_flag(void **state __rte_unused)
{
	static const struct drv_conf kinds[] = {{.silent = true},
		{.silent = true, .quiet = true, .version = CBDMA_VER_3_2}};
	unsigned int k, i, full;
	struct drv d;
	int ret;

	for (k = 0; k < RTE_DIM(kinds); k++) {
		drv_open(&d, &kinds[k]);
		memset(drv_dst, DRV_GUARD, 4096 * 64);
		drv_inject(&d, "fail:at=7");
		for (i = 0, full = 0; i < 4096; i++) {
			do {
				ret = copy(&d, i, RTE_DMA_OP_FLAG_SUBMIT);
				drv_run(&d);
				if (ret < 0) {
					assert_int_equal(ret, -ENOSPC);
					rte_delay_us(10);
					assert_true(++full < 1000);
				}
			} while (ret < 0);
		}
		rte_delay_us(1000);
		assert_int_equal(rte_dma_submit(d.id, 0), 0);
		drv_run(&d);
		for (i = 0; i < 4096; i++)
			if (i != 7)
				assert_memory_equal(drv_dst + i * 64, drv_src + i * 64, 64);
		assert_int_equal(drv_dst[7 * 64], DRV_GUARD);
		assert_int_equal(drv_stats(&d).errors, 1);
		drv_close(&d);
	}
}

/* A part that is not taken is not taken the next time either; one that is, with its own limits. */
static void
test_revive(void **state __rte_unused)
{
	enum rte_dma_vchan_status vchan;
	struct drv d;
	int i;

	drv_open(&d, &(struct drv_conf){.own_bus = true});
	assert_int_equal(rte_dma_stop(d.id), 0);
	d.fake_cbver = 0x40;
	d.revive = 1;
	for (i = 0; i < 3; i++) {
		assert_int_equal(rte_dma_start(d.id), -ENOTSUP);
		d.revive = 0;
	}
	d.fake_cbver = CBDMA_VER_3_2;
	assert_int_equal(rte_dma_start(d.id), 0);
	assert_int_equal(d.dev->cbver, CBDMA_VER_3_2);
	enqueue(&d, BURST);
	assert_int_equal(collect(&d, BURST, false), 0);
	assert_int_equal(rte_dma_stop(d.id), 0);
	d.revive = -ENOTCONN;
	assert_int_equal(rte_dma_start(d.id), -ENOTCONN);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
	drv_close(&d);
}

static void
test_no_fill(void **state __rte_unused)
{
	struct rte_dma_info info;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.no_fill = true});
	assert_int_equal(rte_dma_info_get(d.id, &info), 0);
	assert_false(info.dev_capa & RTE_DMA_CAPA_OPS_FILL);
	assert_true(rte_dma_fill(d.id, 0, 1, drv_iova(drv_dst), 8, RTE_DMA_OP_FLAG_SUBMIT) < 0);
	enqueue(&d, BURST);
	assert_int_equal(collect(&d, BURST, false), 0);
	drv_close(&d);
}

/* The device cannot reach memory any more when its ring is freed. */
static struct drv *watched;
static unsigned int freed;

int __real_rte_memzone_free(const struct rte_memzone *mz);
int __wrap_rte_memzone_free(const struct rte_memzone *mz);

int
__wrap_rte_memzone_free(const struct rte_memzone *mz)
{
	if (watched != NULL && mz != NULL) {
		assert_false(watched->bus_master);
		freed++;
	}
	return __real_rte_memzone_free(mz);
}

static void
test_bus_master(void **state __rte_unused)
{
	struct drv d;

	drv_open(&d, &(struct drv_conf){.own_bus = true});
	assert_true(d.bus_master);
	enqueue(&d, BURST);
	watched = &d;
	drv_close(&d);
	watched = NULL;
	assert_int_equal(freed, 2);
}

/* An unplug has nothing to say. */
static void
test_unplug_is_quiet(void **state __rte_unused)
{
	struct drv d;
	char *log;
	int i;

	for (i = 0; i < 3; i++) {
		drv_open(&d, NULL);
		enqueue(&d, BURST);
		if (i > 0)
			assert_int_equal(rte_dma_stop(d.id), 0);
		if (i > 1)
			assert_int_equal(rte_dma_close(d.id), 0);
		drv_log_begin();
		assert_int_equal(rte_vdev_uninit(d.name), 0);
		log = drv_log_end();
		assert_string_equal(log, "");
		free(log);
	}
}

/* A device that takes naps is woken when polls find nothing. */
static void
test_wake(void **state __rte_unused)
{
	struct drv d;

	drv_open(&d, &(struct drv_conf){.own_bus = true});
	assert_int_equal(poll_ms(&d, 2), 0);
	assert_int_equal(d.woken, 0); /* there is no work for it */
	enqueue(&d, 1);
	assert_int_equal(poll_ms(&d, 2), 0);
	assert_int_equal(d.woken, 1);
	assert_int_equal(collect(&d, 1, false), 0);
	drv_close(&d);
}

/* Telemetry runs in a thread of its own, dmadev's too, and devices come and go. */

static struct {
	const char *name;
	telemetry_cb callback;
} commands[8];
static unsigned int nb_commands;

int __wrap_rte_telemetry_register_cmd(const char *cmd, telemetry_cb fn, const char *help);

int
__wrap_rte_telemetry_register_cmd(const char *cmd, telemetry_cb fn, const char *help __rte_unused)
{
	commands[nb_commands].name = cmd;
	commands[nb_commands++].callback = fn;
	return 0;
}

static bool looking;
static unsigned int looks;

static const struct rte_dma_dev *plugged;

static void *
look_by_dmadev(void *arg __rte_unused)
{
	FILE *f = fopen("/dev/null", "w");

	assert_non_null(f);
	while (__atomic_load_n(&looking, __ATOMIC_RELAXED))
		if (cbdma_dump(plugged, f) == 0)
			__atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED);
	fclose(f);
	return NULL;
}

static void *
look(void *arg)
{
	const char *const id = arg;
	struct rte_tel_data *data;
	unsigned int i;

	while (__atomic_load_n(&looking, __ATOMIC_RELAXED)) {
		for (i = 0; i < nb_commands; i++) {
			data = rte_tel_data_alloc();
			if (commands[i].callback(commands[i].name, id, data) == 0)
				__atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED);
			rte_tel_data_free(data);
		}
	}
	return NULL;
}

static void
test_telemetry_and_unplug(void **state __rte_unused)
{
	pthread_t thread[3];
	struct drv d;
	unsigned int i;

	assert_true(nb_commands >= 4);
	/* dmadev has its structure in the same place each time. */
	drv_open(&d, NULL);
	plugged = cbdma_port_of(d.dev)->dmadev;
	drv_close(&d);
	looking = true;
	assert_int_equal(pthread_create(&thread[0], NULL, look, (void *)(uintptr_t)"0"), 0);
	assert_int_equal(pthread_create(&thread[1], NULL, look,
		(void *)(uintptr_t)"dma_cbdma_plug"), 0);
	assert_int_equal(pthread_create(&thread[2], NULL, look_by_dmadev, NULL), 0);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(rte_vdev_init("dma_cbdma_plug", "step=1"), 0);
		assert_int_equal(rte_vdev_uninit("dma_cbdma_plug"), 0);
	}
	__atomic_store_n(&looking, false, __ATOMIC_RELAXED);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	pthread_join(thread[2], NULL);
	assert_true(looks > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_progress),
		cmocka_unit_test(test_trouble_within_operation),
		cmocka_unit_test(test_random_trouble),
		cmocka_unit_test(test_stalls_for_good),
		cmocka_unit_test(test_long_operation),
		cmocka_unit_test(test_steps_take_any_time),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_stop_unanswered),
		cmocka_unit_test(test_restart_unanswered),
		cmocka_unit_test(test_cannot_be_stopped),
		cmocka_unit_test(test_late_writes),
		cmocka_unit_test(test_silent_submit_flag),
		cmocka_unit_test(test_revive),
		cmocka_unit_test(test_no_fill),
		cmocka_unit_test(test_bus_master),
		cmocka_unit_test(test_unplug_is_quiet),
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_telemetry_and_unplug),
	};

	return cmocka_run_group_tests_name("driver: recovery", tests, drv_group_setup,
			drv_group_teardown);
}
