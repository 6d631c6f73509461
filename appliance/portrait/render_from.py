"""From head frames made elsewhere to a pack: chosen by measured motion, blended over the painting."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from appliance.errors import ConfigError, UnfitPortrait
from appliance.images import read_pixels
from appliance.pack import FRAMES, PackInfo, check_place
from appliance.portrait import blend
from appliance.portrait.compose import Canvas, Finish, Look, check_square, compose, prepare
from appliance.portrait.landmarks import Landmarker, Landmarks

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
    out : folder of the pack; `<out>-sheet.png` is written beside it
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
    landmarker = Landmarker()
    canvas = prepare(image, out, size, landmarker, choose)
    first = read_pixels(files[len(files) // 2])
    try:
        head = landmarker.landmarks(first, landmarker.find(first))
    except UnfitPortrait as error:
        raise UnfitPortrait(f"{files[len(files) // 2]}: {error}") from error
    square = blend.Place(*place) if place else blend.find_place(canvas.face, head, first.shape[1])
    check_square(canvas, square, str(folder))
    say(f"{folder}: {len(files)} frames at {square.x},{square.y},{square.side}; measuring their gaze")
    motions = blend.read_motions(landmarker, files, head)
    count = min(frames, len(files) - 1 + len(files) % 2)
    if count < frames:
        say(f"warning: only {len(files)} frames: the pack has {count}")
    chosen = blend.choose_even(motions, count)
    reach = max((motions[chosen[-1]] - motions[chosen[0]]) / 2, 0.1)
    look = Look(steepness, extent, detail, title, artist, licence)
    finish = _finish(canvas, square, landmarker, head, first.shape[1], detail)
    return compose(out, canvas, square, [files[i] for i in chosen], reach, look, ENGINE, finish)


def _finish(
    canvas: Canvas, square: blend.Place, landmarker: Landmarker, head: Landmarks, side: int, strength: float
) -> Finish:
    """Return what puts the detail of the painted square back into frames that were `side` pixels wide."""
    if strength <= 0:
        return lambda index, frame: frame
    layer = canvas.detail(square, side)
    scaled = replace(head, mesh=head.mesh * (square.side / side))
    return lambda index, frame: layer.put_back(
        frame, landmarker.look_again(frame, scaled)[1][:, :2], strength
    )
