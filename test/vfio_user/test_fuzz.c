/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Random and mutated messages, in both directions, of two clients to two functions: the servers
 * answer or hang up, and are as before when the client has left. Prints its seed; "test_fuzz SEED
 * SECONDS" has both clients do the same again, or for longer.
 */

#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "raw_client.h"

#define MAX_LEN 256

#define CH0    CBDMA_CHANNEL(0)
#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX

/* What each client has: a file, and behind it as much without one. */
#define MEMORY (64u << 10)

static __thread uint64_t random_state;

static uint64_t
random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 2685821657736338717ull;
}

static void
give_up(const char *why)
{
	printf("%s\n", why);
	fflush(stdout);
	abort();
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

static __thread int files[6];

static void
open_files(void)
{
	files[0] = raw_memory(MEMORY);
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
		.address = below(32) * 0x1000, .size = (1 + below(8)) * 0x1000};
	struct vfiou_dma_unmap unmap = {.argsz = 24, .flags = below(4) == 0 ? 2 : 0,
		.address = below(32) * 0x1000, .size = (1 + below(16)) * 0x1000};
	struct vfio_irq_set set = {.argsz = 20, .flags = 1u << below(3) | 8u << below(3),
		.index = below(5), .start = below(4), .count = below(4)};
	struct vfio_region_info info = {.argsz = 32, .index = below(10)};
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8,"
				      "\"twin_socket\":{\"supported\":true}}}";
	struct vfiou_dma_access access = {.address = below(32) * 0x1000, .count = 64};

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
	case VFIOU_DMA_READ: /* wrong from a client, and so is an answer to nothing */
	case VFIOU_DMA_WRITE:
		memcpy(data, &access, sizeof(access));
		return sizeof(access) + (command == VFIOU_DMA_READ ? 64 : 0);
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
	unsigned int command = below(10) == 0 ? odd_number() : 1 + below(18), i, num_fds = 0;
	size_t len = mutate(data, make_payload(command, data));
	struct vfiou_header header = {.id = below(64), .command = command,
		.size = sizeof(header) + len};
	int fds[16];

	if (below(40) == 0)
		header.size = odd_number();
	if (below(8) == 0)
		header.flags = VFIOU_NO_REPLY;
	if (below(100) == 0 || command == VFIOU_DMA_READ || command == VFIOU_DMA_WRITE)
		header.flags = below(2) == 0 ? odd_number() : VFIOU_TYPE_REPLY;
	if (command == VFIOU_DMA_MAP || command == VFIOU_DEVICE_SET_IRQS || below(20) == 0)
		num_fds = below(10) == 0 ? below(16) : below(3);
	for (i = 0; i < num_fds; i++)
		fds[i] = command == VFIOU_DMA_MAP && below(4) != 0 ? files[0] : files[below(6)];
	raw_send_header(fd, header, data, len, fds, num_fds);
}

/* What comes from a server on a socket. */
struct stream {
	int fd; /**< -1: there is none */
	size_t len;
	uint8_t data[256u << 10];
};

static __thread struct stream from_server, from_twin;

/* Answer what the server asks: mostly as it should be. */
static void
answer(int fd, const struct vfiou_header *asked, const uint8_t *payload)
{
	static __thread uint8_t data[sizeof(struct vfiou_dma_access) + (128u << 10)];
	struct vfiou_header header = {
		.id = asked->id, .command = asked->command, .flags = VFIOU_TYPE_REPLY};
	struct vfiou_dma_access access;
	size_t len = sizeof(access);

	memcpy(&access, payload, sizeof(access));
	if (access.count > sizeof(data) - sizeof(access))
		give_up("it asks for more than it may");
	if (asked->command == VFIOU_DMA_READ)
		len += access.count;
	memcpy(data, &access, sizeof(access));
	if (below(10) == 0)
		return;
	if (below(5) == 0)
		len = below(2) == 0 ? below(len + 1) : mutate(data, len < MAX_LEN ? len : MAX_LEN);
	if (below(20) == 0)
		header.id = below(64);
	if (below(20) == 0)
		header.flags = odd_number();
	if (below(20) == 0)
		header.command = 1 + below(18);
	header.size = below(50) == 0 ? odd_number() : sizeof(header) + len;
	raw_send_header(fd, header, data, len, files, below(20) == 0 ? below(6) : 0);
}

