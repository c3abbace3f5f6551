/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <stdarg.h>
#include <stdio.h>

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

void
function_log(void *opaque, const char *line)
{
	const struct function *function = opaque;
	bool last = false;

	if (!function->verbose && !take_line(function->log, &last))
		return;
	/* One call: lines of several processes do not mix. */
	fprintf(stderr, "dma-deviced: %s: %s%s\n", function->path, line,
		last ? " (no more lines for some seconds)" : "");
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
