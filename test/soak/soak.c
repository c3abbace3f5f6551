/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Random operations without end, every byte and every completion checked. */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bus_vdev_driver.h>
#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_malloc.h>

#include "../unit/fault_causes.h"
#include "rte_pmd_cbdma.h"
#include "soak.h"

#define NAME	 "dma_cbdma_soak"
#define BAD_IOVA 0x8000ull /* no memory lies in the first 64 KB */
#define OPS	 32768	   /* more than can be under way */
#define STUCK_S	 10	   /* without a completion */

static struct {
	uint64_t ops, seed;
	unsigned int seconds, ring; /* 0: of all sizes */
	/* One that is there, not a model made here. No faults then: hardware has none to inject, and
	 * what is no memory for a model may be somebody's on it.
	 */
	const char *device;
	bool step;
} option = {.ops = UINT64_MAX};

static int16_t dev_id;
static uint32_t max_len; /* of one descriptor */
static struct soak_op *op_ring;
static uint16_t next_idx;
static uint64_t enqueued, reported; /* since start */
static uint64_t last_progress;

static struct {
	uint64_t ops, bytes, failed, injected, restarts;
} total;

/* Injected faults that may have struck, or will, by the status that they end in. */
static unsigned int injected[RTE_DMA_STATUS_ERROR_UNKNOWN + 1];

static void __rte_noreturn __rte_format_printf(1, 2)
fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("\nsoak: FAILED: ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	rte_dma_dump(dev_id, stdout);
	printf("soak: %" PRIu64 " operations of --seed %" PRIu64 "%s\n", total.ops, option.seed,
		option.step ? " --step" : "; with --step the seed replays exactly");
	fflush(NULL);
	_exit(EXIT_FAILURE);
}

static bool
chance(unsigned int one_in)
{
	return soak_random(one_in) == 0;
}

/* The device */

static void
start(void)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM};
	int ret;

	vchan.nb_desc = chance(4) ? 256u << soak_random(8) : 256 + soak_random(2000);
	if (option.ring != 0)
		vchan.nb_desc = option.ring;
	ret = rte_dma_configure(dev_id, &conf);
	if (ret == 0)
		ret = rte_dma_vchan_setup(dev_id, 0, &vchan);
	if (ret == 0)
		ret = rte_dma_start(dev_id);
	if (ret != 0)
		fail("start with a ring of %u: %s", vchan.nb_desc, rte_strerror(-ret));
	next_idx = 0;
	enqueued = 0;
	reported = 0;
	last_progress = rte_get_timer_cycles();
}

static void
create(void)
{
	static const uint8_t xfercap[] = {12, 14, 16, 20};
	static const char *const idle[] = {"spin", "sleep"};
	const unsigned int cap = xfercap[soak_random(RTE_DIM(xfercap))];
	char args[64];
	int ret;

	if (option.device != NULL) {
		dev_id = rte_dma_get_dev_id_by_name(option.device);
		if (dev_id < 0)
			fail("there is no DMA device %s", option.device);
		max_len = 1u << 20; /* what hardware has, as far as anybody knows */
		start();
		return;
	}
	snprintf(args, sizeof(args), "version=3.%u,xfercap=%u,%s%s", soak_random(5), cap,
		option.step ? "step=1" : "idle=", option.step ? "" : idle[soak_random(RTE_DIM(idle))]);
	ret = rte_vdev_init(NAME, args);
	if (ret != 0)
		fail("vdev with %s: %s", args, rte_strerror(-ret));
	dev_id = rte_dma_get_dev_id_by_name(NAME);
	max_len = 1u << cap;
	start();
}

static void
clear_injected(void)
{
	memset(injected, 0, sizeof(injected));
	if (option.device == NULL)
		rte_pmd_cbdma_inject(dev_id, "none");
}

static struct soak_op *
op_at(uint64_t number)
{
	return &op_ring[number % OPS];
}

/* Stop, now and then in the midst of work; then go on with another ring or another device. */
static void
restart(void)
{
	struct rte_dma_stats stats;
	uint64_t i;
	int ret;

	if (rte_dma_stats_get(dev_id, 0, &stats) != 0)
		fail("no statistics");
	if (stats.completed > stats.submitted || stats.errors > stats.completed)
		fail("statistics: submitted %" PRIu64 " completed %" PRIu64 " errors %" PRIu64,
			stats.submitted, stats.completed, stats.errors);
	if (chance(10) && option.device == NULL)
		rte_pmd_cbdma_inject(dev_id, "stall");
	ret = rte_dma_stop(dev_id);
	if (ret != 0)
		fail("stop: %s", rte_strerror(-ret));
	for (i = reported; i < enqueued; i++)
		soak_failed(op_at(i));
	if (soak_check_all() != 0)
		fail("memory differs after stop");
	clear_injected();
	total.restarts++;
	if (!chance(10) || option.device != NULL) {
		start();
		return;
	}
	ret = rte_vdev_uninit(NAME);
	if (ret != 0)
		fail("removal: %s", rte_strerror(-ret));
	create();
}

