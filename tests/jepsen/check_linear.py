"""check_linear.py -- is a register (read, write, compare-and-set) linearizable?

Wing and Gong's search with Lowe's improvements ("Testing for linearizability", 2017): walk from answer to answer with
a configuration that could be true (the register's value, which open operations have taken effect), place an operation
no earlier than its answer or another one's needs it, go back where that leads nowhere, and try no configuration twice.
A history is not linearizable when no configuration gets past some answer.  Registers are judged one by one: that is
enough (Herlihy and Wing's locality).

An operation whose outcome is unknown (info) may take effect at any later time or never.  Four rules keep them from
multiplying, and none changes the verdict:
  - one whose value nobody read or compared with is left out;
  - it is placed only where the next operation may need its value: else it may as well never have happened;
  - of several that do the same the earliest goes first;
  - a configuration that has used up fewer of them stands for one that differs in nothing else.

Values: write 5; cas [old, new]; a read's answer is its completion's value.  A "key" in the operation names the
register.  A failed operation never happened."""

import bisect
import collections
import itertools

from history import frozen
from verdict import problem, short, verdict

STATES_MAX = 300_000
PARTS = (60, 12, 3)  # answers
SHOWN_MAX = 12
INFINITE = float("inf")
ANY = type("Any", (), {"__repr__": lambda self: "any value"})()


class TooMany(Exception):
    """The bound on configurations was reached."""


class Call:
    """One operation: from its beginning to its end, the answer; a crashed one has none."""

    __slots__ = ("start", "end", "f", "value", "op", "answered", "bit")

    def __init__(self, start, end, f, value, op, answered=None):
        self.start, self.end, self.f, self.value, self.op = start, end, f, value, op
        self.answered = end if answered is None else answered  # its end, also where it doesn't count
        self.bit = 0

    def crashed(self):
        """Whether nobody knows what became of it."""
        return self.end == INFINITE

    def step(self, state):
        """(possible, the state afterwards)."""
        if self.f == "write":
            return True, self.value
        if self.f == "read":
            return state is ANY or state == self.value, self.value
        old, new = self.value
        return state is ANY or state == old, new

    def words(self):
        """For people."""
        ends = "never answered" if self.answered == INFINITE else f"answered at {self.answered}"
        what = f"read -> {short(self.value)}" if self.f == "read" else f"{self.f} {short(self.value)}"
        return f"{what} (process {self.op['process']}, begun at {self.start}, {ends})"


def calls_of(history):
    """{key: the calls that may have had an effect}, in the order they began."""
    found = collections.defaultdict(list)
    for invoke, done in history.pairs():
        kind = done["type"] if done else "info"
        if invoke["f"] not in ("read", "write", "cas") or kind == "fail" or (kind != "ok" and invoke["f"] == "read"):
            continue
        end = done["index"] if kind == "ok" else INFINITE
        value = done["value"] if invoke["f"] == "read" else invoke["value"]
        key = frozen(invoke.get("key"))
        found[key].append(Call(invoke["index"], end, invoke["f"], frozen(value), invoke))
    return found


def without_idle(calls):
    """Leave out crashed operations whose value is neither read nor compared with by any that matters."""
    crashed = [c for c in calls if c.crashed()]
    wanted = {c.value if c.f == "read" else c.value[0] for c in calls if not c.crashed() and c.f != "write"}
    kept, grew = set(), True
    while grew:
        grew = False
        for call in crashed:
            result = call.value[1] if call.f == "cas" else call.value
            if call not in kept and result in wanted:
                kept.add(call)
                grew = True
                if call.f == "cas":
                    wanted.add(call.value[0])
    return [c for c in calls if not c.crashed() or c in kept]


class Failure:
    """The answer that no configuration allows."""

    def __init__(self, call, states, calls):
        self.call, self.states, self.calls = call, states, calls


class Seen:
    """Configurations met at one place, and whether another one adds anything."""

    def __init__(self):
        self.known = {}

    def add(self, config):
        """False when one that used up no other crashed operation is there already."""
        state, done, used = config
        masks = self.known.setdefault((state, done), [])
        if any(mask & used == mask for mask in masks):
            return False
        masks[:] = [m for m in masks if used & m != used] + [used]
        return True


