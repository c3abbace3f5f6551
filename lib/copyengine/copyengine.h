/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef COPYENGINE_H
#define COPYENGINE_H

/**
 * @file
 *
 * copyengine: DMA services for applications, on any dmadev.
 *
 * Copying a buffer, wherever it lies, in ten lines:
 *
 * @code{.c}
 * struct ce_transfer t = {0};
 * struct ce_adapter *adapter = ce_adapter_get(rte_dma_get_dev_id_by_name("dma_cbdma0"), NULL);
 *
 * if (adapter == NULL)
 *	adapter = ce_adapter_get(CE_CPU, NULL);
 * if (adapter == NULL || ce_transfer_copy(adapter, &t, dst, src, length) < 0)
 *	rte_exit(EXIT_FAILURE, "no copy\n");
 * while (t.status == -EINPROGRESS)
 *	ce_poll(adapter);
 * printf("%s, %" PRIu64 " bytes\n", rte_strerror(-t.status), t.done);
 * ce_adapter_put(adapter);
 * @endcode
 *
 * Threads: a handle (struct ce_adapter) and all that was made with it (lists, transfers, channel
 * requests, cyclic transfers) are used by one thread at a time, without a lock. Threads that share
 * a device have a handle each (CE_ADAPTER_SHARED) and need not know of each other. Handles and
 * controllers come and go from any thread. A library built with -DCE_DEBUG names the calls that two
 * threads make on one handle at a time.
 *
 * The library has no thread and no interrupt: everything that happens later than the call that
 * asked for it, callbacks included, happens in ce_poll() and ce_collect(). Callbacks may submit,
 * request and free, but not poll or put the handle back.
 *
 * Errors: functions return 0 (or a count) or a negative errno value; those that return a pointer
 * return NULL and set rte_errno. Lengths are bytes everywhere. A private member (opaque) is the
 * library's: zeroed before the first use of the structure, then left alone.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_bitops.h>
#include <rte_dmadev.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A handle on a channel of a DMA device, with what its owner may hold of it. */
struct ce_adapter;

/** Others may have handles on the device too. Every handle on the device must say so. */
#define CE_ADAPTER_SHARED RTE_BIT32(0)
/** Give each segment of a list an operation of its own, even if the device takes whole lists. */
#define CE_ADAPTER_NO_SG RTE_BIT32(1)
/** Reach only memory that DPDK knows of, even if the device takes any address of the process. */
#define CE_ADAPTER_NO_SVA RTE_BIT32(2)

/** In the place of a device: no engine, the CPU copies. The same calls, with the same promises. */
#define CE_CPU INT16_MIN

/** Engine channels of a handle or controller at most. */
#define CE_MAX_CHANNELS 8

/** A channel of a DMA device. */
struct ce_channel_id {
	int16_t dev_id; /**< the dmadev */
	uint16_t vchan; /**< its virtual channel */
};

/** What a handle is to have. Zero in a field stands for its default. */
struct ce_adapter_conf {
	uint32_t flags;		 /**< CE_ADAPTER_* */
	uint16_t vchan;		 /**< virtual channel of the device */
	uint16_t nb_vchans;	 /**< channels to set up, by the first handle on a device; default 1 */
	uint16_t ring_size;	 /**< slots of a channel, by the first handle; default 1024 */
	uint16_t map_registers;	 /**< most operations under way; default all, or 64 when shared */
	uint32_t max_segment;	 /**< longest operation, 64 bytes or more; default 1 MB */
	/**
	 * What is shorter is copied by the CPU, if that reaches it: 1: nothing; default: measured when
	 * the device is opened, as the size at which the CPU spends as long on a copy as on giving it to
	 * the engine.
	 */
	uint32_t break_even;
	uint32_t bounce_size;	 /**< bytes of a bounce buffer, 64 to 1 MB; default 16 KB */
	uint32_t bounce_buffers; /**< their number, 1 or more; default 64 */
	uint32_t sg_blocks;	 /**< most blocks for lists, of CE_SG_BLOCK segments; default 1024 */
	uint32_t timeout_ms;	 /**< a device that completes nothing for so long is dead; default 10000 */
	uint16_t nb_stripes;	 /**< further channels, at most CE_MAX_CHANNELS - 1 */
	const struct ce_channel_id *stripes; /**< to spread transfers over, see ce_adapter_get() */
	/** Default memory to memory; else, by the first handle, what the channels are set up for. */
	enum rte_dma_direction direction;
	struct rte_dma_port_param port; /**< the device's side of such a direction */
};

/** What a handle has got. */
struct ce_adapter_info {
	int16_t dev_id;		/**< the dmadev; or CE_CPU */
	uint16_t vchan;		/**< the virtual channel */
	uint16_t channels;	/**< it and its stripes; 0: CE_CPU; of a controller: its channels */
	int16_t socket;		/**< NUMA node of the device, or SOCKET_ID_ANY */
	bool sg;		/**< the device takes lists; else each segment is an operation */
	bool sva;		/**< the device reaches all memory of the process */
	bool fill;		/**< the device fills; else the CPU does */
	uint16_t max_sges;	/**< segments a side in one operation */
	uint16_t map_registers; /**< operations that may be under way */
	uint16_t ring_size;	/**< slots of the channel, for all its owners together */
	uint32_t max_segment;	/**< longest operation */
	uint32_t break_even;	/**< what is shorter is copied by the CPU, if that reaches it */
	uint32_t id;		/**< name of the handle in telemetry */
};

