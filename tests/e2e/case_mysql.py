"""case_mysql.py -- MariaDB and MySQL: what a member that diverged leaves behind, and how it comes back."""

import glob

from cluster import member_of
from faults import A, FAULTS
from scene import case, eventually, expect
from stand import Run


def salvaged(stand, site):
    """The one salvage folder of a site's member: the ids in its list, and its logs' bytes."""
    found = glob.glob(f"{stand.pg.folder[site]}/salvage/{stand.cluster.name}-{member_of(site)}-*")
    expect(len(found) == 1, "one salvage folder", found)
    with open(f"{found[0]}/manifest") as f:
        expect(f.readline() == "drcoord-salvage 1\n", "a manifest")
    with open(f"{found[0]}/transactions") as f:
        lines = [line.split() for line in f]
    logs = b""
    for name in sorted({line[1] for line in lines}):
        with open(f"{found[0]}/{name}", "rb") as f:
            logs += f.read()
    return [line[0] for line in lines], logs


def is_in(row, logs):
    """Whether binary logs have a row of the writers' table: as its bytes, or as the statement that made it."""
    writer, n = row
    return writer.to_bytes(4, "little") + n.to_bytes(8, "little") in logs or b"VALUES (%d, %d)" % row in logs


def diverged(scenes, kind):
    """Cut site a off while a client inside goes on writing; what it wrote is saved, and the member is made anew."""
    stand = scenes.stand(durability="async", kind=kind)
    run = Run(stand.up(), FAULTS["partition"], 1)
    record = run.go()
    bad = run.complaints()
    expect(not bad, "nothing that must never happen", *bad)
    expect(record["old_rejoined_s"] is not None, "the old primary to follow again")
    lost = stand.writers.acknowledged_rows() - stand.pg.rows(run.new_site)
    expect(lost, "rows that only the cut-off primary had")
    ids, logs = salvaged(stand, A)
    expect(len(ids) >= len(lost), f"at least {len(lost)} transactions in the list", len(ids))
    missing = [row for row in lost if not is_in(row, logs)]
    expect(not missing, "every lost row in the salvaged logs", missing[:5])
    eventually(stand, "the copy to hold what the primary holds", lambda: stand.pg.rows(A) == stand.pg.rows(run.new_site))
    return {"rows_saved": len(lost), "transactions": len(ids), "rejoined_s": record["old_rejoined_s"]}


@case("mariadb-diverged")
def mariadb_diverged(scenes):
    """MariaDB cut off while a client in its site writes: its rows are saved with a list, and it comes back as a new copy."""
    return diverged(scenes, "mariadb")


@case("mysql-diverged")
def mysql_diverged(scenes):
    """The same of MySQL, which fetches its copy by CLONE."""
    return diverged(scenes, "mysql")
