/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Each message of the protocol, good and bad in every field, and clients that misbehave. */

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>

#include "raw_client.h"

#define BAR0   VFIO_PCI_BAR0_REGION_INDEX
#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX

static struct raw_rig rig;
static struct raw_reply reply;

static int
setup(void **state)
{
	const struct dm_cbdma_config config = {.channels = 2};

	(void)state;
	raw_start(&rig, &config, false);
	return 0;
}

static int
setup_doorbell(void **state)
{
	const struct dm_cbdma_config config = {.doorbell_bar = true};

	(void)state;
	raw_start(&rig, &config, true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	raw_stop(&rig);
	return 0;
}

/* The server goes on: a new client gets an answer. */
static void
assert_alive(void)
{
	int fd = raw_client(&rig);

	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
	raw_close(&rig, fd);
}

/* The server hangs up on this client, and goes on. */
static void
assert_hung_up(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n > 0);
	close(fd);
	assert_alive();
}

static void
test_version(void **state)
{
	struct vfiou_caps caps;
	int fd = raw_connect(&rig);

	(void)state;
	assert_int_equal(raw_version(fd, 0, 7, "{\"capabilities\":{\"write_multiple\":true,"
				 "\"x\":[1,{\"y\":null}]}}", &reply), 0);
	assert_int_equal(reply.data[0] | reply.data[1] << 8, 0);
	assert_int_equal(reply.data[2] | reply.data[3] << 8, 1);
	assert_int_equal(vfiou_caps_parse((char *)reply.data + 4, reply.len - 4, &caps), 0);
	assert_int_equal(caps.max_msg_fds, VFIOU_MAX_FDS);
	assert_int_equal(caps.max_data_xfer_size, 1 << 20);
	assert_true(caps.write_multiple);
	/* Once is enough. */
	assert_int_equal(raw_version(fd, 0, 1, NULL, &reply), EINVAL);
	raw_close(&rig, fd);

	/* Without capabilities, and with an older minor version. */
	fd = raw_connect(&rig);
	assert_int_equal(raw_version(fd, 0, 0, NULL, &reply), 0);
	assert_int_equal(reply.data[2], 0);
	assert_int_equal(vfiou_caps_parse((char *)reply.data + 4, reply.len - 4, &caps), 0);
	assert_false(caps.write_multiple);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, "\0\0\0\0\0\0\0", 8, NULL, 0,
				 &reply), ENOTSUP);
	raw_close(&rig, fd);
}

static void
test_version_bad(void **state)
{
	static const char *const json[] = {
		"", "{", "}", "[]", "nonsense", "{\"capabilities\":}", "{\"capabilities\":{}",
		"{\"capabilities\":{}} x", "{\"capabilities\":{\"max_msg_fds\":\"8\"}}",
		"{\"capabilities\":{\"max_msg_fds\":-1}}",
		"{\"capabilities\":{\"max_msg_fds\":1.5}}",
		"{\"capabilities\":{\"max_msg_fds\":99999999999999999999}}",
		"{\"capabilities\":{\"write_multiple\":1}}",
		"{\"capabilities\":{\"pgsizes\":true}}",
		"{\"capabilities\":{\"pgsizes\":65536}}", "{\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}",
		"{\"a\":\"", "{\"a\":\"\\", "{a:1}", "{\"a\" 1}", "{\"a\":1,}", "{\"a\":tru}",
		"{\"a\":1e}", "{\"a\":-}", "{\"capabilities\":{\"twin_socket\":{\"supported\":0}}}",
	};
	unsigned int i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
		fd = raw_connect(&rig);
		assert_int_equal(raw_version(fd, 0, 1, json[i], &reply), EINVAL);
		assert_hung_up(fd);
	}
	/* Without its NUL, with one in the middle. */
	fd = raw_connect(&rig);
	assert_int_equal(raw_command(fd, VFIOU_VERSION, "\0\0\1\0{}", 6, NULL, 0, &reply), EINVAL);
	assert_hung_up(fd);
	fd = raw_connect(&rig);
	assert_int_equal(raw_command(fd, VFIOU_VERSION, "\0\0\1\0{}\0{}\0", 10, NULL, 0, &reply),
		EINVAL);
	assert_hung_up(fd);
	/* Another major version; too short; something else first; with a file. */
	fd = raw_connect(&rig);
	assert_int_equal(raw_version(fd, 1, 0, NULL, &reply), ENOTSUP);
	assert_hung_up(fd);
	fd = raw_connect(&rig);
	assert_int_equal(raw_command(fd, VFIOU_VERSION, "\0\0\0", 3, NULL, 0, &reply), EINVAL);
	assert_hung_up(fd);
	fd = raw_connect(&rig);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_RESET, NULL, 0, NULL, 0, &reply), EINVAL);
	assert_hung_up(fd);
	fd = raw_connect(&rig);
	assert_int_equal(raw_command(fd, VFIOU_VERSION, "\0\0\1\0", 4, &fd, 1, &reply), EINVAL);
	assert_hung_up(fd);
}

static void
test_header_bad(void **state)
{
	struct vfiou_header header = {.id = 1, .command = VFIOU_DEVICE_RESET, .size = 16};
	static const uint32_t sizes[] = {0, 1, 15, VFIOU_MAX_MSG + 1, UINT32_MAX};
	static const uint16_t commands[] = {0, 6, 11, 12, 14, 16, 17, 18, 19, 255, UINT16_MAX};
	unsigned int i;
	int fd;

	(void)state;
	for (i = 0; i < 5; i++) {
		fd = raw_client(&rig);
		header.size = sizes[i];
		raw_send_header(fd, header, NULL, 0, NULL, 0);
		assert_hung_up(fd);
	}
	assert_true(raw_logged(&rig, "a message of 15 bytes"));
	/* A reply to nothing, and types that do not exist. */
	header.size = 16;
	for (i = 1; i < 16; i++) {
		fd = raw_client(&rig);
		header.flags = i;
		raw_send_header(fd, header, NULL, 0, NULL, 0);
		assert_hung_up(fd);
	}
	/* Commands that are unknown, not for servers, or not supported: the client may stay. */
	fd = raw_client(&rig);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_int_equal(raw_command(fd, commands[i], NULL, 0, NULL, 0, &reply), ENOTSUP);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_RESET, NULL, 0, NULL, 0, &reply), 0);
	raw_close(&rig, fd);
}

