"""case_routes.py -- routes of the other kinds: files, HAProxy, pgbouncer, commands, webhooks; real servers but the receiver."""

import json
import os
import subprocess

from cluster import letter, member_of
from faults import A
from net import CLIENT, SITES, host_name
from pooler import CLIENT_ID, acknowledged, errors, rows_of, start_client
from scene import all_joined, case, eventually, events_of, expect, kill_primary, verdict

B, C = "az-b", "az-c"
HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.join(os.path.dirname(HERE), "lab")
HAPROXY_PORT, STATS_PORT, HOOK_PORT = 6500, 6501, 6443

HAPROXY = """
global
  stats socket ipv4@{address}:{stats} level admin
defaults
  mode tcp
  timeout connect 2s
  retries 0
  timeout client 1h
  timeout server 1h
frontend orders
  bind {address}:{port}
  default_backend orders
backend orders
  server primary {primary}:5432
"""


def files_of(stand, site):
    """The folder in which a site's coordinator writes."""
    return stand.lab.make_folder(f"files-{site}")


def commands(stand, **scripts):
    """The folder of commands, with these in it."""
    folder = stand.lab.make_folder("commands")
    for name, text in scripts.items():
        path = os.path.join(folder, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)
    return folder


def allow(stand):
    """Let the node files of all coordinators name those folders."""
    write = stand.cluster.coordinator_file

    def with_folders(site, **changes):
        return write(site, files_in=files_of(stand, site), commands_in=stand.lab.make_folder("commands"), **changes)
    stand.cluster.coordinator_file = with_folders


def up(scenes, routes, before=None, writers=True):
    """A stand whose service has these routes besides DNS; routes(stand) gives them, before(stand) starts their servers."""
    stand = scenes.stand()
    allow(stand)
    stand.up_servers()
    if before:
        before(stand)
    stand.up_drcoord()
    dns = stand.cluster.service_block()["routes"]
    stand.adopt(routes=dns + routes(stand))
    if writers:
        stand.start_writers()
    return stand


def route(stand, name):
    """What status says of a route."""
    return next((r for r in stand.cluster.service().get("routes", []) if r["name"] == name), {})


def current(stand, name, seconds=20):
    """Wait until a route shows the primary everywhere."""
    return eventually(stand, f"route {name} to show the primary", lambda: route(stand, name).get("current"), seconds)


def switch(stand, site):
    """A planned switch to a site's member, to its end."""
    stand.fault_at()
    done = len(events_of(stand, "plan.closed", plan_kind="switchover"))
    stand.cluster.insist("the switchover to be taken", "switchover", "orders", "--to", member_of(site), "--reason", "test")
    eventually(stand, "the switchover to end",
               lambda: len(events_of(stand, "plan.closed", plan_kind="switchover")) > done, 60)
    return events_of(stand, "plan.closed", plan_kind="switchover")[-1]


def content(stand, site, name="orders.conf"):
    """A coordinator's file."""
    try:
        with open(os.path.join(files_of(stand, site), name)) as f:
            return f.read()
    except FileNotFoundError:
        return ""


def template(stand, text, name="orders.tmpl", sites=SITES):
    """The same template on each coordinator's host."""
    for site in sites:
        with open(os.path.join(files_of(stand, site), name), "w") as f:
            f.write(text)


def coordinators(*sites):
    """Their names."""
    return [f"c-{letter(s)}" for s in sites]


def address_lines(stand, name):
    """Where each line of a log of "HOST" lines points, in order, repetitions left out."""
    with open(stand.lab.path(name)) as f:
        lines = [line.strip() for line in f]
    return [line for i, line in enumerate(lines) if i == 0 or lines[i - 1] != line]


@case("route-file")
def route_file(scenes):
    """Each coordinator's file follows the primary; somebody's edit stays and is named; what validate refuses is not put there."""
    def routes(stand):
        template(stand, "primary={{primary.host}}:{{primary.port}} name={{primary.name}} epoch={{epoch}}\n")
        commands(stand, check='grep -q "^primary=10" "$DRCOORD_FILE"', tell='echo "$DRCOORD_NEW_HOST" >> ' + stand.lab.path("told"))
        return [{"name": "conf", "kind": "file", "file": "orders.conf", "template": "orders.tmpl", "validate": "check",
                 "reload": "tell", "on": coordinators(*SITES), "timeout": "3s"}]
    stand = up(scenes, routes)
    shows = lambda site, at: f"primary={stand.address(at)}:5432 " in content(stand, site)  # noqa: E731
    current(stand, "conf")
    expect(all(shows(s, A) for s in SITES), "each file to show the primary", [content(stand, s) for s in SITES])
    edited = os.path.join(files_of(stand, B), "orders.conf")
    with open(edited, "a") as f:
        f.write("# by hand\n")
    switch(stand, B)
    eventually(stand, "the two others to show the new primary", lambda: shows(A, B) and shows(C, B), 20)
    why = eventually(stand, "status to name the edit", lambda: [s["why"] for s in route(stand, "conf")["servers"] if s["why"]])
    expect("changed by somebody else" in why[0] and "# by hand" in content(stand, B), "the edit to be named and kept", why)
    os.unlink(edited)
    current(stand, "conf")
    expect(shows(B, B), "the file to be written again", content(stand, B))
    template(stand, "nothing that passes\n", sites=(C,))
    all_joined(stand)
    switch(stand, C)
    eventually(stand, "the two others to follow", lambda: shows(A, C) and shows(B, C), 20)
    why = eventually(stand, "status to name the check", lambda: [s["why"] for s in route(stand, "conf")["servers"] if s["why"]])
    expect("validate" in why[0] and shows(C, B), "a refused file not to be put there", why, content(stand, C))
    return verdict(stand, [A, B, C])


