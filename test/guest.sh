#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Boots real guests with the served device as a PCI device and has other people's drivers drive it:
# Linux's ioatdma, DPDK's dma_ioat and the driver in Linux's self-tests of vfio, and then our dma_cbdma.
# doc/guests.rst tells how it works.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

# In this order, since cases share a boot. Each is a function, case_NAME with _ for -.
CASES=(ioatdma dma_ioat-vfio dma_cbdma-vfio versions rebind vfio-selftests dma_ioat-uio dma_cbdma-uio reboot
	server-killed hardware)

if [[ ${1-} == -* ]]; then
	echo "usage: $0 [CASE]..."
	echo "Runs the cases, or all, in guests of the Debian 13 root: ${CASES[*]}"
	echo "Prints PASS, FAIL or SKIP for each; of one that fails, the logs are kept in build/guest-logs."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
need_root "running guests"
[ "$TOP" = /copyengine ] || exec "$TOP/test/debian.sh" trixie test/guest.sh "$@"

BUILD=$TOP/build/debian13
LOGS=$TOP/build/guest-logs
KEPT=/var/lib/copyengine # in the root: what is made once
# The devices 10.0, 11.0 and 12.0 of a guest. The last one is for vfio-selftests, which know the part that
# has this id only, and copy 65535 times the longest transfer.
SERVED=("version=3.4,channels=2" "version=3.3" "version=3.2,id=0x2021,xfercap=16")
CHANNELS=(2 1 1)
BOOT_LIMIT=180 # seconds

# --- What a guest is made of

have_vfio_user()
{
	qemu-system-x86_64 -device help 2>/dev/null | grep -q vfio-user-pci
}

# Packages of Debian 13's backports, and what there is of others today.
add_backports()
{
	local list=/etc/apt/sources.list.d/backports.list

	awk '$1 == "deb" { print "deb", $2, "trixie-backports main"; exit }' /etc/apt/sources.list >$list
	run apt-get -qq update || {
		rm $list
		REASON="no trixie-backports at the mirror; DEBIAN_MIRROR=URL names another one"
		return 1
	}
}

# QEMU has vfio-user-pci from 10.1 on; Debian 13's own is 10.0.
need_qemu()
{
	! have_vfio_user || return 0
	say "installing QEMU from Debian 13's backports"
	add_backports || cannot_run "$REASON"
	DEBIAN_FRONTEND=noninteractive run apt-get -qq -o Dpkg::Use-Pty=0 -t trixie-backports \
		install --no-install-recommends qemu-system-x86 >/dev/null ||
		cannot_run "qemu-system-x86 cannot be installed from trixie-backports"
	have_vfio_user || die "QEMU from trixie-backports has no vfio-user-pci"
}