/** What a handle has done so far. */
struct ce_adapter_stats {
	uint64_t transfers;	   /**< finished without an error */
	uint64_t failed;	   /**< finished with an error */
	uint64_t bytes;		   /**< bytes transferred */
	uint64_t operations;	   /**< operations given to the device */
	uint64_t engine_bytes;	   /**< bytes that were transferred by the device */
	uint64_t cpu_bytes;	   /**< bytes that were transferred by the CPU */
	uint64_t bounced;	   /**< of engine_bytes: those that went through bounce buffers */
	uint64_t waits;		   /**< times that a transfer could not be started at once as a whole */
	uint64_t common_bytes;	   /**< common memory held now */
	uint64_t common_bytes_max; /**< the most that was held at a time */
	uint64_t common_failed;	   /**< common buffers that could not be had */
	uint32_t sg_blocks;	   /**< blocks of lists held now */
	uint32_t map_registers;	   /**< map registers in use now */
	uint64_t latency_p50_ns;   /**< submit to finish, of one transfer in 256: half were as fast */
	uint64_t latency_p99_ns;   /**< 99 of 100 were as fast */
	uint64_t latency_max_ns;   /**< all were as fast */
};

/**
 * Get a handle on a channel of a DMA device, on several, or on the CPU alone.
 *
 * The first handle on a device configures and starts it; the last one put back stops it. A device
 * that the application runs by itself must not be given to this function.
 *
 * With conf.stripes, transfers are spread over dev_id's channel and these, long ones in pieces, and
 * finish in the order of their submission all the same. The channels are to be alike in
 * scatter/gather, fill and shared virtual addressing. They may be channels of one device, also of one
 * that is not shared.
 *
 * To be called from any thread.
 *
 * @param dev_id
 *   The dmadev, as rte_dma_get_dev_id_by_name() gives it; or CE_CPU.
 * @param conf
 *   What the handle is to have; NULL: the defaults. map_registers is a wish: the channel's slots are
 *   divided among its owners, and whoever comes late may get fewer, see ce_adapter_info_get().
 * @return the handle; NULL with rte_errno: EINVAL: no such device or channel, or a value is out of
 *   range; ENOTSUP: the device does not copy in that direction; EBUSY: the device has an owner
 *   who does not share, or was to be had alone and has owners; ENOSPC: its owners hold all slots;
 *   EBUSY, or ENOSPC with CE_ADAPTER_SHARED: a channel is named twice; ENODEV: it is dead; ENOMEM; or
 *   what the driver said.
 */
struct ce_adapter *ce_adapter_get(int16_t dev_id, const struct ce_adapter_conf *conf);

/**
 * Put a handle back. From any thread, while no other uses the handle.
 *
 * @return 0; -EBUSY: transfers, channel requests or cyclic transfers are under way, or lists, common
 *   memory or registered memory have not been given back; the handle is still valid.
 */
int ce_adapter_put(struct ce_adapter *adapter);

/** Learn what a handle has got: map registers, scatter/gather, limits. */
void ce_adapter_info_get(const struct ce_adapter *adapter, struct ce_adapter_info *info);

/** Read the counters of a handle. From any thread; the figures are of about the same time. */
void ce_adapter_stats_get(const struct ce_adapter *adapter, struct ce_adapter_stats *stats);

/**
 * Make progress: collect what the device has completed, finish transfers and call back, go on with
 * transfers that wait, deliver channels, keep cyclic transfers going.
 *
 * To be called from the handle's thread, again and again while anything is under way. Does a bounded
 * amount of work, whatever callbacks do, and never waits for the device. From within a callback it
 * does nothing.
 *
 * A device that has completed nothing for conf.timeout_ms, or says that it is halted and stays so, is
 * dead: it is stopped, and all that was under way comes back, as -ETIMEDOUT or -ENODEV. A dead handle
 * refuses what is new with the same. A dead device can be used again after all handles on it have
 * been put back.
 *
 * @return number of transfers that finished.
 */
unsigned int ce_poll(struct ce_adapter *adapter);

/**
 * Poll until nothing is under way: no transfer that has not finished. Cyclic transfers go on.
 *
 * @param adapter
 *   The handle; its thread.
 * @param timeout_ms
 *   How long at most.
 * @return 0; -ETIMEDOUT: something still is; -EDEADLK: called from a callback.
 */
int ce_drain(struct ce_adapter *adapter, uint32_t timeout_ms);

/**
 * Cancel what has not started, also the rest of a transfer that has, wait for what is under way, stop
 * cyclic transfers, give back channels, and put the handle back. All transfers come back, with their
 * callbacks, before it returns; whatever these submit, request or start is refused: -ECANCELED.
 *
 * @param adapter
 *   The handle; its thread.
 * @param timeout_ms
 *   How long to wait for the device at most. Then a device that is not shared is stopped and what was
 *   under way comes back as -ETIMEDOUT.
 * @return 0: the handle is gone; else it is still valid: -ETIMEDOUT: a shared device still has
 *   something (its own time-out will bring it back), or a device does not stop; -EBUSY: lists, common
 *   memory or registered memory have not been given back; -EDEADLK: called from a callback.
 */
int ce_adapter_close(struct ce_adapter *adapter, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif

#include "ce_common.h"
#include "ce_memory.h"
#include "ce_sglist.h"
#include "ce_transfer.h"
#include "ce_packet.h"
#include "ce_channel.h"
#include "ce_cyclic.h"

#endif /* COPYENGINE_H */
