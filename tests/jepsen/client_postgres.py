"""client_postgres.py -- what the clients of tests/jepsen do on PostgreSQL.

A server that is stopped while a commit waits for its standby has committed where it stands (PostgreSQL's documentation
of synchronous replication): a connection that ends, and a warning of a wait that was given up, are "info"."""

import select
import time

import psycopg2
from psycopg2 import extensions

from session import Late, Refused, Session, Unsure

READ_ONLY, SERIALIZATION, DEADLOCK = "25006", "40001", "40P01"
# The timeline that a write goes to, in the words of the server that takes it: no clock has a part in it.
TIMELINE = "pg_walfile_name(pg_current_wal_insert_lsn())"
TIMELINE_DIGITS = 8
GAVE_UP = "might not have been replicated"
TABLES = """
CREATE TABLE jepsen_set (n bigint NOT NULL);
CREATE TABLE jepsen_list (k bigint PRIMARY KEY, v bigint[] NOT NULL);
CREATE TABLE jepsen_cell (k bigint PRIMARY KEY, v bigint NOT NULL);
GRANT SELECT, INSERT, UPDATE ON jepsen_set, jepsen_list, jepsen_cell TO writer;
"""


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


class Postgres(Session):
    """A connection to one PostgreSQL at a time."""

    ERRORS = (psycopg2.Error,)

    def __init__(self, addresses, rng):
        super().__init__(addresses, rng)
        self.cursor = None

    def connect(self, host, port, seconds):
        """Open it."""
        conn = psycopg2.connect(host=host, port=port, user="writer", dbname="postgres", sslmode="disable",
                                gssencmode="disable", application_name="drlab-jepsen", async_=1)
        try:
            wait(conn, time.monotonic() + seconds)
        except BaseException:
            conn.close()
            raise
        self.cursor = conn.cursor()
        return conn

    def run(self, sql, values=(), seconds=Session.STATEMENT_S):
        """Run one statement; its rows."""
        del self.conn.notices[:]
        self.cursor.execute(sql, values)
        wait(self.conn, time.monotonic() + seconds)
        if any(GAVE_UP in n for n in self.conn.notices):
            raise Unsure("the wait for the standby was given up")
        return self.cursor.fetchall() if self.cursor.description else []

    def _write(self, sql, values):
        """Run one statement that writes rows, and keep the timeline it is on; how many there were."""
        rows = self.run(f"{sql} RETURNING {TIMELINE}", values)
        for row in rows[:1]:
            self.told["timeline"] = int(row[0][:TIMELINE_DIGITS], 16)
        return len(rows)

    def undo(self):
        """After a refusal that says nothing against the server."""
        self.run("ROLLBACK")

    def judge(self, error):
        """(whether it surely did not happen, whether the connection is as good as before)."""
        code = getattr(error, "pgcode", None)
        refused = code is not None and not code.startswith(("57", "08", "XX", "58"))
        return refused, code in (SERIALIZATION, DEADLOCK)

    # --- set --------------------------------------------------------------------------------

    def add(self, number, sent):
        """Add one number."""
        sent.append(1)
        self._write("INSERT INTO jepsen_set VALUES (%s)", (number,))

    def members(self):
        """All numbers, from a server that takes writes."""
        if self.run("SELECT pg_is_in_recovery()")[0][0]:
            raise Refused("a standby")
        return [row[0] for row in self.run("SELECT n FROM jepsen_set", seconds=20)]

    # --- append -----------------------------------------------------------------------------

    def transaction(self, parts, sent):
        """All parts and the commit; serializable."""
        done = []
        self.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
        for f, key, value in parts:
            if f == "append":
                self._write("INSERT INTO jepsen_list VALUES (%s, ARRAY[%s::bigint]) ON CONFLICT (k)"
                            " DO UPDATE SET v = jepsen_list.v || excluded.v", (key, value))
                done.append([f, key, value])
            else:
                rows = self.run("SELECT v FROM jepsen_list WHERE k = %s", (key,))
                done.append([f, key, rows[0][0] if rows else []])
        sent.append(1)
        self.run("COMMIT")
        return done

    def lists(self, sent):
        """Every list in one transaction: [(key, values)]."""
        self.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
        rows = self.run("SELECT k, v FROM jepsen_list ORDER BY k", seconds=20)
        sent.append(1)
        self.run("COMMIT")
        return rows

    # --- cells ------------------------------------------------------------------------------

    def read(self, key):
        """A cell's value; None: it has none.  A standby refuses, since it has no place to write at."""
        timeline, value = self.run(f"SELECT {TIMELINE}, (SELECT v FROM jepsen_cell WHERE k = %s)", (key,))[0]
        self.told["timeline"] = int(timeline[:TIMELINE_DIGITS], 16)
        return value

    def write(self, key, value, sent):
        """Give a cell a value."""
        sent.append(1)
        self._write("INSERT INTO jepsen_cell VALUES (%s, %s) ON CONFLICT (k) DO UPDATE SET v = excluded.v", (key, value))

    def swap(self, key, old, new, sent):
        """Compare and set; whether it was so."""
        sent.append(1)
        return self._write("UPDATE jepsen_cell SET v = %s WHERE k = %s AND v = %s", (new, key, old)) == 1
