"""Which heads are refused: the limits of tilt and turn, from both sides."""

import math
from dataclasses import replace

import numpy as np
import pytest

from appliance.errors import UnfitPortrait
from appliance.portrait.landmarks import FaceLandmarks
from appliance.portrait.suitability import check_face_suitable
from tests.portrait.synthetic import DrawnEye, landmarks

# Where the mesh has the face's sides, by which its turn is measured.
SIDES = 234, 454


def face(tilt: float = 0.0, turn: float = 0.0) -> FaceLandmarks:
    """A face with open eyes 180 pixels apart, whose head is tilted and turned, in degrees."""
    mesh = np.zeros((468, 3))
    mesh[SIDES[0], 2], mesh[SIDES[1], 2] = (half * 100 * math.sin(math.radians(turn)) for half in (-1, 1))
    mesh[SIDES[1], 0] = 200 * math.cos(math.radians(turn))
    eyes = [DrawnEye(110, 60, 80), DrawnEye(290, 60, 80)]
    return replace(landmarks(eyes), mesh=mesh, tilt=math.radians(tilt))


@pytest.mark.parametrize("side", [-1, 1])
def test_a_head_lying_on_its_side_is_refused(side: int) -> None:
    assert check_face_suitable(face(tilt=side * 49.0), 1.0) == []
    for degrees in (51.0, 60.0, 90.0):
        said = f"the head is tilted by {side * degrees:.0f} degrees, expected at most 50; turn the picture upright"
        with pytest.raises(UnfitPortrait) as refused:
            check_face_suitable(face(tilt=side * degrees), 1.0)
        assert str(refused.value) == said


@pytest.mark.parametrize("side", [-1, 1])
def test_a_profile_is_refused(side: int) -> None:
    assert check_face_suitable(face(turn=side * 47.0), 1.0) == []
    for degrees in (49.0, 60.0, 85.0):
        with pytest.raises(
            UnfitPortrait, match=rf"turned by {degrees:.0f} degrees, a profile; .* 48: both eyes"
        ):
            check_face_suitable(face(turn=side * degrees), 1.0)
