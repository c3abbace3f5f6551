#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Tries the driver on real hardware: binds the channels, runs DPDK's own test, the soak and DPDK's
# benchmark on them, and packs results, registers and kernel log into one file to send. However it
# ends, each channel is given back to the driver that it had.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

build=$TOP/build/dev
driver=vfio-pci
seconds=60
output=$PWD/copyengine-hardware-$(date +%Y%m%d-%H%M%S).tar.gz

usage()
{
	echo "usage: $0 [OPTION]... ADDRESS..."
	echo "Tries dma_cbdma on the CBDMA channels with these PCI addresses (0000:00:04.0): dmadev_autotest,"
	echo "a soak that checks every byte, and dpdk-test-dma-perf beside memcpy and DPDK's dma_ioat. Packs"
	echo "what was seen into one file to send. The channels get their drivers back at the end."
	echo "  --build DIR      where the project is built (default: build/dev)"
	echo "  --uio            bind to uio_pci_generic, for a machine without an IOMMU"
	echo "  --seconds S      how long the soak takes on each channel (default: 60)"
	echo "  --output FILE    default: copyengine-hardware-DATE.tar.gz in the current directory"
}

misuse()
{
	echo "error: $1, see $0 --help" >&2
	exit 2
}

addresses=()
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		usage
		exit
		;;
	--uio) driver=uio_pci_generic ;;
	--build | --seconds | --output)
		[ $# -ge 2 ] || misuse "$1 lacks its value"
		case $1 in
		--build) build=$(realpath -m "$2") ;;
		--seconds) seconds=$2 ;;
		--output) output=$(realpath -m "$2") ;;
		esac
		shift
		;;
	-*) misuse "there is no option $1" ;;
	????:??:??.?) addresses+=("$1") ;;
	*) addresses+=("0000:$1") ;;
	esac
	shift
done
[ ${#addresses[@]} -gt 0 ] || misuse "no address is given"
[[ $seconds =~ ^[1-9][0-9]*$ ]] || misuse "--seconds takes a number of seconds, not $seconds"

# --- What has to be there

PCI=/sys/bus/pci/devices
IDS=$(sed -n 's/.*RTE_PCI_DEVICE(CBDMA_PCI_VENDOR_ID, 0x\([0-9a-f]\{4\}\)).*/\1/p' \
	"$TOP"/drivers/dma/cbdma/*.c)
IOAT_IDS="6f20 6f21 6f22 6f23 6f24 6f25 6f26 6f27 6f2e 6f2f 2021 0b00" # of DPDK's dma_ioat

id_of()
{
	[ "$(cat "$PCI/$1/vendor")" = 0x8086 ] || return 0
	sed 's/^0x//' "$PCI/$1/device"
}

known()
{
	[[ " ${IDS//$'\n'/ } " == *" $(id_of "$1") "* ]]
}

# The channels of this machine, for those who named something else.
channels()
{
	local dev found=()

	for dev in "$PCI"/*; do
		! known "${dev##*/}" || found+=("${dev##*/}")
	done
	if [ ${#found[@]} -gt 0 ]; then
		echo "this machine has: ${found[*]}"
	else
		echo "this machine shows none: \"Crystal Beach DMA\", \"I/OAT\" or \"QuickData\" is off in" \
			"its BIOS, or its CPU has none"
	fi
}

# The driver that a device is bound to, nothing if none.
driver_of()
{
	[ ! -e "$PCI/$1/driver" ] || basename "$(readlink "$PCI/$1/driver")"
}

check_channel()
{
	local address=$1 file

	[ -e "$PCI/$address" ] || die "there is no PCI device $address" "$(channels)"
	known "$address" || die "$address is not a CBDMA channel that dma_cbdma knows" "$(channels)"
	[ "$(head -n 1 "$PCI/$address/resource" | cut -d ' ' -f 2)" != 0x0000000000000000 ] ||
		die "$address has no BAR 0: the BIOS gave it no memory"
	for file in "$PCI/$address"/dma/*/in_use; do
		[ ! -e "$file" ] || [ "$(cat "$file")" = 0 ] ||
			die "$address is in use by the kernel" "see ${file%/in_use}: md or NTB, perhaps"
	done
}

check_iommu()
{
	local address=$1 file other

	[ -e "$PCI/$address/iommu_group" ] ||
		die "the IOMMU is off, which vfio-pci needs" \
			"switch VT-d on in the BIOS, and boot with intel_iommu=on in the kernel's arguments" \
			"or do without: $0 --uio ..."
	for file in "$PCI/$address/iommu_group/devices"/*; do
		other=${file##*/}
		case $(driver_of "$other") in
		"" | vfio-pci | pcieport | ioatdma) ;;
		*) die "$other is in the IOMMU group of $address and has a driver, $(driver_of "$other")" \
			"vfio-pci wants all devices of a group" ;;
		esac
	done
}

need_root "binding devices"
for address in "${addresses[@]}"; do
	check_channel "$address"
	[ $driver != vfio-pci ] || check_iommu "$address"
done
[ -d "/sys/bus/pci/drivers/$driver" ] || modprobe $driver ||
	die "the kernel has no $driver"
[ $driver != vfio-pci ] || modprobe vfio_iommu_type1 2>/dev/null || true # if it is a module
[ -x "$build/test/soak/soak" ] || die "no soak in $build" "build it: ninja -C $build, or --build DIR"
touch "$output" || die "cannot write $output" "name another place with --output FILE"
at_exit "[ -s '$output' ] || rm -f '$output'"

# --- Binding

# rebind ADDRESS DRIVER OVERRIDE: an empty driver leaves it without.
rebind()
{
	local address=$1 to=$2 override=$3

	[ ! -e "$PCI/$address/driver" ] || echo "$address" >"$PCI/$address/driver/unbind"
	echo "$override" >"$PCI/$address/driver_override"
	[ -z "$to" ] || echo "$address" >"/sys/bus/pci/drivers/$to/bind"
}

bind_all()
{
	local address before override

	for address in "${addresses[@]}"; do
		before=$(driver_of "$address")
		override=$(cat "$PCI/$address/driver_override")
		[ "$override" != "(null)" ] || override=
		[ "$before" != $driver ] || continue
		say "binding $address to $driver (it has: ${before:-no driver})"
		at_exit "rebind '$address' '$before' '$override'"
		rebind "$address" $driver $driver || die "$address cannot be bound to $driver" "see dmesg"
	done
}

# --- What is run, on each channel; its output is a file in $results

failed=0

# attempt NAME SECONDS COMMAND...: sets STATUS.
attempt()
{
	local log=$results/$1 limit=$2
	shift 2

	STATUS=0
	run timeout -k 5 "$limit" "$@" </dev/null >>"$log" 2>&1 || STATUS=$?
	[ $STATUS -ne 124 ] || echo "did not end in $limit s" >>"$log"
}

# verdict NAME: of the last attempt
verdict()
{
	local reason

	reason=$(tail -n 1 "$results/$1" | cut -c 1-160)
	case $STATUS in
	0) echo "PASS $1" ;;
	77) echo "SKIP $1: $reason" ;;
	*)
		failed=$((failed + 1))
		echo "FAIL $1 (status $STATUS): $reason"
		;;
	esac >"$RUN_DIR/verdict"
	tee -a "$results/summary" <"$RUN_DIR/verdict"
}

