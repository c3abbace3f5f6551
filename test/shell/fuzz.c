/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Random command lines for dma-shell, in one process: made from its own table of commands, with
 * words that mean something here and words that do not, then damaged. Nothing may crash, and
 * nothing may take for ever.
 *
 *     fuzz [EAL options] -- [--lines N] [--seed N]
 *
 * It works in a folder of its own, and no line but "show telemetry" holds a slash.
 */

#include <ctype.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <sanitizer/common_interface_defs.h>

#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_string_fns.h>

#include "shell.h"

#define LINE_SIZE     1024
#define PATIENCE_USEC 50000 /* of a command, before it gets what Ctrl-C would give it */

static uint64_t seed, state;
static uint64_t lines = 100000, number;
static char line[LINE_SIZE];

static uint32_t
below(uint32_t n)
{
	uint64_t x = state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return (x ^ (x >> 31)) % n;
}

#define PICK(words) ((words)[below(RTE_DIM(words))])

static const char *const numbers[] = { "0", "1", "2", "3", "8", "31", "32", "64", "100", "1024",
	"32768", "65535", "65536", "4294967295", "4294967296", "18446744073709551615",
	"18446744073709551616", "-1", "0x10", "08", "1e3", "" };
static const char *const sizes[] = { "0", "1", "7", "64", "100", "4K", "64K", "100K", "1M", "17M",
	"1G", "4096", "256", "1T", "16383T", "16384T", "99999999999999999999", "0x1000", "0x", "K", "4KK", "-4K" };
static const char *const seconds[] = { "0", "0.001", "0.01", "1", "5", "1e9", "nan", "inf", "-1",
	"0.0000001", "x" };
static const char *const devices[] = { "0", "0", "0", "0", "1", "1", "1", "2", "0:0", "0:1",
	"1:65535", "1:65536", "dma_skeleton0", "dma_cbdma0", "dma_skeleton0:0", "63", "64", "-1",
	"65536", "none" };
static const char *const names[] = { "a", "a", "a", "b", "b", "b", "b", "c", "d", "e.f", "zz", "1x", "a+b",
	"a_long_name_of_a_buffer", "a_very_long_name_of_a_buffer" };
static const char *const files[] = { "f", "g", "h.csv", "p.svg", "p.png", "nosuch", ".", ".." };
static const char *const words[] = { "0xab", "0x0123456789abcdef", "count", "random", "0", "all",
	"dma_skeleton1", "dma_skeleton2", "dma_cbdma1", "dma_cbdma2,step=1", "dma_cbdma3,inject=x",
	"dma_none0", "0000:99:00.0", "equal", "status", "errors", "==", "<", "successful", "copy",
	"show", "submit", "fence", "at=3", "cause=dst", "at=", "=", "cause=", "x" };
static const char *const paths[] = { "/", "/dmadev/list", "/dmadev/info,0", "/cbdma/ring,0",
	"/cbdma/errors,1", "/cbdma/none", "/dmadev/stats,0,0", "x" };

static void
add(const char *word)
{
	strlcat(line, word, sizeof(line));
}

static void
add_range(void)
{
	add(PICK(names));
	if (below(3) == 0) {
		add("+");
		add(PICK(sizes));
	}
	if (below(2) == 0) {
		add(":");
		add(PICK(sizes));
	}
	if (below(8) == 0) {
		add("*");
		add(PICK(numbers));
	}
}

static void
add_list(void)
{
	unsigned int n = 1 + below(4), kind = below(4);

	while (n-- > 0) {
		if (kind == 0)
			add(PICK(sizes));
		else if (kind == 1)
			add(PICK(numbers));
		else
			add_range();
		if (n > 0)
			add(",");
	}
}

static void add_command(unsigned int depth);

