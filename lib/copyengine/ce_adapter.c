/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "ce_private.h"

#define DEFAULT_RING_SIZE      1024
#define DEFAULT_SHARE	       64 /* map registers of an owner who shares */
#define DEFAULT_MAX_SEGMENT    (1u << 20) /* what the smallest of DPDK's engines take */
#define DEFAULT_BOUNCE_SIZE    16384
#define DEFAULT_BOUNCE_BUFFERS 64
#define DEFAULT_SG_BLOCKS      1024
#define DEFAULT_TIMEOUT_MS     10000

RTE_LOG_REGISTER(ce_logtype, copyengine, INFO);

/* Devices that have owners. Handles come and go one at a time, so says ce_adapter_get(). */
static TAILQ_HEAD(, ce_device) devices = TAILQ_HEAD_INITIALIZER(devices);

struct ce_adapter_conf
cei_conf_complete(const struct ce_adapter_conf *given)
{
	struct ce_adapter_conf conf = {0};

	if (given != NULL)
		conf = *given;
	if (conf.nb_vchans == 0)
		conf.nb_vchans = 1;
	if (conf.ring_size == 0)
		conf.ring_size = DEFAULT_RING_SIZE;
	if (conf.map_registers == 0)
		conf.map_registers = conf.flags & CE_ADAPTER_SHARED ? DEFAULT_SHARE : UINT16_MAX;
	if (conf.max_segment == 0)
		conf.max_segment = DEFAULT_MAX_SEGMENT;
	if (conf.bounce_size == 0)
		conf.bounce_size = DEFAULT_BOUNCE_SIZE;
	if (conf.bounce_buffers == 0)
		conf.bounce_buffers = DEFAULT_BOUNCE_BUFFERS;
	if (conf.sg_blocks == 0)
		conf.sg_blocks = DEFAULT_SG_BLOCKS;
	if (conf.timeout_ms == 0)
		conf.timeout_ms = DEFAULT_TIMEOUT_MS;
	return conf;
}

static bool
conf_valid(const struct ce_adapter_conf *conf)
{
	const uint32_t flags = CE_ADAPTER_SHARED | CE_ADAPTER_NO_SG | CE_ADAPTER_NO_SVA;

	/* A transfer may need two bounce buffers for one piece. */
	return (conf->flags & ~flags) == 0 && conf->max_segment >= 64 && conf->bounce_size >= 64 &&
		conf->bounce_size <= (1u << 20) && conf->bounce_buffers >= 2;
}

static int
device_start(struct ce_device *dev, const struct rte_dma_info *info, uint16_t ring_size)
{
	const struct rte_dma_conf dma_conf = {.nb_vchans = dev->nb_vchans};
	struct rte_dma_vchan_conf vchan_conf = {.direction = RTE_DMA_DIR_MEM_TO_MEM};
	uint32_t wanted = rte_align32pow2(ring_size);
	uint16_t i;
	int ret;

	wanted = RTE_MIN(RTE_MAX(wanted, info->min_desc), info->max_desc);
	dev->ring_size = wanted;
	vchan_conf.nb_desc = wanted;

	ret = rte_dma_configure(dev->dev_id, &dma_conf);
	for (i = 0; ret == 0 && i < dev->nb_vchans; i++)
		ret = rte_dma_vchan_setup(dev->dev_id, i, &vchan_conf);
	return ret == 0 ? rte_dma_start(dev->dev_id) : ret;
}

static int
vchan_init(struct ce_device *dev, uint16_t vchan)
{
	struct ce_vchan *vq = &dev->vchans[vchan];
	const uint32_t slots = rte_align32pow2(dev->ring_size);

	vq->fifo = rte_zmalloc_socket("ce_fifo", slots * sizeof(vq->fifo[0]), RTE_CACHE_LINE_SIZE,
		dev->socket);
	if (vq->fifo == NULL)
		return -ENOMEM;
	vq->mask = slots - 1;

	/* Drivers keep a slot or two for themselves: an idle channel tells how many are left. */
	vq->map_registers = rte_dma_burst_capacity(dev->dev_id, vchan);
	vq->map_registers = RTE_MIN(vq->map_registers, dev->ring_size);
	return vq->map_registers == 0 ? -EIO : 0;
}

static void
device_free(struct ce_device *dev)
{
	uint16_t i;

	for (i = 0; i < dev->nb_vchans; i++)
		rte_free(dev->vchans[i].fifo);
	rte_free(dev);
}

