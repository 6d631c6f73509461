"""From head pictures made elsewhere to a pack: chosen by measured motion, blended, checked."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from appliance.errors import ConfigError, UnfitPortrait
from appliance.images import read_pixels
from appliance.pack import DEFAULT_COLUMNS, FrameGrid, PackInfo, check_destination
from appliance.portrait import foreign_blend
from appliance.portrait.foreign_blend import (
    Canvas,
    Finish,
    Look,
    check_square,
    compose,
    even_row,
    prepare,
)
from appliance.portrait.foreign_directions import ANGLES_FILE, GazeReader, GridFiles, grid_files
from appliance.portrait.landmarks import Landmarker, Landmarks

ENGINE: Final = "frames blended 1"
# Pictures of a grid's row and column whose gaze is read, and how far the readings may lie off a straight
# line, as a part of the range (portraits of known angles: .06).
_READ: Final = 5
_UNLIKE: Final = 0.2


def render_from(
    image: Path,
    folder: Path,
    out: Path,
    frames: int = DEFAULT_COLUMNS,
    size: tuple[int, int] | None = None,
    say: Callable[[str], None] = lambda line: None,
    *,
    place: tuple[int, int, int] | None = None,
    steepness: float = foreign_blend.STEEPNESS,
    extent: float = foreign_blend.EXTENT,
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
    folder : of square head frames: in any order for one row; named as face_looker names them, or listed
        with their angles in angles.toml, for a grid, which is taken as it is
    out : folder of the pack; `<out>-sheet.png` is written beside it
    frames : how many of one row, odd; chosen so that the measured gaze goes in equal steps
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
        raise ConfigError(f"frames = {frames}; expected an odd number from 3")
    grid_of = grid_files(folder)
    files = grid_of.listed if grid_of else foreign_blend.frame_files(folder)
    foreign_blend.check_square_frames(files)
    out = out.absolute()
    check_destination(out)
    landmarker = Landmarker()
    canvas = prepare(image, out, size, landmarker, choose)
    ahead = grid_of.ahead if grid_of else files[len(files) // 2]
    first = read_pixels(ahead)
    try:
        head = landmarker.landmarks(first, landmarker.find(first))
    except UnfitPortrait as error:
        raise UnfitPortrait(f"{ahead}: {error}") from error
    square = (
        foreign_blend.Place(*place) if place else foreign_blend.find_place(canvas.face, head, first.shape[1])
    )
    check_square(canvas, square, str(folder))
    look = Look(steepness, extent, detail, title, artist, licence)
    finish = _finish(canvas, square, landmarker, head, first.shape[1], detail)
    if grid_of:
        say(f"{folder}: {len(grid_of.pitches)} rows of {len(grid_of.yaws)} frames; measuring their gaze")
        grid = measured_grid(grid_of, GazeReader(canvas, square, landmarker, first), folder, canvas, square)
        ends = grid.angles[0], grid.angles[-1], grid.pitches[0], -grid.pitches[-1]
        say("gaze from {:.1f} to {:.1f} degrees, from {:.1f} up to {:.1f} down".format(*ends))
        return compose(out, canvas, square, files, grid, look, ENGINE, finish)
    say(f"{folder}: {len(files)} frames at {square.x},{square.y},{square.side}; measuring their gaze")
    motions = foreign_blend.read_motions(landmarker, files, head)
    count = min(frames, len(files) - 1 + len(files) % 2)
    if count < frames:
        say(f"warning: only {len(files)} frames: the pack has {count}")
    chosen = foreign_blend.choose_even(motions, count)
    reach = max((motions[chosen[-1]] - motions[chosen[0]]) / 2, 0.1)
    grid = even_row(canvas, square, count, reach)
    return compose(out, canvas, square, [files[i] for i in chosen], grid, look, ENGINE, finish)


def measured_grid(
    files: GridFiles, reader: GazeReader, folder: Path, canvas: Canvas, place: foreign_blend.Place
) -> FrameGrid:
    """Return where the pictures of a grid look, in degrees.

    A few of the row and of the column that look ahead are read. Angles given in degrees are kept; numbers
    in file names are scaled to what is read, because the program that made them does not give degrees.

    Raises
    ------
    UnfitPortrait
        If the pictures do not look to where their names or their list say.
    """
    row, column = files.resting
    yaws = _scaled(
        folder, "yaw", files.yaws, lambda i: reader.read(read_pixels(files.files[row][i]))[0], files.degrees
    )
    pitches = _scaled(
        folder,
        "pitch",
        files.pitches,
        lambda i: reader.read(read_pixels(files.files[i][column]))[1],
        files.degrees,
    )
    steps = (1,) * len(pitches)
    return FrameGrid(place.box, canvas.eyes, yaws, pitches, steps, (row, column))


def _scaled(
    folder: Path, name: str, given: Sequence[float], read: Callable[[int], float], degrees: bool
) -> tuple[float, ...]:
    """Return one direction's angles in degrees, checked against what is read of some pictures."""
    if len(given) == 1:
        return (0.0,)
    off = np.array(given) - min(given, key=abs)
    asked = sorted(set(np.linspace(0, len(given) - 1, _READ).round().astype(int).tolist()))
    found = np.array([read(i) for i in asked])
    scale = float(found @ off[asked] / np.square(off[asked]).sum())
    unlike = np.abs(found - scale * off[asked]).max()
    if scale <= 0 or unlike > _UNLIKE * np.ptp(scale * off):
        told = ", ".join(f"{given[i]:g}: {angle:.0f}" for i, angle in zip(asked, found, strict=True))
        raise UnfitPortrait(
            f"{folder}: the pictures do not look to where they should ({name}, given: read in degrees: "
            f"{told}); check their names, or list them in {ANGLES_FILE}"
        )
    return tuple((off if degrees else scale * off).tolist())


def _finish(
    canvas: Canvas,
    square: foreign_blend.Place,
    landmarker: Landmarker,
    head: Landmarks,
    side: int,
    strength: float,
) -> Finish:
    """Return what puts the detail of the painted square back into frames that were `side` pixels wide."""
    if strength <= 0:
        return lambda index, frame: frame
    layer = canvas.detail(square, side)
    scaled = replace(head, mesh=head.mesh * (square.side / side))
    return lambda index, frame: layer.put_back(
        frame, landmarker.look_again(frame, scaled)[1][:, :2], strength
    )