/* Take what the server says: answer what it asks, drop the rest. @return whether it is there. */
static bool
hear(struct stream *from)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct vfiou_header header;
	ssize_t n;

	do {
		struct iovec iov = {.iov_base = from->data + from->len,
			.iov_len = sizeof(from->data) - from->len};
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			.msg_controllen = sizeof(control)};

		n = recvmsg(from->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n > 0 && mh.msg_controllen > 0) {
			int got;

			memcpy(&got, CMSG_DATA(&control.align), sizeof(got));
			close(got);
		}
		from->len += n > 0 ? n : 0;
		while (from->len >= sizeof(header)) {
			memcpy(&header, from->data, sizeof(header));
			if (header.size < sizeof(header) || header.size > sizeof(from->data))
				give_up("what it sends is no message");
			if (from->len < header.size)
				break;
			if (header.flags == VFIOU_TYPE_COMMAND)
				answer(from->fd, &header, from->data + sizeof(header));
			from->len -= header.size;
			memmove(from->data, from->data + header.size, from->len);
		}
	} while (n > 0);
	return n < 0 && errno == EAGAIN;
}

static void
send_write(int fd, unsigned int region, uint64_t offset, unsigned int width, uint64_t value)
{
	const struct vfiou_region_access access = {
		.offset = offset, .region = region, .count = width};
	uint8_t data[sizeof(access) + 8];

	memcpy(data, &access, sizeof(access));
	memcpy(data + sizeof(access), &value, 8);
	raw_send(fd, VFIOU_REGION_WRITE, data, sizeof(access) + width, NULL, 0);
}

/* Give it work: descriptors, and what they are about, in memory with a file or without. */
static void
start_work(int fd)
{
	uint64_t addresses = 2 * MEMORY;
	struct vfiou_dma_map map = {.argsz = sizeof(map), .flags = 3, .size = MEMORY};
	struct cbdma_desc desc;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		desc = (struct cbdma_desc){
			.size = below(4) == 0 ? odd_number() : 1 + below(20000),
			.control = below(8) == 0 ? odd_number() : CBDMA_DESC_COMPLETION |
				below(2) * CBDMA_DESC_INT_EN | below(4) * CBDMA_DESC_FENCE / 3,
			.src = below(addresses), .dst = below(addresses),
			.next = below(8) == 0 ? odd_number() : (i + 1) % 16 * 64};
		if (pwrite(files[0], &desc, sizeof(desc), i * 64) < 0)
			give_up("no room for descriptors");
	}
	raw_send(fd, VFIOU_DMA_MAP, &map, sizeof(map), files, 1);
	map.address = MEMORY;
	raw_send(fd, VFIOU_DMA_MAP, &map, sizeof(map), NULL, 0);
	send_write(fd, CONFIG, 4, 2, 6);
	send_write(fd, 0, CH0 + CBDMA_CHANCTRL, 2, below(0x10000));
	send_write(fd, 0, CH0 + CBDMA_CHANCMP, 8, below(2) * MEMORY + 0x8000);
	send_write(fd, 0, CH0 + CBDMA_CHAINADDR, 8, below(8) == 0 ? odd_number() : 0);
	send_write(fd, 2, 0, 2, 1 + below(40));
}

