"""timeline.py -- one run as a picture: faults, members' roles, leases, plans and operations over the seconds (SVG).

Every outcome has a shape as well as a colour, every bar and tick a tooltip.  Ticks of one kind that would fall on the
same place are drawn once, with their number, so that ten minutes of load stay a small file."""

import collections
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 1600, 190, 20
LANE, BAR, TICK_BY = 22, 14, 2
LANES_MAX = 40
STYLE = """
text { font: 12px sans-serif; fill: #222; } .title { font-size: 18px; font-weight: bold; } .head { font-weight: bold; }
.in { font-size: 11px; } .grid { stroke: #ddd; } .rule { stroke: #888; } .small { fill: #555; }
.fault { fill: #cc4125; fill-opacity: .55; stroke: #8a1c0c; } .violation { fill: #d40000; }
.mark { stroke: #d40000; stroke-dasharray: 5 3; }
.primary { fill: #0072b2; } .standby { fill: url(#hatch); stroke: #56a0cc; }
.stopped { fill: none; stroke: #999; stroke-dasharray: 3 3; }
.lease { fill: #111; } .plan { fill: #e8d8f4; stroke: #7b3fa0; }
.ok { stroke: #00875f; stroke-width: 1.6; } .fail { stroke: #777; stroke-width: 1.4; }
.info { fill: #e69f00; stroke: #8a5f00; stroke-width: .7; } .primary-in { fill: #fff; }
"""
HATCH = ('<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
         '<rect width="6" height="6" fill="#e3f1fa"/><line x1="0" y1="0" x2="0" y2="6" stroke="#9ecbe8" '
         'stroke-width="2"/></pattern></defs>')


class Bar:
    """Something that lasted, in seconds of the run; end None: it lasts still."""

    __slots__ = ("start", "end", "style", "label", "tip")

    def __init__(self, start, end, style, label, tip):
        self.start, self.end, self.style, self.label, self.tip = start, end, style, label, tip


def safe(text):
    """Text for SVG: escaped, without what XML forbids."""
    kept = "".join(c if c >= " " and c not in "\x7f\ufffe\uffff" and not "\ud800" <= c <= "\udfff" else " "
                   for c in str(text))
    return escape(kept, {'"': "&quot;", "'": "&#39;"})


def tooltip(text):
    """A title element."""
    return f"<title>{safe(text)}</title>"


def step_for(seconds):
    """Seconds between two grid lines: 1, 2 or 5 times a power of ten, at most 16 lines."""
    for power in range(-3, 7):
        for factor in (1, 2, 5):
            if seconds / (factor * 10 ** power) <= 16:
                return factor * 10 ** power
    return seconds


# --- what happened, from the history and the events ---------------------------------------------------


def fault_of(op):
    """("start", "stop" or None, the fault's name) of an operation of the nemesis.

    Either f is start or stop and the value, or "nemesis" beside it, names the fault; or f is start-NAME, stop-NAME."""
    f, value = str(op["f"]), op.get("value")
    for word in ("start", "stop"):
        if f.startswith(word + "-") or f.endswith("-" + word):
            return word, f.removeprefix(word + "-").removesuffix("-" + word)
    if f not in ("start", "stop"):
        return None, f
    if isinstance(value, dict):
        value = value.get("nemesis") or value.get("name") or value.get("fault")
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    name = op.get("nemesis") or (str(value).split(":")[0].split(" ")[0] if value else "")
    return f, str(name)


def faults(ops):
    """{name: bars}, from each start to its stop; what is no pair is a short bar."""
    found, begun = collections.defaultdict(list), {}
    for op in ops:
        word, name = fault_of(op)
        at, tip = op["time"] / 1e9, f"{op['f']} {op.get('value')}"
        if word == "start":
            # What the start did is often a second operation of the same words.
            if name not in begun:
                begun[name] = Bar(at, None, "fault", "", f"{tip} from {at:.3f} s")
                found[name].append(begun[name])
            else:
                begun[name].tip += f"; {tip}"
        elif word == "stop":
            ended = [begun.pop(n) for n in ([name] if name in begun else [] if name else list(begun))]
            for bar in ended:
                bar.end, bar.tip = at, f"{bar.tip} to {at:.3f} s"
        else:
            found[name].append(Bar(at, at, "fault", "", f"{tip} at {at:.3f} s"))
    return found


