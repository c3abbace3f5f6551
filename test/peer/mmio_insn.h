/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef MMIO_INSN_H
#define MMIO_INSN_H

/**
 * @file
 *
 * The x86-64 instructions that compilers make of an access to a device's register: MOV in its forms,
 * and MOVDIR64B, by which drivers write work to a portal.
 */

#include <stdbool.h>
#include <stdint.h>

#define MMIO_INSN_NO_REG 0xff

/** A 64-bit address as ModRM and SIB spell it: base + index * scale + displacement. */
struct mmio_insn_address {
	uint8_t base;  /**< register, MMIO_INSN_NO_REG: none */
	uint8_t index; /**< the same */
	uint8_t scale; /**< 1, 2, 4 or 8 */
	bool next;     /**< relative to the next instruction */
	int32_t displacement;
};

/** A decoded instruction. Registers are numbered as the CPU does: rax 0, rcx 1 ... r15 15. */
struct mmio_insn {
	uint8_t length;	    /**< bytes */
	uint8_t width;	    /**< of the access: 1, 2, 4 or 8 bytes; 64: MOVDIR64B */
	bool store;	    /**< to memory; else from it */
	bool has_immediate; /**< what is stored is this, not a register */
	uint64_t immediate;
	uint8_t reg;	   /**< loaded or stored; of MOVDIR64B, the one with the destination's address */
	bool high_byte;	   /**< it is AH, CH, DH or BH: bits 8 to 15 of register reg */
	uint8_t reg_width; /**< of a load, bytes of the register that are written, 4 clears the others */
	bool sign;	   /**< of a load: extended by its sign */
	struct mmio_insn_address memory; /**< of MOVDIR64B, the source */
};

/** Decode what is at code. @return false: none of the instructions above. */
bool mmio_insn_decode(const uint8_t *code, struct mmio_insn *insn);

#endif /* MMIO_INSN_H */
