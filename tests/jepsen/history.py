"""history.py -- what was attempted and what came of it, in Jepsen's shape; kept as JSON lines, given away as EDN.

An operation is a dict: "index", "process", "type" (invoke, ok, fail, info), "f", "value", "time" (nanoseconds since
the start of the run), and what else the runner adds ("error", "server", "key").  ok: it happened.  fail: it did not
and never will.  info: nobody knows; it may happen at any later time or never.

A process does one operation at a time, and none after an info: who goes on takes another number (fresh_process).
Whoever breaks this gets HistoryError here, because every checker, also Knossos and Elle, would judge wrongly.
The nemesis is the process "nemesis"; its operations are info.

Operations may arrive out of order, from several programs: what counts is their time.  ops() is in that order and
numbered anew."""

import json
import os
import threading
import time

import edn

TYPES = ("invoke", "ok", "fail", "info")
NEMESIS = "nemesis"
FIRST = ("index", "process", "type", "f", "value", "time")


class HistoryError(ValueError):
    """Operations that are no history."""


def frozen(value):
    """A value that can be compared and be a key: lists become tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(frozen(v) for v in value)
    if isinstance(value, dict):
        return tuple(sorted((k, frozen(v)) for k, v in value.items()))
    return value


def edn_value(op):
    """An operation's value for Clojure: the parts of a transaction begin with keywords."""
    value = op["value"]
    if op["f"] == "txn" and isinstance(value, (list, tuple)):
        return [[edn.keyword(part[0]), *part[1:]] for part in value]
    return value


def edn_op(op):
    """One operation as an EDN map."""
    words = {"process": lambda p: edn.keyword(p) if isinstance(p, str) else p, "type": edn.keyword,
             "f": edn.keyword, "value": lambda _: edn_value(op)}
    keys = ("index", "type", "process", "f", "value", "time") + tuple(k for k in op if k not in FIRST)
    return edn.dumps({edn.keyword(k): words.get(k, lambda v: v)(op[k]) for k in keys if k in op})


class History:
    """The operations of one run.  Threads may append at the same time."""

    def __init__(self, path=None, start_ns=None, wall_ms=None, **about):
        """path: the JSON lines are written there as they come.  start_ns: the start by CLOCK_BOOTTIME; wall_ms: the
        same moment by the wall clock.  about: what else the first line should say of the run."""
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.start_ns = now_ns if start_ns is None else start_ns
        if wall_ms is None:
            wall_ms = (time.time_ns() - now_ns + self.start_ns) // 1_000_000
        self.about = {"wall_ms": wall_ms, **about}
        self._lock = threading.Lock()
        self._ops, self._sorted = [], None
        self._busy, self._crashed, self._largest = {}, set(), -1
        self.path, self._file = path, None
        if path:
            self._file = open(path, "w", buffering=1, encoding="utf-8")
            self._file.write(self._head())

    def _head(self):
        return json.dumps({"history": 1, **self.about}) + "\n"

    def append(self, op):
        """Take in one operation; without "time" it is now.  Returns it as it is kept."""
        with self._lock:
            kept = {"index": len(self._ops), **{k: op.get(k) for k in FIRST[1:]}, **op}
            kept["index"] = len(self._ops)
            if kept["time"] is None:
                kept["time"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.start_ns
            self._check(kept)
            self._ops.append(kept)
            self._sorted = None
            if self._file:
                self._file.write(json.dumps(kept) + "\n")
            return kept

    def fresh_process(self):
        """A number that no process has had."""
        with self._lock:
            self._largest += 1
            return self._largest

    def _check(self, op):
        process, kind = op["process"], op["type"]
        if kind not in TYPES or op["f"] is None:
            raise HistoryError(f"no operation: {op}")
        if process == NEMESIS:
            return
        if not isinstance(process, int) or isinstance(process, bool):
            raise HistoryError(f"a process is a number or {NEMESIS}: {op}")
        self._largest = max(self._largest, process)
        if kind == "invoke":
            if process in self._busy or process in self._crashed:
                what = "has an operation open" if process in self._busy else "ended with info; take a fresh number"
                raise HistoryError(f"process {process} {what}: {op}")
            self._busy[process] = op
            return
        begun = self._busy.pop(process, None)
        if begun is None or begun["f"] != op["f"]:
            raise HistoryError(f"process {process} ends what it did not begin: {op}")
        if op["time"] < begun["time"]:
            raise HistoryError(f"process {process} ends something before it began: {op}")
        if kind == "info":
            self._crashed.add(process)

    def ops(self):
        """All operations by their time, numbered from 0."""
        with self._lock:
            if self._sorted is None:
                ordered = sorted(self._ops, key=lambda op: op["time"])
                self._sorted = [{**op, "index": n} for n, op in enumerate(ordered)]
            return self._sorted

    def pairs(self):
        """(invoke, its completion or None) of every operation of a client, by the time of the invoke."""
        begun, out = {}, []
        for op in self.ops():
            if op["process"] == NEMESIS:
                continue
            if op["type"] == "invoke":
                begun[op["process"]] = len(out)
                out.append((op, None))
            else:
                at = begun.pop(op["process"])
                out[at] = (out[at][0], op)
        return out

    def nemesis(self):
        """What the nemesis did."""
        return [op for op in self.ops() if op["process"] == NEMESIS]

    def wall_ms(self, time_ns=0):
        """The wall clock, in milliseconds since 1970, at a time of this history."""
        return self.about["wall_ms"] + time_ns / 1e6

    def close(self):
        """No more operations: leave the file in the order of time, as ops() has it."""
        if not self._file:
            return
        self._file.close()
        self._file = None
        new = self.path + ".new"
        with open(new, "w", encoding="utf-8") as f:
            f.write(self._head())
            f.writelines(json.dumps(op) + "\n" for op in self.ops())
        os.replace(new, self.path)

    @classmethod
    def load(cls, path):
        """A kept history.  A last line that was cut off is left out: the run was killed."""
        with open(path, encoding="utf-8") as f:
            text = f.read().split("\n")
        rows = []
        for number, line in enumerate(text[:-1], 1):
            try:
                rows.append(json.loads(line))
            except ValueError as e:
                raise HistoryError(f"{path}:{number}: {e}") from None
        about = rows.pop(0) if rows and "history" in rows[0] else {}
        about.pop("history", None)
        found = cls(**{"start_ns": 0, "wall_ms": 0, **about})
        # Written while it was made, a history is in the order of arrival; a process is in order in either.
        for row in sorted(rows, key=lambda op: op["time"]):
            found.append(row)
        return found

    def to_edn(self, path, key=None):
        """One map a line, for Knossos and Elle.  key: only the operations with this "key" and the nemesis, numbered
        anew: Knossos' models know one register."""
        chosen = [op for op in self.ops() if key is None or op["process"] == NEMESIS or op.get("key") == key]
        with open(path, "w", encoding="utf-8") as f:
            for number, op in enumerate(chosen):
                f.write(edn_op({**op, "index": number}) + "\n")
