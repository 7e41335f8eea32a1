"""bench_sim.py -- how fast the simulator is: virtual seconds, seeds and events for a second of one core.

Seeds of a minute, as in ./check, and of ten, as by night.  A second is one of the processor's, so that what else runs
beside says less; the events beside it say what a virtual second costs: one is a message, a timer, a write to a disk,
after which every check is made."""

import json
import subprocess
import sys

from lab import BUILD, LabError
from writers import find_binary

PROGRAM = "drcoord-sim"
FROM = 50001  # not the seeds of ./check
SPEED = 1000  # virtual seconds a second, roughly: to know how many seeds fill the time
LENGTHS = (("minute", 60), ("ten-minutes", 600))


def play(seconds, count):
    """So many seeds of so long in one process; its figures."""
    argv = [find_binary(BUILD, PROGRAM), "--seeds", f"{FROM}..{FROM + count - 1}", "--seconds", str(seconds), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=3600, check=False, stdin=subprocess.DEVNULL)
    if done.returncode not in (0, 1) or not done.stdout:
        raise LabError(f"{' '.join(argv[1:])}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
    sys.stderr.write(done.stdout)
    return json.loads(done.stdout.splitlines()[-1])


def run(args, put):
    """Both lengths."""
    if find_binary(BUILD, PROGRAM) is None:
        raise LabError(f"{PROGRAM} is not built: cmake --build --preset release --target {PROGRAM}")
    for what, seconds in LENGTHS:
        got = play(seconds, max(3, round(args.seconds * SPEED / seconds)))
        cpu = got["cpu_s"] or 1e-9
        put(what, virtual_s_per_s=round(got["virtual_s"] / cpu), seeds_per_s=round(got["seeds"] / cpu, 2),
            events_per_s=round(got["events"] / cpu), events_per_virtual_s=round(got["events"] / got["virtual_s"]), **got)
