"""The test of `compare` itself, on canned lines: no process is started."""

import tempfile
from xml.etree import ElementTree

import compare_report


def canned():
    lines = [{"header": True, "ngtcp2": "1.0", "gnutls": "3.0", "stack": "quic", "payload": 1452},
             {"version": "2.0 <beta>", "side": "them"}]
    # A machine that is twice as fast in the second round: ratios are made within rounds.
    for number, speed in ((1, 1), (2, 2), (3, 1)):
        for side, rate in (("post", 12.0), ("them", 4.0)):
            lines.append({"row": "bulk", "side": side, "name": "rate", "value": rate * speed,
                          "unit": "Gbit/s", "round": number})
    lines.append({"row": "trip", "side": "post", "name": "p50", "value": 10.0, "unit": "us",
                  "round": 1})
    # It came in a round that post missed: no ratio.
    lines.append({"row": "trip", "side": "them", "name": "p50", "value": 20.0, "unit": "us",
                  "round": 2})
    return lines


def peer_refused(peer, text):
    with tempfile.NamedTemporaryFile("w", suffix=".peer") as file:
        file.write(text)
        file.flush()
        try:
            peer(file.name)
        except SystemExit as error:
            return str(error)
    return ""


def run(peer):
    failures = []

    def check(good, what):
        print("%s: %s" % ("ok" if good else "FAILED", what))
        if not good:
            failures.append(what)

    report = compare_report.Report(canned())
    text = report.text()
    check(report.ratio("bulk", "rate", "them") == 3, "a ratio is made within each round")
    check(report.ratio("trip", "p50", "them") is None, "without a common round there is no ratio")
    them = next(line for line in text.splitlines() if line.startswith("bulk") and "them" in line)
    check(them.split()[3:] == ["4", "[4", "-", "8]", "Gbit/s", "3.00"],
          "a line has median, range, unit and ratio")
    check("them: 2.0 <beta>" in text, "versions are printed")

    tree = ElementTree.fromstring(report.svg())
    bars = [e for e in tree.iter() if e.tag.endswith("rect")]
    check(len(bars) == 4, "the chart has a bar for each side of each row")
    widths = [float(bar.get("width")) for bar in bars[:2]]
    check(abs(widths[0] / widths[1] - 3) < 0.01, "bars are as long as their medians")
    check(all(float(bar.get("x")) + float(bar.get("width")) <= compare_report.Chart.WIDTH
              for bar in bars), "bars stay inside")
    words = [e.text for e in tree.iter() if e.tag.endswith("text")]
    check("less is better" in words and "more is better" in words, "it says what is better")

    good = "[peer]\nname = a\nrow = bulk\nversion = true\nserver = s {port}\nclient = c {count}\n"
    good += "warm = 1\n"
    check(peer_refused(peer, good + "bytes = 2\n") == "", "a peer's file is read")
    check(peer_refused(peer, good + "figure = ([0-9]+)\nstack = sctp-udp\n") == "",
          "also one that says its rate itself, for other stacks than quic")
    check("one of" in peer_refused(peer, good), "a peer without a figure is refused")
    check("one of" in peer_refused(peer, good + "bytes = 2\nrequests = 2\n"),
          "a peer with two figures is refused")
    check("unknown key" in peer_refused(peer, good + "bytes = 1\ncolour = red\n"),
          "a key that nobody reads is refused")
    print("%d failed" % len(failures))
    return 1 if failures else 0
