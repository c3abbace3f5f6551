/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Clients that mean harm, to a dma-deviced that is a real one: argument 1 of the test. The table of
 * doc/dma-deviced.rst names these tests.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <grp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "answerer.h"
#include "server_fixture.h"

#define RW	 (VFIOU_DMA_READABLE | VFIOU_DMA_WRITEABLE)
#define DOORBELL VFIO_PCI_BAR2_REGION_INDEX

/* Sanitizers make system calls that the filter does not know. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static const char *deviced;

/* A server with two functions: the attacker's and a neighbour's. */
static struct {
	char dir[64];
	char log[80];
	struct raw_rig mine, other; /**< only their paths */
	pid_t pid;
} server;

static void
start_with(const char *device, int error_fd)
{
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0) {
		dup2(error_fd, STDERR_FILENO);
		execl(deviced, deviced, "--socket", server.mine.path, "--device", device,
			"--socket", server.other.path, "--device", device, NULL);
		_exit(127);
	}
}

/* How often the log has a text. */
static unsigned int
logged(const char *text)
{
	unsigned int count = 0;
	char line[512];
	FILE *f = fopen(server.log, "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		count += strstr(line, text) != NULL;
	if (f != NULL)
		fclose(f);
	return count;
}

static void
wait_logged(const char *text, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < 10000 && logged(text) < count; i++)
		usleep(1000);
	if (logged(text) < count)
		fail_msg("\"%s\" is not in the log %u times", text, count);
}

static void
start(const char *device)
{
	int fd = open(server.log, O_CREAT | O_TRUNC | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	start_with(device, fd);
	close(fd);
	wait_logged("listening", 2);
}

static int
setup_server(void **state)
{
	(void)state;
	start("cbdma,doorbell-bar=on");
	return 0;
}

/* @return whether it ended within some time, and well. */
static bool
ends(pid_t pid, unsigned int ms)
{
	int status;

	for (; ms > 0; ms--) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		usleep(1000);
	}
	return false;
}

static int
teardown_server(void **state)
{
	int status;

	(void)state;
	if (server.pid <= 0)
		return 0;
	kill(server.pid, SIGTERM);
	if (!ends(server.pid, 8000)) {
		kill(server.pid, SIGKILL);
		waitpid(server.pid, &status, 0);
		server.pid = 0;
		return 1;
	}
	server.pid = 0;
	return access(server.mine.path, F_OK) == 0 || access(server.other.path, F_OK) == 0;
}

/* A client that is let in, now or soon. */
static int
client_of(struct raw_rig *rig)
{
	int fd = raw_client(rig);

	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
	return fd;
}

/* The server hangs up on it. */
static void
assert_eof(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char byte[4096];
	ssize_t n;

	do {
		assert_int_equal(poll(&pfd, 1, 10000), 1);
		n = read(fd, byte, sizeof(byte));
	} while (n > 0);
	close(fd);
}

/* Processes that the supervisor has started. */
static unsigned int
sessions(pid_t *pid, unsigned int max)
{
	unsigned int n = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", server.pid, server.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (n < max && fscanf(f, "%d", &pid[n]) == 1)
		n++;
	fclose(f);
	return n;
}

static pid_t
the_session(void)
{
	pid_t pid[4];

	assert_int_equal(sessions(pid, 4), 1);
	return pid[0];
}

static void
wait_no_session(void)
{
	pid_t pid[4];
	unsigned int i;

	for (i = 0; i < 10000 && sessions(pid, 4) != 0; i++)
		usleep(1000);
	assert_int_equal(sessions(pid, 4), 0);
}

/* A number from /proc/PID/status. */
static long
status_of(pid_t pid, const char *name)
{
	char path[64], line[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			value = strtol(line + strlen(name) + 1, NULL, 10);
	fclose(f);
	return value;
}

/* The number that a file of /proc/PID holds. */
static long
number_in(pid_t pid, const char *name)
{
	char path[64];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &value), 1);
	fclose(f);
	return value;
}

