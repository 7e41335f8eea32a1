"""samples.py -- histories for the self-test: written by hand, of real registers and lists, and judged by trying all."""

import itertools

import check_append
from history import History

MS = 1_000_000


def made(*rows):
    """A history of (process, type, f, value[, more]) rows, a millisecond apart."""
    found = History(start_ns=0, wall_ms=1_700_000_000_000)
    for n, (process, kind, f, value, *more) in enumerate(rows):
        found.append({"process": process, "type": kind, "f": f, "value": value, "time": n * MS,
                      **(more[0] if more else {})})
    return found


def done(process, f, value, answer=None, kind="ok"):
    """An operation that overlaps no other: two rows."""
    return [(process, "invoke", f, value), (process, kind, f, value if answer is None else answer)]


def txn(process, *parts, kind="ok"):
    """A transaction that overlaps no other: reads as ("r", key, [..]), appends as ("append", key, value)."""
    asked = [[f, k, None if f == "r" else v] for f, k, v in parts]
    return done(process, "txn", asked, [list(p) for p in parts] if kind == "ok" else asked, kind)


def overlapping(*txns):
    """Transactions that all begin before any of them ends: two rows each."""
    return [rows[0] for rows in txns] + [rows[1] for rows in txns]


def by_trying(calls, initial):
    """Whether any order of all answered and some crashed calls explains the answers."""
    must = [c for c in calls if not c.crashed()]
    may = [c for c in calls if c.crashed()]
    for count in range(len(may) + 1):
        for some in itertools.combinations(may, count):
            for order in itertools.permutations(must + list(some)):
                if any(b.end < a.start for n, a in enumerate(order) for b in order[n + 1:]):
                    continue
                state = initial
                for call in order:
                    possible, state = call.step(state)
                    if not possible:
                        break
                else:
                    return True
    return False


def run_register(rng, count, processes, crashes=0.1):
    """The rows of a real register: each operation takes effect at one moment between its two ends, or crashes."""
    value, rows, open_ops, begun = None, [], {}, 0
    names = list(range(processes))
    while begun < count or open_ops:
        at = rng.randrange(processes)
        process = names[at]
        op = open_ops.get(process)
        if op is None:
            if begun == count:
                continue
            begun += 1
            f = rng.choice(("read", "write", "cas"))
            asked = {"read": None, "write": rng.randrange(4), "cas": [rng.randrange(4), rng.randrange(4)]}[f]
            open_ops[process] = {"f": f, "asked": asked, "answer": None}
            rows.append((process, "invoke", f, asked))
            continue
        if op["answer"] is None and rng.random() < 0.7:
            if op["f"] == "read":
                op["answer"] = ("ok", value)
            elif op["f"] == "write":
                op["answer"], value = ("ok", op["asked"]), op["asked"]
            elif op["asked"][0] == value:
                op["answer"], value = ("ok", op["asked"]), op["asked"][1]
            else:
                op["answer"] = ("fail", op["asked"])
        if rng.random() < crashes:
            rows.append((process, "info", op["f"], op["asked"]))
            names[at] = max(names) + 1
        elif op["answer"]:
            rows.append((process, op["answer"][0], op["f"], op["answer"][1]))
        else:
            continue
        del open_ops[process]
    return rows


def run_lists(rng, count, processes):
    """Rows of real lists, and the transactions' rows in the order they took effect; some crash."""
    lists, rows, open_ops, begun = {}, [], {}, 0
    names = list(range(processes))
    while begun < count or open_ops:
        at = rng.randrange(processes)
        process = names[at]
        op = open_ops.get(process)
        if op is None:
            if begun == count:
                continue
            begun += 1
            parts = [["r", rng.randrange(3), None] if rng.random() < 0.5 else
                     ["append", rng.randrange(3), begun * 10 + n] for n in range(rng.randint(1, 3))]
            open_ops[process] = [parts, None]
            rows.append((process, "invoke", "txn", parts))
            continue
        if op[1] is None and rng.random() < 0.7:
            op[1] = []
            for f, key, value in op[0]:
                if f == "append":
                    lists.setdefault(key, []).append(value)
                op[1].append([f, key, value if f == "append" else list(lists.get(key, []))])
        if rng.random() < 0.05:
            rows.append((process, "info", "txn", op[0]))
            names[at] = max(names) + 1
        elif op[1] is not None:
            rows.append((process, "ok", "txn", op[1]))
        else:
            continue
        del open_ops[process]
    return rows + txn(max(names) + 1, *[("r", key, list(lists.get(key, []))) for key in range(3)])


def serial(history):
    """Whether any order, true to real time, explains every transaction; all must have an outcome."""
    txns = [t for t in check_append.Lists(history).txns if t.type == "ok"]
    for order in itertools.permutations(txns):
        if any(b.end < a.start for n, a in enumerate(order) for b in order[n + 1:]):
            continue
        lists, good = {}, True
        for one in order:
            for f, key, value in one.parts:
                if f == "append":
                    lists[key] = lists.get(key, ()) + (value,)
                good = good and (f == "append" or lists.get(key, ()) == value)
        if good:
            return True
    return False
