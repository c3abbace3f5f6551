/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "soak.h"

#define BLOCK	  512u
#define BLOCKS	  (SOAK_ARENA / BLOCK)
#define GUARD	  (64u << 10) /* on either side of the arena */
#define GUARD_BYTE 0x5c
#define PAGE	  (2u << 20) /* IOVAs are contiguous in it, whatever they are */
#define TRIES	  20

static uint8_t *arena, *shadow, *undefined;
static bool any_undefined;
static rte_iova_t page_iova[SOAK_ARENA / PAGE];
static bool iova_contiguous;

static struct {
	uint16_t readers, writers;
	uint32_t written_by; /* number of the operation being placed that writes it */
} block[BLOCKS];
static uint32_t placing;

static uint64_t random_state = 1;

void
soak_seed(uint64_t seed)
{
	random_state = seed * 0x9e3779b97f4a7c15ull | 1;
}

uint32_t
soak_random(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 24) % limit;
}

int
soak_memory_create(void)
{
	uint8_t *mem;
	uint32_t i;

	mem = rte_malloc("soak", SOAK_ARENA + 2 * PAGE, PAGE);
	shadow = malloc(SOAK_ARENA);
	undefined = calloc(1, SOAK_ARENA);
	if (mem == NULL || shadow == NULL || undefined == NULL)
		return -1;
	arena = mem + PAGE;
	memset(arena - GUARD, GUARD_BYTE, GUARD);
	memset(arena + SOAK_ARENA, GUARD_BYTE, GUARD);
	for (i = 0; i < SOAK_ARENA; i++)
		arena[i] = soak_random(256);
	memcpy(shadow, arena, SOAK_ARENA);

	iova_contiguous = rte_eal_iova_mode() == RTE_IOVA_VA;
	for (i = 0; i < RTE_DIM(page_iova); i++) {
		page_iova[i] = rte_mem_virt2iova(arena + i * PAGE);
		if (page_iova[i] == RTE_BAD_IOVA)
			return -1;
	}
	return 0;
}

rte_iova_t
soak_iova(uint32_t offset)
{
	return page_iova[offset / PAGE] + offset % PAGE;
}

/* Placing */

static bool
may_write(uint32_t b, bool fenced)
{
	return block[b].written_by != placing &&
	       (fenced || (block[b].readers == 0 && block[b].writers == 0));
}

static bool
may_read(uint32_t b, bool fenced)
{
	return block[b].written_by != placing && (fenced || block[b].writers == 0);
}

static bool
place_segment(struct soak_seg *seg, bool is_dst, bool fenced)
{
	unsigned int try;
	uint32_t b, last;

	for (try = 0; try < TRIES; try++) {
		seg->offset = soak_random(SOAK_ARENA - seg->len + 1);
		if (soak_random(4) == 0)
			seg->offset &= ~63u;
		last = (seg->offset + seg->len - 1) / BLOCK;
		if (!iova_contiguous && seg->offset / PAGE != (seg->offset + seg->len - 1) / PAGE)
			continue;
		for (b = seg->offset / BLOCK; b <= last; b++)
			if (!(is_dst ? may_write(b, fenced) : may_read(b, fenced)))
				break;
		if (b <= last)
			continue;
		for (b = seg->offset / BLOCK; is_dst && b <= last; b++)
			block[b].written_by = placing;
		return true;
	}
	return false;
}

bool
soak_place(struct soak_op *op, bool fenced, const struct soak_op *from)
{
	uint32_t b, i;

	placing++;
	/* What it reads first, so that it does not write there. */
	if (from != NULL) {
		op->src[0].offset = from->dst[0].offset;
		op->src[0].len = op->len = RTE_MIN(op->len, from->dst[0].len);
		op->dst[0].len = op->len;
		for (i = 0; i < TRIES; i++) {
			if (!place_segment(&op->dst[0], true, fenced))
				return false;
			for (b = op->src[0].offset / BLOCK; b <= (op->src[0].offset + op->len - 1) / BLOCK; b++)
				if (block[b].written_by == placing)
					break;
			if (b > (op->src[0].offset + op->len - 1) / BLOCK)
				return true;
			placing++;
		}
		return false;
	}
	for (i = 0; i < op->nb_dst; i++)
		if (!place_segment(&op->dst[i], true, fenced))
			return false;
	for (i = 0; i < op->nb_src; i++)
		if (!place_segment(&op->src[i], false, fenced))
			return false;
	return true;
}

