"""Watching a driving film: where head and eyes are in each of its pictures."""

from collections.abc import Iterator, Sequence
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
# A head tilted farther than this, in degrees, is not: the film is. No sitter's is.
_LYING: Final = 60.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What a film shows, picture by picture; where no face was seen, what lies between its neighbours.

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
    def motion(self) -> Array:
        """Where the gaze goes, head and eyes together, in degrees to picture right."""
        return self.yaw + self.eyes


def watch(film: Film, landmarker: Landmarker) -> Watched:
    """Follow the face through a film.

    Raises
    ------
    BadFilm
        If the film cannot be read, shows no face in more than a tenth of it, or lies on its side.
    """
    rows: list[tuple[float, float, float, Array] | None] = []
    face: Landmarks | None = None
    size = (0, 0)
    for pixels in progress(_whole(film), len(film), "watching the film"):
        size = (pixels.shape[1], pixels.shape[0])
        face = _refound(landmarker, pixels, face)
        if face is None:
            rows.append(None)
            _enough(film, rows, len(film))
            continue
        marks, points = landmarker.look_again(pixels, face)
        face = replace(face, mesh=points)
        open_ = sum(eye.opening for eye in marks) / 2
        rows.append((*looks(marks, points), open_, points[:, :2].astype(np.float32)))
    _enough(film, rows, len(rows))
    seen = np.array([row is not None for row in rows])
    there = np.flatnonzero(seen)
    read = zip(*(row for row in rows if row), strict=True)
    yaw, eyes, opening, mesh = (_filled(np.array(values), there, len(rows)) for values in read)
    tilt = float(np.median(np.abs(tilts(mesh))))
    if tilt > _LYING:
        raise BadFilm(
            f"{film.path}: the head is turned by {tilt:.0f} degrees in its pictures; expected an upright "
            "film: turn it with the telephone's own editor"
        )
    return Watched(yaw, eyes, opening, mesh, seen, size, film.times[: len(rows)])


def tilts(meshes: Array) -> Array:
    """Return how far heads are tilted, degrees clockwise, (n,): by the outer corners of the eyes."""
    across = meshes[:, 263] - meshes[:, 33]
    turned: Array = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    return turned


def _enough(film: Film, rows: Sequence[object], count: int) -> None:
    """Make sure that a film of `count` pictures can still show a face in enough of them."""
    missing = sum(row is None for row in rows)
    if not rows or missing * _ONE_IN > count:
        raise BadFilm(
            f"{film.path}: no face in {missing} of the first {len(rows)} pictures; expected one person, "
            "facing the camera, in at least nine of ten"
        )


def _whole(film: Film) -> Iterator[Pixels]:
    """Pass the pictures on as long as they have one size."""
    first: tuple[int, ...] | None = None
    for pixels in film:
        if first not in (None, pixels.shape):
            raise BadFilm(f"{film.path}: its pictures change their size; expected one take")
        first = pixels.shape
        yield pixels


def _refound(landmarker: Landmarker, pixels: Pixels, face: Landmarks | None) -> Landmarks | None:
    """Return the face followed so far if it is still there, or the one found anew, or none."""
    if face is not None and landmarker.sureness(pixels, face.mesh) > _LOST:
        return face
    try:
        return landmarker.landmarks(pixels, landmarker.find(pixels))
    except UnfitPortrait:
        return None


def _filled(values: NDArray[Any], there: NDArray[np.intp], count: int) -> Array:
    """Put values (m, ...) at places `there`, and between them what lies between."""
    flat = values.reshape(len(there), -1)
    filled = np.stack([np.interp(np.arange(count), there, column) for column in flat.T], -1)
    return filled.reshape(count, *values.shape[1:])
