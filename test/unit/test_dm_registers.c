/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>

#include "dm_rig.h"
#include "dm_no_memory.h"

static unsigned int interrupts[DM_CBDMA_MAX_CHANNELS];

static void
count_interrupt(void *opaque, unsigned int channel)
{
	assert_ptr_equal(opaque, interrupts);
	interrupts[channel]++;
}

static int
setup(void **state)
{
	static struct rig rig;
	struct dm_cbdma_config config = {
		.channels = 2, .interrupt = count_interrupt, .opaque = interrupts};

	memset(interrupts, 0, sizeof(interrupts));
	rig_create(&rig, &config);
	*state = &rig;
	return 0;
}

static int
teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

static uint64_t
read_general(struct rig *rig, unsigned int offset, unsigned int width)
{
	return dm_device_read(rig->dev, offset, width);
}

static void
write_general(struct rig *rig, unsigned int offset, unsigned int width, uint64_t value)
{
	dm_device_write(rig->dev, offset, width, value);
}

static void
test_create_bad(void **state)
{
	static const struct {
		struct dm_cbdma_config config;
		const char *error;
	} bad[] = {
		{{.version = 0x2f}, "version is not one of 3.0 to 3.4"},
		{{.version = 0x35}, "version is not one of 3.0 to 3.4"},
		{{.xfercap = 11}, "xfercap is not one of 12 to 31"},
		{{.xfercap = 32}, "xfercap is not one of 12 to 31"},
		{{.channels = DM_CBDMA_MAX_CHANNELS + 1}, "more than 4 channels"},
	};
	const struct dm_cbdma_config good = {0};
	const char *error;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error = NULL;
		assert_null(dm_cbdma_create(&bad[i].config, &error));
		assert_string_equal(error, bad[i].error);
	}
	for (i = 0; i < 2; i++) {
		calls_until_failure = i;
		assert_null(dm_cbdma_create(&good, &error));
		assert_string_equal(error, "out of memory");
		assert_int_equal(calls_until_failure, -1);
	}
	dm_device_destroy(NULL);
}

static void
test_config(void **state)
{
	struct dm_cbdma_config config = {.version = 0x32, .xfercap = 12, .channels = 4};
	struct rig rig;

	(void)state;
	rig_create(&rig, &config);
	assert_int_equal(read_general(&rig, CBDMA_CBVER, 1), 0x32);
	assert_int_equal(read_general(&rig, CBDMA_XFERCAP, 1), 12);
	assert_int_equal(read_general(&rig, CBDMA_CHANCNT, 1), 4);
	rig_destroy(&rig);
}

static void
test_general_defaults(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(read_general(rig, CBDMA_CHANCNT, 1), 2);
	assert_int_equal(read_general(rig, CBDMA_XFERCAP, 1), 20);
	assert_int_equal(read_general(rig, CBDMA_GENCTRL, 1), 0);
	assert_int_equal(read_general(rig, CBDMA_INTRCTRL, 1), 0);
	assert_int_equal(read_general(rig, CBDMA_ATTNSTATUS, 4), 0);
	assert_int_equal(read_general(rig, CBDMA_CBVER, 1), 0x34);
	assert_int_equal(read_general(rig, CBDMA_INTRDELAY, 2), 0);
	assert_int_equal(read_general(rig, CBDMA_CS_STATUS, 2), 0);
	assert_int_equal(read_general(rig, CBDMA_DMACAPABILITY, 4), CBDMA_DMACAP_BFILL);
}

static void
test_channel_defaults(void **state)
{
	struct rig *rig = *state;

	for (rig->channel = 0; rig->channel < 2; rig->channel++) {
		assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), 0);
		assert_int_equal(rig_read(rig, CBDMA_DMA_COMP, 2), 6);
		assert_int_equal(rig_read(rig, CBDMA_CHANCMD, 1), 0);
		assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), 0);
		assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), CBDMA_CHANSTS_HALTED);
		assert_int_equal(rig_read(rig, CBDMA_CHAINADDR, 8), 0);
		assert_int_equal(rig_read(rig, CBDMA_CHANCMP, 8), 0);
		assert_int_equal(rig_read(rig, CBDMA_CDAR, 8), 0);
		assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), 0);
		assert_int_equal(rig_read(rig, CBDMA_CHANERRMSK, 4), 0);
	}
}

