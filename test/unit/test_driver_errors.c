/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Operations that fail: reported once, with their cause; those before are done, those after run. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault_causes.h"
#include "test_driver.h"

#define BURST 16

/* Kinds of device: how it tells of an error. */
static const struct drv_conf device_kinds[] = {
	{.version = CBDMA_VER_3_4},
	{.version = CBDMA_VER_3_4, .quiet = true},
	{.version = CBDMA_VER_3_3, .quiet = true},
	{.version = CBDMA_VER_3_2, .quiet = true},
	{.version = CBDMA_VER_3_0, .quiet = true},
	{.version = CBDMA_VER_3_2},
	{.version = CBDMA_VER_3_0},
};

static void
fail_src(struct drv_op *op)
{
	op->bad_src = true;
	op->status = RTE_DMA_STATUS_INVALID_SRC_ADDR;
}

static void
inject_at(struct drv *d, unsigned int at, const char *cause)
{
	char text[64];

	snprintf(text, sizeof(text), "fail:at=%u:cause=%s", at, cause);
	drv_inject(d, text);
}

/* Each cause at each position. */
static void
test_positions(void **state __rte_unused)
{
	struct drv_op ops[BURST];
	unsigned int k, c, at, n = 0;
	struct drv d;

	for (k = 0; k < RTE_DIM(device_kinds); k++) {
		drv_open(&d, &device_kinds[k]);
		for (c = 0; c < RTE_DIM(causes); c++) {
			for (at = 0; at < BURST; at++, n++) {
				drv_copies(ops, BURST, 1 + n % 500);
				ops[at].status = causes[c].status;
				inject_at(&d, at, causes[c].cause);
				drv_burst(&d, ops, BURST, n % DRV_POLL_MODES, n % 4, n % 8 != 0);
			}
		}
		drv_close(&d);
	}
}

/* The same with addresses that are not mapped, every way to poll, one descriptor at a time or all. */
static void
test_unmapped(void **state __rte_unused)
{
	struct drv_op ops[BURST];
	unsigned int k, at, mode, step, dst;
	struct drv d;

	for (k = 0; k < RTE_DIM(device_kinds); k++) {
		drv_open(&d, &device_kinds[k]);
		for (at = 0; at < BURST; at++) {
			for (mode = 0; mode < DRV_POLL_MODES; mode++) {
				for (step = 0; step < 3; step++) {
					for (dst = 0; dst < 2; dst++) {
						drv_copies(ops, BURST, 64);
						fail_src(&ops[at]);
						if (dst) {
							ops[at].bad_src = false;
							ops[at].bad_dst = true;
							ops[at].status = RTE_DMA_STATUS_INVALID_DST_ADDR;
							ops[at].kind = mode % 2 ? DRV_FILL : DRV_COPY;
						}
						drv_burst(&d, ops, BURST, mode, step, true);
					}
				}
			}
		}
		drv_close(&d);
	}
}

/* Noticed without rte_dma_vchan_status() as well, if late where the completion word is silent. */
static void
test_unmapped_polls_only(void **state __rte_unused)
{
	struct drv_op ops[BURST];
	unsigned int k, at, mode;
	struct drv d;

	for (k = 0; k < RTE_DIM(device_kinds); k++) {
		drv_open(&d, &device_kinds[k]);
		for (at = 0; at < BURST; at++) {
			for (mode = 0; mode < DRV_POLL_MODES; mode++) {
				drv_copies(ops, BURST, 64);
				fail_src(&ops[at]);
				drv_burst(&d, ops, BURST, mode, 0, false);
			}
		}
		drv_close(&d);
	}
}

/* Two in a burst, at each pair of positions; then more and more, up to all. */
static void
test_pairs(void **state __rte_unused)
{
	struct drv_op ops[BURST];
	unsigned int k, i, j, n = 0;
	struct drv d;

	for (k = 0; k < RTE_DIM(device_kinds); k++) {
		drv_open(&d, &device_kinds[k]);
		for (i = 0; i < BURST; i++) {
			for (j = i + 1; j < BURST; j++, n++) {
				drv_copies(ops, BURST, 64);
				fail_src(&ops[i]);
				ops[j].bad_dst = true;
				ops[j].status = RTE_DMA_STATUS_INVALID_DST_ADDR;
				drv_burst(&d, ops, BURST, n % DRV_POLL_MODES, n % 3, n % 16 != 0);
			}
		}
		drv_copies(ops, BURST, 64);
		for (i = 0; i < BURST; i++) {
			fail_src(&ops[(i * 7) % BURST]);
			drv_burst(&d, ops, BURST, i % DRV_POLL_MODES, i % 3, true);
		}
		drv_close(&d);
	}
}

