/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Memory that is gone when the device comes for it: an error of the descriptor that needs it, with
 * those before it done and those behind it not.
 */

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dm_guard.h"
#include "dm_rig.h"

#define PAGE 4096u

/* Where a page is taken away. */
#define GONE (512u << 10)

/* Two pages that the process takes away from itself: no memory, and no access. */
#define OWN (3u << 20)

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

	dm_guard_enable();
	rig_create(&rig, &config);
	rig_copies(&rig, 0, RIG_RING_SIZE);
}

static void
end(void)
{
	rig_destroy(&rig);
	dm_guard_disable();
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
			end();
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
	end();
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
	end();
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
	end();
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
	end();
}

/* Addresses, as they are with shared virtual addressing */

static void
test_map_process(void **state)
{
	(void)state;
	rig_create(&rig, &(struct dm_cbdma_config){0});
	assert_int_equal(dm_device_map_process(rig.dev), -EEXIST);
	dm_device_unmap_all(rig.dev);
	assert_int_equal(dm_device_map_process(rig.dev), 0);
	assert_int_equal(dm_device_map_process(rig.dev), -EEXIST);
	rig_destroy(&rig);
}

/* One of 100 copies goes to, or comes from, an address that has no memory or must not be written. */
static void
test_addresses(void **state)
{
	unsigned int i, way;
	uint8_t *memory;

	(void)state;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		for (way = 0; way < 8; way++) {
			const bool src = way & 1, reorder = way & 2, read_only = (way & 4) && !src;
			const unsigned int fail = places[i];

			begin(reorder);
			memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			assert_true(memory != MAP_FAILED);
			assert_int_equal(dm_device_map(rig.dev, (uintptr_t)memory, 2 * PAGE, memory,
				DM_READ | DM_WRITE), 0);
			/* Across the edge of what is there. */
			rig_copy(&rig, fail, GONE, GONE, 256);
			if (src)
				rig.ring[fail].src = (uintptr_t)memory + PAGE - 100;
			else
				rig.ring[fail].dst = (uintptr_t)memory + PAGE - 100;
			if (read_only)
				assert_int_equal(mprotect(memory + PAGE, PAGE, PROT_READ), 0);
			else
				assert_int_equal(munmap(memory + PAGE, PAGE), 0);
			check(fail, src ? CBDMA_CHANERR_XSADDERR : CBDMA_CHANERR_XDADDERR, reorder);
			munmap(memory, read_only ? 2 * PAGE : PAGE);
			end();
		}
	}
}

/* What a fence keeps apart stays so: memory that one reads and the one behind it must not write, at
 * its end. The first is done and is not done again, when some of it has been written already.
 */
static void
test_fenced(void **state)
{
	const uint64_t all = 2 * PAGE;
	uint8_t *memory;

	(void)state;
	begin(false);
	memory = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
	memset(memory, 0x11, all);
	assert_int_equal(mprotect(memory + PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(dm_device_map(rig.dev, (uintptr_t)memory, all, memory,
		DM_READ | DM_WRITE), 0);
	rig_copy(&rig, 0, 0, 0, all);
	rig.ring[0].src = (uintptr_t)memory;
	rig.ring[0].control |= CBDMA_DESC_FENCE;
	rig_copy(&rig, 1, 0, 0, all);
	rig.ring[1].dst = (uintptr_t)memory;
	rig_start(&rig);
	rig_ring(&rig, 2);
	assert_int_equal(dm_device_run(rig.dev, 2), 1);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_XDADDERR);
	assert_memory_equal(rig.mem + RIG_DST, memory + PAGE, PAGE);
	assert_memory_equal(rig.mem + RIG_DST + PAGE, memory + PAGE, PAGE);
	munmap(memory, all);
	end();
}

/* Whose signal it is */

static volatile int handled;
static sigjmp_buf out_of_handler;
static struct sigaction below;

static void
leave(int sig)
{
	handled = sig;
	siglongjmp(out_of_handler, 1);
}

static void
leave_with_info(int sig, siginfo_t *info, void *context)
{
	assert_true(info->si_addr == rig.mem + OWN || info->si_addr == rig.mem + OWN + PAGE);
	assert_non_null(context);
	leave(sig);
}

/* What knows nothing itself. */
static void
pass_on(int sig, siginfo_t *info, void *context)
{
	if (below.sa_flags & SA_SIGINFO)
		below.sa_sigaction(sig, info, context);
	else
		below.sa_handler(sig);
}

static void
install(int sig, void (*handler)(int), void (*with_info)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_handler = handler};

	if (with_info != NULL) {
		action.sa_sigaction = with_info;
		action.sa_flags = SA_SIGINFO;
	}
	assert_int_equal(sigaction(sig, &action, &below), 0);
}

/* This thread accesses what it should not: @return the signal that a handler of its own saw. */
static int
access_in_vain(int sig)
{
	handled = 0;
	if (sigsetjmp(out_of_handler, 1) == 0)
		(void)*(volatile uint8_t *)(rig.mem + OWN + (sig == SIGBUS ? 0 : PAGE));
	return handled;
}

static void
expect_handled(void)
{
	assert_int_equal(access_in_vain(SIGBUS), SIGBUS);
	assert_int_equal(access_in_vain(SIGSEGV), SIGSEGV);
	assert_int_equal(access_in_vain(SIGBUS), SIGBUS);
}

