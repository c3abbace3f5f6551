/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vfiou_dma.h"

void
vfiou_dma_init(struct vfiou_dma *dma, struct dm_device *dev)
{
	memset(dma, 0, sizeof(*dma));
	dma->dev = dev;
}

/* Index of the first region whose last byte is at address or above; count when there is none. */
static size_t
find_region(const struct vfiou_dma *dma, uint64_t address)
{
	size_t low = 0, high = dma->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct vfiou_dma_region *r = &dma->region[middle];

		if (r->address + (r->size - 1) >= address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int
reserve_region(struct vfiou_dma *dma)
{
	size_t capacity = dma->capacity == 0 ? 64 : dma->capacity * 2;
	struct vfiou_dma_region *region;

	if (dma->count == VFIOU_MAX_MAPS)
		return -ENOSPC;
	if (dma->count < dma->capacity)
		return 0;
	region = realloc(dma->region, capacity * sizeof(*region));
	if (region == NULL)
		return -ENOMEM;
	dma->region = region;
	dma->capacity = capacity;
	return 0;
}

/* The file may be shorter tomorrow (vfiou_dma_guard()), but not from the start. Only regular files,
 * which shared memory is too: mapping a device could do anything. Not of a file system that is some
 * process's, which could keep the thread that runs the device waiting for a page.
 */
static int
map_file(const struct vfiou_dma_map *map, int fd, uint8_t **va)
{
	int prot = PROT_READ;
	struct statfs fs;
	struct stat st;
	void *mem;

	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || fs.f_type == FUSE_SUPER_MAGIC)
		return -EINVAL;
	if (map->offset > (uint64_t)st.st_size || map->size > st.st_size - map->offset)
		return -EINVAL;
	if (map->flags & VFIOU_DMA_WRITEABLE)
		prot |= PROT_WRITE;
	mem = mmap(NULL, map->size, prot, MAP_SHARED | MAP_NORESERVE, fd, map->offset);
	if (mem == MAP_FAILED)
		return -errno;
	*va = mem;
	return 0;
}

static bool
bad_map(const struct vfiou_dma_map *map)
{
	const uint32_t known = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE;

	return map->argsz < sizeof(*map) || (map->flags & ~known) != 0 || map->flags == 0 ||
		map->size == 0 || map->size > UINT64_MAX - map->address ||
		map->address % VFIOU_PAGE_SIZE != 0 || map->size % VFIOU_PAGE_SIZE != 0 ||
		map->offset % VFIOU_PAGE_SIZE != 0;
}

static uint32_t
perm_of(uint32_t flags)
{
	return (flags & VFIOU_DMA_READABLE ? DM_READ : 0) |
		(flags & VFIOU_DMA_WRITEABLE ? DM_WRITE : 0);
}

int
vfiou_dma_map(struct vfiou_dma *dma, const struct vfiou_dma_map *map, int fd)
{
	struct vfiou_dma_region region = {.address = map->address, .size = map->size};
	size_t at;
	int ret;

	if (bad_map(map))
		return -EINVAL;
	at = find_region(dma, map->address);
	if (at < dma->count && dma->region[at].address < map->address + map->size)
		return -EEXIST;
	ret = reserve_region(dma);
	if (ret != 0)
		return ret;
	if (fd >= 0) {
		ret = map_file(map, fd, &region.va);
		if (ret != 0)
			return ret;
		ret = dm_device_map(dma->dev, map->address, map->size, region.va,
				perm_of(map->flags));
		if (ret != 0) {
			munmap(region.va, region.size);
			return ret;
		}
	}
	memmove(&dma->region[at + 1], &dma->region[at],
			(dma->count - at) * sizeof(*dma->region));
	dma->region[at] = region;
	dma->count++;
	return 0;
}

static void
drop_regions(struct vfiou_dma *dma, size_t first, size_t n)
{
	size_t i;

	if (n == 0)
		return;
	for (i = first; i < first + n; i++) {
		const struct vfiou_dma_region *r = &dma->region[i];

		if (r->va == NULL)
			continue;
		/* When this returns the device does not touch it any more. */
		dm_device_unmap(dma->dev, r->address, r->size);
		munmap(r->va, r->size);
	}
	memmove(&dma->region[first], &dma->region[first + n],
			(dma->count - first - n) * sizeof(*dma->region));
	dma->count -= n;
}

int
vfiou_dma_unmap(struct vfiou_dma *dma, const struct vfiou_dma_unmap *unmap)
{
	uint64_t last = unmap->address + (unmap->size - 1);
	size_t first, n;

	if (unmap->argsz < sizeof(*unmap))
		return -EINVAL;
	if (unmap->flags == VFIOU_DMA_UNMAP_ALL) {
		if (unmap->address != 0 || unmap->size != 0)
			return -EINVAL;
		drop_regions(dma, 0, dma->count);
		return 0;
	}
	/* Up to the very last byte is fine: QEMU unmaps the upper half of the address space. */
	if (unmap->flags != 0 || unmap->size == 0 || last < unmap->address)
		return -EINVAL;

	first = find_region(dma, unmap->address);
	for (n = 0; first + n < dma->count && dma->region[first + n].address <= last; n++) {
		const struct vfiou_dma_region *r = &dma->region[first + n];

		if (r->address < unmap->address || r->address + (r->size - 1) > last)
			return -EINVAL;
	}
	if (n == 0)
		return -ENOENT;
	drop_regions(dma, first, n);
	return 0;
}

void
vfiou_dma_release(struct vfiou_dma *dma)
{
	drop_regions(dma, 0, dma->count);
	free(dma->region);
	dma->region = NULL;
	dma->capacity = 0;
}

/* Memory of a file that has been made shorter, or that the kernel has no page for. */

static unsigned int guarded;

/* Only mappings of clients' files get here: the other files of the process, its program and its
 * libraries, are as long as ever. Huge pages have to be replaced as a whole.
 */
static void
replace_page(int sig, siginfo_t *info, void *context)
{
	static const uintptr_t page_size[] = {1u << 12, 1u << 21, 1u << 30};
	const int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	int saved = errno;
	unsigned int i;

	(void)context;
	for (i = 0; info->si_code == BUS_ADRERR && i < 3; i++) {
		uintptr_t page = (uintptr_t)info->si_addr & ~(page_size[i] - 1);

		if (mmap((void *)page, page_size[i], PROT_READ | PROT_WRITE, flags, -1, 0) !=
				MAP_FAILED) {
			__atomic_fetch_add(&guarded, 1, __ATOMIC_RELAXED);
			errno = saved;
			return;
		}
	}
	signal(sig, SIG_DFL); /* the access is tried again, and ends the process */
	errno = saved;
}

void
vfiou_dma_guard(void)
{
	struct sigaction action = {.sa_sigaction = replace_page, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

unsigned int
vfiou_dma_guarded(void)
{
	return __atomic_load_n(&guarded, __ATOMIC_RELAXED);
}
