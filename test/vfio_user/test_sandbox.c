/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* What a session of dma-deviced could do if a client took it over: nothing to others. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deviced.h"

/* Have a process under the filter make a system call. @return its status. */
static int
status_of(long number, long a, long b, long c)
{
	const char *what;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || sandbox_seal(&what) != 0)
			_exit(1);
		syscall(number, a, b, c);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
assert_ends(long number, long a, long b, long c)
{
	int status = status_of(number, a, b, c);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* No signal to another process, be it one that a file sends for it. */
static void
test_signals(void **state)
{
	(void)state;
	assert_ends(SYS_kill, getpid(), 0, 0);
	assert_ends(SYS_tgkill, getpid(), getpid(), 0);
	assert_ends(SYS_fcntl, 0, F_SETOWN, getpid());
	assert_ends(SYS_fcntl, 0, F_SETSIG, SIGKILL);
	assert_ends(SYS_fcntl, 0, F_SETFL, O_ASYNC);
}

/* No other files, addresses, programs. */
static void
test_others(void **state)
{
	(void)state;
	assert_ends(SYS_openat, AT_FDCWD, (long)"/", O_RDONLY);
	assert_ends(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	assert_ends(SYS_execve, (long)"/bin/true", 0, 0);
	assert_ends(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC);
	assert_ends(SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC);
}

/* What it does ask of the files of clients. */
static void
test_seals(void **state)
{
	(void)state;
	assert_int_equal(status_of(SYS_fcntl, 0, F_GET_SEALS, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_seals),
	};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	printf("skipped: a server under a sanitizer has no filter\n");
	return 77;
#endif
	return cmocka_run_group_tests_name("dma-deviced: sandbox", tests, NULL, NULL);
}