static void
inject(void)
{
	const unsigned int cause = soak_random(RTE_DIM(causes));
	char text[64];

	snprintf(text, sizeof(text), "fail:at=%u:cause=%s", soak_random(200), causes[cause].cause);
	injected[causes[cause].status]++;
	if (rte_pmd_cbdma_inject(dev_id, text) != 0)
		fail("inject %s", text);
	total.injected++;
}

/* Enqueue */

static uint32_t
random_len(void)
{
	const unsigned int kind = soak_random(1000);

	if (kind < 500)
		return 1 + soak_random(64);
	if (kind < 850)
		return 1 + soak_random(4096);
	if (kind < 980)
		return 1 + soak_random(RTE_MIN(max_len, 32768u));
	if (kind < 999)
		return 1 + soak_random(RTE_MIN(3 * max_len, 100000u));
	return 1 + soak_random(RTE_MIN(3 * max_len, 1500000u));
}

/* Cut len in up to SOAK_MAX_SEGS segments. */
static uint16_t
cut(struct soak_seg *seg, uint32_t len)
{
	const uint16_t n = RTE_MIN(1 + soak_random(chance(4) ? SOAK_MAX_SEGS : 4), len);
	uint32_t left = len - n;
	uint16_t i;

	for (i = 0; i < n; i++) {
		seg[i].len = 1 + (i == n - 1 ? left : soak_random(RTE_MIN(left, 2 * len / n) + 1));
		left -= seg[i].len - 1;
	}
	return n;
}

static void
random_op(struct soak_op *op)
{
	op->kind = soak_random(3);
	op->len = random_len();
	op->pattern = (uint64_t)soak_random(UINT32_MAX) << 32 | soak_random(UINT32_MAX);
	op->bad_src = op->kind != SOAK_FILL && chance(2000) && option.device == NULL;
	op->bad_dst = chance(4000) && !op->bad_src && option.device == NULL;
	op->nb_src = op->kind == SOAK_FILL ? 0 : 1;
	op->nb_dst = 1;
	op->src[0].len = op->dst[0].len = op->len;
	if (op->kind == SOAK_SG) {
		op->len = RTE_MIN(op->len, 60000u);
		op->nb_src = cut(op->src, op->len);
		op->nb_dst = cut(op->dst, op->len);
	}
}

static void
to_sge(const struct soak_seg *seg, uint16_t n, struct rte_dma_sge *sge, bool bad)
{
	const uint16_t which = soak_random(n);
	uint16_t i;

	for (i = 0; i < n; i++) {
		sge[i].addr = bad && i == which ? BAD_IOVA : soak_iova(seg[i].offset);
		sge[i].length = seg[i].len;
	}
}

static int
enqueue(const struct soak_op *op, uint64_t flags)
{
	struct rte_dma_sge src[SOAK_MAX_SEGS], dst[SOAK_MAX_SEGS];

	to_sge(op->dst, op->nb_dst, dst, op->bad_dst);
	if (op->kind == SOAK_FILL)
		return rte_dma_fill(dev_id, 0, op->pattern, dst[0].addr, op->len, flags);
	to_sge(op->src, op->nb_src, src, op->bad_src);
	if (op->kind == SOAK_COPY)
		return rte_dma_copy(dev_id, 0, src[0].addr, dst[0].addr, op->len, flags);
	return rte_dma_copy_sg(dev_id, 0, src, dst, op->nb_src, op->nb_dst, flags);
}

static bool
enqueue_one(void)
{
	struct soak_op *op = op_at(enqueued);
	const struct soak_op *from = NULL;
	bool fenced = chance(10);
	int idx;

	random_op(op);
	/* Copy what one of the last ones writes. */
	if (fenced && op->kind == SOAK_COPY && enqueued - reported > 8)
		from = op_at(enqueued - 1 - soak_random(8));
	if (!soak_place(op, fenced, from))
		return true; /* memory is full of operations under way */
	idx = enqueue(op, (fenced ? RTE_DMA_OP_FLAG_FENCE : 0) | (chance(16) ? RTE_DMA_OP_FLAG_SUBMIT : 0));
	if (idx == -ENOSPC)
		return false;
	if (idx == -EINVAL && op->len > 100 * max_len)
		return true; /* more descriptors than a small ring has */
	if (idx != next_idx)
		fail("enqueue: %d, expected %u", idx, next_idx);
	soak_claim(op);
	next_idx++;
	enqueued++;
	total.ops++;
	total.bytes += op->len;
	return true;
}

