/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Measures devices, size by size, beside the CPU's memcpy on the same lcores and memory.
 *
 * Each size has three parts: throughput and cycles without time stamps, latency with them, and
 * memcpy. They run in slices, so that Ctrl-C and the progress line need nothing in the loop.
 */

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_string_fns.h>

#include "bench.h"
#include "workers.h"

#define SIZES         "64,256,1K,4K,16K,64K"
#define SIZE_MAX_OP   (16 * 1024 * 1024)
#define SLICE_SECONDS 0.1
#define LCORES_MAX    64

struct lane {
	unsigned int lcore;
	struct pump pump;
	struct histogram latency;
	/* As the device was before. */
	uint16_t ring;
	bool started;
	bool changed;
};

struct bench {
	uint64_t size[BENCH_SIZES];
	unsigned int nb_sizes;
	struct lane *lane;
	unsigned int nb_lanes;
	uint64_t ring, batch, depth, memory;
	uint16_t segments;
	double seconds;
	FILE *csv;
	const char *plot;
	struct bench_row row[BENCH_SIZES];
	unsigned int nb_rows;
};

enum part { THROUGHPUT, LATENCY, MEMCPY, PARTS };

static const char *const part_names[] = { "throughput", "latency", "memcpy" };
static const double part_share[] = { 0.5, 0.25, 0.25 };

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

/* One slice on all lanes. The main lcore may be one of them. */
static int
run_slice(struct bench *b, bool memcpy_part)
{
	int (*run)(void *) = memcpy_part ? pump_memcpy : pump_run;
	struct lane *own = NULL;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < b->nb_lanes && ret == 0; i++) {
		struct lane *l = &b->lane[i];

		if (l->lcore == rte_get_main_lcore())
			own = l;
		else
			ret = rte_eal_remote_launch(run, &l->pump, l->lcore);
	}
	if (own != NULL && ret == 0)
		run(&own->pump);
	for (i = 0; i < b->nb_lanes; i++)
		if (b->lane[i].lcore != rte_get_main_lcore())
			wait_for(b->lane[i].lcore);
	if (ret != 0)
		return shell_error(ret, "an lcore does not start: %s", strerror(-ret));
	for (i = 0; i < b->nb_lanes; i++) {
		const struct pump *p = &b->lane[i].pump;

		if (p->error == -ETIMEDOUT)
			return shell_error(p->error, "device %d makes no progress, %u in flight: "
				"'show device %d status'", p->dev, p->in_flight, p->dev);
		if (p->error != 0)
			return shell_error(p->error, "device %d refuses an operation: %s", p->dev,
				strerror(-p->error));
		if (p->done.errors > 0)
			return shell_error(-EIO, "%" PRIu64 " operations of device %d failed: 'show "
				"errors'", p->done.errors, p->dev);
	}
	return 0;
}

static int
run_part(struct bench *b, uint64_t size, enum part part)
{
	double left = b->seconds * part_share[part], total = left, slice;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < b->nb_lanes; i++) {
		memset(&b->lane[i].pump.done, 0, sizeof(b->lane[i].pump.done));
		memset(&b->lane[i].latency, 0, sizeof(b->lane[i].latency));
		b->lane[i].pump.latency = part == LATENCY ? &b->lane[i].latency : NULL;
	}
	while (left > 0 && ret == 0 && !shell.interrupted) {
		progress("%" PRIu64 " bytes: %s %.0f %%", size, part_names[part],
			100 * (total - left) / total);
		slice = RTE_MIN(left, SLICE_SECONDS);
		for (i = 0; i < b->nb_lanes; i++)
			b->lane[i].pump.duration = RTE_MAX(slice * rte_get_tsc_hz(), 1);
		ret = run_slice(b, part == MEMCPY);
		left -= slice;
	}
	progress("");
	return ret;
}

/* Operations a second of all lanes (in millions), and cycles of an operation. */
static void
collect(const struct bench *b, double *mops, double *cycles)
{
	double ops = 0, busy = 0;
	unsigned int i;

	*mops = 0;
	for (i = 0; i < b->nb_lanes; i++) {
		const struct pump_counters *c = &b->lane[i].pump.done;

		ops += c->ops;
		busy += c->busy;
		*mops += c->ops * (rte_get_tsc_hz() / RTE_MAX((double)c->cycles, 1.0)) / 1e6;
	}
	*cycles = busy / RTE_MAX(ops, 1.0);
}