def start_haproxy(stand, site, primary):
    """HAProxy beside a site's coordinator."""
    address, folder = stand.lab.address(site, "coord"), stand.lab.make_folder(f"haproxy-{site}")
    with open(folder + "/conf", "w") as f:
        f.write(HAPROXY.format(address=address, stats=STATS_PORT, port=HAPROXY_PORT, primary=stand.address(primary)))
    stand.lab.spawn(site, host_name(site, "coord"), f"haproxy-{site}", ["/usr/sbin/haproxy", "-db", "-f", folder + "/conf"])
    return f"{address}:{STATS_PORT}"


def new_rows(stand, path, seconds=20):
    """Wait for a row acknowledged to the client behind a proxy from now on."""
    seen = len(acknowledged(path))
    eventually(stand, "the client to be acknowledged again", lambda: len(acknowledged(path)) > seen, seconds)


def expect_kept(stand, program, path):
    """Stop that client; no row acknowledged to it may be gone."""
    program.kill()
    program.wait(5)
    acked = {(CLIENT_ID, r["n"]) for r in acknowledged(path)}
    lost = acked - stand.final_rows()
    expect(not lost, "no row acknowledged through the proxy to be lost", sorted(lost)[:5])
    return len(acked)


@case("route-haproxy")
def route_haproxy(scenes):
    """Two HAProxys lead to the new primary and cut the old sessions; one that was down is told when it is back."""
    at = {}

    def before(stand):
        at.update({s: start_haproxy(stand, s, A) for s in (B, C)})

    def routes(_stand):
        return [{"name": "proxy", "kind": "haproxy", "backend": "orders", "server": "primary", "servers": list(at.values()),
                 "timeout": "2s"}]
    stand = up(scenes, routes, before)
    current(stand, "proxy")
    program, path = start_client(stand.lab, f"{stand.lab.address(B, 'coord')}:{HAPROXY_PORT}")
    down = stand.lab.programs[f"haproxy-{C}"]
    down.kill()
    down.wait(5)
    kill_primary(stand)
    _, new = stand.first_new_ack(20)
    new_rows(stand, path)
    gap = max(r["waited"] for r in rows_of(path))
    eventually(stand, "status to name the one that is down",
               lambda: [s for s in route(stand, "proxy")["servers"] if s["why"] and s["address"] == at[C]])
    start_haproxy(stand, C, A)
    current(stand, "proxy", 30)
    all_joined(stand)
    kept = expect_kept(stand, program, path)
    return {**verdict(stand, [A, new]), "through_haproxy": kept, "longest_wait_s": gap}


def with_pgbouncer(scenes):
    """A stand with pgbouncer in site b, and its pooler with a client."""
    stand = scenes.stand(pooled=True)
    stand.up()
    stand.start_writers()
    return stand, stand.pooler


@case("route-pgbouncer")
def route_pgbouncer(scenes):
    """Clients of pgbouncer live through a planned switch without an error, and through one whose leader dies."""
    stand, pool = with_pgbouncer(scenes)
    path = pool.path
    closed = switch(stand, B)
    new_rows(stand, path)
    longest = max(r["waited"] for r in rows_of(path))
    expect(closed.get("outcome") == "done", "the switchover to be done", closed)
    expect(not errors(path), "no error in a planned switch", errors(path)[:3])
    expect(longest <= 1.0, "the longest wait to be short", longest)
    current(stand, "pool")
    all_joined(stand)
    # One whose leader dies while the clients are held.
    stand.cluster.move_leader(C)
    stand.cluster.insist("the switchover to be taken", "switchover", "orders", "--to", member_of(A), "--reason", "test")
    eventually(stand, "the clients to be held", lambda: events_of(stand, "plan.step.started", step="drain")[1:], 20, 0.005)
    stand.lab.programs[f"c-{letter(C)}"].kill()
    new_rows(stand, path, 40)
    current(stand, "pool", 40)
    stand.cluster.start_coordinator(C)
    after = len(errors(path))
    kept = expect_kept(stand, pool.program, path)
    return {"through_pgbouncer": kept, "longest_wait_s": longest, "errors_when_the_leader_died": after,
            "lost_acked": 0}


