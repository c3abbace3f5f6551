/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The device on the vdev bus: arguments, engines, hotplug, memory from outside, telemetry. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bus_vdev_driver.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include "test_driver.h"

#define BURST 16

static void
test_wrong_arguments(void **state __rte_unused)
{
	static const struct {
		const char *args, *name, *log;
	} wrong[] = {
		{"cpu=abc", "cpu=abc", "a CPU number"},
		{"cpu=-1", "cpu=-1", "a CPU number"},
		{"cpu=", "cpu=", "a CPU number"},
		{"cpu=1x", "cpu=1x", "a CPU number"},
		{"cpu=100000", "CPU", "no engine"},
		{"version=2.0", "version=2.0", "3.0 to 3.4"},
		{"version=3.5", "version=3.5", "3.0 to 3.4"},
		{"version=3", "version=3", "3.0 to 3.4"},
		{"version=3.4.1", "version=3.4.1", "3.0 to 3.4"},
		{"xfercap=11", "xfercap=11", "12"},
		{"xfercap=32", "xfercap=32", "31"},
		{"xfercap=4k", "xfercap=4k", "bytes"},
		{"channels=0", "channels=0", "1 to 4"},
		{"channels=5", "channels=5", "1 to 4"},
		{"idle=yield", "idle=yield", "spin or sleep"},
		{"idle=never", "idle=never", "spin or sleep"},
		{"inject=explode", "inject=explode", "fail, stall, vanish, mute"},
		{"inject=fail:cause=rust", "inject=fail:cause=rust", "cause="},
		{"inject=fail:at=x", "inject=fail:at=x", "at="},
		{"inject=reset:at=1", "inject=reset:at=1", "at="},
		{"step=2", "step=2", "0 or 1"},
		{"iommu=1", "iommu=1", "on, or off"},
		{"iommu=", "iommu=", "on, or off"},
		{"step=1,silent=yes", "silent=yes", "silent=0|1"},
		{"step=1,errors=ignore", "errors=ignore", "errors=report|count"},
		{"errors=", "errors=", "errors=report|count"},
		{"step=1,speed=11", "speed=11", "no such argument"},
		{"step=1,version=3.1,xfercap=99", "xfercap=99", "12"},
	};
	unsigned int i;
	char *log;

	for (i = 0; i < RTE_DIM(wrong); i++) {
		drv_log_begin();
		assert_int_equal(rte_vdev_init("dma_cbdma_wrong", wrong[i].args), -EINVAL);
		log = drv_log_end();
		if (strstr(log, "dma_cbdma_wrong") == NULL || strstr(log, wrong[i].name) == NULL ||
				strstr(log, wrong[i].log) == NULL)
			fail_msg("%s: logged \"%s\"", wrong[i].args, log);
		free(log);
		assert_int_equal(rte_dma_get_dev_id_by_name("dma_cbdma_wrong"), -EINVAL);
	}
}

static void
test_right_arguments(void **state __rte_unused)
{
	static const char *const right[] = {"step=1", "step=1,version=3.0,xfercap=12,channels=4,silent=0",
		"step=1,idle=spin,inject=none", "step=1,xfercap=31,version=3.4,channels=1",
		"idle=sleep", "step=0", "iommu=off,errors=report"};
	struct drv_op ops[BURST];
	struct rte_dma_info info;
	unsigned int i;
	struct drv d;

	for (i = 0; i < RTE_DIM(right); i++) {
		drv_open_args(&d, right[i]);
		assert_int_equal(rte_dma_info_get(d.id, &info), 0);
		assert_int_equal(!!(info.dev_capa & RTE_DMA_CAPA_SILENT), i != 1);
		assert_int_equal(d.dev->max_len, i == 1 ? 4096 : i == 3 ? 1u << 31 : 1u << 20);
		drv_copies(ops, BURST, 500);
		drv_burst(&d, ops, BURST, DRV_POLL_STATUS, 0, true);
		drv_close(&d);
	}
}

