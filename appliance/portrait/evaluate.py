"""Measuring a pack: does it move as planned, is the painting kept, does nothing else change?"""

import math
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.errors import BadPack, UnfitPortrait
from appliance.pack import Pack
from appliance.portrait.eye_recordings import match_iris_along_face, match_painting_square
from appliance.portrait.landmarks import FaceLandmarker, face_names, mesh_yaw
from appliance.portrait.painting_to_pack import DRAWING_ENGINE
from appliance.portrait.prepared_sitters import PreparedSitter, RequestedMotion, prepare_sitters
from appliance.portrait.sampling import LUMA, Array, Mask
from appliance.portrait.verdict import (
    FrameExaminer,
    Verdict,
    add_row_faults,
    combine_verdicts,
    figures_as_json,
    judge_frame_steps,
    judge_portrait,
)
from appliance.schema import toml_value

# Chosen by eye unless another origin is given.

# The background is read on a ring around the face's outline, between these multiples of its radius.
_RING: Final = (1.16, 1.3)
_SQUARE: Final = 0.14  # side of the squares in which its shift is measured, in half faces
# A square with a smaller standard deviation than this, in grey levels, shows nothing that could be matched.
_TEXTURE: Final = 3.0
_TURN: Final = 8.0  # any turn, in degrees: what does not move in one moves in none
# Pixels may change this far from all that moves, in half faces, because the landmarks are found again on the
# base picture.
_NEAR: Final = 0.08
# The engine whose plan tells where eyes and head are in each frame, in any version.
_OURS: Final = DRAWING_ENGINE.rpartition(" ")[0]
# The program that `measure_rendering_cost` runs.
_RENDER: Final = """
import resource, sys
from pathlib import Path
from appliance.portrait.painting_to_pack import render
image, out, frames, rows, yaw, face = sys.argv[1:]
choose = "all" if face == "all" else int(face)
render(Path(image), Path(out), int(frames), rows=int(rows), yaw=float(yaw), choose=choose)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def evaluate_pack(folder: Path, render_again: bool = True) -> dict[str, Any]:
    """Measure a pack.

    With `render_again` its base picture is rendered once more, in a process of its own, for seconds and
    memory. The report is plain numbers, ready for JSON: the figures of the sitter with the largest face.
    `others` has those of the others by their names; `verdict` and `reasons` are of all. Raises `BadPack` if
    the pack is missing or damaged, and `UnfitPortrait` if a sitter's face is not found again in its base
    picture.
    """
    pack = Pack(folder)
    base = np.array(pack.base())
    landmarker = FaceLandmarker()
    grids = pack.info.sitters
    yaw = max(_setting(pack, f"yaw_{k}" if k else "yaw", 0, 0, 15) for k in range(len(grids)))
    part, distance = _setting(pack, "eyes", 1, 0, 1.2), _setting(pack, "distance_mm", 2000, 100, 100_000)
    scale = _setting(pack, "scale", 1, 0.001, 1000)
    faces = landmarker.numbered_faces(base)
    # The faces that the frames were drawn for.
    numbers = [min(faces, key=lambda n: math.dist(faces[n].eye_midpoint, grid.eyes)) for grid in grids]
    columns, rows = len(pack.info.main.angles), max(len(grid.pitches) for grid in grids)
    motion = RequestedMotion(columns, yaw, part, distance, rows)
    company = prepare_sitters(landmarker, base, {number: faces[number] for number in numbers}, motion, scale)
    found = {sitter.number: sitter for sitter in company.sitters}
    names = face_names(faces, *pack.info.size)
    for number, reason in company.unfit.items():
        raise UnfitPortrait(f"{folder}: {names[number]}: {reason}")
    reports: dict[str, dict[str, Any]] = {}
    verdicts: dict[str, Verdict] = {}
    for k, number in enumerate(numbers):
        figures, verdicts[names[number]] = _of_one(_Part(pack, k), base, found[number], landmarker)
        reports[names[number]] = figures
    report: dict[str, Any] = {"pack": str(folder), "frames": pack.info.main.count}
    report |= {"size": list(pack.info.size)} | reports.pop(names[numbers[0]])
    if reports:
        report["others"] = reports
    report |= combine_verdicts(verdicts).as_json()
    if render_again:
        face: int | Literal["all"] = "all" if reports else numbers[0]
        report |= measure_rendering_cost(folder / "base.png", columns, yaw, face, rows)
    return report


class _Part(Pack):
    """One sitter's part of a pack, as if nobody else were in the picture."""

    def __init__(self, pack: Pack, sitter: int) -> None:
        self.folder = pack.folder
        self.info = replace(pack.info, sitters=(pack.info.sitters[sitter],))
        self._pack, self._sitter = pack, sitter

    def patch(self, number: int, sitter: int = 0) -> Image.Image:
        """Return a frame's patch, RGB; what belongs to others is as painted."""
        return self._pack.patch(number, self._sitter).convert("RGB")


