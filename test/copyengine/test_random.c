/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Random steps of three threads. Each has a handle of its own, on a device that two share, on two devices
 * at once, or on the CPU, and one on a controller that all share; it copies, fills, duplicates packets,
 * reads and writes windows, registers memory, asks for channels, plays and captures, cancels, drains and
 * closes. First on devices that are well, when nothing may fail; then they fail, stall and vanish. A
 * simple reference says what each byte, status and return value must be.
 *
 * random DEVICE MEMORY [STEPS [SEED]]
 *
 * A seed draws the same numbers again; which of the threads comes first, only the machine knows. On
 * cbdma-step one thread does the work of all three in turn, and all happens again.
 */

#include "random.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>

static struct thread threads[THREADS];
static uint64_t wanted = 100000;
static bool is_pa;
static atomic_uint done_threads; /* EAL's own waiting is not seen by ThreadSanitizer */
static pthread_mutex_t inject_lock = PTHREAD_MUTEX_INITIALIZER;

/* The controller lives as long as somebody has a handle on it. */
static struct ce_controller *controller;
static unsigned int controller_handles;
static pthread_mutex_t controller_lock = PTHREAD_MUTEX_INITIALIZER;

void
progress(struct thread *t, struct handle *h)
{
	struct ce_transfer *list[LANE];
	unsigned int i, n, max = 1 + draw(t, JOBS);

	step_devices(1 + t->number);
	if (draw(t, 2)) {
		n = ce_poll(h->adapter);
		CHECK(t, jobs_finished(t, h, false) == n);
	} else {
		n = ce_collect(h->adapter, list, max);
		CHECK(t, n <= max);
		for (i = 0; i < n; i++)
			container_of(list[i], struct job, transfer)->stored = true;
		n = jobs_finished(t, h, true);
		CHECK(t, n <= max);
	}
	/* There may be fewer CPUs than threads. */
	if (n == 0 && !is_step)
		sched_yield();
}

/* Until all is back: whatever happens to the devices, it comes back. */
static void
settle(struct thread *t, struct handle *h)
{
	const double limit = seconds() + 100;

	while (jobs_busy(h) > 0 && seconds() < limit && t->error == NULL)
		progress(t, h);
	CHECK(t, jobs_busy(h) == 0);
}

static void
conf_draw(struct thread *t, struct ce_adapter_conf *conf)
{
	*conf = (struct ce_adapter_conf){
		.flags = (draw(t, 2) ? CE_ADAPTER_NO_SG : 0) |
			(draw(t, 4) ? CE_ADAPTER_NO_SVA : 0),
		.ring_size = 32 << draw(t, 5),
		.map_registers = 1 + draw(t, 15),
		.max_segment = 64 << draw(t, 9),
		.break_even = 1 + draw(t, 600),
		.bounce_size = 64 << draw(t, 8),
		.bounce_buffers = 1 + draw(t, 8),
		/* The machine may stand still for as long as it likes, when nothing may fail. */
		.timeout_ms = t->failing && !is_step ? 30 : UINT32_MAX,
	};
}

/* A device that was lost is to be put back by all before it lives again; one that vanished does not. */
static bool
refused(struct thread *t)
{
	CHECK(t, t->failing && (rte_errno == ENODEV || rte_errno == EIO || rte_errno == ENOSPC ||
		rte_errno == EBUSY));
	return true;
}

static void
handle_init(struct handle *h, struct ce_adapter *adapter)
{
	struct ce_adapter_info info;

	*h = (struct handle){.adapter = adapter};
	ce_adapter_info_get(adapter, &info);
	h->no_engine = info.dev_id == CE_CPU;
	h->register_fails = is_pa && !info.sva;
}

