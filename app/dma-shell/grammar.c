/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Turns the table of commands into what librte_cmdline works on, instances made of tokens, and
 * says which word of a line is wrong. Parsing, completion and help are the library's.
 *
 * The library has no optional tokens: a command with n options becomes n + 1 instances, which
 * share the required tokens and differ in how many options follow; twice as many where a word before
 * them may be left out.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmdline.h>
#include <cmdline_parse.h>
#include <cmdline_parse_num.h>
#include <cmdline_parse_string.h>

#include <rte_string_fns.h>

#include "grammar.h"

#define SYNTAX_SIZE 512
#define REST_OFFSET_MAX (CMDLINE_PARSE_RESULT_BUFSIZE - STR_MULTI_TOKEN_SIZE)

static_assert(SHELL_WORD_SIZE == STR_TOKEN_SIZE, "string tokens fill a word");
static_assert(sizeof(union word) == SHELL_WORD_SIZE, "words lie one after the other");
static_assert(SHELL_WORDS * sizeof(union word) <= REST_OFFSET_MAX, "the library's result buffer");

struct option_def {
	const char *name;
	struct token *value; /* NULL: a flag */
};

/* One command, parsed from its syntax. */
struct definition {
	const struct command *command;
	char text[SYNTAX_SIZE]; /* the syntax, cut into words */
	struct token *required[SHELL_WORDS];
	unsigned int nb_required;
	struct token *optional; /* after the required ones; NULL: none */
	bool rest;
	bool pairs; /* options are "key value", else one word each */
	struct option_def option[SHELL_OPTIONS];
	const char *option_name[SHELL_OPTIONS];
	unsigned int nb_options;
	char choices[SYNTAX_SIZE]; /* of option names, as a string token wants them */
};

static struct definition *definitions;
static unsigned int nb_definitions;
static cmdline_parse_inst_t **instances;
static unsigned int nb_instances;
/* Everything allocated here, to be freed at the end. */
static void **allocated;
static unsigned int nb_allocated;
static struct cmdline *cmdline;
static int run_status;
/* Hashes of what a completion has offered. */
static uint32_t seen[512];
static unsigned int nb_seen;

static void *
keep(size_t size)
{
	void **more = realloc(allocated, (nb_allocated + 1) * sizeof(*more));
	void *p = calloc(1, size);

	if (more != NULL)
		allocated = more;
	if (more == NULL || p == NULL)
		rte_exit(EXIT_FAILURE, "out of memory for the grammar\n");
	allocated[nb_allocated++] = p;
	return p;
}

static bool
at_end(const char *buf)
{
	return strchr("#\r\n", *buf) != NULL; /* or NUL, which strchr() finds too */
}

static size_t
word_length(const char *buf)
{
	size_t len = 0;

	while (!cmdline_isendoftoken(buf[len]))
		len++;
	return len;
}

/* Token operations of our own word types; res is NULL when the library only looks. */
static int
typed_parse(cmdline_parse_token_hdr_t *hdr, const char *buf, void *res, unsigned int size)
{
	const struct token *token = (const struct token *)hdr;
	size_t len = word_length(buf);
	union word word;

	if (len == 0 || (res != NULL && size < sizeof(word)))
		return -1;
	memset(&word, 0, sizeof(word));
	if (token->type->parse(buf, len, &word) != 0)
		return -1;
	if (res != NULL)
		memcpy(res, &word, sizeof(word));
	return len;
}

static int
typed_complete_nb(cmdline_parse_token_hdr_t *hdr)
{
	const struct token *token = (const struct token *)hdr;

	return token->type->count == NULL ? 0 : token->type->count();
}

static int
typed_complete_elt(cmdline_parse_token_hdr_t *hdr, int i, char *dst, unsigned int size)
{
	const struct token *token = (const struct token *)hdr;

	return token->type->name_of(i, dst, size);
}

static int
typed_help(cmdline_parse_token_hdr_t *hdr, char *dst, unsigned int size)
{
	const struct token *token = (const struct token *)hdr;

	strlcpy(dst, token->type->help, size);
	return 0;
}

