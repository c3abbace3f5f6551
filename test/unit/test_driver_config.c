/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Information, configuration, life cycle, statistics and dump. */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bus_vdev_driver.h>
#include <rte_errno.h>

#include "test_driver.h"

static void
copy_once(struct drv *d)
{
	struct drv_op op = {.kind = DRV_COPY, .len = 100};

	drv_burst(d, &op, 1, DRV_POLL_STATUS, 0, false);
}

static void
test_info(void **state __rte_unused)
{
	struct rte_dma_info info;
	struct drv d;

	drv_open(&d, NULL);
	memset(&info, 0xff, sizeof(info));
	assert_int_equal(rte_dma_info_get(d.id, &info), 0);
	assert_string_equal(info.dev_name, d.name);
	assert_true(info.dev_capa & RTE_DMA_CAPA_MEM_TO_MEM);
	assert_true(info.dev_capa & RTE_DMA_CAPA_SILENT);
	assert_true(info.dev_capa & RTE_DMA_CAPA_HANDLES_ERRORS);
	assert_true(info.dev_capa & RTE_DMA_CAPA_OPS_COPY);
	assert_true(info.dev_capa & RTE_DMA_CAPA_OPS_COPY_SG);
	assert_true(info.dev_capa & RTE_DMA_CAPA_OPS_FILL);
	assert_true(info.dev_capa & RTE_DMA_CAPA_SVA);
	assert_false(info.dev_capa & (RTE_DMA_CAPA_MEM_TO_DEV | RTE_DMA_CAPA_DEV_TO_MEM |
				      RTE_DMA_CAPA_DEV_TO_DEV));
	assert_int_equal(info.max_vchans, 1);
	assert_int_equal(info.min_desc, 64);
	assert_int_equal(info.max_desc, 32768);
	assert_true(info.max_sges >= 32);
	assert_int_equal(info.nb_vchans, 1);
	assert_int_equal(rte_dma_info_get(d.id, NULL), -EINVAL);
	drv_close(&d);
	drv_open_args(&d, "step=1,iommu=on");
	assert_int_equal(rte_dma_info_get(d.id, &info), 0);
	assert_false(info.dev_capa & RTE_DMA_CAPA_SVA);
	drv_close(&d);
}

static void
test_errors_on_every_version(void **state __rte_unused)
{
	struct rte_dma_info info;
	uint8_t version;
	struct drv d;

	for (version = CBDMA_VER_3_0; version <= CBDMA_VER_3_4; version++) {
		drv_open(&d, &(struct drv_conf){.version = version});
		assert_int_equal(rte_dma_info_get(d.id, &info), 0);
		assert_true(info.dev_capa & RTE_DMA_CAPA_HANDLES_ERRORS);
		assert_int_equal(d.dev->cbver, version);
		copy_once(&d);
		drv_close(&d);
	}
}

static void
test_configure(void **state __rte_unused)
{
	struct rte_dma_conf conf = {.nb_vchans = 1};
	struct drv d;

	drv_open(&d, NULL);
	assert_int_equal(rte_dma_configure(d.id, &conf), -EBUSY);
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_equal(rte_dma_configure(d.id, NULL), -EINVAL);
	conf.nb_vchans = 0;
	assert_int_equal(rte_dma_configure(d.id, &conf), -EINVAL);
	conf.nb_vchans = 2;
	assert_int_equal(rte_dma_configure(d.id, &conf), -EINVAL);
	conf.nb_vchans = 1;
	assert_int_equal(rte_dma_configure(d.id, &conf), 0);
	assert_int_equal(rte_dma_start(d.id), 0);
	copy_once(&d);
	drv_close(&d);
}