static void
collect_latency(struct bench *b, struct bench_row *r)
{
	const double ns = 1e9 / rte_get_tsc_hz();
	struct histogram *all = &b->lane[0].latency;
	unsigned int i;

	for (i = 1; i < b->nb_lanes; i++)
		histogram_merge(all, &b->lane[i].latency);
	r->p50 = histogram_percentile(all, 0.5) * ns;
	r->p99 = histogram_percentile(all, 0.99) * ns;
	r->p999 = histogram_percentile(all, 0.999) * ns;
	r->max = all->max * ns;
}

static void
show_row(const struct bench *b, const struct bench_row *r)
{
	out_begin("bench");
	out_num("size", r->size);
	out_real("mops", r->mops, 3);
	out_real("gbps", r->gbps, 2);
	out_real("cycles", r->cycles, 1);
	out_real("p50_ns", r->p50, 0);
	out_real("p99_ns", r->p99, 0);
	out_real("p99.9_ns", r->p999, 0);
	out_real("max_ns", r->max, 0);
	out_real("cpu_mops", r->cpu_mops, 3);
	out_real("cpu_gbps", r->cpu_gbps, 2);
	out_real("cpu_cycles", r->cpu_cycles, 1);
	out_row();
	if (b->csv == NULL)
		return;
	fprintf(b->csv, "%" PRIu64 ",%.4f,%.3f,%.1f,%.0f,%.0f,%.0f,%.0f,%.4f,%.3f,%.1f\n", r->size,
		r->mops, r->gbps, r->cycles, r->p50, r->p99, r->p999, r->max, r->cpu_mops,
		r->cpu_gbps, r->cpu_cycles);
	fflush(b->csv);
}

static int
measure(struct bench *b, uint64_t size)
{
	struct bench_row *r = &b->row[b->nb_rows];
	unsigned int i, part;
	int ret = 0;

	for (i = 0; i < b->nb_lanes && ret == 0; i++) {
		struct pump *p = &b->lane[i].pump;

		p->size = size;
		ret = pump_init(p, b->memory, rte_lcore_to_socket_id(b->lane[i].lcore));
	}
	if (ret != 0)
		return ret;
	r->size = size;
	for (part = 0; part < PARTS && ret == 0; part++) {
		ret = run_part(b, size, part);
		if (part == THROUGHPUT)
			collect(b, &r->mops, &r->cycles);
		else if (part == LATENCY)
			collect_latency(b, r);
		else
			collect(b, &r->cpu_mops, &r->cpu_cycles);
	}
	r->gbps = r->mops * size * 8 / 1e3;
	r->cpu_gbps = r->cpu_mops * size * 8 / 1e3;
	/* An interrupted size is not measured to its end. */
	if (ret == 0 && !shell.interrupted) {
		show_row(b, r);
		b->nb_rows++;
	}
	return ret;
}

/* Memory goes away only when its device does not know it any more. */
static void
release(struct bench *b)
{
	unsigned int i;

	for (i = 0; i < b->nb_lanes; i++) {
		struct pump *p = &b->lane[i].pump;

		pump_fini(p, p->in_flight == 0 ||
			device_restart(p->dev, device_get(p->dev)->ring) == 0);
		p->in_flight = 0;
	}
}

/* The smallest size from which on a measure is better with the device; 0: none. */
static uint64_t
better_from(const struct bench *b, bool cycles)
{
	uint64_t from = 0;
	unsigned int i;

	for (i = b->nb_rows; i-- > 0;) {
		const struct bench_row *r = &b->row[i];

		if (cycles ? r->cycles >= r->cpu_cycles : r->gbps < r->cpu_gbps)
			break;
		from = r->size;
	}
	return from;
}

static void
show_verdict(const struct bench *b)
{
	uint64_t cheaper = better_from(b, true), faster = better_from(b, false);

	if (b->nb_rows == 0)
		return;
	out_begin("offload");
	if (cheaper > 0)
		out_num("costs_less_CPU_from", cheaper);
	else
		out_str("costs_less_CPU_from", "never");
	if (faster > 0)
		out_num("is_faster_from", faster);
	else
		out_str("is_faster_from", "never");
	out_line();
}

static int
parse_sizes(struct bench *b, const struct args *a)
{
	const union word *w = option(a, "sizes");
	const char *list = w == NULL ? SIZES : w->text.start;
	size_t len = w == NULL ? strlen(SIZES) : w->text.len;
	char word[32];
	uint64_t size;
	unsigned int i;

	while (list_next(&list, &len, word, sizeof(word))) {
		if (parse_size(word, &size) != 0 || size == 0 || size > SIZE_MAX_OP)
			return shell_error(-EINVAL, "bad word '%s' for 'sizes': expected sizes of 1 to "
				"%uM", word, SIZE_MAX_OP >> 20);
		if (b->nb_sizes == BENCH_SIZES)
			return shell_error(-E2BIG, "more than %u sizes", BENCH_SIZES);
		/* In order: verdict and plot want it. */
		for (i = b->nb_sizes++; i > 0 && b->size[i - 1] > size; i--)
			b->size[i] = b->size[i - 1];
		b->size[i] = size;
	}
	return 0;
}

