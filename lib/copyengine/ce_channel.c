/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "ce_private.h"

struct channel {
	struct ce_device *dev;
	uint16_t vchan;
	uint32_t map_registers;		   /* that the controller has taken */
	uint32_t nb_free;		   /* of them held by no request */
	struct ce_channel_request *holder; /* NULL: the channel is free */
};

struct ce_controller {
	rte_ticketlock_t lock;
	unsigned int nb_channels;
	uint32_t refs; /* handles */
	struct ce_adapter_conf conf;
	TAILQ_HEAD(, ce_channel_request) queue;
	struct channel channels[CE_CONTROLLER_MAX_CHANNELS];
};

static int
channel_open(struct channel *channel, const struct ce_controller_channel *id,
	const struct ce_adapter_conf *conf)
{
	struct ce_adapter_conf channel_conf = *conf;
	struct ce_vchan *vq;

	channel_conf.vchan = id->vchan;
	channel->dev = cei_device_get(id->dev_id, &channel_conf);
	if (channel->dev == NULL)
		return -rte_errno;
	channel->vchan = id->vchan;
	vq = &channel->dev->vchans[id->vchan];
	channel->map_registers = vq->map_registers;
	channel->nb_free = vq->map_registers;
	vq->map_registers = 0;
	return channel->map_registers == 0 ? -ENOSPC : 0;
}

static void
channel_close(struct channel *channel)
{
	if (channel->dev == NULL)
		return;
	channel->dev->vchans[channel->vchan].map_registers += channel->map_registers;
	cei_device_put(channel->dev);
}

/* What is built for one channel has to serve on any. */
static bool
channels_alike(const struct channel *a, const struct channel *b)
{
	return a->dev->sva == b->dev->sva && (a->dev->max_sges > 1) == (b->dev->max_sges > 1);
}