def leases(events, at):
    """{member: bars} of whose the lease was, by the epochs: where nobody looked at the leases themselves."""
    found, now = collections.defaultdict(list), {}
    for event in events:
        service, what = event.get("service"), event.get("event")
        if what in ("holder.chosen", "epoch.declared") and service in now:
            now.pop(service).end = at(event)
        if what == "holder.chosen":
            tip = f"epoch {event.get('epoch')}: {event.get('member')} holds the lease of {service}"
            tip += f" from {at(event):.3f} s"
            now[service] = Bar(at(event), None, "lease", f"epoch {event.get('epoch')}", tip)
            found[event.get("member")].append(now[service])
    return found


def held(lines):
    """{member: [[from, to, epoch]]} in ns: from when a lease was seen to its end, which a next look may have moved on."""
    found = {}
    for line in lines:
        own = found.setdefault(line["member"], [])
        at, until, epoch = line["time"], line["deadline"], line["epoch"]
        runs = own and at <= own[-1][1]
        if runs and (until <= at or epoch != own[-1][2]):
            own[-1][1] = at  # given up before its end, or it is another's turn of the same member
        if until > at:
            if runs and epoch == own[-1][2]:
                own[-1][1] = until
            else:
                own.append([at, until, epoch])
    return found


def seen(lines):
    """{member: bars} of the leases themselves, from the lines of leases.py."""
    return {member: [Bar(start / 1e9, end / 1e9, "lease", f"epoch {epoch}",
                         f"epoch {epoch}: {member}'s lease from {start / 1e9:.3f} s to {end / 1e9:.3f} s")
                     for start, end, epoch in own] for member, own in held(lines).items()}


def roles(stretches, zero_s):
    """{server: bars} of what check_epochs read from the logs."""
    found = collections.defaultdict(list)
    for s in stretches:
        end = None if s.end == float("inf") else s.end - zero_s
        label = f"{s.role}, timeline {s.timeline}" if s.role == "primary" else s.role
        found[s.server].append(Bar(s.start - zero_s, end, s.role, label, s.words()))
    return found


def confirmed(events, at):
    """{member: bars} of primaries by the events alone, where there are no logs."""
    found, now = collections.defaultdict(list), {}
    for event in events:
        service, member, what = event.get("service"), event.get("member"), event.get("event")
        if what in ("primary.confirmed", "fence.proved", "epoch.declared") and service in now:
            now.pop(service).end = at(event)
        if what == "primary.confirmed":
            now[service] = Bar(at(event), None, "primary", "primary", f"{member} confirmed at {at(event):.3f} s")
            found[member].append(now[service])
    return found


def plans(events, at):
    """Bars of all plans, from opened to closed."""
    bars = {}
    for event in events:
        key, what = (event.get("service"), event.get("plan")), event.get("event")
        if what == "plan.opened":
            kind = event.get("plan_kind", "plan")
            tip = f"plan {key[1]} of {key[0]}: {kind}, {event.get('why', '')}, from {at(event):.3f} s"
            bars[key] = Bar(at(event), None, "plan", kind, tip)
        elif what == "plan.closed" and key in bars:
            bars[key].end = at(event)
            bars[key].tip += f" to {at(event):.3f} s: {event.get('outcome', '')}"
    return list(bars.values())


def packed(items):
    """Rows in which no two items (start, end, ...) overlap, as few as a greedy hand needs; where several are free
    the one that became so last."""
    rows = []
    for item in sorted(items, key=lambda i: (i[0], i[1])):
        free = [row for row in rows if row[-1][1] <= item[0]]
        if free:
            max(free, key=lambda row: row[-1][1]).append(item)
        else:
            rows.append([item])
    return rows


def process_rows(pairs, end):
    """[(name, pairs)]: processes that follow each other, as after a crash, share a row."""
    lives = collections.defaultdict(list)
    for pair in pairs:
        lives[pair[0]["process"]].append(pair)
    spans = []
    for process, own in lives.items():
        last = own[-1][1]
        spans.append((own[0][0]["time"] / 1e9, last["time"] / 1e9 if last else end, process))
    for row in packed(spans):
        names = [str(process) for _, _, process in row]
        name = ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])}, ..."
        yield f"process {name}", [pair for _, _, process in row for pair in lives[process]]


