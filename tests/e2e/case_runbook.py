"""case_runbook.py -- what people have a site plan do besides moving services: real commands on three hosts, and a receiver."""

import json
import os

from case_forecast import told as told_by
from case_routes import HOOK_PORT, commands, start_receiver
from case_site import closed, site_plans
from cluster import member_of
from faults import A, kill_named
from scene import all_joined, case, eventually, events_of, expect, new_acks, verdict

B, C = "az-b", "az-c"


def scripts(stand):
    """The folder of commands: "note" writes a line, "freeze" makes a file, "thaw" removes it, "refuse" fails."""
    here = stand.lab.make_folder("noted")
    commands(stand, note=f'echo "$DRCOORD_STEP $DRCOORD_KEY $(hostname)" >> {here}/notes', freeze=f"touch {here}/frozen",
             frozen=f"test -e {here}/frozen", thaw=f"rm -f {here}/frozen", refuse="echo secret; exit 5", linger=f"echo began >> {here}/linger; sleep 40; echo late >> {here}/linger",
             unlinger=f"echo undone >> {here}/linger")
    return here


def allow(stand):
    """Coordinators and agents may run what is in that folder."""
    coordinator, agent = stand.cluster.coordinator_file, stand.cluster.agent_file

    def with_commands(site, **changes):
        return coordinator(site, commands_in=stand.lab.make_folder("commands"), **changes)

    def agent_with_commands(site, **changes):
        return agent(site, commands_in=stand.lab.make_folder("commands"), **changes)
    stand.cluster.coordinator_file, stand.cluster.agent_file = with_commands, agent_with_commands


def notes_of(stand):
    """What ready says stands in the way of the service: reasons with what is said of each."""
    service = told_by(stand, "ready")[0]["services"][0]
    return {n["reason"]: n.get("detail", "") for n in service["notes"]}


def steps_of(stand):
    """The newest site plan's steps: name and state."""
    return {s["step"]: s["state"] for s in max(site_plans(stand), key=lambda p: p["id"])["runbook"]}


def told(hook):
    """What the receiver took."""
    with open(hook["log"]) as f:
        return [json.loads(line) for line in f]


def order_of(stand, plan):
    """What began and ended in a site plan, in its order."""
    kinds = {"site.step.started": "+", "site.step.done": "-", "site.step.failed": "!", "site.plan.group": "group"}
    return [kinds[e["event"]] + e.get("text", "").split(":")[0] for e in stand.cluster.events()
            if e.get("plan") == plan and e["event"] in kinds]


@case("site-runbook")
def site_runbook(scenes):
    """Before, between and after a planned evacuation: a request and commands, the leader killed in one; given up, undone."""
    stand = scenes.stand()
    allow(stand)
    stand.up_servers()
    here = scripts(stand)
    loose = os.path.join(stand.lab.make_folder("commands"), "loose")
    with open(loose, "w") as f:
        f.write("#!/bin/sh\n")
    os.chmod(loose, 0o775)
    hook = start_receiver(stand, C, "--pending", "6")
    stand.up_drcoord()
    stand.cluster.runbook = [
        {"name": "tell", "when": "before", "url": f"https://{stand.lab.address(C, 'coord')}:{HOOK_PORT}/runbook",
         "secret_file": hook["secret"], "ca_file": hook["cert"], "undo_url":
         f"https://{stand.lab.address(C, 'coord')}:{HOOK_PORT}/undo", "timeout": "30s"},
        {"name": "freeze", "when": "before", "on_agent": "agent-b", "run": "freeze", "verify": "frozen", "undo": "thaw"},
        {"name": "stopper", "when": "before", "site": C, "on_site": A, "run": "refuse", "on_failure": "stop", "timeout": "3s"},
        {"name": "between", "when": "after_group", "group": 1, "on_site": C, "run": "note"},
        {"name": "refused", "when": "after", "run": "refuse", "timeout": "2s"},
        {"name": "last", "when": "after", "run": "note"}]
    stand.adopt()
    stand.start_writers()
    stand.cluster.move_leader(B)
    wanted = f"`chmod go-w {loose}`"
    eventually(stand, "ready to name the program that others may write", lambda: wanted in notes_of(stand).get("caution", "") and
               wanted in notes_of(stand).get("commands_refused", ""), 20)
    simulated = json.loads(stand.cluster.ctl("-o", "json", "simulate", "switchover", "--site", A))
    names = [s["step"] for s in simulated["runbook"]]
    expect(names == ["tell", "freeze", "between", "refused", "last"], "simulate to show the steps in their order", simulated)
    stand.cluster.insist("the site switchover to be taken", "switchover", "--site", A, "--reason", "evacuate")
    eventually(stand, "the receiver to be asked", lambda: told(hook), 20, 0.02)
    before = len(told(hook))
    kill_named(stand, "c-b")
    end = closed(stand, "switchover", 90)
    stand.cluster.start_coordinator(B)
    asked = told(hook)
    keys = {t["idempotency_key"] for t in asked}
    expect(keys == {f"demo/site-plan/{end['plan']}/tell"}, "one idempotency key, whoever led", keys)
    expect(len(asked) > before and [t["carried_out"] for t in asked].count(True) == 1, "it to be carried out once", asked)
    expect(end["text"] == "failed: refused (step_failed)" and end["outcome"] == "failed", "the end to name what failed", end)
    wanted = ["+tell", "-tell", "+freeze", "-freeze", "group", "+between", "-between", "+refused", "!refused", "+last", "-last"]
    expect(order_of(stand, end["plan"]) == wanted, "the steps in their order", order_of(stand, end["plan"]))
    with open(os.path.join(here, "notes")) as f:
        notes = [line.split()[:2] for line in f]
    expect(notes == [[n, f"demo/site-plan/{end['plan']}/{n}"] for n in ("between", "last")], "what was run to be told its key", notes)
    failed = events_of(stand, "site.step.failed")[-1]["text"]
    expect("exit code 5" in failed and "secret" not in failed, "the record to say how it ended, not what it said", failed)
    to = all_joined(stand)
    new_acks(stand, to)
    status = stand.cluster.status()
    versions = {m.get("agent_version") for m in status["services"][0]["members"]}
    expect(versions == {status["version"]}, "the agents' version to be shown", versions)
    given_up(stand, here, hook, to)
    given_up_while_one_runs(stand, here, to)
    return verdict(stand, [A, to])


