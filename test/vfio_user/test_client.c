/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The client against servers that talk nonsense: an error within a bounded time, and no harm. */

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vfiou_caps.h"
#include "vfiou_client.h"
#include "vfiou_msg.h"

#define TIMEOUT_MS 300

/** What the server says to the second command; the first is the handshake. */
struct script {
	uint32_t size;	/**< of the header; 0: the true one */
	uint32_t flags;
	uint32_t error;
	uint32_t id_xor, command_xor;
	uint32_t len;	/**< of the payload */
	uint32_t cut;	/**< bytes that are not sent, and hung up instead */
	bool silent;	/**< says nothing */
	const char *json; /**< of the handshake; NULL: a good one */
	uint16_t major, minor;
};

static char path[64];
static int listen_fd;
static struct script script;

static void
reply_to(int fd, const struct vfiou_msg *msg, const struct script *s)
{
	struct vfiou_header header = {.id = msg->header.id ^ s->id_xor,
		.command = msg->header.command ^ s->command_xor, .flags = s->flags,
		.error = s->error};
	uint8_t data[512] = {0};

	header.size = s->size != 0 ? s->size : sizeof(header) + s->len;
	memcpy(data, &header, sizeof(header));
	if (send(fd, data, sizeof(header) + s->len - s->cut, MSG_NOSIGNAL) < 0)
		return;
}

/* A message, or why there is none. */
static int
receive(struct vfiou_msg *msg, int fd)
{
	int ret;

	while ((ret = vfiou_msg_receive(msg, fd)) == 0)
		vfiou_msg_wait(fd, POLLIN, UINT64_MAX);
	return ret;
}

static void *
serve(void *opaque)
{
	static const char good[] = "{\"capabilities\":{\"max_msg_fds\":8}}";
	const char *json = script.json != NULL ? script.json : good;
	struct vfiou_msg msg = {.received = 0};
	struct vfiou_header header = {.command = VFIOU_VERSION, .flags = VFIOU_TYPE_REPLY};
	struct vfiou_version version = {.major = script.major, .minor = script.minor};
	int fd = accept(listen_fd, NULL, NULL);

	(void)opaque;
	if (receive(&msg, fd) == 1) {
		header.id = msg.header.id;
		vfiou_msg_send(fd, &header, &version, sizeof(version), json, strlen(json) + 1, -1,
			1000);
		vfiou_msg_reset(&msg);
		if (receive(&msg, fd) == 1 && !script.silent)
			reply_to(fd, &msg, &script);
		if (script.cut == 0) { /* until the client hangs up */
			vfiou_msg_reset(&msg);
			receive(&msg, fd);
		}
	}
	vfiou_msg_free(&msg);
	close(fd);
	return NULL;
}

