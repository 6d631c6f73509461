"""Head pictures made elsewhere, blended over the painting, with its fine detail put back.

What is finer than the frames can hold is taken from the painting and moved with the face, whose
motion is read from the landmarks of both.

The weight is the original piece's sigmoid of the distance from the frame's middle, the larger of
both axes; here it ends in zero at the frame's edge, where the original left up to 1 % of a seam.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.errors import BadImage, UnfitPortrait
from appliance.files import sha256_of
from appliance.images import image_files, read_image, read_pixels
from appliance.pack import Box, FrameGrid, PackInfo, write_pack
from appliance.portrait.contact_sheet import Sheet, png
from appliance.portrait.landmarks import EyeMarks, Landmarker, Landmarks, in_the_name_of
from appliance.portrait.sampling import Array, bilinear, cubic, smoothstep
from appliance.portrait.source import fitted, read_original
from appliance.terminal import show_progress

# The motion is averaged over this part of the square, on a grid of so many steps; far from the face
# this much of a landmark's full weight pulls it to zero.
_REACH: Final = 0.05
_STEPS: Final = 48
_STILL: Final = 0.05


class Detail:
    """The fine detail of a square of the painting, without the eyes: these move by themselves."""

    def __init__(self, square: Pixels, mesh: Array, eyes: Sequence[EyeMarks], frame_side: int) -> None:
        """Take the detail out of the painting.

        Parameters
        ----------
        square : the part of the painting that the frames show, RGB uint8 (side, side, 3)
        mesh : the painted face's landmarks in its pixels, (points, 2)
        eyes : of the painted face, in the same pixels
        frame_side : of the frames as they came; what so many pixels can hold is theirs already
        """
        side = len(square)
        self._mesh = mesh
        # Reduced as the models' pictures are: a frame that repeats its picture gets the painting back.
        small = Image.fromarray(square).resize((frame_side, frame_side), Image.Resampling.BILINEAR)
        held = np.asarray(small.resize((side, side), Image.Resampling.LANCZOS), np.float64)
        self._fine = (square - held) * _outside(eyes, side)[..., None]

    def put_back(self, frame: Pixels, mesh: Array, strength: float) -> Pixels:
        """Add the detail to a frame of the square's size, moved as the landmarks are.

        Parameters
        ----------
        frame : RGB uint8 (side, side, 3)
        mesh : the same landmarks in the frame's pixels, (points, 2)
        strength : the part of the detail that is added, 0 to 1
        """
        return self.carry(frame, self._motion(mesh, len(frame)), np.full((1, 1), strength))

    def carry(self, frame: Pixels, motion: Array, strength: Array) -> Pixels:
        """Add the detail to a frame of the square's size, moved as given.

        Parameters
        ----------
        frame : RGB uint8 (side, side, 3)
        motion : where each cell's content lies in the painting, relative to the frame, in its
            pixels, (cells, cells, 2)
        strength : the part of the detail that is added, 0 to 1, (cells, cells)
        """
        side = len(frame)
        y, x = np.mgrid[0:side, 0:side] + 0.5
        moved = bilinear(motion, x * len(motion) / side, y * len(motion) / side)
        share = bilinear(strength, x * len(strength) / side, y * len(strength) / side)
        fine = cubic(self._fine, x + moved[..., 0], y + moved[..., 1])
        return np.clip(np.rint(frame + share[..., None] * fine), 0, 255).astype(np.uint8)

    def _motion(self, mesh: Array, side: int) -> Array:
        """Return where each grid cell's content lies in the painting, relative to the frame, in pixels."""
        y, x = (np.mgrid[0:_STEPS, 0:_STEPS] + 0.5) * (side / _STEPS)
        away = np.stack([x, y], -1)[:, :, None] - mesh
        pull = np.exp(-0.5 * (away**2).sum(-1) / (_REACH * side) ** 2)
        motion: Array = (pull @ (self._mesh - mesh)) / (pull.sum(-1) + _STILL)[..., None]
        return motion


