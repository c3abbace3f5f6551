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
	/* Or the least that the device takes. */
	assert_in_range(info.ring_size, 64, 256);
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
	refuse(&(struct ce_adapter_conf){.nb_stripes = 1}, devices[0], EINVAL);
	/* Nothing is left behind. */
	adapter_put(adapter_get(NULL));
}

static void
sharing(void **state)
{
	struct ce_adapter_conf shared = {.break_even = 1, .flags = CE_ADAPTER_SHARED, .ring_size = 64};
	struct ce_adapter *a, *b;
	struct ce_adapter_info info;
	uint16_t share;

	(void)state;
	/* Alone is alone. */
	a = adapter_get(NULL);
	adapter_put(a);
	a = adapter_get(&(struct ce_adapter_conf){.ring_size = 64});
	ce_adapter_info_get(a, &info);
	/* More than half of what there is. */
	share = info.map_registers / 2 + 5;
	shared.map_registers = share;
	refuse(NULL, devices[0], EBUSY);
	refuse(&shared, devices[0], EBUSY);
	adapter_put(a);

	a = adapter_get(&shared);
	refuse(NULL, devices[0], EBUSY);
	b = adapter_get(&shared);
	/* Who comes late gets what is left, then nothing. */
	ce_adapter_info_get(b, &info);
	assert_in_range(info.map_registers, 1, share - 1);
	refuse(&shared, devices[0], ENOSPC);
	/* What one gives back, the next can have; the device lives as long as one has it. */
	adapter_put(a);
	a = adapter_get(&shared);
	ce_adapter_info_get(a, &info);
	assert_int_equal(info.map_registers, share);
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
	const double limit = seconds() + 60;
	struct ce_transfer *next[8];
	unsigned int i, done = 0;

	(void)state;
	pattern_fill(memory, 32768, 1);
	for (i = 0; i < 8; i++) {
		ta[i].dst_va = memory + 32768 + i * 4096;
		ta[i].src_va = memory + i * 4096;
		ta[i].length = 2048;
		ta[i].flags = i % 4 == 0 ? CE_TRANSFER_FENCE : 0;
		next[i] = &ta[i];
		/* In twos, and one by one. */
		if (i % 4 == 1)
			assert_int_equal(ce_submit(a, &next[i - 1], 2), 2);
		else if (i % 4 > 1)
			assert_int_equal(ce_transfer_submit(a, &ta[i]), 0);
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

/* An owner who has filled the ring and polls no more is not waited for. */
static void
neighbour_stops_polling(void **state)
{
	struct ce_adapter_conf shared = {.flags = CE_ADAPTER_SHARED, .ring_size = 32,
		.map_registers = UINT16_MAX};
	struct ce_adapter *idle = adapter_get(&shared), *busy;
	struct ce_adapter_info info;
	uint8_t *memory = dma_alloc(64 * 1024);
	struct iovec iov[30];
	struct ce_transfer t[120] = {0}, own = {0};
	struct ce_sglist *src, *dst;
	unsigned int i;

	(void)state;
	ce_adapter_info_get(idle, &info);
	adapter_put(idle);
	shared.map_registers = RTE_MIN((unsigned int)RTE_DIM(t), info.map_registers / 2u);
	idle = adapter_get(&shared);
	busy = adapter_get(&shared);
	/* Lists, as each of their operations takes several slots of some rings. */
	for (i = 0; i < 30; i++)
		iov[i] = (struct iovec){memory + 200 * i, 100};
	src = ce_sglist_build_iov(idle, iov, 30);
	dst = ce_sglist_build(idle, memory + 8192, 3000);
	for (i = 0; i < shared.map_registers; i++) {
		t[i] = (struct ce_transfer){.src = src, .dst = dst, .length = 3000,
			.flags = i % 2 ? CE_TRANSFER_FENCE | CE_TRANSFER_MORE : CE_TRANSFER_MORE};
		assert_int_equal(ce_transfer_submit(idle, &t[i]), 0);
	}
	for (i = 0; i < 100; i++) {
		assert_int_equal(ce_transfer_copy(busy, &own, memory + 32768, memory, 16384), 0);
		assert_int_equal(finish(busy, &own), 0);
	}
	for (i = 0; i < shared.map_registers; i++)
		assert_int_equal(finish(idle, &t[i]), 0);
	ce_sglist_free(src);
	ce_sglist_free(dst);
	dma_free(memory);
	adapter_put(idle);
	adapter_put(busy);
}

/* No engine: the same calls, the same promises. */
static void
cpu_alone(void **state)
{
	struct ce_adapter *adapter = ce_adapter_get(CE_CPU, NULL);
	struct ce_transfer t[3] = {0}, *list[3], *finished[3];
	uint8_t *memory = malloc(3 << 20);
	struct ce_adapter_stats stats;
	struct ce_adapter_info info;
	unsigned int i, n = 0;

	(void)state;
	assert_non_null(adapter);
	ce_adapter_info_get(adapter, &info);
	assert_int_equal(info.dev_id, CE_CPU);
	assert_int_equal(info.channels, 0);
	pattern_fill(memory, 1 << 20, 5);
	/* From where the one before wrote, beyond what one call does. */
	for (i = 0; i < 3; i++) {
		list[i] = &t[i];
		t[i].length = 1 << 20;
		t[i].src_va = memory + ((i % 2) << 20);
		t[i].dst_va = memory + (i < 2 ? (i + 1) << 20 : 0);
	}
	assert_int_equal(ce_submit(adapter, list, 2), 2);
	assert_int_equal(t[0].status, -EINPROGRESS);
	assert_int_equal(ce_adapter_put(adapter), -EBUSY);
	while (n < 2)
		n += ce_collect(adapter, &finished[n], 3 - n);
	assert_ptr_equal(finished[0], &t[0]);
	assert_ptr_equal(finished[1], &t[1]);
	assert_true(pattern_is(memory + (2 << 20), 1 << 20, 5));
	assert_int_equal(ce_transfer_fill(adapter, &t[2], memory + 3, 0x0807060504030201, 1000001), 0);
	assert_int_equal(ce_drain(adapter, 10000), 0);
	for (i = 0; i < 1000001; i++)
		assert_int_equal(memory[3 + i], i % 8 + 1);
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.cpu_bytes, (2 << 20) + 1000001);
	assert_int_equal(stats.engine_bytes, 0);
	free(memory);
	assert_int_equal(ce_adapter_close(adapter, 1000), 0);
}

/* Long lists are not kept from the ring by a neighbour's short ones, which fill it again and again. */
static void
long_beside_short(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_SHARED, .map_registers = 400};
	struct ce_adapter *adapters[] = {adapter_get(&conf), adapter_get(&conf)};
	const unsigned int lengths[] = {4, 256};
	static struct ce_transfer t[400];
	uint8_t *memory = dma_alloc(96 << 10);
	struct ce_transfer wanted = {.length = 256 * 64};
	const double limit = seconds() + 60;
	struct ce_sglist *lists[4];
	struct iovec iov[256];
	unsigned int i, j;

	(void)state;
	pattern_fill(memory, 48 << 10, 2);
	/* Two sources, one upon the other, and two destinations. */
	for (i = 0; i < 4; i++) {
		for (j = 0; j < lengths[i % 2]; j++) {
			iov[j].iov_base = memory + (i / 2 * 48 << 10) + (i % 2 * 2 << 10) + j * 128;
			iov[j].iov_len = 64;
		}
		lists[i] = ce_sglist_build_iov(adapters[i % 2], iov, lengths[i % 2]);
		assert_non_null(lists[i]);
	}
	memset(t, 0, sizeof(t));
	for (i = 0; i < RTE_DIM(t); i++) {
		t[i].src = lists[0];
		t[i].dst = lists[2];
		t[i].length = 4 * 64;
		assert_int_equal(ce_transfer_submit(adapters[0], &t[i]), 0);
	}
	wanted.src = lists[1];
	wanted.dst = lists[3];
	assert_int_equal(ce_transfer_submit(adapters[1], &wanted), 0);
	for (i = 0; wanted.status == -EINPROGRESS && seconds() < limit; i++) {
		run(adapters[0]);
		for (j = 0; j < RTE_DIM(t); j++)
			if (t[j].status == 0)
				assert_int_equal(ce_transfer_submit(adapters[0], &t[j]), 0);
		ce_poll(adapters[1]);
		/* Some rings full of steps. */
		assert_true(!is_step || i < 10000);
	}
	assert_int_equal(wanted.status, 0);
	for (j = 0; j < 256; j++)
		assert_memory_equal(memory + (50 << 10) + j * 128, memory + (2 << 10) + j * 128, 64);
	for (j = 0; j < RTE_DIM(t); j++)
		assert_int_equal(finish(adapters[0], &t[j]), 0);
	for (i = 0; i < 4; i++)
		ce_sglist_free(lists[i]);
	dma_free(memory);
	adapter_put(adapters[0]);
	adapter_put(adapters[1]);
}

