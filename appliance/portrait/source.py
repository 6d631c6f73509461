"""The original picture, read small enough for the screen and fitted to it."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from PIL import Image, ImageCms, ImageOps

from appliance.camera.sampling import Pixels, Region
from appliance.errors import BadImage
from appliance.files import open_regular
from appliance.images import (
    DECODING_BYTES,
    DECODING_BYTES_OF_OTHERS,
    GreyLevels,
    check_pixels,
    grey_levels_of,
    image_format,
    open_image,
    to_rgb,
)
from appliance.portrait.large_pictures import (
    BandedPicture,
    cut_into_bands,
    largest_tiff_page,
    open_png_in_bands,
    open_tiff_in_bands,
    reduce_bands,
)
from appliance.vision.blazeface import Face, Point

_LONGEST: Final = 3840  # longest side that is kept without a screen's size, in pixels
# A picture that cannot be reduced while it is read may take this many bytes, ...
MAX_WHOLE_BYTES: Final = 140_000_000
# ... or this fraction of the free memory, if that is more.
_SHARE: Final = 0.25
# A JPEG is reduced to 1/2, 1/4 or 1/8 as it is decoded, down to this many pixels.
_MOST_JPEG: Final = 36_000_000
_ORIENTATION: Final = 0x0112  # EXIF's tag of the orientation, 1 to 8
# A profile is sRGB if it moves no test colour by more than this, in grey levels, because colour libraries
# round differently (measured: sRGB's own profiles by several makers move them by 1 at most, Adobe RGB by 40).
_SAME: Final = 2


def read_picture_for_screen(path: Path, size: tuple[int, int] | None) -> tuple[Pixels, float]:
    """Read a picture, reduced so that it still covers the screen.

    `size` is (width, height) of the screen in pixels. The result is sRGB uint8 of shape (height, width, 3),
    and its scale against the original, 1 or less. Raises `BadImage` if the file is no whole image, or too
    large to be held while it is reduced.
    """
    # Twice the screen leaves room for cropping to the face and for clean resampling.
    longest = 2 * max(size) if size else _LONGEST
    with open_image(path) as image, open_regular(path) as file:
        page, offset = largest_tiff_page(file) if image.format == "TIFF" else (0, 0)
        if page:  # a scanner may put a preview before the picture
            image.seek(page)
            check_pixels(path, image)
        full = max(image.size)
        banded = _banded(image, file, offset) if full > longest else None
        if banded is None:
            banded = _whole(image, path, longest)
        small = _reduced(banded, longest, grey_levels_of(image), _screen_colours(image))
        # Turning it upright may exchange the sides, so compare the longer ones.
        return np.array(small, np.uint8), max(small.size) / full


def free_memory() -> int:
    """Return how many bytes of memory the machine has to spare; 0 if it does not tell."""
    try:
        rows = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(row.split()[1]) for row in rows if row.startswith("MemAvailable:")), 0)


def _banded(image: Image.Image, file: BinaryIO, offset: int) -> BandedPicture | None:
    """Return the bands of a picture whose file can be read so; `offset` is where a TIFF's page begins."""
    if image.format == "PNG":
        return open_png_in_bands(file)
    # Values of 32 bits are scaled by the least and greatest of the whole picture.
    if image.format == "TIFF" and image.mode not in {"I", "F"}:
        return open_tiff_in_bands(file, offset)
    return None


