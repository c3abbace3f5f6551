/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "cei_channel.h"
#include "cei_cyclic.h"
#include "cei_fast.h"

/*
 * Positions count bytes from the start without wrapping; modulo the length they are places in the
 * ring. The application is ahead of the device in playback and behind it in capture.
 */
struct ce_cyclic {
	LIST_ENTRY(ce_cyclic) link;
	struct ce_adapter *adapter;
	struct ce_cyclic_conf conf;
	struct ce_stream stream;
	uint64_t length;
	uint64_t peer_length;
	uint64_t queued;      /* periods given to the stream */
	uint64_t judged;      /* of them, those that were seen to be ready or not */
	uint64_t done;	      /* periods that have finished */
	uint64_t application; /* position up to which it has written or read */
	uint64_t next_tsc;    /* when the next period is due */
	uint64_t period_tsc;  /* 0: at once */
	uint64_t xruns;
	uint64_t late;
	uint32_t pieces; /* operations that a period takes */
	uint32_t ahead;
	uint32_t inflight; /* transfers that have not finished */
	uint32_t reserved; /* map registers of the handle's that are its own */
	uint32_t budget;   /* of them free, when it has its own */
	int error;
	bool stopping;
	bool moved; /* the application's place, by an under- or overrun, since it was told */
	bool holds; /* the channel of conf.request */
	struct ce_transfer transfers[]; /* period p is in p % ahead */
};

static bool
conf_valid(const struct ce_adapter *adapter, const struct ce_cyclic_conf *conf, uint64_t length,
	uint64_t peer_length)
{
	const bool controlled = adapter->controller != NULL;

	if (conf->buffer == NULL || conf->period == 0 || length > conf->buffer->length ||
		length % conf->period != 0 || length / conf->period < 2 ||
		peer_length % conf->period != 0 || conf->prefill > length ||
		(conf->capture && conf->prefill > 0))
		return false;
	/* What is captured into is not to be read at the same time. */
	if (conf->capture && conf->ahead != CE_CYCLIC_AHEAD_MAX &&
		conf->ahead >= length / conf->period)
		return false;
	return controlled == (conf->request != NULL);
}

/* Count a period that is not ready, and have the application go on behind it. */
static void
judge(struct ce_cyclic *c)
{
	const uint64_t end = (c->judged + 1) * c->conf.period;
	/* Playback: all of the period is to be written. Capture: what it overwrites is to be read. */
	const uint64_t needed = !c->conf.capture ? end : end > c->length ? end - c->length : 0;

	c->judged++;
	if (c->application >= needed)
		return;
	c->xruns++;
	c->application = needed;
	c->moved = true;
}

/*
 * A period is judged when it is queued. When more than a round is queued ahead, the application could
 * not have got it ready by then: the one that the device may be at is.
 */
static void
judge_all(struct ce_cyclic *c)
{
	const bool at_once = c->ahead < c->length / c->conf.period;
	uint64_t end = c->queued;

	if (!at_once)
		end = RTE_MIN(end,
			c->done + 1 +
				(c->stream.nb_ports > 0 ? cei_port_ready(c->stream.ports) : 0) /
					c->pieces);
	while (c->judged < end)
		judge(c);
}

static void period_done(struct ce_transfer *transfer, void *arg);

static void
period_queue(struct ce_cyclic *c)
{
	struct ce_transfer *t = &c->transfers[c->queued % c->ahead];
	const uint64_t position = c->queued * c->conf.period;
	const bool identity = c->adapter->context.memory.identity;
	const struct ce_segment ring = {
		.va = RTE_PTR_ADD(c->conf.buffer->va, position % c->length),
		.iova = c->conf.buffer->iova + position % c->length,
		.length = c->conf.period,
	};
	const rte_iova_t at = c->conf.peer + position % c->peer_length;
	const struct ce_segment peer = {
		/* The CPU does not know where it is, unless that is the same. */
		.va = identity ? (void *)(uintptr_t)at : NULL,
		.iova = at,
		.length = c->conf.period,
		.window = c->conf.window,
	};
	int ret;

	t->length = c->conf.period;
	t->cb = period_done;
	t->arg = c;
	/* A period comes after the one before it, above all in a window that both go to. */
	t->flags = CE_TRANSFER_FENCE | CE_TRANSFER_MORE;
	ret = cei_transfer_direct(&c->stream, t, c->conf.capture ? &ring : &peer,
		c->conf.capture ? &peer : &ring);
	if (ret < 0) {
		c->error = ret;
		if (c->conf.cb != NULL)
			c->conf.cb(c, c->queued, ret, c->conf.arg);
		return;
	}
	c->queued++;
	c->inflight++;
}

