/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The channel behind its registers: probe, start, stop, and what goes wrong in between. */

#include <errno.h>
#include <inttypes.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "cbdma_internal.h"

/* A poll that finds nothing looks at the registers once in so long, microseconds: a device that is
 * gone, or that has stopped without writing the completion word, is noticed soon, and an MMIO read
 * is not part of polling. What has been given up but has not stopped is tried again less often.
 */
#define CHECK_US      500
#define LOSE_AGAIN_US 100000

/* Where there was no answer, which may take a second to say so, the next look waits as long. */
#define NO_ANSWER_US 1000000

/* Slower than any device is at its longest transfer, which shows no progress before its end. */
#define SLOWEST_BYTES_PER_MS (64u << 10)

/* At the same slot, in a row. */
#define MAX_REPLAYS 3

/* Milliseconds for a command of the channel; public drivers give it 20 (SPDK, FreeBSD) to 200
 * (Linux for a reset).
 */
#define COMMAND_MS 100

/* Registers */

/* A sequence of accesses: after one that got no answer, reads give 0 and nothing is written. */
struct access {
	const struct cbdma_bus *bus;
	int error;
};

static uint64_t
rd(struct access *a, uint32_t offset, unsigned int width)
{
	uint64_t value = 0;

	if (a->error == 0)
		a->error = a->bus->read(a->bus->opaque, offset, width, &value);
	return a->error == 0 ? value : 0;
}

static void
wr(struct access *a, uint32_t offset, unsigned int width, uint64_t value)
{
	if (a->error == 0)
		a->error = a->bus->write(a->bus->opaque, offset, width, value);
}

static void
config_wr(struct access *a, uint32_t offset, uint32_t value)
{
	if (a->error == 0)
		a->error = a->bus->config_write(a->bus->opaque, offset, value);
}

static uint64_t
rd_chansts(struct access *a)
{
	return rd(a, CBDMA_CH(CBDMA_CHANSTS), 8);
}

/** For those who only show it: all ones where nothing answers. */
uint64_t
cbdma_read(const struct cbdma_bus *bus, uint32_t offset, unsigned int width)
{
	uint64_t value;

	return bus->read(bus->opaque, offset, width, &value) == 0 ? value : UINT64_MAX;
}

const char *
cbdma_chansts_name(uint64_t chansts)
{
	static const char *const name[] = {"ACTIVE", "IDLE", "SUSPENDED", "HALTED", "ARMED"};
	unsigned int state = cbdma_state(chansts);

	if (cbdma_is_gone(chansts))
		return "gone";
	return state < RTE_DIM(name) ? name[state] : "unknown";
}

const char *
cbdma_chanerr_name(unsigned int bit)
{
	static const char *const name[] = {
		"XSADDERR", "XDADDERR", "NDADDERR", "DERR", "CHADDERR", "CCMDERR", "CUNCORERR",
		"DUNCORERR", "RDERR", "WDERR", "DCERR", "DXSERR", "CMPADDERR", "INTCFGERR",
		"SEDERR", "UNAFFERR", "CXPERR", "bit17", "DCNTERR"};

	return bit < RTE_DIM(name) ? name[bit] : "reserved";
}

static bool
is_quiet(uint64_t chansts)
{
	unsigned int state = cbdma_state(chansts);

	return state != CBDMA_CHANSTS_ACTIVE && state != CBDMA_CHANSTS_IDLE;
}

static bool
is_armed(uint64_t chansts)
{
	return cbdma_state(chansts) == CBDMA_CHANSTS_ARMED;
}

static bool
is_reset_done(uint64_t chancmd)
{
	return !(chancmd & CBDMA_CHANCMD_RESET);
}

