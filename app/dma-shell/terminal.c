/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * The prompt: librte_cmdline's line editor (history, completion) on a terminal.
 *
 * cmdline_stdin_new() would do, but it turns every wrong line into "Bad arguments" and swallows
 * Ctrl-C; so the editor is used by itself, and lines go to grammar.c. The history is kept in
 * ~/.local/state/dma-shell, commands of ~/.config/dma-shell are run first.
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cmdline.h>
#include <cmdline_rdline.h>

#include "replacement.h"
#include "shell.h"

#define PROMPT "dma-shell> "

#define HISTORY_KEPT 200  /* lines that are read */
#define HISTORY_MAX  1000 /* lines beyond which the others go */
#define TYPED_MAX    511 /* characters of a line: the editor drops those behind 512 */

static struct termios before;
static bool raw;
static bool foreign; /* the editor dropped a character of the line: it knows ASCII only */

static void
terminal_restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	raw = false;
}

static int
terminal_raw(void)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return -errno;
	t = before;
	t.c_lflag &= ~(ICANON | ECHO);
	/* Signals stay, for Ctrl-C; but nothing that would leave the terminal like this. */
	t.c_cc[VSUSP] = _POSIX_VDISABLE;
	t.c_cc[VQUIT] = _POSIX_VDISABLE;
	t.c_cc[VMIN] = 1;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &t) != 0)
		return -errno;
	raw = true;
	atexit(terminal_restore);
	return 0;
}

int
terminal_key(unsigned int ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	/* Closed: whoever waits for a key waits in vain. */
	if (read(STDIN_FILENO, &c, 1) != 1)
		return -1;
	return (unsigned char)c;
}

static int
write_char(struct rdline *rdl __rte_unused, char c)
{
	return write(STDOUT_FILENO, &c, 1);
}

/* A file of the user's, XDG says where; "": there is no such place. */
static void
user_file(const char *variable, const char *below_home, char *path, size_t size)
{
	const char *dir = getenv(variable), *home = getenv("HOME");

	path[0] = '\0';
	if (dir != NULL && dir[0] == '/')
		snprintf(path, size, "%s/dma-shell", dir);
	else if (home != NULL && home[0] == '/')
		snprintf(path, size, "%s/%s/dma-shell", home, below_home);
}

