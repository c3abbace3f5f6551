/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_MEMORY_H
#define CE_MEMORY_H

/**
 * @file
 *
 * Memory of the application's own, made reachable for a device once instead of being copied by the
 * CPU each time.
 */

#include <stddef.h>

#include "copyengine.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Make memory reachable for the devices of a handle: malloc'ed, mapped, or of hugetlbfs.
 *
 * The memory is registered with DPDK and mapped for the devices, the whole pages that it lies in.
 * Other handles on the devices reach it as well, as long as it is registered. A handle that reaches
 * all memory of the process (info.sva, CE_CPU) has nothing to do. Not for the data path.
 *
 * @param adapter
 *   The handle; its thread.
 * @param va
 *   First byte.
 * @param length
 *   At least 1.
 * @return 0; -EINVAL: length is 0 or the range is not in the address space; -EEXIST: it is
 *   registered with this handle, or overlaps with another range that is; -ENOTSUP: IOVAs are physical
 *   addresses, or the device's bus cannot map; -ENOMEM; or what the device said. Nothing is left
 *   behind then.
 */
int ce_memory_register(struct ce_adapter *adapter, void *va, size_t length);

/**
 * Undo ce_memory_register(). No transfer may use the memory any more, and no list describes it.
 *
 * @return 0; -ENOENT: the range was not registered with this handle; -EBUSY: transfers of the handle
 *   are under way.
 */
int ce_memory_unregister(struct ce_adapter *adapter, void *va, size_t length);

#ifdef __cplusplus
}
#endif

#endif /* CE_MEMORY_H */
