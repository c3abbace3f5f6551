/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Transfers: any length, any memory, in pieces, with and without scatter/gather, and errors. */

#include "common.h"

#include <stdio.h>

#define KB 1024
#define MB (1024 * KB)

static void
count(struct ce_transfer *transfer, void *arg)
{
	assert_int_not_equal(transfer->status, -EINPROGRESS);
	++*(unsigned int *)arg;
}

static void
copy(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	uint8_t *memory = dma_alloc(2 * MB);
	unsigned int called = 0;
	struct ce_transfer t = {.cb = count, .arg = &called};

	(void)state;
	pattern_fill(memory, MB, 1);
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + MB, memory, MB), 0);
	assert_int_equal(t.status, -EINPROGRESS);
	assert_int_equal(finish(adapter, &t), 0);
	assert_int_equal(called, 1);
	assert_int_equal(t.done, MB);
	assert_int_equal(ce_transfer_remaining(&t), 0);
	assert_true(pattern_is(memory + MB, MB, 1));
	/* One byte, and a transfer used again. */
	memory[MB] ^= 1;
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + MB, memory, 1), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_int_equal(called, 2);
	assert_true(pattern_is(memory + MB, MB, 1));
	dma_free(memory);
	adapter_put(adapter);
}

static void
bad_arguments(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	uint8_t *memory = dma_alloc(200);
	struct ce_sglist *a = ce_sglist_build(adapter, memory, 100);
	struct ce_sglist *b = ce_sglist_build(adapter, memory + 100, 50);
	unsigned int called = 0;
	struct ce_transfer t = {.cb = count, .arg = &called};
	const struct ce_transfer bad[] = {
		{.src = a, .dst = b},
		{.src = NULL, .dst = b, .length = 1},
		{.src = a, .dst = NULL, .length = 1},
		{.src = a, .dst = b, .length = 51},
		{.src = a, .dst = b, .length = 50, .dst_offset = 1},
		{.src = a, .dst = b, .length = 50, .src_offset = 51},
		{.src = a, .dst = b, .length = 1, .src_offset = UINT64_MAX},
		{.src = a, .dst = b, .length = UINT64_MAX, .src_offset = 2},
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(bad); i++) {
		t.src = bad[i].src;
		t.dst = bad[i].dst;
		t.src_offset = bad[i].src_offset;
		t.dst_offset = bad[i].dst_offset;
		t.length = bad[i].length;
		assert_int_equal(ce_transfer_submit(adapter, &t), -EINVAL);
	}
	assert_int_equal(ce_transfer_copy(adapter, &t, memory, memory + 100, 0), -EINVAL);
	t = (struct ce_transfer){.src = a, .dst = b, .length = 50, .cb = count, .arg = &called};
	for (i = 3; i < 32; i++) {
		t.flags = RTE_BIT32(i); /* those there are not */
		assert_int_equal(ce_transfer_submit(adapter, &t), -EINVAL);
	}
	assert_int_equal(called, 0);
	ce_sglist_free(a);
	ce_sglist_free(b);
	dma_free(memory);
	adapter_put(adapter);
}

/* A list of segments of 100 bytes with gaps, over memory of 200 bytes each. */
static struct ce_sglist *
gaps(struct ce_adapter *adapter, uint8_t *memory, unsigned int nb)
{
	struct iovec *iov = malloc(nb * sizeof(*iov));
	struct ce_sglist *list;
	unsigned int i;

	for (i = 0; i < nb; i++)
		iov[i] = (struct iovec){memory + 200 * i, 100};
	list = ce_sglist_build_iov(adapter, iov, nb);
	assert_non_null(list);
	free(iov);
	return list;
}

