/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Random descriptors against a reference that is too simple to be wrong. Device memory is made of
 * pages that lie in a different order in memory, some of them missing or without a permission, so that
 * most operations are cut into pieces and many fail.
 *
 *	test_dm_random [SEED]
 */

#include <stdio.h>

#include "dm_rig.h"

#define PAGE	  4096u
#define PAGES	  64u
#define AREA	  (PAGES * PAGE)
#define AREA_IOVA 0x4000000000ull
#define XFERCAP	  14
#define ROUNDS	  3000

static uint64_t seed = 1;

static struct dm_device *dev;
static struct rig rig;
static uint8_t *pages;		 /* as they lie in memory */
static unsigned int place[PAGES]; /* which of them IOVA page n is */
static uint32_t perm[PAGES];	 /* 0: not mapped */
static uint8_t reference[AREA];	 /* what the device's memory should hold, by IOVA */

static uint32_t
random_below(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

/* The CHANERR bit that an access causes, 0: none. */
static uint32_t
access_error(uint64_t iova, uint32_t len, uint32_t wanted, uint32_t error)
{
	uint64_t page;

	for (page = (iova - AREA_IOVA) / PAGE; page * PAGE < iova - AREA_IOVA + len; page++)
		if (page >= PAGES || (perm[page] & wanted) == 0)
			return error;
	return 0;
}

/* Do to the reference what a descriptor does to memory. @return the CHANERR bit that it causes. */
static uint32_t
run_reference(const struct cbdma_desc *d)
{
	const bool fill = d->control >> CBDMA_DESC_OP_SHIFT == CBDMA_DESC_OP_FILL;
	uint8_t *dst = reference + (d->dst - AREA_IOVA);
	uint32_t error = 0, i;

	if (d->size == 0 || d->size > 1u << XFERCAP)
		return CBDMA_CHANERR_DXSERR;
	if (d->control & CBDMA_DESC_NULL)
		return 0;
	if (!fill)
		error = access_error(d->src, d->size, DM_READ, CBDMA_CHANERR_XSADDERR);
	if (error == 0)
		error = access_error(d->dst, d->size, DM_WRITE, CBDMA_CHANERR_XDADDERR);
	if (error != 0)
		return error;
	for (i = 0; fill && i < d->size; i++)
		dst[i] = d->src >> (i % 8 * 8);
	if (!fill)
		memcpy(dst, reference + (d->src - AREA_IOVA), d->size);
	return 0;
}

static uint32_t
random_len(void)
{
	switch (random_below(8)) {
	case 0:
		return random_below(1u << XFERCAP) + 1;
	case 1:
		return 1u << random_below(XFERCAP + 1);
	case 2:
		return random_below(PAGE) + 1;
	default:
		return random_below(200) + 1;
	}
}

static void
random_desc(struct cbdma_desc *d)
{
	uint32_t len = random_len();

	d->size = len;
	d->control = random_below(4) == 0 ? 0 : CBDMA_DESC_COMPLETION;
	if (random_below(10) == 0)
		d->control |= CBDMA_DESC_FENCE;
	/* Sources lie in the lower half, destinations in the upper one: nothing overlaps. */
	d->dst = AREA_IOVA + AREA / 2 + random_below(AREA / 2 - len);
	if (random_below(4) == 0) {
		d->control |= CBDMA_DESC_OP_FILL << CBDMA_DESC_OP_SHIFT;
		d->src = seed;
	} else {
		d->src = AREA_IOVA + random_below(AREA / 2 - len);
	}
	if (random_below(200) == 0)
		d->size = random_below(2) ? 0 : (1u << XFERCAP) + 1;
	if (random_below(50) == 0 && d->control >> CBDMA_DESC_OP_SHIFT == CBDMA_DESC_OP_COPY)
		d->control |= CBDMA_DESC_NULL;
}

/* Where the device finds a page: with RIG_REMOTE, of some it has to ask. */
static void *
va_of(unsigned int page)
{
	return RIG_VA(pages) == NULL && page % 3 == 0 ? NULL : pages + place[page] * PAGE;
}

static int
access_area(void *opaque, bool write, uint64_t iova, void *data, uint64_t len)
{
	uint64_t offset = iova - AREA_IOVA;
	uint8_t *va = pages + place[offset / PAGE % PAGES] * PAGE + offset % PAGE;

	if (offset >= AREA)
		return rig_remote_access(opaque, write, iova, data, len);
	assert_true(len <= PAGE - offset % PAGE);
	assert_null(va_of(offset / PAGE));
	memcpy(write ? va : data, write ? data : va, len);
	return 0;
}

/* Take a page away, or give one back, or change what may be done to it. */
static void
change_mapping(void)
{
	unsigned int page = random_below(PAGES);
	uint32_t new = random_below(4) == 0 ? random_below(4) : DM_READ | DM_WRITE;

	if (perm[page] != 0)
		assert_int_equal(dm_device_unmap(dev, AREA_IOVA + page * PAGE, PAGE), 0);
	perm[page] = new;
	if (new != 0)
		assert_int_equal(dm_device_map(dev, AREA_IOVA + page * PAGE, PAGE, va_of(page), new),
			0);
}

static void
check_memory(void)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		assert_memory_equal(pages + place[i] * PAGE, reference + i * PAGE, PAGE);
}

