#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs DPDK's own dmadev_autotest on dma_cbdma with its device model. Passes when DPDK's program
# says so and no part was skipped that the device can take.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
	echo "usage: $0 BUILD"
	[ "${1-}" = --help ]
	exit
fi

reserve_hugepages 128
stage_plugin "$1"
mount_hugepages
log=$RUN_DIR/log

# The error tests run with IOVAs that are addresses only.
DPDK_TEST=dmadev_autotest run timeout -k 5 300 dpdk-test -l 0 --no-pci --no-telemetry \
	--iova-mode=va --huge-dir "$HUGE_DIR" -d "$PLUGIN" --vdev=dma_cbdma0,cpu=1,silent=0 \
	</dev/null >"$log" 2>"$log.err" || die "dpdk-test fails" "$(tr '\r' '\n' <"$log" |
	cat - "$log.err" | grep -v '^Ops submitted' | tail -n 30)"

# Without the running counts; the parts about other devices do not matter.
tr '\r' '\n' <"$log" | sed '/^Ops submitted/d' >"$log.short"
cat "$log.short" "$log.err"
sed -n '/^### /h; /^[^#]/{G; s/\n### .*\[dma_cbdma0\].*//p}' "$log.short" >"$log.ours"

grep -q '^Test OK' "$log.short" || die "dpdk-test does not say Test OK"
grep -q . "$log.ours" || die "dpdk-test did not test dma_cbdma0"
# A channel has no second vchan and copies nothing to devices.
skipped=$(cat "$log.ours" "$log.err" | grep -E 'skipped$|skipping' |
	grep -v -E 'test_dma_reconfigure|m2d_autofree|DMA Dev [1-9]' || true)
[ -z "$skipped" ] || die "skipped: $skipped"
