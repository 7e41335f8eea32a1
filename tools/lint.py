#!/usr/bin/python3
"""lint.py -- clang-tidy over every source of ours that is built: one result a file, as the parts of ./check speak.

Nearly all of the time is the static analyzer's, ten seconds for a large file.  What was found well is not looked at
again as long as it is the same with all that it includes, under the same checks: build/clang/lint has a name for it."""

import hashlib
import json
import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

TREE = "build/clang"
WELL = TREE + "/lint"
SILENT = ("-c", "-MD")  # of the compiler's words those that are not for the preprocessor, ...
PAIRS = ("-o", "-MF", "-MT")  # ... and those with another word behind them


def sources():
    """[(path, words of the compiler)]: ours, the largest first, so that the last one is a short one."""
    with open(TREE + "/compile_commands.json", encoding="utf-8") as f:
        rows = [(row.get("file"), shlex.split(row.get("command"))) for row in json.load(f)]
    ours = {path: words for path, words in rows if "/build/" not in path and "/tests/" not in path}
    return sorted(ours.items(), key=lambda row: -os.path.getsize(row[0]))


def preprocessed(words):
    """What the compiler sees of a file, with its comments, which may speak to clang-tidy; empty when it can't be had."""
    kept, rest = [], iter(words)
    for word in rest:
        if word in PAIRS:
            next(rest, None)
        elif word not in SILENT:
            kept.append(word)
    done = subprocess.run([*kept, "-E", "-C"], cwd=TREE, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def compiler(words):
    """The program that compiles, behind what only keeps its results."""
    return next((w for w in words if os.path.basename(w) != "ccache"), words[0])


def mark_of(words, checks, seen):
    """The name of what was found well: the same text, under the same checks, for the same compiler with the same words."""
    parts = (checks, shlex.join(words).encode(), seen)
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def look(path, words, checks):
    """The lines about one file."""
    name, seen = os.path.relpath(path), preprocessed(words)
    mark = os.path.join(WELL, mark_of(words, checks, seen))
    if seen and os.path.exists(mark):
        return f"ok - {name}"
    done = subprocess.run(["clang-tidy", "--quiet", "-p", TREE, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False)
    if done.returncode != 0:
        return "\n".join([*("# " + line for line in done.stdout.splitlines()), f"not ok - {name}"])
    if seen:
        with open(mark, "w", encoding="ascii"):
            pass
    return f"ok - {name}"


def main():
    """All of them."""
    os.makedirs(WELL, exist_ok=True)
    rows = sources()
    programs = ["clang-tidy", *sorted({compiler(words) for _, words in rows})]
    checks = b"".join(subprocess.run([p, "--version"], capture_output=True, check=True).stdout for p in programs)
    with open(".clang-tidy", "rb") as f:
        checks += f.read()
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        for lines in pool.map(lambda row: look(*row, checks), rows):
            print(lines, flush=True)


if __name__ == "__main__":
    main()
