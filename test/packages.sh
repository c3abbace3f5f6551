#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# packages.sh RELEASE DIR: installs the packages in DIR in a fresh root of a Debian release (bookworm,
# trixie), uses them as users would, removes them, and sees that nothing is left. The root is
# .debian13/base-RELEASE, made once, below a layer of this run.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

if [ $# -ne 2 ] || [[ $1 == -* ]]; then
	echo "usage: $0 bookworm|trixie DIR"
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
release=$1
packages=$(realpath "$2")
base=$TOP/.debian13/base-$release
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format "\$(REPO_URI) \$(RELEASE)" \
	'Created-By: Packages' 'Origin: Debian' | awk '$2 !~ /-/ { print $1; exit }')}
STOP_SIGNAL=KILL # unshare blocks the others; its child dies with it

compgen -G "$packages/*.deb" >/dev/null || die "no packages in $packages" "make them: ./package.sh"
make_run_dir
reserve_hugepages 64

if [ ! -d "$base" ]; then
	need_packages debootstrap
	say "making a root of Debian $release"
	rm -rf --one-file-system "$base.new"
	mkdir -p "$base.new"
	run debootstrap --variant=minbase "$release" "$base.new" "$mirror" >"$RUN_DIR/log" 2>&1 ||
		die "debootstrap failed" "$(tail -n 5 "$RUN_DIR/log")"
	apt-config dump | grep -i '^Acquire::\(https\?\|Check-\)' \
		>"$base.new/etc/apt/apt.conf.d/host" || true
	echo force-unsafe-io >"$base.new/etc/dpkg/dpkg.cfg.d/fast"
	say "installing in it what the test needs"
	run chroot "$base.new" env DEBIAN_FRONTEND=noninteractive sh -c \
		'apt-get -qq update && apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends \
			gcc libc6-dev pkg-config bash-completion dpdk-dev libdpdk-dev' \
		>"$RUN_DIR/log" 2>&1 || die "apt-get failed" "$(tail -n 5 "$RUN_DIR/log")"
	rm -f "$base.new"/var/cache/apt/archives/*.deb
	mv "$base.new" "$base"
fi

# What happens in the root.
cat >"$RUN_DIR/inside" <<'END'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
install() { apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" >/dev/null; }
files()
{
	find / -xdev ! -path '/proc/*' ! -path '/sys/*' ! -path '/dev/*' ! -path '/run/*' \
		! -path '/tmp/*' ! -path '/packages/*' ! -path '/var/lib/dpkg/*' \
		! -path '/var/log/*' ! -path '/var/cache/*' ! -path '/var/lib/apt/*' \
		! -path '/var/lib/systemd/*' ! -path '/etc/systemd/*' | sort
}

ours=$(cd /packages && ls *.deb | grep -v dbgsym | sed 's/_.*//')
files >/tmp/before

echo "==> installing"
install $(ls /packages/*.deb | grep -v dbgsym)

echo "==> dma-shell"
dma-shell -c "start device 0; alloc a 64K pattern random; alloc b 64K; copy 0 a b submit; wait 0;
	expect status == successful; compare a b; expect equal == true; inject device 0 fail;
	burst 0 10 64; expect errors == 1; show errors; expect invalid-src-addr == 1" | tee /tmp/shell.log
grep -q "recoveries: 1" /tmp/shell.log
dma-shell -c "show devices" dma_skeleton0 | grep started
dma-shell -f /usr/share/dma-shell/shell/first-steps.dma >/dev/null
test -s /usr/share/man/man1/dma-shell.1.gz
bash -c '. /usr/share/bash-completion/bash_completion
	. /usr/share/bash-completion/completions/dma-shell
	COMP_WORDS=(dma-shell dma_c) COMP_CWORD=1; _dma_shell; [ "${COMPREPLY[0]}" = dma_cbdma0 ]'
dma-deviced --help >/dev/null

if command -v dpdk-test-dma-perf >/dev/null; then
	echo "==> dpdk-test-dma-perf with the installed driver"
	cat >/tmp/perf.ini <<-END2
	[case1]
	type=DMA_MEM_COPY
	mem_size=2
	buf_size=4096
	dma_ring_size=1024
	kick_batch=32
	src_numa_node=0
	dst_numa_node=0
	cache_flush=0
	test_seconds=1
	lcore_dma0=lcore=1,dev=dma_cbdma0,dir=mem2mem
	eal_args=-l 0,1 --main-lcore=0 --in-memory --no-pci --no-telemetry --iova-mode=va --vdev=dma_cbdma0,cpu=0
	END2
	dpdk-test-dma-perf --config /tmp/perf.ini --result /tmp/perf.csv >/tmp/perf.log 2>&1 ||
		{ cat /tmp/perf.log; exit 1; }
	grep -E 'dma_cbdma0' /tmp/perf.csv || { cat /tmp/perf.log /tmp/perf.csv; exit 1; }
else
	echo "==> dpdk-test with the installed driver"
	DPDK_TEST=dmadev_autotest timeout 200 dpdk-test -l 0 --no-pci --no-telemetry \
		--iova-mode=va --in-memory --vdev=dma_cbdma0,cpu=1,silent=0 </dev/null \
		>/tmp/autotest.log 2>&1 || true
	grep -q 'dma_cbdma0' /tmp/autotest.log && grep -a '^Test OK' /tmp/autotest.log ||
		{ tail -n 20 /tmp/autotest.log; exit 1; }
fi

echo "==> programs built against the libraries"
cat >/tmp/a.c <<-'END2'
	#include <copyengine.h>
	int main(void) { return ce_adapter_get(0, 0) != 0; }
	END2
gcc -DALLOW_EXPERIMENTAL_API /tmp/a.c -o /tmp/a $(pkg-config --cflags --libs copyengine)
/tmp/a
cat >/tmp/b.c <<-'END2'
	#include <dm_device.h>
	int main(void) { return 0; }
	END2
gcc /tmp/b.c -o /tmp/b $(pkg-config --cflags --libs libdevmodel)
/tmp/b

echo "==> removing"
apt-get -qq -o Dpkg::Use-Pty=0 purge $ours >/dev/null
apt-get -qq -o Dpkg::Use-Pty=0 purge '?config-files' >/dev/null
files >/tmp/after
# What else came with them (their libraries) is not theirs.
comm -13 /tmp/before /tmp/after | grep -E 'copyengine|cbdma|dma-shell|dma-deviced|devmodel|/ce_' &&
	{ echo "error: left behind, see above"; exit 1; }
for name in $ours; do
	[ ! -e "/var/lib/dpkg/info/$name.list" ] && [ ! -e "/var/lib/dpkg/info/$name:amd64.list" ] ||
		{ echo "error: $name is not gone"; exit 1; }
done
echo "nothing is left"
END

# shellcheck disable=SC2016 # variables of the new shell
run unshare --mount --pid --fork --kill-child=KILL --mount-proc bash -euc '
	run=$1 base=$2 packages=$3 root=$1/root
	mkdir "$run/layer" "$root"
	mount -t tmpfs tmpfs "$run/layer"
	mkdir "$run/layer/upper" "$run/layer/work"
	mount -t overlay -o "lowerdir=$base,upperdir=$run/layer/upper,workdir=$run/layer/work" \
		overlay "$root"
	mount -t proc proc "$root/proc"
	mount --bind /sys "$root/sys"
	mount --bind /dev "$root/dev"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
	mkdir "$root/packages"
	mount --bind "$packages" "$root/packages"
	cp "$run/inside" "$root/tmp/inside"
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root bash /tmp/inside' bash "$RUN_DIR" "$base" "$packages"
