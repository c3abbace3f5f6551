/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_PROTO_H
#define VFIOU_PROTO_H

/**
 * @file
 *
 * Messages of the vfio-user protocol, version 0.1 (QEMU docs/interop/vfio-user.rst).
 *
 * All fields have the byte order of the host. Where the protocol takes a structure over from
 * linux/vfio.h, that one is used.
 */

#include <assert.h>
#include <linux/vfio.h>
#include <stdint.h>

#define VFIOU_MAJOR 0
#define VFIOU_MINOR 1

enum vfiou_command {
	VFIOU_VERSION = 1,
	VFIOU_DMA_MAP = 2,
	VFIOU_DMA_UNMAP = 3,
	VFIOU_DEVICE_GET_INFO = 4,
	VFIOU_DEVICE_GET_REGION_INFO = 5,
	VFIOU_DEVICE_GET_REGION_IO_FDS = 6,
	VFIOU_DEVICE_GET_IRQ_INFO = 7,
	VFIOU_DEVICE_SET_IRQS = 8,
	VFIOU_REGION_READ = 9,
	VFIOU_REGION_WRITE = 10,
	VFIOU_DMA_READ = 11,
	VFIOU_DMA_WRITE = 12,
	VFIOU_DEVICE_RESET = 13,
	VFIOU_REGION_WRITE_MULTI = 15,
	VFIOU_DEVICE_FEATURE = 16,
	VFIOU_MIG_DATA_READ = 17,
	VFIOU_MIG_DATA_WRITE = 18,
};

#define VFIOU_TYPE_MASK	   0x0fu
#define VFIOU_TYPE_COMMAND 0x00u
#define VFIOU_TYPE_REPLY   0x01u
#define VFIOU_NO_REPLY	   0x10u
#define VFIOU_ERROR	   0x20u

struct vfiou_header {
	uint16_t id;
	uint16_t command;
	uint32_t size; /**< of the whole message, this header included */
	uint32_t flags;
	uint32_t error; /**< an errno, in a reply with VFIOU_ERROR */
};

struct vfiou_version {
	uint16_t major;
	uint16_t minor;
	char json[];
};

struct vfiou_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
};

#define VFIOU_DMA_READABLE  0x1u
#define VFIOU_DMA_WRITEABLE 0x2u
#define VFIOU_DMA_MMAP	    0x4u /* how a file is to be accessed (libvfio-user, vfio-user.h) */
#define VFIOU_DMA_FILE_IO   0x8u

struct vfiou_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset; /**< in the file */
	uint64_t address;
	uint64_t size;
};

#define VFIOU_DMA_UNMAP_ALL 0x2u /* as VFIO_DMA_UNMAP_FLAG_ALL */

struct vfiou_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
};

/** Of VFIOU_DEVICE_GET_REGION_IO_FDS, and its reply when there are no such files. */
struct vfiou_region_io_fds {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

struct vfiou_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	uint8_t data[];
};

/** Of VFIOU_DMA_READ and _WRITE, data behind it; and of their replies. */
struct vfiou_dma_access {
	uint64_t address;
	uint64_t count;
};

/** One of the writes of VFIOU_REGION_WRITE_MULTI. */
struct vfiou_single_write {
	uint64_t offset;
	uint32_t region;
	uint32_t count; /**< at most 8 */
	uint64_t data;
};

static_assert(sizeof(struct vfiou_header) == 16, "");
static_assert(sizeof(struct vfiou_version) == 4, "");
static_assert(sizeof(struct vfiou_device_info) == 16, "");
static_assert(sizeof(struct vfiou_dma_map) == 32, "");
static_assert(sizeof(struct vfiou_dma_unmap) == 24, "");
static_assert(sizeof(struct vfiou_region_io_fds) == 16, "");
static_assert(sizeof(struct vfiou_region_access) == 16, "");
static_assert(sizeof(struct vfiou_dma_access) == 16, "");
static_assert(sizeof(struct vfiou_single_write) == 24, "");
static_assert(sizeof(struct vfio_region_info) == 32, "");
static_assert(sizeof(struct vfio_irq_info) == 16, "");
static_assert(sizeof(struct vfio_irq_set) == 20, "");

/** What both sides assume when the other one does not say. */
#define VFIOU_DEFAULT_XFER (1u << 20)
#define VFIOU_DEFAULT_FDS  1
#define VFIOU_PAGE_SIZE	   4096u

#endif /* VFIOU_PROTO_H */
