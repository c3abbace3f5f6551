/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Random steps of three threads, with handles of their own on devices that they share, on the CPU, and
 * on two devices at once; the devices fail, stall and vanish meanwhile. A simple reference says what
 * each byte and each status may be.
 *
 * Each thread has an arena of slots of memory of either kind. A slot is used by one transfer at a time,
 * so what it must hold in the end is known when the transfer is submitted; a chain of fenced transfers
 * is judged as a whole. Of a transfer that fails, all before failed_at must be there.
 *
 * random DEVICE MEMORY [STEPS [SEED]]
 */

#include "common.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#define THREADS	  3
#define TRANSFERS 24
#define LONGEST	  20000
#define GUARD	  64

struct job {
	struct ce_transfer transfer;
	uint8_t *src[2], *dst[2]; /* reached by the engine; not */
	uint8_t expected[LONGEST + GUARD]; /* what was under src when it was submitted */
	unsigned int from, to;
	bool busy, cancelled, by_list;
	unsigned int order;
};

struct thread {
	pthread_t id;
	unsigned int number;
	uint64_t rng;
	uint64_t steps, transfers, failed, lost, handles;
	struct ce_adapter *adapter;
	struct job *jobs;
	unsigned int submitted, finished;
	unsigned int next[2]; /* least order that may finish now; of those with a callback */
	bool may_fail;
	bool dead; /* the handle: time for another */
	const char *error; /* threads cannot assert */
	unsigned int line;
};

static struct thread threads[THREADS];
static uint64_t wanted = 100000;
static atomic_uint done_threads; /* EAL's own waiting is not seen by ThreadSanitizer */
static pthread_mutex_t inject_lock = PTHREAD_MUTEX_INITIALIZER;

#define CHECK(t, condition) \
	do { \
		if (!(condition) && (t)->error == NULL) { \
			(t)->error = #condition; \
			(t)->line = __LINE__; \
		} \
	} while (0)

static uint64_t
draw(struct thread *t, uint64_t below)
{
	t->rng ^= t->rng << 13;
	t->rng ^= t->rng >> 7;
	t->rng ^= t->rng << 17;
	return t->rng % below;
}

static size_t
draw_length(struct thread *t)
{
	return 1 + draw(t, RTE_MIN((size_t)1 << draw(t, 16), (size_t)LONGEST));
}

static void
handle_get(struct thread *t)
{
	const struct ce_channel_id second = {.dev_id = devices[2]};
	struct ce_adapter_conf conf = {
		.flags = (draw(t, 2) ? CE_ADAPTER_NO_SG : 0) | CE_ADAPTER_NO_SVA,
		.ring_size = 32 << draw(t, 5),
		.map_registers = 1 + draw(t, 15),
		.max_segment = 64 << draw(t, 9),
		.break_even = 1 + draw(t, 600),
		.timeout_ms = 100,
	};
	int16_t dev_id = devices[0];

	/* The first two threads share a device; the third has two of its own. Or no engine. */
	if (t->number < 2) {
		conf.flags |= CE_ADAPTER_SHARED;
	} else {
		dev_id = devices[1];
		conf.stripes = &second;
		conf.nb_stripes = draw(t, 2);
	}
	if (draw(t, 8) == 0) {
		dev_id = CE_CPU;
		conf.nb_stripes = 0;
	}
	t->adapter = ce_adapter_get(dev_id, &conf);
	/* A dead device is to be put back by all before it lives again; one that has vanished does not. */
	if (t->adapter == NULL) {
		CHECK(t, rte_errno == ENODEV || rte_errno == EIO || rte_errno == ENOSPC ||
			rte_errno == EBUSY);
		t->adapter = ce_adapter_get(CE_CPU, &conf);
	}
	if (t->adapter == NULL) {
		conf.nb_stripes = 0;
		t->adapter = ce_adapter_get(CE_CPU, &conf);
	}
	t->handles++;
	t->dead = false;
	CHECK(t, t->adapter != NULL);
}