/* The second one is hung up on, unless the first has just left. */
static void
test_one_client(void **state)
{
	unsigned int i;
	int fd, second;

	(void)state;
	fd = client_of(&server.mine);
	second = raw_connect(&server.mine);
	assert_eof(second);
	wait_logged("refusing a client", 1);
	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
	for (i = 0; i < 30; i++) {
		close(fd);
		fd = client_of(&server.mine);
	}
	close(fd);
}

/* What ends one session is nothing to the other, and nothing to the next. */
static void
test_session_dies(void **state)
{
	unsigned int i;
	int fd, other;

	(void)state;
	for (i = 0; i < 3; i++) {
		fd = client_of(&server.mine);
		assert_int_equal(kill(the_session(), SIGKILL), 0); /* SIGSEGV sanitizers take */
		assert_eof(fd);
	}
	wait_logged("ended by signal 9", 3);
	wait_logged("next one in 400 ms", 1);
	other = client_of(&server.other);
	fd = client_of(&server.mine);
	close(fd);
	assert_int_equal(raw_get(other, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
	close(other);
}

/* A session that hangs after its client has left: killed, and the next one is served. */
static void
test_session_hangs(void **state)
{
	int fd = client_of(&server.mine), next;
	pid_t session = the_session();

	(void)state;
	assert_int_equal(kill(session, SIGSTOP), 0);
	close(fd);
	next = client_of(&server.mine);
	assert_int_equal(logged("does not end: killing it"), 1);
	close(next);
}

/* A TCP socket that takes a minute to close, as what it has sent is not read. */
static int
lingering_socket(int *peer)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 60};
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
	*peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*peer >= 0);
	close(listener);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, &reply, sizeof(reply), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* Files in messages that nobody reads are closed with the client's socket. The supervisor waits for
 * none of them: when a session has hung up, when a client is refused, when it ends.
 */
static void
test_files_unread(void **state)
{
	const struct vfiou_header bad = {.size = UINT32_MAX}; /* hung up on */
	int fd, first, peer, file = lingering_socket(&peer);

	(void)state;
	fd = client_of(&server.mine);
	assert_int_equal(kill(the_session(), SIGSTOP), 0);
	raw_send_header(fd, bad, NULL, 0, NULL, 0);
	raw_send_bytes(fd, "x", 1, &file, 1);
	close(file);
	assert_int_equal(kill(the_session(), SIGCONT), 0);
	assert_eof(fd);
	first = client_of(&server.mine);
	close(peer);

	file = lingering_socket(&peer);
	assert_int_equal(kill(server.pid, SIGSTOP), 0);
	fd = raw_connect(&server.mine);
	raw_send_bytes(fd, "x", 1, &file, 1);
	close(file);
	assert_int_equal(kill(server.pid, SIGCONT), 0);
	assert_eof(fd);
	close(client_of(&server.other));
	close(peer);

	file = lingering_socket(&peer);
	assert_int_equal(kill(server.pid, SIGSTOP), 0);
	fd = raw_connect(&server.other);
	raw_send_bytes(fd, "x", 1, &file, 1);
	close(file);
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	assert_int_equal(kill(server.pid, SIGCONT), 0);
	assert_true(ends(server.pid, 5000));
	server.pid = 0;
	assert_eof(first);
	close(fd);
	close(peer);
}

/* Replies that are read now and then do not keep the server from ending. */
static void
test_slow_reader(void **state)
{
	const struct vfiou_region_access access = {.region = CONFIG, .count = 4096};
	int fd = raw_client(&server.mine);
	unsigned int i;

	(void)state;
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (i = 0; i < 2000; i++)
		raw_send(fd, VFIOU_REGION_READ, &access, sizeof(access), NULL, 0);
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	for (i = 0; i < 16 && !ends(server.pid, 300); i++)
		read(fd, &reply, sizeof(access) + sizeof(struct vfiou_header) + 4096);
	assert_in_range(i, 0, 15);
	server.pid = 0;
	close(fd);
}

