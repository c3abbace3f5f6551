/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The devices of this process. Each process has its own way to the registers, so what that is
 * cannot lie in cbdma_dev, which they share.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cbdma_internal.h"

static TAILQ_HEAD(, cbdma_port) ports = TAILQ_HEAD_INITIALIZER(ports);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t port_put = PTHREAD_COND_INITIALIZER;

/* Telemetry looks devices up as often as others ask it to, and a mutex is not fair: a removal could
 * wait for as long as they do. So look-ups let all others go first.
 */
static __rte_atomic unsigned int others;
static pthread_cond_t no_others = PTHREAD_COND_INITIALIZER;

static void
lock_to_change(void)
{
	rte_atomic_fetch_add_explicit(&others, 1, rte_memory_order_relaxed);
	pthread_mutex_lock(&lock);
	rte_atomic_fetch_sub_explicit(&others, 1, rte_memory_order_relaxed);
}

static void
lock_to_look_up(void)
{
	pthread_mutex_lock(&lock);
	while (rte_atomic_load_explicit(&others, rte_memory_order_relaxed) != 0)
		pthread_cond_wait(&no_others, &lock);
}

static void
unlock(void)
{
	pthread_cond_broadcast(&no_others);
	pthread_mutex_unlock(&lock);
}

void
cbdma_port_add(struct cbdma_port *port)
{
	lock_to_change();
	TAILQ_INSERT_TAIL(&ports, port, next);
	unlock();
}

void
cbdma_port_remove(struct cbdma_port *port)
{
	lock_to_change();
	TAILQ_REMOVE(&ports, port, next);
	while (port->users > 0) {
		port->leaving = true;
		/* Who has hold of it may want to look something up before letting go. */
		pthread_cond_broadcast(&no_others);
		pthread_cond_wait(&port_put, &lock);
	}
	/* cbdma_port_put() has seen to it that no look-up got ahead. */
	if (port->leaving)
		rte_atomic_fetch_sub_explicit(&others, 1, rte_memory_order_relaxed);
	port->leaving = false;
	unlock();
}

struct cbdma_port *
cbdma_port_get(const char *id)
{
	struct cbdma_port *port;
	char *end;
	long number;

	if (id == NULL || id[0] == '\0')
		return NULL;
	number = strtol(id, &end, 10);
	lock_to_look_up();
	TAILQ_FOREACH(port, &ports, next)
		if (strcmp(port->name, id) == 0 || (*end == '\0' && port->dev_id == number))
			break;
	if (port != NULL)
		port->users++;
	unlock();
	return port;
}

struct cbdma_port *
cbdma_port_hold(const struct rte_dma_dev *dmadev)
{
	struct cbdma_port *port;

	lock_to_look_up();
	TAILQ_FOREACH(port, &ports, next)
		if (port->dmadev == dmadev)
			break;
	if (port != NULL)
		port->users++;
	unlock();
	return port;
}

void
cbdma_port_put(struct cbdma_port *port)
{
	lock_to_change();
	if (--port->users == 0 && port->leaving) {
		rte_atomic_fetch_add_explicit(&others, 1, rte_memory_order_relaxed);
		pthread_cond_broadcast(&port_put);
	}
	unlock();
}

struct cbdma_port *
cbdma_port_of(const struct cbdma_dev *dev)
{
	struct cbdma_port *port;

	lock_to_look_up();
	TAILQ_FOREACH(port, &ports, next)
		if (port->dev == dev)
			break;
	unlock();
	return port;
}
