/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "shell.h"

int
workers_stop(void)
{
	return 0;
}

int
cmd_show_workers(const struct args *a __rte_unused)
{
	return 0;
}
