/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef FAULT_CAUSES_H
#define FAULT_CAUSES_H

#include <rte_dmadev.h>

/* Causes that a fault can be injected with, and the status that the driver makes of each: where no
 * descriptor is at fault, what has not been done is done again.
 */
static const struct {
	const char *cause;
	enum rte_dma_status_code status;
} causes[] = {
	{"src", RTE_DMA_STATUS_INVALID_SRC_ADDR},
	{"dst", RTE_DMA_STATUS_INVALID_DST_ADDR},
	{"next", RTE_DMA_STATUS_DESCRIPTOR_READ_ERROR},
	{"align", RTE_DMA_STATUS_DESCRIPTOR_READ_ERROR},
	{"read", RTE_DMA_STATUS_BUS_READ_ERROR},
	{"write", RTE_DMA_STATUS_BUS_WRITE_ERROR},
	{"op", RTE_DMA_STATUS_INVALID_OPCODE},
	{"length", RTE_DMA_STATUS_INVALID_LENGTH},
	{"completion", RTE_DMA_STATUS_SUCCESSFUL},
	{"command", RTE_DMA_STATUS_SUCCESSFUL},
	{"unaffiliated", RTE_DMA_STATUS_SUCCESSFUL},
};

#endif /* FAULT_CAUSES_H */
