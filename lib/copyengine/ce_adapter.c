/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>

#include "cei_adapter.h"
#include "cei_fast.h"

#define DEFAULT_RING_SIZE      1024
#define DEFAULT_SHARE	       64 /* map registers of an owner who shares */
#define DEFAULT_MAX_SEGMENT    (1u << 20) /* what the smallest of DPDK's engines take */
#define DEFAULT_BOUNCE_SIZE    16384
#define DEFAULT_BOUNCE_BUFFERS 64
#define DEFAULT_SG_BLOCKS      1024
#define DEFAULT_TIMEOUT_MS     10000

/* The break-even size of an engine that cannot be measured. */
#define DEFAULT_BREAK_EVEN 1024
#define MEASURED_OPS	   32
#define MEASURED_ROUNDS	   8
#define MEASURED_MAX	   16384

#define LARGEST_BOUNCE_SIZE (1u << 20)

static bool
conf_valid(const struct ce_adapter_conf *conf)
{
	const uint32_t flags = CE_ADAPTER_SHARED | CE_ADAPTER_NO_SG | CE_ADAPTER_NO_SVA;

	return (conf->flags & ~flags) == 0 && conf->max_segment >= 64 && conf->bounce_size >= 64 &&
		conf->bounce_size <= LARGEST_BOUNCE_SIZE && conf->bounce_buffers >= 1 &&
		conf->bounce_buffers <= UINT16_MAX && conf->nb_stripes < CE_MAX_CHANNELS &&
		(conf->nb_stripes == 0 || conf->stripes != NULL) &&
		conf->direction <= RTE_DMA_DIR_DEV_TO_MEM;
}

/* Put the defaults in. Returns 0, or -EINVAL. */
int
cei_conf_complete(const struct ce_adapter_conf *given, struct ce_adapter_conf *conf)
{
	if (given == NULL)
		memset(conf, 0, sizeof(*conf));
	else if (given != conf)
		*conf = *given;
	if (conf->nb_vchans == 0)
		conf->nb_vchans = 1;
	if (conf->ring_size == 0)
		conf->ring_size = DEFAULT_RING_SIZE;
	if (conf->map_registers == 0)
		conf->map_registers = conf->flags & CE_ADAPTER_SHARED ? DEFAULT_SHARE : UINT16_MAX;
	if (conf->max_segment == 0)
		conf->max_segment = DEFAULT_MAX_SEGMENT;
	if (conf->bounce_size == 0)
		conf->bounce_size = DEFAULT_BOUNCE_SIZE;
	if (conf->bounce_buffers == 0)
		conf->bounce_buffers = DEFAULT_BOUNCE_BUFFERS;
	if (conf->sg_blocks == 0)
		conf->sg_blocks = DEFAULT_SG_BLOCKS;
	if (conf->timeout_ms == 0)
		conf->timeout_ms = DEFAULT_TIMEOUT_MS;
	return conf_valid(conf) ? 0 : -EINVAL;
}

/* Cycles of the core for giving an operation to the engine and learning that it is done. */
static uint64_t
engine_cycles(struct ce_queue *q, rte_iova_t dst, rte_iova_t src)
{
	const uint64_t limit = rte_get_tsc_hz() / 1000;
	uint64_t start, cycles, deadline;
	unsigned int i, done = 0, given = 0;
	bool error = false;

	start = rte_rdtsc_precise();
	for (i = 0; i < MEASURED_OPS; i++)
		given += rte_dma_copy(q->dev_id, q->vchan, src, dst, 64, 0) >= 0;
	rte_dma_submit(q->dev_id, q->vchan);
	cycles = rte_rdtsc_precise() - start;
	deadline = rte_rdtsc() + limit;
	while (done < given && !error && rte_rdtsc() < deadline)
		done += rte_dma_completed(q->dev_id, q->vchan, given - done, NULL, &error);
	start = rte_rdtsc_precise();
	done += rte_dma_completed(q->dev_id, q->vchan, 1, NULL, &error);
	cycles += rte_rdtsc_precise() - start;
	return done < MEASURED_OPS || error ? UINT64_MAX : cycles / MEASURED_OPS;
}

