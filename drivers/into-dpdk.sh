#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Puts the PCI driver into a DPDK source tree, as one patch in the form that DPDK takes: the sources
# that drivers/dma/cbdma/meson.build lists without the model, the guide, and an entry wherever DPDK
# lists its drivers. What depends on DPDK's release is decided for the tree's.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/../test/setup.sh"

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
	echo "usage: $0 TREE"
	echo "Adds the driver dma_cbdma, without the model, to the DPDK source tree TREE (22.11 or later):"
	echo "writes the patch to the current directory and applies it, as a commit if TREE is a git"
	echo "checkout. You are its author and the driver's maintainer, as git knows you (user.name,"
	echo "user.email). If anything is in the way, TREE stays as it is."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi

OURS=$TOP/drivers/dma/cbdma

for tool in git unifdef; do
	command -v $tool >/dev/null || die "no $tool here" "install it: apt-get install $tool"
done
tree=$(realpath -e "$1" 2>/dev/null) || die "there is no $1"
for file in VERSION lib/eal/meson.build; do
	[ -e "$tree/$file" ] || die "$1 is not a DPDK source tree: it has no $file"
done
version=$(cat "$tree/VERSION")
[[ $version =~ ^([0-9]+)\.([0-9]+)\.([0-9]+)(-rc([0-9]+))?$ ]] ||
	die "$1/VERSION is not a DPDK version: $version"
