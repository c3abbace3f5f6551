#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# messages.sh BUILD: what is wrong is refused, with a message that names the wrong word and what
# was expected; scripts stop there; exit statuses.

set -euo pipefail
# shellcheck source=test/shell/lib.sh
. "$(dirname "$0")/lib.sh"

EAL+=(--vdev=dma_skeleton0)

# refused PATTERN COMMANDS: they fail, with a message that matches, and what comes after is not run
refused()
{
	local pattern=$1 status=0 out

	out=$("$DMA_SHELL" "${EAL[@]}" -- -c "$2; show lcores" 2>&1) || status=$?
	[ $status -eq 1 ] || fail "'$2' ends with status $status: $out"
	expect_output "^error: .*$pattern" "$out"
	! grep -q "role" <<<"$out" || fail "'$2' does not stop what comes after it"
	echo "$2: $(grep '^error' <<<"$out")"
}

AB="alloc a 4K; alloc b 8K"
refused "unknown command 'nonsense'" "nonsense"
refused "bad word 'devcies': expected devices" "show devcies"
refused "not complete after 'show device 0': expected info" "show device 0"
refused "bad word '7': expected a device.*there is 0" "start device 7"
refused "bad word '0:9x': expected a device" "start device 0:9x"
refused "device 0 is not started" "$AB; copy 0 a b"
refused "device 0 has 1 vchans, there is no 3" "$AB; start device 0; copy 0:3 a b"
refused "bad word 'c': expected a buffer.*there is a, b" "$AB; start device 0; copy 0 a c"
refused "do not fit into a" "$AB; start device 0; copy 0 a:5K b"
refused "offset 8192 is behind the end of b" "$AB; start device 0; copy 0 a b+8K"
refused "overlap in b" "$AB; start device 0; copy 0 b:4K b+1"
refused "lengths differ" "$AB; start device 0; copy 0 a:100 b:200"
refused "bad word 'fnece': expected .*fence or submit" "$AB; start device 0; copy 0 a b fnece"
refused "option 'submit' is given twice" "$AB; start device 0; copy 0 a b submit submit"
refused "not complete after 'alloc x': expected a size" "alloc x"
refused "bad word '4Q': expected a size" "alloc x 4Q"
refused "bad word '-1': expected a size" "alloc x -1"
refused "bad word '99999999999999999999': expected a size" "alloc x 99999999999999999999"
refused "cannot allocate 1099511627776 bytes" "alloc x 1T"
refused "bad word '0': expected a size above 0" "alloc x 0"
refused "bad word '1x': expected a new name" "alloc 1x 4K"
refused "there is a buffer a already" "$AB; alloc a 4K"
refused "bad word 'blue' for 'numa': expected a number" "alloc x 4K numa blue"
refused "bad word '9' for 'numa': expected 0 to" "alloc x 4K numa 9"
refused "bad page size 5: expected 4K, 2M or 1G" "alloc x 4K page 5"
refused "bad word 'pink': expected a pattern" "alloc x 4K pattern pink"
refused "bad word '1': expected a ring of 32 to" "set device 0 ring 1"
refused "bad word '70000': expected a ring" "set device 0 ring 70000"
refused "bad word '0': expected 1 to 1 vchans" "set device 0 vchans 0"
refused "device 0 cannot transfer mem-to-dev" "set device 0 direction mem-to-dev"
refused "device 0 is started" "start device 0; set device 0 ring 64"
refused "has no silent mode" "set device 0 silent on"
refused "device 0 has no injection" "inject device 0 fail at=3"
refused "bad word 'at=x': expected .*at=a number" "inject device 0 fail at=x"
refused "cause=src.dst" "inject device 0 fail cause=bad"
refused "cannot attach 'dma_nosuch0': no driver that is loaded takes it" "attach dma_nosuch0"
refused "cannot load '/nonexistent'" "load driver /nonexistent"
refused "the EAL option -m MEGABYTES gives more" "alloc x 1G"
refused "'/dev/full' could not be written completely" "bench 0 sizes 64 seconds 0.01 csv /dev/full"
refused "cannot read '/nonexistent'" "load /nonexistent a"
refused "cannot write '/nonexistent/x'" "$AB; save a /nonexistent/x"
refused "there is no operation|are not submitted" "$AB; start device 0; copy 0 a b; wait"
refused "bad word '0' for 'batch': expected 1 to" "bench 0 batch 0"
refused "bad seconds: expected 0.01 or more" "bench 0 sizes 64 seconds 0"
refused "bad word '5' for 'lcores'" "bench 0 lcores 5"
refused "bad word 'x' for 'sizes'" "bench 0 sizes 64,x"
refused "ends in .png" "bench 0 sizes 64 plot x.gif"
refused "2 lcores need as many devices, there are 1" "bench 0 lcores 0,1"
refused "bad word 'gpu' for 'vs': expected cpu, or a device" "bench 0 vs gpu"
refused "bad word '7' for 'vs'" "bench 0 vs 7"
refused "device 0 would be on both sides" "bench 0 vs 0"
refused "bad word '101' for 'load': expected percents" "bench 0 load 101"
refused "bad word '101' for 'tolerance'" "bench 0 tolerance 101"
refused "cannot write '/nonexistent/r.html'" "bench 0 report /nonexistent/r.html"
refused "'/dev/full' could not be written completely" \
	"bench 0 sizes 64 seconds 0.01 report /dev/full"
