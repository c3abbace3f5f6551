/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * The commands: where two fit a line, the first one is meant. And the shell's end.
 */

#include <errno.h>

#include "shell.h"

struct shell shell = { .last_dev = -1 };

#define CAUSES "src|dst|next|align|read|write|op|length|completion"

#define BENCH_OPTIONS " [vs WORD] [sizes LIST] [ring NUM] [batch NUM] [depth NUM] [seconds SECONDS]" \
	" [lcores LIST] [sg NUM] [memory SIZE] [load LIST] [csv FILE] [plot FILE] [report FILE]" \
	" [save FILE] [check FILE] [tolerance NUM]"

const struct command shell_commands[] = {
	{ "help [TOPIC]", "all commands, or those that begin with a word, with all about them",
		cmd_help },
	{ "quit", "stop devices and leave", cmd_quit },
	{ "exit", "the same as quit", cmd_quit },

	{ "show devices", "all DMA devices", cmd_show_devices },
	{ "show device DEV info", "what a device is, can do, and is set to", cmd_show_info },
	{ "show device DEV stats", "its counters", cmd_show_stats },
	{ "show device DEV registers", "its registers and its ring, as the driver tells them",
		cmd_show_registers },
	{ "show device DEV status", "what its channels do now", cmd_show_status },
	{ "show device DEV memory", "memory that it can reach", cmd_show_memory },
	{ "show errors", "errors by cause, of all devices", cmd_show_errors },
	{ "show lcores", "lcores that can work", cmd_show_lcores },
	{ "show workers", "lcores that are set to work, and what they did", cmd_show_workers },
	{ "show memory", "memory that DPDK has", cmd_show_all_memory },
	{ "show buffers", "all buffers", cmd_show_buffers },
	{ "show buffer RANGE", "bytes of a buffer", cmd_show_buffer },
	{ "show telemetry WORD", "DPDK's telemetry, / lists what there is", cmd_show_telemetry },
	{ "clear stats [DEV]", "set counters to 0, its own or all", cmd_clear_stats },

	{ "set device DEV ring NUM", "descriptors in the ring of each vchan", cmd_set_ring },
	{ "set device DEV vchans NUM", "how many vchans it has", cmd_set_vchans },
	{ "set device DEV direction mem-to-mem|mem-to-dev|dev-to-mem|dev-to-dev",
		"from where to where its vchans transfer", cmd_set_direction },
	{ "set device DEV silent on|off", "no completions", cmd_set_silent },
	{ "start device DEV", "configure it as set, and start it", cmd_start_device },
	{ "stop device DEV", "stop it; what is in flight is lost", cmd_stop_device },
	{ "reset device DEV", "stop it, configure it again, start it", cmd_reset_device },
	{ "close device DEV", "give it back to DPDK", cmd_close_device },
	{ "attach WORD", "a vdev with arguments (dma_skeleton1,lcore=1), a PCI address",
		cmd_attach },
	{ "load driver FILE", "a DPDK driver, for 'attach'", cmd_load_driver },
	{ "detach DEV", "take it off its bus", cmd_detach },

	{ "alloc NAME SIZE [pattern WORD] [numa NUM] [page SIZE]", "a buffer that devices reach",
		cmd_alloc },
	{ "free all", "give all buffers back", cmd_free_all },
	{ "free BUF", "give a buffer back", cmd_free },
	{ "fill buffer RANGE WORD", "fill with a pattern, by the CPU", cmd_fill_buffer },
	{ "compare RANGE RANGE", "first difference, and how many", cmd_compare },
	{ "load FILE NAME", "a file into a buffer, a new one if need be", cmd_load },
	{ "save RANGE FILE", "a buffer into a file", cmd_save },
	{ "crc RANGE", "CRC-32C", cmd_crc },

	{ "copy DEV RANGE RANGE [fence] [submit]", "source, destination", cmd_copy },
	{ "copy-sg DEV LIST LIST [fence] [submit]", "source and destination segments",
		cmd_copy_sg },
	{ "fill DEV RANGE WORD [fence] [submit]", "fill with a pattern, by the device", cmd_fill },
	{ "submit [DEV]", "let it begin with what is enqueued", cmd_submit },
	{ "poll [DEV] [max NUM]", "see what is completed, up to so many", cmd_poll },
	{ "wait [DEV] [timeout SECONDS]", "until all that is submitted is completed", cmd_wait },
	{ "burst DEV NUM SIZE", "so many copies of a size, as fast as can be", cmd_burst },
	{ "inject device DEV fail|stall|vanish|reset|none [at=NUM] [cause=" CAUSES "]",
		"a coming descriptor fails; stop, disappear; reset by itself; no faults", cmd_inject },

	{ "verify [DEV] [seconds SECONDS] [seed NUM] [operations NUM] [size SIZE] [faults NUM]",
		"random operations, every byte checked; about every so many a fault", cmd_verify },
	{ "bench [DEV]" BENCH_OPTIONS, "measure it beside the CPU's memcpy or another device", cmd_bench },
	{ "watch [SECONDS] [count NUM]", "live screen of devices and workers, q leaves",
		cmd_watch },
	{ "set worker NUM device DEV [size SIZE] [batch NUM]",
		"an lcore that is to copy all the time, and on which device", cmd_set_worker },
	{ "clear worker NUM", "an lcore that is not to work", cmd_clear_worker },
	{ "start workers", "let them work", cmd_start_workers },
	{ "stop workers", "let them stop", cmd_stop_workers },

	{ "script FILE", "run the commands of a file", cmd_script },
	{ "sleep SECONDS", "do nothing", cmd_sleep },
	{ "repeat NUM REST", "run \"cmd; cmd\" so many times", cmd_repeat },
	{ "expect fail REST", "fail unless \"cmd\" fails", cmd_expect_fail },
	{ "expect WORD ==|!=|<|<=|>|>= WORD", "fail unless a field of the last result is so",
		cmd_expect },
	{ NULL, NULL, NULL },
};

void
shell_fini(void)
{
	workers_stop();
	devices_fini();
	buffers_fini();
	out_begin("");
}