static struct cmdline_token_ops typed_ops = {
	.parse = typed_parse,
	.complete_get_nb = typed_complete_nb,
	.complete_get_elt = typed_complete_elt,
	.get_help = typed_help,
};

/* A flag: a word as it stands, or "key=" and a value. Which one it was, the dispatcher finds. */
static const struct option_def *
flag_find(const struct definition *def, const char *word, size_t len)
{
	unsigned int i;
	size_t key;

	for (i = 0; i < def->nb_options; i++) {
		key = strlen(def->option[i].name);
		if (def->option[i].value == NULL ? len == key : len > key + 1 && word[key] == '=')
			if (strncmp(word, def->option[i].name, key) == 0)
				return &def->option[i];
	}
	return NULL;
}

static int
flag_parse(cmdline_parse_token_hdr_t *hdr, const char *buf, void *res, unsigned int size)
{
	const struct token *token = (const struct token *)hdr;
	const struct option_def *flag;
	size_t len = word_length(buf);
	const char *value;

	flag = flag_find(token->def, buf, len);
	if (flag == NULL || len >= SHELL_WORD_SIZE || (res != NULL && size < SHELL_WORD_SIZE))
		return -1;
	if (flag->value != NULL) {
		value = buf + strlen(flag->name) + 1;
		if (flag->value->hdr.ops->parse(&flag->value->hdr, value, NULL, 0) < 0)
			return -1;
	}
	if (res != NULL)
		strlcpy(res, buf, len + 1);
	return len;
}

/* A flag's choices, "cause=src" ...; one, "at=", where a value has none. */
static int
flag_choice(const struct option_def *flag, int i, char *dst, unsigned int size)
{
	char value[64] = "";
	cmdline_parse_token_hdr_t *hdr = flag->value == NULL ? NULL : &flag->value->hdr;

	if (hdr != NULL && hdr->ops == &cmdline_token_string_ops &&
			hdr->ops->complete_get_elt(hdr, i, value, sizeof(value)) != 0)
		return -1;
	if (value[0] == '\0' && i > 0)
		return -1;
	snprintf(dst, size, "%s%s%s", flag->name, hdr == NULL ? "" : "=", value);
	return 0;
}

static int
flag_complete_elt(cmdline_parse_token_hdr_t *hdr, int i, char *dst, unsigned int size)
{
	const struct definition *def = ((const struct token *)hdr)->def;
	unsigned int j;
	int k;

	for (j = 0; j < def->nb_options; j++)
		for (k = 0; flag_choice(&def->option[j], k, dst, size) == 0; k++)
			if (i-- == 0)
				return 0;
	return -1;
}

static int
flag_complete_nb(cmdline_parse_token_hdr_t *hdr)
{
	char text[128];
	int n = 0;

	while (flag_complete_elt(hdr, n, text, sizeof(text)) == 0)
		n++;
	return n;
}

static int
flag_help(cmdline_parse_token_hdr_t *hdr, char *dst, unsigned int size)
{
	const struct definition *def = ((const struct token *)hdr)->def;
	unsigned int i;
	char value[96];

	dst[0] = '\0';
	for (i = 0; i < def->nb_options; i++) {
		strlcat(dst, i > 0 ? " or " : "", size);
		strlcat(dst, def->option[i].name, size);
		if (def->option[i].value == NULL)
			continue;
		token_expects(def->option[i].value, value, sizeof(value));
		strlcat(dst, "=", size);
		strlcat(dst, value, size);
	}
	return 0;
}

static struct cmdline_token_ops flag_ops = {
	.parse = flag_parse,
	.complete_get_nb = flag_complete_nb,
	.complete_get_elt = flag_complete_elt,
	.get_help = flag_help,
};

static struct token *
token_new(struct cmdline_token_ops *ops, unsigned int position)
{
	struct token *token = keep(sizeof(*token));

	token->hdr.ops = ops;
	token->hdr.offset = position * sizeof(union word);
	return token;
}

static struct token *
token_string(const char *str, unsigned int position)
{
	struct token *token = token_new(&cmdline_token_string_ops, position);

	token->string.string_data.str = str;
	return token;
}

