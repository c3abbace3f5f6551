/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* Every service of the library, one after the other, on one kind of device. */

#include "common.h"

#include <rte_eal.h>

int
main(int argc, char **argv)
{
	int failed = 0;

	test_begin(argc, argv);
	failed += test_adapter();
	failed += test_common();
	failed += test_sglist();
	failed += test_transfer();
	failed += test_channel();
	failed += test_cyclic();
	failed += test_batch();
	rte_eal_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
