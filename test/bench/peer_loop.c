/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Counts the instructions that any dmadev takes for an operation, in the same loop: enqueue 32 copies
 * of 64 bytes, submit, let the device finish, poll.
 *
 *     peer_loop EAL-ARGUMENTS... -- DEVICE
 *
 * Counted by the CPU's trap flag: a signal after each instruction. callgrind counts the same, but
 * cannot run with hugepages, without which there are no physical addresses for dma_ioat.
 */

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_dmadev.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#define RING   1024
#define BURST  32
#define ROUNDS 128 /* the ring is gone round several times */
#define LEN    64

static int16_t dev_id;
static rte_iova_t src, dst;
static unsigned int failures;

static void __attribute__((noinline))
nothing(void)
{
	__asm__ volatile("");
}

static void __attribute__((noinline))
enqueue(void)
{
	unsigned int i;

	for (i = 0; i < BURST; i++)
		if (rte_dma_copy(dev_id, 0, src + i * LEN, dst + i * LEN, LEN, 0) < 0)
			failures++;
}

static void __attribute__((noinline))
submit(void)
{
	if (rte_dma_submit(dev_id, 0) != 0)
		failures++;
}

static void __attribute__((noinline))
poll_all(void)
{
	uint16_t last;
	bool error = false;

	if (rte_dma_completed(dev_id, 0, BURST, &last, &error) != BURST || error)
		failures++;
}

static volatile uint64_t steps;

static void
count_step(int sig)
{
	(void)sig;
	steps++;
}

/* Below what the compiler may keep under the stack pointer. */
#define TRAP_FLAG_ON                                                                               \
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"      \
			 "lea 128(%%rsp), %%rsp" ::: "memory", "cc")
#define TRAP_FLAG_OFF                                                                              \
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"     \
			 "lea 128(%%rsp), %%rsp" ::: "memory", "cc")

static uint64_t
count(void (*phase)(void))
{
	uint64_t before = steps;

	TRAP_FLAG_ON;
	phase();
	TRAP_FLAG_OFF;
	return steps - before;
}

/* Not counted. */
static void
wait_idle(void)
{
	enum rte_dma_vchan_status status = RTE_DMA_VCHAN_ACTIVE;
	unsigned int tries;

	for (tries = 0; tries < 5000 && status == RTE_DMA_VCHAN_ACTIVE; tries++) {
		usleep(200);
		if (rte_dma_vchan_status(dev_id, 0, &status) != 0)
			status = RTE_DMA_VCHAN_ACTIVE;
	}
}

static void
die(const char *what)
{
	fprintf(stderr, "peer_loop: %s\n", what);
	exit(1);
}

int
main(int argc, char **argv)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	const struct rte_dma_vchan_conf vchan = {
		.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = RING};
	int used = rte_eal_init(argc, argv);
	uint64_t enqueues = 0, submits = 0, polls = 0, base = 0;
	const double ops = ROUNDS * BURST;
	unsigned int round;
	void *memory;

	if (used < 0 || used + 1 >= argc)
		die("usage: peer_loop EAL-ARGUMENTS... -- DEVICE");
	dev_id = rte_dma_get_dev_id_by_name(argv[used + 1]);
	if (dev_id < 0)
		die("no such device");
	memory = rte_malloc(NULL, 2 * BURST * LEN, 64);
	if (memory == NULL || rte_dma_configure(dev_id, &conf) != 0 ||
			rte_dma_vchan_setup(dev_id, 0, &vchan) != 0 || rte_dma_start(dev_id) != 0)
		die("cannot set up the device");
	src = rte_malloc_virt2iova(memory);
	dst = src + BURST * LEN;

	signal(SIGTRAP, count_step);
	usleep(20000);
	for (round = 0; round < ROUNDS; round++) {
		base += count(nothing);
		enqueues += count(enqueue);
		submits += count(submit);
		wait_idle();
		polls += count(poll_all);
	}
	if (failures != 0)
		die("operations failed");
	printf("enqueue %.1f submit %.1f poll %.1f total %.1f instructions/op\n",
		(enqueues - base) / ops, (submits - base) / ops, (polls - base) / ops,
		(enqueues + submits + polls - 3 * base) / ops);
	return 0;
}
