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

int
cmd_inject(const struct args *a)
{
	const union word *at = option(a, "at");
	const char *cause = option_str(a, "cause", NULL);
	const int16_t id = a->w[2].dev.id;
	char fault[2 * SHELL_WORD_SIZE + 32], when[32] = "";
	int ret;

	if (device_get(id) == NULL)
		return -ENODEV;
	if (at != NULL)
		snprintf(when, sizeof(when), ":at=%" PRIu64, at->num);
	snprintf(fault, sizeof(fault), "%s%s%s%s", a->w[3].str, when, cause != NULL ? ":cause=" : "",
		cause != NULL ? cause : "");
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