static void
test_inject(void **state __rte_unused)
{
	struct drv_op ops[BURST];
	struct drv d;
	char *log;
	int id;

	/* As an argument. */
	drv_open_args(&d, "step=1,inject=fail:at=3:cause=write");
	drv_copies(ops, BURST, 64);
	ops[3].status = RTE_DMA_STATUS_BUS_WRITE_ERROR;
	drv_burst(&d, ops, BURST, DRV_POLL_STATUS, 0, true);
	/* Later, and taken back. */
	assert_int_equal(rte_pmd_cbdma_inject(d.id, "fail:at=5"), 0);
	assert_int_equal(rte_pmd_cbdma_inject(d.id, "none"), 0);
	drv_copies(ops, BURST, 64);
	drv_burst(&d, ops, BURST, DRV_POLL_STATUS, 0, true);

	drv_log_begin();
	assert_int_equal(rte_pmd_cbdma_inject(d.id, "fire"), -EINVAL);
	assert_int_equal(rte_pmd_cbdma_inject(d.id, NULL), -EINVAL);
	log = drv_log_end();
	assert_non_null(strstr(log, "fire"));
	free(log);
	assert_int_equal(rte_pmd_cbdma_inject(d.id + 1, "none"), -ENODEV);
	assert_int_equal(rte_pmd_cbdma_inject(-1, "none"), -ENODEV);
	assert_int_equal(rte_pmd_cbdma_step(d.id + 1, 1), -ENODEV);
	id = d.id;
	drv_close(&d);
	assert_int_equal(rte_pmd_cbdma_inject(id, "none"), -ENODEV);
	assert_int_equal(rte_pmd_cbdma_step(id, 1), -ENODEV);
}

static void
random_burst(struct drv *d)
{
	struct drv_op ops[BURST];
	unsigned int i;

	for (i = 0; i < BURST; i++) {
		ops[i] = (struct drv_op){.kind = drv_random() % 3, .segs = 4,
			.len = 4 * (1 + drv_random() % 4000),
			.flags = drv_random() % 4 == 0 ? RTE_DMA_OP_FLAG_SUBMIT : 0};
		ops[i].flags |= drv_random() % 4 == 0 ? RTE_DMA_OP_FLAG_FENCE : 0;
		if (drv_random() % 20 == 0) {
			ops[i].bad_dst = true;
			ops[i].status = RTE_DMA_STATUS_INVALID_DST_ADDR;
		}
	}
	drv_burst(d, ops, BURST, drv_random() % DRV_POLL_MODES, 0, drv_random() % 2);
}

/* The model in a thread of its own. */
static void
test_engine(void **state __rte_unused)
{
	static const char *const args[] = {"", "idle=spin", "xfercap=12", "idle=sleep,version=3.0"};
	unsigned int i, j;
	struct drv d;

	for (i = 0; i < RTE_DIM(args); i++) {
		drv_open_args(&d, args[i]);
		for (j = 0; j < 100; j++) {
			random_burst(&d);
			if (j % 20 == 19) {
				assert_int_equal(rte_dma_stop(d.id), 0);
				drv_start(d.id, 64 << (j % 5), false);
			}
		}
		drv_close(&d);
	}
}

static int
first_cpu(void)
{
	cpu_set_t cpus;
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	return cpu;
}

