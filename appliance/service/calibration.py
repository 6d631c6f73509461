"""`mona-lisa calibrate`: fits camera and portrait together, and says which eye heights are covered.

It is kept in a layer of its own (`appliance/config.py`), which only `calibrate` writes.
"""

import math
import re
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from appliance.camera.base import Camera
from appliance.camera.lens import Lens
from appliance.config import CAMERA_PITCH, CAMERA_UP, Config, GazeConfig
from appliance.errors import CannotWrite, NotCalibrated
from appliance.files import sync_to_disk, write_atomic
from appliance.gaze.geometry import Direction, gaze_angle_to
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import frames_for, gaze_direction_at
from appliance.pack import FrameGrid, PackInfo
from appliance.schema import toml_value
from appliance.service.camera_creation import describe_camera
from appliance.tracking.viewer_position import Viewer

# A face counts as in view when so much above and below its eyes is in the picture, in mm. Measured on the
# gallery's figures at the picture's edges, 0.7 to 2 m away: 20 above and 110 below were enough.
ABOVE_EYES: Final = 50.0
BELOW_EYES: Final = 120.0
# Eye heights above the floor that the camera should see, in mm: a child of eight or somebody small in a
# wheelchair, and a man taller than most. Chosen by hand.
CHILD: Final = 1150.0
TALL: Final = 1850.0
DISTANCES: Final = (1000.0, 1500.0, 2000.0)  # distances from the portrait that are reported, in mm
# Up to this distance both should stay in view, since a viewer is followed so far; in mm.
FARTHEST: Final = 5000.0
WIDE: Final = 102.0  # angle across the picture of the wide Camera Module 3, in degrees
# Steepest direction reckoned with, in degrees, because the tangent has no bounds at 90.
_STEEPEST: Final = 89.0


@dataclass(frozen=True, slots=True)
class EyeHeightsInView:
    """What a camera sees of people who stand straight in front of the portrait.

    Heights are millimetres above the floor, distances millimetres along the floor from the sitter's eyes.

    Parameters
    ----------
    lens_height : of the lens
    lens_forward : how far the lens is in front of the sitter's eyes
    pitch : tilt of the camera in degrees, above 0 if it looks up
    half_angle : from the picture's middle to its upper or lower edge, degrees
    """

    lens_height: float
    lens_forward: float
    pitch: float
    half_angle: float

    def eyes_in_view(self, distance: float) -> tuple[float, float]:
        """Return the lowest and highest eyes whose face is in view; lowest > highest if there are none."""
        away = distance - self.lens_forward
        if away <= 0:
            return math.inf, -math.inf
        lowest = self.lens_height + away * self._slope(-self.half_angle) + BELOW_EYES
        return lowest, self.lens_height + away * self._slope(self.half_angle) - ABOVE_EYES

    def distances_in_view(self, eyes: float) -> tuple[float, float]:
        """Return where a face is in view, from nearest to farthest; nearest > farthest if it never is."""
        nearest, farthest = 0.0, math.inf
        # The upper edge must have risen, and the lower one fallen, by so much: needed <= slope * away.
        for needed, slope in (
            (eyes + ABOVE_EYES - self.lens_height, self._slope(self.half_angle)),
            (self.lens_height - (eyes - BELOW_EYES), -self._slope(-self.half_angle)),
        ):
            if slope > 0:
                nearest = max(nearest, needed / slope)
            elif slope < 0:
                farthest = min(farthest, needed / slope)
            elif needed > 0:
                farthest = -math.inf
        return nearest + self.lens_forward, farthest + self.lens_forward

    def pitches_for_all(self, distance: float) -> tuple[float, float]:
        """Return the lowest and highest pitch at which child and tall man are in view up to the farthest.

        They should be in view from `distance` on. The result is in degrees; lowest > highest if no pitch
        does.
        """
        if distance <= self.lens_forward:
            return math.inf, -math.inf
        lowest, highest = -math.inf, math.inf
        for away in (distance - self.lens_forward, FARTHEST - self.lens_forward):
            top = math.degrees(math.atan2(TALL + ABOVE_EYES - self.lens_height, away))
            bottom = math.degrees(math.atan2(CHILD - BELOW_EYES - self.lens_height, away))
            lowest, highest = max(lowest, top - self.half_angle), min(highest, bottom + self.half_angle)
        return lowest, highest

    def _slope(self, from_middle: float) -> float:
        """Return how much a ray rises per millimetre ahead; it starts so many degrees above the middle."""
        return math.tan(math.radians(min(max(self.pitch + from_middle, -_STEEPEST), _STEEPEST)))


