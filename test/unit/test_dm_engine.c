/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dm_device_impl.h"
#include "dm_engine.h"
#include "dm_rig.h"
#include "dm_no_memory.h"

/* Threads of the engine are looked at from outside; and their creation can be made to fail. */
static int attr_init_result;
static int create_result;

int __real_pthread_attr_init(pthread_attr_t *attr);
int __wrap_pthread_attr_init(pthread_attr_t *attr);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
		void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
		void *arg);

int
__wrap_pthread_attr_init(pthread_attr_t *attr)
{
	return attr_init_result != 0 ? attr_init_result : __real_pthread_attr_init(attr);
}

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
		void *arg)
{
	return create_result != 0 ? create_result : __real_pthread_create(thread, attr, main, arg);
}

/* The engine's sleeps are looked at as well; and they can be made so long that nothing but being woken
 * ends one.
 */
static atomic_uint sleeps;
static atomic_ullong longest_sleep, shortest_sleep;
static atomic_bool sleep_for_ever;
static atomic_bool in_sleep;
#define LONGEST_NS (DM_ENGINE_SLEEP_MAX_US * 1000ull)
static void (*_Atomic before_sleep)(void);

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long
__wrap_syscall(long number, ...)
{
	const struct timespec *timeout;
	struct timespec stretched;
	void (*hook)(void);
	uint64_t ns;
	va_list ap;
	long a[6];
	int i;

	va_start(ap, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number != SYS_futex || a[1] != FUTEX_WAIT_PRIVATE)
		return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);

	timeout = (const struct timespec *)a[3];
	ns = timeout->tv_sec * 1000000000ull + timeout->tv_nsec;
	if (ns > longest_sleep)
		longest_sleep = ns;
	if (ns < shortest_sleep)
		shortest_sleep = ns;
	sleeps++;
	hook = atomic_exchange(&before_sleep, NULL);
	if (hook != NULL)
		hook();
	stretched = *timeout;
	if (sleep_for_ever) {
		stretched.tv_sec = 3600;
		in_sleep = true;
	}
	return __real_syscall(number, a[0], a[1], a[2], &stretched, NULL, 0);
}

/* A rig whose doorbell is a word in memory, as a driver has it. */
struct live_rig {
	struct rig rig;
	uint16_t *doorbell;
};

static void
live_create(struct live_rig *live)
{
	struct dm_cbdma_config config = {0};

	live->doorbell = aligned_alloc(64, 64);
	assert_non_null(live->doorbell);
	config.doorbell[0] = live->doorbell;
	rig_create(&live->rig, &config);
	rig_copies(&live->rig, 0, RIG_RING_SIZE);
	rig_start(&live->rig);
}

static void
live_destroy(struct live_rig *live)
{
	rig_destroy(&live->rig);
	free(live->doorbell);
}

static void
live_ring(struct live_rig *live, unsigned int n)
{
	live->rig.count += n;
	__atomic_store_n(live->doorbell, live->rig.count, __ATOMIC_RELEASE);
}

static uint64_t
live_word(const struct live_rig *live)
{
	return __atomic_load_n((uint64_t *)(live->rig.mem + RIG_WORD), __ATOMIC_ACQUIRE);
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	assert_int_equal(clock_gettime(clock, &t), 0);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t
now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Wait until descriptor i is the last completed. */
static void
live_wait(const struct live_rig *live, unsigned int i)
{
	const uint64_t deadline = now_ns() + 20000000000ull;

	while ((live_word(live) & CBDMA_CHANSTS_DESC_MASK) != rig_desc_iova(i)) {
		sched_yield();
		assert_true(now_ns() < deadline);
	}
}

/* Ring for n and wait for them. */
static void
live_run(struct live_rig *live, unsigned int n)
{
	live_ring(live, n);
	live_wait(live, live->rig.count - 1);
}

/* A CPU that this process may run on. */
static int
some_cpu(void)
{
	cpu_set_t cpus;
	int cpu;

	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	for (cpu = 0; !CPU_ISSET(cpu, &cpus); cpu++)
		;
	return cpu;
}

/* What there is to know about a thread from outside. */
struct thread_facts {
	cpu_set_t cpus;
	uint64_t blocked;  /**< signals */
	uint64_t switches; /**< how often it went to sleep */
	clockid_t clock;   /**< its CPU time */
};

/* Count the threads of this process with a name; *facts are those of the last one. */
static unsigned int
find_threads(const char *name, struct thread_facts *facts)
{
	unsigned int found = 0;
	char path[128], line[256];
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;

	assert_non_null(tasks);
	while ((task = readdir(tasks)) != NULL) {
		const int tid = atoi(task->d_name);
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		assert_non_null(fgets(line, sizeof(line), f));
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "Name:\t", 6) == 0 && strcmp(line + 6, name) == 0) {
			found++;
			/* As pthread_getcpuclockid() makes it, for a thread of which but the id is known. */
			if (facts != NULL)
				facts->clock = (clockid_t)(~(unsigned int)tid << 3 | 6);
			if (facts != NULL)
				assert_int_equal(sched_getaffinity(tid, sizeof(facts->cpus),
							 &facts->cpus), 0);
			while (facts != NULL && fgets(line, sizeof(line), f) != NULL) {
				if (strncmp(line, "SigBlk:", 7) == 0)
					facts->blocked = strtoull(line + 7, NULL, 16);
				if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
					facts->switches = strtoull(line + 24, NULL, 10);
			}
		}
		fclose(f);
	}
	closedir(tasks);
	return found;
}

