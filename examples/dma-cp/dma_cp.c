/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * Copies a file through a DMA device, verifies the copy, and compares the throughput with cp's.
 *
 * A file is read into one common buffer, copied by DMA into another and written from there; while the
 * device copies one chunk the CPU reads and writes others.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_errno.h>

#include "example.h"

#define CHUNK (1u << 20)
#define SLOTS 4
#define ROUNDS 3 /* of a comparison */

static const char usage[] =
	"usage: dma-cp [EAL options --] [-q] [-c] SOURCE DESTINATION\n"
	"Copies a file of any size through a DMA device and verifies the copy, unless SOURCE is a pipe,\n"
	"which cannot be read twice. DESTINATION appears, or\n"
	"is replaced, only when the copy is whole.\n"
	"  -q  no progress\n"
	"  -c  copy with cp as well and compare the throughput: the two in turn, the median of three\n"
	"      each, SOURCE in the page cache, and until the copy has reached the disk (fdatasync)\n";

struct slot {
	struct ce_common_buffer *in, *out;
	struct ce_transfer transfer;
	off_t offset;
};

static struct slot slots[SLOTS];
static const char *dst_path;
static bool quiet;

static void
give_up(const char *what, const char *path)
{
	example_fail("%s %s: %s", what, path, strerror(errno));
}

/* Read until the chunk is full or the file ends. */
static size_t
read_chunk(int fd, void *to, const char *path)
{
	size_t length = 0;
	ssize_t n;

	while (length < CHUNK) {
		n = read(fd, RTE_PTR_ADD(to, length), CHUNK - length);
		if (n < 0 && errno == EINTR && !example_stop)
			continue;
		/* A pipe may be silent for as long as it likes: Ctrl-C is no error there. */
		if (n == 0 || (n < 0 && errno == EINTR))
			break;
		if (n < 0)
			give_up("cannot read", path);
		length += n;
	}
	return length;
}

static void
write_chunk(int fd, const struct slot *slot)
{
	size_t done = 0;
	ssize_t n;

	while (done < slot->transfer.length) {
		n = pwrite(fd, RTE_PTR_ADD(slot->out->va, done), slot->transfer.length - done,
			slot->offset + done);
		if (n < 0 && errno == EINTR && !example_stop)
			continue;
		if (n <= 0)
			give_up("cannot write", dst_path);
		done += n;
	}
}

static void
progress(off_t done, off_t size, double start)
{
	const double share = size > 0 && done < size ? (double)done / size : 1;
	char line[] = "########################################";

	if (quiet)
		return;
	memset(line + (int)(share * 40), '.', 40 - (int)(share * 40));
	example_progress("[%s] %3.0f %% %6.0f MB/s", line, share * 100,
		done / (example_seconds() - start + 1E-9) / 1E6);
}

static void
slot_wait(struct ce_adapter *adapter, struct slot *slot)
{
	while (slot->transfer.status == -EINPROGRESS)
		ce_poll(adapter);
	if (slot->transfer.status != 0) {
		errno = -slot->transfer.status;
		give_up("the DMA device failed at", dst_path);
	}
}

/* Returns bytes copied. Slots are used in turn: when one's turn comes again, its chunk is written. */
static off_t
copy(struct ce_adapter *adapter, int src, int dst, const char *src_path, off_t size)
{
	const double start = example_seconds();
	off_t offset = 0, written = 0;
	unsigned int turn = 0, pending = 0;
	struct slot *slot;
	size_t length = CHUNK;

	while ((length == CHUNK || pending > 0) && !example_stop) {
		if (length == CHUNK && pending < SLOTS) {
			slot = &slots[turn++ % SLOTS];
			length = read_chunk(src, slot->in->va, src_path);
			if (length > 0) {
				slot->offset = offset;
				offset += length;
				pending++;
				if (ce_transfer_copy(adapter, &slot->transfer, slot->out->va,
					    slot->in->va, length) < 0)
					give_up("the DMA device does not take", src_path);
			}
			ce_poll(adapter);
			continue;
		}
		slot = &slots[(turn - pending - (length == 0)) % SLOTS];
		slot_wait(adapter, slot);
		write_chunk(dst, slot);
		written += slot->transfer.length;
		pending--;
		progress(written, size, start);
	}
	/* Memory under DMA is not to be freed: what was started is waited for. */
	for (turn = 0; turn < SLOTS; turn++)
		slot_wait(adapter, &slots[turn]);
	return written;
}

/* Both files again, from the beginning, byte by byte. Returns false when that is not possible. */
static bool
verify(int src, int dst, const char *src_path)
{
	void *a = slots[0].in->va, *b = slots[0].out->va;
	off_t offset = 0;
	size_t length;

	if (lseek(src, 0, SEEK_SET) < 0)
		return false;
	if (lseek(dst, 0, SEEK_SET) < 0)
		give_up("cannot read", dst_path);
	do {
		length = read_chunk(src, a, src_path);
		if ((read_chunk(dst, b, dst_path) != length || memcmp(a, b, length) != 0) &&
				!example_stop)
			example_fail("the copy differs within %u bytes from byte %jd", CHUNK,
				(intmax_t)offset);
		offset += length;
	} while (length > 0 && !example_stop);
	return true;
}

