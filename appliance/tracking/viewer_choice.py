"""Choose the viewer, the person whom the sitter looks at; with sharing, standing people take turns."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from appliance.config import TrackingConfig
from appliance.tracking.tracker import Track

# Pace from which a person walks, in face widths (150 mm) per second: on the films standing people stay below.
_WALKING_PACE: Final = 1.0
# Time since the last step for which a person still counts as walking, in seconds: a step takes 0.5 s.
_STEP_TIME: Final = 0.7
# Time after the first face until others have been seen too, in seconds: that of one scan of the room.
_SURVEY_TIME: Final = 0.7
# Ratio of widths from which a face takes the gaze within `_SURVEY_TIME` (origin unknown).
_SURVEY_RATIO: Final = 1.2
# A new face takes the gaze only after more sightings than this, because it may be clothes (origin unknown).
_MAX_DOUBTFUL_SIGHTINGS: Final = 3
# Time in which a new viewer must show life, or a livelier face takes the gaze, in seconds (origin unknown).
_LIFE_DEADLINE: Final = 2.5
# A newcomer takes the gaze from a face without life for this time after a step, in seconds (origin unknown).
_RECENT_STEP_TIME: Final = 1.0
# Wait for a missing viewer while others are in view, in seconds (guess: the detector loses faces for 0.2 s).
_MISSING_TIMEOUT: Final = 0.4
# Faces of at least this fraction of the largest width count as equally near: widths vary by a tenth.
_EQUALLY_NEAR: Final = 0.85
# Time unseen for which a standing person is assumed to be in place, in seconds (origin unknown).
_STANDING_MEMORY: Final = 2.0
_WALKING_MEMORY: Final = 0.5  # the same for a walking person, in seconds (origin unknown)
# Of equally living faces one that leaves the picture within this time is chosen last, in s (origin unknown).
_LEAVING_SOON: Final = 1.0
# A viewer who leaves within this time loses the gaze to somebody who stays, in seconds (origin unknown).
_LEAVING_NOW: Final = 0.1
_MAX_SHARERS: Final = 4  # largest number of people who share the gaze (required: four)
# Smallest face that shares the gaze, as a fraction of the picture's width: a person at 4 m (66 degrees).
_SHARING_WIDTH: Final = 0.028
# Duration of a turn in seconds, by the number of people who share the gaze: the fourth begins within 15 s.
_TURN_TIMES: Final = {2: 6.0, 3: 5.0, 4: 4.0}
# Duration of a turn while somebody waits for a first or an overdue turn, in seconds: three fit into 8 s.
_FIRST_TURN_TIME: Final = 2.3
# Time after a person's last step in which their turns are longer, in seconds (origin unknown).
_NEWCOMER_TIME: Final = 20.0
# Factor on the turns of newcomers and of the nearest person, and divisor for the farthest (origin unknown).
_TURN_STRETCH: Final = 1.15
# Everybody who shares the gaze gets a turn within this time, in seconds (required: 15).
_ROUND_TIME: Final = 15.0
# Time since the last turn after which the next one is overdue, in seconds: so that it comes within 15 s.
_OVERDUE_TIME: Final = 12.0
# A turn ends only after fewer changes of viewer than this within `_CHANGES_WINDOW`: 15 a minute (required:
# fewer than 20).
_MAX_CHANGES: Final = 3
_CHANGES_WINDOW: Final = 12.5  # time over which changes of viewer are counted, in seconds


class ViewerSelector:
    """Chooses the viewer from picture to picture.

    `viewer` is the track that the sitter looks at. `since` is when that began and `arrived` when the room
    was last empty and somebody came, both in seconds on the monotonic clock.
    """

    def __init__(self, tracking: TrackingConfig) -> None:
        self.viewer: Track | None = None
        self.since = self.arrived = -math.inf
        self._tracking = tracking
        self._changes: deque[float] = deque(maxlen=_MAX_CHANGES)
        self._width = math.inf

    def is_surveying(self, moment: float) -> bool:
        """Tell whether the first person has just been found, so that others may not have been seen yet."""
        return moment - self.arrived < _SURVEY_TIME

    def choose(self, tracks: Sequence[Track], moment: float, width: float) -> Track | None:
        """Return the viewer among the confirmed tracks of a picture `width` pixels wide, or None.

        The sitter waits `hold` seconds for a lost viewer, or `_MISSING_TIMEOUT` if somebody else is in view.
        """
        before, self._width = self.viewer, width
        chosen = self._select(tracks, moment)
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

    def _select(self, tracks: Sequence[Track], moment: float) -> Track | None:
        viewer = self.viewer
        if viewer is not None and viewer not in tracks:
            heir = next((track for track in tracks if track.identity == viewer.identity), None)
            self.viewer = viewer = heir  # the track was joined with a newer one
        others = [track for track in tracks if track is not viewer and self._is_surely_there(track, moment)]
        patience = min(_MISSING_TIMEOUT if others else math.inf, self._tracking.hold)
        if viewer is None or moment - max(viewer.seen, self.since) > patience:
            return self._select_new(others, moment)
        if livelier := [track for track in others if self._is_livelier(track, viewer, moment)]:
            return self._best(livelier, moment)
        if self.is_surveying(moment):
            wider = (track for track in others if track.width > _SURVEY_RATIO * viewer.width)
            return max(wider, key=lambda track: track.width, default=viewer)
        if moment - self.since < self._tracking.dwell:
            return viewer
        if not self._stays(viewer, moment, _LEAVING_NOW) and any(
            self._stays(t, moment, _LEAVING_SOON) for t in others
        ):
            return self._select_new(others, moment)
        winners = [track for track in others if self._takes_gaze(track, viewer, moment)]
        if winners:
            return max(winners, key=lambda track: track.width)
        return self._whose_turn(viewer, others, moment) if self._tracking.share else viewer

    def _is_surely_there(self, track: Track, moment: float) -> bool:
        """Tell whether a person is surely in the picture, although no region around them was searched now."""
        unseen = moment - track.seen
        lately = unseen < (_WALKING_MEMORY if track.pace > _WALKING_PACE else _STANDING_MEMORY)
        return lately and not track.misses and 0 < track.position_at(moment)[0] < self._width

    def _select_new(self, tracks: Sequence[Track], moment: float) -> Track | None:
        """Return a viewer when there is none: with sharing, a standing person who had no turn lately."""
        if self._tracking.share:
            standing = [track for track in tracks if is_standing(track)]
            tracks = [track for track in standing if not self._had_turn(track, moment)] or standing or tracks
        return self._best(tracks, moment)

    def _best(self, tracks: Sequence[Track], moment: float) -> Track | None:
        """Return the best viewer: living faces come first, then those that stay in view, then the nearest."""

        def rank(track: Track) -> tuple[bool, bool, float]:
            return track.life.is_alive(moment), self._stays(track, moment, _LEAVING_SOON), track.width

        best = max(tracks, key=rank, default=None)
        if best is None:
            return None
        # Of equally near people choose the one nearest the middle, because the eyes then move least.
        equals = [t for t in tracks if rank(t)[:2] == rank(best)[:2] and t.width > _EQUALLY_NEAR * best.width]
        return min(equals, key=lambda track: abs(track.x - self._width / 2))

    def _stays(self, track: Track, moment: float, seconds: float) -> bool:
        """Tell whether a person will still be in the picture after some seconds."""
        return 0 < track.position_at(moment)[0] + seconds * track.vx < self._width

    def _is_livelier(self, other: Track, viewer: Track, moment: float) -> bool:
        """Tell whether another face takes the gaze from a viewer without signs of life."""
        if viewer.life.is_alive(moment) or moment - viewer.first < _LIFE_DEADLINE:
            return False
        moves = moment - other.life.walked < _RECENT_STEP_TIME
        return moves or (other.life.is_alive(moment) and viewer.life.is_suspect(moment))

    def _takes_gaze(self, other: Track, viewer: Track, moment: float) -> bool:
        """Tell whether another person takes the gaze from the viewer, because they are nearer or new."""
        nearer = other.width / viewer.width
        if viewer.life.is_alive(moment) and not other.life.is_alive(moment):
            return False  # It may be a picture on the wall.
        if _is_walking(viewer) and self._has_stood_long(other, moment):
            # The gaze has just gone from the standing person (`other`) to the walking one (`viewer`).
            return False
        # A passer-by must be nearer by that ratio squared, because they leave soon.
        known = other.hits > _MAX_DOUBTFUL_SIGHTINGS and moment - other.first > 0.5
        if known and other.sharp and nearer > self._tracking.stickiness ** (1 if is_standing(other) else 2):
            return not (self._tracking.share and is_standing(viewer) and self._had_turn(other, moment))
        if not self._has_stood_long(viewer, moment) or self._tracking.share:
            return False
        # The viewer has stood for long, so that somebody who walks takes the gaze even at twice the distance.
        # So does somebody who arrived after we chose the viewer, and stands nearer; the viewer does not get
        # the gaze back, because they are not new.
        return known and (nearer > 0.5 if _is_walking(other) else nearer > 1 and other.first > self.since)

    def _whose_turn(self, viewer: Track, others: Sequence[Track], moment: float) -> Track:
        """Return whose turn it is among the standing people who are near enough to share the gaze."""
        standing = sorted((t for t in others if is_standing(t)), key=lambda t: -t.width)
        waiting = [track for track in standing if track.width > _SHARING_WIDTH * self._width]
        waiting = waiting[: _MAX_SHARERS - 1]
        if not waiting:
            return viewer
        late = [track for track in waiting if moment - track.looked_at > _OVERDUE_TIME]
        if late:
            length = _FIRST_TURN_TIME
        else:
            length = _TURN_TIMES[len(waiting) + 1]
            mean = math.sqrt(viewer.width / (sum(t.width for t in waiting) / len(waiting)))
            length *= min(max(mean, 1 / _TURN_STRETCH), _TURN_STRETCH)
            length *= _TURN_STRETCH if moment - viewer.still_since < _NEWCOMER_TIME else 1.0
        busy = len(self._changes) == _MAX_CHANGES and moment - self._changes[0] < _CHANGES_WINDOW
        if busy or moment - self.since < length:
            return viewer
        return min(late or waiting, key=lambda track: (track.looked_at, track.still_since))

    def _had_turn(self, track: Track, moment: float) -> bool:
        """Tell whether the sitter looked at a person within `_ROUND_TIME`."""
        return moment - track.looked_at < _ROUND_TIME

    def _has_stood_long(self, track: Track, moment: float) -> bool:
        """Tell whether a person has stood still for longer than `tracking.attention` seconds."""
        return moment - track.still_since > self._tracking.attention


def is_standing(track: Track) -> bool:
    """Tell whether a person stood when last seen; other people than the viewer are seen rarely."""
    return track.seen - track.still_since > _STEP_TIME


def _is_walking(track: Track) -> bool:
    return track.pace > _WALKING_PACE and not is_standing(track)
