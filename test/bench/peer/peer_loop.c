/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * The same loop for any dmadev, for peer.sh to count instructions in: enqueue 32 copies of 64 bytes,
 * submit, let the device finish, poll.
 *
 *     peer_loop EAL-ARGUMENTS... -- DEVICE
 */

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

/* What callgrind is told to count: one of these three in a run. */
void peer_enqueue(void);
void peer_submit(void);
void peer_poll(void);

void __attribute__((noinline))
peer_enqueue(void)
{
	unsigned int i;

	for (i = 0; i < BURST; i++)
		if (rte_dma_copy(dev_id, 0, src + i * LEN, dst + i * LEN, LEN, 0) < 0)
			failures++;
}

void __attribute__((noinline))
peer_submit(void)
{
	if (rte_dma_submit(dev_id, 0) != 0)
		failures++;
}

void __attribute__((noinline))
peer_poll(void)
{
	uint16_t last;
	bool error = false;

	if (rte_dma_completed(dev_id, 0, BURST, &last, &error) != BURST || error)
		failures++;
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

	usleep(20000);
	for (round = 0; round < ROUNDS; round++) {
		peer_enqueue();
		peer_submit();
		usleep(10000);
		peer_poll();
	}
	printf("%u operations, %u failures\n", ROUNDS * BURST, failures);
	return failures != 0;
}