static int
setup(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = ""};

	(void)state;
	snprintf(path, sizeof(path), "/tmp/vfiou-client-test.%d.sock", getpid());
	strcpy(address.sun_path, path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(listen_fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(listen_fd, 4) != 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(listen_fd);
	return unlink(path);
}

/* Connect, and read 8 bytes. @return what that returned. */
static int
read_from(const struct script *s, bool *connected)
{
	struct vfiou_client *client = NULL;
	const char *what;
	pthread_t thread;
	uint64_t value;
	int ret;

	script = *s;
	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	ret = vfiou_client_connect(path, TIMEOUT_MS, &client, &what);
	*connected = false;
	if (ret == 0) {
		ret = vfiou_client_read(client, 0, 0, &value, sizeof(value));
		*connected = vfiou_client_is_connected(client);
		if (!*connected)
			assert_int_equal(vfiou_client_write(client, 0, 0, &value, 8), -ENOTCONN);
		vfiou_client_close(client);
	} else {
		assert_non_null(what);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	return ret;
}

static void
test_replies(void **state)
{
	static const struct {
		struct script script;
		int ret;
		bool connected;
	} cases[] = {
		{{.flags = 1, .len = 24, .minor = 1}, 0, true},
		{{.flags = 1, .len = 32}, 0, true},
		{{.flags = 0x21, .error = EPERM}, -EPERM, true},
		{{.flags = 0x21, .error = 0}, -EIO, true},
		{{.flags = 0x21, .error = UINT32_MAX}, -EIO, true},
		{{.flags = 1, .len = 23}, -EPROTO, false},
		{{.flags = 1, .len = 0}, -EPROTO, false},
		{{.flags = 0, .len = 24}, -EPROTO, false},
		{{.flags = 1, .len = 24, .id_xor = 1}, -EPROTO, false},
		{{.flags = 1, .len = 24, .command_xor = 1}, -EPROTO, false},
		{{.flags = 1, .len = 24, .size = 15}, -EMSGSIZE, false},
		{{.flags = 1, .len = 24, .size = UINT32_MAX}, -EMSGSIZE, false},
		{{.flags = 1, .len = 24, .size = 100}, -ETIMEDOUT, true},
		{{.flags = 1, .len = 24, .cut = 1}, -ECONNRESET, false},
		{{.flags = 1, .len = 24, .cut = 30}, -ECONNRESET, false},
		{{.silent = true}, -ETIMEDOUT, true},
		{{.major = 1}, -EPROTONOSUPPORT, false},
		{{.minor = 2}, -EPROTONOSUPPORT, false},
		{{.json = "{"}, -EPROTO, false},
	};
	struct timespec before, after;
	bool connected;
	unsigned int i;
	int ret;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ret = read_from(&cases[i].script, &connected);
		if (ret != cases[i].ret || connected != cases[i].connected)
			fail_msg("case %u: %s, %s", i, strerror(-ret),
				connected ? "connected" : "not connected");
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 60);
}

/* A reply that comes late, in two pieces: it is waited for, and not taken for the next one's. */
static void *
serve_late(void *opaque)
{
	const struct timespec late = {.tv_nsec = 2 * TIMEOUT_MS * 1000000l};
	struct vfiou_msg msg = {.received = 0};
	struct vfiou_header header = {.command = VFIOU_VERSION, .flags = VFIOU_TYPE_REPLY};
	const struct vfiou_version version = {.major = VFIOU_MAJOR, .minor = VFIOU_MINOR};
	struct {
		struct vfiou_header header;
		struct {
			uint64_t offset;
			uint32_t region, count;
		} access; /* struct vfiou_region_access */
		uint64_t value;
	} reply = {.header = {.command = VFIOU_REGION_READ, .flags = VFIOU_TYPE_REPLY},
		.access = {.count = 8}};
	int fd = accept(listen_fd, NULL, NULL);

	(void)opaque;
	if (receive(&msg, fd) != 1)
		return NULL;
	header.id = msg.header.id;
	vfiou_msg_send(fd, &header, &version, sizeof(version), "{}", 3, -1, 1000);
	vfiou_msg_reset(&msg);
	reply.header.size = sizeof(reply);
	while (receive(&msg, fd) == 1) {
		reply.header.id = msg.header.id;
		reply.value++;
		if (reply.value == 1)
			nanosleep(&late, NULL);
		if (send(fd, &reply, 20, MSG_NOSIGNAL) < 0)
			break;
		if (reply.value == 1)
			nanosleep(&late, NULL);
		if (send(fd, (uint8_t *)&reply + 20, sizeof(reply) - 20, MSG_NOSIGNAL) < 0)
			break;
		vfiou_msg_reset(&msg);
	}
	vfiou_msg_free(&msg);
	close(fd);
	return NULL;
}

static void
test_late_reply(void **state)
{
	struct vfiou_client *client;
	unsigned int refused = 0, i;
	const char *what;
	pthread_t thread;
	uint64_t value;
	int ret;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, serve_late, NULL), 0);
	assert_int_equal(vfiou_client_connect(path, TIMEOUT_MS, &client, &what), 0);
	assert_int_equal(vfiou_client_read(client, 0, 0, &value, sizeof(value)), -ETIMEDOUT);
	while ((ret = vfiou_client_read(client, 0, 0, &value, sizeof(value))) == -ETIMEDOUT) {
		assert_true(vfiou_client_is_connected(client));
		usleep(1000);
		refused++;
	}
	assert_int_equal(ret, 0);
	assert_true(refused > 10); /* soon each time */
	assert_int_equal(value, 2); /* nothing was sent in between */
	for (i = 3; i < 10; i++) {
		assert_int_equal(vfiou_client_read(client, 0, 0, &value, sizeof(value)), 0);
		assert_int_equal(value, i);
	}
	vfiou_client_close(client);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Capabilities: what is told is what is read. */
static void
test_caps(void **state)
{
	const struct vfiou_caps caps = {.max_msg_fds = 3, .max_data_xfer_size = UINT64_MAX,
		.max_dma_maps = 0, .pgsizes = 0x201000, .write_multiple = true};
	struct vfiou_caps got;
	char text[256];
	size_t size = vfiou_caps_format(&caps, text, sizeof(text)), i;

	(void)state;
	assert_int_equal(vfiou_caps_parse(text, size, &got), 0);
	assert_int_equal(got.max_msg_fds, caps.max_msg_fds);
	assert_int_equal(got.max_data_xfer_size, caps.max_data_xfer_size);
	assert_int_equal(got.max_dma_maps, caps.max_dma_maps);
	assert_int_equal(got.pgsizes, caps.pgsizes);
	assert_true(got.write_multiple);
	assert_false(got.twin_socket);
	for (i = 0; i < size; i++) {
		assert_int_equal(vfiou_caps_format(&caps, text, i), 0);
		/* Cut off anywhere, it is no text any more. */
		vfiou_caps_format(&caps, text, sizeof(text));
		text[i] = '\0';
		if (i < size - 1)
			assert_int_equal(vfiou_caps_parse(text, i + 1, &got), -EINVAL);
	}
	assert_int_equal(vfiou_caps_parse(NULL, 0, &got), 0);
	assert_int_equal(got.max_msg_fds, 1);
}

static void
test_names_are_whole(void **state)
{
	static const char text[] =
		" {\"capabilities\":{\"twin_socket\":{\"supported\":true,\"max_msg_fds\":9},"
		"\"a long name that no path has room for, so that it is nobody's, whatever\":"
		"{\"max_msg_fds\":\"x\"},\"max_msg_fds\\u0000\":\"y\"},\"max_msg_fds\":7}\n";
	struct vfiou_caps got;

	(void)state;
	assert_int_equal(vfiou_caps_parse(text, sizeof(text), &got), 0);
	assert_true(got.twin_socket);
	assert_int_equal(got.max_msg_fds, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_replies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_reply, setup, teardown),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_names_are_whole),
	};

	return cmocka_run_group_tests_name("vfiou_client", tests, NULL, NULL);
}
