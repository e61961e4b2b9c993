"""One cell of the matrix: a server and a client, each in its namespace, the link between them, and
the judgement. Runs in namespaces of processes, mounts and networks of its own, so that whatever the
peers start ends with it. The result is the file result.json in its folder."""

import json
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

from . import cases, decode
from .link import ADDRESSES, CLIENT, SERVER, Emulator, Trace

PEERS = Path(__file__).resolve().parent.parent / "peers"
UNSUPPORTED = 127
PASSED, FAILED, SKIPPED = "passed", "failed", "unsupported"
SERVER_SECONDS = 20  # until it listens
LARGEST_CAPTURE = 2_000_000  # bytes kept of a cell that passed
LARGEST_LOG = 1 << 20
LARGEST_FILE = 256 << 20  # that a peer may write


class Cell:
    def __init__(self, spec):
        self.case = cases.BY_NAME[spec["case"]]
        self.peers = {CLIENT: spec["client"], SERVER: spec["server"]}
        self.folder = Path(spec["folder"])
        self.certificates = Path(spec["certificates"])
        self.seed = spec["seed"]
        self.traces = {CLIENT: Trace(), SERVER: Trace()}
        self.processes = {}
        self.seconds = 0.0

    def path(self, name):
        return self.folder / name

    # Preparation.

    def prepare(self):
        for name in ("www", "downloads", "certs", "qlog-client", "qlog-server"):
            self.path(name).mkdir(parents=True)
        chain = self.certificates / f"chain-{self.case.chain}"
        for file in chain.iterdir():
            self.path("certs").joinpath(file.name).write_bytes(file.read_bytes())
        draw = random.Random(self.seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self.names = []
        for i, size in enumerate(self.case.files):
            length = self.case.name_length or 8
            name = ("".join(draw.choices(letters, k=length)) + str(i))[-max(length, 8):]
            self.names.append(name)
            self.path("www").joinpath(name).write_bytes(
                self.text(draw, size) if self.case.lines else draw.randbytes(size))

    @staticmethod
    def text(draw, size):
        lines = b"".join(draw.randbytes(24).hex().encode() + b"\n" for _ in range(size // 49 + 1))
        return lines[:size - 1] + b"\n"

    def name_the_hosts(self):
        """Where the peers look for names: a file, and nobody behind it."""
        ipv4, ipv6 = ADDRESSES[SERVER]
        self.path("hosts").write_text(
            "127.0.0.1 localhost\n::1 localhost\n"
            f"{ipv4} server4\n{ipv6} server6\n{ipv4} server46\n{ipv6} server46\n")
        self.path("resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        for name in ("hosts", "resolv.conf"):
            subprocess.run(["mount", "--bind", str(self.path(name)), f"/etc/{name}"], check=True)

    # Processes.

    def environment(self, side):
        testcase = self.case.client if side == CLIENT else self.case.server
        variables = dict(os.environ, CASE=self.case.name, TESTCASE=testcase, PORT="443",
                         CELL=str(self.folder), WWW=str(self.path("www")),
                         CERTS=str(self.path("certs")), DOWNLOADS=str(self.path("downloads")),
                         SSLKEYLOGFILE=str(self.path(f"{side}-keys.log")), ROLE=side,
                         QLOGDIR=str(self.path(f"qlog-{side}")), POST_POLICY="")
        if side == CLIENT:
            variables["SERVER"] = self.case.host
            variables["REQUESTS"] = " ".join(
                f"https://{self.case.host}:443/{name}" for name in self.names)
        return variables

    def spawn(self, name, side, command, environment=None):
        log = open(self.path(f"{name}.log"), "wb")
        process = subprocess.Popen(
            self.link.inside(side) + command, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            pass_fds=[self.link.namespaces[side]])
        log.close()
        self.processes[name] = process
        return process

    def start(self, side):
        return self.spawn(side, side, [str(PEERS / self.peers[side]), side], self.environment(side))

    def stop(self):
        """All of them: first in words."""
        for word, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            for process in self.processes.values():
                if process.poll() is None:
                    try:
                        os.killpg(process.pid, word)
                    except ProcessLookupError:
                        pass
            end = time.monotonic() + patience
            self.link.run(lambda now: now > end or all(
                process.poll() is not None for process in self.processes.values()))

    def listens(self, process):
        """Whether somebody has port 443 in the server's namespace."""
        for name in ("tcp", "tcp6") if self.case.protocol == "tls" else ("udp", "udp6"):
            try:
                lines = Path(f"/proc/{process.pid}/net/{name}").read_text().splitlines()
            except OSError:
                continue
            if any(line.split()[1].endswith(":01BB") for line in lines[1:]):
                return True
        return False

    # The run.

    def run(self):
        self.prepare()
        self.name_the_hosts()
        self.link = Emulator(self.case.link, self.seed, self.traces)
        try:
            return self.talk()
        finally:
            self.stop()

    def talk(self):
        server = self.start(SERVER)
        patience = time.monotonic() + SERVER_SECONDS
        self.link.run(lambda now: now > patience or server.poll() is not None
                      or self.listens(server))
        if server.poll() is not None:
            if server.returncode == UNSUPPORTED:
                return SKIPPED, f"not supported by {self.peers[SERVER]} as a server", ""
            return FAILED, f"the server ended with exit code {server.returncode}", ""
        if not self.listens(server):
            return FAILED, f"the server does not listen after {SERVER_SECONDS} s", ""
        if self.case.cross_flow:
            self.start_cross_flow()
        client = self.start(CLIENT)
        self.link.start()
        began = time.monotonic()
        self.link.run(lambda now: now > began + self.case.seconds or client.poll() is not None)
        self.seconds = time.monotonic() - began
        # What the client said last is still on its way.
        end = time.monotonic() + 0.2 + 2 * self.case.link.to_server.delay
        self.link.run(lambda now: now > end)
        if client.poll() is None:
            return FAILED, f"not done after {self.case.seconds} s", ""
        if client.returncode == UNSUPPORTED:
            return SKIPPED, f"not supported by {self.peers[CLIENT]} as a client", ""
        if client.returncode:
            return FAILED, f"the client ended with exit code {client.returncode}", ""
        if server.poll() is not None:
            return FAILED, f"the server ended with exit code {server.returncode}", ""
        self.stop()
        return self.judge()

    def start_cross_flow(self):
        """A cubic TCP flow from the server's end to the client's, as long as the run."""
        program = str(Path(__file__).with_name("cross_flow.py"))
        self.spawn("cross-sink", CLIENT, ["python3", program, "sink"])
        self.spawn("cross-source", SERVER, ["python3", program, ADDRESSES[CLIENT][0]])

    # The judgement.

    def judge(self):
        wrong = self.compare_files()
        if wrong:
            return FAILED, wrong, ""
        run = self.decoded_run()
        try:
            if self.case.protocol == "quic":
                cases.check_common(run)
            return PASSED, "", (self.case.check(run) if self.case.check else "") or ""
        except cases.Failed as error:
            return FAILED, str(error), ""

    def compare_files(self):
        found = {path.name for path in self.path("downloads").iterdir()}
        missing, extra = set(self.names) - found, found - set(self.names)
        if missing:
            return f"{len(missing)} of {len(self.names)} files are missing"
        if extra:
            return f"files that nobody asked for: {', '.join(sorted(extra))[:200]}"
        for name in self.names:
            if self.path("www").joinpath(name).read_bytes() != \
                    self.path("downloads").joinpath(name).read_bytes():
                return f"the file {name[:40]} is not the server's"
        return ""

    def keys(self):
        lines = []
        for side in (CLIENT, SERVER):
            if self.path(f"{side}-keys.log").exists():
                lines += self.path(f"{side}-keys.log").read_bytes().splitlines()
        return b"".join(line + b"\n" for line in dict.fromkeys(lines))

    def decoded_run(self):
        keys, parsed = self.keys(), {}
        for side, trace in self.traces.items():
            path = self.path(f"{side}.pcapng")
            trace.write(path, keys)
            parsed[side] = trace.parsed()
            if self.case.protocol == "quic":
                decode.decode(path, parsed[side], 240)
        return cases.Run(self.case, parsed[CLIENT], parsed[SERVER], self.seconds)

    # What is left for those who look.

    def timeline(self, columns=60):
        """Bytes that the client's end saw in each part of the time, in both directions, and what
        that time was."""
        trace = self.traces[CLIENT].packets
        if not trace:
            return {"seconds": 0, "to_server": [], "to_client": []}
        first = trace[0][0]
        width = max(trace[-1][0] - first, 1e-3) / columns
        bins = {True: [0] * columns, False: [0] * columns}
        for now, from_client, _, size in trace:
            bins[from_client][min(columns - 1, int((now - first) / width))] += size
        return {"seconds": width * columns, "to_server": bins[True], "to_client": bins[False]}

    def tidy_up(self, status):
        for name in ("www", "downloads"):
            for file in self.path(name).iterdir():
                file.unlink()
            self.path(name).rmdir()
        for side, trace in self.traces.items():
            path = self.path(f"{side}.pcapng")
            if status == PASSED and path.exists() and path.stat().st_size > LARGEST_CAPTURE:
                del trace.packets[1500:]
                path.unlink()
            if not path.exists() and trace.packets:
                trace.write(path, self.keys())
            for log in self.path(f"qlog-{side}").iterdir():
                if log.stat().st_size > LARGEST_LOG:
                    os.truncate(log, LARGEST_LOG)
        for log in self.folder.glob("*.log"):
            if log.stat().st_size > LARGEST_LOG:
                os.truncate(log, LARGEST_LOG)


def main(spec):
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cell = Cell(spec)
    try:
        status, detail, figure = cell.run()
    except Exception as error:  # pylint: disable=broad-except
        status, detail, figure = FAILED, f"the runner: {type(error).__name__}: {error}", ""
    result = {"client": cell.peers[CLIENT], "server": cell.peers[SERVER], "case": cell.case.name,
              "status": status, "detail": detail, "figure": figure,
              "seconds": round(cell.seconds, 3), "seed": cell.seed, "timeline": cell.timeline(),
              "link": cell.link.counts() if hasattr(cell, "link") else {}}
    cell.tidy_up(status)
    cell.path("result.json").write_text(json.dumps(result))
