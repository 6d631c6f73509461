"""Draws the demo's film: what the camera saw, what the sitter did, and where both looked over time."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from appliance.bench.error import direction_of
from appliance.camera.averaging import Region
from appliance.camera.base import Picture, RgbPicture
from appliance.gaze.geometry import Direction
from appliance.grid import Box, FrameGrid
from appliance.pack import Pack
from appliance.vision.blazeface import Face, FaceDetector

RATE: Final = 12.5
VIEW: Final = (480, 270)
_GAP, _EYES, _CHART = 12, (480, 132), (480, 69)
_PORTRAIT: Final = (324, 576)
_SIZE: Final = (VIEW[0] + _PORTRAIT[0] + 3 * _GAP, _PORTRAIT[1] + 2 * _GAP)
_BACK, _TEXT, VIEWER, _SITTER = "#16140f", "#d8d0bd", "#e0a030", "#6fb7c9"


@dataclass(frozen=True, slots=True)
class Shot:
    """One moment of the film.

    `view` is the camera's picture as a small JPEG; `faces` are in pixels of the picture itself,
    which was `width` wide. `viewer` is the true direction to the viewer, None when nobody is in view;
    `frame` is the number of the frame that is lit.
    """

    view: bytes
    width: int
    faces: Sequence[Face]
    viewer: Direction | None
    frame: int


@dataclass(frozen=True, slots=True)
class _Chart:
    """One direction over the time of the film, in degrees; `ends` are the lowest and the highest shown.

    `place` is what the grid of frames has in this direction: "column" or "row".
    """

    name: str
    place: str
    viewer: Sequence[float | None]
    sitter: Sequence[float]
    ends: tuple[float, float]


def film(shots: Sequence[Shot], pack: Pack) -> bytes:
    """Return an animated WebP of the shots."""
    frames = _Frames(pack)
    charts = _charts(shots, pack.info.main)
    images = [_draw(shots, i, frames, charts) for i in range(len(shots))]
    packed = io.BytesIO()
    images[0].save(
        packed,
        "WEBP",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / RATE),
        loop=0,
        quality=62,
        method=2,
    )
    return packed.getvalue()


def small_view(picture: Picture) -> bytes:
    """Return a picture as a small JPEG, in memory only."""
    packed = io.BytesIO()
    Image.fromarray(picture.rgb()).resize(VIEW, Image.Resampling.BILINEAR).save(packed, "JPEG", quality=90)
    return packed.getvalue()


class _Frames:
    """The pack's frames: the whole painting and a close-up of the eyes, made when first wanted."""

    def __init__(self, pack: Pack) -> None:
        self._pack, self.grid = pack, pack.info.main
        self._painting = pack.base()
        self._around_eyes = _around_eyes(self._painting, self.grid.box)
        self._made: dict[int, tuple[Image.Image, Image.Image]] = {}

    def made(self, frame: int) -> tuple[Image.Image, Image.Image]:
        """Return the painting and the eyes in a frame."""
        if frame not in self._made:
            self._painting.paste(self._pack.patch(frame), self.grid.box[:2])
            self._made[frame] = (
                ImageOps.contain(self._painting, _PORTRAIT, Image.Resampling.LANCZOS),
                self._painting.resize(_EYES, Image.Resampling.LANCZOS, self._around_eyes),
            )
        return self._made[frame]