static void
test_vchan_setup(void **state __rte_unused)
{
	struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = 256};
	struct drv d;

	drv_open(&d, NULL);
	assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), -EBUSY);
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_equal(rte_dma_vchan_setup(d.id, 0, NULL), -EINVAL);
	assert_int_equal(rte_dma_vchan_setup(d.id, 1, &vchan), -EINVAL);
	vchan.nb_desc = 0;
	assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), -EINVAL);
	vchan.nb_desc = 63;
	assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), -EINVAL);
	vchan.nb_desc = 32769;
	assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), -EINVAL);
	vchan.nb_desc = 256;
	vchan.direction = RTE_DMA_DIR_MEM_TO_DEV;
	assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), -EINVAL);
	vchan.direction = 99;
	assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), -EINVAL);
	vchan.direction = RTE_DMA_DIR_MEM_TO_MEM;

	/* None of these has spoilt the ring that is there. */
	assert_int_equal(rte_dma_start(d.id), 0);
	copy_once(&d);
	drv_close(&d);
}

static void
test_not_configured(void **state __rte_unused)
{
	struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = 256};
	struct rte_dma_conf conf = {.nb_vchans = 1};
	enum rte_dma_vchan_status status;
	struct drv d = {0};
	char *log;
	int id;

	assert_int_equal(drv_create(&d, &(struct drv_conf){0}), 0);
	id = rte_dma_get_dev_id_by_name(d.name);
	assert_true(id >= 0);
	assert_int_equal(rte_dma_vchan_setup(id, 0, &vchan), -EINVAL);
	assert_int_equal(rte_dma_configure(id, &conf), 0);
	drv_log_begin();
	assert_int_equal(rte_dma_start(id), -EINVAL);
	log = drv_log_end();
	assert_non_null(strstr(log, "before its vchan was set up"));
	free(log);

	/* Set up, not started: nothing is taken and nothing reported. */
	assert_int_equal(rte_dma_vchan_setup(id, 0, &vchan), 0);
	assert_int_equal(rte_dma_vchan_status(id, 0, &status), 0);
	assert_int_equal(status, RTE_DMA_VCHAN_IDLE);
	assert_int_equal(rte_dma_stats_reset(id, 0), 0);
	assert_int_equal(rte_dma_start(id), 0);
	assert_int_equal(rte_dma_start(id), 0); /* a warning of the library's */
	assert_int_equal(rte_dma_stop(id), 0);
	assert_int_equal(rte_dma_stop(id), 0);
	assert_int_equal(rte_dma_close(id), 0);
	assert_int_equal(rte_dma_close(id), -EINVAL);
	assert_null(d.model); /* the bus was told */
}

/* No ring: the data path's functions may be called, and find nothing. */
static void
test_no_ring(void **state __rte_unused)
{
	struct rte_dma_conf conf = {.nb_vchans = 1};
	enum rte_dma_status_code status[4];
	struct rte_dma_sge sge = {drv_iova(drv_src), 64};
	bool has_error = true;
	struct drv d = {0};
	uint16_t idx;
	int id;

	assert_int_equal(drv_create(&d, &(struct drv_conf){0}), 0);
	id = rte_dma_get_dev_id_by_name(d.name);
	assert_int_equal(rte_dma_configure(id, &conf), 0);
	assert_int_equal(rte_dma_burst_capacity(id, 0), 0);
	assert_true(rte_dma_copy(id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64, 0) < 0);
	assert_true(rte_dma_copy(id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64,
				RTE_DMA_OP_FLAG_FENCE) < 0);
	assert_true(rte_dma_fill(id, 0, 1, drv_iova(drv_dst), 64, RTE_DMA_OP_FLAG_SUBMIT) < 0);
	assert_true(rte_dma_copy_sg(id, 0, &sge, &sge, 1, 1, RTE_DMA_OP_FLAG_FENCE) < 0);
	assert_int_equal(rte_dma_submit(id, 0), 0);
	assert_int_equal(rte_dma_completed(id, 0, 4, &idx, &has_error), 0);
	assert_int_equal(idx, UINT16_MAX);
	assert_false(has_error);
	assert_int_equal(rte_dma_completed_status(id, 0, 4, &idx, status), 0);
	assert_int_equal(cbdma_remove(d.name), 0);
}

