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
from appliance.gallery.figures import POSTER_WIDTH, Appearance, Figure, load_figure
from appliance.gallery.walks import ScriptedPerson, WalkScript

Colour = tuple[int, int, int]
Values = NDArray[np.float32]

# All lengths are in millimetres in the camera's frame, and all sizes and colours are chosen by eye. The lens
# is at the eye level of a standing person. Height of the floor.
FLOOR_Y: Final = 1560.0
# Height of the ceiling.
_CEILING: Final = -2050.0
# Distance of the far wall.
WALL_Z: Final = 6400.0
# Height of the skirting board.
_SKIRTING: Final = 160.0
# Width of a floor plank.
_PLANK: Final = 150.0
# Pictures hang up to this far to either side.
_REACH: Final = 12000.0
# A distance beyond the picture's edges.
_FAR: Final = 100000.0
# Width of a picture's frame with its shadow.
_FRAME_AND_SHADOW: Final = 150.0
# Colours of the wall, RGB; the seed selects one.
_WALLS: Final[tuple[Colour, ...]] = ((112, 122, 116), (134, 122, 108), (104, 114, 130), (138, 108, 96))
# Colour of daylight, as factors on red, green and blue.
_DAYLIGHT: Final = (0.97, 0.99, 1.0)
# Colours of picture frames, RGB; the seed selects them.
_FRAMES: Final[tuple[Colour, ...]] = ((134, 104, 54), (62, 46, 36), (96, 74, 48), (40, 38, 38))
# Colour of the floor, RGB.
_WOOD: Final[Colour] = (128, 92, 62)


@dataclass(frozen=True, slots=True)
class _WallBox:
    """A rectangle on the far wall, in millimetres."""

    x0: float
    y0: float
    x1: float
    y1: float

    def grown(self, by: float) -> "_WallBox":
        return _WallBox(self.x0 - by, self.y0 - by, self.x1 + by, self.y1 + by)

    def is_outside(self, spans: Sequence[tuple[float, float]]) -> bool:
        """Tell whether it overlaps none of the spans of the wall, (from, to) in mm."""
        return all(x1 <= self.x0 or self.x1 <= x0 for x0, x1 in spans)

    def on(self, lens: Lens) -> tuple[int, int, int, int]:
        """Return the rectangle in picture pixels."""
        (x0, y0), (x1, y1) = lens.project(self.x0, self.y0, WALL_Z), lens.project(self.x1, self.y1, WALL_Z)
        return round(x0), round(y0), round(x1), round(y1)


# The window of a room with back light.
_WINDOW: Final = _WallBox(-1900.0, -1700.0, 1900.0, 900.0)
# Number of its panes.
_PANES: Final = 4
# Half the width of the bars between them.
_BAR: Final = 40.0


