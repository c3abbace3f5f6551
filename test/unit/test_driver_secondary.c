/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* A device in two processes: this program is the primary and starts itself as the secondary. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bus_vdev_driver.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memzone.h>

#include "deviced.h"

#define NAME "dma_cbdma_shared"
#define BURST 16
#define SKIPPED 77

static char dir[] = "/tmp/cbdma_mp.XXXXXX";
static char huge_dir[64];

static int
skipped(const char *why, const char *how)
{
	printf("skipped: %s: %s\n", why, how);
	return SKIPPED;
}

static int
eal_init(const char *type)
{
	char proc_type[32], dir_arg[96];
	char *argv[] = {(char *)(uintptr_t)"test", proc_type, dir_arg,
		(char *)(uintptr_t)"--file-prefix=cbdma", (char *)(uintptr_t)"--no-pci",
		(char *)(uintptr_t)"--no-telemetry", (char *)(uintptr_t)"--iova-mode=va",
		(char *)(uintptr_t)"--lcores=0@0", NULL};

	snprintf(proc_type, sizeof(proc_type), "--proc-type=%s", type);
	snprintf(dir_arg, sizeof(dir_arg), "--huge-dir=%s", getenv("TEST_HUGE_DIR"));
	return rte_eal_init(RTE_DIM(argv) - 1, argv);
}

static void
attach(struct drv *d)
{
	const struct rte_memzone *mz = rte_memzone_lookup("buffers");

	assert_non_null(mz);
	drv_src = mz->addr;
	drv_dst = drv_src + DRV_MEM;
	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), NAME);
	d->has_engine = true;
	d->id = rte_dma_get_dev_id_by_name(NAME);
	assert_true(d->id >= 0);
	d->dev = drv_dev(d->id);
}

static void
work(struct drv *d, unsigned int bad)
{
	struct drv_op ops[BURST];
	unsigned int i, mode;

	for (mode = 0; mode < DRV_POLL_MODES; mode++) {
		drv_copies(ops, BURST, 1000);
		for (i = 0; i < bad; i++) {
			struct drv_op *op = &ops[(i * 7 + mode) % BURST];

			op->bad_src = true;
			op->status = RTE_DMA_STATUS_INVALID_SRC_ADDR;
		}
		ops[3].flags = RTE_DMA_OP_FLAG_FENCE | RTE_DMA_OP_FLAG_SUBMIT;
		ops[4].flags = RTE_DMA_OP_FLAG_FENCE;
		drv_burst(d, ops, BURST, mode, 0, mode % 2);
	}
}

/* What the secondary does. */

static void
secondary_looks(void **state __rte_unused)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	struct rte_dma_stats stats;
	struct rte_dma_info info;
	char *text = NULL;
	struct drv d;
	size_t size;
	FILE *f;

	attach(&d);
	assert_int_equal(rte_dma_info_get(d.id, &info), 0);
	assert_int_equal(info.nb_vchans, 1);
	assert_true(info.dev_capa & RTE_DMA_CAPA_HANDLES_ERRORS);
	/* It reaches the primary's memory, not what this process has for itself. */
	assert_false(info.dev_capa & RTE_DMA_CAPA_SVA);
	stats = drv_stats(&d);
	assert_int_equal(stats.submitted, BURST * DRV_POLL_MODES);
	assert_int_equal(stats.completed, BURST * DRV_POLL_MODES);
	/* Registers come from the primary. */
	assert_int_equal(drv_register(&d, CBDMA_CBVER, 1), CBDMA_VER_3_4);
	assert_int_equal(drv_register(&d, CBDMA_CH(CBDMA_CHANCMP), 8), d.dev->completion_iova);
	f = open_memstream(&text, &size);
	assert_non_null(f);
	assert_int_equal(rte_dma_dump(d.id, f), 0);
	fclose(f);
	assert_non_null(strstr(text, "CBVER 3.4"));
	assert_non_null(strstr(text, "(IDLE)"));
	free(text);

	/* It is the primary's to configure and to stop. */
	assert_true(rte_dma_configure(d.id, &conf) < 0);
	assert_int_equal(rte_dma_stop(d.id), -E_RTE_SECONDARY);
	assert_int_equal(rte_pmd_cbdma_inject(d.id, "none"), -ENODEV);
	assert_int_equal(rte_pmd_cbdma_step(d.id, 1), -ENODEV);
}

static void
secondary_works(void **state __rte_unused)
{
	struct drv d;
	int i;

	attach(&d);
	work(&d, 0);
	for (i = 1; i <= BURST; i *= 2)
		work(&d, i);
}

static void
secondary_sees_it_gone(void **state __rte_unused)
{
	enum rte_dma_vchan_status vchan;
	enum rte_dma_status_code status[4];
	struct drv d;
	char *log;

	attach(&d);
	assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 8,
			RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	assert_int_equal(rte_dma_vchan_status(d.id, 0, &vchan), 0);
	assert_int_equal(vchan, RTE_DMA_VCHAN_HALTED_ERROR);
	drv_log_begin();
	assert_int_equal(rte_dma_completed_status(d.id, 0, 4, NULL, status), 1);
	log = drv_log_end();
	assert_non_null(strstr(log, "the device is gone"));
	free(log);
	assert_int_equal(status[0], RTE_DMA_STATUS_BUS_ERROR);
}

