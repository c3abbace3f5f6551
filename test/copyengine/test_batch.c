/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Batches, cancelling and closing, fills, stripes, packets, counters. */

#include "common.h"

#include <stdio.h>

#include <rte_mbuf.h>

#define KB 1024
#define BATCH 48

static void
batch(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	uint8_t *memory = dma_alloc(2 * BATCH * KB);
	struct ce_transfer t[BATCH] = {0}, *list[BATCH], *finished[BATCH];
	unsigned int i, n, got = 0;
	const double limit = seconds() + 60;

	(void)state;
	pattern_fill(memory, BATCH * KB, 1);
	for (i = 0; i < BATCH; i++) {
		list[i] = &t[i];
		/* Some are shorter than pays, some longer than one operation. */
		t[i].length = 1 + i * 21;
		t[i].src_va = memory + i * KB;
		t[i].dst_va = memory + (BATCH + i) * KB;
	}
	/* The one that is wrong stops it; what is before it is started. */
	t[20].length = 0;
	assert_int_equal(ce_submit(adapter, list, BATCH), 20);
	assert_int_equal(ce_submit(adapter, &list[20], 2), -EINVAL);
	t[20].length = 1 + 20 * 21;
	assert_int_equal(ce_submit(adapter, &list[20], BATCH - 20), BATCH - 20);
	assert_int_equal(ce_submit(adapter, list, 1), -EBUSY);
	while (got < BATCH && seconds() < limit) {
		step_devices(3);
		n = ce_collect(adapter, &finished[got], 7);
		assert_in_range(n, 0, 7);
		got += n;
	}
	for (i = 0; i < BATCH; i++) {
		assert_ptr_equal(finished[i], &t[i]);
		assert_int_equal(t[i].status, 0);
		assert_int_equal(t[i].done, t[i].length);
		assert_memory_equal(t[i].dst_va, t[i].src_va, t[i].length);
		assert_int_equal(((uint8_t *)t[i].dst_va)[t[i].length], 0);
	}
	assert_int_equal(ce_collect(adapter, finished, BATCH), 0);
	dma_free(memory);
	adapter_put(adapter);
}

struct order {
	unsigned int count;
	int status[8];
	struct ce_transfer *transfer[8];
};

static void
note(struct ce_transfer *transfer, void *arg)
{
	struct order *order = arg;

	order->transfer[order->count] = transfer;
	order->status[order->count++] = transfer->status;
}

static void
cancel(void **state)
{
	const struct ce_adapter_conf conf = {.map_registers = 1, .max_segment = KB};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = dma_alloc(64 * KB);
	struct order order = {0};
	struct ce_transfer t[4] = {0};
	unsigned int i;

	(void)state;
	assert_int_equal(ce_transfer_cancel(adapter, &t[0]), -ENOENT);
	for (i = 0; i < 4; i++) {
		t[i].cb = note;
		t[i].arg = &order;
		assert_int_equal(ce_transfer_copy(adapter, &t[i], memory + 32 * KB, memory, 8 * KB), 0);
	}
	/* The first has begun; the others wait for its map register. */
	assert_int_equal(ce_transfer_cancel(adapter, &t[0]), -EBUSY);
	assert_int_equal(ce_transfer_cancel(adapter, &t[1]), 0);
	assert_int_equal(ce_transfer_cancel(adapter, &t[3]), 0);
	assert_int_equal(order.count, 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(finish(adapter, &t[i]), i % 2 ? -ECANCELED : 0);
		assert_int_equal(t[i].done, i % 2 ? 0 : 8 * KB);
	}
	for (i = 0; i < 4; i++)
		assert_ptr_equal(order.transfer[i], &t[i]);
	dma_free(memory);
	adapter_put(adapter);
}

