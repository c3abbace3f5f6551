/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The driver on a device that a dma-deviced serves, which is a real one: argument 1 of the test. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bus_vdev_driver.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#include "../unit/deviced.h"

#define BURST 64

static const char *deviced;
static char path[64], args[96];
static pid_t server = -1;

static void
start_server(const char *device)
{
	server = deviced_start(deviced, path, device, NULL);
}

static void
end_server(int signal)
{
	int status;

	if (server < 0)
		return;
	kill(-server, SIGCONT);
	assert_int_equal(kill(server, signal), 0);
	assert_int_equal(waitpid(server, &status, 0), server);
	server = -1;
	if (signal == SIGTERM) {
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		assert_int_not_equal(access(path, F_OK), 0);
	}
}

static int
teardown(void **state __rte_unused)
{
	if (server >= 0)
		end_server(SIGKILL);
	unlink(path);
	return 0;
}

static void
burst(struct drv *d)
{
	struct drv_op ops[BURST];

	drv_mem_reset();
	drv_copies(ops, BURST, 4096);
	drv_burst(d, ops, BURST, DRV_POLL_COMPLETED, 0, false);
}

/* Copies, fills, scatter/gather, and errors, with all versions that report them in their own
 * way.
 */
static void
test_operations(void **state __rte_unused)
{
	static const char *const devices[] = {
		"cbdma,doorbell-bar=on", "cbdma,doorbell-bar=on,version=3.2",
		"cbdma,doorbell-bar=on,version=3.3,quiet-errors=on,xfercap=12"};
	struct drv_op ops[8];
	unsigned int i;
	struct drv d;

	for (i = 0; i < RTE_DIM(devices); i++) {
		start_server(devices[i]);
		drv_open_args(&d, args);
		burst(&d);
		memset(ops, 0, sizeof(ops));
		drv_copies(ops, 8, 8192);
		ops[1].kind = DRV_FILL;
		ops[2].kind = DRV_SG;
		ops[2].segs = 4;
		ops[3].bad_src = true;
		ops[3].status = RTE_DMA_STATUS_INVALID_SRC_ADDR;
		ops[6].bad_dst = true;
		ops[6].status = RTE_DMA_STATUS_INVALID_DST_ADDR;
		drv_mem_reset();
		drv_burst(&d, ops, 8, DRV_POLL_STATUS, 0, true);
		burst(&d);
		assert_int_equal(rte_dma_stop(d.id), 0);
		assert_int_equal(rte_dma_start(d.id), 0);
		burst(&d);
		drv_close(&d);
		end_server(SIGTERM);
	}
}

static void
refuse(const char *arguments, const char *why)
{
	char *log;

	drv_log_begin();
	assert_int_not_equal(rte_vdev_init("dma_cbdma_bad", arguments), 0);
	log = drv_log_end();
	if (strstr(log, why) == NULL)
		fail_msg("\"%s\" is not in the log: %s", why, log);
	free(log);
}

static void
test_refused(void **state __rte_unused)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[160];
	struct drv d;
	uint64_t start;
	int fd;

	refuse("socket=", "the path of a socket, once");
	refuse("socket=/a,socket=/b", "the path of a socket, once");
	refuse("socket=/a,cpu=0", "with socket= only silent=");
	refuse("socket=/nonexistent.sock", "nobody answers at the socket");
	snprintf(text, sizeof(text), "socket=/%0120d", 0);
	refuse(text, "too long");

	start_server("cbdma");
	refuse(args, "doorbell-bar=on");
	end_server(SIGTERM);

	/* One client at a time. */
	start_server("cbdma,doorbell-bar=on");
	drv_open_args(&d, args);
	refuse(args, "has a client already");
	burst(&d);
	drv_close(&d);
	end_server(SIGTERM);

	/* Somebody who takes the call and says nothing: within a bounded time. */
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	start = rte_get_timer_cycles();
	refuse(args, "cannot connect");
	assert_true(rte_get_timer_cycles() - start < 20 * rte_get_timer_hz());
	close(fd);
}

/* Enqueue and submit until the ring is full. @return how many. */
static unsigned int
fill_ring(struct drv *d)
{
	unsigned int n = 0;

	while (rte_dma_copy(d->id, 0, drv_iova(drv_src), drv_iova(drv_dst), 4096,
			RTE_DMA_OP_FLAG_SUBMIT) >= 0)
		n++;
	return n;
}

