"""case_input.py -- servers and accounts that are not as they must be: refused, or shown, with the remedy in the text."""

import json
import os
import signal

from case_mysql import refused
from cluster import member_of
from faults import A, kill_all
from scene import case, eventually, events_of, expect, kill_primary, new_acks, verdict

B, C = "az-b", "az-c"
SECRET = "a secret of the lab"
# As adapters/redis/README.md says.
AGENT_MAY = ("+info +auth +eval +hset +hgetall +del +multi +exec +replicaof +shutdown +pubsub|numsub +config|get +config|set "
             "+client|kill +wait ~drcoord:lineage").split()


def restart_with(stand, site, old, new):
    """Start a site's MariaDB or MySQL anew by hand, with another line in its options."""
    path = f"{stand.pg.folder[site]}/my.cnf"
    with open(path) as f:
        text = f.read()
    expect(old in text, f"{old} in {path}")
    with open(path, "w") as f:
        f.write(text.replace(old, new))
    kill_all(stand.pg.processes(site))
    eventually(stand, f"the server in {site} to be gone", lambda: not stand.pg.processes(site))
    stand.pg.start(site, read_only=site != A)


# ---- MariaDB and MySQL

@case("mariadb-log-off")
def mariadb_log_off(scenes):
    """The primary has no binary log: the service is not taken over, what to set is named."""
    return refused(scenes, lambda s: restart_with(s, A, "log_bin = binlog", "skip-log-bin"), "no binary log", "Set log_bin")


@case("mariadb-old-version")
def mariadb_old_version(scenes):
    """A server says that it is older than any that is supported: which, and which are, is named."""
    return refused(scenes, lambda s: restart_with(s, A, "[mariadbd]\n", "[mariadbd]\nversion = 10.5.1-MariaDB\n"),
                   "server version 10.5.1-MariaDB", "MariaDB from 10.6")


@case("mariadb-new-version")
def mariadb_new_version(scenes):
    """A standby says that it is newer than any that drcoord is written for: taken over all the same, and ready names it."""
    stand = scenes.stand(durability="async", kind="mariadb")
    stand.up_servers()
    restart_with(stand, C, "[mariadbd]\n", "[mariadbd]\nversion = 12.1.2-MariaDB\n")
    stand.up_drcoord()
    stand.adopt()
    said = eventually(stand, "ready to name it", lambda: [n for n in ready_notes(stand) if "12.1.2" in n.get("detail", "")], 40, 1.0)
    expect(len(said) == 1 and said[0]["member"] == member_of(C) and "written for 10.6 to 11" in said[0]["detail"],
           "that standby alone to be named", said)
    return {"said": said[0]["detail"]}


@case("mysql-old-version")
def mysql_old_version(scenes):
    """A server says that it is MySQL 5.7 (a MariaDB that says so): which, and which are supported, is named."""
    return refused(scenes, lambda s: restart_with(s, A, "[mariadbd]\n", "[mariadbd]\nversion = 5.7.44-log\n"),
                   "server version 5.7.44-log", "MySQL from 8.0")


def make_foreign(stand):
    """The server in site c becomes another service's: it has data of its own, from a source that is no member."""
    stand.pg.sql(C, "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0; CREATE DATABASE theirs; SET GLOBAL read_only = 1;"
                    " CHANGE MASTER TO MASTER_HOST='192.0.2.66', MASTER_USER='replicator', MASTER_USE_GTID=slave_pos; START SLAVE")


@case("mariadb-foreign-source")
def mariadb_foreign_source(scenes):
    """A standby replicates another service's data: it is not taken over, its source is named, its data is left alone."""
    stand = scenes.stand(durability="async", kind="mariadb")
    said = refused(scenes, make_foreign, "replicates from 192.0.2.66:3306", "another service's", stand=stand)
    expect("theirs" in stand.pg.sql(C, "SHOW DATABASES"), "its data to be left alone")
    return said


@case("mariadb-foreign-late")
def mariadb_foreign_late(scenes):
    """The same, and its agent is heard only after the others were taken over: no rejoin touches it, nor does a failover."""
    stand = scenes.stand(durability="async", kind="mariadb")
    stand.up_servers()
    make_foreign(stand)
    stand.up_drcoord()
    pids = eventually(stand, "the agent in c to run", lambda: "agent-c" in stand.cluster.pids() and stand.cluster.pids(), 10)
    both = [pids["guard-c"], pids["agent-c"]]
    kill_all(both, signal.SIGSTOP)  # else one brings the other back in between
    kill_all(both)
    stand.adopt()
    stand.cluster.start_guard(C)
    words = ("replicates from 192.0.2.66:3306", "another service's")

    def told(epoch):
        return [e["text"] for e in stand.own_events() if e.get("epoch") == epoch and all(w in e.get("text", "") for w in words)]
    said = eventually(stand, "a refusal that names its source", lambda: told(1), 30, 0.5)
    stand.start_writers()
    kill_primary(stand)
    stand.first_new_ack(30, in_place=True)
    eventually(stand, "the same refusal after that", lambda: told(2), 30, 0.5)
    expect("theirs" in stand.pg.sql(C, "SHOW DATABASES"), "its data to be left alone")
    expect("192.0.2.66" in stand.pg.sql(C, "SHOW ALL SLAVES STATUS"), "its source to be left alone")
    expect(not events_of(stand, "plan.opened", plan_kind="rejoin", member=member_of(C)), "no rejoin of it")
    return {"said": said[0]}


@case("mysql-wrong-password")
def mysql_wrong_password(scenes):
    """MySQL: the agents' account has another password than their files."""
    return refused(scenes, lambda s: s.pg.sql(A, "ALTER USER drcoord_agent@'%' IDENTIFIED BY 'other'"), "Access denied for user",
                   "no password_file is named", kind="mysql")


