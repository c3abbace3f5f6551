/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Memory of another process (dm_device_set_remote()): what happens when something else happens to
 * the device while it waits for an answer, and what when there is none. That it does what it does
 * with memory of its own, the other tests of the model show, built with RIG_REMOTE.
 */

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "dm_device_impl.h"
#include "dm_rig.h"

static struct rig rig;
static unsigned int accesses; /**< so far */
static unsigned int strikes;  /**< at this one something happens */
static void (*happens)(void);
static int answer; /**< of that one */
static unsigned int cancelled; /**< accesses that were, as told */

static int
access_and_strike(void *opaque, bool write, uint64_t iova, void *data, uint64_t len)
{
	if (accesses++ != strikes)
		return rig_remote_access(opaque, write, iova, data, len);
	if (happens != NULL)
		happens();
	return answer == 0 ? rig_remote_access(opaque, write, iova, data, len) : answer;
}

static void
count_cancelled(void *opaque)
{
	(void)opaque;
	cancelled++;
}

static void begin(void *opaque);

static int
setup(void **state)
{
	const struct dm_cbdma_config config = {0};
	const struct dm_remote remote = {
		.begin = begin, .access = access_and_strike, .cancel = count_cancelled,
		.max = 64u << 10, .opaque = &rig};

	(void)state;
	rig_create(&rig, &config);
	assert_int_equal(dm_device_set_remote(rig.dev, &remote), 0);
	rig_start(&rig);
	rig_copies(&rig, 0, 3);
	accesses = 0;
	strikes = UINT32_MAX;
	happens = NULL;
	answer = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_destroy(&rig);
	return 0;
}

/* Have something happen at an access, of those that two descriptors take. */
static void
run_with(unsigned int at, void (*what)(void), int error)
{
	unsigned int i;

	rig_start(&rig);
	rig_copies(&rig, 0, 3);
	memset(rig.mem + RIG_DST, 0, 3 * 64);
	accesses = 0;
	strikes = at;
	happens = what;
	answer = error;
	rig_ring(&rig, 2);
	for (i = 0; i < 100 && dm_device_pending(rig.dev); i++)
		dm_device_run(rig.dev, 10);
}

/* Accesses that two descriptors take: one reads the descriptor, one the data, two write; for the
 * second, one more looks where it is.
 */
#define FIRST  4
#define SECOND 5

static void
test_accesses(void **state)
{
	(void)state;
	run_with(UINT32_MAX, NULL, 0);
	assert_int_equal(accesses, FIRST + SECOND);
	assert_true(rig_copied(&rig, 0) && rig_copied(&rig, 1) && !rig_copied(&rig, 2));
	assert_int_equal(*rig.word, rig_desc_iova(1) | CBDMA_CHANSTS_IDLE);
}

/* No answer: the descriptor fails, with the error that memory that is gone gives, and no other. */
static void
test_no_answer(void **state)
{
	static const uint32_t chanerr[FIRST + SECOND] = {
		CBDMA_CHANERR_CHADDERR, CBDMA_CHANERR_RDERR, CBDMA_CHANERR_WDERR,
		CBDMA_CHANERR_CMPADDERR, CBDMA_CHANERR_NDADDERR, CBDMA_CHANERR_NDADDERR,
		CBDMA_CHANERR_RDERR, CBDMA_CHANERR_WDERR, CBDMA_CHANERR_CMPADDERR};
	unsigned int at;

	(void)state;
	for (at = 0; at < FIRST + SECOND; at++) {
		run_with(at, NULL, -ETIMEDOUT);
		assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), chanerr[at]);
		assert_int_equal(rig_state(&rig), CBDMA_CHANSTS_HALTED);
		assert_false(dm_device_pending(rig.dev));
		if (chanerr[at] != CBDMA_CHANERR_CMPADDERR)
			assert_int_equal(*rig.word & CBDMA_CHANSTS_STATE_MASK,
				CBDMA_CHANSTS_HALTED);
		assert_int_equal(rig_copied(&rig, 0), at >= 3);
		assert_int_equal(rig_copied(&rig, 1), at >= 8);
	}
	run_with(UINT32_MAX, NULL, 0);
	assert_int_equal(*rig.word, rig_desc_iova(1) | CBDMA_CHANSTS_IDLE);
}

static void
bus_master_off(void)
{
	dm_pci_set_bus_master(rig.dev, false);
}

/* Bus mastering goes off and comes back: nothing is lost. */
static void
test_bus_master(void **state)
{
	unsigned int at;

	(void)state;
	for (at = 0; at < FIRST + SECOND; at++) {
		run_with(at, bus_master_off, 0);
		assert_int_equal(accesses, at + 1);
		assert_false(dm_device_pending(rig.dev));
		dm_pci_set_bus_master(rig.dev, true);
		while (dm_device_pending(rig.dev))
			dm_device_run(rig.dev, 10);
		assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), 0);
		assert_int_equal(*rig.word, rig_desc_iova(1) | CBDMA_CHANSTS_IDLE);
		assert_true(rig_copied(&rig, 0) && rig_copied(&rig, 1));
	}
}

