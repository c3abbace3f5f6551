/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Requests for the channels of a controller that all threads share. The reference is the state that a
 * request must be in, and who has a channel.
 */

#include "random.h"

static atomic_int holders[2]; /* of each channel: a thread's number, from 1 */

/* What the library has not brought back yet. Its status is what tells, also within a callback. */
unsigned int
request_under_way(const struct request *r)
{
	const struct thread *t = r->thread;
	unsigned int i, count = 0;

	for (i = 0; i < JOBS; i++)
		count += t->jobs[i].busy && t->jobs[i].request == r &&
			t->jobs[i].transfer.status == -EINPROGRESS;
	return count + (t->cycle.cyclic != NULL && t->cycle.request == r);
}

/* After a failure the library gives back what a request has, as soon as nothing is under way. */
static enum state
state_of(struct request *r)
{
	if (r->state >= HELD && !r->in_cb && request_under_way(r) == 0 &&
		(r->request.status < 0 || r->state == RELEASING))
		r->state = IDLE;
	return r->state;
}

static void
map(struct thread *t, struct request *r)
{
	struct handle *h = &t->requester;
	struct job *job = job_free(t);
	const enum state state = state_of(r);
	uint64_t length;
	int64_t ret;

	if (job == NULL)
		return;
	job_make(t, h, job);
	job->request = r;
	length = job->transfer.length;
	ret = ce_channel_map(&r->request, &job->transfer);
	if (ret > 0) {
		CHECK(t, state >= HELD);
		CHECK(t, (uint64_t)ret <= length && job->transfer.length == (uint64_t)ret);
		job_started(h, r->request.channel, job);
		return;
	}
	if (r->request.status < 0)
		CHECK(t, ret == r->request.status);
	else if (state < HELD)
		CHECK(t, ret == -EPERM);
	else
		CHECK(t, ret == -EAGAIN || (fallible(t, h) &&
			(ret == -ENODEV || ret == -ETIMEDOUT || ret == -EIO)));
	CHECK(t, job->transfer.status == 0);
	job_drop(job);
}

static void
hold(struct thread *t, struct request *r)
{
	const int before = atomic_exchange(&holders[r->request.channel], t->number + 1);

	/* What fails is given back by the library, and it is somebody else's before we know. */
	CHECK(t, before == 0 || t->failing);
}

static void
let_go(struct thread *t, struct request *r)
{
	int self = t->number + 1;

	atomic_compare_exchange_strong(&holders[r->request.channel], &self, 0);
}

static enum ce_channel_action
called_back(struct ce_channel_request *request, void *arg)
{
	struct request *r = arg;
	struct thread *t = r->thread;
	struct handle *h = &t->requester;
	enum ce_channel_action action;

	CHECK(t, r->state == ASKED);
	if (request->status != 0) {
		CHECK(t, request->status == -ENODEV && t->failing);
		h->dead = true;
		r->state = IDLE;
		return CE_CHANNEL_KEEP;
	}
	/* In the order in which they were asked for. */
	CHECK(t, r->order > t->delivered);
	t->delivered = r->order;
	CHECK(t, request->channel < RTE_DIM(holders));
	t->granted++;
	/* One that is granted while the handle is closed is given back with it. */
	if (!h->closing)
		hold(t, r);
	r->state = HELD;
	r->in_cb = true;
	CHECK(t, ce_channel_request(h->adapter, request) == -EBUSY);
	CHECK(t, ce_channel_free(request) == -EPERM);
	CHECK(t, ce_channel_cancel(request) == -EBUSY);
	CHECK(t, ce_poll(h->adapter) == 0);
	if (draw(t, 2))
		map(t, r);
	action = (enum ce_channel_action)draw(t, 3);
	if (action != CE_CHANNEL_KEEP)
		let_go(t, r);
	r->in_cb = false;
	if (action == CE_CHANNEL_RELEASE_KEEP)
		r->state = KEPT;
	else if (action == CE_CHANNEL_RELEASE)
		r->state = request_under_way(r) > 0 ? RELEASING : IDLE;
	return action;
}

static void
ask(struct thread *t, struct request *r)
{
	struct handle *h = &t->requester;
	const enum state state = state_of(r);
	struct ce_adapter_info info;
	int ret;

	if (state != IDLE) {
		CHECK(t, ce_channel_request(h->adapter, &r->request) == -EBUSY);
		return;
	}
	ce_adapter_info_get(h->adapter, &info);
	r->request.cb = called_back;
	r->request.arg = r;
	r->request.map_registers = 1 + draw(t, info.map_registers);
	if (draw(t, 20) == 0)
		r->request.map_registers = info.map_registers + 1;
	r->order = ++t->asked;
	r->state = ASKED;
	ret = ce_channel_request(h->adapter, &r->request);
	if (ret == 0)
		return;
	CHECK(t, r->state == ASKED);
	r->state = IDLE;
	if (r->request.map_registers > info.map_registers)
		CHECK(t, ret == -EINVAL);
	else
		CHECK(t, ret == -ENODEV && t->failing);
	h->dead |= ret == -ENODEV;
}

static void
free_channel(struct thread *t, struct request *r)
{
	const enum state state = state_of(r);
	int ret;

	/* Nobody else may think that it is still ours. */
	if (state == HELD && request_under_way(r) == 0)
		let_go(t, r);
	ret = ce_channel_free(&r->request);
	if (state == IDLE)
		CHECK(t, ret == 0);
	else if (state == ASKED)
		CHECK(t, ret == -EPERM);
	else
		CHECK(t, ret == (request_under_way(r) > 0 ? -EBUSY : 0));
	if (ret == 0)
		r->state = IDLE;
}

void
request_step(struct thread *t)
{
	struct request *r = &t->requests[draw(t, REQUESTS)];
	enum state state;
	int ret;

	/* One that an error has ended gives its channel back, at a time that cannot be told. */
	if (t->cycle.error != 0)
		cycle_end(t, false);
	state = state_of(r);
	switch (draw(t, 8)) {
	case 0:
	case 1:
		ask(t, r);
		break;
	case 2:
	case 3:
	case 4:
		if (state != IDLE || r->request.cb != NULL)
			map(t, r);
		break;
	case 5:
		ret = ce_channel_flush(&r->request);
		CHECK(t, ret == (request_under_way(r) > 0 ? -EINPROGRESS : r->request.status));
		break;
	case 6:
		free_channel(t, r);
		break;
	default:
		ret = ce_channel_cancel(&r->request);
		CHECK(t, ret == (state == ASKED ? 0 : -EBUSY));
		if (ret == 0)
			r->state = IDLE;
	}
}

/* The handle is to be closed, which gives back all channels. */
void
requests_let_go(struct thread *t)
{
	unsigned int i;

	for (i = 0; i < REQUESTS; i++)
		if (t->requests[i].state == HELD)
			let_go(t, &t->requests[i]);
}

/* Give back what the requests have; nothing is under way. */
void
requests_end(struct thread *t)
{
	unsigned int i;

	for (i = 0; i < REQUESTS; i++) {
		if (state_of(&t->requests[i]) == ASKED) {
			CHECK(t, ce_channel_cancel(&t->requests[i].request) == 0);
			t->requests[i].state = IDLE;
		}
		free_channel(t, &t->requests[i]);
		CHECK(t, t->requests[i].state == IDLE);
	}
}
