/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_NO_MEMORY_H
#define DM_NO_MEMORY_H

/**
 * @file
 *
 * Lets calls of the C library fail. The test is linked with --wrap for each of these functions.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

/** How many calls are yet to succeed before one fails; negative: none fails. */
static int calls_until_failure = -1;

static inline int
this_call_fails(void)
{
	return calls_until_failure >= 0 && calls_until_failure-- == 0;
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return this_call_fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return this_call_fails() ? NULL : __real_realloc(p, size);
}

#endif /* DM_NO_MEMORY_H */
