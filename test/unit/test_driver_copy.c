/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Copies and fills, polls, the ring's ends, long operations and fences. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test_driver.h"

#define CAPACITY DRV_CAPACITY

static int
copy(struct drv *d, uint32_t src, uint32_t dst, uint32_t len, uint64_t flags)
{
	return rte_dma_copy(d->id, 0, drv_iova(drv_src + src), drv_iova(drv_dst + dst), len, flags);
}

static void
test_copy(void **state __rte_unused)
{
	static const uint32_t len[] = {1, 2, 3, 7, 8, 9, 63, 64, 65, 255, 1000, 4096, 4097, 16384};
	struct drv_op op = {.kind = DRV_COPY};
	unsigned int i, offset;
	uint16_t idx;
	struct drv d;

	drv_open(&d, NULL);
	for (i = 0; i < RTE_DIM(len); i++) {
		op.len = len[i];
		drv_burst(&d, &op, 1, i % DRV_POLL_MODES, 0, false);
	}
	/* Any alignment of either side. */
	for (i = 0; i < 16; i++) {
		for (offset = 0; offset < 16; offset++) {
			memset(drv_dst, DRV_GUARD, 4096);
			assert_true(copy(&d, i, 64 + offset, 100 + i, RTE_DMA_OP_FLAG_SUBMIT) >= 0);
			drv_run(&d);
			assert_int_equal(rte_dma_completed(d.id, 0, 1, &idx, NULL), 1);
			assert_memory_equal(drv_dst + 64 + offset, drv_src + i, 100 + i);
			assert_int_equal(drv_dst[63 + offset], DRV_GUARD);
			assert_int_equal(drv_dst[164 + i + offset], DRV_GUARD);
		}
	}
	drv_close(&d);
}

static void
test_fill(void **state __rte_unused)
{
	const uint64_t pattern = 0x0123456789abcdefull;
	unsigned int len, offset, i;
	struct drv d;

	drv_open(&d, NULL);
	for (len = 1; len <= 40; len++) {
		for (offset = 0; offset < 9; offset++) {
			memset(drv_dst, DRV_GUARD, 256);
			assert_true(rte_dma_fill(d.id, 0, pattern, drv_iova(drv_dst + 64 + offset), len,
						RTE_DMA_OP_FLAG_SUBMIT) >= 0);
			drv_run(&d);
			assert_int_equal(rte_dma_completed(d.id, 0, 1, NULL, NULL), 1);
			for (i = 0; i < 256; i++) {
				unsigned int at = i - 64 - offset;

				assert_int_equal(drv_dst[i], i >= 64 + offset && at < len ?
						(uint8_t)(pattern >> at % 8 * 8) : DRV_GUARD);
			}
		}
	}
	drv_close(&d);
}

static void
test_submit(void **state __rte_unused)
{
	struct drv d;

	drv_open(&d, NULL);
	assert_int_equal(rte_dma_submit(d.id, 0), 0); /* nothing to submit */
	assert_int_equal(copy(&d, 0, 0, 64, 0), 0);
	assert_int_equal(copy(&d, 64, 64, 64, 0), 1);
	assert_int_equal(drv_run(&d), 0);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(drv_run(&d), 2);
	assert_int_equal(copy(&d, 128, 128, 64, 0), 2);
	assert_int_equal(copy(&d, 192, 192, 64, RTE_DMA_OP_FLAG_SUBMIT), 3);
	assert_int_equal(copy(&d, 256, 256, 64, 0), 4);
	assert_int_equal(drv_run(&d), 2);
	assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), 4);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(drv_run(&d), 1);
	assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), 1);
	assert_memory_equal(drv_dst, drv_src, 320);
	drv_close(&d);
}

static void
test_zero_length(void **state __rte_unused)
{
	struct drv d;
	char *log;

	drv_open(&d, NULL);
	drv_log_begin();
	assert_int_equal(copy(&d, 0, 0, 0, 0), -EINVAL);
	log = drv_log_end();
	assert_non_null(strstr(log, "length 0"));
	assert_non_null(strstr(log, d.name));
	free(log);
	/* Logged once, refused always. */
	drv_log_begin();
	assert_int_equal(copy(&d, 0, 0, 0, RTE_DMA_OP_FLAG_FENCE), -EINVAL);
	assert_int_equal(rte_dma_fill(d.id, 0, 1, drv_iova(drv_dst), 0, RTE_DMA_OP_FLAG_SUBMIT), -EINVAL);
	log = drv_log_end();
	assert_string_equal(log, "");
	free(log);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY);
	assert_int_equal(copy(&d, 0, 0, 10, RTE_DMA_OP_FLAG_SUBMIT), 0);
	assert_int_equal(drv_run(&d), 1);
	drv_close(&d);
}

