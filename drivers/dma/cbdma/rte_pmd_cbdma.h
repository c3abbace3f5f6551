/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef RTE_PMD_CBDMA_H
#define RTE_PMD_CBDMA_H

/**
 * @file
 *
 * What the driver offers for a vdev dma_cbdma beyond dmadev: hold of the device model behind it.
 *
 * The driver is a plugin: an application that was not linked with it finds these with dlsym(). They
 * are not there in a driver built without the model. Any thread of the primary process may call
 * them, for as long as the device is not removed meanwhile.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Inject a fault, in the place of one that has not struck yet.
 *
 * @param dev_id
 *   A dmadev of this driver.
 * @param fault
 *   "fail[:at=N][:cause=C]": the descriptor after the next N fails; C is one of src, dst, next,
 *   align, read, write, op, length, completion, command, unaffiliated (default src). After N more
 *   descriptors: "stall[:at=N]": the channel stops without an error; "suspend[:at=N]", "halt[:at=N]":
 *   it does so by itself; "lost-completion[:at=N]", "lost-doorbell[:at=N]": one write of the completion
 *   word, or of DMACOUNT, is lost; "vanish[:at=N]": the device is gone for good; "mute[:at=N]": it
 *   cannot be reached, but works on, until the next call. "reset": the channel does not come out of a
 *   reset, until the next call. "none": none.
 * @return
 *   - 0 on success.
 *   - -EINVAL: not a fault; what is wrong is logged.
 *   - -ENODEV: not a device of this driver that has a model in this process.
 */
int rte_pmd_cbdma_inject(int16_t dev_id, const char *fault);

/**
 * Run the model of a device made with step=1: it runs when it is told to, in the caller.
 *
 * @param dev_id
 *   A dmadev of this driver.
 * @param max
 *   Descriptors to run at most.
 * @return
 *   - Descriptors run: 0 when there is nothing to run, or the channel is halted, suspended or
 *     stalled.
 *   - -ENODEV: not a device of this driver that has a model in this process.
 */
int rte_pmd_cbdma_step(int16_t dev_id, unsigned int max);

#ifdef __cplusplus
}
#endif

#endif /* RTE_PMD_CBDMA_H */