/* A session that does not even take SIGTERM: its time is limited, and a second signal ends it. */
static void
test_stuck_at_the_end(void **state)
{
	int fd = raw_client(&server.mine);

	(void)state;
	assert_int_equal(kill(the_session(), SIGSTOP), 0);
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	assert_true(ends(server.pid, 5000));
	assert_eof(fd);

	start("cbdma");
	fd = raw_client(&server.mine);
	assert_int_equal(kill(the_session(), SIGSTOP), 0);
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	wait_logged("Terminated: ending", 1);
	assert_int_equal(kill(server.pid, SIGINT), 0);
	assert_true(ends(server.pid, 1000));
	server.pid = 0;
	assert_eof(fd);
}

static void
test_hangup_signal(void **state)
{
	(void)state;
	assert_int_equal(kill(server.pid, SIGHUP), 0);
	assert_true(ends(server.pid, 5000));
	server.pid = 0;
	assert_int_not_equal(access(server.mine.path, F_OK), 0);
}

/* Who reads the log has gone. */
static void
test_closed_stderr(void **state)
{
	int ends[2], fd;
	unsigned int i;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	start_with("cbdma", ends[1]);
	close(ends[0]);
	close(ends[1]);
	for (i = 0; i < 10000 && access(server.other.path, F_OK) != 0; i++)
		usleep(1000);
	usleep(20000);
	for (i = 0; i < 3; i++) {
		fd = client_of(&server.mine);
		close(fd);
	}
}

/* Started without standard files: the log does not go to a client that gets their numbers. */
static void
test_no_stderr(void **state)
{
	unsigned int i;

	(void)state;
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0) {
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		close(STDERR_FILENO);
		execl(deviced, deviced, "--socket", server.mine.path, "--device", "cbdma", NULL);
		_exit(127);
	}
	for (i = 0; i < 10000 && access(server.mine.path, F_OK) != 0; i++)
		usleep(1000);
	usleep(20000);
	close(client_of(&server.mine));
}

/* Who reads the log has stopped, and it is full: clients are served, and the end comes. */
static void
test_full_stderr(void **state)
{
	int pipe_ends[2], fd;
	unsigned int i;

	(void)state;
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(pipe_ends[1], &reply, 4096) > 0)
		;
	assert_int_equal(fcntl(pipe_ends[1], F_SETFL, 0), 0);
	start_with("cbdma", pipe_ends[1]);
	for (i = 0; i < 10000 && access(server.other.path, F_OK) != 0; i++)
		usleep(1000);
	usleep(20000);
	fd = client_of(&server.mine);
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	assert_true(ends(server.pid, 5000));
	server.pid = 0;
	assert_eof(fd);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* Of several that find a stale socket at the same time, one listens and the others say that they do
 * not, whatever anybody does with the folder.
 */
static void
test_started_at_once(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	unsigned int round, i, alive;
	pid_t pid[4];
	int fd, status, folder = open(server.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(flock(folder, LOCK_EX), 0);
	strcpy(address.sun_path, server.mine.path);
	for (round = 0; round < 10; round++) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		close(fd);
		for (i = 0; i < 4; i++) {
			pid[i] = fork();
			assert_true(pid[i] >= 0);
			if (pid[i] == 0) {
				freopen("/dev/null", "w", stderr);
				execl(deviced, deviced, "--socket", server.mine.path, "--device",
					"cbdma", NULL);
				_exit(127);
			}
		}
		for (i = 0, alive = 4; i < 10000 && alive > 1; i++) {
			usleep(1000);
			if (pid[i % 4] == 0 || waitpid(pid[i % 4], &status, WNOHANG) == 0)
				continue;
			assert_int_equal(WEXITSTATUS(status), 1);
			pid[i % 4] = 0;
			alive--;
		}
		usleep(50000);
		fd = client_of(&server.mine);
		close(fd);
		for (i = 0; i < 4; i++) {
			if (pid[i] == 0)
				continue;
			kill(pid[i], SIGTERM);
			assert_true(ends(pid[i], 8000));
		}
		assert_int_equal(alive, 1);
	}
	close(folder);
}

