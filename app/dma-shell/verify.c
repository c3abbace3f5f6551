/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * The soak: random operations, and every byte that the device wrote or had to leave alone.
 *
 * Operation k writes into slot k % SLOTS, filled with a guard byte before. When it is completed,
 * the CPU does the same into a scratch slot, and both must be equal. Some operations read what
 * the one before them wrote, behind a fence. What is done follows from the seed alone, whatever
 * the timing; when to poll and with which call does not.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_memory.h>

#include "shell.h"

#define SLOTS       64
#define SEGMENTS    8
#define GAP         64
#define SLACK       ((SEGMENTS + 2) * GAP) /* a slot's bytes that no operation writes */
#define SOURCE_SIZE (1024 * 1024)
#define SIZE_MAX_OP (256 * 1024)
#define GUARD       0xa5

enum kind { COPY, COPY_SG, FILL };

static const char *const kind_names[] = { "copy", "copy-sg", "fill" };

struct segment {
	const uint8_t *src; /* or, of a destination, NULL */
	uint32_t offset;    /* in its slot */
	uint32_t length;
};

struct op {
	enum kind kind;
	bool chained;
	uint32_t length;
	uint64_t pattern;
	unsigned int nb_src, nb_dst;
	struct segment src[SEGMENTS], dst[SEGMENTS];
};

struct verify {
	int16_t id;
	uint16_t vchan;
	uint64_t seed, random;
	uint32_t max_length;
	uint32_t slot_size;
	uint64_t faults; /* one about every so many operations */
	uint64_t capa;
	unsigned int max_segments;
	struct dma_memory mem; /* sources, then slots, then what is expected of one */
	struct op op[SLOTS];
	uint64_t enqueued, checked, limit;
	uint64_t kinds[RTE_DIM(kind_names)], chained, bytes;
	uint64_t injected, failed;
	bool last_failed_to_enqueue;
};

/* splitmix64: the same numbers on every machine, for ever. */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint32_t
below(struct verify *v, uint32_t n)
{
	return next_random(&v->random) % n;
}

static uint8_t *
slot(struct verify *v, uint64_t k)
{
	return (uint8_t *)v->mem.va + SOURCE_SIZE + (k % SLOTS) * v->slot_size;
}

static rte_iova_t
iova(const struct verify *v, const void *va)
{
	return v->mem.iova + ((const uint8_t *)va - (uint8_t *)v->mem.va);
}

/* Cut length into n lengths, none of them 0. */
static void
cut(struct verify *v, struct segment *s, unsigned int n, uint32_t length)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		s[i].length = i + 1 == n ? length : 1 + below(v, length - (n - i - 1));
		length -= s[i].length;
	}
}

static void
choose(struct verify *v, struct op *op)
{
	const struct op *before = &v->op[(v->enqueued - 1) % SLOTS];
	enum kind kinds[] = { COPY, COPY, COPY_SG, COPY_SG, FILL };
	uint32_t offset;
	unsigned int i;

	op->kind = kinds[below(v, RTE_DIM(kinds))];
	if ((op->kind == COPY_SG && (v->capa & RTE_DMA_CAPA_OPS_COPY_SG) == 0) ||
			(op->kind == FILL && (v->capa & RTE_DMA_CAPA_OPS_FILL) == 0))
		op->kind = COPY;
	/* Short ones as often as long ones: lengths are spread over powers of two. */
	op->length = 1 + below(v, v->max_length) / (1u << below(v, 12));
	op->pattern = next_random(&v->random);
	op->chained = below(v, 8) == 0 && op->kind == COPY && v->enqueued > 0;
	if (op->chained)
		op->length = RTE_MIN(op->length, before->dst[0].length);
	op->nb_src = op->kind != COPY_SG ? 1 : 1 + below(v, RTE_MIN(op->length, v->max_segments));
	op->nb_dst = op->kind != COPY_SG ? 1 : 1 + below(v, RTE_MIN(op->length, v->max_segments));
	cut(v, op->src, op->nb_src, op->length);
	cut(v, op->dst, op->nb_dst, op->length);
	for (i = 0; i < op->nb_src; i++) {
		offset = below(v, SOURCE_SIZE - op->src[i].length);
		op->src[i].src = (uint8_t *)v->mem.va + offset;
	}
	if (op->chained)
		op->src[0].src = slot(v, v->enqueued - 1) + before->dst[0].offset;
	for (i = 0, offset = 0; i < op->nb_dst; i++) {
		offset += below(v, GAP);
		op->dst[i].offset = offset;
		offset += op->dst[i].length;
	}
}

