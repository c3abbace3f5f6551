#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# files.sh BUILD: what the shell reads and writes: load, save, crc, bench's table and plots.

set -euo pipefail
# shellcheck source=test/shell/lib.sh
. "$(dirname "$0")/lib.sh"

EAL+=(--vdev=dma_skeleton0)
ALONE=(--no-huge -m 128 --no-pci --log-level=3 "--file-prefix=shell$$" -l 0)
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

# A file that is written takes its place when it is whole: also through a link, with its mode, and not
# at all when there is no space for it.
ln -s out link
chmod 640 out
"$DMA_SHELL" "${EAL[@]}" -- -c "alloc a 8K; save a link" >/dev/null || fail "save through a link"
[ "$(stat -c %F link) $(stat -c '%s %a' out)" = "symbolic link 8192 640" ] ||
	fail "the link, its file or its mode is lost: $(stat link out)"
(ulimit -f 4; trap '' XFSZ; "$DMA_SHELL" "${EAL[@]}" -- -c "alloc a 64K; save a out") >err 2>&1 &&
	fail "a file beyond the limit"
expect_output "'out' could not be written completely" "$(cat err)"
[ "$(stat -c %s out)" -eq 8192 ] || fail "a file that cannot be replaced is lost"
compgen -G "out.*" && fail "something is left of it"
"$DMA_SHELL" "${EAL[@]}" -- -c "alloc a 4K; save a /dev/null" >/dev/null || fail "save to a device"

# A driver in this folder.
echo nothing >nothing.so
out=$("$DMA_SHELL" "${EAL[@]}" -- -c "load driver nothing.so" 2>&1) && fail "no driver is loaded"
expect_output "cannot load 'nothing.so': .*(too short|ELF)" "$out"

# bench: a table of numbers, both kinds of plots, a report.
plot=
if command -v gnuplot >/dev/null; then
	plot=yes
else
	echo "no gnuplot here: no plots"
fi
for kind in png svg; do
	"$DMA_SHELL" "${EAL[@]}" -- --json -c "bench 0 sizes 64,1K,16K seconds 0.2 load 20,80 \
		csv bench.csv save base.csv report bench.html ${plot:+plot bench.$kind}" >bench.json
	cat bench.json bench.csv
	/usr/bin/python3 - <<-'END'
		import csv, json
		from html.parser import HTMLParser
		rows = list(csv.DictReader(open("bench.csv")))
		assert [r["size"] for r in rows] == ["64", "1024", "16384"], rows
		saved = open("base.csv").read()
		assert saved.endswith(open("bench.csv").read())
		for word in "device: dma_skeleton0", "driver: ", "ring: 1024", "batch: 32", "cpu: ", \
		        "dpdk: DPDK", "kernel: Linux", "date: 20":
		    assert "\n# " + word in "\n" + saved, word
		results = [json.loads(l) for l in open("bench.json")]
		kinds = [r["result"] for r in results]
		assert kinds == ["bench"] * 3 + ["load"] * 6 + ["offload"], kinds
		for r in results[:3]:
		    assert r["mops"] > 0 and r["vs_mops"] > 0 and r["cycles"] > 0, r
		    assert 0 < r["p50_ns"] <= r["p99_ns"] <= r["p99.9_ns"] <= r["max_ns"], r
		    assert abs(r["gbps"] - r["mops"] * r["size"] * 8 / 1e3) < 0.1 * r["gbps"] + 0.1, r
		    assert r["is"] in ("faster", "same", "slower", "unclear"), r
		    assert r["ratio"] >= 0 and r["gbps"] > 0 and r["vs_gbps"] > 0, r
		for r in results[3:9]:
		    assert r["percent"] in (20, 80) and 0 < r["p50_ns"] <= r["p99_ns"] <= r["p99.9_ns"], r
		class Page(HTMLParser):
		    cells, svg, open_tags = 0, 0, []
		    def handle_starttag(self, tag, attributes):
		        self.cells += tag == "td"
		        self.svg += tag == "svg"
		        names = [name for name, _ in attributes]
		        assert "src" not in names and tag != "link", "the page is not whole in itself"
		page = Page()
		page.feed(open("bench.html").read())
		assert page.cells >= 12 * 3, page.cells
	END
