/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vfiou_caps.h"
#include "vfiou_proto.h"

/* A parser for as much of JSON as capabilities need: it keeps numbers and booleans whose path it is
 * asked for and skips, but checks, everything else. The text comes from the other side: whatever it
 * holds, the parser stays within it and its depth is bounded.
 */

#define MAX_DEPTH 8
#define MAX_PATH  64 /* longer ones are nobody's */

#define MAX_MSG_FDS 1024 /* as libvfio-user has it */

struct parser {
	const char *at; /**< NUL-terminated */
	struct vfiou_caps *caps;
	unsigned int depth;
	char path[MAX_PATH + 1]; /**< names of the objects around, each followed by a '/' */
	size_t path_len;
};

static bool parse_value(struct parser *p);

static void
skip_space(struct parser *p)
{
	p->at += strspn(p->at, " \t\r\n");
}

static bool
take(struct parser *p, char c)
{
	skip_space(p);
	if (*p->at != c)
		return false;
	p->at++;
	return true;
}

/* A string; *start and *len: what is between the quotes, escapes as they are. */
static bool
parse_string(struct parser *p, const char **start, size_t *len)
{
	if (!take(p, '"'))
		return false;
	*start = p->at;
	while (*p->at != '"') {
		if ((unsigned char)*p->at < 0x20)
			return false;
		if (*p->at == '\\' && *++p->at == '\0')
			return false;
		p->at++;
	}
	*len = p->at - *start;
	p->at++;
	return true;
}

