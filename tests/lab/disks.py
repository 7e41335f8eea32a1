"""disks.py -- harm to folders: full, damaged, emptied, small."""

import os
import shutil
import subprocess


def mount_small(folder, size):
    """A file system of its own for a folder that exists; it goes with the lab."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)


def fill(folder):
    """Take all room that is left, to the last bytes; the file that does."""
    path = os.path.join(folder, "filler")
    for mode, piece in (("wb", 65536), ("ab", 64)):
        try:
            with open(path, mode, buffering=0) as f:
                while f.write(b"\0" * piece):
                    pass
        except OSError:
            pass
    return path


def flip(path, at):
    """Change one byte of a file."""
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 0x5a]))


def wipe(folder):
    """Empty a folder, which may be a mount point."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
