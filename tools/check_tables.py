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


def main():
    results = Results()
    for name in files(".def"):
        check_unique(results, name)
    check_adapters(results)
    results.end()


main()