/* Poll */

static void
report(enum rte_dma_status_code status)
{
	const struct soak_op *op = op_at(reported);

	if (reported == enqueued)
		fail("more reported than enqueued");
	reported++;
	if (status == RTE_DMA_STATUS_SUCCESSFUL) {
		if (op->bad_src || op->bad_dst)
			fail("reported as done, but has an address that is not mapped");
		if (soak_done(op) != 0)
			fail("data of operation %" PRIu64 ", kind %d, length %u", reported - 1, op->kind,
				op->len);
		return;
	}
	total.failed++;
	if (!(op->bad_src && status == RTE_DMA_STATUS_INVALID_SRC_ADDR) &&
			!(op->bad_dst && status == RTE_DMA_STATUS_INVALID_DST_ADDR)) {
		if ((unsigned int)status >= RTE_DIM(injected) || injected[status] == 0)
			fail("operation %" PRIu64 " failed with status %d for no reason", reported - 1, status);
		injected[status]--;
	}
	soak_failed(op);
}

static uint16_t
poll_device(void)
{
	const uint16_t max = chance(4) ? 1 : chance(2) ? 1 + soak_random(64) : OPS;
	static enum rte_dma_status_code status[OPS];
	uint16_t n = 0, count, idx, i;
	bool has_error = false;

	if (chance(2)) {
		n = rte_dma_completed(dev_id, 0, max, &idx, &has_error);
		for (i = 0; i < n; i++)
			report(RTE_DMA_STATUS_SUCCESSFUL);
		if (idx != (uint16_t)(reported - 1))
			fail("completed: last_idx %u, expected %u", idx, (uint16_t)(reported - 1));
		if (!has_error)
			return n;
	}
	count = rte_dma_completed_status(dev_id, 0, max, &idx, status);
	if (has_error && (count == 0 || status[0] == RTE_DMA_STATUS_SUCCESSFUL))
		fail("completed: has_error, but the next is none");
	for (i = 0; i < count; i++)
		report(status[i]);
	if (idx != (uint16_t)(reported - 1))
		fail("completed_status: last_idx %u, expected %u", idx, (uint16_t)(reported - 1));
	return n + count;
}

static void
poll_and_watch(void)
{
	const uint64_t now = rte_get_timer_cycles();

	if (poll_device() > 0 || enqueued == reported)
		last_progress = now;
	else if (now - last_progress > STUCK_S * rte_get_timer_hz())
		fail("nothing completed for %d s, %" PRIu64 " under way", STUCK_S, enqueued - reported);
}

static void
drain(void)
{
	rte_dma_submit(dev_id, 0);
	last_progress = rte_get_timer_cycles();
	while (reported < enqueued) {
		if (option.step)
			rte_pmd_cbdma_step(dev_id, 1 + soak_random(1000));
		poll_and_watch();
	}
}

/* Memory that DPDK gets and gives back while the device runs. */
static void
other_memory(void)
{
	uint8_t *mem = rte_malloc(NULL, 3u << 20, 64);
	bool has_error = false;
	uint16_t n = 0;

	if (mem == NULL)
		return;
	drain();
	if (rte_dma_fill(dev_id, 0, 0x42, rte_malloc_virt2iova(mem), 1,
				RTE_DMA_OP_FLAG_SUBMIT) != next_idx)
		fail("enqueue");
	clear_injected();
	for (last_progress = rte_get_timer_cycles(); n == 0 && !has_error;) {
		if (option.step)
			rte_pmd_cbdma_step(dev_id, 1);
		n = rte_dma_completed(dev_id, 0, 1, NULL, &has_error);
		if (rte_get_timer_cycles() - last_progress > STUCK_S * rte_get_timer_hz())
			fail("fill of new memory is lost");
	}
	if (has_error || mem[0] != 0x42)
		fail("fill of new memory");
	next_idx++;
	enqueued++;
	reported++;
	rte_free(mem);
}

