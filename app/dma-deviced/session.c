/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* A client's process: a device, the thread that runs it, and the server between device and client.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deviced.h"
#include "device_args.h"
#include "dm_guard.h"
#include "vfiou_server.h"

static struct dm_device *
make_device(struct function *function)
{
	struct dm_device *dev;
	char error[256];
	unsigned int i;

	dev = device_create(function->device, error, sizeof(error));
	for (i = 0; dev != NULL && i < function->faults; i++) {
		if (device_inject(dev, function->fault[i], error, sizeof(error)) != 0) {
			dm_device_destroy(dev);
			dev = NULL;
		}
	}
	if (dev == NULL)
		function_log(function, error);
	return dev;
}

static int
serve(struct function *function, const struct options *options, struct dm_device *dev, int fd)
{
	const struct vfiou_server_config config = {
		.dev = dev,
		.max_memory = options->max_memory,
		.verbose = options->verbose,
		.log = function_log,
		.opaque = function,
	};
	struct vfiou_server *server;
	const char *what;
	int ret;

	ret = vfiou_server_create(&config, fd, &server);
	if (ret != 0)
		return ret;
	ret = sandbox_seal(&what);
	if (ret == 0)
		vfiou_server_run(server);
	else
		function_logf(function, "%s: %s", what, strerror(-ret));
	vfiou_server_destroy(server);
	return ret;
}

int
session_main(struct function *function, const struct options *options, int fd)
{
	struct dm_engine *engine;
	struct dm_device *dev;
	const char *what;
	int ret;

	ret = sandbox_enter(options, &what);
	if (ret != 0) {
		function_logf(function, "%s: %s", what, strerror(-ret));
		return EXIT_FAILURE;
	}
	dm_guard_enable();
	dev = make_device(function);
	if (dev == NULL)
		return EXIT_FAILURE;
	ret = dm_engine_get(options->cpu, options->idle, &engine);
	if (ret == 0) {
		dm_engine_set_latency(engine, options->latency);
		ret = dm_engine_attach(engine, dev);
		if (ret == 0)
			ret = serve(function, options, dev, fd);
		dm_engine_detach(engine, dev);
		dm_engine_put(engine);
	}
	if (ret != 0)
		function_logf(function, "cannot serve the client: %s", strerror(-ret));
	dm_device_destroy(dev);
	dm_guard_disable();
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
