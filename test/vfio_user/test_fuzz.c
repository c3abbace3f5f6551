/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Random and mutated messages: the server answers or hangs up, and is as before when the client has
 * left. Prints its seed; "test_fuzz SEED [CLIENTS]" replays.
 */

#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "raw_client.h"

#define MAX_LEN 256

static uint64_t random_state;

static uint64_t
random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 2685821657736338717ull;
}

static uint32_t
below(uint32_t n)
{
	return (random_word() >> 32) % n;
}

/* A number of the kind that is often wrong. */
static uint64_t
odd_number(void)
{
	static const uint64_t special[] = {0, 1, 2, 4, 7, 8, 15, 16, 20, 24, 32, 0x80, 0xfff,
		0x1000, 0x3fff, 0x4000, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
		0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffff000, 0xffffffffffffffff};

	switch (below(4)) {
	case 0:
		return special[below(sizeof(special) / sizeof(special[0]))];
	case 1:
		return below(0x20) * 0x1000ull;
	case 2:
		return below(0x100);
	default:
		return random_word() >> below(64);
	}
}

static int files[6];

static void
open_files(void)
{
	files[0] = raw_memory(64 << 10);
	files[1] = raw_memory(0);
	files[2] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	files[3] = eventfd(0, EFD_CLOEXEC); /* blocks */
	files[4] = open("/dev/null", O_RDWR | O_CLOEXEC);
	files[5] = open("/", O_RDONLY | O_CLOEXEC);
}

static size_t
make_access(uint8_t *data, bool is_write)
{
	struct vfiou_region_access access = {
		.offset = below(3) == 0 ? odd_number() : below(0x200),
		.region = below(8) == 0 ? odd_number() : below(2) * 7,
		.count = below(8) == 0 ? odd_number() : 1u << below(4)};
	size_t i, len = sizeof(access);

	memcpy(data, &access, sizeof(access));
	if (is_write)
		for (i = 0; i < access.count && len < MAX_LEN; i++)
			data[len++] = random_word();
	return len;
}

/* A payload that is nearly right. */
static size_t
make_payload(unsigned int command, uint8_t *data)
{
	struct vfiou_dma_map map = {.argsz = 32, .flags = 1 + below(3), .offset = below(4) * 0x1000,
		.address = below(16) * 0x1000, .size = (1 + below(8)) * 0x1000};
	struct vfiou_dma_unmap unmap = {.argsz = 24, .flags = below(4) == 0 ? 2 : 0,
		.address = below(16) * 0x1000, .size = (1 + below(16)) * 0x1000};
	struct vfio_irq_set set = {.argsz = 20, .flags = 1u << below(3) | 8u << below(3),
		.index = below(5), .start = below(4), .count = below(4)};
	struct vfio_region_info info = {.argsz = 32, .index = below(10)};
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8}}";

	switch (command) {
	case VFIOU_VERSION:
		memcpy(data, version, sizeof(version));
		return sizeof(version);
	case VFIOU_DMA_MAP:
		memcpy(data, &map, sizeof(map));
		return sizeof(map);
	case VFIOU_DMA_UNMAP:
		if (unmap.flags != 0)
			unmap.address = unmap.size = 0;
		memcpy(data, &unmap, sizeof(unmap));
		return sizeof(unmap);
	case VFIOU_DEVICE_GET_REGION_INFO:
		memcpy(data, &info, sizeof(info));
		return sizeof(info);
	case VFIOU_DEVICE_SET_IRQS:
		memcpy(data, &set, sizeof(set));
		memset(data + sizeof(set), 1, 4);
		return sizeof(set) + (set.flags & VFIO_IRQ_SET_DATA_BOOL ? set.count : 0);
	case VFIOU_REGION_READ:
		return make_access(data, false);
	case VFIOU_REGION_WRITE:
		return make_access(data, true);
	case VFIOU_DEVICE_RESET:
		return 0;
	case VFIOU_REGION_WRITE_MULTI:
		memset(data, 0, 8);
		data[0] = 2;
		make_access(data + 8, true);
		make_access(data + 32, true);
		return 56;
	default:
		memset(data, 0, 16);
		data[0] = 16;
		data[8] = below(5);
		return 16;
	}
}

