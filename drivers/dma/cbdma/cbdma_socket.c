/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* A device in another process: the PMD as a client of a vfio-user server (dma-deviced). Registers
 * are messages, the doorbell is memory that both processes map, and so is all of DPDK's memory.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_string_fns.h>

#include "cbdma_glue.h"

#include <vfiou_client.h>

/* How long the server may take for an answer. The longest thing that it does is to wait for the end
 * of a burst of the device, some milliseconds.
 */
#define TIMEOUT_MS 2000

/* Where the server has the doorbell of channel 0, a page (lib/devmodel/dm_cbdma.h). */
#define DOORBELL_BAR  VFIO_PCI_BAR2_REGION_INDEX
#define DOORBELL_SIZE 4096

struct cbdma_socket {
	char name[RTE_DEV_NAME_MAX_LEN];
	char *path;
	void *doorbell; /**< stays where it is when the server changes */

	pthread_mutex_t lock; /**< of the rest: data path, control path, memory events meet */
	struct vfiou_client *client; /**< NULL: not connected */
	bool lost_logged;
	bool unmap_lost; /**< the server may have memory yet that is gone here */
	bool unshared; /**< it has not got memory that is here; it is told of no work meanwhile */
};

/* Log, once, that the server is gone. With the lock held. */
static void
check_connection(struct cbdma_socket *s, int error)
{
	if (s->client == NULL || vfiou_client_is_connected(s->client) || s->lost_logged)
		return;
	CBDMA_LOG(ERR, s->name, "the server at %s is gone (%s): stop and start the device when it"
		" is back", s->path, rte_strerror(-error));
	s->lost_logged = true;
}

/* Registers */

/* With the lock held. @return 0; an errno, negative. */
static int
access_region(struct cbdma_socket *s, unsigned int region, uint64_t offset, void *data,
		unsigned int len, bool is_write)
{
	int ret;

	if (s->client == NULL)
		return -ENOTCONN;
	if (is_write)
		ret = vfiou_client_write(s->client, region, offset, data, len);
	else
		ret = vfiou_client_read(s->client, region, offset, data, len);
	if (ret != 0)
		check_connection(s, ret);
	return vfiou_client_is_connected(s->client) ? ret : -ENOTCONN;
}

