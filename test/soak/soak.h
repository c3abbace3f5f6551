/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef SOAK_H
#define SOAK_H

/**
 * @file
 *
 * The memory that the soak's operations work on, and what it should hold.
 *
 * *Arena* is what the device sees, *shadow* what the arena should hold once the operations reported
 * so far are done, and *undefined* marks bytes that may hold anything: the destination of an
 * operation that failed, and whatever was copied from there.
 *
 * Operations under way at the same time must not depend on each other unless a fence says so. To
 * know, memory is divided in blocks, each with a count of the operations under way that read and
 * write it.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>

#define SOAK_ARENA    (16u << 20)
#define SOAK_MAX_SEGS 64

struct soak_seg {
	uint32_t offset; /**< in the arena */
	uint32_t len;
};

enum soak_kind { SOAK_COPY, SOAK_FILL, SOAK_SG };

/** An operation that was enqueued. */
struct soak_op {
	enum soak_kind kind;
	bool bad_src, bad_dst; /**< has an address that is not mapped, has to fail */
	uint16_t nb_src, nb_dst;
	uint32_t len;
	uint64_t pattern;
	struct soak_seg src[SOAK_MAX_SEGS], dst[SOAK_MAX_SEGS];
};

int soak_memory_create(void);
rte_iova_t soak_iova(uint32_t offset);

/** Random numbers that --seed replays. */
void soak_seed(uint64_t seed);
uint32_t soak_random(uint32_t limit);

/**
 * Find places for the segments of an operation, whose lengths are set.
 *
 * @param fenced
 *   It may depend on operations under way.
 * @param from
 *   Take the source from the destination of this operation; NULL: from anywhere.
 * @return false: none found.
 */
bool soak_place(struct soak_op *op, bool fenced, const struct soak_op *from);
/** It is under way. */
void soak_claim(const struct soak_op *op);
/** It is reported: as done (check its destination), or as failed or dropped. @return 0; -1: wrong. */
int soak_done(const struct soak_op *op);
void soak_failed(const struct soak_op *op);
/** Nothing is under way: compare all, and make defined what is not. @return 0; -1: wrong. */
int soak_check_all(void);

#endif /* SOAK_H */
