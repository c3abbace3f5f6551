#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds Debian packages from this tree, for the release that it runs on.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/test/setup.sh"

if [[ ${1-} == -* ]] || [ $# -gt 1 ]; then
	echo "usage: $0 [DIR]"
	echo "Installs what is missing, builds the packages for this release of Debian or Ubuntu, has"
	echo "lintian look at them, and puts them into DIR (default: build/packages)."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
dir=$(realpath -m "${1:-$TOP/build/packages}")

need_packages build-essential debhelper meson pkg-config libdpdk-dev libpcap-dev libseccomp-dev \
	python3-pyelftools python3-sphinx lintian
DRIVER_SDK=${DRIVER_SDK-$("$TOP/drivers/driver-sdk.sh" | tail -n 1)}
export DRIVER_SDK

# dpkg-buildpackage leaves files in the tree and above it: it gets a tree of its own.
work=$(mktemp -d)
at_exit "rm -rf '$work'"
mkdir "$work/copyengine"
find "$TOP" -mindepth 1 -maxdepth 1 ! -name 'build*' ! -name '.*' \
	-exec cp -a {} "$work/copyengine/" \;
cd "$work/copyengine"
say "building the packages"
run dpkg-buildpackage -b -us -uc >"$work/log" 2>&1 || {
	tail -n 30 "$work/log" >&2
	die "dpkg-buildpackage failed" "see the lines above"
}
say "lintian"
run lintian --allow-root --fail-on error,warning "$work"/*.changes ||
	die "lintian is not content" "see the lines above"
rm -rf "$dir"
mkdir -p "$dir"
cp "$work"/*.deb "$dir"
ls "$dir"
