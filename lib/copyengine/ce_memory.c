/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>
#include <rte_memory.h>

#include "cei_memory.h"
#include "cei_queue.h"

/* Memory of the application's that this library has made known to DPDK, and to which devices. */
struct region {
	LIST_ENTRY(region) link;
	uintptr_t base;
	size_t length;
	unsigned int refs; /* registrations */
	unsigned int maps[RTE_DMADEV_DEFAULT_MAX]; /* registrations of handles on a device */
};

/* A handle's part in a region. */
struct ce_registration {
	LIST_ENTRY(ce_registration) link;
	struct region *region;
	void *va;
	size_t length;
};

atomic_uint cei_memory_generation;

static LIST_HEAD(, region) regions = LIST_HEAD_INITIALIZER(regions);
static pthread_mutex_t regions_lock = PTHREAD_MUTEX_INITIALIZER;

static void
memory_event(enum rte_mem_event event, const void *addr, size_t length, void *arg)
{
	RTE_SET_USED(event);
	RTE_SET_USED(addr);
	RTE_SET_USED(length);
	RTE_SET_USED(arg);
	atomic_fetch_add(&cei_memory_generation, 1);
}

static void
forget(struct ce_memory *memory, uint32_t generation)
{
	memory->generation = generation;
	if (memory->translations != NULL)
		memset(memory->translations, 0,
			CE_TRANSLATIONS * sizeof(memory->translations[0]));
}

int
cei_memory_init(struct ce_memory *memory, bool identity)
{
	memory->identity = identity;
	LIST_INIT(&memory->registrations);
	forget(memory, atomic_load(&cei_memory_generation));
	if (rte_mem_event_callback_register("copyengine", memory_event, NULL) < 0) {
		/* There already; or DPDK's memory is fixed (--legacy-mem, --no-huge). */
		if (rte_errno != EEXIST && rte_errno != ENOTSUP)
			return -rte_errno;
	}
	return 0;
}

void
cei_memory_fini(struct ce_memory *memory)
{
	rte_free(memory->translations);
}

/* Whether all devices of the handle have a region of this library's mapped, if it is one. */
static bool
region_is_mapped(const struct ce_memory *memory, uintptr_t va, bool *ours)
{
	const struct region *region;
	bool mapped = true;
	unsigned int i;

	pthread_mutex_lock(&regions_lock);
	LIST_FOREACH(region, &regions, link)
		if (va - region->base < region->length)
			break;
	*ours = region != NULL;
	for (i = 0; region != NULL && i < memory->nb_dev_ids; i++)
		mapped &= region->maps[memory->dev_ids[i]] > 0;
	pthread_mutex_unlock(&regions_lock);
	return mapped;
}

/* Take the neighbours of a page into the translation, as far as their IOVAs go on. */
static void
extend(struct rte_memseg_list *msl, unsigned int page, uintptr_t va,
	struct ce_translation *found)
{
	const uintptr_t granule_end =
		RTE_ALIGN_FLOOR(va, RTE_BIT64(CE_GRANULE_SHIFT)) + RTE_BIT64(CE_GRANULE_SHIFT);
	const struct rte_memseg *ms;
	int used;

	if (rte_eal_iova_mode() == RTE_IOVA_VA && found->iova == found->start) {
		/* They all go on: one translation is enough for memory of any size. */
		used = rte_fbarray_find_contig_used(&msl->memseg_arr, page);
		found->end = found->start + (uintptr_t)RTE_MAX(used, 1) * msl->page_sz;
		used = rte_fbarray_find_rev_contig_used(&msl->memseg_arr, page);
		found->start -= (uintptr_t)(RTE_MAX(used, 1) - 1) * msl->page_sz;
		found->iova = found->start;
		return;
	}
	while (found->end < granule_end && ++page < msl->memseg_arr.len &&
		rte_fbarray_is_used(&msl->memseg_arr, page) == 1) {
		ms = rte_fbarray_get(&msl->memseg_arr, page);
		if (ms->iova != found->iova + (found->end - found->start))
			break;
		found->end += msl->page_sz;
	}
}

/*
 * How often memory is taken for not being DPDK's before that is looked at again. A prime: of buffers
 * that take turns it is not the same one's turn each time.
 */
#define UNKNOWN_MAX 1021

struct unknown {
	uintptr_t va;
	struct ce_translation *around;
};

