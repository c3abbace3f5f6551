/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef REPLACEMENT_H
#define REPLACEMENT_H

/** @file A file that takes its name, and the place of one that has it, only when it is whole. */

#include <limits.h>
#include <sys/types.h>

struct replacement {
	int fd;
	char path[PATH_MAX]; /**< the name that it gets */
	char name[PATH_MAX]; /**< the one that it has until then; "": there is none */
};

/**
 * Begin one, beside the file whose place it takes, with that one's owner and mode.
 *
 * @param mode
 *   Of a file that nobody has made yet, before the umask.
 * @return NULL, or words for what is in the way.
 */
const char *replacement_begin(struct replacement *r, const char *path, mode_t mode);

/** Give it its name. @return 0, or a negative errno; it is gone then. */
int replacement_keep(struct replacement *r);

/** Remove what is written so far. The descriptor is its user's to close. */
void replacement_drop(struct replacement *r);

#endif /* REPLACEMENT_H */
