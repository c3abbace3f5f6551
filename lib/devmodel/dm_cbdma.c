/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_cbdma_impl.h"
#include "dm_guard.h"

#define CHANCTRL_WRITABLE                                                                          \
	(CBDMA_CHANCTRL_DESC_ADDR_SNOOP | CBDMA_CHANCTRL_ERR_INT_EN |                              \
			CBDMA_CHANCTRL_ANY_ERR_ABORT_EN | CBDMA_CHANCTRL_ERR_COMPLETION_EN)

#define CHANERR_ADDRESS (CBDMA_CHANERR_XSADDERR | CBDMA_CHANERR_XDADDERR | CBDMA_CHANERR_NDADDERR)

/* Compatible with versions 2 and 3, not with 1 [DS]. */
#define DMA_COMP_VALUE 0x6

/* The registers, for accesses of any width: one reaches whole registers, parts of them, or several. */
struct cbdma_register {
	uint8_t offset;
	uint8_t size;
};

static const struct cbdma_register general_registers[] = {
	{CBDMA_CHANCNT, 1},
	{CBDMA_XFERCAP, 1},
	{CBDMA_GENCTRL, 1},
	{CBDMA_INTRCTRL, 1},
	{CBDMA_ATTNSTATUS, 4},
	{CBDMA_CBVER, 1},
	{CBDMA_INTRDELAY, 2},
	{CBDMA_CS_STATUS, 2},
	{CBDMA_DMACAPABILITY, 4},
	{0, 0},
};

static const struct cbdma_register channel_registers[] = {
	{CBDMA_CHANCTRL, 2},
	{CBDMA_DMA_COMP, 2},
	{CBDMA_CHANCMD, 1},
	{CBDMA_DMACOUNT, 2},
	{CBDMA_CHANSTS, 8},
	{CBDMA_CHAINADDR, 8},
	{CBDMA_CHANCMP, 8},
	{CBDMA_CDAR, 8},
	{CBDMA_CHANERR, 4},
	{CBDMA_CHANERRMSK, 4},
	{0, 0},
};

static inline struct dm_cbdma *
to_cbdma(struct dm_device *dev)
{
	return (struct dm_cbdma *)dev;
}

void
cbdma_sync_tlb(struct dm_cbdma *cb)
{
	uint64_t generation = dm_iommu_generation(cb->dev.iommu);

	if (cb->generation == generation)
		return;
	dm_tlb_flush(&cb->read_tlb);
	dm_tlb_flush(&cb->write_tlb);
	cb->generation = generation;
}

void
cbdma_enter(struct dm_cbdma *cb, struct cbdma_channel *ch, uint8_t state)
{
	bool runnable = (state == CBDMA_CHANSTS_IDLE || state == CBDMA_CHANSTS_ARMED) &&
			!ch->resetting && !ch->stalled && !cb->gone;

	ch->state = state;
	__atomic_store_n(&ch->runnable, runnable, __ATOMIC_RELAXED);
}

uint64_t
cbdma_chansts(const struct cbdma_channel *ch)
{
	bool active = ch->stalled || (ch->runnable && cbdma_outstanding(ch) != 0);

	return ch->completed | (active ? CBDMA_CHANSTS_ACTIVE : ch->state);
}

/* Call out for the channels whose interrupt INTRCTRL held back. The master enable is for an interrupt
 * that channels share: Linux' self-tests of vfio, which know a Skylake, set but
 * MSIX_VECTOR_CONTROL (tools/testing/selftests/vfio/lib/drivers/ioat/ioat.c, ioat_init()).
 */
static void
cbdma_deliver(struct dm_cbdma *cb)
{
	const uint8_t enabled = CBDMA_INTRCTRL_MASTER_INT_EN | CBDMA_INTRCTRL_MSIX_VECTOR_CONTROL;
	unsigned int i;

	if ((cb->intrctrl & enabled) == 0)
		return;
	for (i = 0; i < cb->config.channels; i++) {
		if ((cb->undelivered & (1u << i)) == 0)
			continue;
		cb->undelivered &= ~(1u << i);
		if (cb->config.interrupt != NULL)
			cb->config.interrupt(cb->config.opaque, i);
		/* A vector each, once INTRCTRL says so; till then all share the first [LX]. */
		dm_device_interrupt(&cb->dev,
			cb->intrctrl & CBDMA_INTRCTRL_MSIX_VECTOR_CONTROL ? i : 0);
	}
}