def eye_heights_in_view(lens: Lens, gaze: GazeConfig, sitter_eyes: float) -> EyeHeightsInView:
    """Return what a camera sees; `sitter_eyes` is the height of the sitter's eyes above the floor in mm."""
    half_angle = math.degrees(math.atan(lens.ray(lens.width / 2, lens.height)[1]))
    return EyeHeightsInView(sitter_eyes + gaze.camera_up, gaze.camera_forward, gaze.camera_pitch, half_angle)


def report(lens: Lens, gaze: GazeConfig, sitter_eyes: float) -> list[str]:
    """Say in sentences which eye heights are in view, and what brings more of them into view.

    `sitter_eyes` is the height of the sitter's eyes above the floor, mm.
    """
    view = eye_heights_in_view(lens, gaze, sitter_eyes)
    wide = eye_heights_in_view(
        replace(lens, horizontal_fov=max(lens.horizontal_fov, WIDE)), gaze, sitter_eyes
    )
    heights = "; ".join(f"at {d / 1000:g} m {_heights(*view.eyes_in_view(d))}" for d in DISTANCES)
    return [
        f"Eyes in view, by their height above the floor: {heights}. A face counts as in view from "
        f"{BELOW_EYES:.0f} mm below the eyes to {ABOVE_EYES:.0f} mm above them.",
        f"A child with eyes at {CHILD / 1000:.2f} m is {_absence(*view.distances_in_view(CHILD))}.",
        f"A tall man with eyes at {TALL / 1000:.2f} m is {_absence(*view.distances_in_view(TALL))}.",
        *_advice(view, wide),
    ]


def describe_heights_in_reach(grid: FrameGrid, gaze: GazeConfig, sitter_eyes: float) -> list[str]:
    """Say in a sentence which eye heights the sitter meets, if the frames look up and down.

    `sitter_eyes` is the height of the sitter's eyes above the floor, mm.
    """
    if len(grid.pitches) == 1:
        return []
    lowest = max(grid.pitches[-1], gaze.limit_down) / gaze.gain
    highest = min(grid.pitches[0], gaze.limit_up) / gaze.gain
    low, high = (
        math.tan(math.radians(min(max(angle, -_STEEPEST), _STEEPEST))) for angle in (lowest, highest)
    )
    met = "; ".join(
        f"at {d / 1000:g} m {_heights(sitter_eyes + d * low, sitter_eyes + d * high)}" for d in DISTANCES
    )
    return [f"Eyes that the sitter meets: {met}. Lower and higher ones are looked over and under."]


def _heights(lowest: float, highest: float) -> str:
    lowest = max(lowest, 0.0)
    return f"{lowest / 1000:.2f} to {highest / 1000:.2f} m" if lowest <= highest else "none"


def _absence(nearest: float, farthest: float) -> str:
    if nearest > min(farthest, FARTHEST):
        return "never in view"
    ends = [f"nearer than {nearest / 1000:.2f} m"] if nearest > 0 else []
    ends += [f"farther than {farthest / 1000:.2f} m"] if farthest < FARTHEST else []
    return f"out of view {' and '.join(ends)}" if ends else "in view at every distance"


def _advice(view: EyeHeightsInView, wide: EyeHeightsInView) -> list[str]:
    """Say which tilt brings child and tall man into view, and what else is needed where no tilt does."""
    said = []
    distance, change = best_tilt(view)
    if change:
        way = f"{'down' if change < 0 else 'up'} by {abs(change)} degree{'s' * (abs(change) > 1)}"
        said.append(f"Tilt the camera {way} and calibrate again: both are then in view {_from(distance)}.")
    elif distance < math.inf:
        said.append(f"The tilt is right: both are in view {_from(distance)}.")
    if distance > DISTANCES[0]:
        wanted = DISTANCES[0] if distance < math.inf else DISTANCES[-1]
        helps = "is needed" if best_tilt(wide)[0] <= wanted else "does not help either"
        remedy = f"a wide lens ({WIDE:g} degrees) {helps}"
        said.append(f"No tilt brings both into view {_from(wanted)}: {remedy}.")
    return said


def _from(distance: float) -> str:
    return f"from {distance / 1000:g} to {FARTHEST / 1000:g} m"