static void
test_read_only(void **state)
{
	static const struct {
		unsigned int offset, width;
	} regs[] = {
		{CBDMA_CHANCNT, 1},
		{CBDMA_XFERCAP, 1},
		{CBDMA_ATTNSTATUS, 4},
		{CBDMA_CBVER, 1},
		{CBDMA_CS_STATUS, 2},
		{CBDMA_DMACAPABILITY, 4},
		{CBDMA_CHANNEL(0) + CBDMA_DMA_COMP, 2},
		{CBDMA_CHANNEL(0) + CBDMA_CHANSTS, 8},
		{CBDMA_CHANNEL(0) + CBDMA_CDAR, 8},
		{CBDMA_CHANNEL(0) + CBDMA_CHANERR, 4},
	};
	struct rig *rig = *state;
	size_t i;

	for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		uint64_t before = read_general(rig, regs[i].offset, regs[i].width);

		write_general(rig, regs[i].offset, regs[i].width, UINT64_MAX);
		assert_int_equal(read_general(rig, regs[i].offset, regs[i].width), before);
		write_general(rig, regs[i].offset, regs[i].width, 0);
		assert_int_equal(read_general(rig, regs[i].offset, regs[i].width), before);
	}
}

static void
test_writable_bits(void **state)
{
	struct rig *rig = *state;

	write_general(rig, CBDMA_GENCTRL, 1, 0xff);
	assert_int_equal(read_general(rig, CBDMA_GENCTRL, 1), 0x01);
	write_general(rig, CBDMA_INTRDELAY, 2, 0xffff);
	assert_int_equal(read_general(rig, CBDMA_INTRDELAY, 2), 0x3fff);
	write_general(rig, CBDMA_INTRCTRL, 1, 0xff);
	assert_int_equal(read_general(rig, CBDMA_INTRCTRL, 1), 0x09);
	rig_write(rig, CBDMA_CHANERRMSK, 4, UINT32_MAX);
	assert_int_equal(rig_read(rig, CBDMA_CHANERRMSK, 4), 0x7ffff);
	rig_write(rig, CBDMA_CHANCTRL, 2, 0xffff);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), 0x3c);
	rig_write(rig, CBDMA_CHANCMP, 8, 0x123456789abcdeffull);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP, 8), 0x123456789abcdef8ull);
	rig_write(rig, CBDMA_CHAINADDR, 8, 0x123456789abcdef1ull);
	assert_int_equal(rig_read(rig, CBDMA_CHAINADDR, 8), 0x123456789abcdef1ull);
}

/* Linux writes addresses as two halves, DPDK as a whole; every width reaches every register. */
static void
test_widths(void **state)
{
	struct rig *rig = *state;
	unsigned int i;

	rig_write(rig, CBDMA_CHANCMP, 4, 0x89abcde8);
	rig_write(rig, CBDMA_CHANCMP + 4, 4, 0x01234567);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP, 8), 0x0123456789abcde8ull);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP, 4), 0x89abcde8);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP + 4, 4), 0x01234567);
	for (i = 0; i < 8; i++)
		rig_write(rig, CBDMA_CHANCMP + i, 1, 0x10 * i + 8);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP, 8), 0x7868584838281808ull);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP + 3, 1), 0x38);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP + 2, 2), 0x3828);
	rig_write(rig, CBDMA_CHANCMP + 2, 2, 0xaabb);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP, 8), 0x78685848aabb1808ull);

	/* Across registers: CHANCNT, XFERCAP, GENCTRL, INTRCTRL and the top of ATTNSTATUS. */
	assert_int_equal(read_general(rig, CBDMA_CHANCNT, 4), 0x00001402);
	assert_int_equal(read_general(rig, CBDMA_CHANCNT, 8), 0x00001402);
	assert_int_equal(read_general(rig, CBDMA_CBVER, 8), 0x34);
	write_general(rig, CBDMA_CHANCNT, 4, 0x09010000);
	assert_int_equal(read_general(rig, CBDMA_CHANCNT, 4), 0x09011402);
	/* DMACOUNT, CHANCMD, DMA_COMP and CHANCTRL in one access. */
	rig_write(rig, CBDMA_CHANCTRL, 8, 0x1234000000000018ull);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 8), 0x1234000000060018ull);
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), 0x1234);
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT + 1, 1), 0x12);
	rig_write(rig, CBDMA_DMACOUNT + 1, 1, 0x56);
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), 0x5634);
	/* Not aligned: half of CHAINADDR, half of CHANCMP. */
	rig_write(rig, CBDMA_CHAINADDR, 8, 0x1111111122222200ull);
	rig_write(rig, CBDMA_CHANCMP, 8, 0x3333333344444400ull);
	assert_int_equal(rig_read(rig, CBDMA_CHAINADDR + 4, 8), 0x4444440011111111ull);
	/* High byte of CHANCTRL alone leaves the low byte as it is, and the other way round. */
	rig_write(rig, CBDMA_CHANCTRL + 1, 1, 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), 0x18);
	/* Half of CHANSTS. */
	rig_write(rig, CBDMA_CHAINADDR, 8, RIG_IOVA);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 4), CBDMA_CHANSTS_ARMED);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS + 4, 4), 0);
}

