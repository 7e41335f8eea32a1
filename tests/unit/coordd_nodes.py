#!/usr/bin/python3
"""coordd_nodes.py DRCOORDD DRCOORDCTL [CASE...] -- coordinators come and go: wiped and let in anew, removed, recovered."""

import json
import os
import re
import shutil

from coordd import eventually, expect, main


def index_of(status, name):
    """A coordinator's row of the status."""
    return next((c for c in status["coordinators"] if c["name"] == name), None)


def join(cluster, name):
    """Start with --join and let it in; its new id."""
    daemon = cluster.start(name, "--join")
    said = eventually("an id to be printed", lambda: re.search(r"--id (\d+)", daemon.said()))
    cluster.insist("node", "add", name, f"127.0.0.1:{cluster.ports[name]}", "--site", f"az-{name[-1]}",
                   "--id", said.group(1), "--reason", "test")
    return said.group(1)


def recorded(cluster, event):
    """The newest event of that name."""
    def look():
        done = cluster.ctl("watch", "--from", "1", "--count", str((cluster.status() or {}).get("event_last", 1)))
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return next((r for r in reversed(rows) if r["event"] == event), None)
    return eventually(f"the event {event}", look)


def apply_says_why(cluster):
    """A spec is put into force with a reason, which stands in the ledger with who gave it."""
    cluster.names = ["c-a"]
    cluster.write_conf("c-a")
    cluster.up()
    spec = cluster.path("spec.yaml")
    with open(spec, "w", encoding="ascii") as f:
        f.write("cluster: demo\nsites:\n  - { name: az-a }\nservices: []\n")
    done = cluster.ctl("apply", "-f", spec)
    expect(done.returncode == 3 and "--reason" in done.stderr, "a reason to be asked for", done.returncode, done.stderr)
    cluster.insist("apply", "-f", spec, "--reason", "the first one")
    done = cluster.ctl("spec")
    expect(done.stdout.startswith('{"version":1,"yaml":"cluster: demo'), "the spec in force", done.stdout, done.stderr)
    with open(spec, "a", encoding="ascii") as f:
        f.write("timing: { profile: metro }\n")
    done = cluster.ctl("apply", "-f", spec, "--if-version", "3", "--reason", "too late")
    expect(done.returncode == 4 and "version 1 " in done.stderr, "another version to be refused", done.stderr)
    row = recorded(cluster, "spec.applied")
    expect(row.get("actor") == "root" and row.get("text") == "the first one" and row["a"] == 1, "who and why", row)


def wipe_and_readd(cluster):
    """A wiped coordinator refuses to start as itself; removed and added anew it makes a majority again."""
    status = cluster.up()
    name = next(n for n in cluster.names if n != status["leader"])
    old = index_of(status, name)["id"]
    cluster.daemons[name].kill()
    shutil.rmtree(cluster.path(f"data-{name}"))
    daemon = cluster.start(name)
    expect(daemon.wait() == 78, "exit 78 of a wiped one", daemon.process.poll(), daemon.said())
    expect("--join" in daemon.said(), "to be told of --join", daemon.said())
    daemon = cluster.start(name, "--bootstrap")
    expect(daemon.wait() == 78, "exit 78 of a wiped one that is bootstrapped", daemon.process.poll(), daemon.said())
    expect("--join" in daemon.said() and f"drcoordctl node remove {name}" in daemon.said(), "the way back", daemon.said())
    expect(not os.path.exists(cluster.path(f"data-{name}", "id")), "nothing to be founded", daemon.said())
    cluster.insist("node", "remove", name, "--reason", "wiped")
    daemon = cluster.start(name, "--bootstrap")
    expect(daemon.wait() == 78 and f"without {name}" in daemon.said(), "exit 78 of one that is unknown",
           daemon.process.poll(), daemon.said())
    new = join(cluster, name)
    status = cluster.whole(3)
    row = index_of(status, name)
    expect(row["id"] == new != old and row["role"] == "follower" and row["site"] == f"az-{name[-1]}",
           "the new id as a follower", row)
    other = next(n for n in cluster.names if n not in (name, status["leader"]))
    cluster.daemons[other].kill()
    done = cluster.ctl("node", "transfer", name)
    expect(done.returncode == 3 and "--reason" in done.stderr, "a reason to be asked for", done.returncode, done.stderr)
    cluster.insist("node", "transfer", name, "--reason", "its turn")
    row = recorded(cluster, "lead.transfer")
    expect(row.get("member") == name and row.get("actor") == "root" and row.get("text") == "its turn",
           "who asked for it, and why", row)
    eventually("the new one to lead", lambda: (cluster.status() or {}).get("leader") == name)


