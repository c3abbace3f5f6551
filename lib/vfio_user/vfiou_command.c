/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The commands of the protocol, each checked and executed. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vfiou_server_impl.h"

static const void *
payload(const struct vfiou_server *server)
{
	return server->msg.data;
}

static size_t
payload_len(const struct vfiou_server *server)
{
	return vfiou_msg_len(&server->msg);
}

static int
fail(const char **what, int error, const char *reason)
{
	*what = reason;
	return error;
}

/* Have requests to the client go where it wants them. */
static int
open_remote(struct vfiou_server *server, struct vfiou_reply *reply, bool twin)
{
	int pair[2] = {-1, -1}, ret;

	if (twin && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	ret = vfiou_remote_open(&server->remote, server->caps.max_data_xfer_size, pair[0]);
	reply->fd = pair[1];
	reply->close_fd = twin;
	return ret;
}

static int
get_version(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const struct vfiou_version *version = payload(server);
	struct vfiou_version *answer = (void *)reply->data;
	struct vfiou_caps caps = {
		.max_msg_fds = VFIOU_MAX_FDS,
		.max_data_xfer_size = VFIOU_DEFAULT_XFER,
		.max_dma_maps = VFIOU_MAX_MAPS,
	};
	int ret;

	if (server->negotiated)
		return fail(what, -EINVAL, "the version has been agreed on already");
	if (payload_len(server) < sizeof(*version))
		return fail(what, -EINVAL, "it is too short");
	if (version->major != VFIOU_MAJOR)
		return fail(what, -EINVAL, "its major version is not 0");
	if (vfiou_caps_parse(version->json, payload_len(server) - sizeof(*version),
			&server->caps) != 0)
		return fail(what, -EINVAL, "its capabilities cannot be read");
	/* All that pages can be will do: what is mapped need not even be a multiple of them. */
	caps.pgsizes = server->caps.pgsizes & -(uint64_t)VFIOU_PAGE_SIZE;
	if (caps.pgsizes == 0)
		return fail(what, -EINVAL, "it has no pages of 4 KB or more");

	/* No more than the client offers. */
	caps.write_multiple = server->caps.write_multiple;
	caps.twin_socket = server->caps.twin_socket && server->caps.max_msg_fds > 0;
	ret = open_remote(server, reply, caps.twin_socket);
	if (ret != 0)
		return fail(what, ret, "there is no socket or memory to be had");
	answer->major = VFIOU_MAJOR;
	answer->minor = version->minor < VFIOU_MINOR ? version->minor : VFIOU_MINOR;
	reply->len = sizeof(*answer) + vfiou_caps_format(&caps, answer->json, 512);
	server->negotiated = true;
	return 0;
}

static int
dma_map(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	struct vfiou_dma_map map;
	int ret;

	(void)reply;
	if (payload_len(server) < sizeof(map))
		return fail(what, -EINVAL, "it is too short");
	memcpy(&map, payload(server), sizeof(map));
	ret = vfiou_dma_map(&server->dma, &map, server->msg.num_fds > 0 ? server->msg.fds[0] : -1);
	if (ret == -EINVAL)
		return fail(what, ret, "range, flags or file are wrong");
	return ret == 0 ? 0 : fail(what, ret, "the memory cannot be mapped");
}

static int
dma_unmap(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	struct vfiou_dma_unmap unmap;
	int ret;

	if (payload_len(server) < sizeof(unmap))
		return fail(what, -EINVAL, "it is too short");
	memcpy(&unmap, payload(server), sizeof(unmap));
	ret = vfiou_dma_unmap(&server->dma, &unmap);
	/* Not worth a line in the log: QEMU does this whenever a guest clears its IOMMU. */
	if (ret == -ENOENT)
		return ret;
	if (ret != 0)
		return fail(what, ret, "range or flags are wrong, or it cuts a region");
	memcpy(reply->data, &unmap, sizeof(unmap));
	reply->len = sizeof(unmap);
	return 0;
}

static int
get_info(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const struct vfiou_device_info *info = payload(server);
	struct vfiou_device_info *answer = (void *)reply->data;

	if (payload_len(server) < sizeof(*info) || info->argsz < sizeof(*info))
		return fail(what, -EINVAL, "its size is wrong");
	*answer = (struct vfiou_device_info){
		.argsz = sizeof(*answer),
		.flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI,
		.num_regions = VFIO_PCI_NUM_REGIONS,
		.num_irqs = VFIO_PCI_NUM_IRQS,
	};
	reply->len = sizeof(*answer);
	return 0;
}

static uint64_t
region_size(const struct vfiou_server *server, uint32_t index)
{
	static_assert(VFIO_PCI_BAR5_REGION_INDEX == DM_PCI_BARS - 1, "BARs come first");
	if (index < DM_PCI_BARS)
		return server->pci.function->bar[index].size;
	return index == VFIO_PCI_CONFIG_REGION_INDEX ? VFIOU_CONFIG_SIZE : 0;
}

static int
get_region_info(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const struct vfio_region_info *info = payload(server);
	struct vfio_region_info *answer = (void *)reply->data;

	if (payload_len(server) < sizeof(*info) || info->argsz < sizeof(*info))
		return fail(what, -EINVAL, "its size is wrong");
	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return fail(what, -EINVAL, "there is no such region");
	*answer = (struct vfio_region_info){
		.argsz = sizeof(*answer),
		.index = info->index,
		.size = region_size(server, info->index),
	};
	if (answer->size > 0)
		answer->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (info->index < DM_PCI_BARS && server->pci.function->bar[info->index].memory != NULL &&
			server->caps.max_msg_fds > 0) {
		answer->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		reply->fd = server->pci.function->bar[info->index].fd;
	}
	reply->len = sizeof(*answer);
	return 0;
}

/* None: an event says that a register was written, and not what; the doorbells count. */
static int
get_region_io_fds(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const struct vfiou_region_io_fds *fds = payload(server);
	struct vfiou_region_io_fds *answer = (void *)reply->data;

	if (payload_len(server) < sizeof(*fds) || fds->argsz < sizeof(*fds) ||
			fds->argsz > VFIOU_DEFAULT_XFER)
		return fail(what, -EINVAL, "its size is wrong");
	if (fds->flags != 0 || fds->count != 0)
		return fail(what, -EINVAL, "it has flags or a count");
	if (fds->index >= VFIO_PCI_NUM_REGIONS || region_size(server, fds->index) == 0)
		return fail(what, -EINVAL, "there is no such region");
	*answer = (struct vfiou_region_io_fds){.argsz = sizeof(*answer), .index = fds->index};
	reply->len = sizeof(*answer);
	return 0;
}

/* Interrupts of a kind. The other kinds, MSI among them, the function does not have. */
static uint32_t
irq_count(const struct vfiou_server *server, uint32_t index)
{
	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return server->pci.function->interrupt_pin != 0 ? 1 : 0;
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return server->irq.vectors;
	default:
		return 0;
	}
}

