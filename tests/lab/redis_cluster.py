"""redis_cluster.py -- the shards of a Redis Cluster in a lab: each is a service of its own, with the methods of redis.Redis.

Three shards, told apart by their port; each has a node in every site.  They are started by hand first, with the
brakes on that drcoord wants in their files, and put together as an operator would."""

import functools

from lab import LabError, wait_for
from net import SITES
from redis import WRITERS, Redis
from servers import PRIMARY_SITE

SHARDS = 3
SLOTS = 16384
FIRST_PORT = 6379
OPTIONS = """
protected-mode no
appendonly yes
appendfsync everysec
save ""
repl-backlog-size 16mb
cluster-enabled yes
cluster-node-timeout 2500
min-replicas-to-write 1000000
min-replicas-max-lag 10
masteruser drcoord-nobody
masterauth drcoord-nobody
repl-diskless-sync yes
repl-diskless-sync-delay 1000000000
cluster-replica-no-failover yes
cluster-allow-replica-migration no
"""


def slot_of(key):
    """The slot of a key without braces: CRC16 of it."""
    crc = 0
    for byte in key.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
            crc &= 0xFFFF
    return crc % SLOTS


@functools.cache
def tag_for(first, last):
    """A short text whose slot lies in a range."""
    return next(str(n) for n in range(1 << 16) if first <= slot_of(str(n)) <= last)


class RedisCluster(Redis):
    """One shard."""

    kind, members = "redis-cluster", "rc"

    def __init__(self, lab, _version=None, name="rc", port=FIRST_PORT):
        super().__init__(lab, _version, name, port)
        number = port - FIRST_PORT
        self.number, self.first, self.last = number, SLOTS * number // SHARDS, SLOTS * (number + 1) // SHARDS - 1
        self.conninfo = "{" + tag_for(self.first, self.last) + "}"  # in the writers' keys
        self.keys = {"cluster": "keys"}  # more of the service's block in the spec

    def options(self):
        """What the nodes' files say."""
        return OPTIONS

    def _meet(self, site):
        """Let a node know the cluster; the first shard's first node is whom all meet."""
        self.ask(site, "CLUSTER", "MEET", self.lab.address(PRIMARY_SITE, "db"), str(FIRST_PORT))

    def create_primary(self):
        """Make and start the first primary, with the shard's slots."""
        self.folders(PRIMARY_SITE)
        self.start(PRIMARY_SITE)
        self.ask(PRIMARY_SITE, "CLUSTER", "SET-CONFIG-EPOCH", str(self.number + 1))
        self.ask(PRIMARY_SITE, "CLUSTER", "ADDSLOTSRANGE", str(self.first), str(self.last))
        self.ask(PRIMARY_SITE, "CONFIG", "SET", "min-replicas-to-write", "0", "repl-diskless-sync-delay", "0")
        if self.number > 0:
            self._meet(PRIMARY_SITE)

    def create_standby(self, site):
        """A node that fetches everything from the primary."""
        self.folders(site)
        self.start(site)
        self._meet(site)
        primary = self.ask(PRIMARY_SITE, "CLUSTER", "MYID")
        wait_for(f"the node in {site} to know its primary",
                 lambda: f"{primary} {self.lab.address(PRIMARY_SITE, 'db')}:" in self.ask(site, "CLUSTER", "NODES"), 20)
        self.ask(site, "CONFIG", "SET", "masteruser", "", "masterauth", "")
        self.ask(site, "CLUSTER", "REPLICATE", primary)
        wait_for(f"the node in {site} to follow", lambda: self.info(site).get("master_link_status") == "up", 20,
                 logs=[self.lab.path("log", f"{self.name}-{site}.log")])

    def role(self, site):
        """"primary": it takes writes; "standby", or None when it doesn't answer."""
        try:
            brake = self.ask(site, "CONFIG", "GET", "min-replicas-to-write", seconds=5).split()
        except LabError:
            return None
        role = super().role(site)
        return "standby" if role == "primary" and brake[-1:] != ["0"] else role

    def covered(self, site):
        """How many slots have an owner that is not failed, as a site's node sees it; 0 when it doesn't answer."""
        try:
            lines = self.ask(site, "CLUSTER", "INFO", seconds=5).split()
        except LabError:
            return 0
        return next((int(line.split(":")[1]) for line in lines if line.startswith("cluster_slots_ok:")), 0)

    def owner(self, site):
        """The site whose node has this shard's slots, as a site's node sees it; None: nobody, or it doesn't answer."""
        try:
            nodes = self.ask(site, "CLUSTER", "NODES", seconds=5).splitlines()
        except LabError:
            return None
        for words in (line.split() for line in nodes):
            if f"{self.first}-{self.last}" in words[8:]:
                return next((s for s in SITES if words[1].startswith(f"{self.lab.address(s, 'db')}:")), None)
        return None

    def up_text(self, site, ask):
        """What the node says, None while it takes its cluster for down."""
        text = self.talk(site, ask)
        return None if "CLUSTERDOWN" in text else text

    def rows(self, site):
        """All (writer, n) that a site's node holds."""
        found = set()
        for writer in WRITERS:
            ask = f"READONLY\nSMEMBERS drlab:row:{writer}{self.conninfo}\n"
            text = wait_for(f"rows from the node in {site}", functools.partial(self.up_text, site, ask), 10)
            found |= {(writer, int(n)) for n in text.split()[1:]}
        return found
