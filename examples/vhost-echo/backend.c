/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include "backend.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_dmadev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_ring.h>
#include <rte_vhost.h>
#include <rte_vhost_async.h>

#include "example.h"

/* Queues have the guest's names. */
enum { GUEST_RX, GUEST_TX, QUEUES };

#define VCHAN 0
#define PAGE  4096 /* the smallest that a guest's memory can be of */

/* In a ring that is full lib/vhost prepares packets in vain: a long one takes a copy for each of its
 * pieces, some ten both ways.
 */
#define RING 4096

/* Milliseconds without a copy that ends: more than dma_cbdma needs to recover. */
#define PATIENCE 2000

#define LONGEST 32768 /* a guest's ring */

static struct {
	const char *path;
	int16_t dma_id; /* -1: none */
	int16_t spared; /* the DMA device that does not reach this guest's memory; -1: none */
	bool maps;	/* the device reaches what has been mapped for it only */
	struct rte_mempool *pool;
	struct rte_vhost_memory *memory;
	atomic_int vid; /* of the guest; -1: none */
	atomic_bool entered;
	pthread_mutex_t mapping; /* who maps, or ends the use of the device */
	bool stopped[QUEUES];
	uint16_t sizes[QUEUES];
	struct rte_ring *late; /* packets from the guest that were waited for as its queue stopped */
} backend = {.vid = -1, .spared = -1, .mapping = PTHREAD_MUTEX_INITIALIZER};

/* The DMA device */

static void
start_dma(void)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	struct rte_dma_vchan_conf vchan = {.direction = RTE_DMA_DIR_MEM_TO_MEM};
	struct rte_dma_info info;
	int ret = rte_dma_info_get(backend.dma_id, &info);

	if (ret != 0)
		example_fail("no DMA device %d", backend.dma_id);
	vchan.nb_desc = RTE_MIN(RTE_MAX(RING, info.min_desc), info.max_desc);
	backend.maps = !(info.dev_capa & RTE_DMA_CAPA_SVA);
	ret = rte_dma_configure(backend.dma_id, &conf);
	if (ret == 0)
		ret = rte_dma_vchan_setup(backend.dma_id, VCHAN, &vchan);
	if (ret == 0)
		ret = rte_dma_start(backend.dma_id);
	if (ret != 0)
		example_fail("%s does not start: %s", info.dev_name, rte_strerror(-ret));
	if (rte_vhost_async_dma_configure(backend.dma_id, VCHAN) != 0)
		example_fail("lib/vhost does not take %s", info.dev_name);
}

/*
 * Memory of the guest, for a device that does not share the process's addresses: lib/vhost maps it for
 * devices behind vfio-pci by itself, for others nobody does. Where IOVAs are physical addresses, each
 * page has one of its own; pages that lie side by side are mapped as one.
 */
static int
map_region(const struct rte_vhost_mem_region *region, bool map)
{
	uint8_t *start = (uint8_t *)(uintptr_t)region->host_user_addr;
	struct rte_dma_info info;
	struct rte_dev_iterator it;
	struct rte_device *dev;
	uint64_t done, size;
	rte_iova_t iova;
	int ret = 0;

	rte_dma_info_get(backend.dma_id, &info);
	if (map && rte_extmem_register(start, region->size, NULL, 0, PAGE) != 0)
		return -rte_errno;
	RTE_DEV_FOREACH(dev, "bus=vdev", &it)
		if (strcmp(rte_dev_name(dev), info.dev_name) == 0)
			break;
	for (done = 0; dev != NULL && ret == 0 && done < region->size; done += size) {
		iova = rte_mem_virt2iova(start + done);
		for (size = PAGE; done + size < region->size; size += PAGE)
			if (rte_mem_virt2iova(start + done + size) != iova + size)
				break;
		ret = map ? rte_dev_dma_map(dev, start + done, iova, size) :
			    rte_dev_dma_unmap(dev, start + done, iova, size);
	}
	if (!map)
		rte_extmem_unregister(start, region->size);
	return ret == 0 ? 0 : -rte_errno;
}

