/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "dm_device_impl.h"
#include "dm_engine.h"

/* Rounds without work after which the engine becomes less eager: some 10 us of spinning, then some
 * 100 us of yielding. What a driver does between two bursts is shorter than that.
 */
#define SPIN_ROUNDS  1000
#define YIELD_ROUNDS 200

#define SLEEP_NS 50000

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
		if (dm_device_burst(dev, DM_BURST) > 0)
			worked = true;
	}
	__atomic_store_n(&engine->round, engine->round + 1, __ATOMIC_RELEASE);
	return worked;
}

static void *
engine_main(void *arg)
{
	struct dm_engine *engine = arg;
	unsigned int idle_rounds = 0;

	/* Without it a sleep of 50 us takes 100 us. */
	prctl(PR_SET_TIMERSLACK, 1000);
	while (!__atomic_load_n(&engine->stop, __ATOMIC_RELAXED)) {
		enum dm_idle idle = __atomic_load_n(&engine->idle, __ATOMIC_RELAXED);

		if (engine_round(engine)) {
			idle_rounds = 0;
		} else if (idle == DM_IDLE_SPIN || idle_rounds < SPIN_ROUNDS) {
			idle_rounds++;
			pause_cpu();
		} else if (idle == DM_IDLE_YIELD || idle_rounds < SPIN_ROUNDS + YIELD_ROUNDS) {
			idle_rounds++;
			sched_yield();
		} else {
			nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL);
		}
	}
	return NULL;
}

/* Start the thread, with all signals blocked: they are the application's. All but the one that an
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
	pthread_join(engine->thread, NULL);
	pthread_mutex_destroy(&engine->lock);
	free(engine->list[0].dev);
	free(engine->list[1].dev);
	free(engine);
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
	while (__atomic_load_n(&engine->round, __ATOMIC_ACQUIRE) == round)
		sched_yield();
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
	return ret;
}

void
dm_engine_detach(struct dm_engine *engine, struct dm_device *dev)
{
	struct device_list *now, *next;
	size_t i, at;

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
