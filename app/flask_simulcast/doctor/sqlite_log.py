"""Checks of an SQLite log: its path, its permissions, the disk that it is on, its write-ahead log, its newest event."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from typing import NamedTuple

from ..brokers.base import Broker
from ..brokers.sqlite.disk import Disk, wal_bytes
from ..errors import BrokerError
from ..settings import Settings
from .faults import fault
from .finding import Finding, note, sound, unseen

_MOUNTS = "/proc/self/mountinfo"
# SQLite's write-ahead log needs memory that all processes share (sqlite.org/wal.html), and the lock needs flock.
_OF_THE_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gfs2", "ocfs2", "beegfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "davfs", "fuse.davfs2"}
)
_GONE_AT_RESTART = {"tmpfs": "memory", "ramfs": "memory", "overlay": "the layer of a container"}
_MOST_WAL_BYTES = 64 << 20  # four times the size above which it is cut
_MOST_SECONDS_AHEAD = 2.0


class Mount(NamedTuple):
    """Where a file system begins, and which one it is."""

    point: str
    kind: str


def check(path: str, settings: Settings) -> list[Finding]:
    """Run the checks that look at the file and its disk, but do not open it."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return [_no_folder(path, folder)]
    found = [access(path), permissions(path), file_system(path, mounts()), disk(path, settings), write_ahead(path)]
    return [finding for finding in found if finding is not None]


def _no_folder(path: str, folder: str) -> Finding:
    parent = folder
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    if os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK):
        return note("log", f"There is no {path} yet. The first worker makes it, and its folder.")
    told = f"There is no folder {folder}, and this user can't make it in {parent}."
    return fault("log_missing_folder", told, (path,))


def access(path: str) -> Finding:
    """Look whether this user can write the log and its folder, which has the -wal beside it."""
    folder = os.path.dirname(path)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return _unusable(folder, folder)
    if not os.path.exists(path):
        return note("log", f"There is no {path} yet. The first worker makes it.")
    names = [name for name in (path, path + "-wal", path + "-shm", path + ".lock") if os.path.exists(name)]
    closed = [name for name in names if not os.access(name, os.R_OK | os.W_OK)]
    if closed:
        return _unusable(closed[0], folder)
    return sound("log", f"The log is {path}.")


def _unusable(name: str, folder: str) -> Finding:
    """Tell a doctor that runs as another user than the server from a server that can't use its log."""
    owner = os.stat(folder).st_uid
    if owner not in (0, os.geteuid()):
        told = (
            f"{folder} belongs to user {owner}, and this is user {os.geteuid()}. Run the doctor as the server's user."
        )
        return unseen("log", told)
    return fault("log_unusable", f"This user can't write to {name}.", (_mode_of(name),), (folder,))


def permissions(path: str) -> Finding | None:
    """Look whether other users can read the events. None if there is no file yet."""
    names = [name for name in (path, path + "-wal") if os.path.exists(name)]
    for name in names:
        mode = stat.S_IMODE(os.stat(name).st_mode)
        if mode & stat.S_IRWXO:
            told = f"Every user of this machine can read {name}."
            return fault("log_readable", told, (f"{mode:04o}", name), (f"{path}*",))
    return sound("permissions", "Other users can't read the log.") if names else None


def file_system(path: str, table: Iterable[Mount]) -> Finding:
    """Look which file system the log is on.

    Args:
        table: The mounted file systems.
    """
    place = os.path.realpath(path)
    around = [mount for mount in table if os.path.commonpath([mount.point, place]) == mount.point]
    if not around:
        return unseen("file system", "The mounted file systems are not listed here.")
    kind = max(around, key=lambda mount: len(mount.point)).kind
    if kind in _OF_THE_NETWORK:
        told = f"The log is on {kind}: its locks and its write-ahead log need a local disk."
        return fault("network_file_system", told, (path, kind))
    if kind in _GONE_AT_RESTART:
        return note("file system", f"The log is on {kind}, in {_GONE_AT_RESTART[kind]}: it is gone after a restart.")
    return sound("file system", f"The log is on {kind}.")


def disk(path: str, settings: Settings) -> Finding:
    """Look whether the log has room to grow to its bound."""
    folder = os.path.dirname(path)
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    has = os.path.getsize(path) if os.path.exists(path) else 0
    if free >= settings.history_bytes - has and not Disk(path, settings.most_history_bytes).is_low():
        return sound("disk", f"{_size(free)} are free, and the log has {_size(has)}.")
    told = f"{_size(free)} are free, and the log may grow to {_size(settings.history_bytes)}: publishing will fail."
    return fault("disk", told, (settings.history_bytes,), (max((free + has) // 4, 1 << 20), folder))


def write_ahead(path: str) -> Finding:
    """Look at the size of the write-ahead log: it can't be cut while something reads."""
    size = wal_bytes(path)
    if size <= _MOST_WAL_BYTES:
        return sound("write-ahead log", f"It has {_size(size)}.")
    told = f"It has {_size(size)}, because something has been reading the log for long."
    return fault("write_ahead", told, (f"{path}-wal", _size(size)), (path,))


def clock(broker: Broker, now_seconds: float | None = None) -> Finding:
    """Compare the clock with the newest event of the log."""
    try:
        newest = broker.head()
    except BrokerError as error:
        return unseen("clock", str(error))
    ahead = newest.milliseconds / 1000 - (time.time() if now_seconds is None else now_seconds)
    if ahead > _MOST_SECONDS_AHEAD:
        told = f"The newest event is {ahead:.0f} s in the future: the clock was ahead then, or is behind now."
        return fault("log_ahead", told, (f"{ahead:.0f}",))
    return sound("clock", "No event is in the future.")


def mounts() -> list[Mount]:
    """Return the mounted file systems; none where the system does not list them."""
    try:
        with open(_MOUNTS) as table:
            return parse_mounts(table.read())
    except OSError:
        return []


def parse_mounts(text: str) -> list[Mount]:
    """Parse the lines of ``mountinfo``. Source: proc(5)."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        words, kind = before.split(), after.partition(" ")[0]
        if len(words) > 4 and kind:
            found.append(Mount(_unescaped(words[4]), kind))
    return found


def _unescaped(point: str) -> str:
    """Return a path whose spaces are octal escapes, and whose other characters stand as they are."""
    return point.encode("latin-1", "backslashreplace").decode("unicode_escape")


def _mode_of(name: str) -> str:
    try:
        state = os.stat(name)
    except OSError:
        return f"{name} can't be seen by user {os.geteuid()}"
    return f"{name}: mode {stat.S_IMODE(state.st_mode):04o}, of user {state.st_uid}, and this is user {os.geteuid()}"


def _size(count: int) -> str:
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << bits:
            return f"{count / (1 << bits):.1f} {unit}"
    return f"{count} bytes"
