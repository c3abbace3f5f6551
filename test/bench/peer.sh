#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Measures DPDK's own dma_ioat, the distribution's unmodified binary, beside dma_cbdma, dma_skeleton
# and CPU memcpy. dma_ioat knows PCI devices only, so one is made up: a folder as in
# /sys/bus/pci/devices, whose BAR is a file behind which peer_device.so runs the model.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../setup.sh"

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
# The mounts below are for this script and what it runs; debian.sh has made mounts private.
[ -n "${PEER_NAMESPACE-}" ] || PEER_NAMESPACE=1 exec unshare --mount --propagation unchanged "$0" "$@"

BUILD=$TOP/build/debian13
ADDRESS=0000:00:04.0

make_run_dir
device=$RUN_DIR/devices/$ADDRESS
mkdir -p "$device/uio/uio0" "$RUN_DIR"/{igb_uio,dev}
echo 0x8086 >"$device/vendor"
echo 0x0b00 >"$device/device"
echo 0x8086 >"$device/subsystem_vendor"
echo 0x0000 >"$device/subsystem_device"
echo 0x088000 >"$device/class"
echo 0 >"$device/numa_node"
{
	echo 0x00000000fb000000 0x00000000fb003fff 0x0000000000040200
	for _ in 1 2 3 4 5; do
		echo 0x0000000000000000 0x0000000000000000 0x0000000000000000
	done
} >"$device/resource"
truncate -s 16K "$device/resource0"
truncate -s 4K "$device/config"
ln -s "$RUN_DIR/igb_uio" "$device/driver"

# What EAL opens of uio, by fixed names.
cp -a /dev/{null,zero,full,random,urandom} "$RUN_DIR/dev"
cp -a /dev/null "$RUN_DIR/dev/uio0"
mount --bind "$RUN_DIR/dev" /dev
mount -t tmpfs tmpfs /sys/class
mkdir -p /sys/class/uio/uio0
ln -s "$device" /sys/class/uio/uio0/device

stage_plugin "$BUILD"
cp "$BUILD/test/bench/libpeer_device.so" "$RUN_DIR"
export SYSFS_PCI_DEVICES=$RUN_DIR/devices PEER_BAR=$device/resource0 PEER_CPU=0

# count NAME DEVICE EAL-ARGUMENT...
count()
{
	local name=$1 dev=$2
	shift 2

	run timeout -k 5 60 "$BUILD/test/bench/peer_loop" -l 0 --in-memory --no-telemetry \
		--iova-mode=pa "$@" -- "$dev" >"$RUN_DIR/log" 2>&1 ||
		die "peer_loop fails on $name" "$(tail "$RUN_DIR/log")"
	echo "$name: $(grep instructions "$RUN_DIR/log")"
}

if [ "${1-}" = instructions ]; then
	count dma_ioat "$ADDRESS" -a "$ADDRESS" -d "$RUN_DIR/libpeer_device.so"
	count dma_cbdma dma_cbdma0 --no-pci -d "$PLUGIN" --vdev=dma_cbdma0,cpu=1
	exit
fi

sed "s|@PEER@|$RUN_DIR/libpeer_device.so|; s|@PLUGIN@|$PLUGIN|" \
	"$TOP/config/dma-perf/peer.ini" >"$RUN_DIR/peer.ini"

"$TOP/test/perf.sh" "$BUILD" "${1-3}" "$RUN_DIR/peer.ini" |
	sed "s/^RESULT,$ADDRESS/RESULT,dma_ioat/; s/ $ADDRESS/ dma_ioat    /; s/^error: $ADDRESS/error: dma_ioat/"
