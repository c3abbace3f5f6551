/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "replacement.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *
replacement_begin(struct replacement *r, const char *path, mode_t mode)
{
	const mode_t mask = umask(0);
	const bool there = realpath(path, r->path) != NULL;
	struct stat st;

	umask(mask);
	mode &= 0777 & ~mask;
	r->name[0] = '\0';
	/* The file would take the place of the link. */
	if (!there && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return "it is a link to nothing";
	if (!there && snprintf(r->path, sizeof(r->path), "%s", path) >= (int)sizeof(r->path))
		return "the name is too long";
	if (there && stat(r->path, &st) == 0) {
		if (!S_ISREG(st.st_mode))
			return "it is there and is not a file";
		/* The folder may allow to replace what its owner has protected. */
		if (faccessat(AT_FDCWD, r->path, W_OK, AT_EACCESS) < 0)
			return strerror(errno);
		mode = st.st_mode & 07777;
	}
	if (snprintf(r->name, sizeof(r->name), "%s.XXXXXX", r->path) >= (int)sizeof(r->name)) {
		r->name[0] = '\0';
		return "the name is too long";
	}
	r->fd = mkstemp(r->name);
	if (r->fd < 0) {
		r->name[0] = '\0';
		return strerror(errno);
	}
	/* Who may not give files away keeps it. */
	if ((there && fchown(r->fd, st.st_uid, st.st_gid) < 0 && errno != EPERM) ||
			fchmod(r->fd, mode) < 0) {
		const int error = errno;

		replacement_drop(r);
		close(r->fd);
		return strerror(error);
	}
	return NULL;
}

int
replacement_keep(struct replacement *r)
{
	const int ret = rename(r->name, r->path) == 0 ? 0 : -errno;

	if (ret != 0)
		replacement_drop(r);
	r->name[0] = '\0';
	return ret;
}

void
replacement_drop(struct replacement *r)
{
	if (r->name[0] != '\0')
		unlink(r->name);
	r->name[0] = '\0';
}
