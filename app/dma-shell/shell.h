/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef SHELL_H
#define SHELL_H

/**
 * @file
 *
 * dma-shell: what its files share. Each section names the file that implements it.
 *
 * A command's handler gets its parsed words and returns 0, or a negative errno after it has said
 * what is wrong with shell_error(). It never exits and never leaves a device half configured.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_lcore.h>

/* One parsed line, see grammar.c */

#define SHELL_WORDS     48  /**< words in one command, options included */
#define SHELL_OPTIONS   20  /**< options of one command */
#define SHELL_WORD_SIZE 128

struct buffer;

/** A piece of a text that outlives the command. */
struct span {
	const char *start;
	size_t len;
};

/** A word "NAME[+OFFSET][:LENGTH][*COUNT]", names resolved but ranges not checked yet. */
struct range {
	struct buffer *buf;
	uint64_t offset;
	uint64_t length; /**< 0: to the end of the buffer */
	uint64_t count;  /**< that many segments of this length, one after the other */
};

/** One word of a command. Which member counts follows from the word's type. */
union word {
	char str[SHELL_WORD_SIZE]; /**< fixed words, WORD, NAME, FILE, TOPIC */
	uint64_t num;              /**< NUM, SIZE */
	double real;               /**< SECONDS */
	struct {
		int16_t id;
		uint16_t vchan;
	} dev;                     /**< DEV */
	struct range range;        /**< BUF, RANGE */
	struct span text;          /**< LIST; REST, which is the whole end of the line */
};

struct args {
	union word w[SHELL_WORDS];   /**< by position in the line */
	const union word *optional;  /**< "[TYPE]", NULL: left out */
	struct {
		struct span name;
		const union word *value;
	} option[SHELL_OPTIONS];     /**< those that were given */
	unsigned int nb_options;
};

/** Does what a command says. */
typedef int command_handler(const struct args *a);

struct command {
	/**
	 * Words: lower case stands for itself ("a|b" for a choice), upper case is a type of
	 * words.c, "[TYPE]" behind the others one that may be left out, "[key TYPE]" an option with
	 * a value, "[flag]" and "[key=TYPE]" options of one word.
	 */
	const char *syntax;
	const char *help;
	command_handler *run;
};

extern const struct command shell_commands[];

/** Run one command: no ';', no newline, no comment. An empty line is fine. */
int grammar_run(const char *line);
/** librte_cmdline's rdline_complete_t, for Tab and "?". */
int grammar_complete(const char *buf, char *dst, unsigned int size, int *state);
/** The value of an option (a flag: what is no value), NULL where it was not given. */
const union word *option(const struct args *a, const char *name);
uint64_t option_num(const struct args *a, const char *name, uint64_t otherwise);
double option_real(const struct args *a, const char *name, double otherwise);
const char *option_str(const struct args *a, const char *name, const char *otherwise);
/** Next word of a comma separated LIST into word; false at its end. */
bool list_next(struct span *list, char *word, size_t size);
/** See parse.c. */
int parse_size(const char *word, uint64_t *size);
int parse_pattern(const char *word, uint64_t *pattern);

/** Print defaults, meanings and an example of the commands that begin with a word, see help.c. */
void help_more(const char *word);

/* How the shell runs, see shell.c, control.c, terminal.c */

struct shell {
	volatile sig_atomic_t interrupted; /**< Ctrl-C since the command began */
	bool json;
	bool interactive; /**< a prompt on a terminal */
	bool quit;
	int16_t last_dev; /**< what poll, wait and submit mean when no device is named */
	double max_seconds; /**< bound on everything that takes time; for tests */
};

extern struct shell shell;

/** Stop workers and devices, free everything. EAL stays. */
void shell_fini(void);
/** Run commands separated by ';', up to the first that fails. */
int shell_run_line(const char *line);
int shell_run_file(const char *path);
int shell_run_stream(FILE *f, const char *name);
/** What was printed has arrived; else the negative errno, after a message. */
int shell_flush(void);
int terminal_run(void);
/** A key from the terminal, waiting up to ms; 0 when none came. */
int terminal_key(unsigned int ms);
/** Sleep, but not past Ctrl-C. */
void shell_sleep(double seconds);
double shell_limit_seconds(double seconds);

