/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* What a session must not be able to do, should a client take it over. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "deviced.h"

/* Of a session: its own, an event for each interrupt, and those of a message. */
#define MAX_FILES 128

/* Sessions go first when memory runs short: what their clients have them touch counts as theirs. */
#define OOM_SCORE_ADJ "500"

static void
volunteer_for_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, OOM_SCORE_ADJ, sizeof(OOM_SCORE_ADJ) - 1) < 0)
		errno = 0; /* where that is not allowed, so be it */
	close(fd);
}

static int
drop_user(const struct options *options)
{
	if (!options->drop_user)
		return 0;
	if (setgroups(0, NULL) != 0 ||
			setresgid(options->gid, options->gid, options->gid) != 0 ||
			setresuid(options->uid, options->uid, options->uid) != 0)
		return -errno;
	/* This is forgotten with a change of user. */
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 ? 0 : -errno;
}

/* No files at all, by Landlock, in kernels that have it: it would take a fault of the filter of
 * system calls for that to matter. What a kernel can restrict it tells by a version (kernel's
 * Documentation/userspace-api/landlock.rst).
 */
static int
hide_files(void)
{
	uint64_t handled = (1ull << 13) - 1;
	long version, fd, ret;

	version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1)
		return 0;
	if (version >= 2)
		handled |= 1ull << 13; /* linking to other folders */
	if (version >= 3)
		handled |= 1ull << 14; /* truncating */
	if (version >= 5)
		handled |= 1ull << 15; /* ioctl() of devices */
	fd = syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_landlock_restrict_self, fd, 0) == 0 ? 0 : -errno;
	close(fd);
	return ret;
}

int
sandbox_enter(const struct options *options, const char **what)
{
	const struct rlimit files = {.rlim_cur = MAX_FILES, .rlim_max = MAX_FILES};
	int ret;

	*what = "cannot give up its rights";
	volunteer_for_oom();
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		return -errno;
	ret = drop_user(options);
	if (ret == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		ret = -errno;
	return ret == 0 ? hide_files() : ret;
}

/* Sanitizers make system calls of their own. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(SANITIZED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITH_FILTER false
#else
#define WITH_FILTER true
#endif

static const int allowed[] = {
	/* messages and their files */
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(shutdown),
	SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(fstatfs),
	SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	/* events */
	SCMP_SYS(io_setup), SCMP_SYS(io_submit), SCMP_SYS(io_getevents), SCMP_SYS(io_destroy),
	SCMP_SYS(read), SCMP_SYS(preadv2),
	/* the log */
	SCMP_SYS(write),
	/* memory, below without execution */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	/* threads, of which there will be no more */
	SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_gettime), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(getpid),
	SCMP_SYS(gettid), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static int
allow_calls(scmp_filter_ctx filter)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && ret == 0; i++)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (ret == 0)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (ret == 0)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (ret == 0) /* others have files send signals to whoever they like (F_SETOWN) */
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, F_GET_SEALS));
	if (ret == 0) /* the engine's thread may be about to make it */
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
			SCMP_A0(SCMP_CMP_EQ, PR_SET_TIMERSLACK, 0));
	if (ret == 0) /* the twin of a client's socket */
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
			SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	if (ret == 0) /* abort() */
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	return ret;
}

int
sandbox_seal(const char **what)
{
	scmp_filter_ctx filter;
	int ret;

	*what = "cannot have its system calls filtered";
	if (!WITH_FILTER)
		return 0;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (filter == NULL)
		return -ENOMEM;
	/* For all threads. */
	ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (ret == 0)
		ret = allow_calls(filter);
	if (ret == 0)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret;
}
