/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* dma-deviced: serves models of DMA copy engines as PCI functions, each over a vfio-user socket. */

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device_args.h"
#include "dm_engine.h"
#include "vfiou_dma.h"
#include "vfiou_server.h"

#define MAX_FUNCTIONS 16

/* A socket and the function behind it. */
struct function {
	const char *path;
	struct dm_device *dev;
	struct dm_engine *engine;
	struct vfiou_server *server;
	pthread_t thread;
	bool running;
	int stop_fd;
	int status;
};

struct options {
	struct function function[MAX_FUNCTIONS];
	unsigned int functions;
	int cpu;
	enum dm_idle idle;
	unsigned int latency;
	bool verbose;
};

static void
print_help(const char *name)
{
	printf("usage: %s --socket PATH --device DEVICE [OPTION]...\n"
	       "\n"
	       "Serves a model of a DMA copy engine as a PCI function over the vfio-user\n"
	       "protocol, to one client at a time, until it gets SIGINT or SIGTERM.\n"
	       "\n"
	       "  --socket PATH    where clients connect to; removed at the end. A socket that a\n"
	       "                   server left behind is replaced\n"
	       "  --device DEVICE  what is served there, see below. Both once more: another\n"
	       "                   function\n"
	       "  --inject FAULT   in the device before: [CHANNEL:]fail[:at=N][:cause=C],\n"
	       "                   stall[:at=N], vanish[:at=N] or reset; C is one of src, dst,\n"
	       "                   next, align, read, write, op, length, completion\n"
	       "  --cpu N          pin the thread that runs the devices to CPU N\n"
	       "  --idle HOW       what that thread does without work: spin, yield (the CPU to\n"
	       "                   others) or sleep; default sleep\n"
	       "  --latency US     microseconds from doorbell to start, 0 to 100000; default 0.\n"
	       "                   Drivers in emulated guests may need 200\n"
	       "  --verbose        log each message\n"
	       "  --help           this text\n"
	       "\n"
	       "Devices:\n"
	       "  %s\n"
	       "Examples:\n"
	       "  %s --socket /run/dma0.sock --device cbdma,version=3.4\n"
	       "  qemu-system-x86_64 -machine q35 -m 1G -machine memory-backend=mem \\\n"
	       "    -object memory-backend-memfd,id=mem,size=1G,share=on ... \\\n"
	       "    -device '{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\","
	       "\"path\":\"/run/dma0.sock\"}}'\n"
	       "\n"
	       "  %s --socket /run/dma1.sock --device cbdma,doorbell-bar=on --cpu 1\n"
	       "  dpdk-test -d librte_dma_cbdma.so --vdev=dma_cbdma0,socket=/run/dma1.sock\n",
		name, device_help, name, name);
}

static void
log_line(void *opaque, const char *line)
{
	const struct function *function = opaque;

	/* One call: lines of several threads do not mix. */
	fprintf(stderr, "dma-deviced: %s: %s\n", function->path, line);
}

/* Options. Wrong ones are told by name. */

static int
bad_option(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "dma-deviced: %s %s: %s\n", option, value, why);
	return -EINVAL;
}

static int
parse_number(const char *option, const char *value, unsigned long max, const char *takes,
	unsigned long *number)
{
	char *end;

	errno = 0;
	*number = strtoul(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || errno != 0 || *end != '\0' || *number > max)
		return bad_option(option, value, takes);
	return 0;
}

static int
parse_idle(const char *value, enum dm_idle *idle)
{
	static const char *const name[] = {
		[DM_IDLE_SPIN] = "spin", [DM_IDLE_YIELD] = "yield", [DM_IDLE_SLEEP] = "sleep"};
	unsigned int i;

	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		if (strcmp(value, name[i]) == 0) {
			*idle = i;
			return 0;
		}
	}
	return bad_option("--idle", value, "takes spin, yield or sleep");
}

/* The function that a --socket or a --device belongs to: the one that lacks it, or a new one. */
static struct function *
function_for(struct options *options, bool is_socket)
{
	struct function *last;

	if (options->functions > 0) {
		last = &options->function[options->functions - 1];
		if (is_socket ? last->path == NULL : last->dev == NULL)
			return last;
		if (last->path == NULL || last->dev == NULL)
			return NULL;
	}
	if (options->functions == MAX_FUNCTIONS)
		return NULL;
	return &options->function[options->functions++];
}

