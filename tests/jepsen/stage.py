"""stage.py -- where a run takes place: a lab with drcoord in it, prepared for its nemeses, with clients that write down
what they did."""

import glob
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

from client import SESSIONS
from cluster import busy, letter, member_of, site_of
from disks import can_throttle, keep_elsewhere, mount_image, mount_small, throttle, wipe
from lab import BUILD, LabError, wait_for
from leases import Leases
from net import CLIENT, SITES, host_name
from stand import Stand
from writers import find_binary

HERE = os.path.dirname(os.path.abspath(__file__))
QUEUE = 7
LOSSES = ("may_lose", "loss_unknown", "no_standby_left", "too_few_positions")  # what a plan asks before it loses something
PERSON_S = 5  # until a person answers, at most
OUTSIDE, INSIDE = 5, 2  # processes at the outside client, and inside site a
DISKS = {"coord": "48m", "agent": "16m"}
SERVER_DISK = "2G"


def faketime():
    """The library that shows a program another wall clock."""
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not found:
        raise LabError("the package faketime is not installed: run tools/install-packages")
    return found[0]


class Stage:
    """A stand and what the nemeses know of it."""

    def __init__(self, say, durability="sync", profile="metro", needs=(), kind="postgres"):
        self.say, self.needs, self.kind = say, set(needs), kind
        self.stand = Stand(BUILD, profile=profile, durability=durability, say=say, kind=kind)
        self.lab, self.cluster, self.network = self.stand.lab, self.stand.cluster, self.stand.lab.network
        self.away = set()  # sites whose coordinator is out of the cluster
        self.complaints, self.clients, self.delayer = [], [], None
        self.accepted_ms = []  # when a loss was accepted, by the wall clock
        self.leases = Leases(self.cluster)
        self.less = False  # whether the spec may lack a member

    def complain(self, text):
        """Something that must not be."""
        self.complaints.append(text)

    # --- coming up --------------------------------------------------------------------------

    def up(self):
        """Servers, drcoord, the tables."""
        self._prepare()
        self.stand.up()
        tables = importlib.import_module(SESSIONS[self.kind][0]).TABLES
        if tables:
            self.stand.pg.sql(SITES[0], tables)
        self.leases.start()

    def _prepare(self):
        if "clocks" in self.needs:
            for site in SITES:
                self.set_clock(site, "+0")
                self.cluster.env[site] = {"LD_PRELOAD": faketime(), "FAKETIME_TIMESTAMP_FILE": self.clock_file(site),
                                          "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        if "disks" in self.needs:
            for kind, size in DISKS.items():
                for site in SITES:
                    folder = self.lab.make_folder(f"{kind}-{site}")
                    mount_small(folder, size)
        if "server_disks" in self.needs:
            for site in SITES:
                self._give_disk(site)

    def _give_disk(self, site):
        """A disk of its own for all that is of a site's PostgreSQL, but for its log: by that the run is judged."""
        pg = self.stand.pg
        pg.folders(site)
        mount_image(pg.folder[site], self.lab.path(f"disk-{site}.img"), "postgres", SERVER_DISK)
        pg.folders(site)
        log = f"{pg.data[site]}.log"
        with open(log, "ab") as f:
            shutil.chown(log, "postgres", "postgres")
            os.fchmod(f.fileno(), 0o640)
        keep_elsewhere(log, self.lab.path(f"server-log-{site}"))

    def start_clients(self, workload, rate, seed):
        """The processes of the history: outside, and inside site a, where a cut-off primary can be reached."""
        addresses = [self.cluster.data_address(s) for s in SITES]
        places = [(CLIENT, 0, OUTSIDE, addresses), (host_name(SITES[0], "app"), OUTSIDE, INSIDE, addresses)]
        for number, (host, first, count, where) in enumerate(places):
            argv = [sys.executable, os.path.join(HERE, "client.py"), workload, "--kind", self.kind, "--first", str(first),
                    "--count", str(count), "--seed", str(seed), "--rate", str(rate), *where]
            self.clients.append(self.lab.spawn(CLIENT, host, f"client-{number}", argv))

    def operations(self):
        """All operations of the clients so far, as they wrote them down."""
        found = []
        for program in self.clients:
            with open(program.log, errors="replace") as f:
                found += [json.loads(line) for line in f if line.startswith("{") and line.endswith("}\n")]
        return found

    def lease_lines(self):
        """The leases as they were seen; nobody looks any more."""
        return self.leases.stop()

    # --- looking ----------------------------------------------------------------------------

    def primary_site(self):
        """Where the primary is, as the coordinators say; None while they don't."""
        name = self.cluster.service().get("primary")
        return site_of(name) if name else None

    def leader_site(self):
        """Where the leading coordinator is, None while nobody says."""
        return self.cluster.leader()

    def all_coordinators(self):
        """Whether every coordinator answers the leader."""
        status = self.cluster.status() or {}
        return sum(1 for c in status.get("coordinators", []) if c.get("reachable")) == len(SITES)

    def settled(self):
        """Whether nothing is left to do: all follow one primary."""
        service = self.cluster.service()
        if busy(service) or not service.get("primary") or not self.all_coordinators():
            return False
        if {m["name"] for m in service.get("members", []) if m.get("managed")} != {member_of(s) for s in SITES}:
            return False
        return len(self.stand.pg.streaming(site_of(service["primary"]))) == len(SITES) - 1

    # --- harm, and taking it back -----------------------------------------------------------

    def freeze(self, site, on):
        """Freeze or thaw every process of a site."""
        with open(f"{self.lab.cgroup}/{site}/cgroup.freeze", "w") as f:
            f.write("1" if on else "0")

    def clock_file(self, site):
        """Where a site's programs read how wrong their wall clock is."""
        return self.lab.path(f"clock-{site}")

    def set_clock(self, site, step):
        """Make a site's wall clock wrong."""
        with open(self.clock_file(site) + ".new", "w") as f:
            f.write(step + "\n")
        os.rename(self.clock_file(site) + ".new", self.clock_file(site))

    def start_drifting(self, site, rate):
        """A coordinator anew, all of whose clocks and timers run at a rate from then on; None: they run right."""
        env = {}
        if rate is not None:
            path = self.lab.path(f"drift-{site}")
            with open(path, "w") as f:
                f.write(f"+0 x{rate}\n")
            env = {"LD_PRELOAD": faketime(), "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_DONT_FAKE_MONOTONIC": "0"}
        self.away.add(site)  # nobody else starts it in between
        try:
            self.stop_coordinator(site)
            self.cluster.start_coordinator(site, env=env)
        finally:
            self.away.discard(site)

    def slow_syncs(self, name, pids, ms):
        """Every sync of some processes ends late; the program that does it."""
        calls = "fdatasync,fsync,io_submit"
        return self.lab.spawn("tools", CLIENT, f"slow-{name}",
                              ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
                               f"inject={calls}:delay_exit={ms * 1000}", "-p", ",".join(map(str, pids))])

    def slow_disk(self, site, ms):
        """Every write to a server's disk takes so long; how that is taken back."""
        folder = self.stand.pg.folder[site]
        if can_throttle():
            throttle(folder, 1000 // ms)
            return lambda: throttle(folder, 0)
        tracer = self.slow_syncs(f"pg-{letter(site)}", self.stand.pg.processes(site), ms)
        return lambda: self.end_tracer(tracer)

    @staticmethod
    def end_tracer(program):
        """Let the traced process go."""
        program.kill(15)
        if program.wait(5) is None:
            program.kill()

    def slow_network(self, ms):
        """Packets between places come late by ms; 0: at once again."""
        inside = self.network.enter("wan")
        rule = ["FORWARD", "-j", "NFQUEUE", "--queue-num", str(QUEUE), "--queue-bypass"]
        if self.delayer:
            subprocess.run([*inside, "iptables", "-D", *rule], check=True)
            self.delayer.kill()
            self.delayer = None
        if ms:
            binary = find_binary(BUILD, "dr_lab_delay")
            self.delayer = self.lab.spawn("tools", "wan", "delay", [binary, str(ms), str(QUEUE)])
            wait_for("the queue of packets", lambda: "ready" in self.delayer.tail(3), 5)
            subprocess.run([*inside, "iptables", "-A", *rule], check=True)

    def reissue(self, kind, name):
        """A new certificate for a program of ours, in the place of the old one."""
        for end in ("crt", "key"):
            os.unlink(self.cluster.file(f"{name}.{end}"))
        self.cluster.issue(kind, name)

    def apply(self, changes):
        """Put a spec into force, with changes; whether it was taken."""
        changes = dict(changes)
        timing = changes.pop("timing", {"profile": self.cluster.profile})
        data = {"cluster": "demo", "timing": timing, "sites": [{"name": s, "region": "north"} for s in SITES],
                "services": [self.cluster.service_block(**changes)]}
        path = self.cluster.write(f"changed-{threading.current_thread().name}.yaml", data)
        return self.cluster.try_ctl("apply", "-f", path, "--reason", "nemesis", seconds=20)[0]

    def take_out(self, site):
        """A spec without a site's member; whether it was taken: nothing may rest on the member."""
        members = [m for m in self.cluster.service_block()["members"] if m["site"] != site]
        self.less = True  # also when nobody knows whether it was taken
        return self.apply({"members": members})

    def let_in(self, seconds=10):
        """The spec with all members again; tried again at the end where it is not taken now."""
        wait_for("the spec with all members to be taken", lambda: self.apply({}), seconds, every=0.2)
        self.less = False

    def stop_coordinator(self, site):
        """SIGKILL for a coordinator, and its end."""
        name = f"c-{letter(site)}"
        pid = self.cluster.pids().get(name)
        program = self.lab.programs[name]
        if pid:
            program.kill()
            program.wait(5)
        return program

    def join_anew(self, site):
        """Empty a coordinator that is out, and let it in under a new id; tried again at the end where it can't be now."""
        try:
            self._join_anew(site)
            self.away.discard(site)
        except LabError as e:
            self.say(f"c-{letter(site)} can't join yet: {str(e).splitlines()[0][:160]}")

    def _join_anew(self, site):
        name = f"c-{letter(site)}"
        self.stop_coordinator(site)
        wipe(self.lab.path(f"coord-{site}"))
        status = self.cluster.status() or {}
        if name in [c["name"] for c in status.get("coordinators", [])]:
            self.cluster.insist("the old id to be removed", "node", "remove", name, "--reason", "nemesis")
        program = self.cluster.start_coordinator(site, "--join")
        said = wait_for("the new id to be printed", lambda: re.findall(r"--id (\d+)", program.tail(60)), 10)
        address = next(c["address"] for c in self.cluster.coordinators() if c["name"] == name)
        self.cluster.insist("the new id to be let in", "node", "add", name, address, "--site", site, "--id", said[-1],
                            "--reason", "nemesis")

    def insist(self, *words):
        """A verb that must be taken in the end."""
        try:
            self.cluster.insist(" ".join(words), *words, "--reason", "nemesis", seconds=10)
        except LabError as e:
            self.say(str(e).splitlines()[0][:200])

    # --- the end ----------------------------------------------------------------------------

    def heal(self, seconds=120):
        """Bring back what is still out, and wait until all is at rest; None, or why it does not come to rest."""
        for verb in (["resume", "orders"], ["unfence", "orders"]):
            self.cluster.try_ctl(*verb, "--reason", "heal")
        for site in sorted(self.away):
            self.join_anew(site)
        if self.less:
            self.let_in(30)
        pids = self.cluster.pids()
        for site in SITES:
            if f"c-{letter(site)}" not in pids and site not in self.away:
                self.cluster.start_coordinator(site)
            if f"guard-{letter(site)}" not in pids and f"agent-{letter(site)}" not in pids:
                self.cluster.start_guard(site)
        until = time.monotonic() + seconds
        while not self.settled():
            if time.monotonic() > until:
                return f"not at rest {seconds} s after the last harm: {json.dumps(self.cluster.service())[:1500]}"
            self._answer_questions()
            time.sleep(0.5)
        return None

    def attend(self, seconds):
        """Pass the time of the harm.  Under async a person is at hand who accepts a loss where a plan asks for that."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(max(0, min(PERSON_S, until - time.monotonic())))
            if self.cluster.durability != "sync":
                self._answer_questions(losses_only=True)

    def _answer_questions(self, losses_only=False):
        """What asks is answered as a person would who is present; a loss is accepted under async alone."""
        plan = self.cluster.service().get("plan") or {}
        loses = self.cluster.durability != "sync" and plan.get("reason") in LOSSES
        if plan.get("state") != "asking" or losses_only and not loses:
            return
        self.say(f"a plan asks: {plan.get('reason')}")
        worked, _ = self.cluster.try_ctl("approve", str(plan["id"]), *["--accept-loss"] * loses, "--reason", "heal")
        if worked and loses:
            self.accepted_ms.append(time.time() * 1000)

    def end_clients(self):
        """End them as they are, without a last read."""
        for program in self.clients:
            program.kill(15)
        for program in self.clients:
            if program.wait(5) is None:
                program.kill()

    def final_reads(self):
        """Have each process read all there is; wait for it."""
        for program in self.clients:
            program.kill(10)  # SIGUSR1
        until = time.monotonic() + 60
        for program in self.clients:
            code = program.wait(max(1, until - time.monotonic()))
            if code is None:
                self.complain(f"a client did not come to its last read: {program.tail(3)}")
                program.kill()
                program.wait(5)
            elif code != 0:
                self.complain(f"a client ended with {code}: {program.tail(3)}")
