"""A peer that breaks the rules of HTTP/3 and QPACK, one at a time, made of aioquic: RFC 9114 and 9204,
and what stands on them (RFC 9218 priorities, RFC 9220 extended CONNECT, RFC 9297 datagrams). Its
QUIC is in order. Each rule has the error code by which a server must end the connection, or the
request alone; and where a rule says that something is to be ignored, it has to answer.

    negative_http3.py HOST PORT     prints a line for each rule, and "N passed, N failed"
"""

import sys

from negative import Judge, varint

# RFC 9114, 8.1
GENERAL, STREAM_CREATION, CRITICAL, UNEXPECTED, FRAME, ID = \
    0x101, 0x103, 0x104, 0x105, 0x106, 0x108
SETTINGS, MISSING_SETTINGS, INCOMPLETE, MESSAGE = 0x109, 0x10A, 0x10D, 0x10E
# RFC 9204, 6
DECOMPRESSION, ENCODER, DECODER = 0x200, 0x201, 0x202

CONTROL, ENCODER_STREAM, DECODER_STREAM = 2, 6, 10  # a client's first one-way streams
REQUEST = 0


def frame(kind, payload=b""):
    return varint(kind) + varint(len(payload)) + payload


def setting(number, value):
    return varint(number) + varint(value)


def prefixed(value, bits, mark):
    """An integer of QPACK (RFC 7541, 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([mark | value])
    data, value = bytes([mark | most]), value - most
    while value >= 128:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def literal(name, value):
    """RFC 9204, 4.5.6, without Huffman's code."""
    return prefixed(len(name), 3, 0x20) + name + prefixed(len(value), 7, 0) + value


# RFC 9204, A: indexed fields of the static table.
GET, HTTPS, PATH, CONNECT = b"\xd1", b"\xd7", b"\xc1", b"\xcf"
AUTHORITY = literal(b":authority", b"localhost")
GOOD = GET + HTTPS + PATH + AUTHORITY
PREFIX = b"\0\0"  # no dynamic table


def headers(fields=GOOD):
    return frame(0x1, PREFIX + fields)


BEGIN = b"\0" + frame(0x4)  # the control stream with its SETTINGS
PRIORITY = varint(0xF0700)  # PRIORITY_UPDATE of a request
PUSH_PRIORITY = varint(0xF0701)

