"""Create the camera that the config names, and check that its pictures are neither black nor frozen."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.camera.base import Camera, Picture, RgbPicture
from appliance.camera.lens import DEFAULT_FIELD_OF_VIEW
from appliance.clock import CLOCK, Clock
from appliance.config import CameraConfig
from appliance.errors import ConfigError


def create_camera(source: str, config: CameraConfig, clock: Clock = CLOCK) -> Camera:
    """Return the camera for "picamera", "gallery", "gallery:WALK" or "replay:FOLDER", not yet open.

    A simulated one runs on the `clock`. Raises `ConfigError` if `source` is none of these, or the walk is
    unknown.
    """
    # Each camera is imported where it is used, because the gallery takes 35 ms to load beside a Pi's camera.
    kind, _, what = source.partition(":")
    size, turn = (config.width, config.height), config.rotation
    angle = config.field_of_view or DEFAULT_FIELD_OF_VIEW
    if source == "picamera":
        from appliance.camera.picamera import PiCamera

        return PiCamera(*size, config.rate, config.field_of_view, config.timeout, turn)
    if kind == "gallery":
        from appliance.gallery.camera import GalleryCamera
        from appliance.gallery.walks import load_walk

        return GalleryCamera(load_walk(what or "demo"), *size, config.rate, angle, rotation=turn, clock=clock)
    if kind == "replay" and what:
        from appliance.camera.replay import ReplayCamera

        return ReplayCamera(Path(what), config.rate, angle, rotation=turn, clock=clock)
    raise ConfigError(f"camera {source}; expected picamera, gallery, gallery:WALK or replay:FOLDER")


def check_simulated(source: str) -> None:
    """Make sure that the walk or the folder of a simulated camera is there.

    Raises
    ------
    ConfigError
        If the walk is unknown or wrong.
    CameraAbsent
        If the folder cannot be read or holds no pictures.
    """
    kind, _, what = source.partition(":")
    if kind == "gallery" and what:
        from appliance.gallery.walks import load_walk

        load_walk(what)
    if kind == "replay":
        from appliance.camera.replay import ReplayCamera

        with ReplayCamera(Path(what)):
            pass


def describe_camera(source: str, camera: Camera) -> str:
    """Describe a camera in a few words: `source`, the model of a real camera, the angle of view."""
    model = f" ({camera.model})" if camera.model else ""
    return f"{source}{model}, {camera.horizontal_fov:.3g} degrees wide"


BLACK: Final = "pictures are black for %.0f s; is the lens covered, the light off, or the cable loose?"
FROZEN: Final = "the same picture for %.0f s; the camera's driver has frozen"

BLACK_AFTER: Final = 10.0  # seconds of black pictures from which on they are a fault (guess)
# Seconds of equal pictures from which on they are a fault. The noise of a sensor makes any two pictures of a
# still room differ, even in the dark, so the limit is generous (guess).
FROZEN_AFTER: Final = 10.0
# Equal pictures that a fault needs as well, because a slow camera may repeat a still room (guess).
_FEWEST: Final = 20
# The brightest sample of a black picture, of 255: a sensor's noise in the dark stays below it (guess).
_DARKEST: Final = 8
_STEP: Final = 8  # every eighth pixel of every eighth row is looked at, which costs a 64th of the time


@dataclass(frozen=True, slots=True)
class FrameChecks:
    """The newest picture, and since when all were like it: seconds on the monotonic clock.

    `came` is when it was delivered: what a driver that has frozen says of the exposure may be frozen, too.
    """

    digest: int
    same_since: float
    same: int
    black_since: float | None
    came: float


def check_picture(picture: Picture, before: FrameChecks | None, now: float) -> FrameChecks:
    """Return the checks with the picture that came at the moment `now`: every eighth pixel and row of it."""
    plane = picture.pixels[..., 1] if isinstance(picture, RgbPicture) else picture.y
    sample = plane[::_STEP, ::_STEP]
    digest = zlib.crc32(sample.tobytes())
    black_since = None
    if sample.max() <= _DARKEST:
        black_since = before.black_since if before else None
        black_since = now if black_since is None else black_since
    if before is None or digest != before.digest:
        return FrameChecks(digest, now, 1, black_since, now)
    return FrameChecks(digest, before.same_since, before.same + 1, black_since, now)


def black_cause(checks: FrameChecks) -> str:
    """Say that the pictures are black; empty while they are not."""
    since = checks.black_since
    return BLACK % BLACK_AFTER if since is not None and checks.came - since >= BLACK_AFTER else ""


def frozen_fault(checks: FrameChecks) -> str:
    """Say that the pictures do not change; empty while they do, and for black ones."""
    stuck = checks.came - checks.same_since >= FROZEN_AFTER and checks.same >= _FEWEST
    return FROZEN % FROZEN_AFTER if stuck and checks.black_since is None else ""
