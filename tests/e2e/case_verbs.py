"""case_verbs.py -- what people order: done, refused with the rule and the way round it, or denied."""

import json
import re
import signal
import time

import measure
from cluster import SERVICE, letter, member_of
from faults import A, kill_server
from lab import CommandError
from net import SITES, host_name
from scene import (all_joined, case, eventually, events_of, expect, is_marked, kill_all, kill_node,
                   kill_primary, new_acks, settled_set, still_writing, verdict)

B, C = "az-b", "az-c"
DENIED, NOT_FOUND, REFUSED, INVALID, USAGE, UNREACHABLE = 5, 8, 4, 3, 2, 6


def tell(stand, *words, person="operator"):
    """Order something with a reason."""
    return stand.cluster.ctl(*words, "--reason", "e2e", person=person)


def no(stand, code, word, *words, person="operator", reason=("--reason", "e2e")):
    """Order something that must end in an exit code and, where one is named, a reason's word; the error."""
    try:
        out = stand.cluster.ctl("-o", "json", *words, *reason, person=person)
    except CommandError as e:
        error = json.loads(e.out)["error"] if e.out.startswith("{") else {"message": e.said}
        expect(e.code == code and error.get("word") == word, f"exit {code}, {word} from {' '.join(words)}",
               f"got exit {e.code}", error)
        return error
    expect(False, f"{' '.join(words)} to be refused", out)
    return None


def overridable(error, *parts):
    """The refusal says which verb would go on nevertheless."""
    for part in parts:
        expect(part in error.get("override", ""), f"\"{part}\" as the way round", error)


def number_in(error, pattern):
    """The number that a refusal's message names; -1 when it names none."""
    found = re.search(pattern, error["message"])
    return int(found[1]) if found else -1


def plan(stand):
    """The plan that is open for the service; empty without one."""
    return stand.cluster.service().get("plan") or {}


def plan_at(stand, step, state="running", kind=None):
    """Wait until a plan is at a step; its number."""
    def there():
        p = plan(stand)
        return p if (p.get("step"), p.get("state")) == (step, state) and kind in (None, p["kind"]) else None
    return str(eventually(stand, f"a plan {state} at {step}", there, 30, 0.02)["id"])


def asked(stand, reason):
    """Wait until a plan asks for a reason; its number."""
    return str(eventually(stand, f"a plan that asks: {reason}",
                          lambda: plan(stand).get("reason") == reason and plan(stand), 40)["id"])


def recorded(stand, kind, actor="operator", **fields):
    """Expect an event with this actor and our reason; the newest of them."""
    found = eventually(stand, f"the event {kind} by {actor}",
                       lambda: events_of(stand, kind, actor=actor, text="e2e", **fields), 10)
    return found[-1]


def quiet_for(stand, seconds):
    """For some time no plan is opened and no server takes writes."""
    end = measure.now() + seconds
    while measure.now() < end:
        expect(not plan(stand), "no plan", plan(stand))
        expect(not stand.primary_sites(), "no server that takes writes", stand.primary_sites())
        time.sleep(0.1)


@case("verbs-denied")
def verbs_denied(scenes):
    """No verb that changes anything is done for a viewer, nor an approver's or an admin's for who is less."""
    stand = scenes.up()
    spec = stand.cluster.spec_file(cooldown="31s")
    operators = [["failover", SERVICE], ["switchover", SERVICE], ["abort", "1"], ["pause", SERVICE],
                 ["resume", SERVICE], ["fence", SERVICE], ["unfence", SERVICE], ["service", "adopt", SERVICE],
                 ["service", "observe", SERVICE], ["node", "transfer", "c-b"]]
    approvers = [["approve", "1"], ["failover", SERVICE, "--force", "--accept-loss"],
                 ["failover", SERVICE, "--force", "--assert-fenced"]]
    admins = [["node", "remove", "c-c"], ["node", "add", "c-d", "10.1.0.10:7401", "--site", A, "--id", "7"],
              ["apply", "-f", spec]]
    for verbs, role, lower in ((operators, "operator", ["viewer"]),
                               (approvers, "approver", ["viewer", "operator"]),
                               (admins, "admin", ["viewer", "operator", "approver"])):
        for person in lower:
            for words in verbs:
                error = no(stand, DENIED, None, *words, person=person)
                told = error["message"]
                expect(role in told and person in told, "both roles to be named", error)
    service = stand.cluster.service()
    same = service["epoch"] == 1 and not service["paused"] and not plan(stand)
    expect(same, "nothing to have changed", service)
    return verdict(stand, [A])


