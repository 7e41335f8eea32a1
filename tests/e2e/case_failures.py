"""case_failures.py -- a primary that fails while its own host says that it runs: the coordinators' write probes decide."""

import os
import signal
import subprocess
import time

from cluster import member_of, site_of
from disks import fill, hang, mount_image, mount_on_disk, mount_small, turn_read_only
from faults import A
from net import CLIENT
from scene import (all_joined, case, eventually, events_of, expect, kill_all, kill_node, kill_primary, new_acks,
                   settled_set, still_writing, stop_go_on, verdict)

CONNECTIONS = 60  # max_connections of the lab's servers


def incident(stand):
    """The newest incident's reason."""
    found = [e for e in stand.cluster.events() if e.get("event") == "incident.opened"]
    return found[-1].get("reason") if found else None


def moved(stand, *kinds, old=A, seconds=30):
    """The primary moves off its site, for a reason of just this name (of several: whichever is seen first); where it is then."""
    new = stand.first_new_ack(seconds, old=old)[1]
    expect(incident(stand) in kinds, f"an incident of kind {' or '.join(kinds)}", incident(stand))
    return new


def finish(stand, *path):
    """All members follow, nothing was lost."""
    all_joined(stand)
    return verdict(stand, [A, *path])


@case("server-hung")
def server_hung(scenes):
    """The postmaster is stopped: the kernel still accepts connections, nobody answers; it is fenced and replaced."""
    stand = scenes.up()
    stand.fault_at()
    os.kill(stand.pg.postmaster(A), signal.SIGSTOP)
    return finish(stand, moved(stand, "server_hung"))


@case("second-failure")
def second_failure(scenes):
    """The new primary's server dies within the cooldown: nothing moves again, it is restarted where it is."""
    stand = scenes.up()
    kill_primary(stand)
    new = moved(stand, "server_failed")
    all_joined(stand)
    stand.fault_at()
    kill_all(stand.pg.processes(new))
    eventually(stand, "it to be restarted in place",
               lambda: events_of(stand, "plan.opened", plan_kind="failover", reason="restart"), 5, 0.02)
    acked = new_acks(stand, new)
    return {**finish(stand, new), "downtime_s": round(acked - stand.fault, 3)}


@case("read-only")
def read_only(scenes):
    """Somebody makes the primary read only: it is replaced, though every process of it is well."""
    stand = scenes.up()
    stand.fault_at()
    for line in ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"):
        stand.pg.sql(A, line)
    new = moved(stand, "read_only")
    return finish(stand, new)


@case("read-only-default")
def read_only_default(scenes):
    """The probes' role is made read only by default: that says nothing of the server; it is told, and nothing moves."""
    stand = scenes.up()

    def told():
        return next((m for m in stand.cluster.service()["members"] if m["name"] == member_of(A)), {}).get("failure")
    stand.pg.sql(A, "ALTER ROLE drcoord SET default_transaction_read_only = on")
    eventually(stand, "it to be told", lambda: told() == "read_only_default", 10)
    expect("role or database" in stand.cluster.ctl("status"), "status to say whose default it is", stand.cluster.ctl("status"))
    time.sleep(3)  # longer than write_stall
    expect(stand.cluster.service().get("primary") == member_of(A) and not incident(stand), "nothing to be moved",
           stand.cluster.service())
    stand.pg.sql(A, "ALTER ROLE drcoord RESET default_transaction_read_only")
    eventually(stand, "it to be told no more", lambda: told() is None, 10)
    new_acks(stand, A)
    return verdict(stand, [A])


def log_elsewhere(stand):
    """Move the primary's WAL to another file system than its data's."""
    log, there = stand.lab.make_folder("wal", "postgres"), os.path.join(stand.pg.data[A], "pg_wal")
    os.kill(stand.pg.postmaster(A), signal.SIGINT)
    eventually(stand, "the primary to stop", lambda: not stand.pg.processes(A))
    subprocess.run(["mv", there, log], check=True)
    os.symlink(os.path.join(log, "pg_wal"), there)
    stand.pg.start(A)


