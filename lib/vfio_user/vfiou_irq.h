/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_IRQ_H
#define VFIOU_IRQ_H

/**
 * @file
 *
 * Interrupts of a function: from the device model to the event file descriptors of the client.
 *
 * The device raises them from the thread that runs it, the client sets them up from the server's,
 * so there is a lock. It is the last one to be taken: nothing is called with it held.
 */

#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define VFIOU_MAX_VECTORS 32

struct vfiou_irq {
	pthread_mutex_t lock;
	aio_context_t aio; /**< signals events without ever waiting; 0: no event was set yet */
	int aio_fd;	   /**< something to read */
	unsigned int vectors;
	int msix_fd[VFIOU_MAX_VECTORS]; /**< -1: none */
	uint32_t pending; /**< MSI-X: raised while there was nobody to tell, or masked */
	uint32_t masked;  /**< MSI-X: by VFIO_IRQ_SET_ACTION_MASK */
	bool msix_enabled;

	int pin_fd;	     /**< -1: none */
	int unmask_fd;	     /**< the client signals it to unmask the pin; -1: none */
	bool pin_masked;     /**< until the client unmasks it: an interrupt masks it */
	bool pin_disabled;   /**< by the command register */
};

/** @return 0; an errno, negative. */
int vfiou_irq_init(struct vfiou_irq *irq, unsigned int vectors);

/**
 * Be able to signal events: before the first is set. Not sooner, since giving it back takes the
 * kernel tens of milliseconds.
 *
 * @return 0; an errno, negative: the kernel has no asynchronous I/O to be had.
 */
int vfiou_irq_prepare(struct vfiou_irq *irq);

/** Undo vfiou_irq_init(); nobody may use it any more. */
void vfiou_irq_destroy(struct vfiou_irq *irq);

/** Forget the client: close its file descriptors, nothing pending, nothing masked. */
void vfiou_irq_release(struct vfiou_irq *irq);

/** As a reset of the function does: nothing enabled or pending. The client's descriptors stay. */
void vfiou_irq_reset(struct vfiou_irq *irq);

/** The device raises an interrupt: the message of a vector, or the pin while MSI-X is off. */
void vfiou_irq_raise(struct vfiou_irq *irq, unsigned int vector);

/**
 * Signal the event of a vector, or of the pin, as a test by the client, whatever configuration
 * space says.
 */
void vfiou_irq_trigger(struct vfiou_irq *irq, bool pin, unsigned int vector);

/** What configuration space says. */
void vfiou_irq_configure(struct vfiou_irq *irq, bool msix_enabled, bool pin_disabled);

/** Set, or with fd -1 take away, the event of a vector or of the pin. fd is the callee's then. */
void vfiou_irq_set_msix(struct vfiou_irq *irq, unsigned int vector, int fd);
void vfiou_irq_set_pin(struct vfiou_irq *irq, int fd);

/** Set, or with fd -1 take away, the event that the client unmasks the pin with. Without an event
 * for the pin there is none. Server's thread only. fd is the callee's then.
 */
void vfiou_irq_set_unmask(struct vfiou_irq *irq, int fd);

void vfiou_irq_mask_msix(struct vfiou_irq *irq, unsigned int vector, bool mask);

/** @param asserted What the device does with its pin, as asked before: an interrupt to come,
 * then.
 */
void vfiou_irq_mask_pin(struct vfiou_irq *irq, bool mask, bool asserted);

/** Pending bits of all vectors. */
uint32_t vfiou_irq_pending(struct vfiou_irq *irq);

/** Whether a file descriptor is an event file descriptor: writing to anything else might block. */
bool vfiou_irq_is_eventfd(int fd);

#endif /* VFIOU_IRQ_H */
