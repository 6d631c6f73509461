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
from appliance.display.flip_check import ScanoutObserver, observe_scanout
from appliance.display.frame_loader import FrameLoader, FrameSurfaces, LitFrames
from appliance.display.layout import Size, layout_for, pixel_shift_at
from appliance.display.monitor import MonitorWatch
from appliance.display.open_display import open_surface, parse_output, pygame, resolve_output
from appliance.display.opening_hours import CHECK_INTERVAL, Dimmer, OpeningController
from appliance.errors import BadCache, CannotWrite, DisplayLost
from appliance.pack import Pack


class ScreenRecorder(Protocol):
    """Records what the screen shows."""

    def open(self) -> None:
        """Start; may raise `CannotWrite`."""

    def record(self, frames: LitFrames | None, surface: pygame.Surface) -> None:
        """Record that frames are shown, one of each sitter, or that the screen is black (None)."""

    def portrait_changed(self) -> None:
        """Note that another portrait is shown."""

    def close(self) -> None:
        """End; may raise `CannotWrite`."""


def create_recorders(folder: str, film: str) -> Iterator[ScreenRecorder]:
    """Yield the recorders for a `folder` of pictures and for a `film`; either path may be empty."""
    if folder:
        from appliance.display.recorders import OffscreenFolder

        yield OffscreenFolder(Path(folder))
    if film:
        from appliance.display.recorders import FrameRecording

        yield FrameRecording(Path(film))


def close_recorders(recorders: list[ScreenRecorder]) -> None:
    """Close all recorders, even if one fails; then raise the failure."""
    with ExitStack() as stack:
        for recorder in recorders:
            stack.callback(recorder.close)
        recorders.clear()


log = logging.getLogger(__name__)

RECORDING_LOST: Final = "%s; what was recorded is lost"
FEW_COLOURS: Final = "the screen has %d bits per pixel: colours are coarse; expected 24 or 32"

# Longest time between two flips, in seconds: a recent flip proves that the screen is on.
HEARTBEAT_INTERVAL: Final = 2.0
# Duration of the half-faded picture of a cross-fade, in seconds: one refresh at 60 Hz.
_HALF_TIME: Final = 1 / 60
_FADE_RATE: Final = 20.0  # steps per second of a slow fade (chosen by eye)
# Difference of a picture's from the screen's shape that is logged as a warning, as a fraction (by eye).
_MISFIT_SHARE: Final = 0.02


