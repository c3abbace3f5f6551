/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_memory.h>

#include "ce_private.h"

/* Counts what makes translations stale: that DPDK gave memory back. */
atomic_uint cei_memory_generation;

static void
memory_event(enum rte_mem_event event, const void *addr, size_t length, void *arg)
{
	RTE_SET_USED(addr);
	RTE_SET_USED(length);
	RTE_SET_USED(arg);
	if (event == RTE_MEM_EVENT_FREE)
		atomic_fetch_add(&cei_memory_generation, 1);
}

int
cei_memory_watch(void)
{
	if (rte_mem_event_callback_register("copyengine", memory_event, NULL) < 0) {
		/* There already; or DPDK's memory is fixed (--legacy-mem, --no-huge). */
		if (rte_errno != EEXIST && rte_errno != ENOTSUP)
			return -rte_errno;
	}
	return 0;
}

/*
 * Look up the page of DPDK's memory that va lies in, and those after it in the granule while their
 * IOVAs go on. Walks EAL's tables without its lock: memory that somebody transfers does not go away.
 *
 * Returns false when there is none, or the device has no address for it.
 */
static bool
page_lookup(uintptr_t va, struct ce_translation *found, bool *external)
{
	struct rte_memseg_list *msl = rte_mem_virt2memseg_list((const void *)va);
	const struct rte_memseg *ms;
	uintptr_t granule_end;
	unsigned int page;
	int used;

	if (msl == NULL)
		return false;
	page = (va - (uintptr_t)msl->base_va) / msl->page_sz;
	used = rte_fbarray_find_contig_used(&msl->memseg_arr, page);
	if (used <= 0)
		return false;
	*external = msl->external;
	ms = rte_fbarray_get(&msl->memseg_arr, page);
	found->iova = ms->iova;
	found->start = (uintptr_t)msl->base_va + page * msl->page_sz;
	found->end = found->start + msl->page_sz;
	if (ms->iova == RTE_BAD_IOVA) {
		/* Registered without IOVAs: then they are the addresses, if EAL uses those. */
		if (!msl->external || rte_eal_iova_mode() != RTE_IOVA_VA)
			return false;
		found->iova = found->start;
		return true;
	}
	granule_end = RTE_ALIGN_FLOOR(va, RTE_BIT64(CE_GRANULE_SHIFT)) + RTE_BIT64(CE_GRANULE_SHIFT);
	while (--used > 0 && found->end < granule_end) {
		ms = rte_fbarray_get(&msl->memseg_arr, ++page);
		if (ms->iova != found->iova + (found->end - found->start))
			break;
		found->end += msl->page_sz;
	}
	return true;
}

static inline bool
covers(const struct ce_translation *entry, uintptr_t va)
{
	return va - entry->start < entry->end - entry->start;
}

/* Describe the memory at va: as much of length as is one segment. */
void
cei_resolve(struct ce_adapter *adapter, const void *va, size_t length, struct ce_segment *segment)
{
	const uint32_t generation = atomic_load_explicit(&cei_memory_generation, memory_order_relaxed);
	const uintptr_t address = (uintptr_t)va;
	struct ce_translation *entry, looked_up;
	bool external = false;

	segment->address = address;
	segment->length = RTE_MIN(length, adapter->max_segment);
	segment->bounced = 0;
	if (adapter->sva)
		return;
	if (unlikely(generation != adapter->generation)) {
		memset(adapter->translations, 0, sizeof(adapter->translations));
		adapter->generation = generation;
	}
	entry = &adapter->translations[(address >> CE_GRANULE_SHIFT) % CE_TRANSLATIONS];
	if (unlikely(!covers(entry, address))) {
		if (!page_lookup(address, &looked_up, &external)) {
			/* The CPU can reach all of it, so it does not matter where this ends. */
			segment->bounced = 1;
			return;
		}
		/* Nobody says when external memory goes away. */
		if (external)
			entry = &looked_up;
		else
			*entry = looked_up;
	}
	segment->address = entry->iova + (address - entry->start);
	segment->length = RTE_MIN(segment->length, entry->end - address);
}

static struct ce_sglist *
block_get(struct ce_adapter *adapter)
{
	void *block;

	if (rte_mempool_get(adapter->sg_blocks, &block) < 0)
		return NULL;
	adapter->stats.sg_blocks++;
	memset(block, 0, offsetof(struct ce_sglist, segment));
	((struct ce_sglist *)block)->adapter = adapter;
	return block;
}

/* Append a range to the list that begins at head and whose last block is *last. */
static int
list_append(struct ce_sglist *head, struct ce_sglist **last, const void *va, size_t length)
{
	struct ce_adapter *adapter = head->adapter;
	struct ce_segment segment, *previous;

	head->length += length;
	while (length > 0) {
		cei_resolve(adapter, va, length, &segment);
		length -= segment.length;
		va = RTE_PTR_ADD(va, segment.length);

		previous = &(*last)->segment[(*last)->segments - 1];
		if ((*last)->segments > 0 && previous->bounced == segment.bounced &&
			previous->address + previous->length == segment.address &&
			(uint64_t)previous->length + segment.length <= adapter->max_segment) {
			previous->length += segment.length;
			continue;
		}
		if ((*last)->segments == CE_SG_BLOCK) {
			(*last)->next = block_get(adapter);
			if ((*last)->next == NULL)
				return -ENOMEM;
			*last = (*last)->next;
		}
		(*last)->segment[(*last)->segments++] = segment;
	}
	return 0;
}

