/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <inttypes.h>

#include <rte_string_fns.h>
#include <rte_telemetry.h>

#include "cbdma_internal.h"

/* Parameter of all commands: a dmadev's number or name. */

static int
telemetry_list(const char *cmd __rte_unused, const char *params __rte_unused,
		struct rte_tel_data *data)
{
	struct cbdma_port *port;
	char number[8];
	int16_t id;

	rte_tel_data_start_array(data, RTE_TEL_INT_VAL);
	RTE_DMA_FOREACH_DEV(id) {
		snprintf(number, sizeof(number), "%d", id);
		port = cbdma_port_get(number);
		if (port == NULL)
			continue;
		rte_tel_data_add_array_int(data, id);
		cbdma_port_put(port);
	}
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
	struct cbdma_port *port = cbdma_port_get(params);
	char value[24];
	unsigned int i;

	if (port == NULL)
		return -EINVAL;
	rte_tel_data_start_dict(data);
	for (i = 0; i < RTE_DIM(reg); i++) {
		snprintf(value, sizeof(value), "0x%0*" PRIx64, (int)reg[i].width * 2,
			cbdma_read(&port->bus, reg[i].offset, reg[i].width) &
				UINT64_MAX >> (64 - reg[i].width * 8));
		rte_tel_data_add_dict_string(data, reg[i].name, value);
	}
	rte_tel_data_add_dict_string(data, "state",
		cbdma_chansts_name(cbdma_read(&port->bus, CBDMA_CH(CBDMA_CHANSTS), 8)));
	cbdma_port_put(port);
	return 0;
}

static int
telemetry_ring(const char *cmd __rte_unused, const char *params, struct rte_tel_data *data)
{
	static const char *const trouble[] = {
		[CBDMA_TROUBLE_NONE] = "none", [CBDMA_TROUBLE_SUSPECTED] = "suspected",
		[CBDMA_TROUBLE_LOSING] = "does not stop", [CBDMA_TROUBLE_LOST] = "lost",
		[CBDMA_TROUBLE_FAILED_OP] = "failed operation"};
	struct cbdma_port *port = cbdma_port_get(params);
	const struct cbdma_dev *dev;

	if (port == NULL)
		return -EINVAL;
	dev = port->dev;
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_int(data, "descriptors", dev->nb_desc);
	rte_tel_data_add_dict_uint(data, "tail", dev->tail / CBDMA_SLOT);
	rte_tel_data_add_dict_uint(data, "rung", dev->rung / CBDMA_SLOT);
	rte_tel_data_add_dict_uint(data, "head", dev->head / CBDMA_SLOT);
	rte_tel_data_add_dict_uint(data, "base", dev->base / CBDMA_SLOT);
	rte_tel_data_add_dict_uint(data, "enqueued", cbdma_enqueued(dev));
	rte_tel_data_add_dict_uint(data, "submitted", cbdma_submitted(dev));
	rte_tel_data_add_dict_uint(data, "completed", dev->completed);
	rte_tel_data_add_dict_string(data, "trouble", trouble[dev->trouble]);
	cbdma_port_put(port);
	return 0;
}

static int
telemetry_errors(const char *cmd __rte_unused, const char *params, struct rte_tel_data *data)
{
	struct cbdma_port *port = cbdma_port_get(params);
	const struct cbdma_dev *dev;
	unsigned int bit;

	if (port == NULL)
		return -EINVAL;
	dev = port->dev;
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_uint(data, "operations", dev->errors);
	rte_tel_data_add_dict_uint(data, "recoveries", dev->recoveries);
	rte_tel_data_add_dict_uint(data, "replays", dev->replays);
	rte_tel_data_add_dict_uint(data, "completions_adopted", dev->adopted);
	rte_tel_data_add_dict_uint(data, "doorbells_rung_again", dev->rung_again);
	rte_tel_data_add_dict_uint(data, "lost", dev->lost);
	for (bit = 0; bit < RTE_DIM(dev->chanerr_count); bit++)
		if (dev->chanerr_count[bit] != 0)
			rte_tel_data_add_dict_uint(data, cbdma_chanerr_name(bit),
				dev->chanerr_count[bit]);
	cbdma_port_put(port);
	return 0;
}

int
cbdma_dump(const struct rte_dma_dev *dmadev, FILE *f)
{
	struct cbdma_port *port = cbdma_port_hold(dmadev);
	const struct cbdma_bus *bus;
	const struct cbdma_dev *dev;
	unsigned int bit;
	uint64_t chansts;

	if (port == NULL)
		return -ENODEV;
	dev = port->dev;
	bus = &port->bus;
	chansts = cbdma_read(bus, CBDMA_CH(CBDMA_CHANSTS), 8);

	fprintf(f, "  %s: CBVER %u.%u, longest transfer %u bytes\n", dev->name, dev->cbver >> 4,
		dev->cbver & 0xf, dev->max_len);
	fprintf(f, "  CHANSTS %#" PRIx64 " (%s) CHANERR %#x CHANCTRL %#x DMACOUNT %u\n", chansts,
		cbdma_chansts_name(chansts),
		(unsigned int)cbdma_read(bus, CBDMA_CH(CBDMA_CHANERR), 4),
		(unsigned int)cbdma_read(bus, CBDMA_CH(CBDMA_CHANCTRL), 2),
		(unsigned int)cbdma_read(bus, CBDMA_CH(CBDMA_DMACOUNT), 2));
	fprintf(f, "  CHAINADDR %#" PRIx64 " CHANCMP %#" PRIx64 " completion word %#" PRIx64 "\n",
		cbdma_read(bus, CBDMA_CH(CBDMA_CHAINADDR), 8),
		cbdma_read(bus, CBDMA_CH(CBDMA_CHANCMP), 8), cbdma_read_completion(dev));
	fprintf(f, "  ring of %u at %p, IOVA %#" PRIx64 "%s\n",
		dev->ring_mz == NULL ? 0 : dev->mask / CBDMA_SLOT + 1, (void *)dev->ring,
		dev->ring_iova, dev->silent ? ", silent" : "");
	fprintf(f, "  slots: tail %u rung %u head %u base %u free %u\n", dev->tail / CBDMA_SLOT,
		dev->rung / CBDMA_SLOT, dev->head / CBDMA_SLOT, dev->base / CBDMA_SLOT,
		(dev->limit - dev->head) / CBDMA_SLOT);
	fprintf(f, "  operations: enqueued %" PRIu64 " submitted %" PRIu64 " completed %" PRIu64
		" failed %" PRIu64 "\n", cbdma_enqueued(dev), cbdma_submitted(dev), dev->completed,
		dev->errors);
	fprintf(f, "  recoveries %" PRIu64 " replays %" PRIu64 " completions adopted %" PRIu64
		" doorbells rung again %" PRIu64 " channel lost %" PRIu64 "\n", dev->recoveries,
		dev->replays, dev->adopted, dev->rung_again, dev->lost);
	for (bit = 0; bit < RTE_DIM(dev->chanerr_count); bit++)
		if (dev->chanerr_count[bit] != 0)
			fprintf(f, "  %s %" PRIu64 "\n", cbdma_chanerr_name(bit),
				dev->chanerr_count[bit]);
	cbdma_port_put(port);
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