def draw_empty_room(
    lens: Lens,
    seed: int,
    light: float = 1.0,
    back_light: float = 0.0,
    bare: Sequence[tuple[float, float]] = (),
) -> Image.Image:
    """Draw the room with nobody in it, as an RGB picture of the lens's size.

    The same seed gives the same room, and it contains no faces. `light` multiplies its brightness.
    `back_light` from 0 to 1 is the brightness of a window in the far wall; 0 means no window. No pictures
    hang in the `bare` parts of the wall, (from, to) in millimetres to picture right.
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


def _furnish(rng: np.random.Generator) -> tuple[list[_WallBox], _WallBox]:
    """Choose where pictures hang along the wall, and where the door is."""
    hung: list[_WallBox] = []
    right = -_REACH
    door = _WallBox(x := float(rng.uniform(1900, 2500)), -850.0, x + 1150, FLOOR_Y)
    while right < _REACH:
        width, height = float(rng.uniform(750, 1700)), float(rng.uniform(800, 1450))
        left = right + float(rng.uniform(450, 800))
        right = left + width
        if right + 250 > door.x0 and left < door.x1 + 250:
            right = door.x1
            continue
        centre = float(rng.uniform(-250, -120))
        hung.append(_WallBox(left, centre - height / 2, right, centre + height / 2))
    return hung, door


def _wall(lens: Lens, colour: Colour, hung: list[_WallBox]) -> Image.Image:
    """Paint the wall, with a spot of light from above on each picture."""
    x = (np.arange(lens.width, dtype=np.float32) + 0.5 - lens.width / 2) * WALL_Z / lens.focal
    y = (np.arange(lens.height, dtype=np.float32) + 0.5 - lens.height / 2) * WALL_Z / lens.focal
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
    """Paint floor planks that run away from the lens."""
    top = int(lens.project(0, FLOOR_Y, WALL_Z)[1])
    if top >= lens.height:
        return
    rows = np.arange(top, lens.height, dtype=np.float32) + 0.5 - lens.height / 2
    z = lens.focal * np.float32(FLOOR_Y) / rows
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
    wide = _WallBox(-_FAR, FLOOR_Y - _SKIRTING, _FAR, FLOOR_Y)
    draw.rectangle(wide.on(lens), fill=(196, 190, 178))
    x0, y0, x1, y1 = wide.on(lens)
    draw.line((x0, y0, x1, y0), fill=(226, 222, 212), width=2)
    draw.line((x0, y1, x1, y1), fill=(70, 54, 42), width=3)
    draw.rectangle(_WallBox(-_FAR, -9000, _FAR, _CEILING).on(lens), fill=(206, 202, 192))
    draw.rectangle(_WallBox(-_FAR, _CEILING - 60, _FAR, _CEILING + 90).on(lens), fill=(222, 218, 208))
    draw.rectangle(_WallBox(-_FAR, _CEILING + 90, _FAR, _CEILING + 110).on(lens), fill=(150, 146, 138))


def _doorway(picture: Image.Image, lens: Lens, door: _WallBox) -> None:
    """Paint an open door to a dim room behind."""
    draw = ImageDraw.Draw(picture)
    draw.rectangle(door.grown(120).on(lens), fill=(186, 180, 168))
    draw.rectangle(door.grown(95).on(lens), fill=(214, 209, 198))
    draw.rectangle(_WallBox(door.x0 - 130, FLOOR_Y, door.x1 + 130, FLOOR_Y + 130).on(lens), fill=_WOOD)
    x0, y0, x1, y1 = door.on(lens)
    if x1 <= 0 or x0 >= picture.width or x1 <= x0:
        return
    depth = np.linspace(0.42, 0.62, y1 - y0, dtype=np.float32)[:, None]
    across = np.linspace(1.0, 0.78, x1 - x0, dtype=np.float32)
    picture.paste(_lit(depth * across, (128, 118, 106)), (x0, y0))
    horizon = round(y1 - (y1 - y0) * 0.13)
    draw.polygon([(x0, y1), (x1, y1), (x1, horizon), (x0, horizon)], fill=(74, 56, 42))
    draw.line((x0, horizon, x1, horizon), fill=(112, 106, 98), width=4)


def _hang(picture: Image.Image, lens: Lens, place: _WallBox, rng: np.random.Generator) -> None:
    """Paint a framed picture that shows no people."""
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
    """Paint a small abstract picture: fields of colour, hills under a sky, or slanted planes."""
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
    """Paint a wide window with daylight; the room around it is darker, as a camera shows it."""
    light = Image.new("L", picture.size)
    draw = ImageDraw.Draw(light)
    draw.rectangle(_WINDOW.on(lens), fill=255)
    for x in np.linspace(_WINDOW.x0, _WINDOW.x1, _PANES + 1)[1:-1].tolist():
        draw.rectangle(_WallBox(x - _BAR, _WINDOW.y0, x + _BAR, _WINDOW.y1).on(lens), fill=0)
    floor = [(_WINDOW.x0, WALL_Z), (_WINDOW.x1, WALL_Z), (_WINDOW.x1, 2500.0), (_WINDOW.x0, 2500.0)]
    draw.polygon([lens.project(x, FLOOR_Y, z) for x, z in floor], fill=50)  # its reflection on the floor
    # A lens scatters light, mostly over a short distance.
    sharp, stray = (light.filter(ImageFilter.GaussianBlur(lens.width / part)) for part in (400, 25))
    light = ImageChops.add(sharp, stray.point([round(0.3 * v) for v in range(256)]))
    tinted = Image.merge("RGB", [light.point([round(v * bright * t) for v in range(256)]) for t in _DAYLIGHT])
    return ImageChops.add(picture.point([round(v * (1 - 0.45 * bright)) for v in range(256)] * 3), tinted)


def _bench(picture: Image.Image, lens: Lens, rng: np.random.Generator) -> None:
    """Paint a bench in front of the wall."""
    x0 = float(rng.uniform(-2600, -1400))
    x1, near, far, seat = x0 + 1500, 5000.0, 5450.0, FLOOR_Y - 440
    shadow = Image.new("L", picture.size)
    ImageDraw.Draw(shadow).polygon(
        [
            lens.project(*corner)
            for corner in (
                (x0 - 60, FLOOR_Y, near - 60),
                (x1 + 60, FLOOR_Y, near - 60),
                (x1 + 60, FLOOR_Y, far),
                (x0 - 60, FLOOR_Y, far),
            )
        ],
        fill=150,
    )
    picture.paste((20, 14, 10), (0, 0), shadow.filter(ImageFilter.GaussianBlur(6)))
    draw = ImageDraw.Draw(picture)
    for z, colour in ((far, (22, 20, 20)), (near, (34, 31, 30))):
        for x in (x0 + 60, x1 - 130):
            draw.rectangle((*lens.project(x, seat, z), *lens.project(x + 70, FLOOR_Y, z)), fill=colour)
    draw.rectangle((*lens.project(x0, seat, near), *lens.project(x1, seat + 110, near)), fill=(58, 40, 34))
    top = [(x0, seat, near), (x1, seat, near), (x1, seat, far), (x0, seat, far)]
    draw.polygon([lens.project(*corner) for corner in top], fill=(104, 74, 60))


# Extra length of the strip of noise, in values: each picture uses another part of the strip, because new
# noise for each picture would take longer than everything else.
_SPARE_NOISE = 1 << 17
# Fraction of their light that people lose in front of the brightest window (chosen by eye).
_BACK_LIGHT_LOSS = 0.78


class GalleryRenderer:
    """Renders a walk as seen through a lens.

    A picture depends only on the walk, the lens, the time and the picture's number.
    """

    def __init__(self, walk: WalkScript, lens: Lens) -> None:
        """Draw the room and cut out its people; raises `BadAsset` if a photograph is missing."""
        self.walk, self.lens = walk, lens
        spec = walk.room
        bare = [_behind(person) for person in walk.people if person.kind == "poster"]
        self._scenery = draw_empty_room(lens, spec.seed, spec.light, spec.back_light, bare)
        self._figures: dict[tuple[str, Appearance], Figure] = {}
        for person in walk.people:
            # A poster hangs on a wall that the windows in the other walls light.
            dark = 1.0 if person.kind == "poster" else 1 - _BACK_LIGHT_LOSS * spec.back_light
            looks: tuple[Appearance, ...] = (person.kind, "back") if person.turned_away else (person.kind,)
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
        number : of the picture, >= 0; it selects the noise
        """
        picture = self._scenery.copy()
        into = time % self.walk.duration
        there = [(v, person) for person in self.walk.people if (v := person.state_at(into))]
        for visitor, person in sorted(there, key=lambda each: -each[0].z_mm):
            scale = self.lens.focal / visitor.z_mm
            self._figures[person.photograph, person.kind if visitor.facing else "back"].draw(
                picture,
                self.lens.project(visitor.x_mm, visitor.y_mm, visitor.z_mm),
                visitor.eye_distance_mm * scale,
                mirrored=person.mirrored,
                blur=abs(visitor.vx_mm_s) * scale * self.walk.room.exposure,
                floor=self.lens.project(0, FLOOR_Y, visitor.z_mm)[1],
                pose=visitor.pose,
            )
        return self._grain(np.array(picture), number)

    def _grain(self, pixels: Pixels, number: int) -> Pixels:
        if self._noise is None:
            return pixels
        start = number * 2654435761 % _SPARE_NOISE
        flat = pixels.reshape(-1)
        sums = np.add(flat, self._noise[start : start + flat.size], out=self._sums)
        np.clip(sums, 0, 255, out=sums)
        flat[...] = sums
        return pixels


def _behind(poster: ScriptedPerson) -> tuple[float, float]:
    """Return the part of the wall that a poster hides, as (left, right) in mm."""
    aside = POSTER_WIDTH / 2 * poster.eye_distance_mm
    x, z = poster.x.values[0], poster.z.values[0]
    return (x - aside) * WALL_Z / z, (x + aside) * WALL_Z / z


def _noise(count: int, sigma: float, seed: int) -> NDArray[np.int16] | None:
    if sigma == 0:
        return None
    out = np.empty(count + _SPARE_NOISE, np.int16)
    rng = np.random.default_rng(seed)
    for part in np.array_split(out, 16):  # in parts, so that not all float values exist at once
        part[...] = np.rint(rng.standard_normal(part.size, np.float32) * np.float32(sigma))
    return out
