"""register.py -- a register in the coordinators' own replicated state: a number in the cluster spec.

"read" is `drcoordctl spec`; "write" is `apply`, which reads the version in force and applies above it; "cas" reads
number and version, and applies with --if-version.  An exit code of drcoordctl's says whether a change happened
(cli/exits.def): only "sent, but the outcome is not known" is "info"."""

import json
import os
import random
import re
import subprocess
import threading
import time

from net import CLIENT, SITES, host_name

FAILED, INVALID, REFUSED, UNREACHABLE, UNKNOWN = 1, 3, 4, 6, 7
CRASHED = 100
VALUES = range(10, 15)
PLACES = (CLIENT, CLIENT, host_name(SITES[0], "app"), host_name(SITES[1], "app"), host_name(SITES[2], "app"))


class Gone(Exception):
    """A change whose outcome nobody knows."""


class Refused(Exception):
    """It did not happen; the text says why."""


class Register:
    """Processes that read and change it, each at a place of its own."""

    def __init__(self, stage, seed, rate):
        self.stage, self.pause_s, self.operations, self.deaths = stage, 1 / rate, [], []
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._go, args=(n, place, random.Random(seed * 1000 + n)))
                        for n, place in enumerate(PLACES)]

    def start(self):
        """Begin."""
        self._apply(0, CLIENT, VALUES[0])  # what is there before the history begins
        for thread in self.threads:
            thread.start()

    def stop(self):
        """One last read by each."""
        self.ended.set()
        for thread in self.threads:
            if thread.ident is not None:  # begun: the run may have ended before
                thread.join()

    def _say(self, process, kind, f, value, **more):
        with self.lock:
            self.operations.append({"process": process, "type": kind, "f": f, "value": value, **more,
                                    "time": time.clock_gettime_ns(time.CLOCK_BOOTTIME)})

    def _go(self, number, place, rng):
        try:
            self._live(number, place, rng)
        except Exception as e:  # pylint: disable=broad-exception-caught -- else nobody would hear of it
            self.deaths.append(f"process {number} of the register ended: {type(e).__name__}: {str(e)[:300]}")

    def _live(self, number, place, rng):
        process, last = number, False
        while not last:
            last = self.ended.is_set()
            f = "read" if last else rng.choice(("read", "read", "write", "cas", "cas"))
            value = {"read": None, "write": rng.choice(VALUES)}.get(f, [rng.choice(VALUES), rng.choice(VALUES)])
            self._say(process, "invoke", f, value)
            try:
                self._say(process, "ok", f, self._act(number, place, f, value))
            except Refused as e:
                self._say(process, "fail", f, value, error=str(e)[:200])
            except Gone as e:
                self._say(process, "info", f, value, error=str(e)[:200])
                process += CRASHED
            time.sleep(rng.random() * 2 * self.pause_s)

    def _act(self, number, place, f, value):
        if f == "read":
            return self._read(place)[1]
        if f == "write":
            self._apply(number, place, value)
            return value
        version, found = self._read(place)
        if found != value[0]:
            raise Refused(f"it is {found}")
        self._apply(number, place, value[1], "--if-version", str(version))
        return value

    def _run(self, place, words, changes):
        """drcoordctl at a place: its output.  A question that gets no answer is refused: nothing hangs on it."""
        lab, cluster = self.stage.lab, self.stage.cluster
        argv = lab.command(place, [cluster.bin["drcoordctl"], "-o", "json", "--timeout", "3s", *words])
        try:
            done = subprocess.run(argv, cwd=lab.folder, capture_output=True, text=True, timeout=15,
                                  env={**os.environ, **cluster.environment()})
        except subprocess.TimeoutExpired as e:
            raise (Gone if changes else Refused)("no end within 15 s") from e
        if done.returncode == 0:
            return done.stdout
        text = (done.stderr.strip().splitlines() or [""])[0]
        known = done.returncode in (INVALID, REFUSED, UNREACHABLE)
        raise (Refused if known or not changes else Gone)(f"exit {done.returncode}: {text}")

    def _read(self, place):
        """(version, number)"""
        answer = json.loads(self._run(place, ["spec"], False))
        found = re.search(r'cooldown: "?(\d+)s', answer["yaml"])
        if not found:
            raise Refused(f"no cooldown in {answer['yaml'][:300]}")
        return answer["version"], int(found[1])

    def _apply(self, number, place, value, *words):
        cluster = self.stage.cluster
        data = {"cluster": "demo", "timing": {"profile": cluster.profile},
                "sites": [{"name": s, "region": "north"} for s in SITES],
                "services": [cluster.service_block(cooldown=f"{value}s")]}
        path = cluster.write(f"register-{number}.yaml", data)
        self._run(place, ["apply", "-f", path, "--reason", "register", *words], True)