/* INT_DISABLE sets itself with each interrupt, so that there is one per rearming [DS]. One that falls
 * due in between comes with the rearming; were it lost, [LX] could miss the last completion, since it
 * rearms after it has looked for completions (ioat_cleanup_event()).
 */
void
cbdma_interrupt(struct dm_cbdma *cb, struct cbdma_channel *ch)
{
	if (ch->owed != 0) {
		ch->interrupt_owed = true;
		return;
	}
	if (ch->chanctrl & CBDMA_CHANCTRL_INT_DISABLE) {
		ch->interrupt_due = true;
		return;
	}
	ch->chanctrl |= CBDMA_CHANCTRL_INT_DISABLE;
	cb->attnstatus |= 1u << ch->index;
	cb->undelivered |= 1u << ch->index;
	cbdma_deliver(cb);
}

/* @return whether the memory is there. */
static bool __attribute__((noinline))
store_guarded(uint64_t *at, uint64_t word)
{
	struct dm_guard guard;

	if (dm_guard_set(&guard))
		return false;
	/* Looked at first: TSan holds a lock of its own during the store, and would keep it. */
	(void)*(volatile uint64_t *)at;
	__atomic_store_n(at, word, __ATOMIC_RELEASE);
	dm_guard_clear();
	return true;
}

bool
cbdma_write_completion(struct dm_cbdma *cb, struct cbdma_channel *ch, uint64_t word)
{
	uint64_t len = sizeof(word);
	uint8_t *va = dm_tlb_lookup(&cb->write_tlb, ch->chancmp, len);

	if (!cb->dev.bus_master)
		return false;
	if (va == NULL)
		va = dm_tlb_fill(&cb->write_tlb, cb->dev.iommu, ch->chancmp, &len);
	if (va == NULL && cbdma_completes_remotely(cb, ch)) {
		__atomic_store_n(&ch->owed, word, __ATOMIC_RELAXED);
		return true;
	}
	if (va == NULL || len < sizeof(word))
		return false;
	/* What it announces was written before it: data, and the state that a register read shows. */
	return store_guarded((uint64_t *)va, word);
}

/* All errors of the model are affiliated to a channel: they stop it whatever ANY_ERR_ABORT_EN says,
 * that one is about unaffiliated errors [DS].
 *
 * CBVER 3.2 documents the completion write on error [DS], and [LX] relies on it with every 3.x
 * (ioat_cleanup()). [DPDK] offers error handling from 3.4 on only and gives no reason; so a driver had
 * better not rely on it below, and config.quiet_errors is there to test that.
 */
void
cbdma_halt(struct dm_cbdma *cb, struct cbdma_channel *ch, uint32_t chanerr)
{
	ch->chanerr |= chanerr;
	cb->chanerr_int |= chanerr;
	ch->suspend_due = false;
	ch->progress = 0;
	cb->dead |= cb->config.strict_errors && (chanerr & CHANERR_ADDRESS & ~cb->chanerrmsk_int) != 0;
	cbdma_enter(cb, ch, CBDMA_CHANSTS_HALTED);
	/* That this write fails cannot be told by it: CHANERR has to do. */
	if ((ch->chanctrl & CBDMA_CHANCTRL_ERR_COMPLETION_EN) && !cb->config.quiet_errors &&
			!cbdma_write_completion(cb, ch, cbdma_chansts(ch)))
		ch->chanerr |= CBDMA_CHANERR_CMPADDERR;
	if ((ch->chanctrl & CBDMA_CHANCTRL_ERR_INT_EN) && (chanerr & ~ch->chanerrmsk) != 0)
		cbdma_interrupt(cb, ch);
}

void
cbdma_strike(struct dm_cbdma *cb, struct cbdma_channel *ch)
{
	unsigned int i;

	if (ch->fault.at != 0)
		return;
	switch (ch->fault.kind) {
	case DM_CBDMA_FAULT_STALL:
		ch->stalled = true;
		cbdma_enter(cb, ch, ch->state);
		break;
	case DM_CBDMA_FAULT_SUSPEND:
		cbdma_enter(cb, ch, CBDMA_CHANSTS_SUSPENDED);
		break;
	case DM_CBDMA_FAULT_HALT:
		cbdma_halt(cb, ch, 0);
		break;
	case DM_CBDMA_FAULT_MUTE:
		cb->mute = true;
		break;
	case DM_CBDMA_FAULT_VANISH:
		cb->gone = true;
		for (i = 0; i < cb->config.channels; i++)
			cbdma_enter(cb, &cb->channel[i], cb->channel[i].state);
		break;
	default: /* the others strike where what they spoil is done */
		return;
	}
	ch->fault.kind = DM_CBDMA_FAULT_NONE;
}

