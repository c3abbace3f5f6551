# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests of dma-shell share. To be sourced, with BUILD (meson's build folder) as the first
# argument of the test.

# shellcheck disable=SC2034 # for those who source this

# shellcheck source=test/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

BUILD=$1
SHELL_DIR=$TOP/test/shell
DMA_SHELL=$BUILD/app/dma-shell/dma-shell

[ "$(id -u)" -eq 0 ] || cannot_run "not root: DPDK's runtime files have no place"
[ "$(nproc)" -ge 2 ] || cannot_run "one CPU: the shell and its workers need two"

make_run_dir
# Memory of the process will do: nothing here depends on hugepages.
EAL=(--no-huge -m 128 --no-pci --log-level=3 -l '0,1' "--file-prefix=shell$$")
HAVE_CBDMA=${WITH_MODEL-1}

need_cbdma()
{
	[ "$HAVE_CBDMA" -eq 1 ] || cannot_run "built without the model: there is no dma_cbdma"
}

fail()
{
	echo "FAILED: $*"
	exit 1
}

# expect_output PATTERN TEXT
expect_output()
{
	grep -qE -- "$1" <<<"$2" || fail "no '$1' in: $2"
}
