"""People cut out of photographs, so that they can stand in a simulated room."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from appliance.assets import photograph_path
from appliance.errors import BadManifest
from appliance.gallery.body_motion import FACING_CAMERA, HeadPose, turn_head
from appliance.images import read_image
from appliance.schema import ANY_TEXT, TABLES, CheckedTable, Predicate, parse_toml, read_toml_text

Point = tuple[float, float]
Points = NDArray[np.float64]
# A person from the front or from behind, a statue of them, or their photograph in a frame.
Appearance = Literal["person", "back", "statue", "poster"]

# Blur of a cut-out's edge, as a sigma in pixels of the photograph (chosen by eye, as all of these).
_FEATHER_PX: Final = 1.4
# Rows over which the photograph fades into the painted body.
_SEAM_ROWS: Final = 26
# Transparent border around a figure, in pixels of the photograph.
_MARGIN_PX: Final = 8
# Colour of a statue's stone, as factors on red, green and blue.
_STONE_TINT: Final = (1.03, 1.0, 0.95)
# Darkest grey level of the stone.
_STONE_DARKEST: Final = 55
# Fraction of the photograph's contrast that the stone keeps.
_STONE_CONTRAST: Final = 0.65
# Colour of a poster's wooden frame.
_FRAME_COLOUR: Final = (96, 74, 48)
# Width of that frame, in eye distances.
_FRAME_WIDTH: Final = 0.5
# A poster shows the photograph this far to each side of the eyes, in eye distances.
_ASIDE: Final = 3.3
# The same above the eyes.
_ABOVE: Final = 2.9
# The same below the eyes.
_BELOW: Final = 4.2
# Width of a poster with its frame, in eye distances.
POSTER_WIDTH: Final = 2 * (_ASIDE + _FRAME_WIDTH)
_CURVE: Final = Predicate(lambda v: len(v) >= 3 and _are_points(v), "three points [x, y] or more")
_COLOUR: Final = Predicate(
    lambda v: _are_numbers(v) and len(v) in (3, 4) and all(0 <= part <= 255 for part in v),
    "[red, green, blue] or [red, green, blue, opacity], each from 0 to 255",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A person on a transparent background, ready to be drawn at any size.

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
        pose: HeadPose = FACING_CAMERA,
    ) -> None:
        """Draw the figure onto an RGB picture.

        Parameters
        ----------
        eyes : where the eye midpoint is drawn, in picture pixels, continuous coordinates; may be outside
        eye_distance : in picture pixels
        mirrored : whether picture left and right of the figure are exchanged
        blur : length of its sideways motion during the exposure, in picture pixels
        floor : row below which nothing is drawn, in picture pixels
        pose : of the head
        """
        scale = eye_distance / self.eye_distance
        # The coarsest level about as fine as the picture: a level that is a seventh coarser looks the same
        # and takes half the time. Pillow averages the rest while resizing, to a fraction of a pixel.
        level = min(max(0, math.floor(0.2 - math.log2(scale))), len(self.levels) - 1)
        source = self.levels[level]
        scale *= 2**level
        x, y = (value / 2**level for value in self.eye_midpoint)
        unit, before = self.eye_distance / 2**level, (x, y)
        pose = pose.mirrored() if mirrored else pose
        aside, down = pose.eyes()
        x, y = x + aside * unit, y + down * unit
        if mirrored:
            x = source.width - x
        left = max(0, math.ceil(eyes[0] - x * scale))
        top = max(0, math.ceil(eyes[1] - y * scale))
        right = min(picture.width, math.floor(eyes[0] + (source.width - x) * scale))
        bottom = min(picture.height, math.floor(min(floor, eyes[1] + (source.height - y) * scale)))
        if right <= left or bottom <= top:
            return
        if pose != FACING_CAMERA:
            source = turn_head(source, before, unit, pose)
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
    """List the photographs that people can be cut out of."""
    return tuple(_catalogue())


def load_figure(photograph: str, light: float = 1.0, look: Appearance = "person") -> Figure:
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
    eyes = np.array(entry["eyes"])
    canvas, shift = _framed(photo, eyes) if look == "poster" else _cut_out(photo, entry, look)
    if light != 1:
        dimmed = [min(255, round(v * light)) for v in range(256)]
        canvas = canvas.point(dimmed * 3 + list(range(256)))
    levels = [canvas.convert("RGBa")]
    while min(levels[-1].size) > 16:
        levels.append(levels[-1].reduce(2))
    x, y = (float(v) for v in eyes.mean(0) + shift)
    return Figure(tuple(levels), (x, y), math.dist(*eyes.tolist()))


def _cut_out(photo: Image.Image, entry: dict[str, Any], look: Appearance) -> tuple[Image.Image, Points]:
    """Return a person on a transparent background, and the shift of the photograph's coordinates."""
    paints = [(_curve(paint["points"]), paint["colour"]) for paint in entry["paint"]]
    outline = _curve(entry["outline"])
    # All coordinates move by whole pixels, so that parts beyond the photograph fit.
    every = np.concatenate([outline, *(shape for shape, _ in paints)])
    shift = np.ceil(_MARGIN_PX - np.minimum(every.min(0), 0))
    width, height = (int(v) for v in np.ceil(every.max(0)) + shift + _MARGIN_PX)
    canvas = Image.new("RGBA", (width, height))
    for shape, colour in paints:
        canvas.alpha_composite(*_painted(shape + shift, colour))
    canvas.alpha_composite(_cut(photo, outline), (int(shift[0]), int(shift[1])))
    if look == "back":
        canvas = _from_behind(canvas, np.array(entry["eyes"]) + shift, entry["hair"])
    if look == "statue":
        stone = canvas.convert("L").point([round(_STONE_DARKEST + v * _STONE_CONTRAST) for v in range(256)])
        bands = [stone.point([min(255, round(v * tint)) for v in range(256)]) for tint in _STONE_TINT]
        canvas = Image.merge("RGBA", [*bands, canvas.getchannel("A")])
    return canvas, shift