/* Forget the chain: what a write to CHAINADDR and a reset have in common. The device sets DMACOUNT and
 * its internal counter to 0 [DS], and what it calls the last completed descriptor, too: both [LX]
 * (__cleanup()) and [DPDK] (__get_last_completed()) expect 0 when the first of a new chain fails.
 */
static void
channel_drop_chain(struct cbdma_channel *ch)
{
	__atomic_store_n(ch->doorbell, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ch->ran, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ch->seen, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ch->owed, 0, __ATOMIC_RELAXED);
	ch->interrupt_owed = false;
	ch->epoch++;
	ch->started = false;
	ch->suspend_due = false;
	ch->progress = 0;
	ch->completed = 0;
	ch->cdar = 0;
}

/* A write to CHAINADDR arms the channel from any state; from HALTED once the errors have been cleared,
 * with [FB] [DPDK] or without [LX] a reset in between. It is also what resumes a suspended channel: 3.x
 * has no command for that.
 */
static void
channel_arm(struct dm_cbdma *cb, struct cbdma_channel *ch)
{
	if (ch->resetting)
		return;
	channel_drop_chain(ch);
	if (cb->config.strict_errors && (cb->dead || cb->chanerr_int != 0))
		return;
	if (ch->chanerr == 0)
		cbdma_enter(cb, ch, CBDMA_CHANSTS_ARMED);
}

/* CHANCMD.RESET leaves the channel halted [FB]. What the drivers write again afterwards is reset:
 * CHANCTRL, CHANCMP, CHAINADDR. CHANERR is sticky [DS], and [LX] sets CHANERRMSK only once.
 */
static void
channel_reset(struct dm_cbdma *cb, struct cbdma_channel *ch)
{
	channel_drop_chain(ch);
	ch->resetting = false;
	ch->stalled = false;
	ch->interrupt_due = false;
	ch->chanctrl = 0;
	ch->chainaddr = 0;
	ch->chancmp = 0;
	cb->attnstatus &= ~(1u << ch->index);
	cb->undelivered &= ~(1u << ch->index);
	cbdma_enter(cb, ch, CBDMA_CHANSTS_HALTED);
}

/* Only a long descriptor, or one whose memory is another process's, is half run when the lock is
 * held: to suspend means to finish it first.
 */
static void
channel_command(struct dm_cbdma *cb, struct cbdma_channel *ch, uint8_t command)
{
	switch (command & (CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND)) {
	case CBDMA_CHANCMD_RESET:
		if (ch->fault.kind == DM_CBDMA_FAULT_RESET) {
			ch->resetting = true;
			cbdma_enter(cb, ch, ch->state);
		} else {
			channel_reset(cb, ch);
		}
		break;
	case CBDMA_CHANCMD_SUSPEND:
		if (ch->runnable && (ch->progress != 0 || ch->busy))
			ch->suspend_due = true;
		else if (ch->runnable)
			cbdma_enter(cb, ch, CBDMA_CHANSTS_SUSPENDED);
		break;
	case CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND:
		cbdma_halt(cb, ch, CBDMA_CHANERR_CCMDERR); /* more than one command at once [DS] */
		break;
	default: /* START, APPEND, ABORT and RESUME are commands of versions before 3 */
		break;
	}
}

/* mask: the bits that are read, for registers that reading changes. */
static uint64_t
general_read(struct dm_cbdma *cb, unsigned int offset, uint64_t mask)
{
	uint64_t value;

	switch (offset) {
	case CBDMA_CHANCNT:
		return cb->config.channels;
	case CBDMA_XFERCAP:
		return cb->config.xfercap;
	case CBDMA_GENCTRL:
		return cb->genctrl;
	case CBDMA_INTRCTRL:
		value = cb->intrctrl;
		if (cb->attnstatus != 0) {
			value |= CBDMA_INTRCTRL_INT_STATUS;
			if (cb->intrctrl & CBDMA_INTRCTRL_MASTER_INT_EN)
				value |= CBDMA_INTRCTRL_INT;
		}
		/* Reading disables; the handler writes back what it read (gem5 copy_engine.cc, [LX]). */
		cb->intrctrl &= ~(mask & CBDMA_INTRCTRL_MASTER_INT_EN);
		return value;
	case CBDMA_ATTNSTATUS: /* reading clears (gem5 copy_engine.cc) */
		value = cb->attnstatus;
		cb->attnstatus &= ~mask;
		cb->undelivered &= ~mask;
		return value;
	case CBDMA_CBVER:
		return cb->config.version;
	case CBDMA_INTRDELAY: /* coalescing is not modelled: CBDMA_INTRDELAY_SUPPORTED reads 0 */
		return cb->intrdelay;
	case CBDMA_DMACAPABILITY:
		return cb->config.no_fill ? 0 : CBDMA_DMACAP_BFILL;
	default: /* CBDMA_CS_STATUS: no restrictions */
		return 0;
	}
}

