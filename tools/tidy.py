#!/usr/bin/python3
"""tidy.py -- sizes, banned calls and plain text rules; each message says what to do instead.

tools/tidy.ratchet lists what was over a size limit when the limit came; such a thing may shrink, and its row
goes once it fits, but it may not grow.  `tidy.py --ratchet` rewrites the numbers, downwards only."""

import os
import re
import sys

from house import TOP, Results, files, read

FUNCTION_MAX = 70
FILE_MAX = {".c": 600, ".h": 300, ".py": 600}
LINE_MAX = 132  # aim at 110
TAB = 8
RATCHET = "tools/tidy.ratchet"

# word: (what to use instead, the folders and files where it may stand)
BANNED = {
    "strcpy": ("dr_copy_text", []),
    "strcat": ("dr_buf_printf or dr_copy_text", []),
    "strncpy": ("dr_copy_text", []),
    "strncat": ("dr_buf_printf or dr_copy_text", []),
    "sprintf": ("snprintf or dr_buf_printf", []),
    "vsprintf": ("vsnprintf", []),
    "gets": ("a bounded read", []),
    "atoi": ("dr_parse_u64", []),
    "atol": ("dr_parse_u64", []),
    "atoll": ("dr_parse_u64", []),
    "atof": ("dr_parse_*", []),
    "strtol": ("dr_parse_u64", ["tests"]),
    "strtoul": ("dr_parse_u64", ["tests"]),
    "strtoull": ("dr_parse_u64", ["tests"]),
    "sscanf": ("base/parse.h", ["tests"]),
    "strtok": ("a reader that keeps no hidden place", []),
    "system": ("sys/ and an argument vector, without a shell", []),
    "popen": ("sys/ and an argument vector, without a shell", []),
    "alloca": ("a fixed array", []),
    "tmpnam": ("mkstemp", []),
    "rand": ("what the caller passes in, or RAND_bytes", []),
    "gethostbyname": ("address literals; names block the loop", []),
    "getaddrinfo": ("address literals; names block the loop", []),
    "sleep": ("a timer of the loop", ["tests"]),
    "usleep": ("a timer of the loop", ["agent/shell/jobs.c", "tests"]),  # jobs.c: its own thread
    "malloc": ("dr_xcalloc", ["base/mem.c", "proto/pb.c", "tests"]),  # proto/pb.c: a budget; it may say no
    "calloc": ("dr_xcalloc", ["base/mem.c", "tests"]),
    "realloc": ("dr_xrealloc", ["base/mem.c", "tests"]),
    "strdup": ("dr_xstrdup", ["base/mem.c", "tests"]),
    "assert": ("dr_assert, which stays on in a release", ["tests"]),
    "clock_gettime": ("sys/clock.h", ["sys", "agent/guard", "tests"]),
    "gettimeofday": ("sys/clock.h", ["tests"]),
}
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(sorted(BANNED, key=len, reverse=True)))


def bare(text):
    """C text with comments and string contents blanked, line by line the same."""
    def blank(m):
        s = m.group(0)
        if s[0] == "/":
            return re.sub(r"[^\n]", " ", s)
        return s[0] + re.sub(r"[^\n]", " ", s[1:-1]) + s[-1]
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def functions(text):
    """(first line, length, name) of each function, by the braces in the first column."""
    start = name = None
    before = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line == "{" and start is None:
            words = re.findall(r"(\w+)\s*\(", before)
            start, name = number, words[0] if words else "?"
        elif line.startswith("}") and start is not None:
            yield start, number - start, name
            start = None
            before = ""
        elif start is None:
            before = before + line if not line.startswith(("#", "}")) and line.strip() else ""


def ratchet_read():
    allowed = {}
    if os.path.exists(os.path.join(TOP, RATCHET)):
        for line in read(RATCHET).splitlines():
            if line and not line.startswith("#"):
                what, size = line.rsplit(None, 1)
                allowed[what] = int(size)
    return allowed


