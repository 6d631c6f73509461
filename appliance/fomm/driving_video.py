"""A driving video: read upright picture by picture, watched, and checked before anything is drawn."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from appliance.camera.sampling import Pixels
from appliance.errors import BadFilm, UnfitPortrait
from appliance.files import open_regular
from appliance.fomm.network import hull_area
from appliance.pack import DEFAULT_COLUMNS
from appliance.portrait.foreign_blend import measure_head_and_eye_yaw
from appliance.portrait.landmarks import FaceLandmarker, FaceLandmarks
from appliance.portrait.sampling import Array, gaussian_blur
from appliance.terminal import show_progress

# Largest number of pictures; longer films are thinned, because a sweep of ten seconds needs no more.
MOST: Final = 450
# The long side down to which pictures are reduced, in pixels: a face fills a third of it or more.
_LONGEST: Final = 1280
_FEWEST: Final = 3
# Most pixels of a film's pictures: 4K, of which a decoder holds several at once, 14 MB each.
MOST_PIXELS: Final = 9_500_000
# Files alone, in what cameras and editors write: FFmpeg would read texts as films, and lists that name
# other files or fetch them from the network.
_OPTIONS: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,asf,flv,ogg,gif,dv,mjpeg,m4v,h264,hevc",
}
# Errors of FFmpeg's bindings on a damaged film, besides FFmpeg's own (seen in mutated films).
_DAMAGE: Final = (
    av.error.FFmpegError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    UnicodeError,
)


class Film:
    """The pictures of a film; `len` tells how many, `times` (n,) when each is shown, in seconds."""

    def __init__(self, path: Path) -> None:
        """Count a film's pictures; raises `BadFilm` if there are none that can be read."""
        self.path = path
        try:
            with _opened(path) as container:
                if not container.streams.video:
                    raise BadFilm(f"{path}: no film (no pictures in it); expected a video file")
                stream = container.streams.video[0]
                codec = stream.codec_context  # none for a kind of film that FFmpeg does not know
                if codec and codec.width * codec.height > MOST_PIXELS:
                    raise BadFilm(
                        f"{path}: {codec.width}x{codec.height} pixels; expected at most {MOST_PIXELS:,}, "
                        "as in 4K; make it smaller"
                    )
                told = [
                    None if packet.pts is None else float(packet.pts * packet.time_base)
                    for packet in container.demux(stream)
                    if packet.size
                ]
                times = _times(told, float(stream.average_rate or 30))
                self._stretch = float(stream.sample_aspect_ratio or 1)
        except _DAMAGE as error:
            raise BadFilm(
                f"{path}: no film that can be read ({_brief(error)}); expected MP4, MOV or the like"
            ) from error
        if len(times) < _FEWEST:
            one = "1 picture" if len(times) == 1 else f"{len(times)} pictures"
            raise BadFilm(f"{path}: {one}; expected a film of some seconds")
        self._step = -(-len(times) // MOST)
        self.times = times[:: self._step]

    def __len__(self) -> int:
        """Return how many pictures there are at most: the last ones may turn out cut short."""
        return len(self.times)

    def __iter__(self) -> Iterator[Pixels]:
        """Yield the pictures, RGB uint8 (height, width, 3); raises `BadFilm` if one cannot be read."""
        index = -1
        try:
            with _opened(self.path) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
                for index, frame in enumerate(container.decode(video=0)):
                    if index % self._step == 0:
                        yield _upright(frame, self._stretch)
            if index < 0:
                raise BadFilm(f"{self.path}: none of its pictures can be read; expected a whole film")
        except _DAMAGE as error:
            raise BadFilm(
                f"{self.path}: damaged after picture {index + 1} ({_brief(error)}); expected a whole film"
            ) from error


def _opened(path: Path) -> InputContainer:
    open_regular(path).close()
    # With its protocol: a colon in a name would be taken for one. Titles may be in any encoding.
    return av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace")


def _times(told: list[float | None], rate: float) -> Array:
    """Return when a film's pictures are shown, from the first, in seconds; cameras do not keep a rate."""
    # They come in the order of decoding. Some containers tell no times.
    known = np.sort([time for time in told if time is not None])
    times = known if len(known) == len(told) else np.arange(len(told)) / rate
    return times - times[:1]


def _upright(frame: VideoFrame, stretch: float) -> Pixels:
    """Return a picture as it is to be shown; its pixels are `stretch` times as wide as high."""
    wide = frame.width * stretch
    part = min(1.0, _LONGEST / max(wide, frame.height))
    # Even sides, as halved colour needs them.
    width, height = (max(2 * round(part * side / 2), 2) for side in (wide, frame.height))
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    # Telephones film lying and note how they were held: degrees, counter-clockwise.
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _brief(error: Exception) -> str:
    if not isinstance(error, OSError | av.error.FFmpegError):  # others speak of Python's objects
        return "damaged"
    if isinstance(error, av.error.ArgumentError):  # of the formats above it is none
        return "a picture, a list, a text or the like"
    return str(getattr(error, "strerror", None) or error)[:80]


# Below this the mesh model no longer sees the face where it was.
_LOST: Final = 0.5
# Of this many pictures one may show no face.
_ONE_IN: Final = 10
# A lid is shut when it opens less than this part of its usual.
_SHUT: Final = 0.7
# A head tilted farther than this, in degrees, is not: the film is. No sitter's is.
_LYING: Final = 60.0


@dataclass(frozen=True, slots=True)
class Watched:
    """The motion in a film, picture by picture; where it is not `sure`, interpolated between neighbours.

    `yaw` and `eyes` (n,) are the head's and the eyes' turn in degrees to picture right; `opening` (n,)
    is how far the lids are open, in eye widths; `mesh` (n, 468, 2) is the face in picture pixels;
    `seen` (n,) tells where a face was; `size` is (width, height) of the pictures; `times` (n,) is when
    they are shown, in seconds.
    """

    yaw: Array
    eyes: Array
    opening: Array
    mesh: Array
    seen: NDArray[np.bool_]
    size: tuple[int, int]
    times: Array

    @property
    def sure(self) -> NDArray[np.bool_]:
        """Whether there is a face with open lids, (n,): somebody who blinks looks nowhere."""
        open_: NDArray[np.bool_] = self.opening >= _SHUT * np.median(self.opening)
        return self.seen & open_

    @property
    def motion(self) -> Array:
        """The gaze, head and eyes together, in degrees to picture right."""
        return self.yaw + self.eyes


def watch(film: Film, landmarker: FaceLandmarker) -> Watched:
    """Follow the face through a film.

    Raises
    ------
    BadFilm
        If the film cannot be read, has not one face in nine tenths of it, or lies on its side.
    """
    rows: list[tuple[float, float, float, Array] | str] = []
    face: FaceLandmarks | None = None
    size = (0, 0)
    for pixels in show_progress(_whole(film), len(film), "watching the film"):
        size = (pixels.shape[1], pixels.shape[0])
        found = _refound(landmarker, pixels, face)
        if isinstance(found, str):
            rows.append(found)
            _enough(film, rows, len(film))
            face = None
            continue
        marks, points = landmarker.read_again(pixels, found)
        face = replace(found, mesh=points)
        open_ = sum(eye.opening for eye in marks) / 2
        rows.append((*measure_head_and_eye_yaw(marks, points), open_, points[:, :2].astype(np.float32)))
    _enough(film, rows, len(rows))
    seen = np.array([not isinstance(row, str) for row in rows])
    # Twice: which lids are shut is known when all openings are.
    read = zip(*(row for row in rows if not isinstance(row, str)), strict=True)
    yaw, eyes, opening, mesh = (interpolate_gaps(np.array(values), seen) for values in read)
    watched = Watched(yaw, eyes, opening, mesh, seen, size, film.times[: len(rows)])
    sure = watched.sure
    yaw, eyes, mesh = (interpolate_gaps(values[sure], sure) for values in (yaw, eyes, mesh))
    tilt = float(np.median(np.abs(tilts(mesh))))
    if tilt > _LYING:
        raise BadFilm(
            f"{film.path}: the head is turned by {tilt:.0f} degrees in its pictures; expected an upright "
            "film: turn it with the telephone's own editor"
        )
    return replace(watched, yaw=yaw, eyes=eyes, mesh=mesh)


def interpolate_gaps(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    """Return values (n, ...) for all pictures from those (m, ...) where they are `known` (n,)."""
    count, there = len(known), np.flatnonzero(known)
    flat = values.reshape(len(there), -1)
    spread = np.stack([np.interp(np.arange(count), there, column) for column in flat.T], -1)
    return spread.reshape(count, *values.shape[1:]).astype(values.dtype)


def tilts(meshes: Array) -> Array:
    """Return how far heads are tilted, degrees clockwise, (n,): by the outer corners of the eyes."""
    across = meshes[:, 263] - meshes[:, 33]
    turned: Array = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    return turned


def _enough(film: Film, rows: Sequence[object], count: int) -> None:
    """Make sure that a film of `count` pictures can still show a face in enough of them."""
    missing = [row for row in rows if isinstance(row, str)]
    if len(missing) * _ONE_IN > count:
        raise BadFilm(
            f"{film.path}: {missing[-1]} in {len(missing)} of the first {len(rows)} pictures; expected "
            "one person, facing the camera, in at least nine of ten"
        )


def _whole(film: Film) -> Iterator[Pixels]:
    """Pass the pictures on as long as they have one size."""
    first: tuple[int, ...] | None = None
    for pixels in film:
        if first not in (None, pixels.shape):
            raise BadFilm(f"{film.path}: its pictures change their size; expected one take")
        first = pixels.shape
        yield pixels


def _refound(landmarker: FaceLandmarker, pixels: Pixels, face: FaceLandmarks | None) -> FaceLandmarks | str:
    """Return the face followed so far if it is still there, or one found anew, or what is there instead."""
    if face is not None and landmarker.face_confidence(pixels, face.mesh) > _LOST:
        return face
    try:
        return landmarker.read_landmarks(pixels, landmarker.find_sitter(pixels))
    except UnfitPortrait:
        with suppress(UnfitPortrait):
            landmarker.find_sitter(pixels, choice=2)
            return "several faces"
        return "no face"


# The landmarks' readings scatter: they are averaged over about this many pictures.
_SIGMA: Final = 1.0
# A sweep goes from the outermost part of the film's range on one side to that on the other.
_OUTER: Final = 0.08
# The part of the sweep that the start must leave to either side.
_ASIDE: Final = 0.3
# Least range of the gaze to either side, in degrees, from which frames can be made.
_LEAST: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep: pictures `first` to `last` of the film, and what is taken from it.

    `motion` (n,) is the whole film's gaze in degrees, smoothed; `start` is the picture whose pose is
    nearest to the painting's; `moments` are the pictures of the frames, from the one that looks
    farthest to picture left, as whole and broken numbers: 2.5 lies between the third and the fourth;
    `reach` is how far the outermost look to either side of the start, in degrees.
    """

    first: int
    last: int
    motion: Array
    start: int
    moments: Array
    reach: float


def find_sweep(watched: Watched, frames: int, pose: Array, start_s: float | None = None) -> Sweep:
    """Find the film's best sweep and the moments of its frames.

    Parameters
    ----------
    frames : how many, odd; the middle one is the start
    pose : the painting's face mesh, (468, 2), in any pixels
    start_s : when the picture to start from is shown, in seconds; the one in the sweep with the pose
        most like the painting's, if not given

    Raises
    ------
    BadFilm
        If the gaze does not go from side to side, or there is no such picture.
    """
    motion = smooth(watched.motion)
    first, last = best_pass(motion, watched.sure)
    part = motion[first : last + 1]
    low, high = float(part.min()), float(part.max())
    aside = np.minimum(part - low, high - part)
    if start_s is None:
        unlike = [difference(mesh, pose) for mesh in watched.mesh[first : last + 1]]
        fit = (aside >= _ASIDE * (high - low)) & watched.sure[first : last + 1]
        start = first + int(np.where(fit, unlike, np.inf).argmin())
    elif not first <= (start := int(np.abs(watched.times - start_s).argmin())) <= last:
        ends = f"{watched.times[first]:.2f} to {watched.times[last]:.2f}"
        raise BadFilm(f"--start {start_s:g}; expected a moment of the best sweep, {ends} s")
    reach = float(aside[start - first])
    if reach < _LEAST:
        raise BadFilm(
            f"from the pose at {watched.times[start]:.2f} s the gaze goes only {reach:.1f} degrees to one "
            f"side; expected {_LEAST:.0f} or more to either: look and turn farther (deploy/guide/filming.md)"
        )
    rising = part if part[-1] > part[0] else part[::-1]
    wanted = motion[start] + np.linspace(-reach, reach, frames)
    moments = crossings(rising, wanted)
    moments = first + moments if rising is part else last - moments
    moments[frames // 2] = start
    return Sweep(first, last, motion, start, moments, reach)


def smooth(values: Array) -> Array:
    """Average readings (n,) over neighbouring pictures."""
    smoothed: Array = gaussian_blur(np.asarray(values, np.float64)[:, None], _SIGMA)[:, 0]
    return smoothed


def best_pass(motion: Array, sure: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first and last picture of the best sweep from one side to the other.

    It is the one with the fewest pictures that are not `sure` (n,), and among those the one that turns
    back least.
    """
    low, high = float(motion.min()), float(motion.max())
    outer = _OUTER * (high - low)
    side = np.where(motion <= low + outer, -1, np.where(motion >= high - outer, 1, 0))
    ends = np.flatnonzero(side)
    passes = [(int(a), int(b)) for a, b in pairwise(ends) if side[a] != side[b]]
    if not passes:
        raise BadFilm("the gaze does not move; expected it to go from side to side")

    def faults(pair: tuple[int, int]) -> tuple[int, float]:
        part = slice(pair[0], pair[1] + 1)
        steps = np.diff(motion[part])
        return int((~sure[part]).sum()), float(np.abs(steps).sum() - abs(steps.sum()))

    first, last = min(passes, key=faults)
    # The turning points lie a little beyond.
    sign = np.sign(motion[last] - motion[first])
    while first > 0 and sure[first - 1] and sign * (motion[first] - motion[first - 1]) > 0:
        first -= 1
    while last < len(motion) - 1 and sure[last + 1] and sign * (motion[last + 1] - motion[last]) > 0:
        last += 1
    return first, last


def crossings(motion: Array, wanted: Array) -> Array:
    """Return when a motion (n,) first reaches each of the rising values, in pictures and parts of them."""
    moments = np.empty(len(wanted))
    for i, value in enumerate(wanted):
        after = int((motion >= value - 1e-9).argmax())
        step = motion[after] - motion[after - 1] if after else 1.0
        moments[i] = after - np.clip((motion[after] - value) / step, 0, 1) * (after > 0)
    return moments


def difference(mesh: Array, pose: Array) -> float:
    """Return how unlike two poses are, by landmarks freed of place and size; as the official code does."""

    def normal(points: Array) -> Array:
        away = points - points.mean(0)
        freed: Array = away / max(hull_area(away.tolist()), 1e-9) ** 0.5
        return freed

    return float(np.square(normal(mesh) - normal(pose)).sum(1).mean())


# Least range of the gaze, the eyes and the head from one end to the other, in degrees.
_GAZE: Final = 20.0
_EYES: Final = 8.0
_HEAD: Final = 6.0
# Largest distance of the start from the middle: the longer side against the shorter.
_LOPSIDED: Final = 1.6
# The largest of the steps between frames against their mean, and the part of the way that goes back.
_UNEVEN: Final = 3.0
_BACK: Final = 0.1
# The gaze's largest step from picture to picture, in steps between frames.
_HASTY: Final = 3.0
# Limits of the head's other motion: rise, sink and grow, in parts of the face's height; tilt, in degrees.
_DRIFT: Final = 0.12
_TILT: Final = 10.0


@dataclass(frozen=True, slots=True)
class VideoFinding:
    """One thing that was looked at: its name, whether it will do, and a sentence with the figures."""

    name: str
    right: bool
    sentence: str


def check(watched: Watched, frames: int = DEFAULT_COLUMNS) -> tuple[Sweep, list[VideoFinding]]:
    """Judge a film by its best sweep.

    The pose to start from is the one in the middle of the sweep, as no painting is given.

    Raises
    ------
    BadFilm
        If the gaze hardly moves at all.
    """
    middle = (watched.motion.min() + watched.motion.max()) / 2
    sweep = find_sweep(watched, frames, watched.mesh[int(abs(watched.motion - middle).argmin())])
    part = slice(sweep.first, sweep.last + 1)
    return sweep, [
        _seen(watched),
        _range(watched, sweep),
        *(_turning(name, turn, sweep, least) for name, turn, least in _parts(watched)),
        _pace(sweep, frames, watched.times),
        _steady(watched.mesh[part]),
        _lids(watched, sweep),
    ]


def judge(path: Path) -> dict[str, Any]:
    """Watch a film and return the check as plain numbers and texts, ready for JSON.

    Raises
    ------
    BadFilm
        If the file is no film, shows no face, or its gaze hardly moves.
    """
    watched = watch(Film(path), FaceLandmarker())
    try:
        sweep, findings = check(watched)
    except BadFilm as error:
        raise BadFilm(f"{path}: {error}") from error
    return {
        "fit": all(finding.right for finding in findings),
        "sweep_seconds": [round(float(watched.times[end]), 2) for end in (sweep.first, sweep.last)],
        "start_seconds": round(float(watched.times[sweep.start]), 2),
        "degrees_to_either_side": round(sweep.reach, 1),
        "findings": {f.name: {"right": f.right, "says": f.sentence} for f in findings},
    }


def _parts(watched: Watched) -> list[tuple[str, Array, float]]:
    return [("eyes", watched.eyes, _EYES), ("head", watched.yaw, _HEAD)]


def _seen(watched: Watched) -> VideoFinding:
    count, all_ = int(watched.seen.sum()), len(watched.seen)
    return VideoFinding("face", count == all_, f"seen in {count} of {all_} pictures")


def _range(watched: Watched, sweep: Sweep) -> VideoFinding:
    part = sweep.motion[sweep.first : sweep.last + 1]
    straight = float(sweep.motion[sweep.start])
    left, right = straight - float(part.min()), float(part.max()) - straight
    lopsided = max(left, right) / max(min(left, right), 1e-6)
    told = f"{left:.0f} degrees to picture left, {right:.0f} to picture right"
    if left + right < _GAZE:
        return VideoFinding("gaze", False, f"{told}; expected {_GAZE:.0f} together: look and turn farther")
    if lopsided > _LOPSIDED:
        return VideoFinding("gaze", False, f"{told}; expected as much to both: start from the middle")
    return VideoFinding("gaze", True, told)


def _turning(name: str, turn: Array, sweep: Sweep, least: float) -> VideoFinding:
    """Judge whether eyes or head sweep evenly: by what they have done when the gaze has gone equal steps."""
    pictures = np.arange(len(turn))
    steps = np.diff(np.interp(sweep.moments, pictures, smooth(turn)))
    way, back = float(steps.sum()), float(-steps[steps < 0].sum())
    told = f"{way:.0f} degrees from picture left to right"
    if way < least:
        told = f"{way:.1f} degrees from picture left to right"
        return VideoFinding(name, False, f"{told}; expected {least:.0f}: let eyes and head go together")
    if back > _BACK * way:
        return VideoFinding(name, False, f"{told}, but {back:.0f} back in between; expected one even sweep")
    largest = float(steps.max()) * len(steps) / way
    if largest > _UNEVEN:
        return VideoFinding(
            name, False, f"{told}, but in jerks (a step of {largest:.1f} times the mean); go evenly"
        )
    return VideoFinding(name, True, f"{told}, evenly (largest step {largest:.1f} times the mean)")


def _pace(sweep: Sweep, frames: int, times: Array) -> VideoFinding:
    part = sweep.motion[sweep.first : sweep.last + 1]
    largest = float(np.abs(np.diff(part)).max()) / (2 * sweep.reach / (frames - 1))
    took = float(times[sweep.last] - times[sweep.first])
    told = f"{len(part)} pictures, {took:.1f} s, for {frames} frames"
    if largest > _HASTY:
        return VideoFinding("pace", False, f"{told}, and {largest:.1f} frames between two of them: go slower")
    return VideoFinding("pace", True, f"{told}, at most {largest:.1f} frames between two of them")


def _steady(meshes: Array) -> VideoFinding:
    height = np.ptp(meshes[:, :, 1], axis=1)
    usual = float(np.median(height))
    rises = float(np.ptp(meshes[:, :, 1].mean(1))) / usual
    grows = float(np.ptp(height)) / usual
    tilt = float(np.ptp(tilts(meshes)))
    told = f"rises and sinks by {rises:.0%} of the face, grows by {grows:.0%}, tilts by {tilt:.0f} degrees"
    right = max(rises, grows) <= _DRIFT and tilt <= _TILT
    return VideoFinding(
        "steadiness", right, told if right else f"{told}; only turn: fix the camera, sit, chin level"
    )


def _lids(watched: Watched, sweep: Sweep) -> VideoFinding:
    part = slice(sweep.first, sweep.last + 1)
    shut = watched.times[part][(watched.seen & ~watched.sure)[part]]
    if len(shut):
        return VideoFinding("lids", False, f"shut at {shut[0]:.1f} s; do not blink in the sweep")
    return VideoFinding("lids", True, "open")