static void
test_poll(void **state __rte_unused)
{
	enum rte_dma_status_code status[64];
	bool has_error = true;
	unsigned int i;
	struct drv d;
	uint16_t idx;

	drv_open(&d, NULL);
	/* Nothing was ever done: the one before the first. */
	assert_int_equal(rte_dma_completed(d.id, 0, 8, &idx, &has_error), 0);
	assert_int_equal(idx, UINT16_MAX);
	assert_false(has_error);
	assert_int_equal(rte_dma_completed_status(d.id, 0, 8, &idx, status), 0);
	assert_int_equal(idx, UINT16_MAX);

	for (i = 0; i < 40; i++)
		assert_int_equal(copy(&d, i, i, 1, 0), i);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, &idx, NULL), 0);
	assert_int_equal(drv_step(&d, 20), 20);
	/* Fewer than are done, none, one, exactly what is left, more. */
	assert_int_equal(rte_dma_completed(d.id, 0, 5, &idx, &has_error), 5);
	assert_int_equal(idx, 4);
	assert_int_equal(rte_dma_completed(d.id, 0, 0, &idx, &has_error), 0);
	assert_int_equal(idx, 4);
	assert_int_equal(rte_dma_completed_status(d.id, 0, 0, &idx, status), 0);
	assert_int_equal(idx, 4);
	memset(status, 0xff, sizeof(status));
	assert_int_equal(rte_dma_completed_status(d.id, 0, 1, &idx, status), 1);
	assert_int_equal(idx, 5);
	assert_int_equal(status[0], RTE_DMA_STATUS_SUCCESSFUL);
	assert_int_equal(status[1], (enum rte_dma_status_code)-1);
	assert_int_equal(rte_dma_completed(d.id, 0, 14, &idx, &has_error), 14);
	assert_int_equal(idx, 19);
	assert_int_equal(rte_dma_completed(d.id, 0, 14, &idx, &has_error), 0);
	assert_int_equal(idx, 19);
	assert_int_equal(drv_run(&d), 20);
	assert_int_equal(rte_dma_completed_status(d.id, 0, UINT16_MAX, &idx, status), 20);
	assert_int_equal(idx, 39);
	assert_int_equal(rte_dma_completed(d.id, 0, UINT16_MAX, NULL, NULL), 0);
	assert_false(has_error);
	drv_close(&d);
}

/* The ring wraps every 256th operation, indices and slots every 65536th. */
static void
test_wrap(void **state __rte_unused)
{
	const unsigned int total = 3 * 65536 + 1000;
	unsigned int enqueued = 0, completed = 0, n, max;
	struct drv d;
	uint16_t idx;

	drv_open(&d, NULL);
	while (completed < total) {
		for (n = drv_random() % 300; n > 0 && enqueued < total; n--) {
			uint32_t at = enqueued % 1000 * 16;
			int ret = copy(&d, at, at, 16, 0);

			if (ret < 0) {
				assert_int_equal(ret, -ENOSPC);
				assert_int_equal(enqueued - completed, CAPACITY);
				break;
			}
			assert_int_equal(ret, enqueued & 0xffff);
			enqueued++;
			assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY - (enqueued - completed));
		}
		if (drv_random() % 4 != 0)
			assert_int_equal(rte_dma_submit(d.id, 0), 0);
		drv_step(&d, drv_random() % 300);
		max = drv_random() % 300;
		n = rte_dma_completed(d.id, 0, max, &idx, NULL);
		assert_true(n <= max && n <= enqueued - completed);
		completed += n;
		assert_int_equal(idx, (uint16_t)(completed - 1));
		if (n > 0) {
			uint32_t at = (completed - 1) % 1000 * 16;

			assert_memory_equal(drv_dst + at, drv_src + at, 16);
			memset(drv_dst + at, 0, 16);
		}
		if (completed == total - 1000)
			assert_int_equal(rte_dma_submit(d.id, 0), 0);
		if (enqueued == total)
			rte_dma_submit(d.id, 0);
	}
	drv_close(&d);
}