static uint64_t
cpu_cycles(uint8_t *dst, const uint8_t *src, size_t length)
{
	uint64_t start, least = UINT64_MAX;
	unsigned int i, round;

	for (round = 0; round < MEASURED_ROUNDS; round++) {
		start = rte_rdtsc_precise();
		for (i = 0; i < 16; i++) {
			rte_memcpy(dst, src, length);
			rte_compiler_barrier();
		}
		least = RTE_MIN(least, (rte_rdtsc_precise() - start) / 16);
	}
	return least;
}

/* The size from which on a copy costs the core less when the engine does it. */
static uint32_t
measure(struct ce_device *dev)
{
	struct ce_queue *q = &dev->queues[0];
	uint64_t cycles, least = UINT64_MAX;
	uint32_t size = DEFAULT_BREAK_EVEN;
	rte_iova_t src, dst;
	unsigned int round;
	uint8_t *memory;

	memory = rte_zmalloc_socket("ce_measure", 2 * MEASURED_MAX, 4096, dev->socket);
	if (memory == NULL)
		return size;
	src = dev->sva ? (uintptr_t)memory : rte_malloc_virt2iova(memory);
	dst = src + 64;
	if (src == RTE_BAD_IOVA || dev->direction != RTE_DMA_DIR_MEM_TO_MEM)
		goto out;
	for (round = 0; round < MEASURED_ROUNDS; round++) {
		cycles = engine_cycles(q, dst, src);
		if (cycles == UINT64_MAX) {
			/* What it was given must not be taken for ours. */
			if (rte_dma_stop(dev->dev_id) < 0 || rte_dma_start(dev->dev_id) < 0)
				cei_device_die(dev, ENODEV);
			goto out;
		}
		least = RTE_MIN(least, cycles);
	}
	for (size = 64; size < MEASURED_MAX; size *= 2)
		if (cpu_cycles(memory + MEASURED_MAX, memory, size) > least)
			break;
out:
	rte_free(memory);
	return size;
}

static bool
device_in_use(const struct ce_device *dev)
{
	bool used = false;
	uint16_t i;

	for (i = 0; i < dev->nb_vchans; i++)
		used |= dev->queues[i].nb_ports > 0;
	return used;
}

/* The largest of what was measured of the devices. */
uint32_t
cei_break_even(struct ce_queue **queues, unsigned int nb_queues, uint32_t wanted)
{
	struct ce_device *dev;
	uint32_t most = 0;
	unsigned int i;

	if (nb_queues == 0)
		return UINT32_MAX;
	for (i = 0; wanted == 0 && i < nb_queues; i++) {
		dev = queues[i]->dev;
		/* A device that others have begun to use is not disturbed. */
		if (dev->break_even == 0)
			dev->break_even = device_in_use(dev) ? DEFAULT_BREAK_EVEN : measure(dev);
		most = RTE_MAX(most, dev->break_even);
	}
	return wanted == 0 ? most : wanted;
}

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

/* A handle on queues, none for the CPU's. With cei_device_lock() held. */
struct ce_adapter *
cei_adapter_create(const struct ce_adapter_conf *conf, struct ce_queue **queues,
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
		cei_adapter_destroy(adapter);
		rte_errno = -ret;
		return NULL;
	}
	cei_telemetry_add(adapter);
	return adapter;
}

/* With cei_device_lock() held. */
void
cei_adapter_destroy(struct ce_adapter *adapter)
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

static bool
streams_busy(const struct ce_adapter *adapter)
{
	bool busy = false;
	unsigned int i;

	for (i = 0; i < adapter->nb_streams; i++)
		busy |= cei_stream_busy(&adapter->streams[i]);
	return busy;
}

static bool
is_busy(const struct ce_adapter *adapter)
{
	return adapter->polling || streams_busy(adapter) || !LIST_EMPTY(&adapter->cyclics) ||
		adapter->nb_requests > 0 || adapter->context.counters.sg_blocks > 0 ||
		adapter->context.counters.common_bytes > 0 ||
		!LIST_EMPTY(&adapter->context.memory.registrations);
}

