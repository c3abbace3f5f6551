/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_io.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <rte_memzone.h>

#include "cei_stream.h"

struct common_buffer {
	struct ce_common_buffer public;
	struct ce_context *context;
	const struct rte_memzone *zone;
};

struct ce_common_pool {
	struct ce_common_buffer *buffer;
	struct rte_mempool *mempool;
	atomic_uint_fast64_t allocations;
	atomic_uint_fast64_t exhaustions;
};

static atomic_uint serial; /* of names, which EAL wants to be unique */

static const struct rte_memzone *
zone_reserve(const struct ce_context *context, size_t length, int socket)
{
	char name[RTE_MEMZONE_NAMESIZE];

	snprintf(name, sizeof(name), "ce_common_%u", atomic_fetch_add(&serial, 1));
	return rte_memzone_reserve_aligned(name, length, socket,
		RTE_MEMZONE_SIZE_HINT_ONLY |
			(context->memory.identity ? 0 : RTE_MEMZONE_IOVA_CONTIG),
		CE_PAGE_SIZE);
}

static struct ce_common_buffer *
buffer_alloc(struct ce_context *context, size_t length)
{
	const int socket = context->socket;
	struct common_buffer *buffer;

	if (length == 0) {
		rte_errno = EINVAL;
		return NULL;
	}
	buffer = rte_zmalloc("ce_common_buffer", sizeof(*buffer), 0);
	if (buffer == NULL || length > SIZE_MAX - CE_PAGE_SIZE)
		goto no_memory;
	length = RTE_ALIGN_CEIL(length, (size_t)CE_PAGE_SIZE);
	buffer->zone = zone_reserve(context, length, socket);
	if (buffer->zone == NULL && socket != SOCKET_ID_ANY)
		buffer->zone = zone_reserve(context, length, SOCKET_ID_ANY);
	if (buffer->zone == NULL)
		goto no_memory;

	buffer->context = context;
	buffer->public.va = buffer->zone->addr;
	buffer->public.iova = context->memory.identity ? (uintptr_t)buffer->zone->addr : buffer->zone->iova;
	buffer->public.length = length;
	buffer->public.socket = buffer->zone->socket_id;
	if (buffer->public.iova == RTE_BAD_IOVA)
		goto no_memory;
	memset(buffer->public.va, 0, length);
	CE_COUNT(context->counters.common_bytes, length);
	if (context->counters.common_bytes > context->counters.common_bytes_max)
		CE_COUNT(context->counters.common_bytes_max,
			context->counters.common_bytes - context->counters.common_bytes_max);
	return &buffer->public;

no_memory:
	if (buffer != NULL && buffer->zone != NULL)
		rte_memzone_free(buffer->zone);
	rte_free(buffer);
	CE_COUNT(context->counters.common_failed, 1);
	rte_errno = ENOMEM;
	return NULL;
}

struct ce_common_buffer *
ce_common_buffer_alloc(struct ce_adapter *adapter, size_t length)
{
	return buffer_alloc(cei_context(adapter), length);
}

void
ce_common_buffer_free(struct ce_common_buffer *public)
{
	struct common_buffer *buffer = container_of(public, struct common_buffer, public);

	if (public == NULL)
		return;
	CE_COUNT(buffer->context->counters.common_bytes, -public->length);
	rte_memzone_free(buffer->zone);
	rte_free(buffer);
}

/*
 * The mempool manages the blocks; where they lie is ours, and contiguous: so it need not care for
 * pages, and the IOVA of a block follows from its place in the buffer.
 */
static int
pool_populate(struct ce_common_pool *pool, struct ce_context *context, uint32_t block_size,
	uint32_t blocks)
{
	const unsigned int flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG;
	char name[RTE_MEMPOOL_NAMESIZE];
	const uint32_t size = rte_mempool_calc_obj_size(block_size, flags, NULL);
	int ret;

	pool->buffer = buffer_alloc(context, (size_t)size * blocks);
	if (pool->buffer == NULL)
		return -rte_errno;
	blocks = RTE_MIN(pool->buffer->length / size, UINT32_MAX / 2);
	snprintf(name, sizeof(name), "ce_pool_%u", atomic_fetch_add(&serial, 1));
	pool->mempool = rte_mempool_create_empty(
		name, blocks, block_size, 0, 0, pool->buffer->socket, flags);
	if (pool->mempool == NULL)
		return -rte_errno;
	ret = rte_mempool_populate_iova(pool->mempool, pool->buffer->va, pool->buffer->iova,
		pool->buffer->length, NULL, NULL);
	return ret < 0 ? ret : 0;
}

