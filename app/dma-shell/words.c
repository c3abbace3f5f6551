/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * The types of words that commands are made of: devices, buffers, ranges, sizes.
 */

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <rte_string_fns.h>

#include "words.h"

struct word_type {
	const char *name;
	const char *help;
	int (*parse)(const char *word, union word *out);
	/* What completion offers, see word_choice(); NULL: nothing. */
	int (*choice)(const char *partial, int i, char *dst, size_t size);
};

static int
word_size(const char *word, union word *out)
{
	return parse_size(word, &out->num);
}

static int
word_seconds(const char *word, union word *out)
{
	char *end;

	if (!isdigit((unsigned char)word[0]))
		return -EINVAL;
	out->real = strtod(word, &end);
	return *end != '\0' || !isfinite(out->real) || out->real > 1e6 ? -EINVAL : 0;
}

/* DEV: a number or a name, and ":VCHAN" where it is not the first one. */
static int
word_device(const char *word, union word *out)
{
	char text[SHELL_WORD_SIZE], *end, *colon;
	unsigned long vchan = 0, id;

	strlcpy(text, word, sizeof(text));
	out->dev.id = rte_dma_get_dev_id_by_name(text);
	if (out->dev.id >= 0) /* a PCI address holds colons of its own */
		return 0;

	colon = strrchr(text, ':');
	if (colon != NULL) {
		*colon = '\0';
		if (!isdigit((unsigned char)colon[1]))
			return -EINVAL;
		vchan = strtoul(colon + 1, &end, 10);
		if (*end != '\0' || vchan > UINT16_MAX)
			return -EINVAL;
	}
	out->dev.vchan = vchan;
	out->dev.id = rte_dma_get_dev_id_by_name(text);
	if (out->dev.id >= 0)
		return 0;
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	id = strtoul(text, &end, 10);
	out->dev.id = id;
	return *end != '\0' || id > INT16_MAX || !rte_dma_is_valid(id) ? -ENODEV : 0;
}

static int
device_number(const char *partial __rte_unused, int i, char *dst, size_t size)
{
	int16_t id;

	RTE_DMA_FOREACH_DEV(id)
		if (i-- == 0)
			return snprintf(dst, size, "%d", id);
	return -1;
}

static int
word_buffer(const char *word, union word *out)
{
	out->range = (struct range){ .buf = buffer_find(word), .count = 1 };
	return out->range.buf == NULL ? -ENOENT : 0;
}

static int
word_range(const char *word, union word *out)
{
	return parse_range(word, &out->range);
}

static int
buffer_name(const char *partial __rte_unused, int i, char *dst, size_t size)
{
	const struct buffer *b;

	for (b = buffer_first(); b != NULL; b = b->next)
		if (i-- == 0)
			return strlcpy(dst, b->name, size);
	return -1;
}

/* NAME: of a new buffer. What the other types use as signs cannot be part of it. */
static int
word_name(const char *word, union word *out)
{
	const size_t len = strlen(word);
	size_t i;

	if (len >= sizeof(((struct buffer *)NULL)->name) || !isalpha((unsigned char)word[0]))
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)word[i]) && strchr("_.-", word[i]) == NULL)
			return -EINVAL;
	strlcpy(out->str, word, sizeof(out->str));
	return 0;
}

static int
word_any(const char *word, union word *out)
{
	strlcpy(out->str, word, sizeof(out->str));
	return 0;
}

static int
file_name(const char *partial, int i, char *dst, size_t size)
{
	static glob_t found;
	char pattern[SHELL_WORD_SIZE + 1];

	/* Signs that glob() takes for patterns are none here. */
	if (strpbrk(partial, "*?[\\") != NULL || strlen(partial) >= SHELL_WORD_SIZE)
		return -1;
	snprintf(pattern, sizeof(pattern), "%s*", partial);
	if (i == 0 && glob(pattern, GLOB_MARK, NULL, &found) != 0)
		return -1;
	if (i == (int)found.gl_pathc) {
		globfree(&found);
		return -1;
	}
	/* What cannot be typed. */
	strlcpy(dst, strpbrk(found.gl_pathv[i], " \t;#\"") != NULL ? "" : found.gl_pathv[i], size);
	return 0;
}

