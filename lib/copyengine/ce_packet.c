/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "cei_stream.h"

/* A chain with room for length bytes, with the metadata of a packet. */
static struct rte_mbuf *
chain_alloc(struct rte_mempool *pool, const struct rte_mbuf *packet)
{
	uint32_t length = packet->pkt_len, part;
	/* A copy of no bytes: what is not data. */
	struct rte_mbuf *first = rte_pktmbuf_copy(packet, pool, 0, 0), *m = first;

	while (m != NULL) {
		part = RTE_MIN(length, rte_pktmbuf_tailroom(m));
		rte_pktmbuf_append(m, part);
		length -= part;
		if (m != first && rte_pktmbuf_chain(first, m) < 0) {
			rte_pktmbuf_free(m);
			break;
		}
		if (length == 0)
			return first;
		m = part > 0 ? rte_pktmbuf_alloc(pool) : NULL;
	}
	rte_pktmbuf_free(first);
	return NULL;
}

/* Whoever uses the transfer for something else must not find its lists. */
static void
lists_free(struct ce_transfer *t, void *owner)
{
	RTE_SET_USED(owner);
	ce_sglist_free(t->src);
	ce_sglist_free(t->dst);
	t->src = NULL;
	t->dst = NULL;
}

struct rte_mbuf *
ce_packet_copy(struct ce_adapter *adapter, struct ce_transfer *t, const struct rte_mbuf *packet,
	struct rte_mempool *pool)
{
	struct rte_mbuf *copy;
	int ret;

	if (t->status == -EINPROGRESS || packet->pkt_len == 0) {
		rte_errno = t->status == -EINPROGRESS ? EBUSY : EINVAL;
		return NULL;
	}
	copy = chain_alloc(pool, packet);
	if (copy == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	t->length = packet->pkt_len;
	if (packet->nb_segs == 1 && copy->nb_segs == 1) {
		t->flags &= ~CE_TRANSFER_FILL;
		ret = ce_transfer_copy(adapter, t, rte_pktmbuf_mtod(copy, void *),
			rte_pktmbuf_mtod(packet, const void *), t->length);
	} else {
		t->src = ce_sglist_build_mbuf(adapter, packet);
		t->dst = ce_sglist_build_mbuf(adapter, copy);
		t->src_offset = 0;
		t->dst_offset = 0;
		t->flags &= ~CE_TRANSFER_FILL;
		ret = t->src == NULL || t->dst == NULL ? -ENOMEM : ce_transfer_submit(adapter, t);
		if (ret < 0)
			lists_free(t, NULL);
		else
			cei_private(t)->hook = lists_free;
	}
	if (ret == 0)
		return copy;
	rte_pktmbuf_free(copy);
	rte_errno = -ret;
	return NULL;
}