/* All that is outstanding is reported, as done or as failed, within a bounded time. */
static unsigned int
drain(struct drv *d, unsigned int n)
{
	const uint64_t end = rte_get_timer_cycles() + 60 * rte_get_timer_hz();
	enum rte_dma_status_code status[64];
	unsigned int failed = 0, i;
	uint16_t count, last;

	while (n > 0) {
		assert_true(rte_get_timer_cycles() < end);
		count = rte_dma_completed_status(d->id, 0, 64, &last, status);
		for (i = 0; i < count; i++)
			failed += status[i] != RTE_DMA_STATUS_SUCCESSFUL;
		n -= count;
	}
	return failed;
}

/* The server goes away, in one way or another, with the ring full. */
static void
lose_server(struct drv *d, int signal)
{
	enum rte_dma_vchan_status status;
	unsigned int n, failed;
	uint16_t last;
	bool error = false;
	char *log;

	/* Stopped first, so that it has work when it goes. */
	kill(-server, SIGSTOP);
	usleep(20000);
	n = fill_ring(d);
	assert_true(n > 0);
	kill(server, signal);
	if (signal != SIGKILL)
		kill(-server, SIGCONT);
	assert_int_equal(waitpid(server, NULL, 0), server);
	server = -1;
	drv_log_begin();
	failed = drain(d, n);
	/* Ended in good order, it may have done all of it before. */
	if (failed == 0 && signal == SIGTERM)
		failed = drain(d, fill_ring(d));
	log = drv_log_end();
	assert_true(failed > 0);
	assert_non_null(strstr(log, "is gone"));
	free(log);
	assert_int_equal(rte_dma_vchan_status(d->id, 0, &status), 0);
	assert_int_equal(status, RTE_DMA_VCHAN_HALTED_ERROR);
	assert_int_equal(rte_dma_copy(d->id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64, 0),
		-ENODEV);
	assert_int_equal(rte_dma_completed(d->id, 0, 64, &last, &error), 0);
}

static void
test_server_lost(void **state __rte_unused)
{
	static const int signals[] = {SIGKILL, SIGTERM};
	unsigned int i, round;
	struct drv d;
	char *log;

	for (i = 0; i < RTE_DIM(signals); i++) {
		start_server("cbdma,doorbell-bar=on");
		drv_open_args(&d, args);
		for (round = 0; round < 2; round++) {
			burst(&d);
			lose_server(&d, signals[i]);
			assert_int_equal(rte_dma_stop(d.id), 0);
			/* Not back yet. */
			drv_log_begin();
			assert_int_not_equal(rte_dma_start(d.id), 0);
			log = drv_log_end();
			assert_non_null(strstr(log, "cannot connect"));
			free(log);
			/* Back, another part even. */
			start_server(round == 0 ? "cbdma,doorbell-bar=on,version=3.2,xfercap=12" :
						  "cbdma,doorbell-bar=on");
			usleep(100000);
			assert_int_equal(rte_dma_start(d.id), 0);
			burst(&d);
		}
		drv_close(&d);
		end_server(SIGTERM);
	}
}

/* A server that does not answer may go on any time: nothing is reported as failed, a stop is refused,
 * and when it goes on all is done.
 */
static void
test_server_silent(void **state __rte_unused)
{
	const uint64_t hz = rte_get_timer_hz();
	enum rte_dma_status_code status;
	unsigned int n;
	uint64_t end;
	struct drv d;

	start_server("cbdma,doorbell-bar=on");
	drv_open_args(&d, args);
	burst(&d);
	kill(-server, SIGSTOP);
	usleep(20000);
	n = fill_ring(&d);
	for (end = rte_get_timer_cycles() + 4 * hz; rte_get_timer_cycles() < end;)
		assert_int_equal(rte_dma_completed_status(d.id, 0, 1, NULL, &status), 0);
	assert_int_equal(rte_dma_stop(d.id), -ETIMEDOUT);
	kill(-server, SIGCONT);
	assert_int_equal(drain(&d, n), 0);
	for (end = rte_get_timer_cycles() + 10 * hz; rte_dma_stop(d.id) != 0;)
		assert_true(rte_get_timer_cycles() < end);
	assert_int_equal(rte_dma_start(d.id), 0);
	burst(&d);
	drv_close(&d);
	end_server(SIGTERM);
}

/* It goes while nobody looks, and a start finds it again; or it is not back at the end. */
static void
test_server_lost_idle(void **state __rte_unused)
{
	struct drv d;

	start_server("cbdma,doorbell-bar=on");
	drv_open_args(&d, args);
	burst(&d);
	end_server(SIGKILL);
	start_server("cbdma,doorbell-bar=on"); /* the socket's file is still there */
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_equal(rte_dma_start(d.id), 0);
	burst(&d);
	end_server(SIGKILL);
	assert_int_equal(rte_dma_stop(d.id), 0);
	drv_close(&d);
}

