#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs DPDK's own dmadev_autotest on dma_cbdma with its device model: in dpdk-test's own process, or
# served by a dma-deviced. Passes when DPDK's program says so and no part was skipped that the device
# can take.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

if [ $# -lt 1 ] || [ $# -gt 2 ] || [[ $1 == -* ]] || [ "${2-socket}" != socket ]; then
	echo "usage: $0 BUILD [socket]"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

reserve_hugepages 128
stage_plugin "$1"
mount_hugepages
log=$RUN_DIR/log
device=dma_cbdma0,cpu=1,silent=0
# What is skipped rightly: a channel has no second vchan and copies nothing to devices.
expected='test_dma_reconfigure|m2d_autofree|DMA Dev [1-9]'

if [ "${2-}" = socket ]; then
	"$1/app/dma-deviced/dma-deviced" --socket "$RUN_DIR/socket" --cpu 1 \
		--device cbdma,doorbell-bar=on &
	at_exit "kill $!; wait $!"
	for _ in {1..100}; do
		[ ! -S "$RUN_DIR/socket" ] || break
		sleep 0.1
	done
	device=dma_cbdma0,socket=$RUN_DIR/socket,silent=0
	# Another process does not reach all memory.
	expected+='|sva_copy|skipping SVA'
fi

# The error tests run with IOVAs that are addresses only.
DPDK_TEST=dmadev_autotest run timeout -k 5 500 dpdk-test -l 0 --no-pci --no-telemetry \
	--iova-mode=va --huge-dir "$HUGE_DIR" -d "$PLUGIN" "--vdev=$device" \
	</dev/null >"$log" 2>"$log.err" || die "dpdk-test fails" "$(tr '\r' '\n' <"$log" |
	cat - "$log.err" | grep -v '^Ops submitted' | tail -n 30)"

# Without the running counts; the parts about other devices do not matter.
tr '\r' '\n' <"$log" | sed '/^Ops submitted/d' >"$log.short"
cat "$log.short" "$log.err"
sed -n '/^### /h; /^[^#]/{G; s/\n### .*\[dma_cbdma0\].*//p}' "$log.short" >"$log.ours"

grep -q '^Test OK' "$log.short" || die "dpdk-test does not say Test OK"
grep -q . "$log.ours" || die "dpdk-test did not test dma_cbdma0"
skipped=$(cat "$log.ours" "$log.err" | grep -E 'skipped$|skipping' | grep -v -E "$expected" || true)
[ -z "$skipped" ] || die "skipped: $skipped"
