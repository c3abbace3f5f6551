/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Traffic for the back end of examples/vhost-echo: packets go to a guest that sends them back, and each
 * is looked at, its order and every byte. The guest is another process (testpmd with virtio-user), or
 * virtio-user in this thread, which measures what the back end costs whatever the guest does.
 */

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_lcore.h>

#include "backend.h"
#include "example.h"

#define PACKETS	  8192
#define ROOM	  2048
#define LENGTH_MIN 64
#define LENGTH_MAX 9000
#define QUEUE	  2048
#define WINDOW	  320 /* packets at the guest: as a long one takes six descriptors, it has enough */
#define PROBE	  UINT64_MAX /* number of packets before all others */
#define PATIENCE  60 /* seconds without a packet */

static const char usage[] =
	"usage: vhost-traffic [EAL options --] [options] SOCKET\n"
	"  -c            the CPU copies, not the first DMA device\n"
	"  -n PACKETS    so many (1000000)\n"
	"  -t SECONDS    fewer when these are over, but a tenth at least\n"
	"  -l MIN,MAX    so long (64,9000)\n"
	"  -s            some may be spoilt: as many as operations failed, and one has to\n"
	"  -k            the guest goes and comes back; counted from then on\n"
	"  -b            only one packet of 64 is written and looked at as a whole\n"
	"  -g ARGUMENTS  the guest is a net_virtio_user with these, in this thread\n"
	"  -r BYTES      room in the mbufs of that guest (2048)\n";

struct head {
	struct rte_ether_hdr ethernet;
	uint64_t number;
} __attribute__((packed, aligned(2)));

static struct {
	uint64_t packets;
	unsigned int seconds; /* 0: as long as it takes */
	uint32_t min, max;
	bool may_spoil, may_go;
	const char *guest;
	uint16_t guest_room;
	unsigned int sample;
} conf = {.packets = 1000000, .sample = 1, .min = LENGTH_MIN, .max = LENGTH_MAX, .guest_room = ROOM};

/* What packets consist of: each takes it from a place of its own on. */
static uint8_t bytes[2 * 65536];

static uint64_t sent, received, spoilt, vanished, guests, cycles;
static bool answered; /* the guest sends packets back; testpmd throws away what it finds at first */
static uint64_t until = UINT64_MAX; /* so many have been received */
static double begun; /* the first of them; 0: not yet */
static bool time_is_up;
static struct rte_mempool *pool;

static uint32_t
length_of(uint64_t number)
{
	return conf.min + (number * 2654435761u >> 8) % (conf.max - conf.min + 1);
}

static const uint8_t *
bytes_of(uint64_t number)
{
	return bytes + number * 61 % 65536;
}

static struct rte_mbuf *
make_packet(uint64_t number)
{
	const uint32_t length = length_of(number);
	struct rte_mbuf *packet = rte_pktmbuf_alloc(pool), *segment = packet;
	uint32_t done, n;
	struct head *head;

	for (done = 0; segment != NULL; done += n) {
		n = RTE_MIN(length - done, (uint32_t)rte_pktmbuf_tailroom(segment));
		if (number % conf.sample == 0)
			memcpy(rte_pktmbuf_mtod(segment, void *), bytes_of(number) + done, n);
		segment->data_len = n;
		packet->pkt_len = done + n;
		if (done + n == length)
			break;
		segment->next = rte_pktmbuf_alloc(pool);
		segment = segment->next;
		packet->nb_segs++;
	}
	if (segment == NULL)
		example_fail("there are no mbufs left");
	head = rte_pktmbuf_mtod(packet, struct head *);
	memset(head, 0, sizeof(*head));
	head->ethernet.dst_addr.addr_bytes[0] = 2;
	head->ethernet.src_addr.addr_bytes[0] = 2;
	head->ethernet.ether_type = rte_cpu_to_be_16(0x88b5);
	head->number = number;
	return packet;
}

/* @return what is wrong with a packet; NULL: nothing. */
static const char *
check_packet(const struct rte_mbuf *packet, uint64_t number)
{
	const struct rte_mbuf *segment;
	uint32_t done = 0, skip = sizeof(struct head);

	if (packet->pkt_len != length_of(number))
		return "its length";
	if (rte_pktmbuf_mtod(packet, const struct head *)->number != number)
		return "its number";
	if (number % conf.sample != 0)
		return NULL;
	for (segment = packet; segment != NULL; segment = segment->next) {
		if (memcmp(rte_pktmbuf_mtod(segment, const uint8_t *) + skip,
				bytes_of(number) + done + skip, segment->data_len - skip) != 0)
			return "what is in it";
		done += segment->data_len;
		skip = 0;
	}
	return done == length_of(number) ? NULL : "the lengths of its segments";
}

