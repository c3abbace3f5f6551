#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# terminal.sh BUILD: the shell in a real terminal (tmux): completion, help, history, watch, Ctrl-C.

set -euo pipefail
# shellcheck source=test/shell/lib.sh
. "$(dirname "$0")/lib.sh"

command -v tmux >/dev/null || cannot_run "no tmux here: apt-get install tmux"

export HOME=$RUN_DIR/home TERM=screen
unset XDG_STATE_HOME XDG_CONFIG_HOME PAGER LESS NO_COLOR
mkdir -p "$HOME/.config"
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

echo "-- lines of which the editor drops a part are not run"
clean
keys -l "save first $RUN_DIR/n$(printf '\303\244')me"
keys Enter
see "error: a character of the line is no ASCII"
keys -l "save first $RUN_DIR/long;$(printf '%600s' '' | tr ' ' ';')"
keys Enter
see "error: more than 511 characters"
[ -z "$(compgen -G "$RUN_DIR/n*me"; compgen -G "$RUN_DIR/long*")" ] || fail "half of a line is run"
clean
keys "show devices; watch 0.1" Enter
see "q leaves"
keys q
see 'dma-shell>$'

echo "-- completion of files, causes, topics"
clean
echo "show lcores" >"$RUN_DIR/a_script.dma"
keys "script $RUN_DIR/a_sc" Tab
see "script $RUN_DIR/a_script.dma"
keys Enter
see "role"
for option in csv save report check plot; do
	clean
	keys "bench 0 sizes 64 $option $RUN_DIR/a_sc" Tab
	see "$option $RUN_DIR/a_script.dma"
	keys C-a C-k
done
clean
keys "inject device 0 fail cause=com" Tab
see "cause=completion"
keys C-a C-k "help verif" Tab Enter
see "in about so many fails on purpose; default 0"
see "verify 0 seconds 60 faults 100"

echo "-- long answers go through a pager, short ones do not wait"
clean
if command -v less >/dev/null; then
	keys "help" Enter
	see '^:|lines 1-|\(END\)|--More--'
	keys q
fi
see 'dma-shell>$'
clean
keys "show devices" Enter
see 'dma-shell>$'

echo "-- ? says each thing once"
clean
keys "bench 0 ?"
see "vs"
sleep 0.5
[ "$(screen | grep -c 'measure it beside')" -le 2 ] || fail "? repeats itself: $(screen)"
keys C-a C-k

echo "-- help for each argument"
clean
keys "set device 0 ?"
see "ring: descriptors in the ring"
keys "ring ?"
see "a number: descriptors"
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
see "dma-shell> show devices"
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
see "0 dma_skeleton0 +working +[0-9.]*[1-9][0-9.]* +[0-9.]*[1-9]"
see "MOps at most +[ .:=+*#-]*#"
tm resize-window -t shell -x 60 -y 12
sleep 1
[ "$(screen | wc -L)" -le 60 ] || fail "watch does not fit the window"
tm resize-window -t shell -x 100 -y 30
see "device 0 +working +[0-9.]*[1-9]"
sleep 1
[ "$(screen | grep -c "q leaves")" -eq 1 ] || fail "watch is not redrawn in place"
screen | head -n 1 | grep -q "q leaves" || fail "watch is not at the top"
keys q
see 'dma-shell>$'
! screen | grep -q "q leaves" || fail "watch leaves its screen behind"
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

echo "-- Ctrl-C while the terminal takes nothing is no fault of the output's"
clean
keys "repeat 1000000 \"show lcores\"" Enter
see "role"
keys C-s
sleep 1
keys C-c
see "interrupted"
keys "show devices; show lcores" Enter
see "0 dma_skeleton0"
! screen | grep -q "cannot be written" || fail "the output is said to be broken"

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

echo "-- history is kept, commands of the start-up file are run, errors have a colour"
echo "alloc ready 4K" >"$HOME/.config/dma-shell"
start
see "buffer: name ready"
keys Up
see "dma-shell> quit"
keys C-u "nonsense" Enter
see "error: unknown"
tm capture-pane -e -p -t shell | grep -q $'\x1b\\[31merror' || fail "no colour"
keys "quit" Enter
see "ended with 0"
rm "$HOME/.config/dma-shell"
[ "$(grep -c . "$HOME/.local/state/dma-shell")" -gt 10 ] || fail "no history is kept"

echo "-- a history does not grow without end, and one that has none is none"
seq -f "sleep %g" 5000 >"$HOME/.local/state/dma-shell"
start
keys Up
see "dma-shell> sleep 5000"
keys C-c
keys "quit" Enter
see "ended with 0"
[ "$(wc -l <"$HOME/.local/state/dma-shell")" -le 1000 ] || fail "the history is never cut"
[ "$(tail -n 2 "$HOME/.local/state/dma-shell")" = $'sleep 5000\nquit' ] || fail "the latest lines are lost"
ln -sf /dev/zero "$HOME/.local/state/dma-shell"
start
keys "quit" Enter
see "ended with 0"
rm "$HOME/.local/state/dma-shell"

COMMAND="NO_COLOR=1 $COMMAND"
start
keys "nonsense" Enter
see "error: unknown"
! tm capture-pane -e -p -t shell | grep -q $'\x1b\\[31merror' || fail "colour despite NO_COLOR"
keys "quit" Enter
see "ended with 0"
COMMAND=${COMMAND#NO_COLOR=1 }

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
