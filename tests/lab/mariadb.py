"""mariadb.py -- the MariaDB servers of a lab, with the same methods as servers.Postgres.

They are started by hand first, as an operator would before drcoord is told of them."""

import os
import re
import shutil
import subprocess

import reaper
from lab import ROOT, LabError, wait_for
from net import SITES, host_name
from servers import PRIMARY_SITE, as_user

USER = "daemon"
# drcoord's own accounts come from adapters/mysql/setup.sql, as its README says.
SETUP = f"{ROOT}/adapters/mysql/setup.sql"
ROLES = """
CREATE USER writer@'%';
CREATE DATABASE drlab;
CREATE TABLE drlab.drlab_row (writer INT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (writer, n)) ENGINE=InnoDB;
GRANT INSERT, SELECT ON drlab.* TO writer@'%';
"""

OPTIONS = """[mariadbd]
read_only = 1
skip-name-resolve
skip-slave-start
innodb_buffer_pool_size = 64M
innodb_flush_log_at_trx_commit = 1
sync_binlog = 1
log_bin = binlog
log_slave_updates = 1
gtid_strict_mode = 1
max_connections = 60
"""


def program(name):
    """Where a program of MariaDB's is."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
    if path is None:
        raise LabError(f"no {name}: run tools/install-packages")
    return path


class Mariadb:
    """The MariaDB servers of one service, one in each site; the name tells them from another service's."""

    kind, members, durabilities, rebuilds = "mariadb", "my", ("sync", "async"), True
    member_word = "mariadbd"
    rpo = "1000"  # transactions
    targets = {"db-kill": 0.8}

    def __init__(self, lab, _version=None, name="my", port=3306):
        self.lab, self.name, self.port = lab, name, port
        self.bin, self.client = os.path.dirname(program("mariadbd")), program("mariadb")
        self.folder = {s: lab.path(f"{name}-{s}") for s in SITES}
        self.data = {s: f"{folder}/data" for s, folder in self.folder.items()}
        self.sock = {s: f"{folder}/server.sock" for s, folder in self.folder.items()}
        self.node_more = {}  # more keys of the agents' node files
        self.options_of = lambda _site: ""  # more options of a site's server

    def node_block(self, site, listen):
        """What an agent's node file says of a site's server."""
        return {"data": self.data[site], "bin": self.bin, "config_file": self._config(site), "listen": listen,
                "server_id": SITES.index(site) + 1, "socket": self.sock[site], "os_user": USER,
                "replication_user": "replicator", "salvage_dir": f"{self.folder[site]}/salvage", **self.node_more}

    def _config(self, site):
        return f"{self.folder[site]}/my.cnf"

    def _template(self):
        """A data folder fresh from mariadb-install-db, made once."""
        folder = f"{reaper.FOLDERS}/{reaper.owner_name(os.getpid())}-mariadb"
        data = folder + "/data"
        if not os.path.exists(data + "/ready"):
            os.makedirs(folder, exist_ok=True)
            subprocess.run(["chown", f"{USER}:{USER}", folder], check=True)
            as_user(USER, [program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", f"--tmpdir={folder}",
                           "--skip-test-db", "--auth-root-authentication-method=normal"])
            open(data + "/ready", "w").close()
        return data

    def _options(self):
        return OPTIONS

    def folders(self, site):
        """Make the folders of a site's server, with the options that all members share."""
        self.lab.make_folder(f"{self.name}-{site}", USER)
        with open(self._config(site), "w") as f:
            # One that starts takes away the temporary tables of all that share this folder.
            f.write(f"{self._options()}tmpdir = {self.folder[site]}\n" + self.options_of(site))
        subprocess.run(["cp", "-a", "--reflink=auto", self._template(), self.data[site]], check=True)
        os.unlink(self.data[site] + "/ready")

    def create_primary(self):
        """Make, start and fill the first primary."""
        self.folders(PRIMARY_SITE)
        self.start(PRIMARY_SITE, read_only=False)
        with open(SETUP) as f:
            self.sql(PRIMARY_SITE, f.read() + ROLES)

    def create_standby(self, site):
        """A server that fetches everything from the primary: its log goes back to the beginning."""
        self.folders(site)
        self.start(site)
        self._follow(site)

    def _follow(self, site):
        """Make a site's server replicate from the first primary."""
        self.sql(site, f"CHANGE MASTER TO MASTER_HOST='{self.lab.address(PRIMARY_SITE, 'db')}', MASTER_PORT={self.port},"
                       " MASTER_USER='replicator', MASTER_PASSWORD='', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1,"
                       " MASTER_SSL_VERIFY_SERVER_CERT=0;"
                       " START SLAVE;")
        wait_for(f"MariaDB in {site} to have it all", lambda: self.position(site) == self.position(PRIMARY_SITE), 20,
                 logs=[self.lab.path("log", f"{self.name}-{site}.log")])

    def position(self, site):
        """The server's gtid_binlog_pos."""
        return self.sql(site, "SELECT @@gtid_binlog_pos")

    def has(self, site, position):
        """Whether a site's standby has received all that makes a position."""
        seen = re.search(r"Gtid_IO_Pos: (\S*)", self.sql(site, "SHOW SLAVE STATUS", form="-E"))
        ours = dict(one.split("-", 1) for one in (seen[1] if seen else "").split(",") if one)
        return all(int(ours.get(domain, "0-0").split("-")[1]) >= int(rest.split("-")[1])
                   for domain, rest in (one.split("-", 1) for one in position.split(",") if one))

    def start(self, site, read_only=None):
        """Start a site's server by hand, read-only as its file says or as told, and wait until it answers."""
        name = f"{self.name}-{site}"
        self.lab.spawn(site, host_name(site, "db"), name,
                       self._argv(site, read_only), user=USER)
        wait_for(f"{self.member_word} in {site}", lambda: self.answers(site), 20, logs=[self.lab.path("log", f"{name}.log")])

    @staticmethod
    def _read_only(read_only):
        """What a command line says of it."""
        return [] if read_only is None else [f"--read-only={int(read_only)}"]

    def _argv(self, site, read_only):
        return [f"{self.bin}/{self.member_word}", f"--defaults-file={self._config(site)}", f"--datadir={self.data[site]}",
                f"--server-id={SITES.index(site) + 1}", f"--bind-address={self.lab.address(site, 'db')}",
                f"--port={self.port}", f"--socket={self.sock[site]}", *self._read_only(read_only)]

    def answers(self, site):
        """Whether a query over the local socket is answered."""
        try:
            return self.sql(site, "SELECT 1") == "1"
        except LabError:
            return False

    def sql(self, site, text, seconds=30, form="-NB"):
        """Run SQL as root over a site's local socket; the output, tabs between the cells."""
        return self.lab.run(host_name(site, "db"),
                            [self.client, "--no-defaults", form, "-u", "root", "--socket", self.sock[site]],
                            text=text, seconds=seconds).strip()

    def try_sql(self, site, text, form="-NB"):
        """As sql(), but None when the server doesn't answer."""
        try:
            return self.sql(site, text, seconds=5, form=form)
        except LabError:
            return None

    def processes(self, site):
        """Pids of a site's server."""
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
        return [p for p in pids if reaper.belongs(p, self.data[site], ()) and reaper.start_time(p) is not None]

    def postmaster(self, site):
        """The pid of a site's server, None without one."""
        return next(iter(self.processes(site)), None)

    def role(self, site):
        """"primary", "standby" or None when it doesn't answer."""
        return {"0": "primary", "1": "standby"}.get(self.try_sql(site, "SELECT @@global.read_only"))

    def streaming(self, primary):
        """The standbys that receive from a site's server: name to state."""
        found = {}
        for site in SITES:
            text = self.try_sql(site, "SHOW SLAVE STATUS", "-E") or ""
            seen = dict(re.findall(r"^ *(\w+): (.*)$", text, re.M))
            if seen.get("Slave_IO_Running") == "Yes" and seen.get("Master_Host") == self.lab.address(primary, "db"):
                found[f"{self.members}-{site[-1]}"] = self._semi_sync(site)
        return found

    def _semi_sync(self, site):
        """"sync" where a standby acknowledges what it receives, else "async"."""
        says = self.try_sql(site, "SHOW STATUS LIKE 'Rpl_semi_sync_%_status'") or ""
        return "sync" if re.search(r"_(slave|replica)_status\tON", says) else "async"

    def rows(self, site):
        """All (writer, n) that a site's server holds."""
        text = self.sql(site, "SELECT writer, n FROM drlab.drlab_row", seconds=60)
        return {tuple(map(int, line.split("\t"))) for line in text.splitlines()}
