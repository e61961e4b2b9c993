"""The test cases of the public QUIC interop runner: what each downloads over which link, and what
has to be seen on the wire. In its words a trace is what passes one end of the link.

A check raises Failed with what is wrong; what it returns is a figure for the report, or nothing.
"""

from dataclasses import dataclass, field
from typing import Callable, Optional

from . import packets
from .link import Direction, Link
from .packets import HANDSHAKE, INITIAL, RETRY, V1, V2, ZERO_RTT

KIB, MIB = 1024, 1024 * 1024

ACK_ECN = 0x03
CRYPTO, PATH_CHALLENGE, PATH_RESPONSE = 0x06, 0x1A, 0x1B
CLIENT_HELLO, CERTIFICATE = 1, 11


class Failed(Exception):
    pass


def both(**settings):
    return Link(Direction(**settings), Direction(**settings))


LINK_NOISE = dict(loss=0.01, reorder=0.01, duplicate=0.01)


@dataclass
class Case:
    name: str
    files: list
    client: str = ""  # TESTCASE; empty: transfer
    server: str = ""  # empty: as the client
    link: Link = field(default_factory=Link)
    host: str = "server4"
    seconds: int = 60
    handshakes: Optional[int] = 1
    version: Optional[int] = V1  # of the server's Initials
    name_length: int = 0  # of the files' names; 0: short ones
    alpn: str = "hq-interop"
    chain: int = 1  # certificates that the server shows
    protocol: str = "quic"  # which peers play it: those with it in their list
    lines: bool = False  # the files are text
    cross_flow: bool = False
    alone: bool = False  # it measures: nothing runs beside it
    check: Optional[Callable] = None

    def __post_init__(self):
        self.client = self.client or "transfer"
        self.server = self.server or self.client


class Run:
    """What the checks look at: both traces, parsed and decoded."""

    def __init__(self, case, client, server, seconds):
        self.case, self.client, self.server, self.seconds = case, client, server, seconds

    @staticmethod
    def longs(trace, from_client, kind):
        return [header for packet in trace if packet.from_client == from_client
                for header in packet.long if header.kind == kind]


def of(packet, field_name):
    """The numbers of a field in one datagram."""
    numbers = []
    for value in packet.values(field_name):
        if value.lower() in ("true", "false"):
            numbers.append(int(value.lower() == "true"))
        elif value:
            numbers.append(int(value, 0))
    return numbers


def has_frame(packet, kind):
    return kind in of(packet, "quic.frame_type")


def check_common(run):
    """What holds in all cases: version, number of handshakes, no Retry but where one is wanted."""
    initials = run.longs(run.server, False, INITIAL)
    versions = {header.version for header in initials}
    if run.case.version is not None and versions != {run.case.version}:
        raise Failed("versions in the server's Initials: " +
                     (", ".join(f"{version:#x}" for version in sorted(versions)) or "none"))
    found = len({header.scid for header in initials})
    if run.case.handshakes is not None and found != run.case.handshakes:
        raise Failed(f"{found} handshakes, {run.case.handshakes} wanted")
    if run.case.name in ("handshake", "longrtt") and run.longs(run.client, False, RETRY):
        raise Failed("a Retry that nobody wanted")


def check_longrtt(run):
    hellos = sum(1 for packet in run.server if packet.from_client and packet.long and
                 packet.long[0].kind == INITIAL and
                 (CLIENT_HELLO in of(packet, "tls.handshake.type") or
                  0 in of(packet, "quic.crypto.offset")))
    if hellos < 2:
        raise Failed(f"{hellos} ClientHello, at least 2 wanted")
    return f"{hellos} ClientHello"


def check_chacha20(run):
    suites = set()
    for packet in run.client:
        if packet.from_client and CLIENT_HELLO in of(packet, "tls.handshake.type"):
            suites |= set(of(packet, "tls.handshake.ciphersuite"))
    if suites != {0x1303}:
        raise Failed("ciphers offered: " + ", ".join(f"{suite:#06x}" for suite in sorted(suites)))