def best_tilt(view: EyeHeightsInView) -> tuple[float, int]:
    """Return the nearest distance from which a tilt shows child and tall man, and that tilt's change.

    The distance is one of `DISTANCES` in mm, infinite if there is none; the degrees are whole, since nobody
    tilts a camera finer.
    """
    for distance in DISTANCES:
        lowest, highest = view.pitches_for_all(distance)
        if lowest > highest:
            continue
        change = 0 if lowest <= view.pitch <= highest else round((lowest + highest) / 2 - view.pitch)
        if lowest <= view.pitch + change <= highest:
            return distance, change
    return math.inf, 0


# The keys of [gaze] that calibrating measures.
MEASURED: Final = ("camera_right", "camera_up", "camera_pitch", "mirrored", "limit_left", "limit_right")
HEAD: Final = (
    "# Measured by `mona-lisa calibrate`, which writes this file anew each time.\n"
    "# `sudo mona-lisa calibrate --reset` removes it. Other settings: config.toml.\n\n"
)
LOST: Final = (
    "%s is gone at the next boot, because the root is read-only: put the lines above into mona-lisa.toml on "
    "the boot partition"
)
AIM_FIRST: Final = "To see the camera's picture on this screen while you tilt it: q, then sudo mona-lisa aim"
SEEN_THROUGH: Final = "Seen through %s."
MARKS: Final = {
    "front": "Stand straight in front of the portrait, about 2 m away, and look at it",
    "left": "Stand at the left mark, where your left is as you face the portrait",
    "right": "Stand at the right mark",
}
# Asked for only when the heights are known: another distance tells the camera's tilt from its height.
ANOTHER_DISTANCE: Final = (
    "Stand in the middle again, about 1 m away, or 3 m if no distance shows below while you stand at 1 m"
)
YOUR_EYES: Final = (
    "How high above the floor are your eyes, shoes included, in metres (like 1.62)? Enter alone skips this: "
    "camera_up stays %g mm and camera_pitch %g degrees (q leaves everything as it was)."
)
SITTERS_EYES: Final = "How high above the floor are the sitter's eyes, in metres? Enter alone skips this too."
ALIKE: Final = (
    "the marks are %.2f to %.2f m ahead of the camera, too alike to tell its tilt from its height: "
    "camera_pitch stays %g degrees, only camera_up is measured"
)
UNSTEADY: Final = (
    "nobody was seen standing still; stand at the mark, facing the camera, and press Enter again"
)
ENDLESS: Final = "%d bytes typed without Enter; expected a height or Enter alone; nothing was written"
GIVEN_UP: Final = "%d answers, none of them a height; nothing was written"
NOBODY: Final = "%s: nobody was seen standing still in %d tries; nothing was written"
LONGEST_ANSWER: Final = 200  # longest line that is taken as an answer, in bytes: heights have ten
# Wrong heights in a row, and tries at a mark, after which nobody is believed to read the replies.
_TRIES: Final = 10
# A place is measured over so many seconds, in which the head may move by so much; then patience ends.
_WINDOW: Final = 1.0
_SWAY_MM: Final = 120.0
_PATIENCE: Final = 10.0
_APART: Final = 5.0  # marks nearer to each other than this tell nothing about left and right, in degrees
# The nearest mark is at most this share of the farthest away, else an error of 0.3 degrees in seeing the eyes
# becomes one of more than a degree in the pitch (least squares with three marks at 2 m).
_NEARER: Final = 0.75
# Heights of eyes above the floor that are believed, in metres: a child in a wheelchair to a portrait hung
# over a door.
_LOWEST: Final = 0.3
_HIGHEST: Final = 4.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody's eyes were, in millimetres in the camera's frame (x to picture right, y down)."""

    x_mm: float
    y_mm: float
    z_mm: float


def parse_height(text: str) -> float:
    """Return a height in millimetres, from "1.62", "1,62" (metres) or "162 cm"; raises `ValueError`."""
    found = re.fullmatch(r"(\d+(?:[.,]\d+)?) *(m|cm)?", text.strip().lower())
    metres = float(found[1].replace(",", ".")) * (0.01 if found[2] == "cm" else 1) if found else math.nan
    if not _LOWEST <= metres <= _HIGHEST:
        typed = text.strip()[:40]
        raise ValueError(
            f"{typed!r}; expected a height from {_LOWEST:g} to {_HIGHEST:g} m, like 1.62 or 162 cm"
        )
    return 1000 * metres


def tells_pitch(places: Sequence[Place]) -> bool:
    """Tell whether places differ enough in distance to tell the camera's pitch from its height."""
    ahead = [place.z_mm for place in places]
    return min(ahead) <= _NEARER * max(ahead)