@case("verbs-refused")
def verbs_refused(scenes):
    """What a rule forbids is refused with the rule, its values, the way round it, and an exit code."""
    stand = scenes.stand()
    stand.up(adopt=False)
    members = stand.cluster.service_block()["members"]
    members[2]["priority"] = 0
    stand.adopt(members=members)
    stand.start_writers()
    healthy = no(stand, REFUSED, "primary_healthy", "failover", SERVICE)
    overridable(healthy, "switchover", "failover --force", "connections break")
    expect(0 <= number_in(healthy, r"heard (\d+) ms ago") <= 3000, "when it was heard", healthy)
    overridable(no(stand, REFUSED, "not_promotable", "switchover", SERVICE, "--to", "pg-c"), "priority")
    overridable(no(stand, REFUSED, "is_primary", "switchover", SERVICE, "--to", "pg-a"), "failover --to", "new epoch")
    no(stand, REFUSED, "not_fenced", "unfence", SERVICE)
    no(stand, REFUSED, "already_managed", "service", "adopt", SERVICE)
    no(stand, NOT_FOUND, "no_such_member", "switchover", SERVICE, "--to", "pg-x")
    no(stand, NOT_FOUND, "no_such_service", "fence", "nothing")
    no(stand, NOT_FOUND, "no_such_plan", "abort", "999")
    no(stand, NOT_FOUND, "no_such_plan", "approve", "999", person="approver")
    no(stand, INVALID, None, "fence", SERVICE, reason=())
    no(stand, USAGE, None, "fence")
    no(stand, USAGE, None, "pause", SERVICE, "--for", "soon")
    no(stand, UNREACHABLE, None, "--endpoints", "10.1.0.10:1", "--timeout", "1s", "status", reason=())
    tell(stand, "pause", SERVICE)
    paused = no(stand, REFUSED, "paused", "switchover", SERVICE)
    overridable(paused, "resume", "--force")
    expect(3500000 < number_in(paused, r"another (\d+) ms") <= 3600000, "how long the pause lasts", paused)
    tell(stand, "resume", SERVICE)
    kill_node(stand, B)
    eventually(stand, "pg-b to be lost", lambda: state_of(stand, B) == "lost")
    silent = no(stand, REFUSED, "not_reachable", "switchover", SERVICE, "--to", "pg-b")
    overridable(silent, "failover --to MEMBER --force", "another one is promoted")
    expect(number_in(silent, r"last (\d+) ms ago") >= 500, "since when it is not heard", silent)
    none = no(stand, REFUSED, "no_candidate", "switchover", SERVICE)
    expect("none of 2 other member(s)" in none["message"] and "1 of them" in none["message"], "the counts", none)
    overridable(none, "failover --force", "nobody takes writes")
    stand.cluster.start_guard(B)
    all_joined(stand)
    expect(stand.cluster.service()["epoch"] == 1, "nothing to have moved", stand.cluster.service())
    return verdict(stand, [A])


def state_of(stand, site):
    """The verdict on a member."""
    members = stand.cluster.service().get("members", [])
    return next((m["state"] for m in members if m["name"] == member_of(site)), None)


@case("approve-vouched")
def approve_vouched(scenes):
    """auto_failover: false asks; an approver vouches that the dead primary is fenced, and is on record."""
    stand = scenes.up(auto_failover=False)
    kill_node(stand, A)
    number = asked(stand, "not_asked")
    no(stand, DENIED, None, "approve", number, "--assert-fenced")
    expect(not stand.primary_sites(), "nothing to be done before it is approved", stand.primary_sites())
    tell(stand, "approve", number, "--assert-fenced", person="approver")
    new = stand.first_new_ack(20)[1]
    recorded(stand, "plan.approved", "approver", plan=int(number))
    recorded(stand, "operator.vouched", "approver", plan=int(number))
    proofs = [(e["proof"], e.get("actor")) for e in events_of(stand, "fence.proved", plan=int(number))]
    expect(proofs == [("operator-asserted", "approver")], "the proof to name who vouched", proofs)
    stand.cluster.start_guard(A)
    all_joined(stand)
    return verdict(stand, [A, new])


