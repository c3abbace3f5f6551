#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs DPDK's own dmadev_autotest on a device model: by dma_cbdma with the model in dpdk-test's own
# process, or served by a dma-deviced; or by DPDK's own dma_ioat, the distribution's unmodified binary,
# as a PCI device each of whose registers is the model's. Passes when DPDK's program says so and no
# part was skipped that the device and the driver can take.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"
# shellcheck source=test/peer/pci_device.sh
. "$(dirname "$0")/peer/pci_device.sh"

if [ $# -lt 1 ] || [ $# -gt 2 ] || [[ $1 == -* ]] || [[ ! ${2-socket} =~ ^(socket|dma_ioat)$ ]]; then
	echo "usage: $0 BUILD [socket | dma_ioat]"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
build=$(realpath "$1")

reserve_hugepages 128
mount_hugepages
log=$RUN_DIR/log
device=dma_cbdma0
preload=()
# What is skipped rightly: a channel has no second vchan and copies nothing to devices.
expected='test_dma_reconfigure|m2d_autofree|DMA Dev [1-9]'

case ${2-} in
dma_ioat)
	device=0000:00:04.0
	make_pci_device $device "$build"
	preload=(env "LD_PRELOAD=$PEER")
	eal=(-a "$device")
	expected+="|sg_copy|test_dma_sg" # the driver has none
	;;
socket)
	stage_plugin "$build"
	"$build/app/dma-deviced/dma-deviced" --socket "$RUN_DIR/socket" --cpu 1 \
		--device cbdma,doorbell-bar=on &
	at_exit "kill $!; wait $!"
	wait_for 30 test -S "$RUN_DIR/socket" || die "dma-deviced does not come up"
	eal=(--no-pci -d "$PLUGIN" --vdev="$device,socket=$RUN_DIR/socket,silent=0")
	# Another process does not reach all memory.
	expected+='|sva_copy|skipping SVA'
	;;
*)
	stage_plugin "$build"
	eal=(--no-pci -d "$PLUGIN" --vdev="$device,cpu=1,silent=0")
	;;
esac

# The error tests run with IOVAs that are addresses only.
autotest()
{
	DPDK_TEST=dmadev_autotest run timeout -k 5 500 "${preload[@]}" dpdk-test -l 0 --no-telemetry \
		--iova-mode=va --huge-dir "$HUGE_DIR" "${eal[@]}" </dev/null >"$log" 2>"$log.err"
}

# It tests dma_skeleton too, before or after: a thread for which it does not wait long enough where CPUs
# are short.
tries=1
until autotest; do
	tr '\r' '\n' <"$log" | cat - "$log.err" | grep -v '^Ops submitted' >"$log.short"
	case $(grep '^### ' "$log.short" | tail -n 1) in
	*skeleton*) [ $tries -lt 10 ] ;;
	*) false ;;
	esac || die "dpdk-test fails" "$(tail -n 30 "$log.short")"
	tries=$((tries + 1))
	say "dma_skeleton fails, try $tries: $(grep -m 1 '^In ' "$log.short")"
done

# Without the running counts; the parts about other devices do not matter.
tr '\r' '\n' <"$log" | sed '/^Ops submitted/d' >"$log.short"
cat "$log.short" "$log.err"
sed -n '/^### /h; /^[^#]/{G; s/\n### .*\['"$device"'\].*//p}' "$log.short" >"$log.ours"

grep -q '^Test OK' "$log.short" || die "dpdk-test does not say Test OK"
grep -q . "$log.ours" || die "dpdk-test did not test $device"
skipped=$(cat "$log.ours" "$log.err" | grep -E 'skipped$|skipping' | grep -v -E "$expected" || true)
[ -z "$skipped" ] || die "skipped: $skipped"
