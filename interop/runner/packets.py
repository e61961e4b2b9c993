"""IP, UDP and QUIC's long headers, as far as they can be read without keys: what the link changes
in packets, and what the checks count in them (RFC 8999, RFC 9000 17.2, RFC 9369 3.2)."""

import socket
import struct

UDP, TCP = 17, 6
V1, V2 = 0x00000001, 0x6B3343CF
INITIAL, ZERO_RTT, HANDSHAKE, RETRY, NEGOTIATION = "initial", "0rtt", "handshake", "retry", "vn"
TYPES = {V1: [INITIAL, ZERO_RTT, HANDSHAKE, RETRY], V2: [RETRY, INITIAL, ZERO_RTT, HANDSHAKE]}


def transport(packet):
    """(protocol, where its header begins) of an IP packet without extension headers."""
    if packet[0] >> 4 == 4:
        return packet[9], (packet[0] & 15) * 4
    return packet[6], 40


def is_multicast(packet):
    return packet[24] == 0xFF if packet[0] >> 4 == 6 else packet[16] >> 4 == 14


def ecn(packet):
    return packet[1] & 3 if packet[0] >> 4 == 4 else packet[1] >> 4 & 3


def addresses(packet):
    if packet[0] >> 4 == 4:
        return socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    return (socket.inet_ntop(socket.AF_INET6, packet[8:24]),
            socket.inet_ntop(socket.AF_INET6, packet[24:40]))


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data = bytes(data) + b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_checksums(packet):
    """The packet, a bytearray, with those of IPv4 and UDP made anew."""
    protocol, at = transport(packet)
    if packet[0] >> 4 == 4:
        packet[10:12] = b"\0\0"
        packet[10:12] = struct.pack("!H", checksum(packet[:at]))
        pseudo = packet[12:20]
    else:
        pseudo = packet[8:40]
    if protocol == UDP:
        packet[at + 6:at + 8] = b"\0\0"
        head = bytes(pseudo) + struct.pack("!HH", UDP, len(packet) - at)
        packet[at + 6:at + 8] = struct.pack("!H", checksum(head + packet[at:]) or 0xFFFF)
    return packet


def corrupted(packet, random):
    """One byte of what UDP carries is another. UDP's checksum fits, so that QUIC has to see it."""
    protocol, at = transport(packet)
    if protocol != UDP or len(packet) <= at + 8:
        return packet
    changed = bytearray(packet)
    changed[random.randrange(at + 8, len(packet))] ^= random.randrange(1, 256)
    return with_checksums(changed)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def is_sctp(data):
    """RFC 9260, 6.8 and appendix A."""
    return len(data) >= 12 and crc32c(data[:8] + bytes(4) + data[12:]) == \
        int.from_bytes(data[8:12], "little")


class LongHeader:
    """One packet with a long header; `size` is that of its payload."""

    def __init__(self, version, kind, dcid, scid, token, size):
        self.version, self.kind, self.dcid, self.scid = version, kind, dcid, scid
        self.token, self.size = token, size


def varint(data, at):
    length = 1 << (data[at] >> 6)
    value = int.from_bytes(data[at:at + length], "big") & ((1 << (8 * length - 2)) - 1)
    return value, at + length


def quic_headers(data):
    """The long headers in one datagram, and the bytes that stand behind a short one or none."""
    found, at = [], 0
    try:
        while at < len(data) and data[at] & 0x80:
            first, version = data[at], int.from_bytes(data[at + 1:at + 5], "big")
            at += 5
            dcid = bytes(data[at + 1:at + 1 + data[at]])
            at += 1 + data[at]
            scid = bytes(data[at + 1:at + 1 + data[at]])
            at += 1 + data[at]
            kinds = TYPES.get(version)
            kind = kinds[first >> 4 & 3] if kinds else NEGOTIATION
            if kind in (RETRY, NEGOTIATION):
                token = bytes(data[at:-16]) if kind == RETRY else b""
                found.append(LongHeader(version, kind, dcid, scid, token, len(data) - at))
                return found, 0
            token = b""
            if kind == INITIAL:
                length, at = varint(data, at)
                token = bytes(data[at:at + length])
                at += length
            size, at = varint(data, at)
            found.append(LongHeader(version, kind, dcid, scid, token, size))
            at += size
    except IndexError:  # cut short, or corrupted
        return found, 0
    # Behind long headers there may be padding, which is zero; a datagram that begins with a short
    # one is a packet also where the fixed bit is greased (RFC 9287).
    is_short = at < len(data) and (not found or data[at] & 0x40)
    return found, len(data) - at if is_short else 0


class Packet:
    """One packet of a trace, as it passed one end of the link."""

    def __init__(self, number, time, from_client, raw):
        self.number, self.time, self.from_client, self.raw = number, time, from_client, raw
        self.protocol, at = transport(raw)
        self.is_ipv4 = raw[0] >> 4 == 4
        self.ecn = ecn(raw)
        self.source, self.destination = addresses(raw)
        self.source_port = self.destination_port = 0
        self.payload = b""
        self.long, self.short = [], 0
        self.decoded = {}  # what tshark says: field to list of values
        if self.protocol in (UDP, TCP) and len(raw) >= at + 8:
            self.source_port, self.destination_port = struct.unpack_from("!HH", raw, at)
        if self.protocol == UDP:
            self.payload = raw[at + 8:]
            self.long, self.short = quic_headers(self.payload)

    def values(self, field):
        return self.decoded.get(field, [])
