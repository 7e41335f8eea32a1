"""selftest.py -- the checkers see what they should: good histories pass, every planted violation is caught and named.

Beside planted ones there are random histories of a real register and of real lists, with operations that overlap and
crash; on small ones the searches are compared with trying every order.  No server, no drcoord.  selftest_shapes.py has
the tests of what goes in and out: EDN, the history's file, the picture; selftest_runs.py those of what becomes of a run
that ends before its time, or in which nothing was done."""

import random
import sys
import unittest

import check_append
import check_cells
import check_epochs
import check_linear
import check_set
from check_epochs import Ack, Stretch
from samples import MS, by_trying, done, made, overlapping, run_lists, run_register, serial, txn
from verdict import kinds, lines


class Caught(unittest.TestCase):
    """What the tests of the checkers say."""

    def passes(self, result):
        """It is valid."""
        self.assertEqual((result["valid"], result["problems"], result["unknown"]), (True, [], []))

    def caught(self, result, *names):
        """It is not valid, for these reasons and no others."""
        self.assertIs(result["valid"], False)
        self.assertEqual(kinds(result), sorted(names), "\n".join(lines(result)))


class SetTest(Caught):
    """Numbered elements."""

    def test_good(self):
        result = check_set.check(made(
            *done(0, "add", 1), *done(1, "add", 2, kind="info"), *done(2, "add", 3, kind="fail"),
            *done(3, "add", 4, kind="info"), *done(4, "read", None, [4, 1])))
        self.passes(result)
        self.assertEqual((result["ok"], result["recovered"], result["acknowledged"]), (1, 1, 1))

    def test_lost(self):
        result = check_set.check(made(*done(0, "add", 1), *done(0, "add", 2), *done(1, "read", None, [2])))
        self.caught(result, "lost")
        self.assertEqual(result["lost"], [1])
        self.assertIn("missing from the last read", result["problems"][0]["text"])

    def test_seen_and_gone(self):
        result = check_set.check(made(*done(0, "add", 1, kind="info"), *done(1, "read", None, [1]),
                                      *done(1, "read", None, []), (2, "invoke", "add", 7)))
        self.caught(result, "lost")

    def test_seen_and_gone_before_the_answer(self):
        rows = [(0, "invoke", "add", 1), *done(1, "read", None, [1]), *done(1, "read", None, []), (0, "ok", "add", 1)]
        self.caught(check_set.check(made(*rows)), "lost")

    def test_allowed_loss(self):
        history = made(*done(0, "add", 1), *done(0, "add", 2), *done(1, "read", None, [9]), (2, "invoke", "add", 9))
        result = check_set.check(history, may_lose=lambda add: add.element == 1)
        self.assertEqual((result["lost"], result["lost_allowed"]), ([2], [1]))
        self.caught(result, "lost", "unexpected")
        result = check_set.check(made(*done(0, "add", 1), *done(1, "read", None, [])),
                                 may_lose=lambda add: add.done["time"] == MS)
        self.passes(result)

    def test_unexpected(self):
        for rows, read in ((done(0, "add", 1, kind="fail"), [1]), (done(0, "add", 2), [1, 2])):
            self.caught(check_set.check(made(*rows, *done(1, "read", None, read))), "unexpected")
        future = made(*done(1, "read", None, [1]), *done(0, "add", 1), *done(1, "read", None, [1]))
        self.caught(check_set.check(future), "unexpected")

    def test_duplicate(self):
        self.caught(check_set.check(made(*done(0, "add", 1), *done(1, "read", None, [1, 1]))), "duplicate")

    def test_stale(self):
        history = made(*done(0, "add", 1), *done(1, "read", None, []), *done(1, "read", None, [1]))
        self.assertEqual(check_set.check(history)["stale"], [1])
        self.caught(check_set.check(history, linearizable=True), "stale")

    def test_unknown(self):
        for rows in (done(0, "add", 1), [*done(0, "add", 1), *done(1, "read", None, kind="fail")],
                     [*done(1, "read", None, []), *done(0, "add", 1)],
                     [*done(0, "add", 1), *done(0, "add", 1), *done(1, "read", None, [1])]):
            self.assertEqual(check_set.check(made(*rows))["valid"], "unknown")

    def test_overlap_is_no_loss(self):
        rows = [(0, "invoke", "add", 1), (1, "invoke", "read", None), (0, "ok", "add", 1), (1, "ok", "read", []),
                *done(1, "read", None, [1])]
        self.passes(check_set.check(made(*rows), linearizable=True))

    def test_random_sets(self):
        for seed in range(40):
            rng = random.Random(seed)
            rows, final = [], []
            for n in range(60):
                kind = rng.choice(("ok", "ok", "fail", "info"))
                rows += done(n, "add", n, kind=kind)
                if kind == "ok" or (kind == "info" and rng.random() < 0.5):
                    final.append(n)
            rows += done(99, "read", None, final)
            self.passes(check_set.check(made(*rows)))
            acknowledged = [r[3] for r in rows if r[1] == "ok" and r[2] == "add"]
            victim = rng.choice(acknowledged)
            rows[-1] = (99, "ok", "read", [n for n in final if n != victim])
            self.assertEqual(check_set.check(made(*rows))["lost"], [victim])


