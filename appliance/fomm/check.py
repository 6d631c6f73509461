"""Whether a driving film will do: what it shows, and what to do better, before anything is drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from appliance.errors import BadFilm
from appliance.fomm.film import Film
from appliance.fomm.sweep import Sweep, find_sweep, smooth
from appliance.fomm.watch import Watched, tilts, watch
from appliance.pack import FRAMES
from appliance.portrait.landmarks import Landmarker
from appliance.portrait.sampling import Array

# What the gaze, the eyes and the head must do from one end to the other, in degrees.
_GAZE: Final = 20.0
_EYES: Final = 8.0
_HEAD: Final = 6.0
# How far the start may lie from the middle: the longer side against the shorter.
_LOPSIDED: Final = 1.6
# The largest of the steps between frames against their mean, and the part of the way that goes back.
_UNEVEN: Final = 3.0
_BACK: Final = 0.1
# The gaze's largest step from picture to picture, in steps between frames.
_HASTY: Final = 3.0
# What the head may do besides: rise, sink and grow, in parts of the face's height; tilt, in degrees.
_DRIFT: Final = 0.12
_TILT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its name, whether it will do, and a sentence with the figures."""

    name: str
    right: bool
    sentence: str


def check(watched: Watched, frames: int = FRAMES) -> tuple[Sweep, list[Finding]]:
    """Judge a film by its best sweep.

    The pose to start from is the one in the middle of the sweep, as no painting is given.

    Raises
    ------
    BadFilm
        If the gaze hardly moves at all.
    """
    middle = (watched.motion.min() + watched.motion.max()) / 2
    sweep = find_sweep(watched, frames, watched.mesh[int(abs(watched.motion - middle).argmin())])
    part = slice(sweep.first, sweep.last + 1)
    return sweep, [
        _seen(watched),
        _range(watched, sweep),
        *(_turning(name, turn, sweep, least) for name, turn, least in _parts(watched)),
        _pace(sweep, frames, watched.times),
        _steady(watched.mesh[part]),
        _lids(watched, sweep),
    ]


def judge(path: Path) -> dict[str, Any]:
    """Watch a film and return the check as plain numbers and texts, ready for JSON.

    Raises
    ------
    BadFilm
        If the file is no film, shows no face, or its gaze hardly moves.
    """
    watched = watch(Film(path), Landmarker())
    try:
        sweep, findings = check(watched)
    except BadFilm as error:
        raise BadFilm(f"{path}: {error}") from error
    return {
        "fit": all(finding.right for finding in findings),
        "sweep_seconds": [round(float(watched.times[end]), 2) for end in (sweep.first, sweep.last)],
        "start_seconds": round(float(watched.times[sweep.start]), 2),
        "degrees_to_either_side": round(sweep.reach, 1),
        "findings": {f.name: {"right": f.right, "says": f.sentence} for f in findings},
    }


def _parts(watched: Watched) -> list[tuple[str, Array, float]]:
    return [("eyes", watched.eyes, _EYES), ("head", watched.yaw, _HEAD)]


def _seen(watched: Watched) -> Finding:
    count, all_ = int(watched.seen.sum()), len(watched.seen)
    return Finding("face", count == all_, f"seen in {count} of {all_} pictures")


def _range(watched: Watched, sweep: Sweep) -> Finding:
    part = sweep.motion[sweep.first : sweep.last + 1]
    straight = float(sweep.motion[sweep.start])
    left, right = straight - float(part.min()), float(part.max()) - straight
    lopsided = max(left, right) / max(min(left, right), 1e-6)
    told = f"{left:.0f} degrees to picture left, {right:.0f} to picture right"
    if left + right < _GAZE:
        return Finding("gaze", False, f"{told}; expected {_GAZE:.0f} together: look and turn farther")
    if lopsided > _LOPSIDED:
        return Finding("gaze", False, f"{told}; expected as much to both: start from the middle")
    return Finding("gaze", True, told)


def _turning(name: str, turn: Array, sweep: Sweep, least: float) -> Finding:
    """Judge whether eyes or head sweep evenly: by what they have done when the gaze has gone equal steps."""
    pictures = np.arange(len(turn))
    steps = np.diff(np.interp(sweep.moments, pictures, smooth(turn)))
    way, back = float(steps.sum()), float(-steps[steps < 0].sum())
    told = f"{way:.0f} degrees from picture left to right"
    if way < least:
        told = f"{way:.1f} degrees from picture left to right"
        return Finding(name, False, f"{told}; expected {least:.0f}: let eyes and head go together")
    if back > _BACK * way:
        return Finding(name, False, f"{told}, but {back:.0f} back in between; expected one even sweep")
    largest = float(steps.max()) * len(steps) / way
    if largest > _UNEVEN:
        return Finding(
            name, False, f"{told}, but in jerks (a step of {largest:.1f} times the mean); go evenly"
        )
    return Finding(name, True, f"{told}, evenly (largest step {largest:.1f} times the mean)")


def _pace(sweep: Sweep, frames: int, times: Array) -> Finding:
    part = sweep.motion[sweep.first : sweep.last + 1]
    largest = float(np.abs(np.diff(part)).max()) / (2 * sweep.reach / (frames - 1))
    took = float(times[sweep.last] - times[sweep.first])
    told = f"{len(part)} pictures, {took:.1f} s, for {frames} frames"
    if largest > _HASTY:
        return Finding("pace", False, f"{told}, and {largest:.1f} frames between two of them: go slower")
    return Finding("pace", True, f"{told}, at most {largest:.1f} frames between two of them")


def _steady(meshes: Array) -> Finding:
    height = np.ptp(meshes[:, :, 1], axis=1)
    usual = float(np.median(height))
    rises = float(np.ptp(meshes[:, :, 1].mean(1))) / usual
    grows = float(np.ptp(height)) / usual
    tilt = float(np.ptp(tilts(meshes)))
    told = f"rises and sinks by {rises:.0%} of the face, grows by {grows:.0%}, tilts by {tilt:.0f} degrees"
    right = max(rises, grows) <= _DRIFT and tilt <= _TILT
    return Finding(
        "steadiness", right, told if right else f"{told}; only turn: fix the camera, sit, chin level"
    )


def _lids(watched: Watched, sweep: Sweep) -> Finding:
    part = slice(sweep.first, sweep.last + 1)
    shut = watched.times[part][(watched.seen & ~watched.sure)[part]]
    if len(shut):
        return Finding("lids", False, f"shut at {shut[0]:.1f} s; do not blink in the sweep")
    return Finding("lids", True, "open")