/* A word that fits the type, or is at least not far from it. */
static void
add_typed(const char *type, unsigned int depth)
{
	if (strcmp(type, "NUM") == 0)
		add(PICK(numbers));
	else if (strcmp(type, "SIZE") == 0)
		add(PICK(sizes));
	else if (strcmp(type, "SECONDS") == 0)
		add(PICK(seconds));
	else if (strcmp(type, "DEV") == 0)
		add(PICK(devices));
	else if (strcmp(type, "NAME") == 0 || strcmp(type, "BUF") == 0)
		add(PICK(names));
	else if (strcmp(type, "RANGE") == 0)
		add_range();
	else if (strcmp(type, "LIST") == 0)
		add_list();
	else if (strcmp(type, "FILE") == 0)
		add(PICK(files));
	else if (strcmp(type, "WORD") == 0)
		add(strstr(line, "telemetry") != NULL ? PICK(paths) : PICK(words));
	else if (strcmp(type, "REST") == 0 && depth < 3) {
		const char *quote = below(4) == 0 ? "" : "\"";

		add(quote);
		add_command(depth + 1);
		add(quote);
	} else {
		add(type);
	}
}

/* One of the words of a choice, or the type's. */
static void
add_word(const char *word, unsigned int depth)
{
	char text[LINE_SIZE], *choice, *save = NULL;
	unsigned int i, n = 1;
	const char *p;

	if (isupper((unsigned char)word[0])) {
		add_typed(word, depth);
		return;
	}
	for (p = word; *p != '\0'; p++)
		n += *p == '|';
	strlcpy(text, word, sizeof(text));
	choice = strtok_r(text, "|", &save);
	for (i = below(n); i > 0 && choice != NULL; i--)
		choice = strtok_r(NULL, "|", &save);
	add(choice == NULL ? "" : choice);
}

/* "[key TYPE]", "[key=TYPE]", "[flag]": sometimes there, sometimes with a wrong value. */
static void
add_option(char *text, unsigned int depth)
{
	char *value = strpbrk(text, " =");
	char sign[2] = "";

	if (below(3) != 0)
		return;
	if (isupper((unsigned char)text[0])) {
		add(" ");
		add_word(text, depth);
		return;
	}
	if (value != NULL) {
		sign[0] = *value;
		*value++ = '\0';
	}
	add(" ");
	add(text);
	add(sign);
	if (value != NULL)
		add_word(below(10) == 0 ? "WORD" : value, depth);
}

static void
add_command(unsigned int depth)
{
	const struct command *c = shell_commands;
	char text[LINE_SIZE], *word, *end;
	unsigned int n = 0;
	bool first = true;

	while (c[n].syntax != NULL)
		n++;
	strlcpy(text, c[below(n)].syntax, sizeof(text));
	for (word = text; *word != '\0'; word = end) {
		end = word + strcspn(word, *word == '[' ? "]" : " ");
		if (*end != '\0')
			*end++ = '\0';
		end += strspn(end, " ");
		if (*word == '[') {
			add_option(word + 1, depth);
			continue;
		}
		if (!first)
			add(" ");
		first = false;
		add_word(word, depth);
	}
	if (below(16) == 0 && depth < 3) {
		add(";");
		add_command(depth + 1);
	}
}

/* Damage a line: drop, double, change, insert, cut. */
static void
damage(void)
{
	size_t len = strlen(line), at, n;

	if (len == 0)
		return;
	at = below(len);
	n = RTE_MIN(len - at, 1 + below(8));
	switch (below(6)) {
	case 0:
		memmove(line + at, line + at + n, len - at - n + 1);
		break;
	case 1:
		if (len + n < sizeof(line))
			memmove(line + at + n, line + at, len - at + 1);
		break;
	case 2:
		line[at] = 1 + below(255);
		break;
	case 3:
		line[at] = "\"#;,=+:* \t"[below(10)];
		break;
	case 4:
		line[at] = '\0';
		break;
	default:
		while (len + 1 < sizeof(line))
			line[len++] = 'a' + below(4);
		line[len] = '\0';
	}
}

static void
make_line(void)
{
	char *p;

	line[0] = '\0';
	add_command(0);
	while (below(4) == 0)
		damage();
	if (strncmp(line, "show telemetry ", 15) != 0 || strchr(line, ';') != NULL)
		for (p = line; *p != '\0'; p++)
			if (*p == '/')
				*p = '_';
}

