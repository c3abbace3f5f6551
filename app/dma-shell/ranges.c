/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Ranges of buffers, and lists of them: from words to segments.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_string_fns.h>

#include "shell.h"

/* Cut "SEPARATOR SIZE" off the end of a word, where it is there. */
static int
cut_size(char *word, char separator, uint64_t *size)
{
	char *at = strchr(word, separator);

	if (at == NULL)
		return 0;
	*at = '\0';
	return parse_size(at + 1, size);
}

int
parse_range(const char *word, struct range *range)
{
	char text[SHELL_WORD_SIZE];

	if (strlcpy(text, word, sizeof(text)) >= sizeof(text))
		return -EINVAL;
	*range = (struct range){ .count = 1 };
	if (strchr(text, ':') != NULL && strchr(text, '+') > strchr(text, ':'))
		return -EINVAL;
	if (cut_size(text, '*', &range->count) != 0 || range->count == 0 ||
			cut_size(text, ':', &range->length) != 0 ||
			(range->length == 0 && strchr(word, ':') != NULL) ||
			cut_size(text, '+', &range->offset) != 0)
		return -EINVAL;
	range->buf = buffer_find(text);
	return range->buf == NULL ? -ENOENT : 0;
}

static int
segments_check(struct range *r)
{
	const struct buffer *b = r->buf;

	if (r->offset >= b->mem.size)
		return shell_error(-ERANGE, "offset %" PRIu64 " is behind the end of %s (%" PRIu64
			" bytes)", r->offset, b->name, b->mem.size);
	if (r->length == 0)
		r->length = (b->mem.size - r->offset) / r->count;
	if (r->length == 0 || r->length > (b->mem.size - r->offset) / r->count)
		return shell_error(-ERANGE, "%" PRIu64 " range(s) of %" PRIu64 " bytes at offset %"
			PRIu64 " do not fit into %s (%" PRIu64 " bytes)", r->count, r->length,
			r->offset, b->name, b->mem.size);
	if (r->length > UINT32_MAX)
		return shell_error(-ERANGE, "%" PRIu64 " bytes are more than one operation can have",
			r->length);
	return 0;
}

int
range_check(struct range *r)
{
	if (r->count > 1)
		return shell_error(-EINVAL, "%s...*%" PRIu64 " is a list of segments: expected one "
			"range", r->buf->name, r->count);
	return segments_check(r);
}

int
ranges_to_sges(const union word *list, struct rte_dma_sge *sge, unsigned int max, uint64_t *total)
{
	struct span left = list->text;
	char word[SHELL_WORD_SIZE];
	unsigned int n = 0;
	struct range r;
	uint64_t i;
	int ret;

	*total = 0;
	while (list_next(&left, word, sizeof(word))) {
		ret = parse_range(word, &r);
		if (ret != 0)
			return shell_error(ret, ret == -ENOENT ? "no buffer of the name in '%s'" :
				"bad segment '%s': expected BUFFER[+OFFSET][:LENGTH][*COUNT]", word);
		ret = segments_check(&r);
		if (ret != 0)
			return ret;
		if (r.count > max - n)
			return shell_error(-E2BIG, "more than the %u segments of the device", max);
		for (i = 0; i < r.count; i++) {
			sge[n].addr = r.buf->mem.iova + r.offset + i * r.length;
			sge[n++].length = r.length;
			*total += r.length;
		}
	}
	return n;
}