static uint16_t *
map_doorbell(int fd)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = DOORBELL};
	void *mem;

	assert_int_equal(raw_command(fd, VFIOU_DEVICE_GET_REGION_INFO, &info, sizeof(info), NULL, 0,
				 &reply), 0);
	memcpy(&info, reply.data, sizeof(info));
	assert_true(reply.fd >= 0);
	mem = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, reply.fd, info.offset);
	assert_true(mem != MAP_FAILED);
	close(reply.fd);
	return mem;
}

/* A client that has left neither rings nor sees the doorbells of the next. */
static void
test_doorbell_kept(void **state)
{
	uint16_t *kept, *doorbell;
	int fd;

	(void)state;
	fd = client_of(&server.mine);
	kept = map_doorbell(fd);
	*kept = 1;
	close(fd);
	fd = client_of(&server.mine);
	doorbell = map_doorbell(fd);
	assert_int_equal(*doorbell, 0);
	*kept = 7;
	assert_int_equal(*doorbell, 0);
	*doorbell = 9;
	assert_int_equal(*kept, 7);
	munmap(kept, DM_CBDMA_DOORBELL_SIZE);
	munmap(doorbell, DM_CBDMA_DOORBELL_SIZE);
	close(fd);
}

/* Without a client nothing runs, not even now and then. */
static void
test_idle(void **state)
{
	long before;

	(void)state;
	close(client_of(&server.mine));
	wait_no_session();
	usleep(100000);
	if (!SANITIZED)
		assert_int_equal(status_of(server.pid, "Threads"), 1);
	before = status_of(server.pid, "voluntary_ctxt_switches");
	usleep(500000);
	assert_int_equal(status_of(server.pid, "voluntary_ctxt_switches"), before);
}

/* Clients that come and go as fast as they can do not fill the disk with what is said of them. */
static void
test_log_flood(void **state)
{
	const uint64_t start = vfiou_now_ms();
	unsigned int i, windows;

	(void)state;
	for (i = 0; i < 150; i++)
		close(raw_connect(&server.mine));
	wait_no_session();
	/* 50 lines in 10 seconds; on a machine that is busy it takes several times that. */
	windows = (vfiou_now_ms() - start) / 10000 + 2;
	assert_in_range(logged("dma-deviced:"), 10, windows * 52);
	if (windows <= 4)
		assert_int_not_equal(logged("no more lines for some seconds"), 0);
	/* Of the neighbour there is still something to be read. */
	close(client_of(&server.other));
	wait_no_session();
	assert_int_equal(logged("other: client left"), 1);
}

/* Somebody who is nobody else, and may have so many processes. */
#define SOMEBODY      54321
#define MAX_PROCESSES 12

static bool
become_somebody(void)
{
	return setgroups(0, NULL) == 0 && setresgid(SOMEBODY, SOMEBODY, SOMEBODY) == 0 &&
		setresuid(SOMEBODY, SOMEBODY, SOMEBODY) == 0;
}

static void
start_as_somebody(void)
{
	const struct rlimit processes = {.rlim_cur = MAX_PROCESSES, .rlim_max = MAX_PROCESSES};
	char *const argv[] = {(char *)(uintptr_t)deviced, "--socket", server.mine.path, "--device",
		"cbdma", "--socket", server.other.path, "--device", "cbdma", NULL};
	char *const environment[] = {NULL};
	int program = open(deviced, O_RDONLY), fd = open(server.log, O_CREAT | O_TRUNC | O_APPEND |
		O_WRONLY | O_CLOEXEC, 0600);

	assert_true(program >= 0 && fd >= 0);
	assert_int_equal(chown(server.dir, SOMEBODY, SOMEBODY), 0);
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0) {
		dup2(fd, STDERR_FILENO);
		if (setrlimit(RLIMIT_NPROC, &processes) == 0 && become_somebody())
			fexecve(program, argv, environment);
		_exit(127);
	}
	close(program);
	close(fd);
	wait_logged("listening", 2);
}

