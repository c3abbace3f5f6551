/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 *
 * Plots of bench, by gnuplot.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"
#include "shell.h"

static const char *
terminal_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (dot != NULL && strcmp(dot, ".png") == 0)
		return "pngcairo size 1500,520 font 'sans,11'";
	if (dot != NULL && strcmp(dot, ".svg") == 0)
		return "svg size 1500,520 font 'sans,13' background 'white'";
	return NULL;
}

int
plot_check(const char *path)
{
	FILE *f;

	if (terminal_of(path) == NULL)
		return shell_error(-EINVAL, "bad word '%s': expected a file name that ends in .png "
			"or .svg", path);
	if (system("command -v gnuplot >/dev/null 2>&1") != 0)
		return shell_error(-ENOENT,
			"there is no gnuplot to plot with: apt-get install gnuplot-nox");
	f = fopen(path, "a");
	if (f == NULL)
		return shell_error(-errno, "cannot write '%s': %s", path, strerror(errno));
	fclose(f);
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
write_script(FILE *f, const char *path, const char *title, const struct bench_row *row,
	unsigned int n)
{
	unsigned int i;

	fputs("$data << EOD\n", f);
	for (i = 0; i < n; i++)
		fprintf(f, "%.0f %g %g %g %g %g %g %g %g\n", (double)row[i].size, row[i].gbps,
			row[i].cpu_gbps, row[i].cycles, row[i].cpu_cycles, row[i].p50 / 1e3,
			row[i].p99 / 1e3, row[i].p999 / 1e3, row[i].max / 1e3);
	fprintf(f, "EOD\nset terminal %s\nset output ", terminal_of(path));
	quoted(f, path);
	fputs("\nset multiplot layout 1,3 title ", f);
	quoted(f, title);
	fputs(" noenhanced\n"
		"set grid\nset key top left reverse Left\nset format y '%g'\nset style data linespoints\nset pointsize 0.8\n"
		"set logscale x 2\nset xlabel 'bytes of an operation'\nset xtics rotate by -45 (",
		f);
	for (i = 0; i < n; i++)
		fprintf(f, row[i].size % 1024 == 0 ? "%s'%.0fK' %.0f" : "%s'%.0f' %.0f",
			i > 0 ? ", " : "",
			(double)(row[i].size % 1024 == 0 ? row[i].size / 1024 : row[i].size),
			(double)row[i].size);
	fprintf(f, ")\nset xrange [%g:%g]\n", row[0].size / 1.3, row[n - 1].size * 1.3);
	fputs("set title 'Throughput'\nset ylabel 'Gbps'\nset yrange [0:*]\nset key bottom right\n"
		"plot $data using 1:2 title 'device' lw 2, "
		"'' using 1:3 title 'CPU memcpy' lw 2 dt 2\n"
		"set logscale y\nset yrange [*:*]\nset key top left\n"
		"set title 'Cost on the submitting lcore'\nset ylabel 'cycles an operation'\n"
		"plot $data using 1:4 title 'device' lw 2, "
		"'' using 1:5 title 'CPU memcpy' lw 2 dt 2\n"
		"set title 'Latency, submit to completion'\nset ylabel 'microseconds'\n"
		"plot $data using 1:6 title 'p50' lw 2, '' using 1:7 title 'p99' lw 2, "
		"'' using 1:8 title 'p99.9' lw 2, '' using 1:9 title 'max' lw 1 dt 2\n"
		"unset multiplot\n", f);
}

int
plot(const char *path, const char *title, const struct bench_row *row, unsigned int n)
{
	FILE *f = popen("exec gnuplot -", "w");
	int status;

	if (f == NULL)
		return shell_error(-errno, "cannot run gnuplot: %s", strerror(errno));
	write_script(f, path, title, row, n);
	status = pclose(f);
	if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return shell_error(-EIO, "gnuplot did not make '%s'", path);
	shell_note("plot: %s", path);
	return 0;
}