/* A ring of the greatest size: wraps with 32767 operations outstanding. */
static void
test_wrap_large(void **state __rte_unused)
{
	unsigned int round, i, n = 0;
	struct drv d;
	uint16_t idx;

	drv_open(&d, &(struct drv_conf){.ring = 32768});
	for (round = 0; round < 8; round++) {
		for (i = 0; i < 32767; i++, n++)
			assert_int_equal(copy(&d, 0, 0, 1, 0), n & 0xffff);
		assert_int_equal(copy(&d, 0, 0, 1, 0), -ENOSPC);
		assert_int_equal(rte_dma_submit(d.id, 0), 0);
		assert_int_equal(rte_dma_completed(d.id, 0, UINT16_MAX, &idx, NULL), 0);
		assert_int_equal(drv_run(&d), 32767);
		assert_int_equal(rte_dma_completed(d.id, 0, UINT16_MAX, &idx, NULL), 32767);
		assert_int_equal(idx, (uint16_t)(n - 1));
	}
	drv_close(&d);
}

static void
test_full(void **state __rte_unused)
{
	struct drv d;
	uint16_t idx;
	int i;

	drv_open(&d, NULL);
	for (i = 0; i < (int)CAPACITY; i++) {
		assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY - i);
		assert_int_equal(copy(&d, i * 16, i * 16, 16, 0), i);
	}
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), 0);
	assert_int_equal(copy(&d, 0, 4096, 64, 0), -ENOSPC);
	assert_int_equal(copy(&d, 0, 4096, 64, RTE_DMA_OP_FLAG_SUBMIT), -ENOSPC);
	assert_int_equal(copy(&d, 0, 4096, 64, RTE_DMA_OP_FLAG_FENCE), -ENOSPC);
	assert_int_equal(rte_dma_fill(d.id, 0, 0, drv_iova(drv_dst + 4096), 64, 0), -ENOSPC);
	assert_int_equal(drv_run(&d), 0); /* what was refused has not submitted */
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(drv_run(&d), CAPACITY);
	/* Done is not reported: the slots are still taken. */
	assert_int_equal(copy(&d, 0, 4096, 64, 0), -ENOSPC);
	assert_int_equal(rte_dma_completed(d.id, 0, 1, &idx, NULL), 1);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), 1);
	assert_int_equal(copy(&d, 0, 0, 64, RTE_DMA_OP_FLAG_SUBMIT), CAPACITY);
	assert_int_equal(copy(&d, 0, 4096, 64, 0), -ENOSPC);
	assert_int_equal(drv_run(&d), 1);
	assert_int_equal(rte_dma_completed(d.id, 0, 512, &idx, NULL), CAPACITY);
	assert_int_equal(idx, CAPACITY);
	assert_memory_equal(drv_dst, drv_src, CAPACITY * 16);
	assert_int_equal(drv_dst[4096], DRV_GUARD);
	drv_close(&d);
}

/* Longer than XFERCAP: split, at multiples of it. */
static void
test_long(void **state __rte_unused)
{
	static const uint32_t len[] = {4095, 4096, 4097, 8191, 8192, 8193, 12288, 16384, 16383};
	struct drv_op ops[32];
	unsigned int i, k;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.xfercap = 12});
	assert_int_equal(d.dev->max_len, 4096);
	for (i = 0; i < RTE_DIM(len) * 2; i++) {
		const uint32_t left = len[i / 2];
		const unsigned int slots = (left + 4095) / 4096, head = d.dev->head;

		ops[0] = (struct drv_op){.kind = i % 2 ? DRV_FILL : DRV_COPY, .len = left};
		assert_true(drv_enqueue(&d, 0, ops) >= 0);
		assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY - slots);
		for (k = 0; k < slots; k++) {
			const struct cbdma_desc *desc = cbdma_slot_desc(d.dev, head + k * CBDMA_SLOT);

			assert_int_equal(desc->size, k < slots - 1 ? 4096 : left - k * 4096);
			assert_int_equal(desc->dst, drv_iova(drv_dst) + k * 4096);
			assert_int_equal(!!(desc->control & CBDMA_DESC_COMPLETION), k == slots - 1);
		}
		assert_int_equal(rte_dma_submit(d.id, 0), 0);
		memset(drv_dst, DRV_GUARD, DRV_STRIDE);
		/* Not before its last descriptor is done. */
		for (k = 0; k < slots; k++) {
			assert_int_equal(rte_dma_completed(d.id, 0, 1, NULL, NULL), 0);
			assert_int_equal(drv_step(&d, 1), 1);
		}
		drv_drain(&d, ops, 1, cbdma_enqueued(d.dev) - 1, DRV_POLL_STATUS, 0, false);
	}
	/* Between short ones, round the ring's end, all ways to poll. */
	for (i = 0; i < 100; i++) {
		for (k = 0; k < 12; k++)
			ops[k] = (struct drv_op){.kind = drv_random() % 2 ? DRV_COPY : DRV_FILL,
				.len = 1 + drv_random() % DRV_STRIDE,
				.flags = drv_random() % 3 == 0 ? RTE_DMA_OP_FLAG_SUBMIT : 0};
		drv_burst(&d, ops, 12, i % DRV_POLL_MODES, i % 4, false);
	}
	drv_close(&d);
}