class LinearTest(Caught):
    """A register."""

    def check(self, *rows, **options):
        """The verdict on rows."""
        return check_linear.check(made(*rows), **options)

    def test_good(self):
        self.passes(self.check(*done(0, "read", None, None), *done(0, "write", 1), *done(1, "read", None, 1),
                               *done(0, "cas", [1, 2]), *done(0, "cas", [1, 3], kind="fail"),
                               *done(1, "read", None, 2)))

    def test_stale_read(self):
        before = [row for n in range(20) for row in done(0, "write", n)]
        result = self.check(*before, *done(0, "write", 51), *done(1, "write", 52), *done(2, "read", None, 51),
                            *done(2, "write", 60))
        self.caught(result, "nonlinearizable")
        found = result["problems"][0]
        self.assertEqual((found["op"], found["states"], found["window"]), (44, ["52"], [42, 45]))
        self.assertIn("read -> 51", found["text"])
        self.assertNotIn("write 19", found["text"])

    def test_overlap(self):
        rows = [(0, "invoke", "write", 1), (1, "invoke", "write", 2), (0, "ok", "write", 1), (1, "ok", "write", 2)]
        for first, good in ((1, True), (2, True)):
            self.assertEqual(self.check(*rows, *done(2, "read", None, first))["valid"], good)
        self.caught(self.check(*rows, *done(2, "read", None, 1), *done(2, "read", None, 2)), "nonlinearizable")

    def test_crashed_write_takes_effect_late(self):
        rows = [*done(0, "write", 1, kind="info"), *done(1, "write", 2), *done(2, "read", None, 2),
                *done(2, "read", None, 1)]
        self.passes(self.check(*rows))
        self.caught(self.check(*rows, *done(2, "read", None, 2), *done(2, "read", None, 1)), "nonlinearizable")
        self.caught(self.check(*done(2, "read", None, 1), *done(0, "write", 1, kind="info")), "nonlinearizable")

    def test_crashed_ones_in_a_row(self):
        crashed = [row for n in (1, 2, 3) for row in done(n, "cas", [n, n + 1], kind="info")]
        self.passes(self.check(*done(0, "write", 1), *crashed, *done(5, "read", None, 4)))
        self.caught(self.check(*done(0, "write", 1), *crashed[2:], *done(5, "read", None, 4)), "nonlinearizable")

    def test_cas_that_could_not(self):
        self.caught(self.check(*done(0, "write", 1), *done(1, "cas", [2, 3])), "nonlinearizable")
        both = overlapping(done(0, "cas", [1, 2]), done(1, "cas", [1, 3]))
        self.caught(self.check(*done(5, "write", 1), *both), "nonlinearizable")

    def test_failed_write_seen(self):
        self.caught(self.check(*done(0, "write", 1), *done(1, "write", 2, kind="fail"), *done(2, "read", None, 2)),
                    "nonlinearizable")

    def test_nothing_to_judge_is_unknown(self):
        for rows in ([], done(0, "write", 1, kind="info"), done(0, "add", 1)):
            self.assertEqual(self.check(*rows)["valid"], "unknown")

    def test_initial(self):
        self.passes(self.check(*done(0, "read", None, 7), initial=7))
        self.caught(self.check(*done(0, "read", None, 7)), "nonlinearizable")

    def test_keys_are_apart(self):
        rows = [row + ({"key": key},) for key in (1, 2) for row in done(key, "write", key)]
        rows += [row + ({"key": 1},) for row in done(3, "read", None, 2)]
        result = self.check(*rows)
        self.caught(result, "nonlinearizable")
        self.assertEqual((len(result["problems"]), result["problems"][0]["key"]), (1, 1))

    def test_many_crashed(self):
        """Forty writes that nobody knows of, all of values that matter, cost no more than a look."""
        rows = [row for n in range(40) for row in done(n, "write", n, kind="info")]
        rows += [row for n in random.Random(1).sample(range(40), 40) for row in done(100, "read", None, n)]
        self.passes(self.check(*rows, states_max=20_000))
        self.caught(self.check(*rows, *done(100, "read", None, rows[-1][3]), *done(100, "read", None, 3),
                               states_max=20_000), "nonlinearizable")

    def test_too_many(self):
        rows = [(n, "invoke", "write", n) for n in range(14)]
        rows += [(n, "ok", "write", n) for n in range(14)]
        result = self.check(*rows, *done(20, "read", None, 3), states_max=500)
        self.assertEqual(result["valid"], "unknown")
        self.assertIn("too many", result["unknown"][0])

    def test_too_many_but_wrong_in_a_part(self):
        """What contradicts itself within a few answers is found though the whole is too much to search."""
        rows = run_register(random.Random(1), 1500, 8, 0.1)
        at = [n for n, row in enumerate(rows) if row[1:3] == ("ok", "read")][-9]
        self.passes(self.check(*rows, states_max=20_000))
        rows[at] = rows[at][:3] + (98,)
        calls = check_linear.calls_of(made(*rows))[None]
        self.assertRaises(check_linear.TooMany, check_linear.search, calls, None, 20_000)
        self.caught(self.check(*rows, states_max=20_000), "nonlinearizable")

    def test_parts_ask_for_less(self):
        """No part of a good history contradicts itself."""
        for seed in range(20):
            rng = random.Random(seed)
            calls = check_linear.calls_of(made(*run_register(rng, 40, 6)))[None]
            for _ in range(20):
                first, last = sorted(rng.sample(range(80), 2))
                self.assertIsNone(check_linear.search(check_linear.part(calls, first, last), check_linear.ANY, 100_000))

    def test_random_registers(self):
        for seed in range(30):
            rows = run_register(random.Random(seed), 120, 5)
            self.passes(self.check(*rows))
            reads = [n for n, row in enumerate(rows) if row[1:3] == ("ok", "read")]
            at = random.Random(seed).choice(reads)
            rows[at] = rows[at][:3] + (99,)
            self.caught(self.check(*rows), "nonlinearizable")

    def test_against_trying_every_order(self):
        """Small histories with answers that may be wrong: the search and brute force agree."""
        seen = {True: 0, False: 0}
        for seed in range(300):
            rng = random.Random(seed)
            rows = run_register(rng, 6, 3, 0.15)
            rows = [row[:3] + (rng.randrange(3),) if row[1:3] == ("ok", "read") and rng.random() < 0.4 else row
                    for row in rows]
            history = made(*rows)
            calls = check_linear.calls_of(history)[None]
            if all(c.crashed() for c in calls):
                continue
            expected = by_trying(calls, None)
            self.assertIs(check_linear.check(history)["valid"], expected, rows)
            seen[expected] += 1
        self.assertGreater(min(seen.values()), 40, seen)


