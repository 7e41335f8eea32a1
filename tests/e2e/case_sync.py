"""case_sync.py -- the sync set: replaced, empty, and through a second death; members built from nothing."""

import os
import shutil
import time

import measure
from cluster import letter, member_of
from disks import wipe
from faults import A
from net import SITES, host_name
from scene import (all_joined, case, eventually, events_of, expect, joined, kill_all, kill_node, kill_primary,
                   new_acks, settled_set, stop_go_on, timeline_in_control_file, verdict)

B, C = "az-b", "az-c"


def sync_members(stand, site=A):
    """The standbys that a site's server waits for."""
    return sorted(n for n, state in stand.pg.streaming(site).items() if state in ("sync", "quorum"))


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


UNDO = {"postgres": ("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()"),
        "mariadb": ("SET GLOBAL rpl_semi_sync_master_timeout = 1000",),
        "mysql": ("SET GLOBAL rpl_semi_sync_source_enabled = 0",)}


def undone(scenes, kind):
    """Somebody lets the primary wait for nobody: it is said, told again, and settled; a failover after that loses nothing."""
    stand = scenes.up(options={"kind": kind})
    eventually(stand, "the promise to rest on one standby", lambda: len(settled_set(stand) or []) == 1)
    for statement in UNDO[kind]:
        stand.pg.sql(A, statement)
    event = eventually(stand, "that to be told", lambda: events_of(stand, "sync.undone"), 20)[0]
    expect(event.get("reason") == "sync_undone", "the reason", event)
    eventually(stand, "the promise to rest on a standby again", lambda: len(settled_set(stand) or []) == 1, 20)
    expect(len(events_of(stand, "sync.undone")) == 1, "to be told once", events_of(stand, "sync.undone"))
    new_acks(stand, A)
    kill_primary(stand)
    new = stand.first_new_ack(20)[1]
    all_joined(stand)
    return verdict(stand, [A, new], undone=1)


@case("sync-undone")
def sync_undone(scenes):
    """Somebody resets synchronous_standby_names on the primary: it is said and set again, and a failover loses nothing."""
    return undone(scenes, "postgres")


@case("mariadb-sync-undone")
def mariadb_sync_undone(scenes):
    """The same of MariaDB, whose semi-synchronous replication somebody gives a timeout."""
    return undone(scenes, "mariadb")


@case("mysql-sync-undone")
def mysql_sync_undone(scenes):
    """The same of MySQL, whose semi-synchronous replication somebody turns off."""
    return undone(scenes, "mysql")


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
        log = stand.writers.read()
        acks = [log.first_ack(stand.address(s), stand.fault) for s in SITES if s != first]
        return "moved" if any(acks) else None
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
    """A second failover soon after the first: who has all rows takes over, not one that rejoined and lags."""
    stand = scenes.up(cooldown="1s")
    kill_primary(stand)
    first = stand.first_new_ack(20)[1]
    third = B if first == C else C
    all_joined(stand)
    stand.cluster.move_leader(third)
    eventually(stand, "the promise to rest on the third alone",
               lambda: settled_set(stand) == [member_of(third)])
    timeline_in_control_file(stand, first)
    eventually(stand, "pg-a to know its timeline", lambda: checkpointed(stand, A))
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
    shutil.rmtree(stand.pg.data[C])
    stand.cluster.start_guard(C)
    eventually(stand, "pg-c to be built anew", lambda: joined(stand, C), 90)
    all_joined(stand)
    return verdict(stand, [A])


@case("host-replaced")
def host_replaced(scenes):
    """A standby's host is replaced by an empty one, which has neither data nor its agent's journal: it is cloned."""
    stand = scenes.up()
    kill_node(stand, C)
    shutil.rmtree(stand.pg.data[C])
    wipe(stand.lab.path(f"agent-{C}"))
    stand.cluster.start_guard(C)
    eventually(stand, "pg-c to be built anew", lambda: joined(stand, C), 90)
    all_joined(stand)
    return verdict(stand, [A])


@case("standby-comes-late")
def standby_comes_late(scenes):
    """A host down during the adopt, and another during a change of epoch, count once they are back."""
    stand = scenes.stand()
    stand.up(adopt=False)
    eventually(stand, "agent-c to run", lambda: {"agent-c", "guard-c"} <= stand.cluster.pids().keys())
    kill_node(stand, C)
    stand.adopt(sync={"k": 1, "set_max": 2}, cooldown="1s")
    stand.start_writers()
    expect(settled_set(stand) == ["pg-b"], "pg-b alone at first", settled_set(stand))
    stand.cluster.start_guard(C)
    both = ["pg-b", "pg-c"]
    eventually(stand, "pg-c to count", lambda: settled_set(stand) == both, 60)
    kill_node(stand, B)
    kill_primary(stand)  # with one position of two known: the old server has to come back
    end = stand.first_new_ack(30, in_place=True)[1]
    stand.cluster.start_guard(B)
    others = [member_of(site) for site in SITES if site != end]
    eventually(stand, "both others to count", lambda: settled_set(stand) == others, 60)
    all_joined(stand)
    return verdict(stand, [A] if end == A else [A, end])


