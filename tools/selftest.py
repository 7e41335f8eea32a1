#!/usr/bin/python3
"""selftest.py -- the checks of this folder, each shown something bad that it must name, and something good.

Works in a small tree of its own in a temporary folder, so that it says nothing about the tree at hand."""

import os
import shutil
import subprocess
import tempfile

import lint
from house import TOP, Results

HEAD = "/* %s -- a file of the test. */\n"
GUARD = "#ifndef DR_X_H\n#define DR_X_H\n%s\n#endif\n"

# (check, file, what stands in it below its head, what the check must say; None: nothing)
CASES = [
    ("check_includes.py", "base/a.c", '#include "base/b.h"\n', None),
    ("check_includes.py", "base/a.c", '#include "sys/b.h"\n', "base may not include sys/b.h"),
    ("check_includes.py", "model/a.c", '#include "sys/b.h"\n', "model may not include sys/b.h"),
    ("check_includes.py", "raft/a.c", '#include "adapters/b.h"\n', "raft may not include adapters/b.h"),
    ("check_includes.py", "coord/core/a.c", '#include "coord/shell/b.h"\n', "may not include coord/shell/b.h"),
    ("check_includes.py", "coord/core/a.c", '#include "proto/b.h"\n', "may not include proto/b.h"),
    ("check_includes.py", "coord/core/a.c", "#include <time.h>\n", "pure and may not include <time.h>"),
    ("check_includes.py", "coord/core/a.c", "#include <string.h>\n", None),
    ("check_includes.py", "agent/core/a.c", "# include <stdio.h>\n", "pure and may not include <stdio.h>"),
    ("check_includes.py", "coord/shell/a.c", '#include "agent/core/b.h"\n', "may not include agent/core/b.h"),
    ("check_includes.py", "coord/shell/a.c", '#include "coord/core/b.h"\n', None),
    ("check_includes.py", "cli/a.c", '#include "raft/node.h"\n', "cli may not include raft/node.h"),
    ("check_includes.py", "coord/shell/a.c", "#include <raft.h>\n", "may not include raft.h"),
    ("check_includes.py", "raft/a.c", "#include <raft/uv.h>\n", None),
    ("check_includes.py", "net/a.c", "#include <raft/uv.h>\n", "may not include raft/uv.h"),
    ("check_includes.py", "elsewhere/a.c", "\n", "stands in no folder"),
    ("tidy.py", "base/a.c", "int f(void)\n{\n" + "\tg();\n" * 69 + "}\n", None),
    ("tidy.py", "base/a.c", "int f(void)\n{\n" + "\tg();\n" * 70 + "}\n", "base/a.c:f: 71 lines"),
    ("tidy.py", "base/a.c", "int f(int a,\n      int b)\n{\n" + "\tg();\n" * 80 + "}\n", "base/a.c:f: 81 lines"),
    ("tidy.py", "base/a.c", "int x;\n" * 600, "base/a.c: 601 lines"),
    ("tidy.py", "base/a.c", "\tstrcpy(a, b);\n", "base/a.c:2: strcpy() has no place here"),
    ("tidy.py", "base/a.c", "\t/* strcpy(a, b) */ s = \"strcpy(\"; my_strcpy(a); x->system(); p.assert(1);\n", None),
    ("tidy.py", "base/a.c", "\tn = atoi (s);\n", "atoi() has no place here"),
    ("tidy.py", "net/a.c", "\tp = malloc(3);\n", "malloc() has no place here"),
    ("tidy.py", "base/mem.c", "\tp = malloc(3);\n", None),
    ("tidy.py", "base/a.c", "int x; \n", "base/a.c:2: space"),
    ("tidy.py", "base/a.c", "        int x;\n", "indent with tabs"),
    ("tidy.py", "base/a.c", "int x; /* caf\u00e9 */\n", "not ASCII"),
    ("tidy.py", "base/a.c", "/* " + "x" * 130 + " */\n", "136 columns"),
    ("tidy.py", "base/a.c", "/* TO" + "DO: later */\n", "do it, or say in plain words"),
    ("tidy.py", "base/a.c", "int x;", "no newline at the end"),
    ("tidy.py", "base/a.h", "int x;\n", "no include guard"),
    ("tidy.py", "base/a.h", GUARD % "int x;", None),
    ("check_places.py", "base/a.c", "/* see /home/somebody/x */\n", "base/a.c: names /home/somebody/"),
    ("check_places.py", "base/a.c", "/* see /home/other/x */\n", None),
    ("check_scripts.py", "tests/a.py", "if x:\n", "tests/a.py:"),
    ("check_scripts.py", "tests/a.py", "if x:\n    pass\n", None),
    ("check_scripts.py", "tests/run", "", None),
    ("check_scripts.py", "tests/run", "if true; then\n", "tests/run: bash can't read it"),
    ("check_scripts.py", "tests/run", "x | jq .a\n", "tests/run: runs jq, but tools/packages.list has no jq"),
    ("check_scripts.py", "tests/run", "if A=b pgrep x; then :; fi\n", "tests/run: runs pgrep"),
    ("check_scripts.py", "tests/run", "# jq\necho a jq; file=b; nft list\n", None),
    ("check_scripts.py", "tests/a.py", "x = [\n    'tcpdump', 'y']\n", "tests/a.py: runs tcpdump"),
    ("check_docs.py", "docs/a.md", "[x](b.md)\n", "links to b.md"),
    ("check_docs.py", "docs/a.md", "[x](../tools/house.py) `tools/*.py` `base/NAME.c` `and/or` `./tools`\n", None),
    ("check_docs.py", "docs/a.md", "see `tools/nothing.py`\n", "names `tools/nothing.py`"),
    ("check_docs.py", "docs/a.md", "see `./nothing`\n", "names `./nothing`"),
    ("check_docs.py", "base/a.c", "/* see docs/nothing.md */\n", "base/a.c: names docs/nothing.md"),
    ("check_tables.py", "model/a.def", 'ROW(1, A, "a, (b")\nROW(2, B,\n    "b")\n', None),
    ("check_tables.py", "model/a.def", 'ROW(1, A, "a")\nROW(1, B, "b")\n', "id 1 stands twice"),
    ("check_tables.py", "model/a.def", 'ROW(1, A, "a")\nROW(2, A, "b")\n', "name A stands twice"),
    ("check_tables.py", "adapters/lost/CMakeLists.txt", "", "no row for adapters/lost"),
    ("check_tables.py", "tests/spec/README.md", "| BUG_NOTHING | NOTHING |\n", "lease.pml has no BUG_NOTHING"),
    ("check_tables.py", "coord/a.c", "int a = DR_MUTANT(NOTHING);\n", "NOTHING stands in one only"),
]


