/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

#include "dm_guard.h"

bool dm_guard_enabled;

static __thread struct dm_guard *volatile armed;
static unsigned int count;

void
dm_guard_arm(struct dm_guard *guard)
{
	armed = guard;
}

/* Nothing is put in the place of the memory: that would take mappings and memory for as long as
 * whoever takes it away likes.
 */
static void
memory_gone(int sig, siginfo_t *info, void *context)
{
	struct dm_guard *guard = armed;
	const ucontext_t *interrupted = context;

	if (guard == NULL || info->si_code <= 0) {
		signal(sig, SIG_DFL); /* the access is tried again, and ends the process */
		return;
	}
	armed = NULL;
	guard->address = (uintptr_t)info->si_addr;
	__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
	/* This does not return, so what was blocked for it is not, either. */
	pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
	siglongjmp(guard->env, 1);
}

void
dm_guard_enable(void)
{
	struct sigaction action = {.sa_sigaction = memory_gone, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
	dm_guard_enabled = true;
}

unsigned int
dm_guard_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_RELAXED);
}