/* There are no more processes to be had: that a client's socket takes long to close delays
 * nobody, and clients are served again once there are.
 */
static void
test_no_processes(void **state)
{
	pid_t hog[MAX_PROCESSES];
	int fd, peer, file, i;

	(void)state;
	if (geteuid() != 0) {
		print_message("only root can be someone else\n");
		skip();
	}
	start_as_somebody();
	fd = client_of(&server.mine);
	assert_int_equal(kill(the_session(), SIGSTOP), 0);
	for (i = 0; i < MAX_PROCESSES; i++) {
		hog[i] = fork();
		assert_true(hog[i] >= 0);
		if (hog[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(fd);
			become_somebody();
			kill(getpid(), SIGSTOP);
			_exit(0);
		}
		assert_int_equal(waitpid(hog[i], NULL, WUNTRACED), hog[i]);
	}
	file = lingering_socket(&peer); /* nobody else has it */
	raw_send_bytes(fd, "x", 1, &file, 1);
	close(file);
	assert_int_equal(kill(the_session(), SIGKILL), 0);
	assert_eof(fd);
	wait_no_session();
	for (i = 0; i < MAX_PROCESSES; i++) {
		kill(hog[i], SIGKILL);
		waitpid(hog[i], NULL, 0);
	}
	close(client_of(&server.other));
	close(client_of(&server.mine));
	close(peer);
}

/* A session has no rights, whoever started the server. */
static void
test_no_rights(void **state)
{
	int fd = client_of(&server.mine);
	pid_t session = the_session();

	(void)state;
	assert_int_equal(status_of(session, "NoNewPrivs"), 1);
	if (geteuid() == 0) {
		assert_int_not_equal(status_of(session, "Uid"), 0);
		assert_int_not_equal(status_of(session, "Gid"), 0);
	}
	assert_int_equal(status_of(session, "CapEff"), 0);
	assert_int_equal(number_in(session, "oom_score_adj"), 500);
	if (!SANITIZED)
		assert_int_equal(status_of(session, "Seccomp"), 2);
	close(fd);
}

/* All that clients do, under the filter: descriptors, interrupts, a lot of memory, faults. */
static void
test_filter(void **state)
{
	const struct vfiou_region_access access = {.region = CONFIG, .count = 4096};
	int fd = client_of(&server.mine), file = raw_memory(1u << 20), event = eventfd(0, 0), i;
	uint16_t *doorbell = map_doorbell(fd);
	struct cbdma_desc desc = {.size = 64, .control = CBDMA_DESC_COMPLETION | CBDMA_DESC_INT_EN,
		.src = 0x1000, .dst = 0x2000, .next = 0};

	(void)state;
	for (i = 1; i < 2000; i++) /* the table of mappings grows */
		assert_int_equal(raw_map(fd, i * 0x1000000ull, 0x1000, 0, RW, file), 0);
	assert_int_equal(raw_map(fd, 0, 1u << 20, 0, RW, file), 0);
	assert_int_equal(pwrite(file, &desc, sizeof(desc), 0), sizeof(desc));
	enable_msix(fd);
	assert_int_equal(set_irqs(fd, DATA_EVENT | TRIGGER, MSIX, 0, 1, &event, 1), 0);
	raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	raw_set(fd, BAR0, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8, 0x3000);
	raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHAINADDR, 8, 0);
	__atomic_store_n(doorbell, 1, __ATOMIC_RELEASE);
	assert_int_equal(events(event), 1);
	assert_int_equal(ftruncate(file, 0), 0);
	__atomic_store_n(doorbell, 2, __ATOMIC_RELEASE);
	for (i = 0; i < 5000 && raw_get(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANERR, 4) == 0; i++)
		usleep(1000);
	assert_int_not_equal(raw_get(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANERR, 4), 0);
	assert_int_equal(set_irqs(fd, DATA_EVENT | UNMASK, PIN, 0, 1, &event, 1), 0);
	assert_int_equal(eventfd_write(event, 1), 0);
	for (i = 0; i < 100; i++) /* more than the socket holds: it waits */
		raw_send(fd, VFIOU_REGION_READ, &access, sizeof(access), NULL, 0);
	usleep(10000);
	for (i = 0; i < 100; i++)
		assert_true(raw_receive(fd, &reply));
	munmap(doorbell, DM_CBDMA_DOORBELL_SIZE);
	close(file);
	close(event);
	close(fd);
	wait_no_session();
	assert_int_equal(logged("the session"), 0);
}

