/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "example.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include "replacement.h"
#include "start.h"

volatile sig_atomic_t example_stop;

/* The file under way. */
static struct replacement file;

static bool progress_shown;

static void
on_signal(int number)
{
	example_stop = number;
	/* The second time there is no waiting for the cleaning up, but that writes to the pipe again. */
	signal(number, number == SIGPIPE ? SIG_IGN : SIG_DFL);
}

void
example_begin(int *argc, char ***argv, const char *usage)
{
	struct sigaction action = {.sa_handler = on_signal}, before;
	char *program = (*argv)[0];
	int i, separator = 0;

	for (i = 1; i < *argc; i++) {
		if (strcmp((*argv)[i], "--help") == 0 || strcmp((*argv)[i], "-h") == 0) {
			printf("%s", usage);
			exit(EXIT_SUCCESS);
		}
		if (separator == 0 && strcmp((*argv)[i], "--") == 0)
			separator = i;
	}
	if (start_eal(RTE_MAX(separator, 1), *argv, NULL, 0) < 0)
		exit(EXIT_FAILURE);
	if (separator > 0) {
		(*argv)[separator] = program;
		*argv += separator;
		*argc -= separator;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* The terminal or the reader is gone. nohup has asked for no end then. */
	sigaction(SIGPIPE, &action, NULL);
	sigaction(SIGHUP, &action, &before);
	if (before.sa_handler == SIG_IGN)
		signal(SIGHUP, SIG_IGN);
}

static int16_t device = -1; /* that was started */

struct ce_adapter *
example_adapter(const struct ce_adapter_conf *conf)
{
	struct ce_adapter *adapter;
	struct ce_adapter_info info;
	struct rte_dma_info dma_info;
	int16_t dev_id = rte_dma_next_dev(0);

	if (dev_id < 0)
		example_fail("there is no DMA device: give EAL options, as --vdev=dma_skeleton0 or -a "
			     "with the address of one, then --");
	adapter = ce_adapter_get(dev_id, conf);
	if (adapter == NULL)
		example_fail("DMA device %d cannot be used: %s", dev_id, rte_strerror(rte_errno));
	device = dev_id;
	ce_adapter_info_get(adapter, &info);
	rte_dma_info_get(dev_id, &dma_info);
	printf("DMA device %s: %u map registers, %s\n", dma_info.dev_name, info.map_registers,
		info.sg ? "scatter/gather" : "no scatter/gather");
	fflush(stdout);
	return adapter;
}

static void
progress_end(void)
{
	if (progress_shown && isatty(STDERR_FILENO))
		fprintf(stderr, "\n");
	progress_shown = false;
}

static void
clean_up(void)
{
	progress_end();
	replacement_drop(&file);
	rte_eal_cleanup();
}

static void __attribute__((noreturn, format(printf, 3, 0)))
fail(int status, const char *end, const char *format, va_list args)
{
	/* Behind the progress, and the file's end is that of the message. */
	progress_end();
	fprintf(stderr, "error: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "%s\n", end);
	/* It may be at work on memory that is about to go, and drivers do not stop it then. */
	if (device >= 0)
		rte_dma_stop(device);
	clean_up();
	/* What Ctrl-C has broken off has not failed by itself. */
	exit(example_stop != 0 ? 128 + example_stop : status);
}

void
example_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail(EXIT_FAILURE, "", format, args);
}

void
example_misuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail(2, ", see --help", format, args);
}

double
example_number(const char *text, char option, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= min && value <= max))
		example_misuse("-%c %s: takes a number from %.10g to %.10g", option, text, min, max);
	return value;
}

void
example_progress(const char *format, ...)
{
	static double last;
	const bool terminal = isatty(STDERR_FILENO);
	va_list args;

	if (last == 0)
		last = example_seconds();
	if (example_seconds() - last < (terminal ? 0.1 : 2))
		return;
	last = example_seconds();
	if (terminal)
		fprintf(stderr, "\r\033[K");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (!terminal)
		fprintf(stderr, "\n");
	progress_shown = true;
}

int
example_file(const char *path, const struct stat *in)
{
	struct stat st;
	const char *why;

	if (stat(path, &st) == 0 && st.st_dev == in->st_dev && st.st_ino == in->st_ino)
		example_fail("source and destination are the same file");
	why = replacement_begin(&file, path, in->st_mode);
	if (why != NULL)
		example_fail("cannot write %s: %s", path, why);
	return file.fd;
}

const char *
example_file_name(void)
{
	return file.name;
}

void
example_file_keep(void)
{
	const int ret = replacement_keep(&file);

	if (ret < 0)
		example_fail("cannot write %s: %s", file.path, strerror(-ret));
}

int
example_end(int status)
{
	clean_up();
	/* What was printed and did not arrive is an error too. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "error: cannot write what there is to say\n");
		status = EXIT_FAILURE;
	}
	return example_stop != 0 ? 128 + example_stop : status;
}

double
example_seconds(void)
{
	return (double)rte_get_tsc_cycles() / rte_get_tsc_hz();
}
