"""What a curator should do with a portrait: hang it, look at some frames first, or use another picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from appliance.portrait.measures import Figures
from appliance.portrait.plan import REACH
from appliance.portrait.sampling import Array

Kind = Literal["hang", "look", "another"]
WORDS: Final[dict[Kind, str]] = {
    "hang": "hang it",
    "look": "look at these frames first",
    "another": "use another picture",
}
# Limits, judged on the enlarged eyes of 35 portraits: what is within the first pair (least, most) nobody
# notices, and what is outside the second nobody should hang.
# An old rim's jump, in grey levels.
_RIM: Final = (0.0, 14.0), (0.0, 60.0)
# An arc beside the moved iris, in grey levels.
_ARC: Final = (0.0, 13.0), (0.0, 60.0)
# The uncovered white against the white beside it; it must also differ by so many grey levels.
_LIGHT: Final = (0.75, 1.3), (0.45, 2.0)
_DIFFERENCE: Final = 8.0
# Its detail against the white's beside it.
_DETAIL: Final = (0.35, 2.0), (0.0, 99.0)
# What is missing of the moved iris's radius, in percent.
_CUT: Final = (0.0, 7.0), (0.0, 25.0)
# An eye's width in the outermost frames against the painting.
_WIDTH: Final = (0.88, 1.12), (0.7, 1.4)
# The way of the nose's tip against that of bridge and lip.
_NOSE: Final = (0.7, 2.5), (0.3, 5.0)
_SIDES: Final = ("left", "right")
_NEEDS: Final = (
    "use a picture in which both irises are seen whole and sharp, with white on both sides, in even light"
)

Limits = tuple[tuple[float, float], tuple[float, float]]


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
    found = [*_of_eyes(figures), *_of_head(figures)]
    reasons = [reason for reason, _ in found] + list(doubts)
    if any(worse for _, worse in found):
        return Verdict("another", (*reasons, _NEEDS))
    return Verdict("look" if reasons else "hang", tuple(reasons))


def figures_as_json(figures: Figures) -> dict[str, Any]:
    """Return the measures as plain numbers: per eye the worst frame's, and which frame that is."""
    out: dict[str, Any] = {}
    for name, values in (
        ("ghost_rim", figures.rims),
        ("limbus_arc", figures.arcs),
        ("cut_iris", figures.cuts),
    ):
        out[name] = values.max(1).round(3).tolist()
        out[f"{name}_frame"] = values.argmax(1).tolist()
    for name in ("light", "detail"):
        ranges = [[getattr(white, name) for white in eye if white] for eye in figures.whites]
        out[f"white_{name}"] = [[round(min(r), 2), round(max(r), 2)] if r else None for r in ranges]
    out["eye_width"] = figures.widths.round(3).tolist()
    out["nose_way"] = round(figures.nose, 2)
    return out


def _of_eyes(figures: Figures) -> list[tuple[str, bool]]:
    found = []
    eyes = zip(_SIDES, figures.rims, figures.arcs, figures.whites, figures.cuts, strict=True)
    for side, rims, arcs, whites, cuts in eyes:
        eye = f"the eye at picture {side}"
        light = [w.light if w and abs(w.difference) > _DIFFERENCE else 1.0 for w in whites]
        detail = [w.detail if w else 1.0 for w in whites]
        found += [
            *_outside(
                rims, _RIM, f"a rim or a hard edge stays where the iris of {eye} was ({{:.0f}} grey levels)"
            ),
            *_outside(arcs, _ARC, f"an arc lies beside the iris of {eye} ({{:.0f}} grey levels)"),
            *_outside(100 * cuts, _CUT, f"the iris of {eye} is cut off: {{:.0f}} % of its radius is missing"),
            *_outside(
                light, _LIGHT, f"the uncovered white of {eye} is {{:.2f}} times as bright as that beside it"
            ),
            *_outside(
                detail,
                _DETAIL,
                f"the uncovered white of {eye} has {{:.1f}} times the grain of that beside it",
            ),
        ]
    return found


def _of_head(figures: Figures) -> list[tuple[str, bool]]:
    frames = figures.rims.shape[1]
    found = []
    for side, (first, last) in zip(_SIDES, figures.widths.tolist(), strict=True):
        widths = np.ones(frames)
        widths[[0, -1]] = first, last
        found += _outside(widths, _WIDTH, f"the eye at picture {side} is {{:.2f}} times as wide as painted")
    nose = np.ones(frames)
    nose[[0, -1]] = figures.nose
    found += _outside(
        nose, _NOSE, "the nose bends: its tip goes {:.2f} times as far as its bridge and the lip"
    )
    left, right = figures.angles
    if min(-left, right) < REACH - 0.01:
        text = f"the gaze goes from {left:.0f} to {right:.0f} degrees"
        found.append((f"{text}; expected at least {REACH:.0f} to either side of a viewer in front", True))
    return found


def _outside(values: Sequence[float] | Array, limits: Limits, text: str) -> list[tuple[str, bool]]:
    """Return one reason, and whether it is a bad one, if values of the frames lie outside the limits.

    Parameters
    ----------
    text : what is seen, with `{}` for the worst value
    """
    row = np.asarray(values)
    (low, high), (least, most) = limits
    frames = np.flatnonzero((row < low) | (row > high))
    if not len(frames):
        return []
    lowest, highest = float(row.min()), float(row.max())
    worst = lowest if low - lowest > highest - high else highest
    return [(f"{_named(frames.tolist())}: {text.format(worst)}", not least <= worst <= most)]


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
