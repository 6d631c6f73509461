"""`mona-lisa logs`: one archive for support; text only, without secrets, addresses or pictures."""

import io
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from appliance.config import SYSTEM_CONFIG
from appliance.files import read_regular, write_atomic
from appliance.library import current
from appliance.service import redaction, status
from appliance.service.doctor import examine
from appliance.service.redaction import known_entries, known_lines, redact
from appliance.text import readable

# Takes a text and the names to be left out; returns what of it may leave the machine.
Known = Callable[[str, Iterable[str]], str]

# Read of a file or a program's output, in bytes; 5000 lines of the journal are half a megabyte.
_LONGEST: Final = 4_000_000
_PLACES: Final = "/ /boot/firmware /run /var/lib/mona-lisa /var/log/journal /srv/mona-lisa"
_PROPERTIES: Final = (
    "Id,ActiveState,SubState,Result,NRestarts,ExecMainStatus,ActiveEnterTimestamp,FragmentPath,DropInPaths,"
    "NeedDaemonReload,WatchdogUSec,MemoryCurrent,MemoryPeak,CPUUsageNSec,TasksCurrent"
)


def _lines(*patterns: str) -> Known:
    return lambda text, names: known_lines(text, patterns, names)


def _cmdline(text: str, names: Iterable[str]) -> str:
    return known_lines("\n".join(text.split()), redaction.CMDLINE, names)


def _boots(text: str, names: Iterable[str]) -> str:
    return known_lines(re.sub(r"(?m)^( *-?\d+ )[0-9a-f]{32} ", r"\1", text), redaction.BOOTS, names)


# Name in the archive, the command whose output goes there, and what of it.
_JOURNAL: Final = "journalctl --no-pager --output=short-iso"
_COMMANDS: Final[tuple[tuple[str, str, Known], ...]] = (
    (
        "journal.txt",
        f"{_JOURNAL} --lines=5000 -u mona-lisa -u mona-lisa-failed -u mona-lisa-boot",
        lambda text, names: known_entries(text, False, names),
    ),
    ("boots.txt", "journalctl --no-pager --list-boots", _boots),
    (
        "kernel.txt",
        f"{_JOURNAL} --dmesg --lines=1000",
        lambda text, names: known_entries(text, True, names),
    ),
    (
        "service.txt",
        f"systemctl show --property={_PROPERTIES} mona-lisa mona-lisa-failed mona-lisa-boot",
        _lines(*redaction.PROPERTIES),
    ),
    ("memory.txt", "free -m", _lines(*redaction.MEMORY)),
    ("disks.txt", f"df -h --output=target,fstype,size,used,avail,pcent {_PLACES}", _lines(*redaction.DISKS)),
    ("kernel-version.txt", "uname -srvm", _lines(*redaction.KERNEL_VERSION)),
    (
        "packages.txt",
        "dpkg-query -W python3* libcamera* libsdl2* mesa* linux-image* rpi* raspi*",
        _lines(*redaction.PACKAGES),
    ),
)
_FILES: Final[tuple[tuple[Path, Known], ...]] = (
    (SYSTEM_CONFIG, redaction.known_config),
    (Path("/etc/os-release"), _lines(*redaction.OS_RELEASE)),
    (
        Path("/proc/device-tree/model"),
        lambda text, names: known_lines(text.strip("\0"), redaction.MODEL, names),
    ),
    (Path("/boot/firmware/config.txt"), _lines(*redaction.CONFIG_TXT)),
    (Path("/boot/firmware/cmdline.txt"), _cmdline),
)


def write_bundle(path: Path, names: Iterable[str]) -> list[str]:
    """Write the archive; returns the names of the files in it.

    Parameters
    ----------
    path : of the .tar.gz
    names : of the host and of people, to be left out

    Raises
    ------
    CannotWrite
        If it cannot be written.
    """
    known = tuple(names)
    buffer = io.BytesIO()
    packed = []
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in _texts(known):
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"mona-lisa-logs/{name}")
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
            packed.append(name)
    write_atomic(path, buffer.getvalue())
    return packed


def _texts(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield name and text of everything that goes in: nothing is taken but what is named here."""
    yield "doctor.txt", "".join(_findings(names))
    place = status.folder()
    yield status.STATUS, _read(place / status.STATUS, redaction.known_status, names)
    yield status.PROMETHEUS, _read(place / status.PROMETHEUS, _lines(*redaction.METRICS), names)
    for file, known in _FILES:
        yield str(file).strip("/").replace("/", "_"), _read(file, known, names)
    yield "pack.toml", _read(current() / "pack.toml", _lines(*redaction.PACK), names)
    for name, command, known in _COMMANDS:
        yield name, _said(command, known, names)


def _findings(names: tuple[str, ...]) -> Iterator[str]:
    for name, finding in examine():
        found = f"{finding.found}{'; ' * bool(finding.todo)}{finding.todo}"
        yield f"{finding.grade:5} {name}: {redact(readable(found), names)}\n"


def _read(path: Path, known: Known, names: Iterable[str]) -> str:
    try:
        return known(read_regular(path, _LONGEST).decode("utf-8", "replace"), names)
    except OSError as error:
        return f"{path}: {error.strerror}\n"


def _said(command: str, known: Known, names: Iterable[str]) -> str:
    try:
        done = subprocess.run(command.split(), capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command}: {type(error).__name__}\n"
    return known(done.stdout[-_LONGEST:], names)
