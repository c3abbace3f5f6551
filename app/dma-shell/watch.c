/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * A live screen of devices and workers: rates from the difference of two looks at the counters.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <cmdline_vt100.h>

#include <rte_cycles.h>

#include "workers.h"

#define HOME      "\033[H" /* vt100_home is a scroll, which leaves the screen's top */
#define BAR_WIDTH 20

enum show { NOTHING, RESULTS, SCREEN };

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
	used = now.submitted > now.completed ? now.submitted - now.completed : 0;
	if (show == SCREEN) {
		bar(used / d->ring, occupancy);
		printf("%6d %-18.18s %-8s %9.3f  %s %5.0f %8" PRIu64 "%s\n", id, d->name,
			d->worker >= 0 ? "working" : d->started ? "started" : "stopped", ops / 1e6,
			occupancy, used, now.errors, vt100_clear_right);
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
		printf("%6u device %-11d %-8s %9.3f  %s %4.0f%% %8.2f%s\n", lcore, w->pump.dev,
			worker_state(w), ops / 1e6, load, 100 * busy,
			ops * w->pump.size * 8 / 1e9, vt100_clear_right);
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

	if (show == SCREEN)
		printf(HOME "dma-shell watch: q leaves%s\n%s\n%6s %-18s %-8s %9s  %-20s %5s %8s%s\n",
			vt100_clear_right, vt100_clear_right, "device", "name", "state", "MOps",
			"ring", "used", "errors", vt100_clear_right);
	RTE_DMA_FOREACH_DEV(id)
		watch_device(id, seconds, show);
	if (show == SCREEN)
		printf("%s\n%6s %-18s %-8s %9s  %-20s %5s %8s%s\n", vt100_clear_right, "lcore",
			"works on", "state", "MOps", "busy", "", "Gbps", vt100_clear_right);
	RTE_LCORE_FOREACH_WORKER(lcore)
		watch_worker(lcore, seconds, show);
	if (show == SCREEN)
		fputs(vt100_clear_down, stdout);
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
		fputs(vt100_clear_screen, stdout);
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
	return shell.interrupted ? -EINTR : 0;
}
