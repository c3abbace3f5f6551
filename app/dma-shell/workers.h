/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef WORKERS_H
#define WORKERS_H

#include "pump.h"

struct worker {
	bool set;
	bool running;
	struct pump pump;
};

/** What an lcore is set to work on; NULL: nothing. */
const struct worker *worker_get(unsigned int lcore);
const char *worker_state(const struct worker *w);

#endif /* WORKERS_H */
