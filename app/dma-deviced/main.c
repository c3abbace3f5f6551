/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* dma-deviced: serves models of DMA copy engines as PCI functions, each over a vfio-user socket. */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "deviced.h"
#include "device_args.h"

/* Who sessions are when root starts us, unless told. */
#define DEFAULT_USER "nobody"

static void
print_help(const char *name)
{
	printf("usage: %s --socket PATH --device DEVICE [OPTION]...\n"
	       "\n"
	       "Serves a model of a DMA copy engine as a PCI function over the vfio-user\n"
	       "protocol, to one client at a time, until it gets SIGINT, SIGTERM or SIGHUP.\n"
	       "Each client has a process of its own.\n"
	       "\n"
	       "  --socket PATH    where clients connect to; removed at the end. A socket that a\n"
	       "                   server left behind is replaced. fd:N: one that was opened\n"
	       "                   before, as by systemd\n"
	       "  --device DEVICE  what is served there, see below. Both once more: another\n"
	       "                   function\n"
	       "  --inject FAULT   in the device before: [CHANNEL:]fail[:at=N][:cause=C],\n"
	       "                   stall[:at=N], vanish[:at=N] or reset; C is one of src, dst,\n"
	       "                   next, align, read, write, op, length, completion\n"
	       "  --cpu N          pin the threads that run the devices to CPU N\n"
	       "  --idle HOW       what such a thread does without work: spin or sleep; default\n"
	       "                   sleep\n"
	       "  --latency US     microseconds from doorbell to start, 0 to 100000; default 0.\n"
	       "                   Drivers in emulated guests may need 200\n"
	       "  --max-memory N   bytes that a client may share, with K, M, G or T; default 1T\n"
	       "  --user NAME      who the processes that speak with clients are when root starts\n"
	       "                   this; default nobody\n"
	       "  --verbose        log each message\n"
	       "  -h, --help       this text\n"
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

/* Options. Wrong ones are told by name. */

static int
bad_option(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "dma-deviced: %s %s: %s; see --help\n", option, value, why);
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
		[DM_IDLE_SPIN] = "spin", [DM_IDLE_SLEEP] = "sleep"};
	unsigned int i;

	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		if (strcmp(value, name[i]) == 0) {
			*idle = i;
			return 0;
		}
	}
	return bad_option("--idle", value, "takes spin or sleep");
}

/* The function that a --socket or a --device belongs to: the one that lacks it, or a new one. */
static struct function *
function_for(struct options *options, bool is_socket)
{
	struct function *last;

	if (options->functions > 0) {
		last = &options->function[options->functions - 1];
		if (is_socket ? last->path == NULL : last->device == NULL)
			return last;
		if (last->path == NULL || last->device == NULL)
			return NULL;
	}
	if (options->functions == MAX_FUNCTIONS)
		return NULL;
	return &options->function[options->functions++];
}

/* Sessions make the device for themselves: here, one is made to see whether it can be. */
static int
parse_device(const char *value, struct options *options)
{
	struct function *function = function_for(options, false);
	struct dm_device *dev;
	char error[256];

	if (function == NULL)
		return bad_option("--device", value, "one --socket for each --device, 16 at most");
	dev = device_create(value, error, sizeof(error));
	if (dev == NULL)
		return bad_option("--device", value, error);
	dm_device_destroy(dev);
	function->device = value;
	return 0;
}

static int
parse_inject(const char *value, struct options *options)
{
	struct function *function = options->functions == 0 ? NULL :
		&options->function[options->functions - 1];
	struct dm_device *dev;
	char error[256];
	int ret;

	if (function == NULL || function->device == NULL)
		return bad_option("--inject", value, "comes after the --device it is for");
	if (function->faults == MAX_FAULTS)
		return bad_option("--inject", value, "16 at most for a device");
	dev = device_create(function->device, error, sizeof(error));
	ret = dev == NULL ? -EINVAL : device_inject(dev, value, error, sizeof(error));
	dm_device_destroy(dev);
	if (ret != 0)
		return bad_option("--inject", value, error);
	function->fault[function->faults++] = value;
	return 0;
}