def run(tree, check):
    found = subprocess.run(["/usr/bin/python3", os.path.join(tree, "tools", check)],
                           capture_output=True, check=False, env=dict(os.environ, HOME="/home/somebody"))
    return found.returncode, found.stdout.decode() + found.stderr.decode()


def first_line(name):
    """How a file of that name begins."""
    if name.endswith((".c", ".h", ".def")):
        return HEAD % os.path.basename(name)
    return "#!/usr/bin/env bash\n" if name == "tests/run" else ""


def tree_with(folder, name, text):
    """A tree that every check accepts, and one file more."""
    shutil.rmtree(folder)
    shutil.copytree(os.path.join(TOP, "tools"), os.path.join(folder, "tools"),
                    ignore=shutil.ignore_patterns("__pycache__", "selftest.py"))
    for doc in ("design.md", "stack.md", "tables.md"):  # which the checks themselves name
        os.makedirs(os.path.join(folder, "docs"), exist_ok=True)
        shutil.copy(os.path.join(TOP, "docs", doc), os.path.join(folder, "docs", doc))
    # Those name decisions in their turn; which ones there are, and what they say, is not looked at here.
    for decision in os.listdir(os.path.join(TOP, "docs", "decisions")):
        os.makedirs(os.path.join(folder, "docs", "decisions"), exist_ok=True)
        with open(os.path.join(folder, "docs", "decisions", decision), "w", encoding="ascii") as f:
            f.write("# A decision\n")
    with open(os.path.join(folder, "tools/tidy.ratchet"), "w", encoding="ascii") as f:
        f.write("# none\n")
    files = {"adapters/adapters.def": (HEAD % "adapters.def"), "base/errors.def": (HEAD % "errors.def")}
    if name is not None:
        files[name] = first_line(name) + text
    for path, content in files.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(content)
        os.chmod(full, 0o755 if content.startswith("#!") else 0o644)


