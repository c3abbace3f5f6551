/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Plots of bench, by gnuplot.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "bench.h"
#include "files.h"

static const char *
terminal_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (dot != NULL && strcmp(dot, ".png") == 0)
		return "pngcairo size 1500,900 font 'sans,11'";
	if (dot != NULL && strcmp(dot, ".svg") == 0)
		return "svg size 1500,900 font 'sans,13' background 'white'";
	return NULL;
}

static bool
gnuplot_is_there(void)
{
	return system("command -v gnuplot >/dev/null 2>&1") == 0;
}

int
plot_check(const char *path)
{
	if (terminal_of(path) == NULL)
		return shell_error(-EINVAL, "bad word '%s': expected a file name that ends in .png "
			"or .svg", path);
	if (!gnuplot_is_there())
		return shell_error(-ENOENT,
			"there is no gnuplot to plot with: apt-get install gnuplot-nox");
	return 0;
}

/* In gnuplot's single quotes only a single quote is special. */
static void
quoted(FILE *f, const char *s)
{
	fputc('\'', f);
	for (; *s != '\0'; s++) {
		if (*s == '\'')
			fputc('\'', f);
		fputc(*s, f);
	}
	fputc('\'', f);
}

static void
write_rows(const struct bench *b, FILE *f)
{
	unsigned int i;

	fputs("$data << EOD\n", f);
	for (i = 0; i < b->nb_rows; i++) {
		const struct bench_result *x = &b->row[i].side[0], *y = &b->row[i].side[1];

		fprintf(f, "%.0f %g %g %g %g %g %g %g %g %g %g %g %g %g\n", (double)b->row[i].size,
			x->gbps.median, x->gbps.low, x->gbps.high, y->gbps.median, y->gbps.low,
			y->gbps.high, x->cycles, y->cycles, x->p50 / 1e3, x->p99 / 1e3,
			x->p999 / 1e3, y->p50 / 1e3, y->p99 / 1e3);
	}
	fputs("EOD\n", f);
}

/* Of each size a block: microseconds, and percent of all operations in an eighth of an octave. */
static void
write_histograms(const struct bench *b, FILE *f)
{
	const unsigned int step = 1 << (HISTOGRAM_SUB_BITS - 3);
	const double us = 1e6 / rte_get_tsc_hz();
	unsigned int i, j, k;

	fputs("$histogram << EOD\n", f);
	for (i = 0; i < b->nb_rows; i++) {
		const struct histogram *h = &b->row[i].side[0].latency;

		for (j = 0; j < HISTOGRAM_SIZE; j += step) {
			uint64_t n = 0;

			for (k = 0; k < step; k++)
				n += h->bucket[j + k];
			if (n > 0)
				fprintf(f, "%g %g\n", histogram_upper(j + step - 1) * us,
					100.0 * n / RTE_MAX(h->count, 1u));
		}
		fputs("\n\n", f);
	}
	fputs("EOD\n$load << EOD\n", f);
	for (i = 0; i < b->nb_load_rows; i++) {
		if (i > 0 && b->loads[i].size != b->loads[i - 1].size)
			fputs("\n\n", f);
		fprintf(f, "%u %g %g %g\n", b->loads[i].percent, b->loads[i].p50 / 1e3,
			b->loads[i].p99 / 1e3, b->loads[i].p999 / 1e3);
	}
	fputs("EOD\n", f);
}

static void
size_text(uint64_t size, char *dst, size_t len)
{
	if (size % 1024 == 0)
		snprintf(dst, len, "%.0fK", (double)size / 1024);
	else
		snprintf(dst, len, "%.0f", (double)size);
}

