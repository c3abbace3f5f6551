/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef EXAMPLE_H
#define EXAMPLE_H

/* What every example does before and after its own work. */

#include <signal.h>
#include <stdint.h>

#include <copyengine.h>

/* Set by Ctrl-C: clean up and end with example_interrupted(). */
extern volatile sig_atomic_t example_stop;

/*
 * Start EAL with the options before "--"; without "--" all arguments are the example's, and EAL gets
 * hugepages if there are any. --help prints usage and ends the program.
 *
 * Returns the index of the example's first argument in *argc, *argv as getopt wants them.
 */
void example_begin(int *argc, char ***argv, const char *usage);

/* A handle on the first DMA device; if there is none, one is made: dma_cbdma, or dma_skeleton. */
struct ce_adapter *example_adapter(const struct ce_adapter_conf *conf);

/* Say what is wrong and what to do, clean EAL up, and end the program. */
void example_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* The exit status of a program that Ctrl-C has ended, or status if it has not. */
int example_end(int status);

double example_seconds(void);

#endif /* EXAMPLE_H */
