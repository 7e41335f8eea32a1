#!/usr/bin/python3
"""abuse.py KIND --to HOST:PORT --ca FILE --cert PREFIX [--foreign PREFIX] [--seconds S] -- one machine that misuses the port
of a coordinator, as hard as it can from one process; one JSON line at its end: what it did.  --list: the kinds.

A process of its own, so that it can be ended, and given less of the machine than what it is aimed at.
KIND is one of:"""

import argparse
import json
import os
import resource
import select
import selectors
import socket
import ssl
import struct
import sys
import threading
import time

import wire

HELD = 2000     # connections held half-open
DRIPS = 200     # slow writers
STREAMS = 32    # of one certificate: as many as a coordinator takes
FLOODS = 8      # connections that ask all the time
BATCH = 100     # requests sent before their answers are read
SERVICE = "s0"  # a service of which nobody minds that it is paused
GIVE_UP_S = 3


class Abuser:
    """Where it goes, for how long, with what certificate, and what was done."""

    def __init__(self, args):
        host, port = args.to.rsplit(":", 1)
        self.to = (host, int(port))
        self.end = time.monotonic() + args.seconds
        self.own = self.context(args.ca, args.cert)
        self.foreign = self.context(args.ca, args.foreign) if args.foreign else None
        self.lock = threading.Lock()
        self.done = {}

    @staticmethod
    def context(authority, prefix):
        """TLS with that certificate; whether the other side is genuine is not asked."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        tls.load_verify_locations(authority)
        tls.load_cert_chain(prefix + ".crt", prefix + ".key")
        return tls

    def going_on(self):
        """Whether there is time left."""
        return time.monotonic() < self.end

    def count(self, what, n=1):
        """Note what was done."""
        with self.lock:
            self.done[what] = self.done.get(what, 0) + n

    def plain(self):
        """A TCP connection."""
        s = socket.create_connection(self.to, GIVE_UP_S)
        s.settimeout(GIVE_UP_S)
        self.count("connections")
        return s

    def secure(self, tls=None):
        """A TLS connection."""
        got = (tls or self.own).wrap_socket(self.plain())
        self.count("handshakes")
        return got

    def threads(self, work, count):
        """Do the same thing again and again in so many threads."""
        def run(n):
            while self.going_on():
                try:
                    work(n)
                except (OSError, ValueError):
                    self.count("ended_by_it")
        all_of_them = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
        for t in all_of_them:
            t.start()
        for t in all_of_them:
            t.join(max(0, self.end - time.monotonic()) + GIVE_UP_S)

    def until_closed(self, s):
        """Read until the other side ends it."""
        while self.going_on() and s.recv(65536):
            pass

    # --- connections that say nothing right -----------------------------------------------------------------

    def garbage(self):
        """bytes that are no TLS"""
        def work(_n):
            with self.plain() as s:
                s.sendall(os.urandom(1 + os.urandom(1)[0] * 16))
                self.until_closed(s)
        self.threads(work, 8)

    def garbage_inside(self):
        """TLS with a good certificate, and then bytes that are no frames, or frames that hold garbage"""
        texts = [lambda: os.urandom(4000), lambda: wire.frame(wire.GREET, os.urandom(50)),
                 lambda: wire.greeting() + b"".join(wire.frame(wire.REQUEST, os.urandom(60)) for _ in range(100)),
                 lambda: wire.greeting() + wire.HEADER.pack(b"DRC1", 1, wire.REQUEST, 1 << 20, 0) + os.urandom(65536),
                 lambda: wire.greeting() + b"".join(wire.frame(k, b"\xff" * 30) for k in range(1, 60))]

        def work(n):
            with self.secure() as s:
                s.sendall(texts[(n + self.done["handshakes"]) % len(texts)]())
                s.settimeout(0.05)
                self.until_closed(s)
        self.threads(work, 8)

    def foreigner(self):
        """the certificate of another cluster, again and again"""
        def work(_n):
            with self.secure(self.foreign) as s:
                self.until_closed(s)  # TLS 1.3: it is judged after our handshake is done
        self.threads(work, 8)

    def connections(self):
        """thousands of connections, opened and closed at once"""
        def work(n):
            s = self.plain()
            if n % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            s.close()
        self.threads(work, 8)

    # --- connections that stop halfway ----------------------------------------------------------------------

    def held(self, count, first, drip=b"", every=1.0):
        """Hold so many connections that begin so; a byte of `drip` each `every` seconds; whoever is closed comes again."""
        chosen, state, slot = selectors.DefaultSelector(), {}, 0

        def begin():
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(self.to)
            state[s] = 0
            chosen.register(s, selectors.EVENT_WRITE | selectors.EVENT_READ)
            self.count("connections")

        def again(s):
            chosen.unregister(s)
            s.close()
            del state[s]
            begin()

        def ready(s, mask):
            try:
                if mask & selectors.EVENT_WRITE:
                    s.send(first)
                    chosen.modify(s, selectors.EVENT_READ)
                elif not s.recv(65536):
                    again(s)
            except BlockingIOError:
                pass
            except OSError:
                again(s)

        def feed(s):
            try:
                s.send(drip[state[s] % len(drip):][:1])
                state[s] += 1
            except OSError:
                pass  # its end is seen when it is read

        while self.going_on():
            for _ in range(min(100, count - len(state))):
                begin()
            for key, mask in chosen.select(0.02):
                ready(key.fileobj, mask)
            if drip and time.monotonic() > slot:
                slot = time.monotonic() + every
                for s in list(state):
                    feed(s)
        self.done["held"] = len(state)

    def hello(self):
        """The first bytes of a handshake."""
        out = ssl.MemoryBIO()
        try:
            self.own.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
        except ssl.SSLWantReadError:
            pass
        return out.read()

    def half_open(self):
        """TCP connections without a byte"""
        self.held(HELD, b"")

    def half_tls(self):
        """TLS begun, its answer never read to the end"""
        self.held(HELD, self.hello())

    def half_hello(self):
        """half of what TLS begins with"""
        self.held(HELD, self.hello()[:100])

    def slow_writers(self):
        """a byte a second: of TLS' first message, and of a frame inside TLS"""
        hello = self.hello()

        def inside():
            all_of_them = []
            said = wire.greeting() + wire.request(1, "status") * 100
            while self.going_on():
                for s in all_of_them:
                    try:
                        s[0].sendall(said[s[1]:s[1] + 1])
                        s[1] += 1
                    except OSError:
                        s[0].close()
                all_of_them = [s for s in all_of_them if s[0].fileno() >= 0]
                while self.going_on() and len(all_of_them) < STREAMS:
                    all_of_them.append([self.secure(), 0])
                time.sleep(1)  # the pace is the abuse

        side = threading.Thread(target=inside, daemon=True)
        side.start()
        self.held(DRIPS, hello[:1], hello[1:])
        side.join(GIVE_UP_S)

    # --- those who are let in -------------------------------------------------------------------------------

    def read_answers(self, s, count):
        """Take so many frames."""
        kept = b""
        while count > 0:
            got = s.recv(1 << 18)
            if not got:
                raise OSError("closed")
            kept += got
            while len(kept) >= wire.HEADER.size and len(kept) >= wire.HEADER.size + wire.HEADER.unpack_from(kept)[3]:
                kept = kept[wire.HEADER.size + wire.HEADER.unpack_from(kept)[3]:]
                count -= 1
                self.count("answers")

    def flood(self, made):
        """Requests in batches on a few connections, their answers read."""
        def work(n):
            with self.secure() as s:
                s.sendall(wire.greeting())
                while self.going_on():
                    s.sendall(b"".join(made() for _ in range(BATCH)))
                    self.count("requests", BATCH)
                    self.read_answers(s, BATCH)
        self.threads(work, FLOODS)

    def requests(self):
        """requests that are right: the whole status, all the time"""
        self.flood(lambda: wire.request(5, "status"))

    def reads(self):
        """requests that are right and wait for the log: the spec, all the time"""
        self.flood(lambda: wire.request(5, "spec"))

    def changes(self):
        """requests that are right and enter the log, all the time"""
        self.flood(lambda: wire.request(int.from_bytes(os.urandom(7), "big"), "pause", SERVICE, "abuse"))

    def slow_readers(self):
        """streams and long answers of which nobody reads anything, and changes that feed them"""
        def work(n):
            if n == 0:
                with self.secure() as s:
                    s.sendall(wire.greeting())
                    while self.going_on():
                        s.sendall(wire.request(int.from_bytes(os.urandom(7), "big"), "pause", SERVICE, "abuse"))
                        self.read_answers(s, 1)
                return
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(GIVE_UP_S)
            s.connect(self.to)
            self.count("connections")
            with self.own.wrap_socket(s) as t:
                self.count("handshakes")
                asked = wire.request(9, "watch", start=1) if n % 2 else wire.request(9, "status") * BATCH
                t.sendall(wire.greeting() + asked)
                self.count("requests", 1 if n % 2 else BATCH)
                ended = select.poll()
                ended.register(t, select.POLLRDHUP)  # and no byte is read
                while self.going_on() and not ended.poll(100):
                    pass
                if self.going_on():
                    self.count("ended_by_it")
        self.threads(work, STREAMS)


