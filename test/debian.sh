#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs a command in a root of another Debian with the project built in it: Debian 12's DPDK is
# 22.11, Debian 13's 24.11, with dpdk-test-dma-perf, sid's 25.11 or later. A root is made once, in
# .debian13/ or .debiansid/.
#
# All mounts are in a mount namespace and all processes in a PID namespace of their own, which end
# with this script, so nothing is left mounted or running, whatever ends it.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

case ${1-} in
trixie) RELEASE=13 ;;
sid) RELEASE=sid ;;
*) RELEASE= ;;
esac
if [ $# -lt 2 ] || [ -z $RELEASE ]; then
	echo "usage: $0 trixie|sid COMMAND [ARGUMENT]..."
	echo "Runs COMMAND in a root of Debian 13 or Debian sid, in the project's folder, with the"
	echo "project built in build/debian13 or build/debiansid and 128 hugepages of 2 MB free. To make"
	echo "the root anew: rm -rf .debian13. Exits with 77 where the mirror has no sid that can be"
	echo "installed, or none that the project can be built with."
	echo "DEBIAN_MIRROR=URL: take Debian from there, not from the machine's own mirror."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
suite=$1
shift

PACKAGES="build-essential clang meson ninja-build pkg-config libdpdk-dev dpdk-dev dpdk
	libnuma-dev libseccomp-dev libcmocka-dev python3-pyelftools"
DIR=$TOP/.debian$RELEASE
ROOT=$DIR/root
BUILD=build/debian$RELEASE
SDK=build/driver-sdk-debian$RELEASE
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

# cannot_make MESSAGE [WHAT TO DO]...: sid changes every day, and on some it cannot be installed.
cannot_make()
{
	[ "$suite" = sid ] || die "$@"
	printf '%s\n' "${@:2}" "no Debian sid: $1" | tee "$DIR/cannot"
	exit 77
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
	say "installing ${missing[*]} in the Debian $RELEASE root"
	isolated "$root" sh -c 'export DEBIAN_FRONTEND=noninteractive; apt-get -q update &&
		apt-get -q -y install --no-install-recommends "$@"' sh "${missing[@]}" \
		>"$log" 2>&1 || {
		tail -n 5 "$log" >&2
		cannot_make "its packages cannot be installed" "see $log"
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

	say "making a Debian $RELEASE root in ${DIR##*/} from $mirror (half a minute)"
	isolated / debootstrap --variant=minbase "$suite" "$new" "$mirror" >"$log" 2>&1 || {
		tail -n 5 "$log" >&2
		cannot_make "debootstrap failed" "see $log" \
			"if $mirror has no $suite, name one that has: DEBIAN_MIRROR=URL $0 ..."
	}
	apt-config dump | grep -i '^Acquire::\(https\?\|Check-\)' \
		>"$new/etc/apt/apt.conf.d/host" || true
	echo force-unsafe-io >"$new/etc/dpkg/dpkg.cfg.d/fast"

	install_packages "$new"
	mv "$new" "$ROOT"
}

# Up to 25.11, headers describe the same layouts as 22.11's, but for operations that only drivers
# have that say so in their capabilities. 25.11 moved macros from public headers to the driver SDK's.
get_driver_sdk()
{
	local log=$DIR/driver-sdk.log version sdk=$TOP/$SDK

	inside drivers/driver-sdk.sh $SDK >"$log" 2>&1 && return

	version=$(sed -n 's/^Version: //p' "$ROOT"/usr/lib/*/pkgconfig/libdpdk.pc)
	case $version in
	23.11* | 24.11* | 25.11*) ;;
	*)
		tail -n 5 "$log" >&2
		cannot_make "no driver SDK headers for DPDK $version" "see $log"
		;;
	esac
	say "$(sed -n 's/^error: //p' "$log"): taking the headers of the host's DPDK 22.11, which fit"
	rm -rf "${sdk:?}"
	run "$TOP/drivers/driver-sdk.sh" "$sdk" ||
		die "no driver SDK headers for DPDK $version" "see the lines above"
	grep -q =22.11 "$sdk/VERSION" ||
		cannot_make "the host's DPDK is not 22.11, its driver SDK headers do not fit DPDK $version"
	grep -q RTE_PMD_EXPORT_NAME "$ROOT/usr/include/dpdk/rte_dev.h" ||
		sed -n '/^#define RTE_PMD_EXPORT_NAME_ARRAY/,/^#define RTE_PMD_REGISTER_KMOD_DEP/p
			/^#define RTE_PMD_REGISTER_KMOD_DEP/{n;p;n;p}' \
			"$(pkg-config --variable=includedir libdpdk)/rte_dev.h" >>"$sdk/dev_driver.h"
}

build()
{
	local log=$DIR/build.log

	if [ ! -e "$TOP/$BUILD/build.ninja" ]; then
		say "configuring the build with the DPDK of Debian $RELEASE"
		get_driver_sdk
		rm -rf "${TOP:?}/$BUILD"
		inside meson setup "$BUILD" "-Ddriver_sdk=/copyengine/$SDK" >"$log" 2>&1 || {
			tail -n 20 "$log" >&2
			die "meson setup failed in the Debian $RELEASE root" "see $log"
		}
	fi
	say "building with the DPDK of Debian $RELEASE in $BUILD"
	inside ninja -C "$BUILD" >"$log" 2>&1 || {
		tail -n 30 "$log" >&2
		die "the build failed in the Debian $RELEASE root" "see $log"
	}
}

need_root "making and entering a Debian root"
mkdir -p "$DIR"
exec 9>"$DIR/lock"
flock -n 9 || {
	say "waiting for another $0"
	run flock 9
}
# What could not be done is not tried again in the next hour.
if [ -n "$(find "$DIR/cannot" -mmin -60 2>/dev/null)" ]; then
	cat "$DIR/cannot"
	exit 77
fi
rm -f "$DIR/cannot"
if [ ! -d "$ROOT" ]; then
	need_packages debootstrap
	make_root
fi
install_packages "$ROOT"
build
exec 9>&-

reserve_hugepages 128
inside "$@"
