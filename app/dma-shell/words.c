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

#include "grammar.h"

static int
word_size(const char *word, size_t len, union word *out)
{
	char text[32];

	if (len >= sizeof(text))
		return -EINVAL;
	strlcpy(text, word, len + 1);
	return parse_size(text, &out->num);
}

static int
word_seconds(const char *word, size_t len, union word *out)
{
	char text[32], *end;

	if (len >= sizeof(text) || !isdigit((unsigned char)word[0]))
		return -EINVAL;
	strlcpy(text, word, len + 1);
	out->real = strtod(text, &end);
	return *end != '\0' || !isfinite(out->real) || out->real > 1e6 ? -EINVAL : 0;
}

/* DEV: a number or a name, and ":VCHAN" where it is not the first one. */
static int
word_device(const char *word, size_t len, union word *out)
{
	char text[SHELL_WORD_SIZE], *end, *colon;
	unsigned long vchan = 0, id;

	if (len >= sizeof(text))
		return -EINVAL;
	strlcpy(text, word, len + 1);
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
device_count(void)
{
	return rte_dma_count_avail();
}

static int
device_number(int i, char *dst, unsigned int size)
{
	int16_t id;

	RTE_DMA_FOREACH_DEV(id)
		if (i-- == 0) {
			snprintf(dst, size, "%d", id);
			return 0;
		}
	return -1;
}

static int
word_buffer(const char *word, size_t len, union word *out)
{
	out->range = (struct range){ .buf = buffer_find(word, len), .count = 1 };
	return out->range.buf == NULL ? -ENOENT : 0;
}

static int
word_range(const char *word, size_t len, union word *out)
{
	char text[SHELL_WORD_SIZE];

	if (len >= sizeof(text))
		return -EINVAL;
	strlcpy(text, word, len + 1);
	return parse_range(text, &out->range);
}

static int
buffer_count(void)
{
	const struct buffer *b;
	int n = 0;

	for (b = buffer_first(); b != NULL; b = b->next)
		n++;
	return n;
}

static int
buffer_name(int i, char *dst, unsigned int size)
{
	const struct buffer *b;

	for (b = buffer_first(); b != NULL; b = b->next)
		if (i-- == 0) {
			strlcpy(dst, b->name, size);
			return 0;
		}
	return -1;
}

/* NAME: of a new buffer. What the other types use as signs cannot be part of it. */
static int
word_name(const char *word, size_t len, union word *out)
{
	size_t i;

	if (len >= sizeof(((struct buffer *)NULL)->name) || !isalpha((unsigned char)word[0]))
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)word[i]) && strchr("_.-", word[i]) == NULL)
			return -EINVAL;
	strlcpy(out->str, word, len + 1);
	return 0;
}

/* LIST: comma separated; the elements are the command's affair. */
static int
word_list(const char *word, size_t len, union word *out)
{
	out->text.start = word;
	out->text.len = len;
	return 0;
}

static int
word_file(const char *word, size_t len, union word *out)
{
	/* "load driver" is a command; a file of that name is "./driver". */
	if (len >= SHELL_WORD_SIZE || (len == 6 && strncmp(word, "driver", len) == 0))
		return -EINVAL;
	strlcpy(out->str, word, len + 1);
	return 0;
}

/* The files that the last word of a line may become. */
static char file_names[64][SHELL_WORD_SIZE];
static int nb_files;

void
words_complete_begin(const char *line)
{
	const char *word = strrchr(line, ' ');
	char pattern[SHELL_WORD_SIZE + 1];
	glob_t found;
	size_t i;

	nb_files = 0;
	/* Signs that glob() takes for patterns are none here. */
	if (word == NULL || strlen(word) > SHELL_WORD_SIZE - 1 || strpbrk(word, "*?[\\\r\n") != NULL)
		return;
	snprintf(pattern, sizeof(pattern), "%s*", word + 1);
	if (glob(pattern, GLOB_MARK, NULL, &found) != 0)
		return;
	for (i = 0; i < found.gl_pathc && nb_files < (int)RTE_DIM(file_names); i++)
		if (strlen(found.gl_pathv[i]) < SHELL_WORD_SIZE &&
				strpbrk(found.gl_pathv[i], " ;#\"") == NULL)
			strlcpy(file_names[nb_files++], found.gl_pathv[i], SHELL_WORD_SIZE);
	globfree(&found);
}

