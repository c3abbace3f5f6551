/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* A secondary process reaches the registers of a model by messages to the primary, which has it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_string_fns.h>

#include "cbdma_glue.h"

#define MP_ACCESS "cbdma_access"

enum access_kind { ACCESS_READ, ACCESS_WRITE, ACCESS_CONFIG_READ, ACCESS_CONFIG_WRITE,
	ACCESS_BUS_MASTER };

struct access_request {
	char name[RTE_DEV_NAME_MAX_LEN];
	uint64_t value;
	uint32_t offset;
	uint8_t width;
	uint8_t kind; /* enum access_kind */
};

struct access_reply {
	uint64_t value;
	int32_t ret;
};

static int
access_bus(const struct cbdma_bus *bus, const struct access_request *req, uint64_t *value)
{
	uint32_t config;
	int ret;

	switch (req->kind) {
	case ACCESS_READ:
		return bus->read(bus->opaque, req->offset, req->width, value);
	case ACCESS_WRITE:
		return bus->write(bus->opaque, req->offset, req->width, req->value);
	case ACCESS_CONFIG_READ:
		ret = bus->config_read(bus->opaque, req->offset, &config);
		*value = config;
		return ret;
	case ACCESS_CONFIG_WRITE:
		return bus->config_write(bus->opaque, req->offset, req->value);
	case ACCESS_BUS_MASTER:
		return bus->set_bus_master(bus->opaque, req->value != 0);
	default:
		return -EINVAL;
	}
}

/* In the primary: serve a secondary. */
static int
mp_serve(const struct rte_mp_msg *msg, const void *peer)
{
	struct access_reply answer = {.ret = -ENODEV};
	struct rte_mp_msg reply = {.len_param = sizeof(answer)};
	struct access_request req;
	struct cbdma_port *port;

	if (msg->len_param != sizeof(req))
		return -1;
	memcpy(&req, msg->param, sizeof(req)); /* it is not aligned there */
	req.name[sizeof(req.name) - 1] = '\0';
	port = cbdma_port_get(req.name);
	if (port != NULL) {
		answer.ret = access_bus(&port->bus, &req, &answer.value);
		cbdma_port_put(port);
	}
	rte_strscpy(reply.name, msg->name, sizeof(reply.name));
	memcpy(reply.param, &answer, sizeof(answer));
	return rte_mp_reply(&reply, peer);
}

/* In a secondary. */
static int
mp_request(void *opaque, struct access_request *req, uint64_t *value)
{
	const struct rte_vdev_device *vdev = opaque;
	const struct timespec timeout = {.tv_sec = 1};
	struct rte_mp_msg msg = {.name = MP_ACCESS, .len_param = sizeof(*req)};
	struct access_reply answer = {.ret = -ETIMEDOUT};
	struct rte_mp_reply reply;

	rte_strscpy(req->name, rte_vdev_device_name(vdev), sizeof(req->name));
	memcpy(msg.param, req, sizeof(*req));
	if (rte_mp_request_sync(&msg, &reply, &timeout) != 0)
		return rte_errno > 0 ? -rte_errno : -EIO;
	if (reply.nb_received == 1 && reply.msgs[0].len_param == sizeof(answer))
		memcpy(&answer, reply.msgs[0].param, sizeof(answer));
	free(reply.msgs);
	if (answer.ret == 0 && value != NULL)
		*value = answer.value;
	return answer.ret;
}

static int
mp_read(void *opaque, uint32_t offset, unsigned int width, uint64_t *value)
{
	struct access_request req = {.kind = ACCESS_READ, .offset = offset, .width = width};

	return mp_request(opaque, &req, value);
}

static int
mp_write(void *opaque, uint32_t offset, unsigned int width, uint64_t value)
{
	struct access_request req = {
		.kind = ACCESS_WRITE, .offset = offset, .width = width, .value = value};

	return mp_request(opaque, &req, NULL);
}

static int
mp_config_read(void *opaque, uint32_t offset, uint32_t *value)
{
	struct access_request req = {.kind = ACCESS_CONFIG_READ, .offset = offset};
	uint64_t wide = 0;
	int ret = mp_request(opaque, &req, &wide);

	*value = wide;
	return ret;
}

static int
mp_config_write(void *opaque, uint32_t offset, uint32_t value)
{
	struct access_request req = {
		.kind = ACCESS_CONFIG_WRITE, .offset = offset, .value = value};

	return mp_request(opaque, &req, NULL);
}

static int
mp_set_bus_master(void *opaque, bool enable)
{
	struct access_request req = {.kind = ACCESS_BUS_MASTER, .value = enable};

	return mp_request(opaque, &req, NULL);
}

void
cbdma_mp_serve(const char *name)
{
	/* Once a process; without secondary processes (--in-memory) there is no such thing. */
	if (rte_mp_action_register(MP_ACCESS, mp_serve) != 0 && rte_errno != EEXIST &&
			rte_errno != ENOTSUP)
		CBDMA_LOG(WARNING, name, "secondary processes cannot reach its registers: %s",
			rte_strerror(rte_errno));
}

void
cbdma_mp_attach(struct rte_vdev_device *device, struct cbdma_bus *bus)
{
	*bus = (struct cbdma_bus){
		.read = mp_read,
		.write = mp_write,
		.config_read = mp_config_read,
		.config_write = mp_config_write,
		.set_bus_master = mp_set_bus_master,
		.opaque = device,
	};
}
