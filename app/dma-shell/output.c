/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Results. A command builds one or several, field by field; here they become text for people or,
 * with --json, one object a line. The last one stays, for "expect".
 */

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_string_fns.h>

#include "shell.h"

#define FIELDS 48

enum field_kind { FIELD_NUMBER, FIELD_HEX, FIELD_STRING, FIELD_TEXT, FIELD_JSON };

struct field {
	enum field_kind kind;
	char key[32];
	char value[160];
	char *text; /* FIELD_TEXT, FIELD_JSON */
};

static struct {
	char what[32];
	struct field field[FIELDS];
	unsigned int n;
	unsigned int number_width, string_width; /* of columns, at least */
} result;

/* The table that the last row belonged to; a row of another one prints a header first. */
static char table[32];

bool out_failure_expected;

static void
json_string(const char *s)
{
	putchar('"');
	for (; *s != '\0'; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c == '\n')
			fputs("\\n", stdout);
		else if (c == '\t')
			fputs("\\t", stdout);
		else if (c < 0x20 || c >= 0x7f)
			/* Bytes that are no ASCII come from buffers and file names in an unknown
			 * encoding: as Latin-1 they are always valid.
			 */
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static bool
coloured(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDERR_FILENO) && (no == NULL || no[0] == '\0') && term != NULL &&
		strcmp(term, "dumb") != 0;
}

int
shell_error(int err, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);

	if (shell.json) {
		printf("{\"%s\":", out_failure_expected ? "expected_error" : "error");
		json_string(message);
		puts("}");
	} else if (out_failure_expected) {
		printf("fails as expected: %s\n", message);
	} else {
		/* One stream after the other, so that they do not mix where both are a terminal. */
		fflush(stdout);
		fprintf(stderr, "%serror:%s %s\n", coloured() ? "\033[31m" : "",
			coloured() ? "\033[0m" : "", message);
	}
	fflush(stdout);
	return err;
}

void
shell_note(const char *fmt, ...)
{
	va_list ap;

	if (shell.json)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void
out_command(void)
{
	table[0] = '\0';
}

void
out_begin(const char *what)
{
	while (result.n > 0) {
		result.n--;
		free(result.field[result.n].text);
		result.field[result.n].text = NULL;
	}
	strlcpy(result.what, what, sizeof(result.what));
	out_widths(7, 15);
}

void
out_widths(unsigned int number, unsigned int string)
{
	result.number_width = number;
	result.string_width = string;
}

static struct field *
add(const char *key, enum field_kind kind)
{
	static struct field surplus;
	struct field *f = result.n < FIELDS ? &result.field[result.n++] : &surplus;

	f->kind = kind;
	strlcpy(f->key, key, sizeof(f->key));
	return f;
}

void
out_num(const char *key, uint64_t value)
{
	struct field *f = add(key, FIELD_NUMBER);

	snprintf(f->value, sizeof(f->value), "%" PRIu64, value);
}

void
out_int(const char *key, int64_t value)
{
	struct field *f = add(key, FIELD_NUMBER);

	snprintf(f->value, sizeof(f->value), "%" PRId64, value);
}

void
out_real(const char *key, double value, unsigned int decimals)
{
	struct field *f = add(key, FIELD_NUMBER);

	/* JSON knows no infinity. */
	snprintf(f->value, sizeof(f->value), "%.*f", (int)decimals, isfinite(value) ? value : 0);
}

void
out_hex(const char *key, uint64_t value)
{
	struct field *f = add(key, FIELD_HEX);

	snprintf(f->value, sizeof(f->value), "0x%" PRIx64, value);
}

void
out_cycles(uint64_t cycles)
{
	out_num("cycles", cycles);
	out_real("ns", cycles * 1e9 / rte_get_tsc_hz(), 0);
}

void
out_bool(const char *key, bool value)
{
	struct field *f = add(key, FIELD_NUMBER);

	strlcpy(f->value, value ? "true" : "false", sizeof(f->value));
}

void
out_str(const char *key, const char *fmt, ...)
{
	struct field *f = add(key, FIELD_STRING);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->value, sizeof(f->value), fmt, ap);
	va_end(ap);
}

void
out_text(const char *key, const char *text)
{
	struct field *f = add(key, FIELD_TEXT);

	f->value[0] = '\0';
	f->text = strdup(text);
}

