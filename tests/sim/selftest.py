#!/usr/bin/python3
"""selftest.py DRCOORD-SIM -- what drcoord-sim says of itself is true: how a seed that fails is played again, what
--minimize leaves, what --coverage counts.

`--broken` ends the program in the middle of a seed, once by an assertion, once by a signal."""

import re
import shlex
import subprocess
import sys

SIM = sys.argv[1]
SECONDS = ("--seconds", "20")
MUTANT = ("--mutant", "PROOF_AT_ONCE")  # found by one of the first seeds, not by an assertion
bad = []


def sim(*args):
    """Exit code and stdout."""
    done = subprocess.run([SIM, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=300, check=False)
    return done.returncode, done.stdout


def say(what, fine, *shown):
    """One line of result."""
    print(f"ok - {what}" if fine else f"not ok - {what}: {shown}", flush=True)
    if not fine:
        bad.append(what)


def failed(said):
    """{seed: (why, replay command)} of what --seeds printed."""
    return {int(m[1]): (m[2], m[3]) for m in re.finditer(r"^seed (\d+): (.*)\n  replay: (.*)$", said, re.M)}


def broken(how, word, code_again):
    """Seeds in which the program ends: all of them named, the others played, and the printed command ends like that too."""
    for jobs in ("1", "2"):
        code, said = sim("--seeds", "1..12", "--jobs", jobs, "--broken", how, *SECONDS)
        got = failed(said)
        fine = (code == 1 and sorted(got) == [3, 7, 11] and "12 seeds, 3 failed" in said
                and all(word in why for why, _ in got.values()))
        say(f"{how}: each seed that ended the program is named, and the others are played, --jobs {jobs}", fine, code, said)
    again = got[7][1] if 7 in got else "false"
    done = subprocess.run(shlex.split(again), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    say(f"{how}: the printed command ends the same way, its transcript whole up to there",
        done.returncode == code_again and "fault 5:" in last, again, done.returncode, last)
    code, said = sim("--minimize", "7", "--broken", how, *SECONDS)
    say(f"{how}: --minimize leaves the one fault that does it",
        code == 1 and re.search(rf"^seed 7: .*{re.escape(word)}.* with 1 of \d+ faults: 5$", said, re.M), code, said[-500:])


def found():
    """A seed that fails without ending the program."""
    one, two = (sim("--seeds", "1..8", "--jobs", jobs, *MUTANT)[1] for jobs in ("1", "2"))
    got = failed(one)
    say("a deliberate bug is found, by the same seeds in one job and in two", got and got == failed(two), one, two)
    if not got:
        return
    seed, (why, again) = min(got.items())
    done = subprocess.run(shlex.split(again), stdout=subprocess.PIPE, text=True, check=False)
    say("the printed command shows the same failure", done.returncode == 1 and f"seed {seed}: FAILED: {why} (" in done.stdout,
        again, done.returncode, done.stdout[-300:])
    code, said = sim("--minimize", str(seed), *MUTANT)
    last = re.search(r" with (\d+) of (\d+) faults:((?: \d+)*)$", said.rstrip("\n"))
    played = re.findall(r"\bfault (\d+): ", said)
    say("--minimize leaves fewer faults, and plays just those", code == 1 and last and int(last[1]) < int(last[2])
        and set(played) <= set(last[3].split()), code, said[-500:])
    first = {sim("--mutants=PROOF_AT_ONCE", "--jobs", jobs)[1] for jobs in ("1", "2", "3")}
    say("--mutants names the same first seed, however many jobs", len(first) == 1 and f"seed {seed:4}: {why}" in first.pop(), first)


def coverage():
    """The counts are of the faults that the transcripts show."""
    tables = [sim("--seeds", "1..6", "--coverage", "--jobs", jobs)[1].split(" pairs of ")[0] for jobs in ("1", "2")]
    say("--coverage counts the same in one job and in two", tables[0] == tables[1], *tables)
    counted = sum(int(n) for cell in re.findall(r"=(\d+/\d+/\d+/\d+)", tables[0]) for n in cell.split("/"))
    shown = sum(len(re.findall(r"\bfault \d+: ", sim("--seed", str(seed))[1])) for seed in range(1, 7))
    say(f"--coverage counts the {shown} faults of the transcripts", counted == shown > 0, counted, shown)
    code, said = sim("--minimize", "1")
    say("there is nothing to shrink of a seed that is fine", code == 2 and "fine" in said, code, said)


broken("assert", "an assertion: ", -6)
broken("signal", "ended by signal 9 ", -9)
found()
coverage()
sys.exit(1 if bad else 0)