static void
test_stopped(void **state __rte_unused)
{
	struct rte_dma_stats stats;
	bool has_error = true;
	struct drv d;
	uint16_t idx;
	int i;

	drv_open(&d, NULL);
	for (i = 0; i < 10; i++)
		assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64, 0), i);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(drv_step(&d, 4), 4);
	assert_int_equal(rte_dma_completed(d.id, 0, 2, &idx, NULL), 2);
	assert_int_equal(rte_dma_close(d.id), -EBUSY);
	assert_int_equal(rte_dma_stop(d.id), 0);

	/* What was outstanding is dropped, and the device does not touch memory any more. */
	memset(drv_dst, DRV_GUARD, 64);
	assert_int_equal(drv_run(&d), 0);
	assert_int_equal(drv_dst[0], DRV_GUARD);
	assert_int_equal(rte_dma_burst_capacity(d.id, 0), 0);
	assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64,
			RTE_DMA_OP_FLAG_SUBMIT), -EINVAL);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	assert_int_equal(drv_run(&d), 0);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, &idx, &has_error), 0);
	assert_false(has_error);

	/* Indices begin anew, the statistics go on. */
	assert_int_equal(rte_dma_start(d.id), 0);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, &idx, &has_error), 0);
	assert_int_equal(idx, UINT16_MAX);
	stats = drv_stats(&d);
	assert_int_equal(stats.submitted, 10);
	assert_int_equal(stats.completed, 2);
	assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64,
			RTE_DMA_OP_FLAG_SUBMIT), 0);
	drv_run(&d);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, &idx, NULL), 1);
	assert_int_equal(idx, 0);
	drv_close(&d);
}

static void
test_ring_sizes(void **state __rte_unused)
{
	static const struct {
		uint16_t asked, has; /* no more than asked for, whatever is a power of two */
	} size[] = {{256, 255}, {257, 257}, {300, 300}, {511, 511}, {512, 511}, {1000, 1000},
		{1024, 1023}, {16385, 16385}, {32768, 32767}, {64, 63}, {65, 65}, {127, 127},
		{128, 127}, {256, 255}};
	struct drv_op ops[40];
	unsigned int i, n;
	struct drv d;

	drv_open(&d, NULL);
	for (i = 0; i < RTE_DIM(size); i++) {
		assert_int_equal(rte_dma_stop(d.id), 0);
		drv_start(d.id, size[i].asked, false);
		assert_int_equal(rte_dma_burst_capacity(d.id, 0), size[i].has);

		/* Fill it up. */
		for (n = 0; n < size[i].has; n++)
			assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 8, 0),
				n);
		assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 8, 0),
			-ENOSPC);
		assert_int_equal(rte_dma_burst_capacity(d.id, 0), 0);
		assert_int_equal(rte_dma_submit(d.id, 0), 0);
		assert_int_equal(drv_run(&d), n);
		assert_int_equal(rte_dma_completed(d.id, 0, UINT16_MAX, NULL, NULL), n);
		drv_copies(ops, 31, 333);
		drv_burst(&d, ops, 31, DRV_POLL_STATUS, 0, false);
	}
	drv_close(&d);
}

static void
test_restart_many(void **state __rte_unused)
{
	struct drv_op ops[20];
	struct drv d;
	int i;

	drv_open(&d, NULL);
	drv_copies(ops, 20, 100);
	ops[7] = (struct drv_op){.kind = DRV_COPY, .len = 100, .bad_src = true,
		.status = RTE_DMA_STATUS_INVALID_SRC_ADDR};
	for (i = 0; i < 100; i++) {
		drv_burst(&d, ops, 20, i % DRV_POLL_MODES, 0, false);
		/* In the middle of something, an error among it. */
		assert_true(drv_enqueue(&d, 0, &ops[i % 10]) >= 0);
		assert_true(drv_enqueue(&d, 1, &ops[0]) >= 0);
		if (i % 3 != 0)
			assert_int_equal(rte_dma_submit(d.id, 0), 0);
		drv_step(&d, i % 3);
		assert_int_equal(rte_dma_stop(d.id), 0);
		if (i % 2 == 0)
			assert_int_equal(rte_dma_start(d.id), 0);
		else
			drv_start(d.id, 256 << (i % 5), false);
	}
	drv_close(&d);
}

