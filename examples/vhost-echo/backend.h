/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef BACKEND_H
#define BACKEND_H

/*
 * A vhost back end for one network device of a guest, with one pair of queues, whose copies to and from
 * the guest are made by a DMA device, or by the CPU. One thread uses it.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define BACKEND_BURST 32 /* packets that lib/vhost takes at once */

/*
 * Listen at a socket.
 *
 * dma_id: of the DMA device, which is configured and started; -1: the CPU copies.
 * pool: where packets from the guest are put.
 */
void backend_open(const char *path, int16_t dma_id, struct rte_mempool *pool);
void backend_close(void);

/* A guest is there, and stays until backend_leave(), which is to be called soon in any case. */
bool backend_enter(void);
void backend_leave(void);

/* Packets to the guest. Those that are taken are freed when they have been copied. */
uint16_t backend_send(struct rte_mbuf **packets, uint16_t count);
/* See to copies under way: after backend_send(), and when there is nothing to send. Returns packets that
 * have arrived since.
 */
uint16_t backend_poll(void);
/* Packets from the guest. */
uint16_t backend_receive(struct rte_mbuf **packets, uint16_t count);

#endif /* BACKEND_H */
