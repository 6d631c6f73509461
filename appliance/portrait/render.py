"""From a painting to a pack: 33 frames in which the sitter's gaze goes from side to side."""

import hashlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.errors import ConfigError, UnfitPortrait
from appliance.files import write_atomic
from appliance.images import read_pixels
from appliance.pack import FRAMES, Box, PackInfo, write_pack
from appliance.portrait.eyes import LEVER, Eye, fit_eyes, travel
from appliance.portrait.landmarks import Landmarker
from appliance.portrait.screen import fitted
from appliance.portrait.sheet import contact_sheet

ENGINE: Final = "layered eyes 1"
NARROWEST_EYE: Final = 10.0
_MARGIN: Final = 2


def render(
    image: Path,
    out: Path,
    frames: int = FRAMES,
    size: tuple[int, int] | None = None,
    say: Callable[[str], None] = lambda line: None,
    *,
    title: str | None = None,
    artist: str = "unknown",
    licence: str = "unknown",
) -> PackInfo:
    """Render a painting to a pack, and a contact sheet beside it.

    Parameters
    ----------
    image : the painting, any image file
    out : folder of the pack; `<out>-sheet.png` is written beside it
    frames : how many, odd; the middle one is the painting bit for bit
    size : (width, height) of the screen in pixels; the picture's own by default, without resampling
    say : receives one line per step
    title : the file's name without suffix by default

    Returns
    -------
    What pack.toml says.

    Raises
    ------
    ConfigError
        If `frames` is not odd and at least 3.
    BadImage
        If the file is not a whole image.
    UnfitPortrait
        If there is no face, or its eyes are too small.
    CannotWrite
        If the pack or the sheet cannot be written.
    """
    if frames < 3 or frames % 2 == 0:
        raise ConfigError(f"frames = {frames}; expected an odd number from 3: the middle one is the painting")
    original = read_pixels(image)
    landmarker = Landmarker()
    say(f"{image.name}: {original.shape[1]}x{original.shape[0]} pixels, looking for the sitter")
    try:
        face = landmarker.find(original)
        width = face.width
        pixels, face = fitted(original, face, size or (original.shape[1], original.shape[0]))
        eyes = fit_eyes(pixels, landmarker.landmarks(pixels, face))
        _check_width(eyes, face.width / width)
    except UnfitPortrait as error:
        raise UnfitPortrait(f"{image}: {error}") from error
    radius, farthest = eyes[0].radius, travel(eyes)
    angles = gaze_angles(farthest, radius, frames)
    box = _patch_box(eyes, pixels.shape[1], pixels.shape[0])
    info = PackInfo(
        title=title or image.stem,
        artist=artist,
        licence=licence,
        source=image.name,
        source_sha256=_sha256(image),
        size=(pixels.shape[1], pixels.shape[0]),
        box=box,
        frames=frames,
        resting=frames // 2,
        angles=angles,
        engine=ENGINE,
        settings={"travel_px": round(farthest, 3), "iris_radius_px": round(radius, 3)},
    )
    say(f"rendering {frames} frames, gaze from {angles[0]:.1f} to {angles[-1]:.1f} degrees")
    patches = []

    def kept() -> Iterator[Image.Image]:
        for patch in draw_patches(pixels, eyes, box, angles):
            patches.append(patch)
            yield patch

    write_pack(out, info, Image.fromarray(pixels), kept())
    buffer = io.BytesIO()
    contact_sheet(Image.fromarray(pixels), box, patches, angles).save(buffer, "PNG")
    write_atomic(out.with_name(f"{out.name}-sheet.png"), buffer.getvalue())
    return info


def gaze_angles(farthest: float, radius: float, frames: int) -> tuple[float, ...]:
    """Return the gaze of every frame in degrees: equal steps, 0 at the middle, positive to picture right.

    Parameters
    ----------
    farthest : how far the iris goes to either side, in pixels
    radius : of the iris, in pixels: the eye's scale
    """
    middle = frames // 2
    widest = math.degrees(math.asin(min(farthest / (LEVER * radius), 1)))
    return tuple(widest * (i - middle) / middle for i in range(frames))


def draw_patches(
    pixels: Pixels, eyes: Sequence[Eye], box: Box, angles: Sequence[float]
) -> Iterator[Image.Image]:
    """Draw the rectangle that changes, for every gaze angle; at angle 0 it is the painting itself."""
    x0, y0, x1, y1 = box
    painting = pixels[y0:y1, x0:x1]
    for angle in angles:
        patch = painting.astype(np.float64)
        for eye in eyes if angle else ():
            left, top, right, bottom = _eye_box(eye, pixels.shape[1], pixels.shape[0])
            y, x = np.mgrid[top:bottom, left:right] + 0.5
            part = np.s_[top - y0 : bottom - y0, left - x0 : right - x0]
            shift = LEVER * eye.radius * math.sin(math.radians(angle))
            patch[part] = eye.draw(pixels, patch[part], x, y, shift)
        yield Image.fromarray(np.clip(np.rint(patch), 0, 255).astype(np.uint8))


def _check_width(eyes: Sequence[Eye], scale: float) -> None:
    """Refuse eyes too small in the original; `scale` is that of the fitted picture against it."""
    narrowest = min(eye.view.axes.width for eye in eyes) / scale
    if narrowest < NARROWEST_EYE:
        raise UnfitPortrait(
            f"the eyes are {narrowest:.1f} pixels wide; expected at least {NARROWEST_EYE:.0f}; "
            "use a larger reproduction, or one closer to the face"
        )


def _eye_box(eye: Eye, width: int, height: int) -> Box:
    """Return the whole pixels in which an eye can change, inside the picture."""
    u = np.array([eye.lids.left, eye.lids.right])
    v = np.array([eye.lids.upper.min(), eye.lids.lower.max()])
    x, y = eye.view.axes.to_picture(*np.meshgrid(u, v))
    return (
        max(math.floor(x.min()), 0),
        max(math.floor(y.min()), 0),
        min(math.ceil(x.max()), width),
        min(math.ceil(y.max()), height),
    )


def _patch_box(eyes: Sequence[Eye], width: int, height: int) -> Box:
    boxes = np.array([_eye_box(eye, width, height) for eye in eyes])
    x0, y0 = (boxes[:, :2].min(0) - _MARGIN).clip(0).tolist()
    x1, y1 = (boxes[:, 2:].max(0) + _MARGIN).tolist()
    return x0, y0, min(x1, width), min(y1, height)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
