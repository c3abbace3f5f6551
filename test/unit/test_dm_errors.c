/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>

#include "dm_device_impl.h"
#include "dm_rig.h"

static struct dm_cbdma_config setup_config;

static int
setup(void **state)
{
	static struct rig rig;

	rig_create(&rig, &setup_config);
	rig_copies(&rig, 0, RIG_RING_SIZE);
	rig_start(&rig);
	*state = &rig;
	return 0;
}

static int
teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

/* Descriptors from first on have been made to fail at one of them, fail: run n of them, assert that
 * those before it are done, that it failed with chanerr, and that those after it were not started.
 */
static void
check_failure(struct rig *rig, unsigned int first, unsigned int n, unsigned int fail,
		uint32_t chanerr)
{
	uint64_t last = fail == first ? 0 : rig_desc_iova(fail - 1);
	unsigned int i;

	memset(rig->mem + RIG_DST, 0, 1u << 20);
	rig_start_at(rig, first);
	rig_ring(rig, n);
	assert_int_equal(dm_device_run(rig->dev, n), fail - first);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), chanerr);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), last | CBDMA_CHANSTS_HALTED);
	assert_int_equal(*rig->word, last | CBDMA_CHANSTS_HALTED);
	assert_false(dm_device_pending(rig->dev));
	assert_int_equal(dm_device_run(rig->dev, n), 0);
	for (i = first; i < first + n; i++)
		assert_int_equal(rig_copied(rig, i), i < fail);
}

/* The same with the failing one at several places of a burst; break_it() makes it fail. */
static void
check_everywhere(struct rig *rig, void (*break_it)(struct cbdma_desc *d), uint32_t chanerr)
{
	static const unsigned int places[] = {0, 1, 7, 31, 32, 33, 63, 64, 99};
	unsigned int i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct cbdma_desc *d = &rig->ring[200 + places[i]];
		struct cbdma_desc good = *d;

		break_it(d);
		check_failure(rig, 200, 100, 200 + places[i], chanerr);
		assert_int_equal(rig_read(rig, CBDMA_CDAR, 8), rig_desc_iova(200 + places[i]));
		*d = good;
	}
	/* And all is well when it is mended. */
	rig_start_at(rig, 200);
	rig_run(rig, 100);
	assert_true(rig_copied(rig, 299));
}

static void
break_src(struct cbdma_desc *d)
{
	d->src = 0x1000;
}

static void
break_src_end(struct cbdma_desc *d)
{
	d->src = rig_iova(RIG_MEM_SIZE - 63);
}

static void
break_src_wrap(struct cbdma_desc *d)
{
	d->src = UINT64_MAX - 31;
}

static void
break_dst(struct cbdma_desc *d)
{
	d->dst = rig_iova(RIG_MEM_SIZE);
}

static void
break_dst_end(struct cbdma_desc *d)
{
	d->dst = rig_iova(RIG_MEM_SIZE - 1);
}

static void
break_fill(struct cbdma_desc *d)
{
	d->control |= CBDMA_DESC_OP_FILL << CBDMA_DESC_OP_SHIFT;
	d->dst = 0x1000;
}

static void
break_size_0(struct cbdma_desc *d)
{
	d->size = 0;
}

static void
break_size_null(struct cbdma_desc *d)
{
	d->size = 0;
	d->control |= CBDMA_DESC_NULL;
}

static void
break_size_max(struct cbdma_desc *d)
{
	d->size = (1u << 20) + 1;
}

static void
break_size_fill(struct cbdma_desc *d)
{
	d->size = 0;
	d->control |= CBDMA_DESC_OP_FILL << CBDMA_DESC_OP_SHIFT;
}

static void
break_op(struct cbdma_desc *d)
{
	d->control |= 0x87u << CBDMA_DESC_OP_SHIFT; /* XOR */
}

static void
test_source(void **state)
{
	check_everywhere(*state, break_src, CBDMA_CHANERR_XSADDERR);
	check_everywhere(*state, break_src_end, CBDMA_CHANERR_XSADDERR);
	check_everywhere(*state, break_src_wrap, CBDMA_CHANERR_XSADDERR);
}

static void
test_destination(void **state)
{
	check_everywhere(*state, break_dst, CBDMA_CHANERR_XDADDERR);
	check_everywhere(*state, break_dst_end, CBDMA_CHANERR_XDADDERR);
	check_everywhere(*state, break_fill, CBDMA_CHANERR_XDADDERR);
}