@case("mysql-missing-privilege")
def mysql_missing_privilege(scenes):
    """MySQL: the agents' account lacks a privilege, which is named with its use."""
    return refused(scenes, lambda s: s.pg.sql(A, "REVOKE CONNECTION_ADMIN ON *.* FROM drcoord_agent@'%'"),
                   "lacks CONNECTION_ADMIN", "GRANT CONNECTION_ADMIN ON *.* TO", kind="mysql")


@case("mysql-gtid-off")
def mysql_gtid_off(scenes):
    """MySQL: the primary goes on without ids, which is named."""
    return refused(scenes, lambda s: s.pg.sql(A, "SET GLOBAL gtid_mode = ON_PERMISSIVE"), "gtid_mode", kind="mysql")


@case("mariadb-probes-refused")
def mariadb_probes_refused(scenes):
    """The coordinators' account is changed under them: status and ready name it, nothing is moved, clients notice nothing."""
    stand = scenes.up(options={"kind": "mariadb", "durability": "async"})
    stand.pg.sql(A, "ALTER USER drcoord@'%' IDENTIFIED BY 'other'")
    said = eventually(stand, "ready to name it", lambda: [n for n in ready_notes(stand) if n.get("reason") == "probes_refused"], 40, 1.0)
    new_acks(stand, A)
    return {**verdict(stand, [A]), "said": said[0].get("why")}


@case("mariadb-probes-lack")
def mariadb_probes_lack(scenes):
    """The coordinators' account may not write its row any more: the statement that is denied is named, nothing is moved."""
    stand = scenes.up(options={"kind": "mariadb", "durability": "async"})
    stand.pg.sql(A, "REVOKE INSERT ON drcoord.heartbeat FROM drcoord@'%'")

    def told():
        members = stand.cluster.service().get("members", [])
        return [m["probe_says"] for m in members if m.get("failure") == "probes_refused" and "INSERT command denied" in m["probe_says"]]
    said = eventually(stand, "status to name the statement", told, 40, 0.5)
    new_acks(stand, A)
    return {**verdict(stand, [A]), "said": said[0]}


def ready_notes(stand):
    """What `drcoordctl ready` notes of the service."""
    text = stand.cluster.try_ctl("-o", "json", "ready")[1]
    try:
        return [n for s in json.loads(text)["services"] for n in s.get("notes", [])]
    except (ValueError, KeyError):
        return []


@case("programs-missing")
def programs_missing(scenes):
    """A server's folder of programs lacks what a rejoin will need: said from the first day on, and no more once it is there."""
    stand = scenes.stand()
    stand.up_servers()
    whole, folder = stand.pg.bin, stand.lab.path("bin")
    os.mkdir(folder)
    for name in os.listdir(whole):
        if name != "pg_rewind":
            os.symlink(f"{whole}/{name}", f"{folder}/{name}")
    stand.pg.bin = folder
    stand.up_drcoord()
    stand.adopt()

    def told():
        return [n["detail"] for n in ready_notes(stand) if n.get("reason") == "caution"]
    said = eventually(stand, "ready to name the program", told, 30, 0.5)
    expect(all(f"pg_rewind cannot be run from {folder}" in one for one in said), "the program and the remedy", said)
    os.symlink(f"{whole}/pg_rewind", f"{folder}/pg_rewind")
    eventually(stand, "ready to say no more of it", lambda: not told(), 30, 0.5)
    return {"said": said[0]}


# ---- Redis

def give_account(stand, password=SECRET, without=""):
    """The agents work as an ACL user that may what the README says, perhaps not all of it."""
    path = stand.lab.path("redis.secret")
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(password + "\n")
    stand.pg.account = {"user": "drcoord_agent", "password_file": path}
    for site in (A, B, C):
        stand.pg.ask(site, "ACL", "SETUSER", "drcoord_agent", "on", f">{SECRET}", *[w for w in AGENT_MAY if w != without])


@case("redis-account")
def redis_account(scenes):
    """The agents' ACL user may just what the README says: the service is taken over."""
    stand = scenes.stand(durability="async", kind="redis")
    stand.up_servers()
    give_account(stand)
    stand.up_drcoord()
    stand.adopt()
    return {}


@case("redis-wrong-password")
def redis_wrong_password(scenes):
    """The agents' ACL user has another password than their files."""
    return refused(scenes, lambda s: give_account(s, "other"), "WRONGPASS", "password_file /",
                   kind="redis")


@case("redis-missing-command")
def redis_missing_command(scenes):
    """The agents' ACL user lacks a command that only a promotion needs: it is named now, with what grants it."""
    return refused(scenes, lambda s: give_account(s, without="+replicaof"), "ACL SETUSER drcoord_agent", "+replicaof",
                   kind="redis")


@case("redis-keeps-nothing")
def redis_keeps_nothing(scenes):
    """A server keeps nothing on disk: the service is not taken over, what to set is named."""
    return refused(scenes, lambda s: s.pg.ask(A, "CONFIG", "SET", "appendonly", "no"), "keeps nothing on disk", "appendonly yes",
                   kind="redis")


@case("redis-wrong-source")
def redis_wrong_source(scenes):
    """A standby replicates from the other standby when the service is taken over: it is turned to the primary."""
    stand = scenes.stand(durability="async", kind="redis")
    stand.up_servers()
    stand.pg.ask(C, "REPLICAOF", stand.address(B), str(stand.pg.port))
    stand.up_drcoord()
    stand.adopt()
    eventually(stand, "the standby in c to follow the primary", lambda: member_of(C) in stand.pg.streaming(A))
    return {}
