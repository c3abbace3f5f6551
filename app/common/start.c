/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_pci.h>

#define ARGUMENTS_MAX 256
#define HUGE_BYTES    (64u << 20) /* of memory in hugepages to start with */

#ifdef WITH_MODEL
#include <rte_pmd_cbdma.h>

#define DEFAULT_DEVICE "dma_cbdma0"

/* A library from which nothing is taken would not be linked. */
static int (*const driver)(int16_t, const char *) __attribute__((used)) = rte_pmd_cbdma_inject;
#else
#define DEFAULT_DEVICE "dma_skeleton0"
#endif

static char *arguments[ARGUMENTS_MAX + 1];
static int nb_arguments;

static void
add(const char *format, const char *value)
{
	/* EAL keeps pointers to its arguments. */
	if (nb_arguments == ARGUMENTS_MAX ||
			asprintf(&arguments[nb_arguments++], format, value) < 0) {
		fprintf(stderr, "error: more than %d arguments\n", ARGUMENTS_MAX);
		exit(EXIT_FAILURE);
	}
}

/* The same kind of memory that EAL will ask for. */
static bool
have_hugepages(void)
{
	void *p = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, HUGE_BYTES);
	return true;
}

static bool
given(const char *option)
{
	const size_t len = strlen(option);
	int i;

	for (i = 1; i < nb_arguments; i++)
		if (option[1] == '-' ? strncmp(arguments[i], option, len) == 0 &&
				strchr("=", arguments[i][len]) != NULL :
				strncmp(arguments[i], option, len) == 0)
			return true;
	return false;
}

/* DMA devices are of PCI class "DMA controller" or "system peripheral". */
static bool
is_dma_device(const char *device)
{
	char path[256], class[16] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/class", device);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	if (fgets(class, sizeof(class), f) == NULL)
		class[0] = '\0';
	fclose(f);
	return strncmp(class, "0x0801", 6) == 0 || strncmp(class, "0x0880", 6) == 0;
}

/* EAL takes every device whose driver it has, network cards too: allow it DMA devices only. */
static void
leave_others_alone(void)
{
	static const char *const drivers[] = {
		"/sys/bus/pci/drivers/vfio-pci/????:*",
		"/sys/bus/pci/drivers/*uio*/????:*",
	};
	bool found = false;
	unsigned int i;
	glob_t devices;
	size_t j;

	if (given("-a") || given("--allow") || given("-b") || given("--block") || given("--no-pci"))
		return;
	for (i = 0; i < RTE_DIM(drivers); i++) {
		if (glob(drivers[i], 0, NULL, &devices) != 0)
			continue;
		for (j = 0; j < devices.gl_pathc; j++) {
			if (!is_dma_device(devices.gl_pathv[j]))
				continue;
			add("--allow=%s", strrchr(devices.gl_pathv[j], '/') + 1);
			found = true;
		}
		globfree(&devices);
	}
	if (!found)
		add("%s", "--no-pci");
}

/* An argument's value where it is that option, "--option VALUE" and "--option=VALUE". */
static const char *
value_of(char *const *argument, const char *option)
{
	const size_t len = strlen(option);

	if (strncmp(*argument, option, len) != 0)
		return NULL;
	if ((*argument)[len] == '=' || (option[1] != '-' && (*argument)[len] != '\0'))
		return *argument + len + ((*argument)[len] == '=');
	return (*argument)[len] == '\0' ? argument[1] : NULL;
}

static const char *const device_options[] = {"--vdev", "--allow", "-a"};

/* Whether two devices with their arguments are one: dma_cbdma1 is not dma_cbdma10. */
static bool
same_device(const char *a, const char *b)
{
	const size_t len = strcspn(a, ",");
	struct rte_pci_addr x, y;
	char p[PCI_PRI_STR_SIZE + 1], q[PCI_PRI_STR_SIZE + 1];

	if (len == strcspn(b, ",") && strncmp(a, b, len) == 0)
		return true;
	snprintf(p, sizeof(p), "%.*s", (int)len, a);
	snprintf(q, sizeof(q), "%.*s", (int)strcspn(b, ","), b);
	return rte_pci_addr_parse(p, &x) == 0 && rte_pci_addr_parse(q, &y) == 0 &&
		rte_pci_addr_cmp(&x, &y) == 0;
}

/* Unless an argument names it. */
static void
add_device(const char *device)
{
	char *name = strndup(device, strcspn(device, ","));
	struct rte_pci_addr address;
	const char *value;
	bool named = false;
	unsigned int j;
	int i;

	if (name == NULL)
		return;
	for (i = 1; i < nb_arguments; i++)
		for (j = 0; j < RTE_DIM(device_options); j++) {
			value = value_of(&arguments[i], device_options[j]);
			named |= value != NULL && same_device(value, device);
		}
	if (!named)
		add(rte_pci_addr_parse(name, &address) == 0 ? "--allow=%s" : "--vdev=%s", device);
	free(name);
}

