#!/usr/bin/python3
"""coordd_turns.py DRCOORDD DRCOORDCTL [CASE...] -- what one who asks much takes from the others: turns, places, order, answers.

No time is judged: what is counted is how many answers came before something else did."""

import os
import select
import signal
import socket
import struct

from coordd import connect, eventually, expect, free_ports, main
import wire  # coordd says where it lies

MANY = 1500    # services: a status takes longer than requests get of a turn
ASKERS = 32    # connections of one certificate
READS = 30     # by each of them
WAITING, NEWER = 12, 4
NEXT = 16
SERVES = 8     # turns that a handshake may take, with room


def spec(services):
    """Services whose members nobody runs."""
    port = free_ports(1)[0]
    lines = ["cluster: demo", "timing: { profile: metro }", "sites:", "  - { name: az-a, region: north }", "services:"]
    for i in range(services):
        lines += [f"  - name: s{i}", "    kind: postgres", "    members:",
                  f"      - {{ name: s{i}-a, site: az-a, agent: agent-a, address: 127.1.{i // 250}.{i % 250 + 1}:{port}, "
                  "priority: 1 }"]
    return "\n".join(lines) + "\n"


def dear(ident, services=16000):
    """A request that takes longer than requests get of a turn: to apply a spec of thousands, made from a version that
    is not in force."""
    services = b"".join(wire.nested(4, wire.text(1, f"s{i}") + wire.number(2, 1) + wire.text(13, "u" * 30)) for i in range(services))
    made = wire.text(1, "demo") + wire.nested(2, b"".join(wire.number(f, 1000) for f in range(1, 12))) + services
    return wire.frame(wire.REQUEST, wire.number(1, ident) + wire.text(2, "apply") + wire.text(6, "test") +
                      wire.number(12, 99) + wire.nested(13, made))


