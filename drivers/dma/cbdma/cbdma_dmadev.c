/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_string_fns.h>

#include "cbdma_internal.h"

RTE_LOG_REGISTER_DEFAULT(cbdma_logtype, NOTICE);

/* Configure */

static int
cbdma_info_get(const struct rte_dma_dev *dmadev, struct rte_dma_info *info, uint32_t size)
{
	struct cbdma_port *port;
	const struct cbdma_dev *dev;

	if (size < sizeof(*info))
		return -EINVAL;
	port = cbdma_port_hold(dmadev); /* dmadev's telemetry asks as well */
	if (port == NULL)
		return -ENODEV;
	dev = port->dev;

	info->dev_capa = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY |
			 RTE_DMA_CAPA_OPS_COPY_SG;
	if (!dev->count_errors)
		info->dev_capa |= RTE_DMA_CAPA_HANDLES_ERRORS;
	if (dev->has_fill)
		info->dev_capa |= RTE_DMA_CAPA_OPS_FILL;
	if (dev->has_silent)
		info->dev_capa |= RTE_DMA_CAPA_SILENT;
	if (port->bus.sva)
		info->dev_capa |= RTE_DMA_CAPA_SVA;
#if CBDMA_HAS_ENQ_DEQ
	info->dev_capa |= RTE_DMA_CAPA_OPS_ENQ_DEQ;
#endif
	info->max_vchans = 1;
	info->min_desc = CBDMA_MIN_DESC;
	info->max_desc = CBDMA_MAX_DESC;
	info->max_sges = CBDMA_MAX_SGES;
	cbdma_port_put(port);
	return 0;
}

/* The device belongs to the primary process; secondary ones look at it and use its data path. */
static int
check_primary(const struct cbdma_dev *dev)
{
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		return 0;
	CBDMA_LOG(ERR, dev->name, "only the primary process may configure, start or stop it");
	return -E_RTE_SECONDARY;
}

static int
cbdma_configure(struct rte_dma_dev *dmadev, const struct rte_dma_conf *conf, uint32_t conf_size)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	int ret = check_primary(dev);

	if (ret != 0)
		return ret;
	if (conf_size != sizeof(*conf))
		return -EINVAL;
	if (conf->nb_vchans != 1) {
		CBDMA_LOG(ERR, dev->name, "%u vchans asked for, it has 1", conf->nb_vchans);
		return -EINVAL;
	}
#if CBDMA_HAS_ENQ_DEQ
	dev->silent = conf->flags & RTE_DMA_CFG_FLAG_SILENT;
	dev->enq_deq = conf->flags & RTE_DMA_CFG_FLAG_ENQ_DEQ;
#else
	dev->silent = conf->enable_silent;
#endif
	return 0;
}

/* Empty ring: indices at 0, nothing enqueued. The statistics go on. */
static void
reset_indices(struct cbdma_dev *dev)
{
	dev->stats_base.submitted -= cbdma_submitted(dev);
	dev->stats_base.completed -= dev->completed;
	dev->head = 0;
	dev->tail = 0;
	dev->rung = 0;
	dev->base = 0;
	dev->next_idx = 0;
	dev->completed = 0;
	dev->idle_since = 0;
	dev->replays_there = 0;
	dev->unasked = 0;
	dev->no_answer = false;
	dev->restarting = false;
	dev->trouble = CBDMA_TROUBLE_NONE;
	cbdma_set_limit(dev);
	/* Before the first slot, the operation before 0. */
	*cbdma_slot_op(dev, -CBDMA_SLOT) = UINT16_MAX;
	rte_atomic_store_explicit(dev->completion, cbdma_slot_iova(dev, -CBDMA_SLOT),
		rte_memory_order_relaxed);
}

/* No ring: nothing can be enqueued and polls find nothing, without a check for it in their way. */
static void
use_no_ring(struct cbdma_dev *dev)
{
	dev->capacity = 0;
	dev->nb_desc = 0;
	dev->mask = 0;
	dev->ring = &dev->idle_desc;
	dev->ring_iova = 0;
	dev->completion = &dev->idle_completion;
	dev->doorbell = &dev->idle_doorbell;
	dev->slot_op = &dev->idle_op;
	dev->idle_op = dev->completed - 1;
	reset_indices(dev);
}

