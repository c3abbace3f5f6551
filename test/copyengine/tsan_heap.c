/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * DPDK comes without ThreadSanitizer, which therefore does not see that the lock of DPDK's heap orders
 * what one thread did with memory and what the next one does that it is given to. These stand before
 * DPDK's functions with a lock that it sees.
 */

#if defined(__SANITIZE_THREAD__)

#include <dlfcn.h>
#include <pthread.h>

#include <rte_malloc.h>
#include <rte_memzone.h>

/* Some of them call each other. */
static pthread_mutex_t heap = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

void
rte_free(void *memory)
{
	pthread_mutex_lock(&heap);
	NEXT(rte_free)(memory);
	pthread_mutex_unlock(&heap);
}

void *
rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	void *memory;

	pthread_mutex_lock(&heap);
	memory = NEXT(rte_malloc_socket)(type, size, align, socket);
	pthread_mutex_unlock(&heap);
	return memory;
}

void *
rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	void *memory;

	pthread_mutex_lock(&heap);
	memory = NEXT(rte_zmalloc_socket)(type, size, align, socket);
	pthread_mutex_unlock(&heap);
	return memory;
}

void *
rte_malloc(const char *type, size_t size, unsigned int align)
{
	return rte_malloc_socket(type, size, align, SOCKET_ID_ANY);
}

void *
rte_zmalloc(const char *type, size_t size, unsigned int align)
{
	return rte_zmalloc_socket(type, size, align, SOCKET_ID_ANY);
}

const struct rte_memzone *
rte_memzone_reserve_aligned(
	const char *name, size_t length, int socket, unsigned int flags, unsigned int align)
{
	const struct rte_memzone *zone;

	pthread_mutex_lock(&heap);
	zone = NEXT(rte_memzone_reserve_aligned)(name, length, socket, flags, align);
	pthread_mutex_unlock(&heap);
	return zone;
}

const struct rte_memzone *
rte_memzone_reserve(const char *name, size_t length, int socket, unsigned int flags)
{
	return rte_memzone_reserve_aligned(name, length, socket, flags, RTE_CACHE_LINE_SIZE);
}

int
rte_memzone_free(const struct rte_memzone *zone)
{
	int ret;

	pthread_mutex_lock(&heap);
	ret = NEXT(rte_memzone_free)(zone);
	pthread_mutex_unlock(&heap);
	return ret;
}

#endif
