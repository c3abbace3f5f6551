/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_spinlock.h>
#include <rte_string_fns.h>

#include "cbdma_internal.h"

RTE_LOG_REGISTER(cbdma_logtype, pmd.dma.cbdma, NOTICE);

/* Registers: each process has its own way to them, so what that is cannot lie in cbdma_dev. */

struct bus_entry {
	TAILQ_ENTRY(bus_entry) next;
	struct rte_dma_dev *dmadev;
	struct cbdma_dev *dev;
	struct cbdma_bus bus;
};

static TAILQ_HEAD(, bus_entry) bus_entries = TAILQ_HEAD_INITIALIZER(bus_entries);
static rte_spinlock_t bus_lock = RTE_SPINLOCK_INITIALIZER;

static struct bus_entry *
find_entry(const struct cbdma_dev *dev)
{
	struct bus_entry *entry;

	rte_spinlock_lock(&bus_lock);
	TAILQ_FOREACH(entry, &bus_entries, next)
		if (entry->dev == dev)
			break;
	rte_spinlock_unlock(&bus_lock);
	return entry;
}

const struct cbdma_bus *
cbdma_bus_of(const struct cbdma_dev *dev)
{
	struct bus_entry *entry = find_entry(dev);

	return entry == NULL ? NULL : &entry->bus;
}

struct cbdma_dev *
cbdma_find(int16_t dev_id)
{
	struct bus_entry *entry;

	rte_spinlock_lock(&bus_lock);
	TAILQ_FOREACH(entry, &bus_entries, next)
		if (entry->dev->dev_id == dev_id)
			break;
	rte_spinlock_unlock(&bus_lock);
	return entry == NULL ? NULL : entry->dev;
}

uint64_t
cbdma_read(const struct cbdma_dev *dev, uint32_t offset, unsigned int width)
{
	const struct cbdma_bus *bus = cbdma_bus_of(dev);

	return bus == NULL ? UINT64_MAX : bus->read(bus->opaque, offset, width);
}

static void
cbdma_write(const struct cbdma_dev *dev, uint32_t offset, unsigned int width, uint64_t value)
{
	const struct cbdma_bus *bus = cbdma_bus_of(dev);

	if (bus != NULL)
		bus->write(bus->opaque, offset, width, value);
}

/* Reset */

bool
cbdma_channel_is_gone(uint64_t chansts)
{
	return chansts == UINT64_MAX;
}

const char *
cbdma_chansts_name(uint64_t chansts)
{
	static const char *const name[] = {"ACTIVE", "IDLE", "SUSPENDED", "HALTED", "ARMED"};
	unsigned int state = cbdma_state(chansts);

	if (cbdma_channel_is_gone(chansts))
		return "gone";
	return state < RTE_DIM(name) ? name[state] : "unknown";
}

/* Wait until done() says so; 100 ms is more than public drivers give a channel for any of its
 * commands (SPDK 20 ms, DPDK dma_ioat 200 reads).
 */
static bool
wait_for(const struct cbdma_dev *dev, bool (*done)(const struct cbdma_dev *dev))
{
	const uint64_t end = rte_get_timer_cycles() + rte_get_timer_hz() / 10;

	while (!done(dev)) {
		if (rte_get_timer_cycles() > end)
			return false;
		rte_delay_us(1);
	}
	return true;
}

static bool
is_quiet(const struct cbdma_dev *dev)
{
	unsigned int state = cbdma_state(cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8));

	return state != CBDMA_CHANSTS_ACTIVE && state != CBDMA_CHANSTS_IDLE;
}

static bool
is_reset_done(const struct cbdma_dev *dev)
{
	return !(cbdma_read(dev, CBDMA_CH(CBDMA_CHANCMD), 1) & CBDMA_CHANCMD_RESET);
}

static bool
is_armed(const struct cbdma_dev *dev)
{
	return cbdma_state(cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8)) == CBDMA_CHANSTS_ARMED;
}

