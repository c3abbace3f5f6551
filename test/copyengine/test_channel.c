/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Arbitration: ask for a channel, be called back, map, flush, free. */

#include "common.h"

#define KB 1024
#define REQUESTERS 4

/* A requester who remembers what happened to him. */
struct requester {
	struct ce_channel_request request;
	struct ce_adapter *adapter;
	enum ce_channel_action action;
	unsigned int called;
	unsigned int order;
};

static struct ce_controller *controller;
static struct requester requesters[REQUESTERS];
static unsigned int turn;

static enum ce_channel_action
called_back(struct ce_channel_request *request, void *arg)
{
	struct requester *r = arg;

	assert_ptr_equal(request, &r->request);
	r->called++;
	r->order = turn++;
	return r->action;
}

static void
begin(unsigned int channels, const struct ce_adapter_conf *conf)
{
	const struct ce_channel_id ids[] = {{.dev_id = devices[0]}, {.dev_id = devices[1]}};
	struct ce_adapter_conf full = conf == NULL ? by_engine : *conf;
	unsigned int i;

	full.break_even = 1;
	controller = ce_controller_create(ids, channels, &full);
	assert_non_null(controller);
	turn = 0;
	for (i = 0; i < REQUESTERS; i++) {
		requesters[i] = (struct requester){.action = CE_CHANNEL_KEEP};
		requesters[i].request.cb = called_back;
		requesters[i].request.arg = &requesters[i];
		requesters[i].request.map_registers = 4;
		requesters[i].adapter = ce_controller_adapter_get(controller, NULL);
		assert_non_null(requesters[i].adapter);
	}
}

static void
end(void)
{
	unsigned int i;

	assert_int_equal(ce_controller_destroy(controller), -EBUSY);
	for (i = 0; i < REQUESTERS; i++)
		adapter_put(requesters[i].adapter);
	assert_int_equal(ce_controller_destroy(controller), 0);
	/* The device is as free as before. */
	adapter_put(adapter_get(NULL));
}

static void
ask(unsigned int i)
{
	assert_int_equal(ce_channel_request(requesters[i].adapter, &requesters[i].request), 0);
}

static void
poll_all(void)
{
	unsigned int i;

	for (i = 0; i < REQUESTERS; i++)
		run(requesters[i].adapter);
}

/* At once when free, in order when not. */
static void
first_come(void **state)
{
	unsigned int i;

	(void)state;
	begin(1, NULL);
	for (i = 0; i < REQUESTERS; i++)
		ask(i);
	assert_int_equal(requesters[0].called, 1);
	poll_all();
	for (i = 1; i < REQUESTERS; i++)
		assert_int_equal(requesters[i].called, 0);
	assert_int_equal(ce_channel_request(requesters[1].adapter, &requesters[1].request), -EBUSY);
	assert_int_equal(ce_channel_free(&requesters[1].request), -EPERM);
	assert_int_equal(ce_adapter_put(requesters[1].adapter), -EBUSY);

	for (i = 0; i < REQUESTERS; i++) {
		assert_int_equal(requesters[i].called, 1);
		assert_int_equal(requesters[i].order, i);
		assert_int_equal(ce_channel_free(&requesters[i].request), 0);
		poll_all();
	}
	/* Freed is freed. */
	assert_int_equal(ce_channel_free(&requesters[0].request), 0);
	end();
}

static void
two_channels(void **state)
{
	(void)state;
	begin(2, NULL);
	ask(0);
	ask(1);
	ask(2);
	assert_int_equal(requesters[0].called + requesters[1].called, 2);
	assert_int_not_equal(requesters[0].request.channel, requesters[1].request.channel);
	poll_all();
	assert_int_equal(requesters[2].called, 0);
	assert_int_equal(ce_channel_free(&requesters[1].request), 0);
	poll_all();
	assert_int_equal(requesters[2].called, 1);
	assert_int_equal(requesters[2].request.channel, requesters[1].request.channel);
	assert_int_equal(ce_channel_free(&requesters[0].request), 0);
	assert_int_equal(ce_channel_free(&requesters[2].request), 0);
	end();
}