/* Hot unplug, without a stop: of a device that is gone, and of one that is at work. The server has
 * taken leave of it, and serves the next.
 */
static void
test_unplugged(void **state __rte_unused)
{
	struct drv d;

	start_server("cbdma,doorbell-bar=on");
	drv_open_args(&d, args);
	lose_server(&d, SIGKILL);
	drv_close(&d);
	start_server("cbdma,doorbell-bar=on");
	drv_open_args(&d, args);
	assert_true(fill_ring(&d) > 0);
	drv_close(&d);
	drv_open_args(&d, args);
	burst(&d);
	drv_close(&d);
	end_server(SIGTERM);
}

/* Faults that the server injects: an error, and a device that vanishes while the server is
 * there.
 */
static void
test_injected(void **state __rte_unused)
{
	struct drv d;
	unsigned int n;

	server = deviced_start(deviced, path, "cbdma,doorbell-bar=on", "vanish:at=100");
	drv_open_args(&d, args);
	burst(&d);
	n = fill_ring(&d);
	assert_true(drain(&d, n) > 0);
	assert_int_equal(rte_dma_stop(d.id), 0);
	assert_int_not_equal(rte_dma_start(d.id), 0);
	drv_close(&d);
	end_server(SIGTERM);
}

/* Memory goes and other memory comes in its place while the server does not answer: it has got the
 * old one yet, and must not copy there. With hugepages only, since others do not go.
 */
static void
test_memory_replaced(void **state __rte_unused)
{
	const size_t size = 4u << 20, step = 1u << 20;
	uint8_t *memory;
	struct drv d;
	size_t i;

	start_server("cbdma,doorbell-bar=on");
	drv_open_args(&d, args);
	burst(&d);
	memory = rte_malloc(NULL, size, 4096);
	if (memory == NULL)
		skip();
	kill(-server, SIGSTOP);
	usleep(20000);
	rte_free(memory);
	memory = rte_malloc(NULL, size, 4096);
	if (memory == NULL)
		skip();
	memset(memory, DRV_GUARD, size);
	kill(-server, SIGCONT);
	for (i = 0; i < size; i += step)
		assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(memory + i), 64,
				RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	assert_int_equal(drain(&d, size / step), 0);
	for (i = 0; i < size; i += step)
		assert_memory_equal(memory + i, drv_src, 64);
	burst(&d);
	rte_free(memory);
	drv_close(&d);
	end_server(SIGTERM);
}

/* In a process of its own, with an EAL that has hugepages. @return as cmocka does. */
static int
test_with_hugepages(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_memory_replaced, teardown),
	};
	char *argv[] = {(char[]){"test"}, (char[]){"--in-memory"}, (char[]){"--no-pci"},
		(char[]){"--no-telemetry"}, (char[]){"--iova-mode=va"}};
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
			WEXITSTATUS(status) : 1;
	if (rte_eal_init(RTE_DIM(argv), argv) >= 0) {
		drv_src = rte_malloc(NULL, DRV_MEM, 4096);
		drv_dst = rte_malloc(NULL, DRV_MEM, 4096);
	}
	if (drv_src == NULL || drv_dst == NULL) {
		fprintf(stderr, "no hugepages, no test of memory that goes\n");
		exit(0);
	}
	status = cmocka_run_group_tests_name("driver: socket, hugepages", tests, NULL, NULL);
	rte_eal_cleanup();
	exit(status);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_operations, teardown),
		cmocka_unit_test_teardown(test_refused, teardown),
		cmocka_unit_test_teardown(test_server_lost, teardown),
		cmocka_unit_test_teardown(test_server_silent, teardown),
		cmocka_unit_test_teardown(test_server_lost_idle, teardown),
		cmocka_unit_test_teardown(test_unplugged, teardown),
		cmocka_unit_test_teardown(test_injected, teardown),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s DMA-DEVICED\n", argv[0]);
		return 1;
	}
	deviced = argv[1];
	snprintf(path, sizeof(path), "/tmp/cbdma-socket-test.%d.sock", getpid());
	snprintf(args, sizeof(args), "socket=%s", path);
	return test_with_hugepages() + cmocka_run_group_tests_name("driver: socket", tests,
		drv_group_setup, drv_group_teardown);
}