def _of_one(
    pack: Pack, base: Pixels, sitter: PreparedSitter, landmarker: FaceLandmarker
) -> tuple[dict[str, Any], Verdict]:
    """Return the figures of one sitter, and the verdict."""
    report = _stillness(pack, base, sitter)
    report |= _pictures(pack, base, sitter)
    report |= _eyes(pack, base, sitter)
    report |= _models(pack, base, sitter, landmarker)
    if not pack.info.engine.startswith(_OURS):
        return report, judge_blended_pack(pack)
    examined = FrameExaminer(sitter, pack.info.main)
    for _ in examined.pass_through(pack.patch(i) for i in range(pack.info.main.count)):
        pass
    level, others = examined.figures()
    report |= figures_as_json(level)
    if others:
        report["rows"] = {name: figures_as_json(figures) for name, figures in others.items()}
    return report, add_row_faults(judge_portrait(level, sitter.doubts), others)


def judge_blended_pack(pack: Pack) -> Verdict:
    """Judge a pack whose frames were made elsewhere, by the range and the steps of its level row."""
    return judge_frame_steps(pack.info.main.angles, _steps(pack, pack.info.main.level_frames))


def _steps(pack: Pack, frames: list[int]) -> list[float]:
    """Return how much each of some frames differs from the one before it, a mean in grey levels."""
    steps, before = [], np.array(pack.patch(frames[0]), np.int16)
    for i in frames[1:]:
        patch = np.array(pack.patch(i), np.int16)
        steps.append(float(np.abs(patch - before).mean()))
        before = patch
    return steps


