# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the scripts of this folder share. To be sourced, behind test/setup.sh.

# build_example NAME [ARGUMENT OF GCC]...: sets EXAMPLE, the program examples/NAME of the DPDK that is
# installed. Its source is in the package with the guides, which is downloaded but not installed.
build_example()
{
	local name=$1 version dir=$TOP/build/dpdk-examples/$1 flags
	shift

	version=$(dpkg-query -W -f '${Version}' libdpdk-dev)
	EXAMPLE=$dir/$version/$name
	[ ! -x "$EXAMPLE" ] || return 0
	rm -rf "${dir:?}/$version"
	mkdir -p "$dir/$version"
	say "building DPDK's examples/$name"
	(cd "$dir/$version" && run apt-get -qq -o "APT::Sandbox::User=$(id -un)" download \
		"dpdk-doc=$version") ||
		cannot_run "dpdk-doc $version, which has the source of examples/$name, cannot be downloaded"
	dpkg-deb --fsys-tarfile "$dir/$version"/*.deb | tar -x -C "$dir/$version" \
		--strip-components=6 "./usr/share/dpdk/examples/$name"
	rm "$dir/$version"/*.deb
	read -ra flags <<<"$(pkg-config --cflags --libs libdpdk)"
	run gcc -O3 -DALLOW_EXPERIMENTAL_API -o "$EXAMPLE" "$dir/$version"/*.c "$@" "${flags[@]}" ||
		die "examples/$name of DPDK $version does not compile"
}