static void
test_stats(void **state __rte_unused)
{
	struct rte_dma_stats stats;
	struct drv_op ops[10];
	struct drv d;

	drv_open(&d, NULL);
	drv_copies(ops, 10, 64);
	ops[4].bad_dst = true;
	ops[4].status = RTE_DMA_STATUS_INVALID_DST_ADDR;
	stats = drv_stats(&d);
	assert_true(stats.submitted == 0 && stats.completed == 0 && stats.errors == 0);
	drv_burst(&d, ops, 10, DRV_POLL_STATUS, 0, false);
	stats = drv_stats(&d);
	assert_true(stats.submitted == 10 && stats.completed == 10 && stats.errors == 1);

	/* Enqueued is not submitted, submitted is not completed. */
	assert_true(drv_enqueue(&d, 0, &ops[0]) >= 0);
	stats = drv_stats(&d);
	assert_true(stats.submitted == 10 && stats.completed == 10);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	stats = drv_stats(&d);
	assert_true(stats.submitted == 11 && stats.completed == 10);

	/* Reset in the middle, and over a restart. */
	assert_int_equal(rte_dma_stats_reset(d.id, 0), 0);
	stats = drv_stats(&d);
	assert_true(stats.submitted == 0 && stats.completed == 0 && stats.errors == 0);
	drv_run(&d);
	assert_int_equal(rte_dma_completed(d.id, 0, 10, NULL, NULL), 1);
	stats = drv_stats(&d);
	assert_true(stats.submitted == 0 && stats.completed == 1 && stats.errors == 0);
	assert_int_equal(rte_dma_stats_reset(d.id, RTE_DMA_ALL_VCHAN), 0);
	drv_burst(&d, ops, 10, DRV_POLL_STATUS, 0, false);
	assert_int_equal(rte_dma_stop(d.id), 0);
	drv_start(d.id, 256, false);
	drv_burst(&d, ops, 10, DRV_POLL_STATUS, 0, false);
	assert_int_equal(rte_dma_stats_get(d.id, RTE_DMA_ALL_VCHAN, &stats), 0);
	assert_true(stats.submitted == 20 && stats.completed == 20 && stats.errors == 2);
	assert_int_equal(rte_dma_stats_get(d.id, 1, &stats), -EINVAL);
	assert_int_equal(rte_dma_stats_get(d.id, 0, NULL), -EINVAL);
	assert_int_equal(rte_dma_stats_reset(d.id, 1), -EINVAL);
	drv_close(&d);
}

static void
test_vchan_status(void **state __rte_unused)
{
	enum rte_dma_vchan_status status;
	struct drv d;

	drv_open(&d, NULL);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &status), 0);
	assert_int_equal(status, RTE_DMA_VCHAN_IDLE);
	assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 8, 0), 0);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &status), 0);
	assert_int_equal(status, RTE_DMA_VCHAN_IDLE);
	assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 8,
			RTE_DMA_OP_FLAG_SUBMIT), 1);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &status), 0);
	assert_int_equal(status, RTE_DMA_VCHAN_ACTIVE);
	assert_int_equal(drv_step(&d, 1), 1);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &status), 0);
	assert_int_equal(status, RTE_DMA_VCHAN_ACTIVE);
	assert_int_equal(drv_step(&d, 1), 1);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &status), 0);
	assert_int_equal(status, RTE_DMA_VCHAN_IDLE); /* before it is polled for, too */
	assert_int_equal(rte_dma_completed(d.id, 0, 8, NULL, NULL), 2);
	drv_close(&d);
}

static char *
dump(int16_t id)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(rte_dma_dump(id, f), 0);
	fclose(f);
	return text;
}

