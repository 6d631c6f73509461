"""Compiled files with faults, whose heads have the right checksum."""

import json
import os
import random
import zlib
from pathlib import Path
from typing import Any

from appliance.display.compiled_pack import _ALIGNMENT, _HEAD, COMPILED_MAGIC
from tests.mutations.packs import NUMBERS, VALUES, flipped


def head(rng: random.Random, data: bytes) -> bytes:
    """Change what the head says."""
    _, length, _ = _HEAD.unpack_from(data)
    tree: dict[str, Any] = json.loads(data[_HEAD.size : _HEAD.size + length])
    place = rng.choice([tree, tree, *tree["sitters"]])
    key = rng.choice([*place, "more"])
    value = place.get(key)
    if key == "sitters" and rng.random() < 0.5:
        value[rng.randrange(len(value))] = rng.choice([*VALUES, None])
    elif isinstance(value, list) and key != "sitters" and rng.random() < 0.5:
        at = rng.randrange(len(value))
        value[at] = rng.choice([*NUMBERS, -1, 0.5, "x", None, value[at] + 1, value[at] - 1])
    elif isinstance(value, int) and rng.random() < 0.5:
        place[key] = value + rng.choice([-1, 1])
    elif rng.random() < 0.2:
        place.pop(key, None)
    else:
        place[key] = rng.choice([*VALUES, None])
    text = json.dumps(tree).encode()
    if rng.random() < 0.1:
        text = rng.choice([b"[" * 50_000, b"9" * 5000, b"null", b"[]", b"{}", flipped(rng, text), b""])
    packed = _HEAD.pack(COMPILED_MAGIC, rng.choice([len(text)] * 9 + [2**32 - 1]), zlib.crc32(text))
    return packed + text + data[len(packed) + len(text) :]


def parts(rng: random.Random, data: bytes) -> bytes:
    """Change pixels."""
    return data[:_ALIGNMENT] + flipped(rng, data[_ALIGNMENT:])


def length(rng: random.Random, data: bytes) -> bytes:
    """Cut it off, or go on."""
    return rng.choice(
        [data[: rng.randrange(len(data))], data[: rng.randrange(_ALIGNMENT)], data + bytes(_ALIGNMENT), b""]
    )


def magic(rng: random.Random, data: bytes) -> bytes:
    """Change the first bytes, of which the checksum is no part."""
    return flipped(rng, data[:24]) + data[24:]


def mutate(rng: random.Random, whole: bytes, path: Path) -> str:
    """Write a mutated file in the place of a compiled one, or into it; return what was done."""
    kind = rng.choices([head, parts, length, magic, None], [8, 4, 3, 1, 1])[0]
    if kind is None:
        path.unlink()
        match rng.randrange(3):
            case 0:
                os.mkfifo(path)
            case 1:
                path.symlink_to(rng.choice(["/dev/zero", "/dev/full", path.name, "/"]))
            case 2:
                path.mkdir()
        return "another kind of file"
    with path.open("r+b") as file:  # the same file: whoever has it open meets the change
        file.write(changed := kind(rng, whole))
        file.truncate(len(changed))
    return kind.__name__
