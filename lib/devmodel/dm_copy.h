/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_COPY_H
#define DM_COPY_H

/**
 * @file
 *
 * Moving the bytes: runs a batch of operations whose addresses have been translated.
 */

#include <stdint.h>

/** A copy or a fill, translated and checked: it cannot fail any more. */
struct dm_op {
	uint8_t *dst;
	union {
		const uint8_t *src;
		uint64_t pattern; /**< of a fill: its byte 0 goes to dst[0] */
	};
	uint32_t len;
	uint32_t fill; /**< 0: copy */
};

/** Run n operations in order. Source and destination of a copy may overlap, with any result. */
typedef void (*dm_copy_fn)(const struct dm_op *ops, unsigned int n);

/** The fastest way that this CPU has. */
dm_copy_fn dm_copy_select(void);

#endif /* DM_COPY_H */
