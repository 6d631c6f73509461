"""From a pack to surfaces of the screen: out of the compiled file, or compiled now, and kept ready."""

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
from appliance.display.compiled_pack import CompiledContents, CompiledPack, CompiledPatches
from appliance.display.layout import ScreenLayout
from appliance.display.open_display import pygame
from appliance.errors import BadCache, BadPack, CannotWrite
from appliance.pack import FrameGrid, Pack, as_bad_pack, boxes_overlap

if TYPE_CHECKING:  # loaded when there is something to compile: the first light needs none of it
    from PIL import Image


# Largest memory of the patches that are kept ready, for all sitters together, as a multiple of the memory of
# one screen. 3.5 hold 35 of the Mona Lisa's 169 patches, and `run` takes 230 MB at 2160x3840 (measured); for
# 4.0 246 MB were computed, too near the bound of 250.
KEPT_SCREENS: Final = 3.5
# Largest memory of the patches without a compiled file, in bytes: four screens of 4K (origin unknown).
MAX_KEPT_BYTES: Final = 4 * 2160 * 3840 * 4
# Columns that are read ahead to each side: a gaze on a visitor moves by one or two between two flips.
_COLUMNS_AHEAD: Final = 2
_ROWS_AHEAD: Final = 1  # the same for rows, between which the gaze moves more slowly
# Colour of the pixels of a patch that belong to another sitter: magenta, which no other pixel of a patch has.
COLOUR_KEY: Final = (255, 0, 255)

# The number of the frame shown of each sitter, in the pack's order.
LitFrames = tuple[int, ...]