/* Returns 0, -ENOSPC when the ring is full, or another errno. */
static int
enqueue(struct verify *v, const struct op *op, uint64_t flags)
{
	/* Kept: some drivers read the lists when they run the operation. */
	static struct rte_dma_sge src[SLOTS][SEGMENTS], dst[SLOTS][SEGMENTS];
	const unsigned int at = v->enqueued % SLOTS;
	const rte_iova_t to = iova(v, slot(v, v->enqueued));
	unsigned int i;

	switch (op->kind) {
	case COPY:
		return rte_dma_copy(v->id, v->vchan, iova(v, op->src[0].src),
			to + op->dst[0].offset, op->length, flags);
	case COPY_SG:
		for (i = 0; i < op->nb_src; i++) {
			src[at][i].addr = iova(v, op->src[i].src);
			src[at][i].length = op->src[i].length;
		}
		for (i = 0; i < op->nb_dst; i++) {
			dst[at][i].addr = to + op->dst[i].offset;
			dst[at][i].length = op->dst[i].length;
		}
		return rte_dma_copy_sg(v->id, v->vchan, src[at], dst[at], op->nb_src, op->nb_dst,
			flags);
	default:
		return rte_dma_fill(v->id, v->vchan, op->pattern, to + op->dst[0].offset,
			op->length, flags);
	}
}

/* Do the operation by the CPU, into a slot of guard bytes. */
static void
expect_into(const struct op *op, uint8_t *out)
{
	const uint8_t *pattern = (const uint8_t *)&op->pattern;
	unsigned int s = 0, d = 0;
	uint32_t s_at = 0, d_at = 0, n, i;

	if (op->kind == FILL) {
		for (i = 0; i < op->length; i++)
			out[op->dst[0].offset + i] = pattern[i % sizeof(op->pattern)];
		return;
	}
	while (s < op->nb_src && d < op->nb_dst) {
		n = RTE_MIN(op->src[s].length - s_at, op->dst[d].length - d_at);
		memcpy(out + op->dst[d].offset + d_at, op->src[s].src + s_at, n);
		s_at += n;
		d_at += n;
		if (s_at == op->src[s].length) {
			s++;
			s_at = 0;
		}
		if (d_at == op->dst[d].length) {
			d++;
			d_at = 0;
		}
	}
}

static int
check(struct verify *v, enum rte_dma_status_code status)
{
	const struct op *op = &v->op[v->checked % SLOTS];
	const uint8_t *got = slot(v, v->checked);
	uint8_t *wanted = slot(v, 0) + SLOTS * v->slot_size;
	unsigned int i;
	uint32_t at;

	memset(wanted, GUARD, v->slot_size);
	if (status == RTE_DMA_STATUS_SUCCESSFUL) {
		expect_into(op, wanted);
	} else {
		if (++v->failed > v->injected)
			return shell_error(-EIO, "operation %" PRIu64 " (%s of %u bytes) failed: %s; "
				"'verify %d seed %" PRIu64 "' does it again", v->checked,
				kind_names[op->kind], op->length, status_name(status), v->id,
				v->seed);
		/* It may have written some of its destination, but nothing else. */
		for (i = 0; i < op->nb_dst; i++)
			memcpy(wanted + op->dst[i].offset, got + op->dst[i].offset,
				op->dst[i].length);
	}
	if (memcmp(got, wanted, v->slot_size) != 0) {
		for (at = 0; got[at] == wanted[at]; at++)
			;
		return shell_error(-EILSEQ, "operation %" PRIu64 " (%s of %u bytes, %u to %u "
			"segments%s) is wrong at byte %u of its slot: 0x%02x, expected 0x%02x; "
			"'verify %d seed %" PRIu64 "' does it again", v->checked,
			kind_names[op->kind], op->length, op->nb_src, op->nb_dst,
			op->chained ? ", behind a fence" : "", at, got[at], wanted[at], v->id,
			v->seed);
	}
	v->checked++;
	v->bytes += op->length;
	return 0;
}

