/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <pthread.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "cei_queue.h"

/* How long a device may say that it is halted, while its driver tries to revive it. */
#define HALTED_MS 100

/* How long until a device that did not stop is told to again. */
#define STOP_AGAIN_MS 10

/* Refusals of others after which a user who lacks slots and does not try any more loses his turn. */
#define PASSED_OVER_MAX 1000

RTE_LOG_REGISTER(ce_logtype, copyengine, INFO);

/* Devices that have owners, and whatever else handles that come and go have in common. */
static TAILQ_HEAD(, ce_device) devices = TAILQ_HEAD_INITIALIZER(devices);
static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;

void
cei_device_lock(void)
{
	pthread_mutex_lock(&devices_lock);
}

void
cei_device_unlock(void)
{
	pthread_mutex_unlock(&devices_lock);
}

static int
device_start(struct ce_device *dev, const struct rte_dma_info *info,
	const struct ce_adapter_conf *conf)
{
	const struct rte_dma_conf dma_conf = {.nb_vchans = dev->nb_vchans};
	struct rte_dma_vchan_conf vchan_conf = {.direction = conf->direction};
	uint32_t wanted = rte_align32pow2(conf->ring_size);
	uint16_t i;
	int ret;

	wanted = RTE_MIN(RTE_MAX(wanted, info->min_desc), info->max_desc);
	dev->ring_size = wanted;
	vchan_conf.nb_desc = wanted;
	if (conf->direction == RTE_DMA_DIR_DEV_TO_MEM)
		vchan_conf.src_port = conf->port;
	else
		vchan_conf.dst_port = conf->port;

	ret = rte_dma_configure(dev->dev_id, &dma_conf);
	for (i = 0; ret == 0 && i < dev->nb_vchans; i++)
		ret = rte_dma_vchan_setup(dev->dev_id, i, &vchan_conf);
	return ret == 0 ? rte_dma_start(dev->dev_id) : ret;
}

static int
queue_init(struct ce_device *dev, uint16_t vchan)
{
	struct ce_queue *q = &dev->queues[vchan];
	const uint32_t slots = rte_align32pow2(dev->ring_size);

	q->dev = dev;
	q->dev_id = dev->dev_id;
	q->vchan = vchan;
	q->shared = dev->shared;
	TAILQ_INIT(&q->lacking);
	q->users = rte_zmalloc_socket(
		"ce_users", slots * sizeof(q->users[0]), RTE_CACHE_LINE_SIZE, dev->socket);
	if (q->users == NULL)
		return -ENOMEM;
	q->mask = slots - 1;

	/* Drivers keep a slot or two for themselves: an idle channel tells how many are left. */
	q->map_registers = rte_dma_burst_capacity(dev->dev_id, vchan);
	q->map_registers = RTE_MIN(q->map_registers, dev->ring_size);
	return q->map_registers == 0 ? -EIO : 0;
}

static void
device_free(struct ce_device *dev)
{
	uint16_t i;

	for (i = 0; i < dev->nb_vchans; i++)
		rte_free(dev->queues[i].users);
	rte_free(dev);
}

static int
device_init(struct ce_device *dev, const struct rte_dma_info *info,
	const struct ce_adapter_conf *conf)
{
	uint16_t i;
	int ret;

	dev->socket = info->numa_node < 0 ? SOCKET_ID_ANY : info->numa_node;
	dev->shared = conf->flags & CE_ADAPTER_SHARED;
	dev->sva = info->dev_capa & RTE_DMA_CAPA_SVA;
	dev->fill = info->dev_capa & RTE_DMA_CAPA_OPS_FILL;
	dev->direction = conf->direction;
	dev->nb_vchans = conf->nb_vchans;
	dev->timeout = conf->timeout_ms == UINT32_MAX ? UINT64_MAX :
							rte_get_tsc_hz() / 1000 * conf->timeout_ms;
	rte_ticketlock_init(&dev->lock);
	atomic_init(&dev->dead, 0);

	ret = device_start(dev, info, conf);
	if (ret < 0) {
		CE_LOG(ERR, "device %s cannot be started: %s", info->dev_name, rte_strerror(-ret));
		return ret;
	}
	/* An operation of n segments may take 2 n slots, and one operation should not fill a ring. */
	dev->max_sges = 1;
	if (info->dev_capa & RTE_DMA_CAPA_OPS_COPY_SG)
		dev->max_sges = RTE_MAX(1, RTE_MIN(RTE_MIN(info->max_sges, CE_MAX_SGES),
						   dev->ring_size / 8));
	for (i = 0; ret == 0 && i < dev->nb_vchans; i++)
		ret = queue_init(dev, i);
	if (ret < 0)
		rte_dma_stop(dev->dev_id);
	return ret;
}

