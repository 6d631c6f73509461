"""`mona-lisa logs`: one archive for support, without secrets, addresses or pictures.

A secret can be spelled and cut in any way. So only keys and lines of a known form are taken, and of these
none that might hold a secret all the same.
"""

import grp
import io
import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from appliance.config import LAYERS, SYSTEM_FOLDER, parse_config
from appliance.errors import ConfigError, NotPermitted
from appliance.files import check_writable, read_regular, write_atomic
from appliance.library import current_folder
from appliance.service import status
from appliance.service.doctor import examine
from appliance.service.settings import IN_FORCE
from appliance.terminal import printable_line

LEFT_OUT: Final = "(left out)"
LINES_LEFT_OUT: Final = "(lines left out: %d)"

# Beside one of these words a secret may stand.
_WORDS: Final = re.compile(
    r"pass|psk|pwd|secret|token|credential|bearer|auth|login|key(?!board)|cookie|private|signature|session|salt"
    r"|ssid|wpa|certificate|\b(?:pin|otp)\b|-----",
    re.IGNORECASE,
)
# Letters and digits in one run, as base64 and hexadecimal are written.
_RUN: Final = re.compile(r"[A-Za-z0-9+/=_-]{16,}")
# Characters of a run from which on it may be a secret: of a part between / _ = + -, and of the whole. Serial
# numbers and the shortest keys in use (64 bits) have 16; no name of a device or a release is as long.
_PART: Final = 16
_WHOLE: Final = 32
_LONGEST_LINE: Final = 2000  # characters of a line from which on it stays here: no line of ours is as long

_IP6: Final = r"(?<![\w:.])(?=[0-9a-fA-F:]*::|(?:[0-9a-fA-F]{1,4}:){7})[0-9a-fA-F:]{3,39}(?![\w:])"
_REPLACED: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        (r"(?<=://)[^/\s@]+@", f"{LEFT_OUT}@"),
        (r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b", "(address)"),
        (r"\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b", "(MAC)"),
        (r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])", "(IP)"),
        (_IP6, "(IP)"),
        (r"\b(serial(?:[ _-]?(?:number|no))?\s*[=:]\s*)\S+", rf"\1{LEFT_OUT}"),
        (r"\b((?:PARTUUID|UUID|LABEL)=)\S+", rf"\1{LEFT_OUT}"),
        (r"( = ).*?(?=; (?:expected|unknown|no longer))", rf"\1{LEFT_OUT}"),  # a wrong config's value
    )
)

