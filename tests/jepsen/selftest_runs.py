"""selftest_runs.py -- what becomes of a run: whatever ends it, it is kept and told; and harm that was not done is."""

import argparse
import contextlib
import functools
import importlib.machinery
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import types
import unittest
import xml.etree.ElementTree as xml
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lab"))

# pylint: disable=wrong-import-position
import edn
from attempt import Attempt
from harms import AGAIN_MOST, FIRST_S, Nemeses
from lab import LabError
from nemeses import Nemesis
from verdicts import last_leases

KEPT = {"history.jsonl", "history.edn", "events.jsonl", "verdict.txt", "timeline.svg", "error.txt"}
EVENT = {"event": "primary.confirmed", "member": "pg-a", "service": "orders", "epoch": 1, "wall_ms": 1}
LOG = """\
2026-11-21 10:00:00.000 UTC [10]  LOG:  starting PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64
2026-11-21 10:00:00.100 UTC [10]  LOG:  database system is ready to accept connections
"""
ENDS = (LabError("in vain"), ValueError("a bug"), subprocess.CalledProcessError(1, ["iptables"]),
        subprocess.TimeoutExpired(["iptables"], 5), SystemExit(143), KeyboardInterrupt())
ARGS = {"workload": "set", "kind": "postgres", "nemesis": "none", "time": 0.01, "seed": 7, "rate": 20, "durability": "sync",
        "profile": "metro", "keep": False}


def operation(kind, f, value, process=0):
    """One of a client's, now; a write by no known server, so that only its own checker judges it."""
    return {"process": process, "type": kind, "f": f, "value": value, "time": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}


class Place:
    """Stands where a stage would: two writes and a read are in its clients' logs.  fails: what raises, by name."""

    def __init__(self, folder, fails):
        self.folder, self.fails, self.ran, self.needs, self.complaints = folder, fails, [], set(), []
        self.lab = types.SimpleNamespace(folder=folder, close=lambda: self.act("close"), path=self.path,
                                         make_folder=self.make_folder)
        self.stand = types.SimpleNamespace(lab=self.lab, pg=types.SimpleNamespace(data={
            site: self.path(site) for site in ("az-a", "az-b", "az-c")}))
        self.cluster = types.SimpleNamespace(events=lambda: self.act("events", [EVENT]), status=dict,
                                             check_watch=lambda: self.act("check_watch"), data_address=str)
        os.makedirs(self.path("log"), exist_ok=True)
        with open(self.path("az-a.log"), "w", encoding="utf-8") as f:
            f.write(LOG)
        self.written = [operation("invoke", "add", 1), operation("ok", "add", 1), operation("invoke", "read", None),
                        operation("ok", "read", [1])]

    def path(self, *parts):
        """As a lab's."""
        return os.path.join(self.folder, *parts)

    def make_folder(self, name):
        """As a lab's."""
        os.makedirs(self.path(name))
        return self.path(name)

    def act(self, name, answer=None):
        """Do what a stage does under this name, or raise."""
        self.ran.append(name)
        if name in self.fails:
            raise self.fails[name]
        return answer

    def __getattr__(self, name):
        """The steps of a run."""
        answer = self.__dict__["written"] if name == "operations" else None
        return lambda *_: self.act(name, answer)