/* Spoil some of it. */
static size_t
mutate(uint8_t *data, size_t len)
{
	unsigned int n;

	if (below(3) != 0)
		return len;
	for (n = 1 + below(3); n > 0 && len > 0; n--) {
		uint64_t value = odd_number();
		size_t at = below(len), width = 1u << below(4);

		if (below(2) == 0)
			at &= ~(width - 1);
		memcpy(data + at, &value, width < len - at ? width : len - at);
	}
	if (below(4) == 0)
		len = below(MAX_LEN);
	return len;
}

static void
send_message(int fd)
{
	uint8_t data[MAX_LEN + 64] = {0};
	unsigned int command = below(10) == 0 ? odd_number() : 1 + below(16), i, num_fds = 0;
	size_t len = mutate(data, make_payload(command, data));
	struct vfiou_header header = {.id = random_word(), .command = command,
		.size = sizeof(header) + len};
	int fds[16];

	if (below(40) == 0)
		header.size = odd_number();
	if (below(8) == 0)
		header.flags = VFIOU_NO_REPLY;
	if (below(100) == 0)
		header.flags = odd_number();
	if (command == VFIOU_DMA_MAP || command == VFIOU_DEVICE_SET_IRQS || below(20) == 0)
		num_fds = below(10) == 0 ? below(16) : below(3);
	for (i = 0; i < num_fds; i++)
		fds[i] = command == VFIOU_DMA_MAP && below(4) != 0 ? files[0] : files[below(6)];
	raw_send_header(fd, header, data, len, fds, num_fds);
}

/* Take what the server says, and drop it. @return whether it is still there. */
static bool
drop_replies(int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control;
	uint8_t data[4096];
	ssize_t n;

	do {
		struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			.msg_controllen = sizeof(control)};

		n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n > 0 && mh.msg_controllen > 0) {
			int got;

			memcpy(&got, CMSG_DATA(&control.align), sizeof(got));
			close(got);
		}
	} while (n > 0);
	return n < 0 && errno == EAGAIN;
}

static void
run_client(struct raw_rig *rig)
{
	unsigned int messages = below(60), before = raw_left(rig), i;
	struct raw_reply reply;
	int fd = raw_connect(rig);
	bool there = true;

	if (below(10) != 0)
		raw_version(fd, 0, 1, "{\"capabilities\":{\"write_multiple\":true}}", &reply);
	if (below(2) == 0 && raw_left(rig) == before) /* let it work, at times */
		raw_write(fd, VFIO_PCI_CONFIG_REGION_INDEX, 4, "\6\0", 2);
	for (i = 0; i < messages && there; i++) {
		send_message(fd);
		there = drop_replies(fd);
	}
	/* In the middle of something, at times. */
	if (below(3) == 0)
		raw_send_bytes(fd, "\1\0\2\0\60\0\0\0\0\0\0\0\0\0\0\0\1\2\3", 1 + below(19), files,
			below(3));
	close(fd);
	for (i = 0; i < 20000 && raw_left(rig) == before; i++)
		usleep(1000);
	assert_int_not_equal(raw_left(rig), before);
	pthread_mutex_lock(&rig->log_lock);
	rig->log[0] = '\0';
	pthread_mutex_unlock(&rig->log_lock);
}

int
main(int argc, char **argv)
{
	const struct dm_cbdma_config config = {.channels = 2, .doorbell_bar = true};
	const unsigned long clients = argc > 2 ? strtoul(argv[2], NULL, 0) : 4000;
	unsigned int fds_before, i;
	static struct raw_rig rig;
	int fd;

	random_state = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) * 2 + 1;
	printf("seed %llu, %lu clients\n", (unsigned long long)random_state, clients);
	fflush(stdout);
	dm_guard_enable();
	raw_start(&rig, &config, true);
	open_files();
	fds_before = raw_count_fds();
	for (i = 0; i < clients; i++)
		run_client(&rig);
	if (raw_count_fds() != fds_before || raw_count_maps() != 0) {
		printf("left behind: %d files, %u mappings\n", (int)(raw_count_fds() - fds_before),
			raw_count_maps());
		return 1;
	}
	/* A client that behaves finds all as it should be. */
	fd = raw_client(&rig);
	if (raw_get(fd, VFIO_PCI_CONFIG_REGION_INDEX, 0, 2) != 0x8086 ||
			raw_get(fd, VFIO_PCI_CONFIG_REGION_INDEX, 4, 2) != 0) {
		printf("the function is not as new\n");
		return 1;
	}
	raw_close(&rig, fd);
	raw_stop(&rig);
	dm_guard_disable();
	for (i = 0; i < 6; i++)
		close(files[i]);
	return 0;
}
