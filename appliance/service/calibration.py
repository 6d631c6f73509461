"""Fitting camera and portrait together: somebody stands at three marks, and the config is written."""

import os
import re
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from appliance.camera.base import Camera
from appliance.config import Config, GazeConfig, parse_config
from appliance.errors import CannotWrite, ConfigError, NotCalibrated
from appliance.files import write_atomic
from appliance.gaze.controller import GazeController
from appliance.gaze.geometry import angle_to
from appliance.gaze.target import aim_at, frame_for
from appliance.pack import PackInfo
from appliance.tracking.viewer import Viewer

MARKS: Final = {
    "front": "Stand straight in front of the portrait, about 2 m away, and look at it",
    "left": "Stand at the left mark, where your left is as you face the portrait",
    "right": "Stand at the right mark",
}
UNSTEADY: Final = (
    "nobody was seen standing still; stand at the mark, facing the camera, and press Enter again"
)
# A place is measured over so many seconds, in which the head may move by so much; then patience ends.
_WINDOW: Final = 1.0
_SWAY_MM: Final = 120.0
_PATIENCE: Final = 10.0
# Marks nearer to each other than this tell nothing about left and right, in degrees.
_APART: Final = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stood, in millimetres in the camera's frame."""

    x_mm: float
    y_mm: float
    z_mm: float


def fitted(gaze: GazeConfig, front: Place, left: Place, right: Place) -> GazeConfig:
    """Return the gaze settings under which the sitter meets who stands in front, and looks from mark to mark.

    Raises
    ------
    NotCalibrated
        If the marks lie too near to each other, or in front is not between them.
    """
    plain = replace(gaze, camera_right=0.0, mirrored=False, gain=1.0, limit_left=-90.0, limit_right=90.0)
    mirrored = _angle(left, plain) > _angle(right, plain)
    offset = round(-front.x_mm if mirrored else front.x_mm, 1)
    open_ = replace(plain, camera_right=offset, mirrored=mirrored, gain=gaze.gain)
    low, high = (round(_angle(place, open_), 1) for place in (left, right))
    if high - low < _APART or not low < 0 < high:
        raise NotCalibrated(
            f"the marks were seen at {low:g} and {high:g} degrees; expected the left one below 0, the right "
            f"one above, {_APART:g} apart; nothing was written"
        )
    return replace(open_, limit_left=low, limit_right=high)


def calibrate(
    camera: Camera,
    config: Config,
    pack: PackInfo,
    answer: Callable[[], str | None],
    say: Callable[[str], None],
    live: Callable[[str, int], None],
) -> GazeConfig:
    """Ask for the three marks and return the fitted settings.

    Parameters
    ----------
    camera : not yet open
    answer : the next line typed, None if there is none yet; asked at every picture while one is awaited
    say, live : take a line of text; that of `live` replaces the one before, and comes with the frame

    Raises
    ------
    NotCalibrated
        If the technician gives up ("q", or the end of input) or the marks make no sense.
    CameraAbsent, CameraBusy, CameraStalled
        If there are no pictures.
    """
    follower, shown = GazeController(config), pack.resting
    rest = pack.angles[pack.resting]
    places: list[Place] = []
    with camera:
        for name, text in MARKS.items():
            say(f"{text}; then press Enter (q leaves everything as it was).")
            began: float | None = None
            seen: deque[Viewer] = deque()
            while True:
                picture = camera.newest()
                aim = follower.see(picture, camera.horizontal_fov, pack)
                shown = frame_for(aim, picture.captured, shown, config.tracking, pack)
                angle = aim_at(aim, picture.captured, rest, config.tracking)
                live(_line(angle, aim.viewer, shown), shown)
                if began is None and (typed := answer()) is not None:
                    if typed.strip().lower().startswith("q"):
                        raise NotCalibrated("given up; nothing was written")
                    began = picture.captured
                if began is None:
                    continue
                place = _standing(seen, aim.viewer, picture.captured)
                if place is not None:
                    break
                if picture.captured - began > _PATIENCE:
                    say(UNSTEADY)
                    began = None
            places.append(place)
            say(f"{name}: {place.x_mm:.0f} mm aside and {place.z_mm / 1000:.2f} m ahead of the camera")
    return fitted(config.gaze, *places)