static int
access_once(struct cbdma_socket *s, unsigned int region, uint64_t offset, void *data,
		unsigned int len, bool is_write)
{
	int ret;

	pthread_mutex_lock(&s->lock);
	ret = access_region(s, region, offset, data, len, is_write);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

/* A server that has hung up has taken the device away from us: it reads all ones. One that does not
 * answer may be running it.
 */
static int
socket_read(void *opaque, uint32_t offset, unsigned int width, uint64_t *value)
{
	int ret;

	*value = 0;
	ret = access_once(opaque, VFIO_PCI_BAR0_REGION_INDEX, offset, value, width, false);
	if (ret != -ENOTCONN)
		return ret;
	*value = UINT64_MAX >> (64 - width * 8);
	return 0;
}

static int
socket_write(void *opaque, uint32_t offset, unsigned int width, uint64_t value)
{
	int ret = access_once(opaque, VFIO_PCI_BAR0_REGION_INDEX, offset, &value, width, true);

	return ret == -ENOTCONN ? 0 : ret;
}

static int
socket_config_read(void *opaque, uint32_t offset, uint32_t *value)
{
	int ret = access_once(opaque, VFIO_PCI_CONFIG_REGION_INDEX, offset, value, sizeof(*value),
		false);

	if (ret != -ENOTCONN)
		return ret;
	*value = UINT32_MAX;
	return 0;
}

static int
socket_config_write(void *opaque, uint32_t offset, uint32_t value)
{
	int ret = access_once(opaque, VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, sizeof(value),
		true);

	return ret == -ENOTCONN ? 0 : ret;
}

/* Memory: what DPDK owns, as it comes and goes. */

/* A piece of memory that is one piece of a file, too. */
struct piece {
	uint64_t iova;
	uint64_t len;
	uint64_t offset;
	int fd;
};

/* The server did not take memory that is there from now on, and may have other memory at its
 * address. It must not copy there: what rings the doorbell rings in vain, until the driver has
 * reset the channel and shared the memory (socket_set_bus_master()). With the lock held.
 */
static void
cut_doorbell(struct cbdma_socket *s)
{
	s->unshared = true;
	/* Cannot fail: there is a page, of which it takes the place. */
	mmap(s->doorbell, DOORBELL_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static int
map_piece(struct cbdma_socket *s, const struct piece *p)
{
	int ret = -ENOTCONN;

	if (p->len == 0)
		return 0;
	pthread_mutex_lock(&s->lock);
	if (s->client != NULL)
		ret = vfiou_client_map(s->client, p->iova, p->len, p->fd, p->offset);
	/* An event may have come before the walk that finds all memory there is. */
	if (ret == -EEXIST && s->unmap_lost) {
		ret = vfiou_client_unmap(s->client, p->iova, p->len);
		if (ret == 0)
			ret = vfiou_client_map(s->client, p->iova, p->len, p->fd, p->offset);
	} else if (ret == -EEXIST) {
		ret = 0;
	}
	if (ret == -ETIMEDOUT)
		cut_doorbell(s);
	if (ret != 0)
		check_connection(s, ret);
	pthread_mutex_unlock(&s->lock);
	if (ret != 0 && ret != -ENOTCONN)
		CBDMA_LOG(ERR, s->name, "cannot share %" PRIu64 " bytes at IOVA %#" PRIx64 ": %s",
			p->len, p->iova, rte_strerror(-ret));
	return ret;
}

/* The page at addr, and where its file has it. */
static int
find_page(struct cbdma_socket *s, const struct rte_memseg_list *msl, void *addr, struct piece *page)
{
	const struct rte_memseg *seg = rte_mem_virt2memseg(addr, msl);
	size_t offset = 0;

	if (seg == NULL)
		return -EINVAL;
	page->iova = seg->iova;
	page->len = msl->page_sz;
	page->fd = rte_memseg_get_fd_thread_unsafe(seg);
	if (page->fd < 0 || rte_memseg_get_fd_offset_thread_unsafe(seg, &offset) != 0) {
		CBDMA_LOG(ERR, s->name, "memory at %p has no file to share it by: use hugepages, or"
			" --in-memory with a kernel that has memfd_create()", addr);
		return -ENOTSUP;
	}
	page->offset = offset;
	return 0;
}

/* Share memory page by page, so that what comes can go in other pieces. Small pages do not go
 * (--no-huge), and there are many of them: as many at once as lie side by side.
 */
static int
map_pages(struct cbdma_socket *s, const struct rte_memseg_list *msl, void *addr, size_t len)
{
	const bool join = msl->page_sz < RTE_PGSIZE_2M;
	struct piece piece = {.len = 0}, page;
	size_t done;
	int ret;

	for (done = 0; done < len; done += msl->page_sz) {
		ret = find_page(s, msl, RTE_PTR_ADD(addr, done), &page);
		if (ret != 0)
			return ret;
		if (page.iova == RTE_BAD_IOVA)
			continue;
		if (join && page.fd == piece.fd && page.iova == piece.iova + piece.len &&
				page.offset == piece.offset + piece.len) {
			piece.len += page.len;
			continue;
		}
		ret = map_piece(s, &piece);
		if (ret != 0)
			return ret;
		piece = page;
	}
	return map_piece(s, &piece);
}

static void
unmap_pages(struct cbdma_socket *s, const struct rte_memseg_list *msl, void *addr, size_t len)
{
	const struct rte_memseg *seg;
	size_t done;
	int ret = 0;

	pthread_mutex_lock(&s->lock);
	for (done = 0; done < len && s->client != NULL; done += msl->page_sz) {
		seg = rte_mem_virt2memseg(RTE_PTR_ADD(addr, done), msl);
		if (seg != NULL && seg->iova != RTE_BAD_IOVA)
			ret = vfiou_client_unmap(s->client, seg->iova, msl->page_sz);
		if (ret == -ETIMEDOUT)
			s->unmap_lost = true;
	}
	check_connection(s, ret);
	pthread_mutex_unlock(&s->lock);
}

static void
memory_event(enum rte_mem_event type, const void *addr, size_t len, void *arg)
{
	struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);

	if (msl == NULL || msl->external)
		return;
	if (type == RTE_MEM_EVENT_ALLOC)
		map_pages(arg, msl, (void *)(uintptr_t)addr, len);
	else
		unmap_pages(arg, msl, (void *)(uintptr_t)addr, len);
}

static int
map_existing(const struct rte_memseg_list *msl, const struct rte_memseg *seg, size_t len, void *arg)
{
	/* Memory from outside has no file that DPDK knows. */
	return msl->external ? 0 : map_pages(arg, msl, seg->addr, len);
}

bool
cbdma_socket_is(const struct cbdma_bus *bus)
{
	return bus->read == socket_read;
}

int
cbdma_socket_dma_map(const struct cbdma_bus *bus, const void *addr)
{
	const struct cbdma_socket *s = bus->opaque;
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);

	if (msl != NULL && !msl->external)
		return -EEXIST;
	CBDMA_LOG(ERR, s->name, "memory at %p is not DPDK's: there is no file to share it by",
		addr);
	return -ENOTSUP;
}

/* Connecting */

/* Map the doorbell in the place of the one there is. */
static int
map_doorbell(struct cbdma_socket *s)
{
	struct vfiou_client_region bar;
	void *mem = MAP_FAILED;
	int ret;

	ret = vfiou_client_region(s->client, DOORBELL_BAR, &bar);
	if (ret != 0)
		return ret;
	if (bar.fd < 0 || bar.size < DOORBELL_SIZE) {
		if (bar.fd >= 0)
			close(bar.fd);
		CBDMA_LOG(ERR, s->name, "the device at %s has no doorbell to be mapped: start"
			" dma-deviced with doorbell-bar=on in --device", s->path);
		return -ENOTSUP;
	}
	mem = mmap(s->doorbell, DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		bar.fd, bar.offset);
	ret = mem == MAP_FAILED ? -errno : 0;
	close(bar.fd);
	return ret;
}

/* Let it answer and let it reach memory, as the kernel or EAL does with a device in a slot. */
static int
enable_device(struct cbdma_socket *s)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, vendor;
	int ret;

	ret = access_region(s, VFIO_PCI_CONFIG_REGION_INDEX, PCI_VENDOR_ID, &vendor, sizeof(vendor),
		false);
	if (ret != 0)
		return ret;
	if (vendor != CBDMA_PCI_VENDOR_ID) {
		CBDMA_LOG(ERR, s->name, "the device at %s is another vendor's (%#x)", s->path,
			vendor);
		return -ENODEV;
	}
	return access_region(s, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command,
		sizeof(command), true);
}

