"""reaper.py -- removes what a lab leaves behind: processes, what they shared, namespaces, cgroups, mounts, the folder.

Everything of a lab carries the lab's name, drlab-PID-START-N: its folder under /tmp, its network
namespaces, its cgroup.  PID and START (start time, in clock ticks since boot) are those of the program
that owns it, so a lab whose owner is gone can be told from one that is in use, also after the pid was
given to another process.

A process belongs to a lab when it is in its cgroup, in one of its network namespaces, or works in its
folder (every program of a lab is started there, and a server's working folder is its data; ours go on to /
and are told by their configuration file).  They are ended by pid and by cgroup, never by name.

Run as a program it is the guard of one owner: its standard input is a pipe that the owner holds open.
At its end, however the owner ended (kill -9 included), everything of that owner is removed.  It has a
session of its own and ignores the signals that a terminal sends."""

import ctypes
import os
import shutil
import signal
import sys
import time

FOLDERS = "/tmp"
NETNS = "/run/netns"
PREFIX = "drlab-"
MNT_DETACH = 2
THROTTLE = "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device"
LOOP = "7:"


def start_time(pid):
    """Start time of a process in clock ticks since boot, None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def owner_name(pid):
    """The part of a lab's name that says whose it is."""
    return f"{PREFIX}{pid}-{start_time(pid)}"


def cgroup_base():
    """The cgroup (version 2) folder that labs are made in, None when there is none to write to."""
    try:
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
        with open("/proc/self/cgroup") as f:
            own = [line.strip().split("::", 1)[1] for line in f if line.startswith("0::")]
    except OSError:
        return None
    for mount in mounts:
        folder = mount + (own[0].rstrip("/") if own else "")
        if os.access(folder, os.W_OK):
            return folder
    return None


def labs_of(prefix):
    """Names of labs that begin with prefix, found by any of the things that carry them."""
    names = set()
    for folder in (FOLDERS, cgroup_base()):
        if folder:
            names.update(n for n in os.listdir(folder) if n.startswith(prefix))
    for space in os.listdir(NETNS) if os.path.isdir(NETNS) else []:
        if space.startswith(prefix):
            names.add("-".join(space.split("-")[:4]))
    return sorted(names)


def spaces_of(lab):
    """Names of a lab's network namespaces."""
    return [n for n in os.listdir(NETNS) if n.startswith(lab + "-")] if os.path.isdir(NETNS) else []


def space_ids(lab):
    """The kernel's numbers of a lab's network namespaces."""
    ids = set()
    for space in spaces_of(lab):
        try:
            ids.add(os.stat(f"{NETNS}/{space}").st_ino)
        except OSError:
            pass
    return ids


def runs_ours(pid, folder):
    """Whether a process is one of drcoord's own programs (which work in /) with a file of the lab's folder."""
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        words = f.read().decode(errors="replace").split("\0")
    ours = os.path.basename(words[0]).startswith("drcoord")
    return ours and any(w.startswith(folder + "/") for w in words[1:])


def belongs(pid, folder, spaces):
    """Whether a process works in the lab's folder or in one of its namespaces."""
    try:
        cwd = os.readlink(f"/proc/{pid}/cwd")
        if cwd == folder or cwd.startswith(folder + "/") or runs_ours(pid, folder):
            return True
        return bool(spaces) and os.stat(f"/proc/{pid}/ns/net").st_ino in spaces
    except OSError:
        return False


def processes_of(lab):
    """Pids of a lab's processes, those that have ended left out."""
    folder, spaces = f"{FOLDERS}/{lab}", space_ids(lab)
    own = os.getpid()
    pids = [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != own]
    return [p for p in pids if belongs(p, folder, spaces) and start_time(p) is not None]


def cgroups_of(lab):
    """A lab's cgroup folders, innermost first."""
    base = cgroup_base()
    if base is None or not os.path.isdir(f"{base}/{lab}"):
        return []
    return [path for path, _, _ in os.walk(f"{base}/{lab}", topdown=False)]


def kill_cgroup(folder):
    """SIGKILL for every process in a cgroup and below, at once."""
    try:
        with open(folder + "/cgroup.kill", "w") as f:
            f.write("1")
    except OSError:
        pass


