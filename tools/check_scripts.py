#!/usr/bin/python3
"""check_scripts.py -- every script can be read by its interpreter, is executable where it says #!, and runs no
program that a fresh machine lacks: each is in Debian's base system or comes with tools/packages.list."""

import ast
import os
import re
import subprocess

from house import TOP, Results, files, read


# Programs that scripts are glad to use, the base system lacks, and no other listed package is sure to bring.
PACKAGE_OF = {
    "ar": "binutils", "nm": "binutils", "objdump": "binutils", "readelf": "binutils", "strings": "binutils",
    "bc": "bc", "curl": "curl", "wget": "wget", "file": "file", "jq": "jq", "yq": "yq", "less": "less",
    "lsof": "lsof", "make": "make", "nc": "netcat-openbsd", "ncat": "ncat", "netstat": "net-tools",
    "ifconfig": "net-tools", "openssl": "openssl", "patch": "patch", "ping": "iputils-ping", "rsync": "rsync",
    "socat": "socat", "ssh": "openssh-client", "strace": "strace", "gdb": "gdb", "tcpdump": "tcpdump",
    "unzip": "unzip", "valgrind": "valgrind", "xxd": "xxd", "xz": "xz-utils", "fuser": "psmisc",
    "killall": "psmisc", "pstree": "psmisc", "column": "bsdextrautils", "hexdump": "bsdextrautils",
    "free": "procps", "pgrep": "procps", "pidof": "procps", "pkill": "procps", "ps": "procps", "sysctl": "procps",
    "top": "procps", "uptime": "procps", "vmstat": "procps", "dig": "bind9-dnsutils",
    "nsupdate": "bind9-dnsutils", "kdig": "knot-dnsutils", "knsupdate": "knot-dnsutils", "spin": "spin",
    "faketime": "faketime", "ip": "iproute2", "ss": "iproute2", "tc": "iproute2", "nft": "nftables",
    "iptables": "iptables", "psql": "postgresql", "clang": "clang", "clang-tidy": "clang-tidy",
}
ONE_OF_THEM = "(%s)" % "|".join(sorted(map(re.escape, PACKAGE_OF), key=len, reverse=True))
# At the head of a line, or behind what begins a command; an assignment may stand before it.
IN_SHELL = re.compile(r"(?:^\s*|[|;&(!]\s*|\b(?:then|do|else|if|while|exec|sudo|xargs|env)\s+)(?:\w+=\S*\s+)*"
                      + ONE_OF_THEM + r"(?=\s|$|\))", re.M)
IN_PYTHON = re.compile(r"\[\s*[\"']" + ONE_OF_THEM + r"[\"']")


def packages():
    """What tools/packages.list installs."""
    return {line.split()[0] for line in read("tools/packages.list").split("\n") if re.match(r"[a-z0-9]", line)}


def lacking(name, text, have):
    """The programs that a script runs and that a fresh machine need not have."""
    python = name.endswith(".py") or "python" in text.split("\n", 1)[0]
    code = re.sub(r"(?m)^\s*#.*$", "", text)
    used = set((IN_PYTHON if python else IN_SHELL).findall(code))
    return ["%s: runs %s, but tools/packages.list has no %s" % (name, program, PACKAGE_OF[program])
            for program in sorted(used) if PACKAGE_OF[program] not in have]


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
    have = packages()
    results.say("scripts run only programs that a fresh machine has (%d packages)" % len(have),
                [p for name, text in found for p in lacking(name, text, have)])
    results.end()


main()
