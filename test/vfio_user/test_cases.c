/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* What clients may send and what they may expect, case by case. The cases, and most of the answers,
 * are those of libvfio-user's own tests (test/py), as far as they are about messages: clients have
 * been written against that server. Where ours answers otherwise a comment says so.
 */

#include "server_fixture.h"

struct message_case {
	const char *name;
	unsigned int command;
	uint32_t word[12]; /**< payload */
	unsigned int len;  /**< of it, bytes */
	unsigned int fds;  /**< event file descriptors that come along */
	int error;
	unsigned int reply_len;
};

#define LO(x) ((uint32_t)(x))
#define HI(x) ((uint32_t)((uint64_t)(x) >> 32))

#define INFO_DEVICE(argsz)	  VFIOU_DEVICE_GET_INFO, {argsz}
#define INFO_REGION(argsz, index) VFIOU_DEVICE_GET_REGION_INFO, {argsz, 0, index}
#define INFO_IRQ(argsz, index)	  VFIOU_DEVICE_GET_IRQ_INFO, {argsz, 0, index}
#define IO_FDS(argsz, flags, index, count)                                                         \
	VFIOU_DEVICE_GET_REGION_IO_FDS, {argsz, flags, index, count}
#define IRQS(argsz, flags, index, start, count)                                                    \
	VFIOU_DEVICE_SET_IRQS, {argsz, flags, index, start, count}
#define MAP(argsz, flags, offset, address, size)                                                   \
	VFIOU_DMA_MAP,                                                                             \
	{                                                                                          \
		argsz, flags, LO(offset), HI(offset), LO(address), HI(address), LO(size), HI(size) \
	}
#define UNMAP(argsz, flags, address, size)                                                         \
	VFIOU_DMA_UNMAP, {argsz, flags, LO(address), HI(address), LO(size), HI(size)}
#define ACCESS(command, offset, region, count)                                                     \
	command, {LO(offset), HI(offset), region, count}
#define FEATURE(flags) VFIOU_DEVICE_FEATURE, {32, flags}

#define ERR 3 /* VFIO_PCI_ERR_IRQ_INDEX */
#define REQ 4