static void
free_ring(struct cbdma_dev *dev)
{
	uint16_t *slot_op = dev->slot_op;

	reset_indices(dev);
	use_no_ring(dev);
	if (slot_op != &dev->idle_op)
		rte_free(slot_op);
	rte_memzone_free(dev->ring_mz);
	dev->ring_mz = NULL;
	rte_memzone_free(dev->completion_mz);
	dev->completion_mz = NULL;
	rte_free(dev->ops);
	dev->ops = NULL;
}

/* Memory that device and CPU reach, in one piece for both, with spare bytes behind it, which the
 * device need not reach.
 */
static const struct rte_memzone *
alloc_dma(const struct cbdma_dev *dev, const char *what, size_t size, size_t spare)
{
	static unsigned int made; /* a name is not free again when its memory could not be freed */
	char name[RTE_MEMZONE_NAMESIZE];
	const struct rte_memzone *mz;

	snprintf(name, sizeof(name), "cbdma_%s_%u", what, made++);
	/* Aligned to its size, it lies within one page, if that is as large, and needs no
	 * neighbour. With RTE_MEMZONE_IOVA_CONTIG, EAL would want some for what it adds to 2 MB:
	 * where IOVAs are physical addresses, pages of 2 MB need not have any after a while.
	 */
	mz = rte_memzone_reserve_aligned(name, size + spare, dev->numa_node, 0, size);
	if (mz != NULL && rte_eal_iova_mode() == RTE_IOVA_PA && mz->hugepage_sz < size) {
		rte_memzone_free(mz);
		mz = rte_memzone_reserve_aligned(name, size + spare, dev->numa_node,
			RTE_MEMZONE_IOVA_CONTIG, size);
	}
	if (mz == NULL)
		CBDMA_LOG(ERR, dev->name, "no %zu bytes of contiguous DMA memory for its %s: %s",
			size + spare, what, rte_strerror(rte_errno));
	return mz;
}

/* Where enqueue_ops() keeps what it was given. */
static int
alloc_ops(struct cbdma_dev *dev)
{
	const uint32_t slots = dev->mask / CBDMA_SLOT + 1;

	if (!dev->enq_deq || dev->ops != NULL)
		return 0;
	dev->ops = rte_zmalloc_socket("cbdma_ops", slots * sizeof(*dev->ops),
		RTE_CACHE_LINE_SIZE, dev->numa_node);
	if (dev->ops != NULL)
		return 0;
	CBDMA_LOG(ERR, dev->name, "no memory for a ring of %u", slots);
	return -ENOMEM;
}

/* A ring of so many slots, in the place of the one there was. */
static int
replace_ring(struct cbdma_dev *dev, uint32_t slots, uint16_t nb_desc)
{
	/* What is prefetched behind the end is nobody else's. */
	const size_t spare = CBDMA_PREFETCH * CBDMA_SLOT;
	uint16_t *slot_op;
	uint32_t i;

	free_ring(dev);
	slot_op = rte_zmalloc_socket("cbdma_slot_op", slots * sizeof(*slot_op), RTE_CACHE_LINE_SIZE,
		dev->numa_node);
	dev->ring_mz = alloc_dma(dev, "ring", slots * sizeof(struct cbdma_desc), spare);
	dev->completion_mz = alloc_dma(dev, "completion", RTE_CACHE_LINE_SIZE, 0);
	if (slot_op == NULL)
		CBDMA_LOG(ERR, dev->name, "no memory for a ring of %u", slots);
	if (slot_op == NULL || dev->ring_mz == NULL || dev->completion_mz == NULL) {
		rte_free(slot_op);
		free_ring(dev);
		return -ENOMEM;
	}

	dev->nb_desc = nb_desc;
	dev->small_ring_logged = false;
	dev->mask = (slots - 1) * CBDMA_SLOT;
	dev->slot_op = slot_op;
	dev->ring = dev->ring_mz->addr;
	dev->ring_iova = dev->ring_mz->iova;
	dev->completion = dev->completion_mz->addr;
	dev->completion_iova = dev->completion_mz->iova;
	memset(dev->ring, 0, slots * sizeof(struct cbdma_desc));
	for (i = 0; i < slots; i++)
		dev->ring[i].next = cbdma_slot_iova(dev, (i + 1) * CBDMA_SLOT);
	*cbdma_slot_op(dev, -CBDMA_SLOT) = UINT16_MAX;
	reset_indices(dev);
	return 0;
}

