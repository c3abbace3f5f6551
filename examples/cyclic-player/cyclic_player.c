/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Plays a sound through a cyclic transfer, as a sound card is played: the device goes round a common
 * buffer at the pace of the sample clock and puts period after period into the window of a codec,
 * while the application fills the buffer ahead of it. The codec, which is simulated, writes down what
 * it hears; without an underrun that is what was played.
 */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>

#include "example.h"

#define RATE	48000 /* frames in a second */
#define FRAME	4     /* bytes: two channels of 16 bits */
#define PERIOD	(480 * FRAME) /* 10 ms */
#define PERIODS 8

static const char usage[] =
	"usage: cyclic-player [EAL options --] [-i FILE] [-o FILE] [-t SECONDS] [-x SPEED] [-s MS]\n"
	"Plays sound, 48000 Hz, two channels of 16 bits, to a simulated codec, and says whether it\n"
	"heard all of it, which is also the exit status.\n"
	"  -i FILE     raw samples to play (default: a tone)\n"
	"  -o FILE     write what the codec hears; a file that is there is replaced when it has heard it\n"
	"  -t SECONDS  length of the tone (default 2)\n"
	"  -x SPEED    times as fast (default 1)\n"
	"  -s MS       pause filling once for so long; more than the 80 ms of the ring: underruns\n";

struct codec {
	const uint8_t *window;
	FILE *out;
	uint64_t heard, sum;
	uint64_t end; /* of the sound; behind it there is silence that does not count */
	int status;
};

/* The codec takes the period that has arrived in its window. */
static void
period_arrived(struct ce_cyclic *cyclic, uint64_t period, int status, void *arg)
{
	struct codec *codec = arg;
	size_t i;

	(void)cyclic;
	(void)period;
	codec->status = status;
	if (status != 0 || codec->heard >= codec->end)
		return;
	for (i = 0; i < PERIOD; i++)
		codec->sum = codec->sum * 31 + codec->window[i];
	codec->heard += PERIOD;
	if (codec->out != NULL)
		fwrite(codec->window, 1, PERIOD, codec->out);
}

/* The next bytes of the sound; 0 at its end. */
struct sound {
	FILE *in;
	uint64_t frame, frames;
	uint64_t sum, bytes;
};

static size_t
sound_read(struct sound *sound, uint8_t *to, size_t length)
{
	int16_t *sample = (int16_t *)to;
	size_t done = 0, i;

	if (sound->in != NULL) {
		done = fread(to, 1, length, sound->in);
	} else {
		for (; done + FRAME <= length && sound->frame < sound->frames; done += FRAME) {
			*sample = 12000 * sin(2 * M_PI * 440 * sound->frame++ / RATE);
			sample[1] = -*sample;
			sample += 2;
		}
	}
	for (i = 0; i < done; i++)
		sound->sum = sound->sum * 31 + to[i];
	sound->bytes += done;
	return done;
}

/* Fill what is free of the ring, with silence from the end of the sound on. */
static void
feed(struct ce_cyclic *cyclic, struct sound *sound, struct codec *codec)
{
	size_t window, length;
	void *va;

	while ((window = ce_cyclic_window(cyclic, &va)) > 0) {
		window = RTE_MIN(window, (size_t)PERIOD - sound->bytes % PERIOD);
		length = codec->end == UINT64_MAX ? sound_read(sound, va, window) : 0;
		if (length == 0 && sound->bytes % PERIOD == 0)
			codec->end = sound->bytes;
		memset(RTE_PTR_ADD(va, length), 0, window - length);
		ce_cyclic_commit(cyclic, window);
		/* The sound ends with its last period, whole. */
		for (; codec->end == UINT64_MAX && length < window; length++, sound->bytes++)
			sound->sum *= 31;
	}
}

static void
play(struct ce_adapter *adapter, struct ce_cyclic *cyclic, struct sound *sound, struct codec *codec,
	double pause)
{
	double resume = 0;

	while (!example_stop && codec->status == 0) {
		ce_poll(adapter);
		if (pause > 0 && codec->heard > 20 * PERIOD) {
			resume = example_seconds() + pause;
			pause = 0;
		}
		if (example_seconds() >= resume)
			feed(cyclic, sound, codec);
		if (codec->heard >= codec->end)
			return;
		example_progress("%7.2f s, %5zu bytes left in this round",
			(double)codec->heard / FRAME / RATE, ce_cyclic_remaining(cyclic));
	}
}

