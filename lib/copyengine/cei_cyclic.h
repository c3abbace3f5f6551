/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_CYCLIC_H
#define CEI_CYCLIC_H

/* Cyclic transfers, as the calls on a handle need them. */

#include "cei_handle.h"

void cei_cyclic_poll(struct ce_adapter *adapter);
void cei_cyclic_close(struct ce_adapter *adapter);

#endif /* CEI_CYCLIC_H */
