"""A quiet boot, and a shutdown button: options for a Raspberry Pi's cmdline.txt and config.txt.

What was added is kept in a record, so that only that is taken out again. Standard library only: this runs
before the appliance is there, and after it is gone.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

# No kernel messages, no raspberries, no cursor on the panel, and no splash screen, which would hold the
# display. The watchdog stays as the system sets it.
ADDED = ("quiet", "loglevel=3", "logo.nologo", "vt.global_cursor_default=0")
REPLACED = {"console=tty1": "console=tty3", "splash": "plymouth.enable=0"}
BEGIN, END = "# mona-lisa begin", "# mona-lisa end"
BLOCK = f"{BEGIN}\n[all]\n# No rainbow before the portrait.\ndisable_splash=1\n{END}\n"
# The kernel takes a contact between this GPIO and ground for a power key; systemd-logind then switches off.
BUTTON = "dtoverlay=gpio-shutdown,gpio_pin="
NO_BUTTON = "none"
RECORD = Path("/opt/mona-lisa/record/boot-options.json")

Undo = dict[str, list[str]]


def quieten(cmdline: str) -> tuple[str, Undo]:
    """Return the kernel's command line with our options, and what undoes it."""
    words = cmdline.split()
    undo: Undo = {"added": [], "replaced": []}
    for old, new in REPLACED.items():
        if old in words and new not in words:
            words[words.index(old)] = new
            undo["replaced"].append(old)
    for option in ADDED:
        key = option.partition("=")[0]
        if not any(word.partition("=")[0] == key for word in words):
            words.append(option)
            undo["added"].append(option)
    return " ".join(words) + "\n", undo


def unquieten(cmdline: str, undo: Undo) -> str:
    """Return the command line without what `undo` says was added."""
    back = {REPLACED[old]: old for old in undo["replaced"]}
    words = [back.get(word, word) for word in cmdline.split() if word not in undo["added"]]
    return " ".join(words) + "\n"


def with_block(config: str, button: str | None = None) -> str:
    """Return config.txt with our block at its end.

    Parameters
    ----------
    button : the GPIO number of the shutdown button, or `NO_BUTTON`; None leaves it as it is
    """
    rest = without_block(config)
    pin = button or button_of(config)
    block = BLOCK if pin == NO_BUTTON else BLOCK.replace(f"{END}\n", f"{BUTTON}{pin}\n{END}\n")
    return rest + ("" if not rest or rest.endswith("\n") else "\n") + block


def button_of(config: str) -> str:
    """Return the GPIO number of the shutdown button in our block, or `NO_BUTTON`."""
    block = config.partition(BEGIN)[2].partition(END)[0]
    found = re.search(rf"^{BUTTON}(\d+)", block, re.MULTILINE)
    return found[1] if found else NO_BUTTON


def without_block(config: str) -> str:
    """Return config.txt without our block."""
    if BEGIN not in config or END not in config:
        return config
    before, rest = config.split(BEGIN, 1)
    return before + rest.split(END, 1)[1].removeprefix("\n")


def read(path: Path) -> str:
    """Read a file that any laptop's editor may have written; `write` gives the same bytes again."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def write(path: Path, text: str) -> None:
    """Write a file so that a power cut leaves the old one or the new one."""
    new = path.with_name(path.name + ".mona-lisa-new")
    with new.open("wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def main() -> int:
    """Check (exit 0: nothing to do), add or remove the options in a boot partition's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--check", "--add", "--remove"):
        parser.add_argument(name, type=Path, metavar="FOLDER")
    parser.add_argument("--button", metavar="GPIO", help="of the shutdown button, or none")
    parser.add_argument("--record", type=Path, default=RECORD)
    arguments = parser.parse_args()
    boot = arguments.check or arguments.add or arguments.remove
    if boot is None:
        parser.error("expected --check, --add or --remove")
    cmdline, config = boot / "cmdline.txt", boot / "config.txt"
    old_cmdline = read(cmdline)
    old_config = read(config) if config.exists() else ""
    known: Undo = {"added": [], "replaced": []}
    if arguments.record.exists():
        try:
            known = json.loads(arguments.record.read_text("utf-8"))
        except ValueError:
            sys.exit(f"boot options: {arguments.record}: damaged (not JSON)")
    new_cmdline, undo = quieten(old_cmdline)
    new_config = with_block(old_config, arguments.button)
    if arguments.remove:
        new_cmdline, new_config = unquieten(old_cmdline, known), without_block(old_config)
    changed = (new_cmdline.split(), new_config) != (old_cmdline.split(), old_config)
    if arguments.check:
        return int(changed)
    if not changed:
        return 0
    if arguments.add:  # the record first: what it holds too much does no harm
        arguments.record.parent.mkdir(parents=True, exist_ok=True)
        write(arguments.record, json.dumps({key: sorted({*known[key], *undo[key]}) for key in known}))
    write(config, new_config)
    write(cmdline, new_cmdline)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"boot options: {error.filename}: {error.strerror}")
