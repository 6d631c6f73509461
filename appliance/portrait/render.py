"""From a painting to a pack: 33 frames in which the sitter's gaze goes from side to side."""

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from appliance.errors import ConfigError, UnfitPortrait
from appliance.files import write_atomic
from appliance.images import read_pixels
from appliance.pack import FRAMES, PackInfo, write_pack
from appliance.portrait.eyes import Eye, fit_eyes
from appliance.portrait.frames import Sitter, draw_patches, patch_box
from appliance.portrait.head import build_head
from appliance.portrait.landmarks import Landmarker
from appliance.portrait.plan import make_plan
from appliance.portrait.screen import fitted
from appliance.portrait.sheet import Sheet

ENGINE: Final = "turning head 2"
YAW: Final = 8.0
DISTANCE_MM: Final = 2000.0
NARROWEST_EYE: Final = 10.0


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
    yaw: float = YAW,
    distance_mm: float = DISTANCE_MM,
) -> PackInfo:
    """Render a painting to a pack, and a contact sheet beside it.

    Parameters
    ----------
    image : the painting, any image file
    out : folder of the pack; `<out>-sheet.png` is written beside it
    frames : how many, odd; the middle one is the painting bit for bit
    size : (width, height) of the screen in pixels; the picture's own by default, without resampling
    say : receives one line per step
    yaw : how far the head turns to either side in degrees, 0 for the eyes alone
    distance_mm : of the viewer the eyes converge on
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
        found = landmarker.find(original)
        width = found.width
        pixels, found = fitted(original, found, size or (original.shape[1], original.shape[0]))
        face = landmarker.landmarks(pixels, found)
        eyes = fit_eyes(pixels, face)
        _check_width(eyes, found.width / width)
    except UnfitPortrait as error:
        raise UnfitPortrait(f"{image}: {error}") from error
    height, width = pixels.shape[:2]
    head = build_head(face, width, height)
    turn = min(yaw, head.widest())
    sitter = Sitter(pixels, head, eyes, make_plan(face, eyes, frames, turn, distance_mm))
    plan, box = sitter.plan, patch_box(sitter)
    info = PackInfo(
        title=title or image.stem,
        artist=artist,
        licence=licence,
        source=image.name,
        source_sha256=_sha256(image),
        size=(width, height),
        box=box,
        frames=frames,
        resting=plan.resting,
        angles=plan.angles,
        engine=ENGINE,
        settings={
            "yaw": round(turn, 2),
            "distance_mm": distance_mm,
            "own_gaze": round(plan.own_gaze, 1),
            "iris_radius_px": round(eyes[0].radius, 3),
        },
    )
    say(f"rendering {frames} frames, gaze from {plan.angles[0]:.1f} to {plan.angles[-1]:.1f} degrees")
    sheet = Sheet(Image.fromarray(pixels), box, plan.angles)
    write_pack(out, info, Image.fromarray(pixels), sheet.passing(draw_patches(sitter, box)))
    buffer = io.BytesIO()
    sheet.image.save(buffer, "PNG", compress_level=1)
    write_atomic(out.with_name(f"{out.name}-sheet.png"), buffer.getvalue())
    return info


def _check_width(eyes: Sequence[Eye], scale: float) -> None:
    """Refuse eyes too small in the original; `scale` is that of the fitted picture against it."""
    narrowest = min(eye.view.axes.width for eye in eyes) / scale
    if narrowest < NARROWEST_EYE:
        raise UnfitPortrait(
            f"the eyes are {narrowest:.1f} pixels wide; expected at least {NARROWEST_EYE:.0f}; "
            "use a larger reproduction, or one closer to the face"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
