/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <stddef.h>

#include "dm_copy.h"

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
copy_one(uint8_t *dst, const uint8_t *src, size_t len)
{
	vec64 tail;

	if (len == 64) {
		*(vec64 *)dst = *(const vec64 *)src;
		return;
	}
	if (len < 64) {
		copy_below_64(dst, src, len);
		return;
	}
	if (len <= 128) {
		COPY_ENDS(vec64, dst, src, len);
		return;
	}
	if (len >= 2048) {
		__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(len) : : "memory");
		return;
	}
	tail = *(const vec64 *)(src + len - 64);
	for (; len > 64; dst += 64, src += 64, len -= 64)
		*(vec64 *)dst = *(const vec64 *)src;
	*(vec64 *)(dst + len - 64) = tail;
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
#endif

dm_copy_fn
dm_copy_select(void)
{
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
		return run_ops_avx512;
	if (__builtin_cpu_supports("avx2"))
		return run_ops_avx2;
#endif
	return run_ops_generic;
}