static void
test_no_answer(void **state)
{
	struct rig *rig = *state;

	/* Reserved: 0. */
	assert_int_equal(read_general(rig, 0x14, 4), 0);
	assert_int_equal(read_general(rig, 0x40, 8), 0);
	assert_int_equal(rig_read(rig, 0x40, 8), 0);
	assert_int_equal(rig_read(rig, CBDMA_DCACTRL, 4), 0);
	write_general(rig, 0x14, 4, 0xffffffff);
	assert_int_equal(read_general(rig, 0x14, 4), 0);
	/* A channel that is not there. */
	assert_int_equal(read_general(rig, CBDMA_CHANNEL(2) + CBDMA_CHANSTS, 8), 0);
	write_general(rig, CBDMA_CHANNEL(2) + CBDMA_CHANCMP, 8, 0x1000);
	assert_int_equal(read_general(rig, CBDMA_CHANNEL(2) + CBDMA_CHANCMP, 8), 0);
	/* The last bytes of the BAR, and what is not of the BAR any more. */
	assert_int_equal(read_general(rig, 0x3ff8, 8), 0);
	assert_int_equal(read_general(rig, 0x3ffc, 8), UINT64_MAX);
	assert_int_equal(read_general(rig, 0x4000, 4), UINT32_MAX);
	assert_int_equal(dm_device_read(rig->dev, UINT64_MAX, 1), UINT8_MAX);
	assert_int_equal(dm_device_read(rig->dev, UINT64_MAX - 3, 8), UINT64_MAX);
	write_general(rig, 0x4000, 4, 0);
	dm_device_write(rig->dev, UINT64_MAX - 3, 8, 0);
	/* Widths that no bus has. */
	assert_int_equal(read_general(rig, CBDMA_CHANCNT, 0), UINT64_MAX);
	assert_int_equal(read_general(rig, CBDMA_CHANCNT, 3), 0xffffff);
	assert_int_equal(read_general(rig, CBDMA_CHANCNT, 16), UINT64_MAX);
	write_general(rig, CBDMA_GENCTRL, 3, 1);
	assert_int_equal(read_general(rig, CBDMA_GENCTRL, 1), 0);
}

static void
test_in_use(void **state)
{
	struct rig *rig = *state;

	/* Reading the low byte does not claim. */
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), CBDMA_CHANCTRL_IN_USE);
	rig_write(rig, CBDMA_CHANCTRL, 1, 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), CBDMA_CHANCTRL_IN_USE);
	rig_write(rig, CBDMA_CHANCTRL, 2, CBDMA_CHANCTRL_IN_USE);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), CBDMA_CHANCTRL_IN_USE);
	rig_write(rig, CBDMA_CHANCTRL, 2, 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), 0);
	rig->channel = 1;
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), 0);
}

