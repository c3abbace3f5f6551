/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Transfers between random fragments of hugepages, of malloc's memory and of packets, some at a time,
 * with adapters of random limits; every byte checked, those between the fragments as well.
 *
 * fragments DEVICE MEMORY [SECONDS [SEED]]
 */

#include "common.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#define KB	  1024
#define ARENA	  (4096 * KB)
#define LONGEST	  (1024 * KB)
#define FRAGMENTS 600
#define SLOTS	  3
#define PACKET	  (60 * KB)

/* Where fragments of one transfer's side lie: two kinds of memory, filled from the front. */
struct side {
	uint8_t *memory[2]; /* reached by the device; malloc's */
	uint8_t *shadow[2]; /* of a destination: what must be there in the end */
	size_t used[2];
	struct iovec iov[FRAGMENTS];
	unsigned int nb;
	struct rte_mbuf *packet; /* instead */
	struct ce_sglist *list;
};

struct slot {
	struct side src, dst;
	struct ce_transfer transfer;
};

static struct slot slots[SLOTS];
static struct rte_mempool *packets;
static uint64_t rng;

static uint64_t
draw(uint64_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % below;
}

/* 1 to most, each order of magnitude as likely as the next. */
static size_t
draw_length(size_t most)
{
	size_t bits = draw(rte_log2_u64(most) + 1);

	return 1 + draw(RTE_MIN((size_t)1 << bits, most));
}

static void
side_init(struct side *side, bool is_dst)
{
	unsigned int i;

	side->memory[0] = dma_alloc(ARENA);
	side->memory[1] = malloc(ARENA);
	for (i = 0; i < 2; i++) {
		pattern_fill(side->memory[i], ARENA, i + 10 * is_dst);
		if (!is_dst)
			continue;
		side->shadow[i] = malloc(ARENA);
		memcpy(side->shadow[i], side->memory[i], ARENA);
	}
}

static void
side_free(struct side *side)
{
	dma_free(side->memory[0]);
	free(side->memory[1]);
	free(side->shadow[0]);
	free(side->shadow[1]);
}

/* A packet of random segments, with data. */
static struct rte_mbuf *
packet_make(size_t length)
{
	struct rte_mbuf *head = NULL, *m;
	size_t part;

	while (length > 0) {
		m = rte_pktmbuf_alloc(packets);
		assert_non_null(m);
		m->data_off = draw(200);
		part = RTE_MIN(length, draw_length(1500));
		pattern_fill(rte_pktmbuf_append(m, part), part, length);
		length -= part;
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
		if (head->nb_segs >= 200 && length > 0) {
			/* Enough of them: the rest is for another packet. */
			break;
		}
	}
	return head;
}

static void
fragments_make(struct side *side, size_t length)
{
	unsigned int kind;
	size_t part, gap;

	side->used[0] = draw(2 * KB * KB);
	side->used[1] = draw(2 * KB * KB);
	for (side->nb = 0; length > 0; side->nb++) {
		kind = draw(2);
		gap = draw(3) == 0 ? 0 : draw(300);
		part = side->nb == FRAGMENTS - 1 ? length : RTE_MIN(length, draw_length(LONGEST));
		if (side->used[kind] + gap + part > ARENA) {
			kind = !kind;
			gap = 0;
		}
		side->iov[side->nb].iov_base = side->memory[kind] + side->used[kind] + gap;
		side->iov[side->nb].iov_len = part;
		side->used[kind] += gap + part;
		length -= part;
	}
}

static size_t
side_make(struct ce_adapter *adapter, struct side *side, size_t length, bool may_be_packet)
{
	side->packet = NULL;
	if (may_be_packet && length <= PACKET && draw(4) == 0) {
		side->packet = packet_make(length);
		side->list = ce_sglist_build_mbuf(adapter, side->packet);
		length = side->packet->pkt_len;
	} else {
		fragments_make(side, length);
		side->list = ce_sglist_build_iov(adapter, side->iov, side->nb);
	}
	assert_non_null(side->list);
	assert_int_equal(ce_sglist_length(side->list), length);
	return length;
}

static uint8_t
side_byte(const struct side *side, size_t *piece, size_t *offset, const struct rte_mbuf **m)
{
	uint8_t byte;

	if (side->packet != NULL) {
		while (*offset == (*m)->data_len) {
			*m = (*m)->next;
			*offset = 0;
		}
		return rte_pktmbuf_mtod(*m, const uint8_t *)[(*offset)++];
	}
	byte = ((uint8_t *)side->iov[*piece].iov_base)[(*offset)++];
	if (*offset == side->iov[*piece].iov_len) {
		++*piece;
		*offset = 0;
	}
	return byte;
}

