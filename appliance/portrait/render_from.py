"""From head frames made elsewhere to a pack: chosen by measured motion, blended over the painting."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.errors import ConfigError, UnfitPortrait
from appliance.images import read_pixels
from appliance.pack import FRAMES, PackInfo, check_place, write_pack
from appliance.portrait import blend
from appliance.portrait.detail import Detail
from appliance.portrait.landmarks import Landmarker, Landmarks
from appliance.portrait.screen import fitted
from appliance.portrait.source import read_original
from appliance.progress import progress

ENGINE: Final = "frames blended 1"


def render_from(
    image: Path,
    folder: Path,
    out: Path,
    frames: int = FRAMES,
    size: tuple[int, int] | None = None,
    say: Callable[[str], None] = lambda line: None,
    *,
    place: tuple[int, int, int] | None = None,
    steepness: float = blend.STEEPNESS,
    extent: float = blend.EXTENT,
    detail: float = 0.0,
    title: str | None = None,
    artist: str = "unknown",
    licence: str = "unknown",
    choose: int | None = None,
) -> PackInfo:
    """Blend head frames over the painting they were made from.

    Parameters
    ----------
    image : the painting
    folder : of square head frames, in any order
    out : folder of the pack
    frames : how many, odd; chosen so that the measured gaze goes in equal steps
    size : (width, height) of the screen in pixels; the picture's own by default
    place : x, y and side in pixels of the square the frames show in the fitted picture; found by
        matching both faces if not given
    steepness, extent : of the sigmoid, for frames of 512 pixels
    detail : the part of the painting's fine detail that is put back into the frames, 0 to 1
    choose : which of several faces, counted from 1 at picture left

    Raises
    ------
    ConfigError, BadImage, UnfitPortrait, CannotWrite
        As `render`; also if the frames' face does not fit the painting's.
    """
    if frames < 3 or frames % 2 == 0:
        raise ConfigError(f"frames = {frames}; expected an odd number from 3: the middle one is the painting")
    files = blend.frame_files(folder)
    out = out.absolute()
    check_place(out)
    original, _ = read_original(image, size)
    landmarker = Landmarker()
    try:
        found = landmarker.find(original, choose)
        pixels, found = fitted(original, found, size or (original.shape[1], original.shape[0]))
        face = landmarker.landmarks(pixels, found)
        first = read_pixels(files[len(files) // 2])
        head = landmarker.landmarks(first, landmarker.find(first))
    except UnfitPortrait as error:
        raise UnfitPortrait(f"{image}: {error}") from error
    square = blend.Place(*place) if place else blend.find_place(face, head, first.shape[1])
    x0, y0, x1, y1 = square.box
    if min(x0, y0) < 0 or x1 > pixels.shape[1] or y1 > pixels.shape[0] or square.side < 16:
        raise UnfitPortrait(
            f"{folder}: the frames' place {x0},{y0},{square.side} lies beyond the picture of "
            f"{pixels.shape[1]}x{pixels.shape[0]}; use a wider picture, or give --place"
        )
    say(f"{folder}: {len(files)} frames at {x0},{y0},{square.side}; measuring their gaze")
    motions = blend.read_motions(landmarker, files, head)
    count = min(frames, len(files) - 1 + len(files) % 2)
    if count < frames:
        say(f"warning: only {len(files)} frames: the pack has {count}")
    chosen = blend.choose_even(motions, count)
    resting = count // 2
    ends = motions[chosen[0]], motions[chosen[-1]]
    half = max((ends[1] - ends[0]) / 2, 0.1)
    info = PackInfo(
        title=title or image.stem,
        artist=artist,
        licence=licence,
        source=image.name,
        source_sha256=hashlib.sha256(image.read_bytes()).hexdigest(),
        size=(pixels.shape[1], pixels.shape[0]),
        box=square.box,
        frames=count,
        resting=resting,
        angles=tuple(float(a) for a in np.linspace(-half, half, count) * (np.arange(count) != resting)),
        engine=ENGINE,
        settings={
            "steepness": steepness,
            "extent": extent,
            "detail": detail,
            "place": f"{x0},{y0},{square.side}",
        },
    )
    alpha = blend.weight(square.side, steepness, extent)
    finish = _finish(pixels[y0:y1, x0:x1], square, face, landmarker, head, first.shape[1], detail)
    patches = blend.blended(pixels, [files[i] for i in chosen], square, resting, alpha, finish)
    write_pack(out, info, Image.fromarray(pixels), progress(patches, count, "blending"))
    return info


def _finish(
    painted: Pixels,
    square: blend.Place,
    face: Landmarks,
    landmarker: Landmarker,
    head: Landmarks,
    side: int,
    strength: float,
) -> Callable[[Pixels], Pixels]:
    """Return what puts the detail of the painted square back into frames that were `side` pixels wide."""
    if strength <= 0:
        return lambda frame: frame
    corner, scale = np.array([square.x, square.y], np.float64), square.side / side
    eyes = [
        replace(eye, lower=eye.lower - corner, upper=eye.upper - corner, iris=(0.0, 0.0)) for eye in face.eyes
    ]
    layer = Detail(painted, face.mesh[:, :2] - corner, eyes, side)
    scaled = replace(head, mesh=head.mesh * scale)
    return lambda frame: layer.put_back(frame, landmarker.look_again(frame, scaled)[1][:, :2], strength)
