/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Cyclic transfers, one at a time, on either handle of a thread. Every byte of a period tells which it
 * is: the peer must have got those that were ready, and what is read must be from where it belongs.
 */

#include "random.h"

#define AHEAD_MAX 1024

/* With more than a round queued, who writes too late does so while the device reads. */
#if defined(__SANITIZE_THREAD__)
#define RACE_DETECTED 1
#else
#define RACE_DETECTED 0
#endif

/* What a period consists of. Of capture: what its place at the peer does. */
static uint8_t
value(const struct cycle *c, uint64_t period)
{
	return 1 + (c->capture ? period % c->peer_periods : period % 251);
}

static bool
is_all(const uint8_t *memory, uint8_t byte, size_t length)
{
	return memory[0] == byte && memcmp(memory, memory + 1, length - 1) == 0;
}

static void
period_done(struct ce_cyclic *cyclic, uint64_t period, int status, void *arg)
{
	struct thread *t = arg;
	struct cycle *c = &t->cycle;
	const uint64_t length = c->periods * c->period;
	const uint8_t *at;

	CHECK(t, cyclic == c->cyclic && c->error == 0);
	CHECK(t, period == c->called);
	if (status != 0) {
		CHECK(t, fallible(t, c->handle) || c->handle->closing);
		c->error = status;
		return;
	}
	c->called++;
	CHECK(t, ce_cyclic_remaining(cyclic) == length - c->called * c->period % length);
	if (c->capture)
		return;
	if (c->ready[period % 64] != period + 1) {
		c->skipped++;
		return;
	}
	at = RTE_PTR_ADD(c->peer->va, period % c->peer_periods * c->period);
	CHECK(t, !c->exact || is_all(at, value(c, period), c->period));
}

/* The period that the application may write or read next, and where; UINT64_MAX: none. */
static uint64_t
next_period(struct thread *t, struct cycle *c, void **va)
{
	struct ce_cyclic_stats stats;
	uint64_t base, place;

	if (ce_cyclic_window(c->cyclic, va) < c->period)
		return UINT64_MAX;
	ce_cyclic_stats_get(c->cyclic, &stats);
	/* It is in the round that the device is in, or in the one behind it. */
	base = stats.periods + (c->capture ? 0 : c->periods);
	if (base < c->periods)
		base = c->periods;
	place = ((uintptr_t)*va - (uintptr_t)c->ring->va) / c->period;
	CHECK(t, ((uintptr_t)*va - (uintptr_t)c->ring->va) % c->period == 0);
	base -= c->periods;
	return base + (place + c->periods - base % c->periods) % c->periods;
}

static void
application(struct thread *t, struct cycle *c)
{
	uint64_t period;
	int ret;
	void *va;

	period = next_period(t, c, &va);
	if (period == UINT64_MAX) {
		CHECK(t, ce_cyclic_commit(c->cyclic, c->period) == -EINVAL);
		return;
	}
	if (c->capture)
		CHECK(t, is_all(va, value(c, period), c->period));
	else
		memset(va, value(c, period), c->period);
	/* So late that the place may have moved. */
	if (draw(t, 4) == 0)
		progress(t, c->handle);
	ret = ce_cyclic_commit(c->cyclic, c->period);
	CHECK(t, ret == 0 || ret == -EPIPE);
	if (ret == 0)
		c->ready[period % 64] = period + 1;
}

static void
begin(struct thread *t, struct cycle *c)
{
	struct request *r = &t->requests[draw(t, REQUESTS)];
	struct ce_cyclic_conf conf = {.cb = period_done, .arg = t};
	unsigned int i, prefill = 0;
	bool fifo;

	memset(c, 0, sizeof(*c));
	c->handle = &t->plain;
	if (r->state == HELD && r->request.status == 0 && draw(t, 2)) {
		c->handle = &t->requester;
		c->request = r;
	}
	c->period = 64 << draw(t, 6);
	c->periods = 2 + draw(t, 7);
	c->capture = draw(t, 2);
	c->peer_periods = draw(t, 2) ? c->periods : 1 + draw(t, 5);
	fifo = c->peer_periods == 1 && draw(t, 2);
	c->ring = ce_common_buffer_alloc(c->handle->adapter, c->period * c->periods);
	c->peer = ce_common_buffer_alloc(c->handle->adapter, c->period * c->peer_periods);
	CHECK(t, c->ring != NULL && c->peer != NULL);
	if (c->ring == NULL || c->peer == NULL)
		return;
	for (i = 0; c->capture && i < c->peer_periods; i++)
		memset(RTE_PTR_ADD(c->peer->va, i * c->period), value(c, i), c->period);
	for (; !c->capture && prefill < draw(t, c->periods + 1); prefill++) {
		memset(RTE_PTR_ADD(c->ring->va, prefill * c->period), value(c, prefill), c->period);
		c->ready[prefill] = prefill + 1;
	}
	conf.buffer = c->ring;
	conf.length = c->period * c->periods;
	conf.period = c->period;
	conf.peer = c->peer->iova;
	conf.peer_length = c->period * c->peer_periods;
	conf.capture = c->capture;
	conf.window = fifo ? c->period : 0;
	conf.prefill = prefill * c->period;
	conf.ahead = 1 + draw(t, c->periods - 1);
	if (draw(t, 4) == 0 && (c->capture || !RACE_DETECTED))
		conf.ahead = CE_CYCLIC_AHEAD_MAX;
	conf.period_ns = draw(t, 2) && !is_step ? draw(t, 50000) : 0;
	conf.request = c->request != NULL ? &c->request->request : NULL;
	c->exact = conf.ahead < c->periods && c->peer_periods >= c->periods;
	c->handle->cycled = true;
	c->cyclic = ce_cyclic_start(c->handle->adapter, &conf);
	if (c->cyclic == NULL) {
		/* A single map register is not enough for two users. */
		CHECK(t, rte_errno == ENOSPC ||
			(fallible(t, c->handle) && (rte_errno == ENODEV || rte_errno == EINVAL)));
		cycle_end(t, true);
	}
}

/* Stop it, unless its handle has been closed, and give back the memory. */
void
cycle_end(struct thread *t, bool closed)
{
	const double limit = seconds() + 100;
	struct cycle *c = &t->cycle;
	struct ce_cyclic_stats stats;

	if (c->handle == NULL)
		return;
	while (!closed && t->error == NULL && seconds() < limit) {
		ce_cyclic_stats_get(c->cyclic, &stats);
		closed = ce_cyclic_stop(c->cyclic) == 0;
		if (closed) {
			CHECK(t, stats.periods == c->called);
			CHECK(t, c->capture || (stats.underruns >= c->skipped &&
				stats.underruns <= c->skipped + AHEAD_MAX && stats.overruns == 0));
			CHECK(t, !c->capture || stats.underruns == 0);
			CHECK(t, c->error == 0 || stats.status == c->error);
		} else {
			progress(t, c->handle);
		}
	}
	CHECK(t, closed);
	t->periods += c->called;
	ce_common_buffer_free(c->ring);
	ce_common_buffer_free(c->peer);
	memset(c, 0, sizeof(*c));
}

void
cycle_step(struct thread *t)
{
	struct cycle *c = &t->cycle;

	if (c->handle == NULL)
		begin(t, c);
	else if (draw(t, 200) == 0 || c->error != 0)
		cycle_end(t, false);
	else
		application(t, c);
}