year=${BASH_REMATCH[1]}
month=${BASH_REMATCH[2]}
# As RTE_VERSION_NUM() counts; a release is 16, above its candidates.
release=$((year << 24 | 10#$month << 16 | BASH_REMATCH[3] << 8 | ${BASH_REMATCH[5]:-16}))
[ $release -ge $((22 << 24 | 11 << 16)) ] ||
	die "DPDK $version is too old" "the driver needs 22.11 or later"
[ ! -e "$tree/drivers/dma/cbdma" ] ||
	die "$1 has the driver already" "remove drivers/dma/cbdma and its entries there first"

# A source package may be unpacked below some other checkout.
GIT_CEILING_DIRECTORIES=$(dirname "$tree")
export GIT_CEILING_DIRECTORIES
is_git=
! git -C "$tree" rev-parse --git-dir >/dev/null 2>&1 || is_git=1
author=$(git -C "$tree" var GIT_AUTHOR_IDENT 2>/dev/null | sed 's/ [0-9]* [-+0-9]*$//' || true)
[ -n "$author" ] || die "git does not know who you are, and the patch is to be signed off" \
	"git config --global user.name 'Your Name'" "git config --global user.email you@example.com"

# --- What the driver consists of

# The first list of sources, which does not have the model's.
sources()
{
	awk -v RS="'" '
	on && /\)/ { exit }
	/sources = files\([ \t\n]*$/ { on = 1 }
	on && /\.c$/' "$OURS/meson.build"
}

# closure FILE...: and the headers of ours that they include.
closure()
{
	local found=("$@") i header

	for ((i = 0; i < ${#found[@]}; i++)); do
		while read -r header; do
			[[ " ${found[*]} " == *" $header "* ]] || found+=("$header")
		done < <(sed -n 's/^#include "\(.*\)"$/\1/p' "$OURS/${found[i]}")
	done
	printf '%s\n' "${found[@]}"
}

# resolve FILE: decide every #if about the release, by its number and by the CBDMA_HAS_... that follow
# from it (cbdma_compat.h).
resolve()
{
	number_releases <"$OURS/$1" | drop_has |
		decide "-DRTE_VERSION=$release" "${HAS[@]}" >"$2/$1" || die "unifdef fails on $1"
	! grep -H -n 'RTE_VERSION\|CBDMA_HAS_' "$2/$1" | grep -v rte_version.h ||
		die "the lines above depend on DPDK's release in a way that $0 does not understand"
}

# unifdef says 1 when it had something to do.
decide()
{
	unifdef "$@" || [ $? -eq 1 ]
}

number_releases()
{
	awk '{
		while (match($0, /RTE_VERSION_NUM\([0-9, ]*\)/)) {
			split(substr($0, RSTART + 16, RLENGTH - 17), n, /, */)
			$0 = substr($0, 1, RSTART - 1) (n[1] * 2^24 + n[2] * 2^16 + n[3] * 2^8 + n[4]) \
				substr($0, RSTART + RLENGTH)
		}
		print
	}'
}

# Without the definitions, and what is said of them in the line above.
drop_has()
{
	awk '
	/^#define CBDMA_HAS_/ { if (before !~ /^\/\*/) print before; before = ""; next }
	NR > 1 { print before }
	{ before = $0 }
	END { print before }' | cat -s
}

HAS=()
find_has()
{
	local name condition value

	while read -r _ name condition; do
		value=$(printf '#if %s\n1\n#else\n0\n#endif\n' "$condition" |
			decide "-DRTE_VERSION=$release")
		HAS+=("-D$name=$value")
	done < <(number_releases <"$OURS/cbdma_compat.h" | grep '^#define CBDMA_HAS_')
}

# A compatibility header with nothing left but includes stays out, and those go where it was included.
drop_compat()
{
	local dir=$1 file includes

	[ "$(grep -c '^#[ \t]*define' "$dir/cbdma_compat.h")" -eq 1 ] || return 0
	includes=$(grep '^#include' "$dir/cbdma_compat.h" | grep -v rte_version.h || true)
	rm "$dir/cbdma_compat.h"
	for file in "$dir"/*.[ch]; do
		awk -v includes="$includes" '
		FNR == NR && /^#include "cbdma_compat.h"/ { ours = 1 }
		FNR == NR && /^#include </ { last = FNR }
		FNR == NR { seen[$0] = 1; next }
		/^#include "cbdma_compat.h"/ { next }
		{ print }
		FNR == last && ours {
			n = split(includes, include, "\n")
			for (i = 1; i <= n; i++)
				if (!(include[i] in seen))
					print include[i]
		}' "$file" "$file" >"$work/file"
		cat "$work/file" >"$file"
	done
}

driver_meson_build()
{
	cat <<-END
		# SPDX-License-Identifier: BSD-3-Clause
		# $(sed -n 's/^ \* \(Copyright .*\)/\1/p' "$OURS/${files[0]}")

		build = dpdk_conf.has('RTE_ARCH_X86')
		reason = 'only supported on x86'
		sources = files(
		$(printf "        '%s',\n" "${files[@]}" | grep '\.c' | sort)
		)
		deps += ['bus_pci', 'dmadev']
		$(grep -B 1 '^cbdma_args += cc.get_supported_arguments' "$OURS/meson.build" |
			sed '/^--$/d; s/^cbdma_args/cflags/')
	END
}

# The guide is ours, without what it says of the model. Comments in it say where the two differ.
guide()
{
	awk '
	/^\.\. outside DPDK.s tree only:$/ { skip = 1; next }
	/^\.\. in DPDK.s tree too:$/ { skip = 0; next }
	/^\.\. in DPDK.s tree only:$/ { own = 1; next }
	skip { next }
	/^[^ ]/ { own = 0 }
	own { sub(/^   /, "") }
	{ print }' "$TOP/doc/cbdma.rst" | cat -s
}

# --- Where DPDK lists its drivers. Each is a filter, which fails where it finds no place.

# in_order PATTERN LINE: before the first line that matches and sorts behind it.
in_order()
{
	awk -v pattern="$1" -v new="$2" '
	!done && $0 ~ pattern && tolower($0) > tolower(new) { print new; done = 1 }
	{ print }
	END { exit !done }'
}

maintainers()
{
	awk -v author="$author" '
	/^Intel IDXD/ && !done {
		print "Intel CBDMA"
		print "M: " author
		print "F: drivers/dma/cbdma/"
		print "F: doc/guides/dmadevs/cbdma.rst\n"
		done = 1
	}
	{ print }
	END { exit !done }'
}

release_note()
{
	awk '
	/^$/ { blank = blank "\n"; next }
	/^Removed Items$/ {
		print "\n* **Added Intel QuickData Technology (CBDMA) DMA driver.**\n"
		print "  Added a DMA device driver for the copy engines of Intel Xeon processors"
		print "  from Sandy Bridge to Ice Lake, with scatter/gather, fill and recovery from errors."
		print "  See the :doc:`../dmadevs/cbdma` guide for more details."
		done = 1
	}
	{ printf "%s", blank; blank = ""; print }
	END { exit !done }'
}

# Those of our ids that are not listed yet.
devbind()
{
	local ids id new=()

	ids=$(sed -n 's/.*RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x\([0-9a-f]\{4\}\)).*/\1/p' "$OURS"/*.c)
	[ -n "$ids" ] || die "the driver's sources list no PCI ids"
	for id in $ids; do
		grep -q "'Device':.*\b$id\b" "$tree/usertools/dpdk-devbind.py" || new+=("$id")
	done
	awk -v ids="${new[*]}" '
	/^intel_ioat_bdw = / {
		print "intel_cbdma = {\047Class\047: \04708\047, \047Vendor\047: \0478086\047,"
		n = split(ids, id, " ")
		printf "               \047Device\047: \047"
		for (i = 1; i <= n; i++)
			printf "%s%s", id[i], i == n ? "\047,\n" :
				i % 10 ? "," : ",\047\n                         \047"
		print "               \047SVendor\047: None, \047SDevice\047: None}"
		defined = 1
	}
	/[[ ]intel_ioat_bdw,/ && !done { done = sub(/intel_ioat_bdw,/, "intel_cbdma, &") }
	{ print }
	END { exit !(defined && done) }'
}

# Names that sign off are known to .mailmap, where there is one.
mailmap()
{
	if grep -q -x -F "$author" "$tree/.mailmap"; then
		cat
	else
		in_order '^[^#]' "$author"
	fi
}

# edit FILE FILTER [ARGUMENT]...
edit()
{
	local file=$1
	shift

	mkdir -p "$(dirname "$file")"
	cp -p "$tree/$file" "$file" 2>/dev/null || die "DPDK $version has no $file"
	git add "$file"
	"$@" <"$tree/$file" >"$file" ||
		die "$file of DPDK $version is not as expected: no place for the driver's entry"
}

# --- The patch is made in a repository of its own that holds no more than what it changes.

here=$PWD
[ -w "$here" ] || die "the patch cannot be written to $here" "go where it can be"
work=$(mktemp -d)
at_exit "rm -rf '$work'"
git init -q "$work/repo"
cd "$work/repo"
mapfile -t files < <(sources)
[ ${#files[@]} -gt 0 ] || die "$OURS/meson.build lists no sources"
mapfile -t files < <(closure "${files[@]}")

edit drivers/dma/meson.build in_order "^ *'" "        'cbdma',"
edit doc/guides/dmadevs/index.rst in_order '^   [a-z]' "   cbdma"
edit "doc/guides/rel_notes/release_${year}_$month.rst" release_note
edit MAINTAINERS maintainers
edit usertools/dpdk-devbind.py devbind
[ ! -e "$tree/.mailmap" ] || edit .mailmap mailmap

dir=drivers/dma/cbdma
mkdir -p $dir
[ ! -e "$OURS/cbdma_compat.h" ] || find_has
for file in "${files[@]}"; do
	resolve "$file" $dir
done
[ ! -e $dir/cbdma_compat.h ] || drop_compat $dir
driver_meson_build >$dir/meson.build
guide >doc/guides/dmadevs/cbdma.rst

export GIT_AUTHOR_NAME="${author% <*}" GIT_AUTHOR_EMAIL="${author#* <}"
GIT_AUTHOR_EMAIL=${GIT_AUTHOR_EMAIL%>}
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
git commit -q --no-verify -m "what DPDK $version has"
git add .
git commit -q --no-verify -s -F - <<END
dma/cbdma: add driver for Intel QuickData Technology

Add a driver for the copy engine in Intel Xeon processors from
Sandy Bridge to Ice Lake, known as CBDMA (Crystal Beach DMA) and I/OAT.
Each channel is a DMA device with one virtual channel:
copy, scatter/gather copy and fill, silent mode,
recovery from errors, telemetry, secondary processes.

List the devices of all generations in dpdk-devbind.py.
END
git format-patch -q --no-signature -1 -o "$work"
patch=$(echo "$work"/0001-*.patch)

# --- Into the tree

if [ -n "$is_git" ]; then
	git -C "$tree" diff --quiet HEAD -- 2>/dev/null ||
		die "$1 has changes that are not committed" "commit or stash them first"
	git -C "$tree" am -q "$patch" >"$work/log" 2>&1 || {
		git -C "$tree" am --abort >/dev/null 2>&1 || true
		die "git am fails in $1" "$(tail -n 3 "$work/log")"
	}
else
	(cd "$tree" && git apply "$patch") || die "the patch does not apply to $1"
fi
cp "$patch" "$here/"
say "dma_cbdma is in DPDK $version${is_git:+, as its latest commit}, by ${patch##*/}"
echo "    build it: meson setup BUILD && ninja -C BUILD"
