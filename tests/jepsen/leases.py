"""leases.py -- who held which lease until when, read from where the agents arm their guards: the memory they share.

That word ends a primary, so it is the lease itself and not what anybody says of it.  A reader of its own looks at it
every 50 ms; a lease that comes and goes in between is not seen."""

import json
import os
import struct
import subprocess
import threading
import time

from lab import BUILD
from writers import find_binary

READER, MEMORY = "dr_lab_guardmem", "/memfd:drcoord-guard"
LOOK_S, FIND_EVERY = 0.05, 10


class Layout:
    """Where things are in that memory, as the C compiler has laid it out."""

    def __init__(self, reader):
        text = subprocess.run([reader], check=True, capture_output=True, text=True).stdout
        self.at = json.loads(text)

    def read(self, data):
        """[(member, deadline in ns, epoch)] of the slots in use; deadline 0: there is no lease."""
        found = []
        for n in range(self.at["slots"]):
            slot = self.at["first"] + n * self.at["each"]
            (used,) = struct.unpack_from("<I", data, slot + self.at["used"])
            if used == 1:
                name = data[slot + self.at["name"]:slot + self.at["name"] + self.at["name_bytes"]].split(b"\0")[0]
                deadline, epoch = (struct.unpack_from("<Q", data, slot + self.at[k])[0] for k in ("deadline_ns", "epoch"))
                found.append((name.decode(errors="replace").rpartition("/")[2], deadline, epoch))
        return found


def memory_of(pid):
    """An open descriptor of the memory that a guard or agent has; None when it has none, or is gone."""
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{name}"
            if os.readlink(path).startswith(MEMORY):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        pass
    return None


class Leases:
    """Looks until it is told to stop.  lines: what changed, as {"time", "member", "deadline", "epoch"}, in ns since boot."""

    def __init__(self, cluster):
        self.cluster, self.lines, self.last, self.open = cluster, [], {}, {}
        self.ended, self.thread, self.layout = threading.Event(), None, None

    def start(self):
        """Begin; without the reader, which a build without tests lacks, there is nothing to see."""
        reader = find_binary(BUILD, READER)
        if reader:
            self.layout = Layout(reader)
            self.thread = threading.Thread(target=self._go, name="leases", daemon=True)
            self.thread.start()

    def stop(self):
        """All that was seen."""
        self.ended.set()
        if self.thread:
            self.thread.join()
        for fd in self.open.values():
            os.close(fd)
        self.open = {}
        return self.lines

    def _go(self):
        turn = 0
        while not self.ended.wait(LOOK_S):
            if turn % FIND_EVERY == 0:
                self._find()
            turn += 1
            for fd in self.open.values():
                self._look(fd)

    def _find(self):
        """The memories of the guards and agents that run now, each once; a file of both is one inode."""
        found = {}
        for name, pid in self.cluster.pids().items():
            fd = memory_of(pid) if name.startswith(("guard-", "agent-")) else None
            if fd is not None and found.setdefault(os.fstat(fd).st_ino, fd) != fd:
                os.close(fd)
        for fd in self.open.values():
            os.close(fd)
        self.open = found

    def _look(self, fd):
        data = os.pread(fd, self.layout.at["bytes"], 0)
        if len(data) < self.layout.at["bytes"]:
            return
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        for member, deadline, epoch in self.layout.read(data):
            if self.last.get(member, (0, 0)) != (deadline, epoch):
                self.last[member] = (deadline, epoch)
                self.lines.append({"time": now, "member": member, "deadline": deadline, "epoch": epoch})
