"""What a curator should do with a portrait: hang it, look at some frames first, or use another picture."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from appliance.portrait.measures import Figures, White
from appliance.portrait.plan import EVEN, REACH
from appliance.portrait.sampling import Array

Kind = Literal["hang", "look", "another"]
WORDS: Final[dict[Kind, str]] = {
    "hang": "hang it",
    "look": "look at these frames first",
    "another": "use another picture",
}


class _Limits(NamedTuple):
    """From `low` to `high` nothing is seen; below `least` and above `most` a portrait cannot hang."""

    low: float
    high: float
    least: float
    most: float


# All limits were judged on the enlarged eyes of 35 portraits, drawn by two versions of the engine.
# An old rim, an arc beside the iris and an edge around the uncovered white, in grey levels.
_RIM: Final = _Limits(0, 14, 0, 80)
_ARC: Final = _Limits(0, 13, 0, 80)
_EDGE: Final = _Limits(0, 10, 0, 80)
# The uncovered white's brightness against that beside it, if they differ by this many grey levels: 1.25
# is still good, and a render and its evaluation differ by 0.03.
_LIGHT: Final = _Limits(0.75, 1.28, 0.33, 3)
_DIFFERENCE: Final = 8.0
# Its grain against that beside it: too smooth or too loud, but no reason not to hang it.
_GRAIN: Final = _Limits(0.35, 2, 0, 1000)
# What is missing of the moved iris's radius, in percent.
_CUT: Final = _Limits(0, 7, 0, 25)
# An eye's width in the outermost frames against the painting.
_WIDTH: Final = _Limits(0.88, 1.12, 0.7, 1.4)
# The way of the nose's tip against that of bridge and lip.
_NOSE: Final = _Limits(0.7, 2.5, 0.3, 5)
# From this many faults in each eye and this many doubts on, a sitter needs another picture; a short range
# is no doubt about the eyes.
_MANY: Final = 2
_RANGE: Final = "the gaze goes"
_SIDES: Final = ("left", "right")
_NEEDS: Final = (
    "use a picture in which both irises are seen whole and sharp, with white on both sides, in even light"
)
_ALONE: Final = "or choose one of the sitters with --face N: the others rest then"


class _Fault(NamedTuple):
    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict and its reasons, one sentence each: the frames first, then what is seen in them."""

    kind: Kind
    reasons: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 for *use another picture*, else 0."""
        return int(self.kind == "another")

    def lines(self) -> list[str]:
        """Return the verdict as lines for a curator."""
        return [f"verdict: {WORDS[self.kind]}", *(f"  {reason}" for reason in self.reasons)]


def judge(figures: Figures, doubts: Iterable[str] = ()) -> Verdict:
    """Judge a portrait.

    Parameters
    ----------
    doubts : what else makes it doubtful; a sentence each
    """
    doubts = list(doubts)
    first, second = (_of_eye(figures, eye) for eye in (0, 1))
    faults = [*first, *second, *_of_head(figures), *_of_range(figures.angles, doubts)]
    reasons = (*(fault.text for fault in faults), *doubts)
    unsure = [doubt for doubt in doubts if not doubt.startswith(_RANGE)]
    if min(len(first), len(second), len(unsure)) >= _MANY or any(fault.bad for fault in faults):
        return Verdict("another", (*reasons, _NEEDS))
    return Verdict("look" if reasons else "hang", reasons)


def with_rows(level: Verdict, rows: Mapping[str, Figures]) -> Verdict:
    """Return the verdict on a grid: that on its level row, and what is seen in the eyes in other rows.

    Parameters
    ----------
    rows : measures by the row's name; the frames in the reasons are counted along the row
    """
    found = {
        name: judge(replace(figures, widths=np.ones((2, 2)), nose=1.0)) for name, figures in rows.items()
    }
    kind = max([level.kind, *(verdict.kind for verdict in found.values())], key=list(WORDS).index)
    known = {*level.reasons, _NEEDS}
    reasons = [reason for reason in level.reasons if reason != _NEEDS]
    reasons += [f"{n}: {r}" for n, verdict in found.items() for r in verdict.reasons if r not in known]
    return replace(level, kind=kind, reasons=(*reasons, *([_NEEDS] if kind == "another" else [])))


def together(verdicts: Mapping[str, Verdict], resting: Mapping[str, str] | None = None) -> Verdict:
    """Return the verdict on a portrait of several sitters: the worst, each remark with the sitter's name.

    Parameters
    ----------
    verdicts : by the sitters' names; one alone is returned as it is
    resting : by their names, why others rest
    """
    if len(verdicts) == 1 and not resting:
        return next(iter(verdicts.values()))
    kinds = [verdict.kind for verdict in verdicts.values()]
    reasons = [f"{name}: {reason}" for name, verdict in verdicts.items() for reason in verdict.reasons]
    reasons += [f"{name} {reason}" for name, reason in (resting or {}).items()]
    kind = max(kinds, key=list(WORDS).index)
    if kind == "another" and len(verdicts) > 1:
        reasons.append(_ALONE)
    return Verdict(kind, tuple(reasons))


def figures_as_json(figures: Figures) -> dict[str, Any]:
    """Return the measures as plain numbers.

    Of rims, arcs, edges and cuts each eye's worst frame, and which one that is; of the uncovered
    white its least and its greatest ratio, None where it can be compared in no frame.
    """
    out: dict[str, Any] = {}
    worst = ("ghost_rim", "rims"), ("limbus_arc", "arcs"), ("hard_edge", "edges"), ("cut_iris", "cuts")
    for name, key in worst:
        values = getattr(figures, key)
        out[name] = values.max(1).round(3).tolist()
        out[f"{name}_frame"] = values.argmax(1).tolist()
    for key in ("light", "grain"):
        ranges = [[getattr(white, key) for white in eye if white] for eye in figures.whites]
        out[f"white_{key}"] = [[round(min(r), 2), round(max(r), 2)] if r else None for r in ranges]
    out["eye_width"] = figures.widths.round(3).tolist()
    out["nose_way"] = round(figures.nose, 2)
    return out


def _of_eye(figures: Figures, number: int) -> list[_Fault]:
    """Return what is seen in the eye at picture left (0) or right (1)."""
    eye, whites = f"the eye at picture {_SIDES[number]}", figures.whites[number]
    white = f"the uncovered white of {eye}"
    return [
        *_outside(figures.rims[number], _RIM, f"an old rim or edge stays in {eye} ({{:.0f}} grey levels)"),
        *_outside(figures.arcs[number], _ARC, f"an arc lies beside the iris of {eye} ({{:.0f}} grey levels)"),
        *_outside(figures.edges[number], _EDGE, f"hard edges lie around {white} ({{:.0f}} grey levels)"),
        *_outside(_lights(whites), _LIGHT, f"{white} is {{:.2f}} times as bright as the white beside it"),
        *_outside(
            [w.grain if w else 1.0 for w in whites],
            _GRAIN,
            f"{white} has {{:.1f}} times the grain of the white beside it",
        ),
        *_outside(
            100 * figures.cuts[number], _CUT, f"the iris of {eye} is cut: {{:.0f}} % of its radius is missing"
        ),
    ]


def _lights(whites: list[White | None]) -> list[float]:
    return [w.light if w and abs(w.difference) > _DIFFERENCE else 1.0 for w in whites]


def _of_head(figures: Figures) -> list[_Fault]:
    frames = figures.rims.shape[1]
    faults = []
    for side, widths in zip(_SIDES, figures.widths.tolist(), strict=True):
        text = f"the eye at picture {side} is {{:.2f}} times as wide as painted"
        faults += _outside(_at_ends(widths, frames), _WIDTH, text)
    text = "the nose bends: its tip goes {:.2f} times as far as bridge and lip"
    return faults + _outside(_at_ends([figures.nose] * 2, frames), _NOSE, text)


def _at_ends(values: Sequence[float], frames: int) -> Array:
    """Return 1 for all frames but the first and the last."""
    row = np.ones(frames)
    row[[0, -1]] = values
    return row


def _of_range(angles: tuple[float, float], doubts: list[str]) -> list[_Fault]:
    """Return what is wrong with the range, unless a doubt tells it with more detail."""
    sides = -angles[0], angles[1]
    goes = f"{_RANGE} from {angles[0]:.0f} to {angles[1]:.0f} degrees"
    if min(sides) < REACH - 0.01:
        return [
            _Fault(f"{goes}; expected at least {REACH:.0f} degrees to either side of a viewer in front", True)
        ]
    if max(sides) > EVEN * min(sides) + 0.1 and not any(doubt.startswith(_RANGE) for doubt in doubts):
        return [_Fault(f"{goes}; expected one side at most {EVEN} times the other")]
    return []


def _outside(values: Sequence[float] | Array, limits: _Limits, text: str) -> list[_Fault]:
    """Return one fault if values of the frames lie outside the limits, else none.

    Parameters
    ----------
    text : what is seen, with `{}` for the worst value
    """
    row = np.asarray(values)
    frames = np.flatnonzero((row < limits.low) | (row > limits.high))
    if not len(frames):
        return []
    lowest, highest = float(row.min()), float(row.max())
    worst = lowest if limits.low - lowest > highest - limits.high else highest
    return [
        _Fault(f"{_named(frames.tolist())}: {text.format(worst)}", not limits.least <= worst <= limits.most)
    ]


def _named(frames: list[int]) -> str:
    """Return frames in words: "frame 3", "frames 0 to 4 and 30 to 32"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    words = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    listed = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"frame{'s' if len(frames) > 1 else ''} {listed}"
