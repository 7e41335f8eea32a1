"""case_redis.py -- what only Redis can show: its place is lost with a restart, and an empty one would empty the others."""

import glob
import os
import signal

import measure
from case_input import ready_notes
from cluster import SERVICE, member_of
from faults import A
from redis import USER
from scene import all_joined, case, eventually, events_of, expect, kill_all, kill_primary, new_acks, verdict

B, C = "az-b", "az-c"
REDIS = {"kind": "redis", "durability": "async"}


@case("redis-switchover-undone")
def redis_switchover_undone(scenes):
    """The standby to be promoted hangs: the primary, stopped by then, comes back, and nothing that it took is lost."""
    stand = scenes.up(options=REDIS)
    hung = stand.pg.postmaster(B)

    def undone():
        return [e for e in events_of(stand, "plan.opened") if "undo" in str(e)]

    def refused():
        return events_of(stand, "plan.closed", plan_kind="switchover", reason="no_candidate")

    for tries in range(5):
        os.kill(hung, signal.SIGSTOP)
        stand.cluster.insist("the switchover to be accepted", "switchover", SERVICE, "--to", member_of(B), "--reason", "e2e")
        eventually(stand, "the switchover to be undone, or to choose nobody", lambda: undone() or len(refused()) > tries, 30)
        if undone():
            break
        os.kill(hung, signal.SIGCONT)  # it was seen to hang before it could be chosen
        all_joined(stand)
    expect(undone(), "a switchover to be undone")
    new_acks(stand, A, 40)
    os.kill(hung, signal.SIGCONT)
    expect(all_joined(stand) == A, "the old primary to be back")
    return verdict(stand, [A])


@case("redis-starts-empty")
def redis_starts_empty(scenes):
    """The primary dies and its data is gone: it comes up as nobody's primary, empties nobody, and fetches everything."""
    stand = scenes.up(options=REDIS)
    before = stand.pg.rows(C)
    stand.fault_at()
    kill_all(stand.pg.processes(A))
    os.rename(stand.pg.data[A], stand.pg.data[A] + ".gone")
    stand.lab.make_folder(os.path.relpath(stand.pg.data[A], stand.lab.folder), USER)
    new = stand.first_new_ack(30)[1]
    expect(new in (B, C), "a standby to be the primary", new)
    expect(all_joined(stand) == new, "all to follow it")
    expect(before <= stand.pg.rows(A), "it has fetched what it had lost")
    return verdict(stand, [A, new])


@case("redis-place-lost")
def redis_place_lost(scenes):
    """A standby restarts just before a failover and has lost its place: what it has is saved before it follows the new primary."""
    stand = scenes.up(options=REDIS)
    kill_all(stand.pg.processes(C))
    eventually(stand, "its server to be back", lambda: stand.pg.role(C) == "standby", 10, 0.02)
    kill_primary(stand)
    new = stand.first_new_ack(30)[1]
    expect(new == B, "the standby that knows its place to be the primary", new)
    expect(all_joined(stand) == B, "all to follow it")
    saved = glob.glob(f"{stand.pg.folder[C]}/salvage/*")
    expect(len(saved) == 1 and os.listdir(saved[0]), "what it had to be saved", saved)
    return verdict(stand, [A, B])


@case("redis-keeps-less")
def redis_keeps_less(scenes):
    """Somebody turns the append-only file off: ready names it with the remedy, and says no more of it once it is mended."""
    stand = scenes.up(options=REDIS)

    def told():
        return [n["detail"] for n in ready_notes(stand) if n.get("reason") == "caution"]
    stand.pg.ask(A, "CONFIG", "SET", "appendonly", "no")
    said = eventually(stand, "ready to name it", told, 30, 0.5)
    expect("keeps nothing on disk: set appendonly yes" in said[0], "the remedy", said)
    stand.pg.ask(A, "CONFIG", "SET", "appendonly", "yes")
    eventually(stand, "ready to say no more of it", lambda: not told(), 30, 0.5)
    return {"said": said[0]}


def cut_off_writes(scenes, durability):
    """A primary in site a is cut off, with a client beside it, under the profile default: how long it goes on, in seconds."""
    stand = scenes.up(options={**REDIS, "durability": durability, "profile": "default"})
    wanted = "1" if durability == "bounded" else "0"
    eventually(stand, f"min-replicas-to-write to be {wanted}",
               lambda: stand.pg.ask(A, "CONFIG", "GET", "min-replicas-to-write").split()[1] == wanted, 30)
    new_acks(stand, A)
    stand.fault_at()
    stand.lab.network.isolate(A)
    at, new = stand.first_new_ack(40)
    stand.lab.network.heal()
    expect(all_joined(stand) == new, "all to follow the new primary")
    stand.writers.stop()
    acks = [a for a in stand.writers.read().acks() if a.server == stand.address(A)]
    expect(acks[-1].done < at, "nothing acknowledged by the old primary once there is a new one")
    lost, by_writer = measure.lost_rows(stand.writers, stand.final_rows())
    expect(lost <= sum(a.done >= stand.fault - 0.05 for a in acks), "nothing lost but what it took when it was cut off", by_writer)
    return {"wrote_on_s": round(acks[-1].done - stand.fault, 2), "outage_s": round(at - stand.fault, 2), "lost_acked": lost}


@case("redis-sync-partition")
def redis_sync_partition(scenes):
    """A primary that is cut off takes writes for one to three seconds, bounded, and under async for as long as its lease lasts."""
    bounded, lease = cut_off_writes(scenes, "bounded"), cut_off_writes(scenes, "async")
    expect(bounded["wrote_on_s"] <= 3.2, "its writes to end before its lease does", bounded)
    return {"bounded": bounded, "async": lease}
