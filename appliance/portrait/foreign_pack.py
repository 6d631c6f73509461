"""From head pictures made elsewhere to a pack: chosen by measured motion, blended, checked."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from appliance.errors import ConfigError, UnfitPortrait
from appliance.images import read_pixels
from appliance.pack import DEFAULT_COLUMNS, FrameGrid, PackInfo, check_destination
from appliance.portrait.foreign_blend import (
    BlendSettings,
    FittedPainting,
    FrameFinisher,
    HeadSquare,
    check_frames_are_square,
    check_square_fits,
    choose_evenly_spaced_frames,
    compose_pack,
    evenly_spaced_row,
    find_frame_square,
    list_head_frames,
    read_fitted_painting,
    read_gaze_angles,
)
from appliance.portrait.foreign_directions import (
    ANGLES_FILE,
    GazeReader,
    HeadPictureGrid,
    find_head_picture_grid,
)
from appliance.portrait.frame_motions import check_frame_count
from appliance.portrait.landmarks import FaceLandmarker, FaceLandmarks

# The engine that pack.toml names; its number rises when the same frames would give another pack.
BLENDING_ENGINE: Final = "frames blended 1"
_READ: Final = 5  # number of pictures of a grid's row and column whose gaze is read
# Largest distance of the readings from a straight line, as a fraction of the range (measured on portraits of
# known angles: 0.06).
_UNLIKE: Final = 0.2


def render_from_frames(
    image: Path,
    folder: Path,
    out: Path,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    say: Callable[[str], None] = lambda line: None,
    *,
    place: tuple[int, int, int] | None = None,
    blending: BlendSettings | None = None,
    choose: int | None = None,
) -> PackInfo:
    """Blend head frames over the painting they were made from.

    Parameters
    ----------
    image : the painting
    folder : of square head frames: in any order for one row; named as face_looker names them, or listed
        with their angles in angles.toml, for a grid, which is taken as it is
    out : folder of the pack; `<out>-sheet.png` is written beside it
    frames : how many of one row, odd, 33 by default; chosen so that the measured gaze goes in equal steps;
        not for a grid
    size : (width, height) of the screen in pixels; the picture's own by default
    place : x, y and side in pixels of the square the frames show in the fitted picture; found by
        matching both faces if not given
    blending : how the frames are blended, and what the pack says of the painting
    choose : which of several faces, counted from 1 at picture left

    Raises
    ------
    ConfigError, BadImage, UnfitPortrait, CannotWrite
        As `render`; also if the frames' face does not fit the painting's.
    """
    blending, wanted = blending or BlendSettings(), DEFAULT_COLUMNS if frames is None else frames
    check_frame_count(wanted)
    grid_of = find_head_picture_grid(folder)
    if grid_of and frames is not None:
        raise ConfigError(f"--frames has no effect: {folder} holds a grid, which is taken as it is")
    files = grid_of.listed if grid_of else list_head_frames(folder)
    check_frames_are_square(files)
    out = out.absolute()
    check_destination(out)
    landmarker = FaceLandmarker()
    canvas = read_fitted_painting(image, out, size, landmarker, choose)
    ahead = grid_of.ahead if grid_of else files[len(files) // 2]
    first = read_pixels(ahead)
    try:
        head = landmarker.read_landmarks(first, landmarker.find_sitter(first))
    except UnfitPortrait as error:
        raise UnfitPortrait(f"{ahead}: {error}") from error
    side = first.shape[1]
    square = HeadSquare(*place) if place else find_frame_square(canvas.face, head, side)
    check_square_fits(canvas, square, str(folder))
    finish = _finish(canvas, square, landmarker, head, side, blending.detail)
    if grid_of:
        say(f"{folder}: {len(grid_of.pitches)} rows of {len(grid_of.yaws)} frames; measuring their gaze")
        reader = GazeReader(canvas, square, landmarker, first)
        grid = measure_frame_grid(grid_of, reader, folder, canvas, square)
        ends = grid.angles[0], grid.angles[-1], grid.pitches[0], -grid.pitches[-1]
        say("gaze from {:.1f} to {:.1f} degrees, from {:.1f} up to {:.1f} down".format(*ends))
        return compose_pack(out, canvas, square, files, grid, blending, BLENDING_ENGINE, finish)
    say(f"{folder}: {len(files)} frames at {square.x},{square.y},{square.side}; measuring their gaze")
    motions = read_gaze_angles(landmarker, files, head)
    count = min(wanted, len(files) - 1 + len(files) % 2)
    if count < wanted:
        say(f"warning: only {len(files)} frames: the pack has {count}")
    chosen = choose_evenly_spaced_frames(motions, count)
    reach = max((motions[chosen[-1]] - motions[chosen[0]]) / 2, 0.1)
    grid = evenly_spaced_row(canvas, square, count, reach)
    files = [files[i] for i in chosen]
    return compose_pack(out, canvas, square, files, grid, blending, BLENDING_ENGINE, finish)


def measure_frame_grid(
    files: HeadPictureGrid,
    reader: GazeReader,
    folder: Path,
    canvas: FittedPainting,
    place: HeadSquare,
) -> FrameGrid:
    """Return the grid of pictures made elsewhere, with where they look in degrees.

    A few pictures of the row and of the column that look ahead are read. Angles given in degrees are kept;
    numbers in file names are scaled to what is read, because the program that made them does not give
    degrees. Raises `UnfitPortrait` if the pictures do not look where their names or their list say.
    """
    row, column = files.ahead_place
    yaws = _in_degrees(files, 0, files.files[row], reader, folder)
    pitches = _in_degrees(files, 1, [line[column] for line in files.files], reader, folder)
    return FrameGrid(place.box, canvas.eyes, yaws, pitches, (1,) * len(pitches), (row, column))


def _in_degrees(
    files: HeadPictureGrid, axis: int, pictures: Sequence[Path], reader: GazeReader, folder: Path
) -> tuple[float, ...]:
    """Return the yaws (axis 0) or pitches (1) in degrees, checked against what is read of some pictures."""
    name, given = (("yaw", files.yaws), ("pitch", files.pitches))[axis]
    if len(given) == 1:
        return (0.0,)
    off = np.array(given) - min(given, key=abs)
    asked = sorted(set(np.linspace(0, len(given) - 1, _READ).round().astype(int).tolist()))
    found = np.array([reader.read(read_pixels(pictures[i]))[axis] for i in asked])
    scale = float(found @ off[asked] / np.square(off[asked]).sum())
    unlike = np.abs(found - scale * off[asked]).max()
    if scale <= 0 or unlike > _UNLIKE * np.ptp(scale * off):
        told = ", ".join(f"{given[i]:g}: {angle:.0f}" for i, angle in zip(asked, found, strict=True))
        raise UnfitPortrait(
            f"{folder}: the pictures do not look to where they should ({name}, given: read in degrees: "
            f"{told}); check their names, or list them in {ANGLES_FILE}"
        )
    return tuple((off if files.degrees else scale * off).tolist())


def _finish(
    canvas: FittedPainting,
    square: HeadSquare,
    landmarker: FaceLandmarker,
    head: FaceLandmarks,
    side: int,
    strength: float,
) -> FrameFinisher:
    """Return the function that restores the painting's detail in frames that were `side` pixels wide."""
    if strength <= 0:
        return lambda index, frame: frame
    layer = canvas.detail(square, side)
    scaled = replace(head, mesh=head.mesh * (square.side / side))
    return lambda index, frame: layer.restore_by_landmarks(
        frame, landmarker.read_again(frame, scaled)[1][:, :2], strength
    )
