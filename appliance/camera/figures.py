"""People cut out of photographs, so that they can stand in a simulated room."""

import functools
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from appliance.assets import photograph_path
from appliance.images import read_image

Point = tuple[float, float]
Points = NDArray[np.float64]

_FEATHER: Final = 1.4  # pixels of the photograph
_SEAM: Final = 26  # rows over which the photograph gives way to paint
_MARGIN: Final = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """A person on transparent ground, ready to be drawn at any size.

    Parameters
    ----------
    levels : premultiplied RGBA images, each half the size of the one before
    eye_midpoint : middle between the irises, in pixels of `levels[0]`, continuous coordinates
    eye_distance : between the irises, in pixels of `levels[0]`
    """

    levels: tuple[Image.Image, ...]
    eye_midpoint: Point
    eye_distance: float

    def draw(
        self,
        picture: Image.Image,
        eyes: Point,
        eye_distance: float,
        mirrored: bool = False,
        blur: float = 0.0,
        floor: float = math.inf,
    ) -> None:
        """Draw the figure onto an RGB picture.

        Parameters
        ----------
        eyes : where the eye midpoint falls, in picture pixels, continuous coordinates, anywhere
        eye_distance : in picture pixels
        mirrored : picture left and right of the figure exchanged
        blur : length of its way to the side during the exposure, in picture pixels
        floor : row below which nothing is drawn, in picture pixels
        """
        scale = eye_distance / self.eye_distance
        # The coarsest level about as fine as the picture (a seventh coarser is not seen, and halves
        # the time); the rest is averaged while resizing, which Pillow does to a fraction of a pixel.
        level = min(max(0, math.floor(0.2 - math.log2(scale))), len(self.levels) - 1)
        source = self.levels[level]
        scale *= 2**level
        x, y = (value / 2**level for value in self.eye_midpoint)
        if mirrored:
            x = source.width - x
        left = max(0, math.ceil(eyes[0] - x * scale))
        top = max(0, math.ceil(eyes[1] - y * scale))
        right = min(picture.width, math.floor(eyes[0] + (source.width - x) * scale))
        bottom = min(picture.height, math.floor(min(floor, eyes[1] + (source.height - y) * scale)))
        if right <= left or bottom <= top:
            return
        x0, x1 = ((edge - eyes[0]) / scale + x for edge in (left, right))
        y0, y1 = ((edge - eyes[1]) / scale + y for edge in (top, bottom))
        if mirrored:
            x0, x1 = source.width - x1, source.width - x0
        box = (max(0.0, x0), max(0.0, y0), min(source.width, x1), min(source.height, y1))  # rounding only
        part = source.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box)
        if mirrored:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if blur > 1:
            part = _blurred(part, blur)
        picture.paste(part, (left, top), part)


@functools.cache
def figure_names() -> tuple[str, ...]:
    """List the photographs that can be cut out."""
    return tuple(_catalogue())


def load_figure(photograph: str, light: float = 1.0) -> Figure:
    """Cut a person out of a photograph, as if lit by `light` (1 leaves the photograph as it is).

    Raises
    ------
    BadAsset
        If the photograph was not fetched.
    BadImage
        If it cannot be read.
    """
    entry = _catalogue()[photograph]
    photo = read_image(photograph_path(photograph))
    shapes = [_curve(paint["points"]) for paint in entry["paint"]]
    outline = _curve(entry["outline"])
    # All coordinates move by whole pixels, so that what lies beyond the photograph has room.
    every = np.concatenate([outline, *shapes])
    dx, dy = (int(v) for v in np.ceil(_MARGIN - np.minimum(every.min(0), 0)))
    shift = np.array([dx, dy])
    width, height = (int(v) for v in np.ceil(every.max(0)) + shift + _MARGIN)
    canvas = Image.new("RGBA", (width, height))
    for paint, shape in zip(entry["paint"], shapes, strict=True):
        canvas.alpha_composite(*_painted(shape + shift, paint["colour"]))
    canvas.alpha_composite(_cut(photo, outline), (dx, dy))
    if light != 1:
        dimmed = [min(255, round(v * light)) for v in range(256)]
        canvas = canvas.point(dimmed * 3 + list(range(256)))
    levels = [canvas.convert("RGBa")]
    while min(levels[-1].size) > 16:
        levels.append(levels[-1].reduce(2))
    (ax, ay), (bx, by) = entry["eyes"]
    return Figure(tuple(levels), ((ax + bx) / 2 + dx, (ay + by) / 2 + dy), math.dist((ax, ay), (bx, by)))


