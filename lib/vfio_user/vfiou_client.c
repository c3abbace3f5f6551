/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vfiou_caps.h"
#include "vfiou_client.h"
#include "vfiou_msg.h"

/* How long a call waits for the reply to the one before, which has waited its time already. */
#define LATE_MS 10

struct vfiou_client {
	int fd; /**< -1: the server is gone */
	unsigned int timeout_ms;
	uint16_t next_id;
	bool unanswered; /**< the last command: its reply may come yet, whole or the rest of it */
	struct vfiou_msg reply;
	struct vfiou_caps caps; /**< the server's */
};

/** What goes out with a command. */
struct request {
	unsigned int command;
	const void *data;
	size_t len;
	const void *more;
	size_t more_len;
	int fd;
};

/* The server is gone. @return error, for convenience. */
static int
lose(struct vfiou_client *client, int error)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	vfiou_msg_reset(&client->reply);
	return error;
}

static int
receive_reply(struct vfiou_client *client, unsigned int timeout_ms)
{
	const uint64_t end = vfiou_now_ms() + timeout_ms;
	int ret;

	while ((ret = vfiou_msg_receive(&client->reply, client->fd)) == 0) {
		ret = vfiou_msg_wait(client->fd, POLLIN, end);
		if (ret != 0)
			return ret;
	}
	return ret < 0 ? ret : 0;
}

/* Let go of the reply to a command that was given up, which comes before any other. */
static int
skip_late_reply(struct vfiou_client *client)
{
	int ret = client->unanswered ? receive_reply(client, LATE_MS) : 0;

	if (ret == 0) {
		client->unanswered = false;
		vfiou_msg_reset(&client->reply);
	}
	return ret;
}

/* Whether the server has answered the command, and in the right form. */
static bool
is_reply_to(const struct vfiou_client *client, const struct vfiou_header *sent)
{
	const struct vfiou_header *got = &client->reply.header;

	return got->id == sent->id && got->command == sent->command &&
		(got->flags & VFIOU_TYPE_MASK) == VFIOU_TYPE_REPLY;
}

/*
 * Send a command and wait for its reply, which is in client->reply then.
 *
 * want: bytes of payload that a good reply has at least.
 */
static int
transact(struct vfiou_client *client, const struct request *request, size_t want)
{
	struct vfiou_header header = {.id = client->next_id++, .command = request->command};
	int ret;

	if (client->fd < 0)
		return -ENOTCONN;
	ret = skip_late_reply(client);
	if (ret == -ETIMEDOUT)
		return ret;
	if (ret == 0)
		ret = vfiou_msg_send(client->fd, &header, request->data, request->len,
			request->more, request->more_len, request->fd, client->timeout_ms);
	if (ret != 0)
		return lose(client, ret);
	ret = receive_reply(client, client->timeout_ms);
	if (ret == -ETIMEDOUT) {
		client->unanswered = true;
		return ret;
	}
	if (ret != 0)
		return lose(client, ret);
	if (!is_reply_to(client, &header))
		return lose(client, -EPROTO);
	if (client->reply.header.flags & VFIOU_ERROR) {
		uint32_t error = client->reply.header.error;

		return error > 0 && error < 4096 ? -(int)error : -EIO;
	}
	return vfiou_msg_len(&client->reply) < want ? lose(client, -EPROTO) : 0;
}

static int
agree_on_version(struct vfiou_client *client)
{
	const struct vfiou_version mine = {.major = VFIOU_MAJOR, .minor = VFIOU_MINOR};
	static const char caps[] =
		"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576}}";
	const struct request request = {.command = VFIOU_VERSION, .data = &mine,
		.len = sizeof(mine), .more = caps, .more_len = sizeof(caps), .fd = -1};
	const struct vfiou_version *version;
	int ret;

	ret = transact(client, &request, sizeof(*version));
	if (ret != 0)
		return ret;
	version = (const void *)client->reply.data;
	if (version->major != VFIOU_MAJOR || version->minor > VFIOU_MINOR)
		return lose(client, -EPROTONOSUPPORT);
	ret = vfiou_caps_parse(version->json, vfiou_msg_len(&client->reply) - sizeof(*version),
		&client->caps);
	return ret == 0 ? 0 : lose(client, -EPROTO);
}

