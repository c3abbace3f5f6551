/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Duplicates packets by DMA: reads them from a pcap file, copies each, chains of mbufs included, and
 * writes the copies to a second file, which must hold the same packets.
 *
 * The packets come and go through DPDK's pcap driver. Small mbufs make chains of all but small packets;
 * the copies have mbufs of another size, so that the two sides of a transfer are split differently.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "example.h"

#define MBUFS	   4095
#define BURST	   32
#define UNDER_WAY  256
#define IN_SEGMENT 256
#define OUT_SEGMENT 192
#define LONGEST	   65535

static const char usage[] =
	"usage: packet-mirror [EAL options --] IN.pcap OUT.pcap\n"
	"Copies each packet of IN.pcap by DMA and writes the copies to OUT.pcap; then compares the two.\n"
	"Times of arrival are not kept: DPDK's pcap driver writes its own.\n";

/* A packet under way. They finish in the order of their submission, so these go round. */
struct mirrored {
	struct ce_transfer transfer;
	struct rte_mbuf *original, *copy;
};

static struct mirrored ring[UNDER_WAY];
static uint64_t head, tail; /* submitted, sent */
static uint64_t bytes, segments;
static uint16_t port;

static void
port_start(const char *in, const char *out, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	char args[8192];

	snprintf(args, sizeof(args), "rx_pcap=%s,tx_pcap=%s", in, out);
	if (strpbrk(in, ",[]\"") != NULL || strpbrk(out, ",[]\"") != NULL)
		example_fail("the pcap driver does not take file names with , [ ] or \"");
	if (rte_vdev_init("net_pcap_mirror", args) < 0)
		example_fail("the pcap driver refuses %s or %s (or is not installed: librte-net-pcap)",
			in, out);
	if (rte_eth_dev_get_port_by_name("net_pcap_mirror", &port) < 0)
		example_fail("the pcap driver has made no port");
	if (rte_eth_dev_configure(port, 1, 1, &conf) < 0 ||
		rte_eth_rx_queue_setup(port, 0, 64, SOCKET_ID_ANY, NULL, pool) < 0 ||
		rte_eth_tx_queue_setup(port, 0, 64, SOCKET_ID_ANY, NULL) < 0 ||
		rte_eth_dev_start(port) < 0)
		example_fail("the pcap port does not start");
}

/* A chain with room for length bytes. */
static struct rte_mbuf *
chain_alloc(struct rte_mempool *pool, uint32_t length)
{
	struct rte_mbuf *first = NULL, *m;
	uint32_t part;

	do {
		m = rte_pktmbuf_alloc(pool);
		if (m == NULL)
			break;
		part = RTE_MIN(length, rte_pktmbuf_tailroom(m));
		rte_pktmbuf_append(m, part);
		length -= part;
		if (first == NULL) {
			first = m;
		} else if (rte_pktmbuf_chain(first, m) < 0) {
			rte_pktmbuf_free(m);
			break;
		}
	} while (length > 0);
	if (first != NULL && length > 0) {
		rte_pktmbuf_free(first);
		first = NULL;
	}
	return first;
}

/* Start the copy of a packet. */
static void
mirror(struct ce_adapter *adapter, struct rte_mempool *pool, struct rte_mbuf *packet)
{
	struct mirrored *m = &ring[head % UNDER_WAY];

	m->original = packet;
	m->copy = chain_alloc(pool, packet->pkt_len);
	if (m->copy == NULL)
		example_fail("no mbufs for a copy of %u bytes", packet->pkt_len);
	m->transfer = (struct ce_transfer){
		.src = ce_sglist_build_mbuf(adapter, packet),
		.dst = ce_sglist_build_mbuf(adapter, m->copy),
		.length = packet->pkt_len,
		.flags = CE_TRANSFER_MORE,
	};
	bytes += packet->pkt_len;
	segments += packet->nb_segs;
	if (m->transfer.src == NULL || m->transfer.dst == NULL ||
		ce_transfer_submit(adapter, &m->transfer) < 0)
		example_fail("packet %" PRIu64 " cannot be copied", head);
	head++;
}

