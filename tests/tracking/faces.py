"""Faces made of numbers, for tests that need no picture."""

import math
from collections.abc import Sequence

import numpy as np

from appliance.camera.base import RgbPicture
from appliance.camera.sampling import Region
from appliance.tracking.liveness import Liveness
from appliance.tracking.tracker import Track, Tracker
from appliance.vision.blazeface import Face

ROOM = Region(0, 0, 580, 580)
DT = 1 / 30
_BLANK = np.zeros((64, 64, 3), np.uint8)


def face_at(x: float, y: float = 100.0, width: float = 60.0, score: float = 0.9, turned: float = 0.0) -> Face:
    """A face with its eye midpoint at x, y; its nose `turned` eye distances to picture right."""
    half = width / 5
    box = (x - width / 2, y - width / 3, x + width / 2, y + 2 * width / 3)
    nose = (x + turned * 2 * half, y + half)
    return Face(score, box, (x - half, y), (x + half, y), nose, (x, y + 2 * half), (x - 30, y), (x + 30, y))


def track_at(
    x: float, y: float = 100.0, width: float = 60.0, seen: float = 0.0, turned: float = 0.0
) -> Track:
    """A living person confirmed, who has just taken a step."""
    face = face_at(x, y, width, turned=turned)
    here = (x, y)
    times = seen, seen - 5, seen
    life = Liveness(8.0, sign=seen)
    return Track(
        1,
        face,
        x,
        y,
        width,
        face.eye_distance,
        *times,
        here,
        here,
        here,
        hits=9,
        confirmed=True,
        sharp=True,
        life=life,
    )


def take(
    tracker: Tracker,
    faces: Sequence[Face],
    moment: float,
    moving: float = 0.0,
    region: Region = ROOM,
    sought: Track | None = None,
) -> None:
    """Give a tracker the faces of one look, found in a blank picture."""
    tracker.update(faces, region, sought, RgbPicture(_BLANK, moment, 0), lambda _: moving)


def walk(tracker: Tracker, ways: dict[float, float], seconds: float, y: float = 100.0) -> None:
    """People who walk: {where they start: pixels per second}."""
    for i in range(round(seconds / DT)):
        take(tracker, [face_at(x + v * i * DT, y) for x, v in ways.items()], i * DT)


def away(track: Track, x: float) -> float:
    """How far a track's face is from a place, in face widths."""
    return math.dist((track.x, track.y), (x, track.y)) / track.width