/* Wait until a register's value is done(). @return whether it came to be. */
static bool
wait_for(struct access *a, uint32_t offset, unsigned int width, bool (*done)(uint64_t value))
{
	const uint64_t end = rte_get_tsc_cycles() + rte_get_tsc_hz() / 1000 * COMMAND_MS;

	while (!done(rd(a, offset, width))) {
		if (a->error != 0 || rte_get_tsc_cycles() > end)
			return false;
		rte_delay_us(1);
	}
	return a->error == 0;
}

/* Completion */

/* CHANSTS may know of more than the completion word, when a write of that was lost. It can be
 * believed: the answer to a read comes behind what the device wrote before (PCIe ordering, and
 * relaxed ordering is off).
 */
static void
adopt_completion(struct cbdma_dev *dev, uint64_t chansts)
{
	uint64_t word = cbdma_read_completion(dev), address = chansts & CBDMA_CHANSTS_DESC_MASK;

	if (cbdma_done(dev, chansts) <= cbdma_done(dev, word))
		return;
	/* Not in the place of one that the device writes just now. */
	if (rte_atomic_compare_exchange_strong_explicit(dev->completion, &word, address,
			rte_memory_order_acquire, rte_memory_order_relaxed))
		dev->adopted++;
}

/* Position of the first slot that is not done. */
static uint32_t
next_to_do(const struct cbdma_dev *dev)
{
	return dev->tail + cbdma_done(dev, cbdma_read_completion(dev));
}

/* Reset and start */

/* Stop whatever the channel does, forget its errors and reset it: the order that Linux
 * (drivers/dma/ioat/dma.c, ioat_reset_hw()) and SPDK (lib/ioat/ioat.c, ioat_reset_hw()) keep.
 *
 * @return 0: the channel touches no memory any more; -ENODEV: the device is gone; -EIO: it does not
 *   come out of reset; another errno, negative: no answer.
 */
static int
channel_reset(struct cbdma_dev *dev, const struct cbdma_bus *bus)
{
	struct access a = {.bus = bus};
	uint64_t chansts = rd_chansts(&a);
	uint32_t errors = 0;

	if (a.error != 0)
		return a.error;
	if (cbdma_is_gone(chansts))
		return -ENODEV;
	if (!is_quiet(chansts)) {
		wr(&a, CBDMA_CH(CBDMA_CHANCMD), 1, CBDMA_CHANCMD_SUSPEND);
		if (!wait_for(&a, CBDMA_CH(CBDMA_CHANSTS), 8, is_quiet) && a.error == 0)
			CBDMA_LOG(WARNING, dev->name, "channel does not suspend, resetting it");
	}
	/* What it did last, before it forgets. */
	chansts = rd_chansts(&a);
	if (a.error == 0 && !cbdma_is_gone(chansts))
		adopt_completion(dev, chansts);

	/* Write 1 to clear. Linux clears CHANERR_INT below CBVER 3.3 here, and with each error
	 * whatever the version is; FreeBSD (sys/dev/ioat/ioat.c, ioat_reset_hw()) always. The mask
	 * is FreeBSD's, set with each reset: with these errors unmasked, some do not recover from
	 * bad addresses.
	 */
	wr(&a, CBDMA_CH(CBDMA_CHANERR), 4, rd(&a, CBDMA_CH(CBDMA_CHANERR), 4));
	config_wr(&a, CBDMA_PCI_CHANERRMSK_INT, CBDMA_PCI_CHANERRMSK_INT_RECOVER);
	if (a.error == 0)
		a.error = bus->config_read(bus->opaque, CBDMA_PCI_CHANERR_INT, &errors);
	config_wr(&a, CBDMA_PCI_CHANERR_INT, errors);

	wr(&a, CBDMA_CH(CBDMA_CHANCMD), 1, CBDMA_CHANCMD_RESET);
	if (wait_for(&a, CBDMA_CH(CBDMA_CHANCMD), 1, is_reset_done))
		return 0;
	if (a.error != 0)
		return a.error;
	chansts = rd_chansts(&a);
	if (cbdma_is_gone(chansts))
		return -ENODEV;
	CBDMA_LOG(ERR, dev->name, "channel does not come out of reset: CHANCMD %#x"
		" CHANSTS %#" PRIx64 " CHANERR %#x",
		(unsigned int)rd(&a, CBDMA_CH(CBDMA_CHANCMD), 1), chansts,
		(unsigned int)rd(&a, CBDMA_CH(CBDMA_CHANERR), 4));
	return -EIO;
}