/* Results, see output.c */

/** Say what went wrong. Returns err (negative errno), so that handlers can return it. */
int shell_error(int err, const char *fmt, ...) __rte_format_printf(2, 3);
void shell_note(const char *fmt, ...) __rte_format_printf(1, 2);
void out_command(void);
void out_begin(const char *what);
/** Least widths of this table's columns. */
void out_widths(unsigned int number, unsigned int string);
void out_num(const char *key, uint64_t value);
void out_int(const char *key, int64_t value);
void out_real(const char *key, double value, unsigned int decimals);
/** For people as 0x..., in JSON as a number. */
void out_hex(const char *key, uint64_t value);
/** Two fields, cycles and ns. */
void out_cycles(uint64_t cycles);
void out_bool(const char *key, bool value);
void out_str(const char *key, const char *fmt, ...) __rte_format_printf(2, 3);
/** Text of many lines; printed as it is, or as one JSON string. */
void out_text(const char *key, const char *text);
/** JSON that somebody else wrote; printed indented, or as it is. */
void out_json(const char *key, const char *json);
/** End a result: on one line, a line for each field, a row of a table. */
void out_line(void);
void out_list(void);
void out_row(void);
/** A field of the last result, NULL when there is none of that name. */
const char *out_last(const char *key);
void out_last_keys(char *dst, size_t size);
/** While set, shell_error() says that the failure was asked for. */
extern bool out_failure_expected;

/* Devices, see devices.c */

struct op_record {
	uint64_t submitted; /**< TSC when the operation went in */
};

struct shell_vchan {
	uint16_t next;      /**< index of the next completion */
	uint16_t last;      /**< index of the last operation enqueued */
	uint32_t in_flight; /**< enqueued and not polled yet */
	uint32_t pending;   /**< of these, not submitted yet */
	struct op_record *ops; /**< by ring index & mask */
	uint16_t mask;
};

#define STATUS_COUNTERS 17 /**< RTE_DMA_STATUS_*, the last one for all others */

struct shell_dev {
	char name[64];
	bool started;
	bool silent;
	uint16_t ring;
	uint16_t vchans;
	enum rte_dma_direction direction;
	struct shell_vchan *vchan;
	uint64_t status_count[STATUS_COUNTERS]; /**< what polling saw, since start or clear */
	int worker; /**< lcore that works on it, -1: none */
};

/** The shell's side of a device; NULL, after a message, when there is no such device. */
struct shell_dev *device_get(int16_t id);
/** The same, and it must be started, free of workers, and have that vchan. */
struct shell_dev *device_ready(int16_t id, uint16_t vchan);
int device_start(int16_t id);
int device_stop(int16_t id);
/** Stop, set another ring size, start: what bench and verify need. */
int device_restart(int16_t id, uint16_t ring);
void device_count_status(int16_t id, enum rte_dma_status_code status, uint64_t n);
int16_t device_first(void);
void devices_fini(void);
/** A device on its bus, by name; NULL: none. */
struct rte_device *bus_find(const char *name);
/** The bus device below a dmadev, NULL when it is not known. */
struct rte_device *device_bus(int16_t id);
const char *device_state(const struct shell_dev *d);
const char *status_name(enum rte_dma_status_code status);

/* Memory, see buffers.c */

struct dma_memory {
	void *va;
	rte_iova_t iova;
	uint64_t size;
	const struct rte_memzone *mz; /**< NULL: ordinary pages, registered with DPDK */
};

struct buffer {
	struct buffer *next;
	char name[24];
	struct dma_memory mem;
	uint64_t page_size;
	int numa;
};