def turn_disk_read_only(scenes, prepare, kind):
    """The file system of the primary's data turns read only; mended, the old primary rejoins."""
    stand = scenes.stand()
    folder, image = stand.lab.make_folder(f"pg-{A}", "postgres"), stand.lab.path("disk.img")
    mount_image(folder, image, "postgres")
    stand.up_servers()
    prepare(stand)
    stand.up_drcoord()
    stand.adopt()
    stand.start_writers()
    stand.fault_at()
    turn_read_only(folder)
    new = moved(stand, kind)
    # As an operator would: drcoord off, the file system unmounted and repaired.
    stop_go_on(stand, ["agent-a", "guard-a"], go_on=False)
    eventually(stand, "the disk to be unmounted",
               lambda: subprocess.run(["umount", folder], capture_output=True, check=False).returncode == 0)
    mount_image(folder, image)
    stop_go_on(stand, ["agent-a", "guard-a"], go_on=True)
    return finish(stand, new)


@case("read-only-disk")
def read_only_disk(scenes):
    """The file system of the primary's tables turns read only: its log is elsewhere, it goes on, and is replaced."""
    return turn_disk_read_only(scenes, log_elsewhere, "read_only")


@case("read-only-log")
def read_only_log(scenes):
    """The file system of the primary's data and log turns read only: the server panics, and another takes over."""
    return turn_disk_read_only(scenes, lambda stand: None, "server_failed")


HOLDER = """
import socket, struct, sys, time
host, port = sys.argv[1].rsplit(":", 1)
words = b"".join(w.encode() + b"\\0" for w in ("user", "writer", "database", "postgres")) + b"\\0"
held = []
for _ in range(int(sys.argv[2])):
    s = socket.create_connection((host, int(port)), timeout=5)
    s.sendall(struct.pack("!ii", 8 + len(words), 196608) + words)
    held.append(s)
    if s.recv(1) == b"E":
        break
print(len(held), flush=True)
time.sleep(600)
"""


@case("connections-exhausted")
def connections_exhausted(scenes):
    """All connections of the primary are taken: the plan asks, since moving it would cut those that still work."""
    stand = scenes.up()
    holder = stand.lab.spawn(CLIENT, CLIENT, "holder", ["/usr/bin/python3", "-c", HOLDER, stand.cluster.data_address(A),
                                                        str(CONNECTIONS)])

    def asks():
        plan = stand.cluster.service().get("plan") or {}
        return plan.get("state") == "asking" and plan.get("reason") == "connections_exhausted"
    eventually(stand, "the plan to ask", asks)
    pause = still_writing(stand, 2, 1)
    expect(stand.cluster.service().get("primary") == member_of(A), "the primary to stay", stand.cluster.service())
    kill_all([holder.pid])
    eventually(stand, "the plan to close by itself", lambda: not stand.cluster.service().get("plan"))
    new_acks(stand, A)
    return {**verdict(stand, [A]), "pause_s": pause}


@case("storage-hung")
def storage_hung(scenes):
    """The disk below the primary's data hangs: a standby takes over; the old one comes back with its disk."""
    stand = scenes.stand()
    below = stand.lab.make_folder("below")
    mount_on_disk(stand.lab.make_folder(f"pg-{A}", "postgres"), below, "postgres")
    stand.up()
    stand.start_writers()
    stand.fault_at()
    hang(below, on=True)
    try:
        new = moved(stand, "storage_hung")
    finally:
        hang(below, on=False)
    return finish(stand, new)