def late_founder(cluster):
    """Of three that found a cluster one comes when the others lead already: let in, for it was never there."""
    cluster.start("c-a", "--bootstrap")
    cluster.start("c-b", "--bootstrap")
    eventually("a leader", cluster.status)
    daemon = cluster.start("c-c", "--bootstrap")
    cluster.whole(3)
    expect(daemon.is_running(), "it to run", daemon.said())
    daemon.kill()
    cluster.start("c-c", "--bootstrap")  # as a service manager does each time
    cluster.whole(3)
    # By the log, too: a leader of a later term has not heard of the third one's storing.
    eventually("the log to note it", lambda: all(
        c["stored"] for c in cluster.insist("node", "list")["coordinators"]))
    cluster.daemons["c-c"].kill()
    shutil.rmtree(cluster.path("data-c-c"))
    for name in ("c-a", "c-b"):
        cluster.daemons[name].kill()
    for name in ("c-a", "c-b"):
        cluster.start(name)
    eventually("a leader", cluster.status)
    daemon = cluster.start("c-c", "--bootstrap")
    expect(daemon.wait() == 78 and "drcoordctl node remove c-c" in daemon.said(), "exit 78", daemon.process.poll(),
           daemon.said())


def add_refusals(cluster):
    """A name that is a member under another id must be removed first; then the list is as before."""
    status = cluster.up()
    before = [(c["name"], c["id"]) for c in status["coordinators"]]
    done = cluster.ctl("node", "add", "c-b", f"127.0.0.1:{cluster.ports['c-b']}", "--site", "az-b", "--id", "77",
                       "--reason", "test")
    expect(done.returncode != 0 and "remove" in done.stderr, "a refusal", done.returncode, done.stderr)
    done = cluster.ctl("node", "remove", "c-x", "--reason", "test")
    expect(done.returncode != 0 and "no such coordinator" in done.stderr, "a refusal", done.returncode, done.stderr)
    after = [(c["name"], c["id"]) for c in cluster.whole(3)["coordinators"]]
    expect(before == after, "the same members", before, after)


def removed_follower(cluster):
    """A removed follower, which Raft tells nothing, says so and leaves with 0; again when it is started again."""
    status = cluster.up()
    name = next(n for n in cluster.names if n != status["leader"])
    cluster.insist("node", "remove", name, "--reason", "test")
    daemon = cluster.daemons[name]
    expect(daemon.wait() == 0, "exit 0", daemon.process.poll(), daemon.said())
    expect("event=node.removed" in daemon.said() and "--join" in daemon.said(), "the reason and the way back",
           daemon.said())
    daemon = cluster.start(name)
    expect(daemon.wait() == 0 and "--join" in daemon.said(), "exit 0 again", daemon.process.poll(), daemon.said())
    cluster.whole(2)
    shutil.rmtree(cluster.path(f"data-{name}"))
    join(cluster, name)
    cluster.whole(3)


def removed_leader(cluster):
    """A leader removes itself: another one leads, counts without it, and it leaves with 0."""
    status = cluster.up()
    name = status["leader"]
    cluster.insist("node", "remove", name, "--reason", "test")
    daemon = cluster.daemons[name]
    expect(daemon.wait() == 0, "exit 0", daemon.process.poll(), daemon.said())
    status = cluster.whole(2)
    expect(status["leader"] != name, "another leader", status["leader"])
    other = next(n for n in cluster.names if n != name)
    eventually("the log to say that it is gone", lambda: [
        line for line in cluster.daemons[other].said().splitlines()
        if '"event":"coordinator.removed"' in line and f'"member":"{name}"' in line])


def recover(cluster):
    """Two of three are gone for good: refused without the word, then alone, then three again."""
    cluster.up()
    daemon = cluster.run("--recover", conf=cluster.path("c-a.yaml"))
    expect(daemon.wait() == 64 and "--yes-a-majority-is-gone" in daemon.said(), "to be asked for the word",
           daemon.process.poll(), daemon.said())
    daemon = cluster.run("--recover", "--yes-a-majority-is-gone", conf=cluster.path("c-a.yaml"))
    expect(daemon.wait() == 1 and "another drcoordd runs" in daemon.said(), "not while it runs",
           daemon.process.poll(), daemon.said())
    for name in cluster.names:
        cluster.daemons[name].kill()
    daemon = cluster.run("--recover", "--yes-a-majority-is-gone", "--offline", conf=cluster.path("c-a.yaml"))
    expect(daemon.wait() == 0 and "ONLY voter" in daemon.said(), "the offline part", daemon.process.poll(), daemon.said())
    marker = cluster.path("data-c-a", "recovering")
    expect(os.path.exists(marker), "the marker", os.listdir(cluster.path("data-c-a")))
    daemon = cluster.start("c-a")
    eventually("it to listen", lambda: "recover.listening" in daemon.said())
    done = cluster.ctl("node", "transfer", "--reason", "test", "-t", "2s", names=["c-a"])
    expect(done.returncode != 0, "no change while it listens", done.stdout)
    daemon.kill()
    expect(os.path.exists(marker), "the marker after a crash")
    daemon = cluster.start("c-a")
    eventually("it to go on", lambda: "recover.done" in daemon.said(), 30)
    expect(not os.path.exists(marker), "no marker any more")
    status = cluster.whole(1)
    expect(status["leader"] == "c-a", "c-a to lead", status["leader"])
    old = cluster.start("c-b")
    expect(old.wait() == 0 and "--join" in old.said(), "a lost one that comes back to leave", old.process.poll(), old.said())
    for name in ("c-b", "c-c"):
        shutil.rmtree(cluster.path(f"data-{name}"))
        join(cluster, name)
    cluster.whole(3)


main([apply_says_why, wipe_and_readd, late_founder, add_refusals, removed_follower, removed_leader, recover])
