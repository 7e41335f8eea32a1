"""bench_abuse.py -- what the renewals of 100 agents take while somebody misuses the port of the leader: calm first, then
each way of tests/lab/abuse.py by itself.

The abuser is a process of its own and gets what the others leave of the machine (nice), as it would from outside
of it.  A lease that is lost, and a leader that changes, are figures: both are to be 0."""

import json
import os
import signal
import subprocess
import sys
import time

from bench_scale import UP_S, Wide
from lab import HERE as LAB
from lab import LabError, wait_for

AGENTS = 100
SECONDS = 5
EXTRA_S = 20  # for an abuser to end in


def kinds():
    """The ways that there are."""
    done = subprocess.run([sys.executable, os.path.join(LAB, "abuse.py"), "--list"], capture_output=True, text=True,
                          check=True)
    return done.stdout.split()


def peak_forget(pid):
    """From now on the kernel counts the most memory of a process anew."""
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def memory(pid, key):
    """VmRSS or VmHWM (the most) of a process in MiB."""
    with open(f"/proc/{pid}/status") as f:
        return round(next(int(line.split()[1]) for line in f if line.startswith(key)) / 1024, 1)


class Abused(Wide):
    """Coordinators with agents that renew, and somebody who misuses the leader's port."""

    def __init__(self, folder, agents=AGENTS):
        super().__init__(folder, agents, 1)
        self.agents = None

    def __exit__(self, *exc):
        if self.agents:
            self.agents.process.kill()
            self.agents.process.wait()
        super().__exit__(*exc)

    def up(self, operators=2, admins=0):
        """Everything up, each agent with its lease."""
        super().up(operators, admins)
        self.pki("init", "--dir", self.file("other"), "--cluster", "demo")
        self.issue("operator", "op-0", "foreign", "other")
        self.agents = self.stream("agents", self.agent_certs(), services=self.count, run_ms=3600 * 1000)
        self.agents.wait(lambda line: line["phase"] == "up", UP_S)
        return self

    def cut(self):
        """What was counted since the last time."""
        self.agents.process.send_signal(signal.SIGUSR1)
        return self.agents.wait(lambda line: line["phase"] == "cut", 10)

    def logged(self):
        """Bytes of all the coordinators' logs."""
        return sum(os.path.getsize(path) for path in self.logs())

    def lead(self):
        """Who leads, in which term."""
        status = wait_for("a status", self.status, 20, 0.1, self.logs())
        return status["leader"], status["term"]

    def abuse(self, kind, seconds):
        """Misuse the leader's port; renewals meanwhile, its memory, and what was done to it."""
        leader, term = self.lead()
        pid = self.pids()[leader]
        before, logged = memory(pid, "VmRSS"), self.logged()
        peak_forget(pid)
        self.cut()
        argv = ["nice", "-n", "10", sys.executable, os.path.join(LAB, "abuse.py"), kind, "--seconds", str(seconds),
                "--to", self.endpoints().split(",", maxsplit=1)[0], "--ca", self.file("pki/ca.crt"),
                "--cert", self.file("op-1"), "--foreign", self.file("foreign")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + EXTRA_S)
        got = self.cut()
        if done.returncode != 0:
            raise LabError(f"abuse {kind}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
        return {**got, "log_mb": round((self.logged() - logged) / (1 << 20), 2), "rss_mb": before, "rss_most_mb": memory(pid, "VmHWM"),
                "changes": int(self.lead() != (leader, term)), "did": json.loads(done.stdout.splitlines()[-1])}


def line_of(got, calm):
    """The figures of one window."""
    p99 = got["renewal_p99_us"]
    return {"renewals": got["renewals"], "p50_us": got["renewal_p50_us"], "p99_us": p99, "max_us": got["renewal_max_us"],
            "p99_to_calm": round(p99 / calm["renewal_p99_us"], 1), "lost_leases": got["fences"]}


def run(args, put):
    """Calm, then each way."""
    with Abused(args.dir, args.agents or AGENTS) as scene:
        scene.up()
        scene.cut()
        time.sleep(SECONDS)  # as long as is measured
        calm = scene.cut()
        put("calm", agents=scene.count, **line_of(calm, calm))
        lost = calm["fences"]
        for kind in args.only.split(",") if args.only else kinds():
            try:
                got = scene.abuse(kind, SECONDS)
            except LabError as e:
                put(kind, error=str(e)[-300:])
                return
            got["fences"], lost = got["fences"] - lost, got["fences"]
            put(kind, **line_of(got, calm), leader_changes=got["changes"], rss_mb=got["rss_mb"],
                rss_most_mb=got["rss_most_mb"], rss_ratio=round(got["rss_most_mb"] / got["rss_mb"], 2), log_mb=got["log_mb"], did=got["did"])
