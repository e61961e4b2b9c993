"""The matrix as one page that needs nothing else: a cell opens what became of it, when its packets
went, its logs, and the capture."""

import base64
import html as text
import json
import os
from pathlib import Path

LARGEST_LOG = 20_000  # bytes shown, from the end
LARGEST_INSIDE = 150_000  # bytes of a capture that is part of the page; larger ones are linked
MOST_INSIDE = 8_000_000  # of all together

STYLE = """
:root { --ink:#1d2430; --soft:#667085; --line:#e4e7ec; --back:#f7f8fa; --card:#fff;
  --passed:#0f7b4f; --passed-back:#e3f5ec; --failed:#b42318; --failed-back:#fdeae8;
  --known:#8a5a00; --known-back:#fdf3dc;
  --unsupported:#98a2b3; --blue:#2f6fed; --amber:#d98b06; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ef; --soft:#98a2b3; --line:#2b3240;
  --back:#12161d; --card:#1a202a; --passed:#4cc38a; --passed-back:#14352a; --failed:#ff8a80;
  --failed-back:#4a1f1c; --unsupported:#667085; --blue:#7aa5ff; --amber:#f0b44d; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: var(--ink);
  background: var(--back); }
main { max-width: 1280px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 4px; } p.made { color: var(--soft); margin: 0 0 18px; }
.sums b { font-size: 22px; margin-right: 6px; } .sums span { margin-right: 26px; }
.sums .passed b { color: var(--passed); } .sums .failed b { color: var(--failed); }
.sums .known b { color: var(--known); }
.sums .unsupported b { color: var(--unsupported); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px; margin-top: 18px; overflow: auto; max-height: 78vh; }
table.matrix { border-collapse: separate; border-spacing: 4px; }
.matrix th { font-weight: 600; font-size: 13px; text-align: center; padding: 3px 8px;
  position: sticky; top: -14px; background: var(--card); white-space: nowrap; z-index: 1; }
.matrix th small { display: block; font-weight: 400; color: var(--soft); }
.matrix th.case { text-align: left; left: -14px; position: sticky; }
.matrix button { width: 100%; min-width: 74px; border: 0; border-radius: 7px; padding: 7px 8px;
  font: inherit; font-size: 13px; cursor: pointer; color: inherit; }
.matrix .passed { background: var(--passed-back); color: var(--passed); }
.matrix .failed { background: var(--failed-back); color: var(--failed); font-weight: 700; }
.matrix .known { background: var(--known-back); color: var(--known); }
.matrix .unsupported { background: transparent; color: var(--unsupported); }
.matrix button:hover, .matrix button:focus-visible { outline: 2px solid var(--blue); }
dialog { width: min(980px, 94vw); max-height: 90vh; border: 1px solid var(--line);
  border-radius: 14px; background: var(--card); color: var(--ink); padding: 20px 22px; }
dialog::backdrop { background: rgb(0 0 0 / 45%); }
dialog h2 { margin: 0 40px 2px 0; font-size: 19px; } dialog .said { color: var(--soft); }
dialog .close { position: absolute; right: 14px; top: 12px; border: 0; background: none;
  font-size: 22px; cursor: pointer; color: var(--soft); }
dialog pre { background: var(--back); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px; overflow: auto; max-height: 240px; font-size: 12px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
dialog details { margin-top: 10px; } summary { cursor: pointer; font-weight: 600; }
dialog a { color: var(--blue); margin-right: 16px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; font-size: 13px; }
dt { color: var(--soft); } dd { margin: 0; }
.legend { font-size: 12px; color: var(--soft); } .legend i { display: inline-block; width: 10px;
  height: 10px; border-radius: 2px; margin: 0 5px 0 12px; }
svg { width: 100%; height: 130px; display: block; margin-top: 10px; }
"""