static int
cbdma_vchan_setup(struct rte_dma_dev *dmadev, uint16_t vchan, const struct rte_dma_vchan_conf *conf,
		uint32_t conf_size)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	struct cbdma_port *port = cbdma_port_of(dev);
	uint32_t slots;
	int ret = check_primary(dev);

	RTE_SET_USED(vchan);
	if (ret != 0)
		return ret;
	if (conf_size != sizeof(*conf))
		return -EINVAL;
	if (conf->nb_desc < CBDMA_MIN_DESC || conf->nb_desc > CBDMA_MAX_DESC) {
		CBDMA_LOG(ERR, dev->name, "ring of %u descriptors asked for, it takes %u to %u",
			conf->nb_desc, CBDMA_MIN_DESC, CBDMA_MAX_DESC);
		return -EINVAL;
	}

	/* A power of two, since slots are masked to index the ring. */
	slots = rte_align32pow2(conf->nb_desc);
	/* Nobody else looks at it meanwhile. */
	cbdma_port_remove(port);
	ret = replace_ring(dev, slots, conf->nb_desc);
	cbdma_port_add(port);
	return ret;
}

/* A device that can go away and come again (cbdma_bus) may be another one then: until the driver
 * has taken it, it asks each time.
 */
static int
revive(struct cbdma_port *port)
{
	struct cbdma_dev *dev = port->dev;
	int ret = port->bus.revive == NULL ? 0 : port->bus.revive(port->bus.opaque);

	if (ret == 1)
		dev->probed = false;
	if (ret < 0 || dev->probed)
		return RTE_MIN(ret, 0);
	ret = cbdma_channel_probe(dev, &port->bus);
	if (ret == 0)
		cbdma_datapath_init(port->dmadev->fp_obj, dev);
	return ret;
}

static int
cbdma_start(struct rte_dma_dev *dmadev)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	struct cbdma_port *port = cbdma_port_of(dev);
	int ret = check_primary(dev);

	if (ret != 0)
		return ret;
	if (dev->ring_mz == NULL) {
		CBDMA_LOG(ERR, dev->name, "start before its vchan was set up");
		return -EINVAL;
	}
	reset_indices(dev);
	ret = alloc_ops(dev);
	if (ret == 0)
		ret = revive(port);
	if (ret == 0)
		ret = cbdma_channel_start(dev, &port->bus);
	if (ret != 0)
		return ret;
	dev->doorbell = dev->bus_doorbell;
	/* One slot stays free: the completion word names the slot before tail when nothing is done
	 * and must not mean the same when everything is.
	 */
	dev->capacity = RTE_MIN(dev->nb_desc * CBDMA_SLOT, dev->mask);
	cbdma_set_limit(dev);
	return 0;
}

/* Whatever is outstanding is dropped, and memory may be freed as soon as this returns. */
static int
cbdma_stop(struct rte_dma_dev *dmadev)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	int ret = check_primary(dev);

	if (ret != 0)
		return ret;
	dev->doorbell = &dev->idle_doorbell;
	ret = cbdma_channel_stop(dev, &cbdma_port_of(dev)->bus);
	if (ret == 0) {
		dev->capacity = 0;
		reset_indices(dev);
		return 0;
	}
	CBDMA_LOG(ERR, dev->name, "it cannot be stopped: %s", rte_strerror(-ret));
	/* Being removed, nobody can wait for it: cbdma_close() sees to the rest. */
	if (dev->being_removed)
		return 0;
	/* It goes on, after a restart when there is an answer again. */
	dev->restarting = dev->capacity != 0;
	return ret;
}