/* Run n descriptors from first on, by a few at a time. */
static void
run_round(unsigned int first, unsigned int n)
{
	uint64_t word = *rig.word & CBDMA_CHANSTS_DESC_MASK, last = 0;
	unsigned int good = 0, done = 0, i;
	uint32_t error = 0;

	for (i = first; i < first + n; i++)
		random_desc(&rig.ring[i % RIG_RING_SIZE]);
	while (good < n && error == 0) {
		struct cbdma_desc *d = &rig.ring[(first + good) % RIG_RING_SIZE];

		error = run_reference(d);
		if (error != 0)
			break;
		last = rig_desc_iova(first + good);
		if (d->control & CBDMA_DESC_COMPLETION)
			word = last;
		good++;
	}
	rig_ring(&rig, n);
	while (done < good) {
		unsigned int step = random_below(70) + 1;
		unsigned int expected = step < good - done ? step : good - done;

		assert_int_equal(dm_device_run(dev, step), expected);
		done += expected;
	}
	assert_int_equal(dm_device_run(dev, 100), 0);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), error);
	if (error == 0) {
		assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8), last | CBDMA_CHANSTS_IDLE);
		assert_int_equal(*rig.word & CBDMA_CHANSTS_DESC_MASK, word);
		return;
	}
	if (last == 0)
		last = rig_read(&rig, CBDMA_CHANSTS, 8) & CBDMA_CHANSTS_DESC_MASK;
	assert_int_equal(rig_read(&rig, CBDMA_CHANSTS, 8), last | CBDMA_CHANSTS_HALTED);
	assert_int_equal(*rig.word, last | CBDMA_CHANSTS_HALTED);
	check_memory();
}

static void
test_random(void **state)
{
	struct dm_cbdma_config config = {.xfercap = XFERCAP};
	const struct dm_remote remote = {
		.begin = rig_remote_begin, .access = access_area, .max = 3000, .opaque = &rig};
	unsigned int i, at = 0, errors = 0;

	(void)state;
	rig_create(&rig, &config);
	dev = rig.dev;
	pages = aligned_alloc(PAGE, AREA);
	assert_non_null(pages);
	for (i = 0; i < PAGES; i++) {
		unsigned int other = random_below(i + 1);

		place[i] = place[other];
		place[other] = i;
	}
	for (i = 0; i < AREA; i++)
		reference[i] = random_below(256);
	for (i = 0; i < PAGES; i++) {
		memcpy(pages + place[i] * PAGE, reference + i * PAGE, PAGE);
		perm[i] = DM_READ | DM_WRITE;
		assert_int_equal(dm_device_map(dev, AREA_IOVA + i * PAGE, PAGE, va_of(i), perm[i]),
			0);
	}
	if (RIG_VA(pages) == NULL)
		assert_int_equal(dm_device_set_remote(dev, &remote), 0);
	rig_start(&rig);
	for (i = 0; i < ROUNDS; i++) {
		unsigned int n = random_below(100) + 1;

		run_round(at, n);
		at += n;
		if (rig_state(&rig) == CBDMA_CHANSTS_HALTED) {
			errors++;
			rig_start_at(&rig, at);
		}
		if (random_below(3) == 0)
			change_mapping();
	}
	check_memory();
	assert_in_range(errors, 1, ROUNDS - 1);
	free(pages);
	rig_destroy(&rig);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	printf("seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("dm_random", tests, NULL, NULL);
}
