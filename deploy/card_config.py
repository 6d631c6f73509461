"""The settings on the card: mona-lisa.toml on the boot partition, checked and copied at boot.

It holds only what shall differ. The copy, card.toml beside config.toml, is a layer of the settings
(appliance/config.py) and goes over config.toml, which stays as it is. A wrong file changes nothing: the copy
of the last right one stays. When the file is taken off the card, its copy goes, too. What became of it is
said in the log and in mona-lisa.txt beside it, in which every subject has lines of its own.
"""

import argparse
import fcntl
import hashlib
import os
import sys
from pathlib import Path
from typing import Final

from appliance.config import CARD_FILE, config_folder, parse_layer
from appliance.errors import ApplianceError, ConfigError
from appliance.files import read_regular, write_atomic
from appliance.schema import MOST_BYTES
from appliance.terminal import printable_line

BOOT: Final = Path("/boot/firmware")
ANSWER: Final = "mona-lisa.txt"
# How the lines of mona-lisa.txt begin. Their writers: deploy/first-boot, this, deploy/card_portrait.py.
SUBJECTS: Final = ("first boot", "settings", "portrait")
APPLIED: Final = "{card}: applied; `mona-lisa config show` tells what is in force"
REFUSED: Final = "{fault}; nothing of it is applied, the settings stay as they were"
GONE: Final = "{card}: taken off the card; its settings no longer count"
# The file in which an earlier version kept the SHA-256 of the text that it had written into config.toml.
_MARK: Final = ".card-sha256"


def apply(card: Path, layer: Path) -> str | None:
    """Make the layer a copy of the card's settings; return what became of it, None if nothing changed.

    A text that an earlier version wrote into config.toml is not copied, because it is in force there already,
    and may have been changed over SSH since then.

    Raises
    ------
    ConfigError
        If the card's file is wrong; the layer stays.
    CannotWrite
        If the layer cannot be written.
    """
    if not card.exists():
        if not layer.exists():
            return None
        layer.unlink()
        return GONE.format(card=card)
    try:
        data = bytes(read_regular(card, MOST_BYTES))
    except OSError as error:
        raise ConfigError(f"{card}: cannot be read ({error.strerror})") from error
    text = _decoded(data, card)
    parse_layer(text, str(card))
    mark = layer.with_name(_MARK)
    if mark.exists() and mark.read_text("ascii", "replace").strip() == hashlib.sha256(data).hexdigest():
        return None
    if layer.exists() and layer.read_bytes() == text.encode():
        return None
    write_atomic(layer, text.encode())
    mark.unlink(missing_ok=True)
    return APPLIED.format(card=card)


def _decoded(data: bytes, card: Path) -> str:
    """Read text as editors on any laptop write it: with or without a byte-order mark, either line end."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{card}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def tell(boot: Path, subject: str, *lines: str) -> None:
    """Replace what mona-lisa.txt says about a subject; what it says about others stays.

    Where the card cannot be written, standard error says so.
    """
    answer = boot / ANSWER
    lock = os.open(boot, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # deploy/first-boot may write at the same time
        before = answer.read_text("utf-8", "replace") if answer.exists() else ""
        others = [
            line
            for line in before.splitlines()
            if line.startswith(tuple(f"{other}: " for other in SUBJECTS if other != subject))
        ]
        after = "".join(f"{line}\n" for line in (*others, *(f"{subject}: {line}" for line in lines)))
        # With a read-only root this is said at every boot; the card is written only when it is news.
        if after != before:
            write_atomic(answer, after.encode())
    except (ApplianceError, OSError) as error:
        fault = printable_line(error)
        print(f"{fault}: the card is full or write-protected; the line above is only here", file=sys.stderr)
    finally:
        os.close(lock)


def main() -> int:
    """Apply mona-lisa.toml and say so; exit 1 when it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--boot", type=Path, default=BOOT, metavar="FOLDER", help="the boot partition's folder"
    )
    arguments = parser.parse_args()
    card = arguments.boot / "mona-lisa.toml"
    code = 0
    try:
        told = apply(card, config_folder() / CARD_FILE)
    except (ApplianceError, OSError) as error:
        told, code = REFUSED.format(fault=printable_line(error)), 1
    if told is None:
        return 0
    print(told, file=sys.stderr)
    tell(arguments.boot, "settings", told)
    return code


if __name__ == "__main__":
    sys.exit(main())