def write_gaze(path: Path, gaze: GazeConfig) -> None:
    """Write what calibration finds into a config file, comments kept; the old file stays as `.old`.

    Raises
    ------
    ConfigError
        If the file, as it is or changed, is not right.
    CannotWrite
        If it cannot be read or written.
    """
    old, new = _changed(path, gaze)
    if old is not None:
        write_atomic(path.with_name(f"{path.name}.old"), old)
    write_atomic(path, new)


def check_writable(path: Path) -> None:
    """Raise what `write_gaze` would of a right file, as far as it is known beforehand."""
    try:
        _changed(path, GazeConfig())
    except ConfigError as error:
        raise ConfigError(f"{path}: gaze stands there without a section [gaze]; write it as one") from error
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise CannotWrite(f"{path}: {there} cannot be written; calibrate with sudo")


def _changed(path: Path, gaze: GazeConfig) -> tuple[bytes | None, bytes]:
    """Return a config file's bytes, None if there is none, and those with other gaze settings."""
    try:
        old = path.read_bytes() if path.exists() else None
        text = "" if old is None else old.decode("utf-8-sig")
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error
    parse_config(text, str(path))
    new = _with_keys(
        text,
        {
            "camera_right": f"{gaze.camera_right:.1f}",
            "mirrored": str(gaze.mirrored).lower(),
            "limit_left": f"{gaze.limit_left:.1f}",
            "limit_right": f"{gaze.limit_right:.1f}",
        },
    )
    parse_config(new, str(path))
    return old, new.encode()


def _angle(place: Place, gaze: GazeConfig) -> float:
    return angle_to(place.x_mm, place.y_mm, place.z_mm, gaze)


def _line(angle: float, viewer: Viewer | None, frame: int) -> str:
    where = f"{viewer.distance_mm / 1000:5.2f} m away" if viewer else "nobody seen "
    return f"angle {angle:6.1f} degrees, {where}, frame {frame:2d}"


def _standing(seen: "deque[Viewer]", viewer: Viewer | None, now: float) -> Place | None:
    """Take in the newest sight; return where somebody has stood still for the window, if they have."""
    if viewer is None:
        return None
    seen.append(viewer)
    while now - seen[0].captured > 1.5 * _WINDOW:
        seen.popleft()
    x = [each.x_mm for each in seen]
    if now - seen[0].captured < _WINDOW or len(seen) < 5 or max(x) - min(x) > _SWAY_MM:
        return None
    y, z = statistics.median(each.y_mm for each in seen), statistics.median(each.z_mm for each in seen)
    return Place(statistics.median(x), y, z)


def _with_keys(text: str, values: dict[str, str]) -> str:
    """Set keys of the section [gaze] in a TOML text; everything else stays as it is."""
    rows = text.splitlines()
    header = re.compile(r"\s*\[\s*[\"']?([\w-]+)[\"']?\s*\]")
    starts = [i for i, row in enumerate(rows) if (m := header.match(row)) and m[1] == "gaze"]
    if not starts:
        rows += ["", "[gaze]"] if rows else ["[gaze]"]
        starts = [len(rows) - 1]
    first = starts[0] + 1
    end = next((i for i in range(first, len(rows)) if header.match(rows[i])), len(rows))
    section = rows[first:end]
    for key, value in values.items():
        line = f"{key} = {value}"
        at = [i for i, row in enumerate(section) if re.match(rf"\s*[\"']?{key}[\"']?\s*=", row)]
        if at:
            section[at[0]] = line
        else:
            section.insert(0, line)
    return "\n".join(rows[:first] + section + rows[end:]) + "\n"