@case("approve-loss")
def approve_loss(scenes):
    """Primary and sync standby die: it asks, a plain approve asks again, --accept-loss takes what is left."""
    stand = scenes.up()
    kill_node(stand, A, B)
    number = asked(stand, "too_few_positions")
    told = plan(stand)
    expect("0 final position" in told["why"] and "--accept-loss" in told["override"], "values and cost", told)
    no(stand, DENIED, None, "approve", number, "--accept-loss")
    tell(stand, "approve", number, person="approver")
    eventually(stand, "it to ask again", lambda: len(events_of(stand, "plan.asks", plan=int(number))) == 2)
    expect(not stand.primary_sites(), "no primary without the word", stand.primary_sites())
    tell(stand, "approve", number, "--accept-loss", person="approver")
    new_acks(stand, C)
    recorded(stand, "operator.vouched", "approver", plan=int(number))
    for site in (A, B):
        stand.cluster.start_guard(site)
    expect(all_joined(stand) == C, "pg-c to stay primary")
    stand.writers.stop()
    rows = stand.final_rows()
    lost = [a for w, log in stand.writers.read().logs.items() for a in log.acks if (w, a.n) not in rows]
    old = [a for a in lost if a.done < stand.fault - 1]
    expect(not old, "only rows of the last moment to be lost", f"{len(old)} older ones of {len(lost)}")
    return {"lost_and_accepted": len(lost)}


@case("failover-vouched")
def failover_vouched(scenes):
    """Both of an approver's words given at once with a failover: it waits for no lease, and is on record."""
    stand = scenes.up()
    words = ["failover", SERVICE, "--force", "--assert-fenced", "--accept-loss"]
    no(stand, REFUSED, "primary_healthy", *words, person="approver")
    tell(stand, "pause", SERVICE)
    kill_node(stand, A)
    eventually(stand, "pg-a to be lost", lambda: state_of(stand, A) == "lost")
    no(stand, DENIED, None, *words)
    tell(stand, *words, person="approver")
    new = stand.first_new_ack(20)[1]
    recorded(stand, "operator.vouched", "approver")
    proofs = [e["proof"] for e in events_of(stand, "fence.proved", actor="approver")]
    expect(proofs == ["operator-asserted"], "the proof to name who vouched", proofs)
    tell(stand, "resume", SERVICE)
    stand.cluster.start_guard(A)
    all_joined(stand)
    return verdict(stand, [A, new])


def background(stand, site, *words):
    """The one process of a site's server whose title has these words."""
    found = []
    for pid in stand.pg.processes(site):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            title = f.read().decode(errors="replace")
        if all(w in title for w in words):
            found.append(pid)
    expect(len(found) == 1, f"one process: {' '.join(words)}", found)
    return found[0]


@case("abort-switchover")
def abort_switchover(scenes):
    """A switchover is given up before its bar, and writes never pause; past the bar that is refused."""
    stand = scenes.up()
    checkpointer = background(stand, A, "checkpointer")
    began = measure.now()
    kill_all([checkpointer], signal.SIGSTOP)
    tell(stand, "switchover", SERVICE, "--to", "pg-b")
    number = plan_at(stand, "catch_up")
    error = no(stand, REFUSED, "plan_is_open", "failover", SERVICE, "--force")
    overridable(error, f"abort {number}")
    no(stand, REFUSED, "nothing_to_approve", "approve", number, person="approver")
    tell(stand, "abort", number)
    recorded(stand, "plan.closed", plan=int(number))
    kill_all([checkpointer], signal.SIGCONT)
    no(stand, NOT_FOUND, "no_such_plan", "abort", number)
    new_acks(stand, A)
    pause = measure.largest_gap(stand.writers.read().acks((1, 2, 3)), began, measure.now())
    expect(pause <= 1.0, "no pause above 1 s", f"saw {pause:.3f} s")
    expect(stand.cluster.service()["epoch"] == 1, "the epoch to stay", stand.cluster.service())
    stand.lab.programs[f"dns-{B}"].kill()  # holds the next one at its step "route" for a while
    stand.fault_at()
    tell(stand, "switchover", SERVICE, "--to", "pg-b")
    number = plan_at(stand, "route")
    no(stand, REFUSED, "past_the_bar", "abort", number)
    stand.dns.start(B)
    expect(all_joined(stand) == B, "the switchover to be done")
    new_acks(stand, B)
    return {**verdict(stand, [A, B]), "pause_s": round(pause, 3)}


