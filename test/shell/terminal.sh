#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# terminal.sh BUILD: the shell in a real terminal (tmux): completion, help, history, watch, Ctrl-C.

set -euo pipefail
# shellcheck source=test/shell/lib.sh
. "$(dirname "$0")/lib.sh"

command -v tmux >/dev/null || skip "no tmux here: apt-get install tmux"

starts=0
COMMAND="'$DMA_SHELL' ${EAL[*]} --vdev=dma_skeleton0 --"
tm()
{
	tmux -S "$RUN_DIR/tmux$starts" -f /dev/null "$@"
}

screen()
{
	tm capture-pane -p -t shell
}

# see PATTERN [SECONDS]: wait until the screen shows it
see()
{
	local i

	for ((i = 0; i < ${2:-10} * 10; i++)); do
		if screen | grep -qE -- "$1"; then
			echo "seen: $1"
			return 0
		fi
		sleep 0.1
	done
	screen
	fail "not on the screen: $1"
}

keys()
{
	tm send-keys -t shell "$@"
}

# clean: an empty screen with a prompt
clean()
{
	keys C-l
	sleep 0.2
}

start()
{
	starts=$((starts + 1))
	at_exit "tmux -S '$RUN_DIR/tmux$starts' kill-server 2>/dev/null"
	tm new-session -d -s shell -x 100 -y 30 \
		"$COMMAND; echo ended with \$?; sleep 1000"
	see 'dma-shell>$'
}

start
echo "-- completion of a word, and of what is there"
keys "sho" Tab "dev" Tab Enter
see 'dma-shell> show device'
clean
keys "alloc first 4K" Enter "alloc second 4K" Enter
see "buffer: name second"
clean
keys "crc f" Tab
see "dma-shell> crc first"
keys Enter
see "crc: name first"

echo "-- help for each argument"
clean
keys "set device 0 ?"
see "ring .*descriptors in the ring"
keys "ring ?"
see "UINT64"
keys C-u C-a C-k "alloc third ?"
see "a size in bytes.*a buffer that devices reach"
keys C-a C-k

echo "-- history"
clean
keys "show lcores" Enter
see "worker"
clean
keys Up
see "dma-shell> show lcores"
keys Up
see "dma-shell> crc first"
keys Down
see "dma-shell> show lcores"
keys Enter
see "role"

echo "-- a wrong word gives the prompt back"
clean
keys "start device seven" Enter
see "error: bad word 'seven': expected a device"
see 'dma-shell>$'

echo "-- watch: live, redrawn in place, q leaves"
clean
keys "set worker 1 device 0" Enter "start workers" Enter
see "workers: started 1"
keys "watch 0.2" Enter
see "dma-shell watch: q leaves"
see "0 dma_skeleton0 +working +[0-9.]*[1-9]"
see "device 0 +working +[0-9.]*[1-9]"
sleep 1
[ "$(screen | grep -c "q leaves")" -eq 1 ] || fail "watch is not redrawn in place"
screen | head -n 1 | grep -q "q leaves" || fail "watch is not at the top"
keys q
see 'dma-shell>$'
clean
keys "watch" Enter
see "q leaves"
keys C-c
see "interrupted"
see 'dma-shell>$'
keys "show workers" Enter
see "0 working"
keys "stop workers" Enter
see 'dma-shell>$'

echo "-- Ctrl-C ends verify, bench, sleep and repeat, and gives the prompt back"
for command in "verify 0 seconds 1000" "bench 0 seconds 1000" "sleep 1000" \
		"repeat 1000000 \"sleep 0.01\"" "bench 0 seconds 1000 lcores 0"; do
	clean
	keys "$command" Enter
	sleep 1
	keys C-c
	see "interrupted"
	see 'dma-shell>$'
done
keys "burst 0 100 1K" Enter
see "device 0 is not started|completed 100"

echo "-- Ctrl-C at the prompt drops the line, Ctrl-D and quit leave, devices stopped"
clean
keys "nonsense" C-c
see '^dma-shell>$'
keys "show devices" Enter
see "0 dma_skeleton0"
! screen | grep -q "unknown command" || fail "Ctrl-C does not drop the line"
keys C-d
see "ended with 0"
start
keys "start device 0" Enter "quit" Enter
see "ended with 0"

echo "-- a terminal as it was"
start
keys "quit" Enter
see "ended with 0"

echo "-- in one word: a prompt, three lines before it, and a device that is started"
[ "$HAVE_CBDMA" = 1 ] || exit 0
COMMAND="'$DMA_SHELL'"
start
see "^1 DMA device: 0 dma_cbdma0 \(started\)"
see "^Try: alloc"
see "^help"
[ "$(screen | grep -c .)" -eq 4 ] || fail "not three lines and a prompt: $(screen)"
keys "alloc a 64K pattern random; alloc b 64K; copy 0 a b submit; wait 0" Enter
see "completed 1, errors 0"
keys "quit" Enter
see "ended with 0"