def _blurred(image: Image.Image, length: float) -> Image.Image:
    """Smear a premultiplied image to both sides, as a box of `length` pixels."""
    width, height = image.size
    reach = math.ceil(length / 2)
    values = np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, 4)
    sums = np.zeros((height, width + 2 * reach + 1, 4), np.float32)
    np.cumsum(np.pad(values, ((0, 0), (reach, reach), (0, 0)), "edge"), axis=1, out=sums[:, 1:])

    def between(start: int, part: float) -> NDArray[np.float32]:
        near, far = sums[:, start : start + width], sums[:, start + 1 : start + 1 + width]
        return near + (far - near) * np.float32(part)

    # Box [x + .5 - length/2, x + .5 + length/2) of the continuous coordinate.
    low, high = reach + 0.5 - length / 2, reach + 0.5 + length / 2
    mean = (between(int(high), high % 1) - between(int(low), low % 1)) / length
    return Image.frombytes("RGBa", image.size, (mean + 0.5).astype(np.uint8).tobytes())


@functools.cache
def _catalogue() -> dict[str, dict[str, Any]]:
    tree = tomllib.loads((Path(__file__).parent / "figures.toml").read_text("utf-8"))
    return {row["photograph"]: row for row in tree["figure"]}


def _curve(points: list[list[float]]) -> Points:
    """Lay a smooth closed curve through points (Catmull-Rom)."""
    p = np.asarray(points, np.float64)
    before, after, next_after = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    a, b = (after - before) / 2, (next_after - p) / 2
    parts = [
        p + u * a + u**2 * (3 * (after - p) - 2 * a - b) + u**3 * (2 * (p - after) + a + b)
        for u in np.linspace(0, 1, 8, endpoint=False)
    ]
    joined: Points = np.stack(parts, 1).reshape(-1, 2)
    return joined


def _mask(curve: Points, size: tuple[int, int]) -> Image.Image:
    """Return a mask of what a curve encloses, feathered."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in curve - 0.5], fill=255)
    return mask.filter(ImageFilter.GaussianBlur(_FEATHER))


def _painted(curve: Points, colour: list[int]) -> tuple[Image.Image, tuple[int, int]]:
    """Return a painted shape and its place: darker towards its edges, as round things are, in soft folds."""
    x, y = (int(v) for v in np.maximum(curve.min(0) - _MARGIN, 0))
    width, height = (int(v) for v in np.ceil(curve.max(0)) + _MARGIN - (x, y))
    mask = _mask(curve - (x, y), (width, height))
    round_ = np.asarray(mask.filter(ImageFilter.GaussianBlur(18)), np.float32) / 255
    rng = np.random.default_rng(len(curve))
    coarse = rng.random((height // 90 + 3, width // 22 + 3), np.float32) * 255
    folds = Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    shade = (0.2 + 0.8 * round_) * (0.8 + 0.4 / 255 * np.asarray(folds, np.float32))
    bands = [Image.fromarray(np.clip(shade * value, 0, 255).astype(np.uint8)) for value in colour[:3]]
    opacity = colour[3] / 255 if len(colour) > 3 else 1.0
    return Image.merge("RGBA", [*bands, mask.point([int(v * opacity) for v in range(256)])]), (x, y)


def _cut(photo: Image.Image, outline: Points) -> Image.Image:
    """Cut a photograph along an outline; fade it out at its own edges, where paint goes on."""
    width, height = photo.size
    across = np.clip(np.minimum(np.arange(width) + 1, width - np.arange(width)) / 5, 0, 1)
    down = np.clip((height - np.arange(height) - 2) / _SEAM, 0, 1)
    mask = _mask(outline, photo.size)
    alpha = Image.fromarray((np.asarray(mask, np.float32) * across * down[:, None]).astype(np.uint8))
    # The edge takes the person's colours from further in: nothing of the photograph's background stays.
    inner = mask.filter(ImageFilter.MinFilter(7))
    weight = np.asarray(inner, np.float32) / 255
    reach = np.maximum(np.asarray(inner.filter(ImageFilter.GaussianBlur(4)), np.float32) / 255, 1 / 255)
    bands = []
    for band in photo.split():
        known = np.asarray(band, np.float32) * weight
        spread = Image.fromarray(known.astype(np.uint8)).filter(ImageFilter.GaussianBlur(4))
        known += np.asarray(spread, np.float32) / reach * (1 - weight)
        bands.append(Image.fromarray(np.clip(known, 0, 255).astype(np.uint8)))
    return Image.merge("RGBA", [*bands, alpha])
