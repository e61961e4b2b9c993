"""Two network namespaces and the link between them: in each a TUN device, and this program at the
other end of both. What it does to packets is drawn from a seed, in each direction by itself.

Everything lives as long as this process: nothing has a name outside of it, and nothing is left.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import time
from collections import deque
from dataclasses import dataclass, field

from . import packets

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
DEVICE = "link0"
CLIENT, SERVER = "client", "server"
ADDRESSES = {CLIENT: ("10.99.0.100", "fd00:99::100"), SERVER: ("10.99.100.100", "fd00:99:100::100")}
# What is kept of packets that are not QUIC, such as the TCP of a cross flow.
KEPT_OF_OTHERS = 96
MOST_KEPT = 400_000  # packets a trace


@dataclass
class Direction:
    """One direction: times in seconds, rate in bit/s, queue in packets, chances from 0 to 1."""

    delay: float = 0.015
    jitter: float = 0.0
    rate: float = 10e6
    queue: int = 25
    loss: float = 0.0
    corrupt: float = 0.0
    burst: int = 3  # so many in a row are lost or corrupted at most
    reorder: float = 0.0  # let go at once, before those that wait
    duplicate: float = 0.0
    drop: tuple = ()  # the UDP packets with these numbers, from 1 on


@dataclass
class Link:
    to_server: Direction = field(default_factory=Direction)
    to_client: Direction = field(default_factory=Direction)
    dark: tuple = ()  # (seconds on, seconds off), again and again
    rebind: str = ""  # "port" or "addr": what a NAT at the client's side changes
    rebind_first: float = 1.0
    rebind_every: float = 5.0


class Way:
    """The state of one direction."""

    def __init__(self, settings, seed):
        self.settings, self.random = settings, random.Random(seed)
        self.free_at = 0.0
        self.waiting = deque()  # when each packet in the queue leaves it
        self.in_a_row = 0
        self.count = 0
        self.lost = self.overflowed = self.corrupted = 0

    def chance(self, of):
        return of > 0 and self.random.random() < of

    def spoilt(self, chance):
        """Whether this one is hit, with no more than `burst` in a row."""
        if not self.chance(chance) or self.in_a_row >= self.settings.burst:
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        return True

    def take(self, packet, now):
        """When which packets arrive: (time, packet)..."""
        settings = self.settings
        if packets.transport(packet)[0] == packets.UDP:
            self.count += 1
            if self.count in settings.drop:
                self.lost += 1
                return []
        while self.waiting and self.waiting[0] <= now:
            self.waiting.popleft()
        if len(self.waiting) >= settings.queue:
            self.overflowed += 1
            return []
        self.free_at = max(self.free_at, now) + len(packet) * 8 / settings.rate
        self.waiting.append(self.free_at)
        if settings.loss and self.spoilt(settings.loss):
            self.lost += 1
            return []
        if settings.corrupt and self.spoilt(settings.corrupt):
            self.corrupted += 1
            packet = packets.corrupted(packet, self.random)
        arrives = self.free_at
        if not self.chance(settings.reorder):
            arrives += settings.delay + settings.jitter * self.random.random()
        twice = self.chance(settings.duplicate)
        return [(arrives, packet)] * (2 if twice else 1)


class Nat:
    """Stands in front of the client and gives it other ports or addresses while it talks. What
    comes to an earlier one finds nobody."""

    def __init__(self, what):
        self.what, self.generation = what, 0
        self.back = {}  # (protocol, address, port) outside: those inside
        self.out = {}

    def rebind(self):
        self.generation += 1
        self.back.clear()
        self.out.clear()

    @staticmethod
    def end(packet, at, destination):
        """Where the address and the port of one end stand."""
        size = 4 if packet[0] >> 4 == 4 else 16
        first = (12 if size == 4 else 8) + (size if destination else 0)
        port = at + 2 if destination else at
        return slice(first, first + size), slice(port, port + 2)

    def pass_on(self, packet, to_server):
        protocol, at = packets.transport(packet)
        if protocol != packets.UDP:
            return packet
        address, port = self.end(packet, at, not to_server)
        here = packet[address], packet[port]
        if to_server:
            there = self.out.get(here)
            if there is None:
                there = self.out[here] = self.outside(*here)
                self.back[there] = here
        else:
            there = self.back.get(here)
            if there is None:
                return None
        if there == here:
            return packet
        changed = bytearray(packet)
        changed[address], changed[port] = there
        return packets.with_checksums(changed)

    def outside(self, address, port):
        if self.generation == 0:
            return address, port
        number = int.from_bytes(port, "big")
        if self.what == "port":
            return address, struct.pack("!H", 1024 + (number + 7919 * self.generation) % 64000)
        last = (address[-1] + self.generation - 100) % 100 + 100
        return address[:-1] + bytes([last]), port


class Emulator:
    """The namespaces, and the link while it runs."""

    def __init__(self, link, seed, traces):
        """`traces`: CLIENT and SERVER, what passes each end: has add(time, from_client, packet)."""
        self.link, self.traces = link, traces
        self.ways = {SERVER: Way(link.to_server, seed * 2 + 1),
                     CLIENT: Way(link.to_client, seed * 2)}
        self.nat = Nat(link.rebind) if link.rebind else None
        self.next_rebind = None
        self.on_the_way = []
        self.order = 0
        self.began, self.awaited = None, False
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.tuns, self.namespaces = {}, {}
        for side in (CLIENT, SERVER):
            self.make_namespace(side)

    def make_namespace(self, side):
        if self.libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "a network namespace cannot be made")
        self.namespaces[side] = os.open("/proc/self/ns/net", os.O_RDONLY)
        os.set_inheritable(self.namespaces[side], True)
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
        self.tuns[side] = tun
        ipv4, ipv6 = ADDRESSES[side]
        for words in (f"link set lo up", f"addr add {ipv4}/24 dev {DEVICE}",
                      f"-6 addr add {ipv6}/64 dev {DEVICE} nodad", f"link set {DEVICE} mtu 1500 up",
                      f"route add default dev {DEVICE}", f"-6 route add default dev {DEVICE}"):
            subprocess.run(["ip", *words.split()], check=True)

    def inside(self, side):
        """The beginning of a command that runs in one namespace, whose number pass_fds needs."""
        return ["nsenter", f"--net=/proc/self/fd/{self.namespaces[side]}"]

    def start(self):
        """Blackholes and rebindings count from the client's first packet on: how long a program takes
        to start is no part of the case."""
        self.awaited = True

    def begin(self, now):
        self.awaited, self.began = False, now
        if self.nat:
            self.next_rebind = now + self.link.rebind_first

    def is_dark(self, now):
        if not self.link.dark or self.began is None:
            return False
        on, off = self.link.dark
        return (now - self.began) % (on + off) >= on

    def run(self, until):
        """Moves packets until `until(now)` says so; it is asked 20 times a second."""
        ask_at = 0.0
        while True:
            now = time.monotonic()
            if now >= ask_at:
                if until(now):
                    return
                ask_at = now + 0.05
            if self.next_rebind and now >= self.next_rebind:
                self.nat.rebind()
                self.next_rebind += self.link.rebind_every
            self.deliver(now)
            wake = min(ask_at, self.on_the_way[0][0]) if self.on_the_way else ask_at
            ready, _, _ = select.select(list(self.tuns.values()), [], [], max(0.0, wake - now))
            for tun in ready:
                self.take(CLIENT if tun == self.tuns[CLIENT] else SERVER)

    def take(self, side):
        other = SERVER if side == CLIENT else CLIENT
        for _ in range(64):
            try:
                packet = os.read(self.tuns[side], 65536)
            except BlockingIOError:
                return
            if packets.is_multicast(packet):
                continue  # IPv6 looking for neighbours and routers, who are not there
            now = time.monotonic()
            if self.awaited and side == CLIENT:
                self.begin(now)
            self.traces[side].add(time.time(), side == CLIENT, packet)
            for arrives, arrived in self.ways[other].take(packet, now):
                self.order += 1
                heapq.heappush(self.on_the_way, (arrives, self.order, other, arrived))

    def deliver(self, now):
        while self.on_the_way and self.on_the_way[0][0] <= now:
            _, _, side, packet = heapq.heappop(self.on_the_way)
            if self.is_dark(now):
                self.ways[side].lost += 1
                continue
            if self.nat:
                packet = self.nat.pass_on(packet, side == SERVER)
                if packet is None:
                    continue
            self.traces[side].add(time.time(), side == SERVER, bytes(packet))
            try:
                os.write(self.tuns[side], packet)
            except OSError:
                pass  # it has no room: lost, as in any network

    def counts(self):
        return {f"to {side}": {"packets": way.count, "lost": way.lost,
                               "overflowed": way.overflowed, "corrupted": way.corrupted}
                for side, way in self.ways.items()}


class Trace:
    """What passes one end of the link, in memory, to be written as one pcapng."""

    def __init__(self):
        self.packets = []

    def add(self, now, from_client, packet):
        if len(self.packets) >= MOST_KEPT:
            return
        protocol, _ = packets.transport(packet)
        kept = packet if protocol == packets.UDP else packet[:KEPT_OF_OTHERS]
        self.packets.append((now, from_client, kept, len(packet)))

    def write(self, path, keys):
        """With the keys inside: whoever opens it sees what is in the packets (pcapng 4.7)."""

        def block(kind, body):
            body += bytes(-len(body) % 4)
            size = struct.pack("<I", len(body) + 12)
            return struct.pack("<I", kind) + size + body + size

        with open(path, "wb") as out:
            out.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
            # 101: LINKTYPE_RAW; option if_tsresol, 9: nanoseconds, and the end of options.
            out.write(block(1, struct.pack("<HHIHHI", 101, 0, 0, 9, 1, 9) + bytes(4)))
            if keys:
                out.write(block(10, struct.pack("<II", 0x544C534B, len(keys)) + keys))
            for now, _, packet, size in self.packets:
                stamp = int(now * 1e9)
                head = struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(packet), size)
                out.write(block(6, head + packet))

    def parsed(self):
        return [packets.Packet(number, now, from_client, packet)
                for number, (now, from_client, packet, _) in enumerate(self.packets, 1)]
