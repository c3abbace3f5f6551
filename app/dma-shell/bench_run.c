/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Measuring for bench: one size on both sides, in rounds that take turns, so that whatever else the
 * machine does hits both; and what makes the figures doubtful.
 */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>

#include "bench.h"

#define SLICE_SECONDS 0.1
#define THREADS_MAX   256

static void
progress(const char *fmt, ...)
{
	va_list ap;

	if (shell.json || !isatty(STDOUT_FILENO))
		return;
	va_start(ap, fmt);
	fputs("\r\033[0K", stdout);
	vprintf(fmt, ap);
	va_end(ap);
	fflush(stdout);
}

/* rte_eal_wait_lcore() spins, on a CPU that the device's own thread may need. */
static void
wait_for(unsigned int lcore)
{
	while (rte_eal_get_lcore_state(lcore) == RUNNING)
		usleep(500);
	rte_eal_wait_lcore(lcore);
}

static int
check_pump(const struct pump *p)
{
	if (p->error == -ETIMEDOUT)
		return shell_error(p->error, "device %d makes no progress, %u in flight: "
			"'show device %d status'", p->dev, p->in_flight, p->dev);
	if (p->error != 0)
		return shell_error(p->error, "device %d refuses an operation: %s", p->dev,
			strerror(-p->error));
	if (p->done.errors > 0)
		return shell_error(-EIO, "%" PRIu64 " operations of device %d failed: 'show "
			"errors'", p->done.errors, p->dev);
	return 0;
}

/* One slice on all lanes of a side. The main lcore may be one of them. */
static int
run_slice(const struct bench *b, struct bench_lane *lane, bool cpu, double seconds)
{
	int (*run)(void *) = cpu ? pump_memcpy : pump_run;
	struct bench_lane *own = NULL;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < b->nb_lanes && ret == 0; i++) {
		lane[i].pump.duration = RTE_MAX(seconds * rte_get_tsc_hz(), 1);
		if (lane[i].lcore == rte_get_main_lcore())
			own = &lane[i];
		else
			ret = rte_eal_remote_launch(run, &lane[i].pump, lane[i].lcore);
	}
	if (own != NULL && ret == 0)
		run(&own->pump);
	for (i = 0; i < b->nb_lanes; i++)
		if (lane[i].lcore != rte_get_main_lcore())
			wait_for(lane[i].lcore);
	if (ret != 0)
		return shell_error(ret, "an lcore does not start: %s", strerror(-ret));
	for (i = 0; i < b->nb_lanes && ret == 0; i++)
		ret = check_pump(&lane[i].pump);
	return ret;
}

/* Some time on a side, in slices, so that Ctrl-C needs nothing in the loop. */
static int
run_side(const struct bench *b, unsigned int s, bool latency, uint64_t interval, double seconds)
{
	/* The CPU has no lanes of its own: it works on the memory of the device. */
	struct bench_lane *lane = b->side[s].cpu ? b->side[0].lane : b->side[s].lane;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < b->nb_lanes; i++) {
		memset(&lane[i].pump.done, 0, sizeof(lane[i].pump.done));
		lane[i].pump.interval = interval;
		lane[i].pump.latency = latency ? &lane[i].latency : NULL;
	}
	for (; seconds > 0 && ret == 0 && !shell.interrupted; seconds -= SLICE_SECONDS)
		ret = run_slice(b, lane, b->side[s].cpu, RTE_MIN(seconds, SLICE_SECONDS));
	return ret;
}

/* Operations a second of all lanes (in millions), and cycles of an operation. */
static double
collect(const struct bench *b, unsigned int s, double *cycles)
{
	const struct bench_lane *lane = b->side[s].cpu ? b->side[0].lane : b->side[s].lane;
	double ops = 0, busy = 0, mops = 0;
	unsigned int i;

	for (i = 0; i < b->nb_lanes; i++) {
		const struct pump_counters *c = &lane[i].pump.done;

		ops += c->ops;
		busy += c->busy;
		mops += c->ops * (rte_get_tsc_hz() / RTE_MAX((double)c->cycles, 1.0)) / 1e6;
	}
	*cycles = busy / RTE_MAX(ops, 1.0);
	return mops;
}

static void
forget_latency(struct bench *b, unsigned int s)
{
	unsigned int i;

	for (i = 0; i < b->nb_lanes; i++)
		memset(&b->side[s].lane[i].latency, 0, sizeof(struct histogram));
}

static void
merge_latency(const struct bench *b, unsigned int s, struct histogram *all)
{
	unsigned int i;

	memset(all, 0, sizeof(*all));
	for (i = 0; i < b->nb_lanes; i++)
		histogram_merge(all, &b->side[s].lane[i].latency);
}

