"""faults.py -- every fault: what is done, what it ought to cost, and how it is taken back.

A fault acts on a stand (stand.py) whose primary is in site a.  inject() returns right after the act; the time
of the fault is taken just before it.  heal() starts again what was killed and closes what was cut."""

import os
import signal
import time

import reaper
from cluster import SERVICE, letter, member_of
from lab import LabError, wait_for
from net import SITES, host_name
from servers import PRIMARY_SITE

A = PRIMARY_SITE
HEAL_AFTER = 12.0
HEAL_LONG = 60.0
STEADY_FOR = 3.0


class Fault:
    """One kind of fault: a row of FAULTS."""

    def __init__(self, name, inject, heal, target, **options):
        self.name, self.inject, self.heal, self.target = name, inject, heal, target
        # heal None: all that was killed comes back by itself
        self.moves = options.get("moves", True)
        self.heal_after = options.get("heal_after", HEAL_AFTER)
        self.in_turn = options.get("in_turn", False)
        self.needs_spaces = options.get("needs_spaces", False)
        self.crash = options.get("crash", False)  # under async the server may come back in place
        self.measure = options.get("measure", "downtime_s")
        self.help = options["help"]


def kill_all(pids, signum=signal.SIGKILL):
    """A signal to processes by pid, one right after the other."""
    for pid in pids:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            pass


def servers(stand):
    """Every process of the servers in site a, of each service that a fault strikes."""
    return [p for one in stand.struck() for p in one.pg.processes(A)]


def kill_server(stand, first=()):
    """Kill other processes first, then every process of site a's server; then what it had just forked."""
    victims = [stand.cluster.pids()[name] for name in first] + servers(stand)
    ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    stand.fault_at()
    # Agent and guard bring each other back within a millisecond: stopped first, neither sees the other die.
    kill_all(victims[:len(first)], signal.SIGSTOP)
    kill_all(victims)
    kill_all([p for p in servers(stand) if (reaper.start_time(p) or ticks + 9) <= ticks + 1])


def db_kill(stand):
    """Every server process of the primary."""
    kill_server(stand)


def agent_kill(stand):
    """The server and the agent."""
    kill_server(stand, [f"agent-{letter(A)}"])


def node_kill(stand):
    """The server, the guard and the agent."""
    kill_server(stand, [f"agent-{letter(A)}", f"guard-{letter(A)}"])


def site(stand):
    """All of site a: first its links, since a dead site sends no reset."""
    stand.fault_at()
    stand.lab.network.isolate(A)
    stand.lab.kill_site(A)
    stand.lab.network.links(A, up=False)


def partition(stand):
    """Site a cut off both ways, everything in it alive."""
    stand.fault_at()
    stand.lab.network.isolate(A)


def leader_kill(stand):
    """The server and the leading coordinator."""
    kill_server(stand, [stand.leader_name])


def leader_only(stand):
    """The leading coordinator."""
    kill_named(stand, stand.leader_name)


def wait_failsafe(stand):
    """Until the primary would go on without coordinators: its agent has its list, and reaches all on it."""
    for one in stand.struck():
        wait_for(f"{one.tag}failsafe to be ready", lambda one=one: one.cluster.service().get("failsafe") == "ready", 15, 0.1,
                 stand.cluster.logs())


def coordinators_down(stand):
    """Every coordinator."""
    wait_failsafe(stand)
    pids = stand.cluster.pids()
    stand.fault_at()
    kill_all([pids[f"c-{letter(site)}"] for site in SITES])


def start_coordinators(stand):
    """All of them again."""
    for site in SITES:
        stand.cluster.start_coordinator(site)
    stand.cluster.wait_leader()


def agent_restart(stand):
    """The primary's agent; its guard starts it again."""
    kill_named(stand, f"agent-{letter(A)}")


def guard_kill(stand):
    """The primary's guard; its agent starts it again."""
    kill_named(stand, f"guard-{letter(A)}")


def kill_named(stand, name):
    """Kill one of our processes."""
    victim = stand.cluster.pids()[name]
    stand.fault_at()
    kill_all([victim])


def switchover(stand):
    """A planned move to site b; one that it has promised to wait with (a leader was missed just before) is asked again.

    Of several services: their whole site is evacuated."""
    words = ["--site", A] if stand.together else [SERVICE, "--to", member_of("az-b")]

    def moved():
        stand.fault_at()
        worked, text = stand.cluster.try_ctl("switchover", *words, "--reason", "quickstart", seconds=60)
        if not worked and "(promised)" not in text:
            raise LabError(text)
        return worked
    wait_for("the switchover to be accepted", moved, 10)


def start_guard(stand):
    """The guard of site a, which starts the agent."""
    stand.cluster.start_guard(A)


def start_leader(stand):
    """The coordinator that was killed."""
    stand.cluster.start_coordinator(stand.leader_site)


def heal_network(stand):
    """Close the cut."""
    stand.lab.network.heal()


def start_site(stand):
    """Links, cut, coordinator, guard; the server is the agent's to start.  DNS where site a has one."""
    stand.lab.network.links(A, up=True)
    stand.lab.network.heal()
    if host_name(A, "dns") in stand.lab.programs:
        stand.dns.start(A)
    stand.cluster.start_coordinator(A)
    stand.cluster.start_guard(A)


FAULTS = {f.name: f for f in (
    Fault("db-kill", db_kill, None, 0.5, crash=True, help="kill -9 of every server process of the primary"),
    Fault("agent-kill", agent_kill, None, 0.8, crash=True, help="of these and the agent"),
    Fault("node-kill", node_kill, start_guard, 2.0, help="of these and the guard"),
    Fault("site", site, start_site, 2.0, in_turn=True, needs_spaces=True,
          help="every process of site a and its links, at once"),
    Fault("partition", partition, heal_network, 2.0, in_turn=True, needs_spaces=True,
          help="site a silently cut off both ways for 12 s after the first new write"),
    Fault("partition-long", partition, heal_network, 2.0, in_turn=True, needs_spaces=True,
          heal_after=HEAL_LONG, help="the same for 60 s"),
    Fault("leader-kill", leader_kill, start_leader, 1.5, crash=True,
          help="db-kill and the leading coordinator together"),
    Fault("leader-only", leader_only, start_leader, 0, moves=False, heal_after=STEADY_FOR,
          help="only the leading coordinator; writes must not pause"),
    Fault("coordinators-down", coordinators_down, start_coordinators, 0, moves=False, heal_after=HEAL_LONG,
          help="all coordinators for 60 s; writes must not pause"),
    Fault("agent-restart", agent_restart, None, 0, moves=False, heal_after=STEADY_FOR,
          help="only the agent; writes must not pause"),
    Fault("guard-kill", guard_kill, None, 0, moves=False, heal_after=STEADY_FOR,
          help="only the guard; writes must not pause"),
    Fault("switchover", switchover, None, 0.3, measure="gap_s", heal_after=0,
          help="a planned move to site b (--kind all: site a is evacuated)"),
)}
