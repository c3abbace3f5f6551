/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Memory that devices can reach, and named buffers of it.
 *
 * A buffer is a memzone: IOVA-contiguous, so that every range of it is one segment, on the page
 * size and node asked for. "page 4K" is ordinary memory of the process instead, registered with
 * DPDK and mapped for each device, as applications with memory of their own do it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_memzone.h>
#include <rte_string_fns.h>

#include "shell.h"

static struct buffer *buffers;

struct buffer *
buffer_first(void)
{
	return buffers;
}

struct buffer *
buffer_find(const char *name)
{
	struct buffer *b;

	for (b = buffers; b != NULL; b = b->next)
		if (strcmp(b->name, name) == 0)
			return b;
	return NULL;
}

/* Map or unmap ordinary memory for a device. A bus without an IOMMU of its own needs neither. */
static int
map_for_device(const struct dma_memory *mem, int16_t id, bool map)
{
	struct rte_device *dev = device_bus(id);
	int ret;

	if (dev == NULL)
		return 0;
	ret = map ? rte_dev_dma_map(dev, mem->va, mem->iova, mem->size) :
		rte_dev_dma_unmap(dev, mem->va, mem->iova, mem->size);
	return ret == 0 || rte_errno == ENOTSUP ? 0 : -rte_errno;
}

/* Tell DPDK of memory that it has not allocated, IOVA as VA. */
static int
register_memory(struct dma_memory *mem, size_t page)
{
	uint64_t i, pages = mem->size / page;
	rte_iova_t *iovas = calloc(pages, sizeof(*iovas));
	int ret;

	if (iovas == NULL)
		return -ENOMEM;
	for (i = 0; i < pages; i++)
		iovas[i] = mem->iova + i * page;
	ret = rte_extmem_register(mem->va, mem->size, iovas, pages, page);
	free(iovas);
	return ret == 0 ? 0 : -rte_errno;
}

static int
ordinary_alloc(struct dma_memory *mem, uint64_t size)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	int16_t id;
	int ret;

	if (rte_eal_iova_mode() != RTE_IOVA_VA)
		return shell_error(-ENOTSUP, "ordinary pages need IOVA as VA (--iova-mode=va)");
	mem->mz = NULL;
	if (size > UINT64_C(1) << 40)
		return shell_error(-ENOMEM, "cannot allocate %" PRIu64 " bytes", size);
	mem->size = RTE_ALIGN_CEIL(size, page);
	mem->va = mmap(NULL, mem->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem->va == MAP_FAILED) {
		mem->va = NULL;
		return shell_error(-errno, "cannot allocate %" PRIu64 " bytes: %s", size,
			strerror(errno));
	}
	mem->iova = (uintptr_t)mem->va;
	ret = register_memory(mem, page);
	if (ret != 0) {
		munmap(mem->va, mem->size);
		mem->va = NULL;
		return shell_error(ret, "DPDK does not register the memory: %s", strerror(-ret));
	}
	RTE_DMA_FOREACH_DEV(id) {
		ret = map_for_device(mem, id, true);
		if (ret != 0)
			shell_note("device %d does not map it (%s): it will fault there", id,
				strerror(-ret));
	}
	return 0;
}

int
dma_memory_alloc(struct dma_memory *mem, uint64_t size, int numa, uint64_t page)
{
	unsigned int flags = RTE_MEMZONE_IOVA_CONTIG;
	char name[RTE_MEMZONE_NAMESIZE];
	static unsigned int number;

	if (size == 0)
		return shell_error(-EINVAL, "bad word '0': expected a size above 0");
	if (page == (uint64_t)sysconf(_SC_PAGESIZE) && rte_eal_has_hugepages())
		return ordinary_alloc(mem, size);
	if (page == RTE_PGSIZE_2M)
		flags |= RTE_MEMZONE_2MB;
	else if (page == RTE_PGSIZE_1G)
		flags |= RTE_MEMZONE_1GB;

	snprintf(name, sizeof(name), "dma_shell_%u", number++);
	mem->mz = rte_memzone_reserve_aligned(name, size, numa, flags, RTE_CACHE_LINE_SIZE);
	if (mem->mz == NULL)
		return shell_error(-rte_errno,
			"cannot allocate %" PRIu64 " bytes in one piece: %s; 'show memory' tells what is "
			"left, %s%s", size, rte_strerror(rte_errno), !rte_eal_has_hugepages() ?
			"the EAL option -m MEGABYTES gives more without hugepages" :
			"dpdk-hugepages.py --setup reserves more",
			rte_eal_iova_mode() == RTE_IOVA_PA ?
			"; with the EAL option --iova-mode=va it need not be physically in one piece" :
			"");
	mem->va = mem->mz->addr;
	mem->iova = mem->mz->iova;
	mem->size = size;
	return 0;
}

void
dma_memory_free(struct dma_memory *mem)
{
	int16_t id;

	if (mem->va == NULL)
		return;
	if (mem->mz != NULL) {
		rte_memzone_free(mem->mz);
	} else {
		RTE_DMA_FOREACH_DEV(id)
			map_for_device(mem, id, false);
		rte_extmem_unregister(mem->va, mem->size);
		munmap(mem->va, mem->size);
	}
	mem->va = NULL;
}

void
buffers_map_device(int16_t id)
{
	const struct buffer *b;
	int ret;

	for (b = buffers; b != NULL; b = b->next) {
		ret = b->mem.mz != NULL ? 0 : map_for_device(&b->mem, id, true);
		if (ret != 0)
			shell_note("device %d does not map buffer %s: %s", id, b->name,
				strerror(-ret));
	}
}

struct buffer *
buffer_new(const char *name, uint64_t size, int numa, uint64_t page)
{
	struct buffer *b, **last;

	if (buffer_find(name) != NULL) {
		shell_error(-EEXIST, "there is a buffer %s already: 'free %s' first", name, name);
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (b == NULL || dma_memory_alloc(&b->mem, size, numa, page) != 0) {
		free(b);
		return NULL;
	}
	strlcpy(b->name, name, sizeof(b->name));
	b->page_size = b->mem.mz != NULL ? b->mem.mz->hugepage_sz : page;
	b->numa = b->mem.mz != NULL ? b->mem.mz->socket_id : -1;
	for (last = &buffers; *last != NULL; last = &(*last)->next)
		;
	*last = b;
	return b;
}

void
buffer_delete(struct buffer *b)
{
	struct buffer **p;

	for (p = &buffers; *p != b; p = &(*p)->next)
		;
	*p = b->next;
	dma_memory_free(&b->mem);
	free(b);
}

void
buffers_fini(void)
{
	while (buffers != NULL)
		buffer_delete(buffers);
}
