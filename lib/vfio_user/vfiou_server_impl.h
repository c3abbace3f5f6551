/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_SERVER_IMPL_H
#define VFIOU_SERVER_IMPL_H

/**
 * @file
 *
 * State of a server, shared by its socket (vfiou_server.c) and its commands (vfiou_command.c).
 * Private to lib/vfio_user.
 */

#include "vfiou_caps.h"
#include "vfiou_dma.h"
#include "vfiou_irq.h"
#include "vfiou_msg.h"
#include "vfiou_pci.h"
#include "vfiou_remote.h"
#include "vfiou_server.h"

struct vfiou_server {
	struct vfiou_server_config config;
	struct vfiou_pci pci;
	struct vfiou_irq irq;
	struct vfiou_dma dma;
	struct vfiou_remote remote;

	int fd; /**< of the client; -1: it has left */
	uint8_t *room; /**< for a reply */
	bool negotiated;
	bool refused_logged; /**< bad messages are logged once: it could send millions */
	struct vfiou_caps caps; /**< the client's */
	struct vfiou_msg msg;
	struct vfiou_msg twin_msg; /**< from remote.twin */
	uint64_t messages;
	unsigned int guarded; /**< dm_guard_count() when it came */
	bool guarded_logged;
};

/** What a command answers, beside the header. */
struct vfiou_reply {
	uint8_t *data; /**< room for VFIOU_MAX_MSG bytes */
	size_t len;
	int fd; /**< to be sent along; -1: none */
	bool close_fd; /**< and closed then */
};

/**
 * Execute the command in server->msg.
 *
 * @param what
 *   When it fails: what is wrong, in words; NULL: nothing worth a line in the log.
 * @return 0; an errno, negative.
 */
int vfiou_command_execute(struct vfiou_server *server, struct vfiou_reply *reply,
		const char **what);

/** Name of a command, for the log. */
const char *vfiou_command_name(unsigned int command);

#endif /* VFIOU_SERVER_IMPL_H */
