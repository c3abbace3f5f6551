#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs DPDK's own event_dma_adapter_autotest, events through event_sw and copies by a dmadev, with
# dma_skeleton and with dma_cbdma on its model. Each has to pass each of its tests.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../setup.sh"
# shellcheck source=test/apps/apps.sh
. "$(dirname "$0")/apps.sh"

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
	echo "usage: $0 BUILD"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

version=$(pkg-config --modversion libdpdk)
pkg-config --atleast-version=23.11 libdpdk ||
	cannot_run "the event DMA adapter came with DPDK 23.11, here is $version"
reserve_hugepages 128
stage_plugin "$1"

for device in dma_skeleton0,lcore=0 "dma_cbdma0,cpu=0"; do
	log=$RUN_DIR/${device%%,*}.log
	status=0
	DPDK_TEST=event_dma_adapter_autotest run timeout -k 5 120 dpdk-test -l 0,1 --in-memory \
		--no-pci --no-telemetry --iova-mode=va -d "$PLUGIN" --vdev=event_sw0 \
		"--vdev=$device" </dev/null >"$log" 2>&1 || status=$?
	sed -n '/Test Suite Summary/,$p' "$log"
	count=$(sed -n 's/.*Tests Passed *: *\([0-9]*\).*/\1/p' "$log")
	total=$(sed -n 's/.*Tests Total *: *\([0-9]*\).*/\1/p' "$log")
	if [ $status -ne 0 ] || ! grep -q '^Test OK' "$log" || [ "$((count))" -eq 0 ] ||
		[ "$count" != "$total" ]; then
		tail -n 40 "$log" >&2
		die "event_dma_adapter_autotest fails with $device (status $status)"
	fi
	echo "$device: $count of $total tests passed"
done
