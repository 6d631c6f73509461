"""Where head pictures made elsewhere look, read against the painting that they were made from."""

import math
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.portrait.blend import Place
from appliance.portrait.compose import Canvas
from appliance.portrait.eyes import LEVER, fit_eyes
from appliance.portrait.landmarks import Landmarker, Landmarks
from appliance.portrait.match import iris_way, socket_way
from appliance.portrait.sampling import Array

# Mesh points: the face's sides, its top and its chin, and the corners of both eyes.
_SIDES: Final = (234, 454)
_TOP, _CHIN = 10, 152
_CORNERS: Final = ((33, 133), (362, 263))
# Factors that correct the readings of yaw and pitch. The models read a turn too small, and the skin around an
# eye moves farther than the eye does (median over three portraits that were rendered with known angles).
_TOO_SMALL: Final = (1.2, 1.42)


class GazeReader:
    """Reads yaw and pitch of head pictures: the head's from its mesh, the eyes' by matching the irises."""

    def __init__(self, canvas: Canvas, place: Place, landmarker: Landmarker, rest: Pixels) -> None:
        """Prepare to read pictures.

        Parameters
        ----------
        place : the square of the painting that the pictures show
        rest : the picture that looks as the painting does, RGB uint8 (side, side, 3)
        """
        self._canvas, self._place, self._landmarker = canvas, place, landmarker
        self._eyes = fit_eyes(canvas.pixels, canvas.face)
        self._face: Landmarks = landmarker.landmarks(rest, landmarker.find(rest))
        self._rest = self._mesh(rest)

    def read(self, picture: Pixels) -> tuple[float, float]:
        """Return how far a picture looks from the painting: degrees to picture right and up."""
        mesh = self._mesh(picture)
        turn, lowered = (now - rest for now, rest in zip(_pose(mesh), _pose(self._rest), strict=True))
        place, scale = self._place, self._place.side / picture.shape[1]
        x0, y0, x1, y1 = place.box
        whole = self._canvas.pixels.copy()
        scaled = Image.fromarray(picture).resize((place.side, place.side), Image.Resampling.LANCZOS)
        whole[y0:y1, x0:x1] = scaled
        ways = []
        for eye, corners in zip(self._eyes, _CORNERS, strict=True):
            moved = (mesh[list(corners), :2] - self._rest[list(corners), :2]).mean(0) * scale
            cosine, sine = math.cos(eye.view.axes.tilt), math.sin(eye.view.axes.tilt)
            near = np.array([cosine * moved[0] + sine * moved[1], cosine * moved[1] - sine * moved[0]])
            carried = np.array(socket_way(self._canvas.pixels, whole, eye, near))
            ways.append((np.array(iris_way(self._canvas.pixels, whole, eye, near)) - carried) / eye.radius)
        right, down = np.clip(np.mean(ways, axis=0) / LEVER, -0.95, 0.95).tolist()
        yaw, pitch = turn + math.degrees(math.asin(right)), -lowered - math.degrees(math.asin(down))
        return _TOO_SMALL[0] * yaw, _TOO_SMALL[1] * pitch

    def _mesh(self, picture: Pixels) -> Array:
        return self._landmarker.look_again(picture, self._face)[1]


def _pose(mesh: Array) -> tuple[float, float]:
    """Return how far a head is turned to picture right and up, in degrees, from its mesh (468, 3)."""
    across, down = mesh[_SIDES[1]] - mesh[_SIDES[0]], mesh[_CHIN] - mesh[_TOP]
    yaw = math.degrees(math.atan2(float(across[2]), math.hypot(float(across[0]), float(across[1]))))
    return yaw, math.degrees(math.atan2(float(down[2]), math.hypot(float(down[0]), float(down[1]))))
