/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bus_vdev_driver.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "test_driver.h"

uint8_t *drv_src, *drv_dst;
static unsigned int devices; /* so that each has a name of its own */

uint32_t
drv_random(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

/* EAL */

/* EAL leaves files behind: in a folder of this process, they go with it. */
static char runtime_dir[] = "/tmp/cbdma_test.XXXXXX";

static int
remove_file(const char *path, const struct stat *st __rte_unused, int type __rte_unused,
		struct FTW *ftw __rte_unused)
{
	return remove(path);
}

int
drv_eal_init(const char *const *args)
{
	static char lcores[1024] = "--lcores=0@(";
	static char *argv[32] = {"test", "--no-huge", "-m", "256", "--no-shconf", "--no-pci",
		"--iova-mode=va", lcores};
	int argc = 8, cpu;
	cpu_set_t cpus;

	/* All CPUs, not one: tests may run side by side. */
	sched_getaffinity(0, sizeof(cpus), &cpus);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			snprintf(lcores + strlen(lcores), sizeof(lcores) - strlen(lcores), "%d,", cpu);
	lcores[strlen(lcores) - 1] = ')';
	if (mkdtemp(runtime_dir) == NULL || setenv("RUNTIME_DIRECTORY", runtime_dir, 1) != 0)
		return -1;
	for (; *args != NULL; args++)
		argv[argc++] = (char *)(uintptr_t)*args;
	if (rte_eal_init(argc, argv) < 0) {
		fprintf(stderr, "EAL: %s\n", rte_strerror(rte_errno));
		return -1;
	}
	drv_src = rte_malloc("src", DRV_MEM + 4096, 4096);
	drv_dst = rte_malloc("dst", DRV_MEM + 4096, 4096);
	return drv_src == NULL || drv_dst == NULL ? -1 : 0;
}

int
drv_group_setup(void **state __rte_unused)
{
	static const char *const args[] = {"--no-telemetry", "--log-level=pmd.dma.cbdma:notice", NULL};

	return drv_eal_init(args);
}

int
drv_group_teardown(void **state __rte_unused)
{
	rte_free(drv_src);
	rte_free(drv_dst);
	rte_eal_cleanup();
	return nftw(runtime_dir, remove_file, 8, FTW_DEPTH | FTW_PHYS);
}

static FILE *log_file;
static char *log_text;
static size_t log_size;

void
drv_log_begin(void)
{
	log_file = open_memstream(&log_text, &log_size);
	assert_non_null(log_file);
	rte_openlog_stream(log_file);
}

char *
drv_log_end(void)
{
	rte_openlog_stream(NULL);
	fclose(log_file);
	return log_text;
}

/* A bus of the test's own: registers go straight to a model. */

static int
bus_read(void *opaque, uint32_t offset, unsigned int width, uint64_t *value)
{
	const struct drv *d = opaque;

	if (d->no_answer)
		return -ETIMEDOUT;
	*value = dm_device_read(d->model, offset, width);
	if (offset == CBDMA_CBVER && d->fake_cbver != 0)
		*value = d->fake_cbver;
	return 0;
}

static int
bus_write(void *opaque, uint32_t offset, unsigned int width, uint64_t value)
{
	const struct drv *d = opaque;

	if (d->no_answer)
		return -ETIMEDOUT;
	if (d->dropped_write == 0 || offset != d->dropped_write)
		dm_device_write(d->model, offset, width, value);
	return d->unanswered_write != 0 && offset == d->unanswered_write ? -ETIMEDOUT : 0;
}

static int
bus_config_read(void *opaque, uint32_t offset, uint32_t *value)
{
	const struct drv *d = opaque;

	assert_true(dm_pci_config_read(d->model, offset, value));
	return d->no_answer ? -ETIMEDOUT : 0;
}

static int
bus_config_write(void *opaque, uint32_t offset, uint32_t value)
{
	const struct drv *d = opaque;

	if (d->no_answer)
		return -ETIMEDOUT;
	assert_true(dm_pci_config_write(d->model, offset, UINT32_MAX, value));
	return 0;
}

static int
bus_set_bus_master(void *opaque, bool enable)
{
	struct drv *d = opaque;

	if (d->no_answer)
		return -ETIMEDOUT;
	if (d->no_bus_master)
		return -EIO;
	dm_pci_set_bus_master(d->model, enable);
	d->bus_master = enable;
	return d->unanswered_bus_master ? -ETIMEDOUT : 0;
}

static int
bus_revive(void *opaque)
{
	const struct drv *d = opaque;

	return d->revive;
}

static void
bus_wake(void *opaque)
{
	struct drv *d = opaque;

	d->woken++;
}

static void
bus_destroy(void *opaque)
{
	struct drv *d = opaque;

	dm_device_destroy(d->model);
	d->model = NULL;
	rte_free(d->doorbell);
}

static int
map_memory(const struct rte_memseg_list *msl __rte_unused, const struct rte_memseg *ms, size_t len,
		void *arg)
{
	return dm_device_map(arg, ms->iova, len, ms->addr, DM_READ | DM_WRITE);
}

int
drv_create(struct drv *d, const struct drv_conf *conf)
{
	const struct cbdma_bus bus = {
		.read = bus_read,
		.write = bus_write,
		.config_read = bus_config_read,
		.config_write = bus_config_write,
		.set_bus_master = bus_set_bus_master,
		.wake = bus_wake,
		.revive = bus_revive,
		.stall_ms = conf->stall_ms,
		.destroy = bus_destroy,
		.opaque = d,
	};
	struct dm_cbdma_config config = {.version = conf->version, .xfercap = conf->xfercap,
		.reorder = conf->reorder, .quiet_errors = conf->quiet,
		.strict_errors = conf->strict, .no_fill = conf->no_fill};
	const struct cbdma_args args = {0};
	const char *error;

	snprintf(d->name, sizeof(d->name), "own_bus%u", devices++);
	d->device = (struct rte_device){.name = d->name, .numa_node = SOCKET_ID_ANY};
	d->doorbell = rte_zmalloc("doorbell", RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_SIZE);
	assert_non_null(d->doorbell);
	config.doorbell[0] = d->doorbell;
	d->model = dm_cbdma_create(&config, &error);
	assert_non_null(d->model);
	assert_int_equal(rte_memseg_contig_walk(map_memory, d->model), 0);
	return cbdma_create(d->name, &d->device, &bus, d->doorbell, &args);
}

/* A device */

struct cbdma_dev *
drv_dev(int16_t id)
{
	struct cbdma_port *port;
	struct cbdma_dev *dev;
	char number[8];

	snprintf(number, sizeof(number), "%d", id);
	port = cbdma_port_get(number);
	assert_non_null(port);
	dev = port->dev;
	cbdma_port_put(port);
	return dev;
}

uint64_t
drv_register(const struct drv *d, uint32_t offset, unsigned int width)
{
	return cbdma_read(&cbdma_port_of(d->dev)->bus, offset, width);
}

void
drv_start(int16_t id, uint16_t ring, bool silent)
{
	const struct rte_dma_vchan_conf vchan = {
		.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = ring == 0 ? DRV_RING : ring};
	struct rte_dma_conf conf = {.nb_vchans = 1};

#if CBDMA_HAS_ENQ_DEQ
	conf.flags = silent ? RTE_DMA_CFG_FLAG_SILENT : 0;
#else
	conf.enable_silent = silent;
#endif
	assert_int_equal(rte_dma_configure(id, &conf), 0);
	assert_int_equal(rte_dma_vchan_setup(id, 0, &vchan), 0);
	assert_int_equal(rte_dma_start(id), 0);
}

static void
find(struct drv *d)
{
	d->id = rte_dma_get_dev_id_by_name(d->name);
	assert_true(d->id >= 0);
	d->dev = drv_dev(d->id);
	drv_mem_reset();
}

void
drv_open_args(struct drv *d, const char *args)
{
	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "dma_cbdma%u", devices++);
	d->has_engine = strstr(args, "step=1") == NULL;
	assert_int_equal(rte_vdev_init(d->name, args), 0);
	find(d);
	drv_start(d->id, 0, false);
}