_BEGINNING: Final = re.compile(r"\d{4}-\d\d-\d\dT\S+ ")  # an entry of the journal begins with its time
# One by our units or by systemd about them, and those of the kernel about what we use.
_ENTRY: Final = re.compile(r"\d{4}-\d\d-\d\dT\S+ \S+ (?:mona-lisa[a-z-]*|systemd)\[\d+\]: .*")
_KERNEL: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\S+ \S+ kernel: (?:\[ *[\d.]+\] )?(?:Linux version|vc4|v3d|\[?drm|imx\d|ov\d|unicam"
    r"|rp1|pisp|bcm2835|mmc|EXT4-fs|overlayfs|hwmon|under-?voltage|voltage|out of memory|oom|memory:|cma"
    r"|thermal|watchdog|i2c|cec|hdmi).*",
    re.IGNORECASE,
)
_NUMBER: Final = r"-?[\d.]+(?:e[+-]?\d+)?"
PACK: Final = (
    r"(?:format|frames|resting) = \d+",
    r"(?:size|box) = \[[\d, ]+\]",
    rf"angles = \[(?:{_NUMBER}(?:, )?)+\]",
    r"source_sha256 = \"[0-9a-f]{64}\"",
    r"engine = \"(?:[a-z]+ )*\d+\"",
    rf"\[settings\]|(?:yaw|eyes|distance_mm|own_gaze|iris_radius_px) = {_NUMBER}",
)
OS_RELEASE: Final = (r"(?:PRETTY_NAME|NAME|VERSION_ID|VERSION|VERSION_CODENAME|ID)=\"?[\w .()/+-]{0,60}\"?",)
MODEL: Final = (r"[\w .()+-]{1,80}",)
CONFIG_TXT: Final = (
    r"\[[\w=-]+\]",
    r"(?:dtoverlay|dtparam)=[\w.,=+-]{0,60}",
    r"(?:camera_auto_detect|display_auto_detect|auto_initramfs|disable_\w+|max_framebuffers|arm_\w+|gpu_mem|hdmi_\w+"
    r"|over_voltage|usb_max_current_enable|otg_mode|kernel|boot_delay|framebuffer_\w+)(?::\d)?=[\w.-]{0,30}",
)
# Word by word.
CMDLINE: Final = (
    r"console=[a-z]+\d*(?:,\d+)?|root=(?:PARTUUID|UUID|LABEL)=\S+|root=/dev/\w+|rootfstype=\w+|fsck\.repair=\w+|rootwait"
    r"|quiet|splash|resize|ro|rw|loglevel=\d|logo\.nologo|vt\.global_cursor_default=\d|plymouth\.[\w.-]+|boot=overlay"
    r"|overlayroot=[\w:=]+|video=[\w:@,=-]+|vc4\.\w+=\d+|cma=\w+|cfg80211\.ieee80211_regdom=[A-Z]{2}|init=/[\w./-]+"
    r"|systemd\.unit=[\w.-]+",
)
PROPERTIES: Final = (r"[A-Z][A-Za-z]+=[\w ./:,%+-]*",)
METRICS: Final = (
    r"# (?:HELP|TYPE) mona_lisa_\w+ [\w .,`-]*",
    rf"mona_lisa_\w+(?:\{{state=\"[a-z]+\"\}})? (?:{_NUMBER}|nan)",
)
MEMORY: Final = (r" +total +used .*", r"(?:Mem|Swap):[\d ]+")
DISKS: Final = (r"Mounted on .*", r"/[\w/-]* +[a-z0-9]+( +[\d.,]+[KMGT]?){3} +[\d-]+%?")
KERNEL_VERSION: Final = (r"Linux [\w .:#()+~/-]+",)
PACKAGES: Final = (r"[a-z0-9.+:-]+\t[\w.+:~-]*",)
BOOTS: Final = (r" *-?\d+ [\w :+-]+",)
# What the service says of itself in words; its other texts may name people or places.
_STATUS_TEXTS: Final = frozenset({"state", "sentence", "cause", "fault", "version", "display", "config"})


def redact(text: str, names: Iterable[str] = ()) -> str:
    """Take out of a text every line beside which a secret may stand, and of the others addresses and `names`.

    After such a line all up to the next entry of the journal is taken out, and that entry: a value may take
    several lines.
    """
    known = [name for name in names if len(name) > 1]
    kept: list[str] = []
    doubtful = False
    for line in text.splitlines():
        follows = doubtful
        doubtful = _is_doubtful(line) or (follows and not _BEGINNING.match(line))
        if not (doubtful or follows):
            kept.append(_without_addresses(line, known))
        elif kept[-1:] != [LEFT_OUT]:
            kept.append(LEFT_OUT)
    return "\n".join(kept) + "\n" * text.endswith("\n")


def known_lines(text: str, patterns: Iterable[str], names: Iterable[str] = ()) -> str:
    """Keep of a text the lines that one of the patterns describes from end to end, redacted."""
    known = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    lines = [line for line in text.split("\n") if line.strip()]
    told = [_without_addresses(line, names) for line in lines if known.fullmatch(line)]
    kept = [line for line in told if line.startswith("source_sha256") or not _is_doubtful(line)]
    if len(lines) > len(kept):
        kept.append(LINES_LEFT_OUT % (len(lines) - len(kept)))
    return "".join(f"{line}\n" for line in kept)


def known_entries(text: str, kernel: bool, names: Iterable[str] = ()) -> str:
    """Keep of a journal the entries of our units, or of the kernel those about what we use, redacted."""
    known = _KERNEL if kernel else _ENTRY
    return redact("".join(f"{line}\n" for line in text.split("\n") if known.fullmatch(line)), names)


def known_config(text: str, names: Iterable[str] = ()) -> str:
    """Keep of our config the keys that are right, without comments."""
    import tomllib

    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError):
        return "not TOML\n"
    rows, wrong = [], 0
    for section, keys in tree.items():
        for key, value in keys.items() if isinstance(keys, dict) else [("", keys)]:
            said = json.dumps(value, default=str)
            if _is_right(section, key, said):
                rows.append(redact(f"{section}.{key} = {said}", names))
            else:
                wrong += 1
    if wrong:
        rows.append(f"({wrong} wrong or unknown keys left out)")
    return "".join(f"{row}\n" for row in rows)


