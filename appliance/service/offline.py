"""The road without a screen: what is seen in picture files, as rows of JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.camera.base import RgbPicture
from appliance.camera.replay import ReplayCamera
from appliance.config import Config
from appliance.errors import CameraEnded
from appliance.gaze.controller import GazeController
from appliance.gaze.target import GazeTarget, frame_for
from appliance.images import read_pixels
from appliance.pack import PackInfo
from appliance.vision.blazeface import Face, FaceDetector
from appliance.vision.letterbox import PointSampledPicture


def describe_faces(path: Path, detector: FaceDetector, as_mediapipe: bool) -> dict[str, Any]:
    """Return the faces of an image file in pixels, as `detect --json` prints them.

    Parameters
    ----------
    path : of an image
    detector : of either range
    as_mediapipe : read the picture as MediaPipe does; otherwise as the appliance reads its camera

    Raises
    ------
    BadImage
        If the file is not a whole image.
    """
    picture = (PointSampledPicture if as_mediapipe else RgbPicture)(read_pixels(path), 0.0, 0)
    faces = [_face_row(face) for face in detector.detect(picture)]
    return {"image": str(path), "width": picture.width, "height": picture.height, "faces": faces}


def track_folder(folder: Path, rate: float, config: Config, pack: PackInfo) -> Iterator[dict[str, Any]]:
    """Follow the viewer through a folder of pictures taken at `rate` per second.

    Yields a row per picture, as `track --json` prints it: pixels, millimetres, seconds, degrees.
    The time is that of the picture; angle and frame are what the sitter does at that moment.

    Raises
    ------
    CameraAbsent
        If the folder is missing or holds no picture.
    """
    follower = GazeController(config)
    shown = pack.resting
    with ReplayCamera(folder, rate, config.camera.field_of_view, pace=False) as camera:
        while True:
            try:
                picture = camera.newest()
            except CameraEnded:
                return
            aim = follower.see(picture, camera.horizontal_fov, pack)
            shown = frame_for(aim, picture.captured, shown, config.tracking, pack)
            yield {
                "picture": camera.name,
                "time": round(picture.captured, 4),
                "viewer": _viewer_row(aim),
                "angle": None if aim.angle is None else round(aim.angle, 3),
                "frame": shown,
            }


def _viewer_row(aim: GazeTarget) -> dict[str, float] | None:
    viewer = aim.viewer
    if viewer is None:
        return None
    return {
        "x": round(viewer.x, 2),
        "y": round(viewer.y, 2),
        "eye_distance": round(viewer.eye_distance, 2),
        "distance_mm": round(viewer.distance_mm, 1),
        "confidence": round(viewer.confidence, 4),
    }


def _face_row(face: Face) -> dict[str, Any]:
    row: dict[str, Any] = {"score": round(face.score, 4), "box": _rounded(face.box)}
    for name in ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"):
        row[name] = _rounded(getattr(face, name))
    return row


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, 2) for value in values]
