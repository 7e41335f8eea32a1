#!/usr/bin/python3
"""coordd_ledger.py DRCOORDD DRCOORDCTL [CASE...] -- coordinators compare their ledgers, and say it when they differ.

A ledger that really differs takes a corrupted state: here a peer with c-c's certificate claims one."""

import hashlib
import struct

from coordd import connect, eventually, expect, main
from wire import frame

GREET, LEDGER, PEER = 3, 35, 3


def verdicts(cluster):
    """What the leader's status says of each coordinator's ledger."""
    return {c["name"]: c["ledger"] for c in (cluster.status() or {"coordinators": []})["coordinators"]}


def all_same(cluster):
    """Wait until the leader found every ledger to be as its own."""
    eventually("the same ledger everywhere", lambda: list(verdicts(cluster).values()) == ["same"] * 3, 30)


class Peer:
    """A connection as coordinator `name` to another one."""

    def __init__(self, cluster, name, to):
        self.socket = connect(cluster, name, to)
        greeting = struct.pack("BB", 8, PEER) + b"\x12\x04demo" + struct.pack("BB", 0x1a, len(name)) + name.encode()
        self.socket.sendall(frame(GREET, greeting + b"\x20\x01"))

    def claims(self, *marks):
        """Send heads: (index, head)."""
        self.says(bytes([len(marks)]) + b"".join(struct.pack(">Q", i) + head for i, head in marks))

    def says(self, payload):
        """Send this as heads of a ledger."""
        self.socket.sendall(frame(LEDGER, payload))


def lines_of(daemon, event):
    """What a coordinator logged of that name."""
    return [line for line in daemon.said().splitlines() if f"event={event} " in line]


def told_and_agreed(cluster):
    """All agree; one that claims another history is named once, with what to do; it agrees again."""
    leader = cluster.up()["leader"]
    all_same(cluster)
    name = next(n for n in cluster.names if n != leader)
    cluster.daemons[name].kill()
    daemon = cluster.daemons[leader]
    eventually("the leader to notice", lambda: f"coordinator={name}" in "".join(lines_of(daemon, "coordinator.lost")))

    peer = Peer(cluster, name, leader)
    for garbage in (b"", b"\0", b"\1", b"\xff" * 9000, b"\1" + bytes(40), b"\2" + bytes(40)):
        peer.says(garbage)
    wrong = hashlib.sha256(b"another history").digest()

    def is_told():
        status = cluster.status()
        for _ in range(2):
            peer.claims((status["event_last"] + 1000, wrong))  # not there yet: says nothing
            peer.claims((status["event_last"], wrong))
        return verdicts(cluster).get(name) == "differs" and status
    status = eventually("it to be told", is_told)
    said = lines_of(daemon, "ledger.differs")
    words = f"coordinator={name} index={status['event_last']} ours={status['ledger_head'][:16]} theirs={wrong[:8].hex()} "
    expect(len(said) == 1 and words in said[0] and "drcoordctl node remove" in said[0],
           "it to be said once, with both heads and what to do", words, said)
    table = cluster.ctl("-o", "table", "status").stdout
    expect(f"{name}: its ledger differs from the leader's: " in table, "the table to say so", table)
    peer.socket.close()

    cluster.start(name)
    all_same(cluster)
    expect(len(lines_of(daemon, "ledger.agrees")) == 1, "it to be said that they agree again", daemon.said()[-2000:])


main([told_and_agreed])