@case("route-pgbouncer-held-up")
def route_pgbouncer_held_up(scenes):
    """A transaction that does not end: the switch is given up before anything is fenced, and the clients go on."""
    stand, pool = with_pgbouncer(scenes)
    path, (console, port) = pool.path, pool.at.split(":")
    stand.lab.spawn(CLIENT, CLIENT, "long", [f"{stand.pg.bin}/psql", "-h", console, "-p", port, "-U", "writer", "-d", "orders",
                                             "-c", "BEGIN; SELECT pg_sleep(60); COMMIT"])
    eventually(stand, "the long transaction", lambda: "pg_sleep" in stand.pg.sql(
        A, "SELECT string_agg(query, ';') FROM pg_stat_activity WHERE usename = 'writer'"))
    closed = switch(stand, B)
    new_rows(stand, path)
    expect(closed.get("outcome") == "failed" and closed.get("reason") == "not_held", "it to be given up", closed)
    expect(stand.primary_sites() == [A], "the primary to be where it was", stand.primary_sites())
    current(stand, "pool")
    expect(not errors(path), "no error", errors(path)[:3])
    longest = max(r["waited"] for r in rows_of(path))
    return {**verdict(stand, [A]), "longest_wait_s": longest}


@case("route-exec")
def route_exec(scenes):
    """A command leads to the new primary, is asked whether it does, and is undone and tried again where it failed."""
    def routes(stand):
        moved, undone, fails = (stand.lab.path(n) for n in ("moved", "undone", "fails"))
        commands(stand, move=f'if rm {fails} 2>/dev/null; then echo half > {moved}; exit 3; fi\n'
                             f'echo "$DRCOORD_NEW_HOST $DRCOORD_SERVICE $DRCOORD_EPOCH $DRCOORD_OLD_PRIMARY $1" > {moved}',
                 moved=f'grep -q "^$DRCOORD_NEW_HOST .* $DRCOORD_EPOCH " {moved}',
                 unmove=f"echo $DRCOORD_WHAT >> {undone}")
        return [{"name": "script", "kind": "exec", "run": "move it", "verify": "moved", "undo": "unmove", "timeout": "3s"}]
    stand = up(scenes, routes)
    current(stand, "script")
    open(stand.lab.path("fails"), "w").close()
    kill_primary(stand)
    _, new = stand.first_new_ack(20)
    current(stand, "script")
    with open(stand.lab.path("moved")) as f:
        said = f.read().split()
    expect(said[:2] == [stand.address(new), "orders"] and said[-1] == "it", "the command to know all it needs", said)
    expect(os.path.exists(stand.lab.path("undone")), "the failed run to be undone")
    all_joined(stand)
    return verdict(stand, [A, new])


def start_receiver(stand, site, *options):
    """A receiver of webhooks beside a site's coordinator; its files by name."""
    folder = stand.lab.make_folder("hook")
    files = {n: f"{folder}/{n}" for n in ("cert", "key", "secret", "log")}
    at = stand.lab.address(site, "coord")
    for name, text in (("secret", "shared by the two\n"), ("log", "")):
        with open(files[name], "w") as f:
            f.write(text)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=receiver", "-addext", f"subjectAltName=IP:{at}", "-keyout", files["key"],
                    "-out", files["cert"]], check=True, capture_output=True)
    stand.lab.spawn(site, host_name(site, "coord"), "receiver",
                    ["/usr/bin/python3", os.path.join(LAB, "receiver.py"), "--at", f"{at}:{HOOK_PORT}", "--cert", files["cert"],
                     "--key", files["key"], "--secret", files["secret"], "--log", files["log"], *options])
    return files


@case("route-webhook")
def route_webhook(scenes):
    """A receiver that checks signature, shape and idempotency key is told once a change, though it says pending and fails."""
    secret = {}

    def before(stand):
        secret.update(start_receiver(stand, B, "--pending", "1", "--fail", "1"))

    def routes(stand):
        return [{"name": "hook", "kind": "webhook", "url": f"https://{stand.lab.address(B, 'coord')}:{HOOK_PORT}/moved",
                 "secret_file": secret["secret"], "ca_file": secret["cert"], "timeout": "5s"}]
    stand = up(scenes, routes, before)
    current(stand, "hook")
    kill_primary(stand)
    _, new = stand.first_new_ack(20)
    current(stand, "hook")
    with open(secret["log"]) as f:
        taken = [json.loads(line) for line in f]
    done = [t for t in taken if t["carried_out"]]
    hosts = [t["new"]["host"] for t in done]
    expect(hosts == [stand.address(A), stand.address(new)], "each change to be carried out once", taken)
    expect(len({t["idempotency_key"] for t in done}) == 2 and len(taken) > 2, "pending to be asked again with the same key", taken)
    all_joined(stand)
    return verdict(stand, [A, new])
