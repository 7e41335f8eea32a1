"""check_append.py -- transactions that append to lists and read them: was there one order for all, in real time?

The method is Elle's (Kingsbury and Alvaro, 2020).  Every element is appended once, so a read tells which transactions
came before it, and in which order.  From that follow a graph of who came before whom, and anomalies in the words of
Adya (1999): ww, one wrote behind the other; wr, one read what the other wrote; rw, one did not yet see what the other
wrote; and rt, one was acknowledged before the other began.

Strict serializability is asked for: PostgreSQL's `serializable` on one primary at a time, so nothing acknowledged may
be missing from what begins later.  realtime=False asks for serializability alone."""

import collections

from graph import add_edge, components, cycle, new_graph
from history import frozen
from verdict import problem, verdict

SHOWN_MAX = 8
CYCLES_MAX = 20
TRIES_MAX = 100
INFINITE = float("inf")

# name: (an edge of one of these kinds, the way back over these); from the gravest on.
CLASSES = {
    "G0": ({"ww"}, {"ww"}),
    "G1c": ({"wr"}, {"ww", "wr"}),
    "G-single": ({"rw"}, {"ww", "wr"}),
    "G2": ({"rw"}, {"ww", "wr", "rw"}),
}


class Txn:
    """One transaction: (f, key, value) parts; a read's value is a tuple, or None when it is not known."""

    __slots__ = ("invoke", "done", "type", "parts", "start", "end")

    def __init__(self, invoke, done):
        self.invoke, self.done = invoke, done
        self.type = done["type"] if done else "info"
        value = (done if self.type == "ok" else invoke)["value"] or ()
        self.parts = [(f, frozen(k), frozen(v)) for f, k, v in value]
        if self.type == "ok":
            self.parts = [(f, k, v or ()) if f == "r" else (f, k, v) for f, k, v in self.parts]
        self.start = invoke["index"]
        self.end = done["index"] if self.type == "ok" else INFINITE

    def ops(self):
        """The indices of its operations."""
        return [op["index"] for op in (self.invoke, self.done) if op]

    def name(self):
        """For people: a number to find it by and what it did."""
        parts = [f"append {v} to {k}" if f == "append" else f"read {k}: {listed(v)}" for f, k, v in self.parts]
        more = "" if len(parts) <= SHOWN_MAX else ", ..."
        return f"T{self.start} ({self.type}, process {self.invoke['process']}: {', '.join(parts[:SHOWN_MAX])}{more})"

    def appends(self):
        """(key, value) of each append."""
        return [(k, v) for f, k, v in self.parts if f == "append"]

    def outer_reads(self):
        """{key: the list as it was before this transaction's own appends}, of the first read of each key."""
        own, found = collections.defaultdict(set), {}
        for f, key, value in self.parts:
            if f == "append":
                own[key].add(value)
            elif key not in found:
                end = len(value)
                while end and value[end - 1] in own[key]:
                    end -= 1
                found[key] = value[:end]
        return found


def listed(values):
    """A list for people: long ones by their end."""
    if values is None:
        return "?"
    text = " ".join(map(str, values[-SHOWN_MAX:]))
    return f"[{'... ' if len(values) > SHOWN_MAX else ''}{text}]"


class Lists:
    """The history's transactions, who wrote what, and the order of each list as far as it was read."""

    def __init__(self, history):
        self.txns = [Txn(*pair) for pair in history.pairs() if pair[0]["f"] == "txn"]
        self.good = [t for t in self.txns if t.type == "ok"]
        self.writer, self.twice, self.middle = {}, [], {}
        for txn in self.txns:
            last = {}
            for key, value in txn.appends():
                if (key, value) in self.writer:
                    self.twice.append((key, value, self.writer[(key, value)], txn))
                self.writer.setdefault((key, value), txn)
                if key in last:
                    self.middle[(key, last[key])] = txn
                last[key] = value
        self.order = collections.defaultdict(tuple)  # key: the longest read
        self.longest = {}  # key: the transaction that read it
        self.broken = set()  # keys without one order