/* Two devices served by one thread; one is taken away and the other goes on. */
static void
test_shared_engine(void **state __rte_unused)
{
	struct drv d[3];
	char args[32];
	unsigned int i, j;

	snprintf(args, sizeof(args), "cpu=%d", first_cpu());
	for (i = 0; i < 3; i++)
		drv_open_args(&d[i], args);
	for (j = 0; j < 50; j++)
		for (i = 0; i < 3; i++)
			random_burst(&d[i]);
	/* Work for all at once. */
	for (j = 0; j < 100; j++)
		for (i = 0; i < 3; i++)
			assert_true(rte_dma_copy(d[i].id, 0, drv_iova(drv_src + i * DRV_STRIDE),
					drv_iova(drv_dst + i * DRV_STRIDE), DRV_STRIDE,
					RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	drv_close(&d[1]);
	for (i = 0; i < 3; i += 2) {
		for (j = 0; j < 100;) {
			j += rte_dma_completed(d[i].id, 0, 100, NULL, NULL);
			drv_step(&d[i], 1);
		}
		assert_memory_equal(drv_dst + i * DRV_STRIDE, drv_src + i * DRV_STRIDE, DRV_STRIDE);
	}
	drv_open_args(&d[1], args);
	for (i = 0; i < 3; i++)
		random_burst(&d[i]);
	for (i = 0; i < 3; i++)
		drv_close(&d[i]);
}

/* When a device that is at work has been stopped or removed, it does not touch memory any more. */
static void
test_remove_at_work(void **state __rte_unused)
{
	const uint32_t len = 1 << 20;
	unsigned int i, j, sum;
	struct drv d;
	int how;

	for (i = 0; i < 60; i++) {
		how = i % 3;
		drv_open_args(&d, "");
		for (j = 0; j < 50; j++)
			assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), len,
					RTE_DMA_OP_FLAG_SUBMIT), j);
		rte_delay_us_sleep(i * 10);
		if (how == 0)
			assert_int_equal(rte_dma_stop(d.id), 0);
		else if (how == 1)
			assert_int_equal(rte_vdev_uninit(d.name), 0);
		else
			assert_int_equal(rte_eal_hotplug_remove("vdev", d.name), 0);
		memset(drv_dst, DRV_GUARD, len);
		rte_delay_us_sleep(500);
		for (j = 0, sum = 0; j < len; j++)
			sum += drv_dst[j] != DRV_GUARD;
		assert_int_equal(sum, 0);
		if (how == 0)
			drv_close(&d);
		assert_int_equal(rte_dma_get_dev_id_by_name(d.name), -EINVAL);
	}
}

static void
test_hotplug(void **state __rte_unused)
{
	int i, id;

	for (i = 0; i < 20; i++) {
		assert_int_equal(rte_eal_hotplug_add("vdev", "dma_cbdma_hot", "step=1"), 0);
		id = rte_dma_get_dev_id_by_name("dma_cbdma_hot");
		assert_true(id >= 0);
		drv_start(id, 1024, false);
		if (i % 2 == 0) {
			assert_int_equal(rte_dma_stop(id), 0);
			assert_int_equal(rte_dma_close(id), 0);
		}
		assert_int_equal(rte_eal_hotplug_remove("vdev", "dma_cbdma_hot"), 0);
		assert_int_equal(rte_dma_get_dev_id_by_name("dma_cbdma_hot"), -EINVAL);
	}
}

static struct rte_device *
find_device(const char *name)
{
	struct rte_dev_iterator it;
	struct rte_device *dev;

	RTE_DEV_FOREACH(dev, "bus=vdev", &it)
		if (strcmp(dev->name, name) == 0)
			return dev;
	return NULL;
}