# Debian's kernel comes without dmatest, the kernel's own tester of DMA engines: build it, as it is
# in the source of that very kernel.
need_dmatest()
{
	local dir=$RUN_DIR/dmatest source version

	[ ! -e "$KEPT/dmatest-$KERNEL.ko" ] || return 0
	need_packages "linux-headers-$KERNEL"
	say "building dmatest for Linux $KERNEL"
	version=$(dpkg-query -W -f '${Version}' "linux-image-$KERNEL")
	source=linux-source-$(echo "$KERNEL" | cut -d . -f 1,2)
	mkdir "$dir"
	(cd "$dir" && run apt-get -qq -o APT::Sandbox::User=root download "$source=$version") ||
		cannot_run "$source $version, which has dmatest, cannot be downloaded"
	dpkg-deb --fsys-tarfile "$dir"/*.deb | tar -xO "./usr/src/$source.tar.xz" |
		tar -xJ -C "$dir" --strip-components=3 "$source/drivers/dma/dmatest.c" ||
		die "no dmatest.c in $source $version"
	echo "obj-m := dmatest.o" >"$dir/Makefile"
	run make -C "/lib/modules/$KERNEL/build" M="$dir" modules >"$dir/log" 2>&1 ||
		die "cannot build dmatest" "$(tail "$dir/log")"
	strip --strip-debug "$dir/dmatest.ko"
	mkdir -p "$KEPT"
	cp "$dir/dmatest.ko" "$KEPT/dmatest-$KERNEL.ko"
	rm -r "$dir"
}

# The kernel's self-tests of vfio, from Linux 6.18 on, have a driver for CBDMA of their own. Without
# iommufd, which Debian's kernel does not have, their main() needs another default; an emulated guest may
# take its time; and 1 GB to be pinned is more than it has.
need_vfio_test()
{
	local dir=$RUN_DIR/vfio-test tests source version

	[ ! -e "$KEPT/vfio_pci_driver_test" ] || return 0
	add_backports || return 1
	source=$(apt-cache -n search '^linux-source-[0-9.]+$' | awk '{ print $1 }' | sort -V | tail -n 1)
	version=$(apt-cache madison "$source" | awk '{ print $3; exit }')
	say "building the self-tests of vfio in $source $version"
	need_packages uuid-dev
	tests=$dir/tools/testing/selftests
	mkdir "$dir"
	(cd "$dir" && run apt-get -qq -o APT::Sandbox::User=root download "$source=$version" \
		"linux-libc-dev=$version") || {
		REASON="$source or linux-libc-dev, $version, cannot be downloaded"
		return 1
	}
	dpkg-deb -x "$dir"/linux-libc-dev_*.deb "$dir/headers"
	dpkg-deb --fsys-tarfile "$dir/$source"_*.deb |
		tar -xO "./usr/src/$source.tar.xz" >"$dir/source.tar.xz"
	tar -xJf "$dir/source.tar.xz" -C "$dir" --strip-components=1 "$source/tools" \
		"$source/scripts/subarch.include"
	[ -e "$tests/vfio/lib/drivers/ioat/ioat.c" ] || {
		REASON="the self-tests of vfio in $source $version have no driver for CBDMA"
		return 1
	}
	# headers that are links to the kernel's own
	find "$tests/vfio" "$dir/tools/include" -xtype l -exec realpath -m --relative-to="$dir" {} + | sort -u |
		sed "s|^|$source/|" | tar -xJf "$dir/source.tar.xz" -C "$dir" --strip-components=1 -T -
	sed -i 's/\(default_iommu_mode =\) MODE_IOMMUFD/\1 MODE_VFIO_TYPE1V2_IOMMU/' \
		"$tests/vfio/lib/iommu.c"
	sed -i 's/\(define TEST_TIMEOUT_DEFAULT\) 30$/\1 300/' "$tests/kselftest_harness.h"
	sed -i 's/memcpy_storm, 60)/memcpy_storm, 300)/; s/memcpy_region, SZ_1G/memcpy_region, SZ_64M/' \
		"$tests/vfio/vfio_pci_driver_test.c"
	mkdir "$dir/out"
	run make -C "$tests/vfio" OUTPUT="$dir/out" \
		KHDR_INCLUDES="-isystem $dir/headers/usr/include" "$dir/out/vfio_pci_driver_test" \
		>"$dir/log" 2>&1 || {
		REASON="$source $version does not build: $(grep -m 1 error: "$dir/log")"
		return 1
	}
	mkdir -p "$KEPT"
	cp "$dir/out/vfio_pci_driver_test" "$KEPT"
	rm -r "$dir"
}

# The libraries of a program or plugin, as files.
libraries_of()
{
	ldd "$@" | awk '/=> \// { print $3 } /^[ \t]*\// { print $1 }' | grep -v ':$' | sort -u
}

# What test/hardware.sh needs: itself, what it runs, and the programs that busybox has no match for.
add_hardware_test()
{
	local dir=$1/copyengine file programs=(/usr/bin/bash /usr/bin/setpriv /usr/bin/timeout
		/usr/bin/rm /usr/bin/realpath /usr/bin/lspci /usr/bin/flock)

	mkdir -p "$dir"/{test,drivers/dma/cbdma,build/drivers/dma/cbdma,build/test/soak} \
		"$dir/build/app/dma-shell" "$1/usr/bin" "$1/lib"
	cp "$TOP"/test/{hardware,setup}.sh "$dir/test"
	cp "$TOP"/drivers/dma/cbdma/*.c "$dir/drivers/dma/cbdma"
	for file in drivers/dma/cbdma/librte_dma_cbdma.so app/dma-shell/dma-shell test/soak/soak; do
		cp "$BUILD/$file" "$dir/build/$file"
	done
	cp "${programs[@]}" "$1/usr/bin"
	cp -r --parents /usr/lib/locale/C.utf8 "$1"
	ln -s /usr/bin/bash "$1/bin/bash"
	libraries_of "${programs[@]}" "$dir"/build/*/*/dma-shell "$dir"/build/test/soak/soak |
		xargs -I{} cp -L {} "$1/lib"
}

