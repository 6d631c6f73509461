"""Pictures of any format and size are read, or refused in one line, without filling the memory."""

import contextlib
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from appliance.assets import photograph_path
from appliance.errors import BadImage
from appliance.images import read_image, read_pixels
from appliance.portrait import source
from appliance.portrait.source import free_memory, read_picture_for_screen
from tests.test_images import png_header

SCREEN = (20, 20)


@pytest.fixture(params=["progressive.jpg", "picture.webp", "picture.bmp", "strip.tif"])
def undivided(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture, large for a small machine, that can only be read whole."""
    monkeypatch.setattr(source, "MAX_WHOLE_BYTES", 10_000)
    path = tmp_path / str(request.param)
    options: dict[str, dict[str, Any]] = {
        "progressive.jpg": {"progressive": True},
        "strip.tif": {"compression": "tiff_lzw"},
    }
    picture = (
        Image.new("F", (400, 300), 200.0) if path.suffix == ".tif" else Image.new("RGB", (400, 300), "red")
    )
    picture.save(path, **options.get(path.name, {}))
    return path


def test_a_large_undivided_picture_is_refused_without_memory(
    undivided: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "free_memory", lambda: 800_000)
    with pytest.raises(
        BadImage, match=r"400x300 pixels as \w+, which is read whole; expected at most \d+,\d+ on"
    ):
        read_picture_for_screen(undivided, SCREEN)


def test_a_large_undivided_picture_is_read_with_enough_memory(
    undivided: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "free_memory", lambda: 8_000_000)
    pixels, scale = read_picture_for_screen(undivided, SCREEN)
    assert pixels.shape == (30, 40, 3) and scale == pytest.approx(0.1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_what_is_read_in_parts_is_read_on_any_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(source, "MAX_WHOLE_BYTES", 10_000)
    monkeypatch.setattr(source, "free_memory", lambda: 0)
    Image.new("RGB", (400, 300), "red").save(tmp_path / f"large.{suffix}")
    pixels, scale = read_picture_for_screen(tmp_path / f"large.{suffix}", SCREEN)
    assert pixels.shape == (30, 40, 3) and scale == pytest.approx(0.1)
    assert pixels[..., 0].min() > 250 and pixels[..., 1:].max() < 5


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp", "webp"])
def test_every_format_gives_the_same_small_picture(tmp_path: Path, suffix: str) -> None:
    photograph = read_image(photograph_path("astronaut.png"))
    path = tmp_path / f"photo.{suffix}"
    options: dict[str, Any] = {"quality": 95} if suffix in {"jpg", "webp"} else {}
    photograph.save(path, **options)
    expected = np.asarray(photograph.resize((200, 200), Image.Resampling.LANCZOS), int)
    pixels, _ = read_picture_for_screen(path, (100, 60))
    difference = np.abs(pixels - expected)
    lossy = suffix in {"jpg", "webp"}
    assert difference.mean() < (3 if lossy else 0.2)
    assert difference.max() <= 2 or lossy


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("side", [15, 400])
def test_a_turned_picture_is_upright_reduced_or_not(
    tmp_path: Path, suffix: str, orientation: int, side: int
) -> None:
    picture = Image.new("RGB", (30, 20), "black")
    picture.paste((255, 0, 0), (0, 0, 10, 7))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    picture.resize((300, 200)).save(path, exif=exif)
    upright = np.asarray(read_image(path).resize((30, 20) if orientation < 5 else (20, 30)), int)
    pixels, scale = read_picture_for_screen(path, (side, side))
    assert scale == pytest.approx(min(2 * side / 300, 1))
    height, width = upright.shape[:2]
    small = np.asarray(Image.fromarray(pixels).resize((width, height)), int)
    assert np.abs(small - upright).max() < 60


def test_a_picture_that_is_small_enough_keeps_every_bit() -> None:
    path = photograph_path("astronaut.png")
    pixels, scale = read_picture_for_screen(path, None)
    assert scale == 1
    assert np.array_equal(pixels, read_pixels(path))


def test_what_is_transparent_lies_on_black_before_it_is_reduced(tmp_path: Path) -> None:
    image = Image.new("RGBA", (400, 400), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (200, 0, 400, 400))
    image.save(tmp_path / "half.png")
    pixels, _ = read_picture_for_screen(tmp_path / "half.png", SCREEN)
    assert pixels[:, :15].max() == 0 and pixels[:, 25:].min() == 255


def test_a_telephones_jpeg_with_a_preview_is_reduced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MAX_WHOLE_BYTES", 10_000)
    monkeypatch.setattr(source, "free_memory", lambda: 0)
    picture, exif = Image.new("RGB", (400, 300), "red"), Image.Exif()
    exif[0x0112] = 6
    preview = Image.new("RGB", (40, 30), "blue")
    picture.save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[preview], exif=exif)
    pixels, scale = read_picture_for_screen(tmp_path / "phone.jpg", SCREEN)
    assert pixels.shape == (40, 30, 3) and scale == pytest.approx(0.1)
    assert pixels[..., 0].min() > 250 and pixels[..., 1:].max() < 5


def red_for_green() -> bytes:
    """An ICC profile in which red and green have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"?XYZ", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"?XYZ", b"gXYZ", 1)