@case("abort-half-stopped")
def abort_half_stopped(scenes):
    """A switchover is given up while the old primary stops: it is fenced, and brought back as the primary."""
    stand = scenes.up(options={"profile": "default"})
    walsender = background(stand, A, "walsender", stand.address(C))
    kill_all([walsender], signal.SIGSTOP)  # a stop in order waits for it
    tell(stand, "switchover", SERVICE, "--to", "pg-b")
    number = plan_at(stand, "fence_old")
    tell(stand, "abort", number)
    recorded(stand, "plan.closed", plan=int(number))
    kill_all([walsender], signal.SIGCONT)
    new_acks(stand, A, 40)
    expect(all_joined(stand) == A, "the old primary to be back")
    return verdict(stand, [A])


@case("abort-failover")
def abort_failover(scenes):
    """A failover that asks is given up: nothing moves; paused, a person brings the old primary back."""
    stand = scenes.up(auto_failover=False)
    kill_node(stand, A)
    number = asked(stand, "not_asked")
    tell(stand, "abort", number)
    recorded(stand, "plan.closed", plan=int(number))
    again = asked(stand, "not_asked")  # what was wrong still is, so it asks again
    expect(again != number, "another plan", again)
    tell(stand, "pause", SERVICE)
    tell(stand, "abort", again)
    quiet_for(stand, 3)
    stand.cluster.start_guard(A)
    eventually(stand, "pg-a to be known as failed", lambda: state_of(stand, A) == "failed")
    no(stand, REFUSED, "paused", "failover", SERVICE, "--to", "pg-a")
    tell(stand, "failover", SERVICE, "--to", "pg-a", "--force")
    new_acks(stand, A)
    tell(stand, "resume", SERVICE)
    expect(all_joined(stand) == A, "pg-a to stay primary")
    return verdict(stand, [A])


@case("pause-resume")
def pause_resume(scenes):
    """Paused, a dead primary stays dead and everybody is told why; resumed or in time it moves."""
    stand = scenes.up(cooldown="1s")
    tell(stand, "pause", SERVICE, "--for", "1h")
    recorded(stand, "service.paused")
    kill_primary(stand)
    eventually(stand, "pg-a to be known as failed", lambda: state_of(stand, A) == "failed")
    quiet_for(stand, 3)
    service = stand.cluster.service()
    expect((service["pause_owner"], service["pause_reason"]) == ("operator", "e2e"), "who paused it", service)
    expect(service.get("automatic_failover_blocked") == "paused", "why nothing happens", service)
    overridable(no(stand, REFUSED, "paused", "failover", SERVICE), "resume")
    tell(stand, "resume", SERVICE)
    new = stand.first_new_ack(20)[1]
    recorded(stand, "service.resumed")
    all_joined(stand)
    eventually(stand, "rows to be safe with a standby again", lambda: settled_set(stand), 30)
    time.sleep(1)  # the cooldown
    tell(stand, "pause", SERVICE, "--for", "5s")
    until = stand.cluster.service()["pause_until_wall_ms"]
    stand.fault_at()
    kill_all(stand.pg.processes(new))
    third = stand.first_new_ack(30, old=new)[1]
    opened = events_of(stand, "incident.opened")[-1]["wall_ms"]
    expect(opened >= until, "no failover before the pause ended", opened, until)
    all_joined(stand)
    return verdict(stand, [A, new, third])


