#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Scripts that reserve hugepages at the same time leave as many as they found. The pages are a folder
# of this test.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

if [ "${1-}" = reserve ]; then
	HUGEPAGES=$2
	reserve_hugepages 5 >/dev/null
	exit
fi

DIR=$(mktemp -d)
at_exit "rm -rf '$DIR'"
echo 7 >"$DIR/nr_hugepages"
echo 0 >"$DIR/free_hugepages"
echo 0 >"$DIR/resv_hugepages"
for ((i = 0; i < 2; i++)); do
	for ((j = 0; j < 50; j++)); do
		"$0" reserve "$DIR"
	done &
done
wait
[ "$(cat "$DIR/nr_hugepages")" -eq 7 ] || die "$(cat "$DIR/nr_hugepages") pages are left of 7"
