/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>

#include "dm_device_impl.h"
#include "dm_rig.h"

static int
setup(void **state)
{
	static struct rig rig;
	struct dm_cbdma_config config = {.channels = 3};

	rig_create(&rig, &config);
	rig_start(&rig);
	*state = &rig;
	return 0;
}

static int
setup_reorder(void **state)
{
	static struct rig rig;
	struct dm_cbdma_config config = {.reorder = true};

	rig_create(&rig, &config);
	rig_start(&rig);
	*state = &rig;
	return 0;
}

static int
teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

/* Assert CHANSTS and the completion word: i is the last completed descriptor; -1: none. */
static void
check_status(struct rig *rig, int i, unsigned int state)
{
	uint64_t addr = i < 0 ? 0 : rig_desc_iova(i);

	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), addr | state);
}

static void
check_word(struct rig *rig, int i, unsigned int state)
{
	uint64_t addr = i < 0 ? 0 : rig_desc_iova(i);

	assert_int_equal(*rig->word, addr | state);
}

static void
test_states(void **state)
{
	struct rig *rig = *state;

	rig_copies(rig, 0, 8);
	check_status(rig, -1, CBDMA_CHANSTS_ARMED);
	assert_false(dm_device_pending(rig->dev));
	assert_int_equal(dm_device_run(rig->dev, 10), 0);
	check_status(rig, -1, CBDMA_CHANSTS_ARMED);

	/* Active from the doorbell on. */
	rig_ring(rig, 3);
	check_status(rig, -1, CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(*rig->word, 0);
	assert_true(dm_device_pending(rig->dev));
	assert_int_equal(dm_device_run(rig->dev, 0), 0);
	assert_int_equal(dm_device_run(rig->dev, 1), 1);
	check_status(rig, 0, CBDMA_CHANSTS_ACTIVE);
	check_word(rig, 0, CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(rig_read(rig, CBDMA_CDAR, 8), rig_desc_iova(0));
	assert_true(rig_copied(rig, 0));
	assert_false(rig_copied(rig, 1));
	assert_int_equal(dm_device_run(rig->dev, 2), 2);
	check_status(rig, 2, CBDMA_CHANSTS_IDLE);
	check_word(rig, 2, CBDMA_CHANSTS_IDLE);
	assert_false(dm_device_pending(rig->dev));
	assert_true(rig_copied(rig, 2));
	assert_false(rig_copied(rig, 3));
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), 3);

	/* Idle, and active again. */
	rig_ring(rig, 1);
	check_status(rig, 2, CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(dm_device_run(rig->dev, 10), 1);
	check_status(rig, 3, CBDMA_CHANSTS_IDLE);

	/* A new chain: DMACOUNT is 0 and no descriptor of it has completed. */
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(5));
	check_status(rig, -1, CBDMA_CHANSTS_ARMED);
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), 0);
	rig->count = 0;
	rig_run(rig, 2);
	check_status(rig, 6, CBDMA_CHANSTS_IDLE);
	assert_false(rig_copied(rig, 4));
	assert_true(rig_copied(rig, 5));
}

/* CHAINADDR in two halves, as Linux writes it. */
static void
test_chainaddr_halves(void **state)
{
	struct rig *rig = *state;

	rig_copies(rig, 7, 1);
	rig_write(rig, CBDMA_CHAINADDR, 4, (uint32_t)rig_desc_iova(7));
	rig_write(rig, CBDMA_CHAINADDR + 4, 4, rig_desc_iova(7) >> 32);
	check_status(rig, -1, CBDMA_CHANSTS_ARMED);
	rig->count = 0;
	rig_run(rig, 1);
	check_status(rig, 7, CBDMA_CHANSTS_IDLE);
	assert_true(rig_copied(rig, 7));
}

