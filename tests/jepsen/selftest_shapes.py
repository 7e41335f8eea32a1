"""selftest_shapes.py -- what goes into the checkers and comes out: EDN, the history and its file, the picture."""

import json
import os
import tempfile
import threading
import unittest
import xml.etree.ElementTree as xml

import check_set
import edn
import timeline
from check_epochs import Stretch
from edn import Keyword
from history import NEMESIS, History, HistoryError
from samples import MS, done, made, txn


class EdnTest(unittest.TestCase):
    """The notation."""

    def test_there_and_back(self):
        values = [None, True, False, 0, -7, 2**70, 1.5, "", 'q"\\\n\t\x01\x7f\u00e9', Keyword("a-b"), [],
                  [1, [2, None]], {Keyword("k"): {"s": 1}}, frozenset([1, 2])]
        for value in values:
            self.assertEqual(edn.loads(edn.dumps(value)), [value])
            self.assertIs(type(edn.loads(edn.dumps(value))[0]), type(value))

    def test_exact(self):
        self.assertEqual(edn.dumps({Keyword("f"): Keyword("add"), Keyword("e"): 'a"b', Keyword("v"): [1, None, True]}),
                         '{:f :add, :e "a\\"b", :v [1 nil true]}')
        self.assertEqual(edn.dumps(edn.keyword("disk full: 1")), ":disk-full-1")
        self.assertEqual(edn.dumps(float("inf")), "##Inf")

    def test_refused(self):
        for text in ("[1", "1]", "{:a}", '"open', "(]"):
            self.assertRaises(edn.EdnError, edn.loads, text)
        self.assertRaises(edn.EdnError, edn.dumps, object())

    def test_many_and_comments(self):
        self.assertEqual(edn.loads("{:a 1}\n; not this\n{:a, 2} "), [{"a": 1}, {"a": 2}])