# What goes on which stream, in this order; a stream id with "!" ends there, with "x" is reset, and
# with "-" the server's stream of that id is stopped.
CONNECTION = [
    ("9114 6.2.1: no SETTINGS first", {2: b"\0" + frame(0xD, b"\x01")}, MISSING_SETTINGS),
    ("9114 6.2.1: an unknown frame before SETTINGS", {2: b"\0" + frame(0x21)}, MISSING_SETTINGS),
    ("9114 7.2.4: SETTINGS twice", {2: BEGIN + frame(0x4)}, UNEXPECTED),
    ("9114 7.2.4: SETTINGS on a request", {2: BEGIN, 0: frame(0x4)}, UNEXPECTED),
    ("9114 7.2.4.1: a setting of HTTP/2", {2: b"\0" + frame(0x4, setting(2, 0))}, SETTINGS),
    ("9114 7.2.4.1: another one", {2: b"\0" + frame(0x4, setting(5, 16384))}, SETTINGS),
    ("9114 7.1: SETTINGS that are cut", {2: b"\0" + frame(0x4, b"\x06\x40")},
     (FRAME, SETTINGS)),
    ("9114 7.1: GOAWAY longer than its id", {2: BEGIN + frame(0x7, b"\x00\x00")}, FRAME),
    ("9114 7.1: MAX_PUSH_ID without an id", {2: BEGIN + frame(0xD)}, FRAME),
    ("9114 7.2.1: DATA on the control stream", {2: BEGIN + frame(0x0, b"x")}, UNEXPECTED),
    ("9114 7.2.2: HEADERS on the control stream", {2: BEGIN + headers()}, UNEXPECTED),
    ("9114 4.1: DATA before HEADERS", {2: BEGIN, 0: frame(0x0, b"x")}, UNEXPECTED),
    ("9114 4.1: HEADERS behind trailers",
     {2: BEGIN, 0: headers() + headers(literal(b"a", b"b")) + headers(literal(b"a", b"b"))},
     UNEXPECTED),
    ("9114 4.1: DATA behind trailers",
     {2: BEGIN, 0: headers() + headers(literal(b"a", b"b")) + frame(0x0, b"x")}, UNEXPECTED),
    ("9114 7.1: a request that ends inside a frame", {2: BEGIN, "0!": headers()[:-3]}, FRAME),
    ("9114 7.2.3: CANCEL_PUSH on a request", {2: BEGIN, 0: headers() + frame(0x3, b"\0")},
     UNEXPECTED),
    ("9114 7.2.3: CANCEL_PUSH of what was never promised", {2: BEGIN + frame(0x3, b"\x05")}, ID),
    ("9114 7.2.5: PUSH_PROMISE of a client", {2: BEGIN, 0: headers() + frame(0x5, b"\0" + PREFIX)},
     UNEXPECTED),
    ("9114 7.2.5: PUSH_PROMISE on the control stream", {2: BEGIN + frame(0x5, b"\0" + PREFIX)},
     UNEXPECTED),
    ("9114 7.2.6: GOAWAY on a request", {2: BEGIN, 0: frame(0x7, b"\0")}, UNEXPECTED),
    ("9114 5.2: GOAWAY with a larger id than before",
     {2: BEGIN + frame(0x7, b"\x04") + frame(0x7, b"\x08")}, ID),
    ("9114 7.2.7: MAX_PUSH_ID on a request", {2: BEGIN, 0: frame(0xD, b"\0")}, UNEXPECTED),
    ("9114 7.2.7: MAX_PUSH_ID that shrinks", {2: BEGIN + frame(0xD, b"\x08") + frame(0xD, b"\x04")},
     ID),
    ("9114 7.2.8: PRIORITY of HTTP/2", {2: BEGIN + frame(0x2, bytes(5))}, UNEXPECTED),
    ("9114 7.2.8: PING of HTTP/2", {2: BEGIN + frame(0x6, bytes(8))}, UNEXPECTED),
    ("9114 7.2.8: WINDOW_UPDATE of HTTP/2", {2: BEGIN, 0: frame(0x8, bytes(4))}, UNEXPECTED),
    ("9114 7.2.8: CONTINUATION of HTTP/2", {2: BEGIN, 0: headers() + frame(0x9)}, UNEXPECTED),
    ("9114 6.2.1: two control streams", {2: BEGIN, 6: BEGIN}, STREAM_CREATION),
    ("9114 6.2.1: the control stream ends", {"2!": BEGIN}, CRITICAL),
    ("9114 6.2.1: the control stream is reset", {"2x": BEGIN}, CRITICAL),
    ("9114 6.2.1: the server's control stream is stopped", {2: BEGIN, "3-": b""}, CRITICAL),
    ("9114 6.2.2: a push stream of a client", {2: BEGIN, 6: b"\x01\x00"}, STREAM_CREATION),
    ("9204 4.2: two encoder streams", {2: BEGIN, 6: b"\x02", 10: b"\x02"}, STREAM_CREATION),
    ("9204 4.2: two decoder streams", {2: BEGIN, 6: b"\x03", 10: b"\x03"}, STREAM_CREATION),
    ("9204 4.2: the encoder stream ends", {2: BEGIN, "6!": b"\x02"}, CRITICAL),
    ("9204 4.2: the decoder stream is reset", {2: BEGIN, "6x": b"\x03"}, CRITICAL),
    ("9204 3.1: a static field of no number", {2: BEGIN, 0: headers(prefixed(99, 6, 0xC0))},
     DECOMPRESSION),
    ("9204 2.2.3: a dynamic field in a section that needs none",
     {2: BEGIN, 0: headers(prefixed(0, 6, 0x80))}, DECOMPRESSION),
    ("9204 4.5.1.1: a section that needs more than there can be",
     {2: BEGIN, 0: frame(0x1, prefixed(5000, 8, 0) + b"\0" + GET)}, DECOMPRESSION),
    ("9204 4.1.1: an integer of more than 62 bits",
     {2: BEGIN, 0: headers(b"\xff" + b"\xff" * 10 + b"\x01")}, DECOMPRESSION),
    ("9204 4.1.2: a string longer than its section", {2: BEGIN, 0: headers(b"\x21a\x7dbc")},
     DECOMPRESSION),
    ("9204 4.3.1: a table beyond the limit", {2: BEGIN, 6: b"\x02" + prefixed(65536, 5, 0x20)},
     ENCODER),
    ("9204 4.3.2: an insertion by a static name of no number",
     {2: BEGIN, 6: b"\x02" + prefixed(4096, 5, 0x20) + prefixed(99, 6, 0xC0) + b"\x01x"}, ENCODER),
    ("9204 4.3.2: an insertion larger than the table", {2: BEGIN, 6: b"\x02\xc1\x01x"}, ENCODER),
    ("9204 4.3.4: a duplicate of what is not there",
     {2: BEGIN, 6: b"\x02" + prefixed(4096, 5, 0x20) + b"\x00"}, ENCODER),
    ("9204 4.4.1: an acknowledgement of no section", {2: BEGIN, 6: b"\x03\x80"}, DECODER),
    ("9204 4.4.3: an increment of zero", {2: BEGIN, 6: b"\x03\x00"}, DECODER),
    ("9204 4.4.3: an increment beyond what was sent", {2: BEGIN, 6: b"\x03\x05"}, DECODER),
    ("9218 7.1: PRIORITY_UPDATE on a request",
     {2: BEGIN, 0: headers() + PRIORITY + b"\x04\x00u=1"}, UNEXPECTED),
    ("9218 7.1: PRIORITY_UPDATE of what is no request", {2: BEGIN + PRIORITY + b"\x04\x02u=1"}, ID),
    ("9218 7.1: PRIORITY_UPDATE of a push beyond what is allowed",
     {2: BEGIN + PUSH_PRIORITY + b"\x04\x05u=1"}, ID),
    ("9218 7: PRIORITY_UPDATE that cannot be understood", {2: BEGIN + PRIORITY + b"\x04\x00???"},
     GENERAL),
    ("9218 7.1: PRIORITY_UPDATE without an id", {2: BEGIN + PRIORITY + b"\x00"}, FRAME),
    ("9220 3: SETTINGS_ENABLE_CONNECT_PROTOCOL of 2", {2: b"\0" + frame(0x4, setting(8, 2))},
     SETTINGS),
    ("9297 2.1.1: SETTINGS_H3_DATAGRAM of 2", {2: b"\0" + frame(0x4, setting(0x33, 2))}, SETTINGS),
]

