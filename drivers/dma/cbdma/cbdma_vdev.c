/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_string_fns.h>

#include "cbdma_internal.h"
#include "cbdma_socket.h"
#include "rte_pmd_cbdma.h"

#include <dm_cbdma.h>
#include <dm_engine.h>

/* What `--vdev=dma_cbdma0,...` says. */
struct vdev_args {
	struct dm_cbdma_config model;
	struct dm_cbdma_fault fault;
	enum dm_idle idle;
	int cpu;
	bool step;
	bool has_silent;
	bool has_model; /* one of those that are about the embedded model was given */
	char *socket;	/* serves the device; NULL: it is the embedded model */
};

/* A model behind a device, in the process that made it. */
struct cbdma_vdev {
	struct dm_device *model;
	struct dm_engine *engine; /* NULL in step mode */
	uint16_t *doorbell;
	char name[RTE_DEV_NAME_MAX_LEN];
};

/* Registers: in the primary process a call into the model, in a secondary one a message to the
 * primary.
 */

#define MP_REGISTER "cbdma_register"

struct register_request {
	char name[RTE_DEV_NAME_MAX_LEN];
	uint64_t value;
	uint32_t offset;
	uint8_t width;
	bool is_write;
};

static uint64_t
model_read(void *opaque, uint32_t offset, unsigned int width)
{
	const struct cbdma_vdev *vdev = opaque;

	return dm_device_read(vdev->model, offset, width);
}

static void
model_write(void *opaque, uint32_t offset, unsigned int width, uint64_t value)
{
	const struct cbdma_vdev *vdev = opaque;

	dm_device_write(vdev->model, offset, width, value);
}

static const struct cbdma_bus *
find_bus(int16_t dev_id)
{
	const struct cbdma_dev *dev = cbdma_find(dev_id);

	return dev == NULL ? NULL : cbdma_bus_of(dev);
}

static struct cbdma_vdev *
find_vdev(int16_t dev_id)
{
	const struct cbdma_bus *bus = find_bus(dev_id);

	return bus != NULL && bus->read == model_read ? bus->opaque : NULL;
}

/* Serve a register access of a secondary process. */
static int
mp_serve(const struct rte_mp_msg *msg, const void *peer)
{
	struct rte_mp_msg reply = {.len_param = sizeof(uint64_t)};
	struct register_request req;
	const struct cbdma_bus *bus;
	uint64_t value = UINT64_MAX;

	if (msg->len_param != sizeof(req))
		return -1;
	memcpy(&req, msg->param, sizeof(req)); /* it is not aligned there */
	bus = find_bus(rte_dma_get_dev_id_by_name(req.name));
	if (bus != NULL && req.is_write)
		bus->write(bus->opaque, req.offset, req.width, req.value);
	else if (bus != NULL)
		value = bus->read(bus->opaque, req.offset, req.width);
	rte_strscpy(reply.name, msg->name, sizeof(reply.name));
	memcpy(reply.param, &value, sizeof(value));
	return rte_mp_reply(&reply, peer);
}

/* All ones, as of a device that is gone, when the primary does not answer. */
static uint64_t
mp_request(const char *name, uint32_t offset, unsigned int width, bool is_write, uint64_t value)
{
	const struct timespec timeout = {.tv_sec = 1};
	struct register_request req = {
		.value = value, .offset = offset, .width = width, .is_write = is_write};
	struct rte_mp_msg msg = {.name = MP_REGISTER, .len_param = sizeof(req)};
	struct rte_mp_reply reply;
	uint64_t result = UINT64_MAX;

	rte_strscpy(req.name, name, sizeof(req.name));
	memcpy(msg.param, &req, sizeof(req));
	if (rte_mp_request_sync(&msg, &reply, &timeout) != 0)
		return result;
	if (reply.nb_received == 1)
		memcpy(&result, reply.msgs[0].param, sizeof(result));
	free(reply.msgs);
	return result;
}

static uint64_t
mp_read(void *opaque, uint32_t offset, unsigned int width)
{
	const struct rte_vdev_device *vdev = opaque;

	return mp_request(rte_vdev_device_name(vdev), offset, width, false, 0);
}

static void
mp_write(void *opaque, uint32_t offset, unsigned int width, uint64_t value)
{
	const struct rte_vdev_device *vdev = opaque;

	mp_request(rte_vdev_device_name(vdev), offset, width, true, value);
}