def fit_camera_tilt(gaze: GazeConfig, eyes_above: float, places: Sequence[Place]) -> GazeConfig:
    """Return the gaze settings with the camera's height and pitch, by least squares over the places.

    Eyes at one height are seen at y / z = tan(pitch) + (camera_up - eyes_above) / cos(pitch) / z: a straight
    line in 1 / z. Where the places are too alike in distance to tell its two figures apart (`tells_pitch`),
    the pitch stays as it is and only the height is fitted. `eyes_above` is how far above the sitter's eyes
    the eyes were at all places, mm. Raises `NotCalibrated` if height or pitch lie beyond what the config
    allows.
    """
    nearness = [1 / place.z_mm for place in places]
    slopes = [place.y_mm / place.z_mm for place in places]
    pitch = gaze.camera_pitch
    if tells_pitch(places):
        rise, level = statistics.linear_regression(nearness, slopes)
        pitch = round(math.degrees(math.atan(level)), 1)
    else:
        sides = [slope - math.tan(math.radians(pitch)) for slope in slopes]
        rise = sum(n * s for n, s in zip(nearness, sides, strict=True)) / sum(n * n for n in nearness)
    up = round(eyes_above + rise * math.cos(math.radians(pitch)), 1)
    if not (CAMERA_UP.accepts(up) and CAMERA_PITCH.accepts(pitch)):
        raise NotCalibrated(
            f"the marks give camera_up = {up:g} mm and camera_pitch = {pitch:g} degrees; expected "
            f"{CAMERA_UP} and {CAMERA_PITCH}; are both heights of eyes right? nothing was written"
        )
    return replace(gaze, camera_up=up, camera_pitch=pitch)