def fill_disk(scenes, then, *kinds):
    """The disk of the primary's data is filled, and more is done; with room again it rejoins."""
    stand = scenes.stand()
    folder = stand.lab.make_folder(f"pg-{A}", "postgres")
    mount_small(folder, "200m")
    subprocess.run(["chown", "postgres:postgres", folder], check=True)
    stand.up()
    stand.start_writers()
    stand.fault_at()
    filler = fill(folder)
    then(stand)
    new = moved(stand, *kinds)
    os.unlink(filler)
    return finish(stand, new)


@case("disk-full")
def disk_full(scenes):
    """The primary's disk is full, its log still has room: clients' tables cannot grow, and a standby takes over."""
    return fill_disk(scenes, lambda stand: None, "disk_full")


def use_up_log(stand):
    """Beyond what the log still has the server panics.  It starts anew, and refuses sessions: a small file has no room."""
    while stand.pg.try_sql(A, "SELECT pg_switch_wal()"):
        pass


@case("log-full")
def log_full(scenes):
    """The primary's disk is full, and its log needs more: the server panics, and another takes over."""
    return fill_disk(scenes, use_up_log, "server_failed", "disk_full")


def waited_for(stand):
    """The standby that the primary waits for."""
    return eventually(stand, "a set", lambda: settled_set(stand))[0]


@case("replication-stopped")
def replication_stopped(scenes):
    """The standby that the primary waits for streams no more, though its agent is well: out of the set, then back."""
    stand = scenes.up()
    name = waited_for(stand)
    stand.fault_at()
    for line in ("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"):
        stand.pg.sql(site_of(name), line)
    left = eventually(stand, f"{name} to leave", lambda: events_of(stand, "member.left", member=name))[-1]
    new_acks(stand, A)

    def back():
        return [e for e in events_of(stand, "member.joined", member=name) if e["index"] > left["index"]]
    eventually(stand, f"{name} to come back", back, 60)
    all_joined(stand)
    return verdict(stand, [A])


def slot_of(name):
    """The slot through which a member receives."""
    return "drcoord_" + name.replace("-", "_")


@case("replication-refused")
def replication_refused(scenes):
    """The primary lets a standby in no more: its rejoin asks, status names the server's word and the verb that goes on."""
    stand = scenes.up()
    name = waited_for(stand)
    hba = os.path.join(stand.pg.data[A], "pg_hba.conf")
    with open(hba) as f:
        was = f.read()

    def let_in(lines):
        with open(hba, "w") as f:
            f.write(lines + was)
        stand.pg.sql(A, "SELECT pg_reload_conf()")
    let_in("".join(f"host {what} all {stand.address(site_of(name))}/32 reject\n" for what in ("all", "replication")))

    def asks():
        # Until the reload has come to the postmaster, it lets it in again.
        stand.pg.try_sql(A, f"SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = '{name}'")
        return next((p for p in stand.cluster.service().get("rejoins", []) if p["state"] == "asking"), None)
    plan = eventually(stand, "its rejoin to ask", asks)
    expect(plan["failed_at"] == name and "pg_hba.conf rejects" in plan["failed_because"], "the server's own word", plan)
    for words in (["status"], ["explain", stand.cluster.name]):
        said = stand.cluster.ctl(*words)
        for text in (f"rejoin {plan['id']} of {name} asks: ", f"{name} says: cannot connect to {member_of(A)}",
                     "to go on: `drcoordctl approve`"):
            expect(text in said, f"{words[0]} to say {text}", said)
    new_acks(stand, A)
    let_in("")
    stand.cluster.ctl("approve", str(plan["id"]), "--reason", "it may come in again", person="approver")
    all_joined(stand)
    return verdict(stand, [A])


