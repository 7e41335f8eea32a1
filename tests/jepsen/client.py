"""client.py -- clients of one place: each a process of the history, its operations as JSON lines on stdout.

    client.py WORKLOAD --first P --count N --seed S --rate HZ HOST:PORT...

It is started inside the network of a host.  SIGUSR1 has every process read all there is, once, and end; SIGTERM ends
it at once.  Times are CLOCK_BOOTTIME, in nanoseconds.

What an outcome means is Jepsen's: "ok" it happened, "fail" it did not, "info" nobody knows.  A server that is stopped
while a commit waits for its standby has committed where it stands (PostgreSQL's documentation of synchronous
replication): a connection that ends, and a warning of a wait that was given up, are "info"."""

import argparse
import json
import random
import select
import signal
import sys
import threading
import time

import psycopg2
from psycopg2 import extensions

CONNECT_S, STATEMENT_S = 1.0, 2.0
KEYS_AT_ONCE, KEYS_FOR_S, OPS_MOST = 4, 2, 4
CRASHED = 100  # a process whose operation is "info" goes on under another number, as Jepsen's do
READ_ONLY, SERIALIZATION, DEADLOCK = "25006", "40001", "40P01"
# The timeline that a write goes to, in the words of the server that takes it: no clock has a part in it.
TIMELINE = "RETURNING pg_walfile_name(pg_current_wal_insert_lsn())"
TIMELINE_DIGITS = 8
GAVE_UP = "might not have been replicated"
OUT = threading.Lock()


class Late(Exception):
    """The answer did not come in time."""


class Unsure(Exception):
    """It may have happened."""


def now():
    """CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def say(**op):
    """One operation, whole lines only."""
    with OUT:
        sys.stdout.write(json.dumps({**op, "time": now()}) + "\n")
        sys.stdout.flush()


def wait(conn, until):
    """psycopg2's wait loop with a deadline."""
    while True:
        state = conn.poll()
        if state == extensions.POLL_OK:
            return
        left = until - time.monotonic()
        if left <= 0:
            raise Late("no answer in time")
        reads = [conn.fileno()] if state == extensions.POLL_READ else []
        writes = [conn.fileno()] if state == extensions.POLL_WRITE else []
        select.select(reads, writes, [], left)


class Session:
    """A connection to one server at a time; another server is tried when this one won't do."""

    def __init__(self, addresses, rng):
        self.addresses, self.at = addresses, rng.randrange(len(addresses))
        self.conn = self.cursor = None

    def server(self):
        """The address spoken to."""
        return ":".join(self.addresses[self.at])

    def open(self):
        """Connect; a psycopg2.Error or Late says why not."""
        if self.conn:
            return
        host, port = self.addresses[self.at]
        conn = psycopg2.connect(host=host, port=port, user="writer", dbname="postgres", sslmode="disable",
                                gssencmode="disable", application_name="drlab-jepsen", async_=1)
        try:
            wait(conn, time.monotonic() + CONNECT_S)
        except BaseException:
            conn.close()
            raise
        self.conn, self.cursor = conn, conn.cursor()

    def close(self, elsewhere=True):
        """Give this connection up, and the server too."""
        if self.conn:
            self.conn.close()
        self.conn = self.cursor = None
        if elsewhere:
            self.at = (self.at + 1) % len(self.addresses)

    def run(self, sql, values=(), seconds=STATEMENT_S):
        """Run one statement; its rows."""
        del self.conn.notices[:]
        self.cursor.execute(sql, values)
        wait(self.conn, time.monotonic() + seconds)
        if any(GAVE_UP in n for n in self.conn.notices):
            raise Unsure("the wait for the standby was given up")
        return self.cursor.fetchall() if self.cursor.description else []

    def write(self, sql, values):
        """Run one statement that writes a row; the timeline it is on."""
        return int(self.run(f"{sql} {TIMELINE}", values)[0][0][:TIMELINE_DIGITS], 16)


def outcome(error, sent):
    """(type, text): whether what was sent may have happened."""
    code = getattr(error, "pgcode", None)
    text = f"{type(error).__name__} {code or ''} {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    refused = code is not None and not code.startswith(("57", "08", "XX", "58"))
    return ("fail" if refused or not sent else "info"), text.strip()