/* No reply is no reply, whatever happens; the next command's comes. */
static void
test_no_reply(void **state)
{
	struct vfiou_header header = {.id = 9, .command = VFIOU_DEVICE_RESET, .size = 16,
		.flags = VFIOU_NO_REPLY};
	int fd = raw_client(&rig);

	(void)state;
	raw_send_header(fd, header, NULL, 0, NULL, 0);
	header.command = 99;
	raw_send_header(fd, header, NULL, 0, NULL, 0);
	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
	raw_close(&rig, fd);
}

/* Byte by byte, and many at once. */
static void
test_fragments(void **state)
{
	const struct vfiou_region_access access = {.region = CONFIG, .count = 4};
	struct vfiou_header header = {.id = 7, .command = VFIOU_REGION_READ,
		.size = sizeof(header) + sizeof(access)};
	uint8_t message[32], burst[32 * 40];
	unsigned int i;
	int fd = raw_client(&rig);

	(void)state;
	memcpy(message, &header, 16);
	memcpy(message + 16, &access, 16);
	for (i = 0; i < sizeof(message); i++) {
		raw_send_bytes(fd, message + i, 1, NULL, 0);
		if (i % 10 == 0)
			usleep(1000);
	}
	assert_true(raw_receive(fd, &reply));
	assert_int_equal(reply.len, 20);
	for (i = 0; i < 40; i++)
		memcpy(burst + i * 32, message, 32);
	raw_send_bytes(fd, burst, sizeof(burst), NULL, 0);
	for (i = 0; i < 40; i++) {
		assert_true(raw_receive(fd, &reply));
		assert_int_equal(reply.len, 20);
	}
	raw_close(&rig, fd);
}

/* Gone in the middle of a header, and of what is behind it, with files on board. */
static void
test_killed_mid_message(void **state)
{
	struct vfiou_header header = {.command = VFIOU_DMA_MAP, .size = 48};
	const unsigned int fds_before = raw_count_fds();
	uint8_t message[48] = {0};
	size_t len;
	int fd, file = raw_memory(4096);

	(void)state;
	memcpy(message, &header, sizeof(header));
	for (len = 1; len < sizeof(message); len++) {
		fd = raw_client(&rig);
		raw_send_bytes(fd, message, len, &file, 1);
		raw_close(&rig, fd);
	}
	close(file);
	assert_true(raw_logged(&rig, "in the middle of a message"));
	assert_int_equal(raw_count_fds(), fds_before);
	assert_alive();
}

static void
test_one_client(void **state)
{
	int fd = raw_client(&rig), second = raw_connect(&rig);
	char byte;

	(void)state;
	assert_int_equal(read(second, &byte, 1), 0);
	close(second);
	assert_true(raw_logged(&rig, "refusing a client"));
	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
	/* Room as soon as the first has left, even if the server has not noticed yet. */
	close(fd);
	assert_alive();
}

static void
test_device_info(void **state)
{
	struct vfiou_device_info info = {.argsz = sizeof(info)};
	int fd = raw_client(&rig);

	(void)state;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_INFO, &info, 16, NULL, 0, &reply), 0);
	assert_int_equal(reply.len, 16);
	memcpy(&info, reply.data, 16);
	assert_int_equal(info.argsz, 16);
	assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	assert_int_equal(info.num_regions, 9);
	assert_int_equal(info.num_irqs, 5);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_INFO, &info, 15, NULL, 0, &reply),
		EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_INFO, NULL, 0, NULL, 0, &reply), EINVAL);
	info.argsz = 15;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_INFO, &info, 16, NULL, 0, &reply),
		EINVAL);
	info.argsz = 16;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_INFO, &info, 16, &fd, 1, &reply), EINVAL);
	raw_close(&rig, fd);
}

static void
test_region_info(void **state)
{
	static const uint64_t size[] = {0x4000, 0, 0, 0, 0, 0, 0, 4096, 0};
	struct vfio_region_info info = {.argsz = sizeof(info)};
	int fd = raw_client(&rig);

	(void)state;
	for (info.index = 0; info.index < 9; info.index++) {
		const struct vfio_region_info *got = (const void *)reply.data;

		assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_REGION_INFO, &info, sizeof(info),
					 NULL, 0, &reply), 0);
		assert_int_equal(reply.len, sizeof(info));
		assert_int_equal(got->argsz, sizeof(info));
		assert_int_equal(got->index, info.index);
		assert_int_equal(got->size, size[info.index]);
		assert_int_equal(got->flags, size[info.index] > 0 ? 3 : 0);
		assert_int_equal(reply.fd, -1);
	}
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_REGION_INFO, &info, 32, NULL, 0, &reply),
		EINVAL);
	info.index = UINT32_MAX;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_REGION_INFO, &info, 32, NULL, 0, &reply),
		EINVAL);
	info.index = 0;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_REGION_INFO, &info, 31, NULL, 0, &reply),
		EINVAL);
	info.argsz = 31;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_REGION_INFO, &info, 32, NULL, 0, &reply),
		EINVAL);
	raw_close(&rig, fd);
}