/* What there must be under a transfer that has finished. */
static void
judge(struct thread *t, struct job *job)
{
	const struct ce_transfer *transfer = &job->transfer;
	const uint8_t *dst = job->dst[job->to];
	uint64_t sure = transfer->length;
	unsigned int i;

	CHECK(t, transfer->done <= transfer->length);
	CHECK(t, ce_transfer_remaining(transfer) == transfer->length - transfer->done);
	switch (transfer->status) {
	case 0:
		CHECK(t, transfer->done == transfer->length);
		break;
	case -ECANCELED:
		CHECK(t, job->cancelled && transfer->done == 0);
		sure = 0;
		break;
	case -EIO:
	case -ENODEV:
	case -ETIMEDOUT:
		CHECK(t, t->may_fail);
		CHECK(t, transfer->failed_at <= transfer->length);
		CHECK(t, transfer->done < transfer->length);
		sure = transfer->failed_at;
		t->failed++;
		t->lost += transfer->status != -EIO;
		break;
	default:
		CHECK(t, false);
	}
	if (memcmp(dst, job->expected, sure) != 0 && t->error == NULL) {
		for (i = 0; dst[i] == job->expected[i]; i++)
			;
		print_error("thread %u: status %d, length %" PRIu64 ", %" PRIu64
			    " done, %" PRIu64 " sure, wrong at %u: %#x for %#x; from %u to %u,"
			    " flags %#x\n", t->number, transfer->status, transfer->length,
			transfer->done, sure, i, dst[i], job->expected[i], job->from, job->to,
			transfer->flags);
	}
	CHECK(t, memcmp(dst, job->expected, sure) == 0);
	/* Nothing else is touched, whatever happened. */
	for (i = 0; i < GUARD; i++)
		CHECK(t, dst[transfer->length + i] == 0x5a);
	if (transfer->status == -ECANCELED)
		for (i = 0; i < transfer->length; i++)
			CHECK(t, dst[i] == 0x5a);
}

static void
finished(struct thread *t, struct job *job)
{
	CHECK(t, job->busy);
	/* In the order of submission, always: those with a callback, and those that are collected. */
	CHECK(t, job->order >= t->next[job->transfer.cb != NULL]);
	t->next[job->transfer.cb != NULL] = job->order + 1;
	t->finished++;
	job->busy = false;
	judge(t, job);
	if (job->by_list) {
		ce_sglist_free(job->transfer.src);
		ce_sglist_free(job->transfer.dst);
	}
	job->transfer.src = NULL;
	job->transfer.dst = NULL;
	t->transfers++;
}

static void
called_back(struct ce_transfer *transfer, void *arg)
{
	finished(arg, container_of(transfer, struct job, transfer));
}

static struct ce_sglist *
list_of(struct thread *t, uint8_t *memory, size_t length)
{
	struct iovec iov[2];
	size_t first = draw(t, length + 1);

	iov[0] = (struct iovec){memory, first};
	iov[1] = (struct iovec){memory + first, length - first};
	return ce_sglist_build_iov(t->adapter, iov, 2);
}

static void
job_make(struct thread *t, struct job *job)
{
	struct ce_transfer *transfer = &job->transfer;
	const size_t length = draw_length(t);
	unsigned int i;

	memset(transfer, 0, offsetof(struct ce_transfer, opaque));
	job->from = draw(t, 2);
	job->to = draw(t, 2);
	job->cancelled = false;
	job->by_list = draw(t, 3) == 0;
	pattern_fill(job->src[job->from], RTE_MIN(length, (size_t)64), t->rng);
	memset(job->dst[job->to], 0x5a, length + GUARD);
	transfer->length = length;
	transfer->flags = draw(t, 4);
	transfer->cb = draw(t, 2) ? called_back : NULL;
	transfer->arg = t;
	transfer->src_va = job->src[job->from];
	transfer->dst_va = job->dst[job->to];
	if (draw(t, 5) == 0) {
		transfer->flags |= CE_TRANSFER_FILL;
		transfer->pattern = t->rng;
		for (i = 0; i < length; i++)
			job->expected[i] = transfer->pattern >> i % 8 * 8;
		job->by_list = false;
		return;
	}
	memcpy(job->expected, job->src[job->from], length);
	if (job->by_list) {
		transfer->src = list_of(t, job->src[job->from], length);
		transfer->dst = list_of(t, job->dst[job->to], length);
		CHECK(t, transfer->src != NULL && transfer->dst != NULL);
	}
}