static void
channel_reset(void)
{
	rig_write(&rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
}

static void
function_reset(void)
{
	dm_device_reset(rig.dev);
}

/* The driver starts all over while an answer is waited for. */
static void
new_chain(void)
{
	rig_start_at(&rig, 2);
	rig_ring(&rig, 1);
}

/* A reset is a reset: of what was under way nothing more is seen. */
static void
test_reset(void **state)
{
	unsigned int at;

	(void)state;
	for (at = 0; at < FIRST + SECOND; at++) {
		run_with(at, channel_reset, 0);
		assert_int_equal(accesses, at + 1);
		assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8), CBDMA_CHANSTS_HALTED);
		assert_false(dm_device_pending(rig.dev));
		run_with(at, function_reset, -EIO);
		assert_int_equal(accesses, at + 1);
		assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), 0);
		assert_false(dm_device_pending(rig.dev));
		run_with(at, new_chain, 0);
		assert_int_equal(*rig.word, rig_desc_iova(2) | CBDMA_CHANSTS_IDLE);
		assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8),
			rig_desc_iova(2) | CBDMA_CHANSTS_IDLE);
		assert_true(rig_copied(&rig, 2));
	}
}

static void
suspend(void)
{
	rig_write(&rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
}

/* To suspend means to finish the descriptor first. */
static void
test_suspend(void **state)
{
	unsigned int at;

	(void)state;
	for (at = 0; at < FIRST + SECOND; at++) {
		uint64_t last = rig_desc_iova(at < FIRST ? 0 : 1);

		run_with(at, suspend, 0);
		assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8), last | CBDMA_CHANSTS_SUSPENDED);
		assert_int_equal(*rig.word & CBDMA_CHANSTS_DESC_MASK, last);
		assert_true(rig_copied(&rig, 0));
		assert_int_equal(rig_copied(&rig, 1), at >= FIRST);
		assert_false(dm_device_pending(rig.dev));
	}
}

static void
both_commands(void)
{
	rig_write(&rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND);
}

/* An error from elsewhere halts the channel at once, and is told. */
static void
test_halt(void **state)
{
	unsigned int at;

	(void)state;
	for (at = 0; at < FIRST + SECOND; at++) {
		run_with(at, both_commands, 0);
		assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CCMDERR);
		assert_int_equal(rig_state(&rig), CBDMA_CHANSTS_HALTED);
		assert_int_equal(*rig.word, rig_read(&rig, CBDMA_CHANSTS, 8));
		assert_false(dm_device_pending(rig.dev));
	}
}

static void
unmap_all(void)
{
	assert_int_equal(dm_device_unmap(rig.dev, RIG_IOVA, RIG_MEM_SIZE), 0);
}

/* Memory is taken back: nothing there is touched from then on. */
static void
test_unmap(void **state)
{
	unsigned int at;

	(void)state;
	for (at = 0; at < FIRST + SECOND; at++) {
		run_with(at, unmap_all, 0);
		assert_int_equal(accesses, at + 1);
		/* The last one is done when it has been answered. */
		assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4) == 0, at == FIRST + SECOND - 1);
		assert_false(dm_device_pending(rig.dev));
		assert_int_equal(dm_device_map(rig.dev, RIG_IOVA, RIG_MEM_SIZE, NULL,
					 DM_READ | DM_WRITE), 0);
	}
}

static void
off_and_on(void)
{
	dm_pci_set_bus_master(rig.dev, false);
	dm_pci_set_bus_master(rig.dev, true);
}

static void
something_else(void)
{
	rig_read(&rig, CBDMA_CHANSTS, 8);
	rig_write(&rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(dm_device_unmap(rig.dev, 1ull << 60, 4096), -ENOENT);
}

/* Who waits for an answer is told when nobody needs it any more, and only then. What was not wanted
 * for a moment only is asked for again.
 */
static void
test_cancel(void **state)
{
	static void (*const pointless[])(void) = {
		channel_reset, function_reset, new_chain, bus_master_off, unmap_all};
	unsigned int at, i;

	(void)state;
	for (at = 0; at < FIRST + SECOND; at++) {
		for (i = 0; i < sizeof(pointless) / sizeof(pointless[0]); i++) {
			cancelled = 0;
			run_with(at, pointless[i], -ECANCELED);
			assert_int_not_equal(cancelled, 0);
			dm_pci_set_bus_master(rig.dev, true);
			if (pointless[i] == unmap_all)
				assert_int_equal(dm_device_map(rig.dev, RIG_IOVA, RIG_MEM_SIZE,
							 NULL, DM_READ | DM_WRITE), 0);
		}
		run_with(at, off_and_on, -ECANCELED);
		assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), 0);
		assert_int_equal(accesses > FIRST + SECOND, 1);
		assert_int_equal(*rig.word, rig_desc_iova(1) | CBDMA_CHANSTS_IDLE);
		cancelled = 0;
		run_with(at, something_else, 0);
		assert_int_equal(cancelled, 0);
	}
}

