"""The matrix as a picture (SVG) for a page that shows no other: a cell has its time or rate."""

from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP = 84, 24, 3
LEFT, TOP = 150, 78

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


def draw(whole, pairings, names):
    cells = {(cell["client"], cell["server"], cell["case"]): cell for cell in whole["results"]}
    sums = {status: sum(cell["status"] == status for cell in whole["results"])
            for status in ("passed", "failed", "known", "unsupported")}
    width = LEFT + len(pairings) * (WIDTH + GAP) + 10
    height = TOP + len(names) * (HEIGHT + GAP) + 34 + 14 * len(whole["versions"])
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'width="{width}" height="{height}" role="img">',
           "  <title>The test cases of the QUIC interop runner, with other people's software</title>",
           f"  <style>{STYLE}  </style>"]

    def say(x, y, words, kind="", anchor="start"):
        out.append(f'  <text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
                   f"{escape(words)}</text>")

    say(8, 22, "Test cases of the QUIC interop runner: client above, server below it", "title")
    say(8, 40, f'{sums["passed"]} passed, {sums["failed"]} failed, {sums["known"]} known faults '
               f'(interop/known_faults), {sums["unsupported"]} that a peer does not support', "quiet")
    for column, (client, server) in enumerate(pairings):
        middle = LEFT + column * (WIDTH + GAP) + WIDTH / 2
        say(middle, TOP - 20, client, anchor="middle")
        say(middle, TOP - 6, "\u2192 " + server, "quiet", "middle")
    for row, name in enumerate(names):
        top = TOP + row * (HEIGHT + GAP)
        say(LEFT - 8, top + 16, name, anchor="end")
        for column, (client, server) in enumerate(pairings):
            cell = cells.get((client, server, name))
            if cell is None:
                continue
            left, kind = LEFT + column * (WIDTH + GAP), cell["status"]
            out.append(f'  <rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="4" '
                       f'class="{kind}"/>')
            say(left + WIDTH / 2, top + 16, word_of(cell), kind, "middle")
    at = TOP + len(names) * (HEIGHT + GAP) + 18
    say(8, at, f'{whole["made"]}, seed {whole["seed"]}', "quiet")
    for number, version in enumerate(whole["versions"].values(), 1):
        say(8, at + 14 * number, version, "quiet")
    return "\n".join(out) + "\n</svg>\n"
