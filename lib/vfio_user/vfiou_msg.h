/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_MSG_H
#define VFIOU_MSG_H

/**
 * @file
 *
 * Messages on a stream socket, with the file descriptors that travel beside them.
 */

#include <stdbool.h>
#include <stddef.h>

#include "vfiou_proto.h"

/** File descriptors that a message may bring: what we tell the other side. */
#define VFIOU_MAX_FDS 8

/** Longest message: the largest transfer, and what stands in front of it. */
#define VFIOU_MAX_MSG (VFIOU_DEFAULT_XFER + 64)

/** A message that is being received, or has been. */
struct vfiou_msg {
	struct vfiou_header header;
	uint8_t *data;	/**< header.size - sizeof(header) bytes */
	size_t data_room;
	size_t received; /**< bytes, the header included */

	int fds[VFIOU_MAX_FDS]; /**< -1: taken out by vfiou_msg_take_fd() */
	unsigned int num_fds;
	bool too_many_fds; /**< more came, and have been closed */
};

/** Bytes behind the header. */
static inline size_t
vfiou_msg_len(const struct vfiou_msg *msg)
{
	return msg->header.size - sizeof(msg->header);
}

/**
 * Go on receiving a message; start with one that is all zeros.
 *
 * @return 1: it is complete; 0: the rest is still to come;
 *   -ECONNRESET: the other side has closed; -EMSGSIZE: its size is none that a message can have; or
 *   another errno, negative. After an error the stream is of no use any more.
 */
int vfiou_msg_receive(struct vfiou_msg *msg, int fd);

/** Have the first file descriptor; it is the caller's then. @return -1: there is none. */
int vfiou_msg_take_fd(struct vfiou_msg *msg);

/** Close the file descriptors that nobody took, and be ready for the next message. */
void vfiou_msg_reset(struct vfiou_msg *msg);

/** vfiou_msg_reset(), and give back its memory. */
void vfiou_msg_free(struct vfiou_msg *msg);

/**
 * Send a message: header, then len bytes of data, then more bytes; header->size is set here.
 *
 * @param send_fd
 *   A file descriptor to send along; -1: none.
 * @param timeout_ms
 *   How long the other side may take to make room.
 * @return 0; -ETIMEDOUT; or another errno, negative.
 */
int vfiou_msg_send(int fd, struct vfiou_header *header, const void *data, size_t len,
		const void *more, size_t more_len, int send_fd, int timeout_ms);

/** Milliseconds since some time in the past. */
uint64_t vfiou_now_ms(void);

/**
 * Wait for events (of poll()), or until vfiou_now_ms() is end (UINT64_MAX: for ever); may return
 * sooner.
 *
 * @return 0; -ETIMEDOUT: it was past the end already; or another errno, negative.
 */
int vfiou_msg_wait(int fd, short events, uint64_t end);

#endif /* VFIOU_MSG_H */
