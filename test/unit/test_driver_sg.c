/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Scatter/gather copies. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test_driver.h"

#define MAX_SEGS 64

/* Cut len bytes in n segments of at least 1 byte, which lie in mem in any order, with gaps. */
static void
cut(uint8_t *mem, uint32_t len, unsigned int n, struct rte_dma_sge *sge)
{
	unsigned int i, j, order[MAX_SEGS];
	uint32_t extra = len - n, part, at = 0;

	for (i = 0; i < n; i++) {
		part = i == n - 1 ? extra : drv_random() % (2 * extra / (n - i) + 1);
		part = RTE_MIN(part, extra);
		sge[i].length = 1 + part;
		extra -= part;
		order[i] = i;
	}
	for (i = n - 1; i > 0; i--) {
		j = drv_random() % (i + 1);
		RTE_SWAP(order[i], order[j]);
	}
	for (i = 0; i < n; i++) {
		at += drv_random() % 20;
		sge[order[i]].addr = drv_iova(mem + at);
		at += sge[order[i]].length;
	}
	assert_true(at <= DRV_MEM);
}

/* What the destination has to be, computed byte by byte. */
static void
expect(uint8_t *image, const struct rte_dma_sge *src, const struct rte_dma_sge *dst, uint32_t len)
{
	uint32_t i, s = 0, d = 0, s_off = 0, d_off = 0;

	for (i = 0; i < len; i++) {
		const uint8_t *from = (const uint8_t *)(uintptr_t)src[s].addr + s_off++;

		image[dst[d].addr + d_off++ - drv_iova(drv_dst)] = *from;
		if (s_off == src[s].length) {
			s++;
			s_off = 0;
		}
		if (d_off == dst[d].length) {
			d++;
			d_off = 0;
		}
	}
}

static void
random_sg(struct drv *d, unsigned int nb_src, unsigned int nb_dst, uint32_t len)
{
	struct rte_dma_sge src[MAX_SEGS], dst[MAX_SEGS];
	const uint32_t span = len + 20 * MAX_SEGS;
	uint8_t *image = malloc(span);
	int idx = cbdma_enqueued(d->dev) & 0xffff;
	uint16_t last;

	assert_non_null(image);
	memset(image, DRV_GUARD, span);
	memset(drv_dst, DRV_GUARD, span);
	cut(drv_src, len, nb_src, src);
	cut(drv_dst, len, nb_dst, dst);
	expect(image, src, dst, len);
	assert_int_equal(rte_dma_copy_sg(d->id, 0, src, dst, nb_src, nb_dst, RTE_DMA_OP_FLAG_SUBMIT), idx);
	/* Not before the last descriptor is done. */
	drv_step(d, (d->dev->head - d->dev->tail) / CBDMA_SLOT - 1);
	assert_int_equal(rte_dma_completed(d->id, 0, 8, NULL, NULL), 0);
	assert_int_equal(drv_run(d), 1);
	assert_int_equal(rte_dma_completed(d->id, 0, 8, &last, NULL), 1);
	assert_int_equal(last, idx);
	assert_memory_equal(drv_dst, image, span);
	free(image);
}

static void
test_sg_shapes(void **state __rte_unused)
{
	unsigned int i;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.ring = 256});
	for (i = 1; i <= MAX_SEGS; i++) {
		random_sg(&d, i, 1, 10000);
		random_sg(&d, 1, i, 10000);
		random_sg(&d, i, i, 64 + i);
		random_sg(&d, i, MAX_SEGS + 1 - i, 5000);
	}
	for (i = 0; i < 1000; i++)
		random_sg(&d, 1 + drv_random() % MAX_SEGS, 1 + drv_random() % MAX_SEGS,
			MAX_SEGS + drv_random() % 20000);
	drv_close(&d);
}

/* Segments longer than XFERCAP are split as well. */
static void
test_sg_long(void **state __rte_unused)
{
	unsigned int i;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.ring = 256, .xfercap = 12});
	for (i = 0; i < 300; i++)
		random_sg(&d, 1 + drv_random() % 8, 1 + drv_random() % 8, 20000 + drv_random() % 200000);
	drv_close(&d);
}