/* Where a capability that is a number goes; NULL: none that we know. */
static uint64_t *
number_of(struct parser *p)
{
	static const char prefix[] = "capabilities/";
	const char *name = p->path + sizeof(prefix) - 1;

	if (strncmp(p->path, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	if (strcmp(name, "max_msg_fds/") == 0)
		return &p->caps->max_msg_fds;
	if (strcmp(name, "max_data_xfer_size/") == 0)
		return &p->caps->max_data_xfer_size;
	if (strcmp(name, "max_dma_maps/") == 0)
		return &p->caps->max_dma_maps;
	if (strcmp(name, "pgsizes/") == 0)
		return &p->caps->pgsizes;
	if (strcmp(name, "migration/pgsize/") == 0)
		return &p->caps->migration_pgsize;
	return NULL;
}

static bool *
boolean_of(struct parser *p)
{
	if (strcmp(p->path, "capabilities/write_multiple/") == 0)
		return &p->caps->write_multiple;
	if (strcmp(p->path, "capabilities/twin_socket/supported/") == 0)
		return &p->caps->twin_socket;
	return NULL;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
parse_number(struct parser *p)
{
	uint64_t *number = number_of(p), value = 0;
	bool whole = is_digit(*p->at);

	if (*p->at == '-')
		p->at++;
	if (!is_digit(*p->at))
		return false;
	for (; is_digit(*p->at); p->at++) {
		unsigned int digit = *p->at - '0';

		if (value > (UINT64_MAX - digit) / 10)
			whole = false;
		else
			value = value * 10 + digit;
	}
	if (*p->at == '.') {
		whole = false;
		for (p->at++; is_digit(*p->at); p->at++)
			;
	}
	if (*p->at == 'e' || *p->at == 'E') {
		whole = false;
		p->at++;
		if (*p->at == '+' || *p->at == '-')
			p->at++;
		if (!is_digit(*p->at))
			return false;
		for (; is_digit(*p->at); p->at++)
			;
	}
	if (boolean_of(p) != NULL || (number != NULL && !whole))
		return false;
	if (number != NULL)
		*number = value;
	return true;
}

/* true, false or null. */
static bool
parse_word(struct parser *p)
{
	static const char *const words[] = {"false", "true", "null"};
	bool *boolean = boolean_of(p);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		size_t len = strlen(words[i]);

		if (strncmp(p->at, words[i], len) != 0)
			continue;
		p->at += len;
		if (number_of(p) != NULL || (boolean != NULL && i == 2))
			return false;
		if (boolean != NULL)
			*boolean = i;
		return true;
	}
	return false;
}

static bool
parse_element(struct parser *p)
{
	size_t before = p->path_len;
	bool ok;

	if (p->path_len < MAX_PATH)
		p->path[p->path_len++] = '/';
	p->path[p->path_len] = '\0';
	ok = parse_value(p);
	p->path_len = before;
	p->path[before] = '\0';
	return ok;
}

static bool
parse_member(struct parser *p)
{
	size_t len, before = p->path_len;
	const char *name;
	bool ok;

	if (!parse_string(p, &name, &len) || !take(p, ':'))
		return false;
	if (before + len + 1 <= MAX_PATH) {
		memcpy(p->path + before, name, len);
		p->path_len += len;
	}
	/* A path that is too long keeps a part less, and a slash more: it matches nothing. */
	ok = parse_element(p);
	p->path_len = before;
	p->path[before] = '\0';
	return ok;
}

static bool
parse_list(struct parser *p, char end, bool (*item)(struct parser *p))
{
	if (number_of(p) != NULL || boolean_of(p) != NULL || ++p->depth > MAX_DEPTH)
		return false;
	p->at++;
	if (!take(p, end)) {
		do {
			if (!item(p))
				return false;
		} while (take(p, ','));
		if (!take(p, end))
			return false;
	}
	p->depth--;
	return true;
}

/* Whether nothing but an object may stand here. */
static bool
is_object(const struct parser *p)
{
	return strcmp(p->path, "capabilities/") == 0 ||
		strcmp(p->path, "capabilities/migration/") == 0 ||
		strcmp(p->path, "capabilities/twin_socket/") == 0;
}

static bool
parse_value(struct parser *p)
{
	const char *start;
	size_t len;

	skip_space(p);
	if (*p->at != '{' && is_object(p))
		return false;
	switch (*p->at) {
	case '{':
		return parse_list(p, '}', parse_member);
	case '[':
		return parse_list(p, ']', parse_element);
	case '"':
		return number_of(p) == NULL && boolean_of(p) == NULL &&
			parse_string(p, &start, &len);
	case 't':
	case 'f':
	case 'n':
		return parse_word(p);
	default:
		return parse_number(p);
	}
}

int
vfiou_caps_parse(const char *text, size_t size, struct vfiou_caps *caps)
{
	struct parser p = {.at = text, .caps = caps};

	*caps = (struct vfiou_caps){
		.max_msg_fds = VFIOU_DEFAULT_FDS,
		.max_data_xfer_size = VFIOU_DEFAULT_XFER,
		.max_dma_maps = UINT16_MAX,
		.pgsizes = VFIOU_PAGE_SIZE,
	};
	if (size == 0)
		return 0;
	if (text[size - 1] != '\0' || strlen(text) != size - 1)
		return -EINVAL;
	skip_space(&p);
	if (*p.at != '{' || !parse_value(&p))
		return -EINVAL;
	skip_space(&p);
	if (*p.at != '\0' || caps->max_msg_fds > MAX_MSG_FDS ||
			(caps->migration_pgsize & (caps->migration_pgsize - 1)) != 0)
		return -EINVAL;
	return 0;
}

size_t
vfiou_caps_format(const struct vfiou_caps *caps, char *text, size_t size)
{
	int len = snprintf(text, size,
		"{\"capabilities\":{\"max_msg_fds\":%" PRIu64 ",\"max_data_xfer_size\":%" PRIu64
		",\"max_dma_maps\":%" PRIu64 ",\"pgsizes\":%" PRIu64 "%s%s}}",
		caps->max_msg_fds, caps->max_data_xfer_size, caps->max_dma_maps, caps->pgsizes,
		caps->write_multiple ? ",\"write_multiple\":true" : "",
		caps->twin_socket ? ",\"twin_socket\":{\"supported\":true,\"fd_index\":0}" : "");

	return len < 0 || (size_t)len >= size ? 0 : (size_t)len + 1;
}
