/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dm_device_impl.h"
#include "dm_engine.h"

/* An engine without work looks on for so long before it sleeps: what a driver does between two bursts
 * is shorter than that, and a sleep takes some 10 us at least.
 */
#define SPIN_NS 100000

/* Where that is in vain, so many looks have to do: about a microsecond. It is in vain when the driver
 * shares the CPU, as it cannot ring while the engine looks: it rang soon after, so many times in a row.
 * Then the engine keeps to brief looks for a while, which gets longer as often as one more look is in
 * vain after it, and is short again when one is not: a driver that has a CPU of its own is not to pay
 * for pauses that it made.
 */
#define SPIN_ROUNDS  16
#define SPIN_MISSES  8
#define SOON_NS	     1000000ull
#define BRIEF_MIN_NS 2000000ull
#define BRIEF_MAX_NS 256000000ull

/* To look on does harm when somebody else shares the CPU: what is spent on looking is missing from the
 * engine's share when there is work. This shows by the engine having waited for its CPU for more than
 * an eighth of the time, and makes for brief looks as well.
 */
#define WINDOW_NS	10000000ull
#define BRIEF_SHARED_NS 100000000ull

/* To yield the CPU instead of sleeping gives away whole time slices, of milliseconds; but who wakes up
 * gets it at once. The engine sleeps for an eighth of the time that it has been without work: what
 * comes after a pause is late by so much at most. A driver on the same CPU has to get something done
 * before it wakes up again: hence the least.
 */
#define SLEEP_SHIFT  3
#define SLEEP_MIN_NS 20000ull
#define SLEEP_MAX_NS (DM_ENGINE_SLEEP_MAX_US * 1000ull)

/* The devices that an engine runs. There are two lists: the thread reads one of them, without a lock;
 * changes are made to the other one, then the two change places.
 */
struct device_list {
	struct dm_device **dev;
	size_t count;
	size_t capacity;
};

struct dm_engine {
	int cpu;
	unsigned int users;
	struct dm_engine *next; /**< in the registry */
	pthread_t thread;

	enum dm_idle idle; /**< only ever becomes more eager */
	unsigned int latency; /**< microseconds */
	bool stop;

	pthread_mutex_t lock; /**< of changes to the lists */
	struct device_list list[2];
	unsigned int current; /**< which list the thread reads from its next round on */
	unsigned int round;   /**< odd while the thread is in a round */

	unsigned int asleep; /**< 1: to be woken by a futex, which sets it to 0 */
};

/* What the thread knows about its idling. */
struct idling {
	unsigned int rounds; /**< without work */
	bool slept;	     /**< in these rounds */
	uint64_t since;	     /**< when they began, about */

	bool looked;	      /**< in these rounds, for SPIN_NS */
	unsigned int misses;  /**< times in a row that this was in vain and work came soon after */
	uint64_t brief_until; /**< the time up to which it keeps to brief looks */
	uint64_t brief_ns;    /**< how long it does so the next time */

	/* Of the time that the thread did not sleep, how much did it run? */
	uint64_t window_start;
	uint64_t window_cpu;
	uint64_t window_slept;
};

/* Engines that are pinned to a CPU, to be shared. */
static struct dm_engine *registry;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void
pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* One burst for each device that has work. @return whether any had. */
static bool
engine_round(struct dm_engine *engine)
{
	const struct device_list *list;
	unsigned int latency;
	bool worked = false;
	size_t i;

	/* Sequentially consistent, and so is engine_publish(): either this round sees the new list, or
	 * engine_publish() sees this round, and waits for its end.
	 */
	__atomic_store_n(&engine->round, engine->round + 1, __ATOMIC_SEQ_CST);
	list = &engine->list[__atomic_load_n(&engine->current, __ATOMIC_SEQ_CST)];
	for (i = 0; i < list->count; i++) {
		struct dm_device *dev = list->dev[i];

		if (!dm_device_pending(dev))
			continue;
		latency = __atomic_load_n(&engine->latency, __ATOMIC_RELAXED);
		if (latency != 0)
			nanosleep(&(struct timespec){.tv_nsec = latency * 1000l}, NULL);
		if (dm_device_burst(dev, DM_BURST) > 0 || dev->unfinished)
			worked = true;
	}
	__atomic_store_n(&engine->round, engine->round + 1, __ATOMIC_RELEASE);
	return worked;
}

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Whether the engine had to wait for its CPU lately. */
static bool
cpu_is_shared(struct idling *idling, uint64_t now)
{
	uint64_t awake = now - idling->window_start - idling->window_slept, cpu, ran;

	if (now - idling->window_start < WINDOW_NS)
		return false;
	cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	ran = cpu - idling->window_cpu;
	idling->window_start = now;
	idling->window_cpu = cpu;
	idling->window_slept = 0;
	return ran < awake - awake / 8;
}

/* Whether it is worth it to look on, rather than to sleep. */
static bool
worth_spinning(struct idling *idling, uint64_t now)
{
	if (idling->slept || now < idling->brief_until)
		return false;
	if (now - idling->since < SPIN_NS)
		return true;
	idling->looked = true;
	return false;
}