class HistoryTest(unittest.TestCase):
    """Operations in Jepsen's shape."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        """A file of this test."""
        return os.path.join(self.folder.name, name)

    def test_exact_edn(self):
        rows = [*txn(3, ("append", 5, 1), ("r", 5, [1])), *done(4, "cas", [1, 2], kind="fail"),
                (NEMESIS, "info", "start", "partition a|b"), (5, "invoke", "read", None)]
        made(*rows).to_edn(self.path("h.edn"))
        with open(self.path("h.edn"), encoding="utf-8") as f:
            self.assertEqual(f.read().split("\n"), [
                "{:index 0, :type :invoke, :process 3, :f :txn, :value [[:append 5 1] [:r 5 nil]], :time 0}",
                "{:index 1, :type :ok, :process 3, :f :txn, :value [[:append 5 1] [:r 5 [1]]], :time 1000000}",
                "{:index 2, :type :invoke, :process 4, :f :cas, :value [1 2], :time 2000000}",
                "{:index 3, :type :fail, :process 4, :f :cas, :value [1 2], :time 3000000}",
                '{:index 4, :type :info, :process :nemesis, :f :start, :value "partition a|b", :time 4000000}',
                "{:index 5, :type :invoke, :process 5, :f :read, :value nil, :time 5000000}", ""])

    def test_edn_of_one_key(self):
        found = made(*[(p, t, "write", p, {"key": p % 2}) for p in range(4) for t in ("invoke", "ok")])
        found.to_edn(self.path("h.edn"), key=1)
        with open(self.path("h.edn"), encoding="utf-8") as f:
            ops = edn.loads(f.read())
        self.assertEqual([(op["index"], op["process"]) for op in ops], [(0, 1), (1, 1), (2, 3), (3, 3)])

    def test_kept_and_loaded(self):
        first = History(self.path("h.jsonl"), start_ns=5, wall_ms=77, workload="set", seed=3)
        first.append({"process": 1, "type": "invoke", "f": "add", "value": 1, "time": 10})
        first.append({"process": 0, "type": "invoke", "f": "add", "value": 2, "time": 5, "server": "a"})
        first.append({"process": 0, "type": "ok", "f": "add", "value": 2, "time": 7, "server": "a"})
        while_open = History.load(self.path("h.jsonl"))
        first.close()
        self.assertEqual([op["process"] for op in first.ops()], [0, 0, 1])
        with open(self.path("h.jsonl"), encoding="utf-8") as f:
            self.assertEqual([json.loads(line).get("process") for line in f], [None, 0, 0, 1])
        for again in (while_open, History.load(self.path("h.jsonl"))):
            self.assertEqual(again.about, {"wall_ms": 77, "workload": "set", "seed": 3})
            self.assertEqual([(op["index"], op["process"], op["time"]) for op in again.ops()],
                             [(0, 0, 5), (1, 0, 7), (2, 1, 10)])
            self.assertEqual([bool(end) for _, end in again.pairs()], [True, False])
            self.assertEqual(again.wall_ms(2 * MS), 79)

    def test_cut_off_and_broken(self):
        first = History(self.path("h.jsonl"))
        self.addCleanup(first.close)
        first.append({"process": 1, "type": "invoke", "f": "add", "value": 1})
        with open(self.path("h.jsonl"), "a", encoding="utf-8") as f:
            f.write('{"process": 1, "ty')
        self.assertEqual(len(History.load(self.path("h.jsonl")).ops()), 1)
        with open(self.path("h.jsonl"), "a", encoding="utf-8") as f:
            f.write("\n")
        self.assertRaises(HistoryError, History.load, self.path("h.jsonl"))

    def test_what_is_no_history(self):
        begun = (1, "invoke", "add", 1)
        for rows in ([(1, "ok", "add", 1)], [begun, begun], [begun, (1, "info", "add", 1), begun],
                     [begun, (1, "ok", "x", 1)], [("me", "invoke", "add", 1)], [(1, "maybe", "add", 1)]):
            self.assertRaises(HistoryError, made, *rows)
        found = made(begun)
        self.assertRaises(HistoryError, found.append, {"process": 1, "type": "ok", "f": "add", "time": -1})

    def test_threads(self):
        found = History(self.path("h.jsonl"), start_ns=None)

        def work():
            for n in range(50):
                process = found.fresh_process()
                for kind in ("invoke", "ok" if n % 2 else "info"):
                    found.append({"process": process, "type": kind, "f": "add", "value": n})
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found.close()
        again = History.load(self.path("h.jsonl"))
        self.assertEqual(len(again.pairs()), 200)
        self.assertEqual(again.ops(), found.ops())
        self.assertEqual([op["index"] for op in again.ops()], list(range(400)))


class TimelineTest(unittest.TestCase):
    """The picture."""

    def shapes(self, text):
        """(classes of all shapes, all tooltips)."""
        root = xml.fromstring(text)
        return ([e.get("class") for e in root.iter() if e.get("class")],
                [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")])

    def test_everything(self):
        rows = [(NEMESIS, "info", "start", "kill pg-a <&\"'\x00>"), *done(0, "add", 1), *done(0, "add", 2, kind="info"),
                (NEMESIS, "info", "stop", "kill"), *done(5, "add", 3, kind="fail"),
                (NEMESIS, "info", "start-partition", None), *done(1, "read", None, [])]
        history = made(*rows)
        zero = history.wall_ms()
        events = [{"event": what, "wall_ms": zero + at, "service": "orders", **more} for what, at, more in (
            ("holder.chosen", 0, {"member": "pg-a", "epoch": 1}), ("epoch.declared", 4, {"epoch": 2}),
            ("plan.opened", 3, {"plan": 2, "plan_kind": "failover", "why": "gone"}),
            ("holder.chosen", 5, {"member": "pg-b", "epoch": 2}),
            ("plan.closed", 8, {"plan": 2, "outcome": "done"}))]
        stretches = [Stretch("pg-a", "primary", 1, zero / 1000, zero / 1000 + 0.004),
                     Stretch("pg-b", "standby", 1, zero / 1000)]
        text = timeline.draw(history, events, stretches, [check_set.check(history)], "<title> & all")
        classes, tips = self.shapes(text)
        for want in ("fault", "primary", "standby", "lease", "plan", "violation", "ok", "fail", "info", "title"):
            self.assertIn(want, classes)
        self.assertTrue(any("kill pg-a <&\"' >" in t for t in tips))
        self.assertTrue(any("failover, gone, from 0.003 s to 0.008 s: done" in t for t in tips))
        self.assertTrue(any(t.startswith("lost: ") for t in tips))
        self.assertTrue(text.isascii() and 'width="1600"' in text and "LATER" not in text)

    def test_leases(self):
        """A lease's bar ends where the lease did, not where another holder was chosen."""
        def line(at, member, deadline, epoch):
            return {"time": at * 10**9, "member": member, "deadline": deadline * 10**9, "epoch": epoch}
        lines = [line(1, "pg-a", 3, 1), line(2, "pg-a", 4, 1), line(6, "pg-a", 8, 1), line(7, "pg-a", 0, 1),
                 line(9, "pg-b", 11, 2), line(10, "pg-b", 12, 3), line(20, "pg-c", 19, 3)]
        got = {m: [[a / 10**9, b / 10**9, e] for a, b, e in own] for m, own in timeline.held(lines).items()}
        self.assertEqual(got, {"pg-a": [[1, 4, 1], [6, 7, 1]], "pg-b": [[9, 10, 2], [10, 12, 3]], "pg-c": []})
        history = made(*done(0, "add", 1))
        events = [{"event": "holder.chosen", "wall_ms": history.wall_ms(), "service": "orders", "member": "pg-x", "epoch": 1}]
        _, tips = self.shapes(timeline.draw(history, events, lines=lines))
        self.assertIn("epoch 1: pg-a's lease from 1.000 s to 4.000 s", tips)
        self.assertFalse(any("pg-x" in t for t in tips))

    def test_empty(self):
        self.shapes(timeline.draw(made()))

    def test_many_operations_are_few_ticks(self):
        history = made(*[row for n in range(5000) for row in done(n % 3, "add", n)])
        text = timeline.draw(history)
        self.assertLess(len(text), 600_000)
        self.assertTrue(any("such here" in t for t in self.shapes(text)[1]))

    def test_faults(self):
        def op(at, f, value=None, **more):
            return {"time": at * 10**9, "f": f, "value": value, **more}
        found = timeline.faults([op(1, "start", "kill pg-a"), op(2, "start", "kill: done"), op(3, "start-pause"),
                                 op(4, "stop", {"nemesis": "kill"}), op(5, "spec", "x"), op(6, "stop", nemesis="none"),
                                 op(7, "pause-stop"), op(8, "start", ["kill", "pg-b"])])
        self.assertEqual({name: [(b.start, b.end) for b in bars] for name, bars in found.items()},
                         {"kill": [(1, 4), (8, None)], "pause": [(3, 7)], "spec": [(5, 5)]})

    def test_processes_that_follow_share_a_row(self):
        history = made(*done(1, "add", 1, kind="info"), *done(101, "add", 2), *done(7, "add", 3),
                       (8, "invoke", "add", 4))
        rows = list(timeline.process_rows(history.pairs(), 1))
        self.assertEqual([name for name, _ in rows], ["process 1, 101, 7, 8"])


if __name__ == "__main__":
    unittest.main()
