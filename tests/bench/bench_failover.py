"""bench_failover.py -- the faults of ./quickstart on real servers as one command: medians and spread, a line a fault."""

import json
import os
import subprocess
import sys
import tempfile

import measure
from faults import FAULTS
from lab import ROOT, LabError

FIGURES = ("downtime_s", "gap_s", "name_downtime_s", "split_brain_s", "old_rejoined_s", "dns_s")
RUN_S = 180  # one run, at most


def of_fault(name, runs, folder):
    """All runs of one fault; its records and whether what must never happen didn't."""
    path = os.path.join(folder, f"{name}.json")
    argv = [sys.executable, f"{ROOT}/tests/lab/quickstart.py", "--fault", name, "--runs", str(runs), "--json", path]
    done = subprocess.run(argv, stdout=sys.stderr, stdin=subprocess.DEVNULL, timeout=60 + runs * RUN_S)
    with open(path) as f:
        records = [json.loads(line) for line in f]
    if not records:
        raise LabError(f"{name}: no run came to its end (exit {done.returncode})")
    return records, done.returncode == 0


def summary(records):
    """Median, least and most of each figure that applies."""
    out = {}
    for field in FIGURES:
        got = measure.spread([r[field] for r in records])
        out[field] = dict(zip(("median", "least", "most"), got)) if got else None
    return {**out, "lost_acked": sum(r["lost_acked"] or 0 for r in records)}


def run(args, put):
    """Each fault that was asked for, all without --only."""
    names = args.only.split(",") if args.only else list(FAULTS)
    unknown = [n for n in names if n not in FAULTS]
    if unknown:
        raise LabError(f"no fault {unknown[0]}; there are: {', '.join(FAULTS)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            records, fine = of_fault(name, args.runs, folder)
            fault = FAULTS[name]
            got = summary(records)
            put(name, runs=len(records), fine=fine, target_s=float(fault.target), measure=fault.measure,
                median_s=(got[fault.measure] or {}).get("median"), **got)
