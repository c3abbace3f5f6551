/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * dma-shell: poke at DMA devices, watch them, measure them, break them and see them recover.
 */

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>

#include "shell.h"
#include "start.h"

#define DEVICES_MAX 64

static struct {
	const char *commands; /* -c */
	const char *file;     /* --cmdline-file */
	bool interactive;     /* -i */
	const char *device[DEVICES_MAX];
	unsigned int nb_devices;
} options;

static void
usage(void)
{
	puts("usage: dma-shell [EAL options --] [options] [DEVICE]...\n"
		"  DEVICE: a PCI address, or a vdev with arguments (dma_skeleton0, dma_cbdma1,cpu=0),\n"
		"  that is to be started; without any and without EAL options the model, dma_cbdma0\n"
		"  -c, --commands \"CMD; CMD\"  run these commands, then exit\n"
		"  -f, --cmdline-file FILE    run the commands of FILE, then exit\n"
		"  -i, --interactive          give a prompt after -c or -f\n"
		"  -d, --device DEVICE        the same as DEVICE\n"
		"  -j, --json                 print each result as one JSON object a line\n"
		"  -h, --help                 print this\n"
		"Without -c and -f: a prompt on a terminal; else commands are read from the input.\n"
		"Commands that are not typed stop at the first one that fails, with exit status 1.\n"
		"Without EAL options DPDK runs with hugepages if there are any, else without.\n"
		"Try: dma-shell -c help");
}

static int
misuse(const char *what, const char *word)
{
	fprintf(stderr, "error: %s%s, see --help\n", what, word);
	return -1;
}

static int
add_device(const char *device)
{
	if (options.nb_devices == DEVICES_MAX)
		return misuse("too many devices at ", device);
	options.device[options.nb_devices++] = device;
	return 0;
}

/* -c, on either side of "--". */
static int
set_commands(const char *commands)
{
	if (options.commands != NULL)
		return misuse("-c is given twice: separate the commands by ';'", "");
	options.commands = commands;
	return 0;
}

static int
parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "commands", required_argument, NULL, 'c' },
		{ "cmdline-file", required_argument, NULL, 'f' },
		{ "interactive", no_argument, NULL, 'i' },
		{ "device", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:f:id:jh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			if (set_commands(optarg) != 0)
				return -1;
			break;
		case 'f':
			if (options.file != NULL)
				return misuse("-f is given twice", "");
			options.file = optarg;
			break;
		case 'i':
			options.interactive = true;
			break;
		case 'd':
			if (add_device(optarg) != 0)
				return -1;
			break;
		case 'j':
			shell.json = true;
			break;
		case 'h':
			usage();
			exit(EXIT_SUCCESS);
		case ':':
			return misuse("a value is missing after ", argv[optind - 1]);
		default:
			return misuse("bad option, or one of EAL's, which go before \"--\": ",
				argv[optind - 1]);
		}
	}
	for (; optind < argc; optind++)
		if (add_device(argv[optind]) != 0)
			return -1;
	if (options.commands != NULL && options.file != NULL)
		return misuse("-c and --cmdline-file do not go together", "");
	return 0;
}

/*
 * Split the words at "--" into EAL's, their number in *nb_eal, and ours. A -c among EAL's is ours:
 * who wants a core mask has -l.
 */
static int
split_arguments(int argc, char **argv, int *nb_eal)
{
	int separator, i, n = 1;

	for (separator = 1; separator < argc && strcmp(argv[separator], "--") != 0; separator++)
		;
	*nb_eal = 1;
	if (separator == argc)
		return parse_options(argc, argv);
	for (i = 1; i < separator; i++) {
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			usage();
			puts("\nEAL options:");
			fflush(stdout);
		}
		if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--commands") == 0) {
			if (++i == separator)
				return misuse("a value is missing after ", argv[i - 1]);
			if (set_commands(argv[i]) != 0)
				return -1;
		} else if (strncmp(argv[i], "--commands=", strlen("--commands=")) == 0) {
			if (set_commands(argv[i] + strlen("--commands=")) != 0)
				return -1;
		} else {
			argv[n++] = argv[i];
		}
	}
	*nb_eal = n;
	return parse_options(argc - separator, argv + separator);
}

static void
on_signal(int number)
{
	shell.interrupted = 1;
	if (number != SIGINT)
		shell.quit = true;
}

static void
catch_signals(void)
{
	/* No SA_RESTART: a wait for a key is to end. */
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* A PCI device may have several dmadevs, named after it, with a "-" between. */
static int
start_device(const char *device)
{
	const size_t len = strcspn(device, ",");
	const char *name;
	struct rte_dma_info info;
	int started = 0, ret;
	int16_t id;

	RTE_DMA_FOREACH_DEV(id) {
		if (rte_dma_info_get(id, &info) != 0)
			continue;
		name = info.dev_name;
		if (strncmp(name, device, len) != 0 && strlen(name) > 5)
			name += 5; /* "0000:" */
		if (strncmp(name, device, len) != 0 || strchr("-", name[len]) == NULL)
			continue;
		ret = device_start(id);
		if (ret != 0)
			return ret;
		started++;
	}
	return started > 0 ? 0 : shell_error(-ENODEV, "there is no device '%s'", device);
}

static int
start_devices(bool ours)
{
	unsigned int i;
	int16_t id;
	int ret = 0;

	if (ours && options.nb_devices == 0)
		RTE_DMA_FOREACH_DEV(id)
			if (ret == 0)
				ret = device_start(id);
	for (i = 0; i < options.nb_devices && ret == 0; i++)
		ret = start_device(options.device[i]);
	return ret;
}

static int
run(bool ours)
{
	int ret;

	/* Without a prompt it is the commands that start devices. */
	options.interactive |= options.commands == NULL && options.file == NULL &&
		isatty(STDIN_FILENO);
	ret = start_devices(ours && options.interactive);
	if (ret != 0)
		return ret;
	if (options.commands != NULL)
		ret = shell_run_line(options.commands);
	else if (options.file != NULL)
		ret = shell_run_file(options.file);
	else if (!options.interactive)
		return shell_run_stream(stdin, "input");
	if (ret == 0 && options.interactive && !shell.quit)
		ret = isatty(STDIN_FILENO) ? terminal_run() :
			shell_error(-ENOTTY, "the input is no terminal: no prompt");
	return ret;
}

int
main(int argc, char **argv)
{
	int nb_eal, ret;

	/* Our own options are checked before EAL takes its time. */
	if (split_arguments(argc, argv, &nb_eal) != 0)
		return 2;
	if (start_eal(nb_eal, argv, options.device, options.nb_devices) != 0)
		return 2;
	catch_signals();
	ret = run(nb_eal == 1);
	if (ret == 0)
		ret = shell_flush();
	shell_fini();
	rte_eal_cleanup();
	if (ret == -EINTR)
		return 130;
	return ret != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
