"""From a painting and a driving video to a pack: the head's square, key points, then the frames shown."""

import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.errors import BadFilm, BadImage, BadModel, CannotWrite
from appliance.files import remove_abandoned, sha256_of, write_atomic
from appliance.fomm.driving_video import Film, Sweep, Watched, find_sweep, interpolate_gaps, watch
from appliance.fomm.network import (
    VOX,
    Architecture,
    Fomm,
    KeyPoints,
    adaption,
    grid_like,
    load_checkpoint,
    relative,
)
from appliance.images import read_pixels
from appliance.pack import DEFAULT_COLUMNS, PackInfo, check_destination
from appliance.portrait.foreign_blend import (
    BlendSettings,
    FittedPainting,
    FrameFinisher,
    HeadSquare,
    check_square_fits,
    compose_pack,
    evenly_spaced_row,
    read_fitted_painting,
)
from appliance.portrait.frame_motions import check_frame_count
from appliance.portrait.landmarks import FaceLandmarker
from appliance.portrait.sampling import Array
from appliance.terminal import show_progress

# The square's side, in heights of the face mesh, which ends at forehead and chin; and how far its
# middle lies above the mesh's, in sides: hair is higher than a chin is deep.
_MARGIN: Final = 1.9
_ABOVE: Final = 0.04
# A head that moves through the picture keeps at least this margin in every one of them.
_MOVING: Final = 1.2


def head_square(meshes: Array, size: tuple[int, int]) -> HeadSquare:
    """Return the square around a face, the same for all pictures of a film.

    Parameters
    ----------
    meshes : face meshes in picture pixels, (pictures, points, 2)
    size : (width, height) of the picture, which the square does not leave
    """
    low, high = meshes.min(1), meshes.max(1)
    usual = _MARGIN * float(np.median((high - low).max(1)))
    moving = _MOVING * float((high.max(0) - low.min(0)).max())
    side = min(round(max(usual, moving)), *size)
    middle = (low.min(0) + high.max(0)) / 2 - (0.0, _ABOVE * side)
    x, y = (
        int(np.clip(round(m - side / 2), 0, s - side)) for m, s in zip(middle.tolist(), size, strict=True)
    )
    return HeadSquare(x, y, side)


def read_square(pixels: Pixels, place: HeadSquare, side: int) -> Array:
    """Return a square of a picture as RGB in [0, 1], float32 (side, side, 3), averaged if it is larger."""
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR, place.box)
    return np.asarray(image, np.float32) / np.float32(255)


_FACTS: Final = "job.json"
_OURS: Final = ("frame_*.png", "motion_*.npy", "*.npz", _FACTS)
# Errors of NumPy, and of the modules it reads by, for files that are not there, cut short or damaged.
_NOT_WHOLE: Final = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

Arrays = dict[str, NDArray[Any]]