static void
test_irq_info(void **state)
{
	static const uint32_t count[] = {1, 0, 2, 0, 0};
	struct vfio_irq_info info = {.argsz = sizeof(info)};
	int fd = raw_client(&rig);

	(void)state;
	for (info.index = 0; info.index < 5; info.index++) {
		const struct vfio_irq_info *got = (const void *)reply.data;

		assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_IRQ_INFO, &info, 16, NULL, 0,
					 &reply), 0);
		assert_int_equal(got->count, count[info.index]);
		assert_int_equal(got->index, info.index);
	}
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_IRQ_INFO, &info, 16, NULL, 0, &reply),
		EINVAL);
	info.index = 0;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_IRQ_INFO, &info, 12, NULL, 0, &reply),
		EINVAL);
	info.argsz = 0;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_IRQ_INFO, &info, 16, NULL, 0, &reply),
		EINVAL);
	raw_close(&rig, fd);
}

static int
set_irqs(int fd, uint32_t flags, uint32_t index, uint32_t start, uint32_t count, const int *fds,
		unsigned int num_fds)
{
	struct vfio_irq_set set = {.argsz = sizeof(set), .flags = flags, .index = index,
		.start = start, .count = count};

	return raw_command(fd, VFIOU_DEVICE_SET_IRQS, &set, sizeof(set), fds, num_fds, &reply);
}

#define TRIGGER	   VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK	   VFIO_IRQ_SET_ACTION_MASK
#define UNMASK	   VFIO_IRQ_SET_ACTION_UNMASK
#define DATA_EVENT VFIO_IRQ_SET_DATA_EVENTFD
#define DATA_NONE  VFIO_IRQ_SET_DATA_NONE
#define DATA_BOOL  VFIO_IRQ_SET_DATA_BOOL
#define MSIX	   VFIO_PCI_MSIX_IRQ_INDEX
#define PIN	   VFIO_PCI_INTX_IRQ_INDEX

/* Events since last asked. */
static unsigned int
events(int fd)
{
	eventfd_t count;

	return eventfd_read(fd, &count) == 0 ? count : 0;
}

static void
enable_msix(int fd)
{
	raw_set(fd, CONFIG, 0x80 + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void
test_set_irqs(void **state)
{
	const struct vfio_irq_set booleans = {.argsz = sizeof(booleans) + 2,
		.flags = DATA_BOOL | TRIGGER, .index = MSIX, .count = 2};
	uint8_t data[sizeof(booleans) + 2];
	int fd = raw_client(&rig), ev[2];

	(void)state;
	ev[0] = eventfd(0, EFD_NONBLOCK);
	ev[1] = eventfd(0, EFD_NONBLOCK);
	raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	enable_msix(fd);
	assert_int_equal(set_irqs(fd, DATA_EVENT | TRIGGER, MSIX, 0, 2, ev, 2), 0);
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 2, NULL, 0), 0);
	assert_int_equal(events(ev[0]), 1);
	assert_int_equal(events(ev[1]), 1);
	memcpy(data, &booleans, sizeof(booleans));
	memcpy(data + sizeof(booleans), "\0\1", 2);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_SET_IRQS, data, sizeof(data), NULL, 0,
				 &reply), 0);
	assert_int_equal(events(ev[0]), 0);
	assert_int_equal(events(ev[1]), 1);
	/* Masked: it comes when unmasked. Without an event: when there is one. */
	assert_int_equal(set_irqs(fd, DATA_NONE | MASK, MSIX, 0, 1, NULL, 0), 0);
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 1, NULL, 0), 0);
	assert_int_equal(events(ev[0]), 0);
	assert_int_equal(raw_get(fd, BAR0, 0x3000, 8), 1);
	assert_int_equal(set_irqs(fd, DATA_NONE | UNMASK, MSIX, 0, 1, NULL, 0), 0);
	assert_int_equal(events(ev[0]), 1);
	assert_int_equal(set_irqs(fd, DATA_EVENT | TRIGGER, MSIX, 1, 1, NULL, 0), 0);
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 1, 1, NULL, 0), 0);
	assert_int_equal(events(ev[1]), 0);
	assert_int_equal(set_irqs(fd, DATA_EVENT | TRIGGER, MSIX, 1, 1, &ev[1], 1), 0);
	assert_int_equal(events(ev[1]), 1);
	/* All off; off again. */
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 0, NULL, 0), 0);
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 0, NULL, 0), 0);
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 2, NULL, 0), 0);
	assert_int_equal(events(ev[0]) + events(ev[1]), 0);
	close(ev[0]);
	close(ev[1]);
	raw_close(&rig, fd);
}

static void
test_set_irqs_bad(void **state)
{
	const uint32_t good = DATA_EVENT | TRIGGER;
	struct vfio_irq_set set = {.argsz = sizeof(set), .flags = DATA_NONE | TRIGGER,
		.index = MSIX, .count = 1};
	const unsigned int fds_before = raw_count_fds();
	int fd, ev = eventfd(0, EFD_NONBLOCK), many[40], file = raw_memory(4096), ends[2];
	unsigned int i, left;

	(void)state;
	fd = raw_client(&rig);
	for (i = 0; i < 40; i++)
		many[i] = ev;
	assert_int_equal(set_irqs(fd, good, 5, 0, 1, &ev, 1), EINVAL);
	assert_int_equal(set_irqs(fd, good, UINT32_MAX, 0, 1, &ev, 1), EINVAL);
	assert_int_equal(set_irqs(fd, good, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &ev, 1), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, 2, 1, &ev, 1), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, 1, 2, many, 2), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, 1, UINT32_MAX, many, 2), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, UINT32_MAX, 2, many, 2), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, 0, 2, &ev, 1), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, 0, 1, many, 2), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, 0, 0, NULL, 0), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, 1, 0, NULL, 0), EINVAL);
	assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 1, &ev, 1), EINVAL);
	assert_int_equal(set_irqs(fd, DATA_NONE | DATA_BOOL | TRIGGER, MSIX, 0, 1, NULL, 0),
		EINVAL);
	assert_int_equal(set_irqs(fd, TRIGGER, MSIX, 0, 1, NULL, 0), EINVAL);
	assert_int_equal(set_irqs(fd, DATA_NONE, MSIX, 0, 1, NULL, 0), EINVAL);
	assert_int_equal(set_irqs(fd, good | VFIO_IRQ_SET_ACTION_MASK, MSIX, 0, 1, &ev, 1), EINVAL);
	assert_int_equal(set_irqs(fd, good | 1u << 6, MSIX, 0, 1, &ev, 1), EINVAL);
	assert_int_equal(set_irqs(fd, DATA_BOOL | TRIGGER, MSIX, 0, 1, NULL, 0), EINVAL);
	assert_int_equal(set_irqs(fd, DATA_EVENT | VFIO_IRQ_SET_ACTION_UNMASK, PIN, 0, 1, &ev, 1),
		ENOTSUP);
	/* Files that are no events: one that is never full, one that blocks. */
	assert_int_equal(set_irqs(fd, good, MSIX, 0, 1, &file, 1), EINVAL);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(set_irqs(fd, good, MSIX, 0, 1, &ends[1], 1), EINVAL);
	close(ends[0]);
	close(ends[1]);
	/* More than we said we take. */
	assert_int_equal(set_irqs(fd, good, MSIX, 0, 40, many, 40), EINVAL);
	assert_int_equal(set_irqs(fd, good, MSIX, 0, 9, many, 9), EINVAL);
	set.argsz = 19;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_SET_IRQS, &set, 20, NULL, 0, &reply), EINVAL);
	set.argsz = 20;
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_SET_IRQS, &set, 19, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_SET_IRQS, &set, 0, NULL, 0, &reply), EINVAL);
	left = raw_left(&rig);
	raw_close(&rig, fd);
	assert_int_equal(raw_left(&rig), left + 1);
	close(ev);
	close(file);
	assert_int_equal(raw_count_fds(), fds_before);
}