/* Bytes, with K, M, G or T behind the number. */
static int
parse_size(const char *option, const char *value, uint64_t *size)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	errno = 0;
	*size = strtoull(value, &end, 10);
	unit = *end == '\0' ? NULL : strchr(units, *end);
	if (!isdigit((unsigned char)value[0]) || errno != 0 || *size == 0 ||
			(*end != '\0' && (unit == NULL || end[1] != '\0')))
		return bad_option(option, value,
			"takes a number of bytes, or one with K, M, G or T");
	if (unit != NULL) {
		unsigned int shift = 10 * (unit - units + 1);

		if (*size > UINT64_MAX >> shift)
			return bad_option(option, value, "is more than there can be");
		*size <<= shift;
	}
	return 0;
}

static int
parse_user(const char *value, struct options *options)
{
	const struct passwd *user = getpwnam(value);

	if (user == NULL)
		return bad_option("--user", value, "there is no such user");
	if (geteuid() != 0 && geteuid() != user->pw_uid)
		return bad_option("--user", value, "only root can be someone else");
	options->drop_user = geteuid() == 0;
	options->uid = user->pw_uid;
	options->gid = user->pw_gid;
	return 0;
}

static int
parse_option(int option, const char *value, struct options *options)
{
	struct function *function;
	unsigned long number;
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
		return parse_device(value, options);
	case 'i':
		return parse_inject(value, options);
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
	case 'm':
		return parse_size("--max-memory", value, &options->max_memory);
	case 'u':
		return parse_user(value, options);
	case 'v':
		options->verbose = true;
		return 0;
	default:
		fprintf(stderr, "dma-deviced: %s %s; see --help\n",
			option == ':' ? "a value is missing after" : "unrecognized option", value);
		return -EINVAL;
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
		{"max-memory", required_argument, NULL, 'm'},
		{"user", required_argument, NULL, 'u'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const struct function *last;
	int option, ret;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
		if (option == 'h')
			return 1;
		ret = parse_option(option, strchr(":?", option) != NULL ? argv[optind - 1] : optarg,
			options);
		if (ret != 0)
			return ret;
	}
	if (optind < argc)
		return bad_option("argument", argv[optind], "is not known");
	last = options->functions == 0 ? NULL : &options->function[options->functions - 1];
	if (last == NULL || last->path == NULL || last->device == NULL) {
		fprintf(stderr, "dma-deviced: needs %s; see --help\n",
			last == NULL ? "--socket and --device" :
			last->path == NULL ? "a --socket for the --device" :
					     "a --device for the --socket");
		return -EINVAL;
	}
	return 0;
}

/* Running */

/* What would fail in each session had better fail now. */
static int
try_engine(const struct options *options)
{
	struct dm_engine *engine;
	int ret = dm_engine_get(options->cpu, options->idle, &engine);

	if (ret == 0)
		dm_engine_put(engine);
	else
		fprintf(stderr, "dma-deviced: --cpu %d: no engine can run there: %s\n",
			options->cpu, strerror(-ret));
	return ret;
}

static int
prepare(struct options *options)
{
	unsigned int i;
	int ret;

	ret = try_engine(options);
	if (ret != 0)
		return ret;
	if (geteuid() == 0 && !options->drop_user) {
		ret = parse_user(DEFAULT_USER, options);
		if (ret != 0)
			return ret;
	}
	for (i = 0; i < options->functions; i++) {
		struct function *function = &options->function[i];

		/* A page of its own: sessions of the other functions do without. */
		function->log = mmap(NULL, sizeof(*function->log), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (function->log == MAP_FAILED)
			return -errno;
		function->verbose = options->verbose;
	}
	for (i = 0; i < options->functions && ret == 0; i++)
		ret = function_listen(&options->function[i]);
	return ret;
}

/* Started without standard error, say, the next file to be opened would be it: a client's socket,
 * which the log would be written to.
 */
static void
open_missing_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct options options = {
		.cpu = DM_CPU_ANY, .idle = DM_IDLE_SLEEP, .max_memory = 1ull << 40};
	sigset_t signals;
	unsigned int i;
	int ret;

	for (i = 0; i < MAX_FUNCTIONS; i++) {
		options.function[i].listen_fd = -1;
		options.function[i].client_fd = -1;
		options.function[i].waiting_fd = -1;
	}
	open_missing_files();
	/* Who reads the log may go before us. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	ret = parse_options(argc, argv, &options);
	if (ret == 1) {
		print_help("dma-deviced");
		return EXIT_SUCCESS;
	}
	if (ret < 0)
		return 2;
	ret = prepare(&options);
	if (ret == 0)
		ret = supervise(&options, &signals);
	for (i = 0; i < options.functions; i++)
		function_unlisten(&options.function[i]);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
