#!/usr/bin/python3
"""coordd_http.py DRCOORDD DRCOORDCTL [CASE...] -- a coordinator's /metrics, /healthz and /readyz, read as monitoring does."""

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

from coordd import Failed, eventually, expect, free_ports, main

SAMPLE = re.compile(r'^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="[^"\\\n]*",?)*)\})? ([0-9.e+]+|\+Inf)$')
SPEC = """cluster: demo
timing: { profile: metro }
sites: [{ name: az-a, region: north }, { name: az-b, region: north }]
services:
  - name: orders
    kind: postgres
    members:
      - { name: pg-a, site: az-a, agent: agent-a, address: "127.1.0.1:5432", priority: 1 }
      - { name: pg-b, site: az-b, agent: agent-b, address: "127.1.0.2:5432", priority: 2 }
"""


def page(port, path, method="GET", tls=None, body=None, headers=None):
    """One request; (status, headers, text)."""
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    c = kind("127.0.0.1", port, timeout=10, **({"context": tls} if tls else {}))
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, dict(r.getheaders()), r.read().decode()
    finally:
        c.close()


def parse(text):
    """The samples by name, after a look at the shape: each family has help and a type, once, before its samples."""
    types, helps, samples, family = {}, set(), {}, None
    expect(text.endswith("\n"), "a last line that ends", text[-80:])
    for line in text.splitlines():
        words = line.split(" ", 3)
        if line.startswith("# HELP "):
            expect(words[2] not in helps and words[3], "one help a family", line)
            helps.add(words[2])
        elif line.startswith("# TYPE "):
            family = words[2]
            expect(family in helps and family not in types, "one type a family, after its help", line)
            expect((words[3] == "counter") == family.endswith("_total"), "counters that end in _total, and nothing else", line)
            types[family] = words[3]
        else:
            found = SAMPLE.match(line)
            expect(found, "a sample", line)
            name = re.sub(r"_(bucket|sum|count)$", "", found[1]) if types.get(family) == "histogram" else found[1]
            expect(name == family, f"a sample of {family}", line)
            key = (found[1], found[2] or "")
            expect(key not in samples, "each sample once", line)
            samples[key] = float(found[3])
    check_histograms(types, samples)
    return samples


def check_histograms(types, samples):
    """Buckets never fall, and the last one is the count."""
    for (name, labels), count in samples.items():
        family = name[:-len("_count")]
        if not name.endswith("_count") or types.get(family) != "histogram":
            continue
        rest = labels + "," if labels else ""
        buckets = [v for (n, at), v in samples.items() if n == family + "_bucket" and at.startswith(rest + "le=")]
        expect(buckets == sorted(buckets) and buckets[-1] == count, "buckets that add up", name, labels, buckets, count)


def promtool(text):
    """Prometheus' own judgement, where that is installed."""
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        expect(done.returncode == 0 and not done.stderr, "promtool to find nothing", done.stdout, done.stderr)


def up(cluster, tls=False):
    """All with HTTP; the ports by name, and who leads."""
    ports = dict(zip(cluster.names, free_ports(len(cluster.names))))
    for name in cluster.names:
        cluster.write_conf(name, http=f"{{ listen: 127.0.0.1:{ports[name]}, tls: {str(tls).lower()} }}")
    return ports, cluster.up()["leader"]


def metrics_of_a_cluster(cluster):
    """Everything has its shape, and says what `status` says."""
    ports, leader = up(cluster)
    path = cluster.path("spec.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write(SPEC)
    cluster.insist("apply", "-f", path, "--reason", "test")
    status = cluster.status()
    for name in cluster.names:
        eventually("the spec to be applied there", lambda n=name: "drcoord_service_epoch{" in page(ports[n], "/metrics")[2])
        code, headers, text = page(ports[name], "/metrics")
        expect(code == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), "metrics", code, headers)
        promtool(text)
        m = parse(text)
        expect(m[("drcoord_raft_is_leader", "")] == (name == leader), "who leads", name, leader)
        expect(m[("drcoord_raft_term", "")] == status["term"], "the term", text[:400])
        expect(m[("drcoord_events_total", "")] >= 4, "the events", m)
        expect(m[("drcoord_service_info", 'service="orders",kind="postgres",mode="observe"')] == 1, "the service")
        expect(any(k[0] == "drcoord_member_state" and 'member="pg-b",site="az-b"' in k[1] for k in m), "its members")
        expect("BEGIN" not in text and "password" not in text, "no secret")