# Of one request, which ends behind it.
MESSAGES = [
    ("9114 4.1.2: a request without HEADERS", b"", INCOMPLETE),
    ("9114 4.3.1: no :method", headers(HTTPS + PATH + AUTHORITY), MESSAGE),
    ("9114 4.3.1: no :path", headers(GET + HTTPS + AUTHORITY), MESSAGE),
    ("9114 4.3.1: an empty :path", headers(GET + HTTPS + literal(b":path", b"") + AUTHORITY),
     MESSAGE),
    ("9114 4.3.1: no :scheme", headers(GET + PATH + AUTHORITY), MESSAGE),
    ("9114 4.3.1: :path twice", headers(GET + HTTPS + PATH + PATH + AUTHORITY), MESSAGE),
    ("9114 4.3.1: neither :authority nor host", headers(GET + HTTPS + PATH), MESSAGE),
    ("9114 4.3.1: CONNECT with a :path", headers(CONNECT + PATH + AUTHORITY), MESSAGE),
    ("9114 4.3: an unknown pseudo field", headers(GOOD + literal(b":other", b"x")), MESSAGE),
    ("9114 4.3: :status in a request", headers(GOOD + literal(b":status", b"200")), MESSAGE),
    ("9114 4.3: a pseudo field behind others",
     headers(GET + HTTPS + PATH + literal(b"a", b"b") + AUTHORITY), MESSAGE),
    ("9114 4.3: a pseudo field in trailers", headers() + headers(PATH), MESSAGE),
    ("9114 4.2: a capital letter", headers(GOOD + literal(b"Accept", b"x")), MESSAGE),
    ("9114 4.2: connection", headers(GOOD + literal(b"connection", b"close")), MESSAGE),
    ("9114 4.2: transfer-encoding", headers(GOOD + literal(b"transfer-encoding", b"chunked")),
     MESSAGE),
    ("9114 4.2: te that is not trailers", headers(GOOD + literal(b"te", b"gzip")), MESSAGE),
    ("9114 4.1.2: content-length twice",
     headers(GOOD + literal(b"content-length", b"1") + literal(b"content-length", b"2")), MESSAGE),
    ("9114 4.1.2: content-length that is no number",
     headers(GOOD + literal(b"content-length", b"many")), MESSAGE),
    ("9114 4.1.2: more than content-length",
     headers(GOOD + literal(b"content-length", b"1")) + frame(0x0, b"two"), MESSAGE),
    ("9114 4.1.2: less than content-length",
     headers(GOOD + literal(b"content-length", b"5")) + frame(0x0, b"two"), MESSAGE),
    ("9220 3: :protocol that nobody offered",
     headers(CONNECT + HTTPS + PATH + AUTHORITY + literal(b":protocol", b"websocket")), MESSAGE),
]