SCRIPT = """
const cells = JSON.parse(document.getElementById('cells').textContent);
const dialog = document.querySelector('dialog');
const element = (name, words, inside) => {
    const made = document.createElement(name);
    if (words) made.textContent = words;
    if (inside) inside.append(made);
    return made;
};
function chart(line, inside) {
    const most = Math.max(1, ...line.to_client, ...line.to_server), n = line.to_client.length;
    if (!n) return;
    const name = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(name, 'svg');
    svg.setAttribute('viewBox', `0 0 ${n} 100`);
    svg.setAttribute('preserveAspectRatio', 'none');
    const bar = (i, y, height, color) => {
        const rect = document.createElementNS(name, 'rect');
        for (const [key, value] of Object.entries(
            {x: i + 0.08, y, width: 0.84, height, fill: `var(--${color})`}))
            rect.setAttribute(key, value);
        svg.append(rect);
    };
    line.to_client.forEach((bytes, i) => {
        const height = bytes ? Math.max(1, bytes / most * 64) : 0;
        bar(i, 66 - height, height, 'blue');
    });
    line.to_server.forEach((bytes, i) =>
        bar(i, 68, bytes ? Math.max(1, bytes / most * 64) / 2 : 0, 'amber'));
    inside.append(svg);
    const legend = element('div', '', inside);
    legend.className = 'legend';
    const width = line.seconds / n;
    legend.append(`${line.seconds.toFixed(2)} s; the highest bar is ` +
        `${(most * 8 / width / 1000).toFixed(0)} kbit/s`);
    for (const [color, words] of [['blue', 'to the client'], ['amber', 'to the server']]) {
        const mark = element('i', '', legend);
        mark.style.background = `var(--${color})`;
        legend.append(words);
    }
}
function show(index) {
    const cell = cells[index];
    dialog.replaceChildren();
    history.replaceState(null, '', named(cell));
    const close = element('button', '\\u00d7', dialog);
    close.className = 'close';
    close.setAttribute('aria-label', 'Close');
    close.onclick = () => dialog.close();
    element('h2', `${cell.case}: ${cell.client} \\u2192 ${cell.server}`, dialog);
    element('div', [cell.status, `${cell.seconds.toFixed(1)} s`, cell.detail, cell.figure]
        .filter((word) => word).join(' \\u00b7 '), dialog).className = 'said';
    if (cell.timeline) chart(cell.timeline, dialog);
    const list = element('dl', '', dialog);
    for (const [way, counts] of Object.entries(cell.link || {})) {
        element('dt', way, list);
        element('dd', Object.entries(counts).map(([name, n]) => `${n} ${name}`).join(', '), list);
    }
    const links = element('p', '', dialog);
    for (const [name, address] of cell.captures) {
        const link = element('a', name, links);
        link.href = address;
        link.download = `${cell.client}-${cell.server}-${cell.case}-${name}`;
    }
    for (const [name, words] of cell.logs) {
        const details = element('details', '', dialog);
        element('summary', name, details);
        element('pre', words, details);
        details.open = cell.status === 'failed';
    }
    dialog.showModal();
}
document.querySelector('.matrix').addEventListener('click', (event) => {
    const button = event.target.closest('button');
    if (button) show(Number(button.dataset.cell));
});
// A cell has an address of its own, to be sent to somebody: matrix.html#client/server/case.
const named = (cell) => `#${cell.client}/${cell.server}/${cell.case}`;
const meant = cells.findIndex((cell) => named(cell) === location.hash);
if (meant >= 0) show(meant);
dialog.addEventListener('close', () => history.replaceState(null, '', location.pathname));
dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
"""


def logs_of(folder):
    found = []
    for path in sorted(folder.glob("*.log")):
        if path.name.endswith("-keys.log"):
            continue
        words = path.read_bytes()[-LARGEST_LOG:].decode(errors="replace").strip()
        if words:
            found.append((path.name, words))
    return found


class Captures:
    """Small ones become part of the page, as long as there is room; others are links."""

    def __init__(self, beside):
        self.beside, self.left = beside, MOST_INSIDE

    def of(self, folder):
        found = []
        for path in sorted(folder.glob("*.pcapng")):
            size = path.stat().st_size
            if size <= min(LARGEST_INSIDE, self.left):
                self.left -= size
                data = base64.b64encode(path.read_bytes()).decode()
                address = "data:application/octet-stream;base64," + data
            else:
                address = os.path.relpath(path, self.beside)
            found.append((path.name, address))
        return found


def page(whole, pairings, names, beside):
    captures, cells, places = Captures(beside), [], {}
    for result in whole["results"]:
        folder = Path(result["folder"])
        places[result["client"], result["server"], result["case"]] = len(cells)
        cells.append({key: value for key, value in result.items() if key != "folder"}
                     | {"logs": logs_of(folder), "captures": captures.of(folder)})
    sums = {status: sum(cell["status"] == status for cell in cells)
            for status in ("passed", "failed", "known", "unsupported")}
    rows = []
    for name in [name for name in names if any(cell["case"] == name for cell in cells)]:
        row = [f'<th class="case" scope="row">{text.escape(name)}</th>']
        for client, server in pairings:
            index = places.get((client, server, name))
            row.append("<td></td>" if index is None else cell_of(cells[index], index))
        rows.append("<tr>" + "".join(row) + "</tr>")
    heads = "".join(f'<th scope="col">{text.escape(client)}<small>&rarr; {text.escape(server)}'
                    "</small></th>" for client, server in pairings)
    versions = "".join(f"<dt>{text.escape(name)}</dt><dd>{text.escape(said)}</dd>"
                       for name, said in whole["versions"].items())
    versions += "".join(f"<dt>{text.escape(name)}</dt><dd>not here: {text.escape(why)}</dd>"
                        for name, why in whole["missing"].items())
    data = json.dumps(cells).replace("</", "<\\/")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>post: QUIC interop</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{STYLE}</style>
<main><h1>QUIC interop of post</h1>
<p class="made">{text.escape(whole["made"])}, seed {whole["seed"]}; client above, server below it.
A cell opens its timing, logs and captures, which have their keys inside.</p>
<div class="sums">{"".join(f'<span class="{status}"><b>{n}</b>{status}</span>'
                           for status, n in sums.items())}</div>
<div class="card"><table class="matrix"><thead><tr><th class="case"></th>{heads}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>
<div class="card"><dl>{versions}</dl></div></main>
<dialog></dialog>
<script type="application/json" id="cells">{data}</script><script>{SCRIPT}</script></html>
"""


def cell_of(cell, index):
    words = {"passed": f'{cell["seconds"]:.1f} s', "failed": "failed",
             "known": "known fault", "unsupported": "&ndash;"}
    # Of what is measured the figure says more than the time.
    if cell["status"] == "passed" and cell["figure"].endswith("kbit/s"):
        words["passed"] = f'{float(cell["figure"].split()[0]) / 1000:.2f} Mbit/s'
    said = text.escape(cell["detail"] or cell["figure"] or cell["status"], quote=True)
    return f'<td><button class="{cell["status"]}" data-cell="{index}" title="{said}">' \
           f'{words[cell["status"]]}</button></td>'
