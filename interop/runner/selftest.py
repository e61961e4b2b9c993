#!/usr/bin/env python3
"""The runner's own parts, without namespaces: packets, the link's chances, and that each check
finds what it is there for. Prints "N passed, N failed"."""

import random
import struct
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True

from runner import cases, faults, packets, report  # noqa: E402
from runner.link import Direction, Nat, Way  # noqa: E402
from runner.packets import Packet  # noqa: E402


def ipv4(payload, source="10.99.0.100", port=50000, to_server=True, mark=0):
    ends = [bytes(int(part) for part in address.split("."))
            for address in (source, "10.99.100.100")]
    ports = [port, 443]
    if not to_server:
        ends.reverse()
        ports.reverse()
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, mark, 20 + len(udp), 0, 0, 64, packets.UDP, 0)
    return bytes(packets.with_checksums(bytearray(head + b"".join(ends) + udp)))


def long_packet(kind, version=packets.V1, scid=b"server", token=b"", size=30):
    first = 0xC0 | packets.TYPES[version].index(kind) << 4
    head = bytes([first]) + struct.pack("!I", version) + b"\6client" + bytes([len(scid)]) + scid
    if kind == packets.INITIAL:
        head += struct.pack("!H", 0x4000 | len(token)) + token
    return head + struct.pack("!H", 0x4000 | size) + bytes(size)


def initial(**options):
    return long_packet(packets.INITIAL, **options)


def trace(*entries):
    """Of (from_client, payload, fields): what one end of the link saw."""
    made = []
    for number, (from_client, payload, decoded, *more) in enumerate(entries, 1):
        packet = Packet(number, float(number), from_client,
                        ipv4(payload, to_server=from_client, **(more[0] if more else {})))
        packet.decoded = decoded
        made.append(packet)
    return made


def run_of(name, *entries):
    seen = trace(*entries)
    return cases.Run(cases.BY_NAME[name], seen, seen, 1.0)


def fails(check, run, words):
    try:
        check(run)
    except cases.Failed as error:
        assert words in str(error), f"{error} has not: {words}"
        return
    raise AssertionError(f"nothing was found, where it should be: {words}")


SHORT = b"\x40" + bytes(30)


def headers_of_coalesced_packets_are_read():
    payload = initial(token=b"abc") + long_packet(packets.HANDSHAKE, scid=b"x") + SHORT
    found, rest = packets.quic_headers(payload)
    assert [header.kind for header in found] == [packets.INITIAL, packets.HANDSHAKE]
    assert found[0].token == b"abc" and found[1].scid == b"x" and rest == len(SHORT)
    for cut in range(len(payload)):
        packets.quic_headers(payload[:cut])


def short_headers_are_known_without_their_fixed_bit_but_padding_is_none():
    greased = b"\x1f" + bytes(30)
    assert packets.quic_headers(greased) == ([], len(greased))
    assert packets.quic_headers(initial() + bytes(30))[1] == 0


def version_two_has_types_of_its_own():
    found, _ = packets.quic_headers(initial(version=packets.V2))
    assert found[0].kind == packets.INITIAL and found[0].version == packets.V2


def corrupted_packets_have_good_checksums():
    before = ipv4(bytes(range(200)))
    after = bytes(packets.corrupted(before, random.Random(1)))
    assert sum(a != b for a, b in zip(before[28:], after[28:])) == 1
    assert bytes(packets.with_checksums(bytearray(after))) == after


def no_more_than_a_burst_is_lost_in_a_row():
    way = Way(Direction(loss=0.9, burst=3, rate=1e12, queue=1000), 1)
    arrived = [bool(way.take(ipv4(b"x" * 100), float(i))) for i in range(1000)]
    runs = "".join("." if here else "x" for here in arrived).split(".")
    assert max(map(len, runs)) == 3 and arrived.count(True) > 200


def the_queue_has_an_end_and_the_rate_a_measure():
    way = Way(Direction(delay=0.015, rate=10e6, queue=25), 1)
    packet = ipv4(bytes(1222))  # 1250 bytes: a millisecond
    arrivals = [way.take(packet, 0.0) for _ in range(40)]
    assert sum(map(len, arrivals)) == 25 and way.overflowed == 15
    assert abs(arrivals[24][0][0] - (0.025 + 0.015)) < 1e-9


