"""servers.py -- the real servers of a lab: PostgreSQL in each site, BIND in b, Knot in c.

They are started by hand as their own users, as an operator would before drcoord is told of them.  What
is of one member (address, socket) stands on the command line, since a rewind copies files of settings."""

import base64
import glob
import os
import re
import secrets
import subprocess

import reaper
from lab import ROOT, LabError, wait_for
from net import SITES, host_name

PRIMARY_SITE = "az-a"
ZONE = "demo.example."
RECORD = "orders.demo.example."
TSIG_KEY = "drcoord."
DNS_SERVERS = {"az-b": "bind", "az-c": "knot"}
WRITER_TABLE = "drlab_row"

SETTINGS = """
wal_level = replica
max_wal_senders = 10
max_replication_slots = 10
max_slot_wal_keep_size = 1GB
wal_keep_size = 256MB
hot_standby = on
wal_log_hints = on
synchronous_commit = on
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
max_connections = 60
superuser_reserved_connections = 5
wal_retrieve_retry_interval = 200ms
log_line_prefix = '%m [%p] %u '
log_checkpoints = off
"""

# drcoord's own accounts come from adapters/postgres/setup.sql, as its README says.
SETUP = f"{ROOT}/adapters/postgres/setup.sql"
ROLES = """
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean),
    pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
CREATE ROLE writer LOGIN;
ALTER ROLE writer SET log_min_messages = 'panic';
CREATE TABLE drlab_row (writer int NOT NULL, n bigint NOT NULL, PRIMARY KEY (writer, n));
GRANT INSERT, SELECT ON drlab_row TO writer;
"""

ZONE_TEXT = """$TTL 5
@ IN SOA ns.demo.example. hostmaster.demo.example. 1 60 60 600 5
@ IN NS ns.demo.example.
ns IN A {dns}
orders IN A {primary}
"""

BIND_CONF = """
options {{
    directory "{folder}";
    listen-on port {port} {{ {address}; }};
    listen-on-v6 {{ none; }};
    pid-file none; session-keyfile none; {lock}
    recursion no; notify no; dnssec-validation no; allow-transfer {{ none; }};
}};
controls {{ }};
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{ type primary; file "zone"; update-policy {{ grant {key} zonesub ANY; }}; }};
"""


def bind_lock_option():
    """BIND before 9.20 wants to be told not to lock a file of the system; later ones do not know the option."""
    version = subprocess.run(["/usr/sbin/named", "-v"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"(\d+)\.(\d+)", version)
    return "lock-file none;" if number and (int(number[1]), int(number[2])) < (9, 20) else ""


KNOT_CONF = """
server:
    rundir: "{folder}"
    listen: {address}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{folder}"
    journal-db-max-size: 64M
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: update
    key: {key}
    action: update
zone:
  - domain: {zone}
    storage: "{folder}"
    file: zone
    acl: update
"""


def pg_bin(version=None):
    """The folder of the newest PostgreSQL here, or of one version."""
    found = glob.glob(f"/usr/lib/postgresql/{version or '*'}/bin/postgres")
    if not found:
        raise LabError(f"no PostgreSQL {version or ''} under /usr/lib/postgresql: run tools/install-packages")
    newest = max(found, key=lambda p: int(re.search(r"/(\d+)/", p).group(1)))
    return os.path.dirname(newest)


def as_user(user, argv):
    """Run a command that ends as a user, outside of every lab."""
    words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"] + argv
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd="/")
    if done.returncode != 0:
        raise LabError(f"{argv[0]}: exit {done.returncode}: {done.stderr.strip()[-500:]}")


