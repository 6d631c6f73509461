"""The verdict on a portrait: hang it, look at some frames first, or use another picture."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from appliance.pack import FrameGrid
from appliance.portrait.eye_faults import LASTING_PART, PortraitFigures, measure_frames_of_row, measure_head
from appliance.portrait.eye_recordings import EyeRecorder
from appliance.portrait.frame_motions import MAX_LOPSIDED, MIN_RANGE
from appliance.portrait.prepared_sitters import PreparedSitter
from appliance.portrait.sampling import Array
from appliance.portrait.suitability import FAINT_IRISES, GAZE_RANGE, SOFT_EYES, UNSURE_IRISES

VerdictKind = Literal["hang", "look", "another"]
# The words for each verdict, from the best to the worst.
VERDICT_WORDS: Final[dict[VerdictKind, str]] = {
    "hang": "hang it",
    "look": "look at these frames first",
    "another": "use another picture",
}


class _Limits(NamedTuple):
    """From `low` to `high` nothing is visible; below `least` or above `most` a portrait cannot hang."""

    low: float
    high: float
    least: float
    most: float


# An old rim, in grey levels (50 portraits, which a curator had scored for flaws at arm's length); a second
# curator saw nothing at rims of 9 on three portraits.
_RIM: Final = _Limits(0, 10, 0, 80)
_ARC: Final = _Limits(0, 8, 0, 80)  # an arc beside the iris, in grey levels (50 portraits)
_EDGE: Final = _Limits(0, 10, 0, 80)  # an edge around the uncovered white, in grey levels (50 portraits)
# A rim is visible from this fraction of the eye's own contrast on: beside a dark iris in bright white a weak
# one is not (50 portraits).
_RIM_OF_CONTRAST: Final = 0.08
# The same of an arc: as a line on even ground it is visible sooner (50 portraits).
_ARC_OF_CONTRAST: Final = 0.05
# The uncovered white's brightness against that beside it, as seen (50 portraits).
_LIGHT: Final = _Limits(0.75, 1.25, 0.4, 2.5)
# The brightest white on the side that the iris leaves against the painted one (50 portraits).
_LEVEL: Final = _Limits(0.68, 1.8, -10, 10)
# The uncovered white's grain against that beside it: too smooth or too loud, but no reason not to hang it. A
# ratio of 0.3 is visible only when enlarged (50 portraits).
_GRAIN: Final = _Limits(0.25, 2, 0, 1000)
# Its hue against that beside it, in grey levels at medium brightness: 20 pass for the painter's own (50
# portraits).
_HUE: Final = _Limits(0, 23, 0, 1000)
# The missing part of the moved iris's outer half, in percent: lids that cover it as they should take up to 13
# (50 portraits).
_CUT: Final = _Limits(0, 14, 0, 30)
# The catch-light's strength against the painted one (50 portraits).
_CATCH_LIGHT: Final = _Limits(0.66, 10, 0, 1000)
# The iris's way over a corner, in percent of the eye's width (50 portraits).
_CORNER: Final = _Limits(0, 4, 0, 20)
# An eye's width in the outermost frames against the painting (50 portraits).
_WIDTH: Final = _Limits(0.92, 1.08, 0.7, 1.4)
# The way of the nose's tip against that of bridge and lip (50 portraits).
_NOSE: Final = _Limits(0.7, 2.5, 0.3, 5)
# A fault that lasts shorter than `LASTING_PART` counts if it exceeds its limit by this factor (50 portraits).
_BEYOND: Final = 1.5
# From this many faults in each eye and this many doubts on, a sitter needs another picture; a short range is
# no doubt about the eyes (by eye).
_MANY: Final = 2
# Doubts that show in no frame, or that are measured in the frames themselves.
_REMARKS: Final = (SOFT_EYES, UNSURE_IRISES, FAINT_IRISES)
# Names in the JSON of the figures of which the worst frame is told.
_WORST: Final = {
    "ghost_rim": "rims",
    "limbus_arc": "arcs",
    "hard_edge": "edges",
    "white_level": "levels",
    "cut_iris": "cuts",
    "catch_light": "lights",
    "over_corner": "corners",
}
# A step between frames made elsewhere is a jump from this many times their median on (by eye).
_JUMP: Final = 2.0
# The reason to look at a pack whose frames were made elsewhere.
MADE_ELSEWHERE: Final = (
    "the frames were made elsewhere: only their range and their steps are measured; eyes, white, head and "
    "nose are not, so look at all frames on the contact sheet"
)
_SIDES: Final = ("left", "right")  # names of the two eyes in reasons
# Advice about a portrait that cannot hang, ...
_NEEDS: Final = (
    "use a picture in which both irises are seen whole and sharp, with white on both sides, in even light"
)
# ... and about one of several sitters that cannot.
_ALONE: Final = "or choose one of the sitters with --face N: the others rest then"


class _Fault(NamedTuple):
    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict and its reasons, one sentence each: the frames first, then what is visible in them.

    `remarks` are what a curator should know, but no reason to look: a small original, a short range.
    """

    kind: VerdictKind
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 for *use another picture*, else 0."""
        return int(self.kind == "another")

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values: `verdict` ("hang", "look" or "another"), `reasons` and `remarks`."""
        return {"verdict": self.kind, "reasons": list(self.reasons), "remarks": list(self.remarks)}

    def lines(self) -> list[str]:
        """Return the verdict as lines for a curator."""
        remarks = [f"  remark: {remark}" for remark in self.remarks]
        return [f"verdict: {VERDICT_WORDS[self.kind]}", *(f"  {reason}" for reason in self.reasons), *remarks]