static void
test_size(void **state)
{
	check_everywhere(*state, break_size_0, CBDMA_CHANERR_DXSERR);
	check_everywhere(*state, break_size_null, CBDMA_CHANERR_DXSERR);
	check_everywhere(*state, break_size_max, CBDMA_CHANERR_DXSERR);
	check_everywhere(*state, break_size_fill, CBDMA_CHANERR_DXSERR);
}

static void
test_operation(void **state)
{
	check_everywhere(*state, break_op, CBDMA_CHANERR_DCERR);
}

/* Every control bit that is not supported, for copies and for fills. */
static void
test_control_bits(void **state)
{
	const uint32_t good = CBDMA_DESC_INT_EN | CBDMA_DESC_SRC_SNOOP_DIS |
			CBDMA_DESC_DST_SNOOP_DIS | CBDMA_DESC_COMPLETION | CBDMA_DESC_FENCE |
			3u << 9;
	struct rig *rig = *state;
	unsigned int bit;

	for (bit = 0; bit < CBDMA_DESC_OP_SHIFT; bit++) {
		bool good_copy = ((good | CBDMA_DESC_NULL) >> bit) & 1;
		bool good_fill = (good >> bit) & 1;

		rig_copies(rig, 0, 1);
		rig->ring[0].control |= 1u << bit;
		rig_start(rig);
		rig_ring(rig, 1);
		assert_int_equal(dm_device_run(rig->dev, 1), good_copy);
		assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4),
				good_copy ? 0 : CBDMA_CHANERR_DCERR);
		rig->ring[0].control |= CBDMA_DESC_OP_FILL << CBDMA_DESC_OP_SHIFT;
		rig_start(rig);
		rig_ring(rig, 1);
		assert_int_equal(dm_device_run(rig->dev, 1), good_fill);
		assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4),
				good_fill ? 0 : CBDMA_CHANERR_DCERR);
	}
}

static void
test_xfercap(void **state)
{
	static const uint8_t caps[] = {12, 13, 20};
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct dm_cbdma_config config = {.xfercap = caps[i]};
		struct rig rig;

		rig_create(&rig, &config);
		rig_copy(&rig, 0, 0, 0, 1u << caps[i]);
		rig_copy(&rig, 1, 0, 0, (1u << caps[i]) + 1);
		rig_start(&rig);
		rig_ring(&rig, 2);
		assert_int_equal(dm_device_run(rig.dev, 2), 1);
		assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_DXSERR);
		assert_memory_equal(rig.mem + RIG_SRC, rig.mem + RIG_DST, 1u << caps[i]);
		rig_destroy(&rig);
	}
}

static void
test_permissions(void **state)
{
	struct rig *rig = *state;
	const uint64_t readable = 0x10000000, writable = 0x20000000;

	assert_int_equal(dm_device_map(rig->dev, readable, 4096, rig->mem + RIG_SRC, DM_READ), 0);
	assert_int_equal(dm_device_map(rig->dev, writable, 4096, rig->mem + RIG_DST, DM_WRITE), 0);
	rig->ring[0].src = readable;
	rig->ring[0].dst = writable;
	rig->ring[1].dst = readable;
	check_failure(rig, 0, 10, 1, CBDMA_CHANERR_XDADDERR);
	rig_copies(rig, 1, 1);
	rig->ring[1].src = writable;
	check_failure(rig, 0, 10, 1, CBDMA_CHANERR_XSADDERR);
	/* Descriptors have to be readable, the completion word writable. */
	rig_copies(rig, 0, 2);
	rig_start(rig);
	rig_write(rig, CBDMA_CHAINADDR, 8, writable);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CHADDERR);
	rig_start(rig);
	rig_write(rig, CBDMA_CHANCMP, 8, readable);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CMPADDERR);
}

