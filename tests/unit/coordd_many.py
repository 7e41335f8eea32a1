#!/usr/bin/python3
"""coordd_many.py DRCOORDD DRCOORDCTL [CASE...] -- more members than one message of observations takes."""

import os
import struct

from coordd import connect, eventually, expect, free_ports, main
import wire  # coordd says where it lies

SERVICES, MEMBERS = 360, 3  # 1080 members, one message takes 1024


def spec(port, services=SERVICES):
    """Services whose members nobody runs."""
    lines = ["cluster: demo", "timing: { profile: metro }", "sites:"]
    lines += [f"  - {{ name: az-{x}, region: north }}" for x in "abc"]
    lines += ["services:"]
    for i in range(services):
        lines += [f"  - name: s{i}", "    kind: postgres", "    members:"]
        lines += [f"      - {{ name: s{i}-{x}, site: az-{x}, agent: agent-{x}, "
                  f"address: 127.{m + 1}.{i // 250}.{i % 250 + 1}:{port}, priority: 1 }}"
                  for m, x in enumerate("abc"[:MEMBERS])]
    return "\n".join(lines) + "\n"


def states(cluster, of):
    """How the members of that service are seen."""
    services = (cluster.status() or {"services": []})["services"]
    return [m["state"] for s in services if s["name"] == of for m in s["members"]]


def the_last_is_watched(cluster):
    """Members of the last service, which nobody hears or reaches, are lost, as those of the first are."""
    cluster.up()
    path = cluster.path("spec.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write(spec(free_ports(1)[0]))
    cluster.insist("apply", "-f", path, "--reason", "test")

    for of in ("s0", f"s{SERVICES - 1}"):
        eventually(f"the members of {of} to be lost", lambda of=of: states(cluster, of) == ["lost"] * MEMBERS, 60)
    expect(len(states(cluster, "s0")) == MEMBERS, "all members shown", states(cluster, "s0"))


def commit_many(cluster, leader, count):
    """So many entries that a snapshot is due: pauses with long reasons, some on their way at a time."""
    stream = connect(cluster, "root", leader)
    stream.sendall(wire.greeting())
    answers = stream.makefile("rb")
    asked = answered = 0
    while answered < count:
        while asked < count and asked - answered < 100:
            asked += 1
            stream.sendall(wire.request(asked, "pause", "s0", "x" * 120))
        head = answers.read(wire.HEADER.size)
        answers.read(struct.unpack_from(">I", head, 8)[0])
        answered += 1
    stream.close()


def watched_after_a_snapshot(cluster):
    """What a coordinator knows of services by its snapshot alone it watches as well."""
    leader = cluster.up()["leader"]
    path = cluster.path("spec.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write(spec(free_ports(1)[0], 2))
    cluster.insist("apply", "-f", path, "--reason", "test")
    for _ in range(20):
        commit_many(cluster, leader, 3000)
        if all(any(n.startswith("snapshot-") for n in os.listdir(cluster.path(f"data-{name}", "log")))
               for name in cluster.names):
            break
    else:
        expect(False, "all to have taken a snapshot", [os.listdir(cluster.path(f"data-{n}", "log")) for n in cluster.names])
    for name in cluster.names:
        cluster.daemons[name].kill()
    for name in cluster.names:
        cluster.start(name)
    eventually("the members of s1 to be lost", lambda: states(cluster, "s1") == ["lost"] * MEMBERS, 60)


main([the_last_is_watched, watched_after_a_snapshot])
