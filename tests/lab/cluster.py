"""cluster.py -- drcoord itself in a lab: certificates, files, its programs, and drcoordctl.

Every coordinator, guard and agent runs on its site's host as it would on a machine of its own."""

import copy
import json
import os
import time

import reaper
from lab import LabError, wait_for
from net import CLIENT, SITES, host_name
from servers import RECORD, TSIG_KEY, ZONE
from writers import find_binary

SERVICE = "orders"
PORT = 7400
AGENT_PORT = 7401
PROGRAMS = ("drcoordd", "drcoord-guard", "drcoord-agent", "drcoordctl")
RAFT_TIMING = {"metro": {"election": "300ms", "heartbeat": "50ms"}}
MEMBERS = {"of": "pg"}  # what the members' names begin with: one kind at a time
PEOPLE = ("viewer", "operator", "approver", "admin")


def letter(site):
    """The last letter of a site names what is in it: pg-a, c-a, agent-a."""
    return site[-1]


def member_of(site):
    """A site's member of the service."""
    return f"{MEMBERS['of']}-{letter(site)}"


def site_of(name):
    """The site of a member, coordinator or agent by its name."""
    return f"az-{name[-1]}"


def busy(service):
    """Whether a plan is open for a service, as status has it: its own, or one of a member that rejoins."""
    return bool(service.get("plan") or service.get("rejoins"))


def breaks(indices):
    """Where indices do not count up from 1 one by one: (the one before, the wrong one)."""
    return [(a, b) for a, b in zip([0, *indices], indices) if b != a + 1]


def yaml(value, indent=0):
    """Plain data as YAML, in blocks."""
    pad, lines = "  " * indent, []
    for key, item in value.items():
        if isinstance(item, dict):
            lines += [f"{pad}{key}:", yaml(item, indent + 1)]
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            lines.append(f"{pad}{key}:")
            for entry in item:
                text = yaml(entry, indent + 2)
                lines.append(f"{pad}  - {text.lstrip()}")
        else:
            lines.append(f"{pad}{key}: {json.dumps(item)}")
    return "\n".join(lines)