def check_multiplexing(run):
    limits = [limit for packet in run.server if not packet.from_client
              for limit in of(packet, "tls.quic.parameter.initial_max_streams_bidi")]
    if not limits:
        raise Failed("the server's transport parameters were not seen")
    if max(limits) > 1000:
        raise Failed(f"initial_max_streams_bidi is {max(limits)}")
    return f"initial_max_streams_bidi {max(limits)}"


def check_retry(run):
    retries = run.longs(run.client, False, RETRY)
    if not retries:
        raise Failed("no Retry")
    highest, used = -1, False
    for packet in run.client:
        if not packet.from_client or not packet.long or packet.long[0].kind != INITIAL:
            continue
        number = (of(packet, "quic.packet_number") or [None])[0]
        if number is None:
            raise Failed("an Initial could not be read")
        if not packet.long[0].token:
            highest = max(highest, number)
            continue
        if number <= highest:
            raise Failed(f"packet number {number} after the Retry, {highest} before it")
        used = used or packet.long[0].token == retries[0].token
    if not used:
        raise Failed("no Initial has the Retry's token")


def shows_certificate(run, scid):
    return any(CERTIFICATE in of(packet, "tls.handshake.type") for packet in run.server
               if not packet.from_client and any(header.scid == scid for header in packet.long))


def server_ids(run):
    return list(dict.fromkeys(header.scid for header in run.longs(run.server, False, INITIAL)))


def check_resumption(run):
    first, second = server_ids(run)
    if not shows_certificate(run, first):
        raise Failed("no Certificate in the first handshake")
    if shows_certificate(run, second):
        raise Failed("a Certificate in the second handshake")


def check_zerortt(run):
    check_resumption(run)
    early = sum(header.size for header in run.longs(run.server, True, ZERO_RTT))
    late = sum(packet.short for packet in run.server if packet.from_client)
    if early == 0:
        raise Failed("no 0-RTT packet")
    if late > 5000:
        raise Failed(f"{late} bytes in the client's 1-RTT packets")
    return f"0-RTT {early} B, 1-RTT {late} B"


def check_http3(run):
    names = {name for packet in run.server for name in packet.values(
        "tls.handshake.extensions_alpn_str")}
    if "h3" not in names:
        raise Failed("ALPN: " + ", ".join(sorted(names)))


def check_keyupdate(run):
    phases = {True: [0, 0], False: [0, 0]}
    for packet in run.client:
        for phase in of(packet, "quic.key_phase"):
            phases[packet.from_client][phase] += 1
    said = f"key phase 0/1: client {phases[True][0]}/{phases[True][1]}, " \
           f"server {phases[False][0]}/{phases[False][1]}"
    if not phases[True][1] or not phases[False][1]:
        raise Failed(said)
    return said


def check_ecn(run):
    said = []
    for from_client, trace, who in ((True, run.client, "client"), (False, run.server, "server")):
        sent = [packet for packet in trace if packet.from_client == from_client]
        marks = [sum(1 for packet in sent if packet.ecn == mark) for mark in range(4)]
        if not marks[1] + marks[2]:
            raise Failed(f"the {who} marks nothing")
        if marks[3]:
            raise Failed(f"{marks[3]} packets of the {who} leave with CE")
        acks = sum(1 for packet in sent if has_frame(packet, ACK_ECN))
        if not acks:
            raise Failed(f"the {who} sends no ACK with counts of marks")
        said.append(f"{who}: {marks[1] + marks[2]} of {len(sent)} marked, {acks} ACK-ECN")
    return "; ".join(said)


