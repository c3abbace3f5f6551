/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Encodings: Intel's Software Developer's Manual, volume 2, chapter 2 (prefixes, ModRM, SIB) and the
 * pages of MOV, MOVZX, MOVSX and MOVDIR64B.
 */

#include <string.h>

#include "mmio_insn.h"

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

struct prefixes {
	bool operand_size; /**< 0x66 */
	uint8_t rex;	   /**< 0: none */
};

static const uint8_t *
decode_prefixes(const uint8_t *code, struct prefixes *prefixes)
{
	*prefixes = (struct prefixes){0};
	for (; *code == 0x66; code++)
		prefixes->operand_size = true;
	if ((*code & 0xf0) == 0x40)
		prefixes->rex = *code++;
	return code;
}

/* ModRM, SIB and displacement. @return behind them; NULL: the operand is not in memory. */
static const uint8_t *
decode_operands(const uint8_t *code, uint8_t rex, struct mmio_insn *insn)
{
	const uint8_t mod = *code >> 6, rm = *code & 7;
	struct mmio_insn_address *memory = &insn->memory;

	insn->reg = (*code >> 3 & 7) | (rex & REX_R ? 8 : 0);
	code++;
	memory->base = rm | (rex & REX_B ? 8 : 0);
	memory->index = MMIO_INSN_NO_REG;
	memory->scale = 1;
	if (mod == 3)
		return NULL;
	if (rm == 4) {
		memory->base = (*code & 7) | (rex & REX_B ? 8 : 0);
		memory->index = (*code >> 3 & 7) | (rex & REX_X ? 8 : 0);
		memory->scale = 1 << (*code >> 6);
		if (memory->index == 4)
			memory->index = MMIO_INSN_NO_REG;
		code++;
	}
	if (mod == 0 && (memory->base & 7) == 5) {
		memory->next = rm == 5;
		memory->base = MMIO_INSN_NO_REG;
	}
	if (mod == 1) {
		memory->displacement = (int8_t)*code++;
	} else if (mod == 2 || memory->base == MMIO_INSN_NO_REG) {
		memcpy(&memory->displacement, code, 4);
		code += 4;
	}
	return code;
}

/* An immediate is as wide as the operand, but 4 bytes for one of 8, extended by its sign. */
static const uint8_t *
decode_immediate(const uint8_t *code, struct mmio_insn *insn)
{
	const uint8_t size = insn->width == 8 ? 4 : insn->width;
	int64_t value = 0;

	memcpy(&value, code, size);
	insn->immediate = insn->width == 8 ? (int64_t)(int32_t)value : value;
	insn->has_immediate = true;
	return code + size;
}

/* What an opcode says but for its operands. @return false: none of ours. */
static bool
decode_opcode(uint8_t opcode, bool two_bytes, uint8_t operand, struct mmio_insn *insn)
{
	insn->reg_width = operand;
	insn->width = opcode & 1 ? operand : 1;
	if (two_bytes) { /* MOVZX and MOVSX, from 8 or 16 bits */
		insn->width = opcode & 1 ? 2 : 1;
		insn->sign = opcode >= 0xbe;
		return (opcode & 0xf6) == 0xb6;
	}
	switch (opcode) {
	case 0x88:
	case 0x89:
	case 0xc6:
	case 0xc7:
		insn->store = true;
		return true;
	case 0x8a:
	case 0x8b:
		insn->reg_width = insn->width;
		return true;
	case 0x63: /* MOVSXD */
		insn->width = 4;
		insn->sign = true;
		return operand == 8;
	default:
		return false;
	}
}

bool
mmio_insn_decode(const uint8_t *code, struct mmio_insn *insn)
{
	const uint8_t *start = code;
	struct prefixes prefixes;
	bool two_bytes, portal;
	uint8_t opcode, operand;

	*insn = (struct mmio_insn){0};
	code = decode_prefixes(code, &prefixes);
	operand = prefixes.rex & REX_W ? 8 : prefixes.operand_size ? 2 : 4;
	two_bytes = *code == 0x0f;
	code += two_bytes;
	portal = two_bytes && code[0] == 0x38 && code[1] == 0xf8 && prefixes.operand_size;
	code += portal;
	opcode = *code++;
	if (portal) {
		insn->width = 64;
		insn->store = true;
	} else if (!decode_opcode(opcode, two_bytes, operand, insn)) {
		return false;
	}
	code = decode_operands(code, prefixes.rex, insn);
	if (code == NULL)
		return false;
	if (!two_bytes && (opcode == 0xc6 || opcode == 0xc7)) {
		if ((insn->reg & 7) != 0)
			return false;
		code = decode_immediate(code, insn);
	}
	/* Without a REX prefix byte registers 4 to 7 are the second bytes of 0 to 3. */
	if (insn->width == 1 && prefixes.rex == 0 && !two_bytes && insn->reg >= 4) {
		insn->reg -= 4;
		insn->high_byte = true;
	}
	insn->length = code - start;
	return true;
}
