/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * A library compiled with -DCE_DEBUG: it names the call that a thread makes on a handle while another
 * is in one, and nothing else.
 */

#include "common.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_log.h>
#include <rte_mbuf.h>

static struct ce_controller *controller;
static struct ce_adapter *plain, *requester;
static uint8_t memory[2][4096];
static struct ce_transfer transfer;
static struct ce_channel_request request;
static sem_t inside, go_on;

static enum ce_channel_action
granted(struct ce_channel_request *r, void *arg)
{
	(void)r;
	(void)arg;
	return CE_CHANNEL_KEEP;
}

static void
do_poll(void)
{
	ce_poll(plain);
}

static void
do_collect(void)
{
	struct ce_transfer *finished;

	ce_collect(plain, &finished, 1);
}

static void
do_copy(void)
{
	ce_transfer_copy(plain, &transfer, memory[1], memory[0], 100);
}

static void
do_fill(void)
{
	ce_transfer_fill(plain, &transfer, memory[1], 0, 100);
}

static void
do_transfer_submit(void)
{
	ce_transfer_submit(plain, &transfer);
}

static void
do_submit(void)
{
	struct ce_transfer *list = &transfer;

	ce_submit(plain, &list, 1);
}

static void
do_transfer_cancel(void)
{
	ce_transfer_cancel(plain, &transfer);
}

static void
do_build(void)
{
	ce_sglist_free(ce_sglist_build(plain, memory[0], 100));
}

static void
do_register(void)
{
	ce_memory_register(plain, memory[0], 100);
}

static void
do_unregister(void)
{
	ce_memory_unregister(plain, memory[0], 100);
}

static void
do_put(void)
{
	ce_adapter_put(plain);
}

static void
do_start(void)
{
	const struct ce_cyclic_conf conf = {0};

	ce_cyclic_start(plain, &conf);
}

static void
do_request(void)
{
	ce_channel_request(requester, &request);
}

static void
do_map(void)
{
	transfer.src_va = memory[0];
	transfer.dst_va = memory[1];
	transfer.length = 100;
	ce_channel_map(&request, &transfer);
}

static void
do_free(void)
{
	ce_channel_free(&request);
}

static void
do_cancel(void)
{
	ce_channel_cancel(&request);
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
	{"ce_poll", do_poll}, {"ce_collect", do_collect}, {"ce_transfer_copy", do_copy},
	{"ce_transfer_fill", do_fill}, {"ce_transfer_submit", do_transfer_submit},
	{"ce_submit", do_submit}, {"ce_transfer_cancel", do_transfer_cancel},
	{"ce_sglist_build", do_build}, {"ce_memory_register", do_register},
	{"ce_memory_unregister", do_unregister}, {"ce_adapter_put", do_put},
	{"ce_cyclic_start", do_start}, {"ce_channel_request", do_request}, {"ce_channel_map", do_map},
	{"ce_channel_free", do_free}, {"ce_channel_cancel", do_cancel},
};

/* Stay in a call until told to go on, having made calls of its own. */
static void
stay(void)
{
	struct ce_sglist *list = ce_sglist_build(plain, memory[0], 10);

	assert_non_null(list);
	ce_sglist_free(list);
	assert_int_equal(ce_poll(plain), 0);
	sem_post(&inside);
	while (sem_wait(&go_on) < 0)
		;
}

static void
stay_in_poll(struct ce_transfer *t, void *arg)
{
	(void)t;
	(void)arg;
	stay();
}

static enum ce_channel_action
stay_in_request(struct ce_channel_request *r, void *arg)
{
	(void)r;
	(void)arg;
	stay();
	return CE_CHANNEL_RELEASE;
}

static void *
other_thread(void *arg)
{
	struct ce_channel_request held = {.map_registers = 1, .cb = stay_in_request};
	struct ce_transfer t = {.cb = stay_in_poll};

	if (arg != NULL) {
		assert_int_equal(ce_channel_request(requester, &held), 0);
		return NULL;
	}
	assert_int_equal(ce_transfer_copy(plain, &t, memory[1] + 2048, memory[0], 100), 0);
	assert_int_equal(finish(plain, &t), 0);
	return NULL;
}

