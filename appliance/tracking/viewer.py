"""Whom to follow, and where that viewer stands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.camera.lens import Lens
from appliance.config import TrackingConfig
from appliance.tracking.head import turn
from appliance.tracking.people import Person

# Mean interpupillary distance of adults. Source: Dodgson, "Variation and extrema of human
# interpupillary distance", SPIE 5291, 2004.
INTERPUPILLARY_MM: Final = 63.0
# How far the eyes lie before the axis a head turns about, in eye distances.
_EYES_AHEAD: Final = 1.2
# Tangent of the yaw up to which a head counts as facing the camera: faces are not symmetrical.
_FACING: Final = 0.25

# A person who walks, in face widths (150 mm) per second, has taken a step within so many seconds.
_WALKS: Final = 1.0
_STEPPED: Final = 0.7
_NEARER: Final = 1.2
# What was seen no more often than this may be clothes taken for a face.
_SEEN: Final = 3


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person the sitter looks at, as last seen.

    `x`, `y` is the middle between the eyes and `eye_distance` their distance, in picture pixels,
    as if the head faced the camera. `x_mm`, `y_mm`, `z_mm` is the same point in the camera's frame:
    x to picture right, y down, z away from the lens. `captured` is the moment of exposure on the
    monotonic clock, in seconds.
    """

    x: float
    y: float
    eye_distance: float
    x_mm: float
    y_mm: float
    z_mm: float
    captured: float
    confidence: float

    @property
    def distance_mm(self) -> float:
        """Distance from the lens in millimetres."""
        return math.hypot(self.x_mm, self.y_mm, self.z_mm)


def choose(
    known: Sequence[Person],
    followed: Person | None,
    now: float,
    since: float,
    surveying: bool,
    tracking: TrackingConfig,
) -> Person | None:
    """Choose whom to follow.

    The nearest at first; then whoever was chosen, until they are lost for `hold` seconds, or after
    `dwell` seconds somebody else has more claim to the gaze: who is clearly nearer, or, when the one
    followed has stood still for `attention` seconds, who walks, or came later and stands before them.

    Parameters
    ----------
    known : people whose faces were confirmed
    followed : whom the sitter looks at now
    now : when the newest picture was taken, monotonic seconds
    since : when `followed` was chosen
    surveying : nobody was there until a moment ago; others may simply be nearer
    """
    here = [person for person in known if now - person.seen <= tracking.hold]
    if followed not in here or followed is None:
        return max((p for p in here if not p.missed), key=lambda person: person.width, default=None)
    others = [person for person in here if person is not followed and not person.missed]
    if surveying:
        others = [person for person in others if person.width > _NEARER * followed.width]
    elif now - since < tracking.dwell:
        return followed
    else:
        others = [person for person in others if _wins(person, followed, now, since, tracking)]
    return max(others, key=lambda person: person.width, default=followed)


def locate(
    person: Person, moment: float, size: tuple[int, int], horizontal_fov: float, distortion: float
) -> Viewer:
    """Place a person in the room from their eyes, where they should be at a moment.

    The eyes' distance tells how far they are, corrected for the head's yaw; a head that turns away
    keeps its place, though its eyes move to the side: beyond 14 degrees of yaw what lies beyond is
    taken back, about the axis of the head.

    Parameters
    ----------
    size : (width, height) of the picture in pixels
    horizontal_fov : angle of view across the picture's width, degrees
    distortion : the lens's first radial coefficient
    """
    lens = Lens(*size, horizontal_fov, distortion)
    face = person.face
    (x, y), (now_x, now_y) = face.eye_midpoint, person.at(moment)
    x, y = x + now_x - person.x, y + now_y - person.y
    eye_distance = max(person.eye_distance, 1.0)
    yaw = turn(face)
    beyond = math.atan(yaw) - math.atan(math.copysign(min(abs(yaw), _FACING), yaw))
    shift = _EYES_AHEAD * eye_distance * math.sin(beyond)
    dx, dy = face.left_eye[0] - face.right_eye[0], face.left_eye[1] - face.right_eye[1]
    length = max(math.hypot(dx, dy), 1e-9)
    x, y = x - shift * dx / length, y - shift * dy / length
    across, down = lens.ray(x, y)
    z_mm = lens.focal * INTERPUPILLARY_MM / eye_distance
    return Viewer(x, y, eye_distance, across * z_mm, down * z_mm, z_mm, moment, face.score)


def _wins(other: Person, followed: Person, now: float, since: float, tracking: TrackingConfig) -> bool:
    nearer = other.width / followed.width
    if _walks(followed) and _bores(other, now, tracking):
        return False  # else the gaze that left who stands for who walks would come back at once
    # Who only passes by must be much nearer to turn the sitter's eyes than who comes and stands there.
    known = other.hits > _SEEN and now - other.first > 0.5
    if known and nearer > tracking.stickiness ** (1 if _stands(other) else 2):
        return True
    if not _bores(followed, now, tracking):
        return False
    # Who came since and stands before the one followed gets a turn; that one is no newcomer, and gets none.
    return nearer > 0.5 if _walks(other) else known and nearer > 1 and other.first > since


def _stands(person: Person) -> bool:
    return person.seen - person.still_since > _STEPPED  # as far as was seen: others are looked at rarely


def _walks(person: Person) -> bool:
    return person.pace > _WALKS and not _stands(person)


def _bores(person: Person, now: float, tracking: TrackingConfig) -> bool:
    """Tell whether somebody has stood still for so long that who walks is more worth a look."""
    return now - person.still_since > tracking.attention
