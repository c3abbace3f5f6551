/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The sockets of dma-deviced: made, found left behind, passed on, removed. */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "deviced.h"

/* How long to wait for another dma-deviced that is about to listen at the same path. */
#define LOCK_TRIES   40
#define LOCK_WAIT_US 50000

#define BACKLOG 4

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

/* Of two that find the same stale socket, one must not remove the socket that the other one has put
 * in its place. So there is a file beside it, for as long as that takes, that nobody else can open, and
 * lock.
 *
 * @return -1: it cannot be had, which is tolerated: where it cannot be made, a socket can neither;
 *   and a file that has something in it is none of ours, and not to be removed.
 */
static int
lock_path(const char *name)
{
	struct stat ours, there;
	unsigned int tries;
	int fd;

	for (tries = 0; tries < LOCK_TRIES; tries++) {
		fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
		if (fd < 0)
			return -1;
		if (fstat(fd, &ours) != 0 || !S_ISREG(ours.st_mode) || ours.st_size != 0) {
			close(fd);
			return -1;
		}
		/* Whoever had it before has removed it by now, perhaps. */
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (lstat(name, &there) == 0 && ours.st_ino == there.st_ino &&
					ours.st_dev == there.st_dev)
				return fd;
		} else {
			usleep(LOCK_WAIT_US);
		}
		close(fd);
	}
	return -1;
}

static void
unlock_path(const char *name, int fd)
{
	if (fd < 0)
		return;
	unlink(name);
	close(fd);
}

static int
bind_and_listen(struct function *function, int fd, const struct sockaddr_un *address)
{
	int ret = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : -errno;

	if (ret == -EADDRINUSE && is_stale(address)) {
		function_log(function, "removing the socket of a server that is gone");
		unlink(address->sun_path);
		ret = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ?
			0 : -errno;
	}
	if (ret == 0 && listen(fd, BACKLOG) != 0)
		ret = -errno;
	return ret;
}

static int
listen_at(struct function *function)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char lock_name[sizeof(address.sun_path) + sizeof(".lock")];
	int fd, lock, ret;

	if (function->path[0] == '\0' || strlen(function->path) >= sizeof(address.sun_path)) {
		function_logf(function, "a socket's path has 1 to %zu characters",
			sizeof(address.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(address.sun_path, function->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(lock_name, sizeof(lock_name), "%s.lock", function->path);
	lock = lock_path(lock_name);
	ret = bind_and_listen(function, fd, &address);
	unlock_path(lock_name, lock);
	if (ret != 0) {
		function_logf(function, "cannot listen: %s",
			ret == -EADDRINUSE ? "the socket is another server's, or the file is none"
					   : strerror(-ret));
		close(fd);
		return ret;
	}
	if (lstat(function->path, &function->socket_stat) != 0)
		memset(&function->socket_stat, 0, sizeof(function->socket_stat));
	function->listen_fd = fd;
	return 0;
}

static bool
has_option(int fd, int option, int value)
{
	socklen_t len = sizeof(int);
	int got;

	return getsockopt(fd, SOL_SOCKET, option, &got, &len) == 0 && got == value;
}

/* A socket that whoever started us listens at: systemd, with a socket unit. */
static int
listen_inherited(struct function *function, const char *number)
{
	unsigned long fd;
	char *end;

	errno = 0;
	fd = strtoul(number, &end, 10);
	if (!isdigit((unsigned char)number[0]) || *end != '\0' || errno != 0 || fd < 3 ||
			fd > 1023 ||
			!has_option(fd, SO_DOMAIN, AF_UNIX) ||
			!has_option(fd, SO_TYPE, SOCK_STREAM) ||
			!has_option(fd, SO_ACCEPTCONN, 1)) {
		function_log(function, "cannot listen: that is no unix stream socket that listens");
		return -EINVAL;
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		return -errno;
	function->listen_fd = fd;
	return 0;
}

int
function_listen(struct function *function)
{
	if (strncmp(function->path, "fd:", 3) == 0)
		return listen_inherited(function, function->path + 3);
	return listen_at(function);
}

void
function_unlisten(struct function *function)
{
	struct stat st;

	if (function->listen_fd < 0)
		return;
	/* Unless someone has put something else there. */
	if (function->socket_stat.st_ino != 0 && lstat(function->path, &st) == 0 &&
			st.st_ino == function->socket_stat.st_ino &&
			st.st_dev == function->socket_stat.st_dev)
		unlink(function->path);
	/* It is left to the end of the process to close it: of clients that have not been accepted
	 * files may lie in it, and to close those can take as long as they like (supervisor.c,
	 * release_client()).
	 */
	function->listen_fd = -1;
}
