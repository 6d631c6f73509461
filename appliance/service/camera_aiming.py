"""`mona-lisa aim`: shows the camera's picture on the framed screen, and says how to tilt the camera.

This is an exception to the rule that visitors see nothing but the portrait: only on command, for ten minutes
at most, and never longer than its session. The picture is neither stored nor sent.
"""

import math
import os
import resource
import select
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.camera.base import Camera, Picture
from appliance.camera.lens import Lens
from appliance.camera.sampling import Pixels
from appliance.clock import CLOCK, Clock
from appliance.config import CAMERA_PITCH, Config, GazeConfig
from appliance.display.calibration_overlay import Mark, Point
from appliance.errors import ServiceRuns
from appliance.gaze.geometry import relative_to_sitter
from appliance.gaze.pictures_to_target import GazeController
from appliance.pack import PackInfo
from appliance.service.calibration import (
    CHILD,
    SEEN_THROUGH,
    TALL,
    EyeHeightsInView,
    best_tilt,
    eye_heights_in_view,
)
from appliance.service.camera_creation import describe_camera
from appliance.service.status import UNIT, ask_systemd
from appliance.tracking.tracker import Track
from appliance.tracking.viewer_position import Viewer, locate_viewer

# Height of the sitter's eyes above the floor without --sitter-eyes, in mm (pictures hang with their middle
# at about 1.5 m).
SITTERS_EYES: Final = 1550.0
RATE: Final = 10.0  # pictures shown per second (chosen by eye: a hand that tilts the camera needs no more)
LONGEST: Final = 600.0  # time after which it ends by itself, in seconds (issue 20)
# For each line: its distance from the sitter's eyes along the floor, in mm; the side of the screen at which
# its labels stand; its colour (chosen by eye).
_DISTANCES: Final = ((1000.0, "left", "yellow"), (2000.0, "right", "cyan"))
# Points of a line, and how far it reaches from the picture's middle, in halves of the picture's width: far
# enough for the corners of a barrel. A line is not drawn if its slope to the axis is `_STEEPEST` or more.
_POINTS: Final = 65
_REACH: Final = 2.0
_STEEPEST: Final = 10.0
# Time after which a face that is not found again is no longer drawn, in seconds. People beside the viewer are
# searched for every half a second (measured on the gallery's walks, at 10 pictures per second).
_FRESH: Final = 0.6
# Sightings of which the median tilt counts, and the change from which a new tilt is shown, in degrees: the
# eyes' height in one picture is wrong by up to a degree (measured: calibrate on the gallery's figures).
_SIGHTINGS: Final = 10
_TILT_CHANGE: Final = 0.7
# A line of text is due if a face has moved by `_MOVED` mm or a word has changed, but not before
# `_SAY_INTERVAL` seconds after the last line.
_MOVED: Final = 150.0
_SAY_INTERVAL: Final = 1.0
# A change must last this long, in seconds, because the detector misplaces a face for some pictures once in a
# while (seen on the gallery's figures); but if changes never cease, a line is due after `_LONGEST_SILENCE`.
_STEADY: Final = 0.5
_LONGEST_SILENCE: Final = 5.0

BEGINS: Final = "The camera's picture is on the screen until Ctrl-C, or for %.0f minutes. It is not stored."
BEGINS_TEXT: Final = "What the camera sees is described here until Ctrl-C, or for %.0f minutes."
ENDED: Final = "Ended after %.0f minutes."
TILT_GIVEN: Final = (
    "The lines are for gaze.camera_pitch = %g and do not follow the camera. With your own eye height, like "
    "--eyes 1.62, they do: your face then measures the tilt"
)
SERVICE_RUNS: Final = "the service holds camera and screen; as root, aim takes its place: sudo mona-lisa aim"
NO_SCREEN: Final = "%s; to aim without a screen: mona-lisa aim --text"
NO_FILES: Final = (
    "aim --display %s; expected auto, kmsdrm or window: the camera's picture is never written to a file"
)

