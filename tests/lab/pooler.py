"""pooler.py -- pgbouncer in front of a service, told by two of drcoord's routes, and a client behind it."""

import json
import os
import subprocess

import measure
from cluster import letter
from lab import LabError, wait_for
from net import CLIENT, host_name

HERE = os.path.dirname(os.path.abspath(__file__))
SITE, PORT = "az-b", 6432
CLIENT_ID = 7  # as the rows' writer
LONGEST_S = 0.5  # that a client may wait in a planned switch
CONF = """
[databases]
%include {files}/orders.ini
[pgbouncer]
listen_addr = {address}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
admin_users = drcoord
pool_mode = transaction
"""


def start_client(lab, at, database="postgres"):
    """A client at a proxy or pooler (pooled.py), acknowledged at least once; (its program, the path of its log)."""
    path = lab.path("log", f"pooled-{CLIENT_ID}.rows")
    program = lab.spawn(CLIENT, CLIENT, f"pooled-{CLIENT_ID}",
                        ["/usr/bin/python3", os.path.join(HERE, "pooled.py"), "--at", at, "--log", path,
                         "--id", str(CLIENT_ID), "--database", database])
    wait_for(f"the client at {at} to be acknowledged", lambda: acknowledged(path), 10, logs=[path])
    return program, path


def rows_of(path):
    """What that client saw, row by row."""
    try:
        with open(path) as f:
            return [json.loads(line) for line in f if line.endswith("}\n")]
    except FileNotFoundError:
        return []


def acknowledged(path):
    """Its rows that were acknowledged."""
    return [r for r in rows_of(path) if not r["error"]]


def errors(path):
    """Its rows that ended in an error."""
    return [r for r in rows_of(path) if r["error"]]


class Pooler:
    """pgbouncer beside site b's coordinator; to be asked for before anything is up."""

    FIELDS = ("pooled_longest_s", "pooled_errors", "pooled_lost")

    def __init__(self, stand):
        self.stand, self.lab = stand, stand.lab
        if stand.pg.kind != "postgres":
            raise LabError("pgbouncer stands in front of PostgreSQL alone")
        self.files, self.folder = self.lab.make_folder(f"files-{SITE}"), self.lab.make_folder(f"pgbouncer-{SITE}", "postgres")
        self.at = f"{self.lab.address(SITE, 'coord')}:{PORT}"
        self.program, self.path = None, None
        self._write()
        own = stand.cluster.node_changes.setdefault(SITE, {})
        own["files_in"] = self.files
        stand.cluster.changes["routes"] = stand.cluster.service_block()["routes"] + self.routes()

    def _write(self):
        """What pgbouncer reads, and the template of the file that drcoord keeps."""
        with open(self.files + "/orders.ini.tmpl", "w") as f:
            f.write("orders = host={{primary.host}} port={{primary.port}} dbname=postgres\n")
        with open(self.folder + "/users", "w") as f:
            f.write('"drcoord" ""\n"writer" ""\n')
        with open(self.folder + "/conf", "w") as f:
            f.write(CONF.format(files=self.files, folder=self.folder, address=self.lab.address(SITE, "coord"), port=PORT))
        subprocess.run(["chown", "-R", "postgres", self.folder], check=True)

    def routes(self):
        """The file, and the console that is told when to hold the clients and when it is new."""
        return [{"name": "pool-file", "kind": "file", "file": "orders.ini", "template": "orders.ini.tmpl",
                 "on": [f"c-{letter(SITE)}"]},
                {"name": "pool", "kind": "pgbouncer", "pool": "orders", "user": "drcoord", "servers": [self.at], "timeout": "3s"}]

    def _current(self, name, seconds):
        """Wait until a route shows the primary."""
        def shown():
            routes = self.stand.cluster.service().get("routes", [])
            return any(r["name"] == name and r.get("current") for r in routes)
        wait_for(f"the route {name} to show the primary", shown, seconds, 0.1, self.stand.cluster.logs())

    def start(self):
        """Start it: the service is adopted by now, so that its file is written."""
        self._current("pool-file", 20)
        self.lab.spawn(SITE, host_name(SITE, "coord"), f"pgbouncer-{SITE}", ["/usr/sbin/pgbouncer", self.folder + "/conf"],
                       user="postgres")
        self._current("pool", 30)
        self.stand.say("pgbouncer: in b, in front of the service")

    def start_client(self):
        """Start the client behind it."""
        self.program, self.path = start_client(self.lab, self.at, "orders")

    def stop_client(self):
        """End it."""
        self.program.kill()
        self.program.wait(5)

    def figures(self, fault):
        """What it saw from the fault on."""
        after = [r for r in rows_of(self.path) if r["sent"] + r["waited"] >= fault]
        lost = {(CLIENT_ID, r["n"]) for r in acknowledged(self.path)} - self.stand.final_rows()
        longest = max((r["waited"] for r in after), default=None)
        return {"pooled_longest_s": measure.rounded(longest), "pooled_errors": sum(bool(r["error"]) for r in after),
                "pooled_lost": len(lost)}

    def complaints(self, fault):
        """No row acknowledged through it may be gone; and a planned switch shows its client no error."""
        got, bad = self.figures(self.stand.fault), []
        if got["pooled_lost"] and self.stand.cluster.durability == "sync":
            bad.append(f"{got['pooled_lost']} rows that were acknowledged through pgbouncer are lost")
        if fault.name == "switchover" and got["pooled_errors"]:
            bad.append(f"the client behind pgbouncer had {got['pooled_errors']} errors: {errors(self.path)[0]['error']}")
        return bad
