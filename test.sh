#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds everything and runs every test. To add a test: one more "check" at the end.

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/test/setup.sh"

if [[ ${1-} == -* ]] || [ $# -gt 1 ]; then
	echo "usage: $0 [PATTERN]"
	echo "Installs what is missing, builds, and runs every test, or those whose names match the"
	echo "regular expression PATTERN. Logs are kept in build/test-logs. Ends with the line"
	echo "\"N passed, N failed, N skipped\"; fails if a test fails."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
pattern=${1-}

LIMIT=600 # seconds that a test may take
LOGS=$TOP/build/test-logs
passed=0
failed=0
skipped=0

# What fails is shown and tried once more: a test that waits for something can find the machine too
# busy. One that passes then counts as passed, and is named at the end.
unsteady=()

# check NAME COMMAND...: COMMAND is a program or an exported function. It passes with status 0; 77
# says that it cannot run here, and its last line of output why.
check()
{
	local name=$1 log status start try
	shift

	[[ $name =~ $pattern || $name == "build: gcc" ]] || return 0
	say "$name"
	for try in 1 2; do
		log=$LOGS/${name//[^A-Za-z0-9.]/-}.$try.log
		start=$SECONDS
		status=0
		run timeout -k 10 "$LIMIT" bash -euo pipefail -c '"$@"' bash "$@" \
			</dev/null >"$log" 2>&1 || status=$?
		case $status in
		0)
			passed=$((passed + 1))
			echo "    passed ($((SECONDS - start)) s)"
			[ $try -eq 1 ] || unsteady+=("$name")
			return
			;;
		77)
			skipped=$((skipped + 1))
			echo "    SKIPPED: $(tail -n 1 "$log")"
			return
			;;
		esac
		tail -n 20 "$log" | cut -c 1-200 | sed 's/^/    | /'
		[ "$status" -ne 124 ] || echo "    | (did not end in $LIMIT s)"
		echo "    FAILED with status $status ($((SECONDS - start)) s): $log"
	done
	failed=$((failed + 1))
}

# From meson's log a line for each test, "OK name" or "SKIP name: why" or "FAIL name"; below the last
# what it printed.
meson_results()
{
	/usr/bin/python3 -c '
import json, sys
try:
    results = [json.loads(line) for line in open(sys.argv[1])]
except OSError:
    results = []
for r in results:
    stdout = (r.get("stdout") or "").strip().splitlines()
    stderr = (r.get("stderr") or "").strip().splitlines()
    if r["result"] == "OK":
        print("OK", r["name"])
    elif r["result"] == "SKIP":
        print("SKIP", r["name"] + ":", *stdout[-1:])
    else:
        print("FAIL", r["name"])
        for line in [r["result"]] + stdout[-20:] + stderr[-20:]:
            print("|", line[:200])
if not results:
    print("FAIL no test was run")' "$1"
}

