/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Devices: what the user set for each, and their life: start, stop, reset, close.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_dev.h>
#include <rte_string_fns.h>

#include "shell.h"

#define DEFAULT_RING 1024

static struct shell_dev devices[RTE_DMADEV_DEFAULT_MAX];

static const char *const status_names[] = {
	[RTE_DMA_STATUS_SUCCESSFUL] = "successful",
	[RTE_DMA_STATUS_USER_ABORT] = "user-abort",
	[RTE_DMA_STATUS_NOT_ATTEMPTED] = "not-attempted",
	[RTE_DMA_STATUS_INVALID_SRC_ADDR] = "invalid-src-addr",
	[RTE_DMA_STATUS_INVALID_DST_ADDR] = "invalid-dst-addr",
	[RTE_DMA_STATUS_INVALID_ADDR] = "invalid-addr",
	[RTE_DMA_STATUS_INVALID_LENGTH] = "invalid-length",
	[RTE_DMA_STATUS_INVALID_OPCODE] = "invalid-opcode",
	[RTE_DMA_STATUS_BUS_READ_ERROR] = "bus-read-error",
	[RTE_DMA_STATUS_BUS_WRITE_ERROR] = "bus-write-error",
	[RTE_DMA_STATUS_BUS_ERROR] = "bus-error",
	[RTE_DMA_STATUS_DATA_POISION] = "data-poison",
	[RTE_DMA_STATUS_DESCRIPTOR_READ_ERROR] = "descriptor-read-error",
	[RTE_DMA_STATUS_DEV_LINK_ERROR] = "dev-link-error",
	[RTE_DMA_STATUS_PAGE_FAULT] = "page-fault",
};

const char *
status_name(enum rte_dma_status_code status)
{
	return status < RTE_DIM(status_names) ? status_names[status] : "error-unknown";
}

const char *
device_state(const struct shell_dev *d)
{
	/* Dmadev tells a secondary process what a device can do, not whether the primary has started it. */
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return "primary's";
	return d->worker >= 0 ? "working" : d->started ? "started" : "stopped";
}

void
device_count_status(int16_t id, enum rte_dma_status_code status, uint64_t n)
{
	devices[id].status_count[RTE_MIN((unsigned int)status, STATUS_COUNTERS - 1u)] += n;
}

int16_t
device_first(void)
{
	return rte_dma_next_dev(0);
}

static void
device_forget_ops(struct shell_dev *d)
{
	uint16_t i;

	for (i = 0; d->vchan != NULL && i < d->vchans; i++)
		free(d->vchan[i].ops);
	free(d->vchan);
	d->vchan = NULL;
}

struct shell_dev *
device_get(int16_t id)
{
	struct rte_dma_info info;
	struct shell_dev *d;

	if (id < 0 || id >= RTE_DMADEV_DEFAULT_MAX || !rte_dma_is_valid(id)) {
		shell_error(-ENODEV, "there is no device %d", id);
		return NULL;
	}
	d = &devices[id];
	if (rte_dma_info_get(id, &info) != 0) {
		shell_error(-EIO, "device %d does not tell what it is", id);
		return NULL;
	}
	/* A number is given again to the next device after a close or a detach. */
	if (strncmp(d->name, info.dev_name, sizeof(d->name) - 1) != 0) {
		device_forget_ops(d);
		*d = (struct shell_dev){
			.ring = RTE_MIN(RTE_MAX(DEFAULT_RING, info.min_desc), info.max_desc),
			.vchans = 1,
			.direction = RTE_DMA_DIR_MEM_TO_MEM,
			.worker = -1,
		};
		strlcpy(d->name, info.dev_name, sizeof(d->name));
	}
	return d;
}

static int
device_idle(int16_t id, const struct shell_dev *d)
{
	if (d->worker >= 0)
		return shell_error(-EBUSY,
			"device %d is worked on by lcore %d: 'stop workers' first", id, d->worker);
	return 0;
}

struct shell_dev *
device_ready(int16_t id, uint16_t vchan)
{
	struct shell_dev *d = device_get(id);

	if (d == NULL)
		return NULL;
	if (!d->started) {
		shell_error(-ENODEV, "device %d is not started: 'start device %d' first", id, id);
		return NULL;
	}
	if (vchan >= d->vchans) {
		shell_error(-EINVAL, "device %d has %u vchans, there is no %u", id, d->vchans,
			vchan);
		return NULL;
	}
	if (device_idle(id, d) != 0)
		return NULL;
	shell.last_dev = id;
	return d;
}