static const struct message_case cases[] = {
	{"request: bad command", 999, {0}, 1, 0, EINVAL, 0},
	{"request: bad command, the next", 19, {0}, 1, 0, EINVAL, 0},
	{"request: bad command, 0", 0, {0}, 0, 0, EINVAL, 0},
	{"request: bad command, a hole", 14, {0}, 0, 0, EINVAL, 0},
	{"request: no payload", VFIOU_DEVICE_SET_IRQS, {0}, 0, 0, EINVAL, 0},
	{"request: files of a bad one", IRQS(20, DATA_BOOL | TRIGGER, MSIX, 0, 1), 20, 2, EINVAL,
		0},
	{"request: version twice", VFIOU_VERSION, {1u << 16}, 4, 0, EINVAL, 0},

	{"device info: short", VFIOU_DEVICE_GET_INFO, {0}, 8, 0, EINVAL, 0},
	{"device info: bad argsz", INFO_DEVICE(8), 16, 0, EINVAL, 0},
	{"device info", INFO_DEVICE(16), 16, 0, 0, 16},
	{"device info: larger argsz", INFO_DEVICE(32), 16, 0, 0, 16},
	{"device info: longer", INFO_DEVICE(32), 32, 0, 0, 16},
	{"device info: a file", INFO_DEVICE(16), 16, 1, 0, 16},

	{"region info: short", INFO_REGION(0, 0), 8, 0, EINVAL, 0},
	{"region info: bad argsz", INFO_REGION(8, 1), 32, 0, EINVAL, 0},
	{"region info: bad index", INFO_REGION(32, 9), 32, 0, EINVAL, 0},
	{"region info", INFO_REGION(32, 0), 32, 0, 0, 32},
	{"region info: larger argsz", INFO_REGION(40, 0), 32, 0, 0, 32},
	{"region info: payload of argsz", INFO_REGION(48, 0), 48, 0, 0, 32}, /* as SPDK's client */
	{"region info: of size zero", INFO_REGION(32, 5), 32, 0, 0, 32},
	{"region info: migration", INFO_REGION(32, 9), 32, 0, EINVAL, 0},

	{"irq info: short", INFO_IRQ(0, 0), 8, 0, EINVAL, 0},
	{"irq info: bad argsz", INFO_IRQ(8, REQ), 16, 0, EINVAL, 0},
	{"irq info: bad index", INFO_IRQ(16, 5), 16, 0, EINVAL, 0},
	{"irq info: larger argsz", INFO_IRQ(32, REQ), 16, 0, 0, 16},
	{"irq info: longer", INFO_IRQ(32, REQ), 32, 0, 0, 16},
	{"irq info: request", INFO_IRQ(16, REQ), 16, 0, 0, 16},
	{"irq info: error", INFO_IRQ(16, ERR), 16, 0, 0, 16},
	{"irq info: MSI-X", INFO_IRQ(16, MSIX), 16, 0, 0, 16},

	{"irqs: no set", VFIOU_DEVICE_SET_IRQS, {0}, 0, 0, EINVAL, 0},
	{"irqs: short", IRQS(0, 0, 0, 0, 0), 8, 0, EINVAL, 0},
	{"irqs: bad argsz", IRQS(3, TRIGGER | DATA_NONE, MSIX, 0, 0), 20, 0, EINVAL, 0},
	{"irqs: bad index", IRQS(20, TRIGGER | DATA_NONE, 5, 0, 0), 20, 0, EINVAL, 0},
	{"irqs: mask and unmask", IRQS(20, MASK | UNMASK, MSIX, 0, 0), 20, 0, EINVAL, 0},
	{"irqs: none and bool", IRQS(20, MASK | DATA_NONE | DATA_BOOL, MSIX, 0, 0), 20, 0, EINVAL,
		0},
	{"irqs: range", IRQS(20, MASK | DATA_NONE, MSIX, 1, 2), 20, 0, EINVAL, 0},
	{"irqs: range, start", IRQS(20, MASK | DATA_NONE, MSIX, 3, 1), 20, 0, EINVAL, 0},
	{"irqs: range, wraps", IRQS(20, TRIGGER | DATA_EVENT, MSIX, 1, UINT32_MAX), 20, 0, EINVAL,
		0},
	{"irqs: action for error", IRQS(20, MASK | DATA_NONE, ERR, 0, 1), 20, 0, EINVAL, 0},
	{"irqs: action for request", IRQS(20, MASK | DATA_NONE, REQ, 0, 1), 20, 0, EINVAL, 0},
	{"irqs: range for error", IRQS(20, TRIGGER | DATA_NONE, ERR, 0, 2), 20, 0, EINVAL, 0},
	{"irqs: range for request", IRQS(20, TRIGGER | DATA_NONE, REQ, 0, 2), 20, 0, EINVAL, 0},
	{"irqs: start for none", IRQS(20, MASK | DATA_NONE, MSIX, 1, 0), 20, 0, EINVAL, 0},
	{"irqs: action for none", IRQS(20, MASK | DATA_NONE, MSIX, 0, 0), 20, 0, EINVAL, 0},
	{"irqs: data for none", IRQS(20, TRIGGER | DATA_BOOL, MSIX, 0, 0), 20, 0, EINVAL, 0},
	{"irqs: files for bool", IRQS(21, TRIGGER | DATA_BOOL, MSIX, 0, 1), 21, 1, EINVAL, 0},
	{"irqs: files for nothing", IRQS(20, TRIGGER | DATA_NONE, MSIX, 0, 1), 20, 1, EINVAL, 0},
	{"irqs: one file for two", IRQS(20, TRIGGER | DATA_EVENT, MSIX, 0, 2), 20, 1, EINVAL, 0},
	{"irqs: disable", IRQS(20, TRIGGER | DATA_NONE, MSIX, 0, 0), 20, 0, 0, 0},
	{"irqs: disable one", IRQS(20, TRIGGER | DATA_EVENT, MSIX, 0, 1), 20, 0, 0, 0},
	{"irqs: enable", IRQS(20, TRIGGER | DATA_EVENT, MSIX, 0, 1), 20, 1, 0, 0},
	{"irqs: enable again", IRQS(20, TRIGGER | DATA_EVENT, MSIX, 0, 1), 20, 1, 0, 0},
	{"irqs: enable two", IRQS(20, TRIGGER | DATA_EVENT, MSIX, 0, 2), 20, 2, 0, 0},
	{"irqs: enable, longer", IRQS(28, TRIGGER | DATA_EVENT, MSIX, 0, 1), 28, 1, 0, 0},
	{"irqs: bool too small", IRQS(21, TRIGGER | DATA_BOOL, MSIX, 0, 2), 21, 0, EINVAL, 0},
	{"irqs: bool too large", IRQS(23, TRIGGER | DATA_BOOL, MSIX, 0, 2), 23, 0, EINVAL, 0},
	{"irqs: bool, argsz too small", IRQS(20, TRIGGER | DATA_BOOL, MSIX, 0, 2), 22, 0, EINVAL,
		0},
	{"irqs: trigger", IRQS(20, TRIGGER | DATA_NONE, MSIX, 1, 1), 20, 0, 0, 0},
	{"irqs: trigger by bool", IRQS(22, TRIGGER | DATA_BOOL, MSIX, 0, 2), 22, 0, 0, 0},
	{"irqs: mask", IRQS(20, MASK | DATA_NONE, MSIX, 0, 1), 20, 0, 0, 0},
	{"irqs: unmask", IRQS(20, UNMASK | DATA_NONE, MSIX, 0, 1), 20, 0, 0, 0},
	{"irqs: mask the pin", IRQS(20, MASK | DATA_NONE, PIN, 0, 1), 20, 0, 0, 0},
	{"irqs: unmask the pin", IRQS(20, UNMASK | DATA_NONE, PIN, 0, 1), 20, 0, 0, 0},
	/* As Linux's vfio-pci; libvfio-user takes all of them, and unmasks or masks at once. */
	{"irqs: unmask by event", IRQS(20, UNMASK | DATA_EVENT, PIN, 0, 1), 20, 1, 0, 0},
	{"irqs: unmask by event no more", IRQS(20, UNMASK | DATA_EVENT, PIN, 0, 1), 20, 0, 0, 0},
	{"irqs: mask by event", IRQS(20, MASK | DATA_EVENT, PIN, 0, 1), 20, 1, ENOTSUP, 0},
	{"irqs: unmask by event, MSI-X", IRQS(20, UNMASK | DATA_EVENT, MSIX, 0, 1), 20, 1, ENOTSUP,
		0},

	{"io fds: short", IO_FDS(16, 0, 0, 0), 8, 0, EINVAL, 0},
	{"io fds: bad flags", IO_FDS(216, 1, 0, 0), 16, 0, EINVAL, 0},
	{"io fds: bad count", IO_FDS(216, 0, 0, 1), 16, 0, EINVAL, 0},
	{"io fds: too small", IO_FDS(15, 0, 0, 0), 16, 0, EINVAL, 0},
	{"io fds: too large", IO_FDS((1 << 20) + 1, 0, 0, 0), 16, 0, EINVAL, 0},
	{"io fds: none", IO_FDS(512, 0, 0, 0), 16, 0, 0, 16},
	{"io fds: no such region", IO_FDS(512, 0, 3, 0), 16, 0, EINVAL, 0},
	{"io fds: bad index", IO_FDS(512, 0, 512, 0), 16, 0, EINVAL, 0},

	{"map: short", MAP(32, 3, 0, 0, 0x1000), 31, 0, EINVAL, 0},
	{"map: bad argsz", MAP(31, 3, 0, 0, 0x1000), 32, 0, EINVAL, 0},
	{"map: bad flags", MAP(32, 16, 0, 0, 0x1000), 32, 0, EINVAL, 0},
	{"map: by mmap without a file", MAP(32, 7, 0, 0, 0x1000), 32, 0, EINVAL, 0},
	{"map: by file I/O without a file", MAP(32, 11, 0, 0, 0x1000), 32, 0, EINVAL, 0},
	{"map: too big", MAP(32, 3, 0, 0x10000, 0x90000000000), 32, 0, ENOSPC, 0},
	{"map: wraps", MAP(32, 3, 0, 0x1000, UINT64_MAX), 32, 0, EINVAL, 0},
	{"map: without a file", MAP(32, 3, 0, 0x10000, 0x1000), 32, 0, 0, 0},
	{"map: twice", MAP(32, 3, 0, 0x10000, 0x1000), 32, 0, EEXIST, 0},
	{"map: longer", MAP(40, 3, 0, 0x20000, 0x1000), 40, 0, 0, 0},
	{"map: without access", MAP(32, 0, 0, 0x30000, 0x1000), 32, 0, 0, 0},
	{"map: unaligned", MAP(32, 3, 0, 0x40010, 0x333), 32, 0, 0, 0},
	{"map: the last page", MAP(32, 3, 0, 0xfffffffffffff000, 0x1000), 32, 0, 0, 0},
	{"map: no memory", MAP(32, 3, 0, 0x60000, 0x1000), 32, 1, EINVAL, 0},

	{"unmap: short", UNMAP(24, 0, 0, 0), 8, 0, EINVAL, 0},
	{"unmap: bad argsz", UNMAP(8, 0, 0x1000, 0x1000), 24, 0, EINVAL, 0},
	{"unmap: larger argsz", UNMAP((1 << 20) + 8, 0, 0x1000, 0x1000), 24, 0, EINVAL, 0},
	{"unmap: dirty, bad argsz", UNMAP(40, 1, 0x10000, 0x1000), 40, 0, EINVAL, 0},
	{"unmap: dirty, not tracked", UNMAP(48, 1, 0x10000, 0x1000), 48, 0, EINVAL, 0},
	{"unmap: bad flags", UNMAP(24, 4, 0x10000, 0x1000), 24, 0, EINVAL, 0},
	{"unmap: bad address", UNMAP(24, 0, 0x7000000, 0x1000), 24, 0, ENOENT, 0},
	{"unmap: with a file", UNMAP(24, 0, 0x10000, 0x1000), 24, 1, 0, 24}, /* as SPDK's client */
	{"unmap: longer", UNMAP(32, 0, 0x20000, 0x1000), 32, 0, 0, 24},
	{"unmap: unaligned", UNMAP(24, 0, 0x40010, 0x333), 24, 0, 0, 24},
	{"unmap: the last page", UNMAP(24, 0, 0xfffffffffffff000, 0x1000), 24, 0, 0, 24},
	{"unmap: all, address", UNMAP(24, 2, 0x10000, 0x1000), 24, 0, EINVAL, 0},
	{"unmap: all, dirty", UNMAP(24, 3, 0, 0), 24, 0, EINVAL, 0},
	{"unmap: all", UNMAP(24, 2, 0, 0), 24, 0, 0, 24},

	{"read: short", ACCESS(VFIOU_REGION_READ, 0, CONFIG, 4), 15, 0, EINVAL, 0},
	{"read", ACCESS(VFIOU_REGION_READ, 0, CONFIG, 4), 16, 0, 0, 20},
	{"read: longer", ACCESS(VFIOU_REGION_READ, 0, CONFIG, 4), 20, 0, 0, 20},
	{"read: nothing", ACCESS(VFIOU_REGION_READ, 0, CONFIG, 0), 16, 0, 0, 0},
	{"read: nothing of nothing", ACCESS(VFIOU_REGION_READ, 0, 5, 0), 16, 0, 0, 0},
	{"read: bad region", ACCESS(VFIOU_REGION_READ, 0, 9, 4), 16, 0, EINVAL, 0},
	{"read: bad offset", ACCESS(VFIOU_REGION_READ, 4096, CONFIG, 4), 16, 0, EINVAL, 0},
	{"read: wraps", ACCESS(VFIOU_REGION_READ, UINT64_MAX, CONFIG, 4), 16, 0, EINVAL, 0},
	{"read: too much", ACCESS(VFIOU_REGION_READ, 0, CONFIG, (1 << 20) + 1), 16, 0, EINVAL, 0},
	{"write: nothing", ACCESS(VFIOU_REGION_WRITE, 0, CONFIG, 0), 16, 0, 0, 0},
	{"write: too short", ACCESS(VFIOU_REGION_WRITE, 0, CONFIG, 8), 20, 0, EINVAL, 0},
	{"write: too long", ACCESS(VFIOU_REGION_WRITE, 0, CONFIG, 2), 20, 0, EINVAL, 0},
	{"write", ACCESS(VFIOU_REGION_WRITE, PCI_INTERRUPT_LINE, CONFIG, 1), 17, 0, 0, 16},
	{"reset", VFIOU_DEVICE_RESET, {0}, 0, 0, 0, 0},
	{"reset: longer", VFIOU_DEVICE_RESET, {0}, 4, 0, 0, 0},

	/* Migration and dirty logging: not here, and nothing else happens. libvfio-user says EINVAL
	 * to features that a device has not been given.
	 */
	{"feature: probe migration", FEATURE(1u << 18 | 1), 8, 0, ENOTSUP, 0},
	{"feature: get migration", FEATURE(1u << 16 | 1), 16, 0, ENOTSUP, 0},
	{"feature: set state", FEATURE(1u << 17 | 2), 16, 0, ENOTSUP, 0},
	{"feature: start logging", FEATURE(1u << 17 | 6), 32, 0, ENOTSUP, 0},
	{"feature: stop logging", FEATURE(1u << 17 | 7), 8, 0, ENOTSUP, 0},
	{"feature: report", FEATURE(1u << 16 | 8), 32, 0, ENOTSUP, 0},
	{"migration: read", VFIOU_MIG_DATA_READ, {8, 4}, 8, 0, ENOTSUP, 0},
	{"migration: write", VFIOU_MIG_DATA_WRITE, {12, 4}, 12, 0, ENOTSUP, 0},
	{"DMA read, from a client", VFIOU_DMA_READ, {0}, 16, 0, ENOTSUP, 0},
	{"DMA write, from a client", VFIOU_DMA_WRITE, {0}, 16, 0, ENOTSUP, 0},
};

