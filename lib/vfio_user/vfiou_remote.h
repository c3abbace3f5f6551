/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_REMOTE_H
#define VFIOU_REMOTE_H

/**
 * @file
 *
 * Memory that the client gave no file for: it is asked to read and write it, with VFIOU_DMA_READ and
 * VFIOU_DMA_WRITE, on its socket or on a twin of it.
 *
 * The thread that runs the device asks and waits, at most VFIOU_ANSWER_MS; the server's thread
 * receives the answers and goes on with the client's commands meanwhile.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "dm_device.h"
#include "vfiou_msg.h"

/** How long the client may take to answer. */
#define VFIOU_ANSWER_MS 5000

struct vfiou_remote {
	struct dm_device *dev;
	int client_fd; /**< the client's first socket: shut down when the client cannot be asked */
	int twin;      /**< where it is asked; -1: on its first socket */

	/** Messages of both threads, one after the other. Taken with the device's lock held. */
	pthread_mutex_t send;

	pthread_mutex_t lock; /**< of what follows; the last one to be taken */
	pthread_cond_t answered;
	bool closed; /**< nobody is asked any more */
	bool unread; /**< and that is why: it did not read what it was asked */
	bool waiting;
	bool unwanted; /**< the device can do without the answer, or with the one that has come */
	uint16_t id; /**< of the question that is waited for, or of the last one */
	bool write;
	uint64_t address;
	uint64_t len;
	uint8_t *data; /**< for what is read */
	int result;
};

/** @return 0; an errno, negative. */
int vfiou_remote_init(struct vfiou_remote *remote, struct dm_device *dev, int fd);

/** Undo vfiou_remote_init(), after vfiou_remote_close(). */
void vfiou_remote_destroy(struct vfiou_remote *remote);

/**
 * The client may be asked, for max bytes at a time.
 *
 * @param twin
 *   Ask there, rather than on the client's first socket: this side of a pair of sockets, the
 *   callee's then. -1: none.
 * @return 0; an errno, negative.
 */
int vfiou_remote_open(struct vfiou_remote *remote, uint64_t max, int twin);

/** Nobody is asked any more; when this returns, nobody waits. */
void vfiou_remote_close(struct vfiou_remote *remote);

/** Whether the client has been shut down because it did not read what it was asked. */
bool vfiou_remote_is_unread(struct vfiou_remote *remote);

/**
 * A reply has come.
 *
 * @return whether it is one to what was asked, however late or wrong: it is to be dropped then.
 */
bool vfiou_remote_answer(struct vfiou_remote *remote, const struct vfiou_msg *msg);

#endif /* VFIOU_REMOTE_H */
