import contextlib
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from appliance.assets import photograph_path
from appliance.errors import BadImage
from appliance.images import image_files, open_image, read_image, read_pixels


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def colour(path: Path) -> tuple[int, int, int]:
    image = read_image(path)
    assert image.mode == "RGB"
    red, green, blue = image.tobytes()[:3]
    return red, green, blue


@pytest.mark.parametrize(
    ("mode", "value", "expected", "suffix"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30), "png"),
        ("L", 77, (77, 77, 77), "png"),
        ("1", 1, (255, 255, 255), "png"),
        ("I;16", 257 * 100, (100, 100, 100), "png"),
        ("I", 65535, (255, 255, 255), "tiff"),
        ("F", 200.0, (200, 200, 200), "tiff"),
        ("RGBA", (200, 100, 50, 255), (200, 100, 50), "png"),
        ("RGBA", (200, 100, 50, 0), (0, 0, 0), "png"),
        ("RGBA", (200, 100, 50, 128), (100, 50, 25), "png"),
        ("LA", (200, 128), (100, 100, 100), "png"),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255), "tiff"),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0), "tiff"),
        ("YCbCr", (255, 128, 128), (255, 255, 255), "tiff"),
    ],
)
def test_every_kind_of_picture_becomes_rgb(
    tmp_path: Path, mode: str, value: float | tuple[float, ...], expected: tuple[int, int, int], suffix: str
) -> None:
    path = saved(tmp_path / f"picture.{suffix}", Image.new(mode, (4, 3), value))
    assert colour(path) == expected
    assert read_pixels(path).shape == (3, 4, 3)
    assert read_pixels(path).dtype == np.uint8


def test_a_palette_gives_its_colours_and_black_for_clear(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([9, 8, 7, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert read_pixels(saved(tmp_path / "p.png", image))[0].tolist() == [[9, 8, 7], [200, 100, 50]]
    transparent = saved(tmp_path / "t.png", image, transparency=1)
    assert read_pixels(transparent)[0].tolist() == [[9, 8, 7], [0, 0, 0]]


def test_grey_of_16_bits_keeps_its_steps(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None]
    path = saved(tmp_path / "ramp.png", Image.fromarray(ramp))
    assert read_pixels(path)[0, :, 0].tolist() == list(range(256))


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path: Path) -> None:
    path = saved(tmp_path / "dark.png", Image.new("I;16", (4, 4), 200))
    assert colour(path) == (1, 1, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_read_upright(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (40, 24), "black")
    upright.paste((255, 0, 0), (0, 0, 8, 8))
    turns = Image.Transpose
    stored = {
        1: None,
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_90,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = upright if stored is None else upright.transpose(stored)
    read = read_image(saved(tmp_path / "photo.jpg", image, exif=exif, quality=95))
    assert read.size == (40, 24)
    pixels = np.asarray(read)
    assert pixels[2, 2, 0] > 200
    assert pixels[21, 37, 0] < 50


def test_a_picture_of_one_pixel_is_a_picture(tmp_path: Path) -> None:
    path = saved(tmp_path / "dot.png", Image.new("RGB", (1, 1), (1, 2, 3)))
    assert read_pixels(path).tolist() == [[[1, 2, 3]]]


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (2, 2), name) for name in ("red", "blue")]
    path = saved(tmp_path / "film.gif", frames[0], save_all=True, append_images=frames[1:])
    assert colour(path) == (255, 0, 0)


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"]
)
def test_what_is_no_image_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(BadImage) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: not a whole, readable image (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["astronaut.png", "grace_hopper.jpg"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_a_truncated_image_is_refused(tmp_path: Path, name: str, share: float) -> None:
    data = photograph_path(name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadImage, match=r"not a whole, readable image \(.+\)$"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "tiff", "gif", "bmp", "webp", "ppm", "jpg"])
def test_a_damaged_image_is_read_or_refused_but_never_more(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"picture.{suffix}", Image.effect_noise((40, 40), 50).convert("RGB"))
    data = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 5):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(BadImage):
            assert read_image(path).mode == "RGB"


def test_a_missing_picture_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=rf"^{tmp_path}/none.png: no such file$"):
        read_image(tmp_path / "none.png")
    with pytest.raises(BadImage, match=rf"^{tmp_path}: a folder; expected a picture's file$"):
        read_image(tmp_path)


def png_header(width: int, height: int, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(17_400, 17_400), (100_000, 100_000)])
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size))
    with pytest.raises(BadImage, match=r"pixels, expected at most 300,000,000$"):
        read_image(path)


def test_a_painting_photographed_at_14000_by_20000_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "painting.png"
    path.write_bytes(png_header(14_000, 20_000))
    with open_image(path) as image:
        assert image.size == (14_000, 20_000)


