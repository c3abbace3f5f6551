/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Which command of the table a line is, and with what words; which word of a line is wrong; and what
 * may follow the beginning of one. A syntax is walked as it stands in the table, each time anew.
 *
 * librte_cmdline's parser has no optional tokens: a command with n options would have to be n + 1.
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <cmdline_vt100.h>
#include <cmdline_rdline.h>

#include <rte_string_fns.h>

#include "words.h"

#define CHOICES   256 /* of a word, in completion and help */
#define LINE_SIZE 1024 /* of a line that is being typed */

/* How far a line fits a command. */
struct fit {
	struct args args;
	unsigned int words;  /* that fit */
	const char *rest;    /* of the line, behind them */
	struct span at;      /* the first word that does not fit; empty: the line ends there */
	struct span type;    /* what could stand there, if anything */
	const char *options; /* of which those not given could stand there too; NULL: none yet */
	struct span value;   /* the option whose value should stand there; empty: none */
	bool twice;          /* the word is an option that is given already */
};

static struct span
word_next(const char *at)
{
	at += strspn(at, " \t");
	return (struct span){ at, strcspn(at, " \t") };
}

/* The next element of a syntax: a word, or what is between brackets. */
static struct span
element_next(const char **syntax)
{
	const bool brackets = **syntax == '[';
	const char *start = *syntax + brackets;
	struct span e = { start, strcspn(start, brackets ? "]" : " ") };

	*syntax = start + e.len;
	*syntax += strspn(*syntax, "] ");
	return e;
}

/* An option is "key TYPE", "key=TYPE" or "flag". */
static struct span
option_name(struct span o)
{
	return (struct span){ o.start, strcspn(o.start, " =]") };
}

static struct span
option_type(struct span o)
{
	const size_t len = option_name(o).len;

	return len == o.len ? (struct span){ NULL, 0 } :
		(struct span){ o.start + len + 1, o.len - len - 1 };
}

/* The option that a word names, of those that a syntax ends in; empty: none. */
static struct span
option_find(const char *options, struct span word)
{
	struct span o, name;

	while (*options != '\0') {
		o = element_next(&options);
		name = option_name(o);
		if (word.len >= name.len && strncmp(word.start, name.start, name.len) == 0 &&
				(o.start[name.len] == '=' ? word.len > name.len + 1 &&
				word.start[name.len] == '=' : word.len == name.len))
			return o;
	}
	return (struct span){ NULL, 0 };
}

static bool
option_given(const struct args *a, struct span o)
{
	unsigned int i;

	for (i = 0; i < a->nb_options; i++)
		if (a->option[i].name.start == o.start)
			return true;
	return false;
}

/* Take the next word of the line, if it is of a type. */
static const union word *
take(struct fit *f, struct span type)
{
	union word *w = &f->args.w[f->words];

	f->type = type;
	f->at = word_next(f->rest);
	if (f->at.len == 0)
		return NULL;
	if (span_is(type, "REST"))
		f->at.len = strlen(f->at.start);
	if (word_parse(type, f->at, w) != 0)
		return NULL;
	f->rest = f->at.start + f->at.len;
	f->words++;
	f->type.len = 0;
	return w;
}

static bool
take_option(struct fit *f, struct span o)
{
	const struct span name = option_name(o), type = option_type(o);
	const union word *w = &f->args.w[f->words];
	struct span value;

	if (o.start[name.len] == '=') {
		value = (struct span){ f->at.start + name.len + 1, f->at.len - name.len - 1 };
		if (word_parse(type, value, &f->args.w[f->words]) != 0)
			return false;
	}
	f->rest = f->at.start + f->at.len;
	f->words++;
	if (o.start[name.len] == ' ') {
		f->value = name;
		w = take(f, type);
		if (w == NULL)
			return false;
		f->value.len = 0;
	}
	f->args.option[f->args.nb_options].name = name;
	f->args.option[f->args.nb_options++].value = w;
	return true;
}

