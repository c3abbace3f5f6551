/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * How many copies a second: any DMA devices, and a bare ring between two CPUs as the limit, in turn in
 * one run. All is checked: the number of completions, and each byte.
 *
 * copy_rate EAL-OPTIONS -- MEGABYTES SECONDS ROUNDS TARGET...
 *
 * A target is a DMA device's name or "bare-ring=CPU". The worker, on the main lcore, does as that of
 * dpdk-test-dma-perf: a submit and a poll each 32 copies, buffers laid out as those of packets are.
 * Prints medians and what each is to the first target.
 */

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#define RING	    1024
#define BURST	    32
#define HEADROOM    320 /* of a packet buffer: its mempool's header, struct rte_mbuf, headroom */
#define TARGETS_MAX 4
#define ROUNDS_MAX  15
#define STALL	    10 /* seconds without a completion after which to give up */

static const uint32_t sizes[] = {64, 256, 1024, 4096, 16384};

struct memory {
	uint8_t *src, *dst;
	rte_iova_t src_iova, dst_iova;
	size_t len, stride, buffers, at;
};

/* The least that two CPUs can do to hand over copies: no check, no translation, no error. */
struct bare_desc {
	uint32_t len;
	uint32_t control;
	const uint8_t *src;
	uint8_t *dst;
	uint64_t reserved[5];
};

struct bare_ring {
	struct bare_desc desc[RING];
	uint32_t doorbell __rte_cache_aligned;
	uint32_t completed __rte_cache_aligned;
	bool stop __rte_cache_aligned;
	uint32_t head, tail;
	pthread_t thread;
};

struct target {
	const char *name;
	int16_t dev;
	struct bare_ring *ring; /* NULL: a device */
	double mops[RTE_DIM(sizes)][ROUNDS_MAX];
	double median[RTE_DIM(sizes)];
};

static void
die(const char *what, int error)
{
	rte_exit(EXIT_FAILURE, "%s%s%s\n", what, error != 0 ? ": " : "",
		error != 0 ? rte_strerror(error) : "");
}

/* The bare ring */

#define SLOTS_AHEAD 8 /* that the worker asks for in order to write them */
#define DATA_AHEAD  4 /* descriptors whose data the copying CPU asks for */

/* With the vectors that the model takes as well. */
#if defined(__x86_64__) && !defined(__clang__)
#define WITH_VECTORS __attribute__((noinline, target_clones("avx512f", "avx2", "default")))
#else
#define WITH_VECTORS __rte_noinline
#endif

static __rte_always_inline void
bare_copies(struct bare_ring *r, uint32_t from, uint32_t n, uint32_t len)
{
	uint32_t i, k;

	for (i = from; i != from + n; i++) {
		const struct bare_desc *next = &r->desc[(i + DATA_AHEAD) % RING];
		const struct bare_desc *d = &r->desc[i % RING];

		rte_prefetch0(&r->desc[(i + SLOTS_AHEAD) % RING]);
		for (k = 0; k < len && i + DATA_AHEAD < from + n; k += 64) {
			rte_prefetch0(next->src + k);
			rte_prefetch0_write(next->dst + k);
		}
		memcpy(d->dst, d->src, len);
	}
}

WITH_VECTORS static void
bare_burst_copy(struct bare_ring *r, uint32_t from)
{
	const uint32_t len = r->desc[from % RING].len;

	/* Lengths that the compiler knows: it makes the copy of vectors. */
	if (len == 64)
		bare_copies(r, from, BURST, 64);
	else if (len == 256)
		bare_copies(r, from, BURST, 256);
	else
		bare_copies(r, from, BURST, len);
}

static void *
bare_main(void *arg)
{
	struct bare_ring *r = arg;
	uint32_t done = 0, known;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		known = __atomic_load_n(&r->doorbell, __ATOMIC_ACQUIRE);
		for (; known != done; done += BURST) {
			bare_burst_copy(r, done);
			__atomic_store_n(&r->completed, done + BURST, __ATOMIC_RELEASE);
		}
		rte_pause();
	}
	return NULL;
}