/* A hole in the middle of a source or destination. */
static void
test_hole(void **state)
{
	struct rig *rig = *state;
	const uint64_t iova = 0x10000000;

	assert_int_equal(dm_device_map(rig->dev, iova, 4096, rig->mem + RIG_SRC, DM_READ), 0);
	assert_int_equal(dm_device_map(rig->dev, iova + 8192, 4096, rig->mem + RIG_SRC, DM_READ), 0);
	rig->ring[0].size = 12288;
	rig->ring[0].src = iova;
	check_failure(rig, 0, 3, 0, CBDMA_CHANERR_XSADDERR);
	assert_int_equal(dm_device_map(rig->dev, iova + 4096, 4096, rig->mem + RIG_SRC, DM_READ), 0);
	rig_start(rig);
	rig_run(rig, 1);
	assert_memory_equal(rig->mem + RIG_DST + 4096, rig->mem + RIG_SRC, 4096);
	/* A piece without permission is as good as a hole. */
	rig->ring[0].src = rig_iova(RIG_SRC);
	rig->ring[0].dst = iova;
	assert_int_equal(dm_device_unmap(rig->dev, iova, 4096), 0);
	assert_int_equal(dm_device_map(rig->dev, iova, 4096, rig->mem + RIG_DST, DM_WRITE), 0);
	rig_start(rig);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_XDADDERR);
}

static void
test_chain_address(void **state)
{
	static const uint64_t bad[] = {
		0, 0x1000, RIG_IOVA + 32, RIG_IOVA + 1, RIG_IOVA - 64, RIG_IOVA + RIG_MEM_SIZE};
	struct rig *rig = *state;
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig_start(rig);
		rig_write(rig, CBDMA_CHAINADDR, 8, bad[i]);
		assert_int_equal(rig_state(rig), CBDMA_CHANSTS_ARMED);
		rig_ring(rig, 1);
		assert_int_equal(dm_device_run(rig->dev, 1), 0);
		assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CHADDERR);
		assert_int_equal(*rig->word, CBDMA_CHANSTS_HALTED);
	}
	/* A descriptor of which only a part is mapped. */
	assert_int_equal(dm_device_map(rig->dev, 0x5000, 32, rig->mem, DM_READ), 0);
	rig_start(rig);
	rig_write(rig, CBDMA_CHAINADDR, 8, 0x5000);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CHADDERR);
}

static void
test_next_address(void **state)
{
	static const struct {
		uint64_t next;
		uint32_t chanerr;
	} bad[] = {
		{0, CBDMA_CHANERR_NDADDERR},
		{0x1000, CBDMA_CHANERR_NDADDERR},
		{RIG_IOVA + RIG_MEM_SIZE, CBDMA_CHANERR_NDADDERR},
		{RIG_IOVA + 32, CBDMA_CHANERR_DERR},
		{0x1001, CBDMA_CHANERR_DERR},
	};
	struct rig *rig = *state;
	unsigned int i, at;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (at = 0; at < 70; at += 23) {
			rig->ring[at].next = bad[i].next;
			check_failure(rig, 0, 100, at + 1, bad[i].chanerr);
			rig->ring[at].next = rig_desc_iova(at + 1);
		}
	}
	/* The link is not looked at before there is more to do. */
	rig->ring[4].next = 0;
	rig_start(rig);
	rig_run(rig, 5);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_IDLE);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_NDADDERR);
	assert_int_equal(*rig->word, rig_desc_iova(4) | CBDMA_CHANSTS_HALTED);
}

/* The descriptor whose link is to be followed is gone. */
static void
test_last_unmapped(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(dm_device_map(rig->dev, 0x10000, 4096, rig->mem, DM_READ), 0);
	rig_write(rig, CBDMA_CHAINADDR, 8, 0x10000);
	rig_run(rig, 1);
	assert_int_equal(dm_device_unmap(rig->dev, 0x10000, 4096), 0);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_NDADDERR);
	/* The middle of it. */
	rig_start(rig);
	rig_run(rig, 1);
	assert_int_equal(dm_device_unmap(rig->dev, rig_desc_iova(0) + 16, 16), 0);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_NDADDERR);
}

