"""verdicts.py -- what a run left behind, judged: the history by its checker, the servers' logs, drcoord's own events."""

import glob
import json
import os
import shutil

import check_append
import check_cells
import check_epochs
import check_linear
import check_set
import lab
import timeline
from cluster import member_of
from history import History, HistoryError
from lab import LabError
from net import SITES
from register import VALUES
from stand import TTL
from verdict import kinds, lines

HISTORY, EDN, EVENTS, LEASES, VERDICT = "history.jsonl", "history.edn", "events.jsonl", "leases.jsonl", "verdict.txt"
REFUSED = "refused.jsonl"  # operations that make no history


def by_time(operations):
    """In the order of time; a process's end before its next beginning where both have the same time."""
    return sorted(operations, key=lambda op: op["time"])


def last_leases(moves, acks, reach):
    """Of each move what may be missing after it: from `reach` before the last acknowledgement that came before it, however long
    nobody could be promoted then, up to the move."""
    return [(max((a for a in acks if a <= moved), default=moved) - reach, moved) for moved in moves]


class Found:
    """The history and the events of one run, which may have ended before its time.

    guard(what, function, default): of the run; what raises in there is written down and costs nothing else."""

    def __init__(self, args, stage, operations, guard):
        self.args, self.stage, self.guard = args, stage, guard
        self.folder = stage.lab.make_folder("found")
        operations = by_time(operations)
        start = operations[0]["time"] if operations else None
        self.history = History(os.path.join(self.folder, HISTORY), start, workload=args.workload, kind=args.kind,
                               seed=args.seed, nemesis=args.nemesis, durability=args.durability,
                               clocks="clocks" not in stage.needs)
        self.broken = self._take(operations, start)
        self.history.close()
        guard("writing EDN", lambda: self.history.to_edn(os.path.join(self.folder, EDN)))
        self.events = guard("reading the events", stage.cluster.events, [])
        self._write_lines(EVENTS, self.events)
        lines = guard("reading the leases", stage.lease_lines, []) or []
        self.leases = [{**line, **{k: line[k] - self.history.start_ns for k in ("time", "deadline") if line[k]}}
                       for line in lines]
        self._write_lines(LEASES, self.leases)
        self.results, self.stretches, self.problems = [], [], []

    def _write_lines(self, name, rows):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(row) + "\n" for row in rows)

    def _take(self, operations, start):
        """The operations that make a history; those that make none are kept beside it.  Why they don't."""
        whys, rest = [], []
        for op in operations:
            try:
                self.history.append({**op, "time": op["time"] - start})
            except HistoryError as e:
                whys.append(f"no history: {e}"[:300])
                rest.append(op)
        if rest:
            self._write_lines(REFUSED, rest)
        return whys

    def judge(self, problems):
        """The run's fields: figures, and what is wrong in words, with the problems that are known already."""
        for what, judged in (("judging the history", self._of_workload), ("judging the logs", self._of_servers)):
            self.results += [r for r in [self.guard(what, judged)] if r]
        found = [f"{p['type']}: {p['text']}" for r in self.results for p in r["problems"]]
        self.problems = (self.broken + found + self.stage.complaints
                         + self.guard("asking drcoord", self._of_drcoord, []) + problems)
        pairs = self.history.pairs()
        ends = [end["type"] if end else "open" for _, end in pairs]
        valid = {r["checker"]: r["valid"] for r in self.results}
        return {"ok": not self.problems and len(valid) == 2 and all(v is True for v in valid.values()),
                "operations": len(pairs), "acked": ends.count("ok"), "failed": ends.count("fail"),
                "nobody_knows": ends.count("info") + ends.count("open"), "valid": valid,
                "lost_allowed": sum(len(r.get("lost_allowed", ())) for r in self.results),
                "kinds": sorted({k for r in self.results for k in kinds(r)}),
                "moves": sum(e.get("event") == "primary.confirmed" for e in self.events)}

    def why(self):
        """What is wrong or not known, the first of it."""
        return self.problems[:6] + [u for r in self.results for u in r["unknown"]][:3]

    def words(self):
        """The verdict for people, line by line."""
        return [line for r in self.results for line in lines(r)] + self.problems

    def _of_workload(self):
        if self.args.workload == "set":
            return check_set.check(self.history, self._may_lose())
        if self.args.workload == "append":
            return check_append.check(self.history, realtime=not self._wild())
        if self.args.workload == "cells":
            return check_cells.check(self.history, check_cells.cuts_of(self.history.about, self.events))
        return check_linear.check(self.history, VALUES[0])

    def _wild(self):
        """Whether clocks were worse than promised: an older primary may still answer then, but nothing may be lost."""
        return "wild" in self.stage.needs

    def _may_lose(self):
        """Under async durability: what a primary that was replaced acknowledged within its last lease, and of the last
        primary before a loss that a person accepted all."""
        if self.args.durability == "sync":
            return None
        moves = [e["wall_ms"] for e in check_cells.taken_over(self.events)]
        acks = [self.history.wall_ms(end["time"]) for begin, end in self.history.pairs()
                if begin["f"] == "add" and end and end["type"] == "ok"]
        spans = last_leases(moves, acks, 1000 * TTL[self.args.profile] + 5000)  # the lease, its fence, and a slow standby

        accepted = [(at, self._timeline_at(at)) for at in getattr(self.stage, "accepted_ms", ())]

        def may(add):
            at = self.history.wall_ms((add.done or add.invoke)["time"])
            told = (add.done or {}).get("timeline")
            return any(begin <= at <= moved for begin, moved in spans) or any(at <= when and told == last for when, last in accepted)
        return may

    def _timeline_at(self, wall_ms):
        """The newest timeline that a server had named by a time; None: none."""
        named = [op["timeline"] for op in self.history.ops() if "timeline" in op and self.history.wall_ms(op["time"]) <= wall_ms]
        return max(named, default=None)

    def _of_servers(self):
        clocks = "clocks" not in self.stage.needs
        acks = [] if self._wild() else check_epochs.acks_of(self.history, name_of=self._member_at)
        if self.args.kind == "postgres":
            self.stretches = [s for site in SITES
                              for s in check_epochs.stretches_of(member_of(site), *self._logs_of(site), clocks=clocks)]
        else:
            self.stretches = check_epochs.told_by(acks)
        return check_epochs.check(self.stretches, acks, self.events, clocks=clocks)

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
                                  f"{self.args.workload} under {self.args.nemesis}", self.leases))


def keep(stage, found, target, guard):
    """Copy all that is needed to look at a run to where it outlives its lab."""
    guard("keeping the logs", lambda: keep_logs(stage, target))
    if found:
        guard("drawing the timeline", found.draw)
        shutil.copytree(found.folder, target, dirs_exist_ok=True)


def keep_logs(stage, target):
    """Logs and configuration."""
    lab.keep_logs(stage.lab.folder, target)
    for site in SITES:
        for path in glob.glob(stage.stand.pg.data[site] + ".log"):
            os.makedirs(os.path.join(target, "log"), exist_ok=True)
            shutil.copy(path, os.path.join(target, "log", f"pg-{site}.agent.log"))
