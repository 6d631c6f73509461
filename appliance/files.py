"""Files that are whole or absent, and root at work in another user's folders."""

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

from appliance.errors import ApplianceError, CannotWrite

# nogroup, for a user id without a name.
_NO_GROUP: Final = 65534
_ROOT: Final = 0
_thread: Final = threading.local()


def owner_of(folder: Path) -> int:
    """Return the id of the user who can turn the path of a folder elsewhere; 0 if only root can.

    That is the first owner but root of a folder or link on the way. Parts that are missing are passed over.
    Nobody else gets past a folder that only root may enter.
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

    For this thread alone (setfsuid(2)), since others may open devices meanwhile. Keep it to calls that touch
    files: a thread started here keeps these rights, a program started here runs as root, and a module that is
    imported here must be open to the owner.

    Raises
    ------
    PermissionError
        If the owner's rights cannot be taken on, as in a container that does not know its id.
    """
    owner = owner_of(folder) if os.geteuid() == _ROOT and not getattr(_thread, "inside", False) else _ROOT
    if owner == _ROOT:
        yield
        return
    group = _group_of(owner)
    os.setgroups([])  # for good: root needs none, and what root's groups may read is not the owner's to read
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
        if change(-1) != number:  # an id that cannot be; the answer is the one in force
            raise PermissionError(f"the rights of user {user} cannot be taken on")


def _group_of(user: int) -> int:
    import pwd

    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return _NO_GROUP


_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Time limit for reading one file, seconds: below the watchdog's 30, because the display's thread reads.
SLOWEST_READ: Final = 20.0
_BLOCK: Final = 1 << 20  # bytes read between two looks at the clock


def sync(path: Path) -> None:
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
        # Not blocking: it may have become a FIFO since.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(opened, "rb")
    try:
        _check_regular(os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a regular file, which is never held whole; raises OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(path: Path, most: int, clock: Callable[[], float] = time.monotonic) -> bytearray:
    """Return the content of a regular file of at most `most` bytes.

    A FIFO or a device is not even opened: it may never answer, never end, or do something when opened.

    Raises
    ------
    OSError
        If it is missing, no regular file, larger, or not read within `SLOWEST_READ` seconds.
    """
    end = clock() + SLOWEST_READ
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"{size:,} bytes, expected at most {most:,}")
        data, done = bytearray(size), 0
        with memoryview(data) as view:
            while got := file.readinto(view[done : done + _BLOCK]):
                done += got
                if clock() > end:
                    raise OSError(errno.ETIMEDOUT, f"not read within {SLOWEST_READ:.0f} s")
    del data[done:]
    return data


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "no regular file")


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a power cut leaves the old file or the new one.

    Raises
    ------
    CannotWrite
        If the folder cannot be made or written.
    """
    with _workplace(path) as (_, folder), as_owner(path.parent):
        new = os.open(path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
        with os.fdopen(new, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(new, 0o644)  # whatever the umask
            os.fsync(new)
        os.replace(path.name, path, src_dir_fd=folder)
        sync(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes that name, on any exception it goes.

    A folder already at `path` is replaced; a power cut in between leaves one of the two under
    `path` or, where the file system cannot exchange them in one step, in the instant of the swap the
    old one as `.<name>.old`, which `restore` puts back. Whoever may be root writes into it within `as_owner`.

    Raises
    ------
    CannotWrite
        If the folder cannot be made, synced or renamed.
    """
    path = path.absolute()
    with _workplace(path) as (temporary, lock):
        os.fchmod(lock, 0o755)
        yield temporary
        with as_owner(path.parent):
            for child in temporary.iterdir():
                # Whatever the umask: what root installs, the service must be able to read.
                child.chmod(0o755 if child.is_dir() else 0o644)
                sync(child)
            sync(temporary)
            _swap(temporary, path)


def restore(path: Path) -> None:
    """Put back what a power cut in the middle of a swap left aside."""
    path = path.absolute()
    if path.name and _aside(path).exists() and not path.exists():
        with as_owner(path.parent):
            _aside(path).rename(path)


def remove_abandoned(temporaries: Iterable[Path]) -> None:
    """Remove temporary folders that killed processes left; one that a process still holds stays."""
    for folder in temporaries:
        with suppress(OSError):  # another's, or just gone
            lock = os.open(folder, _FOLDER)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while files that belong together are renamed; it is delivered at the end.

    Outside the main thread, which alone receives it, this does nothing.
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
def _workplace(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield a hidden folder beside `path`, gone afterwards, and with it what killed processes left of theirs.

    With it comes its descriptor, which is locked as long as its process lives: a folder that nobody holds
    was left behind. Root makes it with the rights of whom the place belongs to.

    Raises
    ------
    CannotWrite
        In place of any OSError, also the block's, that is none of the appliance's own.
    """
    try:
        with as_owner(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with as_owner(path.parent):  # asked again: now all of the way is there
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
        raise  # the caller's, and already told in one line
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror})") from error


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """Make a folder and lock it; return it and the descriptor that holds the lock."""
    while True:
        temporary = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        with suppress(FileNotFoundError):  # taken for abandoned before it was locked
            lock = os.open(temporary, _FOLDER)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if temporary.exists():
                return temporary, lock
            os.close(lock)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _swap(new: Path, path: Path) -> None:
    aside = _aside(path)
    if not (path.exists() and _exchanged(new, path)):
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
        new.rename(path)
    sync(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Give two folders each other's name in one step: a service that looks meanwhile must not find none.

    Returns whether they were: renameat2(2) says no on FAT, and on some overlays.
    """
    from ctypes import CDLL  # not before the first light

    with suppress(AttributeError):
        return bool(CDLL(None).renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)
    return False