/* And to be asked: on a twin socket. */
static void
test_filter_remote(void **state)
{
	struct answerer a = {.address = 0, .memory = calloc(1, ANSWERER_MEMORY)};
	struct cbdma_desc desc = {.size = 64, .control = CBDMA_DESC_COMPLETION, .src = 0x1000,
		.dst = 0x2000, .next = 0x100};
	unsigned int i;

	(void)state;
	assert_non_null(a.memory);
	memcpy(a.memory + 0x100, &desc, sizeof(desc));
	memset(a.memory + 0x1000, 0x5a, 64);
	a.fd = raw_connect(&server.mine);
	assert_int_equal(raw_version(a.fd, 0, 1,
				 "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}",
				 &reply), 0);
	assert_true(reply.fd >= 0);
	a.asked_fd = reply.fd;
	assert_int_equal(raw_map(a.fd, 0, ANSWERER_MEMORY, 0, RW, -1), 0);
	answerer_set(&a, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	answerer_set(&a, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8, 0x3000);
	answerer_set(&a, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHAINADDR, 8, 0x100);
	answerer_set(&a, BAR0, CBDMA_CHANNEL(0) + CBDMA_DMACOUNT, 2, 1);
	for (i = 0; i < 4000 && *(volatile uint64_t *)(a.memory + 0x3000) == 0; i++)
		answerer_asked(&a, 5);
	assert_int_equal(a.memory[0x203f], 0x5a);
	assert_int_equal(*(uint64_t *)(a.memory + 0x3000), 0x100 | CBDMA_CHANSTS_IDLE);
	close(a.fd);
	close(a.asked_fd);
	free(a.memory);
	wait_no_session();
	assert_int_equal(logged("the session"), 0);
}

/* A client that does all of the above at once, over and over. */
static void
attack(void)
{
	const struct vfiou_region_access access = {.region = CONFIG, .count = 4096};
	struct cbdma_desc desc = {.size = 1u << 20, .control = CBDMA_DESC_COMPLETION, .src = 0,
		.dst = 0x100000, .next = 0};
	int fd, file, event, i;
	uint16_t *doorbell;

	for (;;) {
		fd = raw_client(&server.mine);
		file = raw_memory(2u << 20);
		event = eventfd(UINT32_MAX, 0);
		doorbell = map_doorbell(fd);
		pwrite(file, &desc, sizeof(desc), 0);
		raw_map(fd, 0, 2u << 20, 0, RW, file);
		for (i = 1; i < 200; i++)
			raw_map(fd, i * 0x1000000ull, 0x1000, 0, RW, file);
		enable_msix(fd);
		set_irqs(fd, DATA_EVENT | TRIGGER, MSIX, 0, 1, &event, 1);
		raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8, 0x3000);
		raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHAINADDR, 8, 0);
		*doorbell = 100; /* in circles */
		for (i = 0; i < 50; i++)
			raw_send(fd, VFIOU_REGION_READ, &access, sizeof(access), NULL, 0);
		ftruncate(file, 4096);
		usleep(1000);
		munmap(doorbell, DM_CBDMA_DOORBELL_SIZE);
		close(event);
		close(file);
		close(fd);
	}
}

