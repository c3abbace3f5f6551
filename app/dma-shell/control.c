/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Commands about commands: script, repeat, sleep, expect, help, quit. And how lines are run.
 */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_string_fns.h>

#include "shell.h"

#define NESTING_MAX 8 /* scripts in scripts, repeats in repeats */
#define LINE_SIZE   4096

static unsigned int nesting;

double
shell_limit_seconds(double seconds)
{
	return shell.max_seconds > 0 ? RTE_MIN(seconds, shell.max_seconds) : seconds;
}

void
shell_sleep(double seconds)
{
	struct timespec t;

	seconds = shell_limit_seconds(seconds);
	t.tv_sec = (time_t)seconds;
	t.tv_nsec = (long)((seconds - t.tv_sec) * 1e9);
	/* A signal that came just before would not end the sleep: sleep in short ones. */
	for (; t.tv_sec > 0 && !shell.interrupted; t.tv_sec--)
		nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	if (!shell.interrupted)
		nanosleep(&t, NULL);
}

/*
 * How long a command is: to a ';' outside of quotes, or to the end of the line. What is a comment at
 * its end is in *comment.
 */
static size_t
command_length(const char *line, size_t *comment)
{
	bool quoted = false;
	size_t i;

	*comment = 0;
	for (i = 0; line[i] != '\0' && line[i] != '\n'; i++) {
		if (line[i] == '#' && !quoted) {
			*comment = strcspn(line + i, "\n"); /* whatever is in it */
			return i + *comment;
		}
		if (line[i] == '"')
			quoted = !quoted;
		else if (line[i] == ';' && !quoted)
			break;
	}
	return i;
}

int
shell_flush(void)
{
	/* Ctrl-C ends a write, too. */
	if ((fflush(stdout) == 0 && !ferror(stdout)) || shell.interrupted)
		return 0;
	return shell_error(-EIO, "the output cannot be written: %s", strerror(errno));
}

int
shell_run_line(const char *line)
{
	char command[LINE_SIZE];
	size_t len, comment;
	int ret = 0;

	while (ret == 0 && !shell.quit && !shell.interrupted) {
		len = command_length(line, &comment);
		if (len - comment >= sizeof(command))
			return shell_error(-E2BIG, "a command of %zu characters is too long", len);
		strlcpy(command, line, len - comment + 1);
		out_command();
		ret = grammar_run(command);
		if (ret == 0)
			ret = shell_flush();
		if (line[len] == '\0')
			break;
		line += len + 1;
	}
	return ret != 0 ? ret : shell.interrupted ? -EINTR : 0;
}

static int
run_nested(const char *line)
{
	int ret;

	if (nesting == NESTING_MAX)
		return shell_error(-ELOOP, "scripts and repeats are nested more than %d deep",
			NESTING_MAX);
	nesting++;
	ret = shell_run_line(line);
	nesting--;
	return ret;
}

