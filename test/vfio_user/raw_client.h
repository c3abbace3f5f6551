/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef RAW_CLIENT_H
#define RAW_CLIENT_H

/**
 * @file
 *
 * A server in a thread with a CBDMA model behind it, for one client after the other, and a client
 * that sends whatever a test wants: it has no idea of what is right.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cbdma_hw.h"
#include "dm_cbdma.h"
#include "dm_engine.h"
#include "dm_guard.h"
#include "vfiou_caps.h"
#include "vfiou_dma.h"
#include "vfiou_msg.h"
#include "vfiou_proto.h"
#include "vfiou_remote.h"
#include "vfiou_server.h"

#define RAW_LOG_SIZE (64u << 10)

struct raw_rig {
	char path[64];
	struct dm_device *dev;
	struct dm_engine *engine; /**< NULL: the test runs the device */
	struct vfiou_server_config config;
	pthread_t thread;
	int listen_fd;
	int stop_fd;
	int client_fd; /**< of the client that is being served */

	pthread_mutex_t log_lock;
	char log[RAW_LOG_SIZE]; /**< lines of the server; what does not fit is dropped */
	unsigned int left;	/**< clients that have left, with all that they brought */
};

/** A reply as it came. */
struct raw_reply {
	struct vfiou_header header;
	size_t len;
	int fd; /**< -1: none came along */
	uint8_t data[8192] __attribute__((aligned(16)));
};

static inline void
raw_log(void *opaque, const char *line)
{
	struct raw_rig *rig = opaque;
	size_t used;

	pthread_mutex_lock(&rig->log_lock);
	used = strlen(rig->log);
	snprintf(rig->log + used, sizeof(rig->log) - used, "%s\n", line);
	pthread_mutex_unlock(&rig->log_lock);
}

static inline bool
raw_logged(struct raw_rig *rig, const char *text)
{
	bool found;

	pthread_mutex_lock(&rig->log_lock);
	found = strstr(rig->log, text) != NULL;
	pthread_mutex_unlock(&rig->log_lock);
	return found;
}

static inline unsigned int
raw_left(struct raw_rig *rig)
{
	unsigned int left;

	pthread_mutex_lock(&rig->log_lock);
	left = rig->left;
	pthread_mutex_unlock(&rig->log_lock);
	return left;
}

static inline void *
raw_serve(void *opaque)
{
	struct raw_rig *rig = opaque;
	struct vfiou_server *server;
	int fd;

	for (;;) {
		struct pollfd pfd[] = {{.fd = rig->stop_fd, .events = POLLIN},
			{.fd = rig->listen_fd, .events = POLLIN}};

		if (poll(pfd, 2, -1) < 0 || pfd[0].revents != 0)
			return NULL;
		fd = accept4(rig->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 || vfiou_server_create(&rig->config, fd, &server) != 0)
			abort();
		__atomic_store_n(&rig->client_fd, fd, __ATOMIC_RELAXED);
		vfiou_server_run(server);
		vfiou_server_destroy(server);
		pthread_mutex_lock(&rig->log_lock);
		rig->left++;
		pthread_mutex_unlock(&rig->log_lock);
	}
}

static inline void
raw_listen(struct raw_rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, rig->path);
	rig->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(rig->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(rig->listen_fd, 4), 0);
}

static inline void
raw_start(struct raw_rig *rig, const struct dm_cbdma_config *config, bool engine)
{
	static unsigned int count;
	const char *error;

	memset(rig, 0, sizeof(*rig));
	rig->client_fd = -1;
	pthread_mutex_init(&rig->log_lock, NULL);
	snprintf(rig->path, sizeof(rig->path), "/tmp/vfiou-test.%d.%u.sock", getpid(), count++);
	rig->dev = dm_cbdma_create(config, &error);
	assert_non_null(rig->dev);
	if (engine) {
		assert_int_equal(dm_engine_get(DM_CPU_ANY, DM_IDLE_SLEEP, &rig->engine), 0);
		assert_int_equal(dm_engine_attach(rig->engine, rig->dev), 0);
	}
	rig->config = (struct vfiou_server_config){.dev = rig->dev, .log = raw_log, .opaque = rig};
	raw_listen(rig);
	rig->stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&rig->thread, NULL, raw_serve, rig), 0);
}

