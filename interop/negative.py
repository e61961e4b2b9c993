"""A peer that breaks the rules of RFC 9000 and 9001, one at a time, made of aioquic: what it says
is sealed as it should be and wrong in itself. Each rule has the error code by which a server must end
the connection.

    negative.py HOST PORT ALPN      prints a line for each rule, and "N passed, N failed"
"""

import socket
import ssl
import sys
import time

from aioquic.buffer import encode_uint_var as varint
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (ConnectionTerminated, DatagramFrameReceived, HandshakeCompleted,
                                 StopSendingReceived, StreamDataReceived, StreamReset)
from aioquic.quic.stream import QuicStreamSender
from aioquic.tls import Epoch

# RFC 9000, 20.1
FLOW_CONTROL, STREAM_LIMIT, STREAM_STATE, FINAL_SIZE = 0x03, 0x04, 0x05, 0x06
FRAME_ENCODING, TRANSPORT_PARAMETER, ID_LIMIT, VIOLATION = 0x07, 0x08, 0x09, 0x0A
CRYPTO_BUFFER = 0x0D
# RFC 9001, 4.8: TLS alerts
UNEXPECTED_MESSAGE, MISSING_EXTENSION, NO_APPLICATION_PROTOCOL = 0x10A, 0x16D, 0x178

SECONDS = 5.0  # for a handshake, and for an answer
PARAMETERS_EXTENSION = 0x39


def reset_once(self, *args, **kwargs):
    """aioquic asserts that it hears STOP_SENDING once, and one that was lost is sent again."""
    if self._reset_error_code is None:
        reset(self, *args, **kwargs)


reset, QuicStreamSender.reset = QuicStreamSender.reset, reset_once


class Peer:
    """One connection of aioquic's, driven by hand."""

    def __init__(self, address, alpn, prepare):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=alpn,
                                          verify_mode=ssl.CERT_NONE, server_name="localhost")
        self.quic = QuicConnection(configuration=configuration)
        self.address, self.closed, self.established = address, None, False
        self.received, self.given_up = {}, {}  # of each stream: its bytes; a code, if it was reset
        self.datagrams = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0.02)
        prepare(self.quic)
        self.quic.connect(address, now=time.monotonic())

    def turn(self):
        now = time.monotonic()
        for data, _ in self.quic.datagrams_to_send(now):
            self.socket.sendto(data, self.address)
        try:
            data, sender = self.socket.recvfrom(65536)
            self.quic.receive_datagram(data, sender, time.monotonic())
        except TimeoutError:
            timer = self.quic.get_timer()
            if timer is not None and timer <= time.monotonic():
                self.quic.handle_timer(time.monotonic())
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.established = True
            elif isinstance(event, ConnectionTerminated) and self.closed is None:
                self.closed = event
            elif isinstance(event, StreamDataReceived):
                self.received[event.stream_id] = \
                    self.received.get(event.stream_id, b"") + event.data
            elif isinstance(event, DatagramFrameReceived):
                self.datagrams.append(event.data)
            elif isinstance(event, (StreamReset, StopSendingReceived)):
                self.given_up.setdefault(event.stream_id, event.error_code)

    def run_until(self, condition):
        end = time.monotonic() + SECONDS
        while not condition() and self.closed is None and time.monotonic() < end:
            self.turn()

    def seal(self, epoch, frames, reserved=0):
        """One packet with these frames, and nothing that aioquic would think right."""
        quic = self.quic
        crypto, number = quic._cryptos[epoch], quic._packet_number
        quic._packet_number += 1
        if epoch == Epoch.ONE_RTT:
            head = bytes([0x43 | crypto.key_phase << 2 | reserved << 3]) + quic._peer_cid.cid
        else:
            kind = 0xC3 if epoch == Epoch.INITIAL else 0xE3
            head = bytes([kind | reserved << 2]) + quic._version.to_bytes(4, "big")
            for cid in (quic._peer_cid.cid, quic.host_cid):
                head += bytes([len(cid)]) + cid
            if epoch == Epoch.INITIAL:
                head += b"\0"
                frames += bytes(max(0, 1200 - len(head) - 6 - 16 - len(frames)))
            head += (0x4000 | 4 + len(frames) + 16).to_bytes(2, "big")
        head += number.to_bytes(4, "big")
        self.socket.sendto(crypto.encrypt_packet(head, frames, number), self.address)