static void
test_dump(void **state __rte_unused)
{
	struct drv_op op = {.kind = DRV_COPY, .len = 8, .bad_src = true,
		.status = RTE_DMA_STATUS_INVALID_SRC_ADDR};
	struct drv d, bare = {0};
	char *text;

	drv_open(&d, &(struct drv_conf){.version = CBDMA_VER_3_2, .xfercap = 16, .ring = 512});
	text = dump(d.id);
	assert_non_null(strstr(text, "CBVER 3.2, longest transfer 65536"));
	assert_non_null(strstr(text, "ARMED"));
	assert_non_null(strstr(text, "ring of 512"));
	assert_non_null(strstr(text, "free 511"));
	assert_null(strstr(text, "XSADDERR"));
	free(text);
	drv_burst(&d, &op, 1, DRV_POLL_STATUS, 0, true);
	text = dump(d.id);
	assert_non_null(strstr(text, "XSADDERR 1"));
	assert_non_null(strstr(text, "recoveries 1"));
	assert_non_null(strstr(text, "enqueued 1 submitted 1 completed 1 failed 1"));
	free(text);
	drv_inject(&d, "vanish");
	text = dump(d.id);
	assert_non_null(strstr(text, "gone"));
	free(text);
	assert_int_equal(rte_dma_dump(d.id, NULL), -EINVAL);
	drv_close(&d);

	assert_int_equal(drv_create(&bare, &(struct drv_conf){0}), 0);
	text = dump(rte_dma_get_dev_id_by_name(bare.name));
	assert_non_null(strstr(text, "ring of 0"));
	free(text);
	assert_int_equal(cbdma_remove(bare.name), 0);
}

#if CBDMA_HAS_ENQ_DEQ
/* The application's structures of operations go in and come out. */
static void
enqueue_and_dequeue(struct drv *d)
{
	/* Each with a segment on either side behind it. */
	static alignas(struct rte_dma_op) uint8_t one[8][sizeof(struct rte_dma_op) +
		2 * sizeof(struct rte_dma_sge)];
	struct rte_dma_op *ops[RTE_DIM(one)], *done[RTE_DIM(one)];
	unsigned int i, n;

	memset(drv_dst, DRV_GUARD, RTE_DIM(one) * 64);
	for (i = 0; i < RTE_DIM(one); i++) {
		ops[i] = (struct rte_dma_op *)one[i];
		ops[i]->nb_src = ops[i]->nb_dst = 1;
		ops[i]->src_dst_seg[0] = (struct rte_dma_sge){
			i == 3 ? DRV_BAD_IOVA : drv_iova(drv_src + i * 64), 64};
		ops[i]->src_dst_seg[1] = (struct rte_dma_sge){drv_iova(drv_dst + i * 64), 64};
	}
	assert_int_equal(rte_dma_enqueue_ops(d->id, 0, ops, RTE_DIM(one)), RTE_DIM(one));
	for (n = 0, i = 0; n < RTE_DIM(one); i++) {
		drv_run(d);
		n += rte_dma_dequeue_ops(d->id, 0, done + n, RTE_DIM(one) - n);
		assert_true(i < 1000000);
	}
	for (i = 0; i < RTE_DIM(one); i++) {
		assert_ptr_equal(done[i], ops[i]);
		assert_int_equal(done[i]->status, i == 3 ? RTE_DMA_STATUS_INVALID_SRC_ADDR :
							   RTE_DMA_STATUS_SUCCESSFUL);
		if (i != 3)
			assert_memory_equal(drv_dst + i * 64, drv_src + i * 64, 64);
	}

	/* One that will never be taken is told from a ring that is full. */
	ops[2]->src_dst_seg[0].length = 63;
	rte_errno = 0;
	assert_int_equal(rte_dma_enqueue_ops(d->id, 0, ops, 4), 2);
	assert_int_equal(rte_errno, EINVAL);
	drv_run(d);
	assert_int_equal(rte_dma_dequeue_ops(d->id, 0, done, 4), 2);
}

static void
test_enqueue_dequeue(void **state __rte_unused)
{
	struct rte_dma_conf conf = {.nb_vchans = 1, .flags = RTE_DMA_CFG_FLAG_ENQ_DEQ};
	struct drv d;

	/* Set up for something else, configured anew for this, and started. */
	drv_open(&d, NULL);
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_equal(rte_dma_configure(d.id, &conf), 0);
	assert_int_equal(rte_dma_start(d.id), 0);
	enqueue_and_dequeue(&d);
	drv_close(&d);
}
#endif

