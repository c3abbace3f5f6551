/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vfiou_irq.h"

int
vfiou_irq_init(struct vfiou_irq *irq, unsigned int vectors)
{
	unsigned int i;

	memset(irq, 0, sizeof(*irq));
	irq->aio_fd = memfd_create("vfiou-irq", MFD_CLOEXEC);
	if (irq->aio_fd < 0)
		return -errno;
	pthread_mutex_init(&irq->lock, NULL);
	irq->vectors = vectors;
	for (i = 0; i < VFIOU_MAX_VECTORS; i++)
		irq->msix_fd[i] = -1;
	irq->pin_fd = -1;
	irq->unmask_fd = -1;
	return 0;
}

int
vfiou_irq_prepare(struct vfiou_irq *irq)
{
	if (irq->aio != 0)
		return 0;
	return syscall(SYS_io_setup, 1, &irq->aio) == 0 ? 0 : -errno;
}

void
vfiou_irq_destroy(struct vfiou_irq *irq)
{
	vfiou_irq_release(irq);
	if (irq->aio != 0)
		syscall(SYS_io_destroy, irq->aio);
	close(irq->aio_fd);
	pthread_mutex_destroy(&irq->lock);
}

/* With the lock held. */
static void
replace_fd(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

void
vfiou_irq_release(struct vfiou_irq *irq)
{
	unsigned int i;

	pthread_mutex_lock(&irq->lock);
	for (i = 0; i < VFIOU_MAX_VECTORS; i++)
		replace_fd(&irq->msix_fd[i], -1);
	replace_fd(&irq->pin_fd, -1);
	replace_fd(&irq->unmask_fd, -1);
	irq->pending = 0;
	irq->masked = 0;
	irq->pin_masked = false;
	pthread_mutex_unlock(&irq->lock);
}

void
vfiou_irq_reset(struct vfiou_irq *irq)
{
	pthread_mutex_lock(&irq->lock);
	irq->pending = 0;
	irq->pin_masked = false;
	irq->msix_enabled = false;
	irq->pin_disabled = false;
	pthread_mutex_unlock(&irq->lock);
}

/* With the lock held. Writing to an event blocks when its counter is full, which the client can see
 * to at any time, between a look and a write, too. So a read of nothing is made to signal it when
 * it is done (io_submit(2), IOCB_FLAG_RESFD): at once, and without ever waiting.
 */
static void
signal_event(struct vfiou_irq *irq, int fd)
{
	struct iocb iocb = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = irq->aio_fd,
		.aio_flags = IOCB_FLAG_RESFD, .aio_resfd = fd};
	struct iocb *list = &iocb;
	struct timespec now = {0};
	struct io_event done;

	if (syscall(SYS_io_submit, irq->aio, 1, &list) == 1)
		syscall(SYS_io_getevents, irq->aio, 0, 1, &done, &now);
}

/* With the lock held. */
static void
send_message(struct vfiou_irq *irq, unsigned int vector)
{
	if (irq->msix_fd[vector] < 0 || (irq->masked & (1u << vector)) != 0) {
		irq->pending |= 1u << vector;
		return;
	}
	irq->pending &= ~(1u << vector);
	signal_event(irq, irq->msix_fd[vector]);
}

/* With the lock held. A level, so it is told once and then again when the client has unmasked it
 * and it is still there.
 */
static void
assert_pin(struct vfiou_irq *irq)
{
	if (irq->pin_fd < 0 || irq->pin_masked || irq->pin_disabled || irq->msix_enabled)
		return;
	irq->pin_masked = true;
	signal_event(irq, irq->pin_fd);
}

void
vfiou_irq_raise(struct vfiou_irq *irq, unsigned int vector)
{
	pthread_mutex_lock(&irq->lock);
	if (!irq->msix_enabled)
		assert_pin(irq);
	else if (vector < irq->vectors)
		send_message(irq, vector);
	pthread_mutex_unlock(&irq->lock);
}

void
vfiou_irq_trigger(struct vfiou_irq *irq, bool pin, unsigned int vector)
{
	pthread_mutex_lock(&irq->lock);
	if (!pin)
		send_message(irq, vector);
	else if (irq->pin_fd >= 0 && !irq->pin_masked)
		signal_event(irq, irq->pin_fd);
	pthread_mutex_unlock(&irq->lock);
}

void
vfiou_irq_configure(struct vfiou_irq *irq, bool msix_enabled, bool pin_disabled)
{
	pthread_mutex_lock(&irq->lock);
	if (!msix_enabled)
		irq->pending = 0;
	irq->msix_enabled = msix_enabled;
	irq->pin_disabled = pin_disabled;
	pthread_mutex_unlock(&irq->lock);
}

void
vfiou_irq_set_msix(struct vfiou_irq *irq, unsigned int vector, int fd)
{
	pthread_mutex_lock(&irq->lock);
	replace_fd(&irq->msix_fd[vector], fd);
	if (fd >= 0 && (irq->pending & (1u << vector)) != 0)
		send_message(irq, vector);
	pthread_mutex_unlock(&irq->lock);
}

void
vfiou_irq_set_pin(struct vfiou_irq *irq, int fd)
{
	pthread_mutex_lock(&irq->lock);
	replace_fd(&irq->pin_fd, fd);
	if (fd < 0)
		replace_fd(&irq->unmask_fd, -1);
	irq->pin_masked = false;
	pthread_mutex_unlock(&irq->lock);
}

void
vfiou_irq_set_unmask(struct vfiou_irq *irq, int fd)
{
	pthread_mutex_lock(&irq->lock);
	replace_fd(&irq->unmask_fd, fd);
	pthread_mutex_unlock(&irq->lock);
}

void
vfiou_irq_mask_msix(struct vfiou_irq *irq, unsigned int vector, bool mask)
{
	pthread_mutex_lock(&irq->lock);
	if (mask) {
		irq->masked |= 1u << vector;
	} else {
		irq->masked &= ~(1u << vector);
		if ((irq->pending & (1u << vector)) != 0)
			send_message(irq, vector);
	}
	pthread_mutex_unlock(&irq->lock);
}

void
vfiou_irq_mask_pin(struct vfiou_irq *irq, bool mask, bool asserted)
{
	pthread_mutex_lock(&irq->lock);
	irq->pin_masked = mask;
	if (!mask && asserted)
		assert_pin(irq);
	pthread_mutex_unlock(&irq->lock);
}

uint32_t
vfiou_irq_pending(struct vfiou_irq *irq)
{
	uint32_t pending;

	pthread_mutex_lock(&irq->lock);
	pending = irq->pending;
	pthread_mutex_unlock(&irq->lock);
	return pending;
}

bool
vfiou_irq_is_eventfd(int fd)
{
	static const char eventfd[] = "anon_inode:[eventfd]";
	char path[64], target[sizeof(eventfd)];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target));
	return len == sizeof(eventfd) - 1 && memcmp(target, eventfd, len) == 0;
}
