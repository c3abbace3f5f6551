/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "mmio_insn.h"
#include "mmio_trap.h"

#define MAX_TRAPS 8

#define TRAP_FLAG 0x100 /* of RFLAGS: SIGTRAP after each instruction */

struct trap {
	uintptr_t start;
	size_t size; /**< 0: free */
	const struct mmio_trap_ops *ops;
	void *opaque;
};

static struct trap traps[MAX_TRAPS];

static struct sigaction previous_segv, previous_ill, previous_trap;

/* What mmio_trap_call_after() was told, of each thread. */
static __thread struct {
	unsigned int instructions; /**< 0: nothing */
	void (*call)(void *opaque);
	void *opaque;
} later;

static greg_t *
register_of(ucontext_t *context, uint8_t number)
{
	static const uint8_t greg[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI,
		REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

	return &context->uc_mcontext.gregs[greg[number]];
}

static uintptr_t
address_of(ucontext_t *context, const struct mmio_insn *insn)
{
	const struct mmio_insn_address *memory = &insn->memory;
	uintptr_t address = (int64_t)memory->displacement;

	if (memory->next)
		address += context->uc_mcontext.gregs[REG_RIP] + insn->length;
	if (memory->base != MMIO_INSN_NO_REG)
		address += *register_of(context, memory->base);
	if (memory->index != MMIO_INSN_NO_REG)
		address += (uintptr_t)*register_of(context, memory->index) * memory->scale;
	return address;
}

static const struct trap *
find_trap(uintptr_t address)
{
	unsigned int i;

	for (i = 0; i < MAX_TRAPS; i++)
		if (address - traps[i].start < traps[i].size)
			return &traps[i];
	return NULL;
}

static void
load(ucontext_t *context, const struct mmio_insn *insn, uint64_t value)
{
	greg_t *reg = register_of(context, insn->reg);
	unsigned int unused = 64 - insn->width * 8;

	value = insn->sign ? (uint64_t)((int64_t)(value << unused) >> unused)
			   : value << unused >> unused;
	if (insn->high_byte)
		*reg = (*reg & ~0xff00ull) | value << 8;
	else if (insn->reg_width == 8)
		*reg = value;
	else if (insn->reg_width == 4)
		*reg = (uint32_t)value;
	else
		memcpy(reg, &value, insn->reg_width);
}

static uint64_t
stored(ucontext_t *context, const struct mmio_insn *insn)
{
	uint64_t value = *register_of(context, insn->reg);

	if (insn->has_immediate)
		value = insn->immediate;
	else if (insn->high_byte)
		value >>= 8;
	return value & UINT64_MAX >> (64 - insn->width * 8);
}

static void
give_up(const uint8_t *code)
{
	fprintf(stderr, "registers: cannot decode the instruction "
			"%02x %02x %02x %02x %02x %02x %02x %02x at %p\n",
		code[0], code[1], code[2], code[3], code[4], code[5], code[6], code[7],
		(const void *)code);
	abort();
}

/* Do what the instruction does that faulted at an address. */
static void
emulate(ucontext_t *context, const struct trap *trap, uintptr_t address, const struct mmio_insn *insn)
{
	const uint64_t offset = address - trap->start;

	if (insn->width == 64)
		trap->ops->write64(trap->opaque, offset, (const void *)address_of(context, insn));
	else if (insn->store)
		trap->ops->write(trap->opaque, offset, insn->width, stored(context, insn));
	else
		load(context, insn, trap->ops->read(trap->opaque, offset, insn->width));
	context->uc_mcontext.gregs[REG_RIP] += insn->length;
	if (later.instructions != 0)
		context->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

/* Where there is no handler to call, the instruction is tried again, and ends the process. */
static void
pass_on(const struct sigaction *previous, int sig, siginfo_t *info, void *context)
{
	if (previous->sa_flags & SA_SIGINFO)
		previous->sa_sigaction(sig, info, context);
	else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN)
		previous->sa_handler(sig);
	else
		sigaction(sig, previous, NULL);
}

static void
faulted(int sig, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;
	const uint8_t *code = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];
	const struct trap *trap = NULL;
	const int saved_errno = errno;
	struct mmio_insn insn;
	uintptr_t address = 0;
	bool known = false;

	if (sig == SIGSEGV && info->si_code > 0) {
		address = (uintptr_t)info->si_addr;
		trap = find_trap(address);
		known = trap != NULL && mmio_insn_decode(code, &insn);
	} else if (sig == SIGILL && info->si_code > 0) {
		known = mmio_insn_decode(code, &insn) && insn.width == 64;
		if (known) {
			address = *register_of(context, insn.reg);
			trap = find_trap(address);
		}
	}
	if (trap == NULL) {
		pass_on(sig == SIGSEGV ? &previous_segv : &previous_ill, sig, info, context);
	} else {
		if (!known || (insn.width == 64 && trap->ops->write64 == NULL))
			give_up(code);
		emulate(context, trap, address, &insn);
	}
	errno = saved_errno;
}

static void
stepped(int sig, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;
	const uint8_t *code = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];
	const int saved_errno = errno;

	if (info->si_code != TRAP_TRACE) {
		pass_on(&previous_trap, sig, info, context);
		return;
	}
	if (later.instructions > 1 && code[0] == 0x0f && code[1] == 0x05) /* syscall: it may sleep */
		later.instructions = 1;
	if (later.instructions != 0 && --later.instructions == 0)
		later.call(later.opaque);
	/* Flags that the program saved and restored may have it still. */
	if (later.instructions == 0)
		context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	errno = saved_errno;
}

/* Again each time: others may have taken it since. */
static void
take(int sig, void (*handler)(int, siginfo_t *, void *), struct sigaction *previous)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO}, old;

	sigfillset(&action.sa_mask);
	sigaction(sig, &action, &old);
	if (old.sa_sigaction != handler)
		*previous = old;
}

int
mmio_trap_add(void *start, size_t size, const struct mmio_trap_ops *ops, void *opaque)
{
	unsigned int i = 0;

	while (i < MAX_TRAPS && traps[i].size != 0 && traps[i].start != (uintptr_t)start)
		i++;
	if (i == MAX_TRAPS)
		return -ENOSPC;
	traps[i] = (struct trap){
		.start = (uintptr_t)start, .size = size, .ops = ops, .opaque = opaque};
	take(SIGSEGV, faulted, &previous_segv);
	take(SIGILL, faulted, &previous_ill);
	take(SIGTRAP, stepped, &previous_trap);
	return 0;
}

void
mmio_trap_call_after(unsigned int instructions, void (*call)(void *opaque), void *opaque)
{
	later.instructions = instructions;
	later.call = call;
	later.opaque = opaque;
}
