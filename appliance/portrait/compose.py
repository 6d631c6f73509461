"""From a painting and the head frames chosen for it to a pack and its contact sheet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.errors import UnfitPortrait
from appliance.files import sha256_of
from appliance.grid import FrameGrid
from appliance.pack import PackInfo, write_pack
from appliance.portrait import blend
from appliance.portrait.detail import Detail
from appliance.portrait.landmarks import Landmarker, Landmarks
from appliance.portrait.question import in_the_name_of
from appliance.portrait.screen import fitted
from appliance.portrait.sheet import Sheet, png
from appliance.portrait.source import read_original
from appliance.progress import progress

Finish = Callable[[int, Pixels], Pixels]
# Less does not hold a head.
_SMALLEST: Final = 16


@dataclass(frozen=True, slots=True)
class Canvas:
    """A painting as it will be shown: `pixels` RGB uint8 (height, width, 3), `face` in its pixels."""

    image: Path
    pixels: Pixels
    face: Landmarks

    def square(self, place: blend.Place) -> Pixels:
        """Return a square of the painting, RGB uint8 (side, side, 3)."""
        x0, y0, x1, y1 = place.box
        return self.pixels[y0:y1, x0:x1]

    def detail(self, place: blend.Place, frame_side: int) -> Detail:
        """Take the fine detail out of a square, as `Detail` does."""
        corner = np.array([place.x, place.y], np.float64)
        eyes = [
            replace(eye, lower=eye.lower - corner, upper=eye.upper - corner, iris=(0.0, 0.0))
            for eye in self.face.eyes
        ]
        return Detail(self.square(place), self.face.mesh[:, :2] - corner, eyes, frame_side)


@dataclass(frozen=True, slots=True)
class Look:
    """How head frames are laid over the painting, and what the pack says of it.

    `steepness` and `extent` are the sigmoid's for frames of 512 pixels; `detail` is the part of the
    painting's fine detail that is put back, 0 to 1; `title` is the file's name if not given.
    """

    steepness: float = blend.STEEPNESS
    extent: float = blend.EXTENT
    detail: float = 0.0
    title: str | None = None
    artist: str = "unknown"
    licence: str = "unknown"


def prepare(
    image: Path, out: Path, size: tuple[int, int] | None, landmarker: Landmarker, choose: int | None = None
) -> Canvas:
    """Read a painting, fit it to the screen and find the sitter's face.

    Parameters
    ----------
    out : the pack's folder, beside which a question about several faces is shown
    size : (width, height) of the screen in pixels; the picture's own by default
    choose : which of several faces, counted from 1 at picture left

    Raises
    ------
    BadImage, UnfitPortrait
        If it is no whole image, or has no such face.
    """
    original, _ = read_original(image, size)
    with in_the_name_of(image, out):
        found = landmarker.find(original, choose)
        pixels, (found,) = fitted(original, [found], size or (original.shape[1], original.shape[0]))
        return Canvas(image, pixels, landmarker.landmarks(pixels, found))


def check_square(canvas: Canvas, place: blend.Place, whose: str) -> None:
    """Make sure that a square lies in the painting; raises `UnfitPortrait`, in `whose` name."""
    (x0, y0, x1, y1), (height, width) = place.box, canvas.pixels.shape[:2]
    if place.side < _SMALLEST:
        raise UnfitPortrait(
            f"{whose}: the frames' place {x0},{y0},{place.side} is too small; expected a side of at least "
            f"{_SMALLEST} pixels"
        )
    if min(x0, y0) < 0 or x1 > width or y1 > height:
        raise UnfitPortrait(
            f"{whose}: the frames' place {x0},{y0},{place.side} lies beyond the picture of "
            f"{width}x{height}; use a wider picture, or give --place"
        )


def compose(
    out: Path,
    canvas: Canvas,
    place: blend.Place,
    files: Sequence[Path],
    reach: float,
    look: Look,
    engine: str,
    finish: Finish,
    settings: Mapping[str, float | int | str | bool] | None = None,
) -> PackInfo:
    """Blend chosen frames over the painting into a pack; `<out>-sheet.png` is written beside it.

    Parameters
    ----------
    place : the square of the painting that the frames show
    files : the frames, from the one that looks farthest to picture left; the middle one gives way to
        the painting itself
    reach : how far the outermost frames look to either side, in degrees
    finish : what is done to a frame, by its index and at the square's size, before it is blended
    settings : more of the engine's, for pack.toml

    Raises
    ------
    CannotWrite
        If the pack or the sheet cannot be written.
    """
    count, resting = len(files), len(files) // 2
    angles = tuple(float(a) for a in np.linspace(-reach, reach, count) * (np.arange(count) != resting))
    info = PackInfo(
        title=look.title or canvas.image.stem,
        artist=look.artist,
        licence=look.licence,
        source=canvas.image.name,
        source_sha256=sha256_of(canvas.image),
        size=(canvas.pixels.shape[1], canvas.pixels.shape[0]),
        engine=engine,
        settings={
            "steepness": look.steepness,
            "extent": look.extent,
            "detail": look.detail,
            "place": f"{place.x},{place.y},{place.side}",
            **(settings or {}),
        },
        sitters=(FrameGrid.one_row(place.box, angles, resting),),
    )
    alpha = blend.weight(place.side, look.steepness, look.extent)
    patches = blend.blended(canvas.pixels, files, place, resting, alpha, finish)
    whole = Image.fromarray(canvas.pixels)
    sheet = Sheet(whole, info.main)
    passing = sheet.passing(progress(patches, count, "blending"))
    write_pack(out, info, whole, passing, lambda: {f"{out.name}-sheet.png": png(sheet.image)})
    return info
