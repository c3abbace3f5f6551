#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# files.sh BUILD: what the shell reads and writes: load, save, crc, bench's table and plots.

set -euo pipefail
# shellcheck source=test/shell/lib.sh
. "$(dirname "$0")/lib.sh"

EAL+=(--vdev=dma_skeleton0)
cd "$RUN_DIR"

# A file through the device, and back; CRC-32C of "123456789" is known to be e3069283.
head -c 100000 /dev/urandom >in
printf 123456789 >check
"$DMA_SHELL" "${EAL[@]}" -- -d dma_skeleton0 -c "load in a; alloc b 100000; copy 0 a b submit; wait;
	save b out; save b+10:5 part; load check c; crc c; expect crc32c == 0xe3069283;
	expect fail \"load in c\"; load check b; compare c b:9; expect equal == true;
	crc c+1:8; expect length == 8; expect fail \"load . d\"; expect fail \"load /dev/zero d\"" |
	tr -d '\t' || fail "load and save"
cmp in out
cmp <(tail -c +11 in | head -c 5) part

# bench: a table of numbers, and both kinds of plots.
for kind in png svg; do
	plot=
	if command -v gnuplot >/dev/null; then
		plot="plot bench.$kind"
	else
		echo "no gnuplot here: no plots"
	fi
	"$DMA_SHELL" "${EAL[@]}" -- --json \
		-c "bench 0 sizes 64,1K,16K seconds 0.2 csv bench.csv $plot" >bench.json
	cat bench.json bench.csv
	/usr/bin/python3 - <<-'END'
		import csv, json
		rows = list(csv.DictReader(open("bench.csv")))
		assert [r["size"] for r in rows] == ["64", "1024", "16384"], rows
		results = [json.loads(l) for l in open("bench.json")]
		assert [r["result"] for r in results] == ["bench"] * 3 + ["offload"], results
		for r in results[:3]:
		    assert r["mops"] > 0 and r["cpu_mops"] > 0 and r["cycles"] > 0, r
		    assert 0 < r["p50_ns"] <= r["p99_ns"] <= r["p99.9_ns"] <= r["max_ns"], r
		    assert abs(r["gbps"] - r["mops"] * r["size"] * 8 / 1e3) < 0.1 * r["gbps"] + 0.1, r
	END
done
if [ -n "$plot" ]; then
	[ "$(head -c 8 bench.png | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "no PNG"
	[ "$(stat -c %s bench.png)" -gt 10000 ] || fail "the PNG is nearly empty"
	grep -q "CPU memcpy" bench.svg || fail "no legend in the SVG"
fi

# Without gnuplot, a message that says what is missing.
out=$(PATH=/nonexistent "$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 plot x.png" 2>&1) &&
	fail "plots without gnuplot"
expect_output "there is no gnuplot to plot with: apt-get install gnuplot-nox" "$out"
