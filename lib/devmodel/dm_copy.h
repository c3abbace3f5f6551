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

#include <stdbool.h>
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

/** Shortest copy whose destination may be written past the caches. */
#define DM_STREAM_MIN 512

/**
 * Chooses between two ways to run a batch.
 *
 * Long copies can be written through the caches, or past them straight to memory ("streamed"). Which
 * is faster is the machine's business: written past the caches, a line need not be read first, but
 * what lies in a cache already is written there faster. So both are timed now and then, one after the
 * other, and the better one is used until the next time.
 */
struct dm_copier {
	dm_copy_fn cached;
	dm_copy_fn streamed; /**< NULL: this CPU has no such way */
	bool stream;	     /**< which of the two is next */
	bool trying;	     /**< it is not the one that is known to be better */
	uint64_t bytes;	     /**< run that way so far */
	uint64_t cost;	     /**< of the better one: cycles per 64 KB */
	uint64_t least;	     /**< of the chunks timed lately, likewise */
	uint64_t chunk_bytes;
	uint64_t chunk_cycles;
};

/** Set up a copier with the fastest ways that this CPU has. */
void dm_copier_init(struct dm_copier *copier);

/** Run n operations. */
void dm_copier_run(struct dm_copier *copier, const struct dm_op *ops, unsigned int n);

/** Whether to ask for the destination's lines ahead of a copy of len bytes. */
static inline bool
dm_copier_wants_dst(const struct dm_copier *copier, uint32_t len)
{
	return len < DM_STREAM_MIN || !copier->stream;
}

#endif /* DM_COPY_H */