def ready_follows_the_leader(cluster):
    """/readyz is 503 with the reason while nobody leads; /healthz is not."""
    ports, leader = up(cluster)
    others = [n for n in cluster.names if n != leader]
    for name in cluster.names:
        eventually("each to be ready", lambda n=name: page(ports[n], "/readyz")[0] == 200)
        expect(page(ports[name], "/healthz")[:1] == (200,), "healthy")
    for name in (leader, others[0]):
        cluster.daemons[name].kill()
    code = eventually("it to say that nobody leads", lambda: page(ports[others[1]], "/readyz")[0] == 503)
    expect(code and "no leader" in page(ports[others[1]], "/readyz")[2], "the reason")
    expect(page(ports[others[1]], "/healthz")[0] == 200, "it lives all the same")


def a_stopped_loop_is_not_healthy(cluster):
    """Where the process stands still nobody answers; where it goes on, the answer is the loop's."""
    ports, leader = up(cluster)
    daemon = cluster.daemons[leader]
    expect(page(ports[leader], "/healthz")[0] == 200, "healthy")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        socket.create_connection(("127.0.0.1", ports[leader]), 5).close()
        silent = False
        try:
            with socket.create_connection(("127.0.0.1", ports[leader]), 5) as s:
                s.settimeout(0.5)
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                silent = s.recv(100) == b""
        except socket.timeout:
            silent = True
        expect(silent, "no answer from a stopped process")
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    eventually("it to be healthy again", lambda: page(ports[leader], "/healthz")[0] == 200)


def only_reading(cluster):
    """Other pages, methods, bodies and long requests are refused."""
    ports, leader = up(cluster)
    port = ports[leader]
    expect(page(port, "/")[0] == 404 and "/metrics" in page(port, "/")[2], "404 that says what there is")
    expect(page(port, "/metrics/../healthz")[0] == 404, "no path is made of another")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        code, headers, _ = page(port, "/metrics", method, body="x" * 100000)
        expect(code == 405 and headers.get("Allow") == "GET, HEAD", f"405 for {method}", code)
    code, headers, text = page(port, "/metrics", "HEAD")
    expect(code == 200 and text == "" and int(headers["Content-Length"]) > 1000, "HEAD", code, headers)
    expect(page(port, "/healthz", headers={"X-Long": "y" * 60000})[0] in (413, 414, 431), "long headers")
    expect(page(port, "/healthz")[0] == 200, "it goes on")


def tls_and_its_reload(cluster):
    """With the node's certificate; plain HTTP is none; SIGHUP takes a new certificate."""
    ports, leader = up(cluster, tls=True)
    trust = ssl.create_default_context(cafile=cluster.path("pki", "ca.crt"))
    trust.check_hostname = False

    def serial():
        with socket.create_connection(("127.0.0.1", ports[leader]), 5) as s, trust.wrap_socket(s) as t:
            return t.getpeercert()["serialNumber"]
    expect(page(ports[leader], "/readyz", tls=trust)[0] == 200, "HTTPS")
    try:
        got = page(ports[leader], "/healthz")
        expect(False, "plain HTTP to be refused", got)
    except (http.client.HTTPException, OSError):
        pass
    old = serial()
    for end in (".crt", ".key"):
        os.remove(cluster.path(leader + end))
    cluster.issue("coordinator", leader)
    os.kill(cluster.daemons[leader].process.pid, signal.SIGHUP)

    def is_new():
        try:
            return serial() != old
        except OSError:
            return False
    eventually("the new certificate", is_new)
    expect(page(ports[leader], "/metrics", tls=trust)[0] == 200, "HTTPS after the reload")


def many_who_hold(cluster):
    """More connections than there is room for, none of which says anything: they are given up, and the cluster goes on."""
    ports, leader = up(cluster)
    term = cluster.status()["term"]
    held = []
    try:
        for _ in range(64):
            held.append(socket.create_connection(("127.0.0.1", ports[leader]), 5))
        eventually("an answer all the same, once those who say nothing were given up",
                   lambda: answers(ports[leader]), 25, 0.5)
        expect(cluster.status()["term"] == term, "the same term")
    finally:
        for s in held:
            s.close()


def answers(port):
    """Whether /healthz is answered within some seconds."""
    try:
        return page(port, "/healthz")[0] == 200
    except OSError:
        return False


def port_taken(cluster):
    """A port that is taken ends the start with the reason."""
    port = free_ports(1)[0]
    held = socket.create_server(("127.0.0.1", port))
    conf = cluster.write_conf("c-a", out="taken.yaml", http=f"{{ listen: 127.0.0.1:{port} }}")
    daemon = cluster.run("--bootstrap", conf=conf)
    expect(daemon.wait() != 0 and "http: cannot listen" in daemon.said(), "the reason", daemon.said())
    held.close()


if __name__ == "__main__":
    try:
        main([metrics_of_a_cluster, ready_follows_the_leader, a_stopped_loop_is_not_healthy, only_reading, tls_and_its_reload,
              many_who_hold, port_taken])
    except Failed as e:
        print(e)