#define ROUNDS 200

/* How often the time of a round with an attacker is compared with that without one: where others
 * run, too, some comparisons are about them.
 */
#define COMPARISONS 30

static int
compare_times(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* A well-behaved client at work: a copy of 4 KB, and the interrupt. */
struct neighbour {
	int fd, event, file;
	uint8_t *mem;
	uint16_t *doorbell, rung;
};

static void
neighbour_start(struct neighbour *n)
{
	struct cbdma_desc *desc;

	n->fd = client_of(&server.other);
	n->file = raw_memory(0x10000);
	n->event = eventfd(0, 0);
	n->doorbell = map_doorbell(n->fd);
	n->rung = 0;
	n->mem = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, n->file, 0);
	assert_true(n->mem != MAP_FAILED);
	desc = (void *)n->mem;
	*desc = (struct cbdma_desc){.size = 0x1000, .src = 0x2000, .dst = 0x3000, .next = 0,
		.control = CBDMA_DESC_COMPLETION | CBDMA_DESC_INT_EN};
	assert_int_equal(raw_map(n->fd, 0, 0x10000, 0, RW, n->file), 0);
	enable_msix(n->fd);
	assert_int_equal(set_irqs(n->fd, DATA_EVENT | TRIGGER, MSIX, 0, 1, &n->event, 1), 0);
	raw_set(n->fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	raw_set(n->fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8, 0x1000);
	raw_set(n->fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHAINADDR, 8, 0);
}

static void
neighbour_end(struct neighbour *n)
{
	munmap(n->doorbell, DM_CBDMA_DOORBELL_SIZE);
	munmap(n->mem, 0x10000);
	close(n->file);
	close(n->event);
	close(n->fd);
}

/* Nothing is lost, wrong or an error. @return how long a round takes, the median of them, ns */
static uint64_t
neighbour_work(struct neighbour *n)
{
	uint64_t time[ROUNDS];
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		memset(n->mem + 0x2000, n->rung, 0x1000);
		raw_set(n->fd, BAR0, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
		raw_set(n->fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCTRL, 2,
			CBDMA_CHANCTRL_INT_DISABLE);
		time[i] = now_ns();
		__atomic_store_n(n->doorbell, ++n->rung, __ATOMIC_RELEASE);
		assert_int_equal(events(n->event), 1); /* waits */
		time[i] = now_ns() - time[i];
		assert_memory_equal(n->mem + 0x2000, n->mem + 0x3000, 0x1000);
		assert_int_equal(raw_get(n->fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANERR, 4), 0);
	}
	qsort(time, ROUNDS, sizeof(time[0]), compare_times);
	return time[ROUNDS / 2];
}

/* A well-behaved client of the other function sees nothing of it: neither in what it gets nor in
 * when, beyond what it is to share CPUs. The attacker itself runs at a low priority: how much of
 * them it may have is not the server's to say.
 */
static void
test_neighbour(void **state)
{
	uint64_t alone = 0, attacked = UINT64_MAX;
	struct neighbour n;
	unsigned int i;
	pid_t attacker;
	int status;

	(void)state;
	neighbour_start(&n);
	neighbour_work(&n);
	for (i = 0; i < COMPARISONS && attacked > 2 * alone; i++) {
		alone = neighbour_work(&n);
		attacker = fork();
		assert_true(attacker >= 0);
		if (attacker == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			setpriority(PRIO_PROCESS, 0, 19);
			attack();
		}
		wait_logged("mine: client (pid", i + 1);
		attacked = neighbour_work(&n);
		assert_int_equal(waitpid(attacker, &status, WNOHANG), 0); /* it is at it yet */
		kill(attacker, SIGKILL);
		waitpid(attacker, &status, 0);
		print_message("a round takes %u us, and %u us under attack\n",
			(unsigned int)(alone / 1000), (unsigned int)(attacked / 1000));
	}
	assert_true(attacked <= 2 * alone);
	assert_int_equal(logged("session"), 0);
	neighbour_end(&n);
}

/* Memory of clients is marked so that no core dump has it ("dd" of smaps). */
static void
test_not_dumped(void **state)
{
	int fd = client_of(&server.mine), file = raw_memory(1u << 20);
	bool ours = false, marked = false;
	char path[64], line[512];
	FILE *f;

	(void)state;
	assert_int_equal(raw_map(fd, 0, 1u << 20, 0, RW, file), 0);
	snprintf(path, sizeof(path), "/proc/%d/smaps", the_session());
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strstr(line, RAW_MEMORY_NAME) != NULL)
			ours = true;
		if (ours && strncmp(line, "VmFlags:", 8) == 0) {
			marked = strstr(line, " dd") != NULL;
			break;
		}
	}
	fclose(f);
	assert_true(marked);
	close(file);
	close(fd);
}

