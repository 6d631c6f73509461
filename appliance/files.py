"""Files that are whole or absent, and root at work in another user's folders.

Otherwise a link that the user puts there could make root open or change other files.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError, BadAsset, CannotWrite

_NO_GROUP: Final = 65534  # the group "nogroup", for a user id without a name
_ROOT: Final = 0  # user id of root
_thread: Final = threading.local()


def owner_of(folder: Path) -> int:
    """Return the id of the user who can redirect the path of a folder; 0 if only root can.

    That is the first owner other than root of a folder or link on the path. Missing parts are ignored. The
    search ends at a folder that only root may enter, because nobody else can change what is below it.
    """
    folder = folder.absolute()
    for way in (folder, Path(os.path.realpath(folder))):
        for place in (*reversed(way.parents), way):
            try:
                link, found = place.lstat(), place.stat()
            except OSError:
                break
            if owner := link.st_uid or found.st_uid:
                return owner
            if not found.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
                break
    return _ROOT


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Open and change files with the rights of the `owner_of` a folder, if this process is root.

    The rights change for this thread only (setfsuid(2)), because other threads may open devices meanwhile.
    Use it only around file access: a thread started inside keeps these rights, a program started inside runs
    as root, and a module imported inside must be readable for the owner. Raises `PermissionError` if the
    owner's rights cannot be adopted, as in a container that does not know the user's id.
    """
    owner = owner_of(folder) if os.geteuid() == _ROOT and not getattr(_thread, "inside", False) else _ROOT
    if owner == _ROOT:
        yield
        return
    group = _group_of(owner)
    os.setgroups([])  # permanently: root needs no groups, and the owner may not read what they may read
    try:
        _thread.inside = True
        _set(owner, group)
        yield
    finally:
        _set(_ROOT, os.getegid())
        _thread.inside = False


def _set(user: int, group: int) -> None:
    from ctypes import CDLL  # only as root, and not before the first light

    libc = CDLL(None)
    for change, number in ((libc.setfsgid, group), (libc.setfsuid, user)):
        change(number)
        if change(-1) != number:  # -1 is no valid id, so this returns the present one
            raise PermissionError(f"the rights of user {user} cannot be adopted")


def _group_of(user: int) -> int:
    import pwd

    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return _NO_GROUP


_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # constants of renameat2(2)
# Flags to open a folder that is to be locked.
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Time limit for reading one file, in seconds: below the watchdog's 30, as the display's thread reads files.
READ_TIMEOUT: Final = 20.0
_READ_BLOCK: Final = 1 << 20  # bytes that are read between two checks of that limit (origin unknown)


