/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * What there is to see of devices, lcores and memory.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "shell.h"

static const struct {
	uint64_t bit;
	const char *name;
} capabilities[] = {
	{ RTE_DMA_CAPA_MEM_TO_MEM, "mem-to-mem" },
	{ RTE_DMA_CAPA_MEM_TO_DEV, "mem-to-dev" },
	{ RTE_DMA_CAPA_DEV_TO_MEM, "dev-to-mem" },
	{ RTE_DMA_CAPA_DEV_TO_DEV, "dev-to-dev" },
	{ RTE_DMA_CAPA_SVA, "sva" },
	{ RTE_DMA_CAPA_SILENT, "silent" },
	{ RTE_DMA_CAPA_HANDLES_ERRORS, "handles-errors" },
#ifdef RTE_DMA_CAPA_M2D_AUTO_FREE
	{ RTE_DMA_CAPA_M2D_AUTO_FREE, "m2d-auto-free" },
#endif
#ifdef RTE_DMA_CAPA_PRI_POLICY_SP
	{ RTE_DMA_CAPA_PRI_POLICY_SP, "priority-policy" },
#endif
	{ RTE_DMA_CAPA_OPS_COPY, "copy" },
	{ RTE_DMA_CAPA_OPS_COPY_SG, "copy-sg" },
	{ RTE_DMA_CAPA_OPS_FILL, "fill" },
#ifdef RTE_DMA_CAPA_OPS_ENQ_DEQ
	{ RTE_DMA_CAPA_OPS_ENQ_DEQ, "enqueue-dequeue" },
#endif
};

static const char *const directions[] = {
	[RTE_DMA_DIR_MEM_TO_MEM] = "mem-to-mem",
	[RTE_DMA_DIR_MEM_TO_DEV] = "mem-to-dev",
	[RTE_DMA_DIR_DEV_TO_MEM] = "dev-to-mem",
	[RTE_DMA_DIR_DEV_TO_DEV] = "dev-to-dev",
};

static void
capability_list(uint64_t capa, char *dst, size_t size)
{
	unsigned int i;
	size_t used = 0;

	dst[0] = '\0';
	for (i = 0; i < RTE_DIM(capabilities); i++)
		if ((capa & capabilities[i].bit) != 0 && used < size)
			used += snprintf(dst + used, size - used, "%s%s", used > 0 ? " " : "",
				capabilities[i].name);
}

static struct shell_dev *
info_get(const struct args *a, int16_t *id, struct rte_dma_info *info)
{
	struct shell_dev *d;

	*id = a->w[2].dev.id;
	d = device_get(*id);
	return d != NULL && rte_dma_info_get(*id, info) == 0 ? d : NULL;
}

/* Of the primary's devices, dmadev does not tell a secondary process the ring and the like. */
static bool
configured_here(void)
{
	return rte_eal_process_type() == RTE_PROC_PRIMARY;
}

int
cmd_show_devices(const struct args *a __rte_unused)
{
	struct rte_dma_info info;
	struct shell_dev *d;
	int16_t id;

	if (rte_dma_count_avail() == 0)
		shell_note("no DMA devices: 'attach dma_skeleton0', or --vdev and -d at the start");
	RTE_DMA_FOREACH_DEV(id) {
		d = device_get(id);
		if (d == NULL || rte_dma_info_get(id, &info) != 0)
			continue;
		out_begin("devices");
		out_int("device", id);
		out_str("name", "%s", info.dev_name);
		out_str("state", "%s", device_state(d));
		if (configured_here())
			out_num("ring", d->ring);
		out_num("vchans", configured_here() ? d->vchans : info.nb_vchans);
		out_int("numa", info.numa_node);
		out_row();
	}
	return 0;
}

