/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Each message of the protocol, good and bad in every field, and clients that misbehave. */

#include <fcntl.h>

#include "server_fixture.h"

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
		"{\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}",
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
	/* Another major version; too short; something else first. */
	fd = raw_connect(&rig);
	assert_int_equal(raw_version(fd, 1, 0, NULL, &reply), EINVAL);
	assert_hung_up(fd);
	fd = raw_connect(&rig);
	assert_int_equal(raw_command(fd, VFIOU_VERSION, "\0\0\0", 3, NULL, 0, &reply), EINVAL);
	assert_hung_up(fd);
	fd = raw_connect(&rig);
	assert_int_equal(raw_command(fd, VFIOU_DEVICE_RESET, NULL, 0, NULL, 0, &reply), EINVAL);
	assert_hung_up(fd);
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
	assert_int_equal(set_irqs(fd, DATA_EVENT | UNMASK, MSIX, 0, 1, &ev, 1), ENOTSUP);
	assert_int_equal(set_irqs(fd, DATA_EVENT | UNMASK, PIN, 0, 1, &file, 1), EINVAL);
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
	assert_int_equal(raw_map(fd, 0x20010, 0x1000, 0, rw, file), EINVAL); /* by its IOVA */
	assert_int_equal(raw_map(fd, 0x20000, 0x11000, 0, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, 0x10000, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, ~0xfffull, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, ~0xfffull, 0x1000, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, ~0xfffull, 0x2000, 0, rw, file), EINVAL);
	assert_int_equal(raw_map(fd, 0x20000, 0x1000, 0, rw | 16, file), EINVAL);
	map.argsz = 31;
	assert_int_equal(raw_command(fd, VFIOU_DMA_MAP, &map, 32, &file, 1, &reply), EINVAL);
	map.argsz = 32;
	assert_int_equal(raw_command(fd, VFIOU_DMA_MAP, &map, 31, &file, 1, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_DMA_MAP, NULL, 0, &file, 1, &reply), EINVAL);
	/* Files. */
	two[0] = two[1] = file; /* one is enough */
	assert_int_equal(raw_command(fd, VFIOU_DMA_MAP, &map, 32, two, 2, &reply), 0);
	assert_int_equal(raw_unmap(fd, 0, 4096, 0), 0);
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

/* Files of file systems that could keep us waiting, and sockets, which could at their end. */
static void
test_dma_map_files(void **state)
{
	int fd = raw_client(&rig), file, ends[2];

	(void)state;
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* a disk's, or an overlay's */
	assert_int_equal(raw_map(fd, 0, 0x1000, 0, VFIOU_DMA_READABLE, file), EINVAL);
	close(file);
	file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	assert_int_equal(raw_map(fd, 0, 0x1000, 0, VFIOU_DMA_READABLE, file), EINVAL);
	close(file);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(raw_map(fd, 0, 0x1000, 0, VFIOU_DMA_READABLE, ends[0]), EINVAL);
	close(ends[0]);
	close(ends[1]);
	raw_close(&rig, fd);
}

/* Pieces of huge pages: each piece is mapped, and unmapped again. */
static void
test_dma_map_huge(void **state)
{
	const uint32_t rw = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE;
	int fd = raw_client(&rig), file = memfd_create(RAW_MEMORY_NAME, MFD_CLOEXEC | MFD_HUGETLB);
	unsigned int i;

	(void)state;
	if (file < 0 || ftruncate(file, 4u << 20) != 0) {
		print_message("no huge pages here\n");
		raw_close(&rig, fd);
		skip();
	}
	for (i = 0; i < 100; i++) {
		assert_int_equal(raw_map(fd, 0x1000, 0x1000, 0x3000, rw, file), 0);
		assert_int_equal(raw_map(fd, 0x100000, 0x4000, 0x1fe000, rw, file), 0);
		assert_int_equal(raw_count_maps(), 2);
		assert_int_equal(raw_unmap(fd, 0x1000, 0x1000, 0), 0);
		assert_int_equal(raw_unmap(fd, 0x100000, 0x4000, 0), 0);
		assert_int_equal(raw_count_maps(), 0);
	}
	raw_close(&rig, fd);
	close(file);
}

