"""Packs with one to three faults each, whose checksums are right: PNG chunks, pack.toml, whole files."""

import json
import os
import random
import shutil
import struct
import tomllib
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

Chunks = list[tuple[bytes, bytes]]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Kinds that decoders look into, and one that nobody knows.
BESIDE = [
    b"tRNS", b"PLTE", b"iCCP", b"zTXt", b"tEXt", b"iTXt", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME",
    b"eXIf", b"bKGD", b"sBIT", b"hIST", b"sPLT", b"acTL", b"fcTL", b"fdAT", b"CgBI", b"xxXx", b"QQQQ",
]  # fmt: skip
BOMB = 40_000_000  # bytes of a picture's pixels, thousands of times too many
NUMBERS = [0, 1, 2, 3, 7, 8, 16, 89, 91, 255, 4096, 7680, 9400, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
VALUES: list[Any] = [
    *NUMBERS, -1, 0.5, 1e308, True, "", "a", "\x00", "\u202e", "x" * 2000, [], [1], [[]], {}, {"a": 1},
    [0, 0, 1, 1], [1, 1], [90, 160], [9400, 9500], [7680, 7680], [1, 7680], [7680, 1], [0] * 9, [-1.5] * 9,
    list(range(999)), 10**400,
]  # fmt: skip


def chunks_of(data: bytes) -> Chunks:
    """Take a PNG apart."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def png_of(chunks: Chunks) -> bytes:
    """Put a PNG together; every checksum is right."""
    rows = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks)  # fmt: skip
    return SIGNATURE + b"".join(rows)


def flipped(rng: random.Random, data: bytes) -> bytes:
    """Change some bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 20])):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


@cache
def zeros(length: int, level: int) -> bytes:
    """Return so many zeros, packed."""
    return zlib.compress(bytes(length), level)


def _any(rng: random.Random, chunks: Chunks) -> int:
    return rng.randrange(len(chunks))


def drop(rng: random.Random, chunks: Chunks) -> None:
    del chunks[_any(rng, chunks)]


def drop_pixels(rng: random.Random, chunks: Chunks) -> None:
    chunks[:] = [chunk for chunk in chunks if chunk[0] != b"IDAT"]


def double(rng: random.Random, chunks: Chunks) -> None:
    chunks.insert(_any(rng, chunks), rng.choice(chunks))


def swap(rng: random.Random, chunks: Chunks) -> None:
    one, other = _any(rng, chunks), _any(rng, chunks)
    chunks[one], chunks[other] = chunks[other], chunks[one]


def change(rng: random.Random, chunks: Chunks) -> None:
    at = _any(rng, chunks)
    chunks[at] = chunks[at][0], flipped(rng, chunks[at][1])


def shorten(rng: random.Random, chunks: Chunks) -> None:
    at = _any(rng, chunks)
    kind, data = chunks[at]
    chunks[at] = kind, data[: rng.randrange(len(data) + 1)]


def header(rng: random.Random, chunks: Chunks) -> None:
    kind, data = chunks[0]
    fields = list(struct.unpack(">IIBBBBB", data)) if len(data) == 13 else [90, 160, 8, 2, 0, 0, 0]
    at = rng.randrange(7)
    fields[at] = rng.choice(NUMBERS) if at < 2 else rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
    chunks[0] = kind, struct.pack(">IIBBBBB", *fields)


def beside(rng: random.Random, chunks: Chunks) -> None:
    bomb = zeros(rng.choice([10_000, 30_000_000]), 9)
    data = rng.choice(
        [b"", b"\0", rng.randbytes(rng.randrange(300)), b"k\0\0" + bomb, b"k\0\1\0\0\0" + bomb, bomb]
    )
    for _ in range(rng.choice([1, 1, 1, 40])):
        chunks.insert(rng.randrange(len(chunks) + 1), (rng.choice(BESIDE), data))


