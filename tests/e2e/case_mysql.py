"""case_mysql.py -- MariaDB and MySQL: what a member that diverged leaves behind, and how it comes back."""

import glob
import threading
import time

from case_verbs import DENIED, REFUSED, no, recorded
from cluster import member_of, site_of
from faults import A, FAULTS, kill_all
from scene import (all_joined, case, eventually, expect, kill_node, kill_primary, new_acks, not_taken_over, settled_set, verdict)
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


# ---- durability sync

def acking(stand, site=A):
    """The standbys that acknowledge to a site's server."""
    return sorted(n for n, state in stand.pg.streaming(site).items() if state == "sync")


def replaced(scenes, kind):
    """The acknowledging standby's host dies, never to be asked: its connection is cut, the other one takes its place."""
    stand = scenes.up(options={"kind": kind})
    eventually(stand, "my-b to acknowledge", lambda: acking(stand) == [member_of("az-b")])
    kill_node(stand, "az-b")
    eventually(stand, "the promise to rest on my-c alone", lambda: settled_set(stand) == [member_of("az-c")])
    expect(acking(stand) == [member_of("az-c")], "my-c to acknowledge", acking(stand))
    new_acks(stand, A)
    kill_primary(stand)
    new = stand.first_new_ack(20)[1]
    expect(new == "az-c", "the only member of the set to take over", new)
    stand.cluster.start_guard("az-b")
    all_joined(stand)
    return verdict(stand, [A, "az-c"])


@case("mariadb-sync-replace")
def mariadb_sync_replace(scenes):
    """MariaDB: the standby that acknowledges dies, and then the primary: the other has all."""
    return replaced(scenes, "mariadb")


@case("mysql-sync-replace")
def mysql_sync_replace(scenes):
    """The same of MySQL."""
    return replaced(scenes, "mysql")


def alone(scenes, kind):
    """All standbys die: writes wait, probes do not pile up, writes go on alone; sync again after."""
    stand = scenes.up(options={"kind": kind}, alone_after="6s")
    kill_node(stand, "az-b")
    kill_node(stand, "az-c")
    time.sleep(4)
    probes = int(stand.pg.sql(A, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE"
                                 " 'INSERT INTO drcoord.heartbeat%'"))
    expect(probes <= 3, "one write probe of each coordinator at most", probes)
    expect(stand.pg.role(A) == "primary", "the primary to be left alone while it waits")
    new_acks(stand, A, 20)
    stand.cluster.start_guard("az-b")
    stand.cluster.start_guard("az-c")
    eventually(stand, "a standby to be waited for again", lambda: acking(stand), 60)
    all_joined(stand)
    return {**verdict(stand, [A]), "probes": probes}


@case("mariadb-sync-alone")
def mariadb_sync_alone(scenes):
    """MariaDB: all standbys die: writes wait, probes do not pile up, writes go on alone; sync again after."""
    return alone(scenes, "mariadb")


@case("mysql-sync-alone")
def mysql_sync_alone(scenes):
    """The same of MySQL."""
    return alone(scenes, "mysql")


@case("mariadb-member-fenced")
def mariadb_member_fenced(scenes):
    """A standby dies that may acknowledge: an approver vouches that it is stopped, not while it is heard; it comes back, nothing is lost."""
    stand = scenes.up(options={"kind": "mariadb"}, alone_after="60s")
    b, service = member_of("az-b"), stand.cluster.name
    eventually(stand, "my-b to acknowledge", lambda: acking(stand) == [b])
    kill_node(stand, "az-c")
    no(stand, DENIED, None, "member", "fenced", service, b)
    no(stand, REFUSED, "member_heard", "member", "fenced", service, b, person="approver")
    no(stand, REFUSED, "is_holder", "member", "fenced", service, member_of(A), person="approver")
    kill_node(stand, "az-b")
    words = ("member", "fenced", service, b, "--reason", "e2e")
    eventually(stand, "the word to be taken", lambda: stand.cluster.try_ctl(*words, person="approver")[0], 10)
    proof = recorded(stand, "fence.proved", "approver", member=b)
    expect(proof["proof"] == "operator-asserted", "the proof to name what it rests on", proof)
    for site in ("az-b", "az-c"):
        stand.cluster.start_guard(site)
    all_joined(stand)
    eventually(stand, "the promise to rest on a standby again", lambda: acking(stand) and settled_set(stand) == acking(stand), 40)
    new_acks(stand, A)
    return verdict(stand, [A])