/* The same call, with lists taken by the device or not; returns operations. */
static uint64_t
scatter(uint32_t flags)
{
	const struct ce_adapter_conf conf = {.flags = flags};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = dma_alloc(400 * 200), *flat = dma_alloc(40 * KB);
	struct ce_sglist *list = gaps(adapter, memory, 400);
	struct ce_sglist *line = ce_sglist_build(adapter, flat, 40000);
	struct ce_transfer t = {.src = line, .dst = list, .length = 40000};
	struct ce_adapter_stats stats;
	unsigned int i;

	pattern_fill(flat, 40000, 5);
	assert_int_equal(ce_transfer_submit(adapter, &t), 0);
	assert_int_equal(finish(adapter, &t), 0);
	for (i = 0; i < 400; i++) {
		assert_memory_equal(memory + 200 * i, flat + 100 * i, 100);
		assert_int_equal(memory[200 * i + 100], 0);
	}
	/* And back, from the middle to the middle: a part that begins and ends within segments. */
	memset(flat, 0, 40000);
	t = (struct ce_transfer){.src = list, .dst = line, .src_offset = 150, .dst_offset = 50,
		.length = 39000};
	assert_int_equal(ce_transfer_submit(adapter, &t), 0);
	assert_int_equal(finish(adapter, &t), 0);
	for (i = 0; i < 39000; i++)
		assert_int_equal(flat[50 + i], memory[200 * ((150 + i) / 100) + (150 + i) % 100]);
	assert_int_equal(flat[49] + flat[39050], 0);

	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.bytes, 79000);
	assert_int_equal(stats.bounced, 0);
	ce_sglist_free(list);
	ce_sglist_free(line);
	dma_free(memory);
	dma_free(flat);
	adapter_put(adapter);
	return stats.operations;
}

static void
scatter_gather(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_adapter_info info;

	(void)state;
	ce_adapter_info_get(adapter, &info);
	adapter_put(adapter);
	assert_int_equal(scatter(CE_ADAPTER_NO_SG), 400 + 391);
	assert_in_range(scatter(0), 1, info.sg ? 2 * (400 / info.max_sges + 1) : 791);
}

/* More pieces than map registers: they follow as others come back, and the residue shrinks. */
static void
split(void **state)
{
	const struct ce_adapter_conf conf = {.map_registers = 2, .max_segment = 4 * KB};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = dma_alloc(2 * MB);
	struct ce_transfer t = {0}, behind = {0};
	struct ce_adapter_stats stats;
	uint64_t before, changes = 0;
	uint8_t *more = dma_alloc(2);

	(void)state;
	more[0] = 1;
	pattern_fill(memory, MB, 2);
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + MB, memory, MB), 0);
	/* Waits for its turn behind the first. */
	assert_int_equal(ce_transfer_copy(adapter, &behind, &more[1], &more[0], 1), 0);
	while (t.status == -EINPROGRESS) {
		before = ce_transfer_remaining(&t);
		assert_int_equal(before % (4 * KB), 0);
		run(adapter);
		assert_true(ce_transfer_remaining(&t) <= before);
		changes += ce_transfer_remaining(&t) != before;
		ce_adapter_stats_get(adapter, &stats);
		assert_in_range(stats.map_registers, 0, 2);
	}
	assert_int_equal(t.status, 0);
	assert_in_range(changes, 128, 256);
	assert_true(pattern_is(memory + MB, MB, 2));
	assert_int_equal(finish(adapter, &behind), 0);
	assert_int_equal(more[1], 1);
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.operations, 257);
	assert_int_equal(stats.waits, 2);
	dma_free(more);
	dma_free(memory);
	adapter_put(adapter);
}

/* Memory that the device cannot reach, on either side: the CPU copies, and nothing is bounced. */
static void
by_cpu(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SVA, .map_registers = 1};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *from = malloc(1100 * KB), *to = calloc(1, 1100 * KB), *reached = dma_alloc(1100 * KB);
	struct ce_transfer t = {0};
	struct ce_adapter_stats stats;

	(void)state;
	pattern_fill(from, 1100 * KB, 9);
	assert_int_equal(ce_transfer_copy(adapter, &t, to, from, 1100 * KB), 0);
	/* Bounded work: it is not done in one call. */
	run(adapter);
	assert_in_range(ce_transfer_remaining(&t), 1, 1100 * KB);
	assert_int_equal(finish(adapter, &t), 0);
	assert_true(pattern_is(to, 1100 * KB, 9));
	assert_int_equal(ce_transfer_copy(adapter, &t, reached, from, 1100 * KB), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_true(pattern_is(reached, 1100 * KB, 9));
	memset(to, 0, 100 * KB);
	assert_int_equal(ce_transfer_copy(adapter, &t, to + 1, reached + 1, 100 * KB - 2), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_memory_equal(to + 1, from + 1, 100 * KB - 2);
	assert_int_equal(to[0], 0);
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.bounced, 0);
	assert_int_equal(stats.engine_bytes, 0);
	assert_int_equal(stats.cpu_bytes, 2300 * KB - 2);
	free(from);
	free(to);
	dma_free(reached);
	adapter_put(adapter);
}

