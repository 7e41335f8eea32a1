"""case_lease.py -- the lease holds whatever is paused, cut, or started behind our back."""

import glob
import os
import time

import measure
from cluster import letter
from faults import A, heal_network
from net import CLIENT, SITES
from scene import (all_joined, case, eventually, expect, kill_all, logged, new_acks, still_writing,
                   stop_go_on, verdict)


def moved_off_a(stand, seconds=20):
    """Wait for the first row acknowledged outside of site a; the site."""
    return stand.first_new_ack(seconds)[1]


def paused_programs(scenes, names):
    """Stop some programs of the primary's host, then let them go on."""
    stand = scenes.up()
    stand.fault_at()
    stop_go_on(stand, names, go_on=False)
    new = moved_off_a(stand)
    time.sleep(2)
    stop_go_on(stand, names, go_on=True)
    all_joined(stand)
    return verdict(stand, [A, new])


@case("guard-stop-agent")
def guard_stop_agent(scenes):
    """The agent paused by SIGSTOP: the guard kills the server in time, a standby takes over."""
    return paused_programs(scenes, [f"agent-{letter(A)}"])


@case("guard-stop-both")
def guard_stop_both(scenes):
    """Agent and guard paused, so nobody can fence: no failover while the server is reached, one on waking."""
    names = [f"agent-{letter(A)}", f"guard-{letter(A)}"]
    stand = scenes.up()
    stop_go_on(stand, names, go_on=False)
    time.sleep(4)  # several leases
    expect(stand.cluster.service().get("primary") == "pg-a", "no other holder while it is reached",
           stand.cluster.service())
    new_acks(stand, A)
    stand.fault_at()
    stop_go_on(stand, names, go_on=True)
    new = moved_off_a(stand)
    all_joined(stand)
    return verdict(stand, [A, new])


@case("zombie-acks")
def zombie_acks(scenes):
    """The primary's site frozen past its lease and continued, sync over b and c: no zombie row."""
    stand = scenes.up(sync={"k": 1, "set_max": 2})
    stand.fault_at()
    freeze(stand, A, True)
    new = moved_off_a(stand)
    time.sleep(2)
    freeze(stand, A, False)
    all_joined(stand)
    return verdict(stand, [A, new])


def freeze(stand, site, on):
    """Freeze or thaw every process of a site."""
    with open(f"{stand.lab.cgroup}/{site}/cgroup.freeze", "w") as f:
        f.write("1" if on else "0")


@case("manual-start")
def manual_start(scenes):
    """A fenced server started by hand, with its site still cut off, comes up as a standby and stays one."""
    stand = scenes.up()
    stand.fault_at()
    stand.lab.network.isolate(A)
    new = moved_off_a(stand)
    eventually(stand, "the cut-off server to be fenced", lambda: not stand.pg.processes(A))
    stand.pg.start(A)
    by_hand = stand.lab.programs[f"pg-{A}"]
    expect(stand.pg.postmaster(A) == by_hand.pid, "the server that was started by hand", stand.pg.postmaster(A))
    end = measure.now() + 3
    while measure.now() < end:
        expect(stand.pg.role(A) == "standby", "the old server to be a standby", stand.pg.role(A))
        time.sleep(0.1)
    adopted = logged(stand.lab.path("log", f"guard-{letter(A)}.log"), "server.adopted")
    expect(int(adopted[-1]["pid"]) == by_hand.pid, "its agent to have taken it into its care", adopted)
    heal_network(stand)
    all_joined(stand)
    return verdict(stand, [A, new])


def one_way(scenes, pairs):
    """A one-way cut for eight seconds: writes go on or move, and the old primary is a standby after it."""
    stand = scenes.up()
    began = measure.now()
    stand.fault_at()
    stand.lab.network.cut(pairs)
    time.sleep(8)
    stand.lab.network.heal()
    primary = all_joined(stand)
    new_acks(stand, primary)
    acks = stand.writers.read().acks()
    pause = measure.largest_gap(acks, began, measure.now())
    expect(pause < 8, "writes to go on somewhere during the cut", f"longest pause {pause:.3f} s")
    return {**verdict(stand, [A] if primary == A else [A, primary]), "pause_s": round(pause, 3)}


@case("cut-outgoing")
def cut_outgoing(scenes):
    """What site a sends is dropped, what it is sent arrives."""
    return one_way(scenes, [(A, place) for place in (*SITES, CLIENT) if place != A])


@case("cut-incoming")
def cut_incoming(scenes):
    """What site a is sent is dropped, what it sends arrives."""
    return one_way(scenes, [(place, A) for place in (*SITES, CLIENT) if place != A])


@case("coordinators-all-dead")
def coordinators_all_dead(scenes):
    """All coordinators killed: the primary stops as its lease ends; they return, and so does the service."""
    stand = scenes.up()
    pids = stand.cluster.pids()
    stand.fault_at()
    kill_all([pids[f"c-{letter(s)}"] for s in SITES])
    eventually(stand, "the primary to stop taking writes", lambda: stand.pg.role(A) != "primary")
    for site in SITES:
        stand.cluster.start_coordinator(site)
    stand.cluster.wait_leader()
    end = all_joined(stand)
    new_acks(stand, end)
    return verdict(stand, [A] if end == A else [A, end])


def libfaketime():
    """The library that shows a program another wall clock."""
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    expect(found, "the package faketime")
    return found[0]


@case("clock-step")
def clock_step(scenes):
    """The wall clock of the primary's host jumps, ahead and back: writes go on, nothing moves."""
    stand = scenes.stand()
    offset = stand.lab.path("offset")
    with open(offset, "w") as f:
        f.write("+0\n")
    fake = {"LD_PRELOAD": libfaketime(), "FAKETIME_TIMESTAMP_FILE": offset, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    stand.up_servers()
    stand.up_drcoord(guard_env={A: fake})
    stand.adopt()
    stand.start_writers()
    guard = stand.lab.path("log", f"guard-{letter(A)}.log")
    pause = 0
    for step in ("+3600", "-86400", "+0"):
        with open(offset + ".new", "w") as f:
            f.write(step + "\n")
        os.rename(offset + ".new", offset)
        pause = max(pause, still_writing(stand, 3, 1))
    with open(guard, errors="replace") as f:
        said = [line for line in f if "clock.jumped" in line]
    expect(len(said) == 2, "the two jumps ahead to be noticed", *said)
    expect(stand.cluster.service().get("epoch") == 1, "no other epoch", stand.cluster.service())
    return {**verdict(stand, [A]), "pause_s": pause}