/* Share what the server did not take when it came, if there is any: all memory, as at first. */
static int
share_again(struct cbdma_socket *s)
{
	bool unshared;
	int ret;

	pthread_mutex_lock(&s->lock);
	unshared = s->unshared;
	s->unshared = false;
	pthread_mutex_unlock(&s->lock);
	if (!unshared)
		return 0;
	/* Not with the lock held, see connect_server(). */
	ret = rte_memseg_contig_walk(map_existing, s);
	pthread_mutex_lock(&s->lock);
	if (ret == 0 && s->unshared) /* once more, by an event */
		ret = -ETIMEDOUT;
	else if (ret == 0)
		ret = map_doorbell(s);
	s->unshared = ret != 0;
	pthread_mutex_unlock(&s->lock);
	/* Others than these do not pass. */
	return ret == 0 || ret == -ETIMEDOUT || ret == -ENOTCONN ? ret : -EIO;
}

/* To give the bus to a device, which has been reset, is the time to share memory. */
static int
socket_set_bus_master(void *opaque, bool enable)
{
	struct cbdma_socket *s = opaque;
	uint16_t command = PCI_COMMAND_MEMORY | (enable ? PCI_COMMAND_MASTER : 0);
	int ret = 0;

	if (enable)
		ret = share_again(s);
	if (ret == 0)
		ret = access_once(s, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command,
			sizeof(command), true);
	return ret == -ENOTCONN && !enable ? 0 : ret;
}

