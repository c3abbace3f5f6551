/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CBDMA_GLUE_H
#define CBDMA_GLUE_H

/**
 * @file
 *
 * What stands between the driver and a model: in this process, in the primary, behind a socket.
 */

#include "cbdma_internal.h"

#include <dm_cbdma.h>
#include <dm_engine.h>

struct rte_vdev_device;

/* cbdma_model.c */

/** What the embedded model is to be. */
struct cbdma_model_conf {
	struct dm_cbdma_config device;
	struct dm_cbdma_fault fault;
	enum dm_idle idle;
	int cpu;   /**< or DM_CPU_ANY */
	bool step; /**< runs when it is told to */
	bool sva;  /**< reaches all memory of this process, by address: no IOMMU */
};

/** Make a model. @return 0; an errno, negative: the reason has been logged. */
int cbdma_model_create(const char *name, int numa_node, struct cbdma_model_conf *conf,
		struct cbdma_bus *bus, uint16_t **doorbell);
/** Whether a bus is one that cbdma_model_create() made. */
bool cbdma_model_is(const struct cbdma_bus *bus);
int cbdma_model_dma_map(const struct cbdma_bus *bus, void *addr, uint64_t iova, size_t len);
int cbdma_model_dma_unmap(const struct cbdma_bus *bus, uint64_t iova, size_t len);

/* cbdma_mp.c */

/** In the primary: let secondary processes reach the registers of its devices. */
void cbdma_mp_serve(const char *name);
/** In a secondary: the way to a device by the primary. */
void cbdma_mp_attach(struct rte_vdev_device *device, struct cbdma_bus *bus);

/* cbdma_socket.c */

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

#endif /* CBDMA_GLUE_H */