static void
soak(void)
{
	const uint64_t begin = rte_get_timer_cycles(), hz = rte_get_timer_hz();
	uint64_t now = begin, next_print = begin + 2 * hz, next_restart = 1000, i;
	const char *eol = isatty(STDOUT_FILENO) ? "\r" : "\n";

	for (i = 0; total.ops < option.ops; i++) {
		if (chance(2)) {
			unsigned int n = 1 + soak_random(chance(10) ? 1000 : 32);

			while (n-- > 0 && enqueue_one())
				;
		}
		if (chance(2) && rte_dma_submit(dev_id, 0) != 0)
			fail("submit");
		if (option.step && chance(2))
			rte_pmd_cbdma_step(dev_id, soak_random(chance(4) ? 2000 : 40));
		if (chance(2))
			poll_and_watch();
		if (chance(5000) && option.device == NULL)
			inject();
		if (chance(20000))
			other_memory();
		if (total.ops >= next_restart) {
			next_restart = total.ops + soak_random(100000);
			if (chance(2))
				drain();
			restart();
		}
		if (i % 64 == 0)
			now = rte_get_timer_cycles();
		if (now >= next_print) {
			printf("soak: %" PRIu64 " s, %.1f M operations, %.2f GB, %" PRIu64 " failed, %" PRIu64
				" restarts %s", (now - begin) / hz, total.ops / 1e6, total.bytes / 1e9,
				total.failed, total.restarts, eol);
			fflush(stdout);
			next_print += 2 * hz;
		}
		if (option.seconds != 0 && now - begin >= option.seconds * hz)
			break;
	}
	drain();
	restart();
}

static void
usage(const char *name)
{
	printf("usage: %s [EAL arguments] -- [--seconds S] [--ops N] [--seed N] [--step]\n"
	       "       [--ring N] [--device NAME]\n"
	       "  --seconds S  stop after S seconds (without this and --ops: 60)\n"
	       "  --ops N      stop after N operations\n"
	       "  --seed N     what random numbers start from; with --step the run replays exactly\n"
	       "  --step       run the device in this thread, not in an engine's\n"
	       "  --ring N     descriptors of each ring (without this: all sizes)\n"
	       "  --device NAME  a DMA device that EAL found, and no faults (without this: models)\n",
	       name);
}

static int
parse(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
		{"ops", required_argument, NULL, 'o'}, {"seed", required_argument, NULL, 'r'},
		{"step", no_argument, NULL, 't'}, {"ring", required_argument, NULL, 'n'},
		{"device", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0}};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			option.seconds = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			option.ops = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			option.seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			option.step = true;
			break;
		case 'n':
			option.ring = strtoul(optarg, NULL, 0);
			break;
		case 'd':
			option.device = optarg;
			break;
		default:
			return -1;
		}
	}
	if (option.seconds == 0 && option.ops == UINT64_MAX)
		option.seconds = 60;
	return optind == argc && !(option.step && option.device != NULL) ? 0 : -1;
}

int
main(int argc, char **argv)
{
	struct timespec now;
	int n;

	n = rte_eal_init(argc, argv);
	if (n < 0) {
		printf("EAL does not start (%s): are there free hugepages, is this root?\n",
			rte_strerror(rte_errno));
		return 77;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	option.seed = (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	if (parse(argc - n, argv + n) != 0) {
		usage(argv[0]);
		return EXIT_FAILURE;
	}
	/* Warnings are of what is done here on purpose: a device that stands still, and so on. */
	rte_log_set_level_pattern("pmd.dma.cbdma", RTE_LOG_ERR);
	rte_log_set_level_pattern("lib.dmadev", RTE_LOG_ERR);
	soak_seed(option.seed);
	op_ring = calloc(OPS, sizeof(*op_ring));
	if (op_ring == NULL || soak_memory_create() != 0) {
		printf("no memory: are there %u MB in hugepages?\n", (SOAK_ARENA >> 20) + 32);
		return 77;
	}
	printf("soak: --seed %" PRIu64 "%s, IOVA as %s\n", option.seed, option.step ? " --step" : "",
		rte_eal_iova_mode() == RTE_IOVA_PA ? "PA" : "VA");
	create();
	soak();
	if (option.device == NULL)
		rte_vdev_uninit(NAME);
	else
		rte_dma_stop(dev_id);
	printf("\nsoak: passed: %" PRIu64 " operations, %.2f GB, %" PRIu64 " failed as they should, %" PRIu64
		" faults injected, %" PRIu64 " restarts\n", total.ops, total.bytes / 1e9, total.failed,
		total.injected, total.restarts);
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}
