/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Loads and stores, each as the assembler encodes it: decoded, and emulated where they fault. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mmio_insn.h"
#include "mmio_trap.h"

#define SIZE 0x1000

/* What instructions are given, and what they leave. */
#define VALUE 0x8182838485868788ull /* in the register that is stored, or loaded over */
#define THERE 0xf1f2f3f4f5f6f7f8ull /* at the address that is loaded from */
#define INDEX 0x10
#define AWAY  0x123

struct insn {
	const char *text;
	const uint8_t *start, *end;
	void (*run)(void *address, uint64_t *value); /* with VALUE in a register; *value: after it */
	unsigned int width;
	bool store;
	uint64_t expect; /* stored; or in the register after a load */
	uint64_t offset; /* from address */
};

/* A function that runs one instruction: the address in rdi, the register in rdx (r10 for encodings
 * that need one of the upper eight), an index in rcx.
 */
#define INSN(name, text)                                                                           \
	extern const uint8_t name##_start[], name##_end[];                                         \
	static void __attribute__((noinline)) name(void *address, uint64_t *value)                \
	{                                                                                          \
		const uint64_t in = *value;                                                        \
		uint64_t rdx = in;                                                                 \
		/* No call may come between these and what they are for. */                        \
		register uint64_t r10 __asm__("r10") = in;                                         \
		register void *r13 __asm__("r13") = address;                                       \
                                                                                                   \
		__asm__ volatile(".globl " #name "_start, " #name "_end\n" #name "_start: " text   \
				 "\n" #name "_end:\n"                                              \
				 : "+d"(rdx), "+r"(r10)                                             \
				 : "r"(r13), "D"(address), "c"((uint64_t)INDEX)                     \
				 : "memory");                                                      \
		*value = r10 != in ? r10 : rdx;                                                    \
	}

INSN(mov_store_8, "movb %%dl, (%%rdi)")
INSN(mov_store_8_high, "movb %%dh, 0x123(%%rdi)")
INSN(mov_store_8_rex, "movb %%r10b, (%%rdi)")
INSN(mov_store_16, "movw %%dx, (%%rdi)")
INSN(mov_store_32, "movl %%edx, (%%rdi)")
INSN(mov_store_64, "movq %%rdx, (%%rdi)")
INSN(mov_store_64_far, "movq %%rdx, 0x123(%%rdi)")
INSN(mov_store_64_near, "movq %%rdx, -8(%%rdi)")
INSN(mov_store_64_index, "movq %%rdx, (%%rdi,%%rcx,4)")
INSN(mov_store_32_r13, "movl %%r10d, (%%r13)")
INSN(mov_store_32_index_r13, "movl %%r10d, 0x123(%%r13,%%rcx,8)")
INSN(mov_store_imm_8, "movb $0x85, (%%rdi)")
INSN(mov_store_imm_16, "movw $0x8512, 0x123(%%rdi)")
INSN(mov_store_imm_32, "movl $0x85123456, (%%rdi)")
INSN(mov_store_imm_64, "movq $-5, (%%rdi,%%rcx)")
INSN(mov_load_8, "movb (%%rdi), %%dl")
INSN(mov_load_8_high, "movb (%%rdi), %%dh")
INSN(mov_load_16, "movw (%%rdi), %%dx")
INSN(mov_load_32, "movl (%%rdi), %%edx")
INSN(mov_load_64, "movq 0x123(%%rdi), %%r10")
INSN(movzx_8_32, "movzbl (%%rdi), %%edx")
INSN(movzx_8_16, "movzbw (%%rdi), %%dx")
INSN(movzx_16_32, "movzwl (%%rdi), %%r10d")
INSN(movzx_16_64, "movzwq (%%rdi,%%rcx,2), %%rdx")
INSN(movsx_8_32, "movsbl (%%rdi), %%edx")
INSN(movsx_8_64, "movsbq (%%rdi), %%rdx")
INSN(movsx_16_64, "movswq (%%rdi), %%rdx")
INSN(movsx_32_64, "movslq (%%rdi), %%rdx")