static void
test_sg_max(void **state __rte_unused)
{
	static struct rte_dma_sge src[CBDMA_MAX_SGES], dst[CBDMA_MAX_SGES];
	struct rte_dma_info info;
	unsigned int i;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.ring = CBDMA_MIN_DESC});
	assert_int_equal(rte_dma_info_get(d.id, &info), 0);
	assert_int_equal(info.max_sges, RTE_DIM(src));
	assert_int_equal(info.min_desc, CBDMA_MIN_DESC);
	/* Sides cut at different places: n segments a side are 2 * n - 1 descriptors. */
	for (i = 0; i < RTE_DIM(src); i++) {
		src[i] = (struct rte_dma_sge){drv_iova(drv_src + i * 64), 64};
		dst[i] = (struct rte_dma_sge){drv_iova(drv_dst + i * 64), 64};
	}
	for (i = 0; i < RTE_DIM(src); i++) {
		dst[i].length = i == 0 ? 32 : i == RTE_DIM(src) - 1 ? 96 : 64;
		dst[i].addr = drv_iova(drv_dst + (i == 0 ? 0 : i * 64 - 32));
	}
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, RTE_DIM(src), RTE_DIM(dst),
			RTE_DMA_OP_FLAG_SUBMIT), 0);
	assert_int_equal(drv_run(&d), 2 * RTE_DIM(src) - 1);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, NULL, NULL), 1);
	assert_memory_equal(drv_dst, drv_src, RTE_DIM(src) * 64);

	/* That was the whole ring, and there is no room for a fence of its own either. */
	memset(drv_dst, 0, RTE_DIM(src) * 64);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, RTE_DIM(src), RTE_DIM(dst),
			RTE_DMA_OP_FLAG_SUBMIT | RTE_DMA_OP_FLAG_FENCE), 1);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), 0);
	assert_int_equal(drv_run(&d), 2 * RTE_DIM(src) - 1);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, NULL, NULL), 1);
	assert_memory_equal(drv_dst, drv_src, RTE_DIM(src) * 64);
	drv_close(&d);
}

static void
test_sg_arguments(void **state __rte_unused)
{
	struct rte_dma_sge src[3], dst[3];
	struct drv d;
	unsigned int i;
	char *log;

	drv_open(&d, NULL);
	for (i = 0; i < 3; i++) {
		src[i] = (struct rte_dma_sge){drv_iova(drv_src + i * 100), 100};
		dst[i] = (struct rte_dma_sge){drv_iova(drv_dst + i * 100), 100};
	}
	drv_log_begin();
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 0, 1, 0), -EINVAL);
	log = drv_log_end();
	assert_non_null(strstr(log, "without segments"));
	free(log);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 1, 0, 0), -EINVAL);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 0, 0, 0), -EINVAL);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, NULL, dst, 1, 1, 0), -EINVAL);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, NULL, 1, 1, 0), -EINVAL);
	/* Sides of different length. */
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 2, 3, 0), -EINVAL);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 3, 1, RTE_DMA_OP_FLAG_FENCE), -EINVAL);
	src[2].length = 99;
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 3, 3, RTE_DMA_OP_FLAG_SUBMIT), -EINVAL);
	src[2].length = 0;
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 3, 3, 0), -EINVAL);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, dst, src, 3, 3, 0), -EINVAL);
	src[2].length = 100;
	/* Nothing of these has got into the ring. */
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), DRV_CAPACITY);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 3, 3, RTE_DMA_OP_FLAG_SUBMIT), 0);
	assert_int_equal(drv_run(&d), 3);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, NULL, NULL), 1);
	assert_memory_equal(drv_dst, drv_src, 300);
	drv_close(&d);
}