static int
queue_get(const struct ce_channel_id *id, const struct ce_adapter_conf *conf, struct ce_queue **q)
{
	struct ce_adapter_conf channel_conf = *conf;
	struct ce_device *dev;

	channel_conf.vchan = id->vchan;
	dev = cei_device_get(id->dev_id, &channel_conf);
	if (dev == NULL)
		return -rte_errno;
	*q = &dev->queues[id->vchan];
	if ((*q)->map_registers > 0)
		return 0;
	cei_device_put(dev);
	return -ENOSPC;
}

/* Whether what goes to one channel may as well go to the other. */
bool
cei_queues_alike(const struct ce_queue *a, const struct ce_queue *b)
{
	return a->dev->sva == b->dev->sva && a->dev->fill == b->dev->fill &&
		(a->dev->max_sges > 1) == (b->dev->max_sges > 1);
}

/* Get the channels of a handle of its own. Returns how many there are, or a negative errno. */
static int
queues_get(int16_t dev_id, const struct ce_adapter_conf *conf, struct ce_queue **queues)
{
	struct ce_channel_id id = {dev_id, conf->vchan};
	unsigned int i;
	int ret = 0;

	for (i = 0; ret == 0 && i <= conf->nb_stripes; i++) {
		if (i > 0)
			id = conf->stripes[i - 1];
		ret = queue_get(&id, conf, &queues[i]);
		if (ret < 0)
			break;
		if (!cei_queues_alike(queues[0], queues[i]))
			ret = -EINVAL;
	}
	if (ret == 0)
		return i;
	while (i-- > 0)
		cei_device_put(queues[i]->dev);
	return ret;
}

struct ce_adapter *
ce_adapter_get(int16_t dev_id, const struct ce_adapter_conf *given)
{
	struct ce_queue *queues[CE_MAX_CHANNELS];
	struct ce_adapter *adapter = NULL;
	struct ce_adapter_conf conf;
	int i, nb_queues = 0;

	if (cei_conf_complete(given, &conf) < 0 || (dev_id == CE_CPU && conf.nb_stripes > 0)) {
		rte_errno = EINVAL;
		return NULL;
	}
	cei_device_lock();
	if (dev_id != CE_CPU)
		nb_queues = queues_get(dev_id, &conf, queues);
	if (nb_queues < 0)
		rte_errno = -nb_queues;
	else
		adapter = cei_adapter_create(&conf, queues, nb_queues, NULL);
	for (i = 0; adapter == NULL && i < nb_queues; i++)
		cei_device_put(queues[i]->dev);
	cei_device_unlock();
	return adapter;
}

int
ce_adapter_put(struct ce_adapter *adapter)
{
	struct ce_queue *queues[CE_MAX_CHANNELS];
	struct ce_controller *controller = adapter->controller;
	const unsigned int nb_queues = adapter->nb_queues;
	unsigned int i;

	cei_leave(adapter, cei_enter(adapter, __func__));
	if (is_busy(adapter))
		return -EBUSY;
	memcpy(queues, adapter->queues, sizeof(queues));
	cei_device_lock();
	cei_adapter_destroy(adapter);
	if (controller != NULL)
		cei_controller_put(controller);
	for (i = 0; controller == NULL && i < nb_queues; i++)
		cei_device_put(queues[i]->dev);
	cei_device_unlock();
	return 0;
}

void
ce_adapter_info_get(const struct ce_adapter *adapter, struct ce_adapter_info *info)
{
	const struct ce_queue *q = adapter->nb_queues > 0 ? adapter->queues[0] : NULL;

	memset(info, 0, sizeof(*info));
	info->dev_id = q != NULL ? q->dev_id : CE_CPU;
	info->vchan = q != NULL ? q->vchan : 0;
	info->ring_size = q != NULL ? q->dev->ring_size : adapter->conf.ring_size;
	info->channels = adapter->nb_queues;
	info->socket = adapter->context.socket;
	info->sg = adapter->context.max_sges > 1;
	info->sva = adapter->context.memory.identity;
	info->fill = adapter->context.fill;
	info->max_sges = adapter->context.max_sges;
	info->map_registers = adapter->map_registers;
	info->max_segment = adapter->context.max_segment;
	info->break_even = adapter->context.break_even;
	info->id = adapter->id;
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
	const int nested = cei_enter(adapter, __func__);
	unsigned int done = 0, stored = 0;

	/* While the fast path is open there are neither cyclic transfers nor requests of channels. */
	if (likely(!adapter->polling) &&
		unlikely(!cei_fast_poll(&adapter->streams[0], NULL, CE_BURST, &done)))
		done += progress(adapter, NULL, CE_BURST - done, &stored);
	cei_leave(adapter, nested);
	return done;
}