/* Release in the callback, keep the map registers or not. */
static void
release(void **state)
{
	uint8_t *memory = dma_alloc(8 * KB);
	struct ce_transfer t = {.length = 4 * KB};
	struct requester *keeper = &requesters[0];

	(void)state;
	begin(1, NULL);
	keeper->action = CE_CHANNEL_RELEASE_KEEP;
	requesters[1].action = CE_CHANNEL_RELEASE;
	ask(0);
	ask(1);
	ask(2);
	poll_all();
	assert_int_equal(requesters[1].called, 1);
	assert_int_equal(requesters[2].called, 1);

	/* The keeper transfers beside the holder. */
	pattern_fill(memory, 4 * KB, 1);
	t.src = ce_sglist_build(keeper->adapter, memory, 4 * KB);
	t.dst = ce_sglist_build(keeper->adapter, memory + 4 * KB, 4 * KB);
	assert_int_equal(ce_channel_map(&requesters[1].request, &t), -EPERM);
	assert_int_equal(ce_channel_map(&keeper->request, &t), 4 * KB);
	assert_int_equal(ce_channel_free(&keeper->request), -EBUSY);
	assert_int_equal(finish(keeper->adapter, &t), 0);
	assert_int_equal(ce_channel_flush(&keeper->request), 0);
	assert_true(pattern_is(memory + 4 * KB, 4 * KB, 1));
	assert_int_equal(ce_channel_free(&keeper->request), 0);
	assert_int_equal(ce_channel_free(&requesters[2].request), 0);
	ce_sglist_free(t.src);
	ce_sglist_free(t.dst);
	end();
	dma_free(memory);
}

/* Map registers are what those who keep them lack to the others. */
static void
map_registers(void **state)
{
	struct ce_adapter_conf conf = {.ring_size = 32};
	struct ce_adapter_info info;
	struct ce_adapter *alone;
	unsigned int i;

	(void)state;
	/* More than half of what there is. */
	alone = adapter_get(&conf);
	ce_adapter_info_get(alone, &info);
	conf.map_registers = info.map_registers / 2 + 2;
	adapter_put(alone);
	begin(1, &conf);
	for (i = 0; i < 3; i++) {
		requesters[i].action = CE_CHANNEL_RELEASE_KEEP;
		requesters[i].request.map_registers = conf.map_registers;
	}
	requesters[3].request.map_registers = 1;
	ask(0);
	ask(1);
	ask(3);
	poll_all();
	/* The channel is free, and still nobody overtakes the one who waits for map registers. */
	assert_int_equal(requesters[0].called, 1);
	assert_int_equal(requesters[1].called, 0);
	assert_int_equal(requesters[3].called, 0);
	assert_int_equal(ce_channel_free(&requesters[0].request), 0);
	poll_all();
	assert_int_equal(requesters[1].called, 1);
	assert_int_equal(requesters[3].called, 1);
	assert_int_equal(ce_channel_free(&requesters[1].request), 0);
	assert_int_equal(ce_channel_free(&requesters[3].request), 0);

	/* What can never be had is refused. */
	requesters[2].request.map_registers = conf.map_registers + 1;
	assert_int_equal(ce_channel_request(requesters[2].adapter, &requesters[2].request), -EINVAL);
	requesters[2].request.map_registers = 0;
	assert_int_equal(ce_channel_request(requesters[2].adapter, &requesters[2].request), -EINVAL);
	end();
}

static void
cancel(void **state)
{
	(void)state;
	begin(1, NULL);
	assert_int_equal(ce_channel_cancel(&requesters[0].request), -EBUSY);
	ask(0);
	ask(1);
	ask(2);
	assert_int_equal(ce_channel_cancel(&requesters[0].request), -EBUSY);
	/* One that queues, and one that has been granted and does not know yet. */
	assert_int_equal(ce_channel_cancel(&requesters[1].request), 0);
	assert_int_equal(ce_channel_free(&requesters[0].request), 0);
	assert_int_equal(ce_channel_cancel(&requesters[2].request), 0);
	poll_all();
	assert_int_equal(requesters[1].called + requesters[2].called, 0);
	/* The channel is not lost by that. */
	ask(3);
	assert_int_equal(requesters[3].called, 1);
	assert_int_equal(ce_channel_free(&requesters[3].request), 0);
	end();
}