def with_services(cluster, services, **conf):
    """Certificates, the cluster, and that spec in force; who leads."""
    for name in cluster.names:
        cluster.write_conf(name, **conf)
    cluster.issue("admin", "adam")
    cluster.issue("viewer", "vera")
    cluster.issue("operator", "olga")
    leader = cluster.up()["leader"]
    path = cluster.path("spec.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write(spec(services))
    cluster.insist("apply", "-f", path, "--reason", "test")
    return leader


class Client:
    """A connection that has said who it is; its answers are counted as they come."""

    def __init__(self, cluster, name, to, room=None):
        self.socket = connect(cluster, name, to, room)
        self.socket.sendall(wire.greeting())
        self.kept, self.answered = b"", []

    def ask(self, *requests):
        """Send these as one write."""
        self.socket.sendall(b"".join(requests))

    def answers(self, seconds=0.0):
        """The payloads of what has come."""
        out = []
        while self.socket.pending() or select.select([self.socket], [], [], seconds)[0]:
            got = self.socket.recv(1 << 18)
            if not got:
                break
            self.kept += got
            while len(self.kept) >= wire.HEADER.size:
                size = wire.HEADER.size + wire.HEADER.unpack_from(self.kept)[3]
                if len(self.kept) < size:
                    break
                out.append(self.kept[wire.HEADER.size:size])
                self.answered += identities(out[-1:])
                self.kept = self.kept[size:]
                if seconds:
                    return out
        return out

    def reset(self):
        """End it so that the other side sees it at once."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        """End it."""
        self.socket.close()


def identities(answers):
    """The ids (one byte each) that those answers name."""
    return [a[1] if a[:1] == b"\x08" else 0 for a in answers]


def one_in_a_turn(cluster):
    """32 connections ask at once for what takes a turn each: a newcomer's handshake waits for a few, not for all of them."""
    leader = with_services(cluster, 2)
    clients = [Client(cluster, "adam", leader) for _ in range(ASKERS)]
    request = dear(2)
    for c in clients:
        c.ask(request[:-1])
    for c in clients:
        c.ask(request[-1:])
    done = before_newcomer(cluster, leader, clients)
    expect(done <= SERVES, f"at most {SERVES} answers before the newcomer's", done)
    for c in clients:
        eventually("an answer each", lambda c=c: c.answers() or c.answered)
        expect(c.answered == [2], "one answer to each", c.answered)


def before_newcomer(cluster, leader, clients):
    """So many answers came until one more was let in, counted from the first on."""
    expect(select.select([c.socket for c in clients], [], [], 20)[0], "an answer")
    try:
        connect(cluster, "vera", leader).close()
    except TimeoutError:
        expect(False, "a newcomer to be let in within 10 s")
    return sum(len(c.answers()) for c in clients)


def many_reads(cluster):
    """A viewer's hundreds of `spec` at once: a newcomer is let in meanwhile, and those that come together share an entry."""
    leader = with_services(cluster, MANY)
    clients = [Client(cluster, "vera", leader) for _ in range(ASKERS)]
    began = eventually("a status", cluster.status)["commit"]
    for c in clients:
        c.ask(*(wire.request(2, "spec") for _ in range(READS)))
    before_newcomer(cluster, leader, clients)
    for c in clients:
        eventually("all to be answered", lambda c=c: len(c.answered) == READS or (c.answers() and False))
    expect(set(clients[0].answered) == {2}, "the spec, by its request's id", clients[0].answered)
    entries = eventually("a status", cluster.status)["commit"] - began
    expect(entries < ASKERS * READS / 4, "an entry for many reads", entries, "entries for", ASKERS * READS)


def places_for_who_acts(cluster):
    """A viewer's reads wait for a majority: an operator's request is taken all the same."""
    leader = with_services(cluster, 2, raft="{ election: 3s, heartbeat: 200ms }")
    viewer, operator = Client(cluster, "vera", leader), Client(cluster, "olga", leader)
    others = [cluster.daemons[n].process for n in cluster.names if n != leader]
    for p in others:
        os.kill(p.pid, signal.SIGSTOP)
    try:
        viewer.ask(*(wire.request(3, "spec") for _ in range(2000)))
        viewer.answers(0.5)  # nothing comes: for as long as the leader takes to read them all
        operator.ask(wire.request(5, "pause", "s0", "maintenance"))
        told = operator.answers(1)
        expect(not told, "the operator's request to wait for the majority", told)
    finally:
        for p in others:
            os.kill(p.pid, signal.SIGCONT)
    told = operator.answers(20)
    expect(len(told) == 1 and b"accepted" in told[0], "it to be carried out", told)


def in_order(cluster):
    """One of those who wait is gone: the others are answered in the order in which they asked."""
    leader = with_services(cluster, MANY)
    clients = [Client(cluster, "adam", leader) for _ in range(WAITING)]
    other = Client(cluster, "vera", leader)
    request = dear(2)
    for c in clients:
        c.ask(request[:-1])
    reads_nothing = Client(cluster, "vera", leader, 4096)
    reads_nothing.ask(*(wire.request(1, "status") for _ in range(100)))
    for _ in range(20):  # until all of that was read, and nothing more is taken of the one
        other.ask(wire.request(1, "explain", "s0"))
        expect(other.answers(20), "an answer")
    for c in clients[:-NEWER]:
        c.ask(request[-1:])
    expect(select.select([clients[0].socket], [], [], 20)[0], "the first answer")
    for c in clients[-NEWER:]:
        c.ask(request[-1:])
    reads_nothing.reset()
    order = []
    while len(order) < WAITING:
        ready = select.select([c.socket for c in clients], [], [], 20)[0]
        expect(ready, "an answer", order)
        order += [i for i, c in enumerate(clients) if c.socket in ready and c.answers()]
    expect(order == sorted(order), "the order in which they came", order)


def nobody_elses(cluster):
    """Whoever asked for a change of the coordinators leaves: those who come next are not told what came of it."""
    leader = with_services(cluster, 2)
    before = [Client(cluster, "root", leader) for _ in range(NEXT)]
    first = Client(cluster, "root", leader)
    last = Client(cluster, "olga", leader)
    first.ask(wire.frame(wire.REQUEST, wire.number(1, 9) + wire.text(2, "node add") + wire.text(6, "test") +
                         wire.text(14, "c-x") + wire.nested(15, wire.text(1, "127.0.0.1") + wire.number(2, 9)) +
                         wire.text(16, "az-x") + wire.number(17, 4711)))
    told = first.answers(0.3)
    expect(not told, "the change to take its time", told)
    for c in [*before, first]:  # the place of the last one is given away first
        c.close()
    last.ask(wire.request(1, "status"))
    expect(last.answers(20), "an answer")  # their end was seen
    after = [Client(cluster, "root", leader) for _ in range(NEXT)]

    def is_over():
        last.ask(wire.request(2, "node transfer", reason="test"))
        return b"under way" not in b"".join(last.answers(20))
    eventually("the change to end", is_over, 30)
    told = [a for c in after for a in c.answers()]
    expect(not told, "who asked for nothing to be told nothing", told)


def role_first(cluster):
    """Nobody unpacks what somebody sends who may not apply it."""
    leader = with_services(cluster, 2)
    vera = Client(cluster, "vera", leader)
    for i, wrong in enumerate((wire.nested(18, b"no zstd frame"), wire.nested(13, wire.text(1, "?")))):
        vera.ask(wire.frame(wire.REQUEST, wire.number(1, i + 1) + wire.text(2, "apply") + wire.text(6, "test") + wrong))
        told = vera.answers(20)
        expect(len(told) == 1 and b"for the role admin" in told[0], "to be told of the role", told)
    vera.ask(wire.frame(wire.REQUEST, wire.number(1, 3) + wire.text(2, "status") + wire.nested(18, b"x" * 70000)))
    told = vera.answers(20)
    expect(len(told) == 1 and b"for the role admin" in told[0], "to be told of the role", told)
    vera.ask(wire.frame(wire.REQUEST, wire.number(1, 4) + wire.text(2, "status") + wire.nested(18, b"no zstd frame")))
    told = vera.answers(20)
    expect(len(told) == 1 and b"spec_version" in told[0], "a status, whatever comes with the question", told)


def handing_over(cluster):
    """Who asks while the lead is handed over is told so, and not that no majority is there."""
    leader = with_services(cluster, 2)
    heir = next(n for n in cluster.names if n != leader)
    root = Client(cluster, "root", leader)
    os.kill(cluster.daemons[heir].process.pid, signal.SIGSTOP)
    try:
        root.ask(wire.frame(wire.REQUEST, wire.number(1, 1) + wire.text(2, "node transfer") + wire.text(6, "test") +
                            wire.text(14, heir)), wire.request(2, "pause", "s0", "test"), wire.request(3, "spec"))
        told = {}
        while not {2, 3} <= told.keys():
            got = root.answers(20)
            expect(got, "an answer to all", told)
            told.update(zip(identities(got), got))
    finally:
        os.kill(cluster.daemons[heir].process.pid, signal.SIGCONT)
    for i in (2, 3):
        expect(b"handed over" in told[i] and b"majority" not in told[i], "to be told why", told[i])


def all_that_was_said(cluster):
    """Requests and a goodbye in one breath: what waited for its turn when the goodbye came is carried out too."""
    leader = with_services(cluster, 2)
    adam = Client(cluster, "adam", leader)
    adam.ask(dear(1) + wire.request(2, "pause", "s0", "test") + wire.request(3, "pause", "s1", "test"))
    adam.socket.settimeout(0.0)
    try:
        adam.socket.unwrap()  # says goodbye; the other side's is not waited for
    except (OSError, ValueError):
        pass
    eventually("both to be paused", lambda: all(s["paused"] for s in (cluster.status() or {"services": [{"paused": 0}]})["services"]))
    adam.close()


main([one_in_a_turn, many_reads, places_for_who_acts, in_order, nobody_elses, role_first,
      handing_over, all_that_was_said])