class AppendTest(Caught):
    """Transactions on lists."""

    def check(self, *rows, **options):
        """The verdict on rows."""
        return check_append.check(made(*rows), **options)

    def test_good(self):
        self.passes(self.check(
            *txn(0, ("append", 1, 1), ("r", 1, [1])), *txn(1, ("append", 1, 2), ("append", 2, 5)),
            *txn(2, ("append", 1, 3), kind="info"), *txn(3, ("append", 1, 4), kind="fail"),
            *txn(4, ("r", 1, [1, 2, 3]), ("r", 2, [5]), ("append", 2, 6), ("r", 2, [5, 6]), ("r", 3, []))))

    def test_aborted_read(self):
        result = self.check(*txn(0, ("append", 1, 1), kind="fail"), *txn(1, ("r", 1, [1])))
        self.caught(result, "G1a")
        self.assertEqual(result["problems"][0]["ops"], [2, 3, 0, 1])

    def test_intermediate_read(self):
        first, second = txn(0, ("append", 1, 1), ("append", 1, 2)), txn(1, ("r", 1, [1]))
        self.assertIn("G1b", kinds(self.check(*overlapping(first, second), *txn(3, ("r", 1, [1, 2])))))

    def test_incompatible_order(self):
        both = [*txn(0, ("append", 1, 1)), *txn(0, ("append", 1, 2))]
        reads = overlapping(txn(1, ("r", 1, [1, 2])), txn(2, ("r", 1, [2, 1])))
        self.assertIn("incompatible-order", kinds(self.check(*both, *reads)))

    def test_garbage_and_duplicate(self):
        self.caught(self.check(*txn(0, ("r", 1, [9]))), "garbage-read")
        self.caught(self.check(*txn(0, ("append", 1, 1)), *txn(0, ("r", 1, [1, 1]))), "duplicate")

    def test_appended_twice_is_unknown(self):
        twice = txn(0, ("append", 1, 1)) + txn(1, ("append", 1, 1)) + txn(2, ("r", 1, [1]))
        self.assertEqual(self.check(*twice)["valid"], "unknown")
        self.assertEqual(self.check(*txn(0, ("append", 1, 1)))["valid"], "unknown")

    def test_internal(self):
        self.caught(self.check(*txn(0, ("append", 1, 1), ("r", 1, []))), "internal")
        self.assertIn("internal", kinds(self.check(*overlapping(
            txn(0, ("append", 1, 1)), txn(1, ("r", 1, []), ("r", 1, [1]))))))
        self.assertIn("future-read", kinds(self.check(*txn(0, ("r", 1, [1]), ("append", 1, 1)))))

    def test_lost_append(self):
        both = txn(0, ("append", 1, 1)) + txn(0, ("append", 1, 2))
        self.caught(self.check(*both, *txn(1, ("r", 1, [2]))), "lost-append")

    def test_overlap_is_no_loss(self):
        """The last read began before the append was acknowledged."""
        self.passes(self.check(*overlapping(txn(0, ("append", 1, 1)), txn(1, ("r", 1, [])))))

    def test_unsure_may_happen_late(self):
        self.passes(self.check(*txn(0, ("append", 1, 1), kind="info"), *txn(1, ("r", 1, [])), *txn(1, ("r", 1, [1]))))

    def test_stale_though_another_was_acknowledged_between(self):
        rows = overlapping(txn(0, ("append", 1, 1)), txn(1, ("append", 2, 1)))
        self.caught(self.check(*txn(3, ("r", 1, [])), *rows, *txn(2, ("r", 1, [])), *txn(2, ("r", 1, [1]))),
                    "G-single-realtime")

    def test_lost_update(self):
        """Two read the same and both append: one did not see the other."""
        pair = overlapping(txn(0, ("r", 1, []), ("append", 1, 1)), txn(1, ("r", 1, []), ("append", 1, 2)))
        result = self.check(*pair, *txn(2, ("r", 1, [1, 2])))
        self.caught(result, "G-single")
        self.assertIn("without the next one's 1", result["problems"][0]["text"])

    def test_g0(self):
        pair = overlapping(txn(0, ("append", 1, 1), ("append", 2, 1)), txn(1, ("append", 1, 2), ("append", 2, 2)))
        self.caught(self.check(*pair, *txn(2, ("r", 1, [1, 2]), ("r", 2, [2, 1]))), "G0")

    def test_g1c(self):
        pair = overlapping(txn(0, ("append", 1, 1), ("r", 2, [1])), txn(1, ("append", 2, 1), ("r", 1, [1])))
        self.caught(self.check(*pair), "G1c")

    def test_g_single(self):
        """One transaction sees half of another."""
        pair = overlapping(txn(0, ("append", 1, 1), ("append", 2, 1)), txn(1, ("r", 1, [1]), ("r", 2, [])))
        self.caught(self.check(*pair, *txn(2, ("r", 2, [1]))), "G-single")

    def test_g2(self):
        """Write skew: what PostgreSQL's repeatable read allows and serializable does not."""
        pair = overlapping(txn(0, ("r", 1, []), ("append", 2, 1)), txn(1, ("r", 2, []), ("append", 1, 1)))
        result = self.check(*pair, *txn(2, ("r", 1, [1]), ("r", 2, [1])))
        self.caught(result, "G2")
        self.assertEqual(result["problems"][0]["ops"], [0, 1, 2, 3])

    def test_stale_read(self):
        rows = [*txn(0, ("append", 1, 1)), *txn(1, ("r", 1, [])), *txn(2, ("r", 1, [1]))]
        result = self.check(*rows)
        self.caught(result, "G-single-realtime")
        self.assertIn("was acknowledged (operation 1) before the next one began", result["problems"][0]["text"])
        self.passes(self.check(*rows, realtime=False))

    def test_unsure_that_was_read_counts(self):
        """What is read has happened: its neighbours in time bind it too."""
        rows = [*txn(0, ("append", 1, 1)), *txn(1, ("append", 1, 2), kind="info"), *txn(2, ("r", 1, [2, 1]))]
        self.caught(self.check(*rows), "G0-realtime")

    def test_random_lists(self):
        for seed in range(15):
            rng = random.Random(seed)
            rows = run_lists(rng, 60, 5)
            self.passes(self.check(*rows))
            # One element vanishes from the last read; it had been acknowledged.
            told = {p[2] for row in rows if row[1] == "ok" for p in row[3] if p[0] == "append"}
            value = [[f, k, v[:-1] if k == at else v] for at in range(3) for f, k, v in rows[-1][3]
                     if rows[-1][3][at][2] and rows[-1][3][at][2][-1] in told][:3]
            self.assertTrue(value)
            self.assertIn("lost-append", kinds(self.check(*rows[:-1], rows[-1][:3] + (value,))))

    def test_against_trying_every_order(self):
        """Small histories, some reads cut short: who is accused has no serial order, who has none is accused."""
        seen = {True: 0, False: 0}
        for seed in range(300):
            rng = random.Random(seed)
            rows = [row for row in run_lists(rng, 5, 3) if row[1] != "info"]
            ended = {r[0] for r in rows if r[1] == "ok"}
            if any(r[0] not in ended for r in rows) or len(rows) != 12:
                continue
            for n, row in enumerate(rows[:-2]):
                if row[1] == "ok":
                    cut = [[f, k, v[:rng.randrange(len(v) + 1)] if f == "r" and rng.random() < 0.3 else v]
                           for f, k, v in row[3]]
                    rows[n] = row[:3] + (cut,)
            history = made(*rows)
            expected = serial(history)
            self.assertIs(check_append.check(history)["valid"], expected, rows)
            seen[expected] += 1
        self.assertGreater(min(seen.values()), 30, seen)


