"""Head pictures made elsewhere, blended over the painting, with its fine detail put back.

The frames are coarser than the painting. Its fine detail is taken from the painting and moved with the face;
the motion is read from the landmarks of both.

The weight of a frame's pixel is the original piece's sigmoid of the distance from the frame's middle, the
larger of both axes. Here it ends in zero at the frame's edge, where the original left a seam of up to 1 %.
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
from appliance.portrait.contact_sheet import ContactSheet, png_bytes
from appliance.portrait.landmarks import (
    EyeLandmarks,
    FaceLandmarker,
    FaceLandmarks,
    mesh_yaw,
    name_picture_in_refusals,
)
from appliance.portrait.sampling import Array, sample_bilinear, sample_cubic, smoothstep
from appliance.portrait.source import fit_to_screen, read_picture_for_screen
from appliance.terminal import show_progress

# Sigma of the Gaussian that averages the landmarks' motion, as a fraction of the square's side (by eye).
_REACH: Final = 0.05
_STEPS: Final = 48  # cells to a side of the grid on which the motion is averaged
_STILL: Final = 0.05  # weight, in full landmarks, that pulls the motion to zero far from the face (by eye)


class FineDetail:
    """The fine detail of a square of the painting, except in the eyes, which move by themselves."""

    def __init__(self, square: Pixels, mesh: Array, eyes: Sequence[EyeLandmarks], frame_side: int) -> None:
        """Take the detail out of the painting's square that the frames show, RGB uint8 (side, side, 3).

        `mesh`, (points, 2), and `eyes` are the painted face's, in the square's pixels. The frames came with a
        side of `frame_side` pixels: detail that they can hold is left to them.
        """
        side = len(square)
        self._mesh = mesh
        # Reduced like the models' input, so that a frame that repeats its input gets the painting back.
        small = Image.fromarray(square).resize((frame_side, frame_side), Image.Resampling.BILINEAR)
        held = np.asarray(small.resize((side, side), Image.Resampling.LANCZOS), np.float64)
        self._fine = (square - held) * _outside(eyes, side)[..., None]

    def restore_by_landmarks(self, frame: Pixels, mesh: Array, strength: float) -> Pixels:
        """Add the detail to a frame of the square's size, RGB uint8 (side, side, 3), moved by the landmarks.

        `mesh` is the same landmarks in the frame's pixels, (points, 2); `strength` is the fraction of the
        detail that is added, 0 to 1.
        """
        return self.restore_by_motion(frame, self._motion(mesh, len(frame)), np.full((1, 1), strength))

    def restore_by_motion(self, frame: Pixels, motion: Array, strength: Array) -> Pixels:
        """Add the detail to a frame of the square's size, RGB uint8 (side, side, 3), moved as given.

        `motion` (cells, cells, 2) is where each cell's content lies in the painting, relative to the frame,
        in its pixels; `strength` (cells, cells) is the fraction of the detail that is added, 0 to 1.
        """
        side = len(frame)
        y, x = np.mgrid[0:side, 0:side] + 0.5
        moved = sample_bilinear(motion, x * len(motion) / side, y * len(motion) / side)
        share = sample_bilinear(strength, x * len(strength) / side, y * len(strength) / side)
        fine = sample_cubic(self._fine, x + moved[..., 0], y + moved[..., 1])
        return np.clip(np.rint(frame + share[..., None] * fine), 0, 255).astype(np.uint8)

    def _motion(self, mesh: Array, side: int) -> Array:
        """Return where each grid cell's content lies in the painting, relative to the frame, in pixels."""
        y, x = (np.mgrid[0:_STEPS, 0:_STEPS] + 0.5) * (side / _STEPS)
        away = np.stack([x, y], -1)[:, :, None] - mesh
        pull = np.exp(-0.5 * (away**2).sum(-1) / (_REACH * side) ** 2)
        motion: Array = (pull @ (self._mesh - mesh)) / (pull.sum(-1) + _STILL)[..., None]
        return motion


