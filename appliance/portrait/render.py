"""From a painting to a pack: 33 frames in which the sitter's gaze goes from side to side."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import Image

from appliance.errors import ConfigError
from appliance.files import sha256_of
from appliance.pack import FRAMES, PackInfo, check_place, write_pack
from appliance.portrait.eye_frames import EyeRecorder
from appliance.portrait.frames import draw_patches, eye_region, patch_box
from appliance.portrait.landmarks import Landmarker
from appliance.portrait.measures import measure
from appliance.portrait.question import in_the_name_of
from appliance.portrait.screen import fitted
from appliance.portrait.sheet import CloseUp, Sheet, png
from appliance.portrait.sitter import DISTANCE_MM, YAW, Motion, sit
from appliance.portrait.source import read_original
from appliance.portrait.verdict import Verdict, judge
from appliance.progress import progress

ENGINE: Final = "turning head 4"
_ENLARGED: Final = 1.5


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
    eyes: float = 1.0,
    distance_mm: float = DISTANCE_MM,
    choose: int | None = None,
    tell: Callable[[Verdict], None] = lambda verdict: None,
) -> PackInfo:
    """Render a painting to a pack, and beside it a contact sheet and a close-up of the eyes.

    Parameters
    ----------
    image : the painting, any image file
    out : folder of the pack; `<out>-sheet.png` and `<out>-eyes.png` are written beside it
    frames : how many, odd; one is the painting bit for bit, the middle one where the gaze's range is even
    size : (width, height) of the screen in pixels; the picture's own by default, without resampling
        unless its long side is over 3840 pixels: then it is reduced to that
    say : receives one line per step
    yaw : how far the head turns to either side in degrees, 0 for the eyes alone
    eyes : the part of the usual travel that the irises take, 0 for the head alone
    distance_mm : of the viewer the eyes converge on
    choose : which of several faces, counted from 1 at picture left
    title : the file's name without suffix by default
    tell : receives the verdict when all frames are drawn; if it raises, nothing is written

    Returns
    -------
    What pack.toml says.

    Raises
    ------
    ConfigError
        If `frames` is not odd and at least 3, or nothing would move.
    BadImage
        If the file is not a whole image.
    UnfitPortrait
        If there is no face, or one that cannot be brought to life.
    CannotWrite
        If the pack or the sheet cannot be written.
    """
    if frames < 3 or frames % 2 == 0:
        raise ConfigError(f"frames = {frames}; expected an odd number from 3: the middle one is the painting")
    if yaw <= 0 and eyes <= 0:
        raise ConfigError(f"yaw = {yaw}, eyes = {eyes}; expected one above 0: nothing would move")
    out = out.absolute()
    check_place(out)
    original, reduced = read_original(image, size)
    say(f"{image.name}: {original.shape[1]}x{original.shape[0]} pixels, looking for the sitter")
    landmarker = Landmarker()
    with in_the_name_of(image, out):
        found = landmarker.find(original, choose)
        pixels, placed = fitted(original, found, size or (original.shape[1], original.shape[0]))
        scale = reduced * placed.width / found.width
        sitter = sit(landmarker, pixels, placed, Motion(frames, yaw, eyes, distance_mm), scale)
    del original
    if scale > _ENLARGED:
        say(f"warning: {image.name}: enlarged {scale:.1f} times; a larger picture would be sharper")
    plan, box = sitter.plan, patch_box(sitter)
    info = PackInfo(
        title=title or image.stem,
        artist=artist,
        licence=licence,
        source=image.name,
        source_sha256=sha256_of(image),
        size=(pixels.shape[1], pixels.shape[0]),
        box=box,
        frames=frames,
        resting=plan.resting,
        angles=plan.angles,
        engine=ENGINE,
        settings={
            "yaw": round(max(map(abs, plan.turns)), 3),
            "eyes": eyes,
            "distance_mm": distance_mm,
            "own_gaze": round(plan.own_gaze, 1),
            "scale": round(scale, 4),
            "iris_radius_px": round(sitter.eyes[0].radius, 3),
            "doubts": "; ".join(sitter.doubts),
        },
    )
    say(f"rendering {frames} frames, gaze from {plan.angles[0]:.1f} to {plan.angles[-1]:.1f} degrees")
    whole = Image.fromarray(pixels)
    sheet = Sheet(whole, box, plan.angles)
    eyes_only = CloseUp(whole, box, eye_region(sitter), frames, plan.resting)
    recorder = EyeRecorder(sitter, box)
    patches = recorder.passing(eyes_only.passing(sheet.passing(draw_patches(sitter, box))))

    def drawn() -> dict[str, bytes]:
        tell(judge(measure(recorder, plan.angles), sitter.doubts))
        return {f"{out.name}-sheet.png": png(sheet.image), f"{out.name}-eyes.png": png(eyes_only.image)}

    write_pack(out, info, whole, progress(patches, frames, "rendering"), drawn)
    return info