def fit_gaze_settings(gaze: GazeConfig, front: Place, left: Place, right: Place) -> GazeConfig:
    """Return the gaze settings under which the sitter meets who stands in front, and looks from mark to mark.

    Raises `NotCalibrated` if the marks lie too near to each other, or in front is not between them.
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
    live: Callable[[str, tuple[int, ...]], None],
) -> GazeConfig:
    """Say which lens is used, ask for heights and marks, say which eyes are in view; return the settings.

    Parameters
    ----------
    camera : not yet open
    answer : the next line typed, None if there is none yet; asked at every picture while one is awaited
    say, live : take a line of text; that of `live` replaces the one before, and comes with the frames; it
        is empty while a height is typed, since the terminal shows that in the same place

    Raises
    ------
    NotCalibrated
        If the technician gives up ("q", or the end of input) or the marks make no sense.
    CameraAbsent, CameraBusy, CameraStalled
        If there are no pictures.
    """
    gaze, session = config.gaze, _Session(camera, config, pack, answer, say, live)
    with camera:
        camera.newest()  # whether the lens is cropped is known with the first picture
        say(SEEN_THROUGH % describe_camera(config.camera.source, camera))
        eyes = session.height(YOUR_EYES % (gaze.camera_up, gaze.camera_pitch))
        sitter = None if eyes is None else session.height(SITTERS_EYES)
        marks = [session.place(name, text) for name, text in MARKS.items()]
        if eyes is None or sitter is None:
            return fit_gaze_settings(gaze, *marks)
        places = [*marks, session.place("middle", ANOTHER_DISTANCE)]
    if not tells_pitch(places):
        ahead = [place.z_mm / 1000 for place in places]
        say(ALIKE % (min(ahead), max(ahead), gaze.camera_pitch))
    gaze = fit_gaze_settings(fit_camera_tilt(gaze, eyes - sitter, places), *marks)
    size = config.camera.width, config.camera.height
    lens = Lens(*size, camera.horizontal_fov, config.camera.distortion)
    for line in [*report(lens, gaze, sitter), *describe_heights_in_reach(pack.main, gaze, sitter)]:
        say(line)
    return gaze


class _Session:
    """Somebody in front of the camera who types: asks them for heights, and to stand at marks."""

    def __init__(
        self,
        camera: Camera,
        config: Config,
        pack: PackInfo,
        answer: Callable[[], str | None],
        say: Callable[[str], None],
        live: Callable[[str, tuple[int, ...]], None],
    ) -> None:
        self._camera, self._config, self._pack = camera, config, pack
        self._answer, self._say, self._live = answer, say, live
        self._follower = GazeController(config)
        self._shown = tuple(grid.rest for grid in pack.sitters)

    def height(self, question: str) -> float | None:
        """Return the height that is typed, in millimetres; None for an empty line."""
        for _ in range(_TRIES):
            self._say(question)
            typed = None
            while typed is None:
                self._look(quiet=True)
                typed = self._typed()
            if not typed.strip():
                return None
            try:
                return parse_height(typed)
            except ValueError as error:
                self._say(str(error))
        raise NotCalibrated(GIVEN_UP % _TRIES)

    def place(self, name: str, text: str) -> Place:
        """Return where somebody stands still, after Enter."""
        self._say(f"{text}; then press Enter (q leaves everything as it was).")
        began: float | None = None
        seen: deque[Viewer] = deque()
        tries = 0
        while tries < _TRIES:
            viewer, captured = self._look()
            if began is None and self._typed() is not None:
                began = captured
            if began is None:
                continue
            place = _standing(seen, viewer, captured)
            if place is not None:
                self._say(
                    f"{name}: {place.x_mm:.0f} mm aside and {place.z_mm / 1000:.2f} m ahead of the camera"
                )
                return place
            if captured - began > _PATIENCE:
                self._say(UNSTEADY)
                began, tries = None, tries + 1
        raise NotCalibrated(NOBODY % (name, _TRIES))

    def _look(self, quiet: bool = False) -> tuple[Viewer | None, float]:
        """Take a picture and show the gaze; return who was seen, and when."""
        picture = self._camera.newest()
        target = self._follower.see(picture, self._camera.horizontal_fov, self._pack)
        tracking, main = self._config.tracking, self._pack.main
        self._shown = frames_for(target, picture.captured, self._shown, tracking, self._pack)
        direction = gaze_direction_at(target, picture.captured, main, tracking)
        self._live("" if quiet else _line(direction, target.viewer, main, self._shown[0]), self._shown)
        return target.viewer, picture.captured

    def _typed(self) -> str | None:
        """Return the next line typed, None if there is none yet; "q" gives up."""
        typed = self._answer()
        if typed is not None and typed.strip().lower().startswith("q"):
            raise NotCalibrated("given up; nothing was written")
        return typed


def calibration_toml(gaze: GazeConfig) -> str:
    """Return the settings that calibrating measures, as TOML."""
    values = {key: getattr(gaze, key) for key in MEASURED}
    return "\n".join(["[gaze]", *(f"{key} = {toml_value(value)}" for key, value in values.items())]) + "\n"


def write_calibration(path: Path, gaze: GazeConfig) -> None:
    """Write what calibrating measured into its own layer, and nothing else; raises `CannotWrite`."""
    write_atomic(path, (HEAD + calibration_toml(gaze)).encode())


def lost_at_next_boot(folder: Path, proc: Path = Path("/proc")) -> bool:
    """Tell whether files in a folder are gone at the next boot, because the root is read-only."""
    try:
        asked = re.search(r"(^| )(boot=overlay|overlayroot=)", (proc / "cmdline").read_text())
        mounts = [line.split() for line in (proc / "mounts").read_text().splitlines()]
    except OSError:
        return False
    places = [(Path(mount[1]), mount[2]) for mount in mounts if folder.is_relative_to(mount[1])]
    kind = max(places, key=lambda place: len(place[0].parts), default=(folder, ""))[1]
    return bool(asked) and kind in ("overlay", "tmpfs")


def reset_calibration(path: Path) -> bool:
    """Rename the file of what calibrating measured, so that it no longer counts.

    Returns whether there was one. Raises `CannotWrite`.
    """
    try:
        path.replace(kept_calibration(path))
        sync_to_disk(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be removed ({error.strerror}); try again with sudo") from error
    return True


def kept_calibration(path: Path) -> Path:
    """Return the name under which `reset_calibration` keeps a file."""
    return path.with_name(f"{path.name}.old")


def _angle(place: Place, gaze: GazeConfig) -> float:
    return gaze_angle_to(place.x_mm, place.y_mm, place.z_mm, gaze)


def _line(direction: Direction, viewer: Viewer | None, grid: FrameGrid, frame: int) -> str:
    where = f"{viewer.distance_mm / 1000:5.2f} m away" if viewer else "nobody seen "
    row, column = grid.place(frame)
    up = f", {direction[1]:5.1f} up" if len(grid.pitches) > 1 else ""
    line = f"angle {direction[0]:6.1f} degrees{up}, {where}, frame {column:2d}"
    return f"{line} of row {row}" if up else line


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
