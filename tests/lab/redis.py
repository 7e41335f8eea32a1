"""redis.py -- the Redis and Valkey servers of a lab, with the same methods as servers.Postgres.

They are started by hand first, as an operator would before drcoord is told of them."""

import os
import re
import shutil

import reaper
from lab import LabError, wait_for
from net import SITES, host_name
from servers import PRIMARY_SITE

USER = "daemon"
WRITERS = range(1, 6)
OPTIONS = """
protected-mode no
appendonly yes
appendfsync everysec
save ""
repl-diskless-sync-delay 0
repl-backlog-size 16mb
replicaof 127.0.0.1 0
"""


class Redis:
    """The Redis servers of one service, one in each site; the name tells them from another service's."""

    kind, members, durabilities, rebuilds = "redis", "rd", ("async", "bounded"), True
    rpo = "1MiB"
    targets = {"db-kill": 0.4, "node-kill": 1.9, "site": 1.9, "partition": 1.9, "switchover": 0.1}
    program, client = "redis-server", "redis-cli"

    def __init__(self, lab, _version=None, name="rd", port=6379):
        self.lab, self.name, self.port = lab, name, port
        where = shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
        if where is None:
            raise LabError(f"no {self.program}: run tools/install-packages")
        self.bin = os.path.dirname(where)
        self.folder = {s: lab.path(f"{name}-{s}") for s in SITES}
        self.data = {s: f"{folder}/data" for s, folder in self.folder.items()}
        self.account = {}  # keys of the agents' node files that say as whom they work; none: as the default user
        self.options_of, self.node_more = lambda site: "", {}  # more of a site's redis.conf, of each agent's node file
        self.tls = None  # the CA of servers that are reached by TLS only

    def node_block(self, site, listen):
        """What an agent's node file says of a site's server."""
        return {"data": self.data[site], "bin": self.bin, "config_file": self._config(site), "listen": listen,
                "os_user": USER, "salvage_dir": f"{self.folder[site]}/salvage", **self.account, **self.node_more}

    def _config(self, site):
        return f"{self.folder[site]}/redis.conf"

    def options(self):
        """What the servers' files say."""
        return OPTIONS

    def folders(self, site):
        """Make the folders of a site's server, with the options that all members share."""
        for part in ("", "/data"):
            self.lab.make_folder(f"{self.name}-{site}{part}", USER)
        with open(self._config(site), "w") as f:
            f.write(self.options() + self.options_of(site))

    def create_primary(self):
        """Make and start the first primary."""
        self.folders(PRIMARY_SITE)
        self.start(PRIMARY_SITE)
        self.ask(PRIMARY_SITE, "REPLICAOF", "NO", "ONE")

    def create_standby(self, site):
        """A server that fetches everything from the primary."""
        self.folders(site)
        self.start(site)
        self.ask(site, "REPLICAOF", self.lab.address(PRIMARY_SITE, "db"), str(self.port))
        wait_for(f"{self.program} in {site} to follow", lambda: self.info(site).get("master_link_status") == "up", 20,
                 logs=[self.lab.path("log", f"{self.name}-{site}.log")])

    def start(self, site):
        """Start a site's server by hand and wait until it answers."""
        name = f"{self.name}-{site}"
        self.lab.spawn(site, host_name(site, "db"), name,
                       [f"{self.bin}/{self.program}", self._config(site), "--dir", self.data[site],
                        "--bind", self.lab.address(site, "db"), *self._listen()], user=USER)
        wait_for(f"{self.program} in {site}", lambda: self.answers(site), 20, logs=[self.lab.path("log", f"{name}.log")])

    def _listen(self):
        return ["--port", "0", "--tls-port", str(self.port)] if self.tls else ["--port", str(self.port)]

    def ask(self, site, *words, seconds=10):
        """One command to a site's server; what it answers."""
        secured = ["--tls", "--cacert", self.tls] if self.tls else []
        return self.lab.run(host_name(site, "db"), [self.client, *secured, "-h", self.lab.address(site, "db"), "-p",
                                                    str(self.port), *words], seconds=seconds).strip()

    def talk(self, site, lines, seconds=60):
        """Several commands to a site's server over one connection; what it answers."""
        return self.lab.run(host_name(site, "db"), [self.client, "-h", self.lab.address(site, "db"), "-p", str(self.port)],
                            text=lines, seconds=seconds)

    def info(self, site):
        """What a site's server says of its replication; empty when it doesn't answer."""
        try:
            text = self.ask(site, "INFO", "replication", seconds=5)
        except LabError:
            return {}
        return dict(re.findall(r"^(\w+):([^\r\n]*)", text, re.M))

    def answers(self, site):
        """Whether it answers."""
        try:
            return self.ask(site, "PING", seconds=5) == "PONG"
        except LabError:
            return False

    def processes(self, site):
        """Pids of a site's server."""
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
        return [p for p in pids if reaper.belongs(p, self.data[site], ()) and reaper.start_time(p) is not None]

    def postmaster(self, site):
        """The pid of a site's server, None without one."""
        return next(iter(self.processes(site)), None)

    def role(self, site):
        """"primary", "standby" or None when it doesn't answer."""
        return {"master": "primary", "slave": "standby"}.get(self.info(site).get("role"))

    def streaming(self, primary):
        """The standbys that receive from a site's server: name to state."""
        found = {}
        for site in SITES:
            seen = self.info(site)
            if seen.get("master_link_status") == "up" and seen.get("master_host") == self.lab.address(primary, "db"):
                found[f"{self.members}-{site[-1]}"] = "async"
        return found

    def rows(self, site):
        """All (writer, n) that a site's server holds."""
        found = set()
        for writer in WRITERS:
            text = self.ask(site, "SMEMBERS", f"drlab:row:{writer}", seconds=60)
            found |= {(writer, int(n)) for n in text.split()}
        return found


class Valkey(Redis):
    """The same of Valkey."""

    kind, members = "valkey", "vk"
    program, client = "valkey-server", "valkey-cli"
