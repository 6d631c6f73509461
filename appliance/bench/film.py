"""Draws the demo's film: what the camera saw, what the sitter did, and both angles over time."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from appliance.camera.averaging import Region
from appliance.camera.base import Picture, RgbPicture
from appliance.display.layout import Layout
from appliance.display.patches import fitted_base, fitted_patches
from appliance.grid import Box
from appliance.pack import Pack
from appliance.vision.blazeface import Face, FaceDetector

RATE: Final = 12.5
VIEW: Final = (480, 270)
_GAP, _EYES, _CHART = 12, (480, 132), (480, 150)
_PORTRAIT: Final = (324, 576)
_SIZE: Final = (VIEW[0] + _PORTRAIT[0] + 3 * _GAP, _PORTRAIT[1] + 2 * _GAP)
_BACK, _TEXT, VIEWER, _SITTER = "#16140f", "#d8d0bd", "#e0a030", "#6fb7c9"


@dataclass(frozen=True, slots=True)
class Shot:
    """One moment of the film.

    `view` is the camera's picture as a small JPEG; `faces` are in pixels of the picture itself,
    which was `width` wide. `viewer` is the true angle to the viewer in degrees, None when nobody
    is in view; `sitter` is the angle of `frame`.
    """

    view: bytes
    width: int
    faces: Sequence[Face]
    viewer: float | None
    sitter: float
    frame: int


def film(shots: Sequence[Shot], pack: Pack) -> bytes:
    """Return an animated WebP of the shots."""
    frames = _Frames(pack)
    reach = 1.05 * max(max(abs(shot.sitter), abs(shot.viewer or 0.0)) for shot in shots)
    reach = max(reach, pack.info.main.angles[-1])
    images = [_draw(shots, i, frames, reach) for i in range(len(shots))]
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
    """The pack's frames whole and as close-ups of the eyes, made when first wanted."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._base = fitted_base(pack, Layout(_PORTRAIT))
        box, patches = fitted_patches(pack, Layout(_PORTRAIT))
        self._place = box[:2]
        self._patches = list(patches)
        self._full = pack.base()
        self._around_eyes = _around_eyes(self._full, pack.info.main.box)
        self._eyes: dict[int, Image.Image] = {}

    def whole(self, frame: int) -> Image.Image:
        image = self._base.copy()
        image.paste(self._patches[frame], self._place)
        return image

    def eyes(self, frame: int) -> Image.Image:
        if frame not in self._eyes:
            image = self._full.copy()
            image.paste(self._pack.patch(frame), self._pack.info.main.box[:2])
            self._eyes[frame] = image.resize(_EYES, Image.Resampling.LANCZOS, self._around_eyes)
        return self._eyes[frame]


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


def _draw(shots: Sequence[Shot], i: int, frames: _Frames, reach: float) -> Image.Image:
    shot = shots[i]
    image = Image.new("RGB", _SIZE, _BACK)
    image.paste(_view(shot), (_GAP, _GAP))
    top = 2 * _GAP + VIEW[1]
    image.paste(frames.eyes(shot.frame), (_GAP, top))
    top += _EYES[1] + _GAP
    image.paste(_chart(shots, i, reach), (_GAP, top))
    image.paste(frames.whole(shot.frame), (2 * _GAP + VIEW[0], _GAP))
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


def _chart(shots: Sequence[Shot], now: int, reach: float) -> Image.Image:
    image = Image.new("RGB", _CHART, "#211e17")
    draw = ImageDraw.Draw(image)
    left, right, top, bottom = 8, _CHART[0] - 8, 24, _CHART[1] - 8
    step = (right - left) / max(len(shots) - 1, 1)

    def at(i: int, angle: float) -> tuple[float, float]:
        return left + i * step, (top + bottom) / 2 - angle / reach * (bottom - top) / 2

    draw.line((*at(0, 0), *at(len(shots) - 1, 0)), fill="#4a4436")
    for j in range(1, now + 1):
        a, b = shots[j - 1], shots[j]
        if a.viewer is not None and b.viewer is not None:
            draw.line((*at(j - 1, a.viewer), *at(j, b.viewer)), fill=VIEWER, width=3)
        draw.line((*at(j - 1, a.sitter), *at(j, a.sitter), *at(j, b.sitter)), fill=_SITTER, width=2)
    font = _font()
    draw.text((8, 4), "angle to the viewer", fill=VIEWER, font=font)
    draw.text((160, 4), f"the sitter's gaze, frame {shots[now].frame}", fill=_SITTER, font=font)
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