static void
write_script(const struct bench *b, FILE *f, const char *terminal)
{
	const struct bench_row *row = b->row;
	const char *a = b->side[0].name, *c = b->side[1].name;
	char title[256], size[32];
	unsigned int i;

	write_rows(b, f);
	write_histograms(b, f);
	fprintf(f, "a = ");
	quoted(f, a);
	fprintf(f, "\nc = ");
	quoted(f, c);
	fprintf(f, "\nset terminal %s", terminal);
	fprintf(f, "\nset multiplot layout 2,3 title ");
	snprintf(title, sizeof(title), "%s beside %s: ring %u, batch %u, in flight up to %u, %u "
		"lcore(s)%s", a, c, device_get(b->side[0].lane[0].pump.dev)->ring,
		b->side[0].lane[0].pump.batch, b->side[0].lane[0].pump.depth, b->nb_lanes,
		b->segments > 0 ? ", segment lists" : "");
	quoted(f, title);
	fputs(" noenhanced\n"
		"set grid\nset format y '%g'\nset style data linespoints\nset pointsize 0.8\n"
		"set key noenhanced top left reverse Left\n"
		"set logscale x 2\nset xlabel 'bytes of an operation'\nset xtics rotate by -45 (", f);
	for (i = 0; i < b->nb_rows; i++) {
		size_text(row[i].size, size, sizeof(size));
		fprintf(f, "%s'%s' %.0f", i > 0 ? ", " : "", size, (double)row[i].size);
	}
	fprintf(f, ")\nset xrange [%g:%g]\n", row[0].size / 1.3, row[b->nb_rows - 1].size * 1.3);
	fprintf(f, "set title 'Throughput, median and spread'\nset ylabel 'Gbps'\nset yrange [0:*]\n"
		"plot $data using 1:2:3:4 with yerrorlines title a lw 2, "
		"'' using 1:5:6:7 with yerrorlines title c lw 2 dt 2\n"
		"set logscale y\nset yrange [*:*]\n"
		"set title 'Cost on the submitting lcore'\nset ylabel 'cycles an operation'\n"
		"plot $data using 1:8 title a lw 2, '' using 1:9 title c lw 2 dt 2\n"
		"set title 'Latency, submit to completion'\nset ylabel 'microseconds'\n"
		"set key below\n"
		"plot $data using 1:10 title a.' p50' lw 2, '' using 1:11 title a.' p99' lw 2, "
		"'' using 1:12 title a.' p99.9' lw 2%s\n", b->side[1].cpu ? "" :
		", '' using 1:13 title c.' p50' lw 2 dt 2, '' using 1:14 title c.' p99' lw 2 dt 2");
	fputs("set title 'Latency of '.a.', distribution' noenhanced\nset xlabel 'microseconds'\n"
		"set ylabel 'percent of operations'\nset xrange [*:*]\nset xtics norotate autofreq\n"
		"set logscale x 10\nunset logscale y\nset yrange [0:*]\nset key default noenhanced top right\nplot ", f);
	for (i = 0; i < b->nb_rows; i++) {
		size_text(row[i].size, size, sizeof(size));
		fprintf(f, "%s$histogram index %u with lines lw 2 title '%s bytes'",
			i > 0 ? ", " : "", i, size);
	}
	fputs("\n", f);
	if (b->nb_load_rows > 0) {
		fputs("set title 'Latency of '.a.' against load: p50, p99 dashed, p99.9 dotted' "
			"noenhanced\n"
			"set xlabel 'percent of the highest throughput'\nset ylabel 'microseconds'\n"
			"unset logscale x\nset logscale y\nset xrange [0:105]\nset yrange [*:*]\n"
			"set key below\nplot ", f);
		for (i = 0; i < b->nb_rows && i * b->nb_loads < b->nb_load_rows; i++) {
			size_text(row[i].size, size, sizeof(size));
			fprintf(f, "%s$load index %u using 1:2 title '%s bytes' lw 2 lc %u, "
				"'' index %u using 1:3 notitle lw 2 dt 2 lc %u, "
				"'' index %u using 1:4 notitle lw 2 dt 3 lc %u", i > 0 ? ", " : "", i,
				size, i + 1, i, i + 1, i, i + 1);
		}
		fputs("\n", f);
	}
	fputs("unset multiplot\n", f);
}

/*
 * The picture, malloc'ed. gnuplot takes a name for a command when it begins with a '|', and says
 * nothing of a full disk: what it makes is written by us.
 */
static char *
make_plot(const struct bench *b, const char *terminal, size_t *size)
{
	int fd = memfd_create("plot", 0);
	FILE *picture = fd < 0 ? NULL : fdopen(fd, "r"), *f;
	char command[64], *data = NULL;
	struct stat st;
	int status;

	if (picture == NULL) {
		shell_error(-errno, "no memory for a plot: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	snprintf(command, sizeof(command), "exec gnuplot - >/dev/fd/%d", fd);
	f = popen(command, "w");
	if (f == NULL) {
		shell_error(-errno, "cannot run gnuplot: %s", strerror(errno));
		fclose(picture);
		return NULL;
	}
	write_script(b, f, terminal);
	status = pclose(f);
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && fstat(fd, &st) == 0 &&
			st.st_size > 0 && (data = malloc(st.st_size + 1)) != NULL) {
		*size = fread(data, 1, st.st_size, picture);
		data[*size] = '\0';
	} else {
		shell_error(-EIO, "gnuplot made no plot: see above");
	}
	fclose(picture);
	return data;
}

int
plot(const struct bench *b, const char *path)
{
	struct file file;
	size_t size = 0;
	char *data = make_plot(b, terminal_of(path), &size);
	int ret = data == NULL ? -EIO : file_begin(&file, path);

	if (ret == 0) {
		fwrite(data, 1, size, file.out);
		ret = file_end(&file, path);
	}
	free(data);
	if (ret == 0)
		shell_note("plot: %s", path);
	return ret;
}

char *
plot_svg(const struct bench *b)
{
	size_t size = 0;
	char *text = gnuplot_is_there() ? make_plot(b, terminal_of(".svg"), &size) : NULL;
	/* Without the XML header, which has no place in HTML. */
	char *svg = text == NULL ? NULL : strstr(text, "<svg");

	svg = svg == NULL ? NULL : strdup(svg);
	free(text);
	return svg;
}
