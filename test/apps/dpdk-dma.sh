#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs DPDK's examples/dma, which forwards packets and has each copied by a DMA device on the way:
# from a file to a file, with CPU copies, dma_skeleton and dma_cbdma on its model. It drops what its
# ring has no room for: each packet has to be there or to be counted as dropped, and none may be
# dropped by the CPU, or where all packets fit into the ring.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../setup.sh"
# shellcheck source=test/apps/apps.sh
. "$(dirname "$0")/apps.sh"

if [ $# -lt 1 ] || [ $# -gt 2 ] || [[ $1 == -* ]] || [ "${2-rate}" != rate ]; then
	echo "usage: $0 BUILD [rate]"
	echo "rate: instead, how many packets it forwards when they never end."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

PACKETS=20000
DEADLINE=60 # seconds for what takes two

reserve_hugepages 160
stage_plugin "$1"
build_example dma

# start DEVICE RING BATCH PORT_ARGUMENTS: sets PID and LOG
start()
{
	local type=hw device=()

	case $1 in
	cpu) type=sw ;;
	dma_skeleton) device=("--vdev=dma_skeleton0,lcore=0") ;;
	dma_cbdma) device=(-d "$PLUGIN" "--vdev=dma_cbdma0,cpu=0") ;;
	esac
	LOG=$RUN_DIR/$1-$2-$3.log
	: >"$LOG"
	setpriv --pdeathsig TERM "$EXAMPLE" -l 0,1 --in-memory --no-pci --no-telemetry --iova-mode=va \
		"${device[@]}" "--vdev=net_pcap0,$4" -- \
		--no-mac-updating -c $type -s "$2" -b "$3" >"$LOG" 2>&1 &
	PID=$!
}

# counter NAME: as the program said last
counter()
{
	sed -n "s/^[[:space:]]*$1: *\([0-9]*\).*/\1/p" "$LOG" | tail -n 1
}

failed()
{
	tail -n 40 "$LOG" >&2
	die "$@"
}

stop()
{
	kill -INT "$PID"
	wait "$PID" || failed "dpdk-dma ends with status $?"
}

# All packets have been received, and sent or dropped.
all_counted()
{
	kill -0 "$PID" 2>/dev/null || failed "dpdk-dma has ended"
	[ "$(counter "Packets received")" = "$1" ] && [ $(($(counter "Packets sent") +
		$(counter "Packets dropped on copy") + $(counter "Packets dropped on tx"))) -eq "$1" ]
}

# forward DEVICE RING BATCH PACKETS: from a file to a file
forward()
{
	local in=$RUN_DIR/$4.pcap out=$RUN_DIR/out.pcap sent dropped errors

	rm -f "$out"
	start "$1" "$2" "$3" "rx_pcap=$in,tx_pcap=$out"
	wait_for $DEADLINE all_counted "$4" || failed "not all of $4 packets have come through or been dropped"
	stop
	sent=$(/usr/bin/python3 "$TOP/test/apps/packets.py" check "$in" "$out") || failed "wrong packets"
	dropped=$(($(counter "Packets dropped on copy") + $(counter "Packets dropped on tx")))
	errors=$(counter "Total failed ops")
	printf "%-14s %6d %6d %9d %9d %9d\n" "$1" "$2" "$3" "$4" "$sent" "$dropped"
	[ $((sent + dropped)) -eq "$4" ] || failed "$((sent + dropped)) of $4 packets are accounted for"
	[ "$sent" -gt 0 ] || failed "nothing came through"
	[ "$((errors))" -eq 0 ] || failed "$errors copies failed"
	[ "$1" != cpu ] && [ "$4" -ge "$2" ] || [ "$dropped" -eq 0 ] ||
		failed "$dropped packets dropped where there is room for all"
}

# printed N: whether the statistics, of a second each, have been printed N times
printed()
{
	[ "$(grep -c "^Packets sent" "$LOG")" -ge "$1" ]
}

# rate DEVICE: packets from memory, again and again, to nowhere
rate()
{
	start "$1" 2048 32 "rx_pcap=$RUN_DIR/64.pcap,infinite_rx=1"
	wait_for $DEADLINE printed 4 || failed "it prints no statistics"
	stop
	# Of whole seconds; the last statistics are those of when it was stopped.
	awk -v device="$1" -F ': *' '/^Total packets Tx/ { if (++n > 1 && n <= 4) tx += $2 }
		/^Total packets dropped/ { if (n > 1 && n <= 4) dropped += $2 }
		END { printf "%-14s %13.2f %13.2f\n", device, tx / 3e6, dropped / 3e6 }' "$LOG"
}

for count in $PACKETS 64 60; do
	/usr/bin/python3 "$TOP/test/apps/packets.py" make "$count" "$RUN_DIR/$count.pcap"
done

if [ "${2-}" = rate ]; then
	say "packets of 64 to 1518 bytes, ring 2048"
	printf "%-14s %13s %13s\n" device "Mpps sent" "Mpps dropped"
	for device in cpu dma_skeleton dma_cbdma; do
		rate $device
	done
	exit
fi

say "packets from a file to a file"
printf "%-14s %6s %6s %9s %9s %9s\n" device ring -b packets sent dropped
for shape in "64 32" "256 8" "1024 1" "4096 32"; do
	read -r ring batch <<<"$shape"
	forward cpu "$ring" "$batch" $PACKETS
	forward dma_skeleton "$ring" "$batch" $PACKETS
	forward dma_cbdma "$ring" "$batch" $PACKETS
done
forward dma_cbdma 64 32 60
