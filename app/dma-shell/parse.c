/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Words that mean the same wherever they stand: sizes, patterns, lists.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_string_fns.h>

#include "shell.h"

int
parse_size(const char *word, uint64_t *size)
{
	static const char units[] = "KMGT";
	unsigned int shift = 0;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)word[0]))
		return -EINVAL;
	errno = 0;
	/* No octal: nobody means it when they type 0100. */
	*size = strtoull(word, &end, strncasecmp(word, "0x", 2) == 0 ? 16 : 10);
	if (errno != 0 || end == word)
		return -EINVAL;
	if (*end != '\0') {
		unit = strchr(units, toupper((unsigned char)*end));
		if (unit == NULL || end[1] != '\0')
			return -EINVAL;
		shift = 10 * (unit - units + 1);
	}
	if (*size > UINT64_MAX >> shift)
		return -EINVAL;
	*size <<= shift;
	return 0;
}

int
parse_pattern(const char *word, uint64_t *pattern)
{
	if (parse_size(word, pattern) != 0)
		return -EINVAL;
	/* Written as a byte, meant as a byte. */
	if (*pattern <= UINT8_MAX && strlen(word) <= strlen("0xff"))
		*pattern *= 0x0101010101010101;
	return 0;
}

bool
list_next(struct span *list, char *word, size_t size)
{
	const char *comma;
	size_t n;

	if (list->len == 0)
		return false;
	comma = memchr(list->start, ',', list->len);
	n = comma == NULL ? list->len : (size_t)(comma - list->start);
	/* An element that is too long is cut, and then no valid one any more. */
	strlcpy(word, list->start, RTE_MIN(n + 1, size));
	if (comma != NULL)
		n++;
	list->start += n;
	list->len -= n;
	return true;
}