static void
test_dma_map(void **state)
{
	const uint32_t rw = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE;
	const unsigned int fds_before = raw_count_fds();
	int file = raw_memory(64 << 10), fd = raw_client(&rig), ro, dir, ends[2], two[2];
	struct vfiou_dma_map map = {.argsz = sizeof(map), .flags = rw, .size = 4096};
	char path[64];

	(void)state;
	assert_int_equal(raw_map(fd, 0x10000, 0x4000, 0, rw, file), 0);
	assert_int_equal(raw_map(fd, 0x14000, 0x4000, 0x4000, rw, file), 0);
	assert_int_equal(raw_count_maps(), 2);
	assert_int_equal(raw_map(fd, 0x10000, 0x4000, 0, rw, file), EEXIST);
	assert_int_equal(raw_map(fd, 0x13000, 0x2000, 0, rw, file), EEXIST);
	assert_int_equal(raw_map(fd, 0, 0x11000, 0, rw, -1), EEXIST);
	/* Sizes, places, flags. */
	assert_int_equal(raw_map(fd, 0x20000, 0, 0, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1001, 0, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20010, 0x1000, 0, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, 0x10, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x11000, 0, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, 0x10000, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, ~0xfffull, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, ~0xfffull, 0x1000, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, ~0xfffull, 0x1000, 0, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, ~0xfffull, 0x2000, 0, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, 0, 0, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, 0, rw | 4, file), EINVAL);
	map.argsz = 31;
	assert_int_equal(raw_command(fd, VFIOU_DMA_MAP, &map, 32, &file, 1, &reply), EINVAL);
	map.argsz = 32;
	assert_int_equal(raw_command(fd, VFIOU_DMA_MAP, &map, 31, &file, 1, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_DMA_MAP, NULL, 0, &file, 1, &reply), EINVAL);
	/* Files. */
	two[0] = two[1] = file;
	assert_int_equal(raw_command(fd, VFIOU_DMA_MAP, &map, 32, two, 2, &reply), EINVAL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(ro >= 0);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, 0, rw, ro), EACCES);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, 0, VFIOU_DMA_READABLE, ro), 0);
	close(ro);
	dir = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(raw_map(fd, 0x30000, 0x1000, 0, rw, dir), EINVAL);
	close(dir);
	dir = open("/dev/zero", O_RDWR | O_CLOEXEC);
	assert_int_equal(raw_map(fd, 0x30000, 0x1000, 0, rw, dir), EINVAL);
	close(dir);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(raw_map(fd, 0x30000, 0x1000, 0, rw, ends[0]), EINVAL);
	close(ends[0]);
	close(ends[1]);
	/* No file: noted, not reachable. */
	assert_int_equal(raw_map(fd, 0x40000, 0x1000, 0, rw, -1), 0);
	assert_int_equal(raw_map(fd, 0x40000, 0x1000, 0, rw, file), EEXIST);
	assert_int_equal(raw_count_maps(), 3);
	raw_close(&rig, fd);
	close(file);
	assert_int_equal(raw_count_maps(), 0);
	assert_int_equal(raw_count_fds(), fds_before);
}

