/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdlib.h>

#include <rte_string_fns.h>
#include <rte_telemetry.h>

#include "cbdma_internal.h"

#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif

/* Parameter of all commands: a dmadev's number or name. */
static struct cbdma_dev *
find_device(const char *params)
{
	char *end;
	long id;

	if (params == NULL || params[0] == '\0')
		return NULL;
	id = strtol(params, &end, 10);
	if (*end != '\0')
		id = rte_dma_get_dev_id_by_name(params);
	return id < 0 || id > INT16_MAX ? NULL : cbdma_find(id);
}

static int
telemetry_list(const char *cmd __rte_unused, const char *params __rte_unused,
		struct rte_tel_data *data)
{
	int16_t id;

	rte_tel_data_start_array(data, RTE_TEL_INT_VAL);
	RTE_DMA_FOREACH_DEV(id)
		if (cbdma_find(id) != NULL)
			rte_tel_data_add_array_int(data, id);
	return 0;
}

static int
telemetry_registers(const char *cmd __rte_unused, const char *params, struct rte_tel_data *data)
{
	static const struct {
		const char *name;
		uint32_t offset;
		unsigned int width;
	} reg[] = {
		{"CHANCNT", CBDMA_CHANCNT, 1},
		{"XFERCAP", CBDMA_XFERCAP, 1},
		{"GENCTRL", CBDMA_GENCTRL, 1},
		{"INTRCTRL", CBDMA_INTRCTRL, 1},
		{"ATTNSTATUS", CBDMA_ATTNSTATUS, 4},
		{"CBVER", CBDMA_CBVER, 1},
		{"INTRDELAY", CBDMA_INTRDELAY, 2},
		{"CS_STATUS", CBDMA_CS_STATUS, 2},
		{"DMACAPABILITY", CBDMA_DMACAPABILITY, 4},
		{"CHANCTRL", CBDMA_CH(CBDMA_CHANCTRL), 2},
		{"CHANCMD", CBDMA_CH(CBDMA_CHANCMD), 1},
		{"DMACOUNT", CBDMA_CH(CBDMA_DMACOUNT), 2},
		{"CHANSTS", CBDMA_CH(CBDMA_CHANSTS), 8},
		{"CHAINADDR", CBDMA_CH(CBDMA_CHAINADDR), 8},
		{"CHANCMP", CBDMA_CH(CBDMA_CHANCMP), 8},
		{"CDAR", CBDMA_CH(CBDMA_CDAR), 8},
		{"CHANERR", CBDMA_CH(CBDMA_CHANERR), 4},
		{"CHANERRMSK", CBDMA_CH(CBDMA_CHANERRMSK), 4},
	};
	const struct cbdma_dev *dev = find_device(params);
	char value[24];
	unsigned int i;

	if (dev == NULL)
		return -EINVAL;
	rte_tel_data_start_dict(data);
	for (i = 0; i < RTE_DIM(reg); i++) {
		snprintf(value, sizeof(value), "0x%0*lx", (int)reg[i].width * 2,
			(unsigned long)cbdma_read(dev, reg[i].offset, reg[i].width));
		rte_tel_data_add_dict_string(data, reg[i].name, value);
	}
	rte_tel_data_add_dict_string(data, "state",
		cbdma_chansts_name(cbdma_read(dev, CBDMA_CH(CBDMA_CHANSTS), 8)));
	return 0;
}

static int
telemetry_ring(const char *cmd __rte_unused, const char *params, struct rte_tel_data *data)
{
	static const char *const trouble[] = {"none", "suspected", "failed operation", "lost"};
	const struct cbdma_dev *dev = find_device(params);

	if (dev == NULL)
		return -EINVAL;
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_int(data, "descriptors", dev->nb_desc);
	rte_tel_data_add_dict_uint(data, "tail", dev->tail);
	rte_tel_data_add_dict_uint(data, "rung", dev->rung);
	rte_tel_data_add_dict_uint(data, "head", dev->head);
	rte_tel_data_add_dict_uint(data, "base", dev->base);
	rte_tel_data_add_dict_uint(data, "enqueued", dev->enqueued);
	rte_tel_data_add_dict_uint(data, "submitted", dev->submitted);
	rte_tel_data_add_dict_uint(data, "completed", dev->completed);
	rte_tel_data_add_dict_string(data, "trouble", trouble[dev->trouble]);
	return 0;
}

static int
telemetry_errors(const char *cmd __rte_unused, const char *params, struct rte_tel_data *data)
{
	const struct cbdma_dev *dev = find_device(params);
	unsigned int bit;

	if (dev == NULL)
		return -EINVAL;
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_uint(data, "operations", dev->errors);
	rte_tel_data_add_dict_uint(data, "recoveries", dev->recoveries);
	rte_tel_data_add_dict_uint(data, "lost", dev->lost);
	for (bit = 0; bit < RTE_DIM(dev->chanerr_count); bit++)
		if (dev->chanerr_count[bit] != 0)
			rte_tel_data_add_dict_uint(data, cbdma_chanerr_name(bit),
				dev->chanerr_count[bit]);
	return 0;
}

RTE_INIT(cbdma_telemetry_init)
{
	rte_telemetry_register_cmd("/cbdma/list", telemetry_list,
		"dmadevs of this driver. No parameters");
	rte_telemetry_register_cmd("/cbdma/registers", telemetry_registers,
		"Registers of a device. Parameters: dmadev number or name");
	rte_telemetry_register_cmd("/cbdma/ring", telemetry_ring,
		"State of a device's ring. Parameters: dmadev number or name");
	rte_telemetry_register_cmd("/cbdma/errors", telemetry_errors,
		"Errors of a device by cause. Parameters: dmadev number or name");
}