/* The token of a word of a syntax. The word stays where it is and may be changed. */
static struct token *
token_of(char *word, unsigned int position)
{
	struct token *token;
	char *p;

	if (!isupper((unsigned char)word[0])) {
		for (p = word; *p != '\0'; p++)
			if (*p == '|')
				*p = '#';
		return token_string(word, position);
	}
	if (strcmp(word, "WORD") == 0)
		return token_string(NULL, position);
	if (strcmp(word, "REST") == 0)
		return token_string(TOKEN_STRING_MULTI, position);
	if (strcmp(word, "NUM") == 0) {
		token = token_new(&cmdline_token_num_ops, position);
		token->num.num_data.type = RTE_UINT64;
		return token;
	}
	token = token_new(&typed_ops, position);
	token->type = word_type_find(word);
	if (token->type == NULL)
		rte_exit(EXIT_FAILURE, "no word type %s\n", word);
	return token;
}

/* An option "key TYPE", "key=TYPE" or "flag", its brackets cut off already. */
static void
define_option(struct definition *def, char *name)
{
	struct option_def *opt = &def->option[def->nb_options];
	char *value = strpbrk(name, " =");

	if (def->nb_options == SHELL_OPTIONS)
		rte_exit(EXIT_FAILURE, "too many options: %s\n", def->command->syntax);
	opt->name = name;
	def->option_name[def->nb_options] = name;
	if (value != NULL) {
		def->pairs = *value == ' ';
		*value++ = '\0';
		opt->value = token_of(value, 0);
	}
	snprintf(def->choices + strlen(def->choices), sizeof(def->choices) - strlen(def->choices),
		"%s%s", def->nb_options > 0 ? "#" : "", name);
	def->nb_options++;
}

static void
define(struct definition *def, const struct command *command)
{
	char *word, *end;

	def->command = command;
	strlcpy(def->text, command->syntax, sizeof(def->text));
	for (word = def->text; *word != '\0'; word = end) {
		end = word + strcspn(word, *word == '[' ? "]" : " ");
		if (*end != '\0')
			*end++ = '\0';
		end += strspn(end, " ");
		if (*word == '[' && isupper((unsigned char)word[1])) {
			def->optional = token_of(word + 1, def->nb_required);
			continue;
		}
		if (*word == '[') {
			define_option(def, word + 1);
			continue;
		}
		def->rest |= strcmp(word, "REST") == 0;
		def->required[def->nb_required] = token_of(word, def->nb_required);
		def->nb_required++;
	}
}

static int
option_store(const struct definition *def, struct args *a, const char *name, size_t len,
	const char *value)
{
	char text[SHELL_WORD_SIZE + 2], help[256];
	const struct token *token;
	unsigned int i;

	for (i = 0; i < def->nb_options; i++)
		if (strlen(def->option[i].name) == len &&
				strncmp(def->option[i].name, name, len) == 0)
			break;
	if (i == def->nb_options)
		return shell_error(-EINVAL, "no option '%.*s'", (int)len, name);
	if (a->option[i] != NULL)
		return shell_error(-EINVAL, "option '%s' is given twice", def->option[i].name);
	a->option[i] = &a->option_values[i];
	token = def->option[i].value;
	if (token == NULL)
		return 0;
	snprintf(text, sizeof(text), "%s\n", value);
	if (token->hdr.ops->parse((cmdline_parse_token_hdr_t *)(uintptr_t)&token->hdr, text,
			&a->option_values[i], sizeof(union word)) == (int)strlen(value)) {
		/* A list points to its text, which must be the one that stays. */
		if (token->type != NULL && token->type->points)
			a->option_values[i].text.start = value;
		return 0;
	}
	token_expects(token, help, sizeof(help));
	return shell_error(-EINVAL, "bad word '%s' for '%s': expected %s", value,
		def->option[i].name, help);
}