def cell(process, f, value, timeline, answer=None, server="a"):
    """An operation on cell 1 that overlaps no other, as a server on a timeline carries it out: two rows."""
    more = {"key": 1, "server": server}
    answer = value if answer is None else answer
    return [(process, "invoke", f, value, more), (process, "ok", f, answer, {**more, "timeline": timeline})]


class CellsTest(Caught):
    """Single values in the database."""

    WRITTEN = [*cell(0, "write", 1, 1), *cell(0, "write", 2, 1)]

    def check(self, *rows, cuts=()):
        """The verdict on rows."""
        return check_cells.check(made(*rows), cuts)

    def test_good(self):
        self.passes(self.check(*self.WRITTEN, *cell(1, "read", None, 1, 2), *cell(1, "cas", [2, 3], 2, server="b"),
                               *cell(0, "read", None, 2, 3, "b")))

    def test_what_a_failover_may_take_back(self):
        """An older value is one after a failover under async, and none otherwise, nor later on."""
        rows = [*self.WRITTEN, *cell(1, "read", None, 2, 1, "b")]
        self.passes(self.check(*rows, cuts=[2]))
        for cuts in ((), (3,)):
            self.caught(self.check(*rows, cuts=cuts), "nonlinearizable")
        self.caught(self.check(*rows, *cell(1, "read", None, 2, 2, "b"), cuts=[2]), "nonlinearizable")

    def test_invented(self):
        self.caught(self.check(*self.WRITTEN, *cell(1, "read", None, 2, 7, "b"), cuts=[2]), "unexpected")

    def test_unsure(self):
        """It may have happened before or after a failover."""
        unsure = [(5, "invoke", "write", 4, {"key": 1, "server": "a"}), (5, "info", "write", 4, {"key": 1, "server": "a"})]
        for timeline in (1, 2):
            rows = [*self.WRITTEN, *unsure, *cell(1, "read", None, timeline, 4)]
            self.passes(self.check(*rows, cuts=[2]))
            self.caught(self.check(*rows, *cell(1, "read", None, timeline, 2), *cell(1, "read", None, timeline, 4), cuts=[2]),
                        "nonlinearizable")

    def test_cuts(self):
        """Failovers cut, planned switches do not."""
        events = []
        for epoch, kind in ((2, "switchover"), (3, "failover"), (4, "rejoin"), (5, "failover")):
            events.append({"event": "plan.opened", "plan_kind": kind})
            if kind != "rejoin":
                events.append({"event": "primary.confirmed", "epoch": epoch})
        self.assertEqual(check_cells.cuts_of({"durability": "async", "kind": "redis"}, events), [3, 5])
        self.assertEqual(check_cells.cuts_of({"durability": "sync", "kind": "mariadb"}, events), [])

    def test_an_older_primary_that_still_reads(self):
        """Judged by what the servers name with each operation, reads too."""
        rows = [*self.WRITTEN, *cell(1, "write", 3, 2, server="b")]
        late = cell(0, "read", None, 1, 2)
        for some, kind in ((rows, None), (rows + late, "split-brain")):
            acks = check_epochs.acks_of(made(*some))
            result = check_epochs.check(check_epochs.told_by(acks), acks)
            if kind:
                self.caught(result, kind)
            else:
                self.passes(result)
        acks = check_epochs.acks_of(made(*rows, *cell(2, "write", 4, 2, server="c")))
        self.caught(check_epochs.check(check_epochs.told_by(acks), acks), "two-primaries")


