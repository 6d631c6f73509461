"""4,000 damaged pictures, read as `detect`, a replay and `portrait render` read them."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.mutations.batches import faults
from tests.mutations.mutate import boxes, by_bytes, jpeg, png, tiff

pytestmark = pytest.mark.mutations

Mutate = Callable[[bytes, random.Random], bytes]
_BY_PARTS: dict[str, Mutate] = {"png": png, "jpg": jpeg, "tif": tiff, "webp": boxes}


def pictures() -> list[tuple[str, bytes]]:
    """Small whole pictures of every kind that is read, as suffix and content."""
    colours = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 48, 3), np.uint8)).resize(
        (60, 50)
    )
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    deep = Image.fromarray((np.arange(3000, dtype=np.int32) * 21).reshape(50, 60), "I")
    inks, film = colours.convert("CMYK"), [colours, colours.rotate(90), colours.rotate(180)]
    kinds: list[tuple[str, Image.Image, dict[str, object]]] = [
        *(("png", colours.convert(mode), {}) for mode in ("RGB", "L", "1", "RGBA", "LA")),
        ("png", colours.quantize(16), {"transparency": 3}),
        ("png", deep.convert("I;16"), {}),
        ("png", colours, {"save_all": True, "append_images": film[1:], "exif": exif}),
        ("jpg", colours, {"exif": exif}),
        ("jpg", colours, {"progressive": True, "subsampling": 0}),
        ("jpg", inks, {}),
        ("jpg", colours.convert("L"), {"icc_profile": bytes(200)}),
        ("jpg", colours, {"format": "MPO", "save_all": True, "append_images": film[1:]}),
        ("tif", colours, {}),
        ("tif", colours, {"compression": "tiff_lzw"}),
        ("tif", colours, {"compression": "tiff_deflate"}),
        ("tif", colours, {"compression": "tiff_jpeg"}),
        ("tif", colours, {"compression": "packbits", "exif": exif}),
        ("tif", colours.convert("1"), {"compression": "group4"}),
        ("tif", inks, {}),
        ("tif", deep, {}),
        ("tif", colours.convert("F"), {}),
        ("tif", colours.quantize(16), {"compression": "tiff_lzw"}),
        ("webp", colours, {"exif": exif}),
        ("webp", colours.convert("RGBA"), {"lossless": True}),
        ("webp", colours.convert("RGBA"), {"save_all": True, "append_images": film[1:]}),
        ("gif", colours.quantize(16), {"transparency": 3}),
        ("gif", colours, {"save_all": True, "append_images": film[1:]}),
        ("bmp", colours, {}),
        ("bmp", colours.quantize(16), {}),
        ("ppm", colours, {}),
    ]
    return [(suffix, _saved(image, suffix, options)) for suffix, image, options in kinds]


def _saved(image: Image.Image, suffix: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    kind = str(options.pop("format", {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())))
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_damaged_picture_is_read_or_refused_in_one_line(
    tmp_path: Path, count: Callable[[int], int], seed: int
) -> None:
    rng, whole = random.Random(seed), pictures()
    files = []
    for number in range(count(4000)):
        suffix, data = whole[number % len(whole)]
        mutate = rng.choice((_BY_PARTS.get(suffix, by_bytes), by_bytes))
        folder = tmp_path / f"{number:04d}"  # a replay's, with one picture
        folder.mkdir()
        files.append(folder / f"{number:04d}.{suffix}")
        files[-1].write_bytes(mutate(data, rng))
    assert faults("picture", files) == []
