/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Faults on purpose. No public DPDK call makes a device fail; a driver whose device is a model
 * has one of its own.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#ifdef WITH_MODEL
#include <rte_pmd_cbdma.h>
#endif

#include "shell.h"

int
inject_fault(int16_t id, const char *fault)
{
#ifdef WITH_MODEL
	return rte_pmd_cbdma_inject(id, fault);
#else
	(void)id;
	(void)fault;
	return -ENOTSUP;
#endif
}

static int
inject(const struct args *a, const char *fault)
{
	int16_t id = a->w[2].dev.id;
	int ret;

	if (device_get(id) == NULL)
		return -ENODEV;
	ret = inject_fault(id, fault);
	if (ret == -ENOTSUP || ret == -ENODEV)
		return shell_error(ret, "device %d has no injection: only the embedded model of "
			"dma_cbdma has", id);
	if (ret != 0)
		return shell_error(ret, "device %d does not take the fault '%s': %s", id, fault,
			strerror(-ret));
	out_begin("inject");
	out_int("device", id);
	out_str("fault", "%s", fault);
	out_line();
	return 0;
}

int
cmd_inject_fail(const struct args *a)
{
	const union word *at = option(a, "at");
	const char *cause = option_str(a, "cause", NULL);
	char fault[SHELL_WORD_SIZE + 32];
	int used;

	used = snprintf(fault, sizeof(fault), "fail");
	if (at != NULL)
		used += snprintf(fault + used, sizeof(fault) - used, ":at=%" PRIu64, at->num);
	if (cause != NULL)
		snprintf(fault + used, sizeof(fault) - used, ":cause=%s", cause);
	return inject(a, fault);
}

/* stall and vanish: with or without "at=". */
int
cmd_inject_stop(const struct args *a)
{
	const union word *at = option(a, "at");
	char fault[SHELL_WORD_SIZE + 32];

	if (at == NULL)
		return inject(a, a->w[3].str);
	snprintf(fault, sizeof(fault), "%s:at=%" PRIu64, a->w[3].str, at->num);
	return inject(a, fault);
}

int
cmd_inject(const struct args *a)
{
	return inject(a, a->w[3].str);
}