/* Stop whatever the channel does, forget its errors and reset it: the order that Linux
 * (drivers/dma/ioat/dma.c, ioat_reset_hw) and SPDK (lib/ioat/ioat.c, ioat_reset_hw) keep.
 */
int
cbdma_channel_reset(struct cbdma_dev *dev)
{
	const struct cbdma_bus *bus = cbdma_bus_of(dev);
	uint64_t chansts = cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8);

	if (cbdma_channel_is_gone(chansts)) {
		CBDMA_LOG(ERR, dev->name, "device is gone: its registers read all ones");
		return -ENODEV;
	}
	if (!is_quiet(dev)) {
		cbdma_write(dev, CBDMA_CH(CBDMA_CHANCMD), 1, CBDMA_CHANCMD_SUSPEND);
		if (!wait_for(dev, is_quiet))
			CBDMA_LOG(WARNING, dev->name, "channel does not suspend, resetting it");
	}

	/* Write 1 to clear. */
	cbdma_write(dev, CBDMA_CH(CBDMA_CHANERR), 4,
		cbdma_read(dev, CBDMA_CH(CBDMA_CHANERR), 4));
	if (dev->cbver < CBDMA_VER_3_3 && bus->clear_chanerr_int != NULL)
		bus->clear_chanerr_int(bus->opaque);

	cbdma_write(dev, CBDMA_CH(CBDMA_CHANCMD), 1, CBDMA_CHANCMD_RESET);
	if (!wait_for(dev, is_reset_done)) {
		CBDMA_LOG(ERR, dev->name,
			"channel does not come out of reset: CHANCMD %#x CHANSTS %#" PRIx64
			" CHANERR %#x",
			(unsigned int)cbdma_read(dev, CBDMA_CH(CBDMA_CHANCMD), 1),
			cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8),
			(unsigned int)cbdma_read(dev, CBDMA_CH(CBDMA_CHANERR), 4));
		return -EIO;
	}
	return 0;
}

/* Point a channel that was reset at a slot of the ring, with nothing to run yet. */
int
cbdma_channel_arm(struct cbdma_dev *dev, uint32_t slot)
{
	cbdma_write(dev, CBDMA_CH(CBDMA_CHANCTRL), 2,
		CBDMA_CHANCTRL_ANY_ERR_ABORT_EN | CBDMA_CHANCTRL_ERR_COMPLETION_EN);
	cbdma_write(dev, CBDMA_CH(CBDMA_CHANCMP), 8, dev->completion_iova);
	cbdma_write(dev, CBDMA_CH(CBDMA_CHAINADDR), 8, cbdma_slot_iova(dev, slot));
	if (!wait_for(dev, is_armed)) {
		uint64_t chansts = cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8);

		CBDMA_LOG(ERR, dev->name, "channel is %s, not ARMED: CHANSTS %#" PRIx64,
			cbdma_chansts_name(chansts), chansts);
		return -EIO;
	}
	/* As if the slot before had just been completed, but not before it is sure that the channel
	 * goes on from here. Nothing runs yet, so the device does not write the word either.
	 */
	dev->base = slot;
	__atomic_store_n(dev->completion, cbdma_slot_iova(dev, slot - 1), __ATOMIC_RELAXED);
	return 0;
}

/* Configure */

static int
cbdma_info_get(const struct rte_dma_dev *dmadev, struct rte_dma_info *info, uint32_t size)
{
	const struct cbdma_dev *dev = dmadev->data->dev_private;

	if (size < sizeof(*info))
		return -EINVAL;

	info->dev_capa = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_HANDLES_ERRORS |
			 RTE_DMA_CAPA_OPS_COPY | RTE_DMA_CAPA_OPS_COPY_SG | RTE_DMA_CAPA_OPS_FILL;
	if (dev->has_silent)
		info->dev_capa |= RTE_DMA_CAPA_SILENT;
#if CBDMA_HAS_ENQ_DEQ
	info->dev_capa |= RTE_DMA_CAPA_OPS_ENQ_DEQ;
#endif
	info->max_vchans = 1;
	info->min_desc = CBDMA_MIN_DESC;
	info->max_desc = CBDMA_MAX_DESC;
	info->max_sges = CBDMA_MAX_SGES;
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
	dev->stats_base.submitted -= dev->submitted;
	dev->stats_base.completed -= dev->completed;
	dev->head = 0;
	dev->tail = 0;
	dev->rung = 0;
	dev->base = 0;
	dev->enqueued = 0;
	dev->submitted = 0;
	dev->completed = 0;
	dev->idle_polls = 0;
	dev->trouble = CBDMA_TROUBLE_NONE;
	cbdma_set_limit(dev);
	dev->ring[dev->mask].user[0] = UINT64_MAX; /* before slot 0, the operation before 0 */
}