static int
cbdma_close(struct rte_dma_dev *dmadev)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	struct cbdma_port *port = cbdma_port_of(dev);

	cbdma_port_remove(port);
	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		if (port->bus.set_bus_master(port->bus.opaque, false) != 0) {
			CBDMA_LOG(ERR, dev->name, "it may still be at work: its ring is not freed");
			dev->ring_mz = NULL;
			dev->completion_mz = NULL;
		}
		free_ring(dev);
	}
	if (port->bus.destroy != NULL)
		port->bus.destroy(port->bus.opaque);
	free(port);
	return 0;
}

/* Look */

static int
cbdma_stats_get(const struct rte_dma_dev *dmadev, uint16_t vchan, struct rte_dma_stats *stats,
		uint32_t size)
{
	uint64_t submitted, completed;
	const struct cbdma_dev *dev;
	struct cbdma_port *port;

	RTE_SET_USED(vchan);
	if (stats == NULL || size < sizeof(*stats))
		return -EINVAL;
	port = cbdma_port_hold(dmadev); /* dmadev's telemetry asks as well */
	if (port == NULL)
		return -ENODEV;
	dev = port->dev;
	submitted = cbdma_ops_ever(dev, &dev->rung, &completed);
	stats->submitted = submitted - dev->stats_base.submitted;
	stats->completed = completed - dev->stats_base.completed;
	stats->errors = dev->errors - dev->stats_base.errors;
	cbdma_port_put(port);
	return 0;
}

static int
cbdma_stats_reset(struct rte_dma_dev *dmadev, uint16_t vchan)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;

	RTE_SET_USED(vchan);
	dev->stats_base.submitted = cbdma_submitted(dev);
	dev->stats_base.completed = dev->completed;
	dev->stats_base.errors = dev->errors;
	return 0;
}

static int
cbdma_vchan_status(const struct rte_dma_dev *dmadev, uint16_t vchan,
		enum rte_dma_vchan_status *status)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	const struct cbdma_bus *bus = &cbdma_port_of(dev)->bus;
	uint8_t none = CBDMA_TROUBLE_NONE;
	uint64_t chansts;
	int ret;

	RTE_SET_USED(vchan);
	if (dev->silent)
		cbdma_reclaim(dev);
	if (dev->trouble == CBDMA_TROUBLE_LOST || dev->trouble == CBDMA_TROUBLE_LOSING) {
		*status = RTE_DMA_VCHAN_HALTED_ERROR;
		return 0;
	}
	if (cbdma_is_idle(dev)) {
		/* What has been done since counts, too: the statistics are all that tells of it. */
		if (dev->silent)
			cbdma_reclaim(dev);
		*status = RTE_DMA_VCHAN_IDLE;
		return 0;
	}
	ret = bus->read(bus->opaque, CBDMA_CH(CBDMA_CHANSTS), 8, &chansts);
	if (ret != 0)
		return ret;
	*status = RTE_DMA_VCHAN_ACTIVE;
	if (cbdma_is_gone(chansts) || cbdma_state(chansts) == CBDMA_CHANSTS_HALTED)
		*status = RTE_DMA_VCHAN_HALTED_ERROR;
	/* The completion word need not say so: have the next poll look. That may be another
	 * process's, which has found worse meanwhile.
	 */
	if (cbdma_state(chansts) != CBDMA_CHANSTS_ACTIVE)
		rte_atomic_compare_exchange_strong_explicit(&dev->trouble, &none,
			CBDMA_TROUBLE_SUSPECTED, rte_memory_order_relaxed,
			rte_memory_order_relaxed);
	return 0;
}

/* Probe */

int
cbdma_parse_arg(const char *key, const char *value, struct cbdma_args *args)
{
	const char *no, *yes;
	bool *flag;

	if (strcmp(key, CBDMA_ARG_SILENT) == 0) {
		flag = &args->no_silent;
		no = "1";
		yes = "0";
	} else if (strcmp(key, CBDMA_ARG_ERRORS) == 0) {
		flag = &args->count_errors;
		no = "report";
		yes = "count";
	} else {
		return -ENOENT;
	}
	if (value == NULL || (strcmp(value, no) != 0 && strcmp(value, yes) != 0))
		return -EINVAL;
	*flag = strcmp(value, yes) == 0;
	return 0;
}