class HolesTest(Caught):
    """What async durability may lose is the end of a log."""

    def verdict(self, *read, may_lose=lambda add: True, timelines=(1, 1, 1)):
        """Three adds one behind the other, and what was read at the end."""
        rows = []
        for n, timeline in enumerate(timelines):
            rows += [(0, "invoke", "add", n), (0, "ok", "add", n, {"timeline": timeline, "position": 100 + n})]
        return check_set.check(made(*rows, *done(1, "read", None, list(read))), may_lose)

    def test_good(self):
        result = self.verdict(0, 1)
        self.passes(result)
        self.assertEqual(result["lost_allowed"], [2])
        self.passes(self.verdict(0, 2, timelines=(1, 1, 2)))

    def test_hole(self):
        self.caught(self.verdict(0, 2), "hole")
        self.caught(self.verdict(1, 2), "hole")

    def test_loss_that_is_not_allowed(self):
        self.caught(self.verdict(0, 1, may_lose=None), "lost")


LOG_A = """\
2026-11-21 10:00:00.000 UTC [10]  LOG:  starting PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64
2026-11-21 10:00:00.010 UTC [11]  LOG:  database system was shut down at 2026-11-21 09:59:59 UTC
2026-11-21 10:00:00.100 UTC [10]  LOG:  database system is ready to accept connections
2026-11-21 10:00:09.500 UTC [10]  LOG:  received fast shutdown request
2026-11-21 10:00:10.000 UTC [10]  LOG:  database system is shut down
2026-11-21 10:00:15.000 UTC [12] writer LOG:  database system is ready to accept connections
2026-11-21 10:00:20.000 UTC [20]  LOG:  starting PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64
2026-11-21 10:00:20.100 UTC [21]  LOG:  entering standby mode
2026-11-21 10:00:20.200 UTC [20]  LOG:  database system is ready to accept read-only connections
\tdatabase system is ready to accept connections
2026-11-21 10:00:20.300 UTC [22]  LOG:  started streaming WAL from primary at 0/4000000 on timeline 2
"""
LOG_B = """\
2026-11-21 10:00:00.500 UTC [30]  LOG:  starting PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64
2026-11-21 10:00:00.510 UTC [31]  LOG:  database system was interrupted; last known up at 2026-11-21 10:00:00 UTC
2026-11-21 10:00:00.520 UTC [31]  LOG:  entering standby mode
2026-11-21 10:00:00.600 UTC [30]  LOG:  database system is ready to accept read-only connections
2026-11-21 10:00:11.000 UTC [31]  LOG:  received promote request
2026-11-21 10:00:11.010 UTC [31]  LOG:  selected new timeline ID: 2
2026-11-21 10:00:11.100 UTC [31]  LOG:  archive recovery complete
2026-11-21 10:00:11.150 UTC [30]  LOG:  database system is ready to accept connections
2026-11-21 10:00:30.000 UTC [40]  LOG:  starting PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64
2026-11-21 10:00:30.010 UTC [41]  LOG:  database system was interrupted; last known up at 2026-11-21 10:00:12 UTC
2026-11-21 10:00:31.000 UTC [40]  LOG:  database system is ready to accept connections
"""
TEN = 1_795_255_200.0  # 2026-11-21 10:00:00 UTC