static int
parse_option(int option, const char *value, struct options *options)
{
	struct function *function;
	unsigned long number;
	char error[256];
	int ret;

	switch (option) {
	case 's':
		function = function_for(options, true);
		if (function == NULL)
			return bad_option("--socket", value,
				"one --device for each --socket, 16 at most");
		function->path = value;
		return 0;
	case 'd':
		function = function_for(options, false);
		if (function == NULL)
			return bad_option("--device", value,
				"one --socket for each --device, 16 at most");
		function->dev = device_create(value, error, sizeof(error));
		return function->dev != NULL ? 0 : bad_option("--device", value, error);
	case 'i':
		if (options->functions == 0 ||
				options->function[options->functions - 1].dev == NULL)
			return bad_option("--inject", value, "comes after the --device it is for");
		function = &options->function[options->functions - 1];
		if (device_inject(function->dev, value, error, sizeof(error)) != 0)
			return bad_option("--inject", value, error);
		return 0;
	case 'c':
		ret = parse_number("--cpu", value, 1u << 16, "takes the number of a CPU", &number);
		if (ret == 0)
			options->cpu = number;
		return ret;
	case 'I':
		return parse_idle(value, &options->idle);
	case 'l':
		ret = parse_number("--latency", value, 100000,
			"takes microseconds, 0 to 100000", &number);
		if (ret == 0)
			options->latency = number;
		return ret;
	case 'v':
		options->verbose = true;
		return 0;
	default:
		return -EINVAL; /* getopt has said why */
	}
}

/* @return 0; 1: --help; an errno, negative. */
static int
parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"socket", required_argument, NULL, 's'},
		{"device", required_argument, NULL, 'd'},
		{"inject", required_argument, NULL, 'i'},
		{"cpu", required_argument, NULL, 'c'},
		{"idle", required_argument, NULL, 'I'},
		{"latency", required_argument, NULL, 'l'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const struct function *last;
	int option, ret;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'h')
			return 1;
		ret = parse_option(option, optarg, options);
		if (ret != 0)
			return ret;
	}
	if (optind < argc)
		return bad_option("argument", argv[optind], "is not known");
	last = options->functions == 0 ? NULL : &options->function[options->functions - 1];
	if (last == NULL || last->path == NULL || last->dev == NULL) {
		fprintf(stderr, "dma-deviced: needs %s; see --help\n",
			last == NULL ? "--socket and --device" :
			last->path == NULL ? "a --socket for the --device" :
					     "a --device for the --socket");
		return -EINVAL;
	}
	return 0;
}

/* Running */

static void *
serve(void *opaque)
{
	struct function *function = opaque;

	function->status = vfiou_server_run(function->server, function->stop_fd);
	if (function->status != 0) {
		log_line(function, strerror(-function->status));
		kill(getpid(), SIGTERM); /* and the others with it */
	}
	return NULL;
}

static int
start(struct function *function, const struct options *options, int stop_fd)
{
	const struct vfiou_server_config config = {
		.path = function->path,
		.dev = function->dev,
		.verbose = options->verbose,
		.log = log_line,
		.opaque = function,
	};
	int ret;

	function->stop_fd = stop_fd;
	ret = dm_engine_get(options->cpu, options->idle, &function->engine);
	if (ret == 0) {
		dm_engine_set_latency(function->engine, options->latency);
		ret = dm_engine_attach(function->engine, function->dev);
	}
	if (ret != 0) {
		fprintf(stderr, "dma-deviced: --cpu %d: no engine can run there: %s\n",
			options->cpu, strerror(-ret));
		return ret;
	}
	ret = vfiou_server_create(&config, &function->server);
	if (ret != 0)
		return ret;
	ret = -pthread_create(&function->thread, NULL, serve, function);
	function->running = ret == 0;
	if (ret == 0)
		log_line(function, "listening");
	return ret;
}

static int
finish(struct function *function)
{
	int status = 0;

	if (function->running) {
		pthread_join(function->thread, NULL);
		status = function->status;
	}
	vfiou_server_destroy(function->server);
	if (function->engine != NULL) {
		dm_engine_detach(function->engine, function->dev);
		dm_engine_put(function->engine);
	}
	dm_device_destroy(function->dev);
	return status;
}

int
main(int argc, char **argv)
{
	struct options options = {.cpu = DM_CPU_ANY, .idle = DM_IDLE_SLEEP};
	int ret, stop_fd, signal_number;
	sigset_t ending;
	unsigned int i;

	/* Blocked here, so in all threads; waited for below. */
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
	vfiou_dma_guard();
	stop_fd = eventfd(0, EFD_CLOEXEC);

	ret = parse_options(argc, argv, &options);
	if (ret == 1)
		print_help("dma-deviced");
	for (i = 0; i < options.functions && ret == 0; i++)
		ret = start(&options.function[i], &options, stop_fd);
	if (ret == 0) {
		sigwait(&ending, &signal_number);
		fprintf(stderr, "dma-deviced: %s: ending\n", strsignal(signal_number));
	}
	eventfd_write(stop_fd, 1);
	for (i = 0; i < options.functions; i++) {
		int status = finish(&options.function[i]);

		if (ret == 0)
			ret = status;
	}
	close(stop_fd);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