int
vfiou_client_connect(const char *path, unsigned int timeout_ms, struct vfiou_client **client,
		const char **what)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct vfiou_client *new;
	int ret = -ENOMEM;

	*what = "the socket's path is empty or too long";
	if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path))
		return -EINVAL;
	strcpy(address.sun_path, path);
	*what = "no memory";
	new = calloc(1, sizeof(*new));
	if (new == NULL)
		return -ENOMEM;
	new->timeout_ms = timeout_ms;
	*what = "nobody answers at the socket";
	new->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (new->fd < 0 || connect(new->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		ret = -errno;
	} else {
		*what = "the server does not agree on a version, or has a client already";
		ret = agree_on_version(new);
	}
	if (ret != 0) {
		vfiou_client_close(new);
		return ret;
	}
	*what = NULL;
	*client = new;
	return 0;
}

void
vfiou_client_close(struct vfiou_client *client)
{
	if (client == NULL)
		return;
	lose(client, 0);
	vfiou_msg_free(&client->reply);
	free(client);
}

bool
vfiou_client_is_connected(const struct vfiou_client *client)
{
	return client->fd >= 0;
}

int
vfiou_client_region(struct vfiou_client *client, unsigned int index,
		struct vfiou_client_region *region)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = index};
	const struct request request = {.command = VFIOU_DEVICE_GET_REGION_INFO, .data = &info,
		.len = sizeof(info), .fd = -1};
	int ret = transact(client, &request, sizeof(info));

	if (ret != 0)
		return ret;
	memcpy(&info, client->reply.data, sizeof(info));
	if (info.index != index)
		return lose(client, -EPROTO);
	region->size = info.size;
	region->offset = info.offset;
	region->fd = -1;
	if (info.flags & VFIO_REGION_INFO_FLAG_MMAP)
		region->fd = vfiou_msg_take_fd(&client->reply);
	return 0;
}

int
vfiou_client_read(struct vfiou_client *client, unsigned int region, uint64_t offset, void *data,
		uint32_t len)
{
	const struct vfiou_region_access access = {
		.offset = offset, .region = region, .count = len};
	const struct request request = {.command = VFIOU_REGION_READ, .data = &access,
		.len = sizeof(access), .fd = -1};
	int ret = transact(client, &request, sizeof(access) + len);

	if (ret == 0)
		memcpy(data, client->reply.data + sizeof(access), len);
	return ret;
}

int
vfiou_client_write(struct vfiou_client *client, unsigned int region, uint64_t offset,
		const void *data, uint32_t len)
{
	const struct vfiou_region_access access = {
		.offset = offset, .region = region, .count = len};
	const struct request request = {.command = VFIOU_REGION_WRITE, .data = &access,
		.len = sizeof(access), .more = data, .more_len = len, .fd = -1};

	return transact(client, &request, sizeof(access));
}

int
vfiou_client_map(struct vfiou_client *client, uint64_t address, uint64_t size, int fd,
		uint64_t offset)
{
	const struct vfiou_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE,
		.offset = offset,
		.address = address,
		.size = size,
	};
	const struct request request = {.command = VFIOU_DMA_MAP, .data = &map,
		.len = sizeof(map), .fd = fd};

	return transact(client, &request, 0);
}

int
vfiou_client_unmap(struct vfiou_client *client, uint64_t address, uint64_t size)
{
	const struct vfiou_dma_unmap unmap = {
		.argsz = sizeof(unmap), .address = address, .size = size};
	const struct request request = {.command = VFIOU_DMA_UNMAP, .data = &unmap,
		.len = sizeof(unmap), .fd = -1};

	return transact(client, &request, 0);
}
