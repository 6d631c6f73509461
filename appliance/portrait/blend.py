"""Head frames made elsewhere, by FOMM, LivePortrait or a camera, blended into the painting they came from.

The weight is the original piece's sigmoid of the distance from the frame's middle, the larger of
both axes; here it ends in zero at the frame's edge, where the original left up to 1 % of a seam.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.errors import BadImage, UnfitPortrait
from appliance.grid import Box
from appliance.images import image_files, read_image, read_pixels
from appliance.portrait.landmarks import EyeMarks, Landmarker, Landmarks
from appliance.portrait.sampling import Array, smoothstep

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