static void
test_messages(void **state)
{
	int fd = raw_client(&rig), event[2] = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)};
	const unsigned int fds_before = raw_count_fds();
	unsigned int i, wrong = 0;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct message_case *c = &cases[i];
		int error = raw_command(fd, c->command, c->word, c->len, event, c->fds, &reply);

		if (error == c->error && reply.len == c->reply_len)
			continue;
		print_message("%s: error %d and %zu bytes, not %d and %u\n", c->name, error,
			reply.len, c->error, c->reply_len);
		wrong++;
	}
	assert_int_equal(wrong, 0);
	/* No file is kept but those of interrupts that are set. */
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 0, NULL, 0), 0);
	assert_int_equal(raw_count_fds(), fds_before);
	close(event[0]);
	close(event[1]);
	raw_close(&rig, fd);
}

static const struct {
	const char *json;
	int error;
} greetings[] = {
	{"{", EINVAL},
	{"\"", EINVAL},
	{"{ \"capabilities\": \"23\" }", EINVAL},
	{"{ \"capabilities\": [] }", EINVAL},
	{"{ \"capabilities\": { \"max_msg_fds\": \"foo\" } }", EINVAL},
	{"{ \"capabilities\": { \"max_msg_fds\": -1 } }", EINVAL},
	{"{ \"capabilities\": { \"max_msg_fds\": 1025 } }", EINVAL},
	{"{ \"capabilities\": { \"migration\": \"23\" } }", EINVAL},
	{"{ \"capabilities\": { \"migration\": { \"pgsize\": \"foo\" } } }", EINVAL},
	{"{ \"capabilities\": { \"migration\": { \"pgsize\": 4095 } } }", EINVAL},
	{"{ \"capabilities\": { \"twin_socket\": true } }", EINVAL},
	{"{ \"capabilities\": { \"pgsizes\": 2048 } }", EINVAL},
	{NULL, 0},
	{"{}", 0},
	{"{ \"capabilities\": { } }", 0},
	{"{ \"capabilities\": { \"max_msg_fds\": 1024, \"max_data_xfer_size\": 1048576 } }", 0},
	{"{ \"capabilities\": { \"migration\": { \"pgsize\": 4096 } } }", 0},
	{"{ \"capabilities\": { \"pgsizes\": 2097152 } }", 0},
};

