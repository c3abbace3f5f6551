#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Make packets, and see what came out.

usage: packets.py make COUNT FILE [FROM]
       packets.py check IN OUT

Each packet has 64 to 1518 bytes: an Ethernet header, from station 1 to 2 (or from FROM to the other), its
number, and random bytes. "check" prints how many packets OUT
has; each must be one of IN's, byte for byte, none twice, and in IN's order.
"""

import random
import struct
import sys

RECORD = struct.Struct("=IIII")  # seconds, microseconds, length kept, length


NUMBER = slice(14, 18)


def make(count, path, source=1):
    # addresses that are local, and a type that is for experiments
    header = bytes((2, 0, 0, 0, 0, 3 - source, 2, 0, 0, 0, 0, source, 0x88, 0xB5))
    rng = random.Random(count)
    with open(path, "wb") as f:
        f.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for i in range(count):
            length = rng.choice((64, rng.randint(64, 1518), 1518))
            f.write(RECORD.pack(0, i, length, length))
            f.write(header + struct.pack(">I", i) + rng.randbytes(length - 18))


def packets(path):
    with open(path, "rb") as f:
        f.read(24)
        while header := f.read(RECORD.size):
            length = RECORD.unpack(header)[2]
            data = f.read(length)
            if len(data) != length:
                sys.exit(f"{path} ends in the middle of a packet")
            yield data


def check(path_in, path_out):
    originals = packets(path_in)
    count = 0
    for copy in packets(path_out):
        # What is skipped was dropped.
        if not any(copy == original for original in originals):
            sys.exit(f"packet {count} of {path_out}, whose bytes say number"
                     f" {int.from_bytes(copy[NUMBER], 'big')}, is none of those that could follow")
        count += 1
    print(count)


if len(sys.argv) == 4 and sys.argv[1] == "make":
    make(int(sys.argv[2]), sys.argv[3])
elif len(sys.argv) == 5 and sys.argv[1] == "make" and sys.argv[4] in ("1", "2"):
    make(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
elif len(sys.argv) == 4 and sys.argv[1] == "check":
    check(sys.argv[2], sys.argv[3])
else:
    sys.exit(__doc__)
