"""The screen: one code over a window, the bare display (KMSDRM) or a folder of what would be lit."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from appliance.clock import CLOCK, Clock
from appliance.config import DisplayConfig, HoursConfig
from appliance.display.dimmer import LOOK, Curtain, Opening
from appliance.display.frame_loader import Frames, Hanger, Lit
from appliance.display.layout import Size, layout_for, offset_at
from appliance.display.monitor import Monitor
from appliance.display.scanout import Scanout, observe
from appliance.display.sdl import chosen, open_surface, parsed, pygame
from appliance.errors import BadCache, CannotWrite, DisplayLost
from appliance.pack import Pack


class Observer(Protocol):
    """Told of what is lit: a folder of pictures, a film."""

    def open(self) -> None:
        """Begin; may raise `CannotWrite`."""

    def lit(self, frames: Lit | None, surface: pygame.Surface) -> None:
        """Frames were lit, one of each sitter, or black (None)."""

    def forget(self) -> None:
        """Another portrait hangs."""

    def close(self) -> None:
        """End; may raise `CannotWrite`."""


def observers(folder: str, film: str) -> Iterator[Observer]:
    """Yield those that a config asks for: a `folder` of pictures, a `film`; either may be empty."""
    if folder:
        from appliance.display.recorders import OffscreenFolder

        yield OffscreenFolder(Path(folder))
    if film:
        from appliance.display.recorders import Film

        yield Film(Path(film))


def close_all(observers: list[Observer]) -> None:
    """Close all of them; raises the first failure."""
    with ExitStack() as stack:
        for observer in observers:
            stack.callback(observer.close)
        observers.clear()


log = logging.getLogger(__name__)

NOT_KEPT: Final = "%s; what was recorded is lost"
COARSE: Final = "the screen has %d bits per pixel: colours are coarse; expected 24 or 32"

# The display is flipped at least this often, so that "flipped lately" means lit and not only alive.
HEARTBEAT: Final = 2.0
# The half-way picture of a cross-fade stands this long, in seconds.
_HALF: Final = 1 / 60
# Steps of a slow fade, per second.
_FADE_RATE: Final = 20.0
# A part of the screen's width or height by which a picture may differ without a word.
_MISFIT: Final = 0.02


class Screen:
    """Shows one pack: its base once, then patches; black when the house is closed.

    `shown` are the frames that are lit, one of each sitter in the pack's order, or will be once it is no
    longer black; `flipped` is the moment of the last flip on the monotonic clock, `driver` SDL's name of what
    drives the display, `due` when it next wants a `tick`, like `flipped`. `damage` is what was wrong with the
    compiled file when it was last read: frames that would have to be read from it are not shown until a pack
    is lit again.
    """

    def __init__(self, config: DisplayConfig, opening: Opening | None = None, clock: Clock = CLOCK) -> None:
        """Choose a screen; raises `ConfigError` if `config.output` is none."""
        self._kind, self._folder = parsed(config.output)
        self._config, self._clock = config, clock
        self._opening = opening or Opening(HoursConfig())
        self._surface: pygame.Surface  # these three once the display is open
        self._hanger: Hanger
        self._began: float
        self._curtain = Curtain(self._opening)
        self._observers: list[Observer] = []
        self._frames: Frames | None = None
        self._monitor: Monitor | None = None
        self.damage = ""
        self._scanout: Scanout | None = None
        self.shown: Lit = ()
        self._half: set[int] = set()  # sitters half-way in a cross-fade
        self._offset = self._drawn = (0, 0)
        self.due = 0.0
        self.flipped = 0.0
        self.driver = ""

    def __enter__(self) -> Self:
        """Open the display.

        Raises
        ------
        NoDisplay
            If there is none, or SDL cannot drive it.
        CannotWrite
            If the folder of an offscreen display, or the film, cannot be written.
        """
        try:
            self._open(chosen(self._kind))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def _open(self, kind: str) -> None:
        for observer in observers(self._folder, self._config.film):
            observer.open()
            self._observers.append(observer)
        self._surface = open_surface(kind, (self._config.width, self._config.height))
        if kind == "kmsdrm":
            self._monitor = Monitor()
            self._scanout = observe()
        self.driver = pygame.display.get_driver()
        if self._surface.get_bitsize() < 24:
            log.warning(COARSE, self._surface.get_bitsize())
        self._hanger = Hanger(self._surface, layout_for(self._config, self.size))
        self._began = self._clock.monotonic()
        self._curtain.first(self._began, self._clock.wall())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the display.

        Raises
        ------
        CannotWrite
            If what was recorded could not be kept. After an `error` this is only logged.
        """
        self._frames = None
        pygame.display.quit()
        try:
            close_all(self._observers)
        except CannotWrite as not_kept:
            if error is None:
                raise
            log.error(NOT_KEPT, not_kept)

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self._surface.get_size()

    @property
    def open(self) -> bool:
        """Whether the house is open: outside its hours the screen is black."""
        return self._curtain.open

    def light(self, pack: Pack) -> None:
        """Show a pack's resting picture, before anything else of it is loaded.

        Raises
        ------
        BadPack
            If it has none, and none was compiled before; nothing has changed then.
        """
        self._hang(pack, self._hanger.at_rest(pack))

    def load(self, pack: Pack, stop: threading.Event, each: Callable[[], object] = bool) -> None:
        """Make the frames of the pack that was lit ready, unless `stop` is set meanwhile.

        `each` is called after every frame, which may take seconds altogether.

        Raises
        ------
        BadPack
            If one is missing or damaged; the resting picture stays, and `show` does nothing.
        """
        assert self._frames
        self._frames = self._hanger.complete(pack, self._frames, stop, self._going_on(each), keep=True)
        with self._noting_damage():
            self._frames.load()

    def switch(self, pack: Pack, stop: threading.Event, each: Callable[[], object] = bool) -> None:
        """Show another pack at rest once all of it is loaded, with `each` called as by `load`.

        Raises
        ------
        BadPack
            If it is damaged; the old one stays.
        """
        at_rest = self._hanger.at_rest(pack)
        frames = self._hanger.complete(pack, at_rest, stop, self._going_on(each), keep=False)
        if not stop.is_set():
            self._hang(pack, frames)
            with self._noting_damage():
                frames.load()  # now that the old one's are gone: both would not fit the memory

    def show(self, frames: Lit) -> bool:
        """Light other frames of the loaded pack, one of each sitter.

        Only the rectangles of the sitters that change are lit anew, in one flip. If cross-fading is wanted, a
        sitter whose frames are neighbours in its grid goes by way of half of them.

        Returns whether they are lit: not while the screen is black or fades, nor where frames are damaged.
        """
        if self._frames is None or not self._frames.patches:
            return False
        before, self.shown = self.shown, frames
        if self._curtain.level < 1:
            return False  # black, or drawn anew with the next step of the curtain
        changed = [sitter for sitter, frame in enumerate(frames) if frame != before[sitter]]
        half = set()
        if self._config.crossfade:
            half = {i for i in changed if self._frames.beside(i, before[i], frames[i])}
        try:
            self._light(changed, half)
        except BadCache as error:
            self.shown, self.damage = before, str(error)
            return False
        return True

    def _light(self, sitters: Sequence[int], half: Set[int]) -> None:
        """Draw and flip the patches of some sitters, of a part of them half; raises `BadCache`."""
        assert self._frames
        # All that is read is read before anything is drawn: what cannot be read changes nothing.
        patches = [self._frames.patch(sitter, self.shown[sitter]) for sitter in sitters]
        parts = []
        for sitter, patch in zip(sitters, patches, strict=True):
            if sitter in half:
                patch.set_alpha(128)
            parts.append(self._surface.blit(patch, self._place(sitter)))
            if sitter in half:
                patch.set_alpha(None)
        self._flip(parts)
        self._half = self._half.difference(sitters).union(half)
        if self._half:
            self.due = self.flipped + _HALF
        else:
            self._tell(self.shown)

    def tick(self, now: float, wall: float) -> None:
        """Do what is due: the other half of a cross-fade, opening hours, burn-in care, the heartbeat.

        Parameters
        ----------
        now : seconds on the monotonic clock
        wall : seconds since 1970

        Raises
        ------
        DisplayLost
            If the monitor was unplugged or has changed its mode, or another program holds the display.
        DisplayStuck
            If the graphics driver no longer shows what is flipped.
        """
        if self._frames and self._frames.patches and not self.damage:
            with self._noting_damage():
                self._frames.read_beside(self.shown)
        if now < self.due:
            return
        self.due = now + LOOK
        if self._half:
            with self._noting_damage():
                self._light(sorted(self._half), set())
        if self._monitor:
            self._monitor.check(now, self._opening.asleep, self._opening.waking(now))
        if self._scanout:
            self._scanout.check(now, self._opening.asleep or self._opening.waking(now))
        moved = not self.damage and self._move(now)
        stepped = self._curtain.step(now, wall)
        if stepped or moved:
            self._draw()
            if stepped and not self._curtain.moving:
                self._tell(self.shown if self._curtain.level else None)
        elif now - self.flipped >= HEARTBEAT:
            self._flip([pygame.Rect(0, 0, 1, 1)])
        if self._curtain.moving:
            self.due = now + 1 / _FADE_RATE

    def misfit(self, pack: Pack) -> str:
        """Say what a pack of another shape than the screen's means for it; empty if nothing to speak of."""
        layout = layout_for(self._config, self.size)
        fit = layout.placed(pack.info.size, pack.info.main.box)
        spare = [abs(fit.size[i] / (fit.view[i + 2] - fit.view[i]) - 1) for i in (0, 1)]
        if max(spare) < _MISFIT:
            return ""
        return "its edges are cut off" if layout.fit == "cover" else "borders are left"

    def fade(self, seconds: float) -> None:
        """Let what is lit go to black, for the end; raises `DisplayLost`."""
        began = time.monotonic()
        full = self._curtain.level
        while (level := full - (time.monotonic() - began) / seconds) > 0:
            self._curtain.level = level
            self._draw()
        self._curtain.level = 0.0
        self._draw()
        self._tell(None)

    def closed(self) -> bool:
        """Handle the window system's events; tell whether the window was closed."""
        closed = False
        for event in pygame.event.get():
            closed |= event.type == pygame.QUIT
            if event.type == pygame.VIDEOEXPOSE:
                self._flip(None)
        return closed

    def _going_on(self, each: Callable[[], object]) -> Callable[[], None]:
        def go_on() -> None:
            self.tick(self._clock.monotonic(), self._clock.wall())
            each()

        return go_on

    def _hang(self, pack: Pack, frames: Frames) -> None:
        for observer in self._observers:
            observer.forget()
        self._frames, self.shown, self._half, self.damage = frames, frames.resting, set(), ""
        self._draw()
        self._tell(self.shown if self._curtain.level else None)

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        """End the block where the compiled file cannot be read as it was written, and note what is wrong."""
        try:
            yield
        except BadCache as error:
            self.damage = str(error)

    def _place(self, sitter: int) -> tuple[int, int]:
        assert self._frames
        box = self._frames.patches[sitter].box
        return box[0] + self._offset[0], box[1] + self._offset[1]

    def _move(self, now: float) -> bool:
        """Take the burn-in care's next step; tell whether there was one."""
        period = 60 * self._config.shift_time
        before, self._offset = self._offset, offset_at(now - self._began, self._config.shift, period)
        return before != self._offset

    def _draw(self) -> None:
        """Draw and flip the whole screen as it is to be now."""
        self._paint()
        self._flip(None)

    def _paint(self) -> None:
        level = self._curtain.level
        if level == 0 or self._frames is None:
            self._surface.fill((0, 0, 0))
            if self._frames:
                self._frames.forget_base()
            return
        with self._noting_damage():
            # All that is read is read before anything is drawn: what cannot be read changes nothing.
            moved = [i for i, frame in enumerate(self.shown) if frame != self._frames.resting[i]]
            patches = [self._frames.patch(i, self.shown[i]) for i in moved]
            self._frames.draw_base(self._offset, again=self._curtain.moving)
            self._drawn = self._offset
            for sitter, patch in zip(moved, patches, strict=True):
                self._surface.blit(patch, self._place(sitter))
            if level < 1:
                # Squared, since eyes are more sensitive to changes in the dark.
                self._surface.fill((round(255 * level**2),) * 3, special_flags=pygame.BLEND_RGB_MULT)
            return
        self._offset = self._drawn

    def _flip(self, parts: list[pygame.Rect] | None) -> None:
        """Show what was drawn, all of it or some parts, and note when.

        Raises
        ------
        DisplayLost
            If the display does not take it.
        """
        if self._scanout:
            self._scanout.look()
        try:
            if parts is None:
                pygame.display.flip()
            else:
                pygame.display.update(parts)
        except pygame.error as error:
            raise DisplayLost(f"display lost: {error}") from error
        self.flipped = self._clock.monotonic()
        if self._scanout:
            self._scanout.flipped(self.flipped)

    def _tell(self, frames: Lit | None) -> None:
        for observer in self._observers:
            observer.lit(frames, self._surface)
