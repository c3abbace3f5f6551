/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DEVICE_ARGS_H
#define DEVICE_ARGS_H

/**
 * @file
 *
 * The kinds of device that dma-deviced has: from the text of --device to a model.
 */

#include "dm_device.h"

/**
 * Create the device that a text describes: a kind, and then ",key=value" as often as need be.
 *
 * @param error
 *   When NULL is returned: what is wrong, in words.
 */
struct dm_device *device_create(const char *text, char *error, size_t error_size);

/**
 * Inject a fault: "[CHANNEL:]FAULT".
 *
 * @return 0; -EINVAL: *error says why.
 */
int device_inject(struct dm_device *dev, const char *text, char *error, size_t error_size);

/** What --device takes, for --help. */
extern const char device_help[];

#endif /* DEVICE_ARGS_H */