/* Seconds that cp takes for the same. */
static double
run_cp(const char *src_path)
{
	char path[PATH_MAX];
	double start;
	int status = -1, fd;
	pid_t pid;

	snprintf(path, sizeof(path), "%s.cp", example_file_name());
	start = example_seconds();
	pid = fork();
	if (pid == 0) {
		execlp("cp", "cp", "--reflink=never", "--sparse=never", "--", src_path, path, NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	fd = status == 0 ? open(path, O_RDWR) : -1;
	if (fd >= 0 && fdatasync(fd) < 0)
		status = -1;
	start = example_seconds() - start;
	if (fd >= 0)
		close(fd);
	unlink(path);
	if (fd < 0 || status != 0) {
		if (!example_stop)
			example_fail("cp fails, there is nothing to compare with");
		return 0;
	}
	return start;
}

static double
run_dma(struct ce_adapter *adapter, int src, int dst, const char *src_path, off_t size, off_t *bytes)
{
	const double start = example_seconds();

	*bytes = copy(adapter, src, dst, src_path, size);
	if (fdatasync(dst) < 0)
		give_up("cannot write", dst_path);
	return example_seconds() - start;
}

static int
by_value(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Each begins with a file of no bytes, reads from the page cache, and ends on the disk. */
static void
compare(struct ce_adapter *adapter, int src, int dst, const char *src_path, off_t size)
{
	double dma[ROUNDS], cp[ROUNDS];
	off_t bytes = 0;
	unsigned int i;

	for (i = 0; i < ROUNDS && !example_stop; i++) {
		if (lseek(src, 0, SEEK_SET) < 0)
			example_fail("-c: %s cannot be read twice", src_path);
		if (ftruncate(dst, 0) < 0)
			give_up("cannot write", dst_path);
		dma[i] = run_dma(adapter, src, dst, src_path, size, &bytes);
		if (!example_stop)
			cp[i] = run_cp(src_path);
	}
	if (example_stop)
		return;
	qsort(dma, ROUNDS, sizeof(dma[0]), by_value);
	qsort(cp, ROUNDS, sizeof(cp[0]), by_value);
	printf("dma-cp: %.0f MB/s, cp: %.0f MB/s (in turn, medians of %d; source in the page cache, "
	       "copy on the disk)\n", bytes / dma[ROUNDS / 2] / 1E6, bytes / cp[ROUNDS / 2] / 1E6,
		ROUNDS);
}

static void
buffers_alloc(struct ce_adapter *adapter)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		slots[i].in = ce_common_buffer_alloc(adapter, CHUNK);
		slots[i].out = ce_common_buffer_alloc(adapter, CHUNK);
		if (slots[i].in == NULL || slots[i].out == NULL)
			example_fail("no memory for buffers: %s", rte_strerror(rte_errno));
	}
}

static void
buffers_free(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		ce_common_buffer_free(slots[i].in);
		ce_common_buffer_free(slots[i].out);
	}
}

static int
open_src(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, st) < 0)
		example_fail("cannot open %s: %s", path, strerror(errno));
	if (S_ISDIR(st->st_mode))
		example_fail("%s is a directory", path);
	return fd;
}

int
main(int argc, char **argv)
{
	bool with_cp = false, verified = false;
	struct ce_adapter *adapter;
	double seconds;
	struct stat st;
	int opt, src, dst;
	off_t bytes;

	example_begin(&argc, &argv, usage);
	while ((opt = getopt(argc, argv, "qc")) != -1) {
		quiet |= opt == 'q';
		with_cp |= opt == 'c';
		if (opt == '?')
			example_misuse("-%c is no option", optopt);
	}
	if (argc - optind != 2)
		example_misuse("SOURCE and DESTINATION are needed");
	dst_path = argv[optind + 1];
	src = open_src(argv[optind], &st);
	adapter = example_adapter(NULL);
	buffers_alloc(adapter);
	dst = example_file(dst_path, &st);

	seconds = run_dma(adapter, src, dst, argv[optind], st.st_size, &bytes);
	if (!example_stop)
		verified = verify(src, dst, argv[optind]);
	if (!example_stop && with_cp) {
		compare(adapter, src, dst, argv[optind], st.st_size);
		/* What is kept is the last of the copies. */
		if (!example_stop)
			verify(src, dst, argv[optind]);
	}
	if (close(dst) < 0)
		give_up("cannot write", dst_path);
	close(src);
	buffers_free();
	ce_adapter_put(adapter);
	if (example_stop) {
		fprintf(stderr, "interrupted, %s is as it was\n", dst_path);
		return example_end(EXIT_FAILURE);
	}
	example_file_keep();
	printf("%jd bytes copied and %s, %.0f MB/s\n", (intmax_t)bytes, verified ? "verified" :
		"not verified, as SOURCE cannot be read twice", bytes / seconds / 1E6);
	return example_end(EXIT_SUCCESS);
}
