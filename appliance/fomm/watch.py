"""Watching a driving film: where head and eyes are in each of its pictures."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.camera.averaging import Pixels
from appliance.errors import BadFilm, UnfitPortrait
from appliance.fomm.film import Film
from appliance.portrait.blend import looks
from appliance.portrait.landmarks import Landmarker, Landmarks
from appliance.portrait.sampling import Array
from appliance.progress import progress

# Below this the mesh model no longer sees the face where it was.
_LOST: Final = 0.5
# One in so many pictures may show no face.
_ONE_IN: Final = 10
# A lid is shut when it opens less than this part of its usual.
_SHUT: Final = 0.7
# A head tilted farther than this, in degrees, is not: the film is. No sitter's is.
_LYING: Final = 60.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What a film shows, picture by picture; where it is not `sure`, what lies between its neighbours.

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
        """Where there is a face with open lids, (n,): whoever blinks looks nowhere."""
        open_: NDArray[np.bool_] = self.opening >= _SHUT * np.median(self.opening)
        return self.seen & open_

    @property
    def motion(self) -> Array:
        """Where the gaze goes, head and eyes together, in degrees to picture right."""
        return self.yaw + self.eyes


def watch(film: Film, landmarker: Landmarker) -> Watched:
    """Follow the face through a film.

    Raises
    ------
    BadFilm
        If the film cannot be read, has not one face in nine tenths of it, or lies on its side.
    """
    rows: list[tuple[float, float, float, Array] | str] = []
    face: Landmarks | None = None
    size = (0, 0)
    for pixels in progress(_whole(film), len(film), "watching the film"):
        size = (pixels.shape[1], pixels.shape[0])
        found = _refound(landmarker, pixels, face)
        if isinstance(found, str):
            rows.append(found)
            _enough(film, rows, len(film))
            face = None
            continue
        marks, points = landmarker.look_again(pixels, found)
        face = replace(found, mesh=points)
        open_ = sum(eye.opening for eye in marks) / 2
        rows.append((*looks(marks, points), open_, points[:, :2].astype(np.float32)))
    _enough(film, rows, len(rows))
    seen = np.array([not isinstance(row, str) for row in rows])
    # Twice: which lids are shut is known when all openings are.
    read = zip(*(row for row in rows if not isinstance(row, str)), strict=True)
    yaw, eyes, opening, mesh = (between(np.array(values), seen) for values in read)
    watched = Watched(yaw, eyes, opening, mesh, seen, size, film.times[: len(rows)])
    sure = watched.sure
    yaw, eyes, mesh = (between(values[sure], sure) for values in (yaw, eyes, mesh))
    tilt = float(np.median(np.abs(tilts(mesh))))
    if tilt > _LYING:
        raise BadFilm(
            f"{film.path}: the head is turned by {tilt:.0f} degrees in its pictures; expected an upright "
            "film: turn it with the telephone's own editor"
        )
    return replace(watched, yaw=yaw, eyes=eyes, mesh=mesh)


def between(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
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


def _refound(landmarker: Landmarker, pixels: Pixels, face: Landmarks | None) -> Landmarks | str:
    """Return the face followed so far if it is still there, or one found anew, or what is there instead."""
    if face is not None and landmarker.sureness(pixels, face.mesh) > _LOST:
        return face
    try:
        return landmarker.landmarks(pixels, landmarker.find(pixels))
    except UnfitPortrait:
        with suppress(UnfitPortrait):
            landmarker.find(pixels, choice=2)
            return "several faces"
        return "no face"