static void
bare_start(struct target *t)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int cpu = atoi(strchr(t->name, '=') + 1), ret;

	t->ring = rte_zmalloc("ring", sizeof(*t->ring), 64);
	if (t->ring == NULL)
		die("no memory for the bare ring", 0);
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	ret = pthread_create(&t->ring->thread, &attr, bare_main, t->ring);
	pthread_attr_destroy(&attr);
	if (ret != 0)
		die(t->name, ret);
}

static void
bare_stop(struct target *t)
{
	__atomic_store_n(&t->ring->stop, true, __ATOMIC_RELAXED);
	pthread_join(t->ring->thread, NULL);
	rte_free(t->ring);
	t->ring = NULL;
}

/* A target, started or not */

static void
target_start(struct target *t)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	const struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM,
		.nb_desc = RING};

	if (t->dev < 0)
		bare_start(t);
	else if (rte_dma_configure(t->dev, &conf) != 0 ||
			rte_dma_vchan_setup(t->dev, 0, &vchan) != 0 || rte_dma_start(t->dev) != 0)
		die("a device does not start", 0);
}

static void
target_stop(struct target *t)
{
	if (t->dev < 0)
		bare_stop(t);
	else
		rte_dma_stop(t->dev);
}

static __rte_always_inline void
bare_enqueue(struct bare_ring *r, const struct memory *m, size_t offset)
{
	struct bare_desc *d = &r->desc[r->head % RING];

	d->len = m->len;
	d->control = 0;
	d->src = m->src + offset;
	d->dst = m->dst + offset;
	r->head++;
	rte_prefetch0_write(&r->desc[(r->head - 1 + SLOTS_AHEAD) % RING]);
}

static uint64_t
bare_burst(struct bare_ring *r, struct memory *m)
{
	uint32_t i, tail = r->tail;

	while (r->head - r->tail > RING - BURST)
		r->tail = __atomic_load_n(&r->completed, __ATOMIC_ACQUIRE);
	for (i = 0; i < BURST; i++, m->at++)
		bare_enqueue(r, m, m->at * m->stride);
	__atomic_store_n(&r->doorbell, r->head, __ATOMIC_RELEASE);
	r->tail = __atomic_load_n(&r->completed, __ATOMIC_ACQUIRE);
	return r->tail - tail;
}

static uint64_t
device_poll(int16_t dev)
{
	bool error = false;
	uint64_t n = rte_dma_completed(dev, 0, UINT8_MAX, NULL, &error);

	if (unlikely(error))
		die("a copy failed", 0);
	return n;
}

static uint64_t
device_burst(int16_t dev, struct memory *m)
{
	uint64_t done = 0;
	uint32_t i;
	int ret;

	for (i = 0; i < BURST; i++, m->at++) {
		const size_t offset = m->at * m->stride;

		while (unlikely((ret = rte_dma_copy(dev, 0, m->src_iova + offset,
						m->dst_iova + offset, m->len, 0)) < 0)) {
			if (ret != -ENOSPC)
				die("a copy is refused", -ret);
			rte_dma_submit(dev, 0);
			done += device_poll(dev);
		}
	}
	rte_dma_submit(dev, 0);
	return done + device_poll(dev);
}

/* Complete what is under way. */
static uint64_t
drain(struct target *t, uint64_t left)
{
	uint64_t deadline = rte_rdtsc() + STALL * rte_get_tsc_hz(), done = 0;

	while (done < left) {
		if (t->ring != NULL) {
			uint32_t tail = t->ring->tail;

			t->ring->tail = __atomic_load_n(&t->ring->completed, __ATOMIC_ACQUIRE);
			done += t->ring->tail - tail;
		} else {
			done += device_poll(t->dev);
		}
		if (rte_rdtsc() > deadline)
			die("copies do not complete", 0);
	}
	return done;
}

/* Each buffer of this size, anew: what differs was not copied. */
static void
check(struct memory *m, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (memcmp(m->src + i * m->stride, m->dst + i * m->stride, m->len) != 0)
			rte_exit(EXIT_FAILURE, "buffer %zu of %zu bytes was not copied\n", i, m->len);
	}
}

