#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# script.sh BUILD SCRIPT DEVICE: a tutorial of config/shell runs to its end on a device.

set -euo pipefail
# shellcheck source=test/shell/lib.sh
. "$(dirname "$0")/lib.sh"

script=$TOP/config/shell/$2.dma
[ "$3" != dma_cbdma ] || need_cbdma
[ "$3" = none ] || EAL+=("--vdev=${3}0")

cd "$RUN_DIR" # one of them writes a file

if [ "$2" = segments ]; then
	# dma_skeleton of DPDK 22.11 can only copy
	"$DMA_SHELL" "${EAL[@]}" -- -c "show device 0 info" | grep -q copy-sg ||
		cannot_run "$3 of this DPDK has no segment lists"
fi
# The gate in "compare" rightly fails where something else takes the CPUs in one of its measurements.
tries=1
[ "$2" != compare ] || tries=10
# run_script OPTION...: says what the script does
run_script()
{
	local i

	for ((i = 1; i <= tries; i++)); do
		! "$DMA_SHELL" "${EAL[@]}" -- "$@" --cmdline-file "$script" >"$RUN_DIR/out" ||
			return 0
		cat "$RUN_DIR/out"
		grep -q slower "$RUN_DIR/out" || break
	done
	fail "$script"
}
run_script
cat "$RUN_DIR/out"
echo "---- the same, as JSON"
run_script --json
mv "$RUN_DIR/out" "$RUN_DIR/out.json"
cat "$RUN_DIR/out.json"
/usr/bin/python3 -c '
import json, sys
n = 0
for line in open(sys.argv[1]):
    result = json.loads(line)
    assert isinstance(result, dict), line
    assert "result" in result or "expected_error" in result, line
    n += 1
assert n > 0, "no results"' "$RUN_DIR/out.json"