def stream(identifier, offset, data, fin=False, length=None):
    """RFC 9000, 19.8: with offset and length."""
    size = len(data) if length is None else length
    return bytes([0x0E | fin]) + varint(identifier) + varint(offset) + varint(size) + data


def new_id(sequence, retire=0, cid=b"12345678", size=None):
    size = len(cid) if size is None else size
    return b"\x18" + varint(sequence) + varint(retire) + bytes([size]) + cid + bytes(16)


# 1-RTT: what is wrong, the frames, and what it has to be called.
FRAMES = [
    ("9000 12.4: a packet without frames", b"", VIOLATION),
    ("9000 12.4: an unknown frame type", b"\x21" + bytes(8), FRAME_ENCODING),
    ("9000 12.4: a frame type that needs two bytes, unknown", varint(0x1F00) + bytes(8),
     FRAME_ENCODING),
    ("9000 19.20: HANDSHAKE_DONE of a client", b"\x1e", VIOLATION),
    ("9000 19.7: NEW_TOKEN of a client", b"\x07\x03abc", VIOLATION),
    ("9000 19.8: STREAM on the server's own direction", stream(3, 0, b"x"), STREAM_STATE),
    ("9000 19.8: STREAM on a stream that the server has not opened", stream(1, 0, b"x"),
     STREAM_STATE),
    ("9000 4.6: STREAM above the limit of streams", stream(4 * 100_000, 0, b"x"), STREAM_LIMIT),
    ("9000 4.6: a one-way STREAM above the limit", stream(4 * 100_000 + 2, 0, b"x"), STREAM_LIMIT),
    ("9000 4.1: STREAM beyond the stream's window", stream(0, 1 << 40, b"x"), FLOW_CONTROL),
    ("9000 19.8: STREAM that ends above 2^62 - 1", stream(0, (1 << 62) - 1, b"x"),
     (FRAME_ENCODING, FLOW_CONTROL)),
    ("9000 19.8: STREAM longer than its packet", stream(0, 0, b"x", length=500), FRAME_ENCODING),
    ("9000 4.5: two ends of one stream", stream(0, 0, b"0123456789", fin=True) +
     stream(0, 0, b"0123456789abcdef", fin=True), FINAL_SIZE),
    ("9000 4.5: data behind the end", stream(0, 0, b"0123456789", fin=True) +
     stream(0, 20, b"x"), FINAL_SIZE),
    ("9000 4.5: an end before what came", stream(0, 20, b"x") + stream(0, 0, b"01", fin=True),
     FINAL_SIZE),
    ("9000 4.5: RESET_STREAM with another end", stream(0, 0, b"0123456789", fin=True) +
     b"\x04\x00\x00" + varint(20), FINAL_SIZE),
    ("9000 4.5: RESET_STREAM below what came", stream(0, 0, b"0123456789") + b"\x04\x00\x00\x02",
     FINAL_SIZE),
    ("9000 4.5: RESET_STREAM beyond the window", b"\x04\x00\x00" + varint(1 << 40), FLOW_CONTROL),
    ("9000 19.4: RESET_STREAM of the server's direction", b"\x04\x03\x00\x00",
     (STREAM_STATE, VIOLATION)),  # a general code may stand for a special one (RFC 9000, 11)
    ("9000 19.5: STOP_SENDING of the client's own direction", b"\x05\x02\x00", STREAM_STATE),
    ("9000 19.5: STOP_SENDING of a stream that is not open", b"\x05\x01\x00", STREAM_STATE),
    ("9000 19.10: MAX_STREAM_DATA of the client's own direction", b"\x11\x02\x10", STREAM_STATE),
    ("9000 19.10: MAX_STREAM_DATA of a stream that is not open", b"\x11\x01\x10", STREAM_STATE),
    ("9000 19.11: MAX_STREAMS above 2^60", b"\x12" + varint((1 << 60) + 1), FRAME_ENCODING),
    ("9000 19.11: one-way MAX_STREAMS above 2^60", b"\x13" + varint((1 << 60) + 1),
     FRAME_ENCODING),
    ("9000 19.13: STREAM_DATA_BLOCKED of the server's direction", b"\x15\x03\x10", STREAM_STATE),
    ("9000 19.14: STREAMS_BLOCKED above 2^60", b"\x16" + varint((1 << 60) + 1), FRAME_ENCODING),
    ("9000 19.15: NEW_CONNECTION_ID that retires itself and more", new_id(20, retire=21),
     FRAME_ENCODING),
    ("9000 19.15: NEW_CONNECTION_ID of no bytes", new_id(20, cid=b"", size=0), FRAME_ENCODING),
    ("9000 19.15: NEW_CONNECTION_ID of 21 bytes", new_id(20, cid=bytes(21), size=21),
     FRAME_ENCODING),
    ("9000 19.15: one number for two connection ids", new_id(20, retire=20) +
     new_id(20, retire=20, cid=b"abcdefgh"), VIOLATION),
    ("9000 5.1.1: more connection ids than were asked for",
     b"".join(new_id(20 + i, cid=b"%08d" % i) for i in range(20)), ID_LIMIT),
    ("9000 19.16: RETIRE_CONNECTION_ID of one that was never given", b"\x19" + varint(5000),
     VIOLATION),
    ("9000 19.16: RETIRE_CONNECTION_ID of the one it came to", b"\x19\x00", VIOLATION),
    ("9000 13.1: ACK of what was never sent", b"\x02" + varint(1 << 30) + b"\0\0\0", VIOLATION),
    ("9000 19.3.1: ACK of numbers below zero", b"\x02\x00\x00\x00\x05", FRAME_ENCODING),
    ("9000 19.6: CRYPTO that ends above 2^62 - 1", b"\x06" + varint((1 << 62) - 1) + b"\x01x",
     FRAME_ENCODING),
    ("9000 7.5: CRYPTO far ahead", b"\x06" + varint(1 << 20) + b"\x01x", CRYPTO_BUFFER),
    ("9001 6: a KeyUpdate of TLS", b"\x06\x00\x05\x18\x00\x00\x01\x00", UNEXPECTED_MESSAGE),
    ("9001 8.3: EndOfEarlyData", b"\x06\x00\x04\x05\x00\x00\x00", UNEXPECTED_MESSAGE),
    ("9000 12.4: a frame that is cut", b"\x04\x00", FRAME_ENCODING),
    ("9000 19.19: CONNECTION_CLOSE longer than its packet", b"\x1c\x00\x00" + varint(500),
     FRAME_ENCODING),
]

