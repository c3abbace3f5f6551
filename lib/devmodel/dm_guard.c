/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

#include "dm_guard.h"

/* Of the error code of a page fault (Intel SDM volume 3, "Page-Fault Exceptions"). */
#define PAGE_FAULT_WRITE (1 << 1)

/* So many handlers that came later, each before another device, are kept apart. */
#define TIMES 8

/* A signal that is taken, and whom it is handed on to. When somebody takes it from us, his handler
 * may call ours, and when we take it again, ours calls his: each time has somebody else before it.
 */
struct taken {
	int sig;
	unsigned int times;
	struct sigaction before[TIMES];
};

static struct taken taken[] = {{.sig = SIGBUS}, {.sig = SIGSEGV}};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int users;

bool dm_guard_enabled;
static unsigned int count;

/* Not allocated at first use, as that may be in the handler. */
#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

THREAD_LOCAL struct dm_guard *volatile armed;

/* The signal that is being handed on, the frame that does it, and to whom. */
THREAD_LOCAL struct {
	const siginfo_t *info;
	const char *frame;
	unsigned int to;
} handing_on;

void
dm_guard_arm(struct dm_guard *guard)
{
	armed = guard;
}

/* Do what would have been done without us. */
static void
hand_on(struct taken *t, siginfo_t *info, void *context)
{
	const char *frame = __builtin_frame_address(0);
	unsigned int i = t->times == 0 ? 0 : t->times - 1;
	struct sigaction to;

	/* Whom it was handed on to hands it back: the stack grows downwards. */
	if (handing_on.info == info && frame < handing_on.frame)
		i = handing_on.to == 0 ? 0 : handing_on.to - 1;
	handing_on.info = info;
	handing_on.frame = frame;
	handing_on.to = i;
	to = t->before[i];
	/* A handler for one time: what comes next is the default's. */
	if (to.sa_flags & (int)SA_RESETHAND)
		t->before[i] = (struct sigaction){.sa_handler = SIG_DFL};
	if (to.sa_flags & SA_SIGINFO) {
		to.sa_sigaction(t->sig, info, context);
	} else if (to.sa_handler == SIG_DFL || (to.sa_handler == SIG_IGN && info->si_code > 0)) {
		signal(t->sig, SIG_DFL);
		/* The access is tried again, which ends the process; what was sent is not. */
		if (info->si_code <= 0)
			raise(t->sig);
	} else if (to.sa_handler != SIG_IGN) {
		to.sa_handler(t->sig);
	}
	/* Behind the calls, so that the frame is there until they return; they need not. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	handing_on.info = NULL;
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
		hand_on(&taken[sig == SIGSEGV], info, context);
		return;
	}
	armed = NULL;
	guard->address = (uintptr_t)info->si_addr;
	guard->unmapped = sig == SIGSEGV;
#ifdef __x86_64__
	guard->writing = interrupted->uc_mcontext.gregs[REG_ERR] & PAGE_FAULT_WRITE;
	guard->reading = !guard->writing;
#else
	guard->reading = guard->writing = true;
#endif
	__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
	/* This does not return, so what was blocked for it is not, either. */
	pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
	siglongjmp(guard->env, 1);
}

static bool
is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == memory_gone;
}

static void
take(struct taken *t)
{
	struct sigaction now, action = {.sa_sigaction = memory_gone};

	sigaction(t->sig, NULL, &now);
	if (is_ours(&now))
		return;
	t->before[t->times < TIMES ? t->times : TIMES - 1] = now;
	if (t->times < TIMES)
		t->times++;
	/* Whom it is handed on to finds things as he wanted them. */
	action.sa_mask = now.sa_mask;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | (now.sa_flags & (SA_NODEFER | SA_RESTART));
	sigaction(t->sig, &action, NULL);
}

/* Who took it after us keeps it, and may call us. */
static void
give_back(struct taken *t)
{
	struct sigaction now;

	sigaction(t->sig, NULL, &now);
	if (!is_ours(&now))
		return;
	/* 0: somebody has put us back since. */
	if (t->times > 0)
		t->times--;
	sigaction(t->sig, &t->before[t->times], NULL);
}

void
dm_guard_enable(void)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	users++;
	for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		take(&taken[i]);
	__atomic_store_n(&dm_guard_enabled, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
}

void
dm_guard_disable(void)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	if (--users == 0) {
		__atomic_store_n(&dm_guard_enabled, false, __ATOMIC_RELAXED);
		for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
			give_back(&taken[i]);
	}
	pthread_mutex_unlock(&lock);
}

unsigned int
dm_guard_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_RELAXED);
}
