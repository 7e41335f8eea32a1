"""coordd.py -- real drcoordd processes on loopback, for the tests of this folder."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lab"))


class Failed(Exception):
    """What was expected did not come."""


def expect(holds, what, *seen):
    """Fail unless it holds."""
    if not holds:
        raise Failed(f"expected {what}; saw: " + " ".join(str(s) for s in seen))


def eventually(what, look, seconds=20, every=0.05):
    """Poll until look() gives something true; that."""
    end = time.monotonic() + seconds
    while True:
        got = look()
        if got:
            return got
        expect(time.monotonic() < end, what, "nothing within", seconds, "s")
        time.sleep(every)


def free_ports(count):
    """Ports of the loopback address that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def connect(cluster, name, to, room=None):
    """A TLS connection to that coordinator with that certificate; room: bytes that the kernel takes before they are read."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.load_verify_locations(cluster.path("pki", "ca.crt"))
    tls.load_cert_chain(cluster.path(name + ".crt"), cluster.path(name + ".key"))
    plain = socket.socket()
    if room:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    plain.settimeout(10)
    plain.connect(("127.0.0.1", cluster.ports[to]))
    return tls.wrap_socket(plain)


class Daemon:
    """One drcoordd, its output in a file."""

    def __init__(self, argv, log, preexec=None):
        self.log = log
        self.start = os.path.getsize(log) if os.path.exists(log) else 0
        with open(log, "ab") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=preexec)

    def said(self):
        """What this process wrote so far."""
        with open(self.log, "rb") as f:
            f.seek(self.start)
            return f.read().decode(errors="replace")

    def wait(self, seconds=15):
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"it did not end within {seconds} s; it said:\n{self.said()[-2000:]}") from None

    def kill(self):
        """End it at once, and wait for that."""
        self.process.kill()
        self.process.wait()

    def is_running(self):
        """Whether it has not ended."""
        return self.process.poll() is None


class Cluster:
    """A certificate authority and node files of coordinators c-a, c-b, ... on loopback ports."""

    def __init__(self, drcoordd, drcoordctl, letters="abc"):
        self.drcoordd, self.drcoordctl = drcoordd, drcoordctl
        self.dir = tempfile.mkdtemp(prefix="drcoordd-")
        self.names = [f"c-{x}" for x in letters]
        self.ports = dict(zip(self.names, free_ports(len(self.names))))
        self.daemons = {}
        self.all = []
        self.ctl_offline("pki", "init", "--dir", self.path("pki"), "--cluster", "demo")
        for name in self.names:
            self.issue("coordinator", name)
            self.write_conf(name)
        self.issue("admin", "root")

    def path(self, *parts):
        """A path in the test's folder."""
        return os.path.join(self.dir, *parts)

    def ctl_offline(self, *words):
        """drcoordctl without a coordinator."""
        subprocess.run([self.drcoordctl, *words], check=True, stdout=subprocess.DEVNULL)

    def issue(self, kind, name, out=None, *options):
        """Make a certificate and its key: OUT.crt, OUT.key."""
        self.ctl_offline("pki", "issue", "--dir", self.path("pki"), "--kind", kind, "--name", name,
                         "--out", self.path(out or name), *options)

    def write_conf(self, name, out=None, **changes):
        """A node file; changes replace single lines."""
        lines = {"cluster": "demo", "name": name, "site": f"az-{name[-1]}",
                 "listen": f"127.0.0.1:{self.ports[name]}", "data_dir": self.path(f"data-{name}"),
                 "tls": f"{{ ca: {self.path('pki', 'ca.crt')}, cert: {self.path(name + '.crt')}, "
                        f"key: {self.path(name + '.key')} }}",
                 "raft": "{ election: 500ms, heartbeat: 50ms }", **changes}
        path = self.path(out or f"{name}.yaml")
        with open(path, "w", encoding="ascii") as f:
            for key, value in lines.items():
                f.write(f"{key}: {value}\n")
            f.write("peers:\n")
            for n in self.names:
                f.write(f"  - {{ name: {n}, address: 127.0.0.1:{self.ports[n]}, site: az-{n[-1]} }}\n")
        return path

    def run(self, *options, conf=None, preexec=None):
        """Start drcoordd with these options."""
        argv = [self.drcoordd, *(["--config", conf] if conf else []), *options]
        daemon = Daemon(argv, self.path("log"), preexec)
        self.all.append(daemon)
        return daemon

    def start(self, name, *options):
        """Start one coordinator by its node file."""
        daemon = Daemon([self.drcoordd, "--config", self.path(f"{name}.yaml"), *options],
                        self.path(f"{name}.log"))
        self.daemons[name] = daemon
        self.all.append(daemon)
        return daemon

    def up(self):
        """Start all as a new cluster and wait for a leader that reaches all."""
        for name in self.names:
            self.start(name, "--bootstrap")
        return self.whole(len(self.names))

    def ctl(self, *words, names=None, seconds=15):
        """drcoordctl as admin; the finished process."""
        ends = ",".join(f"127.0.0.1:{self.ports[n]}" for n in names or self.names)
        argv = [self.drcoordctl, "-e", ends, "--ca", self.path("pki", "ca.crt"), "--cert", self.path("root.crt"),
                "--key", self.path("root.key"), *([] if "-o" in words else ["-o", "json"]), *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)

    def insist(self, *words):
        """A verb that must succeed; its answer.  One that has only just begun to lead has not heard from all yet."""
        until = time.monotonic() + 5
        done = self.ctl(*words)
        while "which is no majority" in done.stdout + done.stderr and time.monotonic() < until:
            time.sleep(0.1)
            done = self.ctl(*words)
        expect(done.returncode == 0, f"drcoordctl {' '.join(words)} to succeed", done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout or "{}")

    def status(self):
        """The status, None without a leader."""
        done = self.ctl("status", "-t", "2s")
        try:
            return json.loads(done.stdout) if done.returncode == 0 else None
        except ValueError:
            return None

    def whole(self, count):
        """Wait until the leader reaches this many coordinators and there are no others; the status."""
        def look():
            s = self.status()
            nodes = s["coordinators"] if s else []
            return s if len(nodes) == count and all(n["reachable"] for n in nodes) else None
        return eventually(f"{count} coordinators that answer", look, 30)

    def close(self):
        """End what runs and remove the folder."""
        for daemon in self.all:
            if daemon.is_running():
                daemon.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def no_crash(cluster):
    """No process may have ended by a signal of its own making or a sanitizer's report."""
    bad = []
    for daemon in cluster.all:
        code = daemon.process.poll()
        if code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL) or "Sanitizer" in daemon.said():
            bad.append(f"exit {code}: {daemon.said()[-3000:]}")
    expect(not bad, "no crash", *bad)


def main(cases):
    """Run the cases named on the command line, all without: FILE DRCOORDD DRCOORDCTL [CASE...]."""
    programs, wanted = sys.argv[1:3], sys.argv[3:]
    bad = 0
    for case in cases:
        if wanted and case.__name__ not in wanted:
            continue
        began = time.monotonic()
        cluster = Cluster(*programs, **getattr(case, "options", {}))
        try:
            case(cluster)
            no_crash(cluster)
            print(f"ok - {case.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except Failed as e:
            bad += 1
            print(f"not ok - {case.__name__}: {e}", flush=True)
            for name, daemon in cluster.daemons.items():
                print(f"--- {name}: {daemon.process.poll()}\n{daemon.said()[-1500:]}", flush=True)
        finally:
            cluster.close()
    sys.exit(1 if bad else 0)
