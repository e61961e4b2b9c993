"""Known faults of peers (interop/known_faults): cells that fail and are not to blame on the library.
One a line, what begins with # is a comment:

    CLIENT SERVER CASE always|sometimes REASON

An asterisk stands for any name. A cell that fails and is listed counts as a known fault; one that is
said to fail always and passes is a failure, so that the list stays true."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

PASSED, FAILED, KNOWN = "passed", "failed", "known"
WORDS = ("always", "sometimes")


@dataclass
class Fault:
    client: str
    server: str
    case: str
    always: bool
    reason: str

    def matches(self, result):
        return all(fnmatchcase(result[key], getattr(self, key))
                   for key in ("client", "server", "case"))


def read(text):
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(None, 4)
        if len(words) < 5 or words[3] not in WORDS:
            raise ValueError(f"known_faults, line {number}: CLIENT SERVER CASE "
                             "always|sometimes REASON")
        found.append(Fault(*words[:3], words[3] == "always", words[4]))
    return found


def apply(faults, result):
    """The result as it counts."""
    fault = next((fault for fault in faults if fault.matches(result)), None)
    if fault is None:
        return result
    if result["status"] == FAILED:
        return result | {"status": KNOWN,
                         "detail": f"known fault: {fault.reason} ({result['detail']})"}
    if result["status"] == PASSED and fault.always:
        return result | {"status": FAILED,
                         "detail": f"passes, and known_faults says otherwise: {fault.reason}"}
    return result