static struct ce_device *
device_open(int16_t dev_id, const struct rte_dma_info *info, const struct ce_adapter_conf *conf)
{
	struct ce_device *dev;
	int ret;

	if (conf->nb_vchans > info->max_vchans) {
		rte_errno = EINVAL;
		return NULL;
	}
	dev = rte_zmalloc_socket("ce_device", sizeof(*dev) + conf->nb_vchans * sizeof(dev->queues[0]),
		RTE_CACHE_LINE_SIZE, info->numa_node);
	if (dev == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	dev->dev_id = dev_id;
	ret = device_init(dev, info, conf);
	if (ret < 0) {
		device_free(dev);
		rte_errno = -ret;
		return NULL;
	}
	TAILQ_INSERT_TAIL(&devices, dev, link);
	return dev;
}

/* What stands against one more owner of a device, or one who has some of it already; 0: nothing. */
static int
device_refuses(const struct ce_device *dev, const struct ce_adapter_conf *conf, uint32_t own_refs)
{
	if (!(dev->shared && conf->flags & CE_ADAPTER_SHARED) && own_refs < dev->refs)
		return EBUSY;
	return dev->direction != conf->direction ? EBUSY : atomic_load(&dev->dead) != 0 ? ENODEV : 0;
}

static uint64_t
capabilities_needed(enum rte_dma_direction direction)
{
	switch (direction) {
	case RTE_DMA_DIR_MEM_TO_MEM:
		return RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
	case RTE_DMA_DIR_MEM_TO_DEV:
		return RTE_DMA_CAPA_MEM_TO_DEV | RTE_DMA_CAPA_OPS_COPY;
	case RTE_DMA_DIR_DEV_TO_MEM:
		return RTE_DMA_CAPA_DEV_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
	default:
		return UINT64_MAX;
	}
}

static void
device_put(struct ce_device *dev)
{
	if (--dev->refs > 0)
		return;
	TAILQ_REMOVE(&devices, dev, link);
	if (!dev->stopped)
		rte_dma_stop(dev->dev_id);
	device_free(dev);
}

static struct ce_device *
device_get(int16_t dev_id, const struct ce_adapter_conf *conf, struct ce_queue *const *own,
	unsigned int nb_own)
{
	const uint64_t needed = capabilities_needed(conf->direction);
	struct rte_dma_info info;
	struct ce_device *dev;
	uint32_t own_refs = 0;
	unsigned int i;

	if (rte_dma_info_get(dev_id, &info) < 0) {
		rte_errno = EINVAL;
		return NULL;
	}
	if ((info.dev_capa & needed) != needed) {
		rte_errno = ENOTSUP;
		return NULL;
	}
	TAILQ_FOREACH(dev, &devices, link)
		if (dev->dev_id == dev_id)
			break;
	for (i = 0; i < nb_own; i++)
		own_refs += own[i]->dev == dev;
	if (dev != NULL && device_refuses(dev, conf, own_refs) != 0) {
		rte_errno = device_refuses(dev, conf, own_refs);
		return NULL;
	}
	if (dev == NULL)
		dev = device_open(dev_id, &info, conf);
	if (dev != NULL)
		dev->refs++;
	return dev;
}

/* Whether what goes to one channel may as well go to the other. */
static bool
alike(const struct ce_queue *a, const struct ce_queue *b)
{
	return a->dev->sva == b->dev->sva && a->dev->fill == b->dev->fill &&
		(a->dev->max_sges > 1) == (b->dev->max_sges > 1);
}

void
cei_queues_put(struct ce_queue *const *queues, unsigned int count)
{
	while (count-- > 0)
		device_put(queues[count]->dev);
}

/* Get channels for one owner, all of them alike. Returns 0, or a negative errno: then none is held. */
int
cei_queues_get(const struct ce_channel_id *ids, unsigned int count,
	const struct ce_adapter_conf *conf, struct ce_queue **queues)
{
	struct ce_device *dev;
	unsigned int i, j, held;
	int ret = 0;

	for (i = 0, held = 0; ret == 0 && i < count; i++) {
		dev = device_get(ids[i].dev_id, conf, queues, held);
		if (dev == NULL) {
			ret = -rte_errno;
			break;
		}
		if (ids[i].vchan >= dev->nb_vchans) {
			device_put(dev);
			ret = -EINVAL;
			break;
		}
		queues[held++] = &dev->queues[ids[i].vchan];
		for (j = 0; j < i; j++)
			if (queues[j] == queues[i])
				ret = dev->shared ? -ENOSPC : -EBUSY;
		if (ret == 0 && queues[i]->map_registers == 0)
			ret = -ENOSPC;
		else if (!alike(queues[0], queues[i]))
			ret = -EINVAL;
	}
	if (ret < 0)
		cei_queues_put(queues, held);
	return ret;
}

/* A port with so many operations under way at most. */
int
cei_port_init(struct ce_port *port, struct ce_queue *q, uint32_t operations)
{
	uint32_t i;

	port->mask = rte_align32pow2(operations) - 1;
	port->status = rte_zmalloc_socket(
		"ce_status", (port->mask + 1) * sizeof(port->status[0]), 0, q->dev->socket);
	if (port->status == NULL)
		return -ENOMEM;
	port->queue = q;
	cei_lock(q);
	if (q->nb_ports++ == 0) {
		q->only = port;
	} else if (q->only != NULL) {
		/* From now on each operation has its user written down. */
		for (i = q->tail; i != q->head; i++)
			q->users[i & q->mask] = q->only;
		q->only = NULL;
	}
	cei_unlock(q);
	return 0;
}

static void
lacking_remove(struct ce_queue *q, struct ce_port *port)
{
	if (!port->lacking)
		return;
	TAILQ_REMOVE(&q->lacking, port, link);
	port->lacking = false;
	q->passed_over = 0;
}

/* Of a port with nothing under way. */
void
cei_port_fini(struct ce_port *port)
{
	struct ce_queue *q = port->queue;

	if (q == NULL)
		return;
	cei_lock(q);
	lacking_remove(q, port);
	q->nb_ports--;
	if (q->only == port)
		q->only = NULL;
	cei_unlock(q);
	rte_free(port->status);
	port->queue = NULL;
}

/* Hand operations that have come back to their users. With the lock held. */
static void
route(struct ce_queue *q, unsigned int n, const int16_t *status)
{
	struct ce_port *port;
	unsigned int i;
	uint32_t at;

	for (i = 0; i < n; i++) {
		port = q->only != NULL ? q->only : q->users[q->tail & q->mask];
		q->tail++;
		at = atomic_load_explicit(&port->completed, memory_order_relaxed);
		if (status != NULL && unlikely(status[i] != 0)) {
			port->status[at & port->mask] = status[i];
			atomic_fetch_add_explicit(&port->failures, 1, memory_order_relaxed);
		}
		/* Release: the status, and what the device wrote, come first. */
		atomic_store_explicit(&port->completed, at + 1, memory_order_release);
	}
}

/*
 * Stop a dead device, and give everything back to its users. While it does not stop, it may still write
 * to their memory: then nothing comes back, and it is tried again. With the lock held.
 */
static void
dead_stop(struct ce_device *dev)
{
	const int16_t status = -atomic_load(&dev->dead);
	const uint64_t now = rte_get_tsc_cycles();
	struct ce_queue *q;
	uint16_t i;
	int ret;

	if (now < dev->stop_at)
		return;
	ret = rte_dma_stop(dev->dev_id);
	/* One that has been unplugged has been stopped before. */
	if (ret < 0 && rte_dma_is_valid(dev->dev_id)) {
		if (dev->stop_at == 0)
			CE_LOG(ERR, "device %d does not stop: %s; what it was given is kept until it does",
				dev->dev_id, rte_strerror(-ret));
		dev->stop_at = now + rte_get_tsc_hz() / 1000 * STOP_AGAIN_MS;
		return;
	}
	dev->stopped = true;
	for (i = 0; i < dev->nb_vchans; i++) {
		q = &dev->queues[i];
		while (q->tail != q->head)
			route(q, 1, &status);
	}
}

/* A device is lost. With the lock held. */
static void
die(struct ce_device *dev, int error)
{
	if (atomic_load(&dev->dead) != 0)
		return;
	CE_LOG(ERR, "device %d %s: it is stopped", dev->dev_id,
		error == ENODEV ? "is gone or halted" : "completes nothing any more");
	atomic_store(&dev->dead, error);
	dead_stop(dev);
}

void
cei_device_die(struct ce_device *dev, int error)
{
	cei_lock(&dev->queues[0]);
	die(dev, error);
	cei_unlock(&dev->queues[0]);
}

static inline void
doorbell(struct ce_queue *q)
{
	cei_queue_set_silent(q, false);
	if (unlikely(rte_dma_submit(q->dev_id, q->vchan) < 0))
		die(q->dev, ENODEV);
}

/* Ring the doorbell for operations that were enqueued without, unless somebody has. */
void
cei_queue_doorbell(struct ce_queue *q)
{
	cei_lock(q);
	if (cei_queue_is_silent(q) && cei_queue_dead(q) == 0)
		doorbell(q);
	cei_unlock(q);
}

/*
 * A long list takes many slots, and users of shorter ones would take them all, a few at a time, before
 * there are as many. So whoever's operation did not fit has his turn: until he has had it the others
 * leave as much free as the longest operation takes. He may take his time: they have the rest.
 */
static bool
leaves_enough(struct ce_queue *q, const struct ce_port *port)
{
	const uint32_t longest = 2 * q->dev->max_sges;

	if (likely(TAILQ_EMPTY(&q->lacking)) || q->head == q->tail)
		return true;
	if (TAILQ_FIRST(&q->lacking) == port) {
		q->passed_over = 0;
		return true;
	}
	return rte_dma_burst_capacity(q->dev_id, q->vchan) >= 2 * longest;
}

/* An operation did not fit, or was to leave slots to others. */
static void
lacking_add(struct ce_queue *q, struct ce_port *port)
{
	struct ce_port *first;

	if (q->nb_ports > 1 && !port->lacking) {
		TAILQ_INSERT_TAIL(&q->lacking, port, link);
		port->lacking = true;
	}
	first = TAILQ_FIRST(&q->lacking);
	if (first == NULL || first == port || ++q->passed_over < PASSED_OVER_MAX)
		return;
	/* One that does not try any more stands in the way of the next. */
	lacking_remove(q, first);
}

/*
 * Give an operation to the device.
 *
 * Returns 0; -EAGAIN: the ring is full, some of it will come back; -ENOSPC: the ring is empty and the
 * operation does not fit all the same; or what the driver or a dead device says.
 */
int
cei_port_enqueue(struct ce_port *port, struct ce_operation *op)
{
	struct ce_queue *q = port->queue;
	int ret;

	cei_lock(q);
	ret = cei_queue_dead(q);
	if (unlikely(ret < 0))
		goto unlock;
	if (unlikely(!leaves_enough(q, port))) {
		lacking_add(q, port);
		ret = -EAGAIN;
		goto unlock;
	}
	if (op->nb_src == 0)
		ret = rte_dma_fill(q->dev_id, q->vchan, op->pattern, op->dst[0].addr,
			op->dst[0].length, op->flags);
	else if (op->nb_src == 1 && op->nb_dst == 1)
		ret = rte_dma_copy(q->dev_id, q->vchan, op->src[0].addr, op->dst[0].addr,
			op->src[0].length, op->flags);
	else
		ret = rte_dma_copy_sg(
			q->dev_id, q->vchan, op->src, op->dst, op->nb_src, op->nb_dst, op->flags);
	if (likely(ret >= 0)) {
		cei_port_started(port);
		if (unlikely(port->lacking) && TAILQ_FIRST(&q->lacking) == port)
			lacking_remove(q, port);
		cei_queue_set_silent(q, !(op->flags & RTE_DMA_OP_FLAG_SUBMIT));
		ret = 0;
	} else if (ret == -ENODEV) {
		die(q->dev, ENODEV);
	} else if (ret == -ENOSPC && q->head != q->tail) {
		lacking_add(q, port);
		ret = -EAGAIN;
	} else if (ret == -EINVAL) {
		/* The values have been looked at: this is about the device, as when others stop it. */
		ret = -EIO;
	}
unlock:
	cei_unlock(q);
	return ret;
}

/* Operations are under way and none came back: look now and then whether the device is well. */
static void
check(struct ce_queue *q)
{
	const uint64_t now = rte_get_tsc_cycles(), ms = rte_get_tsc_hz() / 1000;
	enum rte_dma_vchan_status status = RTE_DMA_VCHAN_ACTIVE;

	if (q->stalled_since == 0) {
		q->stalled_since = now;
		q->check_at = now + ms;
		q->halted_since = 0;
	}
	if (now < q->check_at)
		return;
	q->check_at = now + ms;
	if (now - q->stalled_since > q->dev->timeout) {
		die(q->dev, ETIMEDOUT);
		return;
	}
	if (rte_dma_vchan_status(q->dev_id, q->vchan, &status) < 0 ||
		status != RTE_DMA_VCHAN_HALTED_ERROR)
		q->halted_since = 0;
	else if (q->halted_since == 0)
		q->halted_since = now;
	else if (now - q->halted_since > HALTED_MS * ms)
		die(q->dev, ENODEV);
}

/*
 * After a failure: a driver that has recovered has a channel that is not halted. One that is halted
 * with nothing left to fail, or takes no doorbell, is lost.
 */
static bool
is_lost(const struct ce_queue *q, unsigned int n)
{
	enum rte_dma_vchan_status status = RTE_DMA_VCHAN_ACTIVE;

	if (rte_dma_vchan_status(q->dev_id, q->vchan, &status) < 0 ||
		status != RTE_DMA_VCHAN_HALTED_ERROR)
		return false;
	return n == q->head - q->tail || rte_dma_submit(q->dev_id, q->vchan) < 0;
}

static unsigned int
collect_failed(struct ce_queue *q)
{
	enum rte_dma_status_code codes[CE_BURST];
	int16_t status[CE_BURST] = {0};
	unsigned int i, n, failed = 0;
	bool lost;

	n = rte_dma_completed_status(q->dev_id, q->vchan, CE_BURST, NULL, codes);
	n = RTE_MIN(n, q->head - q->tail);
	for (i = 0; i < n; i++)
		failed += codes[i] != RTE_DMA_STATUS_SUCCESSFUL;
	lost = failed > 0 && is_lost(q, n);
	for (i = 0; i < n; i++)
		status[i] = codes[i] != RTE_DMA_STATUS_SUCCESSFUL && lost ? -ENODEV : (int)codes[i];
	route(q, n, status);
	if (lost)
		die(q->dev, ENODEV);
	return n;
}

/* Account for what rte_dma_completed() has told. With the lock held. */
void
cei_queue_collected(struct ce_queue *q, unsigned int n, bool error)
{
	n = RTE_MIN(n, q->head - q->tail);
	route(q, n, NULL);
	if (unlikely(error) && q->head != q->tail)
		n += collect_failed(q);
	if (n > 0)
		q->stalled_since = 0;
	else if (q->head != q->tail)
		check(q);
}

/* Take completions off the device, whosever they are. */
void
cei_queue_collect(struct ce_queue *q)
{
	bool error = false;
	unsigned int n;

	cei_lock(q);
	/* Whoever asks for completions wants the operations to run. */
	if (q->head != q->tail && cei_queue_is_silent(q) && cei_queue_dead(q) == 0)
		doorbell(q);
	if (unlikely(cei_queue_dead(q) < 0)) {
		if (!q->dev->stopped)
			dead_stop(q->dev);
	} else if (q->head != q->tail) {
		n = rte_dma_completed(q->dev_id, q->vchan, CE_BURST, NULL, &error);
		cei_queue_collected(q, n, error);
	}
	cei_unlock(q);
}