/* No ring: nothing can be enqueued and polls find nothing, without a check for it in their way. */
static void
free_ring(struct cbdma_dev *dev)
{
	dev->capacity = 0;
	dev->nb_desc = 0;
	dev->mask = 0;
	dev->ring = &dev->idle_desc;
	dev->ring_iova = 0;
	dev->completion = &dev->idle_completion;
	dev->idle_completion = 0;
	dev->doorbell = &dev->idle_doorbell;
	reset_indices(dev);

	rte_memzone_free(dev->ring_mz);
	dev->ring_mz = NULL;
	rte_free(dev->ops);
	dev->ops = NULL;
}

/* Ring and completion word, in one piece of memory that device and CPU reach. */
static int
alloc_ring(struct cbdma_dev *dev, uint32_t slots)
{
	const size_t ring_size = slots * sizeof(struct cbdma_desc);
	char mz_name[RTE_MEMZONE_NAMESIZE];
	const struct rte_memzone *mz;

	snprintf(mz_name, sizeof(mz_name), "cbdma_ring_%d", dev->dev_id);
	mz = rte_memzone_reserve_aligned(mz_name, ring_size + RTE_CACHE_LINE_SIZE, dev->numa_node,
		RTE_MEMZONE_IOVA_CONTIG, RTE_CACHE_LINE_SIZE);
	if (mz == NULL) {
		CBDMA_LOG(ERR, dev->name,
			"no %zu bytes of contiguous DMA memory for a ring of %u: %s", ring_size,
			slots, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	dev->ring_mz = mz;
	if (dev->enq_deq) {
		dev->ops = rte_zmalloc_socket("cbdma_ops", slots * sizeof(*dev->ops),
				RTE_CACHE_LINE_SIZE, dev->numa_node);
		if (dev->ops == NULL) {
			CBDMA_LOG(ERR, dev->name, "no memory for a ring of %u", slots);
			return -ENOMEM;
		}
	}
	return 0;
}

static int
cbdma_vchan_setup(struct rte_dma_dev *dmadev, uint16_t vchan, const struct rte_dma_vchan_conf *conf,
		uint32_t conf_size)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	uint32_t slots, i;
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
	slots = RTE_MAX(rte_align32pow2(conf->nb_desc), CBDMA_MIN_SLOTS);
	free_ring(dev);
	ret = alloc_ring(dev, slots);
	if (ret != 0) {
		free_ring(dev);
		return ret;
	}

	dev->nb_desc = slots;
	dev->small_ring_logged = false;
	dev->mask = slots - 1;
	dev->ring = dev->ring_mz->addr;
	dev->ring_iova = dev->ring_mz->iova;
	dev->completion = RTE_PTR_ADD(dev->ring_mz->addr, slots * sizeof(struct cbdma_desc));
	dev->completion_iova = dev->ring_iova + slots * sizeof(struct cbdma_desc);
	memset(dev->ring, 0, slots * sizeof(struct cbdma_desc));
	for (i = 0; i < slots; i++)
		dev->ring[i].next = cbdma_slot_iova(dev, i + 1);
	reset_indices(dev);
	*dev->completion = cbdma_slot_iova(dev, -1);
	return 0;
}

static int probe_hardware(struct cbdma_dev *dev);

/* A device that can go away and come again (cbdma_bus) may be another one then. */
static int
revive(struct cbdma_dev *dev)
{
	const struct cbdma_bus *bus = cbdma_bus_of(dev);
	int ret = bus->revive == NULL ? 0 : bus->revive(bus->opaque);

	return ret == 1 ? probe_hardware(dev) : ret;
}

static int
cbdma_start(struct rte_dma_dev *dmadev)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	int ret = check_primary(dev);

	if (ret != 0)
		return ret;
	if (dev->ring_mz == NULL) {
		CBDMA_LOG(ERR, dev->name, "start before its vchan was set up");
		return -EINVAL;
	}
	reset_indices(dev);
	ret = revive(dev);
	if (ret == 0)
		ret = cbdma_channel_reset(dev);
	if (ret == 0)
		ret = cbdma_channel_arm(dev, 0);
	if (ret != 0)
		return ret;
	dev->doorbell = dev->bus_doorbell;
	/* One slot stays free: the completion word names the slot before tail when nothing is done
	 * and must not mean the same when everything is.
	 */
	dev->capacity = dev->mask;
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
	dev->capacity = 0;
	dev->doorbell = &dev->idle_doorbell;
	ret = cbdma_channel_reset(dev);
	reset_indices(dev);
	*dev->completion = cbdma_slot_iova(dev, -1);
	/* A device that is gone does not move data either: it is stopped. One that does not come
	 * out of reset may, but when it is being removed nobody can wait for it.
	 */
	return ret == -ENODEV || dev->being_removed ? 0 : ret;
}

