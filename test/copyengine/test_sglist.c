/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Scatter/gather lists: what they make of memory. */

#include "common.h"

#include <sys/mman.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#define NO_SVA_CONF {.flags = CE_ADAPTER_NO_SVA}

static void
merge_and_cut(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SVA, .max_segment = 4096};
	struct ce_adapter *adapter = adapter_get(&conf);
	struct ce_common_buffer *buffer = ce_common_buffer_alloc(adapter, 65536);
	uint8_t *va = buffer->va;
	struct iovec neighbours[] = {{va, 100}, {va + 100, 0}, {va + 100, 900}, {va + 1000, 24},
		{va + 2048, 1}};
	struct ce_segment segment[32];
	struct iovec gaps[20];
	struct ce_sglist *list;
	unsigned int i;

	(void)state;
	list = ce_sglist_build_iov(adapter, neighbours, RTE_DIM(neighbours));
	assert_non_null(list);
	assert_int_equal(ce_sglist_length(list), 1025);
	assert_int_equal(ce_sglist_segments(list, segment, RTE_DIM(segment)), 2);
	assert_int_equal(segment[0].iova, buffer->iova);
	assert_int_equal(segment[0].length, 1024);
	assert_ptr_equal(segment[0].va, va);
	assert_int_equal(segment[1].iova, buffer->iova + 2048);
	assert_int_equal(segment[1].length, 1);
	ce_sglist_free(list);

	/* Longer than the device's longest is still one segment: transfers cut, lists do not. */
	list = ce_sglist_build(adapter, va + 5, 65536 - 5);
	assert_non_null(list);
	assert_int_equal(ce_sglist_segments(list, segment, RTE_DIM(segment)), 1);
	assert_int_equal(segment[0].iova, buffer->iova + 5);
	assert_int_equal(segment[0].length, 65536 - 5);
	ce_sglist_free(list);

	/* More segments than a block of the list takes. */
	for (i = 0; i < 20; i++)
		gaps[i] = (struct iovec){va + 100 * i, 50};
	list = ce_sglist_build_iov(adapter, gaps, 20);
	assert_non_null(list);
	assert_int_equal(ce_sglist_segments(list, NULL, 0), 20);
	ce_sglist_segments(list, segment, RTE_DIM(segment));
	for (i = 0; i < 20; i++) {
		assert_int_equal(segment[i].iova, buffer->iova + 100 * i);
		assert_ptr_equal(segment[i].va, va + 100 * i);
	}
	ce_sglist_free(list);
	ce_sglist_free(NULL);
	ce_common_buffer_free(buffer);
	adapter_put(adapter);
}

static void
unreachable(void **state)
{
	const struct ce_adapter_conf conf = NO_SVA_CONF;
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *reached = dma_alloc(100), *not = malloc(100);
	struct iovec mixed[] = {{reached, 10}, {not, 100}, {reached + 10, 10}};
	struct ce_segment segment[4];
	struct ce_sglist *list;

	(void)state;
	list = ce_sglist_build_iov(adapter, mixed, RTE_DIM(mixed));
	assert_int_equal(ce_sglist_segments(list, segment, RTE_DIM(segment)), 3);
	assert_true(segment[0].iova != RTE_BAD_IOVA);
	assert_true(segment[1].iova == RTE_BAD_IOVA);
	assert_ptr_equal(segment[1].va, not);
	assert_true(segment[2].iova == segment[0].iova + 10);
	ce_sglist_free(list);
	free(not);
	dma_free(reached);
	adapter_put(adapter);
}

/* A device with shared virtual addressing reaches everything. */
static void
sva(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_adapter_info info;
	struct ce_segment segment[2];
	struct ce_sglist *list;
	uint8_t *memory;

	(void)state;
	ce_adapter_info_get(adapter, &info);
	if (!info.sva) {
		adapter_put(adapter);
		skip();
	}
	memory = malloc(100);
	list = ce_sglist_build(adapter, memory, 100);
	assert_int_equal(ce_sglist_segments(list, segment, 2), 1);
	assert_true(segment[0].iova == (uintptr_t)memory);
	ce_sglist_free(list);
	free(memory);
	adapter_put(adapter);
}