@case("fence-unfence")
def fence_unfence(scenes):
    """Fenced by hand, nobody takes writes whoever leads; unfenced, the old primary does, or who is named."""
    stand = scenes.up()
    for path in ([A], [A, B]):
        tell(stand, "fence", SERVICE)
        eventually(stand, "the fence to be done", lambda: not plan(stand) and not stand.primary_sites())
        expect(not stand.pg.processes(A), "every process of the primary to be gone", stand.pg.processes(A))
        stand.cluster.move_leader(C if stand.cluster.leader() != C else B)
        quiet_for(stand, 3)
        service = stand.cluster.service()
        expect(service["held_fenced"] and not service["primary"], "the service held fenced", service)
        no(stand, REFUSED, "no_primary", "fence", SERVICE)
        no(stand, REFUSED, "no_primary", "switchover", SERVICE)
        tell(stand, "unfence", SERVICE, *(["--to", "pg-b"] if path[-1] == B else []))
        new_acks(stand, path[-1])
        expect(all_joined(stand) == path[-1], f"{path[-1]} to be primary")
    steps = [e["step"] for e in events_of(stand, "plan.step.done", plan_kind="fence")]
    expect(steps == ["prepare", "declare", "fence_old", "close"] * 2, "a checkpoint before each stop", steps)
    index = recorded(stand, "plan.opened", plan_kind="fence")["index"]
    line = stand.cluster.ctl("watch", "--from", str(index), "--count", "1", person="viewer")
    expect("actor=operator" in line and "e2e" in line, "who and why, also in the table", line)
    proofs = [e["proof"] for e in events_of(stand, "fence.proved")]
    expect(proofs == ["agent-confirmed"] * 2, "the agent's word for each fence", proofs)
    return verdict(stand, [A, B])


@case("observe-adopt")
def observe_adopt(scenes):
    """Let go of, the server outlives agents and coordinators without a pause; then it is taken over again."""
    stand = scenes.up()
    before, began = {s: stand.pg.postmaster(s) for s in SITES}, measure.now()
    tell(stand, "service", "observe", SERVICE)
    recorded(stand, "service.mode", mode="observe")
    eventually(stand, "every agent to have let go",
               lambda: not any(m["managed"] for m in stand.cluster.service()["members"]))
    expect(not is_marked(stand, A) and is_marked(stand, B), "only the primary to start as one",
           {s: is_marked(stand, s) for s in SITES})
    pids = stand.cluster.pids()
    both = [pids[f"{kind}-{letter(A)}"] for kind in ("guard", "agent")]
    kill_all(both, signal.SIGSTOP)  # else one brings the other back in between
    kill_all(both)
    kill_all([pids[f"c-{letter(s)}"] for s in SITES])
    still_writing(stand, 3, 1.0)
    stand.cluster.start_guard(A)
    for site in SITES:
        stand.cluster.start_coordinator(site)
    stand.cluster.wait_leader()
    overridable(no(stand, REFUSED, "not_managed", "failover", SERVICE), "service adopt")
    no(stand, REFUSED, "not_managed", "service", "observe", SERVICE)
    stand.cluster.insist("the service to be taken over again", "service", "adopt", SERVICE, "--reason", "e2e")
    stand.cluster.settle()
    pause = measure.largest_gap(stand.writers.read().acks((1, 2, 3)), began, measure.now())
    expect(pause <= 1.0, "no pause above 1 s", f"saw {pause:.3f} s")
    after = {s: stand.pg.postmaster(s) for s in SITES}
    expect(after == before, "the same servers", before, after)
    expect(is_marked(stand, A), "the primary's next start to be a standby's")
    kill_server(stand)
    new = stand.first_new_ack(20)[1]
    cools_down(stand)
    all_joined(stand)
    return {**verdict(stand, [A, new]), "pause_s": round(pause, 3)}


