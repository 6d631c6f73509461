"""A camera in a simulated gallery: photographed people at known positions, which can be asked for."""

from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.camera.base import PicturePacer, RgbPicture, rotate_picture
from appliance.camera.lens import Lens
from appliance.clock import CLOCK, Clock
from appliance.gallery.renderer import GalleryRenderer
from appliance.gallery.walks import VisitorState, WalkScript, load_walk


class GalleryCamera:
    """A `Camera` that sees a walk, again and again.

    A reader faster than `rate` waits; a slower one gets the newest picture, and the numbers in between are
    skipped. Every picture arrives `latency` seconds after its `captured` time, like that of a real sensor.
    """

    def __init__(
        self,
        walk: WalkScript | str | Path,
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
        walk : a script, the name of one of `bundled_walks`, or a TOML file
        width, height : of the pictures, pixels
        rate : pictures per second
        horizontal_fov : degrees across the width; a Camera Module 3 has 66
        latency : seconds from the middle of an exposure to the picture
        pace : whether time is real, on the monotonic clock; otherwise it is virtual, begins at 0, advances
            with every picture read, and no picture is skipped
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
        self.walk = walk if isinstance(walk, WalkScript) else load_walk(walk)
        self._room = GalleryRenderer(self.walk, Lens(width, height, horizontal_fov))
        self._pace = PicturePacer(rate, latency, pace, clock)

    def __enter__(self) -> Self:
        """Start the walk now."""
        self._pace.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing; it can be entered again."""

    def newest(self) -> RgbPicture:
        """Return the newest picture; waits for the next one if it was returned already."""
        number = self._pace.next_number()
        captured = self._pace.captured(number)
        pixels = self._room.draw(captured - self._pace.begun, number)
        self._pace.wait(number)
        return RgbPicture(rotate_picture(pixels, self._rotation), captured, number)

    def set_rate(self, rate: float) -> None:
        """Take `rate` pictures per second from now on."""
        self._pace.set_rate(rate)

    def truth_at(self, moment: float) -> list[VisitorState]:
        """Return everybody's true state at a moment, on the clock of `captured`; empty before the walk."""
        into = moment - self._pace.begun
        return self.walk.people_at(into) if into >= 0 else []

    def followed_at(self, moment: float) -> VisitorState | None:
        """Return whom the sitter should look at; None while no eyes are seen, and before the walk."""
        into = moment - self._pace.begun
        return self.walk.followed_at(into, self._room.lens) if into >= 0 else None
