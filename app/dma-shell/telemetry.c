/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * DPDK's telemetry of this very process. What a driver serves there (registers, ring state,
 * counters of errors) has no function to call: it is reached through the socket only.
 */

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_string_fns.h>

#include "shell.h"

#define ANSWER_MAX (128 * 1024)

/* Connect to one socket; -1 unless it is ours, which its greeting tells. */
static int
connect_own(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 1 };
	char greeting[1024], pid[32];
	ssize_t n;
	int fd;

	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path))
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
			(n = read(fd, greeting, sizeof(greeting) - 1)) <= 0)
		goto other;
	greeting[n] = '\0';
	snprintf(pid, sizeof(pid), "\"pid\":%d,", getpid());
	if (strstr(greeting, pid) != NULL)
		return fd;
other:
	close(fd);
	return -1;
}

static int
connect_telemetry(void)
{
	char pattern[256];
	glob_t found;
	size_t i;
	int fd = -1;

	/* Processes that share a runtime directory have sockets with ":1", ":2" at their ends. */
	snprintf(pattern, sizeof(pattern), "%s/dpdk_telemetry.v2*", rte_eal_get_runtime_dir());
	if (glob(pattern, 0, NULL, &found) != 0)
		return -1;
	for (i = 0; i < found.gl_pathc && fd < 0; i++)
		fd = connect_own(found.gl_pathv[i]);
	globfree(&found);
	return fd;
}

char *
telemetry_query(const char *command)
{
	char *answer = NULL, *value;
	int fd = connect_telemetry();
	ssize_t n;

	if (fd < 0)
		return NULL;
	answer = malloc(ANSWER_MAX);
	if (answer == NULL || write(fd, command, strlen(command)) < 0 ||
			(n = read(fd, answer, ANSWER_MAX - 1)) <= 0)
		goto none;
	answer[n] = '\0';
	close(fd);
	fd = -1;

	/* {"/command":VALUE} */
	value = strstr(answer, "\":");
	if (value == NULL || n < 3 || answer[n - 1] != '}')
		goto none;
	answer[n - 1] = '\0';
	value += 2;
	if (strcmp(value, "null") == 0)
		goto none;
	memmove(answer, value, strlen(value) + 1);
	return answer;
none:
	if (fd >= 0)
		close(fd);
	free(answer);
	return NULL;
}

int
cmd_show_telemetry(const struct args *a)
{
	const char *command = a->w[2].str;
	char *answer;

	if (command[0] != '/')
		return shell_error(-EINVAL, "bad word '%s': expected a path (/, /dmadev/list, "
			"/dmadev/info,0)", command);
	answer = telemetry_query(command);
	if (answer == NULL)
		return shell_error(-ENOENT, "no telemetry for '%s': 'show telemetry /' lists what "
			"there is", command);
	out_begin("telemetry");
	out_str("path", "%s", command);
	out_json("value", answer);
	out_line();
	free(answer);
	return 0;
}
