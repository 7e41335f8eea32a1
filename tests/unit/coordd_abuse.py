#!/usr/bin/python3
"""coordd_abuse.py DRCOORDD DRCOORDCTL [CASE...] -- drcoordd started wrongly, and ended under load: what it says, and how it exits.

Exit codes: 64 wrong command line, 78 something has to be set right first, 1 it may work later, 74 storage."""

import os
import random
import shutil
import signal
import string
import subprocess
import threading
import time

from coordd import eventually, expect, main
import disks  # coordd says where it lies

NOBODY = 65534


def ends(daemon, code, *texts, seconds=15):
    """It ends with this code and says all of these."""
    got = daemon.wait(seconds)
    said = daemon.said()
    expect(got == code and all(t in said for t in texts), f"exit {code} and {texts}", got, said[-1500:])


def alone(cluster, **changes):
    """A node file of a cluster of one, and its path."""
    cluster.names = ["c-a"]
    return cluster.write_conf("c-a", out="alone.yaml", **changes)


def command_lines(cluster):
    """Wrong command lines are answered with the usage, --help goes to stdout."""
    conf = alone(cluster)
    for wrong in ([], ["--bogus"], ["--config"], ["--config", conf, "more"],
                  ["--config", conf, "--bootstrap", "--join"], ["--config", conf, "--join", "--recover"],
                  ["--config", conf, "--yes-a-majority-is-gone"], ["--config", conf, "--offline"]):
        ends(cluster.run(*wrong), 64, "usage: drcoordd")
    ends(cluster.run("--config", conf, "--recover"), 64, "--yes-a-majority-is-gone", "two clusters")
    ends(cluster.run("--help"), 0, "usage: drcoordd", "--recover")
    done = subprocess.run([cluster.drcoordd, "--help"], capture_output=True, text=True, check=False)
    expect(done.returncode == 0 and "usage" in done.stdout and done.stderr == "", "help on stdout", done)


def node_files(cluster):
    """A node file that is missing, no YAML, of another kind, or that leaves this node out."""
    ends(cluster.run(conf=cluster.path("none.yaml")), 78, "none.yaml")
    path = cluster.path("broken.yaml")
    for text, word in (("cluster: [\n", "broken.yaml:"), ("", "broken.yaml"), ("\0\1\2\xff", "broken.yaml"),
                       ("cluster: demo\nnam: c-a\n", "broken.yaml:2:"), ("a: &a [*a, *a]\n", "broken.yaml:")):
        with open(path, "w", encoding="latin-1") as f:
            f.write(text)
        ends(cluster.run(conf=path), 78, word)
    ends(cluster.run(conf=alone(cluster, listen="nowhere")), 78, "alone.yaml:4:")
    ends(cluster.run(conf=alone(cluster, raft="{ election: 100ms, heartbeat: 90ms }")), 78, "alone.yaml")
    ends(cluster.run(conf=cluster.dir), 78, cluster.dir)


def certificates(cluster):
    """Missing, garbled, somebody else's, another CA's, a key that does not fit, expired."""
    conf = alone(cluster)
    key = cluster.path("c-a.key")
    kept = {p: open(p, "rb").read() for p in (key, cluster.path("c-a.crt"))}

    def restore():
        for p, data in kept.items():
            with open(p, "wb") as f:
                f.write(data)

    os.unlink(key)
    ends(cluster.run("--bootstrap", conf=conf), 78, "c-a.key")
    restore()
    with open(cluster.path("c-a.crt"), "w", encoding="ascii") as f:
        f.write("garbage\n")
    ends(cluster.run("--bootstrap", conf=conf), 78, "c-a.crt")
    restore()
    shutil.copy(cluster.path("c-b.crt"), cluster.path("c-a.crt"))
    ends(cluster.run("--bootstrap", conf=conf), 78)
    shutil.copy(cluster.path("c-b.key"), key)
    ends(cluster.run("--bootstrap", conf=conf), 78, "coordinator/c-b", "coordinator/c-a", "drcoordctl pki issue")
    cluster.ctl_offline("pki", "init", "--dir", cluster.path("other"), "--cluster", "demo")
    cluster.ctl_offline("pki", "issue", "--dir", cluster.path("other"), "--kind", "coordinator", "--name", "c-a",
                        "--out", cluster.path("foreign"))
    for end in (".crt", ".key"):
        shutil.copy(cluster.path("foreign" + end), cluster.path("c-a" + end))
    ends(cluster.run("--bootstrap", conf=conf), 78, "c-a.crt")
    restore()
    expect(not os.path.exists(cluster.path("data-c-a", "id")), "nothing begun in the data folder")
    expired(cluster, conf)
    restore()
    daemon = cluster.run("--bootstrap", conf=conf)
    eventually("it to start", lambda: "coordinator.started" in daemon.said())


