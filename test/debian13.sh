#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs a command in a Debian 13 root with the project built in it. Debian 12's DPDK is 22.11;
# Debian 13's is 24.11 and has dpdk-test-dma-perf. The root is made once, in .debian13/.
#
# All mounts are in a mount namespace and all processes in a PID namespace of their own, which end
# with this script, so nothing is left mounted or running, whatever ends it.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

if [ $# -eq 0 ] || [[ $1 == -* ]]; then
	echo "usage: $0 COMMAND [ARGUMENT]..."
	echo "Runs COMMAND in a Debian 13 root, in the project's folder, with the project built"
	echo "in build/debian13 and 128 hugepages of 2 MB free. To make the root anew: rm -rf .debian13"
	echo "DEBIAN_MIRROR=URL: take Debian 13 from there, not from the machine's own mirror."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

PACKAGES="build-essential clang meson ninja-build pkg-config libdpdk-dev dpdk-dev dpdk
	libnuma-dev libseccomp-dev libcmocka-dev python3-pyelftools"
DIR=$TOP/.debian13
ROOT=$DIR/root
BUILD=build/debian13
SDK=build/driver-sdk-debian13
STOP_SIGNAL=KILL # unshare blocks the others; its child dies with it

# in_namespace TOP ROOT COMMAND...: called in the namespaces. COMMAND must not be PID 1, for which
# signals have no default action.
# shellcheck disable=SC2317 # called by a new shell
in_namespace()
{
	local top=$1 root=$2
	shift 2

	if [ "$root" != / ]; then
		mount -t proc proc "$root/proc"
		mount --bind /sys "$root/sys"
		mount --bind /dev "$root/dev"
		[ ! -d /dev/pts ] || mount --bind /dev/pts "$root/dev/pts"
		[ ! -d /dev/shm ] || mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
		mount -t tmpfs -o mode=755 tmpfs "$root/run"
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
		mkdir -p "$root/copyengine"
		mount --bind "$top" "$root/copyengine"
	fi
	chroot "$root" "$@"
	exit
}

isolated()
{
	run unshare --mount --pid --fork --kill-child=KILL --mount-proc \
		bash -euc "$(declare -f in_namespace); in_namespace \"\$@\"" bash "$TOP" "$@"
}

inside()
{
	isolated "$ROOT" env --chdir=/copyengine HOME=/root "$@"
}

debian_mirror()
{
	local mirror

	mirror=$(apt-get indextargets --format "\$(REPO_URI) \$(RELEASE)" \
		'Created-By: Packages' 'Origin: Debian' | awk '$2 !~ /-/ { print $1; exit }')
	mirror=${DEBIAN_MIRROR:-$mirror}
	[ -n "$mirror" ] || die "apt's configuration names no Debian mirror" \
		"name one: DEBIAN_MIRROR=URL $0 ..."
	echo "$mirror"
}

# A root of an earlier day may lack what is needed today.
install_packages()
{
	local root=$1 log=$DIR/debootstrap.log package missing=()

	for package in $PACKAGES; do
		[ -e "$root/var/lib/dpkg/info/$package.list" ] ||
			compgen -G "$root/var/lib/dpkg/info/$package:*.list" >/dev/null ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]} in the Debian 13 root"
	isolated "$root" sh -c 'export DEBIAN_FRONTEND=noninteractive; apt-get -q update &&
		apt-get -q -y install --no-install-recommends "$@"' sh "${missing[@]}" \
		>"$log" 2>&1 || {
		tail -n 5 "$log" >&2
		die "cannot install packages in the Debian 13 root" "see $log"
	}
	rm -f "$root"/var/cache/apt/archives/*.deb
}

# A root that is there is complete: it gets its name last.
make_root()
{
	local new=$DIR/new log=$DIR/debootstrap.log mirror

	mirror=$(debian_mirror)
	rm -rf --one-file-system "$new" "${TOP:?}/$BUILD"
	mkdir -p "$new"

	say "making a Debian 13 root in .debian13 from $mirror (half a minute)"
	isolated / debootstrap --variant=minbase trixie "$new" "$mirror" >"$log" 2>&1 || {
		tail -n 5 "$log" >&2
		die "debootstrap failed" "see $log" \
			"if $mirror has no trixie, name one that has: DEBIAN_MIRROR=URL $0 ..."
	}
	apt-config dump | grep -i '^Acquire::\(https\?\|Check-\)' \
		>"$new/etc/apt/apt.conf.d/host" || true
	echo force-unsafe-io >"$new/etc/dpkg/dpkg.cfg.d/fast"

	install_packages "$new"
	mv "$new" "$ROOT"
}

# 23.11's and 24.11's headers describe the same layouts as 22.11's; later ones do not.
get_driver_sdk()
{
	local log=$DIR/driver-sdk.log version

	inside drivers/driver-sdk.sh $SDK >"$log" 2>&1 && return

	version=$(sed -n 's/^Version: //p' "$ROOT"/usr/lib/*/pkgconfig/libdpdk.pc)
	case $version in
	23.11* | 24.11*) ;;
	*)
		tail -n 5 "$log" >&2
		die "no driver SDK headers for DPDK $version" "see $log"
		;;
	esac
	say "$(sed -n 's/^error: //p' "$log"): taking the headers of the host's DPDK 22.11, which fit"
	run "$TOP/drivers/driver-sdk.sh" "$TOP/$SDK" ||
		die "no driver SDK headers for DPDK $version" "see the lines above"
	grep -q =22.11 "$TOP/$SDK/VERSION" ||
		die "the host's DPDK is not 22.11, its driver SDK headers do not fit DPDK $version"
}

build()
{
	local log=$DIR/build.log

	if [ ! -e "$TOP/$BUILD/build.ninja" ]; then
		say "configuring the build with Debian 13's DPDK"
		get_driver_sdk
		rm -rf "${TOP:?}/$BUILD"
		inside meson setup "$BUILD" "-Ddriver_sdk=/copyengine/$SDK" >"$log" 2>&1 || {
			tail -n 20 "$log" >&2
			die "meson setup failed in the Debian 13 root" "see $log"
		}
	fi
	say "building with Debian 13's DPDK in $BUILD"
	inside ninja -C "$BUILD" >"$log" 2>&1 || {
		tail -n 30 "$log" >&2
		die "the build failed in the Debian 13 root" "see $log"
	}
}

need_root "making and entering a Debian 13 root"
mkdir -p "$DIR"
exec 9>"$DIR/lock"
flock -n 9 || {
	say "waiting for another $0"
	run flock 9
}
if [ ! -d "$ROOT" ]; then
	need_packages debootstrap
	make_root
fi
install_packages "$ROOT"
build
exec 9>&-

reserve_hugepages 128
inside "$@"
