/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Its variants for instruction sets are its own; a copier only ever takes the best. */
#include "dm_copy.c"

#define GUARD 128
#define LONG  70000

static uint8_t source[LONG + 2 * GUARD];
static uint8_t got[LONG + 2 * GUARD];
static uint8_t expected[LONG + 2 * GUARD];

struct variant {
	dm_copy_fn fn;
	bool available;
};

static int
setup(void **state)
{
	struct variant *variant = *state;
	unsigned int i;

	if (!variant->available)
		skip();
	for (i = 0; i < sizeof(source); i++)
		source[i] = (i * 2654435761u) >> 23;
	return 0;
}

/* Lengths from 0 to LONG: all the short ones, then ever fewer. */
static size_t
next_len(size_t len)
{
	return len < 600 ? len + 1 : len + len / 7;
}

/* Run ops, assert that got is expected, the guards included. */
static void
check(const struct variant *variant, const struct dm_op *ops, unsigned int n)
{
	memset(got, 0xee, sizeof(got));
	variant->fn(ops, n);
	assert_memory_equal(got, expected, sizeof(got));
}

static void
test_copy(void **state)
{
	static const uint8_t misalign[] = {0, 1, 8, 31, 63};
	unsigned int s, d;
	size_t len;

	for (len = 0; len <= LONG; len = next_len(len)) {
		for (s = 0; s < sizeof(misalign); s++) {
			for (d = 0; d < sizeof(misalign); d++) {
				struct dm_op op = {.dst = got + GUARD + misalign[d],
					.src = source + misalign[s],
					.len = len};

				memset(expected, 0xee, sizeof(expected));
				memcpy(expected + GUARD + misalign[d], op.src, len);
				check(*state, &op, 1);
			}
		}
	}
}

static void
test_fill(void **state)
{
	const uint64_t pattern = 0x8877665544332211ull;
	unsigned int d;
	size_t len, i;

	for (len = 0; len <= LONG; len = next_len(len)) {
		for (d = 0; d < 64; d += 9) {
			struct dm_op op = {.dst = got + GUARD + d,
				.pattern = pattern,
				.len = len,
				.fill = 1};

			memset(expected, 0xee, sizeof(expected));
			for (i = 0; i < len; i++)
				expected[GUARD + d + i] = pattern >> (i % 8 * 8);
			check(*state, &op, 1);
		}
	}
}

/* Batches of all lengths and mixtures, in order: later ones may depend on earlier ones. */
static void
test_batch(void **state)
{
	static const uint32_t lens[] = {64, 1, 256, 4096, 63, 128, 1500, 65, 20000, 257, 64, 2};
	struct dm_op ops[32];
	unsigned int n, i, shape;
	size_t k;

	for (n = 0; n <= 32; n++) {
		for (shape = 0; shape < 12; shape++) {
			memset(expected, 0xee, sizeof(expected));
			for (i = 0; i < n; i++) {
				size_t at = GUARD + (i * 1723 + shape) % 20000;
				uint32_t len = lens[(i + shape) % 12];
				struct dm_op *op = &ops[i];

				*op = (struct dm_op){.dst = got + at, .len = len};
				op->fill = (i + n) % 5 == 4;
				if (op->fill) {
					op->pattern = 0x0101010101010101ull * i;
					memset(expected + at, i, len);
				} else if (i % 3 == 2) {
					/* What an operation before it has written. */
					op->src = got + GUARD + 45000 + i;
					memcpy(expected + at, expected + GUARD + 45000 + i, len);
				} else {
					op->src = source + i;
					if (i == 1) {
						op->dst = got + GUARD + 45000;
						at = GUARD + 45000;
					}
					for (k = 0; k < len; k++)
						expected[at + k] = source[i + k];
				}
			}
			check(*state, ops, n);
		}
	}
}

/* Run a batch of n copies of len bytes each with a copier, assert that they are right. */
static void
run_copier(struct dm_copier *copier, unsigned int n, uint32_t len)
{
	struct dm_op ops[32] = {0};
	unsigned int i;

	memset(expected, 0xee, sizeof(expected));
	memset(got, 0xee, sizeof(got));
	for (i = 0; i < n; i++) {
		ops[i] = (struct dm_op){
			.dst = got + GUARD + i * len, .src = source + 7 * i, .len = len};
		memcpy(expected + GUARD + i * len, source + 7 * i, len);
	}
	dm_copier_run(copier, ops, n);
	assert_memory_equal(got, expected, sizeof(got));
}

