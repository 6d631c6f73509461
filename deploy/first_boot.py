"""Make a card provision itself at its next boot: one line in cloud-init's user-data, or in firstrun.sh.

Both may already be there, written by Raspberry Pi Imager (user, Wi-Fi); then they keep what they say.
cloud-init runs a command of user-data once per instance, so that a card which has booted before needs a
new instance-id as well. firstrun.sh is run by words on the kernel's command line, which it takes out again.
"""

import argparse
import os
import re
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

START = "mona-lisa-first-boot"
INSTANCE = f"mona-lisa-{uuid.uuid4()}"  # another one each time this runs
COMMAND = f"bash /boot/firmware/{START} --install"
ITEM = f"- [bash, /boot/firmware/{START}, --install]"
KERNEL = (
    "systemd.run=/boot/firmware/firstrun.sh",
    "systemd.run_success_action=reboot",
    "systemd.unit=kernel-command-line.target",
)
FIRSTRUN = f"""#!/bin/bash
set +e
{COMMAND}
rm -f /boot/firmware/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/firmware/cmdline.txt
exit 0
"""
AGAIN = "this card has booted before: {} runs again at the next boot"
# Words that the first boot takes out of cmdline.txt.
FRESH = {"resize", "init=/usr/lib/raspberrypi-sys-mods/firstboot"}
# Words of cmdline.txt with which nothing that the first boot writes lasts, or with which it does not run.
HINDRANCES = {
    r"overlayroot=|boot=overlay$": "the card's root is read-only; first deploy/readonly off, and boot once",
    r"cloud-init=disabled$": "cloud-init is switched off; take the word out",
}


class Unclear(ValueError):
    """A file on the card is of a form this cannot add to."""


def cloud_init(user_data: str) -> str:
    """Return user-data with our command among its `runcmd`; raises `Unclear` where that cannot be told."""
    if START in user_data:
        return user_data
    if not user_data.strip():
        user_data = "#cloud-config\n"
    if not user_data.startswith("#cloud-config"):
        raise Unclear("user-data: expected #cloud-config in its first line")
    lines = user_data.rstrip("\n").split("\n")
    heads = [i for i, line in enumerate(lines) if re.match(r"runcmd\s*:", line)]
    if not heads:
        return "\n".join([*lines, "runcmd:", ITEM]) + "\n"
    after = lines[heads[0] + 1 :]
    item = next((line for line in after if line.strip() and not line.lstrip().startswith("#")), "")
    shape = re.match(r"(\s*)- ", item)
    if not re.fullmatch(r"runcmd\s*:\s*(#.*)?", lines[heads[0]]) or shape is None:
        raise Unclear("user-data: runcmd is not a list of lines; add this line to it: " + ITEM)
    lines.insert(heads[0] + 1, shape[1] + ITEM)
    return "\n".join(lines) + "\n"


def without(user_data: str) -> str:
    """Return user-data as it was before `cloud_init`, up to an empty file's first line."""
    lines = [line for line in user_data.split("\n") if START not in line]
    for i, line in enumerate(lines):
        if re.fullmatch(r"runcmd\s*:\s*", line) and not re.match(r"\s*(- |#)", "".join(lines[i + 1 : i + 2])):
            del lines[i]
            break
    return "\n".join(lines)


def firstrun(script: str) -> str:
    """Return firstrun.sh with our command before it removes itself."""
    if not script.strip():
        return FIRSTRUN
    if START in script:
        return script
    lines = script.rstrip("\n").split("\n")
    ends = [i for i, line in enumerate(lines) if re.match(r"rm -f .*firstrun\.sh|exit 0", line)]
    lines.insert(ends[0] if ends else len(lines), COMMAND)
    return "\n".join(lines) + "\n"


def kernel(cmdline: str) -> str:
    """Return the kernel's command line such that it runs firstrun.sh once; raises `Unclear`."""
    words = _unhindered(cmdline)
    runs = next((word for word in words if word.startswith("systemd.run=")), None)
    if runs is None:
        return " ".join([*words, *KERNEL]) + "\n"
    if not runs.strip('"').endswith("/firstrun.sh"):
        raise Unclear(f"cmdline.txt: {runs}; expected firstrun.sh, or no systemd.run= at all")
    return " ".join(words) + "\n"


def new_instance(meta_data: str) -> str:
    """Return meta-data with an instance-id that cloud-init has not seen."""
    lines = [line for line in meta_data.splitlines() if not re.match(r"[\"']?instance-id\b", line)]
    return "\n".join([*lines, f"instance-id: {INSTANCE}"]) + "\n"


def named_instance(cmdline: str) -> str:
    """Return the kernel's command line with that instance-id if it names one; raises `Unclear`.

    Raspberry Pi Imager writes `ds=nocloud;i=rpi-imager-...`, which goes over the id in meta-data.
    """
    words = _unhindered(cmdline)
    return " ".join(re.sub(r"(?<=;)(i|instance-id)=[^;]*", f"i={INSTANCE}", word) for word in words) + "\n"


def _unhindered(cmdline: str) -> list[str]:
    words = cmdline.split()
    for word in words:
        for pattern, reason in HINDRANCES.items():
            if re.match(pattern, word):
                raise Unclear(f"cmdline.txt: {word}: {reason}")
    return words


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8") if path.exists() else ""
    except UnicodeDecodeError as error:
        raise Unclear(f"{path.name}: not UTF-8 text (byte {error.start})") from error


def main() -> int:
    """Put our command into the files of a mounted boot partition, or take it out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", choices=("bookworm", "trixie"))
    parser.add_argument("boot", type=Path)
    parser.add_argument("--check", action="store_true", help="only tell whether it can be done")
    parser.add_argument("--remove", action="store_true", help="take our command out of user-data again")
    arguments = parser.parse_args()
    edits: dict[str, Callable[[str], str]] = {"user-data": cloud_init, "meta-data": new_instance}
    edits["cmdline.txt"] = named_instance
    if arguments.release == "bookworm":
        edits = {"firstrun.sh": firstrun, "cmdline.txt": kernel}
    if arguments.remove:
        edits = {"user-data": without}
    try:
        texts = {arguments.boot / name: edit(_text(arguments.boot / name)) for name, edit in edits.items()}
        if arguments.check and FRESH.isdisjoint(_text(arguments.boot / "cmdline.txt").split()):
            print(AGAIN.format("cloud-init" if arguments.release == "trixie" else "firstrun.sh"))
        for path, text in texts.items():
            if arguments.check or _text(path) == text:
                continue
            new = path.with_name(path.name + ".mona-lisa-new")
            new.write_text(text, "utf-8")
            if path.name == "firstrun.sh" and not os.access(new, os.X_OK):
                new.chmod(0o755)  # on FAT everything is executable already
            new.replace(path)
    except (Unclear, OSError) as error:
        print(f"write-card: {error}; nothing of it is changed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