static void
test_suspend(void **state)
{
	struct rig *rig = *state;

	rig_copies(rig, 0, 16);
	/* While active, between two descriptors. */
	rig_ring(rig, 4);
	assert_int_equal(dm_device_run(rig->dev, 2), 2);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMD, 1), 0);
	check_status(rig, 1, CBDMA_CHANSTS_SUSPENDED);
	check_word(rig, 1, CBDMA_CHANSTS_ACTIVE);
	assert_false(dm_device_pending(rig->dev));
	assert_int_equal(dm_device_run(rig->dev, 10), 0);
	assert_false(rig_copied(rig, 2));
	/* More work does not wake it, nor does another suspend. */
	rig_ring(rig, 1);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(dm_device_run(rig->dev, 10), 0);
	check_status(rig, 1, CBDMA_CHANSTS_SUSPENDED);
	/* A new chain does: what Linux and DPDK do after they suspended. */
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(2));
	rig->count = 0;
	check_status(rig, -1, CBDMA_CHANSTS_ARMED);
	rig_run(rig, 3);
	check_status(rig, 4, CBDMA_CHANSTS_IDLE);

	/* While idle, armed, halted. */
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
	check_status(rig, 4, CBDMA_CHANSTS_SUSPENDED);
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(5));
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
	check_status(rig, -1, CBDMA_CHANSTS_SUSPENDED);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	check_status(rig, -1, CBDMA_CHANSTS_HALTED);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
	check_status(rig, -1, CBDMA_CHANSTS_HALTED);
}

/* The device goes where next says, not to the slot behind. */
static void
test_scattered_chain(void **state)
{
	static const unsigned int order[] = {0, 17, 3, 500, 499, 498, 1023, 4, 5, 6};
	enum { N = sizeof(order) / sizeof(order[0]) };
	struct rig *rig = *state;
	unsigned int i;

	for (i = 0; i < N; i++) {
		rig_copy(rig, order[i], order[i] * 64, order[i] * 64, 64);
		if (i + 1 < N)
			rig->ring[order[i]].next = rig_desc_iova(order[i + 1]);
	}
	rig_run(rig, N);
	check_status(rig, order[N - 1], CBDMA_CHANSTS_IDLE);
	for (i = 0; i < N; i++)
		assert_true(rig_copied(rig, order[i]));
	assert_false(rig_copied(rig, 1));
	assert_false(rig_copied(rig, 18));
}

/* The link of the last descriptor counts when there is more to do, not when it was run. */
static void
test_append(void **state)
{
	struct rig *rig = *state;

	rig_copies(rig, 0, 32);
	rig->ring[1].next = 0;
	rig_run(rig, 2);
	check_status(rig, 1, CBDMA_CHANSTS_IDLE);
	rig->ring[1].next = rig_desc_iova(20);
	rig_run(rig, 1);
	check_status(rig, 20, CBDMA_CHANSTS_IDLE);
	assert_true(rig_copied(rig, 20));
	assert_false(rig_copied(rig, 2));
}

/* A ring whose memory lies in two mappings, swapped. */
static void
test_ring_in_pieces(void **state)
{
	struct rig *rig = *state;
	const uint64_t iova = 0x100000, half = 16 * sizeof(struct cbdma_desc);
	unsigned int i;

	assert_int_equal(dm_device_map(rig->dev, iova, half, rig->ring + 16, DM_READ), 0);
	assert_int_equal(dm_device_map(rig->dev, iova + half, half, rig->ring, DM_READ), 0);
	rig_copies(rig, 0, 32);
	for (i = 0; i < 32; i++)
		rig->ring[i].next = iova + ((i + 1 + 16) % 32) * sizeof(struct cbdma_desc);
	rig_write(rig, CBDMA_CHAINADDR, 8, iova);
	rig_ring(rig, 24);
	assert_int_equal(dm_device_run(rig->dev, 100), 24);
	for (i = 0; i < 32; i++)
		assert_int_equal(rig_copied(rig, i), i >= 16 || i < 8);
	assert_int_equal(*rig->word,
			(iova + half + 7 * sizeof(struct cbdma_desc)) | CBDMA_CHANSTS_IDLE);
}