static void
history_path(char *path, size_t size)
{
	struct stat st;

	user_file("XDG_STATE_HOME", ".local/state", path, size);
	/* Devices and pipes never end, and keep nothing. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		path[0] = '\0';
}

/* The latest lines of what there is; a file that has become long keeps no others. */
static void
history_load(struct rdline *rdl)
{
	char path[PATH_MAX], line[1024];
	struct replacement r;
	FILE *f, *kept = NULL;
	unsigned int n = 0, skip;
	bool bad;

	history_path(path, sizeof(path));
	f = fopen(path, "r");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		n++;
	skip = n > HISTORY_KEPT ? n - HISTORY_KEPT : 0;
	if (n > HISTORY_MAX && replacement_begin(&r, path, 0666) == NULL)
		kept = fdopen(r.fd, "w");
	rewind(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (skip > 0) {
			skip--;
			continue;
		}
		rdline_add_history(rdl, line);
		if (kept != NULL)
			fputs(line, kept);
	}
	bad = ferror(f);
	fclose(f);
	if (kept == NULL)
		return;
	bad |= ferror(kept);
	if (fclose(kept) != 0 || bad)
		replacement_drop(&r);
	else
		replacement_keep(&r);
}

/* Each line at once, before it is run: shells that run at the same time lose none. */
static void
history_add(const char *line)
{
	static char last[1024];
	char path[PATH_MAX], *p;
	FILE *f;

	if (strcmp(line, last) == 0)
		return;
	snprintf(last, sizeof(last), "%s", line);

	history_path(path, sizeof(path));
	for (p = strchr(path, '/'); p != NULL && (p = strchr(p + 1, '/')) != NULL;) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	f = fopen(path, "a");
	if (f == NULL)
		return;
	fprintf(f, "%s\n", line);
	fclose(f);
}

/*
 * Long answers go through a pager, which gives short ones as they are. What else is on the line (watch,
 * bench) needs the terminal.
 */
static bool
wants_pager(const char *line)
{
	return strchr(line, ';') == NULL && (strncmp(line, "help", 4) == 0 || strncmp(line, "show", 4) == 0) &&
		isatty(STDOUT_FILENO) && !shell.json;
}

static void
run_paged(const char *line)
{
	const char *pager = getenv("PAGER");
	int own = dup(STDOUT_FILENO);
	FILE *p;

	fflush(stdout);
	setenv("LESS", "FRX", 0);
	p = own < 0 ? NULL : popen(pager != NULL && pager[0] != '\0' ? pager :
		"command -v less >/dev/null && exec less || exec cat", "w");
	if (p != NULL)
		dup2(fileno(p), STDOUT_FILENO);
	shell_run_line(line);
	fflush(stdout);
	if (p != NULL) {
		dup2(own, STDOUT_FILENO);
		/* Who leaves the pager early has read enough. */
		pclose(p);
		clearerr(stdout);
	}
	if (own >= 0)
		close(own);
}

static void
validate(struct rdline *rdl, const char *buf, unsigned int size __rte_unused)
{
	char line[1024];
	size_t len = strcspn(buf, "\r\n");

	/* What is left of such a line is another command, and of a file's name another file. */
	if (foreign || len > TYPED_MAX) {
		shell_error(-EINVAL, foreign ? "a character of the line is no ASCII, which the prompt "
			"does not take: 'script FILE' does" : "more than %u characters: the prompt does "
			"not take the rest, 'script FILE' does", TYPED_MAX);
		foreign = false;
		return;
	}
	memcpy(line, buf, len);
	line[len] = '\0';
	if (len > 0)
		history_add(line);
	shell.interrupted = 0;
	/* What Ctrl-C kept from being written is none of this command's. */
	clearerr(stdout);
	if (wants_pager(line))
		run_paged(line);
	else
		shell_run_line(line);
	/* Ctrl-C ends the command, not the shell. */
	if (shell.interrupted)
		shell_note("\ninterrupted");
	shell.interrupted = 0;
	if (shell.quit)
		rdline_quit(rdl);
}

static int
complete(struct rdline *rdl __rte_unused, const char *buf, char *dst, unsigned int size,
	int *state)
{
	return grammar_complete(buf, dst, size, state);
}

/* What cmdline_in() does once a line is there. */
static void
next_line(struct rdline *rdl)
{
	const char *line = rdline_get_buffer(rdl);
	const char *last = rdline_get_history_item(rdl, 0);
	size_t len = strcspn(line, "\n");

	if (len > 0 && (last == NULL || strlen(last) != len || strncmp(line, last, len) != 0))
		rdline_add_history(rdl, line);
	rdline_newline(rdl, PROMPT);
}

/* Three lines: what is there, what to type, where help is. */
static void
greet(void)
{
	const unsigned int n = rte_dma_count_avail();
	const struct shell_dev *d;
	int16_t id;

	printf("%u DMA device%s%s", n, n == 1 ? "" : "s", n > 0 ? ":" : "");
	RTE_DMA_FOREACH_DEV(id) {
		d = device_get(id);
		if (id < 4 && d != NULL)
			printf(" %d %s%s", id, d->name, d->started ? " (started)" : "");
	}
	shell_note("%s", n > 4 ? " ..." : "");
	shell_note(n > 0 ? "Try: alloc a 64K pattern random; alloc b 64K; copy 0 a b submit; wait 0" :
		"Try: attach dma_skeleton0");
	shell_note("help tells all commands, ? what may follow, Tab completes; quit leaves.");
}

int
terminal_run(void)
{
	struct rdline *rdl = rdline_new(write_char, validate, complete, NULL);
	char path[PATH_MAX];
	int c, ret = terminal_raw();

	if (rdl == NULL || ret != 0) {
		rdline_free(rdl);
		return shell_error(ret, "cannot set up the terminal");
	}
	shell.interactive = true;
	greet();
	history_load(rdl);
	user_file("XDG_CONFIG_HOME", ".config", path, sizeof(path));
	if (access(path, R_OK) == 0)
		shell_run_file(path);
	shell.interrupted = 0;
	rdline_newline(rdl, PROMPT);
	while (!shell.quit) {
		c = terminal_key(200);
		if (shell.interrupted && !shell.quit) {
			/* The line is dropped. */
			shell.interrupted = 0;
			foreign = false;
			shell_note("^C");
			rdline_newline(rdl, PROMPT);
		}
		if (c == 0)
			continue;
		if (c < 0)
			break;
		foreign |= c >= 0x80;
		ret = rdline_char_in(rdl, c);
		if (ret == RDLINE_RES_VALIDATED)
			next_line(rdl);
		else if (ret == RDLINE_RES_EOF || ret == RDLINE_RES_EXITED)
			break;
	}
	shell.interactive = false;
	rdline_free(rdl);
	terminal_restore();
	putchar('\n');
	return 0;
}