/* The guest in this thread */

static uint16_t guest_port;
static uint64_t guest_dropped;

static void
make_guest(const char *path)
{
	const struct rte_eth_conf eth_conf = {
		.rxmode.mtu = LENGTH_MAX,
		.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER,
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
	};
	struct rte_mempool *guest_pool = rte_pktmbuf_pool_create("guest", PACKETS, 256, 0,
		conf.guest_room + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	char args[512];

	snprintf(args, sizeof(args), "path=%s,queue_size=%d%s%s", path, QUEUE,
		conf.guest[0] == '\0' ? "" : ",", conf.guest);
	if (guest_pool == NULL || rte_eal_hotplug_add("vdev", "net_virtio_user0", args) != 0 ||
			rte_eth_dev_get_port_by_name("net_virtio_user0", &guest_port) != 0 ||
			rte_eth_dev_configure(guest_port, 1, 1, &eth_conf) != 0 ||
			rte_eth_rx_queue_setup(guest_port, 0, QUEUE, SOCKET_ID_ANY, NULL, guest_pool) != 0 ||
			rte_eth_tx_queue_setup(guest_port, 0, QUEUE, SOCKET_ID_ANY, NULL) != 0 ||
			rte_eth_dev_start(guest_port) != 0)
		example_fail("there is no guest: net_virtio_user0,%s", args);
}

static void
run_guest(void)
{
	struct rte_mbuf *packets[BACKEND_BURST];
	uint16_t n, taken;

	n = rte_eth_rx_burst(guest_port, 0, packets, RTE_DIM(packets));
	taken = n == 0 ? 0 : rte_eth_tx_burst(guest_port, 0, packets, n);
	rte_pktmbuf_free_bulk(packets + taken, n - taken);
	guest_dropped += n - taken;
}

/* The back end */

static void
probe(void)
{
	static double last;
	struct rte_mbuf *packet;

	backend_poll();
	if (example_seconds() - last < 0.05)
		return;
	last = example_seconds();
	packet = make_packet(PROBE);
	if (backend_send(&packet, 1) == 0)
		rte_pktmbuf_free(packet);
}

/* What has been sent is waited for then. */
static void
watch_time(void)
{
	const double now = example_seconds();

	if (begun == 0)
		begun = now;
	if (until == UINT64_MAX || now - begun < conf.seconds ||
			sent + conf.packets - until < conf.packets / 10)
		return;
	time_is_up = sent < until;
	until = sent;
}

/* @return packets that moved. */
static unsigned int
send_some(void)
{
	static struct rte_mbuf *waiting[BACKEND_BURST];
	static uint16_t first, count;
	unsigned int moved = 0;
	uint64_t start;
	uint16_t n;

	if (count == 0) {
		const uint64_t room = WINDOW - (sent - received);

		if (conf.seconds > 0 && !time_is_up)
			watch_time();
		first = 0;
		count = RTE_MIN(RTE_MIN(room, until - sent), (uint64_t)BACKEND_BURST);
		for (n = 0; n < count; n++)
			waiting[n] = make_packet(sent + n);
	}
	start = rte_rdtsc();
	if (count > 0) {
		n = backend_send(waiting + first, count);
		first += n;
		count -= n;
		sent += n;
		moved = n;
	}
	moved += backend_poll();
	if (moved > 0)
		cycles += rte_rdtsc() - start;
	return moved;
}

static unsigned int
receive_some(void)
{
	struct rte_mbuf *packets[BACKEND_BURST];
	const uint64_t start = rte_rdtsc();
	const uint16_t n = backend_receive(packets, RTE_DIM(packets));
	const char *wrong;
	uint16_t i;

	if (n > 0)
		cycles += rte_rdtsc() - start;
	for (i = 0; i < n; i++) {
		if (rte_pktmbuf_mtod(packets[i], struct head *)->number == PROBE) {
			answered = true;
			continue;
		}
		wrong = received < sent ? check_packet(packets[i], received) : "that it is there";
		if (wrong != NULL && !conf.may_spoil)
			example_fail("packet %" PRIu64 " of %u bytes, which says that it is number %"
				PRIu64 ": %s", received, packets[i]->pkt_len,
				rte_pktmbuf_mtod(packets[i], struct head *)->number, wrong);
		spoilt += wrong != NULL;
		received++;
	}
	rte_pktmbuf_free_bulk(packets, n);
	return n;
}

/* Packets that a guest took along when it went. */
static void
guest_is_new(void)
{
	vanished += sent - received;
	received = sent;
	answered = false;
	if (guests++ > 0 && !conf.may_go)
		example_fail("the guest has gone with %" PRIu64 " packets", vanished);
	/* As many for a guest that is back. */
	until = conf.may_go && guests == 1 ? UINT64_MAX : received + conf.packets;
	begun = 0;
}

static void
run(void)
{
	double last = example_seconds();
	bool there = false;

	while (!example_stop && received < until) {
		unsigned int moved = 0;

		if (backend_enter()) {
			if (!there)
				guest_is_new();
			there = true;
			if (answered)
				moved = send_some();
			else
				probe();
			moved += receive_some();
		} else {
			there = false;
		}
		backend_leave();
		if (conf.guest != NULL)
			run_guest();
		else if (moved == 0)
			sched_yield();
		if (moved > 0)
			last = example_seconds();
		else if (example_seconds() - last > PATIENCE)
			example_fail("no packet for %d seconds: sent %" PRIu64 ", received %" PRIu64
				", at the guest %" PRIu64, PATIENCE, sent, received, guest_dropped);
		example_progress("%" PRIu64 " packets", received);
	}
}

static uint64_t
failed_operations(int16_t dma_id)
{
	struct rte_dma_stats stats = {0};

	if (dma_id >= 0)
		rte_dma_stats_get(dma_id, 0, &stats);
	return stats.errors;
}

static void
parse(int argc, char **argv, bool *by_cpu)
{
	int option;
	char rest;

	while ((option = getopt(argc, argv, "cn:t:l:skbg:r:")) != -1) {
		switch (option) {
		case 'c':
			*by_cpu = true;
			break;
		case 'n':
			conf.packets = example_number(optarg, option, 1, 1e12);
			break;
		case 't':
			conf.seconds = example_number(optarg, option, 1, 1e6);
			break;
		case 'l':
			if (sscanf(optarg, "%u,%u%c", &conf.min, &conf.max, &rest) != 2 ||
					conf.min < sizeof(struct head) || conf.min > conf.max ||
					conf.max > LENGTH_MAX)
				example_misuse("-l %s: takes two numbers up to %d", optarg, LENGTH_MAX);
			break;
		case 's':
			conf.may_spoil = true;
			break;
		case 'k':
			conf.may_go = true;
			break;
		case 'b':
			conf.sample = 64;
			break;
		case 'g':
			conf.guest = optarg;
			break;
		case 'r':
			conf.guest_room = example_number(optarg, option, 256, 32768);
			break;
		default:
			example_misuse("no such option");
		}
	}
	if (optind + 1 != argc)
		example_misuse("one SOCKET");
}

int
main(int argc, char **argv)
{
	bool by_cpu = false;
	int16_t dma_id;
	double start;
	uint64_t failed;
	unsigned int i;

	example_begin(&argc, &argv, usage);
	parse(argc, argv, &by_cpu);
	dma_id = by_cpu ? -1 : rte_dma_next_dev(0);
	if (!by_cpu && dma_id < 0)
		example_fail("there is no DMA device");
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = i < 65536 ? i * 2654435761u >> 24 : bytes[i - 65536];
	pool = rte_pktmbuf_pool_create("packets", PACKETS, 256, 0, ROOM + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	if (pool == NULL)
		example_fail("there is no memory for %d packets", PACKETS);
	backend_open(argv[optind], dma_id, pool);
	printf("listening at %s\n", argv[optind]);
	fflush(stdout);
	if (conf.guest != NULL)
		make_guest(argv[optind]);
	/* Not the time that the guest takes to come. */
	start = example_seconds();
	while (!example_stop && !backend_enter()) {
		backend_leave();
		usleep(1000);
		if (example_seconds() - start > PATIENCE)
			example_fail("no guest for %d seconds", PATIENCE);
	}
	backend_leave();

	start = example_seconds();
	run();
	start = example_seconds() - start;
	failed = failed_operations(dma_id);
	if (conf.guest != NULL) {
		rte_eth_dev_stop(guest_port);
		rte_eal_hotplug_remove("vdev", "net_virtio_user0");
	}
	backend_close();
	printf("%" PRIu64 " packets, %" PRIu64 " spoilt, %" PRIu64 " gone with the guest, %" PRIu64
		" operations failed%s\n", received, spoilt, vanished, failed,
		time_is_up ? ", time is up" : "");
	printf("%.3f Mpps, %.0f cycles a packet\n", received / start / 1e6,
		(double)cycles / RTE_MAX(received, UINT64_C(1)));
	if (spoilt > failed || (conf.may_spoil && failed == 0))
		example_fail("%" PRIu64 " packets are spoilt and %" PRIu64 " operations failed", spoilt,
			failed);
	return example_end(EXIT_SUCCESS);
}