/* More descriptors than the ring has, and than are free. */
static void
test_long_no_space(void **state __rte_unused)
{
	const uint32_t len = CAPACITY * 4096;
	struct drv d;
	char *log;

	drv_open(&d, &(struct drv_conf){.xfercap = 12});
	drv_log_begin();
	assert_int_equal(copy(&d, 0, 0, len + 1, 0), -EINVAL);
	log = drv_log_end();
	assert_non_null(strstr(log, "more descriptors than the ring"));
	free(log);
	assert_int_equal(copy(&d, 0, 0, len, RTE_DMA_OP_FLAG_SUBMIT), 0);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), 0);
	assert_int_equal(drv_run(&d), CAPACITY);
	assert_int_equal(rte_dma_completed(d.id, 0, 9, NULL, NULL), 1);
	assert_memory_equal(drv_dst, drv_src, len);
	assert_int_equal(copy(&d, 0, 0, 1, RTE_DMA_OP_FLAG_SUBMIT), 1);
	assert_int_equal(copy(&d, 0, 0, len, RTE_DMA_OP_FLAG_SUBMIT), -ENOSPC);
	assert_int_equal(drv_run(&d), 1);
	assert_int_equal(rte_dma_completed(d.id, 0, 9, NULL, NULL), 1);
	assert_int_equal(copy(&d, 0, 0, len, RTE_DMA_OP_FLAG_SUBMIT), 2);
	assert_int_equal(drv_run(&d), CAPACITY);
	assert_int_equal(rte_dma_completed(d.id, 0, 9, NULL, NULL), 1);
	/* With a fence that needs no descriptor, since the ring is empty. */
	assert_int_equal(copy(&d, 0, 0, len, RTE_DMA_OP_FLAG_SUBMIT | RTE_DMA_OP_FLAG_FENCE), 3);
	assert_int_equal(drv_run(&d), CAPACITY);
	assert_int_equal(rte_dma_completed(d.id, 0, 9, NULL, NULL), 1);
	drv_close(&d);
}

/* Chains a -> b -> c -> ... of copies, where each copies what the one before wrote. */
static void
test_fence(void **state __rte_unused)
{
	struct drv_conf conf = {.reorder = true, .ring = 0};
	unsigned int chain, i, submit_each, long_ops;
	struct drv d;

	for (long_ops = 0; long_ops < 2; long_ops++) {
		const uint32_t len = long_ops ? 10000 : 100;

		conf.xfercap = long_ops ? 12 : 0;
		drv_open(&d, &conf);
		for (submit_each = 0; submit_each < 3; submit_each++) {
			for (chain = 2; chain < 9; chain++) {
				memset(drv_dst, DRV_GUARD, chain * DRV_STRIDE);
				for (i = 0; i < chain; i++) {
					const uint8_t *src = i == 0 ? drv_src : drv_dst + (i - 1) * DRV_STRIDE;
					uint64_t flags = i == 0 ? 0 : RTE_DMA_OP_FLAG_FENCE;

					if (submit_each == 1 || (submit_each == 2 && i % 2))
						flags |= RTE_DMA_OP_FLAG_SUBMIT;
					assert_true(rte_dma_copy(d.id, 0, drv_iova(src),
							drv_iova(drv_dst + i * DRV_STRIDE), len, flags) >= 0);
				}
				assert_int_equal(rte_dma_submit(d.id, 0), 0);
				drv_run(&d);
				assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), chain);
				assert_memory_equal(drv_dst + (chain - 1) * DRV_STRIDE, drv_src, len);
			}
		}
		drv_close(&d);
	}
}

/* The model does reorder: the test above would see a fence that is missing. */
static void
test_no_fence(void **state __rte_unused)
{
	struct drv d;

	drv_open(&d, &(struct drv_conf){.reorder = true});
	assert_int_equal(copy(&d, 0, 0, 64, 0), 0);
	assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_dst), drv_iova(drv_dst + 64), 64,
			RTE_DMA_OP_FLAG_SUBMIT), 1);
	drv_run(&d);
	assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), 2);
	assert_int_equal(drv_dst[64], DRV_GUARD);
	drv_close(&d);
}

