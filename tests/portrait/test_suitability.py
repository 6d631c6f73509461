"""Which faces are refused, and which are doubted: every limit, from both sides."""

import math
from dataclasses import replace

import numpy as np
import pytest

from appliance.errors import UnfitPortrait
from appliance.portrait.eye_layers import fit_eyes
from appliance.portrait.landmarks import FaceLandmarks
from appliance.portrait.suitability import (
    FAINT_IRISES,
    SOFT_EYES,
    UNSURE_IRISES,
    check_face_suitable,
    check_iris_contrast,
)
from tests.portrait.synthetic import DrawnEye, draw, landmarks

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


@pytest.mark.parametrize(
    ("confidence", "said"), [(0.91, ""), (0.89, "the face is unusual (confidence 0.89)"), (0.76, "unusual")]
)
def test_an_unusual_face_is_doubted(confidence: float, said: str) -> None:
    doubts = check_face_suitable(replace(face(), confidence=confidence), 1.0)
    assert [said in doubt for doubt in doubts] == [True] * bool(said)


def test_what_is_no_human_face_is_refused() -> None:
    with pytest.raises(UnfitPortrait, match=r"no human face .* \(confidence 0\.74, expected 0\.75\)"):
        check_face_suitable(replace(face(), confidence=0.74), 1.0)


# The eyes are 180 pixels apart in the picture as it is fitted.
@pytest.mark.parametrize(
    ("apart", "said"), [(41, ""), (39, f"{SOFT_EYES} 39 pixels apart in the original"), (31, SOFT_EYES)]
)
def test_eyes_near_each_other_in_the_original_are_doubted(apart: float, said: str) -> None:
    doubts = check_face_suitable(face(), 180 / apart)
    assert [doubt.startswith(said) for doubt in doubts] == [True] * bool(said)


def test_a_face_too_small_in_the_original_is_refused() -> None:
    with pytest.raises(UnfitPortrait, match="29 pixels apart in the original picture, expected at least 30"):
        check_face_suitable(face(), 180 / 29)


@pytest.mark.parametrize("eye", [0, 1])
@pytest.mark.parametrize(("opening", "refused"), [(0.14, False), (0.12, True), (0.0, True)])
def test_one_closed_eye_refuses_the_picture(eye: int, opening: float, refused: bool) -> None:
    eyes = list(face().eyes)
    shut = eyes[eye].lower - np.array([0.0, opening * eyes[eye].width])
    eyes[eye] = replace(eyes[eye], upper=shut)
    looked_at = replace(face(), eyes=(eyes[0], eyes[1]))
    if not refused:
        assert check_face_suitable(looked_at, 1.0) == []
        return
    with pytest.raises(UnfitPortrait, match=rf"eyes are closed \(open by {opening:.2f} of their width"):
        check_face_suitable(looked_at, 1.0)


@pytest.mark.parametrize("eye", [0, 1])
def test_irises_that_are_read_unsurely_are_doubted_or_refused(eye: int) -> None:
    def spread(value: float) -> list[str]:
        eyes = list(face().eyes)
        eyes[eye] = replace(eyes[eye], spread=value)
        return check_face_suitable(replace(face(), eyes=(eyes[0], eyes[1])), 1.0)

    assert spread(0.021) == []
    assert spread(0.023) == [f"{UNSURE_IRISES} (scatter 0.023)"]
    with pytest.raises(UnfitPortrait, match=r"readings scatter by 0\.036, expected 0\.035"):
        spread(0.036)


@pytest.mark.parametrize("eye", [0, 1])
def test_an_iris_without_contrast_is_doubted_or_refused(eye: int) -> None:
    drawn = [DrawnEye(110, 60, 80), DrawnEye(290, 60, 80)]
    fitted = list(fit_eyes(draw(drawn), landmarks(drawn)))

    def score(value: float) -> list[str]:
        pair = [replace(each, iris=replace(each.iris, score=0.3)) for each in fitted]
        pair[eye] = replace(pair[eye], iris=replace(pair[eye].iris, score=value))
        return check_iris_contrast((pair[0], pair[1]))

    assert score(0.21) == []
    (doubt,) = score(0.19)
    assert doubt.startswith(f"{FAINT_IRISES} (contrast 0.19")
    with pytest.raises(UnfitPortrait, match=r"contrast 0\.09, expected 0\.1"):
        score(0.09)
