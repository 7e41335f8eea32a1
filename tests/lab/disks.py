"""disks.py -- harm to folders: full, slow, damaged, emptied, small."""

import os
import shutil
import subprocess

from reaper import THROTTLE, throttle_device


def mount_small(folder, size):
    """A file system of its own for a folder that exists; it goes with the lab."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)


def mount_image(folder, image, owner=None, size="700M", more=""):
    """The same on a disk of its own (ext4), which can hang or fail; an image that is there is only repaired."""
    if not os.path.exists(image):
        subprocess.run(["truncate", "-s", size, image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    elif subprocess.run(["e2fsck", "-y", image], capture_output=True, check=False).returncode > 1:
        raise OSError(f"{image} cannot be repaired")
    subprocess.run(["mount", "-o", "loop,errors=remount-ro" + more, image, folder], check=True)
    if owner:
        subprocess.run(["chown", f"{owner}:{owner}", folder], check=True)


def mount_on_disk(folder, below, owner):
    """The same on a disk whose image lies on another file system, mounted at a folder that exists: hang() that one.

    Then no write to the disk ends, while files are still opened and what is in memory is read: for that nobody may be
    noted as a reader, nor the journal be written just then."""
    mount_image(below, below + ".img", size="900M")
    mount_image(folder, os.path.join(below, "disk.img"), owner, more=",noatime,commit=300")


def hang(below, on):
    """Let writes to a file system wait, or go on."""
    subprocess.run(["fsfreeze", "-f" if on else "-u", below], check=True)


def turn_read_only(folder):
    """Let the kernel find an error in the ext4 of a mount_image(): as after a real one, nothing is written any more.

    What the lab copied there without a sync would be lost with it, though no server ever wrote so."""
    subprocess.run(["sync", "-f", folder], check=True)
    device = subprocess.run(["findmnt", "-no", "SOURCE", folder], check=True, capture_output=True, text=True)
    with open(f"/sys/fs/ext4/{os.path.basename(device.stdout.strip())}/trigger_fs_error", "w") as f:
        f.write("1")


def can_throttle():
    """Whether the kernel has what makes one disk slow for everybody: blkio of cgroup v1."""
    return os.path.exists(THROTTLE)


def throttle(folder, writes):
    """So many writes a second to the disk of a mount_image(), whoever writes; 0: as many as it can."""
    device = subprocess.run(["findmnt", "-no", "MAJ:MIN", folder], check=True, capture_output=True, text=True)
    throttle_device(device.stdout.strip(), writes)


def keep_elsewhere(path, place):
    """Let a file that would be on a folder's disk be another's: what is written to it needs no room there."""
    for name in (path, place):
        with open(name, "ab"):
            pass
    shutil.copystat(path, place)
    subprocess.run(["mount", "--bind", place, path], check=True)


def reserve(path):
    """Take room without writing, as far as that goes: a large disk is full at once."""
    with open(path, "ab") as f:
        piece = 1 << 30
        while piece >= 65536:
            try:
                os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, piece)
            except OSError:
                piece //= 2


def fill(folder):
    """Take all room that is left, to the last bytes; the file that does."""
    path = os.path.join(folder, "filler")
    reserve(path)
    for mode, piece in (("ab", 65536), ("ab", 64)):
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