static int
by_value(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Sorts. */
static struct bench_figure
figure(double *v, double factor)
{
	qsort(v, BENCH_ROUNDS, sizeof(*v), by_value);
	return (struct bench_figure){
		.median = v[BENCH_ROUNDS / 2] * factor,
		.low = v[1] * factor,
		.high = v[BENCH_ROUNDS - 2] * factor,
	};
}

enum bench_verdict
bench_verdict(const struct bench_figure *ratio)
{
	if (ratio->low > 1.03)
		return BENCH_FASTER;
	if (ratio->high < 0.97)
		return BENCH_SLOWER;
	return ratio->high > 1.5 * ratio->low ? BENCH_UNCLEAR : BENCH_SAME;
}

const char *
bench_verdict_name(enum bench_verdict verdict)
{
	static const char *const names[] = { "slower", "same", "faster", "unclear" };

	return names[verdict];
}

static void
summarise(const struct bench *b, struct bench_row *r, unsigned int s, double *mops, double *cycles)
{
	const double ns = 1e9 / rte_get_tsc_hz(), bits = r->size * 8 / 1e3;
	struct bench_result *x = &r->side[s];

	x->gbps = figure(mops, bits);
	x->mops = x->gbps.median / bits;
	x->cycles = figure(cycles, 1).median;
	if (b->side[s].cpu)
		return;
	merge_latency(b, s, &x->latency);
	x->p50 = histogram_percentile(&x->latency, 0.5) * ns;
	x->p99 = histogram_percentile(&x->latency, 0.99) * ns;
	x->p999 = histogram_percentile(&x->latency, 0.999) * ns;
	x->max = x->latency.max * ns;
}

/* Device, other side, device, other side ...; before that both once for the caches and the clock. */
static int
rounds(struct bench *b, struct bench_row *r)
{
	const double slice = b->seconds / (BENCH_ROUNDS * 2.5 + 2);
	double mops[2][BENCH_ROUNDS], cycles[2][BENCH_ROUNDS];
	double ratio[BENCH_ROUNDS], savings[BENCH_ROUNDS];
	unsigned int round, s;
	int ret = 0;

	for (s = 0; s < 2 && ret == 0; s++)
		ret = run_side(b, s, false, 0, slice);
	for (round = 0; round < BENCH_ROUNDS && ret == 0; round++) {
		progress("%" PRIu64 " bytes: round %u of %u", r->size, round + 1, BENCH_ROUNDS);
		for (s = 0; s < 2 && ret == 0 && !shell.interrupted; s++) {
			ret = run_side(b, s, false, 0, slice);
			mops[s][round] = collect(b, s, &cycles[s][round]);
			/* With time stamps it is a little slower: not counted. */
			if (ret == 0 && !b->side[s].cpu)
				ret = run_side(b, s, true, 0, slice / 4);
		}
		if (ret != 0 || shell.interrupted)
			break;
		ratio[round] = mops[0][round] / RTE_MAX(mops[1][round], 1e-9);
		savings[round] = cycles[1][round] / RTE_MAX(cycles[0][round], 1e-9);
	}
	progress("");
	if (ret != 0 || shell.interrupted)
		return ret;
	r->ratio = figure(ratio, 1);
	r->savings = figure(savings, 1);
	for (s = 0; s < 2; s++)
		summarise(b, r, s, mops[s], cycles[s]);
	return 0;
}

/* The first side at parts of what it can do. */
static int
loads(struct bench *b, const struct bench_row *r)
{
	const double ns = 1e9 / rte_get_tsc_hz();
	struct histogram *all = malloc(sizeof(*all));
	struct bench_load *l;
	double mops, cycles;
	unsigned int i;
	int ret = all == NULL ? shell_error(-ENOMEM, "out of memory") : 0;

	for (i = 0; i < b->nb_loads && ret == 0 && !shell.interrupted; i++) {
		progress("%" PRIu64 " bytes: at %u %%", r->size, b->load[i]);
		mops = r->side[0].mops * b->load[i] / 100;
		forget_latency(b, 0);
		ret = run_side(b, 0, true, RTE_MAX(rte_get_tsc_hz() / 1e6 * b->nb_lanes / mops, 1),
			b->seconds / RTE_MAX(b->nb_loads, 1u));
		progress("");
		if (ret != 0 || shell.interrupted)
			break;
		l = &b->loads[b->nb_load_rows++];
		merge_latency(b, 0, all);
		*l = (struct bench_load){
			.size = r->size,
			.percent = b->load[i],
			.mops = collect(b, 0, &cycles),
			.p50 = histogram_percentile(all, 0.5) * ns,
			.p99 = histogram_percentile(all, 0.99) * ns,
			.p999 = histogram_percentile(all, 0.999) * ns,
		};
	}
	free(all);
	return ret;
}

/* Memory goes away only when its device does not know it any more. */
static void
release(struct bench *b, unsigned int nb_sides)
{
	unsigned int s, i;

	for (s = 0; s < nb_sides; s++)
		for (i = 0; i < b->nb_lanes && !b->side[s].cpu; i++) {
			struct pump *p = &b->side[s].lane[i].pump;

			if (p->mem.va == NULL)
				continue;
			pump_fini(p, p->in_flight == 0 ||
				device_restart(p->dev, device_get(p->dev)->ring) == 0);
			p->in_flight = 0;
		}
}

int
bench_measure(struct bench *b, uint64_t size)
{
	struct bench_row *r = &b->row[b->nb_rows];
	unsigned int s, i;
	int ret = 0;

	memset(r, 0, sizeof(*r));
	r->size = size;
	for (s = 0; s < 2 && !b->side[s].cpu; s++) {
		forget_latency(b, s);
		for (i = 0; i < b->nb_lanes && ret == 0; i++) {
			struct pump *p = &b->side[s].lane[i].pump;
			uint32_t n;

			p->size = size;
			p->sizes = b->packet;
			p->nb_sizes = b->nb_packets;
			for (n = 0; n < b->nb_packets; n++)
				p->size = RTE_MAX(p->size, b->packet[n]);
			p->mem.va = NULL;
			ret = pump_init(p, b->memory,
				rte_lcore_to_socket_id(b->side[s].lane[i].lcore));
		}
	}
	if (ret == 0)
		ret = rounds(b, r);
	/* An interrupted size is not measured to its end. */
	if (ret == 0 && !shell.interrupted) {
		b->nb_rows++;
		ret = loads(b, r);
	}
	release(b, 2);
	return ret;
}

/*
 * What makes figures doubtful: other programs on the CPUs, and a thread of a device on the CPU of a
 * submitter. Both from what the kernel counts.
 */
struct thread {
	int id;
	int cpu;
	uint64_t ticks;
	bool lcore;
};

static struct thread before[THREADS_MAX];
static unsigned int nb_before;
static uint64_t machine_before, own_before, cycles_before;

/* Time that CPUs were not idle, in ticks. */
static uint64_t
machine_ticks(void)
{
	unsigned long long t[8] = { 0 };
	FILE *f = fopen("/proc/stat", "r");
	int n;

	if (f == NULL)
		return 0;
	n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
		&t[4], &t[5], &t[6], &t[7]);
	fclose(f);
	return n == 8 ? t[0] + t[1] + t[2] + t[5] + t[6] + t[7] : 0;
}

