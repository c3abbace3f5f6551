/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_SERVER_H
#define VFIOU_SERVER_H

/**
 * @file
 *
 * Serves a device model as a PCI function to a client at the other end of a socket.
 *
 * The client is not trusted: whatever it sends, it gets an error for an answer or is hung up on.
 * What it shares stays its own all the same: it can make a call on its files block, and keeps what
 * it has mapped of the device. So a process, and a device, had better serve one client and end.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dm_device.h"

struct vfiou_server;

struct vfiou_server_config {
	struct dm_device *dev; /**< a PCI function (dm_pci.h); it must outlive the server */
	uint64_t max_memory;   /**< bytes that the client may map; 0: no limit */
	bool verbose;	       /**< log messages, too, not only what an operator cares about */

	/** Takes a line, without a newline. Called from vfiou_server_create() and _run(). */
	void (*log)(void *opaque, const char *line);
	void *opaque;
};

/**
 * Create a server.
 *
 * @param fd
 *   A stream socket that the client is connected to and that does not block. The server's, unless
 *   this fails.
 * @return 0; -EINVAL: the device is no PCI function, which has been logged; or another errno,
 *   negative.
 */
int vfiou_server_create(const struct vfiou_server_config *config, int fd,
		struct vfiou_server **server);

/**
 * Serve until the client has left or has been hung up on; shutdown() of the socket ends it, too.
 * The function is as after a reset then.
 */
void vfiou_server_run(struct vfiou_server *server);

/** Free the server. It must not run. */
void vfiou_server_destroy(struct vfiou_server *server);

#endif /* VFIOU_SERVER_H */
