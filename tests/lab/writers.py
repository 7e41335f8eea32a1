"""writers.py -- the lab's clients: starting them, and reading what was acknowledged to them.

Three outside, one per data address; one inside site a; one outside that finds the primary by the DNS name;
and one that only watches what each DNS server answers.  They are the instrument: no fault kills them."""

import os

from net import CLIENT, SITES, host_name
from servers import PRIMARY_SITE, RECORD

CONNINFO = {"mysql": "writer", "redis": "", "postgres": "user=writer dbname=postgres sslmode=disable gssencmode=disable application_name=drlab-writer"}
OUTSIDE = {1: "outside-a", 2: "outside-b", 3: "outside-c"}
INSIDE, BY_NAME = 4, 5
NAMES = {**OUTSIDE, INSIDE: "inside-a", BY_NAME: "by-name"}
NS = 1e-9


class Ack:
    """One acknowledged row: when it was sent and answered (seconds of CLOCK_BOOTTIME), by which address."""

    __slots__ = ("sent", "done", "n", "server")

    def __init__(self, sent, done, n, server):
        self.sent, self.done, self.n, self.server = sent, done, n, server


class Log:
    """One writer's log, read as far as it is written."""

    def __init__(self, path):
        self.path, self.at, self.rest = path, 0, ""
        self.acks, self.unknown, self.refused, self.answers = [], 0, 0, []

    def read(self):
        """Take in what was added; returns self."""
        try:
            with open(self.path) as f:
                f.seek(self.at)
                text = f.read()
                self.at = f.tell()
        except FileNotFoundError:
            return self
        lines = (self.rest + text).split("\n")
        self.rest = lines.pop()
        for line in lines:
            self._line(line.split())
        return self

    def _line(self, words):
        kind, n, server = words[0], int(words[3]), words[4]
        sent, done = int(words[1]) * NS, int(words[2]) * NS
        if kind == "a":
            self.acks.append(Ack(sent, done, n, server))
        elif kind == "u":
            self.unknown += 1
        elif kind == "e":
            self.refused += 1
        elif kind == "d":
            self.answers.append((done, server, words[5]))


class Writers:
    """All writers of one service; the prefix tells their files from another service's."""

    def __init__(self, lab, dns, binary, port=5432, record=RECORD, prefix="", servers=None):
        self.lab, self.dns, self.binary = lab, dns, binary
        self.port, self.record, self.prefix = port, record, prefix
        kind = servers.kind if servers else "postgres"
        self.speaks = {"postgres": "postgres", "redis": "redis", "valkey": "redis", "redis-cluster": "redis"}.get(kind, "mysql")
        self.conninfo = getattr(servers, "conninfo", CONNINFO[self.speaks])
        self.programs = []
        self.logs = {w: Log(self._path(w)) for w in NAMES}
        self.dns_log = Log(self._path("dns"))

    def _path(self, writer):
        return self.lab.path("log", f"{self.prefix}writer-{writer}.rows")

    def _start(self, writer, host, where):
        argv = [self.binary, "--log", self._path(writer), "--kind", self.speaks,
                "--conninfo", self.conninfo, "--port", str(self.port)]
        argv += where
        if writer in NAMES:
            argv += ["--id", str(writer)]
        self.programs.append(self.lab.spawn(CLIENT, host, f"{self.prefix}writer-{writer}", argv))

    def start(self):
        """Start them all."""
        for writer, site in zip(OUTSIDE, SITES):
            self._start(writer, CLIENT, ["--address", f"{self.lab.address(site, 'db')}:{self.port}"])
        inside = f"{self.lab.address(PRIMARY_SITE, 'db')}:{self.port}"
        self._start(INSIDE, host_name(PRIMARY_SITE, "app"), ["--address", inside])
        by_name = ["--name", self.record, "--dns", ",".join(self.dns.addresses())]
        self._start(BY_NAME, CLIENT, by_name)
        self._start("dns", CLIENT, by_name + ["--watch-dns"])

    def stop(self):
        """End them in order: the answer to the row in flight is waited for."""
        for program in self.programs:
            program.kill(15)
        for program in self.programs:
            if program.wait(5) is None:
                program.kill()
                program.wait(5)

    def read(self):
        """Take in what all logs hold by now; returns self."""
        for log in self.logs.values():
            log.read()
        self.dns_log.read()
        return self

    def acks(self, writers=None):
        """The acknowledged rows of some writers, in the order of their answers."""
        chosen = [a for w in (writers or NAMES) for a in self.logs[w].acks]
        return sorted(chosen, key=lambda a: a.done)

    def first_ack(self, server, after):
        """The time of the first acknowledgement from an address after a time, None before there is one."""
        newer = [a for log in self.logs.values() for a in reversed_until(log.acks, after)]
        times = [a.done for a in newer if a.server == server]
        return min(times, default=None)

    def acknowledged_rows(self):
        """Every (writer, n) that was acknowledged."""
        return {(w, a.n) for w, log in self.logs.items() for a in log.acks}


def reversed_until(acks, after):
    """The newest rows back to a time."""
    for ack in reversed(acks):
        if ack.done <= after:
            return
        yield ack


def find_binary(build, name):
    """The path of a built program, None when it isn't there; those that are shipped stand in bin/."""
    shipped = os.path.join(build, "bin", name)
    if os.access(shipped, os.X_OK):
        return shipped
    for folder, _, names in os.walk(build):
        path = os.path.join(folder, name)
        if name in names and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None