def judge_portrait(figures: PortraitFigures, doubts: Iterable[str] = ()) -> Verdict:
    """Judge a portrait by its level row. `doubts` say what else makes it doubtful, a sentence each."""
    doubts = list(doubts)
    first, second = (_of_eye(figures, eye) for eye in (0, 1))
    faults = [*first, *second, *_of_head(figures), *_of_range(figures.angles, doubts)]
    known = (*_REMARKS, *([] if _is_lopsided(figures.angles) else [GAZE_RANGE]))
    remarks = tuple(doubt for doubt in doubts if doubt.startswith(known))
    reasons = (*(fault.text for fault in faults), *(doubt for doubt in doubts if doubt not in remarks))
    unsure = [doubt for doubt in doubts if not doubt.startswith(GAZE_RANGE)]
    if min(len(first), len(second), len(unsure)) >= _MANY or any(fault.bad for fault in faults):
        return Verdict("another", (*reasons, _NEEDS), remarks)
    return Verdict("look" if reasons else "hang", reasons, remarks)


def judge_frame_steps(angles: tuple[float, ...], steps: Sequence[float]) -> Verdict:
    """Judge frames that were made elsewhere, whose eyes and head no plan of ours describes: always "look".

    `angles` is the gaze of each frame, in degrees. `steps` is how much each frame differs from the one before
    it, a mean over the patch in grey levels.
    """
    usual = max(float(np.median(steps)), 1e-6)
    jumps = [
        f"frames {i} to {i + 1}: the picture jumps, by {step / usual:.1f} times the usual step"
        for i, step in enumerate(steps)
        if step > _JUMP * usual
    ]
    wanting = [fault.text for fault in _of_range((angles[0], angles[-1]), [])]
    return Verdict("look", (*jumps, *wanting, MADE_ELSEWHERE))


def add_row_faults(level: Verdict, rows: Mapping[str, PortraitFigures]) -> Verdict:
    """Return the verdict on a grid: that on its level row, and the faults of the eyes in other rows.

    `rows` has the figures of those by the row's name.
    """
    reasons, kind = [reason for reason in level.reasons if reason != _NEEDS], level.kind
    for name, figures in rows.items():
        faults = [fault for eye in (0, 1) for fault in _of_eye(figures, eye)]
        reasons += [f"{name}: {fault.text}" for fault in faults]
        if kind == "hang" and faults:
            kind = "look"
        if any(fault.bad for fault in faults):
            kind = "another"
    return replace(level, kind=kind, reasons=(*reasons, *([_NEEDS] if kind == "another" else [])))


