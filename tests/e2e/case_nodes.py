"""case_nodes.py -- coordinators: killed at every step, full disk; and taking over what runs."""

import glob
import os
import re
import shutil
import subprocess
import time

import measure
from cluster import letter, member_of, site_of
from faults import A
from net import SITES
from scene import (all_joined, case, eventually, expect, kill_all, new_acks, servers_in_turn, still_writing,
                   verdict)

C = "az-c"
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


def wait_step(stand, since, step):
    """Wait for the start of a step of a switchover among the events after the first `since`."""
    def seen():
        return any(e.get("event") == "plan.step.started" and e.get("step") == step
                   for e in stand.cluster.events()[since:])
    eventually(stand, f"the step {step}", seen, 20, every=0.002)


def kill_leader_in(stand, step):
    """Begin a switchover to the other of a and b, and kill the leader when a step starts."""
    primary = site_of(stand.cluster.service()["primary"])
    target = "az-b" if primary == A else A
    leader = stand.cluster.wait_leader()
    victim = stand.cluster.pids()[f"c-{letter(leader)}"]
    since = len(stand.cluster.events())
    stand.lab.spawn("client", "client", "switchover",
                    [stand.cluster.bin["drcoordctl"], "switchover", "orders", "--to", member_of(target),
                     "--reason", f"leader killed in {step}"], env=stand.cluster.environment())
    wait_step(stand, since, step)
    kill_all([victim])
    stand.cluster.wait_leader(not_in=leader)
    stand.cluster.start_coordinator(leader)
    end = all_joined(stand)
    new_acks(stand, end)


@case("leader-kill-steps")
def leader_kill_steps(scenes):
    """The leader killed at the start of each step of a switchover, one after the other on one cluster."""
    stand = scenes.up(cooldown="1s")
    for step in SWITCHOVER_STEPS:
        kill_leader_in(stand, step)
    stand.writers.stop()
    lost, by_writer = measure.lost_rows(stand.writers.read(), stand.final_rows())
    expect(lost == 0, "no acknowledged row to be lost", by_writer)
    moves = len(servers_in_turn(stand.writers.acks())) - 1
    expect(moves <= 2 * len(SWITCHOVER_STEPS), "no more moves than plans", moves)
    return {"steps": len(SWITCHOVER_STEPS), "moves": moves, "lost_acked": lost}


@case("coordinator-disk-full")
def coordinator_disk_full(scenes):
    """A coordinator's disk is full: the others go on, it says so, and it is back when there is room."""
    stand = scenes.stand()
    folder = stand.lab.make_folder(f"coord-{C}")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], check=True)
    stand.up()
    stand.start_writers()
    filler = os.path.join(folder, "filler")
    try:
        with open(filler, "wb", buffering=0) as f:
            while f.write(b"\0" * 65536):
                pass
    except OSError:
        pass
    for _ in range(3):
        stand.cluster.ctl("pause", "orders", "--reason", "disk-full test")
        stand.cluster.ctl("resume", "orders", "--reason", "disk-full test")
    pause = still_writing(stand, 3, 0.5)
    os.unlink(filler)
    if f"c-{letter(C)}" not in stand.cluster.pids():
        stand.cluster.start_coordinator(C)
    eventually(stand, "three coordinators that answer", lambda: reachable(stand) == len(SITES))
    return {**verdict(stand, [A]), "pause_s": pause}


def reachable(stand):
    """How many coordinators the leader reaches, itself included."""
    status = stand.cluster.status() or {}
    return sum(1 for c in status.get("coordinators", []) if c.get("reachable"))


def wipe(stand, site):
    """Empty a coordinator's data folder."""
    folder = stand.lab.path(f"coord-{site}")
    shutil.rmtree(folder)
    os.mkdir(folder)


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


@case("wipe-readd")
def wipe_readd(scenes):
    """A wiped coordinator may not come back as who it was; removed and added anew it does, and counts."""
    stand = scenes.up()
    stand.cluster.move_leader(A)
    stand.lab.programs[f"c-{letter(C)}"].kill()
    stand.lab.programs[f"c-{letter(C)}"].wait(5)
    wipe(stand, C)
    program = stand.cluster.start_coordinator(C)
    expect(program.wait(10) not in (None, 0), "a wiped coordinator to refuse to start", program.tail())
    told = program.tail(3)
    join_anew(stand, C)
    kill_all([stand.cluster.pids()["c-b"]])
    time.sleep(1)
    expect(stand.cluster.wait_leader() in (A, C), "the new one to make a majority")
    stand.cluster.start_coordinator("az-b")
    return {**verdict(stand, [A]), "told": told.strip()[-300:]}


def flip(path, at):
    """Change one byte of a file."""
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 0x5a]))


@case("storage-damage")
def storage_damage(scenes):
    """A flipped byte in a coordinator's log: it refuses to vote and says how to rejoin; the others go on."""
    stand = scenes.up()
    stand.cluster.move_leader(A)
    program = stand.lab.programs[f"c-{letter(C)}"]
    program.kill()
    program.wait(5)
    files = [f for f in glob.glob(stand.lab.path(f"coord-{C}", "**"), recursive=True)
             if re.fullmatch(r"open-\d+|\d{16}-\d{16}", os.path.basename(f))]
    expect(files, "segments of the log", os.listdir(stand.lab.path(f"coord-{C}")))
    for path in files:
        flip(path, 200)
    program = stand.cluster.start_coordinator(C)
    expect(program.wait(10) not in (None, 0), "a damaged coordinator to refuse to start", program.tail())
    told = program.tail(3).strip()
    expect("join" in told, "the message to say how to rejoin", told)
    still_writing(stand, 1, 0.5)
    wipe(stand, C)
    join_anew(stand, C)
    return {**verdict(stand, [A]), "told": told[-300:]}


@case("node-recover")
def node_recover(scenes):
    """Two of three coordinators are gone for good: the third is made the only voter and can fail over."""
    stand = scenes.up()
    for site in ("az-b", C):
        stand.lab.programs[f"c-{letter(site)}"].kill()
    stand.lab.programs["c-a"].kill()
    stand.lab.programs["c-a"].wait(5)
    stand.cluster.ctl("node", "recover", "--config", stand.cluster.file("c-a.yaml"), "--force")
    stand.cluster.start_coordinator(A)
    stand.cluster.wait_leader(30)
    eventually(stand, "the service to have its primary again", stand.cluster.adopted, 60)
    epoch = stand.cluster.service().get("epoch", 0)
    expect(epoch > 1, "a raised epoch", epoch)
    new_acks(stand, A)
    stand.fault_at()
    kill_all(stand.pg.processes(A))
    new = stand.first_new_ack(30)[1]
    all_joined(stand)
    return verdict(stand, [A, new])
