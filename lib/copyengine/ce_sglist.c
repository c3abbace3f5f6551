/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "cei_debug.h"
#include "cei_stream.h"

/* Blocks that are allocated together: few, as most handles have few lists. */
#define CHUNK_BLOCKS 32

struct chunk {
	struct chunk *next;
	struct ce_sglist blocks[CHUNK_BLOCKS];
};

static int
chunk_alloc(struct ce_context *context)
{
	struct chunk *chunk = malloc(sizeof(*chunk));
	unsigned int i;

	if (chunk == NULL)
		return -ENOMEM;
	chunk->next = context->chunks;
	context->chunks = chunk;
	for (i = 0; i < CHUNK_BLOCKS && context->sg_allocated < context->sg_blocks; i++) {
		chunk->blocks[i].next = context->free_blocks;
		context->free_blocks = &chunk->blocks[i];
		context->sg_allocated++;
	}
	return 0;
}

void
cei_sglists_fini(struct ce_context *context)
{
	struct chunk *chunk, *next;

	for (chunk = context->chunks; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
}

static struct ce_sglist *
block_get(struct ce_context *context)
{
	struct ce_sglist *block;

	if (context->free_blocks == NULL &&
		(context->sg_allocated == context->sg_blocks || chunk_alloc(context) < 0))
		return NULL;
	block = context->free_blocks;
	context->free_blocks = block->next;
	CE_COUNT(context->counters.sg_blocks, 1);
	block->next = NULL;
	block->context = context;
	block->length = 0;
	block->segments = 0;
	return block;
}

/* Whether a segment goes on where another ends, for CPU and device. */
static bool
goes_on(const struct ce_segment *before, const struct ce_segment *segment)
{
	if (before->window != 0 || segment->window != 0)
		return false;
	if ((before->va == NULL) != (segment->va == NULL) ||
		(before->iova == RTE_BAD_IOVA) != (segment->iova == RTE_BAD_IOVA))
		return false;
	return (segment->va == NULL || RTE_PTR_ADD(before->va, before->length) == segment->va) &&
		(segment->iova == RTE_BAD_IOVA || before->iova + before->length == segment->iova);
}

/* Append a segment to the list that begins at head and whose last block is *last. */
static int
segment_append(
	struct ce_sglist *head, struct ce_sglist **last, const struct ce_segment *segment)
{
	struct ce_segment *previous = &(*last)->segment[(*last)->segments - 1];

	head->length += segment->length;
	if ((*last)->segments > 0 && goes_on(previous, segment)) {
		previous->length += segment->length;
		return 0;
	}
	if ((*last)->segments == CE_SG_BLOCK) {
		(*last)->next = block_get(head->context);
		if ((*last)->next == NULL)
			return -ENOMEM;
		*last = (*last)->next;
	}
	(*last)->segment[(*last)->segments++] = *segment;
	return 0;
}

static int
range_append(struct ce_sglist *head, struct ce_sglist **last, const void *va, size_t length)
{
	struct ce_segment segment;
	int ret = 0;

	/* No address is that of more. */
	if (length > UINTPTR_MAX - (uintptr_t)va || length > UINT64_MAX - head->length)
		return -EINVAL;
	for (; ret == 0 && length > 0; length -= segment.length) {
		cei_memory_resolve(&head->context->memory, va, length, &segment);
		ret = segment_append(head, last, &segment);
		va = RTE_PTR_ADD(va, segment.length);
	}
	return ret;
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
	struct ce_sglist *list = block_get(cei_context(adapter));

	if (list == NULL)
		rte_errno = ENOMEM;
	return list;
}

struct ce_sglist *
ce_sglist_build(struct ce_adapter *adapter, const void *va, size_t length)
{
	struct ce_sglist *list = list_begin(adapter), *last = list;
	CE_CALL(adapter);

	return list == NULL ? NULL : list_finish(list, range_append(list, &last, va, length));
}

struct ce_sglist *
ce_sglist_build_iov(struct ce_adapter *adapter, const struct iovec *iov, unsigned int count)
{
	struct ce_sglist *list = list_begin(adapter), *last = list;
	unsigned int i;
	int ret = 0;
	CE_CALL(adapter);

	if (list == NULL)
		return NULL;
	for (i = 0; ret == 0 && i < count; i++)
		ret = range_append(list, &last, iov[i].iov_base, iov[i].iov_len);
	return list_finish(list, ret);
}

struct ce_sglist *
ce_sglist_build_mbuf(struct ce_adapter *adapter, const struct rte_mbuf *packet)
{
	struct ce_sglist *list = list_begin(adapter), *last = list;
	int ret = 0;
	CE_CALL(adapter);

	if (list == NULL)
		return NULL;
	for (; ret == 0 && packet != NULL; packet = packet->next)
		ret = range_append(
			list, &last, rte_pktmbuf_mtod(packet, const void *), packet->data_len);
	return list_finish(list, ret);
}

struct ce_sglist *
ce_sglist_build_iova(
	struct ce_adapter *adapter, const struct ce_segment *segments, unsigned int count)
{
	struct ce_context *context = cei_context(adapter);
	const bool identity = context->memory.identity;
	struct ce_sglist *list = list_begin(adapter), *last = list;
	struct ce_segment segment;
	unsigned int i;
	int ret = 0;
	CE_CALL(adapter);

	if (list == NULL)
		return NULL;
	if (!identity)
		ret = cei_bounce_init(context);
	for (i = 0; ret == 0 && i < count; i++) {
		if (segments[i].length == 0)
			continue;
		if (segments[i].iova == RTE_BAD_IOVA ||
			segments[i].length > UINT64_MAX - segments[i].iova ||
			segments[i].length > UINT64_MAX - list->length) {
			ret = -EINVAL;
			break;
		}
		segment = (struct ce_segment){.iova = segments[i].iova,
			.length = segments[i].length, .window = segments[i].window,
			.va = identity ? (void *)(uintptr_t)segments[i].iova : NULL};
		ret = segment_append(list, &last, &segment);
	}
	return list_finish(list, ret);
}

void
ce_sglist_free(struct ce_sglist *list)
{
	struct ce_sglist *next;

	for (; list != NULL; list = next) {
		next = list->next;
		CE_COUNT(list->context->counters.sg_blocks, -1);
		list->next = list->context->free_blocks;
		list->context->free_blocks = list;
	}
}

uint64_t
ce_sglist_length(const struct ce_sglist *list)
{
	return list->length;
}

unsigned int
ce_sglist_segments(
	const struct ce_sglist *list, struct ce_segment *segments, unsigned int max)
{
	unsigned int i, count = 0;

	for (; list != NULL; list = list->next) {
		for (i = 0; i < list->segments; i++, count++)
			if (count < max)
				segments[count] = list->segment[i];
	}
	return count;
}