def over():
    """What makes a certificate of which the time is over: negative days, or dates from OpenSSL 3.4 on, which refuses those."""
    helps = subprocess.run(["openssl", "x509", "-help"], capture_output=True, text=True, check=False)
    dates = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]
    return dates if "-not_after" in helps.stdout + helps.stderr else ["-days", "-1"]


def expired(cluster, conf):
    """A certificate of which the time is over."""
    config = cluster.path("x509.cnf")
    with open(config, "w", encoding="ascii") as f:
        f.write("[v]\nsubjectAltName=URI:drcoord:coordinator/c-a\nextendedKeyUsage=serverAuth,clientAuth\n"
                "basicConstraints=critical,CA:FALSE\n")
    csr = cluster.path("c-a.csr")
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["openssl", "req", "-new", "-key", cluster.path("c-a.key"), "-subj", "/CN=c-a", "-out", csr], **quiet)
    subprocess.run(["openssl", "x509", "-req", "-in", csr, "-CA", cluster.path("pki", "ca.crt"),
                    "-CAkey", cluster.path("pki", "ca.key"), *over(), "-extfile", config, "-extensions", "v",
                    "-out", cluster.path("c-a.crt")], **quiet)
    ends(cluster.run("--bootstrap", conf=conf), 78, "expired on", "drcoordctl pki")


def port_and_folder(cluster):
    """A port or a data folder that another one holds; what runs there is not hurt."""
    first = alone(cluster)
    daemon = cluster.run("--bootstrap", conf=first)
    eventually("it to start", lambda: "coordinator.started" in daemon.said())
    second = cluster.write_conf("c-a", out="second.yaml", data_dir=cluster.path("data-second"))
    ends(cluster.run("--bootstrap", conf=second), 1, str(cluster.ports["c-a"]), "another process")
    cluster.names = ["c-a"]
    ends(cluster.run(conf=first), 1, "another drcoordd runs on", "data-c-a")
    expect(daemon.is_running(), "the first one to run on", daemon.said())
    eventually("a leader", cluster.status)
    cluster.insist("node", "list")
    daemon.process.send_signal(signal.SIGTERM)
    ends(daemon, 0, "coordinator.leaving")
    other = cluster.run(conf=second)
    ends(cluster.run("--bootstrap", conf=cluster.write_conf("c-a", out="x.yaml", listen="192.0.2.1:7400")), 78, "192.0.2.1")
    other.kill()


def folders(cluster):
    """A data folder that is a file, may not be written, lies on a read-only disk, or holds somebody else."""
    with open(cluster.path("file"), "w", encoding="ascii") as f:
        f.write("x")
    for at in (cluster.path("file"), cluster.path("file", "below")):
        daemon = cluster.run("--bootstrap", conf=alone(cluster, data_dir=at))
        expect(daemon.wait() in (1, 78) and at in daemon.said(), "to name the folder", daemon.said())
    ends(cluster.run(conf=alone(cluster, data_dir=cluster.path("empty"))), 78, "--bootstrap", "--join")
    locked = cluster.path("locked")
    os.mkdir(locked, 0o755)
    os.chmod(cluster.dir, 0o755)
    for name in ("c-a.crt", "c-a.key", "pki", os.path.join("pki", "ca.crt")):
        os.chown(cluster.path(name), NOBODY, NOBODY)

    def as_nobody():
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    if os.getuid() == 0:
        ours = cluster.drcoordd
        cluster.drcoordd = shutil.copy(ours, cluster.path("drcoordd"))  # ours may stand where nobody may go
        for options in (["--bootstrap"], ["--join"], []):
            ends(cluster.run(*options, conf=alone(cluster, data_dir=locked), preexec=as_nobody), 78, locked)
        cluster.drcoordd = ours
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,ro", "tmpfs", locked], check=True)
        try:
            ends(cluster.run("--bootstrap", conf=alone(cluster, data_dir=locked)), 1, locked)
        finally:
            subprocess.run(["umount", locked], check=True)
    mine = alone(cluster, data_dir=cluster.path("mine"))
    daemon = cluster.run("--bootstrap", conf=mine)
    eventually("it to start", lambda: "coordinator.started" in daemon.said())
    daemon.kill()
    cluster.names = ["c-a", "c-b"]
    ends(cluster.run(conf=cluster.write_conf("c-b", out="b.yaml", data_dir=cluster.path("mine"))), 78, "c-a", "c-b")