/* Submit some jobs that are free, in one call. */
static void
submit(struct thread *t)
{
	struct ce_transfer *list[TRANSFERS];
	unsigned int i, n = 0, most = 1 + draw(t, TRANSFERS);
	int taken;

	for (i = 0; i < TRANSFERS && n < most; i++) {
		if (t->jobs[i].busy)
			continue;
		job_make(t, &t->jobs[i]);
		list[n++] = &t->jobs[i].transfer;
	}
	if (n == 0)
		return;
	taken = ce_submit(t->adapter, list, n);
	t->dead = taken == -ENODEV || taken == -ETIMEDOUT;
	CHECK(t, taken <= (int)n && taken != 0);
	if (taken < 0)
		CHECK(t, t->may_fail && (taken == -ENODEV || taken == -ETIMEDOUT || taken == -EIO));
	for (i = 0; i < n; i++) {
		struct job *job = container_of(list[i], struct job, transfer);

		if ((int)i < taken) {
			CHECK(t, list[i]->status == -EINPROGRESS);
			job->order = t->submitted++;
			job->busy = true;
			if (draw(t, 50) == 0)
				CHECK(t, ce_submit(t->adapter, &list[i], 1) == -EBUSY);
		} else if (job->by_list) {
			ce_sglist_free(list[i]->src);
			ce_sglist_free(list[i]->dst);
		}
	}
}

static void
collect(struct thread *t)
{
	struct ce_transfer *list[TRANSFERS];
	unsigned int i, n;

	if (t->number == 0)
		step_devices(5);
	n = ce_collect(t->adapter, list, 1 + draw(t, TRANSFERS));
	for (i = 0; i < n; i++)
		finished(t, container_of(list[i], struct job, transfer));
}

static void
cancel(struct thread *t)
{
	struct job *job = &t->jobs[draw(t, TRANSFERS)];
	const bool busy = job->busy;
	const int ret = ce_transfer_cancel(t->adapter, &job->transfer);

	CHECK(t, ret == 0 || ret == (busy ? -EBUSY : -ENOENT));
	job->cancelled |= ret == 0;
}

static void
inject_something(struct thread *t)
{
	char fault[32];
	static const char *const kinds[] = {"fail", "fail", "fail", "stall"};

	if (!is_cbdma || !t->may_fail)
		return;
	snprintf(fault, sizeof(fault), "%s:at=%u", kinds[draw(t, RTE_DIM(kinds))],
		(unsigned int)draw(t, 40));
	pthread_mutex_lock(&inject_lock);
	/* Not in the midst of a start or stop by another thread: then there is none this time. */
	try_inject(devices[draw(t, 3)], fault);
	pthread_mutex_unlock(&inject_lock);
}

/* Until all is back: whatever happens to the devices, it comes back. */
static void
settle(struct thread *t)
{
	const double limit = seconds() + 30;

	while (t->finished != t->submitted && seconds() < limit && t->error == NULL) {
		collect(t);
		sched_yield();
	}
	CHECK(t, t->finished == t->submitted);
}