static void
test_copier(void **state)
{
	const unsigned int rounds = (WARM_UP + 2 * TRIAL) / 65536;
	struct dm_copier copier, before;
	unsigned int i, streamed = 0;

	(void)state;
	dm_copier_init(&copier);
	assert_false(copier.stream);
	assert_true(dm_copier_wants_dst(&copier, 4096));
	/* Too little; too short; nothing: does not count. */
	before = copier;
	run_copier(&copier, 1, 2048);
	run_copier(&copier, 32, 256);
	run_copier(&copier, 0, 0);
	assert_int_equal(copier.bytes, before.bytes);
	if (copier.streamed == NULL)
		skip();
	/* Both ways are taken, and do what they should. */
	for (i = 0; i < rounds; i++) {
		run_copier(&copier, 16, 4096);
		assert_int_equal(dm_copier_wants_dst(&copier, DM_STREAM_MIN), !copier.stream);
		assert_true(dm_copier_wants_dst(&copier, DM_STREAM_MIN - 1));
		streamed += copier.stream;
	}
	assert_in_range(streamed, 1, rounds - 1);
}

/* Have a copier believe that a batch of 64 KB took so many cycles. */
static void
learn(struct dm_copier *copier, uint64_t cycles)
{
	if (copier_times(copier))
		copier_learn(copier, 65536, cycles);
	else
		copier->bytes += 65536;
}

/* The better one is chosen, and again when the other has become better. */
static void
test_copier_decides(void **state)
{
	const unsigned int trial = TRIAL / 65536, chunk = CHUNK / 65536;
	struct dm_copier copier;
	unsigned int i, better;

	(void)state;
	dm_copier_init(&copier);
	for (better = 0; better < 3; better++) {
		/* The usual way, until its time is over. */
		while (!copier.trying) {
			assert_int_equal(copier.stream, better == 2);
			/* Now and then the CPU is taken away, last of all in the last chunk. */
			if (copier.bytes % (3 * CHUNK) == 0 || copier.bytes >= PERIOD - CHUNK)
				learn(&copier, 1000000);
			else
				learn(&copier, copier.stream ? 1000 : 1200);
		}
		/* The other one. Its start does not count, be it slow, nor do interruptions. */
		assert_int_equal(copier.stream, better != 2);
		for (i = 0; i < trial; i++) {
			assert_true(copier.trying);
			if (i < chunk || i >= trial - chunk)
				learn(&copier, 1000000);
			else if (i < 2 * chunk)
				learn(&copier, 2000);
			else
				learn(&copier, better == 0 ? 1201 : better == 1 ? 1199 : 999);
		}
		assert_false(copier.trying);
		assert_int_equal(copier.stream, better == 1);
	}
	/* Much slower: given up early. */
	while (!copier.trying)
		learn(&copier, 1000);
	for (i = 0; i < 2 * chunk; i++) {
		assert_true(copier.trying);
		learn(&copier, 2100);
	}
	assert_false(copier.trying);
	assert_false(copier.stream);
	assert_int_equal(copier.bytes, 0);
}

#define VARIANT_TESTS(v)                                                                           \
	{"copy, " #v, test_copy, setup, NULL, &v}, {"fill, " #v, test_fill, setup, NULL, &v},      \
		{"batch, " #v, test_batch, setup, NULL, &v}

int
main(void)
{
	static struct variant generic = {run_ops_generic, true};
#ifdef __x86_64__
	static struct variant avx2 = {run_ops_avx2, false};
	static struct variant avx512 = {run_ops_avx512, false};
	static struct variant streamed = {run_ops_streamed, true};
#endif
	const struct CMUnitTest tests[] = {
		VARIANT_TESTS(generic),
#ifdef __x86_64__
		VARIANT_TESTS(avx2),
		VARIANT_TESTS(avx512),
		VARIANT_TESTS(streamed),
#endif
		cmocka_unit_test(test_copier),
		cmocka_unit_test(test_copier_decides),
	};

#ifdef __x86_64__
	__builtin_cpu_init();
	avx2.available = __builtin_cpu_supports("avx2");
	avx512.available = __builtin_cpu_supports("avx512vl") &&
			__builtin_cpu_supports("avx512bw");
#endif
	return cmocka_run_group_tests_name("dm_copy", tests, NULL, NULL);
}
