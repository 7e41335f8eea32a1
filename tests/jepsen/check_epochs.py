"""check_epochs.py -- one primary per epoch, from the servers' own logs.

A tenure is a stretch in which a server was out of recovery, that is, would have taken writes.  Each has PostgreSQL's
number for it, the timeline, which grows with every promotion.  Two rules, judged without drcoord's word:
  - a timeline has one server;
  - once a write of a newer tenure is acknowledged, none is begun that an older tenure of another server acknowledges.
Tenures themselves may overlap in time: a server that is cut off learns late that it was replaced.  What counts is
that it acknowledges nothing.  The second rule needs no exact times: it compares when an acknowledged write was begun
with when another was already answered, both by the clients' one clock.

An acknowledgement belongs to the tenure of its server that was then, and to that on the timeline which the server
named to the client within the same transaction, where it was asked (client.py).  Where a fault moves the clocks of the
servers (clocks=False) the logs' times say nothing: a log's lines count in the order they were written, and the timeline
alone says which tenure it was.  A client's clock is its own machine's, and nothing moves it.

A server of a kind whose log does not tell this names an epoch with each operation instead, reads among them: the newest
promotion that its own data descends from.  Its tenures are then what it acknowledged (told_by).

Logs must be written with log_line_prefix '%m [%p] %u ' and in UTC.  Lines with a user name are of clients, not of the
server, and are not believed."""

import calendar
import re
import time

from verdict import problem, verdict

LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{3}) (\S+) \[\d+\] (\S*) ?(?:LOG|FATAL|PANIC):  (.*)")
FOREVER = float("inf")
SLACK_S = 0.1
SHOWN_MAX = 20


class LogError(ValueError):
    """A log that can't be believed."""


class Stretch:
    """A server's role (primary, standby, stopped) from one time to another, in seconds since 1970.

    latest: when it was over at the latest; it is later than end when the server was killed without a word."""

    __slots__ = ("server", "role", "timeline", "start", "end", "latest")

    def __init__(self, server, role, timeline, start, end=FOREVER, latest=None):
        self.server, self.role, self.timeline, self.start, self.end = server, role, timeline, start, end
        self.latest = end if latest is None else latest

    def words(self):
        """For people."""
        until = "on" if self.end == FOREVER else f"to {clock(self.end)}"
        return f"{self.server} was {self.role} on timeline {self.timeline} from {clock(self.start)} {until}"


class Ack:
    """One acknowledged write: by which server, when the client began it and had its answer (seconds since 1970), on
    which timeline as the server said (None: it did not)."""

    __slots__ = ("server", "sent", "done", "what", "timeline")

    def __init__(self, server, sent, done, what="", timeline=None):
        self.server, self.sent, self.done, self.what, self.timeline = server, sent, done, what, timeline