void
drv_open(struct drv *d, const struct drv_conf *conf)
{
	static const struct drv_conf plain;
	char args[64];

	if (conf == NULL)
		conf = &plain;
	memset(d, 0, sizeof(*d));
	if (conf->own_bus || conf->quiet || conf->reorder || conf->strict || conf->no_fill ||
			conf->stall_ms != 0) {
		assert_int_equal(drv_create(d, conf), 0);
	} else {
		snprintf(d->name, sizeof(d->name), "dma_cbdma%u", devices++);
		snprintf(args, sizeof(args), "step=1,version=3.%u,xfercap=%u",
			conf->version == 0 ? 4 : conf->version & 0xf,
			conf->xfercap == 0 ? 20 : conf->xfercap);
		assert_int_equal(rte_vdev_init(d->name, args), 0);
	}
	find(d);
	drv_start(d->id, conf->ring, conf->silent);
}

void
drv_close(struct drv *d)
{
	if (d->model != NULL)
		assert_int_equal(cbdma_remove(d->name), 0);
	else
		assert_int_equal(rte_vdev_uninit(d->name), 0);
	assert_int_equal(rte_dma_get_dev_id_by_name(d->name), -EINVAL);
}

unsigned int
drv_step(struct drv *d, unsigned int max)
{
	int ret;

	if (d->has_engine) {
		rte_delay_us_sleep(5);
		return 0;
	}
	if (d->model != NULL)
		return dm_device_run(d->model, max);
	ret = rte_pmd_cbdma_step(d->id, max);
	assert_true(ret >= 0);
	return ret;
}

