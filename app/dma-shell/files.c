/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Files that commands write: whole, or not at all.
 */

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

int
file_begin(struct file *f, const char *path)
{
	const char *why = NULL;
	struct stat st;

	f->replacement.name[0] = '\0';
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		f->out = fopen(path, "w"); /* a device or a pipe takes what comes */
	} else {
		why = replacement_begin(&f->replacement, path, 0666);
		f->out = why != NULL ? NULL : fdopen(f->replacement.fd, "w");
	}
	if (f->out != NULL)
		return 0;
	return shell_error(-EIO, "cannot write '%s': %s", path, why != NULL ? why : strerror(errno));
}

int
file_end(struct file *f, const char *path)
{
	const int bad = ferror(f->out);
	int ret = 0;

	if (fclose(f->out) != 0 || bad)
		ret = -EIO;
	else if (f->replacement.name[0] != '\0')
		ret = replacement_keep(&f->replacement);
	if (ret == 0)
		return 0;
	replacement_drop(&f->replacement);
	return shell_error(ret, "'%s' could not be written completely", path);
}

int
file_writable(const char *path)
{
	struct file f;
	int ret = file_begin(&f, path);

	if (ret != 0)
		return ret;
	fclose(f.out);
	replacement_drop(&f.replacement);
	return 0;
}

/* One name in one folder, of files that are not there yet. */
static bool
place_same(const char *a, const char *b)
{
	const char *const path[] = { a, b };
	const char *name[2], *slash;
	char folder[PATH_MAX];
	struct stat st[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		slash = strrchr(path[i], '/');
		name[i] = slash == NULL ? path[i] : slash + 1;
		snprintf(folder, sizeof(folder), "%.*s.", (int)(name[i] - path[i]), path[i]);
		if (stat(folder, &st[i]) != 0)
			return false;
	}
	return strcmp(name[0], name[1]) == 0 && st[0].st_dev == st[1].st_dev &&
		st[0].st_ino == st[1].st_ino;
}

bool
file_same(const char *a, const char *b)
{
	struct stat x, y;
	const bool x_there = stat(a, &x) == 0, y_there = stat(b, &y) == 0;

	if (!x_there || !y_there)
		return !x_there && !y_there && place_same(a, b);
	/* Devices take what comes twice. */
	return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}