static void
test_dma_unmap(void **state)
{
	const uint32_t rw = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE;
	struct vfiou_dma_unmap unmap = {.argsz = sizeof(unmap), .size = 4096};
	int file = raw_memory(64 << 10), fd = raw_client(&rig);
	unsigned int i;

	(void)state;
	/* Never mapped: QEMU does that. */
	assert_int_equal(raw_unmap(fd, 0, 1ull << 63, 0), ENOENT);
	assert_int_equal(raw_unmap(fd, 1ull << 63, 1ull << 63, 0), ENOENT);
	assert_int_equal(raw_unmap(fd, 0x1000, 0x1000, 0), ENOENT);
	assert_int_equal(raw_unmap(fd, 0, 0, VFIOU_DMA_UNMAP_ALL), 0);

	for (i = 0; i < 8; i++)
		assert_int_equal(raw_map(fd, 0x10000 + i * 0x2000, 0x1000, i * 0x1000, rw, file),
			0);
	assert_int_equal(raw_count_maps(), 8);
	assert_int_equal(raw_unmap(fd, 0x12000, 0x1000, 0), 0);
	assert_int_equal(raw_unmap(fd, 0x12000, 0x1000, 0), ENOENT);
	assert_int_equal(raw_unmap(fd, 0x10000, 0x800, 0), EINVAL);
	assert_int_equal(raw_unmap(fd, 0xf000, 0x1800, 0), EINVAL);
	assert_int_equal(raw_unmap(fd, 0x10800, 0x2000, 0), EINVAL);
	assert_int_equal(raw_count_maps(), 7);
	/* Several at once. */
	assert_int_equal(raw_unmap(fd, 0xf000, 0x5000 + 0x1000, 0), 0);
	assert_int_equal(raw_count_maps(), 5);
	assert_int_equal(raw_unmap(fd, 0x10000, 0, 0), EINVAL);
	assert_int_equal(raw_unmap(fd, UINT64_MAX, 2, 0), EINVAL);
	assert_int_equal(raw_unmap(fd, 0x10000, 0x1000, 1), EINVAL);
	assert_int_equal(raw_unmap(fd, 0x10000, 0x1000, VFIOU_DMA_UNMAP_ALL), EINVAL);
	assert_int_equal(raw_unmap(fd, 0, 0, 4), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_DMA_UNMAP, &unmap, 23, NULL, 0, &reply), EINVAL);
	unmap.argsz = 23;
	assert_int_equal(raw_command(fd, VFIOU_DMA_UNMAP, &unmap, 24, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_unmap(fd, 0, 0, VFIOU_DMA_UNMAP_ALL), 0);
	assert_int_equal(raw_count_maps(), 0);
	/* And the place can be used again. */
	assert_int_equal(raw_map(fd, 0x10000, 0x1000, 0, rw, file), 0);
	raw_close(&rig, fd);
	close(file);
	assert_int_equal(raw_count_maps(), 0);
}

/* As many as there may be. */
static void
test_dma_map_limit(void **state)
{
	uint64_t address;
	int fd = raw_client(&rig);

	(void)state;
	for (address = 0; address < VFIOU_MAX_MAPS * 0x1000ull; address += 0x1000)
		assert_int_equal(raw_map(fd, address, 0x1000, 0, 1, -1), 0);
	assert_int_equal(raw_map(fd, address, 0x1000, 0, 1, -1), ENOSPC);
	assert_int_equal(raw_unmap(fd, 0, address, 0), 0);
	assert_int_equal(raw_map(fd, address, 0x1000, 0, 1, -1), 0);
	raw_close(&rig, fd);
}

static void
test_region_access_bad(void **state)
{
	struct vfiou_region_access access = {.region = CONFIG, .count = 4};
	uint8_t data[64] = {0};
	int fd = raw_client(&rig);

	(void)state;
	assert_int_equal(raw_read(fd, CONFIG, 4096, data, 1), EINVAL);
	assert_int_equal(raw_read(fd, CONFIG, 4093, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, CONFIG, UINT64_MAX, data, 1), EINVAL);
	assert_int_equal(raw_read(fd, CONFIG, UINT64_MAX - 3, data, 8), EINVAL);
	assert_int_equal(raw_read(fd, CONFIG, 0, data, 0), EINVAL);
	assert_int_equal(raw_read(fd, CONFIG, 0, data, UINT32_MAX), EINVAL);
	assert_int_equal(raw_read(fd, BAR0, 0x4000, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, BAR0, 0x3ffd, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, 1, 0, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, 6, 0, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, 8, 0, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, 9, 0, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, UINT32_MAX, 0, data, 4), EINVAL);
	assert_int_equal(raw_write(fd, CONFIG, 4096, data, 1), EINVAL);
	assert_int_equal(raw_write(fd, CONFIG, 0, data, 0), EINVAL);
	assert_int_equal(raw_write(fd, UINT32_MAX, 0, data, 4), EINVAL);
	assert_int_equal(raw_write(fd, BAR0, 0x3fff, data, 2), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_READ, &access, 15, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_READ, data, 20, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE, &access, 15, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE, &access, 16, NULL, 0, &reply), EINVAL);
	memcpy(data, &access, 16);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE, data, 19, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE, data, 21, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_RESET, data, 1, NULL, 0, &reply), EINVAL);
	raw_close(&rig, fd);
}

static void
test_write_multi(void **state)
{
	struct {
		uint64_t count;
		struct vfiou_single_write write[3];
	} data = {.count = 2, .write = {
		{.offset = PCI_INTERRUPT_LINE, .region = CONFIG, .count = 1, .data = 0x5a},
		{.offset = PCI_COMMAND, .region = CONFIG, .count = 2, .data = 2},
		{.offset = PCI_INTERRUPT_LINE, .region = CONFIG, .count = 1, .data = 0x77}}};
	int fd = raw_client(&rig);

	(void)state;
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, &data, 56, NULL, 0, &reply), 0);
	assert_int_equal(reply.len, 8);
	assert_int_equal(reply.data[0], 2);
	assert_int_equal(raw_get(fd, CONFIG, PCI_INTERRUPT_LINE, 1), 0x5a);
	assert_int_equal(raw_get(fd, CONFIG, PCI_COMMAND, 2), 2);
	/* One that is bad, and none is done. */
	data.count = 3;
	data.write[0].data = 0x66;
	data.write[1].offset = 4096;
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, &data, 80, NULL, 0, &reply),
		EINVAL);
	data.write[1].offset = 0;
	data.write[1].count = 9;
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, &data, 80, NULL, 0, &reply),
		EINVAL);
	data.write[1].count = 2;
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, &data, 79, NULL, 0, &reply),
		EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, &data, 56, NULL, 0, &reply),
		EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, &data, 7, NULL, 0, &reply),
		EINVAL);
	data.count = UINT64_MAX / 24 + 1; /* times 24 it is small */
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, &data, 80, NULL, 0, &reply),
		EINVAL);
	assert_int_equal(raw_get(fd, CONFIG, PCI_INTERRUPT_LINE, 1), 0x5a);
	data.count = 0;
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE_MULTI, &data, 8, NULL, 0, &reply), 0);
	raw_close(&rig, fd);
}

