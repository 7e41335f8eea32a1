"""case_redis_cluster.py -- a Redis Cluster of three shards: one service each, moved by drcoord alone."""

import measure
from case_forecast import NOT_READY, told
from case_site import B, closed
from cluster import member_of
from faults import A, kill_server, site, start_site
from net import SITES
from outcome import TTL
from redis import WRITERS
from redis_cluster import FIRST_PORT, SLOTS
from scene import all_joined, case, eventually, events_of, expect, kill_primary, new_acks, still_writing, turned, verdict

C = "az-c"


def shards(scenes, **changes):
    """Three shards in one lab, all with their primaries in site a and with clients."""
    first = scenes.stand(kind="redis-cluster", durability="async")
    others = [first.beside("stock", FIRST_PORT + 1), first.beside("bills", FIRST_PORT + 2)]
    first.up(adopt=False)
    first.adopt(**changes)
    for one in (first, *others):
        one.start_writers()
    return [first, *others]


def covered(stands, sites):
    """Wait until every node that lives sees all slots covered, and each shard's owner where its primary is."""
    def all_agree():
        return all(one.pg.covered(s) == SLOTS and one.pg.owner(s) == where
                   for one, where in zip(stands, sites) for s in SITES)
    eventually(stands[0], "all nodes to agree on who has the slots", all_agree, 30)


def judged(stand, path):
    """Stop the clients; only what the old primary acknowledged under its lease may be lost, and the sites acknowledged in turn."""
    turned(stand, path)
    lost = measure.lost_acks(stand.writers, stand.final_rows())
    beyond = measure.lost_beyond(lost, stand.address(path[0]), stand.fault + TTL["metro"])
    expect(not beyond, "what is lost to have been acknowledged under the old lease", f"{len(beyond)} of {len(lost)} beyond it")
    return {"acked": len(stand.writers.acknowledged_rows()), "lost_acked": len(lost)}


@case("redis-cluster-shard-kill")
def redis_cluster_shard_kill(scenes):
    """One shard's primary is killed: the masters that are left elect its standby, and the other shards stay where they are."""
    stands = shards(scenes)
    first = stands[0]
    still_writing(first, 5, 1)  # an agent that is new takes no promotion for the longest lease that there may be
    kill_primary(first)
    at, new = first.first_new_ack(20)
    expect(new in (B, C), "a standby to be the primary", new)
    expect(all_joined(first) == new, "all to follow it")
    covered(stands, [new, A, A])
    for one in stands[1:]:
        new_acks(one, A)
        expect(one.cluster.service().get("epoch") == 1, "no other epoch of the others", one.cluster.service())
    return {**verdict(first, [A, new]), "downtime_s": round(at - first.fault, 3),
            "others": [verdict(one, [A]) for one in stands[1:]]}


@case("redis-cluster-switchover")
def redis_cluster_switchover(scenes):
    """A shard is switched over and back, and then the whole site is evacuated: no row is lost."""
    stands = shards(scenes, cooldown="1s")
    first, gaps = stands[0], []
    for to in (B, A):
        began = measure.now()
        first.cluster.insist("the switchover to be accepted", "switchover", first.cluster.name, "--to", member_of(to),
                             "--reason", "e2e")
        new_acks(first, to)
        expect(all_joined(first) == to, f"all to follow {to}")
        gaps.append(round(measure.largest_gap(first.writers.read().acks((1, 2, 3)), began, measure.now()), 3))
    first.cluster.ctl("switchover", "--site", A, "--reason", "evacuate", person="operator")
    end = closed(first, "switchover", 90)
    expect((end["outcome"], end.get("a")) == ("done", 3), "all three to be moved", end)
    to = [all_joined(one) for one in stands]
    expect(A not in to, "no primary in the site", to)
    covered(stands, to)
    return {"gap_s": gaps, "shards": [verdict(one, [A, B, A, where] if one is first else [A, where])
                                      for one, where in zip(stands, to)]}


@case("redis-cluster-site")
def redis_cluster_site(scenes):
    """The site with all masters is lost: each shard is taken over by policy; it comes back, rejoins, and gets its share again."""
    stands = shards(scenes, takeover=True, cooldown="1s")
    first = stands[0]
    first.cluster.move_leader(A)
    site(first)
    for one in stands[1:]:
        one.fault = first.fault
    acks = [one.first_new_ack(30) for one in stands]
    down = [round(at - first.fault, 3) for at, _ in acks]
    to = [where for _, where in acks]
    closed(first, "failover")
    start_site(first)
    for one, where in zip(stands, to):
        expect(all_joined(one) == where, f"all to follow {where}")
    covered(stands, to)

    def accepted():
        return first.cluster.try_ctl("failback", "--site", A, "--reason", "it is back", person="operator")[0]
    eventually(first, "the failback to be accepted", accepted, 30)
    end = closed(first, "failback", 120)
    expect(end["outcome"] == "done" and end["a"] == 3, "all three to be back", end)
    covered(stands, [A, A, A])
    return {"down_s": down, "shards": [judged(one, [A, where, A]) for one, where in zip(stands, to)]}


