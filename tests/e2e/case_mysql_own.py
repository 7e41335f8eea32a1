"""case_mysql_own.py -- MariaDB and MySQL: what a standby wrote for itself, scheduled events, accounts that read_only does not bind."""

import glob
import json
import os
import signal
import time

import measure
from case_input import ready_notes
from case_lease import manual_start
from case_runbook import allow
from cluster import SERVICE, member_of
from faults import A, kill_all
from scene import all_joined, case, eventually, expect, kill_node, kill_primary, new_acks, verdict

B, C = "az-b", "az-c"


def member(stand, site):
    """What the status says of a site's member."""
    return next((m for m in stand.cluster.service().get("members", []) if m["name"] == member_of(site)), {})


def up(scenes, kind):
    """The service adopted, clients writing."""
    return scenes.up(options={"kind": kind, "durability": "async"})


# ---- a start that takes long

@case("mariadb-slow-start")
def mariadb_slow_start(scenes):
    """A crashed server takes long to start in place: its agent leaves the processor to it, and it goes on as primary."""
    stand = up(scenes, "mariadb")
    kill_primary(stand)
    server = eventually(stand, "the server to be started again", lambda: stand.pg.postmaster(A), 5, 0.001)
    kill_all([server], signal.SIGSTOP)
    ours = {name: pid for name, pid in stand.cluster.pids().items() if name in ("agent-a", "c-a", "c-b", "c-c")}
    before = {name: measure.cpu_seconds(pid) for name, pid in ours.items()}
    time.sleep(2)
    used = {name: round(measure.cpu_seconds(pid) - before[name], 2) for name, pid in ours.items()}
    kill_all([server], signal.SIGCONT)
    expect(max(used.values()) < 0.5, "the agent to look at it now and then", used)
    eventually(stand, "it to go on as primary", lambda: stand.pg.role(A) == "primary", 20)
    new_acks(stand, A)
    return {**verdict(stand, [A]), "cpu_s_of_2": used}


# ---- errant transactions

def errant(scenes, kind, spoil):
    """The preferred standby has a transaction of its own: it is named, not switched to, and not promoted after a crash."""
    stand = up(scenes, kind)
    spoil(stand)
    seen = eventually(stand, "the errant transaction to be shown", lambda: member(stand, B) if member(stand, B).get("errant") else None)
    why = json.loads(stand.cluster.ctl("-o", "json", "explain", SERVICE))["candidates"]
    reasons = {c["member"]: (c.get("reason"), c.get("can_be_promoted")) for c in why}
    expect(reasons[member_of(B)] == ("errant", False), "explain to say that it is not promoted", reasons)
    worked, text = stand.cluster.try_ctl("switchover", SERVICE, "--to", member_of(B), "--reason", "e2e")
    expect(not worked and "errant" in text, "a switchover to it to be refused", text)
    kill_node(stand, A)
    new = stand.first_new_ack(30)[1]
    expect(new == C, "the other standby to be promoted", new)
    return {**verdict(stand, [A, C]), "errant": seen["errant"], "ids": seen["errant_ids"]}


@case("mariadb-errant")
def mariadb_errant(scenes):
    """A standby has a transaction of its own, in a domain of its own: it follows on, is named, and is not promoted."""
    return errant(scenes, "mariadb", lambda s: s.pg.sql(B, "SET gtid_domain_id = 7; CREATE DATABASE strange"))


@case("mysql-errant")
def mysql_errant(scenes):
    """MySQL: a standby has a transaction of its own: it is named, and is not promoted."""
    return errant(scenes, "mysql", lambda s: s.pg.sql(B, "SET GLOBAL super_read_only = 0; CREATE DATABASE strange;"
                                                         " SET GLOBAL super_read_only = 1"))


@case("mariadb-errant-forced")
def mariadb_errant_forced(scenes):
    """The same, and a person names it all the same: it is promoted, and all get what it had of its own."""
    stand = up(scenes, "mariadb")
    stand.pg.sql(B, "SET gtid_domain_id = 7; CREATE DATABASE strange")
    eventually(stand, "the errant transaction to be shown", lambda: member(stand, B).get("errant"))
    stand.fault_at()
    stand.cluster.ctl("failover", SERVICE, "--to", member_of(B), "--force", "--reason", "e2e")
    expect(stand.first_new_ack(30)[1] == B, "it to be promoted")
    expect(all_joined(stand) == B, "all to follow it")
    eventually(stand, "all to have it", lambda: all("strange" in stand.pg.sql(s, "SHOW DATABASES") for s in (A, C)))
    eventually(stand, "nobody to be errant", lambda: not any(member(stand, s).get("errant") for s in (A, B, C)))
    return {}


@case("mariadb-errant-conflict")
def mariadb_errant_conflict(scenes):
    """A standby's own transaction takes the primary's next id: its applier stops; it is saved, and the member is made anew."""
    stand = up(scenes, "mariadb")
    stand.pg.sql(B, "CREATE DATABASE strange")
    eventually(stand, "what it had to be gone", lambda: "strange" not in (stand.pg.try_sql(B, "SHOW DATABASES") or "strange"), 60)
    expect(all_joined(stand) == A, "all to follow the primary")
    found = glob.glob(f"{stand.pg.folder[B]}/salvage/*/transactions")
    expect(len(found) == 1, "it to be saved", found)
    new_acks(stand, A)
    return verdict(stand, [A])