def internal(txn):
    """Reads that contradict what the transaction itself read and wrote before; problems."""
    known, added, seen = {}, collections.defaultdict(tuple), {}
    for f, key, value in txn.parts:
        if f == "append":
            if value in seen.get(key, ()):
                yield problem("future-read", f"{txn.name()} read {value} of {key} before it appended it", txn.ops())
            added[key] += (value,)
            if key in known:
                known[key] += (value,)
            continue
        expected = known.get(key)
        tail = added[key]
        if expected is not None and value != expected:
            text = f"{txn.name()} read {key} as {listed(value)}, but must have seen {listed(expected)}"
            yield problem("internal", text, txn.ops())
        elif expected is None and tail and value[-len(tail):] != tail:
            text = f"{txn.name()} read {key} as {listed(value)} after it had appended {listed(tail)}"
            yield problem("internal", text, txn.ops())
        known[key] = value
        seen[key] = set(value) - set(tail)


def read_problems(lists, txn):
    """What each single read shows: elements of nobody, of the failed, of the middle of a transaction, or twice."""
    for key, value in ((k, v) for f, k, v in txn.parts if f == "r"):
        for element, count in collections.Counter(value).items():
            writer = lists.writer.get((key, element))
            if count > 1:
                yield problem("duplicate", f"{txn.name()} read {element} of {key} {count} times", txn.ops())
            if writer is None:
                text = f"{txn.name()} read {element} of {key}, which nobody appended"
                yield problem("garbage-read", text, txn.ops())
            elif writer.type == "fail":
                text = f"{txn.name()} read {element} of {key}, which {writer.name()} appended; that was aborted"
                yield problem("G1a", text, txn.ops() + writer.ops())
        writer = lists.middle.get((key, value[-1])) if value else None
        if writer is not None and writer is not txn:
            text = f"{txn.name()} read {key} up to {value[-1]}, but {writer.name()} appended more to it"
            yield problem("G1b", text, txn.ops() + writer.ops())


def orders(lists):
    """Find the order of each list; problems where two reads contradict each other."""
    reads = collections.defaultdict(dict)
    for txn in lists.good:
        for f, key, value in txn.parts:
            if f == "r":
                reads[key].setdefault(value, txn)
    for key, by_value in reads.items():
        values = sorted(by_value, key=len)
        for a, b in zip(values, values[1:]):
            if b[:len(a)] != a:
                first, second = by_value[a], by_value[b]
                lists.broken.add(key)
                yield problem("incompatible-order", f"list {key}: {first.name()} read {listed(a)} and {second.name()} "
                              f"read {listed(b)}; neither is the beginning of the other", first.ops() + second.ops())
                break
        lists.order[key], lists.longest[key] = values[-1], by_value[values[-1]]


def last_reads(lists):
    """{key: (the last transaction that read it, what)}."""
    found = {}
    for txn in lists.good:  # by their beginning
        for key, value in txn.outer_reads().items():
            found[key] = (txn, value)
    return found


def lost(lists):
    """Acknowledged appends that are missing from the last read of their list."""
    finals = {key: (reader, set(value)) for key, (reader, value) in last_reads(lists).items()}
    for txn in lists.good:
        for key, value in txn.appends():
            reader, final = finals.get(key, (None, ()))
            if reader is not None and reader.start > txn.end and value not in final:
                text = f"{txn.name()} was acknowledged; {value} is missing from the last read of {key}, {reader.name()}"
                yield problem("lost-append", text, txn.ops() + reader.ops())


