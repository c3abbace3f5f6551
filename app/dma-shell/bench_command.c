/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * bench: a device beside another one, or beside the CPU's memcpy on the same lcores and memory, size
 * by size. Here is what the command takes and what it says; bench_run.c measures.
 */

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_string_fns.h>

#include "bench.h"
#include "files.h"
#include "workers.h"

#define SIZES     "64,256,1K,4K,16K,64K"
#define TOLERANCE 10 /* percent */

/* Half of the distance from the lower to the higher end, in percent of the median. */
static double
spread(const struct bench_figure *f)
{
	return 50 * (f->high - f->low) / RTE_MAX(f->median, 1e-9);
}

static void
show_row(const struct bench *b, const struct bench_row *r)
{
	const struct bench_result *x = &r->side[0], *y = &r->side[1];

	out_begin("bench");
	out_widths(6, 6);
	out_num("size", r->size);
	if (shell.json)
		out_real("mops", x->mops, 4);
	out_real("gbps", x->gbps.median, 2);
	out_real(shell.json ? "spread_percent" : "+-%", spread(&x->gbps), 1);
	out_real("cycles", x->cycles, 1);
	if (shell.json) {
		out_real("p50_ns", x->p50, 0);
		out_real("p99_ns", x->p99, 0);
		out_real("p99.9_ns", x->p999, 0);
		out_real("max_ns", x->max, 0);
		out_str("vs", "%s", b->side[1].name);
		out_real("vs_mops", y->mops, 4);
	} else {
		out_real("p50_us", x->p50 / 1e3, 1);
		out_real("p99_us", x->p99 / 1e3, 1);
	}
	out_real("vs_gbps", y->gbps.median, 2);
	out_real(shell.json ? "vs_spread_percent" : "+-%", spread(&y->gbps), 1);
	out_real(shell.json ? "vs_cycles" : "vs_cyc", y->cycles, 1);
	out_real("ratio", r->ratio.median, 2);
	out_str("is", "%s", bench_verdict_name(bench_verdict(&r->ratio)));
	out_row();
}

static void
show_loads(const struct bench *b)
{
	unsigned int i;

	for (i = 0; i < b->nb_load_rows; i++) {
		const struct bench_load *l = &b->loads[i];

		out_begin("load");
		out_num("size", l->size);
		out_num("percent", l->percent);
		out_real("mops", l->mops, 4);
		out_real("p50_ns", l->p50, 0);
		out_real("p99_ns", l->p99, 0);
		out_real("p99.9_ns", l->p999, 0);
		out_row();
	}
}

/*
 * The smallest size from which on the first side is at least so good. What is unclear about the longest
 * ones leaves it open.
 */
static void
out_from(const struct bench *b, const char *key, bool cycles, enum bench_verdict least)
{
	enum bench_verdict v = BENCH_SAME;
	uint64_t from = 0;
	unsigned int i;

	for (i = b->nb_rows; i-- > 0; from = b->row[i].size) {
		v = bench_verdict(cycles ? &b->row[i].savings : &b->row[i].ratio);
		if (v < least || v == BENCH_UNCLEAR)
			break;
	}
	if (from > 0)
		out_num(key, from);
	else
		out_str(key, "%s", v == BENCH_UNCLEAR ? "unclear" : "never");
}

static void
show_verdict(const struct bench *b)
{
	out_begin(b->side[1].cpu ? "offload" : "against");
	if (b->side[1].cpu)
		out_from(b, "costs_less_CPU_from", true, BENCH_FASTER);
	else
		out_str("name", "%s", b->side[1].name);
	out_from(b, "as_fast_from", false, BENCH_SAME);
	out_from(b, "faster_from", false, BENCH_FASTER);
	out_line();
}

/* The capture whose packets give the sizes, "pcap:FILE"; NULL: they are a list. */
static const char *
capture_of(const union word *sizes, char path[SHELL_WORD_SIZE])
{
	const size_t len = strlen("pcap:");

	if (sizes->text.len <= len || strncmp(sizes->text.start, "pcap:", len) != 0)
		return NULL;
	strlcpy(path, sizes->text.start + len,
		RTE_MIN(sizes->text.len - len + 1, (size_t)SHELL_WORD_SIZE));
	return path;
}

