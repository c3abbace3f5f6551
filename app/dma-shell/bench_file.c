/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Figures of bench in files: a table for a spreadsheet, which may say of itself what it depends on,
 * and can be compared with later; and captures, whose packets give sizes.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <pcap/pcap.h>

#include <rte_dev.h>
#include <rte_string_fns.h>
#include <rte_version.h>

#include "bench.h"
#include "files.h"

#define PACKETS_MAX 65536
#define COLUMNS     "size,mops,gbps,gbps_low,gbps_high,cycles,p50_ns,p99_ns,p99.9_ns,max_ns," \
	"vs_mops,vs_gbps,vs_gbps_low,vs_gbps_high,vs_cycles"

static void
cpu_model(char *dst, size_t size)
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");

	strlcpy(dst, "unknown", size);
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL) {
			line[strcspn(line, "\n")] = '\0';
			strlcpy(dst, strchr(line, ':') + 2, size);
			break;
		}
	if (f != NULL)
		fclose(f);
}

void
bench_describe(const struct bench *b, FILE *f, const char *begin, const char *end)
{
	const struct pump *p = &b->side[0].lane[0].pump;
	struct rte_device *bus = device_bus(p->dev);
	char text[128];
	struct utsname u;
	time_t now = time(NULL);

#define SAY(name, ...) (fprintf(f, "%s%s: ", begin, name), fprintf(f, __VA_ARGS__), fputs(end, f))
	SAY("device", "%s", b->side[0].name);
	SAY("driver", "%s", bus == NULL ? "unknown" : rte_driver_name(rte_dev_driver(bus)));
	SAY("against", "%s", b->side[1].name);
	SAY("ring", "%u", device_get(p->dev)->ring);
	SAY("batch", "%u", p->batch);
	SAY("depth", "%u", p->depth);
	SAY("sg", "%u", b->segments);
	SAY("memory", "%" PRIu64, b->memory);
	SAY("lcores", "%u", b->nb_lanes);
	cpu_model(text, sizeof(text));
	SAY("cpu", "%s", text);
	SAY("dpdk", "%s", rte_version());
	if (uname(&u) == 0)
		SAY("kernel", "%s %s", u.sysname, u.release);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	SAY("date", "%s", text);
#undef SAY
}

static int
write_table(const struct bench *b, const char *path, bool described)
{
	struct file file;
	unsigned int i;
	int ret = file_begin(&file, path);

	if (ret != 0)
		return ret;
	if (described)
		bench_describe(b, file.out, "# ", "\n");
	fputs(COLUMNS "\n", file.out);
	for (i = 0; i < b->nb_rows; i++) {
		const struct bench_result *x = &b->row[i].side[0], *y = &b->row[i].side[1];

		fprintf(file.out, "%" PRIu64 ",%.4f,%.3f,%.3f,%.3f,%.1f,%.0f,%.0f,%.0f,%.0f,%.4f,%.3f,"
			"%.3f,%.3f,%.1f\n", b->row[i].size, x->mops, x->gbps.median, x->gbps.low,
			x->gbps.high, x->cycles, x->p50, x->p99, x->p999, x->max, y->mops,
			y->gbps.median, y->gbps.low, y->gbps.high, y->cycles);
	}
	return file_end(&file, path);
}

int
bench_csv(const struct bench *b, const char *path)
{
	return write_table(b, path, false);
}

int
bench_save(const struct bench *b, const char *path)
{
	return write_table(b, path, true);
}

static FILE *
open_saved(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		shell_error(-errno, "cannot read '%s': %s", path, strerror(errno));
		return NULL;
	}
	if (fgets(line, sizeof(line), f) != NULL && strncmp(line, "# device: ", 10) == 0) {
		rewind(f);
		return f;
	}
	fclose(f);
	shell_error(-EINVAL, "'%s' is no file that 'bench save' wrote", path);
	return NULL;
}

/* A row of a table: its size, the first side's figures and the median of the other one's. */
static bool
parse_row(const char *line, unsigned long long *size, struct bench_figure *x, double *other)
{
	return sscanf(line, "%llu,%*f,%lf,%lf,%lf,%*f,%*f,%*f,%*f,%*f,%*f,%lf,", size, &x->median,
		&x->low, &x->high, other) == 5 && *size > 0 && *size <= BENCH_SIZE_MAX &&
		x->low >= 0 && x->median >= x->low && x->high >= x->median && *other >= 0;
}