def _from_behind(canvas: Image.Image, eyes: Points, hair: list[int]) -> Image.Image:
    """Cover face and ears with strands of hair that are darker at the sides."""
    unit, (x, y) = math.dist(*eyes.tolist()), eyes.mean(0)
    across = (np.arange(canvas.width, dtype=np.float32) + 0.5 - x) / unit
    down = (np.arange(canvas.height, dtype=np.float32)[:, None] + 0.5 - y) / unit
    hidden = np.clip(0.5 + 6 * (1 - np.hypot(across / 1.7, (down - 0.1) / 2.1)), 0, 1)
    coarse = np.random.default_rng(3).standard_normal(
        (round(down.size / unit), round(12 * across.size / unit))
    )
    strands = Image.fromarray(coarse.astype(np.float32)).resize(canvas.size, Image.Resampling.BICUBIC)
    shade = (1 - 0.3 * np.clip((across / 1.4) ** 2, 0, 1)) * (1 + 0.3 * np.asarray(strands))
    bands = [Image.fromarray(np.clip(shade * value, 0, 255).astype(np.uint8)) for value in hair]
    covered = Image.merge("RGBA", [*bands, canvas.getchannel("A")])
    return Image.composite(covered, canvas, Image.fromarray((hidden * 255).astype(np.uint8)))


def _framed(photo: Image.Image, eyes: Points) -> tuple[Image.Image, Points]:
    """Return the framed part of a photograph around the face, and the shift of its coordinates."""
    unit = math.dist(*eyes.tolist())
    (x, y), wood = eyes.mean(0), round(_FRAME_WIDTH * unit)
    left, top = max(0, round(x - _ASIDE * unit)), max(0, round(y - _ABOVE * unit))
    right, bottom = min(photo.width, round(x + _ASIDE * unit)), min(photo.height, round(y + _BELOW * unit))
    width, height = right - left + 2 * wood, bottom - top + 2 * wood
    canvas = Image.new("RGBA", (width + 2 * _MARGIN_PX, height + 2 * _MARGIN_PX))
    draw = ImageDraw.Draw(canvas)
    for part, gain in ((0.0, 0.75), (0.2, 1.3), (0.4, 1.0), (0.8, 0.6)):
        edge = _MARGIN_PX + round(part * wood)
        shade = tuple(min(255, round(v * gain)) for v in _FRAME_COLOUR)
        draw.rectangle((edge, edge, canvas.width - edge - 1, canvas.height - edge - 1), fill=shade)
    place = _MARGIN_PX + wood
    canvas.paste(photo.crop((left, top, right, bottom)), (place, place))
    return canvas, np.array([place - left, place - top], np.float64)


def _blurred(image: Image.Image, length: float) -> Image.Image:
    """Blur a premultiplied image horizontally with a box of `length` pixels."""
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
    path = Path(__file__).parent / "figures.toml"
    return parse_catalogue(read_toml_text(path), str(path))


def parse_catalogue(text: str, name: str) -> dict[str, dict[str, Any]]:
    """Read a catalogue of photographs from text; `name` is what errors call it. Raises `BadManifest`."""

    def checked(values: dict[str, Any], where: str, *keys: str) -> CheckedTable:
        table = CheckedTable(values, lambda _: f"{name}: {where}", BadManifest)
        table.check_keys(keys)
        return table

    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(checked(parse_toml(text), "", "figure").get("figure", list, TABLES), 1):
        where = f"figure {number}: "
        figure = checked(row, where, "photograph", "eyes", "hair", "outline", "paint")
        figure.get("eyes", list, Predicate(lambda v: _are_points(v) and len(v) == 2, "two points [x, y]"))
        figure.get("hair", list, _COLOUR)
        figure.get("outline", list, _CURVE)
        for part in figure.get("paint", list, TABLES):
            paint = checked(part, f"{where}paint: ", "colour", "points")
            paint.get("colour", list, _COLOUR)
            paint.get("points", list, _CURVE)
        found[figure.get("photograph", str, ANY_TEXT)] = row
    return found


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) in (int, float) and math.isfinite(v) for v in values)


def _are_points(points: list[Any]) -> bool:
    return all(_are_numbers(point) and len(point) == 2 for point in points)


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
    return mask.filter(ImageFilter.GaussianBlur(_FEATHER_PX))


def _painted(curve: Points, colour: list[int]) -> tuple[Image.Image, tuple[int, int]]:
    """Return a painted shape and its place: darker towards its edges, like a round body, with soft folds."""
    x, y = (int(v) for v in np.maximum(curve.min(0) - _MARGIN_PX, 0))
    width, height = (int(v) for v in np.ceil(curve.max(0)) + _MARGIN_PX - (x, y))
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
    """Cut a photograph along an outline, and fade it out at its own edges, where paint continues."""
    width, height = photo.size
    across = np.clip(np.minimum(np.arange(width) + 1, width - np.arange(width)) / 5, 0, 1)
    down = np.clip((height - np.arange(height) - 2) / _SEAM_ROWS, 0, 1)
    mask = _mask(outline, photo.size)
    alpha = Image.fromarray((np.asarray(mask, np.float32) * across * down[:, None]).astype(np.uint8))
    # The edge takes the person's colours from further inside, so that no background of the photograph
    # remains.
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