unsigned int
ce_collect(struct ce_adapter *adapter, struct ce_transfer **finished, unsigned int max)
{
	const int nested = cei_enter(adapter, __func__);
	unsigned int stored = 0, more = 0;

	if (likely(!adapter->polling) &&
		unlikely(!cei_fast_poll(&adapter->streams[0], finished, max, &stored)))
		progress(adapter, finished + stored, max - stored, &more);
	cei_leave(adapter, nested);
	return stored + more;
}

int
ce_submit(struct ce_adapter *adapter, struct ce_transfer *const *transfers, unsigned int count)
{
	const int nested = cei_enter(adapter, __func__);
	const int ret = cei_fast_submit(&adapter->streams[0], transfers, count);

	cei_leave(adapter, nested);
	return ret;
}

int
ce_transfer_submit(struct ce_adapter *adapter, struct ce_transfer *t)
{
	const int nested = cei_enter(adapter, __func__);
	struct ce_stream *s = &adapter->streams[0];
	int ret;

	if (likely((cei_fast_state(t) | (uintptr_t)t->src | (uintptr_t)t->dst) == 0))
		ret = cei_fast_start(s, t, t->dst_va, t->src_va, t->length, false);
	else
		ret = cei_fast_missed(s, t);
	cei_leave(adapter, nested);
	return ret;
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
	return cei_fast_missed(s, t);
}

int
ce_transfer_copy(struct ce_adapter *adapter, struct ce_transfer *t, void *dst, const void *src,
	size_t length)
{
	const struct ce_transfer more = {.flags = CE_TRANSFER_MORE};
	const int nested = cei_enter(adapter, __func__);
	const uint64_t state = cei_fast_state(t);
	struct ce_stream *s = &adapter->streams[0];
	int ret;

	if (likely((state & ~cei_fast_state(&more)) == 0)) {
		ranges_set(t, dst, src, length);
		ret = cei_fast_start(s, t, dst, src, length, state != 0);
	} else {
		ret = copy_slow(s, t, dst, src, length);
	}
	cei_leave(adapter, nested);
	return ret;
}

int
ce_transfer_fill(struct ce_adapter *adapter, struct ce_transfer *t, void *dst, uint64_t pattern,
	size_t length)
{
	const int nested = cei_enter(adapter, __func__);
	int ret = -EBUSY;

	if (likely(t->status != -EINPROGRESS)) {
		ranges_set(t, dst, NULL, length);
		t->pattern = pattern;
		t->flags |= CE_TRANSFER_FILL;
		ret = cei_fast_missed(&adapter->streams[0], t);
	}
	cei_leave(adapter, nested);
	return ret;
}

int
ce_transfer_cancel(struct ce_adapter *adapter, struct ce_transfer *transfer)
{
	const int nested = cei_enter(adapter, __func__);
	const int ret = cei_stream_cancel(&adapter->streams[0], transfer);

	cei_leave(adapter, nested);
	return ret;
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

/* Whatever is the handle's own on its devices, or its cyclic transfers'. */
static bool
anything_under_way(const struct ce_adapter *adapter)
{
	return streams_busy(adapter) || !LIST_EMPTY(&adapter->cyclics);
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
		/* All is back now: what is left is bounded by callbacks that may not submit. */
		ret = close_by(adapter, UINT64_MAX);
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
	if (streams_busy(adapter) || !LIST_EMPTY(&adapter->cyclics))
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
