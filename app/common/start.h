/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef START_H
#define START_H

/** @file How the programs start DPDK, so that they run on any machine, as anybody, in one word. */

/**
 * Start EAL. With arguments of the user's (argv[1] and on): with these. Without: with hugepages if
 * this process can have any, else without, and quietly.
 *
 * @param devices
 *   PCI addresses and vdevs with their arguments to start with; none, and no arguments: the model,
 *   or DPDK's dma_skeleton where there is no model.
 * @return 0; or -1 after a message on stderr that says what to do. PCI devices other than DMA
 *   devices are left alone unless the arguments name them.
 */
int start_eal(int argc, char **argv, const char *const *devices, unsigned int nb_devices);

#endif /* START_H */
