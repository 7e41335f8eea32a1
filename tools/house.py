"""house.py -- what the checks of this folder share: the list of files, and how results are printed."""

import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(*suffixes):
    """The tree's files (those in git; without git all but build folders), relative, ending in a suffix."""
    found = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP, capture_output=True, check=False)
    if found.returncode == 0:
        names = [n for n in found.stdout.decode().split("\0") if n]
    else:
        names = []
        for folder, subs, here in os.walk(TOP):
            subs[:] = [s for s in subs if s not in (".git", "__pycache__") and not s.startswith("build")]
            names += [os.path.relpath(os.path.join(folder, n), TOP) for n in here]
    return sorted(n for n in set(names)
                  if (not suffixes or n.endswith(suffixes)) and os.path.isfile(os.path.join(TOP, n)))


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8", errors="surrogateescape") as f:
        return f.read()


def balanced(text, at):
    """The index behind the bracket that closes the one at text[at]; strings may hold brackets."""
    depth = 0
    for m in re.compile(r'"(?:\\.|[^"\\])*"|[()]').finditer(text, at):
        depth += {"(": 1, ")": -1}.get(m.group(0), 0)
        if depth == 0:
            return m.end()
    return len(text)


def table_rows(name):
    """The rows of a .def table, [(macro, [arguments])], in their order."""
    text = re.sub(r"/\*.*?\*/", " ", read(name), flags=re.S)
    text = re.sub(r"(?m)^#.*$", "", text.replace("\\\n", " "))
    out, at = [], 0
    while True:
        m = re.compile(r"\b([A-Z][A-Z0-9_]*)\(").search(text, at)
        if m is None:
            return out
        at = balanced(text, m.end() - 1)
        args, last = [], ""
        inner = text[m.end():at - 1]
        parts = re.compile(r'"(?:\\.|[^"\\])*"|.', re.S).findall(inner)
        depth = 0
        for p in parts + [","]:
            depth += {"(": 1, ")": -1}.get(p, 0)
            if p == "," and depth == 0:
                args.append(" ".join(last.split()))
                last = ""
            else:
                last += p
        out.append((m.group(1), args))


class Results:
    """One line for each thing looked at; the reasons stand above a failure."""

    def __init__(self):
        self.failed = 0

    def say(self, what, problems):
        if problems:
            self.failed += 1
            for p in problems[:40]:
                print("# " + p)
            if len(problems) > 40:
                print("# and %d more" % (len(problems) - 40))
        print(("not ok - " if problems else "ok - ") + what)

    def end(self):
        sys.stdout.flush()
        sys.exit(1 if self.failed else 0)


if __name__ == "__main__":
    print("\n".join(files(*sys.argv[1:])))
