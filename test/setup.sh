# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Shell functions that the scripts share: say what happens, install what is missing, reserve
# hugepages, stage the plugin, and leave the machine as it was found. To be sourced, not run.

# shellcheck disable=SC2034 # for those who source this
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# meson and dpdk-pmdinfo.py need the distribution's Python, not one further up in PATH.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export LC_ALL=C.UTF-8

say()
{
	echo "==> $*"
}

# die MESSAGE [WHAT TO DO]...
die()
{
	echo "error: $1" >&2
	shift
	[ $# -eq 0 ] || printf '       %s\n' "$@" >&2
	exit 1
}

need_root()
{
	[ "$(id -u)" -eq 0 ] || die "$1 needs root" "run it as root: sudo $0"
}

# at_exit COMMAND: run COMMAND when the script ends, however it ends; the last one given runs first.
EXIT_COMMANDS=()
at_exit()
{
	EXIT_COMMANDS+=("$1")
}

CHILD=
STOP_SIGNAL=TERM
run_exit_commands()
{
	local status=$? i

	trap '' INT TERM HUP
	[ -z "$CHILD" ] || { kill -"$STOP_SIGNAL" "$CHILD" && wait "$CHILD"; } 2>/dev/null || true
	for ((i = ${#EXIT_COMMANDS[@]} - 1; i >= 0; i--)); do
		eval "${EXIT_COMMANDS[i]}" || true
	done
	exit "$status"
}
trap run_exit_commands EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# run COMMAND...: run in the background and wait, since only "wait" lets a signal to the script
# through at once. What was running is ended by run_exit_commands, or with this shell.
run()
{
	local status=0

	setpriv --pdeathsig "$STOP_SIGNAL" "$@" <&0 &
	CHILD=$!
	wait "$CHILD" || status=$?
	CHILD=
	return "$status"
}

# need_packages PACKAGE...: install those that are not there yet.
need_packages()
{
	local package missing=()

	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null |
			grep -q '^installed' || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	[ "$(id -u)" -eq 0 ] || die "not installed: ${missing[*]}" \
		"run as root, or first: sudo apt-get install ${missing[*]}"
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	run apt-get -qq update ||
		die "apt-get update failed" "see the lines above, and the network"
	run apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" \
		>/dev/null ||
		die "cannot install ${missing[*]}" "see the lines above"
}
