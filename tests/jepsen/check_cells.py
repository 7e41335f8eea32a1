"""check_cells.py -- are single values in the database (read, write, compare-and-set) linearizable?

Where nothing may be lost, each cell must be so over the whole run (check_linear).  Under async durability a failover may
take back the newest writes, so that a cell may hold an older value afterwards.  So the run is cut at each such failover, by
the timeline that the server named with every operation, and each part must be linearizable by itself, whatever a
cell held at its beginning; a value that nobody wrote is none in any part.  A planned switch takes nothing back: there is no
cut.  That no older primary answers beside a newer one is check_epochs' to judge, across the cuts too.

An operation whose outcome nobody knows may have happened in any part from where it began."""

import check_linear
from check_linear import ANY, Call, TooMany, describe, search_in_parts, without_idle
from verdict import problem, verdict


def taken_over(events):
    """Of the events of new primaries those after which something may be missing under async: not of planned switches."""
    kind, found = None, []
    for event in events:
        if event.get("event") == "plan.opened" and event.get("plan_kind") in ("failover", "switchover"):
            kind = event["plan_kind"]
        elif event.get("event") == "primary.confirmed" and kind == "failover":
            found.append(event)
    return found


def cuts_of(about, events):
    """The timelines whose primary may lack what the one before had acknowledged."""
    if about.get("durability") == "sync":
        return []
    if about.get("kind", "postgres") == "postgres":  # its timelines are its own numbers: one more for each promotion
        return list(range(2, 2 + sum(e.get("event") == "primary.confirmed" for e in events)))
    return sorted({e["epoch"] for e in taken_over(events)})


def part_of(timeline, cuts):
    """The number of the part that a timeline is in; cuts: the timelines that begin with a loss."""
    return sum(timeline >= cut for cut in cuts)


def told(history):
    """{index of the invoke: the timeline that was told with the answer}."""
    return {invoke["index"]: done["timeline"] for invoke, done in history.pairs()
            if done is not None and done["type"] == "ok" and "timeline" in done}


def invented(key, calls):
    """Reads of what nobody wrote to the cell."""
    written = {None} | {c.value[1] if c.f == "cas" else c.value for c in calls if c.f != "read"}
    for call in calls:
        if call.f == "read" and call.value not in written:
            yield problem("unexpected", f"cell {key}: {call.words()}, which nobody wrote", [call.start, call.end])


def parts_of(calls, timelines, cuts):
    """[(calls, what the cell held at first)] of one cell, by part."""
    known = {c.start: part_of(timelines[c.start], cuts) for c in calls if c.start in timelines}
    numbers = sorted(set(known.values()))
    for number in numbers:
        own = [c for c in calls if known.get(c.start) == number]
        own += [Call(c.start, check_linear.INFINITE, c.f, c.value, c.op, c.answered)
                for c in calls if c.start not in known and c.f != "read"]
        yield without_idle(own), None if number == numbers[0] else ANY


def check(history, cuts=(), states_max=check_linear.STATES_MAX):
    """cuts: the timelines whose primary may lack what the one before had acknowledged; none where nothing may be lost."""
    cells, timelines = check_linear.calls_of(history), told(history)
    bad, unknown, parts = [], [] if timelines else ["no operation on a cell succeeded"], 0
    for key, calls in sorted(cells.items(), key=lambda item: str(item[0])):
        bad += invented(key, calls)
        for own, initial in parts_of(calls, timelines, sorted(cuts)):
            parts += 1
            try:
                failure = search_in_parts(own, initial, states_max)
            except TooMany:
                unknown.append(f"cell {key}: too many possibilities: {states_max} tried, {len(own)} operations")
                continue
            if failure:
                bad.append(describe(key, failure, states_max))
    return verdict("cells", bad, unknown, cells=len(cells), parts=parts, cuts=sorted(cuts),
                   operations=sum(map(len, cells.values())))
