#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest that does what testpmd does not, at a vhost back end that sends packets back.

usage: vhost_guest.py CASE SOCKET

  memory   gets memory and loses it again while copies are under way; no packet may suffer
  enable   stops its queues and starts them while copies are under way
  two      comes while another is there: that one goes on, and the new one is served when it goes
  hostile  says that it has more buffers than its ring has, and goes; the next guest is served
  packets  sends packets and gets them back
  leave    sends packets and goes
"""

import array
import mmap
import os
import select
import socket
import struct
import sys
import time

OWNER, FEATURES_GET, FEATURES_SET, MEMORY = 3, 1, 2, 5
NUM, ADDR, BASE, KICK, CALL = 8, 9, 10, 12, 13
PROTOCOL_GET, PROTOCOL_SET, ENABLE = 15, 16, 18
VERSION_1, PROTOCOL = 1 << 32, 1 << 30

RX, TX = 0, 1
SIZE = 256  # of a ring
ROOM = 4096  # of a buffer
HEADER = 12
MB = 1 << 20
RINGS, BUFFERS, LENGTH = 0, 1 * MB, 4 * MB
GUEST = 1 << 32
PATIENCE = 60


class Guest:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.regions = []
        self.more_memory()
        self.memory = self.regions[0][1]
        # An index has to change all at once, which struct does not see to.
        self.words = memoryview(self.memory).cast("H")
        self.message(OWNER)
        offered = self.ask(FEATURES_GET)
        self.ask(PROTOCOL_GET)
        self.message(PROTOCOL_SET, struct.pack("=Q", 0))
        self.message(FEATURES_SET, struct.pack("=Q", offered & (VERSION_1 | PROTOCOL)))
        self.tell_memory()
        self.available, self.used, self.events = [0, 0], [0, 0], []
        for queue in (RX, TX):
            ring = GUEST + RINGS + queue * 0x10000
            self.message(NUM, struct.pack("=II", queue, SIZE))
            self.message(BASE, struct.pack("=II", queue, 0))
            self.message(ADDR, struct.pack("=IIQQQQ", queue, 0, ring, ring + 0x8000, ring + 0x4000, 0))
            for request in (KICK, CALL):
                self.events.append(os.eventfd(0, os.EFD_NONBLOCK))
                self.message(request, struct.pack("=Q", queue), self.events[-1:])
        for i in range(SIZE):
            self.offer(RX, i, ROOM)
        self.enable(1)
        self.sent = self.received = 0

    def message(self, request, payload=b"", fds=()):
        self.socket.sendmsg(
            [struct.pack("=III", request, 1, len(payload)) + payload],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [],
        )

    def ask(self, request):
        self.message(request)
        return struct.unpack("=IIIQ", self.socket.recv(20, socket.MSG_WAITALL))[3]

    def enable(self, on):
        for queue in (RX, TX):
            self.message(ENABLE, struct.pack("=II", queue, on))
        # Until that is done: lib/vhost hangs up when a queue that is to start has copies under way.
        self.ask(FEATURES_GET)

    def more_memory(self):
        fd = os.memfd_create("guest")
        os.ftruncate(fd, LENGTH)
        self.regions.append((fd, mmap.mmap(fd, LENGTH)))

    def tell_memory(self):
        """The newest first: the back end is likely to have that where it had the others before."""
        table = struct.pack("=II", len(self.regions), 0)
        for i in reversed(range(len(self.regions))):
            address = GUEST + i * 16 * MB
            table += struct.pack("=QQQQ", address, LENGTH, address, 0)
        self.message(MEMORY, table, [fd for fd, _ in reversed(self.regions)])

    def buffer(self, queue, i):
        return BUFFERS + (queue * SIZE + i) * ROOM

    def offer(self, queue, i, length):
        ring = RINGS + queue * 0x10000
        struct.pack_into(
            "=QIHH", self.memory, ring + i * 16, GUEST + self.buffer(queue, i), length,
            2 if queue == RX else 0, 0,
        )
        struct.pack_into("=H", self.memory, ring + 0x4004 + self.available[queue] % SIZE * 2, i)
        self.say_available(queue, 1)

    def say_available(self, queue, more):
        self.available[queue] = (self.available[queue] + more) & 0xFFFF
        self.words[(RINGS + queue * 0x10000 + 0x4002) // 2] = self.available[queue]

    def take(self, queue):
        """The next buffer that is used, and how far; None: none is."""
        ring = RINGS + queue * 0x10000 + 0x8000
        if self.words[(ring + 2) // 2] == self.used[queue]:
            return None
        used = struct.unpack_from("=II", self.memory, ring + 4 + self.used[queue] % SIZE * 8)
        self.used[queue] = (self.used[queue] + 1) & 0xFFFF
        return used

    @staticmethod
    def packet(number):
        unit = struct.pack("=Q", number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
        return (unit * (ROOM // 8))[: 64 + number * 997 % 3900]

    def send(self):
        while self.take(TX):
            pass
        i = self.sent % SIZE
        content = bytes(HEADER) + self.packet(self.sent)
        at = self.buffer(TX, i)
        self.memory[at : at + len(content)] = content
        self.offer(TX, i, len(content))
        self.sent += 1

    def receive(self):
        used = self.take(RX)
        if not used:
            return False
        i, length = used
        at = self.buffer(RX, i) + HEADER
        if self.memory[at : at + length - HEADER] != self.packet(self.received):
            sys.exit(f"error: packet {self.received} is not as it was sent, or missing")
        self.received += 1
        self.offer(RX, i, ROOM)
        return True

    def exchange(self, packets, while_waiting=None):
        """Send packets, and see that they come back, whole and in order."""
        end = time.monotonic() + PATIENCE
        until = self.sent + packets
        while self.received < until:
            if self.sent < until and self.sent - self.received < SIZE // 2:
                self.send()
                continue
            if self.receive():
                end = time.monotonic() + PATIENCE
            elif while_waiting:
                while_waiting()
                while_waiting = None
            elif select.select([self.socket], [], [], 0.001)[0]:
                sys.exit("error: the back end has hung up")
            elif time.monotonic() > end:
                sys.exit(f"error: {self.received} packets came back of {self.sent}")

    def leave(self):
        self.socket.close()


def wait_for_stall(guest):
    """Until packets have stopped coming back: copies are under way then."""
    last = time.monotonic()
    while time.monotonic() - last < 0.2:
        if guest.receive():
            last = time.monotonic()
            guest.send()


def start_copies(guest):
    for _ in range(SIZE // 2):
        guest.send()
    wait_for_stall(guest)


def memory(guest, _):
    start_copies(guest)
    guest.more_memory()
    guest.tell_memory()
    guest.exchange(200)
    del guest.regions[1]
    guest.tell_memory()
    guest.exchange(200)


def enable(guest, _):
    start_copies(guest)
    guest.message(ENABLE, struct.pack("=II", TX, 0))
    guest.message(ENABLE, struct.pack("=II", TX, 1))
    guest.exchange(200)


def two(guest, path):
    guest.exchange(200)
    other = Guest(path)
    time.sleep(0.5)
    guest.exchange(1000)
    guest.leave()
    time.sleep(0.5)
    other.enable(1)
    other.exchange(200)


def hostile(guest, path):
    guest.exchange(200)
    for queue in (RX, TX):
        for _ in range(1000):
            guest.say_available(queue, 5000)
            time.sleep(0.0005)
    guest.leave()
    Guest(path).exchange(200)


def packets(guest, _):
    guest.exchange(2000)


def leave(guest, _):
    start_copies(guest)
    guest.leave()


CASES = {f.__name__: f for f in (memory, enable, two, hostile, packets, leave)}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in CASES:
        sys.exit(__doc__)
    CASES[sys.argv[1]](Guest(sys.argv[2]), sys.argv[2])
