"""Face tracking on image files, without a screen: rows for `detect` and `track`."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from appliance.camera.base import Picture, RgbPicture
from appliance.camera.lens import DEFAULT_FIELD_OF_VIEW
from appliance.camera.replay import ReplayCamera
from appliance.config import Config
from appliance.errors import BadImage, CameraEnded
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import GazeTarget, frames_for
from appliance.images import read_pixels
from appliance.pack import PackInfo
from appliance.vision.blazeface import Face, FaceDetector, PointSampledPicture

# Seconds from a picture's exposure to its arrival, and from arrival to the end of detection, of a Pi at 30
# pictures/s (estimates: no Pi has been measured).
LATENCIES: Final = (0.05, 0.015)
# Figures of the viewer: positions in pixels, and the distance in millimetres.
_FIGURES: Final = ("x", "y", "eye_distance", "distance_mm", "head_x", "head_y", "confidence")
_DIGITS: Final = {"distance_mm": 1, "confidence": 4}  # digits after the point; 2 of the other figures


def describe_faces(path: Path, detector: FaceDetector, as_mediapipe: bool) -> dict[str, Any]:
    """Return the faces of an image file in pixels, as `detect --json` prints them: from picture left.

    `portrait render --face` counts them in the same order.

    With `as_mediapipe` the picture is read as MediaPipe does, otherwise as the appliance reads its camera.
    Raises `BadImage` if the file is not a whole image.
    """
    picture = (PointSampledPicture if as_mediapipe else RgbPicture)(read_pixels(path), 0.0, 0)
    from_left = sorted(detector.detect(picture), key=lambda face: face.eye_midpoint[0])
    faces = [_face_row(face) for face in from_left]
    return {"image": str(path), "width": picture.width, "height": picture.height, "faces": faces}


def track_folder(folder: Path, rate: float, config: Config, pack: PackInfo) -> Iterator[dict[str, Any]]:
    """Follow the viewer through a folder of pictures taken at `rate` per second.

    Yields a row per picture, as `track --json` prints it: pixels, millimetres, seconds, degrees. The time is
    that of the picture; angle and pitch are where the sitter with the largest face looks at that moment,
    frame and row are the column and the row of the frame that shows it. Raises `CameraAbsent` if the folder
    is missing or holds no picture, and `BadImage` if a picture differs in size from the first one.
    """
    controller = GazeController(config)
    field_of_view = config.camera.field_of_view or DEFAULT_FIELD_OF_VIEW
    shown = tuple(grid.rest for grid in pack.sitters)
    for name, picture in _pictures(folder, rate, config.camera.rotation):
        target = controller.see(picture, field_of_view, pack)
        shown = frames_for(target, picture.captured, shown, config.tracking, pack)
        row, column = pack.main.place(shown[0])
        yield {
            "picture": name,
            "time": round(picture.captured, 4),
            "viewer": _viewer_row(target),
            "angle": None if target.angle is None else round(target.angle, 3),
            "pitch": None if target.pitch is None else round(target.pitch, 3),
            "frame": column,
            "row": row,
        }


def track_refreshes(
    folder: Path, rate: float, config: Config, pack: PackInfo, refresh: float, latencies: tuple[float, float]
) -> Iterator[dict[str, Any]]:
    """Return what would be lit at each refresh of the screen, as `track --refresh` prints it.

    Parameters and errors as for `track_folder`, and those of `simulate_refreshes`.
    """
    pictures = (picture for _, picture in _pictures(folder, rate, config.camera.rotation))
    return simulate_refreshes(pictures, config, pack, refresh, latencies)


def simulate_refreshes(
    pictures: Iterable[Picture],
    config: Config,
    pack: PackInfo,
    refresh: float,
    latencies: tuple[float, float],
) -> Iterator[dict[str, Any]]:
    """Run the appliance's loop in simulated time, and yield a row for each refresh of the screen.

    Vision takes the newest picture that has arrived whenever it is free, so a slow one skips pictures.
    A row's `time` is the moment its light leaves the screen, in seconds after the first picture was
    taken; rows end at the last picture. `frame` and `row` are the column and the row of the frame lit of the
    sitter with the largest face, `angle` and `pitch` its direction in degrees. How large the picture is on
    the wall makes no difference to them.

    Parameters
    ----------
    pictures : in the order in which they were taken
    refresh : refreshes per second of the screen
    latencies : seconds from a picture's exposure to its arrival, and from arrival to the end of detection
    """
    camera_latency, vision_latency = latencies
    controller = GazeController(config)
    field_of_view = config.camera.field_of_view or DEFAULT_FIELD_OF_VIEW
    display_latency = config.tracking.display_latency
    first = last = 0.0
    understood: list[tuple[float, GazeTarget]] = []
    waiting: Picture | None = None
    free = -math.inf
    rows = 0
    target, shown = None, tuple(grid.rest for grid in pack.sitters)

    def see(picture: Picture) -> None:
        nonlocal free
        free = max(free, picture.captured + camera_latency) + vision_latency
        lit = free + display_latency
        understood.append((free, controller.see(picture, field_of_view, pack, lit)))

    def rows_until(end: float) -> Iterator[dict[str, Any]]:
        """Yield the rows whose frame is chosen before `end`, and whose light leaves by the last picture."""
        nonlocal rows, target, shown
        while (lit := first + rows / refresh) - display_latency < end and lit <= last:
            while understood and understood[0][0] <= lit - display_latency:
                target = understood.pop(0)[1]
            shown = frames_for(target, lit, shown, config.tracking, pack)
            row, column = pack.main.place(shown[0])
            yield {
                "time": round(lit - first, 4),
                "angle": round(pack.main.angles[column], 3),
                "pitch": round(pack.main.pitches[row], 3),
                "frame": column,
                "row": row,
                "viewer": None if target is None else target.identity,
            }
            rows += 1

    for number, picture in enumerate(pictures):
        if number == 0:
            first = picture.captured
        last = picture.captured
        arrived = picture.captured + camera_latency
        if waiting is not None and free < arrived:
            see(waiting)
            waiting = None
        if free > arrived:
            waiting = picture
        else:
            see(picture)
        yield from rows_until(arrived)
    yield from rows_until(math.inf)


def _pictures(folder: Path, rate: float, rotation: int) -> Iterator[tuple[str, RgbPicture]]:
    """Yield a folder's pictures with their file names; raises as `track_folder` says."""
    size = None
    with ReplayCamera(folder, rate, pace=False, rotation=rotation) as camera:
        while True:
            try:
                picture = camera.newest()
            except CameraEnded:
                return
            size = size or (picture.width, picture.height)
            if (picture.width, picture.height) != size:
                raise BadImage(
                    f"{folder / camera.name}: {picture.width}x{picture.height}; "
                    f"expected {size[0]}x{size[1]}, the size of the first picture"
                )
            yield camera.name, picture


def _viewer_row(target: GazeTarget) -> dict[str, float] | None:
    if target.viewer is None:
        return None
    return {name: round(getattr(target.viewer, name), _DIGITS.get(name, 2)) for name in _FIGURES}


def _face_row(face: Face) -> dict[str, Any]:
    row: dict[str, Any] = {"score": round(face.score, 4), "box": _rounded(face.box)}
    for name in ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"):
        row[name] = _rounded(getattr(face, name))
    return row


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, 2) for value in values]