static int
device_apply(int16_t id, struct shell_dev *d)
{
	struct rte_dma_conf conf = { .nb_vchans = d->vchans };
	struct rte_dma_vchan_conf vconf = { .direction = d->direction, .nb_desc = d->ring };
	uint16_t v;
	int ret;

#ifdef RTE_DMA_CFG_FLAG_SILENT
	conf.flags = d->silent ? RTE_DMA_CFG_FLAG_SILENT : 0;
#else
	conf.enable_silent = d->silent;
#endif
	ret = rte_dma_configure(id, &conf);
	if (ret != 0)
		return shell_error(ret, "device %d refuses %u vchans%s: %s", id, d->vchans,
			d->silent ? " in silent mode" : "", strerror(-ret));
	for (v = 0; v < d->vchans; v++) {
		ret = rte_dma_vchan_setup(id, v, &vconf);
		if (ret != 0)
			return shell_error(ret, "device %d refuses vchan %u with a ring of %u: %s",
				id, v, d->ring, strerror(-ret));
	}
	ret = rte_dma_start(id);
	if (ret != 0)
		return shell_error(ret, "device %d does not start: %s", id, strerror(-ret));
	return 0;
}

int
device_start(int16_t id)
{
	struct shell_dev *d = device_get(id);
	uint32_t records;
	uint16_t v;
	int ret;

	if (d == NULL)
		return -ENODEV;
	if (d->started)
		return shell_error(-EALREADY, "device %d is started already", id);

	d->vchan = calloc(d->vchans, sizeof(*d->vchan));
	/* Drivers may take more operations than the ring has descriptors, up to the next power
	 * of two; twice that many records never hold two operations in flight.
	 */
	records = RTE_MIN(rte_align32pow2(d->ring) * 2, UINT16_MAX + 1u);
	for (v = 0; d->vchan != NULL && v < d->vchans; v++) {
		d->vchan[v].mask = records - 1;
		d->vchan[v].ops = calloc(records, sizeof(struct op_record));
		if (d->vchan[v].ops == NULL)
			break;
	}
	ret = d->vchan == NULL || v < d->vchans ? shell_error(-ENOMEM, "out of memory") :
		device_apply(id, d);
	if (ret != 0) {
		device_forget_ops(d);
		return ret;
	}
	memset(d->status_count, 0, sizeof(d->status_count));
	d->started = true;
	shell.last_dev = id;
	return 0;
}

int
device_stop(int16_t id)
{
	struct shell_dev *d = device_get(id);
	int ret;

	if (d == NULL)
		return -ENODEV;
	if (!d->started)
		return 0;
	ret = device_idle(id, d);
	if (ret != 0)
		return ret;
	ret = rte_dma_stop(id);
	if (ret != 0)
		return shell_error(ret, "device %d does not stop: %s", id, strerror(-ret));
	d->started = false;
	device_forget_ops(d);
	return 0;
}

int
device_restart(int16_t id, uint16_t ring)
{
	struct shell_dev *d = device_get(id);
	int ret;

	if (d == NULL)
		return -ENODEV;
	ret = device_stop(id);
	if (ret != 0)
		return ret;
	d->ring = ring;
	return device_start(id);
}

static int
device_close(int16_t id)
{
	int ret = device_stop(id);

	if (ret != 0)
		return ret;
	ret = rte_dma_close(id);
	if (ret != 0)
		return shell_error(ret, "device %d does not close: %s", id, strerror(-ret));
	devices[id].name[0] = '\0';
	return 0;
}

void
devices_fini(void)
{
	int16_t id;

	/* A secondary process only looks at devices: they are the primary's. */
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return;
	for (id = 0; id < RTE_DMADEV_DEFAULT_MAX; id++)
		if (rte_dma_is_valid(id)) {
			if (device_close(id) != 0)
				shell_note("device %d is left as it is", id);
		}
}

struct rte_device *
bus_find(const char *name)
{
	static const char *const buses[] = { "bus=vdev", "bus=pci" };
	struct rte_dev_iterator it;
	struct rte_device *dev, *found = NULL;
	unsigned int i;

	/* Walked to the end: the iterator frees what it holds only there. */
	for (i = 0; i < RTE_DIM(buses); i++)
		RTE_DEV_FOREACH(dev, buses[i], &it)
			if (strcmp(rte_dev_name(dev), name) == 0)
				found = dev;
	return found;
}

struct rte_device *
device_bus(int16_t id)
{
	struct rte_dma_info info;

	return rte_dma_info_get(id, &info) != 0 ? NULL : bus_find(info.dev_name);
}

/* Configuration can change only while a device is stopped. */
static struct shell_dev *
device_settable(int16_t id, struct rte_dma_info *info)
{
	struct shell_dev *d = device_get(id);

	if (d == NULL || rte_dma_info_get(id, info) != 0)
		return NULL;
	if (d->started) {
		shell_error(-EBUSY, "device %d is started: 'stop device %d' first", id, id);
		return NULL;
	}
	return d;
}

