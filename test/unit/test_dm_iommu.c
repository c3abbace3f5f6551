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

#include "dm_iommu.h"
#include "dm_no_memory.h"

#define RW (DM_READ | DM_WRITE)
#define VA(x) ((void *)(uintptr_t)(x))

static int
setup(void **state)
{
	*state = dm_iommu_create();
	return *state == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	dm_iommu_destroy(*state);
	return 0;
}

/* Assert what is mapped at iova. */
static void
check(struct dm_iommu *iommu, uint64_t iova, uint64_t start, uint64_t end, uintptr_t va,
		uint32_t perm)
{
	const struct dm_iova_range *r = dm_iommu_find(iommu, iova);

	assert_non_null(r);
	assert_int_equal(r->start, start);
	assert_int_equal(r->end, end);
	assert_ptr_equal(r->va, VA(va));
	assert_int_equal(r->perm, perm);
}

static void
test_create(void **state)
{
	(void)state;
	calls_until_failure = 0;
	assert_null(dm_iommu_create());
	assert_int_equal(calls_until_failure, -1);
	dm_iommu_destroy(NULL);
}

static void
test_map_find(void **state)
{
	struct dm_iommu *m = *state;

	assert_null(dm_iommu_find(m, 0));
	assert_int_equal(dm_iommu_map(m, 0x2000, 0x1000, VA(0x10000), DM_READ), 0);
	assert_int_equal(dm_iommu_map(m, 0x4000, 0x2000, VA(0x20000), DM_WRITE), 0);
	assert_int_equal(dm_iommu_map(m, 0x3000, 0x1000, VA(0x50000), RW), 0);
	assert_int_equal(dm_iommu_map(m, 0, 0x1000, VA(0x90000), RW), 0);
	check(m, 0, 0, 0x1000, 0x90000, RW);
	check(m, 0xfff, 0, 0x1000, 0x90000, RW);
	assert_null(dm_iommu_find(m, 0x1000));
	assert_null(dm_iommu_find(m, 0x1fff));
	check(m, 0x2000, 0x2000, 0x3000, 0x10000, DM_READ);
	check(m, 0x2fff, 0x2000, 0x3000, 0x10000, DM_READ);
	check(m, 0x3000, 0x3000, 0x4000, 0x50000, RW);
	check(m, 0x5fff, 0x4000, 0x6000, 0x20000, DM_WRITE);
	assert_null(dm_iommu_find(m, 0x6000));
	assert_null(dm_iommu_find(m, UINT64_MAX));
}

static void
test_map_bad(void **state)
{
	struct dm_iommu *m = *state;
	uint64_t generation = dm_iommu_generation(m);

	assert_int_equal(dm_iommu_map(m, 0x1000, 0, VA(0x1000), RW), -EINVAL);
	assert_int_equal(dm_iommu_map(m, 0x1000, UINT64_MAX, VA(0x1000), RW), -EINVAL);
	assert_int_equal(dm_iommu_map(m, UINT64_MAX - 0xfff, 0x1000, VA(0x1000), RW), -EINVAL);
	assert_int_equal(dm_iommu_map(m, 0x1000, 0x1000, VA(UINTPTR_MAX - 0xfff), RW), -EINVAL);
	assert_int_equal(dm_iommu_map(m, 0x1000, 0x1000, VA(0x1000), 0), -EINVAL);
	assert_int_equal(dm_iommu_map(m, 0x1000, 0x1000, VA(0x1000), 4), -EINVAL);
	assert_int_equal(dm_iommu_map(m, 0x1000, 0x1000, VA(0x1000), RW | 8), -EINVAL);
	assert_int_equal(dm_iommu_map(m, 0x1000, 0x1000, VA(0x1020), RW), -EINVAL);
	assert_int_equal(dm_iommu_generation(m), generation);
	assert_null(dm_iommu_find(m, 0x1000));

	/* An odd start and an odd size are fine as long as both are odd alike. */
	assert_int_equal(dm_iommu_map(m, 0x1023, 0x11, VA(0x5023), RW), 0);
	check(m, 0x1033, 0x1023, 0x1034, 0x5023, RW);
	/* The highest range that there is. */
	assert_int_equal(dm_iommu_map(m, UINT64_MAX - 0x1fff, 0x1fff, VA(0x5000), RW), 0);
	check(m, UINT64_MAX - 1, UINT64_MAX - 0x1fff, UINT64_MAX, 0x5000, RW);
	assert_null(dm_iommu_find(m, UINT64_MAX));
}

