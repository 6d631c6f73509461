"""A pack's frames as surfaces of the screen, those lit lately and those beside them kept ready."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from appliance.display.compiled import Compiled, Patches
from appliance.display.sdl import pygame
from appliance.errors import BadCache
from appliance.grid import FrameGrid

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
