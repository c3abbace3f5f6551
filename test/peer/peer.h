/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef PEER_H
#define PEER_H

/**
 * @file
 *
 * A CBDMA function in the process of a DPDK program, as the PCI device of other people's drivers.
 */

#include <dm_cbdma.h>

#define PEER_BAR_SIZE 0x4000

/** End the process, saying what is wrong. */
void peer_die(const char *what, const char *why);

/** Make the function, which reaches all memory of DPDK. Nothing runs it yet. */
struct dm_device *peer_create(const struct dm_cbdma_config *config);

/**
 * Make the function. @return its BAR, each access to which is one to a register of the model. It runs
 * in the thread that rings, so that no result depends on who else wants the CPU.
 */
void *exact_bar(void);

/**
 * Make the function, run by an engine on the CPU that PEER_CPU in the environment names. @return its
 * BAR, which is memory; the doorbell is the model's, for the others a thread looks what the driver has
 * written. That is too slow and too coarse for errors (nobody sees
 * that a 1 was written to clear a bit), and enough for a driver that resets, starts and then only
 * submits, which it does at native speed.
 */
void *shared_bar(void);

#endif /* PEER_H */