def case_problems(folder, check, name, text, want):
    tree_with(folder, name, text)
    status, said = run(folder, check)
    if want is None:
        return [] if status == 0 else ["should be accepted, but:"] + said.splitlines()
    if status == 0 or want not in said:
        return ["should say %r, but ended with %d and said:" % (want, status)] + said.splitlines()
    return []


def purity_problems(folder):
    """check_purity.sh against two libraries made now: one pure, one that asks for the time."""
    tree_with(folder, None, None)
    bad = []
    for source, want in (("int f(char *a) { __builtin_memset(a, 0, 9); return 1; }", 0),
                         ("long time(long *); long f(void) { return time(0); }", 1)):
        lib = os.path.join(folder, "build/coord/core")
        os.makedirs(lib, exist_ok=True)
        with open(os.path.join(lib, "a.c"), "w", encoding="ascii") as f:
            f.write(source + "\n")
        subprocess.run(["gcc", "-O0", "-c", "a.c"], cwd=lib, check=True)
        subprocess.run(["ar", "rcs", "libx.a", "a.o"], cwd=lib, check=True)
        found = subprocess.run(["tools/check_purity.sh", "build"], cwd=folder, capture_output=True, check=False)
        said = found.stdout.decode()
        if (found.returncode != 0) != bool(want) or bool(want) != ("reaches time" in said):
            bad += ["source: " + source, "ended with %d and said:" % found.returncode] + said.splitlines()
    return bad


def lint_problems():
    """What lint.py has found well stands for one compiler, its words and these checks."""
    rows = [(["gcc", "-O2"], b"checks", b"text"), (["gcc", "-O0"], b"checks", b"text"), (["clang", "-O2"], b"checks", b"text"),
            (["gcc", "-O2"], b"other checks", b"text"), (["gcc", "-O2"], b"checks", b"other text"),
            (["gcc", "-O2"], b"check", b"stext")]
    bad = [] if lint.mark_of(*rows[0]) == lint.mark_of(*rows[0]) else ["the same has another mark"]
    if len({lint.mark_of(*row) for row in rows}) != len(rows):
        bad.append("two that differ have one mark")
    if lint.compiler(["/usr/bin/ccache", "/usr/bin/clang", "-c"]) != "/usr/bin/clang":
        bad.append("ccache is no compiler")
    return bad


def main():
    results = Results()
    folder = tempfile.mkdtemp(prefix="drcoord-selftest-")
    try:
        for check in sorted({c[0] for c in CASES}):
            bad = case_problems(folder, check, None, None, None)
            cases = [c for c in CASES if c[0] == check]
            for _, name, text, want in cases:
                bad += ["%s: %s" % (name, p) for p in case_problems(folder, check, name, text, want)]
            results.say("%s names what is bad and nothing else (%d cases)" % (check, len(cases)), bad)
        results.say("lint.py looks again at what is compiled otherwise", lint_problems())
        results.say("check_purity.sh tells a pure library from another", purity_problems(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.end()


main()