/* The device's own: still caught, whoever else is there. */
static void
expect_guarded(void)
{
	const unsigned int before = dm_guard_count();

	rig_copy(&rig, 0, 0, 0, 64);
	rig.ring[0].src = rig_iova(RIG_SRC + GONE);
	rig_start(&rig);
	rig_ring(&rig, 1);
	assert_int_equal(dm_device_run(rig.dev, 1), 0);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_RDERR);
	assert_true(dm_guard_count() > before);
}

static void
begin_handlers(void)
{
	begin(false);
	take_away(rig.mem + OWN);
	assert_int_equal(mprotect(rig.mem + OWN + PAGE, PAGE, PROT_NONE), 0);
	take_away(rig.mem + RIG_SRC + GONE);
}

static void
end_handlers(void)
{
	give_back(rig.mem + OWN);
	give_back(rig.mem + OWN + PAGE);
	give_back(rig.mem + RIG_SRC + GONE);
	rig_destroy(&rig);
}

/* The process's own faults are its handler's, that was there before, with and without SA_SIGINFO. */
static void
test_handed_on(void **state)
{
	struct sigaction now;
	int way;

	(void)state;
	for (way = 0; way < 2; way++) {
		install(SIGBUS, leave, way == 0 ? NULL : leave_with_info);
		install(SIGSEGV, leave, way == 0 ? NULL : leave_with_info);
		begin_handlers();
		dm_guard_enable(); /* a second device */
		expect_handled();
		dm_guard_disable();
		expect_handled();
		dm_guard_disable();
		/* Given back as it was. */
		assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
		assert_true(way == 0 ? now.sa_handler == leave :
				       now.sa_sigaction == leave_with_info);
		expect_handled();
		end_handlers();
	}
}

static void
leave_wrongly(int sig)
{
	(void)sig;
	leave(0);
}

/* Handlers that come one by one, each before another device: none is left out. */
static void
test_handlers_between(void **state)
{
	(void)state;
	install(SIGSEGV, leave_wrongly, NULL);
	begin_handlers();
	install(SIGSEGV, leave, NULL);
	dm_guard_enable();
	install(SIGSEGV, NULL, pass_on);
	dm_guard_enable();
	assert_int_equal(access_in_vain(SIGSEGV), SIGSEGV);
	expect_guarded();
	dm_guard_disable();
	dm_guard_disable();
	dm_guard_disable();
	assert_int_equal(access_in_vain(SIGSEGV), SIGSEGV);
	signal(SIGSEGV, SIG_DFL);
	end_handlers();
}

/* A handler that comes later and passes on: the device's faults are the device's, also when the guards
 * are gone meanwhile and come again, and nothing goes round in circles.
 */
static void
test_later_handler(void **state)
{
	struct sigaction now;
	unsigned int i;

	(void)state;
	install(SIGBUS, leave, NULL);
	install(SIGSEGV, leave, NULL);
	begin_handlers();
	install(SIGSEGV, NULL, pass_on);
	install(SIGBUS, NULL, pass_on); /* below: the guards', for both */
	expect_handled();
	expect_guarded();
	dm_guard_disable();
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_true(now.sa_sigaction == pass_on);
	expect_handled();
	for (i = 0; i < 3; i++) {
		dm_guard_enable();
		expect_handled();
		expect_guarded();
		dm_guard_disable();
		assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
		assert_true(now.sa_sigaction == pass_on);
		expect_handled();
	}
	end_handlers();
}

/* Ends as it would have without guards: how. */
static int
fate(int sig, void (*handler)(int), bool sent)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		signal(sig, handler);
		dm_guard_enable();
		if (sent)
			raise(sig);
		else
			(void)*(volatile uint8_t *)(rig.mem + OWN + (sig == SIGBUS ? 0 : PAGE));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
test_not_guarded(void **state)
{
	(void)state;
	begin_handlers();
	dm_guard_disable();
	assert_int_equal(fate(SIGBUS, SIG_DFL, false), SIGBUS);
	assert_int_equal(fate(SIGSEGV, SIG_DFL, false), SIGSEGV);
	assert_int_equal(fate(SIGBUS, SIG_DFL, true), SIGBUS);
	assert_int_equal(fate(SIGSEGV, SIG_DFL, true), SIGSEGV);
	/* An access that is in vain cannot be ignored, what is sent can. */
	assert_int_equal(fate(SIGBUS, SIG_IGN, false), SIGBUS);
	assert_int_equal(fate(SIGSEGV, SIG_IGN, true), 0);
	end_handlers();
}

static void
once(int sig)
{
	static int calls;

	if (++calls > 1)
		_exit(1);
	raise(sig);
}

/* A handler that is for one time only (SA_RESETHAND) may leave the rest to the default. */
static void
test_handler_for_once(void **state)
{
	struct sigaction action = {.sa_handler = once};
	unsigned int way;
	int status;
	pid_t pid;

	(void)state;
	begin_handlers();
	dm_guard_disable();
	for (way = 0; way < 2; way++) {
		action.sa_flags = SA_RESETHAND | (way == 0 ? 0 : SA_NODEFER);
		pid = fork();
		if (pid == 0) {
			sigaction(SIGSEGV, &action, NULL);
			dm_guard_enable();
			(void)*(volatile uint8_t *)(rig.mem + OWN + PAGE);
			_exit(2);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSEGV);
	}
	end_handlers();
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
		cmocka_unit_test(test_map_process),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_fenced),
		cmocka_unit_test(test_handed_on),
		cmocka_unit_test(test_handlers_between),
		cmocka_unit_test(test_later_handler),
		cmocka_unit_test(test_not_guarded),
		cmocka_unit_test(test_handler_for_once),
	};

	return cmocka_run_group_tests_name("dm_guard", tests, NULL, NULL);
}
