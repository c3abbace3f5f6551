/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_CHANNEL_H
#define CE_CHANNEL_H

/**
 * @file
 *
 * Arbitration: a few channels of one controller, shared by many requesters.
 *
 * A requester asks for a channel and is called back when one is his: at once if one is free, else
 * from ce_poll() when his turn has come. He maps what he wants to transfer, as often as it takes,
 * flushes each time, and frees the channel as soon as he is done. Requests are served first come,
 * first served; nobody overtakes, so nobody starves.
 *
 * Each requester has a handle on the controller, in his thread. Requesters of several lcores need
 * not know of each other. While a requester has been given a channel, no other uses it, except those
 * who released it but kept their map registers.
 */

#include "copyengine.h"
#include "ce_transfer.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A controller. */
struct ce_controller;

/**
 * Make a controller of channels of DMA devices. Nobody else may have a handle on the devices, unless
 * shared; their remaining map registers become the controller's.
 *
 * @param channels
 *   The channels; all of devices that are alike in scatter/gather and shared virtual addressing.
 * @param count
 *   1 to CE_MAX_CHANNELS.
 * @param conf
 *   Applies to all channels: nb_vchans, ring_size, timeout_ms, break_even, flags; NULL: defaults.
 *   vchan and CE_ADAPTER_SHARED are implied.
 * @return the controller; NULL with rte_errno: as ce_adapter_get(), and EINVAL: channels differ.
 */
struct ce_controller *ce_controller_create(const struct ce_channel_id *channels,
	unsigned int count, const struct ce_adapter_conf *conf);

/** Free a controller. @return 0; -EBUSY: there are handles on it. NULL is allowed. */
int ce_controller_destroy(struct ce_controller *controller);

/**
 * Get a requester's handle on a controller: as ce_adapter_get(). conf.map_registers is the most that
 * its requests may have under way on one channel, all together; default the controller's, or 64. The
 * controller's flags are the handle's as well.
 */
struct ce_adapter *ce_controller_adapter_get(
	struct ce_controller *controller, const struct ce_adapter_conf *conf);

struct ce_channel_request;

/** What to do with the channel, once the callback has returned. */
enum ce_channel_action {
	CE_CHANNEL_KEEP,	 /**< it stays the requester's until ce_channel_free() */
	CE_CHANNEL_RELEASE,	 /**< free it and the map registers, once what was mapped is done */
	CE_CHANNEL_RELEASE_KEEP, /**< free it, keep the map registers until ce_channel_free() */
};

/**
 * Called when a channel is the requester's, from ce_channel_request() or ce_poll(). It may map, flush
 * and make other requests; to free this one, it returns CE_CHANNEL_RELEASE.
 */
typedef enum ce_channel_action (*ce_channel_cb)(struct ce_channel_request *request, void *arg);

/** A request for a channel. The memory is the caller's and must stay until the channel is free. */
struct ce_channel_request {
	uint16_t map_registers; /**< operations to have under way at a time; at least 1 */
	ce_channel_cb cb;	/**< called when the channel is the requester's */
	void *arg;		/**< for cb */

	uint16_t channel; /**< when cb is called: which of the controller's channels it is */
	/**
	 * 0; -EIO, -ENODEV, -ETIMEDOUT: a transfer failed, the channel is or will be given back;
	 * -ENODEV when cb is called: all channels died, the request is over, what cb returns is ignored.
	 */
	int status;

	uint64_t opaque[12]; /**< private */
};

/**
 * Ask for a channel.
 *
 * @param adapter
 *   A handle on a controller.
 * @param request
 *   map_registers, cb and arg. Not under way; zeroed before its first use.
 * @return 0: cb has been called or will be; -EINVAL: a value is out of range, or more map registers
 *   than the handle or a channel has; -EBUSY: the request is under way; -ENODEV: all channels are
 *   dead; -ECANCELED: ce_adapter_close() is closing the handle.
 */
int ce_channel_request(struct ce_adapter *adapter, struct ce_channel_request *request);

/** Give up a request that has not been called back. @return 0; -EBUSY: it has, or was not made. */
int ce_channel_cancel(struct ce_channel_request *request);

/**
 * Program the channel: start as much of a transfer as the request's free map registers (and bounce
 * buffers, and what the CPU copies in one call) allow.
 *
 * @param request
 *   Whose channel, or kept map registers, to use.
 * @param transfer
 *   As in ce_transfer_submit(). Its length becomes what has been started; it finishes when that is
 *   done. The remainder is to be mapped again, by a transfer of its own.
 * @return bytes started; -EAGAIN: nothing is free now, flush first, or a fence is to wait for what the
 *   handle has under way on another channel, poll first; -EINVAL; -EPERM: the request has
 *   neither channel nor map registers; -EBUSY, -EIO, -ENODEV, -ETIMEDOUT: as ce_submit(). The
 *   request's status if a transfer of it has failed.
 */
int64_t ce_channel_map(struct ce_channel_request *request, struct ce_transfer *transfer);

/**
 * Ask whether all that was mapped has arrived, bounce buffers emptied: to be called after ce_poll().
 *
 * @return 0; -EINPROGRESS: some is under way; or the status of the transfer that failed.
 */
int ce_channel_flush(const struct ce_channel_request *request);

/**
 * Give back the channel, the map registers or both, whatever the request has. A cyclic transfer on
 * the channel counts as under way until it has ended.
 *
 * When a transfer fails, the library does it by itself as soon as the request has nothing under way
 * any more, before the callback of the last transfer; then this function just returns 0.
 *
 * @return 0; -EBUSY: transfers are under way; -EPERM: it has not been called back yet
 *   (ce_channel_cancel() is for that), or is being called back (return CE_CHANNEL_RELEASE).
 */
int ce_channel_free(struct ce_channel_request *request);

#ifdef __cplusplus
}
#endif

#endif /* CE_CHANNEL_H */
