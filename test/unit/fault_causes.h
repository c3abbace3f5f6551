/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef FAULT_CAUSES_H
#define FAULT_CAUSES_H

#include <rte_dmadev.h>

/* Causes that a fault can be injected with, and the status that the driver makes of each. */
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
	{"completion", RTE_DMA_STATUS_ERROR_UNKNOWN},
};

#endif /* FAULT_CAUSES_H */