static uint64_t
time_to_sleep(const struct idling *idling, uint64_t now)
{
	uint64_t ns = (now - idling->since) >> SLEEP_SHIFT;

	if (ns < SLEEP_MIN_NS)
		return SLEEP_MIN_NS;
	return ns < SLEEP_MAX_NS ? ns : SLEEP_MAX_NS;
}

/* Sleep for a time, or until dm_engine_wake(). @return whether there is cause to be eager again. */
static bool
engine_sleep(struct dm_engine *engine, uint64_t ns)
{
	/* This thread and who wakes it exchange the same word. Whoever is second sees what the other
	 * did before: that there is somebody to wake, or what this thread is woken for.
	 */
	__atomic_exchange_n(&engine->asleep, 1, __ATOMIC_ACQ_REL);
	if (engine_round(engine)) {
		__atomic_store_n(&engine->asleep, 0, __ATOMIC_RELAXED);
		return true;
	}
	syscall(SYS_futex, &engine->asleep, FUTEX_WAIT_PRIVATE, 1,
		&(struct timespec){.tv_nsec = ns}, NULL, 0);
	return __atomic_exchange_n(&engine->asleep, 0, __ATOMIC_ACQ_REL) == 0;
}

/* There is work, or there may soon be. */
static void
idling_ends(struct idling *idling)
{
	uint64_t now;

	if (idling->rounds > SPIN_ROUNDS && !idling->slept) {
		/* To look on was worth it. */
		idling->misses = 0;
		idling->brief_ns = BRIEF_MIN_NS;
	} else if (idling->looked) {
		now = now_ns(CLOCK_MONOTONIC);
		if (now - idling->since < SOON_NS && ++idling->misses >= SPIN_MISSES) {
			idling->brief_until = now + idling->brief_ns;
			if (idling->brief_ns < BRIEF_MAX_NS)
				idling->brief_ns *= 2;
		}
	}
	idling->rounds = 0;
	idling->slept = false;
	idling->looked = false;
}

/* After a round without work. */
static void
engine_idle(struct dm_engine *engine, struct idling *idling)
{
	enum dm_idle idle = __atomic_load_n(&engine->idle, __ATOMIC_RELAXED);
	uint64_t now;

	idling->rounds++;
	pause_cpu();
	if (idle == DM_IDLE_SPIN || (idling->rounds % SPIN_ROUNDS != 0 && !idling->slept))
		return;
	now = now_ns(CLOCK_MONOTONIC);
	if (idling->rounds == SPIN_ROUNDS) {
		idling->since = now;
		if (cpu_is_shared(idling, now))
			idling->brief_until = now + BRIEF_SHARED_NS;
	}
	if (worth_spinning(idling, now))
		return;
	if (idle == DM_IDLE_YIELD) {
		sched_yield();
		return;
	}
	idling->slept = true;
	if (engine_sleep(engine, time_to_sleep(idling, now)))
		idling_ends(idling);
	idling->window_slept += now_ns(CLOCK_MONOTONIC) - now;
}

static void *
engine_main(void *arg)
{
	struct dm_engine *engine = arg;
	struct idling idling = {
		.window_start = now_ns(CLOCK_MONOTONIC), .brief_ns = BRIEF_MIN_NS};

	/* Without it a sleep takes 50 us longer. */
	prctl(PR_SET_TIMERSLACK, 1000);
	while (!__atomic_load_n(&engine->stop, __ATOMIC_RELAXED)) {
		if (engine_round(engine))
			idling_ends(&idling);
		else
			engine_idle(engine, &idling);
	}
	return NULL;
}

/* Start the thread, with all signals blocked: they are the application's. All but those that an
 * access to memory gives rise to, which can only be handled where it happens.
 *
 * @return an errno, negative.
 */
static int
engine_start(struct dm_engine *engine)
{
	sigset_t all, old;
	pthread_attr_t attr;
	cpu_set_t cpus;
	char name[32];
	int ret, cpu;

	/* An engine that is not pinned may run anywhere, not only where its creator is pinned to. */
	CPU_ZERO(&cpus);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (engine->cpu == DM_CPU_ANY || engine->cpu == cpu)
			CPU_SET(cpu, &cpus);
	}
	ret = pthread_attr_init(&attr);
	if (ret != 0)
		return -ret;
	ret = pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	if (ret == 0) {
		sigfillset(&all);
		sigdelset(&all, SIGBUS);
		sigdelset(&all, SIGSEGV);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		ret = pthread_create(&engine->thread, &attr, engine_main, engine);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_attr_destroy(&attr);
	if (ret != 0)
		return -ret;
	if (engine->cpu == DM_CPU_ANY)
		snprintf(name, sizeof(name), "dm-engine/any");
	else
		snprintf(name, sizeof(name), "dm-engine/%d", engine->cpu);
	pthread_setname_np(engine->thread, name);
	return 0;
}

