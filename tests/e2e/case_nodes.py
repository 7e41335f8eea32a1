"""case_nodes.py -- coordinators: killed at every step, full disk; and taking over what runs."""

import glob
import os
import re
import shutil
import time

import measure
from cluster import letter, member_of, site_of
from disks import fill, flip, mount_small, wipe
from faults import A
from net import SITES
from scene import (all_joined, case, eventually, expect, kill_all, logged, new_acks, servers_in_turn,
                   settled_set, still_writing, timeline_in_control_file, verdict)
from stand import TTL

C = "az-c"
FAILOVER_STEPS = ("declare", "fence_old", "freeze", "choose", "catch_up", "promote", "repoint", "route",
                  "verify", "close")
REJOIN_STEPS = ("compare", "salvage", "rewind_or_clone", "follow", "close")
SWITCHOVER_STEPS = ("choose", "catch_up", "declare", "fence_old", "final_position", "promote", "repoint",
                    "route", "verify", "close")


@case("adopt-running")
def adopt_running(scenes):
    """A running service is taken over without a restart and without a pause."""
    stand = scenes.stand()
    stand.up(adopt=False)
    stand.start_writers()
    before, began = stand.pg.postmaster(A), measure.now()
    stand.adopt()
    time.sleep(1)
    pause = measure.largest_gap(stand.writers.read().acks((1, 2, 3)), began, measure.now())
    expect(stand.pg.postmaster(A) == before, "the same postmaster", before, stand.pg.postmaster(A))
    expect(pause <= 0.5, "no pause above 0.5 s", f"saw {pause:.3f} s")
    return {**verdict(stand, [A]), "pause_s": round(pause, 3)}


def promote_by_hand(stand):
    """Crash site a's server with much to write out, and promote it: by itself it checkpoints over minutes now."""
    stand.pg.sql(A, "CREATE TABLE filler AS SELECT g, repeat('x', 200) FROM generate_series(1, 60000) g")
    kill_all(stand.pg.processes(A))
    eventually(stand, "the server to be gone", lambda: not stand.pg.processes(A))
    signal_file = os.path.join(stand.pg.data[A], "standby.signal")
    with open(signal_file, "w"):
        shutil.chown(signal_file, "postgres", "postgres")
    stand.pg.start(A)
    stand.pg.sql(A, "SELECT pg_promote()")
    known = stand.pg.sql(A, "SELECT timeline_id FROM pg_control_checkpoint()")
    expect(known == "1", "its control file to be on the old timeline", known)


@case("adopt-promoted")
def adopt_promoted(scenes):
    """A server promoted just before it is taken over is checkpointed: else nobody could be rewound against it."""
    stand = scenes.stand()
    stand.up(adopt=False)
    promote_by_hand(stand)
    stand.adopt()
    timeline_in_control_file(stand, A)
    stand.start_writers()
    return verdict(stand, [A])


def kill_at(stand, step, act, kind):
    """Do act(), and kill the leader as soon as a plan of this kind starts a step; bring it back, and wait."""
    leader = stand.cluster.wait_leader()
    victim = stand.cluster.pids()[f"c-{letter(leader)}"]
    since = len(stand.cluster.events())
    act()

    def seen():
        started = [e for e in stand.cluster.events()[since:] if e.get("event") == "plan.step.started"]
        return any(e.get("step") == step and e.get("plan_kind") == kind for e in started)
    eventually(stand, f"the step {step} of a {kind}", seen, 30, every=0.002)
    kill_all([victim])
    stand.cluster.wait_leader(not_in=leader)
    stand.cluster.start_coordinator(leader)
    new_acks(stand, all_joined(stand))


def at_rest(stand):
    """Wait until the promise rests on one other member, as at the beginning; the primary's site."""
    primary = all_joined(stand)
    eventually(stand, "the sync set to be settled",
               lambda: settled_set(stand) not in (None, [member_of(primary)]), 60)
    return primary


def kill_servers(stand, site):
    """Kill every process of a site's server; its agent starts it again as a standby."""
    kill_all(stand.pg.processes(site))


def order_switch(stand, primary):
    """Ask for a switchover to whom the primary waits for, without waiting for it."""
    target = settled_set(stand)[0]
    stand.lab.spawn("client", "client", "switchover",
                    [stand.cluster.bin["drcoordctl"], "switchover", "orders", "--to", target,
                     "--reason", f"from {primary}"], env=stand.cluster.environment())