def known_status(text: str, names: Iterable[str] = ()) -> str:
    """Keep of the status its figures, and the texts that say how the service is."""
    try:
        status = json.loads(text)
        return json.dumps(_figures(status if isinstance(status, dict) else {}, tuple(names)), indent=1) + "\n"
    except (ValueError, RecursionError):
        return "not JSON\n"


def _is_right(section: str, key: str, value: str) -> bool:
    if not re.fullmatch(r"\w+", section + key):
        return False
    try:
        parse_config(f"[{section}]\n{key} = {value}\n", "")
    except ConfigError:
        return False
    return True


def _figures(status: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for key, value in status.items():
        if _is_doubtful(key) or not re.fullmatch(r"[a-z0-9_]{1,40}", key):
            continue
        if isinstance(value, dict):
            told[key] = _figures(value, names)
        elif value is None or isinstance(value, int | float):
            told[key] = value
        elif isinstance(value, str) and key in _STATUS_TEXTS:
            told[key] = redact(value, names)
    return told


def _is_doubtful(line: str) -> bool:
    """Tell whether a line may hold a secret: by a word, or because it looks like one."""
    return len(line) > _LONGEST_LINE or bool(_WORDS.search(line)) or any(map(_is_random, _RUN.findall(line)))


def _is_random(run: str) -> bool:
    """Tell whether a run of letters and digits looks like base64 or hexadecimal, and not like words."""
    parts = re.split(r"[/_=+-]", run)
    if any(len(part) >= _PART and not part.isdigit() and any(map(str.isdigit, part)) for part in parts):
        return True
    kinds = (sum(map(kind, run)) for kind in (str.isdigit, str.isupper, str.islower))
    return len(run) >= _WHOLE and all(count >= 3 for count in kinds)


def _without_addresses(line: str, names: Iterable[str]) -> str:
    for pattern, instead in _REPLACED:
        line = pattern.sub(instead, line)
    for name in names:
        if len(name) > 1:
            line = re.sub(rf"\b{re.escape(name)}\b", "(name)", line)
    return line


# Takes a text and the names to be left out; returns what of it may leave the machine.
Known = Callable[[str, Iterable[str]], str]

_JOURNAL_SOCKETS: Final = Path("/run/systemd/journal")  # the folder of journald's sockets
# The groups whose members may read all of the log (journalctl(1)).
_READ_THE_LOG: Final = ("adm", "systemd-journal")
# Read of a file or a program's output, in bytes; 5000 lines of the journal are half a megabyte.
_MOST_BYTES: Final = 4_000_000
_PLACES: Final = "/ /boot/firmware /run /var/lib/mona-lisa /var/log/journal /srv/mona-lisa"
_PROPERTIES: Final = (
    "Id,ActiveState,SubState,Result,NRestarts,ExecMainStatus,ActiveEnterTimestamp,FragmentPath,DropInPaths,"
    "NeedDaemonReload,WatchdogUSec,MemoryCurrent,MemoryPeak,CPUUsageNSec,TasksCurrent"
)


def _lines(*patterns: str) -> Known:
    return lambda text, names: known_lines(text, patterns, names)


def _cmdline(text: str, names: Iterable[str]) -> str:
    return known_lines("\n".join(text.split()), CMDLINE, names)


def _boots(text: str, names: Iterable[str]) -> str:
    return known_lines(re.sub(r"(?m)^( *-?\d+ )[0-9a-f]{32} ", r"\1", text), BOOTS, names)


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
        _lines(*PROPERTIES),
    ),
    ("memory.txt", "free -m", _lines(*MEMORY)),
    ("disks.txt", f"df -h --output=target,fstype,size,used,avail,pcent {_PLACES}", _lines(*DISKS)),
    ("kernel-version.txt", "uname -srvm", _lines(*KERNEL_VERSION)),
    (
        "packages.txt",
        "dpkg-query -W python3* libcamera* libsdl2* mesa* linux-image* rpi* raspi*",
        _lines(*PACKAGES),
    ),
)
_FILES: Final[tuple[tuple[Path, Known], ...]] = (
    *((SYSTEM_FOLDER / name, known_config) for name in LAYERS),
    (Path("/etc/os-release"), _lines(*OS_RELEASE)),
    (
        Path("/proc/device-tree/model"),
        lambda text, names: known_lines(text.strip("\0"), MODEL, names),
    ),
    (Path("/boot/firmware/config.txt"), _lines(*CONFIG_TXT)),
    (Path("/boot/firmware/cmdline.txt"), _cmdline),
)


