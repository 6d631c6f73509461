"""The config from the card: mona-lisa.toml on the boot partition, checked and applied at boot.

It holds only what shall differ; its keys go over those of config.toml. It is applied once for every
change of it, so that what was set over SSH since then (`mona-lisa calibrate`) stays. What became of
it is said in the log and in mona-lisa.txt beside it.
"""

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Final

from appliance.config import SYSTEM_CONFIG, dump_config, load_config, parse_config
from appliance.errors import ApplianceError, ConfigError
from appliance.files import read_regular, write_atomic
from appliance.schema import MOST_BYTES, parse_toml, toml_value
from appliance.terminal import printable_line

BOOT: Final = Path("/boot/firmware")
APPLIED: Final = "{card}: applied; `mona-lisa config show` tells what is in force"
REFUSED: Final = "{fault}; nothing of it is applied, the config stays as it was"
HEAD: Final = "# Every setting in force, after mona-lisa.toml of the card was applied.\n\n"


def merged(card: str, name: str, config: Path) -> str:
    """Return the config with the card's keys over it, as TOML.

    Raises
    ------
    ConfigError
        If the card's text, or the config it goes over, holds anything wrong: names file, line, key,
        value and what was expected.
    """
    parse_config(card, name)
    keys = parse_toml(dump_config(load_config(config) if config.exists() else parse_config("", "")))
    for section, values in parse_toml(card).items():
        keys[section].update(values)
    text = "\n\n".join(
        "\n".join(
            [
                f"[{section}]",
                *(f"{key} = {toml_value(value)}" for key, value in values.items()),
            ]
        )
        for section, values in keys.items()
    )
    return HEAD + dump_config(parse_config(text, name))


def apply(card: Path, config: Path, mark: Path) -> str | None:
    """Apply the card's config if it changed since it was last looked at; return what became of it.

    None when there is none, or nothing changed. `mark` remembers the hash of the text last looked at.

    Raises
    ------
    ConfigError
        If it is wrong; the old config stays.
    CannotWrite
        If the config cannot be written.
    """
    if not card.exists():
        return None
    try:
        data = bytes(read_regular(card, MOST_BYTES))
    except OSError as error:
        raise ConfigError(f"{card}: cannot be read ({error.strerror})") from error
    seen = hashlib.sha256(data).hexdigest()
    if mark.exists() and mark.read_text("ascii", "replace").strip() == seen:
        return None
    try:
        text = merged(_decoded(data, card), str(card), config)
    except ConfigError:
        write_atomic(mark, b"refused\n")
        raise
    if config.exists():
        write_atomic(config.with_name(config.name + ".old"), config.read_bytes())
    write_atomic(config, text.encode())
    write_atomic(mark, f"{seen}\n".encode())
    return APPLIED.format(card=card)


def _decoded(data: bytes, card: Path) -> str:
    """Read text as editors on any laptop write it: with or without a byte-order mark, either line end."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{card}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def main() -> int:
    """Apply mona-lisa.toml and say so; exit 1 when it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boot", type=Path, default=BOOT, metavar="DIR", help="the boot partition's folder")
    parser.add_argument("--config", type=Path, default=SYSTEM_CONFIG, metavar="F")
    arguments = parser.parse_args()
    card = arguments.boot / "mona-lisa.toml"
    code = 0
    try:
        told = apply(card, arguments.config, arguments.config.with_name(".card-sha256"))
    except (ApplianceError, OSError) as error:
        told, code = REFUSED.format(fault=printable_line(error)), 1
    if told is None:
        return 0
    print(told, file=sys.stderr)
    answer, text = arguments.boot / "mona-lisa.txt", (told + "\n").encode()
    try:
        # With a read-only root this is said at every boot; the card is written only when it is news.
        if not answer.exists() or answer.read_bytes() != text:
            write_atomic(answer, text)
    except (ApplianceError, OSError) as error:
        print(
            f"{printable_line(error)}: the card is full or write-protected; the line above is only here",
            file=sys.stderr,
        )
    return code


if __name__ == "__main__":
    sys.exit(main())