# In a client's Initial and Handshake packets only few frames may stand (RFC 9000, 12.4).
EARLY = [
    ("STREAM", stream(0, 0, b"x"), VIOLATION),
    ("MAX_DATA", b"\x10\x40\x40", VIOLATION),
    ("PATH_CHALLENGE", b"\x1a" + bytes(8), VIOLATION),
    ("NEW_CONNECTION_ID", new_id(1), VIOLATION),
    ("an application's CONNECTION_CLOSE", b"\x1d\x00\x00", VIOLATION),
]


def parameter(number, value):
    return varint(number) + varint(len(value)) + value


# Transport parameters: how the good ones are changed. RFC 9000, 7.4: not done: a parameter that is
# there twice, which a server should refuse and ngtcp2 does not.
PARAMETERS = [
    ("9000 18.2: original_destination_connection_id of a client",
     lambda good: good + parameter(0x00, bytes(8))),
    ("9000 18.2: stateless_reset_token of a client",
     lambda good: good + parameter(0x02, bytes(16))),
    ("9000 18.2: preferred_address of a client",
     lambda good: good + parameter(0x0D, bytes(24) + b"\x04abcd" + bytes(16))),
    ("9000 18.2: retry_source_connection_id of a client",
     lambda good: good + parameter(0x10, bytes(8))),
    ("9000 18.2: max_udp_payload_size 1199", lambda good: good + parameter(0x03, varint(1199))),
    ("9000 18.2: ack_delay_exponent 21", lambda good: without(good, 0x0A) +
     parameter(0x0A, varint(21))),
    ("9000 18.2: max_ack_delay 2^14", lambda good: without(good, 0x0B) +
     parameter(0x0B, varint(1 << 14))),
    ("9000 18.2: active_connection_id_limit 1", lambda good: without(good, 0x0E) +
     parameter(0x0E, varint(1))),
    ("9000 4.6: initial_max_streams_bidi above 2^60", lambda good: without(good, 0x08) +
     parameter(0x08, varint((1 << 60) + 1))),
    ("9000 7.3: no initial_source_connection_id", lambda good: without(good, 0x0F)),
    ("9000 7.3: another initial_source_connection_id", lambda good: without(good, 0x0F) +
     parameter(0x0F, b"somebody")),
    ("9000 18: a parameter longer than all of them", lambda good: good + varint(0x04) +
     varint(500)),
]