static int
get_irq_info(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const struct vfio_irq_info *info = payload(server);
	struct vfio_irq_info *answer = (void *)reply->data;

	if (payload_len(server) < sizeof(*info) || info->argsz < sizeof(*info))
		return fail(what, -EINVAL, "its size is wrong");
	if (info->index >= VFIO_PCI_NUM_IRQS)
		return fail(what, -EINVAL, "there is no such kind of interrupt");
	*answer = (struct vfio_irq_info){
		.argsz = sizeof(*answer),
		.flags = VFIO_IRQ_INFO_EVENTFD,
		.index = info->index,
		.count = irq_count(server, info->index),
	};
	if (info->index == VFIO_PCI_INTX_IRQ_INDEX)
		answer->flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	reply->len = sizeof(*answer);
	return 0;
}

/* Do what a VFIOU_DEVICE_SET_IRQS says to one interrupt; it has been checked. */
static void
set_irq(struct vfiou_server *server, uint32_t index, uint32_t vector, uint32_t action,
		bool is_eventfd)
{
	bool pin = index == VFIO_PCI_INTX_IRQ_INDEX;
	bool mask = action == VFIO_IRQ_SET_ACTION_MASK;

	if (action != VFIO_IRQ_SET_ACTION_TRIGGER) {
		if (pin)
			vfiou_irq_mask_pin(&server->irq, mask,
				!mask && dm_pci_pin_asserted(server->pci.dev));
		else
			vfiou_irq_mask_msix(&server->irq, vector, mask);
	} else if (is_eventfd && pin) {
		vfiou_irq_set_pin(&server->irq, vfiou_msg_take_fd(&server->msg));
		/* It may be asserted already. */
		vfiou_irq_mask_pin(&server->irq, false, dm_pci_pin_asserted(server->pci.dev));
	} else if (is_eventfd) {
		vfiou_irq_set_msix(&server->irq, vector, vfiou_msg_take_fd(&server->msg));
	} else {
		vfiou_irq_trigger(&server->irq, pin, vector);
	}
}