static void
test_chanerr_w1c(void **state)
{
	struct rig *rig = *state;

	rig_start(rig);
	rig_ring(rig, 1); /* size 0 */
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_DXSERR);
	rig_write(rig, CBDMA_CHANERR, 4, ~CBDMA_CHANERR_DXSERR);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_DXSERR);
	rig_write(rig, CBDMA_CHANERR, 1, 0xff); /* bits 7:0 only */
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_DXSERR);
	rig_write(rig, CBDMA_CHANERR + 1, 1, CBDMA_CHANERR_DXSERR >> 8);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), 0);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_HALTED);
}

static void
test_channel_reset(void **state)
{
	struct rig *rig = *state;

	rig_start(rig);
	rig_copies(rig, 0, 3);
	rig_run(rig, 3);
	rig_write(rig, CBDMA_CHANERRMSK, 4, 0x30000);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMD, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANSTS, 8), CBDMA_CHANSTS_HALTED);
	assert_int_equal(rig_read(rig, CBDMA_DMACOUNT, 2), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANCMP, 8), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHAINADDR, 8), 0);
	assert_int_equal(rig_read(rig, CBDMA_CDAR, 8), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERRMSK, 4), 0x30000);
	/* Halted, it runs nothing. */
	rig_write(rig, CBDMA_DMACOUNT, 2, 1);
	assert_false(dm_device_pending(rig->dev));
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_HALTED);

	/* Errors stay. */
	rig_start_at(rig, 3);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_DXSERR);
}

static void
test_function_reset(void **state)
{
	struct rig *rig = *state;

	write_general(rig, CBDMA_GENCTRL, 1, 1);
	write_general(rig, CBDMA_INTRCTRL, 1, 1);
	write_general(rig, CBDMA_INTRDELAY, 2, 100);
	for (rig->channel = 0; rig->channel < 2; rig->channel++) {
		rig_start_at(rig, 10);
		rig_write(rig, CBDMA_CHANERRMSK, 4, 0x30000);
		rig_ring(rig, 1);
	}
	assert_int_equal(dm_device_run(rig->dev, 2), 0);
	rig->channel = 1;
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_DXSERR);
	dm_device_reset(rig->dev);
	test_general_defaults(state);
	test_channel_defaults(state);
	assert_false(dm_device_pending(rig->dev));
}

/* The mappings are not the function's: they survive its reset. */
static void
test_function_reset_keeps_mappings(void **state)
{
	struct rig *rig = *state;

	dm_device_reset(rig->dev);
	rig_start(rig);
	rig_copies(rig, 0, 1);
	rig_run(rig, 1);
	assert_true(rig_copied(rig, 0));
	dm_device_unmap_all(rig->dev);
	rig_ring(rig, 1);
	assert_int_equal(dm_device_run(rig->dev, 1), 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4),
			CBDMA_CHANERR_NDADDERR | CBDMA_CHANERR_CMPADDERR);
}

static void
test_command(void **state)
{
	struct rig *rig = *state;

	/* Commands of older versions do nothing. */
	rig_start(rig);
	rig_write(rig, CBDMA_CHANCMD, 1, (uint8_t)~(CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND));
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_ARMED);
	rig_write(rig, CBDMA_CHANCMD, 1, 0);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_ARMED);
	/* Two at once are an error. */
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_HALTED);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4), CBDMA_CHANERR_CCMDERR);
	assert_int_equal(dm_device_run(rig->dev, 1), 0); /* the word may be written by it only */
	assert_int_equal(*rig->word, CBDMA_CHANSTS_HALTED);
	/* Which keeps it from being armed until it is cleared. */
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	rig_write(rig, CBDMA_CHAINADDR, 8, RIG_IOVA);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_HALTED);
	rig_write(rig, CBDMA_CHANERR, 4, CBDMA_CHANERR_CCMDERR);
	rig_write(rig, CBDMA_CHAINADDR, 8, RIG_IOVA);
	assert_int_equal(rig_state(rig), CBDMA_CHANSTS_ARMED);
}

/* A register access can have the device write memory, too: not to where has been unmapped. */
static void
test_command_unmapped(void **state)
{
	struct rig *rig = *state;

	rig_copies(rig, 0, 1);
	rig_start(rig);
	rig_run(rig, 1);
	assert_int_equal(dm_device_unmap(rig->dev, rig_iova(RIG_WORD), 64), 0);
	*rig->word = 0;
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(*rig->word, 0);
	assert_int_equal(rig_read(rig, CBDMA_CHANERR, 4),
			CBDMA_CHANERR_CCMDERR | CBDMA_CHANERR_CMPADDERR);
}