/* Segments may be empty, all of them even. */
static void
test_sg_empty_segments(void **state __rte_unused)
{
	struct rte_dma_sge src[5], dst[5], none[3] = {0};
	unsigned int mask, i, n;
	struct drv d;

	drv_open(&d, NULL);
	for (mask = 0; mask < 32; mask++) {
		const unsigned int full = 5 - __builtin_popcount(mask);

		memset(drv_dst, DRV_GUARD, 1024);
		for (i = 0, n = 0; i < 5; i++) {
			src[i] = (struct rte_dma_sge){drv_iova(drv_src + n * 60), mask >> i & 1 ? 0 : 60};
			n += !(mask >> i & 1);
		}
		dst[0] = (struct rte_dma_sge){drv_iova(drv_dst), full * 60};
		assert_true(rte_dma_copy_sg(d.id, 0, src, dst, 5, 1, RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		/* And the other way round, behind a fence. */
		for (i = 0; i < 5; i++) {
			dst[i] = src[i];
			dst[i].addr += drv_iova(drv_dst + 512) - drv_iova(drv_src);
		}
		src[0] = (struct rte_dma_sge){drv_iova(drv_dst), full * 60};
		assert_true(rte_dma_copy_sg(d.id, 0, src, dst, 1, 5,
				RTE_DMA_OP_FLAG_SUBMIT | RTE_DMA_OP_FLAG_FENCE) >= 0);
		drv_run(&d);
		assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), 2);
		assert_memory_equal(drv_dst, drv_src, full * 60);
		assert_memory_equal(drv_dst + 512, drv_src, full * 60);
		assert_int_equal(drv_dst[full * 60], DRV_GUARD);
		assert_int_equal(drv_dst[512 + full * 60], DRV_GUARD);
	}
	/* Nothing to do is done all the same, in order, and reported once. */
	assert_int_equal(rte_dma_copy_sg(d.id, 0, none, none, 3, 2, 0), 64);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, none, none, 1, 1, 0), 65);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, none, none, 1, 3,
			RTE_DMA_OP_FLAG_FENCE | RTE_DMA_OP_FLAG_SUBMIT), 66);
	assert_int_equal(drv_run(&d), 3);
	assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), 3);
	drv_close(&d);
}

static void
test_sg_no_space(void **state __rte_unused)
{
	const unsigned int capacity = DRV_CAPACITY;
	struct rte_dma_sge src[64], dst[64], whole[2];
	const uint64_t submit = RTE_DMA_OP_FLAG_SUBMIT;
	unsigned int i, idx;
	struct drv d;
	char *log;

	drv_open(&d, &(struct drv_conf){.xfercap = 12});
	for (i = 0; i < 64; i++) {
		src[i] = (struct rte_dma_sge){drv_iova(drv_src + i * 64), 64};
		dst[i] = (struct rte_dma_sge){drv_iova(drv_dst + i * 64), 64};
	}
	/* More than the ring has, whatever happens; logged once. */
	whole[0] = (struct rte_dma_sge){drv_iova(drv_src), capacity * 4096 + 1};
	whole[1] = (struct rte_dma_sge){drv_iova(drv_dst), capacity * 4096 + 1};
	drv_log_begin();
	assert_int_equal(rte_dma_copy_sg(d.id, 0, whole, whole + 1, 1, 1, 0), -EINVAL);
	log = drv_log_end();
	assert_non_null(strstr(log, "more descriptors than the ring has"));
	free(log);
	whole[0].length = whole[1].length = 512 * 4096;
	drv_log_begin();
	assert_int_equal(rte_dma_copy_sg(d.id, 0, whole, whole + 1, 1, 1, submit), -EINVAL);
	log = drv_log_end();
	assert_string_equal(log, "");
	free(log);

	/* As many as it has. */
	whole[0].length = whole[1].length = capacity * 4096;
	assert_int_equal(rte_dma_copy_sg(d.id, 0, whole, whole + 1, 1, 1, 0), 0);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 1, 1, submit), -ENOSPC);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 64, 64, 0), -ENOSPC);
	assert_int_equal(drv_run(&d), 0);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(drv_run(&d), capacity);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, NULL, NULL), 1);
	assert_memory_equal(drv_dst, drv_src, capacity * 4096);

	/* More than are free: works after polling. */
	for (idx = 1; idx <= capacity - 11; idx++)
		assert_int_equal(rte_dma_copy(d.id, 0, src[0].addr, dst[0].addr, 64, 0), idx);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 12, 12, submit), -ENOSPC);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), 11);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(drv_run(&d), capacity - 11);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 12, 12, submit), -ENOSPC);
	assert_int_equal(rte_dma_completed(d.id, 0, 1, NULL, NULL), 1);
	memset(drv_dst, DRV_GUARD, 4096);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 12, 12, submit), idx);
	assert_int_equal(drv_run(&d), 12);
	assert_int_equal(rte_dma_completed(d.id, 0, 512, NULL, NULL), capacity - 11);
	assert_memory_equal(drv_dst, drv_src, 12 * 64);
	/* With a fence on a full ring, at last. */
	assert_int_equal(rte_dma_copy_sg(d.id, 0, whole, whole + 1, 1, 1,
			RTE_DMA_OP_FLAG_FENCE | submit), idx + 1);
	assert_int_equal(rte_dma_copy_sg(d.id, 0, src, dst, 1, 1, RTE_DMA_OP_FLAG_FENCE), -ENOSPC);
	assert_int_equal(drv_run(&d), capacity);
	assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), 1);
	drv_close(&d);
}