static void
plain_get(struct thread *t)
{
	const struct ce_channel_id second = {.dev_id = devices[2]};
	struct ce_adapter *adapter = NULL;
	struct ce_adapter_conf conf;
	int16_t dev_id = devices[0];

	conf_draw(t, &conf);
	/* The first two threads share a device; the third has two of its own. Or no engine. */
	if (t->number < 2) {
		conf.flags |= CE_ADAPTER_SHARED;
	} else {
		dev_id = devices[1];
		conf.stripes = &second;
		conf.nb_stripes = draw(t, 2);
	}
	if (draw(t, 8) > 0) {
		adapter = ce_adapter_get(dev_id, &conf);
		if (adapter == NULL)
			refused(t);
	}
	if (adapter == NULL) {
		conf.nb_stripes = 0;
		adapter = ce_adapter_get(CE_CPU, &conf);
	}
	CHECK(t, adapter != NULL);
	if (adapter != NULL)
		handle_init(&t->plain, adapter);
	t->handles++;
}

static struct ce_controller *
controller_create(struct thread *t)
{
	const struct ce_channel_id ids[] = {{.dev_id = devices[3]}, {.dev_id = devices[4]}};
	struct ce_adapter_conf conf;
	struct ce_controller *created;
	unsigned int first;

	conf_draw(t, &conf);
	created = ce_controller_create(ids, 2, &conf);
	/* One of the two may be left. */
	for (first = 0; created == NULL && refused(t) && first < 2; first++)
		created = ce_controller_create(&ids[first], 1, &conf);
	return created;
}

static void
requester_get(struct thread *t)
{
	struct ce_adapter *adapter = NULL;
	struct ce_adapter_conf conf;

	conf_draw(t, &conf);
	pthread_mutex_lock(&controller_lock);
	if (controller == NULL)
		controller = controller_create(t);
	if (controller != NULL)
		adapter = ce_controller_adapter_get(controller, &conf);
	CHECK(t, controller == NULL || adapter != NULL);
	controller_handles += adapter != NULL;
	pthread_mutex_unlock(&controller_lock);
	memset(&t->requester, 0, sizeof(t->requester));
	if (adapter != NULL)
		handle_init(&t->requester, adapter);
	t->requester.controlled = true;
	t->handles++;
}

/* The handle is back; whoever had the last one puts the controller back as well. */
static void
controller_put(struct thread *t)
{
	pthread_mutex_lock(&controller_lock);
	if (--controller_handles == 0) {
		CHECK(t, ce_controller_destroy(controller) == 0);
		controller = NULL;
	}
	pthread_mutex_unlock(&controller_lock);
}

static void
memory_register(struct thread *t, struct handle *h)
{
	const int ret = ce_memory_register(h->adapter, t->memory[1], t->memory_length);

	CHECK(t, ret == (h->registered ? -EEXIST : h->register_fails ? -ENOTSUP : 0));
	h->registered |= ret == 0;
}

static void
memory_unregister(struct thread *t, struct handle *h)
{
	const int ret = ce_memory_unregister(h->adapter, t->memory[1], t->memory_length);
	const bool busy = jobs_busy(h) > 0 || (t->cycle.handle == h && t->cycle.cyclic != NULL);

	CHECK(t, ret == (busy ? -EBUSY : h->registered ? 0 : -ENOENT));
	h->registered &= ret != 0;
}

/* Put a handle back when all is done, or in the middle of it. */
static void
handle_put(struct thread *t, struct handle *h)
{
	const bool cycling = t->cycle.handle == h;
	int ret = -ETIMEDOUT;

	if (h->registered)
		CHECK(t, ce_adapter_put(h->adapter) == -EBUSY);
	if (draw(t, 2) || is_step) {
		if (cycling)
			cycle_end(t, false);
		settle(t, h);
		if (h->controlled)
			requests_end(t);
		if (h->registered)
			memory_unregister(t, h);
		figures_check(t, h);
		CHECK(t, ce_adapter_put(h->adapter) == 0);
		h->adapter = NULL;
		return;
	}
	if (h->controlled)
		requests_let_go(t);
	h->closing = true;
	while (ret != 0 && t->error == NULL) {
		ret = ce_adapter_close(h->adapter, 100000);
		if (ret == 0)
			break;
		/* What it could not give back is ours: memory, and lists. All else has come back. */
		CHECK(t, ret == -EBUSY &&
			(h->registered || t->cycle.handle == h || jobs_busy(h) > 0));
		jobs_finished(t, h, false);
		if (t->cycle.handle == h)
			cycle_end(t, true);
		if (h->registered)
			memory_unregister(t, h);
	}
	jobs_finished(t, h, false);
	CHECK(t, jobs_busy(h) == 0);
	h->adapter = NULL;
}