static void
run_client(struct raw_rig *rig)
{
	static const char *const greetings[] = {
		"{\"capabilities\":{\"write_multiple\":true}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}",
		"{\"capabilities\":{\"max_data_xfer_size\":1000}}"};
	unsigned int messages = below(60), before = raw_left(rig), i;
	struct raw_reply reply = {.fd = -1};
	int fd = raw_connect(rig);
	bool there = true;

	if (below(10) != 0)
		raw_version(fd, 0, 1, greetings[below(3)], &reply);
	from_server.fd = fd;
	from_twin.fd = reply.fd;
	from_server.len = from_twin.len = 0;
	for (i = 0; i < messages && there; i++) {
		if (below(30) == 0 || (i == 0 && below(2) == 0))
			start_work(fd);
		send_message(fd);
		if (from_twin.fd >= 0 && below(100) == 0)
			send_message(from_twin.fd);
		there = hear(&from_server) && (from_twin.fd < 0 || hear(&from_twin));
	}
	/* In the middle of something, at times. */
	if (below(3) == 0)
		raw_send_bytes(fd, "\1\0\2\0\60\0\0\0\0\0\0\0\0\0\0\0\1\2\3", 1 + below(19), files,
			below(3));
	close(fd);
	if (from_twin.fd >= 0)
		close(from_twin.fd);
	for (i = 0; i < 60000 && raw_left(rig) == before; i++)
		usleep(1000);
	if (raw_left(rig) == before)
		give_up("a client that has left is served still");
	pthread_mutex_lock(&rig->log_lock);
	rig->log[0] = '\0';
	pthread_mutex_unlock(&rig->log_lock);
}

/* A function and its client. */
struct party {
	struct raw_rig rig;
	pthread_t thread;
	uint64_t seed, end_ms;
	unsigned long clients;
	bool ok;
};

/* A client that behaves finds all as it should be. */
static bool
is_as_new(struct raw_rig *rig)
{
	int fd = raw_client(rig);
	bool ok = raw_get(fd, CONFIG, 0, 2) == 0x8086 && raw_get(fd, CONFIG, 4, 2) == 0;

	raw_close(rig, fd);
	return ok;
}

static void *
run_party(void *opaque)
{
	struct party *party = opaque;
	unsigned int i;

	random_state = party->seed;
	open_files();
	do {
		run_client(&party->rig);
		party->clients++;
	} while (vfiou_now_ms() < party->end_ms);
	party->ok = is_as_new(&party->rig);
	for (i = 0; i < 6; i++)
		close(files[i]);
	return NULL;
}

int
main(int argc, char **argv)
{
	const struct dm_cbdma_config config = {.channels = 2, .doorbell_bar = true};
	const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) * 2 + 1;
	const unsigned long seconds = argc > 2 ? strtoul(argv[2], NULL, 0) : 10;
	static struct party party[2];
	unsigned int fds_before, i;
	int left;

	printf("seed %llu, %lu seconds\n", (unsigned long long)seed, seconds);
	fflush(stdout);
	dm_guard_enable();
	for (i = 0; i < 2; i++)
		raw_start(&party[i].rig, &config, true);
	fds_before = raw_count_fds();
	for (i = 0; i < 2; i++) {
		party[i].seed = seed + 2 * i;
		party[i].end_ms = vfiou_now_ms() + seconds * 1000;
		if (pthread_create(&party[i].thread, NULL, run_party, &party[i]) != 0)
			return 1;
	}
	for (i = 0; i < 2; i++)
		pthread_join(party[i].thread, NULL);
	printf("%lu and %lu clients\n", party[0].clients, party[1].clients);
	left = raw_count_fds() - fds_before;
	if (left != 0 || raw_count_maps() != 0) {
		printf("left behind: %d files, %u mappings\n", left, raw_count_maps());
		return 1;
	}
	if (!party[0].ok || !party[1].ok) {
		printf("a function is not as new\n");
		return 1;
	}
	for (i = 0; i < 2; i++)
		raw_stop(&party[i].rig);
	dm_guard_disable();
	return 0;
}