# make_initramfs FILE: busybox as a system, modules, DPDK's programs, drivers and ours. libgcc_s is
# what glibc loads to end a thread.
make_initramfs()
{
	local dir=$RUN_DIR/root modules module file drivers programs
	local pmds=(/usr/lib/*/dpdk/pmds-*)

	drivers=("${pmds[0]}"/librte_{bus_pci,bus_vdev,mempool_ring,dma_ioat}.so.??)
	programs=(/usr/bin/dpdk-test /usr/bin/dpdk-test-dma-perf)
	[ -n "$NO_VFIO_TEST" ] || programs+=("$KEPT/vfio_pci_driver_test")
	modules=$dir/lib/modules/$KERNEL

	mkdir -p "$dir"/{bin,dev,proc,sys,usr/bin,lib/copyengine,lib64,"${pmds[0]}"} "$modules"
	cp "$TOP/test/guest/init" "$dir/init"
	add_hardware_test "$dir"
	cp /bin/busybox "${programs[@]}" "$dir/bin"
	ln -s busybox "$dir/bin/sh"
	cp "$BUILD/drivers/dma/cbdma/librte_dma_cbdma.so" "$dir/lib/copyengine"
	libraries_of "${programs[@]}" "${drivers[@]}" \
		"$BUILD/drivers/dma/cbdma/librte_dma_cbdma.so" | xargs -I{} cp -L {} "$dir/lib"
	cp -L /lib64/ld-linux-x86-64.so.2 "$dir/lib64"
	# Programs are linked with some of the drivers: the same file must be found both ways.
	cp -L "${drivers[@]}" /lib/x86_64-linux-gnu/libgcc_s.so.1 "$dir/lib"
	for file in "${drivers[@]}"; do
		ln -s "/lib/${file##*/}" "$dir/${file%.*}" # .so: EAL looks for these
	done

	for module in ioatdma vfio-pci vfio_iommu_type1 uio_pci_generic; do
		modprobe -S "$KERNEL" --show-depends $module
	done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
		xz -dc "$file" >"$modules/$(basename "$file" .xz)"
	done
	cp "$KEPT/dmatest-$KERNEL.ko" "$modules/dmatest.ko"
	depmod -b "$dir" "$KERNEL" 2>/dev/null
	(cd "$dir" && find . | cpio -o -H newc --quiet) >"$1"
	rm -r "$dir"
}

# --- A guest and its devices

QEMU=
SERVERS=()

# serve NUMBER: (re)start the server of a device, with the faults in FAULTS. The latency is for DPDK's
# dma_ioat: a poll with room for one, when a failure is to be reported and one more operation is done,
# counts both as read and reports one (drivers/dma/ioat/ioat_dmadev.c, ioat_completed_status(): count
# is cut to max_ops after next_read has moved). Emulated, it is so slow that one always is.
FAULTS=()
serve()
{
	local n=$1 socket=$RUN_DIR/$1.sock

	rm -f "$socket"
	setpriv --pdeathsig KILL "$BUILD/app/dma-deviced/dma-deviced" --socket "$socket" \
		--device "cbdma,${SERVED[n]}" "${FAULTS[@]}" --latency 200 \
		</dev/null >>"$RUN_DIR/server-$n.log" 2>&1 &
	SERVERS[n]=$!
	wait_for 5 test -S "$socket" || {
		REASON="dma-deviced does not come up: $(tail -n 1 "$RUN_DIR/server-$n.log")"
		return 1
	}
}

stop_guest()
{
	local pid

	for pid in $QEMU "${SERVERS[@]}"; do
		kill -KILL "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true
	done
	QEMU=
	SERVERS=()
	BOOTED=
}
at_exit stop_guest

