/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* What DPDK's telemetry socket tells of the handles. */

#include "common.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>

static int connection = -1;
static char answer[16384];

static void
receive(void)
{
	const ssize_t n = recv(connection, answer, sizeof(answer) - 1, 0);

	assert_true(n > 0);
	answer[n] = '\0';
}

static const char *
ask(const char *command)
{
	assert_int_equal(send(connection, command, strlen(command), 0), (ssize_t)strlen(command));
	receive();
	return answer;
}

static int
connect_to_dpdk(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 60};

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/dpdk_telemetry.v2",
		rte_eal_get_runtime_dir());
	connection = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_true(connection >= 0);
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(connection, (struct sockaddr *)&address, sizeof(address)) < 0) {
		print_error("%s: %s\n", address.sun_path, strerror(errno));
		return -1;
	}
	receive();
	return 0;
}

static int
disconnect(void **state)
{
	(void)state;
	return close(connection);
}

/* A number of the answer. */
static int64_t
value_of(const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(answer, key);
	if (at == NULL)
		print_error("no %s in %s\n", key, answer);
	assert_non_null(at);
	return strtoll(at + strlen(key), NULL, 10);
}

/* Whether a handle is in the list. */
static bool
lists(uint32_t id)
{
	const char *at = strchr(ask("/copyengine/handles"), '[');
	char *end;

	assert_non_null(at);
	for (at++; *at != ']' && *at != '\0'; at = *end == ',' ? end + 1 : end)
		if (strtoul(at, &end, 10) == id)
			return true;
		else if (end == at)
			break;
	return false;
}

static void
handles(void **state)
{
	struct ce_adapter *cpu = ce_adapter_get(CE_CPU, NULL), *adapter = adapter_get(NULL);
	struct ce_adapter_info info[2];

	(void)state;
	assert_non_null(cpu);
	ce_adapter_info_get(cpu, &info[0]);
	ce_adapter_info_get(adapter, &info[1]);
	assert_int_not_equal(info[0].id, info[1].id);
	assert_true(lists(info[0].id));
	assert_true(lists(info[1].id));
	adapter_put(cpu);
	assert_false(lists(info[0].id));
	assert_true(lists(info[1].id));
	adapter_put(adapter);
	assert_false(lists(info[1].id));
}

static void
show(struct ce_adapter *adapter, int dev_id, unsigned int channels)
{
	struct ce_adapter_stats stats;
	struct ce_adapter_info info;
	char command[64];

	ce_adapter_info_get(adapter, &info);
	ce_adapter_stats_get(adapter, &stats);
	snprintf(command, sizeof(command), "/copyengine/handle,%" PRIu32, info.id);
	ask(command);
	assert_true(value_of("dev_id") == dev_id);
	assert_int_equal(value_of("vchan"), 0);
	assert_int_equal(value_of("channels"), channels);
	assert_true(value_of("break_even") == info.break_even);
#define SAME(name) assert_true((uint64_t)value_of(#name) == (uint64_t)stats.name)
	SAME(transfers);
	SAME(failed);
	SAME(bytes);
	SAME(operations);
	SAME(engine_bytes);
	SAME(cpu_bytes);
	SAME(bounced);
	SAME(waits);
	SAME(common_bytes);
	SAME(common_bytes_max);
	SAME(common_failed);
	SAME(sg_blocks);
	SAME(map_registers);
	SAME(latency_p50_ns);
	SAME(latency_p99_ns);
	SAME(latency_max_ns);
#undef SAME
}

/* The figures of one that has done something of each kind, and of one that has no engine. */
static void
handle(void **state)
{
	const struct ce_adapter_conf conf = {.break_even = 512, .flags = CE_ADAPTER_NO_SVA};
	struct ce_adapter *cpu = ce_adapter_get(CE_CPU, NULL), *adapter = adapter_get(&conf);
	struct ce_common_buffer *buffer;
	uint8_t *memory = dma_alloc(8192), *unreached = calloc(1, 4096);
	struct ce_segment window = {.length = 4096};
	struct ce_transfer t = {0}, cancelled[600] = {0};
	struct ce_sglist *list;
	unsigned int i;

	(void)state;
	assert_non_null(cpu);
	show(adapter, devices[0], 1);
	assert_int_equal(value_of("transfers"), 0);
	for (i = 0; i < 70; i++) {
		assert_int_equal(ce_transfer_copy(adapter, &t, memory + 4096, memory, 4096), 0);
		assert_int_equal(finish(adapter, &t), 0);
	}
	assert_int_equal(ce_transfer_copy(adapter, &t, memory + 4096, memory, 100), 0);
	assert_int_equal(finish(adapter, &t), 0);
	buffer = ce_common_buffer_alloc(adapter, 8192);
	assert_non_null(buffer);
	window.iova = buffer->iova;
	list = ce_sglist_build_iova(adapter, &window, 1);
	assert_non_null(list);
	t = (struct ce_transfer){.src_va = unreached, .dst = list, .length = 4096};
	assert_int_equal(ce_transfer_submit(adapter, &t), 0);
	assert_int_equal(finish(adapter, &t), 0);
	show(adapter, devices[0], 1);
	assert_int_equal(value_of("transfers"), 72);
	assert_int_equal(value_of("engine_bytes"), 71 * 4096);
	assert_int_equal(value_of("cpu_bytes"), 100);
	assert_int_equal(value_of("bounced"), 4096);
	assert_int_equal(value_of("bytes"), 71 * 4096 + 100);
	assert_true(value_of("operations") >= 71);
	assert_int_equal(value_of("common_bytes"), 8192);
	assert_int_equal(value_of("sg_blocks"), 1);
	assert_true(value_of("latency_max_ns") > 0);
	ce_sglist_free(list);
	ce_common_buffer_free(buffer);
	adapter_put(adapter);

	/* More than the CPU does in one go: the last is cancelled before it has begun. */
	for (i = 0; i < RTE_DIM(cancelled); i++)
		assert_int_equal(ce_transfer_copy(cpu, &cancelled[i], memory + 4096, memory, 4096), 0);
	for (i = 0; i < RTE_DIM(cancelled) && ce_transfer_cancel(cpu, &cancelled[i]) != 0; i++)
		;
	for (i = 0; i < RTE_DIM(cancelled); i++)
		finish(cpu, &cancelled[i]);
	show(cpu, -1, 0);
	assert_int_equal(value_of("transfers") + value_of("failed"), RTE_DIM(cancelled));
	assert_int_equal(value_of("engine_bytes"), 0);
	adapter_put(cpu);
	dma_free(memory);
	free(unreached);
}

/* Wrong parameters are answered, with nothing. */
static void
wrong(void **state)
{
	static const char *const commands[] = {"/copyengine/handle", "/copyengine/handle,",
		"/copyengine/handle,x", "/copyengine/handle,1x", "/copyengine/handle,4294967295"};
	struct ce_adapter *adapter = adapter_get(NULL);
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(commands); i++) {
		ask(commands[i]);
		assert_null(strstr(answer, "transfers"));
		assert_non_null(strstr(answer, "/copyengine/handle"));
	}
	assert_non_null(strstr(ask("/help,/copyengine/handle"), "counters"));
	assert_non_null(strstr(ask("/"), "/copyengine/handles"));
	adapter_put(adapter);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handles),
		cmocka_unit_test(handle),
		cmocka_unit_test(wrong),
	};
	int failed;

	with_telemetry = true;
	test_begin(argc, argv);
	failed = cmocka_run_group_tests_name("telemetry", tests, connect_to_dpdk, disconnect);
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