void
out_json(const char *key, const char *json)
{
	struct field *f = add(key, FIELD_JSON);

	f->value[0] = '\0';
	f->text = strdup(json);
}

/* Somebody else's JSON for people: a line for each member, indented, without its punctuation. */
static void
print_json(const char *s)
{
	const char *begin = s;
	int depth = 0;
	bool string = false;

	printf("  ");
	for (; *s != '\0'; s++) {
		if (*s == '"') {
			string = !string;
		} else if (string && *s == '\\' && s[1] != '\0') {
			putchar(*++s);
		} else if (string) {
			putchar(*s);
		} else if (*s == '{' || *s == '[') {
			depth++;
			if (s > begin && s[1] != '}' && s[1] != ']')
				printf("\n%*s", 2 * depth, "");
		} else if (*s == '}' || *s == ']') {
			depth--;
		} else if (*s == ',') {
			printf("\n%*s", 2 * RTE_MAX(depth, 1), "");
		} else if (*s == ':') {
			fputs(": ", stdout);
		} else {
			putchar(*s);
		}
	}
	putchar('\n');
}

static void
print_as_json(void)
{
	const struct field *f;

	fputs("{\"result\":", stdout);
	json_string(result.what);
	for (f = result.field; f < result.field + result.n; f++) {
		putchar(',');
		json_string(f->key);
		putchar(':');
		if (f->kind == FIELD_STRING)
			json_string(f->value);
		else if (f->kind == FIELD_TEXT)
			json_string(f->text == NULL ? "" : f->text);
		else if (f->kind == FIELD_HEX)
			printf("%llu", strtoull(f->value, NULL, 16));
		else
			fputs(f->kind == FIELD_JSON ? f->text : f->value, stdout);
	}
	puts("}");
	fflush(stdout);
}

static void
print_key(const char *key)
{
	for (; *key != '\0'; key++)
		putchar(*key == '_' ? ' ' : *key);
}

static void
print_text(const struct field *f)
{
	if (f->text == NULL)
		return;
	if (f->kind == FIELD_JSON)
		print_json(f->text);
	else
		fputs(f->text, stdout);
}

void
out_line(void)
{
	const struct field *f;

	if (shell.json) {
		print_as_json();
		return;
	}
	printf("%s:", result.what);
	for (f = result.field; f < result.field + result.n; f++) {
		if (f->kind == FIELD_TEXT || f->kind == FIELD_JSON)
			continue;
		fputs(f == result.field ? " " : ", ", stdout);
		print_key(f->key);
		printf(" %s", f->value);
	}
	putchar('\n');
	for (f = result.field; f < result.field + result.n; f++)
		print_text(f);
	fflush(stdout);
}

void
out_list(void)
{
	const struct field *f;

	if (shell.json) {
		print_as_json();
		return;
	}
	for (f = result.field; f < result.field + result.n; f++) {
		if (f->kind == FIELD_TEXT || f->kind == FIELD_JSON) {
			print_text(f);
			continue;
		}
		fputs("  ", stdout);
		print_key(f->key);
		printf(": %s\n", f->value);
	}
	fflush(stdout);
}

void
out_row(void)
{
	const struct field *f;
	bool header = strcmp(table, result.what) != 0;
	int pass;

	if (shell.json) {
		print_as_json();
		return;
	}
	strlcpy(table, result.what, sizeof(table));
	for (pass = header ? 0 : 1; pass < 2; pass++) {
		for (f = result.field; f < result.field + result.n; f++) {
			int width = RTE_MAX(strlen(f->key), f->kind <= FIELD_HEX ?
				result.number_width : result.string_width);

			printf(f->kind <= FIELD_HEX ? " %*s" : " %-*s", width,
				pass == 0 ? f->key : f->value);
		}
		putchar('\n');
	}
	fflush(stdout);
}

const char *
out_last(const char *key)
{
	unsigned int i;

	for (i = 0; i < result.n; i++)
		if (strcmp(result.field[i].key, key) == 0)
			return result.field[i].text != NULL ? result.field[i].text :
				result.field[i].value;
	return NULL;
}

void
out_last_keys(char *dst, size_t size)
{
	unsigned int i;

	dst[0] = '\0';
	for (i = 0; i < result.n; i++) {
		strlcat(dst, i > 0 ? ", " : "", size);
		strlcat(dst, result.field[i].key, size);
	}
}