/* Whether a line is a command, from its first word to its last. */
static bool
fit(const struct command *c, const char *line, struct fit *f)
{
	const char *syntax = c->syntax;
	struct span o;

	f->args.optional = NULL;
	f->args.nb_options = 0;
	f->words = 0;
	f->rest = line;
	f->options = NULL;
	f->value.len = 0;
	f->twice = false;
	while (*syntax != '\0' && *syntax != '[')
		if (take(f, element_next(&syntax)) == NULL)
			return false;
	f->options = syntax;
	if (*syntax == '[' && isupper((unsigned char)syntax[1])) {
		o = element_next(&syntax);
		f->options = syntax;
		f->args.optional = take(f, o);
	}
	for (f->at = word_next(f->rest); f->at.len > 0; f->at = word_next(f->rest)) {
		o = option_find(f->options, f->at);
		f->twice = o.len > 0 && option_given(&f->args, o);
		if (o.len == 0 || f->twice || !take_option(f, o))
			return false;
		f->type.len = 0;
	}
	return true;
}

/* Add what could stand where a line does not fit to a text, once. */
static void
expects(const struct fit *f, char *text, size_t size)
{
	const char *options = f->value.len > 0 || f->options == NULL ? "" : f->options;
	char one[512] = "", value[128];
	struct span o;

	if (f->type.len > 0)
		word_expects(f->type, true, one, sizeof(one));
	while (*options != '\0') {
		o = element_next(&options);
		if (option_given(&f->args, o))
			continue;
		strlcat(one, one[0] != '\0' ? " or " : "", sizeof(one));
		strlcpy(value, o.start, RTE_MIN(sizeof(value), option_name(o).len + 2));
		value[strcspn(value, " ]")] = '\0'; /* a "=" stays */
		strlcat(one, value, sizeof(one));
		if (strchr(value, '=') == NULL)
			continue;
		word_expects(option_type(o), true, value, sizeof(value));
		strlcat(one, value, sizeof(one));
	}
	if (one[0] == '\0')
		strlcpy(one, "the end of the command", sizeof(one));
	if (strstr(text, one) != NULL)
		return;
	strlcat(text, text[0] != '\0' ? ", " : "", size);
	strlcat(text, one, size);
}

/* Say which word of a line no command takes. */
static int
diagnose(const char *line)
{
	char expected[512] = "";
	struct span bad = word_next(line), value = { NULL, 0 };
	const struct command *c;
	unsigned int most = 0;
	struct fit f;

	for (c = shell_commands; c->syntax != NULL; c++) {
		fit(c, line, &f);
		if (f.twice)
			return shell_error(-EINVAL, "option '%.*s' is given twice", (int)f.at.len,
				f.at.start);
		if (f.words < most || f.words == 0)
			continue;
		if (f.words > most)
			expected[0] = '\0';
		most = f.words;
		bad = f.at;
		value = f.value;
		expects(&f, expected, sizeof(expected));
	}
	if (most == 0)
		return shell_error(-EINVAL, "unknown command '%.*s': try 'help'", (int)bad.len,
			bad.start);
	if (bad.len == 0)
		return shell_error(-EINVAL, "the command is not complete after '%s': expected %s",
			line, expected);
	return shell_error(-EINVAL, "bad word '%.*s'%s%.*s%s: expected %s", (int)bad.len, bad.start,
		value.len > 0 ? " for '" : "", (int)value.len, value.len > 0 ? value.start : "",
		value.len > 0 ? "'" : "", expected);
}

int
grammar_run(const char *line)
{
	const struct command *c;
	struct fit f;
	size_t i;

	for (i = 0; line[i] != '\0'; i++)
		if (iscntrl((unsigned char)line[i]) && line[i] != '\t')
			return shell_error(-EINVAL, "a command cannot hold the control character 0x%02x",
				(unsigned char)line[i]);
	if (word_next(line).len == 0)
		return 0;
	for (c = shell_commands; c->syntax != NULL; c++)
		if (fit(c, line, &f))
			return c->run(&f.args);
	return diagnose(line);
}

/* What the last word of a line may become, or, for help, what may stand there. */
static struct {
	char text[SHELL_WORD_SIZE];
	const char *help;
} choices[CHOICES];
static unsigned int nb_choices;

static void
add_choice(const char *text, const char *partial, const char *help)
{
	unsigned int i;

	if (text[0] == '\0' || strncmp(text, partial, strlen(partial)) != 0 || nb_choices == CHOICES)
		return;
	for (i = 0; i < nb_choices; i++) {
		if (strcmp(choices[i].text, text) == 0)
			return;
		/* A purpose is told once. */
		if (choices[i].help == help)
			help = NULL;
	}
	strlcpy(choices[nb_choices].text, text, sizeof(choices[0].text));
	choices[nb_choices++].help = help;
}

