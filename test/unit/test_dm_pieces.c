/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Long descriptors are run in pieces, between which registers answer: what a driver sees is one
 * descriptor all the same.
 */

#include "dm_device_impl.h"
#include "dm_rig.h"

#define BIG	  (8u << 20)
#define BIG_IOVA  0x100000000ull
#define HALF	  (BIG / 2)
#define LONG_SIZE (3u * DM_BURST_BYTES + 13)

static struct rig rig;
static uint8_t *big;

static int
setup(void **state)
{
	const struct dm_cbdma_config config = {.xfercap = 31};
	unsigned int i;

	(void)state;
	rig_create(&rig, &config);
	big = aligned_alloc(4096, BIG);
	assert_non_null(big);
	for (i = 0; i < HALF; i++)
		big[i] = (i * 2654435761u) >> 24;
	memset(big + HALF, 0, HALF);
	/* In two parts, neither of which ends where a piece does. */
	assert_int_equal(dm_device_map(rig.dev, BIG_IOVA, 0x123440, big, DM_READ | DM_WRITE), 0);
	assert_int_equal(dm_device_map(rig.dev, BIG_IOVA + 0x123440, BIG - 0x123440, big + 0x123440,
				 DM_READ | DM_WRITE), 0);
	rig_copies(&rig, 0, 8);
	rig_copy(&rig, 1, 0, 0, LONG_SIZE);
	rig.ring[1].src = BIG_IOVA + 64;
	rig.ring[1].dst = BIG_IOVA + HALF + 3;
	rig_start(&rig);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_destroy(&rig);
	free(big);
	return 0;
}

static void
assert_done(void)
{
	assert_memory_equal(big + HALF + 3, big + 64, LONG_SIZE);
	assert_int_equal(big[HALF + 3 + LONG_SIZE], 0);
}

static void
test_run(void **state)
{
	(void)state;
	rig_run(&rig, 3);
	assert_done();
	assert_true(rig_copied(&rig, 2));
	assert_int_equal(*rig.word, rig_desc_iova(2) | CBDMA_CHANSTS_IDLE);
}

/* Each burst is a piece: nothing is told of the descriptor before the last. */
static void
test_bursts(void **state)
{
	unsigned int pieces = 0;

	(void)state;
	rig_ring(&rig, 3);
	assert_int_equal(dm_device_burst(rig.dev, 1), 1);
	while (dm_device_burst(rig.dev, DM_BURST) == 0) {
		assert_true(rig.dev->unfinished);
		assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8),
			rig_desc_iova(0) | CBDMA_CHANSTS_ACTIVE);
		assert_int_equal(*rig.word, rig_desc_iova(0) | CBDMA_CHANSTS_ACTIVE);
		assert_false(rig_copied(&rig, 2));
		assert_true(dm_device_pending(rig.dev));
		pieces++;
	}
	assert_int_equal(pieces, 3);
	assert_done();
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_true(rig_copied(&rig, 2));
	assert_false(rig.dev->unfinished);
}

static void
test_fill(void **state)
{
	const uint64_t pattern = 0x0123456789abcdef;
	unsigned int i;

	(void)state;
	rig_fill(&rig, 0, pattern, 0, LONG_SIZE);
	rig.ring[0].dst = BIG_IOVA + HALF + 3;
	rig_run(&rig, 1);
	for (i = 0; i < LONG_SIZE; i++)
		if (big[HALF + 3 + i] != (uint8_t)(pattern >> (i % 8 * 8)))
			fail_msg("byte %u", i);
	assert_int_equal(big[HALF + 3 + LONG_SIZE], 0);
}

/* Run descriptor 0, and a piece of 1. */
static void
begin_long(void)
{
	rig_ring(&rig, 3);
	assert_int_equal(dm_device_burst(rig.dev, 1), 1);
	assert_int_equal(dm_device_burst(rig.dev, 10), 0);
	assert_true(rig.dev->unfinished);
}

/* To suspend is to finish the descriptor at hand. */
static void
test_suspend(void **state)
{
	(void)state;
	begin_long();
	rig_write(&rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(rig_state(&rig), CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8),
		rig_desc_iova(1) | CBDMA_CHANSTS_SUSPENDED);
	assert_done();
	assert_false(rig_copied(&rig, 2));
}

/* A reset drops it, and what comes next starts at its beginning. */
static void
test_reset(void **state)
{
	(void)state;
	begin_long();
	rig_write(&rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	assert_int_equal(dm_device_run(rig.dev, 10), 0);
	memset(big + HALF, 0, HALF);
	rig_start(&rig);
	rig_run(&rig, 3);
	assert_done();
}

/* Memory that is unmapped in between is not written to. */
static void
test_unmap(void **state)
{
	(void)state;
	begin_long();
	assert_int_equal(dm_device_unmap(rig.dev, BIG_IOVA + HALF, HALF), 0);
	memset(big + HALF, 0, HALF);
	assert_int_equal(dm_device_run(rig.dev, 10), 0);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_XDADDERR);
	assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8), rig_desc_iova(0) | CBDMA_CHANSTS_HALTED);
	assert_int_equal(big[HALF + 3 + DM_BURST_BYTES], 0);
	/* The next long one is copied from its beginning. */
	assert_int_equal(dm_device_map(rig.dev, BIG_IOVA + HALF, HALF, big + HALF,
				 DM_READ | DM_WRITE), 0);
	rig_start(&rig);
	rig_run(&rig, 3);
	assert_done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bursts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_suspend, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap, setup, teardown),
	};

	return cmocka_run_group_tests_name("dm_pieces", tests, NULL, NULL);
}
