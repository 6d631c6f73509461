"""Chooses the viewer: one person at a time; with sharing, people who stop take turns."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from appliance.config import TrackingConfig
from appliance.tracking.tracker import Track

# Pace above which a person walks, face widths (150 mm) per second (films: standing people stay below 1).
_WALKS: Final = 1.0
# Seconds since the last step within which a person still walks (a step takes half a second).
_STEPPED: Final = 0.7
# Seconds after the first face in which others may simply not have been seen yet: once round the room.
_SURVEY: Final = 0.7
# How many times nearer a face must be to take the gaze during the survey.
_NEARER: Final = 1.2
# Fewer sightings than this may be clothes taken for a face.
_SEEN: Final = 3
# Seconds in which a person who was just found may show that they are alive, before others may win by that.
_SHOWS: Final = 2.5
# Seconds since a step within which a newcomer takes the gaze from a face that has shown no life.
_MOVED_LATELY: Final = 1.0
# Seconds that the gaze waits for a viewer who is not found while somebody else is in view (guess: a blink
# of the detector lasts .2).
_PATIENCE: Final = 0.4
# Fraction of the nearest face's width from which on a face is as near: measurements differ by a tenth.
_EQUAL: Final = 0.85
# Seconds unseen for which a standing person is sure to be there still.
_SURE: Final = 2.0
# Seconds unseen for which a walking person is sure to be near their expected place.
_SURE_WALKING: Final = 0.5
# A walker who leaves the picture within this many seconds is chosen last.
_LEAVES: Final = 1.0
# A viewer who leaves the picture within this many seconds gives the gaze to somebody who stays.
_GOES: Final = 0.1
# How many people share the gaze (asked for: up to four).
_SHARERS: Final = 4
# Smallest face that shares it, as a fraction of the picture's width: a person 4 m away does (66 degrees).
_REACH: Final = 0.028
# Seconds of a look, by the number of people who share the gaze: four looks fit into 15 s.
_LOOKS: Final = {2: 6.0, 3: 5.0, 4: 4.0}
# Seconds of a look while somebody waits for their first one, or too long: three of them fit into 8 s.
_FIRST_LOOKS: Final = 2.3
# Seconds after their last step for which a person is new, and gets longer looks.
_NEW: Final = 20.0
# How much longer the looks of new people and of the nearest are; those of the farthest are shorter by it.
_LONGER: Final = 1.15
# Seconds within which everybody gets a look (asked for: 15).
_ROUND: Final = 15.0
# Seconds since their last look at which somebody is late for the next one, so that it comes in time.
_LATE: Final = 12.0
# Turns end only while there were fewer changes of viewer than this within `_CHANGES_TIME` seconds: 15 a
# minute (asked for: fewer than 20).
_CHANGES: Final = 3
_CHANGES_TIME: Final = 12.5


class Attention:
    """Chooses the viewer from picture to picture.

    `viewer` is the track looked at, `since` the moment at which this look began, `arrived` the moment at
    which the room stopped being empty; seconds on the monotonic clock.
    """

    def __init__(self, tracking: TrackingConfig) -> None:
        """Begin with nobody."""
        self.viewer: Track | None = None
        self.since = self.arrived = -math.inf
        self._tracking = tracking
        self._changes: deque[float] = deque(maxlen=_CHANGES)
        self._width = math.inf

    def surveying(self, moment: float) -> bool:
        """Tell whether somebody was found only just now, so that others may be in view unseen."""
        return moment - self.arrived < _SURVEY

    def choose(self, tracks: Sequence[Track], moment: float, width: float) -> Track | None:
        """Return the viewer among the confirmed tracks of a picture `width` pixels wide, or None.

        A lost viewer is waited for during `hold` seconds, or `_PATIENCE` if somebody else is in view.
        """
        before, self._width = self.viewer, width
        chosen = self._chosen(tracks, moment)
        if chosen is not self.viewer:
            self.since = moment
            if before is None:
                self.arrived = moment
            elif chosen is not None:
                self._changes.append(moment)
        self.viewer = chosen
        if chosen is not None and not chosen.misses:
            chosen.looked_at = moment
        return chosen

    def _chosen(self, tracks: Sequence[Track], moment: float) -> Track | None:
        viewer = self.viewer
        if viewer is not None and viewer not in tracks:
            heir = next((track for track in tracks if track.identity == viewer.identity), None)
            self.viewer = viewer = heir  # the track was joined with a newer one
        others = [track for track in tracks if track is not viewer and self._is_there(track, moment)]
        patience = min(_PATIENCE if others else math.inf, self._tracking.hold)
        if viewer is None or moment - max(viewer.seen, self.since) > patience:
            return self._next(others, moment)
        if livelier := [track for track in others if self._is_livelier(track, viewer, moment)]:
            return self._best(livelier, moment)
        if self.surveying(moment):
            return max(
                (track for track in others if track.width > _NEARER * viewer.width),
                key=lambda track: track.width,
                default=viewer,
            )
        if moment - self.since < self._tracking.dwell:
            return viewer
        if not self._stays(viewer, moment, _GOES) and any(self._stays(t, moment, _LEAVES) for t in others):
            return self._next(others, moment)
        winners = [track for track in others if self._wins(track, viewer, moment)]
        if winners:
            return max(winners, key=lambda track: track.width)
        return self._shared(viewer, others, moment) if self._tracking.share else viewer

    def _is_there(self, track: Track, moment: float) -> bool:
        """Tell whether a person not looked at just now is sure to be in the picture."""
        unseen = moment - track.seen
        lately = unseen < (_SURE_WALKING if track.pace > _WALKS else _SURE)
        return lately and not track.misses and 0 < track.at(moment)[0] < self._width

    def _next(self, tracks: Sequence[Track], moment: float) -> Track | None:
        """Return who is looked at when nobody is: with sharing somebody who stands and waits."""
        if self._tracking.share:
            standing = [track for track in tracks if stands(track)]
            tracks = (
                [track for track in standing if not self._had_a_look(track, moment)] or standing or tracks
            )
        return self._best(tracks, moment)

    def _best(self, tracks: Sequence[Track], moment: float) -> Track | None:
        """Return the nearest living face that stays in the picture, or the nearest face."""

        def rank(track: Track) -> tuple[bool, bool, float]:
            return track.life.alive(moment), self._stays(track, moment, _LEAVES), track.width

        best = max(tracks, key=rank, default=None)
        if best is None:
            return None
        # Of people about as near, the one nearest the middle: the eyes have the shortest way.
        equals = [t for t in tracks if rank(t)[:2] == rank(best)[:2] and t.width > _EQUAL * best.width]
        return min(equals, key=lambda track: abs(track.x - self._width / 2))

    def _stays(self, track: Track, moment: float, seconds: float) -> bool:
        """Tell whether a person will still be in the picture after some seconds."""
        return 0 < track.at(moment)[0] + seconds * track.vx < self._width

    def _is_livelier(self, other: Track, viewer: Track, moment: float) -> bool:
        """Tell whether a face takes the gaze from one that has shown no life: at once if it moves."""
        if viewer.life.alive(moment) or moment - viewer.first < _SHOWS:
            return False
        moves = moment - other.life.walked < _MOVED_LATELY
        return moves or (other.life.alive(moment) and viewer.life.suspect(moment))

    def _wins(self, other: Track, viewer: Track, moment: float) -> bool:
        """Tell whether another person takes the gaze from the viewer."""
        nearer = other.width / viewer.width
        if viewer.life.alive(moment) and not other.life.alive(moment):
            return False  # It may be a picture on the wall.
        if _walks(viewer) and self._bores(other, moment):
            return False  # We have just left this standing person for the walking one.
        # A passer-by must be nearer, by that ratio squared, because they are gone in a moment.
        known = other.hits > _SEEN and moment - other.first > 0.5
        if known and other.sharp and nearer > self._tracking.stickiness ** (1 if stands(other) else 2):
            return not (self._tracking.share and stands(viewer) and self._had_a_look(other, moment))
        if not self._bores(viewer, moment) or self._tracking.share:
            return False
        # Someone who arrived after we chose the viewer, and stands nearer, gets one turn. The viewer does
        # not get the gaze back, because they are not new.
        return known and (nearer > 0.5 if _walks(other) else nearer > 1 and other.first > self.since)

    def _shared(self, viewer: Track, others: Sequence[Track], moment: float) -> Track:
        """Return whose turn it is among the people who stopped in reach."""
        standing = sorted((t for t in others if stands(t)), key=lambda t: -t.width)
        waiting = [track for track in standing if track.width > _REACH * self._width][: _SHARERS - 1]
        if not waiting:
            return viewer
        late = [track for track in waiting if moment - track.looked_at > _LATE]
        if late:
            length = _FIRST_LOOKS
        else:
            length = _LOOKS[len(waiting) + 1]
            mean = math.sqrt(viewer.width / (sum(t.width for t in waiting) / len(waiting)))
            length *= min(max(mean, 1 / _LONGER), _LONGER)
            length *= _LONGER if moment - viewer.still_since < _NEW else 1.0
        busy = len(self._changes) == _CHANGES and moment - self._changes[0] < _CHANGES_TIME
        if busy or moment - self.since < length:
            return viewer
        return min(late or waiting, key=lambda track: (track.looked_at, track.still_since))

    def _had_a_look(self, track: Track, moment: float) -> bool:
        """Tell whether a person was looked at within the last round of looks."""
        return moment - track.looked_at < _ROUND

    def _bores(self, track: Track, moment: float) -> bool:
        """Tell whether somebody has stood still for so long that a walking person is more worth a look."""
        return moment - track.still_since > self._tracking.attention


def stands(track: Track) -> bool:
    """Tell whether a person stands, as far as was seen: people not looked at are seen rarely."""
    return track.seen - track.still_since > _STEPPED


def _walks(track: Track) -> bool:
    return track.pace > _WALKS and not stands(track)