static void
test_greetings(void **state)
{
	struct vfiou_caps caps;
	unsigned int i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++) {
		fd = raw_connect(&rig);
		assert_int_equal(raw_version(fd, 0, 1, greetings[i].json, &reply),
			greetings[i].error);
		if (greetings[i].error == 0) {
			assert_int_equal(vfiou_caps_parse((char *)reply.data + 4, reply.len - 4,
						 &caps), 0);
			assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
		}
		close(fd);
	}
	assert_int_equal(caps.pgsizes, 2 << 20);
	fd = raw_connect(&rig);
	assert_int_equal(raw_version(fd, 999, 1, NULL, &reply), EINVAL);
	close(fd);
}

/* Headers that are none: answered. What cannot be skipped ends the connection then. */
static void
test_headers(void **state)
{
	static const struct {
		uint32_t size, flags;
		bool stays;
	} headers[] = {
		{15, 0, true},
		{0, 0, true},
		{VFIOU_MAX_MSG + 1, 0, false},
		{UINT32_MAX, 0, false},
		{16, VFIOU_TYPE_REPLY, true},
		{16, VFIOU_TYPE_REPLY | VFIOU_ERROR, true},
		{16, 2, true},
		{16, 15, true},
	};
	unsigned int i;
	char byte;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		const struct vfiou_header header = {.id = 0xbad1, .command = VFIOU_DEVICE_SET_IRQS,
			.size = headers[i].size, .flags = headers[i].flags};

		fd = raw_client(&rig);
		raw_send_header(fd, header, NULL, 0, NULL, 0);
		assert_true(raw_receive(fd, &reply));
		assert_int_equal(reply.header.id, 0xbad1);
		assert_int_equal(reply.header.flags, VFIOU_TYPE_REPLY | VFIOU_ERROR);
		assert_int_equal(reply.header.error, EINVAL);
		if (headers[i].stays)
			assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
		else
			assert_int_equal(read(fd, &byte, 1), 0);
		close(fd);
	}
}