static void
test_completion_address(void **state)
{
	struct rig *rig = *state;

	/* Not needed as long as no descriptor asks for a completion. */
	rig_write(rig, CBDMA_CHANCMP, 8, 0x1000);
	rig->ring[0].control = rig->ring[1].control = rig->ring[2].control = 0;
	rig_ring(rig, 5);
	assert_int_equal(dm_device_run(rig->dev, 10), 3);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CMPADDERR);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), rig_desc_iova(2) | CBDMA_CHANSTS_HALTED);
	assert_true(rig_copied(rig, 2));
	assert_false(rig_copied(rig, 3));
	assert_int_equal(*rig->word, 0);
	/* Half of it mapped. */
	assert_int_equal(dm_device_map(rig->dev, 0x40000, 68, rig->mem, DM_WRITE), 0);
	rig_start_at(rig, 3);
	rig_write(rig, CBDMA_CHANCMP, 8, 0x40040);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 10), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CMPADDERR);
	/* Another error, and it cannot be told. */
	rig->ring[3].size = 0;
	rig_start_at(rig, 3);
	rig_write(rig, CBDMA_CHANCMP, 8, 0x40040);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 10), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4),
			CBDMA_CHANERR_DXSERR | CBDMA_CHANERR_CMPADDERR);
}

/* Whether an error is told in the completion word is up to CHANCTRL, and to the device. */
static void
test_error_completion(void **state)
{
	struct dm_cbdma_config config = {.quiet_errors = true};
	struct rig *rig = *state, quiet;

	rig->ring[5].size = 0;
	rig_write(rig, CBDMA_CHANCTRL, 2, CBDMA_CHANCTRL_ANY_ERR_ABORT_EN);
	rig_ring(rig, 10);
	assert_int_equal(dm_device_run(rig->dev, 10), 5);
	assert_int_equal(*rig->word, rig_desc_iova(4) | CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_HALTED);
	rig_start(rig);
	rig_write(rig, CBDMA_CHANCTRL, 2, CBDMA_CHANCTRL_ERR_COMPLETION_EN);
	rig_ring(rig, 10);
	assert_int_equal(dm_device_run(rig->dev, 10), 5);
	assert_int_equal(*rig->word, rig_desc_iova(4) | CBDMA_CHANSTS_HALTED);

	rig_create(&quiet, &config);
	rig_start(&quiet);
	rig_ring(&quiet, 1);
	assert_int_equal(dm_device_run(quiet.dev, 1), 0);
	assert_int_equal(*quiet.word, 0);
	assert_int_equal(rig_state(&quiet), CBDMA_CHANSTS_HALTED);
	rig_destroy(&quiet);
}

/* The recovery of DPDK's dma_ioat, step by step. */
static void
test_recover_dpdk(void **state)
{
	struct rig *rig = *state;
	uint32_t chanerr;

	rig->ring[5].src = 0;
	rig_ring(rig, 10);
	assert_int_equal(dm_device_run(rig->dev, 100), 5);
	assert_int_equal(*rig->word, rig_desc_iova(4) | CBDMA_CHANSTS_HALTED);
	/* Rings on before it has noticed. */
	rig_ring(rig, 2);
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
	/* A start as after a stop: does not arm while errors are there. */
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(0));
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_HALTED);

	chanerr = rig_read(rig, CBDMA_CHANERR, 4);
	assert_int_equal(chanerr, CBDMA_CHANERR_XSADDERR);
	rig_write(rig, CBDMA_CHANERR, 4, chanerr);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(6));
	rig_write(rig, CBDMA_CHANCTRL, 2, RIG_ERROR_REPORT);
	rig_write(rig, CBDMA_CHANCMP, 8, rig_iova(RIG_WORD));
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), CBDMA_CHANSTS_ARMED);
	rig->count = 0;
	rig_run(rig, 6);
	assert_int_equal(*rig->word, rig_desc_iova(11) | CBDMA_CHANSTS_IDLE);
}

/* The one of Linux when it does not reset: clear the errors, write a chain. */
static void
test_recover_linux(void **state)
{
	struct rig *rig = *state;

	rig->ring[0].src = 0;
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
	rig_write(rig, CBDMA_CHANERR, 4, rig_read(rig, CBDMA_CHANERR, 4));
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_HALTED);
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(1));
	rig->count = 0;
	rig_run(rig, 3);
	assert_int_equal(*rig->word, rig_desc_iova(3) | CBDMA_CHANSTS_IDLE);
}

/* A fault injected to strike after at descriptors. */
static void
inject(struct rig *rig, enum dm_cbdma_fault_kind kind, uint64_t at, uint32_t chanerr)
{
	struct dm_cbdma_fault fault = {.kind = kind, .at = at, .chanerr = chanerr};

	assert_int_equal(dm_cbdma_inject(rig->dev, rig->channel, &fault), 0);
}

