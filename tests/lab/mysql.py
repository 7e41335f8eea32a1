"""mysql.py -- the MySQL servers of a lab, with the same methods as mariadb.Mariadb.

MySQL is in no release of Debian's: DRCOORD_MYSQL_ROOT names a folder that tools/mysql-root has made."""

import os
import re
import subprocess

import reaper
from lab import LabError, wait_for
from mariadb import USER, Mariadb
from net import SITES
from servers import PRIMARY_SITE, as_user

OPTIONS = """[mysqld]
basedir = {root}/usr
read_only = 1
skip-name-resolve
skip-replica-start
secure-file-priv = NULL
mysqlx = OFF
innodb_buffer_pool_size = 64M
innodb_flush_log_at_trx_commit = 1
sync_binlog = 1
log_bin = binlog
gtid_mode = ON
enforce_gtid_consistency = ON
max_connections = 60
plugin-load-add = mysql_clone.so
plugin-load-add = semisync_source.so
plugin-load-add = semisync_replica.so
"""


def root():
    """The folder of MySQL; why there is none is said as an error."""
    folder = os.environ.get("DRCOORD_MYSQL_ROOT", "")
    if not folder or not os.access(f"{folder}/usr/sbin/mysqld", os.X_OK):
        raise LabError("no MySQL here, Debian has none: `tools/mysql-root DIR` unpacks one, then try again with DRCOORD_MYSQL_ROOT=DIR")
    return folder


class Mysql(Mariadb):
    """The MySQL servers of one service, one in each site."""

    kind, member_word = "mysql", "mysqld"

    def __init__(self, lab, version=None, name="my", port=3306):
        super().__init__(lab, version, name, port)
        self.root = root()
        self.bin = f"{self.root}/usr/sbin"
        self.client = f"{self.root}/usr/bin/mysql"

    def _template(self):
        """A data folder fresh from --initialize-insecure, made once; each server makes itself an identity at its start."""
        folder = f"{reaper.FOLDERS}/{reaper.owner_name(os.getpid())}-mysql"
        data = folder + "/data"
        if not os.path.exists(data + "/ready"):
            os.makedirs(folder, exist_ok=True)
            subprocess.run(["chown", f"{USER}:{USER}", folder], check=True)
            as_user(USER, [f"{self.bin}/mysqld", "--no-defaults", f"--basedir={self.root}/usr", f"--datadir={data}",
                           "--initialize-insecure"])
            os.unlink(data + "/auto.cnf")
            open(data + "/ready", "w").close()
        return data

    def _options(self):
        return OPTIONS.format(root=self.root)

    def _follow(self, site):
        """Make a site's server replicate from the first primary."""
        self.sql(site, f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='{self.lab.address(PRIMARY_SITE, 'db')}',"
                       f" SOURCE_PORT={self.port}, SOURCE_USER='replicator', SOURCE_PASSWORD='', SOURCE_AUTO_POSITION=1,"
                       " SOURCE_CONNECT_RETRY=1, GET_SOURCE_PUBLIC_KEY=1; START REPLICA;")
        wait_for(f"MySQL in {site} to have it all", lambda: self.position(site) == self.position(PRIMARY_SITE), 20,
                 logs=[self.lab.path("log", f"{self.name}-{site}.log")])

    def position(self, site):
        """The server's gtid_executed."""
        return self.sql(site, "SELECT @@gtid_executed")

    def has(self, site, position):
        """Whether a site's standby has received all that makes a position."""
        return self.sql(site, f"SELECT GTID_SUBSET('{position}', CONCAT(@@gtid_executed, ',', (SELECT RECEIVED_TRANSACTION_SET"
                              " FROM performance_schema.replication_connection_status)))") == "1"

    def streaming(self, primary):
        """The standbys that receive from a site's server: name to state."""
        found = {}
        for site in SITES:
            text = self.try_sql(site, "SHOW REPLICA STATUS", "-E") or ""
            seen = dict(re.findall(r"^ *(\w+): (.*)$", text, re.M))
            if seen.get("Replica_IO_Running") == "Yes" and seen.get("Source_Host") == self.lab.address(primary, "db"):
                found[f"{self.members}-{site[-1]}"] = self._semi_sync(site)
        return found
