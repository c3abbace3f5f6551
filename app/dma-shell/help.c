/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * What "help WORD" tells beyond a command's line: meanings, defaults, an example.
 */

#include <string.h>

#include <rte_common.h>

#include "shell.h"

static const struct {
	const char *word, *text;
} topics[] = {
	{ "alloc",
		"  pattern  0xab, 0x0123456789abcdef, count, random; default 0\n"
		"  numa     node, as 'show memory' numbers them; default any\n"
		"  page     4K (ordinary memory), 2M or 1G; default what DPDK has\n"
		"  alloc a 64K pattern random" },
	{ "attach", "  attach dma_skeleton1,lcore=2\n  attach 0000:00:04.0" },
	{ "bench",
		"  vs         cpu, or a device by number or name; default cpu\n"
		"  sizes      bytes of operations, or pcap:FILE; default 64,256,1K,4K,16K,64K\n"
		"  ring       descriptors; default as set, else 1024\n"
		"  batch      operations for one submit; default 32\n"
		"  depth      operations in flight at most; default what the ring takes\n"
		"  seconds    for each size; default 1\n"
		"  lcores     that submit, a device for each; default the first free one\n"
		"  sg         segments of each side of an operation; default 0, plain copies\n"
		"  memory     sources and destinations together; default 8M\n"
		"  load       percents of the throughput at which to measure latency; default none\n"
		"  csv, plot, report  files of figures, .png or .svg, .html\n"
		"  save       figures and what they depend on, for check\n"
		"  check      measure as a saved file says, and fail when slower\n"
		"  tolerance  percent slower that check allows; default 10\n"
		"  bench 0 vs 1 sizes 64,4K plot two.svg" },
	{ "copy", "  fence   not before all earlier operations are done\n"
		"  submit  at once, with all that wait\n"
		"  copy 0 a+4K:100 b submit; wait 0" },
	{ "copy-sg", "  copy-sg 0 a+0:64,a+128:64 b:32*4 submit; wait 0" },
	{ "expect", "  A field is named as the printed line has it, with _ for a blank.\n"
		"  burst 0 100 4K; expect errors == 0\n"
		"  expect fail \"copy 0 a nosuch\"" },
	{ "fill", "  By the device, or fill buffer by the CPU; 0xab is a byte that repeats.\n"
		"  fill 0 b 0x0123456789abcdef submit; wait 0" },
	{ "inject", "  at     so many operations before it; default 0\n"
		"  cause  what is wrong: src, dst, next (addresses), align, read, write, op,\n"
		"         length, completion; default src\n"
		"  stall: begins and never ends. vanish: all registers read as ones.\n"
		"  inject device 0 fail at=2 cause=dst; burst 0 10 4K; show errors" },
	{ "load", "  load data.bin a; load driver librte_dma_other.so" },
	{ "poll", "  max  completions at most; default 64\n  poll 0 max 1" },
	{ "repeat", "  repeat 4 \"copy 0 a b submit; wait\"" },
	{ "set", "  ring, vchans, direction, silent: for the next start of the device.\n"
		"  worker: size of its copies, default 4K; batch, default 32\n"
		"  set worker 1 device 0 size 16K; start workers; watch" },
	{ "show", "  show device 0 info; show buffer a+64:32; show telemetry /dmadev/list" },
	{ "verify", "  seconds     default 5\n  seed        to do the same again; default the time\n"
		"  operations  to end after so many; default none\n"
		"  size        of the longest; default 16K\n"
		"  faults      one in about so many fails on purpose; default 0, none\n"
		"  verify 0 seconds 60 faults 100" },
	{ "wait", "  timeout  seconds without a completion; default 1\n  wait 0 timeout 0.1" },
	{ "watch", "  SECONDS  between two looks; default 1\n"
		"  count    looks, then it leaves; default until q\n  watch 0.2" },
};

void
help_more(const char *word)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(topics); i++)
		if (strcmp(topics[i].word, word) == 0)
			puts(topics[i].text);
}
