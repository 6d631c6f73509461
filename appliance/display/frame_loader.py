"""From a pack to surfaces of the screen: out of the compiled file, or compiled now, and kept ready."""

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ctypes import CDLL
from itertools import chain
from typing import TYPE_CHECKING, Final

from appliance.display import compiled_pack
from appliance.display.compiled_pack import Compiled, Patches, Plan
from appliance.display.layout import Layout
from appliance.display.sdl import pygame
from appliance.errors import BadCache, BadPack, CannotWrite
from appliance.pack import FrameGrid, Pack, as_bad_pack, overlap

if TYPE_CHECKING:  # loaded when there is something to compile: the first light needs none of it
    from PIL import Image


# Largest memory of the patches that are kept ready, for all sitters together, as a multiple of the memory of
# one screen. 3.5 hold 35 of the Mona Lisa's 169 patches, and `run` takes 230 MB at 2160x3840 (measured); for
# 4.0 246 MB were computed, too near the bound of 250.
SCREENS: Final = 3.5
# Bytes of patches kept in memory where there is no compiled file to read them from: four screens of 4K.
MOST_KEPT: Final = 4 * 2160 * 3840 * 4
# Frames so many columns and rows beside the one lit are read before they are wanted: a gaze that follows
# a visitor moves by one or two between two flips.
_COLUMNS: Final = 2
_ROWS: Final = 1
# What patches have where a pixel belongs to another sitter: magenta, which no opaque pixel of theirs has.
KEY: Final = (255, 0, 255)

# The frame of each sitter, in the order of the pack's.
Lit = tuple[int, ...]


