"""What `compare` makes of its lines: a table with medians, ranges and ratios, and a bar chart.

A line is a figure {"row", "side", "name", "value", "unit", "round"}, the header of post_bench, or a
peer's {"version", "side"}.
"""

import statistics
from xml.sax.saxutils import escape

# Of these figures less is better.
LESS = {"p50", "p99", "sender", "receiver", "server", "client"}

# What the chart calls rows and sides; others go by their own names.
WORDS = {
    "bulk": "One connection, bulk",
    "trip-sleeping": "64 bytes there and back, median, sleeping between",
    "trip-busy": "64 bytes there and back, median, never sleeping",
    "fork-sleeping": "New stream with request and reply, 100 at once, sleeping between",
    "trip-spinning": "64 bytes there and back, median, 50 us of spinning before sleeping",
    "fork-spinning": "New stream with request and reply, 100 at once, spinning before sleeping",
    "fork-busy": "New stream with request and reply, 100 at once, never sleeping",
    "h3-bulk": "HTTP/3, one download",
    "h3-requests": "HTTP/3 requests with answers of 64 bytes, 100 at once",
    "handshake": "Full handshakes",
    "bulk-gnutls": "post, GnuTLS alone",
    "limit-sealed": "limit: sealed UDP alone",
    "limit-handshake": "limit: TLS alone",
    "limit-tls": "TLS 1.3 over TCP",
    "limit-trip-sleeping": "limit: UDP alone",
    "limit-trip-busy": "limit: UDP alone",
}


def shown(value):
    return "%.0f" % value if value >= 1000 else "%.1f" % value if value >= 100 else "%.3g" % value


class Report:
    def __init__(self, lines):
        self.header = next((line for line in lines if "header" in line), {})
        versions = [(line["side"], line["version"]) for line in lines if "version" in line]
        self.versions = list(dict.fromkeys(versions))
        self.units = {}
        self.values = {}  # row -> name -> side -> round -> value
        for line in lines:
            if "name" not in line:
                continue
            row, side, name = line["row"], line["side"], line["name"]
            self.units[row, name] = line["unit"]
            sides = self.values.setdefault(row, {}).setdefault(name, {})
            sides.setdefault(side, {})[line["round"]] = line["value"]

    def rows(self):
        return [row for row in self.values if row != "calibrator"]

    def main_figure(self, row):
        return next(iter(self.values[row]))

    def ratio(self, row, name, side):
        """Of post to `side`: in each round that both have, then the median; None without one."""
        post = self.values[row][name].get("post", {})
        other = self.values[row][name][side]
        ratios = [post[n] / other[n] for n in other if n in post and other[n]]
        return statistics.median(ratios) if ratios else None

    def text(self):
        out = []
        header = self.header
        if header:
            out.append("post: ngtcp2 %s, GnuTLS %s, stack %s; datagrams of %s bytes\n" % (
                header.get("ngtcp2"), header.get("gnutls"), header.get("stack"),
                header.get("payload")))
            out.append("machine: %s, %s cores, Linux %s\n" % (
                header.get("processor"), header.get("cores"), header.get("linux")))
        for side, version in self.versions:
            out.append("%s: %s\n" % (side, version))
        calibrator = self.values.get("calibrator", {}).get("rate of CPU time", {}).get("post")
        if calibrator:
            out.append("calibrator: %s Gbit/s [%s - %s], one core of AES-128-GCM by GnuTLS\n" % (
                shown(statistics.median(calibrator.values())), shown(min(calibrator.values())),
                shown(max(calibrator.values()))))
        form = "%-15s %-20s %-17s %9s  %-19s %-10s %s\n"
        out.append("\n" + form % ("row", "side", "figure", "median", "range", "unit",
                                  "post / side"))
        for row in self.rows():
            sides = dict.fromkeys(s for sides in self.values[row].values() for s in sides)
            for side in sides:
                for name, by_side in self.values[row].items():
                    if side not in by_side:
                        continue
                    values = by_side[side].values()
                    ratio = None if side == "post" else self.ratio(row, name, side)
                    out.append(form % (
                        row, side, name, shown(statistics.median(values)),
                        "[%s - %s]" % (shown(min(values)), shown(max(values))),
                        self.units[row, name], "%.2f" % ratio if ratio is not None else ""))
        return "".join(line.rstrip() + "\n" if line.strip() else line for line in out)

    def svg(self):
        return Chart(self).draw()


class Chart:
    """Horizontal bars, one a side, a group for each row's main figure; a thin line is the range.
    It brings both of its colour schemes along."""

    WIDTH, LEFT, RIGHT, BAR, GAP = 760, 190, 130, 20, 8
    STYLE = """
    text { font: 13px sans-serif; fill: #1f2328; }
    .title { font-weight: bold; }
    .quiet { fill: #59636e; font-size: 11px; }
    .bar { fill: #8c959f; }
    .post { fill: #0969da; }
    .range { stroke: #1f2328; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .quiet { fill: #9198a1; }
      .bar { fill: #656c76; }
      .post { fill: #4493f8; }
      .range { stroke: #f0f6fc; }
    }
  """

    def __init__(self, report):
        self.report = report
        self.parts = []
        self.y = 0

    def text(self, x, y, text, kind="", anchor="start"):
        self.parts.append('  <text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>\n' % (
            x, y, kind, anchor, escape(text)))

    def group(self, row):
        report = self.report
        name = report.main_figure(row)
        sides = report.values[row][name]
        better = "less" if name in LESS else "more"
        self.y += 24
        self.text(8, self.y, "%s, %s" % (WORDS.get(row, row), report.units[row, name]), "title")
        self.text(self.WIDTH - 8, self.y, "%s is better" % better, "quiet", "end")
        self.y += 10
        scale = (self.WIDTH - self.LEFT - self.RIGHT) / max(
            max(values.values()) for values in sides.values())
        for side, values in sides.items():
            self.bar(row, name, side, values.values(), scale)

    def bar(self, row, name, side, values, scale):
        median = statistics.median(values)
        middle = self.y + self.BAR / 2
        self.text(self.LEFT - 8, middle + 4, WORDS.get(side, side), "", "end")
        self.parts.append('  <rect x="%d" y="%d" width="%.1f" height="%d" rx="2" class="%s"/>\n' % (
            self.LEFT, self.y, max(median * scale, 1), self.BAR,
            "bar post" if side == "post" else "bar"))
        low, high = (self.LEFT + v * scale for v in (min(values), max(values)))
        self.parts.append('  <line x1="%.1f" y1="%d" x2="%.1f" y2="%d" class="range"/>\n' % (
            low, middle, high, middle))
        label = shown(median)
        if side != "post":
            ratio = self.report.ratio(row, name, side)
            if ratio is not None:
                label += "  (post: %.2fx)" % ratio
        self.text(high + 8, middle + 4, label)
        self.y += self.BAR + self.GAP

    def draw(self):
        for row in self.report.rows():
            self.group(row)
        self.y += 14
        rounds = {n for names in self.report.values.values() for sides in names.values()
                  for values in sides.values() for n in values}
        self.text(8, self.y, "Loopback, one core for each end, %d interleaved rounds: median and "
                  "range." % len(rounds), "quiet")
        for side, version in self.report.versions:
            self.y += 15
            self.text(8, self.y, "%s: %s" % (side, version), "quiet")
        height = self.y + 12
        return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" '
                'height="%d" role="img">\n  <title>post compared</title>\n  <style>%s</style>\n'
                '%s</svg>\n' % (self.WIDTH, height, self.WIDTH, height, self.STYLE,
                                "".join(self.parts)))
