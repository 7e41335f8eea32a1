#!/usr/bin/python3
"""check_tables.py -- the tables (*.def) against themselves and against the tree.

A row is WORD(first, ...).  Ids that stand in the log or on the wire are never used twice; a name stands once;
what a row names exists."""

import os
import re

from house import TOP, Results, files, read, table_rows

def check_unique(results, name):
    """The first column, and the second where the first is a number, never repeat within one macro."""
    bad = []
    seen = {}
    for macro, args in table_rows(name):
        keys = [("", args[0])]
        if args[0].isdigit() and len(args) > 1:
            keys = [("id ", args[0]), ("name ", args[1])]
        for kind, key in keys:
            if (macro, kind, key) in seen:
                bad.append("%s: %s(%s...): %s%s stands twice" % (name, macro, args[0], kind, key))
            seen[macro, kind, key] = True
    results.say("%s: %d rows, none twice" % (name, len(table_rows(name))), bad)


def check_adapters(results):
    name = "adapters/adapters.def"
    bad = []
    for _, args in table_rows(name):
        folder = "adapters/" + args[1]
        sources = [f for f in files(".c") if f.startswith(folder + "/")]
        if sources and not any(re.search(r"\b%s\b" % args[2], read(f)) for f in sources):
            bad.append("%s: %s is not defined in %s/" % (name, args[2], folder))
        if sources and not os.path.exists(os.path.join(TOP, folder, "README.md")):
            bad.append("%s: %s/ has no README.md" % (name, folder))
    for f in files("CMakeLists.txt"):
        m = re.fullmatch(r"adapters/([^/]+)/CMakeLists\.txt", f)
        if m and m.group(1) not in [args[1] for _, args in table_rows(name)]:
            bad.append("%s: no row for adapters/%s" % (name, m.group(1)))
    results.say("adapters.def and the folders of adapters/ agree", bad)


def check_used(results):
    """An error code that nothing returns is a row too many."""
    text = "\n".join(read(f) for f in files(".c", ".h") if not f.startswith("tests/"))
    bad = ["base/errors.def: DR_E_%s is used nowhere" % args[0] for _, args in table_rows("base/errors.def")
           if not re.search(r"\bDR_E_%s\b" % args[0], text)]
    # Known words of the vocabulary may wait for their user; more than a third waiting is a wish list.
    results.say("the rows of base/errors.def are used", bad if len(bad) * 3 > len(table_rows("base/errors.def")) else [])


def check_switches(results):
    """Each rule that the Spin model leaves out, the simulator leaves out too (tests/spec/README.md)."""
    if not os.path.exists(os.path.join(TOP, "tests/spec/README.md")):
        return
    model = {name for f in files(".pml") for name in re.findall(r"\b(?:BUG|HOLE)_[A-Z_]+\b", read(f))}
    mutants = {args[0] for f in files("mutants.def") for _, args in table_rows(f)}
    rows = re.findall(r"^\| ((?:BUG|HOLE)_[A-Z_]+) \| ([A-Z_]+) \|$", read("tests/spec/README.md"), re.M)
    bad = ["tests/spec/README.md: no row for %s" % name for name in sorted(model - {row[0] for row in rows})]
    bad += ["tests/spec/README.md: lease.pml has no %s" % row[0] for row in rows if row[0] not in model]
    bad += ["tests/spec/README.md: no deliberate bug %s" % row[1] for row in rows if row[1] not in mutants]
    results.say("each of the model's %d switches has a deliberate bug in the simulator" % len(model), bad)


def check_mutants(results):
    """A deliberate bug stands in the code, and nowhere is one that the table lacks."""
    text = "\n".join(read(f) for f in files(".c", ".h") if f != "base/mutant.h")
    used = set(re.findall(r"\bDR_MUTANT\(([A-Z_]+)\)", text))
    rows = {args[0] for f in files("mutants.def") for _, args in table_rows(f)}
    results.say("base/mutants.def and the code name the same %d deliberate bugs" % len(rows),
                ["%s stands in one only" % name for name in sorted(used ^ rows)])


def main():
    results = Results()
    for name in files(".def"):
        check_unique(results, name)
    check_adapters(results)
    check_switches(results)
    check_mutants(results)
    results.end()


main()