/* Refused ones leave the ring as it was, whatever they have written there. */
static void
test_sg_refused(void **state __rte_unused)
{
	struct rte_dma_sge src[20], dst[20];
	struct drv_op ops[20];
	unsigned int i, round, n;
	struct drv d;

	drv_open(&d, NULL);
	for (i = 0; i < 20; i++)
		src[i] = dst[i] = (struct rte_dma_sge){drv_iova(drv_dst), 64};
	for (round = 0; round < 200; round++) {
		const struct rte_dma_stats before = drv_stats(&d);
		uint16_t first = cbdma_enqueued(d.dev);

		n = 1 + drv_random() % 20;
		drv_copies(ops, n, 64);
		memset(drv_dst, DRV_GUARD, n * DRV_STRIDE);
		for (i = 0; i < n; i++) {
			unsigned int bad = drv_random() % 20;

			assert_int_equal(drv_enqueue(&d, i, &ops[i]), (uint16_t)(first + i));
			if (drv_random() % 3 == 0)
				assert_int_equal(rte_dma_submit(d.id, 0), 0);
			dst[bad].length = 63;
			assert_true(rte_dma_copy_sg(d.id, 0, src, dst, 20, 20, RTE_DMA_OP_FLAG_FENCE) < 0);
			dst[bad].length = 65;
			assert_true(rte_dma_copy_sg(d.id, 0, src, dst, 20, 20, 0) < 0);
			dst[bad].length = 64;
		}
		assert_int_equal(rte_dma_submit(d.id, 0), 0);
		drv_drain(&d, ops, n, first, round % DRV_POLL_MODES, 0, false);
		assert_int_equal(drv_stats(&d).completed - before.completed, n);
	}
	drv_close(&d);
}

/* A fenced scatter/gather copy reads what the ones before have written. */
static void
test_sg_fence(void **state __rte_unused)
{
	struct rte_dma_sge src[8], dst[8];
	unsigned int i, submit;
	struct drv d;

	drv_open(&d, &(struct drv_conf){.reorder = true});
	for (submit = 0; submit < 2; submit++) {
		memset(drv_dst, DRV_GUARD, 4096);
		for (i = 0; i < 8; i++) {
			assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src + i * 64),
					drv_iova(drv_dst + i * 64), 64, 0) >= 0);
			src[i] = (struct rte_dma_sge){drv_iova(drv_dst + i * 64), 64};
			dst[i] = (struct rte_dma_sge){drv_iova(drv_dst + 1024 + i * 64), 64};
		}
		if (submit)
			assert_int_equal(rte_dma_submit(d.id, 0), 0);
		assert_true(rte_dma_copy_sg(d.id, 0, src, dst, 8, 8, RTE_DMA_OP_FLAG_FENCE) >= 0);
		/* And something that reads what it writes. */
		assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_dst + 1024), drv_iova(drv_dst + 2048), 512,
				RTE_DMA_OP_FLAG_FENCE | RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		drv_run(&d);
		assert_int_equal(rte_dma_completed(d.id, 0, 64, NULL, NULL), 10);
		assert_memory_equal(drv_dst + 2048, drv_src, 512);
	}
	drv_close(&d);
}

