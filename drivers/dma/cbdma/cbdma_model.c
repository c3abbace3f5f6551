/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The device is a model in this process: registers are calls, the doorbell is memory that the model's
 * thread polls. The model reaches all memory of the process, or, behind its IOMMU, what DPDK owns and
 * what the application maps.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_string_fns.h>

#include "cbdma_glue.h"
#include "rte_pmd_cbdma.h"

#include <dm_guard.h>
#include <dm_pci.h>

struct cbdma_model {
	struct dm_device *device;
	struct dm_engine *engine; /* NULL in step mode */
	uint16_t *doorbell;
	bool sva;
	char name[RTE_DEV_NAME_MAX_LEN];
};

/* Registers */

static int
model_read(void *opaque, uint32_t offset, unsigned int width, uint64_t *value)
{
	const struct cbdma_model *m = opaque;

	*value = dm_device_read(m->device, offset, width);
	return 0;
}

static int
model_write(void *opaque, uint32_t offset, unsigned int width, uint64_t value)
{
	const struct cbdma_model *m = opaque;

	dm_device_write(m->device, offset, width, value);
	return 0;
}

static int
model_config_read(void *opaque, uint32_t offset, uint32_t *value)
{
	const struct cbdma_model *m = opaque;

	return dm_pci_config_read(m->device, offset, value) ? 0 : -EINVAL;
}

static int
model_config_write(void *opaque, uint32_t offset, uint32_t value)
{
	const struct cbdma_model *m = opaque;

	return dm_pci_config_write(m->device, offset, UINT32_MAX, value) ? 0 : -EINVAL;
}

static int
model_set_bus_master(void *opaque, bool enable)
{
	const struct cbdma_model *m = opaque;

	dm_pci_set_bus_master(m->device, enable);
	return 0;
}

static void
model_wake(void *opaque)
{
	const struct cbdma_model *m = opaque;

	if (m->engine != NULL)
		dm_engine_wake(m->engine);
}

/* Memory. Behind an IOMMU, the model reaches what DPDK owns, as it comes and goes, and what the
 * application maps with rte_dev_dma_map().
 */

static int
map(struct cbdma_model *m, uint64_t iova, void *addr, size_t len)
{
	int ret;

	if (iova == RTE_BAD_IOVA)
		return 0;
	ret = dm_device_map(m->device, iova, len, addr, DM_READ | DM_WRITE);
	if (ret != 0)
		CBDMA_LOG(ERR, m->name, "cannot map %zu bytes at %p: %s", len, addr,
			rte_strerror(-ret));
	return ret;
}

/* Map or unmap memory of DPDK's own: in one piece where IOVAs are virtual addresses, else page by
 * page, as these lie anywhere in physical memory.
 */