# --- drawing ------------------------------------------------------------------------------------------


class Picture:
    """The SVG while it grows, lane by lane."""

    def __init__(self, end, title, subtitle):
        self.end = max(end, 0.001)
        self.y, self.parts = 84, []
        self.text(LEFT, 26, title, "title")
        self.text(LEFT, 46, subtitle, "small")

    def x(self, seconds):
        """Where a time is."""
        return LEFT + min(max(seconds, 0), self.end) / self.end * (WIDTH - LEFT - RIGHT)

    def text(self, x, y, text, style, anchor="start"):
        """A word or two."""
        place = f'x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}"'
        self.parts.append(f"<text {place}>{safe(text)}</text>")

    def heading(self, text):
        """A new group of lanes."""
        self.y += 8
        self.parts.append(f'<line class="rule" x1="10" x2="{WIDTH - RIGHT}" y1="{self.y}" y2="{self.y}"/>')
        self.text(10, self.y + 15, text, "head")
        self.y += 20

    def lane(self, name):
        """A new lane; its middle."""
        shown = name if len(name) <= 26 else name[:25] + "~"
        place = f'x="{LEFT - 8}" y="{self.y + 15}" text-anchor="end"'
        self.parts.append(f"<text {place}>{tooltip(name)}{safe(shown)}</text>")
        self.y += LANE
        return self.y - LANE / 2

    def bar(self, bar, middle, height=BAR):
        """A bar, with its words in it when they fit."""
        x = self.x(bar.start)
        width = max(2.0, self.x(self.end if bar.end is None else bar.end) - x)
        self.parts.append(f'<rect class="{bar.style}" x="{x:.1f}" y="{middle - height / 2:.1f}" width="{width:.1f}" '
                          f'height="{height}">{tooltip(bar.tip)}</rect>')
        if bar.label and height == BAR and width > 7 * len(bar.label) + 6:
            self.text(x + 4, middle + 4, bar.label, f"in {bar.style}-in")

    def tick(self, kind, x, middle, tip):
        """An operation's outcome: a stroke, a cross, or a triangle."""
        if kind == "info":
            shape = f'<path class="info" d="M{x:.1f} {middle - 6:.0f}l4 10h-8z">'
            self.parts.append(f"{shape}{tooltip(tip)}</path>")
            return
        d = f"M{x:.1f} {middle - 7:.0f}v14" if kind == "ok" else f"M{x - 3:.1f} {middle - 3:.0f}l6 6m0 -6l-6 6"
        self.parts.append(f'<path class="{kind}" fill="none" d="{d}">{tooltip(tip)}</path>')

    def legend(self):
        """What the shapes mean."""
        x, y = LEFT, 66
        for style, words in (("fault", "fault"), ("primary", "primary"), ("standby", "standby"), ("stopped", "stopped"),
                             ("plan", "plan"), ("lease", "holds the lease")):
            height = 4 if style == "lease" else 12
            self.parts.append(f'<rect class="{style}" x="{x}" y="{y - height / 2 - 4}" width="22" height="{height}"/>')
            self.text(x + 28, y, words, "legend")
            x += 46 + 7 * len(words)
        for kind, words in (("ok", "| ok: it happened"), ("fail", "x fail: it did not"),
                            ("info", "triangle: nobody knows")):
            self.tick(kind, x + 6, y - 4, words)
            self.text(x + 16, y, words.split(" ", 1)[1], "legend")
            x += 40 + 7 * len(words)

    def finish(self):
        """The whole text."""
        grid, step = [], step_for(self.end)
        bottom = self.y + 6
        for n in range(int(self.end / step + 1e-9) + 1):
            x = self.x(n * step)
            grid.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="80" y2="{bottom}"/>')
            self.text(x, bottom + 16, f"{n * step:g} s", "axis", "middle")
        height = bottom + 30
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
                f'viewBox="0 0 {WIDTH} {height:.0f}"><style>{STYLE}</style>{HATCH}'
                f'<rect width="{WIDTH}" height="{height:.0f}" fill="#fff"/>')
        return "\n".join([head, *grid, *self.parts, "</svg>", ""])


