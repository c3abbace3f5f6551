/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_TLB_H
#define DM_TLB_H

/**
 * @file
 *
 * The translation cache of a device: what the IOMMU said lately, at the price of a few cycles.
 *
 * Direct-mapped by 2 MB of IOVA, since with IOVAs that are physical addresses each hugepage is a
 * mapping of its own and a pool of buffers spans several. An entry holds the whole mapping, so that
 * one that is larger than 2 MB, or smaller, works as well. One cache serves one kind of access: what
 * is in a cache for writing may be written.
 */

#include <stdbool.h>
#include <string.h>

#include "dm_iommu.h"

#define DM_TLB_ENTRIES 64
#define DM_TLB_SHIFT   21

struct dm_tlb_entry {
	uint64_t start;
	uint64_t size; /**< 0: the entry is empty */
	uint8_t *va;
	uint64_t reserved; /**< makes it 32 bytes: an index is a shift, and no entry spans two lines */
};

struct dm_tlb {
	struct dm_tlb_entry entry[DM_TLB_ENTRIES];
	uint32_t perm; /**< the access that this cache is for */
};

static inline void
dm_tlb_flush(struct dm_tlb *tlb)
{
	memset(tlb->entry, 0, sizeof(tlb->entry));
}

/** @return where [iova, iova + len) lies, len not 0; NULL: ask dm_tlb_fill(). */
static inline uint8_t *
dm_tlb_lookup(const struct dm_tlb *tlb, uint64_t iova, uint64_t len)
{
	const struct dm_tlb_entry *e = &tlb->entry[(iova >> DM_TLB_SHIFT) % DM_TLB_ENTRIES];
	uint64_t offset = iova - e->start;

	if (__builtin_expect(offset < e->size && len <= e->size - offset, 1))
		return e->va + offset;
	return NULL;
}

/**
 * Look iova up in the IOMMU and remember what it says.
 *
 * @param len
 *   In: bytes wanted. Out: as many of them as lie in one piece from there on.
 * @return where iova lies; NULL: not mapped, or not for this kind of access, or in another process.
 */
static inline uint8_t *
dm_tlb_fill(struct dm_tlb *tlb, const struct dm_iommu *iommu, uint64_t iova, uint64_t *len)
{
	const struct dm_iova_range *range = dm_iommu_find(iommu, iova);
	struct dm_tlb_entry *e = &tlb->entry[(iova >> DM_TLB_SHIFT) % DM_TLB_ENTRIES];

	if (range == NULL || (range->perm & tlb->perm) == 0 || range->va == NULL)
		return NULL;
	e->start = range->start;
	e->size = range->end - range->start;
	e->va = range->va;
	if (*len > range->end - iova)
		*len = range->end - iova;
	return range->va + (iova - range->start);
}

/** Whether all of [iova, iova + len) may be accessed in this process, in however many pieces. */
static inline bool
dm_tlb_covers(struct dm_tlb *tlb, const struct dm_iommu *iommu, uint64_t iova, uint64_t len)
{
	while (len > 0) {
		uint64_t n = len;

		if (dm_tlb_fill(tlb, iommu, iova, &n) == NULL)
			return false;
		iova += n;
		len -= n;
	}
	return true;
}

#endif /* DM_TLB_H */