def cools_down(stand):
    """After a failover "explain" says that the next one would wait, and for how long."""
    def told():
        found = json.loads(stand.cluster.ctl("-o", "json", "explain", SERVICE, person="viewer"))
        return found["automatic_failover"] if found["automatic_failover"].get("reason") == "cooldown" else None
    said = eventually(stand, "explain to tell of the cooldown", told, 10)
    left = re.search(r"(\d+) ms of its cooldown", said["why"])
    expect(left and 1 <= int(left[1]) <= 30000, "1 to 30000 ms to be left", said)
    expect("drcoordctl failover" in said["override"], "the way round", said)


def nodes(stand):
    """The coordinators as "node list" shows them, by name."""
    told = stand.cluster.ctl("-o", "json", "node", "list", person="viewer")
    return {n["name"]: n for n in json.loads(told)["coordinators"]}


def all_reachable(stand, *names):
    """Wait until these are the coordinators, and each answers the leader."""
    def there():
        found = nodes(stand)
        return sorted(found) == sorted(names) and all(n["reachable"] for n in found.values())
    eventually(stand, f"the coordinators {', '.join(names)}", there)


def join_fourth(stand):
    """One more coordinator in site a, started and let in."""
    address = f"{stand.lab.address(A, 'coord')}:7401"
    stand.cluster.issue("coordinator", "c-d")
    config = stand.cluster.write("c-d.yaml", {
        "cluster": "demo", "name": "c-d", "site": A, "listen": address,
        "data_dir": stand.lab.make_folder("coord-d"), "tls": stand.cluster.tls("c-d"),
        "raft": {"election": "300ms", "heartbeat": "50ms"}, "peers": stand.cluster.coordinators()})
    program = stand.lab.spawn(A, host_name(A, "coord"), "c-d",
                              [stand.cluster.bin["drcoordd"], "--config", config, "--join"])
    said = eventually(stand, "its id to be printed", lambda: re.search(r"--id (\d+)", program.tail(60)), 10)
    tell(stand, "node", "add", "c-d", address, "--site", A, "--id", said[1], person="admin")
    return program


@case("node-verbs")
def node_verbs(scenes):
    """Coordinators let in, handed the lead, taken out, the leader too; never without a majority."""
    stand = scenes.up()
    began = measure.now()
    admin = {"person": "admin"}
    all_reachable(stand, "c-a", "c-b", "c-c")
    expect([n["role"] for n in nodes(stand).values()].count("leader") == 1, "one leader", nodes(stand))
    for words in (["node", "remove", "c-x"], ["node", "transfer", "c-x"]):
        no(stand, NOT_FOUND, None, *words, **admin)
    no(stand, INVALID, None, "node", "add", "c-d", "10.1.0.10:7401", "--site", A, **admin)
    no(stand, REFUSED, None, "node", "add", "c-c", "10.3.0.10:7400", "--site", C, "--id", "77", **admin)
    fourth = join_fourth(stand)
    all_reachable(stand, "c-a", "c-b", "c-c", "c-d")
    stand.cluster.move_leader(C)
    tell(stand, "node", "transfer")
    eventually(stand, "another leader", lambda: stand.cluster.leader() not in (None, C))
    stand.cluster.move_leader(B)
    tell(stand, "node", "remove", "c-b", **admin)
    removed = stand.lab.programs["c-b"]
    expect(removed.wait(10) == 0, "the removed leader to leave", removed.tail())
    stand.cluster.wait_leader()
    all_reachable(stand, "c-a", "c-c", "c-d")
    stand.cluster.move_leader(A)
    fourth.kill()
    eventually(stand, "c-d to be missed", lambda: not nodes(stand)["c-d"]["reachable"])
    error = no(stand, REFUSED, None, "node", "remove", "c-c", **admin)
    expect("of the 2 that would be left only 1 answer" in error["message"], "the count to be told", error)
    tell(stand, "node", "remove", "c-d", **admin)
    all_reachable(stand, "c-a", "c-c")
    new_acks(stand, A)
    pause = measure.largest_gap(stand.writers.read().acks((1, 2, 3)), began, measure.now())
    expect(pause <= 1.0, "no pause above 1 s", f"saw {pause:.3f} s")
    return {**verdict(stand, [A]), "pause_s": round(pause, 3)}
