"""The portrait on the card: a picture portrait.* on the boot partition, rendered and hung after the start.

It is taken up once: which picture, with which portrait.toml, is written down beside the portraits. Root sees
names only, and writes what became of it into mona-lisa.txt. A process of the service's user reads, renders
and hangs the picture. With a read-only root the finished portrait is kept on the boot partition, because the
next boot would have to render it again.
"""

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple

from appliance.config import load_config
from appliance.errors import ApplianceError, BadImage, ConfigError, UnfitPortrait
from appliance.files import new_folder, read_regular, sha256_of, sync_to_disk, write_atomic
from appliance.library import CARD_RECORD, CardState, hang_portrait, library_folder, portrait_folder
from appliance.schema import MOST_BYTES, CheckedTable, Predicate, parse_config_text, read_config_text
from appliance.terminal import escape_unprintable, print_step, printable_line
from deploy.card_config import BOOT, tell

USER: Final = "mona-lisa"
# The portrait's name in the library; the next picture from the card takes its place.
NAME: Final = "portrait"
CREDITS: Final = "portrait.toml"
# On the boot partition, with a read-only root: the record and the portrait it tells of.
KEPT: Final = "mona-lisa-portrait.tar"
# The worker's exit codes: it has taken up the picture, which hangs or was refused; and it said why not.
TAKEN_UP: Final = 10
TRY_AGAIN: Final = 75  # sysexits' EX_TEMPFAIL
# Longest title or artist, in characters, as for the options of the command line.
_LONGEST_LABEL: Final = 300
# Largest file of a portrait that is kept, in bytes: more than a base of 16 million pixels, uncompressed.
_LARGEST_PART: Final = 64_000_000

SEVERAL: Final = "{found}: none of them is taken up; leave one on the card"
RENDERING: Final = "{picture} is being rendered (minutes on a Pi); the present portrait hangs meanwhile"
HANGS: Final = "{title} hangs ({picture}, rendered in {seconds:.0f} s); {verdict}"
REFUSED: Final = "{picture} does not hang, the present portrait stays: {fault}"
FAILED: Final = "{picture} does not hang yet: {fault}; it is tried again at the next boot"
ENDED: Final = "its rendering was cut off (exit code {code})"
NOT_KEPT: Final = "the boot partition has no room for it ({fault}): it is rendered again at every boot"


class Credits(NamedTuple):
    """What portrait.toml says of the picture."""

    title: str | None
    artist: str
    face: int | Literal["all"] | None


def pictures(boot: Path) -> list[str]:
    """Return the names of the pictures on the card; upper and lower case are the same there."""
    names = [path.name for path in boot.iterdir() if path.is_file()]
    # Not portrait.toml.txt, as some editors call it, nor what a write-card that was cut off left.
    others = (CREDITS, f"{CREDITS}.txt", f"{CREDITS}~", f"{CREDITS}.new")
    found = [name for name in names if name.lower().startswith("portrait.") and name.lower() not in others]
    return sorted(name for name in found if not name.endswith(".mona-lisa-new"))


def read_credits(path: Path) -> Credits:
    """Read portrait.toml; nothing is known if it is not there. Raises `ConfigError`."""
    values = parse_config_text(read_config_text(path), path.name) if path.exists() else {}
    table = CheckedTable(values, lambda _: f"{path.name}: ", ConfigError)
    table.check_keys(Credits._fields)
    label = Predicate(_is_label, f"a line of 1 to {_LONGEST_LABEL} characters")
    face = values.get("face")
    if not (face is None or face == "all" or (type(face) is int and 1 <= face <= 99)):
        raise table.refusal("face", 'expected a number from 1 to 99, or "all"')
    title = table.get("title", str, label).strip() if "title" in values else None
    return Credits(title, table.get("artist", str, label, "unknown").strip(), face)


def _is_label(text: str) -> bool:
    return bool(text.strip()) and len(text) <= _LONGEST_LABEL and escape_unprintable(text) == text


def key_of(boot: Path, picture: str) -> str:
    """Return what tells a picture and its portrait.toml from others; raises OSError."""
    about = boot / CREDITS
    text = read_regular(about, MOST_BYTES) if about.exists() else b""
    return hashlib.sha256(sha256_of(boot / picture).encode() + text).hexdigest()


