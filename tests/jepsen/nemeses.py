"""nemeses.py -- what goes wrong in a run: each nemesis does one harm and says how it is taken back.

A nemesis is a function of (stage, rng) that does its harm and returns (words for the history, how to take it back, for
how many seconds at most).  None: there is nothing to do harm to now.  Harm never goes beyond what the product promises
to survive: of the coordinators a majority keeps its storage."""

import glob
import os
import shutil
import signal

from cluster import letter, member_of, site_of
from disks import fill, flip, wipe
from faults import kill_all
from lab import LabError
from net import CLIENT, SITES

SEGMENTS_MOST = 40  # of the log, that a server made before its disk was full
ASK_FOR_ROOM = "SET work_mem = '64kB'; SELECT count(*) FROM generate_series(1, 100000)"  # a temporary file, past its memory
NEMESES = {}


class Nemesis:
    """One row of the registry."""

    def __init__(self, name, function, **needs):
        self.name, self.begin, self.needs = name, function, needs
        self.help = function.__doc__.split("\n")[0].rstrip(".")


def nemesis(name, **needs):
    """Register a function under a name.  needs: what the stage must prepare before anything is up."""
    def add(function):
        NEMESES[name] = Nemesis(name, function, **needs)
        return function
    return add


def nothing():
    """It comes back by itself."""


def primary_site(stage, rng):
    """The primary's site more often than another."""
    primary = stage.primary_site()
    return primary if primary and rng.random() < 0.6 else rng.choice(SITES)


def restart(stage, site):
    """Start again what is not there: coordinator and guard; the guard starts the agent, the agent the server."""
    pids = stage.cluster.pids()
    if f"c-{letter(site)}" not in pids and site not in stage.away:
        stage.cluster.start_coordinator(site)
    if f"guard-{letter(site)}" not in pids and f"agent-{letter(site)}" not in pids:
        stage.cluster.start_guard(site)


@nemesis("kill")
def kill(stage, rng):
    """SIGKILL for a server, an agent, a guard, a whole database host, a coordinator, or a site's every process."""
    site = primary_site(stage, rng)
    what = rng.choice(("server", "server", "agent", "guard", "node", "coordinator", "coordinator", "leader", "site"))
    if what == "leader":
        site = stage.leader_site() or site
    pids = stage.cluster.pids()
    names = {"agent": ["agent"], "guard": ["guard"], "node": ["agent", "guard"], "coordinator": ["c"], "leader": ["c"],
             "server": []}.get(what, ["agent", "guard", "c"])
    ours = [pids[f"{n}-{letter(site)}"] for n in names if f"{n}-{letter(site)}" in pids]
    kill_all(ours, signal.SIGSTOP)  # else one brings the other back in between
    servers = stage.stand.pg.processes(site) if what in ("server", "node", "site") else []
    kill_all(ours + servers)
    return f"{what} in {site}", lambda: restart(stage, site), 5


@nemesis("pause")
def pause(stage, rng):
    """SIGSTOP for an agent, a guard, both, a coordinator, a server, or the freezer for a whole site; then SIGCONT."""
    site = primary_site(stage, rng)
    what = rng.choice(("agent", "guard", "both", "coordinator", "leader", "server", "site"))
    if what == "site":
        stage.freeze(site, True)
        return f"everything in {site}", lambda: stage.freeze(site, False), 6
    if what == "leader":
        site = stage.leader_site() or site
    pids = stage.cluster.pids()
    names = {"agent": ["agent"], "guard": ["guard"], "both": ["agent", "guard"], "server": []}.get(what, ["c"])
    victims = [pids[f"{n}-{letter(site)}"] for n in names if f"{n}-{letter(site)}" in pids]
    if what == "server":
        victims = stage.stand.pg.processes(site)
    if not victims:
        return None
    kill_all(victims, signal.SIGSTOP)
    return f"{what} in {site}", lambda: kill_all(victims, signal.SIGCONT), 6


def both_ways(pairs):
    """Each pair and its reverse."""
    return list(pairs) + [(b, a) for a, b in pairs]


def cuts(stage, rng):
    """(words, pairs to cut)."""
    site = primary_site(stage, rng)
    others = [s for s in SITES if s != site]
    what = rng.choice(("site", "halves", "out", "in", "bridge", "ring", "client"))
    if what == "site":
        return f"{site} from all", both_ways((site, o) for o in (*others, CLIENT))
    if what == "halves":
        return f"{site} from the other sites", both_ways((site, o) for o in others)
    if what == "out":
        return f"what {site} sends", [(site, o) for o in (*others, CLIENT)]
    if what == "in":
        return f"what {site} is sent", [(o, site) for o in (*others, CLIENT)]
    if what == "bridge":
        return f"{others[0]} from {others[1]}, {site} sees both", both_ways([tuple(others)])
    if what == "ring":  # each site hears one of the others, and is heard by the other one
        return "a ring, one way", list(zip(SITES, SITES[1:] + SITES[:1]))
    return f"the clients from {site}", both_ways([(CLIENT, site)])