static const struct rte_dma_dev_ops cbdma_ops = {
	.dev_info_get = cbdma_info_get,
	.dev_configure = cbdma_configure,
	.vchan_setup = cbdma_vchan_setup,
	.dev_start = cbdma_start,
	.dev_stop = cbdma_stop,
	.dev_close = cbdma_close,
	.stats_get = cbdma_stats_get,
	.stats_reset = cbdma_stats_reset,
	.vchan_status = cbdma_vchan_status,
	.dev_dump = cbdma_dump,
};

/* The bus is ours from here: destroyed on failure too. */
int
cbdma_create(const char *name, struct rte_device *device, const struct cbdma_bus *bus,
		__rte_atomic uint16_t *doorbell, const struct cbdma_args *args)
{
	const bool is_primary = rte_eal_process_type() == RTE_PROC_PRIMARY;
	struct rte_dma_dev *dmadev;
	struct cbdma_port *port;
	struct cbdma_dev *dev;
	int ret;

	dmadev = rte_dma_pmd_allocate(name, device->numa_node, sizeof(struct cbdma_dev));
	port = calloc(1, sizeof(*port));
	if (dmadev == NULL || port == NULL) {
		CBDMA_LOG(ERR, name,
			"no memory for a DMA device, or no such device in the primary");
		ret = -ENOMEM;
		goto fail;
	}
	dev = dmadev->data->dev_private;
	port->dmadev = dmadev;
	port->dev = dev;
	port->bus = *bus;
	port->dev_id = dmadev->data->dev_id;
	rte_strscpy(port->name, name, sizeof(port->name));

	if (is_primary) {
		rte_strscpy(dev->name, name, sizeof(dev->name));
		dev->dev_id = dmadev->data->dev_id;
		dev->numa_node = device->numa_node;
		dev->bus_doorbell = doorbell;
		dev->has_silent = !args->no_silent;
		dev->count_errors = args->count_errors;
		dev->private_doorbell = bus->private_doorbell;
		use_no_ring(dev);
		ret = cbdma_channel_probe(dev, bus);
		if (ret != 0)
			goto fail;
	}

	cbdma_port_add(port);
	dmadev->device = device;
	dmadev->dev_ops = &cbdma_ops;
	dmadev->fp_obj->dev_private = dev;
	/* Else its data path says that it is not there, which is what it is to this process. */
	if (is_primary || !dev->private_doorbell)
		cbdma_datapath_init(dmadev->fp_obj, dev);
	dmadev->state = RTE_DMA_DEV_READY;
	return 0;

fail:
	free(port);
	if (dmadev != NULL)
		rte_dma_pmd_release(name);
	if (bus->destroy != NULL)
		bus->destroy(bus->opaque);
	return ret;
}

int
cbdma_remove(const char *name)
{
	int dev_id = rte_dma_get_dev_id_by_name(name);
	struct rte_dma_dev *dmadev;
	struct cbdma_port *port;

	/* Closed by the application already. */
	if (dev_id < 0)
		return 0;
	port = cbdma_port_get(name);
	if (port == NULL)
		return -ENODEV;
	dmadev = port->dmadev;
	port->dev->being_removed = rte_eal_process_type() == RTE_PROC_PRIMARY;
	cbdma_port_put(port);
	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		/* Hot unplug of a device that runs: stop it, as rte_dma_close() wants it stopped.
		 */
		if (dmadev->data->dev_started)
			rte_dma_stop(dev_id);
	} else {
		/* What this process has of it goes, and the device may run on. rte_dma_close()
		 * would refuse that, so there must be nothing left to close.
		 */
		cbdma_close(dmadev);
		dmadev->state = RTE_DMA_DEV_REGISTERED;
	}
	return rte_dma_pmd_release(name);
}
