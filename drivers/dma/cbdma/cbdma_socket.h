/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CBDMA_SOCKET_H
#define CBDMA_SOCKET_H

#include "cbdma_internal.h"

/**
 * Connect to the server at a socket, which serves a device in another process.
 *
 * @param bus
 *   How to reach the device, when 0 is returned.
 * @param doorbell
 *   Its doorbell, when 0 is returned.
 * @return 0; an errno, negative: the reason has been logged.
 */
int cbdma_socket_create(const char *name, const char *path, struct cbdma_bus *bus,
		uint16_t **doorbell);

/** For rte_dev_dma_map(): memory can be shared by its file only, and that of DPDK is already. */
int cbdma_socket_dma_map(const struct cbdma_bus *bus, const void *addr);

/** Whether a bus is one that cbdma_socket_create() made. */
bool cbdma_socket_is(const struct cbdma_bus *bus);

#endif /* CBDMA_SOCKET_H */