class FrameSurfaces:
    """The base and the patches of one pack as surfaces.

    Patches are blitted, and only their rectangles are flipped. Textures of SDL's renderer, which draws the
    whole screen for every change, took longer in a window and on KMSDRM (`bench display --display`).

    With a compiled file the base is released once it is drawn, and the patches used last are kept. Without
    one everything is kept, up to `MAX_KEPT_BYTES`; then the frames nearest rest are shown for the others.
    """

    def __init__(
        self,
        grids: Sequence[FrameGrid],
        patches: Sequence[CompiledPatches],
        screen: pygame.Surface,
        compiled: CompiledPack | None = None,
        base: pygame.Surface | None = None,
    ) -> None:
        """Start with no patches in memory; either `compiled` or `base` must be given.

        `patches` has one entry for each of `grids`, or none as long as there is only a base.
        """
        self.grids = grids
        self.patches = patches
        self.resting: LitFrames = tuple(grid.rest for grid in grids)
        self._screen = screen
        self.compiled = compiled
        self.base = base
        self._kept: list[dict[int, pygame.Surface]] = [{} for _ in patches]
        depth = screen.get_bytesize()
        whole = sum(each.frames * each.size[0] * each.size[1] * depth for each in patches)
        screens = int(KEPT_SCREENS * screen.get_width() * screen.get_height() * depth)
        bound = screens if compiled else MAX_KEPT_BYTES
        self._capacity = [max(1, each.frames * bound // max(whole, bound)) for each in patches]
        self._ahead: Iterator[tuple[int, int]] = iter(())
        self._asked: LitFrames = ()

    def nearest_rest(self, sitter: int) -> list[int]:
        """Return the frames of a sitter that are kept in memory from the start, nearest rest first."""
        grid = self.grids[sitter]
        order = sorted(range(grid.count), key=lambda frame: _angle_between(grid, frame, grid.rest))
        return order[: self._capacity[sitter]]

    def put(self, sitter: int, frame: int, patch: pygame.Surface) -> None:
        """Keep a patch for ever, because there is no file to read it from again."""
        self._kept[sitter][frame] = self._as_keyed(sitter, patch)

    def load(self, each: Callable[[], object] = bool) -> None:
        """Read as many patches as may be kept in memory, and call `each` after every one.

        Raises `BadCache` if one is damaged; none is kept then.
        """
        if self.compiled:
            try:
                for sitter in range(len(self.patches)):
                    for frame in reversed(self.nearest_rest(sitter)):  # the patch used last is kept longest
                        self.patch(sitter, frame)
                        each()
            except BadCache:
                for kept in self._kept:
                    kept.clear()
                raise

    def verify_unread(self, each: Callable[[], object]) -> None:
        """Verify the patches that are not in memory; call `each` after every one; raises `BadCache`."""
        if self.compiled:
            self.compiled.verify_patches(each, self._kept)

    def read_base(self) -> None:
        """Read the base of the compiled file, and keep it until it is drawn; raises `BadCache`."""
        assert self.compiled
        base = pygame.Surface(self.compiled.contents.size, 0, self._screen)
        with surface_pixels(base) as pixels:
            self.compiled.read_base(pixels)
        self.base = base

    def draw_base(self, offset: tuple[int, int], again: bool) -> None:
        """Draw the whole screen at rest, shifted by `offset`; uncovered pixels show the base's edge.

        With `again` the base is kept in memory, because it is drawn again soon. Raises `BadCache` if it
        cannot be read any more; the screen has not changed then.
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
        """Free the base's memory, if it can be read again."""
        if self.compiled:
            self.base = None

    def patch(self, sitter: int, frame: int) -> pygame.Surface:
        """Return a frame's patch from memory, or read it now; raises `BadCache`."""
        kept = self._kept[sitter]
        if not self.compiled:
            if frame not in kept:
                grid = self.grids[sitter]
                frame = min(kept, key=lambda other: _angle_between(grid, frame, other))
            return kept[frame]
        found = kept.pop(frame, None)
        if found is None:
            if len(kept) >= self._capacity[sitter]:
                del kept[next(iter(kept))]
            found = pygame.Surface(self.patches[sitter].size, 0, self._screen)
            with surface_pixels(found) as pixels:
                self.compiled.read_patch(sitter, frame, pixels)
            self._as_keyed(sitter, found)
        kept[frame] = found
        return found

    def read_ahead(self, lit: LitFrames) -> None:
        """Read one of the patches that are likely to be shown after those lit; raises `BadCache`."""
        if lit != self._asked:
            self._asked = lit
            self._ahead = chain.from_iterable(self._neighbours(i, frame) for i, frame in enumerate(lit))
        block = (2 * _COLUMNS_AHEAD + 1) * (2 * _ROWS_AHEAD + 1)
        for sitter, frame in self._ahead:
            if self._capacity[sitter] > block and frame not in self._kept[sitter]:
                self.patch(sitter, frame)
                return

    def are_neighbours(self, sitter: int, one: int, other: int) -> bool:
        """Tell whether no frame of the grid lies between two frames."""
        grid = self.grids[sitter]
        (row, column), (other_row, other_column) = grid.place(one), grid.place(other)
        step = max(grid.steps[row], grid.steps[other_row])
        return one != other and abs(row - other_row) <= 1 and abs(column - other_column) <= step

    def _neighbours(self, sitter: int, frame: int) -> Iterator[tuple[int, int]]:
        grid = self.grids[sitter]
        row, column = grid.place(frame)
        for near in (row, row - 1, row + 1):
            for other in grid.columns(near) if 0 <= near < len(grid.pitches) else ():
                if abs(other - column) <= _COLUMNS_AHEAD:
                    yield sitter, grid.number(near, other)

    def _as_keyed(self, sitter: int, patch: pygame.Surface) -> pygame.Surface:
        if self.patches[sitter].keyed:
            # With run-length encoding a blit is as fast as without a key, else it takes twice as long.
            patch.set_colorkey(COLOUR_KEY, pygame.RLEACCEL)
            # SDL encodes at the first blit, so one pixel is blitted now and not when the patch is needed.
            before = self._screen.get_at((0, 0))
            self._screen.blit(patch, (0, 0), (0, 0, 1, 1))
            self._screen.set_at((0, 0), before)
        return patch


def _angle_between(grid: FrameGrid, one: int, other: int) -> float:
    """Return the angle between the gazes of two frames, degrees."""
    (row, column), (other_row, other_column) = grid.place(one), grid.place(other)
    across = grid.angles[column] - grid.angles[other_column]
    return math.hypot(across, grid.pitches[row] - grid.pitches[other_row])


def surface_pixels(surface: pygame.Surface) -> memoryview:
    """Return a surface's pixels without a copy; the surface cannot be used until they are released."""
    return memoryview(surface.get_buffer())  # type: ignore[arg-type]  # it is a buffer


log = logging.getLogger(__name__)

CACHE_DAMAGED: Final = "%s; compiling the portrait again"
CACHE_NOT_KEPT: Final = "the compiled portrait is not kept, the next start is slower: %s"
SHOWING_LAST_COMPILED: Final = "%s; showing it as it was last compiled"

# Time limit for loading all frames of a pack, in seconds (guess, for a slow card and a slow processor). The
# display continues meanwhile; a pack that takes longer is only shown at rest.
LOAD_TIMEOUT: Final = 300.0
# Largest compiled file, as a multiple of one screen: twice that of 33 frames that change the whole screen.
_MAX_SCREENS: Final = 64
_CANNOT_BE_SHOWN: Final = "cannot be shown"


class _Stopped(Exception):
    """Compiling was stopped, because the process is to end."""


class FrameLoader:
    """Loads packs for one screen, and compiles them where needed."""

    def __init__(self, screen: pygame.Surface, layout: ScreenLayout) -> None:
        self._screen = screen
        self._layout = layout
        self._pixels = f"{screen.get_masks()} {screen.get_bytesize()}"

    def at_rest(self, pack: Pack) -> FrameSurfaces:
        """Return a pack with at least its base, as fast as possible.

        For a damaged pack return its last compiled state, if there is one; the log says so. Raises `BadPack`
        if there is neither.
        """
        try:
            with as_bad_pack(pack.folder, _CANNOT_BE_SHOWN):
                key = compiled_pack.cache_key(pack, self._layout, self._pixels)
                return self._opened(pack, key) or self._drawn(pack)
        except BadPack as error:
            return self._last(pack, error)

    def complete(
        self, pack: Pack, frames: FrameSurfaces, stop: threading.Event, each: Callable[[], object], keep: bool
    ) -> FrameSurfaces:
        """Return a pack with all its frames, verified or compiled now.

        Raises `BadPack` if a patch is missing or damaged, or it takes longer than `LOAD_TIMEOUT`.

        Parameters
        ----------
        frames : what `at_rest` returned; it is returned unchanged if `stop` is set meanwhile
        each : called after every frame, so that the display continues
        keep : whether to read the frames that are kept in memory, because there is room for them already
        """
        end = time.monotonic() + LOAD_TIMEOUT

        def go_on() -> None:
            if time.monotonic() > end:
                raise BadPack(f"{pack.folder}: not ready within {LOAD_TIMEOUT:.0f} s")
            each()

        try:
            with as_bad_pack(pack.folder, _CANNOT_BE_SHOWN):
                if frames.compiled:
                    try:
                        if keep:
                            frames.load(go_on)
                        frames.verify_unread(go_on)
                    except BadCache as error:
                        log.warning(CACHE_DAMAGED, error)
                    else:
                        return frames
                try:
                    return self._compile(pack, frames, stop, go_on)
                except _Stopped:
                    return frames
        except BadPack as error:
            return self._last(pack, error, each)

    def _last(self, pack: Pack, error: BadPack, each: Callable[[], object] = bool) -> FrameSurfaces:
        """Return the last compiled state of a damaged pack, verified; raises `error` if there is none."""
        last = self._opened(pack, None)
        if last is None:
            raise error
        try:
            last.verify_unread(each)
        except BadCache:
            raise error from None
        log.error(SHOWING_LAST_COMPILED, error)
        return last

    def _opened(self, pack: Pack, key: str | None) -> FrameSurfaces | None:
        """Return the compiled state of a pack, with its base read; None if there is none that can be used."""
        path = compiled_pack.cache_path(pack, self._layout, self._pixels)
        try:
            frames = self._compiled(pack, CompiledPack(path, key))
            frames.read_base()
        except FileNotFoundError:
            return None
        except BadCache as error:
            if not error.stale:
                log.warning(CACHE_DAMAGED, error)
            return None
        compiled_pack.mark_as_used(path)
        return frames

    def _compiled(self, pack: Pack, compiled: CompiledPack) -> FrameSurfaces:
        """Return the frames of a compiled file; raises `BadCache` unless they fit the screen and the pack."""
        contents = compiled.contents
        if (contents.size, contents.depth) != (self._screen.get_size(), self._screen.get_bytesize()):
            raise BadCache(f"{compiled.path}: made for another screen than its name says")
        found = [(patches.frames, patches.resting) for patches in contents.sitters]
        if found != [(grid.count, grid.rest) for grid in pack.info.sitters]:
            raise BadCache(f"{compiled.path}: its frames are not those of pack.toml")
        return FrameSurfaces(pack.info.sitters, contents.sitters, self._screen, compiled=compiled)

    def _drawn(self, pack: Pack) -> FrameSurfaces:
        from appliance.display.fitted_patches import fit_base

        base = self._surface(fit_base(pack, self._layout))
        _return_freed_memory()
        return FrameSurfaces(pack.info.sitters, (), self._screen, base=base)

    def _compile(
        self, pack: Pack, frames: FrameSurfaces, stop: threading.Event, each: Callable[[], object]
    ) -> FrameSurfaces:
        from appliance.display.fitted_patches import fit_patches

        def surfaces(sitter: int) -> Iterator[pygame.Surface]:
            for image in fit_patches(pack, self._layout, sitter)[1]:
                if stop.is_set():
                    raise _Stopped
                each()
                yield self._surface(image, patches[sitter].keyed)

        grids = pack.info.sitters
        key = compiled_pack.cache_key(pack, self._layout, self._pixels)
        base = frames.base or self._drawn(pack).base
        assert base
        boxes = [fit_patches(pack, self._layout, sitter)[0] for sitter in range(len(grids))]
        keyed = [any(boxes_overlap(one, other) for other in boxes if other is not one) for one in boxes]
        patches = tuple(
            CompiledPatches(box, grid.count, grid.rest, key)
            for box, grid, key in zip(boxes, grids, keyed, strict=True)
        )
        size, depth = self._screen.get_size(), self._screen.get_bytesize()
        contents = CompiledContents(key, str(pack.folder.absolute()), size, depth, patches)
        if contents.patches_bytes > _MAX_SCREENS * contents.base_bytes:
            raise BadPack(f"{pack.folder}: its frames are larger than {_MAX_SCREENS} screens")
        path = compiled_pack.cache_path(pack, self._layout, self._pixels)
        drawn = chain.from_iterable(map(surfaces, range(len(grids))))
        try:
            parts = map(surface_pixels, chain([base], drawn))
            compiled = compiled_pack.write_to_cache(path, contents, parts)
        except CannotWrite as error:
            log.warning(CACHE_NOT_KEPT, error)
        else:
            _return_freed_memory()
            return self._compiled(pack, compiled)
        frames = FrameSurfaces(grids, patches, self._screen, base=base)
        for sitter in range(len(grids)):
            kept = set(frames.nearest_rest(sitter))
            for frame, surface in enumerate(surfaces(sitter)):
                if frame in kept:
                    frames.put(sitter, frame, surface)
        return frames

    def _surface(self, image: "Image.Image", keyed: bool = False) -> pygame.Surface:
        """Return an image in the screen's pixel format, if `keyed` with the colour key for transparency."""
        from appliance.display.fitted_patches import apply_colour_key

        image = apply_colour_key(image.convert("RGBA"), COLOUR_KEY) if keyed else image.convert("RGB")
        loaded = pygame.image.frombuffer(image.tobytes(), image.size, "RGB")
        return loaded.convert(self._screen)


def _return_freed_memory() -> None:
    """Return the memory that scaling used to the system; glibc would keep the size of several pictures."""
    with suppress(AttributeError, OSError):
        CDLL(None).malloc_trim(0)
