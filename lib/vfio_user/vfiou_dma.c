/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vfiou_dma.h"

void
vfiou_dma_init(struct vfiou_dma *dma, struct dm_device *dev, uint64_t max_bytes)
{
	memset(dma, 0, sizeof(*dma));
	dma->dev = dev;
	dma->max_bytes = max_bytes == 0 ? UINT64_MAX : max_bytes;
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

/* The size of the file's pages, huge ones perhaps. Only of tmpfs and hugetlbfs, which
 * memfd_create()'s are too, and which alone have seals: asking other file systems, mapping their
 * files and touching the pages can block for as long as whoever runs them likes (FUSE).
 */
static int
check_file(const struct vfiou_dma_map *map, int fd, uint64_t *page)
{
	struct statfs fs;
	struct stat st;

	if (fcntl(fd, F_GET_SEALS) < 0)
		return -EINVAL;
	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
		return -errno;
	/* It may be shorter tomorrow (dm_guard.h), but not from the start. */
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || map->offset > (uint64_t)st.st_size ||
			map->size > st.st_size - map->offset)
		return -EINVAL;
	*page = fs.f_bsize;
	return 0;
}

/* Whole pages are mapped and, since munmap() of a part of a huge one fails, unmapped. */
static int
map_file(const struct vfiou_dma *dma, const struct vfiou_dma_map *map, int fd,
		struct vfiou_dma_region *region)
{
	int prot = map->flags & VFIOU_DMA_WRITEABLE ? PROT_READ | PROT_WRITE : PROT_READ;
	uint64_t page = 0, start, bytes;
	uint8_t *mem;
	int ret;

	ret = check_file(map, fd, &page);
	if (ret != 0)
		return ret;
	start = map->offset & ~(page - 1);
	bytes = (map->offset - start + map->size + page - 1) & ~(page - 1);
	if (bytes > dma->max_bytes - dma->bytes)
		return -ENOSPC;
	mem = mmap(NULL, bytes, prot, MAP_SHARED | MAP_NORESERVE, fd, start);
	if (mem == MAP_FAILED)
		return -errno;
	/* A client's memory is no business of who looks at our core dumps. */
	madvise(mem, bytes, MADV_DONTDUMP);
	region->va = mem + (map->offset - start);
	region->mapping = mem;
	region->bytes = bytes;
	return 0;
}

/* Neither addresses nor offsets need be multiples of a page, and the last page of the address space
 * is one, as libvfio-user has it; what the IOMMU of the device asks of them, it says itself.
 */
static bool
bad_map(const struct vfiou_dma_map *map, int fd)
{
	const uint32_t ways = VFIOU_DMA_MMAP | VFIOU_DMA_FILE_IO;
	const uint32_t known = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE | ways;

	return map->argsz < sizeof(*map) || (map->flags & ~known) != 0 || map->size == 0 ||
		map->address + (map->size - 1) < map->address ||
		((map->flags & ways) != 0 && fd < 0);
}

/* Bytes that the device's IOMMU takes: it has no end behind the last byte of the address space,
 * which it does without.
 */
static uint64_t
iommu_size(const struct vfiou_dma_region *r)
{
	return r->address + r->size == 0 ? r->size - 1 : r->size;
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

	if (bad_map(map, fd))
		return -EINVAL;
	if (map->size > dma->max_bytes)
		return -ENOSPC;
	at = find_region(dma, map->address);
	if (at < dma->count && dma->region[at].address <= map->address + (map->size - 1))
		return -EEXIST;
	ret = reserve_region(dma);
	if (ret != 0)
		return ret;
	if (perm_of(map->flags) != 0) {
		ret = fd < 0 ? 0 : map_file(dma, map, fd, &region);
		if (ret != 0)
			return ret;
		ret = dm_device_map(dma->dev, map->address, iommu_size(&region), region.va,
				perm_of(map->flags));
		if (ret != 0) {
			if (region.va != NULL)
				munmap(region.mapping, region.bytes);
			return ret;
		}
		region.reachable = true;
	}
	memmove(&dma->region[at + 1], &dma->region[at],
			(dma->count - at) * sizeof(*dma->region));
	dma->region[at] = region;
	dma->count++;
	dma->bytes += region.bytes;
	return 0;
}

static void
drop_regions(struct vfiou_dma *dma, size_t first, size_t n)
{
	size_t i;

	if (n == 0)
		return;
	/* The last first: the lists of both then move up what lies behind all, and not behind
	 * each.
	 */
	for (i = first + n; i > first; i--) {
		const struct vfiou_dma_region *r = &dma->region[i - 1];

		/* When this returns the device does not touch it any more. */
		if (r->reachable)
			dm_device_unmap(dma->dev, r->address, iommu_size(r));
		if (r->va != NULL)
			munmap(r->mapping, r->bytes);
		dma->bytes -= r->bytes;
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

	if (unmap->argsz < sizeof(*unmap) || unmap->argsz > VFIOU_DEFAULT_XFER)
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