def full_disk(cluster):
    """A disk with no room at the start, and one that fills up while it runs; with room it starts again."""
    small = cluster.path("small")
    os.mkdir(small)
    conf = alone(cluster, data_dir=os.path.join(small, "data"))
    disks.mount_small(small, "40m")
    try:
        filler = disks.fill(small)
        daemon = cluster.run("--bootstrap", conf=conf)
        expect(daemon.wait() == 1 and small in daemon.said(), "exit 1 and the folder", daemon.process.poll(), daemon.said())
        expect("space" in daemon.said(), "to say that no space is left", daemon.said())
        os.unlink(filler)
        shutil.rmtree(os.path.join(small, "data"), ignore_errors=True)
        daemon = cluster.run("--bootstrap", conf=conf)
        eventually("a leader", cluster.status)
        disks.fill(small)
        stop = threading.Event()
        load = start_load(cluster, stop, fat=True)
        try:
            eventually("it to say so", lambda: "event=raft.no_space" in daemon.said(), 60)
        finally:
            stop.set()
            load.join()
        before = len(os.listdir(os.path.join(small, "data", "log")))
        os.unlink(filler)
        eventually("a new segment", lambda: len(os.listdir(os.path.join(small, "data", "log"))) > before)
        cluster.insist("apply", "-f", spec_of(cluster, 0, True), "--reason", "room again")
        disks.fill(small)
        daemon.process.send_signal(signal.SIGTERM)
        ends(daemon, 0, seconds=3)
    finally:
        for daemon in cluster.all:
            if daemon.is_running():
                daemon.kill()
        subprocess.run(["umount", small], check=True)


def full_leader(cluster):
    """The leader's disk fills up and stays full: another one leads soon; with room it is one of three again."""
    small = cluster.path("data-c-a")
    os.mkdir(small)
    disks.mount_small(small, "48m")
    try:
        cluster.up()
        if cluster.status()["leader"] != "c-a":
            cluster.insist("node", "transfer", "c-a", "--reason", "test")
            eventually("c-a to lead", lambda: (cluster.status() or {}).get("leader") == "c-a")
        daemon = cluster.daemons["c-a"]
        filler = disks.fill(small)
        stop = threading.Event()
        load = start_load(cluster, stop, fat=True)
        try:
            eventually("it to give up the lead", lambda: "event=lead.yielded" in daemon.said(), 90)
            eventually("another one to lead", lambda: (cluster.status() or {}).get("leader") in ("c-b", "c-c"))
        finally:
            stop.set()
            load.join()
        expect(daemon.is_running(), "it to run on", daemon.said())
        expect("event=raft.no_space" in daemon.said(), "to say that no space is left", daemon.said()[-2000:])
        os.unlink(filler)
        cluster.whole(3)
    finally:
        for daemon in cluster.all:
            if daemon.is_running():
                daemon.kill()
        subprocess.run(["umount", small], check=True)