static void
handle_change(struct thread *t)
{
	int ret;

	if (draw(t, 2)) {
		settle(t);
		CHECK(t, ce_adapter_put(t->adapter) == 0);
	} else {
		/* What has no callback comes back as well, and is looked at afterwards. */
		unsigned int i, n;

		for (i = 0; i < TRANSFERS; i++)
			t->jobs[i].cancelled = true;
		settle(t);
		ret = ce_adapter_close(t->adapter, 10000);
		CHECK(t, ret == 0);
		for (i = n = 0; i < TRANSFERS; i++)
			n += t->jobs[i].busy;
		CHECK(t, n == 0);
	}
	handle_get(t);
}

static int
work(void *arg)
{
	struct thread *t = arg;
	uint64_t what;

	handle_get(t);
	for (t->steps = 0; t->steps < wanted && t->error == NULL; t->steps++) {
		what = draw(t, 1000);
		if (what < 300)
			submit(t);
		else if (what < 950)
			collect(t);
		else if (what < 985)
			cancel(t);
		else if (what < 997)
			inject_something(t);
		else if (draw(t, 20) == 0 || t->dead)
			handle_change(t);
		/* One device goes for good, and its handles with it. */
		if (is_cbdma && t->number == 2 && t->steps == wanted * 3 / 4)
			try_inject(devices[2], "vanish:at=5");
		if (what % 64 == 0)
			sched_yield();
	}
	settle(t);
	if (t->error == NULL)
		CHECK(t, ce_adapter_put(t->adapter) == 0);
	atomic_fetch_add(&done_threads, 1);
	return 0;
}

static void
random_steps(void **state)
{
	struct thread *t;
	unsigned int i, j, k;
	unsigned int lcore;

	(void)state;
	for (i = 0; i < THREADS; i++) {
		t = &threads[i];
		t->number = i;
		t->may_fail = is_cbdma;
		t->jobs = calloc(TRANSFERS, sizeof(*t->jobs));
		for (j = 0; j < TRANSFERS; j++) {
			for (k = 0; k < 2; k++) {
				t->jobs[j].src[k] = k ? malloc(LONGEST) : rte_malloc(NULL, LONGEST, 0);
				t->jobs[j].dst[k] = k ? malloc(LONGEST + GUARD) :
							rte_malloc(NULL, LONGEST + GUARD, 0);
				assert_non_null(t->jobs[j].src[k]);
				assert_non_null(t->jobs[j].dst[k]);
				pattern_fill(t->jobs[j].src[k], LONGEST, 100 * i + j);
			}
		}
	}
	i = 1;
	RTE_LCORE_FOREACH_WORKER(lcore)
		rte_eal_remote_launch(work, &threads[i++], lcore);
	work(&threads[0]);
	rte_eal_mp_wait_lcore();
	assert_int_equal(atomic_load(&done_threads), THREADS);
	for (i = 0; i < THREADS; i++) {
		t = &threads[i];
		print_message("thread %u: %" PRIu64 " steps, %" PRIu64 " handles, %" PRIu64
			      " transfers, %" PRIu64 " failed, %" PRIu64 " by a lost device%s%s\n", i,
			t->steps, t->handles, t->transfers, t->failed, t->lost,
			t->error == NULL ? "" : ": not so: ", t->error == NULL ? "" : t->error);
		if (t->error != NULL)
			print_error("line %u\n", t->line);
	}
	for (i = 0; i < THREADS; i++)
		assert_null(threads[i].error);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_steps)};
	uint64_t seed;
	unsigned int i;
	int failed;

	test_begin(argc, argv);
	wanted = (argc > 3 ? strtoull(argv[3], NULL, 0) : 100000) / THREADS;
	seed = argc > 4 ? strtoull(argv[4], NULL, 0) : (uint64_t)getpid() * 0x9e3779b97f4a7c15;
	printf("seed %#" PRIx64 "\n", seed);
	for (i = 0; i < THREADS; i++)
		threads[i].rng = seed + i * 0x2545f4914f6cdd1d;
	failed = cmocka_run_group_tests_name("random", tests, NULL, NULL);
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