unsigned int
drv_run(struct drv *d)
{
	return drv_step(d, 1u << 20);
}

void
drv_inject(struct drv *d, const char *text)
{
	struct dm_cbdma_fault fault;
	const char *error;

	if (d->model == NULL) {
		assert_int_equal(rte_pmd_cbdma_inject(d->id, text), 0);
		return;
	}
	assert_int_equal(dm_cbdma_fault_parse(text, &fault, &error), 0);
	assert_int_equal(dm_cbdma_inject(d->model, 0, &fault), 0);
}

struct rte_dma_stats
drv_stats(const struct drv *d)
{
	struct rte_dma_stats stats;

	assert_int_equal(rte_dma_stats_get(d->id, 0, &stats), 0);
	return stats;
}

void
drv_mem_reset(void)
{
	uint32_t i, value;

	for (i = 0; i < DRV_MEM; i += sizeof(value)) {
		value = drv_random();
		memcpy(drv_src + i, &value, sizeof(value));
	}
	memset(drv_dst, DRV_GUARD, DRV_MEM);
}

/* Bursts */

uint64_t
drv_pattern(unsigned int i)
{
	return 0x0123456789abcdefull * (i * 2 + 1);
}

void
drv_copies(struct drv_op *ops, unsigned int n, uint32_t len)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		ops[i] = (struct drv_op){.kind = DRV_COPY, .len = len};
}

int
drv_enqueue(struct drv *d, unsigned int i, const struct drv_op *op)
{
	rte_iova_t src = drv_iova(drv_src + i * DRV_STRIDE);
	rte_iova_t dst = drv_iova(drv_dst + i * DRV_STRIDE);
	struct rte_dma_sge from[64], to[64];
	uint32_t seg, len;

	assert_true(i < DRV_BURST_MAX && op->len <= DRV_STRIDE);
	if (op->kind == DRV_SG) {
		len = op->len / op->segs;
		for (seg = 0; seg < op->segs; seg++) {
			bool bad = seg == op->bad_seg;

			from[seg].addr = bad && op->bad_src ? DRV_BAD_IOVA : src + seg * len;
			to[seg].addr = bad && op->bad_dst ? DRV_BAD_IOVA : dst + seg * len;
			from[seg].length = to[seg].length = len;
		}
		return rte_dma_copy_sg(d->id, 0, from, to, op->segs, op->segs, op->flags);
	}
	if (op->bad_dst)
		dst = DRV_BAD_IOVA;
	if (op->kind == DRV_FILL)
		return rte_dma_fill(d->id, 0, drv_pattern(i), dst, op->len, op->flags);
	return rte_dma_copy(d->id, 0, op->bad_src ? DRV_BAD_IOVA : src, dst, op->len, op->flags);
}

void
drv_check_op(unsigned int i, const struct drv_op *op, enum rte_dma_status_code status)
{
	const uint8_t *src = drv_src + i * DRV_STRIDE, *dst = drv_dst + i * DRV_STRIDE;
	static uint8_t guard[DRV_STRIDE];
	uint64_t pattern = drv_pattern(i);
	uint32_t j;

	if (guard[0] == 0)
		memset(guard, DRV_GUARD, sizeof(guard));
	assert_int_equal(status, op->status);
	if (status == RTE_DMA_STATUS_SUCCESSFUL && op->kind == DRV_FILL) {
		for (j = 0; j < op->len; j++)
			assert_int_equal(dst[j], (uint8_t)(pattern >> j % 8 * 8));
	} else if (status == RTE_DMA_STATUS_SUCCESSFUL) {
		assert_memory_equal(dst, src, op->len);
	}
	assert_memory_equal(dst + op->len, guard, DRV_STRIDE - op->len);
}