def given_up(stand, here, hook, at):
    """The way out of site c asks before anything has moved, and is taken back."""
    os.remove(os.path.join(here, "frozen"))
    stand.cluster.runbook[2]["site"] = at
    stand.cluster.ctl("apply", "-f", stand.cluster.spec_file(), "--reason", "for the next one")
    stand.cluster.insist("the next one to be taken", "switchover", "--site", at, "--reason", "evacuate")
    eventually(stand, "the plan to ask", lambda: events_of(stand, "site.plan.asks"), 40)
    shown = stand.cluster.ctl("status")
    expect("step stopper of the runbook: failed" in shown and "drcoordctl approve" in shown, "status to say so", shown)
    expect(os.path.exists(os.path.join(here, "frozen")), "what came before to be done")
    plan = events_of(stand, "site.plan.asks")[-1]["plan"]
    stand.cluster.ctl("abort", str(plan), "--reason", "not now")
    end = closed(stand, "switchover", 60)
    expect(end["plan"] == plan and stand.cluster.service()["primary"] == member_of(at), "nothing to have moved", end)
    expect(not os.path.exists(os.path.join(here, "frozen")), "what was done to be undone")
    states = steps_of(stand)
    expect((states["tell"], states["freeze"], states["between"]) == ("undone", "undone", "waiting"), "the steps to say so", states)
    undone = [t for t in told(hook) if t["undo"] and t["carried_out"]]
    expect([t["idempotency_key"] for t in undone] == [f"demo/site-plan/{plan}/tell/undo"], "the receiver to be told so", undone)


def given_up_while_one_runs(stand, here, at):
    """On an agent, and on a leader that is not the one who asked for it: it is killed there before it is undone."""
    for on in ({"on_agent": "agent-b"}, {}):
        lines = os.path.join(here, "linger")
        stand.cluster.runbook = [{"name": "linger", "when": "before", "run": "linger", "undo": "unlinger", "timeout": "60s", **on}]
        stand.cluster.ctl("apply", "-f", stand.cluster.spec_file(), "--reason", "for the last one")
        stand.cluster.insist("the last one to be taken", "switchover", "--site", at, "--reason", "evacuate")
        eventually(stand, "the step to run", lambda path=lines: os.path.exists(path), 20)
        plan = max(site_plans(stand), key=lambda p: p["id"])["id"]
        stand.cluster.ctl("abort", str(plan), "--reason", "not now")
        end = closed(stand, "switchover", 30)
        with open(lines) as f:
            wrote = f.read().split()
        expect(end["plan"] == plan and wrote == ["began", "undone"], "it to be ended, and then undone", wrote)
        expect(steps_of(stand) == {"linger": "undone"}, "the step to say so", steps_of(stand))
        os.remove(lines)
