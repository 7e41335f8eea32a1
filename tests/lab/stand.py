"""stand.py -- everything standing: lab, servers, drcoord, writers; and one run of a fault on it."""

import copy
import os
import time

import measure
from cluster import Cluster, busy, letter, member_of
from faults import STEADY_FOR
from lab import Lab, LabError, wait_for
from net import SITES
from mariadb import Mariadb
from mysql import Mysql
from outcome import TTL, Outcome
from pooler import Pooler
from redis import Redis, Valkey
from redis_cluster import RedisCluster
from servers import PRIMARY_SITE, ZONE, Dns, Postgres
from writers import NAMES, Writers, find_binary

FENCED = "fence.proved"
KINDS = {kind.kind: kind for kind in (Postgres, Mariadb, Mysql, Redis, Valkey)}
ALL = "all"  # three services of three kinds, with their primaries in one site
ALL_NAMES = ("orders", "stock", "carts")
ALL_TARGETS = {"node-kill": 3.5, "site": 3.5, "partition": 3.5}  # until the last of them writes
CLUSTERED = {RedisCluster.kind: RedisCluster}  # of several services: not for one alone
BY_KIND = {**KINDS, **CLUSTERED}


def quiet(_text):
    """No progress lines."""


def kinds_of(kind):
    """The kinds of the services that stand for a kind, or for all of them."""
    if kind != ALL:
        return [kind]
    return ["postgres", "mysql" if os.environ.get("DRCOORD_MYSQL_ROOT") else "mariadb", "redis"]


def target_of(kind, fault):
    """What a median of this fault is to reach with this kind, in seconds; None: nothing is said of it."""
    if kind == ALL:
        return ALL_TARGETS.get(fault.name)
    return float(KINDS[kind].targets.get(fault.name, fault.target))


def durability_of(kind, wanted):
    """A durability that a kind has: the one that is wanted, else the strictest."""
    has = BY_KIND[kind].durabilities
    return wanted if wanted in has else has[0]


