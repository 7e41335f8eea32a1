"""plant.py -- what the benchmarks are laid on: three coordinators on loopback addresses, and the load program.

The coordinators are the product's own with real files, certificates and TLS; only their data goes where the
caller says.  No servers and no agents: the services have members that nobody runs."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time

from cluster import PORT, PROGRAMS, Cluster, letter, member_of
from lab import BUILD, Lab, LabError, wait_for
from net import SITES
from writers import find_binary

LOAD = "dr_bench"
SERVER_PORT = 5999  # nothing listens there


def missing():
    """The programs that are not built."""
    return [name for name in (*PROGRAMS, LOAD, "dr_lab_writer") if find_binary(BUILD, name) is None]


def filesystem(folder):
    """The kind of filesystem that a folder is on, by the longest mount point that holds it."""
    folder, best = os.path.realpath(folder), ("", "unknown")
    with open("/proc/mounts") as f:
        for line in f:
            point, kind = line.split()[1:3]
            if folder == point or folder.startswith(point.rstrip("/") + "/") or point == "/":
                best = max(best, (point, kind), key=lambda b: len(b[0]))
    return best[1]


def load(*words, seconds=300):
    """Run the load program to its end; its last line as data."""
    argv = [find_binary(BUILD, LOAD), *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    sys.stderr.write(done.stderr)
    if done.returncode != 0 or not done.stdout:
        raise LabError(f"{' '.join(argv[1:3])}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def raw_write(folder, seconds=2):
    """What a synchronous write takes there just now."""
    os.makedirs(folder, exist_ok=True)
    return {**load("disk", "--run-ms", int(seconds * 1000), folder), "fs": filesystem(folder)}


class Stream:
    """The load program with its lines as they come."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def wait(self, wanted, seconds):
        """The next line that is wanted."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty as e:
                raise LabError(f"the load program said nothing for {seconds:g} s") from e
            if wanted(line):
                return line

    def stop(self):
        """End it in order; its last line."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.wait(lambda line: "clients" in line, 5)


class Plant(Cluster):
    """Three coordinators with their data in a folder of their own; leave it to have everything removed."""

    def __init__(self, folder, profile="default", services=1):
        self.services = services
        self.folder = os.path.join(folder, f"drbench-{os.getpid()}-{time.monotonic_ns() // 1000000}")
        lab = Lab(loopback=True)
        try:
            super().__init__(lab, None, None, BUILD, profile)
            os.makedirs(self.folder)
        except BaseException:
            lab.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.lab.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def service_block(self, **changes):
        """A service of which nothing runs."""
        members = [{"name": member_of(s), "site": s, "agent": f"agent-{letter(s)}", "priority": n + 1,
                    "address": f"{self.lab.address(s, 'db')}:{SERVER_PORT}",
                    "agent_address": f"{self.lab.address(s, 'db')}:{SERVER_PORT + 1}"} for n, s in enumerate(SITES)]
        return {"name": self.name, "kind": "postgres", "auto_failover": True, "durability": "sync",
                "sync": {"k": 1, "set_max": 1}, "when_alone": "continue", "alone_after": "10s", "rpo": "16MiB",
                "cooldown": "30s", "restart_within": "10s", "database": "postgres", "user": "drcoord",
                "members": members, **changes}

    def logs(self):
        """The coordinators' logs."""
        return [self.lab.path("log", f"c-{letter(s)}.log") for s in SITES]

    def up(self, operators=8, admins=0):
        """Certificates, coordinators, spec; returns self."""
        try:
            self._up(operators, admins)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _up(self, operators, admins):
        self.make_pki()
        for n in range(operators):
            self.issue("operator", f"op-{n}")
        for n in range(admins):
            self.issue("admin", f"adm-{n}")
        for site in SITES:
            self.coordinator_file(site, data_dir=os.path.join(self.folder, f"c-{letter(site)}"))
            self.start_coordinator(site, "--bootstrap")
        self.wait_leader()
        self.insist("the spec to be accepted", "apply", "-f", self.spec_file(), "--reason", "benchmark")
        wait_for("all coordinators", self.whole, 20, 0.05, self.logs())

    def whole(self):
        """Whether all three are up and hold what is committed."""
        status = self.status() or {}
        nodes = status.get("coordinators", [])
        return len(nodes) == 3 and all(n["reachable"] or n["role"] == "leader" for n in nodes) and all(
            n.get("match", 0) + 1000 >= status["commit"] for n in nodes)

    def endpoints(self):
        """The addresses of all, the leader first."""
        leader = self.wait_leader()
        order = [leader] + [s for s in SITES if s != leader]
        return ",".join(f"{self.lab.address(s, 'coord')}:{PORT}" for s in order)

    def certs(self, prefix, count):
        """The certificates of so many people, as the load program takes them."""
        return ",".join(self.file(f"{prefix}-{n}") for n in range(count))

    def words(self, mode, certs, **options):
        """The load program's words for this cluster."""
        words = [mode, "--endpoints", self.endpoints(), "--ca", self.file("pki/ca.crt"), "--certs", certs]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(int(value))]
        return words

    def load(self, mode, certs, **options):
        """Run the load program against this cluster; its last line."""
        return load(*self.words(mode, certs, **options))

    def stream(self, mode, certs, **options):
        """The same, as it goes."""
        return Stream([find_binary(BUILD, LOAD), *self.words(mode, certs, **options)])
