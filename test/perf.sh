#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs dpdk-test-dma-perf on one of the INI files in config/dma-perf, several times, and makes a
# table of the medians. Debian 12 has no such program: test/debian.sh trixie test/perf.sh ...

set -euo pipefail
# shellcheck source=test/setup.sh
. "$(dirname "$0")/setup.sh"

if [ $# -ne 3 ] || [[ ! $2 =~ ^[1-9][0-9]*$ ]]; then
	echo "usage: test/debian.sh trixie test/perf.sh build/debian13 REPETITIONS INI"
	echo "Prints a table, then for each row RESULT,device,buffer bytes,cycles/op,Gbps,MOps."
	[[ ${1-} == --help || ${1-} == -h ]] || exit 2
	exit
fi
repetitions=$2
ini=$3

command -v dpdk-test-dma-perf >/dev/null ||
	die "no dpdk-test-dma-perf here" "DPDK has it from 23.07 on: test/debian.sh trixie $0 $*"
[ -r "$ini" ] || die "cannot read $ini"
stage_plugin "$1"
# From DPDK 25.11 on, the command line takes no EAL arguments. An INI that loads plugins says in which
# cases.
cp "$ini" "$RUN_DIR/ini"
grep -q '^eal_args=.* -d ' "$ini" || sed -i "/^eal_args=/ s|\$| -d $PLUGIN|" "$RUN_DIR/ini"

# Reads the INI for the rows to expect and the CSV files for what was measured. A scenario that
# fails leaves no row in the CSV, so a missing row is the sign of it.
# shellcheck disable=SC2016 # awk's variables
table='
function add_case(	i, first, last, step) {
	if (!label)
		return
	if (srcs)
		label = label "_sg" srcs "to" dsts
	n = split(sizes, s, ",")
	first = s[1]; last = n == 4 ? s[2] : first; step = n == 4 ? s[3] : 2
	for (i = first; i <= last; i = s[4] == "ADD" ? i + step : i * step) {
		if (!(i in seen)) {
			seen[i] = 1
			size[++nsizes] = i
		}
		expect[case_nr, i] = 1
	}
	name[case_nr] = label
	if (case_nr > ncases)
		ncases = case_nr
	label = srcs = ""
}
# The median tells all: cycles and bandwidth follow from it.
function median(c, b,	n, v, i, j, t) {
	n = count[c, b]
	for (i = 1; i <= n; i++) {
		t = mops[c, b, i]
		for (j = i - 1; j > 0 && v[j] > t; j--)
			v[j + 1] = v[j]
		v[j + 1] = t
	}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function ratio(m, other) {
	return other ? sprintf("%.2f", m / other) : "-"
}
FILENAME ~ /\.ini$/ {
	value = substr($0, index($0, "=") + 1)
	if (/^\[case/) { add_case(); case_nr = substr($0, 6) + 0 }
	if (/^type=CPU/) label = "cpu"
	if (/^buf_size=/) sizes = value
	if (/^dma_src_sge=/) srcs = value
	if (/^dma_dst_sge=/) dsts = value
	if (/^lcore_dma0=/) {
		sub(/.*dev=/, "", value); sub(/,.*/, "", value)
		if (value ~ /^dma_/)
			sub(/[0-9]+$/, "", value)
		label = value
	}
	next
}
FNR == 1 { add_case(); files++ }
/^CPU frequency/ { split($0, f, /[, ]/); ghz = f[3] }
/^Case / { case_nr = $2 + 0 }
/^Scenario [0-9]+,/ {
	split($0, f, ",")
	mops[case_nr, f[6], ++count[case_nr, f[6]]] = f[11]
}
END {
	for (c = 1; c <= ncases; c++)
		for (i = 1; i <= nsizes; i++)
			if (expect[c, size[i]] && count[c, size[i]] != files) {
				printf "error: %s did not finish at %d bytes\n", name[c], size[i]
				failed = 1
			}
	if (failed)
		exit 1
	printf "%8s  %-20s %10s %9s %9s %8s %10s\n",
		"bytes", "device", "cycles/op", "Gbps", "MOps", "x cpu", "x skeleton"
	for (i = 1; i <= nsizes; i++) {
		cpu = skeleton = 0
		for (c = 1; c <= ncases; c++) {
			b = size[i]
			if (!expect[c, b])
				continue
			m = median(c, b)
			if (name[c] == "cpu") cpu = m
			if (name[c] == "dma_skeleton") skeleton = m
			cycles = sprintf("%.1f", m ? ghz * 1000 / m : 0)
			gbps = sprintf("%.1f", m * b * 8 / 1000)
			printf "%8d  %-20s %10s %9s %9.2f %8s %10s\n", b, name[c], cycles, gbps,
				m, ratio(m, cpu), ratio(m, skeleton)
			results = results sprintf("RESULT,%s,%d,%s,%s,%.2f\n", name[c], b, cycles, gbps, m)
		}
		print ""
	}
	printf "%s", results
}'

failure='Case process (exited. status [^0]|killed|stopped|unknown)|Test fails|validation fails'
csvs=()
for ((i = 1; i <= repetitions; i++)); do
	say "dpdk-test-dma-perf on ${ini##*/}, run $i of $repetitions"
	csv=$RUN_DIR/$i.csv
	csvs+=("$csv")
	# It ends with 0 whatever its cases did.
	if ! run timeout -k 5 300 env "LD_PRELOAD=${PEER-}" dpdk-test-dma-perf --config "$RUN_DIR/ini" \
		--result "$csv" >"$RUN_DIR/log" 2>&1 || grep -q -E "$failure" "$RUN_DIR/log" ||
		! awk "$table" "$ini" "$csv" >"$RUN_DIR/table"; then
		tail -n 40 "$RUN_DIR/log" >&2
		! grep -E "$failure" "$RUN_DIR/log" >&2 || true
		[ ! -e "$RUN_DIR/table" ] || cat "$RUN_DIR/table" >&2
		die "dpdk-test-dma-perf failed" "the lines above are its last"
	fi
done
say "medians of $repetitions"
awk "$table" "$ini" "${csvs[@]}"
