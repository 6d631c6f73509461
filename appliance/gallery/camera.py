"""A camera in a simulated gallery: real photographed faces at known places, with exact truth."""

from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.camera.base import Pace, RgbPicture, turned
from appliance.camera.lens import Lens
from appliance.clock import CLOCK, Clock
from appliance.gallery.room import Room
from appliance.gallery.walks import Visitor, Walk, load_walk


class GalleryCamera:
    """Obeys the `Camera` protocol; what it sees is a walk, over and over.

    Reading faster than `rate` waits; reading more slowly gets the newest picture and skips the
    numbers in between. Every picture arrives `latency` seconds after its `captured` time, as from
    a real sensor and its processing.
    """

    def __init__(
        self,
        walk: Walk | str | Path,
        width: int = 640,
        height: int = 360,
        rate: float = 30.0,
        horizontal_fov: float = 66.0,
        latency: float = 0.06,
        pace: bool = True,
        rotation: int = 0,
        clock: Clock = CLOCK,
    ) -> None:
        """Prepare the room.

        Parameters
        ----------
        walk : who walks where: a script, the name of one of `bundled_walks`, or a TOML file
        width, height : of the pictures, pixels
        rate : pictures per second
        horizontal_fov : degrees across the width; a Camera Module 3 has 66
        latency : seconds from the middle of an exposure to the picture
        pace : in real time on the monotonic clock; if not, time is virtual, begins at 0, passes
            with every picture read, and no picture is dropped
        rotation : degrees by which the pictures are turned, 0 or 180
        clock : what "real time" is

        Raises
        ------
        BadAsset
            If a photograph was not fetched.
        ConfigError
            If there is no such walk, or it is wrong.
        """
        self.horizontal_fov = horizontal_fov
        self.model = ""
        self._rotation = rotation
        self.walk = walk if isinstance(walk, Walk) else load_walk(walk)
        self._room = Room(self.walk, Lens(width, height, horizontal_fov))
        self._pace = Pace(rate, latency, pace, clock)

    def __enter__(self) -> Self:
        """Begin the walk, now."""
        self._pace.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the room; it can be entered again."""

    def newest(self) -> RgbPicture:
        """Return the newest picture; waits for the next one if it was returned already."""
        number = self._pace.next_number()
        captured = self._pace.captured(number)
        pixels = self._room.draw(captured - self._pace.begun, number)
        self._pace.wait(number)
        return RgbPicture(turned(pixels, self._rotation), captured, number)

    def set_rate(self, rate: float) -> None:
        """Take `rate` pictures per second from now on."""
        self._pace.set_rate(rate)

    def truth_at(self, moment: float) -> list[Visitor]:
        """Return who is really where at a moment, on the clock of `captured`; before the walk, nobody."""
        into = moment - self._pace.begun
        return self.walk.people_at(into) if into >= 0 else []

    def followed_at(self, moment: float) -> Visitor | None:
        """Return whom a sitter should look at; None where nobody's eyes are seen, and before the walk."""
        into = moment - self._pace.begun
        return self.walk.followed_at(into, self._room.lens) if into >= 0 else None
