/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* `--vdev=dma_cbdma0,...`: its arguments, and which way to the device they name. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include "cbdma_glue.h"

struct vdev_args {
	struct cbdma_model_conf model;
	struct cbdma_args driver;
	bool has_model; /* one of those that are about the embedded model was given */
	char *socket;	/* serves the device; NULL: it is the embedded model */
};

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

static int
parse_iommu(const char *value, bool *sva)
{
	*sva = strcmp(value, "off") == 0;
	if (*sva)
		return rte_eal_iova_mode() == RTE_IOVA_VA ? 0 : -EINVAL;
	return strcmp(value, "on") == 0 ? 0 : -EINVAL;
}

/* @return NULL, or what the argument takes. */
static const char *
parse_arg(const char *key, const char *value, struct vdev_args *args)
{
	const char *error = NULL;
	long number = 0;
	int ret = cbdma_parse_arg(key, value, &args->driver);

	if (ret != -ENOENT)
		return ret == 0 ? NULL : CBDMA_ARGS_USAGE;
	if (strcmp(key, "cpu") == 0) {
		if (parse_number(value, 0, INT32_MAX, &number) != 0)
			return "a CPU number";
		args->model.cpu = number;
	} else if (strcmp(key, "version") == 0) {
		if (parse_version(value, &args->model.device.version) != 0)
			return "3.0 to 3.4";
	} else if (strcmp(key, "xfercap") == 0) {
		if (parse_number(value, CBDMA_XFERCAP_MIN, 31, &number) != 0)
			return "the logarithm of a number of bytes, 12 (4 KB) to 31 (2 GB)";
		args->model.device.xfercap = number;
	} else if (strcmp(key, "channels") == 0) {
		if (parse_number(value, 1, DM_CBDMA_MAX_CHANNELS, &number) != 0)
			return "1 to " RTE_STR(DM_CBDMA_MAX_CHANNELS);
		args->model.device.channels = number;
	} else if (strcmp(key, "idle") == 0) {
		if (parse_idle(value, &args->model.idle) != 0)
			return "spin, yield or sleep";
	} else if (strcmp(key, "inject") == 0) {
		if (dm_cbdma_fault_parse(value, &args->model.fault, &error) != 0)
			return error;
	} else if (strcmp(key, "step") == 0) {
		if (parse_number(value, 0, 1, &number) != 0)
			return "0 or 1";
		args->model.step = number;
	} else if (strcmp(key, "iommu") == 0) {
		if (parse_iommu(value, &args->model.sva) != 0)
			return "on, or off where IOVAs are addresses (--iova-mode=va)";
	} else if (strcmp(key, "socket") == 0) {
		if (value[0] == '\0' || args->socket != NULL)
			return "the path of a socket, once";
		args->socket = strdup(value);
		return args->socket == NULL ? "more memory than there is" : NULL;
	} else {
		return "nothing: there is no such argument. There are cpu, version, xfercap, channels,"
		       " idle, inject, step, iommu, silent, errors and socket";
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
		CBDMA_LOG(ERR, name, "arguments \"%s\": with socket= only silent= and errors= are the driver's,"
			" the others are the server's", text);
		return -EINVAL;
	}
	return 0;
}

/* Memory that the application maps */

static int
cbdma_vdev_dma_map(struct rte_vdev_device *device, void *addr, uint64_t iova, size_t len)
{
	struct cbdma_port *port = cbdma_port_get(rte_vdev_device_name(device));
	int ret = -ENODEV;

	if (port != NULL && cbdma_model_is(&port->bus))
		ret = cbdma_model_dma_map(&port->bus, addr, iova, len);
	else if (port != NULL && cbdma_socket_is(&port->bus))
		ret = cbdma_socket_dma_map(&port->bus, addr);
	if (port != NULL)
		cbdma_port_put(port);
	rte_errno = -ret;
	return ret;
}

static int
cbdma_vdev_dma_unmap(struct rte_vdev_device *device, void *addr __rte_unused, uint64_t iova,
		size_t len)
{
	struct cbdma_port *port = cbdma_port_get(rte_vdev_device_name(device));
	int ret = -ENODEV;

	if (port != NULL && cbdma_model_is(&port->bus))
		ret = cbdma_model_dma_unmap(&port->bus, iova, len);
	if (port != NULL)
		cbdma_port_put(port);
	rte_errno = -ret;
	return ret;
}

/* Probe */

static int
cbdma_vdev_probe(struct rte_vdev_device *device)
{
	const char *name = rte_vdev_device_name(device);
	struct vdev_args args = {.model = {.cpu = DM_CPU_ANY, .idle = DM_IDLE_SLEEP,
		.sva = rte_eal_iova_mode() == RTE_IOVA_VA}};
	uint16_t *doorbell = NULL;
	struct cbdma_bus bus;
	int ret;

	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		ret = parse_args(name, rte_vdev_device_args(device), &args);
		if (ret == 0 && args.socket != NULL)
			ret = cbdma_socket_create(name, args.socket, &bus, &doorbell);
		else if (ret == 0)
			ret = cbdma_model_create(name, device->device.numa_node, &args.model, &bus,
				&doorbell);
		free(args.socket);
		if (ret != 0)
			return ret;
		cbdma_mp_serve(name);
	} else {
		cbdma_mp_attach(device, &bus);
	}
	return cbdma_create(name, &device->device, &bus, (__rte_atomic uint16_t *)doorbell,
		&args.driver);
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
	"inject=<fault> step=0|1 iommu=on|off " CBDMA_ARGS_USAGE " socket=<path>");
