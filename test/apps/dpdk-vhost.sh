#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs DPDK's examples/vhost, a switch between virtual machines and a network card: packets go from a
# guest to another, by CPU, dma_skeleton and dma_cbdma, and each has to come out as it went in. The
# guests are testpmd with virtio-user; the network card is one in name only (dpdk_vhost_port.c), through
# which nothing goes.

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

PACKETS=2000 # at once, for which a guest's queue of 2048 has room
DEADLINE=60 # seconds for what takes one

reserve_hugepages 600
stage_plugin "$1"
build_example vhost "$TOP/test/apps/dpdk_vhost_port.c" \
	-Wl,--wrap=rte_eth_dev_info_get,--wrap=rte_eth_dev_configure
PIDS=()
# shellcheck disable=SC2016 # what they are then
at_exit '[ ${#PIDS[@]} -eq 0 ] || { kill -9 "${PIDS[@]}"; wait "${PIDS[@]}"; } 2>/dev/null'

failed()
{
	tail -n 15 "$RUN_DIR"/*.log >&2
	die "$@"
}

# start NAME COMMAND...: in the background
start()
{
	local name=$1
	shift

	: >"$RUN_DIR/$name.log"
	setpriv --pdeathsig KILL nice -n -15 "$@" </dev/null >"$RUN_DIR/$name.log" 2>&1 &
	PIDS+=($!)
}

# stop: the one that was started last
stop()
{
	kill -INT "${PIDS[-1]}"
	wait "${PIDS[-1]}" || failed "a program ends with status $?"
	unset 'PIDS[-1]'
}

# says NAME LINE: that program said it by now
says()
{
	local pid

	for pid in "${PIDS[@]}"; do
		kill -0 "$pid" 2>/dev/null || failed "a program has ended"
	done
	grep -q "$2" "$RUN_DIR/$1.log"
}

# guest NUMBER VIRTIO_ARGUMENTS: it sends what a file has, and puts what comes into another
guest()
{
	start "guest$1" dpdk-testpmd --lcores "0@(0,1),1@(0,1)" --no-pci --no-telemetry --in-memory \
		--single-file-segments --file-prefix="guest$1" -m 128 \
		"--vdev=net_pcap0,rx_pcap=$RUN_DIR/$1.pcap,tx_pcap=$RUN_DIR/out$1.pcap" \
		"--vdev=net_virtio_user0,path=$RUN_DIR/socket$1,queue_size=2048,$2" \
		-- --auto-start --disable-link-check --stats-period 1 --forward-mode=io --no-flush-rx \
		--total-num-mbufs=12000 --rxd=2048 --txd=2048
}

# switch DEVICE VIRTIO_ARGUMENTS
switch()
{
	local device=$1 vdev=() dmas=() sent

	case $device in
	dma_*) dmas=(--dmas "[txd0@${device}0,rxd0@${device}0,txd1@${device}0,rxd1@${device}0]") ;;&
	dma_skeleton) vdev=(--vdev=dma_skeleton0) ;;
	dma_cbdma) vdev=(-d "$PLUGIN" --vdev=dma_cbdma0) ;;
	esac
	start vhost "$EXAMPLE" --lcores "0@(0,1),1@(0,1)" --in-memory --single-file-segments --no-pci \
		--no-telemetry --iova-mode=va --file-prefix=vhost -m 256 "${vdev[@]}" --vdev=net_null0,no-rx=1 \
		-- -p 1 --mergeable 1 --total-num-mbufs 20000 \
		--socket-file "$RUN_DIR/socket1" --socket-file "$RUN_DIR/socket2" "${dmas[@]}"
	wait_for $DEADLINE says vhost "socket2) binding succeeded" || failed "the switch does not listen"
	# It knows a guest by what it sends first.
	guest 2 "$2"
	wait_for $DEADLINE says vhost " mac 02:00:00:00:00:02 .* registered" || failed "no second guest"
	guest 1 "$2"
	wait_for $DEADLINE says guest2 "RX-packets: $PACKETS " || failed "not all packets come through"
	stop
	stop
	sent=$(/usr/bin/python3 "$TOP/test/apps/packets.py" check "$RUN_DIR/1.pcap" "$RUN_DIR/out2.pcap") ||
		failed "wrong packets"
	[ "$sent" -eq $PACKETS ] || failed "$sent of $PACKETS packets have come through"
	stop
	echo "$device, $2: $sent packets"
}

/usr/bin/python3 "$TOP/test/apps/packets.py" make $PACKETS "$RUN_DIR/1.pcap"
/usr/bin/python3 "$TOP/test/apps/packets.py" make 1 "$RUN_DIR/2.pcap" 2
switch cpu packed_vq=0
if [ -e "$(pkg-config --variable=libdir libdpdk)/librte_dma_skeleton.so" ]; then
	switch dma_skeleton packed_vq=0
fi
switch dma_cbdma packed_vq=0
switch dma_cbdma packed_vq=1