/* A chain of copies, each from where the one before it wrote, bounced and not. */
static void
fence(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SVA, .max_segment = 512};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *place[6];
	struct ce_transfer t[6] = {0};
	unsigned int i;

	(void)state;
	for (i = 0; i < 6; i++)
		place[i] = i % 3 == 2 ? calloc(1, 4 * KB) : dma_alloc(4 * KB);
	pattern_fill(place[0], 4 * KB, 11);
	for (i = 1; i < 6; i++) {
		t[i].flags = CE_TRANSFER_FENCE | (i < 5 ? CE_TRANSFER_MORE : 0);
		assert_int_equal(
			ce_transfer_copy(adapter, &t[i], place[i], place[i - 1], 4 * KB), 0);
	}
	assert_int_equal(finish(adapter, &t[5]), 0);
	for (i = 1; i < 6; i++) {
		assert_int_equal(t[i].status, 0);
		assert_true(pattern_is(place[i], 4 * KB, 11));
	}
	for (i = 0; i < 6; i++)
		i % 3 == 2 ? free(place[i]) : dma_free(place[i]);
	adapter_put(adapter);
}

/*
 * Fenced, and only a later part of it is the CPU's: that waits for the engine's work before it, too.
 * And a flag behind a payload that goes through bounce buffers.
 */
static void
fence_mixed(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SVA, .max_segment = 64 * KB};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *place[3], *unreached = calloc(1, 256 * KB);
	struct ce_transfer first = {0}, fenced = {.flags = CE_TRANSFER_FENCE};
	struct iovec iov[2];
	unsigned int i, round;

	(void)state;
	for (i = 0; i < 3; i++)
		place[i] = dma_alloc(256 * KB);
	for (round = 0; round < 20; round++) {
		pattern_fill(place[0], 256 * KB, round);
		memset(place[1], 0, 256 * KB);
		assert_int_equal(ce_transfer_copy(adapter, &first, place[1], place[0], 256 * KB), 0);
		/* From where the first writes: to reachable memory, then to other. */
		iov[0] = (struct iovec){place[2], 100};
		iov[1] = (struct iovec){unreached, 256 * KB - 100};
		fenced.src = ce_sglist_build(adapter, place[1], 256 * KB);
		fenced.dst = ce_sglist_build_iov(adapter, iov, 2);
		fenced.length = 256 * KB;
		assert_int_equal(ce_transfer_submit(adapter, &fenced), 0);
		assert_int_equal(finish(adapter, &fenced), 0);
		assert_int_equal(first.status, 0);
		assert_memory_equal(place[2], place[0], 100);
		assert_memory_equal(unreached, place[0] + 100, 256 * KB - 100);
		ce_sglist_free(fenced.src);
		ce_sglist_free(fenced.dst);
	}
	for (i = 0; i < 3; i++)
		dma_free(place[i]);
	free(unreached);
	adapter_put(adapter);
}

static uint8_t *flag, *payload;
static unsigned int flagged;

/* Called between any two steps: the flag is not there before all of the payload. */
static void
payload_first(uint32_t seed)
{
	if (__atomic_load_n(flag, __ATOMIC_ACQUIRE) != 1)
		return;
	flagged++;
	assert_true(pattern_is(payload, 32 * KB, seed));
}