/* A trigger goes to the vector of the index that is asked for, whatever configuration space says.
 */
static void
test_trigger(void **state)
{
	int fd = raw_client(&rig), pin = eventfd(0, EFD_NONBLOCK);
	int vector = eventfd(0, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(set_irqs(fd, DATA_EVENT | TRIGGER, PIN, 0, 1, &pin, 1), 0);
	assert_int_equal(set_irqs(fd, DATA_EVENT | TRIGGER, MSIX, 1, 1, &vector, 1), 0);
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 1, 1, NULL, 0), 0);
	assert_int_equal(events(vector), 1);
	assert_int_equal(events(pin), 0);
	enable_msix(fd);
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, PIN, 0, 1, NULL, 0), 0);
	assert_int_equal(events(vector), 0);
	assert_int_equal(events(pin), 1);
	close(pin);
	close(vector);
	raw_close(&rig, fd);
}

/* A client that takes no files gets none. */
static void
test_no_files(void **state)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = 2};
	int fd = raw_connect(&rig);

	(void)state;
	assert_int_equal(raw_version(fd, 0, 1, "{\"capabilities\":{\"max_msg_fds\":0}}",
				 &reply), 0);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_REGION_INFO, &info, 32, NULL, 0, &reply),
		0);
	memcpy(&info, reply.data, sizeof(info));
	assert_int_equal(info.size, DM_CBDMA_DOORBELL_SIZE);
	assert_int_equal(info.flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	assert_int_equal(reply.fd, -1);
	raw_close(&rig, fd);
}

