#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What a vhost back end costs with its copies by the CPU, by dma_skeleton and by dma_cbdma: millions of
# packets a second, and cycles a packet of the thread that runs it. Medians of three.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../setup.sh"

if [ $# -lt 1 ] || [[ $1 == -* ]]; then
	echo "usage: $0 BUILD [BYTES]..."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
build=$1
shift
[ $# -gt 0 ] || set -- 64 256 512 1518 4096 9000

reserve_hugepages 200
stage_plugin "$build"

# once DEVICE BYTES [ARGUMENT]...: Mpps and cycles
once()
{
	local device=$1 bytes=$2
	shift 2

	run "$build/examples/vhost-traffic" -l 0 --in-memory --single-file-segments --no-pci \
		--no-telemetry --iova-mode=va -m 256 -d "$PLUGIN" ${device:+"--vdev=$device"} -- "$@" \
		-b -n $((800000000 / (bytes + 1000))) -l "$bytes,$bytes" -r 9216 -g mrg_rxbuf=1 \
		"$RUN_DIR/socket" 2>"$RUN_DIR/log" | awk '/ Mpps, / { print $1, $3 }'
}

median()
{
	sort -n | sed -n 2p
}

printf "%7s  %-13s %6s %14s\n" bytes device Mpps cycles/packet
for bytes; do
	for device in cpu dma_skeleton0,lcore=1 dma_cbdma0,cpu=1; do
		: >"$RUN_DIR/figures"
		for _ in 1 2 3; do
			if [ $device = cpu ]; then
				once "" "$bytes" -c
			else
				once "$device" "$bytes"
			fi
		done >"$RUN_DIR/figures"
		printf "%7s  %-13s %6s %14s\n" "$bytes" "${device%%0,*}" \
			"$(awk '{ print $1 }' "$RUN_DIR/figures" | median)" \
			"$(awk '{ print $2 }' "$RUN_DIR/figures" | median)"
	done
done
