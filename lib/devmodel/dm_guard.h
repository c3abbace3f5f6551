/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_GUARD_H
#define DM_GUARD_H

/**
 * @file
 *
 * Memory that is not there, or vanishes while a device works on it: addresses that nothing is mapped
 * at or that must not be written, files that someone else makes shorter, pages that the machine has
 * lost. Guarded, an access to it is an error of the device; without a guard, SIGSEGV or SIGBUS ends
 * the process.
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
	volatile uintptr_t address; /**< the one that was accessed in vain */
	volatile bool unmapped;	    /**< there is no memory; else it has lost what it held */
	volatile bool reading, writing; /**< which it was; both where the CPU does not say */
};

/**
 * Have guards guard: they are without effect, and without cost, otherwise. Any number of times, from
 * any thread, each to be followed by dm_guard_disable() when the device has been destroyed.
 *
 * Takes SIGSEGV and SIGBUS. What is no device's access is handed on to the handler that there was
 * before. A handler that is installed later has to do likewise: call the one that sigaction() gave
 * it for what it does not know itself, in the same thread.
 */
void dm_guard_enable(void);

/** The last one gives the signals back, unless somebody else has taken them since. */
void dm_guard_disable(void);

/** How often memory was not there. */
unsigned int dm_guard_count(void);

/** Private to lib/devmodel. */
extern bool dm_guard_enabled;

void dm_guard_arm(struct dm_guard *guard);

/** Private to lib/devmodel: to be followed by dm_guard_clear() in the function that called it.
 *
 * @return false; and, for a second time, true: there is no memory, guard->address says where.
 */
#define dm_guard_set(guard)                                                                        \
	(__atomic_load_n(&dm_guard_enabled, __ATOMIC_RELAXED) &&                                   \
			(dm_guard_arm(guard), sigsetjmp((guard)->env, 0) != 0))

static inline void
dm_guard_clear(void)
{
	dm_guard_arm(NULL);
}

#ifdef __cplusplus
}
#endif

#endif /* DM_GUARD_H */
