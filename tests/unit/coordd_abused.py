#!/usr/bin/python3
"""coordd_abused.py -- while somebody misuses the leader's port every lease is kept, the leader stays, memory is bounded.

What tests/bench/run abuse measures, each way of it (tests/lab/abuse.py --list) for a second.  No time is judged.
DR_BUILD names the build that is tested."""

import ctypes
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path[:0] = [os.path.join(HERE, "lab"), os.path.join(HERE, "bench")]

from bench_abuse import Abused, kinds  # noqa: E402
from lab import LabError, Reaper  # noqa: E402

CLONE_NEWNET = 0x40000000
AGENTS = 100
SECONDS = 1.5
LOG_MB = 0.3  # of thousands of lines a second that strangers could have had written
EVENTFUL = ("changes", "slow-readers")  # each change is an event, and each event a line
ROOM_MB = 40


def one(scene, kind):
    """One way; what was wrong."""
    got = scene.abuse(kind, SECONDS)
    wrong = []
    if got["fences"]:
        wrong.append(f"{got['fences']} leases lost")
    if got["renewals"] == 0:
        wrong.append("nobody could renew")
    if got["changes"]:
        wrong.append("the leader changed")
    if got["rss_most_mb"] > got["rss_mb"] + ROOM_MB:
        wrong.append(f"{got['rss_mb']} MiB grew to {got['rss_most_mb']}")
    if got["log_mb"] > LOG_MB and kind not in EVENTFUL:
        wrong.append(f"{got['log_mb']} MiB of log")
    if not any(n for what, n in got["did"].items() if what != "kind"):
        wrong.append("there was no abuse")
    return "; ".join(wrong)


def alone():
    """A network of our own where that is possible: the lab's loopback addresses are the same for everybody."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def main():
    """All of them, one line each."""
    bad = 0
    alone()
    # What AddressSanitizer keeps of freed memory is nobody's cost.
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=1"]))
    try:
        with tempfile.TemporaryDirectory() as folder, Abused(folder, AGENTS) as scene:
            scene.up()
            for kind in kinds():
                wrong = one(scene, kind)
                bad += 1 if wrong else 0
                print(f"not ok - {kind}: {wrong}" if wrong else f"ok - leases are kept under {kind}", flush=True)
    except LabError as e:
        bad += 1
        print(f"not ok - {e}", flush=True)
    finally:
        Reaper.finish()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