static void
test_map_overlap(void **state)
{
	struct dm_iommu *m = *state;
	static const struct {
		uint64_t iova, size;
	} overlaps[] = {
		{0x2000, 0x1000}, /* the same */
		{0x1000, 0x1040}, /* its first bytes */
		{0x2fc0, 0x1000}, /* its last bytes */
		{0x2400, 0x40},	  /* within */
		{0x1000, 0x8000}, /* around */
		{0x1000, 0x3040}, /* over a gap into the next one */
	};
	uint64_t generation;
	size_t i;

	assert_int_equal(dm_iommu_map(m, 0x2000, 0x1000, VA(0x10000), RW), 0);
	assert_int_equal(dm_iommu_map(m, 0x4000, 0x1000, VA(0x20000), RW), 0);
	generation = dm_iommu_generation(m);
	for (i = 0; i < sizeof(overlaps) / sizeof(overlaps[0]); i++)
		assert_int_equal(dm_iommu_map(m, overlaps[i].iova, overlaps[i].size, VA(0x90000), RW),
				-EEXIST);
	assert_int_equal(dm_iommu_generation(m), generation);
	assert_int_equal(dm_iommu_map(m, 0x3000, 0x1000, VA(0x30000), RW), 0);
}

static void
test_map_no_memory(void **state)
{
	struct dm_iommu *m = *state;
	unsigned int i;

	calls_until_failure = 0;
	assert_int_equal(dm_iommu_map(m, 0x2000, 0x1000, VA(0x10000), RW), -ENOMEM);
	assert_null(dm_iommu_find(m, 0x2000));
	assert_int_equal(dm_iommu_generation(m), 0);
	/* It grows as needed. */
	for (i = 0; i < 16; i++)
		assert_int_equal(dm_iommu_map(m, i * 0x2000, 0x1000, VA(0x10000), RW), 0);
	calls_until_failure = 0;
	assert_int_equal(dm_iommu_map(m, i * 0x2000, 0x1000, VA(0x10000), RW), -ENOMEM);
	for (; i < 1000; i++)
		assert_int_equal(dm_iommu_map(m, i * 0x2000, 0x1000, VA(0x10000), RW), 0);
	for (i = 0; i < 1000; i++)
		check(m, i * 0x2000 + 5, i * 0x2000, i * 0x2000 + 0x1000, 0x10000, RW);
}

static void
test_unmap_bad(void **state)
{
	struct dm_iommu *m = *state;
	uint64_t generation;

	assert_int_equal(dm_iommu_unmap(m, 0, UINT64_MAX), -ENOENT);
	assert_int_equal(dm_iommu_map(m, 0x2000, 0x1000, VA(0x10000), RW), 0);
	generation = dm_iommu_generation(m);
	assert_int_equal(dm_iommu_unmap(m, 0x2000, 0), -EINVAL);
	assert_int_equal(dm_iommu_unmap(m, 0x2000, UINT64_MAX), -EINVAL);
	assert_int_equal(dm_iommu_unmap(m, 0x1000, 0x1000), -ENOENT);
	assert_int_equal(dm_iommu_unmap(m, 0x3000, 0x1000), -ENOENT);
	assert_int_equal(dm_iommu_generation(m), generation);
	check(m, 0x2000, 0x2000, 0x3000, 0x10000, RW);
}

static void
test_unmap_cut(void **state)
{
	struct dm_iommu *m = *state;

	/* In two. */
	assert_int_equal(dm_iommu_map(m, 0x10000, 0x10000, VA(0x100000), DM_READ), 0);
	assert_int_equal(dm_iommu_unmap(m, 0x14000, 0x1000), 0);
	check(m, 0x13fff, 0x10000, 0x14000, 0x100000, DM_READ);
	assert_null(dm_iommu_find(m, 0x14000));
	assert_null(dm_iommu_find(m, 0x14fff));
	check(m, 0x15000, 0x15000, 0x20000, 0x105000, DM_READ);
	/* The end of one and the start of the other. */
	assert_int_equal(dm_iommu_unmap(m, 0x13000, 0x3000), 0);
	check(m, 0x12fff, 0x10000, 0x13000, 0x100000, DM_READ);
	assert_null(dm_iommu_find(m, 0x13000));
	assert_null(dm_iommu_find(m, 0x15fff));
	check(m, 0x16000, 0x16000, 0x20000, 0x106000, DM_READ);
	/* The start, the end. */
	assert_int_equal(dm_iommu_unmap(m, 0xf000, 0x2000), 0);
	check(m, 0x11000, 0x11000, 0x13000, 0x101000, DM_READ);
	assert_int_equal(dm_iommu_unmap(m, 0x1f000, 0x1000), 0);
	check(m, 0x1efff, 0x16000, 0x1f000, 0x106000, DM_READ);
	/* The cut-out place can be mapped again. */
	assert_int_equal(dm_iommu_map(m, 0x14000, 0x1000, VA(0x700000), RW), 0);
	check(m, 0x14000, 0x14000, 0x15000, 0x700000, RW);
	/* Several, whole, with gaps and a cut on either side. */
	assert_int_equal(dm_iommu_unmap(m, 0x12000, 0x5000), 0);
	check(m, 0x11fff, 0x11000, 0x12000, 0x101000, DM_READ);
	assert_null(dm_iommu_find(m, 0x12000));
	assert_null(dm_iommu_find(m, 0x14000));
	check(m, 0x17000, 0x17000, 0x1f000, 0x107000, DM_READ);
	/* Whatever is left. */
	assert_int_equal(dm_iommu_unmap(m, 0, UINT64_MAX), 0);
	assert_null(dm_iommu_find(m, 0x11000));
	assert_null(dm_iommu_find(m, 0x17000));
}

