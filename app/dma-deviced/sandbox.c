/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* What a session must not be able to do, should a client take it over. */

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "deviced.h"

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

int
sandbox_enter(const struct options *options, const char **what)
{
	int ret;

	*what = "cannot give up its rights";
	ret = drop_user(options);
	if (ret == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		ret = -errno;
	return ret;
}

int
sandbox_seal(const char **what)
{
	(void)what;
	return 0;
}
