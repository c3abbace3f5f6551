#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Instructions that the driver takes for an operation of 64 bytes: enqueue, a submit and a poll for
# each 32, or for each. Counted by callgrind, so the figures are the same on each run and on a busy
# machine.

set -euo pipefail
# shellcheck source=test/bench/callgrind.sh
. "$(dirname "$0")/callgrind.sh"

if [ $# -ne 1 ] || [ ! -x "$1" ]; then
	echo "usage: $0 BUILD/test/bench/driver_bench"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
run_callgrind "$1"

# Each dump names what it is of: KIND/PHASE/OPERATIONS.
awk '
BEGIN { limit["copy-32"] = 47; limit["fill-32"] = 45; limit["copy_sg-32"] = 230 }
/^desc: Trigger: Client Request: / {
	split($NF, name, "/")
	count[name[1], name[2]] = 0
	ops[name[1]] = name[3]
}
/^(totals|summary): / && name[1] != "" { count[name[1], name[2]] = $2 }
END {
	n = split("copy-32 fill-32 copy_sg-32 copy-1 fill-1 copy_sg-1", kinds, " ")
	for (i = 1; i <= n; i++) {
		k = kinds[i]
		split(k, part, "-")
		base = count[k, "nothing"]
		e = (count[k, "enqueue"] - base) / ops[k]
		s = (count[k, "submit"] - base) / ops[k]
		p = (count[k, "poll"] - base) / ops[k]
		printf "%-13s burst of %2d: enqueue %.1f submit %.1f poll %.1f total %.1f" \
			" instructions/op\n", part[1] == "copy_sg" ? "copy_sg 4x1" : part[1],
			part[2], e, s, p, e + s + p
		if (k in limit && e + s + p > limit[k]) {
			printf "more than %d\n", limit[k]
			failed = 1
		}
	}
	exit failed
}' "$dir"/out.*