static void
plain_change(struct thread *t)
{
	handle_put(t, &t->plain);
	plain_get(t);
}

static void
requester_put(struct thread *t)
{
	unsigned int i;

	if (t->requester.adapter == NULL)
		return;
	CHECK(t, ce_controller_destroy(controller) == -EBUSY);
	handle_put(t, &t->requester);
	for (i = 0; i < REQUESTS; i++)
		t->requests[i].state = IDLE;
	controller_put(t);
}

static void
inject_something(struct thread *t)
{
	static const char *const kinds[] = {"fail", "fail", "fail", "stall"};
	char fault[32];

	if (!t->failing)
		return;
	/* Stalls end by time, of which none passes in steps. */
	snprintf(fault, sizeof(fault), "%s:at=%u", kinds[draw(t, RTE_DIM(kinds) - is_step)],
		(unsigned int)draw(t, 40));
	pthread_mutex_lock(&inject_lock);
	/* Not in the midst of a start or stop by another thread: then there is none this time. */
	try_inject(devices[draw(t, RTE_DIM(devices))], fault);
	pthread_mutex_unlock(&inject_lock);
}

/* Devices that go for good, and the handles on them. */
static void
vanish(struct thread *t)
{
	if (!t->failing || is_step)
		return;
	if (t->number == 2 && t->steps == wanted / 2)
		try_inject(devices[2], "vanish:at=5");
	if (t->number == 0 && t->steps == wanted * 3 / 4)
		try_inject(devices[4], "vanish:at=5");
	if (t->number == 0 && t->steps == wanted * 9 / 10)
		try_inject(devices[3], "vanish:at=5");
}

static void
rare_step(struct thread *t)
{
	struct handle *h = draw(t, 2) && t->requester.adapter != NULL ? &t->requester : &t->plain;
	int ret;

	switch (draw(t, 6)) {
	case 0:
		memory_register(t, h);
		break;
	case 1:
		memory_unregister(t, h);
		break;
	case 2:
		ret = ce_drain(h->adapter, 0);
		jobs_finished(t, h, false);
		CHECK(t, ret == (jobs_busy(h) > 0 ? -ETIMEDOUT : 0));
		break;
	case 3:
		if (is_step)
			break;
		CHECK(t, ce_drain(h->adapter, 100000) == 0);
		jobs_finished(t, h, false);
		CHECK(t, jobs_busy(h) == 0);
		break;
	case 4:
		if (draw(t, 4) == 0)
			plain_change(t);
		break;
	default:
		if (draw(t, 4) == 0) {
			requester_put(t);
			requester_get(t);
		}
	}
}

static void
step(struct thread *t)
{
	const uint64_t what = draw(t, 1000);

	if (what < 200)
		submit(t, &t->plain);
	else if (what < 250)
		packet_copy(t, &t->plain);
	else if (what < 400 && t->requester.adapter != NULL)
		request_step(t);
	else if (what < 500)
		cycle_step(t);
	else if (what < 540)
		cancel(t);
	else if (what < 550)
		inject_something(t);
	else if (what < 556)
		rare_step(t);
	else if (what < 850 || t->requester.adapter == NULL)
		progress(t, &t->plain);
	else
		progress(t, &t->requester);
	if (t->plain.dead)
		plain_change(t);
	if (t->requester.dead || (t->requester.adapter == NULL && what == 999)) {
		requester_put(t);
		requester_get(t);
	}
	vanish(t);
	t->steps++;
}

static void
begin(struct thread *t)
{
	t->steps = 0;
	plain_get(t);
	requester_get(t);
}

static void
end(struct thread *t)
{
	handle_put(t, &t->plain);
	requester_put(t);
}

static int
work(void *arg)
{
	struct thread *t = arg;

	begin(t);
	while (t->steps < wanted && t->error == NULL)
		step(t);
	end(t);
	atomic_fetch_add(&done_threads, 1);
	return 0;
}