static int
narrow(const struct rte_memseg_list *msl, void *arg)
{
	const struct unknown *unknown = arg;
	const uintptr_t base = (uintptr_t)msl->base_va;

	if (base <= unknown->va)
		unknown->around->start = RTE_MAX(unknown->around->start, base + msl->len);
	else
		unknown->around->end = RTE_MIN(unknown->around->end, base);
	return 0;
}

/*
 * What lies around memory that is not DPDK's and is not either. That it comes to be, as external memory
 * of the application's, nobody says: until it is looked at again the CPU copies it.
 */
static void
look_around(uintptr_t va, struct ce_translation *around)
{
	struct unknown unknown = {va, around};

	around->start = RTE_ALIGN_FLOOR(va, RTE_BIT64(CE_GRANULE_SHIFT));
	around->end = around->start + RTE_BIT64(CE_GRANULE_SHIFT);
	around->iova = RTE_BAD_IOVA;
	rte_memseg_list_walk_thread_unsafe(narrow, &unknown);
}

/*
 * Look up memory in EAL's tables, without their lock: memory that somebody transfers does not go away.
 *
 * Returns false when the device has no address for it.
 */
static bool
look_up(const struct ce_memory *memory, uintptr_t va, struct ce_translation *found, bool *keep)
{
	struct rte_memseg_list *msl = rte_mem_virt2memseg_list((const void *)va);
	const struct rte_memseg *ms;
	unsigned int page;

	*keep = true;
	*found = (struct ce_translation){.iova = RTE_BAD_IOVA};
	if (msl == NULL) {
		look_around(va, found);
		return false;
	}
	/* Nobody says when external memory goes away, but for our own. */
	if (msl->external && !region_is_mapped(memory, va, keep))
		return false;
	page = (va - (uintptr_t)msl->base_va) / msl->page_sz;
	if (rte_fbarray_is_used(&msl->memseg_arr, page) != 1)
		return false;
	ms = rte_fbarray_get(&msl->memseg_arr, page);
	found->iova = ms->iova;
	found->start = (uintptr_t)msl->base_va + page * msl->page_sz;
	found->end = found->start + msl->page_sz;
	if (ms->iova == RTE_BAD_IOVA) {
		/* Registered without IOVAs: then they are the addresses, if EAL uses those. */
		if (!msl->external || rte_eal_iova_mode() != RTE_IOVA_VA)
			return false;
		found->iova = found->start;
	}
	extend(msl, page, va, found);
	return true;
}

/* Find where the memory at va is for the device, and whether that may be kept. */
bool
cei_memory_find(struct ce_memory *memory, const void *va, struct ce_translation *found, bool *keep)
{
	const uint32_t generation = atomic_load_explicit(&cei_memory_generation, memory_order_relaxed);
	const uintptr_t address = (uintptr_t)va;
	struct ce_translation *entry;
	bool reached;

	*keep = true;
	if (unlikely(generation != memory->generation))
		forget(memory, generation);
	if (memory->identity) {
		/* All but NULL: who is to refuse that need not look for it. */
		*found = (struct ce_translation){.start = 1, .iova = 1, .end = UINTPTR_MAX};
		return true;
	}
	if (memory->translations == NULL)
		memory->translations = rte_zmalloc("ce_translations",
			CE_TRANSLATIONS * sizeof(memory->translations[0]), RTE_CACHE_LINE_SIZE);
	if (memory->translations == NULL)
		return look_up(memory, address, found, keep);
	entry = &memory->translations[(address >> CE_GRANULE_SHIFT) % CE_TRANSLATIONS];
	if (likely(address - entry->start < entry->end - entry->start) &&
		(likely(entry->iova != RTE_BAD_IOVA) || ++memory->nb_unknown % UNKNOWN_MAX != 0)) {
		*found = *entry;
		return entry->iova != RTE_BAD_IOVA;
	}
	reached = look_up(memory, address, found, keep);
	*entry = *keep ? *found : (struct ce_translation){0};
	return reached;
}

/* Describe the memory at va: as much of length as is one segment. */
void
cei_memory_resolve(
	struct ce_memory *memory, const void *va, uint64_t length, struct ce_segment *segment)
{
	struct ce_translation found;
	bool keep;

	*segment = (struct ce_segment){
		.va = (void *)(uintptr_t)va, .iova = RTE_BAD_IOVA, .length = length};
	/* The CPU reaches all of what the device does not, so it does not matter where that ends. */
	if (!cei_memory_find(memory, va, &found, &keep))
		return;
	segment->iova = found.iova + ((uintptr_t)va - found.start);
	segment->length = RTE_MIN(length, found.end - (uintptr_t)va);
}