static void
test_ring_wrap(void **state)
{
	struct rig *rig = *state;
	unsigned int i, n;

	rig_copies(rig, 0, RIG_RING_SIZE);
	for (i = 0; i < 70; i++) {
		memset(rig->mem + RIG_DST, 0, RIG_RING_SIZE * 64);
		rig_run(rig, 1000);
		for (n = 0; n < RIG_RING_SIZE; n++)
			assert_int_equal(rig_copied(rig, i * 1000 + n), n < 1000);
		check_word(rig, i * 1000 + 999, CBDMA_CHANSTS_IDLE);
	}
	/* DMACOUNT has gone past 65535. */
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), 70000 - 65536);
}

static void
test_dmacount_wrap(void **state)
{
	struct rig *rig = *state;
	unsigned int i;

	rig_copies(rig, 0, RIG_RING_SIZE);
	/* The longest step that there is. */
	rig_run(rig, 65535);
	check_status(rig, 65534, CBDMA_CHANSTS_IDLE);
	assert_false(dm_device_pending(rig->dev));
	for (i = 0; i < 4; i++)
		rig_run(rig, 1);
	check_status(rig, 65538, CBDMA_CHANSTS_IDLE);
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), 3);
	/* Less than before, but not less than has been run. */
	rig_ring(rig, 10);
	assert_int_equal(dm_device_run(rig->dev, 5), 5);
	rig_ring(rig, -3);
	assert_int_equal(dm_device_run(rig->dev, 10), 2);
	/* Back by one is forward by 65535. */
	rig_ring(rig, 65535);
	assert_int_equal(dm_device_run(rig->dev, 100000), 65535);
	assert_int_equal(dm_device_run(rig->dev, 100000), 0);
}

/* The doorbell as the driver has it: a word that it stores to. */
static void
test_doorbell_in_place(void **state)
{
	uint16_t *doorbell = aligned_alloc(64, 64);
	struct dm_cbdma_config config = {.doorbell = {doorbell}};
	struct rig rig;

	(void)state;
	assert_non_null(doorbell);
	*doorbell = 77;
	rig_create(&rig, &config);
	assert_int_equal(*doorbell, 0);
	*doorbell = 5;
	rig_start(&rig);
	assert_int_equal(*doorbell, 0);
	rig_copies(&rig, 0, 4);
	__atomic_store_n(doorbell, 3, __ATOMIC_RELEASE);
	assert_true(dm_device_pending(rig.dev));
	assert_int_equal(rig_read(&rig, CBDMA_DMACOUNT, 2), 3);
	assert_int_equal(dm_device_run(rig.dev, 100), 3);
	check_word(&rig, 2, CBDMA_CHANSTS_IDLE);
	rig_write(&rig, CBDMA_DMACOUNT, 2, 4);
	assert_int_equal(*doorbell, 4);
	assert_int_equal(dm_device_run(rig.dev, 100), 1);
	rig_write(&rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	assert_int_equal(*doorbell, 0);
	rig_destroy(&rig);
	free(doorbell);
}

static void
test_completion_on_demand(void **state)
{
	struct rig *rig = *state;
	unsigned int i;

	rig_copies(rig, 0, 100);
	for (i = 0; i < 100; i++)
		rig->ring[i].control = 0;
	/* None asked for: none written. */
	rig_run(rig, 5);
	assert_int_equal(*rig->word, 0);
	check_status(rig, 4, CBDMA_CHANSTS_IDLE);
	/* The last one asked. */
	rig->ring[9].control = CBDMA_DESC_COMPLETION;
	rig_run(rig, 5);
	check_word(rig, 9, CBDMA_CHANSTS_IDLE);
	/* One in the middle asked: there was more to do at that time. */
	rig->ring[12].control = CBDMA_DESC_COMPLETION;
	rig_run(rig, 5);
	check_word(rig, 12, CBDMA_CHANSTS_ACTIVE);
	check_status(rig, 14, CBDMA_CHANSTS_IDLE);
	/* Many: at least one word in 32 descriptors, however many are run at once. */
	for (i = 15; i < 100; i++)
		rig->ring[i].control = CBDMA_DESC_COMPLETION;
	rig_ring(rig, 85);
	assert_int_equal(dm_device_run(rig->dev, 40), 40);
	check_word(rig, 54, CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(dm_device_run(rig->dev, 100), 45);
	check_word(rig, 99, CBDMA_CHANSTS_IDLE);
}

/* A null descriptor moves nothing, whatever its addresses say, but is completed as any other. */
static void
test_null(void **state)
{
	struct rig *rig = *state;

	rig_copies(rig, 0, 4);
	rig->ring[1].control |= CBDMA_DESC_NULL;
	rig->ring[2].control |= CBDMA_DESC_NULL;
	rig->ring[2].src = 0;
	rig->ring[2].dst = 0;
	rig->ring[2].size = 1;
	rig_run(rig, 4);
	check_word(rig, 3, CBDMA_CHANSTS_IDLE);
	assert_true(rig_copied(rig, 0));
	assert_false(rig_copied(rig, 1));
	assert_true(rig_copied(rig, 3));
	/* Nothing but null ones. */
	rig->ring[4].control = rig->ring[5].control = CBDMA_DESC_NULL | CBDMA_DESC_COMPLETION;
	rig->ring[4].size = rig->ring[5].size = 1;
	rig_run(rig, 2);
	check_word(rig, 5, CBDMA_CHANSTS_IDLE);
}

/* Flags that change nothing about the data. */
static void
test_hints(void **state)
{
	struct rig *rig = *state;

	rig_copies(rig, 0, 1);
	rig->ring[0].control |= CBDMA_DESC_SRC_SNOOP_DIS | CBDMA_DESC_DST_SNOOP_DIS |
			CBDMA_DESC_FENCE | 3u << 9;
	rig_run(rig, 1);
	assert_true(rig_copied(rig, 0));
}

static void
test_fill(void **state)
{
	struct rig *rig = *state;
	const uint64_t pattern = 0x0807060504030201ull;
	static const uint32_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 63, 64, 65, 4096, 5001};
	size_t i, n, offset;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (offset = 0; offset < 9; offset++) {
			memset(rig->mem + RIG_DST, 0xee, 8192);
			rig_fill(rig, rig->count, pattern, 64 + offset, sizes[i]);
			rig_run(rig, 1);
			for (n = 0; n < 8192; n++) {
				size_t k = n - 64 - offset;
				uint8_t expected = n >= 64 + offset && k < sizes[i] ? k % 8 + 1 : 0xee;

				assert_int_equal(rig->mem[RIG_DST + n], expected);
			}
		}
	}
}