static void
test_inject_bad(void **state)
{
	const struct dm_cbdma_fault fault = {.kind = DM_CBDMA_FAULT_STALL};
	const struct dm_cbdma_fault causeless = {.kind = DM_CBDMA_FAULT_FAIL};
	static const struct dm_device_ops other_ops;
	struct dm_device other;
	struct rig *rig = *state;

	assert_int_equal(dm_cbdma_inject(rig->dev, 1, &fault), -EINVAL);
	assert_int_equal(dm_cbdma_inject(rig->dev, UINT32_MAX, &fault), -EINVAL);
	assert_int_equal(dm_cbdma_inject(rig->dev, 0, &causeless), -EINVAL);
	rig_run(rig, 1);
	/* A device of another kind. */
	assert_int_equal(dm_device_init(&other, &other_ops), 0);
	assert_int_equal(dm_cbdma_inject(&other, 0, &fault), -EINVAL);
	dm_device_fini(&other);
}

static void
test_inject_fail(void **state)
{
	static const uint64_t places[] = {0, 1, 31, 32, 33, 70, 99};
	struct rig *rig = *state;
	unsigned int i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		inject(rig, DM_CBDMA_FAULT_FAIL, places[i], CBDMA_CHANERR_WDERR);
		check_failure(rig, 0, 100, places[i], CBDMA_CHANERR_WDERR);
		assert_int_equal(rig_read(rig, CBDMA_CDAR, 8), rig_desc_iova(places[i]));
		/* Once only. */
		rig_start_at(rig, places[i]);
		rig_run(rig, 100);
	}
	/* Counts over several runs, chains and resets. */
	inject(rig, DM_CBDMA_FAULT_FAIL, 7, CBDMA_CHANERR_RDERR);
	rig_start(rig);
	rig_run(rig, 3);
	rig_start(rig);
	rig_run(rig, 3);
	dm_device_reset(rig->dev);
	check_failure(rig, 10, 5, 11, CBDMA_CHANERR_RDERR);
	/* Taken back. */
	inject(rig, DM_CBDMA_FAULT_FAIL, 1, CBDMA_CHANERR_RDERR);
	inject(rig, DM_CBDMA_FAULT_NONE, 0, 0);
	rig_start(rig);
	rig_run(rig, 10);
	/* A real error comes first, the injected one stays. */
	inject(rig, DM_CBDMA_FAULT_FAIL, 2, CBDMA_CHANERR_RDERR);
	rig->ring[2].size = 0;
	check_failure(rig, 0, 10, 2, CBDMA_CHANERR_DXSERR);
	check_failure(rig, 3, 10, 3, CBDMA_CHANERR_RDERR);
	/* One that would have been split over mappings, and a fill. */
	inject(rig, DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_DUNCORERR);
	rig_fill(rig, 20, 1, 20 * 64, 64);
	check_failure(rig, 20, 1, 20, CBDMA_CHANERR_DUNCORERR);
}

/* Two in one burst: the second one is injected when the first has struck. */
static void
test_inject_two(void **state)
{
	struct rig *rig = *state;

	inject(rig, DM_CBDMA_FAULT_FAIL, 3, CBDMA_CHANERR_RDERR);
	check_failure(rig, 0, 32, 3, CBDMA_CHANERR_RDERR);
	inject(rig, DM_CBDMA_FAULT_FAIL, 5, CBDMA_CHANERR_WDERR);
	check_failure(rig, 4, 28, 9, CBDMA_CHANERR_WDERR);
	rig_start_at(rig, 10);
	rig_run(rig, 22);
}

static void
test_inject_stall(void **state)
{
	struct rig *rig = *state;

	inject(rig, DM_CBDMA_FAULT_STALL, 5, 0);
	rig_ring(rig, 10);
	assert_int_equal(dm_device_run(rig->dev, 100), 5);
	assert_int_equal(*rig->word, rig_desc_iova(4) | CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), rig_desc_iova(4) | CBDMA_CHANSTS_ACTIVE);
	assert_false(dm_device_pending(rig->dev));
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
	/* It does not suspend, nor does a new chain wake it. */
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_ACTIVE);
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(5));
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_ACTIVE);
	rig_write(rig, CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
	/* A reset does. */
	rig_start_at(rig, 5);
	rig_run(rig, 5);
	/* At once. */
	inject(rig, DM_CBDMA_FAULT_STALL, 0, 0);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
	dm_device_reset(rig->dev);
	rig_start(rig);
	rig_run(rig, 1);
}

