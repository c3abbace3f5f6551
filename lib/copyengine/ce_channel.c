/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "cei_channel.h"
#include "cei_conf.h"

/* Requests that one call calls back. */
#define DELIVERED_PER_CALL 64u

struct channel {
	struct ce_queue *queue;
	uint32_t map_registers;	   /* that the controller has taken */
	uint32_t nb_free;	   /* of them held by no request */
	struct ce_request *holder; /* NULL: the channel is free */
};

struct ce_controller {
	rte_ticketlock_t lock;
	unsigned int nb_channels;
	uint32_t refs; /* handles, under cei_device_lock() */
	struct ce_adapter_conf conf;
	TAILQ_HEAD(, ce_request) queue;
	struct ce_queue *queues[CE_MAX_CHANNELS];
	struct channel channels[CE_MAX_CHANNELS];
};

static struct ce_channel_request *
public(struct ce_request *request)
{
	return (struct ce_channel_request *)RTE_PTR_SUB(
		request, offsetof(struct ce_channel_request, opaque));
}

static int
channels_open(struct ce_controller *controller, const struct ce_channel_id *ids)
{
	struct channel *channel;
	unsigned int i;
	int ret;

	/* What is built for one channel has to serve on any, so they are alike. */
	ret = cei_queues_get(ids, controller->nb_channels, &controller->conf, controller->queues);
	if (ret < 0)
		return ret;
	for (i = 0; i < controller->nb_channels; i++) {
		channel = &controller->channels[i];
		channel->queue = controller->queues[i];
		channel->map_registers = channel->queue->map_registers;
		channel->nb_free = channel->map_registers;
		channel->queue->map_registers = 0;
	}
	/* Now, while nobody else is on the channels. */
	controller->conf.break_even = cei_break_even(
		controller->queues, controller->nb_channels, controller->conf.break_even);
	return 0;
}

static void
channels_close(struct ce_controller *controller)
{
	unsigned int i;

	for (i = 0; i < controller->nb_channels; i++)
		controller->queues[i]->map_registers += controller->channels[i].map_registers;
	cei_queues_put(controller->queues, controller->nb_channels);
}

