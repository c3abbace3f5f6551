/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "cei_channel.h"
#include "cei_conf.h"
#include "cei_cyclic.h"
#include "cei_fast.h"
#include "cei_telemetry.h"

static int
context_init(struct ce_adapter *adapter)
{
	const struct ce_adapter_conf *conf = &adapter->conf;
	const struct ce_device *dev = adapter->nb_queues > 0 ? adapter->queues[0]->dev : NULL;
	struct ce_context *context = &adapter->context;
	unsigned int i;

	context->socket = SOCKET_ID_ANY;
	context->max_segment = conf->max_segment;
	context->bounce_size = conf->bounce_size;
	context->bounce_buffers = conf->bounce_buffers;
	context->sg_blocks = conf->sg_blocks;
	context->break_even = cei_break_even(adapter->queues, adapter->nb_queues, conf->break_even);
	context->max_sges = 1;
	if (dev != NULL) {
		context->socket = dev->socket;
		context->max_sges = conf->flags & CE_ADAPTER_NO_SG ? 1 : dev->max_sges;
		context->fill = dev->fill;
	}
	for (i = 1; i < adapter->nb_queues; i++)
		context->max_sges = RTE_MIN(context->max_sges, adapter->queues[i]->dev->max_sges);
	for (i = 0; i < adapter->nb_queues; i++)
		adapter->dev_ids[i] = adapter->queues[i]->dev_id;
	context->memory.dev_ids = adapter->dev_ids;
	context->memory.nb_dev_ids = adapter->nb_queues;
	return cei_memory_init(
		&context->memory, dev == NULL || (dev->sva && !(conf->flags & CE_ADAPTER_NO_SVA)));
}

/* One stream over all queues; or, on a controller, one on each. */
static int
streams_init(struct ce_adapter *adapter)
{
	const bool single = adapter->controller == NULL;
	uint32_t operations = adapter->map_registers;
	unsigned int i;
	int ret = 0;

	if (adapter->nb_queues == 0)
		operations = adapter->conf.ring_size;
	adapter->budget = adapter->map_registers;
	adapter->nb_streams = single ? 1 : adapter->nb_queues;
	for (i = 0; ret == 0 && i < adapter->nb_streams; i++) {
		adapter->stream_budgets[i] = adapter->map_registers;
		ret = cei_stream_init(&adapter->streams[i], &adapter->context,
			&adapter->queues[i], single ? adapter->nb_queues : 1, operations,
			single ? &adapter->budget : &adapter->stream_budgets[i]);
	}
	return ret;
}

static void
closing_set(struct ce_adapter *adapter, bool closing)
{
	/* ce_channel_map() is for those on a controller. */
	const int refuses = closing ? -ECANCELED : adapter->controller != NULL ? -EINVAL : 0;
	unsigned int i;

	adapter->closing = closing;
	for (i = 0; i < adapter->nb_streams; i++)
		cei_stream_refuse(&adapter->streams[i], refuses);
}

/* With cei_device_lock() held. */
static void
adapter_destroy(struct ce_adapter *adapter)
{
	unsigned int i;

	cei_telemetry_remove(adapter);
	for (i = 0; i < adapter->nb_streams; i++)
		cei_stream_fini(&adapter->streams[i]);
	for (i = 0; i < adapter->nb_queues; i++)
		adapter->queues[i]->map_registers += adapter->taken[i];
	ce_common_pool_destroy(adapter->context.bounce);
	cei_sglists_fini(&adapter->context);
	cei_memory_fini(&adapter->context.memory);
	rte_free(adapter);
}