static void
test_inject_vanish(void **state)
{
	struct rig *rig = *state;

	inject(rig, DM_CBDMA_FAULT_VANISH, 2, 0);
	rig_ring(rig, 10);
	assert_int_equal(dm_device_run(rig->dev, 100), 2);
	assert_int_equal(*rig->word, rig_desc_iova(1) | CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), UINT64_MAX);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), UINT32_MAX);
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), UINT16_MAX);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMD, 1), UINT8_MAX);
	assert_int_equal(dm_device_read(rig->dev, CBDMA_CBVER, 1), UINT8_MAX);
	assert_false(dm_device_pending(rig->dev));
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
	/* For good. */
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(0));
	rig_write(rig, CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
	dm_device_reset(rig->dev);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), UINT64_MAX);
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
}

static void
test_inject_vanish_at_once(void **state)
{
	struct rig *rig = *state;

	rig_ring(rig, 10);
	inject(rig, DM_CBDMA_FAULT_VANISH, 0, 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), UINT64_MAX);
	assert_int_equal(dm_device_run(rig->dev, 100), 0);
}

static void
test_inject_reset(void **state)
{
	struct rig *rig = *state;

	inject(rig, DM_CBDMA_FAULT_RESET, 0, 0);
	rig_run(rig, 4);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMD, 1), CBDMA_CHANCMD_RESET);
	/* It does nothing else until then. */
	rig_write(rig, CBDMA_CHAINADDR, 8, rig_desc_iova(0));
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_IDLE);
	rig_write(rig, CBDMA_DMACOUNT, 2, 10);
	assert_false(dm_device_pending(rig->dev));
	assert_int_equal(dm_device_run(rig->dev, 10), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMD, 1), CBDMA_CHANCMD_RESET);
	/* Function level reset is stronger. */
	dm_device_reset(rig->dev);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMD, 1), 0);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMD, 1), CBDMA_CHANCMD_RESET);
	/* The next reset works when the fault is taken back. */
	inject(rig, DM_CBDMA_FAULT_NONE, 0, 0);
	rig_start(rig);
	rig_run(rig, 4);
}

/* Other channels know nothing of it. */
static void
test_inject_other_channel(void **state)
{
	struct dm_cbdma_config config = {.channels = 2};
	struct rig rig;

	(void)state;
	rig_create(&rig, &config);
	rig_copies(&rig, 0, 100);
	inject(&rig, DM_CBDMA_FAULT_FAIL, 1, CBDMA_CHANERR_RDERR);
	rig.channel = 1;
	inject(&rig, DM_CBDMA_FAULT_STALL, 2, 0);
	rig_start_at(&rig, 50);
	rig_ring(&rig, 5);
	assert_int_equal(dm_device_run(rig.dev, 10), 2);
	rig.channel = 0;
	rig_start(&rig);
	rig_ring(&rig, 5);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(rig_read(&rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_RDERR);
	rig_destroy(&rig);
}

static void
test_parse_good(void **state)
{
	static const struct {
		const char *text;
		struct dm_cbdma_fault fault;
	} good[] = {
		{"none", {DM_CBDMA_FAULT_NONE, 0, 0}},
		{"reset", {DM_CBDMA_FAULT_RESET, 0, 0}},
		{"stall", {DM_CBDMA_FAULT_STALL, 0, 0}},
		{"stall:at=12", {DM_CBDMA_FAULT_STALL, 12, 0}},
		{"vanish:at=18446744073709551615", {DM_CBDMA_FAULT_VANISH, UINT64_MAX, 0}},
		{"fail", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_XSADDERR}},
		{"fail:at=3", {DM_CBDMA_FAULT_FAIL, 3, CBDMA_CHANERR_XSADDERR}},
		{"fail:cause=src", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_XSADDERR}},
		{"fail:cause=dst", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_XDADDERR}},
		{"fail:cause=next", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_NDADDERR}},
		{"fail:cause=align", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_DERR}},
		{"fail:cause=read", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_RDERR}},
		{"fail:cause=write", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_WDERR}},
		{"fail:cause=op", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_DCERR}},
		{"fail:cause=length:at=7", {DM_CBDMA_FAULT_FAIL, 7, CBDMA_CHANERR_DXSERR}},
		{"fail:at=8:cause=completion", {DM_CBDMA_FAULT_FAIL, 8, CBDMA_CHANERR_CMPADDERR}},
		{"fail:cause=command", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_CCMDERR}},
		{"fail:cause=unaffiliated", {DM_CBDMA_FAULT_FAIL, 0, CBDMA_CHANERR_UNAFFERR}},
		{"mute:at=3", {DM_CBDMA_FAULT_MUTE, 3, 0}},
		{"suspend", {DM_CBDMA_FAULT_SUSPEND, 0, 0}},
		{"halt:at=1", {DM_CBDMA_FAULT_HALT, 1, 0}},
		{"lost-completion:at=2", {DM_CBDMA_FAULT_COMPLETION, 2, 0}},
		{"lost-doorbell", {DM_CBDMA_FAULT_DOORBELL, 0, 0}},
	};
	struct dm_cbdma_fault fault;
	const char *error;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		error = "";
		assert_int_equal(dm_cbdma_fault_parse(good[i].text, &fault, &error), 0);
		assert_null(error);
		assert_int_equal(fault.kind, good[i].fault.kind);
		assert_int_equal(fault.at, good[i].fault.at);
		assert_int_equal(fault.chanerr, good[i].fault.chanerr);
	}
}