static const char *
check_irq_set(const struct vfiou_server *server, const struct vfio_irq_set *set)
{
	const uint32_t data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	const uint32_t action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	const uint32_t count = set->index < VFIO_PCI_NUM_IRQS ? irq_count(server, set->index) : 0;
	size_t bytes = data == VFIO_IRQ_SET_DATA_BOOL ? set->count : 0;
	unsigned int i;

	if ((set->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)) != 0)
		return "it has unknown flags";
	if (data != VFIO_IRQ_SET_DATA_NONE && data != VFIO_IRQ_SET_DATA_BOOL &&
			data != VFIO_IRQ_SET_DATA_EVENTFD)
		return "it has not one kind of data";
	if (action != VFIO_IRQ_SET_ACTION_MASK && action != VFIO_IRQ_SET_ACTION_UNMASK &&
			action != VFIO_IRQ_SET_ACTION_TRIGGER)
		return "it has not one action";
	if (set->start >= count || set->count > count - set->start)
		return "there are no such interrupts";
	if (set->argsz < sizeof(*set) + bytes ||
			(data == VFIO_IRQ_SET_DATA_BOOL &&
					payload_len(server) - sizeof(*set) != bytes))
		return "its size is wrong";
	if (set->count == 0 && (set->start != 0 || data != VFIO_IRQ_SET_DATA_NONE ||
					action != VFIO_IRQ_SET_ACTION_TRIGGER))
		return "it is about no interrupts";
	if (server->msg.num_fds != 0 && (data != VFIO_IRQ_SET_DATA_EVENTFD ||
					server->msg.num_fds != set->count))
		return "it has more or fewer files than interrupts";
	for (i = 0; i < server->msg.num_fds; i++)
		if (!vfiou_irq_is_eventfd(server->msg.fds[i]))
			return "a file is no event file descriptor";
	return NULL;
}

static int
set_irqs(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	struct vfio_irq_set set;
	const uint8_t *booleans;
	uint32_t data, action, i;

	(void)reply;
	if (payload_len(server) < sizeof(set))
		return fail(what, -EINVAL, "it is too short");
	memcpy(&set, payload(server), sizeof(set));
	booleans = (const uint8_t *)payload(server) + sizeof(set);
	*what = check_irq_set(server, &set);
	if (*what != NULL)
		return -EINVAL;

	data = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	action = set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	if (data == VFIO_IRQ_SET_DATA_EVENTFD && action != VFIO_IRQ_SET_ACTION_TRIGGER) {
		/* As Linux has it (vfio_pci_intrs.c): an event to unmask the pin, and no other. */
		if (set.index != VFIO_PCI_INTX_IRQ_INDEX || action != VFIO_IRQ_SET_ACTION_UNMASK)
			return -ENOTSUP;
		vfiou_irq_set_unmask(&server->irq, vfiou_msg_take_fd(&server->msg));
		return 0;
	}
	if (server->msg.num_fds > 0) {
		int ret = vfiou_irq_prepare(&server->irq);

		if (ret != 0)
			return fail(what, ret, "events cannot be signalled");
	}
	if (set.count == 0) { /* all off */
		data = VFIO_IRQ_SET_DATA_EVENTFD;
		set.count = irq_count(server, set.index);
	}
	for (i = 0; i < set.count; i++) {
		if (data == VFIO_IRQ_SET_DATA_BOOL && booleans[i] == 0)
			continue;
		set_irq(server, set.index, set.start + i, action,
			data == VFIO_IRQ_SET_DATA_EVENTFD);
	}
	return 0;
}

static const char *
check_access(const struct vfiou_server *server, uint64_t offset, uint32_t region, uint32_t count)
{
	uint64_t size = region < VFIO_PCI_NUM_REGIONS ? region_size(server, region) : 0;

	if (region >= VFIO_PCI_NUM_REGIONS || (size == 0 && count != 0))
		return "there is no such region";
	if (offset > size || count > size - offset)
		return "it reaches out of the region";
	return NULL;
}

static int
region_read(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const struct vfiou_region_access *access = payload(server);
	struct vfiou_region_access *answer = (void *)reply->data;

	if (payload_len(server) < sizeof(*access))
		return fail(what, -EINVAL, "it is too short");
	if (access->count > server->caps.max_data_xfer_size || access->count > VFIOU_DEFAULT_XFER)
		return fail(what, -EINVAL, "it is about more than one message may carry");
	*what = check_access(server, access->offset, access->region, access->count);
	if (*what != NULL)
		return -EINVAL;
	if (access->count == 0) /* nothing for an answer, as of libvfio-user */
		return 0;
	*answer = *access;
	if (access->region == VFIO_PCI_CONFIG_REGION_INDEX)
		vfiou_pci_config_read(&server->pci, access->offset, answer->data, access->count);
	else
		vfiou_pci_bar_read(&server->pci, access->region, access->offset, answer->data,
			access->count);
	reply->len = sizeof(*answer) + access->count;
	return 0;
}

static void
write_region(struct vfiou_server *server, uint64_t offset, uint32_t region, const uint8_t *data,
		uint32_t count)
{
	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		vfiou_pci_config_write(&server->pci, offset, data, count);
	else
		vfiou_pci_bar_write(&server->pci, region, offset, data, count);
}