def every_step(scenes, kind, steps, act):
    """On one cluster: for each step, act on the primary and kill the leader when a plan starts it."""
    stand = scenes.up(cooldown="1s")
    for step in steps:
        primary = at_rest(stand)
        kill_at(stand, step, lambda at=primary: act(stand, at), kind)
        time.sleep(1)  # the cooldown
    at_rest(stand)
    stand.writers.stop()
    lost, by_writer = measure.lost_rows(stand.writers.read(), stand.final_rows())
    expect(lost == 0, "no acknowledged row to be lost", by_writer)
    moves = len(servers_in_turn(stand.writers.acks())) - 1
    expect(moves <= 2 * len(steps), "no more moves than plans", moves)
    return {"steps": len(steps), "moves": moves, "lost_acked": lost}


@case("leader-kill-steps")
def leader_kill_steps(scenes):
    """The leader killed at the start of each step of a switchover, one after the other on one cluster."""
    return every_step(scenes, "switchover", SWITCHOVER_STEPS, order_switch)


@case("leader-kill-failover")
def leader_kill_failover(scenes):
    """The leader killed at the start of each step of a failover, one after the other on one cluster."""
    return every_step(scenes, "failover", FAILOVER_STEPS, kill_servers)


@case("leader-kill-rejoin")
def leader_kill_rejoin(scenes):
    """The leader killed at the start of each step of the old primary's way back, on one cluster."""
    return every_step(scenes, "rejoin", REJOIN_STEPS, kill_servers)


@case("coordinator-disk-full")
def coordinator_disk_full(scenes):
    """A coordinator's disk is full: the others go on, it says which and what to do, and when there is room."""
    stand = scenes.stand()
    folder = stand.lab.make_folder(f"coord-{C}")
    mount_small(folder, "48m")
    stand.up()
    stand.start_writers()
    filler = fill(folder)
    for _ in range(3):
        stand.cluster.ctl("pause", "orders", "--reason", "disk-full test")
        stand.cluster.ctl("resume", "orders", "--reason", "disk-full test")
    log = stand.lab.path("log", f"c-{letter(C)}.log")
    said = eventually(stand, "it to say so", lambda: logged(log, "disk.full"), 5)[-1]
    expect(said["folder"] == folder and int(said["free_bytes"]) < 8 << 20, "the disk and what is free on it", said)
    expect("make room" in said["next"], "what to do", said)
    pause = still_writing(stand, 3, 0.5)
    os.unlink(filler)
    eventually(stand, "it to say that there is room again", lambda: logged(log, "disk.room"), 5)
    if f"c-{letter(C)}" not in stand.cluster.pids():
        stand.cluster.start_coordinator(C)
    eventually(stand, "three coordinators that answer", lambda: reachable(stand) == len(SITES))
    return {**verdict(stand, [A]), "pause_s": pause}


def reachable(stand):
    """How many coordinators the leader reaches, itself included."""
    status = stand.cluster.status() or {}
    return sum(1 for c in status.get("coordinators", []) if c.get("reachable"))


def join_anew(stand, site):
    """Remove a wiped coordinator from the cluster and let it in again under a new id."""
    name = f"c-{letter(site)}"
    stand.cluster.insist("the old id to be removed", "node", "remove", name, "--reason", "wiped")
    program = stand.cluster.start_coordinator(site, "--join")
    said = eventually(stand, "the new id to be printed",
                      lambda: re.search(r"--id (\d+)", program.tail(60)), 10)
    address = next(c["address"] for c in stand.cluster.coordinators() if c["name"] == name)
    stand.cluster.insist("the new id to be let in", "node", "add", name, address, "--site", site,
                         "--id", said.group(1), "--reason", "wiped")
    eventually(stand, "three coordinators that answer", lambda: reachable(stand) == len(SITES))


def same_ledgers(stand):
    """How many coordinators have the leader's ledger, itself included."""
    status = stand.cluster.status() or {}
    return sum(1 for c in status.get("coordinators", []) if c.get("ledger") == "same")


@case("wipe-readd")
def wipe_readd(scenes):
    """A wiped coordinator may not come back as who it was; removed and added anew it does, and counts."""
    stand = scenes.up()
    stand.cluster.move_leader(A)
    stand.lab.programs[f"c-{letter(C)}"].kill()
    stand.lab.programs[f"c-{letter(C)}"].wait(5)
    wipe(stand.lab.path(f"coord-{C}"))
    program = stand.cluster.start_coordinator(C)
    expect(program.wait(10) not in (None, 0), "a wiped coordinator to refuse to start", program.tail())
    told = program.tail(3)
    join_anew(stand, C)
    eventually(stand, "three ledgers that agree", lambda: same_ledgers(stand) == len(SITES))
    kill_all([stand.cluster.pids()["c-b"]])
    time.sleep(1)
    expect(stand.cluster.wait_leader() in (A, C), "the new one to make a majority")
    stand.cluster.start_coordinator("az-b")
    return {**verdict(stand, [A]), "told": told.strip()[-300:]}