/* The list, or NULL with rte_errno when it could not be built or is empty. */
static struct ce_sglist *
list_finish(struct ce_sglist *list, int ret)
{
	if (ret == 0 && list->length == 0)
		ret = -EINVAL;
	if (ret == 0)
		return list;
	ce_sglist_free(list);
	rte_errno = -ret;
	return NULL;
}

static struct ce_sglist *
list_begin(struct ce_adapter *adapter)
{
	struct ce_sglist *list = block_get(adapter);

	if (list == NULL)
		rte_errno = ENOMEM;
	return list;
}

struct ce_sglist *
ce_sglist_build(struct ce_adapter *adapter, void *va, size_t length)
{
	struct ce_sglist *list = list_begin(adapter), *last = list;

	return list == NULL ? NULL : list_finish(list, list_append(list, &last, va, length));
}

struct ce_sglist *
ce_sglist_build_iov(struct ce_adapter *adapter, const struct iovec *iov, unsigned int count)
{
	struct ce_sglist *list = list_begin(adapter), *last = list;
	unsigned int i;
	int ret = 0;

	if (list == NULL)
		return NULL;
	for (i = 0; ret == 0 && i < count; i++)
		ret = list_append(list, &last, iov[i].iov_base, iov[i].iov_len);
	return list_finish(list, ret);
}

struct ce_sglist *
ce_sglist_build_mbuf(struct ce_adapter *adapter, const struct rte_mbuf *packet)
{
	struct ce_sglist *list = list_begin(adapter), *last = list;
	int ret = 0;

	if (list == NULL)
		return NULL;
	for (; ret == 0 && packet != NULL; packet = packet->next)
		ret = list_append(
			list, &last, rte_pktmbuf_mtod(packet, const void *), packet->data_len);
	return list_finish(list, ret);
}

void
ce_sglist_free(struct ce_sglist *list)
{
	struct ce_sglist *next;

	for (; list != NULL; list = next) {
		next = list->next;
		list->adapter->stats.sg_blocks--;
		rte_mempool_put(list->adapter->sg_blocks, list);
	}
}

uint64_t
ce_sglist_length(const struct ce_sglist *list)
{
	return list->length;
}

unsigned int
ce_sglist_segments(const struct ce_sglist *list, struct ce_segment *segments, unsigned int max)
{
	unsigned int i, count = 0;

	for (; list != NULL; list = list->next) {
		for (i = 0; i < list->segments; i++, count++)
			if (count < max)
				segments[count] = list->segment[i];
	}
	return count;
}

void
cei_cursor_init(struct ce_cursor *at, const struct ce_sglist *list, uint64_t offset)
{
	at->segment = list->segment;
	at->block = list;
	at->left = list->segments;
	at->offset = 0;
	cei_cursor_skip(at, offset);
}

/* Step to the next segment. */
static inline void
cursor_next(struct ce_cursor *at)
{
	at->offset = 0;
	at->segment++;
	if (--at->left > 0)
		return;
	at->block = at->block == NULL ? NULL : at->block->next;
	at->segment = at->block == NULL ? NULL : at->block->segment;
	at->left = at->block == NULL ? 0 : at->block->segments;
}

void
cei_cursor_skip(struct ce_cursor *at, uint64_t length)
{
	while (at->segment != NULL && length >= at->segment->length - at->offset) {
		length -= at->segment->length - at->offset;
		cursor_next(at);
	}
	at->offset += length;
}

/* A cursor at the beginning of a list of one segment. */
void
cei_cursor_init_one(struct ce_cursor *at, const struct ce_segment *segment)
{
	at->segment = segment;
	at->block = NULL;
	at->left = 1;
	at->offset = 0;
}

/* Bytes from here on that one operation can take: of one kind of memory, in max_sges segments. */
uint32_t
cei_cursor_extent(const struct ce_cursor *from, uint32_t max, uint32_t max_sges)
{
	const uint32_t bounced = from->segment->bounced;
	struct ce_cursor at = *from;
	uint32_t extent = 0;

	/* A bounce buffer gathers any number of segments. */
	if (bounced)
		max_sges = UINT32_MAX;
	while (max_sges-- > 0 && extent < max && at.segment != NULL &&
		at.segment->bounced == bounced) {
		extent += RTE_MIN(max - extent, at.segment->length - at.offset);
		cursor_next(&at);
	}
	return extent;
}

/* Write down the next bytes as operands of an operation, and step over them. */
uint16_t
cei_cursor_sges(struct ce_cursor *at, uint32_t length, struct rte_dma_sge *sges)
{
	uint16_t count;
	uint32_t part;

	for (count = 0; length > 0; count++, length -= part) {
		part = RTE_MIN(length, at->segment->length - at->offset);
		sges[count].addr = at->segment->address + at->offset;
		sges[count].length = part;
		cei_cursor_skip(at, part);
	}
	return count;
}

/* Copy the next bytes, which are bounced, into a bounce buffer, and step over them. */
void
cei_cursor_read(struct ce_cursor *at, uint8_t *to, uint32_t length)
{
	uint32_t part;

	for (; length > 0; length -= part, to += part) {
		part = RTE_MIN(length, at->segment->length - at->offset);
		rte_memcpy(to, (const uint8_t *)(uintptr_t)at->segment->address + at->offset, part);
		cei_cursor_skip(at, part);
	}
}

/* Copy a bounce buffer to the next bytes, which are bounced, and step over them. */
void
cei_cursor_write(struct ce_cursor *at, const uint8_t *from, uint32_t length)
{
	uint32_t part;

	for (; length > 0; length -= part, from += part) {
		part = RTE_MIN(length, at->segment->length - at->offset);
		rte_memcpy((uint8_t *)(uintptr_t)at->segment->address + at->offset, from, part);
		cei_cursor_skip(at, part);
	}
}