def read_varint(data, at):
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & ((1 << 8 * size - 2) - 1), at + size


def without(parameters, number):
    kept, at = b"", 0
    while at < len(parameters):
        begin = at
        found, at = read_varint(parameters, at)
        length, at = read_varint(parameters, at)
        at += length
        if found != number:
            kept += parameters[begin:at]
    return kept


class Judge:
    def __init__(self, address, alpn):
        self.address, self.alpn = address, alpn
        self.passed = self.failed = 0

    def begin(self, prepare=lambda quic: None, alpn=None):
        return Peer(self.address, [self.alpn] if alpn is None else alpn, prepare)

    def expect(self, name, peer, codes):
        codes = codes if isinstance(codes, tuple) else (codes,)
        peer.run_until(lambda: False)
        peer.socket.close()
        wanted = " or ".join(f"{code:#x}" for code in codes)
        wrong = "nothing"
        if peer.closed is not None:
            wrong = None if peer.closed.error_code in codes else \
                f"{peer.closed.error_code:#x} ({peer.closed.reason_phrase})"
        self.record(name, wrong, wanted)

    def record(self, name, wrong, wanted):
        """What came in place of what was wanted; None: it was that."""
        if wrong is None:
            self.passed += 1
            print(f"ok     {name}: {wanted}")
        else:
            self.failed += 1
            print(f"FAILED {name}: {wrong}, {wanted} wanted")

    def established(self):
        peer = self.begin()
        peer.run_until(lambda: peer.established and peer.quic._handshake_confirmed)
        if not peer.established or peer.closed:
            raise RuntimeError(f"no connection: {peer.closed}")
        return peer

    def frames(self):
        for name, frames, code in FRAMES:
            peer = self.established()
            peer.seal(Epoch.ONE_RTT, frames)
            self.expect(name, peer, code)
        peer = self.established()
        peer.seal(Epoch.ONE_RTT, b"\x01", reserved=1)
        self.expect("9000 17.3.1: reserved bits of a short header", peer, VIOLATION)

    def early(self):
        for name, frames, code in EARLY:
            peer = self.begin()
            # The server's first flight has come, and its keys are there.
            peer.run_until(lambda: peer.quic._cryptos[Epoch.HANDSHAKE].send.is_valid())
            peer.seal(Epoch.HANDSHAKE, frames)
            self.expect(f"9000 12.4: {name} in a Handshake packet", peer, code)

    def parameters(self):
        for name, change in PARAMETERS:
            def prepare(quic, change=change):
                serialize = quic._serialize_transport_parameters
                quic._serialize_transport_parameters = lambda: change(serialize())
            # Of what is missing or in the wrong place either may be said (RFC 9000, 7.3).
            self.expect(name, self.begin(prepare), (TRANSPORT_PARAMETER, VIOLATION)
                        if "7.3" in name else TRANSPORT_PARAMETER)

    def handshakes(self):
        def no_parameters(quic):
            initialize = quic._initialize

            def changed(*words):
                initialize(*words)
                quic.tls.handshake_extensions = []
            quic._initialize = changed
        self.expect("9001 8.2: no transport parameters", self.begin(no_parameters),
                    MISSING_EXTENSION)
        self.expect("9001 8.1: an ALPN that the server has not",
                    self.begin(alpn=["no-such-protocol"]), NO_APPLICATION_PROTOCOL)


def main(host, port, alpn):
    judge = Judge((host, int(port)), alpn)
    judge.handshakes()
    judge.parameters()
    judge.early()
    judge.frames()
    peer = judge.established()  # the server is as well as before
    peer.socket.close()
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