class Frames:
    """The base and the patches of one pack.

    Patches are blitted and only their rectangles are flipped: textures of SDL's renderer, which draws
    the whole screen for every change, took longer in a window and on KMSDRM (`bench display --display`).

    With a compiled file the base is let go of once it is drawn, and of the patches those used last are
    kept. Without one all of it is kept, or what `MOST_KEPT` allows: those nearest rest stand for the others.
    """

    def __init__(
        self,
        grids: Sequence[FrameGrid],
        patches: Sequence[Patches],
        screen: pygame.Surface,
        compiled: Compiled | None = None,
        base: pygame.Surface | None = None,
    ) -> None:
        """Hold nothing yet; one of the last two is given.

        `patches` are one for each of `grids`, or none as long as there is only a base.
        """
        self.grids = grids
        self.patches = patches
        self.resting: Lit = tuple(grid.rest for grid in grids)
        self._screen = screen
        self.compiled = compiled
        self.base = base
        self._kept: list[dict[int, pygame.Surface]] = [{} for _ in patches]
        depth = screen.get_bytesize()
        whole = sum(each.frames * each.size[0] * each.size[1] * depth for each in patches)
        bound = int(SCREENS * screen.get_width() * screen.get_height() * depth) if compiled else MOST_KEPT
        self._room = [max(1, each.frames * bound // max(whole, bound)) for each in patches]
        self._beside: Iterator[tuple[int, int]] = iter(())
        self._asked: Lit = ()

    def nearest_rest(self, sitter: int) -> list[int]:
        """Return the frames of a sitter that are kept from the start, nearest rest first."""
        grid = self.grids[sitter]
        order = sorted(range(grid.count), key=lambda frame: _apart(grid, frame, grid.rest))
        return order[: self._room[sitter]]

    def put(self, sitter: int, frame: int, patch: pygame.Surface) -> None:
        """Keep a patch for good: there is no file to read it from again."""
        self._kept[sitter][frame] = self._as_keyed(sitter, patch)

    def load(self, each: Callable[[], object] = bool) -> None:
        """Read as many patches as the bound allows, and call `each` after every one.

        Raises
        ------
        BadCache
            If one cannot be read as it was written; none is kept then.
        """
        if self.compiled:
            try:
                for sitter in range(len(self.patches)):
                    for frame in reversed(self.nearest_rest(sitter)):  # what was used last is kept longest
                        self.patch(sitter, frame)
                        each()
            except BadCache:
                for kept in self._kept:
                    kept.clear()
                raise

    def check(self, each: Callable[[], object]) -> None:
        """Read the patches that are not kept once, and call `each` after every one; raises `BadCache`."""
        if self.compiled:
            self.compiled.check(each, self._kept)

    def read_base(self) -> None:
        """Read the base of the compiled file, and keep it until it is drawn; raises `BadCache`."""
        assert self.compiled
        base = pygame.Surface(self.compiled.plan.size, 0, self._screen)
        with pixels_of(base) as pixels:
            self.compiled.read_base(pixels)
        self.base = base

    def draw_base(self, offset: tuple[int, int], again: bool) -> None:
        """Draw the whole screen at rest, moved by `offset`; what that uncovers keeps the base's edge.

        Parameters
        ----------
        again : keep the base, because it is drawn again within a moment

        Raises
        ------
        BadCache
            If it cannot be read any more; the screen is as it was.
        """
        if self.base is None:
            self.read_base()
        assert self.base
        if offset != (0, 0):
            self._screen.blit(self.base, (0, 0))
        self._screen.blit(self.base, offset)
        if not again:
            self.forget_base()

    def forget_base(self) -> None:
        """Let go of the base's memory, if it can be read again."""
        if self.compiled:
            self.base = None

    def patch(self, sitter: int, frame: int) -> pygame.Surface:
        """Return a frame's patch: one kept ready, or read now; raises `BadCache`."""
        kept = self._kept[sitter]
        if not self.compiled:
            if frame not in kept:
                grid = self.grids[sitter]
                frame = min(kept, key=lambda other: _apart(grid, frame, other))
            return kept[frame]
        found = kept.pop(frame, None)
        if found is None:
            if len(kept) >= self._room[sitter]:
                del kept[next(iter(kept))]
            found = pygame.Surface(self.patches[sitter].size, 0, self._screen)
            with pixels_of(found) as pixels:
                self.compiled.read_patch(sitter, frame, pixels)
            self._as_keyed(sitter, found)
        kept[frame] = found
        return found

    def read_beside(self, lit: Lit) -> None:
        """Read one of the patches that are likely to be wanted after those lit; raises `BadCache`."""
        if lit != self._asked:
            self._asked = lit
            self._beside = chain.from_iterable(self._neighbours(i, frame) for i, frame in enumerate(lit))
        for sitter, frame in self._beside:
            if self._room[sitter] > (2 * _COLUMNS + 1) * (2 * _ROWS + 1) and frame not in self._kept[sitter]:
                self.patch(sitter, frame)
                return

    def beside(self, sitter: int, one: int, other: int) -> bool:
        """Tell whether two frames are neighbours: no frame of the grid lies between them."""
        grid = self.grids[sitter]
        (row, column), (other_row, other_column) = grid.place(one), grid.place(other)
        step = max(grid.steps[row], grid.steps[other_row])
        return one != other and abs(row - other_row) <= 1 and abs(column - other_column) <= step

    def _neighbours(self, sitter: int, frame: int) -> Iterator[tuple[int, int]]:
        grid = self.grids[sitter]
        row, column = grid.place(frame)
        rows = [near for near in (row, row - 1, row + 1) if 0 <= near < len(grid.pitches)]
        for near in rows:
            for other in grid.columns(near):
                if abs(other - column) <= _COLUMNS:
                    yield sitter, grid.number(near, other)

    def _as_keyed(self, sitter: int, patch: pygame.Surface) -> pygame.Surface:
        if self.patches[sitter].keyed:
            # Run lengths make it as fast as a blit without a key; one pixel at a time takes twice as long.
            patch.set_colorkey(KEY, pygame.RLEACCEL)
            # They are counted at the first blit, of however little, rather here than when it is wanted.
            before = self._screen.get_at((0, 0))
            self._screen.blit(patch, (0, 0), (0, 0, 1, 1))
            self._screen.set_at((0, 0), before)
        return patch


def _apart(grid: FrameGrid, one: int, other: int) -> float:
    """Return the angle between the gazes of two frames, degrees."""
    (row, column), (other_row, other_column) = grid.place(one), grid.place(other)
    return math.hypot(
        grid.angles[column] - grid.angles[other_column], grid.pitches[row] - grid.pitches[other_row]
    )


def pixels_of(surface: pygame.Surface) -> memoryview:
    """Return a surface's pixels, not copied; until this is let go of, nothing can be drawn from it."""
    return memoryview(surface.get_buffer())  # type: ignore[arg-type]  # it is a buffer


log = logging.getLogger(__name__)

DAMAGED: Final = "%s; compiling the portrait anew"
NOT_KEPT: Final = "the compiled portrait is not kept, the next start is slower: %s"
LAST_WHOLE: Final = "%s; showing it as it was last compiled"

# Time limit for making all frames of a pack ready, seconds; the display goes on meanwhile. A guess: a slow
# card and a slow processor need one for the bundled portrait, and a visitor of a pack that takes longer
# sees its sitter at rest.
LONGEST: Final = 300.0
# Bytes of a compiled file in screens: twice those of 33 frames which change all of it.
_MOST_SCREENS: Final = 64
_UNSHOWN: Final = "cannot be shown"


class _Stopped(Exception):
    """The process is to end: what is being compiled is not needed any more."""


class Hanger:
    """Makes packs ready for one screen."""

    def __init__(self, screen: pygame.Surface, layout: Layout) -> None:
        """Prepare for the display's surface, whose pixel format the compiled files have."""
        self._screen = screen
        self._layout = layout
        self._pixels = f"{screen.get_masks()} {screen.get_bytesize()}"

    def at_rest(self, pack: Pack) -> Frames:
        """Return a pack with at least its base, as quickly as can be.

        A damaged one is shown as it was last compiled, if it was, and the log says so.

        Raises
        ------
        BadPack
            If nothing of it can be shown.
        """
        try:
            with as_bad_pack(pack.folder, _UNSHOWN):
                key = compiled_pack.key_of(pack, self._layout, self._pixels)
                return self._opened(pack, key) or self._drawn(pack)
        except BadPack as error:
            return self._last(pack, error)

    def complete(
        self, pack: Pack, frames: Frames, stop: threading.Event, each: Callable[[], object], keep: bool
    ) -> Frames:
        """Return a pack with all its frames: those given, checked, or compiled now.

        Parameters
        ----------
        frames : what `at_rest` returned; returned as it is if `stop` is set meanwhile
        each : called after every frame, so that the display goes on
        keep : read those that are to be kept ready, because there is room for them already

        Raises
        ------
        BadPack
            If a patch is missing or damaged, or it takes longer than `LONGEST`.
        """
        end = time.monotonic() + LONGEST

        def go_on() -> None:
            if time.monotonic() > end:
                raise BadPack(f"{pack.folder}: not ready within {LONGEST:.0f} s")
            each()

        try:
            with as_bad_pack(pack.folder, _UNSHOWN):
                if frames.compiled:
                    try:
                        if keep:
                            frames.load(go_on)
                        frames.check(go_on)
                    except BadCache as error:
                        log.warning(DAMAGED, error)
                    else:
                        return frames
                try:
                    return self._compile(pack, frames, stop, go_on)
                except _Stopped:
                    return frames
        except BadPack as error:
            return self._last(pack, error, each)

    def _last(self, pack: Pack, error: BadPack, each: Callable[[], object] = bool) -> Frames:
        """Return a damaged pack as it was last compiled, all of it whole; raises `error` if it was not."""
        last = self._opened(pack, None)
        if last is None:
            raise error
        try:
            last.check(each)
        except BadCache:
            raise error from None
        log.error(LAST_WHOLE, error)
        return last

    def _opened(self, pack: Pack, key: str | None) -> Frames | None:
        """Return what was compiled of a pack, its base read; None if there is none that can be used."""
        path = compiled_pack.path_of(pack, self._layout, self._pixels)
        try:
            frames = self._compiled(pack, Compiled(path, key))
            frames.read_base()
        except FileNotFoundError:
            return None
        except BadCache as error:
            if not error.stale:
                log.warning(DAMAGED, error)
            return None
        compiled_pack.used(path)
        return frames

    def _compiled(self, pack: Pack, compiled: Compiled) -> Frames:
        """Return the frames of a compiled file; raises `BadCache` if they do not fit."""
        plan = compiled.plan
        if (plan.size, plan.depth) != (self._screen.get_size(), self._screen.get_bytesize()):
            raise BadCache(f"{compiled.path}: of another screen than its name says")
        found = [(patches.frames, patches.resting) for patches in plan.sitters]
        if found != [(grid.count, grid.rest) for grid in pack.info.sitters]:
            raise BadCache(f"{compiled.path}: its frames are not those of pack.toml")
        return Frames(pack.info.sitters, plan.sitters, self._screen, compiled=compiled)

    def _drawn(self, pack: Pack) -> Frames:
        from appliance.display.fitted_patches import fitted_base

        base = self._surface(fitted_base(pack, self._layout))
        _give_back()
        return Frames(pack.info.sitters, (), self._screen, base=base)

    def _compile(
        self, pack: Pack, frames: Frames, stop: threading.Event, each: Callable[[], object]
    ) -> Frames:
        from appliance.display.fitted_patches import fitted_patches

        def surfaces(sitter: int) -> Iterator[pygame.Surface]:
            for image in fitted_patches(pack, self._layout, sitter)[1]:
                if stop.is_set():
                    raise _Stopped
                each()
                yield self._surface(image, patches[sitter].keyed)

        grids = pack.info.sitters
        key = compiled_pack.key_of(pack, self._layout, self._pixels)
        base = frames.base or self._drawn(pack).base
        assert base
        boxes = [fitted_patches(pack, self._layout, sitter)[0] for sitter in range(len(grids))]
        patches = tuple(
            Patches(
                box, grid.count, grid.rest, any(overlap(box, other) for other in boxes if other is not box)
            )
            for box, grid in zip(boxes, grids, strict=True)
        )
        size, depth = self._screen.get_size(), self._screen.get_bytesize()
        plan = Plan(key, str(pack.folder.absolute()), size, depth, patches)
        if plan.patches_bytes > _MOST_SCREENS * plan.base_bytes:
            raise BadPack(f"{pack.folder}: its frames are larger than {_MOST_SCREENS} of this screen")
        path = compiled_pack.path_of(pack, self._layout, self._pixels)
        drawn = itertools.chain.from_iterable(map(surfaces, range(len(grids))))
        try:
            compiled = compiled_pack.make(path, plan, map(pixels_of, itertools.chain([base], drawn)))
        except CannotWrite as error:
            log.warning(NOT_KEPT, error)
        else:
            _give_back()
            return self._compiled(pack, compiled)
        frames = Frames(grids, patches, self._screen, base=base)
        for sitter in range(len(grids)):
            kept = set(frames.nearest_rest(sitter))
            for frame, surface in enumerate(surfaces(sitter)):
                if frame in kept:
                    frames.put(sitter, frame, surface)
        return frames

    def _surface(self, image: "Image.Image", keyed: bool = False) -> pygame.Surface:
        """Return an image as the screen has its pixels; if `keyed`, the key where it is transparent."""
        from appliance.display.fitted_patches import with_key

        image = with_key(image.convert("RGBA"), KEY) if keyed else image.convert("RGB")
        loaded = pygame.image.frombuffer(image.tobytes(), image.size, "RGB")
        return loaded.convert(self._screen)


def _give_back() -> None:
    """Return to the system what scaling took: glibc would keep it, several pictures' worth."""
    with suppress(AttributeError, OSError):
        CDLL(None).malloc_trim(0)
