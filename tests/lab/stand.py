"""stand.py -- everything standing: lab, servers, drcoord, writers; and one run of a fault on it."""

import copy
import time

import measure
from cluster import Cluster, busy, letter, member_of
from lab import Lab, LabError, wait_for
from net import SITES
from mariadb import Mariadb
from mysql import Mysql
from redis import Redis, Valkey
from servers import PRIMARY_SITE, ZONE, Dns, Postgres
from writers import BY_NAME, NAMES, Writers, find_binary

FENCED = "fence.proved"
KINDS = {kind.kind: kind for kind in (Postgres, Mariadb, Mysql, Redis, Valkey)}
TTL = {"metro": 1.5, "default": 5.0, "geo": 15.0}  # of the profiles, in seconds


def quiet(_text):
    """No progress lines."""


class Stand:
    """A whole cluster with its clients.  say(text) is told of each stage."""

    def __init__(self, build, profile="metro", durability="sync", loopback=False, say=quiet, version=None,
                 kind="postgres"):
        self.say, self.fault = say, None
        self.on_event, self.events_shown = None, 0
        self.leader_site = self.leader_name = None
        self.all = [self]  # one for each service, the same list in each
        self.version, self.lab, self.servers = version, Lab(loopback), KINDS[kind]
        try:
            self.pg, self.dns = self.servers(self.lab, version), Dns(self.lab)
            self.cluster = Cluster(self.lab, self.pg, self.dns, build, profile, durability)
            self.writers = Writers(self.lab, self.dns, find_binary(build, "dr_lab_writer"), self.pg.port, kind=kind)
        except BaseException:
            self.lab.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.lab.close()

    def beside(self, name="stock", port=5433):
        """One more service on the same hosts, under the same agents, to be asked for before anything is up.

        What this returns is a stand in the same lab and cluster, with servers and clients of its own."""
        other = copy.copy(self)
        record = f"{name}.{ZONE}"
        other.pg = self.servers(self.lab, self.version, name, port)
        other.cluster = self.cluster.beside(name, record, other.pg)
        other.writers = Writers(self.lab, self.dns, self.writers.binary, port, record, f"{name}-", self.pg.kind)
        self.all.append(other)
        return other

    def up(self, adopt=True):
        """Bring everything up but the writers, as an operator would; returns self."""
        self.up_servers()
        self.up_drcoord()
        if adopt:
            self.adopt()
        return self

    def up_servers(self):
        """PostgreSQL and DNS, by hand."""
        for one in self.all:
            one.pg.create_primary()
            for site in SITES[1:]:
                one.pg.create_standby(site)
        self.say(f"{self.servers.__name__}: primary in a, standbys in b and c")
        self.dns.create()
        self.say("DNS: BIND in b, Knot in c, each primary of its own copy of the zone")

    def up_drcoord(self, guard_env=None):
        """Certificates, files, coordinators, guards with agents; guard_env: more environment, by site."""
        self.cluster.make_pki()
        for site in SITES:
            self.cluster.coordinator_file(site)
            self.cluster.agent_file(site)
            self.cluster.start_coordinator(site, "--bootstrap")
        leader = self.cluster.wait_leader()
        self.say(f"drcoordd: three coordinators, leader in {leader}")
        for site in SITES:
            self.cluster.start_guard(site, (guard_env or {}).get(site))

    def adopt(self, **changes):
        """Apply the spec and take each service over; wait until it is at rest."""
        spec = self.cluster.spec_file(**changes)
        self.cluster.insist("the spec to be accepted", "apply", "-f", spec, "--reason", "demo")
        self.cluster.start_watch()
        for one in self.cluster.all:
            one.insist("the service to be taken over", "service", "adopt", one.name, "--reason", "demo")
        for one in self.cluster.all:
            one.settle()
        self.say(f"drcoord: the service is adopted, durability {self.cluster.durability}")

    def start_writers(self):
        """Start the clients and wait until each that can is acknowledged."""
        self.writers.start()
        for writer in (1, 4, 5):
            wait_for(f"the first row of writer {NAMES[writer]}",
                     lambda w=writer: self.writers.read().logs[w].acks, 10,
                     logs=[self.lab.path("log", f"{self.writers.prefix}writer-{writer}.log")])
        self.say("writers: five clients, a numbered row every 10 ms")

    def address(self, site):
        """The data address of a site's member."""
        return self.lab.address(site, "db")

    def fault_at(self):
        """Take the time of the fault."""
        self.fault = measure.now()

    def primary_sites(self):
        """The sites whose server takes writes, as the servers say."""
        return [s for s in SITES if self.pg.role(s) == "primary"]

    def skip_events(self):
        """What happened so far is not shown."""
        self.events_shown = len(self.cluster.events())

    def show_events(self):
        """Hand the events that are new to whoever wants to show them."""
        if self.on_event:
            events = self.cluster.events()
            for event in events[self.events_shown:]:
                self.on_event(event)
            self.events_shown = len(events)

    def first_new_ack(self, seconds, old=PRIMARY_SITE, in_place=False):
        """Wait for the first row acknowledged elsewhere than by the old primary; (its time, its site).

        in_place: the old server was killed and may be the one, started again."""
        def found():
            self.show_events()
            self.writers.read()
            times = [(self.writers.first_ack(self.address(s), self.fault), s) for s in SITES if s != old]
            if in_place:
                times.append((self.writers.first_ack(self.address(old), self.fault + 0.05), old))
            return min((t for t in times if t[0]), default=None)
        return wait_for("a row acknowledged by a new primary", found, seconds, logs=self.cluster.logs())

    def rejoined(self, old, new):
        """Whether the old primary streams from the new one and drcoord has nothing left to do."""
        self.show_events()
        if member_of(old) not in self.pg.streaming(new):
            return False
        service = self.cluster.service()
        return not busy(service) and service.get("primary") == member_of(new)

    def stays_out(self, old):
        """Whether the old primary was found to have what the new one never had, of a kind that is not rebuilt yet."""
        return not self.pg.rebuilds and any("must be built anew" in e.get("text", "") for e in self.cluster.events()
                                            if e.get("member") == member_of(old) and e.get("outcome") == "failed")

    def wait_rejoined(self, old, new, seconds=90):
        """Wait for that; the seconds since the fault, None where it rightly stays out."""
        logs = self.cluster.logs() + [self.lab.path("log", f"{self.pg.name}-{old}.log")]
        what = f"{member_of(old)} to rejoin as a standby"
        wait_for(what, lambda: self.rejoined(old, new) or self.stays_out(old), seconds, 0.1, logs)
        return None if self.stays_out(old) else measure.now() - self.fault

    def proof(self):
        """How the old primary was proved fenced after the fault."""
        since = measure.wall_of(self.fault) * 1000
        found = [e.get("proof") for e in self.cluster.events()
                 if e.get("event") == FENCED and e.get("wall_ms", 0) >= since]
        return found[0] if found else None

    def final_rows(self):
        """The rows of the one server that takes writes at the end."""
        primaries = self.primary_sites()
        if len(primaries) != 1:
            names = ", ".join(primaries) or "none"
            raise LabError(f"{len(primaries)} servers take writes at the end: {names}")
        return self.pg.rows(primaries[0])


