/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DEVICED_H
#define DEVICED_H

/* A dma-deviced to test with. */

#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#include "test_driver.h"

/* Start it and wait until it listens; the file may be there before, of the one before. It and what
 * it starts are a process group of their own, to be stopped together.
 */
static inline pid_t
deviced_start(const char *program, const char *path, const char *device, const char *fault)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = -1, ret = -1;
	unsigned int i;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	setpgid(pid, 0);
	if (pid == 0) {
		execl(program, program, "--socket", path, "--device", device,
			fault == NULL ? NULL : "--inject", fault, NULL);
		_exit(127);
	}
	strcpy(address.sun_path, path);
	for (i = 0; i < 10000 && ret != 0; i++) {
		if (i > 0)
			usleep(1000);
		close(fd);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ret = connect(fd, (struct sockaddr *)&address, sizeof(address));
	}
	close(fd);
	assert_int_equal(ret, 0);
	return pid;
}

#endif /* DEVICED_H */