/* Sources and destinations across mappings that lie apart in memory. */
static void
test_across_mappings(void **state)
{
	/* Pieces of the source and of the destination, cut at different places. */
	static const uint64_t src_cut[] = {0, 64, 192, 256, 4096, 8192};
	static const uint64_t dst_cut[] = {0, 128, 1024, 1088, 5056, 8192};
	const uint64_t src = 0x200000 - 1024, dst = 0x400000 - 512, pattern = 0x1122334455667788ull;
	struct rig *rig = *state;
	uint8_t expected[8192], got[8192];
	uint64_t at = 0;
	size_t i, n;

	/* In memory, every other piece comes 64 KB later than the one before it. */
	for (i = 0; i < 5; i++) {
		n = src_cut[i + 1] - src_cut[i];
		assert_int_equal(dm_device_map(rig->dev, src + src_cut[i], n,
					 rig->mem + RIG_SRC + (i << 16), DM_READ), 0);
		memcpy(expected + src_cut[i], rig->mem + RIG_SRC + (i << 16), n);
		n = dst_cut[i + 1] - dst_cut[i];
		assert_int_equal(dm_device_map(rig->dev, dst + dst_cut[i], n,
					 rig->mem + RIG_DST + ((5 - i) << 16), DM_WRITE), 0);
	}
	/* Between others in one batch, of every length. */
	rig_copies(rig, 0, 8);
	for (n = 1; n <= 8192; n += n < 300 ? 1 : 97) {
		memset(rig->mem + RIG_DST, 0, 6 << 16);
		rig->ring[at % RIG_RING_SIZE].src = src + 8192 - n;
		rig_copies(rig, at, 3);
		rig->ring[(at + 1) % RIG_RING_SIZE].src = src + 8192 - n;
		rig->ring[(at + 1) % RIG_RING_SIZE].dst = dst + 8192 - n;
		rig->ring[(at + 1) % RIG_RING_SIZE].size = n;
		rig_run(rig, 3);
		check_word(rig, at + 2, CBDMA_CHANSTS_IDLE);
		assert_true(rig_copied(rig, at));
		assert_true(rig_copied(rig, at + 2));
		for (i = 0; i < 5; i++)
			memcpy(got + dst_cut[i], rig->mem + RIG_DST + ((5 - i) << 16),
					dst_cut[i + 1] - dst_cut[i]);
		assert_memory_equal(got + 8192 - n, expected + 8192 - n, n);
		at += 3;
	}
	/* The pattern of a fill goes on across pieces. */
	for (n = 8192; n > 8000; n--) {
		rig_fill(rig, at, pattern, 0, n);
		rig->ring[at % RIG_RING_SIZE].dst = dst + 8192 - n;
		rig_run(rig, 1);
		at++;
		for (i = 0; i < 5; i++)
			memcpy(got + dst_cut[i], rig->mem + RIG_DST + ((5 - i) << 16),
					dst_cut[i + 1] - dst_cut[i]);
		for (i = 0; i < n; i++)
			assert_int_equal(got[8192 - n + i], (uint8_t)(pattern >> (i % 8 * 8)));
	}
}

