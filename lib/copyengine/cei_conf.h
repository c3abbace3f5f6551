/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_CONF_H
#define CEI_CONF_H

/* What a handle or controller is to have: defaults, limits, and the break-even size of its devices. */

#include "cei_queue.h"

int cei_conf_complete(const struct ce_adapter_conf *given, struct ce_adapter_conf *conf);
uint32_t cei_break_even(struct ce_queue **queues, unsigned int nb_queues, uint32_t wanted);

#endif /* CEI_CONF_H */