int
cmd_show_info(const struct args *a)
{
	struct rte_dma_info info;
	struct rte_device *bus;
	struct shell_dev *d;
	char capa[160];
	int16_t id;

	d = info_get(a, &id, &info);
	if (d == NULL)
		return -ENODEV;
	bus = device_bus(id);
	capability_list(info.dev_capa, capa, sizeof(capa));
	out_begin("info");
	out_int("device", id);
	out_str("name", "%s", info.dev_name);
	if (bus != NULL) {
		out_str("driver", "%s", rte_driver_name(rte_dev_driver(bus)));
		out_str("arguments", "%s", rte_dev_devargs(bus) == NULL ||
			rte_dev_devargs(bus)->args == NULL ? "" : rte_dev_devargs(bus)->args);
	}
	out_int("numa", info.numa_node);
	out_num("max_vchans", info.max_vchans);
	out_num("min_ring", info.min_desc);
	out_num("max_ring", info.max_desc);
	out_num("max_segments", info.max_sges);
	out_str("capabilities", "%s", capa);
	out_str("state", "%s", device_state(d));
	if (configured_here())
		out_num("ring", d->ring);
	out_num("vchans", configured_here() ? d->vchans : info.nb_vchans);
	if (configured_here()) {
		out_str("direction", "%s", directions[d->direction]);
		out_bool("silent", d->silent);
	}
	out_list();
	return 0;
}

int
cmd_show_stats(const struct args *a)
{
	struct rte_dma_stats stats;
	struct rte_dma_info info;
	struct shell_dev *d;
	uint16_t v;
	int16_t id;
	int ret;

	d = info_get(a, &id, &info);
	if (d == NULL)
		return -ENODEV;
	if (info.nb_vchans == 0)
		return shell_error(-EINVAL, "device %d was never started: it has no statistics",
			id);
	for (v = 0; v < info.nb_vchans; v++) {
		ret = rte_dma_stats_get(id, v, &stats);
		if (ret != 0)
			return shell_error(ret, "device %d has no statistics: %s", id,
				strerror(-ret));
		out_begin("stats");
		out_int("device", id);
		out_num("vchan", v);
		out_num("submitted", stats.submitted);
		out_num("completed", stats.completed);
		out_num("errors", stats.errors);
		out_row();
	}
	return 0;
}

/* Text of rte_dma_dump(); malloc'ed, NULL after a message. */
static char *
dump_text(int16_t id)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int ret;

	if (f == NULL) {
		shell_error(-ENOMEM, "out of memory");
		return NULL;
	}
	ret = rte_dma_dump(id, f);
	fclose(f);
	if (ret != 0) {
		shell_error(ret, "device %d does not dump: %s", id, strerror(-ret));
		free(text);
		return NULL;
	}
	return text;
}

static int
show_dump(const char *what, int16_t id)
{
	char *text = dump_text(id);

	if (text == NULL)
		return -EIO;
	out_begin(what);
	out_int("device", id);
	out_text("dump", text);
	out_list();
	free(text);
	return 0;
}

/* What the driver tells through telemetry; for one that does not, its dump holds it. */
int
cmd_show_registers(const struct args *a)
{
	static const char *const parts[] = { "registers", "ring" };
	const int16_t id = a->w[2].dev.id;
	char path[64], *json;
	unsigned int i;

	for (i = 0; i < RTE_DIM(parts); i++) {
		snprintf(path, sizeof(path), "/cbdma/%s,%d", parts[i], id);
		json = telemetry_query(path);
		if (json == NULL)
			return show_dump("registers", id);
		if (i == 0) {
			out_begin("registers");
			out_int("device", id);
		}
		out_json(parts[i], json);
		free(json);
	}
	out_list();
	return 0;
}

int
cmd_show_status(const struct args *a)
{
	static const char *const names[] = {
		[RTE_DMA_VCHAN_IDLE] = "idle",
		[RTE_DMA_VCHAN_ACTIVE] = "active",
		[RTE_DMA_VCHAN_HALTED_ERROR] = "halted-error",
	};
	enum rte_dma_vchan_status status;
	struct rte_dma_info info;
	struct shell_dev *d;
	uint16_t v;
	int16_t id;
	int ret;

	d = info_get(a, &id, &info);
	if (d == NULL)
		return -ENODEV;
	if (!d->started)
		return shell_error(-ENODEV, "device %d is not started: 'start device %d' first", id,
			id);
	for (v = 0; v < d->vchans; v++) {
		ret = rte_dma_vchan_status(id, v, &status);
		out_begin("status");
		out_int("device", id);
		out_num("vchan", v);
		out_str("status", "%s", ret != 0 ? strerror(-ret) :
			status < RTE_DIM(names) ? names[status] : "?");
		out_num("in_flight", d->vchan[v].in_flight);
		out_num("unsubmitted", d->vchan[v].pending);
		out_num("capacity", rte_dma_burst_capacity(id, v));
		out_row();
	}
	return 0;
}