/* Operations of several descriptors. */
static void
mixed_ops(struct drv_op *ops)
{
	const uint64_t submit = RTE_DMA_OP_FLAG_SUBMIT, fence = RTE_DMA_OP_FLAG_FENCE;
	const struct drv_op mixed[BURST] = {
		{.kind = DRV_COPY, .len = 100},
		{.kind = DRV_COPY, .len = 4 * 4096}, /* split */
		{.kind = DRV_COPY, .len = 100, .flags = submit},
		{.kind = DRV_COPY, .len = 100, .flags = fence}, /* a null descriptor carries it */
		{.kind = DRV_FILL, .len = 2 * 4096 + 5, .flags = fence}, /* the one before carries it */
		{.kind = DRV_SG, .len = 7 * 500, .segs = 7},
		{.kind = DRV_SG, .len = 2 * 5000, .segs = 2, .flags = submit}, /* split segments */
		{.kind = DRV_SG, .len = 3 * 64, .segs = 3, .flags = fence | submit},
		{.kind = DRV_COPY, .len = 4097, .flags = fence | submit},
		{.kind = DRV_FILL, .len = 1, .flags = fence | submit},
		{.kind = DRV_COPY, .len = 1},
	};
	unsigned int i;

	memcpy(ops, mixed, sizeof(mixed));
	for (i = 11; i < BURST; i++)
		ops[i] = ops[(i * 5) % 11];
}

/* Enqueue and run them once. @return descriptors, those of operation i end before end[i]. */
static unsigned int
count_descriptors(struct drv *d, const struct drv_op *ops, unsigned int *end)
{
	const uint16_t idx = cbdma_enqueued(d->dev);
	const uint32_t first = d->dev->head;
	unsigned int i;

	memset(drv_dst, DRV_GUARD, BURST * DRV_STRIDE);
	for (i = 0; i < BURST; i++) {
		assert_true(drv_enqueue(d, i, &ops[i]) >= 0);
		end[i] = (d->dev->head - first) / CBDMA_SLOT;
	}
	assert_int_equal(rte_dma_submit(d->id, 0), 0);
	drv_drain(d, ops, BURST, idx, DRV_POLL_STATUS, 0, false);
	return end[BURST - 1];
}

static void
test_each_descriptor(void **state __rte_unused)
{
	unsigned int k, at, i, n = 0, total, end[BURST];
	struct drv_op ops[BURST];
	struct drv_conf conf;
	struct drv d;

	for (k = 0; k < RTE_DIM(device_kinds); k++) {
		conf = device_kinds[k];
		conf.xfercap = 12;
		drv_open(&d, &conf);
		mixed_ops(ops);
		total = count_descriptors(&d, ops, end);
		assert_true(total > 40);
		for (at = 0; at < total; at++) {
			for (i = 0; i < 2 * DRV_POLL_MODES; i++, n++) {
				unsigned int op = 0;

				while (end[op] <= at)
					op++;
				mixed_ops(ops);
				ops[op].status = causes[n % RTE_DIM(causes)].status;
				inject_at(&d, at, causes[n % RTE_DIM(causes)].cause);
				drv_burst(&d, ops, BURST, i % DRV_POLL_MODES, n % 4, true);
			}
		}
		drv_close(&d);
	}
}

/* Each segment of a scatter/gather copy in turn, on either side. */
static void
test_sg_segments(void **state __rte_unused)
{
	unsigned int seg, side, pos, n = 0;
	struct drv_op ops[3];
	struct drv d;

	drv_open(&d, NULL);
	for (seg = 0; seg < 20; seg++) {
		for (side = 0; side < 2; side++) {
			for (pos = 0; pos < 3; pos++, n++) {
				drv_copies(ops, 3, 64);
				ops[pos] = (struct drv_op){.kind = DRV_SG, .len = 20 * 64, .segs = 20,
					.bad_seg = seg, .bad_src = side == 0, .bad_dst = side == 1,
					.status = side == 0 ? RTE_DMA_STATUS_INVALID_SRC_ADDR :
							      RTE_DMA_STATUS_INVALID_DST_ADDR};
				drv_burst(&d, ops, 3, n % DRV_POLL_MODES, n % 4, true);
			}
		}
	}
	drv_close(&d);
}

