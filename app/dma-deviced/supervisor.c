/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Starts a session for each client and sees to it that it ends when the client has left. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deviced.h"
#include "vfiou_msg.h"

/* How long a session may take to end once its client has left, or once it has been told to. The
 * longest thing that it does is to wait for the end of a burst of the device.
 */
#define END_MS 2000

/* A session that has been killed and is there yet hangs in the kernel, in a file of its client's:
 * its function does without it from then on.
 */
#define KILLED_MS 1000

/* Between two clients of a function: those that come and go in circles cost so much and no more. */
#define BETWEEN_MS 5

/* After a session that has not ended well, doubled with each further one. */
#define CRASH_MS     100
#define CRASH_MS_MAX 5000

#define NEVER UINT64_MAX

/* Tell systemd, if it has started us and wants to know (sd_notify(3)). */
static void
notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
			strlen(path) >= sizeof(address.sun_path))
		return;
	strcpy(address.sun_path, path);
	len = offsetof(struct sockaddr_un, sun_path) + strlen(path);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0)
		log_line("cannot tell systemd", state, "");
	close(fd);
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Wait until nobody holds the other end of a pipe. */
static void
wait_for_end(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
}

/* Sockets that could not be closed, as there was no process to be had: one, and then, as no
 * client is accepted meanwhile, two of each function at most.
 */
static int unreleased[1 + 2 * MAX_FUNCTIONS];
static unsigned int unreleased_count;
static uint64_t release_at = NEVER;

/* Close a client's socket. Whoever is the last to do so closes the files that lie in it unread, and
 * that can take as long as the client likes: a TCP socket with SO_LINGER waits for its other end.
 * So a process of its own is the last, and by ending: then such a socket does not wait.
 *
 * @return whether there was a process to be had.
 */
static bool
try_release(int fd)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		wait_for_end(ends[0]);
		_exit(EXIT_SUCCESS);
	}
	if (pid > 0)
		close(fd);
	close(ends[0]);
	close(ends[1]);
	return pid > 0;
}

static void
release_client(int *fd)
{
	if (*fd >= 0 && !try_release(*fd)) {
		unreleased[unreleased_count++] = *fd;
		release_at = vfiou_now_ms() + CRASH_MS;
	}
	*fd = -1;
}

/* Those that could not be closed before. */
static void
release_again(void)
{
	while (unreleased_count > 0 && try_release(unreleased[unreleased_count - 1]))
		unreleased_count--;
	release_at = unreleased_count > 0 ? vfiou_now_ms() + CRASH_MS : NEVER;
}

/* Sessions */

/* In the new process. held: the parent waits for this to be closed, and with it what is another's,
 * which must not be closed here last (see release_client()).
 */
static void
become_session(struct function *function, struct options *options, pid_t parent, int fd,
	const int *held)
{
	sigset_t none;
	unsigned int i;

	/* Whoever ends the supervisor ends them all. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	for (i = 0; i < options->functions; i++) {
		struct function *other = &options->function[i];

		close_fd(&other->listen_fd);
		close_fd(&other->client_fd);
		close_fd(&other->waiting_fd);
		if (other != function)
			munmap(other->log, sizeof(*other->log));
	}
	for (i = 0; i < unreleased_count; i++)
		close(unreleased[i]);
	close(held[0]);
	close(held[1]);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* What runs at exit(), of sanitizers too, has no files to open and no threads to start. */
	_exit(session_main(function, options, fd));
}

