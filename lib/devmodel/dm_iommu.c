/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dm_iommu.h"

struct dm_iommu {
	struct dm_iova_range *ranges; /**< disjoint, by ascending IOVA */
	size_t count;
	size_t capacity;
	uint64_t generation;
};

struct dm_iommu *
dm_iommu_create(void)
{
	return calloc(1, sizeof(struct dm_iommu));
}

void
dm_iommu_destroy(struct dm_iommu *iommu)
{
	if (iommu == NULL)
		return;
	free(iommu->ranges);
	free(iommu);
}

/* Make room for one range more. */
static int
iommu_reserve(struct dm_iommu *iommu)
{
	size_t capacity = iommu->capacity == 0 ? 16 : iommu->capacity * 2;
	struct dm_iova_range *ranges;

	if (iommu->count < iommu->capacity)
		return 0;
	ranges = realloc(iommu->ranges, capacity * sizeof(*ranges));
	if (ranges == NULL)
		return -ENOMEM;
	iommu->ranges = ranges;
	iommu->capacity = capacity;
	return 0;
}

/* Index of the first range that ends above iova; count when there is none. */
static size_t
iommu_search(const struct dm_iommu *iommu, uint64_t iova)
{
	size_t low = 0, high = iommu->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (iommu->ranges[middle].end > iova)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Insert before index i. There is room for it. */
static void
iommu_insert(struct dm_iommu *iommu, size_t i, const struct dm_iova_range *range)
{
	struct dm_iova_range *at = &iommu->ranges[i];

	memmove(at + 1, at, (iommu->count - i) * sizeof(*at));
	*at = *range;
	iommu->count++;
}

/* Whether [start, start + size) is no range. Its end must be a number too, which leaves out the
 * very last byte of the IOVA space.
 */
static bool
iommu_bad_range(uint64_t start, uint64_t size)
{
	return size == 0 || size > UINT64_MAX - start;
}

int
dm_iommu_map(struct dm_iommu *iommu, uint64_t iova, uint64_t size, void *va, uint32_t perm)
{
	struct dm_iova_range range = {.start = iova, .end = iova + size, .va = va, .perm = perm};
	size_t i;

	if (iommu_bad_range(iova, size) || size > UINTPTR_MAX - (uintptr_t)va)
		return -EINVAL;
	if (va != NULL && (iova - (uintptr_t)va) % DM_IOVA_ALIGN != 0)
		return -EINVAL;
	if (perm == 0 || (perm & ~(DM_READ | DM_WRITE)) != 0)
		return -EINVAL;
	i = iommu_search(iommu, iova);
	if (i < iommu->count && iommu->ranges[i].start < range.end)
		return -EEXIST;
	if (iommu_reserve(iommu) != 0)
		return -ENOMEM;
	iommu_insert(iommu, i, &range);
	iommu->generation++;
	return 0;
}

/* Leave out what lies before start. */
static void
range_cut(struct dm_iova_range *range, uint64_t start)
{
	if (range->va != NULL)
		range->va += start - range->start;
	range->start = start;
}

int
dm_iommu_unmap(struct dm_iommu *iommu, uint64_t iova, uint64_t size)
{
	uint64_t end = iova + size;
	struct dm_iova_range *first, tail;
	size_t i, n;

	if (iommu_bad_range(iova, size))
		return -EINVAL;
	i = iommu_search(iommu, iova);
	if (i == iommu->count || iommu->ranges[i].start >= end)
		return -ENOENT;
	/* What could fail comes first, so that a failure leaves everything as it was. */
	if (iommu->ranges[i].start < iova && iommu->ranges[i].end > end &&
			iommu_reserve(iommu) != 0)
		return -ENOMEM;

	iommu->generation++;
	first = &iommu->ranges[i];
	if (first->start < iova) {
		tail = *first;
		first->end = iova;
		i++;
		if (tail.end > end) {
			range_cut(&tail, end);
			iommu_insert(iommu, i, &tail);
			return 0;
		}
	}
	for (n = 0; i + n < iommu->count && iommu->ranges[i + n].end <= end; n++)
		;
	memmove(&iommu->ranges[i], &iommu->ranges[i + n],
			(iommu->count - i - n) * sizeof(*iommu->ranges));
	iommu->count -= n;
	if (i < iommu->count && iommu->ranges[i].start < end)
		range_cut(&iommu->ranges[i], end);
	return 0;
}

void
dm_iommu_unmap_all(struct dm_iommu *iommu)
{
	if (iommu->count == 0)
		return;
	iommu->count = 0;
	iommu->generation++;
}

const struct dm_iova_range *
dm_iommu_find(const struct dm_iommu *iommu, uint64_t iova)
{
	size_t i = iommu_search(iommu, iova);

	if (i == iommu->count || iommu->ranges[i].start > iova)
		return NULL;
	return &iommu->ranges[i];
}

bool
dm_iommu_covers(const struct dm_iommu *iommu, uint64_t iova, uint64_t len, uint32_t perm)
{
	while (len > 0) {
		const struct dm_iova_range *range = dm_iommu_find(iommu, iova);
		uint64_t n;

		if (range == NULL || (range->perm & perm) == 0)
			return false;
		n = range->end - iova;
		if (n >= len)
			return true;
		iova += n;
		len -= n;
	}
	return true;
}

uint64_t
dm_iommu_generation(const struct dm_iommu *iommu)
{
	return iommu->generation;
}
