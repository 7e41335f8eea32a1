"""client.py -- clients of one place: each a process of the history, its operations as JSON lines on stdout.

    client.py WORKLOAD --kind K --first P --count N --seed S --rate HZ HOST:PORT...

It is started inside the network of a host.  SIGUSR1 has every process read all there is, once, and end; SIGTERM ends
it at once.  Times are CLOCK_BOOTTIME, in nanoseconds.

What an outcome means is Jepsen's: "ok" it happened, "fail" it did not, "info" nobody knows.  What is done on a server
stands in client_KIND.py; here is when, and what is written down."""

import argparse
import importlib
import json
import random
import signal
import sys
import threading
import time

from session import Late, NotSo, Refused, Unsure

KEYS_AT_ONCE, KEYS_FOR_S, PARTS_MOST = 4, 2, 4
CELLS_AT_ONCE, CELLS_FOR_S = 6, 8  # long enough to outlive a failover
CELL_VALUES = 5  # few, so that comparing and setting works often enough
CRASHED = 100  # a process whose operation is "info" goes on under another number, as Jepsen's do
OUT = threading.Lock()
SESSIONS = {"postgres": ("client_postgres", "Postgres"), "mariadb": ("client_mysql", "Mysql"), "mysql": ("client_mysql", "Mysql"),
            "redis": ("client_redis", "Redis"), "valkey": ("client_redis", "Redis")}


def now():
    """CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def say(**op):
    """One operation, whole lines only."""
    with OUT:
        sys.stdout.write(json.dumps({**op, "time": now()}) + "\n")
        sys.stdout.flush()


def words_of(error):
    """An error in a line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__} {getattr(error, 'pgcode', None) or ''} {text[0] if text else ''}".strip()


class Workload:
    """What one process does again and again."""

    def __init__(self, process, session, rng):
        self.process, self.session, self.rng = process, session, rng
        self.errors = session.ERRORS + (Late, Unsure, Refused)

    def attempt(self, f, value, act, **more):
        """One operation with its beginning and its end; act(sent) returns the value of the end.  Whether it was carried out."""
        sent = []
        try:
            self.session.open()
        except self.errors:
            self.session.close()
            time.sleep(0.05)
            return False
        head = {"process": self.process, "f": f, "server": self.session.server(), **more}
        say(**head, type="invoke", value=value)
        self.session.told = {}
        try:
            answer = act(sent)
            say(**head, type="ok", value=answer, **self.session.told)
            return True
        except self.errors as e:
            self._failed(head, value, e, bool(sent))
        return False

    def _failed(self, head, value, error, sent):
        """Write down an operation that ended by an error, and be ready for the next one."""
        refused = isinstance(error, Refused)
        surely, goes_on = (True, isinstance(error, NotSo)) if refused else self.session.judge(error)
        kind = "fail" if surely or not sent else "info"
        say(**head, type=kind, value=value, error=words_of(error))
        if kind == "info":
            self.process += CRASHED
        if kind == "fail" and goes_on:
            try:
                if not refused:
                    self.session.undo()
                return
            except self.errors:
                pass
        self.session.close()

    def key(self, at_once=KEYS_AT_ONCE, for_s=KEYS_FOR_S):
        """One of the lists or cells of these seconds; an old one is not used again."""
        return now() // 10**9 // for_s * at_once + self.rng.randrange(at_once)


class SetWorkload(Workload):
    """Numbered inserts, and one read of all at the end."""

    def __init__(self, *args):
        super().__init__(*args)
        self.next = self.process * 10_000_000

    def once(self):
        """Add one number."""
        self.next += 1
        number = self.next

        def add(sent):
            self.session.add(number, sent)
            return number
        return self.attempt("add", number, add)

    def read_all(self):
        """Read them all, from a server that takes writes."""
        return self.attempt("read", None, lambda _sent: self.session.members())


class AppendWorkload(Workload):
    """Transactions that append to lists and read them, serializable."""

    def __init__(self, *args):
        super().__init__(*args)
        self.origin, self.count = self.process, 0

    def micro(self):
        """One part of a transaction; no value is ever used again."""
        key = self.key()
        if self.rng.random() < 0.5:
            return ["r", key, None]
        self.count += 1
        return ["append", key, self.count * CRASHED + self.origin]

    def once(self):
        """One transaction.  Until the commit is sent nothing has happened."""
        parts = [self.micro() for _ in range(self.rng.randint(1, PARTS_MOST))]
        return self.attempt("txn", parts, lambda sent: self.session.transaction(parts, sent))

    def read_all(self):
        """Read every list in one transaction."""
        return self.attempt("txn", [], lambda sent: [["r", k, v] for k, v in self.session.lists(sent)])


class CellsWorkload(Workload):
    """Reads, writes and compares-and-sets of single values in the database."""

    def once(self):
        """One operation on one cell."""
        key, f = self.key(CELLS_AT_ONCE, CELLS_FOR_S), self.rng.choice(("read", "read", "write", "cas"))
        new, old = self.rng.randrange(CELL_VALUES), self.rng.randrange(CELL_VALUES)
        if f == "read":
            return self.attempt(f, None, lambda _sent: self.session.read(key), key=key)
        if f == "write":
            return self.attempt(f, new, lambda sent: self.session.write(key, new, sent) or new, key=key)

        def swap(sent):
            if not self.session.swap(key, old, new, sent):
                raise NotSo(f"it is not {old}")
            return [old, new]
        return self.attempt(f, [old, new], swap, key=key)

    def read_all(self):
        """There is nothing to be read at the end that was not read before."""
        return True


WORKLOADS = {"set": SetWorkload, "append": AppendWorkload, "cells": CellsWorkload}


def live(work, stop, final, pause_s):
    """One process of the history from its beginning to its end."""
    while not stop.is_set():
        if final.is_set():
            if work.read_all():
                return
            time.sleep(0.05)
            continue
        work.once()
        time.sleep(work.rng.random() * 2 * pause_s)


def session_of(kind):
    """The class of a kind's sessions."""
    module, name = SESSIONS[kind]
    return getattr(importlib.import_module(module), name)


def main():
    """Start the processes, then listen; 1 when one of them ended by an error of ours."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--kind", choices=SESSIONS, default="postgres")
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("addresses", nargs="+")
    args = parser.parse_args()
    addresses, session = [a.rsplit(":", 1) for a in args.addresses], session_of(args.kind)
    stop, final, died = threading.Event(), threading.Event(), []
    threading.excepthook = lambda what: (died.append(what.thread), threading.__excepthook__(what))
    signal.signal(signal.SIGUSR1, lambda *_: final.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads = []
    for process in range(args.first, args.first + args.count):
        rng = random.Random(args.seed * 1000 + process)
        work = WORKLOADS[args.workload](process, session(addresses, rng), rng)
        threads.append(threading.Thread(target=live, args=(work, stop, final, 1 / args.rate), daemon=True))
        threads[-1].start()
    while not stop.is_set() and any(t.is_alive() for t in threads):
        time.sleep(0.05)
    return 1 if died else 0


if __name__ == "__main__":
    sys.exit(main())
