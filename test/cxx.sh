#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs a build in a folder of its own and includes each public header in C++, by itself, with g++
# and clang++; then links a C++ program with a function of each header that declares any.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
	echo "usage: $0 BUILD"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

root=$(mktemp -d)
at_exit "rm -rf '$root'"
DESTDIR=$root meson install -C "$1" --no-rebuild >"$root/log" 2>&1 || {
	cat "$root/log" >&2
	die "meson install fails"
}
include=$(dirname "$(find "$root" -name copyengine.h)")
lib=$(dirname "$(find "$root" -name libcopyengine.so)")
# Warnings of DPDK's own headers are DPDK's.
read -ra flags <<<"$(pkg-config --cflags libdpdk | sed 's/-I */-isystem /g') -DALLOW_EXPERIMENTAL_API"
read -ra libs <<<"$(pkg-config --libs libdpdk)"

for compiler in g++ clang++; do
	say "$compiler"
	find "$include" -name '*.h' | sort | while read -r header; do
		echo "#include <${header##*/}>"
	done >"$root/all.cc"
	while read -r line; do
		echo "$line" >"$root/one.cc"
		for standard in c++11 c++20; do
			$compiler -std=$standard -Wall -Wextra -Werror -fsyntax-only "${flags[@]}" \
				-I "$include" -I "$include/devmodel" "$root/one.cc" ||
				die "$line does not compile as $standard"
		done
	done <"$root/all.cc"
	wc -l <"$root/all.cc" | sed 's/$/ headers/'

	# What a library exports and a header declares must have the name in C++ that it has in C.
	{
		cat "$root/all.cc"
		echo 'int main() { const void *functions[] = {'
		for so in "$lib"/lib*.so; do
			nm -D --defined-only "$so" | awk '$2 == "T" { print $3 }' | while read -r name; do
				! grep -rq "\b$name(" "$include" || echo "(const void *)&$name,"
			done
		done
		echo '}; return functions[0] == nullptr; }'
	} >"$root/link.cc"
	[ "$(grep -c '&' "$root/link.cc")" -gt 20 ] || die "no functions found in the libraries"
	$compiler -Wall -Wextra -Werror "${flags[@]}" -I "$include" -I "$include/devmodel" \
		"$root/link.cc" -o "$root/link" "$lib"/lib*.so "${libs[@]}" ||
		die "a C++ program does not link"
	grep -c '&' "$root/link.cc" | sed 's/$/ functions/'
done
