#!/usr/bin/python3
"""coordd_many.py DRCOORDD DRCOORDCTL [CASE...] -- more members than one message of observations takes."""

from coordd import eventually, expect, free_ports, main

SERVICES, MEMBERS = 360, 3  # 1080 members, one message takes 1024


def spec(port):
    """Services whose members nobody runs."""
    lines = ["cluster: demo", "timing: { profile: metro }", "sites:"]
    lines += [f"  - {{ name: az-{x}, region: north }}" for x in "abc"]
    lines += ["services:"]
    for i in range(SERVICES):
        lines += [f"  - name: s{i}", "    kind: postgres", "    members:"]
        lines += [f"      - {{ name: s{i}-{x}, site: az-{x}, agent: agent-{x}, "
                  f"address: 127.{m + 1}.{i // 250}.{i % 250 + 1}:{port}, priority: 1 }}"
                  for m, x in enumerate("abc"[:MEMBERS])]
    return "\n".join(lines) + "\n"


def the_last_is_watched(cluster):
    """Members of the last service, which nobody hears or reaches, are lost, as those of the first are."""
    cluster.up()
    path = cluster.path("spec.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write(spec(free_ports(1)[0]))
    cluster.insist("apply", "-f", path, "--reason", "test")

    def states(of):
        services = (cluster.status() or {"services": []})["services"]
        return [m["state"] for s in services if s["name"] == of for m in s["members"]]

    for of in ("s0", f"s{SERVICES - 1}"):
        eventually(f"the members of {of} to be lost", lambda of=of: states(of) == ["lost"] * MEMBERS, 60)
    expect(len(states("s0")) == MEMBERS, "all members shown", states("s0"))


main([the_last_is_watched])
