#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A primary process forwards packets through dma_cbdma (DPDK's examples/dma), and a secondary one, a
# dma-shell, looks on. It is killed as it is looking, and another one comes: the first must not notice.

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

DEADLINE=60 # seconds for what takes one

reserve_hugepages 160
stage_plugin "$1"
mount_hugepages
build_example dma
log=$RUN_DIR/log
/usr/bin/python3 "$TOP/test/apps/packets.py" make 64 "$RUN_DIR/packets.pcap"
# EAL's runtime folder: RUNTIME_DIRECTORY (make_run_dir), then this.
eal=(--file-prefix=apps "--huge-dir=$HUGE_DIR" --iova-mode=va --no-pci)

failed()
{
	tail -n 40 "$log" >&2
	die "$@"
}

# ask COMMAND: the answer of telemetry, which the primary process serves
ask()
{
	/usr/bin/python3 - "$RUN_DIR/dpdk/apps/dpdk_telemetry.v2" "$1" <<-'END'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.settimeout(20)
		s.connect(sys.argv[1])
		s.recv(16384)
		s.send(sys.argv[2].encode())
		print(json.dumps(json.loads(s.recv(65536))[sys.argv[2].split(",")[0]]))
	END
}

# stat NAME: a count of the primary's device
stat()
{
	ask /dmadev/stats,0,0 2>/dev/null |
		sed -n "s/.*\"$1\": \\([0-9]*\\).*/\\1/p"
}

has_done()
{
	kill -0 "$primary" 2>/dev/null || failed "the primary process has ended"
	[ "$(stat completed)" -gt "$1" ] 2>/dev/null
}

# forwards WHEN: sees that it does
forwards()
{
	local before

	before=$(stat completed)
	wait_for $DEADLINE has_done "$((before + 1000))" || failed "the primary process does not forward $1"
	echo "the primary process forwards $1: $(stat completed) copies, $(stat errors) errors"
	[ "$(stat errors)" -eq 0 ] || failed "copies failed $1"
}

# onlooker: starts a secondary process that waits for commands; sets SHELL_PID
onlooker()
{
	rm -f "$RUN_DIR/commands"
	mkfifo "$RUN_DIR/commands"
	: >"$RUN_DIR/shell"
	setpriv --pdeathsig KILL "$build/app/dma-shell/dma-shell" --proc-type=secondary "${eal[@]}" -- \
		<"$RUN_DIR/commands" >"$RUN_DIR/shell" 2>&1 &
	SHELL_PID=$!
	at_exit "kill -KILL $SHELL_PID 2>/dev/null; wait $SHELL_PID"
	exec {COMMANDS}>"$RUN_DIR/commands"
	echo "show device 0 info" >&$COMMANDS
	wait_for $DEADLINE grep -q '^ *vchans:' "$RUN_DIR/shell" || {
		cat "$RUN_DIR/shell" >&2
		failed "dma-shell does not show the primary's device"
	}
	# What dmadev does not tell it, it does not make up.
	if ! grep -q "state: primary's" "$RUN_DIR/shell" || grep -E '^ *(ring|silent):' "$RUN_DIR/shell"; then
		cat "$RUN_DIR/shell" >&2
		failed "dma-shell claims to know how the primary has set its device up"
	fi
	echo "show device 0 registers" >&$COMMANDS
	wait_for $DEADLINE grep -q CHANSTS "$RUN_DIR/shell" || {
		cat "$RUN_DIR/shell" >&2
		failed "dma-shell does not show the device's registers"
	}
}

build=$1
setpriv --pdeathsig TERM "$EXAMPLE" -l 0,1 "${eal[@]}" -d "$PLUGIN" --vdev=dma_cbdma0,cpu=0 \
	--vdev="net_pcap0,rx_pcap=$RUN_DIR/packets.pcap,infinite_rx=1" -- -c hw >"$log" 2>&1 &
primary=$!
at_exit "kill -KILL $primary 2>/dev/null; wait $primary"
wait_for $DEADLINE has_done 0 || failed "the primary process does not forward"
forwards "alone"

for round in 1 2; do
	onlooker
	forwards "with an onlooker ($round)"
	ask /cbdma/registers,0 | grep -q CHANSTS ||
		failed "telemetry does not tell the device's registers"
	# As it asks for registers, by messages to the primary, again and again.
	yes "show device 0 registers" >&$COMMANDS &
	yes=$!
	sleep 0.5
	kill -KILL $SHELL_PID
	wait $SHELL_PID 2>/dev/null || true
	kill $yes 2>/dev/null || true
	wait $yes 2>/dev/null || true
	exec {COMMANDS}>&-
	forwards "when it has been killed ($round)"
done

# And one that leaves as it should.
onlooker
echo "show device 0 stats" >&$COMMANDS
exec {COMMANDS}>&-
wait $SHELL_PID || failed "dma-shell ends with status $?"
! grep -E '^(error|device)' "$RUN_DIR/shell" || failed "dma-shell leaves with complaints"
forwards "when it has left"
kill -INT $primary
wait $primary || failed "the primary process ends with status $?"
