/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Named buffers that devices can reach, and what the CPU does with them.
 *
 * A buffer is a memzone: IOVA-contiguous, so that every range of it is one segment, on the page
 * size and node asked for. "page 4K" is ordinary memory of the process instead, registered with
 * DPDK and mapped for each device, as applications with memory of their own do it.
 */

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_memzone.h>
#include <rte_string_fns.h>

#include "shell.h"

#define SHOW_DEFAULT UINT64_C(256)
#define SHOW_MAX (64 * 1024)

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

/*
 * A pattern: a byte that repeats (0xab), eight bytes as the device's fill writes them
 * (0x0123456789abcdef), "count" (00 01 02 ...) or "random".
 */
static int
fill(uint8_t *dst, uint64_t length, const char *word)
{
	uint64_t value, i, x = 0x9e3779b97f4a7c15;
	const uint8_t *byte = (const uint8_t *)&value;

	if (strcmp(word, "count") == 0) {
		for (i = 0; i < length; i++)
			dst[i] = i;
		return 0;
	}
	if (strcmp(word, "random") == 0) {
		for (i = 0; i < length; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			dst[i] = x >> 32;
		}
		return 0;
	}
	if (parse_pattern(word, &value) != 0)
		return shell_error(-EINVAL, "bad word '%s': expected a pattern (0xab, "
			"0x0123456789abcdef, count, random)", word);
	for (i = 0; i < length; i++)
		dst[i] = byte[i % sizeof(value)];
	return 0;
}

static int
parse_page(const struct args *a, uint64_t *page)
{
	const union word *w = option(a, "page");

	*page = w == NULL ? 0 : w->num;
	if (*page != 0 && *page != 4096 && *page != RTE_PGSIZE_2M && *page != RTE_PGSIZE_1G)
		return shell_error(-EINVAL, "bad page size %" PRIu64 ": expected 4K, 2M or 1G",
			*page);
	return 0;
}

static struct buffer *
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

static void
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

static void
show_one(const char *what, const struct buffer *b)
{
	out_begin(what);
	out_str("name", "%s", b->name);
	out_num("size", b->mem.size);
	out_hex("va", (uintptr_t)b->mem.va);
	out_hex("iova", b->mem.iova);
	out_num("page", b->page_size);
	out_int("numa", b->numa);
}

int
cmd_alloc(const struct args *a)
{
	uint64_t numa = option_num(a, "numa", 0), page;
	struct buffer *b;
	int ret;

	if (option(a, "numa") != NULL && numa >= rte_socket_count())
		return shell_error(-EINVAL, "bad word '%" PRIu64 "' for 'numa': expected 0 to %u",
			numa, rte_socket_count() - 1);
	ret = parse_page(a, &page);
	if (ret != 0)
		return ret;
	b = buffer_new(a->w[1].str, a->w[2].num,
		option(a, "numa") == NULL ? SOCKET_ID_ANY : rte_socket_id_by_idx(numa), page);
	if (b == NULL)
		return -ENOMEM;
	ret = fill(b->mem.va, b->mem.size, option_str(a, "pattern", "0"));
	if (ret != 0) {
		buffer_delete(b);
		return ret;
	}
	show_one("buffer", b);
	out_line();
	return 0;
}

/* A device may still write to a buffer while operations are in flight. */
static int
nothing_in_flight(void)
{
	int16_t id;
	uint16_t v;

	RTE_DMA_FOREACH_DEV(id) {
		const struct shell_dev *d = device_get(id);

		for (v = 0; d != NULL && d->started && v < d->vchans; v++)
			if (d->vchan[v].in_flight > 0)
				return shell_error(-EBUSY, "device %d has %u operations in flight: "
					"'wait %d' or 'reset device %d' first", id,
					d->vchan[v].in_flight, id, id);
	}
	return 0;
}

int
cmd_free(const struct args *a)
{
	int ret = nothing_in_flight();

	if (ret != 0)
		return ret;
	buffer_delete(a->w[1].range.buf);
	return 0;
}

int
cmd_free_all(const struct args *a __rte_unused)
{
	int ret = nothing_in_flight();

	if (ret == 0)
		buffers_fini();
	return ret;
}

int
cmd_fill_buffer(const struct args *a)
{
	struct range r = a->w[2].range;
	int ret = range_check(&r);

	return ret != 0 ? ret :
		fill((uint8_t *)r.buf->mem.va + r.offset, r.length, a->w[3].str);
}

int
cmd_show_buffers(const struct args *a __rte_unused)
{
	const struct buffer *b;

	if (buffers == NULL)
		shell_note("no buffers: 'alloc NAME SIZE' makes one");
	for (b = buffers; b != NULL; b = b->next) {
		show_one("buffers", b);
		out_row();
	}
	return 0;
}

