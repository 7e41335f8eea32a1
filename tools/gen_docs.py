#!/usr/bin/python3
"""gen_docs.py -- write the documents that come from tables; with --check only say which are out of date.

README.md      between its "made from" marks: the servers, from adapters/versions.def; the packages, from tools/packages.list
docs/tables.md every *.def: errors, events, steps, plans, verbs, ...  A table's title is what its first
               comment line says, its column names are the last line of the comment above its first row."""

import os
import re
import sys

from house import TOP, Results, files, read, table_rows


def cell(text):
    if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        text = text[1:-1]
    text = re.sub(r'"\s*"', "", text)
    return text.replace("|", "\\|").strip() or " "


def markdown(titles, rows):
    width = max([len(titles)] + [len(r) for r in rows])
    titles = list(titles) + [""] * (width - len(titles))
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * width]
    lines += ["| " + " | ".join([cell(c) for c in r] + [" "] * (width - len(r))) + " |" for r in rows]
    return "\n".join(lines) + "\n"


def packages():
    """The table of README.md, one row a package."""
    rows = []
    for line in read("tools/packages.list").splitlines():
        if line and not line.startswith("#"):
            name, use, least, why = line.split(None, 3)
            rows.append(["`%s`%s" % (name, "" if least == "-" else " >= " + least), use, why])
    return markdown(["package", "for", "why"], rows)


def servers():
    """The table of README.md, one row a server."""
    rows = [[args[1], args[4], args[5], args[6]] for _, args in table_rows("adapters/versions.def")]
    return markdown(["server", "written for", "shown on", "by"], rows)


def between_marks(text, source, table):
    made = re.compile(r"(<!-- made from %s by tools/gen_docs\.py -->\n).*?(<!-- end -->)" % re.escape(source), re.S)
    if not made.search(text):
        raise SystemExit("not ok - README.md has lost its marks for the table of " + source)
    return made.sub(lambda m: m.group(1) + table + m.group(2), text)


def readme():
    text = between_marks(read("README.md"), "adapters/versions.def", servers())
    return between_marks(text, "tools/packages.list", packages())


def titles_of(text, macro):
    """The words over the columns: the last line of the last comment before the macro's first row."""
    before = text[:re.search(r"\b%s\(" % macro, text).start()]
    comments = re.findall(r"/\*.*?\*/", before, re.S)
    last = comments[-1].rstrip("*/ \n").splitlines()[-1] if comments else ""
    return last.replace("/*", "").strip(" *").split()


def tables():
    out = ["# The tables\n\nMade by `tools/gen_docs.py` from the `.def` files, which the program is built from as well."
           "  Change the table, then run it.\n"]
    for name in files(".def"):
        text = read(name)
        rows = table_rows(name)
        head = re.match(r"/\* \S+ -- (.*?)(?:\*/|\n)", text)
        out.append("\n## %s\n\n%s\n" % (name, head.group(1).strip().rstrip(".") + "." if head else ""))
        for macro in sorted({m for m, _ in rows}, key=[m for m, _ in rows].index):
            of_macro = [args for m, args in rows if m == macro]
            titles = titles_of(text, macro)
            if not len(of_macro[0]) - 1 <= len(titles) <= len(of_macro[0]):
                titles = ["%d" % (i + 1) for i in range(len(of_macro[0]))]
            out.append("\n" + markdown(titles, of_macro))
    return "".join(out)


def main():
    made = {"README.md": readme(), "docs/tables.md": tables()}
    if sys.argv[1:] == ["--check"]:
        results = Results()
        for name, text in made.items():
            now = read(name) if os.path.exists(os.path.join(TOP, name)) else ""
            results.say("%s is up to date with its tables" % name,
                        [] if now == text else ["%s differs: run tools/gen_docs.py and commit it" % name])
        results.end()
    for name, text in made.items():
        with open(os.path.join(TOP, name), "w", encoding="ascii") as f:
            f.write(text)


main()
