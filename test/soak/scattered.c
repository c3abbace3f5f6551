/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Runs a command on a machine where no two free hugepages lie next to each other in physical
 * memory, as is the rule on one that has been up for long: holds every other page meanwhile.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGEPAGE  (2ul << 20)
#define PAGE	  4096u /* of pagemap, on x86 */
#define PFN_MASK  ((1ull << 55) - 1) /* Linux, Documentation/admin-guide/mm/pagemap.rst */
#define MAX_PAGES 65536

static int
is_even(int pagemap, const void *page)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)page / PAGE * sizeof(entry)) !=
			sizeof(entry) || (entry & PFN_MASK) == 0)
		return -1;
	return (entry & PFN_MASK) / (HUGEPAGE / PAGE) % 2 == 0;
}

int
main(int argc, char **argv)
{
	static void *page[MAX_PAGES];
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), status = 0;
	unsigned int n, held = 0, i;
	pid_t pid;

	if (argc < 2) {
		printf("usage: %s COMMAND...\n", argv[0]);
		return 2;
	}
	for (n = 0; n < MAX_PAGES; n++) {
		page[n] = mmap(NULL, HUGEPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			MAP_HUGETLB | 21 << MAP_HUGE_SHIFT | MAP_POPULATE, -1, 0);
		if (page[n] == MAP_FAILED)
			break;
	}
	for (i = 0; i < n; i++) {
		switch (is_even(pagemap, page[i])) {
		case 1:
			held++;
			break;
		case 0:
			munmap(page[i], HUGEPAGE);
			break;
		default:
			printf("physical addresses are not shown: is this root?\n");
			return 77;
		}
	}
	printf("%u hugepages of 2 MB were free, %u of them are held\n", n, held);
	fflush(stdout);

	pid = fork();
	if (pid == 0) {
		execv(argv[1], argv + 1);
		printf("%s: %s\n", argv[1], strerror(errno));
		fflush(stdout);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