/* The same by one thread, as only one may step the model. */
static void
work_in_turn(void)
{
	unsigned int i, running = THREADS;

	for (i = 0; i < THREADS; i++)
		begin(&threads[i]);
	while (threads[THREADS - 1].steps < wanted && running == THREADS)
		for (i = 0; i < THREADS; i++) {
			step(&threads[i]);
			running -= threads[i].error != NULL;
		}
	for (i = 0; i < THREADS; i++)
		end(&threads[i]);
	atomic_fetch_add(&done_threads, THREADS);
}

static void
run_threads(bool failing)
{
	unsigned int i, lcore;
	struct thread *t;

	for (i = 0; i < THREADS; i++)
		threads[i].failing = failing;
	atomic_store(&done_threads, 0);
	if (is_step) {
		work_in_turn();
	} else {
		i = 1;
		RTE_LCORE_FOREACH_WORKER(lcore)
			rte_eal_remote_launch(work, &threads[i++], lcore);
		work(&threads[0]);
		rte_eal_mp_wait_lcore();
	}
	assert_int_equal(atomic_load(&done_threads), THREADS);
	for (i = 0; i < THREADS; i++) {
		t = &threads[i];
		print_message("thread %u: %" PRIu64 " steps, %" PRIu64 " handles, %" PRIu64
			      " transfers, %" PRIu64 " packets, %" PRIu64 " channels, %" PRIu64
			      " periods, %" PRIu64 " failed, %" PRIu64 " by a lost device\n", i,
			t->steps, t->handles, t->transfers, t->packets, t->granted, t->periods,
			t->failed, t->lost);
		if (t->error != NULL)
			print_error("%s:%d: not so: %s\n", t->file, t->line, t->error);
	}
	for (i = 0; i < THREADS; i++)
		assert_null(threads[i].error);
	assert_null(controller);
}

static void
devices_that_are_well(void **state)
{
	(void)state;
	run_threads(false);
}

static void
devices_that_fail(void **state)
{
	(void)state;
	if (!is_cbdma || controller != NULL)
		skip();
	run_threads(true);
}

static void
thread_init(struct thread *t, unsigned int number)
{
	const struct rte_memzone *zone;
	unsigned int i;
	char name[32];

	t->number = number;
	for (i = 0; i < REQUESTS; i++)
		t->requests[i].thread = t;
	t->memory_length = RTE_ALIGN_CEIL((size_t)JOBS * 2 * (LONGEST + GUARD), (size_t)4096);
	snprintf(name, sizeof(name), "memory%u", number);
	zone = rte_memzone_reserve_aligned(
		name, t->memory_length, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG, 4096);
	t->memory[1] = mmap(NULL, t->memory_length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	for (i = 0; i < RTE_DIM(t->pools); i++) {
		snprintf(name, sizeof(name), "pool%u%u", number, i);
		t->pools[i] = rte_pktmbuf_pool_create(name, 127, 0, 0,
			RTE_PKTMBUF_HEADROOM + 200 + 500 * i, SOCKET_ID_ANY);
	}
	if (zone == NULL || t->memory[1] == MAP_FAILED || t->pools[0] == NULL || t->pools[1] == NULL) {
		fprintf(stderr, "no memory for thread %u\n", number);
		exit(EXIT_FAILURE);
	}
	t->memory[0] = zone->addr;
	jobs_init(t);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_that_are_well),
		cmocka_unit_test(devices_that_fail),
	};
	uint64_t seed;
	unsigned int i;
	int failed;

	test_begin(argc, argv);
	is_pa = rte_eal_iova_mode() == RTE_IOVA_PA;
	/* Of three threads, with either kind of devices. */
	wanted = (argc > 3 ? strtoull(argv[3], NULL, 0) : 100000) / THREADS / (is_cbdma ? 2 : 1);
	seed = argc > 4 ? strtoull(argv[4], NULL, 0) : (uint64_t)getpid() * 0x9e3779b97f4a7c15;
	printf("seed %#" PRIx64 "\n", seed);
	fflush(stdout);
	for (i = 0; i < THREADS; i++) {
		threads[i].rng = (seed + i) * 0x2545f4914f6cdd1d | 1;
		thread_init(&threads[i], i);
	}
	failed = cmocka_run_group_tests_name("random", tests, NULL, NULL);
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