static void
period_done(struct ce_transfer *transfer, void *arg)
{
	struct ce_cyclic *c = arg;
	const uint64_t period = c->done;

	c->inflight--;
	/* After an error the periods behind it still come back: they are not part of the stream. */
	if (c->error != 0)
		return;
	c->error = transfer->status;
	if (c->error == 0)
		c->done++;
	if (c->conf.cb != NULL)
		c->conf.cb(c, period, transfer->status, c->conf.arg);
}

static void
periods_queue(struct ce_cyclic *c)
{
	int64_t behind;

	if (c->period_tsc == 0 && c->queued > 0 && c->queued == c->done && !c->stopping)
		c->late++;
	while (!c->stopping && c->error == 0 && c->queued - c->done < c->ahead) {
		if (c->period_tsc != 0) {
			behind = rte_get_tsc_cycles() - c->next_tsc;
			if (behind < 0)
				return;
			c->late += behind >= (int64_t)c->period_tsc;
			c->next_tsc += c->period_tsc;
		}
		period_queue(c);
	}
}

/* A transfer that an error has ended needs its channel no more. */
static void
unhold(struct ce_cyclic *c)
{
	if (!c->holds)
		return;
	c->holds = false;
	cei_request_unhold(c->conf.request, c->error);
}

void
cei_cyclic_poll(struct ce_adapter *adapter)
{
	unsigned int stored = 0;
	struct ce_cyclic *c;

	LIST_FOREACH(c, &adapter->cyclics, link) {
		if (c->stream.nb_ports > 0 && c->judged < c->queued)
			cei_queue_collect(c->stream.ports->queue);
		/* Before the callbacks: what they write now comes too late for what is done. */
		judge_all(c);
		cei_stream_poll(&c->stream, NULL, CE_BURST, &stored);
		periods_queue(c);
		judge_all(c);
		cei_stream_doorbell(&c->stream);
		if (c->error != 0 && c->inflight == 0)
			unhold(c);
	}
}

/* Stop all of a handle that is closed, and drop what has not started. */
void
cei_cyclic_close(struct ce_adapter *adapter)
{
	struct ce_cyclic *c, *next;

	for (c = LIST_FIRST(&adapter->cyclics); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		cei_stream_cancel_all(&c->stream);
		ce_cyclic_stop(c);
	}
}

/* Where its map registers are from, and how many periods they are enough for. */
static int
resources_init(struct ce_cyclic *c, struct ce_adapter *adapter, uint32_t wanted)
{
	struct ce_channel_request *request = c->conf.request;
	struct ce_queue *q = adapter->nb_queues > 0 ? adapter->queues[0] : NULL;
	uint32_t *budget = &c->budget, registers = adapter->conf.ring_size;
	struct ce_stream *channel;

	if (request != NULL) {
		channel = cei_request_hold(adapter, request);
		if (channel == NULL)
			return -EINVAL;
		c->holds = true;
		q = channel->ports->queue;
		budget = &cei_request(request)->budget;
		registers = request->map_registers;
	} else if (q != NULL) {
		/* Its own, so that it and its neighbours on the handle do not starve each other. */
		registers = RTE_MIN((uint64_t)wanted * c->pieces,
			(uint64_t)adapter->map_registers - adapter->reserved - 1);
		if (registers == 0)
			return -ENOSPC;
		adapter->reserved += registers;
		CE_COUNT(adapter->budget, -registers);
		c->reserved = registers;
		c->budget = registers;
	}
	c->ahead = RTE_MIN(wanted, RTE_MAX(registers / c->pieces, 1u));
	if (c->conf.capture)
		c->ahead = RTE_MIN(c->ahead, c->length / c->conf.period - 1);
	return cei_stream_init(
		&c->stream, &adapter->context, &q, q != NULL ? 1 : 0, registers, budget);
}