# How systemd runs aim in the service's place, with the service's rights and no network. Whatever ends it,
# systemd then starts the service. RuntimeMaxSec is for a driver that hangs: aim itself ends before.
_TAKE_OVER: Final = (
    *(f"Conflicts={UNIT}", f"After={UNIT}", f"ExecStopPost=+systemctl --no-block start {UNIT}"),
    *("RuntimeMaxSec=11min", "TimeoutStopSec=5s", "LimitCORE=0", "NoNewPrivileges=yes"),
    *("User=mona-lisa", "SupplementaryGroups=video render input", "CapabilityBoundingSet="),
    *("PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX AF_NETLINK", "ProtectSystem=strict"),
    *("PrivateTmp=yes", "ProtectHome=read-only", "MemorySwapMax=0"),
    *("Environment=MESA_SHADER_CACHE_DISABLE=true", "Environment=LIBCAMERA_LOG_LEVELS=*:WARN"),
)
_ABOUT: Final = "The framed screen, while somebody aims the camera"


def take_over(command: Sequence[str]) -> None:
    """Run a command in the service's place; does not return then. Returns if the service is stopped.

    Raises `ServiceRuns` if the service runs, and this is not root.
    """
    known = ask_systemd()
    if known is None or known["ActiveState"] == "inactive":
        return
    if os.geteuid() != 0:
        if known["ActiveState"] == "failed":
            return
        raise ServiceRuns(SERVICE_RUNS)
    # A start by aim is no failure: without this the fifth in ten minutes would count as one.
    os.spawnlp(os.P_WAIT, "systemctl", "systemctl", "reset-failed", UNIT)
    properties = [f"--property={each}" for each in _TAKE_OVER]
    options = [
        "--quiet",
        "--collect",
        "--wait",
        "--pty",
        "--pipe",
        "--unit=mona-lisa-aim",
        f"--description={_ABOUT}",
        *properties,
    ]
    # systemd-run has this process's number, so aim ends when that is gone.
    os.execvp("systemd-run", ["systemd-run", *options, "--", *command, f"--session={os.getpid()}"])


class SessionEnd:
    """Tells whether the session is over: asked to end, its terminal gone, or its process."""

    def __init__(self, process: int | None) -> None:
        """Watch standard output, and a process by its number if it is given."""
        self.asked = False
        self._poll = select.poll()
        self._poll.register(1, 0)  # a hang-up is always told
        try:
            if process:
                self._poll.register(os.pidfd_open(process), select.POLLIN)
        except ProcessLookupError:
            self.asked = True

    def ask(self) -> None:
        """Ask for the end."""
        self.asked = True

    def __call__(self) -> bool:
        """Return whether it is over."""
        return self.asked or bool(self._poll.poll(0))


def eye_line(lens: Lens, gaze: GazeConfig, rise: float, distance: float) -> tuple[float, list[Point]]:
    """Return where eyes at one height and distance are seen: a line across the picture, in pixels.

    `rise` is that of the eyes above the sitter's, mm. `distance` is along the floor from the sitter's eyes,
    mm. Returned are the line's y in the picture's middle column, and its points, which may lie beyond it; an
    infinite y and no points if the line is far out of the picture.
    """
    pitch = math.radians(gaze.camera_pitch)
    up, away = rise - gaze.camera_up, distance - gaze.camera_forward
    y, z = away * math.sin(pitch) - up * math.cos(pitch), away * math.cos(pitch) + up * math.sin(pitch)
    edge = _REACH * lens.ray(lens.width, lens.height / 2)[0] * z
    across = [edge * (2 * i / (_POINTS - 1) - 1) for i in range(_POINTS)] if z > abs(y) / _STEEPEST else []
    # Farther from the axis than this a barrel's formula leads back into the picture.
    valid = [x for x in across if 1 + 3 * lens.distortion * (x * x + y * y) / (z * z) > 0]
    if not valid:
        return math.copysign(math.inf, y), []
    return lens.project(0.0, y, z)[1], [lens.project(x, y, z) for x in valid]


def measured_tilt(y_mm: float, z_mm: float, rise: float) -> float:
    """Return the camera's tilt in degrees at which eyes seen at y, z are `rise` mm above the lens."""
    reach = math.hypot(y_mm, z_mm)
    return math.degrees(math.atan2(y_mm, z_mm) + math.asin(min(max(rise / reach, -1.0), 1.0)))


