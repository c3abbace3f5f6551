/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef DM_ENGINE_H
#define DM_ENGINE_H

/**
 * @file
 *
 * The thread that runs device models: it polls the doorbells of the devices attached to it.
 *
 * Engines are shared: devices that name the same CPU are served by one thread.
 */

#include "dm_device.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DM_CPU_ANY (-1) /**< an engine of its own, which is not pinned */

/** The longest that an engine without work sleeps between two looks at its doorbells, microseconds. */
#define DM_ENGINE_SLEEP_MAX_US 4000

/** What an engine does that finds no work. */
enum dm_idle {
	/** Polls without a pause. For a CPU that nobody else wants. */
	DM_IDLE_SPIN,

	/**
	 * Polls on for some 100 us, or less where it shares its CPU, then sleeps between two polls: for
	 * an eighth of the time that it has been without work, at most DM_ENGINE_SLEEP_MAX_US. An
	 * access to a register of one of its devices wakes it at once, and so does dm_engine_wake().
	 */
	DM_IDLE_SLEEP,
};

struct dm_engine;

/**
 * Get the engine of a CPU; starts its thread when it is the first.
 *
 * @param cpu
 *   CPU that the thread is pinned to, or DM_CPU_ANY for a thread of one's own that is not pinned.
 * @param idle
 *   An engine that is shared idles as eagerly as the most eager of its users asked.
 * @param engine
 *   The engine, when 0 is returned.
 * @return 0; -EINVAL: there is no such CPU or this process may not run on it; -ENOMEM; -EAGAIN: no
 *   thread to be had.
 */
int dm_engine_get(int cpu, enum dm_idle idle, struct dm_engine **engine);

/** Give back what dm_engine_get() gave; the last one ends the thread. */
void dm_engine_put(struct dm_engine *engine);

/**
 * Have an engine that sleeps look at its doorbells now. Whoever rings one by a plain store may call it
 * afterwards, when it takes long, say. Does not sleep; cheap when the engine is awake. May be called
 * from any thread.
 */
void dm_engine_wake(struct dm_engine *engine);

/**
 * Have the engine wait, before each burst, this long after it has seen that there is work; less than
 * a second. Silicon takes a microsecond or two, which a model need not; but where the driver is
 * emulated and the model is not, a device that is done at once is no device that drivers know.
 */
void dm_engine_set_latency(struct dm_engine *engine, unsigned int microseconds);

/** Have the engine run a device. @return 0; -ENOMEM. */
int dm_engine_attach(struct dm_engine *engine, struct dm_device *dev);

/** Take a device from the engine. When it returns, the engine does not touch the device. */
void dm_engine_detach(struct dm_engine *engine, struct dm_device *dev);

#ifdef __cplusplus
}
#endif

#endif /* DM_ENGINE_H */