/* Run n copies, so that the ring's head and the index move on. */
static void
advance(struct drv *d, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		assert_true(rte_dma_copy(d->id, 0, drv_iova(drv_src), drv_iova(drv_dst), 1,
					RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		drv_run(d);
		assert_int_equal(rte_dma_completed(d->id, 0, 8, NULL, NULL), 1);
	}
}

/* Around the end of the ring, where slots wrap to 0, and where indices do. */
static void
test_wrap(void **state __rte_unused)
{
	static const unsigned int start[] = {DRV_CAPACITY - 20, 65535 - 20};
	unsigned int k, s, at, i, total, op, end[BURST], n = 0;
	struct drv_op ops[BURST];
	struct drv_conf conf;
	struct drv d;

	for (k = 0; k < 3; k++) {
		conf = device_kinds[k];
		conf.xfercap = 12;
		drv_open(&d, &conf);
		mixed_ops(ops);
		total = count_descriptors(&d, ops, end);
		for (s = 0; s < RTE_DIM(start); s++) {
			for (at = 0; at < total; at++, n++) {
				/* To where the burst crosses the end in its middle. */
				if (s == 0) {
					advance(&d, ((start[s] * CBDMA_SLOT - d.dev->head) & d.dev->mask) / CBDMA_SLOT);
				} else {
					assert_int_equal(rte_dma_stop(d.id), 0);
					assert_int_equal(rte_dma_start(d.id), 0);
					if (at % 8 != 0)
						continue; /* it takes 65000 operations */
					advance(&d, start[s] - at % 16);
				}
				for (op = 0; end[op] <= at; op++)
					;
				mixed_ops(ops);
				ops[op].status = RTE_DMA_STATUS_BUS_READ_ERROR;
				inject_at(&d, at, "read");
				drv_burst(&d, ops, BURST, n % DRV_POLL_MODES, n % 3, true);
				for (i = 0; i < 3; i++) {
					mixed_ops(ops);
					fail_src(&ops[i * 6 % 10]);
					ops[i * 6 % 10].kind = DRV_COPY;
					drv_burst(&d, ops, BURST, n % DRV_POLL_MODES, n % 3, true);
				}
			}
		}
		drv_close(&d);
	}
}

/* A ring that is full when the error strikes, and that has operations not submitted. */
static void
test_full_ring(void **state __rte_unused)
{
	const unsigned int capacity = DRV_CAPACITY;
	static enum rte_dma_status_code status[512];
	unsigned int k, at, i, submitted;
	struct drv d;
	uint16_t idx;

	for (k = 0; k < 2; k++) {
		drv_open(&d, &device_kinds[k]);
		for (at = 0; at < capacity; at += at < 3 || at > capacity - 5 ? 1 : 23) {
			const uint16_t first = cbdma_enqueued(d.dev);
			enum rte_dma_vchan_status vchan;
			unsigned int n = 0, polls = 0;

			submitted = at + 1 + drv_random() % (capacity - at);
			for (i = 0; i < capacity; i++) {
				assert_int_equal(rte_dma_copy(d.id, 0,
						i == at ? DRV_BAD_IOVA : drv_iova(drv_src + i * 16),
						drv_iova(drv_dst + i * 16), 16, 0), (uint16_t)(first + i));
				if (i + 1 == submitted)
					assert_int_equal(rte_dma_submit(d.id, 0), 0);
			}
			memset(drv_dst, DRV_GUARD, capacity * 16);
			assert_int_equal(rte_dma_copy(d.id, 0, 0, 0, 16, 0), -ENOSPC);
			while (n < submitted) {
				drv_run(&d);
				assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
				n += rte_dma_completed_status(d.id, 0, 512, &idx, status + n);
				assert_int_equal(idx, (uint16_t)(first + n - 1));
				assert_true(polls++ < 10);
			}
			assert_int_equal(n, submitted);
			assert_int_equal(drv_run(&d), 0); /* the others wait to be submitted */
			assert_int_equal(rte_dma_submit(d.id, 0), 0);
			assert_int_equal(drv_run(&d), capacity - submitted);
			n += rte_dma_completed_status(d.id, 0, 512, &idx, status + n);
			assert_int_equal(n, capacity);
			for (i = 0; i < capacity; i++) {
				assert_int_equal(status[i], i == at ? RTE_DMA_STATUS_INVALID_SRC_ADDR :
								      RTE_DMA_STATUS_SUCCESSFUL);
				if (i != at)
					assert_memory_equal(drv_dst + i * 16, drv_src + i * 16, 16);
				else
					assert_int_equal(drv_dst[i * 16], DRV_GUARD);
			}
		}
		drv_close(&d);
	}
}

/* completed() goes on saying so until completed_status() has been asked. */
static void
test_has_error(void **state __rte_unused)
{
	enum rte_dma_status_code status[8];
	enum rte_dma_vchan_status vchan;
	struct drv_op ops[4];
	bool has_error;
	struct drv d;
	uint16_t idx;
	int i;

	drv_open(&d, NULL);
	drv_copies(ops, 4, 64);
	fail_src(&ops[2]);
	for (i = 0; i < 4; i++)
		assert_int_equal(drv_enqueue(&d, i, &ops[i]), i);
	assert_int_equal(rte_dma_submit(d.id, 0), 0);
	drv_run(&d);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
	assert_int_equal(vchan, RTE_DMA_VCHAN_HALTED_ERROR);
	/* Not yet when there is no room for those before it. */
	assert_int_equal(rte_dma_completed(d.id, 0, 1, &idx, &has_error), 1);
	assert_false(has_error);
	assert_int_equal(rte_dma_completed(d.id, 0, 1, &idx, &has_error), 1);
	assert_false(has_error);
	for (i = 0; i < 100; i++) {
		drv_run(&d);
		assert_int_equal(rte_dma_completed(d.id, 0, 8, &idx, &has_error), 0);
		assert_true(has_error);
		assert_int_equal(idx, 1);
	}
	/* Those behind it have run meanwhile. */
	assert_memory_equal(drv_dst + 3 * DRV_STRIDE, drv_src + 3 * DRV_STRIDE, 64);
	assert_int_equal(rte_dma_completed_status(d.id, 0, 8, &idx, status), 2);
	assert_int_equal(idx, 3);
	assert_int_equal(status[0], RTE_DMA_STATUS_INVALID_SRC_ADDR);
	assert_int_equal(status[1], RTE_DMA_STATUS_SUCCESSFUL);
	assert_int_equal(rte_dma_completed(d.id, 0, 8, &idx, &has_error), 0);
	assert_false(has_error);
	drv_close(&d);
}

static void
random_ops(struct drv_op *ops, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct drv_op *op = &ops[i];

		*op = (struct drv_op){.kind = drv_random() % 3};
		op->segs = 1 + drv_random() % 20;
		op->len = op->kind == DRV_SG ? op->segs * (1 + drv_random() % (DRV_STRIDE / 20)) :
					       1 + drv_random() % DRV_STRIDE;
		op->flags = drv_random() % 4 == 0 ? RTE_DMA_OP_FLAG_SUBMIT : 0;
		op->flags |= drv_random() % 4 == 0 ? RTE_DMA_OP_FLAG_FENCE : 0;
		op->bad_seg = drv_random() % op->segs;
		if (drv_random() % 8 == 0) {
			op->bad_dst = true;
			op->status = RTE_DMA_STATUS_INVALID_DST_ADDR;
		} else if (drv_random() % 8 == 0 && op->kind != DRV_FILL) {
			fail_src(op);
		}
	}
}