/* A thread gives itself its name, which takes till it runs first. */
static void
await_threads(const char *name, struct thread_facts *facts, unsigned int n)
{
	const uint64_t deadline = now_ns() + 20000000000ull;

	while (find_threads(name, facts) != n) {
		assert_true(now_ns() < deadline);
		usleep(1000);
	}
}

static void
test_get_bad(void **state)
{
	struct dm_engine *engine = NULL;

	(void)state;
	assert_int_equal(dm_engine_get(-2, DM_IDLE_SLEEP, &engine), -EINVAL);
	assert_int_equal(dm_engine_get(CPU_SETSIZE, DM_IDLE_SLEEP, &engine), -EINVAL);
	assert_int_equal(dm_engine_get(INT32_MAX, DM_IDLE_SLEEP, &engine), -EINVAL);
	/* No machine that runs this has as many. */
	assert_int_equal(dm_engine_get(CPU_SETSIZE - 1, DM_IDLE_SLEEP, &engine), -EINVAL);
	calls_until_failure = 0;
	assert_int_equal(dm_engine_get(some_cpu(), DM_IDLE_SLEEP, &engine), -ENOMEM);
	assert_int_equal(calls_until_failure, -1);
	calls_until_failure = 0;
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), -ENOMEM);
	attr_init_result = ENOMEM;
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), -ENOMEM);
	attr_init_result = 0;
	create_result = EAGAIN;
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), -EAGAIN);
	assert_int_equal(dm_engine_get(some_cpu(), DM_IDLE_SLEEP, &engine), -EAGAIN);
	create_result = 0;
	assert_null(engine);
	await_threads("dm-engine/any", NULL, 0);
}

static void
test_thread(void **state)
{
	struct dm_engine *engine;
	sigset_t before, after;
	const int cpu = some_cpu();
	char name[32];
	struct thread_facts facts;

	(void)state;
	snprintf(name, sizeof(name), "dm-engine/%d", cpu);
	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SLEEP, &engine), 0);
	await_threads(name, &facts, 1);
	assert_int_equal(CPU_COUNT(&facts.cpus), 1);
	assert_true(CPU_ISSET(cpu, &facts.cpus));
	assert_true(facts.blocked & (1ull << (SIGTERM - 1)));
	assert_true(facts.blocked & (1ull << (SIGINT - 1)));
	/* The caller's own mask is what it was. */
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	assert_int_equal(sigismember(&after, SIGUSR1), 1);
	assert_int_equal(sigismember(&after, SIGTERM), 0);
	sigemptyset(&before);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	dm_engine_put(engine);
	await_threads(name, NULL, 0);
}

