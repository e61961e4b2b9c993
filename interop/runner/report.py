"""The matrix: as text, as a value for JSON, as a page (page.py) and as a picture (picture.py)."""

import time
from pathlib import Path

from . import cases, page, picture

MARKS = {"passed": "ok", "failed": "FAILED", "known": "known", "unsupported": "-"}


def line(result):
    said = result["detail"] or result["figure"]
    return f"{MARKS[result['status']]:7}{result['client']} -> {result['server']}  " \
           f"{result['case']:20}{result['seconds']:7.1f} s" + (f"  {said}" if said else "")


def in_order(results):
    order = [case.name for case in cases.CASES]
    return sorted(results, key=lambda result: (
        result["client"], result["server"], order.index(result["case"])))


def whole(matrix, seed):
    return {"made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "seed": seed,
            "versions": matrix.versions, "missing": matrix.missing,
            "results": in_order(matrix.results)}


def joined(parts):
    """Several runs as one: of a cell the last result counts, and of the cases those that still are."""
    cells, versions, missing = {}, {}, {}
    for part in parts:
        versions |= part["versions"]
        missing |= part["missing"]
        for result in part["results"]:
            if result["case"] in cases.BY_NAME:
                cells[result["client"], result["server"], result["case"]] = result
    return parts[-1] | {"versions": versions, "results": in_order(cells.values()),
                        "missing": {name: why for name, why in missing.items()
                                    if name not in versions}}


def pairings(all_of_it):
    return list(dict.fromkeys((r["client"], r["server"]) for r in all_of_it["results"]))


def text(all_of_it):
    """Cases down, pairings across."""
    columns = pairings(all_of_it)
    names = [case.name for case in cases.CASES
             if any(r["case"] == case.name for r in all_of_it["results"])]
    cells = {(r["client"], r["server"], r["case"]): MARKS[r["status"]]
             for r in all_of_it["results"]}
    heads = [f"{client}>{server}" for client, server in columns]
    lines = ["client>server".ljust(21) + "".join(head.ljust(max(9, len(head) + 2))
                                                 for head in heads)]
    for name in names:
        lines.append(name.ljust(21) + "".join(
            cells.get((client, server, name), "").ljust(max(9, len(head) + 2))
            for (client, server), head in zip(columns, heads)))
    return "\n".join(row.rstrip() for row in lines)


def html(all_of_it, beside):
    return page.page(all_of_it, pairings(all_of_it), [case.name for case in cases.CASES],
                     Path(beside))


def svg(all_of_it):
    names = [case.name for case in cases.CASES
             if any(result["case"] == case.name for result in all_of_it["results"])]
    return picture.draw(all_of_it, pairings(all_of_it), names,
                        lambda name: cases.BY_NAME[name].protocol == "quic")
