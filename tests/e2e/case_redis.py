"""case_redis.py -- what only Redis can show: its place is lost with a restart, and an empty one would empty the others."""

import os
import signal

from cluster import SERVICE, member_of
from faults import A
from redis import USER
from scene import all_joined, case, eventually, events_of, expect, kill_all, new_acks, verdict

B, C = "az-b", "az-c"
REDIS = {"kind": "redis", "durability": "async"}


@case("redis-switchover-undone")
def redis_switchover_undone(scenes):
    """The standby to be promoted hangs: the primary, stopped by then, comes back, and nothing that it took is lost."""
    stand = scenes.up(options=REDIS)
    hung = stand.pg.postmaster(B)
    os.kill(hung, signal.SIGSTOP)
    stand.cluster.insist("the switchover to be accepted", "switchover", SERVICE, "--to", member_of(B), "--reason", "e2e")
    eventually(stand, "the switchover to be undone",
               lambda: [e for e in events_of(stand, "plan.opened") if "undo" in str(e)], 30)
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