/* A fill whose pattern is cut at every phase, which mappings cannot do being aligned: by its start. */
static void
test_fill_phases(void **state)
{
	const uint64_t dst = 0x600000, pattern = 0x8877665544332211ull;
	struct rig *rig = *state;
	unsigned int start, i;

	assert_int_equal(dm_device_map(rig->dev, dst, 64, rig->mem + RIG_DST, DM_WRITE), 0);
	assert_int_equal(dm_device_map(rig->dev, dst + 64, 64, rig->mem + RIG_DST + 4096, DM_WRITE),
			0);
	for (start = 0; start < 64; start++) {
		memset(rig->mem + RIG_DST, 0, 8192);
		rig_fill(rig, start, pattern, 0, 128 - start);
		rig->ring[start].dst = dst + start;
		rig_run(rig, 1);
		for (i = start; i < 128; i++)
			assert_int_equal(rig->mem[RIG_DST + i % 64 + (i < 64 ? 0 : 4096)],
					(uint8_t)(pattern >> ((i - start) % 8 * 8)));
	}
}

/* What was translated once is not reached any more when it has been unmapped, or mapped anew. */
static void
test_unmap(void **state)
{
	struct rig *rig = *state;
	const uint64_t iova = 0x10000000;

	assert_int_equal(dm_device_map(rig->dev, iova, 4096, rig->mem + RIG_DST, DM_WRITE), 0);
	rig_copies(rig, 0, 8);
	rig->ring[0].dst = rig->ring[1].dst = rig->ring[2].dst = iova;
	rig_run(rig, 1);
	assert_true(rig_copied(rig, 0));
	memset(rig->mem + RIG_DST, 0, 64);
	assert_int_equal(dm_device_unmap(rig->dev, iova, 4096), 0);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_XDADDERR);
	assert_int_equal(rig->mem[RIG_DST], 0);
	assert_int_equal(dm_device_map(rig->dev, iova, 4096, rig->mem + RIG_DST + 4096, DM_WRITE),
			0);
	rig_start_at(rig, 2);
	rig_run(rig, 1);
	assert_int_equal(rig->mem[RIG_DST], 0);
	assert_memory_equal(rig->mem + RIG_DST + 4096, rig->mem + RIG_SRC + 128, 64);
	assert_int_equal(dm_device_unmap(rig->dev, iova, 4096), 0);
	assert_int_equal(dm_device_unmap(rig->dev, iova, 4096), -ENOENT);
	/* The same for a source. */
	assert_int_equal(dm_device_map(rig->dev, iova, 4096, rig->mem + RIG_SRC, DM_READ), 0);
	rig_copies(rig, 3, 2);
	rig->ring[3].src = rig->ring[4].src = iova;
	rig_run(rig, 1);
	assert_int_equal(dm_device_unmap(rig->dev, iova, 4096), 0);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_XSADDERR);
}