/* What the library calls with the words of a line. */
static void
dispatch(void *parsed, struct cmdline *cl __rte_unused, void *data)
{
	const struct instance *inst = data;
	const struct definition *def = inst->def;
	const union word *w = parsed;
	struct args a = {
		.w = w,
		.option_names = def->option_name,
		.nb_options = def->nb_options,
	};
	unsigned int i, at = def->nb_required;
	const char *equals;
	int ret = 0;

	if (inst->optional)
		a.optional = &w[at++];

	if (def->rest)
		a.rest = w[def->nb_required - 1].str;
	for (i = 0; i < inst->nb_options && ret == 0; i++) {
		if (def->pairs) {
			ret = option_store(def, &a, w[at].str, strlen(w[at].str), w[at + 1].str);
			at += 2;
			continue;
		}
		equals = strchr(w[at].str, '=');
		ret = option_store(def, &a, w[at].str,
			equals == NULL ? strlen(w[at].str) : (size_t)(equals - w[at].str),
			equals == NULL ? "" : equals + 1);
		at++;
	}
	if (ret == 0)
		ret = def->command->run(&a);
	run_status = ret;
}

static void
instantiate(struct definition *def, bool optional, unsigned int nb_options)
{
	unsigned int i, n = 0, per_option = def->pairs ? 2 : 1;
	unsigned int words = def->nb_required + optional + nb_options * per_option;
	cmdline_parse_inst_t *inst;
	struct instance *data;
	struct token *token;

	/* Nobody gives all options of a command with that many. */
	if (words > SHELL_WORDS)
		return;
	inst = keep(sizeof(*inst) + (words + 1) * sizeof(inst->tokens[0]));
	data = keep(sizeof(*data));
	data->def = def;
	data->optional = optional;
	data->nb_options = nb_options;
	inst->f = dispatch;
	inst->data = data;
	inst->help_str = def->command->help;
	for (i = 0; i < def->nb_required; i++)
		inst->tokens[n++] = &def->required[i]->hdr;
	if (optional)
		inst->tokens[n++] = &def->optional->hdr;
	while (n < words) {
		if (def->pairs) {
			inst->tokens[n] = &token_string(def->choices, n)->hdr;
			inst->tokens[n + 1] = &token_string(NULL, n + 1)->hdr;
			n += 2;
			continue;
		}
		token = token_new(&flag_ops, n);
		token->def = def;
		inst->tokens[n++] = &token->hdr;
	}
	instances[nb_instances++] = inst;
}

int
grammar_init(void)
{
	unsigned int i, j, total = 0;

	while (shell_commands[nb_definitions].syntax != NULL)
		nb_definitions++;
	definitions = keep(nb_definitions * sizeof(*definitions));
	for (i = 0; i < nb_definitions; i++) {
		define(&definitions[i], &shell_commands[i]);
		total += 2 * (definitions[i].nb_options + 1);
	}
	instances = keep((total + 1) * sizeof(*instances));
	for (i = 0; i < nb_definitions; i++)
		for (j = 0; j <= definitions[i].nb_options; j++) {
			instantiate(&definitions[i], false, j);
			if (definitions[i].optional != NULL)
				instantiate(&definitions[i], true, j);
		}

	/* The library's part that only parses: it never reads, writes or prompts by itself. */
	cmdline = cmdline_new(instances, "", -1, -1);
	return cmdline == NULL ? -ENOMEM : 0;
}

void
grammar_fini(void)
{
	cmdline_free(cmdline);
	cmdline = NULL;
	while (nb_allocated > 0)
		free(allocated[--nb_allocated]);
	free(allocated);
	allocated = NULL;
	nb_definitions = 0;
	nb_instances = 0;
}

/* How many words of a line an instance takes; *where is the first one that it does not. */
static unsigned int
match_words(const cmdline_parse_inst_t *inst, const char *line, const char **where)
{
	unsigned int i;
	int n;

	*where = line + strspn(line, " \t");
	for (i = 0; inst->tokens[i] != NULL && !at_end(*where); i++) {
		n = inst->tokens[i]->ops->parse(inst->tokens[i], *where, NULL,
			CMDLINE_PARSE_RESULT_BUFSIZE);
		if (n < 0)
			break;
		*where += n;
		*where += strspn(*where, " \t");
	}
	return i;
}