/* Memory that DPDK has and what is left of it, by node. */
int
cmd_show_all_memory(const struct args *a __rte_unused)
{
	struct rte_malloc_socket_stats stats;
	unsigned int i;

	for (i = 0; i < rte_socket_count(); i++) {
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) != 0)
			continue;
		out_begin("memory");
		out_int("numa", rte_socket_id_by_idx(i));
		out_num("total", stats.heap_totalsz_bytes);
		out_num("free", stats.heap_freesz_bytes);
		out_num("largest_free", stats.greatest_free_size);
		out_str("iova", rte_eal_iova_mode() == RTE_IOVA_VA ? "virtual (VA)" :
			"physical (PA)");
		out_str("hugepages", rte_eal_has_hugepages() ? "yes" : "no");
		out_row();
	}
	return 0;
}

static int
print_segment(const struct rte_memseg_list *msl, const struct rte_memseg *ms, size_t len,
	void *arg)
{
	fprintf(arg, "  %p + 0x%zx, IOVA 0x%" PRIx64 ", pages of %zuK%s\n", ms->addr, len,
		ms->iova, (size_t)msl->page_sz / 1024, msl->external ? ", external" : "");
	return 0;
}

/* What a device can reach: DPDK's segments, and what its driver tells of its mappings. */
int
cmd_show_memory(const struct args *a)
{
	struct rte_dma_info info;
	char *text = NULL, *json;
	char path[64];
	size_t size;
	int16_t id;
	FILE *f;

	if (info_get(a, &id, &info) == NULL)
		return -ENODEV;
	f = open_memstream(&text, &size);
	if (f == NULL)
		return shell_error(-ENOMEM, "out of memory");
	rte_memseg_contig_walk(print_segment, f);
	fclose(f);
	snprintf(path, sizeof(path), "/cbdma/memory,%d", id);
	json = telemetry_query(path);
	out_begin("memory");
	out_int("device", id);
	out_int("numa", info.numa_node);
	out_str("iova", rte_eal_iova_mode() == RTE_IOVA_VA ? "virtual (VA)" : "physical (PA)");
	out_text("segments", text);
	if (json != NULL)
		out_json("mappings", json);
	out_list();
	free(json);
	free(text);
	return 0;
}

int
cmd_show_lcores(const struct args *a __rte_unused)
{
	unsigned int lcore;

	RTE_LCORE_FOREACH(lcore) {
		out_begin("lcores");
		out_num("lcore", lcore);
		out_num("cpu", rte_lcore_to_cpu_id(lcore));
		out_num("numa", rte_lcore_to_socket_id(lcore));
		out_str("role", lcore == rte_get_main_lcore() ? "shell" : "worker");
		out_row();
	}
	return 0;
}

static int
clear_one(int16_t id)
{
	struct shell_dev *d = device_get(id);
	int ret;

	if (d == NULL)
		return -ENODEV;
	ret = rte_dma_stats_reset(id, RTE_DMA_ALL_VCHAN);
	if (ret != 0)
		return shell_error(ret, "device %d does not clear its statistics: %s", id,
			strerror(-ret));
	memset(d->status_count, 0, sizeof(d->status_count));
	return 0;
}

int
cmd_clear_stats(const struct args *a)
{
	int16_t id;
	int ret = 0;

	if (a->optional != NULL)
		return clear_one(a->optional->dev.id);
	RTE_DMA_FOREACH_DEV(id)
		ret = ret != 0 ? ret : clear_one(id);
	return ret;
}

int
cmd_show_errors(const struct args *a __rte_unused)
{
	const struct shell_dev *d;
	char path[64], *json;
	unsigned int i;
	int16_t id;

	RTE_DMA_FOREACH_DEV(id) {
		d = device_get(id);
		if (d == NULL)
			continue;
		out_begin("errors");
		out_int("device", id);
		out_str("name", "%s", d->name);
		for (i = 0; i < STATUS_COUNTERS; i++)
			if (i == RTE_DMA_STATUS_SUCCESSFUL || d->status_count[i] > 0)
				out_num(status_name(i), d->status_count[i]);
		snprintf(path, sizeof(path), "/cbdma/errors,%d", id);
		json = telemetry_query(path);
		if (json != NULL)
			out_json("driver", json);
		out_line();
		free(json);
	}
	return 0;
}