# What has to be ignored: behind it a request is answered. RFC 9114, 10.3: not done: fields with
# characters that no field has are left out by nghttp3, and the message is not called malformed.
IGNORED = [
    ("9114 10.3: a name with a space, left out", {}, literal(b"a b", b"x")),
    ("9114 10.3: a value with a line end, left out", {}, literal(b"a", b"x\r\nb: c")),
    ("9114 10.3: a value with a zero, left out", {}, literal(b"a", b"x\0y")),
    ("9114 9: an unknown frame on the control stream", {2: BEGIN + frame(0x21 + 0x1F, b"x" * 9)}),
    ("9114 9: an unknown stream", {2: BEGIN, 6: varint(0x21 + 0x1F * 3) + b"whatever"}),
    ("9114 7.2.4.1: an unknown setting", {2: b"\0" + frame(0x4, setting(0x21 + 0x1F * 5, 7))}),
    ("9114 9: an unknown frame before a request", {2: BEGIN, 0: frame(0x21 + 0x1F * 7, b"grease")}),
    ("9114 6.2.1: no control stream yet", {}),
    ("9114 7.2.7: MAX_PUSH_ID, of a client that takes pushes", {2: BEGIN + frame(0xD, b"\x08")}),
    ("9114 5.2: GOAWAY of a client", {2: BEGIN + frame(0x7, b"\0")}),
    ("9204 4.4.2: a stream is cancelled in which nothing was encoded",
     {2: BEGIN, 6: b"\x03" + prefixed(400, 6, 0x40)}),
    ("9218 7.1: PRIORITY_UPDATE of a request that has not come",
     {2: BEGIN + PRIORITY + b"\x04\x00u=1"}),
    ("9297 2.1.1: SETTINGS_H3_DATAGRAM of 1", {2: b"\0" + frame(0x4, setting(0x33, 1))}),
]


class Http3Judge(Judge):
    def say(self, streams):
        peer = self.established()
        for name, data in streams.items():
            number, mark = (int(name[:-1]), name[-1]) if isinstance(name, str) else (name, "")
            if mark == "-":
                peer.run_until(lambda number=number: number in peer.received)
                peer.quic.stop_stream(number, 0x100)
                continue
            peer.quic.send_stream_data(number, data, end_stream=mark == "!")
            if mark == "x":
                # What it is has to be known before it is gone.
                for _ in range(5):
                    peer.turn()
                peer.quic.reset_stream(number, 0x100)
        return peer

    def connections(self):
        for name, streams, code in CONNECTION:
            self.expect(name, self.say(streams), code)

    def messages(self):
        for name, request, code in MESSAGES:
            peer = self.say({2: BEGIN, "0!": request})
            peer.run_until(lambda: REQUEST in peer.given_up)
            peer.socket.close()
            got = peer.given_up.get(REQUEST)
            wrong = f"the connection ended with {peer.closed.error_code:#x}, " \
                f"{peer.closed.reason_phrase}" if peer.closed else None if got == code else \
                "nothing" if got is None else f"{got:#x}"
            self.record(name, wrong, f"{code:#x} of the request alone")

    def ignored(self):
        for name, streams, *fields in IGNORED:
            peer = self.say(streams)
            peer.quic.send_stream_data(REQUEST, headers(GOOD + b"".join(fields)), end_stream=True)
            peer.run_until(lambda: REQUEST in peer.received)
            peer.socket.close()
            wrong = None if peer.received.get(REQUEST, b"").startswith(b"\x01") else \
                f"{peer.closed.error_code:#x}" if peer.closed else "nothing"
            self.record(name, wrong, "an answer")


def main(host, port):
    judge = Http3Judge((host, int(port)), "h3")
    judge.connections()
    judge.messages()
    judge.ignored()
    peer = judge.established()  # the server is as well as before
    peer.socket.close()
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