/* The allocation that fails, counted from 1; 0: none. */
static unsigned int fail_at;

static bool
fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

const struct rte_memzone *__real_rte_memzone_reserve_aligned(const char *name, size_t len,
		int socket, unsigned int flags, unsigned int align);
const struct rte_memzone *__wrap_rte_memzone_reserve_aligned(const char *name, size_t len,
		int socket, unsigned int flags, unsigned int align);

const struct rte_memzone *
__wrap_rte_memzone_reserve_aligned(const char *name, size_t len, int socket, unsigned int flags,
		unsigned int align)
{
	if (!fails())
		return __real_rte_memzone_reserve_aligned(name, len, socket, flags, align);
	rte_errno = ENOMEM;
	return NULL;
}

void *__real_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket);
void *__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket);

void *
__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	return fails() ? NULL : __real_rte_zmalloc_socket(type, size, align, socket);
}

/* A ring takes three allocations. When one fails there is no ring, and all is well with the next. */
static void
test_no_memory(void **state __rte_unused)
{
	const struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM,
		.nb_desc = CBDMA_MIN_DESC};
	unsigned int at;
	struct drv d;
	char *log;

	drv_open(&d, NULL);
	for (at = 1; at <= 3; at++) {
		assert_int_equal(rte_dma_stop(d.id), 0);
		fail_at = at;
		drv_log_begin();
		assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), -ENOMEM);
		log = drv_log_end();
		assert_int_equal(fail_at, 0);
		assert_non_null(strstr(log, at == 1 ? "no memory for a ring of" :
			at == 2 ? "DMA memory for its ring" : "DMA memory for its completion"));
		free(log);
		assert_int_equal(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64, 0),
			-EINVAL);
		assert_int_equal(rte_dma_vchan_setup(d.id, 0, &vchan), 0);
		assert_int_equal(rte_dma_start(d.id), 0);
		copy_once(&d);
	}
	drv_close(&d);
}

#define LOOKERS	 4
#define REMOVALS 100

static __rte_atomic bool looking;

static void *
look_up(void *name)
{
	struct cbdma_port *port;

	while (rte_atomic_load_explicit(&looking, rte_memory_order_relaxed)) {
		port = cbdma_port_get(name);
		if (port != NULL)
			cbdma_port_put(port);
	}
	return NULL;
}

/* Threads that look a device up all the time do not keep it from being removed. */
static void
test_removed_while_looked_up(void **state __rte_unused)
{
	const uint64_t deadline = rte_get_timer_cycles() + 60 * rte_get_timer_hz();
	pthread_t thread[LOOKERS];
	struct cbdma_port *port;
	struct drv d;
	unsigned int i;

	drv_open(&d, NULL);
	port = cbdma_port_of(d.dev);
	rte_atomic_store_explicit(&looking, true, rte_memory_order_relaxed);
	for (i = 0; i < LOOKERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, look_up, d.name), 0);
	for (i = 0; i < REMOVALS && rte_get_timer_cycles() < deadline; i++) {
		cbdma_port_remove(port);
		assert_null(cbdma_port_get(d.name));
		cbdma_port_add(port);
		usleep(1000);
	}
	rte_atomic_store_explicit(&looking, false, rte_memory_order_relaxed);
	assert_int_equal(i, REMOVALS);
	for (i = 0; i < LOOKERS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	drv_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_errors_on_every_version),
		cmocka_unit_test(test_configure),
		cmocka_unit_test(test_vchan_setup),
		cmocka_unit_test(test_not_configured),
		cmocka_unit_test(test_no_ring),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_ring_sizes),
		cmocka_unit_test(test_restart_many),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_vchan_status),
		cmocka_unit_test(test_dump),
#if CBDMA_HAS_ENQ_DEQ
		cmocka_unit_test(test_enqueue_dequeue),
#endif
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_removed_while_looked_up),
	};

	return cmocka_run_group_tests_name("driver: configuration", tests, drv_group_setup,
			drv_group_teardown);
}