static void
choose_arguments(char *program, const char *const *devices, unsigned int nb_devices)
{
	static const char *const model[] = {DEFAULT_DEVICE};
	unsigned int i;

	add("%s", program);
	add("%s", "--log-level=error");
	/* EAL does not take --in-memory beside --no-huge. Neither leaves files that others would find. */
	if (have_hugepages()) {
		add("%s", "--in-memory");
	} else {
		add("%s", "--no-shconf");
		add("%s", "--no-huge");
		add("%s", "-m512");
	}
	if (nb_devices == 0) {
		devices = model;
		nb_devices = 1;
	}
	for (i = 0; i < nb_devices; i++)
		add_device(devices[i]);
	/* A model needs no physical addresses, in which memory is in small pieces. */
	if (!given("--allow")) {
		add("%s", "--no-pci");
		add("%s", "--iova-mode=va");
	}
}

/* What EAL said, for what it does not tell by an error number. */
static char said[16384];

static ssize_t
listen_and_print(void *cookie, const char *text, size_t size)
{
	const size_t len = strlen(said), n = RTE_MIN(size, sizeof(said) - 1 - len);

	(void)cookie;
	memcpy(said + len, text, n);
	said[len + n] = '\0';
	return fwrite(text, 1, size, stderr) == size ? (ssize_t)size : 0;
}

static const char *
what_to_do(void)
{
	static const struct {
		const char *saying, *to_do;
	} causes[] = {
		{"another primary process", "another DPDK program runs with these files: give "
			"--file-prefix=NAME or --in-memory"},
		{"shared object", "a plugin (-d) cannot be loaded"},
		{"plugin", "a plugin (-d) cannot be loaded; EAL takes none from a folder that is "
			"world-writable, or below one"},
		{"ugepage", "there are no hugepages: give --no-huge, or reserve some with "
			"dpdk-hugepages.py --setup 512M"},
		{"ermission denied", "it needs root's rights here: give --in-memory, or be root"},
	};
	unsigned int i;

	/* With --in-memory it says so as well, but needs none. */
	if (strstr(said, "no mounted hugetlbfs") != NULL && strstr(said, "Cannot get hugepage") != NULL)
		return "no hugetlbfs is mounted: give --in-memory, or mount one with "
			"dpdk-hugepages.py --mount";
	for (i = 0; i < RTE_DIM(causes); i++)
		if (strstr(said, causes[i].saying) != NULL)
			return causes[i].to_do;
	return rte_errno == ENODEV ? "a device that was named is not there, or there is no driver for it" :
		"see --help, and above what EAL says";
}

/* EAL goes on without a device that it could not make. */
static bool
device_is_there(const char *devargs)
{
	char *name = strndup(devargs, strcspn(devargs, ","));
	static const char *const buses[] = {"bus=vdev", "bus=pci"};
	struct rte_dev_iterator it;
	struct rte_pci_addr address;
	struct rte_device *dev;
	char full[PCI_PRI_STR_SIZE + 1];
	bool found = false;
	unsigned int i;

	if (name != NULL && rte_pci_addr_parse(name, &address) == 0)
		rte_pci_device_name(&address, full, sizeof(full));
	else
		snprintf(full, sizeof(full), "%s", "");
	for (i = 0; name != NULL && i < RTE_DIM(buses); i++)
		RTE_DEV_FOREACH(dev, buses[i], &it)
			found |= rte_dev_is_probed(dev) && (strcmp(rte_dev_name(dev), name) == 0 ||
				strcmp(rte_dev_name(dev), full) == 0);
	free(name);
	return found;
}

static int
check_devices(char *const *wanted)
{
	const char *device;
	unsigned int i;

	for (; *wanted != NULL; wanted++)
		for (i = 0; i < RTE_DIM(device_options); i++) {
			device = value_of(wanted, device_options[i]);
			if (device == NULL || device_is_there(device))
				continue;
			fprintf(stderr, "error: there is no device '%s', or it does not start: see "
				"above\n", device);
			return -1;
		}
	return 0;
}

/*
 * Who closed one of the first three would have what is printed in the first file that EAL opens, its
 * configuration in shared memory. Nothing can be written to these.
 */
static void
hold_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int
start_eal(int argc, char **argv, const char *const *devices, unsigned int nb_devices)
{
	static const cookie_io_functions_t listener = {.write = listen_and_print};
	char *wanted[ARGUMENTS_MAX + 1];
	FILE *log = fopencookie(NULL, "w", listener);
	int i, ret;

	hold_standard_files();
	if (argc > 1) {
		for (i = 0; i < argc; i++)
			add("%s", argv[i]);
		for (i = 0; i < (int)nb_devices; i++)
			add_device(devices[i]);
		leave_others_alone();
	} else {
		choose_arguments(argv[0], devices, nb_devices);
	}
	/* EAL puts its arguments in another order. */
	memcpy(wanted, arguments, sizeof(wanted));
	/* What drivers and EAL say is no result. */
	if (log != NULL) {
		setvbuf(log, NULL, _IONBF, 0);
		rte_openlog_stream(log);
	}
	ret = rte_eal_init(nb_arguments, arguments);
	rte_openlog_stream(stderr);
	if (log != NULL)
		fclose(log);
	if (ret < 0) {
		fprintf(stderr, "error: DPDK does not start%s%s: %s\n", rte_errno != 0 ? ": " : "",
			rte_errno != 0 ? rte_strerror(rte_errno) : "", what_to_do());
		return -1;
	}
	if (ret + 1 < nb_arguments) {
		fprintf(stderr, "error: '%s' is no option of EAL's, see --help\n",
			arguments[ret + 1]);
		return -1;
	}
	return check_devices(wanted);
}
