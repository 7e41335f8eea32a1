#!/usr/bin/python3
"""coordd_clients.py DRCOORDD DRCOORDCTL [CASE...] -- who is let in when many are connected, and what the others are told."""

import subprocess
import time

from coordd import connect, eventually, expect, main
import wire

EACH, ALL_VIEWERS = 32, 1280 - 3 * 32


class Client:
    """A connection that has said who it is, and asks for a stream."""

    def __init__(self, cluster, name):
        self.socket = connect(cluster, name, "c-a")
        self.socket.sendall(wire.greeting() + wire.request(9, "watch"))

    def is_answered(self, seconds):
        """What it was told within that time; None: nothing, the stream is open."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096) or b"closed"
        except TimeoutError:
            return None
        except OSError:
            return b"closed"

    def close(self):
        """End it."""
        self.socket.close()


def ctl(cluster, name, *words):
    """drcoordctl with that certificate."""
    argv = [cluster.drcoordctl, "-e", f"127.0.0.1:{cluster.ports['c-a']}", "--ca", cluster.path("pki", "ca.crt"),
            "--cert", cluster.path(name + ".crt"), "--key", cluster.path(name + ".key"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def places(cluster):
    """One viewer holds 32 places, all viewers 1,184: whoever has to act is let in all the same."""
    viewers = [f"viewer-{i}" for i in range(ALL_VIEWERS // EACH + 1)]
    for name in viewers:
        cluster.issue("viewer", name)
    cluster.issue("operator", "olga")
    cluster.start("c-a", "--bootstrap")
    eventually("a leader", cluster.status)
    held = {name: [Client(cluster, name) for _ in range(EACH)] for name in viewers[:-1]}
    for name, clients in held.items():
        expect(clients[-1].is_answered(0.3) is None, f"{name}'s last place to be held")
        more = Client(cluster, name)
        told = more.is_answered(10)
        expect(told and f"viewer {name} has {EACH} connections".encode() in told, "to be told of the bound", told)
        more.close()
    told = ctl(cluster, viewers[-1], "status", "-t", "1s")
    expect(told.returncode == 6 and "kept for higher roles" in told.stderr, "another viewer to be told why", told)
    began = time.monotonic()
    told = ctl(cluster, viewers[-1], "watch", "-t", "1s")
    expect(told.returncode == 6 and "kept for higher roles" in told.stderr, "a stream that ends", told)
    expect(time.monotonic() - began < 20, "it to end soon", time.monotonic() - began)
    for name in ("olga", "root"):
        told = ctl(cluster, name, "status", "-t", "2s")
        expect(told.returncode == 0 and "leader: c-a" in told.stdout, f"{name} to be let in", told)
    for client in held[viewers[0]]:
        client.close()
    eventually("room again", lambda: ctl(cluster, viewers[-1], "status", "-t", "1s").returncode == 0)


places.options = {"letters": "a"}
main([places])