def check_amplificationlimit(run):
    crypto = sum(sum(of(packet, "quic.crypto.length")) for packet in run.server
                 if not packet.from_client and any(h.kind == HANDSHAKE for h in packet.long))
    if crypto < 7500:
        raise Failed(f"{crypto} bytes of the server's Handshake CRYPTO: the limit is not met")
    received = sent = 0
    for packet in run.server:
        if packet.from_client:
            if any(header.kind == HANDSHAKE for header in packet.long):
                return f"{crypto} B of CRYPTO, {sent} B sent for {received} B before the " \
                       "client's Handshake"
            received += len(packet.payload)
        else:
            sent += len(packet.payload)
            if sent > 3 * received:
                raise Failed(f"{sent} bytes sent for {received} received, before the address was "
                             "validated")
    raise Failed("no Handshake packet of the client came")


def check_ipv6(run):
    if any(packet.is_ipv4 for packet in run.server + run.client):
        raise Failed("packets of IPv4")


def check_v2(run):
    if {header.version for header in run.longs(run.client, True, INITIAL)[:1]} != {V1}:
        raise Failed("the client does not begin with version 1")
    for from_client in (True, False):
        versions = {h.version for h in run.longs(run.server, from_client, HANDSHAKE)}
        if versions != {V2}:
            raise Failed("versions in Handshake packets: " +
                         ", ".join(f"{version:#x}" for version in versions))


def paths_of(run):
    """The server's first packet on each path, in order; a path is named by the client's end."""
    first = {}
    for packet in run.server:
        if not packet.from_client and packet.payload:
            first.setdefault((packet.source, packet.source_port, packet.destination,
                              packet.destination_port), packet)
    return first


def check_paths(run):
    first = paths_of(run)
    if len(first) < 2:
        raise Failed("the server has sent on one path only")
    for path, packet in list(first.items())[1:]:
        if not packet.values("quic.frame_type"):
            # Of a client whose connection id has no bytes Wireshark cannot tell to which connection
            # a packet to another port belongs. What the client answers shows what was asked.
            answers = [answer for answer in run.server if answer.from_client and
                       answer.number > packet.number and has_frame(answer, PATH_RESPONSE) and
                       (answer.destination, answer.destination_port, answer.source,
                        answer.source_port) == path]
            if not answers:
                raise Failed(f"no PATH_CHALLENGE can be read in packet {packet.number}, the first "
                             "on a new path, and none is answered there")
            continue
        if not has_frame(packet, PATH_CHALLENGE):
            raise Failed(f"the server's first packet on a new path, number {packet.number}, has no "
                         "PATH_CHALLENGE")
        wanted = set(packet.values("quic.path_challenge.data"))
        if not any(wanted & set(answer.values("quic.path_response.data")) for answer in run.server
                   if answer.from_client and answer.number > packet.number):
            raise Failed(f"the PATH_CHALLENGE of packet {packet.number} has no answer")
    return f"{len(first)} paths"


def check_rebind_addr(run):
    said = check_paths(run)
    if len({destination for _, _, destination, _ in paths_of(run)}) < 2:
        raise Failed("the server saw one address of the client only")
    return said


def check_migration(run):
    said = check_paths(run)
    known, seen = set(), {}
    for packet in run.server:
        if not packet.from_client or not packet.values("quic.dcid"):
            continue
        path = (packet.source, packet.source_port, packet.destination, packet.destination_port)
        ids = set(packet.values("quic.dcid"))
        if path not in seen:
            if seen and ids & known:
                raise Failed("the client keeps the connection id on the new path")
            seen[path] = packet
        known |= ids
    return said


def payloads(run, protocol):
    found = [packet for packet in run.server if packet.protocol == protocol]
    if not {packet.from_client for packet in found} == {True, False}:
        raise Failed("nothing was said both ways")
    return found


def check_tls(run):
    """TCP alone, in which nothing that was said can be read."""
    said = payloads(run, packets.TCP)
    if payloads_of_udp := [packet for packet in run.server if packet.protocol == packets.UDP]:
        raise Failed(f"{len(payloads_of_udp)} packets of UDP")
    return f"{len(said)} packets of TCP"


def check_sctp(run):
    """RFC 6951: each datagram is a packet of SCTP, whose checksum is right."""
    said = payloads(run, packets.UDP)
    for packet in said:
        if len(packet.payload) < 16 or not packets.is_sctp(packet.payload):
            raise Failed(f"packet {packet.number} is no SCTP")
    return f"{len(said)} packets of SCTP"