/* Configuration space as a PCI core walks it. */
static void
test_config(void **state)
{
	unsigned int at, seen = 0;
	uint8_t all[4096];
	int fd = raw_client(&rig);

	(void)state;
	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 4), 0x0b008086);
	assert_int_equal(raw_get(fd, CONFIG, PCI_CLASS_REVISION, 4) >> 8, 0x088000);
	assert_int_equal(raw_get(fd, CONFIG, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(raw_get(fd, CONFIG, PCI_INTERRUPT_PIN, 1), 1);
	/* BAR 0: 16 KB, 64 bit. */
	raw_set(fd, CONFIG, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	raw_set(fd, CONFIG, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_int_equal(raw_get(fd, CONFIG, PCI_BASE_ADDRESS_0, 8), 0xffffffffffffc004);
	raw_set(fd, CONFIG, PCI_BASE_ADDRESS_2, 4, UINT32_MAX);
	assert_int_equal(raw_get(fd, CONFIG, PCI_BASE_ADDRESS_2, 4), 0);
	raw_set(fd, CONFIG, PCI_BASE_ADDRESS_0, 8, 0x380fffff8000);
	assert_int_equal(raw_get(fd, CONFIG, PCI_BASE_ADDRESS_0, 8), 0x380fffff8004);
	raw_set(fd, CONFIG, PCI_VENDOR_ID, 4, 0);
	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 4), 0x0b008086);
	raw_set(fd, CONFIG, PCI_COMMAND, 2, 0xffff);
	assert_int_equal(raw_get(fd, CONFIG, PCI_COMMAND, 2), 0x546);

	assert_true(raw_get(fd, CONFIG, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (at = raw_get(fd, CONFIG, PCI_CAPABILITY_LIST, 1); at != 0;
			at = raw_get(fd, CONFIG, at + 1, 1)) {
		uint8_t id = raw_get(fd, CONFIG, at, 1);

		assert_true(at >= 0x40 && at % 4 == 0);
		assert_false(seen & 1u << id);
		seen |= 1u << id;
	}
	assert_int_equal(seen,
		1u << PCI_CAP_ID_MSIX | 1u << PCI_CAP_ID_EXP | 1u << PCI_CAP_ID_PM);
	assert_int_equal(raw_get(fd, CONFIG, 0x80 + PCI_MSIX_FLAGS, 2), 1);
	assert_int_equal(raw_get(fd, CONFIG, 0x80 + PCI_MSIX_TABLE, 4), 0x2000);
	assert_int_equal(raw_get(fd, CONFIG, 0x80 + PCI_MSIX_PBA, 4), 0x3000);
	/* The device's own registers in extended space; the rest of it is empty. */
	raw_set(fd, CONFIG, 0x184, 4, 0x3e07);
	assert_int_equal(raw_get(fd, CONFIG, 0x184, 4), 0x3e07);
	raw_set(fd, CONFIG, 0x185, 1, 0);
	assert_int_equal(raw_get(fd, CONFIG, 0x184, 4), 0x07);
	raw_set(fd, CONFIG, 0x200, 4, UINT32_MAX);
	assert_int_equal(raw_get(fd, CONFIG, 0x200, 4), 0);
	assert_int_equal(raw_read(fd, CONFIG, 0, all, sizeof(all)), 0);
	assert_int_equal(all[0x184], 7);
	assert_int_equal(all[1], 0x80);
	raw_close(&rig, fd);
}

/* Who does not enable memory gets all ones; a reset takes all back. */
static void
test_memory_enable_and_reset(void **state)
{
	int fd = raw_client(&rig), round;

	(void)state;
	for (round = 0; round < 3; round++) {
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CBVER, 1), 0xff);
		raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8, 0x1000);
		raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CBVER, 1), 0x34);
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8), 0);
		raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8, 0x1000);
		/* D3hot and back: no access in between, nothing lost. */
		raw_set(fd, CONFIG, 0xe0 + PCI_PM_CTRL, 2, 3);
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CBVER, 1), 0xff);
		raw_set(fd, CONFIG, 0xe0 + PCI_PM_CTRL, 2, 0);
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8), 0x1000);
		enable_msix(fd);
		if (round == 0)
			assert_int_equal(raw_command(fd, VFIOU_DEVICE_RESET, NULL, 0, NULL, 0,
						 &reply), 0);
		else if (round == 1)
			raw_set(fd, CONFIG, 0x90 + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
		else {
			raw_close(&rig, fd); /* the next one finds it as new */
			fd = raw_client(&rig);
		}
		assert_int_equal(raw_get(fd, CONFIG, PCI_COMMAND, 2), 0);
		assert_int_equal(raw_get(fd, CONFIG, 0x80 + PCI_MSIX_FLAGS, 2), 1);
	}
	raw_close(&rig, fd);
}

/* Registers in accesses of any size and place; the MSI-X table is memory, with no effect. */
static void
test_bar(void **state)
{
	uint8_t all[0x1000];
	uint32_t table[8], i;
	int fd = raw_client(&rig);

	(void)state;
	raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(raw_read(fd, BAR0, 0, all, 0x100), 0);
	assert_int_equal(all[CBDMA_CBVER], 0x34);
	assert_int_equal(all[CBDMA_CHANCNT], 2);
	assert_int_equal(raw_read(fd, BAR0, 3, all, 13), 0);
	assert_int_equal(all[CBDMA_CBVER - 3], 0x34);
	assert_int_equal(raw_read(fd, BAR0, 0x2000, table, sizeof(table)), 0);
	for (i = 0; i < 8; i++)
		assert_int_equal(table[i], i % 4 == 3 ? 1 : 0);
	for (i = 0; i < 8; i++)
		table[i] = i + 100;
	assert_int_equal(raw_write(fd, BAR0, 0x2000, table, sizeof(table)), 0);
	assert_int_equal(raw_get(fd, BAR0, 0x2014, 4), 105);
	/* Across all the borders. */
	assert_int_equal(raw_read(fd, BAR0, 0x1ff4, all, 0x100), 0);
	assert_int_equal(all[12], 100);
	assert_int_equal(all[12 + 31], 0);
	assert_int_equal(all[12 + 32], 0);
	assert_int_equal(raw_read(fd, BAR0, 0x2ffc, all, 16), 0);
	assert_int_equal(raw_write(fd, BAR0, 0x2ffc, all, 16), 0);
	raw_close(&rig, fd);
}

