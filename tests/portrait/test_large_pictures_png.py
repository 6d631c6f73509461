"""PNG files read in large_pictures are the pictures that Pillow reads."""

import io
import itertools
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from appliance.images import DECODER_ERRORS, GreyLevels, to_rgb
from appliance.portrait import large_pictures
from appliance.portrait.large_pictures import BandedPicture, open_png_in_bands

KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
KINDS += [(4, 8), (4, 16), (6, 8), (6, 16)]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def drawn(
    width: int, height: int, kind: tuple[int, int], seed: int, piece: int = 50, clear: bool = False
) -> bytes:
    """A PNG of random bytes under random filters: whatever they are, they are some picture."""
    colour, depth = kind
    random = np.random.default_rng(seed)
    line = (width * depth * SAMPLES[colour] + 7) // 8
    rows = random.integers(0, 256, (height, 1 + line), np.uint8)
    rows[:, 0] = random.integers(0, 5, height)
    data = zlib.compress(rows.tobytes())
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    if colour == 3:
        body += chunk(b"PLTE", random.bytes(3 << depth))
    if clear:
        body += chunk(b"tRNS", {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: bytes([0, 128])}[colour])
    for start in range(0, len(data), piece):
        body += chunk(b"IDAT", data[start : start + piece])
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def banded(data: bytes) -> BandedPicture:
    found = open_png_in_bands(io.BytesIO(data))
    assert found is not None
    return found


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 1000),
    piece=st.integers(1, 300),
    band=st.integers(1, 3000),
    clear=st.booleans(),
)
def test_the_bands_of_a_png_are_the_picture_that_pillow_reads(
    width: int, height: int, kind: tuple[int, int], seed: int, piece: int, band: int, clear: bool
) -> None:
    data = drawn(width, height, kind, seed, piece, clear and kind[0] in {0, 2, 3})
    with pytest.MonkeyPatch.context() as patch, Image.open(io.BytesIO(data)) as whole:
        patch.setattr(large_pictures, "BAND_BYTES", band)
        found = banded(data)
        parts = list(found.bands)
        whole.load()
        assert {part.mode for part in parts} == {whole.mode}
        assert found.size == whole.size
        joined = np.concatenate([np.asarray(to_rgb(part, GreyLevels(16))) for part in parts])
        assert np.array_equal(joined, np.asarray(to_rgb(whole, GreyLevels(16))))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [b"eXIf", b"tEXt"])
def test_how_to_turn_it_is_read_wherever_it_stands(kind: bytes, after: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    text = b"Raw profile type exif\0\nexif\n" + str(len(raw)).encode() + b"\n" + raw.hex().encode()
    extra = chunk(kind, raw.removeprefix(b"Exif\0\0") if kind == b"eXIf" else text)
    data = drawn(5, 7, (2, 8), 1)
    place = -12 if after else data.index(b"IDAT") - 4
    data = data[:place] + extra + data[place:]
    with Image.open(io.BytesIO(data)) as whole:
        assert whole.getexif()[0x0112] == 6
    assert banded(data).orientation == 6


def test_interlaced_and_animated_pictures_are_left_to_pillow() -> None:
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 1)
    assert open_png_in_bands(io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))) is None
    film = io.BytesIO()
    first = Image.new("RGB", (8, 8), "red")
    first.save(film, "PNG", save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")])
    with Image.open(film) as image:
        assert isinstance(image, PngImageFile) and image.is_animated
    assert open_png_in_bands(io.BytesIO(film.getvalue())) is None


def test_a_damaged_or_cut_png_is_refused() -> None:
    data = drawn(40, 40, (2, 8), 3, piece=200)
    faults = [data[:length] for length in range(60, len(data) - 40, 300)]
    for place in range(data.index(b"IDAT") + 10, len(data) - 30, 150):
        faults.append(data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :])
    for fault in faults:
        with pytest.raises(DECODER_ERRORS):
            list(banded(fault).bands)
    assert len(faults) > 30


def test_fewer_rows_than_the_header_claims_are_refused() -> None:
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 9, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(bytes(5 * 8)))
    with pytest.raises(OSError, match="truncated"):
        list(banded(data).bands)


def test_a_bomb_is_read_a_band_at_a_time() -> None:
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(3 * 8000 + 1)) for _ in range(8000)) + packer.flush()
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", data)
    tracemalloc.start()
    try:
        for band in itertools.islice(banded(b"\x89PNG\r\n\x1a\n" + body).bands, 8):
            assert band.height == 125
        assert tracemalloc.get_traced_memory()[1] < 30_000_000  # of 192 million that it unpacks to
    finally:
        tracemalloc.stop()