static void
test_unmap_no_memory(void **state)
{
	struct dm_iommu *m = *state;
	uint64_t generation;
	unsigned int i;

	/* As many as there is room for, so that a cut needs memory. */
	for (i = 0; i < 16; i++)
		assert_int_equal(dm_iommu_map(m, i * 0x10000, 0x8000, VA(0x100000), RW), 0);
	generation = dm_iommu_generation(m);
	calls_until_failure = 0;
	assert_int_equal(dm_iommu_unmap(m, 0x54000, 0x1000), -ENOMEM);
	assert_int_equal(calls_until_failure, -1);
	assert_int_equal(dm_iommu_generation(m), generation);
	check(m, 0x54000, 0x50000, 0x58000, 0x100000, RW);
	/* What needs none does not ask for any. */
	calls_until_failure = 0;
	assert_int_equal(dm_iommu_unmap(m, 0x54000, 0x10000), 0);
	assert_int_equal(calls_until_failure, 0);
	calls_until_failure = -1;
	assert_int_equal(dm_iommu_unmap(m, 0x34000, 0x1000), 0);
	check(m, 0x35000, 0x35000, 0x38000, 0x105000, RW);
}

static void
test_unmap_all(void **state)
{
	struct dm_iommu *m = *state;

	dm_iommu_unmap_all(m);
	assert_int_equal(dm_iommu_generation(m), 0);
	assert_int_equal(dm_iommu_map(m, 0x2000, 0x1000, VA(0x10000), RW), 0);
	assert_int_equal(dm_iommu_map(m, 0x4000, 0x1000, VA(0x10000), RW), 0);
	dm_iommu_unmap_all(m);
	assert_null(dm_iommu_find(m, 0x2000));
	assert_null(dm_iommu_find(m, 0x4000));
	assert_int_equal(dm_iommu_map(m, 0x2000, 0x1000, VA(0x10000), RW), 0);
}

static void
test_generation(void **state)
{
	struct dm_iommu *m = *state;
	uint64_t generation = dm_iommu_generation(m);

	assert_int_equal(dm_iommu_map(m, 0x2000, 0x4000, VA(0x10000), RW), 0);
	assert_int_not_equal(dm_iommu_generation(m), generation);
	generation = dm_iommu_generation(m);
	assert_int_equal(dm_iommu_unmap(m, 0x3000, 0x1000), 0);
	assert_int_not_equal(dm_iommu_generation(m), generation);
	generation = dm_iommu_generation(m);
	dm_iommu_unmap_all(m);
	assert_int_not_equal(dm_iommu_generation(m), generation);
}

/* Random maps and unmaps against one byte per page. */
static void
test_random(void **state)
{
	enum { PAGES = 64, PAGE = 0x1000 };
	struct dm_iommu *m = *state;
	uint8_t owner[PAGES] = {0}; /* 0: not mapped, else which mapping */
	uint64_t va[256] = {0};	    /* address of IOVA 0 as each mapping has it */
	unsigned int seed = 12345, step, i;

	for (step = 1; step < 20000; step++) {
		unsigned int first, n;
		bool any = false;
		int ret;

		seed = seed * 1103515245 + 12345;
		first = (seed >> 16) % PAGES;
		n = 1 + (seed >> 8) % 8;
		if (first + n > PAGES)
			n = PAGES - first;
		for (i = first; i < first + n; i++)
			any |= owner[i] != 0;
		if (seed & 0x40000000) {
			uint8_t name = 1 + step % 255;

			for (i = 0; i < PAGES; i++)
				if (owner[i] == name)
					break;
			if (i < PAGES)
				continue;
			va[name] = (uint64_t)step << 32;
			ret = dm_iommu_map(m, first * PAGE, n * PAGE, VA(va[name] + first * PAGE), RW);
			assert_int_equal(ret, any ? -EEXIST : 0);
			if (!any)
				memset(owner + first, name, n);
		} else {
			ret = dm_iommu_unmap(m, first * PAGE, n * PAGE);
			assert_int_equal(ret, any ? 0 : -ENOENT);
			memset(owner + first, 0, n);
		}
		for (i = 0; i < PAGES; i++) {
			const struct dm_iova_range *r = dm_iommu_find(m, i * PAGE + 0x123);

			if (owner[i] == 0) {
				assert_null(r);
				continue;
			}
			assert_non_null(r);
			assert_ptr_equal(r->va, VA(va[owner[i]] + r->start));
			assert_true(r->start == 0 || owner[r->start / PAGE - 1] != owner[i]);
			assert_int_equal(owner[r->end / PAGE - 1], owner[i]);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test_setup_teardown(test_map_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_overlap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests_name("dm_iommu", tests, NULL, NULL);
}
