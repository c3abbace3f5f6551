/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Duplicates packets by DMA: reads them from a pcap file, copies each, chains of mbufs included, and
 * writes the copies to a second file, which must hold the same packets.
 *
 * Small mbufs make chains of all but small packets; the copies have mbufs of another size, so that
 * the two sides of a transfer are split differently.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "example.h"

#define MBUFS	    32767
#define UNDER_WAY   256
#define IN_SEGMENT  256
#define OUT_SEGMENT 192
#define LONGEST	    262144 /* libpcap takes no longer packets either */

static const char usage[] =
	"usage: packet-mirror [EAL options --] IN OUT.pcap\n"
	"Copies each packet of IN by DMA and writes the copies to OUT.pcap, then reads both files again\n"
	"and compares the link type and each packet's time, lengths and bytes. OUT.pcap appears, or is\n"
	"replaced, only when they are the same.\n"
	"IN is a pcap file of either byte order, with microseconds or nanoseconds, or a pcapng file with\n"
	"one link type, packets of up to 262144 bytes. OUT.pcap is a pcap file of this machine's order.\n";

/* A packet under way. They finish in the order of their submission, so these go round. */
struct mirrored {
	struct pcap_pkthdr header;
	struct ce_transfer transfer;
	struct rte_mbuf *original, *copy;
};

static struct mirrored ring[UNDER_WAY];
static uint64_t head, tail; /* submitted, written */
static uint64_t bytes, segments;

/* Times keep the resolution of the file; pcapng says it for each interface: the finer one. */
static u_int
precision_of(FILE *f, const char *path)
{
	uint32_t magic = 0;

	if (fread(&magic, sizeof(magic), 1, f) != 1)
		example_fail("cannot read %s: it is no capture", path);
	rewind(f);
	return magic == 0xa1b23c4d || magic == 0x4d3cb2a1 || magic == 0x0a0d0d0a ?
		PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO;
}

static pcap_t *
capture_open(const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	FILE *f = fopen(path, "rb");
	pcap_t *capture;

	if (f == NULL)
		example_fail("cannot read %s: %s", path, strerror(errno));
	capture = pcap_fopen_offline_with_tstamp_precision(f, precision_of(f, path), error);
	if (capture == NULL)
		example_fail("cannot read %s: %s", path, error);
	return capture;
}

/* The next packet; NULL at the end. A file that ends in the middle of a packet is an error. */
static const u_char *
capture_next(pcap_t *capture, const char *path, struct pcap_pkthdr **header)
{
	const u_char *data;
	int ret = pcap_next_ex(capture, header, &data);

	if (ret == PCAP_ERROR)
		example_fail("cannot read %s after %" PRIu64 " packets: %s", path, head,
			pcap_geterr(capture));
	return ret == 1 ? data : NULL;
}

/* A chain with room for length bytes; NULL: there are not enough mbufs now. */
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

static void
chain_write(struct rte_mbuf *chain, const u_char *data)
{
	struct rte_mbuf *m;

	for (m = chain; m != NULL; data += m->data_len, m = m->next)
		memcpy(rte_pktmbuf_mtod(m, void *), data, m->data_len);
}

/* Start the copy of a packet. Returns false when there is no room for it now. */
static bool
mirror(struct ce_adapter *adapter, struct rte_mempool *in_pool, struct rte_mempool *out_pool,
	const struct pcap_pkthdr *header, const u_char *data)
{
	struct mirrored *m = &ring[head % UNDER_WAY];

	if (head - tail == UNDER_WAY)
		return false;
	m->original = chain_alloc(in_pool, header->caplen);
	m->copy = m->original != NULL ? chain_alloc(out_pool, header->caplen) : NULL;
	if (m->copy == NULL) {
		rte_pktmbuf_free(m->original);
		if (head == tail)
			example_fail("no mbufs for a packet of %u bytes", header->caplen);
		return false;
	}
	m->header = *header;
	m->transfer = (struct ce_transfer){.length = header->caplen, .flags = CE_TRANSFER_MORE};
	/* Captures may hold packets of which nothing was kept. */
	if (header->caplen > 0) {
		chain_write(m->original, data);
		m->transfer.src = ce_sglist_build_mbuf(adapter, m->original);
		m->transfer.dst = ce_sglist_build_mbuf(adapter, m->copy);
		if (m->transfer.src == NULL || m->transfer.dst == NULL ||
			ce_transfer_submit(adapter, &m->transfer) < 0)
			example_fail("packet %" PRIu64 " cannot be copied", head);
		segments += m->original->nb_segs;
	}
	bytes += header->caplen;
	head++;
	return true;
}