/* No more than the budget, in bytes. */
static void
test_dma_map_budget(void **state)
{
	const uint32_t rw = VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE;
	int fd, file = raw_memory(64 << 10), sparse = raw_memory(1ull << 40);

	(void)state;
	rig.config.max_memory = 0x8000;
	fd = raw_client(&rig);
	assert_int_equal(raw_map(fd, 0x1000000000, 1ull << 40, 0, rw, sparse), ENOSPC);
	assert_int_equal(raw_map(fd, 0, 0x6000, 0, rw, file), 0);
	assert_int_equal(raw_map(fd, 0x10000, 0x3000, 0, rw, file), ENOSPC);
	assert_int_equal(raw_map(fd, 0x10000, 0x2000, 0, rw, file), 0);
	assert_int_equal(raw_map(fd, 0x20000, 0x8000, 0, rw, -1), 0); /* takes none */
	assert_int_equal(raw_unmap(fd, 0, 0x6000, 0), 0);
	assert_int_equal(raw_map(fd, 0, 0x6000, 0, rw, file), 0);
	raw_close(&rig, fd);
	close(file);
	close(sparse);
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
	assert_int_equal(raw_read(fd, CONFIG, 0, data, UINT32_MAX), EINVAL);
	assert_int_equal(raw_read(fd, BAR0, 0x4000, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, BAR0, 0x3ffd, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, 1, 0, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, 6, 0, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, 8, 0, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, 9, 0, data, 4), EINVAL);
	assert_int_equal(raw_read(fd, UINT32_MAX, 0, data, 4), EINVAL);
	assert_int_equal(raw_write(fd, CONFIG, 4096, data, 1), EINVAL);
	assert_int_equal(raw_write(fd, UINT32_MAX, 0, data, 4), EINVAL);
	assert_int_equal(raw_write(fd, BAR0, 0x3fff, data, 2), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_READ, &access, 15, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE, &access, 15, NULL, 0, &reply), EINVAL);
	access.count = 4;
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE, &access, 16, NULL, 0, &reply), EINVAL);
	memcpy(data, &access, 16);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE, data, 19, NULL, 0, &reply), EINVAL);
	assert_int_equal(raw_command(fd, VFIOU_REGION_WRITE, data, 21, NULL, 0, &reply), EINVAL);
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

/* A client that connects and says nothing, or not all of it: it does not keep others out. */
static void
test_no_greeting(void **state)
{
	static const char part[] = "\1\0\1\0\60";
	unsigned int before = raw_left(&rig), i;
	int fd[2];

	(void)state;
	fd[0] = raw_connect(&rig);
	fd[1] = raw_connect(&rig);
	raw_send_bytes(fd[1], part, sizeof(part), NULL, 0);
	for (i = 0; i < 10000 && raw_left(&rig) < before + 2; i++)
		usleep(1000);
	assert_int_equal(raw_left(&rig), before + 2);
	assert_true(raw_logged(&rig, "does not agree on a version"));
	close(fd[0]);
	close(fd[1]);
	assert_alive();
}

int
main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH(test_version),
		WITH(test_version_bad),
		WITH(test_no_reply),
		WITH(test_fragments),
		WITH(test_killed_mid_message),
		WITH(test_device_info),
		WITH(test_region_info),
		WITH(test_irq_info),
		WITH(test_set_irqs),
		WITH(test_set_irqs_bad),
		WITH(test_dma_map),
		WITH(test_dma_unmap),
		WITH(test_dma_map_limit),
		WITH(test_dma_map_files),
		WITH(test_dma_map_huge),
		WITH(test_dma_map_budget),
		WITH(test_region_access_bad),
		WITH(test_write_multi),
		WITH(test_replies_unread),
		WITH(test_no_greeting),
	};

	return cmocka_run_group_tests_name("vfiou_server", tests, NULL, NULL);
}
