#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What an operator sees of dma-deviced: its options, what it says of wrong ones, and how it ends.
#
#     deviced.sh DMA-DEVICED

set -euo pipefail

deviced=$(realpath "$1")
dir=$(mktemp -d)
servers=()
trap 'kill -KILL "${servers[@]}" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
failures=0

fail()
{
	echo "FAILED: $*"
	failures=$((failures + 1))
}

# refused TEXT ARGUMENT...: does not start, says TEXT and nothing else, and leaves no socket.
refused()
{
	local text=$1 status=0 wanted=1
	shift

	timeout 20 "$deviced" "$@" >out 2>err || status=$?
	! grep -q "; see --help$" err || wanted=2 # the arguments are wrong
	[ $status -eq $wanted ] || fail "status $status, not $wanted: $*"
	[ ! -s out ] || fail "on standard output: $(cat out): $*"
	grep -qF -- "$text" err || fail "no \"$text\" but \"$(cat err)\": $*"
	[ "$(wc -l <err)" -eq 1 ] || fail "more than one line: $(cat err): $*"
	[ ! -e s ] || fail "s is left: $*"
}

# serve ARGUMENT...: in the background, until it listens at each --socket; its pid in $server, what it
# says in log.
serve()
{
	local sockets

	sockets=$(printf '%s\n' "$@" | grep -cx -- --socket)
	: >log # of the one before it, which said that it was listening
	"$deviced" "$@" >log 2>&1 &
	server=$!
	servers+=("$server")
	for _ in $(seq 1000); do
		[ "$(grep -c listening log)" -lt "$sockets" ] || return 0
		sleep 0.01
	done
	fail "does not listen: $(cat log): $*"
}

# ends SIGNAL: in good order
ends()
{
	local status=0

	kill -"$1" "$server"
	wait "$server" || status=$?
	[ $status -eq 0 ] || fail "status $status after SIG$1: $(cat log)"
	grep -q ': ending$' log || fail "does not say that it ends: $(cat log)"
	[ ! -e s ] || fail "the socket is left after SIG$1"
}

"$deviced" -h >short 2>&1 || fail "-h: status $?"
"$deviced" --help >out 2>err || fail "--help: status $?"
cmp -s short out || fail "-h is not --help"
[ ! -s err ] || fail "--help: $(cat err)"
for option in socket device inject cpu idle latency max-memory user verbose help; do
	grep -q -- "--$option" out || fail "--help without --$option"
done
awk 'length > 100 { exit 1 }' out || fail "--help has lines longer than 100"

refused "needs --socket and --device"
refused "needs a --device for the --socket" --socket s
refused "needs a --socket for the --device" --device cbdma
refused "one --device for each --socket" --socket s --socket s
refused "one --socket for each --device" --device cbdma --device cbdma
refused "unrecognized option --bogus; see --help" --bogus
refused "unrecognized option -x; see --help" -x
refused "a value is missing after --socket; see --help" --socket
refused "argument s: is not known" s
many=()
for i in $(seq 17); do
	many+=(--socket "s$i" --device cbdma)
done
refused "16 at most" "${many[@]}"

device()
{
	refused "--device $1: $2" --socket s --device "$1"
}
device "" 'there is no device ""; there is cbdma'
device idxd 'there is no device "idxd"; there is cbdma'
device cbdma,version=3.5 "version takes 3.0 to 3.4"
device cbdma,version "version takes 3.0 to 3.4"
device cbdma,channels=0 "channels takes 1 to 4"
device cbdma,channels=5 "channels takes 1 to 4"
device cbdma,channels=1x "channels takes 1 to 4"
device cbdma,xfercap=11 "xfercap takes 12 (4 KB) to 31 (2 GB)"
device cbdma,xfercap=99999999999999999999 "xfercap takes"
device cbdma,id=0x10000 "id takes a number of 16 bits"
device cbdma,doorbell-bar=1 "doorbell-bar takes on or off"
device cbdma,reorder= "reorder takes on or off"
device cbdma,quiet-errors=yes "quiet-errors takes on or off"
device cbdma,speed=9 "speed takes nothing: there is no such key. There are version,"
device "cbdma,$(printf '%0300d' 0)" "it is longer than 255 characters"

refused "--cpu one: takes the number of a CPU" --cpu one
refused "--cpu -1: takes the number of a CPU" --cpu -1
refused "--cpu 4000: no engine can run there" --cpu 4000 --socket s --device cbdma
refused "--idle never: takes spin or sleep" --idle never
refused "--latency 1ms: takes microseconds, 0 to 100000" --latency 1ms
refused "--latency 100001: takes microseconds" --latency 100001
refused "--max-memory 0: takes a number of bytes" --max-memory 0
refused "--max-memory 1X: takes a number of bytes" --max-memory 1X
refused "--max-memory 1GB: takes a number of bytes" --max-memory 1GB
refused "--max-memory 99999999T: is more than there can be" --max-memory 99999999T
refused "--user nosuchuser: there is no such user" --user nosuchuser
refused "--inject fail: comes after the --device" --inject fail --device cbdma
refused "--inject explode: a fault is one of" --device cbdma --inject explode
refused "--inject 1:fail: there is no channel 1" --device cbdma --inject 1:fail

refused "/nonexistent/s: cannot listen: No such file" --socket /nonexistent/s --device cbdma
refused "a socket's path has 1 to 107 characters" --socket "" --device cbdma
refused "a socket's path has" --socket "$(printf '%0108d' 0)" --device cbdma
refused "fd:9: cannot listen: that is no unix stream socket that listens" \
	--socket fd:9 --device cbdma
refused "fd:x: cannot listen: that is no unix stream socket" --socket fd:x --device cbdma
echo precious >file
refused "file: cannot listen: the socket is another server's, or the file is none" \
	--socket file --device cbdma
[ "$(cat file)" = precious ] || fail "a file that is no socket was touched"

# Nor is one that has the name of the file that is locked for a moment.
echo precious >s.lock
serve --socket s --device cbdma
ends TERM
[ "$(cat s.lock)" = precious ] || fail "a file beside the socket was removed"
rm -f s.lock

for signal in INT TERM HUP; do
	serve --socket s --device cbdma --cpu 0 --idle spin
	[ -S s ] || fail "no socket"
	ends $signal
done

# In use: not taken over, and the one that has it goes on.
serve --socket s --device cbdma
"$deviced" --socket s --device cbdma >out 2>&1 && fail "took over a socket that is in use"
grep -q "cannot listen: the socket is another server's" out || fail "in use: $(cat out)"
[ -S s ] || fail "the socket of another server was removed"
ends TERM

# Not the one that was made: not removed.
serve --socket s --device cbdma
rm s
touch s
kill -TERM "$server"
wait "$server" || fail "status $?"
[ -e s ] || fail "a file that someone else has put there was removed"
rm s

# Left behind: replaced.
serve --socket s --device cbdma
kill -KILL "$server"
wait "$server" || true
[ -S s ] || fail "no socket left behind, which is what is tried here"
serve --socket s --device cbdma
ends TERM

# Two functions: both or none.
serve --socket s --device cbdma --socket s2 --device cbdma,version=3.2
if [ ! -S s ] || [ ! -S s2 ]; then
	fail "two functions: $(cat log)"
fi
ends INT
[ ! -e s2 ] || fail "the second socket is left"
"$deviced" --socket s --device cbdma --socket file --device cbdma >out 2>&1 &&
	fail "started with one of two sockets"
[ ! -e s ] || fail "the first socket is left when the second cannot be had"

[ $failures -eq 0 ]