/* Poll, and check what is completed. Returns how many, negative: an error. */
static int
poll_and_check(struct verify *v, bool with_status)
{
	struct completion done[POLL_MAX];
	int i, ret, n = vchan_poll(v->id, v->vchan, POLL_MAX, done, with_status);

	for (i = 0; i < n; i++) {
		ret = check(v, done[i].status);
		if (ret != 0)
			return ret;
	}
	return n;
}

static int
maybe_inject(struct verify *v)
{
	static const char *const causes[] = { "src", "dst", "read", "write", "op", "length" };
	char fault[64];
	uint64_t now = rte_rdtsc();
	int ret;

	/* One at a time: the device forgets one that has not struck when it gets another. */
	if (v->faults == 0 || v->failed < v->injected || next_random(&now) % v->faults != 0)
		return 0;
	snprintf(fault, sizeof(fault), "fail:at=%u:cause=%s",
		(unsigned int)(next_random(&now) % SLOTS),
		causes[next_random(&now) % RTE_DIM(causes)]);
	ret = inject_fault(v->id, fault);
	if (ret != 0)
		return shell_error(ret, "device %d takes no faults: leave 'faults' out", v->id);
	v->injected++;
	return 0;
}

/* Try to enqueue one more. Returns 1, 0 when there is no room yet, or an error. */
static int
advance(struct verify *v)
{
	struct op *op = &v->op[v->enqueued % SLOTS];
	uint64_t flags = 0;
	int ret;

	/* A slot is free when its operation is checked, and the next one, which may read it. */
	if (v->enqueued >= v->limit || v->enqueued + 2 > v->checked + SLOTS)
		return 0;
	ret = maybe_inject(v);
	if (ret != 0)
		return ret;
	if (!v->last_failed_to_enqueue) {
		choose(v, op);
		memset(slot(v, v->enqueued), GUARD, v->slot_size);
	}
	if (op->chained || op->pattern % 16 == 0)
		flags |= RTE_DMA_OP_FLAG_FENCE;
	if (op->pattern % 5 == 0)
		flags |= RTE_DMA_OP_FLAG_SUBMIT;
	ret = enqueue(v, op, flags);
	v->last_failed_to_enqueue = ret == -ENOSPC;
	if (ret == -ENOSPC)
		return 0;
	if (ret < 0)
		return shell_error(ret, "operation %" PRIu64 " (%s of %u bytes) is refused: %s",
			v->enqueued, kind_names[op->kind], op->length, strerror(-ret));
	vchan_enqueued(v->id, v->vchan, ret, (flags & RTE_DMA_OP_FLAG_SUBMIT) != 0);
	v->kinds[op->kind]++;
	v->chained += op->chained;
	v->enqueued++;
	return 1;
}

static int
soak(struct verify *v, double seconds)
{
	const uint64_t hz = rte_get_tsc_hz(), begin = rte_rdtsc();
	struct patience patience = { .looked = begin };
	uint64_t now = begin, told = begin, round = 0;
	int ret = 0, done;

	while (v->checked < v->limit || v->checked < v->enqueued) {
		/* A few at a time, so that the ring is sometimes empty and sometimes full. */
		ret = advance(v);
		if (ret < 0)
			break;
		round += 0x9e3779b97f4a7c15;
		if (ret == 1 && round >> 61 != 0)
			continue;
		if (vchan_submit(v->id, v->vchan) < 0) {
			ret = shell_error(-EIO, "device %d does not take the submit", v->id);
			break;
		}
		done = poll_and_check(v, (round >> 60 & 1) != 0);
		if (done < 0) {
			ret = done;
			break;
		}
		if (patience_look(&patience, done > 0 || v->checked == v->enqueued) > 2 * hz) {
			ret = shell_error(-ETIMEDOUT, "device %d makes no progress: operation %" PRIu64
				" of %" PRIu64 " is not done", v->id, v->checked, v->enqueued);
			break;
		}
		now = patience.looked;
		if (now - told > hz) {
			told = now;
			shell_note("verify: %" PRIu64 " operations, %.1f GB checked", v->checked,
				v->bytes / 1e9);
		}
		if (shell.interrupted || now - begin > seconds * hz)
			v->limit = v->enqueued;
	}
	out_begin("verify");
	out_int("device", v->id);
	out_bool("ok", ret >= 0);
	out_num("seed", v->seed);
	out_num("operations", v->checked);
	out_num("copy", v->kinds[COPY]);
	out_num("copy_sg", v->kinds[COPY_SG]);
	out_num("fill", v->kinds[FILL]);
	out_num("fenced_chains", v->chained);
	out_num("injected", v->injected);
	out_num("failed", v->failed);
	out_num("bytes", v->bytes);
	out_real("seconds", (double)(now - begin) / hz, 2);
	out_line();
	return ret < 0 ? ret : 0;
}