static int
add_lane(struct bench *b, unsigned int lcore)
{
	unsigned int i;

	if (lcore >= RTE_MAX_LCORE || !rte_lcore_is_enabled(lcore))
		return shell_error(-EINVAL,
			"bad word '%u' for 'lcores': expected lcores of 'show lcores'", lcore);
	for (i = 0; i < b->nb_lanes; i++)
		if (b->lane[i].lcore == lcore)
			return shell_error(-EINVAL, "lcore %u is given twice", lcore);
	if (worker_get(lcore) != NULL && worker_get(lcore)->running)
		return shell_error(-EBUSY, "lcore %u is working: 'stop workers' first", lcore);
	if (b->nb_lanes == LCORES_MAX)
		return shell_error(-E2BIG, "more than %u lcores", LCORES_MAX);
	b->lane[b->nb_lanes++].lcore = lcore;
	return 0;
}

/* Without "lcores": the first one that is free, and this one when there is no other. */
static int
parse_lcores(struct bench *b, const struct args *a)
{
	const union word *w = option(a, "lcores");
	const char *list;
	size_t len;
	char word[32], *end;
	unsigned int lcore;
	unsigned long n;
	int ret;

	if (w == NULL) {
		RTE_LCORE_FOREACH_WORKER(lcore)
			if (worker_get(lcore) == NULL || !worker_get(lcore)->running)
				return add_lane(b, lcore);
		return add_lane(b, rte_get_main_lcore());
	}
	list = w->text.start;
	len = w->text.len;
	while (list_next(&list, &len, word, sizeof(word))) {
		n = strtoul(word, &end, 10);
		if (!isdigit((unsigned char)word[0]) || *end != '\0' || n > RTE_MAX_LCORE)
			return shell_error(-EINVAL, "bad word '%s' for 'lcores': expected lcores of "
				"'show lcores'", word);
		ret = add_lane(b, n);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static int
in_range(const char *name, uint64_t value, uint64_t min, uint64_t max)
{
	if (value >= min && value <= max)
		return 0;
	return shell_error(-ERANGE, "bad word '%" PRIu64 "' for '%s': expected %" PRIu64 " to %"
		PRIu64, value, name, min, max);
}

/* A device for each lcore: the one named, then those after it. */
static int
take_device(struct bench *b, struct lane *l, int16_t id)
{
	struct shell_dev *d = device_get(id);
	struct rte_dma_info info;
	uint64_t ring;
	int ret;

	if (d == NULL || rte_dma_info_get(id, &info) != 0)
		return -ENODEV;
	ring = b->ring == 0 ? d->ring : b->ring;
	if ((info.dev_capa & RTE_DMA_CAPA_OPS_COPY) == 0 ||
			(b->segments > 0 && (info.dev_capa & RTE_DMA_CAPA_OPS_COPY_SG) == 0))
		return shell_error(-ENOTSUP, "device %d cannot copy%s", id,
			b->segments > 0 ? " segment lists ('sg')" : "");
	if (d->silent)
		return shell_error(-ENOTSUP, "device %d is in silent mode", id);
	if (d->worker >= 0)
		return shell_error(-EBUSY, "device %d is worked on by lcore %d: 'stop workers' first",
			id, d->worker);
	if (d->started && d->vchan[0].in_flight > 0)
		return shell_error(-EBUSY, "device %d has operations in flight: 'wait %d' first", id,
			id);
	ret = in_range("ring", ring, info.min_desc, info.max_desc);
	if (ret == 0)
		ret = in_range("batch", b->batch, 1, ring);
	if (ret == 0)
		ret = in_range("depth", b->depth == 0 ? ring : b->depth, b->batch, ring);
	if (ret == 0 && b->segments > 0)
		ret = in_range("sg", b->segments, 1, RTE_MIN(info.max_sges, PUMP_SEGMENTS_MAX));
	if (ret != 0)
		return ret;
	l->ring = d->ring;
	l->started = d->started;
	l->changed = true;
	l->pump = (struct pump){
		.dev = id,
		.batch = b->batch,
		.segments = b->segments,
	};
	ret = device_restart(id, ring);
	if (ret != 0)
		return ret;
	/* What an empty ring takes may be one less than it has: an operation that is refused is a
	 * detour for driver and application.
	 */
	l->pump.depth = RTE_MAX(b->batch, b->depth != 0 ? b->depth : rte_dma_burst_capacity(id, 0));
	return 0;
}

static void
give_devices_back(struct bench *b)
{
	unsigned int i;

	for (i = 0; i < b->nb_lanes; i++) {
		struct lane *l = &b->lane[i];

		if (!l->changed)
			continue;
		/* The shell did not follow the indexes: it begins anew with the device. */
		if (l->started)
			device_restart(l->pump.dev, l->ring);
		else if (device_stop(l->pump.dev) == 0)
			device_get(l->pump.dev)->ring = l->ring;
	}
}

static int
prepare(struct bench *b, const struct args *a, int16_t id)
{
	uint64_t segments = option_num(a, "sg", 0);
	const char *csv = option_str(a, "csv", NULL);
	unsigned int i;
	int ret;

	b->ring = option_num(a, "ring", 0);
	b->batch = option_num(a, "batch", 32);
	b->depth = option_num(a, "depth", 0);
	b->memory = option_num(a, "memory", 8 * 1024 * 1024);
	b->seconds = shell_limit_seconds(option_real(a, "seconds", 1));
	b->plot = option_str(a, "plot", NULL);
	ret = in_range("sg", segments, 0, PUMP_SEGMENTS_MAX);
	if (ret == 0)
		ret = in_range("memory", b->memory, 4096, UINT64_C(1) << 40);
	b->segments = segments;
	if (ret == 0)
		ret = parse_sizes(b, a);
	if (ret == 0 && b->size[0] < segments)
		ret = shell_error(-EINVAL, "%" PRIu64 " bytes cannot be cut into %" PRIu64
			" segments", b->size[0], segments);
	if (ret == 0)
		ret = parse_lcores(b, a);
	if (ret == 0 && b->plot != NULL)
		ret = plot_check(b->plot);
	for (i = 0; i < b->nb_lanes && ret == 0; i++) {
		if (id < 0)
			return shell_error(-ENODEV, "%u lcores need as many devices, there are %u",
				b->nb_lanes, i);
		ret = take_device(b, &b->lane[i], id);
		id = rte_dma_next_dev(id + 1);
	}
	if (ret != 0 || csv == NULL)
		return ret;
	b->csv = fopen(csv, "w");
	if (b->csv == NULL)
		return shell_error(-errno, "cannot write '%s': %s", csv, strerror(errno));
	fputs("size,mops,gbps,cycles,p50_ns,p99_ns,p99.9_ns,max_ns,cpu_mops,cpu_gbps,cpu_cycles\n",
		b->csv);
	return 0;
}

static int
make_plot(const struct bench *b)
{
	const struct pump *p = &b->lane[0].pump;
	char title[256];

	snprintf(title, sizeof(title), "%s: ring %u, batch %u, in flight up to %u, %u lcore(s)%s",
		device_get(p->dev)->name, device_get(p->dev)->ring, p->batch, p->depth, b->nb_lanes,
		p->segments > 0 ? ", segment lists" : "");
	return plot(b->plot, title, b->row, b->nb_rows);
}

int
cmd_bench(const struct args *a)
{
	const int16_t id = a->optional != NULL ? a->optional->dev.id : device_first();
	struct bench *b = calloc(1, sizeof(*b));
	unsigned int i;
	int ret;

	if (b != NULL)
		b->lane = aligned_alloc(RTE_CACHE_LINE_SIZE, LCORES_MAX * sizeof(*b->lane));
	if (b == NULL || b->lane == NULL) {
		free(b);
		return shell_error(-ENOMEM, "out of memory");
	}
	memset(b->lane, 0, LCORES_MAX * sizeof(*b->lane));
	ret = prepare(b, a, id);
	for (i = 0; i < b->nb_sizes && ret == 0 && !shell.interrupted; i++) {
		ret = measure(b, b->size[i]);
		release(b);
	}
	if (ret == 0 && b->nb_rows > 0) {
		show_verdict(b);
		if (b->plot != NULL)
			ret = make_plot(b);
	}
	if (b->csv != NULL && (ferror(b->csv) + fclose(b->csv)) != 0 && ret == 0)
		ret = shell_error(-EIO, "'%s' could not be written completely",
			option_str(a, "csv", ""));
	give_devices_back(b);
	free(b->lane);
	free(b);
	return ret != 0 ? ret : shell.interrupted ? -EINTR : 0;
}