/* A transfer larger than the map registers: map, flush, map, flush. */
static void
map_and_flush(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SG, .max_segment = KB};
	const uint64_t length = 50 * KB + 17;
	struct requester *r = &requesters[0];
	uint8_t *from = dma_alloc(length), *to = dma_alloc(length);
	struct ce_transfer t = {0};
	struct ce_sglist *src, *dst;
	uint64_t done = 0;
	unsigned int flushes = 0;
	int64_t mapped;

	(void)state;
	begin(1, NULL);
	adapter_put(r->adapter);
	r->adapter = ce_controller_adapter_get(controller, &conf);
	pattern_fill(from, length, 2);
	src = ce_sglist_build(r->adapter, from, length);
	dst = ce_sglist_build(r->adapter, to, length);
	ask(0);
	while (done < length) {
		t = (struct ce_transfer){.src = src, .dst = dst, .src_offset = done,
			.dst_offset = done, .length = length - done};
		mapped = ce_channel_map(&r->request, &t);
		assert_in_range(mapped, 1, 4 * KB);
		assert_int_equal(t.length, mapped);
		assert_int_equal(ce_channel_flush(&r->request), -EINPROGRESS);
		if (mapped == 4 * KB) {
			struct ce_transfer more = {.src = src, .dst = dst, .length = 1};

			assert_int_equal(ce_channel_map(&r->request, &more), -EAGAIN);
		}
		assert_int_equal(finish(r->adapter, &t), 0);
		assert_int_equal(ce_channel_flush(&r->request), 0);
		done += mapped;
		flushes++;
	}
	assert_int_equal(flushes, 13);
	assert_int_equal(ce_transfer_submit(r->adapter, &t), -EINVAL);
	assert_int_equal(ce_transfer_copy(r->adapter, &t, to, from, 1), -EINVAL);
	assert_int_equal(ce_channel_free(&r->request), 0);
	assert_true(pattern_is(to, length, 2));
	ce_sglist_free(src);
	ce_sglist_free(dst);
	end();
	dma_free(from);
	dma_free(to);
}

/* A holder whose transfer fails gives the channel back, at each piece of it. */
static void
holder_fails(void **state)
{
	const struct ce_adapter_conf conf = {.flags = CE_ADAPTER_NO_SG, .max_segment = KB};
	struct requester *r = &requesters[0];
	struct ce_transfer t = {0};
	struct ce_sglist *list;
	uint8_t *memory;
	unsigned int i;
	char fault[32];

	(void)state;
	if (!is_cbdma)
		skip();
	begin(1, NULL);
	adapter_put(r->adapter);
	r->adapter = ce_controller_adapter_get(controller, &conf);
	memory = dma_alloc(8 * KB);
	list = ce_sglist_build(r->adapter, memory, 8 * KB);
	for (i = 0; i < 4; i++) {
		snprintf(fault, sizeof(fault), "fail:at=%u", i);
		inject(devices[0], fault);
		ask(0);
		ask(1);
		t = (struct ce_transfer){.src = list, .dst = list, .dst_offset = 4 * KB,
			.length = 4 * KB};
		assert_int_equal(ce_channel_map(&r->request, &t), 4 * KB);
		assert_int_equal(finish(r->adapter, &t), -EIO);
		assert_int_equal(t.failed_at, i * KB);
		assert_int_equal(ce_channel_flush(&r->request), -EIO);
		assert_int_equal(ce_channel_map(&r->request, &t), -EIO);
		poll_all();
		assert_int_equal(requesters[1].called, i + 1);
		assert_int_equal(ce_channel_free(&r->request), 0);
		assert_int_equal(ce_channel_free(&requesters[1].request), 0);
	}
	ce_sglist_free(list);
	end();
	dma_free(memory);
}

