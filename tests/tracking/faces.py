"""Faces made of numbers, for tests that need no picture."""

from appliance.tracking.people import Person
from appliance.vision.blazeface import Face


def face_at(x: float, y: float = 100.0, width: float = 60.0, score: float = 0.9, turned: float = 0.0) -> Face:
    """A face with its eye midpoint at x, y; its nose `turned` eye distances to picture right."""
    half = width / 5
    box = (x - width / 2, y - width / 3, x + width / 2, y + 2 * width / 3)
    nose = (x + turned * 2 * half, y + half)
    return Face(score, box, (x - half, y), (x + half, y), nose, (x, y + 2 * half), (x - 30, y), (x + 30, y))


def person_at(
    x: float, y: float = 100.0, width: float = 60.0, seen: float = 0.0, turned: float = 0.0
) -> Person:
    """Somebody confirmed, who has just taken a step."""
    face = face_at(x, y, width, turned=turned)
    here = (x, y)
    return Person(
        1,
        face,
        x,
        y,
        width,
        face.eye_distance,
        seen,
        seen - 5,
        seen,
        here,
        here,
        hits=9,
        trusted=True,
        away=9.0,
    )