/* Memory that is not DPDK's: reached while it is mapped, a fault before and after. */
static void
test_dma_map(void **state __rte_unused)
{
	const size_t size = 8 * 4096;
	struct rte_device *dev;
	uint8_t *mem;
	struct drv d;
	int mapped;

	drv_open_args(&d, "step=1,iommu=on");
	dev = find_device(d.name);
	assert_non_null(dev);
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	assert_int_equal(rte_extmem_register(mem, size, NULL, 0, 4096), 0);

	for (mapped = 0; mapped < 3; mapped++) {
		enum rte_dma_status_code status[4], expected;

		if (mapped == 1) {
			assert_int_equal(rte_dev_dma_map(dev, mem, drv_iova(mem), size), 0);
			assert_true(rte_dev_dma_map(dev, mem, drv_iova(mem), size) < 0);
			assert_int_equal(rte_errno, EEXIST);
		} else if (mapped == 2) {
			assert_int_equal(rte_dev_dma_unmap(dev, mem, drv_iova(mem), size), 0);
			assert_true(rte_dev_dma_unmap(dev, mem, drv_iova(mem), size) < 0);
		}
		memset(mem, 0xa5, size);
		memset(drv_dst, DRV_GUARD, 4096);
		assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(mem + 5000), 3000, 0) >= 0);
		assert_true(rte_dma_copy(d.id, 0, drv_iova(mem + 5000), drv_iova(drv_dst), 3000,
				RTE_DMA_OP_FLAG_FENCE) >= 0);
		assert_true(rte_dma_fill(d.id, 0, 7, drv_iova(mem), 8, RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		drv_run(&d);
		assert_int_equal(rte_dma_completed_status(d.id, 0, 4, NULL, status), mapped == 1 ? 3 : 1);
		if (mapped != 1) {
			drv_run(&d);
			assert_int_equal(rte_dma_completed_status(d.id, 0, 1, NULL, status + 1), 1);
			drv_run(&d);
			assert_int_equal(rte_dma_completed_status(d.id, 0, 1, NULL, status + 2), 1);
		}
		expected = mapped == 1 ? RTE_DMA_STATUS_SUCCESSFUL : RTE_DMA_STATUS_INVALID_DST_ADDR;
		assert_int_equal(status[0], expected);
		assert_int_equal(status[2], expected);
		if (mapped == 1) {
			assert_memory_equal(drv_dst, drv_src, 3000);
			assert_int_equal(mem[0], 7);
		} else {
			assert_int_equal(status[1], RTE_DMA_STATUS_INVALID_SRC_ADDR);
			assert_int_equal(drv_dst[0], DRV_GUARD);
			assert_int_equal(mem[5000], 0xa5);
			assert_int_equal(mem[0], 0xa5);
		}
	}
	assert_int_equal(rte_extmem_unregister(mem, size), 0);
	munmap(mem, size);
	drv_close(&d);
}