def work(boot: Path, picture: str | None) -> int:
    """Take up a picture as the service's user; print one line for each thing that mona-lisa.txt shall say.

    Returns `TAKEN_UP`, 0 if there was nothing to do, or `TRY_AGAIN`.
    """
    record = library_folder() / CARD_RECORD
    if picture is None:
        record.unlink(missing_ok=True)
        return 0
    try:
        key = key_of(boot, picture)
        if _known(record).get("key") == key:
            return 0
        if told := _take_from_card(boot / KEPT, key):
            print(told)
            return 0
        _note("", "rendering", RENDERING.format(picture=picture))
        state, told = _take_up(boot, picture)
        _note(key, state, told)
    except (ApplianceError, OSError) as error:
        told = FAILED.format(picture=picture, fault=_in_words(error, boot / picture))
        print(printable_line(told))
        with suppress(ApplianceError, OSError):  # which may be the fault
            _write_record("", "failed", told)
        return TRY_AGAIN
    return TAKEN_UP


def _take_up(boot: Path, picture: str) -> tuple[CardState, str]:
    """Render and hang a picture; return what became of it, unless that is to be tried again."""
    from appliance.portrait.painting_to_pack import render
    from appliance.portrait.verdict import VERDICT_WORDS, Verdict

    began, words = time.monotonic(), ""

    def judge(verdict: Verdict) -> None:
        nonlocal words
        reasons = "; ".join((*verdict.reasons, *verdict.remarks))
        words = f"verdict: {VERDICT_WORDS[verdict.kind]}" + (f": {reasons}" if reasons else "")
        if verdict.kind == "another":
            raise UnfitPortrait(words)

    display = load_config().display
    try:
        title, artist, face = read_credits(boot / CREDITS)
        render(
            boot / picture,
            portrait_folder(NAME),
            size=(display.width, display.height),
            say=print_step,
            title=title,
            artist=artist,
            choose=face,
            tell=judge,
        )
    except MemoryError:
        return "refused", REFUSED.format(picture=picture, fault="it takes too much memory; use a smaller one")
    except (BadImage, UnfitPortrait, ConfigError) as error:
        return "refused", REFUSED.format(picture=picture, fault=_in_words(error, boot / picture))
    title = hang_portrait(NAME).info.title
    seconds = time.monotonic() - began
    return "hangs", HANGS.format(title=title, picture=picture, seconds=seconds, verdict=words)


def _in_words(error: Exception, picture: Path) -> str:
    """Return an error as somebody can act on it who has nothing but the card."""
    text = str(error) if isinstance(error, ApplianceError) else str(getattr(error, "strerror", error))
    text = re.sub(r"; \S+-faces\.png shows the numbers$", "", text).removeprefix(f"{picture}: ")
    text = text.replace("--face all", f'face = "all" in {CREDITS}')
    return text.replace("--face N", f"face = N in {CREDITS}")


def _known(record: Path) -> dict[str, Any]:
    """Return the record of what was taken up last, empty if there is none that can be read."""
    with suppress(OSError, ValueError):
        known = json.loads(read_regular(record, MOST_BYTES))
        if isinstance(known, dict):
            return known
    return {}


def _note(key: str, state: CardState, told: str) -> None:
    """Write down what became of a picture, and print it for root to put it on the card."""
    _write_record(key, state, told)
    print(printable_line(told), flush=True)


def _write_record(key: str, state: CardState, told: str) -> None:
    written = json.dumps({"key": key, "state": state, "told": printable_line(told)})
    write_atomic(library_folder() / CARD_RECORD, written.encode())


def give(out: IO[bytes]) -> None:
    """Write the record, and the portrait if it hangs, as a tar archive."""
    record = library_folder() / CARD_RECORD
    with tarfile.open(fileobj=out, mode="w|") as archive:
        archive.add(record, CARD_RECORD)
        if _known(record).get("state") == "hangs":
            for path in sorted(portrait_folder(NAME).iterdir()):
                archive.add(path, f"{NAME}/{path.name}", recursive=False)