@nemesis("partition")
def partition(stage, rng):
    """Cuts without a word: a site, halves, one way, a bridge, a ring, the clients."""
    words, pairs = cuts(stage, rng)
    stage.network.cut(pairs)
    return words, lambda: stage.network.uncut(pairs), 12


@nemesis("loss", filters=True)
def loss(stage, rng):
    """A part of all packets between the sites is dropped."""
    percent = rng.choice((2, 5, 10, 20, 40))
    stage.network.lose(percent)
    return f"{percent} of 100 packets", lambda: stage.network.lose(0), 8


@nemesis("delay", slow=True)
def delay(stage, rng):
    """Packets between the sites come late."""
    ms = rng.choice((5, 20, 50, 100, 200))
    stage.slow_network(ms)
    return f"{ms} ms each way", lambda: stage.slow_network(0), 8


@nemesis("clock", clocks=True)
def clock(stage, rng):
    """The wall clock of a site's programs jumps, or runs fast or slow."""
    site = rng.choice(SITES)
    step = rng.choice(("+3600", "-3600", "+86400", "-5", "+0 x1.1", "+0 x0.9", "+0 x1.5"))
    stage.set_clock(site, step)
    return f"{site} {step}", lambda: stage.set_clock(site, "+0"), 8


def drifting(stage, rng, rates):
    """A coordinator, the leader more often than another, whose monotonic clocks are wrong from its start on."""
    if stage.away:
        return None
    leader = stage.leader_site()
    site = leader if leader and rng.random() < 0.5 else rng.choice(SITES)
    rate = rng.choice(rates)
    stage.start_drifting(site, rate)

    def back():
        if site not in stage.away:
            stage.start_drifting(site, None)
    return f"c-{letter(site)} x{rate}", back, 12


@nemesis("drift")
def drift(stage, rng):
    """A coordinator's every clock and timer runs as fast or slow as the timing still allows."""
    return drifting(stage, rng, ("1.0019", "0.9981"))


@nemesis("drift-wild", wild=True)
def drift_wild(stage, rng):
    """The same, far beyond what the timing allows: nothing may be lost all the same (not one of all)."""
    return drifting(stage, rng, ("1.5", "3", "0.5", "1.05"))


@nemesis("disk-full", disks=True)
def disk_full(stage, rng):
    """The disk of a coordinator, or of a database host's agent, is full."""
    site = rng.choice(SITES)
    kind = rng.choice(("coord", "agent"))
    path = fill(stage.lab.path(f"{kind}-{site}"))

    def room():
        os.unlink(path)
        restart(stage, site)
    return f"{kind} in {site}", room, 8


@nemesis("disk-slow")
def disk_slow(stage, rng):
    """Every sync of a coordinator or an agent takes long."""
    site = primary_site(stage, rng)
    name = f"{rng.choice(('c', 'agent'))}-{letter(site)}"
    pid = stage.cluster.pids().get(name)
    if pid is None:
        return None
    ms = rng.choice((20, 50, 200))
    tracer = stage.slow_syncs(name, [pid], ms)
    return f"{name}: {ms} ms", lambda: stage.end_tracer(tracer), 8


@nemesis("server-disk-full", server_disks=True)
def server_disk_full(stage, rng):
    """The disk of the primary's PostgreSQL is full, with the segments of its log that it made before used up or not."""
    site = stage.primary_site()  # a standby asks for no room as long as segments are left, and others' log cannot use them up
    if site is None:
        return None
    pg = stage.stand.pg
    path = fill(pg.folder[site])
    used_up = rng.random() < 0.7
    for _ in range(SEGMENTS_MOST if used_up else 0):
        if pg.try_sql(site, "SELECT pg_switch_wal()") is None:
            break

    def room():
        os.unlink(path)
        restart(stage, site)
    if pg.try_sql(site, ASK_FOR_ROOM) is not None:
        room()
        raise LabError(f"the disk of {member_of(site)} was filled, and its server finds room all the same")
    left = "finds no room" if pg.try_sql(site, "SELECT 1") is not None else "has ended, or lets nobody in"
    return f"{member_of(site)}{', its log used up' if used_up else ''}: the server {left}", room, 15


@nemesis("server-disk-slow", server_disks=True)
def server_disk_slow(stage, rng):
    """Every write to the disk of a PostgreSQL server takes long."""
    site = primary_site(stage, rng)
    ms = rng.choice((10, 50, 200))
    return f"{member_of(site)}: {ms} ms", stage.slow_disk(site, ms), 10


def segments(folder):
    """The files of a coordinator's log that hold something."""
    found = glob.glob(os.path.join(folder, "**", "*-*"), recursive=True)
    return [f for f in found if os.path.isfile(f) and os.path.getsize(f) > 200]