static int
parse_sizes(struct bench *b, const struct args *a)
{
	const union word *w = option(a, "sizes");
	char path[SHELL_WORD_SIZE];
	struct span list = w == NULL ? (struct span){ SIZES, strlen(SIZES) } : w->text;
	char word[32];
	uint64_t size;
	unsigned int i;

	if (w == NULL && b->nb_sizes > 0)
		return 0; /* those of the file to check against */
	b->nb_sizes = 0;
	if (w != NULL && capture_of(w, path) != NULL)
		return bench_packets(b, path);
	while (list_next(&list, word, sizeof(word))) {
		if (parse_size(word, &size) != 0 || size == 0 || size > BENCH_SIZE_MAX)
			return shell_error(-EINVAL, "bad word '%s' for 'sizes': expected sizes of 1 to "
				"%uM", word, BENCH_SIZE_MAX >> 20);
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
		if (b->side[0].lane[i].lcore == lcore)
			return shell_error(-EINVAL, "lcore %u is given twice", lcore);
	if (worker_get(lcore) != NULL && worker_get(lcore)->running)
		return shell_error(-EBUSY, "lcore %u is working: 'stop workers' first", lcore);
	if (b->nb_lanes == BENCH_LANES)
		return shell_error(-E2BIG, "more than %u lcores", BENCH_LANES);
	b->side[0].lane[b->nb_lanes].lcore = lcore;
	b->side[1].lane[b->nb_lanes++].lcore = lcore;
	return 0;
}

/* Without "lcores": the first one that is free, and this one when there is no other. */
static int
parse_lcores(struct bench *b, const struct args *a)
{
	const union word *w = option(a, "lcores");
	struct span list;
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
	list = w->text;
	while (list_next(&list, word, sizeof(word))) {
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
take_device(struct bench *b, struct bench_lane *l, int16_t id)
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
	unsigned int s, i;

	for (s = 0; s < 2; s++)
		for (i = 0; i < b->nb_lanes; i++) {
			struct bench_lane *l = &b->side[s].lane[i];

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
take_side(struct bench *b, struct bench_side *side, int16_t id)
{
	unsigned int i, j;
	int ret;

	for (i = 0; i < b->nb_lanes; i++) {
		if (id < 0)
			return shell_error(-ENODEV, "%u lcores need as many devices, there are %u",
				b->nb_lanes, i);
		for (j = 0; j < b->nb_lanes; j++)
			if (side != &b->side[0] && b->side[0].lane[j].pump.dev == id)
				return shell_error(-EINVAL, "device %d would be on both sides", id);
		ret = take_device(b, &side->lane[i], id);
		if (ret != 0)
			return ret;
		if (i == 0)
			strlcpy(side->name, device_get(id)->name, sizeof(side->name));
		id = rte_dma_next_dev(id + 1);
	}
	return 0;
}

/* "vs": "cpu", or a device by number or name. */
static int
parse_vs(struct bench *b, const struct args *a)
{
	const char *word = option_str(a, "vs", "cpu");
	char *end;
	long id;

	b->side[1].cpu = strcmp(word, "cpu") == 0;
	strlcpy(b->side[1].name, "CPU memcpy", sizeof(b->side[1].name));
	if (b->side[1].cpu)
		return 0;
	id = rte_dma_get_dev_id_by_name(word);
	if (id < 0 && isdigit((unsigned char)word[0])) {
		id = strtol(word, &end, 10);
		if (*end != '\0' || id > INT16_MAX || !rte_dma_is_valid(id))
			id = -1;
	}
	if (id < 0)
		return shell_error(-ENODEV, "bad word '%s' for 'vs': expected cpu, or a device (number "
			"or name)", word);
	return take_side(b, &b->side[1], id);
}

/* Percents of the throughput. */
static int
parse_loads(struct bench *b, const struct args *a)
{
	const union word *w = option(a, "load");
	struct span list = w == NULL ? (struct span){ NULL, 0 } : w->text;
	uint64_t percent;
	char word[32];

	while (list_next(&list, word, sizeof(word))) {
		if (parse_size(word, &percent) != 0 || percent < 1 || percent > 100)
			return shell_error(-EINVAL, "bad word '%s' for 'load': expected percents of 1 "
				"to 100", word);
		if (b->nb_loads == BENCH_LOADS)
			return shell_error(-E2BIG, "more than %u loads", BENCH_LOADS);
		b->load[b->nb_loads++] = percent;
	}
	return 0;
}

/*
 * Before time is spent on what has no place. A file that were written twice would lose the first,
 * and what is to be checked would be the new figures, beside which they are never slower.
 */
static int
check_files(const struct args *a)
{
	static const char *const names[] = { "csv", "save", "report", "plot", "check", "sizes" };
	const union word *sizes = option(a, "sizes");
	const char *path[RTE_DIM(names)];
	char capture[SHELL_WORD_SIZE];
	unsigned int i, j;
	int ret = 0;

	for (i = 0; i < RTE_DIM(names) && ret == 0; i++) {
		path[i] = strcmp(names[i], "sizes") != 0 ? option_str(a, names[i], NULL) :
			sizes != NULL ? capture_of(sizes, capture) : NULL;
		if (path[i] == NULL)
			continue;
		if (strcmp(names[i], "plot") == 0)
			ret = plot_check(path[i]);
		if (ret == 0 && strcmp(names[i], "check") != 0 && strcmp(names[i], "sizes") != 0)
			ret = file_writable(path[i]);
		for (j = 0; j < i && ret == 0; j++)
			if (path[j] != NULL && file_same(path[i], path[j]))
				ret = shell_error(-EINVAL, "'%s' is for '%s' already: give '%s' "
					"another file", path[i], names[j], names[i]);
	}
	return ret;
}

static int
prepare(struct bench *b, const struct args *a, int16_t id)
{
	const char *saved = option_str(a, "check", NULL);
	int ret = saved == NULL ? 0 : bench_load_settings(b, saved);

	if (ret != 0)
		return ret;
	b->ring = option_num(a, "ring", b->ring);
	b->batch = option_num(a, "batch", saved == NULL ? 32 : b->batch);
	b->depth = option_num(a, "depth", b->depth);
	b->memory = option_num(a, "memory", saved == NULL ? 8 * 1024 * 1024 : b->memory);
	b->seconds = option_real(a, "seconds", 1);
	if (b->seconds < 0.01)
		return shell_error(-EINVAL, "bad seconds: expected 0.01 or more");
	b->seconds = shell_limit_seconds(b->seconds);
	ret = in_range("sg", option_num(a, "sg", b->segments), 0, PUMP_SEGMENTS_MAX);
	if (ret == 0)
		ret = in_range("memory", b->memory, 4096, UINT64_C(1) << 40);
	if (ret == 0)
		ret = in_range("tolerance", option_num(a, "tolerance", TOLERANCE), 0, 100);
	b->segments = option_num(a, "sg", b->segments);
	if (ret == 0)
		ret = parse_sizes(b, a);
	if (ret == 0 && b->size[0] < b->segments)
		ret = shell_error(-EINVAL, "%" PRIu64 " bytes cannot be cut into %u segments",
			b->size[0], b->segments);
	if (ret == 0)
		ret = parse_loads(b, a);
	if (ret == 0)
		ret = parse_lcores(b, a);
	if (ret == 0)
		ret = check_files(a);
	if (ret == 0)
		ret = take_side(b, &b->side[0], id);
	return ret != 0 ? ret : parse_vs(b, a);
}

/* What is to be made of the figures. */
static int
make_files(const struct bench *b, const struct args *a)
{
	const char *csv = option_str(a, "csv", NULL), *save = option_str(a, "save", NULL);
	const char *picture = option_str(a, "plot", NULL), *html = option_str(a, "report", NULL);
	const char *saved = option_str(a, "check", NULL);
	int ret = 0;

	if (csv != NULL)
		ret = bench_csv(b, csv);
	if (ret == 0 && save != NULL)
		ret = bench_save(b, save);
	if (ret == 0 && picture != NULL)
		ret = plot(b, picture);
	if (ret == 0 && html != NULL)
		ret = report(b, html);
	if (ret == 0 && saved != NULL)
		ret = bench_check(b, saved, option_num(a, "tolerance", TOLERANCE));
	return ret;
}

static void
bench_free(struct bench *b)
{
	free(b->side[0].lane);
	free(b->side[1].lane);
	free(b->row);
	free(b->loads);
	free(b->packet);
	free(b);
}

static struct bench *
bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	const size_t lanes = BENCH_LANES * sizeof(*b->side[0].lane);
	unsigned int s;

	if (b == NULL)
		return NULL;
	b->row = calloc(BENCH_SIZES, sizeof(*b->row));
	b->loads = calloc(BENCH_SIZES * BENCH_LOADS, sizeof(*b->loads));
	for (s = 0; s < 2; s++) {
		b->side[s].lane = aligned_alloc(RTE_CACHE_LINE_SIZE, lanes);
		if (b->side[s].lane != NULL)
			memset(b->side[s].lane, 0, lanes);
	}
	if (b->row != NULL && b->loads != NULL && b->side[0].lane != NULL &&
			b->side[1].lane != NULL)
		return b;
	bench_free(b);
	return NULL;
}

int
cmd_bench(const struct args *a)
{
	const int16_t id = a->optional != NULL ? a->optional->dev.id : device_first();
	struct bench *b = bench_new();
	unsigned int i;
	int ret;

	if (b == NULL)
		return shell_error(-ENOMEM, "out of memory");
	ret = prepare(b, a, id);
	if (ret == 0) {
		shell_note("%s beside %s\nring %u, batch %u, in flight up to %u, %u lcore%s",
			b->side[0].name, b->side[1].name, device_get(id)->ring,
			(unsigned int)b->batch, b->side[0].lane[0].pump.depth, b->nb_lanes,
			b->nb_lanes == 1 ? "" : "s");
		bench_watch_begin();
	}
	for (i = 0; i < b->nb_sizes && ret == 0 && !shell.interrupted; i++) {
		ret = bench_measure(b, b->size[i]);
		if (b->nb_rows == i + 1)
			show_row(b, &b->row[i]);
	}
	if (ret == 0 && b->nb_rows > 0) {
		show_loads(b);
		show_verdict(b);
		bench_watch_end(b);
		if (!shell.json)
			fputs(b->doubts, stdout);
		/* Some of the sizes do not replace a file that has them all. */
		if (!shell.interrupted)
			ret = make_files(b, a);
	}
	give_devices_back(b);
	bench_free(b);
	return ret != 0 ? ret : shell.interrupted ? -EINTR : 0;
}