static void
test_several_channels(void **state)
{
	struct rig *rig = *state;
	unsigned int i, round;

	/* Each channel has a part of the ring and a word of its own. */
	rig_copies(rig, 0, 900);
	for (i = 0; i < 3; i++) {
		rig->channel = i;
		rig_start_at(rig, i * 300);
		rig_write(rig, CBDMA_CHANCMP, 8, rig_iova(RIG_WORD + 64 * i));
		rig_ring(rig, 100);
		rig->count = 0;
	}
	/* They take turns in being the first. */
	for (round = 0; round < 6; round++) {
		uint64_t before[3];

		for (i = 0; i < 3; i++)
			before[i] = rig->word[8 * i];
		assert_int_equal(dm_device_run(rig->dev, 7), 7);
		for (i = 0; i < 3; i++)
			assert_int_equal(before[i] != rig->word[8 * i], i == round % 3);
	}
	assert_int_equal(dm_device_run(rig->dev, 1000), 300 - 42);
	for (i = 0; i < 3; i++) {
		assert_int_equal(rig->word[8 * i], rig_desc_iova(i * 300 + 99) | CBDMA_CHANSTS_IDLE);
		assert_true(rig_copied(rig, i * 300 + 99));
		assert_false(rig_copied(rig, i * 300 + 100));
	}
	/* One halts, the others go on. */
	rig->ring[300 + 100].size = 0;
	for (i = 0; i < 3; i++) {
		rig->channel = i;
		rig->count = 100;
		rig_ring(rig, 1);
	}
	assert_int_equal(dm_device_run(rig->dev, 1000), 2);
	for (i = 0; i < 3; i++) {
		rig->channel = i;
		assert_int_equal(rig_state(rig), i == 1 ? CBDMA_CHANSTS_HALTED : CBDMA_CHANSTS_IDLE);
	}
}

/* A burst is bounded in bytes, a run is not. */
static void
test_long_copies(void **state)
{
	struct rig *rig = *state;
	unsigned int i;

	for (i = 0; i < 40; i++)
		rig_copy(rig, i, 0, 0, 1u << 20);
	rig_ring(rig, 40);
	assert_int_equal(dm_device_burst(rig->dev, 100), 1);
	assert_int_equal(dm_device_run(rig->dev, 100), 39);
	check_word(rig, 39, CBDMA_CHANSTS_IDLE);
	assert_memory_equal(rig->mem + RIG_SRC, rig->mem + RIG_DST, 1u << 20);
}

/* Copies that depend on each other come out as in the program only with fences. */
static void
test_order(void **state)
{
	struct rig *rig = *state;
	unsigned int i;

	/* 0: A to B, 1: B to C: in order unless the rig reorders. */
	rig_copy(rig, 0, 0, 0, 64);
	rig_copy(rig, 1, 0, 4096, 64);
	rig->ring[1].src = rig_iova(RIG_DST);
	rig_run(rig, 2);
	assert_memory_equal(rig->mem + RIG_DST + 4096, rig->mem + RIG_SRC, 64);
	/* A whole chain of them. */
	for (i = 0; i < 32; i++) {
		rig_copy(rig, 2 + i, 128, 8192 + i * 64, 64);
		if (i > 0)
			rig->ring[2 + i].src = rig_iova(RIG_DST + 8192 + (i - 1) * 64);
	}
	rig_run(rig, 32);
	assert_memory_equal(rig->mem + RIG_DST + 8192 + 31 * 64, rig->mem + RIG_SRC + 128, 64);
}