# boot iommu|plain: unless that guest is running.
BOOTED=
boot()
{
	# On a busy host an emulated CPU stands still for longer than a watchdog likes.
	local kind=$1 n args=() append="console=ttyS0 loglevel=6 hugepages=96 panic=-1 nowatchdog"

	[ "$BOOTED" != "$kind" ] || return 0
	stop_guest
	rm -f "$RUN_DIR"/*.log "$RUN_DIR"/control.*
	mkfifo "$RUN_DIR/control.in" "$RUN_DIR/control.out"
	exec 4<>"$RUN_DIR/control.in" 5<>"$RUN_DIR/control.out"

	case $kind in
	iommu)
		args=(-machine kernel-irqchip=split -device "intel-iommu,caching-mode=on,aw-bits=48")
		append+=" intel_iommu=on"
		;;
	plain) append+=" intel_iommu=off" ;;
	esac
	for n in "${!SERVED[@]}"; do
		serve "$n" || return 1
		args+=(-device "{\"driver\":\"vfio-user-pci\",\"addr\":\"1$n.0\",\"socket\":{\"type\":\"unix\",\"path\":\"$RUN_DIR/$n.sock\"}}")
	done

	setpriv --pdeathsig KILL qemu-system-x86_64 -nodefaults -no-user-config -display none \
		-machine q35,accel=tcg,memory-backend=memory -cpu max,la57=off -smp 1 -m 768M \
		-object memory-backend-memfd,id=memory,size=768M,share=on \
		-kernel "/boot/vmlinuz-$KERNEL" -initrd "$RUN_DIR/initramfs" -append "$append" \
		-serial "file:$RUN_DIR/console.log" \
		-chardev "pipe,id=control,path=$RUN_DIR/control" -serial chardev:control \
		"${args[@]}" </dev/null >"$RUN_DIR/qemu.log" 2>&1 &
	QEMU=$!
	hear $BOOT_LIMIT || return 1
	[[ $HEARD == ready* ]] || {
		REASON="the guest says: $HEARD"
		return 1
	}
	BOOTED=$kind
}

# hear SECONDS: the guest's next line, in HEARD.
hear()
{
	local end=$((SECONDS + $1)) part

	HEARD=
	while [ $SECONDS -lt $end ]; do
		part= # of a line, when the time is up
		if read -r -t 1 -u 5 part; then
			HEARD+=${part%$'\r'}
			return 0
		fi
		HEARD+=$part
		kill -0 "$QEMU" 2>/dev/null || {
			REASON="QEMU has ended: $(tail -n 1 "$RUN_DIR/qemu.log")"
			return 1
		}
	done
	REASON="nothing heard from the guest in $1 s"
	return 1
}

# guest SECONDS COMMAND...: run a function of test/guest/init in the guest. A guest that has not
# answered is of no more use.
guest()
{
	local limit=$1
	shift

	echo "$*" >&4
	hear "$limit" || {
		REASON+=" ($*)"
		BOOTED=
		return 1
	}
	case $HEARD in
	"done") ;;
	failed*)
		REASON="${HEARD#failed } ($*)"
		return 1
		;;
	*)
		REASON="the guest says $HEARD ($*)"
		BOOTED=
		return 1
		;;
	esac
}

# --- Cases

DEVICE=(0000:00:10.0 0000:00:11.0 0000:00:12.0)
COPIES=1000 # of dmatest
OURS=with-plugin

case_ioatdma()
{
	boot iommu && guest 60 ioatdma "${DEVICE[0]}" "${CHANNELS[0]}" $COPIES
}

# dpdk DEVICE DRIVER IOVA-MODE [PLUGIN]
dpdk()
{
	guest 60 bind "$1" "$2" &&
		guest 60 autotest "$1" "$3" "${4-}" &&
		guest 30 perf "$1" "$3" 4096 "${4-}"
}

# dma_ioat KIND-OF-GUEST DRIVER IOVA-MODE: more than once, as a host that is late for longer than the
# device's latency brings back the completion that DPDK's driver loses.
dma_ioat()
{
	local try

	for try in 1 2 3; do
		boot "$1" && dpdk "${DEVICE[0]}" "$2" "$3" && return 0
		[ $try -lt 3 ] || return 1
		echo "dma_ioat: $REASON: again"
		stop_guest
	done
}

case_dma_ioat_vfio()
{
	dma_ioat iommu vfio-pci va
}

case_dma_cbdma_vfio()
{
	boot iommu && dpdk "${DEVICE[0]}" vfio-pci va $OURS &&
		guest 30 perf "${DEVICE[0]}" va 4096 $OURS 4 1 &&
		guest 30 perf "${DEVICE[0]}" va 4096 $OURS 1 4
}

case_dma_ioat_uio()
{
	dma_ioat plain uio_pci_generic pa
}

case_dma_cbdma_uio()
{
	boot plain && dpdk "${DEVICE[0]}" uio_pci_generic pa $OURS &&
		guest 30 perf "${DEVICE[0]}" pa 4096 $OURS 4 1
}

case_versions()
{
	local n

	boot iommu || return 1
	for n in 1 2; do
		guest 60 ioatdma "${DEVICE[n]}" "${CHANNELS[n]}" $COPIES &&
			dpdk "${DEVICE[n]}" vfio-pci va $OURS &&
			guest 30 perf "${DEVICE[n]}" va 4096 $OURS 4 1 || return 1
	done
}

case_rebind()
{
	local i

	boot iommu || return 1
	for i in 1 2 3; do
		guest 60 ioatdma "${DEVICE[0]}" "${CHANNELS[0]}" 20 &&
			guest 60 bind "${DEVICE[0]}" none &&
			guest 60 bind "${DEVICE[0]}" vfio-pci &&
			guest 30 perf "${DEVICE[0]}" va 1024 $OURS || return 1
	done
}

case_vfio_selftests()
{
	if [ -n "$NO_VFIO_TEST" ]; then
		REASON=$NO_VFIO_TEST
		return 77
	fi
	boot iommu && guest 60 bind "${DEVICE[2]}" vfio-pci &&
		guest 580 vfio_selftests "${DEVICE[2]}"
}

case_reboot()
{
	boot plain && guest 60 ioatdma "${DEVICE[0]}" "${CHANNELS[0]}" 20 || return 1
	# in use by a driver when the guest goes down
	echo "reboot -f" >&4
	hear $BOOT_LIMIT || return 1
	[[ $HEARD == ready* ]] || {
		REASON="the guest does not come back: $HEARD"
		return 1
	}
	guest 60 ioatdma "${DEVICE[0]}" "${CHANNELS[0]}" 20
}

kill_server()
{
	kill -KILL "${SERVERS[$1]}"
	wait "${SERVERS[$1]}" 2>/dev/null || true
}

# QEMU does not connect anew: the device is gone for the guest, which has to live on. The next guest
# finds the restarted server's device as good as new. QEMU 11.1 aborts (an assertion of its own,
# error_setv()) when a request is under way at that moment. So that none is, most of the time, the
# device stalls first: the ring is full, and the driver has little to ask.
case_server_killed()
{
	local try

	# QEMU may abort before the guest can look: its own assertion, error_setv().
	for try in 1 2 3; do
		boot iommu && guest 60 ioatdma "${DEVICE[0]}" "${CHANNELS[0]}" 20 || return 1
		kill_server 0
		{ guest 30 gone "${DEVICE[0]}" && break || ! kill -0 "$QEMU" || return 1; } 2>/dev/null
		stop_guest
		[ $try -lt 3 ] || echo "server-killed: QEMU aborted each time, the guest saw nothing"
	done
	stop_guest

	local FAULTS=(--inject stall:at=5000)
	boot iommu && guest 60 bind "${DEVICE[0]}" vfio-pci &&
		guest 20 load "${DEVICE[0]}" va $OURS || return 1
	FAULTS=()
	sleep 2
	kill_server 0
	{ guest 60 loaded || ! kill -0 "$QEMU" || return 1; } 2>/dev/null # bash tells of the abort
	stop_guest

	boot iommu && guest 60 ioatdma "${DEVICE[0]}" "${CHANNELS[0]}" 20
}

case_hardware()
{
	boot iommu && guest 60 ioatdma "${DEVICE[0]}" "${CHANNELS[0]}" 20 &&
		guest 240 hardware "${DEVICE[0]}" ioatdma &&
		guest 20 hardware_refuses &&
		guest 60 hardware_stopped "${DEVICE[0]}" ioatdma
}

# --- The run

need_packages pciutils linux-image-amd64 busybox-static cpio kmod xz-utils
KERNEL=$(basename "$(printf '%s\n' /lib/modules/*/kernel | sort -V | tail -n 1 | xargs dirname)")
make_run_dir
need_qemu
need_dmatest
NO_VFIO_TEST= # or why there is none
need_vfio_test || NO_VFIO_TEST=$REASON
[ -x "$BUILD/app/dma-deviced/dma-deviced" ] || die "no dma-deviced in $BUILD/app/dma-deviced"
say "making the guests' file system"
make_initramfs "$RUN_DIR/initramfs"

[ $# -gt 0 ] || set -- "${CASES[@]}"
failed=0
skipped=
for name in "$@"; do
	[[ " ${CASES[*]} " == *" $name "* ]] || die "there is no case $name" "there are: ${CASES[*]}"
	start=$SECONDS
	REASON=
	status=0
	"case_${name//-/_}" || status=$?
	case $status in
	0) echo "PASS $name ($((SECONDS - start)) s)" ;;
	77)
		echo "SKIP $name: $REASON"
		skipped+="${skipped:+; }$name is skipped: $REASON"
		;;
	*)
		failed=$((failed + 1))
		mkdir -p "$LOGS/$name"
		cp "$RUN_DIR"/*.log "$LOGS/$name"
		echo "FAIL $name ($((SECONDS - start)) s): $REASON"
		stop_guest
		;;
	esac
done
[ $failed -eq 0 ] || exit 1
if [ -n "$skipped" ]; then
	echo "the others pass, $skipped"
	exit 77
fi