/* Not pinned means not pinned, even when its creator is. */
static void
test_thread_any(void **state)
{
	struct dm_engine *engine;
	cpu_set_t all, one;
	struct thread_facts facts;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(some_cpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	await_threads("dm-engine/any", &facts, 1);
	assert_true(CPU_COUNT(&facts.cpus) >= CPU_COUNT(&all));
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	dm_engine_put(engine);
}

static void
test_shared(void **state)
{
	struct dm_engine *a, *b, *c, *d;
	const int cpu = some_cpu();
	char name[32];

	(void)state;
	snprintf(name, sizeof(name), "dm-engine/%d", cpu);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SLEEP, &a), 0);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SLEEP, &b), 0);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SLEEP, &c), 0);
	assert_ptr_equal(a, b);
	assert_ptr_equal(a, c);
	await_threads(name, NULL, 1);
	dm_engine_put(a);
	dm_engine_put(b);
	await_threads(name, NULL, 1);
	dm_engine_put(c);
	await_threads(name, NULL, 0);
	/* And once more. Those that are not pinned are not shared. */
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SLEEP, &a), 0);
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &b), 0);
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &c), 0);
	assert_ptr_not_equal(b, c);
	await_threads("dm-engine/any", NULL, 2);
	dm_engine_put(b);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SLEEP, &d), 0);
	assert_ptr_equal(a, d);
	dm_engine_put(a);
	dm_engine_put(d);
	dm_engine_put(c);
}

/* Engines of two CPUs, given back in either order: the registry keeps its links. */
static void
test_two_cpus(void **state)
{
	struct dm_engine *a, *b;
	cpu_set_t cpus;
	int first = some_cpu(), second, order;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	for (second = first + 1; second < CPU_SETSIZE && !CPU_ISSET(second, &cpus); second++)
		;
	if (second == CPU_SETSIZE)
		skip();
	for (order = 0; order < 2; order++) {
		assert_int_equal(dm_engine_get(first, DM_IDLE_SLEEP, &a), 0);
		assert_int_equal(dm_engine_get(second, DM_IDLE_SLEEP, &b), 0);
		assert_ptr_not_equal(a, b);
		dm_engine_put(order == 0 ? a : b);
		dm_engine_put(order == 0 ? b : a);
	}
}

static void
test_attach_no_memory(void **state)
{
	struct dm_engine *engine;
	struct live_rig live;

	(void)state;
	live_create(&live);
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	calls_until_failure = 0;
	assert_int_equal(dm_engine_attach(engine, live.rig.dev), -ENOMEM);
	assert_int_equal(calls_until_failure, -1);
	/* Not attached: not run, and to detach it does nothing. */
	live_ring(&live, 1);
	usleep(1000);
	assert_int_equal(live_word(&live), 0);
	dm_engine_detach(engine, live.rig.dev);
	assert_int_equal(dm_engine_attach(engine, live.rig.dev), 0);
	live_wait(&live, 0);
	dm_engine_detach(engine, live.rig.dev);
	dm_engine_put(engine);
	live_destroy(&live);
}

static void
test_run(void **state)
{
	static const enum dm_idle idles[] = {DM_IDLE_SPIN, DM_IDLE_SLEEP};
	struct dm_engine *engine;
	struct live_rig live;
	unsigned int i, n;

	(void)state;
	for (i = 0; i < 2; i++) {
		live_create(&live);
		assert_int_equal(dm_engine_get(DM_CPU_ANY, idles[i], &engine), 0);
		assert_int_equal(dm_engine_attach(engine, live.rig.dev), 0);
		for (n = 0; n < 500; n++) {
			live_run(&live, 1 + n % 100);
			assert_true(rig_copied(&live.rig, live.rig.count - 1));
		}
		/* Found again after a while without work. */
		for (n = 0; n < 5; n++) {
			usleep(2000);
			live_run(&live, 1);
		}
		dm_engine_detach(engine, live.rig.dev);
		live_ring(&live, 5);
		usleep(1000);
		assert_int_not_equal(live_word(&live) & CBDMA_CHANSTS_DESC_MASK,
				rig_desc_iova(live.rig.count - 1));
		/* Whoever has it now may run it by hand. */
		assert_int_equal(dm_device_run(live.rig.dev, 10), 5);
		dm_engine_put(engine);
		live_destroy(&live);
	}
}

/* Wait for a time in which the engine runs for 1 ms, and sleeps or does not. Not any will do: on a busy
 * machine it may be late for a sleep that it had decided on before.
 */
static void
await_sleeps(const char *name, bool sleeps)
{
	struct thread_facts before, after;
	const uint64_t deadline = now_ns() + 60000000000ull;
	uint64_t ran;

	do {
		await_threads(name, &before, 1);
		ran = clock_ns(before.clock);
		do {
			usleep(100000);
			assert_true(now_ns() < deadline);
		} while (clock_ns(before.clock) - ran < 1000000);
		await_threads(name, &after, 1);
	} while ((after.switches != before.switches) != sleeps);
}