/* A fence that has been cancelled is one all the same for what was submitted behind it. */
static void
cancel_fence(void **state)
{
	const struct ce_adapter_conf conf = {
		.map_registers = 1, .max_segment = KB, .break_even = KB / 2};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = dma_alloc(64 * KB);
	struct ce_transfer t[3] = {0};
	unsigned int i;

	(void)state;
	pattern_fill(memory, 8 * KB, 3);
	/* The engine's, in pieces; the last, of what the first writes, is the CPU's and quick. */
	assert_int_equal(ce_transfer_copy(adapter, &t[0], memory + 8 * KB, memory, 8 * KB), 0);
	t[1].flags = CE_TRANSFER_FENCE;
	assert_int_equal(
		ce_transfer_copy(adapter, &t[1], memory + 32 * KB, memory + 16 * KB, 100), 0);
	assert_int_equal(
		ce_transfer_copy(adapter, &t[2], memory + 24 * KB, memory + 16 * KB - 100, 100), 0);
	assert_int_equal(ce_transfer_cancel(adapter, &t[1]), 0);
	for (i = 0; i < 8; i++) {
		step_devices(1);
		ce_poll(adapter);
	}
	assert_int_equal(finish(adapter, &t[0]), 0);
	assert_int_equal(finish(adapter, &t[1]), -ECANCELED);
	assert_int_equal(finish(adapter, &t[2]), 0);
	assert_memory_equal(memory + 24 * KB, memory + 8 * KB - 100, 100);
	dma_free(memory);
	adapter_put(adapter);
}

/*
 * An operation that takes several descriptors finds no room for them before the map registers are used
 * up: it waits, and those before it, that were to have their doorbell rung with it, do not.
 */
static void
more_and_full(void **state)
{
	const struct ce_adapter_conf conf = {
		.ring_size = 64, .max_segment = 4 * KB * KB, .break_even = 1};
	struct ce_adapter *adapter = adapter_get(&conf);
	const size_t length = conf.max_segment;
	uint8_t *memory = dma_alloc(2 * length);
	struct ce_transfer t[16] = {0};
	unsigned int i;

	(void)state;
	pattern_fill(memory, length, 4);
	/* With the first it is looked up where the memory is: the others take the fast path. */
	assert_int_equal(ce_transfer_copy(adapter, &t[0], memory + length, memory, length), 0);
	assert_int_equal(finish(adapter, &t[0]), 0);
	for (i = 0; i < RTE_DIM(t); i++) {
		t[i].flags = i < RTE_DIM(t) - 1 ? CE_TRANSFER_MORE : 0;
		assert_int_equal(
			ce_transfer_copy(adapter, &t[i], memory + length, memory, length), 0);
	}
	for (i = 0; i < RTE_DIM(t); i++)
		assert_int_equal(finish(adapter, &t[i]), 0);
	assert_memory_equal(memory + length, memory, length);
	dma_free(memory);
	adapter_put(adapter);
}

/* Somebody else has stopped the device: what it refuses is no fault of the transfer's values. */
static void
stopped_by_others(void **state)
{
	struct ce_adapter *adapter;
	struct ce_transfer t = {0};
	uint8_t *memory;
	unsigned int i;

	(void)state;
	/* dma_skeleton takes operations that it will not run. */
	if (!is_cbdma)
		skip();
	adapter = adapter_get(NULL);
	memory = dma_alloc(2 * KB);
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + KB, memory, KB), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_int_equal(rte_dma_stop(devices[0]), 0);
	/* By the fast path, and the longer way. */
	for (i = 0; i < 2; i++) {
		t.flags = i == 0 ? 0 : CE_TRANSFER_FENCE;
		assert_int_equal(ce_transfer_copy(adapter, &t, memory + KB, memory, KB), -EIO);
		assert_int_equal(t.status, 0);
	}
	dma_free(memory);
	adapter_put(adapter);
	adapter_put(adapter_get(NULL));
}