/* Words of a type, behind the name of an option of one word. For help, a type says what it is. */
static void
add_type(struct span name, struct span type, const char *partial, const char *help)
{
	char text[2 * SHELL_WORD_SIZE], *word = text;
	const size_t size = SHELL_WORD_SIZE;
	int i;

	if (name.len > 0)
		word += snprintf(text, size, "%.*s=", (int)name.len, name.start);
	if (help != NULL && isupper((unsigned char)type.start[0])) {
		word_expects(type, false, word, size);
		add_choice(text, "", help);
		return;
	}
	for (i = 0; word_choice(type, partial, i, word, size) >= 0; i++)
		add_choice(text, partial, help);
	/* The name at least. */
	*word = '\0';
	if (i == 0)
		add_choice(text, partial, help);
}

static void
collect_choices(const char *buf, const char **partial, bool help)
{
	char line[LINE_SIZE], text[SHELL_WORD_SIZE];
	const char *options, *last = buf + strlen(buf), *purpose;
	const struct command *c;
	struct span o, name;
	struct fit f;
	bool whole;

	nb_choices = 0;
	while (last > buf && strchr(" \t", last[-1]) == NULL)
		last--;
	*partial = last;
	if (strlcpy(line, buf, sizeof(line)) >= sizeof(line))
		return;
	line[last - buf] = '\0';
	for (c = shell_commands; c->syntax != NULL; c++) {
		whole = fit(c, line, &f);
		if (f.at.len > 0)
			continue; /* an earlier word does not fit */
		purpose = help ? c->help : NULL;
		if (f.type.len > 0)
			add_type((struct span){ NULL, 0 }, f.type, last, purpose);
		options = f.value.len > 0 || f.options == NULL ? "" : f.options;
		while (*options != '\0') {
			o = element_next(&options);
			name = option_name(o);
			strlcpy(text, o.start, RTE_MIN(sizeof(text), name.len + 1));
			if (option_given(&f.args, o))
				continue;
			if (o.start[name.len] == '=')
				add_type(name, option_type(o), last, purpose);
			else
				add_choice(text, last, purpose);
		}
		if (whole && help && *last == '\0')
			add_choice("[RETURN]", "", purpose);
	}
}

/* Tab: what is common to all choices. */
static int
complete_common(const char *partial, char *dst, unsigned int size)
{
	const char *first = choices[0].text;
	size_t len = strlen(first), typed = strlen(partial), n;
	unsigned int i;

	for (i = 1; i < nb_choices; i++) {
		for (n = 0; n < len && choices[i].text[n] == first[n]; n++)
			;
		len = n;
	}
	if (len == typed && nb_choices > 1)
		return 0;
	strlcpy(dst, first + typed, RTE_MIN((size_t)size, len - typed + 1));
	if (nb_choices == 1 && strchr("/=", first[len - 1]) == NULL)
		strlcat(dst, " ", size);
	return RDLINE_RES_COMPLETE;
}

int
grammar_complete(const char *buf, char *dst, unsigned int size, int *state)
{
	const char *partial, *help;

	/* What the line editor begins with: 0 for Tab, -1 for "?". */
	if (*state <= 0) {
		collect_choices(buf, &partial, *state < 0);
		if (nb_choices == 0)
			return 0;
		if (*state == 0 && complete_common(partial, dst, size) != 0)
			return RDLINE_RES_COMPLETE;
		*state = 0;
	}
	if (*state >= (int)nb_choices)
		return 0;
	help = choices[*state].help;
	snprintf(dst, size, "%s%s%s", choices[*state].text, help != NULL ? ": " : "",
		help != NULL ? help : "");
	++*state;
	return 1;
}

const union word *
option(const struct args *a, const char *name)
{
	unsigned int i;

	for (i = 0; i < a->nb_options; i++)
		if (span_is(a->option[i].name, name))
			return a->option[i].value;
	return NULL;
}

uint64_t
option_num(const struct args *a, const char *name, uint64_t otherwise)
{
	const union word *w = option(a, name);

	return w == NULL ? otherwise : w->num;
}

double
option_real(const struct args *a, const char *name, double otherwise)
{
	const union word *w = option(a, name);

	return w == NULL ? otherwise : w->real;
}

const char *
option_str(const struct args *a, const char *name, const char *otherwise)
{
	const union word *w = option(a, name);

	return w == NULL ? otherwise : w->str;
}
