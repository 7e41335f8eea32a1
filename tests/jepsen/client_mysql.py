"""client_mysql.py -- what the clients of tests/jepsen do on MariaDB and MySQL.

InnoDB's REPEATABLE READ is no snapshot isolation: a statement that writes sees what was committed since.  So nothing here
rests on it: lists are read and written under SERIALIZABLE, where each read locks (two phases, strict), and cells by single
statements.  Beside each write the server itself names the epoch that its data descends from (drcoord.lineage) and, once it
is committed, its transaction's number, which grows along the binary log."""

import pymysql
from pymysql.constants import CLIENT

from session import Refused, Session

READ_ONLY, DEADLOCK, LOCKED = (1290, 1836), 1213, 1205
EPOCH = "(SELECT MAX(epoch) FROM drcoord.lineage)"
TABLES = """
CREATE TABLE drlab.jepsen_set (n BIGINT PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE drlab.jepsen_list (k BIGINT PRIMARY KEY, v MEDIUMTEXT NOT NULL) ENGINE=InnoDB;
CREATE TABLE drlab.jepsen_cell (k BIGINT PRIMARY KEY, v BIGINT NOT NULL) ENGINE=InnoDB;
GRANT SELECT, INSERT, UPDATE ON drlab.* TO writer@'%';
GRANT SELECT ON drcoord.lineage TO writer@'%';
"""


class Mysql(Session):
    """A connection to one MariaDB or MySQL at a time."""

    ERRORS = (pymysql.Error, OSError)

    def connect(self, host, port, seconds):
        """Open it; one that takes no writes is left at once."""
        conn = pymysql.connect(host=host, port=int(port), user="writer", database="drlab", autocommit=True, connect_timeout=seconds,
                               read_timeout=self.STATEMENT_S, write_timeout=self.STATEMENT_S, client_flag=CLIENT.FOUND_ROWS)
        try:
            with conn.cursor() as cursor:
                cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
                cursor.execute("SELECT @@global.read_only, VERSION() LIKE '%MariaDB%'")
                read_only, self.maria = cursor.fetchone()
            if read_only:
                raise Refused("a standby")
        except BaseException:
            conn.close()
            raise
        return conn

    def run(self, sql, values=()):
        """Run one statement; (its rows, how many it found to change)."""
        with self.conn.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall(), cursor.rowcount

    def _epoch(self):
        """Keep the epoch that the server's data descends from."""
        self.told["timeline"] = int(self.run(f"SELECT {EPOCH}")[0][0][0] or 1)

    def _commit(self, sent, wrote=True):
        """Commit, and keep where in the binary log that is, if it is there."""
        sent.append(1)
        self.run("COMMIT")
        if self.maria and wrote:
            self.told["position"] = int(self.run("SELECT @@last_gtid")[0][0][0].rpartition("-")[2])

    def undo(self):
        """After a refusal that says nothing against the server."""
        self.run("ROLLBACK")

    def judge(self, error):
        """(whether it surely did not happen, whether the connection is as good as before): before the commit is sent nothing
        has happened, and who asks knows that; afterwards nobody is asked what an error means."""
        code = error.args[0] if error.args else None
        return False, code in (DEADLOCK, LOCKED)

    def _write(self, sql, values, sent):
        """One statement, the epoch it is in, and its commit; how many rows it found."""
        self.run("BEGIN")
        count = self.run(sql, values)[1]
        self._epoch()
        self._commit(sent, count > 0)
        return count

    # --- set --------------------------------------------------------------------------------

    def add(self, number, sent):
        """Add one number."""
        self._write("INSERT INTO jepsen_set VALUES (%s)", (number,), sent)

    def members(self):
        """All numbers, from a server that takes writes."""
        rows = self.run("SELECT n FROM jepsen_set")[0]
        if self.run("SELECT @@global.read_only")[0][0][0]:
            raise Refused("a standby")
        return [row[0] for row in rows]

    # --- append -----------------------------------------------------------------------------

    def transaction(self, parts, sent):
        """All parts and the commit; serializable."""
        done = []
        self.run("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        self.run("BEGIN")
        for f, key, value in parts:
            if f == "append":
                self.run("INSERT INTO jepsen_list VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = CONCAT(v, ' ', %s)",
                         (key, str(value), str(value)))
                done.append([f, key, value])
            else:
                rows = self.run("SELECT v FROM jepsen_list WHERE k = %s", (key,))[0]
                done.append([f, key, numbers(rows)])
        self._epoch()
        self._commit(sent, any(f == "append" for f, _, _ in parts))
        return done

    def lists(self, sent):
        """Every list in one transaction: [(key, values)]."""
        self.run("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        self.run("BEGIN")
        rows = self.run("SELECT v, k FROM jepsen_list ORDER BY k")[0]
        sent.append(1)
        self.run("COMMIT")
        return [(row[1], numbers([row])) for row in rows]

    # --- cells ------------------------------------------------------------------------------

    def read(self, key):
        """A cell's value; None: it has none."""
        query = f"SELECT @@global.read_only, {EPOCH}, (SELECT v FROM jepsen_cell WHERE k = %s)"
        read_only, epoch, value = self.run(query, (key,))[0][0]
        if read_only:
            raise Refused("a standby")
        self.told["timeline"] = int(epoch or 1)
        return value

    def write(self, key, value, sent):
        """Give a cell a value."""
        self._write("INSERT INTO jepsen_cell VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = VALUES(v)", (key, value), sent)

    def swap(self, key, old, new, sent):
        """Compare and set; whether it was so."""
        return self._write("UPDATE jepsen_cell SET v = %s WHERE k = %s AND v = %s", (new, key, old), sent) == 1


def numbers(rows):
    """The numbers of a list as it stands in the first of the rows; none without one."""
    return [int(n) for n in rows[0][0].split()] if rows else []
