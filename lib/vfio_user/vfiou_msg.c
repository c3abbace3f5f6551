/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vfiou_msg.h"

/* As many as the kernel lets one sendmsg() carry (SCM_MAX_FD), so that none is lost unclosed. */
#define KERNEL_MAX_FDS 253

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(KERNEL_MAX_FDS * sizeof(int))];
};

static void
collect_fds(struct vfiou_msg *msg, struct msghdr *mh)
{
	struct cmsghdr *cmsg;
	size_t i, n;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(mh); cmsg != NULL; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (msg->num_fds < VFIOU_MAX_FDS) {
				msg->fds[msg->num_fds++] = fd;
			} else {
				msg->too_many_fds = true;
				close(fd);
			}
		}
	}
	if (mh->msg_flags & MSG_CTRUNC)
		msg->too_many_fds = true;
}

/* @return bytes received; 0: none are there yet; an errno, negative. */
static ssize_t
receive_some(struct vfiou_msg *msg, int fd, void *buffer, size_t len)
{
	union control control;
	struct iovec iov = {.iov_base = buffer, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	collect_fds(msg, &mh);
	return n == 0 ? -ECONNRESET : n;
}

/* Room for what the header announces. */
static int
prepare_data(struct vfiou_msg *msg)
{
	uint8_t *data;

	if (msg->header.size < sizeof(msg->header) || msg->header.size > VFIOU_MAX_MSG)
		return -EMSGSIZE;
	if (vfiou_msg_len(msg) <= msg->data_room)
		return 0;
	data = realloc(msg->data, vfiou_msg_len(msg));
	if (data == NULL)
		return -ENOMEM;
	msg->data = data;
	msg->data_room = vfiou_msg_len(msg);
	return 0;
}

int
vfiou_msg_receive(struct vfiou_msg *msg, int fd)
{
	const size_t head = sizeof(msg->header);
	ssize_t n;
	int ret;

	while (msg->received < head) {
		n = receive_some(msg, fd, (uint8_t *)&msg->header + msg->received,
				head - msg->received);
		if (n <= 0)
			return n;
		msg->received += n;
		if (msg->received == head) {
			ret = prepare_data(msg);
			if (ret != 0)
				return ret;
		}
	}
	while (msg->received < msg->header.size) {
		n = receive_some(msg, fd, msg->data + (msg->received - head),
				msg->header.size - msg->received);
		if (n <= 0)
			return n;
		msg->received += n;
	}
	return 1;
}

int
vfiou_msg_take_fd(struct vfiou_msg *msg)
{
	unsigned int i;
	int fd;

	for (i = 0; i < msg->num_fds; i++) {
		fd = msg->fds[i];
		if (fd >= 0) {
			msg->fds[i] = -1;
			return fd;
		}
	}
	return -1;
}

void
vfiou_msg_reset(struct vfiou_msg *msg)
{
	int fd;

	while ((fd = vfiou_msg_take_fd(msg)) >= 0)
		close(fd);
	msg->num_fds = 0;
	msg->too_many_fds = false;
	msg->received = 0;
}

void
vfiou_msg_free(struct vfiou_msg *msg)
{
	vfiou_msg_reset(msg);
	free(msg->data);
	memset(msg, 0, sizeof(*msg));
}

uint64_t
vfiou_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

int
vfiou_msg_wait(int fd, short events, uint64_t end)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	uint64_t now = vfiou_now_ms();

	if (now >= end)
		return -ETIMEDOUT;
	return poll(&pfd, 1, end - now < INT_MAX ? (int)(end - now) : -1) < 0 && errno != EINTR ?
		-errno : 0;
}

static void
attach_fd(struct msghdr *mh, union control *control, const int *fd)
{
	struct cmsghdr *cmsg;

	mh->msg_control = control;
	mh->msg_controllen = CMSG_SPACE(sizeof(*fd));
	cmsg = CMSG_FIRSTHDR(mh);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(*fd));
	memcpy(CMSG_DATA(cmsg), fd, sizeof(*fd));
}

/* Leave out the first n bytes. */
static void
skip_bytes(struct msghdr *mh, size_t n)
{
	while (mh->msg_iovlen > 0 && n >= mh->msg_iov->iov_len) {
		n -= mh->msg_iov->iov_len;
		mh->msg_iov++;
		mh->msg_iovlen--;
	}
	if (n > 0) {
		mh->msg_iov->iov_base = (uint8_t *)mh->msg_iov->iov_base + n;
		mh->msg_iov->iov_len -= n;
	}
}

int
vfiou_msg_send(int fd, struct vfiou_header *header, const void *data, size_t len,
		const void *more, size_t more_len, int send_fd, int timeout_ms)
{
	struct iovec iov[] = {
		{.iov_base = header, .iov_len = sizeof(*header)},
		{.iov_base = (void *)(uintptr_t)data, .iov_len = len},
		{.iov_base = (void *)(uintptr_t)more, .iov_len = more_len},
	};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 3};
	const uint64_t end = vfiou_now_ms() + timeout_ms;
	union control control;

	header->size = sizeof(*header) + len + more_len;
	memset(&control.align, 0, sizeof(control.align));
	if (send_fd >= 0)
		attach_fd(&mh, &control, &send_fd);
	while (mh.msg_iovlen > 0) {
		ssize_t n = sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			/* The descriptor went with the first byte. */
			mh.msg_control = NULL;
			mh.msg_controllen = 0;
			skip_bytes(&mh, n);
		} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			int ret = vfiou_msg_wait(fd, POLLOUT, end);

			if (ret != 0)
				return ret;
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}