/* Point a channel that was reset at a slot of the ring, with nothing to run yet. */
static int
channel_arm(struct cbdma_dev *dev, const struct cbdma_bus *bus, uint32_t pos)
{
	struct access a = {.bus = bus};
	uint64_t chansts;

	/* Not before the reset: what it was stopped in the middle of would go on. Not at the start
	 * only: a stop without an answer may have taken the bus away all the same.
	 */
	a.error = bus->set_bus_master(bus->opaque, true);
	wr(&a, CBDMA_CH(CBDMA_CHANCTRL), 2,
		CBDMA_CHANCTRL_ANY_ERR_ABORT_EN | CBDMA_CHANCTRL_ERR_COMPLETION_EN);
	wr(&a, CBDMA_CH(CBDMA_CHANCMP), 8, dev->completion_iova);
	wr(&a, CBDMA_CH(CBDMA_CHAINADDR), 8, cbdma_slot_iova(dev, pos));
	if (!wait_for(&a, CBDMA_CH(CBDMA_CHANSTS), 8, is_armed)) {
		if (a.error != 0)
			return a.error;
		chansts = rd_chansts(&a);
		CBDMA_LOG(ERR, dev->name, "channel is %s, not ARMED: CHANSTS %#" PRIx64,
			cbdma_chansts_name(chansts), chansts);
		return cbdma_is_gone(chansts) ? -ENODEV : -EIO;
	}
	/* As if the slot before had just been completed, but not before it is sure that the channel
	 * goes on from here. Nothing runs yet, so the device does not write the word either.
	 */
	dev->base = pos;
	rte_atomic_store_explicit(dev->completion, cbdma_slot_iova(dev, pos - CBDMA_SLOT),
		rte_memory_order_relaxed);
	return 0;
}

/** What the hardware says of itself; leaves the channel reset. */
int
cbdma_channel_probe(struct cbdma_dev *dev, const struct cbdma_bus *bus)
{
	struct access a = {.bus = bus};
	unsigned int chancnt, xfercap;
	uint64_t chansts;

	dev->probed = false;
	chansts = rd_chansts(&a);
	dev->cbver = rd(&a, CBDMA_CBVER, 1);
	chancnt = rd(&a, CBDMA_CHANCNT, 1) & CBDMA_CHANCNT_MASK;
	xfercap = rd(&a, CBDMA_XFERCAP, 1) & CBDMA_XFERCAP_MASK;
	dev->has_fill = rd(&a, CBDMA_DMACAPABILITY, 4) & CBDMA_DMACAP_BFILL;
	if (a.error != 0) {
		CBDMA_LOG(ERR, dev->name, "no answer from the device: %s", rte_strerror(-a.error));
		return a.error;
	}
	if (cbdma_is_gone(chansts)) {
		CBDMA_LOG(ERR, dev->name, "no device: its registers read all ones");
		return -ENODEV;
	}
	if (dev->cbver < CBDMA_VER_3_0 || dev->cbver > CBDMA_VER_3_4) {
		CBDMA_LOG(ERR, dev->name, "CBVER %u.%u, the driver knows 3.0 to 3.4",
			dev->cbver >> 4, dev->cbver & 0xf);
		return -ENOTSUP;
	}
	if (chancnt == 0) {
		CBDMA_LOG(ERR, dev->name, "it has no channel");
		return -ENODEV;
	}
	if (chancnt > 1)
		CBDMA_LOG(NOTICE, dev->name, "it has %u channels, the first is used", chancnt);
	if (xfercap != 0 && xfercap < CBDMA_XFERCAP_MIN) {
		CBDMA_LOG(ERR, dev->name, "XFERCAP %u is below its minimum of %u", xfercap,
			CBDMA_XFERCAP_MIN);
		return -EIO;
	}
	dev->max_len = xfercap == 0 ? UINT32_MAX : 1u << xfercap;
	if (bus->stall_ms != 0)
		dev->stall_cycles = rte_get_tsc_hz() / 1000 *
			(bus->stall_ms + dev->max_len / SLOWEST_BYTES_PER_MS);

	if (rd(&a, CBDMA_CH(CBDMA_CHANCTRL), 2) & CBDMA_CHANCTRL_IN_USE) {
		CBDMA_LOG(WARNING, dev->name, "channel is marked as in use, taking it over");
		wr(&a, CBDMA_CH(CBDMA_CHANCTRL), 2, 0);
	}
	if (a.error == 0)
		a.error = channel_reset(dev, bus);
	dev->probed = a.error == 0;
	return a.error;
}