def verdict(view: EyeHeightsInView) -> tuple[str, str]:
    """Say whether child and tall man are in view, or which tilt brings them there; and in which colour."""
    distance, change = best_tilt(view)
    if distance == math.inf:
        return "No tilt fits: use a wide lens", "orange"
    start = f"from {distance / 1000:g} m"
    if not change:
        return f"Fits: both in view {start}", "lime"
    return f"Tilt {'down' if change < 0 else 'up'} {_degrees(abs(change))}: fits {start}", "orange"


def _degrees(angle: float) -> str:
    return f"{angle:g} degree{'s' * (abs(angle) != 1)}"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a picture shows: marks, lines of text with their colours, and the faces from near to far.

    The last line is the verdict. A face is (distance from the sitter along the floor, height of the eyes
    above the floor), in mm.
    """

    marks: tuple[Mark, ...]
    lines: tuple[tuple[str, str], ...]
    faces: tuple[tuple[float, float], ...]

    def text(self, told: "Sight | None") -> str:
        """Return it as a line of text: the faces, then all lines, unless these are those last `told`."""
        faces = [f"{away / 1000:.1f} m away with eyes {eyes / 1000:.2f} m high" for away, eyes in self.faces]
        lines = () if told and told.lines == self.lines else self.lines
        return "; ".join([f"Faces: {', '.join(faces) or 'none'}", *(line for line, _ in lines)])

    def differs(self, other: "Sight | None") -> bool:
        """Tell whether it differs so much from another that it is worth a line of text."""
        if other is None or self.lines != other.lines or len(self.faces) != len(other.faces):
            return True
        return any(math.dist(one, two) > _MOVED for one, two in zip(self.faces, other.faces, strict=True))


class TiltMeter:
    """Finds faces in successive pictures, and measures the tilt by the nearest, if its height is known."""

    def __init__(self, config: Config, pack: PackInfo, sitter: float, eyes: float | None) -> None:
        """`sitter` and `eyes` are the sitter's and the technician's eye height above the floor, in mm."""
        self._config, self._pack, self._sitter, self._eyes = config, pack, sitter, eyes
        self._follower = GazeController(config)
        self._tilts: deque[float] = deque(maxlen=_SIGHTINGS)
        self._tilt = config.gaze.camera_pitch

    def see(self, picture: Picture, horizontal_fov: float) -> Sight:
        """Search a picture and return what it shows."""
        size, now = (picture.width, picture.height), picture.captured
        lens = Lens(*size, horizontal_fov, self._config.camera.distortion)
        self._follower.see(picture, horizontal_fov, self._pack)
        found = [
            (locate_viewer(track, now, size, horizontal_fov, lens.distortion), track)
            for track in self._follower.people
            if now - track.seen < _FRESH
        ]
        found.sort(key=lambda pair: pair[0].z_mm)
        gaze = self._config.gaze
        if found and self._eyes is not None and found[0][1].seen == now:
            self._measure(found[0][0], self._eyes - self._sitter - gaze.camera_up)
        gaze = replace(gaze, camera_pitch=self._tilt)
        marks, faces = list(_lines(lens, gaze, self._sitter)), []
        for viewer, track in found:
            _, up, ahead = relative_to_sitter(viewer.x_mm, viewer.y_mm, viewer.z_mm, gaze)
            faces.append((ahead, self._sitter + up))
            marks.append(Mark(_box(track, now), f"{ahead / 1000:.1f} m", "lime", "face"))
        view = eye_heights_in_view(lens, gaze, self._sitter)
        near, far = (view.eyes_in_view(distance) for distance, *_ in _DISTANCES)
        edge = lens.ray(lens.width, lens.height / 2)[0] / 500
        wide = [max(edge * (distance - gaze.camera_forward), 0.0) for distance, *_ in _DISTANCES]
        lines = (
            f"Highest eyes {_metres(near[1])} at 1 m, {_metres(far[1])} at 2 m",
            f"Lowest eyes {_metres(near[0])} at 1 m, {_metres(far[0])} at 2 m",
            f"View {wide[0]:.1f} m wide at 1 m, {wide[1]:.1f} m at 2 m",
            f"Tilt {_degrees(self._tilt)} ({'by your face' if self._tilts else 'settings'})",
        )
        return Sight(tuple(marks), (*((line, "white") for line in lines), verdict(view)), tuple(faces))

    def _measure(self, viewer: Viewer, rise: float) -> None:
        """Take in the nearest face; the shown tilt changes when the median does, and in whole degrees."""
        self._tilts.append(measured_tilt(viewer.y_mm, viewer.z_mm, rise))
        tilt = statistics.median(self._tilts)
        if abs(tilt - self._tilt) > _TILT_CHANGE and CAMERA_PITCH.accepts(tilt):
            self._tilt = float(round(tilt))


def _metres(height: float) -> str:
    return f"{max(height, 0.0) / 1000:.2f}" if math.isfinite(height) else "none"


def _box(track: Track, moment: float) -> list[Point]:
    """Return the corners of a face's box at a moment, the first one again at the end."""
    (x, y), (old_x, old_y), (x0, y0, x1, y1) = track.position_at(moment), track.face_at, track.face.box
    corners = (x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)
    return [(right + x - old_x, down + y - old_y) for right, down in corners]