/* An operation that begins in mapped memory and ends outside of it fails as a whole. */
static void
test_dma_map_edge(void **state __rte_unused)
{
	struct drv_op op = {.kind = DRV_COPY, .len = 64};
	enum rte_dma_status_code status[1];
	struct rte_device *dev;
	struct drv d;
	uint8_t *mem;

	drv_open_args(&d, "step=1,iommu=on");
	dev = find_device(d.name);
	mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	assert_int_equal(rte_extmem_register(mem, 8192, NULL, 0, 4096), 0);
	assert_int_equal(rte_dev_dma_map(dev, mem, drv_iova(mem), 4096), 0);
	memset(mem, 0, 8192);
	assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(mem + 4000), 97,
			RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	drv_run(&d);
	assert_int_equal(rte_dma_completed_status(d.id, 0, 1, NULL, status), 1);
	assert_int_equal(status[0], RTE_DMA_STATUS_INVALID_DST_ADDR);
	assert_int_equal(mem[4000], 0);
	assert_true(rte_dma_copy(d.id, 0, drv_iova(mem + 4000), drv_iova(drv_dst), 97,
			RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	drv_run(&d);
	assert_int_equal(rte_dma_completed_status(d.id, 0, 1, NULL, status), 1);
	assert_int_equal(status[0], RTE_DMA_STATUS_INVALID_SRC_ADDR);
	/* The device removed while it has a mapping: gone with it. */
	drv_burst(&d, &op, 1, DRV_POLL_STATUS, 0, false);
	drv_close(&d);
	assert_int_equal(rte_extmem_unregister(mem, 8192), 0);
	munmap(mem, 8192);
}

/* Shared virtual addressing */

static enum rte_dma_status_code
copy_status(struct drv *d, const void *src, void *dst, uint32_t len)
{
	enum rte_dma_status_code status;

	assert_true(rte_dma_copy(d->id, 0, (uintptr_t)src, (uintptr_t)dst, len,
			RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	while (rte_dma_completed_status(d->id, 0, 1, NULL, &status) == 0)
		drv_run(d);
	return status;
}

/* errors=count: an application that never asks for a status goes on, at each kind of failure. */
static void
test_errors_counted(void **state __rte_unused)
{
	struct drv_op ops[BURST];
	struct rte_dma_stats stats;
	struct rte_dma_info info;
	unsigned int i, round;
	bool has_error = false;
	uint16_t last, n;
	struct drv d;
	char *log;

	drv_open_args(&d, "step=1,errors=count");
	assert_int_equal(rte_dma_info_get(d.id, &info), 0);
	assert_false(info.dev_capa & RTE_DMA_CAPA_HANDLES_ERRORS);
	drv_log_begin();
	for (round = 0; round < 1u << 6; round++) {
		memset(drv_dst, DRV_GUARD, BURST * DRV_STRIDE);
		drv_copies(ops, BURST, 1000);
		for (i = 0; i < 6; i++)
			ops[i * 3].bad_src = round >> i & 1;
		for (i = 0; i < BURST; i++)
			assert_true(drv_enqueue(&d, i, &ops[i]) >= 0);
		assert_int_equal(rte_dma_submit(d.id, 0), 0);
		for (n = 0; n < BURST;) {
			drv_run(&d);
			n += rte_dma_completed(d.id, 0, 1 + drv_random() % BURST, &last, &has_error);
			assert_int_equal(last, (uint16_t)(round * BURST + n - 1));
			assert_true(n <= BURST);
		}
		assert_false(has_error);
		for (i = 0; i < BURST; i++) {
			if (ops[i].bad_src)
				assert_int_equal(drv_dst[i * DRV_STRIDE], DRV_GUARD);
			else
				assert_memory_equal(drv_dst + i * DRV_STRIDE,
					drv_src + i * DRV_STRIDE, 1000);
		}
	}
	log = drv_log_end();
	assert_non_null(strstr(log, "operation 16 failed, status"));
	assert_null(strstr(strstr(log, "failed, status") + 1, "failed, status")); /* once */
	free(log);
	stats = drv_stats(&d);
	assert_int_equal(stats.completed, BURST << 6);
	assert_int_equal(stats.errors, 6 << 5);

	/* Who asks all the same is told. */
	drv_copies(ops, BURST, 64);
	ops[7].bad_dst = true;
	ops[7].status = RTE_DMA_STATUS_INVALID_DST_ADDR;
	drv_burst(&d, ops, BURST, DRV_POLL_STATUS, 0, true);

	/* A channel that is lost: all that it had, at once. */
	for (i = 0; i < BURST; i++)
		assert_true(drv_enqueue(&d, i, &ops[0]) >= 0);
	drv_inject(&d, "vanish:at=5");
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	drv_run(&d);
	for (n = 0; n < BURST;)
		n += rte_dma_completed(d.id, 0, BURST, &last, &has_error);
	assert_int_equal(n, BURST);
	assert_false(has_error);
	assert_true(drv_enqueue(&d, 0, &ops[0]) < 0);
	drv_close(&d);
}

/* Silent mode: what the device has done when it is said to be idle is in the statistics. */
static void
test_silent_idle(void **state __rte_unused)
{
	enum rte_dma_vchan_status status;
	struct rte_dma_stats stats;
	struct drv d;
	unsigned int i;

	drv_open_args(&d, "");
	assert_int_equal(rte_dma_stop(d.id), 0);
	drv_start(d.id, 0, true);
	for (i = 0; i < 20000; i++) {
		assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64,
				RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		do
			assert_int_equal(rte_dma_vchan_status(d.id, 0, &status), 0);
		while (status != RTE_DMA_VCHAN_IDLE);
		stats = drv_stats(&d);
		assert_int_equal(stats.submitted, i + 1);
		assert_int_equal(stats.completed, i + 1);
	}
	drv_close(&d);
}

/* errors=report, and an application that never asks: it is told how not to be stopped. */
static void
test_errors_unasked(void **state __rte_unused)
{
	struct drv_op op = {.kind = DRV_COPY, .len = 64, .bad_src = true,
		.status = RTE_DMA_STATUS_INVALID_SRC_ADDR};
	bool has_error = false;
	unsigned int i, round;
	struct drv d;
	char *log;

	drv_open_args(&d, "step=1");
	for (round = 0; round < 2; round++) {
		assert_true(drv_enqueue(&d, 0, &op) >= 0);
		assert_int_equal(rte_dma_submit(d.id, 0), 0);
		drv_run(&d);
		drv_log_begin();
		for (i = 0; i < 250000; i++)
			assert_int_equal(rte_dma_completed(d.id, 0, 8, NULL, &has_error), 0);
		assert_true(has_error);
		log = drv_log_end();
		assert_non_null(strstr(log, "errors=count"));
		assert_null(strstr(strstr(log, "errors=count") + 1, "errors=count"));
		free(log);
		drv_drain(&d, &op, 1, round, DRV_POLL_STATUS, 0, true);
	}
	drv_close(&d);
}

/* All that the process has is reached: its stack, its constants to read, what it has just got. */
static void
test_shared_addresses(void **state __rte_unused)
{
	static const char constant[] = "what must not be written";
	const size_t size = 64 << 20;
	char on_stack[sizeof(constant)];
	struct rte_device *dev;
	char *mem, *heap;
	struct drv d;
	int step;

	for (step = 0; step < 2; step++) {
		drv_open_args(&d, step ? "step=1" : "iommu=off");
		dev = find_device(d.name);
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		heap = malloc(sizeof(constant));
		assert_true(mem != MAP_FAILED && heap != NULL);
		assert_int_equal(copy_status(&d, constant, on_stack, sizeof(constant)), 0);
		assert_int_equal(copy_status(&d, on_stack, heap, sizeof(constant)), 0);
		assert_int_equal(copy_status(&d, heap, mem + size - 4096 - 3, sizeof(constant)), 0);
		assert_string_equal(mem + size - 4096 - 3, constant);
		assert_int_equal(copy_status(&d, mem, (void *)(uintptr_t)constant, sizeof(constant)),
			RTE_DMA_STATUS_INVALID_DST_ADDR);
		assert_string_equal(on_stack, constant);

		/* There is nothing to map, and what has an IOVA of its own cannot be. */
		assert_int_equal(rte_extmem_register(mem, size, NULL, 0, 4096), 0);
		assert_int_equal(rte_dev_dma_map(dev, mem, (uintptr_t)mem, size), 0);
		assert_int_equal(rte_dev_dma_map(dev, mem, (uintptr_t)mem, size), 0);
		assert_int_equal(rte_dev_dma_unmap(dev, mem, (uintptr_t)mem, size), 0);
		assert_true(rte_dev_dma_map(dev, mem, 0x10000, size) < 0);
		assert_int_equal(rte_errno, ENOTSUP);
		assert_int_equal(rte_extmem_unregister(mem, size), 0);

		/* Memory that was there: the guilty operation fails, and those behind it do not. */
		assert_int_equal(munmap(mem + size - 4096, 4096), 0);
		assert_int_equal(copy_status(&d, mem + size - 5000, on_stack, 1000),
			RTE_DMA_STATUS_INVALID_SRC_ADDR);
		assert_int_equal(copy_status(&d, mem, mem + size - 5000, 1000),
			RTE_DMA_STATUS_INVALID_DST_ADDR);
		assert_int_equal(copy_status(&d, on_stack, mem, sizeof(on_stack)), 0);
		/* Addresses that are none. */
		assert_int_equal(copy_status(&d, NULL, mem, 64), RTE_DMA_STATUS_INVALID_SRC_ADDR);
		assert_int_equal(copy_status(&d, mem, (void *)UINT64_MAX, 64),
			RTE_DMA_STATUS_INVALID_DST_ADDR);
		assert_int_equal(copy_status(&d, (void *)((1ull << 47) - 10), mem, 64),
			RTE_DMA_STATUS_INVALID_SRC_ADDR);
		assert_int_equal(copy_status(&d, (void *)(1ull << 63), mem, 64),
			RTE_DMA_STATUS_INVALID_SRC_ADDR);
		free(heap);
		munmap(mem, size - 4096);
		drv_close(&d);
	}
}

/* Memory that goes away, or becomes read-only, while the engine copies to it. */
static void
test_unmapped_at_work(void **state __rte_unused)
{
	const size_t size = 8 << 20, piece = 1 << 20;
	unsigned int i, j, good = 0, failed = 0;
	enum rte_dma_status_code status[8];
	uint8_t *mem;
	struct drv d;
	uint16_t n;

	drv_open_args(&d, "");
	for (i = 0; i < 200 || (i < 5000 && (good == 0 || failed == 0)); i++) {
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert_true(mem != MAP_FAILED);
		for (j = 0; j < 8; j++)
			assert_true(rte_dma_copy(d.id, 0, (uintptr_t)drv_src,
				(uintptr_t)mem + j * piece, piece, RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		rte_delay_us_sleep(drv_random() % 2000);
		if (i % 2 == 0)
			assert_int_equal(munmap(mem, size), 0);
		else
			assert_int_equal(mprotect(mem, size, PROT_READ), 0);
		for (n = 0; n < 8;)
			n += rte_dma_completed_status(d.id, 0, 8 - n, NULL, status + n);
		for (j = 0; j < 8; j++) {
			good += status[j] == RTE_DMA_STATUS_SUCCESSFUL;
			failed += status[j] == RTE_DMA_STATUS_INVALID_DST_ADDR;
			/* One after the other, and the memory does not come back. */
			if (j > 0 && status[j - 1] != RTE_DMA_STATUS_SUCCESSFUL)
				assert_int_equal(status[j], RTE_DMA_STATUS_INVALID_DST_ADDR);
			if (i % 2 == 1 && status[j] == RTE_DMA_STATUS_SUCCESSFUL)
				assert_memory_equal(mem + j * piece, drv_src, piece);
		}
		if (i % 2 == 1)
			munmap(mem, size);
	}
	assert_true(good > 0 && failed > 0);
	assert_int_equal(good + failed, 8 * i);
	drv_close(&d);
}

/* Telemetry */

static char answer[16384];

/* Ask as dpdk-telemetry.py does. */
static const char *
ask(int fd, const char *command)
{
	ssize_t n;

	assert_int_equal(send(fd, command, strlen(command), 0), (ssize_t)strlen(command));
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	assert_true(n > 0);
	answer[n] = '\0';
	return answer;
}

static void
expect(int fd, const char *command, const char *text)
{
	if (strstr(ask(fd, command), text) == NULL)
		fail_msg("%s: no %s in %s", command, text, answer);
}

static void
test_telemetry(void **state __rte_unused)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct drv_op ops[BURST];
	char command[64], text[64];
	struct drv d;
	int fd;

	drv_open(&d, &(struct drv_conf){.ring = 512});
	drv_copies(ops, BURST, 64);
	ops[3].bad_src = true;
	ops[3].status = RTE_DMA_STATUS_INVALID_SRC_ADDR;
	drv_burst(&d, ops, BURST, DRV_POLL_STATUS, 0, true);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2", rte_eal_get_runtime_dir());
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);

	snprintf(text, sizeof(text), "%d]}", d.id);
	expect(fd, "/cbdma/list", text);
	snprintf(command, sizeof(command), "/cbdma/registers,%d", d.id);
	expect(fd, command, "\"CBVER\":\"0x34\"");
	expect(fd, command, "\"XFERCAP\":\"0x14\"");
	expect(fd, command, "\"CHANERR\":\"0x00000000\"");
	expect(fd, command, "\"state\":\"IDLE\"");
	snprintf(command, sizeof(command), "/cbdma/registers,%s", d.name);
	expect(fd, command, "\"CHANCNT\":\"0x01\"");
	snprintf(command, sizeof(command), "/cbdma/ring,%d", d.id);
	expect(fd, command, "\"descriptors\":512");
	expect(fd, command, "\"completed\":16");
	expect(fd, command, "\"trouble\":\"none\"");
	snprintf(command, sizeof(command), "/cbdma/errors,%s", d.name);
	expect(fd, command, "\"operations\":1");
	expect(fd, command, "\"recoveries\":1");
	expect(fd, command, "\"XSADDERR\":1");
	snprintf(command, sizeof(command), "/dmadev/stats,%d,0", d.id);
	expect(fd, command, "\"errors\":1");
	/* Parameters that are not a device of this driver. */
	expect(fd, "/cbdma/registers", "null");
	expect(fd, "/cbdma/registers,", "null");
	expect(fd, "/cbdma/registers,63", "null");
	expect(fd, "/cbdma/registers,-1", "null");
	expect(fd, "/cbdma/registers,99999999999999999999", "null");
	expect(fd, "/cbdma/ring,nobody", "null");
	expect(fd, "/cbdma/errors,0x", "null");

	snprintf(command, sizeof(command), "/cbdma/registers,%d", d.id);
	drv_inject(&d, "vanish");
	expect(fd, command, "\"state\":\"gone\"");
	drv_close(&d);
	expect(fd, command, "null");
	expect(fd, "/cbdma/list", "[]");
	close(fd);
}

static int
setup(void **state __rte_unused)
{
	static const char *const args[] = {NULL};

	return drv_eal_init(args);
}

struct onlooker {
	int16_t id;
	bool stop;
	uint64_t wrong; /* statistics that do not add up */
};

static void *
look_on(void *arg)
{
	struct onlooker *o = arg;
	struct rte_dma_stats stats;

	while (!__atomic_load_n(&o->stop, __ATOMIC_RELAXED)) {
		rte_dma_stats_get(o->id, 0, &stats);
		o->wrong += stats.submitted - stats.completed > DRV_CAPACITY;
	}
	return NULL;
}

/* Another thread reads the statistics while operations come and go. */
static void
test_stats_at_work(void **state __rte_unused)
{
	const uint64_t end = rte_get_tsc_cycles() + rte_get_tsc_hz();
	struct onlooker o = {0};
	pthread_t thread;
	struct drv d;

#if defined(__SANITIZE_THREAD__)
	skip(); /* counters are read as they are */
#endif
	drv_open_args(&d, "");
	o.id = d.id;
	assert_int_equal(pthread_create(&thread, NULL, look_on, &o), 0);
	while (rte_get_tsc_cycles() < end) {
		rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 8,
			RTE_DMA_OP_FLAG_SUBMIT);
		rte_dma_completed(d.id, 0, BURST, NULL, NULL);
	}
	__atomic_store_n(&o.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(o.wrong, 0);
	drv_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_arguments),
		cmocka_unit_test(test_right_arguments),
		cmocka_unit_test(test_inject),
		cmocka_unit_test(test_engine),
		cmocka_unit_test(test_shared_engine),
		cmocka_unit_test(test_remove_at_work),
		cmocka_unit_test(test_hotplug),
		cmocka_unit_test(test_dma_map),
		cmocka_unit_test(test_dma_map_edge),
		cmocka_unit_test(test_errors_counted),
		cmocka_unit_test(test_silent_idle),
		cmocka_unit_test(test_errors_unasked),
		cmocka_unit_test(test_shared_addresses),
		cmocka_unit_test(test_unmapped_at_work),
		cmocka_unit_test(test_telemetry),
		cmocka_unit_test(test_stats_at_work),
	};

	return cmocka_run_group_tests_name("driver: vdev", tests, setup, drv_group_teardown);
}