/* The primary, device and all, does not answer for longer than a message may take: nothing is reported
 * as failed that is done later.
 */
static void
secondary_waits_for_the_primary(void **state __rte_unused)
{
	const pid_t primary = getppid();
	const uint64_t hz = rte_get_timer_hz();
	enum rte_dma_status_code status;
	uint64_t end;
	struct drv d;

	attach(&d);
	memset(drv_dst, DRV_GUARD, 64);
	assert_int_equal(kill(primary, SIGSTOP), 0);
	usleep(10000);
	assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 64,
			RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	for (end = rte_get_timer_cycles() + 3 * hz; rte_get_timer_cycles() < end;)
		assert_int_equal(rte_dma_completed_status(d.id, 0, 1, NULL, &status), 0);
	assert_int_equal(kill(primary, SIGCONT), 0);
	for (end = rte_get_timer_cycles() + 10 * hz;
			rte_dma_completed_status(d.id, 0, 1, NULL, &status) == 0;)
		assert_true(rte_get_timer_cycles() < end);
	assert_int_equal(status, RTE_DMA_STATUS_SUCCESSFUL);
	assert_memory_equal(drv_dst, drv_src, 64);
	work(&d, 0);
}

/* Taken out of the secondary, the device runs on in the primary. */
static void
secondary_detaches(void **state __rte_unused)
{
	struct drv d;

	attach(&d);
	work(&d, 0);
	assert_int_equal(rte_vdev_uninit(NAME), 0);
	assert_int_equal(rte_dma_get_dev_id_by_name(NAME), -EINVAL);
}

/* The doorbell of a device in another process is the primary's: nobody else is let near it. */
static void
secondary_keeps_off(void **state __rte_unused)
{
	struct drv d;
	char *log;

	attach(&d);
	drv_log_begin();
	assert_true(rte_dma_copy(d.id, 0, drv_iova(drv_src), drv_iova(drv_dst), 8,
			RTE_DMA_OP_FLAG_SUBMIT) < 0);
	log = drv_log_end();
	assert_non_null(strstr(log, "not supported"));
	free(log);
	assert_int_equal(drv_stats(&d).submitted, BURST * DRV_POLL_MODES);
}

static int
secondary(const char *what)
{
	const struct CMUnitTest at_work[] = {
		cmocka_unit_test(secondary_looks),
		cmocka_unit_test(secondary_works),
		cmocka_unit_test(secondary_detaches),
	};
	const struct CMUnitTest gone[] = {
		cmocka_unit_test(secondary_sees_it_gone),
	};
	const struct CMUnitTest waits[] = {
		cmocka_unit_test(secondary_waits_for_the_primary),
	};
	const struct CMUnitTest socket[] = {
		cmocka_unit_test(secondary_keeps_off),
	};
	int ret;

	if (eal_init("secondary") < 0)
		return EXIT_FAILURE;
	if (strcmp(what, "socket") == 0)
		ret = cmocka_run_group_tests_name("driver: secondary, socket", socket, NULL, NULL);
	else if (strcmp(what, "waits") == 0)
		ret = cmocka_run_group_tests_name("driver: secondary, waits", waits, NULL, NULL);
	else if (strcmp(what, "gone") == 0)
		ret = cmocka_run_group_tests_name("driver: secondary, gone", gone, NULL, NULL);
	else
		ret = cmocka_run_group_tests_name("driver: secondary", at_work, NULL, NULL);
	rte_eal_cleanup();
	return ret;
}