/* rte_dma_enqueue_ops() and rte_dma_dequeue_ops(), of DPDK 25.11 and later. */
static void
test_enqueue_dequeue(void **state)
{
#if CBDMA_HAS_ENQ_DEQ
	enum { OPS = 300 };
	const struct rte_dma_conf conf = {.nb_vchans = 1, .flags = RTE_DMA_CFG_FLAG_ENQ_DEQ};
	const struct rte_dma_vchan_conf vchan = {
		.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = 1024};
	struct rte_dma_op *ops[OPS], *done[OPS];
	unsigned int i, n = 0;
	struct drv d;

	drv_open(&d, &(struct drv_conf){0});
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_equal(rte_dma_configure(d.id, &conf), 0);
	assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), 0);
	assert_int_equal(rte_dma_start(d.id), 0);
	drv_mem_reset();
	for (i = 0; i < OPS; i++) {
		ops[i] = calloc(1, sizeof(*ops[i]) + 3 * sizeof(ops[i]->src_dst_seg[0]));
		assert_non_null(ops[i]);
		ops[i]->nb_src = 2;
		ops[i]->nb_dst = 1;
		ops[i]->status = RTE_DMA_STATUS_ERROR_UNKNOWN;
		ops[i]->src_dst_seg[0] =
			(struct rte_dma_sge){.addr = drv_iova(drv_src + i * 256), .length = 40};
		ops[i]->src_dst_seg[1] =
			(struct rte_dma_sge){.addr = drv_iova(drv_src + i * 256 + 100), .length = 24};
		ops[i]->src_dst_seg[2] =
			(struct rte_dma_sge){.addr = drv_iova(drv_dst + i * 64), .length = 64};
	}
	/* Two that fail, one of them the last. */
	ops[7]->src_dst_seg[1].addr = DRV_BAD_IOVA;
	ops[OPS - 1]->src_dst_seg[2].addr = DRV_BAD_IOVA;

	assert_int_equal(rte_dma_dequeue_ops(d.id, 0, done, OPS), 0);
	assert_int_equal(rte_dma_enqueue_ops(d.id, 0, ops, OPS), OPS);
	for (i = 0; i < 100 && n < OPS; i++) {
		drv_run(&d);
		n += rte_dma_dequeue_ops(d.id, 0, &done[n], RTE_MIN(OPS - n, 50u));
	}
	assert_int_equal(n, OPS);
	for (i = 0; i < OPS; i++) {
		assert_ptr_equal(done[i], ops[i]);
		if (i == 7) {
			assert_int_equal(ops[i]->status, RTE_DMA_STATUS_INVALID_SRC_ADDR);
		} else if (i == OPS - 1) {
			assert_int_equal(ops[i]->status, RTE_DMA_STATUS_INVALID_DST_ADDR);
		} else {
			assert_int_equal(ops[i]->status, RTE_DMA_STATUS_SUCCESSFUL);
			assert_memory_equal(drv_dst + i * 64, drv_src + i * 256, 40);
			assert_memory_equal(drv_dst + i * 64 + 40, drv_src + i * 256 + 100, 24);
		}
		free(ops[i]);
	}
	assert_int_equal(drv_stats(&d).completed, OPS);
	assert_int_equal(drv_stats(&d).errors, 2);
	drv_close(&d);
#else
	print_message("DPDK before 25.11 has no rte_dma_enqueue_ops()\n");
	skip();
#endif
	(void)state;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sg_shapes),
		cmocka_unit_test(test_sg_long),
		cmocka_unit_test(test_sg_max),
		cmocka_unit_test(test_sg_arguments),
		cmocka_unit_test(test_sg_empty_segments),
		cmocka_unit_test(test_sg_no_space),
		cmocka_unit_test(test_sg_refused),
		cmocka_unit_test(test_sg_fence),
		cmocka_unit_test(test_enqueue_dequeue),
	};

	return cmocka_run_group_tests_name("driver: scatter/gather", tests, drv_group_setup,
			drv_group_teardown);
}