static void
cyclic_free(struct ce_cyclic *c)
{
	c->adapter->reserved -= c->reserved;
	CE_COUNT(c->adapter->budget, c->reserved);
	unhold(c);
	cei_stream_fini(&c->stream);
	rte_free(c);
}

struct ce_cyclic *
ce_cyclic_start(struct ce_adapter *adapter, const struct ce_cyclic_conf *conf)
{
	const uint64_t length =
		conf->length != 0 || conf->buffer == NULL ? conf->length : conf->buffer->length;
	const uint64_t peer_length = conf->peer_length == 0 ? conf->period : conf->peer_length;
	const uint32_t longest = conf->window == 0 ?
		adapter->context.max_segment :
		RTE_MIN(conf->window, adapter->context.max_segment);
	uint32_t wanted = conf->ahead == 0 ? 1 : conf->ahead;
	struct ce_cyclic *c;
	int ret;
	CE_CALL(adapter);

	if (!conf_valid(adapter, conf, length, peer_length)) {
		rte_errno = EINVAL;
		return NULL;
	}
	if (adapter->closing || cei_stream_dead(&adapter->streams[0]) < 0) {
		rte_errno = adapter->closing ? ECANCELED : ENODEV;
		return NULL;
	}
	/* As many as could ever be under way. */
	wanted = RTE_MIN(wanted, RTE_MAX(adapter->map_registers, (uint32_t)adapter->conf.ring_size));
	c = rte_zmalloc_socket("ce_cyclic", sizeof(*c) + wanted * sizeof(c->transfers[0]),
		RTE_CACHE_LINE_SIZE, adapter->context.socket);
	if (c == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	c->adapter = adapter;
	c->conf = *conf;
	c->length = length;
	c->peer_length = peer_length;
	c->pieces = (conf->period - 1) / longest + 1;
	c->application = conf->prefill;
	c->period_tsc = conf->period_ns * (double)rte_get_tsc_hz() / 1E9;
	c->next_tsc = rte_get_tsc_cycles();
	/* It takes map registers, and its share of the queue. */
	cei_fast_close(&adapter->streams[0]);
	ret = resources_init(c, adapter, wanted);
	if (ret < 0) {
		cyclic_free(c);
		rte_errno = -ret;
		return NULL;
	}
	LIST_INSERT_HEAD(&adapter->cyclics, c, link);
	return c;
}

int
ce_cyclic_stop(struct ce_cyclic *c)
{
	CE_CALL(c->adapter);

	c->stopping = true;
	if (c->inflight > 0)
		return -EINPROGRESS;
	LIST_REMOVE(c, link);
	cyclic_free(c);
	return 0;
}

size_t
ce_cyclic_remaining(const struct ce_cyclic *c)
{
	const struct ce_transfer *current = &c->transfers[c->done % c->ahead];
	uint64_t position = c->done * c->conf.period;

	if (c->queued > c->done)
		position += current->done;
	return c->length - position % c->length;
}

static size_t
window(const struct ce_cyclic *c)
{
	const uint64_t device = c->done * c->conf.period;
	const uint64_t place = c->application % c->length;
	uint64_t bytes;

	/* The device is past what was judged too late, and the application waits for it there. */
	if (c->conf.capture)
		bytes = device - RTE_MIN(device, c->application);
	else
		bytes = device + c->length - RTE_MIN(device + c->length, c->application);
	return RTE_MIN(bytes, c->length - place);
}

size_t
ce_cyclic_window(struct ce_cyclic *c, void **va)
{
	CE_CALL(c->adapter);

	c->moved = false;
	if (va != NULL)
		*va = RTE_PTR_ADD(c->conf.buffer->va, c->application % c->length);
	return window(c);
}

int
ce_cyclic_commit(struct ce_cyclic *c, size_t bytes)
{
	CE_CALL(c->adapter);

	if (c->moved)
		return -EPIPE;
	if (bytes > window(c))
		return -EINVAL;
	c->application += bytes;
	return 0;
}

void
ce_cyclic_stats_get(const struct ce_cyclic *c, struct ce_cyclic_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->periods = c->done;
	stats->underruns = c->conf.capture ? 0 : c->xruns;
	stats->overruns = c->conf.capture ? c->xruns : 0;
	stats->late = c->late;
	stats->status = c->error != 0 ? c->error : c->stopping ? 0 : -EINPROGRESS;
}