struct ce_controller *
ce_controller_create(const struct ce_controller_channel *channels, unsigned int count,
	const struct ce_adapter_conf *conf)
{
	struct ce_controller *controller;
	unsigned int i;
	int ret = 0;

	if (count == 0 || count > CE_CONTROLLER_MAX_CHANNELS) {
		rte_errno = EINVAL;
		return NULL;
	}
	controller = rte_zmalloc("ce_controller", sizeof(*controller), RTE_CACHE_LINE_SIZE);
	if (controller == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	controller->conf = cei_conf_complete(conf);
	controller->conf.flags |= CE_ADAPTER_SHARED;
	controller->nb_channels = count;
	rte_ticketlock_init(&controller->lock);
	TAILQ_INIT(&controller->queue);
	for (i = 0; ret == 0 && i < count; i++) {
		ret = channel_open(&controller->channels[i], &channels[i], &controller->conf);
		if (ret == 0 && !channels_alike(&controller->channels[0], &controller->channels[i]))
			ret = -EINVAL;
	}
	if (ret < 0) {
		ce_controller_destroy(controller);
		rte_errno = -ret;
		return NULL;
	}
	return controller;
}

int
ce_controller_destroy(struct ce_controller *controller)
{
	unsigned int i;

	if (controller == NULL)
		return 0;
	if (controller->refs > 0)
		return -EBUSY;
	for (i = 0; i < controller->nb_channels; i++)
		channel_close(&controller->channels[i]);
	rte_free(controller);
	return 0;
}

struct ce_adapter *
ce_controller_adapter_get(struct ce_controller *controller, const struct ce_adapter_conf *given)
{
	struct ce_adapter_conf conf = cei_conf_complete(given), port_conf;
	struct ce_adapter *adapter;
	unsigned int i;

	if (given == NULL || given->map_registers == 0)
		conf.map_registers = controller->conf.map_registers;
	conf.vchan = controller->channels[0].vchan;
	port_conf = conf;
	conf.map_registers = 0;
	adapter = cei_adapter_create(controller->channels[0].dev, &conf, NULL);
	if (adapter == NULL)
		return NULL;
	for (i = 0; i < controller->nb_channels; i++) {
		const struct channel *channel = &controller->channels[i];

		conf = port_conf;
		conf.vchan = channel->vchan;
		conf.map_registers = RTE_MIN(conf.map_registers, channel->map_registers);
		adapter->ports[i] = cei_adapter_create(channel->dev, &conf, adapter);
		if (adapter->ports[i] == NULL)
			break;
	}
	adapter->controller = controller;
	controller->refs++;
	if (i < controller->nb_channels) {
		cei_controller_adapter_put(adapter);
		rte_errno = ENOMEM;
		return NULL;
	}
	return adapter;
}

int
cei_controller_adapter_put(struct ce_adapter *adapter)
{
	unsigned int i;

	for (i = 0; i < CE_CONTROLLER_MAX_CHANNELS && adapter->ports[i] != NULL; i++)
		if (cei_adapter_busy(adapter->ports[i]))
			return -EBUSY;
	for (i = 0; i < CE_CONTROLLER_MAX_CHANNELS && adapter->ports[i] != NULL; i++) {
		adapter->ports[i]->bounce = NULL;
		cei_adapter_destroy(adapter->ports[i]);
	}
	adapter->controller->refs--;
	cei_adapter_destroy(adapter);
	return 0;
}

/* A free channel with as many free map registers as the request wants. */
static struct channel *
channel_for(struct ce_controller *controller, const struct ce_channel_request *request)
{
	struct channel *channel;
	unsigned int i;

	for (i = 0; i < controller->nb_channels; i++) {
		channel = &controller->channels[i];
		if (channel->holder == NULL && channel->nb_free >= request->map_registers &&
			atomic_load(&channel->dev->dead) == 0)
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
	struct ce_channel_request *request;
	struct channel *channel;

	while ((request = TAILQ_FIRST(&controller->queue)) != NULL) {
		channel = channel_for(controller, request);
		if (channel == NULL)
			return;
		channel->holder = request;
		channel->nb_free -= request->map_registers;
		request->channel = channel - controller->channels;
		request->granted = true;
		TAILQ_REMOVE(&controller->queue, request, link);
		TAILQ_INSERT_TAIL(&request->owner->granted, request, link);
		atomic_fetch_add(&request->owner->nb_granted, 1);
	}
}

/* Take from a request what it was granted. Called with the lock held. */
static void
release(struct ce_controller *controller, struct ce_channel_request *request, bool keep)
{
	struct channel *channel = &controller->channels[request->channel];

	if (channel->holder == request)
		channel->holder = NULL;
	if (!keep)
		channel->nb_free += request->map_registers;
	assign(controller);
}

/* All channels are dead: those who queue would wait for ever. */
static bool
controller_dead(const struct ce_controller *controller)
{
	unsigned int i;

	for (i = 0; i < controller->nb_channels; i++)
		if (atomic_load(&controller->channels[i].dev->dead) == 0)
			return false;
	return true;
}

static bool
request_valid(const struct ce_adapter *adapter, const struct ce_channel_request *request)
{
	const struct ce_controller *controller = adapter->controller;
	unsigned int i;

	if (controller == NULL || request->cb == NULL || request->map_registers == 0)
		return false;
	/* Any channel must do, or the request might be the first in the queue for ever. */
	for (i = 0; i < controller->nb_channels; i++)
		if (request->map_registers > adapter->ports[i]->nb_map_registers)
			return false;
	return true;
}

int
ce_channel_request(struct ce_adapter *adapter, struct ce_channel_request *request)
{
	struct ce_controller *controller = adapter->controller;

	if (request->state != CE_REQUEST_IDLE || request->in_cb)
		return -EBUSY;
	if (!request_valid(adapter, request))
		return -EINVAL;
	if (controller_dead(controller))
		return -ENODEV;
	request->state = CE_REQUEST_ASKED;
	request->status = 0;
	request->used = 0;
	request->releasing = false;
	request->granted = false;
	request->owner = adapter;
	adapter->nb_requests++;

	rte_ticketlock_lock(&controller->lock);
	TAILQ_INSERT_TAIL(&controller->queue, request, link);
	assign(controller);
	rte_ticketlock_unlock(&controller->lock);

	cei_channel_deliver(adapter);
	return 0;
}

int
ce_channel_cancel(struct ce_channel_request *request)
{
	struct ce_controller *controller;

	if (request->state != CE_REQUEST_ASKED)
		return -EBUSY;
	controller = request->owner->controller;
	rte_ticketlock_lock(&controller->lock);
	if (request->granted) {
		TAILQ_REMOVE(&request->owner->granted, request, link);
		atomic_fetch_sub(&request->owner->nb_granted, 1);
		release(controller, request, false);
	} else {
		TAILQ_REMOVE(&controller->queue, request, link);
		/* Those behind may be content with less than it was waiting for. */
		assign(controller);
	}
	rte_ticketlock_unlock(&controller->lock);
	request->state = CE_REQUEST_IDLE;
	request->owner->nb_requests--;
	return 0;
}

static void
request_release(struct ce_channel_request *request, bool keep)
{
	struct ce_adapter *owner = request->owner;

	rte_ticketlock_lock(&owner->controller->lock);
	release(owner->controller, request, keep);
	rte_ticketlock_unlock(&owner->controller->lock);
	request->state = keep ? CE_REQUEST_KEPT : CE_REQUEST_IDLE;
	if (!keep)
		owner->nb_requests--;
}

/* Call back a requester whose turn has come. */
static void
deliver_one(struct ce_adapter *adapter, struct ce_channel_request *request)
{
	enum ce_channel_action action;

	request->port = adapter->ports[request->channel];
	request->state = CE_REQUEST_HELD;
	request->in_cb = true;
	action = request->cb(request, request->arg);
	request->in_cb = false;
	if (action == CE_CHANNEL_RELEASE && request->transfers > 0)
		request->releasing = true;
	else if (action != CE_CHANNEL_KEEP)
		request_release(request, action == CE_CHANNEL_RELEASE_KEEP);
}

/* The owner's requests in the queue of a controller that is dead: nobody will ever grant them. */
static void
deliver_dead(struct ce_adapter *adapter)
{
	struct ce_controller *controller = adapter->controller;
	struct ce_channel_request *request;

	do {
		rte_ticketlock_lock(&controller->lock);
		TAILQ_FOREACH(request, &controller->queue, link)
			if (request->owner == adapter)
				break;
		if (request != NULL)
			TAILQ_REMOVE(&controller->queue, request, link);
		rte_ticketlock_unlock(&controller->lock);
		if (request != NULL) {
			request->state = CE_REQUEST_IDLE;
			request->status = -ENODEV;
			adapter->nb_requests--;
			request->cb(request, request->arg);
		}
	} while (request != NULL);
}

void
cei_channel_deliver(struct ce_adapter *adapter)
{
	struct ce_controller *controller = adapter->controller;
	struct ce_channel_request *request;

	/* A callback that makes a request is called back for that after it has returned. */
	if (adapter->delivering)
		return;
	adapter->delivering = true;
	while (atomic_load_explicit(&adapter->nb_granted, memory_order_acquire) > 0) {
		rte_ticketlock_lock(&controller->lock);
		request = TAILQ_FIRST(&adapter->granted);
		TAILQ_REMOVE(&adapter->granted, request, link);
		atomic_fetch_sub(&adapter->nb_granted, 1);
		rte_ticketlock_unlock(&controller->lock);
		deliver_one(adapter, request);
	}
	if (unlikely(adapter->nb_requests > 0 && controller_dead(controller)))
		deliver_dead(adapter);
	adapter->delivering = false;
}

int64_t
ce_channel_map(struct ce_channel_request *request, struct ce_transfer *transfer)
{
	if (request->status < 0)
		return request->status;
	if (request->state != CE_REQUEST_HELD && request->state != CE_REQUEST_KEPT)
		return -EPERM;
	if (cei_transfer_init(transfer) < 0)
		return -EINVAL;
	return cei_transfer_start_partly(request->port, transfer, request);
}

int
ce_channel_flush(const struct ce_channel_request *request)
{
	return request->transfers > 0 ? -EINPROGRESS : request->status;
}

int
ce_channel_free(struct ce_channel_request *request)
{
	if (request->state == CE_REQUEST_ASKED || request->in_cb)
		return -EPERM;
	if (request->transfers > 0)
		return -EBUSY;
	if (request->state != CE_REQUEST_IDLE)
		request_release(request, false);
	return 0;
}

/* A transfer of the request has finished: see whether the request has, too. */
void
cei_channel_transferred(struct ce_channel_request *request, int status)
{
	if (status < 0 && request->status == 0)
		request->status = status;
	if (--request->transfers == 0 && (request->status < 0 || request->releasing))
		request_release(request, false);
}