static void
start_session(struct function *function, struct options *options, int signal_fd, int fd)
{
	struct ucred peer = {.pid = -1};
	socklen_t len = sizeof(peer);
	pid_t parent = getpid(), pid;
	int held[2];

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	function_logf(function, "client (pid %d) connected", (int)peer.pid);
	pid = pipe2(held, O_CLOEXEC) == 0 ? fork() : -2;
	if (pid == 0) {
		close(signal_fd);
		become_session(function, options, parent, fd, held);
	}
	if (pid < 0)
		function_logf(function, "cannot start a session: %s", strerror(errno));
	if (pid >= -1) {
		close(held[1]);
		wait_for_end(held[0]);
		close(held[0]);
	}
	if (pid < 0) {
		function->accept_at = vfiou_now_ms() + CRASH_MS;
		release_client(&fd);
		return;
	}
	function->session = pid;
	function->killed = false;
	function->client_fd = fd;
	function->kill_at = NEVER;
	function->accept_at = vfiou_now_ms() + BETWEEN_MS;
}

static void
session_over(struct function *function)
{
	if (function->client_fd >= 0)
		shutdown(function->client_fd, SHUT_RDWR);
	release_client(&function->client_fd);
	function->session = 0;
	function->kill_at = NEVER;
}

static void
session_ended(struct function *function, int status)
{
	unsigned int wait_ms = CRASH_MS << function->crashes;

	session_over(function);
	if (function->killed || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)) {
		function->crashes = 0;
		return;
	}
	if (wait_ms < CRASH_MS_MAX)
		function->crashes++;
	else
		wait_ms = CRASH_MS_MAX;
	function->accept_at = vfiou_now_ms() + wait_ms;
	if (WIFSIGNALED(status))
		function_logf(function,
			"the session was ended by signal %d (%s); next one in %u ms",
			WTERMSIG(status), strsignal(WTERMSIG(status)), wait_ms);
	else
		function_logf(function, "the session failed; next one in %u ms", wait_ms);
}

static void
reap_sessions(struct options *options)
{
	unsigned int i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < options->functions; i++)
			if (options->function[i].session == pid)
				session_ended(&options->function[i], status);
}

/* The client has left; the session notices that by itself, as long as nothing holds it up. */
static void
client_left(struct function *function)
{
	release_client(&function->client_fd);
	if (function->kill_at == NEVER)
		function->kill_at = vfiou_now_ms() + END_MS;
}

static bool
has_left(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLRDHUP};

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* A session whose time is over. */
static void
kill_session(struct function *function)
{
	if (!function->killed) {
		function_log(function, "the session does not end: killing it");
		kill(function->session, SIGKILL);
		function->killed = true;
		function->kill_at = vfiou_now_ms() + KILLED_MS;
	} else {
		function_logf(function,
			"the session (pid %d) hangs in the kernel: going on without",
			(int)function->session);
		session_over(function);
	}
}

/* Clients */

static void
accept_client(struct function *function, struct options *options, int signal_fd)
{
	int fd = accept4(function->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
			return;
		function_logf(function, "cannot accept a client: %s", strerror(errno));
		function->accept_at = vfiou_now_ms() + CRASH_MS; /* it stays in the queue */
		return;
	}
	if (function->session == 0) {
		start_session(function, options, signal_fd, fd);
		return;
	}
	/* The one before may have left a moment ago: then this one waits for its session to end. */
	if (function->client_fd >= 0 && has_left(function->client_fd))
		client_left(function);
	if (function->client_fd < 0) {
		function->waiting_fd = fd;
		return;
	}
	function_log(function, "refusing a client: there is one already");
	function->accept_at = vfiou_now_ms() + BETWEEN_MS;
	shutdown(fd, SHUT_RDWR);
	release_client(&fd);
}

/* The loop */

struct watched {
	struct pollfd pfd[1 + 2 * MAX_FUNCTIONS];
	int timeout_ms;
};

static void
wake_at(struct watched *watched, uint64_t now, uint64_t time)
{
	uint64_t left = time > now ? time - now : 0;

	if (time != NEVER && (watched->timeout_ms < 0 || left < (uint64_t)watched->timeout_ms))
		watched->timeout_ms = left;
}