def sync_to_disk(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, as `read_regular` does; raises OSError."""
    with as_owner(path):
        _check_regular(path.stat().st_mode)
        # O_NONBLOCK, because it may have become a FIFO meanwhile.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(opened, "rb")
    try:
        _check_regular(os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a regular file without holding it in memory; raises OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(path: Path, most: int, clock: Callable[[], float] = time.monotonic) -> bytearray:
    """Return the content of a regular file of at most `most` bytes.

    A FIFO or a device is not even opened, because it may never answer, never end, or act when it is opened.
    Raises `OSError` if it is missing, no regular file, larger, or not read within `READ_TIMEOUT` seconds.
    """
    end = clock() + READ_TIMEOUT
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"{size:,} bytes, expected at most {most:,}")
        data, done = bytearray(size), 0
        with memoryview(data) as view:
            while got := file.readinto(view[done : done + _READ_BLOCK]):
                done += got
                if clock() > end:
                    raise OSError(errno.ETIMEDOUT, f"not read within {READ_TIMEOUT:.0f} s")
    del data[done:]
    return data


def check_contents(data: bytes, size: int, sha256: str, name: str) -> None:
    """Check the contents of a file that is called `name`; raises `BadAsset` if size or hash differ."""
    if len(data) != size:
        raise BadAsset(f"{name}: {len(data):,} bytes, expected {size:,}")
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise BadAsset(f"{name}: SHA-256 {found}, expected {sha256}")


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "no regular file")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "no regular file")


def check_writable(path: Path) -> None:
    """Make sure, before long work, that a file or a folder may be written at `path`.

    Raises
    ------
    CannotWrite
        If the folder that would hold it may not be written by this user.
    """
    there = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if os.access(there, os.W_OK | os.X_OK):
        return
    why = f"{there} is no folder" if os.path.isfile(there) else f"{there} is read-only"  # noqa: PTH113
    if os.geteuid() != _ROOT:
        why = f"this user may not write in {there}; run it with sudo"
    raise CannotWrite(f"{path}: cannot be written ({why})")


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a power cut leaves the old file or the new one.

    Raises `CannotWrite` if the folder cannot be made or written.
    """
    with _temporary_folder(path) as (_, folder), as_owner(path.parent):
        new = os.open(path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
        with os.fdopen(new, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(new, 0o644)  # independent of the umask
            os.fsync(new)
        os.replace(path.name, path, src_dir_fd=folder)
        sync_to_disk(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it is renamed to `path` on success, else deleted.

    A folder already at `path` is replaced. A power cut leaves the old or the new one under `path`. Only where
    the file system cannot exchange them in one step, a power cut during the exchange leaves the old one as
    `.<name>.old`; `restore_interrupted` puts it back. A caller that may be root writes into the folder within
    `as_owner`. Raises `CannotWrite` if the folder cannot be made, synced or renamed.
    """
    path = path.absolute()
    with _temporary_folder(path) as (temporary, lock):
        os.fchmod(lock, 0o755)
        yield temporary
        with as_owner(path.parent):
            for child in temporary.iterdir():
                # Independent of the umask, because the service must be able to read what root installs.
                child.chmod(0o755 if child.is_dir() else 0o644)
                sync_to_disk(child)
            sync_to_disk(temporary)
            _replace_folder(temporary, path)


def restore_interrupted(path: Path) -> None:
    """Restore the folder if a power cut has interrupted its replacement."""
    path = path.absolute()
    if path.name and _old_name(path).exists() and not path.exists():
        with as_owner(path.parent):
            _old_name(path).rename(path)


def remove_abandoned(temporaries: Iterable[Path]) -> None:
    """Delete temporary folders of killed processes; those that a process still locks stay."""
    for folder in temporaries:
        with suppress(OSError):  # another user's, or just deleted
            lock = os.open(folder, _OPEN_FOLDER)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def hold_ctrl_c() -> Iterator[None]:
    """Delay Ctrl-C while files that belong together are renamed; it takes effect at the end.

    Outside the main thread this does nothing, because only the main thread receives Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield a hidden folder beside `path` that is deleted afterwards, and its descriptor.

    Those of killed processes are deleted as well: the descriptor is locked as long as its process lives, so
    an unlocked folder was abandoned. Root creates it with the rights of the owner of the place. Raises
    `CannotWrite` instead of any OSError, also of the block, that is not the appliance's own.
    """
    try:
        with as_owner(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with as_owner(path.parent):  # determined again, because now the whole path exists
            prefix = f".{path.name}.new-"
            remove_abandoned(left for left in path.parent.iterdir() if left.name.startswith(prefix))
            temporary, lock = _locked_folder(path.parent, prefix)
        try:
            yield temporary, lock
        finally:
            with as_owner(path.parent):
                shutil.rmtree(temporary, ignore_errors=True)
            os.close(lock)
    except ApplianceError:
        raise  # it already has a one-line message
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror})") from error


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """Create a folder and lock it; return it and its locked descriptor."""
    while True:
        temporary = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        with suppress(FileNotFoundError):  # another process deleted it before it was locked
            lock = os.open(temporary, _OPEN_FOLDER)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if temporary.exists():
                return temporary, lock
            os.close(lock)


def _old_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _replace_folder(new: Path, path: Path) -> None:
    aside = _old_name(path)
    if not (path.exists() and _exchange(new, path)):
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
        new.rename(path)
    sync_to_disk(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step, so that a running service always finds one.

    Returns whether that was done: renameat2(2) cannot do it on FAT and on some overlays.
    """
    from ctypes import CDLL  # not before the first light

    names = _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other)
    with suppress(AttributeError):
        return bool(CDLL(None).renameat2(*names, _RENAME_EXCHANGE) == 0)
    return False
