/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * A live screen of devices and workers: rates from the difference of two looks at the counters.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmdline_vt100.h>

#include <rte_cycles.h>

#include "workers.h"

#define HOME      "\033[H" /* vt100_home is a scroll, which leaves the screen's top */
#define BAR_WIDTH 20
#define HISTORY   512
#define ALTERNATE_SCREEN "\033[?1049h"
#define NORMAL_SCREEN    "\033[?1049l"

enum show { NOTHING, RESULTS, SCREEN };

/* The window, and lines that are left in it. */
static unsigned int columns, lines;

/* Rates of all devices together, the latest last. */
static double history[HISTORY];
static unsigned int nb_history;
static double rate_of_all;

/* What was seen last time. */
static struct rte_dma_stats seen[RTE_DMADEV_DEFAULT_MAX];
static struct pump_counters seen_worker[RTE_MAX_LCORE];

static void
device_stats(int16_t id, struct rte_dma_stats *sum)
{
	const struct shell_dev *d = device_get(id);
	struct rte_dma_stats one;
	uint16_t v;

	memset(sum, 0, sizeof(*sum));
	for (v = 0; d != NULL && d->started && v < d->vchans; v++)
		if (rte_dma_stats_get(id, v, &one) == 0) {
			sum->submitted += one.submitted;
			sum->completed += one.completed;
			sum->errors += one.errors;
		}
}

/* A counter that went back was cleared. */
static double
rate(uint64_t now, uint64_t before, double seconds)
{
	return seconds <= 0 || now < before ? 0 : (now - before) / seconds;
}

static void
bar(double part, char *dst)
{
	unsigned int i, full = RTE_MIN(part, 1.0) * BAR_WIDTH + 0.5;

	for (i = 0; i < BAR_WIDTH; i++)
		dst[i] = i < full ? '#' : '.';
	dst[BAR_WIDTH] = '\0';
}

static void
window_size(void)
{
	struct winsize w;

	columns = 80;
	lines = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0) {
		columns = w.ws_col;
		lines = w.ws_row;
	}
}

/* A line of the screen, cut to its width; the last one stays free. */
static void
put_line(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (lines <= 1)
		return;
	lines--;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("%.*s%s\n", (int)columns, text, vt100_clear_right);
}

/* What the devices did lately, scaled to the highest. */
static void
put_history(void)
{
	static const char levels[] = " .:-=+*#";
	unsigned int i, n = RTE_MIN(nb_history, RTE_MIN(columns, 500u) - RTE_MIN(columns, 24u));
	char text[HISTORY + 1];
	double top = 1e-9;

	for (i = 0; i < n; i++)
		top = RTE_MAX(top, history[nb_history - n + i]);
	for (i = 0; i < n; i++)
		text[i] = levels[(unsigned int)(history[nb_history - n + i] / top * 7 + 0.5)];
	text[n] = '\0';
	put_line("");
	put_line("%9.3f MOps at most  %s", top / 1e6, text);
}

static void
history_add(double rate)
{
	if (nb_history == HISTORY)
		memmove(history, history + 1, --nb_history * sizeof(*history));
	history[nb_history++] = rate;
}

/* Bits a second of the worker on a device; the device counts operations only. */
static double
device_bits(int16_t id, double ops)
{
	unsigned int lcore;

	RTE_LCORE_FOREACH_WORKER(lcore)
		if (worker_get(lcore) != NULL && worker_get(lcore)->pump.dev == id)
			return ops * worker_get(lcore)->pump.size * 8;
	return 0;
}

static void
watch_device(int16_t id, double seconds, enum show show)
{
	const struct shell_dev *d = device_get(id);
	struct rte_dma_stats now, *last = &seen[id];
	double ops, used;
	char occupancy[BAR_WIDTH + 1];

	if (d == NULL)
		return;
	device_stats(id, &now);
	ops = rate(now.completed, last->completed, seconds);
	rate_of_all += ops;
	used = now.submitted > now.completed ? now.submitted - now.completed : 0;
	if (show == SCREEN) {
		bar(used / d->ring, occupancy);
		put_line("%3d %-14.14s %-8s %8.3f %7.2f %s %5.0f %6" PRIu64, id, d->name,
			device_state(d), ops / 1e6,
			device_bits(id, ops) / 1e9, occupancy, used, now.errors);
	} else if (show == RESULTS) {
		out_begin("watch_devices");
		out_int("device", id);
		out_str("name", "%s", d->name);
		out_real("mops", ops / 1e6, 3);
		out_real("in_flight", used, 0);
		out_num("ring", d->ring);
		out_num("errors", now.errors);
		out_row();
	}
	*last = now;
}

