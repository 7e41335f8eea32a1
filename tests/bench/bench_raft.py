"""bench_raft.py -- what a commit takes, and how long nothing is committed once the leader is killed.

A commit is an operator's `pause`: an entry of about 100 bytes that the leader encodes, all three store (with the storage
guard's own record synced first, as for every entry but a lease's tick), a majority confirms, the leader applies,
and whose answer the client has."""

import os
import statistics
import time

import measure
from cluster import RAFT_TIMING, letter
from lab import wait_for
from plant import Plant, raw_write

CLIENTS = (1, 32, 128)
LOAD_CLIENTS = 8  # while the leader is killed
GAP_MS = 100
WARM_MS = 1000
DIE_S = 15


def commits(args, put):
    """p50, p99 and rate at each number of clients, with the raw write just before."""
    with Plant(args.dir).up() as plant:
        for clients in CLIENTS:
            raw = raw_write(plant.folder)
            usage = measure.Usage(plant.pids())
            got = plant.load("clients", plant.certs("op", 8), clients=clients, warm_ms=WARM_MS,
                             run_ms=args.seconds * 1000)
            cpu = usage.figures(plant.pids())["cpu_pct"]
            ratio = round(got["commit_p50_us"] / raw["raw_p50_us"], 2) if raw["raw_p50_us"] else None
            put("commit", **got, ratio=ratio, **raw, cpu_pct=cpu, load_average=os.getloadavg()[0])


def killed_once(plant, stream):
    """Kill the leader under load; seconds until the next answer to a client."""
    site = plant.wait_leader()
    name = f"c-{letter(site)}"
    at = time.monotonic()
    plant.lab.programs[name].kill()
    gap = stream.wait(lambda line: line.get("end_s", 0) > at, DIE_S)
    plant.start_coordinator(site)
    wait_for(f"{name} to be back", plant.whole, 30, 0.05, plant.logs())
    return gap["end_s"] - at


def leader_killed(args, put):
    """The outage when the leader dies, at the metro profile's timing."""
    with Plant(args.dir, "metro").up() as plant:
        stream = plant.stream("clients", plant.certs("op", 8), clients=LOAD_CLIENTS, gap_ms=GAP_MS,
                              run_ms=args.runs * (DIE_S + 30) * 1000)
        try:
            wait_for("the load", lambda: (plant.status() or {}).get("commit", 0) > 500, 20)
            each = [killed_once(plant, stream) for _ in range(args.runs)]
        finally:
            total = stream.stop()
        put("leader-killed", runs=len(each), median_s=round(statistics.median(each), 3), least_s=round(min(each), 3),
            most_s=round(max(each), 3), each_s=[round(e, 3) for e in each], clients=LOAD_CLIENTS,
            refused=total["refused"], **RAFT_TIMING["metro"])


def run(args, put):
    """Both."""
    commits(args, put)
    leader_killed(args, put)
