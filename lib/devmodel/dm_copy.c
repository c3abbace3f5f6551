/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <stddef.h>

#ifdef __x86_64__
#include <emmintrin.h>
#endif

#include "dm_copy.h"

/* Batches of at least so many bytes count. */
#define COUNTED_BYTES 4096

/* When so many bytes have been copied one way, the other one is tried. */
#define PERIOD (2ull << 30)

/* For so long that the caches forget the way before: right after it, each of the two looks worse than
 * it is.
 */
#define TRIAL (16ull << 20)

/* Timed in pieces, of which the fastest counts: what lost its CPU meanwhile looks worse than it is. */
#define CHUNK (2ull << 20)

/* The first decision comes soon, but not before memory has been through the caches a few times: what
 * comes from memory the first time makes the usual way look worse than it is.
 */
#define WARM_UP (128ull << 20)

/* As much of the usual way is timed before the other one is tried. */
#define TIMED (4 * CHUNK)

/* The C library's memcpy() would do for long copies, but a call and its dispatch on the length cost
 * more than a 64-byte copy itself, and its behaviour is undefined where buffers overlap, which a
 * driver is free to ask for. So: vectors of the compiler, in functions that are built once for each
 * instruction set, with everything inlined into them.
 */
#define ALWAYS_INLINE inline __attribute__((always_inline))

typedef uint8_t vec16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t vec32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint8_t vec64 __attribute__((vector_size(64), aligned(1), may_alias));
typedef uint16_t una16 __attribute__((aligned(1), may_alias));
typedef uint32_t una32 __attribute__((aligned(1), may_alias));
typedef uint64_t una64 __attribute__((aligned(1), may_alias));

/* Copy sizeof(type) to 2 * sizeof(type) bytes: the first and the last of them, which may overlap. */
#define COPY_ENDS(type, dst, src, len)                                                             \
	do {                                                                                       \
		type head_ = *(const type *)(src);                                                 \
		type tail_ = *(const type *)((src) + (len) - sizeof(type));                        \
		*(type *)(dst) = head_;                                                            \
		*(type *)((dst) + (len) - sizeof(type)) = tail_;                                   \
	} while (0)

static ALWAYS_INLINE void
copy_below_64(uint8_t *dst, const uint8_t *src, size_t len)
{
	if (len >= 32)
		COPY_ENDS(vec32, dst, src, len);
	else if (len >= 16)
		COPY_ENDS(vec16, dst, src, len);
	else if (len >= 8)
		COPY_ENDS(una64, dst, src, len);
	else if (len >= 4)
		COPY_ENDS(una32, dst, src, len);
	else if (len >= 2)
		COPY_ENDS(una16, dst, src, len);
	else if (len == 1)
		*dst = *src;
}

static ALWAYS_INLINE void
copy_long(uint8_t *dst, const uint8_t *src, size_t len)
{
	const vec64 tail = *(const vec64 *)(src + len - 64);

	for (; len > 256; dst += 256, src += 256, len -= 256) {
		const vec64 a = *(const vec64 *)src;
		const vec64 b = *(const vec64 *)(src + 64);
		const vec64 c = *(const vec64 *)(src + 128);
		const vec64 d = *(const vec64 *)(src + 192);

		*(vec64 *)dst = a;
		*(vec64 *)(dst + 64) = b;
		*(vec64 *)(dst + 128) = c;
		*(vec64 *)(dst + 192) = d;
	}
	for (; len > 64; dst += 64, src += 64, len -= 64)
		*(vec64 *)dst = *(const vec64 *)src;
	*(vec64 *)(dst + len - 64) = tail;
}

static ALWAYS_INLINE void
copy_one(uint8_t *dst, const uint8_t *src, size_t len)
{
	if (len == 64)
		*(vec64 *)dst = *(const vec64 *)src;
	else if (len < 64)
		copy_below_64(dst, src, len);
	else if (len <= 128)
		COPY_ENDS(vec64, dst, src, len);
	else
		copy_long(dst, src, len);
}

static ALWAYS_INLINE void
fill_one(uint8_t *dst, uint64_t pattern, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)&pattern;
	size_t i;

	for (; len >= 8; dst += 8, len -= 8)
		*(una64 *)dst = pattern;
	for (i = 0; i < len; i++)
		dst[i] = bytes[i];
}

static ALWAYS_INLINE void
run_ops(const struct dm_op *ops, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (ops[i].fill)
			fill_one(ops[i].dst, ops[i].pattern, ops[i].len);
		else
			copy_one(ops[i].dst, ops[i].src, ops[i].len);
	}
}