/* The library says only that something is wrong. Find the word that no instance takes. */
static int
diagnose(const char *line)
{
	unsigned int i, n, most = 0;
	const char *where, *bad = line;
	char expected[512] = "", one[256];

	for (i = 0; i < nb_instances; i++) {
		n = match_words(instances[i], line, &where);
		if (n < most || n == 0)
			continue;
		if (n > most)
			expected[0] = '\0';
		most = n;
		bad = where;
		if (instances[i]->tokens[n] == NULL)
			strlcpy(one, "the end of the command", sizeof(one));
		else
			token_expects((const struct token *)instances[i]->tokens[n], one,
				sizeof(one));
		if (strstr(expected, one) != NULL)
			continue;
		if (expected[0] != '\0')
			strlcat(expected, ", ", sizeof(expected));
		strlcat(expected, one, sizeof(expected));
	}
	if (most == 0) {
		bad += strspn(bad, " \t");
		return shell_error(-EINVAL, "unknown command '%.*s': try 'help'",
			(int)word_length(bad), bad);
	}
	if (at_end(bad))
		return shell_error(-EINVAL, "the command is not complete after '%.*s': expected %s",
			(int)strcspn(line, "#\r\n"), line, expected);
	return shell_error(-EINVAL, "bad word '%.*s': expected %s", (int)word_length(bad), bad,
		expected);
}

int
grammar_run(const char *line)
{
	char text[STR_MULTI_TOKEN_SIZE];
	size_t i, len = strlen(line);
	int ret;

	/* The library stops at a newline, and takes a line without one for an unfinished one. */
	if (len + 2 > sizeof(text))
		return shell_error(-E2BIG, "a command of %zu characters is too long", len);
	for (i = 0; i < len; i++)
		if (iscntrl((unsigned char)line[i]) && line[i] != '\t')
			return shell_error(-EINVAL, "a command cannot hold the control character 0x%02x",
				(unsigned char)line[i]);
	memcpy(text, line, len);
	strcpy(text + len, "\n");

	run_status = 0;
	ret = cmdline_parse(cmdline, text);
	if (ret == CMDLINE_PARSE_AMBIGUOUS)
		return shell_error(-EINVAL, "'%s' has more than one meaning", line);
	if (ret < 0)
		return diagnose(text);
	return run_status;
}

/* Whether a text came up since the beginning of this completion. */
static bool
seen_before(const char *text)
{
	uint32_t hash = 2166136261; /* FNV-1a */
	unsigned int i;

	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619;
	for (i = 0; i < nb_seen; i++)
		if (seen[i] == hash)
			return true;
	if (nb_seen < RTE_DIM(seen))
		seen[nb_seen++] = hash;
	return false;
}

/* " sizes [Mul-choice STRING]: what it is for": without what says nothing, the purpose once. */
static void
shorten(char *line)
{
	static const char *const kinds[] = { " [Mul-choice STRING]", " [Fixed STRING]" };
	char *at, *help;
	unsigned int i;

	for (i = 0; i < RTE_DIM(kinds); i++) {
		at = strstr(line, kinds[i]);
		if (at != NULL)
			memmove(at, at + strlen(kinds[i]), strlen(at + strlen(kinds[i])) + 1);
	}
	help = strstr(line, ": ");
	if (help != NULL && seen_before(help))
		*help = '\0';
}

/* The library offers the same once for each instance that takes it. */
int
grammar_complete(const char *buf, char *dst, unsigned int size, int *state)
{
	int ret;

	if (*state <= 0) {
		nb_seen = 0;
		words_complete_begin(buf);
	}
	do {
		ret = cmdline_complete(cmdline, buf, state, dst, size);
		if (ret != 1)
			return ret;
	} while (seen_before(dst));
	shorten(dst);
	return ret;
}

const union word *
option(const struct args *a, const char *name)
{
	unsigned int i;

	for (i = 0; i < a->nb_options; i++)
		if (strcmp(a->option_names[i], name) == 0)
			return a->option[i];
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
