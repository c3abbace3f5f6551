/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dm_guard.h"
#include "vfiou_server_impl.h"

/* How long a client may leave its replies unread once the socket holds no more of them. */
#define REPLY_TIMEOUT_MS 5000

/* Messages that are received from one place before it is looked elsewhere: a client that always has
 * something to say does not keep its own answers, or an event, from being seen.
 */
#define MESSAGES_IN_A_ROW 16

/* How long it may take to agree on the version: until then it keeps others out for nothing. */
#define GREETING_TIMEOUT_MS 2000

static void __attribute__((format(printf, 2, 3)))
log_line(const struct vfiou_server_config *config, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (config->log != NULL)
		config->log(config->opaque, line);
}

static void
raise_interrupt(void *opaque, unsigned int vector)
{
	vfiou_irq_raise(&((struct vfiou_server *)opaque)->irq, vector);
}

int
vfiou_server_create(const struct vfiou_server_config *config, int fd, struct vfiou_server **server)
{
	const struct dm_pci_function *function = dm_pci_function_of(config->dev);
	struct vfiou_server *new;
	int ret;

	if (function == NULL || function->msix_vectors > VFIOU_MAX_VECTORS) {
		log_line(config, "the device is no PCI function that can be served");
		return -EINVAL;
	}
	new = calloc(1, sizeof(*new));
	if (new == NULL)
		return -ENOMEM;
	new->room = calloc(1, VFIOU_MAX_MSG);
	ret = new->room == NULL ? -ENOMEM : vfiou_irq_init(&new->irq, function->msix_vectors);
	if (ret == 0) {
		ret = vfiou_remote_init(&new->remote, config->dev, fd);
		if (ret != 0)
			vfiou_irq_destroy(&new->irq);
	}
	if (ret != 0) {
		free(new->room);
		free(new);
		return ret;
	}
	new->config = *config;
	new->fd = fd;
	new->guarded = dm_guard_count();
	vfiou_dma_init(&new->dma, config->dev, config->max_memory);
	vfiou_pci_init(&new->pci, config->dev, &new->irq);
	dm_pci_set_interrupt(config->dev, raise_interrupt, new);
	*server = new;
	return 0;
}

/* Give back all that the client brought. The function is reset, as it is when the last user of a
 * device closes it in Linux: nobody must find it at work on addresses of this one.
 */
static void
part_from_client(struct vfiou_server *server)
{
	if (server->fd < 0)
		return;
	vfiou_remote_close(&server->remote);
	vfiou_pci_reset(&server->pci);
	dm_pci_set_interrupt(server->config.dev, NULL, NULL);
	vfiou_irq_release(&server->irq);
	vfiou_dma_release(&server->dma);
	vfiou_msg_free(&server->msg);
	vfiou_msg_free(&server->twin_msg);
	shutdown(server->fd, SHUT_RDWR);
	close(server->fd);
	server->fd = -1;
}

static void __attribute__((format(printf, 2, 3)))
hang_up(struct vfiou_server *server, const char *format, ...)
{
	char why[160];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	part_from_client(server);
	/* Once that is so: who reads it may count on it. */
	log_line(&server->config, "client left after %llu messages: %s",
		(unsigned long long)server->messages, why);
}

static int
send_reply(struct vfiou_server *server, struct vfiou_reply *reply, int error)
{
	struct vfiou_header header = {
		.id = server->msg.header.id,
		.command = server->msg.header.command,
		.flags = VFIOU_TYPE_REPLY,
	};
	int ret;

	if (error != 0) {
		header.flags |= VFIOU_ERROR;
		header.error = -error;
		reply->len = 0;
	}
	pthread_mutex_lock(&server->remote.send);
	ret = vfiou_msg_send(server->fd, &header, reply->data, reply->len, NULL, 0,
		error == 0 ? reply->fd : -1, REPLY_TIMEOUT_MS);
	pthread_mutex_unlock(&server->remote.send);
	return ret;
}

static void
log_refusal(struct vfiou_server *server, const char *what)
{
	if (what == NULL || (server->refused_logged && !server->config.verbose))
		return;
	log_line(&server->config, "%s refused: %s%s",
		vfiou_command_name(server->msg.header.command), what,
		server->config.verbose ? "" : " (further ones are not logged)");
	server->refused_logged = true;
}

/* A message is complete. */
static void
handle_message(struct vfiou_server *server)
{
	const struct vfiou_header *header = &server->msg.header;
	struct vfiou_reply reply = {.data = server->room, .fd = -1};
	const char *what;
	int ret, sent = 0;

	server->messages++;
	if (server->negotiated && (header->flags & VFIOU_TYPE_MASK) == VFIOU_TYPE_REPLY &&
			vfiou_remote_answer(&server->remote, &server->msg)) {
		vfiou_msg_reset(&server->msg);
		return;
	}
	if ((header->flags & VFIOU_TYPE_MASK) == VFIOU_TYPE_COMMAND) {
		ret = vfiou_command_execute(server, &reply, &what);
	} else {
		what = "it is no command";
		ret = -EINVAL;
	}
	if (ret != 0)
		log_refusal(server, what);
	if (server->config.verbose)
		log_line(&server->config, "%s, %u bytes, %u files: %s",
			vfiou_command_name(header->command), header->size, server->msg.num_fds,
			ret == 0 ? "done" : strerror(-ret));
	if ((header->flags & VFIOU_NO_REPLY) == 0)
		sent = send_reply(server, &reply, ret);
	if (reply.close_fd)
		close(reply.fd);
	if (sent == -ETIMEDOUT)
		hang_up(server, "it does not read its replies");
	else if (sent != 0)
		hang_up(server, "%s", strerror(-sent));
	else if (!server->negotiated)
		hang_up(server, "no version has been agreed on");
	else
		vfiou_msg_reset(&server->msg);
}

