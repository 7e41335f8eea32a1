"""bench_failover.py -- the faults of ./quickstart on real servers as one command: medians and spread, a line a fault.

With --kind the table of what that kind is to reach, beside what was wanted; several kinds in turn are named with commas."""

import json
import os
import subprocess
import sys
import tempfile

import measure
from faults import FAULTS
from lab import ROOT, LabError
from pooler import LONGEST_S
from stand import ALL, KINDS, target_of

FIGURES = ("downtime_s", "gap_s", "name_downtime_s", "split_brain_s", "old_rejoined_s", "dns_s", "pooled_longest_s")
TABLE = ("db-kill", "node-kill", "site", "partition", "switchover")
POOLED = "switchover behind pgbouncer"
RUN_S = 180  # one run, at most


def of_fault(name, runs, folder, *options):
    """All runs of one fault; its records and whether what must never happen didn't."""
    path = os.path.join(folder, f"{len(os.listdir(folder))}.json")
    argv = [sys.executable, f"{ROOT}/tests/lab/quickstart.py", "--fault", name, "--runs", str(runs), "--json", path, *options]
    done = subprocess.run(argv, stdout=sys.stderr, stdin=subprocess.DEVNULL, timeout=60 + runs * RUN_S)
    with open(path) as f:
        records = [json.loads(line) for line in f]
    if not records:
        raise LabError(f"{name}: no run came to its end (exit {done.returncode})")
    return records, done.returncode == 0


def figures(records):
    """Median, least and most of each figure that applies."""
    out = {}
    for field in FIGURES:
        got = measure.spread([r.get(field) for r in records])
        out[field] = dict(zip(("median", "least", "most"), got)) if got else None
    return {**out, "lost_acked": sum(r["lost_acked"] or 0 for r in records)}


def summary(what, kind, fault, records, fine):
    """One line: a fault's figures beside what was wanted."""
    got, behind = figures(records), what == POOLED
    measured = "pooled_longest_s" if behind else fault.measure
    line = {"kind": kind, "durability": records[0]["durability"], "runs": len(records), "fine": fine,
            "target_s": LONGEST_S if behind else target_of(kind, fault), "measure": measured,
            "median_s": (got[measured] or {}).get("median"), **got}
    if behind:
        line["pooled_errors"] = sum(r["pooled_errors"] for r in records)
    if kind == ALL:
        services = [[r["services"][n] for r in records] for n in range(len(records[0]["services"]))]
        line["services"] = {own[0]["service"]: {"kind": own[0]["kind"], **figures(own)} for own in services}
    return line


def rows_of(what, line):
    """A line of the table; of several services one more for each."""
    got, wanted = line[line["measure"]] or {}, line["target_s"]
    numbers = [got.get(k) for k in ("median", "least", "most")]
    cells = ["-" if n is None else f"{n:.3f}" for n in numbers]
    errors = f", {line['pooled_errors']} errors (wanted: none)" if "pooled_errors" in line else ""
    split = (line["split_brain_s"] or {}).get("most") or 0
    yield (f"  {what:<28} {cells[0]:>8} {cells[1]:>8} {cells[2]:>8} {'-' if wanted is None else f'<= {wanted:g}':>8}"
           f" {line['lost_acked']:>6} {split:>8.3f}{errors}")
    for name, own in line.get("services", {}).items():
        yield from rows_of(f"  {name} ({own['kind']})", {**own, "measure": line["measure"], "target_s": None})


def show(kind, lines):
    """The table of one kind, for people."""
    durability = next(iter(lines.values()))["durability"]
    print(f"\n{kind}, {durability}: seconds until the first write elsewhere (switchover: without any answer), "
          f"{max(line['runs'] for line in lines.values())} runs each\n"
          f"  {'fault':<28} {'median':>8} {'least':>8} {'most':>8} {'wanted':>8} {'lost':>6} {'split_s':>8}", file=sys.stderr)
    for what, line in lines.items():
        print("\n".join(rows_of(what, line)), file=sys.stderr)
    sys.stderr.flush()


def whats_of(args, kind):
    """What is run for a kind: names of faults, and for PostgreSQL the switch behind pgbouncer."""
    if args.only:
        return args.only.split(",")
    if not args.kind:
        return list(FAULTS)
    return [*TABLE, POOLED] if kind == "postgres" else list(TABLE)


def of_kind(args, kind, folder, put):
    """Every fault of one kind; its lines by what was done."""
    lines = {}
    for what in whats_of(args, kind):
        fault = FAULTS["switchover" if what == POOLED else what]
        options = ["--kind", kind] + (["--pgbouncer"] if what == POOLED else [])
        lines[what] = summary(what, kind, fault, *of_fault(fault.name, args.runs, folder, *options))
        put(what, **lines[what])
    return lines


def run(args, put):
    """Each kind that was asked for, PostgreSQL without; each fault of the table, without --kind all of them; or --only."""
    kinds = (args.kind or "postgres").split(",")
    unknown = [n for kind in kinds for n in whats_of(args, kind) if n not in FAULTS and n != POOLED]
    if unknown:
        raise LabError(f"no fault {unknown[0]}; there are: {', '.join(FAULTS)}")
    wrong = [kind for kind in kinds if kind not in (*KINDS, ALL)]
    if wrong:
        raise LabError(f"no kind {wrong[0]}; there are: {', '.join(KINDS)}, {ALL}")
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            tables[kind] = of_kind(args, kind, folder, put)
    for kind, lines in tables.items():
        show(kind, lines)
