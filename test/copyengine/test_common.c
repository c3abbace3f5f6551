/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Common buffers and pools of blocks in them. */

#include "common.h"

static void
two_addresses(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_common_buffer *buffer;
	struct ce_adapter_stats stats;
	size_t i;

	(void)state;
	buffer = ce_common_buffer_alloc(adapter, 5000);
	assert_non_null(buffer);
	assert_int_equal(buffer->length, 8192);
	assert_int_equal((uintptr_t)buffer->va % CE_PAGE_SIZE, 0);
	assert_int_equal(buffer->iova % CE_PAGE_SIZE, 0);
	for (i = 0; i < buffer->length; i++)
		assert_int_equal(((uint8_t *)buffer->va)[i], 0);
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.common_bytes, 8192);
	ce_common_buffer_free(buffer);
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.common_bytes, 0);
	assert_int_equal(stats.common_bytes_max, 8192);

	rte_errno = 0;
	assert_null(ce_common_buffer_alloc(adapter, 0));
	assert_int_equal(rte_errno, EINVAL);
	ce_common_buffer_free(NULL);
	adapter_put(adapter);
}

/* Until there is no more: NULL, and nothing is lost by it. */
static void
exhaustion(void **state)
{
	const size_t length = 1 << 20; /* in any 2 MB page: such neighbours may be rare */
	struct ce_common_buffer *buffers[4096];
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_adapter_stats stats;
	unsigned int i, count, round, first = 0;

	(void)state;
	rte_errno = 0;
	assert_null(ce_common_buffer_alloc(adapter, SIZE_MAX));
	assert_int_equal(rte_errno, ENOMEM);
	assert_null(ce_common_buffer_alloc(adapter, (size_t)1 << 46));
	for (round = 0; round < 2; round++) {
		for (count = 0; count < RTE_DIM(buffers); count++) {
			buffers[count] = ce_common_buffer_alloc(adapter, length);
			if (buffers[count] == NULL)
				break;
		}
		assert_in_range(count, 1, RTE_DIM(buffers) - 1);
		assert_int_equal(rte_errno, ENOMEM);
		ce_adapter_stats_get(adapter, &stats);
		assert_int_equal(stats.common_bytes, count * length);
		assert_int_equal(stats.common_failed, 3 + round);
		for (i = 0; i < count; i++)
			ce_common_buffer_free(buffers[i]);
		if (round == 0)
			first = count;
	}
	assert_int_equal(count, first);
	adapter_put(adapter);
}

static void
pool(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_common_pool *blocks;
	struct ce_common_pool_stats stats;
	uint8_t *block[300];
	rte_iova_t iova[300];
	unsigned int i;

	(void)state;
	blocks = ce_common_pool_create(adapter, 100, 10);
	assert_non_null(blocks);
	ce_common_pool_stats_get(blocks, &stats);
	assert_int_equal(stats.bytes % CE_PAGE_SIZE, 0);
	/* The rest of the page is not wasted. */
	assert_in_range(stats.blocks, 16, RTE_DIM(block));
	assert_in_range(stats.block_size, 100, 128);
	for (i = 0; i < stats.blocks; i++) {
		block[i] = ce_common_pool_get(blocks, &iova[i]);
		assert_non_null(block[i]);
		assert_int_equal((uintptr_t)block[i] % RTE_CACHE_LINE_SIZE, 0);
		/* One offset for all. */
		assert_true(iova[i] - (uintptr_t)block[i] == iova[0] - (uintptr_t)block[0]);
		memset(block[i], i, 100);
	}
	assert_null(ce_common_pool_get(blocks, NULL));
	assert_int_equal(ce_common_pool_destroy(blocks), -EBUSY);
	ce_common_pool_stats_get(blocks, &stats);
	assert_int_equal(stats.blocks_used, stats.blocks);
	assert_int_equal(stats.allocations, stats.blocks);
	assert_int_equal(stats.exhaustions, 1);
	for (i = 0; i < stats.blocks; i++) {
		assert_int_equal(block[i][0], (uint8_t)i);
		assert_int_equal(block[i][99], (uint8_t)i);
		ce_common_pool_put(blocks, block[i]);
	}
	ce_common_pool_stats_get(blocks, &stats);
	assert_int_equal(stats.blocks_used, 0);
	assert_int_equal(ce_common_pool_destroy(blocks), 0);

	assert_null(ce_common_pool_create(adapter, 0, 1));
	assert_null(ce_common_pool_create(adapter, 1, 0));
	assert_null(ce_common_pool_create(adapter, 1 << 20, 1 << 20));
	assert_int_equal(ce_common_pool_destroy(NULL), 0);
	adapter_put(adapter);
}

/* Both sides reach it: the device copies from block to block by IOVA, as lists find it. */
static void
reachable(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_common_buffer *buffer = ce_common_buffer_alloc(adapter, 65536);
	struct ce_adapter_stats stats;
	struct ce_transfer t = {0};

	(void)state;
	pattern_fill(buffer->va, 32768, 7);
	ce_sync_for_device(adapter, buffer->va, 32768);
	assert_int_equal(
		ce_transfer_copy(adapter, &t, RTE_PTR_ADD(buffer->va, 32768), buffer->va, 32768), 0);
	assert_int_equal(finish(adapter, &t), 0);
	ce_sync_for_cpu(adapter, RTE_PTR_ADD(buffer->va, 32768), 32768);
	assert_true(pattern_is(RTE_PTR_ADD(buffer->va, 32768), 32768, 7));
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.bounced, 0);
	ce_common_buffer_free(buffer);
	adapter_put(adapter);
}

int
test_common(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_addresses),
		cmocka_unit_test(exhaustion),
		cmocka_unit_test(pool),
		cmocka_unit_test(reachable),
	};

	return cmocka_run_group_tests_name("common buffers", tests, NULL, NULL);
}