def mapped_by(pids):
    """The files in /dev/shm that PostgreSQL's processes have mapped: initdb's stay when it is killed."""
    found = set()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/maps") as f:
                found.update(w for line in f for w in line.split()[5:6] if w.startswith("/dev/shm/PostgreSQL."))
        except OSError:
            pass
    return found


def kill_all(lab, deadline):
    """End every process of a lab; repeated, since one may have been starting another."""
    shared = set()
    while True:
        groups = cgroups_of(lab)
        pids = processes_of(lab)
        shared |= mapped_by(pids)
        if groups:
            kill_cgroup(groups[-1])
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if not pids and not any(read_pids(g) for g in groups) or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    for path in shared:
        try:
            os.unlink(path)
        except OSError:
            pass


def read_pids(group):
    """Pids in one cgroup."""
    try:
        with open(group + "/cgroup.procs") as f:
            return [int(line) for line in f]
    except OSError:
        return []


def unmount(path):
    """Detach a mount; a path that is none is no error here."""
    ctypes.CDLL(None).umount2(os.fsencode(path), MNT_DETACH)


def remove_spaces(lab):
    """Remove a lab's network namespaces; their links and nft tables go with them."""
    for space in spaces_of(lab):
        unmount(f"{NETNS}/{space}")
        try:
            os.unlink(f"{NETNS}/{space}")
        except OSError:
            pass


def remove_cgroups(lab, deadline):
    """Remove a lab's cgroups; a killed process may hold one for a moment."""
    for group in cgroups_of(lab):
        while True:
            try:
                os.rmdir(group)
                break
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)


def throttle_device(device, writes):
    """So many writes a second to a block device, MAJOR:MINOR; 0: as many as it can."""
    with open(THROTTLE, "w") as f:
        f.write(f"{device} {writes}")


def remove_folder(folder):
    """Remove a lab's folder, and first what is mounted below it; a loop device is handed back at full speed."""
    try:
        with open("/proc/self/mountinfo") as f:
            mounts = [line.split() for line in f]
    except OSError:
        mounts = []
    for _, _, device, _, mount, *_ in reversed(mounts):
        if mount.startswith(folder + "/"):
            if device.startswith(LOOP) and os.path.exists(THROTTLE):
                throttle_device(device, 0)
            unmount(mount)
    shutil.rmtree(folder, ignore_errors=True)


def clean(lab, seconds=10):
    """Remove everything of one lab.  Safe to repeat, and to run twice at once."""
    deadline = time.monotonic() + seconds
    kill_all(lab, deadline)
    remove_spaces(lab)
    remove_cgroups(lab, deadline)
    remove_folder(f"{FOLDERS}/{lab}")


def left_of(prefix):
    """What is still there of labs whose name begins with prefix, as text; empty when nothing is."""
    found = []
    for lab in labs_of(prefix):
        found.append(f"lab {lab}: processes {processes_of(lab)}, namespaces {len(spaces_of(lab))}, "
                     f"cgroups {len(cgroups_of(lab))}, folder {os.path.isdir(f'{FOLDERS}/{lab}')}")
    return found


def pid_space(pid):
    """The pid namespace that a process is in, None when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def is_elsewhere(lab):
    """Whether processes of it run in another pid namespace, so that its owner's pid says nothing here: a container's."""
    own = pid_space("self")
    return any(pid == 0 or pid_space(pid) not in (own, None) for g in cgroups_of(lab) for pid in read_pids(g))


def sweep():
    """Remove the labs of owners that are gone."""
    for lab in labs_of(PREFIX):
        parts = lab.split("-")
        if len(parts) == 4 and parts[1].isdigit() and str(start_time(int(parts[1]))) != parts[2] and not is_elsewhere(lab):
            clean(lab)


def main():
    """Wait for the owner's end, then remove what it had."""
    owner = sys.argv[1]
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(sig, signal.SIG_IGN)
    os.chdir("/")
    while sys.stdin.buffer.read(1):
        pass
    # A tool that the owner was just starting may make one thing more: look again.
    for _ in range(2):
        for lab in labs_of(owner + "-"):
            clean(lab)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