def _take_from_card(kept: Path, key: str) -> str | None:
    """Hang what was kept of the same picture; return what was told of it, None if there is none."""
    with (
        suppress(OSError, ApplianceError, ValueError, LookupError, tarfile.TarError, StopIteration),
        kept.open("rb") as file,
    ):
        with tarfile.open(fileobj=file, mode="r|") as archive:
            files = _files(archive)
            name, data = next(files)
            known = json.loads(data)
            if name != CARD_RECORD or known["key"] != key:
                return None
            if known["state"] == "hangs":
                with new_folder(portrait_folder(NAME)) as folder:
                    for name, data in files:
                        (folder / name).write_bytes(data)
                hang_portrait(NAME)
        write_atomic(library_folder() / CARD_RECORD, json.dumps(known).encode())
        return printable_line(known["told"])
    return None


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Yield the last part of each regular file's name, and its content: nothing else is unpacked."""
    for member in archive:
        if member.isreg() and member.size <= _LARGEST_PART:
            content = archive.extractfile(member) or io.BytesIO()
            yield Path(member.name).name, content.read()


def run(boot: Path, user: str | None, proc: Path = Path("/proc")) -> int:
    """Let a user (none: the present one) take up the picture; write what became of it onto the card."""
    from appliance.service.calibration import lost_at_next_boot

    found, kept = pictures(boot), boot / KEPT
    if len(found) > 1:
        _say(boot, SEVERAL.format(found=", ".join(found)))
        return 1
    told: list[str] = []
    with _worker(boot, user, *found) as worker:
        for line in worker.stdout or ():
            told = [line.decode("utf-8", "replace").rstrip("\n")]
            _say(boot, *told)
    if found and worker.returncode not in (0, TRY_AGAIN, TAKEN_UP):
        _say(boot, FAILED.format(picture=found[0], fault=ENDED.format(code=worker.returncode)))
    if not found:
        tell(boot, "portrait")
    if not found or not lost_at_next_boot(library_folder(), proc):
        with suppress(OSError):  # a read-only card
            kept.unlink(missing_ok=True)
    elif worker.returncode == TAKEN_UP and (fault := _keep(boot, user)):
        _say(boot, *told, NOT_KEPT.format(fault=fault))
    return int(worker.returncode not in (0, TAKEN_UP))


def _say(boot: Path, *lines: str) -> None:
    lines = tuple(printable_line(line) for line in lines)
    print(lines[-1], file=sys.stderr, flush=True)
    tell(boot, "portrait", *lines)


def _keep(boot: Path, user: str | None) -> str:
    """Keep the record and the portrait on the boot partition; return why not, empty if that went well."""
    kept, new = boot / KEPT, boot / f"{KEPT}.new"
    try:
        with new.open("wb") as file, _worker(boot, user, "--give", out=file) as worker:
            pass
        if worker.returncode:
            raise OSError(None, f"exit code {worker.returncode}")
        sync_to_disk(new)
        new.replace(kept)
        sync_to_disk(boot)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        return str(error.strerror)
    return ""


@contextmanager
def _worker(
    boot: Path, user: str | None, *words: str, out: IO[bytes] | int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Start this program again as a user; it has ended when the block ends."""
    command = [sys.executable, "-m", "deploy.card_portrait", "--boot", str(boot), "--worker", *words]
    other: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, umask=0o022, **other) as worker:
        yield worker


def main() -> int:
    """Take up the picture on the card; exit 1 if that was not possible and is to be tried again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boot", type=Path, default=BOOT, metavar="FOLDER", help="the boot partition")
    parser.add_argument("--worker", action="store_true", help="the part that the service's user does")
    parser.add_argument(
        "--give", action="store_true", help="with --worker: write the portrait to standard output"
    )
    parser.add_argument("picture", nargs="?", help="with --worker: the picture's name")
    arguments = parser.parse_args()
    if not arguments.worker:
        return run(arguments.boot, USER if os.geteuid() == 0 else None)
    if arguments.give:
        give(sys.stdout.buffer)
        return 0
    return work(arguments.boot, arguments.picture)


if __name__ == "__main__":
    sys.exit(main())