def _outside(eyes: Sequence[EyeMarks], side: int) -> Array:
    """Return 0 in the eyes and 1 away from them, (side, side)."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    weight = np.ones((side, side))
    for eye in eyes:
        middle = (eye.lower[0] + eye.lower[-1]) / 2
        far = np.hypot((x - middle[0]) / (0.62 * eye.width), (y - middle[1]) / (0.36 * eye.width))
        weight *= smoothstep((far - 0.9) / 0.35)
    return weight


STEEPNESS: Final = 0.06
EXTENT: Final = 180.0
# Steepness and extent are given for frames of this many pixels.
_SIDE: Final = 512
# The part of half a frame over which the weight is brought to zero at the edge.
_EDGE: Final = 0.12


class Place(NamedTuple):
    """The square of the painting that head frames show: upper left corner and side, in its pixels."""

    x: int
    y: int
    side: int

    @property
    def box(self) -> Box:
        """The square as (x0, y0, x1, y1)."""
        return self.x, self.y, self.x + self.side, self.y + self.side


def weight(side: int, steepness: float = STEEPNESS, extent: float = EXTENT) -> Array:
    """Return the blend's weight, (side, side): 1 is the frame, 0 the painting.

    alpha = 1 / (1 + exp(steepness * (max(|x - m|, |y - m|) - extent))), m the middle, at 512 pixels;
    other sides are scaled to it. Towards the edge it falls to exactly zero.
    """
    middle = side / 2
    away = np.abs(np.arange(side) + 0.5 - middle) * (_SIDE / side)
    far = np.maximum(away[:, None], away)
    alpha = 1 / (1 + np.exp(np.clip(steepness * (far - extent), -60, 60)))
    left = (_SIDE / 2 - 0.5 * _SIDE / side - far) / (_EDGE * _SIDE / 2)
    weighted: Array = alpha * smoothstep(left)
    return weighted


def blend(painting: Pixels, frame: Pixels, alpha: Array) -> Pixels:
    """Blend a frame over the painting's square, both RGB uint8 of the weight's shape."""
    share = alpha[..., None]
    mixed: Pixels = np.rint(painting + share * (frame.astype(np.float64) - painting)).astype(np.uint8)
    return mixed


def find_place(painting: Landmarks, frame: Landmarks, side: int) -> Place:
    """Find the square that frames of `side` pixels show, by matching both faces' meshes.

    Raises
    ------
    UnfitPortrait
        If the meshes do not fit: another face, or another pose.
    """
    there, here = painting.mesh[:, :2], frame.mesh[:, :2]
    a, b = there - there.mean(0), here - here.mean(0)
    scale = float((a * b).sum() / np.square(b).sum())
    off = float(np.sqrt(np.square(a - scale * b).sum(1).mean())) / painting.half_width
    if off > 0.12 or scale <= 0:
        raise UnfitPortrait(
            f"the frames' face does not fit the painting's (off by {off:.2f} half faces, expected 0.12); "
            "make them from this painting, or give their place"
        )
    x, y = there.mean(0) - scale * here.mean(0)
    return Place(round(float(x)), round(float(y)), round(scale * side))


def choose_even(motions: Sequence[float], frames: int) -> list[int]:
    """Choose frames whose measured motion goes in equal steps from the least to the most.

    Parameters
    ----------
    motions : where the gaze is in each frame, any unit, in any order
    frames : how many to choose

    Returns
    -------
    Indices into `motions`, by rising motion, none twice

    Raises
    ------
    ValueError
        If there are fewer than `frames`.
    """
    if len(motions) < frames:
        raise ValueError(f"{len(motions)} frames, expected at least {frames}")
    order = np.argsort(np.asarray(motions), kind="stable")
    ordered = np.asarray(motions)[order]
    wanted = np.linspace(ordered[0], ordered[-1], frames)
    chosen: list[int] = []
    first = 0
    for i, target in enumerate(wanted):
        last = len(order) - (frames - i)  # enough must be left for the rest
        nearest = first + int(np.abs(ordered[first : last + 1] - target).argmin())
        chosen.append(int(order[nearest]))
        first = nearest + 1
    return chosen


def read_motions(landmarker: Landmarker, files: Sequence[Path], face: Landmarks) -> list[float]:
    """Measure where each frame looks, in degrees to picture right: the head's yaw and the irises' turn."""
    return [sum(looks(*landmarker.look_again(read_pixels(path), face))) for path in files]


def looks(eyes: Sequence[EyeMarks], mesh: Array) -> tuple[float, float]:
    """Return how far a head is turned and how far its eyes are, on average, in degrees to picture right.

    Parameters
    ----------
    eyes, mesh : as `Landmarker.look_again` reads them
    """
    across = mesh[454] - mesh[234]
    yaw = math.degrees(math.atan2(float(across[2]), math.hypot(float(across[0]), float(across[1]))))
    turns = []
    for eye in eyes:
        along = (eye.lower[-1] - eye.lower[0]) / eye.width
        away = float((np.array(eye.iris) - (eye.lower[0] + eye.lower[-1]) / 2) @ along)
        turns.append(math.degrees(math.asin(min(max(away / (1.744 * eye.radius), -0.9), 0.9))))
    return yaw, sum(turns) / len(turns)


def frame_files(folder: Path) -> list[Path]:
    """List head frames in name order; raises `BadImage` if there are not three of them."""
    files = image_files(folder) if folder.is_dir() else []
    if len(files) < 3:
        raise BadImage(f"{folder}: {len(files)} head frames; expected a folder of 3 or more image files")
    return files


def check_square_frames(files: Sequence[Path]) -> None:
    """Make sure that head frames are square; raises `BadImage`."""
    for path in files:
        width, height = read_image(path).size
        if width != height:
            raise BadImage(f"{path}: {width}x{height}; expected a square head frame")


def blended(
    painting: Pixels,
    files: Sequence[Path],
    place: Place,
    resting: int,
    alpha: Array,
    finish: Callable[[int, Pixels], Pixels] = lambda index, frame: frame,
) -> Iterator[Image.Image]:
    """Blend chosen frames one by one; the resting one is the painting itself.

    `finish` is done to each, by its index and as RGB uint8 of the square's size, before it is blended.
    """
    x0, y0, x1, y1 = place.box
    square = painting[y0:y1, x0:x1]
    for i, path in enumerate(files):
        if i == resting:
            yield Image.fromarray(square)
            continue
        frame = read_image(path).resize((place.side, place.side), Image.Resampling.LANCZOS)
        yield Image.fromarray(blend(square, finish(i, np.asarray(frame)), alpha))


Finish = Callable[[int, Pixels], Pixels]
# Less does not hold a head.
_SMALLEST: Final = 16


@dataclass(frozen=True, slots=True)
class Canvas:
    """A painting as it will be shown: `pixels` RGB uint8 (height, width, 3), `face` in its pixels."""

    image: Path
    pixels: Pixels
    face: Landmarks

    @property
    def eyes(self) -> tuple[float, float]:
        """The middle between the eyes, (x, y) in its pixels."""
        corners = np.concatenate([eye.lower[[0, -1]] for eye in self.face.eyes])
        x, y = corners.mean(0).round(2).tolist()
        return x, y

    def square(self, place: Place) -> Pixels:
        """Return a square of the painting, RGB uint8 (side, side, 3)."""
        x0, y0, x1, y1 = place.box
        return self.pixels[y0:y1, x0:x1]

    def detail(self, place: Place, frame_side: int) -> Detail:
        """Take the fine detail out of a square, as `Detail` does."""
        corner = np.array([place.x, place.y], np.float64)
        eyes = [
            replace(eye, lower=eye.lower - corner, upper=eye.upper - corner, iris=(0.0, 0.0))
            for eye in self.face.eyes
        ]
        return Detail(self.square(place), self.face.mesh[:, :2] - corner, eyes, frame_side)


@dataclass(frozen=True, slots=True)
class Look:
    """How head frames are laid over the painting, and what the pack says of it.

    `steepness` and `extent` are the sigmoid's for frames of 512 pixels; `detail` is the part of the
    painting's fine detail that is put back, 0 to 1; `title` is the file's name if not given.
    """

    steepness: float = STEEPNESS
    extent: float = EXTENT
    detail: float = 0.0
    title: str | None = None
    artist: str = "unknown"
    licence: str = "unknown"


def prepare(
    image: Path, out: Path, size: tuple[int, int] | None, landmarker: Landmarker, choose: int | None = None
) -> Canvas:
    """Read a painting, fit it to the screen and find the sitter's face.

    Parameters
    ----------
    out : the pack's folder, beside which a question about several faces is shown
    size : (width, height) of the screen in pixels; the picture's own by default
    choose : which of several faces, counted from 1 at picture left

    Raises
    ------
    BadImage, UnfitPortrait
        If it is no whole image, or has no such face.
    """
    original, _ = read_original(image, size)
    with in_the_name_of(image, out):
        found = landmarker.find(original, choose)
        pixels, (found,) = fitted(original, [found], size or (original.shape[1], original.shape[0]))
        return Canvas(image, pixels, landmarker.landmarks(pixels, found))


def check_square(canvas: Canvas, place: Place, whose: str) -> None:
    """Make sure that a square lies in the painting; raises `UnfitPortrait`, in `whose` name."""
    (x0, y0, x1, y1), (height, width) = place.box, canvas.pixels.shape[:2]
    if place.side < _SMALLEST:
        raise UnfitPortrait(
            f"{whose}: the frames' place {x0},{y0},{place.side} is too small; expected a side of at least "
            f"{_SMALLEST} pixels"
        )
    if min(x0, y0) < 0 or x1 > width or y1 > height:
        raise UnfitPortrait(
            f"{whose}: the frames' place {x0},{y0},{place.side} lies beyond the picture of "
            f"{width}x{height}; use a wider picture, or give --place"
        )


def even_row(canvas: Canvas, place: Place, count: int, reach: float) -> FrameGrid:
    """Return the grid of a single row that looks `reach` degrees to either side, its middle the painting."""
    angles = np.linspace(-reach, reach, count) * (np.arange(count) != count // 2)
    return FrameGrid(place.box, canvas.eyes, tuple(angles.tolist()), (0.0,), (1,), (0, count // 2))


def compose(
    out: Path,
    canvas: Canvas,
    place: Place,
    files: Sequence[Path],
    grid: FrameGrid,
    look: Look,
    engine: str,
    finish: Finish,
    settings: Mapping[str, float | int | str | bool] | None = None,
) -> PackInfo:
    """Blend chosen frames over the painting into a pack; `<out>-sheet.png` is written beside it.

    Parameters
    ----------
    place : the square of the painting that the frames show
    files : the frames, in the order of the grid's numbers; the resting one gives way to the painting itself
    grid : where they look; its box is the square's
    finish : what is done to a frame, by its index and at the square's size, before it is blended
    settings : more of the engine's, for pack.toml

    Raises
    ------
    CannotWrite
        If the pack or the sheet cannot be written.
    """
    info = PackInfo(
        title=look.title or canvas.image.stem,
        artist=look.artist,
        licence=look.licence,
        source=canvas.image.name,
        source_sha256=sha256_of(canvas.image),
        size=(canvas.pixels.shape[1], canvas.pixels.shape[0]),
        engine=engine,
        settings={
            "steepness": look.steepness,
            "extent": look.extent,
            "detail": look.detail,
            "place": f"{place.x},{place.y},{place.side}",
            **(settings or {}),
        },
        sitters=(grid,),
    )
    alpha = weight(place.side, look.steepness, look.extent)
    patches = blended(canvas.pixels, files, place, grid.rest, alpha, finish)
    whole = Image.fromarray(canvas.pixels)
    sheet = Sheet(whole, info.main)
    passing = sheet.passing(show_progress(patches, grid.count, "blending"))
    write_pack(out, info, whole, passing, lambda: {f"{out.name}-sheet.png": png(sheet.image)})
    return info
