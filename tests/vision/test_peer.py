"""Our detections beside those of MediaPipe's own legacy FaceDetection: `pytest -m peer`.

MediaPipe takes one bilinear sample per input pixel, at i * k for a picture k times the input; ours
averages the k x k pixels that input pixel stands for. Hence two tests. With MediaPipe's samples every
detection must agree, so anchors, decoding and suppression are the same. With our own samples two
detections of one face differ as each picture falls differently on the model's grid: there the mean
over many placements must agree, and ours must not scatter more than theirs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from appliance.bench.gaze_walks import ASTRONAUT, HOPPER, Sitting, scene
from appliance.bench.peer import Peer
from appliance.camera.base import RgbPicture
from appliance.vision.blazeface import MODEL_SPECS, Face, FaceDetector, PointSampledPicture

pytestmark = pytest.mark.peer

SIZE = (640, 480)
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6)
WITHIN = 0.02  # of the box width
SCORE = 0.05


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


@pytest.fixture(params=["short", "full"])
def kind(request: Any) -> str:
    return request.param


def eyes(face: Face) -> Any:
    return np.array([face.right_eye, face.left_eye])


def placements(count: int) -> list[tuple[float, float]]:
    random = np.random.default_rng(5)
    return [tuple(random.uniform((0.35, 0.4), (0.65, 0.6))) for _ in range(count)]


@pytest.mark.parametrize("sitting", [ASTRONAUT, HOPPER], ids=["astronaut", "hopper"])
@pytest.mark.parametrize("share", SHARES)
def test_detections_agree_with_mediapipes_own(peer: Peer, kind: str, sitting: Sitting, share: float) -> None:
    detector = FaceDetector(kind)
    for at in placements(4):
        pixels = scene(sitting, SIZE, share, at)
        theirs = peer.detect(kind, pixels)
        ours = detector.detect(PointSampledPicture(pixels, 0.0, 0))
        assert len(ours) == len(theirs)  # at most one: the full model misses Hopper once at 50 %, for both
        for our, their in zip(ours, theirs, strict=True):
            assert np.linalg.norm(eyes(our) - eyes(their), axis=1).max() / their.width < WITHIN
            assert abs(our.score - their.score) < SCORE


@pytest.mark.parametrize("share", SHARES)
def test_faces_are_where_mediapipe_finds_them(peer: Peer, kind: str, share: float) -> None:
    detector = FaceDetector(kind)
    # Corner pixel on corner pixel puts MediaPipe's points this far to picture right and down: 2.0 and
    # 1.2 px of 640. Ours have no such offset, as pictures and their mirror images show.
    offset = (SIZE[0] / MODEL_SPECS[kind].side - 1) / 2
    apart, scores = [], []
    for sitting in (ASTRONAUT, HOPPER):
        for at in placements(12):
            pixels = scene(sitting, SIZE, share, at)
            ours, theirs = detector.detect(RgbPicture(pixels, 0.0, 0)), peer.detect(kind, pixels)
            if ours and theirs:  # the full model's scores for Hopper come close to its threshold
                apart.append((eyes(ours[0]) + offset - eyes(theirs[0])) / theirs[0].width)
                scores.append(ours[0].score - theirs[0].score)
    assert len(apart) >= 22
    assert np.linalg.norm(np.mean(apart, axis=0), axis=1).max() < WITHIN
    assert abs(np.mean(scores)) < SCORE


def test_our_eye_points_scatter_less_than_mediapipes(peer: Peer) -> None:
    """The short model, a face 20 % wide: where point samples are furthest apart on the face."""
    detector = FaceDetector("short")
    scatter = {"ours": [], "theirs": []}
    for sitting in (ASTRONAUT, HOPPER):
        found: dict[str, list[Any]] = {"ours": [], "theirs": []}
        for x, y in placements(24):
            x, y = round(x * SIZE[0]), round(y * SIZE[1])
            pixels = scene(sitting, SIZE, 0.2, (x / SIZE[0], y / SIZE[1]))
            for name, faces in (
                ("ours", detector.detect(RgbPicture(pixels, 0.0, 0))),
                ("theirs", peer.detect("short", pixels)),
            ):
                found[name].append(eyes(faces[0]) - (x, y))
        for name, values in found.items():
            scatter[name].append(np.std(values, axis=0).mean())
    assert np.mean(scatter["ours"]) < np.mean(scatter["theirs"])
