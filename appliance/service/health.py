"""How the appliance is: its state out of what is known, and whether the watchdog may be fed."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Longer than any step that is slow but right: opening a camera, loading a model, taking up a portrait.
PATIENCE: Final = 20.0
# Seconds for which pictures may come slowly before that is a fault: a portrait taken up costs less.
SLOW_FOR: Final = 60.0


class State(StrEnum):
    """What visitors meet."""

    STARTING = "starting"  # the portrait is lit or about to be, the camera not open yet
    FOLLOWING = "following"  # the sitter looks at somebody
    ALONE = "alone"  # nobody is in view, the sitter rests
    BLIND = "blind"  # no camera, the sitter rests
    SLOW = "slow"  # so few or so late pictures that the eyes lag behind
    DARK = "dark"  # no display
    CLOSED = "closed"  # black outside opening hours


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at the moment `now`; times are seconds on the monotonic clock.

    `lit` is when a flip last completed, `seen` when the viewer was last seen: -inf for never. `due`
    is when the camera's thread should have come by at the latest. `blind` says why nothing is
    seen, `dark` why there is no display: no fault of one that is `asleep`, sent to standby after hours.
    `visitors` are in view, the one followed at `distance` metres. `camera` is what is seen through;
    `asked` pictures per second are expected of it, 0 while it is not open, and the newest came `delay`
    seconds after its exposure. `frame` and `row` are the column and the row of the frame lit of the sitter
    with the largest face. `slow` says how slowly pictures come, since the moment `slow_since`.
    """

    now: float
    lit: float = -math.inf
    due: float = math.inf
    pictures: int = 0
    seen: float = -math.inf
    blind: str = ""
    dark: str = ""
    asleep: bool = False
    closed: bool = False
    visitors: int = 0
    distance: float | None = None
    frame: int = 0
    row: int = 0
    camera: str = ""
    asked: float = 0.0
    delay: float = 0.0
    slow: str = ""
    slow_since: float = math.inf


def state_of(facts: Facts, hold: float) -> State:
    """Return the state; somebody seen within the last `hold` seconds is still followed."""
    if facts.dark and not facts.asleep:
        return State.DARK
    if facts.closed:
        return State.CLOSED
    if facts.blind:
        return State.BLIND
    if not facts.pictures:
        return State.STARTING
    if facts.slow:
        return State.SLOW
    return State.FOLLOWING if facts.now - facts.seen <= hold else State.ALONE


def healthy(facts: Facts) -> bool:
    """Tell whether nobody need come: opening hours make no difference."""
    dead = facts.dark and not facts.asleep
    return not dead and not facts.blind and facts.now - facts.slow_since <= SLOW_FOR


def cause(facts: Facts) -> str:
    """Return what keeps the sitter from following, empty if nothing does."""
    return ("" if facts.asleep else facts.dark) or facts.blind or facts.slow


def hung(facts: Facts) -> bool:
    """Tell whether the camera's thread is in a call that does not return.

    Nothing in the process can end such a thread; only the process's own end does.
    """
    return facts.now - facts.due > PATIENCE


def may_feed(facts: Facts) -> bool:
    """Tell whether the watchdog may be fed.

    The camera's thread comes by in time: with pictures, or because it knows that there are none. And
    flips complete, or the display is known to be away. Anything else only a restart mends.
    """
    return not hung(facts) and (bool(facts.dark) or facts.now - facts.lit <= PATIENCE)


def sentence(facts: Facts, state: State, rate: float) -> str:
    """Return the state as one line for a person; `rate` in pictures/s."""
    seeing = f"{rate:.1f} pictures/s, frame {facts.frame}, row {facts.row}"
    match state:
        case State.FOLLOWING:
            far = f" at {facts.distance:.1f} m" if facts.distance is not None else ""
            count = max(facts.visitors, 1)
            return f"following 1 of {count} visitor{'s' * (count > 1)}{far}, {seeing}"
        case State.ALONE:
            return f"alone, {seeing}"
        case State.BLIND:
            return f"blind ({facts.blind}); the sitter rests"
        case State.DARK:
            return f"dark ({facts.dark}); waiting for a display"
        case State.SLOW:
            return f"slow ({facts.slow}); the eyes lag behind"
        case State.CLOSED:
            trouble = cause(facts)
            return "closed, the screen is black" + (f"; but {trouble}" if trouble else "")
        case State.STARTING:
            return "starting, the portrait is lit" if facts.lit > -math.inf else "starting"
