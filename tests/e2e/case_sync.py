"""case_sync.py -- the sync set: replaced, empty, and through a second death; members built from nothing."""

import shutil
import time

import measure
from cluster import member_of
from faults import A
from net import SITES
from scene import (all_joined, case, eventually, events_of, expect, joined, kill_all, kill_node, kill_primary,
                   new_acks, verdict)

B, C = "az-b", "az-c"


def sync_members(stand, site=A):
    """The standbys that a site's server waits for."""
    return sorted(n for n, state in stand.pg.streaming(site).items() if state in ("sync", "quorum"))


def settled_set(stand):
    """The members of which an acknowledged row is sure to be with one; None while that changes."""
    service = stand.cluster.service()
    return service.get("sync", {}).get("set") if service.get("sync_settled") else None


@case("sync-replace")
def sync_replace(scenes):
    """The sync standby dies: the set becomes {c}, and a failover after that loses nothing."""
    stand = scenes.up()
    kill_node(stand, B)
    eventually(stand, "the promise to rest on pg-c alone", lambda: settled_set(stand) == ["pg-c"])
    expect(sync_members(stand) == ["pg-c"], "the primary to wait for pg-c", sync_members(stand))
    new_acks(stand, A)
    kill_primary(stand)
    new = stand.first_new_ack(20)[1]
    expect(new == C, "the only member of the set to take over", new)
    stand.cluster.start_guard(B)
    all_joined(stand)
    return verdict(stand, [A, C])


@case("sync-last-standby-dies")
def sync_last_standby_dies(scenes):
    """Both standbys die: writes wait, then go on alone (when_alone: continue), and are sync again after."""
    stand = scenes.up(alone_after="3s")
    kill_node(stand, B)
    kill_node(stand, C)
    died = measure.now()
    new_acks(stand, A, 20)
    alone = measure.now() - died
    changes = events_of(stand, "sync.changing", epoch=1)
    expect("a" not in changes[-1], "the empty set to be recorded before", changes)
    stand.cluster.start_guard(B)
    stand.cluster.start_guard(C)
    eventually(stand, "a standby to be waited for again", lambda: sync_members(stand), 60)
    all_joined(stand)
    return {**verdict(stand, [A]), "alone_after_s": round(alone, 1)}


@case("promote-then-second-death")
def promote_then_second_death(scenes):
    """The new primary dies right after its first row: who has all takes over, or it asks; nothing lost."""
    stand = scenes.up(cooldown="1s")
    kill_primary(stand)
    first = stand.first_new_ack(20)[1]
    time.sleep(0.2)
    kill_node(stand, first)

    def asked_or_moved():
        plan = stand.cluster.service().get("plan") or {}
        if plan.get("reason") == "too_few_positions":
            return "asked"
        acks = [s for s in SITES if s != first and stand.writers.read().first_ack(stand.address(s), stand.fault)]
        return "moved" if acks else None
    how = eventually(stand, "a question, or a row acknowledged elsewhere", asked_or_moved, 40)
    stand.cluster.start_guard(first)
    end = all_joined(stand)
    new_acks(stand, end)
    return {**verdict(stand, [A, first] if end == first else [A, first, end]), "how": how}


def checkpointed(stand, site):
    """Make a standby checkpoint; whether its control file is on the second timeline then."""
    stand.pg.sql(site, "CHECKPOINT")
    return stand.pg.sql(site, "SELECT timeline_id FROM pg_control_checkpoint()") == "2"


@case("furthest-wins")
def furthest_wins(scenes):
    """Two failovers in short succession: of the others the one with all rows takes over, not a rejoined one."""
    stand = scenes.up(cooldown="1s")
    kill_primary(stand)
    first = stand.first_new_ack(20)[1]
    third = B if first == C else C
    all_joined(stand)
    stand.cluster.move_leader(third)
    eventually(stand, "the promise to rest on the third alone",
               lambda: settled_set(stand) == [member_of(third)])
    stand.pg.sql(first, "CHECKPOINT")
    eventually(stand, "pg-a to know its timeline from a checkpoint", lambda: checkpointed(stand, A))
    stand.lab.network.cut([(first, A)])
    new_acks(stand, first)
    time.sleep(0.5)
    stand.fault_at()
    kill_all(stand.pg.processes(first))
    new = stand.first_new_ack(20, old=first)[1]
    expect(new == third, f"{third} to take over", new)
    stand.lab.network.heal()
    all_joined(stand)
    return verdict(stand, [A, first, third])


@case("member-from-nothing")
def member_from_nothing(scenes):
    """A standby whose data is gone is cloned while the clients write."""
    stand = scenes.up()
    kill_node(stand, C)
    eventually(stand, "the server of c to be gone", lambda: not stand.pg.processes(C))
    shutil.rmtree(stand.pg.data[C])
    stand.cluster.start_guard(C)
    eventually(stand, "pg-c to be built anew", lambda: joined(stand, C), 90)
    all_joined(stand)
    return verdict(stand, [A])
