"""The framed screen: a portrait whose eyes follow the visitor.

The names in `__all__` are for other programs; README has an example. Each is loaded when it is first used,
because a service that starts must light the portrait before it loads NumPy or Pillow.
"""

import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from appliance.camera.base import RgbPicture
    from appliance.config import Config
    from appliance.errors import ApplianceError
    from appliance.gaze.pictures_to_target import GazeController
    from appliance.gaze.target_to_frames import GazeTarget, frames_for
    from appliance.images import read_pixels
    from appliance.pack import Pack
    from appliance.portrait.painting_to_pack import render
    from appliance.vision.blazeface import Face, FaceDetector

__version__ = "0.2.0"

__all__ = [
    "ApplianceError",
    "Config",
    "Face",
    "FaceDetector",
    "GazeController",
    "GazeTarget",
    "Pack",
    "RgbPicture",
    "frames_for",
    "read_pixels",
    "render",
]

_DEFINED_IN: Final = {
    "ApplianceError": "appliance.errors",
    "Config": "appliance.config",
    "Face": "appliance.vision.blazeface",
    "FaceDetector": "appliance.vision.blazeface",
    "GazeController": "appliance.gaze.pictures_to_target",
    "GazeTarget": "appliance.gaze.target_to_frames",
    "Pack": "appliance.pack",
    "RgbPicture": "appliance.camera.base",
    "frames_for": "appliance.gaze.target_to_frames",
    "read_pixels": "appliance.images",
    "render": "appliance.portrait.painting_to_pack",
}

# Both are read once, when the libraries load. BLAS threads cost more than they give at our sizes,
# and would spin against the camera and the display.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

if not TYPE_CHECKING:  # with it mypy would accept every name

    def __getattr__(name: str) -> Any:
        """Load a name of `__all__` from its module (PEP 562)."""
        if name not in _DEFINED_IN:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_DEFINED_IN[name]), name)
