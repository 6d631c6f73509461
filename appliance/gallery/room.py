"""Pictures of the simulated gallery: the empty room in perspective, the people in it, the sensor's noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from appliance.camera.lens import Lens
from appliance.camera.sampling import Pixels
from appliance.gallery.figures import POSTER_WIDTH, Figure, Look, load_figure
from appliance.gallery.walks import Person, Walk

Colour = tuple[int, int, int]
Values = NDArray[np.float32]

# Millimetres in the camera's frame; the lens is at a standing person's eye level.
FLOOR: Final = 1560.0
_CEILING: Final = -2050.0
WALL: Final = 6400.0
_SKIRTING: Final = 160.0
_PLANK: Final = 150.0
_REACH: Final = 12000.0  # pictures hang this far to either side
_FAR: Final = 100000.0
_FRAME_AND_SHADOW: Final = 150.0

_WALLS: Final[tuple[Colour, ...]] = ((112, 122, 116), (134, 122, 108), (104, 114, 130), (138, 108, 96))
_DAYLIGHT: Final = (0.97, 0.99, 1.0)
_FRAMES: Final[tuple[Colour, ...]] = ((134, 104, 54), (62, 46, 36), (96, 74, 48), (40, 38, 38))
_WOOD: Final[Colour] = (128, 92, 62)


@dataclass(frozen=True, slots=True)
class _Place:
    """A rectangle on the far wall, in millimetres."""

    x0: float
    y0: float
    x1: float
    y1: float

    def grown(self, by: float) -> "_Place":
        return _Place(self.x0 - by, self.y0 - by, self.x1 + by, self.y1 + by)

    def is_outside(self, spans: Sequence[tuple[float, float]]) -> bool:
        """Tell whether it reaches into none of some spans of the wall, (from, to) in millimetres."""
        return all(x1 <= self.x0 or self.x1 <= x0 for x0, x1 in spans)

    def on(self, lens: Lens) -> tuple[int, int, int, int]:
        """Return the rectangle in picture pixels."""
        (x0, y0), (x1, y1) = lens.project(self.x0, self.y0, WALL), lens.project(self.x1, self.y1, WALL)
        return round(x0), round(y0), round(x1), round(y1)


# The window of a room with back light: its panes, and half the width of the bars between them.
_WINDOW: Final = _Place(-1900.0, -1700.0, 1900.0, 900.0)
_PANES: Final = 4
_BAR: Final = 40.0


def draw_scenery(
    lens: Lens,
    seed: int,
    light: float = 1.0,
    back_light: float = 0.0,
    bare: Sequence[tuple[float, float]] = (),
) -> Image.Image:
    """Draw the room with nobody in it, as an RGB picture of the lens's size.

    The same seed gives the same room; `light` multiplies its brightness. There are no faces in it.
    `back_light` from 0 to 1 is how bright a window in the far wall is; 0 leaves it out. No pictures hang
    in the `bare` parts of the wall, (from, to) in millimetres to picture right.
    """
    rng = np.random.default_rng(seed)
    fine = Lens(lens.width * 2, lens.height * 2, lens.horizontal_fov)
    hung, door = _furnish(rng)
    bare = [*bare, (_WINDOW.x0, _WINDOW.x1)] if back_light else bare
    hung = [place for place in hung if place.grown(_FRAME_AND_SHADOW).is_outside(bare)]
    picture = _wall(fine, _WALLS[seed % len(_WALLS)], hung)
    _floor(picture, fine, rng)
    _trim(picture, fine)
    _doorway(picture, fine, door)
    for place in hung:
        _hang(picture, fine, place, rng)
    _bench(picture, fine, rng)
    if back_light:
        picture = _window(picture, fine, back_light)
    small = picture.filter(ImageFilter.GaussianBlur(lens.width / 640)).reduce(2)
    return small if light == 1 else small.point([min(255, round(v * light)) for v in range(256)] * 3)


def _furnish(rng: np.random.Generator) -> tuple[list[_Place], _Place]:
    """Choose where pictures hang along the wall, and where the door is."""
    hung: list[_Place] = []
    right = -_REACH
    door = _Place(x := float(rng.uniform(1900, 2500)), -850.0, x + 1150, FLOOR)
    while right < _REACH:
        width, height = float(rng.uniform(750, 1700)), float(rng.uniform(800, 1450))
        left = right + float(rng.uniform(450, 800))
        right = left + width
        if right + 250 > door.x0 and left < door.x1 + 250:
            right = door.x1
            continue
        centre = float(rng.uniform(-250, -120))
        hung.append(_Place(left, centre - height / 2, right, centre + height / 2))
    return hung, door


def _wall(lens: Lens, colour: Colour, hung: list[_Place]) -> Image.Image:
    """Paint the wall, lit from above with a pool of light over each picture."""
    x = (np.arange(lens.width, dtype=np.float32) + 0.5 - lens.width / 2) * WALL / lens.focal
    y = (np.arange(lens.height, dtype=np.float32) + 0.5 - lens.height / 2) * WALL / lens.focal
    glow = np.full((lens.height, lens.width), 0.72, np.float32)
    glow += np.linspace(0.1, -0.12, lens.height, dtype=np.float32)[:, None]
    for place in hung:
        across = np.exp(-(((x - (place.x0 + place.x1) / 2) / (place.x1 - place.x0)) ** 2))
        down = np.exp(-(((y - place.y0) / 1000) ** 2))
        glow += 0.26 * down[:, None] * across
    return _lit(glow, colour)


def _lit(glow: Values, colour: Colour) -> Image.Image:
    bands = [Image.fromarray(np.clip(glow * value, 0, 255).astype(np.uint8)) for value in colour]
    return Image.merge("RGB", bands)


def _floor(picture: Image.Image, lens: Lens, rng: np.random.Generator) -> None:
    """Lay planks that run away from the lens, with a dull reflection of the wall."""
    top = int(lens.project(0, FLOOR, WALL)[1])
    if top >= lens.height:
        return
    rows = np.arange(top, lens.height, dtype=np.float32) + 0.5 - lens.height / 2
    z = lens.focal * np.float32(FLOOR) / rows
    x = (np.arange(lens.width, dtype=np.float32) + 0.5 - lens.width / 2)[None, :] * (z / lens.focal)[:, None]
    plank = np.floor(x / _PLANK).astype(np.int32)
    length = np.floor(z[:, None] / 1300 + (plank * 0.37) % 1).astype(np.int32)
    tone = rng.uniform(0.86, 1.08, 997).astype(np.float32)[(plank * 31 + length * 57) % 997]
    tone[np.abs(x / _PLANK - np.round(x / _PLANK)) < 0.03] *= 0.8
    tone *= np.linspace(1.0, 0.74, len(z), dtype=np.float32)[:, None]
    picture.paste(_lit(tone, _WOOD), (0, top))


def _trim(picture: Image.Image, lens: Lens) -> None:
    """Add the skirting board, the cornice and the ceiling."""
    draw = ImageDraw.Draw(picture)
    wide = _Place(-_FAR, FLOOR - _SKIRTING, _FAR, FLOOR)
    draw.rectangle(wide.on(lens), fill=(196, 190, 178))
    x0, y0, x1, y1 = wide.on(lens)
    draw.line((x0, y0, x1, y0), fill=(226, 222, 212), width=2)
    draw.line((x0, y1, x1, y1), fill=(70, 54, 42), width=3)
    draw.rectangle(_Place(-_FAR, -9000, _FAR, _CEILING).on(lens), fill=(206, 202, 192))
    draw.rectangle(_Place(-_FAR, _CEILING - 60, _FAR, _CEILING + 90).on(lens), fill=(222, 218, 208))
    draw.rectangle(_Place(-_FAR, _CEILING + 90, _FAR, _CEILING + 110).on(lens), fill=(150, 146, 138))


def _doorway(picture: Image.Image, lens: Lens, door: _Place) -> None:
    """Open a door to a dim room behind."""
    draw = ImageDraw.Draw(picture)
    draw.rectangle(door.grown(120).on(lens), fill=(186, 180, 168))
    draw.rectangle(door.grown(95).on(lens), fill=(214, 209, 198))
    draw.rectangle(_Place(door.x0 - 130, FLOOR, door.x1 + 130, FLOOR + 130).on(lens), fill=_WOOD)
    x0, y0, x1, y1 = door.on(lens)
    if x1 <= 0 or x0 >= picture.width or x1 <= x0:
        return
    depth = np.linspace(0.42, 0.62, y1 - y0, dtype=np.float32)[:, None]
    across = np.linspace(1.0, 0.78, x1 - x0, dtype=np.float32)
    picture.paste(_lit(depth * across, (128, 118, 106)), (x0, y0))
    horizon = round(y1 - (y1 - y0) * 0.13)
    draw.polygon([(x0, y1), (x1, y1), (x1, horizon), (x0, horizon)], fill=(74, 56, 42))
    draw.line((x0, horizon, x1, horizon), fill=(112, 106, 98), width=4)


def _hang(picture: Image.Image, lens: Lens, place: _Place, rng: np.random.Generator) -> None:
    """Hang a framed picture without any figure in it."""
    frame = _FRAMES[int(rng.integers(len(_FRAMES)))]
    x0, y0, x1, y1 = place.grown(70).on(lens)
    art = _abstract(rng)
    if x1 <= 0 or x0 >= picture.width:
        return
    shadow = Image.new("L", (x1 - x0 + 60, y1 - y0 + 60))
    ImageDraw.Draw(shadow).rectangle((26, 34, x1 - x0 + 30, y1 - y0 + 42), fill=130)
    picture.paste((24, 20, 18), (x0 - 30, y0 - 30), shadow.filter(ImageFilter.GaussianBlur(8)))
    draw = ImageDraw.Draw(picture)
    for inset, gain in ((0, 0.75), (12, 1.3), (26, 1.0), (52, 0.6)):
        shade = tuple(min(255, int(v * gain)) for v in frame)
        draw.rectangle(place.grown(70 - inset).on(lens), fill=shade)
    x0, y0, x1, y1 = place.on(lens)
    picture.paste(art.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC), (x0, y0))


def _abstract(rng: np.random.Generator) -> Image.Image:
    """Paint a small abstract picture: fields of colour, hills under a sky, or leaning planes."""
    side = 384
    dark, *palette = (
        tuple(int(v) for v in row) for row in rng.integers((60, 45, 40), (205, 175, 150), (5, 3))
    )
    art = Image.new("RGB", (side, side), dark)
    draw = ImageDraw.Draw(art)
    kind = int(rng.integers(3))
    if kind == 0:
        edges = [24, *np.sort(rng.integers(80, 304, 2)).tolist(), 360]
        for (top, bottom), colour in zip(pairwise(edges), palette, strict=False):
            draw.rectangle((28, top + 8, 356, max(top + 9, bottom - 8)), fill=colour)
        return art.filter(ImageFilter.GaussianBlur(9)).resize((96, 96), Image.Resampling.BOX)
    if kind == 1:
        sky = np.linspace(0.75, 1.2, side, dtype=np.float32)[:, None] * np.ones(side, np.float32)
        art.paste(_lit(sky, (150, 160, 166)), (0, 0))
        line = float(rng.uniform(170, 240))
        for depth, colour in enumerate(palette, 2):
            ridge = line + depth * 34 + np.cumsum(np.cumsum(rng.normal(0, 1.1, 49)))
            hill = [(i * 8, float(v)) for i, v in enumerate(ridge)]
            hazy = tuple(int(v * 0.22 * depth / 3 + 150 / depth) for v in colour)
            draw.polygon([(0, side), *hill, (side, side)], fill=hazy)
        return art.filter(ImageFilter.GaussianBlur(3)).resize((96, 96), Image.Resampling.BOX)
    for colour in palette:
        x, width, lean = (float(v) for v in rng.uniform((0, 40, -120), (320, 140, 120)))
        draw.polygon([(x, 0), (x + width, 0), (x + width + lean, side), (x + lean, side)], fill=colour)
    return art.filter(ImageFilter.GaussianBlur(2)).resize((96, 96), Image.Resampling.BOX)


def _window(picture: Image.Image, lens: Lens, bright: float) -> Image.Image:
    """Let daylight in through a wide window; beside it the room is dark, as cameras show it."""
    light = Image.new("L", picture.size)
    draw = ImageDraw.Draw(light)
    draw.rectangle(_WINDOW.on(lens), fill=255)
    for x in np.linspace(_WINDOW.x0, _WINDOW.x1, _PANES + 1)[1:-1].tolist():
        draw.rectangle(_Place(x - _BAR, _WINDOW.y0, x + _BAR, _WINDOW.y1).on(lens), fill=0)
    floor = [(_WINDOW.x0, WALL), (_WINDOW.x1, WALL), (_WINDOW.x1, 2500.0), (_WINDOW.x0, 2500.0)]
    draw.polygon([lens.project(x, FLOOR, z) for x, z in floor], fill=50)  # what the floor reflects
    # In a lens light strays, most of it not far.
    sharp, stray = (light.filter(ImageFilter.GaussianBlur(lens.width / part)) for part in (400, 25))
    light = ImageChops.add(sharp, stray.point([round(0.3 * v) for v in range(256)]))
    tinted = Image.merge("RGB", [light.point([round(v * bright * t) for v in range(256)]) for t in _DAYLIGHT])
    return ImageChops.add(picture.point([round(v * (1 - 0.45 * bright)) for v in range(256)] * 3), tinted)


def _bench(picture: Image.Image, lens: Lens, rng: np.random.Generator) -> None:
    """Stand a bench before the wall."""
    x0 = float(rng.uniform(-2600, -1400))
    x1, near, far, seat = x0 + 1500, 5000.0, 5450.0, FLOOR - 440
    shadow = Image.new("L", picture.size)
    ImageDraw.Draw(shadow).polygon(
        [
            lens.project(*corner)
            for corner in (
                (x0 - 60, FLOOR, near - 60),
                (x1 + 60, FLOOR, near - 60),
                (x1 + 60, FLOOR, far),
                (x0 - 60, FLOOR, far),
            )
        ],
        fill=150,
    )
    picture.paste((20, 14, 10), (0, 0), shadow.filter(ImageFilter.GaussianBlur(6)))
    draw = ImageDraw.Draw(picture)
    for z, colour in ((far, (22, 20, 20)), (near, (34, 31, 30))):
        for x in (x0 + 60, x1 - 130):
            draw.rectangle((*lens.project(x, seat, z), *lens.project(x + 70, FLOOR, z)), fill=colour)
    draw.rectangle((*lens.project(x0, seat, near), *lens.project(x1, seat + 110, near)), fill=(58, 40, 34))
    top = [(x0, seat, near), (x1, seat, near), (x1, seat, far), (x0, seat, far)]
    draw.polygon([lens.project(*corner) for corner in top], fill=(104, 74, 60))


# Noise is cut from one long strip at another place for every picture: drawing it anew would take
# longer than everything else.
_SPARE = 1 << 17
# How much of their light people lose before the brightest window.
_AGAINST_LIGHT = 0.78


class Room:
    """A walk seen through a lens.

    What is drawn depends on the walk, the lens, the time and the picture's number alone.
    """

    def __init__(self, walk: Walk, lens: Lens) -> None:
        """Furnish the room and cut out its people; raises `BadAsset` if a photograph is missing."""
        self.walk, self.lens = walk, lens
        spec = walk.room
        bare = [_behind(person) for person in walk.people if person.kind == "poster"]
        self._scenery = draw_scenery(lens, spec.seed, spec.light, spec.back_light, bare)
        self._figures: dict[tuple[str, Look], Figure] = {}
        for person in walk.people:
            # A poster hangs on a wall, which the other walls' windows light.
            dark = 1.0 if person.kind == "poster" else 1 - _AGAINST_LIGHT * spec.back_light
            looks: tuple[Look, ...] = (person.kind, "back") if person.turned_away else (person.kind,)
            for look in looks:
                if (person.photograph, look) not in self._figures:
                    figure = load_figure(person.photograph, spec.light * dark, look)
                    self._figures[person.photograph, look] = figure
        self._noise = _noise(lens.width * lens.height * 3, spec.noise, spec.seed)
        self._sums = np.empty(lens.width * lens.height * 3, np.int16)

    def draw(self, time: float, number: int) -> Pixels:
        """Return a picture, `time` seconds after the walk began, as uint8 of shape (height, width, 3).

        Parameters
        ----------
        time : middle of the exposure
        number : of the picture, >= 0; chooses its noise
        """
        picture = self._scenery.copy()
        into = time % self.walk.duration
        there = [(v, person) for person in self.walk.people if (v := person.at(into))]
        for visitor, person in sorted(there, key=lambda each: -each[0].z_mm):
            scale = self.lens.focal / visitor.z_mm
            self._figures[person.photograph, person.kind if visitor.facing else "back"].draw(
                picture,
                self.lens.project(visitor.x_mm, visitor.y_mm, visitor.z_mm),
                visitor.eye_distance_mm * scale,
                mirrored=person.mirrored,
                blur=abs(visitor.vx_mm_s) * scale * self.walk.room.exposure,
                floor=self.lens.project(0, FLOOR, visitor.z_mm)[1],
                pose=visitor.pose,
            )
        return self._grain(np.array(picture), number)

    def _grain(self, pixels: Pixels, number: int) -> Pixels:
        if self._noise is None:
            return pixels
        start = number * 2654435761 % _SPARE
        flat = pixels.reshape(-1)
        sums = np.add(flat, self._noise[start : start + flat.size], out=self._sums)
        np.clip(sums, 0, 255, out=sums)
        flat[...] = sums
        return pixels


def _behind(poster: Person) -> tuple[float, float]:
    """Return the part of the wall that a poster hides, from left to right in mm; it hangs near the wall."""
    aside = POSTER_WIDTH / 2 * poster.eye_distance_mm
    x, z = poster.x.values[0], poster.z.values[0]
    return (x - aside) * WALL / z, (x + aside) * WALL / z


def _noise(count: int, sigma: float, seed: int) -> NDArray[np.int16] | None:
    if sigma == 0:
        return None
    out = np.empty(count + _SPARE, np.int16)
    rng = np.random.default_rng(seed)
    for part in np.array_split(out, 16):  # a little at a time: the float values need not all exist at once
        part[...] = np.rint(rng.standard_normal(part.size, np.float32) * np.float32(sigma))
    return out