class Cluster:
    """drcoord's programs in one lab, seen from one of the services in their care."""

    def __init__(self, lab, pg, dns, build, profile="metro", durability="sync"):
        self.lab, self.pg, self.dns = lab, pg, dns
        MEMBERS["of"] = pg.members if pg else "pg"  # coordinators alone have no servers
        self.profile, self.durability = profile, durability
        self.bin = {name: find_binary(build, name) for name in PROGRAMS}
        missing = [name for name, path in self.bin.items() if path is None]
        if missing:
            raise LabError(f"not built: {', '.join(missing)} (looked in {build})")
        self.etc = lab.make_folder("etc")
        self.name, self.record = SERVICE, RECORD
        self.all = [self]  # one for each service, the same list in each
        self.admin = "admin"
        self.trouble = ""  # why the last status could not be had
        self.env = {}  # more environment of a site's programs
        self.changes = {}  # keys of this service's block that are not as everybody's
        self.node_changes = {}  # keys of a site's coordinator's file that are not as everybody's
        self.runbook = []  # what site plans do besides
        self.http = 0  # the port of each coordinator's HTTP server; 0: none

    def beside(self, name, record, pg):
        """The same programs, seen from one more service; its members are named alike, as they may be."""
        other = copy.copy(self)
        other.name, other.record, other.pg, other.changes = name, record, pg, {}
        self.all.append(other)
        return other

    # --- files ------------------------------------------------------------------------------

    def file(self, name):
        """The path of a file of drcoord's."""
        return os.path.join(self.etc, name)

    def write(self, name, data):
        """Write plain data as a YAML file."""
        with open(self.file(name), "w") as f:
            f.write(yaml(data) + "\n")
        return self.file(name)

    def tls(self, name):
        """The tls block of a node file."""
        return {"ca": "pki/ca.crt", "cert": f"{name}.crt", "key": f"{name}.key"}

    def coordinators(self, sites=SITES):
        """The list of coordinators as node files have it."""
        return [{"name": f"c-{letter(s)}", "address": f"{self.lab.address(s, 'coord')}:{PORT}", "site": s}
                for s in sites]

    def coordinator_file(self, site, **changes):
        """Write a coordinator's node file."""
        name = f"c-{letter(site)}"
        data = {"cluster": "demo", "name": name, "site": site,
                "listen": f"{self.lab.address(site, 'coord')}:{PORT}",
                "data_dir": self.lab.make_folder(f"coord-{site}"), "secrets_in": self.lab.folder, "tls": self.tls(name)}
        if self.profile in RAFT_TIMING:
            data["raft"] = RAFT_TIMING[self.profile]
        if self.http:
            data["http"] = {"listen": f"127.0.0.1:{self.http}"}
        data["peers"] = self.coordinators()
        return self.write(f"{name}.yaml", {**data, **self.node_changes.get(site, {}), **changes})

    def data_address(self, site):
        """Where a site's member serves its clients."""
        return f"{self.lab.address(site, 'db')}:{self.pg.port}"

    def agent_address(self, site):
        """Where a site's agent takes the other agents' questions."""
        return f"{self.lab.address(site, 'db')}:{AGENT_PORT}"

    def member_block(self, site):
        """What an agent's node file says of the service's member there."""
        server = self.pg.node_block(site, self.data_address(site))
        return {"service": self.name, "member": member_of(site), "kind": self.pg.kind, self.pg.kind: server}

    def agent_file(self, site, **changes):
        """Write an agent's node file, with a member of each service."""
        name = f"agent-{letter(site)}"
        peers = [{"name": c["name"], "address": c["address"]} for c in self.coordinators()]
        return self.write(f"{name}.yaml", {
            "cluster": "demo", "name": name, "site": site, "listen": self.agent_address(site),
            "data_dir": self.lab.make_folder(f"agent-{site}"),
            "tls": self.tls(name), "coordinators": peers,
            "services": [one.member_block(site) for one in self.all], **changes})

    def service_block(self, **changes):
        """What the cluster spec says of the service."""
        members = [{"name": member_of(s), "site": s, "agent": f"agent-{letter(s)}",
                    "address": self.data_address(s), "agent_address": self.agent_address(s), "priority": n + 1}
                   for n, s in enumerate(SITES)]
        route = {"name": "dns", "kind": "dns_rfc2136", "record": self.record, "zone": ZONE, "ttl": 5,
                 "tsig": {"key": TSIG_KEY, "algorithm": "hmac-sha256",
                          "secret_file": self.dns.secret_file()},
                 "servers": self.dns.addresses()}
        service = {"name": self.name, "kind": self.pg.kind, "auto_failover": True, "durability": self.durability,
                   "sync": {"k": 1, "set_max": 1}, "when_alone": "continue", "alone_after": "10s",
                   "rpo": self.pg.rpo, "cooldown": "30s", "restart_within": "10s", "database": "postgres",
                   "user": "drcoord",
                   "members": members, "routes": [route]}
        return {**service, **getattr(self.pg, "keys", {}), **self.changes, **changes}

    def spec_file(self, limits=None, **changes):
        """Write the cluster spec; changes replace keys of every service."""
        return self.write("spec.yaml", {
            "cluster": "demo", "timing": {"profile": self.profile}, **({"limits": limits} if limits else {}),
            "sites": [{"name": s, "region": "north"} for s in SITES],
            "services": [one.service_block(**changes) for one in self.all],
            **({"runbook": self.runbook} if self.runbook else {})})

    def make_pki(self):
        """One CA; a certificate for each coordinator, agent and role of people."""
        pki = self.file("pki")
        self.pki("init", "--dir", pki, "--cluster", "demo")
        for site in SITES:
            self.issue("coordinator", f"c-{letter(site)}")
            self.issue("agent", f"agent-{letter(site)}")
        for role in PEOPLE:
            self.issue(role, role)

    def pki(self, *words):
        """drcoordctl pki, which needs no coordinator."""
        return self.lab.run(CLIENT, [self.bin["drcoordctl"], "pki", *words])

    def issue(self, kind, name, prefix=None, ca="pki"):
        """Issue one certificate."""
        self.pki("issue", "--dir", self.file(ca), "--kind", kind, "--name", name,
                 "--out", self.file(prefix or name))

    # --- programs ---------------------------------------------------------------------------

    def start_coordinator(self, site, *options, env=None):
        """Start a site's coordinator."""
        name = f"c-{letter(site)}"
        argv = [self.bin["drcoordd"], "--config", self.file(f"{name}.yaml"), *options]
        return self.lab.spawn(site, host_name(site, "coord"), name, argv, env={**self.env.get(site, {}), **(env or {})})

    def start_guard(self, site, env=None):
        """Start a site's guard, which starts its agent."""
        config = self.file(f"agent-{letter(site)}.yaml")
        return self.lab.spawn(site, host_name(site, "db"), f"guard-{letter(site)}",
                              [self.bin["drcoord-guard"], "--config", config],
                              env={**self.env.get(site, {}), **(env or {})})

    def logs(self):
        """The logs to look at when something goes wrong; one started by its agent is beside its data."""
        names = [f"{kind}-{letter(s)}" for kind in ("c", "guard") for s in SITES]
        servers = [one.pg.data[s] + ".log" for one in self.all for s in SITES]
        return [self.lab.path("log", f"{n}.log") for n in names] + [s for s in servers if os.path.exists(s)]

    def pids(self):
        """Our processes that run now, by name: c-a, guard-a, agent-a, ..."""
        found = {}
        for pid in reaper.processes_of(self.lab.name):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            program, files = os.path.basename(words[0]), [w for w in words if w.endswith(".yaml")]
            if program in PROGRAMS[:3] and files:
                node = os.path.basename(files[0]).removesuffix(".yaml")
                found[node.replace("agent-", "guard-") if program == "drcoord-guard" else node] = pid
        return found

    # --- drcoordctl -------------------------------------------------------------------------

    def environment(self, person=None):
        """What drcoordctl needs to know, as environment variables."""
        person = person or self.admin
        return {"DRCOORD_ENDPOINTS": ",".join(c["address"] for c in self.coordinators()),
                "DRCOORD_CA": self.file("pki/ca.crt"), "DRCOORD_CERT": self.file(f"{person}.crt"),
                "DRCOORD_KEY": self.file(f"{person}.key")}

    def ctl(self, *words, person=None, seconds=30):
        """Run drcoordctl as a person from the outside client; its output."""
        return self.lab.run(CLIENT, [self.bin["drcoordctl"], *words], env=self.environment(person),
                            seconds=seconds)

    def status(self):
        """The status as data, None while no coordinator answers."""
        try:
            return json.loads(self.ctl("-o", "json", "status", seconds=5))
        except (LabError, ValueError) as e:
            self.trouble = str(e)
            return None

    def service(self):
        """The service's part of the status; empty while there is none."""
        status = self.status() or {}
        return next((s for s in status.get("services", []) if s.get("name") == self.name), {})

    def leader(self):
        """The site of the leading coordinator, None without one."""
        name = (self.status() or {}).get("leader")
        return site_of(name) if name else None

    def wait_leader(self, seconds=15, not_in=None):
        """Wait for a leader, outside a site where one is named; its site."""
        def led():
            site = self.leader()
            return site if site and site != not_in else None
        try:
            return wait_for("a leading coordinator", led, seconds, every=0.05, logs=self.logs()[:3])
        except LabError as e:
            raise LabError(f"{e}\nthe last status: {self.trouble or self.status()}") from e

    def move_leader(self, site):
        """Make a site's coordinator the leader."""
        deadline = time.monotonic() + 15
        while self.leader() != site:
            if time.monotonic() > deadline:
                raise LabError(f"the leadership did not move to {site}")
            self.try_ctl("node", "transfer", f"c-{letter(site)}", "--reason", "test")
            time.sleep(0.2)

    def try_ctl(self, *words, **options):
        """As ctl(), but the error text instead of an error: (worked, text)."""
        try:
            return True, self.ctl(*words, **options)
        except LabError as e:
            return False, str(e)

    def insist(self, what, *words, seconds=20):
        """Repeat a verb until it is accepted: what it needs may still be starting."""
        last = [""]

        def accepted():
            worked, last[0] = self.try_ctl(*words)
            return worked
        try:
            wait_for(what, accepted, seconds, every=0.1, logs=self.logs())
        except LabError as e:
            raise LabError(f"{last[0]}\n{e}") from e

    def adopted(self):
        """Whether the service is ours with each member whose agent runs, at rest, under sync with a standby."""
        pids, service = self.pids(), self.service()
        here = {member_of(s) for s in SITES if f"agent-{letter(s)}" in pids}
        ours = {m["name"] for m in service.get("members", []) if m.get("managed")}
        if service.get("mode") != "managed" or busy(service) or not service.get("primary") or not here <= ours:
            return False
        if self.durability != "sync":
            return True
        # The set of this one look: a set of nobody is settled too, until the first standby is let in.
        waited_for = service.get("sync", {}).get("set") or [service["primary"]]
        return service.get("sync_settled", False) and waited_for != [service["primary"]]

    def settle(self, seconds=30):
        """Wait until the service is ours and at rest."""
        wait_for("the service to be adopted and at rest", self.adopted, seconds, every=0.05, logs=self.logs())

    # --- watch ------------------------------------------------------------------------------

    def start_watch(self):
        """Follow the events from the first one on; read them with events()."""
        argv = [self.bin["drcoordctl"], "-o", "json", "watch", "--from", "1"]
        self.lab.spawn(CLIENT, CLIENT, "watch", argv, env=self.environment())

    def events(self):
        """All events that watch has shown so far."""
        found = []
        with open(self.lab.path("log", "watch.log")) as f:
            for line in f:
                if line.startswith("{") and line.endswith("}\n"):
                    found.append(json.loads(line))
        return found

    def check_watch(self, seconds=5):
        """Insist that watch has shown every event so far, from the first one on, and each once."""
        last = (self.status() or {}).get("event_last", 0)
        try:
            wait_for("watch to show all events", lambda: len(self.events()) >= last, seconds)
        except LabError as e:
            raise LabError(f"{e}: {len(self.events())} of {last}") from e
        wrong = breaks([event["index"] for event in self.events()])
        if wrong:
            raise LabError(f"watch lost or repeated events: after {wrong[0][0]} came {wrong[0][1]}, {len(wrong)} such")