def restarted(scenes, kind):
    """The standby that acknowledges is restarted with much to apply: whoever acknowledges then has all that was acknowledged."""
    stand = scenes.up(options={"kind": kind})
    one = eventually(stand, "a standby to acknowledge", lambda: acking(stand) == settled_set(stand) and acking(stand))
    site = site_of(one[0])
    threading.Thread(target=stand.pg.try_sql, daemon=True,
                     args=(site, "LOCK TABLES drlab.drlab_row READ; DO SLEEP(30)")).start()
    time.sleep(1)
    expect(acking(stand) == one, "it to acknowledge what it can't apply", acking(stand))
    kill_all(stand.pg.processes(site))
    had = stand.pg.position(A)

    def again():
        those = acking(stand)
        lack = [name for name in those if not stand.pg.has(site_of(name), had)]
        expect(not lack, "whoever acknowledges to have all", lack, had)
        return those and len(settled_set(stand) or []) == 1
    eventually(stand, "somebody to acknowledge again", again, 40, 0.02)
    new_acks(stand, A)
    kill_primary(stand)
    new = stand.first_new_ack(20)[1]
    all_joined(stand)
    return verdict(stand, [A, new])


@case("mariadb-sync-restarted")
def mariadb_sync_restarted(scenes):
    """MariaDB: the standby that acknowledges is restarted with much to apply: whoever acknowledges then has all."""
    return restarted(scenes, "mariadb")


@case("mysql-sync-restarted")
def mysql_sync_restarted(scenes):
    """The same of MySQL."""
    return restarted(scenes, "mysql")


@case("mysql-sync-extra")
def mysql_sync_extra(scenes):
    """MySQL's primary dies with commits in its log that nobody acknowledged: they are saved, and it is made anew without them."""
    stand = scenes.up(options={"kind": "mysql"})
    eventually(stand, "my-b to acknowledge", lambda: acking(stand) == [member_of("az-b")])
    for site in ("az-c", "az-b"):
        stand.pg.sql(site, "STOP REPLICA IO_THREAD")
    time.sleep(0.1)
    kill_primary(stand)
    new = stand.first_new_ack(20)[1]
    all_joined(stand)
    ids, _ = salvaged(stand, A)
    expect(ids, "what nobody acknowledged to be saved", ids)
    extra = stand.pg.rows(A) - stand.pg.rows(new)  # read second: it only grows
    expect(not extra, "the old primary to have nothing of its own", sorted(extra)[:5])
    return {**verdict(stand, [A, new]), "saved": len(ids)}


# ---- bad input: adopting is refused, with the server's words and the remedy

def refused(scenes, spoil, *words, kind="mariadb", stand=None):
    """Spoil something of the servers, then try to take the service over: whoever looks at the events reads why not."""
    stand = stand or scenes.stand(durability="async", kind=kind)
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
    not_taken_over(stand)
    expect(stand.primary_sites() == [A], "the servers to be as they were", stand.primary_sites())
    text = [t for t in said if all(w in t for w in words)][0]
    return {"said": text[text.index(words[0]):][:200]}


@case("mariadb-wrong-password")
def mariadb_wrong_password(scenes):
    """The agents' account has another password than their files: the service is not taken over, and why is said."""
    return refused(scenes, lambda s: s.pg.sql(A, "ALTER USER drcoord_agent@'%' IDENTIFIED BY 'other'"), "Access denied for user",
                   "no password_file is named")


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


def wrong_source(scenes, kind, thread, change):
    """A standby replicates from the other standby when the service is taken over: it is turned to the primary."""
    stand = scenes.stand(durability="async", kind=kind)
    stand.up_servers()
    stand.pg.sql("az-c", f"STOP {thread}; {change}='{stand.address('az-b')}'; START {thread}")
    stand.up_drcoord()
    stand.adopt()
    eventually(stand, "the standby in c to follow the primary", lambda: member_of("az-c") in stand.pg.streaming(A))
    return {}


@case("mariadb-wrong-source")
def mariadb_wrong_source(scenes):
    """A standby replicates from the other standby when the service is taken over: it is turned to the primary."""
    return wrong_source(scenes, "mariadb", "SLAVE", "CHANGE MASTER TO MASTER_HOST")


@case("mysql-wrong-source")
def mysql_wrong_source(scenes):
    """The same of MySQL."""
    return wrong_source(scenes, "mysql", "REPLICA", "CHANGE REPLICATION SOURCE TO SOURCE_HOST")