static int
cbdma_close(struct rte_dma_dev *dmadev)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	struct bus_entry *entry = find_entry(dev);

	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		free_ring(dev);
	if (entry == NULL)
		return 0;
	rte_spinlock_lock(&bus_lock);
	TAILQ_REMOVE(&bus_entries, entry, next);
	rte_spinlock_unlock(&bus_lock);
	if (entry->bus.destroy != NULL)
		entry->bus.destroy(entry->bus.opaque);
	free(entry);
	return 0;
}

/* Look */

static int
cbdma_stats_get(const struct rte_dma_dev *dmadev, uint16_t vchan, struct rte_dma_stats *stats,
		uint32_t size)
{
	const struct cbdma_dev *dev = dmadev->data->dev_private;

	RTE_SET_USED(vchan);
	if (stats == NULL || size < sizeof(*stats))
		return -EINVAL;
	stats->submitted = dev->submitted - dev->stats_base.submitted;
	stats->completed = dev->completed - dev->stats_base.completed;
	stats->errors = dev->errors - dev->stats_base.errors;
	return 0;
}

static int
cbdma_stats_reset(struct rte_dma_dev *dmadev, uint16_t vchan)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;

	RTE_SET_USED(vchan);
	dev->stats_base.submitted = dev->submitted;
	dev->stats_base.completed = dev->completed;
	dev->stats_base.errors = dev->errors;
	return 0;
}

static int
cbdma_vchan_status(const struct rte_dma_dev *dmadev, uint16_t vchan,
		enum rte_dma_vchan_status *status)
{
	struct cbdma_dev *dev = dmadev->data->dev_private;
	uint64_t chansts;

	RTE_SET_USED(vchan);
	if (dev->silent)
		cbdma_reclaim(dev);
	if (dev->trouble == CBDMA_TROUBLE_LOST) {
		*status = RTE_DMA_VCHAN_HALTED_ERROR;
		return 0;
	}
	if (cbdma_is_idle(dev)) {
		*status = RTE_DMA_VCHAN_IDLE;
		return 0;
	}
	chansts = cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8);
	if (cbdma_channel_is_gone(chansts) || cbdma_state(chansts) == CBDMA_CHANSTS_HALTED) {
		*status = RTE_DMA_VCHAN_HALTED_ERROR;
		/* Before CBVER 3.4 the completion word does not say so: have the next poll look. */
		if (dev->trouble == CBDMA_TROUBLE_NONE)
			dev->trouble = CBDMA_TROUBLE_SUSPECTED;
		return 0;
	}
	*status = RTE_DMA_VCHAN_ACTIVE;
	return 0;
}

