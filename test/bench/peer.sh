#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Measures DPDK's own dma_ioat, the distribution's unmodified binary, beside dma_cbdma, dma_skeleton
# and CPU memcpy. dma_ioat knows PCI devices only, so one is made up (pci_device.sh). Its BAR is memory,
# so that the doorbell costs what it costs ours: where each access to a register is the model's
# (exact_bar.c), one to DMACOUNT takes microseconds, as it shares its page with the others.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../setup.sh"
# shellcheck source=test/peer/pci_device.sh
. "$(dirname "$0")/../peer/pci_device.sh"

if [ $# -gt 1 ] || [[ ! ${1-3} =~ ^([1-9][0-9]*|instructions)$ ]]; then
	echo "usage: $0 [REPETITIONS | instructions]"
	echo "Runs in the Debian 13 root. Prints a table of medians (of 3 repetitions unless told), then"
	echo "RESULT,device,buffer bytes,cycles/op,Gbps,MOps for each row of the table."
	echo "\"instructions\" counts those that dma_ioat and dma_cbdma take for a copy of 64 bytes."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
need_root "making up a PCI device"
[ "$TOP" = /copyengine ] || exec "$TOP/test/debian.sh" trixie test/bench/peer.sh "$@"

BUILD=$TOP/build/debian13
ADDRESS=0000:00:04.0

make_pci_device $ADDRESS "$BUILD"
stage_plugin "$BUILD"
export PEER PEER_BAR=shared PEER_CPU=0 # for perf.sh

# count NAME DEVICE EAL-ARGUMENT...
count()
{
	local name=$1 dev=$2
	shift 2

	run timeout -k 5 60 env "LD_PRELOAD=$PEER" "$BUILD/test/bench/peer_loop" -l 0 --in-memory --no-telemetry \
		--iova-mode=pa "$@" -- "$dev" >"$RUN_DIR/log" 2>&1 ||
		die "peer_loop fails on $name" "$(tail "$RUN_DIR/log")"
	echo "$name: $(grep instructions "$RUN_DIR/log")"
}

if [ "${1-}" = instructions ]; then
	count dma_ioat "$ADDRESS" -a "$ADDRESS"
	count dma_cbdma dma_cbdma0 --no-pci -d "$PLUGIN" --vdev=dma_cbdma0,cpu=1
	exit
fi

sed "s|@PLUGIN@|$PLUGIN|" "$TOP/config/dma-perf/peer.ini" >"$RUN_DIR/peer.ini"

"$TOP/test/perf.sh" "$BUILD" "${1-3}" "$RUN_DIR/peer.ini" |
	sed "s/^RESULT,$ADDRESS/RESULT,dma_ioat/; s/ $ADDRESS/ dma_ioat    /; s/^error: $ADDRESS/error: dma_ioat/"
