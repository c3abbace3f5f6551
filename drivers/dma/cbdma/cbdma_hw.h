/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CBDMA_HW_H
#define CBDMA_HW_H

/**
 * @file
 *
 * Registers and descriptors of Intel QuickData Technology 3.x (CBDMA, "Crystal Beach DMA", I/OAT).
 *
 * Shared by the driver and by the model of the device, so it includes neither's headers.
 * Names are those of the Intel Xeon Processor datasheets, volume 2, "Intel QuickData Technology"
 * registers. Where a public driver is the source it is named beside the fact.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define CBDMA_PCI_VENDOR_ID 0x8086

/* PCI configuration space: CHANERR_INT, the channel's errors as PCIe sees them. Cleared beside
 * CHANERR by Linux (drivers/dma/ioat/dma.c) and FreeBSD (sys/dev/ioat/ioat.c). CHANERRMSK_INT masks
 * them: with this value "errors that can cause stability issues", say both.
 */
#define CBDMA_PCI_CHANERR_INT	  0x180
#define CBDMA_PCI_CHANERRMSK_INT  0x184
#define CBDMA_PCI_DMAUNCERRSTS	  0x148

#define CBDMA_PCI_CHANERRMSK_INT_RECOVER 0x3e07u

/* In the PCI Express capability. */
#define CBDMA_PCI_EXP_DEVCTL	      0x8 /* 16 bit, device control */
#define CBDMA_PCI_EXP_DEVCTL_RELAX_EN 0x10

/* General registers, in BAR 0. */
#define CBDMA_CHANCNT	    0x00 /* 8 bit, number of channels, bits 4:0 */
#define CBDMA_XFERCAP	    0x01 /* 8 bit, log2 of the longest transfer, bits 4:0 */
#define CBDMA_GENCTRL	    0x02 /* 8 bit */
#define CBDMA_INTRCTRL	    0x03 /* 8 bit */
#define CBDMA_ATTNSTATUS    0x04 /* 32 bit, one bit a channel */
#define CBDMA_CBVER	    0x08 /* 8 bit, major in bits 7:4, minor in bits 3:0 */
#define CBDMA_INTRDELAY	    0x0C /* 16 bit */
#define CBDMA_CS_STATUS	    0x0E /* 16 bit */
#define CBDMA_DMACAPABILITY 0x10 /* 32 bit */
#define CBDMA_GENERAL_SIZE  0x80

#define CBDMA_CHANCNT_MASK 0x1f
#define CBDMA_XFERCAP_MASK 0x1f
#define CBDMA_XFERCAP_MIN  12 /* 4 KB; 0 stands for 4 GB (SPDK lib/ioat/ioat.c) */

#define CBDMA_INTRCTRL_MASTER_INT_EN	   0x01
#define CBDMA_INTRCTRL_INT_STATUS	   0x02
#define CBDMA_INTRCTRL_INT		   0x04
#define CBDMA_INTRCTRL_MSIX_VECTOR_CONTROL 0x08

#define CBDMA_VER_3_0 0x30
#define CBDMA_VER_3_2 0x32
#define CBDMA_VER_3_3 0x33
#define CBDMA_VER_3_4 0x34

#define CBDMA_INTRDELAY_MASK	  0x3fff /* microseconds */
#define CBDMA_INTRDELAY_SUPPORTED 0x8000

#define CBDMA_DMACAP_PB	     (1u << 0)	/* page break */
#define CBDMA_DMACAP_DCA     (1u << 4)	/* direct cache access */
#define CBDMA_DMACAP_BFILL   (1u << 6)	/* block fill */
#define CBDMA_DMACAP_XOR     (1u << 8)
#define CBDMA_DMACAP_PQ	     (1u << 9)
#define CBDMA_DMACAP_DMA_DIF (1u << 10)
#define CBDMA_DMACAP_DWBES   (1u << 13) /* descriptor write back of error status */

/* Registers of channel n are at CBDMA_CHANNEL(n) + offset. */
#define CBDMA_CHANNEL_SIZE 0x80
#define CBDMA_CHANNEL(n)   (CBDMA_GENERAL_SIZE + (n) * CBDMA_CHANNEL_SIZE)

#define CBDMA_CHANCTRL	  0x00 /* 16 bit */
#define CBDMA_DMA_COMP	  0x02 /* 16 bit, compatibility */
#define CBDMA_CHANCMD	  0x04 /* 8 bit */
#define CBDMA_DMACOUNT	  0x06 /* 16 bit, descriptors to run since CHAINADDR was written */
#define CBDMA_CHANSTS	  0x08 /* 64 bit */
#define CBDMA_CHAINADDR	  0x10 /* 64 bit */
#define CBDMA_CHANCMP	  0x18 /* 64 bit, where the completion word is written */
#define CBDMA_CDAR	  0x20 /* 64 bit, current descriptor */
#define CBDMA_CHANERR	  0x28 /* 32 bit, write 1 to clear */
#define CBDMA_CHANERRMSK  0x2C /* 32 bit */
#define CBDMA_DCACTRL	  0x30 /* 32 bit */

