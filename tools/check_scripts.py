#!/usr/bin/python3
"""check_scripts.py -- every script can be read by its interpreter, and is executable where it says #!."""

import ast
import os
import subprocess

from house import TOP, Results, files, read


def problems_of(name, text):
    first = text.split("\n", 1)[0]
    bad = []
    if first.startswith("#!") and not os.access(os.path.join(TOP, name), os.X_OK):
        bad.append("%s: says %s but may not be executed (chmod +x)" % (name, first))
    if "python" in first and first != "#!/usr/bin/python3":
        bad.append("%s: says %s; Debian's modules are only in /usr/bin/python3" % (name, first))
    if first.endswith("sh") and first.startswith("#!"):
        # Debian's sh is dash: what says /bin/sh must not need bash.
        shell = "bash" if "bash" in first else "dash"
        done = subprocess.run([shell, "-n", os.path.join(TOP, name)], capture_output=True, check=False)
        if done.returncode != 0:
            bad.append("%s: %s can't read it: %s" % (name, shell, done.stderr.decode().strip()))
    if "python" in first or name.endswith(".py"):
        try:
            ast.parse(text, name)
        except SyntaxError as e:
            bad.append("%s:%s: %s" % (name, e.lineno, e.msg))
    return bad


def main():
    results = Results()
    found = []
    for name in files():
        if name.startswith("docs/") or name.endswith((".c", ".h", ".def", ".md")):
            continue
        text = read(name)
        if text.startswith("#!") or name.endswith(".py"):
            found.append((name, text))
    results.say("scripts can be read and run (%d)" % len(found),
                [p for name, text in found for p in problems_of(name, text)])
    results.end()


main()