def measure_rendering_cost(
    image: Path, frames: int, yaw: float, face: int | Literal["all"] = 1, rows: int = 1
) -> dict[str, float]:
    """Render a picture in a process of its own; return its CPU seconds and its peak memory in MB.

    Raises `UnfitPortrait`, with the last line that the process wrote, if it cannot be rendered.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [str(image), f"{folder}/pack", str(frames), str(rows), str(yaw), str(face)]
        command = [sys.executable, "-c", _RENDER, *words]
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(root)}
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise UnfitPortrait(f"{image}: cannot be rendered again: {last}")
    seconds, peak = map(float, done.stdout.split()[-2:])
    return {"cpu_seconds": round(seconds, 2), "peak_mb": round(peak, 1)}


def _setting(pack: Pack, key: str, default: float, low: float, high: float) -> float:
    """Return a setting that a pack was rendered with; raises `BadPack` if it is no number of that range."""
    value = pack.info.settings.get(key, default)
    if not isinstance(value, int | float) or not low <= value <= high:
        raise BadPack(
            f"{pack.folder / 'pack.toml'}: {key} = {toml_value(value)}; expected {low:g} to {high:g}"
        )
    return float(value)


def _frame(pack: Pack, base: Pixels, index: int) -> Pixels:
    """Return a whole frame, RGB uint8."""
    x0, y0, x1, y1 = pack.info.main.box
    whole = base.copy()
    whole[y0:y1, x0:x1] = np.array(pack.patch(index))
    return whole


def _stillness(pack: Pack, base: Pixels, sitter: PreparedSitter) -> dict[str, Any]:
    """Check what must not change: the resting frame, the patches' border, and all that nothing reaches.

    `neutral_exact` is whether the resting patch is the painting. `changed_on_border` and `changed_outside`
    count pixels that changed in the patches' outermost lines, and where neither the head's field nor lids and
    irises reach; beyond the patches a frame is the base picture itself. Angles are in degrees, `resting` is a
    frame.
    """
    grid = pack.info.main
    x0, y0, x1, y1 = grid.box
    painting = base[y0:y1, x0:x1]
    border = outside = 0
    beyond = ~_reached(sitter, grid.box)
    for i in range(grid.count):
        changed = (np.array(pack.patch(i)) != painting).any(2)
        border += int(changed[[0, -1]].sum() + changed[1:-1, [0, -1]].sum())
        outside += int((changed & beyond).sum())
    resting, steps = np.array(pack.patch(grid.rest)), np.diff(grid.angles)
    return {
        "neutral_exact": bool(np.array_equal(resting, painting)),
        "changed_on_border": border,
        "changed_outside": outside,
        "angle_step": round(float(steps.mean()), 4),
        "angle_step_spread": round(float(np.ptp(steps)), 9),
        "angles": [round(grid.angles[0], 2), round(grid.angles[-1], 2)],
        "pitches": [round(grid.pitches[0], 2), round(grid.pitches[-1], 2)],
        "resting": grid.rest,
    }


def _pictures(pack: Pack, base: Pixels, sitter: PreparedSitter) -> dict[str, Any]:
    """Measure how the level row looks as a film.

    `detail_kept` is the face's sharpness against the painting's; `jump_ratio` the largest step from frame to
    frame against the median; `min_jacobian` the head's at the ends of its motion. `background_shift_px` is
    the largest shift beside the outermost frames' outline by matching, `outline_shift_px` that of the field
    itself.
    """
    grid, head, ring = pack.info.main, sitter.head, _ring(sitter)
    x0, y0, x1, y1 = grid.box
    inside, level = _face(sitter, grid.box), grid.level_frames
    sharp = _sharpness(base[y0:y1, x0:x1], inside)
    detail = [_sharpness(np.array(pack.patch(i)), inside) / sharp for i in level if i != grid.rest]
    middle = [grid.nearest(row, len(grid.angles) // 2) for row in range(len(grid.pitches))]
    turns, nods = (sitter.plan.turns[0], sitter.plan.turns[-1]), sitter.plan.nods
    shifts = [_background(base, _frame(pack, base, i), sitter) for i in (level[0], level[-1])]
    of_field = [abs(head.displacement(ring[:, 0], ring[:, 1], turn).along).max() for turn in turns]
    jacobians = [head.least_jacobian(*ends) for ends in product(turns, (nods[0], nods[-1]))]
    return {
        "detail_kept_min": round(min(detail), 3),
        "detail_kept_median": round(float(np.median(detail)), 3),
        "jump_ratio": _jump_ratio(_steps(pack, level)),
        **({"row_jump_ratio": _jump_ratio(_steps(pack, middle))} if len(middle) > 1 else {}),
        "min_jacobian": round(min(jacobians), 3),
        "background_shift_px": round(max(shifts), 2),
        "outline_shift_px": round(float(max(of_field)), 2),
    }


def _jump_ratio(steps: list[float]) -> float:
    """Return the largest step against the median."""
    return round(max(steps) / float(np.median(steps)), 3)


def _eyes(pack: Pack, base: Pixels, sitter: PreparedSitter) -> dict[str, Any]:
    """Measure the irises' travel by template matching, against the plan; lists are of both eyes.

    `iris_travel_percent` is in percent of the eye's width, without what the head carries; `iris_off_plan` the
    largest difference as a fraction of the travel; `iris_back_steps` counts steps in which an iris does not
    move on. `room_percent` is in percent of the eye's width to both sides, `own_gaze` the painted gaze in
    degrees.
    """
    found, wanted, carried = np.zeros((3, len(pack.info.main.angles), 2))
    for i, number in enumerate(pack.info.main.level_frames):
        frame = _frame(pack, base, number)
        for j, eye in enumerate(sitter.eyes):
            shift, turn = float(sitter.plan.shifts[i, j]), sitter.plan.turns[i]
            u, v = np.array(eye.iris.u + shift / eye.view.axes.width), np.array(eye.iris.v)
            x, y = eye.view.axes.to_picture(u, v)
            carried[i, j] = float(sitter.head.displacement(x, y, turn).along)
            wanted[i, j] = shift + carried[i, j]
            found[i, j] = match_iris_along_face(base, frame, eye, wanted[i, j])
    widths = np.array([eye.view.axes.width for eye in sitter.eyes])
    travel = (np.ptp(found - carried, axis=0) / widths * 100).round(1)
    off = np.abs(found - wanted).max(0) / np.ptp(wanted, axis=0)
    return {
        "eye_width_px": widths.round(1).tolist(),
        "iris_travel_percent": travel.tolist(),
        "iris_off_plan": off.round(3).tolist(),
        "iris_back_steps": (np.diff(found, axis=0) <= 0).sum(0).tolist(),
        "room_percent": [round(100 * room, 1) for room in sitter.plan.room],
        "own_gaze": round(sitter.plan.painted_gaze, 1),
    }


def _models(pack: Pack, base: Pixels, sitter: PreparedSitter, landmarker: FaceLandmarker) -> dict[str, Any]:
    """Read the frames of the level row by the iris and mesh models.

    The models shrink shifts, so only ranks count: `iris_model_rank` and `yaw_rank` are 1 if every frame is
    read farther to picture right than the one before. `lid_opening_drift` is in eye widths, `yaw_read` in
    degrees.
    """
    gaze, openings, noses, yaws = [], [], [], []
    for i in pack.info.main.level_frames:
        frame = _frame(pack, base, i)
        marks, mesh = landmarker.read_again(frame, sitter.face)
        gaze.append([_reading(eye.lower, eye.iris) for eye in marks])
        openings.append([eye.opening for eye in marks])
        noses.append(float(mesh[1, 0] * math.cos(sitter.face.tilt) + mesh[1, 1] * math.sin(sitter.face.tilt)))
        yaws.append(mesh_yaw(mesh))
    read = np.array(gaze)

    def rank(readings: Array) -> float:
        order = np.argsort(np.argsort(readings))
        return round(float(np.corrcoef(order, np.arange(len(order)))[0, 1]), 4)

    return {
        "iris_model_rank": [rank(read[:, j]) for j in (0, 1)],
        "iris_model_travel_percent": (100 * np.ptp(read, axis=0)).round(1).tolist(),
        "lid_opening_drift": np.ptp(np.array(openings), axis=0).round(3).tolist(),
        "nose_back_steps": int((np.diff(noses) < 0).sum()),
        "nose_travel_px": round(noses[-1] - noses[0], 1),
        "yaw_rank": rank(np.array(yaws)),
        "yaw_read": [round(yaws[0], 1), round(yaws[-1], 1)],
    }


def _reading(lower: Array, iris: tuple[float, float]) -> float:
    """Return where an iris lies between the corners of its eye: 0 at picture left, 1 at picture right."""
    along = lower[-1] - lower[0]
    return float((np.array(iris) - lower[0]) @ along / (along @ along))


def _face(sitter: PreparedSitter, box: tuple[int, int, int, int]) -> Mask:
    """Return which pixels of the box lie in the face: an ellipse through the mesh's outermost points."""
    points = sitter.face.mesh[:, :2]
    low, high = points.min(0), points.max(0)
    (x, y), (rx, ry) = (low + high) / 2, (high - low) / 2
    rows, columns = np.mgrid[box[1] : box[3], box[0] : box[2]]
    inside: Mask = np.hypot((columns - x) / rx, (rows - y) / ry) < 1
    return inside