/* Start channel with one descriptor to come that interrupts. */
static void
start_interrupting(struct rig *rig, unsigned int channel)
{
	rig->channel = channel;
	rig_copies(rig, channel * 16, 16);
	rig_start_at(rig, channel * 16);
	rig->ring[channel * 16].control |= CBDMA_DESC_INT_EN;
}

static void
test_interrupt(void **state)
{
	struct rig *rig = *state;

	write_general(rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	start_interrupting(rig, 1);
	rig_run(rig, 1);
	assert_int_equal(interrupts[0], 0);
	assert_int_equal(interrupts[1], 1);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 2),
			RIG_ERROR_REPORT | CBDMA_CHANCTRL_INT_DISABLE);

	/* As Linux' handler for MSI: enabled and raised, by whom, write back what was read. */
	assert_int_equal(read_general(rig, CBDMA_INTRCTRL, 1),
			CBDMA_INTRCTRL_MASTER_INT_EN | CBDMA_INTRCTRL_INT_STATUS |
					CBDMA_INTRCTRL_INT);
	assert_int_equal(read_general(rig, CBDMA_INTRCTRL, 1), CBDMA_INTRCTRL_INT_STATUS);
	assert_int_equal(read_general(rig, CBDMA_ATTNSTATUS, 4), 0x2);
	assert_int_equal(read_general(rig, CBDMA_ATTNSTATUS, 4), 0);
	write_general(rig, CBDMA_INTRCTRL, 1, 0x07);
	assert_int_equal(read_general(rig, CBDMA_INTRCTRL, 1), CBDMA_INTRCTRL_MASTER_INT_EN);
	write_general(rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	assert_int_equal(interrupts[1], 1);

	/* One without INT_EN: none. */
	rig_run(rig, 1);
	assert_int_equal(interrupts[1], 1);
	/* One more while disabled: comes with the rearming, once. Writing 0 rearms nothing. */
	rig->ring[18].control |= CBDMA_DESC_INT_EN;
	rig->ring[19].control |= CBDMA_DESC_INT_EN;
	rig_run(rig, 1);
	rig_run(rig, 1);
	rig_write(rig, CBDMA_CHANCTRL, 2, RIG_ERROR_REPORT);
	assert_int_equal(interrupts[1], 1);
	rig_write(rig, CBDMA_CHANCTRL, 2, RIG_ERROR_REPORT | CBDMA_CHANCTRL_INT_DISABLE);
	assert_int_equal(interrupts[1], 2);
	rig_write(rig, CBDMA_CHANCTRL, 2, RIG_ERROR_REPORT | CBDMA_CHANCTRL_INT_DISABLE);
	assert_int_equal(interrupts[1], 2);
	assert_int_equal(rig_read(rig, CBDMA_CHANCTRL, 1), RIG_ERROR_REPORT);
}

