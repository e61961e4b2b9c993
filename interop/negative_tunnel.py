"""A peer that breaks the rules of tunnels and their datagrams, one at a time, made of aioquic: RFC 9220
and 9297, against a server that takes the protocol "echo". Each rule has the error code by which the
server must end the connection, or the request alone; and what is in order comes back.

    negative_tunnel.py HOST PORT    prints a line for each rule, and "N passed, N failed"
"""

import sys

from negative import varint
from negative_http3 import (AUTHORITY, CONNECT, GET, HTTPS, ID, MESSAGE, PATH, REQUEST, UNEXPECTED,
                            Http3Judge, frame, headers, literal, setting)

DATAGRAM = 0x33  # RFC 9297, 5.2

BEGIN = b"\0" + frame(0x4, setting(8, 1) + setting(0x33, 1))
ECHO = literal(b":protocol", b"echo")
ASKS = headers(CONNECT + HTTPS + PATH + AUTHORITY + ECHO)
PLAIN = headers(GET + HTTPS + PATH + AUTHORITY)

# A datagram is sent when the request was answered.
CONNECTION = [
    ("9297 2.1: a datagram without an id", ASKS, b"", DATAGRAM),
    ("9297 2.1: a datagram with half an id", ASKS, b"\x40", DATAGRAM),
    ("9297 2.1: a quarter stream id of 2^60", ASKS, varint(1 << 60) + b"x", DATAGRAM),
    ("9297 2.1: a datagram of a stream beyond the limit", ASKS, varint(100_000) + b"x", ID),
    ("9114 4.4: HEADERS in a tunnel", ASKS + headers(literal(b"a", b"b")), None, UNEXPECTED),
]

# Of the request alone.
MESSAGES = [
    ("9297 2: a datagram of a GET", PLAIN, b"\0x", DATAGRAM),
    ("9220 3: :protocol without CONNECT", headers(GET + HTTPS + PATH + AUTHORITY + ECHO), None,
     MESSAGE),
    ("8441 4: extended CONNECT without :path", headers(CONNECT + HTTPS + AUTHORITY + ECHO), None,
     MESSAGE),
    ("8441 4: extended CONNECT without :scheme", headers(CONNECT + PATH + AUTHORITY + ECHO), None,
     MESSAGE),
]

# What comes too early or too late is dropped, and the tunnel goes on.
DROPPED = [
    ("9297 2.1: datagrams of a request that has not come", varint(3) + b"x"),
    ("9297 2.1: a datagram in a tunnel, and nothing before it", None),
]


class TunnelJudge(Http3Judge):
    def begin(self, prepare=lambda quic: None, alpn=None):
        def prepare_datagrams(quic):
            quic._configuration.max_datagram_frame_size = 65536
            prepare(quic)
        return super().begin(prepare_datagrams, alpn)

    def ask(self, request, datagram, answered=True):
        peer = self.say({2: BEGIN, 0: request})
        if answered and datagram is not None:
            peer.run_until(lambda: REQUEST in peer.received)
        if datagram is not None:
            peer.quic.send_datagram_frame(datagram)
        return peer

    def connections(self):
        for name, request, datagram, code in CONNECTION:
            self.expect(name, self.ask(request, datagram), code)

    def messages(self):
        for name, request, datagram, code in MESSAGES:
            # Who is answered and has not ended its own direction is not over.
            peer = self.ask(request, datagram)
            peer.run_until(lambda: REQUEST in peer.given_up)
            peer.socket.close()
            got = peer.given_up.get(REQUEST)
            wrong = f"the connection ended with {peer.closed.error_code:#x}" if peer.closed else \
                None if got == code else "nothing" if got is None else f"{got:#x}"
            self.record(name, wrong, f"{code:#x} of the request alone")

    def tunnels(self):
        for name, before in DROPPED:
            peer = self.ask(ASKS, before, answered=False)
            peer.run_until(lambda: REQUEST in peer.received)
            peer.quic.send_stream_data(REQUEST, frame(0x0, b"some bytes"))
            peer.quic.send_datagram_frame(b"\0datagram")
            peer.run_until(lambda: b"some bytes" in peer.received.get(REQUEST, b"") and
                           peer.datagrams)
            peer.socket.close()
            wrong = f"{peer.closed.error_code:#x}" if peer.closed else \
                "no bytes" if frame(0x0, b"some bytes") not in peer.received.get(REQUEST, b"") else \
                None if peer.datagrams == [b"\0datagram"] else f"{peer.datagrams}"
            self.record(name, wrong, "bytes and datagrams come back")


def main(host, port):
    judge = TunnelJudge((host, int(port)), "h3")
    judge.connections()
    judge.messages()
    judge.tunnels()
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