/* What lies across pages, and on the last one, is memory like any other. */
static void
test_odd_memory(void **state)
{
	const uint32_t rw = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE;
	const uint64_t last = 0xfffffffffffff000;
	int fd = raw_client(&rig), file = raw_memory(0x4000);
	struct cbdma_desc desc = {.size = 64, .src = 0x10040, .dst = 0x20000};
	uint8_t *mem = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	(void)state;
	assert_true(mem != MAP_FAILED);
	assert_int_equal(raw_map(fd, 0x10040, 0x80, 0x1040, rw, file), 0);
	assert_int_equal(raw_map(fd, 0x20000, 0x40, 0x2000, rw, file), 0);
	assert_int_equal(raw_map(fd, last, 0x1000, 0x3000, rw, file), 0);
	assert_int_equal(raw_map(fd, 0x30001, 0x40, 0, rw, file), EINVAL); /* ours: by IOVA */
	memcpy(mem + 0x3000, &desc, sizeof(desc));
	memset(mem + 0x1040, 0x5a, 64);
	raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHAINADDR, 8, last);
	raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig.dev, 1), 1);
	assert_int_equal(mem[0x203f], 0x5a);
	assert_int_equal(mem[0x2040], 0);
	assert_int_equal(raw_unmap(fd, last, 0x1000, 0), 0);
	assert_int_equal(raw_unmap(fd, 0, 0x30000, 0), 0);
	munmap(mem, 0x4000);
	assert_int_equal(raw_count_maps(), 0);
	close(file);
	raw_close(&rig, fd);
}