class Stand:
    """A whole cluster with its clients.  say(text) is told of each stage."""

    def __init__(self, build, profile="metro", durability="sync", loopback=False, say=quiet, version=None,
                 kind="postgres", pooled=False):
        kinds = kinds_of(kind)
        self.say, self.fault, self.tag = say, None, ""
        self.on_event, self.events_shown = None, 0
        self.leader_site = self.leader_name = self.pooler = None
        self.all = [self]  # one for each service, the same list in each
        self.kind, self.together = kind, len(kinds) > 1
        self.version, self.lab, self.servers = version, Lab(loopback), BY_KIND[kinds[0]]
        try:
            self.pg, self.dns = self.servers(self.lab, version), Dns(self.lab)
            if self.together:
                self.pg.members, self.tag = "db", f"{ALL_NAMES[0]}: "
            if self.together or not durability:
                durability = durability_of(kinds[0], durability)
            self.cluster = Cluster(self.lab, self.pg, self.dns, build, profile, durability)
            self.writers = Writers(self.lab, self.dns, find_binary(build, "dr_lab_writer"), self.pg.port, servers=self.pg)
            for name, other in zip(ALL_NAMES[1:], kinds[1:]):
                self.beside(name, kind=other)
            if pooled:
                self.pooler = Pooler(self)
        except BaseException:
            self.lab.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.lab.close()

    def beside(self, name="stock", port=None, kind=None):
        """One more service on the same hosts, under the same agents, to be asked for before anything is up.

        What this returns is a stand in the same lab and cluster, with servers and clients of its own."""
        other, kind = copy.copy(self), kind or self.pg.kind
        record = f"{name}.{ZONE}"
        where = {"port": port or self.pg.port + 1} if kind == self.pg.kind else {}
        other.tag, other.servers = f"{name}: ", BY_KIND[kind]
        other.pg = other.servers(self.lab, self.version, name, **where)
        other.pg.members = self.pg.members
        other.cluster = self.cluster.beside(name, record, other.pg)
        other.cluster.durability = durability_of(kind, self.cluster.durability)
        other.writers = Writers(self.lab, self.dns, self.writers.binary, other.pg.port, record, f"{name}-", other.pg)
        self.all.append(other)
        return other

    def struck(self):
        """Those whose servers a fault strikes: all of them where they are one stand's, else this one."""
        return self.all if self.together else [self]

    def durability(self):
        """Of all that a fault strikes: one word, or those of several."""
        return "+".join(sorted({one.cluster.durability for one in self.struck()}, reverse=True))

    def up(self, adopt=True):
        """Bring everything up but the writers, as an operator would; returns self."""
        self.up_servers()
        self.up_drcoord()
        if adopt:
            self.adopt()
        if adopt and self.pooler:
            self.pooler.start()
        return self

    def up_servers(self):
        """The servers of each service and DNS, by hand."""
        for one in self.all:
            one.pg.create_primary()
            for site in SITES[1:]:
                one.pg.create_standby(site)
            self.say(f"{one.servers.__name__}: primary in a, standbys in b and c")
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
        for one in self.all:
            self.say(f"drcoord: {one.cluster.name} ({one.pg.kind}) is adopted, durability {one.cluster.durability}")

    def start_writers(self):
        """Start the clients and wait until each that can is acknowledged."""
        self.writers.start()
        for writer in (1, 4, 5):
            wait_for(f"the first row of writer {NAMES[writer]}",
                     lambda w=writer: self.writers.read().logs[w].acks, 10,
                     logs=[self.lab.path("log", f"{self.writers.prefix}writer-{writer}.log")])
        if self.pooler:
            self.pooler.start_client()
        self.say(f"{self.tag}five writers, a numbered row every 10 ms")

    def address(self, site):
        """The data address of a site's member."""
        return self.lab.address(site, "db")

    def fault_at(self):
        """Take the time of the fault."""
        now = measure.now()
        for one in self.struck():
            one.fault = now

    def primary_sites(self):
        """The sites whose server takes writes, as the servers say."""
        return [s for s in SITES if self.pg.role(s) == "primary"]

    def skip_events(self):
        """What happened so far is not shown."""
        self.all[0].events_shown = len(self.cluster.events())

    def show_events(self):
        """Hand the events that are new, of whatever service, to whoever wants to show them."""
        head = self.all[0]
        if head.on_event:
            events = self.cluster.events()
            for event in events[head.events_shown:]:
                head.on_event(event)
            head.events_shown = len(events)

    def own_events(self):
        """The events of this service so far."""
        return [e for e in self.cluster.events() if e.get("service") == self.cluster.name]

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
        return not self.pg.rebuilds and any("must be built anew" in e.get("text", "") for e in self.own_events()
                                            if e.get("member") == member_of(old) and e.get("outcome") == "failed")

    def wait_rejoined(self, old, new, seconds=90):
        """Wait for that; the seconds since the fault, None where it rightly stays out."""
        logs = self.cluster.logs() + [self.lab.path("log", f"{self.pg.name}-{old}.log")]
        what = f"{self.tag}{member_of(old)} to rejoin as a standby"
        wait_for(what, lambda: self.rejoined(old, new) or self.stays_out(old), seconds, 0.1, logs)
        return None if self.stays_out(old) else measure.now() - self.fault

    def proof(self):
        """How the old primary was proved fenced after the fault."""
        since = measure.wall_of(self.fault) * 1000
        found = [e.get("proof") for e in self.own_events()
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
        self.outcomes = [Outcome(one, fault) for one in stand.struck()]
        self.figures, self.unprovoked = {}, 0

    @property
    def new_site(self):
        """Where the first service's primary went."""
        return self.outcomes[0].new_site

    @property
    def moved(self):
        """Whether a primary moved."""
        return any(one.moved for one in self.outcomes)

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
        for one in self.outcomes:
            one.stand.start_writers()
        time.sleep(1.0)
        stand.skip_events()
        self.unprovoked = sum(e.get("event") == "plan.opened" and e.get("plan_kind") == "failover"
                              for e in stand.cluster.events())
        if self.unprovoked:
            stand.say("a failover before the fault: nothing called for it")
        stand.say(f"fault: {self.fault.name} (leader in {stand.leader_site})")
        self.fault.inject(stand)
        if self.fault.moves:
            self._move()
        else:
            self._steady(stand.fault)
        sizes = usage.figures(stand.cluster.pids())
        self._end()
        self.figures = {**measure.together([(one.name, one.figures) for one in self.outcomes]), **sizes}
        if stand.pooler:
            self.figures.update(stand.pooler.figures(stand.fault))
        return self.record()

    def _move(self):
        for one in self.outcomes:
            one.wait_first()
        last = max(one.first_ack for one in self.outcomes)
        if not self.moved:
            self._steady(last, STEADY_FOR)
            return
        if self.fault.heal:
            self._heal_at(last)
        for one in self.outcomes:
            one.wait_whole()
        until = measure.now() + 10
        for one in self.outcomes:
            one.wait_named(until)

    def _steady(self, since, seconds=None):
        self._heal_at(since, seconds)
        for one in self.outcomes:
            one.stand.cluster.settle()
        self._wait_until(measure.now() + 1.0)

    def _heal_at(self, since, seconds=None):
        """Let the fault last as long as its rule says, or so long, then take it back."""
        self._wait_until(since + (seconds or self.fault.heal_after))
        if self.fault.heal:
            self.stand.say("what was cut is joined, what was killed is started again")
            self.fault.heal(self.stand)

    def _wait_until(self, when):
        """Pass the time, showing events as they come."""
        while measure.now() < when:
            self.stand.show_events()
            time.sleep(min(0.1, max(0.0, when - measure.now())))

    def _end(self):
        """The clients' end, and what each service came to."""
        end = measure.now()
        for one in self.outcomes:
            one.end()
        if self.stand.pooler:
            self.stand.pooler.stop_client()
        self.stand.show_events()
        for one in self.outcomes:
            one.judge(end)

    def record(self):
        """The run's JSON line: every field, in order; of several services also a row for each."""
        head = {"fault": self.fault.name, "kind": self.stand.kind, "profile": self.stand.cluster.profile,
                "durability": self.stand.durability(), "run": self.number, "leader_site": self.stand.leader_site}
        line = {field: {**head, **self.figures}.get(field) for field in measure.FIELDS}
        if self.stand.together:
            line["services"] = [one.record() for one in self.outcomes]
        if self.stand.pooler:
            line.update({field: self.figures[field] for field in self.stand.pooler.FIELDS})
        return line

    def complaints(self):
        """What must never happen, whatever the fault."""
        bad = [b for one in self.outcomes for b in one.complaints()]
        if self.stand.pooler:
            bad += self.stand.pooler.complaints(self.fault)
        try:
            self.stand.cluster.check_watch()
        except LabError as e:
            bad.append(str(e))
        return bad