#define CBDMA_CHANCTRL_PRIORITY_MASK	      0xf000
#define CBDMA_CHANCTRL_COMPL_DCA_EN	      0x0200
#define CBDMA_CHANCTRL_IN_USE		      0x0100
#define CBDMA_CHANCTRL_DESC_ADDR_SNOOP	      0x0020
#define CBDMA_CHANCTRL_ERR_INT_EN	      0x0010
#define CBDMA_CHANCTRL_ANY_ERR_ABORT_EN	      0x0008
#define CBDMA_CHANCTRL_ERR_COMPLETION_EN      0x0004
#define CBDMA_CHANCTRL_INT_DISABLE	      0x0001 /* write 1 to rearm */

#define CBDMA_CHANCMD_RESET   0x20
#define CBDMA_CHANCMD_SUSPEND 0x04

/* CHANSTS and the completion word: state in bits 2:0, address of the last completed descriptor
 * in bits 63:6.
 */
#define CBDMA_CHANSTS_STATE_MASK    0x7ull
#define CBDMA_CHANSTS_ACTIVE	    0x0
#define CBDMA_CHANSTS_IDLE	    0x1
#define CBDMA_CHANSTS_SUSPENDED	    0x2
#define CBDMA_CHANSTS_HALTED	    0x3
#define CBDMA_CHANSTS_ARMED	    0x4
#define CBDMA_CHANSTS_UNAFFILIATED  0x8ull
#define CBDMA_CHANSTS_SOFT_ERR	    0x10ull
#define CBDMA_CHANSTS_DESC_MASK	    (~0x3full)

/* CHANERR. Linux drivers/dma/ioat/registers.h and FreeBSD sys/dev/ioat/ioat_hw.h agree on these;
 * DPDK drivers/dma/ioat takes bit 10 for a bad length, which they and the datasheet have in 11.
 */
#define CBDMA_CHANERR_XSADDERR	(1u << 0)  /* source address */
#define CBDMA_CHANERR_XDADDERR	(1u << 1)  /* destination address */
#define CBDMA_CHANERR_NDADDERR	(1u << 2)  /* next descriptor address */
#define CBDMA_CHANERR_DERR	(1u << 3)  /* descriptor: alignment of next address */
#define CBDMA_CHANERR_CHADDERR	(1u << 4)  /* chain address */
#define CBDMA_CHANERR_CCMDERR	(1u << 5)  /* CHANCMD */
#define CBDMA_CHANERR_CUNCORERR (1u << 6)  /* chipset uncorrectable data integrity */
#define CBDMA_CHANERR_DUNCORERR (1u << 7)  /* DMA uncorrectable data integrity */
#define CBDMA_CHANERR_RDERR	(1u << 8)  /* reading data */
#define CBDMA_CHANERR_WDERR	(1u << 9)  /* writing data */
#define CBDMA_CHANERR_DCERR	(1u << 10) /* descriptor control: operation or flags */
#define CBDMA_CHANERR_DXSERR	(1u << 11) /* descriptor transfer size */
#define CBDMA_CHANERR_CMPADDERR (1u << 12) /* completion address */
#define CBDMA_CHANERR_INTCFGERR (1u << 13) /* interrupt configuration */
#define CBDMA_CHANERR_SEDERR	(1u << 14) /* super extended descriptor address */
#define CBDMA_CHANERR_UNAFFERR	(1u << 15) /* unaffiliated */
#define CBDMA_CHANERR_CXPERR	(1u << 16) /* CRC or XOR P */
#define CBDMA_CHANERR_DCNTERR	(1u << 18) /* descriptor count */

/* Descriptor control word. */
#define CBDMA_DESC_INT_EN	 (1u << 0)
#define CBDMA_DESC_SRC_SNOOP_DIS (1u << 1)
#define CBDMA_DESC_DST_SNOOP_DIS (1u << 2)
#define CBDMA_DESC_COMPLETION	 (1u << 3) /* write the completion word when done */
#define CBDMA_DESC_FENCE	 (1u << 4) /* done, with all before it, before the next starts */
#define CBDMA_DESC_NULL		 (1u << 5) /* moves no data; its size must not be 0 */
#define CBDMA_DESC_SRC_BRK	 (1u << 6)
#define CBDMA_DESC_DST_BRK	 (1u << 7)
#define CBDMA_DESC_BUNDLE	 (1u << 8)
#define CBDMA_DESC_OP_SHIFT	 24
#define CBDMA_DESC_OP_COPY	 0x00u
#define CBDMA_DESC_OP_FILL	 0x01u

/** A descriptor. The device fetches it as one 64-byte line. */
struct cbdma_desc {
	uint32_t size;	  /**< bytes, 1 to 1 << XFERCAP */
	uint32_t control; /**< CBDMA_DESC_* */
	uint64_t src;	  /**< source address; of a fill, the 8-byte pattern */
	uint64_t dst;	  /**< destination address */
	uint64_t next;	  /**< address of the next descriptor, a multiple of 64 */
	uint64_t reserved[2];
	uint32_t user[4]; /**< not read by the device (Linux drivers/dma/ioat/hw.h) */
};

static_assert(sizeof(struct cbdma_desc) == 64, "the device fetches 64 bytes");
static_assert(offsetof(struct cbdma_desc, next) == 24, "the chain is at byte 24");

#endif /* CBDMA_HW_H */