int
cmd_set_ring(const struct args *a)
{
	struct rte_dma_info info;
	struct shell_dev *d = device_settable(a->w[2].dev.id, &info);

	if (d == NULL)
		return -EINVAL;
	if (a->w[4].num < info.min_desc || a->w[4].num > info.max_desc)
		return shell_error(-ERANGE, "bad word '%" PRIu64 "': expected a ring of %u to %u",
			a->w[4].num, info.min_desc, info.max_desc);
	d->ring = a->w[4].num;
	return 0;
}

int
cmd_set_vchans(const struct args *a)
{
	struct rte_dma_info info;
	struct shell_dev *d = device_settable(a->w[2].dev.id, &info);

	if (d == NULL)
		return -EINVAL;
	if (a->w[4].num < 1 || a->w[4].num > info.max_vchans)
		return shell_error(-ERANGE, "bad word '%" PRIu64 "': expected 1 to %u vchans",
			a->w[4].num, info.max_vchans);
	d->vchans = a->w[4].num;
	return 0;
}

int
cmd_set_direction(const struct args *a)
{
	static const struct {
		const char *name;
		enum rte_dma_direction direction;
		uint64_t capa;
	} directions[] = {
		{ "mem-to-mem", RTE_DMA_DIR_MEM_TO_MEM, RTE_DMA_CAPA_MEM_TO_MEM },
		{ "mem-to-dev", RTE_DMA_DIR_MEM_TO_DEV, RTE_DMA_CAPA_MEM_TO_DEV },
		{ "dev-to-mem", RTE_DMA_DIR_DEV_TO_MEM, RTE_DMA_CAPA_DEV_TO_MEM },
		{ "dev-to-dev", RTE_DMA_DIR_DEV_TO_DEV, RTE_DMA_CAPA_DEV_TO_DEV },
	};
	struct rte_dma_info info;
	struct shell_dev *d = device_settable(a->w[2].dev.id, &info);
	unsigned int i;

	if (d == NULL)
		return -EINVAL;
	for (i = 0; strcmp(directions[i].name, a->w[4].str) != 0; i++)
		;
	if ((info.dev_capa & directions[i].capa) == 0)
		return shell_error(-ENOTSUP, "device %d cannot transfer %s", a->w[2].dev.id,
			a->w[4].str);
	d->direction = directions[i].direction;
	return 0;
}

int
cmd_set_silent(const struct args *a)
{
	struct rte_dma_info info;
	struct shell_dev *d = device_settable(a->w[2].dev.id, &info);
	bool on = strcmp(a->w[4].str, "on") == 0;

	if (d == NULL)
		return -EINVAL;
	if (on && (info.dev_capa & RTE_DMA_CAPA_SILENT) == 0)
		return shell_error(-ENOTSUP, "device %d has no silent mode", a->w[2].dev.id);
	d->silent = on;
	return 0;
}

static void
show_changed(const char *what, int16_t id)
{
	out_begin(what);
	out_int("device", id);
	out_str("name", "%s", devices[id].name);
	out_num("ring", devices[id].ring);
	out_num("vchans", devices[id].vchans);
	out_line();
}

int
cmd_start_device(const struct args *a)
{
	int ret = device_start(a->w[2].dev.id);

	if (ret == 0)
		show_changed("started", a->w[2].dev.id);
	return ret;
}

int
cmd_stop_device(const struct args *a)
{
	int16_t id = a->w[2].dev.id;
	struct shell_dev *d = device_get(id);
	int ret;

	if (d == NULL)
		return -ENODEV;
	if (!d->started)
		return shell_error(-EALREADY, "device %d is not started", id);
	ret = device_stop(id);
	if (ret == 0)
		show_changed("stopped", id);
	return ret;
}

int
cmd_reset_device(const struct args *a)
{
	int16_t id = a->w[2].dev.id;
	struct shell_dev *d = device_get(id);
	int ret;

	if (d == NULL)
		return -ENODEV;
	ret = device_restart(id, d->ring);
	if (ret == 0)
		show_changed("reset", id);
	return ret;
}

int
cmd_close_device(const struct args *a)
{
	char name[sizeof(devices[0].name)];
	int16_t id = a->w[2].dev.id;
	struct shell_dev *d = device_get(id);
	int ret;

	if (d == NULL)
		return -ENODEV;
	strlcpy(name, d->name, sizeof(name));
	ret = device_close(id);
	if (ret != 0)
		return ret;
	out_begin("closed");
	out_str("name", "%s", name);
	out_line();
	return 0;
}