def test_the_pictures_of_a_folder_come_in_name_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.webp", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    assert [path.name for path in image_files(tmp_path)] == ["a.jpg", "b.PNG", "c.webp"]


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"", "an empty file; copy it again"),
        ("Sehr geehrte Frau Gräfin, äöü".encode(), "a text; expected a picture's file"),
        (b"%PDF-1.7\n", "a PDF; save its page as a PNG or a TIFF"),
        (bytes(4) + b"ftypheic" + bytes(99), "a HEIC photograph; save it as a JPEG"),
        (bytes(4) + b"ftypmp42" + bytes(99), "a film; save one picture of it as a PNG"),
        (b"<!DOCTYPE html><p>not found", "a web page; download the picture itself"),
        (b"8BPS\0\x01" + bytes(99), "a Photoshop file; save a flattened copy as a PNG or a TIFF"),
        (b"MM\0*" + bytes(99), "a TIFF of a kind that cannot be read here"),
        (b"\x07nothing of the kind", "of no kind known here; expected JPEG, PNG, TIFF, WebP, BMP or GIF"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_advice(tmp_path: Path, data: bytes, advice: str) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    with pytest.raises(BadImage) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: not a whole, readable image ({advice}")


def test_a_photoshop_file_that_pillow_knows_is_refused_too(tmp_path: Path) -> None:
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 2, 2, 8, 3)
    (tmp_path / "layers.psd").write_bytes(header + bytes(12) + struct.pack(">H", 0) + bytes(12))
    with pytest.raises(BadImage, match="a Photoshop file; save a flattened copy"):
        read_image(tmp_path / "layers.psd")


def test_a_web_address_is_no_file() -> None:
    with pytest.raises(
        BadImage, match=r"^https://example\.org/picture\.jpg: a web address; download the picture"
    ):
        read_image(Path("https://example.org/picture.jpg"))


# Reads a picture as `detect` does; prints what it refuses, or its size, and the process's peak memory in MB.
READ = """
import re, sys
from pathlib import Path
from appliance.errors import BadImage
from appliance.service.offline import describe_faces
from appliance.vision.blazeface import FaceDetector
try:
    found = describe_faces(Path(sys.argv[1]), FaceDetector("full"), True)
    said = f"{found['width']}x{found['height']}"
except BadImage as refusal:
    said = str(refusal)
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())  # ru_maxrss begins at the parent's
print(said, int(peak[1]) // 1024, sep="\\n")
"""


def as_detect_reads(path: Path) -> tuple[str, int]:
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    said, peak = done.stdout.splitlines()
    return said, int(peak)


def test_detect_refuses_a_small_file_of_289_million_pixels(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(17_000, 17_000, depth=1, colour=0, data=bytes(17_000 * 2126)))
    assert path.stat().st_size < 40_000
    said, peak = as_detect_reads(path)
    assert said == f"{path}: 17000x17000 pixels as PNG, expected at most 25,000,000; make it smaller"
    assert peak < 100  # MB; 2,800 before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "turned.jpg", "progressive.jpg", "lzw.tif", "bmp", "gif", "webp"])
def test_detect_reads_a_cameras_24_megapixels_in_300_mb(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options: dict[str, dict[str, object]] = {
        "png": {"compress_level": 1},
        "turned.jpg": {"exif": exif},
        "progressive.jpg": {"progressive": True, "subsampling": 0, "quality": 95},
        "lzw.tif": {"compression": "tiff_lzw"},
    }
    size = (4000, 3000) if kind == "webp" else (6000, 4000)  # at most 12.5 million pixels of WebP
    picture = Image.effect_noise((600, 400), 60).convert("RGB").resize(size)
    path = saved(tmp_path / f"large.{kind}", picture, **options.get(kind, {}))
    said, peak = as_detect_reads(path)
    assert said == "x".join(map(str, size[::-1] if kind == "turned.jpg" else size))
    assert peak < 300


def test_a_pipe_named_as_a_picture_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    for name in ("a.png", "b.png"):
        with pytest.raises(BadImage) as caught:
            read_image(tmp_path / name)
        assert str(caught.value).endswith("not a whole, readable image (no regular file)")


def test_a_webp_of_a_gigabyte_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.webp"
    with path.open("wb") as file:
        file.write(b"RIFF" + bytes(4) + b"WEBP")
        file.truncate(1_000_000_000)
    with pytest.raises(BadImage, match=r"1,000,000,000 bytes, expected at most 200,000,000$"):
        read_image(path)


def test_a_format_that_is_not_offered_is_not_tried(tmp_path: Path) -> None:
    path = saved(tmp_path / "picture.eps", Image.new("RGB", (4, 4)))  # Pillow would start Ghostscript
    path = path.rename(tmp_path / "picture.png")
    with pytest.raises(BadImage, match="a PostScript or EPS drawing; export it as a PNG"):
        read_image(path)


def test_a_deep_picture_with_dark_rows_keeps_them_dark(tmp_path: Path) -> None:
    values = np.full((300, 20), 200, np.int32)
    values[200:] = 60_000
    path = saved(tmp_path / "deep.tif", Image.fromarray(values, "I"))
    assert read_pixels(path)[:, 0, 0].tolist() == [1] * 200 + [233] * 100


def test_a_damaged_tiff_says_nothing_of_its_own_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "a.tif", Image.effect_noise((99, 99), 50).convert("RGB"), compression="tiff_lzw")
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes(40) + data[140:])  # libtiff tells of it
    many = bytearray(data)
    many[many.index(struct.pack("<HHI", 277, 3, 1)) + 8] = 16  # 16 samples a pixel: Pillow logs it
    (tmp_path / "b.tif").write_bytes(many)
    for name in ("a.tif", "b.tif"):
        with pytest.raises(BadImage):
            read_image(tmp_path / name)
    assert capfd.readouterr() == ("", "")