class Job:
    """A folder that belongs to one combination of inputs; every file in it is whole or absent."""

    def __init__(self, folder: Path, facts: Mapping[str, object], say: Callable[[str], None]) -> None:
        """Take up the job of these facts, or begin it.

        Raises
        ------
        CannotWrite
            If the folder holds something else, or cannot be written.
        """
        self._folder = folder
        wanted = (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()
        path = folder / _FACTS
        try:
            if path.is_file():
                remove_abandoned(folder.glob(".*.new-*"))
                if path.read_bytes() == wanted:
                    return
                say(f"{folder}: made from other inputs or settings; beginning anew")
                for pattern in _OURS:
                    for file in folder.glob(pattern):
                        file.unlink()
            elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise CannotWrite(
                    f"{folder}: exists and is no folder of frames; move it, or choose another --out"
                )
        except OSError as error:
            if isinstance(error, CannotWrite):
                raise
            raise CannotWrite(f"{folder}: cannot be used ({error.strerror})") from error
        write_atomic(path, wanted)

    def arrays(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays kept under a name, made first if they are not there, whole."""
        path = self._folder / f"{name}.npz"
        kept: Arrays | None = _whole(path)
        if kept is None:
            kept = make()
            buffer = io.BytesIO()
            np.savez(buffer, **kept)
            write_atomic(path, buffer.getvalue())
        return kept

    def frame_file(self, index: int) -> Path:
        """Return where a frame is kept."""
        return self._folder / f"frame_{index:02d}.png"

    def has_frame(self, index: int) -> bool:
        """Tell whether a frame and its motion are there and whole."""
        try:
            read_pixels(self.frame_file(index))
        except BadImage:
            return False
        return _whole(self._motion_file(index)) is not None

    def keep_frame(self, index: int, pixels: NDArray[np.uint8], motion: NDArray[np.float32]) -> None:
        """Keep a frame, RGB uint8 (side, side, 3), and its motion, any array."""
        buffer = io.BytesIO()
        np.save(buffer, motion)
        write_atomic(self._motion_file(index), buffer.getvalue())
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        write_atomic(self.frame_file(index), buffer.getvalue())

    def motion(self, index: int) -> NDArray[np.float32]:
        """Return the motion kept with a frame."""
        kept: NDArray[np.float32] = np.load(self._motion_file(index), allow_pickle=False)
        return kept

    def _motion_file(self, index: int) -> Path:
        return self._folder / f"motion_{index:02d}.npy"


def _whole(path: Path) -> Any:
    """Return the array or the arrays of a file, nothing if it is not there or damaged."""
    try:
        with path.open("rb") as file:
            kept = np.load(file, allow_pickle=False)
            return {key: kept[key] for key in kept.files} if path.suffix == ".npz" else kept
    except _NOT_WHOLE:
        return None


ENGINE: Final = "FOMM 2"


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of an animation.

    `frames` is how many, odd; `size` the screen's (width, height) in pixels, the picture's own if not
    given; `face` which of several faces, from 1 at picture left; `place` the square of the fitted
    picture that is animated, x, y and side, found if not given; `start_s` when the film
    shows the pose to start from, in seconds, found if not given; `align_corners` how sampling counts
    (see `Generator`).
    """

    frames: int = DEFAULT_COLUMNS
    size: tuple[int, int] | None = None
    face: int | None = None
    place: tuple[int, int, int] | None = None
    start_s: float | None = None
    align_corners: bool = True


def animate(
    source: Path,
    driving: Path,
    checkpoint: Path,
    out: Path,
    choices: Choices | None = None,
    look: BlendSettings | None = None,
    say: Callable[[str], None] = lambda line: None,
    architecture: Architecture = VOX,
) -> PackInfo:
    """Animate a painting by a film of a person who looks from side to side.

    Motion is relative to the film's picture whose pose is the painting's, and scaled to its face, as the
    original piece had it. What is done is kept in `<out>-frames`: cut off, the same command goes on there.

    Parameters
    ----------
    source : the painting, any image file
    driving : the film, any video file
    checkpoint : vox-cpk.pth.tar or vox-adv-cpk.pth.tar
    out : folder of the pack; `<out>-sheet.png` is written beside it

    Raises
    ------
    ConfigError
        If `frames` is not odd and at least 3.
    BadImage, BadFilm, BadModel
        If an input is not what it must be.
    UnfitPortrait
        If the painting has no face, or the square does not lie in it.
    CannotWrite
        If the pack or the folder of frames cannot be written.
    """
    choices, look = choices or Choices(), look or BlendSettings()
    check_frame_count(choices.frames)
    out = out.absolute()
    check_destination(out)
    film, model = Film(driving), load_checkpoint(checkpoint, architecture)
    landmarker = FaceLandmarker()
    canvas = read_fitted_painting(source, out, choices.size, landmarker, choices.face)
    face = canvas.face.mesh[:, :2]
    height, width = canvas.pixels.shape[:2]
    place = HeadSquare(*choices.place) if choices.place else head_square(face[None], (width, height))
    check_square_fits(canvas, place, str(source))
    if place.side < model.side:
        say(f"warning: {source}: the head's square is {place.side} pixels; {model.side} or more are sharper")
    inputs = {"source": source, "driving": driving, "checkpoint": checkpoint}
    facts = {name: sha256_of(path) for name, path in inputs.items()}
    job = Job(
        out.with_name(f"{out.name}-frames"),
        {**facts, **asdict(choices), "engine": ENGINE, "torch": torch.__version__, "place": place},
        say,
    )
    watched = _watched(job, film, landmarker)
    try:
        sweep = find_sweep(watched, choices.frames, face, choices.start_s)
    except BadFilm as error:
        raise BadFilm(f"{driving}: {error}") from error
    first, last, start = (watched.times[picture] for picture in (sweep.first, sweep.last, sweep.start))
    say(
        f"{driving}: its best sweep goes from {first:.2f} to {last:.2f} s; from the pose at {start:.2f} s "
        f"the gaze goes {sweep.reach:.1f} degrees to either side"
    )
    with torch.inference_mode():
        points = _film_points(job, film, model, watched, sweep)
        drawn = _frames(job, canvas, place, model, points, sweep, choices)
        for _ in show_progress(drawn, choices.frames, "drawing"):
            pass
    settings: dict[str, float | int | str | bool] = {
        "checkpoint_sha256": facts["checkpoint"],
        "align_corners": choices.align_corners,
    }
    files = [job.frame_file(i) for i in range(choices.frames)]
    finish = _finish(job, canvas, place, model.side, look.detail)
    return compose_pack(
        out,
        canvas,
        place,
        files,
        evenly_spaced_row(canvas, place, len(files), sweep.reach),
        look,
        ENGINE,
        finish,
        settings,
    )


def _watched(job: Job, film: Film, landmarker: FaceLandmarker) -> Watched:
    """Watch the film, or recall what was seen."""

    def make() -> Arrays:
        return {name: np.asarray(value) for name, value in asdict(watch(film, landmarker)).items()}

    kept = job.arrays("film", make)
    width, height = kept.pop("size").tolist()
    return Watched(**kept, size=(width, height))


def _film_points(job: Job, film: Film, model: Fomm, watched: Watched, sweep: Sweep) -> KeyPoints:
    """Find the key points of the whole film, (pictures, points, ...), or recall them.

    Where the film is not sure they are those between its neighbours: no frame blinks.
    """
    place = head_square(watched.mesh[sweep.first : sweep.last + 1], watched.size)
    sure = watched.sure

    def make() -> Arrays:
        found = [
            model.kp_detector(_tensor(read_square(pixels, place, model.side)))
            for pixels in show_progress(film, len(film), "key points")
        ]
        return {
            "value": torch.cat([points.value for points in found]).numpy(),
            "jacobian": torch.cat([points.jacobian for points in found]).numpy(),
        }

    kept = job.arrays("points", make)
    return KeyPoints(
        *(torch.from_numpy(interpolate_gaps(kept[name][sure], sure)) for name in ("value", "jacobian"))
    )


def _frames(
    job: Job,
    canvas: FittedPainting,
    place: HeadSquare,
    model: Fomm,
    points: KeyPoints,
    sweep: Sweep,
    choices: Choices,
) -> Iterator[int]:
    """Draw the frames that are not there yet; yield each one's index."""
    source = None
    for i, moment in enumerate(sweep.moments.tolist()):
        if not job.has_frame(i):
            if source is None:
                source = model.encode(_tensor(read_square(canvas.pixels, place, model.side)))
                _check_turns(source.points, "painting")
                _check_turns(points, "film")
                start = _at(points, sweep.start)
                scale = adaption(source.points, start)
            driving = relative(source.points, start, _at(points, moment), scale)
            drawn, motion = model.generator(source, driving, choices.align_corners)
            if not (drawn.isfinite().all() and motion.flow.isfinite().all()):
                raise BadModel(f"frame {i} is not finite: the checkpoint's weights do not fit this film")
            shift = motion.flow[0] - grid_like(motion.occlusion)
            kept = torch.cat([shift, motion.occlusion[0, 0, ..., None]], -1)
            job.keep_frame(i, _pixels(drawn), kept.float().numpy())
        yield i


def _check_turns(points: KeyPoints, of: str) -> None:
    """Make sure that each key point's motion can be turned back."""
    if not bool((torch.linalg.det(points.jacobian).abs() > 0).all()):
        raise BadModel(f"key points of the {of} without direction; expected a checkpoint of trained weights")


def _at(points: KeyPoints, moment: float) -> KeyPoints:
    """Return the film's key points at a moment, which may lie between two pictures, (1, points, ...)."""
    before = int(moment)
    part = moment - before
    if part == 0:
        return KeyPoints(*(values[before : before + 1] for values in points))
    return KeyPoints(*(torch.lerp(v[before : before + 1], v[before + 1 : before + 2], part) for v in points))


def _finish(job: Job, canvas: FittedPainting, place: HeadSquare, side: int, strength: float) -> FrameFinisher:
    """Return what puts the painting's detail back, moved as the model itself moved the painting.

    Where the model invented what the painting does not show, there is none.
    """
    if strength <= 0:
        return lambda index, frame: frame
    layer = canvas.detail(place, side)

    def finish(index: int, frame: Pixels) -> Pixels:
        motion = job.motion(index).astype(np.float64)
        return layer.restore_by_motion(frame, motion[..., :2] * (place.side / 2), strength * motion[..., 2])

    return finish


def _tensor(picture: Array) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()


def _pixels(drawn: torch.Tensor) -> Pixels:
    pixels: Pixels = (drawn[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return pixels