def pixels(rng: random.Random, chunks: Chunks) -> None:
    """Change what IDAT holds, packed rightly: filters, too little, too much, another window, nothing."""
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    try:
        rows = zlib.decompress(packed)
    except zlib.error:
        return
    rows = rng.choice([
        flipped(rng, rows), rows[: rng.randrange(len(rows) + 1)], rows + rng.randbytes(5000), b"",
        bytes([rng.randrange(256)]) * len(rows), bytes(BOMB),
    ])  # fmt: skip
    level = rng.choice([0, 1, 9])
    packed = zlib.compress(rows, level) if len(rows) < BOMB else zeros(BOMB, level)
    step = rng.choice([len(packed) + 1, 1 + len(packed) // 7, 1 + len(packed) // 3000])
    parts = [(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step)]
    parts += [(b"IDAT", b"")] * rng.choice([0, 0, 1, 2000])
    rest = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    chunks[:] = rest[:1] + parts + rest[1:]


def deep(rng: random.Random, chunks: Chunks) -> None:
    kind, data = chunks[0]
    bits, colours = rng.choice([(16, 2), (8, 3), (8, 6), (16, 6), (1, 0), (16, 0), (8, 4), (2, 3)])
    if len(data) == 13:
        chunks[0] = kind, data[:8] + bytes([bits, colours]) + data[10:]


CHUNKWISE: list[Callable[[random.Random, Chunks], None]] = [
    drop, drop_pixels, double, swap, change, shorten, header, beside, beside, pixels, pixels, deep,
]  # fmt: skip


def whole_file(rng: random.Random, path: Path) -> None:
    """Put something else in a file's place, or lengths that lie."""
    data = path.read_bytes()
    path.unlink()
    match rng.randrange(9):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to(
                rng.choice(["/dev/zero", "/dev/full", "nowhere", path.name, "/", "/proc/self/mem"])
            )
        case 3:
            path.write_bytes(data[: rng.randrange(len(data) + 1)])
        case 4:
            with path.open("wb") as file:
                file.write(data)
                file.truncate(1 << 40)
        case 5:
            path.write_bytes(data + rng.randbytes(500))
        case 6:
            path.write_bytes(
                rng.choice([b"GIF89a", b"BM", b"\xff\xd8\xff\xe0", b"%!PS-Adobe", b"II*\0"]) + data
            )
        case 7:
            at = rng.randrange(8, len(data) - 4)
            path.write_bytes(data[:at] + struct.pack(">I", rng.choice(NUMBERS)) + data[at + 4 :])
        case 8:
            return  # it is missing


def picture(rng: random.Random, path: Path) -> None:
    """Mutate a PNG chunk by chunk."""
    chunks = chunks_of(path.read_bytes())
    for _ in range(rng.choice([1, 1, 2, 3])):
        if chunks:
            rng.choice(CHUNKWISE)(rng, chunks)
    path.write_bytes(png_of(chunks))


def toml(rng: random.Random, path: Path) -> None:
    """Change values, keys, sizes that fit the pictures, or the text itself."""
    text = path.read_text()
    match rng.randrange(4):
        case 0 | 1:
            tree = tomllib.loads(text)
            place = rng.choice([tree, tree, tree["settings"], *tree["sitters"]])
            key = rng.choice([*place, "title\u001b[2J", "x" * 300])
            place[key] = rng.choice(VALUES)
            settings = tree.pop("settings")
            rows = [f"{_toml(k)} = {_toml(v)}" for k, v in tree.items()]
            if isinstance(settings, dict):
                rows += ["[settings]", *(f"{_toml(k)} = {_toml(v)}" for k, v in settings.items())]
            text = "\n".join(rows) + "\n"
        case 2:
            depth = rng.choice([10, 500, 5000, 20_000])
            text += rng.choice([
                "a = " + "[" * depth + "]" * depth, "a = " + "{a=" * depth + "1" + "}" * depth,
                "[" + "a." * depth + "a]", "a." * depth + "a = 1", "a = " + "9" * depth, "a = 0x" + "f" * depth,
                "\n".join(f"[settings.{'a.' * (i % 90)}b{i}]" for i in range(depth // 50)), "#" * 30 * depth,
                'a = "' + "\\u202e" * depth + '"',
            ])  # fmt: skip
        case 3:
            path.write_bytes(flipped(rng, text.encode()))
            return
    path.write_text(text)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def sizes(rng: random.Random, folder: Path) -> None:
    """Give picture and pack.toml the same other size."""
    size = rng.choice([1, 2, 89, 91, 160, 7680]), rng.choice([1, 61, 159, 161, 7680])
    path = folder / "base.png"
    chunks = chunks_of(path.read_bytes())
    chunks[0] = b"IHDR", struct.pack(">II", *size) + chunks[0][1][8:]
    if rng.random() < 0.6:
        rows = bytes(size[1] * (1 + 3 * size[0]))
        chunks = [chunks[0], (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    path.write_bytes(png_of(chunks))
    text = (folder / "pack.toml").read_text().replace("size = [90, 160]", f"size = [{size[0]}, {size[1]}]")
    (folder / "pack.toml").write_text(text)


def mutate(rng: random.Random, whole: Path, folder: Path) -> str:
    """Copy a whole pack and do it harm; return what was done, in a few words."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    kind = rng.choices(["picture", "toml", "sizes", "file"], [6, 3, 1, 1])[0]
    patches = sorted(path.name for path in whole.glob("patch_*.png"))
    name = rng.choice(["base.png"] * 3 + [rng.choice(patches), patches[len(patches) // 2]])
    match kind:
        case "picture":
            picture(rng, folder / name)
        case "toml":
            toml(rng, folder / "pack.toml")
        case "sizes":
            sizes(rng, folder)
        case "file":
            whole_file(rng, folder / rng.choice([name, name, "pack.toml"]))
    return f"{kind} {name}"