static void
unmap_guest(void)
{
	uint32_t i;

	for (i = 0; backend.memory != NULL && i < backend.memory->nregions; i++)
		map_region(&backend.memory->regions[i], false);
	free(backend.memory);
	backend.memory = NULL;
}

/* A device that does not reach all of a guest's memory would fail its copies: they are the CPU's. */
static void
map_guest(int vid)
{
	uint32_t i;
	int ret = rte_vhost_get_mem_table(vid, &backend.memory);

	for (i = 0; ret == 0 && i < backend.memory->nregions; i++)
		ret = map_region(&backend.memory->regions[i], true);
	if (ret == 0)
		return;
	fprintf(stderr, "the guest's memory cannot be mapped, the CPU copies: %s\n", rte_strerror(-ret));
	unmap_guest();
	backend.spared = backend.dma_id;
	backend.dma_id = -1;
}

/* When the guest goes: the next one's memory may be in reach. */
static void
forget_memory(void)
{
	unmap_guest();
	if (backend.spared >= 0)
		backend.dma_id = backend.spared;
	backend.spared = -1;
}

/*
 * A channel that is lost takes nothing any more. As soon as lib/vhost has been told that all it had
 * begun is over, which a device of dma_cbdma's with errors=count does, the device can be started anew;
 * and if it does not start, the CPU takes its place.
 */
static void
see_to_loss(int vid)
{
	enum rte_dma_vchan_status status;
	int ret;

	/* First, as lib/vhost's thread is not at the device then. Less than 0: it may be. */
	if (rte_vhost_async_get_inflight(vid, GUEST_RX) != 0 ||
			rte_vhost_async_get_inflight(vid, GUEST_TX) != 0)
		return;
	if (rte_dma_vchan_status(backend.dma_id, VCHAN, &status) != 0 ||
			status != RTE_DMA_VCHAN_HALTED_ERROR)
		return;
	ret = rte_dma_stop(backend.dma_id);
	if (ret == 0)
		ret = rte_dma_start(backend.dma_id);
	if (ret == 0)
		return;
	fprintf(stderr, "the DMA device does not start again, the CPU copies: %s\n", rte_strerror(-ret));
	rte_vhost_async_channel_unregister(vid, GUEST_RX);
	rte_vhost_async_channel_unregister(vid, GUEST_TX);
	pthread_mutex_lock(&backend.mapping);
	unmap_guest();
	backend.dma_id = -1;
	pthread_mutex_unlock(&backend.mapping);
}

/* Guests that come and go: called by lib/vhost's thread */

/* lib/vhost asks again, at each message, about a guest that is not taken. */
static int
guest_comes(int vid)
{
	struct rte_vhost_vring vring;
	int queue;

	if (atomic_load(&backend.vid) >= 0) {
		fprintf(stderr, "there is a guest already, another one is not served\n");
		return -1;
	}
	if (backend.dma_id >= 0 && backend.maps)
		map_guest(vid);
	for (queue = 0; queue < QUEUES; queue++) {
		rte_vhost_enable_guest_notification(vid, queue, 0);
		if (rte_vhost_get_vhost_vring(vid, queue, &vring) != 0 ||
				(backend.dma_id >= 0 && rte_vhost_async_channel_register(vid, queue) != 0)) {
			while (queue-- > 0 && backend.dma_id >= 0)
				rte_vhost_async_channel_unregister(vid, queue);
			forget_memory();
			return -1;
		}
		backend.sizes[queue] = vring.size;
		backend.stopped[queue] = false;
	}
	atomic_store(&backend.vid, vid);
	return 0;
}