/** From any state to ARMED at slot 0. */
int
cbdma_channel_start(struct cbdma_dev *dev, const struct cbdma_bus *bus)
{
	int ret = channel_reset(dev, bus);

	if (ret == 0)
		ret = channel_arm(dev, bus, 0);
	if (ret == -ENODEV)
		CBDMA_LOG(ERR, dev->name, "device is gone: its registers read all ones");
	return ret;
}

/**
 * See to it that the channel touches no memory any more.
 *
 * @return 0: it does not; an errno, negative: that is not known.
 */
int
cbdma_channel_stop(struct cbdma_dev *dev, const struct cbdma_bus *bus)
{
	int ret = channel_reset(dev, bus);

	return ret == 0 ? 0 : bus->set_bus_master(bus->opaque, false);
}

/* Trouble */

/* Causes that are the descriptor's: others would strike whatever operation it was, and leave it
 * undone but not at fault. CHANERR may be 0 as well, after a halt that was asked for.
 */
#define CHANERR_OF_DESCRIPTOR                                                                     \
	(CBDMA_CHANERR_XSADDERR | CBDMA_CHANERR_XDADDERR | CBDMA_CHANERR_NDADDERR |               \
			CBDMA_CHANERR_DERR | CBDMA_CHANERR_CUNCORERR | CBDMA_CHANERR_DUNCORERR |  \
			CBDMA_CHANERR_RDERR | CBDMA_CHANERR_WDERR | CBDMA_CHANERR_DCERR |         \
			CBDMA_CHANERR_DXSERR)

static enum rte_dma_status_code
chanerr_to_status(uint32_t chanerr)
{
	if (chanerr & CBDMA_CHANERR_XSADDERR)
		return RTE_DMA_STATUS_INVALID_SRC_ADDR;
	if (chanerr & CBDMA_CHANERR_XDADDERR)
		return RTE_DMA_STATUS_INVALID_DST_ADDR;
	if (chanerr & CBDMA_CHANERR_DXSERR)
		return RTE_DMA_STATUS_INVALID_LENGTH;
	if (chanerr & CBDMA_CHANERR_DCERR)
		return RTE_DMA_STATUS_INVALID_OPCODE;
	if (chanerr & CBDMA_CHANERR_RDERR)
		return RTE_DMA_STATUS_BUS_READ_ERROR;
	if (chanerr & CBDMA_CHANERR_WDERR)
		return RTE_DMA_STATUS_BUS_WRITE_ERROR;
	if (chanerr & (CBDMA_CHANERR_CUNCORERR | CBDMA_CHANERR_DUNCORERR))
		return RTE_DMA_STATUS_DATA_POISION;
	return RTE_DMA_STATUS_DESCRIPTOR_READ_ERROR;
}