def _whole(image: Image.Image, path: Path, longest: int) -> BandedPicture:
    """Read a picture whole, if there is the memory for it; a JPEG reduced."""
    width, height = image.size
    kind = image_format(image)
    if kind != "JPEG" or "progressive" in image.info:
        needed = DECODING_BYTES.get(kind, DECODING_BYTES_OF_OTHERS)
        most = max(MAX_WHOLE_BYTES, int(_SHARE * free_memory())) // needed
        if width * height > most:
            raise BadImage(
                f"{path}: {width}x{height} pixels as {kind}, which is read whole; expected at most {most:,} "
                "on this machine; save it as a JPEG that is not progressive, a PNG that is not interlaced or "
                "a TIFF in small strips: these are read in parts"
            )
    if kind == "JPEG":
        part = 1
        while part < 8 and (
            2 * part * longest <= max(width, height) or width * height > part**2 * _MOST_JPEG
        ):
            part *= 2
        image.draft(None, (max(width // part, 1), max(height // part, 1)))
    image.load()
    # Pillow turns a TIFF as it loads it.
    orientation = 1 if kind == "TIFF" else image.getexif().get(_ORIENTATION, 1)
    return BandedPicture(image.size, cut_into_bands(image), orientation)


def _screen_colours(image: Image.Image) -> dict[str, ImageCms.ImageCmsTransform]:
    """Return how a picture's colours become the screen's, by its mode: as the ICC profile in it tells.

    Empty where they are the screen's already, so that every bit stays: the profile's colours tell that,
    because names lie ("sRGB built-in, linear").
    """
    try:
        profile = ImageCms.getOpenProfile(io.BytesIO(image.info["icc_profile"]))
        mode = {"RGB ": "RGB", "CMYK": "CMYK", "GRAY": "L"}[profile.profile.xcolor_space]
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode != "CMYK" and _changes_nothing(transform, mode):
            return {}
        return {mode: transform}
    except (KeyError, TypeError, OSError, ImageCms.PyCMSError):
        return {}  # no profile, a damaged one, or one for another mode


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell whether a transform leaves a grid of test colours as they are."""
    levels = np.linspace(0, 255, 6).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    test = Image.fromarray(colours if mode == "RGB" else levels[None])
    shown = np.asarray(transform.apply(test), int)
    return bool(np.abs(shown - np.asarray(test.convert("RGB"), int)).max() <= _SAME)


def _reduced(
    banded: BandedPicture, longest: int, grey: GreyLevels, colours: dict[str, ImageCms.ImageCmsTransform]
) -> Image.Image:
    """Return the picture upright, as RGB, its long side at most `longest`."""

    def shown(band: Image.Image) -> Image.Image:
        if band.mode == "CMYK" and "CMYK" in colours:
            return colours["CMYK"].apply(band)
        return to_rgb(band, grey)

    width, height = banded.size
    part = min(longest / max(width, height), 1.0)
    size = max(round(width * part), 1), max(round(height * part), 1)
    small = reduce_bands(map(shown, banded.bands), banded.size, size)
    if "RGB" in colours:
        small = colours["RGB"].apply(small)
    if "L" in colours:
        small = colours["L"].apply(small.convert("L"))
    if banded.orientation == 1:
        return small
    small.getexif()[_ORIENTATION] = banded.orientation
    return ImageOps.exif_transpose(small)


# Chosen by eye unless another origin is given.

# The eyes lie here if the picture has the room, as a fraction of the screen's width.
_EYES_ACROSS: Final = 0.5
_EYES_DOWN: Final = 0.36  # the same of its height
_HEAD_ACROSS: Final = 1.7  # the width that must stay in view, in widths of BlazeFace's box: hair and some air
_HEAD_DOWN: Final = 2.0  # the height that must stay in view, in heights of that box: hair, chin and some air
_MAT: Final = 0.5  # what the picture leaves of the screen takes the mean colour of its border times this


def screen_window(
    width: int, height: int, size: tuple[int, int], eyes: Point, head: Point = (0.0, 0.0)
) -> Region:
    """Return the part of a picture to show: of the screen's shape, as large as it goes, placed by the eyes.

    Where cropping to the screen's shape would cut the head, it reaches beyond the picture instead. `width`
    and `height` are the picture's, in pixels; `size` is (width, height) of the screen. `eyes` is the point
    between the eyes and `head` the width and height that must stay in view, in picture pixels.
    """
    scale = max(size[0] / width, size[1] / height)
    least = min(size[0] / min(head[0], width), size[1] / min(head[1], height)) if min(head) > 0 else scale
    scale = min(scale, least)
    across, down = size[0] / scale, size[1] / scale
    x = _placed(eyes[0] - _EYES_ACROSS * across, width - across)
    y = _placed(eyes[1] - _EYES_DOWN * down, height - down)
    return Region(x, y, x + across, y + down)


def fit_to_screen(pixels: Pixels, faces: Sequence[Face], size: tuple[int, int]) -> tuple[Pixels, list[Face]]:
    """Crop or pad a picture to a screen's shape and resize it; all heads stay in view.

    `pixels` is RGB uint8 (height, width, 3), and the `faces` are in its pixels; those returned are in the
    pixels of the fitted picture. A picture of the screen's `size`, (width, height), is returned unchanged.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels, list(faces)
    x0, y0, x1, y1 = _heads(faces)
    eyes = x0 + _EYES_ACROSS * (x1 - x0), y0 + _EYES_DOWN * (y1 - y0)
    part = screen_window(width, height, size, eyes, (x1 - x0, y1 - y0))
    inside = (max(part.x0, 0.0), max(part.y0, 0.0), min(part.x1, float(width)), min(part.y1, float(height)))

    def moved(point: Point) -> Point:
        return (point[0] - part.x0) * size[0] / part.width, (point[1] - part.y0) * size[1] / part.height

    left, top = (round(v) for v in moved(inside[:2]))
    right, bottom = (round(v) for v in moved(inside[2:]))
    shown = (max(right - left, 1), max(bottom - top, 1))
    resized = Image.fromarray(pixels).resize(shown, Image.Resampling.LANCZOS, inside)
    if shown != size:
        border = np.concatenate([pixels[[0, -1]].reshape(-1, 3), pixels[:, [0, -1]].reshape(-1, 3)])
        canvas = Image.new("RGB", size, tuple((border.mean(0) * _MAT).astype(int).tolist()))
        canvas.paste(resized, (left, top))
        resized = canvas
    placed = []
    for face in faces:
        points = (face.right_eye, face.left_eye, face.nose, face.mouth, face.right_ear, face.left_ear)
        corners = moved((face.box[0], face.box[1])) + moved((face.box[2], face.box[3]))
        placed.append(Face(face.score, corners, *map(moved, points)))
    return np.array(resized), placed


def _heads(faces: Sequence[Face]) -> tuple[float, float, float, float]:
    """Return the rectangle around all heads, (x0, y0, x1, y1); each has its eyes where a screen has them."""
    corners = []
    for face in faces:
        x, y = face.eye_midpoint
        across, down = _HEAD_ACROSS * face.width, _HEAD_DOWN * (face.box[3] - face.box[1])
        x, y = x - _EYES_ACROSS * across, y - _EYES_DOWN * down
        corners.append((x, y, x + across, y + down))
    left, top, right, bottom = zip(*corners, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _placed(wanted: float, room: float) -> float:
    """Return where a window begins: as wanted inside the picture, or so that the picture is inside it."""
    return min(max(wanted, min(room, 0.0)), max(room, 0.0))