/* A new engine, its thread running. */
static int
engine_create(int cpu, enum dm_idle idle, struct dm_engine **engine)
{
	struct dm_engine *new = calloc(1, sizeof(*new));
	int ret;

	if (new == NULL)
		return -ENOMEM;
	new->cpu = cpu;
	new->idle = idle;
	new->users = 1;
	pthread_mutex_init(&new->lock, NULL);
	ret = engine_start(new);
	if (ret != 0) {
		pthread_mutex_destroy(&new->lock);
		free(new);
		return ret;
	}
	*engine = new;
	return 0;
}

int
dm_engine_get(int cpu, enum dm_idle idle, struct dm_engine **engine)
{
	struct dm_engine *e;
	int ret = 0;

	if (cpu != DM_CPU_ANY && (cpu < 0 || cpu >= CPU_SETSIZE))
		return -EINVAL;
	if (cpu == DM_CPU_ANY)
		return engine_create(cpu, idle, engine);

	pthread_mutex_lock(&registry_lock);
	for (e = registry; e != NULL && e->cpu != cpu; e = e->next)
		;
	if (e != NULL) {
		e->users++;
		if (idle < e->idle)
			__atomic_store_n(&e->idle, idle, __ATOMIC_RELAXED);
		*engine = e;
	} else {
		ret = engine_create(cpu, idle, engine);
		if (ret == 0) {
			(*engine)->next = registry;
			registry = *engine;
		}
	}
	pthread_mutex_unlock(&registry_lock);
	return ret;
}

void
dm_engine_put(struct dm_engine *engine)
{
	struct dm_engine **link;
	bool last;

	pthread_mutex_lock(&registry_lock);
	last = --engine->users == 0;
	if (last) {
		for (link = &registry; *link != NULL && *link != engine; link = &(*link)->next)
			;
		if (*link == engine)
			*link = engine->next;
	}
	pthread_mutex_unlock(&registry_lock);
	if (!last)
		return;

	__atomic_store_n(&engine->stop, true, __ATOMIC_RELAXED);
	dm_engine_wake(engine);
	pthread_join(engine->thread, NULL);
	pthread_mutex_destroy(&engine->lock);
	free(engine->list[0].dev);
	free(engine->list[1].dev);
	free(engine);
}

void
dm_engine_wake(struct dm_engine *engine)
{
	/* When it does not sleep: a locked instruction, on a line that nobody else writes then. */
	if (__atomic_exchange_n(&engine->asleep, 0, __ATOMIC_ACQ_REL) != 0)
		syscall(SYS_futex, &engine->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void
dm_engine_set_latency(struct dm_engine *engine, unsigned int microseconds)
{
	__atomic_store_n(&engine->latency, microseconds, __ATOMIC_RELAXED);
}

/* Have the thread read the other list. When this returns it does not read the old one any more. */
static void
engine_publish(struct dm_engine *engine)
{
	unsigned int round;

	__atomic_store_n(&engine->current, engine->current ^ 1, __ATOMIC_SEQ_CST);
	round = __atomic_load_n(&engine->round, __ATOMIC_SEQ_CST);
	if (round % 2 == 0)
		return;
	/* A sleep lets it get on where it shares this CPU. A round takes some 100 us at most. */
	while (__atomic_load_n(&engine->round, __ATOMIC_ACQUIRE) == round)
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

static int
list_reserve(struct device_list *list, size_t count)
{
	struct dm_device **dev;

	if (count <= list->capacity)
		return 0;
	dev = realloc(list->dev, 2 * count * sizeof(*dev));
	if (dev == NULL)
		return -ENOMEM;
	list->dev = dev;
	list->capacity = 2 * count;
	return 0;
}

int
dm_engine_attach(struct dm_engine *engine, struct dm_device *dev)
{
	struct device_list *now, *next;
	int ret;

	pthread_mutex_lock(&engine->lock);
	now = &engine->list[engine->current];
	next = &engine->list[engine->current ^ 1];
	ret = list_reserve(next, now->count + 1);
	if (ret == 0) {
		if (now->count > 0)
			memcpy(next->dev, now->dev, now->count * sizeof(*next->dev));
		next->dev[now->count] = dev;
		next->count = now->count + 1;
		engine_publish(engine);
	}
	pthread_mutex_unlock(&engine->lock);
	if (ret == 0)
		dm_device_set_engine(dev, engine);
	return ret;
}

void
dm_engine_detach(struct dm_engine *engine, struct dm_device *dev)
{
	struct device_list *now, *next;
	size_t i, at;

	dm_device_set_engine(dev, NULL);
	pthread_mutex_lock(&engine->lock);
	now = &engine->list[engine->current];
	next = &engine->list[engine->current ^ 1];
	for (at = 0; at < now->count && now->dev[at] != dev; at++)
		;
	if (at < now->count) {
		/* There is room: before the last change it was one device less, or one more. */
		for (i = 0; i < now->count - 1; i++)
			next->dev[i] = now->dev[i < at ? i : i + 1];
		next->count = now->count - 1;
		engine_publish(engine);
	}
	pthread_mutex_unlock(&engine->lock);
}