static void
watch_worker(unsigned int lcore, double seconds, enum show show)
{
	const struct worker *w = worker_get(lcore);
	struct pump_counters now, *last = &seen_worker[lcore];
	double ops, busy;
	char load[BAR_WIDTH + 1];

	if (w == NULL)
		return;
	now = pump_counters_read(&w->pump.done);
	ops = rate(now.ops, last->ops, seconds);
	busy = rate(now.busy, last->busy, seconds) / rte_get_tsc_hz();
	if (show == SCREEN) {
		bar(busy, load);
		put_line("%3u device %-7d %-8s %8.3f %7.2f %s %4.0f%%", lcore, w->pump.dev,
			worker_state(w), ops / 1e6, ops * w->pump.size * 8 / 1e9, load,
			100 * busy);
	} else if (show == RESULTS) {
		out_begin("watch_lcores");
		out_num("lcore", lcore);
		out_int("device", w->pump.dev);
		out_str("state", "%s", worker_state(w));
		out_real("mops", ops / 1e6, 3);
		out_real("gbps", ops * w->pump.size * 8 / 1e9, 2);
		out_real("busy_percent", 100 * busy, 1);
		out_num("errors", now.errors);
		out_row();
	}
	*last = now;
}

static void
look(double seconds, enum show show)
{
	unsigned int lcore;
	int16_t id;

	rate_of_all = 0;
	if (show == SCREEN) {
		window_size();
		fputs(HOME, stdout);
		put_line("dma-shell watch: q leaves");
		put_line("");
		put_line("%3s %-14s %-8s %8s %7s %-20s %5s %6s", "dev", "name", "state", "MOps",
			"Gbps", "ring", "used", "errors");
	}
	RTE_DMA_FOREACH_DEV(id)
		watch_device(id, seconds, show);
	if (show == SCREEN) {
		put_line("");
		put_line("%3s %-14s %-8s %8s %7s %-20s", "lco", "works on", "state", "MOps", "Gbps",
			"busy");
	}
	RTE_LCORE_FOREACH_WORKER(lcore)
		watch_worker(lcore, seconds, show);
	if (show == SCREEN) {
		history_add(rate_of_all);
		put_history();
		fputs(vt100_clear_down, stdout);
	}
	fflush(stdout);
}

int
cmd_watch(const struct args *a)
{
	const double interval = a->optional != NULL ? a->optional->real : 1;
	uint64_t count = option_num(a, "count", 0);
	const bool screen = shell.interactive && isatty(STDOUT_FILENO) && !shell.json;
	uint64_t before = rte_rdtsc(), now;
	int key = 0;

	if (interval < 0.01 || interval > 3600)
		return shell_error(-ERANGE, "bad interval: expected 0.01 to 3600 seconds");
	if (count == 0 && !shell.interactive)
		return shell_error(-EINVAL, "nobody is here to leave: expected 'count N'");
	if (screen)
		fputs(ALTERNATE_SCREEN, stdout);
	nb_history = 0;
	/* Rates need two looks: the first is for the screen alone, and shows none. */
	look(0, screen ? SCREEN : NOTHING);
	for (; key != 'q' && key != -1 && !shell.interrupted; key = 0) {
		if (screen)
			key = terminal_key(shell_limit_seconds(interval) * 1000);
		else
			shell_sleep(interval);
		if (key == 'q' || key == -1 || shell.interrupted)
			break;
		now = rte_rdtsc();
		look((double)(now - before) / rte_get_tsc_hz(), screen ? SCREEN : RESULTS);
		before = now;
		if (count > 0 && --count == 0)
			break;
	}
	if (screen)
		fputs(NORMAL_SCREEN, stdout);
	return shell.interrupted ? -EINTR : 0;
}