KINDS = {"garbage": Abuser.garbage, "garbage-inside": Abuser.garbage_inside, "foreigner": Abuser.foreigner,
         "connections": Abuser.connections, "half-open": Abuser.half_open, "half-hello": Abuser.half_hello,
         "half-tls": Abuser.half_tls, "slow-writers": Abuser.slow_writers, "requests": Abuser.requests,
         "reads": Abuser.reads, "changes": Abuser.changes, "slow-readers": Abuser.slow_readers}


def main():
    """The kind that the command line names."""
    listed = "\n".join(f"  {name:<16}{work.__doc__}" for name, work in KINDS.items())
    p = argparse.ArgumentParser(description=f"{__doc__}\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=KINDS, metavar="KIND")
    for name in ("to", "ca", "cert"):
        p.add_argument(f"--{name}", required=True)
    p.add_argument("--foreign")
    p.add_argument("--seconds", type=float, default=5)
    if "--list" in sys.argv:
        print("\n".join(KINDS))
        return 0
    args = p.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    abuser = Abuser(args)
    KINDS[args.kind](abuser)
    print(json.dumps({"kind": args.kind, **abuser.done}), flush=True)
    os._exit(0)  # thousands of connections, and threads that wait: the kernel ends them all at once


if __name__ == "__main__":
    sys.exit(main())
