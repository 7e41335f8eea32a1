"""case_site.py -- whole sites: given up when lost, evacuated as planned, and brought back; three services in one lab."""

import json

import measure
from case_forecast import NOT_READY, told
from case_services import whole
from cluster import member_of
from faults import A, site, start_site
from lab import CommandError
from scene import case, eventually, events_of, expect, new_acks, verdict

B = "az-b"


def three_services(scenes, last=None, **changes):
    """Two services of the first group and one of the second, all with their primaries in site a and with clients."""
    orders = scenes.stand()
    stock = orders.beside()
    bills = orders.beside("bills", 5434)
    bills.cluster.changes = {"group": 2, **(last or {})}
    orders.up(adopt=False)
    orders.adopt(**changes)
    all_three = (orders, stock, bills)
    for one in all_three:
        one.start_writers()
    return all_three


def site_plans(stand):
    """The site plans that status shows."""
    return (stand.cluster.status() or {}).get("site_plans", [])


def closed(stand, kind, seconds=60):
    """Wait for the end of a site plan of a kind; its last event."""
    def over():
        plans = site_plans(stand)
        ended = events_of(stand, "site.plan.closed", plan_kind=kind)
        newest = max((p["id"] for p in plans if p["kind"] == kind), default=0)
        shown = ended and ended[-1]["plan"] >= newest  # watch may show it a moment later than status
        return ended if plans and all(p["state"] == "closed" for p in plans) and shown else None
    return eventually(stand, f"the site {kind} to end", over, seconds)[-1]


def refused(stand, word, *words):
    """The error of a verb that must be refused with this word."""
    try:
        out = stand.cluster.ctl("-o", "json", *words, "--reason", "e2e", person="operator")
    except CommandError as e:
        error = json.loads(e.out)["error"]
        expect(error.get("word") == word, f"{word} from {' '.join(words)}", error)
        return error
    expect(False, f"{' '.join(words)} to be refused", out)
    return None


def turns_kept(stand, kind):
    """The second group began when both of the first were over."""
    opened = {e["service"]: e["index"] for e in events_of(stand, "plan.opened", plan_kind=kind)}
    over = {e["service"]: e["index"] for e in events_of(stand, "plan.closed", plan_kind=kind, outcome="done")}
    expect(opened["bills"] > max(over["orders"], over["stock"]), "bills to wait for the others", opened, over)
    between = min(over["orders"], over["stock"])
    expect(max(opened["orders"], opened["stock"]) < between, "orders and stock to move side by side", opened, over)


def judged(stands, paths):
    """Stop the clients of all; what each lost, and that it went this way."""
    return {one.cluster.name: verdict(one, path) for one, path in zip(stands, paths)}


@case("site-failover")
def site_failover(scenes):
    """A site is lost, the leader with it: one site plan moves its three services, group after group; nothing is lost."""
    stands = three_services(scenes)
    orders = stands[0]
    orders.cluster.move_leader(A)
    refused(orders, "site_healthy", "failover", "--site", A)
    site(orders)
    for one in stands[1:]:
        one.fault = orders.fault
    acks = [one.first_new_ack(40) for one in stands]
    last = max(at for at, _ in acks) - orders.fault
    end = closed(orders, "failover")
    expect(end["outcome"] == "done" and end["a"] == 3, "all three to have moved", end)
    plans = events_of(orders, "site.plan.opened")
    expect([(p["site"], p["reason"], p["a"]) for p in plans] == [(A, "site_lost", 3)], "one site plan", plans)
    turns_kept(orders, "failover")
    start_site(orders)
    whole(stands, [s for _, s in acks])
    shown = orders.cluster.ctl("status", "orders")
    expect("asks" not in shown, "nothing to be asked", shown)
    return {**judged(stands, [[A, s] for _, s in acks]), "until_last_s": round(last, 3)}


@case("site-switchover")
def site_switchover(scenes):
    """A site is evacuated: refused while one service could not move, naming it; then all but that one go, without loss."""
    members = None
    stands = three_services(scenes)
    orders, stock, bills = stands
    members = bills.cluster.service_block()["members"]
    for member in members[1:]:
        member["priority"] = 0
    bills.cluster.changes["members"] = members
    orders.cluster.ctl("apply", "-f", orders.cluster.spec_file(), "--reason", "bills stays")
    error = refused(orders, "no_candidate", "switchover", "--site", A)
    expect(error["message"].startswith("bills: "), "the service to be named", error)
    expect(not events_of(orders, "site.plan.opened"), "nothing to be begun", events_of(orders, "site.plan.opened"))
    began = measure.now()
    orders.cluster.ctl("switchover", "--site", A, "--force", "--reason", "evacuate", person="operator")
    end = closed(orders, "switchover")
    expect((end["outcome"], end.get("a"), end.get("b")) == ("failed", 2, 1), "two moved and one left", end)
    expect(end["text"] == "left: bills (no_candidate)", "the end to name who is left", end)
    shown = orders.cluster.ctl("status")
    expect("bills: left by site switchover" in shown and "2 of 3 moved, 1 left" in shown, "status to say so", shown)
    moved = [one.cluster.service()["primary"] for one in stands]
    expect(moved[2] == member_of(A) and A not in moved[:2], "bills to be where it was", moved)
    to = [f"az-{name[-1]}" for name in moved]
    for one, where in zip(stands, to):
        new_acks(one, where)
    gap = max(measure.largest_gap(one.writers.read().acks((1, 2, 3)), began, measure.now()) for one in stands)
    whole(stands, to)
    return {**judged(stands, [[A, to[0]], [A, to[1]], [A]]), "gap_s": round(gap, 3)}


@case("site-failback")
def site_failback(scenes):
    """A lost site comes back: what was moved away goes home when its members have caught up; before, it is refused, or waits."""
    stands = three_services(scenes, cooldown="1s")
    orders = stands[0]
    orders.cluster.move_leader(B)
    refused(orders, "nothing_to_bring_back", "failback", "--site", A)
    site(orders)
    for one in stands[1:]:
        one.fault = orders.fault
    new = [one.first_new_ack(40)[1] for one in stands]
    closed(orders, "failover")
    before, code = told(orders, "simulate", "failback", "--site", A)
    reasons = [one["verb_now"]["reason"] for one in before["services"]]
    expect((reasons, code) == (["not_reachable"] * 3, NOT_READY), "simulate to say the same of all three", before)
    error = refused(orders, "not_reachable", "failback", "--site", A)
    expect(error["message"].split(":")[0] in ("orders", "stock", "bills"), "a service to be named", error)
    orders.cluster.ctl("failback", "--site", A, "--for", "3m", "--reason", "it comes back soon", person="operator")
    eventually(orders, "status to show the wait", lambda: "waits for members" in orders.cluster.ctl("status"), 10)
    start_site(orders)
    end = closed(orders, "failback", 120)
    expect(end["outcome"] == "done" and end["a"] == 3, "all three to be back", end)
    compared = events_of(orders, "site.plan.compared")
    expect(sorted(e["service"] for e in compared) == ["bills", "orders", "stock"], "what differed to be recorded", compared)
    whole(stands, [A, A, A])
    return judged(stands, [[A, where, A] for where in new])
