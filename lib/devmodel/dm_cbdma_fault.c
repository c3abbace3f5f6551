/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cbdma_hw.h"
#include "dm_cbdma.h"

static const struct {
	const char *name;
	enum dm_cbdma_fault_kind kind;
	bool has_at;
} kinds[] = {
	{"none", DM_CBDMA_FAULT_NONE, false},
	{"fail", DM_CBDMA_FAULT_FAIL, true},
	{"stall", DM_CBDMA_FAULT_STALL, true},
	{"vanish", DM_CBDMA_FAULT_VANISH, true},
	{"reset", DM_CBDMA_FAULT_RESET, false},
	{"mute", DM_CBDMA_FAULT_MUTE, true},
	{"suspend", DM_CBDMA_FAULT_SUSPEND, true},
	{"halt", DM_CBDMA_FAULT_HALT, true},
	{"lost-completion", DM_CBDMA_FAULT_COMPLETION, true},
	{"lost-doorbell", DM_CBDMA_FAULT_DOORBELL, true},
};

static const struct {
	const char *name;
	uint32_t chanerr;
} causes[] = {
	{"src", CBDMA_CHANERR_XSADDERR},
	{"dst", CBDMA_CHANERR_XDADDERR},
	{"next", CBDMA_CHANERR_NDADDERR},
	{"align", CBDMA_CHANERR_DERR},
	{"read", CBDMA_CHANERR_RDERR},
	{"write", CBDMA_CHANERR_WDERR},
	{"op", CBDMA_CHANERR_DCERR},
	{"length", CBDMA_CHANERR_DXSERR},
	{"completion", CBDMA_CHANERR_CMPADDERR},
	{"command", CBDMA_CHANERR_CCMDERR},
	{"unaffiliated", CBDMA_CHANERR_UNAFFERR},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Whether the len bytes at text are name. */
static bool
is_word(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(text, name, len) == 0;
}

/* Read "N", all of the len bytes at text. */
static bool
parse_number(const char *text, size_t len, uint64_t *number)
{
	char *end;

	if (len == 0 || !isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0 && end == text + len;
}

/* Read "at=N" or "cause=C". @return what is wrong, NULL when nothing is. */
static const char *
parse_option(const char *text, size_t len, bool has_at, struct dm_cbdma_fault *fault)
{
	size_t i;

	if (len >= 3 && memcmp(text, "at=", 3) == 0) {
		if (!has_at)
			return "this kind of fault takes no at=";
		if (!parse_number(text + 3, len - 3, &fault->at))
			return "at= wants a number";
		return NULL;
	}
	if (len >= 6 && memcmp(text, "cause=", 6) == 0) {
		if (fault->kind != DM_CBDMA_FAULT_FAIL)
			return "only fail takes a cause=";
		for (i = 0; i < COUNT(causes); i++) {
			if (is_word(text + 6, len - 6, causes[i].name)) {
				fault->chanerr = causes[i].chanerr;
				return NULL;
			}
		}
		return "cause= is not one of src, dst, next, align, read, write, op, length, "
		       "completion, command, unaffiliated";
	}
	return "an option is neither at= nor cause=";
}

int
dm_cbdma_fault_parse(const char *text, struct dm_cbdma_fault *fault, const char **error)
{
	struct dm_cbdma_fault parsed = {.kind = DM_CBDMA_FAULT_NONE};
	size_t i, len = strcspn(text, ":");

	for (i = 0; i < COUNT(kinds); i++) {
		if (is_word(text, len, kinds[i].name))
			break;
	}
	if (i == COUNT(kinds)) {
		*error = "a fault is one of fail, stall, vanish, mute, suspend, halt, "
			 "lost-completion, lost-doorbell, reset, none";
		return -EINVAL;
	}
	parsed.kind = kinds[i].kind;
	if (parsed.kind == DM_CBDMA_FAULT_FAIL)
		parsed.chanerr = CBDMA_CHANERR_XSADDERR;

	while (text[len] == ':') {
		text += len + 1;
		len = strcspn(text, ":");
		*error = parse_option(text, len, kinds[i].has_at, &parsed);
		if (*error != NULL)
			return -EINVAL;
	}
	*error = NULL;
	*fault = parsed;
	return 0;
}
