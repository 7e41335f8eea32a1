#!/usr/bin/python3
"""pooled.py -- a client behind a proxy or pooler: numbered rows over one connection, every wait and every error in its log.

  pooled.py --at ADDRESS:PORT --log FILE --id N [--database NAME] [--patience SECONDS]

A line a row: {"n", "sent", "waited", "error"} in seconds of CLOCK_BOOTTIME; error is null for an acknowledged row.  A broken
connection is made anew, which is an error too.  Rows go to drlab_row as writer --id; n grows whether it worked or not."""

import argparse
import json
import time

import psycopg2

PAUSE_S = 0.01


def now():
    """Seconds on the clock of all our logs."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def connect(options):
    """A connection that commits each statement."""
    host, port = options.at.rsplit(":", 1)
    conn = psycopg2.connect(host=host, port=port, user="writer", dbname=options.database, sslmode="disable",
                            connect_timeout=options.patience)
    conn.autocommit = True
    return conn


def main():
    """Write until killed."""
    p = argparse.ArgumentParser()
    p.add_argument("--at", required=True)
    p.add_argument("--log", required=True)
    p.add_argument("--id", type=int, required=True)
    p.add_argument("--database", default="postgres")
    p.add_argument("--patience", type=int, default=10)
    options = p.parse_args()
    conn, n = None, 0
    with open(options.log, "w", buffering=1) as log:
        while True:
            n += 1
            sent, error = now(), None
            try:
                conn = conn or connect(options)
                with conn.cursor() as cursor:
                    cursor.execute("INSERT INTO drlab_row VALUES (%s, %s)", (options.id, n))
            except psycopg2.Error as e:
                error = str(e).strip().split("\n")[0]
                if conn is not None:
                    conn.close()
                conn = None
            log.write(json.dumps({"n": n, "sent": sent, "waited": round(now() - sent, 4), "error": error}) + "\n")
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