static void
drain_and_close(void **state)
{
	const struct ce_adapter_conf conf = {.map_registers = 1, .max_segment = KB};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = dma_alloc(64 * KB);
	struct order order = {0};
	struct ce_transfer t[4] = {0};
	struct ce_sglist *list;
	unsigned int i;

	(void)state;
	assert_int_equal(ce_drain(adapter, 0), 0);
	for (i = 0; i < 4; i++) {
		t[i].cb = note;
		t[i].arg = &order;
		assert_int_equal(ce_transfer_copy(adapter, &t[i], memory + 32 * KB, memory, 8 * KB), 0);
	}
	/* Nobody steps the model here: nothing comes back, and the wait ends all the same. */
	if (is_step) {
		const double start = seconds();

		assert_int_equal(ce_drain(adapter, 20), -ETIMEDOUT);
		assert_true(seconds() - start < 5);
	} else {
		assert_int_equal(ce_drain(adapter, 20000), 0);
		assert_int_equal(order.count, 4);
		order.count = 0;
		for (i = 0; i < 4; i++)
			assert_int_equal(ce_transfer_copy(adapter, &t[i], memory + 32 * KB, memory,
				8 * KB), 0);
	}
	list = ce_sglist_build(adapter, memory, 100);
	assert_int_equal(ce_adapter_close(adapter, 100), -EBUSY);
	/* All is back: what was under way, and what had not been started. */
	assert_int_equal(order.count, 4);
	for (i = 0; i < 4; i++)
		assert_int_not_equal(t[i].status, -EINPROGRESS);
	assert_int_equal(order.status[3], -ECANCELED);
	ce_sglist_free(list);
	assert_int_equal(ce_adapter_close(adapter, 100), 0);
	dma_free(memory);
	/* The device is as good as new. */
	adapter_put(adapter_get(NULL));
}

/* A byte of a fill. */
static uint8_t
filled(uint64_t pattern, uint64_t i)
{
	return pattern >> i % 8 * 8;
}

static void
fill(void **state)
{
	const struct ce_adapter_conf confs[] = {{.break_even = 1}, {.break_even = 1, .max_segment = 100},
		{.break_even = 500, .flags = CE_ADAPTER_NO_SVA}};
	const uint64_t pattern = 0x8877665544332211;
	uint8_t *memory = dma_alloc(64 * KB), *unreached = malloc(64 * KB);
	struct ce_adapter_stats stats;
	struct ce_adapter_info info;
	struct ce_adapter *adapter;
	struct ce_transfer t = {0};
	struct iovec iov[3];
	unsigned int i, k;
	uint64_t at;

	(void)state;
	for (k = 0; k < RTE_DIM(confs); k++) {
		adapter = adapter_get(&confs[k]);
		ce_adapter_info_get(adapter, &info);
		memset(memory, 0, 64 * KB);
		memset(unreached, 0, 64 * KB);
		t.flags = 0;
		assert_int_equal(ce_transfer_fill(adapter, &t, memory + 3, pattern, 10001), 0);
		assert_int_equal(finish(adapter, &t), 0);
		for (i = 0; i < 10001; i++)
			assert_int_equal(memory[3 + i], filled(pattern, i));
		assert_int_equal(memory[2] | memory[10004], 0);
		ce_adapter_stats_get(adapter, &stats);
		assert_int_equal(stats.engine_bytes, info.fill ? 10001 : 0);
		/* A list whose segments begin anywhere in the pattern. */
		iov[0] = (struct iovec){memory + 20000, 1003};
		iov[1] = (struct iovec){unreached + 5, 777};
		iov[2] = (struct iovec){memory + 30001, 5};
		t.dst = ce_sglist_build_iov(adapter, iov, 3);
		t.length = 1785;
		assert_int_equal(ce_transfer_submit(adapter, &t), 0);
		assert_int_equal(finish(adapter, &t), 0);
		for (i = 0, at = 0; i < 3; at += iov[i++].iov_len) {
			const uint8_t *bytes = iov[i].iov_base;
			size_t j;

			for (j = 0; j < iov[i].iov_len; j++)
				assert_int_equal(bytes[j], filled(pattern, at + j));
			assert_int_equal(bytes[j], 0);
		}
		ce_sglist_free(t.dst);
		t.dst = NULL;
		adapter_put(adapter);
	}
	dma_free(memory);
	free(unreached);
}