/* A handle on queues, none for the CPU's. With cei_device_lock() held. */
static struct ce_adapter *
adapter_create(const struct ce_adapter_conf *conf, struct ce_queue **queues,
	unsigned int nb_queues, struct ce_controller *controller)
{
	struct ce_adapter *adapter;
	unsigned int i;
	int ret;

	adapter = rte_zmalloc_socket("ce_adapter", sizeof(*adapter), RTE_CACHE_LINE_SIZE,
		nb_queues > 0 ? queues[0]->dev->socket : SOCKET_ID_ANY);
	if (adapter == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	adapter->conf = *conf;
	adapter->conf.stripes = NULL;
	adapter->controller = controller;
	adapter->nb_queues = nb_queues;
	for (i = 0; i < nb_queues; i++)
		adapter->queues[i] = queues[i];
	TAILQ_INIT(&adapter->granted);
	LIST_INIT(&adapter->requests);
	LIST_INIT(&adapter->cyclics);
	if (controller != NULL)
		adapter->map_registers = conf->map_registers;
	for (i = 0; controller == NULL && i < nb_queues; i++) {
		adapter->taken[i] = RTE_MIN(conf->map_registers, queues[i]->map_registers);
		queues[i]->map_registers -= adapter->taken[i];
		adapter->map_registers += adapter->taken[i];
	}
	ret = context_init(adapter);
	if (ret == 0)
		ret = streams_init(adapter);
	closing_set(adapter, false);
	if (ret < 0) {
		adapter_destroy(adapter);
		rte_errno = -ret;
		return NULL;
	}
	cei_telemetry_add(adapter);
	return adapter;
}

static bool
streams_busy(const struct ce_adapter *adapter)
{
	bool busy = false;
	unsigned int i;

	for (i = 0; i < adapter->nb_streams; i++)
		busy |= cei_stream_busy(&adapter->streams[i]);
	return busy;
}

/* Whatever is the handle's own on its devices, or its cyclic transfers'. */
static bool
anything_under_way(const struct ce_adapter *adapter)
{
	return streams_busy(adapter) || !LIST_EMPTY(&adapter->cyclics);
}

static bool
is_busy(const struct ce_adapter *adapter)
{
	return adapter->polling || anything_under_way(adapter) ||
		adapter->nb_requests > 0 || adapter->context.counters.sg_blocks > 0 ||
		adapter->context.counters.common_bytes > 0 ||
		!LIST_EMPTY(&adapter->context.memory.registrations);
}

struct ce_adapter *
ce_adapter_get(int16_t dev_id, const struct ce_adapter_conf *given)
{
	struct ce_queue *queues[CE_MAX_CHANNELS];
	struct ce_channel_id ids[CE_MAX_CHANNELS];
	struct ce_adapter *adapter = NULL;
	unsigned int nb_queues = 0;
	struct ce_adapter_conf conf;
	int ret = 0;

	if (cei_conf_complete(given, &conf) < 0 || (dev_id == CE_CPU && conf.nb_stripes > 0)) {
		rte_errno = EINVAL;
		return NULL;
	}
	if (dev_id != CE_CPU) {
		nb_queues = 1 + conf.nb_stripes;
		ids[0] = (struct ce_channel_id){dev_id, conf.vchan};
		if (conf.nb_stripes > 0) /* else there may be no list, which memcpy() wants */
			memcpy(&ids[1], conf.stripes, conf.nb_stripes * sizeof(ids[0]));
	}
	cei_device_lock();
	ret = cei_queues_get(ids, nb_queues, &conf, queues);
	if (ret == 0) {
		adapter = adapter_create(&conf, queues, nb_queues, NULL);
		if (adapter == NULL)
			cei_queues_put(queues, nb_queues);
	} else {
		rte_errno = -ret;
	}
	cei_device_unlock();
	return adapter;
}

struct ce_adapter *
ce_controller_adapter_get(struct ce_controller *controller, const struct ce_adapter_conf *given)
{
	struct ce_queue *queues[CE_MAX_CHANNELS];
	struct ce_adapter *adapter = NULL;
	struct ce_adapter_conf conf;
	unsigned int nb_queues;

	cei_device_lock();
	if (cei_controller_get(controller, given, &conf, queues, &nb_queues) == 0) {
		adapter = adapter_create(&conf, queues, nb_queues, controller);
		if (adapter == NULL)
			cei_controller_put(controller);
	} else {
		rte_errno = EINVAL;
	}
	cei_device_unlock();
	return adapter;
}

int
ce_adapter_put(struct ce_adapter *adapter)
{
	struct ce_queue *queues[CE_MAX_CHANNELS];
	struct ce_controller *controller = adapter->controller;
	const unsigned int nb_queues = adapter->nb_queues;

	{
		CE_CALL(adapter);
		if (is_busy(adapter))
			return -EBUSY;
	}
	memcpy(queues, adapter->queues, sizeof(queues));
	cei_device_lock();
	adapter_destroy(adapter);
	if (controller != NULL)
		cei_controller_put(controller);
	else
		cei_queues_put(queues, nb_queues);
	cei_device_unlock();
	return 0;
}

/* Progress of everything; transfers without a callback that finish are stored. */
static __rte_noinline unsigned int
progress(struct ce_adapter *adapter, struct ce_transfer **finished, unsigned int max,
	unsigned int *stored)
{
	unsigned int i, done = 0;
	struct ce_stream *s;

	adapter->polling = true;
	for (i = 0; i < adapter->nb_streams; i++) {
		s = &adapter->streams[i];
		if (cei_stream_busy(s))
			done += cei_stream_poll(s, finished, max - done, stored);
	}
	if (unlikely(!LIST_EMPTY(&adapter->cyclics)))
		cei_cyclic_poll(adapter);
	if (unlikely(adapter->controller != NULL))
		cei_channel_poll(adapter);
	adapter->polling = false;
	return done;
}

unsigned int
ce_poll(struct ce_adapter *adapter)
{
	unsigned int done = 0, stored = 0;

	CE_CALL(adapter);
	/* While the fast path is open there are neither cyclic transfers nor requests of channels. */
	if (likely(!adapter->polling) &&
		unlikely(!cei_fast_poll(&adapter->streams[0], NULL, CE_BURST, &done)))
		done += progress(adapter, NULL, CE_BURST - done, &stored);
	return done;
}

unsigned int
ce_collect(struct ce_adapter *adapter, struct ce_transfer **finished, unsigned int max)
{
	unsigned int stored = 0, more = 0;

	CE_CALL(adapter);
	if (likely(!adapter->polling) &&
		unlikely(!cei_fast_poll(&adapter->streams[0], finished, max, &stored)))
		progress(adapter, finished + stored, max - stored, &more);
	return stored + more;
}

int
ce_submit(struct ce_adapter *adapter, struct ce_transfer *const *transfers, unsigned int count)
{
	struct ce_stream *s = &adapter->streams[0];
	int ret, rest;

	CE_CALL(adapter);
	ret = cei_fast_submit(s, transfers, count);
	if (unlikely(ret == 0 || (unsigned int)ret < count)) {
		rest = cei_stream_submit(s, transfers + ret, count - ret);
		ret = rest >= 0 || ret == 0 ? ret + rest : ret;
	}
	return ret;
}

int
ce_transfer_submit(struct ce_adapter *adapter, struct ce_transfer *t)
{
	struct ce_stream *s = &adapter->streams[0];

	CE_CALL(adapter);
	if (likely(cei_fast_plain(t)))
		return cei_fast_start(s, t, t->dst_va, t->src_va, t->length, false);
	return cei_stream_missed(s, t);
}

static inline void
ranges_set(struct ce_transfer *t, void *dst, const void *src, size_t length)
{
	t->length = length;
	t->src_va = src;
	t->dst_va = dst;
	t->src = NULL;
	t->dst = NULL;
}

static __rte_noinline int
copy_slow(struct ce_stream *s, struct ce_transfer *t, void *dst, const void *src, size_t length)
{
	if (t->status == -EINPROGRESS)
		return -EBUSY;
	ranges_set(t, dst, src, length);
	t->flags &= ~CE_TRANSFER_FILL;
	return cei_stream_missed(s, t);
}

int
ce_transfer_copy(struct ce_adapter *adapter, struct ce_transfer *t, void *dst, const void *src,
	size_t length)
{
	const struct ce_transfer more = {.flags = CE_TRANSFER_MORE};
	const uint64_t state = cei_fast_state(t);
	struct ce_stream *s = &adapter->streams[0];

	CE_CALL(adapter);
	if (unlikely((state & ~cei_fast_state(&more)) != 0))
		return copy_slow(s, t, dst, src, length);
	ranges_set(t, dst, src, length);
	return cei_fast_start(s, t, dst, src, length, state != 0);
}

int
ce_transfer_fill(struct ce_adapter *adapter, struct ce_transfer *t, void *dst, uint64_t pattern,
	size_t length)
{
	CE_CALL(adapter);
	if (t->status == -EINPROGRESS)
		return -EBUSY;
	ranges_set(t, dst, NULL, length);
	t->pattern = pattern;
	t->flags |= CE_TRANSFER_FILL;
	return cei_stream_missed(&adapter->streams[0], t);
}

int
ce_transfer_cancel(struct ce_adapter *adapter, struct ce_transfer *transfer)
{
	CE_CALL(adapter);
	return cei_stream_cancel(&adapter->streams[0], transfer);
}

int
ce_drain(struct ce_adapter *adapter, uint32_t timeout_ms)
{
	const uint64_t start = rte_get_tsc_cycles();
	const uint64_t limit = rte_get_tsc_hz() / 1000 * timeout_ms;

	if (adapter->polling)
		return -EDEADLK;
	while (streams_busy(adapter)) {
		ce_poll(adapter);
		if (rte_get_tsc_cycles() - start > limit)
			return streams_busy(adapter) ? -ETIMEDOUT : 0;
	}
	return 0;
}

static int
close_by(struct ce_adapter *adapter, uint64_t deadline)
{
	unsigned int i;

	for (i = 0; i < adapter->nb_streams; i++)
		cei_stream_cancel_all(&adapter->streams[i]);
	while (anything_under_way(adapter)) {
		cei_cyclic_close(adapter);
		ce_poll(adapter);
		if (rte_get_tsc_cycles() > deadline)
			return anything_under_way(adapter) ? -ETIMEDOUT : 0;
	}
	return 0;
}

static bool
all_stopped(const struct ce_adapter *adapter)
{
	bool stopped = true;
	unsigned int i;

	for (i = 0; i < adapter->nb_queues; i++)
		stopped &= adapter->queues[i]->dev->stopped;
	return stopped;
}

int
ce_adapter_close(struct ce_adapter *adapter, uint32_t timeout_ms)
{
	const uint64_t ms = rte_get_tsc_hz() / 1000, start = rte_get_tsc_cycles();
	unsigned int i;
	int ret;

	if (adapter->polling)
		return -EDEADLK;
	closing_set(adapter, true);
	ret = close_by(adapter, start + ms * timeout_ms);
	/* Without a device what is left is only work, and all of it is done. */
	if (ret == -ETIMEDOUT && (adapter->nb_queues == 0 || !adapter->queues[0]->shared)) {
		for (i = 0; i < adapter->nb_queues; i++)
			cei_device_die(adapter->queues[i]->dev, ETIMEDOUT);
		/* All is back now, of a device that stops: callbacks may not submit. */
		while ((ret = close_by(adapter, 0)) == -ETIMEDOUT && all_stopped(adapter))
			;
	}
	if (ret == 0) {
		cei_channel_close(adapter);
		ret = ce_adapter_put(adapter);
	}
	if (ret < 0)
		closing_set(adapter, false);
	return ret;
}

int
ce_memory_register(struct ce_adapter *adapter, void *va, size_t length)
{
	CE_CALL(adapter);
	return cei_memory_register(&adapter->context.memory, va, length);
}

int
ce_memory_unregister(struct ce_adapter *adapter, void *va, size_t length)
{
	CE_CALL(adapter);
	if (anything_under_way(adapter))
		return -EBUSY;
	return cei_memory_unregister(&adapter->context.memory, va, length);
}

#ifdef CE_DEBUG
int
cei_enter(struct ce_adapter *adapter, const char *call)
{
	const int self = rte_sys_gettid();
	int other = 0;

	/* A request that has never been made has no handle. */
	if (adapter == NULL)
		return 1;
	if (atomic_compare_exchange_strong(&adapter->inside, &other, self))
		return 0;
	/* From a callback, within another call of the same thread. */
	if (other == self)
		return 1;
	CE_LOG(CRIT, "%s() by thread %d on handle %u while thread %d is in a call on it", call, self,
		adapter->id, other);
	return 1;
}

void
cei_leave(struct ce_adapter *adapter, int nested)
{
	if (!nested)
		atomic_store(&adapter->inside, 0);
}
#endif