static void
disconnect(struct cbdma_socket *s)
{
	pthread_mutex_lock(&s->lock);
	vfiou_client_close(s->client);
	s->client = NULL;
	pthread_mutex_unlock(&s->lock);
}

static int
connect_server(struct cbdma_socket *s)
{
	const char *what;
	int ret;

	pthread_mutex_lock(&s->lock);
	ret = vfiou_client_connect(s->path, TIMEOUT_MS, &s->client, &what);
	if (ret != 0) {
		s->client = NULL;
		CBDMA_LOG(ERR, s->name, "cannot connect to %s: %s: %s", s->path, what,
			rte_strerror(-ret));
	} else {
		s->lost_logged = false;
		s->unmap_lost = false;
		s->unshared = false;
		ret = map_doorbell(s);
	}
	if (ret == 0)
		ret = enable_device(s);
	pthread_mutex_unlock(&s->lock);
	/* Not with the lock held: memory events come with DPDK's own lock held and want ours. */
	if (ret == 0)
		ret = rte_memseg_contig_walk(map_existing, s);
	if (ret != 0)
		disconnect(s);
	return ret;
}

/* The device is about to be started: connect again when the server has gone. @return 1: it had. */
static int
socket_revive(void *opaque)
{
	struct cbdma_socket *s = opaque;
	uint16_t vendor;
	int ret;

	/* Asked, since nobody may have talked to it since it went. */
	ret = access_once(s, VFIO_PCI_CONFIG_REGION_INDEX, PCI_VENDOR_ID, &vendor, sizeof(vendor),
		false);
	if (ret == -ETIMEDOUT)
		CBDMA_LOG(ERR, s->name, "the server at %s does not answer", s->path);
	if (ret == 0 || ret == -ETIMEDOUT)
		return ret;
	disconnect(s);
	ret = connect_server(s);
	if (ret != 0)
		return ret;
	CBDMA_LOG(NOTICE, s->name, "connected to %s again", s->path);
	return 1;
}

static void
socket_destroy(void *opaque)
{
	struct cbdma_socket *s = opaque;

	rte_mem_event_callback_unregister(s->name, s);
	disconnect(s);
	if (s->doorbell != MAP_FAILED)
		munmap(s->doorbell, DOORBELL_SIZE);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

int
cbdma_socket_create(const char *name, const char *path, struct cbdma_bus *bus, uint16_t **doorbell)
{
	struct cbdma_socket *s = calloc(1, sizeof(*s));
	int ret = -ENOMEM;

	if (s == NULL)
		return -ENOMEM;
	rte_strscpy(s->name, name, sizeof(s->name));
	pthread_mutex_init(&s->lock, NULL);
	s->path = strdup(path);
	s->doorbell = mmap(NULL, DOORBELL_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->path == NULL || s->doorbell == MAP_FAILED) {
		CBDMA_LOG(ERR, name, "no memory");
		goto fail;
	}
	ret = rte_mem_event_callback_register(s->name, memory_event, s);
	/* Memory that does not change (--legacy-mem, --no-huge) has no events. */
	if (ret != 0 && rte_errno != ENOTSUP) {
		ret = -rte_errno;
		CBDMA_LOG(ERR, name, "no memory events: %s", rte_strerror(-ret));
		goto fail;
	}
	ret = connect_server(s);
	if (ret != 0)
		goto fail;
	*bus = (struct cbdma_bus){
		.read = socket_read,
		.write = socket_write,
		.config_read = socket_config_read,
		.config_write = socket_config_write,
		.set_bus_master = socket_set_bus_master,
		.revive = socket_revive,
		.destroy = socket_destroy,
		.private_doorbell = true,
		.stall_ms = CBDMA_STALL_MS,
		.opaque = s,
	};
	*doorbell = s->doorbell;
	return 0;

fail:
	socket_destroy(s);
	return ret;
}
