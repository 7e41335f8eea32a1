"""case_mysql_tls.py -- TLS to MariaDB's servers: certificates that are looked at, and wrong ones."""

import re
import subprocess

from cluster import SERVICE, member_of
from faults import A
from mariadb import USER
from net import SITES
from scene import all_joined, case, eventually, expect, verdict

B, C = "az-b", "az-c"


def openssl(*words):
    """OpenSSL's tool; it must succeed."""
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)


def make_ca(stand, name):
    """A CA of our own; the path of its certificate."""
    path = stand.lab.path(name)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", f"{path}.key", "-out", f"{path}.crt", "-subj", f"/CN={name}")
    return f"{path}.crt"


def certify(stand, ca, site, address=None):
    """A certificate for a site's server; what its option file says of it."""
    path = stand.lab.path(f"server-{site}")
    with open(f"{path}.cnf", "w") as f:
        f.write(f"subjectAltName=IP:{address or stand.address(site)}\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{path}.key",
            "-out", f"{path}.csr", "-subj", f"/CN={site}")
    openssl("x509", "-req", "-in", f"{path}.csr", "-CA", ca, "-CAkey", ca.replace(".crt", ".key"), "-CAcreateserial",
            "-days", "2", "-extfile", f"{path}.cnf", "-out", f"{path}.crt")
    subprocess.run(["chown", USER, f"{path}.key"], check=True)
    return f"ssl_cert = {path}.crt\nssl_key = {path}.key\nssl_ca = {ca}\n"


def secured(scenes, kind="mariadb", believed="ca", for_address=None):
    """Servers with certificates of one CA, accounts that want TLS, and drcoord told of a CA; not adopted yet."""
    stand = scenes.stand(durability="async", kind=kind)
    ca = make_ca(stand, "ca")
    told = ca if believed == "ca" else make_ca(stand, believed)
    options = {s: certify(stand, ca, s, for_address) for s in SITES}
    stand.pg.options_of = options.get
    stand.pg.node_more = {"ca_file": told}
    stand.cluster.changes["ca_file"] = told
    stand.up_servers()
    stand.pg.sql(A, "ALTER USER drcoord@'%' REQUIRE SSL")
    stand.up_drcoord()
    return stand, told


def replication(stand, site, kind):
    """Whether a site's server takes nothing but TLS from its source, whether it verifies, and by which CA."""
    verb, word = ("SLAVE", "Master") if kind == "mariadb" else ("REPLICA", "Source")
    seen = dict(re.findall(r"^ *(\w+): (.*)$", stand.pg.sql(site, f"SHOW {verb} STATUS", form="-E"), re.M))
    return tuple(seen[f"{word}_SSL_{key}"] for key in ("Allowed", "Verify_Server_Cert", "CA_File"))


def verified(scenes, kind):
    """Probes and replication take certificates of our CA only; a switchover keeps it so."""
    stand, ca = secured(scenes, kind)
    stand.adopt()
    stand.start_writers()
    stand.pg.sql(A, "ALTER USER replicator@'%' REQUIRE SSL")
    stand.cluster.insist("the switchover to be accepted", "switchover", SERVICE, "--to", member_of(B), "--reason", "e2e")
    expect(all_joined(stand) == B, "the switchover to be done")
    for site in (A, C):
        seen = replication(stand, site, kind)
        expect(seen == ("Yes", "Yes", ca), "replication to look at the certificate", seen)
    return verdict(stand, [A, B])


@case("mariadb-tls")
def mariadb_tls(scenes):
    """Probes and replication take certificates of our CA only; a switchover keeps it so."""
    return verified(scenes, "mariadb")


@case("mysql-tls")
def mysql_tls(scenes):
    """The same of MySQL."""
    return verified(scenes, "mysql")


def refused(scenes, **wrong):
    """Probes that find a certificate which they do not believe are no verdict on the server, and nothing is adopted."""
    stand, _ = secured(scenes, **wrong)
    cluster = stand.cluster
    cluster.insist("the spec to be accepted", "apply", "-f", cluster.spec_file(), "--reason", "demo")
    cluster.start_watch()
    cluster.insist("the adoption to begin", "service", "adopt", cluster.name, "--reason", "demo")
    said = eventually(stand, "a standby's agent to say why it cannot follow",
                      lambda: [e["text"] for e in cluster.events() if "certificate" in e.get("text", "").lower()
                               or "ssl" in e.get("text", "").lower()], 60, 0.5)
    expect(stand.primary_sites() == [A], "the servers to be as they were", stand.primary_sites())
    return {"said": said[0][:200]}


@case("mariadb-tls-other-ca")
def mariadb_tls_other_ca(scenes):
    """The servers' certificates are of another CA than drcoord was told of."""
    return refused(scenes, believed="other")


@case("mariadb-tls-other-address")
def mariadb_tls_other_address(scenes):
    """The servers' certificates are for another address than theirs."""
    return refused(scenes, for_address="192.0.2.1")