# ---- scheduled events

EVENTS = """
GRANT EVENT ON drlab.* TO writer@'%';
CREATE TABLE drlab.ticks (at DATETIME(6), server INT) ENGINE=InnoDB;
CREATE DEFINER=writer@'%' EVENT drlab.ticking ON SCHEDULE EVERY 1 SECOND DO
    INSERT INTO drlab.ticks VALUES (NOW(6), @@server_id);
CREATE EVENT drlab.resting ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO drlab.ticks VALUES (NOW(6), -1);
"""


def event_states(stand, site):
    """Name to (status, definer) of the events of a site's server, and whether its scheduler runs."""
    text = stand.pg.sql(site, "SELECT EVENT_NAME, STATUS, DEFINER FROM information_schema.EVENTS")
    rows = [line.split("\t") for line in text.splitlines()]
    return {name: (status, who) for name, status, who in rows}, stand.pg.sql(site, "SELECT @@event_scheduler")


def events(scenes, kind):
    """An event that is on, and one that is off, and a switchover; then a crash."""
    stand = up(scenes, kind)
    stand.pg.sql(A, EVENTS + "SET GLOBAL event_scheduler = ON")
    eventually(stand, "the note to come to the standbys",
               lambda: "ticking" in (stand.pg.try_sql(B, "SELECT event FROM drcoord.events") or ""))
    expect(event_states(stand, B)[1] == "OFF", "no scheduler on a standby")
    for old, new in ((A, B), (B, C)):
        stand.fault_at()
        if new == B:
            stand.cluster.insist("the switchover to be accepted", "switchover", SERVICE, "--to", member_of(B), "--reason", "e2e")
            expect(all_joined(stand) == B, "the switchover to be done")
        else:
            kill_node(stand, B)
            expect(stand.first_new_ack(30, old=B)[1] in (A, C), "a failover")
            new = stand.first_new_ack(30, old=B)[1]
        number = stand.pg.sql(new, "SELECT @@server_id")
        eventually(stand, f"the event to run on {new}",
                   lambda at=new, n=number: int(stand.pg.try_sql(at, f"SELECT COUNT(*) FROM drlab.ticks WHERE server = {n}") or 0) > 1)
        states, scheduler = event_states(stand, new)
        expect(scheduler == "ON" and states["ticking"] == ("ENABLED", "writer@%"), "the event on, its definer as it was", states)
        expect(states["resting"][0] != "ENABLED", "the other one off", states)
        if old == A:
            expect(event_states(stand, A)[1] == "OFF", "no scheduler on the old primary")
    expect(stand.pg.sql(new, "SELECT COUNT(*) FROM drlab.ticks WHERE server = -1") == "0", "the one that is off never to run")
    return {}


@case("mariadb-events")
def mariadb_events(scenes):
    """Scheduled events run on the primary alone, after a switchover and a crash too; what was off stays off."""
    return events(scenes, "mariadb")


@case("mysql-events")
def mysql_events(scenes):
    """The same of MySQL."""
    return events(scenes, "mysql")


# ---- accounts

@case("mariadb-writes-in-spite")
def mariadb_writes_in_spite(scenes):
    """An application's account may write in spite of read_only, and anybody a program of the runbook: ready and status name both,
    with what mends them."""
    stand = scenes.stand(durability="async", kind="mariadb")
    allow(stand)
    loose = os.path.join(stand.lab.make_folder("commands"), "loose")
    with open(loose, "w") as f:
        f.write("#!/bin/sh\n")
    os.chmod(loose, 0o775)
    stand.up_servers()
    stand.pg.sql(A, "CREATE USER app@'%'; GRANT READ_ONLY ADMIN ON *.* TO app@'%'")
    stand.up_drcoord()
    stand.adopt()
    eventually(stand, "the adoption to name it",
               lambda: [e for e in stand.cluster.events() if "REVOKE READ_ONLY ADMIN" in (e.get("text") or "")])

    revoke, chmod = "REVOKE READ_ONLY ADMIN ON *.* FROM 'app'@'%'", f"`chmod go-w {loose}`"

    def told():
        said = [n["detail"] for n in ready_notes(stand) if n.get("reason") == "caution"]
        return [text for text in said if revoke in text and chmod in text]
    said = eventually(stand, "ready to name both", told, 30, 0.5)
    stand.pg.sql(A, revoke)
    eventually(stand, "status to say no more of it",
               lambda: not any(revoke in member(stand, s).get("caution", "") for s in (A, B, C)), 30, 0.5)
    return {"said": said[0]}


# ---- started by hand

@case("mariadb-manual-start")
def mariadb_manual_start(scenes):
    """MariaDB: a fenced server started by hand, with its site still cut off, comes up as a standby and stays one."""
    return manual_start(scenes, "mariadb")


@case("mysql-manual-start")
def mysql_manual_start(scenes):
    """The same of MySQL."""
    return manual_start(scenes, "mysql")


@case("mysql-starts-fenced")
def mysql_starts_fenced(scenes):
    """MySQL: a primary that was taken over comes up with super_read_only, though its file says no more than read_only."""
    stand = up(scenes, "mysql")
    kill_node(stand, A)
    stand.pg.start(A)
    expect(stand.pg.sql(A, "SELECT @@read_only, @@super_read_only") == "1\t1", "both on")
    return {}