def clock(seconds):
    """A time of day for people."""
    ms = round(seconds * 1000)
    return time.strftime("%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}"


class Reader:
    """Reads one server's log, in the order it was written."""

    def __init__(self, server):
        self.server, self.timeline = server, 1
        self.done, self.now, self.last = [], None, None

    def change(self, role, at, end=None):
        """Another role from now on; end: when the former was over for all that is known."""
        if self.now and self.now.role == role and self.now.timeline == self.timeline:
            return
        if self.now:
            self.now.end, self.now.latest = at if end is None else end, at
            self.done.append(self.now)
        self.now = Stretch(self.server, role, self.timeline, at)

    def line(self, at, text):
        """One line of the server itself."""
        for pattern, act in LINES:
            m = pattern.match(text)
            if m:
                act(self, at, m)
                break
        self.last = at

    def stretches(self):
        """What was read, the last one open."""
        return self.done + ([self.now] if self.now else [])

    # --- what the lines mean ------------------------------------------------------------------

    def starting(self, at, _):
        """A new postmaster: the one before is gone, at some time after its last line if it did not say so."""
        if not self.now or self.now.role != "stopped":
            self.change("stopped", at, self.last)

    def interrupted(self, at, _):
        """After a crash within one postmaster there is no line of a start."""
        if self.now and self.now.role == "primary":
            self.change("stopped", at, self.last)

    def streaming(self, at, m):
        """A standby's timeline is the one it receives."""
        self.follow(at, int(m[1]))

    def selected(self, _at, m):
        """A promotion; the next lines complete it."""
        self.timeline = int(m[1])

    def follow(self, at, timeline):
        """A standby on another timeline."""
        self.timeline = timeline
        if self.now and self.now.role == "standby":
            self.change("standby", at)

    def complete(self, at, _):
        """From here on it takes writes of whoever is connected already."""
        self.change("primary", at)

    def ready(self, at, _):
        """Out of recovery; after a promotion that was known already."""
        self.change("primary", at)

    def readonly(self, at, _):
        """A hot standby."""
        self.change("standby", at)

    def down(self, at, _):
        """The end, in its own words."""
        self.change("stopped", at)


LINES = [(re.compile(pattern), act) for pattern, act in (
    (r"starting PostgreSQL ", Reader.starting),
    (r"database system was interrupted", Reader.interrupted),
    (r"all server processes terminated; reinitializing", Reader.interrupted),
    (r"(?:re)?started (?:streaming WAL .*|WAL streaming .*) on timeline (\d+)", Reader.streaming),
    (r"new target timeline is (\d+)", Reader.streaming),
    (r"selected new timeline ID: (\d+)", Reader.selected),
    (r"archive recovery complete", Reader.complete),
    (r"database system is ready to accept connections", Reader.ready),
    (r"database system is ready to accept read[- ]only connections", Reader.readonly),
    (r"database system is shut down", Reader.down),
)]


def lines_of(server, text):
    """(time, what) of each line that the server itself wrote."""
    seen = 0
    for row in text.split("\n"):
        m = LINE.match(row)
        if not m:
            continue
        if m[3] not in ("UTC", "GMT"):
            raise LogError(f"{server}: the log is in {m[3]}, not in UTC: {row[:80]}")
        seen += 1
        if not m[4]:
            seconds = calendar.timegm(time.strptime(m[1], "%Y-%m-%d %H:%M:%S"))
            yield seconds + int(m[2]) / 1000, m[5]
    if not seen and text.strip():
        raise LogError(f"{server}: no line begins as log_line_prefix '%m [%p] %u ' would have it")


def stretches_of(server, *texts, clocks=True):
    """All roles of one server, from the texts of its logs: it has two when its agent started it later on.

    clocks: whether its clock can be believed; if not, the texts are given in the order they were written."""
    reader, rows = Reader(server), [row for text in texts for row in lines_of(server, text)]
    for at, text in sorted(rows, key=lambda row: row[0]) if clocks else rows:
        reader.line(at, text)
    return reader.stretches()


def told_by(acks):
    """The tenures that acknowledgements themselves tell: of a server on a timeline, from its first to its last."""
    found = {}
    for ack in (a for a in acks if a.timeline is not None):
        own = found.setdefault((ack.server, ack.timeline), Stretch(ack.server, "primary", ack.timeline, ack.sent, ack.done))
        own.start, own.end = min(own.start, ack.sent), max(own.end, ack.done)
        own.latest = own.end
    return list(found.values())


def acks_of(history, functions=("add", "txn", "write", "cas"), name_of=lambda server: server):
    """The acknowledged writes of a history whose operations have a "server", and the reads with which it named its timeline;
    name_of: its name in the logs."""
    found = []
    for invoke, done in history.pairs():
        if done is None or done["type"] != "ok" or not done.get("server"):
            continue
        if invoke["f"] not in functions and not (invoke["f"] == "read" and "timeline" in done):
            continue
        if invoke["f"] == "txn" and not any(part[0] == "append" for part in done["value"]):
            continue
        sent, got = (history.wall_ms(op["time"]) / 1000 for op in (invoke, done))
        found.append(Ack(name_of(done["server"]), sent, got, f"operation {invoke['index']}", done.get("timeline")))
    return found


def tenure_of(ack, tenures, slack_s, clocks=True):
    """The tenure in which a write was acknowledged; None when its server was never out of recovery then."""
    fitting = [t for t in tenures if t.server == ack.server and ack.timeline in (None, t.timeline)]
    if not clocks:  # all of a server's tenures on one timeline count as one
        return min(fitting, key=lambda t: t.start, default=None)
    fitting = [t for t in fitting if t.start - slack_s <= ack.done and ack.sent <= t.latest + slack_s]
    # Over two tenures of a server, the later one: it is the milder accusation.
    return max(fitting, key=lambda t: t.start, default=None)


def shared(tenures):
    """Timelines with two servers."""
    first = {}
    for tenure in tenures:
        other = first.setdefault(tenure.timeline, tenure)
        if other.server != tenure.server:
            yield problem("two-primaries", f"two servers on one timeline: {other.words()}; {tenure.words()}",
                          wall_s=max(other.start, tenure.start))


def interleaved(spans):
    """Writes that an older tenure acknowledged although they were begun after one of a newer tenure's was answered."""
    for old, (_, late) in spans.items():
        for new, (early, _) in spans.items():
            newer = new.timeline > old.timeline or (new.timeline == old.timeline and new.start > old.start)
            if old.server != new.server and newer and early.done < late.sent:
                text = (f"{late.what or 'a write'} was begun at {clock(late.sent)} and acknowledged by {old.server} "
                        f"(timeline {old.timeline}), though {new.server} (timeline {new.timeline}) had acknowledged "
                        f"{early.what or 'one'} by {clock(early.done)}, {late.sent - early.done:.3f} s before")
                yield problem("split-brain", text, wall_s=late.sent)


def holders(events):
    """Epochs with two holders among the coordinators' own events."""
    first = {}
    for event in events:
        if event.get("event") != "holder.chosen":
            continue
        key = (event.get("service"), event.get("epoch"))
        other = first.setdefault(key, event.get("member"))
        if other != event.get("member"):
            text = f"epoch {key[1]} of {key[0]} has two holders: {other} and {event.get('member')}"
            yield problem("two-holders", text, wall_s=event.get("wall_ms", 0) / 1000)


def told(ack):
    """The timeline that a server named with an acknowledgement, for people."""
    return "" if ack.timeline is None else f" (timeline {ack.timeline})"


def check(stretches, acks=(), events=(), slack_s=SLACK_S, clocks=True):
    """stretches: of all servers of one service (stretches_of; or Stretch of the runner's own making, with "epoch"
    numbers for timelines).  acks: what was acknowledged to clients.  events: of `drcoordctl -o json watch`.
    slack_s: how far the clock of the logs may be from the clients'.  clocks: False where a fault moves the servers'."""
    untold = [] if clocks else [a for a in acks if a.timeline is None]
    tenures = sorted((s for s in stretches if s.role == "primary"), key=lambda s: s.start)
    spans, outside = {}, []
    for ack in (a for a in acks if clocks or a.timeline is not None):
        tenure = tenure_of(ack, tenures, slack_s, clocks)
        if tenure is None:
            outside.append(ack)
            continue
        early, late = spans.get(tenure, (ack, ack))
        spans[tenure] = (min(early, ack, key=lambda a: a.done), max(late, ack, key=lambda a: a.sent))
    bad = list(shared(tenures)) + list(interleaved(spans)) + list(holders(events))
    bad += [problem("outside", f"{a.what or 'a write'} was acknowledged by {a.server} at {clock(a.done)}{told(a)}, when "
                    "by its log it was not out of recovery", wall_s=a.done) for a in outside[:SHOWN_MAX]]
    unknown = [] if tenures else ["no log says that a server left recovery"]
    if untold:
        unknown.append(f"of {len(untold)} acknowledged writes neither a clock nor the server says the timeline")
    return verdict("epochs", bad, unknown, tenures=[t.words() for t in tenures], acknowledged=len(acks),
                   outside=len(outside))
