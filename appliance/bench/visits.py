"""What visitors get from a rule in a scene: error, trembling, and who is looked at when."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Final

import numpy as np

from appliance.bench.peer import Peer
from appliance.bench.rules import (
    DISPLAY,
    LENS,
    REFRESH,
    MedianOfFive,
    Original,
    Ours,
    Rule,
    Shown,
    settings,
    watch,
)
from appliance.bench.walks import Trial
from appliance.camera.walks import Visitor
from appliance.config import GazeConfig
from appliance.gaze.geometry import angle_to, position_of
from appliance.pack import PackInfo
from appliance.tracking.smoothing import settle

# Largest gaze error, in degrees, at which the eyes count as on a person: visitors still feel looked at.
ON: Final = 6.0
# A face counts as in view while so much around its eyes is, in mm: to the sides, and above and below.
_MARGIN: Final = (90.0, 72.0)
# A person slower than this, in mm/s, counts as standing. The eyes come to rest within this many seconds.
_STANDS: Final = 60.0
_SETTLED: Final = 1.5
# A change of frame is a reversal if it goes back on the previous change within this many seconds.
_REVERSAL: Final = 1.0
# Whoever is looked at for a shorter time, in seconds, was only passed over.
_PASSED: Final = 0.25


@dataclass(frozen=True, slots=True)
class Moment:
    """The truth at a refresh: the angle to everybody in view in degrees, who of them stands, whom to follow.

    `wanted` is None where the scene leaves it to the rule, or where that person is not in view.
    """

    angles: Mapping[str, float]
    standing: frozenset[str]
    wanted: str | None


def run_scene(trial: Trial, pack: PackInfo, peer: Peer | None = None) -> dict[str, Any]:
    """Run all rules over a scene; return the figures of each, and the changes that the truth needs."""
    rules: dict[str, Rule] = {"ours": Ours(trial, pack), "original": Original(trial)}
    if peer:
        rules["peer"] = MedianOfFive(trial, peer)
    watch(trial, rules.values())
    refreshes = [k / REFRESH for k in range(int((trial.walk.duration - DISPLAY) * REFRESH))]
    moments = [moment_of(trial, refresh + DISPLAY) for refresh in refreshes]
    row: dict[str, Any] = {"pictures_per_second": trial.rate}
    if not trial.shared:
        needed = figures(moments, _needed(moments, pack), shared=False)
        row["needed_changes_per_second"] = needed["changes_per_second"]
    for name, rule in rules.items():
        row[name] = figures(moments, [rule.shown(refresh) for refresh in refreshes], trial.shared)
    return row


def moment_of(trial: Trial, time: float) -> Moment:
    """Return the truth, `time` seconds after the first picture."""
    living = {person.who for person in trial.walk.people if person.kind == "person"}
    there = [v for v in trial.walk.people_at(time) if v.who in living and _in_view(v)]
    wanted = next((who for begins, who in reversed(trial.walk.follow) if begins <= time), None)
    return Moment(
        {v.who: angle_to(v.x_mm, v.y_mm, v.z_mm, GazeConfig()) for v in there},
        frozenset(v.who for v in there if math.hypot(v.vx_mm_s, v.vz_mm_s) < _STANDS),
        wanted if wanted in {v.who for v in there} else None,
    )


def figures(moments: Sequence[Moment], shown: Sequence[Shown], shared: bool) -> dict[str, Any]:
    """Return the figures of what was shown, in degrees and seconds; None where there are none."""
    targets = [_target(moment, each, shared) for moment, each in zip(moments, shown, strict=True)]
    errors = np.array(
        [
            math.nan if target is None else abs(each.angle - moment.angles[target])
            for moment, each, target in zip(moments, shown, targets, strict=True)
        ]
    )
    on = errors < ON
    counted, rests = ~np.isnan(errors), _rests(moments, targets)
    still = sum(map(len, rests)) / REFRESH
    changes, reversals = trembling([each.frame for each in shown], rests)
    out = {
        "mean_degrees": round(float(errors[counted].mean()), 3) if counted.any() else None,
        f"within_{ON:g}_degrees": round(float(on[counted].mean()), 4) if counted.any() else None,
        "changes_per_second": round(changes / still, 3) if still > 1 else None,
        "reversals_per_second": round(reversals / still, 3) if still > 1 else None,
    }
    if not shared:
        return out | {"acquire_seconds": _acquired(targets, on.tolist())}
    return out | _turns(moments, [who if hit else None for who, hit in zip(targets, on, strict=True)])


def _turns(moments: Sequence[Moment], looks: Sequence[str | None]) -> dict[str, Any]:
    """Return how the looks were shared: seconds from somebody's coming to the first, and without any."""
    first, longest = {}, 0
    for who in dict.fromkeys(who for moment in moments for who in moment.angles):
        here = [look == who for look, moment in zip(looks, moments, strict=True) if who in moment.angles]
        first[who] = round(here.index(True) / REFRESH, 2) if any(here) else None
        longest = max(longest, *(len(list(rows)) * (not looked) for looked, rows in groupby(here)))
    minutes = sum(bool(moment.angles) for moment in moments) / REFRESH / 60
    return {
        "viewer_changes_per_minute": round(viewer_changes(looks) / minutes, 1),
        "first_look_seconds": first,
        "longest_wait_seconds": round(longest / REFRESH, 2),
    }