@nemesis("corrupt")
def corrupt(stage, rng):
    """Bytes of one stopped coordinator's log flip: it must refuse to start; it joins anew."""
    if stage.away or not stage.all_coordinators():
        return None  # never two at once: the promise is about a majority
    site = rng.choice(SITES)
    folder = stage.lab.path(f"coord-{site}")
    stage.away.add(site)
    program = stage.stop_coordinator(site)
    damaged = 0
    for path in segments(folder):
        flip(path, rng.randrange(64, min(os.path.getsize(path), 4096)))
        damaged += 1
    program = stage.cluster.start_coordinator(site)
    code = program.wait(8)
    if damaged and code in (None, 0):
        stage.complain(f"c-{letter(site)} started with {damaged} damaged segments of its log")
    return f"c-{letter(site)}, {damaged} files", lambda: stage.join_anew(site), 2


@nemesis("certificates")
def certificates(stage, rng):
    """New certificates for a site's programs, and SIGHUP: nothing is cut."""
    site = rng.choice(SITES)
    pids = stage.cluster.pids()
    for kind, name in (("coordinator", f"c-{letter(site)}"), ("agent", f"agent-{letter(site)}")):
        for end in ("crt", "key"):
            shutil.copy(stage.cluster.file(f"{name}.{end}"), stage.cluster.file(f"{name}.{end}.old"))
        stage.reissue(kind, name)
        if name in pids:
            kill_all([pids[name]], signal.SIGHUP)
    return site, nothing, 1


@nemesis("spec", applies=True)
def spec(stage, rng):
    """Another spec is applied, with other timing or another sync set; then the first one again."""
    changes = rng.choice(({"sync": {"k": 1, "set_max": 2}}, {"cooldown": "5s"}, {"restart_within": "1s"},
                          {"timing": {"profile": stage.cluster.profile, "ttl": "2500ms"}},
                          {"timing": {"profile": stage.cluster.profile, "renew": "400ms", "ttl": "2s"}}))
    if not stage.apply(changes):
        return None
    return f"{changes}", lambda: stage.apply({}), 6


@nemesis("membership")
def membership(stage, rng):
    """A coordinator is taken out, emptied, and let in again under a new id."""
    if stage.away or not stage.all_coordinators():
        return None
    site = rng.choice(SITES)
    stage.away.add(site)
    stage.stop_coordinator(site)
    wipe(stage.lab.path(f"coord-{site}"))
    return f"c-{letter(site)}", lambda: stage.join_anew(site), 4


@nemesis("members", applies=True)
def members(stage, rng):
    """A standby leaves the spec and is let in again; its agent stays, or ends and is started again at the end."""
    primary = stage.primary_site()
    site = next((s for s in rng.sample(SITES, len(SITES)) if s != primary and stage.take_out(s)), None)
    if site is None:  # on the one nothing rests but the other is the set, or a plan is open
        return None
    ends = rng.random() < 0.5
    if ends:
        pids = stage.cluster.pids()
        ours = [pids[n] for n in (f"agent-{letter(site)}", f"guard-{letter(site)}") if n in pids]
        kill_all(ours, signal.SIGSTOP)
        kill_all(ours)

    def back():
        stage.let_in()
        restart(stage, site)
    return f"{member_of(site)}{', its agent ended' if ends else ''}", back, 8


@nemesis("operator")
def operator(stage, rng):
    """People: switchover, failover, pause, fence, abort, handing over the lead; nothing that owns up to a loss."""
    service = stage.cluster.service()
    target = member_of(rng.choice(SITES))
    plan = service.get("plan") or {}
    verbs = [["switchover", "orders"], ["switchover", "orders", "--to", target],
             ["failover", "orders", "--force"], ["failover", "orders", "--to", target, "--force"],
             ["pause", "orders"], ["fence", "orders"], ["node", "transfer"]]
    if plan.get("id"):
        verbs += [["abort", str(plan["id"])], ["approve", str(plan["id"])]]
    words = rng.choice(verbs)
    worked, text = stage.cluster.try_ctl(*words, "--reason", "nemesis", seconds=20)
    back = {"pause": ["resume", "orders"], "fence": ["unfence", "orders"]}.get(words[0])

    def undo():
        if back and worked:
            stage.insist(*back)
    told = "" if worked else f": {text.strip().splitlines()[-1][:160]}"
    return " ".join(words) + told, undo, 5


def fits(name, kind):
    """Whether a nemesis knows what to do with servers of a kind: some speak SQL of PostgreSQL's, or read its log's times."""
    return kind == "postgres" or not NEMESES[name].needs.keys() & {"server_disks", "clocks"}


def names(text, kind="postgres"):
    """The nemeses of a comma-separated list; "all" are all within what is promised, "none" is none."""
    if text in ("", "none"):
        return []
    every = [n for n in NEMESES if fits(n, kind)]
    wanted = [n for n in every if "wild" not in NEMESES[n].needs] if text == "all" else text.split(",")
    unknown = [n for n in wanted if n not in every]
    if unknown:
        raise LabError(f"no nemesis {', '.join(unknown)} for {kind}; there are {', '.join(every)}")
    return [NEMESES[n] for n in wanted]


__all__ = ["NEMESES", "names", "site_of"]
