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

# cannot_run REASON...: a mirror need not have everything; that is not a failure of what is tested.
cannot_run()
{
	echo "cannot run: $*"
	exit 77
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds; fails when it does not in that time.
wait_for()
{
	local end=$((SECONDS + $1))
	shift

	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
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

# source_of PACKAGE: the source package that the installed PACKAGE was made of, NAME=VERSION.
source_of()
{
	dpkg-query -W -f '${source:Package}=${source:Version}' "$1"
}

# unpack_source NAME=VERSION: in the current directory, which is a new one. The machine's own package
# sources are asked, as sources of source packages, with lists in a place of their own.
unpack_source()
{
	local source=$1 apt=$PWD/apt etc file options

	mkdir -p "$apt/sources" "$apt/lists/partial"
	etc=$(apt-config shell d Dir::Etc/d | sed "s/^d='\(.*\)'$/\1/")
	for file in "${etc%/}/sources.list" "${etc%/}"/sources.list.d/*.list; do
		[ -e "$file" ] || continue
		sed -n 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$file" >"$apt/sources/${file##*/}.list"
	done
	for file in "${etc%/}"/sources.list.d/*.sources; do
		[ -e "$file" ] || continue
		sed 's/^Types:.*/Types: deb-src/I' "$file" >"$apt/sources/${file##*/}"
	done
	options=(
		-q
		-o "Dir::Etc::SourceList=/dev/null"
		-o "Dir::Etc::SourceParts=$apt/sources"
		-o "Dir::State::Lists=$apt/lists"
		-o "APT::Sandbox::User=$(id -un)"
	)

	say "looking for the source package $source"
	run apt-get "${options[@]}" update >"$apt/log" 2>&1 ||
		say "some package sources do not answer: $(grep '^[EW]:' "$apt/log" | head -n 1)"
	say "downloading and unpacking it"
	if ! run apt-get "${options[@]}" source --only-source "$source" >"$apt/log" 2>&1; then
		grep '^E:' "$apt/log" >&2 || true
		echo "this machine's package sources do not hold the source package $source; they hold:" \
			"$(apt-cache "${options[@]}" madison "${source%%=*}" | awk '{ print $3 }' |
				sort -u | xargs) (nothing: none at all)" >&2
		rm -r "$apt"
		return 1
	fi
	rm -r "$apt"
}

# make_run_dir: sets RUN_DIR, a folder for this run that no folder above is world-writable (EAL
# loads no plugin below one that is). EAL keeps its runtime files there too.
RUN_DIR=
make_run_dir()
{
	[ -z "$RUN_DIR" ] || return 0
	need_root "running DPDK programs"
	RUN_DIR=$(mktemp -d /run/copyengine.XXXXXX) || die "cannot make a folder in /run"
	at_exit "rm -rf --one-file-system '$RUN_DIR'"
	export RUNTIME_DIRECTORY=$RUN_DIR
}

# stage_plugin BUILD: sets PLUGIN, a copy of the plugin that EAL accepts.
stage_plugin()
{
	local plugin=$1/drivers/dma/cbdma/librte_dma_cbdma.so

	[ -e "$plugin" ] || die "no plugin at $plugin" "build it first: ninja -C $1"
	make_run_dir
	PLUGIN=$RUN_DIR/${plugin##*/}
	cp "$plugin" "$PLUGIN"
}

HUGEPAGES=/sys/kernel/mm/hugepages/hugepages-2048kB

# reserve_hugepages COUNT: see to it that COUNT 2 MB pages are free, and give back at the end those
# that had to be reserved.
reserve_hugepages()
{
	local wanted=$1 free missing before got

	need_root "reserving hugepages"
	lock_hugepages
	[ -w $HUGEPAGES/nr_hugepages ] ||
		die "this machine has no 2 MB hugepages" "$HUGEPAGES must be there and writable"
	free=$(($(cat $HUGEPAGES/free_hugepages) - $(cat $HUGEPAGES/resv_hugepages)))
	missing=$((wanted - free))
	if [ $missing -le 0 ]; then
		unlock_hugepages
		return 0
	fi

	say "reserving $missing hugepages of 2 MB ($wanted are needed, $free are free)"
	before=$(cat $HUGEPAGES/nr_hugepages)
	add_hugepages $missing
	got=$(($(cat $HUGEPAGES/nr_hugepages) - before))
	if [ $got -lt $missing ]; then
		# have the kernel free what the page cache holds, and try again
		sync
		echo 3 >/proc/sys/vm/drop_caches
		echo 1 >/proc/sys/vm/compact_memory
		add_hugepages $((missing - got))
		got=$(($(cat $HUGEPAGES/nr_hugepages) - before))
	fi
	at_exit "lock_hugepages; add_hugepages -$got"
	unlock_hugepages
	[ $got -ge $missing ] ||
		die "the kernel gives $got hugepages of the $missing needed" \
			"free memory: $((missing * 2)) MB, in pieces of 2 MB" \
			"or reserve them at boot: hugepages=$((before + missing)) in the kernel's arguments"
}

# What one script reads and writes no other changes meanwhile.
lock_hugepages()
{
	exec {HUGEPAGES_LOCK}<$HUGEPAGES
	flock "$HUGEPAGES_LOCK"
}

unlock_hugepages()
{
	exec {HUGEPAGES_LOCK}>&-
}

add_hugepages()
{
	echo $(($(cat $HUGEPAGES/nr_hugepages) + $1)) >$HUGEPAGES/nr_hugepages
}

# mount_hugepages: sets HUGE_DIR (for EAL's --huge-dir), a hugetlbfs of this run alone; with it
# vanish the files that EAL leaves there.
mount_hugepages()
{
	make_run_dir
	HUGE_DIR=$RUN_DIR/hugepages
	mkdir "$HUGE_DIR"
	mount -t hugetlbfs -o pagesize=2M,mode=700 copyengine "$HUGE_DIR" ||
		die "cannot mount hugetlbfs" "this needs root's rights to mount, which containers lack"
	at_exit "umount '$HUGE_DIR'"
}