def spec_of(cluster, number, fat):
    """A cluster spec that differs from the one before: each apply is an entry; of some 150 kB when fat, which nothing compresses."""
    path = cluster.path("spec.yaml")
    dice = random.Random(number)

    def noise(n):
        return "".join(dice.choices(string.ascii_lowercase, k=n))

    def route(r):
        zone = ".".join(noise(60) for _ in range(3)) + "."
        return (f"      - {{ name: r{r}, kind: dns_rfc2136, record: r{r}.{zone}, zone: {zone}, ttl: 5, servers: [ \"127.0.0.1:9\" ], "
                f"tsig: {{ key: {zone}, algorithm: hmac-sha256, secret_file: /{noise(240)} }} }}\n")

    def routes():
        return "    routes:\n" + "".join(route(r) for r in range(4))

    with open(path, "w", encoding="ascii") as f:
        f.write("cluster: demo\nsites:\n  - { name: az-a }\nservices:\n")
        for i in range(160 if fat else 20):
            f.write(f"  - name: s{i}\n    kind: postgres\n    durability: async\n    cooldown: {30 + number}s\n"
                    f"    members:\n      - {{ name: m{i}, site: az-a, agent: agent-a, address: 127.0.0.1:{2000 + i}, priority: 1 }}\n"
                    f"{routes() if fat else ''}")
    return path


def start_load(cluster, stop, fat=False):
    """Apply specs until told to stop."""
    def run():
        number = 0
        while not stop.is_set():
            number += 1
            cluster.ctl("apply", "-f", spec_of(cluster, number, fat), "--reason", "load", "-t", "2s")
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def term_under_load(cluster):
    """SIGTERM while specs are applied and streams are open: gone within 3 s with 0, and whole at the next start."""
    cluster.up()
    stop = threading.Event()
    load = start_load(cluster, stop)
    try:
        eventually("a spec in force", lambda: (cluster.status() or {}).get("spec_version", 0) > 3)
        for name in cluster.names * 2:
            daemon = cluster.daemons[name]
            began = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            ends(daemon, 0, "coordinator.leaving", seconds=10)
            took = time.monotonic() - began
            expect(took < 3, "to be gone within 3 s", took)
            cluster.start(name)
            eventually("it to be back", lambda n=name: "coordinator.started" in cluster.daemons[n].said())
            eventually("a leader", cluster.status)
    finally:
        stop.set()
        load.join()
    cluster.whole(3)


def signals(cluster):
    """SIGHUP takes a new certificate and keeps the old one when the new one is bad; a second SIGTERM is no harm."""
    conf = alone(cluster)
    daemon = cluster.run("--bootstrap", conf=conf)
    eventually("a leader", cluster.status)
    cluster.issue("coordinator", "c-a", "newer", "--days", "7")
    for end in (".key", ".crt"):
        shutil.copy(cluster.path("newer" + end), cluster.path("c-a" + end))
    daemon.process.send_signal(signal.SIGHUP)
    eventually("the reload", lambda: "event=tls.reload expires=" in daemon.said())
    with open(cluster.path("c-a.crt"), "w", encoding="ascii") as f:
        f.write("garbage\n")
    daemon.process.send_signal(signal.SIGHUP)
    eventually("the refusal", lambda: "kept=old" in daemon.said())
    for end in (".key", ".crt"):
        shutil.copy(cluster.path("c-b" + end), cluster.path("c-a" + end))
    daemon.process.send_signal(signal.SIGHUP)
    eventually("another name to be refused too", lambda: daemon.said().count("kept=old") == 2)
    eventually("it to go on", cluster.status)
    expect(daemon.is_running(), "it to run on")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGINT)
    ends(daemon, 0)


def closed_pipes(cluster):
    """Nobody reads what it says, and standard descriptors are closed: it serves all the same."""
    conf = alone(cluster)
    read, write = os.pipe()
    process = subprocess.Popen([cluster.drcoordd, "--config", conf, "--bootstrap"], stdin=subprocess.DEVNULL,
                               stdout=write, stderr=write)
    os.close(write)
    os.close(read)
    try:
        eventually("a leader", cluster.status)
        process.terminate()
        expect(process.wait(10) == 0, "exit 0", process.returncode)
    finally:
        process.kill()
        process.wait()


for case in (command_lines, node_files, certificates, port_and_folder, folders, full_disk, signals, closed_pipes):
    case.options = {"letters": "ab"}

main([command_lines, node_files, certificates, port_and_folder, folders, full_disk, signals, closed_pipes,
      term_under_load, full_leader])
