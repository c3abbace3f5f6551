#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Instructions for a copy of 64 bytes by the engine with lib/copyengine, the driver's included, counted
# by callgrind. Fails when there are more than the limits.

set -euo pipefail
# shellcheck source=test/bench/callgrind.sh
. "$(dirname "$0")/callgrind.sh"

if [ $# -ne 1 ] || [ ! -x "$1" ]; then
	echo "usage: $0 BUILD/test/bench/ce-instructions" >&2
	exit 1
fi
run_callgrind "$1"

# Each dump names what it is of: KIND/PHASE/OPERATIONS.
awk '
/^desc: Trigger: Client Request: / {
	split($NF, name, "/")
	ops[name[1]] = name[3]
}
/^(totals|summary): / && name[1] != "" { count[name[1], name[2]] = $2 }
END {
	limit["single"] = 110; limit["batch"] = 80
	n = split("single batch doorbell alone", kinds, " ")
	for (i = 1; i <= n; i++) {
		k = kinds[i]
		total = (count[k, "copy"] - count[k, "nothing"]) / ops[k]
		printf "%-10s %6.1f instructions%s\n", k ":", total,
			k in limit ? ", at most " limit[k] : ""
		failed += total <= 0 || (k in limit && total > limit[k])
	}
	exit failed > 0
}' "$dir"/out.*