/* Without work an engine sleeps if all its users let it. */
static void
test_idle(void **state)
{
	struct dm_engine *a, *b;
	const int cpu = some_cpu();
	char name[32];

	(void)state;
	snprintf(name, sizeof(name), "dm-engine/%d", cpu);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SLEEP, &a), 0);
	await_sleeps(name, true);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SPIN, &b), 0);
	await_sleeps(name, false);
	dm_engine_put(a);
	dm_engine_put(b);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SPIN, &a), 0);
	await_sleeps(name, false);
	dm_engine_put(a);
}

/* Wait until the engine sleeps for ever, and take note that it will not be for ever. */
static void
wait_for_sleep(void)
{
	const uint64_t deadline = now_ns() + 20000000000ull;

	while (!atomic_exchange(&in_sleep, false)) {
		usleep(100);
		assert_true(now_ns() < deadline);
	}
}

/* Start an engine and wait until it sleeps for as long as it may. */
static struct dm_engine *
idle_engine(void)
{
	const uint64_t deadline = now_ns() + 20000000000ull;
	struct dm_engine *engine;

	sleeps = 0;
	longest_sleep = 0;
	shortest_sleep = UINT64_MAX;
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	while (longest_sleep < LONGEST_NS) {
		usleep(100);
		assert_true(now_ns() < deadline);
	}
	return engine;
}