# suite NAME BUILD [MESON TEST OPTION]...: meson's tests, each of which counts
suite()
{
	local name=$1 dir=$TOP/build/$2 log line status start=$SECONDS try failures=() tests=()
	shift 2

	[[ $name =~ $pattern ]] || return 0
	say "$name"
	for try in 1 2; do
		log=$LOGS/${name//[^A-Za-z0-9.]/-}.$try.log
		failures=()
		status=0
		rm -f "$dir/meson-logs/testlog.json"
		# gcc 12's TSan cannot have as much address space randomisation as newer kernels do
		run timeout -k 10 $((2 * LIMIT)) setarch -R meson test -C "$dir" --no-rebuild \
			--timeout-multiplier 5 "$@" "${tests[@]}" </dev/null >"$log" 2>&1 || status=$?
		while read -r line; do
			case $line in
			"OK "*)
				passed=$((passed + 1))
				[ $try -eq 1 ] || unsteady+=("$name: ${line#OK }")
				;;
			"SKIP "*)
				skipped=$((skipped + 1))
				echo "    SKIPPED: ${line#SKIP }"
				;;
			"FAIL "*)
				failures+=("${line#FAIL }")
				echo "    FAILED: ${line#FAIL }"
				;;
			*) echo "    $line" ;;
			esac
		done < <(meson_results "$dir/meson-logs/testlog.json")
		if [ $status -eq 124 ] || [ $status -eq 137 ]; then
			echo "    FAILED: the tests did not end in $((2 * LIMIT)) s"
			failures=("some")
			break
		fi
		[ ${#failures[@]} -gt 0 ] || break
		echo "    $log, $dir/meson-logs/testlog.txt"
		tests=("${failures[@]#* / }")
	done
	failed=$((failed + ${#failures[@]}))
	echo "    ($((SECONDS - start)) s)"
}

# build DIR COMPILER [MESON OPTION]...: anew, with warnings as errors
build()
{
	local dir=$TOP/build/$1 compiler=$2
	shift 2

	rm -rf "$dir"
	CC=$compiler meson setup "$dir" "$TOP" -Dwerror=true "-Ddriver_sdk=$DRIVER_SDK" "$@"
	ninja -C "$dir"
}

sanitized_build()
{
	build "$1" gcc -Dbuildtype=debugoptimized "-Db_sanitize=$2"
}

# The plugin where DPDK looks for drivers, and nothing of DPDK's.
installs()
{
	local root=$TOP/build/install

	rm -rf "$root"
	DESTDIR=$root meson install -C "$TOP/build/gcc" --no-rebuild
	find "$root" -name librte_dma_cbdma.so -path '*/dpdk/pmds-*' | grep .
	find "$root" -name '*.pc' | grep .
}

# Without the libraries, with Python that lacks a module, with another one first in PATH.
setup_says_what_is_missing()
{
	local dir=$TOP/build/missing

	rm -rf "$dir"
	mkdir -p "$dir/hidden" "$dir/pyenv"
	PKG_CONFIG_LIBDIR=/nonexistent meson setup "$dir/1" >"$dir/log" 2>&1 && return 1
	grep "missing: libdpdk-dev libpcap-dev libseccomp-dev. .*: apt-get install libdpdk-dev" "$dir/log"
	echo "raise ImportError" >"$dir/hidden/elftools.py"
	PYTHONPATH=$dir/hidden meson setup "$dir/2" >"$dir/log" 2>&1 && return 1
	grep "missing: python3-pyelftools. .*: apt-get install python3-pyelftools" "$dir/log"
	printf '#!/bin/sh\nexec /usr/bin/python3 -S "$@"\n' >"$dir/pyenv/python3"
	chmod +x "$dir/pyenv/python3"
	PATH=$dir/pyenv:$PATH meson setup "$dir/3" "-Ddriver_sdk=$DRIVER_SDK"
}

lists_pci_ids()
{
	local info=$TOP/build/$1/pmdinfo.json

	dpdk-pmdinfo.py "$TOP/build/$1/drivers/dma/cbdma/librte_dma_cbdma.so" >"$info"
	cat "$info"
	/usr/bin/python3 -c '
import json, sys
info = {i["name"]: i for i in json.load(sys.stdin)}["dma_cbdma_pci"]
assert "vfio-pci" in info["kmod"], "no kernel module line"
ids = {(i["vendor"], i["device"]) for i in info["pci_ids"]}
missing = {("8086", i) for i in ("3c20", "0e20", "2f20", "6f20", "6f50", "0c50",
	"2021", "0b00")} - ids
assert not missing, f"missing: {missing}"' <"$info"
}

# In a root of another Debian (test/debian.sh), where meson's tests run as one: SUITE NAME COMPILER
debian_build()
{
	"$TOP/test/debian.sh" "$1" true
	rm -rf "$TOP/build/$2-$3"
	"$TOP/test/debian.sh" "$1" env CC="$3" meson setup "build/$2-$3" \
		-Dwerror=true "-Ddriver_sdk=/copyengine/build/driver-sdk-$2"
	"$TOP/test/debian.sh" "$1" ninja -C "build/$2-$3"
}

debian_tests()
{
	"$TOP/test/debian.sh" "$1" meson test -C "build/$2-gcc" --print-errorlogs --no-rebuild \
		--suite unit --suite driver --suite examples
}

debian13_packages()
{
	"$TOP/test/debian.sh" trixie env DRIVER_SDK=/copyengine/build/driver-sdk-debian13 \
		./package.sh build/packages-debian13
}

# The distribution's own binary, of both releases, on registers each access to which is the model's.
dma_ioat_natively()
{
	test/autotest.sh build/gcc dma_ioat
	"$TOP/test/debian.sh" trixie test/autotest.sh build/debian13 dma_ioat
}

# The same loop on DPDK's dma_ioat and on ours.
fewer_instructions()
{
	test/bench/peer.sh instructions | tee /dev/stderr |
		awk '/^dma_/ { total[$1] = $(NF - 1) }
			END { exit !(total["dma_cbdma:"] > 0 && total["dma_cbdma:"] < total["dma_ioat:"]) }'
}

# refused MESSAGE COMMAND...
refused()
{
	local message=$1 output
	shift

	output=$("$@" 2>&1) && return 1
	echo "$output"
	grep -q "^error: .*$message" <<<"$output"
}

# What test/hardware.sh says to the wrong machine; on the right one it runs in a guest.
hardware_refuses()
{
	local device

	refused "no PCI device 0000:ff:1f.7" test/hardware.sh 0000:ff:1f.7
	refused "no option --vfio" test/hardware.sh --vfio 00:04.0
	refused "seconds" test/hardware.sh --seconds 0 00:04.0
	refused "needs root" setpriv --reuid 65534 --clear-groups test/hardware.sh 00:04.0
	for device in /sys/bus/pci/devices/*; do
		[ ! -e "$device" ] || grep -q 0x8086 "$device/vendor" ||
			refused "not a CBDMA channel" test/hardware.sh "${device##*/}"
	done
}

need_root "running DPDK programs with hugepages"
command -v apt-get >/dev/null || die "this needs Debian 12 or 13 (or a relative): no apt-get here"
[ "$(nproc)" -ge 2 ] ||
	die "this needs two CPUs, one for the worker and one for the engine: here is $(nproc)"
need_packages build-essential clang meson ninja-build pkg-config libdpdk-dev dpdk-dev dpdk \
	libpcap-dev libnuma-dev libseccomp-dev libcmocka-dev python3-pyelftools shellcheck debootstrap \
	valgrind tmux gnuplot-nox python3-sphinx doxygen
say "obtaining DPDK's driver SDK headers"
DRIVER_SDK=$("$TOP/drivers/driver-sdk.sh" | tail -n 1)
reserve_hugepages 256
mkdir -p "$LOGS"
cd "$TOP"
# shellcheck source=/dev/null
. /etc/os-release
export TOP DRIVER_SDK
export -f build sanitized_build installs setup_says_what_is_missing lists_pci_ids debian_build \
	debian_tests debian13_packages dma_ioat_natively fewer_instructions refused \
	hardware_refuses

check "scripts: shellcheck" shellcheck -x quickstart.sh package.sh test.sh .ci/run \
	app/dma-shell/dma-shell.bash drivers/*.sh \
	test/*.sh test/apps/*.sh test/bench/*.sh test/shell/*.sh test/vfio_user/*.sh test/guest/init
check "scripts: hugepages are given back" test/hugepages.sh
check "doc: Sphinx" sphinx-build -q -W doc build/doc
check "doc: Doxygen" doxygen doc/Doxyfile
check "build: gcc" build gcc gcc
check "build: clang" build clang clang
check "build: without the model" build no-model gcc -Dmodel=disabled
check "install: meson install" installs
check "install: public headers in C++" test/cxx.sh build/gcc
check "build: setup says what is missing" setup_says_what_is_missing
check "plugin: dpdk-pmdinfo lists its PCI ids" lists_pci_ids gcc
suite "unit tests" gcc --suite unit --suite driver
suite "soak" gcc --suite soak
suite "lib/copyengine" gcc --suite copyengine:copyengine
suite "dma-shell" gcc --suite shell
suite "examples" gcc --suite examples
check "build: ASan, UBSan" sanitized_build asan address,undefined
suite "unit tests: ASan, UBSan" asan --suite unit --suite driver --suite copyengine:copyengine
check "build: TSan" sanitized_build tsan thread
suite "unit tests: TSan" tsan --suite unit --suite driver --suite copyengine:threads
check "instructions of the data path" test/bench/driver_instructions.sh \
	build/gcc/test/bench/driver_bench
check "instructions of lib/copyengine" test/bench/ce_instructions.sh \
	build/gcc/test/bench/ce-instructions
check "dpdk-test: dmadev_autotest, this machine's DPDK" test/autotest.sh build/gcc
check "dpdk-test: dmadev_autotest, device in another process" test/autotest.sh build/gcc socket
for release in "trixie 13" "sid sid"; do
	read -r suite number <<<"$release"
	debian=(test/debian.sh "$suite")
	build=build/debian$number
	check "Debian $number: build with gcc" debian_build "$suite" "debian$number" gcc
	check "Debian $number: build with clang" debian_build "$suite" "debian$number" clang
	check "Debian $number: unit tests, examples" debian_tests "$suite" "debian$number"
	check "dpdk-test: dmadev_autotest, DPDK of Debian $number" "${debian[@]}" \
		test/autotest.sh "$build"
	check "dpdk-test: dmadev_autotest, DPDK of Debian $number, device in another process" \
		"${debian[@]}" test/autotest.sh "$build" socket
	check "dpdk-test-dma-perf: copy, DPDK of Debian $number" "${debian[@]}" \
		test/perf.sh "$build" 1 config/dma-perf/compare.ini
	check "dpdk-test-dma-perf: scatter/gather, DPDK of Debian $number" "${debian[@]}" \
		test/perf.sh "$build" 1 config/dma-perf/sg.ini
	check "application: event, DPDK of Debian $number" "${debian[@]}" \
		test/apps/event-dma.sh "$build"
done
check "dmadev_autotest: dma_ioat natively" dma_ioat_natively
check "application: dpdk-dma" test/apps/dpdk-dma.sh build/gcc
check "application: DPDK's vhost example" test/apps/dpdk-vhost.sh build/gcc
check "application: two processes" test/apps/processes.sh build/gcc
check "dma_ioat beside dma_cbdma: fewer instructions" fewer_instructions
check "into DPDK's tree: the patch builds, devtools pass" test/into-dpdk.sh
check "application: vhost" test/apps/vhost.sh build/gcc
check "application: vhost, unusual guests" test/apps/vhost-guest.sh build/gcc
check "packages: build, lintian" ./package.sh build/packages
check "packages: a fresh Debian ${VERSION_CODENAME}" test/packages.sh "$VERSION_CODENAME" \
	build/packages
check "packages: build, lintian, Debian 13" debian13_packages
check "packages: a fresh Debian trixie" test/packages.sh trixie build/packages-debian13
check "hardware: what the script refuses" hardware_refuses
check "guests: Linux's ioatdma, DPDK's dma_ioat, dma_cbdma" test/guest.sh

[ ${#unsteady[@]} -eq 0 ] || printf 'passed at the second try: %s\n' "${unsteady[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