/* Do to the shadow what the transfer is to do to the memory. */
static void
shadow_copy(struct slot *slot, size_t length)
{
	const struct rte_mbuf *m = slot->src.packet;
	size_t piece = 0, offset = 0, d, i;
	unsigned int kind;
	uint8_t *base;

	for (d = 0; length > 0; d++) {
		base = slot->dst.iov[d].iov_base;
		kind = base >= slot->dst.memory[1] && base < slot->dst.memory[1] + ARENA;
		for (i = 0; i < slot->dst.iov[d].iov_len && length > 0; i++, length--)
			slot->dst.shadow[kind][base - slot->dst.memory[kind] + i] =
				side_byte(&slot->src, &piece, &offset, &m);
	}
}

static void
slot_start(struct ce_adapter *adapter, struct slot *slot)
{
	size_t length = draw_length(LONGEST);

	length = side_make(adapter, &slot->src, length, true);
	side_make(adapter, &slot->dst, length, false);
	shadow_copy(slot, length);
	slot->transfer = (struct ce_transfer){.src = slot->src.list, .dst = slot->dst.list,
		.length = length, .flags = draw(4)};
	assert_int_equal(ce_transfer_submit(adapter, &slot->transfer), 0);
}

static void
slot_check(struct ce_adapter *adapter, struct slot *slot)
{
	unsigned int kind;

	assert_int_equal(finish(adapter, &slot->transfer), 0);
	assert_int_equal(slot->transfer.done, slot->transfer.length);
	for (kind = 0; kind < 2; kind++)
		assert_memory_equal(
			slot->dst.memory[kind], slot->dst.shadow[kind], slot->dst.used[kind]);
	ce_sglist_free(slot->src.list);
	ce_sglist_free(slot->dst.list);
	rte_pktmbuf_free(slot->src.packet);
}

static struct ce_adapter *
random_adapter(void)
{
	const struct ce_adapter_conf conf = {
		.flags = (draw(2) ? CE_ADAPTER_NO_SG : 0) | (draw(4) ? CE_ADAPTER_NO_SVA : 0),
		.ring_size = 32 << draw(6),
		.map_registers = 1 + draw(100),
		.max_segment = 63 + draw_length(LONGEST),
		.break_even = draw_length(4 * KB),
		/* With pages of 4 KB, each may be a segment. */
		.sg_blocks = 2 * SLOTS * (LONGEST / 4096 + FRAGMENTS),
	};

	return adapter_get(&conf);
}

static double duration;

static void
fragments(void **state)
{
	const double limit = seconds() + duration;
	struct ce_adapter_stats stats;
	struct ce_adapter *adapter;
	uint64_t transfers = 0, bytes = 0, by_cpu = 0, operations = 0;
	unsigned int i, round;

	(void)state;
	while (seconds() < limit) {
		adapter = random_adapter();
		for (i = 0; i < SLOTS; i++)
			slot_start(adapter, &slots[i]);
		for (round = 0; round < 20 && seconds() < limit; round++) {
			for (i = 0; i < SLOTS; i++) {
				slot_check(adapter, &slots[i]);
				slot_start(adapter, &slots[i]);
			}
		}
		for (i = 0; i < SLOTS; i++)
			slot_check(adapter, &slots[i]);
		ce_adapter_stats_get(adapter, &stats);
		transfers += stats.transfers;
		bytes += stats.bytes;
		by_cpu += stats.cpu_bytes;
		operations += stats.operations;
		adapter_put(adapter);
	}
	print_message("%" PRIu64 " transfers, %" PRIu64 " operations, %" PRIu64 " bytes, %" PRIu64
		      " by the CPU\n", transfers, operations, bytes, by_cpu);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fragments)};
	unsigned int i;
	int failed;

	test_begin(argc, argv);
	duration = argc > 3 ? atof(argv[3]) : 5;
	rng = argc > 4 ? strtoull(argv[4], NULL, 0) : (uint64_t)getpid() * 0x9e3779b97f4a7c15;
	printf("seed %#" PRIx64 "\n", rng);
	packets = rte_pktmbuf_pool_create("packets", 1023, 0, 0, 2048, SOCKET_ID_ANY);
	for (i = 0; i < SLOTS; i++) {
		side_init(&slots[i].src, false);
		side_init(&slots[i].dst, true);
	}
	failed = cmocka_run_group_tests_name("fragments", tests, NULL, NULL);
	for (i = 0; i < SLOTS; i++) {
		side_free(&slots[i].src);
		side_free(&slots[i].dst);
	}
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
