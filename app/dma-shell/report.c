/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * A report of bench: one page of HTML that needs nothing else, for a ticket or a mail.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "files.h"

static const char style[] =
	"body{font:15px/1.45 sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222}"
	"h1{font-size:1.5em}h2{font-size:1.15em;margin-top:1.8em}"
	"table{border-collapse:collapse}th,td{padding:.25em .6em;text-align:right;"
	"border-bottom:1px solid #ddd}td{white-space:nowrap}th{background:#f3f3f3;font-weight:600}"
	"td:first-child,th:first-child{text-align:left}"
	".faster{color:#176b2c}.slower{color:#a4161a}p.slower{white-space:pre-line}svg{width:100%;height:auto}";

static void
escaped(FILE *f, const char *s)
{
	for (; *s != '\0'; s++)
		switch (*s) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		default:
			fputc(*s, f);
		}
}

static void
conditions(const struct bench *b, FILE *f)
{
	char *text = NULL, *line, *value, *save = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (to == NULL)
		return;
	bench_describe(b, to, "", "\n");
	fclose(to);
	fputs("<h2>Conditions</h2><table>", f);
	for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		value = strstr(line, ": ");
		if (value == NULL)
			continue;
		*value = '\0';
		fprintf(f, "<tr><td>%s</td><td>", line);
		escaped(f, value + 2);
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n", f);
	free(text);
}

static void
figure(FILE *f, const struct bench_figure *x)
{
	fprintf(f, "<td>%.2f</td><td>%.2f&ndash;%.2f</td>", x->median, x->low, x->high);
}

static void
results(const struct bench *b, FILE *f)
{
	unsigned int i;

	fputs("<h2>Throughput and cost</h2><table><tr><th>bytes</th><th>Gbps: ", f);
	escaped(f, b->side[0].name);
	fputs("</th><th>spread</th><th>Gbps: ", f);
	escaped(f, b->side[1].name);
	fputs("</th><th>spread</th><th>ratio</th><th>verdict</th>"
		"<th>cycles</th><th>cycles, other</th><th>p50 &micro;s</th><th>p99 &micro;s</th>"
		"<th>p99.9 &micro;s</th></tr>\n", f);
	for (i = 0; i < b->nb_rows; i++) {
		const struct bench_result *x = &b->row[i].side[0], *y = &b->row[i].side[1];
		const char *verdict = bench_verdict_name(bench_verdict(&b->row[i].ratio));

		fprintf(f, "<tr><td>%" PRIu64 "</td>", b->row[i].size);
		figure(f, &x->gbps);
		figure(f, &y->gbps);
		fprintf(f, "<td>%.2f</td><td class=\"%s\">%s</td><td>%.1f</td><td>%.1f</td>"
			"<td>%.1f</td><td>%.1f</td><td>%.1f</td></tr>\n",
			b->row[i].ratio.median, verdict, verdict, x->cycles, y->cycles, x->p50 / 1e3, x->p99 / 1e3, x->p999 / 1e3);
	}
	fprintf(f, "</table><p>Medians of %u rounds in which both took turns. The ratio is that of rounds "
		"beside each other; where its spread is not on one side of 1 the two are the same, or it "
		"is unclear where the spread is large. Cycles are those of the submitting lcore for an operation.</p>\n<p class=\"slower\">", BENCH_ROUNDS);
	escaped(f, b->doubts);
	fputs("</p>\n", f);
}

static void
load_table(const struct bench *b, FILE *f)
{
	unsigned int i;

	if (b->nb_load_rows == 0)
		return;
	fputs("<h2>Latency against load</h2><table><tr><th>bytes</th><th>load %</th>"
		"<th>million operations a second</th><th>p50 &micro;s</th><th>p99 &micro;s</th>"
		"<th>p99.9 &micro;s</th></tr>\n", f);
	for (i = 0; i < b->nb_load_rows; i++) {
		const struct bench_load *l = &b->loads[i];

		fprintf(f, "<tr><td>%" PRIu64 "</td><td>%u</td><td>%.3f</td><td>%.1f</td><td>%.1f</td>"
			"<td>%.1f</td></tr>\n", l->size, l->percent, l->mops, l->p50 / 1e3,
			l->p99 / 1e3, l->p999 / 1e3);
	}
	fputs("</table><p>Operations at a fixed rate, timed from when each was due.</p>\n", f);
}

int
report(const struct bench *b, const char *path)
{
	struct file file;
	FILE *f;
	char *svg;
	int ret = file_begin(&file, path);

	if (ret != 0)
		return ret;
	f = file.out;
	svg = plot_svg(b);
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", f);
	escaped(f, b->side[0].name);
	fprintf(f, "</title><style>%s</style></head><body>\n<h1>", style);
	escaped(f, b->side[0].name);
	fputs(" beside ", f);
	escaped(f, b->side[1].name);
	fputs("</h1>\n", f);
	results(b, f);
	if (svg != NULL)
		fprintf(f, "<h2>Plots</h2>\n%s\n", svg);
	load_table(b, f);
	conditions(b, f);
	fputs("</body></html>\n", f);
	ret = file_end(&file, path);
	if (ret == 0)
		shell_note("report: %s%s", path, svg == NULL ?
			" (without plots: there is no gnuplot, apt-get install gnuplot-nox)" : "");
	free(svg);
	return ret;
}
