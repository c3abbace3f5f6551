/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CBDMA_COMPAT_H
#define CBDMA_COMPAT_H

/**
 * @file
 *
 * What differs between the releases of DPDK that the driver is built with, 22.11 and later.
 */

#include <rte_version.h>

#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
#include <rte_stdatomic.h>
#else
#define __rte_atomic
#define rte_memory_order_relaxed __ATOMIC_RELAXED
#define rte_memory_order_acquire __ATOMIC_ACQUIRE
#define rte_memory_order_release __ATOMIC_RELEASE
#define rte_atomic_load_explicit(ptr, order) __atomic_load_n(ptr, order)
#define rte_atomic_store_explicit(ptr, value, order) __atomic_store_n(ptr, value, order)
#define rte_atomic_fetch_add_explicit(ptr, value, order) __atomic_fetch_add(ptr, value, order)
#define rte_atomic_fetch_sub_explicit(ptr, value, order) __atomic_fetch_sub(ptr, value, order)
#define rte_atomic_compare_exchange_strong_explicit(ptr, expected, value, order, order_failed) \
	__atomic_compare_exchange_n(ptr, expected, value, 0, order, order_failed)
#endif

#if RTE_VERSION < RTE_VERSION_NUM(23, 11, 0, 0)
#include <bus_pci_driver.h>

#define RTE_PCI_CAP_ID_EXP 0x10

/* PCI Local Bus Specification 3.0, section 6.7: the list of capabilities. */
static inline off_t
rte_pci_find_capability(const struct rte_pci_device *pci, uint8_t id)
{
	uint8_t at = 0, header[2];
	int left = 48; /* in 192 bytes are no more */

	if (rte_pci_read_config(pci, &at, 1, 0x34) != 1)
		return -1;
	for (; at >= 0x40 && left > 0; at = header[1] & ~3, left--) {
		if (rte_pci_read_config(pci, header, 2, at) != 2)
			return -1;
		if (header[0] == id)
			return at;
	}
	return 0;
}
#endif

#if RTE_VERSION < RTE_VERSION_NUM(24, 3, 0, 0)
#define RTE_LOG_LINE(level, type, fmt, ...) RTE_LOG(level, type, fmt "\n", ##__VA_ARGS__)
#endif

#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif

/* rte_dma_enqueue_ops() and rte_dma_dequeue_ops() came with DPDK 25.11. */
#define CBDMA_HAS_ENQ_DEQ (RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0))

#endif /* CBDMA_COMPAT_H */
