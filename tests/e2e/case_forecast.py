"""case_forecast.py -- what would happen, told before it does; and what monitoring reads."""

import json

from cluster import SERVICE, member_of
from faults import A, kill_server
from lab import CommandError
from net import SITES, host_name
from scene import all_joined, case, eventually, expect, kill_node, new_acks, settled_set, verdict

B, C = "az-b", "az-c"
NOT_READY = 10
HTTP = 7480


def told(stand, *words):
    """A verb's answer as data, and its exit code."""
    try:
        return json.loads(stand.cluster.ctl("-o", "json", *words, person="viewer")), 0
    except CommandError as e:
        return json.loads(e.out), e.code


def nothing_moved(stand):
    """A simulation leaves no trace."""
    service = stand.cluster.service()
    expect(service["epoch"] == 1 and service["plan"] is None, "nothing to have moved", service["plan"], service["epoch"])


@case("simulate")
def simulate(scenes):
    """What simulate says before a switchover and a loss is what then happens; it moves nothing itself."""
    stand = scenes.up()
    all_joined(stand)
    planned, code = told(stand, "simulate", "switchover", SERVICE, "--to", "pg-c")
    expect(code == 0 and planned["outcome"] == "done" and planned["candidate"] == "pg-c", "a switch to pg-c", planned)
    lost, code = told(stand, "simulate", "failover", SERVICE)
    expect(code == 0 and lost["outcome"] == "done" and lost["rpo"]["bytes"] == 0, "a failover without loss", lost)
    expect(lost["verb_now"]["reason"] == "primary_healthy", "the verb to be refused now", lost["verb_now"])
    nothing_moved(stand)
    site, _ = told(stand, "simulate", "failover", "--site", A)
    expect(site["services"][0]["candidate"] == lost["candidate"], "the same candidate for the site", site)
    left, code = told(stand, "simulate", "switchover", "--site", A)
    expect(code == 0 and left["verb_now"]["accepted"] and left["services"][0]["candidate"] in ("pg-b", "pg-c"),
           "the site to be left", left)
    nothing, code = told(stand, "simulate", "switchover", "--site", B)
    expect(code == NOT_READY and nothing["verb_now"]["reason"] == "nothing_in_site", "nothing to be moved from b", nothing)
    nothing_moved(stand)
    stand.cluster.ctl("switchover", SERVICE, "--to", "pg-c", "--reason", "e2e", person="operator")
    new_acks(stand, C)
    eventually(stand, "the switch to end", lambda: stand.cluster.service().get("plan") is None)
    all_joined(stand)
    eventually(stand, "rows to be safe with a standby again", lambda: settled_set(stand) not in (None, ["pg-c"]), 30)
    again, _ = told(stand, "simulate", "failover", SERVICE)
    expect(any(s["samples"] > 0 for s in again["steps"]), "times of this cluster's own past", again["steps"])
    kill_node(stand, C)
    at, new = stand.first_new_ack(20, old=C)
    seconds = at - stand.fault
    expect(member_of(new) == again["candidate"], "the candidate that was told", new, again["candidate"])
    predicted = again["rto"]["writable_ms"] / 1000
    expect(abs(seconds - predicted) < 1.0, "the time that was told", f"{seconds:.2f} s, told {predicted:.2f} s")
    stand.cluster.start_guard(C)
    all_joined(stand)
    return {**verdict(stand, [A, C, new]), "rto_s": round(seconds, 3), "predicted_s": predicted}


@case("ready")
def ready(scenes):
    """ready says yes, names what limits it, and ends with 10 once nobody could take over; status says the same."""
    stand = scenes.up()
    all_joined(stand)

    def verdict_is(word):
        answer, code = told(stand, "ready")
        return (answer["ready"], code) == (word, NOT_READY if word == "no" else 0) and answer
    eventually(stand, "all to be ready", lambda: verdict_is("yes"), 20)
    kill_node(stand, C)

    def is_named():
        answer = verdict_is("limited")
        notes = answer["services"][0]["notes"] if answer else []
        return any(n.get("member") == "pg-c" and n["reason"] == "not_reachable" for n in notes)
    eventually(stand, "it to be limited, and pg-c to be named", is_named, 20)
    stand.cluster.ctl("pause", SERVICE, "--reason", "e2e", person="operator")
    paused = eventually(stand, "a pause to be in the way", lambda: verdict_is("no"), 20)
    blocks = [n for n in paused["services"][0]["notes"] if n["blocks"]]
    expect(blocks and blocks[0]["reason"] == "paused" and "resume" in blocks[0]["override"], "the pause and its verb", blocks)
    stand.cluster.ctl("resume", SERVICE, "--reason", "e2e", person="operator")
    eventually(stand, "status to say so, too", lambda: stand.cluster.service().get("ready") == "limited", 20)
    site, code = told(stand, "ready", "--site", B)
    expect(code == 0 and site["sites"][0]["primaries"] == 0, "a site without a primary to be ready", site)
    stand.cluster.start_guard(C)
    all_joined(stand)
    eventually(stand, "all to be ready again", lambda: verdict_is("yes"), 20)
    return verdict(stand, [A])