/* What Tab and ? do with the beginning of a line. */
static void
complete_line(void)
{
	char choice[BUFSIZ];
	int start, state;

	line[below(strlen(line) + 1)] = '\0';
	for (start = -1; start <= 0; start++) {
		state = start;
		while (grammar_complete(line, choice, sizeof(choice), &state) == 1)
			;
	}
}

static void
on_alarm(int signal_number __rte_unused)
{
	shell.interrupted = 1;
}

static void
on_death(void)
{
	dprintf(STDERR_FILENO, "line %" PRIu64 ": <%s>\nreplay: --seed %" PRIu64 " --lines %" PRIu64
		"\n", number, line, seed, number + 1);
}

static int
remove_one(const char *path, const struct stat *st __rte_unused, int type __rte_unused,
	struct FTW *ftw __rte_unused)
{
	return remove(path);
}

/* Now and then back to a state in which most commands can be good ones. */
static void
recover(void)
{
	static const char *const good[] = { "stop workers", "attach dma_skeleton0", "attach dma_cbdma0",
		"stop device 0", "set device 0 ring 1024", "set device 0 silent off", "start device 0",
		"stop device 1", "set device 1 ring 64", "set device 1 silent off", "start device 1",
		"free all", "alloc a 64K", "alloc b 1M pattern random", "alloc c 100",
		"inject device 1 none", "reset device 1", "clear worker 1" };
	unsigned int i;

	for (i = 0; i < RTE_DIM(good); i++) {
		shell.interrupted = 0;
		shell_run_line(good[i]);
	}
}

static void
run_lines(void)
{
	const struct itimerval timer = {
		.it_interval.tv_usec = PATIENCE_USEC,
		.it_value.tv_usec = PATIENCE_USEC,
	};
	uint64_t failed = 0, interrupted = 0;
	int ret;

	for (number = 0; number < lines; number++) {
		if (number % 64 == 0)
			recover();
		make_line();
		if (getenv("FUZZ_VERBOSE") != NULL)
			dprintf(STDERR_FILENO, "%" PRIu64 ": <%s>\n", number, line);
		shell.interrupted = 0;
		shell.quit = false;
		shell.json = below(2) == 0;
		setitimer(ITIMER_REAL, &timer, NULL);
		ret = shell_run_line(line);
		interrupted += shell.interrupted != 0;
		failed += ret != 0;
		if (below(8) == 0)
			complete_line();
	}
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	dprintf(STDERR_FILENO, "%" PRIu64 " lines: %" PRIu64 " done, %" PRIu64 " refused, %" PRIu64
		" interrupted\n", lines, lines - failed, failed, interrupted);
	/* Lines that all fail would test nothing but the parser. */
	if (failed == lines || (lines >= 1000 && lines - failed < lines / 20))
		rte_exit(EXIT_FAILURE, "too few lines were good ones\n");
}

static void
parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "lines", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	seed = rte_rdtsc();
	optind = 1;
	while ((c = getopt_long(argc, argv, "n:s:", longs, NULL)) != -1) {
		if (c == 'n')
			lines = strtoull(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			exit(2);
	}
	state = seed;
}

int
main(int argc, char **argv)
{
	char dir[] = "/tmp/dma-shell-fuzz.XXXXXX";
	int n;

	n = rte_eal_init(argc, argv);
	if (n < 0)
		return 2;
	parse_options(argc - n, argv + n);
	dprintf(STDERR_FILENO, "seed %" PRIu64 "\n", seed);
	__sanitizer_set_death_callback(on_death);
	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		return 2;
	/* What the shell says; file descriptor 2 stays for the sanitizers. */
	stdout = stderr = fopen("/dev/null", "w");
	if (stdout == NULL)
		return 2;
	signal(SIGALRM, on_alarm);
	signal(SIGPIPE, SIG_IGN);

	shell.max_seconds = 0.002;
	run_lines();
	shell_fini();
	if (chdir("/") == 0)
		nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	rte_eal_cleanup();
	return 0;
}
