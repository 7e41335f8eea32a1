"""case_sync.py -- the sync set: replaced, empty, and through a second death; members built from nothing."""

import shutil
import time

import measure
from faults import A
from scene import (all_joined, case, eventually, events_of, expect, joined, kill_node, kill_primary, new_acks,
                   verdict)

B, C = "az-b", "az-c"


def sync_members(stand, site=A):
    """The standbys that a site's server waits for."""
    return sorted(n for n, state in stand.pg.streaming(site).items() if state in ("sync", "quorum"))


@case("sync-replace")
def sync_replace(scenes):
    """The sync standby dies: the set becomes {c}, and a failover after that loses nothing."""
    stand = scenes.up()
    kill_node(stand, B)
    eventually(stand, "the primary to wait for pg-c", lambda: sync_members(stand) == ["pg-c"])
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
    changes = events_of(stand, "sync.changed")
    expect(len(changes) >= 2, "the empty set to be recorded", changes)
    stand.cluster.start_guard(B)
    stand.cluster.start_guard(C)
    eventually(stand, "a standby to be waited for again", lambda: sync_members(stand), 60)
    all_joined(stand)
    return {**verdict(stand, [A]), "alone_after_s": round(alone, 1)}


@case("promote-then-second-death")
def promote_then_second_death(scenes):
    """The new primary dies right after its first acknowledged row: the third takes over, nothing lost."""
    stand = scenes.up(cooldown="1s")
    kill_primary(stand)
    first = stand.first_new_ack(20)[1]
    third = B if first == C else C
    time.sleep(0.2)
    kill_node(stand, first)
    new_acks(stand, third, 60)
    stand.cluster.start_guard(first)
    all_joined(stand)
    return verdict(stand, [A, first, third])


@case("member-from-nothing")
def member_from_nothing(scenes):
    """A standby whose data is gone is cloned while the clients write."""
    stand = scenes.up()
    kill_node(stand, C)
    shutil.rmtree(stand.pg.data[C])
    stand.cluster.start_guard(C)
    eventually(stand, "pg-c to be built anew", lambda: joined(stand, C), 90)
    all_joined(stand)
    return verdict(stand, [A])
