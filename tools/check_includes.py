#!/usr/bin/python3
"""check_includes.py -- who may include whom.

The tables below are the only place where the direction of dependencies is written for the checks; CMake's
PRIVATE include roots hold the same at build time, library by library.  docs: ARCHITECTURE.md."""

import os
import re

from house import TOP, Results, files, read

# folder: the folders whose headers it may include besides its own.  The longest matching folder counts.
MAY = {
    "base": [],
    "sys": ["base"],
    "model": ["base"],
    "proto": ["base", "model"],
    "net": ["base", "sys", "model"],
    "raft": ["base", "sys", "model", "proto", "net"],
    "conf": ["base", "sys", "model"],
    "adapters": ["base", "sys", "model", "proto", "net"],
    "coord/core": ["base", "model"],
    "coord/shell": ["base", "sys", "model", "proto", "net", "raft", "adapters", "conf", "coord/core",
                    "coord/http"],
    # Knows snapshots only, and runs in a thread of its own: it sees neither core nor loop.
    "coord/http": ["base", "sys", "model"],
    "agent/core": ["base", "model"],
    # A tiny program: no network, no Raft, no adapter.
    "agent/guard": ["base", "sys", "model"],
    "agent/shell": ["base", "sys", "model", "proto", "net", "conf", "adapters", "agent/core", "agent/guard"],
    # conf: `drcoordctl validate` and `diff` judge a file without a coordinator.
    "cli": ["base", "sys", "model", "proto", "net", "conf"],
    "tests": ["base", "sys", "model", "proto", "net", "raft", "conf", "adapters", "coord", "agent",
              "cli"],
}

# header: the only folders that may include it.
ONLY = {
    r"raft\.h|raft/(uv|fixture)\.h": ["raft", "tests"],
    r"hiredis/.*": ["adapters", "tests"],
    r"libpq-fe\.h": ["adapters", "agent/shell", "tests"],
    r"openssl/.*": ["base", "net", "raft", "adapters", "coord/shell", "agent/shell", "cli", "tests"],
    r"protobuf-c/.*|.*\.pb-c\.h": ["proto", "tests"],
    r"yaml\.h": ["conf", "tests"],
    r"microhttpd\.h": ["coord/http"],
    r"uv\.h": ["net", "raft", "adapters", "coord/shell", "agent/shell", "cli", "tests"],
    r"jansson\.h": ["adapters", "coord/shell", "cli", "tests"],
    r"curl/.*": ["adapters"],
    r"cmocka\.h": ["tests"],
}

# A core includes nothing of the system but these.
PURE = ["coord/core", "agent/core"]
PURE_SYSTEM = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "inttypes.h", "limits.h", "string.h"}

# libraft's own header <raft/uv.h> and <raft/fixture.h> look like ours.
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)


def home(name):
    """The row of MAY that a file belongs to, or None."""
    best = None
    for folder in MAY:
        if name.startswith(folder + "/") and (best is None or len(folder) > len(best)):
            best = folder
    return best


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def problems_of(name):
    where = home(name)
    if where is None:
        return ["%s: stands in no folder of the table in tools/check_includes.py" % name]
    bad = []
    text = read(name)
    for m in INCLUDE.finditer(text):
        kind, path = m.group(1), m.group(2)
        at = "%s:%d: %s" % (name, text.count("\n", 0, m.start()) + 1, where)
        target = home(path) if kind == '"' else None
        if target is not None and not inside(target, where) and not any(inside(path, f) for f in MAY[where]):
            bad.append("%s may not include %s (it may: %s)" % (at, path, ", ".join(MAY[where]) or "nothing"))
        if kind == '"' and "/" not in path and not where.startswith("tests"):
            if not os.path.exists(os.path.join(TOP, os.path.dirname(name), path)) and not path.endswith(".pb-c.h"):
                bad.append("%s: write \"FOLDER/%s\", or <%s> for a system header" % (at, path, path))
        for pattern, folders in ONLY.items():
            if (target is None and re.fullmatch(pattern, path)
                    and not any(inside(where, f) for f in folders)):
                bad.append("%s may not include %s (only: %s)" % (at, path, ", ".join(folders)))
        if where in PURE and kind == "<" and path not in PURE_SYSTEM:
            bad.append("%s is pure and may not include <%s> (only: %s)" % (at, path, ", ".join(sorted(PURE_SYSTEM))))
    return bad


def main():
    results = Results()
    by_folder = {}
    for name in files(".c", ".h", ".def"):
        by_folder.setdefault(home(name) or "(elsewhere)", []).append(name)
    for folder in sorted(by_folder):
        results.say("includes of %s (%d files)" % (folder, len(by_folder[folder])),
                    [p for n in by_folder[folder] for p in problems_of(n)])
    results.end()


main()
