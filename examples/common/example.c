/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "example.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>

volatile sig_atomic_t example_stop;

static void
on_signal(int number)
{
	example_stop = number;
	/* The second time there is no waiting for the cleaning up. */
	signal(number, SIG_DFL);
}

static bool
have_hugepages(void)
{
	char line[128];
	long pages = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "HugePages_Free: %ld", &pages) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return pages >= 32 && geteuid() == 0;
}

static void
eal_begin(char *program, int nb, char **given)
{
	char *huge[] = {program, "--in-memory", "--no-pci", "--no-telemetry", "--log-level=warning"};
	char *nohuge[] = {program, "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
		"--log-level=warning"};
	int ret;

	if (given != NULL)
		ret = rte_eal_init(nb, given);
	else if (have_hugepages())
		ret = rte_eal_init(RTE_DIM(huge), huge);
	else
		ret = rte_eal_init(RTE_DIM(nohuge), nohuge);
	if (ret < 0) {
		fprintf(stderr, "error: EAL does not start: %s\n", rte_strerror(rte_errno));
		exit(EXIT_FAILURE);
	}
}

void
example_begin(int *argc, char ***argv, const char *usage)
{
	struct sigaction action = {.sa_handler = on_signal};
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
	if (separator == 0) {
		eal_begin(program, 0, NULL);
	} else {
		char **eal = malloc((separator + 1) * sizeof(*eal));

		/* EAL puts its arguments in another order. */
		memcpy(eal, *argv, separator * sizeof(*eal));
		eal[separator] = NULL;
		eal_begin(program, separator, eal);
		free(eal);
		(*argv)[separator] = program;
		*argv += separator;
		*argc -= separator;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

struct ce_adapter *
example_adapter(const struct ce_adapter_conf *conf)
{
	struct ce_adapter *adapter;
	struct ce_adapter_info info;
	struct rte_dma_info dma_info;
	int16_t dev_id = rte_dma_next_dev(0);

	if (dev_id < 0 && rte_vdev_init("dma_cbdma0", "") < 0 &&
		rte_vdev_init("dma_skeleton0", "") < 0)
		example_fail("there is no DMA device, and none can be made: give EAL options, as\n"
			     "       --vdev=dma_skeleton0 or -a with the address of one, then --");
	if (dev_id < 0)
		dev_id = rte_dma_next_dev(0);
	adapter = ce_adapter_get(dev_id, conf);
	if (adapter == NULL)
		example_fail("DMA device %d cannot be used: %s", dev_id, rte_strerror(rte_errno));
	ce_adapter_info_get(adapter, &info);
	rte_dma_info_get(dev_id, &dma_info);
	printf("DMA device %s: %u map registers, %s\n", dma_info.dev_name, info.map_registers,
		info.sg ? "scatter/gather" : "no scatter/gather");
	return adapter;
}

void
example_fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "error: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	rte_eal_cleanup();
	exit(EXIT_FAILURE);
}

int
example_end(int status)
{
	rte_eal_cleanup();
	return example_stop != 0 ? 128 + example_stop : status;
}

double
example_seconds(void)
{
	return (double)rte_get_tsc_cycles() / rte_get_tsc_hz();
}
