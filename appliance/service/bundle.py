"""`mona-lisa logs`: one archive for support; text only, without secrets, addresses or pictures."""

import io
import re
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from appliance.config import SYSTEM_CONFIG
from appliance.files import write_atomic
from appliance.library import current
from appliance.service import status
from appliance.service.doctor import examine

# Name in the archive, and the command whose output goes there.
_COMMANDS: Final = (
    ("journal.txt", "journalctl --no-pager --output=short-iso --lines=5000 -u mona-lisa -u mona-lisa-failed"),
    ("boots.txt", "journalctl --no-pager --list-boots"),
    ("kernel.txt", "journalctl --no-pager --dmesg --output=short-iso --lines=1000"),
    ("service.txt", "systemctl status --no-pager --full mona-lisa mona-lisa-failed"),
    ("units.txt", "systemctl cat mona-lisa mona-lisa-failed"),
    ("memory.txt", "free -m"),
    ("disks.txt", "df -h"),
    ("kernel-version.txt", "uname -srvm"),
    ("packages.txt", "dpkg-query -W python3* libcamera* libsdl2* mesa* linux-image* rpi* raspi*"),
)
_FILES: Final = (
    str(SYSTEM_CONFIG),
    "/etc/os-release",
    "/proc/device-tree/model",
    "/boot/firmware/config.txt",
    "/boot/firmware/cmdline.txt",
)
_LONGEST: Final = 4_000_000

_KEYS: Final = r"pass(?:word|wd|phrase)?|psk|secret|token|api[-_ ]?key|private[-_ ]?key|authorization"
_IP6: Final = r"(?<![\w:.])(?=[0-9a-fA-F:]*::|(?:[0-9a-fA-F]{1,4}:){7})[0-9a-fA-F:]{3,39}(?![\w:])"
_PATTERNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        (
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)",
            "(private key left out)",
        ),
        (r"(?<=://)[^/\s@]+@", "(left out)@"),
        (r"\b(e?ssid[\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|\S+)", r"\1(left out)"),
        (rf"((?:{_KEYS})[\"']?\s*[=:]\s*)\S.*", r"\1(left out)"),
        (r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b", "(address)"),
        (r"\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b", "(MAC)"),
        (r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])", "(IP)"),
        (_IP6, "(IP)"),
        (r"\b(serial(?:[ _-]?(?:number|no))?\s*[=:]\s*)[0-9a-f-]{6,}", r"\1(left out)"),
        (r"\b((?:PART)?UUID=)[0-9a-f-]+", r"\1(left out)"),
    )
)


def redact(text: str, names: Iterable[str] = ()) -> str:
    """Take secrets, addresses, serial numbers and `names` (of host and users) out of a text."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    for name in names:
        if len(name) > 1:
            text = re.sub(rf"\b{re.escape(name)}\b", "(name)", text)
    return text


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
        for name, text in _texts():
            data = redact(text[-_LONGEST:], known).encode()
            entry = tarfile.TarInfo(f"mona-lisa-logs/{name}")
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
            packed.append(name)
    write_atomic(path, buffer.getvalue())
    return packed


def _texts() -> Iterator[tuple[str, str]]:
    """Yield name and text of everything that goes in: nothing is taken but what is named here."""
    yield (
        "doctor.txt",
        "".join(
            f"{finding.grade:5} {name}: {finding.found}{'; ' * bool(finding.todo)}{finding.todo}\n"
            for name, finding in examine()
        ),
    )
    for file in (status.STATUS, status.PROMETHEUS):
        yield file, _read(status.folder() / file)
    for file in _FILES:
        yield file.strip("/").replace("/", "_"), _read(Path(file))
    yield "pack.toml", _read(current() / "pack.toml")
    for name, command in _COMMANDS:
        yield name, _said(command)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        return f"{path}: {error.strerror}\n"


def _said(command: str) -> str:
    try:
        done = subprocess.run(command.split(), capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command}: {error}\n"
    return done.stdout + done.stderr