static void
count(const struct soak_op *op, int by)
{
	uint32_t i, b;

	for (i = 0; i < op->nb_src; i++)
		for (b = op->src[i].offset / BLOCK; b <= (op->src[i].offset + op->src[i].len - 1) / BLOCK; b++)
			block[b].readers += by;
	for (i = 0; i < op->nb_dst; i++)
		for (b = op->dst[i].offset / BLOCK; b <= (op->dst[i].offset + op->dst[i].len - 1) / BLOCK; b++)
			block[b].writers += by;
}

void
soak_claim(const struct soak_op *op)
{
	count(op, 1);
}

/* Reported */

/* Do in the shadow what the device did. */
static void
replay(const struct soak_op *op)
{
	uint32_t s = 0, d = 0, s_off = 0, d_off = 0, len, i;

	if (op->kind == SOAK_FILL) {
		for (i = 0; i < op->len; i++)
			shadow[op->dst[0].offset + i] = op->pattern >> i % 8 * 8;
		memset(undefined + op->dst[0].offset, 0, op->len);
		return;
	}
	while (s < op->nb_src && d < op->nb_dst) {
		const uint32_t from = op->src[s].offset + s_off, to = op->dst[d].offset + d_off;

		len = RTE_MIN(op->src[s].len - s_off, op->dst[d].len - d_off);
		memcpy(shadow + to, shadow + from, len);
		if (any_undefined)
			memcpy(undefined + to, undefined + from, len);
		s_off += len;
		d_off += len;
		if (s_off == op->src[s].len) {
			s_off = 0;
			s++;
		}
		if (d_off == op->dst[d].len) {
			d_off = 0;
			d++;
		}
	}
}

static int
compare(uint32_t offset, uint32_t len)
{
	uint32_t i;

	if (memcmp(arena + offset, shadow + offset, len) == 0)
		return 0;
	for (i = offset; i < offset + len; i++) {
		if (arena[i] != shadow[i] && !undefined[i]) {
			printf("\nsoak: byte %#x is %#x, should be %#x\n", i, arena[i], shadow[i]);
			return -1;
		}
	}
	return 0;
}

int
soak_done(const struct soak_op *op)
{
	const struct soak_seg *seg;
	uint32_t i, b;

	count(op, -1);
	replay(op);
	for (i = 0; i < op->nb_dst; i++) {
		seg = &op->dst[i];
		/* One behind a fence may have written there already, and is to be checked itself. */
		for (b = seg->offset / BLOCK; b <= (seg->offset + seg->len - 1) / BLOCK; b++)
			if (block[b].writers != 0)
				break;
		if (b > (seg->offset + seg->len - 1) / BLOCK && compare(seg->offset, seg->len) != 0)
			return -1;
	}
	return 0;
}

void
soak_failed(const struct soak_op *op)
{
	uint32_t i;

	count(op, -1);
	any_undefined = true;
	for (i = 0; i < op->nb_dst; i++)
		memset(undefined + op->dst[i].offset, 1, op->dst[i].len);
}

int
soak_check_all(void)
{
	uint32_t i;

	for (i = 0; i < GUARD; i++) {
		if (arena[i - (size_t)GUARD] != GUARD_BYTE || arena[SOAK_ARENA + i] != GUARD_BYTE) {
			printf("\nsoak: the guards round the arena have been written\n");
			return -1;
		}
	}
	for (i = 0; i < SOAK_ARENA; i += BLOCK)
		if (compare(i, BLOCK) != 0)
			return -1;
	memcpy(shadow, arena, SOAK_ARENA);
	memset(undefined, 0, SOAK_ARENA);
	any_undefined = false;
	return 0;
}
