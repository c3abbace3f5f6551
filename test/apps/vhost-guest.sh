#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/vhost-echo and a guest that does what testpmd does not (vhost_guest.py). A channel that stalls
# for a second, until the driver resets it, keeps copies under way as the guest changes what they use.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../setup.sh"
# shellcheck source=test/apps/apps.sh
. "$TOP/test/apps/apps.sh"

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
	echo "usage: $0 BUILD"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

ECHO=$1/examples/vhost-echo
[ -x "$ECHO" ] || die "no $ECHO" "build it first: ninja -C $1"
reserve_hugepages 64
stage_plugin "$1"
BACKEND=
# shellcheck disable=SC2016 # what it is then
at_exit '[ -z "$BACKEND" ] || kill -9 "$BACKEND"'

has_ended()
{
	! kill -0 "$1" 2>/dev/null
}

# with DEVICE_ARGUMENTS CASE...: each by a guest of its own, then the back end has to end when told to
with()
{
	local arguments=$1 device=$1 mode=va status=0 name
	shift

	case $device in *,pa) mode=pa device=${device%,pa} ;; esac
	: >"$RUN_DIR/log"
	setpriv --pdeathsig KILL "$ECHO" --lcores "0@(0,1)" --in-memory --no-pci --no-telemetry \
		--iova-mode=$mode -m 64 -d "$PLUGIN" "--vdev=dma_cbdma0$device" -- "$RUN_DIR/socket" \
		>"$RUN_DIR/log" 2>&1 &
	BACKEND=$!
	wait_for 60 grep -q '^listening' "$RUN_DIR/log" || die "the back end does not listen"
	for name; do
		run timeout 200 /usr/bin/python3 "$TOP/test/apps/vhost_guest.py" "$name" "$RUN_DIR/socket" || {
			tail -n 15 "$RUN_DIR/log" >&2
			die "$arguments: $name"
		}
	done
	kill -INT "$BACKEND"
	wait_for 60 has_ended "$BACKEND" || die "$arguments: the back end does not end"
	wait "$BACKEND" || status=$?
	BACKEND=
	[ $status -eq 130 ] || die "$arguments: the back end ends with status $status"
	echo "${arguments#,}: $*"
}

for mode in "" ,iommu=on ,pa; do
	with ",errors=count,inject=stall:at=500$mode" memory
done
with ,errors=count,inject=stall:at=500 enable
with ,errors=count two hostile packets
# A device in another process reaches nothing of a guest's: the CPU copies.
setpriv --pdeathsig KILL "$1/app/dma-deviced/dma-deviced" --socket "$RUN_DIR/device" \
	--device cbdma,doorbell-bar=on --user root &
SERVER=$!
at_exit "kill $SERVER && wait $SERVER"
wait_for 60 test -S "$RUN_DIR/device" || die "dma-deviced does not come up"
with ",socket=$RUN_DIR/device" packets packets
[ "$(grep -c "cannot be mapped, the CPU copies: Operation not supported" "$RUN_DIR/log")" -eq 2 ] ||
	die "the back end does not say of each guest that the device does not reach it"
# Behind an operation that has failed nothing goes on; the guest that comes next is not to suffer.
with ,inject=fail:at=100 leave packets

# Hugepages that are there are not said to be missing, where it is the hugetlbfs.
status=0
# shellcheck disable=SC2016 # a shell of its own
unshare -m sh -c 'umount -a -t hugetlbfs; exec "$@"' sh timeout 60 "$ECHO" -l 0 --no-pci --no-telemetry \
	-- -c "$RUN_DIR/socket" >"$RUN_DIR/log" 2>&1 || status=$?
if [ $status -ne 1 ] || ! grep -q '^error: .*no hugetlbfs is mounted' "$RUN_DIR/log"; then
	tail -n 5 "$RUN_DIR/log" >&2
	die "without a hugetlbfs it ends with status $status, or names something else"
fi