static void
run_ops_generic(const struct dm_op *ops, unsigned int n)
{
	run_ops(ops, n);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void
run_ops_avx2(const struct dm_op *ops, unsigned int n)
{
	run_ops(ops, n);
}

__attribute__((target("avx512f,avx512bw,avx512vl"))) static void
run_ops_avx512(const struct dm_op *ops, unsigned int n)
{
	run_ops(ops, n);
}

/* Only whole lines are written past the caches. Wider vectors than SSE2's gain nothing here: the
 * stores wait for memory.
 */
static void
stream_one(uint8_t *dst, const uint8_t *src, size_t len)
{
	size_t head = -(uintptr_t)dst % 64;

	copy_below_64(dst, src, head);
	dst += head;
	src += head;
	for (len -= head; len >= 64; dst += 64, src += 64, len -= 64) {
		const __m128i *s = (const __m128i *)src;
		__m128i *d = (__m128i *)dst;
		__m128i a = _mm_loadu_si128(s), b = _mm_loadu_si128(s + 1);
		__m128i c = _mm_loadu_si128(s + 2), e = _mm_loadu_si128(s + 3);

		_mm_stream_si128(d, a);
		_mm_stream_si128(d + 1, b);
		_mm_stream_si128(d + 2, c);
		_mm_stream_si128(d + 3, e);
	}
	copy_below_64(dst, src, len);
}

static void
run_ops_streamed(const struct dm_op *ops, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (ops[i].fill)
			fill_one(ops[i].dst, ops[i].pattern, ops[i].len);
		else if (ops[i].len < DM_STREAM_MIN)
			copy_one(ops[i].dst, ops[i].src, ops[i].len);
		else
			stream_one(ops[i].dst, ops[i].src, ops[i].len);
	}
	/* Such stores are not ordered with the completion word's otherwise. */
	_mm_sfence();
}
#endif

static inline uint64_t
cycles_now(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

void
dm_copier_init(struct dm_copier *copier)
{
	*copier = (struct dm_copier){
		.cached = run_ops_generic,
		.bytes = PERIOD - WARM_UP,
		.least = UINT64_MAX,
	};
#ifdef __x86_64__
	copier->streamed = run_ops_streamed;
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
		copier->cached = run_ops_avx512;
	else if (__builtin_cpu_supports("avx2"))
		copier->cached = run_ops_avx2;
#endif
}

/* Whether what the next batch takes is of interest. */
static inline bool
copier_times(const struct dm_copier *copier)
{
	return copier->trying || copier->bytes >= PERIOD - TIMED;
}

/* Note what a batch took, choose how to run the next one. */
static void
copier_learn(struct dm_copier *copier, uint64_t bytes, uint64_t cycles)
{
	uint64_t cost;

	copier->bytes += bytes;
	copier->chunk_bytes += bytes;
	copier->chunk_cycles += cycles;
	if (copier->chunk_bytes < CHUNK)
		return;
	cost = (copier->chunk_cycles << 16) / copier->chunk_bytes;
	copier->chunk_bytes = copier->chunk_cycles = 0;
	if (cost < copier->least)
		copier->least = cost;
	/* A trial that is neither at its end nor hopeless goes on. */
	if (copier->bytes < (copier->trying ? TRIAL : PERIOD) &&
			(!copier->trying || copier->bytes < 2 * CHUNK ||
					copier->least <= 2 * copier->cost))
		return;
	cost = copier->least;
	copier->least = UINT64_MAX;
	copier->bytes = 0;
	if (!copier->trying)
		copier->cost = cost;
	if (!copier->trying || cost > copier->cost)
		copier->stream = !copier->stream;
	copier->trying = !copier->trying;
}

void
dm_copier_run(struct dm_copier *copier, const struct dm_op *ops, unsigned int n)
{
	dm_copy_fn way = copier->stream ? copier->streamed : copier->cached;
	uint64_t start, bytes = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		bytes += ops[i].len;
	/* Too little to be timed, or too short on average to be streamed. */
	if (bytes < COUNTED_BYTES || bytes < (uint64_t)n * DM_STREAM_MIN ||
			copier->streamed == NULL) {
		copier->cached(ops, n);
	} else if (!copier_times(copier)) {
		way(ops, n);
		copier->bytes += bytes;
	} else {
		start = cycles_now();
		way(ops, n);
		copier_learn(copier, bytes, cycles_now() - start);
	}
}