/* What to wait for. Without clients that is one who connects, and no time. */
static void
watch(struct watched *watched, const struct options *options, int signal_fd)
{
	const uint64_t now = vfiou_now_ms();
	unsigned int i;

	watched->timeout_ms = -1;
	wake_at(watched, now, release_at);
	watched->pfd[0] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
	for (i = 0; i < options->functions; i++) {
		const struct function *function = &options->function[i];
		bool accepts = function->waiting_fd < 0 && unreleased_count == 0;

		if (function->session != 0)
			wake_at(watched, now, function->kill_at);
		if (now < function->accept_at) {
			wake_at(watched, now, function->accept_at);
			accepts = false;
		}
		/* -1 is skipped. */
		watched->pfd[1 + 2 * i] = (struct pollfd){
			.fd = accepts ? function->listen_fd : -1, .events = POLLIN};
		watched->pfd[2 + 2 * i] = (struct pollfd){
			.fd = function->client_fd, .events = POLLRDHUP};
	}
}

static void
serve_waiting(struct function *function, struct options *options, int signal_fd)
{
	int fd = function->waiting_fd;

	function->waiting_fd = -1;
	start_session(function, options, signal_fd, fd);
}

static void
tend_function(struct function *function, struct options *options, int signal_fd,
		const struct pollfd *pfd)
{
	/* The client that is there first: it may make room for one that comes. */
	if (pfd[1].revents != 0 && function->client_fd == pfd[1].fd)
		client_left(function);
	if (function->session != 0 && vfiou_now_ms() >= function->kill_at)
		kill_session(function);
	if (function->session == 0 && function->waiting_fd >= 0 &&
			vfiou_now_ms() >= function->accept_at)
		serve_waiting(function, options, signal_fd);
	else if (pfd[0].revents != 0 && function->waiting_fd < 0 && unreleased_count == 0)
		accept_client(function, options, signal_fd);
}

/* @return whether it says to end. */
static bool
take_signal(struct options *options, int signal_fd)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo == SIGCHLD) {
		reap_sessions(options);
		return false;
	}
	log_line(strsignal(info.ssi_signo), "ending", "");
	return true;
}

static bool
any_session(const struct options *options)
{
	unsigned int i;

	for (i = 0; i < options->functions; i++)
		if (options->function[i].session != 0)
			return true;
	return false;
}

static void
signal_sessions(struct options *options, int number)
{
	unsigned int i;

	for (i = 0; i < options->functions; i++) {
		struct function *function = &options->function[i];

		if (function->session != 0)
			kill(function->session, number);
		function->killed = true;
	}
}

/* End all sessions, in END_MS or when a second signal comes, whatever they hang in. */
static void
end_sessions(struct options *options, int signal_fd)
{
	const uint64_t end = vfiou_now_ms() + END_MS;

	notify("STOPPING=1");
	signal_sessions(options, SIGTERM);
	while (any_session(options) && vfiou_msg_wait(signal_fd, POLLIN, end) == 0)
		if (take_signal(options, signal_fd))
			break;
	signal_sessions(options, SIGKILL);
}

int
supervise(struct options *options, const sigset_t *signals)
{
	struct watched watched;
	bool ending = false;
	unsigned int i;
	int signal_fd;

	signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return -errno;
	for (i = 0; i < options->functions; i++)
		function_log(&options->function[i], "listening");
	notify("READY=1");
	while (!ending) {
		watch(&watched, options, signal_fd);
		if (poll(watched.pfd, 1 + 2 * options->functions, watched.timeout_ms) < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (watched.pfd[0].revents != 0)
			ending = take_signal(options, signal_fd);
		if (vfiou_now_ms() >= release_at)
			release_again();
		for (i = 0; i < options->functions && !ending; i++)
			tend_function(&options->function[i], options, signal_fd,
				&watched.pfd[1 + 2 * i]);
	}
	end_sessions(options, signal_fd);
	close(signal_fd);
	return ending ? 0 : -EIO;
}