class Alike:
    """Crashed operations that do the same, in the order they began; each has a bit."""

    def __init__(self, call):
        self.call, self.old = call, call.value[0] if call.f == "cas" else None
        self.starts, self.bits, self.mask = [], [], 0

    def add(self, call, bit):
        """One more."""
        self.starts.append(call.start)
        self.bits.append(bit)
        self.mask |= bit

    def next(self, used, now):
        """The bit of the first one not used up that has begun; 0 without one."""
        count = (used & self.mask).bit_count()
        return self.bits[count] if count < bisect.bisect_left(self.starts, now) else 0


class Search:
    """The search through the calls of one register: depth first, and no configuration twice.

    A configuration is (state, the open calls that have taken effect, the crashed ones that have), as bits."""

    def __init__(self, calls, initial, states_max):
        self.left, self.initial, self.calls = states_max, initial, calls
        self.steps = []  # (call, the calls open at its answer, as (bit, call))
        self.by_result = collections.defaultdict(list)  # value: the Alike that lead to it
        self.deepest, self.states = -1, set()
        self.prepare()

    def prepare(self):
        """Give every call its bit; a bit is free again after the answer."""
        alike, count, at_once = {}, 0, {}
        events = sorted([(c.start, c) for c in self.calls] + [(c.end, c) for c in self.calls if not c.crashed()],
                        key=lambda event: event[0])
        for at, call in events:
            if call.crashed():
                key = (call.f, call.value)
                if key not in alike:
                    alike[key] = Alike(call)
                    self.by_result[call.step(ANY)[1]].append(alike[key])
                alike[key].add(call, 1 << count)
                count += 1
            elif at == call.start:
                call.bit = next(1 << n for n in itertools.count() if 1 << n not in at_once)
                at_once[call.bit] = call
            else:
                self.steps.append((call, tuple(at_once.items())))
                del at_once[call.bit]

    def run(self):
        """None, or the Failure."""
        met = [Seen() for _ in self.steps]
        trail = [iter([(self.initial, 0, 0)])]
        while trail:
            depth, config = len(trail) - 1, next(trail[-1], None)
            if config is None:
                trail.pop()
            elif depth == len(self.steps):
                return None
            elif met[depth].add(config):
                trail.append(self.after(depth, config))
        return Failure(self.steps[self.deepest][0], self.states, self.calls)

    def after(self, depth, config):
        """What a configuration may have become when a step's call was answered; the simplest first."""
        call, at_once = self.steps[depth]
        if depth > self.deepest:
            self.deepest, self.states = depth, set()
        seen, todo = Seen(), collections.deque([config])
        while todo:
            self.left -= 1
            if self.left < 0:
                raise TooMany()
            state, done, used = todo.popleft()
            if state is not ANY:
                # A read that fits changes nothing: it may as well be now.
                for bit, other in at_once:
                    if other.f == "read" and other.value == state:
                        done |= bit
            if done & call.bit:
                yield state, done & ~call.bit, used
                continue
            if depth == self.deepest:
                self.states.add(state)
            if seen.add((state, done, used)):
                todo.extend(self.successors((state, done, used), call, at_once))

    def successors(self, config, answered, at_once):
        """What one more call can make of a configuration."""
        state, done, used = config
        for bit, call in at_once:
            if not done & bit:
                possible, after = call.step(state)
                if possible:
                    yield after, done | bit, used
        for value in self.wanted(config, answered, at_once):
            for alike in self.by_result.get(value, ()) if value != state else ():
                bit = alike.next(used, answered.end)
                if bit and alike.call.step(state)[0]:
                    yield value, done, used | bit

    def wanted(self, config, answered, at_once):
        """The values that a next call may need to find, or one behind crashed ones."""
        _, done, used = config
        found = {c.value if c.f == "read" else c.value[0]: True for bit, c in at_once
                 if not done & bit and c.f != "write"}
        todo = list(found)
        while todo:
            for alike in self.by_result.get(todo.pop(), ()):
                if alike.call.f == "cas" and alike.old not in found and alike.next(used, answered.end):
                    found[alike.old] = True
                    todo.append(alike.old)
        return list(found)


