"""A head of known depth: a barrel with a nose, in any turn, and the landmarks of its face."""

import math

import numpy as np
from numpy.typing import NDArray

from appliance.portrait.landmarks import EyeLandmarks, FaceLandmarks

Points = NDArray[np.float64]
SIZE, HALF = (1080, 1920), 150.0
MIDDLE = (540.0, 800.0)
# Mesh points by their place on the face, as MediaPipe numbers them; the outline runs clockwise from
# the hairline.
HAIRLINE, FOREHEAD, BRIDGE, TIP, LIP, CHIN = 10, 151, 168, 1, 13, 152
OUTLINE = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# Height in half faces below the middle of points on the face's middle line.
COLUMN = {168: -0.25, 6: -0.15, 197: 0.0, 195: 0.1, 5: 0.2, 4: 0.27, 1: 0.33, 2: 0.42, 164: 0.5, 0: 0.57}
COLUMN |= {13: 0.62, 151: -0.9, 9: -0.5, 199: 1.0}
TALL = 1.3
EYES = ((-0.62, -0.26), (0.26, 0.62))


def depth(x: Points, y: Points) -> Points:
    """Depth over the plane of the face's sides in half faces: a barrel of 1.1 that ends upright, and a nose."""
    barrel = 1.1 * np.sqrt(np.clip(1 - np.abs(x) ** 2.5, 0, None)) * (1 - 0.15 * (y / TALL) ** 4)
    nose: Points = 0.35 * np.exp(-((x / 0.16) ** 2) - ((y - 0.3) / 0.22) ** 2)
    return barrel + nose


def sitter(yaw: float = 0.0, tilt: float = 0.0, middle: tuple[float, float] = MIDDLE) -> FaceLandmarks:
    """Landmarks of the head turned by `yaw` degrees to picture right and tilted by `tilt` degrees."""
    flat = _flat()
    turned = _turned(np.column_stack([flat, depth(flat[:, 0], flat[:, 1])]), yaw, tilt, middle)
    corners = [_turned(_on_face(np.array(eye), -0.2), yaw, tilt, middle) for eye in EYES]
    left, right = (_marks(pair[:, :2]) for pair in corners)
    half_width = math.dist(turned[234, :2], turned[454, :2]) / 2
    return FaceLandmarks(turned, 1.0, math.radians(tilt), half_width, (left, right))


def _flat() -> Points:
    """Return x and y of all mesh points in half faces: a sunflower's seeds, but for those with a place."""
    count = np.arange(468)
    radius, angle = 0.97 * np.sqrt((count + 0.5) / 468), count * math.pi * (3 - math.sqrt(5))
    flat = np.column_stack([radius * np.cos(angle), TALL * radius * np.sin(angle)])
    around = np.linspace(0, 2 * math.pi, len(OUTLINE), endpoint=False)
    flat[list(OUTLINE)] = np.column_stack([np.sin(around), -TALL * np.cos(around)])
    for point, y in COLUMN.items():
        flat[point] = 0, y
    return flat


def _on_face(x: Points, y: float) -> Points:
    return np.column_stack([x, np.full(len(x), y), depth(x, np.full(len(x), y))])


def _turned(points: Points, yaw: float, tilt: float, middle: tuple[float, float]) -> Points:
    """Turn x, y and depth in half faces into mesh points: pixels, z smaller towards the onlooker."""
    a, b = math.radians(yaw), math.radians(tilt)
    x, z = points[:, 0] * math.cos(a) + points[:, 2] * math.sin(a), points[:, 2]
    z = z * math.cos(a) - points[:, 0] * math.sin(a)
    across, down = x * math.cos(b) - points[:, 1] * math.sin(b), x * math.sin(b) + points[:, 1] * math.cos(b)
    return np.column_stack([middle[0] + HALF * across, middle[1] + HALF * down, -HALF * z])


def _marks(corners: Points) -> EyeLandmarks:
    lid = np.linspace(corners[0], corners[1], 9)
    x, y = lid[4].tolist()
    return EyeLandmarks(lower=lid, upper=lid, iris=(x, y), radius=12.0, spread=0.0)