const char *
cbdma_chanerr_name(unsigned int bit)
{
	static const char *const name[] = {
		"XSADDERR", "XDADDERR", "NDADDERR", "DERR", "CHADDERR", "CCMDERR", "CUNCORERR",
		"DUNCORERR", "RDERR", "WDERR", "DCERR", "DXSERR", "CMPADDERR", "INTCFGERR",
		"SEDERR", "UNAFFERR", "CXPERR", "bit17", "DCNTERR"};

	return bit < RTE_DIM(name) ? name[bit] : "reserved";
}

static int
cbdma_dump(const struct rte_dma_dev *dmadev, FILE *f)
{
	const struct cbdma_dev *dev = dmadev->data->dev_private;
	uint64_t chansts = cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8);
	unsigned int bit;

	fprintf(f, "  %s: CBVER %u.%u, longest transfer %u bytes\n", dev->name, dev->cbver >> 4,
		dev->cbver & 0xf, dev->max_len);
	fprintf(f, "  CHANSTS %#" PRIx64 " (%s) CHANERR %#x CHANCTRL %#x DMACOUNT %u\n", chansts,
		cbdma_chansts_name(chansts),
		(unsigned int)cbdma_read(dev, CBDMA_CH(CBDMA_CHANERR), 4),
		(unsigned int)cbdma_read(dev, CBDMA_CH(CBDMA_CHANCTRL), 2),
		(unsigned int)cbdma_read(dev, CBDMA_CH(CBDMA_DMACOUNT), 2));
	fprintf(f, "  CHAINADDR %#" PRIx64 " CHANCMP %#" PRIx64 " completion word %#" PRIx64 "\n",
		cbdma_read(dev, CBDMA_CH(CBDMA_CHAINADDR), 8),
		cbdma_read(dev, CBDMA_CH(CBDMA_CHANCMP), 8), *dev->completion);
	fprintf(f, "  ring of %u at %p, IOVA %#" PRIx64 "%s\n", dev->nb_desc, (void *)dev->ring,
		dev->ring_iova, dev->silent ? ", silent" : "");
	fprintf(f, "  slots: tail %u rung %u head %u base %u free %u\n", dev->tail, dev->rung,
		dev->head, dev->base, dev->limit - dev->head);
	fprintf(f, "  operations: enqueued %" PRIu64 " submitted %" PRIu64 " completed %" PRIu64
		" failed %" PRIu64 "\n", dev->enqueued, dev->submitted, dev->completed, dev->errors);
	fprintf(f, "  recoveries %" PRIu64 " channel lost %" PRIu64 "\n", dev->recoveries, dev->lost);
	for (bit = 0; bit < RTE_DIM(dev->chanerr_count); bit++)
		if (dev->chanerr_count[bit] != 0)
			fprintf(f, "  %s %" PRIu64 "\n", cbdma_chanerr_name(bit),
				dev->chanerr_count[bit]);
	return 0;
}

/* Probe */

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

