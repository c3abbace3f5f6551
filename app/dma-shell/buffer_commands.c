/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * What the CPU does with buffers: alloc, free, fill, show, compare, load, save, crc.
 */

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_hash_crc.h>
#include <rte_memory.h>
#include <rte_string_fns.h>

#include "files.h"

#define SHOW_DEFAULT UINT64_C(256)
#define SHOW_MAX (64 * 1024)

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

	if (buffer_first() == NULL)
		shell_note("no buffers: 'alloc NAME SIZE' makes one");
	for (b = buffer_first(); b != NULL; b = b->next) {
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
	struct file file;
	int ret = range_check(&r);

	if (ret == 0)
		ret = file_begin(&file, path);
	if (ret != 0)
		return ret;
	fwrite((uint8_t *)r.buf->mem.va + r.offset, 1, r.length, file.out);
	ret = file_end(&file, path);
	if (ret != 0)
		return ret;
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