class PortraitScreen:
    """Shows one pack: its base once, then patches; it is black outside opening hours.

    `shown` are the frames on the screen, one of each sitter in the pack's order; while it is black, those
    that it will show. `flipped` is when the last flip was, and `due` when the next `tick` is needed, both on
    the monotonic clock. `driver` is SDL's name of the video driver. `damage` is what was wrong with the
    compiled file when it was last read, empty if nothing was: frames that must be read from it are then not
    shown until a pack is loaded.
    """

    def __init__(
        self, config: DisplayConfig, opening: OpeningController | None = None, clock: Clock = CLOCK
    ) -> None:
        """Choose a screen; raises `ConfigError` if `config.output` is none."""
        self._kind, self._folder = parse_output(config.output)
        self._config, self._clock = config, clock
        self._opening = opening or OpeningController(HoursConfig())
        self._surface: pygame.Surface  # these three exist once the display is open
        self._loader: FrameLoader
        self._began: float
        self._dimmer = Dimmer(self._opening)
        self._recorders: list[ScreenRecorder] = []
        self._frames: FrameSurfaces | None = None
        self._monitor: MonitorWatch | None = None
        self.damage = ""
        self._scanout: ScanoutObserver | None = None
        self.shown: LitFrames = ()
        self._half_faded: set[int] = set()  # sitters in the middle of a cross-fade
        self._offset = self._drawn = (0, 0)
        self.due = 0.0
        self.flipped = 0.0
        self.driver = ""

    def __enter__(self) -> Self:
        """Open the display.

        Raises `NoDisplay` if there is none, or SDL cannot drive it; `CannotWrite` if the folder of an
        offscreen display or the recording cannot be written.
        """
        try:
            self._open(resolve_output(self._kind))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def _open(self, kind: str) -> None:
        for recorder in create_recorders(self._folder, self._config.film):
            recorder.open()
            self._recorders.append(recorder)
        self._surface = open_surface(kind, (self._config.width, self._config.height))
        if kind == "kmsdrm":
            self._monitor = MonitorWatch()
            self._scanout = observe_scanout()
        self.driver = pygame.display.get_driver()
        if self._surface.get_bitsize() < 24:
            log.warning(FEW_COLOURS, self._surface.get_bitsize())
        self._loader = FrameLoader(self._surface, layout_for(self._config, self.size))
        self._began = self._clock.monotonic()
        self._dimmer.start(self._began, self._clock.wall())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the display.

        Raises `CannotWrite` if a recording cannot be written; after an `error` this is only logged.
        """
        self._frames = None
        pygame.display.quit()
        try:
            close_recorders(self._recorders)
        except CannotWrite as not_kept:
            if error is None:
                raise
            log.error(RECORDING_LOST, not_kept)

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self._surface.get_size()

    @property
    def open(self) -> bool:
        """Whether it is within opening hours; otherwise the screen is black."""
        return self._dimmer.open

    def light(self, pack: Pack) -> None:
        """Show a pack's resting picture, before its frames are loaded.

        Raises `BadPack` if it has none and none was compiled before; the screen has not changed then.
        """
        self._replace_frames(pack, self._loader.at_rest(pack))

    def load(self, pack: Pack, stop: threading.Event, each: Callable[[], object] = bool) -> None:
        """Load the frames of the pack that `light` shows, unless `stop` is set meanwhile.

        This may take seconds; `each` is called after every frame. Raises `BadPack` if one is missing or
        damaged; the resting picture stays, and `show` does nothing then.
        """
        assert self._frames
        self._frames = self._loader.complete(pack, self._frames, stop, self._between_frames(each), keep=True)
        with self._noting_damage():
            self._frames.load()

    def switch(self, pack: Pack, stop: threading.Event, each: Callable[[], object] = bool) -> None:
        """Show another pack at rest as soon as it is loaded; `each` is called as by `load`.

        Raises `BadPack` if it is damaged; the old one stays.
        """
        at_rest = self._loader.at_rest(pack)
        frames = self._loader.complete(pack, at_rest, stop, self._between_frames(each), keep=False)
        if not stop.is_set():
            self._replace_frames(pack, frames)
            with self._noting_damage():
                frames.load()  # only now, because the frames of both packs would not fit in memory

    def show(self, frames: LitFrames) -> bool:
        """Show other frames of the loaded pack, one of each sitter.

        Only the rectangles of the sitters that change are drawn, in one flip. With cross-fading, a mean of
        two neighbouring frames is shown in between.

        Returns whether they are shown: not while the screen is black or fades, and not if frames are damaged.
        """
        if self._frames is None or not self._frames.patches:
            return False
        before, self.shown = self.shown, frames
        if self._dimmer.level < 1:
            return False  # it is black, or the next step of the fade draws them
        changed = [sitter for sitter, frame in enumerate(frames) if frame != before[sitter]]
        fades = changed if self._config.crossfade else []
        half = {i for i in fades if self._frames.are_neighbours(i, before[i], frames[i])}
        try:
            self._light(changed, half)
        except BadCache as error:
            self.shown, self.damage = before, str(error)
            return False
        return True

    def _light(self, sitters: Sequence[int], half: Set[int]) -> None:
        """Draw and flip the patches of some sitters, those in `half` half transparent; raises `BadCache`."""
        assert self._frames
        # Everything is read before anything is drawn, so that a damaged file changes nothing.
        patches = [self._frames.patch(sitter, self.shown[sitter]) for sitter in sitters]
        parts = []
        for sitter, patch in zip(sitters, patches, strict=True):
            if sitter in half:
                patch.set_alpha(128)
            parts.append(self._surface.blit(patch, self._place(sitter)))
            if sitter in half:
                patch.set_alpha(None)
        self._flip(parts)
        self._half_faded = self._half_faded.difference(sitters).union(half)
        if self._half_faded:
            self.due = self.flipped + _HALF_TIME
        else:
            self._notify_recorders(self.shown)

    def tick(self, now: float, wall: float) -> None:
        """Do what is due: the end of a cross-fade, opening hours, pixel shift, the heartbeat flip.

        `now` is in seconds on the monotonic clock, `wall` in seconds since 1970. Raises `DisplayLost` if the
        monitor was unplugged or changed its mode, or another program took the display, and `DisplayStuck` if
        the graphics driver no longer shows what is flipped.
        """
        if self._frames and self._frames.patches and not self.damage:
            with self._noting_damage():
                self._frames.read_ahead(self.shown)
        if now < self.due:
            return
        self.due = now + CHECK_INTERVAL
        if self._half_faded:
            with self._noting_damage():
                self._light(sorted(self._half_faded), set())
        if self._monitor:
            self._monitor.check(now, self._opening.asleep, self._opening.waking(now))
        if self._scanout:
            self._scanout.check(now, self._opening.asleep or self._opening.waking(now))
        moved = not self.damage and self._shift_pixels(now)
        stepped = self._dimmer.step(now, wall)
        if stepped or moved:
            self._draw()
            if stepped and not self._dimmer.moving:
                self._notify_recorders(self.shown if self._dimmer.level else None)
        elif now - self.flipped >= HEARTBEAT_INTERVAL:
            self._flip([pygame.Rect(0, 0, 1, 1)])
        if self._dimmer.moving:
            self.due = now + 1 / _FADE_RATE

    def misfit(self, pack: Pack) -> str:
        """Say how a pack of another shape than the screen is shown; empty if the difference is small."""
        layout = layout_for(self._config, self.size)
        fit = layout.place(pack.info.size, pack.info.main.box)
        spare = [abs(fit.size[i] / (fit.view[i + 2] - fit.view[i]) - 1) for i in (0, 1)]
        if max(spare) < _MISFIT_SHARE:
            return ""
        return "its edges are cut off" if layout.fit == "cover" else "borders are left"

    def fade(self, seconds: float) -> None:
        """Fade to black before the end; raises `DisplayLost`."""
        began = time.monotonic()
        full = self._dimmer.level
        while (level := full - (time.monotonic() - began) / seconds) > 0:
            self._dimmer.level = level
            self._draw()
        self._dimmer.level = 0.0
        self._draw()
        self._notify_recorders(None)

    def window_closed(self) -> bool:
        """Handle the window system's events; tell whether the window was closed."""
        closed = False
        for event in pygame.event.get():
            closed |= event.type == pygame.QUIT
            if event.type == pygame.VIDEOEXPOSE:
                self._flip(None)
        return closed

    def _between_frames(self, each: Callable[[], object]) -> Callable[[], None]:
        def go_on() -> None:
            self.tick(self._clock.monotonic(), self._clock.wall())
            each()

        return go_on

    def _replace_frames(self, pack: Pack, frames: FrameSurfaces) -> None:
        for recorder in self._recorders:
            recorder.portrait_changed()
        self._frames, self.shown, self._half_faded, self.damage = frames, frames.resting, set(), ""
        self._draw()
        self._notify_recorders(self.shown if self._dimmer.level else None)

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        """Run a block; if the compiled file is damaged, end the block and note what is wrong."""
        try:
            yield
        except BadCache as error:
            self.damage = str(error)

    def _place(self, sitter: int) -> tuple[int, int]:
        assert self._frames
        box = self._frames.patches[sitter].box
        return box[0] + self._offset[0], box[1] + self._offset[1]

    def _shift_pixels(self, now: float) -> bool:
        """Apply the pixel shift; return whether it has changed."""
        period = 60 * self._config.shift_time
        before, self._offset = self._offset, pixel_shift_at(now - self._began, self._config.shift, period)
        return before != self._offset

    def _draw(self) -> None:
        self._paint()
        self._flip(None)

    def _paint(self) -> None:
        level = self._dimmer.level
        if level == 0 or self._frames is None:
            self._surface.fill((0, 0, 0))
            if self._frames:
                self._frames.forget_base()
            return
        with self._noting_damage():
            # Everything is read first, as in `_light`.
            moved = [i for i, frame in enumerate(self.shown) if frame != self._frames.resting[i]]
            patches = [self._frames.patch(i, self.shown[i]) for i in moved]
            self._frames.draw_base(self._offset, again=self._dimmer.moving)
            self._drawn = self._offset
            for sitter, patch in zip(moved, patches, strict=True):
                self._surface.blit(patch, self._place(sitter))
            if level < 1:
                # Squared, because eyes are more sensitive to changes in the dark.
                self._surface.fill((round(255 * level**2),) * 3, special_flags=pygame.BLEND_RGB_MULT)
            return
        self._offset = self._drawn

    def _flip(self, parts: list[pygame.Rect] | None) -> None:
        """Flip the whole screen or some parts, and note when. Raises `DisplayLost` if SDL cannot flip."""
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

    def _notify_recorders(self, frames: LitFrames | None) -> None:
        for recorder in self._recorders:
            recorder.record(frames, self._surface)
