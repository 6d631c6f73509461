"""The folder of compiled packs: found by pack and screen, made whole or not at all, few at a time."""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from appliance.display.compiled import MAGIC, Compiled, Plan, write_compiled
from appliance.display.layout import Layout
from appliance.errors import ApplianceError, BadCache, CannotWrite
from appliance.library import library
from appliance.pack import Pack
from appliance.rights import as_owner

# Compiled packs kept besides the newest: the portrait before, and a screen of another size.
KEPT: Final = 2
_SUFFIX: Final = ".lit"
_PART: Final = ".part"
_LOCK: Final = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def cache_folder() -> Path:
    """Return where compiled packs lie: systemd's CACHE_DIRECTORY, else beside the portraits."""
    if folder := os.environ.get("CACHE_DIRECTORY"):
        return Path(folder.split(":")[0])
    return library() / ".cache"


def key_of(pack: Pack, layout: Layout, pixels: str) -> str:
    """Return what a compiled pack is made of, as a hash: files as they are now, layout, pixel format."""
    names = ["pack.toml", "base.png", *pack.info.patch_names()]
    found = hashlib.sha256(MAGIC)
    for name in names:
        path = pack.folder / name
        try:
            stat = path.stat()
            found.update(f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n".encode())
        except OSError:
            found.update(f"{name} missing\n".encode())
    found.update(f"{pack.info}\n{layout}\n{pixels}".encode())
    return found.hexdigest()


def path_of(pack: Pack, layout: Layout, pixels: str) -> Path:
    """Return where a pack's compiled file for a screen lies, whichever version of the pack it holds."""
    place = hashlib.sha256(os.fsencode(f"{pack.folder.absolute()}\n{layout}\n{pixels}")).hexdigest()
    return cache_folder() / f"{pack.folder.absolute().name}-{place[:12]}{_SUFFIX}"


def make(path: Path, plan: Plan, parts: Iterable[memoryview]) -> Compiled:
    """Write a compiled pack and open it; older ones beyond `KEPT`, and those of packs gone, are deleted.

    `parts` are the pixels of the base and of each patch.

    Raises
    ------
    CannotWrite
        If the folder cannot be written, is full, or another process is writing there.
    BadPack, DisplayLost, CameraStalled
        What drawing the patches raises, and what goes on meanwhile; nothing is left behind.
    """
    part = path.with_name(f".{path.name}{_PART}")
    try:
        with _alone(path.parent):
            with as_owner(path.parent):
                _tidy(path)
                file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                try:
                    write_compiled(file, plan, parts)
                finally:
                    os.close(file)
                with as_owner(path.parent):
                    part.replace(path)
            finally:
                with as_owner(path.parent):
                    part.unlink(missing_ok=True)
        return Compiled(path, plan.key)
    except BadCache as error:
        raise CannotWrite(f"{path}: does not read as written ({error})") from error
    except ApplianceError:
        raise  # of who draws: a display that is lost is an OSError, too
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror or error})") from error


def used(path: Path) -> None:
    """Note that a compiled pack is in use, so that others are deleted before it.

    Not where it is the newest anyway: on a root that is an overlay its new time would copy it all to memory.
    """
    with suppress(OSError), as_owner(path.parent):
        if path.stat().st_mtime < max(other.stat().st_mtime for other in path.parent.glob(f"*{_SUFFIX}")):
            os.utime(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes from writing there; raises `BlockingIOError` if one does.

    What root makes, as in calibrating, it makes as the folder's owner: the service must be able to use it.
    """
    with as_owner(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", _LOCK, 0o644)  # only read: an earlier version's may be root's
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _tidy(path: Path) -> None:
    """Delete what killed processes left, and compiled packs beyond those kept."""
    for part in path.parent.glob(f".*{_PART}"):
        part.unlink(missing_ok=True)
    others = [other for other in path.parent.glob(f"*{_SUFFIX}") if other != path]
    others.sort(key=lambda other: other.lstat().st_mtime, reverse=True)
    kept = 0
    for other in others:
        if kept < KEPT and _has_pack(other):
            kept += 1
        else:
            other.unlink(missing_ok=True)


def _has_pack(path: Path) -> bool:
    try:
        return (Path(Compiled(path, None).plan.pack) / "pack.toml").is_file()
    except (BadCache, OSError):
        return False
