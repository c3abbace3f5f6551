#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs an example as a user would: smoke.py NAME PROGRAM."""

import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

SKIPPED = 77


def run(program, *args, status=0, says="", limit=None, stdout=None):
    """Run, check the exit status and that what is said contains something; returns that.

    limit: bytes that a file may have, stdout: where standard output goes instead."""

    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = subprocess.run(
        [program, *args],
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE if stdout else subprocess.STDOUT,
        text=True,
        timeout=100,
        preexec_fn=prepare if limit else None,
    )
    result.stdout = result.stdout or result.stderr or ""
    print("$", os.path.basename(program), *args)
    print(result.stdout, end="")
    if "there is no device 'dma_skeleton0'" in result.stdout:
        print("no DMA device here: neither dma_cbdma nor dma_skeleton")
        sys.exit(SKIPPED)
    assert result.returncode == status, f"exit status {result.returncode}, not {status}"
    assert says in result.stdout, f"does not say: {says}"
    return result.stdout


def interrupt(program, *args, says="", seconds=2, number=signal.SIGINT):
    """Run, press Ctrl-C (or send another signal) after some seconds; returns what is said."""
    print("$", os.path.basename(program), *args, signal.Signals(number).name)
    with subprocess.Popen(
        [program, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        time.sleep(seconds)
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    print(output, end="")
    status = 128 + number
    assert process.returncode == status, f"exit status {process.returncode}, not {status}"
    assert says in output, f"does not say: {says}"
    return output


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
    run(program, "-q", "-c", "from", "to", says="MB/s, cp: ")
    assert same("from", "to")
    run(program, "from", status=2, says="see --help")
    run(program, "-z", "from", "to", status=2, says="see --help")
    run(program, "nothing", "to2", status=1, says="cannot open nothing")
    run(program, ".", "to2", status=1, says="is a directory")
    run(program, "from", "from", status=1, says="same file")
    run(program, "from", "no/such/folder", status=1, says="cannot write")
    assert not os.path.exists("to2")
    if os.path.exists("/dev/full"):
        run(program, "from", "/dev/full", status=1, says="is not a file")
    # A pipe is read once: that is said, and Ctrl-C ends the wait for it.
    os.mkfifo("pipe")
    with subprocess.Popen(["sh", "-c", "cat from >pipe"]):
        output = run(program, "-q", "pipe", "to", says="bytes copied and not verified")
    assert "and verified" not in output and same("from", "to")
    interrupt(program, "-q", "pipe", "to", says="Interrupted")
    with subprocess.Popen(["sh", "-c", "exec sleep 100 >pipe"]) as writer:
        interrupt(program, "-q", "pipe", "to", says="interrupted, to is as it was")
        writer.kill()
    assert same("from", "to")
    os.unlink("pipe")
    # What is there stays when the copy does not come to its end, and so do a link and rights.
    with open("kept", "w", encoding="ascii") as file:
        file.write("precious")
    os.chmod("kept", 0o640)
    os.symlink("kept", "link")
    for number in signal.SIGINT, signal.SIGHUP, signal.SIGPIPE:
        interrupt(program, "-q", "/dev/zero", "kept", says="kept is as it was", number=number)
    assert not [name for name in os.listdir() if name.startswith("kept.")]
    run(program, "-q", "from", "kept", status=1, says="cannot write kept: File too", limit=4 << 20)
    with open("kept", encoding="ascii") as file:
        assert file.read() == "precious"
    run(program, "-q", "from", "link")
    assert os.path.islink("link") and same("from", "kept")
    assert os.stat("kept").st_mode & 0o777 == 0o640
    # What is protected stays as well, which root does not notice; and no link becomes a file.
    if os.geteuid() != 0:
        os.chmod("kept", 0o440)
        run(program, "from", "kept", status=1, says="cannot write kept: Permission denied")
    os.symlink("nowhere", "dangling")
    run(program, "from", "dangling", status=1, says="a link to nothing")
    assert os.path.islink("dangling")
    os.unlink("dangling")
    assert set(os.listdir()) == {"from", "to", "kept", "link"}


def write_pcap(name, packets, order="=", magic=0xA1B2C3D4, link=1, cut=262144):
    """Packets are (seconds, fraction, bytes); of each at most cut bytes are kept."""
    with open(name, "wb") as file:
        file.write(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, cut, link))
        for seconds, fraction, packet in packets:
            kept = packet[:cut]
            header = struct.pack(order + "IIII", seconds, fraction, len(kept), len(packet))
            file.write(header + kept)


def write_pcapng(name, packets):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        length = len(body) + 12
        return struct.pack("=II", kind, length) + body + struct.pack("=I", length)

    with open(name, "wb") as file:
        file.write(block(0x0A0D0D0A, struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(block(1, struct.pack("=HHI", 1, 0, 262144)))
        for seconds, fraction, packet in packets:
            time_us = seconds * 1000000 + fraction
            length = len(packet)
            head = struct.pack("=IIIII", 0, time_us >> 32, time_us & 0xFFFFFFFF, length, length)
            file.write(block(6, head + packet))


def read_pcap(name):
    """Returns (magic, link type) and the packets as (seconds, fraction, length, bytes)."""
    packets = []
    with open(name, "rb") as file:
        magic, _, _, _, _, _, link = struct.unpack("=IHHiIII", file.read(24))
        while header := file.read(16):
            seconds, fraction, captured, length = struct.unpack("=IIII", header)
            packets.append((seconds, fraction, length, file.read(captured)))
    return (magic, link), packets


def packet_mirror(program):
    def mirrors(link=1, magic=0xA1B2C3D4, cut=262144, factor=1):
        run(program, "in.pcap", "out.pcap", says=f"{len(packets)} packets")
        kind, copies = read_pcap("out.pcap")
        assert kind == (magic, link), kind
        assert copies == [(s, f * factor, len(p), p[:cut]) for s, f, p in packets]

    sizes = [60, 64, 255, 256, 257, 512, 1514, 1518, 4000, 9000, 9018]
    packets = [
        (1700000000 + i, i, random.randbytes(random.choice(sizes))) for i in range(5000)
    ]
    packets += [(1, 2, random.randbytes(size)) for size in (16200, 65535, 262144)]
    write_pcap("in.pcap", packets)
    mirrors()
    packets = packets[:500]
    write_pcap("in.pcap", packets, order="<")
    mirrors()
    write_pcap("in.pcap", packets, order=">")
    mirrors()
    write_pcap("in.pcap", packets, magic=0xA1B23C4D)
    mirrors(magic=0xA1B23C4D)
    write_pcap("in.pcap", packets, cut=96)
    mirrors(cut=96)
    write_pcap("in.pcap", packets, link=113)
    mirrors(link=113)
    write_pcapng("in.pcap", packets)
    mirrors(magic=0xA1B23C4D, factor=1000)
    packets = []
    write_pcap("in.pcap", packets)
    mirrors()
    packets = [(1, 2, b"")]
    write_pcap("in.pcap", packets)
    mirrors()

    # What goes wrong leaves both files as they were.
    packets = [(i, i, random.randbytes(5000)) for i in range(1000)]
    write_pcap("in.pcap", packets)
    before = read_pcap("in.pcap")
    os.link("in.pcap", "hard")
    os.symlink("in.pcap", "soft")
    for name in "in.pcap", "hard", "soft":
        run(program, "in.pcap", name, status=1, says="same file")
        assert read_pcap("in.pcap") == before
    kept = read_pcap("out.pcap")
    with open("in.pcap", "rb") as whole, open("cut.pcap", "wb") as cut:
        cut.write(whole.read()[:-10])
    run(program, "cut.pcap", "out.pcap", status=1, says="cannot read cut.pcap after 999 packets")
    run(program, "in.pcap", "out.pcap", status=1, says="cannot write out.pcap: File too", limit=4 << 20)
    assert read_pcap("out.pcap") == kept
    run(program, "in.pcap", "/dev/full", status=1, says="is not a file")
    run(program, "/dev/zero", "out.pcap", status=1, says="is not a file")
    run(program, "in.pcap", status=2, says="see --help")
    run(program, "nothing.pcap", "out.pcap", status=1, says="cannot read nothing.pcap")
    with open("garbage", "wb") as file:
        file.write(b"no pcap at all, just words to fill a header")
    run(program, "garbage", "out.pcap", status=1, says="cannot read garbage")
    files = {"in.pcap", "hard", "soft", "out.pcap", "cut.pcap", "garbage"}
    assert set(os.listdir()) == files, os.listdir()


def mailbox(program):
    run(program, says="1000 rounds")
    run(program, "-n", "3", says=" operations and the CPU the others")
    for wrong in "x", "-1", "0", "4294967296", "":
        run(program, "-n", wrong, status=2, says="takes a number from 1 to")
    run(program, "-n", "3.5", status=2, says="takes a whole number")
    run(program, "-n", status=2, says="see --help")
    run(program, "extra", status=2, says="no such argument")
    with open("/dev/full", "w", encoding="ascii") as full:
        run(program, "-n", "3", status=1, says="cannot write", stdout=full)
    output = interrupt(program, "-n", "1000000000", says="rounds in", seconds=4)
    assert " of 1000000000 rounds" in output, "no progress"


def cyclic_player(program):
    run(program, "-x", "4", says=", heard as played")
    make_file("sound", 200001)
    run(program, "-x", "8", "-i", "sound", "-o", "heard", says=", heard as played")
    with open("sound", "rb") as sound, open("heard", "rb") as heard:
        played, got = sound.read(), heard.read()
    assert got[: len(played)] == played and not any(got[len(played) :])
    # What is played is not what is replaced, and nothing is before there is something to put there.
    run(program, "-i", "sound", "-o", "sound", status=1, says="same file")
    run(program, "-o", "heard", "-x", "bad", status=2, says="takes a number")
    run(program, "-x", "50", "-t", "30", "-o", "heard", status=1, says="not be written", limit=4 << 20)
    interrupt(program, "-t", "1000", "-o", "heard", says="interrupted", seconds=4)
    assert os.path.getsize("sound") == len(played)
    with open("heard", "rb") as heard:
        assert heard.read() == got
    assert set(os.listdir()) == {"sound", "heard"}, os.listdir()
    run(program, "-i", ".", status=1, says="is a directory")
    run(program, "-x", "8", "-t", "1", "-o", "/dev/full", status=1, says="not be written to /dev/full")
    run(program, "-x", "8", "-t", "1", "-o", "/dev/null", says="heard as played")
    output = run(program, "-s", "300", status=1, says="not heard as played")
    assert " 0 underruns" not in output
    run(program, "-x", "0", status=2, says="takes a number")
    run(program, "-i", "nothing", status=1, says="cannot open nothing")
    output = interrupt(program, "-t", "1000", says="played", seconds=4)
    assert " bytes left in this round" in output, "no progress"


def vhost_echo(program):
    """What needs no guest, which test/apps has."""
    make_file("file", 10)
    os.symlink("file", "link")
    for name in "file", "link", ".":
        run(program, name, status=1, says="is there and is not a socket")
    assert os.path.getsize("file") == 10
    run(program, "x" * 108, status=1, says="at most 107 characters")
    run(program, status=2, says="one SOCKET")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("sock")
        other.listen()
        run(program, "sock", status=1, says="another program does")
        assert os.path.exists("sock")
    # What is left of a program that is gone is in nobody's way.
    interrupt(program, "sock", says="listening at sock")
    assert not os.path.exists("sock")


def main():
    name, program = sys.argv[1], os.path.abspath(sys.argv[2])
    run(program, "--help", says="usage: " + name)
    run(program, "-h", says="usage: " + name)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            {
                "dma-cp": dma_cp,
                "packet-mirror": packet_mirror,
                "mailbox": mailbox,
                "cyclic-player": cyclic_player,
                "vhost-echo": vhost_echo,
            }[name](program)
        finally:
            os.chdir("/")


main()
