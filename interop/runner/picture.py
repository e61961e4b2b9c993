"""The matrix as a picture (SVG) for a page that shows no other: a cell has its time or rate."""

from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP = 84, 24, 3
LEFT, HEAD = 150, 56
VERSIONS = 5  # a line

STYLE = """
    text { font: 12px sans-serif; fill: #1f2328; }
    .title { font-size: 15px; font-weight: bold; }
    .quiet { fill: #59636e; font-size: 11px; }
    rect.passed { fill: #d6f2e1; } text.passed { fill: #0b6b43; }
    rect.known { fill: #fdf0d0; } text.known { fill: #8a5a00; }
    rect.failed { fill: #fbdcd9; } text.failed { fill: #b42318; font-weight: bold; }
    rect.unsupported { fill: #f1f3f5; } text.unsupported { fill: #8c959f; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; } .quiet { fill: #9198a1; }
      rect.passed { fill: #123527; } text.passed { fill: #56d39a; }
      rect.known { fill: #46360f; } text.known { fill: #f0b44d; }
      rect.failed { fill: #4a1f1c; } text.failed { fill: #ff8a80; }
      rect.unsupported { fill: #1c222b; } text.unsupported { fill: #656c76; }
    }
"""


def word_of(cell):
    if cell["status"] == "failed":
        return "failed"
    if cell["status"] == "known":
        return "known fault"
    if cell["status"] != "passed":
        return "\u2013"
    if cell["figure"].endswith("kbit/s"):
        return f'{float(cell["figure"].split()[0]) / 1000:.2f} Mbit/s'
    return f'{cell["seconds"]:.1f} s'


class Picture:
    def __init__(self, whole):
        self.whole, self.out = whole, []
        self.cells = {(cell["client"], cell["server"], cell["case"]): cell
                      for cell in whole["results"]}

    def say(self, x, y, words, kind="", anchor="start"):
        self.out.append(f'  <text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
                        f"{escape(words)}</text>")

    def table(self, top, title, pairings, names):
        """Cases down, pairings across; where it ends."""
        self.say(8, top + 14, title)
        top += HEAD
        for column, (client, server) in enumerate(pairings):
            middle = LEFT + column * (WIDTH + GAP) + WIDTH / 2
            self.say(middle, top - 20, client, anchor="middle")
            self.say(middle, top - 6, "\u2192 " + server, "quiet", "middle")
        for row, name in enumerate(names):
            at = top + row * (HEIGHT + GAP)
            self.say(LEFT - 8, at + 16, name, anchor="end")
            for column, pairing in enumerate(pairings):
                cell = self.cells.get((*pairing, name))
                if cell is None:
                    continue
                left, kind = LEFT + column * (WIDTH + GAP), cell["status"]
                self.out.append(f'  <rect x="{left}" y="{at}" width="{WIDTH}" height="{HEIGHT}" '
                                f'rx="4" class="{kind}"/>')
                self.say(left + WIDTH / 2, at + 16, word_of(cell), kind, "middle")
        return top + len(names) * (HEIGHT + GAP) + 10


def draw(whole, pairings, names, is_quic):
    """`is_quic`: whether a case is one of the public runner's."""
    picture = Picture(whole)
    sums = {status: sum(cell["status"] == status for cell in whole["results"])
            for status in ("passed", "failed", "known", "unsupported")}
    picture.say(8, 22, "post and other people's software: client above, server below it", "title")
    picture.say(8, 40, f'{sums["passed"]} passed, {sums["failed"]} failed, {sums["known"]} known '
                f'faults (interop/known_faults), {sums["unsupported"]} that a peer does not support',
                "quiet")
    at, widest = 50, 0
    for title, wanted in (("Test cases of the public QUIC interop runner", True),
                          ("The other stacks: what is sent comes back", False)):
        rows = [name for name in names if is_quic(name) is wanted]
        columns = [pairing for pairing in pairings
                   if any((*pairing, name) in picture.cells for name in rows)]
        if rows and columns:
            at = picture.table(at, title, columns, rows)
            widest = max(widest, len(columns))
    versions = [version for name, version in whole["versions"].items() if name != "post"]
    lines = [f'{whole["made"]}, seed {whole["seed"]}'] + [
        "; ".join(versions[i:i + VERSIONS]) for i in range(0, len(versions), VERSIONS)]
    for line in lines:
        at += 14
        picture.say(8, at, line, "quiet")
    width, height = LEFT + widest * (WIDTH + GAP) + 10, at + 12
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img">',
        "  <title>post and other people's software: the matrix of interop/run</title>",
        f"  <style>{STYLE}  </style>", *picture.out, "</svg>"]) + "\n"
