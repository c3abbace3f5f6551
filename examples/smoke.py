#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs an example as a user would: smoke.py NAME PROGRAM."""

import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

SKIPPED = 77


def run(program, *args, status=0, says=""):
    """Run, check the exit status and that what is said contains something; returns that."""
    result = subprocess.run(
        [program, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100
    )
    print("$", os.path.basename(program), *args)
    print(result.stdout, end="")
    if "none can be made" in result.stdout:
        print("no DMA device here: neither dma_cbdma nor dma_skeleton")
        sys.exit(SKIPPED)
    assert result.returncode == status, f"exit status {result.returncode}, not {status}"
    assert says in result.stdout, f"does not say: {says}"
    return result.stdout


def interrupt(program, *args, says=""):
    """Run, press Ctrl-C after a second."""
    print("$", os.path.basename(program), *args, "^C")
    with subprocess.Popen(
        [program, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    print(output, end="")
    assert process.returncode == 130, f"exit status {process.returncode}, not 130"
    assert says in output, f"does not say: {says}"


def make_file(name, size):
    with open(name, "wb") as file:
        while size > 0:
            size -= file.write(random.randbytes(min(size, 1 << 20)))


def same(a, b):
    with open(a, "rb") as file_a, open(b, "rb") as file_b:
        return file_a.read() == file_b.read()


def dma_cp(program):
    for size in 0, 1, 4095, (1 << 20), (5 << 20) + 1, (64 << 20) + 12345:
        make_file("from", size)
        run(program, "-q", "from", "to", says=f"{size} bytes copied and verified")
        assert same("from", "to")
    run(program, "-q", "-c", "from", "to", says="cp: ")
    assert not os.path.exists("to.cp~")
    run(program, "from", status=1, says="see --help")
    run(program, "-z", "from", "to", status=1, says="see --help")
    run(program, "nothing", "to2", status=1, says="cannot open nothing")
    run(program, ".", "to2", status=1, says="is a directory")
    run(program, "from", "from", status=1, says="same file")
    run(program, "from", "no/such/folder", status=1, says="cannot create")
    assert not os.path.exists("to2")
    if os.path.exists("/dev/full"):
        run(program, "from", "/dev/full", status=1, says="is not a file")
    interrupt(program, "-q", "/dev/zero", "endless", says="nothing is left")
    assert not os.path.exists("endless")


def write_pcap(name, packets, magic=0xA1B2C3D4):
    with open(name, "wb") as file:
        file.write(struct.pack("=IHHiIII", magic, 2, 4, 0, 0, 262144, 1))
        for i, packet in enumerate(packets):
            file.write(struct.pack("=IIII", 1700000000 + i, i, len(packet), len(packet)))
            file.write(packet)


def read_pcap(name):
    packets = []
    with open(name, "rb") as file:
        file.read(24)
        while header := file.read(16):
            packets.append(file.read(struct.unpack("=IIII", header)[2]))
    return packets


def packet_mirror(program):
    sizes = [60, 64, 255, 256, 257, 512, 1514, 1518, 4000, 9000, 9018]
    packets = [random.randbytes(random.choice(sizes)) for _ in range(5000)]
    write_pcap("in.pcap", packets)
    run(program, "in.pcap", "out.pcap", says="5000 packets")
    assert read_pcap("out.pcap") == packets
    write_pcap("empty.pcap", [])
    run(program, "empty.pcap", "out.pcap", says="0 packets")
    run(program, "in.pcap", status=1, says="see --help")
    run(program, "nothing.pcap", "out.pcap", status=1, says="cannot read nothing.pcap")
    with open("garbage", "wb") as file:
        file.write(b"no pcap at all, just words to fill a header")
    run(program, "garbage", "out.pcap", status=1, says="refuses garbage")


def mailbox(program):
    run(program, says="1000 rounds")
    run(program, "-n", "3", says="3 rounds")
    run(program, "-n", "x", status=1, says="takes a number")
    run(program, "extra", status=1, says="no such argument")
    interrupt(program, "-n", "1000000000", says="rounds in")


def cyclic_player(program):
    run(program, "-x", "4", says=", heard as played")
    make_file("sound", 200001)
    run(program, "-x", "8", "-i", "sound", "-o", "heard", says=", heard as played")
    with open("sound", "rb") as sound, open("heard", "rb") as heard:
        played, got = sound.read(), heard.read()
    assert got[: len(played)] == played and not any(got[len(played) :])
    output = run(program, "-s", "300", says="not heard as played")
    assert " 0 underruns" not in output
    run(program, "-x", "0", status=1, says="takes a number")
    run(program, "-i", "nothing", status=1, says="cannot open nothing")
    interrupt(program, "-t", "1000", says="played")


def main():
    name, program = sys.argv[1], os.path.abspath(sys.argv[2])
    run(program, "--help", says="usage: " + name)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            {
                "dma-cp": dma_cp,
                "packet-mirror": packet_mirror,
                "mailbox": mailbox,
                "cyclic-player": cyclic_player,
            }[name](program)
        finally:
            os.chdir("/")


main()
