#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# From a clone to figures and a prompt: builds dma-shell, and runs DPDK's own dpdk-test-dma-perf
# through dma_cbdma (on the device model), through dma_skeleton and through CPU memcpy.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/test/setup.sh"

if [ $# -gt 0 ]; then
	echo "usage: $0"
	echo "Installs what is missing, builds dma-shell in build, and a Debian 13 root (in .debian13;"
	echo "made the first time, 1.2 GB), reserves hugepages while it runs, and measures CPU memcpy,"
	echo "dma_skeleton and dma_cbdma side by side: about a minute, three the first time."
	echo "Prints a table, RESULT,device,buffer bytes,cycles/op,Gbps,MOps for each row of it, and"
	echo "what to do next."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

need_root "measuring with hugepages"
command -v apt-get >/dev/null || die "this needs Debian 12 or 13 (or a relative): no apt-get here"
[ "$(nproc)" -ge 2 ] ||
	die "this needs two CPUs, one for the worker and one for the engine: here is $(nproc)"

need_packages build-essential meson ninja-build pkg-config libdpdk-dev dpdk libpcap-dev \
	libseccomp-dev python3-pyelftools gnuplot-nox
say "building dma-shell with this machine's DPDK"
log=$TOP/build/quickstart.log
mkdir -p "$TOP/build"
sdk=$("$TOP/drivers/driver-sdk.sh" | tail -n 1)
[ -e "$TOP/build/quickstart/build.ninja" ] ||
	run meson setup "$TOP/build/quickstart" "$TOP" "-Ddriver_sdk=$sdk" -Dtests=disabled \
		>"$log" 2>&1 || die "meson setup failed" "$(tail -n 5 "$log")"
run ninja -C "$TOP/build/quickstart" app/dma-shell/dma-shell >"$log" 2>&1 ||
	die "the build failed" "$(tail -n 20 "$log")"
ln -sfn quickstart/app/dma-shell/dma-shell "$TOP/build/dma-shell"

run "$TOP/test/debian.sh" trixie test/perf.sh build/debian13 3 config/dma-perf/compare.ini

cat <<'END'

Next: a prompt on the device model ("help" tells the commands), and two devices compared, with plots
in one page for a browser:

    ./build/dma-shell
    ./build/dma-shell -c "bench 0 vs 1 report compare.html" dma_cbdma0 dma_skeleton0
END
