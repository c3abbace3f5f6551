/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef GRAMMAR_H
#define GRAMMAR_H

/**
 * @file
 *
 * What grammar.c (tokens, instances) and words.c (types of words) share.
 */

#include <assert.h>

#include <cmdline_parse.h>
#include <cmdline_parse_num.h>
#include <cmdline_parse_string.h>

#include "shell.h"

/** A type of word beyond those that librte_cmdline has. */
struct word_type {
	const char *name;
	const char *help;
	/** 0 when the word is one of this type. */
	int (*parse)(const char *word, size_t len, union word *out);
	/** What completion offers; NULL: nothing. */
	int (*count)(void);
	int (*name_of)(int i, char *dst, unsigned int size);
	bool points; /**< the parsed word points into the line */
};

const struct word_type *word_type_find(const char *name);
/** A line is to be completed: files are looked up by its last word. */
void words_complete_begin(const char *line);

struct definition;

struct token {
	union {
		struct cmdline_token_hdr hdr;
		cmdline_parse_token_string_t string;
		cmdline_parse_token_num_t num;
	};
	const struct word_type *type; /**< of a typed word */
	const struct definition *def; /**< of a flag */
};

/** What an instance of a command takes. */
struct instance {
	const struct definition *def;
	unsigned int nb_options;
	bool optional; /**< the word before them is there */
};

/** What a word must be to match, for messages. */
void token_expects(const struct token *token, char *dst, size_t size);

#endif /* GRAMMAR_H */
