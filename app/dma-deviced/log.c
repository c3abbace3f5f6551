/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "deviced.h"
#include "vfiou_msg.h"

/* Lines for each function in each window: a client that comes and goes as fast as it can would fill
 * a disk otherwise.
 */
#define LOG_LINES     50
#define LOG_WINDOW_MS 10000

/* Whether to log a line. Sessions and supervisor may meet here: one more or less does not matter.
 */
static bool
take_line(struct log_budget *log, bool *last)
{
	uint64_t now = vfiou_now_ms();
	uint32_t line;

	if (now - __atomic_load_n(&log->window_ms, __ATOMIC_RELAXED) >= LOG_WINDOW_MS) {
		__atomic_store_n(&log->window_ms, now, __ATOMIC_RELAXED);
		__atomic_store_n(&log->lines, 0, __ATOMIC_RELAXED);
	}
	line = __atomic_add_fetch(&log->lines, 1, __ATOMIC_RELAXED);
	*last = line == LOG_LINES;
	return line <= LOG_LINES;
}

/* Whether a line can be written without waiting for who reads the log, who may have stopped: a pipe
 * that can be written to has room for PIPE_BUF bytes.
 */
static bool
log_has_room(void)
{
	struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT) != 0;
}

void
log_line(const char *subject, const char *line, const char *more)
{
	/* One call: lines of several processes do not mix. */
	if (log_has_room())
		fprintf(stderr, "dma-deviced: %s: %s%s\n", subject, line, more);
}

void
function_log(void *opaque, const char *line)
{
	const struct function *function = opaque;
	bool last = false;

	if (!function->verbose && !take_line(function->log, &last))
		return;
	log_line(function->path, line, last ? " (no more lines for some seconds)" : "");
}

void
function_logf(struct function *function, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	function_log(function, line);
}
