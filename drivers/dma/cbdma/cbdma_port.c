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

void
cbdma_port_add(struct cbdma_port *port)
{
	pthread_mutex_lock(&lock);
	TAILQ_INSERT_TAIL(&ports, port, next);
	pthread_mutex_unlock(&lock);
}

void
cbdma_port_remove(struct cbdma_port *port)
{
	pthread_mutex_lock(&lock);
	TAILQ_REMOVE(&ports, port, next);
	while (port->users > 0)
		pthread_cond_wait(&port_put, &lock);
	pthread_mutex_unlock(&lock);
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
	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(port, &ports, next)
		if (strcmp(port->name, id) == 0 || (*end == '\0' && port->dev_id == number))
			break;
	if (port != NULL)
		port->users++;
	pthread_mutex_unlock(&lock);
	return port;
}

struct cbdma_port *
cbdma_port_hold(const struct rte_dma_dev *dmadev)
{
	struct cbdma_port *port;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(port, &ports, next)
		if (port->dmadev == dmadev)
			break;
	if (port != NULL)
		port->users++;
	pthread_mutex_unlock(&lock);
	return port;
}

void
cbdma_port_put(struct cbdma_port *port)
{
	pthread_mutex_lock(&lock);
	if (--port->users == 0)
		pthread_cond_broadcast(&port_put);
	pthread_mutex_unlock(&lock);
}

struct cbdma_port *
cbdma_port_of(const struct cbdma_dev *dev)
{
	struct cbdma_port *port;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(port, &ports, next)
		if (port->dev == dev)
			break;
	pthread_mutex_unlock(&lock);
	return port;
}
