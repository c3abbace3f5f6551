/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Single operations by hand, and bursts of them: enqueue, submit, poll, each with what it cost.
 *
 * The shell checks what an application would have to get right by itself (ranges, overlap,
 * capabilities) and what a driver must get right: every index in its turn, once.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "shell.h"

#define BURST_SUBMIT 32
#define BURST_MEMORY (1024 * 1024)
#define SGES_MAX     4096

static struct shell_vchan *
vchan_of(int16_t id, uint16_t vchan)
{
	return &device_get(id)->vchan[vchan];
}

int
vchan_enqueued(int16_t id, uint16_t vchan, int ret, bool submitted)
{
	struct shell_vchan *v = vchan_of(id, vchan);

	if (ret < 0)
		return ret;
	v->last = ret;
	v->in_flight++;
	v->pending++;
	if (submitted) {
		const uint64_t now = rte_rdtsc();

		for (; v->pending > 0; v->pending--)
			v->ops[(v->last - v->pending + 1) & v->mask].submitted = now;
	}
	return ret;
}

int
vchan_submit(int16_t id, uint16_t vchan)
{
	struct shell_vchan *v = vchan_of(id, vchan);
	const uint64_t now = rte_rdtsc();
	int ret = rte_dma_submit(id, vchan);

	if (ret < 0)
		return ret;
	for (; v->pending > 0; v->pending--)
		v->ops[(v->last - v->pending + 1) & v->mask].submitted = now;
	return 0;
}

int
vchan_poll(int16_t id, uint16_t vchan, uint16_t max, struct completion *done, bool with_status)
{
	enum rte_dma_status_code status[POLL_MAX];
	struct shell_vchan *v = vchan_of(id, vchan);
	bool error = false;
	uint16_t last = 0, n, i;
	uint64_t now;

	memset(status, 0, sizeof(status));
	max = RTE_MIN(max, POLL_MAX);
	if (with_status) {
		n = rte_dma_completed_status(id, vchan, max, &last, status);
	} else {
		/* Tells of what went well up to an error, and that there is one. */
		n = rte_dma_completed(id, vchan, max, &last, &error);
		if (n == 0 && error)
			n = rte_dma_completed_status(id, vchan, max, &last, status);
	}
	if (n == 0)
		return 0;
	now = rte_rdtsc();
	if (n > v->in_flight || (uint16_t)(last - n + 1) != v->next)
		return shell_error(-EPROTO, "device %d reports %u completions up to index %u: "
			"expected at most %u, from index %u on", id, n, last, v->in_flight,
			v->next);
	for (i = 0; i < n; i++) {
		done[i].index = v->next;
		done[i].status = status[i];
		done[i].cycles = now - v->ops[v->next & v->mask].submitted;
		device_count_status(id, status[i], 1);
		v->next++;
	}
	v->in_flight -= n;
	return n;
}

static int
need_capability(int16_t id, uint64_t capability, const char *what)
{
	struct rte_dma_info info;

	if (rte_dma_info_get(id, &info) != 0 || (info.dev_capa & capability) == 0)
		return shell_error(-ENOTSUP, "device %d cannot %s", id, what);
	return 0;
}

static uint64_t
op_flags(const struct args *a)
{
	return (option(a, "fence") != NULL ? RTE_DMA_OP_FLAG_FENCE : 0) |
		(option(a, "submit") != NULL ? RTE_DMA_OP_FLAG_SUBMIT : 0);
}

/* What enqueueing an operation gave, for people. */
static int
show_enqueued(const char *what, int16_t id, uint16_t vchan, int ret, uint64_t length,
	uint64_t flags, uint64_t cycles)
{
	struct shell_dev *d = device_get(id);

	if (ret == -ENOSPC)
		return shell_error(ret, "the ring of device %d is full (%u in flight): 'submit %d', "
			"then 'wait %d'", id, d->vchan[vchan].in_flight, id, id);
	if (ret < 0)
		return shell_error(ret, "device %d refuses the operation: %s", id, strerror(-ret));
	if (!d->silent)
		vchan_enqueued(id, vchan, ret, (flags & RTE_DMA_OP_FLAG_SUBMIT) != 0);
	out_begin(what);
	out_int("device", id);
	out_num("vchan", vchan);
	out_num("index", ret);
	out_num("length", length);
	out_bool("fence", (flags & RTE_DMA_OP_FLAG_FENCE) != 0);
	out_str("status", flags & RTE_DMA_OP_FLAG_SUBMIT ? "submitted" : "enqueued");
	out_cycles(cycles);
	out_line();
	return 0;
}

