#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# drivers/into-dpdk.sh on a DPDK source tree: what is in its way is refused and leaves the tree as it
# was, the patch comes out the same for a git checkout and for an unpacked source package, the driver
# builds there without a warning, and DPDK's own checks have nothing to say.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

if [ $# -gt 1 ] || [[ ${1-} == -* ]]; then
	echo "usage: $0 [TREE]"
	echo "Tries drivers/into-dpdk.sh on a copy of the DPDK source tree TREE (git checkout or unpacked"
	echo "source package), by default on the source package of the installed DPDK. Linux' checkpatch.pl,"
	echo "which DPDK's checks call, is left out unless DPDK_CHECKPATCH_PATH names it. CC is honoured."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

need_packages build-essential meson ninja-build pkg-config git unifdef gawk python3-pyelftools \
	python3-sphinx libnuma-dev libdpdk-dev
work=$(mktemp -d)
at_exit "rm -rf '$work'"
git=$work/git # a checkout, with one commit
plain=$work/plain
export GIT_CONFIG_GLOBAL=$work/gitconfig GIT_CONFIG_NOSYSTEM=1
git config --global user.name "Jane Doe"
git config --global user.email jane@example.com
git config --global init.defaultBranch main
patch=0001-dma-cbdma-add-driver-for-Intel-QuickData-Technology.patch

say "unpacking DPDK's source"
if [ -n "${1-}" ]; then
	mkdir "$git"
	tar -C "$1" --exclude-vcs --exclude=./build -c . | tar -C "$git" -x
else
	cd "$work"
	unpack_source "$(source_of libdpdk-dev)" || exit 77
	mv "$work"/dpdk-*/ "$git"
fi
cd "$git"
git init -q
git add -f .
git commit -q -m "DPDK $(cat VERSION)"
mkdir "$plain"
git archive HEAD | tar -C "$plain" -x

say "trees that it does not fit"
cd "$work"
# refused MESSAGE TREE: by its error, which names MESSAGE; nothing is left behind.
refused()
{
	local status=0

	"$TOP/drivers/into-dpdk.sh" "$2" >log 2>&1 || status=$?
	[ "$status" -eq 1 ] || die "status $status instead of: $1" "$(cat log)"
	grep -q "^error: .*$1" log || die "it does not say: $1" "$(cat log)"
	[ ! -e $patch ] || die "a patch is left of: $1"
}

# unchanged: neither tree
unchanged()
{
	[ -z "$(git -C "$git" status --porcelain)" ] || die "the checkout is not as it was"
	diff -r --exclude=.git "$git" "$plain" || die "the unpacked tree is not as it was"
}

mkdir -p empty old/lib/eal
echo 21.11.0 >old/VERSION
touch old/lib/eal/meson.build
refused "there is no" nothing
refused "not a DPDK source tree" empty
refused "too old" old
GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=user.useConfigOnly \
	GIT_CONFIG_VALUE_0=true refused "who you are" "$plain"
sed -i '/^Intel IDXD/d' "$plain/MAINTAINERS"
refused "MAINTAINERS .* no place" "$plain"
cp "$git/MAINTAINERS" "$plain/MAINTAINERS"
echo >>"$git/README"
refused "not committed" "$git"
git -C "$git" checkout -q README
unchanged

say "into an unpacked source package and into a checkout"
"$TOP/drivers/into-dpdk.sh" "$plain"
mv $patch plain.patch
"$TOP/drivers/into-dpdk.sh" "$git"
# the first line and the date are the commit's
diff <(sed '1,/^Date:/d' plain.patch) <(sed '1,/^Date:/d' $patch) || die "two different patches"
rm plain.patch
mv $patch kept.patch
unchanged
refused "already" "$plain"
refused "already" "$git"
mv kept.patch $patch

say "what it is made of"
cd "$git"
cat "$work/$patch"
! grep -n -i -E 'model|vdev|socket=|inject' doc/guides/dmadevs/cbdma.rst ||
	die "the lines above are about what stays behind"
! expand -t 8 drivers/dma/cbdma/*.[ch] | grep -E '.{101}' || die "lines of more than 100 columns"
! grep -n "$(printf '\t')" drivers/dma/cbdma/meson.build || die "tabs in meson.build"

# Its own list of ids is what the driver's is.
/usr/bin/python3 - drivers/dma/cbdma usertools/dpdk-devbind.py <<'END'
import glob, re, sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
loader = SourceFileLoader('devbind', sys.argv[2])
devbind = module_from_spec(spec_from_loader('devbind', loader))
loader.exec_module(devbind)
known = set()
for d in devbind.dma_devices:
    if d['Vendor'] == '8086':
        known |= set(d['Device'].split(','))
ours = set()
for name in glob.glob(sys.argv[1] + '/*.c'):
    ours |= set(re.findall(r'RTE_PCI_DEVICE\(CBDMA_PCI_VENDOR_ID, 0x([0-9a-f]{4})\)', open(name).read()))
assert {'0e20', '2f2f', '6f53', '0b00'} <= ours, ours
assert ours <= known, f'dpdk-devbind.py does not know {ours - known}'
END

say "DPDK's own checks"
# They are written for gawk, which mawk takes for something else.
mkdir "$work/bin"
ln -s "$(command -v gawk)" "$work/bin/awk"
PATH=$work/bin:$PATH
export DPDK_CHECKPATCH_PATH=${DPDK_CHECKPATCH_PATH:-$(type -P true)} DPDK_CHECKPATCH_CODESPELL=no
devtools/checkpatches.sh "$work/$patch"
devtools/check-git-log.sh -n1
devtools/check-meson.py
devtools/check-doc-vs-code.sh HEAD~1
# These look at all of DPDK.
for check in check-spdx-tag.sh check-dup-includes.sh check-maintainers.sh; do
	devtools/$check >"$work/log" 2>&1 || true
	! grep cbdma "$work/log" || die "devtools/$check has something to say"
done

say "its guide"
mkdir "$work/guide"
cp doc/guides/dmadevs/cbdma.rst "$work/guide"
run sphinx-build -q -W -C -D master_doc=cbdma "$work/guide" "$work/html"

say "building it there"
run meson setup build -Dwerror=true -Dplatform=generic -Dtests=false -Denable_docs=false \
	-Denable_drivers=bus/pci,bus/vdev,mempool/ring,dma/cbdma,dma/skeleton >"$work/log" 2>&1 ||
	die "meson setup fails" "$(tail "$work/log")"
run ninja -C build "drivers/librte_dma_cbdma.so.$(cat ABI_VERSION)" >"$work/log" 2>&1 ||
	die "it does not build" "$(tail -n 40 "$work/log")"
! grep -i 'warning:' "$work/log" || die "it does not build without warnings"
/usr/bin/python3 usertools/dpdk-pmdinfo.py build/drivers/librte_dma_cbdma.so >"$work/log"
grep -q '"0e20"\|8086:0e20' "$work/log" || die "its plugin does not list 0e20" "$(cat "$work/log")"
