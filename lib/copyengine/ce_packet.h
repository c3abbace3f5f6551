/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_PACKET_H
#define CE_PACKET_H

/**
 * @file
 *
 * Packets: chains of mbufs.
 */

#include "copyengine.h"
#include "ce_transfer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rte_mbuf;
struct rte_mempool;

/**
 * Duplicate a packet into mbufs of a pool: the data by a transfer, the metadata at once. The pool's
 * mbufs may be of any size, so the copy may be split differently.
 *
 * @param adapter
 *   The handle; its thread.
 * @param transfer
 *   cb, arg and flags say what to do; the other fields are set here. Lists are freed by the library.
 * @param packet
 *   To be duplicated, and to stay until the transfer has finished.
 * @param pool
 *   Where the mbufs of the copy are from.
 * @return the copy, whose data is there once the transfer has finished; it is the caller's also when
 *   that fails. NULL with rte_errno: EINVAL: the packet is empty; ENOMEM: no mbufs, or no blocks for
 *   lists; else as ce_submit().
 */
struct rte_mbuf *ce_packet_copy(struct ce_adapter *adapter, struct ce_transfer *transfer,
	const struct rte_mbuf *packet, struct rte_mempool *pool);

#ifdef __cplusplus
}
#endif

#endif /* CE_PACKET_H */