def search(calls, initial, states_max):
    """None when linearizable, else the Failure; TooMany when the bound is reached."""
    return Search(calls, initial, states_max).run()


def part(calls, first, last):
    """What happened between two moments, to be judged with any value at the beginning.  It asks for less than all:
    when it contradicts itself, so does all.  A call that reaches over either end may have taken effect outside, or
    what explains it may be there: it counts as crashed."""
    found = []
    for call in calls:
        if call.end < first or call.start > last:
            continue
        if call.start >= first and call.end <= last or call.crashed():
            found.append(call)
        elif call.f != "read":
            found.append(Call(call.start, INFINITE, call.f, call.value, call.op, call.answered))
    return without_idle(found)


def search_in_parts(calls, initial, states_max):
    """As search(); when that is too much, look for a contradiction within parts, which is cheaper and no less true."""
    try:
        return search(calls, initial, states_max)
    except TooMany:
        ended = sorted((c for c in calls if not c.crashed()), key=lambda c: c.end)
        for size, at in ((size, at) for size in PARTS for at in range(0, len(ended), (size + 1) // 2)):
            last = ended[min(at + size, len(ended)) - 1].end
            try:
                failure = search(part(calls, ended[at].start, last), ANY, max(500, states_max // 100))
            except TooMany:
                continue
            if failure:
                return failure
        raise


def window(failure, states_max):
    """The fewest latest calls that contradict each other whatever the register held before."""
    last = failure.call.end
    cuts = sorted(c.start for c in failure.calls if c.end <= last)
    low, high, best = 0, len(cuts) - 1, None
    while low <= high:
        middle = (low + high) // 2
        some = part(failure.calls, cuts[middle], last)
        try:
            fails = search(some, ANY, states_max) is not None
        except TooMany:
            fails = False
        if fails:
            best, low = some, middle + 1
        else:
            high = middle - 1
    return best or [c for c in failure.calls if c.start <= last]


def describe(key, failure, states_max):
    """The violation in words."""
    calls = window(failure, states_max)
    states = ", ".join(sorted(map(short, failure.states))[:SHOWN_MAX])
    # What is left of the window when crashed ones are many: those nearest to the failure.
    shown = sorted(calls, key=lambda c: (c.crashed(), -c.start))[:SHOWN_MAX]
    shown.sort(key=lambda c: c.start)
    register = "" if key is None else f"register {key}: "
    text = f"{register}no order explains {failure.call.words()}; the register could hold {states}"
    text += "".join(f"\n      {c.words()}" for c in shown)
    if len(calls) > len(shown):
        text += f"\n      and {len(calls) - len(shown)} more"
    ops = sorted(i for c in calls for i in (c.start, c.answered) if i != INFINITE)
    return {**problem("nonlinearizable", text, ops), "key": key, "op": failure.call.start,
            "states": sorted(map(str, failure.states)), "window": [ops[0], ops[-1]]}


def check(history, initial=None, states_max=STATES_MAX):
    """initial: what every register holds at first.  states_max: configurations tried for one register."""
    registers = calls_of(history)
    answered = sum(not c.crashed() for calls in registers.values() for c in calls)
    bad, unknown = [], [] if answered else ["no operation on a register succeeded"]
    for key, calls in sorted(registers.items(), key=lambda item: str(item[0])):
        try:
            failure = search_in_parts(without_idle(calls), frozen(initial), states_max)
        except TooMany:
            crashed = sum(c.crashed() for c in calls)
            unknown.append(f"register {key}: too many possibilities: {states_max} tried, {len(calls)} operations "
                           f"of which {crashed} never answered")
            continue
        if failure:
            bad.append(describe(key, failure, states_max))
    return verdict("linear", bad, unknown, registers=len(registers), operations=sum(map(len, registers.values())))