static void
packets(void **state)
{
	const struct ce_adapter_conf conf = NO_SVA_CONF;
	struct ce_adapter *adapter = adapter_get(&conf);
	struct rte_mempool *pool = rte_pktmbuf_pool_create("packets", 63, 0, 0, 1024, SOCKET_ID_ANY);
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *m;
	struct ce_segment segment[8];
	struct ce_sglist *list;
	unsigned int i;

	(void)state;
	assert_non_null(rte_pktmbuf_append(head, 60));
	for (i = 1; i < 4; i++) {
		m = rte_pktmbuf_alloc(pool);
		/* A segment without data in the middle of a chain is legal. */
		if (i != 2)
			assert_non_null(rte_pktmbuf_append(m, 100 + i));
		assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	list = ce_sglist_build_mbuf(adapter, head);
	assert_int_equal(ce_sglist_length(list), head->pkt_len);
	assert_int_equal(ce_sglist_segments(list, segment, RTE_DIM(segment)), 3);
	assert_int_equal(segment[0].iova, rte_pktmbuf_iova(head));
	assert_int_equal(segment[1].iova, rte_pktmbuf_iova(head->next));
	assert_int_equal(segment[2].length, 103);
	ce_sglist_free(list);
	rte_pktmbuf_free(head);
	rte_mempool_free(pool);
	adapter_put(adapter);
}

static void
empty_and_exhausted(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SVA, .sg_blocks = 3};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = dma_alloc(4096);
	struct iovec iov[3 * CE_SG_BLOCK + 1];
	struct ce_sglist *list, *second;
	struct ce_adapter *cpu = ce_adapter_get(CE_CPU, NULL);
	const struct iovec beyond[2] = {{memory, 1}, {(void *)(UINTPTR_MAX - 3), 64}};
	struct ce_adapter_stats stats;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(iov); i++)
		iov[i] = (struct iovec){memory + 2 * i, 1};
	rte_errno = 0;
	assert_null(ce_sglist_build(adapter, memory, 0));
	assert_int_equal(rte_errno, EINVAL);
	/* Ranges that no address space has; where all addresses are reached, a list would have no end. */
	assert_null(ce_sglist_build(adapter, memory, SIZE_MAX));
	assert_int_equal(rte_errno, EINVAL);
	assert_non_null(cpu);
	rte_errno = 0;
	assert_null(ce_sglist_build_iov(cpu, beyond, 2));
	assert_int_equal(rte_errno, EINVAL);
	adapter_put(cpu);
	assert_null(ce_sglist_build_iov(adapter, iov, 0));

	/* Three blocks are just enough; one segment more and nothing is held. */
	list = ce_sglist_build_iov(adapter, iov, RTE_DIM(iov) - 1);
	assert_non_null(list);
	assert_int_equal(ce_sglist_segments(list, NULL, 0), RTE_DIM(iov) - 1);
	rte_errno = 0;
	assert_null(ce_sglist_build(adapter, memory, 1));
	assert_int_equal(rte_errno, ENOMEM);
	ce_sglist_free(list);
	assert_null(ce_sglist_build_iov(adapter, iov, RTE_DIM(iov)));
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.sg_blocks, 0);
	list = ce_sglist_build(adapter, memory, 1);
	second = ce_sglist_build_iov(adapter, iov, CE_SG_BLOCK + 1);
	assert_non_null(list);
	assert_non_null(second);
	ce_sglist_free(second);
	ce_sglist_free(list);
	dma_free(memory);
	adapter_put(adapter);
}