static int
region_write(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const struct vfiou_region_access *access = payload(server);

	if (payload_len(server) < sizeof(*access) ||
			payload_len(server) - sizeof(*access) != access->count)
		return fail(what, -EINVAL, "its size is wrong");
	*what = check_access(server, access->offset, access->region, access->count);
	if (*what != NULL)
		return -EINVAL;
	if (access->count == 0)
		return 0;
	write_region(server, access->offset, access->region, access->data, access->count);
	memcpy(reply->data, access, sizeof(*access));
	reply->len = sizeof(*access);
	return 0;
}

/* All are checked before the first is done. */
static int
region_write_multi(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const uint8_t *at = payload(server);
	struct vfiou_single_write w;
	uint64_t count, i;

	if (!server->caps.write_multiple)
		return fail(what, -ENOTSUP, "it has not been agreed on");
	if (payload_len(server) < sizeof(count))
		return fail(what, -EINVAL, "it is too short");
	memcpy(&count, at, sizeof(count));
	at += sizeof(count);
	if ((payload_len(server) - sizeof(count)) % sizeof(w) != 0 ||
			(payload_len(server) - sizeof(count)) / sizeof(w) != count)
		return fail(what, -EINVAL, "its size is wrong");
	for (i = 0; i < count; i++) {
		memcpy(&w, at + i * sizeof(w), sizeof(w));
		*what = check_access(server, w.offset, w.region, w.count);
		if (*what == NULL && (w.count == 0 || w.count > sizeof(w.data)))
			*what = "one of its writes is too short or too long";
		if (*what != NULL)
			return -EINVAL;
	}
	for (i = 0; i < count; i++) {
		memcpy(&w, at + i * sizeof(w), sizeof(w));
		write_region(server, w.offset, w.region, (const uint8_t *)&w.data, w.count);
	}
	memcpy(reply->data, &count, sizeof(count));
	reply->len = sizeof(count);
	return 0;
}

static int
device_reset(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	(void)reply;
	(void)what;
	vfiou_pci_reset(&server->pci);
	return 0;
}

static const struct {
	const char *name;
	int (*execute)(struct vfiou_server *server, struct vfiou_reply *reply, const char **what);
} commands[] = {
	[VFIOU_VERSION] = {"VERSION", get_version},
	[VFIOU_DMA_MAP] = {"DMA_MAP", dma_map},
	[VFIOU_DMA_UNMAP] = {"DMA_UNMAP", dma_unmap},
	[VFIOU_DEVICE_GET_INFO] = {"DEVICE_GET_INFO", get_info},
	[VFIOU_DEVICE_GET_REGION_INFO] = {"DEVICE_GET_REGION_INFO", get_region_info},
	[VFIOU_DEVICE_GET_REGION_IO_FDS] = {"DEVICE_GET_REGION_IO_FDS", get_region_io_fds},
	[VFIOU_DEVICE_GET_IRQ_INFO] = {"DEVICE_GET_IRQ_INFO", get_irq_info},
	[VFIOU_DEVICE_SET_IRQS] = {"DEVICE_SET_IRQS", set_irqs},
	[VFIOU_REGION_READ] = {"REGION_READ", region_read},
	[VFIOU_REGION_WRITE] = {"REGION_WRITE", region_write},
	[VFIOU_DMA_READ] = {"DMA_READ", NULL},
	[VFIOU_DMA_WRITE] = {"DMA_WRITE", NULL},
	[VFIOU_DEVICE_RESET] = {"DEVICE_RESET", device_reset},
	[VFIOU_REGION_WRITE_MULTI] = {"REGION_WRITE_MULTI", region_write_multi},
	[VFIOU_DEVICE_FEATURE] = {"DEVICE_FEATURE", NULL},
	[VFIOU_MIG_DATA_READ] = {"MIG_DATA_READ", NULL},
	[VFIOU_MIG_DATA_WRITE] = {"MIG_DATA_WRITE", NULL},
};

#define NUM_COMMANDS (sizeof(commands) / sizeof(commands[0]))

const char *
vfiou_command_name(unsigned int command)
{
	return command < NUM_COMMANDS && commands[command].name != NULL ? commands[command].name
									: "unknown command";
}

int
vfiou_command_execute(struct vfiou_server *server, struct vfiou_reply *reply, const char **what)
{
	const unsigned int command = server->msg.header.command;

	*what = NULL;
	if (command >= NUM_COMMANDS || commands[command].name == NULL)
		return fail(what, -EINVAL, "there is no such command");
	if (commands[command].execute == NULL)
		return fail(what, -ENOTSUP, "it is not supported");
	if (!server->negotiated && command != VFIOU_VERSION)
		return fail(what, -EINVAL, "no version has been agreed on");
	if (server->msg.too_many_fds)
		return fail(what, -EINVAL, "it brings too many files");
	return commands[command].execute(server, reply, what);
}
