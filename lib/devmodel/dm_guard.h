/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_GUARD_H
#define DM_GUARD_H

/**
 * @file
 *
 * Memory that may vanish while a device works on it: files that someone else makes shorter, pages
 * that the machine has lost. Guarded, an access to it is an error of the device; without a guard
 * SIGBUS ends the process.
 */

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dm_guard {
	sigjmp_buf env;
	volatile uintptr_t address; /**< the one that nothing is at */
};

/** Have guards guard: they are without effect, and without cost, otherwise. Takes SIGBUS. Once a
 * process, before any device runs.
 */
void dm_guard_enable(void);

/** How often memory was gone. */
unsigned int dm_guard_count(void);

/** Private to lib/devmodel. */
extern bool dm_guard_enabled;

void dm_guard_arm(struct dm_guard *guard);

/** Private to lib/devmodel: to be followed by dm_guard_clear() in the function that called it.
 *
 * @return false; and, for a second time, true: memory is gone, guard->address says which.
 */
#define dm_guard_set(guard)                                                                        \
	(dm_guard_enabled && (dm_guard_arm(guard), sigsetjmp((guard)->env, 0) != 0))

static inline void
dm_guard_clear(void)
{
	if (dm_guard_enabled)
		dm_guard_arm(NULL);
}

#ifdef __cplusplus
}
#endif

#endif /* DM_GUARD_H */