static enum ce_channel_action
request_other(struct ce_channel_request *request, void *arg)
{
	struct requester *r = arg;
	struct requester *other = &requesters[r == &requesters[0]];

	(void)request;
	r->called++;
	ce_channel_request(other->adapter, &other->request);
	return CE_CHANNEL_RELEASE;
}

/* Two callbacks of a handle that request each other: each call does so much and returns. */
static void
endless(void **state)
{
	unsigned int i, called;

	(void)state;
	begin(1, NULL);
	adapter_put(requesters[1].adapter);
	requesters[1].adapter = requesters[0].adapter;
	requesters[0].request.cb = request_other;
	requesters[1].request.cb = request_other;
	ask(0);
	for (i = 0; i < 10; i++) {
		called = requesters[0].called + requesters[1].called;
		run(requesters[0].adapter);
		assert_in_range(requesters[0].called + requesters[1].called, called + 1, called + 64);
	}
	for (i = 0; i < 2; i++)
		ce_channel_cancel(&requesters[i].request);
	requesters[1].adapter = ce_controller_adapter_get(controller, NULL);
	end();
}

/* A handle of a controller is as well looked at as any other, and has the controller's flags. */
static void
bad_handles(void **state)
{
	const struct ce_adapter_conf bad[] = {{.max_segment = 1}, {.flags = 1u << 20},
		{.bounce_size = 1}, {.bounce_size = 2 << 20}, {.nb_stripes = 1}};
	const struct ce_adapter_conf no_sg = {.flags = CE_ADAPTER_NO_SG | CE_ADAPTER_NO_SVA};
	struct ce_adapter_info info;
	unsigned int i;

	(void)state;
	begin(1, NULL);
	ce_adapter_info_get(requesters[0].adapter, &info);
	assert_int_equal(info.map_registers, 64);
	for (i = 0; i < RTE_DIM(bad); i++) {
		rte_errno = 0;
		assert_null(ce_controller_adapter_get(controller, &bad[i]));
		assert_int_equal(rte_errno, EINVAL);
	}
	end();
	begin(1, &no_sg);
	ce_adapter_info_get(requesters[0].adapter, &info);
	assert_false(info.sg || info.sva);
	end();
}

/* Between two periods of a paced cyclic transfer nothing is under way, and the channel is its own. */
static void
held_by_cyclic(void **state)
{
	struct requester *r = &requesters[0];
	struct ce_common_buffer *ring;
	struct ce_cyclic_conf conf = {.period = 512, .period_ns = 1000000000, .request = &r->request};
	struct ce_cyclic *cyclic;
	struct ce_cyclic_stats stats;

	(void)state;
	begin(1, NULL);
	ring = ce_common_buffer_alloc(r->adapter, 8 * KB);
	ask(0);
	conf.buffer = ring;
	conf.length = 4 * KB;
	conf.peer = ring->iova + 4 * KB;
	cyclic = ce_cyclic_start(r->adapter, &conf);
	assert_non_null(cyclic);
	do {
		run(r->adapter);
		ce_cyclic_stats_get(cyclic, &stats);
	} while (stats.periods == 0);
	assert_int_equal(ce_channel_free(&r->request), -EBUSY);
	assert_int_equal(ce_cyclic_stop(cyclic), 0);
	assert_int_equal(ce_channel_free(&r->request), 0);
	ce_common_buffer_free(ring);
	end();
}

