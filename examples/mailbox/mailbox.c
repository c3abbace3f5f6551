/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * A mailbox in a common buffer, beside packet-based transfers of data.
 *
 * The host has scattered memory, the peer (a thread that plays a device's processor) has memory of its
 * own. Commands and answers go through the mailbox, which both reach at any time; the data goes by DMA
 * between the host's memory, in place, and the peer's. Each round the host sends a message, the peer
 * answers with its checksum and turns it upside down, and the host fetches it and looks.
 */

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>

#include "example.h"

#define LENGTH	 65536
#define FRAGMENT 1000 /* bytes; the host's memory is in pieces of this, and 24 bytes between them */

static const char usage[] =
	"usage: mailbox [EAL options --] [-n ROUNDS]\n"
	"Exchanges ROUNDS (default 1000) messages of 64 KB with a simulated device: commands through\n"
	"a mailbox in a common buffer, data by scatter/gather transfers; checks each.\n";

enum command { COMMAND_TURN = 1, COMMAND_END };

/* The mailbox. Each side writes its own cache line; the number, written last, makes the rest valid. */
struct mailbox {
	alignas(RTE_CACHE_LINE_SIZE) struct {
		uint32_t command;
		uint32_t length;
		atomic_uint number;
	} to_peer;
	alignas(RTE_CACHE_LINE_SIZE) struct {
		uint32_t checksum;
		atomic_uint number;
	} to_host;
};

struct peer {
	struct mailbox *mailbox;
	uint8_t *memory;
};

static uint32_t
checksum(uint32_t sum, const uint8_t *bytes, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

/* The device's processor: waits for a command, does it, answers. */
static void *
peer_main(void *arg)
{
	struct peer *peer = arg;
	struct mailbox *box = peer->mailbox;
	uint32_t number = 0, i, length;
	uint8_t byte;

	for (;;) {
		while (atomic_load_explicit(&box->to_peer.number, memory_order_acquire) == number)
			sched_yield();
		number++;
		if (box->to_peer.command == COMMAND_END)
			return NULL;
		length = box->to_peer.length;
		box->to_host.checksum = checksum(0, peer->memory, length);
		for (i = 0; i < length / 2; i++) {
			byte = peer->memory[i];
			peer->memory[i] = peer->memory[length - 1 - i];
			peer->memory[length - 1 - i] = byte;
		}
		atomic_store_explicit(&box->to_host.number, number, memory_order_release);
	}
}

static void
command(struct ce_adapter *adapter, struct mailbox *box, enum command what, uint32_t number)
{
	box->to_peer.command = what;
	box->to_peer.length = LENGTH;
	ce_sync_for_device(adapter, &box->to_peer, sizeof(box->to_peer));
	atomic_store_explicit(&box->to_peer.number, number, memory_order_release);
}

static uint32_t
answer(struct ce_adapter *adapter, struct mailbox *box, uint32_t number)
{
	while (atomic_load_explicit(&box->to_host.number, memory_order_acquire) != number)
		sched_yield();
	ce_sync_for_cpu(adapter, &box->to_host, sizeof(box->to_host));
	return box->to_host.checksum;
}

static bool
transfer(struct ce_adapter *adapter, struct ce_sglist *dst, struct ce_sglist *src)
{
	struct ce_transfer t = {.src = src, .dst = dst, .length = LENGTH};

	if (ce_transfer_submit(adapter, &t) < 0)
		return false;
	while (t.status == -EINPROGRESS)
		ce_poll(adapter);
	return t.status == 0;
}

/* The host's message: pieces of it in turn in memory that the device reaches and that it does not. */
struct message {
	struct iovec iov[LENGTH / FRAGMENT + 1];
	unsigned int nb;
	uint8_t *malloced;
	struct ce_common_buffer *common;
	struct ce_sglist *list;
};

static void
message_make(struct ce_adapter *adapter, struct message *m)
{
	const size_t stride = FRAGMENT + 24;
	size_t left = LENGTH;

	m->malloced = malloc((LENGTH / FRAGMENT + 1) * stride);
	m->common = ce_common_buffer_alloc(adapter, (LENGTH / FRAGMENT + 1) * stride);
	if (m->malloced == NULL || m->common == NULL)
		example_fail("no memory for the message: %s", rte_strerror(rte_errno));
	for (m->nb = 0; left > 0; m->nb++) {
		m->iov[m->nb].iov_base = RTE_PTR_ADD(m->nb % 2 ? m->malloced : m->common->va,
			m->nb * stride);
		m->iov[m->nb].iov_len = RTE_MIN(left, (size_t)FRAGMENT);
		left -= m->iov[m->nb].iov_len;
	}
	m->list = ce_sglist_build_iov(adapter, m->iov, m->nb);
	if (m->list == NULL)
		example_fail("no list: %s", rte_strerror(rte_errno));
}

static void
message_free(struct message *m)
{
	ce_sglist_free(m->list);
	ce_common_buffer_free(m->common);
	free(m->malloced);
}

/* Fill the message for a round; returns its checksum. */
static uint32_t
message_fill(struct message *m, uint32_t round)
{
	uint32_t sum = 0;
	unsigned int i;
	size_t j;

	for (i = 0; i < m->nb; i++) {
		uint8_t *bytes = m->iov[i].iov_base;

		for (j = 0; j < m->iov[i].iov_len; j++)
			bytes[j] = (i * FRAGMENT + j) * 7 + round;
		sum = checksum(sum, bytes, m->iov[i].iov_len);
	}
	return sum;
}

static bool
message_is_turned(const struct message *m, uint32_t round)
{
	unsigned int i;
	size_t j;

	for (i = 0; i < m->nb; i++) {
		const uint8_t *bytes = m->iov[i].iov_base;

		for (j = 0; j < m->iov[i].iov_len; j++)
			if (bytes[j] != (uint8_t)((LENGTH - 1 - (i * FRAGMENT + j)) * 7 + round))
				return false;
	}
	return true;
}

/* NULL, or what went wrong in a round. */
static const char *
exchange(struct ce_adapter *adapter, struct mailbox *box, struct message *m,
	struct ce_sglist *peer_memory, uint32_t number)
{
	const uint32_t sum = message_fill(m, number);

	if (!transfer(adapter, peer_memory, m->list))
		return "the transfer to the peer failed";
	command(adapter, box, COMMAND_TURN, number);
	if (answer(adapter, box, number) != sum)
		return "the peer has got something else";
	if (!transfer(adapter, m->list, peer_memory))
		return "the transfer from the peer failed";
	return message_is_turned(m, number) ? NULL : "the answer is wrong";
}

int
main(int argc, char **argv)
{
	uint32_t rounds = 1000, number = 0;
	struct ce_common_buffer *box_buffer, *peer_buffer;
	struct ce_sglist *peer_memory;
	struct ce_adapter *adapter;
	struct ce_adapter_stats stats;
	const char *wrong = NULL;
	struct message message;
	struct peer peer;
	pthread_t thread;
	double start, value;
	int opt;

	example_begin(&argc, &argv, usage);
	while ((opt = getopt(argc, argv, "n:")) != -1) {
		if (opt == '?')
			example_misuse("-%c is no option, or needs a value", optopt);
		value = example_number(optarg, opt, 1, UINT32_MAX);
		rounds = value;
		if (rounds != value)
			example_misuse("-%c %s: takes a whole number", opt, optarg);
	}
	if (optind != argc)
		example_misuse("%s: there is no such argument", argv[optind]);
	adapter = example_adapter(NULL);
	box_buffer = ce_common_buffer_alloc(adapter, sizeof(struct mailbox));
	peer_buffer = ce_common_buffer_alloc(adapter, LENGTH);
	if (box_buffer == NULL || peer_buffer == NULL)
		example_fail("no memory for the mailbox: %s", rte_strerror(rte_errno));
	message_make(adapter, &message);
	peer_memory = ce_sglist_build(adapter, peer_buffer->va, LENGTH);
	peer = (struct peer){.mailbox = box_buffer->va, .memory = peer_buffer->va};
	if (peer_memory == NULL || pthread_create(&thread, NULL, peer_main, &peer) != 0)
		example_fail("the peer does not start");

	start = example_seconds();
	while (number < rounds && wrong == NULL && !example_stop) {
		wrong = exchange(adapter, peer.mailbox, &message, peer_memory, ++number);
		example_progress("%u of %u rounds", number, rounds);
	}
	start = example_seconds() - start;

	command(adapter, peer.mailbox, COMMAND_END, number + 1);
	pthread_join(thread, NULL);
	ce_adapter_stats_get(adapter, &stats);
	ce_sglist_free(peer_memory);
	message_free(&message);
	ce_common_buffer_free(peer_buffer);
	ce_common_buffer_free(box_buffer);
	ce_adapter_put(adapter);
	if (wrong != NULL)
		example_fail("round %u: %s", number, wrong);
	/* What the device would take longer for than the CPU, the CPU copies. */
	printf("%u rounds in %.2f s: %" PRIu64 " bytes, of which the device moved %" PRIu64 " in %" PRIu64
	       " operations and the CPU the others\n", number, start, stats.bytes, stats.engine_bytes,
	       stats.operations);
	return example_end(EXIT_SUCCESS);
}