refused "cannot read '/nonexistent'" "bench 0 check /nonexistent"
refused "lcore 0 runs this shell" "set worker 0 device 0"
refused "expected 'count N'" "watch 1"
refused "expected 1 == 2, but|no field 'x'" "show devices; expect x == 1"
refused "expected ring == 5, but it is 1024" "show devices; expect ring == 5"
refused "expected 'show devices' to fail" "expect fail \"show devices\""
refused "expected length == nan, but it is 4096" "alloc a 4K; crc a; expect length == nan"
refused "nested more than 8" "repeat 1 \"script $SHELL_DIR/loop.dma\""

# An empty ring and a full one.
refused "the ring of device 0 is full" \
	"$AB; set device 0 ring 32; start device 0; repeat 33 \"copy 0 a b\""

# What is no text is no script, and ends.
refused "the line holds a NUL" "script /dev/zero"
head -c 10000 /dev/zero | tr '\0' x >"$RUN_DIR/long"
refused "more than 8191 characters" "script $RUN_DIR/long"

# A folder is no script without commands.
refused "cannot read '.' to its end" "script ."

# Where a script stopped.
printf 'show devices\n# a comment\nshow nothing\nshow lcores\n' >"$RUN_DIR/s.dma"
out=$("$DMA_SHELL" "${EAL[@]}" -- -f "$RUN_DIR/s.dma" 2>&1) && fail "a wrong script succeeds"
expect_output "s.dma:3: stopped here" "$out"
! grep -q "role" <<<"$out" || fail "the script goes on after an error"
out=$("$DMA_SHELL" "${EAL[@]}" -- <"$RUN_DIR/s.dma" 2>&1) && fail "a wrong input succeeds"
expect_output "input:3: stopped here" "$out"

# Every command has help.
for word in quit exit sleep; do
	"$DMA_SHELL" "${EAL[@]}" -- -c "help $word" >/dev/null || fail "no help for $word"
done

# Options. shell STATUS PATTERN ARGUMENT...: how it ends, and what it says
shell()
{
	local wanted=$1 pattern=$2 status=0 out
	shift 2

	out=$("$DMA_SHELL" "$@" 2>&1 </dev/null) || status=$?
	[ $status -eq "$wanted" ] || fail "'$*' ends with $status, not $wanted: $out"
	expect_output "$pattern" "$out"
}

shell 0 "cmdline-file" --help
shell 0 "cmdline-file" -h
shell 0 "cmdline-file" "${EAL[@]}" -- -h
shell 2 "error: bad option.*--nonsense, see --help" "${EAL[@]}" -- --nonsense
shell 2 "error: bad option.*EAL.*see --help" --no-huge
shell 2 "value is missing after -c, see --help" -c
shell 2 "do not go together, see --help" -c quit -f x
shell 2 "given twice" -c quit -c "show devices"
shell 2 "given twice" "${EAL[@]}" -c quit -- -c "show devices"
shell 2 "given twice" -f x -f y
shell 2 "a device that was named is not there" "${EAL[@]}" -- --device none0 -c quit
shell 0 "completed 10" "${EAL[@]}" -- --device dma_skeleton0 -c "burst 0 10 64"
shell 0 "dma_skeleton0" "${EAL[@]}" -c "show devices" --

# In one word: the model, or what is named.
if [ "$HAVE_CBDMA" = 1 ]; then
	shell 0 "0 dma_cbdma0 +stopped" -c "show devices"
	shell 0 "0 dma_cbdma0 +started" -c "show devices" dma_cbdma0,cpu=0
