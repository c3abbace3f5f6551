/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Memory that is gone when the device comes for it: an error of the descriptor that needs it, with
 * those before it done and those behind it not.
 */

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dm_guard.h"
#include "dm_rig.h"

#define PAGE 4096u

/* Where a page is taken away. */
#define GONE (512u << 10)

static struct rig rig;

/* A page of a file that has none. */
static void
take_away(uint8_t *page)
{
	int fd = memfd_create("gone", MFD_CLOEXEC);

	assert_true(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		page);
	close(fd);
}

static void
give_back(uint8_t *page)
{
	assert_true(mmap(page, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
}

static void
begin(bool reorder)
{
	const struct dm_cbdma_config config = {.reorder = reorder};

	dm_guard_enable(); /* anew: cmocka takes SIGBUS before each test */
	rig_create(&rig, &config);
	rig_copies(&rig, 0, RIG_RING_SIZE);
}

/* Run 100 of which one fails: where it stops, and that it goes on behind it. */
static void
check(unsigned int fail, uint32_t chanerr, bool reorder)
{
	uint64_t last = fail == 0 ? 0 : rig_desc_iova(fail - 1);
	unsigned int i, before = dm_guard_count();

	rig_start(&rig);
	rig_ring(&rig, 100);
	assert_int_equal(dm_device_run(rig.dev, 100), fail);
	assert_true(dm_guard_count() > before);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), chanerr);
	assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8), last | CBDMA_CHANSTS_HALTED);
	assert_int_equal(*rig.word, last | CBDMA_CHANSTS_HALTED);
	for (i = 0; i < fail; i++)
		if (rig.ring[i].control == CBDMA_DESC_COMPLETION)
			assert_true(rig_copied(&rig, i));
	for (i = fail + 1; i < 100 && !reorder; i++)
		assert_false(rig_copied(&rig, i));
}

static const unsigned int places[] = {0, 1, 7, 31, 32, 33, 63, 99};

static void
test_data(void **state)
{
	unsigned int i, way;

	(void)state;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		for (way = 0; way < 12; way++) {
			const bool src = way & 1, reorder = way & 2;
			const unsigned int fail = places[i];

			begin(reorder);
			if (way >= 4 && fail > 5) /* nulls, which make no operation, and fences */
				rig.ring[3].control |= CBDMA_DESC_NULL;
			if (way >= 4 && fail > 40)
				rig.ring[35].control |= CBDMA_DESC_FENCE;
			if (way >= 8) { /* long, and the middle of it is gone */
				rig_copy(&rig, fail, GONE - 8192, src ? GONE / 2 : GONE - 8192,
					16384);
			} else {
				rig_copy(&rig, fail, GONE, src ? GONE / 2 : GONE, 64);
			}
			if (way == 8 || way == 10) /* a fill */
				rig_fill(&rig, fail, 0x1122334455667788, GONE - 64, 256);
			take_away(rig.mem + (src ? RIG_SRC : RIG_DST) + GONE);
			check(fail, src ? CBDMA_CHANERR_RDERR : CBDMA_CHANERR_WDERR,
				reorder || way >= 8);
			give_back(rig.mem + (src ? RIG_SRC : RIG_DST) + GONE);
			rig_destroy(&rig);
		}
	}
}

/* The page of the ring that holds descriptor 64. */
static void
test_descriptors(void **state)
{
	uint8_t *page;

	(void)state;
	begin(false);
	page = (uint8_t *)&rig.ring[64];
	take_away(page);
	check(64, CBDMA_CHANERR_NDADDERR, false);
	rig_start_at(&rig, 64);
	rig_ring(&rig, 1);
	assert_int_equal(dm_device_run(rig.dev, 1), 0);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CHADDERR);
	give_back(page);
	rig_destroy(&rig);
}

/* What was copied before descriptors turned out to be gone is not copied a second time: what it was
 * copied from may have been written since, by one behind it.
 */
static void
test_copied_once(void **state)
{
	const uint64_t from = 4096, to = 8192; /* in the destination */
	unsigned int i;

	(void)state;
	begin(false);
	memset(rig.mem + RIG_DST + from, 0x11, 64);
	rig_copy(&rig, 44, RIG_DST - RIG_SRC + from, to, 64);
	rig.ring[45].control |= CBDMA_DESC_NULL;
	rig_fill(&rig, 46, 0x2222222222222222, from, 64);
	take_away((uint8_t *)&rig.ring[64]);
	rig_start_at(&rig, 44);
	rig_ring(&rig, 100);
	assert_int_equal(dm_device_run(rig.dev, 100), 20);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_NDADDERR);
	for (i = 0; i < 64; i++) {
		assert_int_equal(rig.mem[RIG_DST + from + i], 0x22);
		assert_int_equal(rig.mem[RIG_DST + to + i], 0x11);
	}
	give_back((uint8_t *)&rig.ring[64]);
	rig_destroy(&rig);
}

/* The completion word: the descriptors are done, which only CHANSTS can tell. */
static void
test_completion(void **state)
{
	(void)state;
	begin(false);
	rig_start(&rig);
	rig_ring(&rig, 2);
	take_away(rig.mem + RIG_WORD);
	assert_int_equal(dm_device_run(rig.dev, 2), 2);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CMPADDERR);
	assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8),
		rig_desc_iova(1) | CBDMA_CHANSTS_HALTED);
	assert_true(rig_copied(&rig, 1));
	/* By a register write, too. */
	rig_write(&rig, CBDMA_CHANERR, 4, UINT32_MAX);
	rig_write(&rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4),
		CBDMA_CHANERR_CCMDERR | CBDMA_CHANERR_CMPADDERR);
	give_back(rig.mem + RIG_WORD);
	rig_destroy(&rig);
}

/* A driver that cuts the chain off goes on when the memory is back. */
static void
test_recovery(void **state)
{
	(void)state;
	begin(false);
	rig_copy(&rig, 5, GONE, 0, 64);
	take_away(rig.mem + RIG_SRC + GONE);
	check(5, CBDMA_CHANERR_RDERR, false);
	give_back(rig.mem + RIG_SRC + GONE);
	rig_start_at(&rig, 5);
	rig_run(&rig, 95);
	assert_true(rig_copied(&rig, 99));
	rig_destroy(&rig);
}

/* An access of the process's own is none of the guard's business. */
static void
test_not_guarded(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	begin(false);
	take_away(rig.mem);
	pid = fork();
	if (pid == 0)
		_exit(rig.mem[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	give_back(rig.mem);
	rig_destroy(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_copied_once),
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_not_guarded),
	};

	return cmocka_run_group_tests_name("dm_guard", tests, NULL, NULL);
}
