/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * A vhost back end that sends a guest's packets back to it. Where its copies are made by a DMA device
 * is backend.c.
 */

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_dmadev.h>
#include <rte_lcore.h>

#include "backend.h"
#include "example.h"

#define PACKETS	 16384
#define ROOM	 2048 /* for data, of one mbuf; a longer packet takes several */

static const char usage[] =
	"usage: vhost-echo [EAL options --] [-c] SOCKET\n"
	"Listens at SOCKET for a guest with a network device (QEMU's vhost-user, DPDK's virtio-user)\n"
	"and sends its packets back to it. Copies are made by the first DMA device; -c: by the CPU.\n";

static void
echo(uint64_t *echoed)
{
	struct rte_mbuf *packets[BACKEND_BURST];
	uint16_t n, sent = 0;

	n = backend_receive(packets, RTE_DIM(packets));
	if (n > 0)
		sent = backend_send(packets, n);
	/* A guest that does not fetch its packets loses them. */
	rte_pktmbuf_free_bulk(packets + sent, n - sent);
	*echoed += sent;
	if (backend_poll() == 0 && n == 0)
		sched_yield();
}

int
main(int argc, char **argv)
{
	struct rte_mempool *pool;
	bool by_cpu = false;
	uint64_t echoed = 0;
	int option;

	example_begin(&argc, &argv, usage);
	while ((option = getopt(argc, argv, "c")) != -1) {
		if (option != 'c')
			example_misuse("no such option");
		by_cpu = true;
	}
	if (optind + 1 != argc)
		example_misuse("one SOCKET");
	if (!by_cpu && rte_dma_next_dev(0) < 0)
		example_fail("there is no DMA device: give EAL options, as --vdev=dma_skeleton0, then --");
	pool = rte_pktmbuf_pool_create("packets", PACKETS, 256, 0, ROOM + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	if (pool == NULL)
		example_fail("there is no memory for %d packets", PACKETS);
	backend_open(argv[optind], by_cpu ? -1 : rte_dma_next_dev(0), pool);
	printf("listening at %s\n", argv[optind]);
	fflush(stdout);

	while (!example_stop) {
		if (backend_enter())
			echo(&echoed);
		else
			sched_yield();
		backend_leave();
		example_progress("%" PRIu64 " packets", echoed);
	}
	backend_close();
	printf("%" PRIu64 " packets\n", echoed);
	return example_end(EXIT_SUCCESS);
}