static void
run_secondary(const char *what)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl("/proc/self/exe", "test_driver_secondary", what, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Memory that another thread gets while a device is made is reached by it like all other. */

static void *others_memory;

static void *
get_memory(void *arg __rte_unused)
{
	__atomic_store_n(&others_memory, rte_malloc(NULL, 24u << 20, 4096), __ATOMIC_RELEASE);
	return NULL;
}

static bool watch_registering;
static pthread_t other_thread;

int __real_rte_mem_event_callback_register(const char *name, rte_mem_event_callback_t clb, void *arg);
int __wrap_rte_mem_event_callback_register(const char *name, rte_mem_event_callback_t clb, void *arg);

int
__wrap_rte_mem_event_callback_register(const char *name, rte_mem_event_callback_t clb, void *arg)
{
	if (watch_registering) {
		assert_int_equal(pthread_create(&other_thread, NULL, get_memory, NULL), 0);
		usleep(200000);
	}
	return __real_rte_mem_event_callback_register(name, clb, arg);
}

static void
test_memory_during_probe(void **state __rte_unused)
{
	enum rte_dma_status_code status;
	uint8_t *memory;
	struct drv d;

	watch_registering = true;
	assert_int_equal(rte_vdev_init(NAME, "iommu=on"), 0);
	watch_registering = false;
	pthread_join(other_thread, NULL);
	memory = __atomic_load_n(&others_memory, __ATOMIC_ACQUIRE);
	assert_non_null(memory);
	drv_start(rte_dma_get_dev_id_by_name(NAME), 0, false);
	attach(&d);
	memory[(24u << 20) - 1] = 0;
	assert_int_equal(rte_dma_fill(d.id, 0, 0x42, drv_iova(memory + (24u << 20) - 1), 1,
		RTE_DMA_OP_FLAG_SUBMIT), 0);
	while (rte_dma_completed_status(d.id, 0, 1, NULL, &status) == 0)
		;
	assert_int_equal(status, RTE_DMA_STATUS_SUCCESSFUL);
	assert_int_equal(memory[(24u << 20) - 1], 0x42);
	rte_free(memory);
	drv_close(&d);
}

/* The primary */

static void
test_two_processes(void **state __rte_unused)
{
	struct rte_dma_stats before, after;
	struct rte_dma_info info;
	struct drv d;

	assert_int_equal(rte_vdev_init(NAME, "idle=yield"), 0);
	drv_start(rte_dma_get_dev_id_by_name(NAME), 0, false);
	attach(&d);
	assert_int_equal(rte_dma_info_get(d.id, &info), 0);
	assert_true(info.dev_capa & RTE_DMA_CAPA_SVA);
	drv_mem_reset();
	work(&d, 0);
	before = drv_stats(&d);
	run_secondary("work");
	/* The primary goes on where the secondary left it. */
	after = drv_stats(&d);
	assert_int_equal(after.completed - before.completed, 7 * BURST * DRV_POLL_MODES);
	assert_int_equal(after.errors - before.errors, (1 + 2 + 4 + 8 + 16) * DRV_POLL_MODES);
	work(&d, 3);

	/* Twice: the first one's end has left everything in place. */
	assert_int_equal(rte_dma_stats_reset(d.id, 0), 0);
	work(&d, 0);
	run_secondary("work");
	run_secondary("waits");
	drv_inject(&d, "vanish");
	run_secondary("gone");
	assert_int_equal(rte_dma_stop(d.id), 0);
	drv_close(&d);
}

static void
test_socket(void **state __rte_unused)
{
	char path[64], args[96];
	struct rte_dma_info info;
	struct drv d;
	pid_t server;

	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(args, sizeof(args), "socket=%s", path);
	server = deviced_start(getenv("DMA_DEVICED"), path, "cbdma,doorbell-bar=on", NULL);
	assert_int_equal(rte_vdev_init(NAME, args), 0);
	drv_start(rte_dma_get_dev_id_by_name(NAME), 0, false);
	attach(&d);
	assert_int_equal(rte_dma_info_get(d.id, &info), 0);
	assert_false(info.dev_capa & RTE_DMA_CAPA_SVA);
	drv_mem_reset();
	work(&d, 0);
	run_secondary("socket");
	work(&d, 3);
	assert_int_equal(rte_dma_stop(d.id), 0);
	drv_close(&d);
	assert_int_equal(kill(server, SIGTERM), 0);
	assert_int_equal(waitpid(server, NULL, 0), server);
}

#if defined(__SANITIZE_ADDRESS__)
const char *__lsan_default_suppressions(void);

/* In a secondary the vdev bus does not free the arguments of a device that it learns of from the
 * primary: they are in no list that rte_devargs_remove() knows (DPDK 22.11).
 */
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void)
{
	return "leak:librte_bus_vdev.so";
}
#endif

static int
private_hugetlbfs(void)
{
	if (mkdtemp(dir) == NULL || setenv("RUNTIME_DIRECTORY", dir, 1) != 0)
		return -1;
	snprintf(huge_dir, sizeof(huge_dir), "%s/huge", dir);
	setenv("TEST_HUGE_DIR", huge_dir, 1);
	if (mkdir(huge_dir, 0700) != 0)
		return -1;
	/* In a mount namespace of its own, which goes with the process. */
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return -1;
	return mount("hugetlbfs", huge_dir, "hugetlbfs", 0, "pagesize=2M");
}

static void
clean_up(void)
{
	char command[128];

	umount(huge_dir);
	snprintf(command, sizeof(command), "rm -rf --one-file-system %s", dir);
	if (system(command) != 0)
		printf("%s stays behind\n", dir);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_during_probe),
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_socket),
	};
	int ret;

	if (argc > 1)
		return secondary(argv[1]);
#if defined(__SANITIZE_THREAD__)
	return skipped("two processes", "ThreadSanitizer sees one of them only");
#endif
	if (private_hugetlbfs() != 0) {
		ret = skipped("no hugetlbfs of its own", strerror(errno));
	} else if (eal_init("primary") < 0) {
		ret = skipped("EAL does not start, are there free hugepages", rte_strerror(rte_errno));
	} else if (rte_memzone_reserve_aligned("buffers", 2 * DRV_MEM, SOCKET_ID_ANY,
				RTE_MEMZONE_IOVA_CONTIG, 4096) == NULL) {
		ret = skipped("no memory, are there 16 free hugepages", rte_strerror(rte_errno));
	} else {
		ret = cmocka_run_group_tests_name("driver: two processes", tests, NULL, NULL);
		rte_eal_cleanup();
	}
	clean_up();
	return ret;
}