static struct ce_device *
device_open(int16_t dev_id, const struct rte_dma_info *info, const struct ce_adapter_conf *conf)
{
	struct ce_device *dev;
	uint16_t i;
	int ret;

	if (conf->nb_vchans > info->max_vchans) {
		rte_errno = EINVAL;
		return NULL;
	}
	dev = rte_zmalloc_socket("ce_device", sizeof(*dev) + conf->nb_vchans * sizeof(dev->vchans[0]),
		RTE_CACHE_LINE_SIZE, info->numa_node);
	if (dev == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	dev->dev_id = dev_id;
	dev->socket = info->numa_node < 0 ? SOCKET_ID_ANY : info->numa_node;
	dev->shared = conf->flags & CE_ADAPTER_SHARED;
	dev->sva = info->dev_capa & RTE_DMA_CAPA_SVA;
	dev->nb_vchans = conf->nb_vchans;
	dev->timeout = conf->timeout_ms == UINT32_MAX ? UINT64_MAX :
							rte_get_tsc_hz() / 1000 * conf->timeout_ms;
	rte_ticketlock_init(&dev->lock);
	atomic_init(&dev->dead, 0);

	ret = device_start(dev, info, conf->ring_size);
	if (ret < 0) {
		CE_LOG(ERR, "device %s cannot be started: %s", info->dev_name, rte_strerror(-ret));
		device_free(dev);
		rte_errno = -ret;
		return NULL;
	}
	/* An operation of n segments may take 2 n slots, and one operation should not fill a ring. */
	dev->max_sges = 1;
	if (info->dev_capa & RTE_DMA_CAPA_OPS_COPY_SG)
		dev->max_sges = RTE_MAX(1, RTE_MIN(RTE_MIN(info->max_sges, CE_MAX_SGES),
						   dev->ring_size / 8));
	for (i = 0; ret == 0 && i < dev->nb_vchans; i++)
		ret = vchan_init(dev, i);
	if (ret == 0)
		ret = cei_memory_watch();
	if (ret < 0) {
		rte_dma_stop(dev_id);
		device_free(dev);
		rte_errno = -ret;
		return NULL;
	}
	TAILQ_INSERT_TAIL(&devices, dev, link);
	return dev;
}

struct ce_device *
cei_device_get(int16_t dev_id, const struct ce_adapter_conf *conf)
{
	const uint64_t needed = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
	struct rte_dma_info info;
	struct ce_device *dev;

	if (!conf_valid(conf) || rte_dma_info_get(dev_id, &info) < 0) {
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
	if (dev != NULL && !(dev->shared && conf->flags & CE_ADAPTER_SHARED)) {
		rte_errno = EBUSY;
		return NULL;
	}
	if (dev == NULL)
		dev = device_open(dev_id, &info, conf);
	if (dev == NULL)
		return NULL;
	dev->refs++;
	if (conf->vchan >= dev->nb_vchans) {
		cei_device_put(dev);
		rte_errno = EINVAL;
		return NULL;
	}
	return dev;
}

void
cei_device_put(struct ce_device *dev)
{
	if (--dev->refs > 0)
		return;
	TAILQ_REMOVE(&devices, dev, link);
	/* A device that died was stopped then. */
	if (atomic_load(&dev->dead) == 0)
		rte_dma_stop(dev->dev_id);
	device_free(dev);
}

static int
map_registers_init(struct ce_adapter *adapter, uint16_t count)
{
	uint16_t i;

	adapter->map_registers = rte_zmalloc_socket("ce_map_registers",
		count * sizeof(adapter->map_registers[0]), RTE_CACHE_LINE_SIZE, adapter->dev->socket);
	adapter->free = rte_zmalloc_socket("ce_free", count * sizeof(adapter->free[0]),
		RTE_CACHE_LINE_SIZE, adapter->dev->socket);
	if (adapter->map_registers == NULL || adapter->free == NULL)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		adapter->map_registers[i].owner = adapter;
		adapter->free[i] = &adapter->map_registers[i];
	}
	adapter->nb_free = count;
	adapter->nb_map_registers = count;
	return 0;
}

static int
pools_init(struct ce_adapter *adapter, const struct ce_adapter_conf *conf)
{
	static atomic_uint serial;
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "ce_sg_%u", atomic_fetch_add(&serial, 1));
	adapter->sg_blocks = rte_mempool_create(name, conf->sg_blocks, sizeof(struct ce_sglist), 0, 0,
		NULL, NULL, NULL, NULL, adapter->dev->socket,
		RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET | RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (adapter->sg_blocks == NULL)
		return -rte_errno;
	if (adapter->sva)
		return 0;
	adapter->bounce = ce_common_pool_create(adapter, conf->bounce_size, conf->bounce_buffers);
	return adapter->bounce == NULL ? -rte_errno : 0;
}

/*
 * A handle with conf->map_registers map registers; 0: without a channel, to be the parent of ports.
 * Ports use the pools of their parent: it is one thread that works with them.
 */
struct ce_adapter *
cei_adapter_create(
	struct ce_device *dev, const struct ce_adapter_conf *conf, struct ce_adapter *parent)
{
	struct ce_adapter *adapter;
	int ret = 0;

	adapter = rte_zmalloc_socket("ce_adapter", sizeof(*adapter), RTE_CACHE_LINE_SIZE, dev->socket);
	if (adapter == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	adapter->dev = dev;
	adapter->vq = &dev->vchans[conf->vchan];
	adapter->vchan = conf->vchan;
	adapter->sva = dev->sva && !(conf->flags & CE_ADAPTER_NO_SVA);
	adapter->max_sges = conf->flags & CE_ADAPTER_NO_SG ? 1 : dev->max_sges;
	adapter->max_segment = conf->max_segment;
	adapter->bounce_size = conf->bounce_size;
	TAILQ_INIT(&adapter->waiting);
	TAILQ_INIT(&adapter->granted);
	LIST_INIT(&adapter->cyclics);
	STAILQ_INIT(&adapter->posted);
	atomic_init(&adapter->nb_granted, 0);

	if (conf->map_registers > 0)
		ret = map_registers_init(adapter, conf->map_registers);
	if (ret == 0 && parent == NULL)
		ret = pools_init(adapter, conf);
	if (ret < 0) {
		cei_adapter_destroy(adapter);
		rte_errno = -ret;
		return NULL;
	}
	if (parent != NULL)
		adapter->bounce = parent->bounce;
	/* The bounce buffers are the library's own use of common memory. */
	adapter->stats.common_bytes = 0;
	adapter->stats.common_bytes_max = 0;
	return adapter;
}

/* Frees a port as well when its pools, which are its parent's, have been taken from it. */
void
cei_adapter_destroy(struct ce_adapter *adapter)
{
	ce_common_pool_destroy(adapter->bounce);
	rte_mempool_free(adapter->sg_blocks);
	rte_free(adapter->free);
	rte_free(adapter->map_registers);
	rte_free(adapter);
}

bool
cei_adapter_busy(const struct ce_adapter *adapter)
{
	return adapter->polling || adapter->doing > 0 || !LIST_EMPTY(&adapter->cyclics) ||
		adapter->nb_requests > 0 || adapter->stats.sg_blocks > 0 ||
		adapter->stats.common_bytes > 0;
}

struct ce_adapter *
ce_adapter_get(int16_t dev_id, const struct ce_adapter_conf *given)
{
	struct ce_adapter_conf conf = cei_conf_complete(given);
	struct ce_adapter *adapter = NULL;
	struct ce_device *dev;

	dev = cei_device_get(dev_id, &conf);
	if (dev == NULL)
		return NULL;
	conf.map_registers = RTE_MIN(conf.map_registers, dev->vchans[conf.vchan].map_registers);
	if (conf.map_registers == 0)
		rte_errno = ENOSPC;
	else
		adapter = cei_adapter_create(dev, &conf, NULL);
	if (adapter == NULL) {
		cei_device_put(dev);
		return NULL;
	}
	adapter->vq->map_registers -= conf.map_registers;
	return adapter;
}

int
ce_adapter_put(struct ce_adapter *adapter)
{
	struct ce_device *dev = adapter->dev;

	if (cei_adapter_busy(adapter))
		return -EBUSY;
	if (adapter->controller != NULL)
		return cei_controller_adapter_put(adapter);
	adapter->vq->map_registers += adapter->nb_map_registers;
	cei_adapter_destroy(adapter);
	cei_device_put(dev);
	return 0;
}

void
ce_adapter_info_get(const struct ce_adapter *adapter, struct ce_adapter_info *info)
{
	memset(info, 0, sizeof(*info));
	info->dev_id = adapter->dev->dev_id;
	info->vchan = adapter->vchan;
	info->socket = adapter->dev->socket;
	info->sg = adapter->max_sges > 1;
	info->sva = adapter->sva;
	info->max_sges = adapter->max_sges;
	info->map_registers = adapter->controller == NULL ? adapter->nb_map_registers :
							    adapter->ports[0]->nb_map_registers;
	info->ring_size = adapter->dev->ring_size;
	info->max_segment = adapter->max_segment;
}

static void
stats_add(struct ce_adapter_stats *sum, const struct ce_adapter *adapter)
{
	sum->transfers += adapter->stats.transfers;
	sum->failed += adapter->stats.failed;
	sum->bytes += adapter->stats.bytes;
	sum->operations += adapter->stats.operations;
	sum->bounced += adapter->stats.bounced;
	sum->waits += adapter->stats.waits;
	sum->map_registers += adapter->nb_map_registers - adapter->nb_free;
}

void
ce_adapter_stats_get(const struct ce_adapter *adapter, struct ce_adapter_stats *stats)
{
	unsigned int i;

	*stats = adapter->stats;
	stats->map_registers = adapter->nb_map_registers - adapter->nb_free;
	for (i = 0; i < CE_CONTROLLER_MAX_CHANNELS && adapter->ports[i] != NULL; i++)
		stats_add(stats, adapter->ports[i]);
}

unsigned int
ce_poll(struct ce_adapter *adapter)
{
	unsigned int i, done = 0;

	if (unlikely(adapter->polling))
		return 0;
	adapter->polling = true;
	if (likely(adapter->controller == NULL)) {
		done = cei_transfer_poll(adapter);
	} else {
		for (i = 0; i < CE_CONTROLLER_MAX_CHANNELS && adapter->ports[i] != NULL; i++)
			if (adapter->ports[i]->doing > 0 || !LIST_EMPTY(&adapter->ports[i]->cyclics))
				done += cei_transfer_poll(adapter->ports[i]);
		cei_channel_deliver(adapter);
	}
	adapter->polling = false;
	return done;
}