static void
test_parse_bad(void **state)
{
	static const char kind[] = "a fault is one of fail, stall, vanish, mute, suspend, halt, "
				   "lost-completion, lost-doorbell, reset, none";
	static const char number[] = "at= wants a number";
	static const char option[] = "an option is neither at= nor cause=";
	static const char no_at[] = "this kind of fault takes no at=";
	static const char no_cause[] = "only fail takes a cause=";
	static const char cause[] = "cause= is not one of src, dst, next, align, read, write, op, "
				    "length, completion, command, unaffiliated";
	static const struct {
		const char *text, *error;
	} bad[] = {
		{"", kind},
		{"fai", kind},
		{"failx", kind},
		{":at=1", kind},
		{"Fail", kind},
		{"fail:", option},
		{"fail::at=1", option},
		{"fail:at", option},
		{"fail:foo=1", option},
		{"fail:at=1:", option},
		{"fail:at=", number},
		{"fail:at=x", number},
		{"fail:at=1x", number},
		{"fail:at=-1", number},
		{"fail:at= 1", number},
		{"fail:at=0x10", number},
		{"fail:at=18446744073709551616", number},
		{"stall:at=:at=1", number},
		{"none:at=1", no_at},
		{"reset:at=1", no_at},
		{"stall:cause=src", no_cause},
		{"reset:cause=src", no_cause},
		{"fail:cause=", cause},
		{"fail:cause=srcs", cause},
		{"fail:cause=sr", cause},
	};
	struct dm_cbdma_fault fault;
	const char *error;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&fault, 0x5a, sizeof(fault));
		error = NULL;
		assert_int_equal(dm_cbdma_fault_parse(bad[i].text, &fault, &error), -EINVAL);
		assert_string_equal(error, bad[i].error);
		assert_int_equal(fault.at, 0x5a5a5a5a5a5a5a5aull);
	}
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_source),
		RIG_TEST(test_destination),
		RIG_TEST(test_size),
		RIG_TEST(test_operation),
		RIG_TEST(test_control_bits),
		cmocka_unit_test(test_xfercap),
		RIG_TEST(test_permissions),
		RIG_TEST(test_hole),
		RIG_TEST(test_chain_address),
		RIG_TEST(test_next_address),
		RIG_TEST(test_last_unmapped),
		RIG_TEST(test_completion_address),
		RIG_TEST(test_error_completion),
		RIG_TEST(test_recover_dpdk),
		RIG_TEST(test_recover_linux),
		RIG_TEST(test_inject_bad),
		RIG_TEST(test_inject_fail),
		RIG_TEST(test_inject_two),
		RIG_TEST(test_inject_stall),
		RIG_TEST(test_inject_vanish),
		RIG_TEST(test_inject_vanish_at_once),
		RIG_TEST(test_inject_reset),
		cmocka_unit_test(test_inject_other_channel),
		cmocka_unit_test(test_parse_good),
		cmocka_unit_test(test_parse_bad),
	};

	return cmocka_run_group_tests_name("dm_errors", tests, NULL, NULL);
}
