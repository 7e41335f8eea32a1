"""scene.py -- what the cases share: the registry, stands, waits, and the verdict that nothing was lost."""

import datetime
import os
import re
import signal
import time

import measure
from cluster import busy, letter, member_of, site_of
from faults import kill_all, kill_server
from lab import BUILD, wait_for
from net import SITES
from stand import Stand

CASES = {}
UNSENT_S = 0.2  # what a server has acknowledged and not sent on is no older, under async


class SceneError(Exception):
    """The case saw something that must not be; the text says what, with the values."""


class Case:
    """One row of the registry."""

    def __init__(self, function):
        self.function, self.help = function, function.__doc__.split("\n")[0].rstrip(".")


def case(name):
    """Register a function under a name; its first line of documentation is the help."""
    def add(function):
        CASES[name] = Case(function)
        return function
    return add


def expect(good, what, *values):
    """Go on only when it is so."""
    if not good:
        raise SceneError(f"expected {what}" + "".join(f"; {v}" for v in values))


class Scenes:
    """The stands of one case, closed together."""

    def __init__(self):
        self.stands = []

    def stand(self, **options):
        """A new stand, nothing running yet."""
        self.stands.append(Stand(BUILD, **options))
        return self.stands[-1]

    def up(self, writers=True, options=None, **service):
        """A stand with the service adopted (with changes to its spec) and the clients writing."""
        stand = self.stand(**(options or {}))
        stand.up(adopt=False)
        stand.adopt(**service)
        if writers:
            stand.start_writers()
        return stand

    def folders(self):
        """The folders of the labs."""
        return [s.lab.folder for s in self.stands]

    def check_watch(self):
        """Wherever watch ran it lost nothing and repeated nothing."""
        for stand in self.stands:
            if os.path.exists(stand.lab.path("log", "watch.log")):
                stand.cluster.check_watch()

    def close(self):
        """Remove all labs."""
        for stand in self.stands:
            stand.lab.close()


def logs_of(stand):
    """The logs to show when a wait ends in vain."""
    return stand.cluster.logs() + [stand.lab.path("log", "watch.log")]


def eventually(stand, what, check, seconds=30, every=0.1):
    """Wait for a condition, with the logs in the error."""
    return wait_for(what, check, seconds, every, logs_of(stand))


def not_taken_over(stand):
    """The adoption was given up, or asks a person: one that goes on with a caution may say the same words."""
    def answered():
        service = stand.cluster.service()
        plan = service.get("plan")
        return service if service and (plan is None or plan["state"] == "asking") else None
    service = eventually(stand, "the adoption to end, or to ask", answered, 60)
    expect(service["plan"] or service["mode"] == "observe", "the service not to be taken over", service["mode"], service["members"])


def kill_node(stand, *sites, beside=()):
    """Kill guard, agent and server of sites' database hosts at once; with other services' servers beside."""
    of_all = [one.pg for one in (stand, *beside)]

    def processes():
        return [p for pg in of_all for site in sites for p in pg.processes(site)]
    pids = stand.cluster.pids()
    names = [f"{kind}-{letter(site)}" for site in sites for kind in ("agent", "guard")]
    ours = [pids[n] for n in names if n in pids]
    servers = processes()
    stand.fault_at()
    kill_all(ours, signal.SIGSTOP)  # else one brings the other back in between
    kill_all(ours + servers)
    eventually(stand, f"the server in {', '.join(sites)} to be gone", lambda: kill_all(processes()) or not processes())


def kill_primary(stand):
    """Kill every process of site a's server."""
    kill_server(stand)


def signal_named(stand, names, sig):
    """Send a signal to some of our processes."""
    pids = stand.cluster.pids()
    for name in names:
        os.kill(pids[name], sig)


def stop_go_on(stand, names, go_on):
    """SIGSTOP, or SIGCONT, for some of our processes."""
    signal_named(stand, names, signal.SIGCONT if go_on else signal.SIGSTOP)


def new_acks(stand, site, seconds=20):
    """Wait for rows acknowledged from now on by a site's server."""
    since = measure.now()
    return eventually(stand, f"rows acknowledged by {member_of(site)}",
                      lambda: stand.writers.read().first_ack(stand.address(site), since), seconds, 0.02)


