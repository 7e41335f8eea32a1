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


# ---- bad input: adopting is refused, with the server's words and the remedy

def refused(scenes, spoil, *words, kind="mariadb"):
    """Spoil something of the servers, then try to take the service over: whoever looks at the events reads why not."""
    stand = scenes.stand(durability="async", kind=kind)
    stand.up_servers()
    spoil(stand)
    stand.up_drcoord()
    cluster = stand.cluster
    cluster.insist("the spec to be accepted", "apply", "-f", cluster.spec_file(), "--reason", "demo")
    cluster.start_watch()
    said = []

    def told():
        said[:] = [text for _, text in [cluster.try_ctl("service", "adopt", cluster.name, "--reason", "demo", seconds=40)]]
        said.append(cluster.try_ctl("status")[1])
        said.extend(e.get("text") or "" for e in cluster.events())
        return any(all(w in text for w in words) for text in said)
    eventually(stand, f"a refusal that says {words}", told, 40, 1.0)
    expect(stand.primary_sites() == [A], "the servers to be as they were", stand.primary_sites())
    text = [t for t in said if all(w in t for w in words)][0]
    return {"said": text[text.index(words[0]):][:200]}


@case("mariadb-wrong-password")
def mariadb_wrong_password(scenes):
    """The agents' account has another password than their files: the service is not taken over, and why is said."""
    return refused(scenes, lambda s: s.pg.sql(A, "ALTER USER drcoord_agent@'%' IDENTIFIED BY 'other'"), "Access denied for user")


@case("mariadb-missing-privilege")
def mariadb_missing_privilege(scenes):
    """The agents' account lacks a privilege: the service is not taken over, the privilege and its use are named."""
    return refused(scenes, lambda s: s.pg.sql(A, "REVOKE CONNECTION ADMIN ON *.* FROM drcoord_agent@'%'"),
                   "lacks CONNECTION ADMIN", "GRANT CONNECTION ADMIN ON *.* TO")


@case("mariadb-gtid-off")
def mariadb_gtid_off(scenes):
    """The primary keeps no strict ids: the service is not taken over, what to set is named."""
    return refused(scenes, lambda s: s.pg.sql(A, "SET GLOBAL gtid_strict_mode = 0"), "gtid_strict_mode")


@case("mariadb-files-and-places")
def mariadb_files_and_places(scenes):
    """A standby replicates by files and places: it is not taken over, the remedy is named."""
    def spoil(stand):
        stand.pg.sql("az-c", "STOP SLAVE; CHANGE MASTER TO MASTER_USE_GTID=no; START SLAVE")
    return refused(scenes, spoil, "files and places", "MASTER_USE_GTID")


@case("mariadb-wrong-source")
def mariadb_wrong_source(scenes):
    """A standby replicates from the other standby when the service is taken over: it is turned to the primary."""
    stand = scenes.stand(durability="async", kind="mariadb")
    stand.up_servers()
    stand.pg.sql("az-c", f"STOP SLAVE; CHANGE MASTER TO MASTER_HOST='{stand.address('az-b')}'; START SLAVE")
    stand.up_drcoord()
    stand.adopt()
    eventually(stand, "the standby in c to follow the primary", lambda: member_of("az-c") in stand.pg.streaming(A))
    return {}