/* value: only bits of mask are set; mask: the bits that are written. */
static void
general_write(struct dm_cbdma *cb, unsigned int offset, uint64_t mask, uint64_t value)
{
	switch (offset) {
	case CBDMA_GENCTRL:
		mask &= 0x1; /* debug enable [LX] */
		cb->genctrl = (cb->genctrl & ~mask) | (value & mask);
		break;
	case CBDMA_INTRCTRL:
		mask &= CBDMA_INTRCTRL_MASTER_INT_EN | CBDMA_INTRCTRL_MSIX_VECTOR_CONTROL;
		cb->intrctrl = (cb->intrctrl & ~mask) | (value & mask);
		cbdma_deliver(cb);
		break;
	case CBDMA_INTRDELAY:
		mask &= CBDMA_INTRDELAY_MASK;
		cb->intrdelay = (cb->intrdelay & ~mask) | (value & mask);
		break;
	default: /* read-only */
		break;
	}
}

static uint64_t
channel_read(struct cbdma_channel *ch, unsigned int offset, uint64_t mask)
{
	uint64_t value;

	switch (offset) {
	case CBDMA_CHANCTRL:
		value = ch->chanctrl;
		/* Who reads 0 in IN_USE has claimed the channel by that [DS]. */
		ch->chanctrl |= mask & CBDMA_CHANCTRL_IN_USE;
		return value;
	case CBDMA_DMA_COMP:
		return DMA_COMP_VALUE;
	case CBDMA_CHANCMD:
		return ch->resetting ? CBDMA_CHANCMD_RESET : 0;
	case CBDMA_DMACOUNT:
		return cbdma_dmacount(ch);
	case CBDMA_CHANSTS:
		return cbdma_chansts(ch);
	case CBDMA_CHAINADDR:
		return ch->chainaddr;
	case CBDMA_CHANCMP:
		return ch->chancmp;
	case CBDMA_CDAR:
		return ch->cdar;
	case CBDMA_CHANERR:
		return ch->chanerr;
	case CBDMA_CHANERRMSK:
		return ch->chanerrmsk;
	default:
		return 0;
	}
}

static void
channel_write(struct dm_cbdma *cb, struct cbdma_channel *ch, unsigned int offset, uint64_t mask,
		uint64_t value)
{
	switch (offset) {
	case CBDMA_CHANCTRL:
		if ((mask & ~value) & CBDMA_CHANCTRL_IN_USE)
			ch->chanctrl &= ~CBDMA_CHANCTRL_IN_USE;
		mask &= CHANCTRL_WRITABLE;
		ch->chanctrl = (ch->chanctrl & ~mask) | (value & mask);
		if (value & CBDMA_CHANCTRL_INT_DISABLE) {
			ch->chanctrl &= ~CBDMA_CHANCTRL_INT_DISABLE;
			if (ch->interrupt_due) {
				ch->interrupt_due = false;
				cbdma_interrupt(cb, ch);
			}
		}
		break;
	case CBDMA_CHANCMD:
		channel_command(cb, ch, value);
		break;
	case CBDMA_DMACOUNT:
		value |= cbdma_dmacount(ch) & ~mask;
		__atomic_store_n(ch->doorbell, value, __ATOMIC_RELAXED);
		__atomic_store_n(&ch->seen, ch->ran, __ATOMIC_RELAXED);
		break;
	case CBDMA_CHAINADDR:
		ch->chainaddr = (ch->chainaddr & ~mask) | value;
		channel_arm(cb, ch);
		break;
	case CBDMA_CHANCMP: /* 8-byte aligned: the low bits are not there (SPDK ioat_spec.h) */
		ch->chancmp = ((ch->chancmp & ~mask) | value) & ~0x7ull;
		break;
	case CBDMA_CHANERR:
		ch->chanerr &= ~value;
		break;
	case CBDMA_CHANERRMSK:
		ch->chanerrmsk = ((ch->chanerrmsk & ~mask) | value) & CBDMA_CHANERR_IMPLEMENTED;
		break;
	default: /* read-only */
		break;
	}
}

