"""How the product reads a file from outside; each returns what is wrong with how that ended, or nothing.

Errors that the product raises on purpose are right if they are one line.
"""

import functools
from pathlib import Path

from appliance.camera.replay import ReplayCamera
from appliance.errors import ApplianceError, BadImage, CameraAbsent, CameraEnded, ConfigError


def picture(path: Path) -> str:
    """Read a picture as `detect`, a replayed folder and `portrait render` do, on a small machine."""
    from appliance.portrait import source
    from appliance.service.offline import describe_faces

    source.free_memory = lambda: 0
    faults = [_refused(functools.partial(describe_faces, path, _detector(), True))]
    faults.append(_refused(functools.partial(_replay, path.parent)))
    for size in (None, (20, 20)):
        faults.append(_refused(functools.partial(source.read_original, path, size)))
    return "; ".join(filter(None, faults))


def config(path: Path) -> str:
    """Check a config, let `calibrate` write into it if it is right, and put it over another as the card's is."""
    from appliance.cli import main
    from appliance.config import GazeConfig, load_config
    from appliance.service.calibration import check_writable, write_gaze
    from deploy.card_config import apply

    code = main(["config", "check", str(path)])
    if code not in (0, 2):
        return f"exit code {code}"
    fault = _refused(functools.partial(apply, path, path.with_suffix(".system"), path.with_suffix(".mark")))
    if fault or code:
        return fault
    applied, own = load_config(path.with_suffix(".system")), load_config(path)
    if applied != own:
        return "the card's config says something else than the same config alone"
    try:
        check_writable(path)
    except ConfigError as error:
        return (
            ""
            if str(error).endswith("gaze stands there without a section [gaze]; write it as one")
            else str(error)
        )
    gaze = GazeConfig(camera_right=12.5, camera_up=-350.0, mirrored=True, limit_left=-31.0)
    write_gaze(path, gaze)
    new = load_config(path)
    kept = (new.camera, new.vision, new.tracking, new.display, new.hours, new.gaze.gain, new.gaze.contact)
    right = kept == (
        own.camera,
        own.vision,
        own.tracking,
        own.display,
        own.hours,
        own.gaze.gain,
        own.gaze.contact,
    )
    return (
        ""
        if right and new.gaze.camera_up == -350.0 and new.gaze.mirrored
        else "calibrate changed something else"
    )


def walk(path: Path) -> str:
    """Read a walk."""
    from appliance.camera.walks import load_walk

    return _refused(functools.partial(load_walk, path))


def status(path: Path) -> str:
    """Tell how the service is by a status file."""
    from appliance.service import condition

    return "" if condition.condition(path.parent).healthy in (True, False) else "no answer"


def film(path: Path) -> str:
    """Judge a driving film."""
    from appliance.cli import main

    code = main(["fomm", "check-driving", str(path)])
    return "" if code in (0, 1) else f"exit code {code}"


def _refused(read: "functools.partial[object]") -> str:
    try:
        read()
    except (CameraEnded, CameraAbsent):
        return ""
    except ApplianceError as error:
        named = str(read.args[0]) in str(error) or not isinstance(error, BadImage)
        return "" if named and "\n" not in str(error) else repr(str(error)[:300])
    return ""


def _replay(folder: Path) -> None:
    with ReplayCamera(folder, pace=False) as camera:
        camera.newest()
        camera.newest()


@functools.cache
def _detector() -> object:
    from appliance.vision.blazeface import FaceDetector

    return FaceDetector("full")