int
bench_load_settings(struct bench *b, const char *path)
{
	unsigned long long ring = 0, batch = 0, depth = 0, sg = 0, memory = 0, size;
	struct bench_figure x;
	char line[512];
	double other;
	int ret = 0;
	FILE *f = open_saved(path);

	if (f == NULL)
		return -EINVAL;
	while (ret == 0 && fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "# ring: %llu", &ring);
		sscanf(line, "# batch: %llu", &batch);
		sscanf(line, "# depth: %llu", &depth);
		sscanf(line, "# sg: %llu", &sg);
		sscanf(line, "# memory: %llu", &memory);
		if (line[0] == '#' || line[0] == '\n' || strncmp(line, "size,", 5) == 0)
			continue;
		/* A row that was cut off would be one that is not checked. */
		if (!parse_row(line, &size, &x, &other) || strchr(line, '\n') == NULL ||
				b->nb_sizes == BENCH_SIZES)
			ret = shell_error(-EINVAL, "'%s' holds no figures of a size in '%.*s'", path,
				(int)strcspn(line, "\n"), line);
		else
			b->size[b->nb_sizes++] = size;
	}
	fclose(f);
	if (ret != 0)
		return ret;
	if (b->nb_sizes == 0)
		return shell_error(-EINVAL, "'%s' holds no figures", path);
	b->ring = ring;
	b->batch = batch;
	b->depth = depth;
	b->segments = RTE_MIN(sg, UINT16_MAX + 0ull);
	b->memory = memory;
	return 0;
}

/* What is not as it was is said, since figures may differ for it. */
static void
note_differences(const struct bench *b, FILE *saved)
{
	char *now = NULL, line[512], *old, *end;
	size_t size;
	FILE *f = open_memstream(&now, &size);

	if (f == NULL)
		return;
	bench_describe(b, f, "# ", "\n");
	fclose(f);
	while (fgets(line, sizeof(line), saved) != NULL && line[0] == '#') {
		old = strchr(line, ':');
		if (old == NULL || strncmp(line, "# date", 6) == 0 || strncmp(line, "# ag", 4) == 0 ||
				strstr(now, line) != NULL)
			continue;
		end = old + strcspn(old, "\n");
		shell_note("not as then: %.*s was%.*s", (int)(old - line - 2), line + 2,
			(int)(end - old - 1), old + 1);
	}
	free(now);
	rewind(saved);
}

int
bench_check(const struct bench *b, const char *path, uint64_t tolerance)
{
	const double least = 1 - tolerance / 100.0;
	unsigned int i, checked = 0, nb_slower = 0;
	double ratio, other, beside = 0;
	struct bench_figure then;
	const struct bench_row *r;
	unsigned long long size;
	char line[512], against[64] = "";
	FILE *f = open_saved(path);
	bool slower;

	if (f == NULL)
		return -EINVAL;
	note_differences(b, f);
	while (fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "# against: %63[^\n]", against);
		if (!parse_row(line, &size, &then, &other))
			continue;
		for (i = 0; i < b->nb_rows && b->row[i].size != size; i++)
			;
		if (i == b->nb_rows)
			continue;
		r = &b->row[i];
		ratio = r->side[0].gbps.median / RTE_MAX(then.median, 1e-9);
		if (strcmp(against, b->side[1].name) == 0)
			beside = ratio * other / RTE_MAX(r->side[1].gbps.median, 1e-9);
		slower = ratio < least && r->side[0].gbps.high < then.low && beside < least;
		checked++;
		nb_slower += slower;
		out_begin("check");
		out_num("size", size);
		out_real("gbps_then", then.median, 2);
		out_real("gbps", r->side[0].gbps.median, 2);
		out_real("ratio", ratio, 2);
		if (beside > 0)
			out_real("beside_the_other", beside, 2);
		out_str("verdict", "%s", slower ? "slower" : "ok");
		out_row();
	}
	fclose(f);
	if (checked == 0)
		return shell_error(-EINVAL, "'%s' has none of these sizes", path);
	return nb_slower == 0 ? 0 : shell_error(-ERANGE, "slower than '%s' by more than %" PRIu64
		" %% at %u of %u sizes", path, tolerance, nb_slower, checked);
}

int
bench_packets(struct bench *b, const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline(path, error);
	struct pcap_pkthdr *header;
	const u_char *data;
	uint64_t sum = 0;
	int ret = PCAP_ERROR_BREAK;

	if (p == NULL)
		return shell_error(-EINVAL, "bad word 'pcap:%s' for 'sizes': %s", path, error);
	b->packet = calloc(PACKETS_MAX, sizeof(*b->packet));
	while (b->packet != NULL && b->nb_packets < PACKETS_MAX &&
			(ret = pcap_next_ex(p, &header, &data)) == 1) {
		if (header->len == 0 || header->len > 262144)
			continue;
		b->packet[b->nb_packets++] = header->len;
		sum += header->len;
	}
	/* Cut off in the middle of a packet, for one. */
	if (ret == PCAP_ERROR)
		shell_error(-EINVAL, "bad word 'pcap:%s' for 'sizes': %s", path, pcap_geterr(p));
	pcap_close(p);
	if (ret == PCAP_ERROR)
		return -EINVAL;
	if (b->packet == NULL)
		return shell_error(-ENOMEM, "out of memory");
	if (b->nb_packets == 0)
		return shell_error(-EINVAL, "'%s' holds no packets", path);
	b->size[0] = sum / b->nb_packets;
	b->nb_sizes = 1;
	return 0;
}
