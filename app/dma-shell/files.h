/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef FILES_H
#define FILES_H

/** @file Files that commands write. Errors are told. */

#include "replacement.h"
#include "shell.h"

struct file {
	FILE *out;
	struct replacement replacement;
};

/** Begin a file; one that has the name stays as it is until the end. */
int file_begin(struct file *f, const char *path);
/** It is whole. Where something of it could not be written there is none. */
int file_end(struct file *f, const char *path);
/** Whether it could be written; nothing is left of it. */
int file_writable(const char *path);
/** Two names of one file. */
bool file_same(const char *a, const char *b);

#endif /* FILES_H */
