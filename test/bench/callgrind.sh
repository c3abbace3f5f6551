# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the scripts share that count instructions with callgrind. To be sourced, not run.

# run_callgrind PROGRAM: runs it, without hugepages; what is counted is in "$dir"/out.* then.
run_callgrind()
{
	command -v valgrind >/dev/null || {
		echo "error: no valgrind: install the package of that name" >&2
		exit 77
	}
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	RUNTIME_DIRECTORY=$dir valgrind --tool=callgrind --collect-atstart=no \
		--callgrind-out-file="$dir/out" "$1" \
		--no-huge -m 64 --no-shconf --no-pci --no-telemetry --lcores=0 >"$dir/log" 2>&1 || {
		cat "$dir/log" >&2
		exit 1
	}
}
