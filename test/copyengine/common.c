/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "common.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#ifdef WITH_MODEL
#include <rte_pmd_cbdma.h>
#endif

bool is_cbdma, is_step;
int16_t devices[4];
const struct ce_adapter_conf by_engine = {.break_even = 1};

static void __rte_noreturn
cannot_run(const char *why)
{
	printf("SKIPPED: %s\n", why);
	exit(SKIPPED);
}

static long
free_hugepages_mb(void)
{
	long pages = 0, kb = 0, value;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "HugePages_Free: %ld", &value) == 1)
			pages = value;
		if (sscanf(line, "Hugepagesize: %ld", &value) == 1)
			kb = value;
	}
	if (f != NULL)
		fclose(f);
	return pages * kb / 1024;
}

static void
eal_begin(char *program, const char *memory)
{
	const bool huge = strcmp(memory, "nohuge") != 0, pa = strcmp(memory, "pa") == 0;
	const bool two = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	/*
	 * The main lcore and two workers, on two CPUs if there are. The main lcore is on both: its CPUs
	 * are those of dma_skeleton's threads, which would slow down one worker.
	 */
	char lcores[32], prefix[32];
	char *args[] = {program, "--lcores", lcores, "--no-pci", "--no-telemetry", "--file-prefix",
		prefix, "--iova-mode", (char *)(pa ? "pa" : "va"), (char *)(huge ? "--in-memory" :
									 "--no-huge"),
		"-m", (char *)(huge ? "64" : "256"), "--socket-limit", "160", NULL};

	if (huge && free_hugepages_mb() < 192)
		cannot_run("there are less than 192 MB of free hugepages");
	if (pa && geteuid() != 0)
		cannot_run("physical addresses need root");
	snprintf(lcores, sizeof(lcores), "0@(0-%d),1@0,2@%d", two, two);
	snprintf(prefix, sizeof(prefix), "ce-test-%d", getpid());
	/* A test that takes all there is must not take the machine's: the limit is for hugepages. */
	if (rte_eal_init(RTE_DIM(args) - (huge ? 1 : 3), args) < 0) {
		fprintf(stderr, "EAL: %s\n", rte_strerror(rte_errno));
		exit(EXIT_FAILURE);
	}
}

void
test_begin(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "skeleton";
	char name[32];
	unsigned int i;

	is_step = strcmp(kind, "cbdma-step") == 0;
	is_cbdma = is_step || strcmp(kind, "cbdma") == 0;
	eal_begin(argv[0], argc > 2 ? argv[2] : "nohuge");
	for (i = 0; i < RTE_DIM(devices); i++) {
		snprintf(name, sizeof(name), "dma_%s%u", is_cbdma ? "cbdma" : "skeleton", i);
		/* Behind an IOMMU, so that memory has to be bounced; dma_skeleton reaches all. */
		if (rte_vdev_init(name, is_step ? "step=1,iommu=on" :
				is_cbdma ? "iommu=on" : "") < 0) {
			if (!is_cbdma)
				cannot_run("DPDK's driver dma_skeleton is not installed");
			fprintf(stderr, "%s: %s\n", name, rte_strerror(rte_errno));
			exit(EXIT_FAILURE);
		}
		devices[i] = rte_dma_get_dev_id_by_name(name);
	}
}

int
try_inject(int16_t dev_id, const char *fault)
{
#ifdef WITH_MODEL
	return rte_pmd_cbdma_inject(dev_id, fault);
#else
	RTE_SET_USED(dev_id);
	RTE_SET_USED(fault);
	return -ENODEV;
#endif
}

void
inject(int16_t dev_id, const char *fault)
{
	assert_int_equal(try_inject(dev_id, fault), 0);
}

struct ce_adapter *
adapter_get(const struct ce_adapter_conf *conf)
{
	struct ce_adapter_conf full = by_engine;
	struct ce_adapter *adapter;

	/* Unless a test says otherwise, what the engine can do is the engine's. */
	if (conf != NULL)
		full = *conf;
	if (full.break_even == 0)
		full.break_even = by_engine.break_even;
	adapter = ce_adapter_get(devices[0], &full);
	if (adapter == NULL)
		print_error("ce_adapter_get: %s\n", rte_strerror(rte_errno));
	assert_non_null(adapter);
	return adapter;
}

void
adapter_put(struct ce_adapter *adapter)
{
	struct ce_adapter_stats stats;

	ce_adapter_stats_get(adapter, &stats);
	assert_int_equal(stats.map_registers, 0);
	assert_int_equal(stats.sg_blocks, 0);
	assert_int_equal(stats.common_bytes, 0);
	assert_int_equal(ce_adapter_put(adapter), 0);
}

void
step_devices(unsigned int descriptors)
{
#ifdef WITH_MODEL
	unsigned int i;

	for (i = 0; is_step && i < RTE_DIM(devices); i++)
		rte_pmd_cbdma_step(devices[i], descriptors);
#else
	RTE_SET_USED(descriptors);
#endif
}

unsigned int
run(struct ce_adapter *adapter)
{
	unsigned int done;

	/* A few at a time, so that a poll finds pieces of transfers done. */
	step_devices(3);
	done = ce_poll(adapter);
	/* There may be fewer CPUs than threads that poll. */
	if (done == 0 && !is_step)
		sched_yield();
	return done;
}

double
seconds(void)
{
	return (double)rte_get_tsc_cycles() / rte_get_tsc_hz();
}

int
finish(struct ce_adapter *adapter, struct ce_transfer *transfer)
{
	const double limit = seconds() + 60;

	while (transfer->status == -EINPROGRESS && seconds() < limit)
		run(adapter);
	assert_int_not_equal(transfer->status, -EINPROGRESS);
	return transfer->status;
}

/* xorshift: each word of a pattern follows from its place and the seed. */
static uint32_t
word(uint32_t seed, size_t i)
{
	uint32_t x = seed * 2654435761u + (uint32_t)i * 40503u + 1;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

void
pattern_fill(void *to, size_t length, uint32_t seed)
{
	uint8_t *bytes = to;
	size_t i;

	for (i = 0; i < length; i++)
		bytes[i] = word(seed, i) >> 8;
}

bool
pattern_is(const void *what, size_t length, uint32_t seed)
{
	const uint8_t *bytes = what;
	size_t i;

	for (i = 0; i < length; i++) {
		if (bytes[i] != (uint8_t)(word(seed, i) >> 8)) {
			print_error("byte %zu of %zu is wrong\n", i, length);
			return false;
		}
	}
	return true;
}

void *
dma_alloc(size_t length)
{
	void *memory = rte_zmalloc(NULL, length, 0);

	assert_non_null(memory);
	return memory;
}

void
dma_free(void *memory)
{
	rte_free(memory);
}