@case("redis-cluster-no-takeover")
def redis_cluster_no_takeover(scenes):
    """The same without the policy: nobody is promoted and the reason named, until the spec allows it and a person says go on."""
    stands = shards(scenes)
    first = stands[0]
    site(first)
    for one in stands[1:]:
        one.fault = first.fault

    def told():
        return [e for e in events_of(first, "order.ended", outcome="refused") + events_of(first, "order.ended", outcome="failed")
                if "takeover: true" in e.get("text", "")]
    eventually(first, "the refusal to be named", told, 30)
    eventually(first, "the plans to wait for a person", lambda: len(events_of(first, "plan.asks")) >= len(stands), 40)
    expect(not any(one.pg.role(s) == "primary" for one in stands for s in (B, C)), "nobody to take writes")
    for one in stands:
        one.cluster.changes["takeover"] = True
    first.cluster.insist("the spec to be accepted", "apply", "-f", first.cluster.spec_file(), "--reason", "take over")
    for one in stands:
        plan = one.cluster.service()["plan"]
        one.cluster.ctl("approve", str(plan["id"] if isinstance(plan, dict) else plan), "--reason", "take over", person="approver")
    to = [one.first_new_ack(30)[1] for one in stands]
    return {"refused": len(told()), "shards": [judged(one, [A, where]) for one, where in zip(stands, to)]}


@case("redis-cluster-ready")
def redis_cluster_ready(scenes):
    """ready says no while most masters stand in one site, yes once each site has its share, and names slots without an owner."""
    stands = shards(scenes, cooldown="1s")
    first, stock, bills = stands

    def noted(one):
        answer = told(first, "ready", "--service", one.cluster.name)[0]
        return {n["reason"]: n["blocks"] for n in answer["services"][0].get("notes", [])}
    eventually(first, "the shards that stand together to be named", lambda: noted(stock).get("shards_together"), 20)
    answer, code = told(first, "ready", "--site", A)
    expect((answer["ready"], code) == ("no", NOT_READY), "the site not to be ready", answer)
    for one, to in ((first, B), (stock, C)):
        one.cluster.insist("the switchover to be accepted", "switchover", one.cluster.name, "--to", member_of(to),
                           "--reason", "e2e")
        expect(all_joined(one) == to, f"all to follow {to}")
    eventually(first, "all to be ready", lambda: told(first, "ready")[0]["ready"] == "yes", 30)
    bills.cluster.ctl("pause", "bills", "--reason", "e2e")
    kill_server(bills)
    eventually(first, "the slots without an owner to be named", lambda: "slots_missing" in noted(first), 20)
    bills.cluster.ctl("resume", "bills", "--reason", "e2e")
    new = bills.first_new_ack(30)[1]
    eventually(first, "all slots to have an owner", lambda: "slots_missing" not in noted(first), 20)
    return {"shards": [verdict(first, [A, B]), verdict(stock, [A, C]), verdict(bills, [A, new])]}


@case("redis-cluster-by-hand")
def redis_cluster_by_hand(scenes):
    """Somebody promotes a standby with redis-cli: it takes no writes, and drcoord alone says who does; lost is at most what a client
    was told in the moment in which the cluster demoted the old primary."""
    stands = shards(scenes)
    first = stands[0]
    first.fault_at()
    first.pg.ask(B, "CLUSTER", "FAILOVER", "TAKEOVER")
    eventually(first, "the node to be a master by its own word", lambda: first.pg.info(B).get("role") == "master")
    expect(first.pg.role(B) == "standby", "it to take no writes", first.pg.role(B))
    where = eventually(first, "rows to be acknowledged again", lambda: next(
        (s for s in SITES if first.writers.read().first_ack(first.address(s), first.fault + 1)), None), 40)
    expect(all_joined(first) == where, f"all to follow {where}")
    covered(stands, [where, A, A])
    result = judged(first, [A] if where == A else [A, where])
    expect(result["lost_acked"] <= len(WRITERS), "at most one row of each client to be lost", result)
    return {"primary": where, **result}
