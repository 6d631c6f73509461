"""Opens the camera that the config or the command line names."""

from pathlib import Path

from appliance.camera.base import Camera
from appliance.camera.gallery import GalleryCamera
from appliance.camera.picamera import PiCamera
from appliance.camera.replay import ReplayCamera
from appliance.camera.walks import load_walk
from appliance.config import CameraConfig
from appliance.errors import ConfigError


def camera_named(source: str, config: CameraConfig) -> Camera:
    """Return the camera for "picamera", "gallery", "gallery:WALK" or "replay:FOLDER", not yet open.

    Raises
    ------
    ConfigError
        If `source` is none of these, or the walk is unknown.
    """
    kind, _, what = source.partition(":")
    size = (config.width, config.height)
    if source == "picamera":
        return PiCamera(*size, config.rate, config.field_of_view, config.timeout)
    if kind == "gallery":
        return GalleryCamera(load_walk(what or "demo"), *size, config.rate, config.field_of_view)
    if kind == "replay" and what:
        return ReplayCamera(Path(what), config.rate, config.field_of_view)
    raise ConfigError(f"camera {source}; expected picamera, gallery, gallery:WALK or replay:FOLDER")