/* The channel cannot be used any more: until the device is started again nothing is taken and, once
 * it is sure that the channel has stopped, all that is outstanding fails. Not before: whose
 * operation has failed takes its memory back.
 */
static void
lose(struct cbdma_dev *dev, const struct cbdma_bus *bus, const char *why)
{
	const bool again = dev->trouble == CBDMA_TROUBLE_LOSING;

	dev->doorbell = &dev->idle_doorbell;
	dev->capacity = 0;
	cbdma_set_limit(dev);
	if (cbdma_channel_stop(dev, bus) != 0) {
		if (!again)
			CBDMA_LOG(ERR, dev->name, "%s, and it cannot be stopped: what is"
				" outstanding stays so until it can be", why);
		dev->trouble = CBDMA_TROUBLE_LOSING;
		dev->next_look = rte_get_tsc_cycles() + cbdma_us(LOSE_AGAIN_US);
		return;
	}
	dev->rung = dev->head; /* those that the device was not told of fail as well */
	dev->trouble = CBDMA_TROUBLE_LOST;
	dev->failed_status = RTE_DMA_STATUS_BUS_ERROR;
	dev->lost++;
	CBDMA_LOG(ERR, dev->name, "%s: %u operations fail; stop and start the device", why,
		cbdma_ops_up_to(dev, dev->head) - cbdma_ops_up_to(dev, next_to_do(dev)));
}

/* The way to the device did not answer, which says nothing of the device. */
static void
no_answer(struct cbdma_dev *dev)
{
	dev->no_answer = true;
	dev->next_look = rte_get_tsc_cycles() + cbdma_us(NO_ANSWER_US);
}

/* Tell the channel once more of what it has been told of. */
static void
ring_again(struct cbdma_dev *dev)
{
	rte_atomic_store_explicit(dev->doorbell, (uint16_t)((dev->rung - dev->base) / CBDMA_SLOT),
		rte_memory_order_release);
}

/* Reset the channel and have it go on from a position. @return whether it does. */
static bool
restart_at(struct cbdma_dev *dev, const struct cbdma_bus *bus, uint32_t pos)
{
	int ret;

	/* What DMACOUNT counts from may change without our being told: it must not be rung. */
	dev->doorbell = &dev->idle_doorbell;
	dev->restarting = true;
	ret = channel_reset(dev, bus);
	if (ret == 0)
		ret = channel_arm(dev, bus, pos);
	if (ret == -ENODEV)
		lose(dev, bus, "the device is gone");
	else if (ret == -EIO)
		lose(dev, bus, "the channel does not recover from an error");
	else if (ret != 0)
		no_answer(dev);
	if (ret != 0)
		return false;
	dev->restarting = false;
	dev->doorbell = dev->bus_doorbell;
	/* What the device had been told of it is told of again, from the new start. */
	if (dev->rung != pos)
		ring_again(dev);
	dev->idle_since = rte_get_tsc_cycles();
	return true;
}

/* Reset the channel and have it do what is not done, from the first slot of that on. Copies and
 * fills can be done again, as nobody has been told that they are done.
 */
static void
replay(struct cbdma_dev *dev, const struct cbdma_bus *bus, const char *why, uint32_t chanerr)
{
	const uint32_t pos = next_to_do(dev);

	if (dev->replay_next != pos)
		dev->replays_there = 0;
	dev->replay_next = pos;
	if (dev->replays_there++ == MAX_REPLAYS) {
		lose(dev, bus, why);
		return;
	}
	if (dev->replays == 0)
		CBDMA_LOG(WARNING, dev->name, "%s, CHANERR %#x: resetting it, going on with"
			" operation %" PRIu64 " (further ones are counted, not logged)", why,
			chanerr, dev->completed + cbdma_ops_up_to(dev, pos));
	if (restart_at(dev, bus, pos))
		dev->replays++;
}

