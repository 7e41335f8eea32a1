#!/usr/bin/python3
"""check_docs.py -- what the documents name exists: links, and paths in backticks that begin with a folder of ours.

A path with a word in capitals (adapters/NAME/NAME.c) is a pattern and is left alone."""

import os
import re

from house import TOP, Results, files, read

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")
TICKED = re.compile(r"`([\w./*-]+/[\w./*-]*)`")
# The design names what is to come as well, a decision what has been.
LOOSE = ("docs/design.md", "docs/stack.md", "docs/decisions/")

# Written about before they were there; a row goes when its thing has come.
COMING = ("docs/recover.md",)


def tops():
    """Folders at the top of the tree, and scripts there as ./NAME."""
    return {n.split("/", 1)[0] for n in files() if "/" in n}


def exists(path):
    full = os.path.join(TOP, path)
    if "*" in path:
        folder = os.path.dirname(full)
        pattern = re.escape(os.path.basename(path)).replace(r"\*", ".*")
        return os.path.isdir(folder) and any(re.fullmatch(pattern, n) for n in os.listdir(folder))
    return os.path.exists(full)


def problems_of(name, folders):
    bad = []
    text = read(name)
    for m in LINK.finditer(text):
        if not os.path.exists(os.path.join(TOP, os.path.dirname(name), m.group(1))):
            bad.append("%s: links to %s, which does not exist" % (name, m.group(1)))
    if name.startswith(LOOSE):
        return bad
    for m in TICKED.finditer(text):
        path = m.group(1)
        if path.startswith("./"):
            path = path[2:]
        elif path.split("/", 1)[0] not in folders or path.startswith("build"):
            continue
        if not re.search(r"\b[A-Z]{4,}\b", path) and not exists(path) and path not in COMING:
            bad.append("%s: names `%s`, which does not exist" % (name, m.group(1)))
    return bad


def comments_problems():
    """Comments in the code send a reader to documents; those must be there."""
    bad = []
    for name in files(".c", ".h", ".def", ".py", ".sh", "CMakeLists.txt"):
        for path in re.findall(r"\bdocs/[\w./-]+\.md\b", read(name)):
            if name != "tools/selftest.py" and path not in COMING and not exists(path):
                bad.append("%s: names %s, which does not exist" % (name, path))
    return bad


def main():
    results = Results()
    folders = tops()
    names = files(".md")
    results.say("documents name only what exists (%d)" % len(names),
                [p for n in names for p in problems_of(n, folders)])
    results.say("comments name only documents that exist", comments_problems())
    results.end()


main()