def _outside(eyes: Sequence[EyeLandmarks], side: int) -> Array:
    """Return 0 in the eyes and 1 away from them, (side, side)."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    weight = np.ones((side, side))
    for eye in eyes:
        far = np.hypot((x - eye.middle[0]) / (0.62 * eye.width), (y - eye.middle[1]) / (0.36 * eye.width))
        weight *= smoothstep((far - 0.9) / 0.35)
    return weight


BLEND_STEEPNESS: Final = 0.06  # steepness of the sigmoid, per pixel of a frame of 512 (the original piece's)
# Distance from the middle at which frame and painting weigh the same, in pixels of a frame of 512 (the
# original piece's).
BLEND_EXTENT: Final = 180.0
_SIDE: Final = 512  # side of the frames for which steepness and extent are given, in pixels
# Greatest difference of both faces' meshes, a root mean square in half faces, at which they are one face in
# one pose (by eye).
_UNALIKE: Final = 0.12
_LEVER: Final = 1.744  # `eye_layers.IRIS_LEVER`, rounded
_EDGE: Final = 0.12  # the fraction of half a frame over which the weight falls to zero at the edge (by eye)


class HeadSquare(NamedTuple):
    """The square of the painting that head frames show: upper left corner and side, in its pixels."""

    x: int
    y: int
    side: int

    @property
    def box(self) -> Box:
        """The square as (x0, y0, x1, y1)."""
        return self.x, self.y, self.x + self.side, self.y + self.side


def blend_weights(side: int, steepness: float = BLEND_STEEPNESS, extent: float = BLEND_EXTENT) -> Array:
    """Return the blend's weights, (side, side): 1 is the frame, 0 the painting.

    alpha = 1 / (1 + exp(steepness * (max(|x - m|, |y - m|) - extent))), m the middle, at 512 pixels; other
    sides are scaled to that. Towards the edge it falls to exactly zero.
    """
    middle = side / 2
    away = np.abs(np.arange(side) + 0.5 - middle) * (_SIDE / side)
    far = np.maximum(away[:, None], away)
    alpha = 1 / (1 + np.exp(np.clip(steepness * (far - extent), -60, 60)))
    left = (_SIDE / 2 - 0.5 * _SIDE / side - far) / (_EDGE * _SIDE / 2)
    weighted: Array = alpha * smoothstep(left)
    return weighted


def blend_frame(painting: Pixels, frame: Pixels, alpha: Array) -> Pixels:
    """Blend a frame over the painting's square, both RGB uint8 (side, side, 3) of the weights' side."""
    share = alpha[..., None]
    mixed: Pixels = np.rint(painting + share * (frame.astype(np.float64) - painting)).astype(np.uint8)
    return mixed


def find_frame_square(painting: FaceLandmarks, frame: FaceLandmarks, side: int) -> HeadSquare:
    """Find the square that frames of `side` pixels show, by matching both faces' meshes.

    Raises `UnfitPortrait` if the meshes do not fit: another face, or another pose.
    """
    there, here = painting.mesh[:, :2], frame.mesh[:, :2]
    a, b = there - there.mean(0), here - here.mean(0)
    scale = float((a * b).sum() / np.square(b).sum())
    off = float(np.sqrt(np.square(a - scale * b).sum(1).mean())) / painting.half_width
    if off > _UNALIKE or scale <= 0:
        raise UnfitPortrait(
            f"the frames' face does not fit the painting's (off by {off:.2f} half faces, expected "
            f"{_UNALIKE}); make them from this painting, or give their place"
        )
    x, y = there.mean(0) - scale * here.mean(0)
    return HeadSquare(round(float(x)), round(float(y)), round(scale * side))


def choose_evenly_spaced_frames(motions: Sequence[float], frames: int) -> list[int]:
    """Choose frames whose measured gaze goes in equal steps from the least to the most.

    `motions` is the gaze of each frame, any unit, in any order. `frames` of them are chosen. The result is
    indices into `motions`, by rising gaze, none twice. Raises `ValueError` if there are fewer than `frames`.
    """
    if len(motions) < frames:
        raise ValueError(f"{len(motions)} frames, expected at least {frames}")
    order = np.argsort(np.asarray(motions), kind="stable")
    ordered = np.asarray(motions)[order]
    wanted = np.linspace(ordered[0], ordered[-1], frames)
    chosen: list[int] = []
    first = 0
    for i, target in enumerate(wanted):
        last = len(order) - (frames - i)  # leave enough frames for the other targets
        nearest = first + int(np.abs(ordered[first : last + 1] - target).argmin())
        chosen.append(int(order[nearest]))
        first = nearest + 1
    return chosen


def read_gaze_angles(landmarker: FaceLandmarker, files: Sequence[Path], face: FaceLandmarks) -> list[float]:
    """Measure where each frame looks, in degrees to picture right: the head's yaw plus the irises' turn."""
    return [sum(measure_head_and_eye_yaw(*landmarker.read_again(read_pixels(path), face))) for path in files]


def measure_head_and_eye_yaw(eyes: Sequence[EyeLandmarks], mesh: Array) -> tuple[float, float]:
    """Return how far a head is turned and how far its eyes are, on average, in degrees to picture right.

    `eyes` and `mesh` are as `FaceLandmarker.read_again` returns them.
    """
    turns = []
    for eye in eyes:
        along = (eye.lower[-1] - eye.lower[0]) / eye.width
        away = float((np.array(eye.iris) - eye.middle) @ along)
        turns.append(math.degrees(math.asin(min(max(away / (_LEVER * eye.radius), -0.9), 0.9))))
    return mesh_yaw(mesh), sum(turns) / len(turns)


def list_head_frames(folder: Path) -> list[Path]:
    """List head frames in name order; raises `BadImage` if there are fewer than three."""
    files = image_files(folder) if folder.is_dir() else []
    if len(files) < 3:
        raise BadImage(f"{folder}: {len(files)} head frames; expected a folder of 3 or more image files")
    return files


def check_frames_are_square(files: Sequence[Path]) -> None:
    """Make sure that head frames are square; raises `BadImage`."""
    for path in files:
        width, height = read_image(path).size
        if width != height:
            raise BadImage(f"{path}: {width}x{height}; expected a square head frame")


def blend_frames(
    painting: Pixels,
    files: Sequence[Path],
    place: HeadSquare,
    resting_frame: int,
    alpha: Array,
    finish: Callable[[int, Pixels], Pixels] = lambda index, frame: frame,
) -> Iterator[Image.Image]:
    """Blend the square frames in `files`, in the order of the pack; the resting one is the painting itself.

    `alpha` has the weights as `blend_weights` returns them. `finish` is applied to each frame, by its index
    and as RGB uint8 of the square's size, before it is blended.
    """
    x0, y0, x1, y1 = place.box
    square = painting[y0:y1, x0:x1]
    for i, path in enumerate(files):
        if i == resting_frame:
            yield Image.fromarray(square)
            continue
        frame = read_image(path).resize((place.side, place.side), Image.Resampling.LANCZOS)
        yield Image.fromarray(blend_frame(square, finish(i, np.asarray(frame)), alpha))


# Changes a frame before it is blended: from its index and its RGB uint8 to the same.
FrameFinisher = Callable[[int, Pixels], Pixels]
_SMALLEST: Final = 16  # least side of the frames' square, in pixels: less does not hold a head (by eye)


@dataclass(frozen=True, slots=True)
class FittedPainting:
    """A painting as it will be shown: `pixels` RGB uint8 (height, width, 3), `face` in its pixels."""

    image: Path
    pixels: Pixels
    face: FaceLandmarks

    @property
    def eyes(self) -> tuple[float, float]:
        """The middle between the eyes, (x, y) in picture pixels."""
        corners = np.concatenate([eye.lower[[0, -1]] for eye in self.face.eyes])
        x, y = corners.mean(0).round(2).tolist()
        return x, y

    def square(self, place: HeadSquare) -> Pixels:
        """Return a square of the painting, RGB uint8 (side, side, 3)."""
        x0, y0, x1, y1 = place.box
        return self.pixels[y0:y1, x0:x1]

    def detail(self, place: HeadSquare, frame_side: int) -> FineDetail:
        """Take the fine detail out of a square, as `FineDetail` does."""
        corner = np.array([place.x, place.y], np.float64)
        eyes = [
            replace(eye, lower=eye.lower - corner, upper=eye.upper - corner, iris=(0.0, 0.0))
            for eye in self.face.eyes
        ]
        return FineDetail(self.square(place), self.face.mesh[:, :2] - corner, eyes, frame_side)


@dataclass(frozen=True, slots=True)
class BlendSettings:
    """Settings of the blend of head frames over the painting, and the pack's labels.

    `steepness` and `extent` are the sigmoid's for frames of 512 pixels; `detail` is the fraction of the
    painting's fine detail that is restored, 0 to 1; `title` is the file's name if None.
    """

    steepness: float = BLEND_STEEPNESS
    extent: float = BLEND_EXTENT
    detail: float = 0.0
    title: str | None = None
    artist: str = "unknown"
    licence: str = "unknown"


def read_fitted_painting(
    image: Path,
    out: Path,
    size: tuple[int, int] | None,
    landmarker: FaceLandmarker,
    choose: int | None = None,
) -> FittedPainting:
    """Read a painting, fit it to the screen and find the sitter's face.

    A question about several faces is shown beside the pack's folder `out`; `choose` is the number of one,
    from 1 at picture left. `size` is (width, height) of the screen in pixels, the picture's own by default.
    Raises `BadImage` if it is no whole image, and `UnfitPortrait` if it has no such face.
    """
    original, _ = read_picture_for_screen(image, size)
    with name_picture_in_refusals(image, out):
        found = landmarker.find_sitter(original, choose)
        pixels, (found,) = fit_to_screen(original, [found], size or (original.shape[1], original.shape[0]))
        return FittedPainting(image, pixels, landmarker.read_landmarks(pixels, found))


def check_square_fits(canvas: FittedPainting, place: HeadSquare, whose: str) -> None:
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


def evenly_spaced_row(canvas: FittedPainting, place: HeadSquare, count: int, reach: float) -> FrameGrid:
    """Return the grid of one row that looks `reach` degrees to either side; its middle is the painting."""
    angles = np.linspace(-reach, reach, count) * (np.arange(count) != count // 2)
    return FrameGrid(place.box, canvas.eyes, tuple(angles.tolist()), (0.0,), (1,), (0, count // 2))


def compose_pack(
    out: Path,
    canvas: FittedPainting,
    place: HeadSquare,
    files: Sequence[Path],
    grid: FrameGrid,
    look: BlendSettings,
    engine: str,
    finish: FrameFinisher,
    settings: Mapping[str, float | int | str | bool] | None = None,
) -> PackInfo:
    """Blend chosen frames over the painting into a pack; `<out>-sheet.png` is written beside it.

    `place` is the square of the painting that the frames in `files` show, and the box of the `grid`, which
    says where they look, in the same order; the resting one gives way to the painting itself. `finish` is
    applied to each, by its index and at the square's size, before it is blended. `settings` are further ones
    of the engine for pack.toml. Raises `CannotWrite` if the pack or the sheet cannot be written.
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
    alpha = blend_weights(place.side, look.steepness, look.extent)
    patches = blend_frames(canvas.pixels, files, place, grid.rest, alpha, finish)
    whole = Image.fromarray(canvas.pixels)
    sheet = ContactSheet(whole, info.main)
    passing = sheet.pass_through(show_progress(patches, grid.count, "blending"))
    write_pack(out, info, whole, passing, lambda: {f"{out.name}-sheet.png": png_bytes(sheet.image)})
    return info
