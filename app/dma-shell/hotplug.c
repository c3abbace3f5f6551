/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Devices and drivers that come and go: attach, detach, load driver.
 */

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_string_fns.h>

#include "shell.h"

/* A device that was closed is on its bus still: it has to leave before it can come again. */
static int
remove_closed(const char *devargs)
{
	char name[RTE_DEV_NAME_MAX_LEN];
	struct rte_device *dev;

	strlcpy(name, devargs, sizeof(name));
	name[strcspn(name, ",")] = '\0';
	if (rte_dma_get_dev_id_by_name(name) >= 0)
		return shell_error(-EEXIST, "device %s is attached already", name);
	dev = bus_find(name);
	if (dev != NULL && rte_dev_remove(dev) != 0)
		return shell_error(-EBUSY, "%s was closed, and its driver does not let it leave the "
			"bus: it cannot come again", name);
	return 0;
}

int
cmd_attach(const struct args *a)
{
	bool was[RTE_DMADEV_DEFAULT_MAX];
	uint16_t before;
	int16_t id;
	int ret;

	ret = remove_closed(a->w[1].str);
	if (ret != 0)
		return ret;
	before = rte_dma_count_avail();
	for (id = 0; id < RTE_DMADEV_DEFAULT_MAX; id++)
		was[id] = rte_dma_is_valid(id);
	ret = rte_dev_probe(a->w[1].str);
	if (ret != 0)
		return shell_error(ret,
			"cannot attach '%s': no driver that is loaded takes it, or it refuses: see "
			"above; expected a vdev (dma_skeleton1,lcore=2) or a PCI address; 'load driver "
			"FILE' loads a driver", a->w[1].str);
	if (rte_dma_count_avail() == before)
		return shell_error(-ENODEV, "'%s' is attached, but is no DMA device", a->w[1].str);
	for (id = 0; id < RTE_DMADEV_DEFAULT_MAX; id++) {
		if (was[id] || !rte_dma_is_valid(id) || device_get(id) == NULL)
			continue;
		buffers_map_device(id);
		out_begin("attached");
		out_int("device", id);
		out_str("name", "%s", device_get(id)->name);
		out_line();
	}
	return 0;
}

int
cmd_load_driver(const struct args *a)
{
	char path[PATH_MAX];
	/* dlopen() would look for a name without a '/' among the system's libraries only. */
	const char *file = realpath(a->w[2].str, path) != NULL ? path : a->w[2].str;

	/* Its constructors register it, as they do for EAL's -d. */
	if (dlopen(file, RTLD_NOW) == NULL)
		return shell_error(-EINVAL, "cannot load '%s': %s", a->w[2].str, dlerror());
	return 0;
}

int
cmd_detach(const struct args *a)
{
	int16_t id = a->w[1].dev.id;
	struct shell_dev *d = device_get(id);
	char name[sizeof(d->name)];
	struct rte_device *dev;
	int ret;

	if (d == NULL)
		return -ENODEV;
	dev = device_bus(id);
	if (dev == NULL)
		return shell_error(-ENOTSUP, "device %d (%s) is on no bus that it could leave", id,
			d->name);
	ret = device_stop(id);
	if (ret != 0)
		return ret;
	strlcpy(name, d->name, sizeof(name));
	ret = rte_dev_remove(dev);
	if (ret != 0)
		return shell_error(ret, "cannot detach %s: %s", name, strerror(-ret));
	d->name[0] = '\0';
	out_begin("detached");
	out_str("name", "%s", name);
	out_line();
	return 0;
}
