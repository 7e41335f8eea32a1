"""case_lease.py -- the lease holds whatever is paused, cut, or started behind our back."""

import glob
import os
import time

import measure
from cluster import SERVICE, letter
from faults import A, heal_network, start_coordinators, wait_failsafe
from net import CLIENT, SITES
from scene import (all_joined, case, eventually, events_of, expect, is_marked, kill_all, kill_node, logged, new_acks,
                   still_writing, stop_go_on, verdict)
from stand import TTL


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
def manual_start(scenes, kind="postgres"):
    """A fenced server started by hand, with its site still cut off, comes up as a standby and stays one."""
    stand = scenes.up(options={"kind": kind})
    stand.fault_at()
    stand.lab.network.isolate(A)
    new = moved_off_a(stand)
    eventually(stand, "the cut-off server to be fenced", lambda: not stand.pg.processes(A))
    stand.pg.start(A)
    by_hand = stand.lab.programs[f"{stand.pg.name}-{A}"]
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


@case("power-cut-start")
def power_cut_start(scenes):
    """After a power cut the old primary is started by something quicker than its agent: it comes up as a standby."""
    stand = scenes.up()
    kill_node(stand, A)
    new = moved_off_a(stand)
    stand.pg.start(A)
    end = measure.now() + 3
    while measure.now() < end:
        expect(stand.pg.role(A) == "standby", "the old server to be a standby", stand.pg.role(A))
        time.sleep(0.1)
    stand.cluster.start_guard(A)
    all_joined(stand)
    expect(is_marked(stand, new), "the new primary to carry standby.signal", new)
    return verdict(stand, [A, new])


@case("backend-crash")
def backend_crash(scenes):
    """A process of the primary is killed: its postmaster starts anew, as a standby, is ended, and another takes over at once."""
    stand = scenes.up()
    writer = stand.pg.sql(A, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'")
    stand.fault_at()
    kill_all([int(writer)])
    at, new = stand.first_new_ack(20)
    expect(at - stand.fault < 4, "nobody to wait until write_stall is over", at - stand.fault)
    all_joined(stand)
    return {**verdict(stand, [A, new]), "outage_s": round(at - stand.fault, 2)}


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


def kill_coordinators(stand):
    """All of them, once the primary is ready for it."""
    wait_failsafe(stand)
    pids = stand.cluster.pids()
    stand.fault_at()
    kill_all([pids[f"c-{letter(s)}"] for s in SITES])


@case("coordinators-down-silent")
def coordinators_down_silent(scenes):
    """All coordinators killed, and one standby's agent: the primary stops in time, and is back in place when they are."""
    stand = scenes.up()
    names = ["agent-c", "guard-c"]
    wait_failsafe(stand)
    stop_go_on(stand, names, go_on=False)
    kill_coordinators(stand)
    eventually(stand, "the primary to stop taking writes", lambda: stand.pg.role(A) != "primary", seconds=10, every=0.02)
    last = max(a.done for a in stand.writers.read().acks())
    ttl = TTL[stand.cluster.profile]
    expect(last <= stand.fault + ttl, "no write acknowledged beyond the lease", f"{last - stand.fault:.3f} s of {ttl} s")
    start_coordinators(stand)
    stop_go_on(stand, names, go_on=True)
    end = all_joined(stand)
    why = [e.get("reason") for e in stand.cluster.events() if e.get("event") == "plan.opened"]
    expect(end == A and "ungranted" in why, "the old primary to be started again where it is: its host is well", end, why)
    new_acks(stand, end)
    return {**verdict(stand, [A]), "last_ack_s": round(last - stand.fault, 3)}


@case("promise-kept")
def promise_kept(scenes):
    """An operator's failover to a member that promised is refused by its agent until the promise ends."""
    stand = scenes.up(options={"profile": "default"})  # promises last longer than an election and the order take
    kill_coordinators(stand)
    log = stand.lab.path("log", "guard-b.log")
    eventually(stand, "pg-b's agent to promise", lambda: logged(log, "promise.given"), every=0.02)
    start_coordinators(stand)
    stand.cluster.ctl("failover", SERVICE, "--to", "pg-b", "--force", "--reason", "promise-kept")
    new = moved_off_a(stand)
    expect(new == "az-b", "pg-b to be promoted", new)
    promised = max(p["at"] for p in logged(log, "promise.given") if p["answer"] == "yes")
    seen = eventually(stand, "its agent to see it", lambda: [s for s in logged(log, "server.seen") if s["now"] == "primary"])
    ttl = TTL[stand.cluster.profile]
    expect(seen[0]["at"] >= promised + ttl, "no promotion while the promise holds",
           f"promised at {promised}, primary at {seen[0]['at']}, TTL {ttl} s")
    eventually(stand, "its agent to obey later", lambda: events_of(stand, "order.ended", order="writable", member="pg-b", outcome="done"))
    ended = events_of(stand, "order.ended", order="writable", member="pg-b")
    refused = [e for e in ended if e["outcome"] == "refused" and "promised" in e.get("text", "")]
    expect(refused, "its agent to refuse as it promised", ended)
    all_joined(stand)
    return {**verdict(stand, [A, new]), "after_promise_s": round(seen[0]["at"] - promised, 3), "refused": len(refused)}


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
