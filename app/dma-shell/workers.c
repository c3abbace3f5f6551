/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Lcores that copy all the time, each on a device of its own, while the shell stays responsive.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "workers.h"

#define WORKER_MEMORY (4 * 1024 * 1024)
#define WORKER_BATCH  32
#define WORKER_SIZE   4096

static struct worker workers[RTE_MAX_LCORE];

const struct worker *
worker_get(unsigned int lcore)
{
	return workers[lcore].set ? &workers[lcore] : NULL;
}

bool
workers_running(void)
{
	unsigned int i;

	for (i = 0; i < RTE_MAX_LCORE; i++)
		if (workers[i].running)
			return true;
	return false;
}

int
cmd_set_worker(const struct args *a)
{
	uint64_t lcore = a->w[2].num;
	uint64_t size = option_num(a, "size", WORKER_SIZE);
	uint64_t batch = option_num(a, "batch", WORKER_BATCH);
	struct worker *w;
	unsigned int i;

	if (lcore >= RTE_MAX_LCORE || !rte_lcore_is_enabled(lcore))
		return shell_error(-EINVAL, "bad word '%" PRIu64 "': expected an lcore of 'show "
			"lcores' (EAL's -l gives them)", lcore);
	if (lcore == rte_get_main_lcore())
		return shell_error(-EBUSY, "lcore %" PRIu64 " runs this shell: expected another one",
			lcore);
	if (device_get(a->w[4].dev.id) == NULL)
		return -ENODEV;
	if (size == 0 || size > WORKER_MEMORY / 2)
		return shell_error(-ERANGE, "bad size %" PRIu64 ": expected 1 to %u", size,
			WORKER_MEMORY / 2);
	if (batch == 0 || batch > 1024)
		return shell_error(-ERANGE, "bad batch %" PRIu64 ": expected 1 to 1024", batch);
	w = &workers[lcore];
	if (w->running)
		return shell_error(-EBUSY, "lcore %" PRIu64 " is working: 'stop workers' first",
			lcore);
	for (i = 0; i < RTE_MAX_LCORE; i++)
		if (i != lcore && workers[i].set && workers[i].pump.dev == a->w[4].dev.id)
			return shell_error(-EBUSY, "lcore %u works on device %d already", i,
				a->w[4].dev.id);
	*w = (struct worker){
		.set = true,
		.pump = {
			.dev = a->w[4].dev.id,
			.size = size,
			.batch = batch,
		},
	};
	return 0;
}

int
cmd_clear_worker(const struct args *a)
{
	uint64_t lcore = a->w[2].num;

	if (lcore >= RTE_MAX_LCORE || !workers[lcore].set)
		return shell_error(-EINVAL, "bad word '%" PRIu64 "': expected an lcore of 'show "
			"workers'", lcore);
	if (workers[lcore].running)
		return shell_error(-EBUSY, "lcore %" PRIu64 " is working: 'stop workers' first",
			lcore);
	workers[lcore].set = false;
	return 0;
}

static int
worker_start(unsigned int lcore, struct worker *w)
{
	struct shell_dev *d = device_get(w->pump.dev);
	int ret;

	if (d == NULL)
		return -ENODEV;
	if (!d->started) {
		ret = device_start(w->pump.dev);
		if (ret != 0)
			return ret;
	}
	if (device_ready(w->pump.dev, 0) == NULL)
		return -EBUSY;
	if (d->silent)
		return shell_error(-ENOTSUP, "device %d is in silent mode", w->pump.dev);
	if (d->vchan[0].in_flight > 0)
		return shell_error(-EBUSY, "device %d has operations in flight: 'wait %d' first",
			w->pump.dev, w->pump.dev);
	memset(&w->pump.done, 0, sizeof(w->pump.done));
	w->pump.stop = false;
	w->pump.depth = RTE_MAX(d->ring / 2, w->pump.batch);
	w->pump.in_flight = 0;
	ret = pump_init(&w->pump, WORKER_MEMORY, rte_lcore_to_socket_id(lcore));
	if (ret != 0)
		return ret;
	ret = rte_eal_remote_launch(pump_run, &w->pump, lcore);
	if (ret != 0) {
		pump_fini(&w->pump, true);
		return shell_error(ret, "lcore %u does not start: %s", lcore, strerror(-ret));
	}
	d->worker = lcore;
	w->running = true;
	return 0;
}