def segments(folder):
    """The files of a coordinator's log."""
    found = [f for f in glob.glob(os.path.join(folder, "**"), recursive=True)
             if re.fullmatch(r"open-\d+|\d{16}-\d{16}", os.path.basename(f)) and os.path.getsize(f) > 200]
    expect(found, "segments of the log", os.listdir(folder))
    return found


def refuses_damaged(stand, site, damage):
    """Damage a stopped coordinator's log, see it refuse to start, undo the damage; what it said."""
    folder = stand.lab.path(f"coord-{site}")
    shutil.copytree(folder, folder + "-whole")
    for path in segments(folder):
        damage(path)
    program = stand.cluster.start_coordinator(site)
    expect(program.wait(10) not in (None, 0), "a damaged coordinator to refuse to start", program.tail())
    told = program.tail(1).strip()
    expect("join" in told, "the message to say how to rejoin", told)
    shutil.rmtree(folder)
    os.rename(folder + "-whole", folder)
    return told


@case("storage-damage")
def storage_damage(scenes):
    """A coordinator's log with flipped bytes, then cut short: it refuses to vote and says how to rejoin."""
    stand = scenes.up()
    stand.cluster.move_leader(A)
    program = stand.lab.programs[f"c-{letter(C)}"]
    program.kill()
    program.wait(5)
    told = [refuses_damaged(stand, C, lambda path: flip(path, 200)),
            refuses_damaged(stand, C, lambda path: os.truncate(path, 8))]  # a whole segment, but empty
    still_writing(stand, 1, 0.5)
    wipe(stand.lab.path(f"coord-{C}"))
    join_anew(stand, C)
    return {**verdict(stand, [A]), "told": [t[-400:] for t in told]}


def accepted_orders(stand):
    """What every agent has accepted so far: by member, its orders' numbers and epochs and when they began."""
    found = {}
    for site in SITES:
        orders = logged(stand.lab.path("log", f"guard-{letter(site)}.log"), "order.begun")
        found[member_of(site)] = [(int(o["number"]), int(o["epoch"]), o["at"]) for o in orders]
    return found


def check_recovered(stand, before, events):
    """Nothing is ordered until the longest lease is over, and then above all that was ever seen.  The primary may go
    on meanwhile, by the other agents' promises."""
    log = stand.lab.path("log", "c-a.log")
    listening, raised = logged(log, "recover.listening")[0], logged(log, "recover.raised")[0]
    over = listening["at"] + TTL["metro"] * 1.002 / 0.998
    expect(raised["at"] >= over, "the longest lease to be waited out", listening, raised)
    epochs = [epoch for orders in before.values() for _, epoch, _ in orders]
    numbers = [number for orders in before.values() for number, _, _ in orders]
    expect(int(raised["epoch"]) > max(epochs), "an epoch above every agent's", raised, epochs)
    expect(int(raised["number"]) > max(numbers), "order numbers above every agent's", raised, numbers)
    for member, orders in accepted_orders(stand).items():
        new = orders[len(before[member]):]
        wrong = [o for o in new if o[0] <= int(raised["number"]) or o[1] < int(raised["epoch"]) or o[2] < over]
        expect(not wrong, f"the orders of {member} to be newer and later than that", wrong, raised)
    expect(any(accepted_orders(stand)[m][len(before[m]):] for m in before), "orders after the recovery")
    since = [e for e in stand.cluster.events()[events:] if e["event"] in ("primary.confirmed", "holder.chosen")]
    early = [e for e in since if e["wall_ms"] < 1000 * over]
    expect(since and not early, "a new primary, and none before the longest lease was over", early)


def has_primary_beyond(stand, epoch):
    """Whether the service has a confirmed primary of a higher epoch."""
    service = stand.cluster.service()
    return service.get("epoch", 0) > epoch and service.get("primary") is not None


@case("node-recover")
def node_recover(scenes):
    """Two of three coordinators are gone for good: the third is made the only voter and can fail over."""
    stand = scenes.up()
    for site in ("az-b", C):
        stand.lab.programs[f"c-{letter(site)}"].kill()
    stand.fault_at()
    stand.lab.programs["c-a"].kill()
    stand.lab.programs["c-a"].wait(5)
    before, events = accepted_orders(stand), len(stand.cluster.events())
    stand.cluster.ctl("node", "recover", "--config", stand.cluster.file("c-a.yaml"), "--force")
    stand.cluster.start_coordinator(A)
    stand.cluster.wait_leader(30)
    eventually(stand, "the service to have its primary again under a raised epoch",
               lambda: stand.cluster.adopted() and has_primary_beyond(stand, 1), 90)
    check_recovered(stand, before, events)
    primary = site_of(stand.cluster.service()["primary"])
    new_acks(stand, primary)
    stand.fault_at()
    kill_all(stand.pg.processes(primary))
    new = stand.first_new_ack(30, old=primary)[1]
    all_joined(stand)
    return verdict(stand, [A, new] if primary == A else [A, primary, new])
