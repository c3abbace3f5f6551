/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef ANSWERER_H
#define ANSWERER_H

/* A client that has memory without a file, and answers when the server asks for it: as it should,
 * or not.
 */

#include "raw_client.h"

#define ANSWERER_MEMORY (1u << 20)

enum answer {
	ANSWER_RIGHT,
	ANSWER_SHORT_WRITE, /**< right: with a count of 4 bytes, as the specification has it */
	ANSWER_EMPTY_WRITE, /**< right: without anything, as QEMU */
	/* wrong: */
	ANSWER_ERROR,
	ANSWER_SHORT,
	ANSWER_LONG,
	ANSWER_ADDRESS,
	ANSWER_COUNT,
	ANSWER_NOTHING,
	ANSWERS, /**< how many there are */
	/* none: */
	ANSWER_ID,
	ANSWER_COMMAND,
	ANSWER_NONE,
};

struct answerer {
	int fd;	  /**< of the client */
	int asked_fd; /**< where requests come: the same, or its twin */
	uint8_t *memory; /**< ANSWERER_MEMORY */
	uint64_t address; /**< in the device's eyes */
	enum answer answer;
	unsigned int reads, writes; /**< that it was asked for */
	uint64_t longest;
};

/** Whether something comes within so many milliseconds. */
static inline bool
answerer_hears(int fd, int ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, ms) == 1;
}

static inline void
answerer_send(struct answerer *a, const struct vfiou_header *asked, struct vfiou_dma_access access)
{
	static __thread uint8_t data[sizeof(access) + (1u << 20) + 1];
	struct vfiou_header header = {
		.id = asked->id, .command = asked->command, .flags = VFIOU_TYPE_REPLY};
	const bool write = asked->command == VFIOU_DMA_WRITE;
	size_t len = sizeof(access) + (write ? 0 : access.count);

	if (!write)
		memcpy(data + sizeof(access), a->memory + (access.address - a->address),
			access.count);
	header.flags |= a->answer == ANSWER_ERROR ? VFIOU_ERROR : 0;
	header.error = a->answer == ANSWER_ERROR ? EFAULT : 0;
	header.id += a->answer == ANSWER_ID;
	header.command ^= a->answer == ANSWER_COMMAND ? VFIOU_DMA_READ ^ VFIOU_DMA_WRITE : 0;
	access.address += a->answer == ANSWER_ADDRESS;
	access.count += a->answer == ANSWER_COUNT ? 1u << 31 : 0;
	memcpy(data, &access, sizeof(access));
	len -= a->answer == ANSWER_SHORT;
	len += a->answer == ANSWER_LONG;
	if (write && a->answer == ANSWER_SHORT_WRITE)
		len = 12;
	if (a->answer == ANSWER_ERROR || (write && a->answer == ANSWER_EMPTY_WRITE) ||
			(!write && a->answer == ANSWER_NOTHING))
		len = 0;
	if (write && a->answer == ANSWER_NOTHING)
		len = 8;
	header.size = sizeof(header) + len;
	raw_send_header(a->asked_fd, header, data, len, NULL, 0);
}

/** A message whose header has come is a request: answer it. */
static inline void
answerer_answer(struct answerer *a, const struct vfiou_header *asked)
{
	struct vfiou_dma_access access;
	int none = -1;

	assert_int_equal(asked->flags, VFIOU_TYPE_COMMAND);
	assert_true(asked->command == VFIOU_DMA_READ || asked->command == VFIOU_DMA_WRITE);
	assert_true(raw_read_all(a->asked_fd, &access, sizeof(access), &none));
	assert_true(access.count > 0 && access.address >= a->address &&
		access.address - a->address <= ANSWERER_MEMORY - access.count);
	assert_int_equal(asked->size, sizeof(*asked) + sizeof(access) +
		(asked->command == VFIOU_DMA_WRITE ? access.count : 0));
	if (asked->command == VFIOU_DMA_WRITE)
		assert_true(raw_read_all(a->asked_fd, a->memory + (access.address - a->address),
			access.count, &none));
	a->writes += asked->command == VFIOU_DMA_WRITE;
	a->reads += asked->command == VFIOU_DMA_READ;
	a->longest = access.count > a->longest ? access.count : a->longest;
	if (a->answer != ANSWER_NONE)
		answerer_send(a, asked, access);
}

/** Be asked once. @return false: nobody has, for so many milliseconds. */
static inline bool
answerer_asked(struct answerer *a, int ms)
{
	struct vfiou_header header;
	int none = -1;

	if (!answerer_hears(a->asked_fd, ms))
		return false;
	if (!raw_read_all(a->asked_fd, &header, sizeof(header), &none))
		return false;
	answerer_answer(a, &header);
	return true;
}

/** Send a command and receive its reply, answering meanwhile. @return its error, 0: none. */
static inline int
answerer_command(struct answerer *a, unsigned int command, const void *data, size_t len,
		struct raw_reply *reply)
{
	int none = -1;

	raw_send(a->fd, command, data, len, NULL, 0);
	for (;;) {
		if (a->asked_fd != a->fd) {
			while (!answerer_hears(a->fd, 1))
				answerer_asked(a, 0);
		}
		reply->fd = -1;
		assert_true(raw_read_all(a->fd, &reply->header, sizeof(reply->header), &none));
		if ((reply->header.flags & VFIOU_TYPE_MASK) == VFIOU_TYPE_REPLY)
			break;
		answerer_answer(a, &reply->header);
	}
	reply->len = reply->header.size - sizeof(reply->header);
	assert_true(raw_read_all(a->fd, reply->data, reply->len, &reply->fd));
	assert_int_equal(reply->header.id, 0x1234);
	assert_int_equal(reply->header.command, command);
	return reply->header.flags & VFIOU_ERROR ? (int)reply->header.error : 0;
}

static inline uint64_t
answerer_get(struct answerer *a, unsigned int region, uint64_t offset, unsigned int width)
{
	const struct vfiou_region_access access = {
		.offset = offset, .region = region, .count = width};
	struct raw_reply reply;
	uint64_t value = 0;

	assert_int_equal(answerer_command(a, VFIOU_REGION_READ, &access, sizeof(access), &reply),
		0);
	memcpy(&value, reply.data + sizeof(access), width);
	return value;
}

static inline void
answerer_set(struct answerer *a, unsigned int region, uint64_t offset, unsigned int width,
		uint64_t value)
{
	const struct vfiou_region_access access = {
		.offset = offset, .region = region, .count = width};
	uint8_t data[sizeof(access) + 8];
	struct raw_reply reply;

	memcpy(data, &access, sizeof(access));
	memcpy(data + sizeof(access), &value, 8);
	assert_int_equal(answerer_command(a, VFIOU_REGION_WRITE, data, sizeof(access) + width,
				 &reply), 0);
}

#endif /* ANSWERER_H */