def draw_operations(picture, pairs):
    """A lane for each row of processes."""
    rows = list(process_rows(pairs, picture.end))
    counts = collections.Counter(done["type"] if done else "info" for _, done in pairs)
    picture.heading(f"operations: {counts['ok']} ok, {counts['fail']} fail, {counts['info']} info")
    for name, own in rows[:LANES_MAX]:
        middle, places = picture.lane(name), {}
        for invoke, done in own:
            kind = done["type"] if done else "info"
            x = picture.x((done or invoke)["time"] / 1e9)
            places.setdefault((kind, int(x / TICK_BY)), []).append((x, invoke, done))
        for (kind, _), found in sorted(places.items(), key=lambda item: ("fail", "ok", "info").index(item[0][0])):
            x, invoke, done = found[0]
            tip = f"{kind}: operation {invoke['index']} {invoke['f']} {(done or invoke)['value']}"[:300]
            tip += f" {done.get('error') or ''}" if done else ""
            tip += f" at {(done or invoke)['time'] / 1e9:.3f} s"
            picture.tick(kind, x, middle, tip + (f"; {len(found)} such here" if len(found) > 1 else ""))
    if len(rows) > LANES_MAX:
        picture.lane(f"and {len(rows) - LANES_MAX} lanes more")


def draw_members(picture, events, stretches, at, zero_s, lines):
    """A lane for each member: its role as a bar, the lease it holds as a thin one over it."""
    by_role = roles(stretches, zero_s) if stretches else confirmed(events, at)
    by_lease = seen(lines) if lines else leases(events, at)
    names = sorted({n for n in [*by_role, *by_lease] if n})
    if names:
        picture.heading("members")
    for name in names:
        middle = picture.lane(name)
        for bar in by_role.get(name, ()):
            picture.bar(bar, middle + 1)
        for bar in by_lease.get(name, ()):
            picture.bar(bar, middle - 8, 4)


def draw_violations(picture, history, verdicts):
    """A line down the picture where each violation's last operation is, or its time."""
    times = {op["index"]: op["time"] / 1e9 for op in history.ops()}

    def when(p):
        found = [times[i] for i in p["ops"] if i in times]
        return max(found) if found else (p["wall_s"] or 0) - history.wall_ms() / 1000
    found = [(when(p), p) for v in verdicts for p in v["problems"]]
    if not found:
        return
    picture.heading("violations")
    middle = picture.lane(f"{len(found)} found")
    for at, p in found[:200]:
        x = picture.x(at)
        picture.parts.append(f'<path class="violation" d="M{x:.1f} {middle + 7:.0f}l-5 -14h10z">'
                             f'{tooltip(p["type"] + ": " + p["text"][:1000])}</path>')
        picture.parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{middle:.0f}" y2="LATER"/>')


def draw(history, events=(), stretches=(), verdicts=(), title="a run", lines=()):
    """The SVG text.  events: of `drcoordctl -o json watch`; stretches: the members' roles by their logs (check_epochs);
    verdicts: of the checkers, to show where what went wrong; lines: the leases as leases.py saw them."""
    zero_ms = history.wall_ms()

    def at(event):
        return (event.get("wall_ms", zero_ms) - zero_ms) / 1000

    ops, pairs = history.ops(), history.pairs()
    events = [e for e in events if "event" in e]
    end = max([op["time"] / 1e9 for op in ops] + [at(e) for e in events] + [0.001])
    words = {True: "valid", False: "NOT VALID"}
    said = ", ".join(f"{v['checker']}: {words.get(v['valid'], 'unknown')}" for v in verdicts)
    about = ", ".join(f"{k} {v}" for k, v in history.about.items() if k != "wall_ms")
    picture = Picture(end, title, "; ".join(t for t in (about, said) if t))
    picture.legend()
    draw_violations(picture, history, verdicts)
    by_fault = faults(history.nemesis())
    if by_fault:
        picture.heading("faults")
    for name, bars in sorted(by_fault.items()):
        middle = picture.lane(name or "fault")
        for bar in bars:
            picture.bar(bar, middle)
    draw_members(picture, events, stretches, at, zero_ms / 1000, lines)
    rows = packed((b.start, end if b.end is None else b.end, n, b) for n, b in enumerate(plans(events, at)))
    if rows:
        picture.heading("plans")
    for row in rows:
        middle = picture.lane("plans")
        for *_, bar in row:
            picture.bar(bar, middle)
    draw_operations(picture, pairs)
    return picture.finish().replace('y2="LATER"', f'y2="{picture.y:.0f}"')
