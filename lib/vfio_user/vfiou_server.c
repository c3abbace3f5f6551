/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vfiou_server_impl.h"

/* How long a client may leave its replies unread once the socket holds no more of them. */
#define REPLY_TIMEOUT_MS 5000

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

/* The socket */

/* Whether the file at the address is a socket that nobody listens to any more. */
static bool
is_stale(const struct sockaddr_un *address)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(address->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
		errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int
listen_at(const struct vfiou_server_config *config, int *listen_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, ret;

	if (config->path[0] == '\0' || strlen(config->path) >= sizeof(address.sun_path)) {
		log_line(config, "a socket's path has 1 to %zu characters",
			sizeof(address.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(address.sun_path, config->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : -errno;
	if (ret == -EADDRINUSE && is_stale(&address)) {
		log_line(config, "removing the socket of a server that is gone");
		unlink(config->path);
		ret = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : -errno;
	}
	if (ret == 0 && listen(fd, 4) != 0)
		ret = -errno;
	if (ret != 0) {
		log_line(config, "cannot listen: %s",
			ret == -EADDRINUSE ? "the socket is another server's, or the file is none"
					   : strerror(-ret));
		close(fd);
		return ret;
	}
	*listen_fd = fd;
	return 0;
}

int
vfiou_server_create(const struct vfiou_server_config *config, struct vfiou_server **server)
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
	new->config = *config;
	new->fd = -1;
	new->path = strdup(config->path);
	ret = new->path == NULL ? -ENOMEM : listen_at(config, &new->listen_fd);
	if (ret != 0) {
		free(new->path);
		free(new);
		return ret;
	}
	if (lstat(new->path, &new->socket_stat) != 0)
		memset(&new->socket_stat, 0, sizeof(new->socket_stat));
	vfiou_irq_init(&new->irq, function->msix_vectors);
	vfiou_dma_init(&new->dma, config->dev);
	vfiou_pci_init(&new->pci, config->dev, &new->irq);
	*server = new;
	return 0;
}

/* The client */

static void
raise_interrupt(void *opaque, unsigned int vector)
{
	vfiou_irq_raise(&((struct vfiou_server *)opaque)->irq, vector);
}

static void
greet_client(struct vfiou_server *server, int fd)
{
	struct ucred peer = {.pid = -1};
	socklen_t len = sizeof(peer);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	if (server->fd >= 0) {
		log_line(&server->config, "refusing a client (pid %d): there is one already",
			(int)peer.pid);
		close(fd);
		return;
	}
	log_line(&server->config, "client (pid %d) connected", (int)peer.pid);
	server->fd = fd;
	server->negotiated = false;
	server->refused_logged = false;
	server->messages = 0;
	server->guarded = vfiou_dma_guarded();
	dm_pci_set_interrupt(server->config.dev, raise_interrupt, server);
}

/* Give back all that the client brought. The function is reset, as it is when the last user of a
 * device closes it in Linux: the next client must not find it at work on addresses of this one.
 */
static void
part_from_client(struct vfiou_server *server)
{
	if (server->fd < 0)
		return;
	vfiou_pci_reset(&server->pci);
	dm_pci_set_interrupt(server->config.dev, NULL, NULL);
	vfiou_irq_release(&server->irq);
	vfiou_dma_release(&server->dma);
	vfiou_msg_free(&server->msg);
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

	if (error != 0) {
		header.flags |= VFIOU_ERROR;
		header.error = -error;
		reply->len = 0;
		reply->fd = -1;
	}
	return vfiou_msg_send(server->fd, &header, reply->data, reply->len, NULL, 0, reply->fd,
		REPLY_TIMEOUT_MS);
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
handle_message(struct vfiou_server *server, uint8_t *room)
{
	const struct vfiou_header *header = &server->msg.header;
	struct vfiou_reply reply = {.data = room, .fd = -1};
	const char *what;
	int ret, sent = 0;

	server->messages++;
	if ((header->flags & VFIOU_TYPE_MASK) != VFIOU_TYPE_COMMAND) {
		hang_up(server, "a message that is no command (flags %#x)", header->flags);
		return;
	}
	ret = vfiou_command_execute(server, &reply, &what);
	if (ret != 0)
		log_refusal(server, what);
	if (server->config.verbose)
		log_line(&server->config, "%s, %u bytes, %u files: %s",
			vfiou_command_name(header->command), header->size, server->msg.num_fds,
			ret == 0 ? "done" : strerror(-ret));
	if ((header->flags & VFIOU_NO_REPLY) == 0)
		sent = send_reply(server, &reply, ret);
	if (sent == -ETIMEDOUT)
		hang_up(server, "it does not read its replies");
	else if (sent != 0)
		hang_up(server, "%s", strerror(-sent));
	else if (!server->negotiated)
		hang_up(server, "no version has been agreed on");
	else
		vfiou_msg_reset(&server->msg);
}

static void
watch_memory(struct vfiou_server *server)
{
	unsigned int guarded = vfiou_dma_guarded();

	if (guarded == server->guarded)
		return;
	server->guarded = guarded;
	log_line(&server->config, "%s",
		"memory that a client shares was gone when the device came for it");
}

/* Receive what there is, at most so many messages that others get their turn. */
static void
serve_client(struct vfiou_server *server, uint8_t *room)
{
	unsigned int turn;
	int ret;

	for (turn = 0; turn < 64 && server->fd >= 0; turn++) {
		ret = vfiou_msg_receive(&server->msg, server->fd);
		if (ret == 0)
			return;
		if (ret == 1)
			handle_message(server, room);
		else if (ret == -ECONNRESET && server->msg.received == 0)
			hang_up(server, "it closed the connection");
		else if (ret == -ECONNRESET)
			hang_up(server, "it closed the connection in the middle of a message");
		else if (ret == -EMSGSIZE)
			hang_up(server, "a message of %u bytes", server->msg.header.size);
		else
			hang_up(server, "%s", strerror(-ret));
		watch_memory(server);
	}
}

int
vfiou_server_run(struct vfiou_server *server, int stop_fd)
{
	uint8_t *room = calloc(1, VFIOU_MAX_MSG);
	int ret = room == NULL ? -ENOMEM : 0;

	while (ret == 0) {
		struct pollfd pfd[] = {
			{.fd = stop_fd, .events = POLLIN},
			{.fd = server->listen_fd, .events = POLLIN},
			{.fd = server->fd, .events = POLLIN}, /* -1 is skipped */
		};
		int fd;

		if (poll(pfd, 3, -1) < 0) {
			ret = errno == EINTR ? 0 : -errno;
			continue;
		}
		if (pfd[0].revents != 0)
			break;
		/* The client first: one that has left makes room for one that comes. */
		if (pfd[2].revents != 0)
			serve_client(server, room);
		if (pfd[1].revents == 0)
			continue;
		fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			greet_client(server, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
				errno == ENOBUFS) {
			log_line(&server->config, "cannot accept a client: %s", strerror(errno));
			poll(NULL, 0, 100); /* it stays in the queue: not in circles */
		}
	}
	if (server->fd >= 0)
		hang_up(server, "the server stops");
	free(room);
	return ret;
}

void
vfiou_server_destroy(struct vfiou_server *server)
{
	struct stat st;

	if (server == NULL)
		return;
	part_from_client(server);
	/* Unless someone has put something else there. */
	if (lstat(server->path, &st) == 0 && st.st_ino == server->socket_stat.st_ino &&
			st.st_dev == server->socket_stat.st_dev)
		unlink(server->path);
	close(server->listen_fd);
	pthread_mutex_destroy(&server->irq.lock);
	free(server->path);
	free(server);
}