/*
 * Copies under way have to end before the guest's memory goes. Those behind one that has failed never do
 * where its status is not asked for (errors=report): the device is stopped then, and the CPU copies.
 *
 * locked: called by lib/vhost with the queue's lock.
 */
static void
drain(int vid, int queue, bool locked)
{
	struct rte_mbuf *packets[BACKEND_BURST];
	unsigned int waited = 0, kept;
	uint16_t n;

	while (backend.dma_id >= 0 && (locked ? rte_vhost_async_get_inflight_thread_unsafe(vid, queue) :
				rte_vhost_async_get_inflight(vid, queue)) > 0) {
		n = (locked ? rte_vhost_clear_queue_thread_unsafe : rte_vhost_clear_queue)(vid, queue,
			packets, RTE_DIM(packets), backend.dma_id, VCHAN);
		kept = queue == GUEST_TX ?
				rte_ring_enqueue_burst(backend.late, (void **)packets, n, NULL) : 0;
		rte_pktmbuf_free_bulk(packets + kept, n - kept);
		if (n > 0) {
			waited = 0;
			continue;
		}
		usleep(1000);
		waited++;
		if (waited < PATIENCE || rte_dma_stop(backend.dma_id) != 0)
			continue;
		fprintf(stderr, "copies do not end: the DMA device is stopped, the CPU copies\n");
		pthread_mutex_lock(&backend.mapping);
		unmap_guest();
		backend.dma_id = -1;
		pthread_mutex_unlock(&backend.mapping);
	}
}

static void
guest_goes(int vid)
{
	void *packet;
	int queue;

	atomic_store(&backend.vid, -1);
	while (atomic_load(&backend.entered))
		usleep(100);
	for (queue = 0; queue < QUEUES; queue++) {
		drain(vid, queue, false);
		if (backend.dma_id >= 0 || backend.spared >= 0)
			rte_vhost_async_channel_unregister(vid, queue);
	}
	while (rte_ring_dequeue(backend.late, &packet) == 0)
		rte_pktmbuf_free(packet);
	forget_memory();
}

/*
 * A queue stops or goes on, as both do while the guest gets other memory. lib/vhost does not wait for
 * copies under way; it holds the locks of all queues, so none begins, and backend_enter()'s thread
 * cannot be waited for, which may wait for a lock.
 */
static int
queue_changes(int vid, uint16_t queue, int enabled)
{
	if (vid != atomic_load(&backend.vid) || queue >= QUEUES)
		return 0;
	backend.stopped[queue] = !enabled;
	if (!enabled)
		drain(vid, queue, true);
	pthread_mutex_lock(&backend.mapping);
	if (backend.stopped[GUEST_RX] && backend.stopped[GUEST_TX])
		unmap_guest();
	else if (backend.dma_id >= 0 && backend.maps && backend.memory == NULL)
		map_guest(vid);
	pthread_mutex_unlock(&backend.mapping);
	return 0;
}