static uint8_t *
map_anonymous(size_t length)
{
	uint8_t *memory =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

/* Make memory DPDK's and the device's, as an application does by itself. */
static void
external_add(struct rte_device *device, uint8_t *memory, size_t length)
{
	assert_int_equal(rte_extmem_register(memory, length, NULL, 0, CE_PAGE_SIZE), 0);
	assert_int_equal(rte_dev_dma_map(device, memory, (uintptr_t)memory, length), 0);
}

static void
external_remove(struct rte_device *device, uint8_t *memory, size_t length)
{
	assert_int_equal(rte_dev_dma_unmap(device, memory, (uintptr_t)memory, length), 0);
	assert_int_equal(rte_extmem_unregister(memory, length), 0);
}

static struct rte_device *
device_of(const char *name)
{
	struct rte_dev_iterator it;
	struct rte_device *device, *found = NULL;

	RTE_DEV_FOREACH(device, "bus=vdev", &it)
		if (strcmp(rte_dev_name(device), name) == 0)
			found = device;
	return found;
}

/* Memory from outside, once it is registered and mapped, is used in place. */
static void
registered(void **state)
{
	const struct ce_adapter_conf conf = NO_SVA_CONF;
	const size_t length = 64 * CE_PAGE_SIZE;
	struct ce_transfer t = {0}, unmapped = {0};
	struct ce_adapter_stats stats;
	struct ce_adapter *adapter;
	struct rte_device *device;
	uint64_t operations;
	unsigned int i;
	uint8_t *memory;

	(void)state;
	if (!is_cbdma || rte_eal_iova_mode() != RTE_IOVA_VA)
		skip();
	adapter = adapter_get(&conf);
	device = device_of("dma_cbdma0");
	assert_non_null(device);
	memory = map_anonymous(length);
	pattern_fill(memory, length / 2, 3);
	assert_int_equal(rte_extmem_register(memory, length, NULL, 0, CE_PAGE_SIZE), 0);

	/* Registered and not mapped is a mistake; the device finds out, and the error comes back. */
	assert_int_equal(
		ce_transfer_copy(adapter, &unmapped, memory + length / 2, memory, length / 2), 0);
	assert_int_equal(finish(adapter, &unmapped), -EIO);
	assert_int_equal(unmapped.dma_status, RTE_DMA_STATUS_INVALID_SRC_ADDR);
	assert_int_equal(unmapped.failed_at, 0);
	assert_int_equal(unmapped.done, 0);

	assert_int_equal(rte_dev_dma_map(device, memory, (uintptr_t)memory, length), 0);
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + length / 2, memory, length / 2), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_true(pattern_is(memory + length / 2, length / 2, 3));
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.cpu_bytes, 0);

	/* When it has gone from there, it is the CPU's: no stale translation. */
	external_remove(device, memory, length);
	memset(memory + length / 2, 0, length / 2);
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + length / 2, memory, length / 2), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_true(pattern_is(memory + length / 2, length / 2, 3));
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.cpu_bytes, length / 2);

	/* When it has come back, this is noticed some time. */
	external_add(device, memory, length);
	operations = stats.operations;
	for (i = 0; i < 10000 && stats.operations == operations; i++) {
		assert_int_equal(ce_transfer_copy(adapter, &t, memory + length / 2, memory, 256), 0);
		assert_int_equal(finish(adapter, &t), 0);
		ce_adapter_stats_get(adapter, &stats);
	}
	assert_true(stats.operations > operations);
	external_remove(device, memory, length);
	munmap(memory, length);
	adapter_put(adapter);
}

