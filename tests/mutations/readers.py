"""How the product reads a file from outside; each returns what is wrong with how that ended, or nothing.

Errors that the product raises on purpose are right if they are one line.
"""

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.camera.replay import ReplayCamera
from appliance.errors import ApplianceError, CameraAbsent, CameraEnded, ConfigError

if TYPE_CHECKING:
    from appliance.vision.blazeface import FaceDetector


def picture(path: Path) -> str:
    """Read a picture as `detect`, a replayed folder and `portrait render` do, on a small machine."""
    from appliance.portrait import source
    from appliance.service.offline import describe_faces

    source.free_memory = lambda: 0
    faults = [_refused(functools.partial(describe_faces, path, _detector(), True))]
    faults.append(_refused(functools.partial(_replay, path.parent)))
    for size in (None, (20, 20)):
        faults.append(_refused(functools.partial(source.read_picture_for_screen, path, size)))
    return "; ".join(filter(None, faults))


def config(path: Path) -> str:
    """Check a config, put it over another as the card's is, and a calibration over both."""
    from appliance.cli import main
    from appliance.config import load_config, merge, read_layer
    from appliance.service.calibration import write_calibration
    from deploy.card_config import apply

    code, fault = 0, _refused(functools.partial(load_config, path))
    try:
        own = load_config(path)
    except ConfigError as error:
        code = error.exit_code
    # The command itself spends its time on its own help texts.
    if path.stem.endswith("0") and main(["config", "check", str(path)]) != code:
        return "the command ended with another exit code"
    card, measured = path.with_suffix(".card"), path.with_suffix(".measured")
    fault = fault or _refused(functools.partial(apply, path, card))
    if fault or code:
        return fault
    if load_config(card) != own:
        return "the card's config says something else than the same config alone"
    fitted = replace(own.gaze, camera_right=12.5, camera_up=-350.0, mirrored=True, limit_left=-31.0)
    write_calibration(measured, fitted)
    layered = merge(map(read_layer, (path, card, measured)))
    for line in layered.overridden():
        if "\n" in line or len(line) > 1000:
            return "an overridden value is not named in one short line"
    return "" if layered.config == replace(own, gaze=fitted) else "a calibration changed something else"


def walk(path: Path) -> str:
    """Read a walk."""
    from appliance.gallery.walks import load_walk

    return _refused(functools.partial(load_walk, path))


def status(path: Path) -> str:
    """Tell how the service is by a status file."""
    from appliance.service import status

    return "" if status.condition(path.parent).healthy in (True, False) else "no answer"


def film(path: Path) -> str:
    """Judge a driving film."""
    from appliance.cli import main

    code = main(["fomm", "check-driving", str(path)])
    return "" if code in (0, 1) else f"exit code {code}"


def _refused(read: "functools.partial[Any]") -> str:
    try:
        read()
    except (CameraEnded, CameraAbsent):
        return ""
    except ApplianceError as error:
        named = str(read.args[0]) in str(error)
        return "" if named and "\n" not in str(error) else repr(str(error)[:300])
    return ""


def _replay(folder: Path) -> None:
    with ReplayCamera(folder, pace=False) as camera:
        camera.newest()
        camera.newest()


@functools.cache
def _detector() -> "FaceDetector":
    from appliance.vision.blazeface import FaceDetector

    return FaceDetector("full")
