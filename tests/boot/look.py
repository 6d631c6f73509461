"""What is on the screen: frames known by their content, pixel by pixel, and a record second by second."""

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image

from appliance.pack import Pack
from tests.boot.machine import Machine, MachineError

# A monitor without a signal is shown by qemu as a line of words, 16 pixels high, in the middle of a black picture.
NO_SIGNAL: Final = "no signal"
_LINE: Final = 16
BLACK: Final = "black"
UNKNOWN: Final = "unknown"
_SECOND: Final = 1.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a portrait, as it is on the screen."""

    portrait: str
    index: int
    resting: bool

    def __str__(self) -> str:
        return f"{self.portrait} at rest" if self.resting else f"{self.portrait} {self.index:02d}"


Shown = Frame | str


class Eye:
    """Knows every frame of some packs on a screen of their own size; equal means equal in every pixel."""

    def __init__(self, packs: dict[str, Path], size: tuple[int, int], turned: int = 0) -> None:
        """Put every frame of the packs together, out of base and patch and nothing else.

        Parameters
        ----------
        packs : names and folders
        size : of the screen's mode, pixels
        turned : degrees, clockwise, by which the picture is turned on the screen
        """
        self._size = size
        self._known: dict[bytes, Frame] = {}
        for name, folder in packs.items():
            pack = Pack(folder)
            for index in range(pack.info.main.count):
                lit = pack.base()
                lit.paste(pack.patch(index), pack.info.main.box[:2])
                frame = Frame(name, index, index == pack.info.main.rest)
                self._known[_digest(lit.rotate(-turned, expand=True))] = frame

    def tell(self, screen: Image.Image) -> Shown:
        """Name what a screen shows: a frame, `BLACK`, `NO_SIGNAL` or `UNKNOWN`."""
        if frame := self._known.get(_digest(screen)):
            return frame
        lit = screen.getbbox()
        if lit is None:
            return BLACK
        middle = (screen.height // _LINE - 1) // 2 * _LINE
        in_the_middle = middle <= lit[1] and lit[3] <= middle + _LINE
        return NO_SIGNAL if in_the_middle and screen.size != self._size else UNKNOWN


def _digest(image: Image.Image) -> bytes:
    return hashlib.blake2b(repr(image.size).encode() + image.tobytes()).digest()


@dataclass(frozen=True, slots=True)
class Sight:
    """What was shown at a moment, in seconds since power-on."""

    moment: float
    shown: Shown
    screen: Image.Image


@dataclass
class Watch:
    """Looks at a machine's screen every second, on a thread of its own, and remembers changes.

    `sights` holds the first look, and every look that shows something else than the one before;
    `looks` the moments of all, in seconds since power-on.
    """

    machine: Machine
    eye: Eye
    sights: list[Sight] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        """Begin to look."""
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def until(
        self, what: Callable[[Shown], bool], timeout: float, since: float = 0.0, held: float = 0.0
    ) -> Sight:
        """Wait until something is shown and return the first sight of it.

        Parameters
        ----------
        what : tells whether this is it
        timeout : seconds
        since : seconds since power-on; what was shown before does not count, unless it still is
        held : seconds for which it has to be shown without a break, not counting those before `since`

        Raises
        ------
        MachineError
            If it was not shown in time, or the machine is off.
        """
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.machine.on:
            now = self.looks[-1] if self.looks else 0.0  # what was not seen does not count
            first: Sight | None = None
            for sight in [*self.sights, None]:
                fits = sight is not None and what(sight.shown)
                if first is None:
                    first = sight if fits else None
                elif not fits:
                    until = sight.moment if sight else now
                    if until > since and until - max(first.moment, since) >= held:
                        return first
                    first = None
            time.sleep(0.2)
        lately = ", ".join(f"{sight.moment:.0f} s {sight.shown}" for sight in self.sights[-8:])
        wrong = f"not shown within {timeout:g} s" if self.machine.on else "the machine is off"
        raise MachineError(f"{wrong}; lately: {lately}")

    def _look(self) -> None:
        last: bytes = b""
        while not self._stop.is_set() and self.machine.on:
            began = time.monotonic()
            with suppress(MachineError):  # the power is cut between two looks
                moment, screen = self.machine.uptime, self.machine.look()
                self.looks.append(moment)
                if (digest := _digest(screen)) != last:
                    last = digest
                    self.sights.append(Sight(moment, self.eye.tell(screen), screen))
            self._stop.wait(max(0.0, began + _SECOND - time.monotonic()))