def logged(path, kind):
    """Lines of one kind in a log of a program of ours: their fields, and their wall time as "at"."""
    found = []
    with open(path, errors="replace") as f:
        for line in f:
            words = re.match(r"<\d>(\S+)Z \S+ \S+ event=(\S+) (.*)", line)
            if words and words[2] == kind:
                at = datetime.datetime.fromisoformat(words[1] + "+00:00").timestamp()
                values = re.findall(r'(\w+)=("[^"]*"|\S+)', words[3])
                found.append({"at": at, **{key: value.strip('"') for key, value in values}})
    return found


def joined(stand, member_site):
    """Whether a member streams from the present primary."""
    service = stand.cluster.service()
    primary = service.get("primary")
    return bool(primary) and member_of(member_site) in stand.pg.streaming(site_of(primary))


def settled_set(stand):
    """The members of which an acknowledged row is sure to be with one; None while that changes."""
    service = stand.cluster.service()
    return service.get("sync", {}).get("set") if service.get("sync_settled") else None


def all_joined(stand, seconds=90):
    """Wait until all others stream from the primary and nothing is left to do; the primary's site."""
    def whole():
        service = stand.cluster.service()
        if busy(service) or not service.get("primary"):
            return None
        primary = site_of(service["primary"])
        return primary if len(stand.pg.streaming(primary)) == len(SITES) - 1 else None
    return eventually(stand, "all standbys to follow the primary", whole, seconds)


def is_marked(stand, site):
    """Whether the next start of a site's server is a standby's."""
    return os.path.exists(os.path.join(stand.pg.data[site], "standby.signal"))


def timeline_in_control_file(stand, site):
    """Wait until a promoted server has checkpointed: without one nobody can be rewound against it."""
    current = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int"
    check = f"SELECT timeline_id = {current} FROM pg_control_checkpoint()"
    eventually(stand, f"the control file in {site} to know the new timeline",
               lambda: stand.pg.sql(site, check) == "t", 12)


def servers_in_turn(acks):
    """The addresses that acknowledged, in order, repetitions left out: one more than there were moves."""
    turns = []
    for ack in acks:
        if not turns or turns[-1] != ack.server:
            turns.append(ack.server)
    return turns


def events_of(stand, kind, **fields):
    """Events of one kind whose fields have these values."""
    return [e for e in stand.cluster.events()
            if e.get("event") == kind and all(e.get(k) == v for k, v in fields.items())]


def is_promised(stand, path, ack):
    """Under async a primary that crashed may not have sent the last rows that it acknowledged; all others are promised."""
    crashed = stand.fault and len(path) > 1 and events_of(stand, "plan.opened", plan_kind="failover")
    if stand.cluster.durability == "sync" or not crashed:
        return True
    return ack.server != stand.address(path[-2]) or abs(ack.done - stand.fault) > UNSENT_S


def turned(stand, path):
    """Stop the clients once they write where the path ends: the sites that acknowledged, in turn, must be the path."""
    wanted = [stand.address(s) for s in path]
    eventually(stand, f"rows acknowledged by {member_of(path[-1])}",
               lambda: servers_in_turn(stand.writers.read().acks())[-1:] == wanted[-1:], 20, 0.05)
    stand.writers.stop()
    turns = servers_in_turn(stand.writers.read().acks())
    expect(turns == wanted, f"acknowledgements from {wanted} in turn", f"got {turns[:20]}")


def verdict(stand, path, undone=0):
    """Stop the clients; nothing may be lost that was promised, and the sites may have acknowledged in this order only."""
    told = events_of(stand, "sync.undone")
    expect(len(told) == undone, f"{undone} time(s) a server that does not wait as it was told", told)
    turned(stand, path)
    lost = measure.lost_acks(stand.writers, stand.final_rows())
    bad = [a for a in lost if is_promised(stand, path, a)]
    expect(not bad, "no acknowledged row to be lost", f"lost {len(bad)} of {len(lost)}, as row {bad[0].n if bad else '-'}")
    return {"acked": len(stand.writers.acknowledged_rows()), "lost_acked": len(lost)}


def still_writing(stand, seconds, gap):
    """For some time no pause of the outside clients may be longer than gap; the longest one seen."""
    begin = measure.now()
    time.sleep(seconds)
    longest = measure.largest_gap(stand.writers.read().acks((1, 2, 3)), begin, measure.now())
    expect(longest <= gap, f"no pause above {gap} s", f"saw {longest:.3f} s")
    return round(longest, 3)