int
cmd_copy(const struct args *a)
{
	int16_t id = a->w[1].dev.id;
	uint16_t vchan = a->w[1].dev.vchan;
	struct range src = a->w[2].range, dst = a->w[3].range;
	uint64_t flags = op_flags(a), start;
	rte_iova_t from, to;
	int ret;

	if (device_ready(id, vchan) == NULL)
		return -ENODEV;
	if (src.length == 0)
		src.length = dst.length;
	if (range_check(&src) != 0)
		return -EINVAL;
	if (dst.length == 0)
		dst.length = src.length;
	if (range_check(&dst) != 0)
		return -EINVAL;
	if (src.length != dst.length)
		return shell_error(-EINVAL, "lengths differ: %" PRIu64 " and %" PRIu64 " bytes",
			src.length, dst.length);
	from = src.buf->mem.iova + src.offset;
	to = dst.buf->mem.iova + dst.offset;
	if (src.buf == dst.buf && from < to + src.length && to < from + src.length)
		return shell_error(-EINVAL, "source and destination overlap in %s",
			src.buf->name);
	ret = need_capability(id, RTE_DMA_CAPA_OPS_COPY, "copy");
	if (ret != 0)
		return ret;

	start = rte_rdtsc();
	ret = rte_dma_copy(id, vchan, from, to, src.length, flags);
	return show_enqueued("copy", id, vchan, ret, src.length, flags, rte_rdtsc() - start);
}

static bool
sges_overlap(const struct rte_dma_sge *src, int nb_src, const struct rte_dma_sge *dst, int nb_dst)
{
	int i, j;

	for (i = 0; i < nb_src; i++)
		for (j = 0; j < nb_dst; j++)
			if (src[i].addr < dst[j].addr + dst[j].length &&
					dst[j].addr < src[i].addr + src[i].length)
				return true;
	return false;
}

int
cmd_copy_sg(const struct args *a)
{
	/* Some drivers keep the lists until the operation is done. */
	static struct rte_dma_sge src[SGES_MAX], dst[SGES_MAX];
	int16_t id = a->w[1].dev.id;
	uint16_t vchan = a->w[1].dev.vchan;
	uint64_t flags = op_flags(a), start, src_total, dst_total;
	struct rte_dma_info info;
	int nb_src, nb_dst, ret;

	if (device_ready(id, vchan) == NULL)
		return -ENODEV;
	ret = need_capability(id, RTE_DMA_CAPA_OPS_COPY_SG, "copy segment lists (copy-sg)");
	if (ret != 0)
		return ret;
	rte_dma_info_get(id, &info);
	nb_src = ranges_to_sges(&a->w[2], src, RTE_MIN(info.max_sges, SGES_MAX), &src_total);
	if (nb_src < 0)
		return nb_src;
	nb_dst = ranges_to_sges(&a->w[3], dst, RTE_MIN(info.max_sges, SGES_MAX), &dst_total);
	if (nb_dst < 0)
		return nb_dst;
	if (src_total != dst_total)
		return shell_error(-EINVAL, "lengths differ: %" PRIu64 " and %" PRIu64 " bytes",
			src_total, dst_total);
	if (sges_overlap(src, nb_src, dst, nb_dst))
		return shell_error(-EINVAL, "source and destination segments overlap");

	start = rte_rdtsc();
	ret = rte_dma_copy_sg(id, vchan, src, dst, nb_src, nb_dst, flags);
	return show_enqueued("copy-sg", id, vchan, ret, src_total, flags, rte_rdtsc() - start);
}

int
cmd_fill(const struct args *a)
{
	int16_t id = a->w[1].dev.id;
	uint16_t vchan = a->w[1].dev.vchan;
	struct range dst = a->w[2].range;
	uint64_t flags = op_flags(a), pattern, start;
	int ret;

	if (device_ready(id, vchan) == NULL || range_check(&dst) != 0)
		return -EINVAL;
	if (parse_pattern(a->w[3].str, &pattern) != 0)
		return shell_error(-EINVAL,
			"bad word '%s': expected a pattern (0xab, 0x0123456789abcdef)", a->w[3].str);
	ret = need_capability(id, RTE_DMA_CAPA_OPS_FILL, "fill");
	if (ret != 0)
		return ret;

	start = rte_rdtsc();
	ret = rte_dma_fill(id, vchan, pattern, dst.buf->mem.iova + dst.offset, dst.length, flags);
	return show_enqueued("fill", id, vchan, ret, dst.length, flags, rte_rdtsc() - start);
}

