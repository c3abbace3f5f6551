/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Faults on purpose. No public DPDK call makes a device fail; a driver whose device is a model
 * exports one of its own. Drivers are plugins, loaded with local scope: the symbol is looked for
 * in every object of the process.
 */

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <string.h>

#include "shell.h"

#define INJECT_SYMBOL "rte_pmd_cbdma_inject"

typedef int (*inject_t)(int16_t dev_id, const char *fault);

static int
find_in_object(struct dl_phdr_info *info, size_t size __rte_unused, void *arg)
{
	void **symbol = arg, *handle;

	if (info->dlpi_name == NULL || info->dlpi_name[0] == '\0')
		return 0;
	handle = dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD);
	if (handle == NULL)
		return 0;
	*symbol = dlsym(handle, INJECT_SYMBOL);
	dlclose(handle);
	return *symbol != NULL;
}

int
inject_fault(int16_t id, const char *fault)
{
	void *symbol = dlsym(RTLD_DEFAULT, INJECT_SYMBOL);
	inject_t inject;

	if (symbol == NULL)
		dl_iterate_phdr(find_in_object, &symbol);
	if (symbol == NULL)
		return -ENOTSUP;
	memcpy(&inject, &symbol, sizeof(inject));
	return inject(id, fault);
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
