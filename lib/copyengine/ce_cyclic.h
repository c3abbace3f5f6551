/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_CYCLIC_H
#define CE_CYCLIC_H

/**
 * @file
 *
 * Cyclic transfers: round and round a common buffer, in periods, until stopped.
 *
 * The other side, the peer, is any memory or device window that the device reaches: as long as a
 * period for a fixed window, longer for a ring of its own. The application writes (playback) or reads
 * (capture) the buffer meanwhile and says how far it has come; the transfer does not wait for it. A
 * period that is not ready when its turn comes is transferred all the same and counted.
 *
 * Copy engines do not start over by themselves: ce_poll() keeps conf.ahead periods queued. Whether a
 * period is ready is decided when it is queued, that is up to conf.ahead periods before it runs; when
 * more than a round is queued, as soon as it is within a round of the device.
 */

#include <stddef.h>

#include "copyengine.h"
#include "ce_common.h"
#include "ce_channel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A cyclic transfer. */
struct ce_cyclic;

/**
 * Called from ce_poll() when a period is done, and once more when an error has ended the transfer.
 *
 * @param cyclic
 *   The transfer.
 * @param period
 *   Which one, counted from 0 without wrapping.
 * @param status
 *   0; -EIO, -ENODEV, -ETIMEDOUT: this period failed, the transfer has ended.
 * @param arg
 *   conf.arg.
 */
typedef void (*ce_cyclic_cb)(struct ce_cyclic *cyclic, uint64_t period, int status, void *arg);

/** For conf.ahead: survive polls as late as the channel's ring allows. */
#define CE_CYCLIC_AHEAD_MAX UINT32_MAX

/** What to transfer. */
struct ce_cyclic_conf {
	struct ce_common_buffer *buffer; /**< the ring */
	size_t length;			 /**< of it used, two periods at least; 0: all */
	size_t period;			 /**< bytes; divides length and peer_length */
	rte_iova_t peer;		 /**< where the device finds the peer */
	size_t peer_length;		 /**< 0: one period, that is a fixed window */
	bool capture;			 /**< from the peer to the buffer; else to the peer */
	/**
	 * Periods to keep queued; 0: 1; CE_CYCLIC_AHEAD_MAX: as many as there are map registers for.
	 * Capture: fewer than a round has.
	 */
	uint32_t ahead;
	uint32_t window; /**< bytes of a FIFO at peer, where all operations go; 0: none */
	uint64_t period_ns;		 /**< time of a period; 0: as fast as the device goes */
	size_t prefill;			 /**< playback: bytes that are in the buffer already */
	ce_cyclic_cb cb;		 /**< may be NULL */
	void *arg;			 /**< for cb */
	/** Channel to use, when the handle is one of a controller: HELD until ce_cyclic_stop(). */
	struct ce_channel_request *request;
};

/** Progress. */
struct ce_cyclic_stats {
	uint64_t periods;   /**< done */
	uint64_t underruns; /**< playback: periods that went out before they were filled */
	uint64_t overruns;  /**< capture: periods that were overwritten before they were read */
	/**
	 * Times that ce_poll() came too late: paced, periods begun a period or more behind time; else
	 * times that the device had nothing left to do.
	 */
	uint64_t late;
	int status;	    /**< -EINPROGRESS; 0: stopped; or the error that has ended it */
};

/**
 * Start a cyclic transfer.
 *
 * @return the transfer; NULL with rte_errno: EINVAL: a value is out of range; ENODEV: the device is
 *   dead; ENOSPC: no map register is left for it, as the handle keeps one for other transfers;
 *   ECANCELED: ce_adapter_close() is closing the handle; ENOMEM.
 */
struct ce_cyclic *ce_cyclic_start(struct ce_adapter *adapter, const struct ce_cyclic_conf *conf);

/**
 * Stop a cyclic transfer: queue no more periods, and free it when those queued are done. Not from its
 * callback.
 *
 * @return 0: it has been freed; -EINPROGRESS: call ce_poll() and then this again. The callback is
 *   still called for the periods under way.
 */
int ce_cyclic_stop(struct ce_cyclic *cyclic);

/**
 * Read the counter: bytes left in this round, from the length of the ring down to 1; after the last
 * byte of a round it is the length again. Exact to the operations that the last ce_poll() found
 * completed: no byte that the device has not reported counts as transferred.
 */
size_t ce_cyclic_remaining(const struct ce_cyclic *cyclic);

/**
 * Where the application may write (playback) or read (capture) next.
 *
 * @param cyclic
 *   The transfer.
 * @param va
 *   First byte. NULL: not of interest.
 * @return bytes from there to the end of the ring or of what is free (filled), whichever is nearer.
 */
size_t ce_cyclic_window(struct ce_cyclic *cyclic, void **va);

/**
 * Say that bytes have been written (playback) or read (capture).
 *
 * @return 0; -EINVAL: more than ce_cyclic_window() gives; -EPIPE: an under- or overrun has moved the
 *   place since ce_cyclic_window() told it. Nothing is changed then.
 */
int ce_cyclic_commit(struct ce_cyclic *cyclic, size_t bytes);

/** Read the progress. */
void ce_cyclic_stats_get(const struct ce_cyclic *cyclic, struct ce_cyclic_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* CE_CYCLIC_H */