/* The channel has halted: when that is the fault of the descriptor behind the last that was done,
 * the operation that it belongs to has failed. Start the channel again behind that operation, so
 * that those after it run.
 */
static void
recover(struct cbdma_dev *dev, const struct cbdma_bus *bus)
{
	struct access a = {.bus = bus};
	const uint32_t chanerr = rd(&a, CBDMA_CH(CBDMA_CHANERR), 4);
	const uint32_t pos = next_to_do(dev);
	const uint16_t failed = cbdma_ops_up_to(dev, pos);
	const uint64_t failed_op = dev->completed + failed;
	unsigned int bit;

	if (a.error != 0) {
		no_answer(dev);
		return;
	}
	if (!(chanerr & CHANERR_OF_DESCRIPTOR) || pos == dev->rung) {
		replay(dev, bus, "channel halted without a fault of a descriptor", chanerr);
		return;
	}
	if (!restart_at(dev, bus, cbdma_op_end(dev, failed)))
		return;
	CBDMA_LOG(DEBUG, dev->name, "operation %" PRIu64 " failed, CHANERR %#x", failed_op,
		chanerr);
	for (bit = 0; bit < RTE_DIM(dev->chanerr_count); bit++)
		dev->chanerr_count[bit] += chanerr >> bit & 1;
	dev->failed_op = failed_op;
	dev->failed_status = chanerr_to_status(chanerr);
	dev->trouble = CBDMA_TROUBLE_FAILED_OP;
	dev->recoveries++;
}

/** Polls have found nothing for a little while. */
void
cbdma_channel_wake(struct cbdma_dev *dev)
{
	const struct cbdma_port *port = cbdma_port_of(dev);

	if (port != NULL && port->bus.wake != NULL)
		port->bus.wake(port->bus.opaque);
	dev->next_look = dev->idle_since + cbdma_us(CHECK_US);
}

/** Operations are outstanding, and polls have found nothing for long, or somebody saw something. */
void
cbdma_channel_check(struct cbdma_dev *dev)
{
	const struct cbdma_port *port = cbdma_port_of(dev);
	const uint64_t now = rte_get_tsc_cycles();
	struct access a;
	uint64_t chansts;

	dev->next_look = now + cbdma_us(CHECK_US);
	if (dev->idle_since == 0)
		dev->idle_since = now;
	if (port == NULL)
		return;
	if (dev->trouble == CBDMA_TROUBLE_LOSING) {
		lose(dev, &port->bus, "the channel has stopped at last");
		return;
	}
	a = (struct access){.bus = &port->bus};
	chansts = rd_chansts(&a);
	if (a.error != 0) {
		no_answer(dev);
		return;
	}
	dev->no_answer = false;
	dev->trouble = CBDMA_TROUBLE_NONE;
	if (cbdma_is_gone(chansts)) {
		lose(dev, &port->bus, "the device is gone");
		return;
	}
	if (dev->restarting) {
		restart_at(dev, &port->bus, next_to_do(dev));
		return;
	}
	adopt_completion(dev, chansts);
	if (dev->seen_next != next_to_do(dev))
		dev->idle_since = now;
	dev->seen_next = next_to_do(dev);
	switch (cbdma_state(chansts)) {
	case CBDMA_CHANSTS_HALTED:
		recover(dev, &port->bus);
		return;
	case CBDMA_CHANSTS_SUSPENDED:
		replay(dev, &port->bus, "channel is suspended", 0);
		return;
	case CBDMA_CHANSTS_IDLE:
	case CBDMA_CHANSTS_ARMED:
		if (cbdma_is_idle(dev))
			return;
		/* It does not know of all that it was told of. */
		ring_again(dev);
		dev->rung_again++;
		break;
	default:
		break;
	}
	if (dev->stall_cycles != 0 && now - dev->idle_since > dev->stall_cycles)
		replay(dev, &port->bus, "channel makes no progress", 0);
}
