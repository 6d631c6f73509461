"""TIFF files read in large_pictures are the pictures that Pillow reads."""

import contextlib
import io
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.images import DECODER_ERRORS, to_rgb
from appliance.portrait import large_pictures
from appliance.portrait.large_pictures import BandedPicture, open_tiff_in_bands

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]
PACKINGS = ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]


def noise(mode: str, width: int, height: int) -> Image.Image:
    random = np.random.default_rng(0)
    if mode == "I;16":
        return Image.fromarray(random.integers(0, 65536, (height, width), np.uint16))
    image = Image.fromarray(random.integers(0, 256, (height, width, 4), np.uint8), "RGBA")
    return image.convert(mode) if mode != "CMYK" else image.convert("RGB").convert(mode)


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "TIFF", **options)
    return file.getvalue()


def tiff(
    width: int, height: int, parts: list[bytes], tags: dict[int, list[int]], order: str, big: bool
) -> bytes:
    """A TIFF made by hand, of RGB, as Pillow does not write it: tiles, the other byte order, BigTIFF."""
    tiled = 322 in tags
    tags = {256: [width], 257: [height], 258: [8, 8, 8], 259: [1], 262: [2], 277: [3], **tags}
    out = bytearray(16)
    starts = []
    for part in parts:
        starts.append(len(out))
        out += part
    tags |= {324 if tiled else 273: starts, 325 if tiled else 279: [len(part) for part in parts]}
    letter, kind, room = ("Q", 16, 8) if big else ("I", 4, 4)
    rows = b""
    for tag, values in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(data) > room:
            data, at = struct.pack(order + letter, len(out)), data
            out += at
        rows += struct.pack(f"{order}HH{letter}", tag, kind, len(values)) + data
    place = struct.pack(order + letter, len(out))
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHH", 43, 8, 0) + place if big else struct.pack(order + "H", 42) + place
    out[: 2 + len(head)] = mark + head
    return bytes(out + struct.pack(order + ("Q" if big else "H"), len(tags)) + rows + bytes(8))


def small_bands(patch: pytest.MonkeyPatch, pixels: int) -> None:
    """Read in bands of that size; the limit on what a file may ask to hold at once stays."""
    patch.setattr(large_pictures, "_SPARE", large_pictures._SPARE * large_pictures.BAND_BYTES // pixels)
    patch.setattr(large_pictures, "BAND_BYTES", pixels)


def banded(data: bytes) -> BandedPicture:
    found = open_tiff_in_bands(io.BytesIO(data))
    assert found is not None
    return found


def joined(data: bytes) -> Pixels:
    return np.concatenate([np.asarray(to_rgb(band)) for band in banded(data).bands])


@given(
    mode=st.sampled_from(MODES),
    packing=st.sampled_from(PACKINGS),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    rows=st.integers(1, 50),
    band=st.integers(300, 3000),
)
def test_the_bands_of_a_tiff_are_the_picture_that_pillow_reads(
    mode: str, packing: str, width: int, height: int, rows: int, band: int
) -> None:
    data = saved(noise(mode, width, height), compression=packing, tiffinfo={278: rows})
    with pytest.MonkeyPatch.context() as patch, Image.open(io.BytesIO(data)) as whole:
        small_bands(patch, band)
        assert banded(data).size == whole.size
        assert np.array_equal(joined(data), np.asarray(to_rgb(whole)))


@pytest.mark.parametrize("subsampled", [0, 2])
def test_strips_of_jpeg_are_read_as_pillow_reads_them(
    subsampled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = noise("RGB", 64, 100)
    data = saved(photo, compression="jpeg", quality=90, tiffinfo={278: 16})
    small_bands(monkeypatch, 5000)
    with Image.open(io.BytesIO(data)) as whole:
        assert np.array_equal(joined(data), np.asarray(to_rgb(whole)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("tiled", [False, True])
def test_tiles_byte_orders_and_bigtiff_are_read(
    order: str, big: bool, tiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_bands(monkeypatch, 40 * 20 * 4)
    whole = np.asarray(noise("RGB", 40, 50))
    if tiled:
        padded = np.pad(whole, ((0, 14), (0, 8), (0, 0)))
        parts = [padded[y : y + 16, x : x + 16].tobytes() for y in range(0, 64, 16) for x in range(0, 48, 16)]
        tags = {322: [16], 323: [16]}
    else:
        parts = [whole[y : y + 7].tobytes() for y in range(0, 50, 7)]
        tags = {278: [7], 274: [6]}
    data = tiff(40, 50, parts, tags, order, big)
    assert np.array_equal(joined(data), whole)
    assert banded(data).orientation == (1 if tiled else 6)


def test_one_strip_without_compression_is_cut() -> None:
    whole = noise("RGB", 1500, 3000)
    data = tiff(1500, 3000, [whole.tobytes()], {278: [3000]}, "<", False)
    found = list(banded(data).bands)
    assert len(found) == 5
    assert np.array_equal(np.concatenate([np.asarray(band) for band in found]), np.asarray(whole))


def test_one_giant_strip_and_separate_planes_are_left_to_pillow() -> None:
    giant = tiff(10_000, 1000, [b"packed"], {278: [1000], 259: [5]}, "<", False)
    assert open_tiff_in_bands(io.BytesIO(giant)) is None
    planes = tiff(4, 4, [bytes(16)] * 3, {278: [4], 284: [2]}, "<", False)
    assert open_tiff_in_bands(io.BytesIO(planes)) is None


def test_a_strip_beyond_the_end_of_the_file_is_refused() -> None:
    data = tiff(40, 50, [bytes(40 * 25 * 3)] * 2, {278: [25]}, "<", False)
    cut = data.replace(struct.pack("<II", 16, 3016), struct.pack("<II", 16, 2**31))
    assert cut != data
    with pytest.raises(OSError, match="truncated"):
        list(banded(cut).bands)


@given(places=st.lists(st.integers(0, 10**6), min_size=1, max_size=6), value=st.integers(0, 255))
def test_a_damaged_tiff_is_read_or_refused_but_never_more(places: list[int], value: int) -> None:
    data = bytearray(saved(noise("RGB", 20, 20), compression="tiff_lzw"))
    for place in places:
        data[-1 - place % 220] = value  # where its directory lies
    with warnings.catch_warnings(), contextlib.suppress(*DECODER_ERRORS):
        warnings.simplefilter("ignore")
        found = open_tiff_in_bands(io.BytesIO(bytes(data)))
        for band in found.bands if found else ():
            assert band.width * band.height < 10**7
