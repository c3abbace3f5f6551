#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Obtains DPDK's driver SDK headers: what an out-of-tree driver includes and distributions leave
# out of libdpdk-dev. They come from the source package of the very version that is installed.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../test/setup.sh"

case "${1-}" in
-*)
	echo "usage: $0 [DIR]"
	echo "Puts the driver SDK headers of the installed DPDK into DIR (default:"
	echo "build/driver-sdk-VERSION in this tree) and prints DIR on its last line,"
	echo "so: meson setup BUILD -Ddriver_sdk=DIR"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
	;;
esac

# bus_driver.h is included by dev_driver.h's users from DPDK 26.x on.
HEADERS="rte_dmadev_pmd.h bus_pci_driver.h bus_vdev_driver.h dev_driver.h bus_driver.h"

need_packages build-essential pkg-config libdpdk-dev

version=$(pkg-config --modversion libdpdk)
dir=$(realpath -m "${1:-$TOP/build/driver-sdk-$version}")

# headers_compile [-I DIR]: whether the headers can be used, with the installed public ones.
headers_compile()
{
	local header

	# pkg-config prints a list of words
	# shellcheck disable=SC2046
	for header in $HEADERS; do
		echo "#include <$header>"
	done | gcc $(pkg-config --cflags libdpdk) -DALLOW_INTERNAL_API "$@" -fsyntax-only -xc -
}

if headers_compile 2>/dev/null; then
	say "DPDK $version is installed with its driver SDK headers: nothing to obtain"
	pkg-config --variable=includedir libdpdk
	exit
fi

source=$(source_of libdpdk-dev)
dpkg-query -S "$(pkg-config --variable=pcfiledir libdpdk)/libdpdk.pc" >/dev/null 2>&1 ||
	die "DPDK $version was not installed from a package and lacks its driver SDK headers" \
		"build it with -Denable_driver_sdk=true, or set PKG_CONFIG_PATH to another one"

if [ "$(cat "$dir/VERSION" 2>/dev/null)" = "$source" ] && headers_compile -I "$dir" 2>/dev/null; then
	say "driver SDK headers of $source are there already"
	echo "$dir"
	exit
fi

work=$(mktemp -d)
at_exit "rm -rf '$work'"
cd "$work"
unpack_source "$source" || die "no source package $source, see above" \
	"if there is a newer one: apt-get install --only-upgrade libdpdk-dev" \
	"else give the headers of a DPDK $version tree: meson setup ... -Ddriver_sdk=DIR"

mkdir headers
for header in $HEADERS; do
	find . -path ./headers -prune -o -path "*/$header" -type f -exec cp {} headers \;
	[ -e "headers/$header" ] || die "$source has no $header"
done
echo "$source" >headers/VERSION
headers_compile -I headers || die "the headers of $source do not compile"

mkdir -p "$(dirname "$dir")"
rm -rf "$dir"
mv headers "$dir"
say "driver SDK headers of $source are ready"
echo "$dir"