/* A header that says that it is none, or that so much comes behind it that we cannot skip it. */
static void
refuse_size(struct vfiou_server *server)
{
	struct vfiou_reply reply = {.data = server->room, .fd = -1};
	const uint32_t size = server->msg.header.size;

	server->messages++;
	log_refusal(server, "a message of that size");
	if (send_reply(server, &reply, -EINVAL) != 0 || size >= sizeof(struct vfiou_header) ||
			!server->negotiated)
		hang_up(server, "a message of %u bytes", size);
	else
		vfiou_msg_reset(&server->msg);
}

static void
watch_memory(struct vfiou_server *server)
{
	unsigned int guarded = dm_guard_count();

	if (guarded == server->guarded || server->guarded_logged)
		return;
	server->guarded_logged = true;
	log_line(&server->config, "memory that it shares was gone when the device came for it");
}

/* Receive the answers that there are on the twin socket, or some of them: nothing else may come
 * there.
 */
static void
serve_twin(struct vfiou_server *server)
{
	struct vfiou_msg *msg = &server->twin_msg;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < MESSAGES_IN_A_ROW && server->remote.twin >= 0 &&
			(ret = vfiou_msg_receive(msg, server->remote.twin)) == 1; i++) {
		if ((msg->header.flags & VFIOU_TYPE_MASK) != VFIOU_TYPE_REPLY ||
				!vfiou_remote_answer(&server->remote, msg)) {
			hang_up(server, "a message on the twin socket that is no answer");
			return;
		}
		vfiou_msg_reset(msg);
	}
	if (ret < 0)
		hang_up(server, "the twin socket: %s", strerror(-ret));
}

/* Receive what there is, or some of it. */
static void
serve_client(struct vfiou_server *server)
{
	unsigned int i;
	int ret;

	for (i = 0; i < MESSAGES_IN_A_ROW && server->fd >= 0 &&
			(ret = vfiou_msg_receive(&server->msg, server->fd)) != 0; i++) {
		if (ret == 1)
			handle_message(server);
		else if (vfiou_remote_is_unread(&server->remote))
			hang_up(server, "it does not read what it is asked");
		else if (ret == -ECONNRESET && server->msg.received == 0)
			hang_up(server, "it closed the connection");
		else if (ret == -ECONNRESET)
			hang_up(server, "it closed the connection in the middle of a message");
		else if (ret == -EMSGSIZE)
			refuse_size(server);
		else
			hang_up(server, "%s", strerror(-ret));
		watch_memory(server);
	}
}

/* The client has signalled that the pin be unmasked. Reading may not wait: it may have been read by
 * someone else since.
 */
static void
serve_unmask(struct vfiou_server *server)
{
	uint64_t count;
	const struct iovec iov = {.iov_base = &count, .iov_len = sizeof(count)};
	ssize_t n;

	if (server->irq.unmask_fd < 0)
		return;
	n = preadv2(server->irq.unmask_fd, &iov, 1, -1, RWF_NOWAIT);
	if (n == sizeof(count))
		vfiou_irq_mask_pin(&server->irq, false, dm_pci_pin_asserted(server->config.dev));
	else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		vfiou_irq_set_unmask(&server->irq, -1);
}

/* Wait for something to do. A client that has agreed on the version may take all the time it
 * likes.
 */
static int
wait_for_client(const struct vfiou_server *server, uint64_t greeting_end)
{
	struct pollfd pfd[] = {
		{.fd = server->fd, .events = POLLIN},
		{.fd = server->remote.twin, .events = POLLIN}, /* -1 is skipped */
		{.fd = server->irq.unmask_fd, .events = POLLIN},
	};

	if (!server->negotiated)
		return vfiou_msg_wait(server->fd, POLLIN, greeting_end);
	return poll(pfd, sizeof(pfd) / sizeof(pfd[0]), -1) < 0 && errno != EINTR ? -errno : 0;
}

void
vfiou_server_run(struct vfiou_server *server)
{
	const uint64_t end = vfiou_now_ms() + GREETING_TIMEOUT_MS;
	int ret;

	while (server->fd >= 0) {
		serve_client(server);
		if (server->fd >= 0)
			serve_twin(server);
		if (server->fd >= 0)
			serve_unmask(server);
		if (server->fd < 0)
			break;
		ret = wait_for_client(server, end);
		if (ret == -ETIMEDOUT)
			hang_up(server, "it does not agree on a version");
		else if (ret != 0)
			hang_up(server, "%s", strerror(-ret));
	}
}

void
vfiou_server_destroy(struct vfiou_server *server)
{
	if (server == NULL)
		return;
	part_from_client(server);
	vfiou_remote_destroy(&server->remote);
	vfiou_irq_destroy(&server->irq);
	free(server->room);
	free(server);
}
