"""Which way a head is turned, and how far its eyes would be apart if it faced the camera."""

import math

from appliance.vision.blazeface import Face


def frontal_eye_distance(face: Face) -> float:
    """Return the eyes' distance in pixels as it would be with the face turned to the camera."""
    return face.eye_distance * math.hypot(1.0, turn(face))


def turn(face: Face) -> float:
    """Return the tangent of the head's yaw, positive to picture right, from where the nose stands.

    The nose's tip lies about .6 eye distances before the eyes (Farkas, "Anthropometry of the Head and
    Face", 1994), so that yaw moves it to the side by that much times the tangent of the angle, in eye
    distances as seen. Beyond 45 degrees the far eye is a guess.
    """
    (rx, ry), (lx, ly) = face.right_eye, face.left_eye
    dx, dy = lx - rx, ly - ry
    square = max(dx * dx + dy * dy, 1e-9)
    x, y = face.eye_midpoint
    along = ((face.nose[0] - x) * dx + (face.nose[1] - y) * dy) / square
    return min(max(along / 0.6, -1.0), 1.0)
