/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef WORDS_H
#define WORDS_H

/**
 * @file
 *
 * What words of a command may be. A type is as it stands in a syntax: "on|off" for words that stand
 * for themselves, or the name of a type of words.c.
 */

#include <string.h>

#include "shell.h"

/** 0 when the word is one of the type. */
int word_parse(struct span type, struct span word, union word *out);
/** What a word must be, for messages; with all that there is to choose from where it is known. */
void word_expects(struct span type, bool all, char *dst, size_t size);
/**
 * The i-th word that completion offers for a type, where what was typed of it is partial. Negative
 * when there are no more; "" is one to be left out.
 */
int word_choice(struct span type, const char *partial, int i, char *dst, size_t size);

static inline bool
span_is(struct span s, const char *text)
{
	return strlen(text) == s.len && strncmp(s.start, text, s.len) == 0;
}

#endif /* WORDS_H */
