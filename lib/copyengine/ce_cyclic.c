/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "ce_private.h"

/*
 * Positions count bytes from the start without wrapping; modulo the length they are places in the
 * ring. The application is ahead of the device in playback and behind it in capture.
 */
struct ce_cyclic {
	LIST_ENTRY(ce_cyclic) link;
	struct ce_adapter *adapter; /* that transfers: a port, when there is a controller */
	struct ce_cyclic_conf conf;
	uint64_t length;
	uint64_t peer_length;
	uint64_t queued;      /* periods given to the adapter */
	uint64_t done;	      /* periods that have finished */
	uint64_t application; /* position up to which it has written or read */
	uint64_t next_tsc;    /* when the next period is due */
	uint64_t period_tsc;  /* 0: at once */
	uint64_t xruns;
	uint64_t late;
	uint32_t inflight; /* transfers that have not finished */
	int error;
	bool stopping;
	struct ce_transfer transfers[]; /* period p is in p % ahead */
};

static bool
conf_valid(const struct ce_adapter *adapter, const struct ce_cyclic_conf *conf, uint64_t length,
	uint64_t peer_length)
{
	const bool ported = adapter->controller != NULL;

	if (conf->buffer == NULL || conf->period == 0 || length > conf->buffer->length ||
		length % conf->period != 0 || length / conf->period < 2 ||
		peer_length % conf->period != 0 || conf->prefill > length ||
		(conf->capture && conf->prefill > 0) || conf->ahead >= length / conf->period)
		return false;
	return ported == (conf->request != NULL) &&
		(!ported || (conf->request->owner == adapter && conf->request->status == 0 &&
				    conf->request->state == CE_REQUEST_HELD));
}

static void period_done(struct ce_transfer *transfer, void *arg);

/* Count a period that is not ready, and have the application go on behind it. */
static void
xrun_check(struct ce_cyclic *c)
{
	const uint64_t end = (c->queued + 1) * c->conf.period;
	/* Playback: all of the period is to be written. Capture: what it overwrites is to be read. */
	const uint64_t needed = !c->conf.capture ? end : end > c->length ? end - c->length : 0;

	if (c->application >= needed)
		return;
	c->xruns++;
	c->application = needed;
}

static void
period_queue(struct ce_cyclic *c)
{
	struct ce_transfer *t = &c->transfers[c->queued % c->conf.ahead];
	const uint64_t position = c->queued * c->conf.period;
	const rte_iova_t ring = c->conf.buffer->iova + position % c->length;
	const rte_iova_t peer = c->conf.peer + position % c->peer_length;
	int ret;

	xrun_check(c);
	cei_transfer_init_direct(t, c->conf.capture ? ring : peer, c->conf.capture ? peer : ring,
		c->conf.period);
	t->cb = period_done;
	t->arg = c;
	/* A period comes after the one before it, above all in a window that both go to. */
	t->flags = CE_TRANSFER_FENCE | CE_TRANSFER_MORE;
	ret = cei_transfer_start(c->adapter, t, c->conf.request);
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

	while (!c->stopping && c->error == 0 && c->queued - c->done < c->conf.ahead) {
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

void
cei_cyclic_poll(struct ce_adapter *adapter)
{
	struct ce_cyclic *c;

	LIST_FOREACH(c, &adapter->cyclics, link)
		periods_queue(c);
}

struct ce_cyclic *
ce_cyclic_start(struct ce_adapter *adapter, const struct ce_cyclic_conf *conf)
{
	const uint32_t ahead = conf->ahead == 0 ? 1 : conf->ahead;
	const uint64_t length =
		conf->length != 0 || conf->buffer == NULL ? conf->length : conf->buffer->length;
	const uint64_t peer_length = conf->peer_length == 0 ? conf->period : conf->peer_length;
	struct ce_cyclic *c;

	if (!conf_valid(adapter, conf, length, peer_length)) {
		rte_errno = EINVAL;
		return NULL;
	}
	c = rte_zmalloc_socket("ce_cyclic", sizeof(*c) + ahead * sizeof(c->transfers[0]),
		RTE_CACHE_LINE_SIZE, adapter->dev->socket);
	if (c == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	c->adapter = conf->request == NULL ? adapter : conf->request->port;
	c->conf = *conf;
	c->conf.ahead = ahead;
	c->length = length;
	c->peer_length = peer_length;
	c->application = conf->prefill;
	c->period_tsc = conf->period_ns * (double)rte_get_tsc_hz() / 1E9;
	c->next_tsc = rte_get_tsc_cycles();
	LIST_INSERT_HEAD(&c->adapter->cyclics, c, link);
	return c;
}

int
ce_cyclic_stop(struct ce_cyclic *c)
{
	c->stopping = true;
	if (c->inflight > 0)
		return -EINPROGRESS;
	LIST_REMOVE(c, link);
	rte_free(c);
	return 0;
}

size_t
ce_cyclic_remaining(const struct ce_cyclic *c)
{
	const struct ce_transfer *current = &c->transfers[c->done % c->conf.ahead];
	uint64_t position = c->done * c->conf.period;

	if (c->queued > c->done)
		position += current->done;
	return c->length - position % c->length;
}

size_t
ce_cyclic_window(struct ce_cyclic *c, void **va)
{
	const uint64_t device = c->done * c->conf.period;
	const uint64_t place = c->application % c->length;
	uint64_t window;

	window = c->conf.capture ? device - RTE_MIN(device, c->application) :
				   device + c->length - c->application;
	if (va != NULL)
		*va = RTE_PTR_ADD(c->conf.buffer->va, place);
	return RTE_MIN(window, c->length - place);
}

int
ce_cyclic_commit(struct ce_cyclic *c, size_t bytes)
{
	if (bytes > ce_cyclic_window(c, NULL))
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