static void
fence_bounced(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SVA, .bounce_size = KB};
	struct ce_adapter *adapter = adapter_get(&conf);
	struct ce_common_buffer *device = ce_common_buffer_alloc(adapter, 64 * KB);
	struct ce_segment window = {.iova = device->iova, .length = 32 * KB};
	struct ce_segment word = {.iova = device->iova + 32 * KB, .length = 1};
	struct ce_transfer first = {.length = 32 * KB}, second = {.flags = CE_TRANSFER_FENCE, .length = 1};
	struct ce_adapter_stats stats;
	unsigned int round;

	(void)state;
	payload = malloc(32 * KB);
	flag = dma_alloc(1);
	((uint8_t *)device->va)[32 * KB] = 1;
	first.src = ce_sglist_build_iova(adapter, &window, 1);
	first.dst = ce_sglist_build(adapter, payload, 32 * KB);
	second.src = ce_sglist_build_iova(adapter, &word, 1);
	second.dst = ce_sglist_build(adapter, flag, 1);
	for (round = 0; round < 20; round++) {
		pattern_fill(device->va, 32 * KB, round);
		*flag = 0;
		memset(payload, 0, 32 * KB);
		assert_int_equal(ce_transfer_submit(adapter, &first), 0);
		assert_int_equal(ce_transfer_submit(adapter, &second), 0);
		while (second.status == -EINPROGRESS) {
			payload_first(round);
			run(adapter);
		}
		payload_first(round);
		assert_int_equal(*flag, 1);
	}
	assert_true(flagged >= 20);
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.bounced, 20 * 32 * KB);
	/* And the other way: what is bounced in. */
	ce_sglist_free(first.src);
	ce_sglist_free(first.dst);
	first.src = ce_sglist_build(adapter, payload, 32 * KB);
	first.dst = ce_sglist_build_iova(adapter, &window, 1);
	memset(device->va, 0, 32 * KB);
	assert_int_equal(ce_transfer_submit(adapter, &first), 0);
	assert_int_equal(finish(adapter, &first), 0);
	assert_memory_equal(device->va, payload, 32 * KB);
	ce_sglist_free(first.src);
	ce_sglist_free(first.dst);
	ce_sglist_free(second.src);
	ce_sglist_free(second.dst);
	ce_common_buffer_free(device);
	free(payload);
	dma_free(flag);
	adapter_put(adapter);
}

/* A FIFO: each operation goes to the first byte of its window. */
static void
fifo(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	struct ce_common_buffer *device = ce_common_buffer_alloc(adapter, 4 * KB);
	struct ce_segment window = {.iova = device->iova + 64, .length = KB, .window = 16};
	uint8_t *memory = dma_alloc(2 * KB);
	struct ce_transfer t = {.length = KB};
	struct ce_adapter_stats stats;
	unsigned int i;

	(void)state;
	pattern_fill(memory, KB, 3);
	t.src = ce_sglist_build(adapter, memory, KB);
	t.dst = ce_sglist_build_iova(adapter, &window, 1);
	assert_int_equal(ce_transfer_submit(adapter, &t), 0);
	assert_int_equal(finish(adapter, &t), 0);
	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.operations, KB / 16);
	/* The last 16 bytes are what is left there, and nothing is beside it. */
	assert_memory_equal(RTE_PTR_ADD(device->va, 64), memory + KB - 16, 16);
	for (i = 0; i < 4 * KB; i++)
		if (i < 64 || i >= 80)
			assert_int_equal(((uint8_t *)device->va)[i], 0);
	ce_sglist_free(t.src);
	/* And out of it: the same 16 bytes again and again. */
	t.src = t.dst;
	t.dst = ce_sglist_build(adapter, memory + KB, KB);
	assert_int_equal(ce_transfer_submit(adapter, &t), 0);
	assert_int_equal(finish(adapter, &t), 0);
	for (i = 0; i < KB; i += 16)
		assert_memory_equal(memory + KB + i, memory + KB - 16, 16);
	ce_sglist_free(t.src);
	ce_sglist_free(t.dst);
	ce_common_buffer_free(device);
	dma_free(memory);
	adapter_put(adapter);
}

