/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef MMIO_TRAP_H
#define MMIO_TRAP_H

/**
 * @file
 *
 * Registers for programs that load and store to them. The addresses are mapped without access; each
 * load and store faults, is decoded (mmio_insn.h), and is a call of a function here. So whoever
 * stands behind the registers sees every access, with its width, in order, and when it happens.
 *
 * Calls come from within signal handlers of the thread that makes the access, all signals blocked.
 */

#include <stddef.h>
#include <stdint.h>

struct mmio_trap_ops {
	/** Read a register: width 1, 2, 4 or 8 bytes. */
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned int width);

	/** Write a register: width 1, 2, 4 or 8 bytes. */
	void (*write)(void *opaque, uint64_t offset, unsigned int width, uint64_t value);

	/** Write 64 bytes at once (MOVDIR64B); NULL: such an instruction ends the process. */
	void (*write64)(void *opaque, uint64_t offset, const void *data);
};

/**
 * Have the functions stand for addresses that are mapped without access (PROT_NONE). Takes SIGSEGV,
 * SIGILL (which MOVDIR64B raises where the CPU does not have it) and SIGTRAP; what is not about
 * these addresses goes to the handlers that were there before.
 *
 * An instruction that cannot be decoded ends the process with a message that has its bytes.
 *
 * To be called before the addresses are used. For a start that has been added it replaces what was
 * said of it.
 *
 * @return 0; -ENOSPC: there are eight already.
 */
int mmio_trap_add(void *start, size_t size, const struct mmio_trap_ops *ops, void *opaque);

/**
 * From within read() or write(): have a function called when the thread that makes the access has run
 * so many more instructions, at least 1, or comes to a system call, in which it may sleep. There is one
 * such call to come in a thread: another one takes its place.
 */
void mmio_trap_call_after(unsigned int instructions, void (*call)(void *opaque), void *opaque);

#endif /* MMIO_TRAP_H */