/* Two devices: long transfers in pieces on both, and all in order. */
static void
stripes(void **state)
{
	const struct ce_channel_id more = {.dev_id = devices[1]};
	const struct ce_adapter_conf conf = {.stripes = &more, .nb_stripes = 1};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = dma_alloc(600 * KB);
	struct order order = {0};
	struct ce_transfer t[8] = {0};
	struct rte_dma_stats before[2], after[2];
	struct ce_adapter_info info;
	unsigned int i;

	(void)state;
	ce_adapter_info_get(adapter, &info);
	assert_int_equal(info.channels, 2);
	assert_null(ce_adapter_get(devices[1], NULL));
	assert_int_equal(rte_errno, EBUSY);
	for (i = 0; i < 2; i++)
		rte_dma_stats_get(devices[i], 0, &before[i]);
	pattern_fill(memory, 300 * KB, 7);
	/* Long and short in turn; the last is fenced, and reads what the first writes. */
	for (i = 0; i < 8; i++) {
		t[i].cb = note;
		t[i].arg = &order;
		t[i].flags = i == 7 ? CE_TRANSFER_FENCE : 0;
		assert_int_equal(ce_transfer_copy(adapter, &t[i],
			memory + 300 * KB + (i == 7 ? 0 : i * 32 * KB),
			memory + (i == 7 ? 301 * KB : i * 32 * KB), i == 7 ? KB : i % 2 ? 100 : 32 * KB), 0);
	}
	for (i = 0; i < 8; i++)
		assert_int_equal(finish(adapter, &t[i]), 0);
	for (i = 0; i < 8; i++)
		assert_ptr_equal(order.transfer[i], &t[i]);
	assert_memory_equal(memory + 300 * KB, memory + KB, KB);
	for (i = 1; i < 7; i++)
		assert_memory_equal(memory + (300 + 32 * i) * KB, memory + 32 * i * KB,
			i % 2 ? 100 : 32 * KB);
	for (i = 0; i < 2; i++) {
		rte_dma_stats_get(devices[i], 0, &after[i]);
		assert_true(after[i].completed - before[i].completed >= 4);
	}
	dma_free(memory);
	adapter_put(adapter);
	/* A channel cannot be there twice, nor one that there is not. */
	assert_null(ce_adapter_get(devices[1], &conf));
	assert_int_equal(rte_errno, EBUSY);
	adapter_put(adapter_get(NULL));
}

static void
packet(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct rte_mempool *in = rte_pktmbuf_pool_create("in", 63, 0, 0, 256, SOCKET_ID_ANY);
	struct rte_mempool *out = rte_pktmbuf_pool_create("out", 31, 0, 0, 328, SOCKET_ID_ANY);
	struct rte_mbuf *head, *m, *copy, *copies[64];
	struct ce_transfer t = {0};
	uint8_t flat[2][2000];
	unsigned int segments, i, n;

	(void)state;
	for (segments = 1; segments < 10; segments += 4) {
		head = rte_pktmbuf_alloc(in);
		pattern_fill(rte_pktmbuf_append(head, 100), 100, 1);
		for (i = 1; i < segments; i++) {
			m = rte_pktmbuf_alloc(in);
			pattern_fill(rte_pktmbuf_append(m, 90 + i), 90 + i, i);
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
		}
		head->vlan_tci = 42;
		copy = ce_packet_copy(adapter, &t, head, out);
		assert_non_null(copy);
		assert_int_equal(finish(adapter, &t), 0);
		assert_int_equal(copy->pkt_len, head->pkt_len);
		assert_int_equal(copy->vlan_tci, 42);
		rte_mbuf_sanity_check(copy, 1);
		assert_memory_equal(rte_pktmbuf_read(copy, 0, copy->pkt_len, flat[0]),
			rte_pktmbuf_read(head, 0, head->pkt_len, flat[1]), head->pkt_len);
		rte_pktmbuf_free(copy);
		/* Until the pool is empty: nothing is lost by it. */
		n = 0;
		while ((copies[n] = ce_packet_copy(adapter, &t, head, out)) != NULL) {
			assert_int_equal(finish(adapter, &t), 0);
			n++;
		}
		assert_int_equal(rte_errno, ENOMEM);
		while (n > 0)
			rte_pktmbuf_free(copies[--n]);
		assert_int_equal(rte_mempool_in_use_count(out), 0);
		rte_pktmbuf_free(head);
	}
	head = rte_pktmbuf_alloc(in);
	assert_null(ce_packet_copy(adapter, &t, head, out));
	assert_int_equal(rte_errno, EINVAL);
	rte_pktmbuf_free(head);
	rte_mempool_free(in);
	rte_mempool_free(out);
	adapter_put(adapter);
}

