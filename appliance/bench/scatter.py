"""How much BlazeFace's eye midpoint scatters about the truth while somebody stands, as on film.

What is tuned on figures that hold still fails on people. So on the gallery's living figures it is to
scatter as on filmed people, within 1.5 times.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from appliance.bench.walks import FACES, visitor
from appliance.camera.averaging import Region
from appliance.camera.base import Picture, RgbPicture
from appliance.camera.figures import Point
from appliance.camera.lens import Lens
from appliance.camera.room import Room
from appliance.camera.walks import RoomSpec, Walk
from appliance.tracking.search import crop_side
from appliance.vision.blazeface import FaceDetector


@dataclass(frozen=True, slots=True)
class Scatter:
    """Standard deviation of where the eyes are found, less where they are, in millimetres across.

    `step` is that of a change from one picture to the next, divided by the root of two, so that it is
    also what noise alone would give; `spread` is that over seconds.
    """

    step: float
    spread: float


# By distance in metres: the mean over five filmed people, who nod, talk and turn up to 16 degrees. They
# were cut out of their films and put into a room, swaying, with the lens, noise, places and seconds of below.
FILMED: Final = {1: Scatter(0.32, 1.17), 2: Scatter(0.46, 1.29), 3: Scatter(0.66, 1.20)}
TIMES_FILMED: Final = 1.5

_LENS: Final = Lens(640, 360, 66.0)
_RATE: Final = 30.0
_SECONDS: Final = 12.0
# A little apart, because the error depends on where a face falls on the model's grid.
PLACES: Final = tuple(-300.0 + 61 * place for place in range(6))
# Width of BlazeFace's box, in eye distances.
_FACE: Final = 2.3


def scatter_of(
    sights: Iterable[tuple[Picture, Point]], eye_distance: float, focal: float, z_mm: float
) -> Scatter:
    """Measure one standing person, in the crop that the search would choose.

    Parameters
    ----------
    sights : pictures one after the other, each with the true eye midpoint in its pixels
    eye_distance : in pixels
    focal : of the lens, in pixels
    z_mm : how far away the person is
    """
    detector = FaceDetector("short", 0.4)
    side, crop, errors = crop_side(_FACE * eye_distance), None, []
    for picture, (x, y) in sights:
        if crop is None:
            left, top = (round((v - side / 2) / 2) * 2 for v in (x, y + 0.2 * _FACE * eye_distance))
            crop = Region(left, top, left + side, top + side)
        found = [face.eye_midpoint[0] - x for face in detector.detect(picture, crop)]
        errors.append(min(found, key=abs, default=math.nan))
    error = np.array(errors) * z_mm / focal
    return Scatter(float(np.nanstd(np.diff(error))) / math.sqrt(2), float(np.nanstd(error)))


def gallery_scatter(distance: int, places: Sequence[float] = PLACES) -> Scatter:
    """Return the mean over the gallery's living figures at a distance in metres."""
    z_mm, found = distance * 1000.0, []
    for face in range(len(FACES)):
        for number, right in enumerate(places):
            keys = [(0.0, right, z_mm), (60.0, right, z_mm)]
            person = replace(visitor(f"visitor {number}", keys, face, mirrored=number % 2 == 1), life=1.0)
            walk = Walk("stands", 60.0, RoomSpec(), (person,))
            eye_distance = _LENS.focal * person.eye_distance_mm / z_mm
            found.append(scatter_of(_sights(walk), eye_distance, _LENS.focal, z_mm))
    step, spread = np.mean([(each.step, each.spread) for each in found], axis=0)
    return Scatter(float(step), float(spread))


def _sights(walk: Walk) -> Iterator[tuple[Picture, Point]]:
    room = Room(walk, _LENS)
    for number in range(round(_SECONDS * _RATE)):
        time = number / _RATE
        (there,) = walk.people_at(time)
        picture = RgbPicture(room.draw(time, number), time, number)
        yield picture, _LENS.project(there.x_mm, there.y_mm, there.z_mm)


def scatter() -> dict[str, Any]:
    """Return the scatter on the gallery's figures and on film by distance, in mm, and how they compare."""
    rows: dict[str, Any] = {}
    for distance, filmed in FILMED.items():
        ours = gallery_scatter(distance)
        rows[f"at {distance} m"] = {
            "gallery_step_mm": round(ours.step, 3),
            "filmed_step_mm": filmed.step,
            "gallery_spread_mm": round(ours.spread, 3),
            "filmed_spread_mm": filmed.spread,
            "ratio": round(max(ours.step / filmed.step, ours.spread / filmed.spread), 3),
        }
    return rows