static int
map_pages(struct cbdma_model *m, const struct rte_memseg_list *msl, void *addr, size_t len,
		bool is_map)
{
	size_t step = rte_eal_iova_mode() == RTE_IOVA_VA ? len : msl->page_sz;
	const struct rte_memseg *seg;
	size_t done;
	int ret;

	for (done = 0; done < len; done += step) {
		seg = rte_mem_virt2memseg(RTE_PTR_ADD(addr, done), msl);
		if (seg == NULL)
			return -EINVAL;
		if (is_map)
			ret = map(m, seg->iova, RTE_PTR_ADD(addr, done), step);
		else
			ret = dm_device_unmap(m->device, seg->iova, step);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static void
memory_event(enum rte_mem_event type, const void *addr, size_t len, void *arg)
{
	struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);

	if (msl != NULL && !msl->external)
		map_pages(arg, msl, (void *)(uintptr_t)addr, len, type == RTE_MEM_EVENT_ALLOC);
}

static int
map_existing(const struct rte_memseg_list *msl, const struct rte_memseg *seg, size_t len, void *arg)
{
	/* Memory from outside is for the application to map, except a heap's: that is DPDK's. */
	if (msl->external && !msl->heap)
		return 0;
	return map_pages(arg, msl, seg->addr, len, true);
}

static int
map_memory(struct cbdma_model *m)
{
	int ret;

	if (m->sva)
		return dm_device_map_process(m->device);
	/* No memory comes or goes between the two. */
	rte_mcfg_mem_read_lock();
	ret = rte_memseg_contig_walk_thread_unsafe(map_existing, m);
	if (ret == 0 && rte_mem_event_callback_register(m->name, memory_event, m) != 0 &&
			rte_errno != ENOTSUP) /* memory that does not change: --legacy-mem, --no-huge */
		ret = -rte_errno;
	rte_mcfg_mem_read_unlock();
	return ret;
}

int
cbdma_model_dma_map(const struct cbdma_bus *bus, void *addr, uint64_t iova, size_t len)
{
	struct cbdma_model *m = bus->opaque;

	if (!m->sva)
		return map(m, iova, addr, len);
	/* It is reached without. */
	if (iova == (uintptr_t)addr)
		return 0;
	CBDMA_LOG(ERR, m->name, "IOVA %#" PRIx64 " for memory at %p: without an IOMMU they have to be"
		" the same; or give it iommu=on", iova, addr);
	return -ENOTSUP;
}

int
cbdma_model_dma_unmap(const struct cbdma_bus *bus, uint64_t iova, size_t len)
{
	const struct cbdma_model *m = bus->opaque;

	return m->sva ? 0 : dm_device_unmap(m->device, iova, len);
}

bool
cbdma_model_is(const struct cbdma_bus *bus)
{
	return bus->read == model_read;
}

/* Life */

static void
model_destroy(void *opaque)
{
	struct cbdma_model *m = opaque;

	if (!m->sva)
		rte_mem_event_callback_unregister(m->name, m);
	if (m->engine != NULL) {
		dm_engine_detach(m->engine, m->device);
		dm_engine_put(m->engine);
	}
	if (m->device != NULL)
		dm_device_destroy(m->device);
	dm_guard_disable();
	rte_free(m->doorbell);
	free(m);
}

static int
start_engine(struct cbdma_model *m, const struct cbdma_model_conf *conf, const char **error)
{
	int ret;

	*error = "no engine on that CPU";
	ret = dm_engine_get(conf->cpu, conf->idle, &m->engine);
	if (ret != 0)
		return ret;
	*error = "no engine";
	return dm_engine_attach(m->engine, m->device);
}

int
cbdma_model_create(const char *name, int numa_node, struct cbdma_model_conf *conf,
		struct cbdma_bus *bus, uint16_t **doorbell)
{
	struct cbdma_model *m = calloc(1, sizeof(*m));
	const char *error = "no memory";
	int ret = -ENOMEM;

	if (m == NULL)
		goto fail;
	rte_strscpy(m->name, name, sizeof(m->name));
	m->sva = conf->sva;
	dm_guard_enable();
	/* In memory that secondary processes share, so that they can ring it. */
	m->doorbell = rte_zmalloc_socket("cbdma_doorbell", RTE_CACHE_LINE_SIZE,
			RTE_CACHE_LINE_SIZE, numa_node);
	if (m->doorbell == NULL)
		goto fail;
	conf->device.doorbell[0] = m->doorbell;
	m->device = dm_cbdma_create(&conf->device, &error);
	if (m->device == NULL)
		goto fail;
	error = "its memory cannot be mapped";
	ret = map_memory(m);
	if (ret != 0)
		goto fail;
	dm_cbdma_inject(m->device, 0, &conf->fault);
	if (!conf->step) {
		ret = start_engine(m, conf, &error);
		if (ret != 0)
			goto fail;
	}
	*doorbell = m->doorbell;
	*bus = (struct cbdma_bus){
		.read = model_read,
		.write = model_write,
		.config_read = model_config_read,
		.config_write = model_config_write,
		.set_bus_master = model_set_bus_master,
		.wake = model_wake,
		.destroy = model_destroy,
		.sva = conf->sva,
		.stall_ms = conf->step ? 0 : CBDMA_STALL_MS,
		.opaque = m,
	};
	return 0;

fail:
	CBDMA_LOG(ERR, name, "no device model: %s: %s", error, rte_strerror(-ret));
	if (m != NULL)
		model_destroy(m);
	return ret;
}

/* The model in the application's hands (rte_pmd_cbdma.h) */

/* Get hold of a device that has a model here. */
static struct cbdma_port *
get_model(int16_t dev_id)
{
	struct cbdma_port *port;
	char id[8];

	snprintf(id, sizeof(id), "%d", dev_id);
	port = cbdma_port_get(id);
	if (port == NULL || cbdma_model_is(&port->bus))
		return port;
	cbdma_port_put(port);
	return NULL;
}

__attribute__((visibility("default"))) int
rte_pmd_cbdma_inject(int16_t dev_id, const char *text)
{
	struct cbdma_port *port = get_model(dev_id);
	const struct cbdma_model *m;
	struct dm_cbdma_fault fault;
	const char *error = "a text";
	int ret = -EINVAL;

	if (port == NULL)
		return -ENODEV;
	m = port->bus.opaque;
	if (text != NULL && dm_cbdma_fault_parse(text, &fault, &error) == 0)
		ret = dm_cbdma_inject(m->device, 0, &fault);
	else
		CBDMA_LOG(ERR, m->name, "fault \"%s\": takes %s", text == NULL ? "" : text, error);
	cbdma_port_put(port);
	return ret;
}

__attribute__((visibility("default"))) int
rte_pmd_cbdma_step(int16_t dev_id, unsigned int max)
{
	struct cbdma_port *port = get_model(dev_id);
	const struct cbdma_model *m;
	int done;

	if (port == NULL)
		return -ENODEV;
	m = port->bus.opaque;
	done = dm_device_run(m->device, RTE_MIN(max, (unsigned int)INT32_MAX));
	cbdma_port_put(port);
	return done;
}