static inline void
raw_stop(struct raw_rig *rig)
{
	/* Of a test that has failed, the client may still be there. */
	shutdown(__atomic_load_n(&rig->client_fd, __ATOMIC_RELAXED), SHUT_RDWR);
	assert_int_equal(eventfd_write(rig->stop_fd, 1), 0);
	assert_int_equal(pthread_join(rig->thread, NULL), 0);
	close(rig->listen_fd);
	assert_int_equal(unlink(rig->path), 0);
	if (rig->engine != NULL) {
		dm_engine_detach(rig->engine, rig->dev);
		dm_engine_put(rig->engine);
	}
	dm_device_destroy(rig->dev);
	close(rig->stop_fd);
	pthread_mutex_destroy(&rig->log_lock);
}

static inline int
raw_connect(struct raw_rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, rig->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/** Hang up, and wait until the server has noticed. */
static inline void
raw_close(struct raw_rig *rig, int fd)
{
	unsigned int before = raw_left(rig), i;

	close(fd);
	for (i = 0; i < 5000 && raw_left(rig) == before; i++)
		usleep(1000);
	assert_int_not_equal(raw_left(rig), before);
}

/** Send bytes with file descriptors. */
static inline void
raw_send_bytes(int fd, const void *data, size_t len, const int *fds, unsigned int num_fds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (num_fds > 0) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, num_fds * sizeof(int));
	}
	while (iov.iov_len > 0) {
		ssize_t n = sendmsg(fd, &mh, MSG_NOSIGNAL);

		if (n < 0)
			return; /* hung up on: what comes back tells */
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= n;
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
	}
}

/** Send a message with a header of one's own. */
static inline void
raw_send_header(int fd, struct vfiou_header header, const void *data, size_t len, const int *fds,
		unsigned int num_fds)
{
	uint8_t *message = malloc(sizeof(header) + len);

	assert_non_null(message);
	memcpy(message, &header, sizeof(header));
	if (len > 0)
		memcpy(message + sizeof(header), data, len);
	raw_send_bytes(fd, message, sizeof(header) + len, fds, num_fds);
	free(message);
}

/** Send a good header and len bytes behind it. */
static inline void
raw_send(int fd, unsigned int command, const void *data, size_t len, const int *fds,
		unsigned int num_fds)
{
	struct vfiou_header header = {
		.id = 0x1234, .command = command, .size = sizeof(header) + len};

	raw_send_header(fd, header, data, len, fds, num_fds);
}

static inline bool
raw_read_all(int fd, void *data, size_t len, int *got_fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;

	while (len > 0) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		struct iovec iov = {.iov_base = data, .iov_len = len};
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			.msg_controllen = sizeof(control)};
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, 20000), 1);
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
		if (n <= 0)
			return false;
		if (mh.msg_controllen > 0)
			memcpy(got_fd, CMSG_DATA(&control.align), sizeof(int));
		data = (uint8_t *)data + n;
		len -= n;
	}
	return true;
}

/** @return whether a reply came; false: the server has hung up. */
static inline bool
raw_receive(int fd, struct raw_reply *reply)
{
	reply->fd = -1;
	if (!raw_read_all(fd, &reply->header, sizeof(reply->header), &reply->fd))
		return false;
	assert_true(reply->header.size >= sizeof(reply->header));
	reply->len = reply->header.size - sizeof(reply->header);
	assert_true(reply->len <= sizeof(reply->data));
	return raw_read_all(fd, reply->data, reply->len, &reply->fd);
}

/** Send a command and receive its reply, which has to be in good form. @return its error, 0:
 * none.
 */
static inline int
raw_command(int fd, unsigned int command, const void *data, size_t len, const int *fds,
		unsigned int num_fds, struct raw_reply *reply)
{
	raw_send(fd, command, data, len, fds, num_fds);
	assert_true(raw_receive(fd, reply));
	assert_int_equal(reply->header.id, 0x1234);
	assert_int_equal(reply->header.command, command);
	if (reply->header.flags == (VFIOU_TYPE_REPLY | VFIOU_ERROR)) {
		assert_int_equal(reply->len, 0);
		assert_int_not_equal(reply->header.error, 0);
		return reply->header.error;
	}
	assert_int_equal(reply->header.flags, VFIOU_TYPE_REPLY);
	assert_int_equal(reply->header.error, 0);
	return 0;
}