@case("standby-not-taken-over")
def standby_not_taken_over(scenes):
    """A standby whose agent had not heard of the adopt: the failover that needs it asks, and takes it over."""
    stand = scenes.stand()
    stand.up(adopt=False)
    agent = [f"guard-{letter(B)}", f"agent-{letter(B)}"]
    eventually(stand, "agent-b to run", lambda: set(agent) <= stand.cluster.pids().keys())
    members = stand.cluster.service_block()["members"]
    members[2]["priority"] = 0  # pg-c has what is acknowledged, and is never promoted
    spec = stand.cluster.spec_file(members=members)
    stop_go_on(stand, agent, go_on=False)
    stand.cluster.insist("the spec to be accepted", "apply", "-f", spec, "--reason", "test")
    stand.cluster.start_watch()
    stand.cluster.insist("the service to be taken over", "service", "adopt", "orders", "--reason", "test")
    eventually(stand, "pg-c to count", lambda: settled_set(stand) == ["pg-c"], 60)
    stand.start_writers()
    kill_node(stand, A)
    stop_go_on(stand, agent, go_on=True)
    # The log never saw it follow, and the old primary was never told to ask it: both are a person's to answer for.
    plan = eventually(stand, "the plan to ask", lambda: asking(stand))
    stand.cluster.ctl("approve", str(plan), "--accept-loss", "--assert-fenced", "--reason", "its host is off")
    new = stand.first_new_ack(30)[1]
    expect(new == B, "pg-b to be promoted", new)
    stand.cluster.start_guard(A)
    all_joined(stand)
    return verdict(stand, [A, new])


def asking(stand):
    """The number of the open plan that asks; None."""
    plan = stand.cluster.service().get("plan") or {}
    return plan["id"] if plan.get("state") == "asking" else None


def put_other_volume(stand, site):
    """Another service's data in place of a site's, and further on in its log than ours."""
    pg, old = stand.pg, stand.pg.data[site] + ".ours"
    os.rename(pg.data[site], old)
    for argv in (["initdb", "-A", "trust", "-N", "-U", "postgres", "--locale=C.UTF-8", "-E", "UTF8", "-D"],
                 ["pg_resetwal", "-l", "000000050000000A00000001", "-D"]):
        stand.lab.run(host_name(site, "db"), [f"{pg.bin}/{argv[0]}", *argv[1:], pg.data[site]], user="postgres")
    for name in ("postgresql.conf", "pg_hba.conf"):
        shutil.copy2(f"{old}/{name}", f"{pg.data[site]}/{name}")


def put_own_volume_back(stand, site):
    """A person mends it."""
    shutil.rmtree(stand.pg.data[site])
    os.rename(stand.pg.data[site] + ".ours", stand.pg.data[site])


def asking_rejoin(stand):
    """The number of the rejoin that asks; None."""
    asks = [p for p in stand.cluster.service().get("rejoins", []) if p["state"] == "asking"]
    expect(not asks or "another system identifier" in asks[0]["failed_because"], "the server's own word", asks)
    return asks[0]["id"] if asks else None


@case("other-volume")
def other_volume(scenes):
    """The primary's host comes back with another service's volume before anybody can choose: it is not promoted."""
    stand = scenes.up()
    coordinators = [f"c-{letter(site)}" for site in SITES]
    stop_go_on(stand, coordinators, go_on=False)
    kill_node(stand, A)
    put_other_volume(stand, A)
    stand.cluster.start_guard(A)
    eventually(stand, "agent-a to run", lambda: "agent-a" in stand.cluster.pids())
    stop_go_on(stand, coordinators, go_on=True)
    new = stand.first_new_ack(40)[1]
    expect(new != A, "a standby with the service's data to be promoted", new)
    rejoin = eventually(stand, "the rejoin of pg-a to ask", lambda: asking_rejoin(stand), 60)
    kill_node(stand, A)
    put_own_volume_back(stand, A)
    stand.cluster.start_guard(A)
    stand.cluster.ctl("approve", str(rejoin), "--reason", "its volume is back", person="approver")
    all_joined(stand)
    return verdict(stand, [A, new])