def combine_verdicts(verdicts: Mapping[str, Verdict], at_rest: Mapping[str, str] | None = None) -> Verdict:
    """Return the verdict on a portrait of several sitters: the worst, each remark with the sitter's name.

    `verdicts` are by the sitters' names; a single one is returned unchanged. `at_rest` says why other faces
    rest, by their names.
    """
    if len(verdicts) == 1 and not at_rest:
        return next(iter(verdicts.values()))
    kinds = [verdict.kind for verdict in verdicts.values()]
    reasons = [f"{name}: {reason}" for name, verdict in verdicts.items() for reason in verdict.reasons]
    reasons += [f"{name} {reason}" for name, reason in (at_rest or {}).items()]
    remarks = tuple(f"{name}: {remark}" for name, verdict in verdicts.items() for remark in verdict.remarks)
    kind = max(kinds, key=list(VERDICT_WORDS).index)
    if kind == "another" and len(verdicts) > 1:
        reasons.append(_ALONE)
    return Verdict(kind, tuple(reasons), remarks)


def figures_as_json(figures: PortraitFigures) -> dict[str, Any]:
    """Return the figures as plain numbers.

    Of rims, arcs, edges, white levels, cuts, irises over corners and catch-lights: each eye's worst frame,
    and its number. Of the uncovered white: the least and the greatest value, None where no frame can be
    compared.
    """
    out: dict[str, Any] = {"contrast": [round(contrast, 1) for contrast in figures.contrasts]}
    for name, key in _WORST.items():
        values = getattr(figures, key)
        frames = abs(values - (key in ("levels", "lights"))).argmax(1)
        out[name] = values[[0, 1], frames].round(3).tolist()
        out[f"{name}_frame"] = frames.tolist()
    for key in ("light", "seen", "hue", "grain"):
        ranges = [[getattr(white, key) for white in eye if white] for eye in figures.whites]
        out[f"white_{key}"] = [[round(min(r), 2), round(max(r), 2)] if r else None for r in ranges]
    out["eye_width"] = figures.widths.round(3).tolist()
    out["nose_way"] = round(figures.nose, 2)
    return out


def _of_eye(figures: PortraitFigures, number: int) -> list[_Fault]:
    """Return the faults of the eye at picture left (0) or right (1)."""
    eye, whites = f"the eye at picture {_SIDES[number]}", figures.whites[number]
    white = f"the uncovered white of {eye}"
    rim = _RIM._replace(high=max(_RIM.high, _RIM_OF_CONTRAST * figures.contrasts[number]))
    arc = _ARC._replace(high=max(_ARC.high, _ARC_OF_CONTRAST * figures.contrasts[number]))
    light, hue, grain = (
        [getattr(frame, name) if frame else usual for frame in whites]
        for name, usual in (("seen", 1.0), ("hue", 0.0), ("grain", 1.0))
    )
    level, catch_light = figures.levels[number], figures.lights[number]
    cut, over = 100 * figures.cuts[number], 100 * figures.corners[number]
    row = max(round(LASTING_PART * figures.rims.shape[1]), 1)
    found: list[tuple[Sequence[float] | Array, _Limits, str]] = [
        (figures.rims[number], rim, f"an old rim or edge stays in {eye} ({{:.0f}} grey levels)"),
        (figures.arcs[number], arc, f"an arc lies beside the iris of {eye} ({{:.0f}} grey levels)"),
        (figures.edges[number], _EDGE, f"hard edges lie around {white} ({{:.0f}} grey levels)"),
        (light, _LIGHT, f"{white} is {{:.2f}} times as bright as the white beside it"),
        (level, _LEVEL, f"the white of {eye} is {{:.2f}} times as bright as any painted on that side"),
        (hue, _HUE, f"{white} is of another colour than the white beside it (by {{:.0f}} grey levels)"),
        (grain, _GRAIN, f"{white} has {{:.1f}} times the grain of the white beside it"),
        (cut, _CUT, f"the iris of {eye} is cut: {{:.0f}} % of its outer half is missing"),
        (catch_light, _CATCH_LIGHT, f"the catch-light of {eye} is {{:.2f}} times as bright as painted"),
        (over, _CORNER, f"the iris of {eye} slides over a corner by {{:.0f}} % of the eye's width"),
    ]
    return [fault for each in found for fault in _outside(*each, row, figures.step)]


