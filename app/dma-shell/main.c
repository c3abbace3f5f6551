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

#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "shell.h"

#define DEVICES_MAX 64

static struct {
	const char *commands; /* -c */
	const char *file;     /* --cmdline-file */
	bool interactive;     /* -i */
	const char *device[DEVICES_MAX];
	unsigned int nb_devices;
} options;

static void
usage(const char *prog)
{
	printf("usage: %s [EAL options] -- [options]\n"
		"  -c, --commands \"CMD; CMD\"  run these commands, then exit\n"
		"  -f, --cmdline-file FILE    run the commands of FILE, then exit\n"
		"  -i, --interactive          give a prompt after -c or -f\n"
		"  -d, --device NAME          start this device first (more than once: each)\n"
		"  -j, --json                 print each result as one JSON object a line\n"
		"  -h, --help                 print this\n"
		"Without -c and -f: a prompt on a terminal; else commands are read from the input.\n"
		"Commands that are not typed stop at the first one that fails, with exit status 1.\n"
		"Try: %s --no-huge --vdev=dma_skeleton0 -- -c help\n", prog, prog);
}

static int
parse_options(int argc, char **argv, const char *prog)
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
	while ((c = getopt_long(argc, argv, "c:f:id:jh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			options.commands = optarg;
			break;
		case 'f':
			options.file = optarg;
			break;
		case 'i':
			options.interactive = true;
			break;
		case 'd':
			if (options.nb_devices == DEVICES_MAX)
				return -1;
			options.device[options.nb_devices++] = optarg;
			break;
		case 'j':
			shell.json = true;
			break;
		case 'h':
			usage(prog);
			exit(EXIT_SUCCESS);
		default:
			return -1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "error: bad word '%s': expected an option\n", argv[optind]);
		return -1;
	}
	if (options.commands != NULL && options.file != NULL) {
		fprintf(stderr, "error: -c and --cmdline-file do not go together\n");
		return -1;
	}
	return 0;
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

static int
start_devices(void)
{
	unsigned int i;
	int id, ret;

	for (i = 0; i < options.nb_devices; i++) {
		id = rte_dma_get_dev_id_by_name(options.device[i]);
		if (id < 0)
			return shell_error(-ENODEV, "there is no device '%s' (--device)",
				options.device[i]);
		ret = device_start(id);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static int
run(void)
{
	int ret = start_devices();

	if (ret != 0)
		return ret;
	if (options.commands != NULL)
		ret = shell_run_line(options.commands);
	else if (options.file != NULL)
		ret = shell_run_file(options.file);
	else if (!isatty(STDIN_FILENO))
		return shell_run_stream(stdin, "input");
	else
		options.interactive = true;
	if (ret == 0 && options.interactive && !shell.quit)
		ret = isatty(STDIN_FILENO) ? terminal_run() :
			shell_error(-ENOTTY, "the input is no terminal: no prompt");
	return ret;
}

int
main(int argc, char **argv)
{
	const char *prog = argv[0];
	int i, own, ret;

	/* Our own options are checked before EAL takes its time. */
	for (own = 1; own < argc && strcmp(argv[own], "--") != 0; own++)
		if (strcmp(argv[own], "--help") == 0 || strcmp(argv[own], "-h") == 0) {
			usage(prog);
			printf("\nEAL options:\n");
			fflush(stdout);
		}
	if (own < argc && parse_options(argc - own, argv + own, prog) != 0) {
		usage(prog);
		return 2;
	}
	/* What drivers and EAL say is no result. */
	rte_openlog_stream(stderr);
	i = rte_eal_init(argc, argv);
	if (i < 0) {
		fprintf(stderr, "error: DPDK does not start (%s), see above; without hugepages: "
			"--no-huge\n", rte_strerror(rte_errno));
		return 2;
	}
	catch_signals();
	ret = shell_init();
	if (ret == 0)
		ret = run();
	shell_fini();
	rte_eal_cleanup();
	if (ret == -EINTR)
		return 130;
	return ret != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