static void
called_back(struct ce_transfer *transfer, void *arg)
{
	(void)transfer;
	++*(unsigned int *)arg;
}

/* There is no device that might not come to an end: closing brings back all, however many. */
static void
cpu_closes(void **state)
{
	static struct ce_transfer t[300];
	struct ce_adapter *adapter = ce_adapter_get(CE_CPU, NULL);
	unsigned int i, called = 0;
	uint8_t memory[128] = {0};

	(void)state;
	assert_non_null(adapter);
	for (i = 0; i < RTE_DIM(t); i++) {
		t[i].cb = called_back;
		t[i].arg = &called;
		assert_int_equal(ce_transfer_copy(adapter, &t[i], memory + 64, memory, 64), 0);
	}
	assert_int_equal(ce_adapter_close(adapter, 0), 0);
	assert_int_equal(called, RTE_DIM(t));
}

/* No memory is no memory, also for a device that takes any address. */
static void
null_pointers(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	uint8_t *memory = dma_alloc(4096);
	struct ce_transfer t = {0}, *list = &t;
	unsigned int i;

	(void)state;
	/* From the second on, it is known where memory is. */
	for (i = 0; i < 3; i++) {
		assert_int_equal(ce_transfer_copy(adapter, &t, memory, NULL, 64), -EINVAL);
		assert_int_equal(ce_transfer_copy(adapter, &t, NULL, memory, 64), -EINVAL);
		assert_int_equal(ce_submit(adapter, &list, 1), -EINVAL);
		assert_int_equal(ce_transfer_copy(adapter, &t, memory + 64, memory, 64), 0);
		while (t.status == -EINPROGRESS)
			run(adapter);
		assert_int_equal(t.status, 0);
	}
	dma_free(memory);
	adapter_put(adapter);
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
		cmocka_unit_test(neighbour_stops_polling),
		cmocka_unit_test(long_beside_short),
		cmocka_unit_test(cpu_alone),
		cmocka_unit_test(cpu_closes),
		cmocka_unit_test(null_pointers),
	};

	return cmocka_run_group_tests_name("adapters", tests, NULL, NULL);
}