class Postgres:
    """The PostgreSQL servers of one service, one in each site; the name tells them from another service's."""

    kind, members, durabilities, rebuilds = "postgres", "pg", ("sync", "async"), True
    rpo = "16MiB"
    targets = {}  # of medians, where they are not the faults' own

    def __init__(self, lab, version=None, name="pg", port=5432):
        self.lab, self.name, self.port = lab, name, port
        self.bin = pg_bin(version)
        self.folder = {s: lab.path(f"{name}-{s}") for s in SITES}
        self.data = {s: f"{folder}/data" for s, folder in self.folder.items()}
        self.sock = {s: f"{folder}/sock" for s, folder in self.folder.items()}

    def _template(self):
        """A data folder fresh from initdb, made once per program: it costs more than the whole rest."""
        version = os.path.basename(os.path.dirname(self.bin))
        folder = f"{reaper.FOLDERS}/{reaper.owner_name(os.getpid())}-{version}"
        data = folder + "/data"
        if not os.path.exists(data + "/ready"):
            os.makedirs(folder, exist_ok=True)
            subprocess.run(["chown", "postgres:postgres", folder], check=True)
            as_user("postgres", [f"{self.bin}/initdb", "-D", data, "-A", "trust", "-N", "--data-checksums",
                                 "-U", "postgres", "--locale=C.UTF-8", "-E", "UTF8"])
            self._configure(data)
            open(data + "/ready", "w").close()
        return data

    def _configure(self, data):
        """Settings and access that all members share."""
        with open(data + "/postgresql.conf", "a") as f:
            f.write(SETTINGS)
        with open(data + "/pg_hba.conf", "w") as f:
            f.write("local all all trust\n")
            for net in ("10.0.0.0/8", "127.0.0.0/8"):
                f.write(f"host all all {net} trust\nhost replication all {net} trust\n")

    def node_block(self, site, listen):
        """What an agent's node file says of a site's server."""
        return {"data": self.data[site], "bin": self.bin, "listen": listen, "socket_dir": self.sock[site],
                "os_user": "postgres", "superuser": "postgres", "replication_user": "replicator",
                "salvage_dir": f"{self.folder[site]}/salvage", "salvage_max": "1GiB", "start_within": "60s"}

    def folders(self, site):
        """Make the empty folders of a site's server."""
        for part in ("", "/sock", "/salvage"):
            self.lab.make_folder(f"{self.name}-{site}{part}", "postgres")

    def create_primary(self):
        """Make, start and fill the first primary."""
        site = PRIMARY_SITE
        self.folders(site)
        subprocess.run(["cp", "-a", "--reflink=auto", self._template(), self.data[site]], check=True)
        os.unlink(self.data[site] + "/ready")
        self.start(site)
        with open(SETUP) as f:
            self.sql(site, f.read() + ROLES)

    def create_standby(self, site):
        """Copy the primary to a site and start it as a streaming standby."""
        self.folders(site)
        member = f"{self.members}-{site[-1]}"
        source = (f"host={self.lab.address(PRIMARY_SITE, 'db')} port={self.port} user=replicator "
                  f"application_name={member}")
        self.lab.run(host_name(site, "db"),
                     [f"{self.bin}/pg_basebackup", "-D", self.data[site], "-d", source, "-R", "-X", "stream",
                      "-C", "-S", f"drcoord_{member.replace('-', '_')}", "--checkpoint=fast", "--no-sync"],
                     user="postgres")
        self.start(site)

    def start(self, site):
        """Start a site's server by hand and wait until it answers."""
        name = f"{self.name}-{site}"
        self.lab.spawn(site, host_name(site, "db"), name,
                       [f"{self.bin}/postgres", "-D", self.data[site],
                        "-c", f"listen_addresses={self.lab.address(site, 'db')}", "-c", f"port={self.port}",
                        "-c", f"unix_socket_directories={self.sock[site]}"], user="postgres")
        wait_for(f"PostgreSQL in {site}", lambda: self.answers(site), 20,
                 logs=[self.lab.path("log", f"{name}.log")])

    def answers(self, site):
        """Whether a query over the local socket is answered."""
        try:
            return self.sql(site, "SELECT 1") == "1"
        except LabError:
            return False

    def sql(self, site, text, seconds=30):
        """Run SQL as superuser over a site's local socket; the output, unaligned."""
        return self.lab.run(host_name(site, "db"),
                            [f"{self.bin}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.sock[site],
                             "-p", str(self.port), "-U", "postgres", "-d", "postgres", "-f", "-"],
                            text=text, user="postgres", seconds=seconds).strip()

    def try_sql(self, site, text):
        """As sql(), but None when the server doesn't answer."""
        try:
            return self.sql(site, text, seconds=5)
        except LabError:
            return None

    def processes(self, site):
        """Pids of a site's server, the postmaster first: a server process works in its data folder."""
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
        mine = [p for p in pids if reaper.belongs(p, self.data[site], ())]
        mine = [p for p in mine if reaper.start_time(p) is not None]
        return sorted(mine, key=lambda p: (p != self.postmaster(site), p))

    def postmaster(self, site):
        """The pid in a site's lock file, None without one."""
        try:
            with open(self.data[site] + "/postmaster.pid") as f:
                return int(f.readline())
        except (OSError, ValueError):
            return None

    def role(self, site):
        """"primary", "standby" or None when it doesn't answer."""
        return {"f": "primary", "t": "standby"}.get(self.try_sql(site, "SELECT pg_is_in_recovery()"))

    def streaming(self, primary):
        """The standbys that stream from a site's server: name to sync state."""
        rows = self.try_sql(primary, "SELECT application_name, sync_state FROM pg_stat_replication"
                                     " WHERE state = 'streaming'")
        return dict(r.split("|") for r in rows.splitlines()) if rows else {}

    def rows(self, site):
        """All (writer, n) that a site's server holds."""
        text = self.sql(site, "SELECT writer, n FROM drlab_row", seconds=60)
        return {tuple(map(int, line.split("|"))) for line in text.splitlines()}


