/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef BENCH_H
#define BENCH_H

/**
 * @file
 *
 * What bench_command.c, bench_run.c (measuring), bench_file.c (files of figures), plot.c and report.c
 * share: figures, and who makes what of them.
 */

#include "pump.h"

#define BENCH_SIZES  32
#define BENCH_SIZE_MAX (16 * 1024 * 1024) /* bytes of an operation */
#define BENCH_LANES  64
#define BENCH_LOADS  16
#define BENCH_ROUNDS 11

/** The median of the rounds, and the spread around it: all rounds but the lowest and the highest. */
struct bench_figure {
	double median, low, high;
};

enum bench_verdict {
	BENCH_SLOWER,
	BENCH_SAME,    /**< the spread, or 3 %, is more than the difference */
	BENCH_FASTER,
	BENCH_UNCLEAR, /**< the spread is more than half of it all */
};

/** What one side, a device or the CPU, did with operations of one size. */
struct bench_result {
	struct bench_figure gbps;
	double mops;
	double cycles; /**< of the submitting lcore, an operation */
	double p50, p99, p999, max; /**< nanoseconds from submit to completion; 0 for the CPU */
	struct histogram latency;
};

struct bench_row {
	uint64_t size; /**< the mean, where sizes come from a capture */
	struct bench_result side[2];
	/** Of rounds beside each other: what the machine does meanwhile hits both. */
	struct bench_figure ratio;   /**< throughput, above 1: the first side is faster */
	struct bench_figure savings; /**< cycles, above 1: the first side costs less */
};

/** Latency at a part of the throughput that was measured. */
struct bench_load {
	uint64_t size;
	unsigned int percent;
	double mops;
	double p50, p99, p999; /**< nanoseconds from when it was due */
};

struct bench_lane {
	unsigned int lcore;
	struct pump pump;
	struct histogram latency;
	/* As the device was before. */
	uint16_t ring;
	bool started;
	bool changed;
};

struct bench_side {
	bool cpu; /**< memcpy, on the lanes of the other side */
	char name[64];
	struct bench_lane *lane;
};

struct bench {
	uint64_t size[BENCH_SIZES];
	unsigned int nb_sizes;
	uint32_t *packet; /**< sizes from a capture: one row */
	uint32_t nb_packets;
	unsigned int load[BENCH_LOADS];
	unsigned int nb_loads;
	struct bench_side side[2];
	unsigned int nb_lanes;
	uint64_t ring, batch, depth, memory;
	uint16_t segments;
	double seconds;
	struct bench_row *row;
	unsigned int nb_rows;
	struct bench_load *loads;
	unsigned int nb_load_rows;
	char doubts[256]; /**< what makes the figures doubtful, in lines */
};

/** One size: rounds in turn, into a new row; then the loads. */
int bench_measure(struct bench *b, uint64_t size);
/** See what makes figures doubtful between these two. */
void bench_watch_begin(void);
void bench_watch_end(struct bench *b);

/** What a ratio says. */
enum bench_verdict bench_verdict(const struct bench_figure *ratio);
const char *bench_verdict_name(enum bench_verdict verdict);

/** A line for each thing that the figures depend on, "NAME: VALUE". */
void bench_describe(const struct bench *b, FILE *f, const char *begin, const char *end);
int bench_csv(const struct bench *b, const char *path);
int bench_save(const struct bench *b, const char *path);
/** Take sizes, ring, batch, depth, memory and segments from a saved file. */
int bench_load_settings(struct bench *b, const char *path);
/**
 * An error when slower by more than tolerance percent and the spread, also beside the other side: that
 * the machine is slower is not the device's fault.
 */
int bench_check(const struct bench *b, const char *path, uint64_t tolerance);
/** Sizes of a capture's packets, or an error after a message. */
int bench_packets(struct bench *b, const char *path);

/** Whether a plot can be made with that name; an error after a message. */
int plot_check(const char *path);
int plot(const struct bench *b, const char *path);
/** The plot as SVG, malloc'ed; NULL when there is no gnuplot. */
char *plot_svg(const struct bench *b);
int report(const struct bench *b, const char *path);

#endif /* BENCH_H */