/* The longer an engine idles, the longer it sleeps, to a bound. */
static void
test_back_off(void **state)
{
	struct dm_engine *engine = idle_engine();
	unsigned int i, n;

	(void)state;
	/* Who waits for a CPU idles as well: on a busy machine the first sleep may be a long one. */
	for (i = 0; i < 100 && shortest_sleep >= LONGEST_NS / 4; i++) {
		dm_engine_put(engine);
		engine = idle_engine();
	}
	assert_true(shortest_sleep < LONGEST_NS / 4);
	/* There it stays. */
	n = sleeps;
	shortest_sleep = UINT64_MAX;
	while (sleeps < n + 10)
		usleep(100);
	assert_int_equal(shortest_sleep, LONGEST_NS);
	assert_int_equal(longest_sleep, LONGEST_NS);
	dm_engine_put(engine);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define IDLE_COST_PERCENT 10 /* a sleep's cost is that of looking at it then */
#else
#define IDLE_COST_PERCENT 1
#endif

/* Little of a CPU. Best of some: what the CPU does meanwhile for others counts here as well. */
static void
test_idle_cost(void **state)
{
	struct dm_engine *engine = idle_engine();
	struct thread_facts facts = {0};
	uint64_t start, ran, took, n;
	unsigned int i;
	bool cheap = false;

	(void)state;
	await_threads("dm-engine/any", &facts, 1);
	for (i = 0; i < 50 && !cheap; i++) {
		start = now_ns();
		ran = clock_ns(facts.clock);
		n = sleeps;
		usleep(100000);
		ran = clock_ns(facts.clock) - ran;
		n = sleeps - n;
		took = now_ns() - start;
		assert_true(n <= took / LONGEST_NS + 2);
		cheap = ran < took / 100 * IDLE_COST_PERCENT;
	}
	assert_true(cheap);
	dm_engine_put(engine);
}

/* What is rung by a store alone is seen when the engine looks next; dm_engine_wake() makes that now. */
static void
test_wake(void **state)
{
	struct dm_engine *engine = idle_engine();
	struct live_rig live;
	unsigned int i;

	(void)state;
	live_create(&live);
	assert_int_equal(dm_engine_attach(engine, live.rig.dev), 0);
	for (i = 0; i < 10; i++) {
		usleep(50000);
		live_run(&live, 1);
	}
	assert_int_equal(longest_sleep, LONGEST_NS);

	sleep_for_ever = true;
	for (i = 0; i < 10; i++) {
		wait_for_sleep();
		live_ring(&live, 1);
		usleep(2 * DM_ENGINE_SLEEP_MAX_US);
		assert_true(dm_device_pending(live.rig.dev));
		dm_engine_wake(engine);
		live_wait(&live, live.rig.count - 1);
		/* Woken for nothing it sleeps again. */
		wait_for_sleep();
		dm_engine_wake(engine);
	}
	/* What comes is looked at, and what goes takes no harm. */
	wait_for_sleep();
	dm_engine_detach(engine, live.rig.dev);
	live_ring(&live, 1);
	assert_int_equal(dm_engine_attach(engine, live.rig.dev), 0);
	live_wait(&live, live.rig.count - 1);
	wait_for_sleep();
	dm_engine_detach(engine, live.rig.dev);
	dm_engine_put(engine);
	sleep_for_ever = false;
	live_destroy(&live);
}

static struct rig *rung_late;

static void
ring_late(void)
{
	rig_ring(rung_late, 1);
}

/* Registers wake the engine: also when one is written between its last look and its sleep. */
static void
test_registers_wake(void **state)
{
	struct dm_cbdma_config config = {0};
	struct dm_engine *engine;
	struct rig rig;
	unsigned int i;

	(void)state;
	rig_create(&rig, &config);
	rig_copies(&rig, 0, RIG_RING_SIZE);
	rig_start(&rig);
	rung_late = &rig;
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	assert_int_equal(dm_engine_attach(engine, rig.dev), 0);
	sleep_for_ever = true;
	for (i = 0; i < 10; i++) {
		const uint64_t deadline = now_ns() + 20000000000ull;
		const unsigned int count = rig.count;

		wait_for_sleep();
		if (i % 2 == 0) {
			rig_ring(&rig, 1);
		} else {
			before_sleep = ring_late;
			dm_engine_wake(engine);
		}
		while ((__atomic_load_n((uint64_t *)(rig.mem + RIG_WORD), __ATOMIC_ACQUIRE) &
				CBDMA_CHANSTS_DESC_MASK) != rig_desc_iova(count)) {
			usleep(100);
			assert_true(now_ns() < deadline);
		}
	}
	dm_engine_detach(engine, rig.dev);
	dm_engine_put(engine);
	sleep_for_ever = false;
	rig_destroy(&rig);
}

/* A driver that polls on the engine's own CPU: each round takes microseconds, not a time slice. */
static void
test_shared_cpu(void **state)
{
	const int cpu = some_cpu();
	struct dm_engine *engine;
	struct live_rig live;
	cpu_set_t all, one;
	unsigned int i, attempt;
	uint64_t start, took, least = UINT64_MAX;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	live_create(&live);
	assert_int_equal(dm_engine_get(cpu, DM_IDLE_SLEEP, &engine), 0);
	assert_int_equal(dm_engine_attach(engine, live.rig.dev), 0);
	/* So few rounds fit into a time slice, of which others take theirs on a busy machine. */
	for (attempt = 0; attempt < 100 && least >= 20000000; attempt++) {
		start = now_ns();
		for (i = 0; i < 10; i++) {
			live_ring(&live, 10);
			while ((live_word(&live) & CBDMA_CHANSTS_DESC_MASK) !=
					rig_desc_iova(live.rig.count - 1))
				assert_true(now_ns() - start < 20000000000ull);
		}
		took = now_ns() - start;
		if (took < least)
			least = took;
	}
	assert_true(least < 20000000); /* 2 ms each: less than the shortest time slice at 250 Hz */
	dm_engine_detach(engine, live.rig.dev);
	dm_engine_put(engine);
	live_destroy(&live);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

/* A device that halts with work announced is no reason to spin or to starve others. */
static void
test_halted(void **state)
{
	struct dm_engine *engine;
	struct live_rig bad, good;

	(void)state;
	live_create(&bad);
	live_create(&good);
	bad.rig.ring[3].size = 0;
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	assert_int_equal(dm_engine_attach(engine, bad.rig.dev), 0);
	assert_int_equal(dm_engine_attach(engine, good.rig.dev), 0);
	live_ring(&bad, 10);
	live_run(&good, 1000);
	live_wait(&bad, 2);
	assert_int_equal(rig_state(&bad.rig), CBDMA_CHANSTS_HALTED);
	rig_start_at(&bad.rig, 4);
	live_ring(&bad, 10);
	live_wait(&bad, 13);
	dm_engine_detach(engine, bad.rig.dev);
	dm_engine_detach(engine, good.rig.dev);
	dm_engine_put(engine);
	live_destroy(&bad);
	live_destroy(&good);
}

/* Several devices on one engine, all with work all the time: each gets on. */
static void
test_several_devices(void **state)
{
	enum { DEVICES = 5 };
	struct dm_engine *engine;
	struct live_rig live[DEVICES];
	unsigned int i, round;

	(void)state;
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	for (i = 0; i < DEVICES; i++) {
		live_create(&live[i]);
		assert_int_equal(dm_engine_attach(engine, live[i].rig.dev), 0);
	}
	for (round = 0; round < 20; round++) {
		for (i = 0; i < DEVICES; i++)
			live_ring(&live[i], 900);
		for (i = 0; i < DEVICES; i++)
			live_wait(&live[i], live[i].rig.count - 1);
	}
	/* Taken away from the middle, the others go on. */
	dm_engine_detach(engine, live[2].rig.dev);
	dm_engine_detach(engine, live[0].rig.dev);
	for (i = 0; i < DEVICES; i++)
		live_ring(&live[i], 10);
	live_wait(&live[1], live[1].rig.count - 1);
	live_wait(&live[3], live[3].rig.count - 1);
	live_wait(&live[4], live[4].rig.count - 1);
	assert_true(dm_device_pending(live[0].rig.dev));
	assert_true(dm_device_pending(live[2].rig.dev));
	for (i = 0; i < DEVICES; i++) {
		dm_engine_detach(engine, live[i].rig.dev);
		live_destroy(&live[i]);
	}
	dm_engine_put(engine);
}

/* A driver of its own thread: rings and waits until told to stop. */
struct load {
	struct live_rig live;
	pthread_t thread;
	atomic_bool stop;
	atomic_uint rounds;
};

static void *
load_main(void *arg)
{
	struct load *load = arg;

	while (!load->stop) {
		live_run(&load->live, 100);
		load->rounds++;
	}
	return NULL;
}

/* Devices come and go while another one is under load. */
static void
test_attach_under_load(void **state)
{
	struct dm_engine *engine;
	struct live_rig other[2];
	struct load load = {.stop = false};
	unsigned int i, k;

	(void)state;
	live_create(&load.live);
	for (k = 0; k < 2; k++)
		live_create(&other[k]);
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	assert_int_equal(dm_engine_attach(engine, load.live.rig.dev), 0);
	assert_int_equal(pthread_create(&load.thread, NULL, load_main, &load), 0);
	for (i = 0; i < 300; i++) {
		for (k = 0; k < 2; k++)
			assert_int_equal(dm_engine_attach(engine, other[k].rig.dev), 0);
		for (k = 0; k < 2; k++)
			live_run(&other[k], 3);
		for (k = 0; k < 2; k++)
			dm_engine_detach(engine, other[k].rig.dev);
		/* Detached is detached: what is rung now is run by hand. */
		for (k = 0; k < 2; k++) {
			live_ring(&other[k], 3);
			assert_int_equal(dm_device_run(other[k].rig.dev, 5), 3);
		}
		if (i % 10 == 0) {
			live_destroy(&other[0]);
			live_create(&other[0]);
		}
	}
	load.stop = true;
	assert_int_equal(pthread_join(load.thread, NULL), 0);
	assert_true(load.rounds > 0);
	dm_engine_detach(engine, load.live.rig.dev);
	dm_engine_put(engine);
	for (k = 0; k < 2; k++)
		live_destroy(&other[k]);
	live_destroy(&load.live);
}

/* Registers and mappings are changed under load, and nobody waits for long. What has been unmapped is
 * not touched any more: the page is written to at once, and under TSan and ASan that would show.
 */
static void
test_control_under_load(void **state)
{
	const uint64_t iova = 0x10000000;
	struct dm_engine *engine;
	struct load load = {.stop = false};
	uint64_t longest = 0;
	unsigned int i;

	(void)state;
	live_create(&load.live);
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	assert_int_equal(dm_engine_attach(engine, load.live.rig.dev), 0);
	assert_int_equal(pthread_create(&load.thread, NULL, load_main, &load), 0);
	for (i = 0; i < 500; i++) {
		uint64_t start = now_ns(), took;

		assert_int_equal(dm_device_map(load.live.rig.dev, iova + i * 4096, 4096,
					 load.live.rig.mem + RIG_DST, DM_READ), 0);
		assert_int_not_equal(rig_state(&load.live.rig), CBDMA_CHANSTS_HALTED);
		assert_int_equal(dm_device_unmap(load.live.rig.dev, iova + i * 4096, 4096), 0);
		took = now_ns() - start;
		if (took > longest)
			longest = took;
	}
	/* Generous, for machines that are busy; a starved thread would wait for ever. */
	assert_true(longest < 5000000000ull);
	load.stop = true;
	assert_int_equal(pthread_join(load.thread, NULL), 0);
	dm_engine_detach(engine, load.live.rig.dev);
	dm_engine_put(engine);
	live_destroy(&load.live);
}

static void
test_unmap_while_running(void **state)
{
	const uint64_t iova = 0x10000000;
	struct dm_engine *engine;
	struct live_rig live;
	unsigned int i, k, round;

	(void)state;
	live_create(&live);
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &engine), 0);
	assert_int_equal(dm_engine_attach(engine, live.rig.dev), 0);
	for (round = 0; round < 200; round++) {
		uint8_t *page = aligned_alloc(4096, 4096);

		assert_non_null(page);
		memset(page, 0, 4096);
		assert_int_equal(dm_device_map(live.rig.dev, iova, 4096, page, DM_WRITE), 0);
		for (k = 0; k < 1000; k++)
			live.rig.ring[k].dst = iova + k % 64 * 64;
		live_ring(&live, 1000);
		while (round % 2 == 0 && live_word(&live) == 0)
			sched_yield();
		assert_int_equal(dm_device_unmap(live.rig.dev, iova, 4096), 0);
		for (i = 0; i < 4096; i++)
			page[i] = i;
		for (i = 0; i < 4096; i++)
			assert_int_equal(page[i], (uint8_t)i);
		free(page);
		/* It has done them all, or halted at the first that it could not reach. */
		while (rig_state(&live.rig) == CBDMA_CHANSTS_ACTIVE)
			sched_yield();
		if (rig_state(&live.rig) == CBDMA_CHANSTS_HALTED)
			assert_int_equal(rig_read(&live.rig, CBDMA_CHANERR, 4),
					CBDMA_CHANERR_XDADDERR);
		rig_start(&live.rig);
	}
	dm_engine_detach(engine, live.rig.dev);
	dm_engine_put(engine);
	live_destroy(&live);
}

