/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Memory that the client gave no file for: DMA_READ and DMA_WRITE, on its socket and on a twin. */

#include <sys/ioctl.h>

#include "answerer.h"
#include "server_fixture.h"

#define CH0	CBDMA_CHANNEL(0)
#define CH1	CBDMA_CHANNEL(1)
#define REMOTE	0x100000000ull /* memory without a file */
#define LOCAL	(REMOTE + ANSWERER_MEMORY) /* with one, right behind it */
#define RW	(VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE)

/* In either memory. */
#define DESC   0x1000
#define WORD   0x2000
#define SOURCE 0x10000
#define TARGET 0x80000

static struct answerer a;
static uint8_t *local; /* memory with a file */
static int file;

static int
setup_remote(void **state)
{
	const struct dm_cbdma_config config = {.channels = 2};

	(void)state;
	raw_start(&rig, &config, true);
	memset(&a, 0, sizeof(a));
	a.address = REMOTE;
	a.memory = calloc(1, ANSWERER_MEMORY);
	file = raw_memory(ANSWERER_MEMORY);
	local = mmap(NULL, ANSWERER_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	return a.memory == NULL || local == MAP_FAILED ? -1 : 0;
}

static int
teardown_remote(void **state)
{
	munmap(local, ANSWERER_MEMORY);
	close(file);
	free(a.memory);
	return teardown(state);
}

static uint8_t *
at(uint64_t address)
{
	return address < LOCAL ? a.memory + (address - REMOTE) : local + (address - LOCAL);
}

/* A client with both memories, and a function that may work. */
static void
start_client(const char *json)
{
	a.fd = a.asked_fd = raw_connect(&rig);
	a.answer = ANSWER_RIGHT;
	a.reads = a.writes = a.longest = 0;
	assert_int_equal(raw_version(a.fd, 0, 1, json, &reply), 0);
	if (reply.fd >= 0)
		a.asked_fd = reply.fd;
	assert_int_equal(raw_map(a.fd, REMOTE, ANSWERER_MEMORY, 0, RW, -1), 0);
	assert_int_equal(raw_map(a.fd, LOCAL, ANSWERER_MEMORY, 0, RW, file), 0);
	raw_set(a.fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void
end_client(void)
{
	raw_close(&rig, a.fd);
	if (a.asked_fd != a.fd)
		close(a.asked_fd);
}

/* Ring a channel for a copy: where the descriptor lies, its data, its completion word. */
static void
ring_channel(uint64_t ch, uint64_t desc, uint64_t src, uint64_t dst, uint32_t len, uint64_t word)
{
	const struct cbdma_desc d = {.size = len, .control = CBDMA_DESC_COMPLETION, .src = src,
		.dst = dst, .next = desc};

	memcpy(at(desc), &d, sizeof(d));
	memset(at(word), 0, 8);
	answerer_set(&a, BAR0, ch + CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	answerer_set(&a, BAR0, ch + CBDMA_CHANERR, 4, UINT32_MAX);
	answerer_set(&a, BAR0, ch + CBDMA_CHANCTRL, 2, CBDMA_CHANCTRL_ERR_COMPLETION_EN);
	answerer_set(&a, BAR0, ch + CBDMA_CHANCMP, 8, word);
	answerer_set(&a, BAR0, ch + CBDMA_CHAINADDR, 8, desc);
	answerer_set(&a, BAR0, ch + CBDMA_DMACOUNT, 2, 1);
}

static void
ring(uint64_t desc, uint64_t src, uint64_t dst, uint32_t len, uint64_t word)
{
	ring_channel(CH0, desc, src, dst, len, word);
}

/* Answer until the channel has come to rest, and what it says has come. @return CHANERR */
static uint32_t
answer_all(void)
{
	const uint64_t end = vfiou_now_ms() + 60000;
	uint64_t status;

	do {
		while (answerer_asked(&a, 5))
			;
		status = answerer_get(&a, BAR0, CH0 + CBDMA_CHANSTS, 8);
		assert_true(vfiou_now_ms() < end);
	} while ((status & CBDMA_CHANSTS_STATE_MASK) == CBDMA_CHANSTS_ACTIVE);
	while (answerer_asked(&a, 20))
		;
	return answerer_get(&a, BAR0, CH0 + CBDMA_CHANERR, 4);
}

static void
fill_source(uint8_t *src, size_t len, uint8_t seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		src[i] = (i * 2654435761u >> 24) + seed;
}

/* Each of the four things in either memory. */
static void
test_mixed(void **state)
{
	const uint32_t len = 300001; /* several messages */
	unsigned int which;

	(void)state;
	start_client(NULL);
	for (which = 0; which < 16; which++) {
		uint64_t desc = (which & 1 ? LOCAL : REMOTE) + DESC;
		uint64_t src = (which & 2 ? LOCAL : REMOTE) + SOURCE + 1;
		uint64_t dst = (which & 4 ? LOCAL : REMOTE) + TARGET + 3;
		uint64_t word = (which & 8 ? LOCAL : REMOTE) + WORD;
		unsigned int asked = a.reads + a.writes;

		fill_source(at(src), len, which);
		memset(at(dst) - 1, 0, len + 2);
		ring(desc, src, dst, len, word);
		while (*(volatile uint64_t *)at(word) == 0)
			answerer_asked(&a, 10);
		assert_int_equal(*(uint64_t *)at(word), desc | CBDMA_CHANSTS_IDLE);
		assert_memory_equal(at(dst), at(src), len);
		assert_int_equal(at(dst)[-1] + at(dst)[len], 0);
		assert_int_equal(answer_all(), 0);
		assert_int_equal(a.reads + a.writes == asked, which == 15);
	}
	end_client();
}

/* Across the border between the two. */
static void
test_border(void **state)
{
	(void)state;
	start_client(NULL);
	fill_source(at(LOCAL - 1000), 1000, 1);
	fill_source(at(LOCAL), 1000, 2);
	ring(REMOTE + DESC, LOCAL - 1000, REMOTE + TARGET, 2000, LOCAL + WORD);
	assert_int_equal(answer_all(), 0);
	assert_memory_equal(at(REMOTE + TARGET), at(LOCAL - 1000), 1000);
	assert_memory_equal(at(REMOTE + TARGET + 1000), at(LOCAL), 1000);
	fill_source(at(LOCAL + TARGET), 2000, 3);
	ring(LOCAL + DESC, LOCAL + TARGET, LOCAL - 1000, 2000, LOCAL + WORD);
	assert_int_equal(answer_all(), 0);
	assert_memory_equal(at(LOCAL - 1000), at(LOCAL + TARGET), 1000);
	assert_memory_equal(at(LOCAL), at(LOCAL + TARGET + 1000), 1000);
	end_client();
}

/* No more at a time than the client takes. */
static void
test_limit(void **state)
{
	(void)state;
	start_client("{\"capabilities\":{\"max_data_xfer_size\":1000}}");
	fill_source(at(REMOTE + SOURCE), 10000, 7);
	ring(REMOTE + DESC, REMOTE + SOURCE, REMOTE + TARGET, 10000, REMOTE + WORD);
	assert_int_equal(answer_all(), 0);
	assert_memory_equal(at(REMOTE + TARGET), at(REMOTE + SOURCE), 10000);
	assert_int_equal(a.longest, 1000);
	end_client();

	start_client("{\"capabilities\":{\"max_data_xfer_size\":8}}");
	ring(REMOTE + DESC, REMOTE + SOURCE, REMOTE + TARGET, 64, REMOTE + WORD);
	assert_int_equal(answer_all(), 0);
	assert_int_equal(a.longest, 8);
	end_client();
}

/* What is for reading only is not written to, and the other way round. */
static void
test_permissions(void **state)
{
	(void)state;
	start_client(NULL);
	assert_int_equal(raw_unmap(a.fd, REMOTE, ANSWERER_MEMORY, 0), 0);
	assert_int_equal(raw_map(a.fd, REMOTE, ANSWERER_MEMORY, 0, VFIOU_DMA_READABLE, -1), 0);
	ring(LOCAL + DESC, LOCAL + SOURCE, REMOTE + TARGET, 64, LOCAL + WORD);
	assert_int_equal(answer_all(), CBDMA_CHANERR_XDADDERR);
	assert_int_equal(raw_unmap(a.fd, REMOTE, ANSWERER_MEMORY, 0), 0);
	assert_int_equal(raw_map(a.fd, REMOTE, ANSWERER_MEMORY, 0, VFIOU_DMA_WRITEABLE, -1), 0);
	ring(LOCAL + DESC, REMOTE + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
	assert_int_equal(answer_all(), CBDMA_CHANERR_XSADDERR);
	assert_int_equal(a.reads + a.writes, 0);
	end_client();
}

/* Right ones in three forms, and wrong ones: then that descriptor fails, and nothing else does. */
static void
test_answers(void **state)
{
	unsigned int answer;

	(void)state;
	start_client(NULL);
	for (answer = 0; answer < ANSWERS; answer++) {
		bool right = answer < ANSWER_ERROR;

		fill_source(at(REMOTE + SOURCE), 64, answer);
		a.answer = answer;
		ring(LOCAL + DESC, REMOTE + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
		assert_int_equal(answer_all(), right ? 0 : CBDMA_CHANERR_RDERR);
		ring(LOCAL + DESC, LOCAL + SOURCE, REMOTE + TARGET, 64, LOCAL + WORD);
		assert_int_equal(answer_all(), right ? 0 : CBDMA_CHANERR_WDERR);
		ring(REMOTE + DESC, LOCAL + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
		assert_int_equal(answer_all(), right ? 0 : CBDMA_CHANERR_CHADDERR);
		ring(LOCAL + DESC, LOCAL + SOURCE, LOCAL + TARGET, 64, REMOTE + WORD);
		assert_int_equal(answer_all(), right ? 0 : CBDMA_CHANERR_CMPADDERR);
	}
	a.answer = ANSWER_RIGHT;
	ring(REMOTE + DESC, REMOTE + SOURCE, REMOTE + TARGET, 64, REMOTE + WORD);
	assert_int_equal(answer_all(), 0);
	end_client();
}

/* None, or one to something else: the descriptor fails after a time, until when the server does
 * what it is told to. What comes too late is nothing to the next.
 */
static void
test_silence(void **state)
{
	static const enum answer silences[] = {ANSWER_NONE, ANSWER_ID, ANSWER_COMMAND};
	struct vfiou_header late = {.id = 1, .command = VFIOU_DMA_READ, .size = 16 + 16 + 64,
		.flags = VFIOU_TYPE_REPLY};
	uint8_t data[16 + 64] = {0};
	unsigned int i, served = 0;
	uint64_t asked;

	(void)state;
	start_client(NULL);
	for (i = 0; i < sizeof(silences) / sizeof(silences[0]); i++) {
		a.answer = silences[i];
		asked = vfiou_now_ms();
		ring(LOCAL + DESC, REMOTE + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
		while (answerer_get(&a, BAR0, CH0 + CBDMA_CHANERR, 4) == 0) {
			served++;
			usleep(1000);
		}
		assert_true(vfiou_now_ms() - asked >= VFIOU_ANSWER_MS / 2);
		assert_int_equal(answer_all(), CBDMA_CHANERR_RDERR);
	}
	assert_true(served > 2);
	a.answer = ANSWER_RIGHT;
	raw_send_header(a.fd, late, data, sizeof(data), NULL, 0);
	fill_source(at(REMOTE + SOURCE), 64, 5);
	ring(LOCAL + DESC, REMOTE + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
	assert_int_equal(answer_all(), 0);
	assert_memory_equal(at(LOCAL + TARGET), at(REMOTE + SOURCE), 64);
	end_client();
}

/* The client goes while it is waited for. */
static void
test_leaves(void **state)
{
	uint64_t start = vfiou_now_ms();
	unsigned int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		start_client(i % 2 ? NULL :
			"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}");
		a.answer = ANSWER_NONE;
		ring(LOCAL + DESC, REMOTE + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
		if (a.reads == 0)
			assert_true(answerer_asked(&a, 10000));
		end_client();
	}
	/* Nobody waited for answers that could not come. */
	assert_true(vfiou_now_ms() - start < 20 * VFIOU_ANSWER_MS);
}

/* Have the device ask for something, and nobody answer. */
static void
ask_in_vain(void)
{
	a.answer = ANSWER_NONE;
	a.reads = 0;
	ring(LOCAL + DESC, REMOTE + SOURCE, REMOTE + TARGET, 64, LOCAL + WORD);
	if (a.reads == 0)
		assert_true(answerer_asked(&a, 10000));
}

/* Taken back while it is asked for: the server does not wait for the answer, nor ask again. */
static void
test_unmapped(void **state)
{
	const struct vfiou_dma_unmap unmap = {
		.argsz = sizeof(unmap), .address = REMOTE, .size = ANSWERER_MEMORY};
	unsigned int asked, i;

	(void)state;
	for (i = 0; i < 2; i++) {
		start_client(NULL);
		ask_in_vain();
		if (i == 0)
			assert_int_equal(answerer_command(&a, VFIOU_DMA_UNMAP, &unmap,
						 sizeof(unmap), &reply), 0);
		else
			assert_int_equal(answerer_command(&a, VFIOU_DEVICE_RESET, NULL, 0, &reply),
				0);
		asked = a.reads + a.writes;
		a.answer = ANSWER_RIGHT;
		answerer_send(&a, &(struct vfiou_header){.id = 1, .command = VFIOU_DMA_READ},
			(struct vfiou_dma_access){.address = REMOTE + SOURCE, .count = 64});
		if (i == 0)
			assert_int_equal(answer_all(), CBDMA_CHANERR_XSADDERR);
		assert_false(answerer_asked(&a, 50));
		assert_int_equal(a.reads + a.writes, asked);
		assert_int_equal(raw_get(a.fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
		end_client();
	}
}

/* Something is done to the device that makes the answer it waits for pointless. */
static void
make_pointless(unsigned int how)
{
	const uint16_t memory = PCI_COMMAND_MEMORY;

	switch (how) {
	case 0:
		assert_int_equal(raw_unmap(a.fd, REMOTE, ANSWERER_MEMORY, 0), 0);
		assert_int_equal(answer_all(), CBDMA_CHANERR_XSADDERR);
		break;
	case 1:
		answerer_set(&a, BAR0, CH0 + CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
		break;
	case 2:
		assert_int_equal(answerer_command(&a, VFIOU_DEVICE_RESET, NULL, 0, &reply), 0);
		answerer_set(&a, CONFIG, PCI_COMMAND, 2, memory | PCI_COMMAND_MASTER);
		break;
	default: /* for now: it is asked for again, and then not wanted for good */
		answerer_set(&a, CONFIG, PCI_COMMAND, 2, memory);
		answerer_set(&a, CONFIG, PCI_COMMAND, 2, memory | PCI_COMMAND_MASTER);
		if (a.reads == 1)
			assert_true(answerer_asked(&a, 10000));
	}
}

/* Nor does the device: it is free for what comes next. @return milliseconds that this takes. */
static uint64_t
time_pointless(const char *json, unsigned int how)
{
	uint64_t start;

	start_client(json);
	ask_in_vain();
	start = vfiou_now_ms();
	make_pointless(how);
	fill_source(at(LOCAL + SOURCE), 64, how);
	ring(LOCAL + DESC, LOCAL + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
	assert_int_equal(answer_all(), 0);
	assert_memory_equal(at(LOCAL + TARGET), at(LOCAL + SOURCE), 64);
	start = vfiou_now_ms() - start;
	end_client();
	return start;
}

static void
test_pointless(void **state)
{
	static const char *const json[] = {
		NULL, "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"};
	unsigned int i, tries;

	(void)state;
	for (i = 0; i < 8; i++) {
		for (tries = 0; tries < 5; tries++) /* the machine may be busy */
			if (time_pointless(json[i % 2], i / 2) < VFIOU_ANSWER_MS / 2)
				break;
		assert_in_range(tries, 0, 4);
	}
}

/* Of use yet: what is done to the device has nothing to do with it. */
static void
test_not_pointless(void **state)
{
	(void)state;
	start_client(NULL);
	assert_int_equal(raw_map(a.fd, 2 * REMOTE, 4096, 0, RW, -1), 0);
	fill_source(at(REMOTE + SOURCE), 64, 1);
	ask_in_vain();
	answerer_set(&a, BAR0, CH1 + CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	assert_int_equal(raw_unmap(a.fd, 2 * REMOTE, 4096, 0), 0);
	a.answer = ANSWER_RIGHT;
	answerer_send(&a, &(struct vfiou_header){.id = 1, .command = VFIOU_DMA_READ},
		(struct vfiou_dma_access){.address = REMOTE + SOURCE, .count = 64});
	assert_int_equal(answer_all(), 0);
	assert_memory_equal(at(REMOTE + TARGET), at(REMOTE + SOURCE), 64);
	assert_int_equal(a.reads, 1);
	end_client();
}

/* Told to keep still while one channel waits for an answer: the other one, which has been rung
 * meanwhile, keeps still, too.
 */
static void
test_bus_master(void **state)
{
	const uint64_t target = LOCAL + TARGET + 0x1000;

	(void)state;
	start_client(NULL);
	fill_source(at(LOCAL + SOURCE), 64, 1);
	a.answer = ANSWER_NONE;
	ring(LOCAL + DESC, REMOTE + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
	if (a.reads == 0)
		assert_true(answerer_asked(&a, 10000));
	ring_channel(CH1, LOCAL + DESC + 64, LOCAL + SOURCE, target, 64, LOCAL + WORD + 8);
	answerer_set(&a, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	a.answer = ANSWER_RIGHT;
	answerer_send(&a, &(struct vfiou_header){.id = 1, .command = VFIOU_DMA_READ},
		(struct vfiou_dma_access){.address = REMOTE + SOURCE, .count = 64});
	assert_false(answerer_asked(&a, 100));
	assert_int_equal(*(volatile uint64_t *)at(LOCAL + WORD), 0);
	assert_int_equal(*(volatile uint64_t *)at(LOCAL + WORD + 8), 0);
	assert_int_not_equal(memcmp(at(target), at(LOCAL + SOURCE), 64), 0);

	answerer_set(&a, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(answer_all(), 0);
	while (*(volatile uint64_t *)at(LOCAL + WORD + 8) == 0)
		usleep(100);
	assert_memory_equal(at(target), at(LOCAL + SOURCE), 64);
	end_client();
}

static bool
hung_up(const char *why)
{
	unsigned int i;

	for (i = 0; i < 20000 && !raw_logged(&rig, why); i++)
		usleep(1000);
	return raw_logged(&rig, why);
}

/* A socket of its own for what the server asks: only if the client wants that, and takes files. */
static void
test_twin(void **state)
{
	static const char twin[] = "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}";
	struct vfiou_caps caps;

	(void)state;
	start_client(twin);
	assert_int_not_equal(a.asked_fd, a.fd);
	end_client();
	start_client(twin);
	fill_source(at(REMOTE + SOURCE), 200000, 7);
	ring(REMOTE + DESC, REMOTE + SOURCE, REMOTE + TARGET, 200000, REMOTE + WORD);
	assert_int_equal(answer_all(), 0);
	assert_memory_equal(at(REMOTE + TARGET), at(REMOTE + SOURCE), 200000);
	end_client();
	/* Nothing but a header, and nothing before it. */
	start_client(twin);
	a.answer = ANSWER_NOTHING;
	ring(LOCAL + DESC, REMOTE + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
	assert_int_equal(answer_all(), CBDMA_CHANERR_RDERR);
	end_client();

	start_client("{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}");
	assert_int_equal(a.asked_fd, a.fd);
	end_client();
	a.fd = raw_connect(&rig);
	assert_int_equal(raw_version(a.fd, 0, 1, "{\"capabilities\":{\"max_msg_fds\":0,"
				 "\"twin_socket\":{\"supported\":true}}}", &reply), 0);
	assert_int_equal(reply.fd, -1);
	assert_int_equal(vfiou_caps_parse((char *)reply.data + 4, reply.len - 4, &caps), 0);
	assert_false(caps.twin_socket);
	raw_close(&rig, a.fd);
}

/* Nothing but answers may come there, and it may not be closed. */
static void
test_twin_bad(void **state)
{
	static const char twin[] = "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}";
	const struct vfiou_header reset = {.command = VFIOU_DEVICE_RESET, .size = 16};
	const struct vfiou_header odd = {.size = UINT32_MAX};
	const unsigned int fds_before = raw_count_fds();

	(void)state;
	start_client(twin);
	assert_int_equal(vfiou_caps_parse((char *)reply.data, 0, &(struct vfiou_caps){0}), 0);
	raw_send_header(a.asked_fd, reset, NULL, 0, NULL, 0);
	assert_true(hung_up("a message on the twin socket that is no answer"));
	close(a.asked_fd);
	close(a.fd);
	start_client(twin);
	raw_send_header(a.asked_fd, odd, NULL, 0, NULL, 0);
	assert_true(hung_up("the twin socket: Message too long"));
	close(a.asked_fd);
	close(a.fd);
	start_client(twin);
	close(a.asked_fd);
	assert_true(hung_up("the twin socket: Connection reset"));
	close(a.fd);
	assert_alive();
	assert_int_equal(raw_count_fds(), fds_before);
}

static bool posting;

/* Commands without replies, one after the other, which take longer to do than to send. */
static void *
post(void *opaque)
{
	struct {
		struct vfiou_header header;
		struct vfiou_region_access access;
	} many[64];
	unsigned int i;

	for (i = 0; i < 64; i++) {
		many[i].header = (struct vfiou_header){.command = VFIOU_REGION_READ,
			.size = sizeof(many[i]), .flags = VFIOU_NO_REPLY};
		many[i].access = (struct vfiou_region_access){.region = CONFIG, .count = 4096};
	}
	while (__atomic_load_n(&posting, __ATOMIC_RELAXED))
		raw_send_bytes(*(int *)opaque, many, sizeof(many), NULL, 0);
	return NULL;
}

/* The client has so much to say that the server is never done with it: the answers on the twin and
 * the event that unmasks the pin come first all the same.
 */
static void
test_busy(void **state)
{
	const int pin = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK);
	const uint64_t end = vfiou_now_ms() + 30000;
	bool unmasked = false;
	pthread_t thread;

	(void)state;
	start_client("{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}");
	assert_int_equal(set_irqs(a.fd, DATA_EVENT | TRIGGER, PIN, 0, 1, &pin, 1), 0);
	assert_int_equal(set_irqs(a.fd, DATA_EVENT | UNMASK, PIN, 0, 1, &unmask, 1), 0);
	ring(LOCAL + DESC, REMOTE + SOURCE, LOCAL + TARGET, 64, LOCAL + WORD);
	posting = true;
	assert_int_equal(pthread_create(&thread, NULL, post, &a.fd), 0);
	/* Until it posts for sure, and the server is busy with that. */
	usleep(100000);
	assert_int_equal(eventfd_write(unmask, 1), 0);
	while (vfiou_now_ms() < end && (*(volatile uint64_t *)at(LOCAL + WORD) == 0 || !unmasked)) {
		answerer_asked(&a, 1);
		unmasked = !answerer_hears(unmask, 0);
	}
	__atomic_store_n(&posting, false, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(*(uint64_t *)at(LOCAL + WORD), (LOCAL + DESC) | CBDMA_CHANSTS_IDLE);
	assert_true(unmasked);
	end_client();
	close(pin);
	close(unmask);
}

/* A client that does not read what it is asked, and answers all the same. */
static void
test_unread(void **state)
{
	const uint64_t far = 2 * REMOTE;
	struct vfiou_header header = {
		.command = VFIOU_DMA_WRITE, .size = sizeof(header), .flags = VFIOU_TYPE_REPLY};
	unsigned int i;

	(void)state;
	start_client(NULL);
	assert_int_equal(raw_map(a.fd, far, 1u << 20, 0, RW, -1), 0);
	ring(LOCAL + DESC, LOCAL, far, 1u << 20, LOCAL + WORD);
	for (i = 0; i < 30000 && !raw_logged(&rig, "it does not read what it is asked"); i++) {
		header.id = i % 16;
		raw_send_header(a.fd, header, NULL, 0, NULL, 0);
		usleep(1000);
	}
	assert_true(raw_logged(&rig, "it does not read what it is asked"));
	close(a.fd);
	assert_alive();
}

/* A client that has left is not waited for, though it keeps the twin open and does not read it. */
static void
test_unread_leaves(void **state)
{
	const uint64_t far = 2 * REMOTE;
	const struct vfiou_header header = {.id = 1, .command = VFIOU_DMA_WRITE,
		.size = sizeof(header), .flags = VFIOU_TYPE_REPLY};
	const uint64_t end = vfiou_now_ms() + VFIOU_ANSWER_MS;
	uint64_t start;
	int unread = 0, before;

	(void)state;
	start_client("{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}");
	assert_int_equal(raw_map(a.fd, far, 1u << 20, 0, RW, -1), 0);
	ring(LOCAL + DESC, LOCAL, far, 1u << 20, LOCAL + WORD);
	do { /* until there is one question in the socket, and as much of a second as fits */
		before = unread;
		usleep(50000);
		assert_int_equal(ioctl(a.asked_fd, FIONREAD, &unread), 0);
		raw_send_header(a.asked_fd, header, NULL, 0, NULL, 0);
	} while ((unread <= 128 * 1024 + 32 || unread != before) && vfiou_now_ms() < end);
	start = vfiou_now_ms();
	raw_close(&rig, a.fd);
	assert_true(vfiou_now_ms() - start < VFIOU_ANSWER_MS / 2);
	close(a.asked_fd);
}

int
main(void)
{
#define REMOTELY(f) cmocka_unit_test_setup_teardown(f, setup_remote, teardown_remote)
	const struct CMUnitTest tests[] = {
		REMOTELY(test_mixed),
		REMOTELY(test_border),
		REMOTELY(test_limit),
		REMOTELY(test_permissions),
		REMOTELY(test_answers),
		REMOTELY(test_silence),
		REMOTELY(test_leaves),
		REMOTELY(test_unmapped),
		REMOTELY(test_pointless),
		REMOTELY(test_not_pointless),
		REMOTELY(test_bus_master),
		REMOTELY(test_twin),
		REMOTELY(test_twin_bad),
		REMOTELY(test_busy),
		REMOTELY(test_unread),
		REMOTELY(test_unread_leaves),
	};

	return cmocka_run_group_tests_name("vfiou_remote", tests, NULL, NULL);
}
