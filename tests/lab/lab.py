"""lab.py -- one lab: folder, network, cgroups, and the programs started in it.

Each program runs in the network of its host, in a cgroup of its own below that of its site, with its output
in a log file of its own, and starts in the lab's folder.  Lab.close(), the end of this program, or its death
removes all of it (reaper.py)."""

import atexit
import ctypes
import glob
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import net
import reaper

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("DR_BUILD", f"{ROOT}/build/release"))
NUMBERS = itertools.count()
CLONE_NEWIPC = 0x08000000


class LabError(Exception):
    """The lab could not do something; the text says what, with the end of the log that tells why."""


class CommandError(LabError):
    """A command ended badly: its exit code, what it wrote to its output and what it said."""

    def __init__(self, what, done):
        super().__init__(f"{what}: exit {done.returncode}: {done.stderr.strip()[-800:]}")
        self.code, self.out, self.said = done.returncode, done.stdout, done.stderr.strip()


class Reaper:
    """The guard process that cleans up after this program, started once, before the first lab."""

    process = None

    @classmethod
    def start(cls):
        """Start the guard, remove what dead programs left, and make signals end this program in order."""
        if cls.process:
            return
        for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(sig, cls._ended_by)
        # A killed server leaves the System V segment by which it held its data folder: it goes with us.
        ctypes.CDLL(None).unshare(CLONE_NEWIPC)
        cls.process = subprocess.Popen([sys.executable, f"{HERE}/reaper.py", reaper.owner_name(os.getpid())],
                                       stdin=subprocess.PIPE, start_new_session=True)
        atexit.register(cls.finish)
        reaper.sweep()

    @staticmethod
    def _ended_by(number, _frame):
        for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(sig, signal.SIG_IGN)
        sys.exit(128 + number)

    @classmethod
    def finish(cls):
        """Let the guard remove everything, and wait until it has."""
        if cls.process:
            cls.process.stdin.close()
            cls.process.wait(timeout=30)
            cls.process = None


class Program:
    """One running program of the lab."""

    def __init__(self, name, site, popen, log):
        self.name, self.site, self.popen, self.log = name, site, popen, log
        self.pid = popen.pid
        # An ended child must not stay a zombie: a server's lock file would name a pid that seems alive.
        threading.Thread(target=popen.wait, daemon=True).start()

    def running(self):
        """Whether it has not ended."""
        return self.popen.poll() is None

    def kill(self, sig=signal.SIGKILL):
        """Send a signal to this one process."""
        if self.running():
            os.kill(self.pid, sig)

    def wait(self, seconds):
        """Wait for its end; its exit code, None when it still runs."""
        try:
            return self.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def tail(self, lines=12):
        """The end of its log."""
        return tail(self.log, lines)


def tail(path, lines=12):
    """The last lines of a file, or why it can't be read."""
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError as e:
        return f"({e})\n"


def keep_logs(folder, target):
    """Copy a lab's logs and configuration to where they outlive it; keys stay behind."""
    shutil.rmtree(target, ignore_errors=True)
    for part in ("log", "etc"):
        if os.path.isdir(os.path.join(folder, part)):
            shutil.copytree(os.path.join(folder, part), os.path.join(target, part),
                            ignore=shutil.ignore_patterns("*.key"))
    for path in glob.glob(os.path.join(folder, "*-az-*", "data.log")):
        shutil.copy(path, os.path.join(target, path.split(os.sep)[-2] + ".log"))


def wait_for(what, check, seconds, every=0.02, logs=()):
    """Poll check() until it returns something true, which is returned; LabError after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > deadline:
            ends = "".join(f"--- end of {path}\n{tail(path)}" for path in logs)
            raise LabError(f"waited {seconds:g} s in vain for {what}\n{ends}".rstrip())
        time.sleep(every)


class Lab:
    """A lab that stands from __init__ to close()."""

    def __init__(self, loopback=False):
        Reaper.start()
        self.loopback = loopback
        self.name, self.folder = self._new_folder()
        os.mkdir(f"{self.folder}/log")
        base = reaper.cgroup_base()
        self.cgroup = f"{base}/{self.name}" if base else None
        if self.cgroup:
            os.mkdir(self.cgroup)
        self.programs = {}
        self.network = None
        if not loopback:
            self.network = net.Network(self.name, self.folder)
            self.network.build()

    @staticmethod
    def _new_folder():
        """A name that nobody has, and its folder."""
        for number in NUMBERS:
            name = f"{reaper.owner_name(os.getpid())}-{number}"
            try:
                os.mkdir(f"{reaper.FOLDERS}/{name}", 0o755)
            except FileExistsError:
                continue
            return name, f"{reaper.FOLDERS}/{name}"

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def close(self):
        """Remove everything of this lab, and collect its ended programs."""
        reaper.clean(self.name)
        for program in self.programs.values():
            program.wait(5)

    def address(self, site, role):
        """The address of a host in this lab."""
        return net.address(site, role, self.loopback)

    def path(self, *parts):
        """A path inside the lab's folder."""
        return os.path.join(self.folder, *parts)

    def make_folder(self, name, user=None, mode=0o755):
        """Make a folder inside the lab's, owned by a user."""
        path = self.path(name)
        os.makedirs(path, mode, exist_ok=True)
        os.chmod(path, mode)
        if user:
            subprocess.run(["chown", f"{user}:{user}", path], check=True)
        return path

    def command(self, host, argv, user=None):
        """The words that run argv in a host's network as a user."""
        words = [] if self.loopback else self.network.enter(host)
        if user:
            words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
        return words + argv

    def group(self, site, name):
        """Make the cgroup of one program below that of its site; None without cgroups."""
        if not self.cgroup:
            return None
        folder = f"{self.cgroup}/{site}/{name}"
        os.makedirs(folder, exist_ok=True)
        return folder

    def spawn(self, site, host, name, argv, user=None, env=None):
        """Start a program that stays.  It replaces an ended one of the same name; the log goes on."""
        group = self.group(site, name)
        words = self.command(host, argv, user)
        if group:
            words = ["sh", "-c", 'echo 0 > "$0/cgroup.procs" && exec "$@"', group] + words
        log = self.path("log", name + ".log")
        with open(log, "ab") as out:
            popen = subprocess.Popen(words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     start_new_session=True, env={**os.environ, **(env or {})})
        self.programs[name] = Program(name, site, popen, log)
        return self.programs[name]

    def run(self, host, argv, user=None, text=None, seconds=30, env=None, check=True):
        """Run a command that ends; its output.  LabError with its error text when it fails."""
        group = self.group("tools", "run")
        words = self.command(host, argv, user)
        if group:
            words = ["sh", "-c", 'echo 0 > "$0/cgroup.procs" && exec "$@"', group] + words
        try:
            done = subprocess.run(words, cwd=self.folder, input=text, capture_output=True, text=True,
                                  timeout=seconds, env={**os.environ, **(env or {})})
        except subprocess.TimeoutExpired as e:
            raise LabError(f"{os.path.basename(argv[0])} did not end within {seconds} s") from e
        if check and done.returncode != 0:
            raise CommandError(f"{os.path.basename(argv[0])} {' '.join(argv[1:])[:200]}", done)
        return done.stdout

    def kill_site(self, site):
        """SIGKILL for every process of a site, at once where there are cgroups."""
        if self.cgroup:
            reaper.kill_cgroup(f"{self.cgroup}/{site}")
            return
        for program in self.programs.values():
            if program.site == site:
                program.kill()
