/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

#define BENCH_SIZES 32

/** What was measured for one size. */
struct bench_row {
	uint64_t size;
	double mops, gbps;
	double cycles; /**< of the submitting lcore, an operation */
	double p50, p99, p999, max; /**< nanoseconds from submit to completion */
	double cpu_mops, cpu_gbps, cpu_cycles;
};

/** Whether a plot can be made there; an error after a message. */
int plot_check(const char *path);
int plot(const char *path, const char *title, const struct bench_row *row, unsigned int n);

#endif /* BENCH_H */
