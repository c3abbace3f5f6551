#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Measures dma_cbdma on its model beside dma_skeleton where CPUs are short: what copies is pinned to
# the worker's own CPU; with default arguments, beside two busy loops; and, to compare, with a CPU of
# its own. Each device in turn in one run; medians.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../setup.sh"

if [ $# -lt 1 ] || [ $# -gt 2 ] || [[ $1 == -* ]] || [[ ! ${2-3} =~ ^[1-9][0-9]*$ ]]; then
	echo "usage: $0 BUILD [ROUNDS]"
	echo "Three tables (million copies a second) of the medians of 3 rounds unless told otherwise, with"
	echo "the ratio of dma_cbdma to dma_skeleton. Takes about 20 seconds for 3 rounds. CPUs 0 and 1."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
[ -x "$1/test/bench/copy_rate" ] || die "no $1/test/bench/copy_rate" "build it: ninja -C $1"
need_root "measuring with hugepages"
reserve_hugepages 128

# rates TITLE EAL-ARGUMENT...
rates()
{
	local title=$1
	shift

	echo
	echo "$title"
	run timeout -k 5 300 "$build/test/bench/copy_rate" -l 1 --in-memory --no-pci --no-telemetry \
		--iova-mode=va "$@" -- 10 0.3 "$rounds" dma_cbdma0 dma_skeleton0 \
		2>"$RUN_DIR/log" || die "copy_rate fails" "$(tail "$RUN_DIR/log")"
}

build=$1
rounds=${2-3}
make_run_dir

rates "On the worker's CPU" --vdev=dma_cbdma0,cpu=1 --vdev=dma_skeleton0,lcore=1
rates "On another CPU" --vdev=dma_cbdma0,cpu=0 --vdev=dma_skeleton0,lcore=0
# Two CPUs, two busy loops: nothing is idle.
for cpu in 0 1; do
	taskset -c "$cpu" bash -c 'while :; do :; done' &
	at_exit "kill $!"
done
rates "Default arguments, beside a busy loop on each CPU" --vdev=dma_cbdma0 --vdev=dma_skeleton0
