/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vfiou_remote.h"

int
vfiou_remote_init(struct vfiou_remote *remote, struct dm_device *dev, int fd)
{
	pthread_condattr_t attr;
	int ret;

	memset(remote, 0, sizeof(*remote));
	remote->dev = dev;
	remote->client_fd = fd;
	remote->twin = -1;
	remote->closed = true;
	ret = pthread_condattr_init(&attr);
	if (ret != 0)
		return -ret;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	ret = pthread_cond_init(&remote->answered, &attr);
	pthread_condattr_destroy(&attr);
	if (ret != 0)
		return -ret;
	pthread_mutex_init(&remote->send, NULL);
	pthread_mutex_init(&remote->lock, NULL);
	return 0;
}

void
vfiou_remote_destroy(struct vfiou_remote *remote)
{
	pthread_mutex_destroy(&remote->lock);
	pthread_mutex_destroy(&remote->send);
	pthread_cond_destroy(&remote->answered);
}

/* What the client takes back from now on it does not hear of before it has been asked: the answer
 * to DMA_UNMAP, say, comes behind the question.
 */
static void
begin(void *opaque)
{
	struct vfiou_remote *remote = opaque;

	pthread_mutex_lock(&remote->send);
	pthread_mutex_lock(&remote->lock);
	remote->unwanted = false;
	pthread_mutex_unlock(&remote->lock);
}

/* What was asked for has been taken back, or the channel that wants it been reset. */
static void
cancel(void *opaque)
{
	struct vfiou_remote *remote = opaque;

	pthread_mutex_lock(&remote->lock);
	remote->unwanted = true;
	if (remote->waiting) {
		remote->result = -ECANCELED;
		remote->waiting = false;
		pthread_cond_broadcast(&remote->answered);
	}
	pthread_mutex_unlock(&remote->lock);
}

/* @return whether the client may be asked. */
static bool
prepare(struct vfiou_remote *remote, bool write, uint64_t address, void *data, uint64_t len)
{
	bool open;

	pthread_mutex_lock(&remote->lock);
	remote->id++;
	remote->write = write;
	remote->address = address;
	remote->data = data;
	remote->len = len;
	remote->result = remote->unwanted ? -ECANCELED : -ETIMEDOUT;
	open = !remote->closed;
	remote->waiting = open && !remote->unwanted;
	pthread_mutex_unlock(&remote->lock);
	return open;
}

/* The other side does not read, or has got half of a message: nothing can be said to it any more. */
static void
give_up(struct vfiou_remote *remote)
{
	pthread_mutex_lock(&remote->lock);
	remote->waiting = false;
	remote->closed = true;
	remote->unread = true;
	pthread_mutex_unlock(&remote->lock);
	shutdown(remote->client_fd, SHUT_RDWR);
}

static int
ask(struct vfiou_remote *remote)
{
	const struct vfiou_dma_access access = {.address = remote->address, .count = remote->len};
	struct vfiou_header header = {
		.id = remote->id, .command = remote->write ? VFIOU_DMA_WRITE : VFIOU_DMA_READ};

	return vfiou_msg_send(remote->twin >= 0 ? remote->twin : remote->client_fd, &header, &access,
		sizeof(access), remote->data, remote->write ? remote->len : 0, -1, VFIOU_ANSWER_MS);
}

static int
await_answer(struct vfiou_remote *remote)
{
	const uint64_t end = vfiou_now_ms() + VFIOU_ANSWER_MS;
	const struct timespec until = {.tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000};
	int ret = 0;

	pthread_mutex_lock(&remote->lock);
	while (remote->waiting && !remote->closed && ret == 0)
		ret = pthread_cond_timedwait(&remote->answered, &remote->lock, &until);
	ret = remote->closed ? -ECONNRESET : remote->result;
	remote->waiting = false;
	pthread_mutex_unlock(&remote->lock);
	return ret;
}

static int
access_client(void *opaque, bool write, uint64_t address, void *data, uint64_t len)
{
	struct vfiou_remote *remote = opaque;
	bool open;
	int ret;

	open = prepare(remote, write, address, data, len);
	ret = open ? ask(remote) : -ECONNRESET;
	pthread_mutex_unlock(&remote->send);
	if (ret == 0)
		return await_answer(remote);
	if (open)
		give_up(remote);
	return ret;
}

int
vfiou_remote_open(struct vfiou_remote *remote, uint64_t max, int twin)
{
	const struct dm_remote access = {
		.begin = begin,
		.access = access_client,
		.cancel = cancel,
		.max = max < VFIOU_DEFAULT_XFER ? max : VFIOU_DEFAULT_XFER,
		.opaque = remote,
	};

	remote->twin = twin;
	remote->closed = false;
	return dm_device_set_remote(remote->dev, &access);
}

void
vfiou_remote_close(struct vfiou_remote *remote)
{
	pthread_mutex_lock(&remote->lock);
	remote->closed = true;
	pthread_cond_broadcast(&remote->answered);
	pthread_mutex_unlock(&remote->lock);
	/* Nor waits for a twin to have room: that the client has left does not close it. */
	if (remote->twin >= 0)
		shutdown(remote->twin, SHUT_RDWR);
	dm_device_set_remote(remote->dev, NULL);
	if (remote->twin >= 0)
		close(remote->twin);
	remote->twin = -1;
}

bool
vfiou_remote_is_unread(struct vfiou_remote *remote)
{
	bool unread;

	pthread_mutex_lock(&remote->lock);
	unread = remote->unread;
	pthread_mutex_unlock(&remote->lock);
	return unread;
}

/* Whether the answer has what it has to have. To DMA_WRITE, the specification has a count of 4
 * bytes in it, libvfio-user one of 8, and QEMU nothing at all.
 */
static bool
is_good(const struct vfiou_remote *remote, const struct vfiou_msg *msg)
{
	struct vfiou_dma_access access = {0};
	const size_t len = vfiou_msg_len(msg);

	if (len == 0)
		return remote->write;
	memcpy(&access, msg->data, len < sizeof(access) ? len : sizeof(access));
	if (access.address != remote->address || access.count != remote->len)
		return false;
	if (remote->write)
		return len == 12 || len == sizeof(access);
	return len == sizeof(access) + remote->len;
}

bool
vfiou_remote_answer(struct vfiou_remote *remote, const struct vfiou_msg *msg)
{
	const struct vfiou_header *header = &msg->header;

	if (header->command != VFIOU_DMA_READ && header->command != VFIOU_DMA_WRITE)
		return false;
	pthread_mutex_lock(&remote->lock);
	/* One that was waited for in vain may come after all. */
	if (remote->waiting && header->id == remote->id &&
			header->command == (remote->write ? VFIOU_DMA_WRITE : VFIOU_DMA_READ)) {
		if ((header->flags & VFIOU_ERROR) != 0 || !is_good(remote, msg))
			remote->result = -EIO;
		else
			remote->result = 0;
		if (remote->result == 0 && !remote->write)
			memcpy(remote->data, msg->data + sizeof(struct vfiou_dma_access),
				remote->len);
		remote->waiting = false;
		pthread_cond_broadcast(&remote->answered);
	}
	pthread_mutex_unlock(&remote->lock);
	return true;
}