def _of_head(figures: PortraitFigures) -> list[_Fault]:
    faults = []
    row = np.ones(figures.rims.shape[1])  # only the outermost frames are measured
    for side, widths in zip(_SIDES, figures.widths, strict=True):
        row[[0, -1]] = widths
        faults += _outside(row, _WIDTH, f"the eye at picture {side} is {{:.2f}} times as wide as painted")
    row[[0, -1]] = figures.nose
    return faults + _outside(row, _NOSE, "the nose bends: its tip goes {:.2f} times as far as bridge and lip")


def _of_range(angles: tuple[float, float], doubts: list[str]) -> list[_Fault]:
    """Return what is wrong with the range, unless a doubt tells it with more detail."""
    sides = -angles[0], angles[1]
    goes = f"{GAZE_RANGE} from {angles[0]:.0f} to {angles[1]:.0f} degrees"
    if min(sides) < MIN_RANGE - 0.01:
        least = f"expected at least {MIN_RANGE:.0f} degrees to either side of a viewer in front"
        return [_Fault(f"{goes}; {least}", bad=True)]
    if _is_lopsided(angles) and not any(doubt.startswith(GAZE_RANGE) for doubt in doubts):
        return [_Fault(f"{goes}; expected one side at most {MAX_LOPSIDED} times the other")]
    return []


def _is_lopsided(angles: tuple[float, float]) -> bool:
    sides = -angles[0], angles[1]
    return max(sides) > MAX_LOPSIDED * min(sides) + 0.1


def _outside(
    values: Sequence[float] | Array, limits: _Limits, text: str, lasts: int = 1, step: int = 1
) -> list[_Fault]:
    """Return one fault if values of the frames lie outside the limits, else none.

    `text` says what is visible, with `{}` for the worst value. `lasts` frames in a row make a fault; one
    frame does if it is far beyond the limit. `step` is the number of columns from one frame to the next:
    frames are named by their columns.
    """
    row = np.asarray(values)
    frames = np.flatnonzero((row < limits.low) | (row > limits.high))
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    far = (row * _BEYOND < limits.low) | (row > _BEYOND * limits.high)
    runs = [run for run in runs if len(run) and (len(run) >= lasts or far[run].any())]
    if not runs:
        return []
    far_off = row[np.concatenate(runs)]
    lowest, highest = float(far_off.min()), float(far_off.max())
    worst = lowest if limits.low - lowest > highest - limits.high else highest
    named = _named([step * run for run in runs])
    return [_Fault(f"{named}: {text.format(worst)}", not limits.least <= worst <= limits.most)]


def _named(runs: list[NDArray[np.intp]]) -> str:
    """Return frames in words: "frame 3", "frames 0 to 4 and 30 to 32"."""
    words = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    listed = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"frame{'s' if sum(map(len, runs)) > 1 else ''} {listed}"


class FrameExaminer:
    """Keeps what the measures need of a sitter's frames while they pass through, and judges them."""

    def __init__(self, sitter: PreparedSitter, grid: FrameGrid) -> None:
        self._sitter, self._grid = sitter, grid
        level, last = grid.resting[0], len(grid.pitches) - 1
        self._recorders = {row: EyeRecorder(sitter, grid.box, row) for row in sorted({0, level, last})}

    def pass_through(self, patches: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Yield the patches as they come."""
        for recorder in self._recorders.values():
            patches = recorder.pass_through(patches)
        yield from patches

    def figures(self) -> tuple[PortraitFigures, dict[str, PortraitFigures]]:
        """Return the figures of the level row, and those of the other rows by their names.

        To be asked once, when all patches have passed: what was kept is large and is released.
        """
        recorders, self._recorders = self._recorders, {}
        level_row, grid = self._grid.resting[0], self._grid
        head = measure_head(self._sitter, grid.box, recorders[level_row].ends)
        found = {row: measure_frames_of_row(kept, head, grid.angles) for row, kept in recorders.items()}
        level = found.pop(level_row)
        return level, {self._name(row): figures for row, figures in found.items()}

    def verdict(self) -> Verdict:
        """Return the verdict; to be asked once, like `figures`."""
        level, rows = self.figures()
        return add_row_faults(judge_portrait(level, self._sitter.doubts), rows)

    def _name(self, row: int) -> str:
        pitch = self._grid.pitches[row]
        return f"row {row}, looking {'up' if pitch > 0 else 'down'} {abs(pitch):.0f} degrees"
