"""attempt.py -- one run from its beginning to whatever ends it.

What there is at that moment is kept and judged: each part for itself, so that an error in one costs no other.  A run
that ended before its time is never ok."""

import json
import os
import time
import traceback

import nemeses
import verdicts
from harms import Nemeses
from lab import ROOT
from register import Register
from stage import Stage

WHY_MOST, TEXT_MOST = 9, 3000


class Attempt:
    """One run.  line: what is said of it in the end."""

    def __init__(self, args, say, make_stage=Stage, folder=None):
        self.args, self.say, self.make_stage = args, say, make_stage
        self.folder = folder or folder_of(args)
        self.stage = self.nemesis = self.register = self.found = None
        self.operations, self.restless = [], None
        self.errors, self.traces, self.code = [], [], None
        self.line = {"workload": args.workload, "kind": args.kind, "nemesis": args.nemesis, "time": args.time, "seed": args.seed,
                     "durability": args.durability, "profile": args.profile, "ok": False}

    def go(self):
        """Do it; raises nothing.  The line."""
        began = time.monotonic()
        for what, step in (("the run", self._run), ("the end of harm and clients", self._rest),
                           ("the history", self._gather), ("the verdict", self._judge)):
            self.guard(what, step)
        self.line["ok"] = self.line["ok"] and not self.errors
        if self.args.keep or not self.line["ok"]:
            self.line["kept"] = self.folder
            self.guard("keeping", self._keep)
        if self.stage:
            self.guard("the lab's end", self.stage.stand.lab.close)
        self.line["why"] = self._why()
        self.line["seconds"] = round(time.monotonic() - began, 1)
        return self.line

    def guard(self, what, function, default=None):
        """What function returns; an error, also a signal's, is written down instead, and default returned."""
        try:
            return function()
        except BaseException as e:  # pylint: disable=broad-exception-caught -- whatever ends it, what there is is kept
            said = str(e) if isinstance(e, Exception) and str(e) else repr(e)
            self.errors.append(f"{what} ended by {type(e).__name__}: {said}"[:TEXT_MOST])
            self.traces.append(f"{what}:\n{traceback.format_exc()}")
            self.say(self.errors[-1].splitlines()[0][:200])
            if isinstance(e, SystemExit) and isinstance(e.code, int):
                self.code = e.code
            self.line["ok"] = False
            return default

    # --- the run ----------------------------------------------------------------------------

    def _run(self):
        """Up; clients at work while harm is done; then rest, and the last reads."""
        args = self.args
        chosen = nemeses.names(args.nemesis, args.kind)
        if args.workload == "register":
            chosen = [n for n in chosen if "applies" not in n.needs]  # the register is a number in the spec
        needs = {need for n in chosen for need in n.needs}
        self.stage = self.make_stage(self.say, args.durability, args.profile, needs, args.kind)
        self.stage.up()
        if args.workload == "register":
            self.register = Register(self.stage, args.seed, args.rate)
            self.register.start()
        else:
            self.stage.start_clients(args.workload, args.rate, args.seed)
        self.nemesis = Nemeses(self.stage, chosen, args.seed, args.nemesis != "all")
        self.nemesis.start()
        self.stage.attend(args.time)
        self.nemesis.stop()
        self.say("no more harm")
        self.restless = self.stage.heal()
        if not self.register:
            self.stage.final_reads()

    def _rest(self):
        """Nobody does anything any more, whatever ended the run."""
        if self.nemesis:
            self.guard("the nemeses' end", self.nemesis.stop)
        if self.register:
            self.guard("the register's end", self.register.stop)
        if self.stage and self.errors:
            self.guard("the clients' end", self.stage.end_clients)

    def _gather(self):
        """The history as far as it goes, and the events."""
        if not self.stage:
            return
        self.operations = self.guard("reading what the clients wrote", self.stage.operations, [])
        for own in (self.register, self.nemesis):
            self.operations = self.operations + (own.operations if own else [])
        self.found = verdicts.Found(self.args, self.stage, self.operations, self.guard)

    def _judge(self):
        problems = [self.restless] if self.restless else []
        if self.nemesis:
            self.line["harms"] = self.nemesis.happened()
            problems += self.nemesis.problems(self.args.time)
        if self.register:
            problems += self.register.deaths
        if self.found:
            self.line.update(self.found.judge(problems))

    def _why(self):
        return (self.errors + (self.found.why() if self.found else []))[:WHY_MOST]

    # --- what is kept -----------------------------------------------------------------------

    def _keep(self):
        """All that is needed to look at the run, to where it outlives its lab."""
        if self.stage:
            verdicts.keep(self.stage, self.found, self.folder, self.guard)
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, verdicts.VERDICT), "w", encoding="utf-8") as f:
            f.write(f"run: {'ok' if self.line['ok'] else 'NOT OK'}\n")
            f.writelines(text + "\n" for text in self.errors)
            if self.found:
                f.writelines(text + "\n" for text in self.found.words())
            f.write(json.dumps({**self.line, "why": self._why()}) + "\n")
        if not self.found:
            with open(os.path.join(self.folder, verdicts.HISTORY), "w", encoding="utf-8") as f:
                f.writelines(json.dumps(op) + "\n" for op in self.operations)
        if self.traces:
            with open(os.path.join(self.folder, "error.txt"), "w", encoding="utf-8") as f:
                f.write("\n".join(self.traces))


def folder_of(args):
    """Where a run leaves what is kept of it."""
    kind = "" if args.kind == "postgres" else f"{args.kind}-"
    name = f"{kind}{args.workload}-{args.nemesis.replace(',', '+')}-{args.seed}"[:100]
    return os.path.join(ROOT, "build", "jepsen", name)


def again(args):
    """The command that does a run again."""
    return (f"tests/jepsen/run --kind {args.kind} --workload {args.workload} --nemesis {args.nemesis} --time {args.time:g}"
            f" --seed {args.seed} --rate {args.rate:g} --durability {args.durability} --profile {args.profile}")