class Dns:
    """BIND in b and Knot in c, each primary of its own copy of the zone."""

    def __init__(self, lab):
        self.lab = lab
        self.port = 5453 if lab.loopback else 53
        self.secret = base64.b64encode(secrets.token_bytes(32)).decode()

    def address(self, site):
        """Where a server listens; BIND takes only addresses that an interface has."""
        if self.lab.loopback and DNS_SERVERS[site] == "bind":
            return "127.0.0.1"
        return self.lab.address(site, "dns")

    def hosts(self):
        """The address of each server."""
        return [self.address(site) for site in DNS_SERVERS]

    def addresses(self):
        """"ADDRESS:PORT" of each server."""
        return [f"{host}:{self.port}" for host in self.hosts()]

    def secret_file(self):
        """A file with the TSIG secret, as a coordinator reads it."""
        path = self.lab.path("tsig.secret")
        if not os.path.exists(path):
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
                f.write(self.secret + "\n")
        return path

    def create(self):
        """Write both zones and configurations, and start both servers."""
        for site, kind in DNS_SERVERS.items():
            folder = self.lab.make_folder(f"dns-{site}", {"bind": "bind", "knot": "knot"}[kind])
            text = {"bind": BIND_CONF, "knot": KNOT_CONF}[kind]
            with open(folder + "/conf", "w") as f:
                f.write(text.format(folder=folder, port=self.port, address=self.address(site), lock=bind_lock_option(),
                                    key=TSIG_KEY, secret=self.secret, zone=ZONE))
            with open(folder + "/zone", "w") as f:
                f.write(ZONE_TEXT.format(dns=self.address(site),
                                         primary=self.lab.address(PRIMARY_SITE, "db")))
            subprocess.run(["chown", "-R", f"{kind}:{kind}", folder], check=True)
            self.start(site)
        for site in DNS_SERVERS:
            wait_for(f"DNS in {site}", lambda at=site: self.answer(at) != "", 10,
                     logs=[self.lab.path("log", f"dns-{site}.log")])

    def start(self, site):
        """Start one DNS server."""
        conf = self.lab.path(f"dns-{site}", "conf")
        kind = DNS_SERVERS[site]
        argv = {"bind": ["/usr/sbin/named", "-g", "-c", conf, "-n", "1"],
                "knot": ["/usr/sbin/knotd", "-c", conf]}
        self.lab.spawn(site, host_name(site, "dns"), f"dns-{site}", argv[kind], user=kind)

    def answer(self, site, record=RECORD, kind="A"):
        """What one server answers, by dig; empty when it is silent or has none."""
        text = self.lab.run(host_name(site, "dns"),
                            ["dig", "+short", "+time=1", "+tries=1", "+norecurse", f"-p{self.port}",
                             f"@{self.address(site)}", record, kind], check=False)
        return "\n".join(line for line in text.splitlines() if not line.startswith(";"))