static void
test_fence_slots(void **state __rte_unused)
{
	const uint64_t fence = RTE_DMA_OP_FLAG_FENCE;
	struct drv d;
	uint16_t idx;

	drv_open(&d, NULL);
	/* First of all, and on a ring that has become empty: nothing to wait for. */
	assert_int_equal(copy(&d, 0, 0, 8, fence | RTE_DMA_OP_FLAG_SUBMIT), 0);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY - 1);
	assert_int_equal(drv_run(&d), 1);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, &idx, NULL), 1);
	assert_int_equal(copy(&d, 0, 0, 8, fence), 1);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY - 1);
	/* The one before is not submitted: it carries the fence itself. Two in a row. */
	assert_int_equal(copy(&d, 0, 0, 8, fence), 2);
	assert_int_equal(copy(&d, 0, 0, 8, fence), 3);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY - 3);
	assert_true(d.dev->ring[1].control & CBDMA_DESC_FENCE);
	assert_true(d.dev->ring[2].control & CBDMA_DESC_FENCE);
	assert_false(d.dev->ring[3].control & CBDMA_DESC_FENCE);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	/* The one before is submitted: left alone, a null descriptor carries the fence. */
	assert_int_equal(copy(&d, 0, 0, 8, fence), 4);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY - 5);
	assert_false(d.dev->ring[3].control & CBDMA_DESC_FENCE);
	assert_true(d.dev->ring[4].control & CBDMA_DESC_NULL);
	assert_true(d.dev->ring[4].control & CBDMA_DESC_FENCE);
	assert_int_not_equal(d.dev->ring[4].size, 0);
	assert_int_equal(copy(&d, 0, 0, 8, fence | RTE_DMA_OP_FLAG_SUBMIT), 5);
	assert_int_equal(drv_step(&d, 4), 4);
	/* The null descriptor is done, its operation is not. */
	assert_int_equal(rte_dma_completed(d.id, 0, 64, &idx, NULL), 3);
	assert_int_equal(idx, 3);
	assert_int_equal(drv_run(&d), 2);
	assert_int_equal(rte_dma_completed(d.id, 0, 64, &idx, NULL), 2);
	assert_int_equal(idx, 5);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), CAPACITY);
	drv_close(&d);
}

/* A fence takes a slot only where it has to, also where there is but one. */
static void
test_fence_full(void **state __rte_unused)
{
	const uint64_t fence = RTE_DMA_OP_FLAG_FENCE;
	struct drv d;
	int i;

	drv_open(&d, &(struct drv_conf){.xfercap = 12});
	for (i = 0; i < (int)CAPACITY - 1; i++)
		assert_int_equal(copy(&d, 0, 0, 8, 0), i);
	assert_int_equal(copy(&d, 0, 0, 8, fence), CAPACITY - 1);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), 0);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(drv_run(&d), CAPACITY);
	assert_int_equal(rte_dma_completed(d.id, 0, 1, NULL, NULL), 1);
	/* Submitted: it needs two. */
	assert_int_equal(copy(&d, 0, 0, 8, fence), -ENOSPC);
	/* As many as there are: fits when the ring is empty, so this is a matter of polling. */
	assert_int_equal(copy(&d, 0, 0, CAPACITY * 4096, fence), -ENOSPC);
	assert_int_equal(rte_dma_completed(d.id, 0, 1, NULL, NULL), 1);
	assert_int_equal(copy(&d, 0, 0, 8, fence | RTE_DMA_OP_FLAG_SUBMIT), CAPACITY);
	assert_int_equal(drv_run(&d), 2);
	assert_int_equal(copy(&d, 0, 0, CAPACITY * 4096, fence), -ENOSPC);
	assert_int_equal(rte_dma_completed(d.id, 0, 512, NULL, NULL), CAPACITY - 1);
	assert_int_equal(copy(&d, 0, 0, CAPACITY * 4096, fence | RTE_DMA_OP_FLAG_SUBMIT), CAPACITY + 1);
	assert_int_equal(drv_run(&d), CAPACITY);
	assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), 1);
	drv_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_submit),
		cmocka_unit_test(test_zero_length),
		cmocka_unit_test(test_poll),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_wrap_large),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_long_no_space),
		cmocka_unit_test(test_fence),
		cmocka_unit_test(test_no_fence),
		cmocka_unit_test(test_fence_slots),
		cmocka_unit_test(test_fence_full),
	};

	return cmocka_run_group_tests_name("driver: copies and fills", tests, drv_group_setup,
			drv_group_teardown);
}