class EpochsTest(Caught):
    """One primary per epoch."""

    def test_logs(self):
        found = [(s.role, s.timeline, round(s.start - TEN, 3), round(s.end - TEN, 3))
                 for s in check_epochs.stretches_of("a", LOG_A)]
        self.assertEqual(found, [("stopped", 1, 0, 0.1), ("primary", 1, 0.1, 10), ("stopped", 1, 10, 20.2),
                                 ("standby", 1, 20.2, 20.3), ("standby", 2, 20.3, float("inf"))])
        head, tail = LOG_B[:LOG_B.index("2026-11-21 10:00:30")], LOG_B[LOG_B.index("2026-11-21 10:00:30"):]
        # The killed server was a primary at its last line, and may have been one until it was started again.
        found = [(s.role, s.timeline, round(s.end - TEN, 3), round(s.latest - TEN, 3))
                 for s in check_epochs.stretches_of("b", tail, head)][2:]
        self.assertEqual(found, [("primary", 2, 11.15, 30), ("stopped", 2, 31, 31),
                                 ("primary", 2, float("inf"), float("inf"))])

    def test_logs_that_mislead(self):
        self.assertRaises(check_epochs.LogError, check_epochs.stretches_of, "a", LOG_A.replace("UTC [", "CET ["))
        self.assertRaises(check_epochs.LogError, check_epochs.stretches_of, "a", "LOG:  starting PostgreSQL 15\n")
        self.assertEqual(check_epochs.stretches_of("a", ""), [])

    def verdict(self, *acks, logs=(LOG_A, LOG_B), clocks=True, **options):
        """The verdict on the two logs and (server, sent, done, what, timeline) in seconds of the minute."""
        stretches = [s for name, log in zip("ab", logs) for s in check_epochs.stretches_of(name, log, clocks=clocks)]
        acks = [Ack(s, TEN + a, TEN + b, *more) for s, a, b, *more in acks]
        return check_epochs.check(stretches, acks, clocks=clocks, **options)

    def test_good(self):
        self.passes(self.verdict(("a", 0.2, 0.3), ("a", 9.4, 9.6), ("b", 11.2, 11.3), ("b", 20, 20.1),
                                 ("b", 31.1, 31.2)))

    def test_split_brain(self):
        cut_off = [Stretch("a", "primary", 1, TEN, TEN + 60), Stretch("b", "primary", 2, TEN + 10, TEN + 60)]
        acks = [Ack("a", TEN + 1, TEN + 2), Ack("b", TEN + 11, TEN + 12)]
        self.passes(check_epochs.check(cut_off, acks))
        result = check_epochs.check(cut_off, acks + [Ack("a", TEN + 12.5, TEN + 13, "operation 7")])
        self.caught(result, "split-brain")
        self.assertIn("operation 7 was begun at 10:00:12.500 and acknowledged by a", result["problems"][0]["text"])
        # Begun before the other's answer: it may have been first.
        self.passes(check_epochs.check(cut_off, acks + [Ack("a", TEN + 11.9, TEN + 13)]))

    def test_the_timeline_a_server_names(self):
        """It decides together with the times, and alone where the servers' clocks are wrong."""
        self.passes(self.verdict(("a", 0.2, 0.3, "x", 1), ("b", 11.2, 11.3, "y", 2)))
        self.caught(self.verdict(("b", 11.2, 11.3, "y", 1)), "outside")
        for logs in ((LOG_A, LOG_B), (LOG_A.replace(" 10:00:", " 23:17:"), LOG_B)):
            acks = [("a", 31, 31.1, "w", 1), ("b", 31.2, 31.3, "x", 2), ("a", 31.25, 31.4, "y", 1)]
            self.passes(self.verdict(*acks, logs=logs, clocks=False))
            result = self.verdict(*acks, ("a", 31.35, 31.5, "z", 1), logs=logs, clocks=False)
            self.caught(result, "split-brain")
            self.assertIn("z was begun at 10:00:31.350 and acknowledged by a (timeline 1)", result["problems"][0]["text"])
            self.caught(self.verdict(("b", 31, 31.1, "v", 7), logs=logs, clocks=False), "outside")

    def test_no_clock_and_no_timeline_is_unknown(self):
        result = self.verdict(("a", 0.2, 0.3), ("b", 11.2, 11.3, "x", 2), clocks=False)
        self.assertEqual((result["valid"], len(result["unknown"])), ("unknown", 1))

    def test_a_log_of_a_clock_that_jumps(self):
        """The order of its lines counts, not their times."""
        head, tail = LOG_B[:LOG_B.index("2026-11-21 10:00:11.100")], LOG_B[LOG_B.index("2026-11-21 10:00:11.100"):]
        jumped = head + tail.replace("2026-11-21", "2026-11-20")
        found = {s.timeline for s in check_epochs.stretches_of("b", jumped, clocks=False) if s.role == "primary"}
        self.assertEqual(found, {2})
        self.assertIn(1, {s.timeline for s in check_epochs.stretches_of("b", jumped) if s.role == "primary"})

    def test_back_and_forth_is_good(self):
        turns = [Stretch(s, "primary", n + 1, TEN + 10 * n, TEN + 10 * n + 9) for n, s in enumerate("aba")]
        acks = [Ack(s, TEN + 10 * n + 1, TEN + 10 * n + 2) for n, s in enumerate("aba")]
        self.passes(check_epochs.check(turns, acks))

    def test_two_on_a_timeline(self):
        self.caught(check_epochs.check([Stretch("a", "primary", 2, TEN, TEN + 1), Stretch("b", "primary", 2, TEN + 5)]),
                    "two-primaries")

    def test_outside(self):
        self.caught(self.verdict(("a", 15, 15.1)), "outside")
        self.passes(self.verdict(("a", 15, 15.1), slack_s=6))
        self.caught(self.verdict(("a", 21, 21.1)), "outside")

    def test_holders(self):
        events = [{"event": "holder.chosen", "service": "orders", "epoch": 2, "member": m} for m in ("pg-a", "pg-b")]
        self.passes(self.verdict(events=events[:1] * 2))
        self.caught(self.verdict(events=events), "two-holders")

    def test_no_primary_is_unknown(self):
        self.assertEqual(check_epochs.check([])["valid"], "unknown")

    def test_acks_of(self):
        history = made((0, "invoke", "add", 1), (0, "ok", "add", 1, {"server": "10.1.0.20:5432", "timeline": 3}),
                       *[row + ({"server": "b"},) for row in txn(1, ("r", 1, [])) + txn(1, ("append", 1, 1))])
        acks = check_epochs.acks_of(history, name_of=lambda s: {"10.1.0.20:5432": "a"}.get(s, s))
        self.assertEqual([(a.server, round(a.done - 1.7e9, 6), a.timeline) for a in acks],
                         [("a", 0.001, 3), ("b", 0.005, None)])


if __name__ == "__main__":
    unittest.main(module=None, argv=[sys.argv[0], *(sys.argv[1:] or ["selftest", "selftest_shapes", "selftest_runs"])])