/* What is logged when a call is made, while another thread is in one or after it. */
static char *
logged_by(unsigned int i, bool together, bool in_request)
{
	FILE *stream;
	pthread_t id;
	size_t length;
	char *text;

	memset(&transfer, 0, sizeof(transfer));
	stream = open_memstream(&text, &length);
	assert_non_null(stream);
	rte_openlog_stream(stream);
	assert_int_equal(pthread_create(&id, NULL, other_thread, in_request ? &request : NULL), 0);
	while (sem_wait(&inside) < 0)
		;
	if (!together) {
		sem_post(&go_on);
		pthread_join(id, NULL);
	}
	calls[i].call();
	if (together) {
		sem_post(&go_on);
		pthread_join(id, NULL);
	}
	if (transfer.status == -EINPROGRESS && calls[i].call != do_map)
		finish(plain, &transfer);
	rte_openlog_stream(NULL);
	fclose(stream);
	return text;
}

static void
names_the_call(void **state)
{
	char expected[64], *text;
	unsigned int i;
	bool in_request, there;

	(void)state;
	for (i = 0; i < RTE_DIM(calls); i++) {
		in_request = strncmp(calls[i].name, "ce_channel", 10) == 0;
		/* What is asked of a request that has no handle yet concerns nobody. */
		request = (struct ce_channel_request){.map_registers = 1, .cb = granted};
		if (in_request && calls[i].call != do_request)
			assert_int_equal(ce_channel_request(requester, &request), 0);
		if (in_request && calls[i].call != do_request)
			assert_int_equal(ce_channel_free(&request), 0);
		snprintf(expected, sizeof(expected), "%s() by thread ", calls[i].name);
		text = logged_by(i, true, in_request);
		there = text != NULL && strstr(text, expected) != NULL;
		if (!there)
			print_error("%s: logged: \"%s\"\n", calls[i].name, text == NULL ? "" : text);
		assert_true(there);
		free(text);
		if (calls[i].call == do_request) {
			ce_poll(requester);
			assert_int_equal(ce_channel_free(&request), 0);
		}
		if (calls[i].call == do_register)
			do_unregister();
	}
}

/* Calls from a callback, of threads one after the other, and on other handles. */
static void
names_no_other(void **state)
{
	struct ce_adapter *own = plain;
	unsigned int i;
	char *text;

	(void)state;
	for (i = 0; i < RTE_DIM(calls); i++) {
		if (calls[i].call == do_put || strncmp(calls[i].name, "ce_channel", 10) == 0)
			continue;
		text = logged_by(i, false, false);
		assert_null(strstr(text, "by thread"));
		free(text);
		if (calls[i].call == do_register)
			do_unregister();
	}
	/* The other thread stays in a call on the handle of the controller. */
	plain = ce_adapter_get(CE_CPU, NULL);
	assert_non_null(plain);
	text = logged_by(2, true, true);
	assert_null(strstr(text, "by thread"));
	free(text);
	assert_int_equal(ce_adapter_put(plain), 0);
	plain = own;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_the_call),
		cmocka_unit_test(names_no_other),
	};
	struct ce_channel_id id;
	int failed;

	test_begin(argc, argv);
	id = (struct ce_channel_id){.dev_id = devices[1]};
	plain = ce_adapter_get(devices[0], NULL);
	controller = ce_controller_create(&id, 1, NULL);
	requester = controller == NULL ? NULL : ce_controller_adapter_get(controller, NULL);
	if (plain == NULL || requester == NULL) {
		fprintf(stderr, "no handles: %s\n", rte_strerror(rte_errno));
		return EXIT_FAILURE;
	}
	sem_init(&inside, 0, 0);
	sem_init(&go_on, 0, 0);
	failed = cmocka_run_group_tests_name("debug", tests, NULL, NULL);
	failed += ce_adapter_put(plain) < 0 || ce_adapter_put(requester) < 0 ||
		ce_controller_destroy(controller) < 0;
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
