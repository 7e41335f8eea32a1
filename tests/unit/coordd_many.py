#!/usr/bin/python3
"""coordd_many.py DRCOORDD DRCOORDCTL [CASE...] -- more members than one message of observations takes."""

import json
import os
import signal
import ssl
import struct
import threading
import time

from coordd import Failed, connect, eventually, expect, free_ports, main
import wire  # coordd says where it lies

SERVICES, MEMBERS = 360, 3  # 1080 members, one message takes 1024
WELL = 300                  # where more than 256 are watched a beat is spread over its time
STANDBY = 3
STALLS, STALL_S = 6, 1.5    # twice as long as silence lasts until it counts
LATE_S, TRIES = 0.4, 18     # agents that were kept from reporting for longer are missed rightly: such a stall shows nothing


def spec(port, services=SERVICES, members=MEMBERS):
    """Services whose members' servers nobody runs."""
    lines = ["cluster: demo", "timing: { profile: metro }", "sites:"]
    lines += [f"  - {{ name: az-{x}, region: north }}" for x in "abc"]
    lines += ["services:"]
    for i in range(services):
        lines += [f"  - name: s{i}", "    kind: postgres", "    members:"]
        lines += [f"      - {{ name: s{i}-{x}, site: az-{x}, agent: agent-{x}, "
                  f"address: 127.{m + 1}.{i // 250}.{i % 250 + 1}:{port}, priority: 1 }}"
                  for m, x in enumerate("abc"[:members])]
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


class Agent:
    """The agent of the first member of many services: it reports to one coordinator, as an agent does, that all are well."""

    def __init__(self, cluster, name, to, services):
        self.stream = connect(cluster, name, to)
        self.said = b"".join(wire.report(f"s{i}", f"s{i}-a", STANDBY) for i in range(services))
        self.stream.sendall(wire.greeting(wire.AGENT, "demo", name))
        self.over = threading.Event()
        self.slowest, self.last = 0.0, time.monotonic()  # seconds between two reports that were sent; when the last one was
        self.thread = threading.Thread(target=self.go_on)
        self.thread.start()

    def hear(self):
        """What it is told: who leads."""
        self.stream.settimeout(0)
        try:
            while self.stream.recv(65536):
                pass
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        self.stream.settimeout(30)

    def go_on(self):
        """Report twice a probe interval."""
        try:
            while not self.over.wait(0.125):
                self.stream.sendall(self.said)
                self.hear()
                self.slowest, self.last = self.late(), time.monotonic()
        except OSError:
            pass
        self.stream.close()

    def late(self):
        """The longest that it kept silent, in seconds, since slowest was set to 0."""
        return max(self.slowest, time.monotonic() - self.last)

    def end(self):
        """Report no more."""
        self.over.set()
        self.thread.join()


def seen_by(cluster, leader):
    """How the leader sees members, all together."""
    answer = json.loads(cluster.ctl("status", names=[leader]).stdout)
    return {m["state"] for s in answer["services"] for m in s["members"]}


def are_seen_well(cluster, leader, seconds):
    """No member is seen otherwise than well by the leader for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = seen_by(cluster, leader)
        expect(seen == {"ok"}, "all members to be seen well", seen)


def stays_well(cluster, leader, seconds, agents):
    """Whether no member is seen otherwise than well for so long; None where the agents themselves were late."""
    try:
        are_seen_well(cluster, leader, seconds)
    except Failed:
        if max(a.late() for a in agents) < LATE_S:
            raise
        return None
    return True


def stall(cluster, leader, other, agents):
    """Stop that coordinator for a while; as stays_well() afterwards."""
    eventually("all to be seen well", lambda: seen_by(cluster, leader) == {"ok"})
    time.sleep(0.2)  # the others have looked, too
    for agent in agents.values():
        agent.slowest = 0.0
    cluster.daemons[other].process.send_signal(signal.SIGSTOP)
    time.sleep(STALL_S)  # what is tested is that it takes so long
    cluster.daemons[other].process.send_signal(signal.SIGCONT)
    return stays_well(cluster, leader, 0.7, [a for name, a in agents.items() if name != other])


def own_stall(cluster):
    """A coordinator that stood still says of nobody that he was silent, wherever in a beat that was."""
    status = cluster.up()
    path = cluster.path("spec.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write(spec(free_ports(1)[0], WELL, 1))
    cluster.insist("apply", "-f", path, "--reason", "test")
    cluster.issue("agent", "agent-a")
    agents = {name: Agent(cluster, "agent-a", name, WELL) for name in cluster.names}
    try:
        leader = status["leader"]
        other = next(n for n in cluster.names if n != leader)
        shown = tries = 0
        while shown < STALLS:
            tries += 1
            expect(tries <= TRIES, f"agents that can report in time in {STALLS} stalls of {TRIES}", shown)
            shown += 1 if stall(cluster, leader, other, agents) else 0
    finally:
        for agent in agents.values():
            agent.end()


main([the_last_is_watched, watched_after_a_snapshot, own_stall])
