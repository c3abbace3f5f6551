/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CE_TEST_COMMON_H
#define CE_TEST_COMMON_H

/* What the tests of lib/copyengine share: EAL, a device of the kind asked for, patience. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_errno.h>

#include <copyengine.h>

#define SKIPPED 77

/* The kind of device, as the first argument of a test names it: skeleton, cbdma, cbdma-step. */
extern bool is_cbdma;
extern bool is_step;
extern int16_t devices[5]; /* five of the kind */

/* To be set before test_begin(): EAL's telemetry socket is wanted. */
extern bool with_telemetry;

/*
 * Start EAL for "PROGRAM DEVICE MEMORY ...", MEMORY being nohuge, va or pa (the latter two in
 * hugepages). Exits with SKIPPED when that cannot be had here, and says why.
 */
void test_begin(int argc, char **argv);

/* Inject a fault into a dma_cbdma. */
void inject(int16_t dev_id, const char *fault);

/* Everything by the engine that it reaches. */
extern const struct ce_adapter_conf by_engine;

/* The same from any thread. Returns 0, or a negative errno. */
int try_inject(int16_t dev_id, const char *fault);

/* A handle on devices[0], by_engine unless conf has a break-even size; conf may be NULL. */
struct ce_adapter *adapter_get(const struct ce_adapter_conf *conf);

/* Put a handle back that must hold nothing any more. */
void adapter_put(struct ce_adapter *adapter);

/* Run the devices in step mode, so many descriptors each. */
void step_devices(unsigned int descriptors);

/* ce_poll(), after having run a device in step mode. */
unsigned int run(struct ce_adapter *adapter);

/* Run until a transfer has finished; fails the test after a minute. Returns its status. */
int finish(struct ce_adapter *adapter, struct ce_transfer *transfer);

/* Seconds since some time. */
double seconds(void);

/* Bytes that tell where they belong. */
void pattern_fill(void *to, size_t length, uint32_t seed);
bool pattern_is(const void *what, size_t length, uint32_t seed);

/* Memory that the device reaches, in hugepages unless run without. */
void *dma_alloc(size_t length);
void dma_free(void *memory);

int test_adapter(void);
int test_common(void);
int test_sglist(void);
int test_transfer(void);
int test_channel(void);
int test_cyclic(void);
int test_batch(void);

#endif /* CE_TEST_COMMON_H */