/* The device of a bus behind a dmadev, whose name begins with that. */
static struct rte_device *
bus_device(int16_t dev_id)
{
	static const char *const buses[] = {"bus=pci", "bus=vdev", "bus=auxiliary", "bus=dpaa_bus",
		"bus=fslmc", "bus=platform"};
	struct rte_device *device, *found = NULL;
	struct rte_dev_iterator it;
	struct rte_dma_info info;
	size_t length, best = 0;
	unsigned int i;

	if (rte_dma_info_get(dev_id, &info) < 0)
		return NULL;
	for (i = 0; i < RTE_DIM(buses); i++) {
		RTE_DEV_FOREACH(device, buses[i], &it) {
			length = strlen(rte_dev_name(device));
			if (length <= best ||
				strncmp(info.dev_name, rte_dev_name(device), length) != 0)
				continue;
			found = device;
			best = length;
		}
	}
	return found;
}

static int
device_map(const struct region *region, int16_t dev_id)
{
	struct rte_device *device = bus_device(dev_id);
	struct rte_dma_info info;

	if (rte_dma_info_get(dev_id, &info) == 0 && (info.dev_capa & RTE_DMA_CAPA_SVA))
		return 0;
	if (device == NULL)
		return -ENOTSUP;
	if (rte_dev_dma_map(device, (void *)region->base, region->base, region->length) < 0)
		return rte_errno > 0 ? -rte_errno : -EIO;
	return 0;
}

static void
device_unmap(const struct region *region, int16_t dev_id)
{
	struct rte_device *device = bus_device(dev_id);
	struct rte_dma_info info;

	if (rte_dma_info_get(dev_id, &info) == 0 && (info.dev_capa & RTE_DMA_CAPA_SVA))
		return;
	/* A device that has been unplugged has no mapping either. */
	if (device != NULL &&
		rte_dev_dma_unmap(device, (void *)region->base, region->base, region->length) < 0)
		CE_LOG(WARNING, "device %d does not unmap memory: %s", dev_id,
			rte_strerror(rte_errno));
}

/* Undo a handle's share of a region: the first nb_maps of its devices. */
static void
region_put(struct region *region, const struct ce_memory *memory, unsigned int nb_maps)
{
	unsigned int i;

	for (i = 0; i < nb_maps; i++)
		if (--region->maps[memory->dev_ids[i]] == 0)
			device_unmap(region, memory->dev_ids[i]);
	atomic_fetch_add(&cei_memory_generation, 1);
	if (--region->refs > 0)
		return;
	LIST_REMOVE(region, link);
	if (rte_extmem_unregister((void *)region->base, region->length) < 0)
		CE_LOG(WARNING, "DPDK does not unregister memory: %s", rte_strerror(rte_errno));
	rte_free(region);
}

static int
region_create(uintptr_t base, size_t length, struct region **created)
{
	const size_t largest = RTE_BIT64(30);
	struct region *region;
	size_t page;

	region = rte_zmalloc("ce_region", sizeof(*region), 0);
	if (region == NULL)
		return -ENOMEM;
	region->base = base;
	region->length = length;
	/* What DPDK counts as a page only says how many entries it keeps: as few as can be. */
	page = RTE_MIN((base | length) & -(base | length), largest);
	if (rte_extmem_register((void *)base, length, NULL, 0, page) < 0) {
		rte_free(region);
		return -rte_errno;
	}
	LIST_INSERT_HEAD(&regions, region, link);
	*created = region;
	return 0;
}

static int
region_get(const struct ce_memory *memory, uintptr_t base, size_t length, struct region **got)
{
	struct region *region;
	unsigned int i;
	int ret = 0;

	LIST_FOREACH(region, &regions, link)
		if (region->base < base + length && base < region->base + region->length)
			break;
	if (region != NULL && (region->base != base || region->length != length))
		return -EEXIST;
	if (region == NULL)
		ret = region_create(base, length, &region);
	if (ret < 0)
		return ret;
	region->refs++;
	for (i = 0; ret == 0 && i < memory->nb_dev_ids; i++) {
		if (region->maps[memory->dev_ids[i]] == 0)
			ret = device_map(region, memory->dev_ids[i]);
		if (ret == 0)
			region->maps[memory->dev_ids[i]]++;
	}
	if (ret < 0)
		region_put(region, memory, i - 1);
	/* What was found not to be reachable is now. */
	atomic_fetch_add(&cei_memory_generation, 1);
	*got = region;
	return ret;
}

