"""harms.py -- does harm until it is told to stop, writes down what it did, and owns up to what it did not do.

Each nemesis that was asked for has its turn in every round, so that a run that is long enough has had them all.  A
harm that never happened, or a thread that ended by an error of ours, makes the run not ok: it would have shown
nothing."""

import random
import subprocess
import threading
import time

from lab import LabError
from net import NetError

QUIET_S = (0.5, 3.0)  # between the harms of one thread
AT_ONCE = 2
AGAIN_MOST = 3  # turns in one round of a nemesis that finds nothing to do harm to
ROUND_S, FIRST_S = 18, 10  # what each turn takes at most, and the first turn of all threads
ALL_TIMES = 3  # rounds that a run of all nemeses must have had: some need a cluster at rest, which others disturb
MISSES = (LabError, NetError, OSError, subprocess.SubprocessError)  # the world as it is under harm


def first_line(error):
    """An error in a line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


class Nemeses:
    """Some nemeses at work.  by_name: whether each of them was asked for by its name."""

    def __init__(self, stage, chosen, seed, by_name=True, quiet_s=QUIET_S):
        self.stage, self.chosen, self.seed, self.by_name, self.quiet_s = stage, chosen, seed, by_name, quiet_s
        self.operations, self.lock, self.threads = [], threading.Lock(), []
        self.counts = {n.name: 0 for n in chosen}
        self.last, self.deaths = {}, []  # why a nemesis last did nothing; what ended threads
        self.deck, self.dealer = [], random.Random(seed * 10 + AT_ONCE)
        self.ended = threading.Event()

    def start(self):
        """One thread for each harm that may be there at the same time."""
        for number in range(min(AT_ONCE, len(self.chosen))):
            rng = random.Random(self.seed * 10 + number)
            self.threads.append(threading.Thread(target=self._go, args=(rng,), name=f"nemesis-{number}"))
            self.threads[-1].start()

    def stop(self):
        """No more harm; wait until all is taken back."""
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def happened(self):
        """How often each harm was done, for those that were."""
        return {name: count for name, count in self.counts.items() if count}

    def problems(self, seconds):
        """What speaks against a run in which harm was done for so long."""
        bad = [f"a thread of the nemeses ended: {death}" for death in self.deaths]
        enough = ROUND_S * -(-len(self.chosen) // AT_ONCE) - (ROUND_S - FIRST_S)
        if seconds >= enough * (1 if self.by_name else ALL_TIMES):
            bad += [f"{name} was asked for and happened 0 times in {seconds:g} s: {self.last.get(name, 'no turn')}"
                    for name, count in self.counts.items() if not count]
        elif self.chosen and seconds >= FIRST_S and not self.happened():
            bad.append(f"no harm at all happened in {seconds:g} s: {self.last}")
        return bad

    # --- a thread ---------------------------------------------------------------------------

    def _go(self, rng):
        try:
            while not self.ended.wait(rng.uniform(*self.quiet_s)):
                nemesis = self._deal()
                for _ in range(AGAIN_MOST):
                    if self._harm(nemesis, rng) or self.ended.wait(self.quiet_s[0]):
                        break
        except Exception as e:  # pylint: disable=broad-exception-caught -- else nobody would hear of it
            self.deaths.append(f"{type(e).__name__}: {first_line(e)}")
            self.stage.say(f"a thread of the nemeses ended: {self.deaths[-1]}")

    def _deal(self):
        """The next one: each has its turn before any has another."""
        with self.lock:
            if not self.deck:
                self.deck = self.dealer.sample(self.chosen, len(self.chosen))
            return self.deck.pop()

    def _note(self, f, value):
        at = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        with self.lock:
            self.operations.append({"process": "nemesis", "type": "info", "f": f, "value": value, "time": at})

    def _miss(self, nemesis, why):
        with self.lock:
            self.last[nemesis.name] = why
        return False

    def _harm(self, nemesis, rng):
        """Do one harm and take it back; whether it happened."""
        try:
            done = nemesis.begin(self.stage, rng)
        except MISSES as e:
            self.stage.say(f"{nemesis.name}: {first_line(e)}")
            return self._miss(nemesis, first_line(e))
        if done is None:
            return self._miss(nemesis, "nothing to do harm to")
        words, back, most = done
        with self.lock:
            self.counts[nemesis.name] += 1
        self._note(f"start-{nemesis.name}", words)
        self.stage.say(f"{nemesis.name}: {words}")
        self.ended.wait(rng.uniform(0.3, most))
        try:
            back()
        except MISSES as e:
            self.stage.say(f"{nemesis.name}, taking it back: {first_line(e)}")
        self._note(f"stop-{nemesis.name}", words)
        return True
