"""case_failures.py -- a primary that fails while its own host says that it runs: the coordinators' write probes decide."""

import os
import signal
import subprocess

from cluster import member_of, site_of
from disks import fill, mount_image, mount_small, turn_read_only
from faults import A
from net import CLIENT
from scene import (all_joined, case, eventually, events_of, expect, kill_all, kill_primary, new_acks, settled_set,
                   still_writing, stop_go_on, verdict)

CONNECTIONS = 60  # max_connections of the lab's servers


def incident(stand):
    """The newest incident's reason."""
    found = [e for e in stand.cluster.events() if e.get("event") == "incident.opened"]
    return found[-1].get("reason") if found else None


def moved(stand, *kinds):
    """The primary moves off site a, for a reason of one of these names; then all is well."""
    new = stand.first_new_ack(30)[1]
    expect(incident(stand) in kinds, f"an incident of kind {' or '.join(kinds)}", incident(stand))
    return new


def finish(stand, new):
    """All members follow, nothing was lost."""
    all_joined(stand)
    return verdict(stand, [A, new])


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
    """The file system below the primary's data hangs: a standby takes over; the old one comes back with its disk."""
    stand = scenes.stand()
    folder, image = stand.lab.make_folder(f"pg-{A}", "postgres"), stand.lab.path("disk.img")
    mount_image(folder, image, "postgres")
    stand.up()
    stand.start_writers()
    stand.fault_at()
    subprocess.run(["fsfreeze", "-f", folder], check=True)
    try:
        # New sessions hang at opening their files, so it mostly looks as if the server did.
        new = moved(stand, "storage_hung", "server_hung")
    finally:
        subprocess.run(["fsfreeze", "-u", folder], check=True)
    return finish(stand, new)


@case("disk-full")
def disk_full(scenes):
    """The primary's disk is full: a standby takes over; with room again the old one rejoins."""
    stand = scenes.stand()
    folder = stand.lab.make_folder(f"pg-{A}", "postgres")
    mount_small(folder, "200m")
    subprocess.run(["chown", "postgres:postgres", folder], check=True)
    stand.up()
    stand.start_writers()
    stand.fault_at()
    filler = fill(folder)
    # What there is room for still goes on: the rest of the log's segments.  Beyond it the server panics.
    while stand.pg.try_sql(A, "SELECT pg_switch_wal()"):
        pass
    new = moved(stand, "disk_full", "server_failed")
    os.unlink(filler)
    return {**finish(stand, new), "incident": incident(stand)}


@case("replication-stopped")
def replication_stopped(scenes):
    """The standby that the primary waits for streams no more, though its agent is well: out of the set, then back."""
    stand = scenes.up()
    name = eventually(stand, "a set", lambda: settled_set(stand))[0]
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