/* Millions of copies a second. */
static double
measure(struct target *t, struct memory *m, double seconds)
{
	const uint64_t hz = rte_get_tsc_hz();
	uint64_t start, now, sent = 0, done = 0;
	unsigned int i;

	memset(m->dst, 0, m->buffers * m->stride);
	target_start(t);
	m->at = 0;
	start = rte_rdtsc();
	do {
		for (i = 0; i < 32; i++) {
			if (m->at + BURST > m->buffers)
				m->at = 0;
			done += t->ring != NULL ? bare_burst(t->ring, m) : device_burst(t->dev, m);
		}
		sent += i * BURST;
		now = rte_rdtsc();
	} while (now - start < seconds * hz);
	done += drain(t, sent - done);
	now = rte_rdtsc();
	target_stop(t);
	if (done != sent)
		die("more completions than copies", 0);
	check(m, RTE_MIN(sent, m->buffers / BURST * BURST));
	return sent / ((double)(now - start) / hz) / 1E6;
}

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print_table(struct target *t, unsigned int nb_targets, unsigned int rounds)
{
	unsigned int i, k;

	printf("%8s", "bytes");
	for (k = 0; k < nb_targets; k++)
		printf(" %14s%s", t[k].name, k > 0 ? "  ratio" : "");
	printf("\n");
	for (i = 0; i < RTE_DIM(sizes); i++) {
		printf("%8u", sizes[i]);
		for (k = 0; k < nb_targets; k++) {
			qsort(t[k].mops[i], rounds, sizeof(double), compare);
			t[k].median[i] = t[k].mops[i][rounds / 2];
			printf(" %14.3f", t[k].median[i]);
			if (k > 0)
				printf(" %6.2f", t[0].median[i] / t[k].median[i]);
		}
		printf("\n");
	}
}

int
main(int argc, char **argv)
{
	struct target targets[TARGETS_MAX] = {0};
	struct memory m = {0};
	unsigned int i, k, round, rounds, nb_targets;
	size_t bytes = 0, half, n;
	double seconds;
	int used;

	used = rte_eal_init(argc, argv);
	if (used < 0)
		die("EAL", rte_errno);
	argc -= used;
	argv += used;
	if (argc < 5 || argc > 4 + TARGETS_MAX)
		die("usage: copy_rate EAL-OPTIONS -- MEGABYTES SECONDS ROUNDS TARGET...", 0);
	half = strtoul(argv[1], NULL, 0) << 19;
	seconds = atof(argv[2]);
	rounds = RTE_MAX(1, RTE_MIN(ROUNDS_MAX, atoi(argv[3])));
	nb_targets = argc - 4;
	for (k = 0; k < nb_targets; k++) {
		targets[k].name = argv[4 + k];
		targets[k].dev = rte_dma_get_dev_id_by_name(targets[k].name);
		if (targets[k].dev < 0 && strncmp(targets[k].name, "bare-ring=", 10) != 0)
			rte_exit(EXIT_FAILURE, "no device %s\n", targets[k].name);
	}
	for (i = 0; i < RTE_DIM(sizes); i++)
		bytes = RTE_MAX(bytes, half / sizes[i] * (sizes[i] + HEADROOM));
	m.src = rte_malloc("src", bytes, 4096);
	m.dst = rte_malloc("dst", bytes, 4096);
	if (m.src == NULL || m.dst == NULL)
		die("no memory for the buffers", 0);
	m.src_iova = rte_mem_virt2iova(m.src);
	m.dst_iova = rte_mem_virt2iova(m.dst);
	if (m.src_iova != (uintptr_t)m.src)
		die("this needs --iova-mode=va: buffers have to be in one piece", 0);
	for (n = 0; n < bytes; n++)
		m.src[n] = n * 2654435761u >> 13;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < RTE_DIM(sizes); i++) {
			m.len = sizes[i];
			m.stride = m.len + HEADROOM;
			m.buffers = half / m.len;
			for (k = 0; k < nb_targets; k++)
				targets[k].mops[i][round] = measure(&targets[k], &m, seconds);
		}
	}
	print_table(targets, nb_targets, rounds);
	rte_free(m.src);
	rte_free(m.dst);
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}
