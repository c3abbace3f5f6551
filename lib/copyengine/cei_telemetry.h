/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_TELEMETRY_H
#define CEI_TELEMETRY_H

/* The list of all handles. */

#include "cei_handle.h"

void cei_telemetry_add(struct ce_adapter *adapter);
void cei_telemetry_remove(struct ce_adapter *adapter);

#endif /* CEI_TELEMETRY_H */
