#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds packages from this tree: Debian's, for the release that it runs on, or RPMs.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/test/setup.sh"

kind=deb
if [ "${1-}" = --rpm ]; then
	kind=rpm
	shift
fi
if [[ ${1-} == -* ]] || [ $# -gt 1 ]; then
	echo "usage: $0 [--rpm] [DIR]"
	echo "Installs what is missing, builds the packages for this release of Debian or Ubuntu, has"
	echo "lintian look at them, and puts them into DIR (default: build/packages). With --rpm: RPMs"
	echo "for this machine's DPDK (default: build/rpms)."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
own=$TOP/build/$([ $kind = deb ] && echo packages || echo rpms)
dir=$(realpath -m "${1:-$own}")
mkdir -p "$dir"

need_packages build-essential meson pkg-config libdpdk-dev libpcap-dev libseccomp-dev \
	python3-pyelftools python3-sphinx
if [ $kind = deb ]; then
	need_packages debhelper lintian
else
	need_packages rpm
fi
DRIVER_SDK=${DRIVER_SDK-$("$TOP/drivers/driver-sdk.sh" | tail -n 1)}
export DRIVER_SDK

# Both leave files in the tree and above it: it gets a tree of its own.
work=$(mktemp -d)
at_exit "rm -rf '$work'"
mkdir "$work/copyengine"
find "$TOP" -mindepth 1 -maxdepth 1 ! -name 'build*' ! -name '.*' \
	-exec cp -a {} "$work/copyengine/" \;
cd "$work/copyengine"
say "building the packages"
if [ $kind = deb ]; then
	set -- dpkg-buildpackage -b -us -uc
else
	# What it needs is there as Debian's packages.
	set -- rpmbuild -bb --build-in-place --nodeps --define "driver_sdk $DRIVER_SDK" \
		--define "_topdir $work" --define "_rpmdir $work" --define "_rpmfilename %%{NAME}.rpm" \
		rpm/copyengine.spec
fi
run "$@" >"$work/log" 2>&1 || {
	tail -n 30 "$work/log" >&2
	die "$1 failed" "see the lines above"
}
if [ $kind = deb ]; then
	say "lintian"
	run lintian --allow-root --fail-on error,warning "$work"/*.changes ||
		die "lintian is not content" "see the lines above"
fi
# Old packages go, but from nobody else's folder.
[ "$dir" != "$(realpath "$own")" ] || rm -f "$dir"/*."$kind"
cp "$work"/*."$kind" "$dir"
ls "$dir"
