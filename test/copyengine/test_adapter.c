/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Adapter objects: get one, learn its limits, put it back. */

#include "common.h"

static void
get_and_put(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_adapter_info info;

	(void)state;
	ce_adapter_info_get(adapter, &info);
	assert_int_equal(info.dev_id, devices[0]);
	assert_int_equal(info.vchan, 0);
	assert_int_equal(info.ring_size, 1024);
	assert_in_range(info.map_registers, 1, 1024);
	assert_int_equal(info.sg, info.max_sges > 1);
	if (is_cbdma)
		assert_true(info.sg && !info.sva);
	else
		assert_true(info.sva);
	adapter_put(adapter);
	/* And again: the device starts anew, also with another ring. */
	adapter = adapter_get(&(struct ce_adapter_conf){.ring_size = 64, .map_registers = 10,
		.flags = CE_ADAPTER_NO_SG | CE_ADAPTER_NO_SVA, .max_segment = 4096});
	ce_adapter_info_get(adapter, &info);
	assert_int_equal(info.ring_size, 64);
	assert_int_equal(info.map_registers, 10);
	assert_int_equal(info.max_sges, 1);
	assert_int_equal(info.max_segment, 4096);
	assert_false(info.sg || info.sva);
	adapter_put(adapter);
}

static void
refuse(const struct ce_adapter_conf *conf, int16_t dev_id, int error)
{
	rte_errno = 0;
	assert_null(ce_adapter_get(dev_id, conf));
	assert_int_equal(rte_errno, error);
}

static void
bad_arguments(void **state)
{
	(void)state;
	refuse(NULL, -1, EINVAL);
	refuse(NULL, 63, EINVAL);
	refuse(&(struct ce_adapter_conf){.vchan = 1}, devices[0], EINVAL);
	refuse(&(struct ce_adapter_conf){.nb_vchans = 100}, devices[0], EINVAL);
	refuse(&(struct ce_adapter_conf){.flags = 1u << 20}, devices[0], EINVAL);
	refuse(&(struct ce_adapter_conf){.max_segment = 1}, devices[0], EINVAL);
	refuse(&(struct ce_adapter_conf){.bounce_size = 1}, devices[0], EINVAL);
	refuse(&(struct ce_adapter_conf){.bounce_size = 2 << 20}, devices[0], EINVAL);
	refuse(&(struct ce_adapter_conf){.bounce_buffers = 1}, devices[0], EINVAL);
	/* Nothing is left behind. */
	adapter_put(adapter_get(NULL));
}

static void
sharing(void **state)
{
	const struct ce_adapter_conf shared = {.flags = CE_ADAPTER_SHARED, .ring_size = 64,
		.map_registers = 40};
	struct ce_adapter *a, *b;
	struct ce_adapter_info info;

	(void)state;
	/* Alone is alone. */
	a = adapter_get(NULL);
	refuse(NULL, devices[0], EBUSY);
	refuse(&shared, devices[0], EBUSY);
	adapter_put(a);

	a = adapter_get(&shared);
	refuse(NULL, devices[0], EBUSY);
	b = adapter_get(&shared);
	/* Who comes late gets what is left, then nothing. */
	ce_adapter_info_get(b, &info);
	assert_in_range(info.map_registers, 1, 24);
	refuse(&shared, devices[0], ENOSPC);
	/* What one gives back, the next can have; the device lives as long as one has it. */
	adapter_put(a);
	a = adapter_get(&shared);
	ce_adapter_info_get(a, &info);
	assert_int_equal(info.map_registers, 40);
	adapter_put(b);
	adapter_put(a);
}

static void
busy(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	uint8_t *memory = dma_alloc(8192);
	struct ce_transfer t = {0};
	struct ce_common_buffer *buffer;
	struct ce_sglist *list;

	(void)state;
	assert_int_equal(ce_transfer_copy(adapter, &t, memory, memory + 4096, 4096), 0);
	assert_int_equal(ce_adapter_put(adapter), -EBUSY);
	assert_int_equal(finish(adapter, &t), 0);

	list = ce_sglist_build(adapter, memory, 100);
	assert_non_null(list);
	assert_int_equal(ce_adapter_put(adapter), -EBUSY);
	ce_sglist_free(list);

	buffer = ce_common_buffer_alloc(adapter, 1);
	assert_non_null(buffer);
	assert_int_equal(ce_adapter_put(adapter), -EBUSY);
	ce_common_buffer_free(buffer);
	adapter_put(adapter);
	dma_free(memory);
}

/* Completions find their owner, whoever collects them. */
static void
routing(void **state)
{
	const struct ce_adapter_conf shared = {.flags = CE_ADAPTER_SHARED};
	struct ce_adapter *a = adapter_get(&shared), *b = adapter_get(&shared);
	uint8_t *memory = dma_alloc(64 * 1024);
	struct ce_transfer ta[8] = {0}, tb[8] = {0};
	struct ce_adapter_stats stats;
	const double limit = seconds() + 20;
	unsigned int i, done = 0;

	(void)state;
	pattern_fill(memory, 32768, 1);
	for (i = 0; i < 8; i++) {
		assert_int_equal(ce_transfer_copy(a, &ta[i], memory + 32768 + i * 4096,
			memory + i * 4096, 2048), 0);
		assert_int_equal(ce_transfer_copy(b, &tb[i], memory + 34816 + i * 4096,
			memory + 2048 + i * 4096, 2048), 0);
	}
	while (done < 8 && seconds() < limit)
		done += run(a);
	for (i = 0; i < 8; i++) {
		assert_int_equal(ta[i].status, 0);
		/* b has not polled: nothing of it has finished, whatever the device has done. */
		assert_int_equal(tb[i].status, -EINPROGRESS);
	}
	for (i = 0; i < 8; i++)
		assert_int_equal(finish(b, &tb[i]), 0);
	assert_true(pattern_is(memory + 32768, 32768, 1));
	ce_adapter_stats_get(b, &stats);
	assert_int_equal(stats.transfers, 8);
	assert_int_equal(stats.bytes, 16384);
	adapter_put(a);
	adapter_put(b);
	dma_free(memory);
}

int
test_adapter(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_and_put),
		cmocka_unit_test(bad_arguments),
		cmocka_unit_test(sharing),
		cmocka_unit_test(busy),
		cmocka_unit_test(routing),
	};

	return cmocka_run_group_tests_name("adapters", tests, NULL, NULL);
}