/* By default the size is measured, or a guess when the device does not run; the figures add up. */
static void
figures(void **state)
{
	struct ce_adapter *adapter = ce_adapter_get(devices[0], NULL);
	uint8_t *memory = dma_alloc(128 * KB);
	struct ce_adapter_stats stats;
	struct ce_adapter_info info;
	struct ce_transfer t = {0};
	unsigned int i;

	(void)state;
	assert_non_null(adapter);
	ce_adapter_info_get(adapter, &info);
	assert_in_range(info.break_even, 64, 16384);
	assert_true(rte_is_power_of_2(info.break_even));
	print_message("break-even size: %u bytes\n", info.break_even);
	for (i = 0; i < 200; i++) {
		assert_int_equal(ce_transfer_copy(adapter, &t, memory + 64 * KB, memory,
			info.break_even - (i % 2)), 0);
		assert_int_equal(finish(adapter, &t), 0);
	}
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.transfers, 200);
	assert_int_equal(stats.operations, 100);
	assert_int_equal(stats.engine_bytes, 100 * info.break_even);
	assert_int_equal(stats.cpu_bytes, 100 * (info.break_even - 1));
	assert_int_equal(stats.bytes, stats.engine_bytes + stats.cpu_bytes);
	assert_true(stats.latency_p50_ns > 0);
	assert_true(stats.latency_p50_ns <= stats.latency_p99_ns);
	assert_true(stats.latency_p99_ns <= stats.latency_max_ns);
	dma_free(memory);
	adapter_put(adapter);
	/* A direction that the device does not have. */
	assert_null(ce_adapter_get(devices[0],
		&(struct ce_adapter_conf){.direction = RTE_DMA_DIR_MEM_TO_DEV}));
	assert_int_equal(rte_errno, ENOTSUP);
}

/* What was refused leaves nothing behind that a later use of the transfer would find. */
static void
packet_refused(void **state)
{
	struct ce_adapter *adapter = adapter_get(&(struct ce_adapter_conf){.sg_blocks = 1});
	struct rte_mempool *pool = rte_pktmbuf_pool_create("small", 63, 0, 0, 256, SOCKET_ID_ANY);
	struct rte_mbuf *packet = rte_pktmbuf_alloc(pool), *more = rte_pktmbuf_alloc(pool);
	struct ce_transfer t = {0};
	uint8_t *memory = dma_alloc(2 * KB);

	(void)state;
	assert_non_null(rte_pktmbuf_append(packet, 64));
	assert_non_null(rte_pktmbuf_append(more, 64));
	assert_int_equal(rte_pktmbuf_chain(packet, more), 0);
	/* There is a block for one list only. */
	assert_null(ce_packet_copy(adapter, &t, packet, pool));
	assert_int_equal(rte_errno, ENOMEM);
	pattern_fill(memory, KB, 5);
	t.length = 128;
	t.src_va = memory;
	t.dst_va = memory + KB;
	assert_int_equal(ce_transfer_submit(adapter, &t), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_memory_equal(memory + KB, memory, 128);
	rte_pktmbuf_free(packet);
	assert_int_equal(rte_mempool_avail_count(pool), 63);
	rte_mempool_free(pool);
	dma_free(memory);
	adapter_put(adapter);
}

int
test_batch(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch),
		cmocka_unit_test(cancel),
		cmocka_unit_test(cancel_fence),
		cmocka_unit_test(more_and_full),
		cmocka_unit_test(stopped_by_others),
		cmocka_unit_test(drain_and_close),
		cmocka_unit_test(fill),
		cmocka_unit_test(stripes),
		cmocka_unit_test(packet),
		cmocka_unit_test(packet_refused),
		cmocka_unit_test(figures),
	};

	return cmocka_run_group_tests_name("batches", tests, NULL, NULL);
}