/* What lies at an offset of the BAR: *reg, *ch (NULL: general register). False: reserved. */
static bool
find_register(struct dm_cbdma *cb, uint64_t offset, const struct cbdma_register **reg,
		struct cbdma_channel **ch)
{
	const struct cbdma_register *r = general_registers;
	uint64_t in_block = offset % CBDMA_CHANNEL_SIZE;
	uint64_t block = offset / CBDMA_CHANNEL_SIZE;

	static_assert(CBDMA_GENERAL_SIZE == CBDMA_CHANNEL_SIZE, "the BAR is made of equal blocks");
	if (block > cb->config.channels)
		return false;
	*ch = NULL;
	if (block > 0) {
		r = channel_registers;
		*ch = &cb->channel[block - 1];
	}
	for (; r->size != 0; r++) {
		if (in_block >= r->offset && in_block < r->offset + r->size) {
			*reg = r;
			return true;
		}
	}
	return false;
}

static bool
answers(const struct dm_cbdma *cb, uint64_t offset, unsigned int width)
{
	return !cb->gone && !cb->mute && (width == 1 || width == 2 || width == 4 || width == 8) &&
			offset < CBDMA_BAR_SIZE && width <= CBDMA_BAR_SIZE - offset;
}

/* The part of an access of width bytes at offset that falls into the register that the byte at
 * offset + done belongs to.
 */
struct part {
	unsigned int bytes;
	unsigned int shift; /**< of the part within the register, bits */
	uint64_t mask;	    /**< of the part within the register */
};

static struct part
cut_part(const struct cbdma_register *reg, uint64_t offset, unsigned int done, unsigned int width)
{
	unsigned int first = (offset + done) % CBDMA_CHANNEL_SIZE - reg->offset;
	struct part part = {.bytes = reg->size - first, .shift = first * 8};

	if (part.bytes > width - done)
		part.bytes = width - done;
	part.mask = (UINT64_MAX >> (64 - part.bytes * 8)) << part.shift;
	return part;
}

static uint64_t
cbdma_read(struct dm_device *dev, uint64_t offset, unsigned int width)
{
	struct dm_cbdma *cb = to_cbdma(dev);
	const struct cbdma_register *reg;
	struct cbdma_channel *ch;
	uint64_t value = 0;
	unsigned int done;
	struct part part;

	if (!answers(cb, offset, width))
		return UINT64_MAX >> (width >= 1 && width < 8 ? 64 - width * 8 : 0);
	for (done = 0; done < width; done += part.bytes) {
		uint64_t v;

		part.bytes = 1;
		if (!find_register(cb, offset + done, &reg, &ch))
			continue;
		part = cut_part(reg, offset, done, width);
		v = ch == NULL ? general_read(cb, reg->offset, part.mask)
			       : channel_read(ch, reg->offset, part.mask);
		value |= (v & part.mask) >> part.shift << (done * 8);
	}
	return value;
}

static void
cbdma_write(struct dm_device *dev, uint64_t offset, unsigned int width, uint64_t value)
{
	struct dm_cbdma *cb = to_cbdma(dev);
	const struct cbdma_register *reg;
	struct cbdma_channel *ch;
	unsigned int done;
	struct part part;

	if (!answers(cb, offset, width))
		return;
	cbdma_sync_tlb(cb);
	for (done = 0; done < width; done += part.bytes) {
		uint64_t v;

		part.bytes = 1;
		if (!find_register(cb, offset + done, &reg, &ch))
			continue;
		part = cut_part(reg, offset, done, width);
		v = (value >> (done * 8) << part.shift) & part.mask;
		if (ch == NULL)
			general_write(cb, reg->offset, part.mask, v);
		else
			channel_write(cb, ch, reg->offset, part.mask, v);
	}
}