/* The same of one buffer among several that take turns, whichever it is. */
static void
registered_among_others(void **state)
{
	const struct ce_adapter_conf conf = NO_SVA_CONF;
	const size_t apart = 4 << 20, length = 4 * apart;
	struct ce_adapter_stats stats;
	struct ce_transfer t = {0};
	struct ce_adapter *adapter;
	struct rte_device *device;
	uint64_t operations;
	unsigned int which, i;
	uint8_t *memory, *to;

	(void)state;
	if (!is_cbdma || rte_eal_iova_mode() != RTE_IOVA_VA)
		skip();
	adapter = adapter_get(&conf);
	device = device_of("dma_cbdma0");
	assert_non_null(device);
	to = dma_alloc(256);
	memory = map_anonymous(length);
	for (which = 0; which < 4; which++) {
		uint8_t *const known = memory + which * apart;

		/* None is DPDK's when it is first seen. */
		for (i = 0; i < 4; i++) {
			assert_int_equal(
				ce_transfer_copy(adapter, &t, to, memory + i * apart, 256), 0);
			assert_int_equal(finish(adapter, &t), 0);
		}
		ce_adapter_stats_get(adapter, &stats);
		operations = stats.operations;
		external_add(device, known, CE_PAGE_SIZE);
		for (i = 0; i < 10000 && stats.operations == operations; i++) {
			assert_int_equal(ce_transfer_copy(
				adapter, &t, to, memory + i % 4 * apart, 256), 0);
			assert_int_equal(finish(adapter, &t), 0);
			ce_adapter_stats_get(adapter, &stats);
		}
		assert_true(stats.operations > operations);
		external_remove(device, known, CE_PAGE_SIZE);
	}
	munmap(memory, length);
	dma_free(to);
	adapter_put(adapter);
}

/* The same in one call, with memory that begins and ends anywhere. */
static void
registered_by_library(void **state)
{
	const struct ce_adapter_conf conf = NO_SVA_CONF;
	const size_t length = 300000;
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = malloc(length), *copied = malloc(length);
	struct ce_adapter_stats stats;
	struct ce_transfer t = {0};
	unsigned int round;
	int ret;

	(void)state;
	assert_int_equal(ce_memory_register(adapter, memory, 0), -EINVAL);
	assert_int_equal(ce_memory_register(adapter, NULL, 1), -EINVAL);
	assert_int_equal(ce_memory_register(adapter, memory, SIZE_MAX), -EINVAL);
	assert_int_equal(ce_memory_unregister(adapter, memory, length), -ENOENT);
	for (round = 0; round < 3; round++) {
		ret = ce_memory_register(adapter, memory, length);
		if (rte_eal_iova_mode() != RTE_IOVA_VA) {
			assert_int_equal(ret, -ENOTSUP);
			break;
		}
		assert_int_equal(ret, 0);
		assert_int_equal(ce_memory_register(adapter, memory, length), -EEXIST);
		assert_int_equal(ce_memory_register(adapter, memory + 5, length - 10000), -EEXIST);
		pattern_fill(memory, length / 2, round);
		assert_int_equal(ce_transfer_copy(
			adapter, &t, memory + length / 2, memory, length / 2), 0);
		assert_int_equal(ce_memory_unregister(adapter, memory, length), -EBUSY);
		assert_int_equal(finish(adapter, &t), 0);
		assert_true(pattern_is(memory + length / 2, length / 2, round));
		ce_adapter_stats_get(adapter, &stats);
		assert_int_equal(stats.engine_bytes, (round + 1) * (length / 2));
		assert_int_equal(ce_adapter_put(adapter), -EBUSY);
		assert_int_equal(ce_memory_unregister(adapter, memory, length), 0);
		/* The CPU's again. */
		assert_int_equal(ce_transfer_copy(adapter, &t, copied, memory, length), 0);
		assert_int_equal(finish(adapter, &t), 0);
		assert_memory_equal(copied, memory, length);
		ce_adapter_stats_get(adapter, &stats);
		assert_int_equal(stats.engine_bytes, (round + 1) * (length / 2));
	}
	free(memory);
	free(copied);
	adapter_put(adapter);
}

int
test_sglist(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge_and_cut),
		cmocka_unit_test(unreachable),
		cmocka_unit_test(sva),
		cmocka_unit_test(packets),
		cmocka_unit_test(empty_and_exhausted),
		cmocka_unit_test(registered),
		cmocka_unit_test(registered_among_others),
		cmocka_unit_test(registered_by_library),
	};

	return cmocka_run_group_tests_name("scatter/gather lists", tests, NULL, NULL);
}
