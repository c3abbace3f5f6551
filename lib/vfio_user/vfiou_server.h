/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_SERVER_H
#define VFIOU_SERVER_H

/**
 * @file
 *
 * Serves a device model as a PCI function over a socket, to one client at a time.
 *
 * The client is not trusted: whatever it sends, it gets an error for an answer or is hung up on,
 * and the next one finds the function as after power-on.
 */

#include <stdbool.h>

#include "dm_device.h"

struct vfiou_server;

struct vfiou_server_config {
	const char *path;      /**< of the socket; a file there that is no socket is refused */
	struct dm_device *dev; /**< a PCI function (dm_pci.h); it must outlive the server */
	bool verbose;	       /**< log messages, too, not only what an operator cares about */

	/** Takes a line, without a newline. Called from vfiou_server_create() and _run(). */
	void (*log)(void *opaque, const char *line);
	void *opaque;
};

/**
 * Create a server; it listens when this returns.
 *
 * @return 0; -EINVAL: the device is no PCI function, or the path is too long; -EADDRINUSE: someone
 *   serves that socket, or the file is none; or another errno, negative. The reason has been
 * logged.
 */
int vfiou_server_create(const struct vfiou_server_config *config, struct vfiou_server **server);

/**
 * Serve until stop_fd can be read from. Clients come and go.
 *
 * @return 0; an errno, negative: the server cannot go on.
 */
int vfiou_server_run(struct vfiou_server *server, int stop_fd);

/** Hang up on the client, remove the socket's file, free the server. */
void vfiou_server_destroy(struct vfiou_server *server);

#endif /* VFIOU_SERVER_H */
