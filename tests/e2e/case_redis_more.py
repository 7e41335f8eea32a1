"""case_redis_more.py -- Redis: certificates that are looked at, and Sentinels that watch the servers already."""

import subprocess

from cluster import SERVICE, member_of
from faults import A
from lab import LabError
from net import SITES, host_name
from redis import USER
from scene import all_joined, case, eventually, expect, kill_primary, not_taken_over, verdict

B, C = "az-b", "az-c"
PORT = 26379


# --- TLS ----------------------------------------------------------------------------------------


def openssl(*words):
    """OpenSSL's tool; it must succeed."""
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)


def make_ca(stand, name):
    """A CA of our own; the path of its certificate."""
    path = stand.lab.path(name)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", f"{path}.key", "-out", f"{path}.crt", "-subj", f"/CN={name}")
    return f"{path}.crt"


def certify(stand, ca, site):
    """A certificate for a site's server; what its redis.conf says of it."""
    path = stand.lab.path(f"server-{site}")
    with open(f"{path}.cnf", "w") as f:
        f.write(f"subjectAltName=IP:{stand.address(site)}\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{path}.key",
            "-out", f"{path}.csr", "-subj", f"/CN={site}")
    openssl("x509", "-req", "-in", f"{path}.csr", "-CA", ca, "-CAkey", ca.replace(".crt", ".key"), "-CAcreateserial",
            "-days", "2", "-extfile", f"{path}.cnf", "-out", f"{path}.crt")
    subprocess.run(["chown", USER, f"{path}.key"], check=True)
    return (f"tls-cert-file {path}.crt\ntls-key-file {path}.key\ntls-ca-cert-file {ca}\n"
            "tls-auth-clients no\ntls-replication yes\n")


def secured(scenes, believed="ca"):
    """Servers that speak TLS only, with certificates of one CA, and drcoord told of a CA; not adopted yet."""
    stand = scenes.stand(durability="async", kind="redis")
    ca = make_ca(stand, "ca")
    told = ca if believed == "ca" else make_ca(stand, believed)
    options = {s: certify(stand, ca, s) for s in SITES}
    stand.pg.options_of, stand.pg.node_more, stand.pg.tls = options.get, {"ca_file": told}, ca
    stand.cluster.changes["ca_file"] = told
    stand.up_servers()
    stand.up_drcoord()
    return stand


@case("redis-tls")
def redis_tls(scenes):
    """Agents, probes and replication speak TLS only, and look at the certificates; so does a server that drcoord has started."""
    stand = secured(scenes)
    stand.adopt()
    stand.pg.ask(A, "SET", "before", "1")
    for site, other in ((B, A), (A, B)):
        stand.cluster.insist("the switchover", "switchover", SERVICE, "--to", member_of(site), "--reason", "e2e")
        expect(all_joined(stand) == site, f"the switchover to {site} to be done")
        ours = {k: stand.pg.ask(other, "CONFIG", "GET", k).split()[-1] for k in ("tls-replication", "port", "tls-port")}
        expect(ours == {"tls-replication": "yes", "port": "0", "tls-port": str(stand.pg.port)}, "nothing in the clear", ours)
    stand.pg.ask(A, "SET", "after", "1")
    eventually(stand, "all to have what was written", lambda: all(stand.pg.ask(s, "MGET", "before", "after") == "1\n1" for s in SITES))
    return {"primary": A}


@case("redis-tls-other-ca")
def redis_tls_other_ca(scenes):
    """The servers' certificates are of another CA than drcoord was told of: said so, and nothing is taken over."""
    stand = secured(scenes, believed="other")
    cluster = stand.cluster
    cluster.insist("the spec to be accepted", "apply", "-f", cluster.spec_file(), "--reason", "demo")
    cluster.start_watch()
    cluster.insist("the adoption to begin", "service", "adopt", cluster.name, "--reason", "demo")
    said = eventually(stand, "the status to say why",
                      lambda: [m["contained"] for m in cluster.service()["members"]
                               if "certificate is not accepted" in (m.get("contained") or "")],
                      30, 0.5)
    eventually(stand, "the adoption to be given up", lambda: cluster.service().get("plan") is None, 30, 0.5)
    expect(cluster.service().get("mode") == "observe", "nothing to be taken over")
    expect(stand.primary_sites() == [A], "the servers to be as they were", stand.primary_sites())
    return {"said": said[0][:200]}


# --- Sentinels ----------------------------------------------------------------------------------


def sentinel(stand, site, *words):
    """One command to a site's Sentinel; what it answers, None where it does not."""
    try:
        return stand.lab.run(host_name(site, "db"), [stand.pg.client, "-h", stand.address(site), "-p", str(PORT), *words]).strip()
    except LabError:
        return None


def watched(scenes, **node):
    """Servers that three Sentinels watch, and drcoord beside them; not adopted yet."""
    stand = scenes.stand(durability="async", kind="redis")
    stand.pg.node_more = node
    stand.up_servers()
    for site in SITES:
        folder = stand.lab.make_folder(f"sentinel-{site}", USER)
        conf = f"{folder}/sentinel.conf"
        with open(conf, "w") as f:
            f.write(f"port {PORT}\nbind {stand.address(site)}\ndir {folder}\nprotected-mode no\n"
                    f"sentinel monitor shop {stand.address(A)} {stand.pg.port} 2\nsentinel down-after-milliseconds shop 1000\n"
                    "sentinel failover-timeout shop 3000\n")
        subprocess.run(["chown", USER, conf], check=True)
        stand.lab.spawn(site, host_name(site, "db"), f"sentinel-{site}", [f"{stand.pg.bin}/{stand.pg.program}", conf, "--sentinel"],
                        user=USER)
    eventually(stand, "the Sentinels to know each other",
               lambda: all("num-other-sentinels\n2" in (sentinel(stand, s, "SENTINEL", "MASTER", "shop") or "") for s in SITES), 30)
    stand.up_drcoord()
    return stand


@case("redis-sentinels-refused")
def redis_sentinels_refused(scenes):
    """Sentinels watch the servers: named, and nothing is taken over."""
    stand = watched(scenes)
    cluster = stand.cluster
    cluster.insist("the spec to be accepted", "apply", "-f", cluster.spec_file(), "--reason", "demo")
    cluster.start_watch()
    cluster.insist("the adoption to begin", "service", "adopt", cluster.name, "--reason", "demo")
    said = eventually(stand, "the adoption to say why not",
                      lambda: [e["text"] for e in cluster.events() if "Sentinels watch it" in e.get("text", "")], 60, 0.5)
    expect("sentinels: adopt" in said[0], "the remedy to be named", said[0])
    not_taken_over(stand)
    expect("shop" in (sentinel(stand, A, "SENTINEL", "MASTERS") or ""), "the Sentinels to be left alone")
    return {"said": said[0][:200]}


@case("redis-sentinels-adopted")
def redis_sentinels_adopted(scenes):
    """Told to, drcoord has each Sentinel forget the service, writes down which, and fails it over itself."""
    stand = watched(scenes, sentinels="adopt")
    stand.adopt()
    said = [e["text"] for e in stand.cluster.events() if "forgotten by Sentinel" in e.get("text", "")]
    expect(said, "the Sentinels that were told to be named in the events")
    for site in SITES:
        expect(sentinel(stand, site, "SENTINEL", "MASTERS") == "", f"the Sentinel in {site} to watch nothing")
    stand.start_writers()
    kill_primary(stand)
    new = stand.first_new_ack(30)[1]
    expect(all_joined(stand) == new, "all to follow the new primary")
    return {"said": said[0], **verdict(stand, [A, new])}