static inline int
raw_version(int fd, uint16_t major, uint16_t minor, const char *json, struct raw_reply *reply)
{
	uint8_t data[1024];
	size_t len = json == NULL ? 0 : strlen(json) + 1;

	memcpy(data, &major, 2);
	memcpy(data + 2, &minor, 2);
	if (len > 0)
		memcpy(data + 4, json, len);
	return raw_command(fd, VFIOU_VERSION, data, 4 + len, NULL, 0, reply);
}

/** A client that is past the handshake. */
static inline int
raw_client(struct raw_rig *rig)
{
	struct raw_reply reply;
	int fd = raw_connect(rig);

	assert_int_equal(raw_version(fd, 0, 1, "{\"capabilities\":{\"write_multiple\":true}}",
				 &reply), 0);
	return fd;
}

static inline int
raw_read(int fd, unsigned int region, uint64_t offset, void *data, uint32_t count)
{
	const struct vfiou_region_access access = {
		.offset = offset, .region = region, .count = count};
	struct raw_reply reply;
	int error = raw_command(fd, VFIOU_REGION_READ, &access, sizeof(access), NULL, 0, &reply);

	if (error == 0) {
		assert_int_equal(reply.len, sizeof(access) + count);
		assert_memory_equal(reply.data, &access, sizeof(access));
		memcpy(data, reply.data + sizeof(access), count);
	}
	return error;
}

static inline int
raw_write(int fd, unsigned int region, uint64_t offset, const void *data, uint32_t count)
{
	const struct vfiou_region_access access = {
		.offset = offset, .region = region, .count = count};
	uint8_t message[sizeof(access) + 4096];
	struct raw_reply reply;
	int error;

	assert_true(count <= 4096);
	memcpy(message, &access, sizeof(access));
	memcpy(message + sizeof(access), data, count);
	error = raw_command(fd, VFIOU_REGION_WRITE, message, sizeof(access) + count, NULL, 0,
			&reply);
	if (error == 0)
		assert_int_equal(reply.len, sizeof(access));
	return error;
}

static inline uint64_t
raw_get(int fd, unsigned int region, uint64_t offset, unsigned int width)
{
	uint64_t value = 0;

	assert_int_equal(raw_read(fd, region, offset, &value, width), 0);
	return value;
}

static inline void
raw_set(int fd, unsigned int region, uint64_t offset, unsigned int width, uint64_t value)
{
	assert_int_equal(raw_write(fd, region, offset, &value, width), 0);
}

static inline int
raw_map(int fd, uint64_t address, uint64_t size, uint64_t offset, uint32_t flags, int file)
{
	const struct vfiou_dma_map map = {.argsz = sizeof(map), .flags = flags, .offset = offset,
		.address = address, .size = size};
	struct raw_reply reply;

	return raw_command(fd, VFIOU_DMA_MAP, &map, sizeof(map), &file, file >= 0 ? 1 : 0, &reply);
}

static inline int
raw_unmap(int fd, uint64_t address, uint64_t size, uint32_t flags)
{
	const struct vfiou_dma_unmap unmap = {
		.argsz = sizeof(unmap), .flags = flags, .address = address, .size = size};
	struct raw_reply reply;
	int error = raw_command(fd, VFIOU_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0, &reply);

	if (error == 0) {
		assert_int_equal(reply.len, sizeof(unmap));
		assert_memory_equal(reply.data, &unmap, sizeof(unmap));
	}
	return error;
}

#define RAW_MEMORY_NAME "vfiou-test-memory"

static inline int
raw_memory(size_t size)
{
	int fd = memfd_create(RAW_MEMORY_NAME, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

/** Open file descriptors of this process. */
static inline unsigned int
raw_count_fds(void)
{
	unsigned int count = 0;
	DIR *dir = opendir("/proc/self/fd");

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

/** Mappings of raw_memory() in this process. */
static inline unsigned int
raw_count_maps(void)
{
	unsigned int count = 0;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, RAW_MEMORY_NAME) != NULL)
			count++;
	fclose(f);
	return count;
}

#endif /* RAW_CLIENT_H */