def _around_eyes(painting: Image.Image, box: Box) -> tuple[float, float, float, float]:
    """Return the part of a painting around the sitter's eyes, of the close-up's shape."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0) * 1.2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    picture = RgbPicture(np.asarray(painting), 0.0, 0)
    region = Region(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    faces = FaceDetector("short", 0.1).detect(picture, region)
    half = (x1 - x0) * 0.56
    if faces:  # a portrait's patch may be as large as the head
        (x, y), half = faces[0].eye_midpoint, faces[0].eye_distance * 1.1
    rise = half * _EYES[1] / _EYES[0]
    return max(x - half, 0), max(y - rise, 0), min(x + half, painting.width), min(y + rise, painting.height)


def _charts(shots: Sequence[Shot], grid: FrameGrid) -> list[_Chart]:
    """Return the chart of the gaze sideways, and that of the gaze up and down."""
    charts = []
    for axis, (name, place) in enumerate((("sideways", "column"), ("up and down", "row"))):
        viewer = [None if shot.viewer is None else shot.viewer[axis] for shot in shots]
        sitter = [direction_of(grid, shot.frame)[axis] for shot in shots]
        reached = [*(angle for angle in viewer if angle is not None), *(grid.angles, grid.pitches)[axis]]
        # At least a degree to each side: a grid of one row reaches nowhere.
        charts.append(_Chart(name, place, viewer, sitter, (min(*reached, -1.0), max(*reached, 1.0))))
    return charts


def _draw(shots: Sequence[Shot], i: int, frames: _Frames, charts: Sequence[_Chart]) -> Image.Image:
    shot = shots[i]
    image = Image.new("RGB", _SIZE, _BACK)
    image.paste(_view(shot), (_GAP, _GAP))
    top = 2 * _GAP + VIEW[1]
    painting, eyes = frames.made(shot.frame)
    image.paste(eyes, (_GAP, top))
    top += _EYES[1] + _GAP
    row, column = frames.grid.place(shot.frame)
    for chart, place in zip(charts, (column, row), strict=True):
        image.paste(_drawn(chart, i, place), (_GAP, top))
        top += _CHART[1] + _GAP
    image.paste(painting, (2 * _GAP + VIEW[0], _GAP))
    return image


def _view(shot: Shot) -> Image.Image:
    """Return the camera's view mirrored, as visitors would see themselves."""
    scale = VIEW[0] / shot.width
    image = Image.open(io.BytesIO(shot.view)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    draw = ImageDraw.Draw(image)
    for face in shot.faces:
        x0, y0, x1, y1 = (v * scale for v in face.box)
        draw.rectangle((VIEW[0] - x1, y0, VIEW[0] - x0, y1), outline=VIEWER, width=2)
        for x, y in (face.right_eye, face.left_eye):
            cx, cy = VIEW[0] - x * scale, y * scale
            draw.ellipse((cx - 2.5, cy - 2.5, cx + 2.5, cy + 2.5), fill=_SITTER)
    return _labelled(image, "the camera's view, as in a mirror")


def _drawn(chart: _Chart, now: int, place: int) -> Image.Image:
    """Draw a chart up to the shot `now`, in which the frame is at `place`: its column or row."""
    image = Image.new("RGB", _CHART, "#211e17")
    draw = ImageDraw.Draw(image)
    left, right, top, bottom = 8, _CHART[0] - 8, 24, _CHART[1] - 6
    step = (right - left) / max(len(chart.sitter) - 1, 1)
    low, high = chart.ends

    def at(i: int, angle: float) -> tuple[float, float]:
        return left + i * step, bottom - (angle - low) / (high - low) * (bottom - top)

    draw.line((*at(0, 0), *at(len(chart.sitter) - 1, 0)), fill="#4a4436")
    for j in range(1, now + 1):
        before, after = chart.viewer[j - 1], chart.viewer[j]
        if before is not None and after is not None:
            draw.line((*at(j - 1, before), *at(j, after)), fill=VIEWER, width=3)
        was, now_is = chart.sitter[j - 1], chart.sitter[j]
        draw.line((*at(j - 1, was), *at(j, was), *at(j, now_is)), fill=_SITTER, width=2)
    font = _font()
    draw.text((8, 4), chart.name, fill=_TEXT, font=font)
    draw.text((104, 4), "the viewer", fill=VIEWER, font=font)
    draw.text((186, 4), f"the sitter's gaze, {chart.place} {place}", fill=_SITTER, font=font)
    return image


def _labelled(image: Image.Image, text: str) -> Image.Image:
    draw, font = ImageDraw.Draw(image), _font()
    x0, y0, x1, y1 = draw.textbbox((8, 5), text, font=font)
    draw.rectangle((x0 - 4, y0 - 3, x1 + 4, y1 + 3), fill=_BACK)
    draw.text((8, 5), text, fill=_TEXT, font=font)
    return image


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(13)
    except TypeError:  # Pillow before 10.1 has one size
        return ImageFont.load_default()