def check_log_readable(groups: Iterable[int] | None = None, journal: Path = _JOURNAL_SOCKETS) -> None:
    """Make sure that this user may read the log: journalctl otherwise prints nothing and exits 0.

    Raises
    ------
    NotPermitted
        If this is neither root nor a member of the groups that may, by their ids in `groups`.
    """
    if (os.geteuid() == 0 and groups is None) or not journal.exists():
        return
    ours = set(os.getgroups() if groups is None else groups)
    if not ours & {group.gr_gid for group in grp.getgrall() if group.gr_name in _READ_THE_LOG}:
        raise NotPermitted(
            f"the log may be read by root and the groups {' and '.join(_READ_THE_LOG)} only; run it with sudo"
        )


def write_bundle(path: Path, names: Iterable[str]) -> dict[str, int]:
    """Write the archive; returns the names of the files in it, and their sizes in bytes.

    `path` is that of the .tar.gz. `names`, of the host and of people, are left out. Raises `CannotWrite` if
    it cannot be written.
    """
    check_writable(path)
    known = tuple(names)
    buffer = io.BytesIO()
    packed = {}
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in _texts(known):
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"mona-lisa-logs/{name}")
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
            packed[name] = len(data)
    write_atomic(path, buffer.getvalue())
    return packed


def _texts(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield name and text of everything that goes in: nothing is taken but what is named here."""
    yield "doctor.txt", "".join(_findings(names))
    place = status.folder()
    yield status.STATUS, _read(place / status.STATUS, known_status, names)
    yield status.PROMETHEUS, _read(place / status.PROMETHEUS, _lines(*METRICS), names)
    yield IN_FORCE, _read(place / IN_FORCE, known_config, names)
    for file, known in _FILES:
        yield str(file).strip("/").replace("/", "_"), _read(file, known, names)
    yield "pack.toml", _read(current_folder() / "pack.toml", _lines(*PACK), names)
    for name, command, known in _COMMANDS:
        yield name, _said(command, known, names)


def _findings(names: tuple[str, ...]) -> Iterator[str]:
    for name, finding in examine():
        found = f"{finding.found}{'; ' * bool(finding.todo)}{finding.todo}"
        yield f"{finding.grade:5} {name}: {redact(printable_line(found), names)}\n"


def _read(path: Path, known: Known, names: Iterable[str]) -> str:
    try:
        return known(read_regular(path, _MOST_BYTES).decode("utf-8", "replace"), names)
    except OSError as error:
        return f"{path}: {error.strerror}\n"


def _said(command: str, known: Known, names: Iterable[str]) -> str:
    try:
        done = subprocess.run(command.split(), capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command}: {type(error).__name__}\n"
    return known(done.stdout[-_MOST_BYTES:], names)