fi
shell 0 "0 dma_skeleton0 +started" -c "show devices" dma_skeleton0
# One name may be the beginning of another.
shell 0 "1 dma_skeleton1 +started" -c "show devices" dma_skeleton10 dma_skeleton1
shell 0 "0 dma_skeleton10 +stopped" --no-huge --no-pci --log-level=3 "--file-prefix=shell$$" \
	--vdev=dma_skeleton10 -- -c "show devices" dma_skeleton1
shell 2 "no device 'ffff:1f:1f.7'|DPDK does not start" -c "show devices" ffff:1f:1f.7
shell 0 "0 dma_skeleton0" -l 0 --no-huge --log-level=3 "--file-prefix=shell$$" -- \
	-c "show devices" dma_skeleton0

# What EAL drops or does not say.
shell 2 "'foo' is no option of EAL's" "${EAL[@]}" foo --
[ "$HAVE_CBDMA" = 0 ] || shell 2 "there is no device 'dma_cbdma7.*or it does not start" \
	"${EAL[@]}" --vdev=dma_cbdma7,cpu=99999 --
shell 2 "a plugin .-d. cannot be loaded" "${EAL[@]}" --log-level=info -d /nonexistent.so --
mkfifo "$RUN_DIR/hold"
"$DMA_SHELL" "${EAL[@]}" -- <"$RUN_DIR/hold" >"$RUN_DIR/first" 2>&1 &
exec 8>"$RUN_DIR/hold"
echo "show lcores" >&8
for ((i = 0; i < 100; i++)); do
	! grep -q role "$RUN_DIR/first" || break
	sleep 0.1
done
shell 2 "does not start: another DPDK program runs with these files.*--file-prefix" \
	"${EAL[@]}" --log-level=info --
exec 8>&-
wait

# Output that does not arrive.
"$DMA_SHELL" "${EAL[@]}" -- -c help >/dev/full 2>"$RUN_DIR/full" && fail "a full disk is no error"
grep -q "output cannot be written: No space" "$RUN_DIR/full" || fail "no word of a full disk"

# Closed, the output is not the next file that is opened, EAL's configuration.
status=0
timeout -k 1 60 "$DMA_SHELL" "${EAL[@]}" -- -c "alloc a 4K; show buffers" >&- \
	2>"$RUN_DIR/closed" || status=$?
[ $status -eq 1 ] || fail "a closed output ends with status $status"
grep -q "output cannot be written: Bad file" "$RUN_DIR/closed" || fail "no word of a closed output"

# As many looks as were asked for, and workers that have stopped are stopped.
[ "$("$DMA_SHELL" "${EAL[@]}" -- -j -c "watch 0.01 count 3" | grep -c watch_devices)" -eq 3 ] ||
	fail "watch count 3 does not look three times"
out=$("$DMA_SHELL" "${EAL[@]}" -- -c "set worker 1 device 0; start workers; sleep 0.1; stop workers")
expect_output "1 +0 stopped +" "$out"
[ "$HAVE_CBDMA" = 0 ] || shell 1 "device 1 does not start: No such device" "${EAL[@]}" \
	--vdev=dma_cbdma0 -- -c "set worker 1 device 1; start workers; inject device 1 vanish; stop workers"
# In step mode nobody lets the model work: it stalls, and nobody recovers it.
[ "$HAVE_CBDMA" = 0 ] || shell 1 "device 1 stalled under lcore 1: [0-9]+ operations lost" "${EAL[@]}" \
	--vdev=dma_cbdma0,step=1 -- -c "set worker 1 device 1; start workers; stop workers"

# A process that is stopped for some time has not seen its device stall.
"$DMA_SHELL" "${EAL[@]}" -- -c "set worker 1 device 0; start workers; sleep 5; show workers
	expect state == working; expect operations > 0" >"$RUN_DIR/stopped" 2>&1 &
pid=$!
for ((i = 0; i < 300; i++)); do
	! grep -q "started 1" "$RUN_DIR/stopped" || break
	sleep 0.1
done
sleep 0.5
kill -STOP $pid
sleep 3
kill -CONT $pid
wait $pid || fail "a process that was stopped: $(cat "$RUN_DIR/stopped")"

# Errors are objects too, and the stream stays one object a line.
out=$("$DMA_SHELL" "${EAL[@]}" -- --json -c 'show "quote\x' 2>/dev/null) && fail "json error"
/usr/bin/python3 -c 'import json, sys; assert "quote" in json.loads(sys.argv[1])["error"]' "$out"
expect_output '\[tolerance NUM\]"' "$("$DMA_SHELL" "${EAL[@]}" -- -j -c "help bench")"
