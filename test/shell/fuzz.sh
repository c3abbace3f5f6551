#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# fuzz.sh BUILD [--lines N] [--seed N]: random command lines under ASan and UBSan.

set -euo pipefail
# shellcheck source=test/shell/lib.sh
. "$(dirname "$0")/lib.sh"
shift

devices=(--vdev=dma_skeleton0)
[ "$HAVE_CBDMA" -eq 0 ] || devices+=(--vdev=dma_cbdma0)
run "$BUILD/test/shell/dma-shell-fuzz" "${EAL[@]}" "${devices[@]}" -- "$@"