/* What SPDK's vfio-user host library sends (lib/vfio_user/host), message by message: a version
 * without capabilities; region information with all of its room, less the structure's, for a
 * payload; files with DMA_UNMAP, too. It reads a reply as a header and then as the rest, and
 * takes no payload that is longer than what it sent or has room for.
 */
static void
test_spdk(void **state)
{
	static const uint32_t rw = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE;
	const uint64_t huge = 2u << 20, address = 0x200000200000;
	uint8_t region[4096 - sizeof(struct vfio_region_info)];
	struct vfio_region_info *info = (void *)region;
	struct vfiou_device_info device = {.argsz = sizeof(device)};
	struct vfiou_dma_unmap unmap = {.argsz = sizeof(unmap), .address = address, .size = huge};
	int fd = raw_connect(&rig), file = raw_memory(2 * huge);
	struct cbdma_desc desc = {
		.size = 64, .src = address + 0x1000, .dst = address + 0x2000, .next = address};
	uint8_t byte = 0x5a;
	uint32_t i;

	(void)state;
	assert_int_equal(raw_version(fd, 0, 1, NULL, &reply), 0);
	assert_true(reply.len <= 4096);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_INFO, &device, sizeof(device), NULL, 0,
				 &reply), 0);
	assert_int_equal(reply.len, sizeof(device));
	memcpy(&device, reply.data, sizeof(device));
	assert_int_equal(device.num_regions, VFIO_PCI_NUM_REGIONS);
	for (i = 0; i < device.num_regions; i++) {
		memset(region, 0, sizeof(region));
		info->argsz = sizeof(region);
		info->index = i;
		assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_REGION_INFO, region,
					 sizeof(region), NULL, 0, &reply), 0);
		assert_true(reply.len <= 4096);
		if (i == VFIO_PCI_BAR2_REGION_INDEX) {
			assert_true(reply.fd >= 0); /* it maps all of it, without sparse areas */
			close(reply.fd);
		}
	}
	assert_int_equal(raw_map(fd, address, huge, huge, rw, file), 0);
	assert_int_equal(pwrite(file, &desc, sizeof(desc), huge), sizeof(desc));
	assert_int_equal(pwrite(file, &byte, 1, huge + 0x1000), 1);
	raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHAINADDR, 8, address);
	raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_DMACOUNT, 2, 1);
	for (i = 0; i < 20000 && (raw_get(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANSTS, 8) &
			CBDMA_CHANSTS_STATE_MASK) == CBDMA_CHANSTS_ACTIVE; i++)
		usleep(1000);
	byte = 0;
	assert_int_equal(pread(file, &byte, 1, huge + 0x2000), 1);
	assert_int_equal(byte, 0x5a);
	assert_int_equal(raw_command(fd, VFIOU_DMA_UNMAP, &unmap, sizeof(unmap), &file, 1, &reply),
		0);
	assert_int_equal(raw_count_maps(), 0);
	close(file);
	raw_close(&rig, fd);
}

static int
setup_budget(void **state)
{
	setup(state);
	rig.config.max_memory = 1ull << 43;
	return 0;
}

int
main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages, setup_budget, teardown),
		WITH(test_greetings),
		WITH(test_headers),
		WITH(test_trigger),
		cmocka_unit_test_setup_teardown(test_no_files, setup_doorbell, teardown),
		WITH(test_odd_memory),
		cmocka_unit_test_setup_teardown(test_spdk, setup_doorbell, teardown),
	};

	return cmocka_run_group_tests_name("vfiou_cases", tests, NULL, NULL);
}