/* A device that really moves data, by memory of the client's, with an interrupt. */
struct work {
	int fd;
	int file;
	uint8_t *mem;
	int event;
};

#define WORK_IOVA 0x100000ull
#define WORK_SIZE 0x10000u
#define CH0	  CBDMA_CHANNEL(0)

static void
work_start(struct work *w)
{
	struct cbdma_desc *desc;

	w->fd = raw_client(&rig);
	w->file = raw_memory(WORK_SIZE);
	w->mem = mmap(NULL, WORK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w->file, 0);
	assert_true(w->mem != MAP_FAILED);
	w->event = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(raw_map(w->fd, WORK_IOVA, WORK_SIZE, 0, 3, w->file), 0);
	raw_set(w->fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	enable_msix(w->fd);
	assert_int_equal(set_irqs(w->fd, DATA_EVENT | TRIGGER, MSIX, 0, 1, &w->event, 1), 0);

	desc = (void *)w->mem;
	desc->size = 0x1000;
	desc->control = CBDMA_DESC_COMPLETION | CBDMA_DESC_INT_EN;
	desc->src = WORK_IOVA + 0x2000;
	desc->dst = WORK_IOVA + 0x3000;
	desc->next = WORK_IOVA;
	memset(w->mem + 0x2000, 0xa5, 0x1000);
	raw_set(w->fd, BAR0, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	raw_set(w->fd, BAR0, CH0 + CBDMA_CHANCMP, 8, WORK_IOVA + 0x1000);
	raw_set(w->fd, BAR0, CH0 + CBDMA_CHAINADDR, 8, WORK_IOVA);
}

static void
work_end(struct work *w)
{
	raw_close(&rig, w->fd);
	assert_int_equal(raw_count_maps(), 1);
	munmap(w->mem, WORK_SIZE);
	close(w->file);
	close(w->event);
}

static void
test_work(void **state)
{
	struct work w;

	(void)state;
	work_start(&w);
	raw_set(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(w.mem[0x3fff], 0xa5);
	assert_int_equal(*(uint64_t *)(w.mem + 0x1000), WORK_IOVA | CBDMA_CHANSTS_IDLE);
	assert_int_equal(events(w.event), 1);
	work_end(&w);
}

/* Without Bus Master Enable nothing moves, and nothing is lost. */
static void
test_bus_master(void **state)
{
	struct work w;

	(void)state;
	work_start(&w);
	raw_set(w.fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	raw_set(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2, 1);
	assert_false(dm_device_pending(rig.dev));
	assert_int_equal(dm_device_run(rig.dev, 10), 0);
	assert_int_equal(raw_get(w.fd, BAR0, CH0 + CBDMA_CHANSTS, 8), CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(w.mem[0x3000], 0);
	raw_set(w.fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(w.mem[0x3000], 0xa5);
	work_end(&w);
}

/* The pin: a level that is told once, and again after it has been unmasked. */
static void
test_pin(void **state)
{
	struct work w;
	int pin = eventfd(0, EFD_NONBLOCK);

	(void)state;
	work_start(&w);
	raw_set(w.fd, CONFIG, 0x80 + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(set_irqs(w.fd, DATA_EVENT | TRIGGER, PIN, 0, 1, &pin, 1), 0);
	assert_int_equal(events(pin), 0);
	raw_set(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(events(pin), 1);
	assert_int_equal(events(w.event), 0);
	assert_true(raw_get(w.fd, CONFIG, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(set_irqs(w.fd, DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, PIN, 0, 1, NULL, 0),
		0);
	assert_int_equal(events(pin), 1);
	/* Reading INTRCTRL takes it back. */
	raw_get(w.fd, BAR0, CBDMA_INTRCTRL, 1);
	assert_false(raw_get(w.fd, CONFIG, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(set_irqs(w.fd, DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, PIN, 0, 1, NULL, 0),
		0);
	assert_int_equal(events(pin), 0);
	close(pin);
	work_end(&w);
}

/* Memory that is unmapped is not written to, not even by the completion word of a late error. */
static void
test_unmapped_is_unmapped(void **state)
{
	struct work w;

	(void)state;
	work_start(&w);
	raw_set(w.fd, BAR0, CH0 + CBDMA_CHANCTRL, 2, CBDMA_CHANCTRL_ERR_COMPLETION_EN);
	raw_set(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	*(uint64_t *)(w.mem + 0x1000) = 0x77;
	assert_int_equal(raw_unmap(w.fd, WORK_IOVA, WORK_SIZE, 0), 0);
	raw_set(w.fd, BAR0, CH0 + CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(raw_get(w.fd, BAR0, CH0 + CBDMA_CHANERR, 4),
		CBDMA_CHANERR_CCMDERR | CBDMA_CHANERR_CMPADDERR);
	assert_int_equal(raw_get(w.fd, CONFIG, CBDMA_PCI_CHANERR_INT, 4), CBDMA_CHANERR_CCMDERR);
	raw_set(w.fd, CONFIG, CBDMA_PCI_CHANERR_INT, 4, CBDMA_CHANERR_CCMDERR);
	assert_int_equal(raw_get(w.fd, CONFIG, CBDMA_PCI_CHANERR_INT, 4), 0);
	assert_int_equal(*(uint64_t *)(w.mem + 0x1000), 0x77);
	work_end(&w);
}

/* The doorbell BAR: mapped by the client, run by an engine. */
static void
test_doorbell_bar(void **state)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = 2};
	struct work w;
	uint16_t *doorbell;
	unsigned int i;

	(void)state;
	work_start(&w);
	assert_int_equal(raw_command(w.fd, VFIOU_DEVICE_GET_REGION_INFO, &info, 32, NULL, 0,
				 &reply), 0);
	memcpy(&info, reply.data, sizeof(info));
	assert_int_equal(info.size, DM_CBDMA_DOORBELL_SIZE);
	assert_int_equal(info.flags, 7);
	assert_true(reply.fd >= 0);
	assert_int_not_equal(ftruncate(reply.fd, 0), 0); /* sealed */
	doorbell = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, reply.fd, info.offset);
	assert_true(doorbell != MAP_FAILED);
	close(reply.fd);
	__atomic_store_n(doorbell, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 5000 && events(w.event) == 0; i++)
		usleep(1000);
	assert_int_equal(w.mem[0x3fff], 0xa5);
	assert_int_equal(raw_get(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2), 1);
	/* By message, too. */
	assert_int_equal(raw_get(w.fd, 2, 0, 4), 1);
	raw_set(w.fd, 2, 0, 2, 2);
	assert_int_equal(*doorbell, 2);
	munmap(doorbell, info.size);
	work_end(&w);
}

/* A client that makes its file shorter while the device works on it. */
static void
test_memory_taken_away(void **state)
{
	struct work w;
	unsigned int i;

	(void)state;
	vfiou_dma_guard();
	work_start(&w);
	assert_int_equal(ftruncate(w.file, 0x2000), 0);
	raw_set(w.fd, 2, 0, 2, 1);
	for (i = 0; i < 5000 && events(w.event) == 0; i++)
		usleep(1000);
	assert_true(i < 5000);
	raw_get(w.fd, CONFIG, 0, 4);
	raw_get(w.fd, CONFIG, 0, 4);
	assert_true(raw_logged(&rig, "was gone when the device came for it"));
	raw_close(&rig, w.fd);
	munmap(w.mem, WORK_SIZE);
	close(w.file);
	close(w.event);
	signal(SIGBUS, SIG_DFL);
	assert_alive();
}

/* Clients under load that leave without a word, over and over: nothing is left behind. */
static void
test_no_leaks(void **state)
{
	const unsigned int fds_before = raw_count_fds();
	struct work w;
	unsigned int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		work_start(&w);
		raw_set(w.fd, 2, 0, 2, 0xffff); /* goes round in circles: lots of work */
		usleep(i * 100);
		work_end(&w);
	}
	assert_int_equal(raw_count_fds(), fds_before);
	assert_int_equal(raw_count_maps(), 0);
}

/* A client that never reads what it is told. */
static void
test_replies_unread(void **state)
{
	const struct vfiou_region_access access = {.region = CONFIG, .count = 4096};
	int fd = raw_client(&rig);
	unsigned int i, before = raw_left(&rig);

	(void)state;
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (i = 0; i < 2000; i++)
		raw_send(fd, VFIOU_REGION_READ, &access, sizeof(access), NULL, 0);
	for (i = 0; i < 15000 && raw_left(&rig) == before; i++)
		usleep(1000);
	assert_true(raw_logged(&rig, "does not read its replies"));
	close(fd);
	assert_alive();
}

static void
test_socket_file(void **state)
{
	struct vfiou_server_config config = {.path = rig.path, .dev = rig.dev};
	struct vfiou_server *server;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[64], long_path[200];
	int fd;

	(void)state;
	/* In use. */
	assert_int_equal(vfiou_server_create(&config, &server), -EADDRINUSE);
	assert_alive();
	/* Left behind: replaced. */
	snprintf(path, sizeof(path), "/tmp/vfiou-test.%d.stale", getpid());
	config.path = path;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(vfiou_server_create(&config, &server), 0);
	/* Taken over meanwhile: not removed. */
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	vfiou_server_destroy(server);
	assert_int_equal(access(path, F_OK), 0);
	/* No socket at all: not touched. */
	assert_int_equal(vfiou_server_create(&config, &server), -EADDRINUSE);
	assert_int_equal(unlink(path), 0);
	memset(long_path, 'x', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	config.path = long_path;
	assert_int_equal(vfiou_server_create(&config, &server), -EINVAL);
	config.path = "";
	assert_int_equal(vfiou_server_create(&config, &server), -EINVAL);
	config.path = "/nonexistent/x.sock";
	assert_int_equal(vfiou_server_create(&config, &server), -ENOENT);
}

int
main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define WITH_DOORBELL(f) cmocka_unit_test_setup_teardown(f, setup_doorbell, teardown)
	const struct CMUnitTest tests[] = {
		WITH(test_version),
		WITH(test_version_bad),
		WITH(test_header_bad),
		WITH(test_no_reply),
		WITH(test_fragments),
		WITH(test_killed_mid_message),
		WITH(test_one_client),
		WITH(test_device_info),
		WITH(test_region_info),
		WITH(test_irq_info),
		WITH(test_set_irqs),
		WITH(test_set_irqs_bad),
		WITH(test_dma_map),
		WITH(test_dma_unmap),
		WITH(test_dma_map_limit),
		WITH(test_region_access_bad),
		WITH(test_write_multi),
		WITH(test_config),
		WITH(test_memory_enable_and_reset),
		WITH(test_bar),
		WITH(test_work),
		WITH(test_bus_master),
		WITH(test_pin),
		WITH(test_unmapped_is_unmapped),
		WITH_DOORBELL(test_doorbell_bar),
		WITH_DOORBELL(test_memory_taken_away),
		WITH_DOORBELL(test_no_leaks),
		WITH(test_replies_unread),
		WITH(test_socket_file),
	};

	return cmocka_run_group_tests_name("vfiou_server", tests, NULL, NULL);
}