static struct ce_common_pool *
pool_create(struct ce_context *context, uint32_t block_size, uint32_t blocks)
{
	struct ce_common_pool *pool;
	int ret;

	pool = rte_zmalloc("ce_common_pool", sizeof(*pool), 0);
	ret = pool == NULL ? -ENOMEM : pool_populate(pool, context, block_size, blocks);
	if (ret < 0) {
		if (pool != NULL) {
			rte_mempool_free(pool->mempool);
			ce_common_buffer_free(pool->buffer);
		}
		rte_free(pool);
		rte_errno = -ret;
		return NULL;
	}
	return pool;
}

struct ce_common_pool *
ce_common_pool_create(struct ce_adapter *adapter, uint32_t block_size, uint32_t blocks)
{
	if (block_size == 0 || block_size > (1u << 20) || blocks == 0) {
		rte_errno = EINVAL;
		return NULL;
	}
	return pool_create(cei_context(adapter), block_size, blocks);
}

/* Bounce buffers, when they are first needed. They are the library's own use of common memory. */
int
cei_bounce_init(struct ce_context *context)
{
	const uint64_t held = context->counters.common_bytes, most = context->counters.common_bytes_max;

	if (context->bounce != NULL)
		return 0;
	context->bounce = pool_create(
		context, context->bounce_size + CE_BOUNCE_HEAD, context->bounce_buffers);
	if (context->bounce == NULL)
		return -rte_errno;
	CE_COUNT(context->counters.common_bytes, held - context->counters.common_bytes);
	CE_COUNT(context->counters.common_bytes_max, most - context->counters.common_bytes_max);
	return 0;
}

static uint32_t
pool_used(const struct ce_common_pool *pool)
{
	return pool->mempool->populated_size - rte_mempool_avail_count(pool->mempool);
}

int
ce_common_pool_destroy(struct ce_common_pool *pool)
{
	if (pool == NULL)
		return 0;
	if (pool_used(pool) > 0)
		return -EBUSY;
	rte_mempool_free(pool->mempool);
	ce_common_buffer_free(pool->buffer);
	rte_free(pool);
	return 0;
}

void *
ce_common_pool_get(struct ce_common_pool *pool, rte_iova_t *iova)
{
	void *block;

	if (rte_mempool_get(pool->mempool, &block) < 0) {
		atomic_fetch_add_explicit(&pool->exhaustions, 1, memory_order_relaxed);
		return NULL;
	}
	atomic_fetch_add_explicit(&pool->allocations, 1, memory_order_relaxed);
	if (iova != NULL)
		*iova = pool->buffer->iova + RTE_PTR_DIFF(block, pool->buffer->va);
	return block;
}

void
ce_common_pool_put(struct ce_common_pool *pool, void *block)
{
	rte_mempool_put(pool->mempool, block);
}

void
ce_common_pool_stats_get(const struct ce_common_pool *pool, struct ce_common_pool_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->bytes = pool->buffer->length;
	stats->block_size = pool->mempool->elt_size;
	stats->blocks = pool->mempool->populated_size;
	stats->blocks_used = pool_used(pool);
	stats->allocations = atomic_load_explicit(&pool->allocations, memory_order_relaxed);
	stats->exhaustions = atomic_load_explicit(&pool->exhaustions, memory_order_relaxed);
}

void
ce_sync_for_device(struct ce_adapter *adapter, const void *va, size_t length)
{
	RTE_SET_USED(adapter);
	RTE_SET_USED(va);
	RTE_SET_USED(length);
	/* Stores to memory before the store that rings a doorbell. */
	rte_io_wmb();
}

void
ce_sync_for_cpu(struct ce_adapter *adapter, const void *va, size_t length)
{
	RTE_SET_USED(adapter);
	RTE_SET_USED(va);
	RTE_SET_USED(length);
	/* The load that saw the device's news before the loads of what it announces. */
	rte_io_rmb();
}