# use ADDRESS: sets EAL, the arguments for programs that have this channel alone, on CPUs near it.
use()
{
	local cpus=() range

	for range in $(tr , ' ' <"$PCI/$1/local_cpulist"); do
		mapfile -t -O ${#cpus[@]} cpus < <(seq "${range%-*}" "${range#*-}")
	done
	[ ${#cpus[@]} -gt 0 ] || cpus=(0)
	EAL=("--lcores=0@${cpus[0]},1@${cpus[1]:-${cpus[0]}}" --main-lcore=0 --huge-dir "$HUGE_DIR"
		"--iova-mode=$([ $driver = vfio-pci ] && echo va || echo pa)")
}

describe()
{
	local address=$1 name=device-$1

	{
		echo "id $(cat "$PCI/$address/vendor" "$PCI/$address/device" | xargs)" \
			"NUMA node $(cat "$PCI/$address/numa_node")" \
			"CPUs $(cat "$PCI/$address/local_cpulist")" \
			"IOMMU group $(basename "$(readlink "$PCI/$address/iommu_group")")"
		! command -v lspci >/dev/null || lspci -vvv -xxxx -s "$address" || true
		echo "configuration space:"
		od -A x -t x1 "$PCI/$address/config"
	} >"$results/$name" 2>&1
	attempt "registers-$address" 60 "$build/app/dma-shell/dma-shell" "${EAL[@]}" -d "$PLUGIN" \
		-a "$address" -- -c "show device $address registers"
	verdict "registers-$address"
	# all of them, where the telemetry answers in time
	attempt "telemetry-$address" 60 "$build/app/dma-shell/dma-shell" "${EAL[@]}" -d "$PLUGIN" \
		-a "$address" -- -c "show telemetry /cbdma/registers,$address"
}

# Its error tests run where IOVAs are addresses only. Before DPDK 26.07 it takes silent mode for an
# error.
autotest()
{
	local address=$1 name=autotest-$1

	STATUS=77
	if command -v dpdk-test >/dev/null; then
		say "dmadev_autotest on $address"
		DPDK_TEST=dmadev_autotest attempt "$name" 300 dpdk-test "${EAL[@]}" --no-telemetry \
			-d "$PLUGIN" -a "$address,silent=0"
		# without the running counts
		tr '\r' '\n' <"$results/$name" | sed '/^Ops submitted/d' >"$RUN_DIR/log"
		mv "$RUN_DIR/log" "$results/$name"
		if [ $STATUS -eq 0 ] && ! { grep -q '^Test OK' "$results/$name" &&
			grep -q "^### .*\[$address\]" "$results/$name"; }; then
			STATUS=1
			echo "dpdk-test does not say Test OK, or did not test $address" >>"$results/$name"
		fi
	else
		echo "no dpdk-test here, which is in DPDK's packages" >"$results/$name"
	fi
	verdict "$name"
}

soak()
{
	say "soak of $1, $seconds s"
	attempt "soak-$1" $((seconds * 2 + 60)) "$build/test/soak/soak" "${EAL[@]}" --no-telemetry \
		-a "$1" -- --device "$1" --seconds "$seconds"
	verdict "soak-$1"
}

# perf_ini EAL_ARGUMENTS [ADDRESS]: the CPU, or the channel there. DPDK 25.11 and later read EAL's
# arguments, cache_flush and test_seconds in [GLOBAL], and so have one driver for all cases of a file;
# earlier ones read them in each case. Up to 24.07 a case has its device in lcore_dma.
perf_ini()
{
	local common=(cache_flush=0 test_seconds=1 "eal_args=${EAL[*]} --no-telemetry $1")

	printf '%s\n' "[GLOBAL]" "${common[@]}" "[case1]" "${common[@]}" mem_size=2 \
		buf_size=64,16384,4,MUL "src_numa_node=$node" "dst_numa_node=$node"
	if [ $# -eq 1 ]; then
		printf '%s\n' type=CPU_MEM_COPY lcore=1
	else
		printf '%s\n' type=DMA_MEM_COPY dma_ring_size=1024 kick_batch=32 \
			"lcore_dma=lcore1@$2" "lcore_dma0=lcore=1,dev=$2,dir=mem2mem"
	fi
}

# perf_of NAME INI_ARGUMENT...: DPDK's benchmark of one; fails when not all its sizes were measured.
perf_of()
{
	local what=$1 ini=$RUN_DIR/perf.ini csv=$RUN_DIR/perf.csv
	shift

	perf_ini "$@" >"$ini"
	rm -f "$csv"
	attempt "$name" 120 dpdk-test-dma-perf --config "$ini" --result "$csv"
	[ $STATUS -eq 0 ] || return 1
	# It ends with 0 whatever its case did.
	if grep -q 'validation fails' "$results/$name"; then
		echo "$what: a copy is wrong" >>"$results/$name"
		return 1
	fi
	[ ! -e "$csv" ] || cat "$csv" >>"$results/$name.csv"
	awk -v name="$what" '
	/^Scenario [0-9]+,/ {
		split($0, f, ",")
		printf "%8d bytes  %-10s %8s MOps\n", f[6], name, f[11]
		seen++
	}
	END {
		if (seen != 5) {
			print name ": not all five sizes were measured"
			exit 1
		}
	}' "$csv" 2>&1 | tee -a "$results/$name"
}

# The CPU, this driver, DPDK's.
perf()
{
	local address=$1 name=perf-$1 node ioat

	node=$(cat "$PCI/$address/numa_node")
	[ "$node" -ge 0 ] || node=0
	ioat=$(find /usr/lib /usr/local/lib -path '*/dpdk/pmds-*/librte_dma_ioat.so' 2>/dev/null |
		head -n 1 || true)
	[[ " $IOAT_IDS " == *" $(id_of "$address") "* ]] || ioat=
	if command -v dpdk-test-dma-perf >/dev/null; then
		say "dpdk-test-dma-perf on $address"
		perf_of memcpy --no-pci &&
			perf_of dma_cbdma "-d $PLUGIN -a $address" "$address" &&
			{ [ -z "$ioat" ] || perf_of dma_ioat "-d $ioat -a $address" "$address"; } ||
			STATUS=$((STATUS == 0 ? 1 : STATUS))
	else
		STATUS=77
		echo "no dpdk-test-dma-perf here, which DPDK has from 23.07 on" >"$results/$name"
	fi
	verdict "$name"
}

stage_plugin "$build"
reserve_hugepages 96
mount_hugepages
results=$RUN_DIR/$(basename "$output" .tar.gz)
mkdir "$results"
mark="copyengine: test/hardware.sh $$ $(date +%s)"
echo "$mark" >/dev/kmsg
{
	uname -a
	cat /proc/cmdline
	grep -m 1 'model name' /proc/cpuinfo
	echo "DPDK $(pkg-config --modversion libdpdk 2>/dev/null || echo unknown)"
	echo "copyengine $(git -C "$TOP" describe --always --dirty 2>/dev/null || echo unknown)"
	echo "IOMMU groups: $(find /sys/kernel/iommu_groups -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)"
} >"$results/machine"

bind_all
for address in "${addresses[@]}"; do
	use "$address"
	describe "$address"
	autotest "$address"
	soak "$address"
	perf "$address"
done
dmesg | sed "1,\|$mark|d" >"$results/dmesg"
tar -C "$RUN_DIR" -czf "$output" "$(basename "$results")"
say "please send $output"
[ $failed -eq 0 ] || die "$failed of the above failed"
