"""The parts of deploy/image that need more than a shell: an image's partitions, and the manifest for Imager.

Standard library only: deploy/image runs it with the system's Python.
"""

import argparse
import hashlib
import json
import struct
import sys
import time
from pathlib import Path

SECTOR = 512
# Types of a partition that the Pi's firmware boots from (FAT12, FAT16, FAT32), and of the root.
FAT_TYPES = {0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E}
LINUX_TYPE = 0x83
EXT4_MAGIC = 0xEF53
# A flag of ext4: the journal holds changes that are not in their places yet.
NEEDS_RECOVERY = 0x4
# Imager's names of the Pis that the appliance runs on, and what Imager shows them as.
DEVICES = {"pi5-64bit": "Raspberry Pi 5", "pi4-64bit": "Raspberry Pi 4"}


class Unfit(ValueError):
    """The file is no image of a Raspberry Pi's card."""


def layout(card: Path) -> tuple[int, int, int]:
    """Return where boot partition and root begin, in bytes, and when the image was made, in Unix time.

    Raises
    ------
    Unfit
        If there is no partition table, no FAT partition, or no ext4 partition that was unmounted cleanly.
    """
    size = card.stat().st_size
    with card.open("rb") as file:
        if _marked(table := file.read(SECTOR)):
            entries = [table[446 + 16 * i : 462 + 16 * i] for i in range(4)]
        else:
            raise Unfit("not an image of a card: no partition table in its first sector")
        places = {entry[4]: struct.unpack("<2I", entry[8:]) for entry in reversed(entries)}
        boot = next((places[kind] for kind in sorted(FAT_TYPES & places.keys())), None)
        root = places.get(LINUX_TYPE)
        if boot is None or root is None:
            raise Unfit(f"no {'FAT' if boot is None else 'Linux'} partition in its partition table")
        if (needed := SECTOR * max(sum(boot), sum(root))) > size:
            raise Unfit(f"{size} bytes, but its partitions end at {needed}; download it again")
        file.seek(SECTOR * boot[0])
        if not _marked(file.read(SECTOR)):
            raise Unfit("its boot partition holds no FAT file system")
        file.seek(SECTOR * root[0] + 1024)
        block = file.read(1024)
    (written,) = struct.unpack_from("<I", block, 0x30)
    (magic,) = struct.unpack_from("<H", block, 0x38)
    (needs,) = struct.unpack_from("<I", block, 0x60)
    if magic != EXT4_MAGIC:
        raise Unfit("its root partition holds no ext4 file system")
    if needs & NEEDS_RECOVERY:
        raise Unfit("its root was not unmounted cleanly; take the image as downloaded")
    return SECTOR * boot[0], SECTOR * root[0], written


def _marked(sector: bytes) -> bool:
    return len(sector) == SECTOR and sector[510:] == b"\x55\xaa"


def manifest(card: Path, file: Path, release: str, init_format: str, made: int, url: str) -> str:
    """Return the text of a repository with one image, as Raspberry Pi Imager reads it.

    Parameters
    ----------
    card : the image
    file : what Imager gets: the image, compressed or not
    release : bookworm or trixie
    init_format : how Imager hands over user and Wi-Fi, in its own words: systemd or cloudinit-rpi
    made : when the image was made, in Unix time
    url : where Imager finds the file
    """
    devices = [
        {"name": name, "tags": [tag], "description": name, "matching_type": "exclusive", "capabilities": []}
        for tag, name in DEVICES.items()
    ]
    entry = {
        "name": "The framed screen",
        "description": f"Becomes a portrait whose eyes follow the visitor ({release}, 64-bit)",
        "icon": "icons/use_custom.png",  # one that Imager has; without any its schema refuses the entry
        "url": url,
        "extract_size": card.stat().st_size,
        "extract_sha256": digest(card),
        "image_download_size": file.stat().st_size,
        "image_download_sha256": digest(file),
        "release_date": time.strftime("%Y-%m-%d", time.gmtime(made)),
        "init_format": init_format,
        "devices": list(DEVICES),
    }
    return json.dumps({"imager": {"devices": devices}, "os_list": [entry]}, indent=2) + "\n"


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()


def main() -> int:
    """Print an image's layout, or a manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("layout").add_argument("card", type=Path)
    describe = commands.add_parser("manifest")
    for name, kind in (("card", Path), ("file", Path), ("release", str), ("init_format", str), ("made", int)):
        describe.add_argument(name, type=kind)
    describe.add_argument("url", help="or a path")
    words = vars(parser.parse_args())
    if words.pop("command") == "layout":
        try:
            print(*layout(**words))
        except (Unfit, OSError) as error:
            print(error)
            return 1
        return 0
    if "://" not in words["url"]:
        words["url"] = Path(words["url"]).resolve().as_uri()
    print(manifest(**words), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
