/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DEVICED_H
#define DEVICED_H

/**
 * @file
 *
 * What the parts of dma-deviced have in common.
 *
 * The supervisor listens at the sockets and reads nothing that a client sends. Each client gets a
 * process of its own, the session, with a device of its own: what a client breaks ends with it.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "dm_engine.h"

#define MAX_FUNCTIONS 16
#define MAX_FAULTS    16

/** Lines that the sessions of a function and the supervisor have logged about it. They share it. */
struct log_budget {
	uint64_t window_ms; /**< when it was filled up last */
	uint32_t lines;	    /**< since then */
};

/** A socket and the function behind it. */
struct function {
	/* As told by the options. */
	const char *path;
	const char *device;
	const char *fault[MAX_FAULTS];
	unsigned int faults;
	bool verbose;

	int listen_fd;		 /**< -1: none */
	struct stat socket_stat; /**< to tell whether the file is still ours; all 0: it is not */
	struct log_budget *log;

	/* The session; the supervisor's. */
	pid_t session;	     /**< 0: none */
	int client_fd;	     /**< its client, to see whether it is there; -1: it has left */
	int waiting_fd;	     /**< client that waits for the session to end; -1: none */
	bool killed;	     /**< by us */
	uint64_t kill_at;    /**< when it has to have ended; UINT64_MAX: when it likes */
	uint64_t accept_at;  /**< no new session before that */
	unsigned int crashes; /**< one after the other */
};

struct options {
	struct function function[MAX_FUNCTIONS];
	unsigned int functions;
	int cpu;
	enum dm_idle idle;
	unsigned int latency;
	uint64_t max_memory; /**< bytes that a client may map */
	bool verbose;

	bool drop_user; /**< sessions run as this user and group */
	uid_t uid;
	gid_t gid;
};

/** Log a line, unless that would mean to wait. */
void log_line(const char *subject, const char *line, const char *more);

/** Log a line about a function. Lines that come too fast are left out. */
void function_log(void *function, const char *line);

/** The same, as printf() has it. */
void function_logf(struct function *function, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * Listen at a function's path, or at the socket that "fd:N" names.
 *
 * @return 0; an errno, negative: the reason has been logged.
 */
int function_listen(struct function *function);

/** Remove the socket's file, right before the process ends, which closes the socket. */
void function_unlisten(struct function *function);

/** Serve a client, which fd is connected to: the whole life of a session. @return exit status */
int session_main(struct function *function, const struct options *options, int fd);

/**
 * Accept clients until a signal says to end.
 *
 * @param signals
 *   Those that say so, and SIGCHLD; blocked.
 * @return 0; an errno, negative.
 */
int supervise(struct options *options, const sigset_t *signals);

/**
 * Give up all rights that a session does not need, as far as that can be done before its threads
 * are started.
 *
 * @return 0; an errno, negative, and *what failed.
 */
int sandbox_enter(const struct options *options, const char **what);

/** Have the kernel end the process when it makes a system call that a session has no use for. */
int sandbox_seal(const char **what);

#endif /* DEVICED_H */