static uint64_t
own_ticks(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec +
		(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6) * sysconf(_SC_CLK_TCK);
}

static bool
thread_read(int id, struct thread *t)
{
	char path[64], line[1024], *p;
	unsigned long long user, system;
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", id);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	ok = fgets(line, sizeof(line), f) != NULL && (p = strrchr(line, ')')) != NULL;
	fclose(f);
	if (!ok)
		return false;
	*t = (struct thread){ .id = id };
	t->lcore = id == getpid() || strstr(line, "-worker") != NULL;
	/* The fields behind the name: the third is the state, 14 and 15 times, 39 the CPU. */
	return sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
		"%*d %*d %*u %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %d",
		&user, &system, &t->cpu) == 3 && (t->ticks = user + system, true);
}

static unsigned int
threads_read(struct thread *threads)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	unsigned int n = 0;

	while (d != NULL && n < THREADS_MAX && (e = readdir(d)) != NULL)
		if (atoi(e->d_name) > 0 && thread_read(atoi(e->d_name), &threads[n]))
			n++;
	if (d != NULL)
		closedir(d);
	return n;
}

void
bench_watch_begin(void)
{
	nb_before = threads_read(before);
	machine_before = machine_ticks();
	own_before = own_ticks();
	cycles_before = rte_rdtsc();
}

static bool
is_submitter(const struct bench *b, int cpu)
{
	unsigned int i;

	for (i = 0; i < b->nb_lanes; i++)
		if (rte_lcore_to_cpu_id(b->side[0].lane[i].lcore) == cpu)
			return true;
	return false;
}

void
bench_watch_end(struct bench *b)
{
	static struct thread now[THREADS_MAX];
	const double ticks = (double)(rte_rdtsc() - cycles_before) / rte_get_tsc_hz() *
		sysconf(_SC_CLK_TCK);
	const double others = (double)(machine_ticks() - machine_before) -
		(double)(own_ticks() - own_before);
	unsigned int i, j, n = threads_read(now);

	if (ticks < 1)
		return;
	if (others > ticks / 10)
		snprintf(b->doubts, sizeof(b->doubts), "the machine was busy: other programs took "
			"%.0f %% of a CPU\n", 100 * others / ticks);
	for (i = 0; i < n; i++) {
		const int cpu = now[i].cpu;

		for (j = 0; j < nb_before && before[j].id != now[i].id; j++)
			;
		if (j < nb_before && !now[i].lcore && is_submitter(b, cpu) &&
				now[i].ticks - before[j].ticks > ticks / 50) {
			i = strlen(b->doubts);
			snprintf(b->doubts + i, sizeof(b->doubts) - i, "a device's thread ran on CPU "
				"%d, which submits: give it another, or more lcores\n", cpu);
			return;
		}
	}
}