/* Faults: each one fails one operation. The last one may not have struck yet. */
static int
check_faults(struct verify *v)
{
	if (v->injected == 0)
		return 0;
	inject_fault(v->id, "none");
	if (v->failed + 1 < v->injected)
		return shell_error(-EIO, "%" PRIu64 " faults made only %" PRIu64 " operations fail",
			v->injected, v->failed);
	return 0;
}

static int
prepare(struct verify *v, const struct args *a)
{
	struct shell_dev *d = device_get(v->id);
	uint64_t size = option_num(a, "size", 16 * 1024), *p, i;
	struct rte_dma_info info;
	int ret;

	if (d == NULL || rte_dma_info_get(v->id, &info) != 0)
		return -ENODEV;
	if (size == 0 || size > SIZE_MAX_OP)
		return shell_error(-ERANGE, "bad size %" PRIu64 ": expected 1 to %u", size,
			SIZE_MAX_OP);
	if (!d->started && d->worker < 0) {
		ret = device_start(v->id);
		if (ret != 0)
			return ret;
	}
	if (device_ready(v->id, v->vchan) == NULL)
		return -EBUSY;
	if (d->silent)
		return shell_error(-ENOTSUP, "device %d is in silent mode", v->id);
	if (d->vchan[v->vchan].in_flight > 0)
		return shell_error(-EBUSY, "device %d has operations in flight: 'submit %d' and "
			"'wait %d' first", v->id, v->id, v->id);
	v->max_length = size;
	v->slot_size = RTE_ALIGN_CEIL((uint32_t)size + SLACK, GAP);
	v->capa = info.dev_capa;
	v->max_segments = RTE_MIN(info.max_sges, SEGMENTS);
	v->seed = option_num(a, "seed", rte_rdtsc());
	v->random = v->seed;
	v->limit = option_num(a, "operations", UINT64_MAX);
	v->faults = option_num(a, "faults", 0);
	ret = dma_memory_alloc(&v->mem, SOURCE_SIZE + (SLOTS + 1) * (uint64_t)v->slot_size,
		SOCKET_ID_ANY, 0);
	if (ret != 0)
		return ret;
	p = v->mem.va;
	for (i = 0; i < SOURCE_SIZE / sizeof(*p); i++)
		p[i] = next_random(&v->random);
	return 0;
}

int
cmd_verify(const struct args *a)
{
	const int16_t id = a->optional != NULL ? a->optional->dev.id : device_first();
	const uint16_t vchan = a->optional != NULL ? a->optional->dev.vchan : 0;
	/* With no bound on operations there is one on time. */
	const double otherwise = option(a, "operations") == NULL ? 5 : 1e6;
	double seconds = shell_limit_seconds(option_real(a, "seconds", otherwise));
	struct verify *v;
	int ret;

	if (id < 0)
		return shell_error(-ENODEV, "there is no device");
	v = calloc(1, sizeof(*v));
	if (v == NULL)
		return shell_error(-ENOMEM, "out of memory");
	v->id = id;
	v->vchan = vchan;
	ret = prepare(v, a);
	if (ret == 0) {
		ret = soak(v, seconds);
		if (ret == 0)
			ret = check_faults(v);
		/* Something in flight may still write: the device must forget it first. */
		if (device_get(id)->vchan[vchan].in_flight == 0 ||
				device_restart(id, device_get(id)->ring) == 0)
			dma_memory_free(&v->mem);
	}
	free(v);
	return ret != 0 ? ret : shell.interrupted ? -EINTR : 0;
}