/* What goes to a FIFO arrives in order, be the last piece short, or several channels there. */
static void
fifo_order(void **state)
{
	const struct ce_channel_id more = {.dev_id = devices[1]};
	const struct ce_adapter_conf confs[] = {
		{.break_even = KB},
		{.break_even = 1, .stripes = &more, .nb_stripes = 1},
	};
	struct ce_segment window = {.length = 5 * KB, .window = 2 * KB};
	struct ce_common_buffer *device;
	struct ce_adapter *adapter;
	uint8_t *memory = dma_alloc(8 * KB), *expected = malloc(2 * KB);
	struct ce_transfer t[2];
	unsigned int i, round;

	(void)state;
	pattern_fill(memory, 5 * KB, 9);
	/* Two transfers of 2 KB, 2 KB and a rest: what is left is theirs, one upon the other. */
	memcpy(expected, memory + 2 * KB, 2 * KB);
	memcpy(expected, memory + 4 * KB, KB - 24);
	for (round = 0; round < 2 * RTE_DIM(confs); round++) {
		adapter = adapter_get(&confs[round / 2]);
		device = ce_common_buffer_alloc(adapter, 4 * KB);
		window.iova = device->iova;
		memset(t, 0, sizeof(t));
		for (i = 0; i < 2; i++) {
			t[i].length = 5 * KB - 24;
			t[i].src = ce_sglist_build(adapter, memory, 5 * KB);
			t[i].dst = ce_sglist_build_iova(adapter, &window, 1);
			assert_int_equal(ce_transfer_submit(adapter, &t[i]), 0);
		}
		for (i = 0; i < 2; i++) {
			assert_int_equal(finish(adapter, &t[i]), 0);
			ce_sglist_free(t[i].src);
			ce_sglist_free(t[i].dst);
		}
		assert_memory_equal(device->va, expected, 2 * KB);
		ce_common_buffer_free(device);
		adapter_put(adapter);
	}
	free(expected);
	dma_free(memory);
}

/* What is long, or cut very small, needs no more blocks of lists than any other. */
static void
long_and_small(void **state)
{
	const struct ce_adapter_conf conf = {.max_segment = 64, .sg_blocks = 1};
	struct ce_adapter *adapter = adapter_get(&conf);
	uint8_t *memory = dma_alloc(MB), *unreached = malloc(512 * KB);
	struct ce_transfer t = {0};

	(void)state;
	pattern_fill(memory, 512 * KB, 8);
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + 512 * KB, memory, 512 * KB), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_true(pattern_is(memory + 512 * KB, 512 * KB, 8));
	assert_int_equal(ce_transfer_copy(adapter, &t, unreached, memory, 512 * KB), 0);
	assert_int_equal(finish(adapter, &t), 0);
	assert_true(pattern_is(unreached, 512 * KB, 8));
	dma_free(memory);
	free(unreached);
	adapter_put(adapter);
}

static void
twice(void **state)
{
	struct ce_adapter *adapter = adapter_get(NULL);
	uint8_t *memory = dma_alloc(2 * KB);
	struct ce_transfer t = {0};

	(void)state;
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + KB, memory, KB), 0);
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + KB, memory, KB), -EBUSY);
	assert_int_equal(ce_transfer_submit(adapter, &t), -EBUSY);
	assert_int_equal(finish(adapter, &t), 0);
	dma_free(memory);
	adapter_put(adapter);
}

static void
again(struct ce_transfer *transfer, void *arg)
{
	struct {
		struct ce_adapter *adapter;
		uint8_t *memory;
		unsigned int left;
	} *chain = arg;

	assert_int_equal(transfer->status, 0);
	/* From within a callback there is no second poll. */
	assert_int_equal(ce_poll(chain->adapter), 0);
	assert_int_equal(ce_adapter_put(chain->adapter), -EBUSY);
	if (chain->left-- > 0)
		assert_int_equal(ce_transfer_copy(chain->adapter, transfer, chain->memory + 100,
			chain->memory, 100), 0);
}

/* A callback submits its transfer again. Wraps the 16-bit indices of dmadev. */
static void
resubmit(void **state)
{
	struct {
		struct ce_adapter *adapter;
		uint8_t *memory;
		unsigned int left;
	} chain = {.adapter = adapter_get(NULL), .memory = dma_alloc(200), .left = 70000};
	struct ce_transfer t = {.cb = again, .arg = &chain};
	struct ce_adapter_stats stats;
	const double limit = seconds() + 60;

	(void)state;
	assert_int_equal(ce_transfer_copy(chain.adapter, &t, chain.memory + 100, chain.memory, 100),
		0);
	do {
		run(chain.adapter);
		ce_adapter_stats_get(chain.adapter, &stats);
	} while (stats.transfers < 70001 && seconds() < limit);
	assert_int_equal(stats.transfers, 70001);
	dma_free(chain.memory);
	adapter_put(chain.adapter);
}