/* The device that is named, or the one used last. */
static int
command_device(const struct args *a, int16_t *id, uint16_t *vchan)
{
	*id = a->optional != NULL ? a->optional->dev.id : shell.last_dev;
	*vchan = a->optional != NULL ? a->optional->dev.vchan : 0;
	if (*id < 0)
		return shell_error(-EINVAL, "no device was used before: name one");
	return device_ready(*id, *vchan) == NULL ? -ENODEV : 0;
}

int
cmd_submit(const struct args *a)
{
	uint64_t start, cycles;
	uint32_t pending;
	uint16_t vchan;
	int16_t id;
	int ret = command_device(a, &id, &vchan);

	if (ret != 0)
		return ret;
	pending = vchan_of(id, vchan)->pending;
	start = rte_rdtsc();
	ret = vchan_submit(id, vchan);
	cycles = rte_rdtsc() - start;
	if (ret < 0)
		return shell_error(ret, "device %d does not take the submit: %s", id,
			strerror(-ret));
	out_begin("submit");
	out_int("device", id);
	out_num("operations", pending);
	out_cycles(cycles);
	out_line();
	return 0;
}

/* What poll and wait saw, all in all. */
struct summary {
	uint64_t completed;
	uint64_t errors;
	uint16_t last;
	enum rte_dma_status_code status; /* of the first error, or success */
};

static void
summarise(struct summary *s, const struct completion *done, int n, bool rows)
{
	int i;

	for (i = 0; i < n; i++) {
		if (done[i].status != RTE_DMA_STATUS_SUCCESSFUL && s->errors++ == 0)
			s->status = done[i].status;
		s->last = done[i].index;
		s->completed++;
		if (!rows)
			continue;
		out_begin("completion");
		out_num("index", done[i].index);
		out_str("status", "%s", status_name(done[i].status));
		out_cycles(done[i].cycles);
		out_row();
	}
}

static void
show_summary(const char *what, int16_t id, uint16_t vchan, const struct summary *s)
{
	out_begin(what);
	out_int("device", id);
	out_num("completed", s->completed);
	out_num("errors", s->errors);
	if (s->completed > 0) {
		out_num("last_index", s->last);
		out_str("status", "%s", status_name(s->status));
	}
	out_num("in_flight", vchan_of(id, vchan)->in_flight);
	out_line();
}

static int
not_silent(int16_t id)
{
	return device_get(id)->silent ? shell_error(-ENOTSUP,
		"device %d is in silent mode and reports no completions", id) : 0;
}

int
cmd_poll(const struct args *a)
{
	const uint64_t max = option_num(a, "max", POLL_MAX);
	struct completion done[POLL_MAX];
	struct summary s = { 0 };
	uint16_t vchan;
	int16_t id;
	int n = command_device(a, &id, &vchan);

	if (n != 0 || (n = not_silent(id)) != 0)
		return n;
	if (max == 0 || max > POLL_MAX)
		return shell_error(-ERANGE, "bad word '%" PRIu64 "': expected 1 to %u", max,
			POLL_MAX);
	n = vchan_poll(id, vchan, max, done, true);
	if (n < 0)
		return n;
	summarise(&s, done, n, true);
	show_summary("poll", id, vchan, &s);
	return 0;
}

int
cmd_wait(const struct args *a)
{
	const uint64_t timeout = rte_get_tsc_hz() *
		shell_limit_seconds(option_real(a, "timeout", 1));
	struct patience patience = { .looked = rte_rdtsc() };
	struct completion done[POLL_MAX];
	struct summary s = { 0 };
	struct shell_vchan *v;
	uint16_t vchan;
	int16_t id;
	int n = command_device(a, &id, &vchan);
	bool rows;

	if (n != 0 || (n = not_silent(id)) != 0)
		return n;
	v = vchan_of(id, vchan);
	rows = v->in_flight <= POLL_MAX;
	while (v->in_flight > v->pending && !shell.interrupted) {
		n = vchan_poll(id, vchan, POLL_MAX, done, true);
		if (n < 0)
			return n;
		summarise(&s, done, n, rows);
		if (patience_look(&patience, n > 0) > timeout)
			break;
	}
	show_summary("wait", id, vchan, &s);
	if (shell.interrupted)
		return -EINTR;
	if (v->in_flight > v->pending)
		return shell_error(-ETIMEDOUT, "%u operations of device %d are not done: 'show "
			"device %d status', 'reset device %d'", v->in_flight, id, id, id);
	if (v->pending > 0)
		return shell_error(-EAGAIN, "%u operations are not submitted: 'submit %d' first",
			v->pending, id);
	return 0;
}

