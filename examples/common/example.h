/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef EXAMPLE_H
#define EXAMPLE_H

/* What every example does before and after its own work. */

#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>

#include <copyengine.h>

/* Set by Ctrl-C: clean up and end with example_end(). */
extern volatile sig_atomic_t example_stop;

/*
 * Start EAL with the options before "--"; without "--" all arguments are the example's, and EAL gets
 * what fits this machine. --help prints usage and ends the program.
 *
 * *argc and *argv become the example's arguments as getopt wants them.
 */
void example_begin(int *argc, char ***argv, const char *usage);

/* A handle on the first DMA device. */
struct ce_adapter *example_adapter(const struct ce_adapter_conf *conf);

/* Say what is wrong and what to do, clean up, and end the program. */
void example_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* The same for arguments that are wrong: points to --help, and ends with status 2. */
void example_misuse(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* An option's value, which has to be a number from min to max. */
double example_number(const char *text, char option, double min, double max);

/* How far it is: on a terminal in place, ten times a second; else a line every two seconds. */
void example_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * A file that takes its name, and the place of one that has it, only when it is whole: it is
 * written beside it, and vanishes when the program ends before example_file_keep().
 *
 * in is the file that is read, which it cannot replace. Returns a descriptor to read and write.
 */
int example_file(const char *path, const struct stat *in);
/* The name that it has until then. */
const char *example_file_name(void);
void example_file_keep(void);

/* The exit status of a program that Ctrl-C has ended, or status if it has not. */
int example_end(int status);

double example_seconds(void);

#endif /* EXAMPLE_H */