/* Send the copies that are ready, in order. */
static void
send_ready(void)
{
	struct mirrored *m;

	for (; tail != head; tail++) {
		m = &ring[tail % UNDER_WAY];
		if (m->transfer.status == -EINPROGRESS)
			return;
		if (m->transfer.status != 0)
			example_fail("the copy of packet %" PRIu64 " failed at byte %" PRIu64, tail,
				m->transfer.failed_at);
		ce_sglist_free(m->transfer.src);
		ce_sglist_free(m->transfer.dst);
		rte_pktmbuf_free(m->original);
		if (rte_eth_tx_burst(port, 0, &m->copy, 1) != 1)
			example_fail("packet %" PRIu64 " cannot be written", tail);
	}
}

static void
mirror_all(struct ce_adapter *adapter, struct rte_mempool *pool)
{
	struct rte_mbuf *packets[BURST];
	uint16_t i, n = 1;

	while ((n > 0 && !example_stop) || tail != head) {
		if (n > 0 && !example_stop && head - tail <= UNDER_WAY - BURST) {
			/* The end of a file is a burst of nothing. */
			n = rte_eth_rx_burst(port, 0, packets, BURST);
			for (i = 0; i < n; i++)
				mirror(adapter, pool, packets[i]);
		}
		ce_poll(adapter);
		send_ready();
	}
}

/* A record of a pcap file: its header and data, whatever the resolution of the times. */
struct record {
	uint32_t seconds, fraction, captured, length;
	uint8_t data[LONGEST * 4];
};

static FILE *
pcap_open(const char *path)
{
	uint32_t header[6];
	FILE *f = fopen(path, "rb");

	if (f == NULL || fread(header, sizeof(header), 1, f) != 1)
		example_fail("cannot read %s", path);
	if (header[0] != 0xa1b2c3d4 && header[0] != 0xa1b23c4d) {
		fclose(f);
		return NULL;
	}
	return f;
}

static bool
record_read(FILE *f, struct record *r)
{
	if (fread(r, 16, 1, f) != 1)
		return false;
	return r->captured <= sizeof(r->data) && fread(r->data, 1, r->captured, f) == r->captured;
}

/* Packets that are the same in both; ends the program when there is one that is not. */
static uint64_t
compare(const char *in, const char *out)
{
	static struct record a, b;
	FILE *fa = pcap_open(in), *fb = pcap_open(out);
	uint64_t count = 0;
	bool more;

	if (fa == NULL || fb == NULL) {
		printf("not compared: %s is not a classic pcap file of this byte order\n", in);
		return head;
	}
	for (;; count++) {
		more = record_read(fa, &a);
		if (more != record_read(fb, &b))
			example_fail("%s has %s packets", out, more ? "fewer" : "more");
		if (!more)
			break;
		if (a.captured != b.captured || memcmp(a.data, b.data, a.captured) != 0)
			example_fail("packet %" PRIu64 " differs", count);
	}
	fclose(fa);
	fclose(fb);
	return count;
}

int
main(int argc, char **argv)
{
	struct rte_mempool *in_pool, *out_pool;
	struct ce_adapter *adapter;
	struct ce_adapter_stats stats;
	const char *in, *out;

	example_begin(&argc, &argv, usage);
	if (argc != 3)
		example_fail("IN.pcap and OUT.pcap are needed, see --help");
	in = argv[1];
	out = argv[2];
	if (access(in, R_OK) < 0)
		example_fail("cannot read %s", in);
	adapter = example_adapter(NULL);
	in_pool = rte_pktmbuf_pool_create("in", MBUFS * 8, 256, 0,
		RTE_PKTMBUF_HEADROOM + IN_SEGMENT, SOCKET_ID_ANY);
	out_pool = rte_pktmbuf_pool_create("out", MBUFS * 8, 256, 0,
		RTE_PKTMBUF_HEADROOM + OUT_SEGMENT, SOCKET_ID_ANY);
	if (in_pool == NULL || out_pool == NULL)
		example_fail("no memory for mbufs: %s", rte_strerror(rte_errno));
	port_start(in, out, in_pool);

	mirror_all(adapter, out_pool);

	/* Closing it writes what is still buffered. */
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
	ce_adapter_stats_get(adapter, &stats);
	ce_adapter_put(adapter);
	if (example_stop) {
		fprintf(stderr, "interrupted after %" PRIu64 " packets\n", head);
		return example_end(EXIT_FAILURE);
	}
	if (compare(in, out) != head)
		example_fail("not all packets were read: is %s damaged?", in);
	printf("%" PRIu64 " packets, %" PRIu64 " bytes in %" PRIu64 " segments, copied in %" PRIu64
	       " operations: the same\n", head, bytes, segments, stats.operations);
	return example_end(EXIT_SUCCESS);
}