/* Memory: the model reaches what DPDK owns, as it comes and goes, and what the application maps
 * with rte_dev_dma_map().
 */

static int
map(struct cbdma_vdev *vdev, uint64_t iova, void *addr, size_t len)
{
	int ret;

	if (iova == RTE_BAD_IOVA)
		return 0;
	ret = dm_device_map(vdev->model, iova, len, addr, DM_READ | DM_WRITE);
	if (ret != 0)
		CBDMA_LOG(ERR, vdev->name, "cannot map %zu bytes at %p: %s", len, addr,
			rte_strerror(-ret));
	return ret;
}

/* Map or unmap memory of DPDK's own: in one piece where IOVAs are virtual addresses, else page by
 * page, as these lie anywhere in physical memory.
 */
static int
map_pages(struct cbdma_vdev *vdev, const struct rte_memseg_list *msl, void *addr, size_t len,
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
			ret = map(vdev, seg->iova, RTE_PTR_ADD(addr, done), step);
		else
			ret = dm_device_unmap(vdev->model, seg->iova, step);
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
map_memory(struct cbdma_vdev *vdev)
{
	int ret;

	/* Memory that comes between the two is an error, not a miss: nothing else runs at probe. */
	ret = rte_memseg_contig_walk(map_existing, vdev);
	if (ret != 0)
		return ret;
	ret = rte_mem_event_callback_register(vdev->name, memory_event, vdev);
	/* Memory that does not change (--legacy-mem, --no-huge) has no events. */
	return ret != 0 && rte_errno != ENOTSUP ? -rte_errno : 0;
}

static int
cbdma_vdev_dma_map(struct rte_vdev_device *device, void *addr, uint64_t iova, size_t len)
{
	int16_t dev_id = rte_dma_get_dev_id_by_name(rte_vdev_device_name(device));
	const struct cbdma_bus *bus = find_bus(dev_id);
	struct cbdma_vdev *vdev = find_vdev(dev_id);
	int ret = vdev == NULL ? -ENODEV : map(vdev, iova, addr, len);

	if (bus != NULL && cbdma_socket_is(bus))
		ret = cbdma_socket_dma_map(bus, addr);
	rte_errno = -ret;
	return ret;
}

static int
cbdma_vdev_dma_unmap(struct rte_vdev_device *device, void *addr __rte_unused, uint64_t iova,
		size_t len)
{
	struct cbdma_vdev *vdev =
			find_vdev(rte_dma_get_dev_id_by_name(rte_vdev_device_name(device)));
	int ret = vdev == NULL ? -ENODEV : dm_device_unmap(vdev->model, iova, len);

	rte_errno = -ret;
	return ret;
}

/* Arguments */

static int
parse_number(const char *value, long min, long max, long *number)
{
	char *end;

	errno = 0;
	*number = strtol(value, &end, 0);
	return errno != 0 || end == value || *end != '\0' || *number < min || *number > max ?
		-EINVAL : 0;
}

static int
parse_idle(const char *value, enum dm_idle *idle)
{
	static const char *const name[] = {
		[DM_IDLE_SPIN] = "spin", [DM_IDLE_YIELD] = "yield", [DM_IDLE_SLEEP] = "sleep"};
	unsigned int i;

	for (i = 0; i < RTE_DIM(name); i++) {
		if (strcmp(value, name[i]) == 0) {
			*idle = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int
parse_version(const char *value, uint8_t *version)
{
	unsigned int minor;
	char rest;

	if (sscanf(value, "3.%1u%c", &minor, &rest) != 1 || minor > (CBDMA_VER_3_4 & 0xf))
		return -EINVAL;
	*version = CBDMA_VER_3_0 | minor;
	return 0;
}

/* @return NULL, or what the argument takes. */
static const char *
parse_arg(const char *key, const char *value, struct vdev_args *args)
{
	const char *error = NULL;
	long number = 0;

	if (strcmp(key, "cpu") == 0) {
		if (parse_number(value, 0, INT32_MAX, &number) != 0)
			return "a CPU number";
		args->cpu = number;
	} else if (strcmp(key, "version") == 0) {
		if (parse_version(value, &args->model.version) != 0)
			return "3.0 to 3.4";
	} else if (strcmp(key, "xfercap") == 0) {
		if (parse_number(value, CBDMA_XFERCAP_MIN, 31, &number) != 0)
			return "the logarithm of a number of bytes, 12 (4 KB) to 31 (2 GB)";
		args->model.xfercap = number;
	} else if (strcmp(key, "channels") == 0) {
		if (parse_number(value, 1, DM_CBDMA_MAX_CHANNELS, &number) != 0)
			return "1 to " RTE_STR(DM_CBDMA_MAX_CHANNELS);
		args->model.channels = number;
	} else if (strcmp(key, "idle") == 0) {
		if (parse_idle(value, &args->idle) != 0)
			return "spin, yield or sleep";
	} else if (strcmp(key, "inject") == 0) {
		if (dm_cbdma_fault_parse(value, &args->fault, &error) != 0)
			return error;
	} else if (strcmp(key, "step") == 0) {
		if (parse_number(value, 0, 1, &number) != 0)
			return "0 or 1";
		args->step = number;
	} else if (strcmp(key, CBDMA_ARG_SILENT) == 0) {
		if (parse_number(value, 0, 1, &number) != 0)
			return "0 or 1";
		args->has_silent = number;
		return NULL;
	} else if (strcmp(key, "socket") == 0) {
		if (value[0] == '\0' || args->socket != NULL)
			return "the path of a socket, once";
		args->socket = strdup(value);
		return args->socket == NULL ? "more memory than there is" : NULL;
	} else {
		return "nothing: there is no such argument. There are cpu, version, xfercap, channels,"
		       " idle, inject, step, silent and socket";
	}
	args->has_model = true;
	return NULL;
}

/* Not with rte_kvargs: a fault has '=' in it, which that takes for another key. */
static int
parse_args(const char *name, const char *text, struct vdev_args *args)
{
	char *copy, *key, *value, *rest = NULL;
	const char *takes = NULL;

	if (text == NULL)
		return 0;
	copy = strdup(text);
	if (copy == NULL)
		return -ENOMEM;
	for (key = strtok_r(copy, ",", &rest); key != NULL && takes == NULL;
			key = strtok_r(NULL, ",", &rest)) {
		value = strchr(key, '=');
		if (value != NULL)
			*value++ = '\0';
		else
			value = key + strlen(key);
		takes = parse_arg(key, value, args);
		if (takes != NULL)
			CBDMA_LOG(ERR, name, "argument %s=%s: takes %s", key, value, takes);
	}
	free(copy);
	if (takes != NULL)
		return -EINVAL;
	if (args->socket != NULL && args->has_model) {
		CBDMA_LOG(ERR, name, "arguments \"%s\": with socket= only silent= is the driver's, the"
			" others are the server's", text);
		return -EINVAL;
	}
	return 0;
}

/* Probe */

static void
vdev_destroy(void *opaque)
{
	struct cbdma_vdev *vdev = opaque;

	rte_mem_event_callback_unregister(vdev->name, vdev);
	if (vdev->engine != NULL) {
		dm_engine_detach(vdev->engine, vdev->model);
		dm_engine_put(vdev->engine);
	}
	if (vdev->model != NULL)
		dm_device_destroy(vdev->model);
	rte_free(vdev->doorbell);
	free(vdev);
}

static struct cbdma_vdev *
vdev_create(const char *name, int numa_node, struct vdev_args *args)
{
	struct cbdma_vdev *vdev = calloc(1, sizeof(*vdev));
	const char *error = "no memory";
	int ret = -ENOMEM;

	if (vdev == NULL)
		goto fail;
	rte_strscpy(vdev->name, name, sizeof(vdev->name));
	/* In memory that secondary processes share, so that they can ring it. */
	vdev->doorbell = rte_zmalloc_socket("cbdma_doorbell", RTE_CACHE_LINE_SIZE,
			RTE_CACHE_LINE_SIZE, numa_node);
	if (vdev->doorbell == NULL)
		goto fail;
	args->model.doorbell[0] = vdev->doorbell;
	vdev->model = dm_cbdma_create(&args->model, &error);
	if (vdev->model == NULL)
		goto fail;
	error = "its memory cannot be mapped";
	ret = map_memory(vdev);
	if (ret != 0)
		goto fail;
	dm_cbdma_inject(vdev->model, 0, &args->fault);
	if (!args->step) {
		error = "no engine on that CPU";
		ret = dm_engine_get(args->cpu, args->idle, &vdev->engine);
		if (ret != 0)
			goto fail;
		error = "no engine";
		ret = dm_engine_attach(vdev->engine, vdev->model);
		if (ret != 0)
			goto fail;
	}
	return vdev;

fail:
	CBDMA_LOG(ERR, name, "no device model: %s: %s", error, rte_strerror(-ret));
	if (vdev != NULL)
		vdev_destroy(vdev);
	rte_errno = -ret;
	return NULL;
}

/* The way to the device: the model in this process, or a socket. */
static int
bus_create(const char *name, int numa_node, struct vdev_args *args, struct cbdma_bus *bus,
		uint16_t **doorbell)
{
	struct cbdma_vdev *vdev;

	if (args->socket != NULL)
		return cbdma_socket_create(name, args->socket, bus, doorbell);
	vdev = vdev_create(name, numa_node, args);
	if (vdev == NULL)
		return -rte_errno;
	*bus = (struct cbdma_bus){.read = model_read, .write = model_write,
		.destroy = vdev_destroy, .opaque = vdev};
	*doorbell = vdev->doorbell;
	return 0;
}

static int
cbdma_vdev_probe(struct rte_vdev_device *device)
{
	const char *name = rte_vdev_device_name(device);
	struct cbdma_bus bus = {.read = mp_read, .write = mp_write, .opaque = device};
	struct vdev_args args = {.cpu = DM_CPU_ANY, .idle = DM_IDLE_SLEEP,
		.has_silent = true};
	uint16_t *doorbell = NULL;
	int ret;

	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		ret = parse_args(name, rte_vdev_device_args(device), &args);
		if (ret == 0)
			ret = bus_create(name, device->device.numa_node, &args, &bus, &doorbell);
		free(args.socket);
		if (ret != 0)
			return ret;
		/* Once a process; without secondary processes (--in-memory) there is no such thing. */
		if (rte_mp_action_register(MP_REGISTER, mp_serve) != 0 && rte_errno != EEXIST &&
				rte_errno != ENOTSUP)
			CBDMA_LOG(WARNING, name, "secondary processes cannot reach its registers: %s",
				rte_strerror(rte_errno));
	}
	return cbdma_create(name, &device->device, &bus, doorbell, args.has_silent);
}

static int
cbdma_vdev_remove(struct rte_vdev_device *device)
{
	return cbdma_remove(rte_vdev_device_name(device));
}

static struct rte_vdev_driver cbdma_vdev_driver = {
	.probe = cbdma_vdev_probe,
	.remove = cbdma_vdev_remove,
	.dma_map = cbdma_vdev_dma_map,
	.dma_unmap = cbdma_vdev_dma_unmap,
};

RTE_PMD_REGISTER_VDEV(dma_cbdma, cbdma_vdev_driver);
RTE_PMD_REGISTER_PARAM_STRING(dma_cbdma,
	"cpu=<cpu> version=3.<0-4> xfercap=<12-31> channels=<1-4> idle=spin|yield|sleep "
	"inject=<fault> step=0|1 silent=0|1 socket=<path>");

/* The model in the application's hands (rte_pmd_cbdma.h) */

__attribute__((visibility("default"))) int
rte_pmd_cbdma_inject(int16_t dev_id, const char *text)
{
	struct cbdma_vdev *vdev = find_vdev(dev_id);
	struct dm_cbdma_fault fault;
	const char *error;

	if (vdev == NULL)
		return -ENODEV;
	if (text == NULL || dm_cbdma_fault_parse(text, &fault, &error) != 0) {
		CBDMA_LOG(ERR, vdev->name, "fault \"%s\": takes %s", text == NULL ? "" : text,
			text == NULL ? "a text" : error);
		return -EINVAL;
	}
	return dm_cbdma_inject(vdev->model, 0, &fault);
}

__attribute__((visibility("default"))) int
rte_pmd_cbdma_step(int16_t dev_id, unsigned int max)
{
	struct cbdma_vdev *vdev = find_vdev(dev_id);

	return vdev == NULL ? -ENODEV : (int)dm_device_run(vdev->model, RTE_MIN(max, (unsigned int)INT32_MAX));
}
