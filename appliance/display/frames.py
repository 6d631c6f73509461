"""A pack's frames as surfaces of the screen, those nearest rest kept ready."""

from typing import Final

from appliance.display.compiled import Compiled
from appliance.display.sdl import pygame
from appliance.pack import Box

# Patches are kept ready up to so many times the screen's own memory: room for all of the bundled
# portrait's. Where they are larger, those farthest from rest are copied when wanted, which doubles that
# change's time and more. Drawing from the mapped file instead was measured and gains nothing: its pages
# take the same memory while they are kept, and as much time to come back when they are not.
SCREENS: Final = 4.0


class Frames:
    """The base and the patches of one pack.

    Patches are blitted and only their rectangle is flipped: textures of SDL's renderer, which draws
    the whole screen for every change, took longer in a window and on KMSDRM (`bench display --display`).

    Blits come from surfaces of the screen's own format, since those over the mapped file carry an
    alpha channel, which costs up to half as much again. Without a compiled file all of it is kept.
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

    def load(self) -> None:
        """Copy as many patches as the bound allows, those nearest the resting frame first."""
        if self.compiled:
            room = int(SCREENS * self.compiled.plan.base_bytes) // self.compiled.plan.patch_bytes
            order = sorted(range(self.count), key=lambda frame: abs(frame - self.resting))
            for frame in order[:room]:
                self._patches[frame] = self.patch(frame)

    def draw_base(self, offset: tuple[int, int]) -> None:
        """Draw the whole screen at rest, moved by `offset`; what that uncovers keeps the base's edge."""
        base = self.base or self._mapped_base()
        if offset != (0, 0):
            self._screen.blit(base, (0, 0))
        self._screen.blit(base, offset)
        if self.compiled:
            del base
            self.compiled.forget()

    def patch(self, frame: int) -> pygame.Surface:
        """Return a frame's patch: one kept ready, or copied now."""
        found = self._patches.get(frame)
        if found is None:
            assert self.compiled
            found = surface_of(self.compiled.patch(frame), self.compiled.plan.patch_size, self._screen)
            self.compiled.forget(frame)
        return found

    def _mapped_base(self) -> pygame.Surface:
        assert self.compiled
        plan = self.compiled.plan
        if plan.depth == 4 and self._screen.get_masks()[:3] == (0xFF0000, 0xFF00, 0xFF):
            try:
                surface = pygame.image.frombuffer(self.compiled.base(), plan.size, "BGRA")
                surface.set_alpha(None)
                return surface
            except ValueError:  # pygame before 2.1.3 does not know this order
                pass
        return surface_of(self.compiled.base(), plan.size, self._screen)


def surface_of(pixels: memoryview, size: tuple[int, int], screen: pygame.Surface) -> pygame.Surface:
    """Copy raw pixels of the screen's format into a surface."""
    surface = pygame.Surface(size, 0, screen)
    memoryview(surface.get_buffer())[:] = pixels  # type: ignore[arg-type]  # it is a buffer
    return surface