#define STORE(name, width, expect, offset)                                                         \
	{#name, name##_start, name##_end, name, width, true, expect, offset}
#define LOAD(name, width, expect, offset)                                                          \
	{#name, name##_start, name##_end, name, width, false, expect, offset}

static const struct insn insns[] = {
	STORE(mov_store_8, 1, 0x88, 0),
	STORE(mov_store_8_high, 1, 0x87, AWAY),
	STORE(mov_store_8_rex, 1, 0x88, 0),
	STORE(mov_store_16, 2, 0x8788, 0),
	STORE(mov_store_32, 4, 0x85868788, 0),
	STORE(mov_store_64, 8, VALUE, 0),
	STORE(mov_store_64_far, 8, VALUE, AWAY),
	STORE(mov_store_64_near, 8, VALUE, -8),
	STORE(mov_store_64_index, 8, VALUE, 4 * INDEX),
	STORE(mov_store_32_r13, 4, 0x85868788, 0),
	STORE(mov_store_32_index_r13, 4, 0x85868788, AWAY + 8 * INDEX),
	STORE(mov_store_imm_8, 1, 0x85, 0),
	STORE(mov_store_imm_16, 2, 0x8512, AWAY),
	STORE(mov_store_imm_32, 4, 0x85123456, 0),
	STORE(mov_store_imm_64, 8, -5, INDEX),
	LOAD(mov_load_8, 1, 0x81828384858687f8, 0),
	LOAD(mov_load_8_high, 1, 0x818283848586f888, 0),
	LOAD(mov_load_16, 2, 0x818283848586f7f8, 0),
	LOAD(mov_load_32, 4, 0xf5f6f7f8, 0),
	LOAD(mov_load_64, 8, THERE, AWAY),
	LOAD(movzx_8_32, 1, 0xf8, 0),
	LOAD(movzx_8_16, 1, 0x81828384858600f8, 0),
	LOAD(movzx_16_32, 2, 0xf7f8, 0),
	LOAD(movzx_16_64, 2, 0xf7f8, 2 * INDEX),
	LOAD(movsx_8_32, 1, 0xfffffff8, 0),
	LOAD(movsx_8_64, 1, -8, 0),
	LOAD(movsx_16_64, 2, 0xfffffffffffff7f8, 0),
	LOAD(movsx_32_64, 4, 0xfffffffff5f6f7f8, 0),
};

#define N_INSNS (sizeof(insns) / sizeof(insns[0]))

/* The registers that are trapped: what was asked of them last. */
static struct {
	uint8_t *start;
	unsigned int accesses;
	uint64_t offset;
	unsigned int width;
	bool store;
	uint64_t value;
	uint8_t data[64];
} regs;

static uint64_t
read_reg(void *opaque, uint64_t offset, unsigned int width)
{
	assert_ptr_equal(opaque, &regs);
	regs.accesses++;
	regs.offset = offset;
	regs.width = width;
	regs.store = false;
	/* More than the width has: nobody may look at it. */
	return THERE;
}

static void
write_reg(void *opaque, uint64_t offset, unsigned int width, uint64_t value)
{
	assert_ptr_equal(opaque, &regs);
	regs.accesses++;
	regs.offset = offset;
	regs.width = width;
	regs.store = true;
	regs.value = value;
}

static void
write_portal(void *opaque, uint64_t offset, const void *data)
{
	write_reg(opaque, offset, 64, 0);
	memcpy(regs.data, data, sizeof(regs.data));
}

static const struct mmio_trap_ops ops = {
	.read = read_reg, .write = write_reg, .write64 = write_portal};

/* Anew for each test: cmocka takes SIGSEGV and others before each. Nothing is behind the registers. */
static void
begin(void)
{
	if (regs.start == NULL)
		regs.start = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(regs.start != MAP_FAILED);
	assert_int_equal(mmio_trap_add(regs.start, SIZE, &ops, &regs), 0);
	regs.accesses = 0;
}

static void
test_decode(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < N_INSNS; i++) {
		const struct insn *in = &insns[i];
		struct mmio_insn out;

		if (!mmio_insn_decode(in->start, &out) || out.length != in->end - in->start ||
				out.width != in->width || out.store != in->store)
			fail_msg("%s: %u bytes of %u, width %u", in->text, out.length,
				(unsigned int)(in->end - in->start), out.width);
		if (out.has_immediate && out.width < 8)
			assert_int_equal(out.immediate, in->expect);
	}
}

/* What is no access to a register as compilers make them. */
static void
test_decode_others(void **state)
{
	static const uint8_t others[][10] = {
		{0x89, 0xd0},		      /* mov %edx, %eax */
		{0xf0, 0x01, 0x10},	      /* lock add %edx, (%rax) */
		{0x01, 0x10},		      /* add %edx, (%rax) */
		{0x64, 0x89, 0x10},	      /* mov %edx, %fs:(%rax) */
		{0xc7, 0xf8, 0, 0, 0, 0},     /* xbegin */
		{0xc7, 0x48, 0, 0, 0, 0, 0},  /* no instruction */
		{0xa4},			      /* movsb */
		{0x0f, 0x11, 0x00},	      /* movups %xmm0, (%rax) */
		{0x0f, 0x38, 0xf9, 0x10},     /* movdiri %edx, (%rax) */
		{0x66, 0x63, 0x10},	      /* movsxd (%rax), %dx */
		{0xf2, 0x0f, 0x38, 0xf8, 0x02}, /* enqcmd (%rdx), %rax */
	};
	struct mmio_insn insn;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (mmio_insn_decode(others[i], &insn))
			fail_msg("%u was decoded", i);
}

static void
test_access(void **state)
{
	unsigned int i;

	(void)state;
	begin();
	for (i = 0; i < N_INSNS; i++) {
		const struct insn *in = &insns[i];
		uint64_t value = VALUE;

		in->run(regs.start + 0x200, &value);
		if (regs.accesses != i + 1 || regs.offset != 0x200 + in->offset ||
				regs.width != in->width || regs.store != in->store)
			fail_msg("%s: %u accesses, the last at %#lx, width %u", in->text, regs.accesses,
				(unsigned long)regs.offset, regs.width);
		if ((in->store ? regs.value : value) != in->expect)
			fail_msg("%s: %#lx", in->text,
				(unsigned long)(in->store ? regs.value : value));
		if (in->store)
			assert_true(value == VALUE);
	}
}

/* Whether the CPU has it or not. By rdi, at rsi and at an address relative to the instruction. */
static void
test_portal(void **state)
{
	extern const uint8_t portal_start[], portal_end[], relative_start[], relative_end[];
	static uint8_t source[64] __asm__("portal_source") __attribute__((used));
	struct mmio_insn insn;
	unsigned int i;

	(void)state;
	begin();
	for (i = 0; i < sizeof(source); i++)
		source[i] = 3 * i;
	__asm__ volatile(".globl portal_start, portal_end\n"
			 "portal_start: movdir64b (%0), %1\n"
			 "portal_end:\n" ::"S"(source), "D"(regs.start + 0x40)
			 : "memory");
	assert_int_equal(regs.accesses, 1);
	assert_int_equal(regs.offset, 0x40);
	assert_int_equal(regs.width, 64);
	assert_memory_equal(regs.data, source, sizeof(source));
	assert_true(mmio_insn_decode(portal_start, &insn));
	assert_int_equal(insn.length, portal_end - portal_start);

	memset(regs.data, 0, sizeof(regs.data));
	__asm__ volatile(".globl relative_start, relative_end\n"
			 "relative_start: movdir64b portal_source(%%rip), %0\n"
			 "relative_end:\n" ::"r"(regs.start + 0x80)
			 : "memory");
	assert_int_equal(regs.accesses, 2);
	assert_int_equal(regs.offset, 0x80);
	assert_memory_equal(regs.data, source, sizeof(source));
	assert_true(mmio_insn_decode(relative_start, &insn));
	assert_int_equal(insn.length, relative_end - relative_start);
}

static volatile unsigned int called;

static void
count_call(void *opaque)
{
	assert_ptr_equal(opaque, &called);
	called++;
}

static void
write_and_wait(void *opaque, uint64_t offset, unsigned int width, uint64_t value)
{
	(void)opaque;
	(void)offset;
	(void)width;
	mmio_trap_call_after(value, count_call, (void *)(uintptr_t)&called);
}

/* Called after as many instructions as were asked for, and no sooner. */
static void
test_call_after(void **state)
{
	static const struct mmio_trap_ops waiting = {.read = read_reg, .write = write_and_wait};
	uint32_t before, then, flags;

	(void)state;
	begin();
	assert_int_equal(mmio_trap_add(regs.start, SIZE, &waiting, NULL), 0);
	called = 0;
	/* The load of before is the third instruction, whose trap comes when it is done. */
	__asm__ volatile("movl $3, (%3)\n"
			 "nop\n"
			 "nop\n"
			 "movl %4, %0\n"
			 "movl %4, %1\n"
			 "pushfq\n"
			 "popq %q2\n"
			 : "=&r"(before), "=&r"(then), "=&r"(flags)
			 : "r"(regs.start), "m"(called)
			 : "memory");
	assert_int_equal(before, 0);
	assert_int_equal(then, 1);
	assert_int_equal(called, 1);
	assert_int_equal(flags & 0x100, 0);
}

/* Not when the thread has slept. */
static void
test_call_before_syscall(void **state)
{
	static const struct mmio_trap_ops waiting = {.read = read_reg, .write = write_and_wait};
	uint32_t before, then;
	int64_t ret = SYS_getppid;

	(void)state;
	begin();
	assert_int_equal(mmio_trap_add(regs.start, SIZE, &waiting, NULL), 0);
	called = 0;
	__asm__ volatile("movl $1000000, (%3)\n"
			 "movl %4, %0\n"
			 "syscall\n"
			 "movl %4, %1\n"
			 : "=&r"(before), "=&r"(then), "+a"(ret)
			 : "r"(regs.start), "m"(called)
			 : "memory", "rcx", "r11");
	assert_int_equal(before, 0);
	assert_int_equal(then, 1);
	assert_int_equal(ret, getppid());
}

/* What is not ours goes to who had the signal before, or ends the process. */

static sigjmp_buf jump;
static volatile int caught;

static void
catch_signal(int sig)
{
	caught = sig;
	siglongjmp(jump, 1);
}

static void
catch_info(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	catch_signal(sig);
}

static void
test_not_ours(void **state)
{
	struct sigaction action = {.sa_handler = catch_signal};
	uint8_t *other = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(other != MAP_FAILED);
	sigaction(SIGSEGV, &action, NULL);
	action.sa_flags = SA_SIGINFO;
	action.sa_sigaction = catch_info;
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
	begin();
	begin(); /* twice is as once: it does not take itself for who was there before */

	if (sigsetjmp(jump, 1) == 0)
		*(volatile uint8_t *)other = 0;
	assert_int_equal(caught, SIGSEGV);
	if (sigsetjmp(jump, 1) == 0)
		kill(getpid(), SIGSEGV);
	assert_int_equal(caught, SIGSEGV);
	if (sigsetjmp(jump, 1) == 0)
		__asm__ volatile("ud2");
	assert_int_equal(caught, SIGILL);
	if (sigsetjmp(jump, 1) == 0)
		__asm__ volatile("int3");
	assert_int_equal(caught, SIGTRAP);
	assert_int_equal(regs.accesses, 0);
	munmap(other, SIZE);
}

/* Run something in a process of its own. @return the signal that ends it; said: what it says. */
static int
ends_with(void (*run)(void), char *said, size_t size)
{
	int pipes[2], status;
	size_t done = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL); /* cmocka's */
		signal(SIGSEGV, SIG_DFL);
		regs.start = NULL;
		begin();
		run();
		_exit(0);
	}
	assert_true(pid > 0);
	close(pipes[1]);
	while (done < size - 1 && (n = read(pipes[0], said + done, size - 1 - done)) > 0)
		done += n;
	said[done] = 0;
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
access_nothing(void)
{
	*(volatile uint8_t *)(regs.start + SIZE) = 0;
}