def _lines(lens: Lens, gaze: GazeConfig, sitter: float) -> Iterator[Mark]:
    """Yield the lines of a child's and a tall man's eyes at both distances."""
    view = eye_heights_in_view(lens, gaze, sitter)
    for distance, side, colour in _DISTANCES:
        lowest, highest = view.eyes_in_view(distance)
        for who, eyes in (("child", CHILD), ("tall", TALL)):
            y, points = eye_line(lens, gaze, eyes - sitter, distance)
            out = "" if lowest <= eyes <= highest else " out"
            yield Mark(points, f"{who} {distance / 1000:g} m{out}", colour, side, y)


def aim(
    camera: Camera,
    config: Config,
    pack: PackInfo,
    show: Callable[[Pixels, Sequence[Mark], Sequence[tuple[str, str]], bool], None] | None,
    say: Callable[[str], None],
    ended: Callable[[], bool],
    sitter: float = SITTERS_EYES,
    eyes: float | None = None,
    clock: Clock = CLOCK,
) -> None:
    """Show what the camera sees, and say what changes, until the session ends or ten minutes are over.

    Parameters
    ----------
    camera : not yet open
    show : `AimScreen.show_camera`; None without a screen
    say : takes a line of text
    ended : tells whether the session is over
    sitter, eyes : height of the sitter's and of the technician's eyes above the floor, mm

    Raises
    ------
    BadAsset, BadModel, NoRuntime
        If the models cannot be loaded.
    CameraAbsent, CameraBusy, CameraStalled, CameraEnded
        If there are no pictures.
    DisplayLost, DisplayStuck
        From `show`.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold a picture
    aiming, told, due = TiltMeter(config, pack, sitter, eyes), None, -math.inf
    with camera:
        camera.set_rate(min(RATE, config.camera.rate))
        began = last = clock.monotonic()
        picture = camera.newest()  # whether the lens is cropped is known with the first picture
        say(SEEN_THROUGH % describe_camera(config.camera.source, camera))
        say((BEGINS if show else BEGINS_TEXT) % (LONGEST / 60))
        if eyes is None:
            say(TILT_GIVEN % config.gaze.camera_pitch)
        before = None
        while not ended():
            sight = aiming.see(picture, camera.horizontal_fov)
            if show:
                show(picture.to_rgb(), sight.marks, sight.lines, not config.gaze.mirrored)
            now = clock.monotonic()
            if now - began >= LONGEST:
                say(ENDED % (LONGEST / 60))
                return
            if sight.differs(before):
                due = max(due, min(now + _STEADY, last + _LONGEST_SILENCE))
            if now >= due and sight.differs(told):
                say(sight.text(told))
                told, due, last = sight, now + _SAY_INTERVAL, now
            before, picture = sight, camera.newest()
