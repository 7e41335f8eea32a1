"""disks.py -- harm to folders: full, damaged, emptied, small."""

import os
import shutil
import subprocess


def mount_small(folder, size):
    """A file system of its own for a folder that exists; it goes with the lab."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)


def mount_image(folder, image, owner=None):
    """The same on a disk of its own (ext4), which can hang or fail; an image that is there is only repaired."""
    if not os.path.exists(image):
        subprocess.run(["truncate", "-s", "700M", image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    elif subprocess.run(["e2fsck", "-y", image], capture_output=True, check=False).returncode > 1:
        raise OSError(f"{image} cannot be repaired")
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, folder], check=True)
    if owner:
        subprocess.run(["chown", f"{owner}:{owner}", folder], check=True)


def turn_read_only(folder):
    """Let the kernel find an error in the ext4 of a mount_image(): as after a real one, nothing is written any more.

    What the lab copied there without a sync would be lost with it, though no server ever wrote so."""
    subprocess.run(["sync", "-f", folder], check=True)
    device = subprocess.run(["findmnt", "-no", "SOURCE", folder], check=True, capture_output=True, text=True)
    with open(f"/sys/fs/ext4/{os.path.basename(device.stdout.strip())}/trigger_fs_error", "w") as f:
        f.write("1")


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