int
cmd_show_buffer(const struct args *a)
{
	struct range r = a->w[2].range;
	const uint8_t *data;
	char *text = NULL;
	size_t size, i, j;
	FILE *f;
	int ret = range_check(&r);

	if (ret != 0)
		return ret;
	if (a->w[2].range.length == 0)
		r.length = RTE_MIN(r.length, SHOW_DEFAULT);
	if (r.length > SHOW_MAX)
		return shell_error(-E2BIG, "%" PRIu64 " bytes are too many to show: at most %u",
			r.length, SHOW_MAX);
	f = open_memstream(&text, &size);
	if (f == NULL)
		return shell_error(-ENOMEM, "out of memory");
	data = (const uint8_t *)r.buf->mem.va + r.offset;
	for (i = 0; i < r.length && shell.json; i++)
		fprintf(f, "%02x", data[i]);
	for (i = 0; i < r.length && !shell.json; i += 16) {
		fprintf(f, "%08" PRIx64 " ", r.offset + i);
		for (j = i; j < i + 16; j++)
			if (j < r.length)
				fprintf(f, "%s%02x", j % 8 == 0 ? "  " : " ", data[j]);
			else
				fprintf(f, "%s  ", j % 8 == 0 ? "  " : " ");
		fputs("  |", f);
		for (j = i; j < i + 16 && j < r.length; j++)
			fputc(data[j] < 0x7f && isprint(data[j]) ? data[j] : '.', f);
		fputs("|\n", f);
	}
	fclose(f);
	out_begin("buffer");
	out_str("name", "%s", r.buf->name);
	out_num("offset", r.offset);
	out_num("length", r.length);
	out_text("data", text);
	out_line();
	free(text);
	return 0;
}

int
cmd_compare(const struct args *a)
{
	struct range x = a->w[1].range, y = a->w[2].range;
	const uint8_t *p, *q;
	uint64_t i, differences = 0, first = 0;

	if (range_check(&x) != 0 || range_check(&y) != 0)
		return -ERANGE;
	if (x.length != y.length)
		return shell_error(-EINVAL, "lengths differ: %" PRIu64 " and %" PRIu64 " bytes",
			x.length, y.length);
	p = (const uint8_t *)x.buf->mem.va + x.offset;
	q = (const uint8_t *)y.buf->mem.va + y.offset;
	for (i = 0; i < x.length; i++)
		if (p[i] != q[i] && differences++ == 0)
			first = i;
	out_begin("compare");
	out_num("length", x.length);
	out_bool("equal", differences == 0);
	out_num("differences", differences);
	if (differences > 0) {
		out_num("first", first);
		out_hex("left", p[first]);
		out_hex("right", q[first]);
	}
	out_line();
	return 0;
}

int
cmd_load(const struct args *a)
{
	struct buffer *b = buffer_find(a->w[2].str);
	const char *path = a->w[1].str;
	bool created = b == NULL;
	struct stat st;
	size_t n;
	FILE *f;
	int ret = 0;

	f = fopen(path, "rb");
	if (f == NULL)
		return shell_error(-errno, "cannot read '%s': %s", path, strerror(errno));
	if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		ret = shell_error(-EINVAL, "'%s' is no file with something in it", path);
	else if (!created && (uint64_t)st.st_size > b->mem.size)
		ret = shell_error(-ERANGE, "'%s' has %" PRIu64 " bytes, buffer %s only %" PRIu64,
			path, (uint64_t)st.st_size, b->name, b->mem.size);
	else if (created && (b = buffer_new(a->w[2].str, st.st_size, SOCKET_ID_ANY, 0)) == NULL)
		ret = -ENOMEM;
	if (ret == 0) {
		n = fread(b->mem.va, 1, st.st_size, f);
		if (n != (size_t)st.st_size) {
			ret = shell_error(-EIO, "'%s' cannot be read to its end", path);
			if (created)
				buffer_delete(b);
		} else {
			show_one("loaded", b);
			out_num("bytes", n);
			out_line();
		}
	}
	fclose(f);
	return ret;
}

int
cmd_save(const struct args *a)
{
	struct range r = a->w[1].range;
	const char *path = a->w[2].str;
	bool written;
	FILE *f;
	int ret = range_check(&r);

	if (ret != 0)
		return ret;
	f = fopen(path, "wb");
	if (f == NULL)
		return shell_error(-errno, "cannot write '%s': %s", path, strerror(errno));
	written = fwrite((uint8_t *)r.buf->mem.va + r.offset, 1, r.length, f) == r.length;
	if (fclose(f) != 0 || !written)
		return shell_error(-EIO, "'%s' could not be written completely", path);
	out_begin("saved");
	out_str("file", "%s", path);
	out_num("bytes", r.length);
	out_line();
	return 0;
}

/* rte_hash_crc() reads words, which C allows only where words may lie. */
static uint32_t
crc32c(const uint8_t *data, uint64_t length)
{
	uint32_t crc = UINT32_MAX;

	for (; length > 0 && (uintptr_t)data % sizeof(uint64_t) != 0; length--)
		crc = rte_hash_crc_1byte(*data++, crc);
	return ~rte_hash_crc(data, length, crc);
}

int
cmd_crc(const struct args *a)
{
	struct range r = a->w[1].range;
	int ret = range_check(&r);

	if (ret != 0)
		return ret;
	out_begin("crc");
	out_str("name", "%s", r.buf->name);
	out_num("length", r.length);
	out_hex("crc32c", crc32c((uint8_t *)r.buf->mem.va + r.offset, r.length));
	out_line();
	return 0;
}