struct ce_controller *
ce_controller_create(const struct ce_channel_id *channels, unsigned int count,
	const struct ce_adapter_conf *given)
{
	struct ce_controller *controller;
	struct ce_adapter_conf conf = {0};
	int ret;

	if (given != NULL)
		conf = *given;
	conf.flags |= CE_ADAPTER_SHARED;
	if (count == 0 || count > CE_MAX_CHANNELS || conf.nb_stripes > 0 ||
		cei_conf_complete(&conf, &conf) < 0) {
		rte_errno = EINVAL;
		return NULL;
	}
	controller = rte_zmalloc("ce_controller", sizeof(*controller), RTE_CACHE_LINE_SIZE);
	if (controller == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	controller->conf = conf;
	controller->nb_channels = count;
	rte_ticketlock_init(&controller->lock);
	TAILQ_INIT(&controller->queue);
	cei_device_lock();
	ret = channels_open(controller, channels);
	cei_device_unlock();
	if (ret == 0)
		return controller;
	rte_free(controller);
	rte_errno = -ret;
	return NULL;
}

int
ce_controller_destroy(struct ce_controller *controller)
{
	int ret = 0;

	if (controller == NULL)
		return 0;
	cei_device_lock();
	if (controller->refs > 0)
		ret = -EBUSY;
	else
		channels_close(controller);
	cei_device_unlock();
	if (ret == 0)
		rte_free(controller);
	return ret;
}

/* With cei_device_lock() held. */
void
cei_controller_put(struct ce_controller *controller)
{
	controller->refs--;
}

/* For one more handle: complete what it is to have. With cei_device_lock() held. Returns 0, or -EINVAL. */
int
cei_controller_get(struct ce_controller *controller, const struct ce_adapter_conf *given,
	struct ce_adapter_conf *conf, struct ce_queue **queues, unsigned int *nb_queues)
{
	unsigned int i;

	memset(conf, 0, sizeof(*conf));
	if (given != NULL)
		*conf = *given;
	conf->flags |= controller->conf.flags;
	if (conf->map_registers == 0)
		conf->map_registers = controller->conf.map_registers;
	if (conf->break_even == 0)
		conf->break_even = controller->conf.break_even;
	if (conf->nb_stripes > 0 || cei_conf_complete(conf, conf) < 0)
		return -EINVAL;
	*nb_queues = controller->nb_channels;
	for (i = 0; i < controller->nb_channels; i++) {
		queues[i] = controller->queues[i];
		conf->map_registers =
			RTE_MIN(conf->map_registers, controller->channels[i].map_registers);
	}
	controller->refs++;
	return 0;
}

/* A free channel with as many free map registers as the request wants. */
static struct channel *
channel_for(struct ce_controller *controller, const struct ce_request *r)
{
	struct channel *channel;
	unsigned int i;

	for (i = 0; i < controller->nb_channels; i++) {
		channel = &controller->channels[i];
		if (channel->holder == NULL && channel->nb_free >= r->map_registers &&
			cei_queue_dead(channel->queue) == 0)
			return channel;
	}
	return NULL;
}

/*
 * Give free channels to those first in the queue. Called with the lock held, whenever a channel or map
 * registers have become free. Nobody overtakes: if the first wants more map registers than are free,
 * all wait.
 */
static void
assign(struct ce_controller *controller)
{
	struct channel *channel;
	struct ce_request *r;

	while ((r = TAILQ_FIRST(&controller->queue)) != NULL) {
		channel = channel_for(controller, r);
		if (channel == NULL)
			return;
		channel->holder = r;
		channel->nb_free -= r->map_registers;
		r->channel = channel - controller->channels;
		r->granted = true;
		TAILQ_REMOVE(&controller->queue, r, link);
		TAILQ_INSERT_TAIL(&r->owner->granted, r, link);
		atomic_fetch_add(&r->owner->nb_granted, 1);
	}
}

/* Take from a request what it was granted. Called with the lock held. */
static void
release(struct ce_controller *controller, struct ce_request *r, bool keep)
{
	struct channel *channel = &controller->channels[r->channel];

	if (channel->holder == r)
		channel->holder = NULL;
	if (!keep)
		channel->nb_free += r->map_registers;
	assign(controller);
}

/* All channels are dead: those who queue would wait for ever. */
static bool
controller_dead(const struct ce_controller *controller)
{
	unsigned int i;

	for (i = 0; i < controller->nb_channels; i++)
		if (cei_queue_dead(controller->channels[i].queue) == 0)
			return false;
	return true;
}

static void
request_end(struct ce_request *r)
{
	r->state = CE_REQUEST_IDLE;
	r->owner->nb_requests--;
	LIST_REMOVE(r, of_owner);
}

/* Call back a requester whose turn has come. */
static void
deliver_one(struct ce_adapter *adapter, struct ce_request *r);

/* Granted requests, up to a bound: a callback may make a request that is granted at once. */
static void
deliver(struct ce_adapter *adapter)
{
	struct ce_controller *controller = adapter->controller;
	unsigned int n = atomic_load_explicit(&adapter->nb_granted, memory_order_acquire);
	const bool polling = adapter->polling;
	struct ce_request *r;

	/* A callback that makes a request is called back for that after it has returned. */
	if (adapter->delivering)
		return;
	adapter->delivering = true;
	/* Nor may it poll or close the handle, also when it is called from ce_channel_request(). */
	adapter->polling = true;
	for (n = RTE_MIN(n, DELIVERED_PER_CALL); n > 0; n--) {
		rte_ticketlock_lock(&controller->lock);
		r = TAILQ_FIRST(&adapter->granted);
		if (r != NULL) {
			TAILQ_REMOVE(&adapter->granted, r, link);
			atomic_fetch_sub(&adapter->nb_granted, 1);
		}
		rte_ticketlock_unlock(&controller->lock);
		/* One callback may have cancelled another's request. */
		if (r == NULL)
			break;
		deliver_one(adapter, r);
	}
	adapter->polling = polling;
	adapter->delivering = false;
}

int
ce_channel_request(struct ce_adapter *adapter, struct ce_channel_request *request)
{
	struct ce_controller *controller = adapter->controller;
	struct ce_request *r = cei_request(request);
	CE_CALL(adapter);

	if (r->state != CE_REQUEST_IDLE || r->in_cb)
		return -EBUSY;
	/* Any channel must do, or the request might be the first in the queue for ever. */
	if (controller == NULL || request->cb == NULL || request->map_registers == 0 ||
		request->map_registers > adapter->map_registers)
		return -EINVAL;
	if (adapter->closing)
		return -ECANCELED;
	if (controller_dead(controller))
		return -ENODEV;
	r->state = CE_REQUEST_ASKED;
	request->status = 0;
	r->map_registers = request->map_registers;
	r->budget = request->map_registers;
	r->releasing = false;
	r->granted = false;
	r->owner = adapter;
	adapter->nb_requests++;
	LIST_INSERT_HEAD(&adapter->requests, r, of_owner);

	rte_ticketlock_lock(&controller->lock);
	TAILQ_INSERT_TAIL(&controller->queue, r, link);
	assign(controller);
	rte_ticketlock_unlock(&controller->lock);

	deliver(adapter);
	return 0;
}

int
ce_channel_cancel(struct ce_channel_request *request)
{
	struct ce_request *r = cei_request(request);
	struct ce_controller *controller;
	CE_CALL(r->owner);

	if (r->state != CE_REQUEST_ASKED)
		return -EBUSY;
	controller = r->owner->controller;
	rte_ticketlock_lock(&controller->lock);
	if (r->granted) {
		TAILQ_REMOVE(&r->owner->granted, r, link);
		atomic_fetch_sub(&r->owner->nb_granted, 1);
		release(controller, r, false);
	} else {
		TAILQ_REMOVE(&controller->queue, r, link);
		/* Those behind may be content with less than it was waiting for. */
		assign(controller);
	}
	rte_ticketlock_unlock(&controller->lock);
	request_end(r);
	return 0;
}

static void
request_release(struct ce_request *r, bool keep)
{
	struct ce_controller *controller = r->owner->controller;

	rte_ticketlock_lock(&controller->lock);
	release(controller, r, keep);
	rte_ticketlock_unlock(&controller->lock);
	r->state = CE_REQUEST_KEPT;
	if (!keep)
		request_end(r);
}

static void
deliver_one(struct ce_adapter *adapter, struct ce_request *r)
{
	struct ce_channel_request *request = public(r);
	enum ce_channel_action action;

	r->stream = &adapter->streams[r->channel];
	request->channel = r->channel;
	r->state = CE_REQUEST_HELD;
	r->in_cb = true;
	action = request->cb(request, request->arg);
	r->in_cb = false;
	if (action == CE_CHANNEL_RELEASE && r->transfers > 0)
		r->releasing = true;
	else if (request->status < 0 && r->transfers == 0)
		request_release(r, false);
	else if (action != CE_CHANNEL_KEEP)
		request_release(r, action == CE_CHANNEL_RELEASE_KEEP);
}

/* The owner's requests in the queue of a controller that is dead: nobody will ever grant them. */
static void
deliver_dead(struct ce_adapter *adapter)
{
	struct ce_controller *controller = adapter->controller;
	struct ce_channel_request *request;
	struct ce_request *r;

	do {
		rte_ticketlock_lock(&controller->lock);
		TAILQ_FOREACH(r, &controller->queue, link)
			if (r->owner == adapter)
				break;
		if (r != NULL)
			TAILQ_REMOVE(&controller->queue, r, link);
		rte_ticketlock_unlock(&controller->lock);
		if (r == NULL)
			break;
		request = public(r);
		request->status = -ENODEV;
		request_end(r);
		request->cb(request, request->arg);
	} while (true);
}

void
cei_channel_poll(struct ce_adapter *adapter)
{
	if (atomic_load_explicit(&adapter->nb_granted, memory_order_acquire) > 0)
		deliver(adapter);
	if (unlikely(adapter->nb_requests > 0 && controller_dead(adapter->controller)))
		deliver_dead(adapter);
}

/* Give back all channels and requests of a handle that has nothing under way. */
void
cei_channel_close(struct ce_adapter *adapter)
{
	struct ce_request *r;

	while ((r = LIST_FIRST(&adapter->requests)) != NULL) {
		if (r->state == CE_REQUEST_ASKED)
			ce_channel_cancel(public(r));
		else
			request_release(r, false);
	}
}

/* One thing less is under way for the request: see whether it has finished, too. */
static void
one_less(struct ce_channel_request *request, int status)
{
	struct ce_request *r = cei_request(request);

	if (status < 0 && request->status == 0)
		request->status = status;
	if (--r->transfers > 0 || (request->status == 0 && !r->releasing))
		return;
	/* One that is being called back is seen to when that has returned. */
	if (!r->in_cb)
		request_release(r, false);
}

static void
mapped_is_done(struct ce_transfer *transfer, void *owner)
{
	one_less(owner, transfer->status);
}

/* Whether a handle has something under way on another channel than that of a stream. */
static bool
busy_elsewhere(const struct ce_adapter *adapter, const struct ce_stream *stream)
{
	bool busy = false;
	unsigned int i;

	for (i = 0; i < adapter->nb_streams; i++)
		busy |= &adapter->streams[i] != stream && cei_stream_busy(&adapter->streams[i]);
	return busy;
}

int64_t
ce_channel_map(struct ce_channel_request *request, struct ce_transfer *transfer)
{
	struct ce_request *r = cei_request(request);
	int64_t ret;
	CE_CALL(r->owner);

	if (request->status < 0)
		return request->status;
	if (r->state != CE_REQUEST_HELD && r->state != CE_REQUEST_KEPT)
		return -EPERM;
	/* What orders a channel, and waits with it, knows nothing of the others. */
	if (transfer->flags & CE_TRANSFER_FENCE && transfer->status != -EINPROGRESS &&
		busy_elsewhere(r->owner, r->stream))
		return -EAGAIN;
	ret = cei_stream_start_partly(r->stream, transfer, &r->budget, mapped_is_done, request);
	if (ret > 0)
		r->transfers++;
	return ret;
}

int
ce_channel_flush(const struct ce_channel_request *request)
{
	return cei_request(request)->transfers > 0 ? -EINPROGRESS : request->status;
}

int
ce_channel_free(struct ce_channel_request *request)
{
	struct ce_request *r = cei_request(request);
	CE_CALL(r->owner);

	if (r->state == CE_REQUEST_ASKED || r->in_cb)
		return -EPERM;
	if (r->transfers > 0)
		return -EBUSY;
	if (r->state != CE_REQUEST_IDLE)
		request_release(r, false);
	return 0;
}

/* For a cyclic transfer: the stream of a channel that is held, and stays so until unheld. */
struct ce_stream *
cei_request_hold(struct ce_adapter *adapter, struct ce_channel_request *request)
{
	struct ce_request *r = cei_request(request);

	if (r->state != CE_REQUEST_HELD || r->owner != adapter || request->status != 0)
		return NULL;
	r->transfers++;
	return r->stream;
}

void
cei_request_unhold(struct ce_channel_request *request, int status)
{
	one_less(request, status);
}
