/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_CLIENT_H
#define VFIOU_CLIENT_H

/**
 * @file
 *
 * The other end of the socket: a driver in this process, a PCI function served by another one.
 *
 * Each call sends one message and waits for its reply, for a bounded time. Without a reply by then
 * it returns -ETIMEDOUT, and what it asked for may be done yet; so does, soon, every call until that
 * reply has come. A server that hangs up, or answers nonsense, is gone: every call from then on
 * returns -ENOTCONN. Not thread-safe.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vfiou_client;

/**
 * Connect and agree on the protocol's version.
 *
 * @param timeout_ms
 *   How long any call may wait for the server.
 * @param what
 *   When it fails: what did, in words (static text).
 * @return 0; an errno, negative.
 */
int vfiou_client_connect(const char *path, unsigned int timeout_ms, struct vfiou_client **client,
		const char **what);

/** Hang up; may be NULL. */
void vfiou_client_close(struct vfiou_client *client);

/** Whether the server is still there, as far as the last call could tell. */
bool vfiou_client_is_connected(const struct vfiou_client *client);

struct vfiou_client_region {
	uint64_t size;	 /**< 0: there is no such region */
	uint64_t offset; /**< in the file */
	int fd;		 /**< the caller's; -1: it cannot be mapped */
};

/** Ask for a region: VFIO_PCI_BAR0_REGION_INDEX... @return 0; an errno, negative. */
int vfiou_client_region(struct vfiou_client *client, unsigned int index,
		struct vfiou_client_region *region);

/** Read from a region. @return 0; an errno, negative. */
int vfiou_client_read(struct vfiou_client *client, unsigned int region, uint64_t offset, void *data,
		uint32_t len);

/** Write to a region. @return 0; an errno, negative. */
int vfiou_client_write(struct vfiou_client *client, unsigned int region, uint64_t offset,
		const void *data, uint32_t len);

/**
 * Have the device reach size bytes of a file at address.
 *
 * @return 0; -EEXIST: something is mapped there already; another errno, negative.
 */
int vfiou_client_map(struct vfiou_client *client, uint64_t address, uint64_t size, int fd,
		uint64_t offset);

/** Take away what vfiou_client_map() gave. When this returns the device does not touch it. */
int vfiou_client_unmap(struct vfiou_client *client, uint64_t address, uint64_t size);

#endif /* VFIOU_CLIENT_H */