class Workload:
    """What one process does again and again."""

    def __init__(self, process, session, rng):
        self.process, self.session, self.rng = process, session, rng
        self.timeline = None  # of the operation's last write

    def attempt(self, f, value, act):
        """One operation with its beginning and its end; act(session, sent) returns the value of the end."""
        sent = []
        try:
            self.session.open()
        except (psycopg2.Error, Late):
            self.session.close()
            time.sleep(0.05)
            return False
        head = {"process": self.process, "f": f, "server": self.session.server()}
        say(**head, type="invoke", value=value)
        self.timeline = None
        try:
            answer = act(sent)
            told = {} if self.timeline is None else {"timeline": self.timeline}
            say(**head, type="ok", value=answer, **told)
            return True
        except (psycopg2.Error, Late, Unsure) as e:
            kind, text = outcome(e, bool(sent))
            say(**head, type=kind, value=value, error=text)
            if kind == "info":
                self.process += CRASHED
            code = getattr(e, "pgcode", None)
            if kind == "fail" and code in (SERIALIZATION, DEADLOCK):
                self.rollback()
            else:
                self.session.close()
        return True

    def rollback(self):
        """After a refusal that says nothing against the server."""
        try:
            self.session.run("ROLLBACK")
        except (psycopg2.Error, Late, Unsure):
            self.session.close()


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
            sent.append(1)
            self.timeline = self.session.write("INSERT INTO jepsen_set VALUES (%s)", (number,))
            return number
        return self.attempt("add", number, add)

    def read_all(self):
        """Read them all, from a server that takes writes."""
        def read(_sent):
            if self.session.run("SELECT pg_is_in_recovery()")[0][0]:
                raise psycopg2.OperationalError("a standby")
            return [row[0] for row in self.session.run("SELECT n FROM jepsen_set", seconds=20)]
        return self.attempt("read", None, read)


class AppendWorkload(Workload):
    """Transactions that append to lists and read them, serializable."""

    def __init__(self, *args):
        super().__init__(*args)
        self.origin, self.count = self.process, 0

    def micro(self):
        """One part of a transaction, on one of the lists of these seconds; no value is ever used again."""
        key = now() // 10**9 // KEYS_FOR_S * KEYS_AT_ONCE + self.rng.randrange(KEYS_AT_ONCE)
        if self.rng.random() < 0.5:
            return ["r", key, None]
        self.count += 1
        return ["append", key, self.count * CRASHED + self.origin]

    def once(self):
        """One transaction."""
        ops = [self.micro() for _ in range(self.rng.randint(1, OPS_MOST))]
        return self.attempt("txn", ops, lambda sent: self.transaction(ops, sent))

    def transaction(self, ops, sent):
        """All parts and the commit.  Until the commit is sent nothing has happened."""
        done = []
        self.session.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
        for f, key, value in ops:
            if f == "append":
                self.timeline = self.session.write(
                    "INSERT INTO jepsen_list VALUES (%s, ARRAY[%s::bigint]) ON CONFLICT (k)"
                    " DO UPDATE SET v = jepsen_list.v || excluded.v", (key, value))
                done.append([f, key, value])
            else:
                rows = self.session.run("SELECT v FROM jepsen_list WHERE k = %s", (key,))
                done.append([f, key, rows[0][0] if rows else []])
        sent.append(1)
        self.session.run("COMMIT")
        return done

    def read_all(self):
        """Read every list in one transaction."""
        def read(sent):
            self.session.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
            rows = self.session.run("SELECT k, v FROM jepsen_list ORDER BY k", seconds=20)
            sent.append(1)
            self.session.run("COMMIT")
            return [["r", k, v] for k, v in rows]
        return self.attempt("txn", [], read)


WORKLOADS = {"set": SetWorkload, "append": AppendWorkload}


def live(work, stop, final, pause_s):
    """One process of the history from its beginning to its end."""
    while not stop.is_set():
        if final.is_set():
            if work.read_all():
                return
            continue
        work.once()
        time.sleep(work.rng.random() * 2 * pause_s)


def main():
    """Start the processes, then listen; 1 when one of them ended by an error of ours."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("addresses", nargs="+")
    args = parser.parse_args()
    addresses = [a.rsplit(":", 1) for a in args.addresses]
    stop, final, died = threading.Event(), threading.Event(), []
    threading.excepthook = lambda what: (died.append(what.thread), threading.__excepthook__(what))
    signal.signal(signal.SIGUSR1, lambda *_: final.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads = []
    for process in range(args.first, args.first + args.count):
        rng = random.Random(args.seed * 1000 + process)
        work = WORKLOADS[args.workload](process, Session(addresses, rng), rng)
        threads.append(threading.Thread(target=live, args=(work, stop, final, 1 / args.rate), daemon=True))
        threads[-1].start()
    while not stop.is_set() and any(t.is_alive() for t in threads):
        time.sleep(0.05)
    return 1 if died else 0


if __name__ == "__main__":
    sys.exit(main())