int
cmd_start_workers(const struct args *a __rte_unused)
{
	unsigned int i, n = 0;
	int ret;

	for (i = 0; i < RTE_MAX_LCORE; i++) {
		if (!workers[i].set || workers[i].running)
			continue;
		ret = worker_start(i, &workers[i]);
		if (ret != 0)
			return ret;
		n++;
	}
	if (n == 0)
		return shell_error(-EINVAL, "no lcore is set to work%s: 'set worker L device N'",
			workers_running() ? " that does not yet" : "");
	out_begin("workers");
	out_num("started", n);
	out_line();
	return 0;
}

static int
worker_stop(unsigned int lcore, struct worker *w)
{
	struct shell_dev *d;
	int ret = 0;

	pump_stop(&w->pump);
	rte_eal_wait_lcore(lcore);
	w->running = false;
	d = device_get(w->pump.dev);
	if (d != NULL)
		d->worker = -1;
	/* The shell has not followed the indexes: it begins anew with the device, as it also must
	 * when something is still in flight, before the memory goes away.
	 */
	if (d != NULL)
		ret = device_restart(w->pump.dev, d->ring);
	pump_fini(&w->pump, d != NULL && ret == 0);
	/* It has ended by itself: the device gave up what the restart has dropped. */
	if (ret == 0 && w->pump.error != 0)
		ret = shell_error(w->pump.error, "device %d %s under lcore %u: %u operations lost",
			w->pump.dev, w->pump.error == -ETIMEDOUT ? "stalled" : "failed", lcore,
			w->pump.in_flight);
	return ret;
}

int
workers_stop(void)
{
	unsigned int i;
	int ret = 0, err;

	for (i = 0; i < RTE_MAX_LCORE; i++)
		if (workers[i].running) {
			err = worker_stop(i, &workers[i]);
			if (ret == 0)
				ret = err;
		}
	return ret;
}

int
cmd_stop_workers(const struct args *a __rte_unused)
{
	int ret;

	if (!workers_running())
		return shell_error(-EALREADY, "no lcore is working");
	ret = workers_stop();
	cmd_show_workers(NULL);
	return ret;
}

int
cmd_show_workers(const struct args *a __rte_unused)
{
	const double hz = rte_get_tsc_hz();
	unsigned int i, n = 0;

	for (i = 0; i < RTE_MAX_LCORE; i++) {
		const struct worker *w = &workers[i];
		const struct pump_counters c = pump_counters_read(&w->pump.done);
		double seconds = RTE_MAX(c.cycles / hz, 1e-9), ops = RTE_MAX(c.ops, 1u);

		if (!w->set)
			continue;
		n++;
		out_begin("workers");
		out_widths(6, 8);
		out_num("lcore", i);
		out_int("device", w->pump.dev);
		out_str("state", "%s", worker_state(w));
		out_num("size", w->pump.size);
		out_num("batch", w->pump.batch);
		out_num("operations", c.ops);
		out_num("errors", c.errors);
		out_real("mops", c.ops / seconds / 1e6, 3);
		out_real("gbps", c.ops * 8.0 * w->pump.size / seconds / 1e9, 2);
		out_real("cycles", c.busy / ops, 1);
		out_row();
	}
	if (n == 0)
		shell_note("no workers: 'set worker L device N'");
	return 0;
}

const char *
worker_state(const struct worker *w)
{
	if (!w->running)
		return "stopped";
	if (w->pump.error == 0)
		return "working";
	return w->pump.error == -ETIMEDOUT ? "stalled" : strerror(-w->pump.error);
}