def named_packets_are_dropped():
    way = Way(Direction(drop=(2, 3)), 1)
    assert [len(way.take(ipv4(b"x"), float(i))) for i in range(4)] == [1, 0, 0, 1]


def the_nat_gives_another_port_and_forgets_the_old_one():
    nat = Nat("port")
    packet = ipv4(b"hello")
    assert nat.pass_on(packet, True) == packet
    nat.rebind()
    there = nat.pass_on(packet, True)
    port = struct.unpack_from("!H", there, 20)[0]
    assert port != 50000
    assert nat.pass_on(ipv4(b"back", port=port, to_server=False), False) is not None
    assert nat.pass_on(ipv4(b"back", port=50000, to_server=False), False) is None


def the_nat_gives_another_address():
    nat = Nat("addr")
    nat.rebind()
    assert bytes(nat.pass_on(ipv4(b"hello"), True))[12:16] == bytes([10, 99, 0, 101])


def the_version_and_the_handshakes_are_counted():
    good = (False, initial(), {})
    cases.check_common(run_of("handshake", good))
    fails(cases.check_common, run_of("handshake", (False, initial(version=packets.V2), {})),
          "0x6b3343cf")
    fails(cases.check_common, run_of("handshake", good, (False, initial(scid=b"other"), {})),
          "2 handshakes")
    fails(cases.check_common, run_of("handshake"), "none")


def a_cipher_too_many_is_found():
    def hello(suites):
        return (True, initial(), {"tls.handshake.type": ["1"],
                                  "tls.handshake.ciphersuite": suites})
    cases.check_chacha20(run_of("chacha20", hello(["0x1303"])))
    fails(cases.check_chacha20, run_of("chacha20", hello(["0x1301", "0x1303"])), "0x1301")


def a_retry_without_its_token_is_found():
    retry = bytes([0xF0]) + struct.pack("!I", packets.V1) + b"\6client\6servertoken" + bytes(16)
    first = (True, initial(), {"quic.packet_number": ["0"]})
    said = (False, retry, {})
    good = (True, initial(token=b"token"), {"quic.packet_number": ["1"]})
    cases.check_retry(run_of("retry", first, said, good))
    fails(cases.check_retry, run_of("retry", first), "no Retry")
    fails(cases.check_retry, run_of("retry", first, said,
                                    (True, initial(token=b"other"), {"quic.packet_number": ["1"]})),
          "token")
    fails(cases.check_retry, run_of("retry", first, said,
                                    (True, initial(token=b"token"), {"quic.packet_number": ["0"]})),
          "packet number 0")


def a_key_update_needs_both():
    def phase(from_client, bit):
        return (from_client, SHORT, {"quic.key_phase": [bit]})
    cases.check_keyupdate(run_of("keyupdate", phase(True, "1"), phase(False, "True")))
    fails(cases.check_keyupdate, run_of("keyupdate", phase(True, "1"), phase(False, "0")),
          "server 1/0")


def more_than_three_times_is_found():
    crypto = {"quic.crypto.length": ["8000"]}
    hello = (True, initial(size=1000), {})
    flight = (False, long_packet(packets.HANDSHAKE, size=1000), crypto)
    proof = (True, long_packet(packets.HANDSHAKE, scid=b"client"), {})
    check = cases.check_amplificationlimit
    check(run_of("amplificationlimit", hello, flight, flight, proof, flight, flight))
    fails(check, run_of("amplificationlimit", hello, flight, flight, flight, flight, proof),
          "address was validated")
    fails(check, run_of("amplificationlimit", hello, flight, flight), "no Handshake")