static FILE *
in_open(const char *path, struct stat *st)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL || fstat(fileno(f), st) < 0)
		example_fail("cannot open %s: %s", path, strerror(errno));
	/* Can be opened, and then not be read. */
	if (S_ISDIR(st->st_mode))
		example_fail("%s is a directory", path);
	return f;
}

/* What is there may be what is played: it stays until the end. Pipes and devices take it at once. */
static FILE *
out_open(const char *path, const struct stat *in, bool *whole)
{
	struct stat st;
	FILE *f;

	*whole = stat(path, &st) < 0 || S_ISREG(st.st_mode);
	f = *whole ? fdopen(example_file(path, in), "wb") : fopen(path, "wb");
	if (f == NULL)
		example_fail("cannot open %s: %s", path, strerror(errno));
	return f;
}

static void
out_close(FILE *f, const char *path, bool whole)
{
	/* Of what was not written, the last part says nothing. */
	const bool bad = ferror(f);

	if (fclose(f) != 0 || bad)
		example_fail("what the codec heard could not be written to %s", path);
	/* After Ctrl-C what is there is worth more than a part of what was to come. */
	if (whole && !example_stop)
		example_file_keep();
}

int
main(int argc, char **argv)
{
	struct ce_common_buffer *ring, *window;
	struct ce_cyclic_conf conf = {.period = PERIOD, .cb = period_arrived};
	struct sound sound = {.frames = 2 * RATE};
	struct ce_cyclic_stats stats;
	struct ce_adapter *adapter;
	struct ce_cyclic *cyclic;
	struct codec codec = {.end = UINT64_MAX};
	const char *in_path = NULL, *out_path = NULL;
	struct stat in = {.st_mode = 0666};
	double speed = 1, pause = 0;
	bool heard, whole = false;
	int opt;

	example_begin(&argc, &argv, usage);
	while ((opt = getopt(argc, argv, "i:o:t:x:s:")) != -1) {
		if (opt == 'i')
			in_path = optarg;
		else if (opt == 'o')
			out_path = optarg;
		else if (opt == 't')
			sound.frames = example_number(optarg, opt, 1E-3, 1E6) * RATE;
		else if (opt == 'x')
			speed = example_number(optarg, opt, 1E-3, 1E3);
		else if (opt == 's')
			pause = example_number(optarg, opt, 0, 1E6) / 1000;
		else
			example_misuse("-%c is no option, or needs a value", optopt);
	}
	if (optind != argc)
		example_misuse("%s: there is no such argument", argv[optind]);
	if (in_path != NULL)
		sound.in = in_open(in_path, &in);
	adapter = example_adapter(NULL);
	if (out_path != NULL)
		codec.out = out_open(out_path, &in, &whole);
	ring = ce_common_buffer_alloc(adapter, PERIOD * PERIODS);
	window = ce_common_buffer_alloc(adapter, PERIOD);
	if (ring == NULL || window == NULL)
		example_fail("no memory for the ring: %s", rte_strerror(rte_errno));
	codec.window = window->va;
	conf.buffer = ring;
	conf.length = PERIOD * PERIODS;
	conf.peer = window->iova;
	conf.arg = &codec;
	conf.period_ns = 1E9 * PERIOD / FRAME / RATE / speed;
	cyclic = ce_cyclic_start(adapter, &conf);
	if (cyclic == NULL)
		example_fail("the cyclic transfer does not start: %s", rte_strerror(rte_errno));
	feed(cyclic, &sound, &codec);
	play(adapter, cyclic, &sound, &codec, pause);

	ce_cyclic_stats_get(cyclic, &stats);
	while (ce_cyclic_stop(cyclic) == -EINPROGRESS)
		ce_poll(adapter);
	ce_common_buffer_free(ring);
	ce_common_buffer_free(window);
	ce_adapter_put(adapter);
	if (codec.status != 0)
		example_fail("the device failed: %s", rte_strerror(-codec.status));
	if (sound.in != NULL && ferror(sound.in) && !example_stop)
		example_fail("cannot read %s", in_path);
	if (codec.out != NULL)
		out_close(codec.out, out_path, whole);
	heard = codec.sum == sound.sum && codec.heard == sound.bytes;
	printf("%.2f s played, %" PRIu64 " periods, %" PRIu64 " underruns, %" PRIu64 " late, %s\n",
		(double)codec.heard / FRAME / RATE, stats.periods, stats.underruns, stats.late,
		heard ? "heard as played" : example_stop ? "interrupted" : "not heard as played");
	return example_end(heard ? EXIT_SUCCESS : EXIT_FAILURE);
}