struct burst {
	int16_t id;
	uint16_t vchan;
	uint64_t count, size, slots;
	struct dma_memory mem; /* sources, then destinations */
	struct summary sum;
	uint64_t enqueue_cycles, total_cycles;
};

/* Enqueue and submit up to BURST_SUBMIT operations, from number at on. Returns how many. */
static int
burst_enqueue(struct burst *b, uint64_t at)
{
	uint64_t n, slot, left = RTE_MIN(b->count - at, (uint64_t)BURST_SUBMIT);
	uint64_t start = rte_rdtsc();
	int ret = 0;

	for (n = 0; n < left; n++) {
		slot = (at + n) % b->slots;
		ret = rte_dma_copy(b->id, b->vchan, b->mem.iova + slot * b->size,
			b->mem.iova + (b->slots + slot) * b->size, b->size, 0);
		if (ret < 0)
			break;
		vchan_enqueued(b->id, b->vchan, ret, false);
	}
	if (n > 0)
		vchan_submit(b->id, b->vchan);
	if (n > 0 || ret == -ENOSPC || ret >= 0) {
		if (n > 0)
			b->enqueue_cycles += rte_rdtsc() - start;
		return n;
	}
	return shell_error(ret, "device %d refuses the operation: %s", b->id, strerror(-ret));
}

static int
burst_run(struct burst *b)
{
	struct shell_vchan *v = vchan_of(b->id, b->vchan);
	uint64_t begin = rte_rdtsc(), at = 0;
	struct patience patience = { .looked = begin };
	struct completion done[POLL_MAX];
	int n;

	while (b->sum.completed < b->count && !shell.interrupted) {
		if (at < b->count) {
			n = burst_enqueue(b, at);
			if (n < 0)
				return n;
			at += n;
		}
		n = vchan_poll(b->id, b->vchan, POLL_MAX, done, true);
		if (n < 0)
			return n;
		summarise(&b->sum, done, n, false);
		if (patience_look(&patience, n > 0) > rte_get_tsc_hz() * shell_limit_seconds(1))
			return shell_error(-ETIMEDOUT, "device %d makes no progress, %u in flight: "
				"'reset device %d'", b->id, v->in_flight, b->id);
	}
	b->total_cycles = rte_rdtsc() - begin;
	return shell.interrupted ? -EINTR : 0;
}

int
cmd_burst(const struct args *a)
{
	struct burst b = {
		.id = a->w[1].dev.id,
		.vchan = a->w[1].dev.vchan,
		.count = a->w[2].num,
		.size = a->w[3].num,
	};
	double seconds;
	int ret;

	if (device_ready(b.id, b.vchan) == NULL || not_silent(b.id) != 0)
		return -ENODEV;
	if (vchan_of(b.id, b.vchan)->in_flight > 0)
		return shell_error(-EBUSY, "device %d has operations in flight: 'submit %d' and "
			"'wait %d' first", b.id, b.id, b.id);
	if (b.count == 0 || b.count > 1000000000)
		return shell_error(-ERANGE, "bad word '%" PRIu64 "': expected 1 to 1000000000 "
			"operations", b.count);
	if (b.size == 0 || b.size > 64 * BURST_MEMORY)
		return shell_error(-ERANGE, "bad word '%" PRIu64 "': expected 1 to 64M bytes",
			b.size);
	b.slots = RTE_MAX(1u, BURST_MEMORY / b.size);
	ret = dma_memory_alloc(&b.mem, 2 * b.slots * b.size, SOCKET_ID_ANY, 0);
	if (ret != 0)
		return ret;
	ret = burst_run(&b);
	/* Memory may go away only when the device does not know it any more. */
	if (vchan_of(b.id, b.vchan)->in_flight > 0) {
		shell_note("device %d is restarted, with operations in flight", b.id);
		if (device_restart(b.id, device_get(b.id)->ring) != 0)
			return -EIO;
	}
	dma_memory_free(&b.mem);
	if (ret != 0)
		return ret;

	seconds = (double)b.total_cycles / rte_get_tsc_hz();
	out_begin("burst");
	out_int("device", b.id);
	out_num("completed", b.sum.completed);
	out_num("errors", b.sum.errors);
	out_str("status", "%s", status_name(b.sum.status));
	out_real("cycles_per_op", (double)b.enqueue_cycles / b.count, 1);
	out_real("mops", b.count / seconds / 1e6, 3);
	out_real("gbps", b.count * b.size * 8 / seconds / 1e9, 2);
	out_line();
	return 0;
}
