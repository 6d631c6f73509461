"""Root works in another user's folder with that user's rights: a link planted there opens nothing more."""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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