/* Make place for the socket, where one is that nobody listens at; nothing else is taken away. */
static void
make_place(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		example_fail("%s: the name of a socket has at most %zu characters", path,
			sizeof(address.sun_path) - 1);
	if (lstat(path, &st) < 0)
		return;
	if (!S_ISSOCK(st.st_mode))
		example_fail("cannot listen at %s: it is there and is not a socket", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	error = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (error != ECONNREFUSED)
		example_fail("cannot listen at %s: %s", path, error == 0 || error == EAGAIN ?
			"another program does" : strerror(error));
	unlink(path);
}

void
backend_open(const char *path, int16_t dma_id, struct rte_mempool *pool)
{
	static const struct rte_vhost_device_ops ops = {
		.new_device = guest_comes,
		.destroy_device = guest_goes,
		.vring_state_changed = queue_changes,
	};
	const uint64_t flags = RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS |
			(dma_id >= 0 ? RTE_VHOST_USER_ASYNC_COPY : 0);

	make_place(path);
	backend.path = path;
	backend.dma_id = dma_id;
	backend.pool = pool;
	backend.late = rte_ring_create("late", 2 * LONGEST, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (backend.late == NULL)
		example_fail("there is no memory for a ring of packets");
	if (dma_id >= 0)
		start_dma();
	if (rte_vhost_driver_register(path, flags) != 0 ||
			rte_vhost_driver_callback_register(path, &ops) != 0 ||
			rte_vhost_driver_start(path) != 0)
		example_fail("cannot listen at %s", path);
}

void
backend_close(void)
{
	rte_vhost_driver_unregister(backend.path);
	if (backend.dma_id >= 0) {
		rte_vhost_async_dma_unconfigure(backend.dma_id, VCHAN);
		rte_dma_stop(backend.dma_id);
	}
}

/* Packets */

bool
backend_enter(void)
{
	/* Sequentially consistent, and so is guest_goes(): one of the two sees the other. */
	atomic_store(&backend.entered, true);
	return atomic_load(&backend.vid) >= 0;
}

void
backend_leave(void)
{
	atomic_store_explicit(&backend.entered, false, memory_order_release);
}

/* A guest may say that it has more buffers than its ring has; of more copies than that lib/vhost loses
 * count, and would never see them end.
 */
static uint16_t
room_for(int vid, int queue, uint16_t count)
{
	const int under_way = rte_vhost_async_get_inflight(vid, queue);

	/* Less than 0: a message of the guest's is being seen to, and lib/vhost waits or takes none. */
	return under_way < 0 ? count : RTE_MIN(count, RTE_MAX(backend.sizes[queue] - under_way, 0));
}

uint16_t
backend_send(struct rte_mbuf **packets, uint16_t count)
{
	const int vid = atomic_load_explicit(&backend.vid, memory_order_relaxed);
	uint16_t n;

	if (backend.dma_id >= 0) {
		count = room_for(vid, GUEST_RX, count);
		n = rte_vhost_submit_enqueue_burst(vid, GUEST_RX, packets, count, backend.dma_id, VCHAN);
		if (n == 0)
			see_to_loss(vid);
		return n;
	}
	n = rte_vhost_enqueue_burst(vid, GUEST_RX, packets, count);
	rte_pktmbuf_free_bulk(packets, n);
	return n;
}

uint16_t
backend_poll(void)
{
	const int vid = atomic_load_explicit(&backend.vid, memory_order_relaxed);
	struct rte_mbuf *done[BACKEND_BURST];
	uint16_t n;

	if (backend.dma_id < 0)
		return 0;
	n = rte_vhost_poll_enqueue_completed(vid, GUEST_RX, done, RTE_DIM(done), backend.dma_id, VCHAN);
	rte_pktmbuf_free_bulk(done, n);
	return n;
}

uint16_t
backend_receive(struct rte_mbuf **packets, uint16_t count)
{
	const int vid = atomic_load_explicit(&backend.vid, memory_order_relaxed);
	int under_way;
	uint16_t n;

	if (backend.dma_id >= 0 && rte_ring_empty(backend.late)) {
		n = room_for(vid, GUEST_TX, count);
		n = n == 0 ? rte_vhost_clear_queue(vid, GUEST_TX, packets, count, backend.dma_id, VCHAN) :
			     rte_vhost_async_try_dequeue_burst(vid, GUEST_TX, backend.pool, packets, n,
				&under_way, backend.dma_id, VCHAN);
		/* The queue has stopped and gone on meanwhile: these are the younger ones. */
		if (likely(rte_ring_empty(backend.late)))
			return n;
		rte_ring_enqueue_bulk(backend.late, (void **)packets, n, NULL);
	}
	n = rte_ring_dequeue_burst(backend.late, (void **)packets, count, NULL);
	if (n > 0 || backend.dma_id >= 0)
		return n;
	return rte_vhost_dequeue_burst(vid, GUEST_TX, backend.pool, packets, count);
}