def trembling(frames: Sequence[int], rests: Sequence[range]) -> tuple[int, int]:
    """Count changes of frame during spans of refreshes, and those that undo the one before too soon."""
    changes = reversals = 0
    for rest in rests:
        steps = [(k, frames[k] - frames[k - 1]) for k in rest[1:] if frames[k] != frames[k - 1]]
        changes += len(steps)
        reversals += sum(
            one * other < 0 and k - before < _REVERSAL * REFRESH
            for (before, one), (k, other) in pairwise(steps)
        )
    return changes, reversals


def viewer_changes(looks: Sequence[str | None]) -> int:
    """Count how often somebody else is looked at for more than a moment; `looks` has a row per refresh."""
    spans = _spans(look for look in looks if look is not None)
    seen = [who for who, span in spans if len(span) > _PASSED * REFRESH]
    return sum(one != other for one, other in pairwise(seen))


def _in_view(visitor: Visitor) -> bool:
    x, y = LENS.project(visitor.x_mm, visitor.y_mm, visitor.z_mm)
    aside, above = (margin * LENS.focal / visitor.z_mm for margin in _MARGIN)
    return aside < x < LENS.width - aside and above < y < LENS.height - above


def _target(moment: Moment, shown: Shown, shared: bool) -> str | None:
    """Return whom the eyes should be on: whom the scene wants, or, shared, whoever is nearest to them."""
    if not shared:
        return moment.wanted
    return min(moment.angles, key=lambda who: abs(moment.angles[who] - shown.angle), default=None)


def _spans(people: Iterable[str | None]) -> Iterator[tuple[str, range]]:
    """Yield who it is for how long: the same person, and the span of rows."""
    begins = 0
    for who, rows in groupby(people):
        ends = begins + len(list(rows))
        if who is not None:
            yield who, range(begins, ends)
        begins = ends


def _rests(moments: Sequence[Moment], targets: Sequence[str | None]) -> list[range]:
    """Return the refreshes at which one target has stood long enough for the eyes to be at rest."""
    pairs = zip(moments, targets, strict=True)
    standing = (target if target in moment.standing else None for moment, target in pairs)
    return [span[round(_SETTLED * REFRESH) :] for _, span in _spans(standing)]


def _acquired(targets: Sequence[str | None], on: Sequence[bool]) -> float | None:
    """Return the longest time from a target's coming until the eyes are on it; None if they never were."""
    longest = 0
    for _, span in _spans(targets):
        first = next((k for k in span if on[k]), None)
        if first is None:
            return None
        longest = max(longest, first - span.start)
    return round(longest / REFRESH, 3)


def _needed(moments: Sequence[Moment], pack: PackInfo) -> list[Shown]:
    """Return what would be shown at the true angles, with the hysteresis of the appliance."""
    frame, shown = pack.main.rest, []
    for moment in moments:
        if moment.wanted is not None:
            position = position_of(moment.angles[moment.wanted], pack.main.angles)
            frame = settle(position, frame, settings().tracking.hysteresis, len(pack.main.angles))
        shown.append(Shown(frame, pack.main.angles[frame]))
    return shown