class RunsTest(unittest.TestCase):
    """A run from its beginning to its end."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.target = os.path.join(self.folder.name, "kept")

    def run_with(self, written=None, **fails):
        """(the line, the place) of a run of which these steps raise."""
        places = []

        def make(*_):
            places.append(Place(tempfile.mkdtemp(dir=self.folder.name), fails))
            places[0].written = places[0].written if written is None else written
            return places[0]
        run = Attempt(argparse.Namespace(**ARGS), lambda _: None, make, self.target)
        line = run.go()
        self.assertIn("close", places[0].ran)
        return line, places[0]

    def read(self, name):
        """A kept file."""
        with open(os.path.join(self.target, name), encoding="utf-8") as f:
            return f.read()

    def test_good(self):
        line, _ = self.run_with()
        self.assertEqual((line["ok"], line["why"], line["acked"]), (True, [], 2))
        self.assertFalse(os.path.exists(self.target))

    def test_whatever_ends_it(self):
        """All is kept and told, the history as far as it goes."""
        for where in ("up", "start_clients", "heal", "final_reads"):
            for end in ENDS:
                with self.subTest(where=where, end=end):
                    line, _ = self.run_with(**{where: end})
                    self.assertIs(line["ok"], False)
                    self.assertIn(type(end).__name__, line["why"][0])
                    self.assertEqual(KEPT - set(os.listdir(self.target)), set())
                    self.assertEqual(len(self.read("history.jsonl").splitlines()), 5)
                    self.assertEqual(len(edn.loads(self.read("history.edn"))), 4)
                    self.assertEqual(json.loads(self.read("events.jsonl")), EVENT)
                    self.assertTrue(xml.fromstring(self.read("timeline.svg")).tag.endswith("svg"))
                    verdict = self.read("verdict.txt").splitlines()
                    self.assertEqual(verdict[0], "run: NOT OK")
                    self.assertIn(type(end).__name__, verdict[1])
                    self.assertIs(json.loads(verdict[-1])["ok"], False)
                    self.assertIn("Traceback", self.read("error.txt"))

    def test_an_error_in_keeping_costs_nothing_else(self):
        """Each source, and each part of what is kept, stands for itself."""
        line, _ = self.run_with(events=OSError("no log"))
        self.assertIs(line["ok"], False)
        self.assertEqual((KEPT - set(os.listdir(self.target)), self.read("events.jsonl")), (set(), ""))
        for name, missing in (("timeline.draw", {"timeline.svg"}), ("check_set.check", set()), ("lab.keep_logs", set()),
                              ("History.to_edn", {"history.edn"}),
                              ("Found", KEPT - {"verdict.txt", "error.txt", "history.jsonl"})):
            with self.subTest(name), mock.patch(f"verdicts.{name}", side_effect=ValueError("a bug")):
                line, _ = self.run_with(up=LabError("in vain"))
                self.assertIs(line["ok"], False)
                found = set(os.listdir(self.target)) - {"log", "etc"}
                # What could not be drawn is left as far as it came.
                self.assertEqual(KEPT - found - {"timeline.svg"}, missing - {"timeline.svg"})
                self.assertIn('"add"', self.read("history.jsonl"))

    def test_no_history(self):
        """Operations that make none are kept as they are, beside those that do."""
        odd = operation("ok", "add", 5, process=9)
        good = [operation("invoke", "add", 1), operation("ok", "add", 1)]
        line, _ = self.run_with(good[:1] + [odd] + good[1:])
        self.assertIs(line["ok"], False)
        self.assertIn("ends what it did not begin", line["why"][0])
        self.assertEqual(json.loads(self.read("refused.jsonl")), odd)
        self.assertEqual(len(self.read("history.jsonl").splitlines()), 3)

    def test_nothing_stands(self):
        run = Attempt(argparse.Namespace(**ARGS), lambda _: None, mock.Mock(side_effect=LabError("no root")), self.target)
        self.assertIn("no root", run.go()["why"][0])
        self.assertIn("no root", self.read("verdict.txt"))

    def test_the_end_is_told(self):
        """The JSON line on stdout, how to do it again on stderr, and the exit code."""
        path = os.path.join(HERE, "run")
        program = importlib.util.module_from_spec(importlib.util.spec_from_loader(
            "run", importlib.machinery.SourceFileLoader("run", path)))
        program.__spec__.loader.exec_module(program)
        for end, code in ((ValueError("a bug"), 1), (SystemExit(143), 143)):
            place = Place(tempfile.mkdtemp(dir=self.folder.name), {"heal": end})
            out, err = io.StringIO(), io.StringIO()
            words = ["run", "--workload", "set", "--nemesis", "none", "--time", "0.01", "--seed", "7"]
            made = functools.partial(Attempt, make_stage=lambda *_, place=place: place, folder=self.target)
            with mock.patch.object(program, "Attempt", made), mock.patch.object(sys, "argv", words), \
                    contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                self.assertEqual(program.main(), code)
            self.assertIs(json.loads(out.getvalue())["ok"], False)
            self.assertIn("again: tests/jepsen/run --kind postgres --workload set --nemesis none --time 0.01 --seed 7", err.getvalue())


class LeasesTest(unittest.TestCase):
    """What a primary that was cut off acknowledged within its lease may be missing, whenever another could be promoted."""

    def test_window(self):
        self.assertEqual(last_leases([5000, 20000], [100, 4000, 10000, 21000], 1500), [(2500, 5000), (8500, 20000)])
        self.assertEqual(last_leases([50], [100], 10), [(40, 50)])


class HarmsTest(unittest.TestCase):
    """What nemeses did, and did not."""

    def nemesis(self, name, *acts):
        """One that does these in turn: raises an exception, or returns what it is; None: there is nothing to do."""
        turns = list(acts)

        def begin(_stage, _rng):
            """A harm."""
            act = turns[0] if len(turns) == 1 else turns.pop(0)
            if isinstance(act, BaseException):
                raise act
            return act and ("words", lambda: None, 0.3)
        return Nemesis(name, begin)

    def work(self, *chosen, by_name=True, until=lambda n: False):
        """Nemeses that were at work until something was so, or two seconds long."""
        harm = Nemeses(types.SimpleNamespace(say=lambda _: None), chosen, 7, by_name, (0.001, 0.002))
        harm.start()
        end = time.monotonic() + 2
        while time.monotonic() < end and not until(harm) and any(t.is_alive() for t in harm.threads):
            time.sleep(0.005)
        harm.stop()
        return harm

    def test_good(self):
        """All are done, each about as often as another."""
        harm = self.work(*(self.nemesis(f"n{n}", True) for n in range(5)), until=lambda n: min(n.counts.values()) > 1)
        self.assertEqual(harm.problems(1000), [])
        self.assertEqual(set(harm.happened()), set(harm.counts))
        self.assertLessEqual(max(harm.counts.values()) - min(harm.counts.values()), 2)

    def test_a_thread_that_died(self):
        harm = self.work(self.nemesis("good", True), self.nemesis("bad", KeyError("x")), until=lambda n: n.deaths)
        self.assertIn("a thread of the nemeses ended: KeyError", harm.problems(1)[0])

    def test_a_tool_that_fails_kills_no_thread(self):
        for error in (subprocess.CalledProcessError(1, ["iptables"]), subprocess.TimeoutExpired(["iptables"], 5)):
            harm = self.work(self.nemesis("bad", *[error] * AGAIN_MOST, True), until=lambda n: n.happened())
            self.assertEqual((harm.deaths, harm.problems(1000)), ([], []))

    def test_asked_for_and_not_done(self):
        for act, why in ((None, "nothing to do harm to"), (LabError("no such rule"), "no such rule")):
            harm = self.work(self.nemesis("good", True), self.nemesis("idle", act), until=lambda n: n.happened() and n.last)
            bad = harm.problems(FIRST_S)
            self.assertEqual(len(bad), 1)
            self.assertIn("idle was asked for and happened 0 times", bad[0])
            self.assertIn(why, bad[0])
            self.assertEqual(harm.problems(FIRST_S - 1), [])

    def test_all_of_them(self):
        """Some of all may have no turn in a short run; but not every one."""
        some = self.work(self.nemesis("good", True), self.nemesis("idle", None), by_name=False,
                         until=lambda n: n.happened() and n.last)
        self.assertEqual((some.problems(FIRST_S), len(some.problems(1000))), ([], 1))
        none = self.work(self.nemesis("idle", None), by_name=False, until=lambda n: n.last)
        self.assertIn("no harm at all happened", none.problems(FIRST_S)[0])

    def test_none_was_asked_for(self):
        self.assertEqual(self.work().problems(1000), [])