static void
add_to_register(void)
{
	__asm__ volatile("addl %0, (%1)" ::"r"(1), "r"(regs.start) : "memory", "cc");
}

static void
write_no_portal(void)
{
	static const struct mmio_trap_ops none = {.read = read_reg, .write = write_reg};

	mmio_trap_add(regs.start, SIZE, &none, &regs);
	__asm__ volatile("movdir64b (%0), %1" ::"S"(&regs.data), "D"(regs.start) : "memory");
}

static void
test_ends(void **state)
{
	char said[1024];

	(void)state;
	assert_int_equal(ends_with(access_nothing, said, sizeof(said)), SIGSEGV);
	assert_int_equal(ends_with(add_to_register, said, sizeof(said)), SIGABRT);
	assert_non_null(strstr(said, "cannot decode the instruction 01 "));
	assert_int_equal(ends_with(write_no_portal, said, sizeof(said)), SIGABRT);
	assert_non_null(strstr(said, "cannot decode the instruction 66 0f 38 f8"));
}

static void
test_too_many(void **state)
{
	uint8_t *there;
	unsigned int i;

	(void)state;
	begin();
	there = regs.start;
	for (i = 1; i < 8; i++)
		assert_int_equal(mmio_trap_add(there + 0x1000000 * i, SIZE, &ops, &regs), 0);
	assert_int_equal(mmio_trap_add(there + 0x1000000 * i, SIZE, &ops, &regs), -28 /* ENOSPC */);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_decode_others),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_portal),
		cmocka_unit_test(test_call_after),
		cmocka_unit_test(test_call_before_syscall),
		cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