static void
test_interrupt_master(void **state)
{
	struct rig *rig = *state;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		start_interrupting(rig, i);
		rig_run(rig, 1);
	}
	assert_int_equal(interrupts[0] + interrupts[1], 0);
	assert_int_equal(read_general(rig, CBDMA_INTRCTRL, 1), CBDMA_INTRCTRL_INT_STATUS);
	/* Enabling brings what was held back, once. */
	write_general(rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	assert_int_equal(interrupts[0], 1);
	assert_int_equal(interrupts[1], 1);
	write_general(rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	assert_int_equal(interrupts[0], 1);

	/* Not so if it was seen in ATTNSTATUS before, or if the channel was reset. */
	write_general(rig, CBDMA_INTRCTRL, 1, 0);
	for (i = 0; i < 2; i++) {
		start_interrupting(rig, i);
		rig_run(rig, 1);
	}
	assert_int_equal(read_general(rig, CBDMA_ATTNSTATUS, 1), 0x3);
	write_general(rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	assert_int_equal(interrupts[0], 1);
	write_general(rig, CBDMA_INTRCTRL, 1, 0);
	start_interrupting(rig, 0);
	rig_run(rig, 1);
	rig_write(rig, CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET);
	write_general(rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	assert_int_equal(interrupts[0], 1);
	assert_int_equal(read_general(rig, CBDMA_ATTNSTATUS, 4), 0);
}

/* When the interrupt comes, the completion word is there. */
static void
check_word(void *opaque, unsigned int channel)
{
	struct rig *rig = opaque;

	assert_int_equal(channel, 0);
	assert_int_equal(*rig->word, rig_desc_iova(0) | CBDMA_CHANSTS_IDLE);
	rig->count++;
}

/* Channels with a vector each do not wait for the master enable, which is for the handler that they
 * share otherwise.
 */
static void
test_interrupt_vectors(void **state)
{
	struct rig *rig = *state;

	write_general(rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MSIX_VECTOR_CONTROL);
	start_interrupting(rig, 1);
	rig_run(rig, 1);
	assert_int_equal(interrupts[0], 0);
	assert_int_equal(interrupts[1], 1);
}

static void
test_interrupt_after_word(void **state)
{
	struct rig rig;
	struct dm_cbdma_config config = {.interrupt = check_word, .opaque = &rig};

	(void)state;
	rig_create(&rig, &config);
	write_general(&rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	start_interrupting(&rig, 0);
	rig_run(&rig, 1);
	assert_int_equal(rig.count, 2);
	rig_destroy(&rig);
}

static void
test_error_interrupt(void **state)
{
	struct rig *rig = *state;
	unsigned int i;
	static const struct {
		uint16_t chanctrl;
		uint32_t mask;
		unsigned int expected;
	} cases[] = {
		{RIG_ERROR_REPORT | CBDMA_CHANCTRL_ERR_INT_EN, 0, 1},
		{RIG_ERROR_REPORT, 0, 0},
		{RIG_ERROR_REPORT | CBDMA_CHANCTRL_ERR_INT_EN, CBDMA_CHANERR_DXSERR, 0},
		{RIG_ERROR_REPORT | CBDMA_CHANCTRL_ERR_INT_EN, ~CBDMA_CHANERR_DXSERR, 1},
	};

	write_general(rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		interrupts[0] = 0;
		rig_start(rig);
		rig_write(rig, CBDMA_CHANCTRL, 2, cases[i].chanctrl);
		rig_write(rig, CBDMA_CHANERRMSK, 4, cases[i].mask);
		rig_ring(rig, 1);
		assert_int_equal(dm_device_run(rig->dev, 1), 0);
		assert_int_equal(rig_state(rig), CBDMA_CHANSTS_HALTED);
		assert_int_equal(interrupts[0], cases[i].expected);
	}
}

/* No callback given: nothing to call. */
static void
test_interrupt_nobody(void **state)
{
	struct dm_cbdma_config config = {0};
	struct rig rig;

	(void)state;
	rig_create(&rig, &config);
	write_general(&rig, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	start_interrupting(&rig, 0);
	rig_run(&rig, 1);
	assert_int_equal(read_general(&rig, CBDMA_ATTNSTATUS, 4), 1);
	rig_destroy(&rig);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_bad),
		cmocka_unit_test(test_config),
		RIG_TEST(test_general_defaults),
		RIG_TEST(test_channel_defaults),
		RIG_TEST(test_read_only),
		RIG_TEST(test_writable_bits),
		RIG_TEST(test_widths),
		RIG_TEST(test_no_answer),
		RIG_TEST(test_in_use),
		RIG_TEST(test_chanerr_w1c),
		RIG_TEST(test_channel_reset),
		RIG_TEST(test_function_reset),
		RIG_TEST(test_function_reset_keeps_mappings),
		RIG_TEST(test_command),
		RIG_TEST(test_command_unmapped),
		RIG_TEST(test_interrupt),
		RIG_TEST(test_interrupt_master),
		RIG_TEST(test_interrupt_vectors),
		cmocka_unit_test(test_interrupt_after_word),
		RIG_TEST(test_error_interrupt),
		cmocka_unit_test(test_interrupt_nobody),
	};

	return cmocka_run_group_tests_name("dm_registers", tests, NULL, NULL);
}
