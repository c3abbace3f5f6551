#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A vhost back end with its copies by DMA (examples/vhost-echo), and testpmd with virtio-user as the guest
# that sends all packets back: a million of 64 to 9000 bytes, each byte, their order and number looked at;
# by the CPU and by dma_skeleton as well. Each case has so many seconds (35 or 10): on a
# machine that has other work it says that time is up, with fewer packets.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../setup.sh"

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
	echo "usage: $0 BUILD"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

TRAFFIC=$1/examples/vhost-traffic
[ -x "$TRAFFIC" ] || die "no $TRAFFIC" "build it first: ninja -C $1"
command -v dpdk-testpmd >/dev/null || cannot_run "no dpdk-testpmd: install dpdk"
reserve_hugepages 300
stage_plugin "$1"
SOCKET=$RUN_DIR/socket
BACKEND=
GUEST=
# shellcheck disable=SC2016 # what they are then
at_exit 'stop "$GUEST"; stop "$BACKEND"'

stop()
{
	[ -n "$1" ] || return 0
	kill -9 "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

show_logs()
{
	tail -n 15 "$RUN_DIR/backend" "$RUN_DIR/guest" >&2 || true
}

# backend DEVICE ARGUMENT...: in the background
backend()
{
	local device=$1 mode=va
	shift

	: >"$RUN_DIR/backend" # it still says that the one before listens
	case $device in *,pa) mode=pa device=${device%,pa} ;; esac
	setpriv --pdeathsig KILL nice -n -15 "$TRAFFIC" --lcores "0@(0,1)" --in-memory \
		--single-file-segments --no-pci --no-telemetry --iova-mode=$mode -m 192 \
		-d "$PLUGIN" ${device:+"--vdev=$device"} -- "$@" "$SOCKET" \
		>"$RUN_DIR/backend" 2>&1 &
	BACKEND=$!
	for _ in {1..600}; do
		! grep -q '^listening' "$RUN_DIR/backend" || return 0
		kill -0 "$BACKEND" 2>/dev/null || break
		sleep 0.1
	done
	show_logs
	die "the back end does not listen"
}

# guest VIRTIO_ARGUMENTS MBUF_SIZE [EAL OPTION]...: in the background
guest()
{
	local arguments=$1 room=$2 scatter=(--enable-scatter)
	shift 2

	# Where buffers are not merged there is nothing to gather.
	[[ $arguments != *mrg_rxbuf=0* ]] || scatter=()
	[ $# -gt 0 ] || set -- --in-memory --single-file-segments -m 192
	setpriv --pdeathsig KILL nice -n -15 dpdk-testpmd --lcores "0@(0,1),1@(0,1)" --no-pci \
		--no-telemetry --file-prefix=guest "$@" \
		"--vdev=net_virtio_user0,path=$SOCKET,queue_size=2048,$arguments" \
		-- --auto-start --disable-link-check --stats-period 60 --forward-mode=io --max-pkt-len=9018 "${scatter[@]}" \
		--tx-offloads=0x8000 "--mbuf-size=$room" --total-num-mbufs=12000 --rxd=2048 --txd=2048 \
		</dev/null >"$RUN_DIR/guest" 2>&1 &
	GUEST=$!
}

# ends_well WHAT
ends_well()
{
	local status=0

	wait "$BACKEND" || status=$?
	BACKEND=
	stop "$GUEST"
	GUEST=
	if [ $status -ne 0 ]; then
		show_logs
		die "$1: the back end ends with status $status"
	fi
	echo "$1: $(grep ' packets, ' "$RUN_DIR/backend")"
}

# through WHAT DEVICE VIRTIO_ARGUMENTS MBUF_SIZE [TRAFFIC ARGUMENT]...
through()
{
	local what=$1 device=$2 arguments=$3 room=$4
	shift 4

	backend "$device" "$@"
	guest "$arguments" "$room"
	ends_well "$what"
}

MERGEABLE=mrg_rxbuf=1
WHOLE=mrg_rxbuf=0
MANY=(-n 250000 -t 35)
FEW=(-n 20000 -t 10)

# What the guest sends is chained where it got it in pieces of 2 KB.
through "split, mergeable" dma_cbdma0 "$MERGEABLE" 2176 "${MANY[@]}"
through "packed, mergeable" dma_cbdma0 "$MERGEABLE,packed_vq=1" 2176 "${MANY[@]}"
through "split, whole" dma_cbdma0 "$WHOLE" 10240 "${MANY[@]}"
through "packed, whole" dma_cbdma0 "$WHOLE,packed_vq=1" 10240 "${MANY[@]}"
through "CPU" "" "$MERGEABLE" 2176 "${FEW[@]}" -c
if [ -e "$(pkg-config --variable=libdir libdpdk)/librte_dma_skeleton.so" ]; then
	through "dma_skeleton" dma_skeleton0 "$MERGEABLE" 2176 "${FEW[@]}"
fi

# A device that reaches what has been mapped for it only.
through "IOMMU" dma_cbdma0,iommu=on "$MERGEABLE" 2176 "${FEW[@]}"
through "physical addresses" dma_cbdma0,pa "$MERGEABLE" 2176 "${FEW[@]}"
backend dma_cbdma0,pa "${FEW[@]}"
guest "$MERGEABLE" 2176 --no-huge -m 192
ends_well "physical addresses, 4 KB pages"

# An operation that fails, behind which packets go on; a channel that is lost, after which the CPU does.
through "failed operation" dma_cbdma0,errors=count,inject=fail:at=5000 "$MERGEABLE" 2176 \
	"${FEW[@]}" -s
through "lost channel" dma_cbdma0,errors=count,inject=vanish:at=5000 "$MERGEABLE" 2176 \
	"${FEW[@]}" -s
grep -q "the CPU copies" "$RUN_DIR/backend" || die "the back end has not noticed the lost channel"

# A guest that is killed at work, and comes back.
backend dma_cbdma0 "${FEW[@]}" -k
for _ in 1 2 3; do
	guest "$MERGEABLE" 2176
	sleep 3
	stop "$GUEST"
done
guest "$MERGEABLE" 2176
ends_well "guest killed and back"
