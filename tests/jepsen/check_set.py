"""check_set.py -- numbered elements are added, and all are read at the end: none may be missing, none invented.

As Jepsen's set-full: an element that was acknowledged, or once read, and is missing from the last read that began
after that, is lost.  An element that nobody added, or whose add failed for certain, is unexpected."""

from collections import Counter

from history import frozen
from verdict import problem, verdict


class Add:
    """One element: its operations, and since when it must be there (an index; None: it need not)."""

    __slots__ = ("element", "invoke", "done", "since")

    def __init__(self, element, invoke, done):
        self.element, self.invoke, self.done = element, invoke, done
        self.since = done["index"] if self.acknowledged() else None

    def acknowledged(self):
        """Whether the client was told that it is there."""
        return self.done is not None and self.done["type"] == "ok"

    def failed(self):
        """Whether the client was told that it is not there."""
        return self.done is not None and self.done["type"] == "fail"

    def ops(self):
        """The indices of its operations."""
        return [op["index"] for op in (self.invoke, self.done) if op]


class Read:
    """One read of everything that succeeded."""

    __slots__ = ("begin", "end", "elements", "counts")

    def __init__(self, invoke, done):
        self.begin, self.end = invoke["index"], done["index"]
        self.counts = Counter(frozen(v) for v in done["value"] or ())
        self.elements = set(self.counts)


def collect(history):
    """({element: Add}, the reads by their beginning, elements added twice)."""
    adds, reads, twice = {}, [], set()
    for invoke, done in history.pairs():
        if invoke["f"] == "add":
            element = frozen(invoke["value"])
            if element in adds:
                twice.add(element)
            adds[element] = Add(element, invoke, done)
        elif invoke["f"] == "read" and done is not None and done["type"] == "ok":
            reads.append(Read(invoke, done))
    return adds, reads, twice


def unexpected(adds, reads):
    """What was read and should not have been."""
    bad = {}
    for read in reads:
        for element in read.elements:
            add = adds.get(element)
            if add is None:
                why = "which nobody added"
            elif add.failed():
                why = f"whose add failed for certain (operation {add.done['index']})"
            elif add.invoke["index"] > read.end:
                why = f"before its add began (operation {add.invoke['index']})"
            else:
                continue
            ops = [read.begin, read.end] + (add.ops() if add else [])
            bad.setdefault(element, problem("unexpected", f"operation {read.end} read {element}, {why}", ops))
    return list(bad.values())


def duplicates(reads):
    """Elements that one read shows more than once."""
    bad = {}
    for read in reads:
        for element, count in read.counts.items():
            if count > 1:
                text = f"operation {read.end} read {element} {count} times"
                bad.setdefault(element, problem("duplicate", text, [read.begin, read.end]))
    return list(bad.values())


def place_by_reads(adds, reads):
    """An unknown add that was read has happened: from then on it must be there."""
    for read in reads:
        for element in read.elements:
            add = adds.get(element)
            if add is not None and not add.failed() and (add.since is None or read.end < add.since):
                add.since = read.end


def fates(adds, reads):
    """(lost, stale, never read): the adds that should be there by what the later reads say."""
    lost, stale, unread = [], [], []
    for add in adds.values():
        if add.since is None:
            continue
        later = [r for r in reads if r.begin > add.since]
        if not later:
            # Its own read shows it, if it was read at all.
            if not any(add.element in r.elements for r in reads):
                unread.append(add)
        elif add.element not in later[-1].elements:
            lost.append(add)
        elif any(add.element not in r.elements for r in later):
            stale.append(add)
    return lost, stale, unread


def place(add):
    """(the timeline, how far along its primary's log) of an acknowledged add; None where the server did not say."""
    done = add.done if add.acknowledged() else None
    return (done["timeline"], done["position"]) if done and "timeline" in done and "position" in done else None


def holes(adds, lost):
    """What is lost though the same primary's log goes on behind it: a standby has the beginning of a log, never a part of
    it, so that this is no loss of what was not sent yet."""
    gone, furthest = set(map(id, lost)), {}
    for add in adds.values():
        at = place(add)
        if at and id(add) not in gone and (at[0] not in furthest or place(furthest[at[0]])[1] < at[1]):
            furthest[at[0]] = add
    for add in lost:
        at = place(add)
        other = furthest.get(at[0]) if at else None
        if other and place(other)[1] > at[1]:
            text = (f"{add.element} is lost, at {at[1]} in the log of timeline {at[0]}, but {other.element} is there, at "
                    f"{place(other)[1]} behind it")
            yield problem("hole", text, add.ops() + other.ops())


def loss(add, reads):
    """A lost element in words."""
    what = "acknowledged" if add.acknowledged() else "read before"
    server = f" by {add.done['server']}" if add.done and add.done.get("server") else ""
    at = (add.done or add.invoke)["time"] / 1e9
    text = (f"{add.element} was {what}{server} at {at:.3f} s and is missing from the last read "
            f"(operation {reads[-1].end})")
    return problem("lost", text, add.ops() + [reads[-1].begin, reads[-1].end])


def check(history, may_lose=None, linearizable=False):
    """may_lose(add): whether the run's durability lets this element (an Add) be lost, by its server and time;
    without it nothing may.  linearizable: a read that misses an element which a later one shows is a violation too."""
    adds, reads, twice = collect(history)
    unknown = [f"element {e} was added more than once, so its fate can't be told" for e in sorted(twice, key=str)]
    if not reads:
        unknown.append("no read succeeded")
    place_by_reads(adds, reads)
    lost, stale, unread = fates(adds, reads)
    if reads and unread:
        unknown.append(f"{len(unread)} acknowledged elements were never read: no read began after them")
    allowed = [a for a in lost if may_lose and may_lose(a)]
    bad = [loss(a, reads) for a in lost if a not in allowed] + list(holes(adds, allowed)) + unexpected(adds, reads) + duplicates(reads)
    if linearizable:
        bad += [problem("stale", f"{a.element} was there, then missing from a read, then there again", a.ops())
                for a in stale]
    final = reads[-1].elements if reads else set()
    acknowledged = [a for a in adds.values() if a.acknowledged()]
    return verdict(
        "set", bad, unknown, attempts=len(adds), acknowledged=len(acknowledged),
        ok=sum(a.element in final for a in acknowledged), lost=[a.element for a in lost if a not in allowed],
        lost_allowed=[a.element for a in allowed], stale=[a.element for a in stale],
        recovered=sum(a.element in final for a in adds.values() if not a.acknowledged() and not a.failed()))
