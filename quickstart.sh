#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# From a clone to figures: builds dma_cbdma and runs DPDK's own dpdk-test-dma-perf through it (on
# the device model), through dma_skeleton and through CPU memcpy.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/test/setup.sh"

if [ $# -gt 0 ]; then
	echo "usage: $0"
	echo "Installs what is missing, builds in a Debian 13 root (in .debian13; made the first time,"
	echo "1.2 GB), reserves hugepages while it runs, and measures CPU memcpy, dma_skeleton and"
	echo "dma_cbdma side by side: about a minute, two the first time."
	echo "Ends with RESULT,device,buffer bytes,cycles/op,Gbps,MOps for each row of the table."
	[ "$1" = --help ]
	exit
fi

need_root "measuring with hugepages"
command -v apt-get >/dev/null || die "this needs Debian 12 or 13 (or a relative): no apt-get here"
[ "$(nproc)" -ge 2 ] ||
	die "this needs two CPUs, one for the worker and one for the engine: here is $(nproc)"

run "$TOP/test/debian13.sh" test/perf.sh 3 config/dma-perf/compare.ini