int dma_memory_alloc(struct dma_memory *mem, uint64_t size, int numa, uint64_t page);
void dma_memory_free(struct dma_memory *mem);
/** Make ordinary-page buffers known to a device that came later. */
void buffers_map_device(int16_t id);
struct buffer *buffer_find(const char *name);
struct buffer *buffer_first(void);
/** NULL, after a message, where there is one of that name, or no memory. */
struct buffer *buffer_new(const char *name, uint64_t size, int numa, uint64_t page);
void buffer_delete(struct buffer *b);
void buffers_fini(void);

/* Ranges of buffers, see ranges.c */

int parse_range(const char *word, struct range *range);
/** Fill in what a range leaves open and check it against its buffer. */
int range_check(struct range *r);
/** A LIST of ranges as segments; at most max. Returns how many. */
int ranges_to_sges(const union word *list, struct rte_dma_sge *sge, unsigned int max,
	uint64_t *total);

/** How long a device has been without progress, to one who was awake. */
struct patience {
	uint64_t looked; /**< TSC of the last look; it begins with one */
	uint64_t waited; /**< cycles */
};

/** A look. Returns the cycles waited. */
static inline uint64_t
patience_look(struct patience *p, bool progress)
{
	const uint64_t now = rte_rdtsc();

	/* Who was stopped, or whose CPU another program had, has not seen that the device is slow:
	 * of a longer time than about a millisecond between two looks nothing more counts.
	 */
	p->waited = progress ? 0 : p->waited + RTE_MIN(now - p->looked, UINT64_C(1) << 22);
	p->looked = now;
	return p->waited;
}

/* Operations, see operations.c */

#define POLL_MAX 64

struct completion {
	uint16_t index;
	enum rte_dma_status_code status;
	uint64_t cycles; /**< from submit to when it was seen */
};

/** Keep track of an operation that rte_dma_*() returned ret for; returns ret. */
int vchan_enqueued(int16_t id, uint16_t vchan, int ret, bool submitted);
int vchan_submit(int16_t id, uint16_t vchan);
/**
 * Up to max (at most POLL_MAX) completions, through rte_dma_completed_status(), or through
 * rte_dma_completed() and the other only after an error. Returns how many, negative: the device
 * lies.
 */
int vchan_poll(int16_t id, uint16_t vchan, uint16_t max, struct completion *done,
	bool with_status);

/* Other things that only a driver has, see inject.c, telemetry.c */

/** Returns -ENOTSUP where no driver offers it. */
int inject_fault(int16_t id, const char *fault);
/** Ask DPDK's telemetry; returns a malloc'ed answer without its outer braces, NULL: none. */
char *telemetry_query(const char *command);

/* Workers, see workers.c */

int workers_stop(void);
bool workers_running(void);

/* Command handlers, by file */

command_handler cmd_show_devices, cmd_show_info, cmd_show_stats, cmd_show_registers,
	cmd_show_status, cmd_show_memory, cmd_show_all_memory, cmd_show_telemetry, cmd_show_errors,
	cmd_show_lcores, cmd_show_workers, cmd_show_buffers, cmd_show_buffer, cmd_clear_stats;
command_handler cmd_set_ring, cmd_set_vchans, cmd_set_direction, cmd_set_silent, cmd_start_device,
	cmd_stop_device, cmd_reset_device, cmd_close_device, cmd_attach, cmd_detach, cmd_load_driver;
command_handler cmd_alloc, cmd_free, cmd_free_all, cmd_fill_buffer, cmd_compare, cmd_load, cmd_save,
	cmd_crc;
command_handler cmd_copy, cmd_copy_sg, cmd_fill, cmd_submit, cmd_poll, cmd_wait, cmd_burst;
command_handler cmd_verify, cmd_bench, cmd_watch, cmd_inject, cmd_set_worker, cmd_clear_worker,
	cmd_start_workers, cmd_stop_workers;
command_handler cmd_script, cmd_sleep, cmd_repeat, cmd_expect, cmd_expect_fail, cmd_help, cmd_quit;

#endif /* SHELL_H */
