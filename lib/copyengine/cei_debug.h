/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_DEBUG_H
#define CEI_DEBUG_H

/* Calls of two threads at a time on one handle are named in a debug build. */

#include <rte_common.h>

#include "copyengine.h"

#ifdef CE_DEBUG
int cei_enter(struct ce_adapter *adapter, const char *call);
void cei_leave(struct ce_adapter *adapter, int nested);

struct ce_call {
	struct ce_adapter *adapter;
	int nested;
};

static inline void
cei_call_end(struct ce_call *call)
{
	cei_leave(call->adapter, call->nested);
}

/* From here to the end of the block a thread is in a call on the handle. */
#define CE_CALL(adapter) \
	struct ce_call call __rte_unused __attribute__((cleanup(cei_call_end))) = { \
		adapter, cei_enter(adapter, __func__)}
#else
#define CE_CALL(adapter) RTE_SET_USED(adapter)
#endif

#endif /* CEI_DEBUG_H */