def page(stand, site, path):
    """What monitoring on the coordinator's host gets: status and text."""
    script = ("import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', %d, timeout=5); c.request('GET', sys.argv[1]);"
              "r = c.getresponse(); print(r.status); print(r.read().decode(), end='')" % HTTP)
    out = stand.lab.run(host_name(site, "coord"), ["/usr/bin/python3", "-c", script, path])
    status, text = out.split("\n", 1)
    return int(status), text


def value(text, start):
    """The value of the sample that begins so."""
    line = next((x for x in text.splitlines() if x.startswith(start)), None)
    return float(line.rsplit(" ", 1)[1]) if line else None


def readiness(stand, word, why=None):
    """The leader says so of the service and of its primary's site, and why not; the others say nothing."""
    site = stand.primary_sites()[0]
    note = f'drcoord_service_ready_note{{service="{SERVICE}",site="{site}",member="",reason="{why}",blocks="true"}}'

    def said():
        pages = {s: page(stand, s, "/metrics")[1] for s in SITES}
        samples = (f'drcoord_service_ready{{service="{SERVICE}",verdict="{word}"}}', f'drcoord_site_ready{{site="{site}",verdict="{word}"}}')
        leader = stand.cluster.leader()
        return all(value(pages[leader], s) == 1 for s in samples) and \
            (value(pages[leader], note) == 1 if why else ',blocks="true"}' not in pages[leader]) and \
            not any(start in text for s, text in pages.items() if s != leader for start in ("_ready{", "_ready_note{"))
    eventually(stand, f"the leader alone to say {word} of {SERVICE} and {site}", said, 30, 0.5)


@case("metrics")
def metrics(scenes):
    """Leases, plans, steps and readiness are told through a failover; /readyz follows the coordinators."""
    stand = scenes.stand()
    stand.cluster.http = HTTP
    stand.up(adopt=False)
    stand.adopt()
    stand.start_writers()
    all_joined(stand)
    leader = stand.cluster.leader()
    for site in SITES:
        expect(page(stand, site, "/healthz")[0] == 200 and page(stand, site, "/readyz")[0] == 200, f"{site} to be ready")
    text = page(stand, leader, "/metrics")[1]
    expect(value(text, "drcoord_leases_held ") == 1, "one lease", text[:2000])
    expect(value(text, "drcoord_lease_grants_total ") > 2, "grants")
    expect(value(text, "drcoord_lease_grant_seconds_count ") > 2, "how long they took")
    readiness(stand, "yes")
    stand.cluster.ctl("pause", SERVICE, "--reason", "e2e", person="operator")
    readiness(stand, "no", "paused")
    stand.cluster.ctl("resume", SERVICE, "--reason", "e2e", person="operator")
    stand.fault_at()
    kill_server(stand)
    new = stand.first_new_ack(20)[1]
    leader = stand.cluster.leader()
    done = 'drcoord_plans_closed_total{plan="failover",outcome="done"}'
    eventually(stand, "the plan to be counted", lambda: value(page(stand, leader, "/metrics")[1], done) == 1, 20)
    text = page(stand, leader, "/metrics")[1]
    expect(value(text, 'drcoord_plan_step_seconds_count{plan="failover",step="promote"}') == 1, "its steps", text[:4000])
    expect(value(text, f'drcoord_member_is_primary{{service="{SERVICE}",member="{member_of(new)}"') == 1, "the new primary")
    all_joined(stand)
    return verdict(stand, [A, new])
