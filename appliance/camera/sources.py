"""Opens the camera that the config or the command line names."""

from pathlib import Path

from appliance.camera.base import Camera
from appliance.camera.catalogue import USUAL_FIELD_OF_VIEW
from appliance.config import CameraConfig
from appliance.errors import ConfigError


def camera_named(source: str, config: CameraConfig) -> Camera:
    """Return the camera for "picamera", "gallery", "gallery:WALK" or "replay:FOLDER", not yet open.

    Raises
    ------
    ConfigError
        If `source` is none of these, or the walk is unknown.
    """
    # Each camera is imported where it is used, because the gallery takes 35 ms to load beside a Pi's camera.
    kind, _, what = source.partition(":")
    size, turn = (config.width, config.height), config.rotation
    angle = config.field_of_view or USUAL_FIELD_OF_VIEW
    if source == "picamera":
        from appliance.camera.picamera import PiCamera

        return PiCamera(*size, config.rate, config.field_of_view, config.timeout, turn)
    if kind == "gallery":
        from appliance.camera.gallery import GalleryCamera
        from appliance.camera.walks import load_walk

        return GalleryCamera(load_walk(what or "demo"), *size, config.rate, angle, rotation=turn)
    if kind == "replay" and what:
        from appliance.camera.replay import ReplayCamera

        return ReplayCamera(Path(what), config.rate, angle, rotation=turn)
    raise ConfigError(f"camera {source}; expected picamera, gallery, gallery:WALK or replay:FOLDER")


def described(source: str, camera: Camera) -> str:
    """Return what is seen through: `source`, the model of a real camera, the angle of view."""
    model = f" ({camera.model})" if camera.model else ""
    return f"{source}{model}, {camera.horizontal_fov:.3g} degrees wide"