static int
file_count(void)
{
	return nb_files;
}

static int
file_name(int i, char *dst, unsigned int size)
{
	strlcpy(dst, file_names[i], size);
	return 0;
}

/* TOPIC: what help knows, the first words of commands. */
static int
topic_name(int i, char *dst, unsigned int size)
{
	const struct command *c, *other;

	for (c = shell_commands; c->syntax != NULL; c++) {
		size_t len = strcspn(c->syntax, " |");

		for (other = shell_commands; other != c; other++)
			if (strncmp(other->syntax, c->syntax, len + 1) == 0)
				break;
		if (other == c && i-- == 0) {
			strlcpy(dst, c->syntax, RTE_MIN(size, len + 1));
			return 0;
		}
	}
	return -1;
}

static int
topic_count(void)
{
	char name[SHELL_WORD_SIZE];
	int n = 0;

	while (topic_name(n, name, sizeof(name)) == 0)
		n++;
	return n;
}

static int
word_topic(const char *word, size_t len, union word *out)
{
	if (len >= SHELL_WORD_SIZE)
		return -EINVAL;
	strlcpy(out->str, word, len + 1);
	return 0;
}

static const struct word_type types[] = {
	{ "SIZE", "a size in bytes (4096, 0x1000, 4K, 2M)", word_size, NULL, NULL, false },
	{ "SECONDS", "a time in seconds (2, 0.5)", word_seconds, NULL, NULL, false },
	{ "DEV", "a device (number or name, :VCHAN)", word_device, device_count, device_number,
		false },
	{ "BUF", "a buffer", word_buffer, buffer_count, buffer_name, false },
	{ "RANGE", "a buffer, part of it: BUFFER[+OFFSET][:LENGTH]", word_range, buffer_count,
		buffer_name, false },
	{ "NAME", "a new name (a letter, then at most 22 of a-z 0-9 _ . -)", word_name, NULL, NULL,
		false },
	{ "LIST", "a list separated by commas", word_list, NULL, NULL, true },
	{ "FILE", "a file name (at most 127 characters)", word_file, file_count, file_name, false },
	{ "TOPIC", "the first word of a command", word_topic, topic_count, topic_name, false },
};

const struct word_type *
word_type_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}

/* A type's help, and what there is to choose from. */
static void
type_expects(const struct word_type *type, char *dst, size_t size)
{
	char name[64];
	int i, n;

	strlcpy(dst, type->help, size);
	if (type->count == NULL || type->count == file_count)
		return;
	n = type->count();
	strlcat(dst, n == 0 ? "; there is none" : "; there is", size);
	for (i = 0; i < n && i < 8; i++) {
		if (type->name_of(i, name, sizeof(name)) != 0)
			break;
		strlcat(dst, i > 0 ? ", " : " ", size);
		strlcat(dst, name, size);
	}
	if (i < n)
		strlcat(dst, ", ...", size);
}

void
token_expects(const struct token *token, char *dst, size_t size)
{
	const char *str;
	char *p;

	if (token->type != NULL) {
		type_expects(token->type, dst, size);
	} else if (token->hdr.ops == &cmdline_token_num_ops) {
		strlcpy(dst, "a number", size);
	} else if (token->hdr.ops == &cmdline_token_string_ops) {
		str = token->string.string_data.str;
		if (str == NULL || str[0] == '\0')
			str = "a word";
		strlcpy(dst, str, size);
		for (p = dst; *p != '\0'; p++)
			if (*p == '#')
				*p = '|';
	} else {
		token->hdr.ops->get_help((cmdline_parse_token_hdr_t *)(uintptr_t)&token->hdr, dst,
			size);
	}
}