class Run:
    """One fault on a fresh stand, from the act to the figures."""

    def __init__(self, stand, fault, number=1):
        self.stand, self.fault, self.number = stand, fault, number
        self.figures, self.end = {}, None
        self.new_site = None
        self.first_ack = None
        self.unprovoked = 0
        self.moved = False
        self.lost = []  # acknowledgements of rows that are gone

    def place_leader(self):
        """Put the leader where this run wants it: in site a and outside it in turn."""
        if self.fault.in_turn:
            self.stand.cluster.move_leader(PRIMARY_SITE if self.number % 2 == 1 else "az-b")
        site = self.stand.cluster.wait_leader()
        self.stand.leader_site, self.stand.leader_name = site, f"c-{letter(site)}"

    def go(self):
        """Do it all; the record of the run."""
        stand = self.stand
        self.place_leader()
        usage = measure.Usage(stand.cluster.pids())
        stand.start_writers()
        time.sleep(1.0)
        stand.skip_events()
        self.unprovoked = sum(e.get("event") == "plan.opened" and e.get("plan_kind") == "failover"
                              for e in stand.cluster.events())
        if self.unprovoked:
            stand.say("a failover before the fault: nothing called for it")
        stand.say(f"fault: {self.fault.name} (leader in {stand.leader_site})")
        self.fault.inject(stand)
        rejoined = self._move() if self.fault.moves else self._steady(stand.fault)
        sizes = usage.figures(stand.cluster.pids())
        self.end = measure.now()
        stand.writers.stop()
        stand.writers.read()
        stand.show_events()
        self._figures(rejoined, sizes)
        return self.record()

    def _move(self):
        stand = self.stand
        in_place = self.fault.crash and stand.cluster.durability == "async"
        self.first_ack, self.new_site = stand.first_new_ack(30, in_place=in_place)
        after = self.first_ack - stand.fault
        stand.say(f"first row acknowledged by {member_of(self.new_site)} after {after:.3f} s")
        if self.new_site == PRIMARY_SITE:
            return self._steady(self.first_ack)
        if self.fault.heal:
            self._heal_at(self.first_ack)
        rejoined = stand.wait_rejoined(PRIMARY_SITE, self.new_site)
        stand.say(f"{member_of(PRIMARY_SITE)} " +
                  ("has rejoined as a standby" if rejoined else "has what the new primary never had, and stays out"))
        self._wait_named(measure.now() + 10)
        return rejoined

    def _wait_named(self, until):
        """After a short run the client that goes by the name may not have moved yet."""
        new = self.stand.address(self.new_site)
        named = self.stand.writers.logs[BY_NAME]
        while measure.now() < until and measure.first_from(named.read().acks, new, self.stand.fault) is None:
            time.sleep(0.05)

    def _steady(self, since):
        self._heal_at(since)
        self.stand.cluster.settle()
        self._wait_until(measure.now() + 1.0)

    def _heal_at(self, since):
        """Let the fault last as long as its rule says, then take it back."""
        self._wait_until(since + self.fault.heal_after)
        if self.fault.heal:
            self.stand.say("what was cut is joined, what was killed is started again")
            self.fault.heal(self.stand)

    def _wait_until(self, when):
        """Pass the time, showing events as they come."""
        while measure.now() < when:
            self.stand.show_events()
            time.sleep(min(0.1, max(0.0, when - measure.now())))

    def _figures(self, rejoined, sizes):
        stand = self.stand
        old = stand.address(PRIMARY_SITE)
        moved = self.moved = self.new_site not in (None, PRIMARY_SITE)
        if moved:
            servers = stand.dns.hosts()
            got = measure.moved(stand.writers, servers, old, stand.address(self.new_site), stand.fault)
        else:
            got = measure.steady(stand.writers, old, stand.fault, self.end)
        rows = stand.final_rows()
        lost, by_writer = measure.lost_rows(stand.writers, rows)
        self.lost = measure.lost_acks(stand.writers, rows)
        self.figures = {**got, "lost_acked": lost, "lost_by_writer": by_writer,
                        "fence_proof": stand.proof() if moved else None,
                        "old_rejoined_s": measure.rounded(rejoined), **sizes}

    def record(self):
        """The run's JSON line: every field, in order."""
        cluster = self.stand.cluster
        head = {"fault": self.fault.name, "kind": cluster.pg.kind, "profile": cluster.profile, "durability": cluster.durability,
                "run": self.number, "leader_site": self.stand.leader_site}
        return {field: {**head, **self.figures}.get(field) for field in measure.FIELDS}

    def complaints(self):
        """What must never happen, whatever the fault."""
        bad = self._loss()
        if self.figures["split_brain_s"]:
            bad.append(f"two servers acknowledged for {self.figures['split_brain_s']} s")
        try:
            self.stand.cluster.check_watch()
        except LabError as e:
            bad.append(str(e))
        return bad

    def _loss(self):
        """Under sync no acknowledged row is lost; else only what the old primary acknowledged under its lease."""
        cluster, count = self.stand.cluster, len(self.lost)
        if cluster.durability == "sync" or not self.moved:
            return [f"{count} acknowledged rows were lost: {self.figures['lost_by_writer']}"] if count else []
        until = self.stand.fault + TTL[cluster.profile]
        beyond = measure.lost_beyond(self.lost, self.stand.address(PRIMARY_SITE), until)
        if not beyond:
            return []
        worst = max(beyond, key=lambda a: a.done)
        return [f"{len(beyond)} of {count} lost rows were not acknowledged by the old primary under its lease: row "
                f"{worst.n} by {worst.server}, {worst.done - self.stand.fault:.3f} s after the fault"]