static void *
run_some(void *arg)
{
	dm_device_run(arg, 10);
	return NULL;
}

/* Whoever runs a device lets those first who want its lock for something else. */
static void
test_contenders(void **state)
{
	struct live_rig live;
	pthread_t thread;

	(void)state;
	live_create(&live);
	live_ring(&live, 10);
	__atomic_store_n(&live.rig.dev->contenders, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&thread, NULL, run_some, live.rig.dev), 0);
	usleep(20000);
	assert_int_equal(live_word(&live), 0);
	__atomic_store_n(&live.rig.dev->contenders, 0, __ATOMIC_RELAXED);
	(void)rig_state(&live.rig); /* who is the last to let the lock go tells it */
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(live_word(&live), rig_desc_iova(9) | CBDMA_CHANSTS_IDLE);
	live_destroy(&live);
}

/* What is announced starts that much later, and not before; each time the engine has to be told. */
static void
test_latency(void **state)
{
	struct dm_engine *engine;
	struct live_rig live;
	uint64_t start;

	(void)state;
	live_create(&live);
	assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SPIN, &engine), 0);
	assert_int_equal(dm_engine_attach(engine, live.rig.dev), 0);
	dm_engine_set_latency(engine, 100000);
	start = now_ns();
	live_ring(&live, 2);
	while (now_ns() < start + 50000000)
		assert_int_not_equal(live_word(&live) & CBDMA_CHANSTS_DESC_MASK, rig_desc_iova(0));
	live_wait(&live, 1);
	assert_true(now_ns() - start >= 100000000);
	dm_engine_set_latency(engine, 0);
	live_run(&live, 2);
	dm_engine_detach(engine, live.rig.dev);
	dm_engine_put(engine);
	live_destroy(&live);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_bad),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_thread_any),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_two_cpus),
		cmocka_unit_test(test_attach_no_memory),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_back_off),
		cmocka_unit_test(test_idle_cost),
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_registers_wake),
		cmocka_unit_test(test_shared_cpu),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_halted),
		cmocka_unit_test(test_several_devices),
		cmocka_unit_test(test_attach_under_load),
		cmocka_unit_test(test_contenders),
		cmocka_unit_test(test_control_under_load),
		cmocka_unit_test(test_unmap_while_running),
	};

	return cmocka_run_group_tests_name("dm_engine", tests, NULL, NULL);
}