static void
cbdma_reset(struct dm_device *dev)
{
	struct dm_cbdma *cb = to_cbdma(dev);
	unsigned int i;

	cb->genctrl = 0;
	cb->intrctrl = 0;
	cb->intrdelay = 0;
	cb->chanerr_int = 0;
	cb->chanerrmsk_int = 0;
	cb->dmauncerrsts = 0;
	cb->dead = false;
	for (i = 0; i < cb->config.channels; i++) {
		channel_reset(cb, &cb->channel[i]);
		cb->channel[i].chanerr = 0;
		cb->channel[i].chanerrmsk = 0;
	}
}

static bool
cbdma_pending(const struct dm_device *dev)
{
	const struct dm_cbdma *cb = (const struct dm_cbdma *)dev;
	unsigned int i;

	for (i = 0; i < cb->config.channels; i++) {
		const struct cbdma_channel *ch = &cb->channel[i];

		if (__atomic_load_n(&ch->runnable, __ATOMIC_RELAXED) &&
				(cbdma_known(ch) != 0 || cbdma_outstanding(ch) != 0))
			return true;
		if (__builtin_expect(__atomic_load_n(&ch->owed, __ATOMIC_RELAXED) != 0, 0))
			return true;
	}
	return false;
}

static void
cbdma_destroy(struct dm_device *dev)
{
	cbdma_pci_fini(to_cbdma(dev));
	dm_device_fini(dev);
	free(dev);
}

static const struct dm_device_ops cbdma_ops = {
	.read = cbdma_read,
	.write = cbdma_write,
	.reset = cbdma_reset,
	.pending = cbdma_pending,
	.run = cbdma_run,
	.destroy = cbdma_destroy,
	.wants_remote = cbdma_wants_remote,
	.pci_function = cbdma_pci_function,
	.config_read = cbdma_config_read,
	.config_write = cbdma_config_write,
	.pin_asserted = cbdma_pin_asserted,
};

/* @return what is wrong, NULL when nothing is. */
static const char *
complete_config(struct dm_cbdma_config *config)
{
	if (config->version == 0)
		config->version = CBDMA_VER_3_4;
	if (config->xfercap == 0)
		config->xfercap = 20;
	if (config->channels == 0)
		config->channels = 1;

	if (config->version < CBDMA_VER_3_0 || config->version > CBDMA_VER_3_4)
		return "version is not one of 3.0 to 3.4";
	if (config->xfercap < CBDMA_XFERCAP_MIN || config->xfercap > 31)
		return "xfercap is not one of 12 to 31";
	if (config->channels > DM_CBDMA_MAX_CHANNELS)
		return "more than 4 channels";
	if (config->doorbell_bar && config->doorbell[0] != NULL)
		return "doorbells in a BAR and elsewhere";
	return NULL;
}

struct dm_device *
dm_cbdma_create(const struct dm_cbdma_config *config, const char **error)
{
	struct dm_cbdma_config complete = *config;
	struct dm_cbdma *cb;
	unsigned int i;

	*error = complete_config(&complete);
	if (*error != NULL)
		return NULL;

	*error = "out of memory";
	cb = calloc(1, sizeof(*cb));
	if (cb == NULL)
		return NULL;
	if (dm_device_init(&cb->dev, &cbdma_ops) != 0) {
		free(cb);
		return NULL;
	}
	cb->config = complete;
	if (!cbdma_pci_init(cb)) {
		*error = "no shared memory for the doorbells";
		cbdma_destroy(&cb->dev);
		return NULL;
	}
	dm_copier_init(&cb->copier);
	cb->read_tlb.perm = DM_READ;
	cb->write_tlb.perm = DM_WRITE;
	for (i = 0; i < complete.channels; i++) {
		struct cbdma_channel *ch = &cb->channel[i];

		ch->index = i;
		ch->doorbell = cb->config.doorbell[i] != NULL ? cb->config.doorbell[i] : &ch->dmacount;
	}
	cbdma_reset(&cb->dev);
	*error = NULL;
	return &cb->dev;
}

int
dm_cbdma_inject(struct dm_device *dev, unsigned int channel, const struct dm_cbdma_fault *fault)
{
	struct dm_cbdma *cb = to_cbdma(dev);
	struct cbdma_channel *ch;

	if (dev->ops != &cbdma_ops || channel >= cb->config.channels)
		return -EINVAL;
	if (fault->kind == DM_CBDMA_FAULT_FAIL && fault->chanerr == 0)
		return -EINVAL;
	ch = &cb->channel[channel];
	dm_device_lock(dev);
	cb->mute = false;
	ch->fault = *fault;
	cbdma_strike(cb, ch);
	dm_device_unlock(dev);
	return 0;
}