static void
test_random(void **state __rte_unused)
{
	struct drv_conf conf;
	struct drv_op ops[BURST];
	unsigned int k, i, n;
	struct drv d;

	for (k = 0; k < RTE_DIM(device_kinds); k++) {
		conf = device_kinds[k];
		conf.xfercap = 12;
		drv_open(&d, &conf);
		for (i = 0; i < 500; i++) {
			n = 1 + drv_random() % 10;
			random_ops(ops, n);
			drv_burst(&d, ops, n, drv_random() % DRV_POLL_MODES, drv_random() % 6, true);
		}
		drv_close(&d);
	}
}

/* Parts that want CHANERR_INT cleared and CHANERRMSK_INT set with each recovery, whatever their
 * version.
 */
static void
test_strict(void **state __rte_unused)
{
	struct drv_op ops[4];
	uint8_t version;
	uint32_t value;
	struct drv d;
	int i;

	for (version = CBDMA_VER_3_0; version <= CBDMA_VER_3_4; version++) {
		drv_open(&d, &(struct drv_conf){.version = version, .strict = true});
		for (i = 0; i < 5; i++) {
			drv_copies(ops, 4, 64);
			fail_src(&ops[i % 4]);
			ops[3 - i % 4].bad_dst = true;
			ops[3 - i % 4].status = RTE_DMA_STATUS_INVALID_DST_ADDR;
			drv_burst(&d, ops, 4, DRV_POLL_STATUS, 0, true);
			assert_true(dm_pci_config_read(d.model, CBDMA_PCI_CHANERR_INT, &value));
			assert_int_equal(value, 0);
		}
		drv_close(&d);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_unmapped),
		cmocka_unit_test(test_unmapped_polls_only),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_each_descriptor),
		cmocka_unit_test(test_sg_segments),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_full_ring),
		cmocka_unit_test(test_has_error),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_strict),
	};

	return cmocka_run_group_tests_name("driver: errors", tests, drv_group_setup,
			drv_group_teardown);
}