/* Poll once. @return operations reported, their status in status[]. */
static unsigned int
poll_once(struct drv *d, enum drv_poll mode, uint16_t expected, unsigned int left,
		enum rte_dma_status_code *status)
{
	const uint16_t max = mode == DRV_POLL_STATUS_1 || mode == DRV_POLL_COMPLETED_1 ? 1 : 64;
	uint16_t n = 0, idx, i;
	bool has_error = false;

	if (mode != DRV_POLL_STATUS && mode != DRV_POLL_STATUS_1) {
		idx = 0x5a5a;
		n = rte_dma_completed(d->id, 0, max, &idx, &has_error);
		assert_true(n <= max && n <= left);
		assert_int_equal(idx, (uint16_t)(expected + n - 1));
		for (i = 0; i < n; i++)
			status[i] = RTE_DMA_STATUS_SUCCESSFUL;
		if (!has_error)
			return n;
		assert_int_equal(rte_errno, EIO);
		assert_true(n < max && n < left);
	}
	idx = 0x5a5a;
	i = rte_dma_completed_status(d->id, 0, mode == DRV_POLL_COMPLETED ? 1 : max, &idx, status + n);
	assert_true(i <= max && n + i <= left);
	assert_int_equal(idx, (uint16_t)(expected + n + i - 1));
	if (has_error) {
		assert_true(i > 0);
		assert_int_not_equal(status[n], RTE_DMA_STATUS_SUCCESSFUL);
	}
	return n + i;
}

void
drv_drain(struct drv *d, const struct drv_op *ops, unsigned int n, uint16_t first,
		enum drv_poll mode, unsigned int step, bool ask_status)
{
	enum rte_dma_status_code status[DRV_BURST_MAX + 64];
	unsigned int done = 0, idle = 0, count, i;
	enum rte_dma_vchan_status vchan;

	while (done < n) {
		drv_step(d, step == 0 ? 1u << 20 : step);
		if (ask_status)
			assert_int_equal(rte_dma_vchan_status(d->id, 0, &vchan), 0);
		count = poll_once(d, mode, first + done, n - done, status);
		for (i = 0; i < count; i++, done++)
			drv_check_op(done, &ops[done], status[i]);
		idle = count > 0 ? 0 : idle + 1;
		if (idle == (d->has_engine ? 400000 : 40000)) {
			rte_dma_dump(d->id, stderr);
			fail_msg("operation %u of %u is lost, mode %d", done, n, mode);
		}
	}
	drv_run(d);
	/* Nothing twice. */
	assert_int_equal(poll_once(d, mode, first + n, 0, status), 0);
	assert_int_equal(rte_dma_vchan_status(d->id, 0, &vchan), 0);
	assert_int_equal(vchan, RTE_DMA_VCHAN_IDLE);
}

void
drv_burst(struct drv *d, const struct drv_op *ops, unsigned int n, enum drv_poll mode,
		unsigned int step, bool ask_status)
{
	const struct rte_dma_stats before = drv_stats(d);
	struct rte_dma_stats after;
	unsigned int i, errors = 0;
	uint16_t first = 0;
	int idx;

	memset(drv_dst, DRV_GUARD, n * DRV_STRIDE);
	for (i = 0; i < n; i++) {
		idx = drv_enqueue(d, i, &ops[i]);
		assert_true(idx >= 0);
		if (i == 0)
			first = idx;
		assert_int_equal(idx, (uint16_t)(first + i));
		errors += ops[i].status != RTE_DMA_STATUS_SUCCESSFUL;
	}
	assert_int_equal(rte_dma_submit(d->id, 0), 0);
	drv_drain(d, ops, n, first, mode, step, ask_status);

	after = drv_stats(d);
	assert_int_equal(after.submitted - before.submitted, n);
	assert_int_equal(after.completed - before.completed, n);
	assert_int_equal(after.errors - before.errors, errors);
	assert_int_equal(rte_dma_burst_capacity(d->id, 0), d->dev->capacity / CBDMA_SLOT);
}

/* TEST_FILTER='test_fen*' runs some of a program's tests only. */
__attribute__((constructor)) static void
filter_tests(void)
{
	const char *filter = getenv("TEST_FILTER");

	if (filter != NULL)
		cmocka_set_test_filter(filter);
}