def version_edges(lists, graph):
    """ww between neighbours in a list; wr and rw from and to who read it."""
    for key, order in lists.order.items():
        if key in lists.broken:
            continue
        for a, b in zip(order, order[1:]):
            before, after = lists.writer.get((key, a)), lists.writer.get((key, b))
            if before and after:
                add_edge(graph, before, after, "ww", f"it appended {a} to {key} and the next one {b} behind it")
    for txn in lists.good:
        for key, value in txn.outer_reads().items():
            order = lists.order[key]
            if key in lists.broken:
                continue
            writer = lists.writer.get((key, value[-1])) if value else None
            if writer:
                add_edge(graph, writer, txn, "wr", f"the next one read its {value[-1]} of {key}")
            following = lists.writer.get((key, order[len(value)])) if len(value) < len(order) else None
            if following:
                why = f"it read {key} as {listed(value)}, without the next one's {order[len(value)]}"
                add_edge(graph, txn, following, "rw", why)


def realtime_edges(txns, graph):
    """rt edges from whoever was acknowledged to whoever began later; those that follow from others are left out."""
    events = [(t.start, 0, n) for n, t in enumerate(txns)] + [(t.end, 1, n) for n, t in enumerate(txns)
                                                               if t.end != INFINITE]
    frontier, behind = {}, {}
    for _, ended, n in sorted(events):
        txn = txns[n]
        if not ended:
            behind[n] = list(frontier)
            for m in behind[n]:
                why = f"it was acknowledged (operation {txns[m].end}) before the next one began (operation {txn.start})"
                add_edge(graph, txns[m], txn, "rt", why)
            continue
        for m in behind[n]:
            frontier.pop(m, None)
        frontier[n] = True


def explain(graph, name, nodes, kinds):
    """A cycle in words: each transaction, and why it came before the next one."""
    steps, used = [], set()
    for number, (a, b) in enumerate(zip(nodes, nodes[1:] + nodes[:1])):
        first, rest = kinds
        edges = graph[a][b]
        kind = next(k for k in ("ww", "wr", "rw", "rt") if k in edges and k in (rest if number else first))
        used.add(kind)
        steps.append(f"\n      {a.name()}\n        before T{b.start} ({kind}): {edges[kind]}")
    full = name + ("-realtime" if "rt" in used else "")
    return problem(full, f"each of {len(nodes)} transactions comes before the next, around:" + "".join(steps),
                   sorted(i for n in nodes for i in n.ops()))


def oddity(a, b):
    """Edges that lead furthest back in time come first: they are the likeliest in a cycle."""
    return b.end - a.start, a.start, b.start


def cycles(graph, realtime):
    """The cycles, the gravest of each component; first those that need no clock."""
    told = []
    for extra in [set(), {"rt"}] if realtime else [set()]:
        for name, (first, rest) in CLASSES.items():
            for component in components(graph, first | rest | extra):
                if len(told) >= CYCLES_MAX:
                    return
                if any(nodes <= component for nodes in told):
                    continue
                nodes = cycle(graph, first, rest | extra, component, oddity, TRIES_MAX)
                if nodes:
                    told.append(set(nodes))
                    yield explain(graph, name, nodes, (first, rest | extra))


def check(history, realtime=True):
    """The verdict on the transactions (f "txn") of a history."""
    lists = Lists(history)
    unknown = [f"{v} was appended to {k} by {a.name()} and by {b.name()}: nobody can tell which is read"
               for k, v, a, b in lists.twice[:SHOWN_MAX]]
    if not any(f == "r" for t in lists.good for f, _, _ in t.parts):
        unknown.append("no read succeeded")
    bad = [p for txn in lists.good for p in internal(txn)]
    bad += [p for txn in lists.good for p in read_problems(lists, txn)]
    bad += list(orders(lists))
    bad += list(lost(lists))
    graph = new_graph()
    version_edges(lists, graph)
    if realtime:
        # A transaction of unknown outcome that was read has happened, though nobody knows when it ended.
        seen = set(graph).union(*graph.values())
        happened = [t for t in lists.txns if t.type == "ok" or t in seen]
        realtime_edges(happened, graph)
    bad += list(cycles(graph, realtime))
    counts = collections.Counter(t.type for t in lists.txns)
    return verdict("append", bad, unknown, transactions=len(lists.txns), acknowledged=counts["ok"],
                   failed=counts["fail"], unsure=counts["info"], lists=len(lists.order),
                   elements=sum(map(len, lists.order.values())))