done
if [ -n "$plot" ]; then
	[ "$(head -c 8 bench.png | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "no PNG"
	[ "$(stat -c %s bench.png)" -gt 10000 ] || fail "the PNG is nearly empty"
	grep -q "CPU memcpy" bench.svg || fail "no legend in the SVG"
	grep -q "<svg" bench.html || fail "no plot in the report"
	! grep -q "<?xml" bench.html || fail "a second header in the report"
	# A name is no command, and a full disk is no plot.
	"$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 sizes 64 seconds 0.1 plot |cat>piped.svg" >/dev/null
	if [ ! -s '|cat>piped.svg' ] || [ -e piped.svg ]; then
		fail "a plot's name is run"
	fi
	ln -s /dev/full full.svg
	"$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 sizes 64 seconds 0.1 plot full.svg" >out 2>&1 &&
		fail "a plot on a full disk"
	expect_output "'full.svg' could not be written completely" "$(cat out)"
fi

# Lines of the table fit 80 columns.
"$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 sizes 64,16K seconds 0.1" >table
[ "$(wc -L <table)" -le 80 ] || fail "lines of $(wc -L <table) columns: $(cat table)"

# Two devices, and sizes of the packets of a capture: 100 and 300 bytes.
printf '%b' '\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0' >two.pcap
for length in '\x64\0\0\0' '\x2c\x01\0\0'; do
	printf '%b' "\0\0\0\0\0\0\0\0\x04\0\0\0${length}abcd" >>two.pcap
done
"$DMA_SHELL" "${EAL[@]}" -- --json -c "bench 0 sizes pcap:two.pcap seconds 0.1; expect size == 200" \
	>/dev/null && fail "the last result is the verdict"
out=$("$DMA_SHELL" "${EAL[@]}" -- --json -c "bench 0 sizes pcap:two.pcap seconds 0.1")
expect_output '"size":200,' "$out"
head -c 62 two.pcap >cut.pcap
for name in in cut.pcap; do
	out=$("$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 sizes pcap:$name" 2>&1) &&
		fail "sizes from no capture, or from part of one"
	expect_output "bad word 'pcap:$name' for 'sizes'" "$out"
done
if [ "$HAVE_CBDMA" = 1 ]; then
	out=$("$DMA_SHELL" "${EAL[@]}" --vdev=dma_cbdma0 -- -c "bench 0 vs 1 sizes 64,4K seconds 0.2
		bench dma_cbdma0 vs dma_skeleton0 sizes 64 seconds 0.1")
	expect_output "dma_skeleton0 beside dma_cbdma0" "$out"
	expect_output "against: name dma_cbdma0" "$out"
	expect_output "against: name dma_skeleton0" "$out"
fi

# An engine on the CPU that submits is said.
if [ "$HAVE_CBDMA" = 1 ]; then
	out=$("$DMA_SHELL" "${ALONE[@]}" --vdev=dma_cbdma0,cpu=0 -- -c "bench 0 sizes 4K seconds 1")
	expect_output "a device's thread ran on CPU 0, which submits" "$out"
fi

# A gate: figures that cannot be reached fail, figures that can do not, nor do those just measured. A
# machine may do other things in one of two measurements, but not in one of two twenty times.
for ((i = 1; i <= 20; i++)); do
	"$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 sizes 64,4K seconds 0.2 save same.csv
		bench 0 check same.csv seconds 0.2 tolerance 25" >out 2>&1 && break
	expect_output "slower than 'same.csv' by more than 25 %" "$(cat out)"
done
[ "$i" -le 20 ] || fail "equal figures never pass: $(cat out)"
[ "$(grep -c " ok" out)" -eq 2 ] || fail "not two sizes that are ok: $(cat out)"
sed -E '/^[0-9]/s/^([0-9]+),([^,]*),.*/\1,\2,0.001,0.001,0.001,1,1,1,1,1,1,1,1,1,1/' base.csv >low.csv
sed -E '/^[0-9]/s/^([0-9]+),([^,]*),.*/\1,\2,99999,99999,99999,1,1,1,1,1,1,1,1,1,1/; s/# batch.*/# batch: 16/' \
	base.csv >high.csv
"$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 check low.csv seconds 0.1" >out || fail "$(cat out)"
[ "$(grep -c " ok" out)" -eq 3 ] || fail "not three sizes that are ok: $(cat out)"
out=$("$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 check high.csv seconds 0.1 tolerance 50 batch 32" 2>&1) &&
	fail "slower figures are no failure"
expect_output "slower than 'high.csv' by more than 50 % at 3 of 3 sizes" "$out"
expect_output "not as then: batch was 16" "$out"

# A file that is given twice is not written: neither the figures to check against nor a capture.
cp high.csv before.csv
ln -s high.csv link.csv
for words in "check high.csv save high.csv" "check high.csv csv ./link.csv" "save x csv x" \
	"save x csv ./x" \
	"sizes pcap:two.pcap save two.pcap"; do
	out=$("$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 $words seconds 0.1" 2>&1) && fail "$words"
	expect_output "already: give '(csv|save|check|sizes)' another file" "$out"
done
cmp high.csv before.csv
[ "$(stat -c %s two.pcap)" -eq 64 ] || fail "the capture is another one now"

# Ctrl-C leaves what is there, and nothing where there was nothing.
"$DMA_SHELL" "${EAL[@]}" -- -c \
	"bench 0 sizes 64,1K,4K seconds 3 save high.csv report new.html" >out 2>&1 &
pid=$!
for ((i = 0; i < 600; i++)); do
	! grep -q "^ *64 " out || break
	sleep 0.1
done
kill -INT $pid
status=0
wait $pid || status=$?
[ $status -eq 130 ] || fail "an interrupted bench ends with status $status: $(cat out)"
cmp high.csv before.csv
[ ! -e new.html ] || fail "a report of an interrupted bench"

# Figures that cannot be: sizes that are none, and a row that is not whole.
for row in 0,1,1,1,1,1 99999999999999,1,1,1,1,1 -5,1,1,1,1,1 64,1,nan,nan,nan,1 4096,1; do
	{ sed '/^[0-9]/d' base.csv; echo "$row"; } >wrong.csv
	status=0
	out=$("$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 check wrong.csv" 2>&1) || status=$?
	[ $status -eq 1 ] || fail "check of $row ends with status $status"
	expect_output "holds no figures of a size in '$row'" "$out"
done
for name in bench.csv nosuch; do
	"$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 check $name" >/dev/null 2>&1 && fail "check $name"
done

# Without gnuplot, a message that says what is missing.
out=$(PATH=/nonexistent "$DMA_SHELL" "${EAL[@]}" -- -c "bench 0 plot x.png" 2>&1) &&
	fail "plots without gnuplot"
expect_output "there is no gnuplot to plot with: apt-get install gnuplot-nox" "$out"