/* The length of the next line; -ENODATA at the end, -EINVAL when it is none of a text. */
static int
read_line(FILE *f, char *line, size_t size)
{
	size_t n = 0;
	int c;

	while ((c = getc(f)) != EOF && c != '\n') {
		if (c == '\0' || n + 1 == size)
			return -EINVAL;
		line[n++] = c;
	}
	if (n > 0 && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
	return c == EOF && n == 0 ? -ENODATA : (int)n;
}

int
shell_run_stream(FILE *f, const char *name)
{
	unsigned int number = 0;
	char line[2 * LINE_SIZE];
	int len, ret = 0;

	while (ret == 0 && !shell.quit && !shell.interrupted &&
			(len = read_line(f, line, sizeof(line))) != -ENODATA) {
		number++;
		/* A run of a script reads like a session, with what its author says. */
		if (len > 0)
			shell_note(line[0] == '#' ? "%s" : "dma-shell> %s", line);
		if (len < 0)
			ret = shell_error(len, "the line holds a NUL, or more than %zu characters: "
				"it is no text", sizeof(line) - 1);
		else
			ret = run_nested(line);
		if (ret != 0 && ret != -EINTR)
			shell_error(ret, "%s:%u: stopped here", name, number);
	}
	/* A folder can be opened, and then not be read: that is no script without commands. */
	if (ret == 0 && ferror(f) && !shell.interrupted)
		ret = shell_error(-EIO, "cannot read '%s' to its end", name);
	return ret != 0 ? ret : shell.interrupted ? -EINTR : 0;
}

int
shell_run_file(const char *path)
{
	FILE *f = fopen(path, "r");
	int ret;

	if (f == NULL)
		return shell_error(-errno, "cannot read '%s': %s", path, strerror(errno));
	ret = shell_run_stream(f, path);
	fclose(f);
	return ret;
}

int
cmd_script(const struct args *a)
{
	return shell_run_file(a->w[1].str);
}

int
cmd_sleep(const struct args *a)
{
	shell_sleep(a->w[1].real);
	return shell.interrupted ? -EINTR : 0;
}

/* A command that is an argument: without the quotes around it, where there are some. */
static int
unquote(const char *rest, char *dst, size_t size)
{
	size_t len = strlen(rest);

	while (len > 0 && strchr(" \t", rest[len - 1]) != NULL)
		len--;
	if (len >= 1 && rest[0] == '"') {
		if (len < 2 || memchr(rest + 1, '"', len - 1) != rest + len - 1)
			return shell_error(-EINVAL,
				"bad words '%s': expected one command in double quotes", rest);
		rest++;
		len -= 2;
	}
	if (len == 0 || len >= size)
		return shell_error(-EINVAL, "there is no command in '%s'", rest);
	memcpy(dst, rest, len);
	dst[len] = '\0';
	return 0;
}

int
cmd_repeat(const struct args *a)
{
	char command[LINE_SIZE];
	uint64_t i;
	int ret = unquote(a->w[2].text.start, command, sizeof(command));

	for (i = 0; i < a->w[1].num && ret == 0 && !shell.quit; i++)
		ret = run_nested(command);
	return ret;
}

int
cmd_expect_fail(const struct args *a)
{
	char command[LINE_SIZE];
	bool outer = out_failure_expected;
	int ret = unquote(a->w[2].text.start, command, sizeof(command));

	if (ret != 0)
		return ret;
	out_failure_expected = true;
	ret = run_nested(command);
	out_failure_expected = outer;
	if (ret == -EINTR)
		return ret;
	if (ret == 0)
		return shell_error(-EINVAL, "expected '%s' to fail, but it did not", command);
	return 0;
}

static bool
holds(int order, const char *op)
{
	switch (op[0]) {
	case '=':
		return order == 0;
	case '!':
		return order != 0;
	case '<':
		return order < 0 || (op[1] == '=' && order == 0);
	default:
		return order > 0 || (op[1] == '=' && order == 0);
	}
}

int
cmd_expect(const struct args *a)
{
	const char *key = a->w[1].str, *op = a->w[2].str, *wanted = a->w[3].str;
	const char *value = out_last(key);
	char keys[512], *value_end, *wanted_end;
	double x, y;
	int order;

	if (value == NULL) {
		out_last_keys(keys, sizeof(keys));
		return shell_error(-ENOENT, "the last result has no field '%s'; it has: %s", key,
			keys[0] == '\0' ? "nothing" : keys);
	}
	x = strtod(value, &value_end);
	y = strtod(wanted, &wanted_end);
	/* Nothing is a number beside one that is none. */
	if (value[0] != '\0' && *value_end == '\0' && *wanted_end == '\0' && !isnan(y))
		order = x < y ? -1 : x > y;
	else
		order = strcmp(value, wanted);
	if (!holds(order, op))
		return shell_error(-EINVAL, "expected %s %s %s, but it is %s", key, op, wanted,
			value);
	return 0;
}

/* In lines of 80 columns, options whole. */
static void
print_syntax(const char *syntax)
{
	size_t len, column = 1;

	for (; *syntax != '\0'; syntax += len + strspn(syntax + len, " ")) {
		len = *syntax == '[' ? strcspn(syntax, "]") + 1 : strcspn(syntax, " ");
		if (column + 1 + len > 79)
			column = printf("\n       ") - 1;
		column += printf(" %s%.*s", column == 1 ? " " : "", (int)len, syntax);
	}
	putchar('\n');
}

int
cmd_help(const struct args *a)
{
	const char *word = a->optional != NULL ? a->optional->str : NULL;
	const struct command *c;
	bool found = false;

	for (c = shell_commands; c->syntax != NULL; c++) {
		if (word != NULL && strncmp(c->syntax, word, strcspn(c->syntax, " ")) != 0)
			continue;
		found = true;
		out_begin("help");
		out_text("command", c->syntax);
		out_str("does", "%s", c->help);
		if (shell.json) {
			out_line();
			continue;
		}
		print_syntax(c->syntax);
		printf("        %s\n", c->help);
	}
	if (word != NULL && found && !shell.json)
		help_more(word);
	if (word != NULL)
		return found ? 0 : shell_error(-ENOENT, "no command begins with '%s'", word);
	shell_note("  Tab completes a word, ? shows what may follow. Words in capitals:\n"
		"  DEV: number or name, 0:1 is vchan 1 of device 0\n"
		"  RANGE: BUFFER[+OFFSET][:LENGTH], LIST of segments: a+0:64,a+128:64 or a:64*16\n"
		"  SIZE: 4096, 0x1000, 4K, 2M\n"
		"  PATTERN: 0xab, 0x0123456789abcdef; for buffers also count, random");
	return 0;
}

int
cmd_quit(const struct args *a __rte_unused)
{
	shell.quit = true;
	return 0;
}