/* As systemd starts it: with a socket, which stays, and wanting to know. */
static void
test_activation(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[64] = "";
	int notify, fd;

	(void)state;
	raw_listen(&server.mine);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", server.dir);
	notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(notify, (struct sockaddr *)&address, sizeof(address)), 0);
	server.pid = fork();
	if (server.pid == 0) {
		setenv("NOTIFY_SOCKET", address.sun_path, 1);
		dup2(server.mine.listen_fd, 3);
		fcntl(3, F_SETFD, 0);
		execl(deviced, deviced, "--socket", "fd:3", "--device", "cbdma", NULL);
		_exit(127);
	}
	close(server.mine.listen_fd);
	assert_true(recv(notify, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "READY=1");
	fd = client_of(&server.mine);
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	memset(text, 0, sizeof(text));
	assert_true(recv(notify, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "STOPPING=1");
	assert_true(ends(server.pid, 5000));
	server.pid = 0;
	assert_eof(fd);
	assert_int_equal(unlink(server.mine.path), 0);
	close(notify);
	unlink(address.sun_path);
}

static int
make_folder(void **state)
{
	(void)state;
	strcpy(server.dir, "/tmp/deviced-test.XXXXXX");
	if (mkdtemp(server.dir) == NULL)
		return 1;
	snprintf(server.log, sizeof(server.log), "%s/log", server.dir);
	snprintf(server.mine.path, sizeof(server.mine.path), "%s/mine", server.dir);
	snprintf(server.other.path, sizeof(server.other.path), "%s/other", server.dir);
	return 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	unlink(server.log);
	return rmdir(server.dir);
}

int
main(int argc, char **argv)
{
#define SERVED(f) cmocka_unit_test_setup_teardown(f, setup_server, teardown_server)
	const struct CMUnitTest tests[] = {
		SERVED(test_one_client),
		SERVED(test_session_dies),
		SERVED(test_session_hangs),
		SERVED(test_files_unread),
		SERVED(test_slow_reader),
		SERVED(test_stuck_at_the_end),
		SERVED(test_hangup_signal),
		cmocka_unit_test_teardown(test_closed_stderr, teardown_server),
		cmocka_unit_test_teardown(test_no_stderr, teardown_server),
		cmocka_unit_test_teardown(test_full_stderr, teardown_server),
		cmocka_unit_test_teardown(test_started_at_once, teardown_server),
		SERVED(test_doorbell_kept),
		SERVED(test_idle),
		SERVED(test_log_flood),
		cmocka_unit_test_teardown(test_no_processes, teardown_server),
		SERVED(test_no_rights),
		SERVED(test_filter),
		SERVED(test_filter_remote),
		SERVED(test_not_dumped),
		SERVED(test_neighbour),
		cmocka_unit_test_teardown(test_activation, teardown_server),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s DMA-DEVICED\n", argv[0]);
		return 1;
	}
	deviced = argv[1];
	return cmocka_run_group_tests_name("dma-deviced: hostile clients", tests, make_folder,
		remove_folder);
}