@case("replication-slot")
def replication_slot(scenes):
    """The slot of the standby that the primary waits for is dropped: it is made anew, and nobody need be asked."""
    stand = scenes.up()
    name = waited_for(stand)
    slot = slot_of(name)
    drop = ("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND slot_name = '%s';"
            " SELECT pg_drop_replication_slot('%s')" % (slot, slot))
    eventually(stand, "the slot to be dropped", lambda: stand.pg.try_sql(A, drop) is not None, every=0.001)
    new_acks(stand, A)
    eventually(stand, "a slot of that name again",
               lambda: stand.pg.sql(A, f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == "t", 60)
    all_joined(stand)
    expect(not events_of(stand, "plan.asks"), "nobody to be asked", events_of(stand, "plan.asks"))
    return verdict(stand, [A])


@case("replication-behind")
def replication_behind(scenes):
    """What a standby lacks was removed on the primary while it was away: it is built anew, and nobody need be asked."""
    stand = scenes.up()
    name = waited_for(stand)
    kill_node(stand, site_of(name))
    eventually(stand, f"{name} to leave the set", lambda: name not in (settled_set(stand) or [name]))
    for line in ("ALTER SYSTEM SET wal_keep_size = 0", "SELECT pg_reload_conf()",
                 f"SELECT pg_drop_replication_slot('{slot_of(name)}')"):
        stand.pg.sql(A, line)
    wants = stand.pg.sql(A, "SELECT pg_walfile_name(pg_current_wal_lsn())")  # this one, or one before
    copy = os.stat(stand.pg.data[site_of(name)]).st_ino

    def removed():
        stand.pg.sql(A, "SELECT pg_switch_wal()")
        stand.pg.sql(A, "CHECKPOINT")
        return stand.pg.sql(A, "SELECT min(name) FROM pg_ls_waldir()") > wants
    eventually(stand, "the log that it needs to be gone", removed, 30, 0.2)
    stand.cluster.start_guard(site_of(name))
    eventually(stand, f"{name} to be built", lambda: events_of(stand, "order.ended", member=name, order="rewound",
                                                               outcome="done"), 90)
    all_joined(stand)
    expect(os.stat(stand.pg.data[site_of(name)]).st_ino != copy, "it to be another copy")
    expect(not events_of(stand, "plan.asks"), "nobody to be asked", events_of(stand, "plan.asks"))
    return verdict(stand, [A])


@case("crash-loop")
def crash_loop(scenes):
    """async: a server that crashes is restarted in place; when it does so again soon, another takes over."""
    stand = scenes.up(options={"durability": "async"})
    kill_primary(stand)
    expect(stand.first_new_ack(20, in_place=True)[1] == A, "the server to be restarted in place")
    eventually(stand, "the plan to end", lambda: not stand.cluster.service().get("plan"))
    kill_primary(stand)
    new = moved(stand, "crash_loop")
    all_joined(stand)
    stand.writers.stop()
    expect(stand.cluster.service().get("primary") == member_of(new), "it to stay there", stand.cluster.service())
    return {"to": new}


@case("crash-loop-sync")
def crash_loop_sync(scenes):
    """sync: a server that crashes again and again in the cooldown is restarted once, waits, and is moved when that ends."""
    stand = scenes.up(cooldown="25s")
    kill_primary(stand)
    first = moved(stand, "server_failed")
    all_joined(stand)
    stand.fault_at()
    kill_all(stand.pg.processes(first))
    new_acks(stand, first)
    # Until the set is settled the promise rests on the holder too: it would be asked for its position, and win.
    eventually(stand, "the restart to end, and its set to be settled", lambda: not stand.cluster.service().get("plan") and
               stand.cluster.service()["sync_settled"])
    stand.fault_at()
    kill_all(stand.pg.processes(first))
    eventually(stand, "the cooldown to stand against a move", lambda: not stand.pg.processes(first) and
               stand.cluster.service().get("automatic_failover_blocked") == "cooldown")
    said = stand.cluster.ctl("explain", "orders")
    expect("`drcoordctl failover`, or `approve`" in said and "a flapping site" in said, "explain to name the verb that frees it", said)
    new = moved(stand, "crash_loop", old=first)
    return {**finish(stand, first, new), "epoch": stand.cluster.service()["epoch"]}