/* What the hardware says of itself; leaves the channel reset. */
static int
probe_hardware(struct cbdma_dev *dev)
{
	unsigned int chancnt, xfercap;

	if (cbdma_channel_is_gone(cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8))) {
		CBDMA_LOG(ERR, dev->name, "no device: its registers read all ones");
		return -ENODEV;
	}
	dev->cbver = cbdma_read(dev, CBDMA_CBVER, 1);
	if (dev->cbver < CBDMA_VER_3_0 || dev->cbver > CBDMA_VER_3_4) {
		CBDMA_LOG(ERR, dev->name, "CBVER %u.%u, the driver knows 3.0 to 3.4",
			dev->cbver >> 4, dev->cbver & 0xf);
		return -ENOTSUP;
	}
	chancnt = cbdma_read(dev, CBDMA_CHANCNT, 1) & CBDMA_CHANCNT_MASK;
	if (chancnt == 0) {
		CBDMA_LOG(ERR, dev->name, "it has no channel");
		return -ENODEV;
	}
	if (chancnt > 1)
		CBDMA_LOG(NOTICE, dev->name, "it has %u channels, the first is used", chancnt);
	xfercap = cbdma_read(dev, CBDMA_XFERCAP, 1) & CBDMA_XFERCAP_MASK;
	if (xfercap != 0 && xfercap < CBDMA_XFERCAP_MIN) {
		CBDMA_LOG(ERR, dev->name, "XFERCAP %u is below its minimum of %u", xfercap,
			CBDMA_XFERCAP_MIN);
		return -EIO;
	}
	dev->max_len = xfercap == 0 ? UINT32_MAX : 1u << xfercap;

	if (cbdma_read(dev, CBDMA_CH(CBDMA_CHANCTRL), 2) & CBDMA_CHANCTRL_IN_USE) {
		CBDMA_LOG(WARNING, dev->name, "channel is marked as in use, taking it over");
		cbdma_write(dev, CBDMA_CH(CBDMA_CHANCTRL), 2, 0);
	}
	return cbdma_channel_reset(dev);
}

/* The bus is ours from here: destroyed on failure too. */
int
cbdma_create(const char *name, struct rte_device *device, const struct cbdma_bus *bus,
		uint16_t *doorbell, bool has_silent)
{
	struct bus_entry *entry;
	struct rte_dma_dev *dmadev;
	struct cbdma_dev *dev;
	int ret;

	dmadev = rte_dma_pmd_allocate(name, device->numa_node, sizeof(struct cbdma_dev));
	entry = calloc(1, sizeof(*entry));
	if (dmadev == NULL || entry == NULL) {
		CBDMA_LOG(ERR, name, "no memory for a DMA device, or no such device in the primary");
		ret = -ENOMEM;
		goto fail;
	}
	dev = dmadev->data->dev_private;
	entry->dmadev = dmadev;
	entry->dev = dev;
	entry->bus = *bus;
	rte_spinlock_lock(&bus_lock);
	TAILQ_INSERT_TAIL(&bus_entries, entry, next);
	rte_spinlock_unlock(&bus_lock);

	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		rte_strscpy(dev->name, name, sizeof(dev->name));
		dev->dev_id = dmadev->data->dev_id;
		dev->numa_node = device->numa_node;
		dev->bus_doorbell = doorbell;
		dev->has_silent = has_silent;
		dev->private_doorbell = bus->private_doorbell;
		free_ring(dev);
		ret = probe_hardware(dev);
		if (ret != 0)
			goto fail_entry;
	}

	dmadev->device = device;
	dmadev->dev_ops = &cbdma_ops;
	dmadev->fp_obj->dev_private = dev;
	/* Else its data path says that it is not there, which is what it is to this process. */
	if (rte_eal_process_type() == RTE_PROC_PRIMARY || !dev->private_doorbell)
		cbdma_datapath_init(dmadev->fp_obj);
	dmadev->state = RTE_DMA_DEV_READY;
	return 0;

fail_entry:
	rte_spinlock_lock(&bus_lock);
	TAILQ_REMOVE(&bus_entries, entry, next);
	rte_spinlock_unlock(&bus_lock);
fail:
	free(entry);
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
	struct cbdma_dev *dev;

	/* Closed by the application already. */
	if (dev_id < 0)
		return 0;
	dev = cbdma_find(dev_id);
	if (dev == NULL)
		return -ENODEV;
	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		/* Hot unplug of a device that runs: stop it, as rte_dma_close() wants it stopped. */
		dev->being_removed = true;
		rte_dma_stop(dev_id);
	} else {
		/* What this process has of it goes, and the device may run on. rte_dma_close() would
		 * refuse that, so there must be nothing left to close.
		 */
		dmadev = find_entry(dev)->dmadev;
		cbdma_close(dmadev);
		dmadev->state = RTE_DMA_DEV_REGISTERED;
	}
	return rte_dma_pmd_release(name);
}