/* A cyclic transfer that would queue more than its request has does not stand in others' way. */
static void
cyclic_neighbour(void **state)
{
	/* As few as the two requests need. */
	const struct ce_adapter_conf few = {.map_registers = 4};
	struct requester *a = &requesters[0], *b = &requesters[1];
	struct ce_common_buffer *ring;
	struct ce_cyclic_conf conf = {.period = 512, .ahead = 7, .request = &a->request};
	struct ce_cyclic *cyclic;
	struct ce_transfer t = {.length = 100};
	unsigned int i, mapped = 0;

	(void)state;
	begin(1, NULL);
	/* One handle: b keeps map registers on the channel that a then gets. */
	adapter_put(b->adapter);
	adapter_put(a->adapter);
	a->adapter = ce_controller_adapter_get(controller, &few);
	assert_non_null(a->adapter);
	b->adapter = a->adapter;
	b->request.map_registers = 2;
	b->action = CE_CHANNEL_RELEASE_KEEP;
	a->request.map_registers = 2;
	ring = ce_common_buffer_alloc(a->adapter, 8 * KB);
	ask(1);
	ask(0);
	assert_int_equal(a->called + b->called, 2);
	conf.buffer = ring;
	conf.length = 4 * KB;
	conf.peer = ring->iova + 4 * KB;
	cyclic = ce_cyclic_start(a->adapter, &conf);
	assert_non_null(cyclic);
	t.src = ce_sglist_build(b->adapter, RTE_PTR_ADD(ring->va, 5 * KB), 100);
	t.dst = ce_sglist_build(b->adapter, RTE_PTR_ADD(ring->va, 6 * KB), 100);
	for (i = 0; i < 50; i++) {
		ce_poll(a->adapter);
		/* Never refused: its map registers are free. */
		assert_int_equal(ce_channel_map(&b->request, &t), 100);
		assert_int_equal(finish(a->adapter, &t), 0);
		mapped++;
	}
	assert_int_equal(mapped, 50);
	while (ce_cyclic_stop(cyclic) == -EINPROGRESS)
		run(a->adapter);
	ce_sglist_free(t.src);
	ce_sglist_free(t.dst);
	assert_int_equal(ce_channel_free(&a->request), 0);
	assert_int_equal(ce_channel_free(&b->request), 0);
	ce_common_buffer_free(ring);
	b->adapter = ce_controller_adapter_get(controller, NULL);
	end();
}

static void
bad_controllers(void **state)
{
	const struct ce_channel_id bad = {.dev_id = 60}, twice[] = {
		{.dev_id = devices[0]}, {.dev_id = devices[0]}};
	const struct ce_channel_id good = {.dev_id = devices[0]};
	struct ce_adapter *adapter;

	(void)state;
	assert_null(ce_controller_create(&good, 0, NULL));
	assert_null(ce_controller_create(&good, CE_MAX_CHANNELS + 1, NULL));
	assert_null(ce_controller_create(&bad, 1, NULL));
	assert_int_equal(rte_errno, EINVAL);
	/* A channel cannot be there twice: its map registers are taken. */
	assert_null(ce_controller_create(twice, 2, NULL));
	assert_int_equal(rte_errno, ENOSPC);
	adapter = adapter_get(NULL);
	assert_null(ce_controller_create(&good, 1, NULL));
	assert_int_equal(rte_errno, EBUSY);
	adapter_put(adapter);
	assert_int_equal(ce_controller_destroy(NULL), 0);
}

/*
 * What two requests of a handle have under way on a channel is not more than the handle may have
 * there, or the failure of one would be taken for another's.
 */