def a_new_path_begins_with_a_challenge():
    old, new = {"port": 50000}, {"port": 50001}
    asked = {"quic.frame_type": ["0x1a"], "quic.path_challenge.data": ["aa"]}
    answer = (True, SHORT, {"quic.frame_type": ["0x1b"], "quic.path_response.data": ["aa"]}, new)
    first = (False, SHORT, {}, old)
    cases.check_paths(run_of("rebind-port", first, (False, SHORT, asked, new), answer))
    fails(cases.check_paths, run_of("rebind-port", first), "one path only")
    fails(cases.check_paths, run_of("rebind-port", first,
                                    (False, SHORT, {"quic.frame_type": ["2"]}, new)),
          "no PATH_CHALLENGE")
    # What cannot be read has to be answered.
    fails(cases.check_paths, run_of("rebind-port", first, (False, SHORT, {}, new)),
          "no PATH_CHALLENGE")
    cases.check_paths(run_of("rebind-port", first, (False, SHORT, {}, new), answer))
    fails(cases.check_paths, run_of("rebind-port", first, (False, SHORT, asked, new)),
          "has no answer")
    fails(cases.check_rebind_addr,
          run_of("rebind-addr", first, (False, SHORT, asked, new), answer), "one address")


def marks_are_counted():
    ack = {"quic.frame_type": ["3"]}
    good = [(True, SHORT, ack, {"mark": 2}), (False, SHORT, ack, {"mark": 2})]
    cases.check_ecn(run_of("ecn", *good))
    fails(cases.check_ecn, run_of("ecn", good[0], (False, SHORT, ack)), "server marks nothing")
    fails(cases.check_ecn, run_of("ecn", good[0], (False, SHORT, {}, {"mark": 2})), "no ACK")


def a_certificate_in_a_resumed_handshake_is_found():
    shown = {"tls.handshake.type": ["8", "11", "15"]}
    first, second = initial(scid=b"one"), initial(scid=b"two")
    cases.check_resumption(run_of("resumption", (False, first, shown), (False, second, {})))
    fails(cases.check_resumption,
          run_of("resumption", (False, first, shown), (False, second, shown)), "second")
    fails(cases.check_resumption, run_of("resumption", (False, first, {}), (False, second, {})),
          "first")


def known_faults_are_excused_and_no_others():
    listed = faults.read("# why\n\n* nginx retry always it sends no token\n"
                         "curl post * sometimes it gives up\n")
    cell = {"client": "post", "server": "nginx", "case": "retry", "status": "failed", "detail": "x"}
    known = faults.apply(listed, cell)
    assert known["status"] == "known" and "no token" in known["detail"]
    assert faults.apply(listed, cell | {"case": "ecn"})["status"] == "failed"
    assert faults.apply(listed, cell | {"status": "unsupported"})["status"] == "unsupported"
    gone = faults.apply(listed, cell | {"status": "passed"})
    assert gone["status"] == "failed" and "known_faults" in gone["detail"]
    lucky = cell | {"client": "curl", "server": "post", "status": "passed"}
    assert faults.apply(listed, lucky)["status"] == "passed"
    for wrong in ("a b c always", "a b c never why"):
        try:
            faults.read(wrong)
        except ValueError:
            continue
        raise AssertionError(f"taken: {wrong}")


def parts_of_a_matrix_are_joined_and_drawn():
    def part(client, status, versions, missing):
        cell = {"client": client, "server": "post", "case": "retry", "status": status, "detail": "",
                "figure": "", "seconds": 1.25, "seed": 1}
        return {"made": "now", "seed": 1, "versions": versions, "missing": missing,
                "results": [cell]}
    whole = report.joined([part("a", "failed", {"a": "a 1"}, {"b": "not here"}),
                           part("b", "passed", {"b": "b<2>"}, {}),
                           part("a", "known", {"a": "a 1"}, {})])
    assert [cell["status"] for cell in whole["results"]] == ["known", "passed"]
    assert whole["missing"] == {} and list(whole["versions"]) == ["a", "b"]
    drawn = report.svg(whole)
    assert "known fault" in drawn and "1.2 s" in drawn and "b&lt;2&gt;" in drawn


def main():
    tests = [value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__"
             and value.__code__.co_argcount == 0 and name != "main"
             and not value.__code__.co_flags & 0x04]
    failed = 0
    for test in tests:
        try:
            test()
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("FAILED:", test.__name__.replace("_", " "))
            traceback.print_exc()
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