def linear() -> bytes:
    """An ICC profile of sRGB's colours that is linear in light, though its name still says sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve = profile.index(b"para")
    return profile[:curve] + b"curv" + bytes(28) + profile[curve + 32 :]


def linear_grey() -> bytes:
    """The same for grey values."""
    white = struct.pack(">4s4x3I", b"XYZ ", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv" + bytes(8)
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 12)
    head = struct.pack(">I4sI4s4s4s", 188, b"test", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    return (head + bytes(12) + b"acsp" + bytes(28) + white[8:]).ljust(128, b"\0") + tags + white + curve


def dull_inks() -> bytes:
    """An ICC profile of four inks, none of which does more than halve the light."""
    tables = bytes(range(256))
    lights = [
        value
        for inks in itertools.product((0, 1), repeat=4)
        for value in (255 - 32 * sum(inks), 128, 128)  # L of Lab, and no colour
    ]
    unit = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + unit + 4 * tables + bytes(lights) + 3 * tables
    body = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut)) + lut
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"test", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    white = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    return (head + bytes(12) + b"acsp" + bytes(28) + white).ljust(128, b"\0") + body


@pytest.mark.parametrize("side", [30, 400])
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
def test_colours_are_those_the_files_profile_tells(tmp_path: Path, suffix: str, side: int) -> None:
    path = tmp_path / f"wide.{suffix}"
    Image.new("RGB", (side, side), (250, 0, 0)).save(path, icc_profile=red_for_green())
    pixels, _ = read_picture_for_screen(path, SCREEN)
    assert pixels.reshape(-1, 3).mean(0) == pytest.approx([0, 250, 0], abs=6)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_inks_are_those_the_files_profile_tells(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"print.{suffix}"
    Image.new("CMYK", (400, 300), (0, 0, 0, 255)).save(path, icc_profile=dull_inks())
    pixels, _ = read_picture_for_screen(path, SCREEN)
    # L = 223/255 of 100 is sRGB 219 to 221; without its profile the ink would be black.
    assert pixels.reshape(-1, 3).mean(0) == pytest.approx([218] * 3, abs=8)


@pytest.mark.parametrize("side", [30, 400])
@pytest.mark.parametrize(("mode", "profile"), [("RGB", linear()), ("L", linear_grey())])
def test_a_linear_profile_is_believed_whatever_its_name(
    tmp_path: Path, mode: str, profile: bytes, side: int
) -> None:
    Image.new("L", (side, side), 55).convert(mode).save(tmp_path / "linear.png", icc_profile=profile)
    pixels, _ = read_picture_for_screen(tmp_path / "linear.png", SCREEN)
    # IEC 61966-2-1: a light of 55/255 is encoded as 1.055 * (55/255)^(1/2.4) - .055, which is 128.
    assert np.abs(pixels.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("side", [30, 400])
@pytest.mark.parametrize(("bits", "white", "value"), [(16, 0, 2**14), (16, 1, 3 * 2**14), (32, 1, 3 * 2**30)])
def test_deep_grey_is_scaled_and_never_a_negative(
    tmp_path: Path, bits: int, white: int, value: int, side: int
) -> None:
    values = np.full((side, side), value, f"<u{bits // 8}")
    strip = values.tobytes()
    tags = [(256, 4, side), (257, 4, side), (258, 3, bits), (259, 3, 1), (262, 3, white), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, side), (279, 4, len(strip))]
    rows = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(strip))
    data = head + strip + struct.pack("<H", len(tags)) + rows + bytes(4)
    (tmp_path / "scan.tif").write_bytes(data)
    pixels, _ = read_picture_for_screen(tmp_path / "scan.tif", SCREEN)
    assert np.abs(pixels.astype(int) - 191).max() <= 1


def test_floats_from_0_to_1_are_shown_by_their_light(tmp_path: Path) -> None:
    Image.new("F", (30, 30), 0.5).save(tmp_path / "float.tif")
    pixels, _ = read_picture_for_screen(tmp_path / "float.tif", SCREEN)
    assert np.abs(pixels.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("first", [(20, 15), (400, 300)])
@pytest.mark.parametrize("screen", [SCREEN, (1000, 1000)])
def test_the_largest_page_of_a_tiff_is_the_picture(
    tmp_path: Path, first: tuple[int, int], screen: tuple[int, int]
) -> None:
    pages = [Image.new("RGB", size, "red" if size[0] == 400 else "blue") for size in [(20, 15), (400, 300)]]
    pages = pages if first == (20, 15) else pages[::-1]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    pixels, _ = read_picture_for_screen(tmp_path / "scan.tif", screen)
    assert pixels[..., 0].min() == 255 and pixels.shape[1] == min(400, 2 * max(screen))


def test_pages_that_form_a_circle_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (20, 15)).save(tmp_path / "scan.tif")
    data = bytearray((tmp_path / "scan.tif").read_bytes())
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    (tmp_path / "scan.tif").write_bytes(data)
    with pytest.raises(BadImage, match="its pages form a circle"):
        read_picture_for_screen(tmp_path / "scan.tif", SCREEN)


@pytest.mark.parametrize("profile", [b"", b"no profile", red_for_green()[:200], dull_inks()])
def test_a_damaged_or_foreign_colour_profile_changes_nothing(tmp_path: Path, profile: bytes) -> None:
    Image.new("RGB", (30, 30), "red").save(tmp_path / "odd.png", icc_profile=profile)
    pixels, _ = read_picture_for_screen(tmp_path / "odd.png", SCREEN)
    assert np.array_equal(np.unique(pixels.reshape(-1, 3), axis=0), [[255, 0, 0]])


def test_a_huge_jpeg_is_reduced_further_than_a_large_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_MOST_JPEG", 20_000)
    Image.new("RGB", (390, 390), "red").save(tmp_path / "huge.jpg")
    pixels, scale = read_picture_for_screen(tmp_path / "huge.jpg", (100, 100))
    assert pixels.shape == (98, 98, 3) and scale == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_a_large_picture_cut_short_is_refused_in_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    read_image(photograph_path("astronaut.png")).save(path)
    data = path.read_bytes()
    for share in (0.02, 0.5, 0.97):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(BadImage, match=r"not a whole, readable image \(.+\)$"):
            read_picture_for_screen(path, (60, 60))


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_a_damaged_large_picture_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.effect_noise((80, 80), 50).convert("RGB").save(path)
    data = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 5):
            damaged[place] = random.integers(0, 256)
        for place in random.integers(0, 300, 1):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(BadImage):
            assert max(read_picture_for_screen(path, SCREEN)[0].shape) <= 80


def test_a_bomb_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(100_000, 100_000))
    with pytest.raises(BadImage, match=r"pixels, expected at most 300,000,000$"):
        read_picture_for_screen(path, (1080, 1920))


def test_the_machine_tells_its_memory() -> None:
    assert free_memory() > 50_000_000


def test_a_deep_picture_with_a_dark_upper_part_is_dark_there(tmp_path: Path) -> None:
    values = np.full((1200, 1000), 200, np.int32)  # two bands
    values[1100:] = 60_000
    Image.fromarray(values, "I").save(tmp_path / "deep.tif")
    pixels, _ = read_picture_for_screen(tmp_path / "deep.tif", None)
    assert pixels[:1000].max() == 1 and pixels[1150:].min() == 233