static void
requests_together(void **state)
{
	const struct ce_adapter_conf conf = {.map_registers = 4};
	struct requester *r = requesters;
	struct ce_channel_request *both[2] = {&r[0].request, &r[1].request};
	struct ce_transfer t[8] = {0};
	uint8_t *memory = dma_alloc(16 * KB);
	const double limit = seconds() + 60;
	struct ce_adapter_stats stats;
	unsigned int i, done = 0;
	int64_t ret;

	(void)state;
	begin(1, NULL);
	adapter_put(r[0].adapter);
	r[0].adapter = ce_controller_adapter_get(controller, &conf);
	assert_non_null(r[0].adapter);
	r[0].action = CE_CHANNEL_RELEASE_KEEP;
	for (i = 0; i < 2; i++)
		assert_int_equal(ce_channel_request(r[0].adapter, both[i]), 0);
	assert_int_equal(r[0].called + r[1].called, 2);
	pattern_fill(memory, 8 * KB, 4);
	if (is_cbdma)
		inject(devices[0], "fail:at=4");
	for (i = 0; i < 8;) {
		t[i] = (struct ce_transfer){.length = KB, .src_va = memory + i * KB,
			.dst_va = memory + (8 + i) * KB};
		ret = ce_channel_map(both[i / 4], &t[i]);
		if (ret == KB) {
			i++;
			continue;
		}
		assert_int_equal(ret, -EAGAIN);
		ce_adapter_stats_get(r[0].adapter, &stats);
		assert_in_range(stats.map_registers, 1, 4);
		assert_true(seconds() < limit);
		run(r[0].adapter);
		/* What failed has freed the channel: the rest of it is not mapped. */
		if (r[1].request.status < 0)
			break;
	}
	/* All that is under way, and then a poll. */
	step_devices(8);
	for (done = 0; done < i; done++) {
		assert_int_equal(finish(r[0].adapter, &t[done]), is_cbdma && done == 4 ? -EIO : 0);
		if (t[done].status == 0)
			assert_memory_equal(memory + (8 + done) * KB, memory + done * KB, KB);
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(ce_channel_free(both[i]), 0);
	dma_free(memory);
	end();
}

/* A fence is for all of a handle, on whichever of its channels. */
static void
fence_elsewhere(void **state)
{
	struct requester *r = requesters;
	struct ce_transfer first = {.length = 16 * KB}, second = {.length = KB};
	uint8_t *memory = dma_alloc(40 * KB);
	const double limit = seconds() + 60;
	int64_t ret;

	(void)state;
	begin(2, NULL);
	ask(0);
	assert_int_equal(ce_channel_request(r[0].adapter, &r[1].request), 0);
	assert_int_not_equal(r[0].request.channel, r[1].request.channel);
	pattern_fill(memory, 16 * KB, 8);
	first.src_va = memory;
	first.dst_va = memory + 16 * KB;
	second.src_va = memory + 31 * KB;
	second.dst_va = memory + 32 * KB;
	second.flags = CE_TRANSFER_FENCE;
	assert_int_equal(ce_channel_map(&r[0].request, &first), 16 * KB);
	while ((ret = ce_channel_map(&r[1].request, &second)) == -EAGAIN) {
		assert_true(seconds() < limit);
		run(r[0].adapter);
	}
	assert_int_equal(ret, KB);
	assert_int_equal(first.status, 0);
	assert_int_equal(finish(r[0].adapter, &second), 0);
	assert_memory_equal(memory + 32 * KB, memory + 15 * KB, KB);
	assert_int_equal(ce_channel_free(&r[0].request), 0);
	assert_int_equal(ce_channel_free(&r[1].request), 0);
	dma_free(memory);
	end();
}

static enum ce_channel_action
close_within(struct ce_channel_request *request, void *arg)
{
	struct requester *r = arg;

	(void)request;
	r->called++;
	assert_int_equal(ce_poll(r->adapter), 0);
	assert_int_equal(ce_drain(r->adapter, 0), -EDEADLK);
	assert_int_equal(ce_adapter_put(r->adapter), -EBUSY);
	assert_int_equal(ce_adapter_close(r->adapter, 0), -EDEADLK);
	return CE_CHANNEL_RELEASE;
}

/* Within a callback there is no closing, also when it is called at once. */
static void
no_close_within(void **state)
{
	struct requester *r = &requesters[0];

	(void)state;
	begin(1, NULL);
	r->request.cb = close_within;
	ask(0);
	assert_int_equal(r->called, 1);
	/* And afterwards the handle polls as ever. */
	ask(1);
	ask(0);
	assert_int_equal(ce_channel_free(&requesters[1].request), 0);
	poll_all();
	assert_int_equal(r->called, 2);
	end();
}

int
test_channel(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_come),
		cmocka_unit_test(two_channels),
		cmocka_unit_test(release),
		cmocka_unit_test(map_registers),
		cmocka_unit_test(cancel),
		cmocka_unit_test(map_and_flush),
		cmocka_unit_test(holder_fails),
		cmocka_unit_test(endless),
		cmocka_unit_test(bad_handles),
		cmocka_unit_test(held_by_cyclic),
		cmocka_unit_test(cyclic_neighbour),
		cmocka_unit_test(bad_controllers),
		cmocka_unit_test(requests_together),
		cmocka_unit_test(fence_elsewhere),
		cmocka_unit_test(no_close_within),
	};

	return cmocka_run_group_tests_name("channels", tests, NULL, NULL);
}