/* Write the copies that are ready, in order. */
static void
write_ready(pcap_dumper_t *out, const char *path)
{
	static u_char linear[LONGEST];
	struct mirrored *m;

	for (; tail != head; tail++) {
		m = &ring[tail % UNDER_WAY];
		if (m->transfer.status == -EINPROGRESS)
			return;
		if (m->transfer.status != 0)
			example_fail("the copy of packet %" PRIu64 " failed at byte %" PRIu64, tail,
				m->transfer.failed_at);
		pcap_dump((u_char *)out, &m->header,
			rte_pktmbuf_read(m->copy, 0, m->header.caplen, linear));
		if (ferror(pcap_dump_file(out)))
			example_fail("cannot write %s: %s", path, strerror(errno));
		if (m->transfer.length > 0) {
			ce_sglist_free(m->transfer.src);
			ce_sglist_free(m->transfer.dst);
		}
		rte_pktmbuf_free(m->original);
		rte_pktmbuf_free(m->copy);
	}
}

static void
mirror_all(struct ce_adapter *adapter, struct rte_mempool *in_pool, struct rte_mempool *out_pool,
	pcap_t *in, const char *path, pcap_dumper_t *out, const char *out_path)
{
	struct pcap_pkthdr *header;
	const u_char *data = capture_next(in, path, &header);

	while ((data != NULL && !example_stop) || tail != head) {
		if (data != NULL && header->caplen > LONGEST)
			example_fail("packet %" PRIu64 " has %u bytes, more than the %u that are taken",
				head, header->caplen, LONGEST);
		while (data != NULL && !example_stop &&
				mirror(adapter, in_pool, out_pool, header, data))
			data = capture_next(in, path, &header);
		ce_poll(adapter);
		write_ready(out, out_path);
		example_progress("%" PRIu64 " packets", tail);
	}
}

/* Both files again from the beginning; ends the program at the first difference. */
static void
compare(const char *in, const char *out)
{
	pcap_t *a = capture_open(in), *b = capture_open(out);
	struct pcap_pkthdr *header_a, *header_b;
	const u_char *data_a, *data_b;
	uint64_t count;

	if (pcap_datalink(a) != pcap_datalink(b) || pcap_snapshot(a) != pcap_snapshot(b))
		example_fail("the copy differs in its header");
	for (count = 0; !example_stop; count++) {
		data_a = capture_next(a, in, &header_a);
		data_b = capture_next(b, out, &header_b);
		if (data_a == NULL || data_b == NULL)
			break;
		if (header_a->ts.tv_sec != header_b->ts.tv_sec ||
			header_a->ts.tv_usec != header_b->ts.tv_usec ||
			header_a->len != header_b->len || header_a->caplen != header_b->caplen)
			example_fail("the time or a length of packet %" PRIu64 " differs", count);
		if (memcmp(data_a, data_b, header_a->caplen) != 0)
			example_fail("packet %" PRIu64 " differs", count);
		example_progress("%" PRIu64 " packets compared", count);
	}
	if (!example_stop && count != head)
		example_fail("%" PRIu64 " packets were copied and only %" PRIu64 " are the same", head,
			count);
	pcap_close(a);
	pcap_close(b);
}

static struct rte_mempool *
pool_make(const char *name, uint16_t segment)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create(name, MBUFS, 256, 0,
		RTE_PKTMBUF_HEADROOM + segment, SOCKET_ID_ANY);

	if (pool == NULL)
		example_fail("no memory for mbufs: %s", rte_strerror(rte_errno));
	return pool;
}

int
main(int argc, char **argv)
{
	struct ce_adapter *adapter;
	struct ce_adapter_stats stats;
	struct stat st;
	pcap_dumper_t *dumper;
	const char *in;
	pcap_t *capture;
	FILE *out;
	int fd;

	example_begin(&argc, &argv, usage);
	if (argc != 3)
		example_misuse("IN and OUT.pcap are needed");
	in = argv[1];
	if (stat(in, &st) < 0)
		example_fail("cannot read %s: %s", in, strerror(errno));
	if (!S_ISREG(st.st_mode))
		example_fail("%s is not a file, which could be read twice", in);
	capture = capture_open(in);
	adapter = example_adapter(NULL);
	fd = example_file(argv[2], &st);
	out = fdopen(fd, "wb");
	dumper = out != NULL ? pcap_dump_fopen(capture, out) : NULL;
	if (dumper == NULL)
		example_fail("cannot write %s: %s", argv[2], pcap_geterr(capture));

	mirror_all(adapter, pool_make("in", IN_SEGMENT), pool_make("out", OUT_SEGMENT), capture, in,
		dumper, argv[2]);

	ce_adapter_stats_get(adapter, &stats);
	ce_adapter_put(adapter);
	if (pcap_dump_flush(dumper) != 0 || fsync(fd) < 0)
		example_fail("cannot write %s: %s", argv[2], strerror(errno));
	pcap_dump_close(dumper);
	pcap_close(capture);
	if (!example_stop)
		compare(in, example_file_name());
	if (example_stop) {
		fprintf(stderr, "interrupted after %" PRIu64 " packets, nothing is left\n", head);
		return example_end(EXIT_FAILURE);
	}
	example_file_keep();
	printf("%" PRIu64 " packets, %" PRIu64 " bytes in %" PRIu64 " segments, %" PRIu64
	       " operations of the device: the same\n", head, bytes, segments, stats.operations);
	return example_end(EXIT_SUCCESS);
}
