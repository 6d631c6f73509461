"""A pack's frames as surfaces of the screen, those nearest rest kept ready."""

from collections.abc import Callable
from typing import Final

from appliance.display.compiled import Compiled
from appliance.display.sdl import pygame
from appliance.errors import BadCache
from appliance.grid import Box

# Patches are kept ready up to so many times the screen's own memory: room for all of the bundled
# portrait's. Where they are larger, those farthest from rest are read when wanted, which doubles that
# change's time and more.
SCREENS: Final = 4.0


class Frames:
    """The base and the patches of one pack.

    Patches are blitted and only their rectangle is flipped: textures of SDL's renderer, which draws
    the whole screen for every change, took longer in a window and on KMSDRM (`bench display --display`).

    Without a compiled file all of it is kept. With one, the base is let go of once it is drawn.
    """

    def __init__(
        self,
        box: Box,
        count: int,
        resting: int,
        screen: pygame.Surface,
        compiled: Compiled | None = None,
        base: pygame.Surface | None = None,
    ) -> None:
        """Hold nothing yet; `box` is where patches lie on the screen, one of the last two is given."""
        self.box = box
        self.count = count
        self.resting = resting
        self._screen = screen
        self.compiled = compiled
        self.base = base
        self._patches: dict[int, pygame.Surface] = {}

    def put(self, frame: int, patch: pygame.Surface) -> None:
        """Keep a patch for good: there is no file to read it from again."""
        self._patches[frame] = patch

    def load(self, each: Callable[[], object] = bool) -> None:
        """Read as many patches as the bound allows, nearest rest first, and call `each` after every one.

        Raises
        ------
        BadCache
            If one cannot be read as it was written; none is kept then.
        """
        if self.compiled:
            room = int(SCREENS * self.compiled.plan.base_bytes) // self.compiled.plan.patch_bytes
            order = sorted(range(self.count), key=lambda frame: abs(frame - self.resting))
            try:
                for frame in order[:room]:
                    self._patches[frame] = self.patch(frame)
                    each()
            except BadCache:
                self._patches.clear()
                raise

    def check(self, each: Callable[[], object]) -> None:
        """Read the patches that are not kept once, and call `each` after every one; raises `BadCache`."""
        if self.compiled:
            self.compiled.check(each, self._patches)

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

    def patch(self, frame: int) -> pygame.Surface:
        """Return a frame's patch: one kept ready, or read now; raises `BadCache`."""
        found = self._patches.get(frame)
        if found is None:
            assert self.compiled
            found = pygame.Surface(self.compiled.plan.patch_size, 0, self._screen)
            with pixels_of(found) as pixels:
                self.compiled.read_patch(frame, pixels)
        return found


def pixels_of(surface: pygame.Surface) -> memoryview:
    """Return a surface's pixels, not copied; until this is let go of, nothing can be drawn from it."""
    return memoryview(surface.get_buffer())  # type: ignore[arg-type]  # it is a buffer
