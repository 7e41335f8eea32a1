"""verdicts.py -- what a run left behind, judged: the history by its checker, the servers' logs, drcoord's own events."""

import glob
import json
import os
import shutil

import check_append
import check_epochs
import check_linear
import check_set
import lab
import timeline
from cluster import member_of
from history import History
from lab import LabError
from net import SITES
from register import VALUES
from stand import TTL
from verdict import kinds, lines

HISTORY, EVENTS = "history.jsonl", "events.jsonl"


def by_time(operations):
    """In the order of time; a process's end before its next beginning where both have the same time."""
    return sorted(operations, key=lambda op: op["time"])


class Found:
    """The history and the events of one run."""

    def __init__(self, args, stage, operations):
        self.args, self.stage = args, stage
        self.folder = stage.lab.make_folder("found")
        operations = by_time(operations)
        start = operations[0]["time"] if operations else None
        self.history = History(os.path.join(self.folder, HISTORY), start, workload=args.workload, seed=args.seed,
                               nemesis=args.nemesis, durability=args.durability)
        for op in operations:
            self.history.append({**op, "time": op["time"] - start})
        self.history.close()
        self.history.to_edn(os.path.join(self.folder, "history.edn"))
        self.events = stage.cluster.events()
        with open(os.path.join(self.folder, EVENTS), "w") as f:
            f.writelines(json.dumps(e) + "\n" for e in self.events)
        self.results, self.stretches = [], []

    def judge(self, restless):
        """The run's fields: figures, and what is wrong in words."""
        self.results = [self._of_workload(), self._of_servers()]
        problems = [f"{p['type']}: {p['text']}" for r in self.results for p in r["problems"]]
        problems += self.stage.complaints + self._of_drcoord() + ([restless] if restless else [])
        with open(os.path.join(self.folder, "verdict.txt"), "w") as f:
            f.writelines(line + "\n" for r in self.results for line in lines(r))
            f.writelines(p + "\n" for p in problems)
        pairs = self.history.pairs()
        ends = [end["type"] if end else "open" for _, end in pairs]
        valid = [r["valid"] for r in self.results]
        return {"ok": not problems and all(v is True for v in valid),
                "operations": len(pairs), "acked": ends.count("ok"), "failed": ends.count("fail"),
                "nobody_knows": ends.count("info") + ends.count("open"), "valid": dict(zip((r["checker"] for r in self.results), valid)),
                "kinds": sorted({k for r in self.results for k in kinds(r)}),
                "moves": sum(e.get("event") == "primary.confirmed" for e in self.events),
                "why": problems[:6] + [u for r in self.results for u in r["unknown"]][:3]}

    def _of_workload(self):
        if self.args.workload == "set":
            return check_set.check(self.history, self._may_lose())
        if self.args.workload == "append":
            return check_append.check(self.history)
        return check_linear.check(self.history, VALUES[0])

    def _may_lose(self):
        """Under async durability: what a primary that was replaced acknowledged within its last lease."""
        if self.args.durability == "sync":
            return None
        moves = [e["wall_ms"] for e in self.events if e.get("event") == "primary.confirmed"]
        reach = 1000 * TTL[self.args.profile] + 5000  # the lease, its fence, and a standby that was slow

        def may(add):
            at = self.history.wall_ms((add.done or add.invoke)["time"])
            return any(at <= moved <= at + reach for moved in moves)
        return may

    def _of_servers(self):
        acks = check_epochs.acks_of(self.history, name_of=self._member_at)
        self.stretches = [s for site in SITES for s in check_epochs.stretches_of(member_of(site), *self._logs_of(site))]
        # With clocks that are wrong the logs' times say nothing, but still who was on which timeline.
        return check_epochs.check(self.stretches, () if "clocks" in self.stage.needs else acks, self.events)

    def _member_at(self, server):
        """The member whose data address it is."""
        return next(member_of(s) for s in SITES if self.stage.cluster.data_address(s) == server)

    def _logs_of(self, site):
        """The texts of a server's own logs: begun by hand, gone on under its agent."""
        for path in (self.stage.lab.path("log", f"pg-{site}.log"), self.stage.stand.pg.data[site] + ".log"):
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    yield f.read()

    def _of_drcoord(self):
        """No event lost or shown twice, and equal ledgers."""
        wrong = []
        try:
            self.stage.cluster.check_watch()
        except LabError as e:
            wrong.append(str(e))
        status = self.stage.cluster.status() or {}
        wrong += [f"the ledger of {c['name']} is {c['ledger']}" for c in status.get("coordinators", [])
                  if c.get("ledger") == "differs"]
        return wrong

    def draw(self):
        """The timeline."""
        with open(os.path.join(self.folder, "timeline.svg"), "w") as f:
            f.write(timeline.draw(self.history, self.events, self.stretches, self.results,
                                  f"{self.args.workload} under {self.args.nemesis}"))


def keep(stage, found, target):
    """Copy all that is needed to look at a run to where it outlives its lab."""
    lab.keep_logs(stage.lab.folder, target)
    for site in SITES:
        for path in glob.glob(stage.stand.pg.data[site] + ".log"):
            shutil.copy(path, os.path.join(target, "log", f"pg-{site}.agent.log"))
    if found:
        found.draw()
        shutil.copytree(found.folder, target, dirs_exist_ok=True)
    return target