static struct ce_registration *
registration_find(struct ce_memory *memory, const void *va, size_t length)
{
	struct ce_registration *r;

	LIST_FOREACH(r, &memory->registrations, link)
		if (r->va == va && r->length == length)
			break;
	return r;
}

int
cei_memory_register(struct ce_memory *memory, void *va, size_t length)
{
	const uintptr_t page = sysconf(_SC_PAGESIZE);
	const uintptr_t base = RTE_ALIGN_FLOOR((uintptr_t)va, page);
	struct ce_registration *r;
	uintptr_t end;
	int ret;

	if (length == 0 || __builtin_add_overflow((uintptr_t)va, length, &end) || va == NULL ||
		end > UINTPTR_MAX - page)
		return -EINVAL;
	if (registration_find(memory, va, length) != NULL)
		return -EEXIST;
	r = rte_zmalloc("ce_registration", sizeof(*r), 0);
	if (r == NULL)
		return -ENOMEM;
	r->va = va;
	r->length = length;
	if (!memory->identity) {
		pthread_mutex_lock(&regions_lock);
		ret = rte_eal_iova_mode() != RTE_IOVA_VA ?
			      -ENOTSUP :
			      region_get(memory, base, RTE_ALIGN_CEIL(end, page) - base, &r->region);
		pthread_mutex_unlock(&regions_lock);
		if (ret < 0) {
			rte_free(r);
			return ret;
		}
	}
	LIST_INSERT_HEAD(&memory->registrations, r, link);
	return 0;
}

int
cei_memory_unregister(struct ce_memory *memory, void *va, size_t length)
{
	struct ce_registration *r = registration_find(memory, va, length);

	if (r == NULL)
		return -ENOENT;
	if (r->region != NULL) {
		pthread_mutex_lock(&regions_lock);
		region_put(r->region, memory, memory->nb_dev_ids);
		pthread_mutex_unlock(&regions_lock);
	}
	LIST_REMOVE(r, link);
	rte_free(r);
	return 0;
}

void
cei_cursor_list(struct ce_cursor *at, const struct ce_sglist *list, uint64_t offset)
{
	at->block = list;
	at->index = 0;
	at->segment = list->segment[0];
	at->offset = 0;
	at->memory = NULL;
	at->rest = 0;
	cei_cursor_skip(at, offset);
}

void
cei_cursor_range(struct ce_cursor *at, struct ce_memory *memory, const void *va, uint64_t length)
{
	at->block = NULL;
	at->memory = memory;
	at->offset = 0;
	cei_memory_resolve(memory, va, length, &at->segment);
	at->rest = length - at->segment.length;
}

/* A place that is one segment. */
void
cei_cursor_segment(struct ce_cursor *at, const struct ce_segment *segment)
{
	at->block = NULL;
	at->memory = NULL;
	at->offset = 0;
	at->segment = *segment;
	at->rest = 0;
}

/* Step to the next segment; behind the last one there is one of no bytes. */
static void
cursor_next(struct ce_cursor *at)
{
	const void *behind = RTE_PTR_ADD(at->segment.va, at->segment.length);

	at->offset = 0;
	if (at->rest > 0) {
		cei_memory_resolve(at->memory, behind, at->rest, &at->segment);
		at->rest -= at->segment.length;
		return;
	}
	if (at->block != NULL && ++at->index == at->block->segments) {
		at->block = at->block->next;
		at->index = 0;
	}
	if (at->block != NULL)
		at->segment = at->block->segment[at->index];
	else
		at->segment.length = 0;
}

void
cei_cursor_skip(struct ce_cursor *at, uint64_t length)
{
	while (at->segment.length > 0 && length >= at->segment.length - at->offset) {
		length -= at->segment.length - at->offset;
		cursor_next(at);
	}
	at->offset += length;
}

/* Copy the next bytes to memory, and step over them. */
void
cei_cursor_copy_out(struct ce_cursor *at, uint8_t *to, uint32_t length)
{
	uint32_t part;

	for (; length > 0; length -= part, to += part) {
		part = RTE_MIN((uint64_t)length, cei_cursor_run(at));
		rte_memcpy(to, cei_cursor_va(at), part);
		cei_cursor_skip(at, part);
	}
}

/* Copy memory to the next bytes, and step over them. */
void
cei_cursor_copy_in(struct ce_cursor *at, const uint8_t *from, uint32_t length)
{
	uint32_t part;

	for (; length > 0; length -= part, from += part) {
		part = RTE_MIN((uint64_t)length, cei_cursor_run(at));
		rte_memcpy(cei_cursor_va(at), from, part);
		cei_cursor_skip(at, part);
	}
}