def check_dtls(run):
    """RFC 7983: each datagram begins with a record of DTLS."""
    said = payloads(run, packets.UDP)
    for packet in said:
        if not packet.payload or not 20 <= packet.payload[0] <= 63:
            raise Failed(f"packet {packet.number} is no DTLS")
    return f"{len(said)} packets of DTLS"


def goodput(run):
    """As the public runner has it: the files' bytes, from the first to the last of the server's
    1-RTT packets."""
    times = [packet.time for packet in run.client if not packet.from_client and packet.short]
    if len(times) < 2 or times[-1] == times[0]:
        raise Failed("no time can be measured")
    return f"{sum(run.case.files) * 8 / (times[-1] - times[0]) / 1e3:.0f} kbit/s"


CASES = [
    Case("handshake", [KIB], "handshake"),
    Case("transfer", [2 * MIB, 3 * MIB, 5 * MIB]),
    Case("longrtt", [KIB], "handshake", link=both(delay=0.75), check=check_longrtt),
    Case("chacha20", [3 * MIB], "chacha20", check=check_chacha20),
    Case("multiplexing", [32] * 1999, check=check_multiplexing),
    Case("retry", [10 * KIB], "retry", check=check_retry),
    Case("resumption", [5 * KIB, 10 * KIB], "resumption", handshakes=2, check=check_resumption),
    Case("zerortt", [32] * 40, "zerortt", handshakes=2, name_length=250, check=check_zerortt),
    Case("http3", [5 * KIB, 10 * KIB, 500 * KIB], "http3", alpn="h3", check=check_http3),
    Case("blackhole", [10 * MIB], link=Link(dark=(5, 2))),
    Case("keyupdate", [3 * MIB], "keyupdate", "transfer", check=check_keyupdate),
    Case("ecn", [100 * KIB], "ecn", check=check_ecn),
    Case("amplificationlimit", [5 * KIB], link=Link(to_server=Direction(drop=(2, 3, 4, 5, 6, 7))),
         chain=9, check=check_amplificationlimit),
    Case("handshakeloss", [KIB] * 50, "multiconnect", link=both(loss=0.3), seconds=300,
         handshakes=50),
    Case("transferloss", [2 * MIB], link=both(loss=0.02)),
    Case("handshakecorruption", [KIB] * 50, "multiconnect", link=both(corrupt=0.3), seconds=300,
         handshakes=50),
    Case("transfercorruption", [2 * MIB], link=both(corrupt=0.02)),
    Case("ipv6", [5 * KIB, 10 * KIB], host="server6", check=check_ipv6),
    Case("v2", [KIB], "v2", version=V2, check=check_v2),
    Case("rebind-port", [10 * MIB], link=Link(rebind="port"), check=check_paths),
    Case("rebind-addr", [10 * MIB], link=Link(rebind="addr"), check=check_rebind_addr),
    Case("connectionmigration", [2 * MIB], "transfer", "connectionmigration", host="server46",
         check=check_migration),
    Case("goodput", [10 * MIB], alone=True, check=goodput),
    Case("crosstraffic", [25 * MIB], cross_flow=True, alone=True, check=goodput),
    # Not the runner's: the other stacks. What is sent comes back.
    Case("tls-echo", [100 * KIB], "tls-echo", protocol="tls", lines=True, check=check_tls),
    Case("tls-echo-loss", [100 * KIB], "tls-echo", protocol="tls", lines=True,
         link=both(**LINK_NOISE), check=check_tls),
    Case("sctp-echo", [], "sctp-echo", protocol="sctp", check=check_sctp),
    Case("sctp-echo-loss", [], "sctp-echo", protocol="sctp", link=both(**LINK_NOISE),
         check=check_sctp),
    Case("datachannel", [], "datachannel", protocol="webrtc", check=check_dtls),
]
BY_NAME = {case.name: case for case in CASES}