static unsigned int interrupts;
static uint64_t word_then;

static void
count_interrupt(void *opaque, unsigned int vector)
{
	(void)opaque;
	(void)vector;
	interrupts++;
	word_then = *rig.word;
}

/* The interrupt comes when the completion word has been written, not before. */
static void
test_interrupt(void **state)
{
	(void)state;
	dm_pci_set_interrupt(rig.dev, count_interrupt, NULL);
	dm_device_write(rig.dev, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	rig.ring[0].control |= CBDMA_DESC_INT_EN;
	rig_ring(&rig, 1);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(interrupts, 1);
	assert_int_equal(word_then, rig_desc_iova(0) | CBDMA_CHANSTS_IDLE);
	dm_pci_set_interrupt(rig.dev, NULL, NULL);
}

/* Faults strike here, too. */
static void
test_faults(void **state)
{
	const struct dm_cbdma_fault fail = {
		.kind = DM_CBDMA_FAULT_FAIL, .at = 1, .chanerr = CBDMA_CHANERR_WDERR};
	const struct dm_cbdma_fault completion = {.kind = DM_CBDMA_FAULT_COMPLETION};

	(void)state;
	assert_int_equal(dm_cbdma_inject(rig.dev, 0, &fail), 0);
	run_with(UINT32_MAX, NULL, 0);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_WDERR);
	assert_int_equal(*rig.word, rig_desc_iova(0) | CBDMA_CHANSTS_HALTED);
	assert_true(rig_copied(&rig, 0) && !rig_copied(&rig, 1));
	assert_int_equal(dm_cbdma_inject(rig.dev, 0, &completion), 0);
	run_with(UINT32_MAX, NULL, 0);
	assert_int_equal(accesses, FIRST + SECOND - 1);
}

/* Without a way there, it is as if it were not mapped. */
static void
test_no_way(void **state)
{
	const struct dm_remote empty = {
		.begin = rig_remote_begin, .access = access_and_strike, .opaque = &rig};

	(void)state;
	assert_int_equal(dm_device_set_remote(rig.dev, NULL), 0);
	run_with(UINT32_MAX, NULL, 0);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4) & CBDMA_CHANERR_CHADDERR,
		CBDMA_CHANERR_CHADDERR);
	assert_int_equal(dm_device_set_remote(rig.dev, &empty), 0);
	run_with(UINT32_MAX, NULL, 0);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4) & CBDMA_CHANERR_CHADDERR,
		CBDMA_CHANERR_CHADDERR);
	assert_int_equal(accesses, 0);
}

static pthread_t taker;
static bool taken;
static bool take_early; /* while the lock is held, rather than while it is let go */

static void *
take_away(void *arg)
{
	(void)arg;
	dm_device_set_remote(rig.dev, NULL);
	__atomic_store_n(&taken, true, __ATOMIC_RELEASE);
	return NULL;
}

static void
begin(void *opaque)
{
	(void)opaque;
	if (!take_early)
		return;
	take_early = false;
	assert_int_equal(pthread_create(&taker, NULL, take_away, NULL), 0);
	usleep(50000);
}

static void
start_to_take_away(void)
{
	bool gone = false;

	assert_int_equal(pthread_create(&taker, NULL, take_away, NULL), 0);
	while (!gone) {
		dm_device_lock(rig.dev);
		gone = rig.dev->remote.access == NULL;
		dm_device_unlock(rig.dev);
	}
	assert_false(__atomic_load_n(&taken, __ATOMIC_ACQUIRE)); /* it waits for this access */
}

static void
test_taken_away(void **state)
{
	(void)state;
	taken = false;
	run_with(1, start_to_take_away, 0);
	assert_int_equal(pthread_join(taker, NULL), 0);
	assert_true(taken);
	assert_int_equal(accesses, 2);
	assert_int_not_equal(rig_read(&rig, CBDMA_CHANERR, 4), 0);
}

/* The same while the lock is about to be let go: who wants it and who has it do not wait for each
 * other.
 */
static void
test_taken_away_early(void **state)
{
	(void)state;
	taken = false;
	take_early = true;
	run_with(UINT32_MAX, NULL, 0);
	assert_false(take_early);
	assert_int_equal(pthread_join(taker, NULL), 0);
	assert_true(taken);
}

int
main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH(test_accesses),
		WITH(test_no_answer),
		WITH(test_bus_master),
		WITH(test_reset),
		WITH(test_suspend),
		WITH(test_halt),
		WITH(test_unmap),
		WITH(test_cancel),
		WITH(test_interrupt),
		WITH(test_faults),
		WITH(test_no_way),
		WITH(test_taken_away),
		WITH(test_taken_away_early),
	};

	return cmocka_run_group_tests_name("dm_remote", tests, NULL, NULL);
}