def _reached(sitter: PreparedSitter, box: tuple[int, int, int, int]) -> Mask:
    """Return which pixels of the box the head's motion or the eyes can change, and a margin.

    The landmarks are found again, on the base picture, and differ a little from the render's.
    """
    y, x = np.mgrid[box[1] : box[3], box[0] : box[2]] + 0.5
    margin = _NEAR * sitter.face.half_width
    if any(sitter.plan.nods):
        margin += sitter.head.step  # outer rows are drawn in cells of two nodes, which reach one node farther
    reached: Mask = np.zeros(x.shape, bool)
    for across, down in product((-margin, 0, margin), repeat=2):
        moves = sitter.head.displacement(x + across, y + down, _TURN, _TURN if any(sitter.plan.nods) else 0.0)
        reached |= (moves.along != 0) | (moves.down != 0)
        for eye in sitter.eyes:
            reached |= eye.can_change(x + across, y + down, any(sitter.plan.drops))
    return reached


def _sharpness(patch: Pixels, inside: Mask) -> float:
    """Return the variance of the Laplacian within a mask."""
    light = patch @ LUMA
    edges = np.zeros(light.shape)
    edges[1:-1, 1:-1] = (
        light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:] - 4 * light[1:-1, 1:-1]
    )
    return float(edges[inside].var())


def _ring(sitter: PreparedSitter) -> Array:
    """Return points (n, 2) beside and above the face's outline, where the background begins."""
    c, s = math.cos(sitter.face.tilt), math.sin(sitter.face.tilt)
    upright = sitter.face.mesh[:, :2] @ np.array([[c, -s], [s, c]])
    middle = (upright.min(0) + upright.max(0)) / 2
    x, y = (upright - middle).T
    turn, radius = np.arctan2(y, x), np.hypot(x, y)
    turns = np.radians(np.r_[np.arange(-160, -19, 10), np.arange(-15, 36, 10), np.arange(145, 196, 10)])
    near = abs((turn[:, None] - turns + np.pi) % (2 * np.pi) - np.pi) < math.radians(12)
    farthest = (near * radius[:, None]).max(0)
    farthest *= _RING[0] + (_RING[1] - _RING[0]) * np.clip(-np.sin(turns), 0, 1)
    around = middle + np.column_stack([np.cos(turns), np.sin(turns)]) * farthest[:, None]
    ring: Array = around @ np.array([[c, s], [-s, c]])
    return ring


def _background(base: Pixels, frame: Pixels, sitter: PreparedSitter) -> float:
    """Return the largest shift of textured squares on the ring, in pixels, by matching."""
    side, most = max(round(_SQUARE * sitter.face.half_width), 8), 0.0
    for x, y in _ring(sitter).tolist():
        left, top = round(x - side / 2), round(y - side / 2)
        square = np.s_[top : top + side, left : left + side]
        if min(left, top) < 8 or left + side > base.shape[1] - 8 or top + side > base.shape[0] - 8:
            continue
        if (base[square] @ LUMA).std() > _TEXTURE:
            most = max(most, match_painting_square(base, frame, left, top, side))
    return most