static void
test_reorder(void **state)
{
	static const uint8_t zero[64];
	struct rig *rig = *state;
	unsigned int fence;

	if (RIG_VA(rig->mem) == NULL) {
		print_message("with messages, one comes after the other\n");
		skip();
	}
	/* Of three that depend on each other, without a fence, nothing gets through. */
	for (fence = 0; fence < 4; fence++) {
		unsigned int at = fence * 3, i;

		memset(rig->mem + RIG_DST, 0, 4096);
		for (i = 0; i < 3; i++) {
			rig_copy(rig, at + i, 0, i * 64, 64);
			if (i > 0)
				rig->ring[at + i].src = rig_iova(RIG_DST + (i - 1) * 64);
		}
		/* fence: a bit for each of the first two. */
		for (i = 0; i < 2; i++)
			if (fence & (1u << i))
				rig->ring[at + i].control |= CBDMA_DESC_FENCE;
		rig_run(rig, 3);
		check_word(rig, at + 2, CBDMA_CHANSTS_IDLE);
		assert_memory_equal(rig->mem + RIG_DST, rig->mem + RIG_SRC, 64);
		assert_memory_equal(rig->mem + RIG_DST + 64,
				fence & 1 ? rig->mem + RIG_SRC : zero, 64);
		assert_memory_equal(rig->mem + RIG_DST + 128,
				fence == 3 ? rig->mem + RIG_SRC : zero, 64);
	}
	/* Independent ones, a full batch and more, null ones among them, all run. */
	memset(rig->mem + RIG_DST, 0, 1u << 16);
	rig_copies(rig, 12, 100);
	rig->ring[20].control |= CBDMA_DESC_NULL | CBDMA_DESC_FENCE;
	rig->ring[43].control |= CBDMA_DESC_FENCE;
	rig_run(rig, 100);
	for (fence = 12; fence < 112; fence++)
		assert_int_equal(rig_copied(rig, fence), fence != 20);
}

/* With reordering an error still splits what was given: those before it done, those after not. */
static void
test_reorder_error(void **state)
{
	struct rig *rig = *state;
	unsigned int i;

	rig_copies(rig, 0, 20);
	rig->ring[13].src = 0;
	rig_ring(rig, 20);
	assert_int_equal(dm_device_run(rig->dev, 100), 13);
	check_word(rig, 12, CBDMA_CHANSTS_HALTED);
	for (i = 0; i < 20; i++)
		assert_int_equal(rig_copied(rig, i), i < 13);
}

/* Destination over source: any result, but no crash, and nothing beside it is touched. */
static void
test_overlap(void **state)
{
	static const uint32_t sizes[] = {1, 5, 13, 30, 60, 64, 100, 128, 200, 256, 300, 1000, 5000};
	struct rig *rig = *state;
	unsigned int at = 0, i;
	int shift;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (shift = -70; shift <= 70; shift += 7) {
			uint8_t *dst = rig->mem + RIG_DST + 1024 + shift;

			memset(rig->mem + RIG_DST, 0x55, 8192);
			memset(rig->mem + RIG_DST + 1024, 0xaa, sizes[i]);
			rig_copy(rig, at, 0, 1024 + shift, sizes[i]);
			rig->ring[at % RIG_RING_SIZE].src = rig_iova(RIG_DST + 1024);
			rig_run(rig, 1);
			assert_int_equal(dst[0], 0xaa);
			assert_int_equal(dst[-1], shift > 0 && shift <= (int)sizes[i] ? 0xaa : 0x55);
			at++;
		}
	}
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define REORDER_TEST(name) cmocka_unit_test_setup_teardown(name, setup_reorder, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_states),
		RIG_TEST(test_chainaddr_halves),
		RIG_TEST(test_suspend),
		RIG_TEST(test_scattered_chain),
		RIG_TEST(test_append),
		RIG_TEST(test_ring_in_pieces),
		RIG_TEST(test_ring_wrap),
		RIG_TEST(test_dmacount_wrap),
		cmocka_unit_test(test_doorbell_in_place),
		RIG_TEST(test_completion_on_demand),
		RIG_TEST(test_null),
		RIG_TEST(test_hints),
		RIG_TEST(test_fill),
		RIG_TEST(test_across_mappings),
		RIG_TEST(test_fill_phases),
		RIG_TEST(test_unmap),
		RIG_TEST(test_several_channels),
		RIG_TEST(test_long_copies),
		RIG_TEST(test_order),
		REORDER_TEST(test_reorder),
		REORDER_TEST(test_reorder_error),
		RIG_TEST(test_overlap),
	};

	return cmocka_run_group_tests_name("dm_chain", tests, NULL, NULL);
}