/* A device error at each piece of a split transfer: the byte is known, everything comes back. */
static void
fail_each(uint32_t flags, unsigned int map_registers)
{
	const struct ce_adapter_conf conf = {.flags = flags, .max_segment = KB,
		.map_registers = map_registers};
	struct ce_adapter *adapter = adapter_get(&conf);
	const unsigned int pieces = 12;
	uint8_t *memory = dma_alloc(2 * pieces * KB);
	uint8_t *to = memory + pieces * KB;
	struct ce_transfer t = {0};
	struct ce_adapter_stats stats;
	unsigned int i;
	char fault[32];

	pattern_fill(memory, pieces * KB, 4);
	for (i = 0; i < pieces; i++) {
		memset(to, 0, pieces * KB);
		snprintf(fault, sizeof(fault), "fail:at=%u:cause=%s", i, i % 2 ? "dst" : "src");
		inject(devices[0], fault);
		assert_int_equal(ce_transfer_copy(adapter, &t, to, memory, pieces * KB), 0);
		assert_int_equal(finish(adapter, &t), -EIO);
		assert_int_equal(t.dma_status,
			i % 2 ? RTE_DMA_STATUS_INVALID_DST_ADDR : RTE_DMA_STATUS_INVALID_SRC_ADDR);
		assert_int_equal(t.failed_at, i * KB);
		assert_in_range(t.done, i * KB, (pieces - 1) * KB);
		assert_int_equal(ce_transfer_remaining(&t), pieces * KB - t.done);
		assert_memory_equal(to, memory, i * KB);
		ce_adapter_stats_get(adapter, &stats);
		assert_int_equal(stats.map_registers, 0);
		assert_int_equal(stats.failed, i + 1);
		/* As good as new. */
		assert_int_equal(ce_transfer_copy(adapter, &t, to, memory, pieces * KB), 0);
		assert_int_equal(finish(adapter, &t), 0);
		assert_true(pattern_is(to, pieces * KB, 4));
	}
	dma_free(memory);
	adapter_put(adapter);
}

static void
errors(void **state)
{
	(void)state;
	if (!is_cbdma)
		skip();
	fail_each(CE_ADAPTER_NO_SG, 0);
	fail_each(CE_ADAPTER_NO_SG, 1);
	fail_each(CE_ADAPTER_NO_SG, 3);
}

/* One failure fails one transfer, not its neighbours; two failures among many fail two. */
static void
neighbours(void **state)
{
	struct ce_adapter *adapter;
	struct ce_transfer t[32] = {0};
	unsigned int i, round, failed;
	uint8_t *memory;
	char fault[32];

	(void)state;
	if (!is_cbdma)
		skip();
	adapter = adapter_get(NULL);
	memory = dma_alloc(64 * KB);
	pattern_fill(memory, 32 * KB, 6);
	for (round = 0; round < 32; round++) {
		memset(memory + 32 * KB, 0, 32 * KB);
		snprintf(fault, sizeof(fault), "fail:at=%u", round);
		inject(devices[0], fault);
		for (i = 0; i < 32; i++) {
			t[i].flags = i < 31 ? CE_TRANSFER_MORE : 0;
			assert_int_equal(ce_transfer_copy(adapter, &t[i],
				memory + (32 + i) * KB, memory + i * KB, KB), 0);
		}
		for (i = failed = 0; i < 32; i++) {
			if (finish(adapter, &t[i]) == 0) {
				assert_memory_equal(memory + (32 + i) * KB, memory + i * KB, KB);
				continue;
			}
			assert_int_equal(i, round);
			assert_int_equal(t[i].status, -EIO);
			failed++;
		}
		assert_int_equal(failed, 1);
	}
	dma_free(memory);
	adapter_put(adapter);
}

int
test_transfer(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy),
		cmocka_unit_test(bad_arguments),
		cmocka_unit_test(scatter_gather),
		cmocka_unit_test(split),
		cmocka_unit_test(by_cpu),
		cmocka_unit_test(fence),
		cmocka_unit_test(fence_mixed),
		cmocka_unit_test(fence_bounced),
		cmocka_unit_test(fifo),
		cmocka_unit_test(fifo_order),
		cmocka_unit_test(long_and_small),
		cmocka_unit_test(twice),
		cmocka_unit_test(resubmit),
		cmocka_unit_test(errors),
		cmocka_unit_test(neighbours),
	};

	return cmocka_run_group_tests_name("transfers", tests, NULL, NULL);
}