/* TOPIC: what help knows, the first words of commands. */
static int
topic_name(const char *partial __rte_unused, int i, char *dst, size_t size)
{
	const char *syntax;

	if (shell_commands[i].syntax == NULL)
		return -1;
	syntax = shell_commands[i].syntax;
	strlcpy(dst, syntax, RTE_MIN(size, strcspn(syntax, " |") + 1));
	return 0;
}

static const struct word_type types[] = {
	{ "WORD", "a word", word_any, NULL },
	{ "NUM", "a number", word_size, NULL },
	{ "SIZE", "a size in bytes (4096, 0x1000, 4K, 2M)", word_size, NULL },
	{ "SECONDS", "a time in seconds (2, 0.5)", word_seconds, NULL },
	{ "DEV", "a device (number or name, :VCHAN)", word_device, device_number },
	{ "BUF", "a buffer", word_buffer, buffer_name },
	{ "RANGE", "a buffer, part of it: BUFFER[+OFFSET][:LENGTH]", word_range, buffer_name },
	{ "NAME", "a new name (a letter, then at most 22 of a-z 0-9 _ . -)", word_name, NULL },
	{ "LIST", "a list separated by commas", NULL, NULL },
	{ "REST", "a command, or several in double quotes", NULL, NULL },
	{ "FILE", "a file name (at most 127 characters)", word_any, file_name },
	{ "TOPIC", "the first word of a command", word_any, topic_name },
};

static const struct word_type *
type_find(struct span name)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(types); i++)
		if (span_is(name, types[i].name))
			return &types[i];
	return NULL;
}

/* The i-th of words that stand for themselves, "a|b|c". */
static int
fixed_word(struct span type, int i, char *dst, size_t size)
{
	const char *at = type.start, *end = type.start + type.len;
	size_t len;

	for (; at < end; at += len + 1) {
		len = RTE_MIN(strcspn(at, "|"), (size_t)(end - at));
		if (i-- == 0) {
			strlcpy(dst, at, RTE_MIN(size, len + 1));
			return 0;
		}
	}
	return -1;
}

int
word_parse(struct span type, struct span word, union word *out)
{
	const struct word_type *t = type_find(type);
	char text[SHELL_WORD_SIZE], fixed[SHELL_WORD_SIZE];
	int i;

	memset(out, 0, sizeof(*out));
	/* These two may be longer, and stay where they are. */
	if (t != NULL && t->parse == NULL) {
		out->text = word;
		return 0;
	}
	if (word.len >= sizeof(text))
		return -E2BIG;
	strlcpy(text, word.start, word.len + 1);
	if (t != NULL)
		return t->parse(text, out);
	for (i = 0; fixed_word(type, i, fixed, sizeof(fixed)) == 0; i++)
		if (strcmp(text, fixed) == 0)
			return word_any(text, out);
	return -EINVAL;
}

int
word_choice(struct span type, const char *partial, int i, char *dst, size_t size)
{
	const struct word_type *t = type_find(type);

	if (t == NULL)
		return fixed_word(type, i, dst, size);
	return t->choice == NULL ? -1 : t->choice(partial, i, dst, size);
}

void
word_expects(struct span type, bool all, char *dst, size_t size)
{
	const struct word_type *t = type_find(type);
	char name[SHELL_WORD_SIZE];
	int i;

	if (t == NULL) {
		strlcpy(dst, type.start, RTE_MIN(size, type.len + 1));
		return;
	}
	strlcpy(dst, t->help, size);
	if (!all || (t->choice != device_number && t->choice != buffer_name))
		return;
	for (i = 0; i < 8 && t->choice("", i, name, sizeof(name)) >= 0; i++) {
		strlcat(dst, i > 0 ? ", " : "; there is ", size);
		strlcat(dst, name, size);
	}
	if (i == 0)
		strlcat(dst, "; there is none", size);
	else if (i == 8)
		strlcat(dst, ", ...", size);
}