def sizes():
    """{what: (size, limit)} of everything over its limit."""
    over = {}
    for name in files(".c", ".h", ".py"):
        text = read(name)
        lines = text.count("\n")
        limit = FILE_MAX[os.path.splitext(name)[1]]
        if lines > limit:
            over[name] = (lines, limit)
        if name.endswith(".c"):
            for _, length, function in functions(bare(text)):
                if length > FUNCTION_MAX:
                    over["%s:%s" % (name, function)] = (length, FUNCTION_MAX)
    return over


def check_sizes(results):
    allowed = ratchet_read()
    over = sizes()
    bad = ["%s: %d lines, the limit is %d%s" % (what, size, limit,
           " (it was allowed %d)" % allowed[what] if what in allowed else "; split it")
           for what, (size, limit) in sorted(over.items()) if size > allowed.get(what, limit)]
    bad += ["%s: %s has a row, but it fits now: take the row out" % (RATCHET, what)
            for what in sorted(allowed) if what not in over]
    results.say("sizes: functions <= %d lines, .c <= %d, .h <= %d"
                % (FUNCTION_MAX, FILE_MAX[".c"], FILE_MAX[".h"]), bad)


def check_calls(results):
    bad = []
    for name in files(".c", ".h"):
        text = bare(read(name))
        for m in CALL.finditer(text):
            instead, homes = BANNED[m.group(1)]
            if not any(name == h or name.startswith(h + "/") for h in homes):
                bad.append("%s:%d: %s() has no place here: use %s"
                           % (name, text.count("\n", 0, m.start()) + 1, m.group(1), instead))
    results.say("no banned call", bad)


def check_text(results):
    """Bytes, line ends, tabs, marks; over everything that people write."""
    shape, marks = [], []
    for name in files(".c", ".h", ".def", ".py", ".sh", ".md", ".proto", ".cmake", ".txt", ".yaml", ".json"):
        if name.startswith("tests/bad/"):
            continue  # wrong on purpose
        text = read(name)
        for number, line in enumerate(text.split("\n"), 1):
            at = "%s:%d" % (name, number)
            if not line.isascii():
                shape.append(at + ": not ASCII")
            if line != line.rstrip():
                shape.append(at + ": space or a carriage return at the end of the line")
            if name.endswith((".c", ".h")):
                if len(line.expandtabs(TAB)) > LINE_MAX:
                    shape.append("%s: %d columns, the limit is %d" % (at, len(line.expandtabs(TAB)), LINE_MAX))
                if re.match(r"\t* {8}", line):
                    shape.append(at + ": indent with tabs")
            if MARKS.search(line) and not name.startswith("tools/"):
                marks.append("%s: %s: do it, or say in plain words why not" % (at, MARKS.search(line).group(0)))
        if text and not text.endswith("\n"):
            shape.append(name + ": no newline at the end")
    results.say("text: ASCII, tabs, %d columns, no space at line ends" % LINE_MAX, shape)
    results.say("no left-over marks", marks)


def check_heads(results):
    bad = []
    for name in files(".c", ".h", ".def"):
        first = read(name).split("\n", 1)[0]
        if not first.startswith("/* %s -- " % os.path.basename(name)):
            bad.append('%s: the first line should be "/* %s -- what it is"' % (name, os.path.basename(name)))
        guard = r"^#ifndef \w+_H$" if name.startswith("tests/") else r"^#ifndef DR_\w+_H$"
        if name.endswith(".h") and not re.search(guard, read(name), re.M):
            bad.append("%s: no include guard DR_..._H" % name)
    results.say("each file says at its head what it is", bad)


def ratchet_write():
    allowed = ratchet_read()
    over = sizes()
    rows = ["%s %d\n" % (w, min(over[w][0], allowed[w])) for w in sorted(allowed) if w in over]
    head = [l + "\n" for l in read(RATCHET).splitlines() if l.startswith("#")]
    with open(os.path.join(TOP, RATCHET), "w", encoding="ascii") as f:
        f.writelines(head + rows)


def main():
    if sys.argv[1:] == ["--ratchet"]:
        ratchet_write()
        return
    results = Results()
    for check in (check_sizes, check_calls, check_text, check_heads):
        check(results)
    results.end()


main()
